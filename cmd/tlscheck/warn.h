/*
 * warn - what a check has found besides its verdicts: what they do not rest on, and what is broken about the DNS
 * though it does no harm here.
 */
#ifndef TLSCHECK_WARN_H
#define TLSCHECK_WARN_H

#include "judge.h"

enum warn_kind {
	WARN_RESOLVER,	/* nothing can be validated: the fault is this machine's; the verdict's reason has it too */
	WARN_DENIED,	/* the server denies an empty name that has TLSA records below it */
	WARN_UNASKED	/* addresses that were not asked and that no verdict counts */
};

/* The rule is static, the text borrowed for the call. */
typedef void warn_fn(void *arg, enum warn_kind, const char *rule, const char *text);

void warn_each(const struct judged *, warn_fn *, void *arg);

#endif
