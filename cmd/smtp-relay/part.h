/*
 * part - recipients of a message in one domain: the plan for them is asked for, they wait for their turn and for a place at a
 * host, and go to an out as one order.
 */
#ifndef RELAY_PART_H
#define RELAY_PART_H

#include "dispatch-inner.h"
#include "pack.h"
#include "patience.h"

/* Its recipients in one domain, at most DISPATCH_RCPTS_MAX of them. */
struct part {
	struct active *a;
	size_t slot;
	char *domain;
	char *plan_key;			/* among the plans: messages that ask for other things have others */
	size_t rcpt[DISPATCH_RCPTS_MAX];
	size_t n;
	struct outlet *outlet;		/* NULL: not handed out */
	struct patience held;		/* by that */
	struct part *parked;		/* the next in dispatch->parked */
	int asked;			/* for its plan */
	int counted;			/* in no way among active->unplanned any more */
	struct unpacked *plan;		/* NULL: none */
	char *port;
	size_t host;			/* the plan's, where it has a place */
	int placed;
	struct alerting_part tried;	/* what came of its hosts */
	char *limit;			/* where it has a place among those that the destination's limit allows */
	int paced;			/* it was counted for the destination's rate */
};

/* Of no recipients yet; it ends with part_done(). */
struct part *part_new(struct active *, const char *domain);

/* Its place and its plan are given up, and it is freed; with its last part the message's try is over. */
void part_done(struct part *);

/* From the plans that are kept, or from route, whose answer goes to part_act_on_plan(). */
void part_ask_plan(struct part *);
void part_ask_route(struct part *);
void part_act_on_plan(struct part *, const char *port, const char *text, size_t len);

/* Until an out has room, or there is one again: it holds nothing until then. */
void part_park(struct part *);

/* By the number in an order; NULL: there is none. */
struct part *part_of(struct dispatch *, const char *seq);

/* The name of a host of its plan in the schedule; the caller frees. */
char *part_host_key(const struct part *, size_t host);
int part_is_usable(const struct part *, size_t host);

/* Its place there is free; what came of it says how the host is. */
void part_leave_host(struct part *, enum sched_outcome);

#endif
