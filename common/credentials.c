#include "credentials.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "name.h"
#include "table.h"
#include "text.h"

struct credentials {
	struct credential *v;
	size_t n;
};

void
credentials_free(struct credentials *c)
{
	size_t i;

	for (i = 0; c != NULL && i < c->n; i++) {
		free(c->v[i].name);
		free(c->v[i].user);
		text_wipe(c->v[i].password);
	}
	if (c != NULL)
		free(c->v);
	free(c);
}

const struct credential *
credentials_find(const struct credentials *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->v[i].name, name) == 0)
			return &c->v[i];
	return NULL;
}

static int
check_word(const char *what, const char *word, struct fail *f)
{
	if (word[0] != '\0' && strlen(word) <= CREDENTIALS_WORD_MAX)
		return 0;
	return fail(f, FAIL_INPUT, "expected a %s of 1 to %d octets", what, CREDENTIALS_WORD_MAX);
}

static int
take_line(void *ctx, const struct table_line *l, struct fail *f)
{
	struct credentials *c = ctx;

	if (name_check_identity(l->key, f) == -1)
		return fail(f, FAIL_INPUT, "its first word is no name");
	if (credentials_find(c, l->key) != NULL)
		return fail(f, FAIL_INPUT, "a second line for \"%.200s\"", l->key);
	if (check_word("user", l->v[0], f) == -1 || check_word("password", l->v[1], f) == -1)
		return -1;
	c->v = xreallocarray(c->v, c->n + 1, sizeof *c->v);
	c->v[c->n++] = (struct credential){ .name = xstrdup(l->key), .user = xstrdup(l->v[0]),
		.password = xstrdup(l->v[1]) };
	return 0;
}

/* The table's own words may repeat what stands in the line. */
static void
keep_first(void *arg, const char *file, unsigned line, const char *text)
{
	unsigned *first = arg;

	(void)file;
	(void)text;
	if (*first == 0)
		*first = line;
}

struct credentials *
credentials_parse(const char *path, const char *text, size_t len, struct fail *f)
{
	static const struct table_row rows[] = { { NULL, 2, 2, 0, take_line } };
	struct credentials *c = xcalloc(1, sizeof *c);
	unsigned first = 0;

	if (table_parse(path, text, len, rows, 1, c, keep_first, &first) == 0)
		return c;
	fail(f, FAIL_INPUT, "%.300s:%u: expected NAME USER PASSWORD, each NAME once, an odd octet written %%XX", path,
	    first);
	credentials_free(c);
	return NULL;
}

static int
check_file(int fd, const char *path, struct fail *f)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail_errno(f, "%.300s", path);
	if (!S_ISREG(st.st_mode))
		return fail(f, FAIL_INPUT, "%.300s: not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fail(f, FAIL_POLICY, "%.300s: it has passwords, and must belong to root%s", path,
		    geteuid() != 0 ? " or to who starts this" : "");
	if ((st.st_mode & 07777 & ~0640U) != 0)
		return fail(f, FAIL_POLICY, "%.300s: mode must be 0600 or 0640, not 0%o", path,
		    (unsigned)st.st_mode & 07777);
	return 0;
}

static int
read_all(int fd, const char *path, struct buf *b, struct fail *f)
{
	static char piece[4096];
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read(fd, piece, sizeof piece)) != 0)
		if (n == -1 && errno != EINTR)
			rc = fail_errno(f, "%.300s", path);
		else if (n > 0 && b->len + n > CREDENTIALS_FILE_MAX)
			rc = fail(f, FAIL_INPUT, "%.300s: more than %d octets", path, CREDENTIALS_FILE_MAX);
		else if (n > 0)
			buf_add(b, piece, n);
	explicit_bzero(piece, sizeof piece);
	return rc;
}

struct credentials *
credentials_read(const char *path, struct fail *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct credentials *c = NULL;
	struct buf text = BUF_INIT;

	if (fd == -1) {
		fail_errno(f, "%.300s", path);
		return NULL;
	}
	if (check_file(fd, path, f) == 0 && read_all(fd, path, &text, f) == 0)
		c = credentials_parse(path, text.p != NULL ? text.p : "", text.len, f);
	buf_wipe(&text);
	close(fd);
	return c;
}

void
credentials_print(struct buf *b, const struct credentials *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		table_put(b, c->v[i].name, c->v[i].user, c->v[i].password, (char *)NULL);
}
