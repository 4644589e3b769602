/*
 * cut - a worker that lives and does not do its work: the master is asked to kill it, which starts another.
 *
 * An in that does not read its answers, which would fill the memory of whoever answers, was taken over by a client: it loses its
 * channel at once.  What an out or sign has under way is somebody's mail: outlet.h and signer.h say when they are given up.
 */
#ifndef RELAY_CUT_H
#define RELAY_CUT_H

#include "channel.h"
#include "conf.h"
#include "role.h"

/*
 * An in in its senses has one question for each session, and answers have some 100 octets; where the disk is sick, or
 * the machine stands still, all of them may wait at once.  This is some times as much.
 */
#define CUT_AT (1024 * 1024)	/* octets of answers that wait for an in */
#define CUT_AT_SESSION 1024	/* and for each session that listeners have */

/* Sessions that an in may have at once, and so questions that wait for an answer. */
size_t cut_sessions(const struct conf *);

/* From now on the channel, which leads to an in, is cut at that. */
void cut_watch(struct channel *, const struct conf *);

/* For the channel's gone(): what the fail says may be that it was cut; then it is logged, and the master told. */
void cut_gone(const char *role_name, unsigned worker, const struct fail *);

/* kind: "worker", "out" or "sign", as the master introduced it.  Logged, and the master told. */
void cut_ask(const char *role_name, const char *kind, unsigned number, const char *why);

#endif
