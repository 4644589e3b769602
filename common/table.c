#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct parse {
	const char *file;
	const struct table_row *rows;
	size_t nrows;
	unsigned *seen;		/* per row: the line that had it first, 0 for none */
	void *ctx;
	table_error_fn *report;
	void *report_arg;
	size_t errors;
};

static void
error(struct parse *p, unsigned line, const char *text)
{
	p->errors++;
	if (p->report == NULL || p->errors > TABLE_ERRORS_MAX)
		return;
	p->report(p->report_arg, p->file, line, text);
}

static int
hex_value(const char *s)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *hi, *lo;

	if (s[0] == '\0' || s[1] == '\0' || (hi = strchr(digits, s[0])) == NULL ||
	    (lo = strchr(digits, s[1])) == NULL)
		return -1;
	return (int)((hi - digits) % 16 * 16 + (lo - digits) % 16);
}

/* Decodes one word in place. */
static int
decode(char *word, struct fail *f)
{
	char *in = word, *out = word;
	int c;

	if (strcmp(word, "\"\"") == 0) {
		*word = '\0';
		return 0;
	}
	for (; *in != '\0'; in++) {
		if (*in != '%') {
			*out++ = *in;
			continue;
		}
		if ((c = hex_value(in + 1)) <= 0)
			return fail(
			    f, FAIL_INPUT, "expected %%XX with two hexadecimal digits, not 00");
		*out++ = c;
		in += 2;
	}
	*out = '\0';
	return 0;
}

int
table_split(char *line, char **v, size_t max, struct fail *f)
{
	size_t n = 0;
	char *p = line;

	for (;;) {
		p += strspn(p, " \t");
		if (*p == '\0' || *p == '#')
			break;
		if (n == max)
			return fail(f, FAIL_INPUT, "more than %zu words", max);
		v[n++] = p;
		p += strcspn(p, " \t");
		if (*p == '\0')
			break;
		*p++ = '\0';
	}
	for (size_t i = 0; i < n; i++)
		if (decode(v[i], f) == -1)
			return -1;
	return n;
}

static const struct table_row *
find_row(const struct parse *p, const char *key)
{
	size_t i;

	for (i = 0; i < p->nrows; i++)
		if (p->rows[i].key == NULL || strcmp(p->rows[i].key, key) == 0)
			return &p->rows[i];
	return NULL;
}

static int
check_row(struct parse *p, const struct table_row *row, const struct table_line *l, struct fail *f)
{
	unsigned *seen = &p->seen[row - p->rows];

	if ((row->flags & TABLE_ONCE) && *seen != 0)
		return fail(f, FAIL_INPUT, "%s stands in line %u already", row->key, *seen);
	if (*seen == 0)
		*seen = l->line;
	if (l->n < row->min)
		return fail(f, FAIL_INPUT, "%s: expected %s%zu value%s, found %zu", l->key,
		    row->min == row->max ? "" : "at least ", row->min, row->min == 1 ? "" : "s",
		    l->n);
	if (l->n > row->max)
		return fail(f, FAIL_INPUT, "%s: expected %s%zu value%s, found %zu", l->key,
		    row->min == row->max ? "" : "at most ", row->max, row->max == 1 ? "" : "s",
		    l->n);
	return 0;
}

static void
parse_line(struct parse *p, unsigned number, char *text, size_t len, char **words)
{
	struct table_line l = { .file = p->file, .line = number };
	struct fail f = FAIL_INIT;
	const struct table_row *row;
	char *key;
	int n;

	if (len > TABLE_LINE_MAX) {
		error(p, number, "line too long");
		return;
	}
	if (memchr(text, '\0', len) != NULL) {
		error(p, number, "NUL octet");
		return;
	}
	if ((n = table_split(text, words, TABLE_WORDS_MAX + 1, &f)) == 0)
		return;
	if (n > 0) {
		l.key = words[0];
		l.n = n - 1;
		l.v = words + 1;
		if ((row = find_row(p, l.key)) == NULL) {
			key = text_escape(l.key, strlen(l.key));
			fail(&f, FAIL_INPUT, "unknown keyword \"%.100s\"", key);
			free(key);
		} else if (check_row(p, row, &l, &f) == 0 && row->set(p->ctx, &l, &f) == 0)
			return;
	}
	error(p, number, f.text);
}

void
table_first_error(void *arg, const char *file, unsigned line, const char *text)
{
	struct fail *f = arg;

	if (f->kind == FAIL_NONE)
		fail(f, FAIL_INPUT, "%.300s:%u: %.150s", file, line, text);
}

size_t
table_parse(const char *file, const char *text, size_t len, const struct table_row *rows,
    size_t nrows, void *ctx, table_error_fn *report, void *arg)
{
	struct parse p = { .file = file, .rows = rows, .nrows = nrows, .ctx = ctx, .report = report,
		.report_arg = arg };
	char **words = xcalloc(TABLE_WORDS_MAX + 1, sizeof *words);
	char *copy = xmalloc(len + 1), *at = copy, *end, *eol;
	unsigned line = 0;
	size_t i;

	memcpy(copy, text, len);
	copy[len] = '\0';
	end = copy + len;
	p.seen = xcalloc(nrows, sizeof *p.seen);
	for (; at < end; at = eol + 1) {
		size_t n;

		if ((eol = memchr(at, '\n', end - at)) == NULL)
			eol = end;
		n = eol - at;
		if (n > 0 && at[n - 1] == '\r')
			n--;
		at[n] = '\0';
		parse_line(&p, ++line, at, n, words);
	}
	for (i = 0; i < nrows; i++)
		if ((rows[i].flags & TABLE_REQUIRED) && p.seen[i] == 0) {
			char *what = xasprintf("no line with %s", rows[i].key);

			error(&p, line > 0 ? line : 1, what);
			free(what);
		}
	if (p.errors > TABLE_ERRORS_MAX && report != NULL)
		report(arg, file, line, "too many errors; only the first hundred are shown");
	free(p.seen);
	free(words);
	free(copy);
	return p.errors;
}

static int
must_encode(unsigned char c)
{
	return c <= ' ' || c == '%' || c == '"' || c == '#' || c == 0x7f;
}

void
table_put_word(struct buf *b, const char *s, size_t n)
{
	size_t i, run;

	buf_putc(b, ' ');
	if (n == 0)
		buf_puts(b, "\"\"");
	for (i = 0; i < n; i++) {
		static const char digits[] = "0123456789ABCDEF";
		char code[3] = { '%' };

		for (run = i; run < n && !must_encode((unsigned char)s[run]); run++)
			;
		buf_add(b, s + i, run - i);
		if ((i = run) == n)
			break;
		code[1] = digits[(unsigned char)s[i] >> 4];
		code[2] = digits[(unsigned char)s[i] & 15];
		buf_add(b, code, sizeof code);
	}
}

void
table_put(struct buf *b, const char *key, ...)
{
	const char *s;
	va_list ap;

	buf_puts(b, key);
	va_start(ap, key);
	while ((s = va_arg(ap, const char *)) != NULL)
		table_put_word(b, s, strlen(s));
	va_end(ap);
	buf_putc(b, '\n');
}
