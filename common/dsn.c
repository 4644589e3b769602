/*
 * The parts are written one after the other, then a boundary is chosen that occurs in none of them.
 * All text that comes in goes through put_words() or put_verbatim(), so that nothing but printable
 * ASCII comes out and nobody but this file ends a line; addresses beyond ASCII go through put_utf8() or
 * put_utf8_xtext(), the original and its header through put_original().
 */
#include "dsn.h"

#include <stdio.h>
#include <string.h>

#include "dsn_advice.h"
#include "header.h"
#include <time.h>

#define EOL "\r\n"
#define WORD_MAX 900		/* octets in a row without a line end: with what stands around, below 998 */
#define LINE_MAX_HARD 998	/* RFC 5322 2.1.1 */
#define QP_LINE 76		/* RFC 2045 6.7 (5) */
#define BOUNDARY_MAX 70		/* RFC 2046 5.1.1 */
#define MESSAGE_ID_MAX 250	/* octets of the original's that are named */

static const struct {
	const char *name;
	const char *classes;	/* of status: the first stands in for what is wrong */
	const char *heading;
	const char *subject;
} actions[] = {
	[DSN_FAILED] = { "failed", "54", "It could not be delivered, and is not tried again, to:",
	    "Undelivered mail" },
	[DSN_DELAYED] = { "delayed", "4", "It is late, but is still tried, for (do not send it again):",
	    "Delayed mail" },
	[DSN_DELIVERED] = { "delivered", "2", "It was delivered to:", "Delivered mail" },
	[DSN_RELAYED] = { "relayed", "2", "It was passed on, to a host that sends no such report, for:",
	    "Relayed mail" },
};

#define ACTIONS (sizeof actions / sizeof actions[0])

const char *
dsn_action_name(enum dsn_action a)
{
	return actions[a].name;
}

/* ---- text ---- */

/* The octet as it may be printed; its length. */
static size_t
escape(char dst[5], unsigned char c)
{
	if (c < 0x20 || c > 0x7e)
		return snprintf(dst, 5, "\\x%02x", c);
	dst[0] = c;
	dst[1] = '\0';
	return 1;
}

/* Words in lines; the first goes where the line stands. */
struct wrap {
	struct buf *b;
	const char *indent;	/* of all lines but the first */
	size_t column;
	int begun;		/* there is a word in the line */
};

static void
put_word(struct wrap *w, const char *word, size_t n)
{
	if (n == 0)
		return;
	if (w->begun && w->column + 1 + n > DSN_LINE) {
		buf_printf(w->b, EOL "%s", w->indent);
		w->column = strlen(w->indent);
	} else if (w->begun) {
		buf_putc(w->b, ' ');
		w->column++;
	}
	buf_add(w->b, word, n);
	w->column += n;
	w->begun = 1;
}

static int
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
put_words(struct wrap *w, const char *s)
{
	char word[WORD_MAX] = "", c[5];
	size_t len = 0, n, i, all = strlen(s), max = all < DSN_TEXT_MAX ? all : DSN_TEXT_MAX;

	for (i = 0; i < max; i++) {
		n = is_space(s[i]) ? 0 : escape(c, s[i]);
		if (n == 0 || len + n > sizeof word) {
			put_word(w, word, len);
			len = 0;
		}
		memcpy(word + len, c, n);
		len += n;
	}
	put_word(w, word, len);
	if (all > max)
		put_word(w, "...", 3);
}

/* As it is, spaces too, in one line: addresses. */
static void
put_verbatim(struct buf *b, const char *s)
{
	size_t end = b->len + WORD_MAX;
	char c[5];

	for (; *s != '\0' && b->len < end; s++)
		buf_add(b, c, escape(c, *s));
}

/* Beyond ASCII, and UTF-8. */
static int
is_utf8(const char *s)
{
	return !text_is_ascii(s) && text_utf8_chars(s) != -1;
}

/* As put_verbatim(), but UTF-8 stays, without its own controls (U+0080 to U+009F). */
static void
put_utf8(struct buf *b, const char *s)
{
	size_t end = b->len + WORD_MAX;
	char c[5];

	if (!is_utf8(s)) {
		put_verbatim(b, s);
		return;
	}
	for (; *s != '\0' && b->len < end; s++) {
		unsigned char u = s[0];
		int control = u == 0xc2 && (unsigned char)s[1] < 0xa0;

		if (u > 0x7f && !control) {
			buf_putc(b, *s);
			continue;
		}
		buf_add(b, c, escape(c, *s));
		if (control)
			buf_add(b, c, escape(c, *++s));
	}
}

/* The code point that begins there, in a string that is UTF-8; its length. */
static size_t
code_point(const char *s, unsigned long *point)
{
	unsigned char u = s[0];
	size_t n = u < 0x80 ? 1 : u < 0xe0 ? 2 : u < 0xf0 ? 3 : 4, i;

	*point = n == 1 ? u : u & (0x7f >> n);
	for (i = 1; i < n; i++)
		*point = *point << 6 | ((unsigned char)s[i] & 0x3f);
	return n;
}

/*
 * RFC 6533 3, utf-8-addr-xtext: for readers of ASCII alone.  What was written so already (encoded) has its own \x{},
 * and what it need not write so stays.
 */
static void
put_utf8_xtext(struct buf *b, const char *s, int encoded)
{
	size_t end = b->len + WORD_MAX, n;
	unsigned long point;

	for (; *s != '\0' && b->len < end; s += n) {
		n = code_point(s, &point);
		if (point < 0x21 || point > 0x7e || (!encoded && strchr("+=\\", (int)point) != NULL))
			buf_printf(b, "\\x{%02lX}", point);
		else
			buf_putc(b, *s);
	}
}

static int
is_blank(const char *s)
{
	return s == NULL || s[strspn(s, " \t\r\n")] == '\0';
}

/* "Name: type; words", folded; nothing where there are no words. */
static void
put_field(struct buf *b, const char *name, const char *type, const char *s)
{
	struct wrap w = { .b = b, .indent = "\t", .column = strlen(name) + 2, .begun = 0 };

	if (is_blank(s))
		return;
	buf_printf(b, "%s: ", name);
	if (type != NULL)
		put_words(&w, type);
	put_words(&w, s);
	buf_puts(b, EOL);
}

static void
put_address_field(struct buf *b, const char *name, const char *before, const char *address,
    const char *after)
{
	buf_printf(b, "%s: %s", name, before);
	put_verbatim(b, address);
	buf_printf(b, "%s" EOL, after);
}

/* RFC 5322 3.3, in UTC and English whatever the locale. */
static void
put_date(struct buf *b, int64_t t)
{
	char date[TEXT_DATE_MAX];

	buf_puts(b, text_date(date, t));
}

static void
put_date_field(struct buf *b, const char *name, int64_t t)
{
	if (t == 0)
		return;
	buf_printf(b, "%s: ", name);
	put_date(b, t);
	buf_puts(b, EOL);
}

/* ---- the original: what of it may go, and as what ---- */

/* How much of it is header, whole lines where it must be cut. */
static size_t
header_octets(const char *p, size_t n)
{
	size_t at = 0, line, max = n < DSN_HEADER_MAX ? n : DSN_HEADER_MAX;
	const char *nl;

	while (at < max) {
		nl = memchr(p + at, '\n', n - at);
		line = nl != NULL ? (size_t)(nl - p) + 1 - at : n - at;
		if (nl != NULL && (line == 1 || (line == 2 && p[at] == '\r')))
			return at;
		if (at + line > max)
			return at > 0 ? at : max;
		at += line;
	}
	return at;
}

static int
ends_line(const char *p, size_t n, size_t i)
{
	return p[i] == '\r' && i + 1 < n && p[i + 1] == '\n';
}

/* Whether it may go as it is: RFC 2045 2.7. */
static int
is_7bit(const char *p, size_t n)
{
	size_t i, column = 0;

	for (i = 0; i < n; i++) {
		unsigned char c = p[i];

		if (ends_line(p, n, i)) {
			column = 0;
			i++;
			continue;
		}
		if ((c < 0x20 && c != '\t') || c > 0x7e || ++column > LINE_MAX_HARD)
			return 0;
	}
	return 1;
}

/* Lines of octets other than NUL, none too long, CRLF between them: RFC 2045 2.8, or message/rfc822 at all. */
static int
is_lines(const char *p, size_t n)
{
	size_t i, column = 0;

	for (i = 0; i < n; i++) {
		if (ends_line(p, n, i)) {
			column = 0;
			i++;
		} else if (p[i] == '\0' || p[i] == '\r' || p[i] == '\n' || ++column > LINE_MAX_HARD) {
			return 0;
		}
	}
	return 1;
}

static int
has_8bit(const char *p, size_t n)
{
	while (n > 0 && (unsigned char)p[n - 1] < 0x80)
		n--;
	return n > 0;
}

/* Its reader's own address shows that he reads UTF-8 everywhere (RFC 6533 4). */
static int
is_global(const struct dsn *d)
{
	return is_utf8(d->to);
}

/* UTF-8 in the original's header is for such readers alone (RFC 6532 3.7). */
static int
is_full(const struct dsn *d)
{
	size_t header = header_length(d->header, d->header_len);

	if (!d->full || header == 0 || !is_lines(d->header, d->header_len))
		return 0;
	return !has_8bit(d->header, header) || is_global(d);
}

/* RFC 2045 6.7 */
static void
put_quoted_printable(struct buf *b, const char *p, size_t n)
{
	size_t i, column = 0, len;
	char c[4];

	for (i = 0; i < n; i++) {
		unsigned char u = p[i];
		int blank = u == ' ' || u == '\t';

		if (ends_line(p, n, i)) {
			buf_puts(b, EOL);
			column = 0;
			i++;
			continue;
		}
		if ((u > 0x20 && u < 0x7f && u != '=') ||
		    (blank && i + 1 < n && !ends_line(p, n, i + 1)))
			len = snprintf(c, sizeof c, "%c", u);
		else
			len = snprintf(c, sizeof c, "=%02X", u);
		if (column + len > QP_LINE - 1) {
			buf_puts(b, "=" EOL);
			column = 0;
		}
		buf_add(b, c, len);
		column += len;
	}
}

/* ---- for people ---- */

/* Words in lines of their own, behind others if there are any. */
static void
put_paragraph(struct buf *b, const char *indent, const char *before, const char *words)
{
	struct wrap w = { .b = b, .indent = indent, .column = strlen(indent), .begun = 0 };

	buf_puts(b, indent);
	if (before != NULL)
		put_words(&w, before);
	put_words(&w, words);
	buf_puts(b, EOL);
}

static void
put_said(struct buf *b, const struct dsn_rcpt *r)
{
	struct buf before = BUF_INIT;

	if (r->replied)
		buf_printf(&before, "%s said%s:", is_blank(r->remote) ? "the other host" : r->remote,
		    r->expired ? " last" : "");
	else if (r->expired)
		buf_puts(&before, "At the last try:");
	put_paragraph(b, "    ", before.p, r->text);
	buf_clear(&before);
}

/* NULL: nothing is to be said. */
static const char *
advice_of(const struct dsn_rcpt *r)
{
	const char *tls = dsn_advice_tls(r->cause, r->action == DSN_DELAYED);

	if (r->action == DSN_DELAYED || (r->action == DSN_FAILED && r->expired && tls != NULL))
		return tls;
	return r->action == DSN_FAILED ? dsn_advice(r->status) : NULL;
}

static void
put_rcpt_words(struct buf *b, const struct dsn_rcpt *r)
{
	const char *advice = advice_of(r);

	buf_puts(b, EOL "  <");
	put_utf8(b, r->address);
	buf_puts(b, ">" EOL);
	if (advice != NULL)
		put_paragraph(b, "    ", NULL, advice);
	if (!is_blank(r->text))
		put_said(b, r);
	if (r->action == DSN_DELAYED && r->retry_until != 0) {
		buf_puts(b, "    It is tried until ");
		put_date(b, r->retry_until);
		buf_puts(b, "." EOL);
	}
}

static size_t
count(const struct dsn *d, enum dsn_action action)
{
	size_t i, n = 0;

	for (i = 0; i < d->nrcpts; i++)
		n += d->rcpt[i].action == action;
	return n;
}

static void
put_arrival_words(struct buf *b, const struct dsn *d)
{
	struct wrap w = { .b = b, .indent = "", .column = 0, .begun = 0 };
	struct buf date = BUF_INIT;

	put_date(&date, d->arrived);
	put_words(&w, d->double_bounce ? "The message came here on" : "Your message came here on");
	put_words(&w, date.p);
	if (!is_blank(d->id)) {
		put_words(&w, "and was given the number");
		put_words(&w, d->id);
	}
	buf_puts(b, "." EOL);
	buf_clear(&date);
}

static void
put_people_part(struct buf *b, const struct dsn *d)
{
	struct wrap w = { .b = b, .indent = "", .column = 0, .begun = 0 };
	enum dsn_action a;
	size_t i;

	put_words(&w, "The mail relay");
	put_words(&w, d->hostname);
	put_words(&w, d->double_bounce ? "reports to the postmaster on a message from <>, say a report, whose sender "
	    "cannot be told." : "reports on a message that you sent.");
	buf_puts(b, EOL);
	for (a = 0; a < ACTIONS; a++) {
		if (count(d, a) == 0)
			continue;
		buf_printf(b, EOL "%s" EOL, actions[a].heading);
		for (i = 0; i < d->nrcpts; i++)
			if (d->rcpt[i].action == a)
				put_rcpt_words(b, &d->rcpt[i]);
	}
	buf_puts(b, EOL);
	if (d->arrived != 0)
		put_arrival_words(b, d);
	if (!is_blank(d->id)) {
		struct buf who = BUF_INIT;

		buf_printf(&who, "postmaster@%s.", d->hostname);
		put_paragraph(b, "", "Give that number if you ask for help, here at", who.p);
		buf_clear(&who);
	}
	put_paragraph(b, "", "Behind this text are the same facts for programs, and", is_full(d) ? "the message." :
	    "the message's header.");
}

/* ---- for programs: message/delivery-status (RFC 3464 2) ---- */

/* RFC 3463 2: class "." subject "." detail. */
static int
is_status(const char *s, const char *classes)
{
	size_t subject, detail;

	if (s == NULL || s[0] == '\0' || strchr(classes, s[0]) == NULL || s[1] != '.')
		return 0;
	subject = strspn(s + 2, "0123456789");
	if (subject < 1 || subject > 3 || s[2 + subject] != '.')
		return 0;
	detail = strspn(s + 3 + subject, "0123456789");
	return detail >= 1 && detail <= 3 && s[3 + subject + detail] == '\0';
}

/* RFC 6533 3: as UTF-8 to who can read it, else in ASCII; what is neither is escaped as all text is. */
static void
put_recipient_field(struct buf *b, const char *name, const char *type, const char *address, int global)
{
	buf_printf(b, "%s: %s", name, type[0] == '\0' ? "" : is_utf8(address) ? "utf-8; " : type);
	if (is_utf8(address) && !global)
		put_utf8_xtext(b, address, type[0] == '\0');
	else
		put_utf8(b, address);
	buf_puts(b, EOL);
}

static void
put_rcpt_fields(struct buf *b, const struct dsn *d, const struct dsn_rcpt *r)
{
	const char *classes = actions[r->action].classes;

	buf_puts(b, EOL);
	if (r->original != NULL && strchr(r->original, ';') != NULL)
		put_recipient_field(b, "Original-Recipient", "", r->original, is_global(d));
	put_recipient_field(b, "Final-Recipient", "rfc822; ", r->address, is_global(d));
	buf_printf(b, "Action: %s" EOL, actions[r->action].name);
	if (is_status(r->status, classes))
		buf_printf(b, "Status: %s" EOL, r->status);
	else
		buf_printf(b, "Status: %c.0.0" EOL, classes[0]);
	put_field(b, "Remote-MTA", "dns;", r->remote);
	put_field(b, "Diagnostic-Code", r->replied ? "smtp;" : "X-mtatls;", r->text);
	put_date_field(b, "Last-Attempt-Date", r->attempted);
	put_field(b, "Final-Log-ID", NULL, d->id);
	if (r->action == DSN_DELAYED)
		put_date_field(b, "Will-Retry-Until", r->retry_until);
}

static void
put_status_part(struct buf *b, const struct dsn *d)
{
	size_t i;

	put_field(b, "Original-Envelope-Id", NULL, d->envid);
	put_field(b, "Reporting-MTA", "dns;", d->hostname);
	put_field(b, "Received-From-MTA", "dns;", d->client);
	put_date_field(b, "Arrival-Date", d->arrived);
	put_field(b, "X-mtatls-Queue-ID", NULL, d->id);
	for (i = 0; i < d->nrcpts; i++)
		put_rcpt_fields(b, d, &d->rcpt[i]);
}

/* ---- the original: all of it, or its header (RFC 6522 3, 4; RFC 6533 4) ---- */

static void
put_as_8bit(struct buf *b, const char *type, const char *p, size_t n)
{
	buf_printf(b, "Content-Type: %s" EOL "%s" EOL, type,
	    has_8bit(p, n) ? "Content-Transfer-Encoding: 8bit" EOL : "");
	buf_add(b, p, n);
}

/* Whether UTF-8 is all that is beyond ASCII in it, line by line. */
static int
is_utf8_lines(const char *p, size_t n)
{
	struct buf b = BUF_INIT;
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		buf_putc(&b, is_space(p[i]) ? ' ' : p[i]);
	rc = n > 0 && is_lines(p, n) && is_utf8(b.p);
	buf_clear(&b);
	return rc;
}

static void
put_original_header(struct buf *b, const struct dsn *d, const char *p, size_t n)
{
	if (is_global(d) && is_utf8_lines(p, n)) {
		put_as_8bit(b, "message/global-headers", p, n);
	} else if (is_7bit(p, n)) {
		put_as_8bit(b, "text/rfc822-headers", p, n);
	} else {
		buf_puts(b, "Content-Type: text/rfc822-headers" EOL);
		buf_puts(b, "Content-Transfer-Encoding: quoted-printable" EOL EOL);
		put_quoted_printable(b, p, n);
	}
}

/* With the part's own header. */
static void
put_original(struct buf *b, const struct dsn *d)
{
	const char *p = d->header_len > 0 ? d->header : "";
	size_t n = d->header_len;

	if (is_full(d)) {
		put_as_8bit(b, has_8bit(p, header_length(p, n)) ? "message/global" : "message/rfc822", p, n);
	} else {
		n = header_octets(p, n);
		put_original_header(b, d, p, n);
	}
	if (n > 0 && (n < 2 || !ends_line(p, n, n - 2)))
		buf_puts(b, EOL);
}

/* ---- the whole ---- */

/* From the Message-ID, which nobody who wrote a part could know. */
static void
choose_boundary(char dst[BOUNDARY_MAX + 1], const char *message_id, const struct buf *parts, size_t n)
{
	char name[BOUNDARY_MAX - 20];
	size_t len = 0, i;
	unsigned number = 0;

	for (; *message_id != '\0' && len < sizeof name - 1; message_id++)
		if ((*message_id >= '0' && *message_id <= '9') || (*message_id >= 'a' && *message_id <= 'z') ||
		    (*message_id >= 'A' && *message_id <= 'Z'))
			name[len++] = *message_id;
	name[len] = '\0';
	do {
		snprintf(dst, BOUNDARY_MAX + 1, "=_%s_%u", name, number++);
		for (i = 0; i < n; i++)
			if (memmem(parts[i].p, parts[i].len, dst, strlen(dst)) != NULL)
				break;
	} while (i < n);
}

static const char *
subject(const struct dsn *d)
{
	enum dsn_action a;

	if (d->double_bounce)
		return "Mail from <> that could not be delivered";
	for (a = 0; a < ACTIONS; a++)
		if (count(d, a) > 0)
			return actions[a].subject;
	return "Mail report";
}

/* RFC 3834 3.1.5: what it answers, so that it is shown beside that; where there is one Message-ID, which is one. */
static void
put_thread(struct buf *b, const struct dsn *d)
{
	size_t header = header_octets(d->header, d->header_len), len = 0, i;
	const char *id = NULL;

	if (header_find(d->header, header, "Message-ID", &id, &len) != 1 || len < 5 || len > MESSAGE_ID_MAX ||
	    id[0] != '<' || id[len - 1] != '>' || memchr(id, '@', len) == NULL)
		return;
	for (i = 1; i < len - 1; i++)
		if (id[i] < 0x21 || id[i] > 0x7e || id[i] == '<' || id[i] == '>')
			return;
	buf_printf(b, "In-Reply-To: %.*s" EOL "References: %.*s" EOL, (int)len, id, (int)len, id);
}

static void
put_top(struct buf *b, const struct dsn *d, const char *boundary, int bits8)
{
	put_date_field(b, "Date", d->now);
	put_address_field(b, "From", "Mail relay <postmaster@", d->hostname, ">");
	buf_puts(b, "To: <");
	put_utf8(b, d->to);
	buf_puts(b, ">" EOL);
	buf_printf(b, "Subject: %s" EOL, subject(d));
	put_address_field(b, "Message-ID", "", d->message_id, "");
	if (d->header_len > 0)
		put_thread(b, d);
	buf_puts(b, "Auto-Submitted: auto-replied" EOL);
	buf_puts(b, "MIME-Version: 1.0" EOL);
	buf_printf(b, "Content-Type: multipart/report; report-type=%sdelivery-status;" EOL,
	    is_global(d) ? "global-" : "");
	buf_printf(b, "\tboundary=\"%s\"" EOL, boundary);
	if (bits8)
		buf_puts(b, "Content-Transfer-Encoding: 8bit" EOL);
	buf_puts(b, EOL);
}

/* The words, in UTF-8 where an address needs it. */
static void
put_people(struct buf *b, const struct dsn *d)
{
	struct buf words = BUF_INIT;

	put_people_part(&words, d);
	if (text_is_ascii(words.p)) {
		buf_puts(b, "Content-Type: text/plain; charset=us-ascii" EOL EOL);
		buf_add(b, words.p, words.len);
	} else {
		buf_puts(b, "Content-Type: text/plain; charset=utf-8" EOL);
		buf_puts(b, "Content-Transfer-Encoding: quoted-printable" EOL EOL);
		put_quoted_printable(b, words.p, words.len);
	}
	buf_clear(&words);
}

static void
put_status(struct buf *b, const struct dsn *d)
{
	struct buf fields = BUF_INIT;

	put_status_part(&fields, d);
	put_as_8bit(b, is_global(d) ? "message/global-delivery-status" : "message/delivery-status", fields.p,
	    fields.len);
	buf_clear(&fields);
}

int
dsn_build(struct buf *b, const struct dsn *d)
{
	struct buf parts[3] = { BUF_INIT, BUF_INIT, BUF_INIT };
	char boundary[BOUNDARY_MAX + 1];
	int bits8 = 0;
	size_t i;

	put_people(&parts[0], d);
	put_status(&parts[1], d);
	put_original(&parts[2], d);
	choose_boundary(boundary, d->message_id, parts, 3);
	for (i = 0; i < 3; i++)
		bits8 |= has_8bit(parts[i].p, parts[i].len);

	put_top(b, d, boundary, bits8);
	for (i = 0; i < 3; i++) {
		buf_printf(b, "--%s" EOL, boundary);
		buf_add(b, parts[i].p, parts[i].len);
		buf_puts(b, EOL);
		buf_clear(&parts[i]);
	}
	buf_printf(b, "--%s--" EOL, boundary);
	return bits8 || is_global(d);
}
