/*
 * cut - an in that does not read its answers: a client took it over, and they would fill the memory of whoever answers.
 * It loses its channel, and the master is asked to kill it, which starts another.
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
void cut_gone(struct role *, const char *role_name, unsigned worker, const struct fail *);

#endif
