/*
 * spool - messages on disk, one file each; the folder that a file stands in is its state.
 *
 *	new/	a writer is at work, or died; nobody was told that the message is taken
 *	queue/	taken: whole, synced, owed to its recipients
 *	hold/	as queue/, but not to be tried until it is released
 *	bad/	damaged or of no sense; kept for a person to look at
 *	results/ no messages: what was read of final replies and perhaps not heard of (journal.h)
 *
 * This header has the folders, spool_file.h the files; mtatls-spool(5) has the format.  Who does what:
 *
 *	in	spool_writer_*(): makes files in new/, syncs nothing, needs only new/'s descriptor
 *	queue	spool_batch_*(): syncs many files at once and moves them to queue/; spool_read() and
 *		all the rest; one process at a time (spool_lock())
 *	relayq	spool_scan_*() and spool_read(), beside a running relay
 *
 * Failures and times are as in spool_file.h.
 */
#ifndef MTATLS_SPOOL_H
#define MTATLS_SPOOL_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fail.h"
#include "spool_file.h"

#define SPOOL_DIR_DEFAULT "/var/spool/smtp-relay"
#define SPOOL_ARRIVED_S 60	/* a file's arrived is that near to the time in its ID, */
#define SPOOL_AHEAD_S 86400	/* and that at most so far ahead: a clock may have been set back */
#define SPOOL_SYNC_EACH_MAX 2	/* files of a batch synced one by one; more: syncfs(2) */

enum spool_folder {
	SPOOL_NEW,
	SPOOL_QUEUE,
	SPOOL_HOLD,
	SPOOL_BAD,
	SPOOL_RESULTS
};
#define SPOOL_FOLDERS 5

#define SPOOL_STS "sts"	/* beside them, of the writer's user: what the relay keeps of MTA-STS (sts_cache.h) */
#define SPOOL_NONE "none"	/* empty: the root directory of roles that need no file; the writer may not change it */

#define SPOOL_ALERTS "alerts"	/* a file: what the operator was told (alert.h) */
#define SPOOL_REPORTS "reports"	/* of the owner: what is counted for reports on TLS, and those that are due */

const char *spool_folder_name(enum spool_folder);

#define SPOOL_KEY ".key"	/* in results/: journal.h */

/*
 * The descriptors are opened before anything is written, so that syncfs(2) reports every error since
 * (Linux 5.8), and stay open.  The fields are for reading; sick is set by a sync that failed.
 */
struct spool {
	int root;
	int dir[SPOOL_FOLDERS];
	int sick;			/* errno of the failed sync; 0: well */
	size_t keep;			/* so many messages of a batch stay open for the caller (struct spool_item) */
	_Atomic uint64_t syncs;		/* fsync, fdatasync and syncfs calls so far */
};

/* All zero is none of them: set to SPOOL_INIT so that spool_close() is safe. */
#define SPOOL_INIT { .root = -1, .dir = { -1, -1, -1, -1, -1 }, .sick = 0, .keep = 0, .syncs = 0 }

/*
 * May the relay use this directory, or make it?  Changes nothing.  FAIL_INPUT where something is in it
 * that is not a spool's; FAIL_SYS where it is none, or its parent does not exist.
 */
int spool_check(const char *dir, struct fail *);

/*
 * Makes the spool's directory (not its parents), its marker and folders, or sets owner and mode of those
 * that exist, once it is seen to be a spool and holding its lock meanwhile: new/ is writer's, group owner_gid, mode 2770; the others are owner's, 0700; the spool itself is owner's, 0711.
 * Without root all are the caller's own ids.  As spool_check(); FAIL_POLICY: another process has the lock.
 */
int spool_make(const char *dir, uid_t writer, uid_t owner, gid_t owner_gid, struct fail *);

/* FAIL_SYS; FAIL_INPUT where the folders are not on one file system. */
int spool_open(struct spool *, const char *dir, struct fail *);
void spool_close(struct spool *);

/* The one process that changes the spool holds this until it closes or ends.  FAIL_POLICY: taken. */
int spool_lock(struct spool *, struct fail *);

/*
 * Group commit.  Add what the writers have finished, commit, look at each item: with ok set it is on
 * disk, whole, under its name in queue/ (say 250); otherwise its file is gone and fail says why (say
 * 451; 452 for ENOSPC and EDQUOT).  An item of no sense (no such file, a link, a size that is not the
 * head's, times that cannot be: SPOOL_ARRIVED_S, SPOOL_AHEAD_S) fails by itself; a file that has more octets than its
 * head says goes to bad/.  A failed sync fails all of the batch: the files are unlinked, never synced
 * again, and the spool is sick: it takes nothing until spool_probe() succeeded.
 */
struct spool_item {
	void *arg;			/* the caller's */
	int ok;
	struct fail fail;
	struct spool_name name;		/* as it is in queue/; before the commit only id and due */
	int64_t size;			/* message octets */
	size_t nrcpts;
	struct spool_message msg;	/* as it was read, open for reading; where fd is -1 it was not kept */
	int moved;
};

struct spool_batch {
	struct spool_item *item;
	size_t n, room;
};

#define SPOOL_BATCH_INIT { .item = NULL, .n = 0, .room = 0 }

/* The ID may be anything that a peer-facing process sent. */
void spool_batch_add(struct spool_batch *, const char *id, int64_t due, void *arg);
/* How many items are ok; -1 where a sync failed or the spool is sick, with the reason. */
ssize_t spool_batch_commit(struct spool *, struct spool_batch *, struct fail *);
/*
 * The same in two halves, of which one batch's second goes with the next one's first.  Makes the data of next
 * last, and the names of named, which was next in the round before, with one sync where there are both; then
 * the items of named are as after a commit, and those of next have their names in queue/ but nobody must be told.
 * Either may be empty.  -1: as above, of both; a sync that fails fails them all.
 */
int spool_batch_round(struct spool *, struct spool_batch *named, struct spool_batch *next, struct fail *);

/*
 * A round in three steps, so that the second, which waits for the disk, may be made by another thread.  _begin looks at next;
 * 1: there is something to sync.  _sync makes nothing but system calls, and writes to *y alone and to the count in the spool.
 * _end as spool_batch_round().  Between the first and the last both batches stay as they are, and no other function that
 * syncs is called, other than _move and _set_aside.
 */
struct spool_sync {
	struct spool *s;
	const struct spool_item *file[SPOOL_SYNC_EACH_MAX];	/* their data */
	size_t nfiles;
	int folders;			/* queue/ and new/ */
	int all;			/* everything instead */
	struct fail fail;
};

int spool_round_begin(struct spool *, const struct spool_batch *named, struct spool_batch *next, struct spool_sync *y);
void spool_round_sync(struct spool_sync *y);
int spool_round_end(struct spool *, struct spool_batch *named, struct spool_batch *next, const struct spool_sync *y,
    struct fail *);

/* Hands over an item's message, the caller's to clear; 0: it was not kept. */
int spool_item_take(struct spool_item *, struct spool_message *);
void spool_batch_reset(struct spool_batch *);	/* empty, ready for the next */
void spool_batch_clear(struct spool_batch *);	/* frees */

/*
 * Empties new/, then writes, syncs, moves and removes a fresh file as a commit would; success makes the
 * spool well again.  The messages under way are lost to their writers (their commits will fail):
 * the kernel tells of a lost page once, so that the failed sync may have been the last to hear of one
 * of theirs.  Costs some syncs: once a second or so, while sick.
 */
int spool_probe(struct spool *, struct fail *);

/*
 * Changes of a file in a folder.  _reschedule renames for a new due time or new domains and is not
 * synced (after a power cut the old name may be back); _move and _set_aside sync both folders
 * (a file whose move cannot be synced is put back);
 * _remove is not synced (a message may come back: a duplicate).  None of them overwrites a file.
 */
int spool_reschedule(struct spool *, enum spool_folder, const struct spool_name *from,
    const struct spool_name *to, struct fail *);
int spool_move(struct spool *, enum spool_folder from, enum spool_folder to, const char *name,
    struct fail *);
int spool_set_aside(struct spool *, enum spool_folder, const char *name, struct fail *);
int spool_remove(struct spool *, enum spool_folder, const char *name, struct fail *);

/*
 * The names in a folder, as they come; names that begin with a dot are left out.  Opens no file and
 * keeps no list.  A file renamed meanwhile may be seen twice or not at all.
 */
struct spool_scan {
	DIR *d;
};

int spool_scan_open(struct spool_scan *, int dirfd, struct fail *);
/* The next name, valid until the next call; NULL at the end, or with fail->kind set at an error. */
const char *spool_scan_next(struct spool_scan *, struct fail *);
void spool_scan_close(struct spool_scan *);	/* twice does no harm */

/*
 * Start-up.  Removes the files that dead writers left in new/ (those named by an ID), moves files of queue/
 * and hold/ whose names say nothing to bad/, and hands each other name to fn (NULL allowed), without opening a
 * file.  What cannot be moved there (a directory of another user's, a full disk) stays where it is and is handed to
 * left (NULL allowed): a file that is no message keeps no mail waiting.  Where writers are at work already,
 * keep_since_us is a time before the first of them started: files in new/ whose ID is not older stay.  0: all go.
 */
typedef void spool_found_fn(void *arg, enum spool_folder, const struct spool_name *);
typedef void spool_left_fn(void *arg, const struct fail *);

struct spool_recovered {
	size_t removed;		/* from new/ */
	size_t set_aside;	/* to bad/ */
	size_t left;		/* that should have been */
	size_t queued, held;	/* handed to fn */
};

int spool_recover(struct spool *, int64_t keep_since_us, spool_found_fn *, spool_left_fn *, void *arg,
    struct spool_recovered *, struct fail *);

#endif
