/*
 * Lines route, destination and out-cert of smtp-relay.conf: what is an error, what -n prints of the others, which one holds for a
 * domain, and what a route alone says of its hosts.
 */
#include "conf.h"

#include <stdlib.h>

#include "alloc.h"
#include "unit.h"

static struct conf *
parse(const char *lines, struct fail *f)
{
	struct buf b = BUF_INIT;
	struct conf *c;
	size_t errors;

	buf_printf(&b, "hostname r.test\nlisten a 192.0.2.1@25 type private\nhosts a 10.0.0.0/8 relay\n%s\n", lines);
	c = conf_parse_text("conf", b.p, b.len, table_first_error, f, &errors);
	buf_clear(&b);
	return c;
}

#define FORMS "HOST, HOST@PORT, [ADDRESS], [ADDRESS]@PORT or unix:/PATH"

/* The lines of -n from "destination" or "route" on; an error behind its place. */
static const struct { const char *line, *want; } rows[] = {
	{ "route x.test 192.0.2.9", "route x.test: 192.0.2.9@25\n" },
	{ "route x.test [192.0.2.9]@2525", "route x.test: 192.0.2.9@2525\n" },
	{ "route x.test [2001:db8::1]", "route x.test: 2001:db8::1@25\n" },
	{ "route .x.test Smart.Test", "route .x.test: smart.test@25\n" },
	{ "route default [smart.test] protocol smtps", "route default: smart.test@465, protocol smtps\n" },
	{ "route default a.test,b.test@26 protocol lmtp", "route default: a.test@24, b.test@26, protocol lmtp\n" },
	{ "route default unix:/run/lmtp", "route default: unix:/run/lmtp, protocol lmtp\n" },
	{ "route default unix:/run/smtp protocol smtp", "route default: unix:/run/smtp\n" },
	{ "route default smart.test mx yes", "route default: smart.test@25, mx yes\n" },
	{ "route default s.test credentials isp", "credentials in /c\nroute default: s.test@25, credentials isp\n" },
	{ "route default a..b", "route: expected " FORMS ": a..b: not a host name" },
	{ "route default a.test,", "route: nothing before or behind a comma: expected " FORMS },
	{ "route default a.test@0", "route: expected " FORMS ": a.test@0: port: 0 is not within 1..65535" },
	{ "route default unix:run/lmtp", "route: expected unix: and an absolute path of at most 107 octets, not \"run/lmtp\"" },
	{ "route default unix:/l protocol smtps", "route: protocol smtps on a unix socket: there is no TLS" },
	{ "route default unix:/l credentials isp", "route: credentials on a unix socket: a password is sent inside TLS alone" },
	{ "route default a.test protocol http", "route: protocol: expected smtp, smtps or lmtp, not \"http\"" },
	{ "route default a.test protocol", "route: no value behind \"protocol\"" },
	{ "route default a.test mx yes mx no", "route: mx is given twice" },
	{ "route default a.test colour red", "route: unknown option \"colour\"" },
	{ "route default a.test,b.test mx yes", "route: mx yes: expected the name of one domain, whose MX records name the hosts" },
	{ "route default 192.0.2.1 mx yes", "route: mx yes: expected the name of one domain, whose MX records name the hosts" },
	{ "route default a.test credentials ../x", "route: credentials: " },
	{ "route default a.test\nroute default b.test", "route: a second line for \"default\"" },
	{ "destination x.test cert me bind-address 192.0.2.3,2001:db8::3 concurrency 5 message-rate 10/1h max-messages 7 "
	    "max-recipients 50 connect-time 10s command-time 1m data-time 2m end-time 30m chunking no",
	    "destination x.test: tls preferred, dane opportunistic, cert me, bind-address 192.0.2.3,2001:db8::3, concurrency 5, "
	    "message-rate 10/1h, max-messages 7, max-recipients 50, connect-time 10s, command-time 1m, data-time 2m, "
	    "end-time 30m, chunking no\n" },
	{ "destination x.test cert none bind-address none message-rate none",
	    "destination x.test: tls preferred, dane opportunistic, cert none, bind-address none, message-rate none\n" },
	{ "destination default concurrency 2\ndestination x.test concurrency default max-messages 3",
	    "destination default: tls preferred, dane opportunistic, concurrency 2\n"
	    "destination x.test: tls preferred, dane opportunistic, concurrency 2, max-messages 3\n" },
	{ "out-cert me\ndestination x.test tls required", "certificate me is shown to servers that ask for one\n"
	    "destination x.test: tls required, dane opportunistic, cert me\n" },
	{ "destination x.test concurrency 0", "destination: concurrency: 0 is not within 1..1000" },
	{ "destination x.test max-recipients 101", "destination: max-recipients: 101 is not within 1..100" },
	{ "destination x.test connect-time 2h", "destination: connect-time: expected a time of 1s to 1h, not \"2h\"" },
	{ "destination x.test bind-address mx.test", "destination: bind-address: expected an address, not \"mx.test\"" },
	{ "destination x.test bind-address 192.0.2.1,192.0.2.2", "destination: bind-address: a second address of IPv4" },
	{ "destination x.test cert a cert b", "destination: cert is given twice" },
	{ "destination x.test cert /a", "destination: cert: " },
	{ "out-cert ../a", "out-cert: " },
};

static void
test_lines(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *lines = xasprintf("credentials /c\n%s", rows[i].line);
		struct fail f = FAIL_INIT;
		struct conf *c = parse(lines, &f);
		struct buf b = BUF_INIT;
		const char *got;

		conf_print(c, &b);
		/* What stands behind the lines of the listener. */
		got = strstr(strstr(b.p, "all other hosts"), "\n") + 1;
		if (f.kind == FAIL_NONE)
			unit_str(got, rows[i].want, "row %zu", i);
		else
			unit_ok(strstr(f.text, rows[i].want) != NULL, "row %zu: wanted %s, got %s", i, rows[i].want, f.text);
		conf_free(c);
		buf_clear(&b);
		free(lines);
	}
}

static void
test_which(void)
{
	struct fail f = FAIL_INIT;
	struct conf *c = parse("route default d.test\nroute .x.test x.test\nroute .y.x.test y.test\nroute a.x.test a.test credentials isp\n"
	    "destination default cert std max-messages 9\ndestination .x.test cert x\ndestination a.x.test cert none concurrency 3", &f);
	struct controls controls;
	struct policy policy;
	char *counted;

	unit_str(conf_route_to(c, "x.test")->hops.v[0].host, "d.test", "the apex is not below itself");
	unit_str(conf_route_to(c, "b.x.test")->hops.v[0].host, "x.test", "a domain below");
	unit_str(conf_route_to(c, "b.y.x.test")->hops.v[0].host, "y.test", "the longest suffix");
	unit_str(conf_route_to(c, "a.x.test")->hops.v[0].host, "a.test", "the domain itself");
	conf_controls(c, "q.test", &controls);
	unit_str(controls.cert, "std", "the default line");
	unit_ok(controls.credentials == NULL, "no credentials");
	conf_controls(c, "a.x.test", &controls);
	unit_ok(controls.cert == NULL, "none is none");
	unit_int(controls.n[CONTROLS_CONCURRENCY], 3, "its own");
	unit_int(controls.n[CONTROLS_MAX_MESSAGES], 9, "and the default line's");
	unit_str(controls.credentials, "isp", "its route's credentials");
	conf_policy(c, "a.x.test", &policy);
	unit_int(policy.password, 1, "a password");
	conf_policy(c, "b.x.test", &policy);
	unit_int(policy.password, 0, "no password");
	unit_int(conf_needs_trust(c), 1, "a password needs the lists of CAs");
	counted = conf_counted_as(c, "b.x.test");
	unit_str(counted, "route .x.test", "counted by route");
	free(counted);
	conf_free(c);
}

static void
test_facts(void)
{
	struct fail f = FAIL_INIT;
	struct conf *c = parse("route a.test 192.0.2.1,mx.test@26,unix:/run/l protocol lmtp\nroute b.test m.test mx yes\n"
	    "route c.test [2001:db8::1] protocol smtps", &f);
	const struct hops *a = &conf_route_to(c, "a.test")->hops, *b = &conf_route_to(c, "b.test")->hops;
	struct facts *facts = hops_facts(a);
	char *name = hops_name(a);

	unit_str(name, "[192.0.2.1],[mx.test],unix:/run/l", "whom it is about");
	free(name);
	unit_int(facts->nhost, 3, "all hosts");
	unit_int(facts->mx_sec, DNS_SECURE, "which count as secure");
	unit_int(facts->host[0].addrs, FACTS_ADDRS_FOUND, "an address is known");
	unit_int(facts->host[0].port, 24, "and its port");
	unit_int(facts->host[0].tlsa_state, FACTS_TLSA_NO_NAME, "and has no TLSA records");
	unit_ok(facts->host[1].addrs != FACTS_ADDRS_FOUND, "a name is asked for");
	unit_int(facts->host[1].port, 26, "at its port");
	unit_str(facts->host[2].path, "/run/l", "a socket");
	unit_int(facts->host[2].addr[0].family, AF_UNIX, "is its address");
	unit_int(facts->host[2].protocol, FACTS_LMTP, "LMTP");
	unit_int(hops_known(facts), 0, "not all are known");
	facts_free(facts);
	unit_ok(hops_facts(b) == NULL, "the MX records are not known");
	facts = hops_facts(&conf_route_to(c, "c.test")->hops);
	unit_int(hops_known(facts), 1, "an address is all there is to know");
	conf_mark_own(c, "c.test", 465, facts);
	unit_str(facts->recipient, "c.test", "whose mail it is");
	facts_free(facts);
	conf_free(c);
}

int
main(void)
{
	test_lines();
	test_which();
	test_facts();
	return unit_done();
}
