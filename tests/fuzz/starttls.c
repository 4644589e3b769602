/*
 * STARTTLS of the protocols beside SMTP: the first octet names the protocol, the rest is the server's, handed
 * over in pieces.  What is held stays small, the texts are printable, an end is for good.
 * fuzz: starttls ber text fail alloc
 */
#include "starttls.h"

#include "fuzz.h"

static void
printable(const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		MUST(*s >= 0x20 && *s < 0x7f);
}

static void
serve(enum starttls_proto proto, const char *p, size_t n, size_t piece)
{
	struct starttls s;
	size_t at, step;

	starttls_init(&s, proto);
	starttls_begin(&s);
	for (at = 0; at < n; at += step) {
		step = n - at < piece ? n - at : piece;
		if (starttls_feed(&s, p + at, step) == STARTTLS_WANT_TLS)
			starttls_tls_done(&s);
		buf_drop(&s.out, s.out.len);
		MUST(s.in.len <= 2 * STARTTLS_OCTETS_MAX);
		MUST((s.want == STARTTLS_WANT_CLOSE) == (s.end != STARTTLS_END_NONE));
	}
	printable(s.greeting);
	printable(s.answer);
	printable(s.fail.text);
	starttls_quit(&s);
	starttls_clear(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum starttls_proto protos[] = { STARTTLS_IMAP, STARTTLS_POP3, STARTTLS_LDAP,
		STARTTLS_SIEVE };
	const char *p = (const char *)data + 1;

	if (n < 1)
		return 0;
	serve(protos[data[0] % 4], p, n - 1, n);
	serve(protos[data[0] % 4], p, n - 1, 1);
	serve(protos[data[0] % 4], p, n - 1, 7);
	return 0;
}
