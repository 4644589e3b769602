/*
 * The lines stand in a ring in the order of their turns; a new one goes to its end, one that was served likewise, and
 * one that is empty is freed.
 */
#include "turns.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct place {
	struct place *next, *before;
	void *item;
};

struct line {
	struct line *next;
	char *client;
	struct place *first, *last;
	size_t n;
};

struct turns {
	size_t room, n;
	struct line *first, **end;
};

struct turns *
turns_new(size_t room)
{
	struct turns *t = xcalloc(1, sizeof *t);

	t->room = room;
	t->end = &t->first;
	return t;
}

static void
line_free(struct line *l)
{
	struct place *p, *next;

	for (p = l->first; p != NULL; p = next) {
		next = p->next;
		free(p);
	}
	free(l->client);
	free(l);
}

void
turns_free(struct turns *t)
{
	struct line *l, *next;

	for (l = t != NULL ? t->first : NULL; l != NULL; l = next) {
		next = l->next;
		line_free(l);
	}
	free(t);
}

static void
append(struct turns *t, struct line *l)
{
	l->next = NULL;
	*t->end = l;
	t->end = &l->next;
}

static void
unlink_line(struct turns *t, struct line *l)
{
	struct line **at = &t->first;

	while (*at != l)
		at = &(*at)->next;
	if ((*at = l->next) == NULL)
		t->end = at;
}

static struct line *
find(const struct turns *t, const char *client)
{
	struct line *l = t->first;

	while (l != NULL && strcmp(l->client, client) != 0)
		l = l->next;
	return l;
}

static struct line *
longest(const struct turns *t)
{
	struct line *l, *most = t->first;

	for (l = t->first; l != NULL; l = l->next)
		if (l->n > most->n)
			most = l;
	return most;
}

static void
put_last(struct turns *t, struct line *l, void *item)
{
	struct place *p = xcalloc(1, sizeof *p);

	p->item = item;
	p->before = l->last;
	if (l->last != NULL)
		l->last->next = p;
	else
		l->first = p;
	l->last = p;
	l->n++;
	t->n++;
}

/* Of a line that stays longer than one. */
static void *
take_last(struct turns *t, struct line *l)
{
	struct place *p = l->last;
	void *item = p->item;

	l->last = p->before;
	l->last->next = NULL;
	l->n--;
	t->n--;
	free(p);
	return item;
}

static void *
take_first(struct turns *t, struct line *l)
{
	struct place *p = l->first;
	void *item = p->item;

	if ((l->first = p->next) != NULL)
		l->first->before = NULL;
	else
		l->last = NULL;
	l->n--;
	t->n--;
	free(p);
	return item;
}

void *
turns_add(struct turns *t, const char *client, void *item)
{
	struct line *l = find(t, client), *most = longest(t);
	void *out = NULL;

	if (t->n >= t->room) {
		if (most == NULL || most->n <= (l != NULL ? l->n : 0) + 1)
			return item;
		out = take_last(t, most);
	}
	if (l == NULL) {
		l = xcalloc(1, sizeof *l);
		l->client = xstrdup(client);
		append(t, l);
	}
	put_last(t, l, item);
	return out;
}

void *
turns_next(struct turns *t)
{
	struct line *l = t->first;
	void *item;

	if (l == NULL)
		return NULL;
	unlink_line(t, l);
	item = take_first(t, l);
	if (l->n > 0)
		append(t, l);
	else
		line_free(l);
	return item;
}

size_t
turns_waiting(const struct turns *t)
{
	return t->n;
}
