/*
 * version - folders of files that are replaced as one unit.
 *
 * ROOT/NAME is a symbolic link to .versions/NAME/N beside it.  A change writes folder N+1 whole,
 * syncs it, and swaps the link by rename: a reader, and a machine after a crash, sees the old or the
 * new version, never a mixture.  The version before stays for a roll-back, others are removed.
 * Where root writes, files get the owner and group of the version before, or of ROOT where there is none.
 * Writers exclude each other by flock(2) on ROOT, waiting VERSION_LOCK_S at most.  A symbolic link in
 * the place of .versions or .versions/NAME is refused: FAIL_INPUT.  What is in the files is the
 * caller's matter.
 */
#ifndef MTATLS_VERSION_H
#define MTATLS_VERSION_H

#include <sys/types.h>

#include <stddef.h>

#include "fail.h"

#define VERSION_LOCK_S 20

/* A file of a version, the caller's bytes. */
struct version_file {
	const char *name;	/* without "/", and it does not begin with "." */
	mode_t mode;
	const void *p;
	size_t len;
};

#define VERSION_REPLACE	0x1	/* a name that is there may be replaced; otherwise FAIL_POLICY */
#define VERSION_AMEND	0x2	/* the version before stays what roll-back goes to: this one only adds */

/*
 * Stores the files as the new version of a name.  was: what version_current() said when the caller
 * read what it changes now; where the link shows another one by then, FAIL_POLICY (NULL: does not
 * matter).  On failure all is as it was, and nothing is left behind, no folder that was not there.
 */
int version_store(const char *root, const char *name, const struct version_file *, size_t n,
    unsigned flags, const char *was, struct fail *);

/* What the link of a name shows, on the heap, caller frees; NULL: no such link. */
char *version_current(const char *root, const char *name);

/* What roll-back goes to, as version_current() says it, on the heap; NULL: nothing. */
char *version_before(const char *root, const char *name);

/* The folder to read a version from, on the heap, caller frees.  NULL for version means a folder
 * that somebody made by hand in the place of the link. */
char *version_folder(const char *root, const char *name, const char *version);

/*
 * The version before becomes the current one, under a new number, and the current one the one
 * before, so that a second call goes forward again.  to: what version_before() said when the caller looked at it
 * (NULL: does not matter).  FAIL_POLICY: there is none before, or another one by now.
 */
int version_rollback(const char *root, const char *name, const char *to, struct fail *);

/* FAIL_POLICY: the new name is taken.  After a crash there may be both names, each whole. */
int version_rename(const char *root, const char *name, const char *to, struct fail *);

/* The name and all its versions.  After a crash the versions may be there without the name; the
 * next change under any name clears them up. */
int version_remove(const char *root, const char *name, struct fail *);

#endif
