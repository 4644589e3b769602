/*
 * A path is walked once from its "<" to its ">"; each take_*() moves the cursor over one production
 * of RFC 5321 4.1.2 or says what it expected there.
 */
#include "mailbox.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 63	/* RFC 1035 2.3.4 */
#define U_LABEL_MAX (LABEL_MAX * 4)	/* octets of what may become an A-label of that length */

struct cursor {
	const char *p;
	size_t n, at;
	int utf8;	/* octets above 127 may stand in it */
};

static int
peek(const struct cursor *c)
{
	return c->at < c->n ? (unsigned char)c->p[c->at] : -1;
}

static int
skip(struct cursor *c, int want)
{
	if (peek(c) != want)
		return 0;
	c->at++;
	return 1;
}

static int
expected(const struct cursor *c, const char *what, struct fail *f)
{
	if (peek(c) > 127)
		return fail(f, FAIL_POLICY, "an octet above 127 in an address");
	return fail(f, FAIL_INPUT, "expected %s", what);
}

static int
too_long(struct fail *f, const char *what, int max)
{
	return fail(f, FAIL_INPUT, "%s of more than %d octets", what, max);
}

static int
is_alnum(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 5322 3.2.3; RFC 6531 3.3 */
static int
is_atext(int c, int utf8)
{
	if (c > 127)
		return utf8;
	return is_alnum(c) || (c > 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Dot-string: how many octets of s are one, from its start. */
static size_t
dot_string(const char *s, size_t n, int utf8)
{
	size_t len = 0, i;

	for (i = 0; i < n && is_atext((unsigned char)s[i], utf8); i++) {
		len = i + 1;
		if (len + 1 < n && s[len] == '.' && is_atext((unsigned char)s[len + 1], utf8))
			i++;
	}
	return len;
}

/* A label of a Domain: how many octets of s are one, from its start; 0: none. */
static size_t
label(const char *s, size_t n, int utf8)
{
	int high = 0;
	size_t len;

	for (len = 0; len < n; len++) {
		int c = (unsigned char)s[len];

		if (c > 127 && utf8)
			high = 1;
		else if (!is_alnum(c) && c != '-' && c != '_')
			break;
	}
	if (len == 0 || len > (high ? U_LABEL_MAX : LABEL_MAX) || s[0] == '-' || s[len - 1] == '-')
		return 0;
	return len;
}

/*
 * Sub-domains with dots between: how many octets of s are a Domain, from its start; 0: none.  RFC 5321 4.1.2
 * has no underscore; names with one bear mail all the same, and Postfix and Exim take them.
 */
static size_t
domain(const char *s, size_t n, int utf8)
{
	size_t at = 0, len;

	for (;;) {
		if ((len = label(s + at, n - at, utf8)) == 0)
			return 0;
		at += len;
		/* A dot at the end is the DNS's affair: take_domain() drops it. */
		if (at == n || s[at] != '.' || at + 1 == n || strchr(">,:", s[at + 1]) != NULL)
			return at;
		at++;
	}
}

int
mailbox_is_domain(const char *s, size_t n)
{
	return n <= MAILBOX_DOMAIN_MAX && n > 0 && domain(s, n, 0) == n;
}

/* RFC 5321 4.1.3.  No tag but IPv6 was ever registered. */
static int
is_literal(const char *s, size_t n)
{
	const char *address;
	char text[64];
	int v6;

	if (n < 3 || n - 2 >= sizeof text || s[0] != '[' || s[n - 1] != ']')
		return 0;
	memcpy(text, s + 1, n - 2);
	text[n - 2] = '\0';
	if (strlen(text) != n - 2)
		return 0;
	v6 = strncasecmp(text, "IPv6:", 5) == 0;
	address = text + (v6 ? 5 : 0);
	return text_is_address(address) && (strchr(address, ':') != NULL) == v6;
}

/* Quoted-string, decoded. */
static int
take_quoted(struct mailbox *m, struct cursor *c, struct fail *f)
{
	size_t start = c->at++, len = 0;
	int ch;

	while ((ch = peek(c)) != '"') {
		if (ch == '\\') {
			c->at++;
			ch = peek(c);
		}
		if (ch < 0x20 || ch == 0x7f || (ch > 0x7f && !c->utf8))
			return expected(c, "a printable octet or a \" in the quoted local part", f);
		if (c->at - start >= MAILBOX_LOCAL_MAX - 1)
			return too_long(f, "a local part", MAILBOX_LOCAL_MAX);
		m->local[len++] = ch;
		c->at++;
	}
	c->at++;
	/* "" means the same as no local part at all, and would print as such. */
	return len > 0 ? 0 : fail(f, FAIL_INPUT, "an empty local part");
}

static int
take_local(struct mailbox *m, struct cursor *c, struct fail *f)
{
	size_t len;

	if (peek(c) == '"')
		return take_quoted(m, c, f);
	len = dot_string(c->p + c->at, c->n - c->at, c->utf8);
	if (len == 0)
		return expected(c, "a local part", f);
	if (len > MAILBOX_LOCAL_MAX)
		return too_long(f, "a local part", MAILBOX_LOCAL_MAX);
	memcpy(m->local, c->p + c->at, len);
	c->at += len;
	return 0;
}

/* The octets of a Domain, without a dot at its end, or, where that is allowed, a literal; moves the cursor. */
static int
take_domain(struct cursor *c, int literal, size_t *len, struct fail *f)
{
	const char *s = c->p + c->at, *end;
	size_t left = c->n - c->at;

	*len = domain(s, left, c->utf8);
	if (*len == 0 && literal && left > 0 && s[0] == '[' && (end = memchr(s, ']', left)) != NULL &&
	    is_literal(s, end + 1 - s))
		*len = end + 1 - s;
	if (*len == 0)
		return expected(c, literal ? "a domain or an address in brackets" : "a domain", f);
	if (*len > MAILBOX_DOMAIN_MAX)
		return too_long(f, "a domain", MAILBOX_DOMAIN_MAX);
	c->at += *len;
	if (s[0] != '[')
		skip(c, '.');
	return 0;
}

/* "@a.example,@b.example:" */
static int
take_route(struct cursor *c, struct fail *f)
{
	size_t len;

	do {
		if (!skip(c, '@'))
			return expected(c, "an @ in the source route", f);
		if (take_domain(c, 0, &len, f) == -1)
			return -1;
	} while (skip(c, ','));
	return skip(c, ':') ? 0 : expected(c, "a colon behind the source route", f);
}

static int
take_mailbox(struct mailbox *m, struct cursor *c, unsigned flags, struct fail *f)
{
	size_t start = c->at, len, at;

	if (take_local(m, c, f) == -1)
		return -1;
	if ((flags & MAILBOX_BARE) && peek(c) == '>')
		return 0;
	if (!skip(c, '@'))
		return expected(c, "an @ behind the local part", f);
	at = c->at;
	if (take_domain(c, 1, &len, f) == -1)
		return -1;
	if (at + len - start > MAILBOX_MAX)
		return too_long(f, "an address", MAILBOX_MAX);
	memcpy(m->domain, c->p + at, len);
	return 0;
}

int
mailbox_parse(struct mailbox *m, const char *s, size_t n, unsigned flags, size_t *used, struct fail *f)
{
	struct cursor c = { .p = s, .n = n, .at = 0, .utf8 = (flags & MAILBOX_UTF8) != 0 };

	memset(m, 0, sizeof *m);
	*used = 0;
	if (!skip(&c, '<'))
		return expected(&c, "an address in <>", f);
	if (!((flags & MAILBOX_NULL) && peek(&c) == '>')) {
		if (peek(&c) == '@' && take_route(&c, f) == -1)
			return -1;
		if (take_mailbox(m, &c, flags, f) == -1)
			return -1;
	}
	if (!skip(&c, '>'))
		return expected(&c, "a > behind the address", f);
	if (text_utf8_chars(m->local) == -1 || text_utf8_chars(m->domain) == -1)
		return fail(f, FAIL_INPUT, "expected UTF-8 in the address");
	*used = c.at;
	return 0;
}

int
mailbox_is_utf8(const struct mailbox *m)
{
	return !text_is_ascii(m->local) || !text_is_ascii(m->domain);
}

void
mailbox_print(struct buf *b, const struct mailbox *m)
{
	size_t len = strlen(m->local), i;

	if (len == 0)
		return;
	if (dot_string(m->local, len, 1) == len)
		buf_puts(b, m->local);
	else {
		buf_putc(b, '"');
		for (i = 0; i < len; i++) {
			if (m->local[i] == '"' || m->local[i] == '\\')
				buf_putc(b, '\\');
			buf_putc(b, m->local[i]);
		}
		buf_putc(b, '"');
	}
	if (m->domain[0] != '\0')
		buf_printf(b, "@%s", m->domain);
}
