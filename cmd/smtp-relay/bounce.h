/*
 * bounce - tells a sender that recipients failed, or that a message went on to a host that will not tell:
 * a message of our own into spool/new (RFC 3464).
 */
#ifndef RELAY_BOUNCE_H
#define RELAY_BOUNCE_H

#include "fail.h"
#include "spool.h"

/*
 * Writes the report on all recipients of m in the states failed and relayed; id becomes its queue ID.
 * The sender is not the null one.  FAIL_SYS.
 */
int bounce_write(const struct spool *, struct spool_ids *, const char *hostname,
    const struct spool_message *m, int64_t now_us, char id[SPOOL_ID_SIZE], struct fail *);

/* SMTP_NOTIFY_* that the sender said of a recipient; 0: nothing (RFC 3461 4.1). */
unsigned bounce_notify(const struct spool_rcpt *);

#endif
