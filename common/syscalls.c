#include "syscalls.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Not where sanitizers do calls of their own, nor where clone(2) has its flags in another place and mmap(2) all its
 * arguments in memory.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__i386__) || defined(__s390__)
#define LIMITABLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define LIMITABLE 0
#endif
#endif
#ifndef LIMITABLE
#define LIMITABLE 1
#endif

/* Names, since not every architecture has every call; those that this one lacks are passed over. */
static const char *const always[] = {
	/* what is open */
	"read", "readv", "pread64", "preadv", "write", "writev", "close", "lseek", "_llseek", "dup",
	"fstat", "fstat64", "fstatfs", "fstatfs64",
	/* sockets that are there */
	"recvmsg", "recvfrom", "recv", "recvmmsg", "shutdown", "getsockopt", "setsockopt", "getsockname",
	"getpeername",
	/* within the process: how libraries wake themselves, another version than this one too */
	"eventfd2", "pipe", "pipe2", "epoll_create1", "timerfd_create", "timerfd_settime",
	"timerfd_settime64", "timerfd_gettime", "timerfd_gettime64",
	/* waiting */
	"epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "poll", "ppoll", "ppoll_time64", "select",
	"_newselect", "pselect6", "pselect6_time64", "futex", "futex_time64", "nanosleep",
	"clock_nanosleep", "clock_nanosleep_time64", "sched_yield", "restart_syscall",
	/* memory; mmap and mprotect are below */
	"munmap", "mremap", "madvise", "brk", "membarrier",
	/* time and chance */
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday", "time",
	"getrandom",
	/* signals and the end */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack", "exit", "exit_group",
	/* itself */
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getuid32", "geteuid32",
	"getgid32", "getegid32", "umask", "uname", "getrusage", "getrlimit", "ugetrlimit", "sysinfo",
	"sched_getaffinity", "getcpu", "rseq", "set_robust_list", "get_robust_list", NULL
};

static const char *const reading[] = {
	"newfstatat", "fstatat64", "stat", "stat64", "lstat", "lstat64", "statx", "statfs", "statfs64",
	"access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64",
	"fadvise64", "fadvise64_64", "arm_fadvise64_64", "readahead", "getcwd", "fchdir", NULL
};

static const char *const writing[] = {
	"openat", "open", "mkdir", "mkdirat", "unlink", "unlinkat", "rename", "renameat", "renameat2",
	"pwrite64", "pwritev", "ftruncate", "ftruncate64", "fallocate", "fsync", "fdatasync", "syncfs",
	"fchmod", "flock", "memfd_create", NULL
};

static const char *const making[] = { "unlinkat", "pwrite64", NULL };
static const char *const accepting[] = { "accept", "accept4", NULL };
static const char *const connecting[] = { "connect", "bind", "sendmsg", "sendto", "send", "sendmmsg", NULL };
static const char *const asking[] = { "bind", NULL };
static const char *const serving[] = { "bind", "listen", "accept", "accept4", NULL };

/* Nothing of ours does these in a role, whatever goes wrong. */
static const char *const deadly[] = {
	"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
	"process_madvise", "pidfd_getfd", "kcmp", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
	"pidfd_send_signal", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
	"setfsuid", "setfsgid", "setgroups", "setuid32", "setgid32", "setreuid32", "setregid32",
	"setresuid32", "setresgid32", "setfsuid32", "setfsgid32", "setgroups32", "capset", "chroot",
	"pivot_root", "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsmount",
	"fsconfig", "fspick", "mount_setattr", "setns", "unshare", "bpf", "perf_event_open", "userfaultfd",
	"io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon",
	"swapoff", "acct", "open_by_handle_at", "name_to_handle_at", "personality", "iopl", "ioperm",
	"modify_ldt", "mknod", "mknodat", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
	"sethostname", "setdomainname", "syslog", "quotactl", "nfsservctl", "lookup_dcookie", "vhangup",
	"remap_file_pages", "memfd_secret", "pkey_mprotect", NULL
};

/* Unless it has the right to. */
static const char *const deadly_connect[] = { "connect", NULL };
static const char *const deadly_net[] = { "socket", "bind", "listen", NULL };
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

/* A call whose argument is one of these. */
static void
add_each(scmp_filter_ctx c, int *rc, const char *name, unsigned arg, const unsigned long *value, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		add_if(c, rc, SCMP_ACT_ALLOW, name, arg, UINT32_MAX, value[i]);
}

/*
 * How much can be read, and whether it is a terminal: nobody types into one (TIOCSTI).  Flags, and
 * copies of descriptors: nobody has the kernel signal others (F_SETOWN).
 */
static void
add_control(scmp_filter_ctx c, int *rc)
{
	static const unsigned long asked[] = { FIONREAD, FIONBIO, TIOCOUTQ, TCGETS };
	static const unsigned long set[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL };

	add_each(c, rc, "ioctl", 1, asked, sizeof asked / sizeof asked[0]);
	add_each(c, rc, "fcntl", 1, set, sizeof set / sizeof set[0]);
	add_each(c, rc, "fcntl64", 1, set, sizeof set / sizeof set[0]);
}

/* abort(3) and raise(3), of this process alone; its name and what may be seen of it, no more. */
static void
add_self(scmp_filter_ctx c, int *rc)
{
	add_if(c, rc, SCMP_ACT_ALLOW, "tgkill", 0, UINT32_MAX, (uint64_t)getpid());
	add_if(c, rc, SCMP_ACT_ALLOW, "prlimit64", 2, UINT64_MAX, 0);
	add_if(c, rc, SCMP_ACT_ALLOW, "prctl", 0, UINT32_MAX, PR_SET_NAME);
	add_if(c, rc, SCMP_ACT_ALLOW, "prctl", 0, UINT32_MAX, PR_GET_NAME);
	add_if(c, rc, SCMP_ACT_ALLOW, "prctl", 0, UINT32_MAX, PR_GET_DUMPABLE);
}

/* A file that is there is opened by none of them. */
static void
add_making(scmp_filter_ctx c, int *rc)
{
	add(c, rc, SCMP_ACT_ALLOW, making);
	add_if(c, rc, SCMP_ACT_ALLOW, "openat", 2, O_CREAT | O_EXCL, O_CREAT | O_EXCL);
}

static void
add_files(scmp_filter_ctx c, int *rc, unsigned rights)
{
	if (rights & SYSCALLS_MAKE)
		add_making(c, rc);
	if ((rights & (SYSCALLS_READ | SYSCALLS_WRITE)) == 0) {
		/* fstat(2) in the words of a newer glibc.  A path may be there all the same, and is out of sight here. */
		add_if(c, rc, SCMP_ACT_ALLOW, "newfstatat", 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
		return;
	}
	add(c, rc, SCMP_ACT_ALLOW, reading);
	if (rights & SYSCALLS_WRITE) {
		add(c, rc, SCMP_ACT_ALLOW, writing);
		return;
	}
	add_if(c, rc, SCMP_ACT_ALLOW, "openat", 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
	add_if(c, rc, SCMP_ACT_ALLOW, "open", 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
}

/* socket(2) or socketpair(2); the type's flags do not count. */
static void
add_socket(scmp_filter_ctx c, int *rc, int nr, unsigned family, unsigned type, unsigned protocol)
{
	if (*rc == 0)
		*rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, nr, 3, SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, family),
		    SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xf, type), SCMP_CMP(2, SCMP_CMP_MASKED_EQ, UINT32_MAX, protocol));
}

/* By TCP and UDP: other protocols are kernel modules that whoever asks for them loads. */
static void
add_internet(scmp_filter_ctx c, int *rc)
{
	static const unsigned family[] = { AF_INET, AF_INET6 };
	size_t i;

	add(c, rc, SCMP_ACT_ALLOW, connecting);
	for (i = 0; i < 2; i++) {
		add_socket(c, rc, SCMP_SYS(socket), family[i], SOCK_STREAM, 0);
		add_socket(c, rc, SCMP_SYS(socket), family[i], SOCK_STREAM, IPPROTO_TCP);
		add_socket(c, rc, SCMP_SYS(socket), family[i], SOCK_DGRAM, 0);
		add_socket(c, rc, SCMP_SYS(socket), family[i], SOCK_DGRAM, IPPROTO_UDP);
	}
}

/* Without MSG_FASTOPEN, which connects. */
static void
add_send(scmp_filter_ctx c, int *rc)
{
	add_if(c, rc, SCMP_ACT_ALLOW, "sendmsg", 2, MSG_FASTOPEN, 0);
	add_if(c, rc, SCMP_ACT_ALLOW, "sendto", 3, MSG_FASTOPEN, 0);
	add_if(c, rc, SCMP_ACT_ALLOW, "send", 3, MSG_FASTOPEN, 0);
	add_if(c, rc, SCMP_ACT_ALLOW, "sendmmsg", 3, MSG_FASTOPEN, 0);
}

static void
add_net(scmp_filter_ctx c, int *rc, unsigned rights)
{
	/* Libraries wake themselves by these.  Of datagrams each could go to another address. */
	add_socket(c, rc, SCMP_SYS(socketpair), AF_UNIX, SOCK_STREAM, 0);
	if (rights & SYSCALLS_ACCEPT)
		add(c, rc, SCMP_ACT_ALLOW, accepting);
	else if ((rights & SYSCALLS_SERVE) == 0)
		add(c, rc, SCMP_ACT_KILL_PROCESS, deadly_accept);
	if (rights & SYSCALLS_SERVE) {
		add(c, rc, SCMP_ACT_ALLOW, serving);
		add_socket(c, rc, SCMP_SYS(socket), AF_UNIX, SOCK_SEQPACKET, 0);
	}
	if (rights & SYSCALLS_ADDRESSES) {
		/* The kernel's routing alone, not its firewall, audit and so on. */
		add(c, rc, SCMP_ACT_ALLOW, asking);
		add_socket(c, rc, SCMP_SYS(socket), AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	}
	if (rights & SYSCALLS_CONNECT) {
		add_internet(c, rc);
	} else {
		add_send(c, rc);
		add(c, rc, SCMP_ACT_KILL_PROCESS, deadly_connect);
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

	return LIMITABLE && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) == 0;
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
	rc = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	add(c, &rc, SCMP_ACT_ALLOW, always);
	add(c, &rc, SCMP_ACT_KILL_PROCESS, deadly);
	add_memory(c, &rc);
	add_control(c, &rc);
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
