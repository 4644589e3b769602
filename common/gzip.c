#include "gzip.h"

#include <string.h>
#include <zlib.h>

#include "alloc.h"

#define WITH_GZIP 16	/* added to the size of the window: RFC 1952 around it, and nothing else (zlib.h) */
#define PIECE 65536

/* zlib takes its input for writable; it is not written to. */
static Bytef *
bytes(const void *p)
{
	union {
		const void *in;
		void *out;
	} u = { .in = p };

	return u.out;
}

void
gzip_pack(struct buf *b, const void *p, size_t n)
{
	z_stream z = { .zalloc = NULL };
	char piece[PIECE];
	int rc;

	if (n > UINT32_MAX || deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + WITH_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		alloc_failed();
	z.next_in = bytes(p);
	z.avail_in = (uInt)n;
	do {
		z.next_out = (Bytef *)piece;
		z.avail_out = sizeof piece;
		rc = deflate(&z, Z_FINISH);
		buf_add(b, piece, sizeof piece - z.avail_out);
	} while (rc == Z_OK);
	deflateEnd(&z);
}

int
gzip_is(const void *p, size_t n)
{
	return n >= 2 && memcmp(p, "\x1f\x8b", 2) == 0;
}

/* One piece of output: 0 goes on, 1 the end of a member. */
static int
inflate_piece(z_stream *z, struct buf *b, size_t max, size_t begin, struct fail *f)
{
	char piece[PIECE];
	size_t got;
	int rc;

	z->next_out = (Bytef *)piece;
	z->avail_out = sizeof piece;
	rc = inflate(z, Z_NO_FLUSH);
	got = sizeof piece - z->avail_out;
	if (got > max - (b->len - begin))
		return fail(f, FAIL_INPUT, "gzip: it unpacks to more than %zu octets", max);
	buf_add(b, piece, got);
	if (rc == Z_STREAM_END)
		return 1;
	if (rc == Z_MEM_ERROR)
		alloc_failed();
	if (rc != Z_OK && rc != Z_BUF_ERROR)
		return fail(f, FAIL_INPUT, "gzip: damaged");
	if (z->avail_in == 0 && got < sizeof piece)
		return fail(f, FAIL_INPUT, "gzip: cut off");
	return 0;
}

int
gzip_unpack(struct buf *b, const void *p, size_t n, size_t max, struct fail *f)
{
	z_stream z = { .next_in = bytes(p), .avail_in = (uInt)n };
	size_t begin = b->len;
	int rc;

	if (n > UINT32_MAX || !gzip_is(p, n))
		return fail(f, FAIL_INPUT, "not gzip");
	if (inflateInit2(&z, MAX_WBITS + WITH_GZIP) != Z_OK)
		alloc_failed();
	/* Members in a row are one text (RFC 1952 2.2); other octets behind the last are padding, as for gzip(1). */
	while ((rc = inflate_piece(&z, b, max, begin, f)) >= 0)
		if (rc == 1 && (!gzip_is(z.next_in, z.avail_in) || inflateReset(&z) != Z_OK))
			break;
	inflateEnd(&z);
	return rc == -1 ? -1 : 0;
}
