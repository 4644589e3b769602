/*
 * scratch - where what is tested reads files: a folder that is made once and removed at the end, or a file in memory.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <sys/mman.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"

static char scratch_dir[256];
static char scratch_file[320];

__attribute__((unused)) static void
scratch_remove(void)
{
	unlink(scratch_file);
	rmdir(scratch_dir);
}

/* The folder's name; `file` is the one that will be in it. */
__attribute__((unused)) static const char *
scratch_folder(const char *file)
{
	const char *tmp = getenv("TMPDIR");

	if (scratch_dir[0] != '\0')
		return scratch_dir;
	snprintf(scratch_dir, sizeof scratch_dir, "%s/fuzz.XXXXXX", tmp != NULL ? tmp : "/tmp");
	MUST(mkdtemp(scratch_dir) != NULL);
	snprintf(scratch_file, sizeof scratch_file, "%s/%s", scratch_dir, file);
	atexit(scratch_remove);
	return scratch_dir;
}

/* The file has these octets from now on. */
__attribute__((unused)) static void
scratch_put(const void *data, size_t n)
{
	int fd = open(scratch_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	MUST(fd != -1 && write(fd, data, n) == (ssize_t)n && close(fd) == 0);
}

/* A path under which these octets are read; the last one's are gone. */
__attribute__((unused)) static const char *
scratch_memory(const void *data, size_t n)
{
	static char path[32];
	static int fd = -1;

	if (fd == -1) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	MUST(fd != -1 && ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
	return path;
}

#endif
