/*
 * faults - makes chosen system calls fail, wait, or be the last one, where they touch chosen files.
 *
 *	LD_PRELOAD=build/lab/faults.so FAULTS='fdatasync /new/ 3 EIO' program ...
 *
 * FAULTS holds rules, FAULTS_FILE names a file of them that may be rewritten while programs run: it is
 * mapped once, so that it works behind chroot(2), setuid(2), fork(2) and closed descriptors; its first
 * 4096 octets are the text, up to a NUL.  Rules stand on lines or between semicolons:
 *
 *	CALL PATTERN NTH ACTION [TIMES]
 *
 * CALL	openat read pread write pwrite fsync fdatasync syncfs rename unlink chmod ftruncate, or sync for the
 *	three syncs, or any.  open, renameat2, unlinkat and their like count as the name above.
 * PATTERN	a part of the path, * for any path.  A rename's path is where the file goes.
 * NTH	the first call that it hits: 1, 2 ...  Counted for all processes of a FAULTS_FILE together,
 *	from 1 again when the text changes.
 * ACTION	an error (EIO, ENOSPC ...) that the call returns without being done; delay=MICROSECONDS before
 *	it is done; kill: SIGKILL instead of it.
 * TIMES	how many calls it hits, 1 unless said; * for all that follow.
 *
 * A text with "ahead=SECONDS" in it, as in "clock * 0 ahead=200", sets the monotonic clock forward by so much, of
 * which a process hears when it is woken by something else; "later=SECONDS" sets time(3) forward.
 *
 * FAULTS_TRACE names a file to which each call is appended as "PID CALL PATH RESULT".
 *
 * Only files have a path here: calls on sockets, pipes and terminals pass untouched.  With a program
 * built with the address sanitizer, ASAN_OPTIONS=verify_asan_link_order=0 is needed.  tests/unit/spool.c
 * includes this file and sets the rules with faults_set().
 */
#undef _FORTIFY_SOURCE	/* its inline read() would stand where ours is to be */

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 16
#define TEXT_SIZE 4096
#define FDS_MAX 1024
#define PATH_SIZE 400

void faults_set(const char *);

/* What the headers' checks (_FORTIFY_SOURCE) call instead. */
int __open_2(const char *, int);
int __openat_2(int, const char *, int);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);

/* What processes share: the text, and how many calls each rule saw since the text was this one. */
struct shared {
	char text[TEXT_SIZE];
	uint64_t text_hash;
	unsigned seen[RULES_MAX];
};

static struct shared private_state;
static struct shared *state = &private_state;
static char fd_path[FDS_MAX][PATH_SIZE];
static int trace_fd = -1;
static struct stat trace_stat;

static const struct {
	const char *name;
	int err;
} errors[] = {
	{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EFBIG", EFBIG },
	{ "EACCES", EACCES }, { "ENOENT", ENOENT }, { "EMFILE", EMFILE }, { "ENFILE", ENFILE },
	{ "EROFS", EROFS }, { "EEXIST", EEXIST }, { "EINVAL", EINVAL }, { "ENOMEM", ENOMEM },
	{ "EINTR", EINTR }, { "ENOSYS", ENOSYS },
};

/* The libc function behind ours.  A union, because ISO C has no cast from object to function. */
#define REAL(ret, name, ...) \
	static union { void *p; ret (*f)(__VA_ARGS__); } real_##name; \
	static ret (*get_##name(void))(__VA_ARGS__) \
	{ \
		if (real_##name.p == NULL) \
			real_##name.p = dlsym(RTLD_NEXT, #name); \
		return real_##name.f; \
	}

REAL(int, open, const char *, int, ...)
REAL(int, openat, int, const char *, int, ...)
REAL(int, close, int)
REAL(ssize_t, read, int, void *, size_t)
REAL(ssize_t, pread, int, void *, size_t, off_t)
REAL(ssize_t, write, int, const void *, size_t)
REAL(ssize_t, pwrite, int, const void *, size_t, off_t)
REAL(int, fsync, int)
REAL(int, fdatasync, int)
REAL(int, syncfs, int)
REAL(int, rename, const char *, const char *)
REAL(int, renameat, int, const char *, int, const char *)
REAL(int, renameat2, int, const char *, int, const char *, unsigned)
REAL(int, unlink, const char *)
REAL(int, unlinkat, int, const char *, int)
REAL(int, fchmodat, int, const char *, mode_t, int)
REAL(int, ftruncate, int, off_t)
REAL(int, clock_gettime, clockid_t, struct timespec *)

void
faults_set(const char *text)
{
	memset(&private_state, 0, sizeof private_state);
	snprintf(private_state.text, sizeof private_state.text, "%s", text);
	state = &private_state;
}

static void
map_file(const char *path)
{
	int fd = get_open()(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	void *p;

	if (fd == -1 || get_ftruncate()(fd, sizeof *state) == -1 ||
	    (p = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
		fprintf(stderr, "faults: %s: %s\n", path, strerror(errno));
		_exit(125);
	}
	get_close()(fd);
	state = p;
}

__attribute__((constructor)) static void
start(void)
{
	const char *text = getenv("FAULTS"), *file = getenv("FAULTS_FILE"), *trace = getenv("FAULTS_TRACE");

	if (text != NULL)
		faults_set(text);
	if (file != NULL)
		map_file(file);
	if (trace == NULL)
		return;
	trace_fd = get_open()(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (trace_fd == -1 || fstat(trace_fd, &trace_stat) == -1) {
		fprintf(stderr, "faults: %s: %s\n", trace, strerror(errno));
		_exit(125);
	}
}

/* /proc knows best; behind a chroot(2) there is none, and what openat() noted has to do. */
static const char *
path_of(int fd, char path[PATH_SIZE])
{
	char link[32];
	ssize_t n;

	path[0] = '\0';
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if ((n = readlink(link, path, PATH_SIZE - 1)) > 0)
		path[n] = '\0';
	else if (fd >= 0 && fd < FDS_MAX)
		memcpy(path, fd_path[fd], PATH_SIZE);
	return path;
}

static const char *
path_at(int fd, const char *name, char path[PATH_SIZE])
{
	char dir[PATH_SIZE] = "";
	size_t n;

	if (name[0] == '/') {
		snprintf(path, PATH_SIZE, "%s", name);
		return path;
	}
	if (fd != AT_FDCWD)
		path_of(fd, dir);
	else if (getcwd(dir, sizeof dir) == NULL)
		dir[0] = '\0';
	if ((n = strlen(dir)) + 1 + strlen(name) >= PATH_SIZE)
		n = 0;
	memcpy(path, dir, n);
	if (n == 0 || path[n - 1] != '/')
		path[n++] = '/';
	snprintf(path + n, PATH_SIZE - n, "%s", name);
	return path;
}

static int
call_matches(const char *want, const char *call)
{
	return strcmp(want, "any") == 0 || strcmp(want, call) == 0 ||
	    (strcmp(want, "sync") == 0 && strstr(call, "sync") != NULL);
}

static int
error_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (strcmp(name, errors[i].name) == 0)
			return errors[i].err;
	fprintf(stderr, "faults: unknown action %s\n", name);
	_exit(125);
}

/* 0: do the call; an errno: do not. */
static int
act(const char *action)
{
	struct timespec pause;
	long us;

	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strncmp(action, "delay=", 6) != 0)
		return error_of(action);
	us = strtol(action + 6, NULL, 10);
	pause = (struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
	nanosleep(&pause, NULL);
	return 0;
}

/* One rule; "" and comments are none. */
static int
apply_rule(char *rule, unsigned *seen, const char *call, const char *path)
{
	char want[16], pattern[PATH_SIZE], first[16], action[32], times[16] = "1";
	unsigned long nth, n;

	if (strncmp(rule, "clock ", 6) == 0)
		return 0;
	if (sscanf(rule, "%15s %399s %15s %31s %15s", want, pattern, first, action, times) < 4)
		return 0;
	if (!call_matches(want, call) || (strcmp(pattern, "*") != 0 && strstr(path, pattern) == NULL))
		return 0;
	nth = strtoul(first, NULL, 10);
	n = __atomic_add_fetch(seen, 1, __ATOMIC_SEQ_CST);
	if (n < nth || (strcmp(times, "*") != 0 && n - nth >= strtoul(times, NULL, 10)))
		return 0;
	return act(action);
}

/* A new text counts from the start.  Two processes that find it at once may lose a call or two. */
static void
notice_new_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	if (__atomic_exchange_n(&state->text_hash, hash, __ATOMIC_SEQ_CST) != hash)
		memset(state->seen, 0, sizeof state->seen);
}

/* -1 with errno where a rule says so. */
static int
check(const char *call, const char *path)
{
	char text[TEXT_SIZE], *rule, *rest = text;
	int i, err = 0, saved = errno;

	memcpy(text, state->text, sizeof text);
	text[sizeof text - 1] = '\0';
	if (text[0] == '\0' || path[0] != '/')
		return 0;
	notice_new_text(text);
	for (i = 0; i < RULES_MAX && err == 0 && (rule = strsep(&rest, ";\n")) != NULL; i++)
		err = apply_rule(rule, &state->seen[i], call, path);
	errno = err != 0 ? err : saved;
	return err != 0 ? -1 : 0;
}

/* The descriptor may have been closed, and its number be somebody else's. */
static void
trace(const char *call, const char *path, long result)
{
	char line[PATH_SIZE + 100];
	int n, saved = errno;
	struct stat st;

	if (trace_fd == -1 || path[0] != '/' || fstat(trace_fd, &st) == -1 ||
	    st.st_ino != trace_stat.st_ino || st.st_dev != trace_stat.st_dev)
		return;
	n = snprintf(line, sizeof line, "%ld %s %s %s\n", (long)getpid(), call, path,
	    result == -1 ? strerrorname_np(saved) : "ok");
	if (n > 0)
		(void)!get_write()(trace_fd, line, n);
	errno = saved;
}

/* Asks the rules, does the call, notes it. */
#define CALL(type, name, path, real) \
	do { \
		type result = -1; \
		if (check(name, path) == 0) \
			result = real; \
		trace(name, path, result); \
		return result; \
	} while (0)

static int
has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

static int
note_fd(int fd, const char *path)
{
	if (fd >= 0 && fd < FDS_MAX)
		memcpy(fd_path[fd], path, PATH_SIZE);
	return fd;
}

int
openat(int dirfd, const char *name, int flags, ...)
{
	char path[PATH_SIZE] = "";
	mode_t mode = 0;
	va_list ap;

	if (has_mode(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	path_at(dirfd, name, path);
	CALL(int, "openat", path, note_fd(get_openat()(dirfd, name, flags, mode), path));
}

int
open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (has_mode(flags)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return openat(AT_FDCWD, name, flags, mode);
}

int
__open_2(const char *name, int flags)
{
	return openat(AT_FDCWD, name, flags, 0);
}

int
__openat_2(int dirfd, const char *name, int flags)
{
	return openat(dirfd, name, flags, 0);
}

int
close(int fd)
{
	if (fd >= 0 && fd < FDS_MAX)
		fd_path[fd][0] = '\0';
	return get_close()(fd);
}

ssize_t
read(int fd, void *p, size_t n)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(ssize_t, "read", path, get_read()(fd, p, n));
}

ssize_t
pread(int fd, void *p, size_t n, off_t pos)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(ssize_t, "pread", path, get_pread()(fd, p, n, pos));
}

ssize_t
__read_chk(int fd, void *p, size_t n, size_t room)
{
	if (n > room)
		abort();
	return read(fd, p, n);
}

ssize_t
__pread_chk(int fd, void *p, size_t n, off_t pos, size_t room)
{
	if (n > room)
		abort();
	return pread(fd, p, n, pos);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(ssize_t, "write", path, get_write()(fd, p, n));
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t pos)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(ssize_t, "pwrite", path, get_pwrite()(fd, p, n, pos));
}

int
fsync(int fd)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(int, "fsync", path, get_fsync()(fd));
}

int
fdatasync(int fd)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(int, "fdatasync", path, get_fdatasync()(fd));
}

int
syncfs(int fd)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(int, "syncfs", path, get_syncfs()(fd));
}

int
rename(const char *from, const char *to)
{
	char path[PATH_SIZE];

	path_at(AT_FDCWD, to, path);
	CALL(int, "rename", path, get_rename()(from, to));
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	char path[PATH_SIZE];

	path_at(to_fd, to, path);
	CALL(int, "rename", path, get_renameat()(from_fd, from, to_fd, to));
}

int
renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	char path[PATH_SIZE];

	path_at(to_fd, to, path);
	CALL(int, "rename", path, get_renameat2()(from_fd, from, to_fd, to, flags));
}

int
unlink(const char *name)
{
	char path[PATH_SIZE];

	path_at(AT_FDCWD, name, path);
	CALL(int, "unlink", path, get_unlink()(name));
}

int
unlinkat(int dirfd, const char *name, int flags)
{
	char path[PATH_SIZE];

	path_at(dirfd, name, path);
	CALL(int, "unlink", path, get_unlinkat()(dirfd, name, flags));
}

int
fchmodat(int dirfd, const char *name, mode_t mode, int flags)
{
	char path[PATH_SIZE];

	path_at(dirfd, name, path);
	CALL(int, "chmod", path, get_fchmodat()(dirfd, name, mode, flags));
}

int
ftruncate(int fd, off_t size)
{
	char path[PATH_SIZE];

	path_of(fd, path);
	CALL(int, "ftruncate", path, get_ftruncate()(fd, size));
}

/* The seconds behind this word in the rules. */
static long
seconds_of(const char *word)
{
	char text[TEXT_SIZE], *at;

	if (state->text[0] == '\0')
		return 0;
	memcpy(text, state->text, sizeof text);
	text[sizeof text - 1] = '\0';
	return (at = strstr(text, word)) != NULL ? strtol(at + strlen(word), NULL, 10) : 0;
}

/* Timers of event loops follow this one; of the other clocks mail has its dates. */
int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = get_clock_gettime()(clock, ts);

	if (rc == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE))
		ts->tv_sec += seconds_of("ahead=");
	return rc;
}

time_t
time(time_t *t)
{
	struct timespec ts;

	get_clock_gettime()(CLOCK_REALTIME, &ts);
	ts.tv_sec += seconds_of("later=");
	if (t != NULL)
		*t = ts.tv_sec;
	return ts.tv_sec;
}
