/*
 * syscalls - the system calls that a process keeps: seccomp(2), through libseccomp.
 *
 * For the roles of a daemon, once all is open that they need.  What a role has no use for answers
 * ENOSYS, as on a kernel that does not know it, so that a C library which tries something newer
 * falls back to something older.  What only somebody else's code would try in it (another program,
 * another process's memory, another user, memory that is written and run, a connection where the
 * role makes none) kills the process with SIGSYS, and the master says so.  It cannot be taken back,
 * and holds for all threads that are made later.
 *
 * Sanitizers do calls of their own in the process: built with them there is no limit, nor is there under valgrind.
 */
#ifndef MTATLS_SYSCALLS_H
#define MTATLS_SYSCALLS_H

#include "fail.h"

/* Without any: memory, clocks, waiting, and reading and writing what is open. */
enum syscalls_right {
	SYSCALLS_READ = 1,	/* open what is there, look at it, list folders */
	SYSCALLS_WRITE = 2,	/* and make, change, rename and remove files */
	SYSCALLS_ACCEPT = 4,	/* take clients of listening sockets */
	SYSCALLS_CONNECT = 8,	/* sockets of IPv4 and IPv6 that connect */
	SYSCALLS_SERVE = 16,	/* a unix socket to listen on */
	SYSCALLS_THREADS = 32,	/* threads of this process */
	SYSCALLS_ADDRESSES = 64	/* what addresses this machine has: getifaddrs(3) */
};

/*
 * 1: limited from now on; 0: the kernel, or this build, has no such limit.  FAIL_SYS: it has, and
 * does not take it; the process is in no state to go on.  The process has no_new_privs set, see sandbox.h.
 */
int syscalls_limit(unsigned rights, struct fail *);

/* Whether a limit is to be had here. */
int syscalls_limitable(void);

#endif
