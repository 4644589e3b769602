/*
 * One member of the list at a time: words gather in spec; a "<" shows that they were a name, a ":" that they
 * named a group, a comma or the end that they were the address.  Nothing recurses.
 */
#include "address_list.h"

#include <string.h>

struct reader {
	const char *p;
	size_t n, at;
	struct buf spec;	/* the address so far */
	size_t end;		/* behind its last octet */
	int gap;		/* white space stood behind that */
	int words;		/* it is more than one word: a name, or nothing */
};

static int
peek(const struct reader *r)
{
	return r->at < r->n ? (unsigned char)r->p[r->at] : -1;
}

static int
wrong(const struct reader *r, const char *what, struct fail *f)
{
	return fail(f, FAIL_INPUT, "offset %zu: expected %s", r->at, what);
}

static int
is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* "(a (nested) comment)" */
static int
skip_comment(struct reader *r, struct fail *f)
{
	size_t depth = 0;
	int c;

	do {
		if ((c = peek(r)) == -1)
			return wrong(r, "a ) that ends the comment", f);
		r->at++;
		if (c == '\\' && peek(r) != -1)
			r->at++;
		depth += c == '(';
		depth -= c == ')';
	} while (depth > 0);
	return 0;
}

/* The octets from here on up to and with the closing one. */
static int
take_enclosed(struct reader *r, int close, struct fail *f)
{
	size_t from = r->at++;
	int c;

	while ((c = peek(r)) != close) {
		if (c == -1)
			return wrong(r, close == '"' ? "a closing \"" : "a ]", f);
		r->at += c == '\\' && r->at + 1 < r->n ? 2 : 1;
	}
	r->at++;
	buf_add(&r->spec, r->p + from, r->at - from);
	return 0;
}

/* "a b" is no address, but "a . b @ c" was one (RFC 5322 4.4). */
static void
join(struct reader *r, int c)
{
	int last = r->spec.len > 0 ? (unsigned char)r->spec.p[r->spec.len - 1] : -1;

	if (r->gap && last != -1 && strchr(".@", last) == NULL && strchr(".@", c) == NULL)
		r->words = 1;
	r->gap = 0;
}

static int
take_word(struct reader *r, int c, struct fail *f)
{
	int rc = 0;

	join(r, c);
	if (c == '"' || c == '[')
		rc = take_enclosed(r, c == '"' ? '"' : ']', f);
	else {
		buf_putc(&r->spec, c);
		r->at++;
	}
	r->end = r->at;
	return rc;
}

/* Up to an octet of stop, or the end. */
static int
take_words(struct reader *r, const char *stop, struct fail *f)
{
	int c;

	r->spec.len = 0;
	r->gap = r->words = 0;
	while ((c = peek(r)) != -1 && (c == 0 || strchr(stop, c) == NULL)) {
		if (c == 0)
			return wrong(r, "no NUL", f);
		if (is_space(c)) {
			r->gap = 1;
			r->at++;
		} else if (c == '(') {
			r->gap = 1;
			if (skip_comment(r, f) == -1)
				return -1;
		} else if (take_word(r, c, f) == -1)
			return -1;
	}
	return 0;
}

static int
give(struct reader *r, address_list_fn *fn, void *arg, struct fail *f)
{
	struct address_list_item item = { .end = r->end, .literal = r->spec.p[0] == '\\' };
	struct buf path = BUF_INIT;
	size_t used;
	int rc;

	if (r->words)
		return fail(f, FAIL_INPUT, "offset %zu: expected a comma between addresses, or <> around one", r->end);
	buf_putc(&path, '<');
	buf_add(&path, r->spec.p + item.literal, r->spec.len - item.literal);
	buf_putc(&path, '>');
	rc = mailbox_parse(&item.box, path.p, path.len, MAILBOX_BARE | MAILBOX_UTF8, &used, f);
	if (rc == 0 && used != path.len)
		rc = fail(f, FAIL_INPUT, "expected no > in the address");
	buf_clear(&path);
	if (rc == -1) {
		if (f != NULL)
			f->kind = FAIL_INPUT;
		return fail_prefix(f, "offset %zu", r->end);
	}
	return fn(arg, &item, f);
}

/* Behind the "<". */
static int
take_angle(struct reader *r, address_list_fn *fn, void *arg, struct fail *f)
{
	int rc;

	r->at++;
	if (take_words(r, "<>", f) == -1)
		return -1;
	if (peek(r) != '>')
		return wrong(r, "a >", f);
	if (r->spec.len == 0)
		return wrong(r, "an address in <>", f);
	if ((rc = give(r, fn, arg, f)) != 0)
		return rc;
	r->at++;
	if (take_words(r, ",;:<>", f) == -1)
		return -1;
	return r->spec.len == 0 && (peek(r) == -1 || peek(r) == ',' || peek(r) == ';') ? 0 :
	    wrong(r, "a comma behind the address", f);
}

int
address_list_parse(const char *s, size_t n, address_list_fn *fn, void *arg, struct fail *f)
{
	struct reader r = { .p = s, .n = n, .spec = BUF_INIT };
	int rc = 0;

	while (rc == 0 && r.at < r.n) {
		if ((rc = take_words(&r, ",;:<>", f)) != 0)
			break;
		switch (peek(&r)) {
		case '<':
			rc = take_angle(&r, fn, arg, f);
			break;
		case ':':	/* the name of a group */
			rc = r.spec.len > 0 ? 0 : wrong(&r, "a name before the colon", f);
			r.at++;
			break;
		case '>':
			rc = wrong(&r, "a < before the >", f);
			break;
		default:
			rc = r.spec.len > 0 ? give(&r, fn, arg, f) : 0;
			r.at++;
		}
	}
	buf_clear(&r.spec);
	return rc;
}
