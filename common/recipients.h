/*
 * recipients - the file that says which recipients there are, in memory and quick to ask.
 *
 *	user@domain	one mailbox, in any case of letters
 *	@domain		all of a domain
 *
 * A line of the table grammar each; the local part is as it is meant, without quotes (%XX for odd octets).
 */
#ifndef MTATLS_RECIPIENTS_H
#define MTATLS_RECIPIENTS_H

#include <stddef.h>

#include "fail.h"
#include "mailbox.h"
#include "table.h"

#define RECIPIENTS_FILE_MAX (256 * 1024 * 1024)	/* octets */

struct recipients;

/*
 * Reads a file.  NULL: it cannot be read, or its errors were reported (their number in *errors); an address twice
 * is none.
 */
struct recipients *recipients_read(const char *file, table_error_fn *, void *arg, size_t *errors, struct fail *);
void recipients_free(struct recipients *);

size_t recipients_count(const struct recipients *);

/*
 * Is it one of them?  postmaster always is (RFC 5321 4.5.1).  With a delimiter "user+more" is also where "user" is;
 * NUL: none.
 */
int recipients_has(const struct recipients *, const struct mailbox *, char delimiter);

#endif
