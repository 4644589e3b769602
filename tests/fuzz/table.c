/*
 * Tables: what was parsed, put again and parsed again is the same.  Empty values are left out, since
 * the grammar has none.
 */
#include "table.h"

#include "fuzz.h"

static int
put_again(void *ctx, const struct table_line *l, struct fail *f)
{
	struct buf *b = ctx;
	size_t i;

	(void)f;
	MUST(l->line > 0 && l->n <= TABLE_WORDS_MAX);
	buf_puts(b, l->key);
	for (i = 0; i < l->n; i++)
		table_put_word(b, l->v[i], strlen(l->v[i]));
	buf_putc(b, '\n');
	return 0;
}

static const struct table_row rows[] = {
	{ "any", 0, TABLE_WORDS_MAX, 0, put_again },
	{ "a", 1, 2, TABLE_ONCE, put_again },
	{ "must", 0, TABLE_WORDS_MAX, TABLE_REQUIRED, put_again },
};

static void
error(void *arg, const char *file, unsigned line, const char *text)
{
	(void)arg;
	MUST(strcmp(file, "f") == 0 && line > 0 && *text != '\0');
}

static size_t
parse(const char *s, size_t n, struct buf *out)
{
	return table_parse("f", s, n, rows, sizeof rows / sizeof rows[0], out, error, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	size_t errors = parse((const char *)data, n, &once);

	/* A line may pass the limit once its odd bytes are written as %XX: the fuzzer's stay short. */
	if (once.len > 0 && n < TABLE_LINE_MAX / 3) {
		MUST(parse(once.p, once.len, &twice) <= 1);
		MUST(errors > 0 || (twice.len == once.len && memcmp(once.p, twice.p, once.len) == 0));
	}
	buf_clear(&once);
	buf_clear(&twice);
	return 0;
}
