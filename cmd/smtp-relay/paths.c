#include "paths.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"

#define MODES 07777

/* What a socket's file has, and what it is to have. */
struct rights {
	const char *path;
	mode_t mode, want_mode;
	gid_t gid, want_gid;
};

int
paths_group(const char *name, gid_t *gid, struct fail *f)
{
	struct group *g;

	*gid = (gid_t)-1;
	if (name == NULL)
		return 0;
	errno = 0;
	if ((g = getgrnam(name)) == NULL)
		return fail(f, FAIL_INPUT, "no group %.64s", name);
	*gid = g->gr_gid;
	return 0;
}

int
paths_note(struct in_listener *l)
{
	struct stat st;

	if (lstat(l->conf->path, &st) == -1)
		return -1;
	l->dev = st.st_dev;
	l->inode = st.st_ino;
	l->gid = st.st_gid;
	return 0;
}

static int
find(const struct in_listener *l, struct stat *st)
{
	return lstat(l->conf->path, st) == 0 && S_ISSOCK(st->st_mode) && st->st_dev == l->dev && st->st_ino == l->inode;
}

int
paths_is_there(const struct in_listener *l)
{
	struct stat st;

	return find(l, &st);
}

static int
look(const struct in_listener *l, struct rights *r, struct fail *f)
{
	struct stat st;

	if (paths_group(l->conf->group, &r->want_gid, f) == -1)
		return -1;
	if (!find(l, &st))
		return fail(f, FAIL_SYS, "%.200s: another file is there", l->conf->path);
	if (r->want_gid == (gid_t)-1)
		r->want_gid = l->gid;
	r->want_mode = (mode_t)l->conf->mode & MODES;
	r->gid = st.st_gid;
	r->mode = st.st_mode & MODES;
	r->path = l->conf->path;
	return 0;
}

static int
set_mode(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}

/* At no moment may anybody write to it who may not both before and after. */
static int
give(const struct rights *r, mode_t mode, gid_t gid)
{
	if (set_mode(r->path, r->mode & r->want_mode) == -1 || lchown(r->path, (uid_t)-1, gid) == -1)
		return -1;
	return set_mode(r->path, mode);
}

static int
give_all(const struct rights *r, size_t n, struct fail *f)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (r[i].mode == r[i].want_mode && r[i].gid == r[i].want_gid)
			continue;
		if (give(&r[i], r[i].want_mode, r[i].want_gid) == 0)
			continue;
		fail_errno(f, "%.200s", r[i].path);
		for (i++; i > 0; i--)
			(void)give(&r[i - 1], r[i - 1].mode, r[i - 1].gid);
		return -1;
	}
	return 0;
}

int
paths_settle(const struct in_listener *l, size_t nlisteners, struct fail *f)
{
	struct rights *r = xcalloc(nlisteners + 1, sizeof *r);
	size_t i, n = 0;
	int rc = 0;

	for (i = 0; i < nlisteners && rc == 0; i++)
		if (l[i].conf->path != NULL && (rc = look(&l[i], &r[n++], f)) == -1)
			fail_prefix(f, "listener %.64s", l[i].conf->name);
	if (rc == 0)
		rc = give_all(r, n, f);
	free(r);
	return rc;
}
