/*
 * Octets come one at a time through header_octet() or body_octet(); a line of the header is looked at once it is
 * complete.  What the header becomes is decided field by field in submission_header().
 */
#include "submission.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "header.h"

void
submission_init(struct submission *s, uint64_t max_size, size_t max_line, int dot_ends)
{
	static const struct submission empty;

	*s = empty;
	s->max_size = max_size;
	s->max_line = max_line;
	s->dot_ends = dot_ends;
	s->bol = 1;
}

void
submission_clear(struct submission *s)
{
	buf_clear(&s->header);
	buf_clear(&s->run);
	buf_clear(&s->line);
}

/* ---- reading ---- */

static int
fault(const struct submission *s, struct fail *f, const char *what)
{
	return fail(f, FAIL_INPUT, "octet %llu of the message: %s", (unsigned long long)s->taken, what);
}

/* The line end is ours: what begins behind it begins no line of the sender's, so a dot there ends nothing. */
static void
break_line(struct submission *s)
{
	buf_puts(&s->run, "\r\n");
	s->octets += 2;
	s->column = 0;
	s->broken++;
}

static int
body_octet(struct submission *s, int c, struct fail *f)
{
	if (c == '\0') {
		s->nuls++;
		c = '?';
	}
	if (c == '\n' || c == '\r')
		s->column = 0;
	else if (s->max_line != 0 && s->column++ == s->max_line) {
		break_line(s);
		s->column = 1;
	}
	/* Of CRLF the CR was counted for two. */
	if (c != '\n' || !s->cr)
		s->octets += c == '\n' || c == '\r' ? 2 : 1;
	if (s->max_size != 0 && s->octets > s->max_size)
		return fail(f, FAIL_INPUT, "the message is larger than %llu octets", (unsigned long long)s->max_size);
	s->body8bit |= c > 127;
	s->cr = c == '\r';
	s->bol = c == '\n';
	buf_putc(&s->run, c);
	return 0;
}

static int
body_octets(struct submission *s, const char *p, size_t n, struct fail *f)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (body_octet(s, (unsigned char)p[i], f) == -1)
			return -1;
	return 0;
}

/* "Name:", of printable octets; 0: the line is no field. */
static int
is_field(const struct buf *line)
{
	size_t i, end;

	for (i = 0; i < line->len && line->p[i] > ' ' && line->p[i] < 0x7f && line->p[i] != ':'; i++)
		;
	for (end = i; end < line->len && (line->p[end] == ' ' || line->p[end] == '\t'); end++)
		;
	return i > 0 && end < line->len && line->p[end] == ':';
}

static int
is_mbox_line(const struct submission *s)
{
	return !s->begun && s->line.len >= 5 &&
	    (memcmp(s->line.p, "From ", 5) == 0 || (s->line.len >= 6 && memcmp(s->line.p, ">From ", 6) == 0));
}

/* Without an empty line before it: what is no field is the body's first line. */
static int
begin_body(struct submission *s, int whole, struct fail *f)
{
	int cr = s->cr, rc;

	s->in_body = 1;
	s->cr = 0;
	rc = body_octets(s, s->line.p, s->line.len, f);
	if (rc == 0 && cr)
		rc = body_octet(s, '\r', f);
	if (rc == 0 && whole)
		rc = body_octet(s, '\n', f);
	buf_clear(&s->line);
	return rc;
}

static int
end_header_line(struct submission *s, struct fail *f)
{
	size_t i;

	s->bol = 1;
	if (s->line.len == 0) {
		s->in_body = 1;
		s->cr = 0;
		return 0;
	}
	if (!is_mbox_line(s)) {
		if (!(s->header.len > 0 && (s->line.p[0] == ' ' || s->line.p[0] == '\t')) && !is_field(&s->line))
			return begin_body(s, 1, f);
		for (i = 0; i < s->line.len; i++)
			s->header8bit |= (unsigned char)s->line.p[i] > 127;
		buf_add(&s->header, s->line.p, s->line.len);
		buf_puts(&s->header, "\r\n");
	}
	s->begun = 1;
	s->cr = 0;
	s->line.len = 0;
	return 0;
}

/* Before any field it may be a body as well: "10%\r20%\r". */
static int
odd_octet(struct submission *s, int c, const char *what, struct fail *f)
{
	if (s->header.len > 0 || is_field(&s->line))
		return fault(s, f, what);
	if (begin_body(s, 0, f) == -1)
		return -1;
	return body_octet(s, c, f);
}

static int
header_octet(struct submission *s, int c, struct fail *f)
{
	if (c == '\n')
		return end_header_line(s, f);
	if (s->cr)
		return odd_octet(s, c, "a CR alone in the header", f);
	if (c == '\0')
		return odd_octet(s, c, "a NUL in the header", f);
	s->bol = 0;
	if ((s->cr = c == '\r'))
		return 0;
	buf_putc(&s->line, c);
	if (s->line.len == SUBMISSION_LINE && !is_field(&s->line) &&
	    !(s->header.len > 0 && (s->line.p[0] == ' ' || s->line.p[0] == '\t')))
		return begin_body(s, 0, f);
	if (s->header.len + s->line.len > SUBMISSION_HEADER_MAX)
		return fail(f, FAIL_INPUT, "the header is larger than %d octets", SUBMISSION_HEADER_MAX);
	return 0;
}

static int
take(struct submission *s, int c, struct fail *f)
{
	return s->in_body ? body_octet(s, c, f) : header_octet(s, c, f);
}

/* A dot that began a line may be its end; dot 2: a CR stands behind it. */
static int
take_dotted(struct submission *s, int c, struct fail *f)
{
	int had = s->dot;

	if (had == 0 && s->dot_ends && s->bol && !s->cr && c == '.') {
		s->dot = 1;
		return 0;
	}
	if (had == 1 && c == '\r') {
		s->dot = 2;
		return 0;
	}
	s->dot = 0;
	if (had != 0 && c == '\n') {
		s->ended = 1;
		return 0;
	}
	if ((had >= 1 && take(s, '.', f) == -1) || (had == 2 && take(s, '\r', f) == -1))
		return -1;
	return take(s, c, f);
}

int
submission_feed(struct submission *s, const char *p, size_t n, struct fail *f)
{
	size_t i;

	for (i = 0; i < n && !s->ended; i++) {
		s->taken++;
		if (take_dotted(s, (unsigned char)p[i], f) == -1)
			return -1;
	}
	return 0;
}

int
submission_end(struct submission *s, struct fail *f)
{
	int dot = s->dot;

	/* A dot without a line end behind it ends the message all the same. */
	s->dot = 0;
	if (dot != 0 && !s->ended)
		s->ended = 1;
	if (s->in_body) {
		if (!s->bol && !s->cr && s->octets > 0)
			s->octets += 2;
		return 0;
	}
	return s->line.len > 0 ? end_header_line(s, f) : 0;
}

/* ---- recipients ---- */

static int
is_resent(const struct header_field *h)
{
	return h->name_len > 7 && strncasecmp(h->name, "Resent-", 7) == 0;
}

/* Where the newest block of Resent- fields ends: at the first whose name was there before; 0: there is none. */
static size_t
resent_end(const struct submission *s)
{
	struct header_field h, seen[16];
	size_t n = 0, at = 0, i, end = 0;

	while (header_next(s->header.p, s->header.len, &at, &h)) {
		if (!is_resent(&h))
			continue;
		for (i = 0; i < n; i++)
			if (h.name_len == seen[i].name_len && strncasecmp(h.name, seen[i].name, h.name_len) == 0)
				return h.whole - s->header.p;
		if (n < sizeof seen / sizeof seen[0])
			seen[n++] = h;
		end = s->header.len;
	}
	return end;
}

static int
is_one_of(const struct header_field *h, const char *const *names)
{
	for (; *names != NULL; names++)
		if (header_is(h, *names))
			return 1;
	return 0;
}

int
submission_recipients(const struct submission *s, address_list_fn *fn, void *arg, struct fail *f)
{
	static const char *const plain[] = { "To", "Cc", "Bcc", NULL };
	static const char *const resent[] = { "Resent-To", "Resent-Cc", "Resent-Bcc", NULL };
	size_t at = 0, end = resent_end(s);
	const char *const *names = end > 0 ? resent : plain;
	struct header_field h;

	if (end == 0)
		end = s->header.len;
	while (header_next(s->header.p, end, &at, &h))
		if (is_one_of(&h, names) && address_list_parse(h.value, h.value_len, fn, arg, f) != 0)
			return fail_prefix(f, "%.*s", (int)h.name_len, h.name);
	return 0;
}

/* ---- the header that goes out ---- */

#define ENCODED_RUN 39	/* octets in an encoded word, so that it has at most 75 (RFC 2047 2) */

static void
put_base64(struct buf *b, const unsigned char *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i;

	for (i = 0; i < n; i += 3) {
		unsigned long v = (unsigned long)p[i] << 16 | (i + 1 < n ? (unsigned long)p[i + 1] << 8 : 0) |
		    (i + 2 < n ? p[i + 2] : 0);

		buf_putc(b, digits[v >> 18 & 63]);
		buf_putc(b, digits[v >> 12 & 63]);
		buf_putc(b, i + 1 < n ? digits[v >> 6 & 63] : '=');
		buf_putc(b, i + 2 < n ? digits[v & 63] : '=');
	}
}

/* Whole characters only (RFC 2047 5): a run ends before an octet that begins one. */
static void
put_encoded(struct buf *b, const char *name, const char *charset)
{
	size_t n = strlen(name), at, len;

	for (at = 0; at < n; at += len) {
		len = n - at < ENCODED_RUN ? n - at : ENCODED_RUN;
		while (at + len < n && len > 1 && ((unsigned char)name[at + len] & 0xc0) == 0x80)
			len--;
		buf_printf(b, "%s=?%s?B?", at > 0 ? "\r\n " : "", charset);
		put_base64(b, (const unsigned char *)name + at, len);
		buf_puts(b, "?=");
	}
}

void
submission_phrase(struct buf *b, const char *name)
{
	const char *p;
	int high = 0, special = 0;

	for (p = name; *p != '\0'; p++) {
		high |= (unsigned char)*p > 127;
		special |= strchr("()<>[]:;@\\,.\"=?", *p) != NULL;
	}
	if (high) {
		put_encoded(b, name, text_utf8_chars(name) != -1 ? "UTF-8" : "ISO-8859-1");
		return;
	}
	if (special)
		buf_putc(b, '"');
	for (p = name; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			buf_putc(b, '\\');
		buf_putc(b, *p);
	}
	if (special)
		buf_putc(b, '"');
}

static void
add_missing(const struct submission *s, size_t end, const struct submission_facts *facts, const char *prefix,
    struct buf *b)
{
	static const char *const names[] = { "From", "Date", "Message-ID" };
	char date[TEXT_DATE_MAX];
	const char *value;
	size_t i, len;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *name = xasprintf("%s%s", prefix, names[i]);

		if (header_find(s->header.p, end, name, &value, &len) == 0) {
			buf_printf(b, "%s: ", name);
			if (i == 0 && facts->full_name != NULL && facts->full_name[0] != '\0') {
				submission_phrase(b, facts->full_name);
				buf_printf(b, " <%s>", facts->sender);
			} else if (i == 0)
				buf_puts(b, facts->sender);
			else if (i == 1)
				buf_puts(b, text_date(date, facts->now));
			else
				buf_printf(b, "<%s@%s>", facts->unique, facts->hostname);
			buf_puts(b, "\r\n");
		}
		free(name);
	}
}

struct qualify {
	const struct header_field *h;
	const char *domain;
	struct buf *out;
	size_t copied;	/* octets of the value */
};

static int
qualify_one(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct qualify *q = arg;

	(void)f;
	if (item->box.domain[0] != '\0')
		return 0;
	buf_add(q->out, q->h->value + q->copied, item->end - q->copied);
	buf_printf(q->out, "@%s", q->domain);
	q->copied = item->end;
	return 0;
}

/* What cannot be read as addresses stays as it is: it is for people, and the envelope decides. */
static void
qualify(const struct header_field *h, const char *domain, struct buf *out)
{
	size_t before = out->len;
	struct qualify q = { .h = h, .domain = domain, .out = out };

	buf_add(out, h->whole, h->value - h->whole);
	if (address_list_parse(h->value, h->value_len, qualify_one, &q, NULL) != 0) {
		out->len = before;
		buf_add(out, h->whole, h->whole_len);
		return;
	}
	buf_add(out, h->value + q.copied, h->value_len - q.copied);
}

/* Where to break a line of n octets: the last white space that leaves a line of SUBMISSION_LINE; 0: nowhere. */
static size_t
fold_at(const char *p, size_t n)
{
	size_t i, first;

	for (first = 0; first < n && (p[first] == ' ' || p[first] == '\t'); first++)
		;
	for (i = n < SUBMISSION_LINE ? n : SUBMISSION_LINE; i > first; i--)
		if (p[i - 1] == ' ' || p[i - 1] == '\t')
			return i - 1;
	return 0;
}

static void
put_folded(struct buf *b, const char *p, size_t n)
{
	const char *end = p + n, *eol;
	size_t cut;

	for (; p < end; p = eol + 2) {
		eol = memchr(p, '\r', end - p);
		while (eol - p > SUBMISSION_LINE && (cut = fold_at(p, eol - p)) > 0) {
			buf_add(b, p, cut);
			buf_puts(b, "\r\n");
			p += cut;
		}
		buf_add(b, p, eol + 2 - p);
	}
}

void
submission_header(const struct submission *s, const struct submission_facts *facts, struct buf *b)
{
	static const char *const dropped[] = { "Bcc", "Resent-Bcc", "Return-Path", "Content-Length", NULL };
	static const char *const addresses[] = { "From", "Sender", "Reply-To", "To", "Cc", "Resent-From",
		"Resent-Sender", "Resent-To", "Resent-Cc", NULL };
	struct buf field = BUF_INIT;
	struct header_field h;
	size_t at = 0, end = resent_end(s);

	if (end > 0)
		add_missing(s, end, facts, "Resent-", b);
	add_missing(s, s->header.len, facts, "", b);
	while (header_next(s->header.p, s->header.len, &at, &h)) {
		if (is_one_of(&h, dropped))
			continue;
		field.len = 0;
		if (is_one_of(&h, addresses))
			qualify(&h, facts->domain, &field);
		else
			buf_add(&field, h.whole, h.whole_len);
		put_folded(b, field.p, field.len);
	}
	buf_puts(b, "\r\n");
	buf_clear(&field);
}
