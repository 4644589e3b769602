/*
 * BER: walks and strings, over octets that anyone chose.
 */
#include "ber.h"

#include "fuzz.h"

/* Every element, into whatever is constructed; all of it must lie within the input. */
static void
walk(struct ber *b, const uint8_t *data, size_t n)
{
	struct fail f = FAIL_INIT;
	struct ber_item item;
	struct ber inner, again;
	struct buf out = BUF_INIT;
	uint64_t number;
	int rc;

	while ((rc = ber_next(b, &item, &f)) == 1) {
		MUST(item.whole >= data && item.whole + item.wholelen <= data + n);
		MUST(item.body >= item.whole && item.body + item.len <= item.whole + item.wholelen);
		again = *b;
		again.p = item.whole;
		if (ber_number(&again, "n", &number, &f) == 0)
			MUST(item.tag == BER_INTEGER && again.p == b->p && number <= INT64_MAX);
		if (ber_octets(b, &item, &out, &f) == 0)
			MUST(out.len <= item.len);
		buf_clear(&out);
		if ((item.tag & BER_CONSTRUCTED) && ber_enter(b, &item, &inner, &f) == 0)
			walk(&inner, data, n);
	}
	MUST(rc == 0 || f.kind == FAIL_INPUT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ber b;
	int loose = 0;

	/* An indefinite length is looked through once for each level that it stands in. */
	if (n > 4096)
		return 0;
	ber_init(&b, data, n, &loose);
	walk(&b, data, n);
	return 0;
}
