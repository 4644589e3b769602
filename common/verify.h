/*
 * verify - a peer's chain held against what was asked of it: the second pure step after policy.
 *
 * No network, no clock of its own: the time is an argument.  The matching itself is OpenSSL's DANE
 * code (RFC 6698, digest agility of RFC 7671 9), fed with the chain as the peer sent it.
 */
#ifndef MTATLS_VERIFY_H
#define MTATLS_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "fail.h"
#include "tlsa.h"
#include "trust.h"

enum verify_result {
	VERIFY_NOT_ASKED,
	VERIFY_MATCH,
	VERIFY_NO_MATCH
};

/* What one TLSA record does for this chain. */
enum verify_use {
	VERIFY_USE_MATCHED, /* the one that authenticated the peer */
	VERIFY_USE_STANDBY, /* fits the chain too, but did not authenticate the peer */
	VERIFY_USE_DEAD,    /* describes nothing that the peer sent, where its usage looks for it */
	VERIFY_USE_PASSED_OVER, /* a weaker digest beside a stronger one: RFC 7671 9 */
	VERIFY_USE_UNUSABLE	/* not for SMTP: RFC 7672 3.1.3 */
};

const char *verify_use_name(enum verify_use);

/* Why a chain was refused; the words of verify_reason_name() are stable and documented. */
enum verify_reason {
	VERIFY_REASON_NONE,
	VERIFY_REASON_EXPIRED,		/* "expired" */
	VERIFY_REASON_NOT_YET_VALID,	/* "not-yet-valid" */
	VERIFY_REASON_NAME,		/* "name" */
	VERIFY_REASON_UNKNOWN_CA,	/* "unknown-ca" */
	VERIFY_REASON_PATH_LENGTH,	/* "path-length" */
	VERIFY_REASON_NAME_CONSTRAINT,	/* "name-constraint" */
	VERIFY_REASON_PURPOSE,		/* "purpose": CA flags, key usage, EKU */
	VERIFY_REASON_SIGNATURE,	/* "signature" */
	VERIFY_REASON_WEAK,		/* "weak": key or digest */
	VERIFY_REASON_PARSE,		/* "parse": not a certificate that can be judged */
	VERIFY_REASON_DISTRUSTED	/* "distrusted": castore distrust */
};

const char *verify_reason_name(enum verify_reason);

struct finding {
	enum verify_result result;
	const char *rule;	/* "RFC 7672 3.1.1": static */
	char *why;		/* in words, escaped */
	int matched;		/* index of the record that authenticated, or -1 */
	int depth;		/* of the certificate that it describes, 0 the leaf; or -1 */
	enum verify_reason reason; /* of verify_pkix(); of verify_dane() where dates or names are at fault */
	int reference;		/* of verify_pkix(): index of the identity that a name fits, or -1 */
	enum verify_use *use;	/* for each record */
	size_t nuse;
};

void finding_clear(struct finding *);

struct verify_dane {
	const struct tlsa *tlsa;	/* the secure RRset, unusable records included */
	size_t ntlsa;
	const char *base;		/* TLSA base domain: the first reference identity */
	const char *const *names;	/* further ones for usage 2 (RFC 7672 3.2.2) */
	size_t nnames;
	int64_t now;			/* seconds since 1970 */
};

/*
 * The chain is the peer's, leaf first, as sent; may be shuffled or padded behind the leaf.  *out is
 * set anew; finding_clear() frees.  Returns -1 (FAIL_SYS) only where OpenSSL cannot work at all: a
 * hostile chain is VERIFY_NO_MATCH.
 */
int verify_dane(
    STACK_OF(X509) * chain, const struct verify_dane *, struct finding *out, struct fail *);

/* Which of the certificate's names may be the reference identity's (RFC 6125 6). */
enum verify_names {
	VERIFY_NAMES_CN_OR_SAN,	/* required-verify: a common name counts beside dNSNames */
	VERIFY_NAMES_HOSTED,	/* required-verify-hosted: the common name only without any dNSName */
	VERIFY_NAMES_SAN	/* MTA-STS: dNSNames alone (RFC 8461 4.2) */
};

struct verify_pkix {
	const struct trust *trust;
	enum verify_names names;
	const char *const *reference;	/* reference identities, any of which is enough: A-labels,
					 * or addresses as inet_ntop(3) writes them */
	size_t nreference;		/* 0: the chain alone is judged */
	int fqdn_check;			/* CN and dNSNames must be fully qualified to count */
	int client;			/* the peer is a client: EKU clientAuth in place of serverAuth */
	int ca;				/* it is a CA's own certificate that is asked for: no EKU */
	int own_top;			/* a path may also end where nobody's issuer is left: what else is
					 * wrong with it?  Never for a peer: any root will do */
	int64_t now;			/* seconds since 1970 */
};

/*
 * A chain held against the trusted CAs and the names (RFC 5280 6, RFC 6125): leaf first, as sent; the
 * rest may be shuffled or padded, and every path from the leaf to a root that is in the list is tried.
 * Roots alone end a path, but for the leaf itself where it is in the list.  Keys and signatures have
 * to be of OpenSSL's security level 2: RSA of 2048 bits, no SHA-1.  Certificate policies and revocation
 * are not looked at.
 *
 * *out is set anew (result VERIFY_MATCH or VERIFY_NO_MATCH, reason, rule, why, and the depth of the
 * certificate that it is about: of the root where all is good); finding_clear() frees.  Of several
 * reasons the first in this order is told: parse, unknown-ca, signature, distrusted, purpose,
 * path-length, name-constraint, weak, not-yet-valid, expired, name; and of several paths, none of
 * them good, the one whose reason comes last.
 *
 * With VERIFY_MATCH *verified, if verified is not NULL, is the chain that was built, leaf first, root
 * last; the caller frees with cert_chain_free(); otherwise it is NULL.  Returns -1 (FAIL_SYS) only
 * where OpenSSL cannot work at all.
 */
int verify_pkix(STACK_OF(X509) *chain, const struct verify_pkix *, STACK_OF(X509) **verified,
    struct finding *out, struct fail *);

#endif
