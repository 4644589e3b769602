/*
 * Questions wait for their turn (turns.h) and are answered from the loop, one hash each time, so that records are read
 * meanwhile and a stop is heard.
 */
#include "auth.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cut.h"
#include "log.h"
#include "spool.h"
#include "table.h"
#include "text.h"
#include "turns.h"

struct asker {
	struct asker *next;
	struct auth *a;
	struct channel *channel;	/* NULL: gone; freed when none of its questions waits */
	unsigned number;
	size_t waiting;
};

struct question {
	struct asker *asker;
	char *slot, *number, *user, *password;
};

struct auth {
	struct role role;
	const struct auth_start *start;
	struct passwd_db *db;
	struct asker *askers;
	struct turns *questions;
	struct event *turn;
	int stopping;
};

static void
wipe(char *s)
{
	explicit_bzero(s, strlen(s));
	free(s);
}

static void
question_free(struct question *q)
{
	wipe(q->password);
	free(q->user);
	free(q->number);
	free(q->slot);
	free(q);
}

static void
answer(const struct question *q, const char *word)
{
	struct buf b = BUF_INIT;

	if (q->asker->channel == NULL)
		return;
	table_put(&b, "checked", q->slot, q->number, word, (char *)NULL);
	channel_send(q->asker->channel, b.p, b.len, -1);
	buf_clear(&b);
}

static void
sweep(struct auth *a)
{
	struct asker **at = &a->askers, *k;

	while ((k = *at) != NULL) {
		if (k->channel != NULL || k->waiting > 0) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		free(k);
	}
}

static void
next_turn(struct auth *a)
{
	struct timeval now = { 0, 0 };

	if (turns_waiting(a->questions) > 0 && event_add(a->turn, &now) == -1)
		alloc_failed();
}

static void
end_if_done(struct auth *a)
{
	if (!a->stopping || turns_waiting(a->questions) > 0)
		return;
	turns_free(a->questions);
	passwd_free(a->db);
	role_end(&a->role);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct auth *a = arg;
	struct question *q = turns_next(a->questions);

	(void)fd;
	(void)what;
	if (q == NULL)
		return;
	q->asker->waiting--;
	if (q->asker->channel != NULL)
		answer(q, passwd_check(a->db, q->user, q->password) ? "yes" : "no");
	question_free(q);
	sweep(a);
	next_turn(a);
	end_if_done(a);
}

static struct question *
question_new(struct asker *k, const struct order *o)
{
	struct question *q = xcalloc(1, sizeof *q);

	q->asker = k;
	q->slot = xstrdup(o->v[1]);
	q->number = xstrdup(o->v[2]);
	q->user = xstrdup(o->v[4]);
	q->password = xstrdup(o->v[5]);
	return q;
}

/* check SLOT QUESTION CLIENT USER PASSWORD */
static void
on_record(void *arg, struct order *o)
{
	struct asker *k = arg;
	struct auth *a = k->a;
	struct question *out;

	if (o->fd != -1)
		close(o->fd);
	if (o->n == 6 && strcmp(o->v[0], "check") == 0) {
		k->waiting++;
		if ((out = turns_add(a->questions, o->v[3], question_new(k, o))) != NULL) {
			out->asker->waiting--;
			answer(out, "busy");
			question_free(out);
			sweep(a);
		}
		next_turn(a);
	}
	explicit_bzero(o->text, sizeof o->text);
}

static void
on_gone(void *arg, const struct fail *f)
{
	struct asker *k = arg;

	cut_gone(k->a->start->role.name, k->number, f);
	channel_free(k->channel);
	k->channel = NULL;
	sweep(k->a);
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_gone };

/* asker NUMBER +fd */
static void
on_master_record(void *arg, struct order *o)
{
	struct auth *a = arg;
	struct asker *k;
	long long number;

	if (o->n != 2 || strcmp(o->v[0], "asker") != 0 || o->fd == -1 ||
	    text_number(o->v[1], 0, SPOOL_WORKER_MAX, "number", &number, NULL) == -1)
		return;
	k = xcalloc(1, sizeof *k);
	k->a = a;
	k->number = (unsigned)number;
	k->channel = channel_new(a->role.base, o->fd, &handlers, k);
	cut_watch(k->channel, a->start->conf);
	k->next = a->askers;
	a->askers = k;
}

static void
on_stop(void *arg)
{
	struct auth *a = arg;

	a->stopping = 1;
	end_if_done(a);
}

static void
print_error(void *arg, const char *file, unsigned line, const char *text)
{
	struct log_line l;
	char *where = xasprintf("%s:%u", file, line);

	(void)arg;
	log_event(&l, LOG_LEVEL_ERROR, "auth", "fault");
	log_key(&l, "file", where);
	log_key(&l, "reason", text);
	log_send(&l);
	free(where);
}

void
auth_main(const struct auth_start *start)
{
	static struct auth a;
	struct fail f = FAIL_INIT;

	a.start = start;
	a.questions = turns_new(AUTH_WAITING_MAX);
	a.role.stop = on_stop;
	a.role.record = on_master_record;
	a.role.arg = &a;
	role_begin(&a.role, &start->role);
	if ((a.db = passwd_read(start->conf->passwords, print_error, NULL, &f)) == NULL)
		role_fail(&f);
	role_drop(&start->role);
	if ((a.turn = evtimer_new(a.role.base, on_turn, &a)) == NULL)
		alloc_failed();
	role_ready(&a.role);
	event_base_dispatch(a.role.base);
	role_end(&a.role);
}
