/* What is counted, the bounds of it, and that it survives being written down. */
#include "tlsrpt_sums.h"

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#define DAY INT64_C(1795219200)	/* 2026-11-21 */

static char uri[] = "mailto:a@b.example", other_uri[] = "https://c.example/x";
static char *const uris[] = { uri, other_uri };
static char record[] = "3 1 1 00ff", mx[] = "*.b.example";
static char *const strings[] = { record };
static char *const patterns[] = { mx };

static const struct tlsrpt_session tlsa = { .domain = "b.example", .uri = uris, .nuris = 2, .type = TLSRPT_TLSA,
	.policy_domain = "mx.b.example", .string = strings, .nstrings = 1 };
static const struct tlsrpt_session none = { .domain = "b.example", .uri = uris, .nuris = 2,
	.type = TLSRPT_NO_POLICY, .policy_domain = "b.example", .result = TLSRPT_STARTTLS_NOT_SUPPORTED,
	.sending_ip = "192.0.2.1", .mx = "mx.b.example", .helo = "mx b", .receiving_ip = "192.0.2.2",
	.reason = "502 \"no\"\n#" };

static char *
shown(const struct tlsrpt_sums *s)
{
	struct buf b = BUF_INIT;

	tlsrpt_sums_put(&b, s);
	return buf_steal(&b);
}

static void
test_sums(void)
{
	static const char want[] = "day 2026-11-21T00:00:00Z\nothers 0\ndomain b.example\nuri mailto:a@b.example 0 0\n"
	    "uri https://c.example/x 0 0\npolicy tlsa mx.b.example 2 0\nstring 3%201%201%2000ff\n"
	    "policy no-policy-found b.example 0 2\n"
	    "failure starttls-not-supported 2 192.0.2.1 mx.b.example mx%20b 192.0.2.2 502%20%22no%22%0A%23\n"
	    "domain x.example\nuri mailto:a@b.example 0 0\npolicy sts x.example 1 0\nmx *.b.example\n";
	struct tlsrpt_session sts = { .domain = "x.example", .uri = uris, .nuris = 1, .type = TLSRPT_STS,
		.policy_domain = "x.example", .pattern = patterns, .npatterns = 1 };
	struct tlsrpt_sums s, t;
	struct tlsrpt_domain *d;
	struct tlsrpt_report r;
	struct fail f = FAIL_INIT;
	char *text, *again;

	tlsrpt_sums_init(&s, DAY, 1);
	tlsrpt_sums_add(&s, &tlsa);
	tlsrpt_sums_add(&s, &none);
	tlsrpt_sums_add(&s, &sts);
	tlsrpt_sums_add(&s, &tlsa);
	tlsrpt_sums_add(&s, &none);
	text = shown(&s);
	unit_str(text, want, "sessions by domain and policy");
	unit_int(tlsrpt_sums_parse(&t, 2, "day", text, strlen(text), &f), 0, "read again: %s", f.text);
	again = shown(&t);
	unit_str(again, want, "it is the same");
	free(again);
	unit_ok((d = tlsrpt_sums_find(&t, "b.example")) != NULL && tlsrpt_sums_find(&t, "c.example") == NULL, "found");
	tlsrpt_sums_report(&t, d, &r);
	unit_int(r.start, DAY, "a report begins with its day");
	unit_int(r.end, DAY + 86399, "and ends with it");
	unit_int((long long)r.npolicies, 2, "with all policies");
	tlsrpt_domain_drop(d, 0);
	unit_str(d->target[0].uri, other_uri, "one URI is done with");
	tlsrpt_sums_remove(&t, d);
	unit_ok(tlsrpt_sums_find(&t, "b.example") == NULL && t.ndomains == 1, "the domain is done with");
	sts.uri = uris + 1;
	tlsrpt_sums_add(&t, &sts);
	unit_str(t.domain[0]->target[0].uri, other_uri, "the record of now counts");
	free(text);
	tlsrpt_sums_clear(&s);
	tlsrpt_sums_clear(&t);
}

static void
test_bounds(void)
{
	struct tlsrpt_session x = none;
	struct tlsrpt_sums s, t;
	struct fail f = FAIL_INIT;
	char name[32], *text, *again;
	uint64_t sum = 0;
	size_t i;

	tlsrpt_sums_init(&s, DAY, 1);
	x.mx = name;
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "mx%zu.example", i);
		tlsrpt_sums_add(&s, &x);
	}
	unit_int((long long)s.domain[0]->policy[0].nfailures, TLSRPT_SUMS_FAILURES + 1, "failures are bounded");
	for (i = 0; i < s.domain[0]->policy[0].nfailures; i++)
		sum += s.domain[0]->policy[0].failure[i].count;
	unit_int((long long)sum, 1000, "and their sum is right");
	x = none;
	x.policy_domain = name;
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "p%zu.example", i);
		tlsrpt_sums_add(&s, &x);
	}
	unit_int((long long)s.domain[0]->npolicies, TLSRPT_SUMS_POLICIES, "policies are bounded");
	unit_int((long long)s.others, 901, "what has no room is counted");
	x = tlsa;
	x.domain = name;
	for (i = 0; i < TLSRPT_SUMS_DOMAINS + 10; i++) {
		snprintf(name, sizeof name, "d%zu.example", i);
		tlsrpt_sums_add(&s, &x);
	}
	unit_int((long long)s.ndomains, TLSRPT_SUMS_DOMAINS, "domains are bounded");
	unit_int((long long)s.others, 912, "likewise");
	text = shown(&s);
	unit_int(tlsrpt_sums_parse(&t, 7, "day", text, strlen(text), &f), 0, "all of it is read again: %s", f.text);
	again = shown(&t);
	unit_ok(strcmp(text, again) == 0, "the same");
	free(text);
	free(again);
	tlsrpt_sums_clear(&s);
	tlsrpt_sums_clear(&t);
}

static void
test_wrong(void)
{
	static const struct {
		const char *in, *error;
	} rows[] = {
		{ "", "f:1: no line with day" },
		{ "day 2026-11-21T00:00:01Z\n", "f:1: day: expected its first second" },
		{ "day 2026-11-21\nuri x 0 0\n", "f:2: uri: no domain above" },
		{ "day 2026-11-21\npolicy sts x 0 0\n", "f:2: policy: no domain above" },
		{ "day 2026-11-21\ndomain a\nstring x\n", "f:3: string: no policy above" },
		{ "day 2026-11-21\ndomain a\npolicy dane x 0 0\n", "f:3: policy: expected tlsa, sts or no-policy-found" },
		{ "day 2026-11-21\ndomain a\ndomain a\n", "f:3: domain: too many, or one for the second time" },
		{ "day 2026-11-21\ndomain a\npolicy sts x 0 1\nfailure good 1 a b c d e\n",
			"f:4: failure: expected a result-type" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct tlsrpt_sums s;
		int rc = tlsrpt_sums_parse(&s, 1, "f", rows[i].in, strlen(rows[i].in), &f);

		unit_str(rc == -1 ? f.text : "taken", rows[i].error, "row %zu", i);
	}
	unit_int(tlsrpt_day(DAY + 86399), DAY, "the last second of a day");
	unit_int(tlsrpt_day(DAY - 1), DAY - 86400, "the one before");
}

int
main(void)
{
	test_sums();
	test_bounds();
	test_wrong();
	return unit_done();
}
