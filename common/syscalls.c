#include "syscalls.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Names, since not every architecture has every call; those that this one lacks are passed over. */
static const char *const always[] = {
	/* what is open */
	"read", "readv", "pread64", "preadv", "write", "writev", "close", "lseek", "_llseek", "fcntl", "fcntl64", "ioctl", "dup",
	"fstat", "fstat64", "fstatfs", "fstatfs64",
	/* sockets that are there; socketcall is how some architectures do all of it */
	"recvmsg", "recvfrom", "recv", "recvmmsg", "sendmsg", "sendto", "send", "sendmmsg", "shutdown", "getsockopt",
	"setsockopt", "getsockname", "getpeername",
	/* waiting */
	"eventfd2", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "poll", "ppoll", "ppoll_time64", "select", "_newselect",
	"pselect6", "pselect6_time64", "futex", "futex_time64", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64",
	"sched_yield", "restart_syscall",
	/* memory; mmap and mprotect are below */
	"munmap", "mremap", "madvise", "brk", "membarrier",
	/* time and chance */
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday", "time", "getrandom",
	/* signals and the end */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack", "exit", "exit_group",
	/* itself */
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getuid32", "geteuid32", "getgid32",
	"getegid32", "umask", "uname", "getrusage", "getrlimit", "ugetrlimit", "sysinfo", "sched_getaffinity", "getcpu",
	"rseq", "set_robust_list", "get_robust_list", NULL
};

static const char *const reading[] = {
	"newfstatat", "fstatat64", "stat", "stat64", "lstat", "lstat64", "statx", "statfs", "statfs64",
	"access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64",
	"fadvise64", "fadvise64_64", "arm_fadvise64_64", "readahead", "getcwd", "fchdir", NULL
};

static const char *const writing[] = {
	"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "pwrite64",
	"pwritev", "ftruncate", "ftruncate64", "fallocate", "fsync", "fdatasync", "syncfs", "sync_file_range",
	"sync_file_range2", "fchmod", "chmod", "fchmodat", "fchown", "fchown32", "fchownat", "chown", "chown32", "utimensat",
	"utimensat_time64", "flock", "copy_file_range", "sendfile", "sendfile64", "memfd_create", NULL
};

static const char *const accepting[] = { "accept", "accept4", NULL };
static const char *const connecting[] = { "connect", "bind", NULL };
static const char *const asking[] = { "bind", NULL };
static const char *const serving[] = { "connect", "bind", "listen", "accept", "accept4", NULL };

/* Nothing of ours does these in a role, whatever goes wrong. */
static const char *const deadly[] = {
	"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
	"pidfd_getfd", "kcmp", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
	"setuid32", "setgid32", "setreuid32", "setregid32", "setresuid32", "setresgid32", "setfsuid32", "setfsgid32",
	"setgroups32", "capset", "chroot", "pivot_root", "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen",
	"fsmount", "fsconfig", "fspick", "mount_setattr", "setns", "unshare", "bpf", "perf_event_open", "userfaultfd",
	"io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key", "init_module",
	"finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct",
	"open_by_handle_at", "name_to_handle_at", "personality", "iopl", "ioperm", "modify_ldt", "mknod", "mknodat",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "syslog", "quotactl",
	"nfsservctl", "lookup_dcookie", "vhangup", "remap_file_pages", "memfd_secret", "pkey_mprotect", NULL
};

/* Unless it has the right to. */
static const char *const deadly_net[] = { "socket", "connect", "bind", "listen", NULL };
static const char *const deadly_accept[] = { "accept", "accept4", NULL };

static void
add(scmp_filter_ctx c, int *rc, uint32_t action, const char *const *name)
{
	int nr;

	for (; *rc == 0 && *name != NULL; name++)
		if ((nr = seccomp_syscall_resolve_name(*name)) != __NR_SCMP_ERROR)
			*rc = seccomp_rule_add(c, action, nr, 0);
}

/* One call, where an argument has these bits under this mask. */
static void
add_if(scmp_filter_ctx c, int *rc, uint32_t action, const char *name, unsigned arg, uint64_t mask, uint64_t bits)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (*rc == 0 && nr != __NR_SCMP_ERROR)
		*rc = seccomp_rule_add(c, action, nr, 1, SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, bits));
}

/* What is written is not run: PROT_EXEC is refused, and what was mapped before stays as it is. */
static void
add_memory(scmp_filter_ctx c, int *rc)
{
	add_if(c, rc, SCMP_ACT_ALLOW, "mmap", 2, PROT_EXEC, 0);
	add_if(c, rc, SCMP_ACT_ALLOW, "mmap2", 2, PROT_EXEC, 0);
	add_if(c, rc, SCMP_ACT_ALLOW, "mprotect", 2, PROT_EXEC, 0);
}

/* abort(3) and raise(3), of this process alone; its name and what may be seen of it, no more. */
static void
add_self(scmp_filter_ctx c, int *rc)
{
	add_if(c, rc, SCMP_ACT_ALLOW, "tgkill", 0, UINT32_MAX, (uint64_t)getpid());
	add_if(c, rc, SCMP_ACT_ALLOW, "prlimit64", 2, UINT64_MAX, 0);
	add_if(c, rc, SCMP_ACT_ALLOW, "prctl", 0, UINT32_MAX, PR_SET_NAME);
	add_if(c, rc, SCMP_ACT_ALLOW, "prctl", 0, UINT32_MAX, PR_GET_DUMPABLE);
}

static void
add_files(scmp_filter_ctx c, int *rc, unsigned rights)
{
	if ((rights & (SYSCALLS_READ | SYSCALLS_WRITE)) == 0) {
		/* fstat(2) in the words of a newer glibc: the descriptor's own, with no path; a path it has none to give. */
		add_if(c, rc, SCMP_ACT_ALLOW, "newfstatat", 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
		return;
	}
	add(c, rc, SCMP_ACT_ALLOW, reading);
	if (rights & SYSCALLS_WRITE) {
		add(c, rc, SCMP_ACT_ALLOW, (const char *const[]){ "openat", "open", NULL });
		add(c, rc, SCMP_ACT_ALLOW, writing);
		return;
	}
	add_if(c, rc, SCMP_ACT_ALLOW, "openat", 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
	add_if(c, rc, SCMP_ACT_ALLOW, "open", 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
}

/* Its routing alone, not its firewall, audit and so on. */
static void
add_netlink(scmp_filter_ctx c, int *rc)
{
	if (*rc == 0)
		*rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, AF_NETLINK),
		    SCMP_CMP(2, SCMP_CMP_MASKED_EQ, UINT32_MAX, NETLINK_ROUTE));
}

static void
add_net(scmp_filter_ctx c, int *rc, unsigned rights)
{
	if (rights & SYSCALLS_ACCEPT)
		add(c, rc, SCMP_ACT_ALLOW, accepting);
	else if ((rights & SYSCALLS_SERVE) == 0)
		add(c, rc, SCMP_ACT_KILL_PROCESS, deadly_accept);
	if (rights & SYSCALLS_SERVE) {
		add(c, rc, SCMP_ACT_ALLOW, serving);
		add_if(c, rc, SCMP_ACT_ALLOW, "socket", 0, UINT32_MAX, AF_UNIX);
	}
	if (rights & SYSCALLS_ADDRESSES) {
		add(c, rc, SCMP_ACT_ALLOW, asking);
		add_netlink(c, rc);
	}
	if (rights & SYSCALLS_CONNECT) {
		add(c, rc, SCMP_ACT_ALLOW, connecting);
		add_if(c, rc, SCMP_ACT_ALLOW, "socket", 0, UINT32_MAX, AF_INET);
		add_if(c, rc, SCMP_ACT_ALLOW, "socket", 0, UINT32_MAX, AF_INET6);
	}
	if ((rights & (SYSCALLS_SERVE | SYSCALLS_CONNECT | SYSCALLS_ADDRESSES)) == 0)
		add(c, rc, SCMP_ACT_KILL_PROCESS, deadly_net);
}

/* clone3's flags are out of a filter's sight: it answers ENOSYS, and glibc takes clone. */
static void
add_threads(scmp_filter_ctx c, int *rc, unsigned rights)
{
	if (rights & SYSCALLS_THREADS)
		add_if(c, rc, SCMP_ACT_ALLOW, "clone", 0, CLONE_THREAD, CLONE_THREAD);
	add_if(c, rc, SCMP_ACT_KILL_PROCESS, "clone", 0, CLONE_THREAD, 0);
}

int
syscalls_limitable(void)
{
	uint32_t kill = SECCOMP_RET_KILL_PROCESS;

	return !SANITIZED && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) == 0;
}

int
syscalls_limit(unsigned rights, struct fail *f)
{
	scmp_filter_ctx c;
	int rc = 0;

	if (!syscalls_limitable())
		return 0;
	if ((c = seccomp_init(SCMP_ACT_ERRNO(ENOSYS))) == NULL)
		return fail(f, FAIL_SYS, "seccomp: no filter to be had");
	/* Found by halves, not one after the other. */
	(void)seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	add(c, &rc, SCMP_ACT_ALLOW, always);
	add(c, &rc, SCMP_ACT_KILL_PROCESS, deadly);
	add_memory(c, &rc);
	add_self(c, &rc);
	add_files(c, &rc, rights);
	add_net(c, &rc, rights);
	add_threads(c, &rc, rights);
	if (rc == 0)
		rc = seccomp_load(c);
	seccomp_release(c);
	errno = -rc;
	return rc == 0 ? 1 : fail_errno(f, "seccomp");
}
