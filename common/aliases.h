/*
 * aliases - who is meant by a local name: a file as aliases(5) of other mail systems has it; mtatls-aliases(5).
 *
 *	# comment
 *	root:	admin, "other one"@example.com
 *		oncall@example.net
 *	all:	:include:/etc/mtatls/all
 *	*:	admin
 *
 * A line that begins with white space goes on with the one before; names are compared without regard to case.
 * What stands behind the colon is addresses, and files with more of them, a line each or several.  Programs ("|...")
 * and files to write to ("/...") are faults of their line, and of the names that need it.
 */
#ifndef MTATLS_ALIASES_H
#define MTATLS_ALIASES_H

#include <stddef.h>

#include "address_list.h"
#include "fail.h"
#include "table.h"
#include "text.h"

#define ALIASES_DEPTH_MAX 50	/* aliases of aliases, and files named in files */
#define ALIASES_INCLUDES_MAX 1000	/* files */
#define ALIASES_FILE_MAX (16 * 1024 * 1024)	/* octets, for who reads them */

struct aliases;

/* Fills the buffer with the file that an :include: names; the path is absolute.  -1: FAIL_SYS, FAIL_INPUT. */
typedef int aliases_read_fn(const char *path, struct buf *, struct fail *);

/*
 * The whole file in memory; file is its name in messages.  Each fault goes to the function (NULL: to nobody), how
 * many in *errors; the lines without one are good for use all the same.  What is included is looked at only where
 * there is a function to tell.  read NULL: nothing is included.  The caller frees.
 */
struct aliases *aliases_parse(const char *file, const char *text, size_t n, aliases_read_fn *read,
    table_error_fn *report, void *arg, size_t *errors);
void aliases_free(struct aliases *);

/* How many there are. */
size_t aliases_count(const struct aliases *);

/*
 * Calls the function for all that a bare local name stands for: itself where there is no alias of that name.
 * postmaster without a line is root, MAILER-DAEMON is postmaster (where these have lines), and any other name is "*",
 * but for those that stand in the file.
 * Over the life of a struct aliases each alias, and each file, is opened once only: its members were told then.  What is
 * found bare has no alias, or is that alias itself ("bob: bob, archive@example.com").  -1: a loop, a line
 * at fault, a file that cannot be read, each as "FILE:LINE: ..."; or what the function said.  Then nothing counts as
 * opened by this call, and the caller drops what the function was told in it.
 */
int aliases_expand(struct aliases *, const struct address_list_item *, address_list_fn *, void *arg,
    struct fail *);

#endif
