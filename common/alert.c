/*
 * Conditions stand in an array by kind and name.  What of one is to be told, and from when on, follows from its
 * times alone: next_event().  A digest takes all for which that time has come.
 */
#include "alert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "table.h"

struct alerts {
	struct alert **v;
	size_t n, room;
	int64_t interval;
	int64_t last;		/* digest; 0: none yet */
	int64_t gap;		/* behind it; 0: the first one */
	uint64_t unkept;
	int taken;		/* a digest is on its way */
};

static const char *const kind_names[ALERT_KINDS] = { [ALERT_DNSSEC] = "dnssec", [ALERT_IDENTITY] = "identity",
	[ALERT_DANE] = "dane", [ALERT_TLS] = "tls", [ALERT_AUTH] = "auth" };
static const char *const event_names[] = { [ALERT_RAISED] = "raised", [ALERT_LASTS] = "lasts",
	[ALERT_RECOVERED] = "recovered" };

const char *
alert_kind_name(enum alert_kind kind)
{
	return kind_names[kind];
}

int
alert_is_destination(enum alert_kind kind)
{
	return kind == ALERT_DANE || kind == ALERT_TLS;
}

int
alert_kind_find(const char *name)
{
	int i;

	for (i = 0; i < ALERT_KINDS; i++)
		if (strcmp(kind_names[i], name) == 0)
			return i;
	return -1;
}

const char *
alert_event_name(enum alert_event event)
{
	return event_names[event];
}

struct alerts *
alerts_new(int64_t interval)
{
	struct alerts *a = xcalloc(1, sizeof *a);

	a->interval = interval;
	return a;
}

void
alerts_set_interval(struct alerts *a, int64_t interval)
{
	a->interval = interval;
}

static void
free_one(struct alert *e)
{
	free(e->name);
	free(e->reason);
	free(e);
}

void
alerts_free(struct alerts *a)
{
	size_t i;

	if (a == NULL)
		return;
	for (i = 0; i < a->n; i++)
		free_one(a->v[i]);
	free(a->v);
	free(a);
}

/* ---- the array ---- */

static int
compare(const struct alert *e, enum alert_kind kind, const char *name)
{
	return e->kind != kind ? (e->kind > kind) - (e->kind < kind) : strncmp(e->name, name, ALERT_NAME_MAX);
}

/* Where it is, or belongs. */
static size_t
find_place(const struct alerts *a, enum alert_kind kind, const char *name)
{
	size_t lo = 0, hi = a->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (compare(a->v[mid], kind, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct alert *
find(const struct alerts *a, enum alert_kind kind, const char *name)
{
	size_t i = find_place(a, kind, name);

	return i < a->n && compare(a->v[i], kind, name) == 0 ? a->v[i] : NULL;
}

/* NULL: there is no place for one more. */
static struct alert *
insert(struct alerts *a, enum alert_kind kind, const char *name)
{
	size_t i = find_place(a, kind, name);
	struct alert *e;

	if (a->n == ALERT_MAX)
		return NULL;
	if (a->n == a->room) {
		a->room = a->room > 0 ? 2 * a->room : 16;
		a->v = xreallocarray(a->v, a->room, sizeof(struct alert *));
	}
	e = xcalloc(1, sizeof *e);
	e->kind = kind;
	e->name = xstrndup(name, strnlen(name, ALERT_NAME_MAX));
	e->reason = xstrdup("");
	memmove(a->v + i + 1, a->v + i, (a->n - i) * sizeof(struct alert *));
	a->v[i] = e;
	a->n++;
	return e;
}

/* ---- when what is told ---- */

static int64_t
gather(const struct alerts *a)
{
	return a->interval / 120 < ALERT_GATHER_S ? a->interval / 120 : ALERT_GATHER_S;
}

static int64_t
remind(const struct alerts *a)
{
	return a->interval > ALERT_REMIND_S ? a->interval : ALERT_REMIND_S;
}

/* From when on something is to be told of it, and what. */
static int64_t
next_event(const struct alerts *a, const struct alert *e, enum alert_event *event)
{
	*event = ALERT_RAISED;
	if (!e->bad) {
		*event = ALERT_RECOVERED;
		return e->told_bad ? e->last : ALERT_NEVER;
	}
	if (!e->told_bad)
		return e->told != 0 && e->told + a->interval > e->since ? e->told + a->interval : e->since;
	*event = ALERT_LASTS;
	if (e->severity > e->told_severity)
		return e->told + a->interval;
	/* Only where it was seen since. */
	return e->last > e->told ? e->told + remind(a) : ALERT_NEVER;
}

static int
is_due(const struct alerts *a, const struct alert *e, int64_t now, enum alert_event *event)
{
	return next_event(a, e, event) <= now;
}

/* Nothing is to be told of it any more, and that it was told need not be known. */
static int
is_over(const struct alerts *a, const struct alert *e, int64_t now)
{
	if (e->going)
		return 0;
	if (e->bad)
		return now - e->last > ALERT_FORGET_S;
	return !e->told_bad && now >= e->told + a->interval;
}

static void
forget_old(struct alerts *a, int64_t now)
{
	size_t i, n = 0;

	for (i = 0; i < a->n; i++)
		if (is_over(a, a->v[i], now))
			free_one(a->v[i]);
		else
			a->v[n++] = a->v[i];
	a->n = n;
}

/* What lies ahead was written before the clock was set back. */
static void
mind_clock(struct alerts *a, int64_t now)
{
	size_t i;

	if (a->last > now)
		a->last = now;
	for (i = 0; i < a->n; i++) {
		struct alert *e = a->v[i];

		if (e->told > now)
			e->told = now;
		if (e->last > now)
			e->last = now;
		if (e->since > now)
			e->since = now;
	}
}

static int64_t
first_event(const struct alerts *a)
{
	int64_t first = ALERT_NEVER, t;
	enum alert_event event;
	size_t i;

	for (i = 0; i < a->n; i++)
		if ((t = next_event(a, a->v[i], &event)) < first)
			first = t;
	return first;
}

/* The gap behind the last digest is that long; none where nothing happened for long enough. */
static int64_t
not_before(const struct alerts *a)
{
	return a->last == 0 ? 0 : a->last + a->gap;
}

int64_t
alert_wake(struct alerts *a, int64_t now)
{
	int64_t first;

	mind_clock(a, now);
	forget_old(a, now);
	if (a->taken || (first = first_event(a)) == ALERT_NEVER)
		return ALERT_NEVER;
	/* What begins waits for its like. */
	first += gather(a);
	return first > not_before(a) ? first : not_before(a);
}

/* ---- what is seen ---- */

static void
set_reason(struct alert *e, const char *reason)
{
	free(e->reason);
	e->reason = xstrndup(reason, strnlen(reason, ALERT_REASON_MAX));
}

void
alert_bad(struct alerts *a, const struct alert_sight *s, int64_t now)
{
	struct alert *e = find(a, s->kind, s->name);

	if (e == NULL && a->n == ALERT_MAX)
		forget_old(a, now);
	if (e == NULL && (e = insert(a, s->kind, s->name)) == NULL) {
		a->unkept++;
		return;
	}
	/* An end that was not told yet was none. */
	if (!e->bad && !e->told_bad) {
		e->since = now;
		e->times = 0;
		e->told_severity = 0;
	}
	e->bad = 1;
	e->last = now;
	e->times++;
	e->severity = s->severity;
	if (s->expires != 0 && (e->expires == 0 || s->expires < e->expires))
		e->expires = s->expires;
	set_reason(e, s->reason);
}

void
alert_good(struct alerts *a, enum alert_kind kind, const char *name, int64_t now)
{
	struct alert *e = find(a, kind, name);

	if (e == NULL || !e->bad)
		return;
	e->bad = 0;
	e->last = now;
}

/* ---- digests ---- */

static void
take_one(struct alert_digest *d, struct alert *e, enum alert_event event)
{
	e->going = 1;
	e->said = event;
	d->count[e->kind][event]++;
	d->total++;
	if (d->n < ALERT_NAMED_MAX)
		d->item[d->n++] = (struct alert_item){ .event = event, .alert = e };
}

/* What is new stands before what is known. */
int
alert_take(struct alerts *a, int64_t now, struct alert_digest *d)
{
	enum alert_event want, event;
	size_t i;

	memset(d, 0, sizeof *d);
	if (alert_wake(a, now) > now)
		return 0;
	for (want = ALERT_RAISED; want < ALERT_EVENTS; want++)
		for (i = 0; i < a->n; i++)
			if (is_due(a, a->v[i], now, &event) && event == want)
				take_one(d, a->v[i], event);
	if (d->total == 0)
		return 0;
	d->unkept = a->unkept;
	a->taken = 1;
	return 1;
}

/* As it was when it was taken: what happened since is not in it. */
static void
settle(struct alert *e, int64_t now)
{
	e->told_bad = e->said != ALERT_RECOVERED;
	if (!e->told_bad)
		return;
	e->told = now;
	e->told_severity = e->severity;
	e->expires = 0;
}

static void
widen_gap(struct alerts *a, int64_t now)
{
	int64_t least = 2 * gather(a);

	if (a->last == 0 || a->gap == 0 || now - a->last > 2 * a->interval)
		a->gap = least > 0 ? least : 1;
	else
		a->gap = 2 * a->gap < a->interval ? 2 * a->gap : a->interval;
	a->last = now;
}

void
alert_told(struct alerts *a, int ok, int64_t now)
{
	size_t i;

	if (!a->taken)
		return;
	a->taken = 0;
	for (i = 0; i < a->n; i++)
		if (a->v[i]->going) {
			if (ok)
				settle(a->v[i], now);
			a->v[i]->going = 0;
		}
	if (ok)
		a->unkept = 0;
	/* Whatever kept it from being written may last. */
	widen_gap(a, now);
}

size_t
alert_count(const struct alerts *a)
{
	return a->n;
}

const struct alert *
alert_get(const struct alerts *a, size_t i)
{
	return a->v[i];
}

/* ---- on disk ---- */

static void
number(char dst[24], int64_t n)
{
	snprintf(dst, 24, "%" PRId64, n);
}

/* digest LAST GAP; alert KIND NAME BAD TOLD-BAD SEVERITY TOLD-SEVERITY SINCE LAST TOLD EXPIRES TIMES REASON */
void
alert_save(const struct alerts *a, struct buf *b)
{
	char n[9][24];
	size_t i;

	number(n[0], a->last);
	number(n[1], a->gap);
	table_put(b, "digest", n[0], n[1], (char *)NULL);
	for (i = 0; i < a->n; i++) {
		const struct alert *e = a->v[i];

		number(n[0], e->bad);
		number(n[1], e->told_bad);
		number(n[2], e->severity);
		number(n[3], e->told_severity);
		number(n[4], e->since);
		number(n[5], e->last);
		number(n[6], e->told);
		number(n[7], e->expires);
		number(n[8], (int64_t)e->times);
		table_put(b, "alert", kind_names[e->kind], e->name, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7],
		    n[8], e->reason, (char *)NULL);
	}
}

static int
take_digest(void *ctx, const struct table_line *l, struct fail *f)
{
	struct alerts *a = ctx;
	long long last, gap;

	if (text_number(l->v[0], 0, INT64_MAX, "time", &last, f) == -1 ||
	    text_number(l->v[1], 0, ALERT_INTERVAL_MAX, "gap", &gap, f) == -1)
		return -1;
	a->last = last;
	a->gap = gap < a->interval ? gap : a->interval;
	return 0;
}

#define NUMBERS 9

static int
take_alert(void *ctx, const struct table_line *l, struct fail *f)
{
	static const long long most[NUMBERS] = { 1, 1, 9, 9, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX };
	struct alerts *a = ctx;
	int kind = alert_kind_find(l->v[0]);
	long long n[NUMBERS];
	struct alert *e;
	size_t i;

	if (kind == -1 || find(a, (enum alert_kind)kind, l->v[1]) != NULL)
		return fail(f, FAIL_INPUT, "no kind, or a second line");
	for (i = 0; i < NUMBERS; i++)
		if (text_number(l->v[i + 2], 0, most[i], "number", &n[i], f) == -1)
			return -1;
	if ((e = insert(a, (enum alert_kind)kind, l->v[1])) == NULL)
		return fail(f, FAIL_INPUT, "too many");
	e->bad = (int)n[0];
	e->told_bad = (int)n[1];
	e->severity = (int)n[2];
	e->told_severity = (int)n[3];
	e->since = n[4];
	e->last = n[5];
	e->told = n[6];
	e->expires = n[7];
	e->times = (uint64_t)n[8];
	set_reason(e, l->v[11]);
	return 0;
}

void
alert_load(struct alerts *a, const char *text, size_t len, int64_t now)
{
	static const struct table_row rows[] = { { "digest", 2, 2, TABLE_ONCE, take_digest },
		{ "alert", 12, 12, 0, take_alert } };

	table_parse("alerts", text, len, rows, sizeof rows / sizeof rows[0], a, NULL, NULL);
	mind_clock(a, now);
}
