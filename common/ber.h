/*
 * ber - elements of BER (X.690), of which DER is a part: definite and indefinite lengths.
 *
 * A struct ber walks over the elements of some octets, none of which it owns or copies; every length
 * is held against what is left before it is used, and no more than BER_DEPTH_MAX elements stand in
 * one another.  Failures are FAIL_INPUT, "offset N: ...", where N counts from the octets of ber_init(),
 * and the caller puts before it what those are.  ber_put() writes DER.
 */
#ifndef MTATLS_BER_H
#define MTATLS_BER_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define BER_DEPTH_MAX 64

/* Identifier octets (low tag numbers only, X.690 8.1.2.2); a constructed one has bit 0x20 set. */
enum ber_tag {
	BER_INTEGER = 0x02,
	BER_OCTETS = 0x04,
	BER_NULL = 0x05,
	BER_OID = 0x06,
	BER_UTF8 = 0x0c,
	BER_BMP = 0x1e,
	BER_SEQUENCE = 0x30,
	BER_SET = 0x31,
	BER_CONTEXT = 0x80	/* [N] is BER_CONTEXT + N */
};

#define BER_CONSTRUCTED 0x20

struct ber {
	const uint8_t *base;	/* where offsets count from */
	const uint8_t *p, *end;
	unsigned depth;
	int *loose;		/* set to 1 where something is BER but not DER; NULL: nobody asks */
};

struct ber_item {
	uint8_t tag;		/* the whole identifier octet */
	const uint8_t *whole;	/* the element with its header */
	size_t wholelen;
	const uint8_t *body;	/* its contents, without an end-of-contents */
	size_t len;
};

void ber_init(struct ber *, const void *, size_t, int *loose);

/* Steps over one element.  1: *item is set; 0: the end; -1: no whole element is there. */
int ber_next(struct ber *, struct ber_item *, struct fail *);

/* The same where an element with this tag must stand; "what" names it in the failure. */
int ber_need(struct ber *, unsigned tag, const char *what, struct ber_item *, struct fail *);

/* Whether the next element has this tag, without stepping. */
int ber_is_next(const struct ber *, unsigned tag);

/* A walk over the contents of a constructed element.  -1: too deep. */
int ber_enter(const struct ber *, const struct ber_item *, struct ber *inner, struct fail *);

/* ber_need() and ber_enter() in one. */
int ber_need_in(struct ber *, unsigned tag, const char *what, struct ber *inner, struct fail *);

/* A number of at most 63 bits, not negative, of an INTEGER. */
int ber_number(struct ber *, const char *what, uint64_t *, struct fail *);

/* Appends the octets of an OCTET STRING, or of a string with that tag that is IMPLICIT: whole, or in
 * segments (X.690 8.7.3), which may stand in one another. */
int ber_octets(const struct ber *, const struct ber_item *, struct buf *, struct fail *);

/* Nothing may be left; "what" is what it is the end of. */
int ber_end(const struct ber *, const char *what, struct fail *);

/* "offset N: " and the text; returns -1. */
int ber_fail(const struct ber *, const uint8_t *at, struct fail *, const char *, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends one DER element; of an INTEGER. */
void ber_put(struct buf *, unsigned tag, const void *, size_t);
void ber_put_number(struct buf *, uint64_t);

#endif
