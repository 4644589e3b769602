/*
 * p12import's own parts: what it does (p12import.c) and how it tells what a file is (show.c).
 */
#ifndef P12IMPORT_H
#define P12IMPORT_H

#include "fail.h"
#include "identity.h"
#include "p12.h"

/* What would be imported: a key, its certificate and the chain above it. */
struct pick {
	const struct p12_bag *bag;	/* of the key; borrowed */
	unsigned index;			/* among the keys of the file, from 1 */
	X509 *cert;			/* borrowed; NULL: the file has none of this key's */
	STACK_OF(X509) *chain;		/* intermediates; owned, as root is */
	X509 *root;			/* that the file has above them, which is not imported; NULL: none */
};

/* The algorithms and bags of a file, without its passphrase: text, or one JSON object. */
int show_info(const struct p12 *, const char *file, int json, struct fail *);

/* Everything about one key: text, or one JSON object. */
int show_pick(const struct pick *, int json, struct fail *);

/* The object that is printed of what was stored. */
int show_stored(const struct pick *, const char *name, const char *path, int json, struct fail *);

/* "2 (mx.example)": a key for a person. On the heap, the caller frees. */
char *show_key_name(const struct p12_bag *, unsigned index);

#endif
