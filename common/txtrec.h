/*
 * txtrec - TXT records of the form "v=NAME; field=value; ...", which MTA-STS (RFC 8461 3.1) and TLS-RPT
 * (RFC 8460 3) share: which record of a set counts, and its fields.  Grammar only.
 */
#ifndef MTATLS_TXTREC_H
#define MTATLS_TXTREC_H

#include <stddef.h>

#include "fail.h"

#define TXTREC_NAME_MAX 32	/* octets in a field's name */

/* One record, its strings joined. */
struct txtrec {
	const char *p;
	size_t len;
};

/*
 * Of a set the record that begins with version ("v=STSv1") and ";" at once, as both RFCs have it (the
 * blanks that RFC 8461's grammar has before that semicolon are not reached by it: erratum 6285).
 * Others are passed over.  Returns how many there are; *which is the place of the first.
 */
size_t txtrec_select(const struct txtrec *, size_t n, const char *version, size_t *which);

/*
 * Takes one field: 1, 0 where its name is none of the caller's (it is then held against the grammar
 * of extensions), or -1 with the reason, which names the offset.  offset is that of the value.
 */
typedef int txtrec_field_fn(void *arg, const char *name, const char *value, size_t len, size_t offset,
    struct fail *);

/* All fields in their order, the version left out.  FAIL_INPUT: "offset N: ..." */
int txtrec_parse(const struct txtrec *, const char *version, txtrec_field_fn *, void *arg, struct fail *);

/* ASCII letters and digits, whatever the locale. */
int txtrec_is_alnum(char);

/* How many octets of a field's name stand at the front; the policies of RFC 8461 3.2 have the same names. */
size_t txtrec_name_length(const char *, size_t);

#endif
