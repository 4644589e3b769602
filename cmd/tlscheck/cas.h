/*
 * cas - the trusted CAs of a run: castore's enabled lists or the file of --ca, read at the first need.
 * Most runs need none.
 */
#ifndef TLSCHECK_CAS_H
#define TLSCHECK_CAS_H

#include "trust.h"

struct cas {
	const char *dir;	/* root of all state */
	const char *file;	/* in place of its lists, or NULL */
	struct trust *trust;
	int tried, failed;
};

/* NULL: they cannot be read, which was said, and failed is set: nothing is trusted.  Borrowed. */
const struct trust *cas_get(struct cas *);
void cas_clear(struct cas *);

#endif
