/*
 * What can be told from the CA's certificate alone is asked before a key is made.  The rest is asked
 * of OpenSSL, with the finished certificate, as any verifier will ask it.
 */
#include "signer.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "alloc.h"
#include "cert.h"
#include "constraint.h"
#include "key.h"
#include "name.h"
#include "ossl.h"
#include "profile.h"
#include "text.h"

static int
check_span(const X509 *ca, int64_t now, struct fail *f)
{
	char when[TEXT_TIME_MAX];

	if (now > cert_not_after(ca))
		return fail(f, FAIL_POLICY, "the CA's certificate has expired: %s",
		    text_time(when, cert_not_after(ca)));
	if (now < cert_not_before(ca))
		return fail(f, FAIL_POLICY, "the CA's certificate is not valid before %s",
		    text_time(when, cert_not_before(ca)));
	return 0;
}

int
signer_check(const struct identity *id, int64_t now, struct fail *f)
{
	if (!cert_is_ca(id->cert))
		return fail(f, FAIL_POLICY, "not a CA; mkcert --ca makes one");
	if (!(X509_get_key_usage(id->cert) & KU_KEY_CERT_SIGN))
		return fail(f, FAIL_POLICY,
		    "the CA's key usage does not allow to sign certificates (RFC 5280 4.2.1.3)");
	if (X509_get0_subject_key_id(id->cert) == NULL)
		return fail(f, FAIL_POLICY,
		    "the CA's certificate has no subject key identifier (RFC 5280 4.2.1.2)");
	if (check_span(id->cert, now, f) == -1)
		return -1;
	return key_check_strength(id->key, f);
}

/*
 * How many CAs in a row may stand below this one (RFC 5280 4.2.1.9); -1: any.  Those above count too.
 * OpenSSL never counts the last certificate of a chain, not even where it is a CA, so that a CA is
 * asked about here.
 */
static long
room_below(const struct identity *id)
{
	X509 *ca = id->cert;
	long most, room = -1;
	int above;

	for (above = 0; ca != NULL; ca = sk_X509_value(id->chain, above++)) {
		if ((most = X509_get_pathlen(ca)) == -1)
			continue;
		most = most > above ? most - above : 0;
		if (room == -1 || most < room)
			room = most;
	}
	return room;
}

/* A CA without a path length of its own gets what is left, so that it is known to what that signs,
 * where the CAs above may not be at hand. */
static int
set_pathlen(const struct identity *id, struct issue *is, struct fail *f)
{
	long room = room_below(id);

	if (room == -1)
		return 0;
	if (room == 0)
		return fail(f, FAIL_POLICY, "its path length, or that of a CA above it, does not "
		    "allow another CA here (RFC 5280 4.2.1.9)");
	if (is->pathlen > room - 1)
		return fail(f, FAIL_POLICY, "path length %d: %ld at most is left below this CA "
		    "(RFC 5280 4.2.1.9)", is->pathlen, room - 1);
	if (is->pathlen == -1)
		is->pathlen = room - 1;
	return 0;
}

/*
 * A CA's own constraints, narrowed to those of all above it: what it signs is held against them then
 * where a root is not at hand, and by verifiers that do not look at a root's.
 */
static NAME_CONSTRAINTS *
narrowed(const struct identity *id, const struct issue *is, struct fail *f)
{
	NAME_CONSTRAINTS *nc = profile_constraints(is);
	X509 *ca = id->cert;
	int i;

	for (i = 0; ca != NULL; ca = sk_X509_value(id->chain, i++))
		if (constraint_narrow(nc, ca, f) == -1) {
			NAME_CONSTRAINTS_free(nc);
			return NULL;
		}
	return nc;
}

/* OpenSSL lets a wildcard cover an excluded name. */
static int
check_wildcards(const struct identity *id, const X509 *cert, struct fail *f)
{
	struct cert_names names = CERT_NAMES_INIT;
	X509 *ca = id->cert;
	size_t k;
	int i, rc = 0;

	cert_dns_names(cert, &names);
	for (i = 0; ca != NULL && rc == 0; ca = sk_X509_value(id->chain, i++))
		for (k = 0; k < names.n && rc == 0; k++)
			if (name_is_wildcard(names.v[k]) && constraint_in_wildcard(ca, names.v[k]))
				rc = fail(f, FAIL_POLICY, "the CA's name constraints exclude a "
				    "name that %s covers (RFC 5280 4.2.1.10)", names.v[k]);
	cert_names_clear(&names);
	return rc;
}

static int
refused(X509_STORE_CTX *ctx, struct fail *f)
{
	int error = X509_STORE_CTX_get_error(ctx);

	switch (error) {
	case X509_V_ERR_PERMITTED_VIOLATION:
		return fail(f, FAIL_POLICY, "the CA's name constraints do not permit all of the "
		    "names (RFC 5280 4.2.1.10)");
	case X509_V_ERR_EXCLUDED_VIOLATION:
		return fail(f, FAIL_POLICY, "the CA's name constraints exclude one of the names "
		    "(RFC 5280 4.2.1.10)");
	default:
		return fail(f, FAIL_POLICY, "the CA may not sign this: %s",
		    X509_verify_cert_error_string(error));
	}
}

/* The CA's own certificate, then its chain; new references. */
static STACK_OF(X509) *
with_ca(const struct identity *id)
{
	STACK_OF(X509) *chain = NULL;

	chain = id->chain != NULL ? X509_chain_up_ref(id->chain) : sk_X509_new_null();
	if (chain == NULL || sk_X509_unshift(chain, id->cert) == 0 || X509_up_ref(id->cert) != 1)
		alloc_failed();
	return chain;
}

/* Up to the topmost certificate, which is trusted for this although it may be no root. */
static int
verify(const struct identity *id, const struct issue *is, X509 *cert, int64_t now, struct fail *f)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = with_ca(id);
	int n = sk_X509_num(chain), rc = -1;

	if (store == NULL || ctx == NULL)
		alloc_failed();
	ossl_clear();
	if (X509_STORE_add_cert(store, sk_X509_value(chain, n - 1)) != 1 ||
	    X509_STORE_CTX_init(ctx, store, cert, chain) != 1) {
		fail_ossl(f, FAIL_SYS, "the chain cannot be verified");
		goto out;
	}
	X509_STORE_CTX_set_time(ctx, 0, now);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
	if (!(is->flags & ISSUE_CA))
		X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
	rc = X509_verify_cert(ctx) == 1 ? 0 : refused(ctx, f);
out:
	ossl_clear();
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	cert_chain_free(chain);
	return rc;
}

X509 *
signer_sign(const struct identity *id, const struct issue *is, EVP_PKEY *key, int64_t now,
    struct fail *f)
{
	struct issue order = *is;	/* its texts stay the caller's */
	NAME_CONSTRAINTS *nc = NULL;
	X509 *cert = NULL;

	if (signer_check(id, now, f) == -1)
		return NULL;
	if (is->flags & ISSUE_CA && (set_pathlen(id, &order, f) == -1 ||
	    (nc = narrowed(id, is, f)) == NULL))
		return NULL;
	order.narrowed = nc;
	cert = issue_signed(&order, key, id->cert, id->key, now, f);
	NAME_CONSTRAINTS_free(nc);
	if (cert == NULL)
		return NULL;
	if (verify(id, is, cert, now, f) == 0 && check_wildcards(id, cert, f) == 0)
		return cert;
	X509_free(cert);
	return NULL;
}

STACK_OF(X509) *
signer_chain(const struct identity *id)
{
	return cert_is_self_signed(id->cert) ? NULL : with_ca(id);
}
