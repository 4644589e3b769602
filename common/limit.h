/*
 * limit - how much a client of the relay may do: one table of keys for smtp-relay.conf's `limit` lines, listeners
 * and hosts.  What a narrower place says goes before what a wider one says; smtp-relay.conf(5) has the keys.
 */
#ifndef MTATLS_LIMIT_H
#define MTATLS_LIMIT_H

#include <stdint.h>

#include "fail.h"
#include "smtp_server.h"
#include "text.h"

enum limit_key {
	LIMIT_SIZE,		/* octets of a message */
	LIMIT_RECIPIENTS,	/* of a message */
	LIMIT_MESSAGES,		/* of a session */
	LIMIT_ERRORS,		/* commands refused, since the last message */
	LIMIT_REFUSED,		/* recipients refused, likewise */
	LIMIT_JUNK,		/* commands that move no mail, likewise */
	LIMIT_AUTH_FAILURES,	/* of a session */
	LIMIT_LINE,		/* octets of a line of a message */
	LIMIT_HEADER,		/* octets of a header section */
	LIMIT_RECEIVED,		/* Received fields */
	LIMIT_COMMAND_TIME,	/* seconds for a whole command */
	LIMIT_DATA_TIME,	/* seconds for each LIMIT_DATA_MIN octets of a message, and for its end */
	LIMIT_DATA_MIN,
	LIMIT_HANDSHAKE_TIME,	/* seconds */
	LIMIT_SESSION_TIME,	/* seconds */
	LIMIT_CLIENT_CONCURRENCY, /* sessions at once of a client; 0: no limit, likewise below */
	LIMIT_CONNECTION_RATE,	/* of a client; the time is in per[] */
	LIMIT_MESSAGE_RATE,
	LIMIT_RECIPIENT_RATE
};
#define LIMIT_KEYS (LIMIT_RECIPIENT_RATE + 1)

/*
 * client-concurrency where nothing is said, of a listener that has so many sessions: a tenth, but 50 at least, as large
 * senders come with some tens, and half of them at most (1 of 1), so that one client cannot keep all others away.
 */
#define LIMIT_SHARE_PARTS 10
#define LIMIT_SHARE_MIN 50
unsigned limit_share(unsigned concurrency);

/* All zero says nothing.  No more than values: to be copied at will. */
struct limits {
	uint64_t value[LIMIT_KEYS];
	uint32_t per[LIMIT_KEYS];	/* of rates: in so many seconds */
	uint32_t given;			/* a bit, 1 << key, for each that is said */
};

/* What holds where nothing is said. */
extern const struct limits limits_standard;

int limit_find(const char *key);	/* -1: no limit has that name */
const char *limit_name(enum limit_key);

/* Sets one by its word.  FAIL_INPUT: names the key and what is expected; or it is said already. */
int limit_set(struct limits *, enum limit_key, const char *word, struct fail *);

/* A rate: "60", in a minute, or "600/1h".  The name is for the error; the time is in seconds. */
int limit_rate(const char *name, const char *word, long long lo, long long hi, long long *n, uint32_t *per,
    struct fail *);

int limits_has(const struct limits *, enum limit_key);	/* is it said? */

/* Takes over what the second one says. */
void limits_overlay(struct limits *, const struct limits *);

/* Appends ", KEY VALUE" for each that is said. */
void limits_print(struct buf *, const struct limits *);

/* Those that the protocol machine looks after; of limits that are complete. */
void limits_server(const struct limits *, struct smtp_server_limits *);

#endif
