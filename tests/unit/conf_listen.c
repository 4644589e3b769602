/* Lines of smtp-relay.conf about a listener: what is an error, what -n prints of the others, and the domain-map. */
#include "conf_listen.h"

#include <openssl/ssl.h>

#include <stdlib.h>

#include "alloc.h"
#include "unit.h"

#define FP "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* The line behind "listen a "; want: an error, or what -n prints of it behind "listener a on ", a line each "|". */
static const struct { const char *line, *want; } rows[] = {
	{ "192.0.2.1@25 type private", "192.0.2.1@25: private, tls no, 1000 sessions, backlog 511|    all other hosts: reject|" },
	{ "192.0.2.1@587 type private tls required auth offered", "192.0.2.1@587: private, tls required, certificate _demo "
	    "(demonstration only), auth offered, 1000 sessions, backlog 511|    who authenticates: relay|"
	    "    all other hosts: reject, before they could authenticate (auth required lets them)|" },
	{ "192.0.2.1@587 type private tls required auth required", "192.0.2.1@587: private, tls required, certificate _demo "
	    "(demonstration only), auth required, 1000 sessions, backlog 511|    who authenticates: relay|"
	    "    all other hosts: may authenticate|" },
	{ "/run/r.sock", "/run/r.sock: private, tls no, 1000 sessions, backlog 511|    socket of mode 660|"
	    "    who may write to the socket: relay|" },
	{ "/run/r.sock mode 0600 group mail type public domains x.test", "/run/r.sock: public, tls no, 1000 sessions, "
	    "backlog 511|    socket of mode 600, group mail|    takes mail for x.test|" },
	{ "192.0.2.1@25 domains x.test", "192.0.2.1@25: public, tls no, 1000 sessions, backlog 511, client-concurrency 100|"
	    "    takes mail for x.test|" },
	{ "192.0.2.1@25 client-concurrency none concurrency 9 domains x.test", "192.0.2.1@25: public, tls no, 9 sessions, "
	    "backlog 511, client-concurrency none|    takes mail for x.test|" },
	{ "/run/r.sock mode 8", "mode: expected three octal digits, as 660, not \"8\"" },
	{ "/run/r.sock mode 4755", "mode: expected three octal digits, as 660, not \"4755\"" },
	{ "/run/r.sock proxy 10.0.0.0/8", "listen a: no balancer is behind a unix socket" },
	{ "192.0.2.1@25 type private mode 660", "listen a: mode and group are of a unix socket" },
	{ "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678",
	    "listen: the path of a socket has at most 107 octets" },
	{ "run/r.sock", "listen: run/r.sock: expected ADDR@PORT" },
	{ "localhost@25", "listen: expected an IP address before the @, or a path, not \"localhost\"" },
	{ "192.0.2.1@465 type private protocol smtps", "192.0.2.1@465: private, tls required from the first octet, certificate "
	    "_demo (demonstration only), 1000 sessions, backlog 511|    all other hosts: reject|" },
	{ "192.0.2.1@465 type private protocol smtps tls required cert m", "192.0.2.1@465: private, tls required from the first "
	    "octet, certificate m, 1000 sessions, backlog 511|    all other hosts: reject|" },
	{ "192.0.2.1@465 type private protocol smtps tls no", "listen a: with protocol smtps tls is required" },
	{ "192.0.2.1@465 type private protocol smtps tls preferred", "listen a: with protocol smtps tls is required" },
	{ "192.0.2.1@465 type private protocol lmtp", "protocol: expected smtp or smtps, not \"lmtp\"" },
	{ "::1@25 type private tls preferred cert m,n cert o tls-min 1.3 ciphers TLS_AES_256_GCM_SHA384",
	    "::1@25: private, tls preferred, certificate m,n,o, TLS 1.3 and later, 1000 sessions, backlog 511|"
	    "    ciphers TLS_AES_256_GCM_SHA384|    all other hosts: reject|" },
	{ "::1@25 type private tls preferred cert m,m", "cert: \"m\" is named twice" },
	{ "::1@25 type private tls preferred cert m,", "cert: nothing before or behind a comma" },
	{ "::1@25 type private cert m", "listen a: cert without tls preferred or required" },
	{ "::1@25 type private ciphers HIGH", "listen a: ciphers without tls preferred or required" },
	{ "::1@25 type private tls preferred ciphers HIHG", "ciphers: \"HIHG\" stands for no cipher" },
	{ "::1@25 type private tls preferred tls-min 1.4", "tls-min: expected 1.0, 1.1, 1.2 or 1.3, not \"1.4\"" },
	{ "::1@25 type private tls preferred cert m client-cert preferred", "::1@25: private, tls preferred, certificate m, 1000 "
	    "sessions, backlog 511|    client certificate preferred, of a trusted CA|    all other hosts: reject|" },
	{ "::1@25 type private tls required cert m client-cert required client-allow A.test,sha256:" FP, "::1@25: private, tls "
	    "required, certificate m, 1000 sessions, backlog 511|    client certificate required, good are:|"
	    "        a.test, of a trusted CA|        sha256:" FP "|    all other hosts: reject|" },
	{ "::1@25 type private tls preferred client-cert required", "listen a: client-cert required without tls required" },
	{ "::1@25 type private client-cert preferred", "listen a: client-cert without tls preferred or required" },
	{ "::1@25 type private tls preferred client-allow a.test", "listen a: client-allow without client-cert" },
	{ "::1@25 type private tls preferred client-cert preferred client-allow sha256:12",
	    "client-allow: expected 64 hexadecimal digits behind sha256:" },
	{ "::1@25 type private tls preferred client-cert preferred client-allow *.a.test",
	    "client-allow: expected a host name or sha256: and a fingerprint, not \"*.a.test\"" },
	{ "::1@25 type private proxy 10.0.0.0/8,2001:db8::1", "::1@25: private, tls no, 1000 sessions, backlog 511|"
	    "    balancer 10.0.0.0/8|    balancer 2001:db8::1/128|    all other hosts: reject|" },
	{ "::1@25 type private proxy 10.0.0.1/8", "proxy: 10.0.0.1/8 has bits behind its prefix" },
	{ "::1@25 type private default-domain B%C3%BCcher.test greeting no%20spam", "::1@25: private, tls no, 1000 sessions, "
	    "backlog 511|    greeting no spam|    addresses without a domain are of xn--bcher-kva.test|    all other hosts: reject|" },
	{ "::1@25 type private greeting a%0Ab", "greeting: expected 1 to 200 characters of printable ASCII" },
	{ "::1@25 type private default-domain *.x.test", "default-domain: expected a domain, not \"*.x.test\"" },
	{ "::1@25 proxy 10.0.0.0/8 domains proxy", "domains: \"proxy\" is an option of listen: domains must come last" },
	{ "::1@25 type private colour blue", "listen: unknown option \"colour\"" },
};

static void
note(void *arg, const char *file, unsigned line, const char *text)
{
	struct buf *b = arg;

	(void)file;
	(void)line;
	if (b->len == 0)
		buf_puts(b, text);
}

static struct conf *
parse(const char *text, struct buf *errors)
{
	size_t n = 0;

	return conf_parse_text("conf", text, strlen(text), note, errors, &n);
}

/* What is printed of the listener, its lines ended by "|". */
static char *
summary(const struct conf *c)
{
	struct buf b = BUF_INIT;
	char *at, *end, *p;

	conf_print(c, &b);
	at = strstr(b.p, "listener a on ") + strlen("listener a on ");
	for (end = strchr(at, '\n') + 1; strncmp(end, "    ", 4) == 0; end = strchr(end, '\n') + 1)
		;
	p = xstrndup(at, end - at);
	buf_clear(&b);
	for (at = p; (at = strchr(at, '\n')) != NULL; )
		*at = '|';
	return p;
}

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *line = xasprintf("hostname r.test\nlisten a %s\n", rows[i].line), *got;
		struct buf errors = BUF_INIT;
		struct conf *c = parse(line, &errors);

		got = errors.len > 0 ? xstrdup(errors.p) : summary(c);
		unit_str(got, rows[i].want, "%s", rows[i].line);
		free(got);
		free(line);
		buf_clear(&errors);
		conf_free(c);
	}
}

/* Two lines, and the error of the second. */
static void
test_pairs(void)
{
	static const struct { const char *first, *second, *want; } pairs[] = {
		{ "/run/r.sock", "listen b /run/r.sock", "listen b: /run/r.sock is taken by listen a" },
		{ "/run/r.sock", "listen b /run/s.sock", "" },
		{ "/run/r.sock", "listen b 0.0.0.0@25 type private", "" },
		{ "0.0.0.0@25 type private", "listen b 192.0.2.1@25 type private", "listen b: 192.0.2.1@25 is taken by listen a" },
		{ "/run/r.sock", "hosts a 10.0.0.0/8 relay", "hosts: clients of a unix socket have no address: expected default" },
		{ "/run/r.sock", "hosts a default accept", "" },
		{ "/run/r.sock", "domain-map b @x.test @y.test", "domain-map: no listener \"b\" above" },
		{ "/run/r.sock", "domain-map a x.test @y.test", "domain-map: expected user@domain, @domain or @.domain, not \"x.test\"" },
		{ "/run/r.sock", "domain-map a x@x.test aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@y.test",
		    "domain-map: a local part has at most 64 octets" },
		{ "/run/r.sock", "domain-map a u@.x.test @y.test",
		    "domain-map: expected user@domain, @domain or @.domain, not \"u@.x.test\"" },
		{ "/run/r.sock", "domain-map a @x.test @.y.test", "domain-map: expected user@domain, @domain, not \"@.y.test\"" },
		{ "/run/r.sock", "domain-map a @x.test @*.y.test", "domain-map: expected a domain, not \"*.y.test\"" },
	};
	size_t i;

	for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		char *text = xasprintf("listen a %s\n%s\n", pairs[i].first, pairs[i].second);
		struct buf errors = BUF_INIT;
		struct conf *c = parse(text, &errors);

		unit_str(errors.len > 0 ? errors.p : "", pairs[i].want, "%s; %s", pairs[i].first, pairs[i].second);
		free(text);
		buf_clear(&errors);
		conf_free(c);
	}
}

static void
test_map(void)
{
	static const struct { const char *local, *domain, *want; } asked[] = {
		{ "u", "one.test", "@two.test" }, { "U", "ONE.test", "@two.test" }, { "boss", "one.test", "ceo@three.test" },
		{ "Boss", "one.test", "ceo@three.test" }, { "u", "a.one.test", "@four.test" },
		{ "u", "b.a.one.test", "@five.test" }, { "u", "other.test", NULL }, { "u", "xone.test", NULL },
		{ "bos", "one.test", "@two.test" }, { "u", "", NULL },
	};
	struct buf errors = BUF_INIT;
	struct conf *c = parse("listen a /r\ndomain-map a @.one.test @four.test\ndomain-map a @one.test @two.test\n"
	    "domain-map a boss@one.test ceo@three.test\ndomain-map a @.a.one.test @five.test\n", &errors);
	size_t i;

	unit_int(errors.len, 0, "a map");
	for (i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		const struct conf_map *m = conf_map_find(&c->listen[0], asked[i].local, asked[i].domain);

		unit_str(m != NULL ? m->to : NULL, asked[i].want, "%s@%s", asked[i].local, asked[i].domain);
	}
	conf_free(c);
}

static void
test_many(void)
{
	struct buf text = BUF_INIT, errors = BUF_INIT;
	struct conf *c;
	int i;

	for (i = 0; i <= CONF_LISTEN_MAX; i++)
		buf_printf(&text, "listen l%d 127.0.0.1@%d type private\n", i, 1000 + i);
	c = parse(text.p, &errors);
	unit_str(errors.p, "listen: more than 64 listeners", "too many");
	conf_free(c);
	buf_clear(&text);
	buf_clear(&errors);
}

int
main(void)
{
	test_rows();
	test_pairs();
	test_map();
	test_many();
	return unit_done();
}
