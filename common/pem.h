/*
 * pem - PEM text (RFC 7468) and lone DER objects as a list of bytes with labels.
 *
 * Tolerated: a byte-order mark, CR LF, text before, between and after blocks, white space in the
 * base64, long lines, a missing final newline.  Not tolerated: a block without its END line or with
 * another label there, characters outside base64, wrong padding, contents that are not one whole
 * DER element.  Such a block is FAIL_INPUT, and the text names its line ("line 12: ..."); the
 * caller puts the file's name before it.
 */
#ifndef MTATLS_PEM_H
#define MTATLS_PEM_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/safestack.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"
#include "text.h"

#define PEM_ITEMS_MAX 50000		/* objects in one text */
#define PEM_OBJECT_MAX (1024 * 1024)	/* octets of DER in one object */
#define PEM_LABEL_MAX 64		/* octets in a label */
#define PEM_KEY_MAX (12 * 1024)		/* octets of a private key: one of rsa:16384 has 9300 */
#define PEM_TYPE_MAX 128		/* room for what a key's type is called */

struct pem_item {
	char label[PEM_LABEL_MAX + 1];	/* "CERTIFICATE", "PRIVATE KEY", ... */
	unsigned line;			/* of BEGIN, from 1; 0: the input was DER */
	int encrypted;			/* a private key under a passphrase */
	uint8_t *der;
	size_t len;
};

struct pem_list {
	struct pem_item *v;
	size_t n;
};

#define PEM_LIST_INIT { .v = NULL, .n = 0 }

/*
 * Sets *list (no need to initialise; pem_list_clear() it).  A DER object is recognised by its
 * contents and gets the label that it would have in PEM: CERTIFICATE, CERTIFICATE REQUEST, PUBLIC
 * KEY, PRIVATE KEY (PKCS#1 and SEC1 too), ENCRYPTED PRIVATE KEY, PKCS7.  FAIL_INPUT: a damaged
 * block (nothing is returned), too large, or no object at all.
 */
int pem_read(const void *, size_t, struct pem_list *, struct fail *);

/*
 * As pem_read(), but a damaged block in a text does not end it: the function is told of each, with
 * its label ("" where that cannot be read) and the failure, and the others are returned, perhaps
 * none.
 */
typedef void pem_bad_fn(void *arg, const char *label, const struct fail *);
int pem_read_some(const void *, size_t, struct pem_list *, pem_bad_fn *, void *arg, struct fail *);

/* Frees; the bytes are overwritten, for some may be keys. */
void pem_list_clear(struct pem_list *);

/* What an item is, by its label. */
int pem_is_cert(const struct pem_item *);	/* CERTIFICATE, X509 and TRUSTED CERTIFICATE */
int pem_is_key(const struct pem_item *);	/* any private key, encrypted ones too */
int pem_is_request(const struct pem_item *);	/* (NEW) CERTIFICATE REQUEST */
int pem_is_public_key(const struct pem_item *);
int pem_is_pkcs7(const struct pem_item *);	/* PKCS7, PKCS #7 SIGNED DATA, CMS */

/*
 * Reads a text for the first item of a kind; NULL: FAIL_INPUT, "no WHAT in it" where there is none.  The item
 * is one of *list, which is set in any case; pem_list_clear() it.
 */
const struct pem_item *pem_first(const void *, size_t, int (*is)(const struct pem_item *),
    const char *what, struct pem_list *, struct fail *);

/* Decode one item, "line N: ..." in the failure.  The caller frees; NULL: FAIL_INPUT.  Octets
 * behind the object (but for TRUSTED CERTIFICATE's) are refused. */
X509 *pem_get1_cert(const struct pem_item *, struct fail *);
X509_REQ *pem_get1_request(const struct pem_item *, struct fail *);
EVP_PKEY *pem_get1_key(const struct pem_item *, struct fail *);	/* PEM_KEY_MAX octets at most */
EVP_PKEY *pem_get1_public_key(const struct pem_item *, struct fail *);

/*
 * The key in what was taken apart as PKCS#8, of RSA, EC, EdDSA or ML-DSA; any other is not decoded:
 * with DSA and DH OpenSSL computes powers of numbers as long as the input has them.  name gets what
 * the type is called.  The caller frees; NULL: of another type, or damaged.
 */
EVP_PKEY *pem_pkcs8_key(const PKCS8_PRIV_KEY_INFO *, char name[PEM_TYPE_MAX]);

/* The certificates of a PKCS#7 signedData message in their order there, which means nothing (it is
 * a SET); at least one.  Its signatures are not looked at.  The caller frees with
 * cert_chain_free(); NULL: FAIL_INPUT. */
STACK_OF(X509) *pem_get1_pkcs7(const struct pem_item *, struct fail *);

/* Append one PEM block of any DER bytes; of a certificate; of a request. */
void pem_put(struct buf *, const char *label, const uint8_t *der, size_t len);
int pem_put_cert(struct buf *, const X509 *, struct fail *);
int pem_put_request(struct buf *, const X509_REQ *, struct fail *);

#endif
