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
	char *domain;		/* for which it asked last; owned */
	int told;		/* what was told last: 1 well, -1 ill; 0: nothing yet */
	/* Hears of each diagnosis that finds an illness, and once of its end, or that there is none. */
	void (*tell)(void *arg, int sick, const char *why, const char *domain);
	void *arg;
};

/* For all that was looked up: a failure as a whole has the resolver asked, a validated answer ends an illness. */
void doctor_look(struct doctor *, const struct facts *);

#endif
