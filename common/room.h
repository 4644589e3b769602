/*
 * room - is there room for a message on the spool's file system, and will there be behind it?
 *
 * A full disk fails the sync of a whole batch, and keeps results, journals and bounces from being written: so
 * mail is turned away while there is still room for those.  What a user may have counts (f_bavail), not what
 * root could have.  A file system that counts no inodes (f_files is 0) never runs out of them.
 */
#ifndef MTATLS_ROOM_H
#define MTATLS_ROOM_H

#include <stdint.h>

#include "fail.h"

#define ROOM_FLOOR_OCTETS (64 * 1024 * 1024)	/* the default */
#define ROOM_FLOOR_INODES 1000
#define ROOM_MAX_AGE_MS 1000			/* how long a look at the file system is good for */

/* What is to stay free.  All zero: nothing is. */
struct room_floor {
	uint64_t octets;
	unsigned percent;	/* of the file system; where it is not 0, instead of octets */
	uint64_t inodes;
};

/* The file system as it was at a time. */
struct room {
	uint64_t size, free;		/* octets */
	uint64_t inodes, inodes_free;	/* both 0: it does not count them */
	int64_t looked_ms;		/* of a monotonic clock; 0: never */
};

enum room_state {
	ROOM_LOW,	/* below the floor */
	ROOM_SCARCE,	/* above it, but not by an eighth: what was low stays so */
	ROOM_ENOUGH
};

/* Looks again where the last look is too old: 1; 0 where it is not.  -1 FAIL_SYS. */
int room_look(struct room *, int fd, int64_t now_ms, struct fail *);

enum room_state room_state(const struct room *, const struct room_floor *);
/* Will the floor still be free with so many octets more?  Of a size that is not known say 0. */
int room_fits(const struct room *, const struct room_floor *, uint64_t size);

#endif
