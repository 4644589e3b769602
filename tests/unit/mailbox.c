/* Rows of paths; what is parsed is printed, and printed again parses to the same. */
#include "mailbox.h"

#include <stdlib.h>

#include "unit.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define L63 A60 "aaa"
#define D184 L63 "." L63 "." A10 A10 A10 A10 A10 "aaaaaa"	/* labels of 63, 63, 56 */

static const struct row {
	const char *in;
	unsigned flags;
	const char *want;	/* "local|domain|printed|rest", or "input: ...", "policy: ..." */
} rows[] = {
	{ "<\xc3\xa9.a@\xe4\xb8\xad.example> X", MAILBOX_UTF8,
	    "\xc3\xa9.a|\xe4\xb8\xad.example|\xc3\xa9.a@\xe4\xb8\xad.example| X" },
	{ "<\"\xc3\xa9 b\"@c>", MAILBOX_UTF8, "\xc3\xa9 b|c|\"\xc3\xa9 b\"@c|" },
	{ "<a\xc3@c>", MAILBOX_UTF8, "input: expected UTF-8 in the address" },
	{ "<a@\xc3.c>", MAILBOX_UTF8, "input: expected UTF-8 in the address" },
	{ "<\xc2\x9b@c>", MAILBOX_UTF8, "input: expected UTF-8 in the address" },
	{ "<\xc3\xa9@c>", 0, "policy: an octet above 127 in an address" },
	{ "<a@b.example>", 0, "a|b.example|a@b.example|" },
	{ "<A.b+c@B.Example> SIZE=1", 0, "A.b+c|B.Example|A.b+c@B.Example| SIZE=1" },
	{ "<a@b>c", 0, "a|b|a@b|c" },
	{ "<!#$%&'*+-/=?^_`{|}~@b>", 0, "!#$%&'*+-/=?^_`{|}~|b|!#$%&'*+-/=?^_`{|}~@b|" },
	{ "<>", MAILBOX_NULL, "|||" },
	{ "<>", 0, "input: expected a local part" },
	{ "<postmaster>", MAILBOX_BARE, "postmaster||postmaster|" },
	{ "<postmaster>", 0, "input: expected an @ behind the local part" },
	{ "<@a.example,@b.example:c@d.example>", 0, "c|d.example|c@d.example|" },
	{ "<@a.example:>", 0, "input: expected a local part" },
	{ "<@a.example c@d.example>", 0, "input: expected a colon behind the source route" },
	{ "<@a.example,b.example:c@d>", 0, "input: expected an @ in the source route" },
	{ "<@[192.0.2.1]:c@d>", 0, "input: expected a domain" },
	{ "<\"a b\"@c>", 0, "a b|c|\"a b\"@c|" },
	{ "<\"a\\\"\\\\@\"@c>", 0, "a\"\\@|c|\"a\\\"\\\\@\"@c|" },
	{ "<\"\\a.b\"@c>", 0, "a.b|c|a.b@c|" },
	{ "<\"\"@c>", 0, "input: an empty local part" },
	{ "<\"a>@c>", 0, "input: expected a printable octet or a \" in the quoted local part" },
	{ "<\"a\t\"@c>", 0, "input: expected a printable octet or a \" in the quoted local part" },
	{ "<\"a\\", 0, "input: expected a printable octet or a \" in the quoted local part" },
	{ "<\"" A60 "aa\"@c>", 0, A60 "aa|c|" A60 "aa@c|" },
	{ "<\"" A60 "aaa\"@c>", 0, "input: a local part of more than 64 octets" },
	{ "<" A60 "aaaa@c>", 0, A60 "aaaa|c|" A60 "aaaa@c|" },
	{ "<" A60 "aaaaa@c>", 0, "input: a local part of more than 64 octets" },
	{ "<a@[192.0.2.1]>", 0, "a|[192.0.2.1]|a@[192.0.2.1]|" },
	{ "<a@[IPv6:2001:db8::1]>", 0, "a|[IPv6:2001:db8::1]|a@[IPv6:2001:db8::1]|" },
	{ "<a@[2001:db8::1]>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@[IPv6:192.0.2.1]>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@[192.0.2.256]>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@[x:y]>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@[]>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@[192.0.2.1", 0, "input: expected a domain or an address in brackets" },
	{ "<a@" L63 ".b>", 0, "a|" L63 ".b|a@" L63 ".b|" },
	{ "<a@" L63 "a.b>", 0, "input: expected a domain or an address in brackets" },
	{ "<" A60 "aaaa@" D184 ".aaaa>", 0, A60 "aaaa|" D184 ".aaaa|" A60 "aaaa@" D184 ".aaaa|" },
	{ "<" A60 "aaaa@" D184 ".aaaaa>", 0, "input: an address of more than 254 octets" },
	{ "<a@" D184 "." A60 "." A60 ">", 0, "input: a domain of more than 255 octets" },
	{ "<a@-b>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@b->", 0, "input: expected a domain or an address in brackets" },
	{ "<a@b..c>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@b.>", 0, "a|b|a@b|" },
	{ "<a@RELAY.example.> X", 0, "a|RELAY.example|a@RELAY.example| X" },
	{ "<a@b..>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@.>", 0, "input: expected a domain or an address in brackets" },
	{ "<a@[192.0.2.1].>", 0, "input: expected a > behind the address" },
	{ "<@a.example.,@b.:c@d.>", 0, "c|d|c@d|" },
	{ "<a@b_c>", 0, "a|b_c|a@b_c|" },
	{ "<a@_x.under_score.example>", 0, "a|_x.under_score.example|a@_x.under_score.example|" },
	{ "<a@>", 0, "input: expected a domain or an address in brackets" },
	{ "<@b>", 0, "input: expected a colon behind the source route" },
	{ "<.a@b>", 0, "input: expected a local part" },
	{ "<a.@b>", 0, "input: expected an @ behind the local part" },
	{ "<a..b@c>", 0, "input: expected an @ behind the local part" },
	{ "<a b@c>", 0, "input: expected an @ behind the local part" },
	{ "<a@b@c>", 0, "input: expected a > behind the address" },
	{ "<a@b >", 0, "input: expected a > behind the address" },
	{ "< a@b>", 0, "input: expected a local part" },
	{ "<a@b", 0, "input: expected a > behind the address" },
	{ "<<a@b>>", 0, "input: expected a local part" },
	{ "a@b", 0, "input: expected an address in <>" },
	{ "", 0, "input: expected an address in <>" },
	{ "<\xc3\xa9@b>", 0, "policy: an octet above 127 in an address" },
	{ "<a@\xc3\xa9.b>", 0, "policy: an octet above 127 in an address" },
	{ "<a@b.\xc3\xa9>", 0, "input: expected a domain or an address in brackets" },
	{ "<\"\xc3\xa9\"@b>", 0, "policy: an octet above 127 in an address" },
};

static void
show(struct buf *b, const struct mailbox *m, const char *rest)
{
	buf_printf(b, "%s|%s|", m->local, m->domain);
	mailbox_print(b, m);
	buf_printf(b, "|%s", rest);
}

/* RFC 5321's grammar is closed under printing. */
static void
again(const struct mailbox *m, const struct row *row)
{
	struct buf b = BUF_INIT;
	struct mailbox n;
	size_t used;

	buf_putc(&b, '<');
	mailbox_print(&b, m);
	buf_putc(&b, '>');
	unit_ok(mailbox_parse(&n, b.p, b.len, row->flags, &used, NULL) == 0 && used == b.len &&
	    strcmp(m->local, n.local) == 0 && strcmp(m->domain, n.domain) == 0, "%.60s again", row->in);
	buf_clear(&b);
}

static void
test_paths(void)
{
	struct mailbox m;
	size_t i, used;
	char *exact;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct buf b = BUF_INIT;
		size_t len = strlen(rows[i].in);

		/* Of exactly this size: reading behind it shows. */
		exact = malloc(len > 0 ? len : 1);
		memcpy(exact, rows[i].in, len);
		if (mailbox_parse(&m, exact, len, rows[i].flags, &used, &f) == 0) {
			show(&b, &m, rows[i].in + used);
			again(&m, &rows[i]);
		} else
			buf_printf(&b, "%s: %s", f.kind == FAIL_POLICY ? "policy" : "input", f.text);
		unit_str(b.p, rows[i].want, "%.60s", rows[i].in);
		buf_clear(&b);
		free(exact);
	}
}

static void
test_nul(void)
{
	struct mailbox m;
	size_t used;

	unit_int(mailbox_parse(&m, "<a\0b@c>", 7, 0, &used, NULL), -1, "NUL in a local part");
	unit_int(mailbox_parse(&m, "<\"a\0b\"@c>", 9, 0, &used, NULL), -1, "in a quoted one");
	unit_int(mailbox_parse(&m, "<a@b\0c>", 7, 0, &used, NULL), -1, "in a domain");
	unit_int(mailbox_parse(&m, "<a@[192.0.2.1\0]>", 16, 0, &used, NULL), -1, "in a literal");
}

int
main(void)
{
	test_paths();
	test_nul();
	return unit_done();
}
