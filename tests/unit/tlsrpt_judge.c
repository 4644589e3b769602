/* What a session is for a report, and under which policies it counts: rows by hand from RFC 8460 4.3, RFC 7672, RFC 8461. */
#include "tlsrpt_judge.h"

#include <stdlib.h>

#include "alloc.h"
#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct finding good = { .result = VERIFY_MATCH };
static struct finding name = { .result = VERIFY_NO_MATCH, .reason = VERIFY_REASON_NAME, .why = "N" };
static struct finding expired = { .result = VERIFY_NO_MATCH, .reason = VERIFY_REASON_EXPIRED, .why = "E" };
static struct finding unknown = { .result = VERIFY_NO_MATCH, .reason = VERIFY_REASON_UNKNOWN_CA, .why = "U" };

static void
test_sessions(void)
{
	static const struct {
		enum plan_need need;
		enum plan_testing testing;
		enum seen_end end;
		const struct finding *chain;	/* NULL: no TLS */
		const char *fell_back;
		const char *result;		/* NULL: not counted */
	} rows[] = {
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_READY, &good, NULL, "good" },
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_READY, &unknown, NULL, "certificate-not-trusted" },
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_READY, &name, NULL, "certificate-host-mismatch" },
		{ PLAN_STS, PLAN_TESTING_NONE, SEEN_READY, &expired, NULL, "certificate-expired" },
		{ PLAN_STS, PLAN_TESTING_NONE, SEEN_READY, &good, NULL, "good" },
		{ PLAN_PKIX, PLAN_TESTING_NONE, SEEN_READY, &unknown, NULL, "certificate-not-trusted" },
		{ PLAN_MAY, PLAN_TESTING_NONE, SEEN_READY, &unknown, NULL, "good" },
		{ PLAN_ENCRYPT, PLAN_TESTING_NONE, SEEN_READY, &unknown, NULL, "good" },
		{ PLAN_MAY, PLAN_TESTING_FITS, SEEN_READY, &unknown, NULL, "certificate-not-trusted" },
		{ PLAN_MAY, PLAN_TESTING_FITS, SEEN_READY, &good, NULL, "good" },
		{ PLAN_MAY, PLAN_TESTING_MISFIT, SEEN_READY, &good, NULL, "validation-failure" },
		{ PLAN_MAY, PLAN_TESTING_FITS, SEEN_NO_STARTTLS, NULL, NULL, "starttls-not-supported" },
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_NO_STARTTLS, NULL, NULL, "starttls-not-supported" },
		{ PLAN_MAY, PLAN_TESTING_NONE, SEEN_STARTTLS_REFUSED, NULL, NULL, "starttls-not-supported" },
		{ PLAN_MAY, PLAN_TESTING_NONE, SEEN_HANDSHAKE_FAILED, NULL, NULL, "validation-failure" },
		{ PLAN_MAY, PLAN_TESTING_NONE, SEEN_INJECTION, NULL, NULL, "validation-failure" },
		{ PLAN_MAY, PLAN_TESTING_NONE, SEEN_READY, NULL, "handshake", "validation-failure" },
		/* TLS was there before the session ended otherwise. */
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_TEMPORARY, &good, NULL, "good" },
		{ PLAN_CLEAR, PLAN_TESTING_NONE, SEEN_READY, NULL, NULL, NULL },
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_NO_CONNECTION, NULL, NULL, NULL },
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_TEMPORARY, NULL, NULL, NULL },
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_REFUSED, NULL, NULL, NULL },
		{ PLAN_DANE, PLAN_TESTING_NONE, SEEN_PROTOCOL, NULL, NULL, NULL },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct facts_host fh = { .name = NULL };
		struct plan_host h = { .host = &fh, .need = rows[i].need, .testing = rows[i].testing };
		struct proof p = { .by_domain = 0 };
		struct seen s = { .end = rows[i].end, .tls = rows[i].chain != NULL, .text = "", .proof = &p,
			.fell_back = rows[i].fell_back };
		enum tlsrpt_result result;
		const char *why;

		if (rows[i].chain != NULL)
			p.dane = p.sts = p.level = *rows[i].chain;
		unit_str(tlsrpt_judge(&h, &s, &result, &why) ? tlsrpt_result_name(result) : NULL, rows[i].result, "row %zu", i);
	}
}

static void
test_skips(void)
{
	static const struct {
		enum plan_act act;
		enum plan_need need;
		enum facts_tlsa tlsa;
		int by_records;
		const char *record;
		const char *result;
	} rows[] = {
		{ PLAN_SKIP, PLAN_DANE, FACTS_TLSA_FAILED, 0, NULL, "dnssec-invalid" },
		{ PLAN_SKIP, PLAN_DANE, FACTS_TLSA_ABSENT, 0, NULL, "dane-required" },
		{ PLAN_SKIP, PLAN_DANE, FACTS_TLSA_FOUND, 1, "0 0 1 00", "tlsa-invalid" },
		{ PLAN_SKIP, PLAN_DANE, FACTS_TLSA_FOUND, 1,
			"3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "dane-required" },
		{ PLAN_SKIP, PLAN_STS, FACTS_TLSA_ABSENT, 0, NULL, "validation-failure" },
		{ PLAN_SKIP, PLAN_MAY, FACTS_TLSA_ABSENT, 0, NULL, NULL },
		{ PLAN_UNSURE, PLAN_MAY, FACTS_TLSA_ABSENT, 0, NULL, NULL },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct tlsa t = TLSA_INIT;
		struct facts_host fh = { .tlsa_state = rows[i].tlsa, .tlsa = &t, .ntlsa = rows[i].record != NULL };
		struct plan_host h = { .host = &fh, .act = rows[i].act, .need = rows[i].need, .by_records = rows[i].by_records };
		enum tlsrpt_result result;
		const char *why;

		if (rows[i].record != NULL)
			tlsa_parse(&t, rows[i].record, NULL);
		unit_str(tlsrpt_judge(&h, NULL, &result, &why) ? tlsrpt_result_name(result) : NULL, rows[i].result, "skip %zu", i);
		tlsa_clear(&t);
	}
}

static char *
counted(const struct facts *f, const struct plan_host *h, enum tlsrpt_result result)
{
	struct plan p = { .facts = f };
	struct tlsrpt_session x = { .result = result };
	struct tlsrpt_sums sums;
	struct buf all = BUF_INIT, b = BUF_INIT;
	char *line, *rest;

	tlsrpt_sums_init(&sums, 0, 1);
	tlsrpt_count(&sums, &p, h, &x);
	tlsrpt_sums_put(&all, &sums);
	for (rest = all.p; (line = strsep(&rest, "\n")) != NULL;)
		if (strncmp(line, "policy", 6) == 0 || strncmp(line, "failure", 7) == 0)
			buf_printf(&b, "%s\n", line);
	tlsrpt_sums_clear(&sums);
	buf_clear(&all);
	return buf_steal(&b);
}

static void
test_policies(void)
{
	static char uri[] = "mailto:a@b.test", domain[] = "d.test", host[] = "mx.d.test", base[] = "base.test";
	struct tlsrpt_uri rua = { .uri = uri };
	struct facts f = { .domain = domain };
	struct facts_host fh = { .name = host, .tlsa_base = base };
	struct plan_host h = { .host = &fh, .need = PLAN_MAY };
	char *text;

#define CHECK(result, want) \
	do { \
		text = counted(&f, &h, result); \
		unit_str(text, want, "%s", want); \
		free(text); \
	} while (0)
	CHECK(TLSRPT_GOOD, "");
	f.tlsrpt_state = FACTS_TLSRPT_FOUND;
	f.tlsrpt.rua = &rua;
	f.tlsrpt.n = 1;
	CHECK(TLSRPT_GOOD, "policy no-policy-found d.test 1 0\n");
	f.sts_state = FACTS_STS_FOUND;
	h.testing = PLAN_TESTING_FITS;
	CHECK(TLSRPT_GOOD, "policy sts d.test 1 0\n");
	h.testing = PLAN_TESTING_NONE;
	h.need = PLAN_STS;
	CHECK(TLSRPT_VALIDATION_FAILURE,
	    "policy sts d.test 0 1\nfailure validation-failure 1 \"\" mx.d.test \"\" \"\" \"\"\n");
	h.need = PLAN_DANE;
	CHECK(TLSRPT_GOOD, "policy tlsa base.test 1 0\n");
	h.need = PLAN_ENCRYPT;
	h.by_records = 1;
	f.sts_state = FACTS_STS_NONE;
	f.sts_fault = FACTS_STS_UNTRUSTED;
	CHECK(TLSRPT_GOOD, "policy tlsa base.test 0 1\nfailure tlsa-invalid 1 \"\" mx.d.test \"\" \"\" \"\"\n"
	    "policy sts d.test 0 1\nfailure sts-webpki-invalid 1 \"\" \"\" \"\" \"\" \"\"\npolicy no-policy-found d.test 1 0\n");
#undef CHECK
}

int
main(void)
{
	test_sessions();
	test_skips();
	test_policies();
	return unit_done();
}
