/*
 * identity - a key and its certificates under a name, replaced as one unit.
 *
 * DIR/certs/NAME is a symbolic link to .versions/NAME/N beside it, a folder with key.pem (0600),
 * cert.pem (0644) and chain.pem (0644, the intermediates, absent where there are none).  A new
 * version is written whole and synced as folder N+1, then the link is swapped by rename: a reader,
 * and a machine after a crash, sees the old or the new one, never a mixture.  The version that
 * the link showed before stays for a roll-back; others are removed.  Writers exclude each other by
 * flock(2) on DIR/certs.  mtatls-identity(5) describes the layout for operators.
 */
#ifndef MTATLS_IDENTITY_H
#define MTATLS_IDENTITY_H

#include <openssl/safestack.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"

#define IDENTITY_FILE_MAX (4UL * 1024 * 1024)	/* octets in one file of an identity */

/* All owned; identity_clear() frees. */
struct identity {
	char *name;
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) *chain;	/* intermediates without the leaf; NULL: none */
};

#define IDENTITY_INIT { .name = NULL, .key = NULL, .cert = NULL, .chain = NULL }

void identity_clear(struct identity *);

/* DIR/certs/NAME on the heap, caller frees; dir as tool_dir() gives it. */
char *identity_path(const char *dir, const char *name);

/* Is there one of that name?  A dangling link counts. */
int identity_exists(const char *dir, const char *name);

#define IDENTITY_NEED_KEY 0x1 /* read key.pem too, and insist that it is the certificate's */

/*
 * Reads an identity.  FAIL_INPUT names the file that is missing, damaged or does not fit ("no
 * identity NAME in DIR/certs"), FAIL_SYS what could not be read.  *id is set anew, empty on
 * failure.  All files come from one version, even while a writer swaps.
 */
int identity_load(const char *dir, const char *name, unsigned flags, struct identity *,
    struct fail *);

/*
 * The name of the identity that a user means: the text itself where there is one of that name, else
 * the form in which one made for that host or address is stored (A-labels, lower case, no trailing
 * dot, _wildcard).  On the heap, caller frees; NULL: FAIL_INPUT, there is none, or the text cannot
 * be a name.
 */
char *identity_find(const char *dir, const char *text, struct fail *);

#define IDENTITY_REPLACE	0x1	/* replace one that is there; otherwise FAIL_POLICY */

/* Stores all of *id under id->name.  On failure the store is as it was, and nothing is left
 * behind: no folder that was not there before. */
int identity_store(const char *dir, const struct identity *, unsigned flags, struct fail *);

#endif
