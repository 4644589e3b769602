/*
 * out - what tlscheck prints of a destination: words for a person, JSON for a program, and a line for
 * a monitoring system.  All of it goes to stdout.
 */
#ifndef TLSCHECK_OUT_H
#define TLSCHECK_OUT_H

#include "advice.h"
#include "fail.h"
#include "judge.h"
#include "levels.h"

struct out_conf {
	int verbose;	/* the trace, replies, certificates and TLSA records too */
	int quiet;	/* the short answer only */
	int json;
	int colour;
	int offline;	/* the verdict is the first word: there is one chain and no table */
};

struct report {
	const struct judged *judged;
	const struct levels *levels;	/* NULL without -T */
	const struct advice *advice;
};

void out_text(const struct report *, const struct out_conf *);

/* One object on one line; the keys are documented in mtatls-json(7). */
int out_json(const struct report *, struct fail *);

#endif
