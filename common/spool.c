/*
 * The folders, and the one rule behind them: "taken" is said only of a file that is whole and has its
 * name in queue/ on disk.
 *
 * A commit looks at each file first (is it a file, finished, of the size that its head says), makes all of
 * them durable, renames them, makes the names durable, and only then calls them taken.  Data before names:
 * what stands in queue/ after a crash is whole, so that damage there always means trouble with the disk.
 * What stands in new/ after a crash was never acknowledged and goes.
 *
 * One file or two are synced with fdatasync(2) each; more, all at once with one syncfs(2), which also
 * waits for what other programs wrote there.  A file added, a file named and the rename's other half
 * are three things to sync: the file, queue/, new/.
 *
 * Under load commits go in rounds: the sync that makes the names of one batch last is that of the next one's
 * data, so that a batch costs one sync and no message waits for more than two of them and the one it came into.
 *
 * The kernel reports a page that it could not write once and then takes it for clean.  So after a failed
 * sync nothing is synced again and called good: the batch is unlinked, and before the spool is well again
 * spool_probe() also unlinks the files still being written, of which a page may be lost as well.
 */
#include "spool.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"

#define PROBE ".probe"
#define MARKER "mtatls-spool"		/* in the spool's directory: it is ours */
#define MARKER_TEXT MARKER " 1\n"	/* what stands in it: the version of the folders */

static const char *const folders[SPOOL_FOLDERS] = {
	[SPOOL_NEW] = "new",
	[SPOOL_QUEUE] = "queue",
	[SPOOL_HOLD] = "hold",
	[SPOOL_BAD] = "bad",
	[SPOOL_RESULTS] = "results",
};

const char *
spool_folder_name(enum spool_folder folder)
{
	return folders[folder];
}

/* Nothing is changed that is right already, so that it works without root on one's own spool. */
static int
set_rights(int fd, uid_t uid, gid_t gid, mode_t mode, const char *what, struct fail *f)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail_errno(f, "%.300s", what);
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) == -1)
		return fail_errno(f, "%.300s: owner", what);
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) == -1)
		return fail_errno(f, "%.300s: mode", what);
	return 0;
}

static int
make_folder(int root, const char *name, mode_t mode, uid_t uid, gid_t gid, struct fail *f)
{
	int fd, rc;

	if (mkdirat(root, name, 0700) == -1 && errno != EEXIST)
		return fail_errno(f, "%s", name);
	fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return fail_errno(f, "%s", name);
	rc = set_rights(fd, uid, gid, mode, name, f);
	close(fd);
	return rc;
}

/* ---- is a directory ours? ---- */

enum marked { MARK_NONE, MARK_BEGUN, MARK_WHOLE };

/* An empty marker is one that a crash kept from being written; -1: of another version, or not readable. */
static int
read_marker(int root, struct fail *f)
{
	char text[sizeof MARKER_TEXT + 1];
	int fd = openat(root, MARKER, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd == -1 && errno == ENOENT)
		return MARK_NONE;
	if (fd == -1)
		return fail_errno(f, MARKER);
	n = read(fd, text, sizeof text);
	close(fd);
	if (n == 0)
		return MARK_BEGUN;
	if (n == sizeof MARKER_TEXT - 1 && memcmp(text, MARKER_TEXT, n) == 0)
		return MARK_WHOLE;
	return fail(f, FAIL_INPUT, MARKER ": expected \"" MARKER " 1\"");
}

static int
write_marker(int root, struct fail *f)
{
	int fd = openat(root, MARKER, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644), rc;

	if (fd == -1)
		return fail_errno(f, MARKER);
	if ((rc = file_put(fd, MARKER_TEXT, sizeof MARKER_TEXT - 1, MARKER, f)) == 0 && fsync(fd) == -1)
		rc = fail_errno(f, MARKER);
	if (close(fd) == -1 && rc == 0)
		rc = fail_errno(f, MARKER);
	return rc;
}

static const char *next_name(struct spool_scan *, struct fail *);

static int
is_own_name(enum spool_folder folder, const char *name)
{
	struct spool_name parsed;

	if (folder == SPOOL_BAD || strcmp(name, PROBE) == 0)
		return 1;
	if (folder == SPOOL_RESULTS && strcmp(name, SPOOL_KEY) == 0)
		return 1;
	return folder == SPOOL_NEW || folder == SPOOL_RESULTS ? spool_id_valid(name) : spool_name_parse(name, &parsed) == 0;
}

/* Only files named as we name them. */
static int
check_names(int root, enum spool_folder folder, struct fail *f)
{
	int fd = openat(root, folders[folder], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct fail why = FAIL_INIT;
	struct spool_scan scan;
	const char *name;

	if (fd == -1 || spool_scan_open(&scan, fd, NULL) == -1) {
		fail_errno(f, "%s", folders[folder]);
		if (fd != -1)
			close(fd);
		return -1;
	}
	while ((name = next_name(&scan, &why)) != NULL && is_own_name(folder, name))
		;
	if (name != NULL)
		fail(&why, FAIL_INPUT, "no spool of this relay: %s/%.200s is not a file of one",
		    folders[folder], name);
	spool_scan_close(&scan);
	close(fd);
	if (why.kind != FAIL_NONE && f != NULL)
		*f = why;
	return why.kind == FAIL_NONE ? 0 : -1;
}

/* A file system of its own has lost+found in its root. */
static int
check_entry(int root, const char *name, struct fail *f)
{
	int i;

	if (strcmp(name, "lost+found") == 0 || strcmp(name, MARKER) == 0 ||
	    strcmp(name, SPOOL_STS) == 0 || strcmp(name, SPOOL_NONE) == 0 || strcmp(name, SPOOL_ALERTS) == 0 ||
	    strcmp(name, SPOOL_REPORTS) == 0)
		return 0;
	for (i = 0; i < SPOOL_FOLDERS; i++)
		if (strcmp(name, folders[i]) == 0)
			return check_names(root, i, f);
	return fail(f, FAIL_INPUT, "no spool of this relay, and not empty: it has \"%.200s\"", name);
}

/* Without a marker it is new, or of a relay that wrote none: nothing that is not a spool's is in it. */
static int
check_unmarked(int root, struct fail *f)
{
	struct fail why = FAIL_INIT;
	struct spool_scan scan;
	const char *name;

	if (spool_scan_open(&scan, root, f) == -1)
		return -1;
	while ((name = next_name(&scan, &why)) != NULL && check_entry(root, name, &why) == 0)
		;
	spool_scan_close(&scan);
	if (why.kind != FAIL_NONE && f != NULL)
		*f = why;
	return why.kind == FAIL_NONE ? 0 : -1;
}

/* What the marker is, of a directory that is ours to use; else -1. */
static int
check_root(int root, struct fail *f)
{
	int mark = read_marker(root, f);

	if (mark == -1 || mark == MARK_WHOLE)
		return mark;
	return check_unmarked(root, f) == -1 ? -1 : mark;
}

static int
check_parent(const char *dir, struct fail *f)
{
	size_t n = strlen(dir);
	struct stat st;
	char *parent;
	int rc = 0;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	while (n > 0 && dir[n - 1] != '/')
		n--;
	parent = n > 0 ? xstrndup(dir, n) : xstrdup(".");
	if (stat(parent, &st) == -1)
		rc = fail_errno(f, "%.300s: its parent directory", dir);
	else if (!S_ISDIR(st.st_mode))
		rc = fail(f, FAIL_INPUT, "%.300s: its parent is not a directory", dir);
	free(parent);
	return rc;
}

int
spool_check(const char *dir, struct fail *f)
{
	int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, mark;
	struct stat st;

	if (root == -1)
		return errno == ENOENT && lstat(dir, &st) == -1 ? check_parent(dir, f) :
								  fail_errno(f, "%.300s", dir);
	mark = read_marker(root, f);
	if (mark == MARK_NONE || mark == MARK_BEGUN) {
		/* Who may not look into it learns nothing, and cannot start on it either. */
		fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1 ? errno != EACCES : check_unmarked(fd, f) == -1)
			mark = -1;
		if (fd != -1)
			close(fd);
	}
	close(root);
	return mark == -1 ? (fail_prefix(f, "%.300s", dir), -1) : 0;
}

/* One level only: a path with a slip in it is not to grow. */
static int
make_root(const char *dir, struct fail *f)
{
	char *parent;
	int rc;

	if (mkdir(dir, 0711) == -1)
		return errno == EEXIST ? 0 : fail_errno(f, "%.300s", dir);
	parent = xasprintf("%s/..", dir);
	rc = file_sync_dir(parent, f);
	free(parent);
	return rc;
}

static int
lock_root(int root, struct fail *f)
{
	if (flock(root, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return fail(f, FAIL_POLICY, "another process works on this spool");
	return fail_errno(f, "lock");
}

/* Nothing is another's then, and nobody is at work: only now rights are changed. */
static int
claim(int root, struct fail *f)
{
	int mark;

	if (lock_root(root, f) == -1)
		return -1;
	if ((mark = check_root(root, f)) == -1)
		return -1;
	return mark == MARK_WHOLE ? 0 : write_marker(root, f);
}

int
spool_make(const char *dir, uid_t writer, uid_t owner, gid_t owner_gid, struct fail *f)
{
	int root = -1, i, rc = -1;

	if (make_root(dir, f) == -1)
		return -1;
	if ((root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return fail_errno(f, "%.300s", dir);
	if (claim(root, f) == -1 || set_rights(root, owner, owner_gid, 0711, ".", f) == -1)
		goto out;
	for (i = 0; i < SPOOL_FOLDERS; i++)
		if (make_folder(root, folders[i], i == SPOOL_NEW ? 02770 : 0700,
		    i == SPOOL_NEW ? writer : owner, owner_gid, f) == -1)
			goto out;
	if (make_folder(root, SPOOL_STS, 0700, writer, owner_gid, f) == -1 ||
	    make_folder(root, SPOOL_NONE, 0500, owner, owner_gid, f) == -1 ||
	    make_folder(root, SPOOL_REPORTS, 0700, owner, owner_gid, f) == -1)
		goto out;
	if (fsync(root) == -1) {
		fail_errno(f, ".");
		goto out;
	}
	rc = 0;
out:
	if (rc == -1)
		fail_prefix(f, "%.300s", dir);
	close(root);
	return rc;
}

static int
open_folders(struct spool *s, struct fail *f)
{
	struct stat root, st;
	int i;

	if (fstat(s->root, &root) == -1)
		return fail_errno(f, ".");
	for (i = 0; i < SPOOL_FOLDERS; i++) {
		s->dir[i] = openat(s->root, folders[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* A spool that no relay of now has started on is read all the same. */
		if (s->dir[i] == -1 && errno == ENOENT && i == SPOOL_RESULTS)
			continue;
		if (s->dir[i] == -1 || fstat(s->dir[i], &st) == -1)
			return fail_errno(f, "%s", folders[i]);
		if (st.st_dev != root.st_dev)
			return fail(f, FAIL_INPUT, "%s: not on the file system of the spool", folders[i]);
	}
	return 0;
}

int
spool_open(struct spool *s, const char *dir, struct fail *f)
{
	*s = (struct spool)SPOOL_INIT;
	if ((s->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return fail_errno(f, "%.300s", dir);
	if (open_folders(s, f) == -1) {
		spool_close(s);
		return fail_prefix(f, "%.300s", dir), -1;
	}
	return 0;
}

void
spool_close(struct spool *s)
{
	int i;

	for (i = 0; i < SPOOL_FOLDERS; i++)
		if (s->dir[i] != -1)
			close(s->dir[i]);
	if (s->root != -1)
		close(s->root);
	*s = (struct spool)SPOOL_INIT;
}

int
spool_lock(struct spool *s, struct fail *f)
{
	return lock_root(s->root, f);
}

/* rename(2) that never replaces a file.  A file system without that gets a look before it: we are alone. */
static int
move_file(int from, const char *name, int to, const char *to_name)
{
	if (renameat2(from, name, to, to_name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (faccessat(to, to_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return errno == ENOENT ? renameat(from, name, to, to_name) : -1;
}

static int
sync_folder(struct spool *s, enum spool_folder folder, struct fail *f)
{
	s->syncs++;
	if (fsync(s->dir[folder]) == -1)
		return fail_errno(f, "sync of %s", folders[folder]);
	return 0;
}

/* First where the name came, then where it went: never neither. */
static int
sync_folders(struct spool *s, enum spool_folder to, enum spool_folder from, struct fail *f)
{
	if (sync_folder(s, to, f) == -1)
		return -1;
	return sync_folder(s, from, f);
}

static int
sync_file(struct spool *s, int fd, const char *id, struct fail *f)
{
	s->syncs++;
	if (fdatasync(fd) == -1)
		return fail_errno(f, "sync of %s", id);
	return 0;
}

static int
sync_all(struct spool *s, struct fail *f)
{
	s->syncs++;
	if (syncfs(s->root) == -1)
		return fail_errno(f, "sync of the spool");
	return 0;
}

void
spool_batch_add(struct spool_batch *b, const char *id, int64_t due, void *arg)
{
	struct spool_item *item;

	if (b->n == b->room) {
		b->room = b->room > 0 ? 2 * b->room : 16;
		b->item = xreallocarray(b->item, b->room, sizeof *b->item);
	}
	item = &b->item[b->n++];
	memset(item, 0, sizeof *item);
	item->arg = arg;
	item->msg.fd = -1;
	item->name.due = due;
	/* What is no ID stays empty, and is refused by the commit. */
	if (spool_id_valid(id))
		memcpy(item->name.id, id, SPOOL_ID_SIZE);
}

void
spool_batch_reset(struct spool_batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		spool_message_clear(&b->item[i].msg);
	b->n = 0;
}

void
spool_batch_clear(struct spool_batch *b)
{
	spool_batch_reset(b);
	free(b->item);
	*b = (struct spool_batch)SPOOL_BATCH_INIT;
}

int
spool_item_take(struct spool_item *item, struct spool_message *m)
{
	if (item->msg.fd == -1)
		return 0;
	*m = item->msg;
	item->msg = (struct spool_message){ .fd = -1 };
	return 1;
}

/* Removes the file of an item that is not taken, wherever it stands. */
static void
discard(struct spool *s, struct spool_item *item)
{
	char name[SPOOL_NAME_SIZE];

	spool_message_clear(&item->msg);
	if (item->name.id[0] == '\0')
		return;
	if (!item->moved) {
		unlinkat(s->dir[SPOOL_NEW], item->name.id, 0);
		return;
	}
	spool_name_format(name, &item->name);
	unlinkat(s->dir[SPOOL_QUEUE], name, 0);
	item->moved = 0;
}

/* A writer's file and nothing else: one name, no octet more or less than its head says. */
static int
check_file(const struct spool_message *m, struct fail *f)
{
	struct stat st;

	if (fstat(m->fd, &st) == -1)
		return fail_errno(f, "%s", m->env.id);
	if (st.st_nlink != 1)
		return fail(f, FAIL_INPUT, "%s: the file has %ju names", m->env.id, (uintmax_t)st.st_nlink);
	if (st.st_size != m->offset + m->size)
		return fail(f, FAIL_INPUT, "%s: %jd octets, expected %jd", m->env.id,
		    (intmax_t)st.st_size, (intmax_t)(m->offset + m->size));
	return 0;
}

/* How long a message is tried follows from both of these, and nobody but its writer has seen it arrive. */
static int
check_times(const struct spool_message *m, struct fail *f)
{
	int64_t id = spool_id_time_us(m->env.id) / 1000000;

	if (id > time(NULL) + SPOOL_AHEAD_S)
		return fail(f, FAIL_INPUT, "%s: the ID is of a time to come", m->env.id);
	if (m->env.arrived < id - SPOOL_ARRIVED_S || m->env.arrived > id + SPOOL_ARRIVED_S)
		return fail(f, FAIL_INPUT, "%s: it arrived at %jd, the ID is of %jd", m->env.id,
		    (intmax_t)m->env.arrived, (intmax_t)id);
	return 0;
}

#define ASIDE_TRIES 100

/* To bad/ under its own name, or with a number behind it where that is taken. */
static int
put_aside(struct spool *s, enum spool_folder from, const char *name, struct fail *f)
{
	char other[SPOOL_NAME_SIZE];
	int i;

	if (move_file(s->dir[from], name, s->dir[SPOOL_BAD], name) == 0)
		return 0;
	for (i = 1; errno == EEXIST && i <= ASIDE_TRIES; i++) {
		snprintf(other, sizeof other, "%.240s.%d", name, i);
		if (move_file(s->dir[from], name, s->dir[SPOOL_BAD], other) == 0)
			return 0;
	}
	return fail_errno(f, "%.200s: rename to bad", name);
}

/* No writer of ours leaves octets behind its message: a person may want to see them. */
static void
keep_overlong(struct spool *s, struct spool_item *item)
{
	struct fail why = item->fail, f = FAIL_INIT;

	if (put_aside(s, SPOOL_NEW, item->name.id, &f) == 0)
		fail(&item->fail, why.kind, "%.400s; set aside in %s", why.text, folders[SPOOL_BAD]);
}

/* Looks at an item's file and learns what its name in queue/ will be.  Keeps it open if asked. */
static int
examine(struct spool *s, struct spool_item *item, int keep)
{
	struct spool_message m;
	int rc;

	if (item->name.id[0] == '\0')
		return fail(&item->fail, FAIL_INPUT, "not a queue ID");
	if (item->name.due < 0 || item->name.due > SPOOL_DUE_MAX)
		return fail(&item->fail, FAIL_INPUT, "%s: no such due time", item->name.id);
	if (spool_read(s->dir[SPOOL_NEW], item->name.id, SPOOL_UNTRIED, &m, &item->fail) == -1)
		return -1;
	if ((rc = check_file(&m, &item->fail)) == 0 && (rc = check_times(&m, &item->fail)) == 0) {
		spool_name_domains(&item->name, &m.env);
		item->size = m.size;
		item->nrcpts = m.env.nrcpts;
		if (keep) {
			item->msg = m;
			return 0;
		}
	}
	if (rc == -1 && m.torn)
		keep_overlong(s, item);
	spool_message_clear(&m);
	return rc;
}

static size_t
examine_all(struct spool *s, struct spool_batch *b)
{
	size_t keep = b->n <= SPOOL_SYNC_EACH_MAX && s->keep < b->n ? b->n : s->keep;
	size_t i, good = 0;

	for (i = 0; i < b->n; i++)
		if (examine(s, &b->item[i], good < keep) == 0)
			good++;
	return good;
}

static void
rename_all(struct spool *s, struct spool_batch *b)
{
	char name[SPOOL_NAME_SIZE];
	size_t i;

	for (i = 0; i < b->n; i++) {
		struct spool_item *item = &b->item[i];

		if (item->fail.kind != FAIL_NONE)
			continue;
		spool_name_format(name, &item->name);
		if (move_file(s->dir[SPOOL_NEW], item->name.id, s->dir[SPOOL_QUEUE], name) == -1) {
			fail_errno(&item->fail, "%s: rename", item->name.id);
			continue;
		}
		item->moved = 1;
	}
}

static void
fail_batch(struct spool *s, struct spool_batch *b, const struct fail *why)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		discard(s, &b->item[i]);
		if (b->item[i].fail.kind == FAIL_NONE)
			b->item[i].fail = *why;
	}
}

static void
settle(struct spool *s, struct spool_batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->item[i].fail.kind == FAIL_NONE)
			b->item[i].ok = 1;
		else
			discard(s, &b->item[i]);
}

static size_t
count_moved(const struct spool_batch *b)
{
	size_t i, n = 0;

	for (i = 0; i < b->n; i++)
		n += b->item[i].moved != 0;
	return n;
}

static void
plan_data(struct spool_sync *y, const struct spool_batch *b)
{
	size_t i;

	y->all = b->n > SPOOL_SYNC_EACH_MAX;
	for (i = 0; !y->all && i < b->n; i++)
		if (b->item[i].msg.fd != -1)
			y->file[y->nfiles++] = &b->item[i];
}

/* The names of one batch, the data of the next: one sync of everything is both. */
static void
plan_sync(struct spool_sync *y, size_t moved, const struct spool_batch *next, size_t good)
{
	if (moved == 0 && good > 0)
		plan_data(y, next);
	else if (good > 0 || moved > SPOOL_SYNC_EACH_MAX)
		y->all = 1;
	else
		y->folders = moved > 0;
}

static void
say_sick(const struct spool *s, struct fail *f)
{
	errno = s->sick;
	fail_errno(f, "the spool takes nothing since a sync failed");
}

int
spool_round_begin(struct spool *s, const struct spool_batch *named, struct spool_batch *next, struct spool_sync *y)
{
	*y = (struct spool_sync){ .s = s, .fail = FAIL_INIT };
	if (s->sick != 0) {
		say_sick(s, &y->fail);
		return 0;
	}
	plan_sync(y, count_moved(named), next, examine_all(s, next));
	return y->all || y->folders || y->nfiles > 0;
}

void
spool_round_sync(struct spool_sync *y)
{
	size_t i;

	if (y->all)
		sync_all(y->s, &y->fail);
	else if (y->folders)
		sync_folders(y->s, SPOOL_QUEUE, SPOOL_NEW, &y->fail);
	for (i = 0; y->fail.kind == FAIL_NONE && i < y->nfiles; i++)
		sync_file(y->s, y->file[i]->msg.fd, y->file[i]->name.id, &y->fail);
}

int
spool_round_end(struct spool *s, struct spool_batch *named, struct spool_batch *next, const struct spool_sync *y,
    struct fail *f)
{
	struct fail why = y->fail;

	if (why.kind == FAIL_NONE && s->sick != 0)
		say_sick(s, &why);
	if (why.kind == FAIL_NONE) {
		settle(s, named);
		rename_all(s, next);
		return 0;
	}
	if (s->sick == 0)
		s->sick = why.err != 0 ? why.err : EIO;
	fail_batch(s, named, &why);
	fail_batch(s, next, &why);
	if (f != NULL)
		*f = why;
	return -1;
}

int
spool_batch_round(struct spool *s, struct spool_batch *named, struct spool_batch *next, struct fail *f)
{
	struct spool_sync y;

	if (spool_round_begin(s, named, next, &y))
		spool_round_sync(&y);
	return spool_round_end(s, named, next, &y, f);
}

ssize_t
spool_batch_commit(struct spool *s, struct spool_batch *b, struct fail *f)
{
	struct spool_batch none = SPOOL_BATCH_INIT;

	if (spool_batch_round(s, &none, b, f) == -1 || spool_batch_round(s, b, &none, f) == -1)
		return -1;
	return count_moved(b);
}

/* A directory descriptor of its own: the caller's keeps its position. */
int
spool_scan_open(struct spool_scan *scan, int dirfd, struct fail *f)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	scan->d = NULL;
	if (fd == -1) {
		fail_errno(f, "folder");
		return -1;
	}
	if ((scan->d = fdopendir(fd)) == NULL)
		alloc_failed();
	return 0;
}

static const char *
next_name(struct spool_scan *scan, struct fail *f)
{
	struct dirent *e;

	do {
		errno = 0;
		e = readdir(scan->d);
	} while (e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	if (e == NULL && errno != 0)
		fail_errno(f, "folder");
	return e != NULL ? e->d_name : NULL;
}

const char *
spool_scan_next(struct spool_scan *scan, struct fail *f)
{
	const char *name;

	while ((name = next_name(scan, f)) != NULL && name[0] == '.')
		;
	return name;
}

void
spool_scan_close(struct spool_scan *scan)
{
	if (scan->d != NULL)
		closedir(scan->d);
	scan->d = NULL;
}

/* A peer-facing process may have put a directory there; one with something in it does no harm. */
static int
remove_new(struct spool *s, const char *name, struct fail *f)
{
	int fd = s->dir[SPOOL_NEW];

	if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR && (unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOTEMPTY))
		return 0;
	return fail_errno(f, "new/%.200s", name);
}

static int
is_kept(const char *name, int64_t since_us)
{
	return since_us > 0 && spool_id_time_us(name) >= since_us;
}

static int
empty_new(struct spool *s, int64_t keep_since_us, size_t *removed, struct fail *f)
{
	struct fail why = FAIL_INIT;
	struct spool_scan scan;
	const char *name;

	if (spool_scan_open(&scan, s->dir[SPOOL_NEW], f) == -1)
		return -1;
	while ((name = next_name(&scan, &why)) != NULL) {
		/* What is not named as a writer names its files is not ours to remove. */
		if (!spool_id_valid(name) || is_kept(name, keep_since_us))
			continue;
		if (remove_new(s, name, &why) == -1)
			break;
		(*removed)++;
	}
	spool_scan_close(&scan);
	if (why.kind == FAIL_NONE)
		return 0;
	if (f != NULL)
		*f = why;
	return -1;
}

static int
write_probe(struct spool *s, struct fail *f)
{
	char block[4096];
	int fd, rc = -1;

	fd = openat(s->dir[SPOOL_NEW], PROBE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return fail_errno(f, "probe");
	memset(block, 'p', sizeof block);
	if (file_put(fd, block, sizeof block, "probe", f) == 0)
		rc = sync_file(s, fd, "probe", f);
	if (close(fd) == -1 && rc == 0)
		rc = fail_errno(f, "probe");
	return rc;
}

static void
remove_probe(struct spool *s)
{
	unlinkat(s->dir[SPOOL_NEW], PROBE, 0);
	unlinkat(s->dir[SPOOL_QUEUE], PROBE, 0);
}

static int
probe(struct spool *s, struct fail *f)
{
	if (write_probe(s, f) == -1)
		return -1;
	if (move_file(s->dir[SPOOL_NEW], PROBE, s->dir[SPOOL_QUEUE], PROBE) == -1)
		return fail_errno(f, "probe: rename");
	if (sync_folders(s, SPOOL_QUEUE, SPOOL_NEW, f) == -1)
		return -1;
	return sync_all(s, f);
}

int
spool_probe(struct spool *s, struct fail *f)
{
	size_t removed = 0;
	int rc;

	/* Takes the report of what is lost already; the files that it is about go next. */
	sync_all(s, NULL);
	if (empty_new(s, 0, &removed, f) == -1)
		return -1;
	remove_probe(s);
	rc = probe(s, f);
	remove_probe(s);
	if (rc == 0)
		s->sick = 0;
	return rc;
}

int
spool_reschedule(struct spool *s, enum spool_folder folder, const struct spool_name *from,
    const struct spool_name *to, struct fail *f)
{
	char old[SPOOL_NAME_SIZE], new[SPOOL_NAME_SIZE];

	spool_name_format(old, from);
	spool_name_format(new, to);
	if (strcmp(old, new) == 0)
		return 0;
	if (move_file(s->dir[folder], old, s->dir[folder], new) == -1)
		return fail_errno(f, "%s: rename", old);
	return 0;
}

/*
 * Outside of a round.  The kernel tells each descriptor of a fault once: what is heard here a round may wait for in vain, so
 * that it is no commit any more.
 */
static int
sync_now(struct spool *s, enum spool_folder to, enum spool_folder from, struct fail *f)
{
	struct fail why = FAIL_INIT;

	if (sync_folders(s, to, from, &why) == 0)
		return 0;
	s->sick = why.err != 0 ? why.err : EIO;
	if (f != NULL)
		*f = why;
	return -1;
}

int
spool_move(struct spool *s, enum spool_folder from, enum spool_folder to, const char *name,
    struct fail *f)
{
	if (move_file(s->dir[from], name, s->dir[to], name) == -1)
		return fail_errno(f, "%.200s: rename to %s", name, folders[to]);
	if (sync_now(s, to, from, f) == 0)
		return 0;
	/* A caller that is told of a failure goes by where the file was. */
	move_file(s->dir[to], name, s->dir[from], name);
	return -1;
}

int
spool_set_aside(struct spool *s, enum spool_folder from, const char *name, struct fail *f)
{
	if (put_aside(s, from, name, f) == -1)
		return -1;
	return sync_now(s, SPOOL_BAD, from, f);
}

int
spool_remove(struct spool *s, enum spool_folder folder, const char *name, struct fail *f)
{
	if (unlinkat(s->dir[folder], name, 0) == -1)
		return fail_errno(f, "%.200s: unlink", name);
	return 0;
}

struct recovery {
	spool_found_fn *fn;
	spool_left_fn *left;
	void *arg;
	struct spool_recovered *done;
	size_t aside;		/* of the folder at hand */
};

/* It is no message: neither it nor a disk too full for a name in bad/ may keep those that are waiting. */
static void
recover_stray(struct spool *s, enum spool_folder folder, const char *file, struct recovery *r)
{
	struct fail f = FAIL_INIT;

	if (put_aside(s, folder, file, &f) == 0) {
		r->aside++;
		return;
	}
	fail_prefix(&f, "left in %s", folders[folder]);
	r->done->left++;
	if (r->left != NULL)
		r->left(r->arg, &f);
}

static void
recover_name(struct spool *s, enum spool_folder folder, const char *file, struct recovery *r)
{
	struct spool_name name;

	if (spool_name_parse(file, &name) == -1) {
		recover_stray(s, folder, file, r);
		return;
	}
	if (folder == SPOOL_QUEUE)
		r->done->queued++;
	else
		r->done->held++;
	if (r->fn != NULL)
		r->fn(r->arg, folder, &name);
}

static int
recover_folder(struct spool *s, enum spool_folder folder, struct recovery *r, struct fail *f)
{
	struct fail why = FAIL_INIT;
	struct spool_scan scan;
	const char *file;

	r->aside = 0;
	if (spool_scan_open(&scan, s->dir[folder], f) == -1)
		return -1;
	while ((file = spool_scan_next(&scan, &why)) != NULL)
		recover_name(s, folder, file, r);
	spool_scan_close(&scan);
	r->done->set_aside += r->aside;
	if (why.kind == FAIL_NONE && r->aside > 0)
		sync_folders(s, SPOOL_BAD, folder, &why);
	if (why.kind == FAIL_NONE)
		return 0;
	if (f != NULL)
		*f = why;
	return -1;
}

int
spool_recover(struct spool *s, int64_t keep_since_us, spool_found_fn *fn, spool_left_fn *left, void *arg,
    struct spool_recovered *done, struct fail *f)
{
	struct recovery r = { .fn = fn, .left = left, .arg = arg, .done = done };

	memset(done, 0, sizeof *done);
	remove_probe(s);
	if (empty_new(s, keep_since_us, &done->removed, f) == -1)
		return -1;
	if (recover_folder(s, SPOOL_QUEUE, &r, f) == -1)
		return -1;
	return recover_folder(s, SPOOL_HOLD, &r, f);
}
