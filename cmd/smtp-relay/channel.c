#include "channel.h"

#include <sys/socket.h>

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

#define RECORDS_AT_ONCE 256	/* read in one turn of the loop */
#define FLUSH_STEP_MS 10

struct waiting {
	struct waiting *next;
	char *text;
	size_t len;
	int fd;
};

struct channel {
	int fd;
	const struct channel_handlers *handlers;
	void *arg;
	struct event *readable, *writable;
	struct waiting *first, **last;
	size_t nwaiting, bound;
	int gone;
};

static void
tell_gone(struct channel *c, const struct fail *f)
{
	if (c->gone)
		return;
	c->gone = 1;
	event_del(c->readable);
	event_del(c->writable);
	c->handlers->gone(c->arg, f);
}

static int
is_full(const struct channel *c)
{
	return c->bound > 0 && c->nwaiting >= c->bound;
}

/* 1: there may be more; otherwise the channel may be gone. */
static int
take_some(struct channel *c)
{
	struct fail f = FAIL_INIT;
	struct order o;
	int i, got = 1;

	for (i = 0; i < RECORDS_AT_ONCE && !is_full(c) && (got = order_recv(c->fd, &o, &f)) == 1; i++)
		c->handlers->record(c->arg, &o);
	if (got == -1)
		tell_gone(c, &f);
	else if (is_full(c))
		event_del(c->readable);
	return got == 1 && !is_full(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	take_some(arg);
}

static void
drop_first(struct channel *c)
{
	struct waiting *w = c->first;

	if ((c->first = w->next) == NULL)
		c->last = &c->first;
	c->nwaiting--;
	if (w->fd != -1)
		close(w->fd);
	/* It may be a password. */
	explicit_bzero(w->text, w->len);
	free(w->text);
	free(w);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;
	struct fail f = FAIL_INIT;
	int sent;

	(void)what;
	while (c->first != NULL) {
		if ((sent = order_send(fd, c->first->text, c->first->len, c->first->fd, &f)) == -1) {
			tell_gone(c, &f);
			return;
		}
		if (sent == 0)
			return;
		drop_first(c);
	}
	event_del(c->writable);
	if (c->bound > 0 && event_add(c->readable, NULL) == -1)
		alloc_failed();
}

struct channel *
channel_new(struct event_base *base, int fd, const struct channel_handlers *handlers, void *arg)
{
	struct channel *c = xcalloc(1, sizeof *c);

	c->fd = fd;
	c->handlers = handlers;
	c->arg = arg;
	c->last = &c->first;
	if ((c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c)) == NULL ||
	    (c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c)) == NULL ||
	    event_add(c->readable, NULL) == -1)
		alloc_failed();
	return c;
}

void
channel_free(struct channel *c)
{
	if (c == NULL)
		return;
	while (c->first != NULL)
		drop_first(c);
	event_free(c->readable);
	event_free(c->writable);
	close(c->fd);
	free(c);
}

void
channel_bound(struct channel *c, size_t n)
{
	c->bound = n;
}

static int
wait_for_room(struct channel *c, const char *text, size_t len, int fd)
{
	int copy = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct waiting *w;

	if (fd != -1 && copy == -1)
		return -1;
	w = xcalloc(1, sizeof *w);
	w->text = xmemdup(text, len);
	w->len = len;
	w->fd = copy;
	*c->last = w;
	c->last = &w->next;
	c->nwaiting++;
	if (event_add(c->writable, NULL) == -1)
		alloc_failed();
	return 0;
}

int
channel_send(struct channel *c, const char *text, size_t len, int fd)
{
	struct fail f = FAIL_INIT;
	int sent;

	if (c->gone)
		return 0;
	sent = c->first != NULL ? 0 : order_send(c->fd, text, len, fd, &f);
	if (sent == 0)
		return wait_for_room(c, text, len, fd);
	/* A record that cannot be sent must not be missed in silence: reading tells, from the loop. */
	if (sent == -1)
		shutdown(c->fd, SHUT_RDWR);
	return 0;
}

void
channel_flush(struct channel *c, int ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };
	int waited;

	for (waited = 0; c->first != NULL && !c->gone && waited < ms; waited += FLUSH_STEP_MS)
		if (poll(&p, 1, FLUSH_STEP_MS) > 0)
			on_writable(c->fd, EV_WRITE, c);
}

void
channel_drain(struct channel *c)
{
	while (!c->gone && take_some(c))
		;
}
