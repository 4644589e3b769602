/*
 * syscalls - the system calls that a process keeps: seccomp(2), through libseccomp.
 *
 * For the roles of a daemon, once all is open that they need.  What a role has no use for answers
 * ENOSYS, as on a kernel that does not know it, so that a C library which tries something newer
 * falls back to something older; that is so of memory to be run and of sockets of other families too.
 * What only somebody else's code would try in it (another program, another process's memory, another
 * user, a signal, in a role that makes no connection connect(2)) kills the process with SIGSYS, and the
 * master says so.  It cannot be taken back, and holds for all threads that are made later.
 *
 * Of paths a filter sees nothing: whoever may open files is held to a folder by chroot(2) or Landlock
 * (sandbox.h), and names and attributes of files, not their contents, are in reach of all.
 *
 * Sanitizers do calls of their own: built with them there is no limit, nor is there under valgrind, nor
 * on architectures whose calls have their arguments in another order (i386, s390x).
 */
#ifndef MTATLS_SYSCALLS_H
#define MTATLS_SYSCALLS_H

#include "fail.h"

/* Without any: memory, clocks, waiting, and reading and writing what is open. */
enum syscalls_right {
	SYSCALLS_READ = 1,	/* open what is there, look at it, list folders */
	SYSCALLS_WRITE = 2,	/* and make, change, rename and remove files */
	SYSCALLS_MAKE = 4,	/* make new files, and remove some; open none that is there */
	SYSCALLS_ACCEPT = 8,	/* take clients of listening sockets */
	SYSCALLS_CONNECT = 16,	/* connect by TCP and UDP */
	SYSCALLS_SERVE = 32,	/* a unix socket for records (SOCK_SEQPACKET) to listen on */
	SYSCALLS_THREADS = 64,	/* threads of this process */
	SYSCALLS_ADDRESSES = 128	/* what addresses this machine has: getifaddrs(3) */
};

/*
 * 1: limited from now on; 0: the kernel, or this build, has no such limit.  FAIL_SYS: it has, and
 * does not take it; the process is in no state to go on.  The process has no_new_privs set, see sandbox.h.
 */
int syscalls_limit(unsigned rights, struct fail *);

/* Whether a limit is to be had here. */
int syscalls_limitable(void);

#endif
