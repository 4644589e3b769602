#include "alerting.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alert-mail.h"
#include "alloc.h"
#include "channel.h"
#include "clock.h"
#include "file.h"
#include "hook.h"
#include "log.h"
#include "role.h"
#include "table.h"

#define SOON_S 1	/* behind a sight: so many of them cost one look at what is due */
#define LATER_S 60	/* at most to the next look: a clock may be set */

/* An identity in use. */
struct identity_use {
	char *name;
	char *uses;		/* "listener in, listener out" */
	int64_t end;
	int demo;		/* renewed by the relay itself, a day before */
	int listed;		/* in the last list */
};

/* Of the hook, from the digest until it was run. */
struct run {
	struct run *next;
	char *text;		/* the record, behind "run SEQ " */
	uint64_t seq;
	int out;		/* the hook has it */
	int tries;
};

struct alerting {
	struct alerting_conf c;
	struct alerts *alerts;
	struct spool_ids ids;
	struct event *turn;
	int soon;
	struct alert_digest digest;	/* on its way */
	struct alert_said said[ALERT_NAMED_MAX];
	char mail[SPOOL_ID_SIZE];	/* that carries it; "": nobody is written to */
	struct identity_use *identity;
	size_t nidentities;
	int64_t looked;			/* at their ends */
	char *dns_domain;		/* that could not be looked up; NULL: none */
	struct channel *hook;		/* NULL: there is none, now */
	struct run *runs;
	size_t nruns;
	uint64_t next_seq, dropped;
};

static void
turn_in(struct alerting *a, int64_t seconds)
{
	struct timeval tv = { seconds, 0 };

	if (event_add(a->turn, &tv) == -1)
		alloc_failed();
}

static void
turn_soon(struct alerting *a)
{
	if (a->soon)
		return;
	a->soon = 1;
	turn_in(a, SOON_S);
}

/* ---- an order's hosts ---- */

/* What REQUIRETLS alone asks of a host is between the sender and it, and its sender is told (RFC 8689 5). */
static int
is_asked_by_message(const struct alerting *a, const struct plan_host *h, const char *domain)
{
	struct policy policy;

	if (!h->requiretls || h->need != PLAN_PKIX)
		return 0;
	conf_policy(a->c.conf, domain, &policy);
	return policy.tls < POLICY_TLS_REQUIRED;
}

static void
note_why(struct alerting_part *p, const struct plan_host *h, const struct tried *t)
{
	unsigned n = p->by_dane + p->by_tls + p->other;
	const char *before = p->why != NULL ? p->why : "", *comma = p->why != NULL ? "; " : "";
	char *all;

	if (n > ALERTING_HOSTS_MAX + 1)
		return;
	if (n == ALERTING_HOSTS_MAX + 1)
		all = xasprintf("%s; and more hosts", before);
	else if (t->address[0] != '\0')
		all = xasprintf("%s%s%.255s (%.46s): %.200s [%.40s]", before, comma, h->host->name, t->address, t->why,
		    t->rule);
	else
		all = xasprintf("%s%s%.255s: %.200s [%.40s]", before, comma, h->host->name, t->why, t->rule);
	free(p->why);
	p->why = all;
}

void
alerting_tried(const struct alerting *a, struct alerting_part *p, const struct plan *plan, const char *domain,
    const struct tried *t)
{
	const struct plan_host *h = &plan->host[t->host];
	int fails = contact_trouble_is_tls(t->trouble) || (h->act == PLAN_SKIP && h->need >= PLAN_STS);

	if (t->word <= VERDICT_CLEAR) {
		p->usable++;
		return;
	}
	if (!fails || is_asked_by_message(a, h, domain))
		p->other++;
	else if (h->need == PLAN_DANE)
		p->by_dane++;
	else
		p->by_tls++;
	p->refused += t->trouble == CONTACT_TROUBLE_PASSWORD;
	note_why(p, h, t);
}

void
alerting_part_clear(struct alerting_part *p)
{
	free(p->why);
	*p = (struct alerting_part){ .why = NULL };
}

static int
is_own(const struct spool_envelope *env)
{
	return env->client == NULL && env->from[0] == '\0' && env->listener != NULL &&
	    strcmp(env->listener, ALERTING_LISTENER) == 0;
}

/* Whoever else has mail for these hosts is in the same trouble, so it is that of the credentials. */
static void
note_refused(struct alerting *a, const struct alerting_part *p, const struct alerting_mail *m)
{
	struct alert_sight s = { .kind = ALERT_AUTH, .name = m->credentials, .reason = p->why };

	/* The order is from before a reload. */
	if (conf_route_with(a->c.conf, m->credentials) == NULL)
		return;
	alert_bad(a->alerts, &s, clock_now());
	turn_soon(a);
}

static void
note_bad(struct alerting *a, const struct alerting_part *p, const struct alerting_mail *m)
{
	struct alert_sight s = { .kind = p->by_tls > 0 ? ALERT_TLS : ALERT_DANE, .name = m->domain, .reason = p->why,
		.expires = m->shared ? m->expires : 0 };

	alert_bad(a->alerts, &s, clock_now());
	turn_soon(a);
}

static void
note_good(struct alerting *a, enum alert_kind kind, const char *name)
{
	alert_good(a->alerts, kind, name, clock_now());
	turn_soon(a);
}

void
alerting_done(struct alerting *a, struct alerting_part *p, const struct alerting_mail *m)
{
	int usable = p->usable > 0 || m->worked;

	if (usable && m->credentials != NULL)
		note_good(a, ALERT_AUTH, m->credentials);
	/* A message that sets DANE aside shows nothing of what others meet. */
	if (usable && !(m->asks & POLICY_MESSAGE_TLS_OPTIONAL)) {
		note_good(a, ALERT_DANE, m->domain);
		note_good(a, ALERT_TLS, m->domain);
	} else if (!usable && p->by_dane + p->by_tls > 0 && !is_own(m->env))
		note_bad(a, p, m);
	else if (!usable && p->refused > 0 && m->credentials != NULL && !is_own(m->env))
		note_refused(a, p, m);
	alerting_part_clear(p);
}

/* ---- the DNS ---- */

void
alerting_dns(struct alerting *a, int sick, const char *why, const char *domain)
{
	struct alert_sight s = { .kind = ALERT_DNSSEC, .name = "", .reason = why };

	if (!sick) {
		note_good(a, ALERT_DNSSEC, "");
		return;
	}
	free(a->dns_domain);
	a->dns_domain = xstrdup(domain);
	alert_bad(a->alerts, &s, clock_now());
	turn_soon(a);
}

/* ---- identities ---- */

static struct identity_use *
find_identity(struct alerting *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->nidentities; i++)
		if (strcmp(a->identity[i].name, name) == 0)
			return &a->identity[i];
	return NULL;
}

static char *
join(const struct table_line *l, size_t from)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = from; i < l->n; i++)
		buf_printf(&b, "%s%s", i > from ? ", " : "", l->v[i]);
	return buf_steal(&b);
}

/* identity NAME END DEMO USE... */
static int
take_identity(void *ctx, const struct table_line *l, struct fail *f)
{
	struct alerting *a = ctx;
	struct identity_use *u = find_identity(a, l->v[0]);
	long long end, demo;

	if (text_number(l->v[1], INT64_MIN, INT64_MAX, "end", &end, f) == -1 ||
	    text_number(l->v[2], 0, 1, "demo", &demo, f) == -1)
		return -1;
	if (u == NULL) {
		a->identity = xreallocarray(a->identity, a->nidentities + 1, sizeof *a->identity);
		u = &a->identity[a->nidentities++];
		*u = (struct identity_use){ .name = xstrdup(l->v[0]) };
	}
	free(u->uses);
	u->uses = join(l, 3);
	u->end = end;
	u->demo = (int)demo;
	u->listed = 1;
	return 0;
}

static void
look_at(struct alerting *a, const struct identity_use *u)
{
	struct alert_sight s = { .kind = ALERT_IDENTITY, .name = u->name };
	int64_t left = u->end - clock_now();
	char when[TEXT_TIME_MAX], *why;

	if (left > (u->demo ? 0 : a->c.conf->alert.before)) {
		alert_good(a->alerts, ALERT_IDENTITY, u->name, clock_now());
		return;
	}
	s.severity = left <= 0;
	why = xasprintf("its certificate, or one of its chain, %s %s; used by %s", left > 0 ? "ends at" : "ended at",
	    text_time(when, u->end), u->uses);
	s.reason = why;
	alert_bad(a->alerts, &s, clock_now());
	free(why);
}

static void
look_at_identities(struct alerting *a)
{
	size_t i;

	a->looked = clock_now();
	for (i = 0; i < a->nidentities; i++)
		look_at(a, &a->identity[i]);
}

static void
drop_unlisted(struct alerting *a)
{
	struct identity_use *old = a->identity;
	size_t i, n = a->nidentities;

	a->identity = xcalloc(n + 1, sizeof *a->identity);
	a->nidentities = 0;
	for (i = 0; i < n; i++)
		if (old[i].listed)
			a->identity[a->nidentities++] = old[i];
		else {
			free(old[i].name);
			free(old[i].uses);
		}
	free(old);
}

/* What was told of one that nobody uses any more is over, also where that was before a restart. */
static void
forgive_unused(struct alerting *a)
{
	size_t i;

	for (i = 0; i < alert_count(a->alerts); i++) {
		const struct alert *e = alert_get(a->alerts, i);

		if ((e->kind == ALERT_IDENTITY && find_identity(a, e->name) == NULL) ||
		    (e->kind == ALERT_AUTH && conf_route_with(a->c.conf, e->name) == NULL))
			alert_good(a->alerts, e->kind, e->name, clock_now());
	}
}

void
alerting_identities(struct alerting *a, const char *text, size_t len)
{
	static const struct table_row rows[] = { { "identity", 3, TABLE_WORDS_MAX, 0, take_identity } };
	size_t i;

	for (i = 0; i < a->nidentities; i++)
		a->identity[i].listed = 0;
	table_parse("identities", text, len, rows, 1, a, NULL, NULL);
	drop_unlisted(a);
	forgive_unused(a);
	look_at_identities(a);
	turn_soon(a);
}

/* ---- the hook ---- */

static void
run_free(struct run *r)
{
	free(r->text);
	free(r);
}

/* As many as it runs at once: what it has not got is not lost with it. */
static void
feed_hook(struct alerting *a)
{
	struct run *r;
	size_t out = 0;

	for (r = a->runs; r != NULL; r = r->next)
		out += r->out != 0;
	for (r = a->runs; a->hook != NULL && r != NULL && out < HOOK_AT_ONCE; r = r->next) {
		struct buf b = BUF_INIT;

		if (r->out)
			continue;
		buf_printf(&b, "run %" PRIu64 " %s", r->seq, r->text);
		channel_send(a->hook, b.p, b.len, -1);
		buf_clear(&b);
		r->out = 1;
		r->tries++;
		out++;
	}
}

/* The first line of the record is taken up to its end by what feed_hook() puts before it. */
static void
add_run(struct alerting *a, const char *kind, const char *name, const char *event, const struct buf *lines)
{
	struct run *r, **at;
	struct buf b = BUF_INIT;

	if (a->nruns == ALERTING_RUNS_MAX) {
		a->dropped++;
		return;
	}
	table_put_word(&b, kind, strlen(kind));
	table_put_word(&b, name, strlen(name));
	table_put_word(&b, event, strlen(event));
	buf_putc(&b, '\n');
	buf_add(&b, lines->p, lines->len);
	r = xcalloc(1, sizeof *r);
	r->text = buf_steal(&b);
	r->seq = a->next_seq++;
	for (at = &a->runs; *at != NULL; at = &(*at)->next)
		;
	*at = r;
	a->nruns++;
}

static void
drop_run(struct alerting *a, struct run **at)
{
	struct run *r = *at;

	*at = r->next;
	a->nruns--;
	run_free(r);
}

/* ran SEQ */
static void
on_hook_record(void *arg, struct order *o)
{
	struct alerting *a = arg;
	struct run **at;
	char seq[24];

	if (o->fd != -1)
		close(o->fd);
	for (at = &a->runs; o->n == 2 && strcmp(o->v[0], "ran") == 0 && *at != NULL; at = &(*at)->next) {
		snprintf(seq, sizeof seq, "%" PRIu64, (*at)->seq);
		if (!(*at)->out || strcmp(o->v[1], seq) != 0)
			continue;
		drop_run(a, at);
		break;
	}
	feed_hook(a);
}

/* What it had under way is run once more by the next one, where it may have died of something else. */
static void
on_hook_gone(void *arg, const struct fail *f)
{
	struct alerting *a = arg;
	struct run **at = &a->runs;

	(void)f;
	channel_free(a->hook);
	a->hook = NULL;
	while (*at != NULL) {
		(*at)->out = 0;
		if ((*at)->tries >= 2)
			drop_run(a, at);
		else
			at = &(*at)->next;
	}
}

static const struct channel_handlers hook_handlers = { .record = on_hook_record, .gone = on_hook_gone };

void
alerting_hook(struct alerting *a, int fd)
{
	struct fail none = FAIL_INIT;

	if (a->hook != NULL)
		on_hook_gone(a, &none);
	a->hook = channel_new(a->c.base, fd, &hook_handlers, a);
	feed_hook(a);
}

/* One for each that is named, and one for each kind of which some are not. */
static void
run_hooks(struct alerting *a)
{
	const struct alert_digest *d = &a->digest;
	size_t i, named[ALERT_KINDS] = { 0 }, kind, all;
	struct buf b = BUF_INIT;
	char number[24];

	for (i = 0; i < d->n; i++) {
		const struct alert_said *s = &a->said[i];

		named[s->alert->kind]++;
		alert_said_lines(&b, s, a->c.conf);
		add_run(a, alert_kind_name(s->alert->kind), s->alert->name, alert_event_name(s->event), &b);
		buf_drop(&b, b.len);
	}
	for (kind = 0; kind < ALERT_KINDS; kind++) {
		all = d->count[kind][ALERT_RAISED] + d->count[kind][ALERT_LASTS] + d->count[kind][ALERT_RECOVERED];
		if (all == named[kind])
			continue;
		snprintf(number, sizeof number, "%zu", all - named[kind]);
		table_put(&b, "relay", a->c.conf->hostname, (char *)NULL);
		table_put(&b, "kind", alert_kind_name((enum alert_kind)kind), (char *)NULL);
		table_put(&b, "event", "more", (char *)NULL);
		table_put(&b, "count", number, (char *)NULL);
		add_run(a, alert_kind_name((enum alert_kind)kind), "", "more", &b);
		buf_drop(&b, b.len);
	}
	buf_clear(&b);
	feed_hook(a);
}

/* ---- digests ---- */

static void
save(struct alerting *a)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;

	alert_save(a->alerts, &b);
	if (file_write(a->c.file, 0600, FILE_REPLACE, b.p, b.len, &f) == -1)
		role_log_fault(a->c.name, a->c.name, f.text);
	buf_clear(&b);
}

static void
log_said(const struct alerting *a, const struct alert_said *s)
{
	const struct alert *e = s->alert;
	char when[TEXT_TIME_MAX];
	struct log_line l;

	log_event(&l, s->event == ALERT_RECOVERED ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, a->c.name, "alert");
	log_key(&l, "kind", alert_kind_name(e->kind));
	log_key(&l, "event", alert_event_name(s->event));
	log_key(&l, "name", e->name[0] != '\0' ? e->name : NULL);
	log_key_num(&l, "seen", (int64_t)e->times);
	if (alert_is_destination(e->kind))
		log_key_num(&l, "queued", (int64_t)s->queued.n);
	log_key(&l, "bounces", s->queued.first != 0 ? text_time(when, s->queued.first) : NULL);
	log_key(&l, "as", a->mail[0] != '\0' ? a->mail : NULL);
	log_key(&l, "reason", e->reason);
	log_send(&l);
}

static void
log_digest(const struct alerting *a)
{
	struct log_line l;
	size_t i;

	for (i = 0; i < a->digest.n; i++)
		log_said(a, &a->said[i]);
	if (a->digest.n == a->digest.total && a->dropped == 0)
		return;
	log_event(&l, LOG_LEVEL_ERROR, a->c.name, "alerts-more");
	log_key_num(&l, "not-named", (int64_t)(a->digest.total - a->digest.n));
	log_key_num(&l, "hook-runs-dropped", (int64_t)a->dropped);
	log_send(&l);
}

/* Where the mail cannot be written the hook's word must do; without a hook it is all told again. */
static void
told(struct alerting *a, int ok)
{
	size_t i;

	ok |= a->c.conf->alert.hook != NULL;
	if (ok) {
		if (a->c.conf->alert.hook != NULL)
			run_hooks(a);
		log_digest(a);
		a->dropped = 0;
	}
	alert_told(a->alerts, ok, clock_now());
	for (i = 0; i < a->digest.n; i++)
		alert_said_clear(&a->said[i]);
	save(a);
	turn_soon(a);
}

static void
on_committed(void *arg, int ok)
{
	struct alerting *a = arg;

	if (!ok)
		a->mail[0] = '\0';
	told(a, ok);
}

static int
write_mail(struct alerting *a, struct fail *f)
{
	const struct conf_alert *to = &a->c.conf->alert;
	struct spool_envelope env = { .from = xstrdup(""), .listener = xstrdup(ALERTING_LISTENER) };
	struct alert_mail mail = { .conf = a->c.conf, .id = a->mail, .now = clock_now(), .digest = &a->digest, .said = a->said };
	struct buf b = BUF_INIT;
	size_t i;
	int rc;

	spool_envelope_own(&env, &a->ids, clock_now_us());
	memcpy(a->mail, env.id, sizeof a->mail);
	for (i = 0; i < to->n; i++)
		spool_envelope_add_rcpt(&env, to->to[i]);
	alert_mail_build(&b, &mail);
	rc = spool_write(a->c.spool->dir[SPOOL_NEW], &env, b.p, b.len, 0, f);
	buf_clear(&b);
	spool_envelope_clear(&env);
	return rc;
}

/* A message to several domains is not among those; it is remembered with what it suffered from. */
static void
count_queued(const struct alerting *a, struct alert_said *s)
{
	const struct alert *e = s->alert;

	s->queued = (struct alerting_queued){ .n = 0 };
	if (!alert_is_destination(e->kind))
		return;
	a->c.queued(a->c.arg, e->name, &s->queued);
	if (e->expires > clock_now() && (s->queued.first == 0 || e->expires < s->queued.first))
		s->queued.first = e->expires;
}

static void
begin_digest(struct alerting *a)
{
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < a->digest.n; i++) {
		struct alert_said *s = &a->said[i];

		*s = (struct alert_said){ .alert = a->digest.item[i].alert, .event = a->digest.item[i].event };
		count_queued(a, s);
		alert_said_commands(s, a->c.conf, a->c.conf_path, a->dns_domain != NULL ? a->dns_domain : "example.org");
	}
	a->mail[0] = '\0';
	if (a->c.conf->alert.n == 0)
		told(a, 1);
	else if (write_mail(a, &f) == 0)
		a->c.submit(a->c.arg, a->mail, on_committed, a);
	else {
		role_log_fault(a->c.name, a->c.name, f.text);
		a->mail[0] = '\0';
		told(a, 0);
	}
}

static void
on_turn(evutil_socket_t fd, short event, void *arg)
{
	struct alerting *a = arg;
	int64_t at, wait = LATER_S;

	(void)fd;
	(void)event;
	a->soon = 0;
	if (clock_now() - a->looked >= ALERTING_LOOK_S || clock_now() < a->looked)
		look_at_identities(a);
	if (alert_take(a->alerts, clock_now(), &a->digest))
		begin_digest(a);
	if (a->soon)
		return;
	at = alert_wake(a->alerts, clock_now());
	if (at != ALERT_NEVER && at - clock_now() < wait)
		wait = at > clock_now() ? at - clock_now() : SOON_S;
	turn_in(a, wait);
}

/* ---- start and stop ---- */

static void
load(struct alerting *a)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;

	if (file_read_regular(a->c.file, ALERTING_FILE_MAX, &b, &f) == 0)
		alert_load(a->alerts, b.p, b.len, clock_now());
	else if (f.err != ENOENT)
		role_log_fault(a->c.name, a->c.name, f.text);
	buf_clear(&b);
}

struct alerting *
alerting_new(const struct alerting_conf *conf)
{
	struct alerting *a = xcalloc(1, sizeof *a);

	a->c = *conf;
	a->alerts = alerts_new(conf->conf->alert.interval);
	spool_ids_init(&a->ids, 0);
	if ((a->turn = evtimer_new(conf->base, on_turn, a)) == NULL)
		alloc_failed();
	load(a);
	a->looked = clock_now();
	turn_soon(a);
	return a;
}

void
alerting_take_conf(struct alerting *a, const struct conf *conf)
{
	a->c.conf = conf;
	alerts_set_interval(a->alerts, conf->alert.interval);
	forgive_unused(a);
	look_at_identities(a);
	turn_soon(a);
}

void
alerting_stop(struct alerting *a)
{
	save(a);
}
