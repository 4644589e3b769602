/*
 * spool_file - one message in one file: its queue ID, its name, its envelope; writing and reading it.
 *
 * mtatls-spool(5) has the format.  spool.h has the folders that the files move through; it includes
 * this header, and is the one to read first.
 *
 * FAIL_INPUT: a file is damaged, or is none of ours.  FAIL_SYS: the system refused; err has errno
 * (ENOSPC, EDQUOT, EIO, EFBIG; ENOENT from spool_read(): the file is gone, which beside a running
 * relay is no error).  Times are seconds since 1970 unless the name says otherwise.
 */
#ifndef MTATLS_SPOOL_FILE_H
#define MTATLS_SPOOL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fail.h"

#define SPOOL_FORMAT 2	/* is written; 1 is read too */

#define SPOOL_ID_LEN 14				/* characters of a queue ID */
#define SPOOL_ID_SIZE (SPOOL_ID_LEN + 1)
#define SPOOL_WORKER_MAX 3843			/* the highest number of a worker: 62 * 62 - 1 */
#define SPOOL_DOMAIN_MAX 200			/* octets of a domain that a file's name can hold */
#define SPOOL_NAME_SIZE 256			/* a file's name with its NUL */
#define SPOOL_DUE_MAX 99999999999LL		/* the latest due time: what a name has digits for */
#define SPOOL_ENVELOPE_MAX (16 * 1024 * 1024)	/* octets before the message */
#define SPOOL_RCPTS_MAX 50000			/* recipients of a message */
#define SPOOL_WORDS_MAX 500			/* options of an address, words of tls */
#define SPOOL_SIZE_MAX 999999999999LL		/* octets of a message: what the head has digits for */
#define SPOOL_RECORD_MAX 4096			/* octets in a result record with its line end */
#define SPOOL_SAID_MAX 1300			/* octets of a result's text; the rest is cut */

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
unsigned spool_id_worker(const char *id);	/* likewise */

/* ESMTP parameters ("BODY=8BITMIME") and the like; none of them empty.  All zero: none. */
struct spool_words {
	char **v;
	size_t n;
};

void spool_words_add(struct spool_words *, const char *);	/* copies */
char *spool_words_text(const struct spool_words *);	/* " WORD WORD", "" for none; the caller frees */

enum spool_rcpt_state {
	SPOOL_RCPT_WAITING,	/* never tried */
	SPOOL_RCPT_DEFERRED,	/* tried; to be tried again */
	SPOOL_RCPT_DELIVERED,	/* the next host took it */
	SPOOL_RCPT_FAILED,	/* refused or expired; the sender is to be told */
	SPOOL_RCPT_CLOSED,	/* failed, and the sender was told or must not be */
	SPOOL_RCPT_RELAYED,	/* taken by a host without DSN; the sender asked to be told (RFC 3461 5.2.2) */
	SPOOL_RCPT_ARRIVED,	/* taken by the host that delivers it, without DSN (LMTP); likewise (5.2.1) */
	SPOOL_RCPT_DELAYED	/* in records only: deferred as before, and the sender was told that it is late */
};
#define SPOOL_RCPT_STATES (SPOOL_RCPT_DELAYED + 1)

const char *spool_rcpt_state_name(enum spool_rcpt_state);

struct spool_rcpt {
	char *address;			/* without <> */
	struct spool_words options;
	/* From the result records; a writer ignores them. */
	enum spool_rcpt_state state;
	unsigned tries;			/* records of it */
	int64_t when;			/* of the last record; 0: none */
	char *said;			/* its text, NULL: none */
	int told_late;			/* the sender was told that it waits */
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
 * A file's name in queue/ and hold/: the ID, when it is due, and the domain of its recipients, or a
 * hash where they are of several or the domain does not fit.
 */
struct spool_name {
	char id[SPOOL_ID_SIZE];
	int64_t due;				/* 0..SPOOL_DUE_MAX */
	uint64_t hash;				/* of the domain or of all of them */
	char domain[SPOOL_DOMAIN_MAX + 1];	/* "": several, or none that fits */
};

void spool_name_format(char dst[SPOOL_NAME_SIZE], const struct spool_name *);
int spool_name_parse(const char *, struct spool_name *);	/* 0, or -1: no such name */

/* Sets hash and domain from the recipients that are waiting or deferred. */
void spool_name_domains(struct spool_name *, const struct spool_envelope *);

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
/* There are octets above 127 in the message: it has to go as BODY=8BITMIME (RFC 6152). */
void spool_writer_set_8bit(struct spool_writer *);
int64_t spool_writer_size(const struct spool_writer *);		/* message octets so far */
int spool_writer_finish(struct spool_writer *, struct fail *);	/* completes, closes; frees always */
void spool_writer_abort(struct spool_writer *);			/* removes the file; frees; NULL allowed */

/*
 * A message of our own: _own gives the envelope its ID and says that it arrived now; _write makes the whole file, which is the
 * caller's to have committed.  bits8: as spool_writer_set_8bit().  -1 with the reason, and no file is left.
 */
void spool_envelope_own(struct spool_envelope *, struct spool_ids *, int64_t now_us);
int spool_write(int newfd, const struct spool_envelope *, const void *, size_t, int bits8, struct fail *);

/* A message read.  The descriptor is open for reading, or for both with SPOOL_WRITE. */
struct spool_message {
	int fd;
	struct spool_envelope env;	/* with the recipients' states */
	int64_t offset;			/* of the message's first octet in the file */
	int64_t size;			/* message octets */
	uint32_t crc;			/* CRC-32 of them */
	uint32_t seed;			/* of the result records' checks */
	int has8bit;			/* read it with spool_is_8bit() */
	int64_t end;			/* where the last good result record ends */
	int torn;			/* there are octets behind it, which do not count */
};

#define SPOOL_VERIFY	0x1	/* read the message too, and compare its checksum */
#define SPOOL_WRITE	0x2	/* for spool_message_result() */
#define SPOOL_UNTRIED	0x4	/* nothing can have become of it yet: no result records are looked for */

/*
 * Reads head, envelope and result records of a file in the folder dirfd; nothing of the message unless
 * asked.  No link is followed.  *m is set in case of success; spool_message_clear() closes and frees.
 */
int spool_read(int dirfd, const char *name, unsigned flags, struct spool_message *, struct fail *);
/* The checksum of a message read piece by piece, from 0: to be compared with m->crc. */
uint32_t spool_crc(uint32_t so_far, const void *, size_t);

int spool_verify(const struct spool_message *, struct fail *);	/* the message's checksum; streams */
void spool_message_clear(struct spool_message *);

/*
 * Are there octets above 127 in the message?  The content decides, not what the client declared; of a
 * file in format 1 only that is known.
 */
int spool_is_8bit(const struct spool_message *);

/* Up to n octets of the message from its position pos: how many, 0 at its end, -1 FAIL_SYS. */
ssize_t spool_message_pread(const struct spool_message *, void *, size_t n, int64_t pos, struct fail *);

/*
 * Appends a result record for recipient number i and takes it into *m.  Not synced: after a power cut
 * it may be missing, which costs a duplicate.  text is cut where a record would grow too long; NULL: none.
 */
int spool_message_result(struct spool_message *, size_t i, enum spool_rcpt_state, int64_t when,
    const char *text, struct fail *);

/*
 * The same in two steps, for many at once: takes results into *m alone; later appends a record for each
 * recipient i with noted[i] set, as it stands then, all or (FAIL_SYS) perhaps some.
 */
void spool_message_note(struct spool_message *, size_t i, enum spool_rcpt_state, int64_t when, const char *text);
int spool_message_write(struct spool_message *, const char *noted, struct fail *);

#endif
