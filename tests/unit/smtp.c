/* Rows of replies and of EHLO answers; each is fed whole, byte by byte, and split anywhere. */
#include "smtp.h"

#include <stdlib.h>

#include "unit.h"

struct row {
	const char *name;
	const char *in;
	size_t len;	/* 0: strlen(in) */
	const char *want;
};

/* want: "code status lines odd |text|rest", or "error: text", or "more". */
static const struct row rows[] = {
	{ "one line", "220 mx.example ESMTP\r\n", 0, "220 - 1 0 |mx.example ESMTP|" },
	{ "code alone", "250\r\n", 0, "250 - 1 0 ||" },
	{ "code and a space", "250 \r\n", 0, "250 - 1 0 ||" },
	{ "bare LF", "220 mx.example\n", 0, "220 - 1 0 |mx.example|" },
	{ "three lines", "250-mx.example\r\n250-STARTTLS\r\n250 DSN\r\n", 0,
	    "250 - 3 0 |mx.example\\x0aSTARTTLS\\x0aDSN|" },
	{ "empty lines within", "250-a\r\n250-\r\n250 \r\n", 0, "250 - 3 0 |a\\x0a\\x0a|" },
	{ "status", "454 4.7.0 TLS not available\r\n", 0,
	    "454 4.7.0 1 0 |4.7.0 TLS not available|" },
	{ "status in the second line only", "550-no\r\n550 5.1.1 such user\r\n", 0,
	    "550 5.1.1 2 0 |no\\x0a5.1.1 such user|" },
	{ "status of another class", "250 5.1.1 odd\r\n", 0, "250 - 1 0 |5.1.1 odd|" },
	{ "bytes behind", "220 go\r\nEHLO x\r\n", 0, "220 - 1 0 |go|EHLO x\\x0d\\x0a" },
	{ "NUL and controls are counted", "220 a\0b\x1b[m\x7f\tc\r\n", 15,
	    "220 - 1 3 |a\\x00b\\x1b[m\\x7f\\x09c|" },
	{ "CR inside a line", "220 a\rb\r\r\n", 0, "220 - 1 2 |a\\x0db\\x0d|" },
	{ "eight bits", "220 \xc3\xa9\r\n", 0, "220 - 1 0 |\\xc3\\xa9|" },
	{ "unfinished", "220 mx.exam", 0, "more" },
	{ "a line missing", "250-mx.example\r\n", 0, "more" },
	{ "CR alone ends nothing", "250 mx.example\r", 0, "more" },
	{ "no code", "SSH-2.0-OpenSSH\r\n", 0,
	    "error: expected a reply code from 200 to 599: \"SSH-2.0-OpenSSH\"" },
	{ "empty line", "\r\n", 0, "error: expected a reply code from 200 to 599: \"\"" },
	{ "code too low", "199 x\r\n", 0,
	    "error: expected a reply code from 200 to 599: \"199 x\"" },
	{ "code too high", "600 x\r\n", 0,
	    "error: expected a reply code from 200 to 599: \"600 x\"" },
	{ "two digits", "22 x\r\n", 0, "error: expected a reply code from 200 to 599: \"22 x\"" },
	{ "four digits", "2200 x\r\n", 0,
	    "error: expected a space or a hyphen behind the reply code: \"2200 x\"" },
	{ "NUL behind the code", "220\0x\r\n", 7,
	    "error: expected a space or a hyphen behind the reply code: \"220\\x00x\"" },
	{ "codes differ", "250-a\r\n550 b\r\n", 0,
	    "error: another reply code inside a multi-line reply: \"550 b\"" },
	{ "TLS where SMTP should be", "\x15\x03\x01\x00\x02\x02\n", 7,
	    "error: expected a reply code from 200 to 599: \"\\x15\\x03\\x01\\x00\\x02\\x02\"" },
};

static void
show_reply(struct buf *b, const struct smtp_reply *r, const char *rest, size_t n)
{
	char st[SMTP_STATUS_MAX];

	smtp_status_text(st, &r->status);
	buf_printf(b, "%d %s %u %u |", r->code, *st != '\0' ? st : "-", r->lines, r->odd);
	buf_escape(b, r->text.p, r->text.len);
	buf_putc(b, '|');
	buf_escape(b, rest, n);
}

/* Feeds up to `split` bytes, then pieces of `step`; describes what came out. */
static char *
parse(const char *in, size_t len, size_t split, size_t step)
{
	struct smtp_parser p = { .complete = 0 };
	enum smtp_parsed got = SMTP_PARSED_MORE;
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	size_t at = 0, used, piece;

	while (at < len && got == SMTP_PARSED_MORE) {
		piece = at < split ? split - at : step;
		if (piece > len - at)
			piece = len - at;
		got = smtp_parser_feed(&p, in + at, piece, &used, &f);
		at += used;
	}
	if (got == SMTP_PARSED_REPLY)
		show_reply(&b, &p.reply, in + at, len - at);
	else if (got == SMTP_PARSED_ERROR)
		buf_printf(&b, "error: %s", f.text);
	else
		buf_printf(&b, "more%s", smtp_parser_partial(&p) ? "" : ", but nothing held");
	smtp_parser_clear(&p);
	return buf_steal(&b);
}

static void
test_replies(void)
{
	size_t i, split, len, bad;
	char *got;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		len = rows[i].len > 0 ? rows[i].len : strlen(rows[i].in);
		got = parse(rows[i].in, len, len, len);
		unit_str(got, rows[i].want, "%s", rows[i].name);
		free(got);
		got = parse(rows[i].in, len, 0, 1);
		unit_str(got, rows[i].want, "%s, byte by byte", rows[i].name);
		free(got);
		for (bad = 0, split = 1; split < len; split++) {
			got = parse(rows[i].in, len, split, len);
			bad += strcmp(got, rows[i].want) != 0;
			free(got);
		}
		unit_int(bad, 0, "%s, split anywhere", rows[i].name);
	}
}

/* n times the text, then the end. */
static char *
repeat(const char *text, size_t n, const char *end)
{
	struct buf b = BUF_INIT;

	for (; n > 0; n--)
		buf_puts(&b, text);
	buf_puts(&b, end);
	return buf_steal(&b);
}

static void
limit(const char *name, char *in, const char *want)
{
	char *got = parse(in, strlen(in), 0, 1000);

	unit_ok(strncmp(got, want, strlen(want)) == 0, "%s: %.60s", name, got);
	free(got);
	free(in);
}

static void
test_limits(void)
{
	char *long_line = repeat("250-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 14, "\r\n");

	limit("4096 octets", repeat("220x", 1023, "\r\n"), "error: expected a space");
	limit("a line of 4096", repeat("220 ", 1023, "xx\r\n"), "220 - 1 0 |");
	limit("a line of 4097", repeat("220 ", 1023, "xxx\r\n"),
	    "error: a reply line of more than 4096 octets");
	limit("an endless line", repeat("2200", 2000, ""),
	    "error: a reply line of more than 4096 octets");
	limit("200 lines", repeat("250-\r\n", 199, "250 \r\n"), "250 - 200 0 |");
	limit("201 lines", repeat("250-\r\n", 200, "250 \r\n"),
	    "error: a reply of more than 200 lines");
	limit("100 KiB in 199 lines", repeat(long_line, 199, "250 x\r\n"),
	    "error: a reply of more than 65536 octets");
	free(long_line);
}

static void
test_two_replies(void)
{
	static const char in[] = "250-a\r\n250 b\r\n354 c\r\n";
	struct smtp_parser p = { .complete = 0 };
	struct smtp_reply kept = { .code = 0 };
	size_t used, len;

	unit_int(smtp_parser_feed(&p, in, strlen(in), &used, NULL), SMTP_PARSED_REPLY,
	    "first reply");
	unit_int(used, 14, "stops behind it");
	smtp_reply_copy(&kept, &p.reply);
	unit_ok(!smtp_parser_partial(&p), "nothing held between replies");
	unit_int(smtp_parser_feed(&p, in + used, strlen(in) - used, &used, NULL), SMTP_PARSED_REPLY,
	    "second reply");
	unit_int(p.reply.code, 354, "has its own code");
	unit_int(p.reply.lines, 1, "and its own lines");
	unit_int(kept.lines, 2, "a copy outlives the feed");
	unit_ok(smtp_reply_line(&kept, 1, &len) != NULL && len == 1, "line 1 of the copy");
	unit_ok(smtp_reply_line(&kept, 2, &len) == NULL, "no line 2");
	smtp_reply_clear(&kept);
	smtp_parser_clear(&p);
}

static void
test_status(void)
{
	static const struct {
		const char *in;
		int code;
		const char *want;
	} status[] = {
		{ "2.0.0 ok", 250, "2.0.0" },
		{ "5.7.30", 550, "5.7.30" },
		{ "4.123.456 x", 450, "4.123.456" },
		{ "4.1234.1 x", 450, "" },
		{ "4.1.1234 x", 450, "" },
		{ "4..1 x", 450, "" },
		{ "4.1. x", 450, "" },
		{ "4.1", 450, "" },
		{ "4.1.1x", 450, "" },
		{ "3.1.1 x", 354, "" },
		{ "5.1.1 x", 450, "" },
		{ "", 450, "" },
	};
	char text[SMTP_STATUS_MAX];
	struct smtp_status st;
	size_t i, n;

	for (i = 0; i < sizeof status / sizeof status[0]; i++) {
		n = smtp_status_parse(status[i].in, strlen(status[i].in), status[i].code, &st);
		unit_str(smtp_status_text(text, &st), status[i].want, "status of \"%s\"",
		    status[i].in);
		unit_int(n, strlen(status[i].want), "its length");
	}
}

static void
test_print(void)
{
	struct smtp_parser p = { .complete = 0 };
	char *in = repeat("550-0123456789\r\n", 100, "550 end\r\n");
	struct buf b = BUF_INIT;
	size_t used;

	smtp_parser_feed(&p, "550-5.7.1 go\r\n550-\r\n550 a\033way\r\n", 31, &used, NULL);
	smtp_reply_print(&b, &p.reply);
	unit_str(b.p, "550 5.7.1 go a\\x1bway", "printed escaped on one line");
	buf_clear(&b);
	smtp_parser_feed(&p, in, strlen(in), &used, NULL);
	smtp_reply_print(&b, &p.reply);
	unit_ok(b.len < 2 * SMTP_PRINT_MAX && strcmp(b.p + b.len - 3, "...") == 0,
	    "cut and marked");
	buf_clear(&b);
	smtp_parser_clear(&p);
	free(in);
}

/* want: "domain|keywords|size|auth" */
static const struct row ehlo[] = {
	{ "all keywords",
	    "250-MX.example greets you\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n"
	    "250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-DSN\r\n"
	    "250-REQUIRETLS\r\n250 AUTH PLAIN LOGIN\r\n",
	    0,
	    "MX.example| STARTTLS PIPELINING SIZE 8BITMIME SMTPUTF8 ENHANCEDSTATUSCODES CHUNKING"
	    " DSN REQUIRETLS AUTH|10240000|PLAIN LOGIN" },
	{ "any case", "250-x\r\n250-StartTLS\r\n250 auth=plain  cram-md5\r\n", 0,
	    "x| STARTTLS AUTH|0|PLAIN CRAM-MD5" },
	{ "both forms of AUTH", "250-x\r\n250-AUTH PLAIN\r\n250 AUTH=LOGIN\r\n", 0,
	    "x| AUTH|0|PLAIN LOGIN" },
	{ "the first line is no keyword", "250-STARTTLS\r\n250 HELP\r\n", 0, "STARTTLS||0|(none)" },
	{ "keyword with an argument", "250-x\r\n250 STARTTLS required\r\n", 0,
	    "x| STARTTLS|0|(none)" },
	{ "part of a word", "250-x\r\n250-STARTTLSX\r\n250-XSTARTTLS\r\n250 START TLS\r\n", 0,
	    "x||0|(none)" },
	{ "SIZE without a number", "250-x\r\n250 SIZE\r\n", 0, "x| SIZE|0|(none)" },
	{ "SIZE that is none", "250-x\r\n250 SIZE -1\r\n", 0, "x| SIZE|0|(none)" },
	{ "SIZE past 64 bits", "250-x\r\n250 SIZE 99999999999999999999\r\n", 0,
	    "x| SIZE|0|(none)" },
	{ "NUL in a keyword", "250-x\r\n250 STARTTLS\0\r\n", 22, "x||0|(none)" },
	{ "escape in the domain", "250 \033]0;x\r\n", 0, "\\x1b]0;x||0|(none)" },
	{ "nothing at all", "250\r\n", 0, "||0|(none)" },
};

static void
test_ehlo(void)
{
	struct smtp_caps caps = { .bits = 0 };
	size_t i, n, used;

	for (i = 0; i < sizeof ehlo / sizeof ehlo[0]; i++) {
		struct smtp_parser p = { .complete = 0 };
		struct buf b = BUF_INIT;

		smtp_parser_feed(&p, ehlo[i].in, ehlo[i].len > 0 ? ehlo[i].len : strlen(ehlo[i].in),
		    &used, NULL);
		smtp_caps_parse(&caps, &p.reply);
		buf_printf(&b, "%s|", caps.domain);
		for (n = 0; smtp_cap_nth(n) != 0; n++)
			if (caps.bits & smtp_cap_nth(n))
				buf_printf(&b, " %s", smtp_cap_name(smtp_cap_nth(n)));
		buf_printf(&b, "|%llu|%s", (unsigned long long)caps.size,
		    caps.auth != NULL ? caps.auth : "(none)");
		unit_str(b.p, ehlo[i].want, "EHLO: %s", ehlo[i].name);
		buf_clear(&b);
		smtp_parser_clear(&p);
	}
	smtp_caps_clear(&caps);
	unit_str(smtp_cap_name(0), NULL, "no keyword for no bit");
}

int
main(void)
{
	test_replies();
	test_limits();
	test_two_replies();
	test_status();
	test_print();
	test_ehlo();
	return unit_done();
}
