/*
 * glance - a certificate whose public key stays undecoded, for those who read many and verify none.
 *
 * OpenSSL 3.0 looks for a decoder for the key of every certificate anew, which takes eight times as long
 * as all the rest of it.
 */
#ifndef MTATLS_GLANCE_H
#define MTATLS_GLANCE_H

#include <stddef.h>

#include <openssl/types.h>

#include "fail.h"

/* As cert_from_pem(), but X509_get0_pubkey() of what it returns is NULL, so that no signature can be
 * verified and no key compared with it; all else of cert.h holds. */
X509 *glance_cert(const void *, size_t, struct fail *);

/* As cert_key_describe(), of either kind of certificate.  Caller frees. */
char *glance_key(const X509 *);

#endif
