/*
 * sched - which queued message is to be tried next.
 *
 * Messages wait under their destination (a domain, or what stands for several), each with a due time.
 * sched_next() goes round the destinations that have a message due and a free place, one message of
 * each in turn, so that a dead domain with 100,000 messages delays nobody else.  How many of a
 * destination's messages are out at once grows with success and shrinks with failure; a destination
 * that cannot be reached sleeps, and its messages with it.
 *
 * Many destinations may have their mail at one host.  So a message needs a place at the host as well, of
 * which there are as many as of a destination, growing and shrinking likewise.  Which host that is only
 * the plan says: the caller enters it with sched_enter(), and where that fails hands the message back and
 * says sched_hold().  From then on the destination as a whole waits for the host, in line with the others
 * behind it, and a place is taken for each of its messages before it is handed out.  What waits so holds
 * nothing: no place of its destination, none among all that are out, no open file.  (Messages that wait
 * while they are out would soon fill the places of all, and one slow host with a thousand domains stop the
 * mail for everybody else.)  The price is that a message to several domains is read again for each host
 * that makes it wait.
 *
 * A host that cannot be used sleeps.  Destinations behind it are handed out then without a place, so that
 * the caller can take the next host of the plan; those for which no other would do wait until it wakes.
 *
 * No I/O and no clock: times are arguments, in seconds of any one clock.  Names of files stay the
 * caller's: sleep changes no message's due time, so that ID, due time and key say where it lies.
 *
 * Every operation takes O(log n).  1,000,000 messages: at most 136 octets for each, and 350 and its key
 * for each destination; SCHED_IDLE_MAX destinations, and as many hosts, are remembered behind their last
 * message.
 */
#ifndef MTATLS_SCHED_H
#define MTATLS_SCHED_H

#include <stddef.h>
#include <stdint.h>

#include "spool_file.h"

#define SCHED_BACKOFF_MIN (5 * 60)		/* seconds behind the first try */
#define SCHED_BACKOFF_TIMES 48			/* so long at most, in first waits, where nothing is configured */
#define SCHED_JITTER_PERCENT 20			/* more or less, of either */
#define SCHED_LIFETIME (5 * 86400)		/* where nothing is configured */

#define SCHED_PLACES_INITIAL 5			/* messages of a destination out at once */
#define SCHED_PLACES_MIN 1
#define SCHED_PLACES_MAX 20
#define SCHED_IDLE_MAX 10000			/* destinations without a message that are remembered */
#define SCHED_HELD_MAX 1800			/* seconds behind a host until the plan is asked again */

#define SCHED_NEVER INT64_MAX

/*
 * A message, the scheduler's own from sched_add() to sched_finished() or sched_remove().  All but arg
 * is for reading.
 */
struct sched_message {
	char id[SPOOL_ID_SIZE];
	uint8_t out;			/* handed out by sched_next(), not finished */
	int64_t due;
	int64_t deadline;		/* handed out then, though its destination sleeps */
	struct sched_destination *destination;
	struct sched_host *host;	/* a place there was taken for it; NULL: none, or entered */
	void *arg;
	uint32_t at[2];			/* where the heaps have it */
};

struct sched;

/* total: how many messages may be out at once; seed: a random number, against chosen keys. */
struct sched *sched_new(unsigned total, uint64_t seed);
void sched_free(struct sched *);	/* NULL allowed */

/*
 * A message to be tried from its due time on.  The deadline is that of its next notice or its
 * expiry (SCHED_NEVER: none): a message whose destination still sleeps then is handed out as overdue.
 * NULL where the ID is there already.
 */
struct sched_message *sched_add(struct sched *, const char *id, int64_t due, int64_t deadline,
    const char *key, void *arg);
struct sched_message *sched_find(const struct sched *, const char *id);	/* NULL: unknown */
const char *sched_key(const struct sched_message *);
/* A message that waits gets other times. */
void sched_change(struct sched *, struct sched_message *, int64_t due, int64_t deadline);
/* Forgets a message that waits. */
void sched_remove(struct sched *, struct sched_message *);

enum sched_why {
	SCHED_TRY,	/* due, and there is a place for it */
	SCHED_OVERDUE	/* past its deadline and its destination sleeps or is held: not to be tried */
};

/* Hands out a message, which takes a place; NULL: nothing now. */
struct sched_message *sched_next(struct sched *, int64_t now, enum sched_why *);

/* When sched_next() may have one: at or before now: at once; SCHED_NEVER: not until another call. */
int64_t sched_wake(const struct sched *);

enum sched_outcome {
	SCHED_WORKED,		/* the destination's host took a message or refused it in good order */
	SCHED_BROKE,		/* unreachable, or it would not go on: connection, greeting, TLS, 421 */
	SCHED_SAYS_NOTHING	/* about the host: not tried, DNS, policy */
};

/*
 * Gives the place of a message that was handed out back and forgets the message; what is to be tried
 * again is added again.  The key may be another then.
 */
void sched_finished(struct sched *, struct sched_message *, enum sched_outcome);

/* A destination is not tried before that time; 0 wakes it.  Those out already stay out. */
void sched_sleep(struct sched *, const char *key, int64_t until);

/*
 * The same for 0, and so for the host behind which it waits, or finds itself at its next turn: somebody asked for it.  A sleep
 * that begins later is none of those.
 */
void sched_rouse(struct sched *, const char *key);

struct sched_state {
	size_t waiting;
	unsigned out;
	unsigned places;
	unsigned broke;		/* times in a row */
	int down;		/* that is as often as it has places left, and twice at least: not chance any more */
	int64_t until;		/* sleeps until then; 0 or past: it does not */
};

/* Zero, with the initial places, for a key that is not known. */
struct sched_state sched_state(const struct sched *, const char *key);

/*
 * The messages that wait for a destination, in no order: number i of sched_state().waiting.  Each call
 * that changes the scheduler may change the numbers.
 */
struct sched_message *sched_waiting(const struct sched *, const char *key, size_t i);

/* ---- hosts: any names, say host@port ---- */

/*
 * Takes a place at a host for a message that is out; the one that was taken when it was handed out, if
 * that is the host.  0: there is none, or the host sleeps.  A message may have several places.
 */
int sched_enter(struct sched *, struct sched_message *, const char *host, int64_t now);
/* The same for what is under way already and moves on to this host: beyond its places if need be. */
void sched_enter_anyway(struct sched *, const char *host);
/* Gives one place back. */
void sched_leave(struct sched *, const char *host, enum sched_outcome);
/* The place that was taken for a message when it was handed out, if it did not enter there, is free. */
void sched_spare(struct sched *, struct sched_message *);

/* A destination with messages goes to this host, and they wait for places there from now on. */
void sched_behind(struct sched *, const char *key, const char *host);
/* The same, and it stands in line now.  alone: no other host would do, so it waits while it sleeps. */
void sched_hold(struct sched *, const char *key, const char *host, int alone, int64_t now);

void sched_host_sleep(struct sched *, const char *host, int64_t until);	/* as sched_sleep() */
int sched_host_asleep(struct sched *, const char *host, int64_t now);
/* waiting: destinations in line for it. */
struct sched_state sched_host_state(const struct sched *, const char *host);

/* Where mail goes may be another matter from now on: no destination waits for the host that it was behind. */
void sched_hosts_anew(struct sched *);

/* A host that has exactly so many places, whatever comes of those that take them: a limit. */
void sched_host_places(struct sched *, const char *host, unsigned places);

/* A destination, and a host, whose places may grow beyond SCHED_PLACES_MAX.  Unknown ones learn nothing of it. */
void sched_most(struct sched *, const char *key, unsigned most);
void sched_host_most(struct sched *, const char *host, unsigned most);

size_t sched_count(const struct sched *);	/* messages, those out included */
unsigned sched_out(const struct sched *);	/* those that are out */

/*
 * Seconds until the next try after so many tries (at least one) of a message so old: the first wait,
 * doubled with each try up to the most, then more or less by the jitter, but a try at the age until, which
 * is the end of its lifetime or a notice's time.  -1: it is that old.  random is any 32 bits.
 */
int64_t sched_backoff(int64_t first, int64_t most, unsigned tries, int64_t age, int64_t until, uint32_t random);

#endif
