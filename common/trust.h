/*
 * trust - which CAs are trusted: the system's list and a custom one under DIR/ca.
 *
 * The system list is the bundle of ca-certificates (TRUST_SYSTEM_BUNDLE, or $MTATLS_SYSTEM_CA in its
 * place): it may be disabled, never changed.  The custom list is DIR/ca/custom.pem, replaced as one
 * file.  DIR/ca/state says which lists are enabled and which certificates are distrusted; without
 * it the system list is on and the custom one off.  With both off nothing verifies.
 *
 * For one verification no list is decoded: a bundle's blocks are scanned for their subjects, and
 * only what an issuer's name asks for becomes an X509.
 */
#ifndef MTATLS_TRUST_H
#define MTATLS_TRUST_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/safestack.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include "cert.h"
#include "fail.h"
#include "pem.h"

#define TRUST_SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

/* ---- for verification ---- */

struct trust;

/*
 * The enabled lists under a root of all state, and what is distrusted.  On the heap, trust_free()
 * frees; NULL: FAIL_INPUT (a damaged state or list, with file and line), FAIL_SYS.  A system bundle
 * that does not exist counts as empty where the custom list is enabled, and is FAIL_SYS otherwise, with
 * ENOENT, which no other failure has.
 */
struct trust *trust_open(const char *dir, struct fail *);

/* The CAs of one PEM text in place of the lists (--ca FILE); nothing is distrusted.  FAIL_INPUT. */
struct trust *trust_from_pem(const void *, size_t, struct fail *);
void trust_free(struct trust *);	/* NULL allowed */

/* How many certificates are in it, the distrusted included; 0 where all lists are off or empty. */
size_t trust_size(const struct trust *);

/* All trusted certificates whose subject is this name (as RFC 5280 7.1 compares names), without
 * those that are distrusted at all times; new references in a new stack, which may be empty; the
 * caller frees with cert_chain_free(). */
STACK_OF(X509) *trust_by_subject(const struct trust *, const X509_NAME *);

/* The same with the distrusted, for a verifier that wants to name them as the reason. */
STACK_OF(X509) *trust_listed_by_subject(const struct trust *, const X509_NAME *);

/* Is this very certificate in an enabled list?  (A pinned self-signed peer, --allow-leaf.) */
int trust_has(const struct trust *, const X509 *);

/* Is this certificate of a chain distrusted for a leaf with that notBefore (seconds since 1970)?
 * With a date: where the leaf's is later than it. */
int trust_distrusts(const struct trust *, const X509 *, int64_t leaf_not_before);

/* ---- for castore ---- */

enum trust_list { TRUST_SYSTEM, TRUST_CUSTOM, TRUST_LISTS };

const char *trust_list_name(enum trust_list);			/* "system", "custom" */
char *trust_list_path(const char *dir, enum trust_list);	/* on the heap */

struct trust_distrust {
	char fp[CERT_FINGERPRINT_SIZE];	/* SHA-256, lower-case hexadecimal */
	char tbs[CERT_FINGERPRINT_SIZE];	/* cert_tbs_fingerprint(); "": not known */
	int dated;			/* only for leaves whose notBefore is later than after */
	int64_t after;			/* seconds since 1970 */
};

struct trust_state {
	int on[TRUST_LISTS];
	struct trust_distrust *v;	/* one for each fingerprint */
	size_t n;
};

/* *st is set anew; trust_state_clear() frees.  FAIL_INPUT names file and line. */
int trust_state_read(const char *dir, struct trust_state *, struct fail *);
void trust_state_clear(struct trust_state *);
const struct trust_distrust *trust_state_find(const struct trust_state *, const char *fp);

/*
 * The certificates of a list in their order, as they stand in it: *items is set anew,
 * pem_list_clear() frees.  A custom list that does not exist is empty, and so is a system bundle
 * where by the state (NULL: nothing is known of it) the custom list is enabled, or the system list is not.
 * FAIL_INPUT, with the file's name and line; FAIL_SYS.
 */
int trust_list_read(const char *dir, enum trust_list, const struct trust_state *, struct pem_list *items,
    struct fail *);

/*
 * Whoever writes holds the lock from before it reads what it changes: a descriptor to be closed, or
 * -1.  FAIL_SYS: the folder cannot be made, or another process has held the lock for long.
 * Readers need none: each of the two files is replaced at once.
 */
int trust_lock(const char *dir, struct fail *);
int trust_state_write(const char *dir, const struct trust_state *, struct fail *);
int trust_list_write(const char *dir, const void *, size_t, struct fail *);

#endif
