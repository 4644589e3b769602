/*
 * judge - what evidence is worth under a policy: pure but for the CAs, and the same for what was just seen, what
 * was kept in a file and what stood in options.
 *
 *	evidence + policy -> policy_plan -> proof (of each chain) -> policy_judge -> policy_domain
 *
 * Nothing is concluded from what a connection did not try: where the policy asks for more than the
 * evidence has, the verdict is INCONCLUSIVE and says so.
 */
#ifndef TLSCHECK_JUDGE_H
#define TLSCHECK_JUDGE_H

#include "cas.h"
#include "evidence.h"
#include "policy.h"
#include "proof.h"

struct judge_conf {
	int64_t now;			/* seconds since 1970; 0: when the evidence was gathered */
	struct cas *cas;		/* for plans that ask for a CA; NULL: nothing is trusted */
	const char *const *names;	/* further reference identities (--name), for every host */
	size_t nnames;
};

/* One host x address, or a host to which no connection is made (addr then is NULL). */
struct judged_host {
	const struct plan_host *host;
	const struct facts_addr *addr;
	const struct shown *shown;	/* NULL: nothing was */
	struct proof proof;
	struct verdict verdict;
};

/* Borrows the evidence, which must outlive it. */
struct judged {
	const struct evidence *evidence;
	int64_t now;
	struct plan plan;
	struct judged_host *v;		/* hosts in the plan's order, their addresses sorted */
	size_t n;
	struct verdict verdict;
	int sts_unasked;		/* hosts are judged for which MTA-STS, not asked for, might ask more */
};

void judge(const struct evidence *, const struct policy *, const struct judge_conf *, struct judged *);
void judged_clear(struct judged *);

/* Would mail go? */
int judged_goes(enum verdict_word);

#endif
