#include "dispatch-inner.h"

#include <sys/resource.h>

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "active.h"
#include "alloc.h"
#include "chance.h"
#include "clock.h"
#include "disk.h"
#include "log.h"
#include "outlet.h"
#include "part.h"
#include "reports.h"
#include "table.h"

/* A message that was read for its commit and waits for its first try. */
struct warm {
	TAILQ_ENTRY(warm) entry;
	struct sched_message *m;
	int64_t since;
	struct spool_message msg;
};

void
dispatch_fault(const struct dispatch *d, const char *id, const struct fail *f)
{
	role_log_fault(d->conf.name, id, f->text);
}

/* ---- names and keys ---- */

void
dispatch_key(const struct spool_name *n, char *dst, size_t size)
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

int
dispatch_schedule(struct dispatch *d, const struct spool_name *n, int64_t not_before, void *arg)
{
	int64_t deadline = spool_id_time_us(n->id) / 1000000 + d->conf.conf->notice.lifetime;
	char key[SPOOL_DOMAIN_MAX + 32];

	dispatch_key(n, key, sizeof key);
	if (not_before > clock_now())
		sched_sleep(d->sched, key, not_before);
	if (deadline < n->due)
		deadline = n->due;
	if (deadline < not_before)
		deadline = not_before;
	return sched_add(d->sched, n->id, n->due, deadline, key, arg) != NULL ? 0 : -1;
}

/* What a message has for an argument where it was handed back for want of a host's place. */
static char handed_back[] = "again";

void
dispatch_hand_back(struct dispatch *d, const struct spool_name *n)
{
	dispatch_schedule(d, n, 0, handed_back);
}

int
dispatch_add(struct dispatch *d, const struct spool_name *n)
{
	if (dispatch_schedule(d, n, 0, NULL) == -1)
		return -1;
	dispatch_pump(d);
	return 0;
}

int
dispatch_has(const struct dispatch *d, const char *id)
{
	return sched_find(d->sched, id) != NULL;
}

/* ---- messages that stay open ---- */

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
	for (w = TAILQ_FIRST(&d->warm); w != NULL && w->since + DISPATCH_WARM_S <= clock_now(); w = next) {
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
	w->since = clock_now();
	TAILQ_INSERT_TAIL(&d->warm, w, entry);
	d->nwarm++;
	cool_soon(d);
	return 0;
}

/* ---- route ---- */

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
	plans_keep(d->plans, p->plan_key, o->v[2], o->more, o->more_len, ttl, clock_now());
	part_act_on_plan(p, o->v[2], o->more, o->more_len);
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
	d->renewed = clock_passed();
	dispatch_pump(d);
}

int
dispatch_is_renewed(const struct dispatch *d)
{
	return clock_passed() - d->renewed < DISPATCH_RENEWED_S;
}

void
dispatch_route(struct dispatch *d, int fd)
{
	size_t i;

	channel_free(d->route);
	d->route = channel_new(d->conf.base, fd, &route_handlers, d);
	channel_gather(d->route);
	plans_forget(d->plans);
	sched_hosts_anew(d->sched);
	d->renewed = clock_passed();
	for (i = 0; i < d->nparts; i++)
		if (d->part[i] != NULL && d->part[i]->asked)
			part_ask_route(d->part[i]);
	dispatch_pump(d);
}

/* ---- what somebody wants ---- */

static enum control_answer
change_failed(const struct fail *f)
{
	return f->err == ENOENT ? CONTROL_ABSENT : CONTROL_FAILED;
}

/* It is out: the last wish counts when it is back. */
static enum control_answer
change_active(struct active *a, enum control_verb verb)
{
	a->hold = verb == CONTROL_HOLD;
	a->drop = verb == CONTROL_DELETE;
	return a->hold || a->drop ? CONTROL_LATER : CONTROL_OK;
}

int
dispatch_unwish(struct dispatch *d, const char *id)
{
	struct sched_message *m = sched_find(d->sched, id);
	struct active *a = m != NULL && m->out ? m->arg : NULL;

	if (a == NULL || !(a->hold || a->drop))
		return 0;
	a->hold = a->drop = 0;
	return 1;
}

static enum control_answer
retry_now(struct dispatch *d, struct sched_message *m, struct fail *f)
{
	struct spool_name from, to;
	char key[SPOOL_DOMAIN_MAX + 32];

	name_of(m, &from);
	to = from;
	to.due = clock_now();
	if (to.due < from.due && spool_reschedule(d->conf.spool, SPOOL_QUEUE, &from, &to, f) == -1)
		return change_failed(f);
	if (to.due < from.due)
		sched_change(d->sched, m, to.due, m->deadline);
	snprintf(key, sizeof key, "%s", sched_key(m));
	sched_rouse(d->sched, key);
	dispatch_pump(d);
	return CONTROL_OK;
}

/* Takes it out of the queue, to hold/ or for good. */
static enum control_answer
take_out(struct dispatch *d, struct sched_message *m, enum control_verb verb, struct fail *f)
{
	struct spool_name name;
	char file[SPOOL_NAME_SIZE];
	int rc;

	if (warm_of(m) != NULL)
		cool_down(d, warm_of(m));
	name_of(m, &name);
	spool_name_format(file, &name);
	rc = verb == CONTROL_HOLD ? spool_move(d->conf.spool, SPOOL_QUEUE, SPOOL_HOLD, file, f) :
	    spool_remove(d->conf.spool, SPOOL_QUEUE, file, f);
	if (rc == -1 && f->err != ENOENT)
		return CONTROL_FAILED;
	sched_remove(d->sched, m);
	return rc == 0 ? CONTROL_OK : CONTROL_ABSENT;
}

enum control_answer
dispatch_change(struct dispatch *d, enum control_verb verb, const char *id, struct fail *f)
{
	struct sched_message *m = sched_find(d->sched, id);

	if (verb == CONTROL_RELEASE)
		abort();
	if (m == NULL)
		return CONTROL_ABSENT;
	if (m->out)
		return change_active(m->arg, verb);
	switch (verb) {
	case CONTROL_HOLD:
	case CONTROL_DELETE:
		return take_out(d, m, verb, f);
	case CONTROL_RETRY:
		return retry_now(d, m, f);
	case CONTROL_RELEASE:
		break;
	}
	abort();
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
	dispatch_key(&name, key, sizeof key);
	n = sched_state(d->sched, key).waiting;
	for (i = 0; i < n; i++)
		add_queued(d, q, spool_id_time_us(sched_waiting(d->sched, key, i)->id) / 1000000);
	for (i = 0; i < d->nparts; i++)
		if (d->part[i] != NULL && strcmp(d->part[i]->domain, domain) == 0)
			add_queued(d, q, d->part[i]->a->msg.env.arrived);
}

/* ---- the pump ---- */

static void
begin_more(struct dispatch *d)
{
	struct active *a, *list = d->more;

	d->more = NULL;
	while ((a = list) != NULL) {
		list = a->more;
		active_begin_parts(a);
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
		if (outlet_least_loaded(d) != NULL)
			part_ask_plan(p);
		else
			part_park(p);
	}
}

static void
begin_stuck(struct dispatch *d)
{
	struct active *a, *list = d->stuck;

	if (d->stuck_until > clock_now())
		return;
	d->stuck = NULL;
	while ((a = list) != NULL) {
		list = a->more;
		active_finish(a);
	}
}

/* No right to read it, no descriptor, a fault of the disk: it is owed, and delays nobody else. */
static void
try_later(struct dispatch *d, const struct spool_name *name)
{
	struct spool_name to = *name;

	to.due = clock_now() + DISPATCH_SLEEP_S;
	if (spool_reschedule(d->conf.spool, SPOOL_QUEUE, name, &to, NULL) == 0)
		dispatch_schedule(d, &to, 0, NULL);
	else
		dispatch_schedule(d, name, clock_now() + DISPATCH_SLEEP_S, NULL);
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
	dispatch_fault(d, at.id, f);
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
		active_finish(a);
	else
		active_try(a);
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
	if (d->stopping || !d->conf.conf->deliver || d->route == NULL || outlet_least_loaded(d) == NULL)
		return;
	begin_parked(d);
	begin_more(d);
	while (outlet_least_loaded(d) != NULL && (m = sched_next(d->sched, clock_now(), &why)) != NULL)
		activate(d, m, why);
	at = sched_wake(d->sched);
	if (d->stuck != NULL && at > d->stuck_until)
		at = d->stuck_until;
	if (at == SCHED_NEVER)
		return;
	tv.tv_sec = at > clock_now() ? at - clock_now() : 1;
	if (tv.tv_sec > 60)
		tv.tv_sec = 60;
	if (!evtimer_pending(d->wake, NULL) && event_add(d->wake, &tv) == -1)
		alloc_failed();
}

void
dispatch_pump(struct dispatch *d)
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
	active_write_all(d);
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
	uint64_t seed = chance64();

	d->conf = *conf;
	d->fds = fds_for_messages();
	d->sched = sched_new(d->fds < DISPATCH_OUT_MAX ? d->fds : DISPATCH_OUT_MAX, seed);
	d->plans = plans_new(seed);
	TAILQ_INIT(&d->unwritten);
	TAILQ_INIT(&d->warm);
	conf->spool->keep = d->fds / 2 < DISPATCH_WARM_MAX ? d->fds / 2 : DISPATCH_WARM_MAX;
	disk_limit_closes(conf->disk, d->fds / 2);
	d->pace = pace_new(seed);
	spool_ids_init(&d->ids, 0);
	if ((d->wake = evtimer_new(conf->base, on_wake, d)) == NULL ||
	    (d->write = evtimer_new(conf->base, active_on_write, d)) == NULL ||
	    (d->cool = evtimer_new(conf->base, on_cool, d)) == NULL)
		alloc_failed();
	return d;
}
