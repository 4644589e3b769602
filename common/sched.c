/*
 * A message waits in two heaps of its destination, by due time and by deadline.  A destination with
 * messages is in one of three places: in the ring of those that are ready, of which sched_next() takes
 * the first and puts it last; in the heap of the others by the time when they may be ready; in neither
 * while all its places are taken.  The ring is looked at late: whoever makes a destination in it unready
 * leaves it there, and sched_next() moves it away when its turn comes.
 *
 * A destination behind a host without a free place is held: it stands last in the host's line, and in the
 * heap by the time when it must not wait any longer.  A place that gets free is kept for the first of the
 * line, which is called: it goes into the ring, and nobody else gets that place before its turn.
 */
#include "sched.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "alloc.h"
#include "text.h"

/* ---- heaps: the first of some things, each of which knows where it lies ---- */

struct heap_type {
	int (*before)(const void *, const void *);
	uint32_t *(*at)(void *);
};

struct heap {
	void **v;
	uint32_t n, room;
};

static void
heap_set(struct heap *h, const struct heap_type *t, uint32_t at, void *item)
{
	h->v[at] = item;
	*t->at(item) = at;
}

/* Moves the item at that place to where it belongs. */
static void
heap_sift(struct heap *h, const struct heap_type *t, uint32_t at)
{
	void *item = h->v[at];
	uint32_t child;

	for (; at > 0 && t->before(item, h->v[(at - 1) / 2]); at = (at - 1) / 2)
		heap_set(h, t, at, h->v[(at - 1) / 2]);
	for (; (child = 2 * at + 1) < h->n; at = child) {
		if (child + 1 < h->n && t->before(h->v[child + 1], h->v[child]))
			child++;
		if (!t->before(h->v[child], item))
			break;
		heap_set(h, t, at, h->v[child]);
	}
	heap_set(h, t, at, item);
}

static void
heap_put(struct heap *h, const struct heap_type *t, void *item)
{
	if (h->n == h->room) {
		if (h->room > UINT32_MAX / 4)
			alloc_failed();
		h->room += h->room / 2 + 2;
		h->v = xreallocarray(h->v, h->room, sizeof *h->v);
	}
	h->v[h->n] = item;
	heap_sift(h, t, h->n++);
}

static void
heap_take(struct heap *h, const struct heap_type *t, void *item)
{
	uint32_t at = *t->at(item);

	if (at >= h->n || h->v[at] != item)
		abort();
	if (at == --h->n)
		return;
	h->v[at] = h->v[h->n];
	heap_sift(h, t, at);
}

static void
heap_clear(struct heap *h)
{
	free(h->v);
	*h = (struct heap){ .v = NULL, .n = 0, .room = 0 };
}

/* ---- names: things found by their name; open addressing, at most three quarters full ---- */

struct names {
	void **v;
	size_t n, room;		/* room: a power of 2, or 0 */
	uint64_t seed;
	const char *(*name)(const void *);
};

static size_t
names_home(const struct names *t, const char *name)
{
	return text_hash(t->seed, name) & (t->room - 1);
}

/* Where it is, or the free place for it. */
static size_t
names_slot(const struct names *t, const char *name)
{
	size_t i = names_home(t, name);

	while (t->v[i] != NULL && strcmp(t->name(t->v[i]), name) != 0)
		i = (i + 1) & (t->room - 1);
	return i;
}

static void *
names_find(const struct names *t, const char *name)
{
	return t->room > 0 ? t->v[names_slot(t, name)] : NULL;
}

static void
names_grow(struct names *t)
{
	void **old = t->v;
	size_t n = t->room, i;

	t->room = n > 0 ? 2 * n : 16;
	t->v = xcalloc(t->room, sizeof *t->v);
	for (i = 0; i < n; i++)
		if (old[i] != NULL)
			t->v[names_slot(t, t->name(old[i]))] = old[i];
	free(old);
}

/* The name must not be there. */
static void
names_put(struct names *t, void *item)
{
	if (t->n >= t->room / 4 * 3)
		names_grow(t);
	t->v[names_slot(t, t->name(item))] = item;
	t->n++;
}

/* What stands behind a free place must be reachable from its home: it moves up where it is not. */
static void
names_take(struct names *t, const char *name)
{
	size_t mask = t->room - 1, hole = names_slot(t, name), i;

	if (t->v[hole] == NULL)
		abort();
	t->n--;
	for (i = (hole + 1) & mask; t->v[i] != NULL; i = (i + 1) & mask)
		if (((i - names_home(t, t->name(t->v[i]))) & mask) >= ((i - hole) & mask)) {
			t->v[hole] = t->v[i];
			hole = i;
		}
	t->v[hole] = NULL;
}

/* ---- the scheduler ---- */

enum where {
	BUSY,		/* in none: created, or all places taken */
	READY,		/* in the ring */
	LATER,		/* in the heap */
	IDLE		/* without a message, in the list of the idle */
};

/* How many may be out at a destination or a host, and how it went. */
struct gauge {
	int64_t until;				/* sleeps; 0: does not */
	unsigned out, places, worked, broke;
	unsigned most;				/* places; 0: SCHED_PLACES_MAX */
	int slept;				/* and was not tried since */
};

struct sched_destination {
	struct gauge g;
	struct heap by_due, by_deadline;	/* the messages that wait */
	int64_t wake;				/* its key in the heap of destinations */
	uint32_t at;
	enum where where;
	TAILQ_ENTRY(sched_destination) entry;	/* of the ring or of the idle */
	struct sched_host *host;		/* its mail goes there; NULL: not known */
	int64_t held_until;
	uint64_t roused;			/* a host that it finds asleep is woken from a sleep up to this one */
	TAILQ_ENTRY(sched_destination) held_entry;
	uint8_t held;				/* waits for a place at the host */
	uint8_t called;				/* one is kept for it there */
	uint8_t alone;				/* no other host would do */
	char key[];
};

TAILQ_HEAD(ring, sched_destination);

struct sched_host {
	struct gauge g;
	struct ring held;			/* the longest so first */
	size_t nheld, behind;			/* behind: destinations that go there */
	unsigned called;			/* places kept */
	uint64_t sleep;				/* the number of its last one */
	uint32_t at;				/* in the heap of those that sleep */
	int idle;
	TAILQ_ENTRY(sched_host) entry;		/* of the idle */
	char key[];
};

TAILQ_HEAD(host_list, sched_host);

struct sched {
	struct names messages, destinations, hosts;
	struct heap sleepers;	/* hosts */
	struct host_list idle_hosts;
	size_t nidle_hosts;
	struct ring ready;
	struct heap later;
	struct ring idle;	/* the longest so first */
	size_t nidle;
	unsigned out, total;
	uint64_t sleeps;	/* of hosts, so far */
};

static int
is_due_before(const void *a, const void *b)
{
	const struct sched_message *m = a, *n = b;

	return m->due != n->due ? m->due < n->due : strcmp(m->id, n->id) < 0;
}

static int
is_overdue_before(const void *a, const void *b)
{
	const struct sched_message *m = a, *n = b;

	return m->deadline != n->deadline ? m->deadline < n->deadline : strcmp(m->id, n->id) < 0;
}

static int
is_awake_before(const void *a, const void *b)
{
	const struct sched_destination *d = a, *e = b;

	return d->wake != e->wake ? d->wake < e->wake : strcmp(d->key, e->key) < 0;
}

static int
is_up_before(const void *a, const void *b)
{
	const struct sched_host *h = a, *i = b;

	return h->g.until != i->g.until ? h->g.until < i->g.until : strcmp(h->key, i->key) < 0;
}

static uint32_t *
at_due(void *item)
{
	struct sched_message *m = item;

	return &m->at[0];
}

static uint32_t *
at_deadline(void *item)
{
	struct sched_message *m = item;

	return &m->at[1];
}

static uint32_t *
at_wake(void *item)
{
	struct sched_destination *d = item;

	return &d->at;
}

static uint32_t *
at_until(void *item)
{
	struct sched_host *h = item;

	return &h->at;
}

static const struct heap_type by_due = { is_due_before, at_due };
static const struct heap_type by_deadline = { is_overdue_before, at_deadline };
static const struct heap_type by_wake = { is_awake_before, at_wake };
static const struct heap_type by_until = { is_up_before, at_until };

static const char *
message_name(const void *item)
{
	const struct sched_message *m = item;

	return m->id;
}

static const char *
destination_name(const void *item)
{
	const struct sched_destination *d = item;

	return d->key;
}

static const char *
host_name(const void *item)
{
	const struct sched_host *h = item;

	return h->key;
}

struct sched *
sched_new(unsigned total, uint64_t seed)
{
	struct sched *s = xcalloc(1, sizeof *s);

	s->total = total;
	s->messages.seed = s->destinations.seed = s->hosts.seed = seed;
	s->messages.name = message_name;
	s->destinations.name = destination_name;
	s->hosts.name = host_name;
	TAILQ_INIT(&s->ready);
	TAILQ_INIT(&s->idle);
	TAILQ_INIT(&s->idle_hosts);
	return s;
}

static void
destination_free(struct sched_destination *d)
{
	heap_clear(&d->by_due);
	heap_clear(&d->by_deadline);
	free(d);
}

void
sched_free(struct sched *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->messages.room; i++)
		free(s->messages.v[i]);
	for (i = 0; i < s->destinations.room; i++)
		if (s->destinations.v[i] != NULL)
			destination_free(s->destinations.v[i]);
	for (i = 0; i < s->hosts.room; i++)
		free(s->hosts.v[i]);
	free(s->messages.v);
	free(s->destinations.v);
	free(s->hosts.v);
	heap_clear(&s->later);
	heap_clear(&s->sleepers);
	free(s);
}

/* ---- where a destination is ---- */

static struct sched_message *
first(const struct heap *h)
{
	return h->n > 0 ? h->v[0] : NULL;
}

/* Out of whichever it is in. */
static void
detach(struct sched *s, struct sched_destination *d)
{
	switch (d->where) {
	case READY:
		TAILQ_REMOVE(&s->ready, d, entry);
		break;
	case LATER:
		heap_take(&s->later, &by_wake, d);
		break;
	case IDLE:
		TAILQ_REMOVE(&s->idle, d, entry);
		s->nidle--;
		break;
	case BUSY:
		break;
	}
	d->where = BUSY;
}

/* To the end of the ring. */
static void
make_ready(struct sched *s, struct sched_destination *d)
{
	detach(s, d);
	d->where = READY;
	TAILQ_INSERT_TAIL(&s->ready, d, entry);
}

/* ---- hosts ---- */

static int
is_closed(const struct sched_host *h)
{
	return h->g.until != 0 || h->g.out + h->called >= h->g.places;
}

static void
forget_host(struct sched *s, struct sched_host *h)
{
	TAILQ_REMOVE(&s->idle_hosts, h, entry);
	s->nidle_hosts--;
	if (h->g.until != 0)
		heap_take(&s->sleepers, &by_until, h);
	names_take(&s->hosts, h->key);
	free(h);
}

/* Behind every change of a host, which may be gone then. */
static void
settle_host(struct sched *s, struct sched_host *h)
{
	int idle = h->g.out == 0 && h->behind == 0;

	if (h->idle && !idle) {
		TAILQ_REMOVE(&s->idle_hosts, h, entry);
		s->nidle_hosts--;
	} else if (!h->idle && idle) {
		TAILQ_INSERT_TAIL(&s->idle_hosts, h, entry);
		s->nidle_hosts++;
	}
	h->idle = idle;
	if (s->nidle_hosts > SCHED_IDLE_MAX)
		forget_host(s, TAILQ_FIRST(&s->idle_hosts));
}

static struct sched_host *
host_find(const struct sched *s, const char *key)
{
	return names_find(&s->hosts, key);
}

/* Finds or makes it; settle_host() must follow. */
static struct sched_host *
host_get(struct sched *s, const char *key)
{
	struct sched_host *h = host_find(s, key);
	size_t size = strlen(key) + 1;

	if (h == NULL) {
		h = xcalloc(1, sizeof *h + size);
		memcpy(h->key, key, size);
		h->g.places = SCHED_PLACES_INITIAL;
		TAILQ_INIT(&h->held);
		names_put(&s->hosts, h);
	}
	return h;
}

/* It neither waits for a place at its host nor has one kept. */
static void
let_go(struct sched_destination *d)
{
	struct sched_host *h = d->host;

	if (d->held) {
		TAILQ_REMOVE(&h->held, d, held_entry);
		h->nheld--;
	}
	if (d->called)
		h->called--;
	d->held = d->called = 0;
}

/* Who waits longest gets what is free, and may not come before its turn in the ring. */
static void
call_held(struct sched *s, struct sched_host *h)
{
	struct sched_destination *d;

	while ((d = TAILQ_FIRST(&h->held)) != NULL && !is_closed(h)) {
		let_go(d);
		d->called = 1;
		h->called++;
		make_ready(s, d);
	}
}

/* Into the line; at its head if it was called already, and the place is gone. */
static void
hold(struct sched_destination *d, int64_t now, int first_in_line)
{
	d->held = 1;
	d->held_until = now + SCHED_HELD_MAX;
	if (first_in_line)
		TAILQ_INSERT_HEAD(&d->host->held, d, held_entry);
	else
		TAILQ_INSERT_TAIL(&d->host->held, d, held_entry);
	d->host->nheld++;
}

static void
leave_host(struct sched *s, struct sched_destination *d)
{
	struct sched_host *h = d->host;

	if (h == NULL)
		return;
	let_go(d);
	d->host = NULL;
	d->alone = 0;
	h->behind--;
	call_held(s, h);
	settle_host(s, h);
}

static void
wake_hosts(struct sched *s, int64_t now)
{
	struct sched_host *h;

	while (s->sleepers.n > 0 && (h = s->sleepers.v[0])->g.until <= now) {
		heap_take(&s->sleepers, &by_until, h);
		h->g.until = 0;
		call_held(s, h);
		settle_host(s, h);
	}
}

/* ---- destinations without, and with, messages ---- */

static void
forget(struct sched *s, struct sched_destination *d)
{
	detach(s, d);
	names_take(&s->destinations, d->key);
	destination_free(d);
}

/* What it was like is remembered for a while. */
static void
retire(struct sched *s, struct sched_destination *d)
{
	leave_host(s, d);
	detach(s, d);
	heap_clear(&d->by_due);
	heap_clear(&d->by_deadline);
	d->where = IDLE;
	TAILQ_INSERT_TAIL(&s->idle, d, entry);
	if (++s->nidle > SCHED_IDLE_MAX)
		forget(s, TAILQ_FIRST(&s->idle));
}

/* When it may be ready. */
static int64_t
wake_of(const struct sched_destination *d)
{
	int64_t wake = SCHED_NEVER, deadline;

	if (d->by_due.n == 0)
		return SCHED_NEVER;
	deadline = first(&d->by_deadline)->deadline;
	if (d->held)
		return deadline < d->held_until ? deadline : d->held_until;
	if (d->g.out < d->g.places) {
		wake = first(&d->by_due)->due;
		if (wake < d->g.until)
			wake = d->g.until;
	}
	return deadline < d->g.until && deadline < wake ? deadline : wake;
}

/* Behind every change of a destination. */
static void
settle(struct sched *s, struct sched_destination *d)
{
	int64_t wake;

	if (d->by_due.n == 0 && d->g.out == 0) {
		retire(s, d);
		return;
	}
	if (d->where == READY)
		return;
	wake = wake_of(d);
	if (d->where == LATER && wake != SCHED_NEVER) {
		d->wake = wake;
		heap_sift(&s->later, &by_wake, d->at);
		return;
	}
	detach(s, d);
	if (wake == SCHED_NEVER)
		return;
	d->wake = wake;
	heap_put(&s->later, &by_wake, d);
	d->where = LATER;
}

static struct sched_destination *
destination_find(const struct sched *s, const char *key)
{
	return names_find(&s->destinations, key);
}

/* Finds or makes it; settle() must follow. */
static struct sched_destination *
destination_get(struct sched *s, const char *key)
{
	struct sched_destination *d = destination_find(s, key);
	size_t size = strlen(key) + 1;

	if (d == NULL) {
		d = xcalloc(1, sizeof *d + size);
		memcpy(d->key, key, size);
		d->g.places = SCHED_PLACES_INITIAL;
		names_put(&s->destinations, d);
	}
	if (d->where == IDLE)
		detach(s, d);
	return d;
}

/* ---- messages ---- */

static void
wait_in(struct sched_destination *d, struct sched_message *m)
{
	heap_put(&d->by_due, &by_due, m);
	heap_put(&d->by_deadline, &by_deadline, m);
}

static void
wait_out(struct sched_destination *d, struct sched_message *m)
{
	heap_take(&d->by_due, &by_due, m);
	heap_take(&d->by_deadline, &by_deadline, m);
}

struct sched_message *
sched_add(struct sched *s, const char *id, int64_t due, int64_t deadline, const char *key, void *arg)
{
	struct sched_message *m;

	if (strlen(id) != SPOOL_ID_LEN)
		abort();
	if (sched_find(s, id) != NULL)
		return NULL;
	m = xcalloc(1, sizeof *m);
	memcpy(m->id, id, SPOOL_ID_SIZE);
	m->due = due;
	m->deadline = deadline;
	m->arg = arg;
	m->destination = destination_get(s, key);
	names_put(&s->messages, m);
	wait_in(m->destination, m);
	settle(s, m->destination);
	return m;
}

struct sched_message *
sched_find(const struct sched *s, const char *id)
{
	return names_find(&s->messages, id);
}

const char *
sched_key(const struct sched_message *m)
{
	return m->destination->key;
}

void
sched_change(struct sched *s, struct sched_message *m, int64_t due, int64_t deadline)
{
	if (m->out)
		abort();
	m->due = due;
	m->deadline = deadline;
	heap_sift(&m->destination->by_due, &by_due, m->at[0]);
	heap_sift(&m->destination->by_deadline, &by_deadline, m->at[1]);
	settle(s, m->destination);
}

void
sched_remove(struct sched *s, struct sched_message *m)
{
	struct sched_destination *d = m->destination;

	if (m->out)
		abort();
	wait_out(d, m);
	names_take(&s->messages, m->id);
	free(m);
	settle(s, d);
}

/* ---- handing out ---- */

/* The message whose turn it is in its destination; NULL: none now. */
static struct sched_message *
choose(struct sched_destination *d, int64_t now, enum sched_why *why)
{
	struct sched_message *m;

	if (d->g.until <= now)
		d->g.until = 0;
	m = first(&d->by_due);
	*why = SCHED_TRY;
	if (m != NULL && m->due <= now && d->g.until == 0 && d->g.out < d->g.places)
		return m;
	m = first(&d->by_deadline);
	*why = SCHED_OVERDUE;
	return m != NULL && m->deadline <= now && d->g.until != 0 ? m : NULL;
}

/*
 * The same where the host must have a place too.  Whose host sleeps is handed out all the same, for
 * another host may do, but where none would; so is who was held too long, for its plan may be another now.
 */
static struct sched_message *
choose_for_host(struct sched *s, struct sched_destination *d, int64_t now, enum sched_why *why)
{
	struct sched_message *m = choose(d, now, why), *late = first(&d->by_deadline);
	struct sched_host *h = d->host;
	int called = d->called;

	if (h == NULL)
		return m;
	if (m == NULL || *why == SCHED_OVERDUE) {
		let_go(d);
		call_held(s, h);
		return m;
	}
	if (called)
		let_go(d);
	if ((h->g.until != 0 && !d->alone) || (d->held && d->held_until <= now)) {
		leave_host(s, d);
		return m;
	}
	if (!d->held && !is_closed(h))
		return m;
	if (!d->held)
		hold(d, now, called);
	*why = SCHED_OVERDUE;
	return late->deadline <= now ? late : NULL;
}

static void
make_ready_by(struct sched *s, int64_t now)
{
	struct sched_destination *d;

	while (s->later.n > 0 && (d = s->later.v[0])->wake <= now)
		make_ready(s, d);
}

static void
hand_out(struct sched *s, struct sched_message *m, int64_t now, enum sched_why why)
{
	struct sched_destination *d = m->destination;

	if (why == SCHED_TRY)
		d->g.slept = 0;
	if (why == SCHED_TRY && d->host != NULL) {
		let_go(d);
		m->host = d->host;
		m->host->g.out++;
		m->host->g.slept = 0;
	}
	wait_out(d, m);
	m->out = 1;
	d->g.out++;
	s->out++;
	if (choose(d, now, &why) != NULL)
		make_ready(s, d);
	else
		settle(s, d);
}

struct sched_message *
sched_next(struct sched *s, int64_t now, enum sched_why *why)
{
	struct sched_destination *d;
	struct sched_message *m;

	if (s->out >= s->total)
		return NULL;
	wake_hosts(s, now);
	make_ready_by(s, now);
	while ((d = TAILQ_FIRST(&s->ready)) != NULL) {
		detach(s, d);
		if ((m = choose_for_host(s, d, now, why)) != NULL) {
			hand_out(s, m, now, *why);
			return m;
		}
		settle(s, d);
	}
	return NULL;
}

int64_t
sched_wake(const struct sched *s)
{
	const struct sched_destination *d;
	const struct sched_host *h;
	int64_t wake = SCHED_NEVER;

	if (s->out >= s->total)
		return SCHED_NEVER;
	if (!TAILQ_EMPTY(&s->ready))
		return INT64_MIN;
	if (s->later.n > 0) {
		d = s->later.v[0];
		wake = d->wake;
	}
	if (s->sleepers.n > 0) {
		h = s->sleepers.v[0];
		wake = h->g.until < wake ? h->g.until : wake;
	}
	return wake;
}

/* One more place where as many messages worked as there are places. */
static void
grow(struct gauge *g)
{
	g->broke = 0;
	if (++g->worked < g->places)
		return;
	g->worked = 0;
	if (g->places < (g->most != 0 ? g->most : SCHED_PLACES_MAX))
		g->places++;
}

static int
is_down(const struct gauge *g)
{
	return g->broke >= 2 && g->broke >= g->places;
}

/*
 * One less for each that broke: so a host that breaks off one session in n keeps about n places, and one that takes
 * fewer sessions at a time loses those that it refuses.  Who is down is tried with one.  Those that were out already when it
 * fell asleep tell nothing new.
 */
static void
shrink(struct gauge *g)
{
	if (g->slept)
		return;
	g->broke++;
	if (g->places > SCHED_PLACES_MIN)
		g->places--;
	if (is_down(g))
		g->places = SCHED_PLACES_MIN;
}

static struct sched_state
state_of(const struct gauge *g, size_t waiting)
{
	return (struct sched_state){ .waiting = waiting, .out = g->out, .places = g->places, .broke = g->broke,
		.down = is_down(g), .until = g->until };
}

static void
give_back(struct gauge *g, enum sched_outcome outcome)
{
	if (g->out == 0)
		abort();
	g->out--;
	if (outcome == SCHED_WORKED)
		grow(g);
	else if (outcome == SCHED_BROKE)
		shrink(g);
}

void
sched_spare(struct sched *s, struct sched_message *m)
{
	struct sched_host *h = m->host;

	if (h == NULL)
		return;
	m->host = NULL;
	give_back(&h->g, SCHED_SAYS_NOTHING);
	call_held(s, h);
	settle_host(s, h);
}

void
sched_finished(struct sched *s, struct sched_message *m, enum sched_outcome outcome)
{
	struct sched_destination *d = m->destination;

	if (!m->out)
		abort();
	sched_spare(s, m);
	give_back(&d->g, outcome);
	s->out--;
	names_take(&s->messages, m->id);
	free(m);
	settle(s, d);
}

/* ---- destinations ---- */

void
sched_sleep(struct sched *s, const char *key, int64_t until)
{
	struct sched_destination *d = destination_get(s, key);

	d->g.until = until;
	d->g.slept = until != 0;
	settle(s, d);
}

void
sched_rouse(struct sched *s, const char *key)
{
	struct sched_destination *d = destination_find(s, key);

	if (d == NULL)
		return;
	sched_sleep(s, key, 0);
	d->roused = s->sleeps;
	if (d->host != NULL && d->host->g.until != 0)
		sched_host_sleep(s, d->host->key, 0);
}

struct sched_state
sched_state(const struct sched *s, const char *key)
{
	const struct sched_destination *d = destination_find(s, key);

	if (d == NULL)
		return (struct sched_state){ .places = SCHED_PLACES_INITIAL };
	return state_of(&d->g, d->by_due.n);
}

struct sched_message *
sched_waiting(const struct sched *s, const char *key, size_t i)
{
	const struct sched_destination *d = destination_find(s, key);

	return d != NULL && i < d->by_due.n ? d->by_due.v[i] : NULL;
}

size_t
sched_count(const struct sched *s)
{
	return s->messages.n;
}

unsigned
sched_out(const struct sched *s)
{
	return s->out;
}

/* ---- places at hosts ---- */

int
sched_enter(struct sched *s, struct sched_message *m, const char *host, int64_t now)
{
	struct sched_host *h;
	int kept, closed;

	wake_hosts(s, now);
	h = host_get(s, host);
	kept = m->host == h;
	closed = is_closed(h);
	if (kept)
		m->host = NULL;
	else if (!closed) {
		h->g.out++;
		h->g.slept = 0;
	}
	settle_host(s, h);
	return kept || !closed;
}

void
sched_enter_anyway(struct sched *s, const char *host)
{
	struct sched_host *h = host_get(s, host);

	h->g.out++;
	settle_host(s, h);
}

void
sched_leave(struct sched *s, const char *host, enum sched_outcome outcome)
{
	struct sched_host *h = host_find(s, host);

	if (h == NULL)
		abort();
	give_back(&h->g, outcome);
	call_held(s, h);
	settle_host(s, h);
}

/* NULL where it has no message. */
static struct sched_destination *
put_behind(struct sched *s, const char *key, const char *host, int alone)
{
	struct sched_destination *d = destination_find(s, key);
	struct sched_host *h;

	if (d == NULL || d->where == IDLE)
		return NULL;
	h = host_get(s, host);
	if (d->host != h) {
		h->behind++;
		settle_host(s, h);
		leave_host(s, d);
		d->host = h;
	}
	d->alone = alone != 0;
	return d;
}

void
sched_behind(struct sched *s, const char *key, const char *host)
{
	struct sched_destination *d = put_behind(s, key, host, 0);

	if (d != NULL)
		settle(s, d);
}

void
sched_hold(struct sched *s, const char *key, const char *host, int alone, int64_t now)
{
	struct sched_destination *d = put_behind(s, key, host, alone);

	if (d == NULL)
		return;
	if (d->host->g.until != 0 && d->host->sleep <= d->roused)
		sched_host_sleep(s, host, 0);
	if (!d->held && !d->called && is_closed(d->host) && choose(d, now, &(enum sched_why){ 0 }) != NULL)
		hold(d, now, 0);
	settle(s, d);
}

void
sched_host_sleep(struct sched *s, const char *host, int64_t until)
{
	struct sched_host *h = host_get(s, host);
	struct sched_destination *d, *next;

	if (h->g.until != 0)
		heap_take(&s->sleepers, &by_until, h);
	h->g.until = until;
	h->g.slept = until != 0;
	if (until != 0) {
		h->sleep = ++s->sleeps;
		heap_put(&s->sleepers, &by_until, h);
	}
	/* Each of them finds at its turn whether another host would do. */
	for (d = TAILQ_FIRST(&h->held); d != NULL && until != 0; d = next) {
		next = TAILQ_NEXT(d, held_entry);
		if (d->alone)
			continue;
		let_go(d);
		make_ready(s, d);
	}
	call_held(s, h);
	settle_host(s, h);
}

/* Hosts are let go first, and destinations settled then: that may forget some that are idle, and none of these. */
void
sched_hosts_anew(struct sched *s)
{
	struct sched_destination **v = xcalloc(s->destinations.n + 1, sizeof *v), *d;
	size_t i, n = 0;

	for (i = 0; i < s->destinations.room; i++)
		if ((d = s->destinations.v[i]) != NULL && d->host != NULL) {
			leave_host(s, d);
			if (d->where != IDLE)
				v[n++] = d;
		}
	for (i = 0; i < n; i++)
		settle(s, v[i]);
	free(v);
}

int
sched_host_asleep(struct sched *s, const char *host, int64_t now)
{
	const struct sched_host *h;

	wake_hosts(s, now);
	h = host_find(s, host);
	return h != NULL && h->g.until != 0;
}

void
sched_host_places(struct sched *s, const char *host, unsigned places)
{
	struct sched_host *h = host_get(s, host);

	h->g.places = places;
	call_held(s, h);
	settle_host(s, h);
}

void
sched_most(struct sched *s, const char *key, unsigned most)
{
	struct sched_destination *d = destination_find(s, key);

	if (d != NULL)
		d->g.most = most;
}

void
sched_host_most(struct sched *s, const char *host, unsigned most)
{
	struct sched_host *h = host_find(s, host);

	if (h != NULL)
		h->g.most = most;
}

struct sched_state
sched_host_state(const struct sched *s, const char *host)
{
	const struct sched_host *h = host_find(s, host);

	if (h == NULL)
		return (struct sched_state){ .places = SCHED_PLACES_INITIAL };
	return state_of(&h->g, h->nheld);
}

/* ---- back-off ---- */

int64_t
sched_backoff(int64_t first, int64_t most, unsigned tries, int64_t age, int64_t until, uint32_t random)
{
	int64_t delay = first, span;

	if (age >= until)
		return -1;
	for (; tries > 1 && delay < most; tries--)
		delay *= 2;
	if (delay > most)
		delay = most;
	span = delay * SCHED_JITTER_PERCENT / 100;
	delay += (int64_t)((uint64_t)random * (uint64_t)(2 * span + 1) >> 32) - span;
	return delay < until - age ? delay : until - age;
}
