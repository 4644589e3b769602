/*
 * pace - for each name the time at which all that was done would have been done one by one (the generic cell rate
 * algorithm): as long as that is less than a span ahead, there is room.
 */
#include "pace.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "alloc.h"
#include "text.h"

#define BUCKETS 1024		/* a power of 2 */

struct entry {
	LIST_ENTRY(entry) bucket;
	int64_t done;		/* it is as new behind that time */
	char name[];
};

LIST_HEAD(entries, entry);

struct pace {
	struct entries bucket[BUCKETS];
	uint64_t seed;
	size_t n;
};

struct pace *
pace_new(uint64_t seed)
{
	struct pace *p = xcalloc(1, sizeof *p);

	p->seed = seed;
	return p;
}

static void
forget(struct pace *p, struct entry *e)
{
	LIST_REMOVE(e, bucket);
	p->n--;
	free(e);
}

/* Those that are as new; where that is not enough, those whose turn is near too. */
static void
sweep(struct pace *p, int64_t now)
{
	struct entry *e, *next;
	int64_t ahead;
	size_t i;

	for (ahead = 0; p->n >= PACE_NAMES_MAX; ahead = ahead * 2 + 1000000)
		for (i = 0; i < BUCKETS; i++)
			for (e = LIST_FIRST(&p->bucket[i]); e != NULL; e = next) {
				next = LIST_NEXT(e, bucket);
				if (e->done <= now + ahead)
					forget(p, e);
			}
}

void
pace_free(struct pace *p)
{
	struct entry *e, *next;
	size_t i;

	for (i = 0; p != NULL && i < BUCKETS; i++)
		for (e = LIST_FIRST(&p->bucket[i]); e != NULL; e = next) {
			next = LIST_NEXT(e, bucket);
			free(e);
		}
	free(p);
}

static struct entry *
get(struct pace *p, const char *name, int64_t now)
{
	size_t size = strlen(name) + 1;
	struct entries *list = &p->bucket[text_hash(p->seed, name) & (BUCKETS - 1)];
	struct entry *e;

	LIST_FOREACH(e, list, bucket)
		if (strcmp(e->name, name) == 0)
			return e;
	sweep(p, now);
	e = xcalloc(1, sizeof *e + size);
	memcpy(e->name, name, size);
	e->done = now;
	LIST_INSERT_HEAD(list, e, bucket);
	p->n++;
	return e;
}

int64_t
pace_take(struct pace *p, const char *name, uint32_t times, uint32_t span, int64_t now)
{
	struct entry *e = get(p, name, now);
	int64_t whole = (int64_t)span * 1000000, each = whole / times;

	if (each == 0)
		each = 1;
	if (e->done < now)
		e->done = now;
	/* A clock that was set back, or a rate that was another, keeps nobody waiting for longer than a span. */
	if (e->done > now + whole)
		e->done = now + whole;
	if (e->done + each > now + whole)
		return e->done + each - whole;
	e->done += each;
	return 0;
}
