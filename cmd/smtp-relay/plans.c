#include "plans.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "alloc.h"
#include "text.h"

#define BUCKETS 8192		/* a power of 2 */

struct entry {
	TAILQ_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) age;
	char *domain, *port, *text;
	size_t len;
	int64_t since, until;
};

TAILQ_HEAD(entries, entry);

struct plans {
	struct entries bucket[BUCKETS];
	struct entries age;		/* the eldest first, which need not end first */
	uint64_t seed;
	size_t n, octets;
};

struct plans *
plans_new(uint64_t seed)
{
	struct plans *p = xcalloc(1, sizeof *p);
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&p->bucket[i]);
	TAILQ_INIT(&p->age);
	p->seed = seed;
	return p;
}

static struct entries *
bucket_of(struct plans *p, const char *domain)
{
	return &p->bucket[text_hash(p->seed, domain) & (BUCKETS - 1)];
}

static void
forget(struct plans *p, struct entry *e)
{
	TAILQ_REMOVE(bucket_of(p, e->domain), e, bucket);
	TAILQ_REMOVE(&p->age, e, age);
	p->n--;
	p->octets -= e->len;
	free(e->domain);
	free(e->port);
	free(e->text);
	free(e);
}

static void
forget_until(struct plans *p, int64_t now)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&p->age)) != NULL &&
	    (e->until <= now || p->n > PLANS_MAX || p->octets > PLANS_OCTETS))
		forget(p, e);
}

static struct entry *
find(struct plans *p, const char *domain)
{
	struct entry *e;

	TAILQ_FOREACH(e, bucket_of(p, domain), bucket)
		if (strcmp(e->domain, domain) == 0)
			return e;
	return NULL;
}

int
plans_find(struct plans *p, const char *domain, int64_t now, struct plan_kept *out)
{
	struct entry *e;

	forget_until(p, now);
	if ((e = find(p, domain)) == NULL)
		return 0;
	if (e->until <= now) {
		forget(p, e);
		return 0;
	}
	*out = (struct plan_kept){ .port = e->port, .text = e->text, .len = e->len };
	return 1;
}

void
plans_keep(struct plans *p, const char *domain, const char *port, const char *text, size_t len,
    int64_t ttl, int64_t now)
{
	struct entry *e = find(p, domain);

	if (e != NULL)
		forget(p, e);
	e = xcalloc(1, sizeof *e);
	e->domain = xstrdup(domain);
	e->port = xstrdup(port);
	e->text = xmemdup(text, len);
	e->len = len;
	e->since = now;
	e->until = now + (ttl < PLANS_LEAST_S ? PLANS_LEAST_S : ttl > PLANS_MOST_S ? PLANS_MOST_S : ttl);
	TAILQ_INSERT_HEAD(bucket_of(p, domain), e, bucket);
	TAILQ_INSERT_TAIL(&p->age, e, age);
	p->n++;
	p->octets += len;
	forget_until(p, now);
}

void
plans_doubt(struct plans *p, const char *domain, int64_t now)
{
	struct entry *e = find(p, domain);

	if (e != NULL && e->since + PLANS_LEAST_S <= now)
		forget(p, e);
	else if (e != NULL)
		e->until = e->since + PLANS_LEAST_S;
}

size_t
plans_count(const struct plans *p)
{
	return p->n;
}

void
plans_free(struct plans *p)
{
	if (p == NULL)
		return;
	plans_forget(p);
	free(p);
}

void
plans_forget(struct plans *p)
{
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&p->age); e != NULL; e = next) {
		next = TAILQ_NEXT(e, age);
		forget(p, e);
	}
}
