/*
 * controls - what a destination says besides its policy: the certificate that is shown there, how much goes there at
 * once, from which address, and how patiently.  Keys of smtp-relay.conf's `destination` lines.
 */
#ifndef MTATLS_CONTROLS_H
#define MTATLS_CONTROLS_H

#include <stdint.h>

#include "facts.h"
#include "fail.h"
#include "text.h"

enum controls_key {
	CONTROLS_CERT,
	CONTROLS_BIND_ADDRESS,
	CONTROLS_CONCURRENCY,	/* messages under way at once; 0: as the scheduler has it */
	CONTROLS_MESSAGE_RATE,	/* of them, in rate_time; 0: any number */
	CONTROLS_MAX_MESSAGES,	/* on one connection */
	CONTROLS_MAX_RECIPIENTS, /* of one transaction */
	CONTROLS_CONNECT_TIME,	/* seconds, likewise below */
	CONTROLS_COMMAND_TIME,	/* 0: as RFC 5321 4.5.3.2 has it, likewise below */
	CONTROLS_DATA_TIME,	/* for the host to take what was sent */
	CONTROLS_END_TIME,	/* for the answer to the message */
	CONTROLS_CHUNKING	/* 1: used where it is offered */
};
#define CONTROLS_KEYS (CONTROLS_CHUNKING + 1)

#define CONTROLS_RECIPIENTS_MAX 100	/* RFC 5321 4.5.3.1.8: a host takes as many */

enum { CONTROLS_V4, CONTROLS_V6, CONTROLS_FAMILIES };

struct controls {
	char *cert;			/* an identity; NULL: none is shown */
	struct facts_addr bind[CONTROLS_FAMILIES];	/* source addresses; family 0: the system's choice */
	uint32_t n[CONTROLS_KEYS];	/* of the keys from CONCURRENCY on */
	uint32_t rate_time;		/* seconds */
	unsigned given;			/* a bit, 1 << key, for each that is said */
	const char *credentials;	/* not a key: the route's, borrowed; NULL: none */
};

/* What holds where nothing is said. */
extern const struct controls controls_standard;

int controls_find(const char *key);		/* -1: there is no such key */
const char *controls_name(enum controls_key);

/* Sets one by its word.  FAIL_INPUT: names the key and what is expected. */
int controls_set(struct controls *, enum controls_key, const char *word, struct fail *);
void controls_clear(struct controls *);

/* Takes over what the second one says; its strings are borrowed then. */
void controls_overlay(struct controls *, const struct controls *);

/* The source address for a host's; NULL: the system chooses. */
const struct facts_addr *controls_bind0(const struct controls *, const struct facts_addr *to);

/* Appends ", KEY VALUE" for each that is said. */
void controls_print(struct buf *, const struct controls *);

#endif
