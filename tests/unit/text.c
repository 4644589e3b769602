#include "text.h"

#include <limits.h>
#include <stdlib.h>

#include "fail.h"
#include "unit.h"

static void
test_buf(void)
{
	struct buf b = BUF_INIT;
	char *s;
	int i;

	buf_drop(&b, 0);
	unit_ok(b.p == NULL, "an empty buffer owns nothing");
	buf_add(&b, NULL, 0);
	unit_str(b.p, "", "and is a string once touched");
	buf_add(&b, "a\0b", 3);
	unit_ok(b.len == 3 && memcmp(b.p, "a\0b", 4) == 0, "bytes are counted");
	buf_drop(&b, 2);
	unit_str(b.p, "b", "dropped from the front");
	buf_printf(&b, "%05d", 42);
	buf_putc(&b, '!');
	buf_puts(&b, "?");
	unit_str(b.p, "b00042!?", "printf, putc, puts");
	buf_drop(&b, b.len);
	for (i = 0; i < 10000; i++)
		buf_puts(&b, "0123456789");
	unit_int(b.len, 100000, "it grows");
	unit_int(strlen(b.p), 100000, "and stays terminated");
	s = buf_steal(&b);
	unit_int(strlen(s), 100000, "stolen");
	unit_ok(b.p == NULL && b.len == 0 && b.size == 0, "and empty behind it");
	free(s);
	s = buf_steal(&b);
	unit_str(s, "", "an empty one gives an empty string");
	free(s);
	buf_wipe(&b);
	buf_puts(&b, "secret");
	buf_wipe(&b);
	unit_ok(b.p == NULL && b.len == 0, "wiped");
}

static void
test_escape(void)
{
	static const char in[] = "a b\\\0\r\n\x1b\x7f\xc3\xa9~ ";
	char *s = text_escape(in, sizeof in - 1);
	struct buf b = BUF_INIT;

	unit_str(s, "a b\\\\\\x00\\x0d\\x0a\\x1b\\x7f\\xc3\\xa9~ ", "escaped");
	free(s);
	s = text_escape(NULL, 0);
	unit_str(s, "", "nothing escaped");
	free(s);
	buf_escape(&b, "", 0);
	unit_str(b.p, "", "and terminated in a buffer too");
	buf_clear(&b);
}

static void
test_hex(void)
{
	static const struct {
		const char *in, *want;	/* want NULL: an error */
	} rows[] = {
		{ "", "" },
		{ " \t\r\n", "" },
		{ "00ff", "00ff" },
		{ "DEADbeef", "deadbeef" },
		{ "d e a\nd", "dead" },
		{ "abc", NULL },
		{ "0x00", NULL },
		{ "zz", NULL },
		{ "a\xc3\xa9", NULL },
	};
	struct fail f = FAIL_INIT;
	char got[64];
	uint8_t *p;
	size_t i, n;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		p = NULL;
		if (text_unhex(rows[i].in, &p, &n, &f) == -1) {
			unit_ok(rows[i].want == NULL && f.kind == FAIL_INPUT, "\"%zu\": %s", i,
			    f.text);
			continue;
		}
		text_hex(got, p, n);
		unit_str(got, rows[i].want, "row %zu", i);
		unit_int(n, strlen(got) / 2, "its length");
		unit_ok((p == NULL) == (n == 0), "NULL exactly where empty");
		free(p);
	}
	text_unhex("0 1x", &p, &n, &f);
	unit_str(f.text, "offset 3: expected a hexadecimal digit", "the offset is named");
}

static void
test_case(void)
{
	char s[] = "MX.Example \xc3\x84";

	unit_ok(text_case_eq("StartTLS", "STARTTLS"), "case does not count");
	unit_ok(!text_case_eq("a", "ab") && !text_case_eq("ab", "a") && text_case_eq("", ""),
	    "length does");
	unit_ok(!text_case_eq("[", "{") && !text_case_eq("@", "`"), "only letters fold");
	text_lower(s);
	unit_str(s, "mx.example \xc3\x84", "only ASCII is lowered");
}

static void
test_number(void)
{
	static const struct {
		const char *in;
		long long lo, hi, want;
		int ok;
	} rows[] = {
		{ "0", 0, 10, 0, 1 },
		{ "10", 0, 10, 10, 1 },
		{ "-5", -5, 10, -5, 1 },
		{ "11", 0, 10, 0, 0 },
		{ "-1", 0, 10, 0, 0 },
		{ "9223372036854775807", 0, LLONG_MAX, LLONG_MAX, 1 },
		{ "9223372036854775808", 0, LLONG_MAX, 0, 0 },
		{ "", 0, 10, 0, 0 },
		{ "-", -1, 10, 0, 0 },
		{ " 1", 0, 10, 0, 0 },
		{ "+1", 0, 10, 0, 0 },
		{ "1 ", 0, 10, 0, 0 },
		{ "0x1", 0, 10, 0, 0 },
		{ "1k", 0, 10, 0, 0 },
	};
	struct fail f = FAIL_INIT;
	long long n;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		n = 77;
		unit_int(text_number(rows[i].in, rows[i].lo, rows[i].hi, "n", &n, &f) == 0,
		    rows[i].ok, "number \"%s\": %s", rows[i].in, rows[i].ok ? "" : f.text);
		unit_int(n, rows[i].ok ? rows[i].want : 77, "its value");
	}
	text_number("99", 1, 10, "days", &n, &f);
	unit_str(f.text, "days: 99 is not within 1..10", "the error names it");
}

static void
test_size(void)
{
	static const struct {
		const char *in;
		long long lo, hi, want;	/* -1: an error */
	} rows[] = {
		{ "0", 0, 10, 0 }, { "64", 0, 100, 64 }, { "1K", 0, 1024, 1024 }, { "50M", 0, 1LL << 40, 52428800 },
		{ "2G", 0, 1LL << 40, 2147483648 }, { "2K", 0, 2047, -1 }, { "1K", 1025, 4096, -1 }, { "2K", 1025, 4096, 2048 },
		{ "K", 0, 10, -1 }, { "", 0, 10, -1 }, { "1k", 0, 4096, -1 }, { "1KK", 0, 1LL << 40, -1 }, { "-1K", 0, 10, -1 },
		{ "9223372036854775807G", 0, LLONG_MAX, -1 }, { "8589934592G", 0, LLONG_MAX, -1 },
	};
	struct fail f = FAIL_INIT;
	long long n;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		n = -1;
		text_size(rows[i].in, rows[i].lo, rows[i].hi, "t", &n, &f);
		unit_int(n, rows[i].want, "size \"%s\"", rows[i].in);
	}
}

static void
test_duration(void)
{
	static const struct {
		const char *in;
		long long want;	/* -1: an error */
	} rows[] = {
		{ "30", 30 }, { "30s", 30 }, { "5m", 300 }, { "12h", 43200 }, { "21d", 1814400 },
		{ "2w", 1209600 }, { "0", 0 }, { "", -1 }, { "s", -1 }, { "-1s", -1 }, { "1y", -1 },
		{ "1.5h", -1 }, { "1 h", -1 }, { "9223372036854775807w", -1 }, { "5ms", -1 },
		{ "00000000000000000000000000001s", -1 },
	};
	struct fail f = FAIL_INIT;
	long long n;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		n = -1;
		text_duration(rows[i].in, "t", &n, &f);
		unit_int(n, rows[i].want, "duration \"%s\"%s%s", rows[i].in, n == -1 ? ": " : "",
		    n == -1 ? f.text : "");
	}
}

static void
test_time(void)
{
	char t[TEXT_TIME_MAX], d[TEXT_DATE_MAX];

	unit_str(text_time(t, 0), "1970-01-01T00:00:00Z", "the beginning");
	unit_str(text_time(t, 1795255200), "2026-11-21T10:00:00Z", "later");
	unit_str(text_time(t, -1), "1969-12-31T23:59:59Z", "before");
	unit_str(text_date(d, 1795304337), "Sat, 21 Nov 2026 23:38:57 +0000", "as mail has it");
	unit_str(text_date(d, 951782399), "Mon, 28 Feb 2000 23:59:59 +0000", "and in another month");
	unit_str(text_date(d, INT64_MAX), "Thu, 1 Jan 1970 00:00:00 +0000", "and what it cannot have");
	unit_str(text_time(t, INT64_MAX), "@9223372036854775807", "past any calendar");
}

static void
test_address(void)
{
	static const char *const yes[] = { "192.0.2.1", "::1", "2001:db8::25", "::ffff:192.0.2.1" };
	static const char *const no[] = { "", "mx.example", "192.0.2", "192.0.2.256", "[::1]",
		"1.2.3.4.", "::1%lo" };
	size_t i;

	for (i = 0; i < sizeof yes / sizeof yes[0]; i++)
		unit_ok(text_is_address(yes[i]), "%s is an address", yes[i]);
	for (i = 0; i < sizeof no / sizeof no[0]; i++)
		unit_ok(!text_is_address(no[i]), "\"%s\" is none", no[i]);
}

static void
test_endpoint(void)
{
	static const struct {
		const char *in;
		uint16_t defport;
		const char *want;	/* "host port", NULL: an error */
	} rows[] = {
		{ "127.0.0.1@53", 0, "127.0.0.1 53" },
		{ "::1@53", 0, "::1 53" },
		{ "[::1]@53", 0, "::1 53" },
		{ "[mx.example]", 25, "mx.example 25" },
		{ "mx.example", 25, "mx.example 25" },
		{ "mx.example@65535", 25, "mx.example 65535" },
		{ "mx.example", 0, NULL },
		{ "mx.example@", 25, NULL },
		{ "mx.example@0", 25, NULL },
		{ "mx.example@65536", 25, NULL },
		{ "mx.example@smtp", 25, NULL },
		{ "@25", 25, NULL },
		{ "[]@25", 25, NULL },
		{ "", 25, NULL },
	};
	char name[TEXT_HOST_MAX + 10], got[TEXT_HOST_MAX + 10];
	struct fail f = FAIL_INIT;
	struct endpoint e;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (text_endpoint(rows[i].in, rows[i].defport, &e, &f) == -1) {
			unit_ok(rows[i].want == NULL && f.kind == FAIL_INPUT, "endpoint: %s",
			    f.text);
			continue;
		}
		snprintf(got, sizeof got, "%s %d", e.host, e.port);
		unit_str(got, rows[i].want, "endpoint \"%s\"", rows[i].in);
	}
	memset(name, 'a', sizeof name);
	name[TEXT_HOST_MAX - 1] = '\0';
	unit_int(text_endpoint(name, 25, &e, &f), 0, "255 octets of name");
	name[TEXT_HOST_MAX - 1] = 'a';
	name[TEXT_HOST_MAX] = '\0';
	unit_int(text_endpoint(name, 25, &e, &f), -1, "256 are too many");
}

static void
test_timestamp(void)
{
	static const struct {
		const char *in;
		int64_t out;	/* -1: refused */
	} rows[] = {
		{ "1970-01-01", 0 },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-11-21", 1795219200 },
		{ "2026-11-21T10:00:01Z", 1795255201 },
		{ "2024-02-29", 1709164800 },
		{ "2023-02-29", -1 },
		{ "2026-11-31", -1 },
		{ "2026-13-01", -1 },
		{ "2026-00-01", -1 },
		{ "2026-11-21T24:00:00Z", -1 },
		{ "2026-11-21T10:60:00Z", -1 },
		{ "2026-11-21T10:00:00", -1 },
		{ "2026-11-21T10:00:00+01:00", -1 },
		{ "2026-11-21 10:00:00Z", -1 },
		{ "2026-11-2", -1 },
		{ "21.11.2026", -1 },
		{ " 2026-11-21", -1 },
		{ "2026-11-21 ", -1 },
		{ "-026-11-21", -1 },
		{ "tomorrow", -1 },
		{ "", -1 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		int64_t t = -1;
		int rc = text_timestamp(rows[i].in, "--time", &t, &f);

		unit_int(rc == 0 ? t : -1, rows[i].out, "\"%s\"", rows[i].in);
		unit_ok(rc == 0 || (f.kind == FAIL_INPUT && strncmp(f.text, "--time: ", 8) == 0),
		    "\"%s\": %s", rows[i].in, f.text);
	}
}

static void
test_base64(void)
{
	static const struct { const char *in, *want; } rows[] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" },
		{ "Zm9v", "foo" }, { "Zm9vYg==", "foob" }, { "+/+/", "\xfb\xff\xbf" }, { "Zg=", NULL },
		{ "Zg", NULL }, { "Zh==", NULL }, { "Zm9=", NULL }, { "Z===", NULL }, { "====", NULL },
		{ "Zg==Zg==", NULL }, { "Zm9v\n", NULL }, { "Z-9v", NULL }, { "Zm9vYmFyYmF6", NULL } };
	uint8_t got[9];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		long n = text_unbase64(rows[i].in, got, 8);

		unit_int(n, rows[i].want != NULL ? (long)strlen(rows[i].want) : -1, "base64 \"%s\"", rows[i].in);
		unit_ok(n < 1 || memcmp(got, rows[i].want, n) == 0, "and its octets");
	}
}

static void
test_characters(void)
{
	static const struct {
		const char *in;
		int ascii, chars;
	} rows[] = {
		{ "", 1, 0 },
		{ "a~b", 1, 3 },
		{ "\x7f", 1, -1 },
		{ "b\xc3\xbc", 0, 2 },
		{ "\xc3", 0, -1 },
		{ "\x80", 0, -1 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unit_int(text_is_ascii(rows[i].in), rows[i].ascii, "row %zu: ASCII", i);
		unit_int(text_utf8_chars(rows[i].in), rows[i].chars, "row %zu: characters", i);
	}
}

int
main(void)
{
	test_base64();
	test_timestamp();
	test_buf();
	test_escape();
	test_hex();
	test_case();
	test_characters();
	test_number();
	test_size();
	test_duration();
	test_time();
	test_address();
	test_endpoint();
	return unit_done();
}
