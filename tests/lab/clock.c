/*
 * clock - a clock that a test moves: all processes of a program tell the time of the machine and so much more.
 *
 *	LD_PRELOAD=build/lab/clock.so CLOCK_FILE=file program ...
 *
 * CLOCK_FILE's first eight octets are a number of seconds in the machine's order, which may be written anew while
 * programs run.  It is mapped once, so that it works behind chroot(2), setuid(2), fork(2) and closed descriptors.
 * time(2), gettimeofday(2) and clock_gettime(2) of the wall's clock and of the monotonic ones are ahead by so much; so a
 * day passes in the moment in which it is written, and between two such steps time runs as it does.
 *
 * Whoever waits in epoll_wait(2) hears of a step: the call returns without an event, within STEP_LOOK_MS, as if it had
 * been interrupted by nothing, and an event loop then finds which of its timers are due.  poll(2), select(2), sleep(3)
 * and timers of the kernel wait as long as they are told.  Times of files are the machine's.
 *
 * Why not libfaketime: a step in its file is not seen behind chroot(2) and wakes nobody, and where it makes time run a
 * thousand times faster all timeouts of the program are a thousand times shorter too, which no busy machine can keep.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEP_LOOK_MS 20

static const int64_t no_step;
static const volatile int64_t *ahead = &no_step;
static int64_t heard;	/* as epoll_wait() returned last: the loop reads the clock behind that */

#define REAL(type, name, ...) \
	static type (*get_##name(void))(__VA_ARGS__) \
	{ \
		static type (*f)(__VA_ARGS__); \
		if (f == NULL) \
			*(void **)&f = dlsym(RTLD_NEXT, #name); \
		return f; \
	}

REAL(int, clock_gettime, clockid_t, struct timespec *)
REAL(int, epoll_wait, int, struct epoll_event *, int, int)

__attribute__((constructor)) static void
begin(void)
{
	const char *file = getenv("CLOCK_FILE");
	int fd = file != NULL ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd != -1 ? mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd != -1)
		close(fd);
	if (file == NULL)
		return;
	if (p == MAP_FAILED) {
		fprintf(stderr, "clock: %s: %s\n", file, strerror(errno));
		_exit(2);
	}
	ahead = p;
	heard = *ahead;
}

static int
is_moved(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC ||
	    clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME;
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = get_clock_gettime()(clock, ts);

	if (rc == 0 && is_moved(clock))
		ts->tv_sec += *ahead;
	return rc;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (t != NULL)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

int
epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	int n = 0, wait;

	while (*ahead == heard) {
		wait = timeout >= 0 && timeout < STEP_LOOK_MS ? timeout : STEP_LOOK_MS;
		n = get_epoll_wait()(epfd, events, max, wait);
		if (n != 0 || timeout == wait)
			break;
		if (timeout > 0)
			timeout -= wait;
	}
	heard = *ahead;
	return n;
}
