/*
 * plans - the plans that are kept, so that a burst of mail to a domain asks for one: by domain, for as long as
 * the answers that they rest on hold, at most PLANS_MAX of them and PLANS_OCTETS of text, the eldest forgotten
 * first.  No clock: times are arguments.
 */
#ifndef RELAY_PLANS_H
#define RELAY_PLANS_H

#include <stddef.h>
#include <stdint.h>

#define PLANS_MAX 20000
#define PLANS_OCTETS (32 * 1024 * 1024)
#define PLANS_LEAST_S 5		/* seconds that a plan is kept, whatever its answers say, */
#define PLANS_MOST_S 300	/* and at most */

/* Owned by the plans; valid until the next call. */
struct plan_kept {
	const char *port, *text;
	size_t len;
};

struct plans;

struct plans *plans_new(uint64_t seed);	/* a random number, against chosen domains */
/* 0: none is known. */
int plans_find(struct plans *, const char *domain, int64_t now, struct plan_kept *);
/* A copy, instead of the one that was known, for ttl seconds within the limits. */
void plans_keep(struct plans *, const char *domain, const char *port, const char *text, size_t len,
    int64_t ttl, int64_t now);

/* Something failed that another plan might mend: it is kept no longer than it had to be. */
void plans_doubt(struct plans *, const char *domain, int64_t now);
size_t plans_count(const struct plans *);
void plans_free(struct plans *);	/* NULL allowed */

/* What is known so far holds no more. */
void plans_forget(struct plans *);

#endif
