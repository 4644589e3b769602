/*
 * Before a password goes where a plan says: the plan of one who follows the configuration is good, and none that differs in what
 * leads the password, or in what is asked of whoever gets it.  Each row is one lie of a process that was taken over.
 */
#include "conf_plan.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "unit.h"

#define LINES "hostname r.test\nlisten a 192.0.2.1@25 type private\nhosts a 10.0.0.0/8 relay\ncredentials /c\n" \
	"route a.test s.test credentials isp\nroute two.test s.test,192.0.2.9@26 protocol smtps credentials isp\n" \
	"route mx.test d.test@587 mx yes credentials isp\nroute none.test s.test\nroute six.test [2001:db8::9] credentials isp\n" \
	"route hosted.test s.test credentials isp\ndestination hosted.test tls required-verify-hosted tls-min 1.3\n" \
	"route must.test s.test credentials isp\ndestination must.test dane mandatory\n" \
	"route ca.test s.test credentials isp\ndestination ca.test dane none\n" \
	"route no.test s.test credentials isp\ndestination no.test tls no\n"

/* What route knows, and would tell; the rows change it. */
struct told {
	struct facts *facts;
	struct plan plan;
	const char *credentials;
	uint16_t port;
	unsigned asks;
};

static char text_of[1024];

static void
add_address(struct facts_host *h, const char *text)
{
	struct facts_addr a = { .family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET };

	unit_int(inet_pton(a.family, text, &a.ip), 1, "an address");
	h->addr = xreallocarray(h->addr, h->naddr + 1, sizeof *h->addr);
	h->addr[h->naddr++] = a;
	h->addrs = FACTS_ADDRS_FOUND;
	h->addrs_sec = DNS_SECURE;
}

static void
add_tlsa(struct facts_host *h)
{
	struct fail f = FAIL_INIT;

	h->tlsa = xcalloc(1, sizeof *h->tlsa);
	h->tlsa[0] = (struct tlsa)TLSA_INIT;
	unit_int(tlsa_parse(&h->tlsa[0], "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", &f), 0, "a record");
	h->ntlsa = 1;
	h->tlsa_state = FACTS_TLSA_FOUND;
	h->tlsa_base = xstrdup(h->name);
}

/* As lookup does for them: names have an address, and no TLSA records unless dane. */
static void
look_up(struct facts *facts, int dane)
{
	size_t i;

	for (i = 0; i < facts->nhost; i++) {
		struct facts_host *h = &facts->host[i];

		if (h->naddr > 0)
			continue;
		add_address(h, "198.51.100.7");
		h->tlsa_state = FACTS_TLSA_ABSENT;
		if (dane)
			add_tlsa(h);
	}
}

static struct facts *
facts_of(const struct hops *r)
{
	struct facts *facts = hops_facts(r);

	if (facts != NULL)
		return facts;
	facts = facts_new(r->v[0].host);
	facts->mx = FACTS_MX_FOUND;
	facts->mx_sec = DNS_SECURE;
	facts_add_host(facts, "mx1.d.test", 10)->protocol = r->protocol;
	facts_add_host(facts, "mx2.d.test", 20)->protocol = r->protocol;
	return facts;
}

static void
tell(const struct conf *c, const char *domain, int dane, struct told *t)
{
	const struct conf_route *route = conf_route_to(c, domain);
	struct controls controls;
	struct policy policy;

	memset(t, 0, sizeof *t);
	t->facts = facts_of(&route->hops);
	look_up(t->facts, dane);
	t->port = hops_port(&route->hops);
	conf_mark_own(c, domain, t->port, t->facts);
	conf_policy(c, domain, &policy);
	policy_plan(&policy, t->facts, &t->plan);
	conf_controls(c, domain, &controls);
	t->credentials = controls.credentials;
}

static const char *
check(const struct conf *c, const char *domain, const struct told *t)
{
	struct fail f = FAIL_INIT;

	if (conf_plan_check(c, domain, t->asks, t->port, t->credentials, &t->plan, &f) == 0)
		return "good";
	unit_int(f.kind, FAIL_POLICY, "%s: a failure of that kind", domain);
	snprintf(text_of, sizeof text_of, "%s", f.text);
	return text_of;
}

static void
forget(struct told *t)
{
	plan_clear(&t->plan);
	facts_free(t->facts);
}

/* ---- those who follow it ---- */

static void
test_good(const struct conf *c)
{
	static const struct { const char *domain; int dane; enum plan_need need; } rows[] = {
		{ "a.test", 0, PLAN_PKIX }, { "a.test", 1, PLAN_DANE }, { "two.test", 0, PLAN_PKIX }, { "two.test", 1, PLAN_DANE },
		{ "mx.test", 0, PLAN_PKIX }, { "mx.test", 1, PLAN_DANE }, { "none.test", 0, PLAN_MAY }, { "six.test", 0, PLAN_PKIX },
		{ "hosted.test", 0, PLAN_PKIX }, { "must.test", 1, PLAN_DANE }, { "ca.test", 0, PLAN_PKIX },
	};
	struct told t;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		tell(c, rows[i].domain, rows[i].dane, &t);
		unit_int(t.plan.host[0].need, rows[i].need, "row %zu: what is asked", i);
		unit_str(check(c, rows[i].domain, &t), "good", "row %zu: %s", i, rows[i].domain);
		forget(&t);
	}
}

/* Without DNSSEC a name that the MX records gave is not bound; that is said, and so it is good. */
static void
test_unsigned(const struct conf *c)
{
	struct told t;
	size_t i;

	tell(c, "mx.test", 0, &t);
	t.facts->mx_sec = DNS_INSECURE;
	unit_ok(strstr(check(c, "mx.test", &t), "mx1.d.test: it asks pkix") != NULL, "bound by records that are not signed: %s", text_of);
	for (i = 0; i < t.plan.nhost; i++)
		t.plan.host[i].bound = 0;
	unit_str(check(c, "mx.test", &t), "good", "not bound");
	forget(&t);
}

/* ---- lies ---- */

static void
lie_other_host(struct told *t)
{
	free(t->facts->host[0].name);
	t->facts->host[0].name = xstrdup("evil.test");
}

static void
lie_whole_route(struct told *t)
{
	lie_other_host(t);
	free(t->facts->domain);
	t->facts->domain = xstrdup("[evil.test]");
}

static void
lie_second_host(struct told *t)
{
	facts_add_host(t->facts, "evil.test", 9);
	add_address(&t->facts->host[t->facts->nhost - 1], "198.51.100.66");
	t->plan.host = xreallocarray(t->plan.host, t->plan.nhost + 1, sizeof *t->plan.host);
	t->plan.host[t->plan.nhost] = t->plan.host[0];
	t->plan.host[t->plan.nhost++].why = xstrdup("");
	for (size_t i = 0; i < t->plan.nhost; i++)
		t->plan.host[i].host = &t->facts->host[i];
}

static void
lie_recipient(struct told *t)
{
	t->facts->recipient = xstrdup("evil.test");
}

static void
lie_mx(struct told *t)
{
	t->facts->mx = FACTS_MX_FOUND;
}

static void
lie_canonical(struct told *t)
{
	t->facts->mx_canonical = xstrdup("evil.test");
}

static void
lie_local(struct told *t)
{
	t->facts->mx = FACTS_MX_LOCAL;
}

static void
lie_implicit(struct told *t)
{
	t->facts->mx = FACTS_MX_IMPLICIT;
}

static void
lie_domain(struct told *t)
{
	free(t->facts->domain);
	t->facts->domain = xstrdup("evil.test");
}

static void
lie_port(struct told *t)
{
	t->facts->host[0].port = 2525;
}

static void
lie_all_ports(struct told *t)
{
	t->port = 2525;
}

static void
lie_protocol(struct told *t)
{
	t->facts->host[0].protocol = FACTS_LMTP;
}

static void
lie_path(struct told *t)
{
	t->facts->host[0].path = xstrdup("/tmp/s");
}

static void
lie_address(struct told *t)
{
	add_address(&t->facts->host[t->facts->nhost - 1], "198.51.100.66");
}

static void
lie_encrypt(struct told *t)
{
	t->plan.host[0].need = PLAN_ENCRYPT;
}

static void
lie_sts(struct told *t)
{
	t->plan.host[0].need = PLAN_STS;
}

static void
lie_unchecked(struct told *t)
{
	t->plan.host[0].check = 0;
}

static void
lie_names(struct told *t)
{
	t->plan.host[0].names = VERIFY_NAMES_CN_OR_SAN;
}

static void
lie_tls_min(struct told *t)
{
	t->plan.host[0].tls_min = POLICY_TLS_MIN_1_0;
}

static void
lie_credentials(struct told *t)
{
	t->credentials = "other";
}

static void
lie_no_credentials(struct told *t)
{
	t->credentials = NULL;
}

static void
lie_isp(struct told *t)
{
	t->credentials = "isp";
}

static void
lie_dane(struct told *t)
{
	add_tlsa(&t->facts->host[0]);
	t->plan.host[0].need = PLAN_DANE;
}

static void
lie_dane_of_nobody(struct told *t)
{
	lie_dane(t);
	free(t->facts->host[0].tlsa_base);
	t->facts->host[0].tlsa_base = NULL;
}

static void
lie_pkix(struct told *t)
{
	t->plan.host[0].need = PLAN_PKIX;
	t->plan.host[0].check = 1;
}

static void
lie_tried(struct told *t)
{
	lie_pkix(t);
	t->plan.host[0].act = PLAN_TRY;
}

static void
lie_asks(struct told *t)
{
	t->asks = POLICY_MESSAGE_REQUIRETLS;
}

static const struct {
	const char *domain;
	void (*lie)(struct told *);
	const char *want;
} lies[] = {
	{ "a.test", lie_other_host, "evil.test, port 25, is no host of the route" },
	{ "a.test", lie_whole_route, "it is about [evil.test], which is not the route" },
	{ "a.test", lie_second_host, "evil.test, port 25, is no host of the route" },
	{ "a.test", lie_recipient, "the recipient's domain is no name of the route's host" },
	{ "a.test", lie_mx, "it has names from MX records" },
	{ "a.test", lie_canonical, "it has names from MX records" },
	{ "a.test", lie_domain, "it is about evil.test" },
	{ "a.test", lie_port, "s.test, port 2525, is no host" },
	{ "two.test", lie_port, "s.test, port 2525, is no host" },
	{ "a.test", lie_protocol, "s.test speaks lmtp there, and smtp in the route" },
	{ "a.test", lie_path, "s.test is a socket" },
	{ "two.test", lie_address, "192.0.2.9, port 26, is no host of the route, or not at that address" },
	{ "six.test", lie_address, "2001:db8::9, port 25, is no host of the route, or not at that address" },
	{ "a.test", lie_encrypt, "s.test: it asks encrypt of the connection" },
	{ "a.test", lie_sts, "s.test: it asks sts of the connection" },
	{ "a.test", lie_unchecked, "s.test: it asks pkix of the connection" },
	{ "hosted.test", lie_names, "s.test: it asks pkix of the connection" },
	{ "hosted.test", lie_tls_min, "s.test: it asks pkix of the connection" },
	{ "a.test", lie_asks, "s.test: it asks pkix of the connection" },
	{ "a.test", lie_credentials, "its credentials are other, and the route's isp" },
	{ "a.test", lie_no_credentials, "its credentials are none, and the route's isp" },
	{ "none.test", lie_isp, "its credentials are isp, and the route's none" },
	{ "nowhere.test", lie_isp, "its credentials are isp, and the route's none" },
	{ "ca.test", lie_dane, "s.test: it asks dane of the connection" },
	{ "a.test", lie_dane_of_nobody, "s.test has TLSA records of nobody" },
	{ "must.test", lie_tried, "s.test: it asks pkix of the connection" },
	{ "no.test", lie_tried, "s.test: it asks pkix of the connection" },
	{ "mx.test", lie_local, "it has no names from MX records" },
	{ "mx.test", lie_implicit, "mx1.d.test is neither the domain nor one of its MX hosts" },
	{ "mx.test", lie_domain, "it is about evil.test" },
	{ "mx.test", lie_port, "port 2525 of mx1.d.test is not the route's" },
	{ "mx.test", lie_all_ports, "port 2525 of mx1.d.test is not the route's" },
	{ "mx.test", lie_recipient, "the recipient's domain is no name" },
};

static void
test_lies(const struct conf *c)
{
	struct told t;
	size_t i;

	for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		/* For a domain without a route it shows the plan of one that has a password. */
		tell(c, conf_route_to(c, lies[i].domain) != NULL ? lies[i].domain : "a.test", 0, &t);
		lies[i].lie(&t);
		unit_ok(strncmp(check(c, lies[i].domain, &t), lies[i].want, strlen(lies[i].want)) == 0, "lie %zu, %s: wanted %s, got %s",
		    i, lies[i].domain, lies[i].want, text_of);
		forget(&t);
		text_of[0] = '\0';
	}
}

/* What is not tried needs not be good: no password goes there. */
static void
test_not_tried(const struct conf *c)
{
	struct told t;

	tell(c, "a.test", 0, &t);
	lie_second_host(&t);
	t.plan.host[1].act = PLAN_SKIP;
	unit_str(check(c, "a.test", &t), "good", "a host that is passed over");
	forget(&t);
}

int
main(void)
{
	struct fail f = FAIL_INIT;
	size_t errors;
	struct conf *c = conf_parse_text("conf", LINES, strlen(LINES), table_first_error, &f, &errors);

	unit_int(errors, 0, "the configuration %s", f.text);
	test_good(c);
	test_unsigned(c);
	test_lies(c);
	test_not_tried(c);
	conf_free(c);
	return unit_done();
}
