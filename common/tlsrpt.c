#include "tlsrpt.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"
#include "mailbox.h"
#include "text.h"

void
tlsrpt_clear(struct tlsrpt *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		free(t->rua[i].uri);
		free(t->rua[i].mailbox);
	}
	free(t->rua);
	memset(t, 0, sizeof *t);
}

static int
hex_value(char c)
{
	return c >= '0' && c <= '9'	 ? c - '0'
	    : c >= 'a' && c <= 'f' ? c - 'a' + 10
	    : c >= 'A' && c <= 'F' ? c - 'A' + 10
				   : -1;
}

/* RFC 3986 2: unreserved, reserved, or an escape; RFC 8460 3 takes "," ";" and "!" out. */
static int
check_characters(const char *s, size_t len, size_t offset, struct fail *f)
{
	static const char others[] = "-._~:/?#[]@$&'()*+=";
	size_t i;

	for (i = 0; i < len; i++) {
		char c = s[i];

		if (c == '%') {
			if (i + 2 >= len || hex_value(s[i + 1]) == -1 || hex_value(s[i + 2]) == -1)
				return fail(f, FAIL_INPUT, "offset %zu: expected two hexadecimal digits behind %%",
				    offset + i);
			i += 2;
		} else if (c == '!')
			return fail(f, FAIL_INPUT, "offset %zu: \"!\" is written as %%21 in a URI here", offset + i);
		else if (c == '\0' || (strchr(others, c) == NULL && !txtrec_is_alnum(c)))
			return fail(f, FAIL_INPUT, "offset %zu: not a character that a URI may have", offset + i);
	}
	return 0;
}

static char *
undo_escapes(const char *s, size_t len, struct buf *b)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] == '%') {
			buf_putc(b, (char)(hex_value(s[i + 1]) * 16 + hex_value(s[i + 2])));
			i += 2;
		} else
			buf_putc(b, s[i]);
	return b->p;
}

/* RFC 6068 2: one address, and perhaps header fields, which nothing is made of. */
static int
take_mailto(struct tlsrpt_uri *u, const char *s, size_t len, size_t offset, struct fail *f)
{
	const char *query = memchr(s, '?', len);
	struct buf b = BUF_INIT, printed = BUF_INIT;
	struct mailbox m;
	size_t used;
	int rc;

	buf_putc(&b, '<');
	undo_escapes(s, query != NULL ? (size_t)(query - s) : len, &b);
	buf_putc(&b, '>');
	rc = mailbox_parse(&m, b.p, b.len, 0, &used, NULL);
	/* A source route is none of a URI's. */
	if (rc == -1 || used != b.len || b.p[1] == '@' || m.domain[0] == '\0')
		rc = fail(f, FAIL_INPUT, "offset %zu: expected user@domain behind mailto:", offset);
	else {
		mailbox_print(&printed, &m);
		u->mailbox = buf_steal(&printed);
	}
	buf_clear(&b);
	return rc;
}

/* RFC 3986 3.2.2, IP-literal. */
static int
is_bracketed_v6(const char *s, size_t n)
{
	char text[48];

	if (n < 4 || n - 2 >= sizeof text || s[0] != '[' || s[n - 1] != ']')
		return 0;
	memcpy(text, s + 1, n - 2);
	text[n - 2] = '\0';
	return strchr(text, ':') != NULL && text_is_address(text);
}

/* RFC 9110 4.2.2: an authority with a host; no user in it, for nobody asked for one. */
static int
check_https(const char *s, size_t len, size_t offset, struct fail *f)
{
	size_t n, host, i;

	if (len < 2 || memcmp(s, "//", 2) != 0)
		return fail(f, FAIL_INPUT, "offset %zu: expected // behind https:", offset);
	s += 2;
	len -= 2;
	for (n = 0; n < len && s[n] != '/' && s[n] != '?' && s[n] != '#'; n++)
		;
	for (host = n; host > 0 && s[host - 1] >= '0' && s[host - 1] <= '9'; host--)
		;
	host = host > 0 && s[host - 1] == ':' ? host - 1 : n;
	for (i = 0; i < host; i++)
		if (s[i] == '@')
			return fail(f, FAIL_INPUT, "offset %zu: no user is expected in this URI", offset + 2 + i);
	if (!mailbox_is_domain(s, host) && !is_bracketed_v6(s, host))
		return fail(f, FAIL_INPUT, "offset %zu: expected a host behind https://", offset + 2);
	return 0;
}

static int
take_uri(struct tlsrpt *t, const char *s, size_t len, size_t offset, struct fail *f)
{
	struct tlsrpt_uri u = { .uri = NULL };
	int rc;

	if (t->n == TLSRPT_URIS_MAX)
		return fail(f, FAIL_INPUT, "offset %zu: more than %d URIs", offset, TLSRPT_URIS_MAX);
	if (check_characters(s, len, offset, f) == -1)
		return -1;
	if (len >= 7 && strncasecmp(s, "mailto:", 7) == 0)
		rc = take_mailto(&u, s + 7, len - 7, offset + 7, f);
	else if (len >= 6 && strncasecmp(s, "https:", 6) == 0)
		rc = check_https(s + 6, len - 6, offset + 6, f);
	else
		rc = fail(f, FAIL_INPUT, "offset %zu: expected a URI that begins with mailto: or https:", offset);
	if (rc == -1)
		return -1;
	u.uri = xstrndup(s, len);
	t->rua = xreallocarray(t->rua, t->n + 1, sizeof *t->rua);
	t->rua[t->n++] = u;
	return 0;
}

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* rua=URI, URI ... */
static int
take_field(void *arg, const char *name, const char *value, size_t len, size_t offset, struct fail *f)
{
	size_t start = 0, end, next;

	if (strcmp(name, "rua") != 0)
		return 0;
	for (;; start = next + 1) {
		for (next = start; next < len && value[next] != ','; next++)
			;
		/* Blanks are the comma's. */
		while (start > 0 && start < next && is_blank(value[start]))
			start++;
		for (end = next; next < len && end > start && is_blank(value[end - 1]); end--)
			;
		if (take_uri(arg, value + start, end - start, offset + start, f) == -1)
			return -1;
		if (next == len)
			return 1;
	}
}

int
tlsrpt_parse(struct tlsrpt *out, const struct txtrec *r, struct fail *f)
{
	memset(out, 0, sizeof *out);
	if (txtrec_parse(r, TLSRPT_VERSION, take_field, out, f) == 0) {
		if (out->n > 0)
			return 0;
		fail(f, FAIL_INPUT, "offset %zu: no rua=", r->len);
	}
	tlsrpt_clear(out);
	return -1;
}

int
tlsrpt_select(struct tlsrpt *out, const struct txtrec *r, size_t n, struct fail *f)
{
	size_t which = 0, found = txtrec_select(r, n, TLSRPT_VERSION, &which);

	memset(out, 0, sizeof *out);
	if (found == 0)
		return 0;
	if (found > 1)
		return fail(f, FAIL_INPUT, "%zu records begin with %s;", found, TLSRPT_VERSION);
	return tlsrpt_parse(out, &r[which], f) == -1 ? -1 : 1;
}
