#include "ber.h"

#include <stdarg.h>
#include <stdio.h>

#define TAG_HIGH 0x1f		/* more identifier octets follow */
#define LENGTH_OCTETS_MAX 8	/* of a definite length; more are zeros or nonsense */

void
ber_init(struct ber *b, const void *p, size_t len, int *loose)
{
	*b = (struct ber){ .base = p, .p = p, .end = p, .depth = 0, .loose = loose };
	if (len > 0)
		b->end += len;
}

int
ber_fail(const struct ber *b, const uint8_t *at, struct fail *f, const char *fmt, ...)
{
	char text[FAIL_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return fail(f, FAIL_INPUT, "offset %zu: %s", (size_t)(at - b->base), text);
}

static void
is_loose(const struct ber *b)
{
	if (b->loose != NULL)
		*b->loose = 1;
}

/* The header of an element, read. */
struct header {
	uint8_t tag;
	int indefinite;
	size_t len;		/* of the contents, where definite */
	size_t size;		/* of the header itself */
};

/* A length in its long form (X.690 8.1.3.5). */
static int
long_length(const struct ber *b, const uint8_t *p, size_t left, struct header *h, struct fail *f)
{
	size_t n = p[1] & 0x7f, i;
	uint64_t len = 0;

	if (n > left - 2)
		return ber_fail(b, p, f, "cut short within a length");
	for (i = 0; i < n; i++) {
		if (len >> (8 * (LENGTH_OCTETS_MAX - 1)) != 0)
			return ber_fail(b, p, f, "a length beyond all measure");
		len = len << 8 | p[2 + i];
	}
	if (len < 0x80 || p[2] == 0)
		is_loose(b);
	h->size = 2 + n;
	if (len > left - h->size)
		return ber_fail(b, p, f, "a length of %llu octets where %zu are left",
		    (unsigned long long)len, left - h->size);
	h->len = len;
	return 0;
}

static int
read_header(const struct ber *b, const uint8_t *p, const uint8_t *end, struct header *h,
    struct fail *f)
{
	size_t left = end - p;

	*h = (struct header){ .tag = p[0], .size = 2 };
	if ((h->tag & TAG_HIGH) == TAG_HIGH)
		return ber_fail(b, p, f, "a tag number over 30");
	if (left < 2)
		return ber_fail(b, p, f, "cut short behind a tag");
	if (p[1] > 0x80)
		return long_length(b, p, left, h, f);
	if (p[1] < 0x80) {
		if (p[1] > left - 2)
			return ber_fail(b, p, f, "a length of %u octets where %zu are left",
			    p[1], left - 2);
		h->len = p[1];
		return 0;
	}
	if (!(h->tag & BER_CONSTRUCTED))
		return ber_fail(b, p, f, "an indefinite length where nothing can stand in it");
	is_loose(b);
	h->indefinite = 1;
	return 0;
}

/*
 * The end-of-contents that belongs to an indefinite length whose contents begin at p.  What has a
 * definite length is stepped over; each indefinite one within waits for an end of its own.
 */
static const uint8_t *
find_end(const struct ber *b, const uint8_t *p, const uint8_t *end, struct fail *f)
{
	struct header h = { .tag = 0 };
	unsigned open = 1;

	while (p < end) {
		if (end - p >= 2 && p[0] == 0 && p[1] == 0) {
			if (--open == 0)
				return p;
			p += 2;
			continue;
		}
		if (read_header(b, p, end, &h, f) == -1)
			return NULL;
		if (h.indefinite && b->depth + ++open > BER_DEPTH_MAX) {
			ber_fail(b, p, f, "more than %d elements in one another", BER_DEPTH_MAX);
			return NULL;
		}
		p += h.size + h.len;
	}
	ber_fail(b, end, f, "the end comes before that of an indefinite length");
	return NULL;
}

int
ber_next(struct ber *b, struct ber_item *item, struct fail *f)
{
	struct header h = { .tag = 0 };
	const uint8_t *end;

	*item = (struct ber_item){ .tag = 0 };
	if (b->p == b->end)
		return 0;
	if (read_header(b, b->p, b->end, &h, f) == -1)
		return -1;
	item->tag = h.tag;
	item->whole = b->p;
	item->body = b->p + h.size;
	end = item->body + h.len;
	if (h.indefinite && (end = find_end(b, item->body, b->end, f)) == NULL)
		return -1;
	item->len = end - item->body;
	b->p = h.indefinite ? end + 2 : end;
	item->wholelen = b->p - item->whole;
	return 1;
}

int
ber_need(struct ber *b, unsigned tag, const char *what, struct ber_item *item, struct fail *f)
{
	const uint8_t *at = b->p;

	switch (ber_next(b, item, f)) {
	case -1:
		return -1;
	case 0:
		return ber_fail(b, at, f, "expected %s, found the end", what);
	}
	if (item->tag == tag)
		return 0;
	/* A string may come in segments; ber_octets() puts them together. */
	if (tag == BER_OCTETS && item->tag == (BER_OCTETS | BER_CONSTRUCTED))
		return 0;
	return ber_fail(b, at, f, "expected %s (tag 0x%02x), found tag 0x%02x", what, tag, item->tag);
}

int
ber_is_next(const struct ber *b, unsigned tag)
{
	return b->p < b->end && *b->p == tag;
}

int
ber_enter(const struct ber *b, const struct ber_item *item, struct ber *inner, struct fail *f)
{
	*inner = (struct ber){ .base = b->base, .p = item->body, .end = item->body + item->len,
		.depth = b->depth + 1, .loose = b->loose };
	if (b->depth == BER_DEPTH_MAX)
		return ber_fail(b, item->whole, f, "more than %d elements in one another",
		    BER_DEPTH_MAX);
	return 0;
}

int
ber_need_in(struct ber *b, unsigned tag, const char *what, struct ber *inner, struct fail *f)
{
	struct ber_item item;

	if (ber_need(b, tag, what, &item, f) == -1)
		return -1;
	return ber_enter(b, &item, inner, f);
}

int
ber_number(struct ber *b, const char *what, uint64_t *number, struct fail *f)
{
	struct ber_item item;
	uint64_t n = 0;
	size_t i;

	if (ber_need(b, BER_INTEGER, what, &item, f) == -1)
		return -1;
	if (item.len == 0)
		return ber_fail(b, item.whole, f, "%s: a number without an octet", what);
	if (item.body[0] & 0x80)
		return ber_fail(b, item.whole, f, "%s: a negative number", what);
	for (i = 0; i < item.len; i++) {
		if (n >> 55 != 0)
			return ber_fail(b, item.whole, f, "%s: a number of more than 63 bits", what);
		n = n << 8 | item.body[i];
	}
	*number = n;
	return 0;
}

/* Segments stand in one another no deeper than ber_enter() goes. */
static int
add_segments(const struct ber *b, const struct ber_item *item, struct buf *out, struct fail *f)
{
	struct ber_item part;
	struct ber inner;
	int rc;

	if (ber_enter(b, item, &inner, f) == -1)
		return -1;
	while ((rc = ber_next(&inner, &part, f)) == 1) {
		if ((part.tag & ~BER_CONSTRUCTED) != BER_OCTETS)
			return ber_fail(b, part.whole, f, "expected a segment of an OCTET STRING");
		if (!(part.tag & BER_CONSTRUCTED))
			buf_add(out, part.body, part.len);
		else if (add_segments(&inner, &part, out, f) == -1)
			return -1;
	}
	return rc;
}

int
ber_octets(const struct ber *b, const struct ber_item *item, struct buf *out, struct fail *f)
{
	if (!(item->tag & BER_CONSTRUCTED)) {
		buf_add(out, item->body, item->len);
		return 0;
	}
	is_loose(b);
	return add_segments(b, item, out, f);
}

int
ber_end(const struct ber *b, const char *what, struct fail *f)
{
	if (b->p == b->end)
		return 0;
	return ber_fail(b, b->p, f, "%zu octets behind the end of %s", (size_t)(b->end - b->p), what);
}

static void
put_length(struct buf *b, size_t len)
{
	char octets[sizeof len];
	int n = 0;

	if (len < 0x80) {
		buf_putc(b, (char)len);
		return;
	}
	for (; len > 0; len >>= 8)
		octets[n++] = (char)(len & 0xff);
	buf_putc(b, (char)(0x80 | n));
	while (n > 0)
		buf_putc(b, octets[--n]);
}

void
ber_put(struct buf *b, unsigned tag, const void *p, size_t len)
{
	buf_putc(b, (char)tag);
	put_length(b, len);
	buf_add(b, p, len);
}

void
ber_put_number(struct buf *b, uint64_t n)
{
	uint8_t octets[sizeof n + 1] = { 0 };
	size_t i, at = sizeof octets - 1;

	for (i = sizeof octets - 1; i > 0; i--, n >>= 8)
		if ((octets[i] = n & 0xff) != 0)
			at = i;
	if (octets[at] & 0x80)
		at--;
	ber_put(b, BER_INTEGER, octets + at, sizeof octets - at);
}
