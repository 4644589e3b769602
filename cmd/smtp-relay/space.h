/*
 * space - turns mail away while the spool's file system is nearly full (min-free of smtp-relay.conf(5)).
 *
 * Each worker looks at most once a second; "low" is said by all of them together, in memory that they share, so
 * that the log tells once that it began and once that it ended.  A worker that a client took over can only
 * turn clients away with it.
 */
#ifndef RELAY_SPACE_H
#define RELAY_SPACE_H

#include <stdatomic.h>
#include <stdint.h>

#include "room.h"

struct space {
	int fd;				/* a folder of the spool; the caller's */
	const struct room_floor *floor;
	atomic_uint *low;		/* shared by all workers */
	const char *role;		/* in the log */
	struct room room;
};

/* May a message of so many octets (0: not known) be taken?  Where nothing can be learned it may. */
int space_allows(struct space *, uint64_t size);

#endif
