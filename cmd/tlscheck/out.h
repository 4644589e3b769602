/*
 * out - what tlscheck prints of a destination: words for a person, JSON for a program, and a line for
 * a monitoring system.  All of it goes to stdout.
 */
#ifndef TLSCHECK_OUT_H
#define TLSCHECK_OUT_H

#include <jansson.h>

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

/* The MTA-STS policy and the TLS-RPT record of a domain in lines for a postmaster; as JSON, null where they
 * were not asked for. */
void out_sts(const struct facts *, int verbose);
json_t *out_sts_json(const struct facts *);
json_t *out_tlsrpt_json(const struct facts *);

/* One object on one line; the keys are documented in mtatls-json(7). */
int out_json(const struct report *, struct fail *);

#endif
