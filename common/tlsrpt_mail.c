/*
 * What is found is whatever stands in the first part that looks like a report: parts of parts are entered, so that one
 * that was forwarded as a whole is found too.  Nothing here recurses deeper than TLSRPT_MAIL_DEPTH.
 */
#include "tlsrpt_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"
#include "header.h"

#define EOL "\r\n"
#define BOUNDARY "=_tlsrpt"	/* "=_" is nothing that base64 or our words have at a line's start */
#define BASE64_LINE 57		/* octets that make a line of 76 characters (RFC 2045 6.8) */
#define WORD_LEN 200

/* ---- made ---- */

static void
put_base64(struct buf *b, const uint8_t *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i;

	for (i = 0; i < n; i += 3) {
		uint32_t x = (uint32_t)p[i] << 16 | (i + 1 < n ? p[i + 1] : 0) << 8 | (i + 2 < n ? p[i + 2] : 0);

		buf_putc(b, digits[x >> 18]);
		buf_putc(b, digits[x >> 12 & 63]);
		buf_putc(b, i + 1 < n ? digits[x >> 6 & 63] : '=');
		buf_putc(b, i + 2 < n ? digits[x & 63] : '=');
		if ((i + 3) % BASE64_LINE == 0 || i + 3 >= n)
			buf_puts(b, EOL);
	}
}

/* Words of ours, and names that were checked before; what is no printable ASCII is escaped all the same. */
static void
put_word(struct buf *b, const char *s)
{
	buf_escape(b, s, strnlen(s, TLSRPT_MAIL_MAX));
}

static void
put_field(struct buf *b, const char *name, const char *before, const char *value, const char *after)
{
	buf_printf(b, "%s: %s", name, before);
	put_word(b, value);
	buf_printf(b, "%s" EOL, after);
}

static void
put_header(struct buf *b, const struct tlsrpt_mail *m)
{
	char date[TEXT_DATE_MAX];

	put_field(b, "From", "<", m->from, ">");
	put_field(b, "To", "<", m->to, ">");
	put_field(b, "Date", "", text_date(date, m->now), "");
	put_field(b, "Message-ID", "", m->message_id, "");
	/* RFC 8460 5.3, in lines of their own: both domains may be long. */
	put_field(b, "Subject", "Report Domain: ", m->domain, "");
	put_field(b, " Submitter", "", m->submitter, "");
	put_field(b, " Report-ID", "<", m->id, ">");
	put_field(b, "TLS-Report-Domain", "", m->domain, "");
	put_field(b, "TLS-Report-Submitter", "", m->submitter, "");
	buf_puts(b, "TLS-Required: No" EOL "Auto-Submitted: auto-generated" EOL "MIME-Version: 1.0" EOL
	    "Content-Type: multipart/report; report-type=\"tlsrpt\";" EOL "\tboundary=\"" BOUNDARY "\"" EOL EOL);
}

static void
put_words(struct buf *b, const struct tlsrpt_mail *m)
{
	char day[TEXT_TIME_MAX];

	buf_puts(b, "--" BOUNDARY EOL "Content-Type: text/plain; charset=us-ascii" EOL EOL
	    "This is a report on TLS (RFC 8460): how sessions with the mail hosts of" EOL "  ");
	put_word(b, m->domain);
	buf_printf(b, EOL "went on %.10s (UTC). It is from" EOL "  ", text_time(day, m->start));
	put_word(b, m->organization != NULL ? m->organization : m->submitter);
	buf_puts(b, EOL "The domain asks for it with its record _smtp._tls." EOL EOL);
}

void
tlsrpt_mail_build(struct buf *b, const struct tlsrpt_mail *m)
{
	put_header(b, m);
	put_words(b, m);
	buf_puts(b, "--" BOUNDARY EOL "Content-Type: application/tlsrpt+gzip" EOL
	    "Content-Transfer-Encoding: base64" EOL "Content-Disposition: attachment;" EOL "\tfilename=\"");
	put_word(b, m->filename);
	buf_puts(b, ".json.gz\"" EOL EOL);
	put_base64(b, m->gz, m->len);
	buf_puts(b, EOL "--" BOUNDARY "--" EOL);
}

/* ---- taken apart ---- */

struct search {
	struct buf *out;
	size_t max;
	size_t parts;
	struct fail *f;
};

struct entity {
	const char *header;
	size_t header_len;
	const char *body;
	size_t len;
};

static int
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The value of a field up to its first ";" (RFC 2045 5.1), in lower case; "": there is none. */
static void
field_word(const struct entity *e, const char *name, char word[WORD_LEN])
{
	const char *value;
	size_t len, n = 0;

	word[0] = '\0';
	if (header_find(e->header, e->header_len, name, &value, &len) == 0)
		return;
	while (n < len && n < WORD_LEN - 1 && value[n] != ';' && !is_space(value[n]) && value[n] != '\0') {
		word[n] = value[n];
		n++;
	}
	word[n] = '\0';
	text_lower(word);
}

/* Behind a "=": a token or a quoted string; where it ends. */
static size_t
take_value(const char *s, size_t len, size_t at, char dst[WORD_LEN])
{
	size_t n = 0;
	int quoted = at < len && s[at] == '"';

	for (at += quoted; at < len && (quoted ? s[at] != '"' : s[at] != ';' && !is_space(s[at])); at++) {
		if (quoted && s[at] == '\\' && at + 1 < len)
			at++;
		if (n < WORD_LEN - 1 && s[at] != '\0')
			dst[n++] = s[at];
	}
	dst[n] = '\0';
	return at + (quoted && at < len);
}

/* A parameter of a field; 0: it has none of that name. */
static int
field_param(const struct entity *e, const char *name, const char *param, char dst[WORD_LEN])
{
	const char *s;
	size_t len, at = 0, want = strlen(param);
	char other[WORD_LEN];

	if (header_find(e->header, e->header_len, name, &s, &len) == 0)
		return 0;
	while (at < len) {
		const char *semicolon = memchr(s + at, ';', len - at);
		size_t start;

		if (semicolon == NULL)
			return 0;
		for (start = (size_t)(semicolon - s) + 1; start < len && is_space(s[start]); start++)
			;
		for (at = start; at < len && s[at] != '=' && s[at] != ';'; at++)
			;
		if (at == len || s[at] == ';')
			continue;
		if (at - start == want && strncasecmp(s + start, param, want) == 0) {
			take_value(s, len, at + 1, dst);
			return 1;
		}
		at = take_value(s, len, at + 1, other);
	}
	return 0;
}

static void
split(const char *s, size_t n, struct entity *e)
{
	size_t head = header_length(s, n);

	e->header = s;
	/* A part without a field begins with the empty line; one without that line is all header. */
	e->header_len = head > 0 ? head : n;
	e->body = s + e->header_len;
	e->len = n - e->header_len;
}

/* ---- encodings (RFC 2045 6) ---- */

static int
put_out(struct search *x, const char *p, size_t n)
{
	if (n > x->max - x->out->len)
		return fail(x->f, FAIL_INPUT, "the report is longer than %zu octets", x->max);
	buf_add(x->out, p, n);
	return 1;
}

static int
digit_of(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' :
	    c >= 'a' && c <= 'z' ? c - 'a' + 26 :
	    c >= '0' && c <= '9' ? c - '0' + 52 :
	    c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int
decode_base64(struct search *x, const struct entity *e)
{
	uint32_t bits = 0;
	size_t i, n = 0;
	char c;
	int d;

	for (i = 0; i < e->len && e->body[i] != '='; i++) {
		if (is_space(e->body[i]))
			continue;
		if ((d = digit_of(e->body[i])) == -1)
			return fail(x->f, FAIL_INPUT, "the report is not base64");
		bits = bits << 6 | (uint32_t)d;
		c = (char)(bits >> (6 - n % 4 * 2) & 0xff);
		if (n++ % 4 > 0 && put_out(x, &c, 1) == -1)
			return -1;
	}
	return 1;
}

static int
hex_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
decode_quoted(struct search *x, const struct entity *e)
{
	const char *s = e->body, *end = s + e->len;
	char c;

	while (s < end) {
		if (*s != '=' || end - s < 2) {
			if (put_out(x, s++, 1) == -1)
				return -1;
		} else if (s[1] == '\n' || s[1] == '\r') {
			s += s[1] == '\r' && end - s > 2 && s[2] == '\n' ? 3 : 2;
		} else if (end - s > 2 && hex_of(s[1]) != -1 && hex_of(s[2]) != -1) {
			c = (char)(hex_of(s[1]) * 16 + hex_of(s[2]));
			if (put_out(x, &c, 1) == -1)
				return -1;
			s += 3;
		} else if (put_out(x, s++, 1) == -1)
			return -1;
	}
	return 1;
}

static int
decode(struct search *x, const struct entity *e)
{
	char how[WORD_LEN];

	field_word(e, "Content-Transfer-Encoding", how);
	if (strcmp(how, "base64") == 0)
		return decode_base64(x, e);
	if (strcmp(how, "quoted-printable") == 0)
		return decode_quoted(x, e);
	return put_out(x, e->body, e->len);
}

/* ---- parts ---- */

static int
ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcasecmp(s + n - m, end) == 0;
}

static int
is_report(const struct entity *e, const char *type)
{
	char name[WORD_LEN];

	if (strcmp(type, "application/tlsrpt+gzip") == 0 || strcmp(type, "application/tlsrpt+json") == 0)
		return 1;
	if (strncmp(type, "application/", 12) != 0)
		return 0;
	return (field_param(e, "Content-Disposition", "filename", name) ||
	    field_param(e, "Content-Type", "name", name)) &&
	    (ends_in(name, ".json.gz") || ends_in(name, ".json"));
}

static int search_in(struct search *, const char *, size_t, int depth);

/* RFC 2046 5.1.1: "--" and the boundary, then blanks; 2: and "--" behind it, which ends the parts.  0: another line. */
static int
is_boundary(const char *p, const char *end, const char *boundary)
{
	size_t n = strlen(boundary);

	if ((size_t)(end - p) < n + 2 || p[0] != '-' || p[1] != '-' || memcmp(p + 2, boundary, n) != 0)
		return 0;
	p += n + 2;
	if (end - p >= 2 && p[0] == '-' && p[1] == '-')
		return 2;
	while (p < end && is_space(*p))
		p++;
	return p == end;
}

/* The next such line, from p on; *after is behind it, *what of is_boundary().  NULL: there is none. */
static const char *
find_boundary(const char *p, const char *end, const char *boundary, const char **after, int *what)
{
	for (; p < end; p = *after) {
		const char *lf = memchr(p, '\n', end - p);

		*after = lf != NULL ? lf + 1 : end;
		if ((*what = is_boundary(p, *after, boundary)) != 0)
			return p;
	}
	return NULL;
}

static int
search_parts(struct search *x, const struct entity *e, const char *boundary, int depth)
{
	const char *end = e->body + e->len, *at, *after, *part;
	int rc = 0, what = 0;

	at = find_boundary(e->body, end, boundary, &after, &what);
	while (rc == 0 && at != NULL && what == 1) {
		part = after;
		at = find_boundary(part, end, boundary, &after, &what);
		rc = search_in(x, part, (size_t)((at != NULL ? at : end) - part), depth + 1);
	}
	return rc;
}

/* 1 found, 0 not there, -1. */
static int
search_in(struct search *x, const char *s, size_t n, int depth)
{
	char type[WORD_LEN], boundary[WORD_LEN];
	struct entity e;

	if (depth > TLSRPT_MAIL_DEPTH || x->parts++ > TLSRPT_MAIL_PARTS)
		return 0;
	split(s, n, &e);
	field_word(&e, "Content-Type", type);
	if (is_report(&e, type))
		return decode(x, &e);
	if (strcmp(type, "message/rfc822") == 0)
		return search_in(x, e.body, e.len, depth + 1);
	if (strncmp(type, "multipart/", 10) != 0 || !field_param(&e, "Content-Type", "boundary", boundary) ||
	    boundary[0] == '\0')
		return 0;
	return search_parts(x, &e, boundary, depth);
}

int
tlsrpt_mail_find(struct buf *out, const char *s, size_t n, size_t max, struct fail *f)
{
	struct search x = { .out = out, .max = out->len + max, .f = f };
	int rc;

	if (n > TLSRPT_MAIL_MAX)
		return fail(f, FAIL_INPUT, "longer than %d octets", TLSRPT_MAIL_MAX);
	if ((rc = search_in(&x, s, n, 0)) == 0)
		return fail(f, FAIL_INPUT, "no report in this message: no part of type application/tlsrpt+gzip");
	return rc == 1 ? 0 : -1;
}

/* A field's name and a colon, or the "From " that mbox has. */
int
tlsrpt_mail_is(const char *s, size_t n)
{
	size_t i;

	if (n > 5 && memcmp(s, "From ", 5) == 0)
		return 1;
	for (i = 0; i < n && s[i] > ' ' && s[i] < 0x7f && s[i] != ':'; i++)
		;
	return i > 0 && i < n && s[i] == ':' && s[0] != '{' && s[0] != '"';
}
