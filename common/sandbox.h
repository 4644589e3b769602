/*
 * sandbox - what a process gives up before it looks at anybody's bytes.
 *
 * sandbox_tool() suits every command: umask 077, no new privileges through exec (prctl(2),
 * PR_SET_NO_NEW_PRIVS), and no core, for a key may be in memory: RLIMIT_CORE 0, and not dumpable
 * (PR_SET_DUMPABLE), since a core that the kernel pipes into a program knows no limit.  So other
 * processes of the same user cannot look into it either.  It cannot be taken back.
 *
 * sandbox_user_find() and sandbox_enter() are for the roles of a daemon: look the user up, then
 * change the root directory and become that user for good.  sandbox_confine() is for those that
 * are not started as root.  What calls of the kernel are left: syscalls.h.
 */
#ifndef MTATLS_SANDBOX_H
#define MTATLS_SANDBOX_H

#include <sys/types.h>

#include "fail.h"

int sandbox_tool(struct fail *);

struct sandbox_user {
	uid_t uid;
	gid_t gid;
};

/* FAIL_INPUT: no such user, or root itself. */
int sandbox_user_find(const char *name, struct sandbox_user *, struct fail *);

/*
 * Makes root the root directory (NULL: it stays) and becomes the user, with no other groups.  All
 * that a process needs from outside must be open or loaded before.  Needs root.  FAIL_SYS: the
 * process is in no state to go on.
 */
int sandbox_enter(const char *root, const struct sandbox_user *, struct fail *);

/*
 * For who cannot do that, since it is not root: of all files, those below root may be opened, made, changed, renamed
 * and removed, and no others (Landlock, landlock(7)).  Names and attributes of others can be seen, and attributes be
 * changed, if syscalls.h lets.  What is open stays open.  1: so it is from now on; 0: the kernel has no Landlock, or
 * one that knows no rename from folder to folder.  It cannot be taken back.
 */
int sandbox_confine(const char *root, struct fail *);

/* Whether it would. */
int sandbox_confinable(void);

#endif
