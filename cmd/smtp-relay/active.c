#include "active.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "alloc.h"
#include "bounce.h"
#include "chance.h"
#include "clock.h"
#include "disk.h"
#include "header.h"
#include "log.h"
#include "part.h"
#include "signer.h"

/* ---- results ---- */

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
all_written(struct active *a)
{
	if (a->unwritten == NULL)
		return;
	TAILQ_REMOVE(&a->d->unwritten, a, entry);
	free(a->unwritten);
	a->unwritten = NULL;
}

static enum sched_outcome
outcome_of(const struct active *a)
{
	return a->worked ? SCHED_WORKED : a->broke ? SCHED_BROKE : SCHED_SAYS_NOTHING;
}

void
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

void
active_result(struct active *a, size_t i, enum spool_rcpt_state state, const char *text)
{
	spool_message_note(&a->msg, i, state, clock_now(), text);
	if (a->unwritten == NULL) {
		a->unwritten = xcalloc(a->msg.env.nrcpts, sizeof *a->unwritten);
		TAILQ_INSERT_TAIL(&a->d->unwritten, a, entry);
		write_soon(a->d);
	}
	a->unwritten[i] = 1;
}

/* Lets write at the message's file, for which the descriptor that the outs get must not be good; -1 with f. */
static int
change_file(struct active *a, int (*write)(struct active *, struct fail *), struct fail *f)
{
	char name[SPOOL_NAME_SIZE];
	int rc, fd, reading = a->msg.fd;

	spool_name_format(name, &a->name);
	fd = openat(a->d->conf.spool->dir[SPOOL_QUEUE], name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return fail_errno(f, "%s", name);
	a->msg.fd = fd;
	rc = write(a, f);
	a->msg.fd = reading;
	close(fd);
	return rc;
}

static int
append_results(struct active *a, struct fail *f)
{
	return spool_message_write(&a->msg, a->unwritten, f);
}

int
active_write(struct active *a)
{
	struct fail f = FAIL_INIT;

	if (a->unwritten == NULL)
		return 0;
	if (change_file(a, append_results, &f) == -1 && f.err != ENOENT) {
		dispatch_fault(a->d, a->name.id, &f);
		return -1;
	}
	all_written(a);
	return 0;
}

int
active_write_all(struct dispatch *d)
{
	struct active *a, *next;
	int rc = 0;

	for (a = TAILQ_FIRST(&d->unwritten); a != NULL; a = next) {
		next = TAILQ_NEXT(a, entry);
		if (active_write(a) == -1)
			rc = -1;
	}
	return rc;
}

void
active_on_write(evutil_socket_t fd, short what, void *arg)
{
	struct dispatch *d = arg;
	static const struct timeval later = { DISPATCH_STUCK_S, 0 };

	(void)fd;
	(void)what;
	if (active_write_all(d) == -1 && event_add(d->write, &later) == -1)
		alloc_failed();
}

/* Forgotten, they would be delivered once more at each try: the message keeps its place until then. */
static void
wait_for_disk(struct active *a)
{
	struct dispatch *d = a->d;

	a->more = d->stuck;
	d->stuck = a;
	d->stuck_until = clock_now() + DISPATCH_STUCK_S;
	dispatch_pump(d);
}

static void
change_all(struct active *a, enum spool_rcpt_state from, enum spool_rcpt_state to, const char *text)
{
	size_t i;

	for (i = 0; i < a->msg.env.nrcpts; i++)
		if (a->msg.env.rcpt[i].state == from)
			active_result(a, i, to, text);
}

/* ---- the end of a try ---- */

static void
remove_message(struct active *a)
{
	struct dispatch *d = a->d;
	enum sched_outcome outcome = outcome_of(a);
	char name[SPOOL_NAME_SIZE];
	struct fail f = FAIL_INIT;

	spool_name_format(name, &a->name);
	if (spool_remove(d->conf.spool, SPOOL_QUEUE, name, &f) == -1) {
		dispatch_fault(d, a->name.id, &f);
		/* What is still there at the next start must not be sent again. */
		active_write(a);
	}
	log_message(a, LOG_LEVEL_INFO, "removed", NULL, NULL);
	disk_close(d->conf.disk, a->msg.fd);
	a->msg.fd = -1;
	active_free(a, outcome);
	dispatch_pump(d);
}

static int
is_down(const struct dispatch *d, const struct spool_name *n)
{
	char key[SPOOL_DOMAIN_MAX + 32];

	dispatch_key(n, key, sizeof key);
	return sched_state(d->sched, key).down;
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

	if (active_write(a) == -1) {
		wait_for_disk(a);
		return;
	}
	to.due = clock_now() + delay;
	spool_name_domains(&to, &a->msg.env);
	if (spool_reschedule(d->conf.spool, SPOOL_QUEUE, &from, &to, &f) == -1) {
		dispatch_fault(d, a->name.id, &f);
		to = from;
	}
	log_message(a, LOG_LEVEL_INFO, "waits", "until", text_time(until, to.due));
	active_free(a, outcome);
	if (f.kind != FAIL_NONE)
		sleep = clock_now() + DISPATCH_SLEEP_S;
	else if (outcome == SCHED_BROKE && is_down(d, &to))
		sleep = clock_now() + DISPATCH_SLEEP_S < to.due ? clock_now() + DISPATCH_SLEEP_S : to.due;
	dispatch_schedule(d, &to, sleep, NULL);
	dispatch_pump(d);
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

int
active_is_open(const struct spool_rcpt *r)
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

	if (active_write(a) == -1) {
		wait_for_disk(a);
		return;
	}
	a->held_by = NULL;
	dispatch_key(&name, key, sizeof key);
	active_free(a, outcome_of(a));
	dispatch_hand_back(d, &name);
	sched_hold(d->sched, key, host, alone, clock_now());
	free(host);
	dispatch_pump(d);
}

/* As somebody asked while it was out. */
static int
hold_as_asked(struct active *a)
{
	struct dispatch *d = a->d;
	struct spool_name name = a->name;
	char from[SPOOL_NAME_SIZE], to[SPOOL_NAME_SIZE];
	struct fail f = FAIL_INIT;

	if (active_write(a) == -1)
		return 0;
	spool_name_domains(&name, &a->msg.env);
	spool_name_format(from, &a->name);
	spool_name_format(to, &name);
	if ((strcmp(from, to) != 0 && spool_reschedule(d->conf.spool, SPOOL_QUEUE, &a->name, &name, &f) == -1) ||
	    spool_move(d->conf.spool, SPOOL_QUEUE, SPOOL_HOLD, to, &f) == -1) {
		dispatch_fault(d, a->name.id, &f);
		return 0;
	}
	log_message(a, LOG_LEVEL_INFO, "held", NULL, NULL);
	active_free(a, outcome_of(a));
	dispatch_pump(d);
	return 1;
}

static void finish_rest(struct active *);

/* Who was told that it waits has it in the file. */
static int
note_told(struct active *a, struct fail *f)
{
	size_t i;

	for (i = 0; i < a->msg.env.nrcpts; i++) {
		struct spool_rcpt *r = &a->msg.env.rcpt[i];

		if (!active_is_open(r) || !notice_wants_delay(r))
			continue;
		r->told_late = 1;
		if (spool_message_result(&a->msg, i, SPOOL_RCPT_DELAYED, clock_now(), NULL, f) == -1)
			return -1;
	}
	return 0;
}

/* A notice that the disk did not take comes behind the next try; one that is not written down may come twice. */
static void
on_notice_committed(void *arg, int ok)
{
	struct active *a = arg;
	struct fail f = FAIL_INIT;

	if (ok && change_file(a, note_told, &f) == -1)
		dispatch_fault(a->d, a->name.id, &f);
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

	if (a->noticed || !notice_delay_is_due(&d->conf.conf->notice, &a->msg.env, clock_now()))
		return 0;
	if (bounce_write(d->conf.spool, &d->ids, d->conf.conf, &a->msg, BOUNCE_LATE, clock_now_us(), id, &f) == -1) {
		dispatch_fault(d, a->name.id, &f);
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
	int64_t delay, age = clock_now() - a->msg.env.arrived;

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
	    chance32());
	if (a->soon || delay < 0)
		delay = DISPATCH_SOON_S;
	keep_message(a, delay > 0 ? delay : 1);
}

/* The bounce is for later. */
static void
cannot_tell(struct active *a)
{
	if (a->drop)
		remove_message(a);
	else if (!a->hold || !hold_as_asked(a))
		keep_message(a, a->d->conf.conf->retry);
}

static void
on_bounce_committed(void *arg, int ok)
{
	struct active *a = arg;

	if (!ok) {
		cannot_tell(a);
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
			active_result(a, i, SPOOL_RCPT_CLOSED, NULL);
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
	    clock_now_us(), id, &f) == -1) {
		dispatch_fault(d, a->name.id, &f);
		cannot_tell(a);
		return;
	}
	if (from_nobody)
		log_message(a, LOG_LEVEL_WARN, "double-bounce", "as", id);
	else
		log_message(a, LOG_LEVEL_INFO, "bounced", "as", id);
	d->conf.submit(d->conf.arg, id, on_bounce_committed, a);
}

/* As of one that a host refuses: whoever looks for what became of it looks for this line. */
static void
log_expired(const struct active *a, const struct spool_rcpt *r)
{
	char period[TEXT_PERIOD_MAX];
	struct log_line l;
	char *reason = xasprintf("4.4.7 not delivered within %s%s%s",
	    text_period(period, notice_lifetime(&a->d->conf.conf->notice, &a->msg.env)),
	    r->said != NULL ? BOUNCE_LAST : "", r->said != NULL ? r->said : "");

	log_event(&l, LOG_LEVEL_INFO, a->name.id, spool_rcpt_state_name(SPOOL_RCPT_FAILED));
	log_key(&l, "to", r->address);
	log_key(&l, "reason", reason);
	log_send(&l);
	free(reason);
}

/* The sender is to read what the host said all the time (RFC 3463 3.5: of the last attempt). */
static void
expire(struct active *a)
{
	size_t i;

	for (i = 0; i < a->msg.env.nrcpts; i++) {
		const struct spool_rcpt *r = &a->msg.env.rcpt[i];
		char *text;

		if (!active_is_open(r))
			continue;
		log_expired(a, r);
		text = xasprintf(BOUNCE_EXPIRED "%s%s", r->said != NULL ? BOUNCE_LAST : "",
		    r->said != NULL ? r->said : "");
		active_result(a, i, SPOOL_RCPT_FAILED, text);
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
		dispatch_fault(d, a->name.id, &f);
		keep_message(a, DISPATCH_SLEEP_S);
		return;
	}
	fail(&f, FAIL_INPUT, "set aside in bad: the message does not agree with its checksum");
	dispatch_fault(d, a->name.id, &f);
	active_free(a, SCHED_SAYS_NOTHING);
	dispatch_pump(d);
}

void
active_finish(struct active *a)
{
	size_t told;

	/* An out may be lying. */
	if (a->damaged && spool_verify(&a->msg, NULL) == 0) {
		a->damaged = 0;
		a->soon = 1;
	}
	if (a->damaged) {
		active_write(a);
		set_aside(a);
		return;
	}
	if (clock_now() - a->msg.env.arrived >= notice_lifetime(&a->d->conf.conf->notice, &a->msg.env))
		expire(a);
	close_unasked(a);
	told = count_state(a, SPOOL_RCPT_FAILED) + count_state(a, SPOOL_RCPT_RELAYED) + count_state(a, SPOOL_RCPT_ARRIVED);
	if (waiting(a) + told > 0)
		active_write(a);
	if (told > 0)
		bounce(a);
	else
		finish_rest(a);
}

/* ---- its beginning ---- */

void
active_list_more(struct active *a)
{
	struct dispatch *d = a->d;

	if (!a->listed) {
		a->listed = 1;
		a->more = d->more;
		d->more = a;
	}
	dispatch_pump(d);
}

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
		if (active_is_open(&a->msg.env.rcpt[i]) && !had_its_try(a, &a->msg.env.rcpt[i]))
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

void
active_begin_parts(struct active *a)
{
	/* One more than there are, so that one that ends at once does not end the message; nor lists it. */
	a->parts++;
	a->listed = 1;
	while (a->taken < a->ntodo && a->parts <= DISPATCH_PARTS_MAX)
		part_ask_plan(next_part(a));
	a->listed = 0;
	if (--a->parts == 0)
		active_finish(a);
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
	active_finish(a);
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
	active_begin_parts(a);
}

void
active_try(struct active *a)
{
	int rc = 0;

	a->asks = asks_of(&a->msg);
	list_todo(a);
	if (a->d->conf.conf->ndkim > 0)
		rc = signer_ask(a->d->conf.signer, &a->msg, a->msg.fd, on_signed, a);
	if (rc == 0)
		active_begin_parts(a);
	else if (rc == -1)
		cannot_sign(a);
}
