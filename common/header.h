/*
 * header - fields of a message's header section (RFC 5322 2.2), as the octets come: nothing is decoded.
 */
#ifndef MTATLS_HEADER_H
#define MTATLS_HEADER_H

#include <stddef.h>

/* Octets up to and with the empty line; 0: it does not end within n. */
size_t header_length(const char *, size_t n);

/*
 * How many fields have the name (any case) in the first n octets, which end with the header or within it.  Of
 * the first one *value is what stands behind the colon, white space around it and folding left in its middle;
 * borrowed.
 */
size_t header_find(const char *, size_t n, const char *name, const char **value, size_t *len);

/* A field; borrowed. */
struct header_field {
	const char *name;	/* without white space behind it */
	size_t name_len;
	const char *value;	/* behind the colon: as it stands, with its line ends */
	size_t value_len;
	const char *whole;	/* all of it, with its line ends */
	size_t whole_len;
};

/*
 * The field at *at, which moves to the next: 1, or 0 at the end of the header.  Lines that are none are passed
 * over.  header_is(): it has the name, in any case.
 */
int header_next(const char *, size_t n, size_t *at, struct header_field *);
int header_is(const struct header_field *, const char *name);

#endif
