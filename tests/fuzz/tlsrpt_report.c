/*
 * Reports as they come in, packed or not, alone or in a message: bounded whatever comes, and what was understood gives
 * the same again.
 */
#include "tlsrpt_report.h"

#include "fuzz.h"
#include "gzip.h"
#include "text.h"
#include "tlsrpt_mail.h"

static void
parse(const char *s, size_t n)
{
	struct tlsrpt_report r, again;
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct fail f = FAIL_INIT;
	size_t i;

	if (tlsrpt_report_parse(&r, s, n, &f) == -1) {
		MUST(f.kind == FAIL_INPUT && r.policy == NULL);
		return;
	}
	for (i = 0; i < r.npolicies; i++)
		MUST(r.policy[i].good <= TLSRPT_COUNT_MAX && r.policy[i].failed <= TLSRPT_COUNT_MAX);
	tlsrpt_report_put(&a, &r);
	MUST(tlsrpt_report_parse(&again, a.p, a.len, &f) == 0);
	tlsrpt_report_put(&b, &again);
	MUST(strcmp(a.p, b.p) == 0);
	tlsrpt_report_clear(&r);
	tlsrpt_report_clear(&again);
	buf_clear(&a);
	buf_clear(&b);
}

static void
unpack(const char *s, size_t n)
{
	struct buf b = BUF_INIT;

	if (!gzip_is(s, n))
		parse(s, n);
	else if (gzip_unpack(&b, s, n, 100000, NULL) == 0)
		parse(b.p != NULL ? b.p : "", b.len);
	MUST(b.len <= 100000);
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *s = (const char *)data;
	struct buf b = BUF_INIT;

	if (tlsrpt_mail_is(s, n) && tlsrpt_mail_find(&b, s, n, 100000, NULL) == 0)
		unpack(b.p != NULL ? b.p : "", b.len);
	else
		unpack(s, n);
	MUST(b.len <= 100000);
	buf_clear(&b);
	return 0;
}
