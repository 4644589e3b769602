/*
 * probe - tries in each process of a program what somebody who took it over could.
 *
 *	LD_PRELOAD=build/lab/probe.so PROBE_FILE=file [PROBE_CONNECT=name] program ...
 *
 * When a process waits in epoll_wait(2) for the first time, behind all preparations, it tries this, and appends a line
 * with its name and what came of each, ok or the error's name:
 *
 *	folder	open the root directory
 *	make	make a new file in the root directory, and remove it
 *	run	have memory that was written be run
 *	net	a socket of IPv4; not where that is deadly, in processes with no network: in-*, auth, sign
 *
 * The process called PROBE_CONNECT then connects a socket that it has, which it does not outlive.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int out = -1, probed;

__attribute__((constructor)) static void
begin(void)
{
	const char *file = getenv("PROBE_FILE");

	if (file != NULL)
		out = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static const char *
word(int rc)
{
	return rc == -1 ? strerrorname_np(errno) : "ok";
}

static int
try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd == -1 ? -1 : close(fd);
}

static int
try_run(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc = mprotect(p, 4096, PROT_READ | PROT_EXEC), err = errno;

	munmap(p, 4096);
	errno = err;
	return rc;
}

static int
try_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd == -1 ? -1 : close(fd);
}

static void
probe(void)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	const char *deadly = getenv("PROBE_CONNECT");
	char name[32] = "", path[64], line[200];
	int n, made, pair[2];

	prctl(PR_GET_NAME, name, 0, 0, 0);
	snprintf(path, sizeof path, "/probe-%s", name);
	n = snprintf(line, sizeof line, "%s folder=%s", name, word(try_open("/", O_RDONLY | O_DIRECTORY)));
	made = try_open(path, O_WRONLY | O_CREAT | O_EXCL);
	n += snprintf(line + n, sizeof line - n, " make=%s", word(made));
	if (made == 0)
		unlinkat(AT_FDCWD, path, 0);
	n += snprintf(line + n, sizeof line - n, " run=%s", word(try_run()));
	if (strncmp(name, "in-", 3) != 0 && strcmp(name, "auth") != 0 && strcmp(name, "sign") != 0)
		n += snprintf(line + n, sizeof line - n, " net=%s", word(try_socket()));
	line[n++] = '\n';
	if (write(out, line, n) != n)
		abort();
	if (deadly != NULL && strcmp(deadly, name) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
		(void)connect(pair[0], &nobody, sizeof nobody);
}

int
epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	static int (*real)(int, struct epoll_event *, int, int);

	if (real == NULL)
		real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
	if (out != -1 && !probed) {
		probed = 1;
		probe();
	}
	return real(epfd, events, max, timeout);
}
