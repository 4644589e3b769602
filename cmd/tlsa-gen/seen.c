/*
 * What --safe-to-deploy remembers between its runs, in DIR/tlsa-seen:
 *
 *	ttl OWNER SECONDS		the longest time to live seen of what lay there before
 *	first OWNER TIME RDATA		since when all servers have been found with this record
 *
 * A line is forgotten when the record is missing somewhere again, or KEEP_S after the time in it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "gen.h"
#include "table.h"

#define SEEN_FILE "tlsa-seen"
#define KEEP_S (400LL * 86400)
#define LOCK_S 10

struct entry {
	char *owner, *rdata;	/* rdata NULL: a line of ttl */
	int64_t value;
};

struct seen {
	char *path;
	int lock;
	struct entry *v;
	size_t n;
	struct fail fail;
};

static struct entry *
find(const struct seen *s, const char *owner, const char *rdata)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->v[i].owner, owner) == 0 &&
		    (rdata == NULL ? s->v[i].rdata == NULL
			: s->v[i].rdata != NULL && strcmp(s->v[i].rdata, rdata) == 0))
			return &s->v[i];
	return NULL;
}

static void
set(struct seen *s, const char *owner, const char *rdata, int64_t value)
{
	struct entry *e = find(s, owner, rdata);

	if (e == NULL) {
		s->v = xreallocarray(s->v, s->n + 1, sizeof *s->v);
		e = &s->v[s->n++];
		e->owner = xstrdup(owner);
		e->rdata = rdata != NULL ? xstrdup(rdata) : NULL;
	}
	e->value = value;
}

static int
take_ttl(void *ctx, const struct table_line *l, struct fail *f)
{
	long long n;

	if (text_number(l->v[1], 0, TTL_MAX, "time to live", &n, f) == -1)
		return -1;
	set(ctx, l->v[0], NULL, n);
	return 0;
}

static int
take_first(void *ctx, const struct table_line *l, struct fail *f)
{
	int64_t when;

	if (text_timestamp(l->v[1], "time", &when, f) == -1)
		return -1;
	set(ctx, l->v[0], l->v[2], when);
	return 0;
}

static const struct table_row rows[] = {
	{ "first", 3, 3, 0, take_first },
	{ "ttl", 2, 2, 0, take_ttl },
};

static void
on_error(void *arg, const char *file, unsigned line, const char *text)
{
	struct seen *s = arg;

	if (s->fail.kind == FAIL_NONE)
		fail(&s->fail, FAIL_INPUT, "%s:%u: %s", file, line, text);
}

static int
load(struct seen *s, struct fail *f)
{
	struct buf b = BUF_INIT;
	size_t errors = 0;

	if (access(s->path, F_OK) == -1)
		return 0;
	if (file_read_regular(s->path, 0, &b, f) == -1)
		return -1;
	if (b.len > 0)
		errors = table_parse(s->path, b.p, b.len, rows, sizeof rows / sizeof rows[0], s, on_error, s);
	buf_clear(&b);
	if (errors > 0)
		*f = s->fail;
	return errors > 0 ? -1 : 0;
}

struct seen *
seen_open(const char *dir, struct fail *f)
{
	struct seen *s = xcalloc(1, sizeof *s);

	s->path = file_join(dir, SEEN_FILE);
	s->lock = -1;
	if (file_mkdir(dir, 0755, f) == -1)
		goto fail;
	if ((s->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		fail_errno(f, "%.300s", dir);
		goto fail;
	}
	if (file_lock(s->lock, dir, LOCK_S, f) == -1 || load(s, f) == -1)
		goto fail;
	return s;
fail:
	seen_free(s);
	return NULL;
}

void
seen_free(struct seen *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++) {
		free(s->v[i].owner);
		free(s->v[i].rdata);
	}
	free(s->v);
	free(s->path);
	if (s->lock != -1)
		close(s->lock);
	free(s);
}

int64_t
seen_first(const struct seen *s, const char *owner, const char *rdata)
{
	const struct entry *e = find(s, owner, rdata);

	return e != NULL ? e->value : 0;
}

void
seen_set_first(struct seen *s, const char *owner, const char *rdata, int64_t when)
{
	set(s, owner, rdata, when);
}

void
seen_forget(struct seen *s, const char *owner, int (*is_gone)(void *, const char *), void *arg)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i].rdata != NULL && strcmp(s->v[i].owner, owner) == 0 && is_gone(arg, s->v[i].rdata))
			s->v[i].value = 0;
}

uint32_t
seen_ttl(const struct seen *s, const char *owner)
{
	const struct entry *e = find(s, owner, NULL);

	return e != NULL ? e->value : 0;
}

void
seen_set_ttl(struct seen *s, const char *owner, uint32_t ttl)
{
	set(s, owner, NULL, ttl);
}

int
seen_save(struct seen *s, struct fail *f)
{
	int64_t oldest = time(NULL) - KEEP_S;
	struct buf b = BUF_INIT;
	char word[TEXT_TIME_MAX];
	size_t i;
	int rc;

	buf_puts(&b, "# What `tlsa-gen --safe-to-deploy` has seen; it may be removed, and waits anew then.\n");
	for (i = 0; i < s->n; i++) {
		const struct entry *e = &s->v[i];

		if (e->rdata == NULL) {
			snprintf(word, sizeof word, "%lld", (long long)e->value);
			table_put(&b, "ttl", e->owner, word, (char *)NULL);
		} else if (e->value > oldest)
			table_put(&b, "first", e->owner, text_time(word, e->value), e->rdata, (char *)NULL);
	}
	rc = file_write(s->path, 0644, FILE_REPLACE, b.p, b.len, f);
	buf_clear(&b);
	return rc;
}
