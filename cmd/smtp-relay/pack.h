/*
 * pack - a plan and what a delivery needs of its facts, as lines of the table grammar: how route tells
 * queue, and queue tells out.  Two plans that ask the same of a host pack it into the same lines, which
 * is what the re-use of connections goes by.
 */
#ifndef RELAY_PACK_H
#define RELAY_PACK_H

#include "controls.h"
#include "facts.h"
#include "fail.h"
#include "policy.h"
#include "text.h"

/* controls NULL: as unpack_plan() finds them where a plan has none, controls_standard. */
void pack_plan(struct buf *, const struct plan *, const struct controls *);

/* One host with its addresses left out: what must be equal for a connection to be used again. */
void pack_host(struct buf *, const struct plan *, const struct plan_host *);

/* Likewise, of the controls: the certificate, whose password, the source addresses. */
void pack_session(struct buf *, const struct controls *);
/*
 * What TLS reporting wants to know of the domain (tlsrpt_judge.h), behind the plan: where reports go, and its MTA-STS policy;
 * nothing where it wants none, or the message asks for no policy to be looked at.  At most PACK_REPORT_MAX octets.
 */
#define PACK_REPORT_MAX 16384
void pack_report(struct buf *, const struct plan *);

/* A plan that owns its facts and all its strings. */
struct unpacked {
	struct facts *facts;
	struct plan plan;
	struct controls controls;
	char **strings;
	size_t nstrings;
};

/* NULL: FAIL_INPUT. */
struct unpacked *unpack_plan(const char *, size_t, struct fail *);
void unpacked_free(struct unpacked *);

#endif
