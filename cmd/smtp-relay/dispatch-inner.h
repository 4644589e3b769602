/*
 * dispatch-inner - what the parts of dispatch share: active.h, a message under way; part.h, its recipients in a domain;
 * outlet.h, the outs and what they say.  Nobody else includes it.
 */
#ifndef RELAY_DISPATCH_INNER_H
#define RELAY_DISPATCH_INNER_H

#include <sys/queue.h>

#include "channel.h"
#include "dispatch.h"
#include "pace.h"
#include "plans.h"
#include "sched.h"

struct active;
struct outlet;
struct part;
struct warm;

struct dispatch {
	struct dispatch_conf conf;
	struct sched *sched;
	struct spool_ids ids;
	struct channel *route;
	struct outlet *outlets;
	struct part **part;		/* by the number in orders */
	size_t nparts;
	struct active *more;		/* have recipients that are in no part yet */
	struct part *parked;		/* no out had room for them */
	struct active *stuck;		/* have results that the disk would not take */
	int64_t stuck_until;
	TAILQ_HEAD(actives, active) unwritten;	/* the longest so first, for DISPATCH_WRITE_MS at most */
	struct event *write, *cool;
	TAILQ_HEAD(warms, warm) warm;	/* the longest so first */
	size_t nwarm;
	size_t fds;			/* messages that the descriptors of a role allow */
	struct plans *plans;
	const struct credentials *credentials;	/* NULL: no route has any */
	struct pace *pace;
	struct event *wake;
	struct event *look;		/* at the outs, while orders are under way; NULL: never so far */
	int64_t renewed;		/* clock_passed() when a configuration, or a route, was new */
	int stopping;
};

/* The key of a destination in the schedule says what the file's name says of it. */
void dispatch_key(const struct spool_name *, char *dst, size_t size);

/*
 * not_before: the destination sleeps until then.  What expires meanwhile does so afterwards, or else what failed because of it
 * would be handed out again at once.  arg: the message's in the schedule.  -1: a message of that ID is there already.
 */
int dispatch_schedule(struct dispatch *, const struct spool_name *, int64_t not_before, void *arg);

/* As it was, for want of a host's place. */
void dispatch_hand_back(struct dispatch *, const struct spool_name *);

/* Something of our own went wrong: id is of the message, or the role's name. */
void dispatch_fault(const struct dispatch *, const char *id, const struct fail *);

/* A configuration comes into use, so that what the route says may rest on another one than ours. */
int dispatch_is_renewed(const struct dispatch *);

/* What can begin now begins: from the loop, so that nothing is started from within what ends. */
void dispatch_pump(struct dispatch *);

#endif
