#include "verify.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
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
	out->matched = out->depth = -1;
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
