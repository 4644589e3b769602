/*
 * check - from a destination to its verdicts; check.h tells the flow.
 */
#include "check.h"

#include <sys/resource.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "log.h"
#include "tool.h"

static void
finish(struct check *c)
{
	judge(c->evidence, &c->policy, &c->env->conf.judge, &c->judged);
	c->done = 1;
	c->fn(c, c->arg);
}

/* Hosts in the plan's order, with all addresses to which connections may be made. */
static void
make_probes(struct check *c)
{
	const struct facts *f = c->evidence->facts;
	size_t i, j, n = 0;

	for (i = 0; i < f->nhost; i++)
		n += f->host[i].naddr;
	c->probe = xcalloc(n + 1, sizeof *c->probe);
	for (i = 0; i < c->plan.nhost; i++)
		for (j = 0; j < c->plan.host[i].host->naddr && c->plan.host[i].act == PLAN_TRY; j++) {
			struct probe *p = &c->probe[c->nprobe];

			if (policy_bars(&c->plan.policy, &c->plan.host[i].host->addr[j]) != NULL)
				continue;
			c->nprobe++;
			p->check = c;
			p->host = &c->plan.host[i];
			p->addr = &p->host->host->addr[j];
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
	struct shown *s = probe_evidence(p);

	free(s->text);
	s->text = xasprintf("left out: more than %d addresses", ADDRESSES_MAX);
	p->check->evidence->facts->addrs_left_out++;
	p->done = 1;
	p->check->open--;
}

/*
 * For one policy the connections are those that it asks for.  Where more than one is to be judged they are
 * those of a relay that only wants to know: STARTTLS where it is offered, whatever it is worth.
 */
static void
plan_probes(struct check *c)
{
	struct policy curious = c->policy;

	if (c->env->conf.survey) {
		curious.tls = POLICY_TLS_PREFERRED;
		curious.dane = POLICY_DANE_NONE;
		curious.sts = POLICY_STS_NONE;
		curious.fallback = POLICY_FALLBACK_BEFORE_220;
	}
	policy_plan(&curious, c->evidence->facts, &c->plan);
	make_probes(c);
}

static void
probe_hosts(struct check *c)
{
	size_t i;

	if (c->env->conf.relay != NULL)
		conf_mark_own(c->env->conf.relay, c->destination, c->port, c->evidence->facts);
	plan_probes(c);
	/* One more than there are, so that a probe that ends at once does not end the check. */
	c->open = c->nprobe + 1;
	for (i = ADDRESSES_MAX; i < c->nprobe; i++)
		leave_out(&c->probe[i]);
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
	char **why = global_failure(c->evidence->facts), *old = *why;

	if (c->env->ill != DNS_WELL) {
		c->evidence->ill = c->env->ill;
		c->evidence->ill_text = xstrdup(c->env->ill_text);
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
	c->evidence->facts = facts;
	if (global_failure(facts) == NULL)
		probe_hosts(c);
	else
		diagnose(c);
}

/* The policy, and where to: as the relay's configuration has it for this domain, or as the options say.  NULL: by MX. */
static const struct hops *
settle_destination(struct check *c)
{
	const struct check_conf *conf = &c->env->conf;
	const struct conf_route *route;

	c->policy = conf->policy;
	c->port = conf->port;
	if (conf->relay == NULL)
		return NULL;
	conf_policy(conf->relay, c->destination, &c->policy);
	if ((route = conf_route_to(conf->relay, c->destination)) == NULL)
		return NULL;
	c->port = hops_port(&route->hops);
	if (c->port == 0)
		c->port = conf->port;
	return &route->hops;
}

void
check_complain(void *arg, const struct fail *f)
{
	(void)arg;
	talk(NULL, "warning: %s", f->text);
}

/* What all questions of a run go through. */
static int
open_dns(struct check_env *env, struct fail *f)
{
	struct cas *cas = env->conf.judge.cas;
	struct sts_source_conf conf = { .dir = cas->dir, .cache = env->sts_cache,
		.guard = env->conf.relay != NULL && !env->conf.relay->loopback_mx,
		.timeout_ms = FETCH_PATIENCE * env->conf.timeout_ms, .complain = check_complain };

	if (env->dns != NULL)
		return 0;
	if ((env->dns = dns_new(env->base, &env->conf.dns, f)) == NULL)
		return -1;
	if (cas->file != NULL)
		conf.trust = cas_get(cas);
	env->sts = sts_source_new(env->base, env->dns, &conf);
	return 0;
}

struct check *
check_start(struct check_env *env, const char *destination, void (*fn)(struct check *, void *),
    void *arg, struct fail *f)
{
	struct check *c = xcalloc(1, sizeof *c);
	struct lookup_conf conf = { .port = 0 };
	const struct hops *hops;
	struct facts *facts;

	c->env = env;
	c->destination = xstrdup(destination);
	c->fn = fn;
	c->arg = arg;
	hops = settle_destination(c);
	conf.port = c->port;
	c->evidence = evidence_new(destination, c->port, time(NULL));
	conf.want_tlsa = env->conf.survey || policy_wants_tlsa(&c->policy);
	conf.want_health = 1;
	facts = hops != NULL ? hops_facts(hops) : lookup_literal(destination);
	if (facts != NULL && hops_known(facts))
		on_facts(c, facts);
	else if (open_dns(env, f) == 0) {
		conf.want_tlsrpt = 1;
		conf.sts = policy_wants_sts(&c->policy) || (env->conf.survey && !c->policy.routed) ?
		    env->sts : NULL;
		c->lookup = hops != NULL ? hops_start(env->dns, hops, facts, &conf, on_facts, c) :
		    lookup_start(env->dns, destination, &conf, on_facts, c);
	} else {
		facts_free(facts);
		check_free(c);
		c = NULL;
	}
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
	judged_clear(&c->judged);
	plan_clear(&c->plan);
	evidence_free(c->evidence);
	free(c->destination);
	free(c);
}
