/*
 * mkcert - what its files share: the order, and how its result is told.
 */
#ifndef MKCERT_H
#define MKCERT_H

#include <openssl/types.h>

#include "fail.h"
#include "identity.h"
#include "issue.h"

/* The command line; texts are borrowed from there. */
struct order {
	struct issue issue;
	const char *dir, *key_file, *name, *output, *sign, *signer, *type;
	int days_given, subject_given, force, json;
};

/* One line for whoever made it, or one JSON object: where it is, then what it is.  name is NULL
 * where no identity was stored. */
int report_made(const struct order *, const char *name, const char *path, const X509 *, struct fail *);

/* Writes key (none of a request), certificate and chain to the order's output, then as above. */
int report_file(const struct order *, const struct identity *, struct fail *);

#endif
