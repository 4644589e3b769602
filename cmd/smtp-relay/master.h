/*
 * master - binds, loads keys, starts and restarts the roles; touches no peer's bytes.
 */
#ifndef RELAY_MASTER_H
#define RELAY_MASTER_H

#include "conf.h"
#include "fail.h"

#define MASTER_RESTART_S 1	/* before a role that died is started again */
#define MASTER_STOP_S 30	/* for all roles to end, then they are killed */

/*
 * At SIGHUP workers that hold the old keys retire: they serve the sessions they have.  Of so many times can there
 * be some at once; before more, the sessions of the oldest are ended at their next command.
 */
#define MASTER_GENERATIONS 4

/* What must be loaded or bound before anything is started. */
struct master;

/*
 * For -n: whether what the configuration names is there and can be used.  Reports each fault; how many.
 * Nothing is made or bound; a path that is "" is passed over.
 */
size_t master_check(const struct conf *, void (*report)(const struct fail *));

/* What is no error and hardly meant so, in the log. */
void master_warn(const struct conf *);

/*
 * Users, identities, spool folders, listening sockets.  Both are borrowed; SIGHUP has the configuration read again
 * from that path, which is absolute.  NULL: FAIL_INPUT, FAIL_SYS: what cannot be
 * used.
 */
struct master *master_new(const struct conf *, const char *path, struct fail *);
void master_free(struct master *);

/*
 * Runs the relay until SIGTERM or SIGINT.  With detach the roles leave standard input, output and error.
 * ready is called once all roles have started; where it returns -1 they are stopped.  Returns 0 after an
 * orderly end; -1 where a role cannot start at all, or ready failed.
 */
int master_run(struct master *, int detach, int (*ready)(void *), void *arg);

#endif
