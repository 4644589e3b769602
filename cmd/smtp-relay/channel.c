#include "channel.h"

#include <sys/socket.h>

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

#define RECORDS_AT_ONCE 256	/* read in one turn of the loop, or a few more */
#define GATHER_MAX 16384	/* octets of records that go together */
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
	size_t nwaiting, bound, sent;
	size_t held, most;		/* octets that wait; most of 0: as many as there are */
	struct event *turn_ends;	/* gathers; NULL: does not */
	struct buf gathered;
	const char *cut;		/* why it was; NULL: it was not */
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

/* Those of one datagram. */
static int
take_records(struct channel *c, struct order *o, int *n, struct fail *f)
{
	int got;

	for (got = order_recv(c->fd, o, f); got == 1; got = order_next(o, f)) {
		if (o->rest != NULL && c->turn_ends == NULL) {
			if (o->fd != -1)
				close(o->fd);
			return fail(f, FAIL_INPUT, "several records from one who may send but one at a time");
		}
		c->handlers->record(c->arg, o);
		(*n)++;
		if (o->rest == NULL)
			break;
	}
	return got;
}

/* 1: there may be more; otherwise the channel may be gone. */
static int
take_some(struct channel *c)
{
	struct fail f = FAIL_INIT;
	struct order o;
	int n = 0, got = 1;

	while (n < RECORDS_AT_ONCE && !is_full(c) && !c->cut && got == 1)
		got = take_records(c, &o, &n, &f);
	if (c->cut != NULL)
		got = fail(&f, FAIL_POLICY, "%s", c->cut);
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
	c->held -= w->len + sizeof *w;
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
		c->sent++;
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
channel_bound(struct channel *c, size_t n)
{
	c->bound = n;
}

void
channel_cut_beyond(struct channel *c, size_t n)
{
	c->most = n;
}

size_t
channel_waiting(const struct channel *c)
{
	return c->nwaiting;
}

size_t
channel_sent(const struct channel *c)
{
	return c->sent;
}

/* Reading tells, from the loop. */
void
channel_shut(struct channel *c)
{
	while (c->first != NULL)
		drop_first(c);
	event_del(c->writable);
	shutdown(c->fd, SHUT_RDWR);
}

void
channel_cut(struct channel *c, const char *why)
{
	c->cut = why;
	channel_shut(c);
}

static int
wait_for_room(struct channel *c, const char *text, size_t len, int fd)
{
	struct waiting *w;
	int copy;

	if (c->most > 0 && c->held + len + sizeof *w > c->most) {
		channel_cut(c, "too much waits for it, which it does not read");
		return 0;
	}
	copy = fd == -1 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd != -1 && copy == -1)
		return -1;
	w = xcalloc(1, sizeof *w);
	w->text = xmemdup(text, len);
	w->len = len;
	w->fd = copy;
	*c->last = w;
	c->last = &w->next;
	c->nwaiting++;
	c->held += len + sizeof *w;
	if (event_add(c->writable, NULL) == -1)
		alloc_failed();
	return 0;
}

/* Now, or behind those that wait. */
static int
send_one(struct channel *c, const char *text, size_t len, int fd)
{
	struct fail f = FAIL_INIT;
	int sent;

	sent = c->first != NULL ? 0 : order_send(c->fd, text, len, fd, &f);
	if (sent == 0)
		return wait_for_room(c, text, len, fd);
	/* A record that cannot be sent must not be missed in silence: reading tells, from the loop. */
	if (sent == -1)
		shutdown(c->fd, SHUT_RDWR);
	else
		c->sent++;
	return 0;
}

static void
send_gathered(struct channel *c)
{
	if (c->gathered.len == 0)
		return;
	if (!c->gone && !c->cut)
		send_one(c, c->gathered.p, c->gathered.len, -1);
	explicit_bzero(c->gathered.p, c->gathered.len);
	buf_drop(&c->gathered, c->gathered.len);
}

static void
on_turn_ends(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_gathered(arg);
}

void
channel_gather(struct channel *c)
{
	if ((c->turn_ends = event_new(event_get_base(c->readable), -1, 0, on_turn_ends, c)) == NULL)
		alloc_failed();
}

/* The first of a turn has the event run behind those that are active already, and before what they cause. */
static void
gather(struct channel *c, const char *text, size_t len)
{
	if (c->gathered.len + len >= GATHER_MAX)
		send_gathered(c);
	if (c->gathered.len > 0)
		buf_putc(&c->gathered, '\0');
	else
		event_active(c->turn_ends, 0, 0);
	buf_add(&c->gathered, text, len);
}

void
channel_free(struct channel *c)
{
	if (c == NULL)
		return;
	send_gathered(c);
	if (c->turn_ends != NULL)
		event_free(c->turn_ends);
	buf_clear(&c->gathered);
	while (c->first != NULL)
		drop_first(c);
	event_free(c->readable);
	event_free(c->writable);
	close(c->fd);
	free(c);
}

int
channel_send(struct channel *c, const char *text, size_t len, int fd)
{
	if (c->gone || c->cut)
		return 0;
	if (c->turn_ends != NULL && fd == -1 && len > 0 && len < GATHER_MAX) {
		gather(c, text, len);
		return 0;
	}
	send_gathered(c);
	return send_one(c, text, len, fd);
}

void
channel_flush(struct channel *c, int ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };
	int waited;

	send_gathered(c);
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
