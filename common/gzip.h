/*
 * gzip - one text in the format of RFC 1952, in memory.
 */
#ifndef MTATLS_GZIP_H
#define MTATLS_GZIP_H

#include <stddef.h>

#include "fail.h"
#include "text.h"

/* Appends n octets as one member. */
void gzip_pack(struct buf *, const void *, size_t n);

/* Do the octets begin as gzip does? */
int gzip_is(const void *, size_t n);

/*
 * Appends what is in all the members that are there, at most max octets of it: of a bomb no more is ever
 * unpacked.  FAIL_INPUT: not gzip, damaged, cut off, or longer.
 */
int gzip_unpack(struct buf *, const void *, size_t n, size_t max, struct fail *);

#endif
