/*
 * bounce - tells a sender that recipients failed: a message of our own into spool/new (RFC 3464).
 */
#ifndef RELAY_BOUNCE_H
#define RELAY_BOUNCE_H

#include "fail.h"
#include "spool.h"

/*
 * Writes the bounce for all recipients of m in state failed; id becomes its queue ID.  The sender is
 * not the null one.  FAIL_SYS.
 */
int bounce_write(const struct spool *, struct spool_ids *, const char *hostname,
    const struct spool_message *m, int64_t now_us, char id[SPOOL_ID_SIZE], struct fail *);

#endif
