/* Files, and what table_parse() makes of them: the values as set, then the errors, in one text. */
#include "table.h"

#include <stdlib.h>

#include "unit.h"

static int
set_any(void *ctx, const struct table_line *l, struct fail *f)
{
	struct buf *b = ctx;
	size_t i;

	if (l->n > 0 && strcmp(l->v[0], "bad") == 0)
		return fail(f, FAIL_INPUT, "%s: bad value", l->key);
	buf_printf(b, "%u:%s", l->line, l->key);
	for (i = 0; i < l->n; i++) {
		buf_putc(b, '|');
		buf_escape(b, l->v[i], strlen(l->v[i]));
	}
	buf_putc(b, '\n');
	return 0;
}

static const struct table_row rows[] = {
	{ "any", 0, TABLE_WORDS_MAX, 0, set_any },
	{ "one", 1, 1, TABLE_ONCE, set_any },
	{ "two", 2, 3, 0, set_any },
	{ "must", 0, 1, TABLE_REQUIRED | TABLE_ONCE, set_any },
};

static void
note(void *arg, const char *file, unsigned line, const char *text)
{
	struct buf *b = arg;

	buf_printf(b, "%s:%u: %s\n", file, line, text);
}

static const struct {
	const char *name, *in, *want;
	size_t errors;
} files[] = {
	{ "values", "must\nany a b  c\n\tany\td \n", "1:must\n2:any|a|b|c\n3:any|d\n", 0 },
	{ "comments", "# all\nmust # rest\nany a#b #c\n#any\n\n  \n", "2:must\n3:any|a#b\n", 0 },
	{ "CRLF, no last line end", "must\r\nany a\r\nany b", "1:must\n2:any|a\n3:any|b\n", 0 },
	{ "odd bytes", "must\nany a%20b %23 %25 %0a%0D %C3%a9 %7f\n",
	    "1:must\n2:any|a b|#|%|\\x0a\\x0d|\\xc3\\xa9|\\x7f\n", 0 },
	{ "an odd byte in the keyword", "must\n%61ny x\n", "1:must\n2:any|x\n", 0 },
	{ "broken escapes", "must\nany %\nany %4\nany %zz\nany %00\n",
	    "1:must\nf:2: expected %XX with two hexadecimal digits, not 00\n"
	    "f:3: expected %XX with two hexadecimal digits, not 00\n"
	    "f:4: expected %XX with two hexadecimal digits, not 00\n"
	    "f:5: expected %XX with two hexadecimal digits, not 00\n",
	    4 },
	{ "too few, too many", "must\none\none a b\ntwo a\ntwo a b c d\ntwo a b\n",
	    "1:must\nf:2: one: expected 1 value, found 0\nf:3: one stands in line 2 already\n"
	    "f:4: two: expected at least 2 values, found 1\nf:5: two: expected at most 3 values, "
	    "found 4\n"
	    "6:two|a|b\n",
	    4 },
	{ "twice", "must\none a\none b\n", "1:must\n2:one|a\nf:3: one stands in line 2 already\n",
	    1 },
	{ "unknown", "must\nmany x\nAny x\n",
	    "1:must\nf:2: unknown keyword \"many\"\nf:3: unknown keyword \"Any\"\n", 2 },
	{ "unknown, escaped", "must\n\033[m%0a\n",
	    "1:must\nf:2: unknown keyword \"\\x1b[m\\x0a\"\n", 1 },
	{ "refused by the row", "must\nany bad\nany good\n",
	    "1:must\nf:2: any: bad value\n3:any|good\n", 1 },
	{ "absent", "any\n", "1:any\nf:1: no line with must\n", 1 },
	{ "empty file", "", "f:1: no line with must\n", 1 },
};

static void
test_files(void)
{
	size_t i, n;

	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct buf b = BUF_INIT;

		n = table_parse("f", files[i].in, strlen(files[i].in), rows,
		    sizeof rows / sizeof rows[0], &b, note, &b);
		unit_str(b.p, files[i].want, "%s", files[i].name);
		unit_int(n, files[i].errors, "%s: errors", files[i].name);
		unit_int(table_parse("f", files[i].in, strlen(files[i].in), rows,
			     sizeof rows / sizeof rows[0], &b, NULL, NULL),
		    n, "%s: only counted", files[i].name);
		buf_clear(&b);
	}
}

static size_t
count(const char *in, size_t len, struct buf *b)
{
	return table_parse("f", in, len, rows, sizeof rows / sizeof rows[0], b, note, b);
}

static void
test_limits(void)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	const char *p;
	size_t i, n = 0;

	unit_int(count("must\nany a\0b\n", 13, &out), 1, "NUL is refused");
	unit_str(out.p, "1:must\nf:2: NUL octet\n", "in words");
	buf_clear(&out);

	buf_puts(&in, "must\nany");
	for (i = 0; i < TABLE_WORDS_MAX; i++)
		buf_puts(&in, " x");
	unit_int(count(in.p, in.len, &out), 0, "as many values as may be");
	buf_puts(&in, " x");
	unit_int(count(in.p, in.len, &out), 1, "one more is an error");
	buf_clear(&in);
	buf_clear(&out);

	buf_puts(&in, "must\nany ");
	while (in.len < 5 + TABLE_LINE_MAX)
		buf_putc(&in, 'x');
	unit_int(count(in.p, in.len, &out), 0, "a line of 65536");
	buf_puts(&in, "x\nany");
	buf_drop(&out, out.len);
	unit_int(count(in.p, in.len, &out), 1, "of 65537");
	unit_str(out.p, "1:must\nf:2: line too long\n3:any\n", "and the next is read");
	buf_clear(&in);
	buf_drop(&out, out.len);

	buf_puts(&in, "must\n");
	for (i = 0; i < TABLE_ERRORS_MAX + 50; i++)
		buf_puts(&in, "x\n");
	unit_int(count(in.p, in.len, &out), TABLE_ERRORS_MAX + 50, "all errors are counted");
	for (p = out.p; (p = strstr(p, "f:")) != NULL; p += 2)
		n++;
	unit_int(n, TABLE_ERRORS_MAX + 1, "a hundred are told, and that there are more");
	buf_clear(&in);
	buf_clear(&out);
}

static void
test_others(void)
{
	static const struct table_row others[] = { { "one", 1, 1, TABLE_ONCE, set_any },
		{ NULL, 0, TABLE_WORDS_MAX, 0, set_any } };
	static const char in[] = "x 1 2\none a\n\ny\none b\nx %zz\n";
	struct buf out = BUF_INIT;

	unit_int(table_parse("f", in, sizeof in - 1, others, 2, &out, note, &out), 2,
	    "a row without a key takes all keywords that no other row has");
	unit_str(out.p, "1:x|1|2\n2:one|a\n4:y\nf:5: one stands in line 2 already\n"
	    "f:6: expected %XX with two hexadecimal digits, not 00\n", "and only those");
	buf_clear(&out);
}

static void
test_put(void)
{
	struct buf b = BUF_INIT, got = BUF_INIT;
	char all[256];
	size_t i;

	for (i = 1; i < sizeof all; i++)
		all[i - 1] = i;
	all[255] = '\0';
	table_put(&b, "any", "a b", "#%", all, (char *)NULL);
	buf_puts(&b, "any");
	table_put_word(&b, "x\ty", 3);
	buf_puts(&b, "\nmust\n");
	unit_int(count(b.p, b.len, &got), 0, "what is put can be read");
	unit_ok(strncmp(got.p, "1:any|a b|#%|", 13) == 0, "a space, a mark, a percent sign");
	unit_ok(strstr(got.p, "2:any|x\\x09y\n") != NULL, "a word of its own");
	buf_drop(&b, b.len);
	buf_escape(&b, all, 255);
	unit_ok(strstr(got.p, b.p) != NULL, "every octet but NUL");
	buf_drop(&b, b.len);
	buf_drop(&got, got.len);
	table_put(&b, "any", "", "x", "", "\"\"", (char *)NULL);
	buf_puts(&b, "must\n");
	unit_str(b.p, "any \"\" x \"\" %22%22\nmust\n", "empty values and quotes as written");
	unit_int(count(b.p, b.len, &got), 0, "and read");
	unit_ok(strncmp(got.p, "1:any||x||\"\"\n", 13) == 0, "empty values come back: %s", got.p);
	buf_clear(&b);
	buf_clear(&got);
}

static void
test_split(void)
{
	char line[] = "a b%20c #d", many[] = "a b c";
	struct fail f = FAIL_INIT;
	char *v[2];

	unit_int(table_split(line, v, 2, &f), 2, "two words");
	unit_str(v[1], "b c", "decoded");
	unit_int(table_split(many, v, 2, &f), -1, "three for two");
	unit_str(f.text, "more than 2 words", "in words");
}

static void
test_first_error(void)
{
	static const char in[] = "must\none a\none b\nmany x\n";
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;

	unit_int(table_parse("f", in, sizeof in - 1, rows, sizeof rows / sizeof rows[0], &b, table_first_error, &f), 2,
	    "two errors");
	unit_int(f.kind, FAIL_INPUT, "are a fault of the input");
	unit_str(f.text, "f:3: one stands in line 2 already", "and the first is told");
	buf_clear(&b);
}

int
main(void)
{
	test_files();
	test_first_error();
	test_limits();
	test_others();
	test_put();
	test_split();
	return unit_done();
}
