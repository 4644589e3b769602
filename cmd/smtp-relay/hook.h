/*
 * hook - the role that runs the operator's program for alerts, and the only one that starts any.  It hears only
 * from the queue, in records whose text may be hostile: the program is called without a shell, with three words of
 * plain characters, and reads the rest from standard input, as lines of the table grammar.
 *
 * The program gets none of our descriptors, an environment of our making, a time limit, and ends with us.
 */
#ifndef RELAY_HOOK_H
#define RELAY_HOOK_H

#include "conf.h"
#include "role.h"

#define HOOK_AT_ONCE 2		/* programs; the queue hands out no more */
#define HOOK_TIME_S 60		/* then SIGTERM, and */
#define HOOK_KILL_S 5		/* so long later SIGKILL; likewise for those that run when the relay stops */
#define HOOK_SAID_MAX 500	/* octets of what it prints that are logged; the rest is read and dropped */
#define HOOK_WORD_MAX 255	/* octets of an argument */

struct hook_start {
	struct role_start role;	/* the root directory stays: there are programs in it */
	const struct conf *conf;
	int queue;		/* socket to the queue; the role's now */
};

void hook_main(const struct hook_start *) __attribute__((noreturn));

#endif
