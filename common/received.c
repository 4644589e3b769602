/*
 * The field's words on one line first, then folded between them.
 */
#include "received.h"

#include <stdio.h>
#include <string.h>

#define FOLD_MAX 77	/* columns of a line of the field */
#define WORD_MAX 255	/* octets of one word in it */

/* Printable ASCII without what would end or nest a comment; anything else becomes a "?". */
static void
put_safe(struct buf *b, const char *text)
{
	size_t i, n = strnlen(text, WORD_MAX);
	int safe;

	for (i = 0; i < n; i++) {
		safe = text[i] > 0x20 && text[i] < 0x7f && strchr("()\\\"<>;", text[i]) == NULL;
		buf_putc(b, safe ? text[i] : '?');
	}
}

/* As put_safe(), of several words. */
static void
put_comment(struct buf *b, const char *before, const char *text)
{
	struct buf word = BUF_INIT;
	size_t n;

	if (text == NULL)
		return;
	if (b->len > 0)
		buf_puts(b, ", ");
	buf_puts(b, before);
	for (; *text != '\0'; text += n) {
		if ((n = strspn(text, " ")) > 0) {
			buf_putc(b, ' ');
			continue;
		}
		n = strcspn(text, " ");
		word.len = 0;
		buf_add(&word, text, n);
		put_safe(b, word.p);
	}
	buf_clear(&word);
}

char *
received_tls(const struct received_tls *t)
{
	struct buf b = BUF_INIT, words = BUF_INIT;
	char bits[32];

	put_safe(&b, t->cipher != NULL ? t->cipher : "unknown");
	snprintf(bits, sizeof bits, "%d bits", t->bits);
	put_comment(&words, "", t->protocol);
	put_comment(&words, "", t->bits > 0 ? bits : NULL);
	put_comment(&words, "", t->group);
	put_comment(&words, "client certificate ", t->client);
	if (words.len > 0)
		buf_printf(&b, " (%s)", words.p);
	buf_clear(&words);
	return buf_steal(&b);
}

/* RFC 3848.  It has no word for HELO inside TLS; the tls clause says it. */
const char *
received_protocol(unsigned how)
{
	static const char *const words[] = { [0] = "ESMTP", [RECEIVED_TLS] = "ESMTPS",
		[RECEIVED_AUTH] = "ESMTPA", [RECEIVED_TLS | RECEIVED_AUTH] = "ESMTPSA",
		[RECEIVED_UTF8] = "UTF8SMTP", [RECEIVED_UTF8 | RECEIVED_TLS] = "UTF8SMTPS",
		[RECEIVED_UTF8 | RECEIVED_AUTH] = "UTF8SMTPA",
		[RECEIVED_UTF8 | RECEIVED_TLS | RECEIVED_AUTH] = "UTF8SMTPSA" };

	if (!(how & RECEIVED_ESMTP))
		return "SMTP";
	return words[how & (RECEIVED_TLS | RECEIVED_AUTH | RECEIVED_UTF8)];
}

static void
fold(struct buf *b, const char *text)
{
	size_t column = 0, n;

	for (; *text != '\0'; text += n) {
		text += strspn(text, " ");
		n = strcspn(text, " ");
		if (column > 0 && column + 1 + n > FOLD_MAX) {
			buf_puts(b, "\r\n\t");
			column = 8;
		} else if (column++ > 0)
			buf_putc(b, ' ');
		buf_add(b, text, n);
		column += n;
	}
	buf_puts(b, "\r\n");
}

static void
put_client(struct buf *b, const struct received *r)
{
	buf_puts(b, "Received: from ");
	put_safe(b, r->hello[0] != '\0' ? r->hello : "unknown");
	if (r->client_name == NULL && r->client_address == NULL)
		return;
	buf_puts(b, " (");
	put_safe(b, r->client_name != NULL ? r->client_name : "unknown");
	if (r->client_address != NULL) {
		buf_puts(b, strchr(r->client_address, ':') != NULL ? " [IPv6:" : " [");
		put_safe(b, r->client_address);
		buf_putc(b, ']');
	}
	buf_putc(b, ')');
}

void
received_put(struct buf *out, const struct received *r)
{
	char date[TEXT_DATE_MAX];
	struct buf b = BUF_INIT;

	put_client(&b, r);
	buf_puts(&b, " by ");
	put_safe(&b, r->by);
	buf_printf(&b, " with %s id ", r->protocol);
	put_safe(&b, r->id);
	if (r->tls != NULL)
		buf_printf(&b, " tls %s", r->tls);
	buf_printf(&b, "; %s", text_date(date, r->time));
	fold(out, b.p);
	buf_clear(&b);
}
