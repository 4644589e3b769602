/*
 * bounce - tells a sender that recipients failed, wait, or had their mail from a host that will not tell: a message
 * of our own into spool/new (RFC 3464).  Who is to be told of what is decided by dispatch and notice.h.
 */
#ifndef RELAY_BOUNCE_H
#define RELAY_BOUNCE_H

#include "conf.h"
#include "fail.h"
#include "spool.h"

#define BOUNCE_EXPIRED "4.4.7 delivery time expired"	/* the text of such a recipient begins so, and may go on: */
#define BOUNCE_LAST "; last: "				/* what was said at the last try */

enum bounce_kind {
	BOUNCE_FINAL,	/* to the sender: the recipients that failed, were relayed, or arrived where none tells */
	BOUNCE_LATE,	/* to the sender: those that wait and whose delay may be told */
	BOUNCE_DOUBLE	/* to the configured address: those that failed, of a message from <> */
};

/*
 * Writes the report on m; id becomes its queue ID.  The sender is not the null one, but for BOUNCE_DOUBLE.
 * FAIL_SYS.
 */
int bounce_write(const struct spool *, struct spool_ids *, const struct conf *, const struct spool_message *m,
    enum bounce_kind, int64_t now_us, char id[SPOOL_ID_SIZE], struct fail *);

#endif
