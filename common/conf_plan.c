#include "conf_plan.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

static int
may_be_tried(const struct plan_host *h)
{
	return h->act == PLAN_TRY && h->host->naddr > 0;
}

/* ---- who they are ---- */

/* The names that a certificate may bear besides its host's (proof.h) are the route's, or none. */
static int
check_names(const struct hops *r, const struct facts *facts, struct fail *f)
{
	char *name = hops_name(r);
	int is_route = text_case_eq(facts->domain, name);

	free(name);
	if (facts->recipient != NULL)
		return fail(f, FAIL_POLICY, "the recipient's domain is no name of the route's host");
	if (!is_route)
		return fail(f, FAIL_POLICY, "it is about %.200s, which is not the route", facts->domain);
	if (!r->mx && (facts->mx != FACTS_MX_LOCAL || facts->mx_canonical != NULL))
		return fail(f, FAIL_POLICY, "it has names from MX records, for which the route does not ask");
	if (r->mx && facts->mx != FACTS_MX_FOUND && facts->mx != FACTS_MX_IMPLICIT)
		return fail(f, FAIL_POLICY, "it has no names from MX records, for which the route asks");
	return 0;
}

/* Where the line has an address, that is all there is to know. */
static int
addresses_fit(const struct hop *h, const struct facts_host *fh)
{
	uint8_t ip[16];
	int n = text_address(h->host, ip);
	size_t i, octets = n == 4 ? 4 : 16;

	for (i = 0; i < fh->naddr && n != 0; i++)
		if (fh->addr[i].family != (n == 4 ? AF_INET : AF_INET6) || memcmp(&fh->addr[i].ip, ip, octets) != 0)
			return 0;
	return 1;
}

static int
is_hop(const struct hops *r, const struct facts_host *fh, uint16_t port)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->v[i].host != NULL && text_case_eq(r->v[i].host, fh->name) && r->v[i].port == port &&
		    addresses_fit(&r->v[i], fh))
			return 1;
	return 0;
}

static int
check_host(const struct hops *r, const struct facts *facts, const struct facts_host *fh, uint16_t port, struct fail *f)
{
	port = facts_port(fh, port);
	if (fh->path != NULL)
		return fail(f, FAIL_POLICY, "%.200s is a socket", fh->name);
	if (fh->protocol != r->protocol)
		return fail(f, FAIL_POLICY, "%.200s speaks %s there, and %s in the route", fh->name,
		    facts_protocol_name(fh->protocol), facts_protocol_name(r->protocol));
	if (!r->mx && !is_hop(r, fh, port))
		return fail(f, FAIL_POLICY, "%.200s, port %u, is no host of the route, or not at that address", fh->name, port);
	if (r->mx && port != hops_port(r))
		return fail(f, FAIL_POLICY, "port %u of %.200s is not the route's", port, fh->name);
	if (facts->mx == FACTS_MX_IMPLICIT && !text_case_eq(fh->name, facts->domain))
		return fail(f, FAIL_POLICY, "%.200s is neither the domain nor one of its MX hosts", fh->name);
	return 0;
}

/* ---- what is asked of them ---- */

static int
asks_the_same(const struct plan_host *h, const struct plan_host *want)
{
	return want->act == PLAN_TRY && want->need >= PLAN_PKIX && h->need == want->need && h->check == want->check &&
	    h->names == want->names && h->fqdn_check == want->fqdn_check && h->tls_min == want->tls_min &&
	    h->requiretls == want->requiretls && h->bound == want->bound;
}

static int
compare_needs(const struct plan *p, const struct plan *want, struct fail *f)
{
	size_t i;

	for (i = 0; i < p->nhost; i++)
		if (may_be_tried(&p->host[i]) && (i >= want->nhost || !asks_the_same(&p->host[i], &want->host[i])))
			return fail(f, FAIL_POLICY, "%.200s: it asks %s of the connection, which is not what the "
			    "settings make of its facts", p->host[i].host->name, plan_need_name(p->host[i].need));
	return 0;
}

/* A plan tells no more of the addresses than that there are some. */
static int
check_needs(const struct policy *policy, const struct plan *p, struct fail *f)
{
	struct facts facts = *p->facts;
	struct facts_host *host = xcalloc(facts.nhost + 1, sizeof *host);
	struct plan want;
	size_t i;
	int rc = 0;

	for (i = 0; i < facts.nhost; i++) {
		host[i] = facts.host[i];
		host[i].addrs = FACTS_ADDRS_FOUND;
		if (host[i].tlsa_state == FACTS_TLSA_FOUND && host[i].tlsa_base == NULL)
			rc = fail(f, FAIL_POLICY, "%.200s has TLSA records of nobody", host[i].name);
	}
	facts.host = host;
	if (rc == 0) {
		policy_plan(policy, &facts, &want);
		rc = compare_needs(p, &want, f);
		plan_clear(&want);
	}
	free(host);
	return rc;
}

int
conf_plan_check(const struct conf *c, const char *domain, unsigned asks, uint16_t port, const char *credentials,
    const struct plan *p, struct fail *f)
{
	const struct conf_route *route = conf_route_to(c, domain);
	const char *own = route != NULL ? route->hops.credentials : NULL;
	struct policy policy;
	size_t i;

	if (own == NULL && credentials == NULL)
		return 0;
	if (own == NULL || credentials == NULL || strcmp(own, credentials) != 0)
		return fail(f, FAIL_POLICY, "its credentials are %.64s, and the route's %.64s",
		    credentials != NULL ? credentials : "none", own != NULL ? own : "none");
	if (check_names(&route->hops, p->facts, f) == -1)
		return -1;
	for (i = 0; i < p->nhost; i++)
		if (may_be_tried(&p->host[i]) && check_host(&route->hops, p->facts, p->host[i].host, port, f) == -1)
			return -1;
	conf_policy(c, domain, &policy);
	policy.message = asks;
	return check_needs(&policy, p, f);
}
