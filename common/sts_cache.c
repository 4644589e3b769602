#include "sts_cache.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "name.h"
#include "table.h"
#include "text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FILE_MAX (4 * STS_POLICY_MAX)	/* octets: the text of a policy, written in words of ours */
#define LEFTOVER_S 3600			/* seconds, the age of a temporary file that nobody writes any more */
#define CLOCK_SLACK 86400		/* seconds that a file may come from the future */

struct sts_cache {
	char *dir;
	int writable;
	size_t n;	/* files; only whoever writes counts them */
};

void
sts_entry_clear(struct sts_entry *e)
{
	sts_policy_clear(&e->policy);
	memset(e, 0, sizeof *e);
}

/* ---- a file ---- */

struct reading {
	struct sts_entry *e;
	char *domain;
};

static int
set_domain(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	(void)f;
	r->domain = xstrdup(l->v[0]);
	return 0;
}

static int
set_id(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	size_t n = strlen(l->v[0]);

	if (n == 0 || n > STS_ID_MAX)
		return fail(f, FAIL_INPUT, "id: expected 1 to %d characters", STS_ID_MAX);
	memcpy(r->e->id, l->v[0], n + 1);
	return 0;
}

static int
set_fetched(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	return text_timestamp(l->v[0], "fetched", &r->e->fetched, f);
}

static int
set_max_age(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	long long n;

	if (text_number(l->v[0], 0, STS_AGE_MAX, "max-age", &n, f) == -1)
		return -1;
	r->e->policy.max_age = (uint32_t)n;
	return 0;
}

static int
set_mode(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	if (sts_mode_parse(l->v[0], &r->e->policy.mode) == -1)
		return fail(f, FAIL_INPUT, "mode: expected enforce, testing or none");
	return 0;
}

static int
set_mx(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	return sts_policy_add_mx(&r->e->policy, l->v[0], strlen(l->v[0]), f);
}

static const struct table_row rows[] = {
	{ "domain", 1, 1, TABLE_ONCE | TABLE_REQUIRED, set_domain },
	{ "id", 1, 1, TABLE_ONCE | TABLE_REQUIRED, set_id },
	{ "fetched", 1, 1, TABLE_ONCE | TABLE_REQUIRED, set_fetched },
	{ "max-age", 1, 1, TABLE_ONCE | TABLE_REQUIRED, set_max_age },
	{ "mode", 1, 1, TABLE_ONCE | TABLE_REQUIRED, set_mode },
	{ "mx", 1, 1, 0, set_mx },
};

static int
parse(const char *path, const struct buf *b, const char *domain, struct sts_entry *e, struct fail *f)
{
	struct reading r = { .e = e };
	struct fail why = FAIL_INIT;
	int rc = -1;

	memset(e, 0, sizeof *e);
	if (table_parse(path, b->p, b->len, rows, COUNT(rows), &r, table_first_error, &why) > 0)
		fail(f, FAIL_INPUT, "%s", why.text);
	else if (strcmp(r.domain, domain) != 0)
		fail(f, FAIL_INPUT, "%.300s: of another domain", path);
	else if (e->policy.nmx == 0 && e->policy.mode != STS_NONE)
		fail(f, FAIL_INPUT, "%.300s: no mx", path);
	else
		rc = 0;
	if (rc == -1)
		sts_entry_clear(e);
	free(r.domain);
	return rc;
}

static void
print(struct buf *b, const char *domain, const struct sts_entry *e)
{
	char time[TEXT_TIME_MAX], age[24];
	size_t i;

	snprintf(age, sizeof age, "%u", e->policy.max_age);
	table_put(b, "domain", domain, (char *)NULL);
	table_put(b, "id", e->id, (char *)NULL);
	table_put(b, "fetched", text_time(time, e->fetched), (char *)NULL);
	table_put(b, "max-age", age, (char *)NULL);
	table_put(b, "mode", sts_mode_name(e->policy.mode), (char *)NULL);
	for (i = 0; i < e->policy.nmx; i++)
		table_put(b, "mx", e->policy.mx[i], (char *)NULL);
}

static int
has_expired(const struct sts_entry *e, int64_t now)
{
	return now >= e->fetched + (int64_t)e->policy.max_age || now < e->fetched - CLOCK_SLACK;
}

/* ---- the folder ---- */

/* A domain is a file's name as it is: letters, digits, hyphens, dots and underscores, no dot in front. */
static char *
path_of(const struct sts_cache *c, const char *domain)
{
	return name_is_host(domain, NAME_UNDERSCORE) ? file_join(c->dir, domain) : NULL;
}

/*
 * The file itself, in the folder itself: another user's folder is read by root too, and its owner is not to choose what
 * else root reads.  The folder is opened each time: a descriptor from before a chroot(2) would lead out of it.
 */
static int
read_file(const struct sts_cache *c, const char *domain, const char *path, struct buf *b, struct fail *f)
{
	int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC | (c->writable ? 0 : O_NOFOLLOW)), rc;

	if (dir == -1)
		return fail_errno(f, "%.300s", c->dir);
	rc = file_read_at(dir, domain, path, FILE_MAX, b, f);
	close(dir);
	return rc;
}

/* 1, 0: there is none, or -1. */
static int
read_entry(const struct sts_cache *c, const char *domain, struct sts_entry *out, struct fail *f)
{
	char *path = path_of(c, domain);
	struct fail why = FAIL_INIT;
	struct buf b = BUF_INIT;
	int rc = 0;

	if (path == NULL)
		return 0;
	if (read_file(c, domain, path, &b, &why) == -1) {
		if (why.err != ENOENT)
			rc = fail(f, why.kind, "%s", why.text);
	} else
		rc = parse(path, &b, domain, out, f) == -1 ? -1 : 1;
	buf_clear(&b);
	free(path);
	return rc;
}

int
sts_cache_get(const struct sts_cache *c, const char *domain, int64_t now, struct sts_entry *out,
    struct fail *f)
{
	int rc = read_entry(c, domain, out, f);

	if (rc == 1 && has_expired(out, now)) {
		sts_entry_clear(out);
		return 0;
	}
	return rc;
}

int
sts_cache_put(struct sts_cache *c, const char *domain, const struct sts_entry *e, struct fail *f)
{
	char *path = path_of(c, domain);
	struct buf b = BUF_INIT;
	int rc = -1, there;

	if (path == NULL)
		return fail(f, FAIL_INPUT, "not the name of a domain");
	there = access(path, F_OK) == 0;
	if (e->policy.max_age == 0) {
		rc = !there || unlink(path) == 0 ? 0 : fail_errno(f, "%.300s", path);
		c->n -= there && rc == 0;
	} else if (!there && c->n >= STS_CACHE_MAX)
		fail(f, FAIL_POLICY, "%.300s: full with %d domains", c->dir, STS_CACHE_MAX);
	else {
		print(&b, domain, e);
		rc = file_write(path, 0600, FILE_REPLACE, b.p, b.len, f);
		c->n += !there && rc == 0;
	}
	buf_clear(&b);
	free(path);
	return rc;
}

/* What was under way when a process died; others' files of now are younger. */
static int
is_leftover(int dir, const char *name, int64_t now)
{
	struct stat st;

	return strncmp(name, ".tmp-", 5) == 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_mtime < now - LEFTOVER_S;
}

/* A policy that no longer holds.  What cannot be read as one may be a user's: it stays. */
static int
is_old(const struct sts_cache *c, const char *name, int64_t now)
{
	struct sts_entry e;
	int old;

	if (read_entry(c, name, &e, NULL) != 1)
		return 0;
	old = has_expired(&e, now);
	sts_entry_clear(&e);
	return old;
}

static int
sweep(struct sts_cache *c, int64_t now, struct fail *f)
{
	struct dirent *e;
	DIR *d = opendir(c->dir);

	if (d == NULL)
		return fail_errno(f, "%.300s", c->dir);
	while ((e = readdir(d)) != NULL)
		if (is_leftover(dirfd(d), e->d_name, now) || is_old(c, e->d_name, now))
			unlinkat(dirfd(d), e->d_name, 0);
		else
			c->n += e->d_name[0] != '.';
	closedir(d);
	return 0;
}

static struct sts_cache *
cache_new(const char *dir, int writable)
{
	struct sts_cache *c = xcalloc(1, sizeof *c);

	c->dir = xstrdup(dir);
	c->writable = writable;
	return c;
}

struct sts_cache *
sts_cache_open(const char *dir, int64_t now, struct fail *f)
{
	struct sts_cache *c = cache_new(dir, 1);

	if ((mkdir(dir, 0700) == -1 && errno != EEXIST) || access(dir, W_OK | X_OK) == -1)
		fail_errno(f, "%.300s", dir);
	else if (sweep(c, now, f) == 0)
		return c;
	sts_cache_free(c);
	return NULL;
}

struct sts_cache *
sts_cache_read(const char *dir)
{
	return cache_new(dir, 0);
}

int
sts_cache_is_writable(const struct sts_cache *c)
{
	return c->writable;
}

void
sts_cache_free(struct sts_cache *c)
{
	if (c == NULL)
		return;
	free(c->dir);
	free(c);
}
