#include "file.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

#define LOCK_POLL_MS 20
#define LINKS_MAX 40 /* that are followed, as the kernel does */

/* To the end, or -1 with nothing left in *b. */
static int
read_all(int fd, const char *name, size_t max, struct buf *b, struct fail *f)
{
	char block[16384];
	ssize_t n;
	int rc = -1;

	buf_clear(b);
	buf_add(b, "", 0);
	if (max == 0)
		max = FILE_READ_MAX;
	for (;;) {
		if ((n = read(fd, block, sizeof block)) == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			fail_errno(f, "%.300s", name);
			break;
		}
		if (n == 0) {
			rc = 0;
			break;
		}
		if (b->len + n > max) {
			fail(f, FAIL_INPUT, "%.300s: larger than %zu bytes", name, max);
			break;
		}
		buf_add(b, block, n);
	}
	explicit_bzero(block, sizeof block);
	if (rc == -1)
		buf_wipe(b);
	return rc;
}

int
file_read(const char *path, size_t max, struct buf *b, struct fail *f)
{
	int fd, rc;

	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, "standard input", max, b, f);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1) {
		fail_errno(f, "%.300s", path);
		buf_clear(b);
		return -1;
	}
	rc = read_all(fd, path, max, b, f);
	close(fd);
	return rc;
}

/* Neither a FIFO without a writer nor a line without a carrier holds us up. */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

/* Closes fd, where it is one. */
static int
read_regular(int fd, const char *path, size_t max, struct buf *b, struct fail *f)
{
	struct stat st;
	int rc = -1;

	if (fd == -1 || fstat(fd, &st) == -1)
		fail_errno(f, "%.300s", path);
	else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		fail(f, FAIL_INPUT, "%.300s: not a regular file", path);
	else
		rc = read_all(fd, path, max, b, f);
	if (fd != -1)
		close(fd);
	if (rc == -1)
		buf_clear(b);
	return rc;
}

int
file_read_at(int dir, const char *name, const char *path, size_t max, struct buf *b, struct fail *f)
{
	int fd = openat(dir, name, READ_FLAGS | O_NOFOLLOW);

	if (fd == -1 && errno == ELOOP) {
		fail(f, FAIL_INPUT, "%.300s: a symbolic link, which is not followed here", path);
		buf_clear(b);
		return -1;
	}
	return read_regular(fd, path, max, b, f);
}

/* Open already, under a name: what comes there is the business of whoever opened it. */
static int
is_descriptor(const char *path)
{
	return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
	    strncmp(path, "/proc/self/fd/", 14) == 0;
}

int
file_read_regular(const char *path, size_t max, struct buf *b, struct fail *f)
{
	if (is_descriptor(path))
		return file_read(path, max, b, f);
	return read_regular(open(path, READ_FLAGS), path, max, b, f);
}

int
file_put(int fd, const void *p, size_t len, const char *what, struct fail *f)
{
	const char *s = p;
	ssize_t n;

	while (len > 0) {
		if ((n = write(fd, s, len)) == -1) {
			if (errno == EINTR)
				continue;
			return fail_errno(f, "%.300s", what);
		}
		s += n;
		len -= n;
	}
	return 0;
}

char *
file_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return xasprintf("%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
}

static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	if (slash == path)
		return xstrdup("/");
	return xstrndup(path, slash - path);
}

int
file_sync_dir(const char *path, struct fail *f)
{
	int fd, rc = 0;

	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return fail_errno(f, "%.300s", path);
	if (fsync(fd) == -1)
		rc = fail_errno(f, "%.300s", path);
	close(fd);
	return rc;
}

static int
sync_at(int dirfd, const char *dir, const char *name, struct fail *f)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

	if (fd == -1)
		return fail_errno(f, "%.300s/%.100s", dir, name);
	if (fsync(fd) == -1)
		rc = fail_errno(f, "%.300s/%.100s", dir, name);
	close(fd);
	return rc;
}

int
file_sync_folder(const char *path, struct fail *f)
{
	struct dirent *e;
	int rc = 0;
	DIR *d;

	if ((d = opendir(path)) == NULL)
		return fail_errno(f, "%.300s", path);
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = sync_at(dirfd(d), path, e->d_name, f);
	if (rc == 0 && fsync(dirfd(d)) == -1)
		rc = fail_errno(f, "%.300s", path);
	closedir(d);
	return rc;
}

/* Gives the finished temporary file its name. */
static int
put_in_place(const char *tmp, const char *path, unsigned flags, struct fail *f)
{
	if (flags & FILE_REPLACE) {
		if (rename(tmp, path) == -1)
			return fail_errno(f, "%.300s", path);
		return 0;
	}
	if (link(tmp, path) == -1) {
		if (errno == EEXIST)
			return fail(f, FAIL_POLICY, "%.300s: exists already", path);
		return fail_errno(f, "%.300s", path);
	}
	if (unlink(tmp) == -1)
		return fail_errno(f, "%.300s", tmp);
	return 0;
}

static int
write_and_rename(const char *path, mode_t mode, unsigned flags, const void *p, size_t len,
    struct fail *f)
{
	char *dir = dir_of(path), *tmp = xasprintf("%s/.tmp-XXXXXX", dir);
	int fd = -1, rc = -1;

	if ((fd = mkostemp(tmp, O_CLOEXEC)) == -1) {
		fail_errno(f, "%.300s", path);
		goto out;
	}
	if (file_put(fd, p, len, path, f) == -1)
		goto remove;
	if (fchmod(fd, mode) == -1 || fsync(fd) == -1) {
		fail_errno(f, "%.300s", path);
		goto remove;
	}
	if (put_in_place(tmp, path, flags, f) == -1)
		goto remove;
	/* A new name that may not last is taken back; a replaced file cannot be. */
	if ((rc = file_sync_dir(dir, f)) == -1 && !(flags & FILE_REPLACE))
		unlink(path);
	goto out;
remove:
	unlink(tmp);
out:
	if (fd != -1 && close(fd) == -1 && rc == 0)
		rc = fail_errno(f, "%.300s", path);
	free(tmp);
	free(dir);
	return rc;
}

/* A file that nobody can see yet needs no second name. */
static int
write_unseen(const char *path, mode_t mode, const void *p, size_t len, struct fail *f)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;

	if (fd == -1)
		return fail_errno(f, "%.300s", path);
	if ((rc = file_put(fd, p, len, path, f)) == 0 && fchmod(fd, mode) == -1)
		rc = fail_errno(f, "%.300s", path);
	if (close(fd) == -1 && rc == 0)
		rc = fail_errno(f, "%.300s", path);
	if (rc == -1)
		unlink(path);
	return rc;
}

int
file_write(const char *path, mode_t mode, unsigned flags, const void *p, size_t len, struct fail *f)
{
	if (flags & FILE_NEW_DIR)
		return write_unseen(path, mode, p, len, f);
	return write_and_rename(path, mode, flags, p, len, f);
}

int
file_is_stdout(const char *path)
{
	return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0;
}

/* May these bytes go into what is open?  A secret does not go to whoever else made a FIFO there. */
static int
check_reader(int fd, const char *path, mode_t mode, unsigned flags, struct fail *f)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail_errno(f, "%.300s", path);
	if ((mode & (S_IRWXG | S_IRWXO)) != 0 || (flags & FILE_REPLACE) || is_descriptor(path) ||
	    !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) || st.st_uid == geteuid() || st.st_uid == 0)
		return 0;
	return fail(f, FAIL_POLICY, "%.300s: a FIFO that another user made; no key is written into it", path);
}

/* A device, a FIFO: whoever has it open wants the bytes, and a rename would take it from all. */
static int
write_through(const char *path, mode_t mode, unsigned flags, const void *p, size_t len, struct fail *f)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY), rc;

	if (fd == -1)
		return fail_errno(f, "%.300s", path);
	if ((rc = check_reader(fd, path, mode, flags, f)) == 0)
		rc = file_put(fd, p, len, path, f);
	if (close(fd) == -1 && rc == 0)
		rc = fail_errno(f, "%.300s", path);
	return rc;
}

/* What a link shows, as a path from where we are; NULL where it is no link. */
static char *
link_target(const char *path)
{
	char target[PATH_MAX], *dir, *full;
	ssize_t n = readlink(path, target, sizeof target - 1);

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	if (target[0] == '/')
		return xstrdup(target);
	dir = dir_of(path);
	full = file_join(dir, target);
	free(dir);
	return full;
}

/* The name at the end of the links, which need not be there yet; caller frees. */
static char *
behind_links(const char *path)
{
	char *here = xstrdup(path), *next;
	int hops;

	for (hops = 0; hops < LINKS_MAX && (next = link_target(here)) != NULL; hops++) {
		free(here);
		here = next;
	}
	return here;
}

int
file_write_or_stdout(const char *path, mode_t mode, unsigned flags, const void *p, size_t len,
    struct fail *f)
{
	struct stat st;
	char *real;
	int rc;

	if (file_is_stdout(path)) {
		if (fflush(stdout) == EOF)
			return fail_errno(f, "standard output");
		return file_put(STDOUT_FILENO, p, len, "standard output", f);
	}
	/* A link that may not be followed must not be followed by us either. */
	if (stat(path, &st) == -1) {
		if (errno != ENOENT)
			return fail_errno(f, "%.300s", path);
	} else if (!S_ISREG(st.st_mode))
		return write_through(path, mode, flags, p, len, f);
	if (!(flags & FILE_REPLACE))
		return file_write(path, mode, flags, p, len, f);
	real = behind_links(path);
	rc = file_write(real, mode, flags, p, len, f);
	free(real);
	return rc;
}

int
file_is_exposed(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

int
file_mkdir(const char *path, mode_t mode, struct fail *f)
{
	char *dir;
	int rc;

	if (mkdir(path, mode) == 0) {
		dir = dir_of(path);
		rc = file_sync_dir(dir, f);
		free(dir);
		return rc;
	}
	if (errno == EEXIST) {
		struct stat st;

		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return 0;
		/* Removed meanwhile?  A link that leads nowhere is no folder. */
		errno = lstat(path, &st) == -1 && errno == ENOENT ? ENOENT : ENOTDIR;
	}
	if (errno != ENOENT || strchr(path, '/') == NULL)
		return fail_errno(f, "%.300s", path);
	dir = dir_of(path);
	rc = strcmp(dir, path) == 0 ? fail(f, FAIL_SYS, "%.300s: cannot be made", path) :
				      file_mkdir(dir, 0755, f);
	free(dir);
	if (rc == -1)
		return -1;
	if (mkdir(path, mode) == -1 && errno != EEXIST)
		return fail_errno(f, "%.300s", path);
	return 0;
}

int
file_lock(int fd, const char *what, int seconds, struct fail *f)
{
	int waited;

	for (waited = 0; flock(fd, LOCK_EX | LOCK_NB) == -1; waited += LOCK_POLL_MS) {
		if (errno != EINTR && errno != EWOULDBLOCK)
			return fail_errno(f, "%.300s", what);
		if (waited >= seconds * 1000)
			return fail(f, FAIL_SYS, "%.300s: another process has held its lock for %d s",
			    what, seconds);
		poll(NULL, 0, LOCK_POLL_MS);
	}
	return 0;
}

int
file_symlink(const char *target, const char *path, struct fail *f)
{
	char *dir = dir_of(path), *tmp = NULL;
	int tries, rc = -1;

	for (tries = 0; tries < 100; tries++) {
		free(tmp);
		tmp = xasprintf("%s/" FILE_LINK_TEMP "%ld-%d", dir, (long)getpid(), tries);
		if (symlink(target, tmp) == 0)
			break;
		if (errno != EEXIST) {
			fail_errno(f, "%.300s", path);
			goto out;
		}
	}
	if (tries == 100) {
		fail(f, FAIL_SYS, "%.300s: no free temporary name", path);
		goto out;
	}
	if (rename(tmp, path) == -1) {
		fail_errno(f, "%.300s", path);
		unlink(tmp);
		goto out;
	}
	rc = file_sync_dir(dir, f);
out:
	free(tmp);
	free(dir);
	return rc;
}

int
file_remove_tree(const char *path, struct fail *f)
{
	char *copy = xstrdup(path), *argv[] = { copy, NULL };
	FTS *fts = NULL;
	FTSENT *e;
	int rc = 0;

	if ((fts = fts_open(argv, FTS_PHYSICAL | FTS_NOCHDIR, NULL)) == NULL) {
		rc = fail_errno(f, "%.300s", path);
		goto out;
	}
	while ((e = fts_read(fts)) != NULL) {
		if (e->fts_info == FTS_D)
			continue;
		if (e->fts_info == FTS_NS && e->fts_errno == ENOENT)
			continue;
		if (remove(e->fts_accpath) == -1 && errno != ENOENT)
			rc = fail_errno(f, "%.300s", e->fts_path);
	}
out:
	if (fts != NULL)
		fts_close(fts);
	free(copy);
	return rc;
}

int
file_memory(const void *p, size_t len, struct fail *f)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	if (fd == -1)
		return fail_errno(f, "a file in memory");
	if (file_put(fd, p, len, "a file in memory", f) == 0) {
		lseek(fd, 0, SEEK_SET);
		return fd;
	}
	close(fd);
	return -1;
}
