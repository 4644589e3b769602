#include "places.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

/* On the heap. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? xstrdup("/") : xstrndup(path, slash - path);
}

static int
check_folder(const char *dir, struct fail *f)
{
	struct stat st;

	if (stat(dir, &st) == -1 && errno == ENOENT)
		return fail(f, FAIL_INPUT, "%.300s: there is no such folder: make it, behind a restart of the machine "
		    "too where it is below /run", dir);
	if (stat(dir, &st) == -1)
		return fail_errno(f, "%.300s", dir);
	if (!S_ISDIR(st.st_mode))
		return fail(f, FAIL_INPUT, "%.300s is no folder", dir);
	if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == -1)
		return fail_errno(f, "%.300s: the relay cannot make a socket there", dir);
	return 0;
}

/* A socket may be the relay's own that runs, or one that was left. */
static int
check_name(const char *path, struct fail *f)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : fail_errno(f, "%.300s", path);
	if (path[strlen(path) - 1] == '/' || !S_ISSOCK(st.st_mode))
		return fail(f, FAIL_INPUT, "%.300s is there and is no socket: remove it, or name another path", path);
	return 0;
}

int
places_check(const struct conf *c, const struct conf_listen *l, struct fail *f)
{
	char *dir;
	int rc;

	if (l->path == NULL)
		return 0;
	dir = folder_of(l->path);
	rc = check_folder(dir, f) == 0 ? check_name(l->path, f) : -1;
	free(dir);
	return rc == 0 ? 0 : fail_prefix(f, "%.200s:%u: listen %.64s", c->file, l->line, l->name);
}

int
places_check_all(const struct conf *c, struct fail *f)
{
	size_t i;

	for (i = 0; i < c->nlisten; i++)
		if (places_check(c, &c->listen[i], f) == -1)
			return -1;
	return 0;
}
