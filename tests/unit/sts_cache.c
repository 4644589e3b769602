#include "sts_cache.h"

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include "alloc.h"
#include "file.h"
#include "unit.h"

#define NOW 1800000000

static char *dir;

static char *
in_dir(const char *name)
{
	return file_join(dir, name);
}

static void
write_text(const char *name, const char *text)
{
	char *path = in_dir(name);

	if (file_write(path, 0600, FILE_REPLACE, text, strlen(text), NULL) == -1)
		abort();
	free(path);
}

static int
is_there(const char *name)
{
	char *path = in_dir(name);
	int yes = access(path, F_OK) == 0;

	free(path);
	return yes;
}

static struct sts_cache *
open_or_abort(void)
{
	struct sts_cache *c = sts_cache_open(dir, NOW, NULL);

	if (c == NULL)
		abort();
	return c;
}

static void
entry(struct sts_entry *e, const char *id, enum sts_mode mode, uint32_t max_age, int64_t fetched)
{
	memset(e, 0, sizeof *e);
	snprintf(e->id, sizeof e->id, "%s", id);
	e->fetched = fetched;
	e->policy.mode = mode;
	e->policy.max_age = max_age;
	if (mode != STS_NONE && sts_policy_add_mx(&e->policy, "*.Example.org", 13, NULL) == -1)
		abort();
}

static void
put(struct sts_cache *c, const char *domain, enum sts_mode mode, uint32_t max_age, int64_t fetched)
{
	struct sts_entry e;
	struct fail f = FAIL_INIT;

	entry(&e, "1", mode, max_age, fetched);
	unit_int(sts_cache_put(c, domain, &e, &f), 0, "put %s %s", domain, f.text);
	sts_entry_clear(&e);
}

static int
get(const struct sts_cache *c, const char *domain, int64_t now, struct fail *f)
{
	struct sts_entry e;
	int rc = sts_cache_get(c, domain, now, &e, f);

	if (rc == 1)
		sts_entry_clear(&e);
	return rc;
}

static void
test_round(void)
{
	struct sts_cache *c = open_or_abort();
	struct sts_entry e;

	put(c, "example.org", STS_ENFORCE, 600, NOW);
	unit_int(sts_cache_get(c, "example.org", NOW, &e, NULL), 1, "it is there");
	unit_str(e.id, "1", "id");
	unit_int(e.fetched, NOW, "time");
	unit_int(e.policy.mode, STS_ENFORCE, "mode");
	unit_int(e.policy.max_age, 600, "max_age");
	unit_str(e.policy.nmx == 1 ? e.policy.mx[0] : NULL, "*.example.org", "pattern");
	sts_entry_clear(&e);
	put(c, "example.org", STS_NONE, 600, NOW + 1);
	unit_int(sts_cache_get(c, "example.org", NOW + 1, &e, NULL), 1, "replaced");
	unit_int(e.policy.mode, STS_NONE, "by mode none");
	sts_entry_clear(&e);
	put(c, "example.org", STS_TESTING, 0, NOW);
	unit_ok(!is_there("example.org"), "max_age 0 takes it away");
	sts_cache_free(c);
}

static void
test_age(void)
{
	static const struct {
		uint32_t max_age;
		int64_t fetched, now;
		int rc;
	} rows[] = {
		{ 600, NOW, NOW, 1 },
		{ 600, NOW, NOW + 599, 1 },
		{ 600, NOW, NOW + 600, 0 },
		{ STS_AGE_MAX, NOW, NOW + STS_AGE_MAX - 1, 1 },
		{ STS_AGE_MAX, NOW, NOW + STS_AGE_MAX, 0 },
		{ 600, NOW, NOW - 86400, 1 },	/* the clock went back a day */
		{ 600, NOW, NOW - 86401, 0 },
	};
	struct sts_cache *c = open_or_abort();
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put(c, "age.example", STS_ENFORCE, rows[i].max_age, rows[i].fetched);
		unit_int(get(c, "age.example", rows[i].now, NULL), rows[i].rc, "age %zu", i);
	}
	sts_cache_free(c);
}

/* What a domain's name could do to a path. */
static void
test_names(void)
{
	static const char *const bad[] = { "", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a..b", "-a.b",
		"a b", "A.example/../x", "[127.0.0.1]", "127.0.0.1", "*.example" };
	struct sts_cache *c = open_or_abort();
	struct sts_entry e;
	size_t i;
	char *path;

	entry(&e, "1", STS_ENFORCE, 600, NOW);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		unit_int(sts_cache_put(c, bad[i], &e, NULL), -1, "%s is not put", bad[i]);
		unit_int(get(c, bad[i], NOW, NULL), 0, "nor found");
	}
	sts_entry_clear(&e);
	put(c, "_under.score.example", STS_ENFORCE, 600, NOW);
	unit_int(get(c, "_under.score.example", NOW, NULL), 1, "underscores pass");
	path = in_dir("link.example");
	unit_int(symlink("/etc/passwd", path), 0, "a link to elsewhere");
	unit_int(get(c, "link.example", NOW, NULL), -1, "is no policy");
	put(c, "link.example", STS_ENFORCE, 600, NOW);
	unit_int(get(c, "link.example", NOW, NULL), 1, "and is replaced, not followed");
	free(path);
	sts_cache_free(c);
}

#define HEAD "domain d.example\nid 1\nfetched 2027-01-15T08:00:00Z\n"

/* The owner of a folder that others read decides what is in it, not what else is read. */
static void
test_links(void)
{
	struct sts_cache *c = open_or_abort(), *reader;
	char *path = in_dir("d.example"), *target = in_dir("kept.example"), *other = in_dir("../other");
	struct fail f = FAIL_INIT;

	write_text("kept.example", HEAD "max-age 600\nmode none\n");
	unit_int(symlink(target, path), 0, "a link to a policy");
	unit_int(get(c, "d.example", NOW, &f), -1, "is not followed");
	unit_ok(strstr(f.text, "d.example: a symbolic link") != NULL, "and told: %s", f.text);
	unit_int(unlink(path), 0, "removed");
	unit_int(rename(target, path), 0, "the policy itself");
	unit_int(get(c, "d.example", NOW, NULL), 1, "is read");
	unit_int(symlink(dir, other), 0, "a link to the folder");
	reader = sts_cache_read(other);
	unit_int(get(reader, "d.example", NOW, NULL), -1, "is not followed where it may be another's");
	sts_cache_free(reader);
	sts_cache_free(c);
	c = sts_cache_open(other, NOW, NULL);
	unit_int(c != NULL ? get(c, "d.example", NOW, NULL) : -1, 1, "but where it is ours");
	sts_cache_free(c);
	free(path);
	free(target);
	free(other);
}

static void
test_damage(void)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ HEAD "max-age 600\nmode enforce\nmx a.example\n", NULL },
		{ HEAD "max-age 600\nmode enforce\n", ": no mx" },
		{ HEAD "max-age 600\nmode enforced\nmx a.example\n", ":5: mode: expected enforce, testing or none" },
		{ HEAD "max-age 31557601\nmode none\n", ":4: max-age: " },
		{ HEAD "max-age 600\nmode none\nmx a..b\n", ":6: mx: " },
		{ HEAD "max-age 600\nmode none\nnew thing\n", ":6: " },
		{ HEAD "max-age 600\n", ": " },
		{ "domain other.example\nid 1\nfetched 2027-01-15T08:00:00Z\nmax-age 600\nmode none\n",
		    ": of another domain" },
		{ "", ": " },
	};
	struct sts_cache *c = open_or_abort();
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		char *path = in_dir("d.example");

		write_text("d.example", rows[i].text);
		unit_int(get(c, "d.example", NOW, &f), rows[i].error == NULL ? 1 : -1, "file %zu", i);
		if (rows[i].error != NULL)
			unit_ok(strncmp(f.text, path, strlen(path)) == 0 &&
			    (strncmp(f.text + strlen(path), rows[i].error, strlen(rows[i].error)) == 0 ||
			    strstr(f.text, rows[i].error) != NULL), "file %zu: says %s", i, f.text);
		free(path);
	}
	sts_cache_free(c);
}

static void
test_sweep(void)
{
	struct utimbuf old = { NOW - 3601, NOW - 3601 }, young = { NOW - 3599, NOW - 3599 };
	struct sts_cache *c = open_or_abort();
	char *path;

	put(c, "old.example", STS_ENFORCE, 600, NOW - 600);
	put(c, "good.example", STS_ENFORCE, 600, NOW - 599);
	write_text("notes", "of a user");
	write_text(".tmp-AAAAAA", "left");
	write_text(".tmp-BBBBBB", "being written");
	path = in_dir(".tmp-AAAAAA");
	utime(path, &old);
	free(path);
	path = in_dir(".tmp-BBBBBB");
	utime(path, &young);
	free(path);
	sts_cache_free(c);
	sts_cache_free(open_or_abort());
	unit_ok(!is_there("old.example"), "what has expired is removed");
	unit_ok(is_there("good.example"), "what holds stays");
	unit_ok(is_there("notes"), "what is none of ours stays");
	unit_ok(!is_there(".tmp-AAAAAA"), "what a dead process left is removed");
	unit_ok(is_there(".tmp-BBBBBB"), "what may be under way stays");
}

int
main(void)
{
	char template[] = "/tmp/sts_cache.XXXXXX";
	struct stat st;

	if (mkdtemp(template) == NULL)
		abort();
	dir = file_join(template, "cache");
	test_round();
	unit_ok(stat(dir, &st) == 0 && (st.st_mode & 07777) == 0700, "the folder is its owner's alone");
	test_age();
	test_names();
	test_links();
	test_damage();
	test_sweep();
	if (file_remove_tree(template, NULL) == -1)
		abort();
	free(dir);
	return unit_done();
}
