/*
 * spool - messages on disk, one file each; the folder that a file stands in is its state.
 *
 *	new/	a writer is at work, or died; nobody was told that the message is taken
 *	queue/	taken: whole, synced, owed to its recipients
 *	hold/	as queue/, but not to be tried until it is released
 *	bad/	damaged or of no sense; kept for a person to look at
 *
 * mtatls-spool(5) has the format of a file and of its names.  Who does what:
 *
 *	in	spool_writer_*(): makes files in new/, syncs nothing, needs only new/'s descriptor
 *	queue	spool_batch_*(): syncs many files at once and moves them to queue/; spool_read() and
 *		all the rest; one process at a time (spool_lock())
 *	relayq	spool_scan_*() and spool_read(), beside a running relay
 *
 * FAIL_INPUT: a file is damaged, or is none of ours.  FAIL_SYS: the system refused; err has errno
 * (ENOSPC, EDQUOT, EIO, EFBIG; ENOENT from spool_read(): the file is gone, which beside a running
 * relay is no error).  Times are seconds since 1970 unless the name says otherwise.
 */
#ifndef MTATLS_SPOOL_H
#define MTATLS_SPOOL_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fail.h"
#include "text.h"

#define SPOOL_DIR_DEFAULT "/var/spool/smtp-relay"
#define SPOOL_FORMAT 1

#define SPOOL_ID_LEN 14				/* characters of a queue ID */
#define SPOOL_ID_SIZE (SPOOL_ID_LEN + 1)
#define SPOOL_WORKER_MAX 3843			/* the highest number of a worker: 62 * 62 - 1 */
#define SPOOL_DOMAIN_MAX 200			/* octets of a domain that a file's name can hold */
#define SPOOL_FILE_NAME_SIZE 256		/* a file's name with its NUL */
#define SPOOL_ENVELOPE_MAX (16 * 1024 * 1024)	/* octets of the envelope, head included */
#define SPOOL_RCPTS_MAX 50000			/* recipients of a message */
#define SPOOL_RECORD_MAX 4096			/* octets in a result record with its line end */
#define SPOOL_SIZE_MAX 999999999999LL		/* octets of a message: what the head has digits for */
#define SPOOL_SYNC_EACH_MAX 2			/* files of a batch synced one by one; more: syncfs(2) */

/*
 * Queue IDs: 14 of [0-9A-Za-z]: microseconds since 1970, the worker's number, a number drawn at the
 * process's start, so that they are unique across workers and restarts and sort by time (strcmp).
 */
struct spool_ids {
	unsigned worker;
	unsigned salt;
	int64_t last_us;
};

void spool_ids_init(struct spool_ids *, unsigned worker);	/* worker is at most SPOOL_WORKER_MAX */
void spool_id_next(struct spool_ids *, int64_t now_us, char id[SPOOL_ID_SIZE]);
int spool_id_valid(const char *);
int64_t spool_id_time_us(const char *id);	/* of a valid ID */

/* ESMTP parameters ("BODY=8BITMIME") and the like; none of them empty.  All zero: none. */
struct spool_words {
	char **v;
	size_t n;
};

void spool_words_add(struct spool_words *, const char *);	/* copies */

enum spool_rcpt_state {
	SPOOL_RCPT_WAITING,	/* never tried */
	SPOOL_RCPT_DEFERRED,	/* tried; to be tried again */
	SPOOL_RCPT_DELIVERED,	/* the next host took it */
	SPOOL_RCPT_FAILED,	/* refused or expired; the sender is to be told */
	SPOOL_RCPT_CLOSED	/* failed, and the sender was told or must not be */
};

const char *spool_rcpt_state_name(enum spool_rcpt_state);

struct spool_rcpt {
	char *address;			/* without <> */
	struct spool_words options;
	/* From the result records; a writer ignores them. */
	enum spool_rcpt_state state;
	unsigned tries;			/* records of it */
	int64_t when;			/* of the last record; 0: none */
	char *said;			/* its text, NULL: none */
};

/*
 * Strings are the struct's own, NULL where absent; spool_envelope_clear() frees.  They hold no NUL;
 * any other octet is kept.  All zero is an empty one.
 */
struct spool_envelope {
	char id[SPOOL_ID_SIZE];
	int64_t arrived;
	char *listener;			/* its name */
	char *client;			/* the client's address; NULL: made here (a bounce) */
	char *client_name;		/* confirmed PTR name */
	char *helo;
	char *protocol;			/* ESMTPS and the like: Received's "with" */
	char *auth;			/* who authenticated */
	struct spool_words tls;		/* version, cipher, then name=value; none: clear text */
	char *from;			/* without <>; "" is the null sender; never NULL in a file */
	struct spool_words from_options;
	struct spool_rcpt *rcpt;	/* at least one in a file */
	size_t nrcpts;
};

struct spool_rcpt *spool_envelope_add_rcpt(struct spool_envelope *, const char *address);
void spool_envelope_clear(struct spool_envelope *);

/*
 * The writer.  newfd is a descriptor of new/; the file is made with mode 0660 less the umask, named
 * by the envelope's ID, which must be set as from, arrived and one recipient must.  Body octets go out
 * through a buffer: a message smaller than that costs one write(2).  Nothing is synced.  The first
 * error removes the file, and every later call fails with the same reason; end with finish or abort
 * all the same.  FAIL_SYS; FAIL_INPUT: the envelope or the message is larger than the format allows.
 * SIGXFSZ must be ignored for EFBIG to be seen.
 */
struct spool_writer;

struct spool_writer *spool_writer_begin(int newfd, const struct spool_envelope *, struct fail *);
int spool_writer_add(struct spool_writer *, const void *, size_t, struct fail *);
int64_t spool_writer_size(const struct spool_writer *);		/* message octets so far */
int spool_writer_finish(struct spool_writer *, struct fail *);	/* completes, closes; frees always */
void spool_writer_abort(struct spool_writer *);			/* removes the file; frees; NULL allowed */

enum spool_folder {
	SPOOL_NEW,
	SPOOL_QUEUE,
	SPOOL_HOLD,
	SPOOL_BAD
};
#define SPOOL_FOLDERS 4

const char *spool_folder_name(enum spool_folder);

/*
 * The descriptors are opened before anything is written, so that syncfs(2) reports every error since
 * (Linux 5.8), and stay open.  The fields are for reading; sick is set by a sync that failed.
 */
struct spool {
	int root;
	int dir[SPOOL_FOLDERS];
	int sick;			/* errno of the failed sync; 0: well */
	uint64_t syncs;			/* fsync, fdatasync and syncfs calls so far */
};

/* All zero is none of them: set to SPOOL_INIT so that spool_close() is safe. */
#define SPOOL_INIT { .root = -1, .dir = { -1, -1, -1, -1 }, .sick = 0, .syncs = 0 }

/*
 * Makes the spool's directory and its folders, or sets owner and mode of those that exist: new/ is
 * writer's, group owner_gid, mode 2770; the others are owner's, 0700; the spool itself is owner's, 0711.
 * Without root all are the caller's own ids.  FAIL_SYS.
 */
int spool_make(const char *dir, uid_t writer, uid_t owner, gid_t owner_gid, struct fail *);

/* FAIL_SYS; FAIL_INPUT where the folders are not on one file system. */
int spool_open(struct spool *, const char *dir, struct fail *);
void spool_close(struct spool *);

/* The one process that changes the spool holds this until it closes or ends.  FAIL_POLICY: taken. */
int spool_lock(struct spool *, struct fail *);

/*
 * A file's name in queue/ and hold/: the ID, when it is due, and the domain of its recipients, or a
 * hash where they are of several or the domain does not fit.
 */
struct spool_name {
	char id[SPOOL_ID_SIZE];
	int64_t due;				/* 0..99999999999 */
	uint64_t hash;				/* of the domain or of all of them */
	char domain[SPOOL_DOMAIN_MAX + 1];	/* "": several, or none that fits */
};

void spool_name_format(char dst[SPOOL_FILE_NAME_SIZE], const struct spool_name *);
int spool_name_parse(const char *, struct spool_name *);	/* 0, or -1: no such name */

/* Sets hash and domain from the recipients that are waiting or deferred. */
void spool_name_domains(struct spool_name *, const struct spool_envelope *);

/*
 * Group commit.  Add what the writers have finished, commit, look at each item: with ok set it is on
 * disk, whole, under its name in queue/ (say 250); otherwise its file is gone and fail says why (say
 * 451; 452 for ENOSPC and EDQUOT).  An item of no sense (no such file, a link, a size that is not the
 * head's) fails by itself.  A failed sync fails all of the batch: the files are unlinked, never synced
 * again, and the spool is sick: it takes nothing until spool_probe() succeeded.
 */
struct spool_item {
	void *arg;			/* the caller's */
	int ok;
	struct fail fail;
	struct spool_name name;		/* as it is in queue/; before the commit only id and due */
	int64_t size;			/* message octets */
	size_t nrcpts;
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
void spool_batch_reset(struct spool_batch *);	/* empty, ready for the next */
void spool_batch_clear(struct spool_batch *);	/* frees */

/*
 * Writes, syncs, moves and removes a fresh file as a commit would.  Success makes the spool well
 * again.  Costs some syncs: once a second or so, while sick.
 */
int spool_probe(struct spool *, struct fail *);

/* A message read.  The descriptor is open for reading, or for both with SPOOL_WRITE. */
struct spool_message {
	int fd;
	struct spool_envelope env;	/* with the recipients' states */
	int64_t offset;			/* of the message's first octet in the file */
	int64_t size;			/* message octets */
	uint32_t crc;			/* CRC-32 of them */
	uint32_t seed;			/* of the result records' checks */
	int64_t end;			/* where the last good result record ends */
	int torn;			/* there are octets behind it, which do not count */
};

#define SPOOL_VERIFY	0x1	/* read the message too, and compare its checksum */
#define SPOOL_WRITE	0x2	/* for spool_message_result() */

/*
 * Reads head, envelope and result records of a file in the folder dirfd; nothing of the message unless
 * asked.  No link is followed.  *m is set in case of success; spool_message_clear() closes and frees.
 */
int spool_read(int dirfd, const char *name, unsigned flags, struct spool_message *, struct fail *);
int spool_verify(const struct spool_message *, struct fail *);	/* the message's checksum; streams */
void spool_message_clear(struct spool_message *);

/* Up to n octets of the message from its position pos: how many, 0 at its end, -1 FAIL_SYS. */
ssize_t spool_message_pread(const struct spool_message *, void *, size_t n, int64_t pos, struct fail *);

/*
 * Appends a result record for recipient number i and takes it into *m.  Not synced: after a power cut
 * it may be missing, which costs a duplicate.  text is cut where a record would grow too long; NULL: none.
 */
int spool_message_result(struct spool_message *, size_t i, enum spool_rcpt_state, int64_t when,
    const char *text, struct fail *);

/*
 * Changes of a file in a folder.  _reschedule renames for a new due time or new domains and is not
 * synced (after a power cut the old name may be back); _move and _set_aside sync both folders;
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
 * Start-up.  Removes what dead writers left in new/, moves files of queue/ and hold/ whose names say
 * nothing to bad/, and hands each other name to fn (NULL allowed), without opening a file.  Where
 * writers are at work already, keep_since_us is a time before the first of them started: files in new/
 * whose ID is not older stay.  0: all go.
 */
typedef void spool_found_fn(void *arg, enum spool_folder, const struct spool_name *);

struct spool_recovered {
	size_t removed;		/* from new/ */
	size_t set_aside;	/* to bad/ */
	size_t queued, held;	/* handed to fn */
};

int spool_recover(struct spool *, int64_t keep_since_us, spool_found_fn *, void *arg,
    struct spool_recovered *, struct fail *);

#endif
