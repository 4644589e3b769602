/*
 * credentials - with which user and password the relay authenticates at a next hop: a file of them.
 *
 *	NAME USER PASSWORD		in the table grammar: %20 is a space, %25 a percent sign
 *
 * The file is root's or the process's own, and neither its group may write to it nor anybody else read it.  No word of
 * it but the names stands in a message of this module.
 */
#ifndef MTATLS_CREDENTIALS_H
#define MTATLS_CREDENTIALS_H

#include <stddef.h>

#include "fail.h"
#include "text.h"

#define CREDENTIALS_FILE_MAX (1024 * 1024)	/* octets */
#define CREDENTIALS_WORD_MAX 255		/* octets of a user's name, and of a password (RFC 4616 2) */

/* Owned by the credentials. */
struct credential {
	char *name, *user, *password;
};

struct credentials;

/* FAIL_SYS; FAIL_POLICY: owner or mode will not do; FAIL_INPUT names the first line at fault. */
struct credentials *credentials_read(const char *path, struct fail *);

/* The same of a file's text. */
struct credentials *credentials_parse(const char *path, const char *text, size_t len, struct fail *);
void credentials_free(struct credentials *);	/* overwrites them; NULL allowed */

const struct credential *credentials_find(const struct credentials *, const char *name);	/* NULL: none */

/* Appends the text of a file with all of them; the caller wipes. */
void credentials_print(struct buf *, const struct credentials *);

#endif
