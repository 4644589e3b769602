/*
 * stat - how much there is, by the names of the files alone: a million of them are counted without one being
 * opened.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "json.h"
#include "relayq.h"
#include "text.h"

/* Messages for one destination in one folder; domain "": for several domains at once. */
struct count {
	enum spool_folder folder;
	char *domain;
	size_t n, due;		/* due: by now */
	int64_t oldest, next;	/* arrival of the oldest; when the next is due */
};

struct counts {
	struct count *v;
	size_t n, room;
};

static int
by_place(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return x->folder != y->folder ? (int)x->folder - (int)y->folder : strcmp(x->domain, y->domain);
}

static void
add(struct counts *c, enum spool_folder folder, const struct spool_name *n, int64_t now)
{
	struct count *one;

	if (c->n == c->room) {
		c->room = c->room > 0 ? c->room * 2 : 1024;
		c->v = xreallocarray(c->v, c->room, sizeof *c->v);
	}
	one = &c->v[c->n++];
	one->folder = folder;
	one->domain = xstrdup(n->domain);
	text_lower(one->domain);
	one->n = 1;
	one->due = n->due <= now;
	one->oldest = spool_id_time_us(n->id) / 1000000;
	one->next = n->due;
}

/* Sorted, those of one place become one. */
static void
merge(struct counts *c)
{
	size_t i, to = 0;

	if (c->n == 0)
		return;
	qsort(c->v, c->n, sizeof *c->v, by_place);
	for (i = 1; i < c->n; i++) {
		struct count *a = &c->v[to], *b = &c->v[i];

		if (by_place(a, b) != 0) {
			c->v[++to] = *b;
			continue;
		}
		a->n += b->n;
		a->due += b->due;
		a->oldest = b->oldest < a->oldest ? b->oldest : a->oldest;
		a->next = b->next < a->next ? b->next : a->next;
		free(b->domain);
	}
	c->n = to + 1;
}

#define MERGE_AT 100000	/* names kept before they are merged */

static int
count_folder(const struct spool *s, enum spool_folder folder, struct counts *c, int64_t now, struct fail *f)
{
	struct spool_scan scan;
	struct spool_name n;
	const char *file;

	if (spool_scan_open(&scan, s->dir[folder], f) == -1)
		return -1;
	while ((file = spool_scan_next(&scan, f)) != NULL) {
		if (spool_name_parse(file, &n) == -1) {
			memset(&n, 0, sizeof n);
			snprintf(n.id, sizeof n.id, "%.14s", spool_id_valid(file) ? file : "00000000000000");
		}
		add(c, folder, &n, now);
		if (c->n >= MERGE_AT && c->n == c->room)
			merge(c);
	}
	spool_scan_close(&scan);
	return f->kind != FAIL_NONE ? -1 : 0;
}

static void
print_line(const struct count *c)
{
	char oldest[TEXT_TIME_MAX], next[TEXT_TIME_MAX], *domain = text_escape(c->domain, strlen(c->domain));

	printf("%-5s %8zu %8zu %s %s %s\n", spool_folder_name(c->folder), c->n, c->due,
	    text_time(oldest, c->oldest), text_time(next, c->next), domain[0] != '\0' ? domain : "(several)");
	free(domain);
}

static int
print_json(const struct count *c, struct fail *f)
{
	json_t *o = json_object();
	int rc;

	json_set_str(o, "folder", spool_folder_name(c->folder));
	json_set_str(o, "domain", c->domain[0] != '\0' ? c->domain : NULL);
	json_set_int(o, "messages", (long long)c->n);
	json_set_int(o, "due", (long long)c->due);
	json_set_time(o, "oldest", c->oldest);
	json_set_time(o, "next", c->next);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

enum tool_exit
stat_spool(const struct spool *s, const struct settings *o, char **unused)
{
	static const enum spool_folder folders[] = { SPOOL_QUEUE, SPOOL_HOLD, SPOOL_BAD };
	struct counts c = { .v = NULL };
	struct fail f = FAIL_INIT;
	size_t i;
	int rc = 0;

	(void)unused;
	for (i = 0; rc == 0 && i < sizeof folders / sizeof folders[0]; i++)
		rc = count_folder(s, folders[i], &c, time(NULL), &f);
	merge(&c);
	if (rc == 0 && !o->json && c.n > 0)
		printf("%-5s %8s %8s %-20s %-20s %s\n", "", "messages", "due", "oldest", "next", "destination");
	for (i = 0; i < c.n; i++) {
		if (rc == 0 && o->json)
			rc = print_json(&c.v[i], &f);
		else if (rc == 0)
			print_line(&c.v[i]);
		free(c.v[i].domain);
	}
	free(c.v);
	return rc == 0 ? TOOL_YES : tool_failed(&f);
}
