/*
 * A client's record goes through ask() to dispatch, or to the folder hold/, and is answered at once.  What
 * is no question ends the connection.
 */
#include "ear.h"

#include <sys/socket.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "channel.h"
#include "clock.h"
#include "control.h"
#include "log.h"
#include "table.h"

struct client {
	struct ear *s;
	struct channel *channel;
	struct client *next, **back;
};

struct ear {
	const char *role;
	struct spool *spool;
	struct dispatch *dispatch;
	struct event_base *base;
	int fd;
	struct event *readable, *pause;
	struct client *clients;
	size_t n;
};

static void
client_free(struct client *c)
{
	*c->back = c->next;
	if (c->next != NULL)
		c->next->back = c->back;
	channel_free(c->channel);
	if (c->s->n-- == CONTROL_CLIENTS_MAX && c->s->readable != NULL && event_add(c->s->readable, NULL) == -1)
		alloc_failed();
	free(c);
}

static void
log_change(const struct spool_name *n, enum control_verb verb, enum control_answer answer, const struct fail *f)
{
	struct log_line l;

	log_event(&l, answer == CONTROL_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, n->id, "told");
	log_key(&l, "to", control_verb_name(verb));
	log_key(&l, "answer", control_answer_name(answer));
	log_key(&l, "reason", answer == CONTROL_FAILED ? f->text : NULL);
	log_send(&l);
}

static enum control_answer
answer_of(int rc, const struct fail *f)
{
	if (rc == 0)
		return CONTROL_OK;
	return f->err == ENOENT ? CONTROL_ABSENT : CONTROL_FAILED;
}

/* It is not held yet, and will not be; or from hold/ back into the queue, where it is due at once.  Two of one ID cannot be told apart there: the second, a
 * copy that somebody put into hold/, would lie in queue/ and be tried by nobody. */
static enum control_answer
release(struct ear *s, const char *file, const struct spool_name *n, struct fail *f)
{
	struct spool_name now = *n;

	if (dispatch_unwish(s->dispatch, n->id))
		return CONTROL_OK;
	if (faccessat(s->spool->dir[SPOOL_HOLD], file, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
		return fail_errno(f, "%s", file) == -1 && f->err == ENOENT ? CONTROL_ABSENT : CONTROL_FAILED;
	if (dispatch_has(s->dispatch, n->id)) {
		fail(f, FAIL_POLICY, "another message in queue/ has its ID; it stays in hold/");
		return CONTROL_FAILED;
	}
	if (spool_move(s->spool, SPOOL_HOLD, SPOOL_QUEUE, file, f) == -1)
		return answer_of(-1, f);
	now.due = clock_now();
	if (spool_reschedule(s->spool, SPOOL_QUEUE, n, &now, NULL) == -1)
		now = *n;
	if (dispatch_add(s->dispatch, &now) == -1)
		abort();
	return CONTROL_OK;
}

static enum control_answer
ask(struct ear *s, enum control_verb verb, const char *file, const struct spool_name *n,
    struct fail *f)
{
	enum control_answer answer;

	if (verb == CONTROL_RELEASE)
		return release(s, file, n, f);
	answer = dispatch_change(s->dispatch, verb, n->id, f);
	/* It may be one that is held. */
	if (answer == CONTROL_ABSENT && verb == CONTROL_DELETE)
		return answer_of(spool_remove(s->spool, SPOOL_HOLD, file, f), f);
	return answer;
}

static void
reply(struct client *c, enum control_answer answer, const struct fail *f)
{
	struct buf b = BUF_INIT;

	table_put(&b, control_answer_name(answer), answer == CONTROL_FAILED ? f->text : NULL, (char *)NULL);
	channel_send(c->channel, b.p, b.len, -1);
	buf_clear(&b);
}

static void
on_record(void *arg, struct order *o)
{
	struct client *c = arg;
	struct spool_name n;
	struct fail f = FAIL_INIT;
	enum control_verb verb;
	enum control_answer answer;

	if (o->fd != -1)
		close(o->fd);
	if (o->n != 2 || control_verb_parse(o->v[0], &verb) == -1 || spool_name_parse(o->v[1], &n) == -1) {
		fail(&f, FAIL_INPUT, "expected hold, release, retry or delete, and a file's name");
		reply(c, CONTROL_FAILED, &f);
		return;
	}
	answer = ask(c->s, verb, o->v[1], &n, &f);
	log_change(&n, verb, answer, &f);
	reply(c, answer, &f);
}

static void
on_gone(void *arg, const struct fail *f)
{
	(void)f;
	client_free(arg);
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_gone };

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct ear *s = arg;

	(void)fd;
	(void)what;
	if (s->n < CONTROL_CLIENTS_MAX && event_add(s->readable, NULL) == -1)
		alloc_failed();
}

/* Without descriptors the socket stays readable, and the loop would do nothing else. */
static void
pause_accepting(struct ear *s)
{
	const struct timeval second = { 1, 0 };

	event_del(s->readable);
	if (event_add(s->pause, &second) == -1)
		alloc_failed();
}

static void
on_client(evutil_socket_t lfd, short what, void *arg)
{
	struct ear *s = arg;
	struct client *c;
	int fd;

	(void)what;
	if ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) == -1) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			pause_accepting(s);
		return;
	}
	c = xcalloc(1, sizeof *c);
	c->s = s;
	c->channel = channel_new(s->base, fd, &handlers, c);
	channel_bound(c->channel, CONTROL_ANSWERS_MAX);
	c->next = s->clients;
	c->back = &s->clients;
	if (c->next != NULL)
		c->next->back = &c->next;
	s->clients = c;
	if (++s->n == CONTROL_CLIENTS_MAX)
		event_del(s->readable);
}

struct ear *
ear_new(struct event_base *base, const char *role, struct spool *spool, struct dispatch *dispatch,
    struct fail *f)
{
	struct ear *s;
	int fd = control_listen(spool->root, f);

	if (fd == -1)
		return NULL;
	s = xcalloc(1, sizeof *s);
	s->role = role;
	s->spool = spool;
	s->dispatch = dispatch;
	s->base = base;
	s->fd = fd;
	if ((s->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_client, s)) == NULL ||
	    (s->pause = evtimer_new(base, on_pause_over, s)) == NULL || event_add(s->readable, NULL) == -1)
		alloc_failed();
	return s;
}

void
ear_end(struct ear *s)
{
	struct client *c, *next;

	if (s == NULL)
		return;
	event_free(s->pause);
	event_free(s->readable);
	s->readable = NULL;
	for (c = s->clients; c != NULL; c = next) {
		next = c->next;
		client_free(c);
	}
	close(s->fd);
	unlinkat(s->spool->root, CONTROL_SOCKET, 0);
	free(s);
}
