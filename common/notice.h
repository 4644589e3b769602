/*
 * notice - how long a message is tried, and which news of it its sender gets: what the configuration sets
 * (smtp-relay.conf(5): lifetime, bounce-lifetime, delay-notice), and what the sender asked for (RFC 3461 4.1).
 *
 * No I/O and no clock: times are arguments, in seconds since 1970; ages and lifetimes in seconds.
 */
#ifndef MTATLS_NOTICE_H
#define MTATLS_NOTICE_H

#include "sched.h"
#include "spool_file.h"

/* Where nothing is configured (RFC 5321 4.5.4.1: 4 to 5 days). */
#define NOTICE_LIFETIME SCHED_LIFETIME
#define NOTICE_BOUNCE_LIFETIME (2 * 86400)
#define NOTICE_DELAY (4 * 3600)

struct notice_conf {
	int64_t lifetime;
	int64_t bounce_lifetime;	/* of what comes from the null sender; never more than the other */
	int64_t delay;			/* age at which senders are told that a message waits; 0: they are not */
};

extern const struct notice_conf notice_standard;

/* How long this message is tried. */
int64_t notice_lifetime(const struct notice_conf *, const struct spool_envelope *);

/* SMTP_NOTIFY_* that the sender said of a recipient; 0: nothing. */
unsigned notice_asked(const struct spool_rcpt *);

/* Is the sender to hear of it where the recipient failed; where it is late (it may have been told)? */
int notice_wants_failure(const struct spool_rcpt *);
int notice_wants_delay(const struct spool_rcpt *);

/*
 * Is the sender to be told now that a message waits?  Once, at the age that is configured, of all recipients that
 * wait then and whose delay may be told; never the null sender.
 */
int notice_delay_is_due(const struct notice_conf *, const struct spool_envelope *, int64_t now);

/*
 * The age at which the next try is at the latest: that of a delay notice which is still to come, so that it tells the
 * truth, and otherwise the end of the lifetime.
 */
int64_t notice_next(const struct notice_conf *, const struct spool_envelope *, int64_t age);

#endif
