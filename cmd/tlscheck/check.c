/*
 * check - from a destination to its verdicts; check.h tells the flow.
 */
#include "check.h"

#include <sys/resource.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "tool.h"

static void
finish(struct check *c)
{
	struct verdict *v = xcalloc(c->nprobe, sizeof *v);
	size_t i;

	/* Shallow copies: policy_domain() borrows them. */
	for (i = 0; i < c->nprobe; i++)
		v[i] = c->probe[i].verdict;
	policy_domain(&c->plan, v, c->nprobe, &c->verdict);
	free(v);
	c->done = 1;
	c->fn(c, c->arg);
}

static size_t
count_probes(const struct plan *plan)
{
	size_t i, n = 0;

	for (i = 0; i < plan->nhost; i++)
		n += plan->host[i].act == PLAN_TRY ? plan->host[i].host->naddr : 1;
	return n;
}

static void
add_probe(struct check *c, const struct plan_host *h, const struct facts_addr *addr)
{
	struct probe *p = &c->probe[c->nprobe++];

	p->check = c;
	p->host = h;
	p->addr = addr;
}

static int
compare_addresses(const void *a, const void *b)
{
	const struct facts_addr *x = ((const struct probe *)a)->addr,
				*y = ((const struct probe *)b)->addr;

	if (x->family != y->family)
		return x->family == AF_INET ? -1 : 1;
	if (x->family == AF_INET)
		return memcmp(&x->ip.v4, &y->ip.v4, sizeof x->ip.v4);
	return memcmp(&x->ip.v6, &y->ip.v6, sizeof x->ip.v6);
}

/* Servers rotate their answers; a report that is compared with yesterday's should not. */
static void
add_addresses(struct check *c, const struct plan_host *h)
{
	size_t i, first = c->nprobe;

	for (i = 0; i < h->host->naddr; i++)
		if (policy_bars(&c->plan.policy, &h->host->addr[i]) == NULL)
			add_probe(c, h, &h->host->addr[i]);
	qsort(&c->probe[first], c->nprobe - first, sizeof *c->probe, compare_addresses);
}

static void
make_probes(struct check *c)
{
	size_t i;

	c->probe = xcalloc(count_probes(&c->plan), sizeof *c->probe);
	for (i = 0; i < c->plan.nhost; i++) {
		const struct plan_host *h = &c->plan.host[i];

		if (h->act == PLAN_TRY)
			add_addresses(c, h);
		else
			add_probe(c, h, NULL);
	}
}

/* ---- places for connections ---- */

void
check_env_init(struct check_env *env)
{
	struct rlimit r;

	env->queue_end = &env->queue;
	env->probes_max = PROBES_MAX;
	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return;
	r.rlim_cur = r.rlim_max < 4096 ? r.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < DESCRIPTORS_SPARE + PROBES_MAX)
		env->probes_max =
		    r.rlim_cur > DESCRIPTORS_SPARE + 16 ? r.rlim_cur - DESCRIPTORS_SPARE : 16;
}

static void
enqueue(struct check *c)
{
	if (c->queued)
		return;
	c->queued = 1;
	c->next_queued = NULL;
	*c->env->queue_end = c;
	c->env->queue_end = &c->next_queued;
}

static struct check *
dequeue(struct check_env *env)
{
	struct check *c = env->queue;

	if ((env->queue = c->next_queued) == NULL)
		env->queue_end = &env->queue;
	c->queued = 0;
	return c;
}

static void
unqueue(struct check *c)
{
	struct check_env *env = c->env;
	struct check **at = &env->queue;

	while (c->queued && *at != NULL)
		if (*at != c)
			at = &(*at)->next_queued;
		else {
			*at = c->next_queued;
			c->queued = 0;
		}
	for (env->queue_end = &env->queue; *env->queue_end != NULL;)
		env->queue_end = &(*env->queue_end)->next_queued;
}

/* The next probe that has an address; those without are judged already. */
static struct probe *
next_probe(struct check *c)
{
	while (c->next < c->nprobe && c->probe[c->next].done)
		c->next++;
	return c->next < c->nprobe ? &c->probe[c->next++] : NULL;
}

/* One connection for each check in turn, while there are places. */
static void
start_probes(struct check_env *env)
{
	while (env->queue != NULL && env->probing < env->probes_max) {
		struct check *c = dequeue(env);
		struct probe *p;

		if (c->running >= PROBES_OF_CHECK_MAX || (p = next_probe(c)) == NULL)
			continue;
		c->running++;
		env->probing++;
		enqueue(c);
		probe_start(p);
	}
}

void
check_probe_done(struct probe *p)
{
	struct check *c = p->check;
	struct check_env *env = c->env;

	c->running--;
	env->probing--;
	enqueue(c);
	if (--c->open == 0)
		finish(c);
	start_probes(env);
}

/* Beyond the limit nothing is known, and nobody may rest on it. */
static void
leave_out(struct probe *p)
{
	p->verdict.word = VERDICT_INCONCLUSIVE;
	p->verdict.rule = "local";
	p->verdict.why = xasprintf("left out: more than %d addresses", ADDRESSES_MAX);
	p->check->facts->addrs_left_out++;
}

/* Without lists no chain is trusted: the verdicts say so, and the run could not do all that it should. */
static void
load_trust(struct check_env *env)
{
	struct fail f = FAIL_INIT;

	if (env->trust_tried)
		return;
	env->trust_tried = 1;
	if ((env->trust = trust_open(env->conf.dir, &f)) != NULL)
		return;
	env->trust_failed = 1;
	tool_failed(&f);
}

static void
probe_hosts(struct check *c)
{
	size_t i, connections = 0;

	if (c->env->conf.relay != NULL)
		conf_mark_own(c->env->conf.relay, c->destination, c->port, c->facts);
	policy_plan(&c->policy, c->facts, &c->plan);
	if (plan_wants_trust(&c->plan))
		load_trust(c->env);
	make_probes(c);
	/* One more than there are, so that a probe that ends at once does not end the check. */
	c->open = c->nprobe + 1;
	for (i = 0; i < c->nprobe; i++) {
		struct probe *p = &c->probe[i];

		if (p->addr != NULL && connections++ < ADDRESSES_MAX)
			continue;
		if (p->addr != NULL)
			leave_out(p);
		else
			policy_judge(p->host, NULL, &p->verdict);
		p->done = 1;
		c->open--;
	}
	enqueue(c);
	start_probes(c->env);
	if (--c->open == 0)
		finish(c);
}

/* ---- facts ---- */

/* What nothing further down can mend: the MX, or the addresses of [host], could not be asked. */
static char **
global_failure(struct facts *f)
{
	if (f->mx == FACTS_MX_FAILED)
		return &f->mx_why;
	if (f->mx == FACTS_MX_LOCAL && f->nhost == 1 && f->host[0].addrs == FACTS_ADDRS_FAILED)
		return &f->host[0].addrs_why;
	return NULL;
}

static void
explain_failure(struct check *c)
{
	char **why = global_failure(c->facts), *old = *why;

	c->unresolved = 1;
	if (c->env->ill != DNS_WELL) {
		*why = xasprintf("%s; %s", c->env->ill_text, old != NULL ? old : "no reason given");
		free(old);
	}
	probe_hosts(c);
}

static void
on_diagnosis(void *arg, enum dns_ill ill, const char *text)
{
	struct check_env *env = arg;
	struct check *c;

	env->diagnosed = 1;
	env->ill = ill;
	env->ill_text = xstrdup(text);
	/* Of every destination alike, so said once, and aloud. */
	if (ill == DNS_STRIPS || ill == DNS_ANCHOR || ill == DNS_CLOCK)
		talk(NULL, "warning: %s", text);
	while ((c = env->waiting) != NULL) {
		env->waiting = c->next_waiting;
		explain_failure(c);
	}
}

/* One diagnosis serves all checks of a run. */
static void
diagnose(struct check *c)
{
	struct check_env *env = c->env;
	int first = env->waiting == NULL;

	if (env->diagnosed) {
		explain_failure(c);
		return;
	}
	c->next_waiting = env->waiting;
	env->waiting = c;
	if (first)
		dns_diagnose(env->dns, on_diagnosis, env);
}

static void
on_facts(void *arg, struct facts *facts)
{
	struct check *c = arg;

	c->lookup = NULL;
	c->facts = facts;
	if (global_failure(facts) == NULL)
		probe_hosts(c);
	else
		diagnose(c);
}

/* The policy, and where to: as the relay's configuration has it for this domain, or as the options say. */
static char *
settle_destination(struct check *c)
{
	const struct check_conf *conf = &c->env->conf;
	const struct conf_route *hop;

	c->policy = conf->policy;
	c->port = conf->port;
	if (conf->relay == NULL)
		return xstrdup(c->destination);
	conf_policy(conf->relay, c->destination, &c->policy);
	if ((hop = conf_route_to(conf->relay, c->destination)) == NULL)
		return xstrdup(c->destination);
	c->port = hop->next.port;
	return xasprintf("[%s]", hop->next.host);
}

struct check *
check_start(struct check_env *env, const char *destination, void (*fn)(struct check *, void *),
    void *arg, struct fail *f)
{
	struct check *c = xcalloc(1, sizeof *c);
	struct lookup_conf conf = { .port = 0 };
	struct facts *literal;
	char *to;

	c->env = env;
	c->destination = xstrdup(destination);
	c->fn = fn;
	c->arg = arg;
	to = settle_destination(c);
	conf.port = c->port;
	conf.want_tlsa = policy_wants_tlsa(&c->policy);
	conf.want_health = 1;
	if ((literal = lookup_literal(to)) != NULL)
		on_facts(c, literal);
	else if (env->dns != NULL || (env->dns = dns_new(env->base, &env->conf.dns, f)) != NULL)
		c->lookup = lookup_start(env->dns, to, &conf, on_facts, c);
	else {
		check_free(c);
		c = NULL;
	}
	free(to);
	return c;
}

void
check_free(struct check *c)
{
	size_t i;

	if (c == NULL)
		return;
	unqueue(c);
	lookup_cancel(c->lookup);
	for (i = 0; i < c->nprobe; i++)
		probe_clear(&c->probe[i]);
	free(c->probe);
	plan_clear(&c->plan);
	facts_free(c->facts);
	verdict_clear(&c->verdict);
	free(c->destination);
	free(c);
}
