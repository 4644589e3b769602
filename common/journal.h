/*
 * journal - final results that a delivering process has read, written down before anybody is told.
 *
 * A result goes from out to queue through a socket, and what lies in a socket dies with either end.  So
 * each out has a file in the spool's results/, made by the queue and handed over as a descriptor, and
 * writes a line there with one write(2) before it sends the result.  Whoever is killed then, the line
 * stands.  Nothing is synced: journals are for the death of processes, not of machines.
 *
 *	ID NUMBER STATE PROOF TEXT	delivered or failed; NUMBER is the recipient's
 *
 * PROOF is a code over ID and NUMBER with a key that only the queue has (results/.key); it comes with the
 * order.  So an out that a peer took over can settle those recipients that it was given, and no other.
 *
 * Failures are as in spool_file.h.
 */
#ifndef MTATLS_JOURNAL_H
#define MTATLS_JOURNAL_H

#include "spool.h"

#define JOURNAL_SWITCH_AT (1024 * 1024)		/* octets after which a new one is begun */
#define JOURNAL_MAX (16 * 1024 * 1024)		/* octets that are read of one; no honest one has as many */
#define JOURNAL_PROOF_SIZE 17			/* 16 hexadecimal digits and a NUL */
#define JOURNAL_WAIT_MS 5000			/* at the start, for an out of before to end */

struct journal_key {
	unsigned char octets[32];
};

void journal_proof(char dst[JOURNAL_PROOF_SIZE], const struct journal_key *, const char *id,
    size_t number);

/*
 * Makes the file; returns a descriptor to append to, the caller's to hand on and close.  Whoever has it or a
 * copy of it holds the lock that journal_replay() waits for.  FAIL_SYS.
 */
int journal_make(const struct spool *, const char *name, struct fail *);
void journal_remove(const struct spool *, const char *name);	/* absent: nothing */

/* The writing end.  The descriptor is the caller's; -1: nothing is written, which is no failure. */
struct journal_pen {
	int fd;
	int torn;	/* the last line may lack its end */
};

struct journal_result {
	const char *id;
	size_t number;
	enum spool_rcpt_state state;	/* delivered or failed */
	const char *proof;
	const char *text;		/* cut at SPOOL_SAID_MAX */
};

int journal_write(struct journal_pen *, const struct journal_result *, struct fail *);

/*
 * Hands each good line to fn, in their order.  A last line without its end is left out; damaged counts
 * the others that are not good.  FAIL_SYS; FAIL_INPUT: larger than JOURNAL_MAX.
 */
typedef void journal_fn(void *arg, const struct journal_result *);

int journal_read(const struct spool *, const char *name, const struct journal_key *, journal_fn *,
    void *arg, size_t *damaged, struct fail *);

/*
 * The queue's start, before anything is tried: appends the results of all journals to the files of
 * queue/ and hold/ that lack them, syncs those, removes the journals, and makes *key, which is new.  What
 * cannot be done is told to problem and counted as failed; then the journals and the key stay as they
 * are.  A file that is damaged, or gone, is nobody's problem here.  FAIL_SYS: there is no key.
 */
struct journal_replayed {
	size_t journals;
	size_t results;		/* appended */
	size_t damaged;		/* lines */
	size_t failed;
};

typedef void journal_problem_fn(void *arg, const char *name, const struct fail *);

int journal_replay(struct spool *, struct journal_key *, journal_problem_fn *, void *arg,
    struct journal_replayed *, struct fail *);

#endif
