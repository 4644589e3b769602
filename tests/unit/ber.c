#include "ber.h"

#include <stdlib.h>

#include "unit.h"

#define BYTES(s) (s), sizeof(s) - 1

/* One step over what is there. */
static void
test_next(void)
{
	static const struct {
		const char *what, *in;
		size_t n, len, left;	/* octets in, of the contents, behind the element */
		int loose;
		const char *error;
	} rows[] = {
		{ "a short length", BYTES("\x04\x02" "ab" "c"), 2, 1, 0, NULL },
		{ "no contents", BYTES("\x05\x00"), 0, 0, 0, NULL },
		{ "a long length", BYTES("\x04\x81\x02" "ab"), 2, 0, 1, NULL },
		{ "a length with zeros before", BYTES("\x04\x84\x00\x00\x00\x02" "ab"), 2, 0, 1, NULL },
		{ "a length of nine octets, eight of them zeros", BYTES("\x04\x89\0\0\0\0\0\0\0\0\x01" "a"), 1, 0, 1,
		    NULL },
		{ "an indefinite length", BYTES("\x30\x80\x02\x01\x07\0\0" "c"), 3, 1, 1, NULL },
		{ "one in another", BYTES("\x30\x80\x30\x80\x05\x00\0\0\0\0"), 6, 0, 1, NULL },
		{ "zeros that are contents", BYTES("\x30\x80\x04\x02\0\0\0\0"), 4, 0, 1, NULL },
		{ "a tag alone", BYTES("\x04"), 0, 0, 0, "offset 0: cut short behind a tag" },
		{ "a large tag", BYTES("\x1f\x81\x01\x00"), 0, 0, 0, "offset 0: a tag number over 30" },
		{ "one octet too few", BYTES("\x04\x03" "ab"), 0, 0, 0,
		    "offset 0: a length of 3 octets where 2 are left" },
		{ "a length of 4 GiB", BYTES("\x04\x84\xff\xff\xff\xff" "ab"), 0, 0, 0,
		    "offset 0: a length of 4294967295 octets where 2 are left" },
		{ "a length of 2^64 - 1", BYTES("\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff" "ab"), 0, 0, 0,
		    "offset 0: a length of 18446744073709551615 octets where 2 are left" },
		{ "a length of nine octets", BYTES("\x04\x89\x01\xff\xff\xff\xff\xff\xff\xff\xff" "ab"), 0, 0, 0,
		    "offset 0: a length beyond all measure" },
		{ "cut within a length", BYTES("\x04\x84\x00\x00"), 0, 0, 0, "offset 0: cut short within a length" },
		{ "a length of 127 octets", BYTES("\x04\xff\x00\x00"), 0, 0, 0, "offset 0: cut short within a length" },
		{ "no end of contents", BYTES("\x30\x80\x05\x00"), 0, 0, 0,
		    "offset 4: the end comes before that of an indefinite length" },
		{ "half an end of contents", BYTES("\x30\x80\x00"), 0, 0, 0, "offset 2: cut short behind a tag" },
		{ "an indefinite length of a string", BYTES("\x04\x80" "ab\0\0"), 0, 0, 0,
		    "offset 0: an indefinite length where nothing can stand in it" },
		{ "damage within", BYTES("\x30\x80\x04\x09" "ab\0\0"), 0, 0, 0,
		    "offset 2: a length of 9 octets where 4 are left" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct ber_item item;
		struct ber b;
		int loose = 0, rc;

		ber_init(&b, rows[i].in, rows[i].n, &loose);
		rc = ber_next(&b, &item, &f);
		unit_str(rc == -1 ? f.text : NULL, rows[i].error, "%s: failure", rows[i].what);
		if (rc == -1)
			continue;
		unit_int(item.len, rows[i].len, "%s: contents", rows[i].what);
		unit_int(b.end - b.p, rows[i].left, "%s: what is left", rows[i].what);
		unit_int(loose, rows[i].loose, "%s: DER?", rows[i].what);
		unit_ok((const char *)item.whole == rows[i].in && item.wholelen == rows[i].n - rows[i].left,
		    "%s: the whole", rows[i].what);
	}
}

static void
test_walk(void)
{
	static const char in[] = "\x30\x08\x02\x01\x07\x04\x03" "abc" "\x05\x00";
	struct fail f = FAIL_INIT;
	struct ber_item item;
	struct ber b, inner;
	uint64_t n = 0;

	ber_init(&b, in, sizeof in - 1, NULL);
	unit_ok(ber_is_next(&b, BER_SEQUENCE) && !ber_is_next(&b, BER_SET), "what comes next");
	unit_int(ber_need_in(&b, BER_SEQUENCE, "a list", &inner, &f), 0, "into a list");
	unit_int(ber_number(&inner, "a number", &n, &f), 0, "a number in it");
	unit_int(n, 7, "is that");
	unit_int(ber_end(&inner, "the list", &f), -1, "not its end");
	unit_str(f.text, "offset 5: 5 octets behind the end of the list", "with the offset");
	unit_int(ber_need(&inner, BER_NULL, "nothing", &item, &f), -1, "another tag");
	unit_str(f.text, "offset 5: expected nothing (tag 0x05), found tag 0x04", "is named");
	unit_int(ber_end(&inner, "the list", &f), 0, "it is at the end then");
	unit_int(ber_need(&inner, BER_NULL, "nothing", &item, &f), -1, "nothing more");
	unit_str(f.text, "offset 10: expected nothing, found the end", "is said");
	unit_int(ber_next(&inner, &item, &f), 0, "the end");
	unit_int(ber_need(&b, BER_NULL, "nothing", &item, &f), 0, "behind the list it goes on");
	ber_init(&b, NULL, 0, NULL);
	unit_int(ber_next(&b, &item, &f), 0, "no octets at all are an end");
}

static void
test_numbers(void)
{
	static const struct {
		const char *what, *in;
		size_t n;
		uint64_t number;
		const char *error;
	} rows[] = {
		{ "zero", BYTES("\x02\x01\x00"), 0, NULL },
		{ "128", BYTES("\x02\x02\x00\x80"), 128, NULL },
		{ "the largest", BYTES("\x02\x08\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX, NULL },
		{ "zeros before", BYTES("\x02\x0a\0\0\0\0\0\0\0\0\x01\x00"), 256, NULL },
		{ "one bit more", BYTES("\x02\x09\x00\x80\0\0\0\0\0\0\0"), 0,
		    "offset 0: n: a number of more than 63 bits" },
		{ "many octets", BYTES("\x02\x0c\x01\0\0\0\0\0\0\0\0\0\0\0"), 0,
		    "offset 0: n: a number of more than 63 bits" },
		{ "negative", BYTES("\x02\x01\x80"), 0, "offset 0: n: a negative number" },
		{ "no octet", BYTES("\x02\x00"), 0, "offset 0: n: a number without an octet" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		uint64_t n = 0;
		struct ber b;
		int rc;

		ber_init(&b, rows[i].in, rows[i].n, NULL);
		rc = ber_number(&b, "n", &n, &f);
		unit_str(rc == -1 ? f.text : NULL, rows[i].error, "%s: failure", rows[i].what);
		unit_ok(n == rows[i].number, "%s: number", rows[i].what);
	}
}

static void
test_octets(void)
{
	static const struct {
		const char *what, *in;
		size_t n;
		const char *octets, *error;
	} rows[] = {
		{ "whole", BYTES("\x04\x02" "ab"), "ab", NULL },
		{ "empty", BYTES("\x04\x00"), "", NULL },
		{ "in segments", BYTES("\x24\x08\x04\x02" "ab" "\x04\x02" "cd"), "abcd", NULL },
		{ "of indefinite length", BYTES("\x24\x80\x04\x02" "ab" "\x04\x00\x04\x01" "c\0\0"), "abc", NULL },
		{ "segments in segments", BYTES("\x24\x80\x24\x80\x04\x01" "a\0\0\x24\x03\x04\x01" "b\0\0"), "ab", NULL },
		{ "a segment of another type", BYTES("\x24\x03\x0c\x01" "a"), NULL,
		    "offset 2: expected a segment of an OCTET STRING" },
		{ "damage in a segment", BYTES("\x24\x03\x04\x05" "a"), NULL,
		    "offset 2: a length of 5 octets where 1 are left" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct buf out = BUF_INIT;
		struct ber_item item;
		struct ber b;
		int rc;

		ber_init(&b, rows[i].in, rows[i].n, NULL);
		unit_int(ber_need(&b, BER_OCTETS, "a string", &item, &f), 0, "%s: is there", rows[i].what);
		buf_puts(&out, "");
		rc = ber_octets(&b, &item, &out, &f);
		unit_str(rc == -1 ? NULL : out.p, rows[i].octets, "%s: octets", rows[i].what);
		unit_str(rc == -1 ? f.text : NULL, rows[i].error, "%s: failure", rows[i].what);
		buf_clear(&out);
	}
}

/* Elements in one another, with definite lengths and without: so deep and no deeper. */
static void
test_depth(void)
{
	struct buf in = BUF_INIT, outer = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct ber b, inner;
	int depth, rc = 0;

	for (depth = 0; depth < 1000; depth++) {
		buf_clear(&outer);
		ber_put(&outer, BER_SEQUENCE, in.p, in.len);
		buf_clear(&in);
		in = outer;
		outer = (struct buf)BUF_INIT;
	}
	ber_init(&b, in.p, in.len, NULL);
	for (depth = 0; rc == 0; depth++) {
		rc = ber_need_in(&b, BER_SEQUENCE, "a list", &inner, &f);
		b = inner;
	}
	unit_int(depth, BER_DEPTH_MAX + 1, "so many levels");
	unit_ok(strstr(f.text, "more than 64 elements in one another") != NULL, "and it is said");
	buf_clear(&in);
	for (depth = 0; depth < 1000000; depth++)
		buf_add(&in, "\x24\x80", 2);
	ber_init(&b, in.p, in.len, NULL);
	unit_int(ber_need_in(&b, 0x24, "a string", &inner, &f), -1, "a million indefinite ones");
	unit_str(f.text, "offset 128: more than 64 elements in one another", "are not counted to the end");
	buf_clear(&in);
}

/* What is put is what comes back, in DER. */
static void
test_put(void)
{
	static const uint64_t numbers[] = { 0, 1, 127, 128, 255, 256, 32767, 32768, 2048, 4294967296,
		INT64_MAX };
	static const size_t lengths[] = { 0, 1, 127, 128, 255, 256, 65535, 65536 };
	struct ber_item item;
	uint64_t n;
	struct ber b;
	size_t i;
	int loose = 0;

	for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		struct buf out = BUF_INIT;

		ber_put_number(&out, numbers[i]);
		ber_init(&b, out.p, out.len, &loose);
		unit_ok(ber_number(&b, "n", &n, NULL) == 0 && n == numbers[i] && b.p == b.end,
		    "the number %llu", (unsigned long long)numbers[i]);
		unit_ok(out.len == 3 || out.p[2] != 0 || (out.p[3] & 0x80), "without an octet too many");
		buf_clear(&out);
	}
	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct buf out = BUF_INIT;
		char *body = calloc(1, lengths[i] + 1);

		ber_put(&out, BER_OCTETS, body, lengths[i]);
		ber_init(&b, out.p, out.len, &loose);
		unit_ok(ber_next(&b, &item, NULL) == 1 && item.len == lengths[i] && b.p == b.end,
		    "%zu octets", lengths[i]);
		buf_clear(&out);
		free(body);
	}
	unit_int(loose, 0, "all of it is DER");
}

int
main(void)
{
	test_next();
	test_walk();
	test_numbers();
	test_octets();
	test_depth();
	test_put();
	return unit_done();
}
