#include "dispatch.h"

#include <sys/queue.h>
#include <sys/random.h>
#include <sys/resource.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "bounce.h"
#include "channel.h"
#include "header.h"
#include "log.h"
#include "pace.h"
#include "pack.h"
#include "plans.h"
#include "reports.h"
#include "sched.h"
#include "signer.h"
#include "table.h"

struct outlet {
	struct outlet *next;
	struct dispatch *d;
	unsigned number;
	struct channel *channel;	/* NULL: gone */
	int retired;			/* gets no more orders */
	size_t load;
	char journal[SPOOL_ID_SIZE];	/* its name; "": there is none */
	char before[SPOOL_ID_SIZE];	/* the one that it has still to leave; "": none */
	size_t journaled;		/* octets, more or less, of journal's results that were taken */
};

/* A recipient that is to be tried; the domain is within its address. */
struct todo {
	const char *domain;
	size_t rcpt;
};

/* A message under way. */
struct active {
	struct dispatch *d;
	struct sched_message *m;
	struct spool_name name;
	struct spool_message msg;
	unsigned asks;			/* POLICY_MESSAGE_* */
	char *signature;		/* goes in front of the message; NULL: nothing */
	struct todo *todo;		/* by domain */
	size_t ntodo, taken;		/* so many are in parts, or were */
	size_t parts;			/* not finished */
	struct active *more;		/* the next in dispatch->more, or in dispatch->stuck */
	int listed;			/* it is there */
	size_t unplanned;		/* of the parts, those whose plan was never known */
	char *unwritten;		/* by recipient: 1: its last result is not in the file yet; NULL: all are */
	TAILQ_ENTRY(active) entry;	/* in dispatch->unwritten, where that is so */
	int worked, broke, soon, damaged;
	int hold, drop;			/* somebody wants it held, or deleted, when this try is over */
	int noticed;			/* its sender is told that it waits, or this try did not do */
	int again;			/* handed back for want of a host's place, and here again */
	char *held_by;			/* the host without a place for a part; NULL: none */
	int alone;			/* and no other would do */
};

/* Its recipients in one domain, at most DISPATCH_RCPTS_MAX of them. */
struct part {
	struct active *a;
	size_t slot;
	char *domain;
	char *plan_key;			/* among the plans: messages that ask for other things have others */
	size_t rcpt[DISPATCH_RCPTS_MAX];
	size_t n;
	struct outlet *outlet;		/* NULL: not handed out */
	struct part *parked;		/* the next in dispatch->parked */
	int asked;			/* for its plan */
	int counted;			/* in no way among active->unplanned any more */
	struct unpacked *plan;		/* NULL: none */
	char *port;
	size_t host;			/* the plan's, where it has a place */
	int placed;
	struct alerting_part tried;	/* what came of its hosts */
	char *limit;			/* where it has a place among those that the destination's limit allows */
	int paced;			/* it was counted for the destination's rate */
};

/* A message that was read for its commit and waits for its first try. */
struct warm {
	TAILQ_ENTRY(warm) entry;
	struct sched_message *m;
	int64_t since;
	struct spool_message msg;
};

struct dispatch {
	struct dispatch_conf conf;
	struct sched *sched;
	struct spool_ids ids;
	struct channel *route;
	struct outlet *outlets;
	struct part **part;		/* by the number in orders */
	size_t nparts;
	struct active *more;		/* have recipients that are in no part yet */
	struct part *parked;		/* no out had room for them */
	struct active *stuck;		/* have results that the disk would not take */
	int64_t stuck_until;
	TAILQ_HEAD(actives, active) unwritten;	/* the longest so first, for DISPATCH_WRITE_MS at most */
	struct event *write, *cool;
	TAILQ_HEAD(warms, warm) warm;	/* the longest so first */
	size_t nwarm;
	size_t fds;			/* messages that the descriptors of a role allow */
	struct plans *plans;
	const struct credentials *credentials;	/* NULL: no route has any */
	struct pace *pace;
	struct event *wake;
	int stopping;
};

static int64_t
now(void)
{
	return time(NULL);
}

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static uint32_t
random32(void)
{
	uint32_t r = 0;

	(void)!getrandom(&r, sizeof r, 0);
	return r;
}

static void pump(struct dispatch *);
static void part_done(struct part *);

/* ---- the log ---- */

static void
log_message(const struct active *a, enum log_level level, const char *verb, const char *key,
    const char *value)
{
	struct log_line l;

	log_event(&l, level, a->name.id, verb);
	log_key(&l, "from", a->msg.env.from);
	if (key != NULL)
		log_key(&l, key, value);
	log_send(&l);
}

static void
log_fault(const struct dispatch *d, const char *id, const struct fail *f)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_ERROR, id, "fault");
	log_key(&l, "role", d->conf.name);
	log_key(&l, "reason", f->text);
	log_send(&l);
}

/* ---- names and keys ---- */

/* The key of a destination says what the file's name says of it. */
static void
key_of(const struct spool_name *n, char *dst, size_t size)
{
	if (n->domain[0] != '\0')
		snprintf(dst, size, "%s", n->domain);
	else
		snprintf(dst, size, "=%016" PRIx64, n->hash);
}

static void
name_of(const struct sched_message *m, struct spool_name *n)
{
	const char *key = sched_key(m);

	memset(n, 0, sizeof *n);
	snprintf(n->id, sizeof n->id, "%s", m->id);
	n->due = m->due;
	if (key[0] == '=')
		n->hash = strtoull(key + 1, NULL, 16);
	else
		snprintf(n->domain, sizeof n->domain, "%s", key);
}

/* not_before: the destination sleeps until then.  What expires meanwhile does so afterwards, or
 * else what failed because of it would be handed out again at once. */
static int
schedule(struct dispatch *d, const struct spool_name *n, int64_t not_before, void *arg)
{
	int64_t deadline = spool_id_time_us(n->id) / 1000000 + d->conf.conf->notice.lifetime;
	char key[SPOOL_DOMAIN_MAX + 32];

	key_of(n, key, sizeof key);
	if (not_before > now())
		sched_sleep(d->sched, key, not_before);
	if (deadline < n->due)
		deadline = n->due;
	if (deadline < not_before)
		deadline = not_before;
	return sched_add(d->sched, n->id, n->due, deadline, key, arg) != NULL ? 0 : -1;
}

/* What a message has for an argument where it was handed back for want of a host's place. */
static char handed_back[] = "again";

int
dispatch_add(struct dispatch *d, const struct spool_name *n)
{
	if (schedule(d, n, 0, NULL) == -1)
		return -1;
	pump(d);
	return 0;
}

static void
take_warm(struct dispatch *d, struct warm *w, struct spool_message *msg)
{
	TAILQ_REMOVE(&d->warm, w, entry);
	d->nwarm--;
	w->m->arg = NULL;
	*msg = w->msg;
	free(w);
}

static void
cool_down(struct dispatch *d, struct warm *w)
{
	struct spool_message msg;

	take_warm(d, w, &msg);
	spool_message_clear(&msg);
}

/* Of a message that waits. */
static struct warm *
warm_of(const struct sched_message *m)
{
	return m->arg != handed_back ? m->arg : NULL;
}

static void
cool_soon(struct dispatch *d)
{
	static const struct timeval tv = { DISPATCH_WARM_S, 0 };

	if (!evtimer_pending(d->cool, NULL) && event_add(d->cool, &tv) == -1)
		alloc_failed();
}

/* Their destination sleeps, or is busy: they are read anew when their turn comes. */
static void
on_cool(evutil_socket_t fd, short what, void *arg)
{
	struct dispatch *d = arg;
	struct warm *w, *next;

	(void)fd;
	(void)what;
	for (w = TAILQ_FIRST(&d->warm); w != NULL && w->since + DISPATCH_WARM_S <= now(); w = next) {
		next = TAILQ_NEXT(w, entry);
		cool_down(d, w);
	}
	if (w != NULL)
		cool_soon(d);
}

int
dispatch_add_new(struct dispatch *d, struct spool_item *item)
{
	struct spool_message msg;
	struct warm *w;

	if (dispatch_add(d, &item->name) == -1)
		return -1;
	if (!d->conf.conf->deliver || d->nwarm >= d->conf.spool->keep || !spool_item_take(item, &msg))
		return 0;
	w = xcalloc(1, sizeof *w);
	w->m = sched_find(d->sched, item->name.id);
	w->m->arg = w;
	w->msg = msg;
	w->since = now();
	TAILQ_INSERT_TAIL(&d->warm, w, entry);
	d->nwarm++;
	cool_soon(d);
	return 0;
}

/* ---- what becomes of a message ---- */

static void
all_written(struct active *a)
{
	if (a->unwritten == NULL)
		return;
	TAILQ_REMOVE(&a->d->unwritten, a, entry);
	free(a->unwritten);
	a->unwritten = NULL;
}

static void
active_free(struct active *a, enum sched_outcome outcome)
{
	sched_finished(a->d->sched, a->m, outcome);
	all_written(a);
	spool_message_clear(&a->msg);
	free(a->todo);
	free(a->signature);
	free(a->held_by);
	free(a);
}

static enum sched_outcome
outcome_of(const struct active *a)
{
	return a->worked ? SCHED_WORKED : a->broke ? SCHED_BROKE : SCHED_SAYS_NOTHING;
}

static size_t
count_state(const struct active *a, enum spool_rcpt_state state)
{
	size_t i, n = 0;

	for (i = 0; i < a->msg.env.nrcpts; i++)
		n += a->msg.env.rcpt[i].state == state;
	return n;
}

static void
write_soon(struct dispatch *d)
{
	static const struct timeval tv = { DISPATCH_WRITE_MS / 1000, DISPATCH_WRITE_MS % 1000 * 1000 };

	if (!evtimer_pending(d->write, NULL) && event_add(d->write, &tv) == -1)
		alloc_failed();
}

/*
 * In memory at first: most messages are done with their last result, and removed without its ever being
 * written.  Until then what is final stands in the out's journal.
 */
static void
result(struct active *a, size_t i, enum spool_rcpt_state state, const char *text)
{
	spool_message_note(&a->msg, i, state, now(), text);
	if (a->unwritten == NULL) {
		a->unwritten = xcalloc(a->msg.env.nrcpts, sizeof *a->unwritten);
		TAILQ_INSERT_TAIL(&a->d->unwritten, a, entry);
		write_soon(a->d);
	}
	a->unwritten[i] = 1;
}

/* With the right to write, which the descriptor that the outs get must not have; -1 with f. */
static int
open_for_results(const struct active *a, struct fail *f)
{
	char name[SPOOL_NAME_SIZE];
	int fd;

	spool_name_format(name, &a->name);
	fd = openat(a->d->conf.spool->dir[SPOOL_QUEUE], name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd == -1 ? fail_errno(f, "%s", name) : fd;
}

static int
append_results(struct active *a, struct fail *f)
{
	int rc, reading = a->msg.fd, fd = open_for_results(a, f);

	if (fd == -1)
		return -1;
	a->msg.fd = fd;
	rc = spool_message_write(&a->msg, a->unwritten, f);
	a->msg.fd = reading;
	close(fd);
	return rc;
}

/* 0: all results are in the file, or that is gone. */
static int
write_results(struct active *a)
{
	struct fail f = FAIL_INIT;

	if (a->unwritten == NULL)
		return 0;
	if (append_results(a, &f) == -1 && f.err != ENOENT) {
		log_fault(a->d, a->name.id, &f);
		return -1;
	}
	all_written(a);
	return 0;
}

/* 0: no result is in memory alone. */
static int
write_all(struct dispatch *d)
{
	struct active *a, *next;
	int rc = 0;

	for (a = TAILQ_FIRST(&d->unwritten); a != NULL; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (write_results(a) == -1)
			rc = -1;
	}
	return rc;
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct dispatch *d = arg;
	static const struct timeval later = { DISPATCH_STUCK_S, 0 };

	(void)fd;
	(void)what;
	if (write_all(d) == -1 && event_add(d->write, &later) == -1)
		alloc_failed();
}

/* Forgotten, they would be delivered once more at each try: the message keeps its place until then. */
static void
wait_for_disk(struct active *a)
{
	struct dispatch *d = a->d;

	a->more = d->stuck;
	d->stuck = a;
	d->stuck_until = now() + DISPATCH_STUCK_S;
	pump(d);
}

static void
change_all(struct active *a, enum spool_rcpt_state from, enum spool_rcpt_state to, const char *text)
{
	size_t i;

	for (i = 0; i < a->msg.env.nrcpts; i++)
		if (a->msg.env.rcpt[i].state == from)
			result(a, i, to, text);
}

static void
remove_message(struct active *a)
{
	struct dispatch *d = a->d;
	enum sched_outcome outcome = outcome_of(a);
	char name[SPOOL_NAME_SIZE];
	struct fail f = FAIL_INIT;

	spool_name_format(name, &a->name);
	if (spool_remove(d->conf.spool, SPOOL_QUEUE, name, &f) == -1) {
		log_fault(d, a->name.id, &f);
		/* What is still there at the next start must not be sent again. */
		write_results(a);
	}
	log_message(a, LOG_LEVEL_INFO, "removed", NULL, NULL);
	active_free(a, outcome);
	pump(d);
}

static void
keep_message(struct active *a, int64_t delay)
{
	struct dispatch *d = a->d;
	struct spool_name from = a->name, to = a->name;
	enum sched_outcome outcome = outcome_of(a);
	char until[TEXT_TIME_MAX];
	int64_t sleep = 0;
	struct fail f = FAIL_INIT;

	if (write_results(a) == -1) {
		wait_for_disk(a);
		return;
	}
	to.due = now() + delay;
	spool_name_domains(&to, &a->msg.env);
	if (spool_reschedule(d->conf.spool, SPOOL_QUEUE, &from, &to, &f) == -1) {
		log_fault(d, a->name.id, &f);
		to = from;
	}
	log_message(a, LOG_LEVEL_INFO, "waits", "until", text_time(until, to.due));
	active_free(a, outcome);
	if (f.kind != FAIL_NONE)
		sleep = now() + DISPATCH_SLEEP_S;
	else if (outcome == SCHED_BROKE)
		sleep = now() + DISPATCH_SLEEP_S < to.due ? now() + DISPATCH_SLEEP_S : to.due;
	schedule(d, &to, sleep, NULL);
	pump(d);
}

static unsigned
tries_of(const struct active *a)
{
	unsigned most = 1;
	size_t i;

	for (i = 0; i < a->msg.env.nrcpts; i++)
		if (a->msg.env.rcpt[i].tries > most)
			most = a->msg.env.rcpt[i].tries;
	return most;
}

static int
is_open(const struct spool_rcpt *r)
{
	return r->state == SPOOL_RCPT_WAITING || r->state == SPOOL_RCPT_DEFERRED;
}

static size_t
waiting(const struct active *a)
{
	return count_state(a, SPOOL_RCPT_WAITING) + count_state(a, SPOOL_RCPT_DEFERRED);
}

/* Back into the schedule as it was: nothing of it is open while it waits for a place at the host. */
static void
hold_message(struct active *a)
{
	struct dispatch *d = a->d;
	struct spool_name name = a->name;
	char key[SPOOL_DOMAIN_MAX + 32], *host = a->held_by;
	int alone = a->alone;

	if (write_results(a) == -1) {
		wait_for_disk(a);
		return;
	}
	a->held_by = NULL;
	key_of(&name, key, sizeof key);
	active_free(a, outcome_of(a));
	schedule(d, &name, 0, handed_back);
	sched_hold(d->sched, key, host, alone, now());
	free(host);
	pump(d);
}

/* As somebody asked while it was out. */
static int
hold_as_asked(struct active *a)
{
	struct dispatch *d = a->d;
	struct spool_name name = a->name;
	char from[SPOOL_NAME_SIZE], to[SPOOL_NAME_SIZE];
	struct fail f = FAIL_INIT;

	if (write_results(a) == -1)
		return 0;
	spool_name_domains(&name, &a->msg.env);
	spool_name_format(from, &a->name);
	spool_name_format(to, &name);
	if ((strcmp(from, to) != 0 && spool_reschedule(d->conf.spool, SPOOL_QUEUE, &a->name, &name, &f) == -1) ||
	    spool_move(d->conf.spool, SPOOL_QUEUE, SPOOL_HOLD, to, &f) == -1) {
		log_fault(d, a->name.id, &f);
		return 0;
	}
	log_message(a, LOG_LEVEL_INFO, "held", NULL, NULL);
	active_free(a, outcome_of(a));
	pump(d);
	return 1;
}

static void finish_rest(struct active *);

/* Who was told that it waits has it in the file; -1 with f where that is not so. */
static int
note_told(struct active *a, struct fail *f)
{
	int rc = 0, reading = a->msg.fd, fd = open_for_results(a, f);
	size_t i;

	if (fd == -1)
		return -1;
	a->msg.fd = fd;
	for (i = 0; rc == 0 && i < a->msg.env.nrcpts; i++)
		if (is_open(&a->msg.env.rcpt[i]) && notice_wants_delay(&a->msg.env.rcpt[i])) {
			rc = spool_message_result(&a->msg, i, SPOOL_RCPT_DELAYED, now(), NULL, f);
			a->msg.env.rcpt[i].told_late = 1;
		}
	a->msg.fd = reading;
	close(fd);
	return rc;
}

/* A notice that the disk did not take comes behind the next try; one that is not written down may come twice. */
static void
on_notice_committed(void *arg, int ok)
{
	struct active *a = arg;
	struct fail f = FAIL_INIT;

	if (ok && note_told(a, &f) == -1)
		log_fault(a->d, a->name.id, &f);
	a->noticed = 1;
	finish_rest(a);
}

/* 1: the sender is being told that it waits. */
static int
tell_delay(struct active *a)
{
	struct dispatch *d = a->d;
	char id[SPOOL_ID_SIZE];
	struct fail f = FAIL_INIT;

	if (a->noticed || !notice_delay_is_due(&d->conf.conf->notice, &a->msg.env, now()))
		return 0;
	if (bounce_write(d->conf.spool, &d->ids, d->conf.conf, &a->msg, BOUNCE_LATE, now_us(), id, &f) == -1) {
		log_fault(d, a->name.id, &f);
		return 0;
	}
	log_message(a, LOG_LEVEL_INFO, "delay-told", "as", id);
	d->conf.submit(d->conf.arg, id, on_notice_committed, a);
	return 1;
}

/* After the bounce, if there was one to write. */
static void
finish_rest(struct active *a)
{
	const struct conf *c = a->d->conf.conf;
	int64_t delay, age = now() - a->msg.env.arrived;

	if (waiting(a) == 0 || a->drop) {
		remove_message(a);
		return;
	}
	if (tell_delay(a))
		return;
	if (a->hold && hold_as_asked(a))
		return;
	if (a->held_by != NULL && !a->soon) {
		hold_message(a);
		return;
	}
	delay = sched_backoff(c->retry, c->retry_max, tries_of(a), age, notice_next(&c->notice, &a->msg.env, age),
	    random32());
	if (a->soon || delay < 0)
		delay = DISPATCH_SOON_S;
	keep_message(a, delay > 0 ? delay : 1);
}

static void
on_bounce_committed(void *arg, int ok)
{
	struct active *a = arg;

	if (!ok) {
		keep_message(a, a->d->conf.conf->retry);
		return;
	}
	change_all(a, SPOOL_RCPT_FAILED, SPOOL_RCPT_CLOSED, NULL);
	change_all(a, SPOOL_RCPT_RELAYED, SPOOL_RCPT_DELIVERED, NULL);
	change_all(a, SPOOL_RCPT_ARRIVED, SPOOL_RCPT_DELIVERED, NULL);
	finish_rest(a);
}

/* RFC 3461 4.1: who asked for other news, or none, hears of no failure. */
static void
close_unasked(struct active *a)
{
	size_t i;

	for (i = 0; i < a->msg.env.nrcpts; i++)
		if (a->msg.env.rcpt[i].state == SPOOL_RCPT_FAILED && !notice_wants_failure(&a->msg.env.rcpt[i]))
			result(a, i, SPOOL_RCPT_CLOSED, NULL);
}

/* Whoever hears of double bounces hears of none that go to the same address: they would beget each other. */
static int
tells_double(const struct active *a)
{
	const char *to = a->d->conf.conf->double_bounce_to;
	size_t i;

	for (i = 0; to != NULL && i < a->msg.env.nrcpts; i++)
		if (a->msg.env.rcpt[i].state == SPOOL_RCPT_FAILED && text_case_eq(a->msg.env.rcpt[i].address, to))
			return 0;
	return to != NULL;
}

static void
bounce(struct active *a)
{
	struct dispatch *d = a->d;
	char id[SPOOL_ID_SIZE];
	struct fail f = FAIL_INIT;

	int from_nobody = a->msg.env.from[0] == '\0';

	if (from_nobody && !tells_double(a)) {
		log_message(a, LOG_LEVEL_WARN, "double-bounce", "consequence", "nobody is told (RFC 5321 6.1)");
		change_all(a, SPOOL_RCPT_FAILED, SPOOL_RCPT_CLOSED, NULL);
		finish_rest(a);
		return;
	}
	if (bounce_write(d->conf.spool, &d->ids, d->conf.conf, &a->msg, from_nobody ? BOUNCE_DOUBLE : BOUNCE_FINAL,
	    now_us(), id, &f) == -1) {
		log_fault(d, a->name.id, &f);
		keep_message(a, a->d->conf.conf->retry);
		return;
	}
	if (from_nobody)
		log_message(a, LOG_LEVEL_WARN, "double-bounce", "as", id);
	else
		log_message(a, LOG_LEVEL_INFO, "bounced", "as", id);
	d->conf.submit(d->conf.arg, id, on_bounce_committed, a);
}

/* The sender is to read what the host said all the time (RFC 3463 3.5: of the last attempt). */
static void
expire(struct active *a)
{
	size_t i;

	for (i = 0; i < a->msg.env.nrcpts; i++) {
		const struct spool_rcpt *r = &a->msg.env.rcpt[i];
		char *text;

		if (!is_open(r))
			continue;
		text = xasprintf(BOUNCE_EXPIRED "%s%s", r->said != NULL ? BOUNCE_LAST : "",
		    r->said != NULL ? r->said : "");
		result(a, i, SPOOL_RCPT_FAILED, text);
		free(text);
	}
}

/* Its octets are not those that came in: nobody gets them. */
static void
set_aside(struct active *a)
{
	struct dispatch *d = a->d;
	char name[SPOOL_NAME_SIZE];
	struct fail f = FAIL_INIT;

	spool_name_format(name, &a->name);
	if (spool_set_aside(d->conf.spool, SPOOL_QUEUE, name, &f) == -1) {
		log_fault(d, a->name.id, &f);
		keep_message(a, DISPATCH_SLEEP_S);
		return;
	}
	fail(&f, FAIL_INPUT, "set aside in bad: the message does not agree with its checksum");
	log_fault(d, a->name.id, &f);
	active_free(a, SCHED_SAYS_NOTHING);
	pump(d);
}

static void
finish(struct active *a)
{
	size_t told;

	if (a->damaged) {
		write_results(a);
		set_aside(a);
		return;
	}
	if (now() - a->msg.env.arrived >= notice_lifetime(&a->d->conf.conf->notice, &a->msg.env))
		expire(a);
	close_unasked(a);
	told = count_state(a, SPOOL_RCPT_FAILED) + count_state(a, SPOOL_RCPT_RELAYED) + count_state(a, SPOOL_RCPT_ARRIVED);
	if (waiting(a) + told > 0)
		write_results(a);
	if (told > 0)
		bounce(a);
	else
		finish_rest(a);
}

/* ---- parts ---- */

static size_t
take_slot(struct dispatch *d, struct part *p)
{
	size_t i;

	for (i = 0; i < d->nparts && d->part[i] != NULL; i++)
		;
	if (i == d->nparts) {
		d->nparts = d->nparts > 0 ? d->nparts * 2 : 64;
		d->part = xreallocarray(d->part, d->nparts, sizeof *d->part);
		memset(d->part + i, 0, (d->nparts - i) * sizeof *d->part);
	}
	d->part[i] = p;
	return i;
}

/* Its next parts are begun from the loop; it is freed only when there are none. */
static void
list_more(struct active *a)
{
	struct dispatch *d = a->d;

	if (!a->listed) {
		a->listed = 1;
		a->more = d->more;
		d->more = a;
	}
	pump(d);
}

/* ---- places at hosts ---- */

/* The name of a host of its plan in the schedule. */
static char *
host_key(const struct part *p, size_t i)
{
	const struct facts_host *h = p->plan->plan.host[i].host;

	return h->port != 0 ? xasprintf("%s@%u", h->name, h->port) : xasprintf("%s@%s", h->name, p->port);
}

static int
is_usable(const struct part *p, size_t i)
{
	const struct plan_host *h = &p->plan->plan.host[i];

	return h->act == PLAN_TRY && h->host->naddr > 0;
}

/* One failure may be chance; a host that breaks twice in a row is left alone. */
static void
leave_host(struct part *p, enum sched_outcome outcome)
{
	struct dispatch *d = p->a->d;
	int64_t sleep = DISPATCH_SLEEP_S < d->conf.conf->retry ? DISPATCH_SLEEP_S : d->conf.conf->retry;
	struct sched_state st;
	char *key;

	if (p->plan == NULL || !p->placed)
		return;
	p->placed = 0;
	key = host_key(p, p->host);
	sched_leave(d->sched, key, outcome);
	st = sched_host_state(d->sched, key);
	if (outcome == SCHED_BROKE && st.broke >= DISPATCH_HOST_BROKE && st.until == 0)
		sched_host_sleep(d->sched, key, now() + sleep);
	free(key);
	pump(d);
}

/* What a destination may have more of than is usual, its host may too. */
static void
raise_places(const struct part *p, const char *host)
{
	unsigned concurrency = p->plan->controls.n[CONTROLS_CONCURRENCY];

	if (concurrency <= SCHED_PLACES_MAX)
		return;
	sched_most(p->a->d->sched, sched_key(p->a->m), concurrency);
	sched_host_most(p->a->d->sched, host, concurrency);
}

/* Of a message to one domain the rest of its mail goes there as well. */
static int
enter_host(struct part *p, size_t i, const char *key)
{
	struct dispatch *d = p->a->d;

	if (!sched_enter(d->sched, p->a->m, key, now()))
		return 0;
	p->host = i;
	p->placed = 1;
	raise_places(p, key);
	if (p->a->name.domain[0] != '\0' && p->limit == NULL)
		sched_behind(d->sched, sched_key(p->a->m), key);
	return 1;
}

static void
note_hold(struct part *p, const char *key, int alone)
{
	free(p->a->held_by);
	p->a->held_by = xstrdup(key);
	p->a->alone = alone || p->a->name.domain[0] == '\0';
}

/* ---- limits of destinations: in the schedule they are hosts, so that what waits for them stands in line there ---- */

static void
leave_limit(struct part *p)
{
	if (p->limit == NULL)
		return;
	sched_leave(p->a->d->sched, p->limit, SCHED_SAYS_NOTHING);
	free(p->limit);
	p->limit = NULL;
	pump(p->a->d);
}

/* 0: it is not its turn, and those behind it wait as well. */
static int
keep_pace(struct part *p, const char *limit)
{
	const struct controls *c = &p->plan->controls;
	struct dispatch *d = p->a->d;
	int64_t at;

	if (p->paced || c->n[CONTROLS_MESSAGE_RATE] == 0)
		return 1;
	if ((at = pace_take(d->pace, limit, c->n[CONTROLS_MESSAGE_RATE], c->rate_time, now_us())) == 0)
		return p->paced = 1;
	sched_host_sleep(d->sched, limit, at / 1000000 + 1);
	note_hold(p, limit, 1);
	return 0;
}

static int
take_turn(struct part *p)
{
	unsigned concurrency = p->plan->controls.n[CONTROLS_CONCURRENCY];
	struct dispatch *d = p->a->d;
	char *counted, *limit;
	int rc = 1;

	if ((concurrency == 0 && p->plan->controls.n[CONTROLS_MESSAGE_RATE] == 0) || p->limit != NULL)
		return 1;
	counted = conf_counted_as(d->conf.conf, p->domain);
	limit = xasprintf("limit of %s", counted);
	sched_host_places(d->sched, limit, concurrency > 0 ? concurrency : 1);
	if (concurrency > 0 && !sched_enter(d->sched, p->a->m, limit, now())) {
		note_hold(p, limit, 1);
		rc = 0;
	} else if (concurrency > 0)
		p->limit = xstrdup(limit);
	if (rc && !keep_pace(p, limit)) {
		leave_limit(p);
		rc = 0;
	}
	free(counted);
	free(limit);
	return rc;
}

/*
 * A place at the first host that does not sleep: where that is full the part waits, for a host is not
 * passed over for being busy (RFC 5321 5.1).  If all sleep it waits for the first.  1: go on.
 */
static int
take_host(struct part *p)
{
	size_t i, n = p->plan->plan.nhost, best = n;
	char *key = NULL;
	int rc = 0;

	for (i = 0; i < n; i++) {
		if (!is_usable(p, i))
			continue;
		best = best == n ? i : best;
		key = host_key(p, i);
		if (!sched_host_asleep(p->a->d->sched, key, now()))
			break;
		free(key);
		key = NULL;
	}
	if (best == n)
		return 1;
	if (key == NULL) {
		key = host_key(p, best);
		note_hold(p, key, 1);
	} else if (!(rc = enter_host(p, i, key)))
		note_hold(p, key, 0);
	free(key);
	return rc;
}

/* Once for each part.  When all have been, a place that none of them took is free. */
static void
planned(struct part *p)
{
	struct active *a = p->a;

	if (p->counted)
		return;
	p->counted = 1;
	if (--a->unplanned == 0 && a->taken == a->ntodo)
		sched_spare(a->d->sched, a->m);
}

static void
forget_plan(struct part *p)
{
	leave_host(p, SCHED_SAYS_NOTHING);
	leave_limit(p);
	unpacked_free(p->plan);
	free(p->port);
	p->plan = NULL;
	p->port = NULL;
}

static void
part_done(struct part *p)
{
	struct active *a = p->a;

	a->d->part[p->slot] = NULL;
	if (p->outlet != NULL) {
		p->outlet->load--;
		pump(a->d);
	}
	planned(p);
	forget_plan(p);
	alerting_part_clear(&p->tried);
	free(p->domain);
	free(p->plan_key);
	free(p);
	a->parts--;
	if (a->taken < a->ntodo)
		list_more(a);
	else if (a->parts == 0)
		finish(a);
}

static struct part *
part_new(struct active *a, const char *domain)
{
	struct part *p = xcalloc(1, sizeof *p);

	p->a = a;
	p->domain = xstrdup(domain);
	text_lower(p->domain);
	p->plan_key = xasprintf("%s %u", p->domain, a->asks);
	p->slot = take_slot(a->d, p);
	a->parts++;
	a->unplanned++;
	return p;
}

static void
settle_part(struct part *p, enum spool_rcpt_state state, const char *status, const char *why)
{
	char *text = xasprintf("%s %s", status, why);
	size_t i;

	for (i = 0; i < p->n; i++) {
		struct log_line l;

		result(p->a, p->rcpt[i], state, text);
		log_event(&l, LOG_LEVEL_INFO, p->a->name.id, spool_rcpt_state_name(state));
		log_key(&l, "to", p->a->msg.env.rcpt[p->rcpt[i]].address);
		log_key(&l, "reason", text);
		log_send(&l);
	}
	free(text);
	part_done(p);
}

static int
takes_orders(const struct outlet *o)
{
	return o->channel != NULL && !o->retired && o->load < o->d->fds;
}

/*
 * Whoever is free; but what goes to one host goes to one out, which can use its connections again, and
 * so has no more of them than the host has places.
 */
static struct outlet *
outlet_for(struct dispatch *d, const char *host)
{
	struct outlet *o, *best = NULL;
	uint64_t most = 0, h;
	const char *c;

	for (o = d->outlets; o != NULL; o = o->next) {
		for (h = o->number, c = host; *c != '\0'; c++) {
			h = (h ^ (unsigned char)*c) * 0x9e3779b97f4a7c15ULL;
			h ^= h >> 32;
		}
		if (takes_orders(o) && (best == NULL || h > most)) {
			best = o;
			most = h;
		}
	}
	return best;
}

/* NULL: there is none, or none takes one more. */
static struct outlet *
least_loaded(struct dispatch *d)
{
	struct outlet *o, *best = NULL;

	for (o = d->outlets; o != NULL; o = o->next)
		if (takes_orders(o) && (best == NULL || o->load < best->load))
			best = o;
	return best;
}

static void
put_order(struct buf *b, const struct part *p, const char *port, const struct credential *credential, const char *plan,
    size_t len)
{
	const struct spool_message *m = &p->a->msg;
	char seq[24], offset[24], size[24], crc[24], index[24], host[24], proof[JOURNAL_PROOF_SIZE];
	char *params;
	size_t i;

	snprintf(seq, sizeof seq, "%zu", p->slot);
	snprintf(host, sizeof host, "%zu", p->host);
	snprintf(offset, sizeof offset, "%" PRId64, m->offset);
	snprintf(size, sizeof size, "%" PRId64, m->size);
	snprintf(crc, sizeof crc, "%" PRIu32, m->crc);
	table_put(b, "deliver", seq, p->a->name.id, port, offset, size, crc,
	    spool_is_8bit(m) ? "1" : "0", host, m->env.from, (char *)NULL);
	params = spool_words_text(&m->env.from_options);
	table_put(b, "mail", params, (char *)NULL);
	free(params);
	if (p->a->signature != NULL)
		table_put(b, "head", p->a->signature, (char *)NULL);
	for (i = 0; i < p->n; i++) {
		snprintf(index, sizeof index, "%zu", p->rcpt[i]);
		journal_proof(proof, p->a->d->conf.key, p->a->name.id, p->rcpt[i]);
		params = spool_words_text(&m->env.rcpt[p->rcpt[i]].options);
		table_put(b, "rcpt", index, m->env.rcpt[p->rcpt[i]].address, proof,
		    params[0] != '\0' ? params : NULL, (char *)NULL);
		free(params);
	}
	if (credential != NULL)
		table_put(b, "password", credential->user, credential->password, (char *)NULL);
	buf_add(b, plan, len);
}

/* Until an out has room, or there is one again: it holds nothing until then. */
static void
park(struct part *p)
{
	forget_plan(p);
	p->parked = p->a->d->parked;
	p->a->d->parked = p;
}

static void
send_order(struct part *p, struct outlet *o, const struct buf *b)
{
	/* It may not write there, whatever becomes of it. */
	if (channel_send(o->channel, b->p, b->len, p->a->msg.fd) == 0) {
		p->outlet = o;
		o->load++;
		return;
	}
	/* No descriptor. */
	p->a->soon = 1;
	part_done(p);
}

static void hand_out(struct part *, const char *port, const char *plan, size_t len);

/* It goes where the other goes, beyond the places there if need be. */
static struct part *
half_of(struct part *p, const char *plan, size_t len)
{
	struct part *q = part_new(p->a, p->domain);
	struct fail f = FAIL_INIT;
	char *key;

	planned(q);
	q->n = p->n / 2;
	p->n -= q->n;
	memcpy(q->rcpt, p->rcpt + p->n, q->n * sizeof q->rcpt[0]);
	q->plan = unpack_plan(plan, len, &f);
	q->port = xstrdup(p->port);
	q->host = p->host;
	if (p->placed && q->plan != NULL) {
		key = host_key(q, q->host);
		sched_enter_anyway(p->a->d->sched, key);
		q->placed = 1;
		free(key);
	}
	return q;
}

/* Long addresses: both halves go, and each may be halved again. */
static void
hand_out_halves(struct part *p, const char *port, const char *plan, size_t len)
{
	struct part *q = half_of(p, plan, len);

	hand_out(p, port, plan, len);
	hand_out(q, port, plan, len);
}

/* The password that the plan's hosts want, to be sent with this order alone.  -1: it is not known. */
static int
find_credential(const struct part *p, const struct credential **out)
{
	const char *name = p->plan->controls.credentials;

	*out = NULL;
	if (name != NULL && p->a->d->credentials != NULL)
		*out = credentials_find(p->a->d->credentials, name);
	return name == NULL || *out != NULL ? 0 : -1;
}

static void
hand_out(struct part *p, const char *port, const char *plan, size_t len)
{
	struct dispatch *d = p->a->d;
	const struct credential *credential;
	char *key = p->placed ? host_key(p, p->host) : NULL;
	struct outlet *o = key != NULL ? outlet_for(d, key) : least_loaded(d);
	struct buf b = BUF_INIT;

	free(key);
	if (o == NULL) {
		park(p);
		return;
	}
	if (find_credential(p, &credential) == -1) {
		settle_part(p, SPOOL_RCPT_DEFERRED, "4.3.5", "the credentials of its route are not known");
		return;
	}
	put_order(&b, p, port, credential, plan, len);
	if (b.len < ORDER_MAX)
		send_order(p, o, &b);
	else if (p->n > 1)
		hand_out_halves(p, port, plan, len);
	else
		settle_part(p, SPOOL_RCPT_DEFERRED, "4.3.0", "an order too large to hand on");
	buf_wipe(&b);
}

static void
act_on_plan(struct part *p, const char *port, const char *text, size_t len)
{
	struct fail f = FAIL_INIT;
	struct unpacked *u = unpack_plan(text, len, &f);

	if (u == NULL) {
		log_fault(p->a->d, p->a->name.id, &f);
		settle_part(p, SPOOL_RCPT_DEFERRED, "4.3.0", "its plan cannot be handed on");
		return;
	}
	p->plan = u;
	p->port = xstrdup(port);
	switch (u->plan.kind) {
	case PLAN_HOSTS:
		if (!take_turn(p) || !take_host(p)) {
			planned(p);
			part_done(p);
			return;
		}
		planned(p);
		hand_out(p, port, text, len);
		break;
	case PLAN_NOMAIL:
	case PLAN_NODOMAIN:
	case PLAN_NOROUTE:
	case PLAN_LOOP:
	case PLAN_UNPROTECTED:
		planned(p);
		settle_part(p, SPOOL_RCPT_FAILED, u->plan.status, u->plan.why);
		break;
	case PLAN_DEFER:
		planned(p);
		settle_part(p, SPOOL_RCPT_DEFERRED, u->plan.status, u->plan.why);
		break;
	}
}

/* ---- plans ---- */

static void
ask_route(struct part *p)
{
	struct buf b = BUF_INIT;
	char seq[24], asks[24];

	p->asked = 1;
	snprintf(seq, sizeof seq, "%zu", p->slot);
	snprintf(asks, sizeof asks, "%u", p->a->asks);
	table_put(&b, "route", seq, p->domain, asks, (char *)NULL);
	channel_send(p->a->d->route, b.p, b.len, -1);
	buf_clear(&b);
}

static void
ask_plan(struct part *p)
{
	struct dispatch *d = p->a->d;
	struct plan_kept k;

	if (plans_find(d->plans, p->plan_key, now(), &k)) {
		act_on_plan(p, k.port, k.text, k.len);
		return;
	}
	if (d->route == NULL) {
		p->a->soon = 1;
		part_done(p);
		return;
	}
	ask_route(p);
}

static struct part *
part_of(struct dispatch *d, const char *seq)
{
	struct fail f = FAIL_INIT;
	long long slot;

	if (d->nparts == 0 || text_number(seq, 0, (long long)d->nparts - 1, "order", &slot, &f) == -1)
		return NULL;
	return d->part[slot];
}

/* planned SEQ PORT TTL, the plan's lines; dns sick|well WHY DOMAIN */
static void
on_route_record(void *arg, struct order *o)
{
	struct dispatch *d = arg;
	struct fail f = FAIL_INIT;
	struct part *p;
	long long ttl;

	if (o->fd != -1)
		close(o->fd);
	if (o->n == 4 && strcmp(o->v[0], "dns") == 0) {
		alerting_dns(d->conf.alerting, strcmp(o->v[1], "sick") == 0, o->v[2], o->v[3]);
		return;
	}
	if (strcmp(o->v[0], "posted") == 0) {
		reports_posted(d->conf.reports, o);
		return;
	}
	if (o->n != 4 || strcmp(o->v[0], "planned") != 0 || (p = part_of(d, o->v[1])) == NULL ||
	    !p->asked || text_number(o->v[3], 0, UINT32_MAX, "ttl", &ttl, &f) == -1)
		return;
	p->asked = 0;
	plans_keep(d->plans, p->plan_key, o->v[2], o->more, o->more_len, ttl, now());
	act_on_plan(p, o->v[2], o->more, o->more_len);
}

/* What it owes is lost with it: the master starts all roles anew, or stops them. */
static void
on_route_gone(void *arg, const struct fail *f)
{
	struct dispatch *d = arg;

	(void)f;
	channel_free(d->route);
	d->route = NULL;
}

static const struct channel_handlers route_handlers = { .record = on_route_record,
	.gone = on_route_gone };

int
dispatch_ask_route(struct dispatch *d, const char *text, size_t len, int fd)
{
	return d->route != NULL ? channel_send(d->route, text, len, fd) : -1;
}

void
dispatch_take_credentials(struct dispatch *d, const struct credentials *c)
{
	d->credentials = c;
}

void
dispatch_take_conf(struct dispatch *d, const struct conf *conf)
{
	d->conf.conf = conf;
	pump(d);
}

void
dispatch_route(struct dispatch *d, int fd)
{
	size_t i;

	channel_free(d->route);
	d->route = channel_new(d->conf.base, fd, &route_handlers, d);
	channel_gather(d->route);
	plans_forget(d->plans);
	for (i = 0; i < d->nparts; i++)
		if (d->part[i] != NULL && d->part[i]->asked)
			ask_route(d->part[i]);
	pump(d);
}

/* ---- journals ---- */

/* Gives an out a journal to begin, or to go on in.  Without one it delivers too. */
static void
give_journal(struct outlet *o)
{
	struct dispatch *d = o->d;
	struct fail f = FAIL_INIT;
	char name[SPOOL_ID_SIZE];
	int fd;

	o->journaled = 0;
	spool_id_next(&d->ids, now_us(), name);
	if ((fd = journal_make(d->conf.spool, name, &f)) == -1) {
		log_fault(d, d->conf.name, &f);
		return;
	}
	memcpy(o->before, o->journal, sizeof o->before);
	memcpy(o->journal, name, sizeof o->journal);
	channel_send(o->channel, "journal", 7, fd);
	close(fd);
}

/* Once all of its results are in the messages' files; where they cannot be, the next start reads it. */
static void
leave_journal(struct outlet *o, char *name)
{
	if (name[0] != '\0' && write_all(o->d) == 0)
		journal_remove(o->d->conf.spool, name);
	name[0] = '\0';
}

/* Its results stood before this answer in the socket. */
static void
take_switched(struct outlet *o)
{
	leave_journal(o, o->before);
}

/* A result that an out wrote down and did not tell, or whose record went with its socket. */
static void
take_written(void *arg, const struct journal_result *r)
{
	struct outlet *o = arg;
	struct dispatch *d = o->d;
	size_t i, k;

	for (i = 0; i < d->nparts; i++) {
		struct part *p = d->part[i];

		if (p == NULL || p->outlet != o || strcmp(p->a->name.id, r->id) != 0)
			continue;
		for (k = 0; k < p->n; k++)
			if (p->rcpt[k] == r->number && is_open(&p->a->msg.env.rcpt[r->number]))
				result(p->a, r->number, r->state, r->text);
	}
}

static void
read_journal(struct outlet *o, char *name)
{
	const struct spool *s = o->d->conf.spool;
	struct fail f = FAIL_INIT;
	size_t damaged = 0;

	if (name[0] == '\0')
		return;
	if (journal_read(s, name, o->d->conf.key, take_written, o, &damaged, &f) == 0 && damaged > 0)
		fail(&f, FAIL_INPUT, "results/%s: %zu damaged lines are left out", name, damaged);
	if (f.kind != FAIL_NONE)
		log_fault(o->d, o->d->conf.name, &f);
	leave_journal(o, name);
}

/* ---- results ---- */

/* What an out may say: that the sender was told is not its affair. */
static int
state_of(const char *word)
{
	int i;

	for (i = SPOOL_RCPT_DEFERRED; i < SPOOL_RCPT_STATES; i++)
		if (i != SPOOL_RCPT_CLOSED && i != SPOOL_RCPT_DELAYED &&
		    strcmp(spool_rcpt_state_name((enum spool_rcpt_state)i), word) == 0)
			return i;
	return -1;
}

/* result SEQ INDEX STATE TEXT [unwritten]: from a process that faces peers; only its own recipients are its, and each once. */
static void
take_result(struct outlet *o, const struct order *r)
{
	struct part *p = part_of(o->d, r->v[1]);
	struct fail f = FAIL_INIT;
	long long index;
	int state = state_of(r->v[3]);
	size_t i;

	if (p == NULL || p->outlet != o || state == -1 ||
	    text_number(r->v[2], 0, SPOOL_RCPTS_MAX, "recipient", &index, &f) == -1)
		return;
	for (i = 0; i < p->n; i++)
		if ((long long)p->rcpt[i] == index && is_open(&p->a->msg.env.rcpt[index]))
			result(p->a, index, (enum spool_rcpt_state)state, r->v[4]);
	if (r->n == 6 || o->journal[0] == '\0')
		write_results(p->a);
	o->journaled += strlen(r->v[4]) + 64;
	if (o->journaled >= JOURNAL_SWITCH_AT && o->before[0] == '\0')
		give_journal(o);
}

static enum sched_outcome
outcome_named(const char *word)
{
	return strcmp(word, "worked") == 0 ? SCHED_WORKED :
	    strcmp(word, "broke") == 0 ? SCHED_BROKE : SCHED_SAYS_NOTHING;
}

/* tried SEQ HOST ADDRESS VERDICT TROUBLE RULE WHY */
static void
take_tried(struct outlet *o, const struct order *r)
{
	struct part *p = part_of(o->d, r->v[1]);
	struct fail f = FAIL_INIT;
	struct tried t;

	if (p == NULL || p->outlet != o || p->plan == NULL || tried_unpack(&t, r, p->plan->plan.nhost, &f) == -1)
		return;
	alerting_tried(o->d->conf.alerting, &p->tried, &p->plan->plan, p->domain, &t);
}

static void
tell_alerting(struct part *p, int worked)
{
	const struct active *a = p->a;
	struct alerting_mail m = { .domain = p->domain, .env = &a->msg.env, .asks = a->asks, .worked = worked,
		.shared = a->name.domain[0] == '\0' };

	m.expires = a->msg.env.arrived + notice_lifetime(&a->d->conf.conf->notice, &a->msg.env);

	alerting_done(a->d->conf.alerting, &p->tried, &m);
}

static void
take_finished(struct outlet *o, const struct order *r)
{
	struct part *p = part_of(o->d, r->v[1]);

	if (p == NULL || p->outlet != o)
		return;
	tell_alerting(p, strcmp(r->v[2], "worked") == 0);
	p->a->worked |= strcmp(r->v[2], "worked") == 0;
	p->a->broke |= strcmp(r->v[2], "broke") == 0;
	p->a->damaged |= strcmp(r->v[2], "damaged") == 0;
	leave_host(p, outcome_named(r->v[2]));
	part_done(p);
}

/* moved SEQ HOST OUTCOME: on to a later host, or past the last. */
static void
take_moved(struct outlet *o, const struct order *r)
{
	struct part *p = part_of(o->d, r->v[1]);
	struct fail f = FAIL_INIT;
	long long host;
	char *key;

	if (p == NULL || p->outlet != o || p->plan == NULL ||
	    text_number(r->v[2], p->host + 1, p->plan->plan.nhost, "host", &host, &f) == -1)
		return;
	leave_host(p, outcome_named(r->v[3]));
	p->host = host;
	if (p->host == p->plan->plan.nhost || !is_usable(p, p->host))
		return;
	key = host_key(p, p->host);
	sched_enter_anyway(o->d->sched, key);
	free(key);
	p->placed = 1;
}

/* doubt SEQ: its host could not be used as the plan asks, so the next one asks for a plan of its own. */
static void
take_doubt(struct outlet *o, const struct order *r)
{
	struct part *p = part_of(o->d, r->v[1]);

	if (p != NULL && p->outlet == o)
		plans_doubt(o->d->plans, p->plan_key, now());
}

/* session SEQ HOST ...: of a host of its plan */
static void
take_session(struct outlet *o, const struct order *r)
{
	struct part *p = part_of(o->d, r->v[1]);

	if (p != NULL && p->outlet == o && p->plan != NULL)
		reports_session(o->d->conf.reports, &p->plan->plan, r);
}

/* Behind this word no order follows. */
static void
take_retire(struct outlet *o)
{
	o->retired = 1;
	channel_send(o->channel, "retire", 6, -1);
}

static void
on_out_record(void *arg, struct order *r)
{
	if (r->fd != -1)
		close(r->fd);
	if (r->n == 1 && strcmp(r->v[0], "switched") == 0)
		take_switched(arg);
	else if (r->n == 1 && strcmp(r->v[0], "retire") == 0)
		take_retire(arg);
	else if ((r->n == 5 || r->n == 6) && strcmp(r->v[0], "result") == 0)
		take_result(arg, r);
	else if (r->n == 3 && strcmp(r->v[0], "finished") == 0)
		take_finished(arg, r);
	else if (r->n == 4 && strcmp(r->v[0], "moved") == 0)
		take_moved(arg, r);
	else if (r->n == 2 && strcmp(r->v[0], "doubt") == 0)
		take_doubt(arg, r);
	else if (r->n == 8 && strcmp(r->v[0], "tried") == 0)
		take_tried(arg, r);
	else if (r->n == 8 && strcmp(r->v[0], "session") == 0)
		take_session(arg, r);
}

/* Whatever it had is tried again soon, but what it wrote down: that it was told of. */
static void
on_out_gone(void *arg, const struct fail *f)
{
	struct outlet *o = arg;
	size_t i;

	(void)f;
	channel_free(o->channel);
	o->channel = NULL;
	read_journal(o, o->before);
	read_journal(o, o->journal);
	for (i = 0; i < o->d->nparts; i++)
		if (o->d->part[i] != NULL && o->d->part[i]->outlet == o) {
			o->d->part[i]->a->soon = 1;
			part_done(o->d->part[i]);
		}
}

static const struct channel_handlers out_handlers = { .record = on_out_record, .gone = on_out_gone };

static void
forget_gone(struct dispatch *d)
{
	struct outlet **at = &d->outlets, *o;

	while ((o = *at) != NULL) {
		if (o->channel != NULL || o->load > 0) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		free(o);
	}
}

void
dispatch_out(struct dispatch *d, int fd, unsigned number)
{
	struct outlet *o = xcalloc(1, sizeof *o);

	forget_gone(d);
	o->d = d;
	o->number = number;
	o->channel = channel_new(d->conf.base, fd, &out_handlers, o);
	channel_gather(o->channel);
	o->next = d->outlets;
	d->outlets = o;
	give_journal(o);
	pump(d);
}

/* ---- what somebody wants ---- */

static enum control_answer
change_failed(const struct fail *f)
{
	return f->err == ENOENT ? CONTROL_ABSENT : CONTROL_FAILED;
}

static enum control_answer
change_active(struct active *a, enum control_verb verb)
{
	a->hold = verb == CONTROL_HOLD;
	a->drop = verb == CONTROL_DELETE;
	return verb == CONTROL_RETRY ? CONTROL_OK : CONTROL_LATER;
}

static enum control_answer
retry_now(struct dispatch *d, struct sched_message *m, struct fail *f)
{
	struct spool_name from, to;
	char key[SPOOL_DOMAIN_MAX + 32];

	name_of(m, &from);
	to = from;
	to.due = now();
	if (to.due < from.due && spool_reschedule(d->conf.spool, SPOOL_QUEUE, &from, &to, f) == -1)
		return change_failed(f);
	if (to.due < from.due)
		sched_change(d->sched, m, to.due, m->deadline);
	snprintf(key, sizeof key, "%s", sched_key(m));
	sched_sleep(d->sched, key, 0);
	pump(d);
	return CONTROL_OK;
}

enum control_answer
dispatch_change(struct dispatch *d, enum control_verb verb, const char *id, struct fail *f)
{
	struct sched_message *m = sched_find(d->sched, id);
	struct spool_name name;
	char file[SPOOL_NAME_SIZE];
	int rc;

	if (m == NULL)
		return CONTROL_ABSENT;
	if (m->out)
		return change_active(m->arg, verb);
	if (verb == CONTROL_RETRY)
		return retry_now(d, m, f);
	if (warm_of(m) != NULL)
		cool_down(d, warm_of(m));
	name_of(m, &name);
	spool_name_format(file, &name);
	if (verb == CONTROL_HOLD)
		rc = spool_move(d->conf.spool, SPOOL_QUEUE, SPOOL_HOLD, file, f);
	else
		rc = spool_remove(d->conf.spool, SPOOL_QUEUE, file, f);
	if (rc == -1 && f->err != ENOENT)
		return CONTROL_FAILED;
	sched_remove(d->sched, m);
	return rc == 0 ? CONTROL_OK : CONTROL_ABSENT;
}

/* ---- what waits ---- */

static void
add_queued(const struct dispatch *d, struct alerting_queued *q, int64_t arrived)
{
	/* Mail from the null sender, which has less time, is not told apart here. */
	int64_t expires = arrived + d->conf.conf->notice.lifetime;

	q->n++;
	if (q->first == 0 || expires < q->first)
		q->first = expires;
}

/* Under way are also messages that have recipients elsewhere. */
void
dispatch_queued(const struct dispatch *d, const char *domain, struct alerting_queued *q)
{
	struct spool_envelope env = { .from = NULL };
	struct spool_name name = { .hash = 0 };
	char key[SPOOL_DOMAIN_MAX + 32], *address = xasprintf("x@%s", domain);
	size_t i, n;

	*q = (struct alerting_queued){ .n = 0 };
	spool_envelope_add_rcpt(&env, address);
	free(address);
	spool_name_domains(&name, &env);
	spool_envelope_clear(&env);
	key_of(&name, key, sizeof key);
	n = sched_state(d->sched, key).waiting;
	for (i = 0; i < n; i++)
		add_queued(d, q, spool_id_time_us(sched_waiting(d->sched, key, i)->id) / 1000000);
	for (i = 0; i < d->nparts; i++)
		if (d->part[i] != NULL && strcmp(d->part[i]->domain, domain) == 0)
			add_queued(d, q, d->part[i]->a->msg.env.arrived);
}

/* ---- the pump ---- */

static const char *
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : "";
}

static int
by_domain(const void *a, const void *b)
{
	const struct todo *x = a, *y = b;
	int c = strcasecmp(x->domain, y->domain);

	return c != 0 ? c : (x->rcpt > y->rcpt) - (x->rcpt < y->rcpt);
}

/*
 * A message that was handed back for one domain is no reason to try another earlier than it would be: whose
 * last result came since the message was due had its try.
 */
static int
had_its_try(const struct active *a, const struct spool_rcpt *r)
{
	return a->again && r->state == SPOOL_RCPT_DEFERRED && r->when >= a->name.due;
}

static void
list_todo(struct active *a)
{
	size_t i;

	a->todo = xcalloc(a->msg.env.nrcpts, sizeof *a->todo);
	for (i = 0; i < a->msg.env.nrcpts; i++)
		if (is_open(&a->msg.env.rcpt[i]) && !had_its_try(a, &a->msg.env.rcpt[i]))
			a->todo[a->ntodo++] = (struct todo){ domain_of(a->msg.env.rcpt[i].address), i };
	qsort(a->todo, a->ntodo, sizeof *a->todo, by_domain);
}

/* The next domain's recipients, or more of the same where they are too many for one. */
static struct part *
next_part(struct active *a)
{
	const struct todo *t = &a->todo[a->taken];
	struct part *p = part_new(a, t->domain);
	struct controls controls;
	size_t most;

	conf_controls(a->d->conf.conf, p->domain, &controls);
	most = controls.n[CONTROLS_MAX_RECIPIENTS];
	for (; a->taken < a->ntodo && p->n < most &&
	     strcasecmp(a->todo[a->taken].domain, t->domain) == 0; a->taken++)
		p->rcpt[p->n++] = a->todo[a->taken].rcpt;
	return p;
}

/* As many as may be out at once; part_done() asks for the rest. */
static void
begin_parts(struct active *a)
{
	/* One more than there are, so that one that ends at once does not end the message; nor lists it. */
	a->parts++;
	a->listed = 1;
	while (a->taken < a->ntodo && a->parts <= DISPATCH_PARTS_MAX)
		ask_plan(next_part(a));
	a->listed = 0;
	if (--a->parts == 0)
		finish(a);
}

/* RFC 8689 2, 5.  Of a field that stands there twice nobody knows what was meant. */
static unsigned
asks_of(const struct spool_message *m)
{
	char header[DISPATCH_HEADER_MAX];
	ssize_t n = spool_message_pread(m, header, sizeof header, 0, NULL);
	const char *value = NULL;
	unsigned asks = 0;
	size_t i, len = 0;

	for (i = 0; i < m->env.from_options.n; i++)
		if (text_case_eq(m->env.from_options.v[i], "REQUIRETLS"))
			asks |= POLICY_MESSAGE_REQUIRETLS;
	if (n > 0 && header_find(header, n, "TLS-Required", &value, &len) == 1 && len == 2 &&
	    strncasecmp(value, "no", 2) == 0)
		asks |= POLICY_MESSAGE_TLS_OPTIONAL;
	return asks;
}

static void
cannot_sign(struct active *a)
{
	a->soon = 1;
	finish(a);
}

static void
on_signed(void *arg, const char *fields)
{
	struct active *a = arg;

	if (fields == NULL) {
		cannot_sign(a);
		return;
	}
	a->signature = fields[0] != '\0' ? xstrdup(fields) : NULL;
	begin_parts(a);
}

static void
try(struct active *a)
{
	int rc = 0;

	a->asks = asks_of(&a->msg);
	list_todo(a);
	if (a->d->conf.conf->ndkim > 0)
		rc = signer_ask(a->d->conf.signer, &a->msg, a->msg.fd, on_signed, a);
	if (rc == 0)
		begin_parts(a);
	else if (rc == -1)
		cannot_sign(a);
}

static void
begin_more(struct dispatch *d)
{
	struct active *a, *list = d->more;

	d->more = NULL;
	while ((a = list) != NULL) {
		list = a->more;
		begin_parts(a);
	}
}

/* With its plan asked for anew: it may have waited long. */
static void
begin_parked(struct dispatch *d)
{
	struct part *p, *list = d->parked;

	d->parked = NULL;
	while ((p = list) != NULL) {
		list = p->parked;
		if (least_loaded(d) != NULL)
			ask_plan(p);
		else
			park(p);
	}
}

static void
begin_stuck(struct dispatch *d)
{
	struct active *a, *list = d->stuck;

	if (d->stuck_until > now())
		return;
	d->stuck = NULL;
	while ((a = list) != NULL) {
		list = a->more;
		finish(a);
	}
}

/* No right to read it, no descriptor, a fault of the disk: it is owed, and delays nobody else. */
static void
try_later(struct dispatch *d, const struct spool_name *name)
{
	struct spool_name to = *name;

	to.due = now() + DISPATCH_SLEEP_S;
	if (spool_reschedule(d->conf.spool, SPOOL_QUEUE, name, &to, NULL) == 0)
		schedule(d, &to, 0, NULL);
	else
		schedule(d, name, now() + DISPATCH_SLEEP_S, NULL);
}

static void
cannot_read(struct active *a, struct fail *f)
{
	struct dispatch *d = a->d;
	struct spool_name at = a->name;
	char name[SPOOL_NAME_SIZE];
	int aside = 0;

	spool_name_format(name, &at);
	if (f->kind == FAIL_INPUT && (aside = spool_set_aside(d->conf.spool, SPOOL_QUEUE, name, NULL) == 0))
		fail_prefix(f, "set aside in bad");
	/* Gone: somebody removed it, which is their right. */
	log_fault(d, at.id, f);
	active_free(a, SCHED_SAYS_NOTHING);
	if (f->err != ENOENT && !aside)
		try_later(d, &at);
}

/* As it was read for its commit, or anew. */
static int
open_message(struct active *a, struct fail *f)
{
	struct dispatch *d = a->d;
	struct warm *w = warm_of(a->m);
	char name[SPOOL_NAME_SIZE];
	int rc = 0;

	if (w != NULL)
		take_warm(d, w, &a->msg);
	else {
		spool_name_format(name, &a->name);
		rc = spool_read(d->conf.spool->dir[SPOOL_QUEUE], name, 0, &a->msg, f);
	}
	a->m->arg = a;
	return rc;
}

static void
activate(struct dispatch *d, struct sched_message *m, enum sched_why why)
{
	struct active *a = xcalloc(1, sizeof *a);
	struct fail f = FAIL_INIT;

	a->d = d;
	a->m = m;
	a->again = m->arg == handed_back;
	name_of(m, &a->name);
	if (open_message(a, &f) == -1)
		cannot_read(a, &f);
	else if (why == SCHED_OVERDUE)
		finish(a);
	else
		try(a);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct dispatch *d = arg;
	struct sched_message *m;
	enum sched_why why;
	struct timeval tv = { 1, 0 };
	int64_t at;

	(void)fd;
	(void)what;
	if (d->stuck != NULL)
		begin_stuck(d);
	if (d->stopping || !d->conf.conf->deliver || d->route == NULL || least_loaded(d) == NULL)
		return;
	begin_parked(d);
	begin_more(d);
	while (least_loaded(d) != NULL && (m = sched_next(d->sched, now(), &why)) != NULL)
		activate(d, m, why);
	at = sched_wake(d->sched);
	if (d->stuck != NULL && at > d->stuck_until)
		at = d->stuck_until;
	if (at == SCHED_NEVER)
		return;
	tv.tv_sec = at > now() ? at - now() : 1;
	if (tv.tv_sec > 60)
		tv.tv_sec = 60;
	if (!evtimer_pending(d->wake, NULL) && event_add(d->wake, &tv) == -1)
		alloc_failed();
}

/* From the loop, so that nothing is started from within what ends. */
static void
pump(struct dispatch *d)
{
	struct timeval soon = { 0, 0 };

	if (event_add(d->wake, &soon) == -1)
		alloc_failed();
}

void
dispatch_stop(struct dispatch *d)
{
	struct outlet *o;

	d->stopping = 1;
	for (o = d->outlets; o != NULL; o = o->next)
		if (o->channel != NULL)
			channel_drain(o->channel);
	write_all(d);
}

/* The master's limit is that of all roles: what one out carries, and how many files we hold. */
static unsigned
fds_for_messages(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1 || l.rlim_cur < DISPATCH_FDS_KEPT + DISPATCH_FDS_EACH)
		return 1;
	if (l.rlim_cur > 1000000)
		return 1000000;
	return (unsigned)(l.rlim_cur - DISPATCH_FDS_KEPT) / DISPATCH_FDS_EACH;
}

struct dispatch *
dispatch_new(const struct dispatch_conf *conf)
{
	struct dispatch *d = xcalloc(1, sizeof *d);
	uint64_t seed = (uint64_t)random32() << 32 | random32();

	d->conf = *conf;
	d->fds = fds_for_messages();
	d->sched = sched_new(d->fds < DISPATCH_OUT_MAX ? d->fds : DISPATCH_OUT_MAX, seed);
	d->plans = plans_new(seed);
	TAILQ_INIT(&d->unwritten);
	TAILQ_INIT(&d->warm);
	conf->spool->keep = d->fds / 2 < DISPATCH_WARM_MAX ? d->fds / 2 : DISPATCH_WARM_MAX;
	d->pace = pace_new(seed);
	spool_ids_init(&d->ids, 0);
	if ((d->wake = evtimer_new(conf->base, on_wake, d)) == NULL ||
	    (d->write = evtimer_new(conf->base, on_write, d)) == NULL ||
	    (d->cool = evtimer_new(conf->base, on_cool, d)) == NULL)
		alloc_failed();
	return d;
}
