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
	jh->proof.dane.matched = jh->proof.dane.depth = -1;
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

/* The finding on which the plan's need rests. */
static struct finding *
finding_that_decides(struct judged_host *jh)
{
	switch (jh->host->need) {
	case PLAN_DANE:
		return &jh->proof.dane;
	case PLAN_STS:
		return &jh->proof.sts;
	default:
		return &jh->proof.level;
	}
}

static void
prove(struct judged *j, const struct judge_conf *conf, struct judged_host *jh)
{
	struct proof_ask ask = { .host = jh->host, .facts = j->evidence->facts, .more = conf->names,
		.nmore = conf->nnames, .now = j->now };
	struct finding *found = finding_that_decides(jh);
	struct fail f = FAIL_INIT;

	if (conf->cas != NULL && plan_wants_trust(&j->plan))
		ask.trust = cas_get(conf->cas);
	if (proof_make(jh->shown->info.chain, &ask, &jh->proof, &f) == 0)
		return;
	finding_clear(found);
	found->result = VERIFY_NO_MATCH;
	found->matched = found->depth = found->reference = -1;
	found->rule = "local";
	found->why = xstrdup(f.text);
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

/* What a handshake that took anything tells of one that is strict. */
enum strict { STRICT_SAME, STRICT_FAILS, STRICT_UNKNOWN };

static enum policy_tls_min
version_of(const char *protocol)
{
	if (strcmp(protocol, "TLSv1") == 0)
		return POLICY_TLS_MIN_1_0;
	if (strcmp(protocol, "TLSv1.1") == 0)
		return POLICY_TLS_MIN_1_1;
	return strcmp(protocol, "TLSv1.2") == 0 ? POLICY_TLS_MIN_1_2 : POLICY_TLS_MIN_1_3;
}

/* Below OpenSSL's level 2, which strict contexts have; servers may know better and not have been asked. */
static int
is_weak(const struct tls_info *t)
{
	size_t n = strlen(t->sigalg);

	return t->bits < 112 || (strncmp(t->group, "DH-", 3) == 0 && strtol(t->group + 3, NULL, 10) < 2048) ||
	    (n >= 4 && strcmp(t->sigalg + n - 4, "SHA1") == 0);
}

static enum strict
as_strict(const struct plan_host *h, const struct shown *s, const char **why)
{
	const struct tls_info *t = &s->info;

	if (!s->tls || s->asked != SHOWN_LAX || t->protocol == NULL || !plan_need_is_strict(h->need))
		return STRICT_SAME;
	*why = "its highest version of TLS is too low";
	if (version_of(t->protocol) < h->tls_min)
		return STRICT_FAILS;
	*why = "the peer lacks secure renegotiation (RFC 5746)";
	if (!t->renegotiates_safely && h->tls_min >= POLICY_TLS_MIN_1_2)
		return STRICT_FAILS;
	return is_weak(t) && h->tls_min >= POLICY_TLS_MIN_1_2 ? STRICT_UNKNOWN : STRICT_SAME;
}

/* What the evidence does not have, in words; NULL: it is enough for the plan. */
static const char *
what_is_missing(const struct plan_host *h, const struct shown *s)
{
	const char *why;

	if (h->need == PLAN_CLEAR)
		return NULL;
	if (s->asked == SHOWN_CLEAR && got_to_greeting(s))
		return "STARTTLS was not tried: the evidence was gathered under level no";
	if (s->asked == SHOWN_STRICT && (s->end == SEEN_HANDSHAKE_FAILED || s->fell_back != NULL) &&
	    !plan_need_is_strict(h->need))
		return "TLS was tried with what strict levels allow, and not with more";
	if (as_strict(h, s, &why) == STRICT_UNKNOWN)
		return "TLS was tried with weak algorithms too, which the server took; whether it has better was "
		    "not asked";
	return NULL;
}

/* A second connection, in clear text, is made by those only whose policy has it so. */
static void
unless_falling_back(const struct plan_host *h, const struct shown *s, struct seen *seen)
{
	if (s->fell_back == NULL)
		return;
	if (policy_falls_back(h, SEEN_HANDSHAKE_FAILED)) {
		seen->fell_back = s->fell_back;
		return;
	}
	seen->end = SEEN_HANDSHAKE_FAILED;
	seen->text = s->fell_back;
}

static void
judge_shown(struct judged *j, const struct judge_conf *conf, struct judged_host *jh)
{
	const struct shown *s = jh->shown;
	struct seen seen = { .end = s->end, .tls = s->tls, .text = s->text, .proof = &jh->proof };
	const char *missing = what_is_missing(jh->host, s), *why;

	if (missing != NULL) {
		unsure(&jh->verdict, "%s", missing);
		return;
	}
	unless_falling_back(jh->host, s, &seen);
	/* What came behind STARTTLS does not happen to a client that never says it. */
	if (jh->host->need == PLAN_CLEAR && got_to_greeting(s)) {
		seen.end = SEEN_READY;
		seen.tls = 0;
	}
	if (as_strict(jh->host, s, &why) == STRICT_FAILS) {
		seen.end = SEEN_HANDSHAKE_FAILED;
		seen.text = why;
		seen.tls = 0;
	}
	if (seen.tls)
		prove(j, conf, jh);
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
	else if (policy_wants_tlsa(&j->plan.policy) &&
	    jh->host->host->tlsa_state == FACTS_TLSA_NOT_ASKED)
		unsure(&jh->verdict, "its TLSA records were not asked for");
	else
		judge_shown(j, conf, jh);
}

/* ---- all ---- */

/* What MTA-STS would ask, had it been asked for, is nothing to hosts with DANE. */
static int
lacks_sts(const struct judged *j)
{
	const struct facts *f = j->evidence->facts;
	size_t i;

	if (!policy_wants_sts(&j->plan.policy) || f->sts_state != FACTS_STS_NOT_ASKED || f->mx == FACTS_MX_LOCAL)
		return 0;
	for (i = 0; i < j->n; i++)
		if (judged_goes(j->v[i].verdict.word) && j->v[i].host->need != PLAN_DANE)
			return 1;
	return 0;
}

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
	j->sts_unasked = lacks_sts(j);
}

void
judged_clear(struct judged *j)
{
	size_t i;

	for (i = 0; i < j->n; i++) {
		proof_clear(&j->v[i].proof);
		verdict_clear(&j->v[i].verdict);
	}
	free(j->v);
	verdict_clear(&j->verdict);
	plan_clear(&j->plan);
	memset(j, 0, sizeof *j);
}
