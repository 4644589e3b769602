/*
 * issue - making certificates.
 *
 * A struct issue is an order: fill it with issue_set() and issue_add_san(), which check each value
 * at once, then have it carried out by issue_self_signed().  Profile: X.509 v3, random positive
 * serial of 20 octets, SKI, AKI (keyid), critical basicConstraints, critical keyUsage
 * digitalSignature (and keyEncipherment with RSA), EKU serverAuth and clientAuth, SAN; C is a
 * PrintableString, other fields are UTF8String, bounded as in RFC 5280 Appendix A; times as
 * UTCTime through 2049 and GeneralizedTime after.
 */
#ifndef MTATLS_ISSUE_H
#define MTATLS_ISSUE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"

#define ISSUE_DAYS_DEFAULT 365
#define ISSUE_DAYS_MAX 36500
#define ISSUE_DEMO_DAYS 7
#define ISSUE_BACKDATE 3600	/* seconds from notBefore to now, for slow clocks */
#define ISSUE_SAN_MAX 1000	/* names in one certificate */

/* The parts of a subject, in the order in which they are encoded: C first, CN last. */
enum issue_field { ISSUE_C, ISSUE_ST, ISSUE_L, ISSUE_O, ISSUE_OU, ISSUE_CN, ISSUE_FIELDS };

struct issue_san {
	enum { ISSUE_DNS, ISSUE_IP } kind;
	char *text;		/* A-labels, or the address as inet_ntop(3) writes it */
	uint8_t addr[16];
	size_t addrlen;		/* 4 or 16 */
};

struct issue {
	char *field[ISSUE_FIELDS];	/* UTF-8; NULL: not there */
	struct issue_san *san;
	size_t nsan;
	int days;			/* of validity from now */
	unsigned flags;
};

#define ISSUE_SERVER_ONLY	0x1	/* EKU serverAuth alone */
#define ISSUE_AS_CA 0x2 /* CA:TRUE in a self-signed leaf, for verifiers that insist */
#define ISSUE_DEMO		0x4	/* marked as a demonstration certificate */
#define ISSUE_CLIENT		0x8	/* a request asks for clientAuth too */

void issue_init(struct issue *);
void issue_clear(struct issue *);

/*
 * Sets a part of the subject.  ISSUE_CN is the host name or address that the certificate is for:
 * it turns into A-labels, is put first into the SAN, and stays out of the subject where it is
 * longer than 64 characters (the subject may then be empty and the SAN critical, RFC 5280 4.1.2.6).
 * FAIL_INPUT: empty, control characters, not UTF-8, too long, not a country code.
 */
int issue_set(struct issue *, enum issue_field, const char *utf8, struct fail *);

/* Adds a host name or an address, "DNS:" or "IP:" before it or not; one that is there already is
 * passed over.  FAIL_INPUT: neither, a wildcard out of place, more than ISSUE_SAN_MAX. */
int issue_add_san(struct issue *, const char *utf8, struct fail *);

/* Signs with the key that the certificate is of.  now: seconds since 1970.  NULL on failure:
 * FAIL_POLICY for a weak key, FAIL_INPUT for an order without a common name or out of range. */
X509 *issue_self_signed(const struct issue *, EVP_PKEY *, int64_t now, struct fail *);

/*
 * A request (RFC 2986) for what the order says, signed by the key: subject, and in extensionRequest
 * the SAN, key usage and extended key usage (serverAuth; with ISSUE_CLIENT clientAuth too).  The
 * validity does not matter.  The caller frees with X509_REQ_free(); NULL as issue_self_signed().
 */
X509_REQ *issue_request(const struct issue *, EVP_PKEY *, struct fail *);

#endif
