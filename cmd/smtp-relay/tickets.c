#include "tickets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "alloc.h"

struct ticket {
	TAILQ_ENTRY(ticket) entry;
	uint64_t hash;			/* of the key: most others are told apart by it */
	char *key;
	SSL_SESSION *session;
	int64_t shaken;
};

TAILQ_HEAD(list, ticket);

struct tickets {
	struct list all;		/* the newest first */
	size_t n;
};

struct tickets *
tickets_new(void)
{
	struct tickets *t = xcalloc(1, sizeof *t);

	TAILQ_INIT(&t->all);
	return t;
}

static void
drop(struct tickets *t, struct ticket *k)
{
	TAILQ_REMOVE(&t->all, k, entry);
	t->n--;
	SSL_SESSION_free(k->session);
	free(k->key);
	free(k);
}

void
tickets_free(struct tickets *t)
{
	struct ticket *k, *next;

	if (t == NULL)
		return;
	for (k = TAILQ_FIRST(&t->all); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		drop(t, k);
	}
	free(t);
}

static uint64_t
hash_of(const char *key)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3ULL;
	return h;
}

static int
is_of(const struct ticket *k, uint64_t hash, const char *key)
{
	return k->hash == hash && strcmp(k->key, key) == 0;
}

void
tickets_put(struct tickets *t, const char *key, SSL_SESSION *session, int64_t shaken)
{
	struct ticket *k = xcalloc(1, sizeof *k), *last = NULL, *at;
	size_t n = 0;

	k->hash = hash_of(key);
	k->key = xstrdup(key);
	k->session = session;
	k->shaken = shaken;
	TAILQ_INSERT_HEAD(&t->all, k, entry);
	t->n++;
	TAILQ_FOREACH(at, &t->all, entry)
		if (is_of(at, k->hash, key)) {
			n++;
			last = at;
		}
	if (n > TICKETS_EACH)
		drop(t, last);
	if (t->n > TICKETS_MAX)
		drop(t, TAILQ_LAST(&t->all, list));
}

SSL_SESSION *
tickets_take(struct tickets *t, const char *key, int64_t now, int64_t *shaken)
{
	uint64_t hash = hash_of(key);
	SSL_SESSION *session = NULL;
	struct ticket *k, *next;

	for (k = TAILQ_FIRST(&t->all); k != NULL && session == NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		if (k->shaken + TICKETS_S > now && is_of(k, hash, key)) {
			session = k->session;
			k->session = NULL;
			*shaken = k->shaken;
		}
		if (k->shaken + TICKETS_S <= now || k->session == NULL)
			drop(t, k);
	}
	return session;
}

void
tickets_forget(struct tickets *t, const char *key)
{
	uint64_t hash = hash_of(key);
	struct ticket *k, *next;

	for (k = TAILQ_FIRST(&t->all); k != NULL; k = next) {
		next = TAILQ_NEXT(k, entry);
		if (is_of(k, hash, key))
			drop(t, k);
	}
}

size_t
tickets_count(const struct tickets *t)
{
	return t->n;
}
