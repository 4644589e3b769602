/*
 * advice - what the postmaster of a destination can do about each problem, in a sentence.
 */
#ifndef TLSCHECK_ADVICE_H
#define TLSCHECK_ADVICE_H

#include "judge.h"

struct advice_item {
	const char *problem;	/* a stable word: "tlsa-mismatch"; static */
	char *host;		/* whom it is about: a host or the destination, escaped */
	char *text;
};

struct advice {
	struct advice_item *v;	/* each sentence once, the destination's first */
	size_t n;
};

/* Certificates that end within so many days count as a problem; -1: only those that have ended. */
void advice_make(const struct judged *, int warn_days, struct advice *);
void advice_clear(struct advice *);

/* The end of the server's certificate that ends first, of those that were shown, in seconds since 1970; 0:
 * none was shown. */
int advice_first_end(const struct judged *, int64_t *when);

#endif
