/*
 * Words that a user writes: hexadecimal, numbers, time spans, addresses with a port.
 */
#include "text.h"

#include "fail.h"
#include "fuzz.h"

static void
hex(const char *s)
{
	struct fail f = FAIL_INIT;
	uint8_t *p = NULL, *again = NULL;
	size_t n = 0, m = 0;
	char *text;

	if (text_unhex(s, &p, &n, &f) == -1) {
		MUST(f.kind == FAIL_INPUT);
		return;
	}
	MUST((p == NULL) == (n == 0));
	text = malloc(2 * n + 1);
	text_hex(text, p, n);
	MUST(strlen(text) == 2 * n && text_unhex(text, &again, &m, &f) == 0 && m == n);
	MUST(n == 0 || memcmp(p, again, n) == 0);
	free(text);
	free(p);
	free(again);
}

static void
numbers(const char *s)
{
	struct fail f = FAIL_INIT;
	long long n;

	if (text_number(s, -1000, 1000, "n", &n, &f) == 0)
		MUST(n >= -1000 && n <= 1000);
	else
		MUST(f.kind == FAIL_INPUT);
	if (text_duration(s, "t", &n, &f) == 0)
		MUST(n >= 0);
}

static void
endpoint(const char *s)
{
	struct fail f = FAIL_INIT;
	struct endpoint e;

	if (text_endpoint(s, 25, &e, &f) == 0)
		MUST(e.host[0] != '\0' && strlen(e.host) < TEXT_HOST_MAX && e.port > 0);
	else
		MUST(f.kind == FAIL_INPUT);
	(void)text_is_address(s);
}

static void
escape(const char *s, size_t n)
{
	char *text = text_escape(s, n);
	size_t i;

	for (i = 0; text[i] != '\0'; i++)
		MUST(text[i] >= 0x20 && text[i] < 0x7f);
	MUST(i >= n && i <= 4 * n);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = malloc(n + 1);

	memcpy(s, data, n);
	s[n] = '\0';
	hex(s);
	numbers(s);
	endpoint(s);
	escape(s, n);
	free(s);
	return 0;
}
