/*
 * disk - threads of the queue that wait for the disk, so that its loop need not: while a round is synced the loop takes
 * requests for the next and has mail delivered; and the last close of a file that was removed waits until what is being
 * written of it is written.  They make those system calls and nothing else.
 */
#ifndef RELAY_DISK_H
#define RELAY_DISK_H

#include "fail.h"
#include "spool.h"

struct event_base;
struct disk;

#define DISK_CLOSES_MAX 256	/* descriptors that wait to be closed; more are closed at once */

/* synced is called from the loop, or from within disk_wait().  NULL: FAIL_SYS. */
struct disk *disk_new(struct event_base *, void (*synced)(void *), void *arg, struct fail *);

/* spool_round_sync(), one at a time; borrowed until synced is called. */
void disk_sync(struct disk *, struct spool_sync *);

/* Where one is under way, until it is done. */
void disk_wait(struct disk *);

/* close(2), of what nobody needs to know the result; -1 is nothing. */
void disk_close(struct disk *, int fd);

/* So many may wait at most, where DISK_CLOSES_MAX is more than the limit of descriptors bears. */
void disk_limit_closes(struct disk *, size_t);

#endif
