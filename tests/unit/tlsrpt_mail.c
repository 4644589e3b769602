/* Messages with reports: the one that is made is found again; those of others, and of no sense. */
#include "tlsrpt_mail.h"

#include <stdlib.h>

#include "gzip.h"
#include "unit.h"

static const char text[] = "{\"policies\":[]}\n";

static void
test_round(void)
{
	struct buf gz = BUF_INIT, b = BUF_INIT, out = BUF_INIT, json = BUF_INIT;
	struct tlsrpt_mail m = { .from = "tls@sender.example", .to = "r@b.example", .message_id = "<1@sender.example>",
		.now = 1795219200, .domain = "b.example", .submitter = "sender.example", .organization = "Caf\xc3\xa9\r\nX: y",
		.id = "2026-11-20_b.example@sender.example", .filename = "sender.example!b.example!1!2",
		.start = 1795132800 };
	struct fail f = FAIL_INIT;
	const char *p, *lf;

	gzip_pack(&gz, text, sizeof text - 1);
	m.gz = gz.p;
	m.len = gz.len;
	tlsrpt_mail_build(&b, &m);
	unit_ok(tlsrpt_mail_is(b.p, b.len), "it looks like a message");
	unit_int(tlsrpt_mail_find(&out, b.p, b.len, 1000, &f), 0, "the report is found: %s", f.text);
	unit_ok(out.len == gz.len && memcmp(out.p, gz.p, gz.len) == 0, "octet for octet");
	unit_int(gzip_unpack(&json, out.p, out.len, 1000, &f), 0, "unpacked: %s", f.text);
	unit_str(json.p, text, "the same text");
	unit_ok(strstr(b.p, "\r\nTLS-Required: No\r\n") != NULL, "it need not be encrypted");
	unit_ok(strstr(b.p, "\r\nSubject: Report Domain: b.example\r\n Submitter: sender.example\r\n"
	    " Report-ID: <2026-11-20_b.example@sender.example>\r\n") != NULL, "the subject of RFC 8460 5.3");
	unit_ok(strstr(b.p, "\r\nX: y") == NULL, "nobody else ends a line");
	for (p = b.p; (lf = strchr(p, '\n')) != NULL && lf > p && lf[-1] == '\r' && lf - p < 999; p = lf + 1)
		;
	unit_str(p, "", "all lines end in CRLF, and are short");
	out.len = 0;
	unit_int(tlsrpt_mail_find(&out, b.p, b.len, 10, &f), -1, "a limit holds");
	buf_clear(&gz);
	buf_clear(&b);
	buf_clear(&out);
	buf_clear(&json);
}

#define PART "Content-Type: application/tlsrpt+json\n\n"
#define MULTI(type) "Content-Type: multipart/" type "; boundary=b\n\n"

static void
test_rows(void)
{
	static const struct {
		const char *in, *out, *error;
	} rows[] = {
		{ PART "x", "x", NULL },
		{ "Subject: y\r\nContent-Type: APPLICATION/TLSRPT+JSON; a=b\r\nContent-Transfer-Encoding: Base64\r\n\r\neA==\r\n",
			"x", NULL },
		{ "Content-Type: application/tlsrpt+json\nContent-Transfer-Encoding: quoted-printable\n\na=\n=62=3", "ab=3", NULL },
		{ "Content-Type: application/octet-stream; name=\"a!b.json.GZ\"\n\nx", "x", NULL },
		{ "Content-Type: application/gzip\nContent-Disposition: attachment; x=\";y\"; filename=a.json.gz\n\nx", "x", NULL },
		{ MULTI("report") "preamble\n--b\n\nwords\n--b\n" PART "x\n--b--\n", "x\n", NULL },
		{ MULTI("mixed") "--b\nContent-Type: message/rfc822\n\nSubject: fwd\n" MULTI("mixed") "--bb\n\n--b\n", NULL,
			"no report in this message: no part of type application/tlsrpt+gzip" },
		{ MULTI("mixed") "--b\nContent-Type: message/rfc822\n\nSubject: fwd\n" PART "x", "x", NULL },
		{ "Content-Type: multipart/mixed;\r\n boundary=\"b c\"\r\n\r\n--b c \r\n" PART "x\r\n--b c--\r\n", "x\r\n", NULL },
		{ MULTI("mixed") "--b--\n" PART "x", NULL,
			"no report in this message: no part of type application/tlsrpt+gzip" },
		{ "Subject: x\n\nContent-Type: application/tlsrpt+json\n", NULL,
			"no report in this message: no part of type application/tlsrpt+gzip" },
		{ "Content-Type: multipart/mixed; boundary=\n\n--\n" PART "x", NULL,
			"no report in this message: no part of type application/tlsrpt+gzip" },
		{ "Content-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: base64\n\n(!)", NULL,
			"the report is not base64" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf out = BUF_INIT;
		struct fail f = FAIL_INIT;
		int rc = tlsrpt_mail_find(&out, rows[i].in, strlen(rows[i].in), 1000, &f);

		unit_str(rc == 0 ? (out.p != NULL ? out.p : "") : NULL, rows[i].out, "row %zu", i);
		unit_str(rc == 0 ? NULL : f.text, rows[i].error, "row %zu, what is said", i);
		buf_clear(&out);
	}
}

static void
test_depth(void)
{
	struct buf b = BUF_INIT, out = BUF_INIT;
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < 100000; i++)
		buf_puts(&b, "Content-Type: message/rfc822\n\n");
	buf_puts(&b, PART "x");
	unit_int(tlsrpt_mail_find(&out, b.p, b.len, 1000, &f), -1, "parts in parts have an end");
	buf_clear(&b);
	buf_puts(&b, MULTI("mixed"));
	for (i = 0; i < 100000; i++)
		buf_puts(&b, "--b\n\nx\n");
	unit_int(tlsrpt_mail_find(&out, b.p, b.len, 1000, &f), -1, "so have parts behind parts");
	buf_clear(&b);
	buf_clear(&out);
}

static void
test_gzip(void)
{
	struct buf b = BUF_INIT, gz = BUF_INIT, out = BUF_INIT;
	struct fail f = FAIL_INIT;
	size_t i, one;

	for (i = 0; i < 1000000; i++)
		buf_putc(&b, 'x');
	gzip_pack(&gz, b.p, b.len);
	one = gz.len;
	unit_int(gzip_unpack(&out, gz.p, gz.len, 1000000, &f), 0, "a million octets: %s", f.text);
	unit_int((long long)out.len, 1000000, "all of them");
	out.len = 0;
	unit_int(gzip_unpack(&out, gz.p, gz.len, 999999, &f), -1, "one too many");
	unit_ok(out.len <= 999999, "no more than that was unpacked");
	out.len = 0;
	unit_int(gzip_unpack(&out, gz.p, gz.len - 9, 1000000, &f), -1, "cut off");
	unit_str(f.text, "gzip: cut off", "so it says");
	gzip_pack(&gz, text, sizeof text - 1);
	buf_puts(&gz, "padding");
	out.len = 0;
	unit_int(gzip_unpack(&out, gz.p, gz.len, 2000000, &f), 0, "two members and padding");
	unit_int((long long)out.len, 1000000 + (long long)sizeof text - 1, "both");
	gz.p[one / 2] ^= 0x55;
	out.len = 0;
	unit_int(gzip_unpack(&out, gz.p, gz.len, 2000000, &f), -1, "damaged");
	unit_int(gzip_unpack(&out, "x", 1, 1000, &f), -1, "no gzip");
	buf_clear(&b);
	buf_clear(&gz);
	buf_clear(&out);
}

int
main(void)
{
	test_round();
	test_rows();
	test_depth();
	test_gzip();
	return unit_done();
}
