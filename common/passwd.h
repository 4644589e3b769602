/*
 * passwd - who may authenticate: a file of users and hashes of their passwords (mtatls-passwd(5)).
 *
 *	USER HASH		HASH is crypt(5)'s: yescrypt, sha512crypt, ...
 *
 * Hashing is libcrypt's.  One takes 30 ms and 16 MiB (yescrypt's default): not for a loop that serves others.
 */
#ifndef MTATLS_PASSWD_H
#define MTATLS_PASSWD_H

#include <stddef.h>

#include "fail.h"
#include "table.h"

#define PASSWD_FILE_MAX (16 * 1024 * 1024)	/* octets */
#define PASSWD_USER_MAX 255			/* octets (RFC 4616 2) */
#define PASSWD_PASSWORD_MAX 255			/* likewise */
#define PASSWD_HASH_MAX 384			/* what crypt(3) writes at most, with its NUL */

struct passwd_db;

/* Reads the file.  Each error goes to the function as file:line and text; NULL where there was any, or f says why. */
struct passwd_db *passwd_read(const char *path, table_error_fn *, void *arg, struct fail *f);
void passwd_free(struct passwd_db *);		/* overwrites the hashes; NULL allowed */
size_t passwd_count(const struct passwd_db *);

/*
 * 1: that is the user's password.  An unknown user costs as much time as a known one.  What was used on the
 * way is overwritten.
 */
int passwd_check(const struct passwd_db *, const char *user, const char *password);

/* yescrypt with a new salt.  FAIL_SYS; FAIL_INPUT: the password is empty or too long. */
int passwd_hash(const char *password, char hash[PASSWD_HASH_MAX], struct fail *);

/*
 * Gives the user a line with this hash, or NULL: takes it away, in a file that is written anew as one with mode 0600
 * (made where it is absent); two writers wait for each other.  *had: there was a line.  FAIL_INPUT: a user
 * that cannot stand there, or a file with errors, which is left as it is.
 */
int passwd_set(const char *path, const char *user, const char *hash, int *had, struct fail *);

#endif
