/*
 * A change: lock, make the folders, write folder N+1 whole, swap the link, prune.  What was made is
 * undone in the opposite order where a step fails.  Roll-back and renaming are changes whose files
 * come from a version that is there.  A folder has its number only while it is whole: it is written
 * as NEW and removed as GONE, so whoever is killed leaves no half of a version under a number.
 */
#include "version.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "text.h"

#define VERSIONS ".versions"
#define NEW ".new"		/* in a home: the version that is being written */
#define GONE ".gone"		/* the one that is being removed */
#define SWEEP_MAX 64		/* homes without a name that one change removes */
#define LOCK_TRIES 100
#define NUMBER_MAX (INT_MAX - 1)

/* A change under way. */
struct change {
	const char *root, *name;
	char *link;		/* ROOT/NAME */
	char *home;		/* ROOT/.versions/NAME */
	char *folder;		/* the new version in it */
	char *target;		/* the new version as the link will show it */
	char *old;		/* the version that the link shows; NULL: none */
	char *made;		/* the top-most folder that was not there before; NULL: all were */
	int fresh;		/* under the lock there was nothing of the name */
	unsigned long keep;	/* the number of the version to keep beside the new one; 0: none */
	int lock;
};

/* ---- links and numbers ---- */

/* What the link shows, as it stands there; NULL: there is no link. */
static char *
read_link(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target - 1);

	return n > 0 ? xstrndup(target, n) : NULL;
}

char *
version_current(const char *root, const char *name)
{
	char *path = file_join(root, name), *target = read_link(path);

	free(path);
	return target;
}

char *
version_folder(const char *root, const char *name, const char *version)
{
	if (version != NULL && version[0] == '/')
		return xstrdup(version);
	return file_join(root, version != NULL ? version : name);
}

/* The number of a version's folder; 0: it is none. */
static unsigned long
number_of(const char *s)
{
	long long n;

	return text_number(s, 1, NUMBER_MAX, "version", &n, NULL) == 0 ? (unsigned long)n : 0;
}

/* The number of the version that a link shows; 0: not one of ours. */
static unsigned long
number_shown(const char *target)
{
	const char *slash = target != NULL ? strrchr(target, '/') : NULL;

	return slash != NULL ? number_of(slash + 1) : 0;
}

/* The number of the version that an entry of a home is; 0: none, as whatever is no folder itself. */
static unsigned long
number_at(DIR *home, const char *entry)
{
	unsigned long n = number_of(entry);
	struct stat st;

	if (n == 0 || fstatat(dirfd(home), entry, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	return S_ISDIR(st.st_mode) ? n : 0;
}

/* The highest number in the home below a bound; 0: none. */
static int
highest_below(const char *home, unsigned long bound, unsigned long *highest, struct fail *f)
{
	struct dirent *e;
	unsigned long n;
	DIR *d;

	*highest = 0;
	if ((d = opendir(home)) == NULL)
		return fail_errno(f, "%.300s", home);
	while ((e = readdir(d)) != NULL)
		if ((n = number_at(d, e->d_name)) > *highest && n < bound)
			*highest = n;
	closedir(d);
	return 0;
}

char *
version_before(const char *root, const char *name)
{
	char *current = version_current(root, name), *home = xasprintf("%s/%s/%s", root, VERSIONS, name);
	unsigned long shown = number_shown(current), before = 0;
	char *version = NULL;

	if (shown > 0 && highest_below(home, shown, &before, NULL) == 0 && before > 0)
		version = xasprintf("%s/%s/%lu", VERSIONS, name, before);
	free(home);
	free(current);
	return version;
}

/* ---- folders and the lock ---- */

/* Without the last component; "." where there is but one. */
static char *
parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, slash - path);
}

static char *
first_missing(const char *path)
{
	char *here = xstrdup(path), *missing = NULL;
	struct stat st;

	while (stat(here, &st) == -1 && errno == ENOENT) {
		free(missing);
		missing = here;
		here = parent(missing);
		if (strcmp(here, missing) == 0)
			break;
	}
	free(here);
	return missing;
}

/* Whoever may read certificates may pass through the folders; keys have their own mode. */
static int
make_folder(const char *path, struct fail *f)
{
	struct stat st;
	int there = stat(path, &st) == 0;

	if (file_mkdir(path, 0755, f) == -1)
		return -1;
	if (!there && chmod(path, 0755) == -1)
		return fail_errno(f, "%.300s", path);
	return 0;
}

/* What the lock is on. */
static int
make_root(struct change *c, struct fail *f)
{
	char *dir = parent(c->root);
	int rc;

	if (c->made == NULL)
		c->made = first_missing(c->home);
	rc = make_folder(dir, f) == 0 && make_folder(c->root, f) == 0 ? 0 : -1;
	free(dir);
	return rc;
}

/* Behind the lock: whoever undoes or removes something has it too. */
static int
make_home(struct change *c, struct fail *f)
{
	char *versions = parent(c->home);
	int rc = make_folder(versions, f) == 0 && make_folder(c->home, f) == 0 ? 0 : -1;

	free(versions);
	return rc;
}

/* Keys are neither written nor removed through a link that somebody put in a folder's place. */
static int
check_folder(const char *path, struct fail *f)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : fail_errno(f, "%.300s", path);
	return S_ISDIR(st.st_mode) ? 0 : fail(f, FAIL_INPUT, "%.300s: expected a folder", path);
}

static int
check_home(const struct change *c, struct fail *f)
{
	char *versions = parent(c->home);
	int rc = check_folder(versions, f) == 0 ? check_folder(c->home, f) : -1;

	free(versions);
	return rc;
}

/* Is the folder that is locked the one that has the name? */
static int
is_locked(const struct change *c)
{
	struct stat locked, named;

	return fstat(c->lock, &locked) == 0 && stat(c->root, &named) == 0 &&
	    locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

/*
 * The lock is on the folder itself, so that there is no lock file to leave behind; it ends with the
 * process.  Waits for another writer, but not for ever: whoever can read the folder can hold it.  The
 * one before may have removed the folder that it had made: then once more.
 */
static int
lock_root(struct change *c, int make, struct fail *f)
{
	struct fail why = FAIL_INIT;
	int tries;

	for (tries = 0; tries < LOCK_TRIES; tries++) {
		if (make && make_root(c, &why) == -1) {
			/* One of the folders above was removed before the next was made. */
			if (why.err == ENOENT && tries + 1 < LOCK_TRIES)
				continue;
			if (f != NULL)
				*f = why;
			return -1;
		}
		if ((c->lock = open(c->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
			if (errno == ENOENT && make)
				continue;
			return fail_errno(f, "%.300s", c->root);
		}
		if (file_lock(c->lock, c->root, VERSION_LOCK_S, f) == -1) {
			/* Whoever has it uses the folders. */
			free(c->made);
			c->made = NULL;
			return -1;
		}
		if (is_locked(c))
			return check_home(c, f);
		close(c->lock);
		c->lock = -1;
	}
	return fail(f, FAIL_SYS, "%.300s: removed by another process each time that it was locked", c->root);
}

/* ---- a change ---- */

static void
change_init(struct change *c, const char *root, const char *name)
{
	*c = (struct change){ .root = root, .name = name, .lock = -1 };
	c->link = file_join(root, name);
	c->home = xasprintf("%s/%s/%s", root, VERSIONS, name);
}

static void
change_clear(struct change *c)
{
	if (c->lock != -1)
		close(c->lock);
	free(c->link);
	free(c->home);
	free(c->folder);
	free(c->target);
	free(c->old);
	free(c->made);
}

/* Notes the version that the name has now.  *there: is the name taken? */
static int
look(struct change *c, int *there, struct fail *f)
{
	struct stat st;

	*there = 0;
	if (lstat(c->link, &st) == -1)
		return errno == ENOENT ? 0 : fail_errno(f, "%.300s", c->link);
	*there = 1;
	if (!S_ISLNK(st.st_mode))
		return 0;
	c->old = read_link(c->link);
	return 0;
}

static int
look_for_link(struct change *c, struct fail *f)
{
	int there;

	if (look(c, &there, f) == -1)
		return -1;
	if (!there)
		return fail(f, FAIL_INPUT, "%.300s: there is no such name", c->link);
	if (c->old == NULL)
		return fail(f, FAIL_INPUT,
		    "%.300s: expected a symbolic link, which only these tools make", c->link);
	return 0;
}

static int
changed_meanwhile(const struct change *c, struct fail *f)
{
	return fail(f, FAIL_POLICY,
	    "%.300s: another process changed it at the same time; nothing was done", c->link);
}

/* May the name be taken? */
static int
check_taken(struct change *c, unsigned flags, const char *was, struct fail *f)
{
	int there;

	if (look(c, &there, f) == -1)
		return -1;
	if (was != NULL && (c->old == NULL || strcmp(c->old, was) != 0))
		return changed_meanwhile(c, f);
	if (!there) {
		c->fresh = 1;
		return 0;
	}
	if (!(flags & VERSION_REPLACE))
		return fail(f, FAIL_POLICY, "%.300s: exists already", c->link);
	return c->old != NULL ? 0 : look_for_link(c, f);
}

/* Out of the way first, then file by file; what cannot be removed stays whole. */
static void
discard(const char *home, const char *entry)
{
	char *path = file_join(home, entry), *gone = file_join(home, GONE);

	file_remove_tree(gone, NULL);
	if (rename(path, gone) == 0)
		file_remove_tree(gone, NULL);
	free(gone);
	free(path);
}

/* What somebody who was killed had written, but not yet shown, is no version to go back to. */
static void
discard_unseen(const struct change *c)
{
	unsigned long shown = number_shown(c->old), n;
	struct dirent *e;
	DIR *d;

	if ((d = opendir(c->home)) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if ((n = number_at(d, e->d_name)) > shown && n != c->keep)
			discard(c->home, e->d_name);
	closedir(d);
}

/* Numbers only grow: one that a crash left behind is not used again. */
static int
choose_number(struct change *c, struct fail *f)
{
	unsigned long highest;

	if (highest_below(c->home, NUMBER_MAX, &highest, f) == -1)
		return -1;
	discard_unseen(c);
	c->target = xasprintf("%s/%s/%lu", VERSIONS, c->name, highest + 1);
	c->folder = file_join(c->root, c->target);
	return 0;
}

static int
choose_kept(struct change *c, unsigned flags, struct fail *f)
{
	c->keep = number_shown(c->old);
	if (!(flags & VERSION_AMEND) || c->keep == 0)
		return 0;
	return highest_below(c->home, c->keep, &c->keep, f);
}

/* Root changes the store of another user for that user: what is made belongs to whom the version before
 * does, or the store. */
static int
give(const char *path, const struct stat *owner, struct fail *f)
{
	if (geteuid() == 0 && lchown(path, owner->st_uid, owner->st_gid) == -1)
		return fail_errno(f, "%.300s", path);
	return 0;
}

static int
give_folders(const struct change *c, const char *folder, struct stat *owner, struct fail *f)
{
	char *old = c->old != NULL ? version_folder(c->root, c->name, c->old) : NULL;
	char *versions = parent(c->home);
	struct stat root;
	int rc = -1;

	if (stat(c->root, &root) == -1) {
		fail_errno(f, "%.300s", c->root);
	} else if (give(versions, &root, f) == 0) {
		if (old == NULL || stat(old, owner) == -1)
			*owner = root;
		if (give(c->home, owner, f) == 0)
			rc = give(folder, owner, f);
	}
	free(versions);
	free(old);
	return rc;
}

static int
write_files(const struct change *c, const char *folder, const struct version_file *v, size_t n,
    struct fail *f)
{
	struct stat owner;
	size_t i;

	if (mkdir(folder, 0755) == -1 || chmod(folder, 0755) == -1)
		return fail_errno(f, "%.300s", folder);
	if (give_folders(c, folder, &owner, f) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		char *path = file_join(folder, v[i].name);
		int rc = file_write(path, v[i].mode, FILE_NEW_DIR, v[i].p, v[i].len, f);

		if (rc == 0)
			rc = give(path, &owner, f);
		free(path);
		if (rc == -1)
			return -1;
	}
	return file_sync_folder(folder, f);
}

/* Gets its number when it is whole and on the disk. */
static int
write_numbered(const struct change *c, const struct version_file *v, size_t n, struct fail *f)
{
	char *new = file_join(c->home, NEW);
	int rc;

	file_remove_tree(new, NULL);
	if ((rc = write_files(c, new, v, n, f)) == 0 && rename(new, c->folder) == -1)
		rc = fail_errno(f, "%.300s", c->folder);
	if (rc == -1)
		file_remove_tree(new, NULL);
	free(new);
	return rc;
}

/* The new version's folder, whole and durable; the link does not show it yet. */
static int
write_folder(struct change *c, const struct version_file *v, size_t n, struct fail *f)
{
	if (choose_number(c, f) == -1 || write_numbered(c, v, n, f) == -1)
		return -1;
	return file_sync_dir(c->home, f);
}

static int
swap(const struct change *c, struct fail *f)
{
	struct stat owner;

	if (file_symlink(c->target, c->link, f) == -1)
		return -1;
	/* Whose the link is matters to nobody who can replace it in its folder. */
	if (c->folder != NULL && stat(c->folder, &owner) == 0)
		give(c->link, &owner, NULL);
	return 0;
}

/* Does the link show the new version?  It may, although the last sync of the swap failed. */
static int
is_swapped(const struct change *c)
{
	char *now = read_link(c->link);
	int yes = now != NULL && c->target != NULL && strcmp(now, c->target) == 0;

	free(now);
	return yes;
}

static void
undo(const struct change *c)
{
	char *path, *up;
	int last;

	if (is_swapped(c))
		return;
	/* Without a link nobody has a use for what else is there, keys least of all. */
	if (c->fresh)
		file_remove_tree(c->home, NULL);
	else if (c->folder != NULL)
		file_remove_tree(c->folder, NULL);
	if (c->made == NULL)
		return;
	/* rmdir(2) stops by itself at a folder that others use by now. */
	for (path = xstrdup(c->home); ; path = up) {
		last = strcmp(path, c->made) == 0;
		up = parent(path);
		if ((rmdir(path) == -1 && errno != ENOENT) || last)
			break;
		free(path);
	}
	free(up);
	free(path);
}

/* Keeps the new version and the one to go back to; a leftover that cannot be removed does no harm. */
static void
prune(const struct change *c)
{
	unsigned long new = number_shown(c->target), n;
	struct dirent *e;
	DIR *d;

	if ((d = opendir(c->home)) == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		n = number_of(e->d_name);
		if ((n != 0 && n != new && n != c->keep) || strcmp(e->d_name, NEW) == 0 ||
		    strcmp(e->d_name, GONE) == 0)
			discard(c->home, e->d_name);
	}
	closedir(d);
}

/* Homes whose names are gone: somebody was killed while he removed them, and keys may be left. */
static void
sweep_homes(const struct change *c)
{
	char *versions = parent(c->home);
	struct dirent *e;
	struct stat st;
	int left = SWEEP_MAX;
	DIR *d;

	if ((d = opendir(versions)) != NULL) {
		while (left > 0 && (e = readdir(d)) != NULL) {
			char *name = file_join(c->root, e->d_name);

			if (e->d_name[0] != '.' && lstat(name, &st) == -1 && errno == ENOENT) {
				char *home = file_join(versions, e->d_name);

				file_remove_tree(home, NULL);
				free(home);
				left--;
			}
			free(name);
		}
		closedir(d);
	}
	free(versions);
}

/* The lock is ours, so nobody is between making such a link and renaming it. */
static void
sweep(const struct change *c)
{
	struct dirent *e;
	DIR *d;

	if ((d = opendir(c->root)) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, FILE_LINK_TEMP, strlen(FILE_LINK_TEMP)) == 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	sweep_homes(c);
}

static int
end(struct change *c, int rc)
{
	if (rc == 0) {
		prune(c);
		sweep(c);
	}
	else
		undo(c);
	change_clear(c);
	return rc;
}

int
version_store(const char *root, const char *name, const struct version_file *v, size_t n,
    unsigned flags, const char *was, struct fail *f)
{
	struct change c;
	int rc = -1;

	change_init(&c, root, name);
	if (lock_root(&c, 1, f) == 0 && check_taken(&c, flags, was, f) == 0 &&
	    make_home(&c, f) == 0 && choose_kept(&c, flags, f) == 0 &&
	    write_folder(&c, v, n, f) == 0)
		rc = swap(&c, f);
	return end(&c, rc);
}

/* ---- changes whose files are there already ---- */

/* A version's files, the bytes owned. */
struct files {
	struct version_file *v;
	struct buf *bytes;
	size_t n;
};

static void
files_clear(struct files *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		free((char *)s->v[i].name);
		buf_wipe(&s->bytes[i]);
	}
	free(s->v);
	free(s->bytes);
}

static int
files_add(struct files *s, const char *folder, const char *name, struct fail *f)
{
	char *path = file_join(folder, name);
	struct buf b = BUF_INIT;
	struct stat st;
	int rc = -1;

	if (stat(path, &st) == -1)
		fail_errno(f, "%.300s", path);
	else if (file_read(path, 0, &b, f) == 0) {
		s->v = xreallocarray(s->v, s->n + 1, sizeof *s->v);
		s->bytes = xreallocarray(s->bytes, s->n + 1, sizeof *s->bytes);
		s->bytes[s->n] = b;
		s->v[s->n++] = (struct version_file){ xstrdup(name), st.st_mode & 0777, b.p, b.len };
		rc = 0;
	}
	free(path);
	return rc;
}

static int
files_read(struct files *s, const char *folder, struct fail *f)
{
	struct dirent *e;
	int rc = 0;
	DIR *d;

	*s = (struct files){ .n = 0 };
	if ((d = opendir(folder)) == NULL)
		return fail_errno(f, "%.300s", folder);
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			rc = files_add(s, folder, e->d_name, f);
	closedir(d);
	return rc;
}

/* The files of a version in a home become the new folder of a change. */
static int
write_again(struct change *to, const char *home, unsigned long number, struct fail *f)
{
	char *folder = xasprintf("%s/%lu", home, number);
	struct files s;
	int rc = files_read(&s, folder, f);

	if (rc == 0)
		rc = write_folder(to, s.v, s.n, f);
	files_clear(&s);
	free(folder);
	return rc;
}

int
version_rollback(const char *root, const char *name, const char *to, struct fail *f)
{
	unsigned long before = 0;
	struct change c;
	int rc = -1;

	change_init(&c, root, name);
	if (lock_root(&c, 0, f) == -1 || look_for_link(&c, f) == -1)
		goto out;
	c.keep = number_shown(c.old);
	if (c.keep > 0 && highest_below(c.home, c.keep, &before, f) == -1)
		goto out;
	if (before == 0) {
		fail(f, FAIL_POLICY, "%.300s: there is no version before this one", c.link);
		goto out;
	}
	if (to != NULL && number_shown(to) != before) {
		changed_meanwhile(&c, f);
		goto out;
	}
	if ((rc = write_again(&c, c.home, before, f)) == 0)
		rc = swap(&c, f);
out:
	return end(&c, rc);
}

static int
drop(struct change *c, struct fail *f)
{
	if (unlink(c->link) == -1)
		return fail_errno(f, "%.300s", c->link);
	if (file_sync_dir(c->root, f) == -1)
		return -1;
	file_remove_tree(c->home, NULL);
	return 0;
}

int
version_remove(const char *root, const char *name, struct fail *f)
{
	struct change c;
	int rc = -1;

	change_init(&c, root, name);
	if (lock_root(&c, 0, f) == 0 && look_for_link(&c, f) == 0)
		rc = drop(&c, f);
	if (rc == 0)
		sweep(&c);
	change_clear(&c);
	return rc;
}

/* The version before goes along, as a version of the new name. */
static int
copy_versions(struct change *to, const struct change *from, struct fail *f)
{
	unsigned long shown = number_shown(from->old), before = 0;

	if (shown == 0)
		return fail(f, FAIL_INPUT, "%.300s: shows no version", from->link);
	if (highest_below(from->home, shown, &before, f) == -1)
		return -1;
	if (before > 0) {
		if (write_again(to, from->home, before, f) == -1)
			return -1;
		to->keep = number_shown(to->target);
		free(to->target);
		free(to->folder);
		to->target = to->folder = NULL;
	}
	if (write_again(to, from->home, shown, f) == -1)
		return -1;
	return swap(to, f);
}

int
version_rename(const char *root, const char *name, const char *new_name, struct fail *f)
{
	struct change from, to;
	int rc = -1;

	change_init(&from, root, name);
	change_init(&to, root, new_name);
	if (lock_root(&from, 0, f) == 0 && look_for_link(&from, f) == 0 &&
	    check_home(&to, f) == 0 && check_taken(&to, 0, NULL, f) == 0 && make_home(&to, f) == 0)
		rc = copy_versions(&to, &from, f);
	rc = end(&to, rc);
	if (rc == 0)
		rc = drop(&from, f);
	change_clear(&from);
	return rc;
}
