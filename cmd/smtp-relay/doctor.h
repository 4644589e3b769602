/*
 * doctor - says in the log why no destination can be looked up: once when it begins, once when it is over, and not
 * for each message.
 */
#ifndef RELAY_DOCTOR_H
#define RELAY_DOCTOR_H

#include <stdint.h>

#include "dns.h"
#include "facts.h"

#define DOCTOR_AGAIN_S 600	/* between two diagnoses */

struct doctor {
	struct dns *dns;	/* borrowed */
	const char *id;		/* of its log lines */
	int64_t asked;		/* monotonic seconds of the last diagnosis; 0: none yet */
	int under_way;
	enum dns_ill ill;	/* as last logged */
};

/* For all that was looked up: a failure as a whole has the resolver asked, a validated answer ends an illness. */
void doctor_look(struct doctor *, const struct facts *);

#endif
