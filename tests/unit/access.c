/* Lines of the host table: what is taken, what is printed, which one is for a client; limits and their words. */
#include "access.h"

#include <sys/socket.h>

#include <arpa/inet.h>

#include <stdlib.h>

#include "alloc.h"
#include "table.h"
#include "unit.h"

/* ---- lines ---- */

static const struct {
	const char *line, *want;	/* as printed, or the error */
} lines[] = {
	{ "10.0.0.0/8 relay", "10.0.0.0/8: relay" },
	{ "192.0.2.1 accept", "192.0.2.1/32: accept" },
	{ "2001:db8::/32 reject", "2001:db8::/32: reject" },
	{ "::1 tcprefuse", "::1/128: tcprefuse" },
	{ "0.0.0.0/0 relay", "0.0.0.0/0: relay" },
	{ "default accept", "default: accept" },
	{ "MX.Example relay", "mx.example: relay" },
	{ ".Example reject", ".example: reject" },
	{ "b\303\274cher.example accept", "xn--bcher-kva.example: accept" },
	{ "localhost. relay", "localhost.: relay" },
	{ "default. relay", "default.: relay" },
	{ ".test relay", ".test: relay" },
	{ "1und1.example accept", "1und1.example: accept" },
	{ "default accept tls required", "default: accept, tls required" },
	{ "default relay tls no max-size 1M max-recipients 5", "default: relay, tls no, max-size 1048576, max-recipients 5" },
	{ "default accept client-cert required", "default: accept, client-cert required" },
	{ "default accept connection-rate 60", "default: accept, connection-rate 60/1m" },
	{ "default accept message-rate 600/1h recipient-rate none", "default: accept, message-rate 600/1h, recipient-rate none" },
	{ "default accept command-time 1m", "default: accept, command-time 1m" },
	{ "default reject text Go away, please", "default: reject, text \"Go away, please\"" },
	{ "default reject text a%20%20b", "default: reject, text \"a  b\"" },
	{ "10.0.0.1/8 relay", "10.0.0.1/8 has bits behind its prefix" },
	{ "10.0.0.0/33 relay", "length of a prefix: 33 is not within 0..32" },
	{ "2001:db8::/129 relay", "length of a prefix: 129 is not within 0..128" },
	{ "10.0.0 relay", "expected an address, a network, a host name, .domain or default, not \"10.0.0\"" },
	{ "localhost relay", "expected an address, a network, a host name, .domain or default, not \"localhost\"" },
	{ "mx.example/24 relay", "expected an address, a network, a host name, .domain or default, not \"mx.example/24\"" },
	{ "a..example relay", NULL },
	{ "*.example relay", NULL },
	{ "default relai", "action: expected accept, relay, reject or tcprefuse, not \"relai\"" },
	{ "default accept tls", "no value behind \"tls\"" },
	{ "default accept frob 1", "unknown option \"frob\"" },
	{ "default accept tls maybe", "tls: expected no, preferred or required, not \"maybe\"" },
	{ "default accept client-cert maybe", "client-cert: expected no, preferred or required, not \"maybe\"" },
	{ "default accept text x", "text is for the action reject" },
	{ "default reject tls no", "tls is without effect beside reject" },
	{ "default tcprefuse max-size 1M", "max-size is without effect beside tcprefuse" },
	{ "default reject text a%0Ab", "text: expected printable ASCII" },
	{ "default reject text b\303\274", "text: expected printable ASCII" },
	{ "default accept max-size 1", NULL },
	{ "default accept max-size 65535", NULL },
	{ "default accept max-size 63K", NULL },
	{ "default accept max-size 64K", "default: accept, max-size 65536" },
	{ "default accept max-size 1024G", "default: accept, max-size 1099511627776" },
	{ "default accept max-size 1025G", NULL },
	{ "default accept max-size K", NULL },
	{ "default accept max-recipients 0", NULL },
	{ "default accept max-recipients none", NULL },
	{ "default accept max-recipients 50000", "default: accept, max-recipients 50000" },
	{ "default accept max-recipients 50001", NULL },
	{ "default accept client-concurrency 5 client-concurrency 6", "client-concurrency is given twice" },
	{ "default accept connection-rate 5/0s", NULL },
	{ "default accept connection-rate 5/", NULL },
	{ "default accept connection-rate /1m", NULL },
	{ "default accept connection-rate 5/1d", "default: accept, connection-rate 5/1d" },
	{ "default accept connection-rate 5/2d", NULL },
	{ "default accept data-time 0", NULL },
	{ "default accept session-time 9s", NULL },
};

static int
parse(struct conf_hosts *h, const char *text, struct fail *f)
{
	char *line = xstrdup(text), *v[64];
	int n = table_split(line, v, 64, f), rc;

	rc = access_parse(h, v, (size_t)n, f);
	free(line);
	return rc;
}

static void
test_lines(void)
{
	size_t i;

	for (i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct fail f = FAIL_INIT;
		struct buf b = BUF_INIT;
		struct conf_hosts h;

		if (parse(&h, lines[i].line, &f) == 0) {
			access_print(&b, &h);
			unit_str(b.p, lines[i].want, "%s", lines[i].line);
		} else if (lines[i].want == NULL)
			unit_ok(f.kind == FAIL_INPUT && f.text[0] != '\0', "%s: refused", lines[i].line);
		else
			unit_str(f.text, lines[i].want, "%s", lines[i].line);
		buf_clear(&b);
		access_clear(&h);
	}
}

/* ---- which one ---- */

static const char *const host_table[] = {
	"default accept", "0.0.0.0/0 reject", "10.0.0.0/8 relay", "10.1.0.0/16 reject", "10.1.2.3 relay",
	"mx.example relay", ".example reject", ".sub.example relay", "2001:db8::/32 relay", "2001:db8::1 reject",
	"deep.sub.example tcprefuse",
};
#define TABLE (sizeof host_table / sizeof host_table[0])

static const struct {
	const char *addr, *name, *want;
} clients[] = {
	{ "192.0.2.1", NULL, "0.0.0.0/0" },
	{ "10.2.3.4", NULL, "10.0.0.0/8" },
	{ "10.1.3.4", NULL, "10.1.0.0/16" },
	{ "10.1.2.3", NULL, "10.1.2.3/32" },
	{ "192.0.2.1", "mx.example", "mx.example" },
	{ "10.1.3.4", "mx.example", "mx.example" },
	{ "10.1.2.3", "mx.example", "10.1.2.3/32" },
	{ "192.0.2.1", "other.example", ".example" },
	{ "192.0.2.1", "a.mx.example", ".example" },
	{ "192.0.2.1", "a.sub.example", ".sub.example" },
	{ "192.0.2.1", "sub.example", ".example" },
	{ "192.0.2.1", "xsub.example", ".example" },
	{ "192.0.2.1", "deep.sub.example", "deep.sub.example" },
	{ "192.0.2.1", "example", "0.0.0.0/0" },
	{ "192.0.2.1", "mx.example.evil.test", "0.0.0.0/0" },
	{ "192.0.2.1", "notexample", "0.0.0.0/0" },
	{ "2001:db8::2", NULL, "2001:db8::/32" },
	{ "2001:db8::1", NULL, "2001:db8::1/128" },
	{ "2001:db9::1", NULL, "default" },
	{ "::ffff:10.1.2.3", NULL, "default" },
	{ "2001:db9::1", "mx.example", "mx.example" },
};

static void
test_find(void)
{
	struct conf_hosts v[TABLE];
	struct fail f = FAIL_INIT;
	const struct conf_hosts *found;
	uint8_t addr[16];
	size_t i, turn;

	/* The sequence of the lines does not matter. */
	for (turn = 0; turn < 2; turn++) {
		for (i = 0; i < TABLE; i++)
			unit_int(parse(&v[turn == 0 ? i : TABLE - 1 - i], host_table[i], &f), 0, "%s", host_table[i]);
		for (i = 0; i < sizeof clients / sizeof clients[0]; i++) {
			int family = text_address(clients[i].addr, addr) == 4 ? AF_INET : AF_INET6;
			struct buf b = BUF_INIT;

			if ((found = access_find(v, TABLE, family, addr, clients[i].name)) != NULL)
				access_print_pattern(&b, found);
			unit_str(b.p, clients[i].want, "%s %s", clients[i].addr,
			    clients[i].name != NULL ? clients[i].name : "");
			buf_clear(&b);
		}
		for (i = 0; i < TABLE; i++)
			access_clear(&v[i]);
	}
}

static void
test_wants_name(void)
{
	struct conf_hosts v[3];
	struct fail f = FAIL_INIT;
	uint8_t addr[16];

	parse(&v[0], "10.0.0.1 relay", &f);
	parse(&v[1], "10.0.0.0/8 relay", &f);
	parse(&v[2], "mx.example relay", &f);
	text_address("10.0.0.1", addr);
	unit_ok(!access_wants_name(v, 3, access_find(v, 3, AF_INET, addr, NULL)), "an address decides by itself");
	text_address("10.0.0.2", addr);
	unit_ok(access_wants_name(v, 3, access_find(v, 3, AF_INET, addr, NULL)), "a network does not");
	unit_ok(access_wants_name(v, 3, NULL), "no line does not");
	unit_ok(!access_wants_name(v, 2, NULL), "no names in the table");
	access_clear(&v[0]);
	access_clear(&v[1]);
	access_clear(&v[2]);
	unit_ok(access_find(v, 0, AF_INET, addr, "x") == NULL, "an empty table");
}

static void
test_same(void)
{
	static const char *const row[][3] = {
		{ "10.0.0.0/8 relay", "10.0.0.0/8 reject", "same" }, { "10.0.0.0/8 relay", "10.0.0.0/9 relay", "" },
		{ "default relay", "default accept", "same" }, { "default relay", "0.0.0.0/0 relay", "" },
		{ "MX.example relay", "mx.example accept", "same" }, { ".example relay", "a.example relay", "" },
		{ "mx.example relay", "default accept", "" }, { "0.0.0.0/0 relay", "::/0 relay", "" },
	};
	size_t i;

	for (i = 0; i < sizeof row / sizeof row[0]; i++) {
		struct conf_hosts a, b;
		struct fail f = FAIL_INIT;

		parse(&a, row[i][0], &f);
		parse(&b, row[i][1], &f);
		unit_int(access_same(&a, &b), row[i][2][0] != '\0', "%s, %s", row[i][0], row[i][1]);
		access_clear(&a);
		access_clear(&b);
	}
}

static void
test_limits(void)
{
	struct limits all = limits_standard, some = { .given = 0 };
	struct smtp_server_limits s, standard = SMTP_SERVER_LIMITS;
	struct fail f = FAIL_INIT;

	limits_server(&all, &s);
	unit_ok(s.size == standard.size && s.swallow == standard.swallow && s.text_line == standard.text_line &&
	    s.header == standard.header && s.received == standard.received && s.recipients == standard.recipients &&
	    s.refused_recipients == standard.refused_recipients && s.errors == standard.errors &&
	    s.junk == standard.junk && s.messages == standard.messages && s.auth_failures == standard.auth_failures,
	    "the standard is that of smtp_server");
	limit_set(&some, LIMIT_ERRORS, "3", &f);
	limit_set(&some, LIMIT_CONNECTION_RATE, "7/2h", &f);
	limits_overlay(&all, &some);
	limits_server(&all, &s);
	unit_int(s.errors, 3, "what is said goes over");
	unit_int(s.junk, 100, "what is not stays");
	unit_int(all.per[LIMIT_CONNECTION_RATE], 7200, "a rate's time");
	unit_int(limit_find("max-frob"), -1, "no such limit");
	unit_str(limit_name((enum limit_key)limit_find("data-min")), "data-min", "a limit's name");
}

static void
test_share(void)
{
	static const struct { unsigned concurrency, want; } rows[] = {
		{ 1, 1 }, { 2, 1 }, { 3, 2 }, { 7, 4 }, { 99, 50 }, { 100, 50 }, { 500, 50 }, { 519, 51 }, { 1000, 100 },
		{ 100000, 10000 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		unit_int(limit_share(rows[i].concurrency), rows[i].want, "a client's share of %u", rows[i].concurrency);
}

int
main(void)
{
	test_lines();
	test_find();
	test_wants_name();
	test_same();
	test_limits();
	test_share();
	return unit_done();
}
