/*
 * levels - the whole table: the verdict of one destination's evidence under every tls level and DANE
 * setting (-T).  The rest of the policy is that of the options.
 */
#ifndef TLSCHECK_LEVELS_H
#define TLSCHECK_LEVELS_H

#include "judge.h"

struct level {
	enum policy_tls tls;
	enum policy_dane dane;
	struct verdict verdict;
	char *answer;
};

struct levels {
	struct level *v;	/* by tls, then by dane; without what policy_check() refuses */
	size_t n;
};

void levels_judge(const struct evidence *, const struct policy *, const struct judge_conf *, struct levels *);
void levels_clear(struct levels *);

/* NULL: the two contradict each other. */
const struct level *levels_find(const struct levels *, enum policy_tls, enum policy_dane);

#define LEVELS_TLS (POLICY_TLS_REQUIRED_VERIFY_HOSTED + 1)
#define LEVELS_DANE (POLICY_DANE_MANDATORY + 1)

#endif
