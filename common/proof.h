/*
 * proof - a peer's chain held against all that a plan wants to know of it: the TLSA records, the local
 * level's names, the MTA-STS policy.  Pure, like verify, of which it asks each.
 */
#ifndef MTATLS_PROOF_H
#define MTATLS_PROOF_H

#include <stdint.h>

#include <openssl/x509.h>

#include "fail.h"
#include "trust.h"
#include "verify.h"

struct facts;
struct plan_host;

/* Owned by the struct; proof_clear() frees.  What was not asked is VERIFY_NOT_ASKED. */
struct proof {
	struct finding dane;
	struct finding level;	/* as the local level has it */
	struct finding sts;	/* by MTA-STS: dNSNames, MX host; also of a policy in mode testing */
	int by_domain;		/* level: the name that fits is that of the domain itself */
};

struct proof_ask {
	const struct plan_host *host;
	const struct facts *facts;
	const struct trust *trust;	/* NULL: nothing is trusted, and so no chain is */
	const char *const *more;	/* further reference identities, of a user's choice */
	size_t nmore;
	int64_t now;			/* seconds since 1970 */
};

/*
 * *out is set anew.  Returns -1 (FAIL_SYS) only where OpenSSL cannot work at all; what could not be
 * asked for is not in *out then, and so the plan's need is not met.
 */
int proof_make(STACK_OF(X509) *chain, const struct proof_ask *, struct proof *out, struct fail *);
void proof_clear(struct proof *);

/* Whether the plan lets mail go to a peer with that chain. */
int proof_suffices(const struct plan_host *, const struct proof *);

/* The reference identities of the local level (RFC 6125), borrowed: the domain first where there is
 * one, the host.  Returns how many; *domains is how many of them are the domain's. */
#define PROOF_NAMES_MAX 3
size_t proof_references(const struct facts *, const struct plan_host *,
    const char *names[PROOF_NAMES_MAX], size_t *domains);

#endif
