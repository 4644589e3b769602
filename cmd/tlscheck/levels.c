#include "levels.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "answer.h"

static void
add(const struct evidence *ev, const struct policy *policy, const struct judge_conf *conf, struct levels *out)
{
	struct level *l = &out->v[out->n];
	struct judged j;

	if (policy_check(policy, NULL) == -1)
		return;
	out->n++;
	judge(ev, policy, conf, &j);
	l->tls = policy->tls;
	l->dane = policy->dane;
	l->answer = answer(&j);
	l->verdict = j.verdict;
	memset(&j.verdict, 0, sizeof j.verdict);
	judged_clear(&j);
}

void
levels_judge(const struct evidence *ev, const struct policy *policy, const struct judge_conf *conf,
    struct levels *out)
{
	struct policy p = *policy;
	int tls, dane;

	out->v = xcalloc(LEVELS_TLS * LEVELS_DANE, sizeof *out->v);
	out->n = 0;
	for (tls = 0; tls < LEVELS_TLS; tls++)
		for (dane = 0; dane < LEVELS_DANE; dane++) {
			p.tls = (enum policy_tls)tls;
			p.dane = (enum policy_dane)dane;
			p.sts = tls == POLICY_TLS_NO ? POLICY_STS_NONE : policy->sts;
			add(ev, &p, conf, out);
		}
}

const struct level *
levels_find(const struct levels *levels, enum policy_tls tls, enum policy_dane dane)
{
	size_t i;

	for (i = 0; i < levels->n; i++)
		if (levels->v[i].tls == tls && levels->v[i].dane == dane)
			return &levels->v[i];
	return NULL;
}

void
levels_clear(struct levels *levels)
{
	size_t i;

	for (i = 0; i < levels->n; i++) {
		verdict_clear(&levels->v[i].verdict);
		free(levels->v[i].answer);
	}
	free(levels->v);
	memset(levels, 0, sizeof *levels);
}
