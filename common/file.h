/*
 * file - files that appear complete or not at all.
 *
 * file_write(): temporary file in the same directory, fsync, rename (or link, where nothing may be
 * replaced), fsync of the directory.  Only this module and spool write what must last.
 */
#ifndef MTATLS_FILE_H
#define MTATLS_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "fail.h"
#include "text.h"

#define FILE_READ_MAX (64UL * 1024 * 1024)	/* default limit of file_read(), octets */

/*
 * Reads a whole file, or stdin where the path is "-", into *b (emptied first; caller clears, or
 * wipes where it is secret).  max 0 means FILE_READ_MAX.  FAIL_SYS; FAIL_INPUT where it is larger.
 */
int file_read(const char *path, size_t max, struct buf *b, struct fail *);

/*
 * As file_read(), for what is opened where nobody may be waiting at a terminal: never blocks on a FIFO or a
 * device, but refuses it (FAIL_INPUT).  "-", /dev/stdin and /dev/fd/N are read whatever they are.
 */
int file_read_regular(const char *path, size_t max, struct buf *b, struct fail *);

/*
 * Likewise the regular file of that name in a directory that is open, in which others may write: a symbolic link is not
 * followed (FAIL_INPUT).  The path is for messages.
 */
int file_read_at(int dir, const char *name, const char *path, size_t max, struct buf *b, struct fail *);

/* May others than its owner read this regular file?  0 where it is none, or cannot be looked at. */
int file_is_exposed(const char *path);

#define FILE_REPLACE	0x1	/* an existing file may be replaced; otherwise FAIL_POLICY */

#define FILE_NEW_DIR                                                                               \
	0x2 /* the directory is the caller's own and still unknown to others: the                  \
	     * name is written at once; file_sync_folder() makes all last */

/*
 * Writes all bytes under path with exactly this mode.  A failure leaves nothing behind and an
 * existing file as it was; only where a replaced file's directory cannot be synced is the new one
 * there already.
 */
int file_write(const char *path, mode_t, unsigned flags, const void *, size_t, struct fail *);

/* "-", or stdout by its name. */
int file_is_stdout(const char *path);

/*
 * As file_write(), for a path that a user named.  Where file_is_stdout(), or where there is
 * something other than a regular file (a device, a FIFO; links followed), the bytes are written
 * into it, and mode and flags mean nothing, but that what is for the owner alone goes into a FIFO
 * of another user (neither us nor root) only with FILE_REPLACE: FAIL_POLICY.  Of a symbolic link the file that it shows is replaced
 * or made, and the link stays; without FILE_REPLACE it is refused, dangling or not.
 */
int file_write_or_stdout(
    const char *path, mode_t, unsigned flags, const void *, size_t, struct fail *);

/* write(2) until all is out.  FAIL_SYS. */
int file_put(int fd, const void *, size_t, const char *what, struct fail *);

/* A file in memory, of no folder, to be read from its beginning (memfd_create(2)).  -1: FAIL_SYS. */
int file_memory(const void *, size_t, struct fail *);

/* Makes a directory with this mode, and its parents; one that exists is success. */
int file_mkdir(const char *path, mode_t, struct fail *);

/* fsync(2) of a directory, so that names made in it last. */
int file_sync_dir(const char *path, struct fail *);

/* fsync(2) of each file in a directory, then of itself: cheaper than file by file, for the first
 * sync of a journal takes the names of all along. */
int file_sync_folder(const char *path, struct fail *);

/* flock(2), exclusive, on an open file or directory, waiting so many seconds at most; what names it in a
 * failure.  The lock ends with the descriptor. */
int file_lock(int fd, const char *what, int seconds, struct fail *);

/* Makes or replaces the symbolic link at path by rename, and syncs its directory.  A crash may leave a
 * link beside it whose name begins so. */
#define FILE_LINK_TEMP ".link-"
int file_symlink(const char *target, const char *path, struct fail *);

/* Removes a directory and what is in it; no symbolic link is followed.  Absent is success. */
int file_remove_tree(const char *path, struct fail *);

/* dir/name on the heap; the caller frees. */
char *file_join(const char *dir, const char *name);

#endif
