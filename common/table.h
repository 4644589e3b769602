/*
 * table - the one line grammar of every flat file, spool envelope and internal record.
 *
 *	key value value ...	# comment
 *
 * Words are separated by spaces or tabs; `#` at the start of a word begins a comment; %XX stands
 * for the octet XX, so that a value can hold a space, `#`, `%`, a line end or any odd byte (NUL is
 * refused); "" alone is the empty value.  A line ends in LF or CRLF.  A file is parsed against a
 *static array of rows; every error of the file is reported in one run, each as "file:line: what was
 *expected".
 */
#ifndef MTATLS_TABLE_H
#define MTATLS_TABLE_H

#include <stddef.h>

#include "fail.h"
#include "text.h"

#define TABLE_LINE_MAX 65536	/* octets in a line */
#define TABLE_WORDS_MAX 1024	/* values in a line */
#define TABLE_ERRORS_MAX 100	/* errors reported of a file; the rest are counted */

struct table_line {
	const char *file;
	unsigned line;	/* from 1 */
	const char *key;
	size_t n;	/* values */
	char **v;	/* decoded, NUL-terminated; valid during the call of set() only */
};

/* Takes one line: 0, or -1 with the reason, to which file:line is added by the caller. */
typedef int table_set_fn(void *ctx, const struct table_line *, struct fail *);

struct table_row {
	const char *key;	/* NULL, in the last row only: any keyword that no other row has */
	size_t min, max;	/* how many values; max TABLE_WORDS_MAX: any number */
	unsigned flags;
	table_set_fn *set;
};

#define TABLE_ONCE	0x1	/* a second line with this key is an error */
#define TABLE_REQUIRED	0x2	/* a file without such a line is an error */

/* Called for each error, in the order of lines; text has no file:line in it. */
typedef void table_error_fn(void *arg, const char *file, unsigned line, const char *text);

/* One of them, for who needs to know of one fault only: arg is a struct fail, which takes the first (FAIL_INPUT). */
table_error_fn table_first_error;

/*
 * Parses a whole file already in memory.  Returns the number of errors; 0 is success.  With a
 * NULL table_error_fn errors are only counted.
 */
size_t table_parse(const char *file, const char *text, size_t len, const struct table_row *,
    size_t nrows, void *ctx, table_error_fn *, void *arg);

/*
 * Splits one line (without its line end) in place into words and decodes them.  v has room for
 * max pointers.  Returns the number of words, 0 for an empty or comment line, -1 with FAIL_INPUT.
 */
int table_split(char *line, char **v, size_t max, struct fail *);

/* Appends "key value ...\n"; the values end with a NULL; odd bytes are written as %XX. */
void table_put(struct buf *, const char *key, ...) __attribute__((sentinel));

/* Appends " value" to a line under way, encoded. */
void table_put_word(struct buf *, const char *, size_t);

#endif
