/*
 * Header sections: the length ends behind an empty line, what is found lies within, is not blank at its ends, and is
 * the same where only the header was given.
 */
#include "header.h"

#include "alloc.h"
#include "fuzz.h"

static void
check_value(const char *s, size_t n, const char *value, size_t len)
{
	const char *blanks = " \t\r\n";

	MUST(value >= s && len <= n && value + len <= s + n);
	if (len > 0)
		MUST(memchr(blanks, value[0], 4) == NULL && memchr(blanks, value[len - 1], 4) == NULL);
}

static void
find(const char *s, size_t n, size_t header, const char *name)
{
	const char *value = NULL, *again = NULL;
	size_t len = 0, len_again = 0, found = header_find(s, n, name, &value, &len);

	if (found > 0)
		check_value(s, n, value, len);
	if (header == 0)
		return;
	MUST(header_find(s, header, name, &again, &len_again) == found);
	MUST(again == value && len_again == len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = xmemdup(data, n);
	size_t header = header_length(s, n);

	MUST(header <= n);
	if (header > 0) {
		MUST(s[header - 1] == '\n');
		MUST(header == 1 || s[header - 2] == '\n' ||
		    (s[header - 2] == '\r' && (header == 2 || s[header - 3] == '\n')));
	}
	find(s, n, header, "Message-ID");
	find(s, n, header, "TLS-Required");
	find(s, n, header, "a");
	free(s);
	return 0;
}
