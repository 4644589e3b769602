/*
 * paths - unix sockets that listeners are bound to: whether one is still the file at its path, and its mode and group.
 */
#ifndef RELAY_PATHS_H
#define RELAY_PATHS_H

#include <sys/types.h>

#include "fail.h"
#include "in.h"

/* (gid_t)-1 for NULL.  FAIL_INPUT: there is no such group. */
int paths_group(const char *name, gid_t *, struct fail *);

/* Notes of a socket that was bound a moment ago what paths_is_there() asks for.  -1 with errno. */
int paths_note(struct in_listener *);

/* Is it that socket which is at the path now?  Where it is not, nobody can connect to it. */
int paths_is_there(const struct in_listener *);

/*
 * Gives mode and group of its line to each of these listeners that has a path.  All is looked at before anything
 * is changed, and what was changed is put back where a change fails: -1, FAIL_INPUT or FAIL_SYS.
 */
int paths_settle(const struct in_listener *, size_t n, struct fail *);

#endif
