/*
 * survey - what one address shows over several connections: the certificate for each kind of key, the
 * versions of TLS, whether a session is resumed, the post-quantum group.
 *
 * The first connection offers all that OpenSSL has; the others one thing each, one after the other, at
 * most SURVEY_STEPS - 1 of them, and none where the first brought no TLS.
 */
#ifndef TLSCHECK_SURVEY_H
#define TLSCHECK_SURVEY_H

#include "reach.h"

enum survey_step {
	SURVEY_FIRST,
	SURVEY_RESUME,
	SURVEY_RSA,
	SURVEY_ECDSA,
	SURVEY_EDDSA,
	SURVEY_MLDSA,
	SURVEY_TLS_1_3,
	SURVEY_TLS_1_2,
	SURVEY_TLS_1_1,
	SURVEY_TLS_1_0,
	SURVEY_POST_QUANTUM
};
#define SURVEY_STEPS (SURVEY_POST_QUANTUM + 1)

enum survey_answer {
	SURVEY_NOT_TRIED, /* there was no need, or the first brought no TLS */
	SURVEY_CANNOT,	  /* OpenSSL, as linked, cannot ask for it */
	SURVEY_YES,	  /* of SURVEY_FIRST: TLS is up */
	SURVEY_NO,	  /* the server does not do it */
	SURVEY_UNSURE	  /* no connection, or broken off before TLS could be tried */
};

struct survey {
	struct reach_conf conf;
	const struct facts_addr *addr;
	uint16_t port;
	const char *sni;
	void (*done)(struct survey *, void *);
	void *arg;
	enum survey_step at;
	enum survey_answer answer[SURVEY_STEPS];
	struct reach reach[SURVEY_STEPS]; /* all zero where it was not made */
};

/* All borrowed.  done() comes once, from the loop; survey_clear() not within it. */
void survey_start(struct survey *, const struct reach_conf *, const struct facts_addr *, uint16_t port,
    const char *sni, void (*done)(struct survey *, void *), void *arg);
void survey_clear(struct survey *);

/* "RSA", "TLS 1.2": of what a step asks for. */
const char *survey_name(enum survey_step);

/* Whether it is one of the steps that show a certificate; the first is. */
int survey_is_key(enum survey_step);
int survey_is_version(enum survey_step);

/* The step that asks for the kind of key that this certificate has; SURVEY_FIRST: none does. */
enum survey_step survey_step_of_key(const X509 *);

#endif
