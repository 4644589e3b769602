/*
 * signer - an identity that is a CA, and what it may sign (RFC 5280 4.2.1.9, 4.2.1.10, 6.1).
 *
 * A signer is an identity loaded with IDENTITY_NEED_KEY: its key signs, and its chain is that of what
 * it signs, one certificate longer.
 */
#ifndef MTATLS_SIGNER_H
#define MTATLS_SIGNER_H

#include <stdint.h>

#include <openssl/safestack.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"
#include "identity.h"
#include "issue.h"

/* May it sign certificates at all, now (seconds since 1970)?  FAIL_POLICY: no CA, not for signing
 * certificates, expired or not yet valid, a weak key, without a key identifier. */
int signer_check(const struct identity *, int64_t now, struct fail *);

/*
 * Has the order carried out for the key, whose public half is enough.  The chain up to the topmost
 * certificate that the signer has is verified with what was made: FAIL_POLICY where a path length or
 * name constraints forbid it, as they do a wildcard that covers an excluded name.  A CA ordered without
 * a path length gets what is left of the signer's, and its name constraints are narrowed to those of
 * the signer and its chain.
 * The caller frees; NULL on failure, as issue_signed() too.
 */
X509 *signer_sign(const struct identity *, const struct issue *, EVP_PKEY *, int64_t now,
    struct fail *);

/* The intermediates of what it signed: itself and its chain; NULL where it is self-signed, for peers
 * have a root already or have no use for it.  The caller frees with cert_chain_free(). */
STACK_OF(X509) *signer_chain(const struct identity *);

#endif
