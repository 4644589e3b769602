#include "explain.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dns.h"
#include "lookup.h"
#include "name.h"
#include "policy.h"
#include "text.h"

struct question {
	const struct conf *conf;
	const char *domain;
	struct event_base *base;
	struct policy policy;
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
		if (policy_bars(&p->policy, &h->host->addr[i]) == NULL)
			printf(" %s@%u", facts_addr_text(&h->host->addr[i], addr), port);
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

static void
print_plan(struct question *q, const struct plan *p)
{
	struct buf b = BUF_INIT;
	size_t i;

	plan_explain(&b, p);
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

static int
look_up(struct question *q, const struct conf *c, const char *destination, struct fail *f)
{
	struct dns_conf conf = { .anchor = c->anchor, .resolver = c->resolver };
	struct lookup_conf lookup = { .port = q->port, .want_tlsa = policy_wants_tlsa(&q->policy) };
	struct dns *dns;

	if ((q->base = event_base_new()) == NULL)
		alloc_failed();
	if ((dns = dns_new(q->base, &conf, f)) == NULL) {
		event_base_free(q->base);
		return -1;
	}
	lookup_start(dns, destination, &lookup, on_facts, q);
	event_base_dispatch(q->base);
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
	const struct conf_route *hop;
	struct fail f = FAIL_INIT;
	char *domain = domain_of(address, &f), *destination;
	struct facts *literal;

	if (domain == NULL)
		return tool_failed(&f);
	q.conf = c;
	q.domain = domain;
	conf_policy(c, domain, &q.policy);
	if ((hop = conf_route_to(c, domain)) != NULL)
		q.port = hop->next.port;
	destination = hop != NULL ? xasprintf("[%s]", hop->next.host) : xstrdup(domain);
	printf("%s: by %s%s\n", address, hop != NULL ? "route to " : "MX of ", destination);
	if ((literal = lookup_literal(destination)) != NULL)
		take_facts(&q, literal);
	else if (look_up(&q, c, destination, &f) == -1)
		q.status = tool_failed(&f);
	free(destination);
	free(domain);
	return q.status;
}
