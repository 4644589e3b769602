/*
 * fail - what went wrong, as a value.
 *
 * A function that can fail takes a struct fail * as its last argument and returns -1 (or NULL)
 * after filling it.  The kind is what a caller acts on; the text is for a person and names the
 * object. The caller owns the struct, usually on its stack; nothing in it is allocated.  A NULL
 * struct fail * is allowed where only the return value matters.
 */
#ifndef MTATLS_FAIL_H
#define MTATLS_FAIL_H

#include <stddef.h>

enum fail_kind {
	FAIL_NONE,
	FAIL_INPUT,	/* what was given is wrong: a file, an option, a name */
	FAIL_SYS,	/* the system refused: I/O, memory, permission */
	FAIL_TEMP,	/* may work later: a timeout, a DNS server failure */
	FAIL_PEER,	/* the other side broke its protocol */
	FAIL_POLICY	/* understood and refused by a rule */
};

#define FAIL_TEXT_MAX 512 /* bytes, the NUL included; a longer text is cut and ends in "..." */

struct fail {
	enum fail_kind kind;
	int err; /* errno where the kind is FAIL_SYS, else 0 */
	char text[FAIL_TEXT_MAX];
};

#define FAIL_INIT { .kind = FAIL_NONE, .err = 0, .text = "" }

/* Sets kind and text.  Always returns -1, so that it can end a function. */
int fail(struct fail *, enum fail_kind, const char *, ...) __attribute__((format(printf, 3, 4)));

/* As fail() with FAIL_SYS; keeps errno in err and appends ": " and its text. */
int fail_errno(struct fail *, const char *, ...) __attribute__((format(printf, 2, 3)));

/* Puts a text and ": " before what the struct says already; kind and err stay. */
int fail_prefix(struct fail *, const char *, ...) __attribute__((format(printf, 2, 3)));

#endif
