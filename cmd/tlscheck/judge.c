#include "judge.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

int
judged_goes(enum verdict_word word)
{
	return word == VERDICT_AUTH || word == VERDICT_ENC || word == VERDICT_CLEAR;
}

/* ---- which hosts and addresses ---- */

static int
compare_addresses(const void *a, const void *b)
{
	const struct facts_addr *x = ((const struct judged_host *)a)->addr,
				*y = ((const struct judged_host *)b)->addr;

	if (x->family != y->family)
		return x->family == AF_INET ? -1 : 1;
	if (x->family == AF_INET)
		return memcmp(&x->ip.v4, &y->ip.v4, sizeof x->ip.v4);
	return memcmp(&x->ip.v6, &y->ip.v6, sizeof x->ip.v6);
}

static size_t
host_index(const struct judged *j, const struct plan_host *h)
{
	return h->host - j->evidence->facts->host;
}

static void
add(struct judged *j, const struct plan_host *h, size_t addr)
{
	struct judged_host *jh = &j->v[j->n++];

	jh->host = h;
	jh->addr = addr == WITHOUT_ADDR ? NULL : &h->host->addr[addr];
	jh->shown = evidence_find(j->evidence, host_index(j, h), addr);
	jh->finding.matched = jh->finding.depth = -1;
}

/* Servers rotate their answers; a report that is compared with yesterday's should not. */
static void
add_addresses(struct judged *j, const struct plan_host *h)
{
	size_t i, first = j->n;

	for (i = 0; i < h->host->naddr; i++)
		if (policy_bars(&j->plan.policy, &h->host->addr[i]) == NULL)
			add(j, h, i);
	qsort(&j->v[first], j->n - first, sizeof *j->v, compare_addresses);
}

static void
list_hosts(struct judged *j)
{
	size_t i, n = 0;

	for (i = 0; i < j->plan.nhost; i++)
		n += j->plan.host[i].host->naddr + 1;
	j->v = xcalloc(n, sizeof *j->v);
	for (i = 0; i < j->plan.nhost; i++) {
		const struct plan_host *h = &j->plan.host[i];

		if (h->act == PLAN_TRY && h->host->naddr > 0)
			add_addresses(j, h);
		else
			add(j, h, WITHOUT_ADDR);
	}
}

/* ---- the chain ---- */

static void
cannot_verify(struct finding *found, const struct fail *f)
{
	finding_clear(found);
	found->result = VERIFY_NO_MATCH;
	found->rule = "local";
	found->why = xstrdup(f->text);
}

/* --name's and those that follow from the facts. */
static size_t
reference_names(const struct judged *j, const struct judge_conf *conf, const struct facts_host *fh,
    const char ***out)
{
	const char *own[FACTS_NAMES_MAX];
	size_t i, n = facts_reference_names(j->evidence->facts, fh, own);
	const char **names = xcalloc(n + conf->nnames + 1, sizeof *names);

	for (i = 0; i < n; i++)
		names[i] = own[i];
	for (i = 0; i < conf->nnames; i++)
		names[n + i] = conf->names[i];
	*out = names;
	return n + conf->nnames;
}

static void
hold_against_records(struct judged *j, const struct judge_conf *conf, struct judged_host *jh)
{
	const struct facts_host *fh = jh->host->host;
	struct verify_dane v = { .tlsa = fh->tlsa, .ntlsa = fh->ntlsa, .base = fh->tlsa_base, .now = j->now };
	const char **names;
	struct fail f = FAIL_INIT;

	v.nnames = reference_names(j, conf, fh, &names);
	v.names = names;
	if (verify_dane(jh->shown->info.chain, &v, &jh->finding, &f) == -1)
		cannot_verify(&jh->finding, &f);
	free(names);
}

/* ---- one address ---- */

__attribute__((format(printf, 2, 3))) static void
unsure(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	memset(v, 0, sizeof *v);
	va_start(ap, fmt);
	v->why = xvasprintf(fmt, ap);
	va_end(ap);
	v->word = VERDICT_INCONCLUSIVE;
	v->rule = "local";
}

/* Whether a connection got as far as the answer to EHLO, where clear text and STARTTLS part. */
static int
got_to_greeting(const struct shown *s)
{
	return s->tls || s->greeted;
}

static void
judge_shown(struct judged *j, const struct judge_conf *conf, struct judged_host *jh)
{
	const struct shown *s = jh->shown;
	struct seen seen = { .end = s->end, .tls = s->tls, .text = s->text, .finding = &jh->finding };
	enum plan_need need = jh->host->need;

	if (need != PLAN_CLEAR && s->asked == SHOWN_CLEAR && got_to_greeting(s)) {
		unsure(&jh->verdict, "STARTTLS was not tried: the evidence was gathered under level no");
		return;
	}
	/* What came behind STARTTLS does not happen to a client that never says it. */
	if (need == PLAN_CLEAR && got_to_greeting(s)) {
		seen.end = SEEN_READY;
		seen.tls = 0;
	}
	if (seen.tls && need == PLAN_DANE)
		hold_against_records(j, conf, jh);
	policy_judge(jh->host, &seen, &jh->verdict);
}

static void
judge_host(struct judged *j, const struct judge_conf *conf, struct judged_host *jh)
{
	if (jh->host->act != PLAN_TRY)
		policy_judge(jh->host, NULL, &jh->verdict);
	else if (jh->shown == NULL)
		unsure(&jh->verdict, "no connection was made");
	else if (jh->shown->asked == SHOWN_NOTHING)
		unsure(&jh->verdict, "%s", jh->shown->text);
	else if (j->plan.policy.dane != POLICY_DANE_NONE &&
	    jh->host->host->tlsa_state == FACTS_TLSA_NOT_ASKED)
		unsure(&jh->verdict, "its TLSA records were not asked for");
	else
		judge_shown(j, conf, jh);
}

/* ---- all ---- */

void
judge(const struct evidence *ev, const struct policy *policy, const struct judge_conf *conf, struct judged *j)
{
	struct verdict *v;
	size_t i;

	memset(j, 0, sizeof *j);
	j->evidence = ev;
	j->now = conf->now != 0 ? conf->now : ev->time;
	policy_plan(policy, ev->facts, &j->plan);
	list_hosts(j);
	v = xcalloc(j->n + 1, sizeof *v);
	for (i = 0; i < j->n; i++) {
		judge_host(j, conf, &j->v[i]);
		v[i] = j->v[i].verdict;	/* policy_domain() borrows them */
	}
	policy_domain(&j->plan, v, j->n, &j->verdict);
	free(v);
}

void
judged_clear(struct judged *j)
{
	size_t i;

	for (i = 0; i < j->n; i++) {
		finding_clear(&j->v[i].finding);
		verdict_clear(&j->v[i].verdict);
	}
	free(j->v);
	verdict_clear(&j->verdict);
	plan_clear(&j->plan);
	memset(j, 0, sizeof *j);
}
