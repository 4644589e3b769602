/*
 * pbe - what is encrypted or authenticated under a passphrase (RFC 7292 B and C, RFC 8018, RFC 7914,
 * RFC 9579).
 *
 * pbe_parse() and pbe_parse_mac() read an AlgorithmIdentifier into numbers and names without deriving
 * anything, so that costs can be summed first; what they do not know is no failure but a reason in
 * "unsupported".  Old ciphers (RC2, RC4, DES, ...) are fetched from a library context of their own with
 * OpenSSL's legacy provider, which is made when the first of them is met; nothing else sees it.
 */
#ifndef MTATLS_PBE_H
#define MTATLS_PBE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "ber.h"
#include "fail.h"
#include "text.h"

#define PBE_SALT_MAX 1024		/* octets */
#define PBE_KEY_MAX 64			/* octets that are derived for a key */
#define PBE_ITERATIONS_MAX 10000000	/* of all derivations of one file together */
#define PBE_SCRYPT_MEMORY_MAX (256UL * 1024 * 1024)	/* 128 * N * r, octets */
#define PBE_SCRYPT_WORK_MAX (1024UL * 1024 * 1024)	/* 128 * N * r * p, summed as iterations are */
#define PBE_PBMAC1_KEY_MIN 20		/* octets (RFC 9579 5) */

enum pbe_kdf { PBE_NONE, PBE_PKCS12, PBE_PBKDF1, PBE_PBKDF2, PBE_SCRYPT };

struct pbe {
	char *name;		/* "PBES2" or OpenSSL's short name of the whole algorithm; owned */
	char *unsupported;	/* what of it is not; NULL: it can be done; owned */
	enum pbe_kdf kdf;
	int cipher;		/* NID; NID_undef for a MAC */
	int md;			/* NID of the KDF's digest */
	int mac;		/* NID of the MAC's digest; NID_undef for a cipher */
	uint8_t salt[PBE_SALT_MAX];
	size_t saltlen;
	uint64_t iterations;	/* PBE_SCRYPT: 0 */
	uint64_t n, r, p;	/* of scrypt */
	size_t keylen;		/* 0: as the cipher or digest has it */
	uint8_t iv[64];
	size_t ivlen;
};

/* What all derivations of a file cost together. */
struct pbe_cost {
	uint64_t iterations;
	uint64_t scrypt;
};

/*
 * A passphrase in the forms in which writers put it into the PKCS#12 KDF: UTF-16 as the standard
 * says, octets of UTF-8 widened one by one as old OpenSSL did, and of the empty one nothing at all.
 */
struct pbe_pass {
	const char *utf8;	/* borrowed */
	size_t len;
	struct buf form[3];
	unsigned nform;
};

void pbe_pass_init(struct pbe_pass *, const char *, size_t);
void pbe_pass_clear(struct pbe_pass *);	/* overwrites */

/* Reads what follows in the walk: an AlgorithmIdentifier.  *pbe is set anew; pbe_clear() frees. */
int pbe_parse(struct ber *, struct pbe *, struct fail *);

/* That of a DigestInfo: salt and iterations of the PKCS#12 KDF stand behind it, the caller sets
 * them; those of PBMAC1 stand in it. */
int pbe_parse_mac(struct ber *, struct pbe *, struct fail *);
void pbe_clear(struct pbe *);

/* Adds what deriving its key, and IV, costs with so many forms of a passphrase: iterations, times blocks
 * of the digest, times forms.  FAIL_INPUT: too much, together with what was added before. */
int pbe_cost_add(struct pbe_cost *, const struct pbe *, unsigned forms, struct fail *);

/* "AES-256-CBC, PBKDF2 with hmacWithSHA256, 2048 iterations"; caller frees. */
char *pbe_describe(const struct pbe *);

/* The names alone, for JSON: "PBKDF2"; "hmacWithSHA256", "SHA1"; "AES-256-CBC", NULL for a MAC. */
const char *pbe_kdf_name(const struct pbe *);
const char *pbe_digest_name(const struct pbe *);
const char *pbe_cipher_name(const struct pbe *);

/*
 * Decrypts into *out (emptied first; the caller wipes), with one form of the passphrase (below
 * nform; forms differ only under PBE_PKCS12).  1: the padding is right; 0: it is not; -1: FAIL_INPUT,
 * unsupported here.
 */
int pbe_decrypt(const struct pbe *, const struct pbe_pass *, unsigned form, const uint8_t *, size_t,
    struct buf *out, struct fail *);

/* The MAC of some octets; len is set.  md holds 64 octets. */
int pbe_mac(const struct pbe *, const struct pbe_pass *, unsigned form, const void *, size_t,
    uint8_t *md, size_t *len, struct fail *);

/* How many forms make a difference. */
unsigned pbe_forms(const struct pbe *, const struct pbe_pass *);

#endif
