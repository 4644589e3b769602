#include "passwd.h"

#include <sys/stat.h>

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "text.h"

#define METHOD "$y$"	/* yescrypt, crypt(5) */
#define LOCK_S 10	/* so long one writer waits for another */

struct user {
	char *name, *hash;
	unsigned line;		/* of the file */
};

struct passwd_db {
	struct user *v;		/* sorted by name once read */
	size_t n, room;
	char *decoy;		/* a hash of the same cost, of nobody's password */
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct user *)a)->name, ((const struct user *)b)->name);
}

static int
by_name_and_line(const void *a, const void *b)
{
	const struct user *u = a, *v = b;
	int order = by_name(a, b);

	return order != 0 ? order : (u->line > v->line) - (u->line < v->line);
}

static const struct user *
find(const struct passwd_db *db, const char *name)
{
	struct user key = { .name = (char *)name };

	return db->n > 0 ? bsearch(&key, db->v, db->n, sizeof *db->v, by_name) : NULL;
}

static int
check_user(const char *name, struct fail *f)
{
	if (name[0] == '\0' || strlen(name) > PASSWD_USER_MAX || text_utf8_chars(name) == -1)
		return fail(f, FAIL_INPUT, "expected a user's name of 1 to %d octets of UTF-8", PASSWD_USER_MAX);
	return 0;
}

/* crypt(5): a method that is known here; "*" and "!" are nobody's password, and say so on purpose. */
static int
check_hash(const char *hash, struct fail *f)
{
	if (hash[0] == '*' || hash[0] == '!')
		return 0;
	if (hash[0] != '$' || strlen(hash) >= PASSWD_HASH_MAX || crypt_checksalt(hash) == CRYPT_SALT_INVALID)
		return fail(f, FAIL_INPUT, "expected a hash of crypt(5), such as " METHOD "...");
	return 0;
}

static int
take_user(void *ctx, const struct table_line *l, struct fail *f)
{
	struct passwd_db *db = ctx;

	if (check_user(l->key, f) == -1 || check_hash(l->v[0], f) == -1)
		return -1;
	if (db->n == db->room) {
		db->room = db->room > 0 ? db->room * 2 : 64;
		db->v = xreallocarray(db->v, db->room, sizeof *db->v);
	}
	db->v[db->n++] = (struct user){ .name = xstrdup(l->key), .hash = xstrdup(l->v[0]),
		.line = l->line };
	return 0;
}

static const struct table_row rows[] = { { NULL, 1, 1, 0, take_user } };

/* The sort leaves two of a name side by side. */
static size_t
tell_doubles(const char *path, const struct passwd_db *db, table_error_fn *report, void *arg)
{
	size_t i, n = 0;

	for (i = 1; i < db->n; i++)
		if (strcmp(db->v[i - 1].name, db->v[i].name) == 0) {
			char *text = xasprintf("user \"%.100s\" has two lines", db->v[i].name);

			if (report != NULL)
				report(arg, path, db->v[i].line, text);
			free(text);
			n++;
		}
	return n;
}

struct passwd_db *
passwd_read(const char *path, table_error_fn *report, void *arg, struct fail *f)
{
	struct passwd_db *db;
	struct buf text = BUF_INIT;
	char hash[PASSWD_HASH_MAX];
	size_t errors;

	if (file_read_regular(path, PASSWD_FILE_MAX, &text, f) == -1)
		return NULL;
	db = xcalloc(1, sizeof *db);
	errors = table_parse(path, text.p != NULL ? text.p : "", text.len, rows, 1, db, report, arg);
	buf_wipe(&text);
	if (db->n > 0)
		qsort(db->v, db->n, sizeof *db->v, by_name_and_line);
	errors += tell_doubles(path, db, report, arg);
	if (errors > 0)
		fail(f, FAIL_INPUT, "%.300s: %zu error%s", path, errors, errors == 1 ? "" : "s");
	else if (passwd_hash("nobody's", hash, f) == 0)
		db->decoy = xstrdup(hash);
	if (db->decoy == NULL) {
		passwd_free(db);
		return NULL;
	}
	return db;
}

void
passwd_free(struct passwd_db *db)
{
	size_t i;

	if (db == NULL)
		return;
	for (i = 0; i < db->n; i++) {
		free(db->v[i].name);
		text_wipe(db->v[i].hash);
	}
	free(db->v);
	free(db->decoy);
	free(db);
}

size_t
passwd_count(const struct passwd_db *db)
{
	return db->n;
}

/* Equal, in a time that does not depend on where they differ. */
static int
same(const char *a, const char *b)
{
	size_t n = strlen(a), i;
	unsigned char diff = 0;

	if (strlen(b) != n)
		return 0;
	for (i = 0; i < n; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

int
passwd_check(const struct passwd_db *db, const char *name, const char *password)
{
	const struct user *u = find(db, name);
	struct crypt_data *data = xcalloc(1, sizeof *data);
	const char *setting = u != NULL && u->hash[0] == '$' ? u->hash : db->decoy;
	const char *got = crypt_r(password, setting, data);
	int yes = got != NULL && u != NULL && setting == u->hash && same(got, u->hash);

	explicit_bzero(data, sizeof *data);
	free(data);
	return yes;
}

int
passwd_hash(const char *password, char hash[PASSWD_HASH_MAX], struct fail *f)
{
	struct crypt_data *data;
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *got = NULL;		/* within data */
	int rc = -1;

	if (password[0] == '\0' || strlen(password) > PASSWD_PASSWORD_MAX)
		return fail(f, FAIL_INPUT, "expected a password of 1 to %d octets", PASSWD_PASSWORD_MAX);
	data = xcalloc(1, sizeof *data);
	if (crypt_gensalt_rn(METHOD, 0, NULL, 0, salt, sizeof salt) != NULL)
		got = crypt_r(password, salt, data);
	if (got == NULL || got[0] == '*' || strlen(got) >= PASSWD_HASH_MAX)
		fail_errno(f, "crypt");
	else {
		memcpy(hash, got, strlen(got) + 1);
		rc = 0;
	}
	explicit_bzero(data, sizeof *data);
	free(data);
	return rc;
}

/* ---- changes ---- */

/* The file's lines but the user's, comments and all. */
static int
copy_others(const struct buf *text, const char *user, struct buf *to)
{
	const char *p = text->p, *end = p + text->len, *eol;
	int had = 0;

	for (; p < end; p = eol) {
		char *line, *v[2];

		eol = memchr(p, '\n', end - p);
		eol = eol != NULL ? eol + 1 : end;
		line = xstrndup(p, eol - p);
		line[strcspn(line, "\r\n")] = '\0';
		if (table_split(line, v, 2, NULL) >= 1 && strcmp(v[0], user) == 0)
			had = 1;
		else {
			buf_add(to, p, eol - p);
			if (eol[-1] != '\n')
				buf_putc(to, '\n');
		}
		free(line);
	}
	return had;
}

static void
put_line(struct buf *b, const char *user, const char *hash)
{
	struct buf line = BUF_INIT;

	table_put_word(&line, user, strlen(user));
	table_put_word(&line, hash, strlen(hash));
	buf_drop(&line, 1);	/* each word comes with a space before it */
	buf_printf(b, "%s\n", line.p);
	buf_wipe(&line);
}

static int
read_sound(const char *path, struct buf *text, struct fail *f)
{
	struct passwd_db *db;

	if (access(path, F_OK) == -1 && errno == ENOENT)
		return 0;
	if ((db = passwd_read(path, NULL, NULL, f)) == NULL)
		return -1;
	passwd_free(db);
	return file_read_regular(path, PASSWD_FILE_MAX, text, f);
}

/* The directory of the file is what writers wait at: the file itself is replaced. */
static int
lock_beside(const char *path, struct fail *f)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? xstrdup(".") : slash == path ? xstrdup("/") : xstrndup(path, slash - path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		fail_errno(f, "%.300s", dir);
	else if (file_lock(fd, dir, LOCK_S, f) == -1) {
		close(fd);
		fd = -1;
	}
	free(dir);
	return fd;
}

static int
write_anew(const char *path, const char *user, const char *hash, int *had, struct fail *f)
{
	struct buf old = BUF_INIT, text = BUF_INIT;
	int rc = -1;

	if (read_sound(path, &old, f) == 0) {
		*had = old.len > 0 ? copy_others(&old, user, &text) : 0;
		if (hash != NULL)
			put_line(&text, user, hash);
		rc = file_write(path, 0600, FILE_REPLACE, text.p != NULL ? text.p : "", text.len, f);
	}
	buf_wipe(&old);
	buf_wipe(&text);
	return rc;
}

int
passwd_set(const char *path, const char *user, const char *hash, int *had, struct fail *f)
{
	int lock, rc;

	*had = 0;
	if (check_user(user, f) == -1 || (lock = lock_beside(path, f)) == -1)
		return -1;
	rc = write_anew(path, user, hash, had, f);
	close(lock);
	return rc;
}
