#include "verify.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "constraint.h"
#include "name.h"
#include "ossl.h"
#include "text.h"

const char *
verify_use_name(enum verify_use use)
{
	static const char *const names[] = { [VERIFY_USE_MATCHED] = "used", [VERIFY_USE_STANDBY] =
		"standby", [VERIFY_USE_DEAD] = "dead", [VERIFY_USE_PASSED_OVER] = "passed-over",
		[VERIFY_USE_UNUSABLE] = "unusable" };

	return names[use];
}

void
finding_clear(struct finding *f)
{
	free(f->why);
	free(f->use);
	memset(f, 0, sizeof *f);
}

/* One context for all: it holds the digests that DANE knows and nothing of a peer. */
static SSL_CTX *
dane_ctx(struct fail *f)
{
	static SSL_CTX *ctx;

	if (ctx != NULL)
		return ctx;
	ossl_clear();
	if ((ctx = SSL_CTX_new(TLS_client_method())) == NULL || SSL_CTX_dane_enable(ctx) != 1) {
		SSL_CTX_free(ctx);
		ctx = NULL;
		fail_ossl(f, FAIL_SYS, "DANE");
	}
	return ctx;
}

/* Loads names and usable records.  Returns how many records OpenSSL took, -1 on failure. */
static int
dane_load(SSL *ssl, const struct verify_dane *v, struct fail *f)
{
	int taken = 0;
	size_t i;

	if (SSL_dane_enable(ssl, v->base) != 1)
		return fail_ossl(f, FAIL_SYS, "%.200s", v->base);
	/* RFC 7672 3.1.1: with usage 3 the names in the certificate do not matter. */
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (i = 0; i < v->nnames; i++)
		if (SSL_add1_host(ssl, v->names[i]) != 1)
			return fail_ossl(f, FAIL_SYS, "%.200s", v->names[i]);
	for (i = 0; i < v->ntlsa; i++) {
		const struct tlsa *t = &v->tlsa[i];

		if (tlsa_usable(t, NULL) &&
		    SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->mtype, t->data, t->len) == 1)
			taken++;
	}
	ossl_clear();
	return taken;
}

/* X509_verify_cert() as SSL_connect() would call it.  Returns an X509_V_* code, -1 on failure. */
static int
run_verify(SSL *ssl, STACK_OF(X509) *chain, int64_t now, int *depth, struct fail *f)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int rc = -1;

	if (store == NULL || ctx == NULL ||
	    X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain) != 1) {
		fail_ossl(f, FAIL_SYS, "verification");
		goto out;
	}
	X509_STORE_CTX_set_default(ctx, "ssl_server");
	X509_STORE_CTX_set0_dane(ctx, SSL_get0_dane(ssl));
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set1(param, SSL_get0_param(ssl));
	X509_VERIFY_PARAM_set_time(param, now);
	/* A match is a match, however weak the key: RFC 7672 3.1. */
	X509_VERIFY_PARAM_set_auth_level(param, 0);
	rc = X509_verify_cert(ctx) > 0 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	if (rc == X509_V_OK && X509_STORE_CTX_get_error(ctx) != X509_V_OK)
		rc = X509_STORE_CTX_get_error(ctx);
	*depth = X509_STORE_CTX_get_error_depth(ctx);
out:
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ossl_clear();
	return rc;
}

/*
 * The chain as TLSA data, made once for each certificate, selector and matching type: a peer may send
 * hundreds of certificates, and a zone hundreds of records.
 */
#define FORMS 6 /* two selectors, three matching types */

struct shown {
	STACK_OF(X509) *chain;
	int n;
	struct tlsa *form; /* n times FORMS */
	char *made;
};

static void
shown_init(struct shown *s, STACK_OF(X509) *chain)
{
	s->chain = chain;
	s->n = chain != NULL ? sk_X509_num(chain) : 0;
	s->form = xcalloc((size_t)s->n * FORMS, sizeof *s->form);
	s->made = xcalloc((size_t)s->n * FORMS, 1);
}

static void
shown_clear(struct shown *s)
{
	int i;

	for (i = 0; i < s->n * FORMS; i++)
		tlsa_clear(&s->form[i]);
	free(s->form);
	free(s->made);
}

/* Does the (usable) record describe certificate number i? */
static int
describes_cert(const struct tlsa *t, struct shown *s, int i)
{
	int at = i * FORMS + t->selector * 3 + t->mtype;
	struct tlsa *form = &s->form[at];

	if (t->selector > TLSA_SPKI || t->mtype > TLSA_SHA512)
		return 0;
	if (!s->made[at]) {
		s->made[at] = 1;
		if (tlsa_of_cert(form, t->usage, t->selector, t->mtype,
			sk_X509_value(s->chain, i), NULL) == -1)
			*form = (struct tlsa)TLSA_INIT;
	}
	return form->len > 0 && form->len == t->len && memcmp(form->data, t->data, t->len) == 0;
}

/* Does the record describe a certificate in the place that its usage speaks of? */
static int
describes_chain(const struct tlsa *t, struct shown *s)
{
	int i;

	if (t->usage == TLSA_DANE_EE)
		return s->n > 0 && describes_cert(t, s, 0);
	/* The server's own certificate is no trust anchor, not even of itself. */
	for (i = 1; i < s->n; i++)
		if (describes_cert(t, s, i))
			return 1;
	return 0;
}

/* RFC 7671 9: beside a usable SHA-512 record of the same usage and selector, SHA-256 is not used.
 */
static int
weaker_digest(const struct verify_dane *v, const struct tlsa *t)
{
	size_t i;

	if (t->mtype != TLSA_SHA256)
		return 0;
	for (i = 0; i < v->ntlsa; i++) {
		const struct tlsa *o = &v->tlsa[i];

		if (o->usage == t->usage && o->selector == t->selector && o->mtype == TLSA_SHA512 &&
		    tlsa_usable(o, NULL))
			return 1;
	}
	return 0;
}

/* fits: the record that OpenSSL found to fit, or -1. */
static void
sort_records(const struct verify_dane *v, STACK_OF(X509) *chain, int fits, struct finding *out)
{
	struct shown shown;
	size_t i;

	shown_init(&shown, chain);
	out->use = xcalloc(v->ntlsa, sizeof *out->use);
	out->nuse = v->ntlsa;
	for (i = 0; i < v->ntlsa; i++) {
		const struct tlsa *t = &v->tlsa[i];

		if (!tlsa_usable(t, NULL))
			out->use[i] = VERIFY_USE_UNUSABLE;
		else if ((int)i == out->matched)
			out->use[i] = VERIFY_USE_MATCHED;
		else if (weaker_digest(v, t))
			out->use[i] = VERIFY_USE_PASSED_OVER;
		else if ((int)i == fits || describes_chain(t, &shown))
			out->use[i] = VERIFY_USE_STANDBY;
		else
			out->use[i] = VERIFY_USE_DEAD;
	}
	shown_clear(&shown);
}

static int
find_record(const struct verify_dane *v, uint8_t usage, uint8_t selector, uint8_t mtype,
    const unsigned char *data, size_t len)
{
	size_t i;

	for (i = 0; i < v->ntlsa; i++) {
		const struct tlsa *t = &v->tlsa[i];

		if (t->usage == usage && t->selector == selector && t->mtype == mtype &&
		    t->len == len && memcmp(t->data, data, len) == 0)
			return i;
	}
	return -1;
}

/* The record that fits the chain, whether or not the rest of the verification was good; or -1. */
static int
fitting_record(SSL *ssl, const struct verify_dane *v, int *depth)
{
	const unsigned char *data = NULL;
	uint8_t usage = 0, selector = 0, mtype = 0;
	size_t len = 0;

	/* OpenSSL says nothing of it where its own result is another. */
	SSL_set_verify_result(ssl, X509_V_OK);
	*depth = SSL_get0_dane_tlsa(ssl, &usage, &selector, &mtype, &data, &len);
	if (*depth < 0 || data == NULL)
		return -1;
	return find_record(v, usage, selector, mtype, data, len);
}

static void
tell_match(const struct verify_dane *v, STACK_OF(X509) *chain, int fits, int depth,
    struct finding *out)
{
	const struct tlsa *t = &v->tlsa[fits];
	struct shown shown;

	out->result = VERIFY_MATCH;
	out->matched = fits;
	out->depth = depth;
	if (t->usage == TLSA_DANE_EE) {
		out->rule = "RFC 7672 3.1.1";
		out->why = xasprintf("TLSA %u %u %u of %s matches the server's own %s", t->usage,
		    t->selector, t->mtype, v->base,
		    t->selector == TLSA_SPKI ? "key" : "certificate");
		return;
	}
	/* Of a bare key that was not sent in a certificate OpenSSL tells where its signature is. */
	shown_init(&shown, chain);
	if (t->selector == TLSA_SPKI && !describes_chain(t, &shown))
		out->depth++;
	shown_clear(&shown);
	out->rule = "RFC 7672 3.1.2";
	out->why = xasprintf(
	    "TLSA %u %u %u of %s matches a trust anchor at depth %d, and chain, dates and "
	    "name are good",
	    t->usage, t->selector, t->mtype, v->base, out->depth);
}

/* What the record should have been is what a postmaster looks for first. */
static char *
shown_by_peer(STACK_OF(X509) *chain)
{
	struct tlsa t = TLSA_INIT;
	struct fail f = FAIL_INIT;
	char *text = NULL;

	if (tlsa_of_cert(&t, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256, sk_X509_value(chain, 0), &f) ==
	    -1)
		return xasprintf("a certificate whose key cannot be read");
	text = tlsa_rdata(&t);
	tlsa_clear(&t);
	return text;
}

static void
tell_mismatch(const struct verify_dane *v, STACK_OF(X509) *chain, struct finding *out)
{
	char *shown = shown_by_peer(chain);

	out->result = VERIFY_NO_MATCH;
	out->rule = "RFC 7672 2.2";
	out->why = xasprintf("no TLSA record of %s matches: the server shows %s", v->base, shown);
	free(shown);
}

/* A trust anchor fits, but RFC 5280 or the names refuse what stands below it. */
static void
tell_bad_chain(const struct verify_dane *v, int fits, int err, int depth, struct finding *out)
{
	const struct tlsa *t = &v->tlsa[fits];

	out->result = VERIFY_NO_MATCH;
	out->rule = err == X509_V_ERR_HOSTNAME_MISMATCH ? "RFC 7672 3.2.2" : "RFC 7672 3.1.2";
	out->reason = err == X509_V_ERR_HOSTNAME_MISMATCH ? VERIFY_REASON_NAME :
	    err == X509_V_ERR_CERT_HAS_EXPIRED ? VERIFY_REASON_EXPIRED :
	    err == X509_V_ERR_CERT_NOT_YET_VALID ? VERIFY_REASON_NOT_YET_VALID : VERIFY_REASON_NONE;
	out->why = xasprintf(
	    "TLSA %u %u %u of %s fits the chain, but the certificate at depth %d fails: "
	    "%s",
	    t->usage, t->selector, t->mtype, v->base, depth, X509_verify_cert_error_string(err));
}

int
verify_dane(STACK_OF(X509) *chain, const struct verify_dane *v, struct finding *out, struct fail *f)
{
	SSL_CTX *ctx = dane_ctx(f);
	SSL *ssl = NULL;
	int taken, err, depth = 0, fit_depth = -1, fits = -1, rc = -1;

	memset(out, 0, sizeof *out);
	out->matched = out->depth = out->reference = -1;
	if (ctx == NULL)
		return -1;
	if (chain == NULL || sk_X509_num(chain) == 0) {
		out->result = VERIFY_NO_MATCH;
		out->rule = "RFC 7672 2.2";
		out->why = xstrdup("the server sent no certificate");
		sort_records(v, chain, -1, out);
		return 0;
	}
	ossl_clear();
	if ((ssl = SSL_new(ctx)) == NULL) {
		fail_ossl(f, FAIL_SYS, "DANE");
		goto out;
	}
	if ((taken = dane_load(ssl, v, f)) == -1)
		goto out;
	/* Without records OpenSSL would fall back to PKIX. */
	err = X509_V_ERR_DANE_NO_MATCH;
	if (taken > 0 && (err = run_verify(ssl, chain, v->now, &depth, f)) == -1)
		goto out;
	if (err != X509_V_ERR_DANE_NO_MATCH)
		fits = fitting_record(ssl, v, &fit_depth);
	if (fits == -1)
		tell_mismatch(v, chain, out);
	else if (err == X509_V_OK)
		tell_match(v, chain, fits, fit_depth, out);
	else
		tell_bad_chain(v, fits, err, depth, out);
	sort_records(v, chain, fits, out);
	rc = 0;
out:
	SSL_free(ssl);
	return rc;
}

/* ---- PKIX ---- */

/*
 * verify_pkix() looks for a path from the leaf to a trusted root by itself, one issuer at a time
 * (explore), and has each path that is complete judged by OpenSSL (judge): exactly that one, by a
 * callback that admits no other issuers.  So every alternative has its turn: an expired or distrusted
 * root beside a good one, a cross-signed intermediate, names that are used twice.  OpenSSL tells of
 * all that is wrong with a path; what counts is the reason that stands first in enum order (see
 * `order`), and of several bad paths the one whose reason stands last there.
 */
#define PATH_MAX_CERTS 12	/* in a path, the leaf and the root among them */
#define PATHS_JUDGED_MAX 32	/* complete paths that OpenSSL is asked about */
#define STEPS_MAX 500		/* certificates that are tried as issuers */
#define SENT_MAX 1000		/* certificates of the peer that are looked at */
#define NAMES_TOLD_MAX 5	/* of a certificate, where none fits */
#define PKIX_LEVEL 2 /* OpenSSL's security level: 112 bits, so RSA 2048, EC 224, no SHA-1 (SP 800-57) */

static const char *const reason_names[] = {
	[VERIFY_REASON_NONE] = "none",
	[VERIFY_REASON_EXPIRED] = "expired",
	[VERIFY_REASON_NOT_YET_VALID] = "not-yet-valid",
	[VERIFY_REASON_NAME] = "name",
	[VERIFY_REASON_UNKNOWN_CA] = "unknown-ca",
	[VERIFY_REASON_PATH_LENGTH] = "path-length",
	[VERIFY_REASON_NAME_CONSTRAINT] = "name-constraint",
	[VERIFY_REASON_PURPOSE] = "purpose",
	[VERIFY_REASON_SIGNATURE] = "signature",
	[VERIFY_REASON_WEAK] = "weak",
	[VERIFY_REASON_PARSE] = "parse",
	[VERIFY_REASON_DISTRUSTED] = "distrusted",
};

const char *
verify_reason_name(enum verify_reason reason)
{
	return reason_names[reason];
}

/* From what leaves nothing to be judged to what the next certificate may mend. */
static const int order[] = {
	[VERIFY_REASON_PARSE] = 1,
	[VERIFY_REASON_UNKNOWN_CA] = 2,
	[VERIFY_REASON_SIGNATURE] = 3,
	[VERIFY_REASON_DISTRUSTED] = 4,
	[VERIFY_REASON_PURPOSE] = 5,
	[VERIFY_REASON_PATH_LENGTH] = 6,
	[VERIFY_REASON_NAME_CONSTRAINT] = 7,
	[VERIFY_REASON_WEAK] = 8,
	[VERIFY_REASON_NOT_YET_VALID] = 9,
	[VERIFY_REASON_EXPIRED] = 10,
	[VERIFY_REASON_NAME] = 11,
	[VERIFY_REASON_NONE] = 12,
};

/* What is wrong with one path, the first in that order; text is OpenSSL's or ours, static. */
struct fault {
	enum verify_reason reason;
	int depth;
	const char *rule, *text;
	X509 *subject;	/* in `best` alone: whose fault it is, with a reference */
};

struct search {
	const struct verify_pkix *v;
	STACK_OF(X509) *sent;
	X509_STORE *store;
	X509 *path[PATH_MAX_CERTS];
	int n;			/* certificates in path */
	int judged, steps;
	int broken;		/* OpenSSL cannot work */
	struct fault worst;	/* of the path that is being judged */
	struct fault best;	/* of the best path so far; depth -1: there was none */
	X509 *end;		/* whose issuer was missing, on the longest way */
	int end_depth;
};

static void
note_fault(struct fault *at, enum verify_reason reason, int depth, const char *rule,
    const char *text)
{
	if (order[reason] < order[at->reason])
		*at = (struct fault){ .reason = reason, .depth = depth, .rule = rule, .text = text };
}

/* What the codes of OpenSSL mean here; what is not among them makes a certificate unfit to judge. */
static const struct {
	int err;
	enum verify_reason reason;
	const char *rule;
} errors[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, VERIFY_REASON_EXPIRED, "RFC 5280 6.1.3 (a)(2)" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, VERIFY_REASON_NOT_YET_VALID, "RFC 5280 6.1.3 (a)(2)" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, VERIFY_REASON_UNKNOWN_CA, "RFC 5280 6.1" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, VERIFY_REASON_UNKNOWN_CA, "RFC 5280 6.1" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, VERIFY_REASON_UNKNOWN_CA, "RFC 5280 6.1" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, VERIFY_REASON_UNKNOWN_CA, "RFC 5280 6.1" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, VERIFY_REASON_UNKNOWN_CA, "RFC 5280 6.1" },
	{ X509_V_ERR_CERT_UNTRUSTED, VERIFY_REASON_UNKNOWN_CA, "RFC 5280 6.1" },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, VERIFY_REASON_UNKNOWN_CA, "RFC 5280 6.1" },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED, VERIFY_REASON_PATH_LENGTH, "RFC 5280 6.1.4 (l)" },
	{ X509_V_ERR_PERMITTED_VIOLATION, VERIFY_REASON_NAME_CONSTRAINT, "RFC 5280 6.1.3 (b)" },
	{ X509_V_ERR_EXCLUDED_VIOLATION, VERIFY_REASON_NAME_CONSTRAINT, "RFC 5280 6.1.3 (c)" },
	{ X509_V_ERR_SUBTREE_MINMAX, VERIFY_REASON_NAME_CONSTRAINT, "RFC 5280 4.2.1.10" },
	{ X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, VERIFY_REASON_NAME_CONSTRAINT,
	    "RFC 5280 4.2.1.10" },
	{ X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, VERIFY_REASON_NAME_CONSTRAINT,
	    "RFC 5280 4.2.1.10" },
	{ X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, VERIFY_REASON_NAME_CONSTRAINT, "RFC 5280 4.2.1.10" },
	{ X509_V_ERR_INVALID_CA, VERIFY_REASON_PURPOSE, "RFC 5280 6.1.4 (k)" },
	{ X509_V_ERR_KEYUSAGE_NO_CERTSIGN, VERIFY_REASON_PURPOSE, "RFC 5280 6.1.4 (n)" },
	{ X509_V_ERR_INVALID_PURPOSE, VERIFY_REASON_PURPOSE, "RFC 5280 4.2.1.12" },
	{ X509_V_ERR_CERT_REJECTED, VERIFY_REASON_PURPOSE, "RFC 5280 4.2.1.12" },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, VERIFY_REASON_SIGNATURE, "RFC 5280 6.1.3 (a)(1)" },
	{ X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE, VERIFY_REASON_SIGNATURE,
	    "RFC 5280 6.1.3 (a)(1)" },
	{ X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH, VERIFY_REASON_SIGNATURE,
	    "RFC 5280 6.1.3 (a)(1)" },
	{ X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY, VERIFY_REASON_SIGNATURE,
	    "RFC 5280 4.1.1.2" },
	{ X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM, VERIFY_REASON_SIGNATURE,
	    "RFC 5280 6.1.3 (a)(1)" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, VERIFY_REASON_WEAK, "local" },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, VERIFY_REASON_WEAK, "local" },
	{ X509_V_ERR_CA_MD_TOO_WEAK, VERIFY_REASON_WEAK, "local" },
};

static void
note_openssl(struct search *s, int err, int depth)
{
	struct fault *at = &s->worst;
	size_t i;

	/* It may speak of a place where there is nothing. */
	if (depth < 0 || depth >= s->n)
		depth = 0;

	for (i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (errors[i].err == err) {
			note_fault(at, errors[i].reason, depth, errors[i].rule,
			    X509_verify_cert_error_string(err));
			return;
		}
	note_fault(at, VERIFY_REASON_PARSE, depth, "RFC 5280 4.2", X509_verify_cert_error_string(err));
}

/* OpenSSL's word on one thing that is wrong; it goes on, so that all are heard. */
static int
on_error(int ok, X509_STORE_CTX *ctx)
{
	struct search *s = X509_STORE_CTX_get_app_data(ctx);

	if (ok)
		return 1;
	note_openssl(s, X509_STORE_CTX_get_error(ctx), X509_STORE_CTX_get_error_depth(ctx));
	return 1;
}

/* Only the next certificate of the path is anybody's issuer; a root is its own. */
static int
is_next(X509_STORE_CTX *ctx, X509 *cert, X509 *issuer)
{
	const struct search *s = X509_STORE_CTX_get_app_data(ctx);
	int i;

	if (cert == issuer)
		return X509_check_issued(cert, cert) == X509_V_OK;
	for (i = 0; i + 1 < s->n; i++)
		if (s->path[i] == cert)
			return s->path[i + 1] == issuer;
	return 0;
}

static void
set_param(X509_STORE_CTX *ctx, const struct search *s)
{
	static const unsigned cn[] = {
		/* Constraints bind a common name where it may count as a host name. */
		[VERIFY_NAMES_CN_OR_SAN] = X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT,
		[VERIFY_NAMES_HOSTED] = 0,
		[VERIFY_NAMES_SAN] = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
	};
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_purpose(param, s->v->ca ? X509_PURPOSE_ANY :
	    s->v->client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_time(param, s->v->now);
	X509_VERIFY_PARAM_set_auth_level(param, PKIX_LEVEL);
	X509_VERIFY_PARAM_set_depth(param, PATH_MAX_CERTS);
	X509_VERIFY_PARAM_set_hostflags(param, cn[s->v->names]);
	/* Of a path of one that is pinned, or one that ends where it can; others end with a root. */
	if (s->n == 1 || s->v->own_top)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
}

/* The path in the order in which OpenSSL wants it: what is trusted, and what is between. */
static void
split_path(const struct search *s, STACK_OF(X509) **between, STACK_OF(X509) **root)
{
	int i;

	*between = sk_X509_new_null();
	*root = sk_X509_new_null();
	if (*between == NULL || *root == NULL || sk_X509_push(*root, s->path[s->n - 1]) == 0)
		alloc_failed();
	for (i = 1; i < s->n - 1; i++)
		if (sk_X509_push(*between, s->path[i]) == 0)
			alloc_failed();
}

static void
ask_openssl(struct search *s)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *between = NULL, *root = NULL;
	int rc, err;

	split_path(s, &between, &root);
	ossl_clear();
	if (ctx == NULL || X509_STORE_CTX_init(ctx, s->store, s->path[0], between) != 1) {
		s->broken = 1;
		goto out;
	}
	X509_STORE_CTX_set0_trusted_stack(ctx, root);
	X509_STORE_CTX_set_app_data(ctx, s);
	X509_STORE_CTX_set_verify_cb(ctx, on_error);
	set_param(ctx, s);
	rc = X509_verify_cert(ctx);
	err = X509_STORE_CTX_get_error(ctx);
	if (err == X509_V_ERR_OUT_OF_MEM)
		alloc_failed();
	/* It could not go on: a key that nobody can read, an extension that is none. */
	if (rc <= 0)
		note_openssl(s, err != X509_V_OK ? err : X509_V_ERR_UNSPECIFIED,
		    X509_STORE_CTX_get_error_depth(ctx));
out:
	X509_STORE_CTX_free(ctx);
	sk_X509_free(between);
	sk_X509_free(root);
	ossl_clear();
}

/* What OpenSSL does not look at, or is more lenient with than a mail server's peer should be. */
static void
check_cert(struct search *s, int i, int64_t leaf_not_before)
{
	X509 *cert = s->path[i];

	if (X509_get_extension_flags(cert) & EXFLAG_INVALID)
		note_fault(&s->worst, VERIFY_REASON_PARSE, i, "RFC 5280 4.2",
		    "an extension that cannot be read");
	/* Version 1 has no basicConstraints: such a root is nobody's issuer here. */
	if (i > 0 && !cert_is_ca(cert))
		note_fault(&s->worst, VERIFY_REASON_PURPOSE, i, "RFC 5280 6.1.4 (k)",
		    "not a CA's certificate");
	if (trust_distrusts(s->v->trust, cert, leaf_not_before))
		note_fault(&s->worst, VERIFY_REASON_DISTRUSTED, i, "local",
		    "distrusted by castore distrust");
}

/* ---- names ---- */

static void
add_cn(struct cert_names *names, const char *cn)
{
	size_t i;

	if (cn == NULL)
		return;
	for (i = 0; i < names->n; i++)
		if (text_case_eq(names->v[i], cn))
			return;
	names->v = xreallocarray(names->v, names->n + 1, sizeof *names->v);
	names->v[names->n++] = xstrdup(cn);
}

/* Those of the certificate that may be a reference identity's. */
static void
presented_names(const struct verify_pkix *v, const X509 *leaf, struct cert_names *names)
{
	char *cn = v->names == VERIFY_NAMES_SAN ? NULL : cert_cn(leaf);
	size_t i, n;

	cert_dns_names(leaf, names);
	if (v->names == VERIFY_NAMES_CN_OR_SAN)
		add_cn(names, cn);
	else if (v->names == VERIFY_NAMES_HOSTED)
		cert_names_or_cn(names, cn);
	free(cn);
	for (i = n = 0; i < names->n; i++)
		if (v->fqdn_check &&
		    !name_is_fqdn(names->v[i], NAME_WILDCARD | NAME_UNDERSCORE))
			free(names->v[i]);
		else
			names->v[n++] = names->v[i];
	names->n = n;
}

/* Sets *fits, which is borrowed, and returns 1 where one does. */
static int
find_name(const char *reference, const struct cert_names *names, const struct cert_names *addrs,
    const char **fits)
{
	int is_address = text_is_address(reference);
	const struct cert_names *among = is_address ? addrs : names;
	size_t i;

	for (i = 0; i < among->n; i++)
		if (is_address ? strcmp(reference, among->v[i]) == 0 :
		    name_matches(reference, among->v[i])) {
			*fits = among->v[i];
			return 1;
		}
	return 0;
}

/* Does the path let the reference identity be certified, whatever matched it?  X509_V_*. */
static int
constrained(const struct search *s, const char *reference)
{
	int i, err = X509_V_OK;

	if (text_is_address(reference))
		return X509_V_OK;
	for (i = 1; i < s->n && err == X509_V_OK; i++)
		err = constraint_of_host(s->path[i], reference);
	return err;
}

/* The first reference identity that a name fits and no constraint forbids; -1: none.  *err is
 * X509_V_OK, or what forbade one. */
static int
find_reference(const struct search *s, const struct cert_names *names,
    const struct cert_names *addrs, const char **fits, int *err)
{
	const struct verify_pkix *v = s->v;
	size_t i;
	int bad;

	*err = X509_V_OK;
	for (i = 0; i < v->nreference; i++) {
		if (!find_name(v->reference[i], names, addrs, fits))
			continue;
		if ((bad = constrained(s, v->reference[i])) == X509_V_OK)
			return i;
		*err = bad;
	}
	return -1;
}

/*
 * RFC 5280 4.2.1.10, RFC 9525 6: what OpenSSL does not hold against constraints, as a common name with
 * "*" or of one label, must not reach past them, nor a wildcard into an excluded subtree.
 */
static void
check_reach(struct search *s)
{
	struct cert_names names = CERT_NAMES_INIT, addrs = CERT_NAMES_INIT;
	const char *fits;
	int err;

	presented_names(s->v, s->path[0], &names);
	cert_ip_names(s->path[0], &addrs);
	if (find_reference(s, &names, &addrs, &fits, &err) == -1 && err != X509_V_OK)
		note_openssl(s, err, 0);
	cert_names_clear(&names);
	cert_names_clear(&addrs);
}

/* ---- the paths ---- */

/* A complete path.  Returns 1 where it is good. */
static int
judge(struct search *s)
{
	int64_t leaf_not_before = cert_not_before(s->path[0]);
	int i;

	s->judged++;
	s->worst = (struct fault){ .reason = VERIFY_REASON_NONE };
	ask_openssl(s);
	for (i = 0; i < s->n; i++)
		check_cert(s, i, leaf_not_before);
	check_reach(s);
	if (s->best.depth == -1 || order[s->worst.reason] > order[s->best.reason]) {
		X509_free(s->best.subject);
		s->best = s->worst;
		X509_up_ref(s->best.subject = s->path[s->worst.depth]);
	}
	return s->worst.reason == VERIFY_REASON_NONE;
}

static int
in_path(const struct search *s, const X509 *cert)
{
	int i;

	for (i = 0; i < s->n; i++)
		if (X509_cmp(s->path[i], cert) == 0)
			return 1;
	return 0;
}

/* Name and key identifiers fit.  A key usage that does not is found when the path is judged. */
static int
may_have_issued(X509 *issuer, X509 *cert)
{
	int err = X509_check_issued(issuer, cert);

	return err == X509_V_OK || err == X509_V_ERR_KEYUSAGE_NO_CERTSIGN ||
	    err == X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH;
}

static int
is_current(const struct search *s, const X509 *cert)
{
	return cert_not_before(cert) <= s->v->now && s->v->now <= cert_not_after(cert);
}

static void
path_push(struct search *s, X509 *cert)
{
	if (X509_up_ref(cert) != 1)
		alloc_failed();
	s->path[s->n++] = cert;
}

static void
path_pop(struct search *s)
{
	X509_free(s->path[--s->n]);
}

static int explore(struct search *);

/* Goes on with one issuer; -1: it is none, 0: that way leads nowhere, 1: to a good path. */
static int
try_issuer(struct search *s, X509 *issuer, int trusted)
{
	int found;

	if (s->n == PATH_MAX_CERTS || s->steps == STEPS_MAX || s->judged == PATHS_JUDGED_MAX ||
	    in_path(s, issuer) || !may_have_issued(issuer, s->path[s->n - 1]))
		return -1;
	s->steps++;
	path_push(s, issuer);
	found = trusted && X509_check_issued(issuer, issuer) == X509_V_OK ? judge(s) : explore(s);
	if (!found)
		path_pop(s);
	return found;
}

/* Those that are valid now first.  Returns 1 where a path is good; *any: there was an issuer. */
static int
try_all(struct search *s, STACK_OF(X509) *from, int first, int trusted, int *any)
{
	int round, i, found, n = sk_X509_num(from);

	if (n > SENT_MAX)
		n = SENT_MAX;
	for (round = 0; round < 2; round++)
		for (i = first; i < n; i++) {
			X509 *cert = sk_X509_value(from, i);

			if (is_current(s, cert) != (round == 0))
				continue;
			if ((found = try_issuer(s, cert, trusted)) == 1)
				return 1;
			*any |= found == 0;
		}
	return 0;
}

/* Looks for the issuer of the last certificate of the path: the trusted before what was sent. */
static int
explore(struct search *s)
{
	X509 *cert = s->path[s->n - 1];
	STACK_OF(X509) *listed =
	    trust_listed_by_subject(s->v->trust, X509_get_issuer_name(cert));
	int any = 0, found;

	found = try_all(s, listed, 0, 1, &any) || try_all(s, s->sent, 1, 0, &any);
	if (!found && !any && s->v->own_top && s->judged < PATHS_JUDGED_MAX)
		found = judge(s);
	if (!found && !any && s->n > s->end_depth) {
		X509_free(s->end);
		X509_up_ref(s->end = cert);
		s->end_depth = s->n;
	}
	cert_chain_free(listed);
	return found;
}

/* The leaf in the list itself is as good as a root above it (castore import --allow-leaf). */
static int
find_path(struct search *s)
{
	X509 *leaf = sk_X509_value(s->sent, 0);

	path_push(s, leaf);
	return (trust_has(s->v->trust, leaf) && judge(s)) || explore(s);
}

/* ---- what is told of names ---- */

static void
put_names(struct buf *b, const struct cert_names *names)
{
	size_t i;

	for (i = 0; i < names->n && i < NAMES_TOLD_MAX; i++) {
		buf_puts(b, i > 0 ? ", " : "");
		buf_escape(b, names->v[i], strlen(names->v[i]));
	}
	if (i < names->n)
		buf_printf(b, " and %zu more", names->n - i);
	if (names->n == 0)
		buf_puts(b, "none");
}

/* The index of the reference identity that a name fits, or -1; *why says which, or what there is. */
static int
check_names(const struct search *s, char **why)
{
	const struct verify_pkix *v = s->v;
	const X509 *leaf = s->path[0];
	struct cert_names names = CERT_NAMES_INIT, addrs = CERT_NAMES_INIT;
	const char *fits = "";
	struct buf b = BUF_INIT;
	int found, err;
	size_t i;

	presented_names(v, leaf, &names);
	cert_ip_names(leaf, &addrs);
	found = find_reference(s, &names, &addrs, &fits, &err);
	if (found != -1) {
		buf_puts(&b, "the certificate's name ");
		buf_escape(&b, fits, strlen(fits));
		buf_printf(&b, " is that of %s", v->reference[found]);
	} else {
		for (i = 0; i < v->nreference; i++)
			buf_printf(&b, "%s%s", i > 0 ? " or " : "no name is that of ", v->reference[i]);
		buf_puts(&b, "; the names that count are: ");
		put_names(&b, &names);
	}
	cert_names_clear(&names);
	cert_names_clear(&addrs);
	*why = buf_steal(&b);
	return found;
}

/* ---- the finding ---- */

static void
refuse(struct finding *out, enum verify_reason reason, int depth, const char *rule, char *why)
{
	out->result = VERIFY_NO_MATCH;
	out->reason = reason;
	out->depth = depth;
	out->rule = rule;
	out->why = why;
}

/* No path was complete. */
static void
tell_unknown(const struct search *s, struct finding *out)
{
	char *subject = cert_subject(s->end), *issuer = cert_issuer(s->end), *why;

	if (trust_size(s->v->trust) == 0)
		why = xstrdup("no list of CAs is enabled, or they are empty");
	else if (cert_is_self_signed(s->end))
		why = xasprintf("\"%s\" is self-signed and not in the list", subject);
	else
		why = xasprintf("the issuer of \"%s\", \"%s\", is neither in the list nor was it sent",
		    subject, issuer);
	refuse(out, VERIFY_REASON_UNKNOWN_CA, s->end_depth - 1, "RFC 5280 6.1", why);
	free(subject);
	free(issuer);
}

static void
tell_fault(const struct search *s, struct finding *out)
{
	const struct fault *at = &s->best;
	char *subject = at->subject != NULL ? cert_subject(at->subject) : xstrdup("");

	refuse(out, at->reason, at->depth, at->rule,
	    xasprintf("the certificate at depth %d, \"%s\": %s", at->depth, subject, at->text));
	free(subject);
}

static void
tell_path(const struct search *s, struct finding *out)
{
	char *why = NULL, *root;

	if (s->v->nreference > 0 && (out->reference = check_names(s, &why)) == -1) {
		refuse(out, VERIFY_REASON_NAME, 0,
		    s->v->names == VERIFY_NAMES_SAN ? "RFC 8461 4.2" : "RFC 6125 6.4", why);
		return;
	}
	root = cert_subject(s->path[s->n - 1]);
	out->result = VERIFY_MATCH;
	out->depth = s->n - 1;
	out->rule = why == NULL ? "RFC 5280 6.1" :
	    s->v->names == VERIFY_NAMES_SAN ? "RFC 8461 4.2" : "RFC 6125 6.4";
	out->why = xasprintf("chain to \"%s\"%s%s", root, why != NULL ? "; " : "",
	    why != NULL ? why : "");
	free(root);
	free(why);
}

static STACK_OF(X509) *
chain_of_path(const struct search *s)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	int i;

	if (chain == NULL)
		alloc_failed();
	for (i = 0; i < s->n; i++)
		if (X509_up_ref(s->path[i]) != 1 || sk_X509_push(chain, s->path[i]) == 0)
			alloc_failed();
	return chain;
}

/* What makes a leaf unfit for any judgement. */
static const char *
why_unreadable(STACK_OF(X509) *chain)
{
	X509 *leaf = sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : NULL;
	int bad_key;

	if (leaf == NULL)
		return "no certificate was sent";
	if (X509_get_extension_flags(leaf) & EXFLAG_INVALID)
		return "an extension cannot be read";
	bad_key = X509_get0_pubkey(leaf) == NULL;
	ossl_clear();
	return bad_key ? "the public key cannot be read" : NULL;
}

static void
search_clear(struct search *s)
{
	while (s->n > 0)
		path_pop(s);
	X509_free(s->end);
	X509_free(s->best.subject);
	X509_STORE_free(s->store);
}

int
verify_pkix(STACK_OF(X509) *chain, const struct verify_pkix *v, STACK_OF(X509) **verified,
    struct finding *out, struct fail *f)
{
	struct search s = { .v = v, .sent = chain, .best = { .depth = -1 } };
	const char *bad = why_unreadable(chain);
	int found;

	memset(out, 0, sizeof *out);
	out->matched = out->depth = out->reference = -1;
	if (verified != NULL)
		*verified = NULL;
	if (bad != NULL) {
		refuse(out, VERIFY_REASON_PARSE, 0, "RFC 5280 4.1", xstrdup(bad));
		return 0;
	}
	ossl_clear();
	if ((s.store = X509_STORE_new()) == NULL)
		return fail_ossl(f, FAIL_SYS, "verification");
	X509_STORE_set_check_issued(s.store, is_next);
	found = find_path(&s);
	if (s.broken)
		fail(f, FAIL_SYS, "OpenSSL cannot verify");
	else if (found)
		tell_path(&s, out);
	else if (s.best.depth == -1)
		tell_unknown(&s, out);
	else
		tell_fault(&s, out);
	if (found && out->result == VERIFY_MATCH && verified != NULL)
		*verified = chain_of_path(&s);
	search_clear(&s);
	return s.broken ? -1 : 0;
}
