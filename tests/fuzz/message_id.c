/*
 * The Message-ID of a header: the same in pieces of one octet, of seven and in one, on one line and within its bound.
 */
#include "message_id.h"

#include <stdlib.h>

#include "alloc.h"
#include "fuzz.h"

static char *
found(const char *s, size_t n, size_t piece)
{
	struct message_id m = { .state = 0 };
	const char *text;
	size_t i;

	for (i = 0; i < n; i += piece)
		message_id_feed(&m, s + i, n - i < piece ? n - i : piece);
	text = message_id_text(&m);
	MUST(text == NULL || (text[0] != '\0' && strlen(text) <= MESSAGE_ID_MAX + 3 && strpbrk(text, "\r\n") == NULL));
	return xstrdup(text != NULL ? text : "");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = xmemdup(data, n), *whole = found(s, n, n + 1), *octets = found(s, n, 1), *seven = found(s, n, 7);

	MUST(strcmp(whole, octets) == 0 && strcmp(whole, seven) == 0);
	free(whole);
	free(octets);
	free(seven);
	free(s);
	return 0;
}
