/*
 * dkim - signatures of mail (RFC 6376): made, not verified.  No I/O; time is an argument.
 *
 * rsa-sha256 (RFC 8301) and ed25519-sha256 (RFC 8463), relaxed/relaxed, the whole body.  From is listed once more than it is
 * there, so that nobody can add another.  A message is fed in pieces, and then signed with any number of keys.
 */
#ifndef MTATLS_DKIM_H
#define MTATLS_DKIM_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "fail.h"
#include "text.h"

#define DKIM_HEADER_MAX (256 * 1024)	/* octets of a header that is signed */
#define DKIM_FIELDS_MAX 200		/* of its fields that are */

struct dkim;

struct dkim_signer {
	const char *domain, *selector;	/* d= and s=: A-labels */
	EVP_PKEY *key;
};

/* Fit to sign with: RSA of 2048 bits or more (RFC 8301 3.2), or Ed25519.  FAIL_POLICY. */
int dkim_check_key(const EVP_PKEY *, struct fail *);

/* FAIL_SYS. */
struct dkim *dkim_new(struct fail *);
void dkim_free(struct dkim *);	/* NULL is allowed */

/* The message from its header on, lines ending in CRLF.  FAIL_INPUT: its header is too long. */
int dkim_feed(struct dkim *, const void *, size_t, struct fail *);

/*
 * Behind all of the message: appends the field DKIM-Signature with its line end, to go in front of the message.  More than
 * once, for more keys.  FAIL_INPUT: no header, or one without From; FAIL_SYS.
 */
int dkim_sign(struct dkim *, const struct dkim_signer *, int64_t now, struct buf *, struct fail *);

/*
 * The domain of the one address in From (RFC 5322 3.6.2), of the first n octets of a message; in A-labels and lower case, the
 * caller's to free.  NULL: several From, several addresses, or none that has a domain.
 */
char *dkim_from_domain(const char *, size_t n);

/* The value of the record at SELECTOR._domainkey.DOMAIN (RFC 6376 3.6.1), appended; service NULL: for all. */
int dkim_record(struct buf *, const EVP_PKEY *, const char *service, struct fail *);

#endif
