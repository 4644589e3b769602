/*
 * profile - the extensions that our certificates and requests carry (RFC 5280 4.2).
 *
 * Which they are is said in issue.h; this is issue's other half, and nobody else's.
 */
#ifndef MTATLS_PROFILE_H
#define MTATLS_PROFILE_H

#include <openssl/types.h>
#include <openssl/x509.h>

#include "issue.h"

/*
 * Adds them all to a certificate that has its public key, and to which key this is the public half.
 * The issuer is the certificate itself where it will be self-signed.  -1: in OpenSSL's queue.
 */
int profile_cert(const struct issue *, X509 *, const EVP_PKEY *key, const X509 *issuer);

/* The limits of an order as an extension's value, which may be empty.  NAME_CONSTRAINTS_free() frees. */
NAME_CONSTRAINTS *profile_constraints(const struct issue *);

/* Puts into a request what it asks for; the CA sets the rest. */
int profile_request(const struct issue *, X509_REQ *, const EVP_PKEY *key);

#endif
