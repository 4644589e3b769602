#include "explain.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "dns.h"
#include "file.h"
#include "lookup.h"
#include "name.h"
#include "policy.h"
#include "spool.h"
#include "sts_cache.h"
#include "sts_lookup.h"
#include "text.h"

struct question {
	const struct conf *conf;
	const char *domain;
	struct event_base *base;
	struct policy policy;
	const struct hops *hops;	/* NULL: by MX */
	uint16_t port;
	enum tool_exit status;
};

static void
print_host(const struct plan *p, const struct plan_host *h, uint16_t port)
{
	char addr[INET6_ADDRSTRLEN];
	char *name = text_escape(h->host->name, strlen(h->host->name));
	size_t i;

	printf("    %u %s: %s", h->host->preference, name,
	    h->act == PLAN_TRY ? plan_need_name(h->need) : h->act == PLAN_SKIP ? "skip" : "unsure");
	for (i = 0; i < h->host->naddr && h->act == PLAN_TRY; i++)
		if (h->host->path == NULL && policy_bars(&p->policy, &h->host->addr[i]) == NULL)
			printf(" %s@%u", facts_addr_text(&h->host->addr[i], addr), facts_port(h->host, port));
	if (h->host->protocol != FACTS_SMTP)
		printf(", %s", facts_protocol_name(h->host->protocol));
	printf(": %s [%s]\n", h->why, h->rule);
	free(name);
}

/* As tlscheck has it: a host that may be tried, else one that cannot be asked now, else none. */
static enum tool_exit
status_of(const struct plan *p)
{
	enum tool_exit status = TOOL_NO;
	size_t i;

	if (p->kind != PLAN_HOSTS)
		return p->kind == PLAN_DEFER ? TOOL_UNSURE : TOOL_NO;
	for (i = 0; i < p->nhost && status != TOOL_YES; i++)
		if (p->host[i].act == PLAN_TRY)
			status = TOOL_YES;
		else if (p->host[i].act == PLAN_UNSURE)
			status = TOOL_UNSURE;
	return status;
}

static void
print_end(const struct plan *p, enum tool_exit status)
{
	if (p->kind == PLAN_DEFER)
		printf("deferred: %s %s [%s]\n", p->status, p->why, p->rule);
	else if (p->kind != PLAN_HOSTS)
		printf("bounced: %s %s [%s]\n", p->status, p->why, p->rule);
	else if (status == TOOL_UNSURE)
		printf("deferred: no host can be asked now\n");
	else if (status == TOOL_NO)
		printf("deferred: no host may be used\n");
}

/* What holds for all connections there, and is said by the configuration. */
static void
explain_controls(struct buf *b, const struct question *q)
{
	struct controls c;
	struct buf words = BUF_INIT;

	conf_controls(q->conf, q->domain, &c);
	controls_print(&words, &c);
	if (words.len > 0)
		buf_printf(b, "    controls: %s\n", words.p + 2);
	if (c.credentials != NULL)
		buf_printf(b, "    AUTH with credentials %s, in TLS with an authenticated host\n", c.credentials);
	buf_clear(&words);
}

static void
print_plan(struct question *q, const struct plan *p)
{
	struct buf b = BUF_INIT;
	size_t i;

	plan_explain(&b, p);
	explain_controls(&b, q);
	fwrite(b.p, 1, b.len, stdout);
	buf_clear(&b);
	if (p->kind == PLAN_HOSTS)
		printf("tried in this order:\n");
	for (i = 0; i < p->nhost && p->kind == PLAN_HOSTS; i++)
		print_host(p, &p->host[i], q->port);
	q->status = status_of(p);
	print_end(p, q->status);
}

static void
take_facts(struct question *q, struct facts *facts)
{
	struct plan plan;

	conf_mark_own(q->conf, q->domain, q->port, facts);
	policy_plan(&q->policy, facts, &plan);
	print_plan(q, &plan);
	plan_clear(&plan);
	facts_free(facts);
}

static void
on_facts(void *arg, struct facts *facts)
{
	struct question *q = arg;

	take_facts(q, facts);
	event_base_loopbreak(q->base);
}

/* facts: what is known already of the route's hosts; NULL: nothing. */
static int
look_up(struct question *q, const struct conf *c, struct facts *facts, struct fail *f)
{
	struct dns_conf conf = { .anchor = c->anchor, .resolver = c->resolver };
	struct lookup_conf lookup = { .port = q->port, .want_tlsa = policy_wants_tlsa(&q->policy) };
	struct sts_source_conf sts_conf = { .dir = c->dir, .guard = !c->loopback_mx };
	struct sts_source *sts;
	struct dns *dns;
	char *kept;

	if ((q->base = event_base_new()) == NULL)
		alloc_failed();
	if ((dns = dns_new(q->base, &conf, f)) == NULL) {
		event_base_free(q->base);
		return -1;
	}
	/* What the relay keeps it would use; a policy that comes in here is for the relay to keep. */
	kept = file_join(c->spool, SPOOL_STS);
	sts_conf.cache = access(kept, R_OK | X_OK) == 0 ? sts_cache_read(kept) : NULL;
	sts = sts_source_new(q->base, dns, &sts_conf);
	lookup.sts = policy_wants_sts(&q->policy) ? sts : NULL;
	if (q->hops != NULL)
		hops_start(dns, q->hops, facts, &lookup, on_facts, q);
	else
		lookup_start(dns, q->domain, &lookup, on_facts, q);
	event_base_dispatch(q->base);
	sts_source_free(sts);
	sts_cache_free(sts_conf.cache);
	free(kept);
	dns_free(dns);
	event_base_free(q->base);
	return 0;
}

/* The domain in A-labels, or a literal in its brackets. */
static char *
domain_of(const char *address, struct fail *f)
{
	const char *at = strrchr(address, '@');
	char *domain;

	if (at == NULL || at == address || at[1] == '\0') {
		fail(f, FAIL_INPUT, "%.200s: expected user@domain", address);
		return NULL;
	}
	if (at[1] == '[')
		return xstrdup(at + 1);
	if ((domain = name_to_ascii(at + 1, f)) != NULL && name_is_host(domain, NAME_UNDERSCORE))
		return domain;
	free(domain);
	fail(f, FAIL_INPUT, "%.200s: expected a domain behind the @", address);
	return NULL;
}

enum tool_exit
explain(const struct conf *c, const char *address)
{
	struct question q = { .status = TOOL_YES, .port = c->mx_port };
	const struct conf_route *route;
	struct fail f = FAIL_INIT;
	char *domain = domain_of(address, &f), *to;
	struct facts *facts;

	if (domain == NULL)
		return tool_failed(&f);
	q.conf = c;
	q.domain = domain;
	conf_policy(c, domain, &q.policy);
	if ((route = conf_route_to(c, domain)) != NULL) {
		q.hops = &route->hops;
		q.port = hops_port(q.hops);
	}
	to = q.hops != NULL ? hops_name(q.hops) : xstrdup(domain);
	printf("%s: by %s%s%s\n", address, q.hops != NULL ? "route to " : "MX of ",
	    q.hops != NULL && q.hops->mx ? "the MX of " : "", to);
	facts = q.hops != NULL ? hops_facts(q.hops) : lookup_literal(domain);
	if (facts != NULL && hops_known(facts))
		take_facts(&q, facts);
	else if (look_up(&q, c, facts, &f) == -1)
		q.status = tool_failed(&f);
	free(to);
	free(domain);
	return q.status;
}
