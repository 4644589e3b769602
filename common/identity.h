/*
 * identity - a key and its certificates under a name, replaced as one unit.
 *
 * DIR/certs/NAME holds key.pem (0600), cert.pem (0644), chain.pem (0644, the intermediates, absent
 * where there are none), and what waits for a CA's answer: request.pem (0644) for the key, and
 * next-key.pem (0600) with next-request.pem (0644) for the key that is to follow it.  Without a
 * certificate there is a request.  How it is replaced, and what stays for a roll-back: version.h.
 * mtatls-identity(5) describes the layout for operators.
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
	char *version;		/* that it was read from; NULL: not read, or made by hand */
	EVP_PKEY *key;
	X509 *cert;		/* NULL: none yet (only with IDENTITY_PENDING) */
	STACK_OF(X509) *chain;	/* intermediates without the leaf; NULL: none */
	X509_REQ *request;	/* NULL: none */
	EVP_PKEY *next_key;
	X509_REQ *next_request;
};

#define IDENTITY_INIT { .name = NULL, .version = NULL, .key = NULL, .cert = NULL, .chain = NULL, \
	.request = NULL, .next_key = NULL, .next_request = NULL }

void identity_clear(struct identity *);

/* DIR/certs/NAME on the heap, caller frees; dir as tool_dir() gives it. */
char *identity_path(const char *dir, const char *name);

/* Is there one of that name?  A dangling link counts. */
int identity_exists(const char *dir, const char *name);

#define IDENTITY_NEED_KEY 0x1 /* read key.pem too, and insist that it is the certificate's */
#define IDENTITY_PENDING 0x2 /* read the requests too (with NEED_KEY the next key); one without a
			      * certificate is no failure */
#define IDENTITY_GLANCE 0x4 /* the certificate as glance_cert() reads it, and no chain; not with NEED_KEY */

/*
 * Reads an identity.  FAIL_INPUT names the file that is missing, damaged or does not fit ("no
 * identity NAME in DIR/certs"), FAIL_SYS what could not be read.  *id is set anew, empty on
 * failure.  All files come from one version, even while a writer swaps.
 */
int identity_load(const char *dir, const char *name, unsigned flags, struct identity *,
    struct fail *);

/* The same of the version that identity_rollback() goes to.  FAIL_POLICY: there is none. */
int identity_load_before(const char *dir, const char *name, unsigned flags, struct identity *,
    struct fail *);

/*
 * The name of the identity that a user means: the text itself where there is one of that name, else
 * the form in which one made for that host or address is stored (A-labels, lower case, no trailing
 * dot, _wildcard).  On the heap, caller frees; NULL: FAIL_INPUT, there is none, or the text cannot
 * be a name.
 */
char *identity_find(const char *dir, const char *text, struct fail *);

/* The names of all identities, sorted; what cannot be the name of one is passed over.  No folder:
 * none.  Owned; identity_names_clear() frees. */
struct identity_names {
	char **v;
	size_t n;
};

int identity_list(const char *dir, struct identity_names *, struct fail *);
void identity_names_clear(struct identity_names *);

#define IDENTITY_REPLACE	0x1	/* replace one that is there; otherwise FAIL_POLICY */
#define IDENTITY_AMEND		0x2	/* replace it, and leave what roll-back goes to: this one differs
					 * only by a request or a next key */

/*
 * Stores all of *id under id->name.  Where id->version is not NULL it must still be the current one;
 * otherwise FAIL_POLICY.  On failure the store is as it was, and nothing is left behind: no folder
 * that was not there before.
 */
int identity_store(const char *dir, const struct identity *, unsigned flags, struct fail *);

/* As version_rollback(), version_rename() and version_remove(), for names of identities. */
int identity_rollback(const char *dir, const char *name, const char *to, struct fail *);
int identity_rename(const char *dir, const char *name, const char *to, struct fail *);
int identity_remove(const char *dir, const char *name, struct fail *);

#endif
