/*
 * alert - which conditions an operator is told of, when, and when again: many failures in, few digests out.
 *
 * A condition is a kind and a name: a destination's TLS, an identity's end, a password's refusal.  alert_bad() and alert_good() take
 * what is seen of it, as often as it is seen; alert_wake() says when there is something to tell, and alert_take()
 * puts it into one digest, which alert_told() closes.  What holds:
 *
 *	a condition is told ALERT_GATHER_S after it began, so that those which begin together are told together;
 *	told again only where it went on for ALERT_REMIND_S, got worse, or came back, and not within the interval;
 *	its end is told if its beginning was;
 *	between two digests there is a gap that doubles up to the interval, until nothing was told for twice that;
 *	a digest names ALERT_NAMED_MAX conditions, and counts the others.
 *
 * So in an interval of an hour come 6 digests at first and then one, whatever fails.
 *
 * No I/O and no clock: times are arguments, in seconds since 1970.  A clock that is set back delays nothing for
 * longer than the interval.  Everything is owned by the struct.
 */
#ifndef MTATLS_ALERT_H
#define MTATLS_ALERT_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define ALERT_INTERVAL_DEFAULT 3600	/* seconds */
#define ALERT_INTERVAL_MIN 10
#define ALERT_INTERVAL_MAX (7 * 86400)
#define ALERT_GATHER_S 30		/* at most; the 120th part of the interval if that is less */
#define ALERT_REMIND_S 86400		/* at least; the interval if that is more */
#define ALERT_FORGET_S (7 * 86400)	/* a condition of which nothing was seen for so long is dropped */
#define ALERT_NAMED_MAX 50		/* conditions that a digest names */
#define ALERT_MAX 10000			/* conditions kept; more are counted, not named */
#define ALERT_NAME_MAX 255		/* octets of a name; longer ones are cut */
#define ALERT_REASON_MAX 1000		/* octets of a reason, likewise */

enum alert_kind {
	ALERT_DNSSEC,		/* no answer validates: the resolver, the clock or the anchor.  Has no name */
	ALERT_IDENTITY,		/* an identity in use nears its end, or is past it */
	ALERT_DANE,		/* no host of a destination passes its TLSA records */
	ALERT_TLS,		/* no host of a destination has the TLS that is required */
	ALERT_AUTH		/* no host of a route takes the password of these credentials */
};
#define ALERT_KINDS (ALERT_AUTH + 1)

enum alert_event {
	ALERT_RAISED,
	ALERT_LASTS,		/* told before, and it goes on, or got worse */
	ALERT_RECOVERED
};
#define ALERT_EVENTS (ALERT_RECOVERED + 1)

const char *alert_kind_name(enum alert_kind);	/* "dnssec" "identity" "dane" "tls" "auth" */
int alert_is_destination(enum alert_kind);	/* its name is a domain that mail goes to */
int alert_kind_find(const char *);		/* -1: there is none of that name */
const char *alert_event_name(enum alert_event);	/* "raised" "lasts" "recovered" */

/* What is seen of a condition that is bad. */
struct alert_sight {
	enum alert_kind kind;
	const char *name;	/* "" for ALERT_DNSSEC */
	const char *reason;	/* in words; the last one counts */
	int severity;		/* 0; where it grows that is told before its time */
	int64_t expires;	/* when a message that suffers from it is given up; 0: none, or not known */
};

/* A condition, for reading. */
struct alert {
	enum alert_kind kind;
	char *name;
	char *reason;
	int bad;		/* as far as is known */
	int told_bad;		/* what the last digest with it said */
	int severity, told_severity;
	int going;		/* is in the digest that was taken, as that: */
	enum alert_event said;
	int64_t since;		/* it is bad; kept behind its end until that is told */
	int64_t last;		/* seen */
	int64_t told;		/* as bad, last; 0: never */
	int64_t expires;	/* the first of those seen since it was told last; 0: none */
	uint64_t times;		/* seen, since it is bad */
};

struct alert_item {
	enum alert_event event;
	const struct alert *alert;	/* valid until alert_told() */
};

struct alert_digest {
	struct alert_item item[ALERT_NAMED_MAX];
	size_t n;
	size_t count[ALERT_KINDS][ALERT_EVENTS];	/* of all of them, named or not */
	size_t total;
	uint64_t unkept;	/* sights of conditions for which there was no place, since the last digest */
};

struct alerts;

struct alerts *alerts_new(int64_t interval);
void alerts_free(struct alerts *);
void alerts_set_interval(struct alerts *, int64_t);

void alert_bad(struct alerts *, const struct alert_sight *, int64_t now);
/* It is well again, if it ever was bad. */
void alert_good(struct alerts *, enum alert_kind, const char *name, int64_t now);

#define ALERT_NEVER INT64_MAX

/* When alert_take() will have something; ALERT_NEVER: not before another call.  Also forgets what is old. */
int64_t alert_wake(struct alerts *, int64_t now);

/* 1 and the digest, where one is due.  Until alert_told() there is no other one. */
int alert_take(struct alerts *, int64_t now, struct alert_digest *);

/* It is on its way (ok), or could not be written: then it is due again. */
void alert_told(struct alerts *, int ok, int64_t now);

/* Conditions that are kept, number i of them, by kind and name; valid until the next call. */
size_t alert_count(const struct alerts *);
const struct alert *alert_get(const struct alerts *, size_t i);

/* All that a restart must know, as lines of the table grammar; and back.  A line of no sense is left out. */
void alert_save(const struct alerts *, struct buf *);
void alert_load(struct alerts *, const char *, size_t, int64_t now);

#endif
