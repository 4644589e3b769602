/*
 * A reply's way: bytes gather in parser->line up to LF; take_line() checks the code and appends the
 * rest to reply.text; the line whose code is followed by a space or nothing ends the reply.
 */
#include "smtp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define CODE_LEN 3
#define SHOWN_MAX 60	/* octets of a line quoted in an error */

void
smtp_reply_clear(struct smtp_reply *r)
{
	buf_clear(&r->text);
	memset(r, 0, sizeof *r);
}

void
smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from)
{
	smtp_reply_clear(to);
	*to = *from;
	to->text = (struct buf)BUF_INIT;
	buf_add(&to->text, from->text.p, from->text.len);
}

const char *
smtp_reply_line(const struct smtp_reply *r, unsigned n, size_t *len)
{
	const char *p = r->text.p, *end, *lf;
	unsigned i;

	if (n >= r->lines || p == NULL)
		return NULL;
	end = p + r->text.len;
	for (i = 0; (lf = memchr(p, '\n', end - p)) != NULL && i < n; i++)
		p = lf + 1;
	*len = (lf != NULL ? lf : end) - p;
	return p;
}

void
smtp_reply_print(struct buf *b, const struct smtp_reply *r)
{
	size_t left = SMTP_PRINT_MAX, len;
	const char *line;
	unsigned i;

	buf_printf(b, "%03d", r->code);
	for (i = 0; (line = smtp_reply_line(r, i, &len)) != NULL; i++) {
		if (len == 0)
			continue;
		buf_putc(b, ' ');
		buf_escape(b, line, len < left ? len : left);
		if (len > left) {
			buf_puts(b, "...");
			break;
		}
		left -= len;
	}
}

/* One to three digits; their number, 0 where there are none or more. */
static size_t
parse_part(const char *s, size_t n, int *value)
{
	size_t i;

	*value = 0;
	for (i = 0; i < n && isdigit((unsigned char)s[i]); i++) {
		if (i == 3)
			return 0;
		*value = *value * 10 + (s[i] - '0');
	}
	return i;
}

size_t
smtp_status_parse(const char *s, size_t n, int code, struct smtp_status *st)
{
	struct smtp_status got = { 0, 0, 0 };
	size_t at = 2, len;

	*st = got;
	if (n < 5 || s[1] != '.' || s[0] - '0' != code / 100)
		return 0;
	if (s[0] != '2' && s[0] != '4' && s[0] != '5')
		return 0;
	got.class = s[0] - '0';
	if ((len = parse_part(s + at, n - at, &got.subject)) == 0)
		return 0;
	at += len;
	if (at == n || s[at++] != '.')
		return 0;
	if ((len = parse_part(s + at, n - at, &got.detail)) == 0)
		return 0;
	at += len;
	if (at < n && s[at] != ' ' && s[at] != '\t')
		return 0;
	*st = got;
	return at;
}

const char *
smtp_status_text(char dst[SMTP_STATUS_MAX], const struct smtp_status *st)
{
	dst[0] = '\0';
	if (st->class != 0)
		snprintf(dst, SMTP_STATUS_MAX, "%d.%d.%d", st->class, st->subject % 1000,
		    st->detail % 1000);
	return dst;
}

static int
not_smtp(struct fail *f, const char *what, const char *line, size_t len)
{
	char *shown = text_escape(line, len < SHOWN_MAX ? len : SHOWN_MAX);

	fail(f, FAIL_PEER, "%s: \"%s\"%s", what, shown, len > SHOWN_MAX ? "..." : "");
	free(shown);
	return -1;
}

/* RFC 5321 4.2: the code, or -1. */
static int
parse_code(const char *line, size_t len)
{
	size_t i;

	if (len < CODE_LEN || line[0] < '2' || line[0] > '5')
		return -1;
	for (i = 1; i < CODE_LEN; i++)
		if (!isdigit((unsigned char)line[i]))
			return -1;
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

static unsigned
count_odd(const char *s, size_t n)
{
	unsigned odd = 0;

	for (; n > 0; s++, n--)
		if ((unsigned char)*s < 0x20 ? *s != '\t' : *s == 0x7f)
			odd++;
	return odd;
}

/* One line without its end.  Returns 1 where it is the reply's last, 0 where more come, -1. */
static int
take_line(struct smtp_reply *r, const char *line, size_t len, struct fail *f)
{
	int code = parse_code(line, len);
	size_t at = CODE_LEN;
	char mark;

	if (code == -1)
		return not_smtp(f, "expected a reply code from 200 to 599", line, len);
	mark = len > CODE_LEN ? line[at++] : ' ';
	if (mark != ' ' && mark != '-')
		return not_smtp(f, "expected a space or a hyphen behind the reply code", line, len);
	/* RFC 5321 4.2.1: the same code on every line.  Which would count is anybody's guess. */
	if (r->lines > 0 && code != r->code)
		return not_smtp(f, "another reply code inside a multi-line reply", line, len);
	if (r->lines == SMTP_LINES_MAX)
		return fail(f, FAIL_PEER, "a reply of more than %d lines", SMTP_LINES_MAX);
	if (r->lines++ > 0)
		buf_putc(&r->text, '\n');
	r->code = code;
	if (r->status.class == 0)
		smtp_status_parse(line + at, len - at, code, &r->status);
	r->odd += count_odd(line + at, len - at);
	buf_add(&r->text, line + at, len - at);
	return mark == ' ';
}

/* The line gathered so far has its LF. */
static enum smtp_parsed
end_line(struct smtp_parser *p, struct fail *f)
{
	size_t len = p->line.len - 1;
	int last;

	if (len > 0 && p->line.p[len - 1] == '\r')
		len--;
	if ((last = take_line(&p->reply, p->line.p, len, f)) == -1)
		return SMTP_PARSED_ERROR;
	p->line.len = 0;
	p->complete = last;
	return last ? SMTP_PARSED_REPLY : SMTP_PARSED_MORE;
}

enum smtp_parsed
smtp_parser_feed(struct smtp_parser *p, const char *s, size_t n, size_t *used, struct fail *f)
{
	enum smtp_parsed got = SMTP_PARSED_MORE;
	const char *lf;
	size_t piece;

	if (p->complete && n > 0) {
		smtp_reply_clear(&p->reply);
		p->octets = 0;
		p->complete = 0;
	}
	for (*used = 0; *used < n && got == SMTP_PARSED_MORE; *used += piece) {
		lf = memchr(s + *used, '\n', n - *used);
		piece = lf != NULL ? (size_t)(lf - s) + 1 - *used : n - *used;
		if (p->line.len + piece > SMTP_LINE_MAX) {
			fail(f, FAIL_PEER, "a reply line of more than %d octets", SMTP_LINE_MAX);
			return SMTP_PARSED_ERROR;
		}
		if ((p->octets += piece) > SMTP_REPLY_MAX) {
			fail(f, FAIL_PEER, "a reply of more than %d octets", SMTP_REPLY_MAX);
			return SMTP_PARSED_ERROR;
		}
		buf_add(&p->line, s + *used, piece);
		if (lf != NULL)
			got = end_line(p, f);
	}
	return got;
}

int
smtp_parser_partial(const struct smtp_parser *p)
{
	return !p->complete && p->octets > 0;
}

void
smtp_parser_clear(struct smtp_parser *p)
{
	smtp_reply_clear(&p->reply);
	buf_clear(&p->line);
	memset(p, 0, sizeof *p);
}

/* RFC 1870 4: digits only, anything else names no limit; a number past 64 bits is none either. */
static void
take_size(struct smtp_caps *c, const char *args)
{
	long long size;

	if (text_number(args, 0, INT64_MAX, "SIZE", &size, NULL) == 0)
		c->size = size;
}

static void
add_mechanism(struct smtp_caps *c, const char *s, size_t n)
{
	struct buf b = BUF_INIT;
	size_t i;

	if (c->auth != NULL && c->auth[0] != '\0')
		buf_printf(&b, "%s ", c->auth);
	for (i = 0; i < n; i++)
		buf_putc(&b, s[i] >= 'a' && s[i] <= 'z' ? s[i] - 'a' + 'A' : s[i]);
	free(c->auth);
	c->auth = buf_steal(&b);
}

static void
take_auth(struct smtp_caps *c, const char *args)
{
	size_t n;

	if (c->auth == NULL)
		c->auth = xstrdup("");
	for (; *args != '\0'; args += n) {
		args += strspn(args, " \t");
		if ((n = strcspn(args, " \t")) > 0)
			add_mechanism(c, args, n);
	}
}

static const struct keyword {
	const char *name;
	unsigned bit;
	void (*take)(struct smtp_caps *, const char *args);	/* escaped; "" for none */
} keywords[] = {
	{ "STARTTLS", SMTP_CAP_STARTTLS, NULL },
	{ "PIPELINING", SMTP_CAP_PIPELINING, NULL },
	{ "SIZE", SMTP_CAP_SIZE, take_size },
	{ "8BITMIME", SMTP_CAP_8BITMIME, NULL },
	{ "SMTPUTF8", SMTP_CAP_SMTPUTF8, NULL },
	{ "ENHANCEDSTATUSCODES", SMTP_CAP_ENHANCEDSTATUSCODES, NULL },
	{ "CHUNKING", SMTP_CAP_CHUNKING, NULL },
	{ "DSN", SMTP_CAP_DSN, NULL },
	{ "REQUIRETLS", SMTP_CAP_REQUIRETLS, NULL },
	{ "AUTH", SMTP_CAP_AUTH, take_auth },
};

#define KEYWORDS (sizeof keywords / sizeof keywords[0])

/* One line of an EHLO reply, escaped: an odd octet spoils a keyword and cannot end it early. */
static void
take_keyword(struct smtp_caps *c, char *line)
{
	char *args;
	size_t i;

	line += strspn(line, " \t");
	args = line + strcspn(line, " \t");
	/* "AUTH=LOGIN": from a draft before RFC 2554, still sent beside the right form. */
	if (strlen(line) > 5 && line[4] == '=' && args > line + 4)
		args = line + 4;
	if (*args != '\0')
		*args++ = '\0';
	args += strspn(args, " \t");
	for (i = 0; i < KEYWORDS; i++)
		if (text_case_eq(line, keywords[i].name)) {
			c->bits |= keywords[i].bit;
			if (keywords[i].take != NULL)
				keywords[i].take(c, args);
			return;
		}
}

void
smtp_caps_parse(struct smtp_caps *c, const struct smtp_reply *r)
{
	const char *line;
	unsigned i;
	size_t len;
	char *text;

	smtp_caps_clear(c);
	for (i = 0; (line = smtp_reply_line(r, i, &len)) != NULL; i++) {
		text = text_escape(line, len);
		if (i == 0)
			c->domain = xstrndup(text, strcspn(text, " "));
		else
			take_keyword(c, text);
		free(text);
	}
	if (c->domain == NULL)
		c->domain = xstrdup("");
}

void
smtp_caps_clear(struct smtp_caps *c)
{
	free(c->domain);
	free(c->auth);
	memset(c, 0, sizeof *c);
}

const char *
smtp_cap_name(unsigned bit)
{
	size_t i;

	for (i = 0; i < KEYWORDS; i++)
		if (keywords[i].bit == bit)
			return keywords[i].name;
	return NULL;
}

unsigned
smtp_cap_nth(size_t n)
{
	return n < KEYWORDS ? keywords[n].bit : 0;
}
