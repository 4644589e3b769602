#include "outlet.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "active.h"
#include "alloc.h"
#include "clock.h"
#include "contact.h"
#include "cut.h"
#include "out.h"
#include "part.h"
#include "reports.h"

/* ---- which out ---- */

static int
takes_orders(const struct outlet *o)
{
	return o->channel != NULL && !o->retired && !o->cut && o->load < o->d->fds;
}

struct outlet *
outlet_for(struct dispatch *d, const char *host)
{
	struct outlet *o, *best = NULL;
	uint64_t most = 0, h;

	for (o = d->outlets; o != NULL; o = o->next) {
		h = text_hash(o->number, host);
		if (takes_orders(o) && (best == NULL || h > most)) {
			best = o;
			most = h;
		}
	}
	return best;
}

struct outlet *
outlet_least_loaded(struct dispatch *d)
{
	struct outlet *o, *best = NULL;

	for (o = d->outlets; o != NULL; o = o->next)
		if (takes_orders(o) && (best == NULL || o->load < best->load))
			best = o;
	return best;
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
	spool_id_next(&d->ids, clock_now_us(), name);
	if ((fd = journal_make(d->conf.spool, name, &f)) == -1) {
		dispatch_fault(d, d->conf.name, &f);
		return;
	}
	memcpy(o->before, o->journal, sizeof o->before);
	memcpy(o->journal, name, sizeof o->journal);
	channel_send(o->channel, "journal", 7, fd);
	patience_begin(&o->asked, clock_passed());
	close(fd);
}

/* Once all of its results are in the messages' files; where they cannot be, the next start reads it. */
static void
leave_journal(struct outlet *o, char *name)
{
	if (name[0] != '\0' && active_write_all(o->d) == 0)
		journal_remove(o->d->conf.spool, name);
	name[0] = '\0';
}

/* Its results stood before this answer in the socket. */
static void
take_switched(struct outlet *o)
{
	patience_end(&o->asked);
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
			if (p->rcpt[k] == r->number && active_is_open(&p->a->msg.env.rcpt[r->number]))
				active_result(p->a, r->number, r->state, r->text);
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
		dispatch_fault(o->d, o->d->conf.name, &f);
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
		if ((long long)p->rcpt[i] == index && active_is_open(&p->a->msg.env.rcpt[index]))
			active_result(p->a, index, (enum spool_rcpt_state)state, r->v[4]);
	if (r->n == 6 || o->journal[0] == '\0')
		active_write(p->a);
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
		.shared = a->name.domain[0] == '\0',
		.credentials = p->plan != NULL ? p->plan->controls.credentials : NULL };

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
	part_leave_host(p, outcome_named(r->v[2]));
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
	part_leave_host(p, outcome_named(r->v[3]));
	p->host = host;
	if (p->host == p->plan->plan.nhost || !part_is_usable(p, p->host))
		return;
	key = part_host_key(p, p->host);
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
		plans_doubt(o->d->plans, p->plan_key, clock_now());
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
	if (o->retired)
		return;
	o->retired = 1;
	channel_send(o->channel, "retire", 6, -1);
}

static void
on_out_record(void *arg, struct order *r)
{
	((struct outlet *)arg)->heard = clock_passed();
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

/* ---- outs that live and do not do their work ---- */

static int
reads_nothing(struct outlet *o, int64_t now)
{
	size_t sent = channel_sent(o->channel);

	if (channel_waiting(o->channel) == 0)
		patience_end(&o->full);
	else if (!o->full.waits || sent != o->sent)
		patience_begin(&o->full, now);
	o->sent = sent;
	return patience_over(&o->full, now, OUTLET_READS_S);
}

/* Who has little to read may not read it, and nothing waits in the channel: a journal wants an answer. */
static int
answers_nothing(struct outlet *o, int64_t now)
{
	if (!o->asked.waits && o->before[0] == '\0' && o->load > 0 && now - o->heard >= OUTLET_SILENT_S)
		give_journal(o);
	return patience_over(&o->asked, now, OUTLET_READS_S);
}

/* The longest that an order may honestly take: what its host has for each of its steps, and much more. */
static int64_t
order_time(const struct part *p)
{
	const uint32_t *n = p->plan->controls.n;
	struct contact_times times = { .connect = n[CONTROLS_CONNECT_TIME], .command = n[CONTROLS_COMMAND_TIME],
		.data = n[CONTROLS_DATA_TIME], .end = n[CONTROLS_END_TIME] };

	return OUTLET_ORDER_S + contact_longest(&times, p->n, (uint64_t)p->a->msg.size / OUT_PIECE + 1);
}

/* One of its orders, NULL: none. */
static const struct part *
ends_late(const struct outlet *o, int64_t now)
{
	size_t i;

	for (i = 0; i < o->d->nparts; i++) {
		struct part *p = o->d->part[i];

		if (p != NULL && p->outlet == o && p->plan != NULL && patience_over(&p->held, now, order_time(p)))
			return p;
	}
	return NULL;
}

/* Its socket ends with it, and only then are its journals read and its orders somebody else's: on_out_gone(). */
static void
look_at(struct outlet *o)
{
	int64_t now = clock_passed();
	int full = reads_nothing(o, now), mute = answers_nothing(o, now);
	const struct part *late = ends_late(o, now);
	struct fail f = FAIL_INIT;

	if (full)
		fail(&f, FAIL_POLICY, "it has read nothing for %" PRId64 " seconds", now - o->full.since);
	else if (mute)
		fail(&f, FAIL_POLICY, "it has answered nothing for %" PRId64 " seconds", now - o->asked.since);
	else if (late != NULL)
		fail(&f, FAIL_POLICY, "it has had an order for %s for %" PRId64 " seconds", late->a->name.id,
		    now - late->held.since);
	else
		return;
	o->cut = 1;
	cut_ask(o->d->conf.name, "out", o->number, f.text);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct dispatch *d = arg;
	struct outlet *o;
	size_t load = 0;

	(void)fd;
	(void)what;
	for (o = d->outlets; o != NULL; o = o->next) {
		/* Who was taken over may have left its socket to somebody. */
		if (o->channel != NULL && o->cut)
			channel_shut(o->channel);
		else if (o->channel != NULL)
			look_at(o);
		load += o->load;
	}
	if (load > 0)
		outlets_watch(d);
}

void
outlets_watch(struct dispatch *d)
{
	static const struct timeval tv = { PATIENCE_LOOK_S, 0 };

	if (d->look == NULL && (d->look = evtimer_new(d->conf.base, on_look, d)) == NULL)
		alloc_failed();
	if (!evtimer_pending(d->look, NULL) && event_add(d->look, &tv) == -1)
		alloc_failed();
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
	o->heard = clock_passed();
	o->channel = channel_new(d->conf.base, fd, &out_handlers, o);
	channel_gather(o->channel);
	o->next = d->outlets;
	d->outlets = o;
	give_journal(o);
	dispatch_pump(d);
}
