/*
 * issue - making certificates.
 *
 * A struct issue is an order: fill it with issue_set() and issue_add_san(), which check each value
 * at once, then have it carried out by issue_self_signed(), issue_signed() or issue_request().
 * Profile: X.509 v3, random positive serial of 20 octets, SKI, AKI (keyid), critical
 * basicConstraints, critical keyUsage digitalSignature (and keyEncipherment with RSA), EKU
 * serverAuth and clientAuth, SAN; C is a PrintableString, other fields are UTF8String, bounded as
 * in RFC 5280 Appendix A; times as UTCTime through 2049 and GeneralizedTime after.  A CA
 * (ISSUE_CA) has keyUsage keyCertSign and cRLSign, no EKU and no SAN, and may have a path length and
 * critical name constraints.
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
#define ISSUE_CA_DAYS 3650	/* what is usual for a CA */
#define ISSUE_DEMO_DAYS 7
#define ISSUE_BACKDATE 3600	/* seconds from notBefore to now, for slow clocks */
#define ISSUE_SAN_MAX 1000	/* names in one certificate */
#define ISSUE_LIMITS_MAX 100	/* name constraints in one */
#define ISSUE_PATHLEN_MAX 16

/* The parts of a subject, in the order in which they are encoded: C first, CN last. */
enum issue_field { ISSUE_C, ISSUE_ST, ISSUE_L, ISSUE_O, ISSUE_OU, ISSUE_CN, ISSUE_FIELDS };

struct issue_san {
	enum { ISSUE_DNS, ISSUE_IP } kind;
	char *text;		/* A-labels, or the address as inet_ntop(3) writes it */
	uint8_t addr[32];
	size_t addrlen;		/* 4 or 16; in a name constraint 8 or 32, the mask behind it */
};

struct issue_limit {
	int exclude;		/* else permit */
	struct issue_san name;
};

struct issue {
	char *field[ISSUE_FIELDS];	/* UTF-8; NULL: not there */
	struct issue_san *san;
	size_t nsan;
	struct issue_limit *limits;	/* of a CA */
	size_t nlimits;
	const NAME_CONSTRAINTS *narrowed;	/* in place of limits where set: see signer.c; borrowed */
	int pathlen;			/* of a CA: CAs between it and a leaf; -1: any */
	int days;			/* of validity from now */
	unsigned flags;
};

#define ISSUE_SERVER_ONLY	0x1	/* EKU serverAuth alone */
#define ISSUE_AS_CA		0x2	/* CA:TRUE in a self-signed leaf, for verifiers that insist */
#define ISSUE_DEMO		0x4	/* marked as a demonstration certificate */
#define ISSUE_CLIENT		0x8	/* a request asks for clientAuth too */
#define ISSUE_CA		0x10	/* a CA; its common name is plain text */

void issue_init(struct issue *);
void issue_clear(struct issue *);

/*
 * Sets a part of the subject.  ISSUE_CN is the host name or address that the certificate is for:
 * it turns into A-labels, is put first into the SAN, and stays out of the subject where it is
 * longer than 64 characters (the subject may then be empty and the SAN critical, RFC 5280 4.1.2.6).
 * Of a CA (ISSUE_CA must be set before) it is text of at most 64 characters, and in no SAN.
 * FAIL_INPUT: empty, control characters, not UTF-8, too long, not a country code.
 */
int issue_set(struct issue *, enum issue_field, const char *utf8, struct fail *);

/* Adds a host name or an address, "DNS:" or "IP:" before it or not; one that is there already is
 * passed over.  FAIL_INPUT: neither, a wildcard out of place, more than ISSUE_SAN_MAX. */
int issue_add_san(struct issue *, const char *utf8, struct fail *);

/*
 * Permits, or excludes, the names under a domain ("example.org": itself and all below), or the
 * addresses of a range ("192.0.2.0/24", "2001:db8::/32"; one without a length is a single address).
 * FAIL_INPUT: neither, a wildcard, bits behind the length, more than ISSUE_LIMITS_MAX.
 */
int issue_add_limit(struct issue *, int exclude, const char *utf8, struct fail *);

/* Signs with the key that the certificate is of.  now: seconds since 1970.  NULL on failure:
 * FAIL_POLICY for a weak key, FAIL_INPUT for an order without a common name or out of range. */
X509 *issue_self_signed(const struct issue *, EVP_PKEY *, int64_t now, struct fail *);

/*
 * Of the public key (a private one will do), signed by a CA with its key.  It begins no earlier and
 * ends no later than the CA's certificate.  Whether the CA may sign it is not looked at: signer_sign()
 * does.  NULL as above.
 */
X509 *issue_signed(const struct issue *, EVP_PKEY *, const X509 *ca, EVP_PKEY *ca_key, int64_t now,
    struct fail *);

/*
 * A request (RFC 2986) for what the order says, signed by the key: subject, and in extensionRequest
 * the SAN, key usage and extended key usage (serverAuth; with ISSUE_CLIENT clientAuth too).  The
 * validity does not matter.  The caller frees with X509_REQ_free(); NULL as issue_self_signed().
 */
X509_REQ *issue_request(const struct issue *, EVP_PKEY *, struct fail *);

#endif
