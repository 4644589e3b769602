/*
 * p12 - PKCS#12 files (RFC 7292): reading what any program writes, writing what any program reads.
 *
 * p12_parse() walks PFX, AuthenticatedSafe and SafeContents as far as that goes without a passphrase.
 * p12_open() checks the MAC, decrypts and decodes; keys and certificates then stand in the struct in
 * the order of the file.  The walk is our own and takes BER, nested
 * SafeContents, any order of bags; see pbe for algorithms and limits.
 *
 * Three failures are told apart in words, all FAIL_INPUT: "wrong passphrase", "damaged", "unsupported".
 */
#ifndef MTATLS_P12_H
#define MTATLS_P12_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/safestack.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"
#include "pbe.h"
#include "text.h"

#define P12_FILE_MAX (4UL * 1024 * 1024)	/* octets in a file */
#define P12_NEST_MAX 8				/* SafeContents in one another */
#define P12_BAGS_MAX 10000			/* bags in a file */
#define P12_KEYS_MAX 100			/* private keys in a file */

enum p12_bag_type { P12_KEY, P12_SHROUDED_KEY, P12_CERT, P12_CRL, P12_SECRET, P12_OTHER };

struct p12_bag {
	enum p12_bag_type type;
	unsigned content;	/* the ContentInfo that it stands in, from 0 */
	char *name;		/* friendlyName in UTF-8, raw; NULL: none */
	struct buf id;		/* localKeyID; may be empty */
	struct pbe pbe;		/* of P12_SHROUDED_KEY */
	struct buf octets;	/* what stands in it: PKCS#8 plain or sealed, or a certificate */
	EVP_PKEY *key;		/* set by p12_open() */
	X509 *cert;		/* likewise */
};

struct p12_content {
	int encrypted;
	struct pbe pbe;		/* where encrypted */
	struct buf octets;	/* sealed or plain */
};

/* All owned; p12_free() overwrites and frees. */
struct p12 {
	size_t size;		/* octets of the file */
	int ber;		/* its outer layers use forms that DER has not */
	int has_mac;
	struct pbe mac;
	struct buf digest;	/* the MAC as it stands in the file */
	struct buf safe;	/* the octets that it is of */
	struct pbe_cost cost;	/* of all that is known so far */
	struct p12_content *content;
	size_t ncontent;
	struct p12_bag *bag;	/* before p12_open(): of the contents that are not encrypted */
	size_t nbag;
	size_t nkey;		/* private keys among them */
};

/* Is this PKCS#12?  Cheap, from the first octets; PEM with the label PKCS12, as certtool writes, is. */
int p12_is(const void *, size_t);

/* NULL: FAIL_INPUT, not PKCS#12 or damaged.  What is unsupported, or costs too much, shows only at
 * p12_open(). */
struct p12 *p12_parse(const void *, size_t, struct fail *);
void p12_free(struct p12 *);	/* NULL allowed */

/* Does p12_open() look at its passphrase?  Not where nothing is encrypted and there is no MAC. */
int p12_needs_pass(const struct p12 *);

/* Once, with a passphrase in UTF-8; an empty one stands for none as well.  The costs are checked
 * before anything is derived. */
int p12_open(struct p12 *, const char *pass, size_t len, struct fail *);

/* The word of a type of bag, as --info and JSON have it: "key", "shrouded-key", "cert", ... */
const char *p12_bag_name(enum p12_bag_type);

/* After p12_open(): all certificates in the order of the file; new references, freed with
 * cert_chain_free().  Perhaps empty, never NULL. */
STACK_OF(X509) *p12_all_certs(const struct p12 *);

/*
 * p12_open() of a file that holds no key, for castore import: its certificates in the order of the
 * file, new references, freed with cert_chain_free().  NULL: FAIL_POLICY where there is a private key
 * in it (whatever the passphrase, where that can be seen), FAIL_INPUT where there is no certificate,
 * and as p12_open().
 */
STACK_OF(X509) *p12_certs(struct p12 *, const char *pass, size_t len, struct fail *);

#endif
