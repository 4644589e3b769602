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

#endif
