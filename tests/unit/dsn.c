/*
 * Whole messages, as text; then random octets in every field, of which none may end a line or leave
 * ASCII.  With an argument, the messages of the rows go to files in that folder, for tests/dsn.bats.
 */
#include "dsn.h"

#include <stdlib.h>

#include "unit.h"

#define S(s) (s), sizeof(s) - 1
#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X500 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50
#define X1000 X500 X500

static const struct dsn_rcpt all_actions[] = {
	{ .address = "bob@example.com", .original = "rfc822;Bob@example.com", .action = DSN_FAILED,
	    .status = "5.1.1", .remote = "mx1.example.com", .replied = 1, .attempted = 1700000050,
	    .text = "550 5.1.1 no such user here; look at https://www.example.com/why for what to do next" },
	{ .address = "carol@example.net", .action = DSN_DELAYED, .status = "4.7.5",
	    .text = "no TLSA record of mx.example.net matches", .cause = "4.7.5", .attempted = 1700000060,
	    .retry_until = 1700432000 },
	{ .address = "dave@example.com", .action = DSN_FAILED, .status = "4.4.7",
	    .text = "connection refused", .expired = 1 },
	{ .address = "erin@example.org", .action = DSN_DELIVERED, .status = "2.1.5",
	    .remote = "mx.example.org", .text = "250 2.1.5 ok", .replied = 1 },
	{ .address = "frank@example.org", .action = DSN_RELAYED },
};

/* What a sender, a client and a remote host may try. */
static const struct dsn_rcpt hostile[] = {
	{ .address = "\"a  b\\\"\"@example.com\r\nBcc: victim@example.com", .original = "no type",
	    .status = "5.1.1\r\nX: y", .remote = "mx\r\n\r\n--=_m1bhostexample_0\r\n", .replied = 1,
	    .text = "550-first\r\n550 \"second\" \\ \033[31m\tr\xc3\xa9sum\xc3\xa9\r\n.\r\nQUIT =_m1bhostexample_1" },
	{ .address = "", .action = DSN_DELAYED, .status = "5.1.1", .text = " \r\n ", .retry_until = -1 },
	{ .address = "c@d", .status = "5.1234.1", .text = X1000, .remote = " " },
	{ .address = "e@f", .status = "5.", .text = X1000 X1000 X1000, .replied = 1 },
};

static const struct row {
	const char *name;
	struct dsn dsn;
	const char *want;
} rows[] = {
	{ "all actions",
	    { .hostname = "relay.example", .to = "alice@example.org", .message_id = "<0abc@relay.example>",
	    .now = 1700000100, .id = "0UmDfR3a0T0000", .envid = "QQ314159",
	    .client = "client.example [192.0.2.1]", .arrived = 1699999000,
	    .header = "From: Alice <alice@example.org>\r\nSubject: a\r\n\tfolded one\r\n\r\nThe secret body\r\n",
	    .header_len = 75, .rcpt = all_actions, .nrcpts = 5 },
	    "Date: Tue, 14 Nov 2023 22:15:00 +0000\n"
	    "From: Mail relay <postmaster@relay.example>\n"
	    "To: <alice@example.org>\n"
	    "Subject: Undelivered mail\n"
	    "Message-ID: <0abc@relay.example>\n"
	    "Auto-Submitted: auto-replied\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\n"
	    "\tboundary=\"=_0abcrelayexample_0\"\n"
	    "\n"
	    "--=_0abcrelayexample_0\n"
	    "Content-Type: text/plain; charset=us-ascii\n"
	    "\n"
	    "The mail relay relay.example reports on a message that you sent.\n"
	    "\n"
	    "It could not be delivered, and is not tried again, to:\n"
	    "\n"
	    "  <bob@example.com>\n"
	    "    There is no mailbox of this name. Look for a typing mistake in the\n"
	    "    address.\n"
	    "    mx1.example.com said: 550 5.1.1 no such user here; look at\n"
	    "    https://www.example.com/why for what to do next\n"
	    "\n"
	    "  <dave@example.com>\n"
	    "    It was tried again and again, and could not be handed over in the time for\n"
	    "    which mail is kept. Reach the recipient by other means, or send it again\n"
	    "    later.\n"
	    "    At the last try: connection refused\n"
	    "\n"
	    "It is late, but is still tried, for (do not send it again):\n"
	    "\n"
	    "  <carol@example.net>\n"
	    "    The receiving host did not show who it is, or encryption with it failed,\n"
	    "    so the mail is kept back. You need do nothing.\n"
	    "    no TLSA record of mx.example.net matches\n"
	    "    It is tried until Sun, 19 Nov 2023 22:13:20 +0000.\n"
	    "\n"
	    "It was delivered to:\n"
	    "\n"
	    "  <erin@example.org>\n"
	    "    mx.example.org said: 250 2.1.5 ok\n"
	    "\n"
	    "It was passed on, to a host that sends no such report, for:\n"
	    "\n"
	    "  <frank@example.org>\n"
	    "\n"
	    "Your message came here on Tue, 14 Nov 2023 21:56:40 +0000 and was given the\n"
	    "number 0UmDfR3a0T0000.\n"
	    "Give that number if you ask for help, here at postmaster@relay.example.\n"
	    "Behind this text are the same facts for programs, and the message's header.\n"
	    "\n"
	    "--=_0abcrelayexample_0\n"
	    "Content-Type: message/delivery-status\n"
	    "\n"
	    "Original-Envelope-Id: QQ314159\n"
	    "Reporting-MTA: dns; relay.example\n"
	    "Received-From-MTA: dns; client.example [192.0.2.1]\n"
	    "Arrival-Date: Tue, 14 Nov 2023 21:56:40 +0000\n"
	    "X-mtatls-Queue-ID: 0UmDfR3a0T0000\n"
	    "\n"
	    "Original-Recipient: rfc822;Bob@example.com\n"
	    "Final-Recipient: rfc822; bob@example.com\n"
	    "Action: failed\n"
	    "Status: 5.1.1\n"
	    "Remote-MTA: dns; mx1.example.com\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user here; look at\n"
	    "\thttps://www.example.com/why for what to do next\n"
	    "Last-Attempt-Date: Tue, 14 Nov 2023 22:14:10 +0000\n"
	    "Final-Log-ID: 0UmDfR3a0T0000\n"
	    "\n"
	    "Final-Recipient: rfc822; carol@example.net\n"
	    "Action: delayed\n"
	    "Status: 4.7.5\n"
	    "Diagnostic-Code: X-mtatls; no TLSA record of mx.example.net matches\n"
	    "Last-Attempt-Date: Tue, 14 Nov 2023 22:14:20 +0000\n"
	    "Final-Log-ID: 0UmDfR3a0T0000\n"
	    "Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000\n"
	    "\n"
	    "Final-Recipient: rfc822; dave@example.com\n"
	    "Action: failed\n"
	    "Status: 4.4.7\n"
	    "Diagnostic-Code: X-mtatls; connection refused\n"
	    "Final-Log-ID: 0UmDfR3a0T0000\n"
	    "\n"
	    "Final-Recipient: rfc822; erin@example.org\n"
	    "Action: delivered\n"
	    "Status: 2.1.5\n"
	    "Remote-MTA: dns; mx.example.org\n"
	    "Diagnostic-Code: smtp; 250 2.1.5 ok\n"
	    "Final-Log-ID: 0UmDfR3a0T0000\n"
	    "\n"
	    "Final-Recipient: rfc822; frank@example.org\n"
	    "Action: relayed\n"
	    "Status: 2.0.0\n"
	    "Final-Log-ID: 0UmDfR3a0T0000\n"
	    "\n"
	    "--=_0abcrelayexample_0\n"
	    "Content-Type: text/rfc822-headers\n"
	    "\n"
	    "From: Alice <alice@example.org>\n"
	    "Subject: a\n"
	    "\tfolded one\n"
	    "\n"
	    "--=_0abcrelayexample_0--\n" },
	{ "hostile text",
	    { .hostname = "host.example", .to = "a@b>\r\nBcc: <c@d", .message_id = "<m1b@host.example>",
	    .now = 1, .id = "\r\n", .client = "h\177i\x80", .envid = "\r\nX: y",
	    .header = "Subject: caf\xe9 = \r\n--=_m1bhostexample_2\r\nno colon\n\001 \r\nlast=_m1bhostexample_3",
	    .header_len = 75, .rcpt = hostile, .nrcpts = 4 },
	    "Date: Thu, 1 Jan 1970 00:00:01 +0000\n"
	    "From: Mail relay <postmaster@host.example>\n"
	    "To: <a@b>\\x0d\\x0aBcc: <c@d>\n"
	    "Subject: Undelivered mail\n"
	    "Message-ID: <m1b@host.example>\n"
	    "Auto-Submitted: auto-replied\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\n"
	    "\tboundary=\"=_m1bhostexample_2\"\n"
	    "\n"
	    "--=_m1bhostexample_2\n"
	    "Content-Type: text/plain; charset=us-ascii\n"
	    "\n"
	    "The mail relay host.example reports on a message that you sent.\n"
	    "\n"
	    "It could not be delivered, and is not tried again, to:\n"
	    "\n"
	    "  <\"a  b\\\"\"@example.com\\x0d\\x0aBcc: victim@example.com>\n"
	    "    The address was refused. Look for a typing mistake in it.\n"
	    "    mx --=_m1bhostexample_0 said: 550-first 550 \"second\" \\ \\x1b[31m\n"
	    "    r\\xc3\\xa9sum\\xc3\\xa9 . QUIT =_m1bhostexample_1\n"
	    "\n"
	    "  <c@d>\n"
	    "    The reason is below. If it does not help you, show this to those who run\n"
	    "    your mail.\n"
	    "    " X500 X50 X50 X50 X50 X50 X50 X50 X50 "\n"
	    "    " X50 X50 "\n"
	    "\n"
	    "  <e@f>\n"
	    "    The reason is below. If it does not help you, show this to those who run\n"
	    "    your mail.\n"
	    "    the other host said:\n"
	    "    " X500 X50 X50 X50 X50 X50 X50 X50 X50 "\n"
	    "    " X500 X50 X50 X50 X50 X50 X50 X50 X50 "\n"
	    "    " X50 X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
	    "    ...\n"
	    "\n"
	    "It is late, but is still tried, for (do not send it again):\n"
	    "\n"
	    "  <>\n"
	    "    It is tried until Thu, 1 Jan 1970 00:00:00 +0000.\n"
	    "\n"
	    "Behind this text are the same facts for programs, and the message's header.\n"
	    "\n"
	    "--=_m1bhostexample_2\n"
	    "Content-Type: message/delivery-status\n"
	    "\n"
	    "Original-Envelope-Id: X: y\n"
	    "Reporting-MTA: dns; host.example\n"
	    "Received-From-MTA: dns; h\\x7fi\\x80\n"
	    "\n"
	    "Final-Recipient: rfc822; \"a  b\\\"\"@example.com\\x0d\\x0aBcc: victim@example.com\n"
	    "Action: failed\n"
	    "Status: 5.0.0\n"
	    "Remote-MTA: dns; mx --=_m1bhostexample_0\n"
	    "Diagnostic-Code: smtp; 550-first 550 \"second\" \\ \\x1b[31m r\\xc3\\xa9sum\\xc3\\xa9\n"
	    "\t. QUIT =_m1bhostexample_1\n"
	    "\n"
	    "Final-Recipient: rfc822; \n"
	    "Action: delayed\n"
	    "Status: 4.0.0\n"
	    "Will-Retry-Until: Thu, 1 Jan 1970 00:00:00 +0000\n"
	    "\n"
	    "Final-Recipient: rfc822; c@d\n"
	    "Action: failed\n"
	    "Status: 5.0.0\n"
	    "Diagnostic-Code: X-mtatls;\n"
	    "\t" X500 X50 X50 X50 X50 X50 X50 X50 X50 "\n"
	    "\t" X50 X50 "\n"
	    "\n"
	    "Final-Recipient: rfc822; e@f\n"
	    "Action: failed\n"
	    "Status: 5.0.0\n"
	    "Diagnostic-Code: smtp;\n"
	    "\t" X500 X50 X50 X50 X50 X50 X50 X50 X50 "\n"
	    "\t" X500 X50 X50 X50 X50 X50 X50 X50 X50 "\n"
	    "\t" X50 X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
	    "\t...\n"
	    "\n"
	    "--=_m1bhostexample_2\n"
	    "Content-Type: text/rfc822-headers\n"
	    "Content-Transfer-Encoding: quoted-printable\n"
	    "\n"
	    "Subject: caf=E9 =3D=20\n"
	    "--=3D_m1bhostexample_2\n"
	    "no colon=0A=01=20\n"
	    "last=3D_m1bhostexample_3\n"
	    "\n"
	    "--=_m1bhostexample_2--\n" },
};

/* The part behind the others, from its Content-Type on, for rows of headers. */
static const struct header_row {
	const char *name;
	const char *in;
	size_t len;
	const char *want;
} header_rows[] = {
	{ "none", S(""), "\n" },
	{ "an empty line at once", S("\r\nbody"), "\n" },
	{ "no empty line", S("A: b\r\nC: d\r\n"), "\nA: b\nC: d\n" },
	{ "no line end", S("A: b"), "\nA: b\n" },
	{ "a body", S("A: b\r\n\r\nC: d\r\n"), "\nA: b\n" },
	{ "a body behind a bare LF", S("A: b\r\n\nC: d\r\n"), "\nA: b\n" },
	{ "the boundary in it", S("--=_i_0\r\nA: =_i_1\r\n"), "\n--=_i_0\nA: =_i_1\n" },
	{ "a bare CR", S("A: b\rc\r\n"), "QP\n\nA: b=0Dc\n" },
	{ "a CR at the end", S("A: b\r"), "QP\n\nA: b=0D\n" },
	{ "a NUL", S("A: \0\r\n"), "QP\n\nA: =00\n" },
	{ "a line of 998", S("A: " X500 X50 X50 X50 X50 X50 X50 X50 X50 X50 "xxxxxxxxxx" X10 X10 X10 "xxxxx\r\n"),
	    "\nA: " X500 X50 X50 X50 X50 X50 X50 X50 X50 X50 "xxxxxxxxxx" X10 X10 X10 "xxxxx\n" },
	{ "a line of 999", S("A: " X500 X50 X50 X50 X50 X50 X50 X50 X50 X50 "xxxxxxxxxx" X10 X10 X10 "xxxxxx\r\n"),
	    NULL },
	{ "white space before a line end", S("A: \xff \t\r\n"), "QP\n\nA: =FF =09\n" },
	{ "76 octets and one", S("\xff" X50 X10 X10 "xxx\r\n" "\xff" X50 X10 X10 "xx\xfe"),
	    "QP\n\n=FF" X50 X10 X10 "xx=\nx\n=FF" X50 X10 X10 "xx=\n=FE\n" },
};

/* Messages of which all may go back, or not; and addresses beyond ASCII: what stands in the report then. */
static const struct dsn_rcpt to_utf8[] = {
	{ .address = "\xc3\xa9 \\+@b\xc3\xbc.example", .original = "utf-8;\\x{E9}x@\xc3\xbc.example", .status = "5.6.7",
	    .text = "r\xc3\xa9sum\xc3\xa9" },
	{ .address = "\xe9@latin1.example", .original = "rfc822;a@b" },
};

#define LINE998 X500 X50 X50 X50 X50 X50 X50 X50 X50 X50 X10 X10 X10 X10 "xxxxxxxx"

static const struct form_row {
	const char *name, *to, *message;
	int full;
	const char *has[6];	/* each of them, */
	const char *lacks[4];	/* and none of these; \n is CRLF */
	int bits8;
} form_rows[] = {
	{ "ASCII to an ASCII sender", "a@b", "Subject: s\r\n\r\nbody\r\n", 0,
	    { "Final-Recipient: utf-8; \\x{E9}\\x{20}\\x{5C}\\x{2B}@b\\x{FC}.example\n", "Original-Recipient: utf-8;\\x{E9}x@\\x{FC}.example\n",
	    "charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n", "  <=C3=A9 \\+@b=C3=BC.example>\n",
	    "Final-Recipient: rfc822; \\xe9@latin1.example\n", "Content-Type: text/rfc822-headers\n\nSubject: s\n\n--" },
	    { "message/rfc822", "body", "global" }, 0 },
	{ "to a sender beyond ASCII", "\xc3\xa4@b", "Subject: s\r\n\r\nbody\r\n", 0,
	    { "\nTo: <\xc3\xa4@b>\n", "report-type=global-delivery-status;",
	    "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n", "Final-Recipient: utf-8; \xc3\xa9 \\+@b\xc3\xbc.example\n", "\"\nContent-Transfer-Encoding: 8bit\n\n",
	    "Diagnostic-Code: X-mtatls; r\\xc3\\xa9sum\\xc3\\xa9\n" }, { "message/rfc822", "message/delivery-status" }, 1 },
	{ "a header beyond ASCII, to a sender beyond ASCII", "\xc3\xa4@b", "Subject: \xc3\xa4\r\n\r\nbody\r\n", 0,
	    { "Content-Type: message/global-headers\nContent-Transfer-Encoding: 8bit\n\nSubject: \xc3\xa4\n\n--" }, { "body" }, 1 },
	{ "one that is not UTF-8, likewise", "\xc3\xa4@b", "Subject: \xe4\r\n\r\nbody\r\n", 0,
	    { "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: quoted-printable\n\nSubject: =E4\n\n--" }, { "body" }, 1 },
	{ "all of it", "a@b", "Subject: s\r\n\r\n.\r\n--=_i_0\r\n", 1,
	    { "Content-Type: message/rfc822\n\nSubject: s\n\n.\n--=_i_0\n\n--=_i_1--\n", "and the message.\n" }, { "rfc822-headers" }, 0 },
	{ "all of it, without its last line end", "a@b", "Subject: s\r\n\r\nend", 1,
	    { "Content-Type: message/rfc822\n\nSubject: s\n\nend\n\n--=_i_0--\n" }, { NULL }, 0 },
	{ "all of it, with 8 bits", "a@b", "Subject: s\r\n\r\nb\xc3\xb6\r\n", 1,
	    { "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: s\n\nb\xc3\xb6\n", "\"\nContent-Transfer-Encoding: 8bit\n\n" },
	    { NULL }, 1 },
	{ "all of it, with a header beyond ASCII: only to who can read it", "a@b", "Subject: \xc3\xa4\r\n\r\nbody\r\n", 1,
	    { "Content-Type: text/rfc822-headers\n" }, { "body", "message/rfc822", "message/global" }, 0 },
	{ "and he gets it", "\xc3\xa4@b", "Subject: \xc3\xa4\r\n\r\nbody\r\n", 1,
	    { "Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\nSubject: \xc3\xa4\n\nbody\n" }, { NULL }, 1 },
	{ "a line of 998 octets", "a@b", "Subject: s\r\n\r\n" LINE998 "\r\n", 1, { "message/rfc822" }, { NULL }, 0 },
	{ "one of 999 goes nowhere", "a@b", "Subject: s\r\n\r\n" LINE998 "x\r\n", 1, { "text/rfc822-headers" }, { "message/rfc822" }, 0 },
	{ "nor does a CR or LF alone", "a@b", "Subject: s\r\n\r\na\rb\r\n", 1, { "text/rfc822-headers" }, { "message/rfc822" }, 0 },
	{ "nor what has no end of its header", "a@b", "Subject: s\r\n", 1, { "text/rfc822-headers" }, { "message/rfc822" }, 0 },
	{ "a Message-ID", "a@b", "Message-ID:\r\n <x@y>\r\n\r\n", 0, { "\nIn-Reply-To: <x@y>\nReferences: <x@y>\n" }, { NULL }, 0 },
	{ "two of them", "a@b", "Message-ID: <x@y>\r\nMessage-Id: <x@z>\r\n\r\n", 0, { NULL }, { "In-Reply-To" }, 0 },
	{ "one that is none", "a@b", "Message-ID: <x@y> (\"<z>\r\n\r\n", 0, { NULL }, { "In-Reply-To" }, 0 },
	{ "one with others in it", "a@b", "Message-ID: <x@y>\tBcc: <a@b>\r\n\r\n", 0, { NULL }, { "In-Reply-To" }, 0 },
	{ "one in the body", "a@b", "A: b\r\n\r\nMessage-ID: <x@y>\r\n", 0, { NULL }, { "In-Reply-To" }, 0 },
};

static int built_8bit;	/* the last one */

static char *
build(const struct dsn *d)
{
	struct buf b = BUF_INIT;

	built_8bit = dsn_build(&b, d);
	return buf_steal(&b);
}

/* CRLF as \n; NULL where there is another CR or LF. */
static char *
unix_lines(const char *s)
{
	char *out = malloc(strlen(s) + 1), *p = out;

	for (; *s != '\0'; s++) {
		if (*s == '\n' || (*s == '\r' && s[1] != '\n')) {
			free(out);
			return NULL;
		}
		s += *s == '\r';
		*p++ = *s;
	}
	*p = '\0';
	return out;
}

static void
test_rows(const char *folder)
{
	char *got, *text, path[512];
	size_t i;
	FILE *f;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		got = build(&rows[i].dsn);
		text = unix_lines(got);
		unit_str(text, rows[i].want, "%s", rows[i].name);
		if (folder != NULL) {
			snprintf(path, sizeof path, "%s/%zu.eml", folder, i);
			f = fopen(path, "w");
			unit_ok(f != NULL && fputs(got, f) >= 0 && fclose(f) == 0, "written");
		}
		free(text);
		free(got);
	}
}

static void
test_headers(void)
{
	static const char qp[] = "Content-Transfer-Encoding: quoted-printable\n";
	static const char type[] = "Content-Type: text/rfc822-headers\n";
	struct dsn d = { .hostname = "h", .to = "t", .message_id = "<i>" };
	char *got, *text, *part, *end;
	size_t i;

	for (i = 0; i < sizeof header_rows / sizeof header_rows[0]; i++) {
		d.header = header_rows[i].in;
		d.header_len = header_rows[i].len;
		got = build(&d);
		text = unix_lines(got);
		part = text != NULL ? strstr(text, type) : NULL;
		if (part != NULL) {
			part += strlen(type);
			if (strncmp(part, qp, strlen(qp)) == 0)
				part = memcpy(part + strlen(qp) - 3, "QP\n", 3);
			end = strstr(part, "\n--=_");
			while (end != NULL && strstr(end + 1, "\n--=_") != NULL)
				end = strstr(end + 1, "\n--=_");
			if (end != NULL)
				*end = '\0';
		}
		if (header_rows[i].want != NULL)
			unit_str(part, header_rows[i].want, "header: %s", header_rows[i].name);
		else
			unit_ok(part != NULL && strncmp(part, "QP\n", 3) == 0, "header: %s", header_rows[i].name);
		free(text);
		free(got);
	}
}

static void
test_forms(void)
{
	struct dsn d = { .hostname = "h", .message_id = "<i>", .rcpt = to_utf8, .nrcpts = 2 };
	size_t i, k;

	for (i = 0; i < sizeof form_rows / sizeof form_rows[0]; i++) {
		const struct form_row *r = &form_rows[i];
		struct buf b = BUF_INIT;
		char *text;

		d.to = r->to;
		d.header = r->message;
		d.header_len = strlen(r->message);
		d.full = r->full;
		unit_int(dsn_build(&b, &d), r->bits8, "%s: octets above 127", r->name);
		text = unix_lines(b.p);
		for (k = 0; k < 6 && r->has[k] != NULL; k++)
			unit_ok(text != NULL && strstr(text, r->has[k]) != NULL, "%s: has %.40s", r->name, r->has[k]);
		for (k = 0; k < 4 && r->lacks[k] != NULL; k++)
			unit_ok(text != NULL && strstr(text, r->lacks[k]) == NULL, "%s: lacks %s", r->name, r->lacks[k]);
		free(text);
		buf_clear(&b);
	}
}

/* A header larger than the limit ends with a whole line. */
static void
test_limit(void)
{
	struct dsn d = { .hostname = "h", .to = "t", .message_id = "<i>" };
	struct buf b = BUF_INIT;
	size_t i, n = 0;
	char *got, *p;

	for (i = 0; i < DSN_HEADER_MAX; i++)
		buf_printf(&b, "X: %06zu\r\n", i);
	d.header = b.p;
	d.header_len = b.len;
	got = build(&d);
	for (p = got; (p = strstr(p, "\r\nX: ")) != NULL; p++)
		n++;
	unit_int(n, DSN_HEADER_MAX / 11, "lines of a header of %zu octets", b.len);
	unit_ok(strstr(got, "X: 002977\r\n\r\n--=_i_0--\r\n") != NULL, "the last one is whole");
	free(got);
	memset(b.p, 'x', b.len);
	got = build(&d);
	unit_ok(strlen(got) < DSN_HEADER_MAX * 2, "a line larger than the limit is cut");
	free(got);
	buf_clear(&b);
}

/* ---- random octets ---- */

static uint32_t lcg = 1;

static uint32_t
any(uint32_t below)
{
	lcg = lcg * 1664525U + 1013904223U;
	return (lcg >> 8) % below;
}

static char *
any_text(char *dst, size_t max)
{
	static const char likely[] = "\r\n\r\n\t  :;.-=_<>ab0\\\"";
	size_t n = any((uint32_t)max), i;

	for (i = 0; i < n; i++)
		dst[i] = any(3) > 0 ? likely[any(sizeof likely - 1)] : (char)(1 + any(255));
	dst[n] = '\0';
	return dst;
}

static int
begins(const char *s, const char *const *with)
{
	for (; *with != NULL; with++)
		if (strncmp(s, *with, strlen(*with)) == 0)
			return 1;
	return 0;
}

/* Lines within their limit; the fields of top and report are ours. */
static const char *
fault(const char *s)
{
	static const char *const top[] = { "Date: ", "From: Mail relay <postmaster@", "To: <", "Subject: ",
		"Message-ID: ", "Auto-Submitted: auto-replied", "MIME-Version: 1.0", "Content-Type: multipart/",
		"\tboundary=", "Content-Transfer-Encoding: 8bit", NULL };
	static const char *const report[] = { "Content-Type: message/", "Content-Transfer-Encoding: 8bit",
		"Original-Envelope-Id: ",
		"Reporting-MTA: ", "Received-From-MTA: ", "Arrival-Date: ", "X-mtatls-Queue-ID: ",
		"Original-Recipient: ", "Final-Recipient: ", "Action: ", "Status: ", "Remote-MTA: ",
		"Diagnostic-Code: ", "Last-Attempt-Date: ", "Final-Log-ID: ",
		"Will-Retry-Until: ", "\t", "--=_", NULL };
	const char *end, *boundary = strstr(s, "\tboundary=\"");
	int part = 0, blank = 0, headers = 1;
	size_t n, i;

	if (boundary == NULL)
		return "no boundary";
	boundary += strlen("\tboundary=\"");
	for (; *s != '\0'; s = end + 2) {
		end = strstr(s, "\r\n");
		if (end == NULL)
			return "no line end";
		n = end - s;
		if (n > 998)
			return "a long line";
		for (i = 0; i < n; i++)
			if ((unsigned char)s[i] > 0x7f ? !built_8bit : (s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
				return "an octet";
		if (n > 2 && s[0] == '-' && s[1] == '-' &&
		    strncmp(s + 2, boundary, strcspn(boundary, "\"")) == 0)
			part++;
		if (part == 0 && n > 0 && !begins(s, top))
			return "a field in the top";
		if (part == 0)
			headers += n == 0;
		if (part == 2 && n > 0 && !begins(s, report))
			return "a field in the report";
		if (part == 2 && n > 0 && s[strspn(s, " \t")] == '\r')
			return "a line of nothing but white space";
		if (part == 2 && n == 0 && blank)
			return "two empty lines in the report";
		blank = n == 0;
	}
	return part != 4 ? "parts" : headers != 2 ? "headers" : NULL;
}

static void
test_random(void)
{
	static char text[16][3000];
	struct dsn_rcpt r[2];
	struct dsn d;
	const char *why = NULL;
	char *got = NULL;
	unsigned i, k;

	for (i = 0; i < 5000 && why == NULL; i++) {
		uint32_t max = any(20) == 0 ? 3000 : 60;

		for (k = 0; k < 16; k++)
			any_text(text[k], max);
		memset(r, 0, sizeof r);
		for (k = 0; k < 2; k++) {
			r[k] = (struct dsn_rcpt){ .address = text[5 * k], .original = text[5 * k + 1],
				.action = any(4), .status = text[5 * k + 2], .remote = text[5 * k + 3],
				.text = any(4) ? text[5 * k + 4] : NULL, .replied = any(2),
				.attempted = any(2) ? (int64_t)any(UINT32_MAX) << 31 : 0,
				.retry_until = any(1000) };
		}
		d = (struct dsn){ .hostname = text[10], .to = text[11], .message_id = text[12], .now = 5,
			.id = any(4) ? text[13] : NULL, .envid = any(4) ? text[14] : NULL, .client = text[14],
			.arrived = any(2), .header = text[15], .header_len = strlen(text[15]), .rcpt = r,
			.nrcpts = any(3) };
		free(got);
		got = build(&d);
		why = fault(got);
	}
	if (!unit_result(why == NULL, "random octets in every field"))
		printf("# %s, in number %u\n%s\n", why, i, got);
	free(got);
}

int
main(int argc, char **argv)
{
	test_rows(argc > 1 ? argv[1] : NULL);
	test_headers();
	test_forms();
	test_limit();
	test_random();
	unit_str(dsn_action_name(DSN_DELAYED), "delayed", "the name of an action");
	return unit_done();
}
