/*
 * secret - passphrases: from a file, a descriptor, the environment or the terminal, never from argv.
 *
 * One newline at the end (LF or CR LF) does not belong to a passphrase; an empty file is the empty one.
 * A struct secret notes what the options --pass-file, --pass-fd and --pass-env said; secret_read()
 * fetches.  The environment is read, and its octets overwritten, by secret_env() at once, so that
 * /proc shows nothing for longer than the start.
 */
#ifndef MTATLS_SECRET_H
#define MTATLS_SECRET_H

#include <stddef.h>

#include <getopt.h>

#include "fail.h"
#include "text.h"

#define SECRET_MAX 1024	/* octets in a passphrase */

struct secret {
	const char *file;	/* --pass-file; "-" is stdin.  Borrowed */
	int fd;			/* --pass-fd; -1: not given */
	int have;		/* --pass-env was given: text is set */
	struct buf text;
};

#define SECRET_INIT { .file = NULL, .fd = -1, .have = 0, .text = BUF_INIT }

/* The three options; FAIL_INPUT: another was given before, no such variable, not a descriptor. */
int secret_file(struct secret *, const char *path, struct fail *);
int secret_fd(struct secret *, const char *number, struct fail *);
int secret_env(struct secret *, const char *variable, struct fail *);

enum { SECRET_ARG_ENV = 640, SECRET_ARG_FD, SECRET_ARG_FILE };

/* Rows for a table of struct option, and what takes them: 1, or 0 where the option is another's; -1 FAIL_INPUT. */
#define SECRET_OPTIONS \
	{ "pass-env", required_argument, NULL, SECRET_ARG_ENV }, \
	{ "pass-fd", required_argument, NULL, SECRET_ARG_FD }, \
	{ "pass-file", required_argument, NULL, SECRET_ARG_FILE }

int secret_take(struct secret *, int ch, const char *arg, struct fail *);

/* Does it come from stdin, which nothing else can come from then? */
int secret_is_stdin(const struct secret *);

/* Was one of them given? */
int secret_given(const struct secret *);

#define SECRET_CONFIRM 0x1	/* at the terminal: ask twice, for something new */

/*
 * Sets *pass (emptied first; the caller does buf_wipe()).  Without an option the terminal is asked,
 * whatever stdin is; prompt has no colon.  FAIL_INPUT: a NUL in it, over SECRET_MAX, the two are not
 * the same, or there is no terminal to ask; FAIL_SYS: it cannot be read.
 */
int secret_read(const struct secret *, const char *prompt, unsigned flags, struct buf *pass,
    struct fail *);

/* As secret_read(), for the passphrase of what is there: the prompt names it, escaped. */
int secret_read_of(const struct secret *, const char *what, struct buf *pass, struct fail *);

void secret_clear(struct secret *);	/* overwrites and frees */

#endif
