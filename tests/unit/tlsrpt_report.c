/* Reports by hand from RFC 8460 4.4 and appendix B; what is refused, and where it says so. */
#include "tlsrpt_report.h"

#include <stdlib.h>

#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char example[] =
    "{\"organization-name\":\"Company-X\",\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\","
    "\"end-datetime\":\"2016-04-01T23:59:59Z\"},\"contact-info\":\"sts-reporting@company-x.example\","
    "\"report-id\":\"5065427c-23d3-47ca-b6e0-946ea0e8c4be\",\"policies\":[{\"policy\":{\"policy-type\":\"sts\","
    "\"policy-string\":[\"version: STSv1\",\"mode: testing\",\"mx: *.mail.company-y.example\",\"max_age: 86400\"],"
    "\"policy-domain\":\"company-y.example\",\"mx-host\":[\"*.mail.company-y.example\"]},"
    "\"summary\":{\"total-successful-session-count\":5326,\"total-failure-session-count\":303},"
    "\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"2001:db8:abcd:0012::1\","
    "\"receiving-mx-hostname\":\"mx1.mail.company-y.example\",\"receiving-mx-helo\":\"mx1\","
    "\"receiving-ip\":\"203.0.113.56\",\"failed-session-count\":100,"
    "\"additional-information\":\"https://reports.company-x.example/?id=1\",\"failure-reason-code\":\"X\"},"
    "{\"result-type\":\"starttls-not-supported\",\"failed-session-count\":203}]}]}";

static char *
printed(const struct tlsrpt_report *r)
{
	json_t *o = tlsrpt_report_json(r);
	char *text = json_dumps(o, JSON_COMPACT);

	json_decref(o);
	return text;
}

static void
test_example(void)
{
	struct tlsrpt_report r;
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	char *text;

	unit_int(tlsrpt_report_parse(&r, example, sizeof example - 1, &f), 0, "the example of the RFC: %s", f.text);
	unit_int(r.start, 1459468800, "begin");
	unit_int(r.end, 1459555199, "end");
	unit_int((long long)r.policy[0].failure[0].count, 100, "a count");
	text = printed(&r);
	unit_str(text, example, "written again it is the same");
	free(text);
	tlsrpt_report_filename(&b, &r, "mail.sender.example", "exam/ple.net");
	unit_str(b.p, "mail.sender.example!exam_ple.net!1459468800!1459555199", "the file's name");
	buf_clear(&b);
	tlsrpt_report_clear(&r);
}

#define P(policy, summary) "{\"policies\":[{\"policy\":" policy ",\"summary\":" summary "}]}"
#define GOOD "{\"total-successful-session-count\":1,\"total-failure-session-count\":0}"
#define WITH(key, value) "{\"" key "\":" value ",\"policies\":[]}"
#define D(details) "{\"policies\":[{\"policy\":{},\"summary\":" GOOD ",\"failure-details\":" details "}]}"

static void
test_rows(void)
{
	static const struct {
		const char *in, *out;	/* out: JSON again, or what is wrong */
	} rows[] = {
		{ "{\"policies\":[]}", "{\"date-range\":{},\"policies\":[]}" },
		{ "\xef\xbb\xbf{\"policies\":[]}", "{\"date-range\":{},\"policies\":[]}" },
		{ P("{\"policy-string\":\"x\",\"mx-host\":\"y\"}", GOOD),
			"{\"date-range\":{},\"policies\":[{\"policy\":{\"policy-string\":[\"x\"],\"mx-host\":[\"y\"]},"
			"\"summary\":" GOOD "}]}" },
		{ WITH("date-range", "{\"start-datetime\":\"2016-04-01T02:00:00.25+02:00\"}"),
			"{\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\"},\"policies\":[]}" },
		{ WITH("date-range", "{\"start-datetime\":\"2016-04-01T00:00:00-01:30\"}"),
			"{\"date-range\":{\"start-datetime\":\"2016-04-01T01:30:00Z\"},\"policies\":[]}" },
		{ D("{\"failed-session-count\":7}"),
			"{\"date-range\":{},\"policies\":[{\"policy\":{},\"summary\":" GOOD
			",\"failure-details\":[{\"failed-session-count\":7}]}]}" },
		{ "", "not JSON: line 1: '[' or '{' expected near end of file" },
		{ "[]", "not a report: expected an object" },
		{ "{}", "policies: expected an array" },
		{ "{\"policies\":{}}", "policies: expected an array" },
		{ "{\"policies\":[1]}", "policies[0]: policy: expected an object" },
		{ "{\"policies\":[{\"policy\":{}}]}", "policies[0]: summary: expected an object" },
		{ P("{}", "{}"), "policies[0]: summary: total-successful-session-count: expected a number of sessions" },
		{ P("{}", "{\"total-successful-session-count\":-1}"),
			"policies[0]: summary: total-successful-session-count: expected a number of sessions" },
		{ P("{}", "{\"total-successful-session-count\":1.5}"),
			"policies[0]: summary: total-successful-session-count: expected a number of sessions" },
		{ P("{}", "{\"total-successful-session-count\":9007199254740993}"),
			"policies[0]: summary: total-successful-session-count: expected a number of sessions" },
		{ P("{}", "{\"total-successful-session-count\":99999999999999999999}"),
			"not JSON: line 1: too big integer near '99999999999999999999'" },
		{ P("{\"policy-type\":1}", GOOD), "policies[0]: policy: policy-type: expected a string" },
		{ P("{\"mx-host\":[1]}", GOOD), "policies[0]: policy: mx-host: expected an array of strings" },
		{ P("{\"policy-string\":{}}", GOOD), "policies[0]: policy: policy-string: expected an array of strings" },
		{ D("1"), "policies[0]: failure-details: expected an array" },
		{ D("[{\"failed-session-count\":1},{}]"),
			"policies[0]: failure-details[1]: failed-session-count: expected a number of sessions" },
		{ WITH("report-id", "[]"), "report-id: expected a string" },
		{ WITH("date-range", "[]"), "date-range: expected an object" },
		{ WITH("date-range", "{\"end-datetime\":\"yesterday\"}"),
			"date-range: end-datetime: expected a time such as 2016-04-01T00:00:00Z" },
		{ WITH("date-range", "{\"end-datetime\":\"2016-02-30T00:00:00Z\"}"),
			"date-range: end-datetime: expected a time such as 2016-04-01T00:00:00Z" },
		{ WITH("policies", "[]"), "not JSON: line 1: duplicate object key near '\"policies\"'" },
		{ WITH("report-id", "\"a\\u0000b\""), "not JSON: line 1: \\\\u0000 is not allowed without JSON_ALLOW_NUL near '\"a\\\\u0000b\"'" },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct tlsrpt_report r;
		struct fail f = FAIL_INIT;
		char *text = NULL;

		if (tlsrpt_report_parse(&r, rows[i].in, strlen(rows[i].in), &f) == 0) {
			text = printed(&r);
			tlsrpt_report_clear(&r);
		}
		unit_str(text != NULL ? text : f.text, rows[i].out, "%s", rows[i].in);
		free(text);
	}
}

/* What a few megabytes could become. */
static void
test_bounds(void)
{
	struct tlsrpt_report r;
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < 1000000; i++)
		buf_putc(&b, '[');
	unit_int(tlsrpt_report_parse(&r, b.p, b.len, &f), -1, "deep");
	unit_str(f.text, "offset 16: nested deeper than 16", "so it says");
	buf_clear(&b);
	buf_puts(&b, "{\"policies\":[");
	for (i = 0; i < TLSRPT_VALUES_MAX + 10; i++)
		buf_puts(&b, "0,");
	unit_int(tlsrpt_report_parse(&r, b.p, b.len, &f), -1, "many");
	unit_ok(strstr(f.text, "more than 500000 values") != NULL, "so it says: %s", f.text);
	buf_clear(&b);
	buf_puts(&b, "{\"x\":\"");
	for (i = 0; i < 100000; i++)
		buf_puts(&b, "[,{\\\"");
	buf_puts(&b, "\",\"policies\":[]}");
	f = (struct fail)FAIL_INIT;
	unit_int(tlsrpt_report_parse(&r, b.p, b.len, &f), 0, "in strings nothing counts: %s", f.text);
	tlsrpt_report_clear(&r);
	buf_clear(&b);
	unit_int((long long)tlsrpt_add(TLSRPT_COUNT_MAX, 1), TLSRPT_COUNT_MAX, "sums stay what can be said");
}

static void
test_names(void)
{
	int i;

	for (i = 0; i < TLSRPT_RESULTS; i++)
		unit_int(tlsrpt_result_find(tlsrpt_result_name((enum tlsrpt_result)i)), i, "result %d", i);
	for (i = 0; i < TLSRPT_TYPES; i++)
		unit_int(tlsrpt_type_find(tlsrpt_type_name((enum tlsrpt_type)i)), i, "type %d", i);
	unit_int(tlsrpt_result_find("tlsa"), -1, "no result");
	unit_int(tlsrpt_type_find("good"), -1, "no type");
}

int
main(void)
{
	test_example();
	test_rows();
	test_bounds();
	test_names();
	return unit_done();
}
