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

struct finding {
	enum verify_result result;
	const char *rule;	/* "RFC 7672 3.1.1": static */
	char *why;		/* in words, escaped */
	int matched;		/* index of the record that authenticated, or -1 */
	int depth;		/* of the certificate that it describes, 0 the leaf; or -1 */
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

#endif
