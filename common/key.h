/*
 * key - private and public keys: making, reading, writing, naming.
 *
 * Keys are EVP_PKEY; whoever gets one from here frees it with EVP_PKEY_free().  Where a public key
 * is enough (key_same, key_describe, key_spki) one without its private half will do.
 * Types are written as on the command line: ec:p256, rsa:3072, ed25519, ml-dsa:65.
 */
#ifndef MTATLS_KEY_H
#define MTATLS_KEY_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "fail.h"
#include "text.h"

#define KEY_TYPE_DEFAULT "ec:p256"
#define KEY_TYPES \
	"ec:p256, ec:p384, rsa:2048, rsa:3072, rsa:4096, ed25519, ml-dsa:44, ml-dsa:65, ml-dsa:87"

/*
 * A new key, the caller's; NULL on failure.  FAIL_INPUT: no such type, one that the linked OpenSSL
 * has not (ML-DSA before 3.5), or one that is too weak to be made (rsa:1024).
 */
EVP_PKEY *key_generate(const char *type, struct fail *);

/*
 * The first private key in PEM text, or a DER one (PKCS#8, PKCS#1, SEC1).  NULL on failure, with
 * FAIL_INPUT: none there, damaged, or encrypted.
 */
EVP_PKEY *key_from_pem(const void *, size_t, struct fail *);

/* As key_from_pem(), of a file ("-": stdin) and with key_check_strength(); failures name the file.  Larger
 * than KEY_FILE_MAX octets: FAIL_INPUT. */
#define KEY_FILE_MAX (4UL * 1024 * 1024)
EVP_PKEY *key_from_file(const char *path, struct fail *);

/* Appends the private key as PKCS#8 PEM ("PRIVATE KEY"); the caller wipes the buffer. */
int key_to_pem(const EVP_PKEY *, struct buf *, struct fail *);

/* Are the public halves the same? */
int key_same(const EVP_PKEY *, const EVP_PKEY *);

/* "ec:p256", "rsa:2048", "ed25519"; for others OpenSSL's name in lower case.  Caller frees. */
char *key_describe(const EVP_PKEY *);

/* Fit to stand in a new certificate: RSA of 2048 to 16384 bits, EC P-256/384/521, EdDSA, ML-DSA;
 * otherwise FAIL_POLICY with the reason. */
int key_check_strength(const EVP_PKEY *, struct fail *);

/* DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7), appended. */
int key_spki(const EVP_PKEY *, struct buf *, struct fail *);

/* The digest to sign with: NULL for keys that bring their own (EdDSA, ML-DSA), SHA-384 for P-384,
 * SHA-512 for P-521, otherwise SHA-256.  Borrowed, lives as long as the program. */
const EVP_MD *key_get0_digest(const EVP_PKEY *);

#endif
