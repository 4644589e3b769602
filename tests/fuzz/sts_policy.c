/*
 * Policies of MTA-STS: what was read, written again and read again is the same.
 * fuzz: sts txtrec mailbox text fail alloc
 */
#include "sts.h"

#include "fuzz.h"

static void
put(struct buf *b, const struct sts_policy *p)
{
	size_t i;

	buf_printf(b, "version: STSv1\nmode: %s\nmax_age: %u\n", sts_mode_name(p->mode), p->max_age);
	for (i = 0; i < p->nmx; i++)
		buf_printf(b, "mx: %s\n", p->mx[i]);
}

static void
same(const struct sts_policy *p, const struct sts_policy *q)
{
	size_t i;

	MUST(p->mode == q->mode && p->max_age == q->max_age && p->nmx == q->nmx);
	for (i = 0; i < p->nmx; i++)
		MUST(strcmp(p->mx[i], q->mx[i]) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sts_policy p, q;
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;

	if (sts_policy_parse(&p, (const char *)data, n, &f) == -1) {
		MUST(f.kind == FAIL_INPUT && f.text[0] != '\0' && p.mx == NULL);
		return 0;
	}
	MUST(p.max_age <= STS_AGE_MAX && (p.nmx > 0 || p.mode == STS_NONE));
	sts_mx_matches(&p, "mail.example.org");
	put(&b, &p);
	/* Written by us a policy may be longer than it came. */
	if (b.len <= STS_POLICY_MAX) {
		MUST(sts_policy_parse(&q, b.p, b.len, NULL) == 0);
		same(&p, &q);
		sts_policy_clear(&q);
	}
	sts_policy_clear(&p);
	buf_clear(&b);
	return 0;
}
