/*
 * control - how relayq tells a running relay to change its queue: a socket in the spool's directory.
 *
 * The relay alone changes its spool while it runs.  A question is one SOCK_SEQPACKET record, "VERB FILE": FILE is
 * the message's name in queue/ or hold/, of which only the ID counts in queue/.  The answer is one record: "ok",
 * "later" (the message is being delivered; it is done when that ends), "absent", or "failed REASON".  Whoever may
 * connect may change the queue: the socket is its owner's, mode 0600.
 */
#ifndef MTATLS_CONTROL_H
#define MTATLS_CONTROL_H

#include <stddef.h>

#include "fail.h"

#define CONTROL_SOCKET "control"
#define CONTROL_RECORD_MAX 1024		/* octets of a question or an answer */
#define CONTROL_CLIENTS_MAX 16		/* more wait in the backlog */
#define CONTROL_ANSWERS_MAX 16		/* kept for a client who does not read; it has to wait until it does */
#define CONTROL_ANSWER_MS 60000		/* a queue that syncs a large group takes its time */

enum control_verb {
	CONTROL_HOLD,		/* queue/ -> hold/ */
	CONTROL_RELEASE,	/* hold/ -> queue/, due now */
	CONTROL_RETRY,		/* due now, and its destination is awake */
	CONTROL_DELETE		/* from either; nobody is told */
};
#define CONTROL_VERBS (CONTROL_DELETE + 1)

const char *control_verb_name(enum control_verb);	/* "hold" ... */
int control_verb_parse(const char *, enum control_verb *);	/* 0, -1 */

enum control_answer {
	CONTROL_OK,
	CONTROL_LATER,
	CONTROL_ABSENT,
	CONTROL_FAILED
};

const char *control_answer_name(enum control_answer);

/* The relay's end, listening in the directory; an old socket there is replaced.  A descriptor, the caller's to close;
 * -1: FAIL_SYS. */
int control_listen(int spool_root, struct fail *);

/* The other end, likewise.  -1: FAIL_SYS; err ENOENT or ECONNREFUSED: no relay runs there. */
int control_connect(int spool_root, struct fail *);

/* Asks and waits for the answer; f has the reason of FAILED, and why there is no answer: -1. */
int control_ask(int sock, enum control_verb, const char *file, struct fail *f);

#endif
