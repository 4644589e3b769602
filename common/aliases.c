/*
 * The file is cut into entries, each with its value as text, sorted by name; a value is parsed when it is wanted,
 * and once at the start for its faults.  Both go through read_list(), which cuts the members apart and follows
 * :include:; what becomes of a member is the walk's to say.
 */
#include "aliases.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

struct entry {
	char *name;		/* in lower case */
	struct buf value;
	unsigned line;
	int broken;
	int open;		/* being expanded */
	unsigned done;		/* was expanded, in the expansion of that number; 0: not yet */
};

struct include {
	char *path;
	int open;
	unsigned done;		/* as in an entry */
};

struct aliases {
	char *file;
	struct entry *entry;
	size_t n;
	aliases_read_fn *read;
	struct include *include[ALIASES_INCLUDES_MAX];
	size_t nincludes;
	size_t depth;
	/* Of the walk under way: where its first fault is; NULL: none yet. */
	const char *fault_file;
	unsigned fault_line;
	/* Of the expansion under way. */
	unsigned number;
	address_list_fn *fn;
	void *arg;
};

/* A list of members, and what is done with each. */
struct walk {
	struct aliases *a;
	const struct entry *in;		/* whose members they are; NULL: the caller's own address */
	address_list_fn *member;	/* arg is the walk */
	const char *file;
	unsigned line;
};

struct report {
	table_error_fn *fn;
	void *arg;
	size_t errors;
};

static void
tell(struct report *r, const char *file, unsigned line, const char *text)
{
	if (r->fn != NULL && r->errors < TABLE_ERRORS_MAX)
		r->fn(r->arg, file, line, text);
	r->errors++;
}

/* ---- members ---- */

/* The innermost place counts: those around it only lead there. */
static int
fault_at(const struct walk *w)
{
	if (w->a->fault_file == NULL) {
		w->a->fault_file = w->file;
		w->a->fault_line = w->line;
	}
	return -1;
}

static int
check_member(void *arg, const struct address_list_item *item, struct fail *f)
{
	(void)arg;
	if (item->box.local[0] == '|')
		return fail(f, FAIL_INPUT, "a program is no address: none is run");
	if (item->box.local[0] == '/' && item->box.domain[0] == '\0')
		return fail(f, FAIL_INPUT, "a file is no address: none is written");
	return 0;
}

/* Up to a comma that is in no quotes and no comment. */
static size_t
member_length(const char *p, size_t n)
{
	size_t i, depth = 0;
	int quoted = 0;

	for (i = 0; i < n && (p[i] != ',' || quoted || depth > 0); i++) {
		if (p[i] == '\\' && i + 1 < n)
			i++;
		else if (p[i] == '"' && depth == 0)
			quoted = !quoted;
		else if (p[i] == '(' && !quoted)
			depth++;
		else if (p[i] == ')' && !quoted && depth > 0)
			depth--;
	}
	return i;
}

static void
trim(const char **p, size_t *n)
{
	for (; *n > 0 && strchr(" \t\r", **p) != NULL; ++*p)
		--*n;
	for (; *n > 0 && strchr(" \t\r", (*p)[*n - 1]) != NULL;)
		--*n;
}

/* ":include:/path", with quotes around all of it or none; the path on the heap; NULL: it is something else. */
static char *
included(const char *p, size_t n)
{
	static const char word[] = ":include:";

	if (n >= 2 && p[0] == '"' && p[n - 1] == '"') {
		p++;
		n -= 2;
	}
	if (n < sizeof word - 1 || strncasecmp(p, word, sizeof word - 1) != 0)
		return NULL;
	p += sizeof word - 1;
	n -= sizeof word - 1;
	trim(&p, &n);
	return xstrndup(p, n);
}

static int read_file(const struct walk *, const char *path, struct fail *);

static int
read_member(struct walk *w, const char *p, size_t n, struct fail *f)
{
	char *path = included(p, n);
	int rc;

	if (path != NULL)
		rc = read_file(w, path, f);
	else
		rc = address_list_parse(p, n, w->member, w, f);
	free(path);
	return rc == 0 ? 0 : fault_at(w);
}

/* The members of a line; *members counts them. */
static int
read_list(struct walk *w, const char *p, size_t n, size_t *members, struct fail *f)
{
	size_t len, used;
	const char *member;
	int rc = 0;

	for (used = 0; rc == 0 && used < n; used += len + 1) {
		size_t bare = len = member_length(p + used, n - used);

		member = p + used;
		trim(&member, &bare);
		if (bare == 0)
			continue;
		++*members;
		rc = read_member(w, member, bare, f);
	}
	return rc;
}

/* ---- files with more of them ---- */

static struct include *
find_include(struct aliases *a, const char *path, struct fail *f)
{
	struct include *i;
	size_t k;

	for (k = 0; k < a->nincludes; k++)
		if (strcmp(a->include[k]->path, path) == 0)
			return a->include[k];
	if (a->nincludes == ALIASES_INCLUDES_MAX) {
		fail(f, FAIL_INPUT, "more than %d files are included", ALIASES_INCLUDES_MAX);
		return NULL;
	}
	i = xcalloc(1, sizeof *i);
	i->path = xstrdup(path);
	return a->include[a->nincludes++] = i;
}

/* Each line is a list, but for comments. */
static int
read_lines(struct walk *w, const char *p, size_t n, struct fail *f)
{
	const char *end = p + n, *next;
	size_t members = 0;
	int rc = 0;

	for (; rc == 0 && p < end; p = next) {
		const char *lf = memchr(p, '\n', end - p);

		next = (lf != NULL ? lf : end) + 1;
		w->line++;
		if (p[0] != '#')
			rc = read_list(w, p, (lf != NULL ? lf : end) - p, &members, f);
	}
	return rc;
}

static int
read_file(const struct walk *above, const char *path, struct fail *f)
{
	struct aliases *a = above->a;
	struct walk w = *above;
	struct buf text = BUF_INIT;
	struct include *i;
	int rc;

	if (a->read == NULL || path[0] != '/')
		return fail(f, FAIL_INPUT, a->read == NULL ? "an :include: is not followed" :
		    "expected :include: and an absolute path");
	if ((i = find_include(a, path, f)) == NULL)
		return -1;
	if (i->open)
		return fail(f, FAIL_INPUT, "%.200s leads back to itself", path);
	if (i->done)
		return 0;
	if (a->depth >= ALIASES_DEPTH_MAX)
		return fail(f, FAIL_INPUT, "more than %d aliases of aliases", ALIASES_DEPTH_MAX);
	if (a->read(path, &text, f) == -1)
		return -1;
	w.file = i->path;
	w.line = 0;
	i->open = 1;
	a->depth++;
	rc = text.len > 0 ? read_lines(&w, text.p, text.len, f) : 0;
	a->depth--;
	i->open = 0;
	i->done = a->number;
	buf_clear(&text);
	return rc;
}

static void
close_includes(struct aliases *a)
{
	size_t i;

	for (i = 0; i < a->nincludes; i++)
		a->include[i]->open = a->include[i]->done = 0;
}

/* ---- lines ---- */

/* "name" or name, then a colon; *used: up to and with that. */
static char *
take_name(const char *s, size_t n, size_t *used, struct fail *f)
{
	int quoted = n > 0 && s[0] == '"';
	const char *stop = memchr(s + quoted, quoted ? '"' : ':', n - quoted);
	char *name;
	size_t len;

	if (stop == NULL) {
		fail(f, FAIL_INPUT, "expected \"name: address, ...\"");
		return NULL;
	}
	len = stop - s - quoted;
	while (len > 0 && !quoted && strchr(" \t", s[len - 1]) != NULL)
		len--;
	*used = stop - s + quoted;
	while (*used < n && strchr(" \t", s[*used]) != NULL)
		(*used)++;
	name = xstrndup(s + quoted, len);
	text_lower(name);
	if (*used < n && s[*used] == ':' && name[0] != '\0' && strlen(name) == len && strchr(name, '@') == NULL) {
		(*used)++;
		return name;
	}
	fail(f, FAIL_INPUT, "expected a local name and a colon");
	free(name);
	return NULL;
}

static void
add_line(struct aliases *a, const char *s, size_t n, unsigned line, struct report *r)
{
	struct fail f = FAIL_INIT;
	struct entry e = { .value = BUF_INIT, .line = line };
	size_t used;

	if ((e.name = take_name(s, n, &used, &f)) == NULL) {
		tell(r, a->file, line, f.text);
		return;
	}
	buf_add(&e.value, s + used, n - used);
	if ((a->n & (a->n - 1)) == 0)
		a->entry = xreallocarray(a->entry, a->n == 0 ? 1 : a->n * 2, sizeof *a->entry);
	a->entry[a->n++] = e;
}

static void
cut_lines(struct aliases *a, const char *text, size_t n, struct report *r)
{
	const char *p = text, *end = text + n, *next;
	struct buf whole = BUF_INIT;
	unsigned line = 0, first = 0;

	for (; p < end; p = next) {
		const char *lf = memchr(p, '\n', end - p);
		size_t len = (lf != NULL ? lf : end) - p;

		next = p + len + 1;
		line++;
		if (len > 0 && p[len - 1] == '\r')
			len--;
		if (len == 0 || p[0] == '#' || strspn(p, " \t") >= len)
			continue;
		if (p[0] != ' ' && p[0] != '\t') {
			if (whole.len > 0)
				add_line(a, whole.p, whole.len, first, r);
			whole.len = 0;
			first = line;
		} else if (whole.len == 0) {
			tell(r, a->file, line, "expected a name: no line stands above that this could go on with");
			continue;
		}
		buf_add(&whole, p, len);
	}
	if (whole.len > 0)
		add_line(a, whole.p, whole.len, first, r);
	buf_clear(&whole);
}

/* ---- the whole ---- */

static int
by_name(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	int c = strcmp(a->name, b->name);

	return c != 0 ? c : (a->line > b->line) - (a->line < b->line);
}

static int
by_line(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;

	return (a->line > b->line) - (a->line < b->line);
}

/* The first line of a name holds. */
static void
find_twins(struct aliases *a)
{
	size_t i;

	for (i = 1; i < a->n; i++)
		if (strcmp(a->entry[i].name, a->entry[i - 1].name) == 0)
			a->entry[i].done = 1;
}

/* What is included need not be there, and may not be read, where the file is only wanted for other names. */
static int
skip_file(const char *path, struct buf *text, struct fail *f)
{
	(void)path;
	(void)text;
	(void)f;
	return 0;
}

static int
check_value(struct aliases *a, const struct entry *e, int whole, struct fail *f)
{
	struct walk w = { .a = a, .in = e, .member = check_member, .file = a->file, .line = e->line };
	aliases_read_fn *reader = a->read;
	size_t members = 0;
	int rc;

	a->fault_file = NULL;
	if (reader != NULL && !whole)
		a->read = skip_file;
	rc = e->value.len > 0 ? read_list(&w, e->value.p, e->value.len, &members, f) : 0;
	a->read = reader;
	close_includes(a);
	if (rc == 0 && members == 0) {
		rc = fail(f, FAIL_INPUT, "expected an address behind the colon");
		fault_at(&w);
	}
	return rc;
}

static void
check_entries(struct aliases *a, struct report *r)
{
	struct fail f = FAIL_INIT;
	size_t i;

	if (a->n == 0)
		return;
	qsort(a->entry, a->n, sizeof *a->entry, by_name);
	find_twins(a);
	qsort(a->entry, a->n, sizeof *a->entry, by_line);
	for (i = 0; i < a->n; i++) {
		struct entry *e = &a->entry[i];

		if (e->done)
			tell(r, a->file, e->line, "a second line for this name");
		else if ((e->broken = check_value(a, e, r->fn != NULL, &f) != 0))
			tell(r, a->fault_file, a->fault_line, f.text);
		e->done = 0;
	}
	qsort(a->entry, a->n, sizeof *a->entry, by_name);
}

struct aliases *
aliases_parse(const char *file, const char *text, size_t n, aliases_read_fn *reader, table_error_fn *report,
    void *arg, size_t *errors)
{
	struct aliases *a = xcalloc(1, sizeof *a);
	struct report r = { .fn = report, .arg = arg };

	a->read = reader;
	a->number = 1;
	a->file = xstrdup(file);
	cut_lines(a, text, n, &r);
	check_entries(a, &r);
	*errors = r.errors;
	return a;
}

void
aliases_free(struct aliases *a)
{
	size_t i;

	if (a == NULL)
		return;
	for (i = 0; i < a->n; i++) {
		free(a->entry[i].name);
		buf_clear(&a->entry[i].value);
	}
	for (i = 0; i < a->nincludes; i++) {
		free(a->include[i]->path);
		free(a->include[i]);
	}
	free(a->entry);
	free(a->file);
	free(a);
}

size_t
aliases_count(const struct aliases *a)
{
	return a->n;
}

/* ---- expansion ---- */

#define FALLBACK "*"

/* The first of its name, which is in lower case. */
static struct entry *
find_exactly(const struct aliases *a, const char *name)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(a->entry[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < a->n && strcmp(a->entry[low].name, name) == 0 ? &a->entry[low] : NULL;
}

/* Somebody reads what these get (RFC 5321 4.5.1, RFC 2142 5). */
static const struct {
	const char *name, *reader;
} readers[] = { { "mailer-daemon", "postmaster" }, { "postmaster", "root" } };

static struct entry *
find(const struct aliases *a, const char *local)
{
	char *lower = xstrdup(local);
	const char *name = lower;
	struct entry *e;
	size_t i;

	text_lower(lower);
	e = find_exactly(a, name);
	for (i = 0; i < sizeof readers / sizeof readers[0] && e == NULL; i++)
		if (strcmp(name, readers[i].name) == 0)
			e = find_exactly(a, name = readers[i].reader);
	free(lower);
	return e;
}

static int open_entry(struct aliases *, struct entry *, struct fail *);

/* A name without a line is meant as it stands where it stands in the file. */
static int
on_member(void *arg, const struct address_list_item *item, struct fail *f)
{
	const struct walk *w = arg;
	struct aliases *a = w->a;
	struct entry *e = NULL;

	if (w->in != NULL && check_member(NULL, item, f) == -1)
		return -1;
	if (!item->literal && item->box.domain[0] == '\0' && (e = find(a, item->box.local)) == NULL && w->in == NULL)
		e = find_exactly(a, FALLBACK);
	if (e == NULL || e == w->in)
		return a->fn(a->arg, item, f);
	if (e->open)
		return fail(f, FAIL_INPUT, "alias %.64s leads back to itself", e->name);
	return e->done ? 0 : open_entry(a, e, f);
}

static int
open_entry(struct aliases *a, struct entry *e, struct fail *f)
{
	struct walk w = { .a = a, .in = e, .member = on_member, .file = a->file, .line = e->line };
	size_t members = 0;
	int rc;

	if (e->broken) {
		fail(f, FAIL_INPUT, "alias %.64s is at fault", e->name);
		return fault_at(&w);
	}
	if (a->depth >= ALIASES_DEPTH_MAX)
		return fail(f, FAIL_INPUT, "more than %d aliases of aliases", ALIASES_DEPTH_MAX);
	e->open = 1;
	a->depth++;
	rc = read_list(&w, e->value.p, e->value.len, &members, f);
	a->depth--;
	e->open = 0;
	e->done = a->number;
	return rc;
}

/* What this expansion has opened counts as not opened: others may lead there too. */
static void
close_again(struct aliases *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->entry[i].done == a->number)
			a->entry[i].done = 0;
	for (i = 0; i < a->nincludes; i++)
		if (a->include[i]->done == a->number)
			a->include[i]->done = 0;
}

int
aliases_expand(struct aliases *a, const struct address_list_item *item, address_list_fn *fn, void *arg,
    struct fail *f)
{
	struct walk top = { .a = a, .member = on_member };
	int rc;

	a->fn = fn;
	a->arg = arg;
	a->fault_file = NULL;
	a->number++;
	rc = on_member(&top, item, f);
	if (rc == -1)
		close_again(a);
	if (rc == -1 && a->fault_file != NULL)
		return fail_prefix(f, "%.200s:%u", a->fault_file, a->fault_line);
	return rc;
}
