/* Headers of balancers in rows; each is also fed octet by octet. */
#include "proxy.h"

#include <arpa/inet.h>

#include <stdlib.h>

#include "alloc.h"
#include "text.h"
#include "unit.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static const struct row {
	const char *name, *in;
	size_t n;
	const char *want;	/* "ADDRESS PORT USED", "unspecified USED", "more", or the error */
} rows[] = {
#define T(text) text, sizeof(text) - 1
	{ "TCP4", T("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\nEHLO"), "192.0.2.1 56324 44" },
	{ "TCP6 with an IPv4 client", T("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:127.0.0.1 1 25\r\n"), "192.0.2.1 1 51" },
	{ "TCP6", T("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), "2001:db8::1 1 44" },
	{ "UNKNOWN", T("PROXY UNKNOWN\r\n"), "unspecified 15" },
	{ "UNKNOWN with words", T("PROXY UNKNOWN ffff:f::1 ffff:f::2 65535 65535\r\n"), "unspecified 47" },
	{ "the other family", T("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"),
	    "PROXY header: expected addresses of the family that it names" },
	{ "no port", T("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"), "PROXY header: expected ports of 0 to 65535" },
	{ "leading zeroes", T("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), "PROXY header: expected ports of 0 to 65535" },
	{ "a word more", T("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"),
	    "PROXY header: expected TCP4 or TCP6, two addresses and two ports" },
	{ "two spaces", T("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"),
	    "PROXY header: expected TCP4 or TCP6, two addresses and two ports" },
	{ "LF alone", T("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), "PROXY header: expected a line that ends in CR LF" },
	{ "NUL", T("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"), "PROXY header: expected a line that ends in CR LF" },
	{ "endless", T("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxx\r\n"), "PROXY header: expected a line of at most 107 octets" },
	{ "part of one", T("PROXY TCP4 192.0.2.1 "), "more" },
	{ "SMTP", T("EHLO c.example\r\n"), "PROXY header: expected \"PROXY \" or the signature of version 2" },
	{ "version 2, IPv4", T(V2 "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\0\x19" "EHLO"),
	    "192.0.2.1 56324 28" },
	{ "version 2, IPv4 with a TLV", T(V2 "\x21\x11\0\x0f\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\0\x19\x04\0\0"),
	    "192.0.2.1 56324 31" },
	{ "version 2, IPv6", T(V2 "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0"
	    "\0\0\0\0\0\x02\0\x01\0\x19"), "2001:db8::1 1 52" },
	{ "version 2, LOCAL", T(V2 "\x20\0\0\0"), "unspecified 16" },
	{ "version 2, a Unix socket", T(V2 "\x21\x31\0\x02xy"), "unspecified 18" },
	{ "version 2, too short", T(V2 "\x21\x11\0\x04\xc0\0\x02\x01"),
	    "PROXY header: expected 12 octets of IPv4 addresses and ports" },
	{ "version 2, IPv6 too short", T(V2 "\x21\x21\0\x04\xc0\0\x02\x01"),
	    "PROXY header: expected 36 octets of IPv6 addresses and ports" },
	{ "version 2, another family", T(V2 "\x21\x41\0\0"), "PROXY header: expected a known address family" },
	{ "version 3", T(V2 "\x31\x11\0\0"), "PROXY header: expected version 2 and the command LOCAL or PROXY" },
	{ "version 2, huge", T(V2 "\x21\x11\xff\xff"), "PROXY header: expected at most 2048 octets of addresses and TLVs" },
	{ "version 2, part of one", T(V2 "\x21"), "more" },
};

static char *
show(enum proxy_got got, const struct proxy *p, size_t used, const struct fail *f)
{
	char text[INET6_ADDRSTRLEN];

	if (got == PROXY_MORE)
		return xstrdup("more");
	if (got == PROXY_BAD)
		return xstrdup(f->text);
	if (p->version == 0)
		return xasprintf("unspecified %zu", used);
	return xasprintf("%s %u %zu", inet_ntop(p->version == 4 ? AF_INET : AF_INET6, p->ip, text, sizeof text), p->port, used);
}

/* The first answer that is not "more", as octets come in. */
static char *
parse(const struct row *r, size_t from)
{
	enum proxy_got got = PROXY_MORE;
	struct proxy p;
	struct fail f = FAIL_INIT;
	size_t n, used = 0;

	for (n = from; n <= r->n && got == PROXY_MORE; n++) {
		char *copy = xmalloc(n + 1);	/* a read behind it is an error under the sanitizers */

		memcpy(copy, r->in, n);
		got = proxy_parse(copy, n, &p, &used, &f);
		free(copy);
	}
	return show(got, &p, used, &f);
}

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *whole = parse(&rows[i], rows[i].n), *bytes = parse(&rows[i], 0);

		unit_str(whole, rows[i].want, "%s", rows[i].name);
		unit_str(bytes, rows[i].want, "%s, octet by octet", rows[i].name);
		free(whole);
		free(bytes);
	}
	return unit_done();
}
