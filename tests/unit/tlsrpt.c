/* Rows by hand from RFC 8460 3, with RFC 3986 and RFC 6068. */
#include "tlsrpt.h"

#include <stdlib.h>

#include "text.h"
#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define V "v=TLSRPTv1;"

static char *
shown(const struct tlsrpt *t)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < t->n; i++)
		buf_printf(&b, "%s%s", i > 0 ? " " : "",
		    t->rua[i].mailbox != NULL ? t->rua[i].mailbox : t->rua[i].uri);
	return buf_steal(&b);
}

static void
test_parse(void)
{
	static const struct {
		const char *in, *out, *error;
	} rows[] = {
		{ V "rua=mailto:reports@example.com", "reports@example.com", NULL },
		{ V " rua=https://reporting.example.com/v1/tlsrpt", "https://reporting.example.com/v1/tlsrpt", NULL },
		{ V " rua=mailto:a@b.example , https://c.example/ ;", "a@b.example https://c.example/", NULL },
		{ V "rua=mailto:a@b.example,mailto:c@d.example;", "a@b.example c@d.example", NULL },
		{ V "rua=mailto:a@b.example;rua=mailto:c@d.example", "a@b.example c@d.example", NULL },
		{ V "x=y; rua=mailto:a@b.example; z=1", "a@b.example", NULL },
		{ V "rua=MAILTO:a@b.example,HTTPS://C.example", "a@b.example HTTPS://C.example", NULL },
		{ V "rua=mailto:a%2Bb@c.example?subject=x%20y", "a+b@c.example", NULL },
		{ V "rua=mailto:%22a%2Cb%22@c.example", "\"a,b\"@c.example", NULL },
		{ V "rua=https://a.example:8443/p?q=1&r=%21", "https://a.example:8443/p?q=1&r=%21", NULL },
		{ V "rua=https://[2001:db8::1]:443/", "https://[2001:db8::1]:443/", NULL },
		{ V "rua=https://192.0.2.1/", "https://192.0.2.1/", NULL },
		{ V, NULL, "offset 11: no rua=" },
		{ V "x=y", NULL, "offset 14: no rua=" },
		{ V "RUA=mailto:a", NULL, "offset 23: no rua=" },
		{ V "rua=", NULL, "offset 15: expected a URI that begins with mailto: or https:" },
		{ V "rua=;", NULL, "offset 15: expected a URI that begins with mailto: or https:" },
		{ V "rua=mailto:a@b.example,", NULL, "offset 34: expected a URI that begins with mailto: or https:" },
		{ V "rua=,mailto:a@b.example", NULL, "offset 15: expected a URI that begins with mailto: or https:" },
		{ V "rua=a@b.example", NULL, "offset 15: expected a URI that begins with mailto: or https:" },
		{ V "rua=http://a.example", NULL, "offset 15: expected a URI that begins with mailto: or https:" },
		{ V "rua=mailto:", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:a", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:a@", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:@b.example:a@c.example", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:a%3E@b.example", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:a@b.example%2Cc@d.example", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:a%0A@b.example", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:a%00@b.example", NULL, "offset 22: expected user@domain behind mailto:" },
		{ V "rua=mailto:a@b.example!10m", NULL, "offset 33: \"!\" is written as %21 in a URI here" },
		{ V "rua=mailto:a b@c.example", NULL, "offset 23: not a character that a URI may have" },
		{ V "rua=mailto:a@b.example ", NULL, "offset 33: not a character that a URI may have" },
		{ V "rua=mailto:a@b%2.example", NULL, "offset 25: expected two hexadecimal digits behind %" },
		{ V "rua=mailto:a@b%", NULL, "offset 25: expected two hexadecimal digits behind %" },
		{ V "rua=mailto:a@b%4", NULL, "offset 25: expected two hexadecimal digits behind %" },
		{ V "rua=mailto:\xc3\xa4@b.example", NULL, "offset 22: not a character that a URI may have" },
		{ V "rua=https:a.example", NULL, "offset 21: expected // behind https:" },
		{ V "rua=https://", NULL, "offset 23: expected a host behind https://" },
		{ V "rua=https:///x", NULL, "offset 23: expected a host behind https://" },
		{ V "rua=https://a..b/x", NULL, "offset 23: expected a host behind https://" },
		{ V "rua=https://[x]/", NULL, "offset 23: expected a host behind https://" },
		{ V "rua=https://u:p@a.example/", NULL, "offset 26: no user is expected in this URI" },
		{ V "rua=mailto:a@b.example;; x=y", NULL, "offset 34: expected a field: name=value" },
		{ "v=TLSRPTv2;rua=mailto:a@b.example", NULL, "offset 0: expected v=TLSRPTv1;" },
		{ "v=tlsrptv1;rua=mailto:a@b.example", NULL, "offset 0: expected v=TLSRPTv1;" },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct txtrec r = { rows[i].in, strlen(rows[i].in) };
		struct fail f = FAIL_INIT;
		struct tlsrpt t;
		int rc = tlsrpt_parse(&t, &r, &f);
		char *text = rc == 0 ? shown(&t) : NULL;

		unit_str(text, rows[i].out, "%s", rows[i].in);
		if (rows[i].error != NULL)
			unit_str(f.text, rows[i].error, "%s: says why", rows[i].in);
		free(text);
		tlsrpt_clear(&t);
	}
}

static void
test_select(void)
{
	static const struct txtrec set[] = { { "v=spf1", 6 }, { V "rua=mailto:a@b.example", 33 },
		{ V "rua=mailto:c@b.example", 33 } };
	struct fail f = FAIL_INIT;
	struct tlsrpt t;

	unit_int(tlsrpt_select(&t, set, 0, &f), 0, "no record");
	unit_int(tlsrpt_select(&t, set, 1, &f), 0, "none of TLS-RPT");
	unit_int(tlsrpt_select(&t, set, 2, &f), 1, "one beside another");
	unit_str(t.n == 1 ? t.rua[0].mailbox : NULL, "a@b.example", "it is the right one");
	tlsrpt_clear(&t);
	unit_int(tlsrpt_select(&t, set, 3, &f), -1, "two");
	unit_str(f.text, "2 records begin with v=TLSRPTv1;", "says so");
}

static void
test_many(void)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct tlsrpt t;
	struct txtrec r;
	int i;

	buf_puts(&b, V "rua=mailto:a@b.example");
	for (i = 0; i < TLSRPT_URIS_MAX; i++)
		buf_puts(&b, ",mailto:a@b.example");
	r = (struct txtrec){ b.p, b.len };
	unit_int(tlsrpt_parse(&t, &r, &f), -1, "too many URIs");
	unit_str(f.text, "offset 1915: more than 100 URIs", "the first too many is named");
	r.len -= strlen(",mailto:a@b.example");
	unit_int(tlsrpt_parse(&t, &r, &f), 0, "as many as may be");
	tlsrpt_clear(&t);
	buf_clear(&b);
}

int
main(void)
{
	test_parse();
	test_select();
	test_many();
	return unit_done();
}
