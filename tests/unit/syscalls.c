#include "syscalls.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static char dir[] = "/tmp/mtatls-syscalls.XXXXXX";
static int listening = -1, folder = -1, ends[2];

/* ---- what is tried: 0, or -1 with errno ---- */

static int
closed(int fd)
{
	return fd == -1 ? -1 : close(fd);
}

static int
do_read(void)
{
	struct stat st;
	char c;

	return fstat(folder, &st) == 0 && write(ends[0], "x", 1) == 1 && read(ends[1], &c, 1) == 1 ? 0 : -1;
}

static int
do_heap(void)
{
	char *p = malloc(8 << 20);

	if (p == NULL)
		return -1;
	memset(p, 1, 8 << 20);
	free(p);
	return poll(NULL, 0, 1);
}

static int
do_open(void)
{
	return closed(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int
do_create(void)
{
	return closed(openat(folder, "made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int
do_truncate(void)
{
	return closed(openat(folder, "there", O_RDONLY | O_TRUNC | O_CLOEXEC));
}

static int
do_rename(void)
{
	return renameat(folder, "there", folder, "elsewhere") == 0 ? renameat(folder, "elsewhere", folder, "there") : -1;
}

static int
do_sync(void)
{
	return syncfs(folder);
}

static int
do_accept(void)
{
	int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd == -1 && errno == EAGAIN ? 0 : closed(fd);
}

static int
do_socket(int family, int type)
{
	return closed(socket(family, type | SOCK_CLOEXEC, 0));
}

static int
do_connect(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1)
		return -1;
	rc = connect(fd, (struct sockaddr *)&sin, sizeof sin);
	if (rc == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED))
		rc = 0;
	close(fd);
	return rc;
}

static int
do_unix(void)
{
	return do_socket(AF_UNIX, SOCK_SEQPACKET);
}

static int
do_netlink(void)
{
	return do_socket(AF_NETLINK, SOCK_RAW);
}

static int
do_unix_stream(void)
{
	return do_socket(AF_UNIX, SOCK_STREAM);
}

static int
do_udp(void)
{
	return do_socket(AF_INET6, SOCK_DGRAM);
}

static int
do_raw(void)
{
	return do_socket(AF_INET, SOCK_RAW);
}

static int
do_sctp(void)
{
	return closed(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
}

static int
do_pair(int family, int type)
{
	int pair[2];

	if (socketpair(family, type | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	close(pair[0]);
	return close(pair[1]);
}

static int
do_stream_pair(void)
{
	return do_pair(AF_UNIX, SOCK_STREAM);
}

static int
do_datagram_pair(void)
{
	return do_pair(AF_UNIX, SOCK_DGRAM);
}

static int
do_tipc_pair(void)
{
	return do_pair(AF_TIPC, SOCK_STREAM);
}

/* With a socket that is there. */
static int
do_connect_open(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "/nowhere" };

	return connect(ends[0], (struct sockaddr *)&sun, sizeof sun);
}

/* A listening socket can be made one that connects with what it sends. */
static int
do_fast_open(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(9) };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (shutdown(listening, SHUT_RDWR) == -1)
		return -1;
	return sendto(listening, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&sin, sizeof sin) == -1 ? -1 : 0;
}

static int
do_send(void)
{
	return send(ends[0], "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int
do_owner(void)
{
	return fcntl(ends[0], F_SETOWN, getppid());
}

static int
do_flags(void)
{
	int flags = fcntl(ends[0], F_GETFL);

	return flags == -1 ? -1 : fcntl(ends[0], F_SETFL, flags | O_NONBLOCK);
}

static int
do_chmod(void)
{
	return fchmodat(folder, "there", 0600, 0);
}

static int
do_make(void)
{
	int fd = openat(folder, "new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd == -1 || pwrite(fd, "x", 1, 0) != 1 || close(fd) == -1)
		return -1;
	return unlinkat(folder, "new", 0);
}

static int
do_audit(void)
{
	return closed(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT));
}

static int
do_addresses(void)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) == -1)
		return -1;
	freeifaddrs(list);
	return 0;
}

static int
do_serve(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), rc;

	if (fd == -1)
		return -1;
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s/sock", dir);
	rc = bind(fd, (struct sockaddr *)&sun, sizeof sun);
	if (rc == 0)
		rc = listen(fd, 1);
	close(fd);
	unlink(sun.sun_path);
	return rc;
}

static void *
nothing(void *arg)
{
	return arg;
}

static int
do_thread(void)
{
	pthread_t t;

	if ((errno = pthread_create(&t, NULL, nothing, NULL)) != 0)
		return -1;
	return pthread_join(t, NULL) == 0 ? 0 : -1;
}

static int
do_fork(void)
{
	/* Not fork(), whose handlers are the library's. */
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid == -1 ? -1 : waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static int
do_exec(void)
{
	char *argv[] = { (char *)"true", NULL }, *none[] = { NULL };

	return execve("/bin/true", argv, none);
}

static int
do_run_written(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int
do_map_run(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int
do_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 ? -1 : 0;
}

static int
do_kill(void)
{
	return kill(getppid(), 0);
}

static int
do_memory_of(void)
{
	return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) == -1 ? -1 : 0;
}

static int
do_setuid(void)
{
	return setuid(getuid());
}

static int
do_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
do_waiting(void)
{
	int n;

	return ioctl(ends[0], FIONREAD, &n);
}

static int
do_type(void)
{
	return ioctl(0, TIOCSTI, "x");
}

static int
do_abort(void)
{
	abort();
}

static int
do_unheard(void)
{
	return syscall(1999) == -1 ? -1 : 0;
}

/* ---- which rights let which ---- */

#define KILLED (-SIGSYS)
#define ALL (SYSCALLS_READ | SYSCALLS_WRITE | SYSCALLS_ACCEPT | SYSCALLS_CONNECT | SYSCALLS_SERVE | \
	SYSCALLS_THREADS | SYSCALLS_ADDRESSES | SYSCALLS_MAKE)

static const struct row {
	const char *what;
	int (*try)(void);
	unsigned rights;
	int with;	/* these rights: 0, an errno, or less than 0: killed by that signal */
	int without;	/* the others alone */
} rows[] = {
	{ "read and write what is open", do_read, 0, 0, 0 },
	{ "memory, and a wait", do_heap, 0, 0, 0 },
	{ "open a file", do_open, SYSCALLS_READ, 0, ENOSYS },
	{ "open a file to write too", do_open, SYSCALLS_WRITE, 0, 0 },
	{ "make a file", do_create, SYSCALLS_WRITE, 0, ENOSYS },
	{ "empty a file while it is opened for reading", do_truncate, SYSCALLS_WRITE, 0, ENOSYS },
	{ "rename a file", do_rename, SYSCALLS_WRITE, 0, ENOSYS },
	{ "sync", do_sync, SYSCALLS_WRITE, 0, ENOSYS },
	{ "make a new file, and remove it", do_make, SYSCALLS_MAKE, 0, 0 },
	{ "the same", do_make, SYSCALLS_WRITE, 0, 0 },
	{ "open a file that is there, to make new ones", do_open, SYSCALLS_MAKE, ENOSYS, 0 },
	{ "make a file that may be there, to make new ones", do_create, SYSCALLS_MAKE, ENOSYS, 0 },
	{ "change the mode of a file by its name", do_chmod, ALL, ENOSYS, ENOSYS },
	{ "take a client", do_accept, SYSCALLS_ACCEPT, 0, 0 },
	{ "connect", do_connect, SYSCALLS_CONNECT, 0, ENOSYS },
	{ "UDP", do_udp, SYSCALLS_CONNECT, 0, ENOSYS },
	{ "a raw socket", do_raw, ALL, ENOSYS, ENOSYS },
	{ "SCTP", do_sctp, ALL, ENOSYS, ENOSYS },
	{ "connect a socket that is there", do_connect_open, SYSCALLS_SERVE | SYSCALLS_ADDRESSES, KILLED, 0 },
	{ "connect a listening socket by what is sent", do_fast_open, ALL & ~SYSCALLS_CONNECT, ENOSYS, 0 },
	{ "send", do_send, 0, 0, 0 },
	{ "a pair of sockets", do_stream_pair, 0, 0, 0 },
	{ "a pair for datagrams, which could go elsewhere", do_datagram_pair, ALL, ENOSYS, ENOSYS },
	{ "a pair of another family", do_tipc_pair, ALL, ENOSYS, ENOSYS },
	{ "a unix socket that is a stream", do_unix_stream, ALL, ENOSYS, ENOSYS },
	{ "a unix socket", do_unix, SYSCALLS_SERVE, 0, ENOSYS },
	{ "listen on a unix socket", do_serve, SYSCALLS_SERVE, 0, ENOSYS },
	{ "addresses of this machine", do_addresses, SYSCALLS_ADDRESSES, 0, ENOSYS },
	{ "netlink", do_netlink, SYSCALLS_CONNECT, ENOSYS, 0 },
	{ "netlink's audit", do_audit, ALL, ENOSYS, ENOSYS },
	{ "a thread", do_thread, SYSCALLS_THREADS, 0, ENOSYS },
	{ "another process", do_fork, ALL, KILLED, KILLED },
	{ "another program", do_exec, ALL, KILLED, KILLED },
	{ "make what was written run", do_run_written, ALL, ENOSYS, ENOSYS },
	{ "map what runs", do_map_run, ALL, ENOSYS, ENOSYS },
	{ "be traced", do_ptrace, ALL, KILLED, KILLED },
	{ "send a signal", do_kill, ALL, KILLED, KILLED },
	{ "read another's memory", do_memory_of, ALL, KILLED, KILLED },
	{ "change the user", do_setuid, ALL, KILLED, KILLED },
	{ "namespaces", do_unshare, ALL, KILLED, KILLED },
	{ "how much can be read", do_waiting, 0, 0, 0 },
	{ "type into the terminal", do_type, ALL, ENOSYS, ENOSYS },
	{ "a descriptor's flags", do_flags, 0, 0, 0 },
	{ "have the kernel send a signal", do_owner, ALL, ENOSYS, ENOSYS },
	{ "abort", do_abort, 0, -SIGABRT, -SIGABRT },
	{ "a call that is not", do_unheard, ALL, ENOSYS, ENOSYS },
};

/* What became of it in a process with these rights. */
static int
outcome(int (*try)(void), unsigned rights)
{
	struct fail f = FAIL_INIT;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || syscalls_limit(rights, &f) != 1)
			_exit(255);
		errno = 0;
		_exit(try() == 0 ? 0 : errno);
	}
	if (pid == -1 || waitpid(pid, &status, 0) == -1)
		return 255;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
prepare(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (mkdtemp(dir) == NULL || (folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    close(openat(folder, "there", O_WRONLY | O_CREAT, 0600)) == -1 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1 ||
	    (listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(listening, (struct sockaddr *)&sin, sizeof sin) == -1 || listen(listening, 5) == -1) {
		perror("prepare");
		exit(1);
	}
}

static void
clean(void)
{
	unlinkat(folder, "there", 0);
	unlinkat(folder, "made", 0);
	rmdir(dir);
}

int
main(void)
{
	struct fail f = FAIL_INIT;
	size_t i;

	if (!syscalls_limitable()) {
		unit_int(syscalls_limit(0, &f), 0, "no limit is to be had, and none is set");
		return unit_done();
	}
	prepare();
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unit_int(outcome(rows[i].try, rows[i].rights), rows[i].with, "%s, with the right to", rows[i].what);
		if (rows[i].rights != ALL && rows[i].without != 0)
			unit_int(outcome(rows[i].try, ALL & ~(rows[i].rights | (rows[i].rights == SYSCALLS_READ ? SYSCALLS_WRITE : 0))),
			    rows[i].without, "%s, without", rows[i].what);
	}
	/* In who makes no connection nobody should try to. */
	unit_int(outcome(do_connect, SYSCALLS_READ | SYSCALLS_ACCEPT), KILLED, "connect, in who takes clients");
	unit_int(outcome(do_unix, 0), KILLED, "a unix socket, in who has none");
	unit_int(outcome(do_accept, SYSCALLS_CONNECT), KILLED, "take a client, in who connects");
	clean();
	return unit_done();
}
