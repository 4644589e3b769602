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

#include "fail.h"

#define TRUST_SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct trust;

/*
 * The enabled lists under a root of all state, less what is distrusted.  On the heap, trust_free()
 * frees; NULL: FAIL_INPUT (a damaged state or list, with file and line), FAIL_SYS.  A system bundle
 * that does not exist counts as empty where the custom list is enabled, and is FAIL_SYS otherwise.
 */
struct trust *trust_open(const char *dir, struct fail *);

/* The CAs of one PEM text in place of the lists (--ca FILE); nothing is distrusted.  FAIL_INPUT. */
struct trust *trust_from_pem(const void *, size_t, struct fail *);
void trust_free(struct trust *);	/* NULL allowed */

/* All trusted certificates whose subject is this name, new references in a new stack, which may be
 * empty; the caller frees with cert_chain_free(). */
STACK_OF(X509) *trust_by_subject(const struct trust *, const X509_NAME *);

/* Is this very certificate in an enabled list?  (A pinned self-signed peer, --allow-leaf.) */
int trust_has(const struct trust *, const X509 *);

/* Is this certificate of a chain distrusted for a leaf with that notBefore (seconds since 1970)? */
int trust_distrusts(const struct trust *, const X509 *, int64_t leaf_not_before);

#endif
