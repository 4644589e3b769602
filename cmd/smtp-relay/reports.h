/*
 * reports - reports on TLS (RFC 8460), the queue's part: sessions that outs tell of are counted, the counts kept in the folder
 * reports/, a file a day; behind midnight (UTC) each domain's report is made and sent, by mail through the queue itself, by
 * HTTPS through route.
 *
 * The file of a day is written anew a moment after something changed: what a crash loses is the last seconds, and a report
 * that went out in them goes twice, under the same report-id.
 */
#ifndef RELAY_REPORTS_H
#define RELAY_REPORTS_H

#include "conf.h"
#include "order.h"
#include "policy.h"
#include "spool.h"

struct event_base;
struct reports;

#define REPORTS_SAVE_S 2	/* to the next writing of a file, and a second more for each */
#define REPORTS_SAVE_EACH 200	/* domains in it */
#define REPORTS_AT_ONCE (1024 * 1024)	/* octets of reports made in one turn of the loop, and the rest of the last */
#define REPORTS_POSTS_MAX 8	/* under way at once */
#define REPORTS_LEASE_S 600	/* one that nobody answers for is tried again then */
#define REPORTS_TRIES 9		/* failures, each twice as long after the other, and it is given up: a day (RFC 8460 5.5) */
#define REPORTS_DAYS 3		/* a report that is older is given up */
#define REPORTS_LATE_S 300	/* those of days that ended long ago are spread over so long at the start */

struct reports_conf {
	const struct conf *conf;
	const char *name;		/* of the role, for the log */
	struct event_base *base;
	struct spool *spool;
	/* As in dispatch_conf. */
	void (*submit)(void *arg, const char *id, void (*committed)(void *, int ok), void *committed_arg);
	/* As dispatch_ask_route(). */
	int (*ask_route)(void *arg, const char *, size_t, int fd);
	void *arg;
};

/* Reads what there is in reports/.  A file that makes no sense stays there, and is told of in the log. */
struct reports *reports_new(const struct reports_conf *);

/* A new configuration, borrowed. */
void reports_take_conf(struct reports *, const struct conf *);

/* "session SEQ HOST ADDRESS RESULT LOCAL HELO WHY" of that plan; from a process that faces peers. */
void reports_session(struct reports *, const struct plan *, const struct order *);

/* "posted SEQ good|failed WHY", from route. */
void reports_posted(struct reports *, const struct order *);

/* Writes down what is not yet. */
void reports_stop(struct reports *);

#endif
