/* The threads end with the process; signals are the loop's. */
#include "disk.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"

struct disk {
	/* To the thread that syncs, and back: eventfd(2), whose calls hand the memory over as well. */
	int order, answer;
	struct spool_sync *job;		/* NULL: there is none */
	struct event *event;
	void (*synced)(void *);
	void *arg;

	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t some;
	int fd[DISK_CLOSES_MAX];
	size_t nfds;

	size_t closes_max;		/* the loop's */
};

/* ---- syncs ---- */

static void
signal_fd(int fd)
{
	static const uint64_t one = 1;

	while (write(fd, &one, sizeof one) == -1)
		if (errno != EINTR)
			abort();
}

/* 0: there was nothing, which only a descriptor that does not wait says. */
static int
take_signal(int fd)
{
	uint64_t n;

	while (read(fd, &n, sizeof n) == -1) {
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			abort();
	}
	return 1;
}

static void *
work_syncs(void *arg)
{
	struct disk *d = arg;

	while (take_signal(d->order)) {
		spool_round_sync(d->job);
		signal_fd(d->answer);
	}
	return NULL;
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct disk *d = arg;

	(void)what;
	if (!take_signal(fd))
		return;
	d->job = NULL;
	d->synced(d->arg);
}

void
disk_sync(struct disk *d, struct spool_sync *job)
{
	d->job = job;
	signal_fd(d->order);
}

void
disk_wait(struct disk *d)
{
	struct pollfd p = { .fd = d->answer, .events = POLLIN };

	if (d->job == NULL)
		return;
	while (poll(&p, 1, -1) == -1)
		if (errno != EINTR)
			abort();
	on_answer(d->answer, EV_READ, d);
}

/* ---- closes ---- */

static size_t
take_closes(struct disk *d, int fd[DISK_CLOSES_MAX])
{
	size_t i, n;

	pthread_mutex_lock(&d->lock);
	while (d->nfds == 0)
		pthread_cond_wait(&d->some, &d->lock);
	n = d->nfds;
	for (i = 0; i < n; i++)
		fd[i] = d->fd[i];
	d->nfds = 0;
	pthread_mutex_unlock(&d->lock);
	return n;
}

static void *
work_closes(void *arg)
{
	int fd[DISK_CLOSES_MAX];
	size_t i, n;

	for (;;) {
		n = take_closes(arg, fd);
		for (i = 0; i < n; i++)
			close(fd[i]);
	}
	return NULL;
}

void
disk_close(struct disk *d, int fd)
{
	int room;

	if (fd == -1)
		return;
	pthread_mutex_lock(&d->lock);
	if ((room = d->nfds < d->closes_max))
		d->fd[d->nfds++] = fd;
	/* Where there were some already it is at work, and looks again. */
	if (room && d->nfds == 1)
		pthread_cond_signal(&d->some);
	pthread_mutex_unlock(&d->lock);
	if (!room)
		close(fd);
}

void
disk_limit_closes(struct disk *d, size_t max)
{
	d->closes_max = max < DISK_CLOSES_MAX ? max : DISK_CLOSES_MAX;
}

/* ---- start ---- */

static int
start_thread(struct disk *d, void *(*work)(void *), struct fail *f)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&thread, NULL, work, d);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return errno == 0 ? 0 : fail_errno(f, "a thread for the disk");
}

struct disk *
disk_new(struct event_base *base, void (*synced)(void *), void *arg, struct fail *f)
{
	struct disk *d = xcalloc(1, sizeof *d);

	d->synced = synced;
	d->arg = arg;
	d->closes_max = DISK_CLOSES_MAX;
	d->order = eventfd(0, EFD_CLOEXEC);
	d->answer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->order == -1 || d->answer == -1) {
		fail_errno(f, "eventfd");
		return NULL;
	}
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->some, NULL);
	if ((d->event = event_new(base, d->answer, EV_READ | EV_PERSIST, on_answer, d)) == NULL ||
	    event_add(d->event, NULL) == -1)
		alloc_failed();
	if (start_thread(d, work_syncs, f) == -1 || start_thread(d, work_closes, f) == -1)
		return NULL;
	return d;
}
