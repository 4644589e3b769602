/*
 * patience - how long something is waited for from another process, looked at now and then: whether that lives but does not do
 * its work.  No clock: times are arguments, in seconds of common/clock's clock_passed().
 *
 * Time alone would be hasty: behind a pause of the machine all have waited long, and those who are well have had no turn yet.
 * So what is waited for must have been missing at some looks, too, between which they had one.
 */
#ifndef RELAY_PATIENCE_H
#define RELAY_PATIENCE_H

#include <stdint.h>

#define PATIENCE_LOOK_S 60	/* from one look to the next */
#define PATIENCE_LOOKS 3	/* looks at which it is missing, at least */

struct patience {
	int64_t since;
	unsigned looks;
	int waits;	/* 0: nothing is waited for */
};

void patience_begin(struct patience *, int64_t now);
void patience_end(struct patience *);

/* A look: 1: it has been waited for so many seconds, and at so many looks. */
int patience_over(struct patience *, int64_t now, int64_t most);

#endif
