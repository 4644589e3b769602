/*
 * active - a message under way: its try begins with its recipients by domain, and ends with what becomes of it then: removed,
 * bounced, its sender told that it waits, back in the schedule.
 */
#ifndef RELAY_ACTIVE_H
#define RELAY_ACTIVE_H

#include "dispatch-inner.h"

/* A recipient that is to be tried; the domain is within its address. */
struct todo {
	const char *domain;
	size_t rcpt;
};

struct active {
	struct dispatch *d;
	struct sched_message *m;
	struct spool_name name;
	struct spool_message msg;
	unsigned asks;			/* POLICY_MESSAGE_* */
	char *signature;		/* goes in front of the message; NULL: nothing */
	struct todo *todo;		/* by domain */
	size_t ntodo, taken;		/* so many are in parts, or were */
	size_t parts;			/* not finished */
	struct active *more;		/* the next in dispatch->more, or in dispatch->stuck: never in both */
	int listed;			/* it is in dispatch->more */
	size_t unplanned;		/* of the parts, those whose plan was never known */
	char *unwritten;		/* by recipient: 1: its last result is not in the file yet; NULL: all are */
	TAILQ_ENTRY(active) entry;	/* in dispatch->unwritten, where that is so */
	int worked, broke;		/* what hosts came to, for the schedule: one did, one did not */
	int soon;			/* a fault of our own: again in DISPATCH_SOON_S, without back-off */
	int damaged;			/* its octets are not those that came in */
	int hold, drop;			/* somebody wants it held, or deleted, when this try is over */
	int noticed;			/* its sender is told that it waits, or this try did not do */
	int again;			/* handed back for want of a host's place, and here again */
	char *held_by;			/* the host without a place for a part; NULL: none */
	int alone;			/* held_by: no other host would do */
};

/* A try: its parts begin, as many as may be out at once.  It may be over, and the message freed, when this returns. */
void active_try(struct active *);
void active_begin_parts(struct active *);	/* the next of them */

/* Its next parts are begun from the loop; it is freed only when there are none. */
void active_list_more(struct active *);

/* The try is over, or never began: what becomes of the message.  Frees it, or keeps it until the disk has what is to be told. */
void active_finish(struct active *);

/* Out of the schedule's hands, with what it learns of the destination. */
void active_free(struct active *, enum sched_outcome);

/*
 * A recipient's result, in memory at first: most messages are done with their last result, and removed without its ever being
 * written.  Until then what is final stands in the out's journal.
 */
void active_result(struct active *, size_t rcpt, enum spool_rcpt_state, const char *text);
int active_is_open(const struct spool_rcpt *);

/* 0: all results are in the file, or that is gone; of all messages. */
int active_write(struct active *);
int active_write_all(struct dispatch *);
void active_on_write(evutil_socket_t, short, void *dispatch);

#endif
