/*
 * p12_write - makes a PKCS#12 file of a key, its certificate and the chain.
 */
#ifndef MTATLS_P12_WRITE_H
#define MTATLS_P12_WRITE_H

#include <openssl/safestack.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"
#include "text.h"

#define P12_ITERATIONS_DEFAULT 2048	/* as openssl pkcs12 -export */

/* How it is protected. */
enum p12_form {
	P12_MODERN,	/* AES-256-CBC under PBKDF2 with HMAC-SHA-256; MAC SHA-256 by the PKCS#12 KDF */
	P12_COMPAT,	/* triple DES and SHA-1, for readers that know nothing else */
	P12_PBMAC1	/* as P12_MODERN, but the MAC is PBMAC1 with HMAC-SHA-256 (RFC 9579) */
};

struct p12_order {
	enum p12_form form;
	unsigned iterations;	/* 1..PBE_ITERATIONS_MAX / 4: key, certificates and MAC derive alike */
	const char *name;	/* friendlyName, UTF-8 */
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) *chain;	/* NULL: none */
};

/* Appends the DER octets.  The passphrase is UTF-8 without a NUL and may be empty.  The leaf is the
 * first certificate and has, as the key, friendlyName and localKeyID.  FAIL_INPUT, FAIL_SYS. */
int p12_write(const struct p12_order *, const char *pass, struct buf *, struct fail *);

#endif
