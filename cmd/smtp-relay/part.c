#include "part.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "active.h"
#include "alloc.h"
#include "clock.h"
#include "conf_plan.h"
#include "log.h"
#include "outlet.h"
#include "table.h"

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

/* ---- places at hosts ---- */

char *
part_host_key(const struct part *p, size_t i)
{
	const struct facts_host *h = p->plan->plan.host[i].host;

	return h->port != 0 ? xasprintf("%s@%u", h->name, h->port) : xasprintf("%s@%s", h->name, p->port);
}

int
part_is_usable(const struct part *p, size_t i)
{
	const struct plan_host *h = &p->plan->plan.host[i];

	return h->act == PLAN_TRY && h->host->naddr > 0;
}

/* One failure may be chance; a host that is down is left alone. */
void
part_leave_host(struct part *p, enum sched_outcome outcome)
{
	struct dispatch *d = p->a->d;
	int64_t sleep = DISPATCH_SLEEP_S < d->conf.conf->retry ? DISPATCH_SLEEP_S : d->conf.conf->retry;
	struct sched_state st;
	char *key;

	if (p->plan == NULL || !p->placed)
		return;
	p->placed = 0;
	key = part_host_key(p, p->host);
	sched_leave(d->sched, key, outcome);
	st = sched_host_state(d->sched, key);
	if (outcome == SCHED_BROKE && st.down && st.until == 0)
		sched_host_sleep(d->sched, key, clock_now() + sleep);
	free(key);
	dispatch_pump(d);
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

	if (!sched_enter(d->sched, p->a->m, key, clock_now()))
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
	dispatch_pump(p->a->d);
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
	if ((at = pace_take(d->pace, limit, c->n[CONTROLS_MESSAGE_RATE], c->rate_time, clock_now_us())) == 0)
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
	if (concurrency > 0 && !sched_enter(d->sched, p->a->m, limit, clock_now())) {
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
		if (!part_is_usable(p, i))
			continue;
		best = best == n ? i : best;
		key = part_host_key(p, i);
		if (!sched_host_asleep(p->a->d->sched, key, clock_now()))
			break;
		free(key);
		key = NULL;
	}
	if (best == n)
		return 1;
	if (key == NULL) {
		key = part_host_key(p, best);
		note_hold(p, key, 1);
	} else if (!(rc = enter_host(p, i, key)))
		note_hold(p, key, 0);
	free(key);
	return rc;
}

/* ---- from the beginning to the end ---- */

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
	part_leave_host(p, SCHED_SAYS_NOTHING);
	leave_limit(p);
	unpacked_free(p->plan);
	free(p->port);
	p->plan = NULL;
	p->port = NULL;
}

void
part_done(struct part *p)
{
	struct active *a = p->a;

	a->d->part[p->slot] = NULL;
	if (p->outlet != NULL) {
		p->outlet->load--;
		dispatch_pump(a->d);
	}
	planned(p);
	forget_plan(p);
	alerting_part_clear(&p->tried);
	free(p->domain);
	free(p->plan_key);
	free(p);
	a->parts--;
	if (a->taken < a->ntodo)
		active_list_more(a);
	else if (a->parts == 0)
		active_finish(a);
}

struct part *
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

struct part *
part_of(struct dispatch *d, const char *seq)
{
	struct fail f = FAIL_INIT;
	long long slot;

	if (d->nparts == 0 || text_number(seq, 0, (long long)d->nparts - 1, "order", &slot, &f) == -1)
		return NULL;
	return d->part[slot];
}

static void
settle_part(struct part *p, enum spool_rcpt_state state, const char *status, const char *why)
{
	char *text = xasprintf("%s %s", status, why);
	size_t i;

	for (i = 0; i < p->n; i++) {
		struct log_line l;

		active_result(p->a, p->rcpt[i], state, text);
		log_event(&l, LOG_LEVEL_INFO, p->a->name.id, spool_rcpt_state_name(state));
		log_key(&l, "to", p->a->msg.env.rcpt[p->rcpt[i]].address);
		log_key(&l, "reason", text);
		log_send(&l);
	}
	free(text);
	part_done(p);
}

/* ---- orders ---- */

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

void
part_park(struct part *p)
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
		patience_begin(&p->held, clock_passed());
		outlets_watch(p->a->d);
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
		key = part_host_key(q, q->host);
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

/* Of a route in its senses only while a configuration comes into use, which is not in all roles at once. */
static void
doubt_plan(struct part *p, const struct fail *f)
{
	struct log_line l;

	if (dispatch_is_renewed(p->a->d)) {
		p->a->soon = 1;
		part_done(p);
		return;
	}
	log_event(&l, LOG_LEVEL_ERROR, p->a->name.id, "route-nonsense");
	log_key(&l, "domain", p->domain);
	log_key(&l, "reason", f->text);
	log_send(&l);
	settle_part(p, SPOOL_RCPT_DEFERRED, "4.3.5", "its plan does not agree with its route");
}

/*
 * The password that the plan's hosts want, to be sent with this order alone.  The plan is the word of route, which reads what
 * anybody sends; a password goes only where our own configuration leads.  -1: the part is over, without it.
 */
static int
find_credential(struct part *p, const char *port, const struct credential **out)
{
	const struct dispatch *d = p->a->d;
	const char *name = p->plan->controls.credentials;
	struct fail f = FAIL_INIT;
	long long n;

	*out = NULL;
	if (text_number(port, 0, 65535, "a port", &n, &f) == -1 ||
	    conf_plan_check(d->conf.conf, p->domain, p->a->asks, (uint16_t)n, name, &p->plan->plan, &f) == -1) {
		doubt_plan(p, &f);
		return -1;
	}
	if (name != NULL && d->credentials != NULL)
		*out = credentials_find(d->credentials, name);
	if (name == NULL || *out != NULL)
		return 0;
	settle_part(p, SPOOL_RCPT_DEFERRED, "4.3.5", "the credentials of its route are not known");
	return -1;
}

static void
hand_out(struct part *p, const char *port, const char *plan, size_t len)
{
	struct dispatch *d = p->a->d;
	const struct credential *credential;
	char *key = p->placed ? part_host_key(p, p->host) : NULL;
	struct outlet *o = key != NULL ? outlet_for(d, key) : outlet_least_loaded(d);
	struct buf b = BUF_INIT;

	free(key);
	if (o == NULL) {
		part_park(p);
		return;
	}
	if (find_credential(p, port, &credential) == -1)
		return;
	put_order(&b, p, port, credential, plan, len);
	if (b.len < ORDER_MAX)
		send_order(p, o, &b);
	else if (p->n > 1)
		hand_out_halves(p, port, plan, len);
	else
		settle_part(p, SPOOL_RCPT_DEFERRED, "4.3.0", "an order too large to hand on");
	buf_wipe(&b);
}

/* ---- plans ---- */

void
part_act_on_plan(struct part *p, const char *port, const char *text, size_t len)
{
	struct fail f = FAIL_INIT;
	struct unpacked *u = unpack_plan(text, len, &f);

	if (u == NULL) {
		dispatch_fault(p->a->d, p->a->name.id, &f);
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

void
part_ask_route(struct part *p)
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

void
part_ask_plan(struct part *p)
{
	struct dispatch *d = p->a->d;
	struct plan_kept k;

	if (plans_find(d->plans, p->plan_key, clock_now(), &k)) {
		part_act_on_plan(p, k.port, k.text, k.len);
		return;
	}
	if (d->route == NULL) {
		p->a->soon = 1;
		part_done(p);
		return;
	}
	part_ask_route(p);
}
