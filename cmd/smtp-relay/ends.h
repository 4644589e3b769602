/*
 * ends - which identities are in use, by what, and until when: for the queue, which tells the operator in time.
 */
#ifndef RELAY_ENDS_H
#define RELAY_ENDS_H

#include "conf.h"
#include "text.h"

#define ENDS_WORD "identities"	/* the record's */

/*
 * Appends the record: a line for each identity, with the first end of its certificate and its chain.  They are read
 * from the store, so it is called when they have just been loaded.  What cannot be read is left out.
 */
void ends_list(const struct conf *, struct buf *);

#endif
