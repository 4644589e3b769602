/*
 * The parts are written one after the other, then a boundary is chosen that occurs in none of them.
 * All text that comes in goes through put_words() or put_verbatim(), so that nothing but printable
 * ASCII comes out and nobody but this file ends a line; the original's header goes through put_header().
 */
#include "dsn.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define EOL "\r\n"
#define WORD_MAX 900		/* octets in a row without a line end: with what stands around, below 998 */
#define LINE_MAX_HARD 998	/* RFC 5322 2.1.1 */
#define QP_LINE 76		/* RFC 2045 6.7 (5) */
#define BOUNDARY_MAX 70		/* RFC 2046 5.1.1 */

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
	    "Delivered mail" },
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

/* ---- for people ---- */

static void
put_rcpt_words(struct buf *b, const struct dsn_rcpt *r)
{
	struct wrap w = { .b = b, .indent = "    ", .column = 4, .begun = 0 };

	buf_puts(b, EOL "  <");
	put_verbatim(b, r->address);
	buf_puts(b, ">" EOL);
	if (!is_blank(r->text)) {
		buf_puts(b, w.indent);
		if (r->replied) {
			put_words(&w, is_blank(r->remote) ? "the other host" : r->remote);
			put_words(&w, "said:");
		}
		put_words(&w, r->text);
		buf_puts(b, EOL);
	}
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
	put_words(&w, "Your message came here on");
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
	put_words(&w, "reports on a message that you sent.");
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
	buf_puts(b, "Behind this text are the same facts for programs, and your message's header." EOL);
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

static void
put_rcpt_fields(struct buf *b, const struct dsn_rcpt *r)
{
	const char *classes = actions[r->action].classes;

	buf_puts(b, EOL);
	if (r->original != NULL && strchr(r->original, ';') != NULL)
		put_address_field(b, "Original-Recipient", "", r->original, "");
	put_address_field(b, "Final-Recipient", "rfc822; ", r->address, "");
	buf_printf(b, "Action: %s" EOL, actions[r->action].name);
	if (is_status(r->status, classes))
		buf_printf(b, "Status: %s" EOL, r->status);
	else
		buf_printf(b, "Status: %c.0.0" EOL, classes[0]);
	put_field(b, "Remote-MTA", "dns;", r->remote);
	put_field(b, "Diagnostic-Code", r->replied ? "smtp;" : "X-mtatls;", r->text);
	put_date_field(b, "Last-Attempt-Date", r->attempted);
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
		put_rcpt_fields(b, &d->rcpt[i]);
}

/* ---- the original's header: text/rfc822-headers (RFC 6522 4) ---- */

/* How much of it is header, whole lines where it must be cut. */
static size_t
header_length(const char *p, size_t n)
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

/* With the part's own header. */
static void
put_header_part(struct buf *b, const char *p, size_t n)
{
	n = header_length(p, n);
	buf_puts(b, "Content-Type: text/rfc822-headers" EOL);
	if (is_7bit(p, n)) {
		buf_puts(b, EOL);
		buf_add(b, p, n);
	} else {
		buf_puts(b, "Content-Transfer-Encoding: quoted-printable" EOL EOL);
		put_quoted_printable(b, p, n);
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

	for (a = 0; a < ACTIONS; a++)
		if (count(d, a) > 0)
			return actions[a].subject;
	return "Mail report";
}

static void
put_top(struct buf *b, const struct dsn *d, const char *boundary)
{
	put_date_field(b, "Date", d->now);
	put_address_field(b, "From", "Mail relay <postmaster@", d->hostname, ">");
	put_address_field(b, "To", "<", d->to, ">");
	buf_printf(b, "Subject: %s" EOL, subject(d));
	put_address_field(b, "Message-ID", "", d->message_id, "");
	buf_puts(b, "Auto-Submitted: auto-replied" EOL);
	buf_puts(b, "MIME-Version: 1.0" EOL);
	buf_puts(b, "Content-Type: multipart/report; report-type=delivery-status;" EOL);
	buf_printf(b, "\tboundary=\"%s\"" EOL, boundary);
	buf_puts(b, EOL);
}

void
dsn_build(struct buf *b, const struct dsn *d)
{
	struct buf parts[3] = { BUF_INIT, BUF_INIT, BUF_INIT };
	char boundary[BOUNDARY_MAX + 1];
	size_t i;

	buf_puts(&parts[0], "Content-Type: text/plain; charset=us-ascii" EOL EOL);
	put_people_part(&parts[0], d);
	buf_puts(&parts[1], "Content-Type: message/delivery-status" EOL EOL);
	put_status_part(&parts[1], d);
	put_header_part(&parts[2], d->header_len > 0 ? d->header : "", d->header_len);
	choose_boundary(boundary, d->message_id, parts, 3);

	put_top(b, d, boundary);
	for (i = 0; i < 3; i++) {
		buf_printf(b, "--%s" EOL, boundary);
		buf_add(b, parts[i].p, parts[i].len);
		buf_puts(b, EOL);
		buf_clear(&parts[i]);
	}
	buf_printf(b, "--%s--" EOL, boundary);
}
