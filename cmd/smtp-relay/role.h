/*
 * role - what the relay's processes do alike: give up rights, log through the master, end with it.
 */
#ifndef RELAY_ROLE_H
#define RELAY_ROLE_H

#include "channel.h"
#include "fail.h"
#include "sandbox.h"
#include "syscalls.h"

#define ROLE_FLUSH_MS 500	/* at its end, for the last records to be taken */
#define ROLE_ALL -1

struct event_base;

/* What a role is born with. */
struct role_start {
	const char *name;			/* "in-3", for the process list and the log */
	int master;				/* socket to the master; the role's now */
	const char *root;			/* its root directory; NULL: stays where it is */
	const struct sandbox_user *user;	/* NULL: stays who it is, and where, but opens files below root alone */
	int rights;				/* syscalls.h: what it keeps; ROLE_ALL: all */
	int detach;				/* from the standard descriptors, which are a starter's */
};

/* A role's link to its master. */
struct role {
	struct event_base *base;
	struct channel *master;
	void (*stop)(void *arg);	/* the master says stop */
	void (*record)(void *arg, struct order *o);	/* any other record; NULL: none is known */
	void *arg;
};

/*
 * First thing in a role's process: signals, event loop, log.  The role fills in stop, record and arg
 * before.  When the master is gone the process ends.
 */
void role_begin(struct role *, const struct role_start *);

/* Then, when all is open that the role needs: root directory, user, system calls.  Exits where that fails. */
void role_drop(const struct role_start *);

/* Tells the master that start-up is done. */
void role_ready(struct role *);

/* A record for the master, from whatever part of this process. */
void role_tell_master(const char *, size_t);

/* A failure that the role cannot live with: logged, then exit. */
void role_fail(const struct fail *) __attribute__((noreturn));

/* Ends the process in order. */
void role_end(struct role *) __attribute__((noreturn));

/* The line "fault": something of our own went wrong.  id is of a message, or the role's name. */
void role_log_fault(const char *role, const char *id, const char *why);

#endif
