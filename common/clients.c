#include "clients.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct place {
	_Atomic uint64_t key;			/* 0: free */
	_Atomic int64_t spent[CLIENTS_RATES];	/* until then (us) what was done counts */
};

struct clients {
	size_t nplaces, nworkers;	/* a power of two */
	uint8_t secret[16];
	struct place *place;		/* shared, and behind them: */
	atomic_uint *sessions;		/* [place * nworkers + worker] */
	size_t size;			/* octets of both */
};

struct clients *
clients_new(size_t room, size_t workers, struct fail *f)
{
	struct clients *c = xcalloc(1, sizeof *c);

	c->nworkers = workers;
	for (c->nplaces = CLIENTS_MIN; c->nplaces < 2 * room; c->nplaces *= 2)
		;
	c->size = c->nplaces * (sizeof *c->place + workers * sizeof *c->sessions);
	if (RAND_bytes(c->secret, sizeof c->secret) != 1) {
		fail(f, FAIL_SYS, "no random octets");
		free(c);
		return NULL;
	}
	c->place = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->place == MAP_FAILED) {
		fail_errno(f, "shared memory");
		free(c);
		return NULL;
	}
	c->sessions = (atomic_uint *)(c->place + c->nplaces);
	return c;
}

void
clients_free(struct clients *c)
{
	if (c == NULL)
		return;
	munmap(c->place, c->size);
	free(c);
}

/* Never 0. */
static uint64_t
key_of(const struct clients *c, const char *listener, int family, const void *addr)
{
	uint8_t text[16 + 1 + 8 + 64] = { 0 }, hash[SHA256_DIGEST_LENGTH];
	uint64_t key;

	memcpy(text, c->secret, 16);
	text[16] = family == AF_INET ? 4 : 6;
	memcpy(text + 17, addr, family == AF_INET ? 4 : 8);
	memcpy(text + 25, listener, strnlen(listener, 64));
	SHA256(text, sizeof text, hash);
	memcpy(&key, hash, sizeof key);
	return key != 0 ? key : 1;
}

static atomic_uint *
count_of(const struct clients *c, size_t slot, size_t worker)
{
	return &c->sessions[slot * c->nworkers + worker];
}

static unsigned
sessions_at(const struct clients *c, size_t slot)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < c->nworkers; i++)
		n += atomic_load_explicit(count_of(c, slot, i), memory_order_relaxed);
	return n;
}

/* When all that was done at the place is forgotten. */
static int64_t
spent_until(const struct place *p)
{
	int64_t until = 0, now;
	int i;

	for (i = 0; i < CLIENTS_RATES; i++)
		if ((now = atomic_load(&p->spent[i])) > until)
			until = now;
	return until;
}

/* The place to take: a free one, one that is forgotten, or the one forgotten next; none: nplaces. */
static size_t
choose(const struct clients *c, size_t first, int64_t now_us, uint64_t *key)
{
	int64_t best = INT64_MAX, until;
	size_t i, found = c->nplaces;

	for (i = first; i < first + CLIENTS_WAYS; i++) {
		uint64_t now = atomic_load(&c->place[i].key);

		if (now != 0 && sessions_at(c, i) > 0)
			continue;
		if ((until = now == 0 ? -1 : spent_until(&c->place[i])) < best) {
			best = until;
			found = i;
			*key = now;
		}
		if (until <= now_us)
			break;
	}
	return found;
}

static size_t
find(const struct clients *c, size_t first, uint64_t key)
{
	size_t i;

	for (i = first; i < first + CLIENTS_WAYS; i++)
		if (atomic_load(&c->place[i].key) == key)
			return i;
	return c->nplaces;
}

/* The client's place, taken where it has none; nplaces: all are in use. */
static size_t
take(struct clients *c, uint64_t key, int64_t now_us)
{
	size_t first = (size_t)key & (c->nplaces - 1) & ~(size_t)(CLIENTS_WAYS - 1), slot;
	uint64_t old = 0;
	int i;

	while ((slot = find(c, first, key)) == c->nplaces) {
		if ((slot = choose(c, first, now_us, &old)) == c->nplaces)
			break;
		if (!atomic_compare_exchange_strong(&c->place[slot].key, &old, key))
			continue;
		for (i = 0; i < CLIENTS_RATES; i++)
			atomic_store(&c->place[slot].spent[i], 0);
		break;
	}
	return slot;
}

int
clients_enter(struct clients *c, size_t worker, const char *listener, int family, const void *addr,
    int64_t now_us, struct clients_place *place)
{
	uint64_t key = key_of(c, listener, family, addr);
	size_t slot;

	place->key = 0;
	while ((slot = take(c, key, now_us)) != c->nplaces) {
		atomic_fetch_add(count_of(c, slot, worker), 1);
		/* Somebody may have taken it since. */
		if (atomic_load(&c->place[slot].key) == key) {
			place->key = key;
			place->slot = slot;
			return 1;
		}
		atomic_fetch_sub(count_of(c, slot, worker), 1);
	}
	return 0;
}

void
clients_leave(struct clients *c, size_t worker, struct clients_place *place)
{
	if (place->key != 0)
		atomic_fetch_sub(count_of(c, place->slot, worker), 1);
	place->key = 0;
}

unsigned
clients_sessions(const struct clients *c, const struct clients_place *place)
{
	return place->key != 0 ? sessions_at(c, place->slot) : 0;
}

int
clients_spend(struct clients *c, const struct clients_place *place, enum clients_rate rate, uint64_t n,
    uint32_t seconds, int64_t now_us)
{
	int64_t window = (int64_t)seconds * 1000000, step, old, next;

	if (place->key == 0 || n == 0)
		return 1;
	step = window / (int64_t)n > 0 ? window / (int64_t)n : 1;
	old = atomic_load(&c->place[place->slot].spent[rate]);
	do {
		next = (old > now_us ? old : now_us) + step;
		if (next - now_us > window)
			return 0;
	} while (!atomic_compare_exchange_weak(&c->place[place->slot].spent[rate], &old, next));
	return 1;
}

void
clients_forget(struct clients *c, size_t worker)
{
	size_t i;

	for (i = 0; i < c->nplaces; i++)
		if (atomic_load_explicit(&c->place[i].key, memory_order_relaxed) != 0)
			atomic_store(count_of(c, i, worker), 0);
}
