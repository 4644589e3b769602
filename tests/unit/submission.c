/* What a program hands in, and what goes out: fields added, taken away, made whole; line ends, dots, what mail cannot hold. */
#include "submission.h"

#include <stdlib.h>

#include "alloc.h"
#include "unit.h"

static int
note(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct buf *b = arg;

	(void)f;
	if (b->len > 0)
		buf_putc(b, ' ');
	mailbox_print(b, &item->box);
	return 0;
}

static const struct submission_facts facts = { .sender = "me@h.test", .full_name = "M. E", .domain = "d.test",
	.hostname = "h.test", .now = 0, .unique = "1" };

#define DATE "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
#define ID "Message-ID: <1@h.test>\r\n"
#define FROM "From: \"M. E\" <me@h.test>\r\n"

/* The whole, in pieces of so many octets; CRs behind "\n" stay, so that each line end is seen.  NULL: refused. */
static char *
pass(const char *in, size_t n, size_t piece, int dot_ends, struct fail *f)
{
	struct submission s;
	struct buf out = BUF_INIT;
	size_t at, len;
	int rc = 0;

	submission_init(&s, 2000, 1000, dot_ends);
	for (at = 0; rc == 0 && at < n; at += len) {
		char *copy;

		len = n - at < piece ? n - at : piece;
		copy = xmemdup(in + at, len);
		rc = submission_feed(&s, copy, len, f);
		free(copy);
	}
	if (rc == 0)
		rc = submission_end(&s, f);
	if (rc == 0) {
		submission_header(&s, &facts, &out);
		if (s.run.len > 0)
			buf_add(&out, s.run.p, s.run.len);
	}
	submission_clear(&s);
	if (rc == 0)
		return buf_steal(&out);
	buf_clear(&out);
	return NULL;
}

static const struct {
	const char *what, *in, *want;
} rows[] = {
	{ "nothing", "", FROM DATE ID "\r\n" },
	{ "a body alone", "hello\nworld\n", FROM DATE ID "\r\nhello\nworld\n" },
	{ "an empty line first", "\nSubject: x\n", FROM DATE ID "\r\nSubject: x\n" },
	{ "a field", "Subject: x\n\nbody\n", FROM DATE ID "Subject: x\r\n\r\nbody\n" },
	{ "a header alone", "Subject: x", FROM DATE ID "Subject: x\r\n\r\n" },
	{ "CRLF", "Subject: x\r\n\r\nbody\r\n", FROM DATE ID "Subject: x\r\n\r\nbody\r\n" },
	{ "all there", "From: a@x.test\nDate: then\nmessage-id: <2@x>\n\n", "From: a@x.test\r\nDate: then\r\nmessage-id: <2@x>\r\n\r\n" },
	{ "what goes", "Bcc: a@x.test,\n b@x.test\nReturn-Path: <x>\nContent-Length: 3\nbcc : c\nX-Bcc: stays\n\n",
	    FROM DATE ID "X-Bcc: stays\r\n\r\n" },
	{ "bare addresses", "To: a, B <b>, c@x.test (c), \"d e\", G: f, g;\nX: a\n\n",
	    FROM DATE ID "To: a@d.test, B <b@d.test>, c@x.test (c), \"d e\"@d.test, G: f@d.test, g@d.test;\r\nX: a\r\n\r\n" },
	{ "From as cron has it", "From: root (Cron Daemon)\n\n", DATE ID "From: root@d.test (Cron Daemon)\r\n\r\n" },
	{ "no addresses", "To: a b <c\nCc: d\n\n", FROM DATE ID "To: a b <c\r\nCc: d@d.test\r\n\r\n" },
	{ "resent", "Resent-To: a@x.test\nFrom: b@x.test\nDate: then\nMessage-ID: <2@x>\n\n",
	    "Resent-From: \"M. E\" <me@h.test>\r\nResent-" DATE "Resent-" ID
	    "Resent-To: a@x.test\r\nFrom: b@x.test\r\nDate: then\r\nMessage-ID: <2@x>\r\n\r\n" },
	{ "mbox", "From me Thu Jan  1\nSubject: x\n\nFrom here\n", FROM DATE ID "Subject: x\r\n\r\nFrom here\n" },
	{ "no empty line", "Subject: x\nno field\nA: b\n", FROM DATE ID "Subject: x\r\n\r\nno field\nA: b\n" },
	{ "a folded field", "Subject: x\n y\n\tz\n\n", FROM DATE ID "Subject: x\r\n y\r\n\tz\r\n\r\n" },
	{ "white space first", " x: y\n\n", FROM DATE ID "\r\n x: y\n\n" },
	{ "progress, as a body", "10%\r20%\r\nend", FROM DATE ID "\r\n10%\r20%\r\nend" },
	{ "a CR in the body", "\na\rb\r", FROM DATE ID "\r\na\rb\r" },
	{ "a CR in the header", "Subject: x\rBcc: y\n\n", "- octet 12 of the message: a CR alone in the header" },
	{ "a CR at its end", "Subject: x\r\r\n\n", "- octet 12 of the message: a CR alone in the header" },
	{ "dots stay", "\n.a\n..\n.", FROM DATE ID "\r\n.a\n..\n." },
	{ "and alone", "\na\n.\nb\n.\r\n", FROM DATE ID "\r\na\n.\nb\n.\r\n" },
};

static const struct {
	const char *what, *in, *want;
} dots[] = {
	{ "a dot ends", "\na\n.\nb\n", FROM DATE ID "\r\na\n" },
	{ "with CRLF", "\r\na\r\n.\r\nb\r\n", FROM DATE ID "\r\na\r\n" },
	{ "in the header", "Subject: x\n.\nTo: y\n", FROM DATE ID "Subject: x\r\n\r\n" },
	{ "at once", ".\n", FROM DATE ID "\r\n" },
	{ "at the end", "\na\n.", FROM DATE ID "\r\na\n" },
	{ "others stay", "\n..\n.a\n. \na.\n.\rb\n", FROM DATE ID "\r\n..\n.a\n. \na.\n.\rb\n" },
	{ "behind a CR", "\na\r.\nb\n", FROM DATE ID "\r\na\r.\nb\n" },
};

static void
check(const char *what, const char *in, int dot_ends, const char *want)
{
	size_t piece;

	for (piece = 1; piece < 70; piece += 17) {
		struct fail f = FAIL_INIT;
		char *got = pass(in, strlen(in), piece, dot_ends, &f);

		if (got == NULL)
			got = xasprintf("- %s", f.text);
		unit_str(got, want, "%s, by %zu", what, piece);
		free(got);
	}
}

static const struct {
	const char *header, *want;
} recipients[] = {
	{ "To: a, B <b@x.test>\nCC: c\nbcc: d,\n e\nX: f\nResent: g\n\n", "a b@x.test c d e" },
	{ "Resent-To: a\nResent-Bcc: b\nTo: c\nBcc: d\n\n", "a b" },
	{ "Resent-To: a\nResent-From: x\nResent-To: old\nResent-Cc: old\nTo: c\n\n", "a" },
	{ "Resent-From: x\nResent-To: a\nResent-Cc: b\nReceived: y\nResent-From: z\nResent-To: old\n\n", "a b" },
	{ "To: undisclosed-recipients:;\nCc:\n\n", "" },
	{ "Subject: x\n\nTo: body\n", "" },
	{ "To: a\nCc: b c\n\n", "a- Cc: offset 4: expected a comma between addresses, or <> around one" },
};

static void
test_recipients(void)
{
	size_t i;

	for (i = 0; i < sizeof recipients / sizeof recipients[0]; i++) {
		struct buf b = BUF_INIT;
		struct fail f = FAIL_INIT;
		struct submission s;
		char *got;

		submission_init(&s, 0, 0, 0);
		submission_feed(&s, recipients[i].header, strlen(recipients[i].header), &f);
		submission_end(&s, &f);
		if (submission_recipients(&s, note, &b, &f) != 0)
			buf_printf(&b, "- %s", f.text);
		got = buf_steal(&b);
		unit_str(got, recipients[i].want, "recipients %zu", i);
		free(got);
		submission_clear(&s);
	}
}

static void
test_unfit(void)
{
	struct fail f = FAIL_INIT;
	struct submission s;
	char line[2500], *got;

	got = pass("Subject: x\n\na\0b\n", 16, 3, 0, &f);
	unit_str(got, FROM DATE ID "Subject: x\r\n\r\na?b\n", "NUL in the body");
	free(got);
	got = pass("\0\0\n", 3, 3, 0, &f);
	unit_str(got, FROM DATE ID "\r\n??\n", "NUL at once");
	free(got);
	unit_ok(pass("Subject: x\0\n\n", 13, 3, 0, &f) == NULL, "NUL in the header");
	unit_str(f.text, "octet 11 of the message: a NUL in the header", "is told");
	/* Broken behind 1000; a dot there ends nothing. */
	memset(line, 'a', sizeof line);
	line[0] = '\n';
	line[1001] = '.';
	line[1002] = '\n';
	submission_init(&s, 0, 1000, 1);
	unit_ok(submission_feed(&s, line, 1100, &f) == 0 && submission_end(&s, &f) == 0 && !s.ended, "a long line");
	unit_ok(s.broken == 1 && s.run.len == 1101 && memcmp(s.run.p + 999, "a\r\n.\naaa", 8) == 0, "is broken");
	unit_int(s.octets, 1102 + 2, "its octets, each line with CRLF");
	submission_clear(&s);
	memset(line + 1, 'a', sizeof line - 1);
	unit_ok(pass(line, 2500, 100, 0, &f) == NULL, "more than the limit");
	unit_str(f.text, "the message is larger than 2000 octets", "is told");
	submission_init(&s, 0, 0, 0);
	unit_ok(submission_feed(&s, "S: \303\244\n\nb\303\244\r\nc\rd\n", 16, &f) == 0 && submission_end(&s, &f) == 0 &&
	    s.header8bit && s.body8bit && s.octets == 11, "octets above 127, and their number");
	submission_clear(&s);
}

static void
test_fold(void)
{
	struct fail f = FAIL_INIT;
	struct submission s;
	struct buf in = BUF_INIT, out = BUF_INIT;
	const char *p, *eol;
	size_t i, longest = 0;

	buf_puts(&in, "To: ");
	for (i = 0; i < 500; i++)
		buf_puts(&in, "recipient@x.test, ");
	buf_puts(&in, "\nX: ");
	for (i = 0; i < 3000; i++)
		buf_putc(&in, 'x');
	buf_puts(&in, "\n\n");
	submission_init(&s, 0, 0, 0);
	unit_ok(submission_feed(&s, in.p, in.len, &f) == 0 && submission_end(&s, &f) == 0, "long fields");
	submission_header(&s, &facts, &out);
	for (p = out.p; (eol = strstr(p, "\r\n")) != NULL && *p != 'X'; p = eol + 2)
		if ((size_t)(eol - p) > longest)
			longest = eol - p;
	unit_ok(longest <= SUBMISSION_LINE && longest > 900, "are folded where there is white space");
	unit_ok(eol - p == 2 && strspn(eol + 3, "x") == 3000, "and left where there is none");
	submission_clear(&s);
	buf_clear(&in);
	buf_clear(&out);
}

static const struct {
	const char *name, *want;
} phrases[] = {
	{ "Max Muster", "Max Muster" },
	{ "M. Muster", "\"M. Muster\"" },
	{ "a \"b\" \\", "\"a \\\"b\\\" \\\\\"" },
	{ "=?x?=", "\"=?x?=\"" },
	{ "J\303\266rg", "=?UTF-8?B?SsO2cmc=?=" },
	{ "J\366rg", "=?ISO-8859-1?B?SvZyZw==?=" },
	{ "\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244\303\244"
	  "\303\244\303\244\303\244\303\244",
	    "=?UTF-8?B?w6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6Q=?=\r\n =?UTF-8?B?w6Q=?=" },
};

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check(rows[i].what, rows[i].in, 0, rows[i].want);
	for (i = 0; i < sizeof dots / sizeof dots[0]; i++)
		check(dots[i].what, dots[i].in, 1, dots[i].want);
	for (i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
		struct buf b = BUF_INIT;
		char *got;

		submission_phrase(&b, phrases[i].name);
		got = buf_steal(&b);
		unit_str(got, phrases[i].want, "phrase %zu", i);
		free(got);
	}
	test_recipients();
	test_unfit();
	test_fold();
	return unit_done();
}
