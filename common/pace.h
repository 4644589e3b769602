/*
 * pace - how often something may be done, by name: so many times within a span at once, then one each span/times, as the
 * rates of smtp-relay.conf are.  No clock: times are arguments, in microseconds of any one clock.
 */
#ifndef MTATLS_PACE_H
#define MTATLS_PACE_H

#include <stdint.h>

#define PACE_NAMES_MAX 20000	/* names that are remembered; beyond, those whose turn is the nearest are forgotten */

struct pace;

struct pace *pace_new(uint64_t seed);	/* a random number, against chosen names */
void pace_free(struct pace *);

/*
 * 0: it may be done now, and is counted.  Else when it may, which is behind now.  times within span seconds, both at least 1;
 * a name may come with others later.
 */
int64_t pace_take(struct pace *, const char *name, uint32_t times, uint32_t span, int64_t now_us);

#endif
