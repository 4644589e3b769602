/*
 * Chains made here, held against TLSA records; what must come of them is written from RFC 7672 3,
 * RFC 7671 5 and 9, and RFC 6698 2.1.
 */
#include "verify.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"
#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW 1800000000LL
#define DAY 86400LL
#define HOST "mx.example.org"
#define CHAIN_MAX 6
#define RECORDS_MAX 4

/* ---- certificates ---- */

enum key { K_ROOT, K_INTER, K_INTER2, K_LEAF, K_OTHER, K_RSA1024, KEYS };

/* 0 ends a list of certificates or records. */
enum cert { END, ROOT, INTER, INTER_OLD, INTER_NO_CA, INTER_PATH0, INTER2, ROOT_NARROW, OTHER,
	LEAF, LEAF_OLD, LEAF_YOUNG, LEAF_ELSEWHERE, LEAF_DOMAIN, LEAF_WILD, LEAF_WILD_TOP,
	LEAF_WILD_PART, LEAF_CN, LEAF_CN_WILD, LEAF_CN_IP, LEAF_CN_OVERRULED, LEAF_CASE, LEAF_CLIENT,
	LEAF_BY_OLD, LEAF_BY_NO_CA, LEAF_BY_INTER2, LEAF_NARROW, LEAF_RSA1024, LEAF_ALONE, CERTS };

#define CA "critical,CA:TRUE"
#define SAN_HOST "DNS:" HOST
#define SAN_OTHER "DNS:other.test"

static const struct spec {
	const char *cn;
	enum cert issuer;	/* itself: self-signed */
	enum key key;
	const char *basic, *san, *eku, *constraints;
	int from, until;	/* days from NOW; both 0: a year around it */
} specs[CERTS] = {
	[ROOT] = { "root", ROOT, K_ROOT, .basic = CA },
	[INTER] = { "inter", ROOT, K_INTER, .basic = CA },
	[INTER_OLD] = { "inter", ROOT, K_INTER, .basic = CA, .from = -20, .until = -1 },
	[INTER_NO_CA] = { "inter", ROOT, K_INTER, .basic = "critical,CA:FALSE" },
	[INTER_PATH0] = { "inter", ROOT, K_INTER, .basic = CA ",pathlen:0" },
	[INTER2] = { "inter2", INTER_PATH0, K_INTER2, .basic = CA },
	[ROOT_NARROW] = { "narrow", ROOT_NARROW, K_OTHER, .basic = CA,
	    .constraints = "critical,permitted;DNS:other.test" },
	[OTHER] = { "other root", OTHER, K_OTHER, .basic = CA },
	[LEAF] = { "leaf", INTER, K_LEAF, .san = SAN_HOST },
	[LEAF_OLD] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .from = -20, .until = -1 },
	[LEAF_YOUNG] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .from = 1, .until = 20 },
	[LEAF_ELSEWHERE] = { "leaf", INTER, K_LEAF, .san = SAN_OTHER },
	[LEAF_DOMAIN] = { "leaf", INTER, K_LEAF, .san = "DNS:example.org" },
	[LEAF_WILD] = { "leaf", INTER, K_LEAF, .san = "DNS:*.example.org" },
	[LEAF_WILD_TOP] = { "leaf", INTER, K_LEAF, .san = "DNS:*.org" },
	[LEAF_WILD_PART] = { "leaf", INTER, K_LEAF, .san = "DNS:m*.example.org,DNS:*x.example.org" },
	[LEAF_CN] = { HOST, INTER, K_LEAF, .san = NULL },
	[LEAF_CN_WILD] = { "*.example.org", INTER, K_LEAF, .san = NULL },
	[LEAF_CN_IP] = { HOST, INTER, K_LEAF, .san = "IP:192.0.2.1" },
	[LEAF_CN_OVERRULED] = { HOST, INTER, K_LEAF, .san = SAN_OTHER },
	[LEAF_CASE] = { "leaf", INTER, K_LEAF, .san = "DNS:MX.Example.ORG" },
	[LEAF_CLIENT] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .eku = "clientAuth" },
	[LEAF_BY_OLD] = { "leaf", INTER_OLD, K_LEAF, .san = SAN_HOST },
	[LEAF_BY_NO_CA] = { "leaf", INTER_NO_CA, K_LEAF, .san = SAN_HOST },
	[LEAF_BY_INTER2] = { "leaf", INTER2, K_LEAF, .san = SAN_HOST },
	[LEAF_NARROW] = { "leaf", ROOT_NARROW, K_LEAF, .san = SAN_HOST },
	[LEAF_RSA1024] = { "leaf", INTER, K_RSA1024, .san = SAN_OTHER },
	[LEAF_ALONE] = { "alone", LEAF_ALONE, K_LEAF, .san = SAN_HOST },
};

static EVP_PKEY *keys[KEYS];
static X509 *certs[CERTS];

/* What OpenSSL cannot do here is no result of the test. */
static void
must(int ok)
{
	if (!ok)
		abort();
}

static void
make_keys(void)
{
	size_t i;

	for (i = 0; i < KEYS; i++) {
		keys[i] = i == K_RSA1024 ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256");
		must(keys[i] != NULL);
	}
}

static void
add_extension(X509 *c, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e;

	if (value == NULL)
		return;
	e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	must(e != NULL && X509_add_ext(c, e, -1));
	X509_EXTENSION_free(e);
}

static void
add_extensions(X509 *c, X509 *issuer, const struct spec *s)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, c, NULL, NULL, 0);
	add_extension(c, &ctx, NID_basic_constraints, s->basic);
	add_extension(c, &ctx, NID_subject_alt_name, s->san);
	add_extension(c, &ctx, NID_ext_key_usage, s->eku);
	add_extension(c, &ctx, NID_name_constraints, s->constraints);
}

static void
set_dates(X509 *c, const struct spec *s)
{
	int lasting = s->from == 0 && s->until == 0;

	must(ASN1_TIME_set(X509_getm_notBefore(c), NOW + DAY * (lasting ? -180 : s->from)) != NULL);
	must(ASN1_TIME_set(X509_getm_notAfter(c), NOW + DAY * (lasting ? 180 : s->until)) != NULL);
}

static X509 *
make_cert(const struct spec *s, long serial)
{
	const struct spec *by = &specs[s->issuer];
	X509 *c = X509_new();

	must(c != NULL && X509_set_version(c, X509_VERSION_3));
	must(ASN1_INTEGER_set(X509_get_serialNumber(c), serial));
	must(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
	    (const unsigned char *)s->cn, -1, -1, 0));
	must(X509_NAME_add_entry_by_txt(X509_get_issuer_name(c), "CN", MBSTRING_UTF8,
	    (const unsigned char *)by->cn, -1, -1, 0));
	must(X509_set_pubkey(c, keys[s->key]));
	set_dates(c, s);
	add_extensions(c, c, s);
	must(X509_sign(c, keys[by->key], EVP_sha256()));
	return c;
}

static void
make_certs(void)
{
	size_t i;

	for (i = END + 1; i < CERTS; i++)
		certs[i] = make_cert(&specs[i], i);
}

/* ---- one case ---- */

struct record {
	enum cert of;
	uint8_t usage, selector, mtype;
	int wrong;		/* of the right length, of nothing known */
};

struct row {
	const char *name;
	enum cert chain[CHAIN_MAX];
	struct record records[RECORDS_MAX];
	const char *base;	/* NULL: HOST */
	const char *more;	/* a further reference name, or NULL */
	enum verify_result result;
	const char *uses;	/* of the records, in their order */
	int depth;		/* of the match */
	const char *rule;
	const char *why;	/* contained in the reason */
};

#define EE VERIFY_MATCH, "used", 0, "RFC 7672 3.1.1"
#define TA(depth) VERIFY_MATCH, "used", depth, "RFC 7672 3.1.2"
#define DEAD VERIFY_NO_MATCH, "dead", -1, "RFC 7672 2.2"
#define FITS(rule) VERIFY_NO_MATCH, "standby", -1, rule
#define NONE_MATCHES "no TLSA record of " HOST " matches: the server shows 3 1 1 "
#define BADLY(record) "TLSA " record " of " HOST " fits the chain, but the certificate at depth 0 fails: "
#define FULL { LEAF, INTER, ROOT }

static const struct row rows[] = {
	/* Usage 3: every selector and matching type (RFC 6698 2.1.2, 2.1.3). */
	{ "3 0 0", { LEAF }, { { LEAF, 3, 0, 0, 0 } }, NULL, NULL, EE,
	    "TLSA 3 0 0 of " HOST " matches the server's own certificate" },
	{ "3 0 1", { LEAF }, { { LEAF, 3, 0, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 0 1 of " HOST " matches the server's own certificate" },
	{ "3 0 2", { LEAF }, { { LEAF, 3, 0, 2, 0 } }, NULL, NULL, EE,
	    "TLSA 3 0 2 of " HOST " matches the server's own certificate" },
	{ "3 1 0", { LEAF }, { { LEAF, 3, 1, 0, 0 } }, NULL, NULL, EE,
	    "TLSA 3 1 0 of " HOST " matches the server's own key" },
	{ "3 1 1", { LEAF }, { { LEAF, 3, 1, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 1 1 of " HOST " matches the server's own key" },
	{ "3 1 2", { LEAF }, { { LEAF, 3, 1, 2, 0 } }, NULL, NULL, EE,
	    "TLSA 3 1 2 of " HOST " matches the server's own key" },
	/* Dates, names, strength and signatures do not matter there (RFC 7672 3.1.1). */
	{ "3, expired", { LEAF_OLD }, { { LEAF_OLD, 3, 0, 1, 0 } }, NULL, NULL, EE, "TLSA 3 0 1" },
	{ "3, not yet valid", { LEAF_YOUNG }, { { LEAF_YOUNG, 3, 0, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 0 1" },
	{ "3, other name", { LEAF_ELSEWHERE }, { { LEAF_ELSEWHERE, 3, 0, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 0 1" },
	{ "3, RSA-1024", { LEAF_RSA1024 }, { { LEAF_RSA1024, 3, 1, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 1 1" },
	{ "3, self-signed", { LEAF_ALONE }, { { LEAF_ALONE, 3, 1, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 1 1" },
	{ "3, client only", { LEAF_CLIENT }, { { LEAF_CLIENT, 3, 1, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 1 1" },
	{ "3, expired intermediate", { LEAF_BY_OLD, INTER_OLD, ROOT }, { { LEAF, 3, 1, 1, 0 } }, NULL,
	    NULL, EE, "TLSA 3 1 1" },
	{ "3, renewed with the same key", { LEAF_DOMAIN }, { { LEAF, 3, 1, 1, 0 } }, NULL, NULL, EE,
	    "TLSA 3 1 1" },
	{ "3, padded", { LEAF, OTHER, ROOT }, { { LEAF, 3, 1, 1, 0 } }, NULL, NULL, EE, "TLSA 3 1 1" },
	{ "3, another certificate", { LEAF }, { { LEAF_DOMAIN, 3, 0, 1, 0 } }, NULL, NULL, DEAD,
	    NONE_MATCHES },
	{ "3, another key", { LEAF }, { { OTHER, 3, 1, 1, 0 } }, NULL, NULL, DEAD, NONE_MATCHES },
	{ "3 does not mean the issuer", FULL, { { INTER, 3, 1, 1, 0 } }, NULL, NULL, DEAD,
	    NONE_MATCHES },
	/* Usage 2: root sent. */
	{ "2 0 1", FULL, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL, TA(2),
	    "TLSA 2 0 1 of " HOST " matches a trust anchor at depth 2" },
	{ "2 0 2", FULL, { { ROOT, 2, 0, 2, 0 } }, NULL, NULL, TA(2), "TLSA 2 0 2" },
	{ "2 1 1", FULL, { { ROOT, 2, 1, 1, 0 } }, NULL, NULL, TA(2), "TLSA 2 1 1" },
	{ "2 1 2", FULL, { { ROOT, 2, 1, 2, 0 } }, NULL, NULL, TA(2), "TLSA 2 1 2" },
	{ "2 0 0", FULL, { { ROOT, 2, 0, 0, 0 } }, NULL, NULL, TA(2), "TLSA 2 0 0" },
	{ "2 1 0", FULL, { { ROOT, 2, 1, 0, 0 } }, NULL, NULL, TA(2), "TLSA 2 1 0" },
	{ "2 of the intermediate", FULL, { { INTER, 2, 1, 1, 0 } }, NULL, NULL, TA(1),
	    "TLSA 2 1 1 of " HOST " matches a trust anchor at depth 1" },
	{ "2 of the intermediate, no root", { LEAF, INTER }, { { INTER, 2, 0, 1, 0 } }, NULL, NULL,
	    TA(1), "TLSA 2 0 1" },
	/* Root not sent: only a full record can supply it (RFC 7671 5.2.2, 5.2.3). */
	{ "2 0 0, root not sent", { LEAF, INTER }, { { ROOT, 2, 0, 0, 0 } }, NULL, NULL, TA(2),
	    "TLSA 2 0 0" },
	{ "2 1 0, root not sent", { LEAF, INTER }, { { ROOT, 2, 1, 0, 0 } }, NULL, NULL, TA(2),
	    "TLSA 2 1 0" },
	{ "2 0 1, root not sent", { LEAF, INTER }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL, DEAD,
	    NONE_MATCHES },
	{ "2 1 1, root not sent", { LEAF, INTER }, { { ROOT, 2, 1, 1, 0 } }, NULL, NULL, DEAD,
	    NONE_MATCHES },
	{ "2 0 0, nothing but the leaf sent", { LEAF }, { { INTER, 2, 0, 0, 0 } }, NULL, NULL, TA(1),
	    "TLSA 2 0 0" },
	{ "2 0 0, gap below the root", { LEAF }, { { ROOT, 2, 0, 0, 0 } }, NULL, NULL, DEAD,
	    NONE_MATCHES },
	/* Usage 2: dates, names, and what RFC 5280 6 asks of a path. */
	{ "2, expired leaf", { LEAF_OLD, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL,
	    FITS("RFC 7672 3.1.2"), BADLY("2 0 1") "certificate has expired" },
	{ "2, leaf not yet valid", { LEAF_YOUNG, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL,
	    FITS("RFC 7672 3.1.2"), "depth 0 fails: certificate is not yet valid" },
	{ "2, expired intermediate", { LEAF_BY_OLD, INTER_OLD, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL,
	    NULL, FITS("RFC 7672 3.1.2"), "depth 1 fails: certificate has expired" },
	{ "2 0 0, expired leaf, root not sent", { LEAF_OLD, INTER }, { { ROOT, 2, 0, 0, 0 } }, NULL,
	    NULL, FITS("RFC 7672 3.1.2"), BADLY("2 0 0") "certificate has expired" },
	{ "2 1 0, expired leaf, root not sent", { LEAF_OLD, INTER }, { { ROOT, 2, 1, 0, 0 } }, NULL,
	    NULL, FITS("RFC 7672 3.1.2"), BADLY("2 1 0") "certificate has expired" },
	{ "2, path too long", { LEAF_BY_INTER2, INTER2, INTER_PATH0, ROOT }, { { ROOT, 2, 0, 1, 0 } },
	    NULL, NULL, FITS("RFC 7672 3.1.2"), "path length constraint exceeded" },
	{ "2, path too long for the anchor", { LEAF_BY_INTER2, INTER2, INTER_PATH0 },
	    { { INTER_PATH0, 2, 0, 1, 0 } }, NULL, NULL, FITS("RFC 7672 3.1.2"),
	    "path length constraint exceeded" },
	{ "2, intermediate is no CA", { LEAF_BY_NO_CA, INTER_NO_CA, ROOT }, { { ROOT, 2, 0, 1, 0 } },
	    NULL, NULL, FITS("RFC 7672 3.1.2"), "depth 1 fails: invalid CA certificate" },
	{ "2, client only", { LEAF_CLIENT, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL,
	    FITS("RFC 7672 3.1.2"), "depth 0 fails: unsuitable certificate purpose" },
	{ "2, name outside the constraints", { LEAF_NARROW, ROOT_NARROW }, { { ROOT_NARROW, 2, 0, 1, 0 } },
	    NULL, NULL, FITS("RFC 7672 3.1.2"), "permitted subtree violation" },
	{ "2, other name", { LEAF_ELSEWHERE, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL,
	    FITS("RFC 7672 3.2.2"), "TLSA 2 0 1 of " HOST " fits the chain, but" },
	/* Reference names (RFC 7672 3.2.2, 3.2.3). */
	{ "2, the next-hop domain's name", { LEAF_DOMAIN, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL,
	    "example.org", TA(2), "TLSA 2 0 1" },
	{ "2, that name unasked", { LEAF_DOMAIN, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL,
	    FITS("RFC 7672 3.2.2"), "fails: hostname mismatch" },
	{ "2, base name beside a further one", FULL, { { ROOT, 2, 0, 1, 0 } }, NULL, "example.org",
	    TA(2), "TLSA 2 0 1" },
	{ "2, neither name", { LEAF_ELSEWHERE, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL,
	    "example.org", FITS("RFC 7672 3.2.2"), "fails: hostname mismatch" },
	{ "2, wildcard", { LEAF_WILD, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL, TA(2), "TLSA 2 0 1" },
	{ "2, wildcard covers one label", { LEAF_WILD, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } },
	    "a." HOST, NULL, FITS("RFC 7672 3.2.2"), "fails: hostname mismatch" },
	{ "2, wildcard does not cover its parent", { LEAF_WILD, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } },
	    "example.org", NULL, FITS("RFC 7672 3.2.2"), "fails: hostname mismatch" },
	{ "2, wildcard of a top-level domain", { LEAF_WILD_TOP, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } },
	    NULL, NULL, FITS("RFC 7672 3.2.2"), "fails: hostname mismatch" },
	{ "2, wildcard of part of a label", { LEAF_WILD_PART, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } },
	    NULL, NULL, FITS("RFC 7672 3.2.2"), "fails: hostname mismatch" },
	{ "2, CN without SAN", { LEAF_CN, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL, TA(2), "TLSA 2 0 1" },
	{ "2, wildcard CN without SAN", { LEAF_CN_WILD, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL,
	    NULL, TA(2), "TLSA 2 0 1" },
	{ "2, CN beside an address SAN", { LEAF_CN_IP, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL,
	    NULL, TA(2), "TLSA 2 0 1" },
	{ "2, CN beside another dNSName", { LEAF_CN_OVERRULED, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } },
	    NULL, NULL, FITS("RFC 7672 3.2.2"), "fails: hostname mismatch" },
	{ "2, case", { LEAF_CASE, INTER, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL, TA(2), "TLSA 2 0 1" },
	/* Order and padding. */
	{ "2, shuffled", { LEAF, ROOT, INTER }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL, TA(2), "TLSA 2 0 1" },
	{ "2, padded", { LEAF, OTHER, INTER, LEAF_ALONE, ROOT }, { { ROOT, 2, 0, 1, 0 } }, NULL, NULL,
	    TA(2), "TLSA 2 0 1" },
	{ "2 of an unrelated CA", { LEAF, INTER, ROOT, OTHER }, { { OTHER, 2, 0, 1, 0 } }, NULL, NULL,
	    FITS("RFC 7672 2.2"), NONE_MATCHES },
	{ "2 1 1 of an unrelated CA", { LEAF, OTHER }, { { OTHER, 2, 1, 1, 0 } }, NULL, NULL,
	    FITS("RFC 7672 2.2"), NONE_MATCHES },
	{ "2 0 0 of an unrelated CA", FULL, { { OTHER, 2, 0, 0, 0 } }, NULL, NULL, DEAD, NONE_MATCHES },
	{ "2 1 0 of an unrelated key", FULL, { { OTHER, 2, 1, 0, 0 } }, NULL, NULL, DEAD, NONE_MATCHES },
	{ "2 does not mean the leaf", FULL, { { LEAF, 2, 1, 1, 0 } }, NULL, NULL, DEAD, NONE_MATCHES },
	{ "2 does not mean a leaf alone", { LEAF_ALONE }, { { LEAF_ALONE, 2, 0, 1, 0 } }, NULL, NULL,
	    DEAD, NONE_MATCHES },
	/* Several records: any one will do; RFC 7671 9 picks among digests. */
	{ "311 wrong, 312 right", { LEAF }, { { LEAF, 3, 1, 1, 1 }, { LEAF, 3, 1, 2, 0 } }, NULL, NULL,
	    VERIFY_MATCH, "passed-over used", 0, "RFC 7672 3.1.1", "TLSA 3 1 2" },
	{ "311 right, 312 wrong", { LEAF }, { { LEAF, 3, 1, 1, 0 }, { LEAF, 3, 1, 2, 1 } }, NULL, NULL,
	    VERIFY_NO_MATCH, "passed-over dead", -1, "RFC 7672 2.2", NONE_MATCHES },
	{ "311 right, 302 wrong", { LEAF }, { { LEAF, 3, 1, 1, 0 }, { LEAF, 3, 0, 2, 1 } }, NULL, NULL,
	    VERIFY_MATCH, "used dead", 0, "RFC 7672 3.1.1", "TLSA 3 1 1" },
	{ "311 right, 212 wrong", { LEAF }, { { LEAF, 3, 1, 1, 0 }, { LEAF, 2, 1, 2, 1 } }, NULL, NULL,
	    VERIFY_MATCH, "used dead", 0, "RFC 7672 3.1.1", "TLSA 3 1 1" },
	{ "310 right, 312 wrong", { LEAF }, { { LEAF, 3, 1, 0, 0 }, { LEAF, 3, 1, 2, 1 } }, NULL, NULL,
	    VERIFY_MATCH, "used dead", 0, "RFC 7672 3.1.1", "TLSA 3 1 0" },
	{ "201 right, 202 wrong", FULL, { { ROOT, 2, 0, 1, 0 }, { ROOT, 2, 0, 2, 1 } }, NULL, NULL,
	    VERIFY_NO_MATCH, "passed-over dead", -1, "RFC 7672 2.2", NONE_MATCHES },
	{ "current and next key", { LEAF }, { { OTHER, 3, 1, 1, 0 }, { LEAF, 3, 1, 1, 0 } }, NULL, NULL,
	    VERIFY_MATCH, "dead used", 0, "RFC 7672 3.1.1", "TLSA 3 1 1" },
	{ "3 dead, 2 good", FULL, { { OTHER, 3, 1, 1, 0 }, { ROOT, 2, 1, 1, 0 } }, NULL, NULL,
	    VERIFY_MATCH, "dead used", 2, "RFC 7672 3.1.2", "TLSA 2 1 1" },
	{ "2 broken by dates, 3 good", { LEAF_OLD, INTER, ROOT }, { { ROOT, 2, 1, 1, 0 },
	    { LEAF, 3, 1, 1, 0 } }, NULL, NULL, VERIFY_MATCH, "standby used", 0, "RFC 7672 3.1.1",
	    "TLSA 3 1 1" },
	{ "2 and 3 good", FULL, { { ROOT, 2, 1, 1, 0 }, { LEAF, 3, 1, 1, 0 } }, NULL, NULL, VERIFY_MATCH,
	    "standby used", 0, "RFC 7672 3.1.1", "TLSA 3 1 1" },
	/* Unusable ones neither help nor harm (RFC 7672 3.1.3). */
	{ "usage 1 among usable", { LEAF }, { { LEAF, 1, 1, 1, 0 }, { LEAF, 3, 1, 1, 0 } }, NULL, NULL,
	    VERIFY_MATCH, "unusable used", 0, "RFC 7672 3.1.1", "TLSA 3 1 1" },
	{ "usage 1 right, 311 wrong", { LEAF }, { { LEAF, 1, 1, 1, 0 }, { LEAF, 3, 1, 1, 1 } }, NULL,
	    NULL, VERIFY_NO_MATCH, "unusable dead", -1, "RFC 7672 2.2", NONE_MATCHES },
	{ "usage 0 right, alone", FULL, { { ROOT, 0, 0, 1, 0 } }, NULL, NULL, VERIFY_NO_MATCH,
	    "unusable", -1, "RFC 7672 2.2", NONE_MATCHES },
	{ "no records", { LEAF }, { { END, 0, 0, 0, 0 } }, NULL, NULL, VERIFY_NO_MATCH, "", -1,
	    "RFC 7672 2.2", NONE_MATCHES },
	/* Nothing sent. */
	{ "empty chain", { END }, { { LEAF, 3, 1, 1, 0 } }, NULL, NULL, DEAD,
	    "the server sent no certificate" },
};

static STACK_OF(X509) *
chain_of(const struct row *r)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	size_t i;

	for (i = 0; i < CHAIN_MAX && r->chain[i] != END; i++)
		must(sk_X509_push(chain, certs[r->chain[i]]) > 0);
	return chain;
}

static size_t
records_of(const struct row *r, struct tlsa out[RECORDS_MAX])
{
	struct fail f = FAIL_INIT;
	size_t n;

	for (n = 0; n < RECORDS_MAX && r->records[n].of != END; n++) {
		const struct record *rec = &r->records[n];

		must(tlsa_of_cert(&out[n], rec->usage, rec->selector, rec->mtype, certs[rec->of], &f) == 0);
		if (rec->wrong)
			out[n].data[0] ^= 1;
	}
	return n;
}

static void
records_clear(struct tlsa *t, size_t n)
{
	while (n > 0)
		tlsa_clear(&t[--n]);
}

static void
uses_text(struct buf *b, const struct finding *found)
{
	size_t i;

	buf_printf(b, "%s", "");
	for (i = 0; i < found->nuse; i++)
		buf_printf(b, "%s%s", i > 0 ? " " : "", verify_use_name(found->use[i]));
}

static int
index_of_used(const struct finding *found)
{
	size_t i;

	for (i = 0; i < found->nuse; i++)
		if (found->use[i] == VERIFY_USE_MATCHED)
			return i;
	return -1;
}

static void
compare(const struct row *r, const struct finding *found)
{
	struct buf uses = BUF_INIT;

	uses_text(&uses, found);
	unit_int(found->result, r->result, "%s: result", r->name);
	unit_str(uses.p, r->uses, "%s: uses", r->name);
	unit_int(found->depth, r->depth, "%s: depth", r->name);
	unit_int(found->matched, index_of_used(found), "%s: index of the match", r->name);
	unit_str(found->rule, r->rule, "%s: rule", r->name);
	unit_ok(strstr(found->why, r->why) != NULL, "%s: why: %s", r->name, found->why);
	buf_clear(&uses);
}

static void
run_row(const struct row *r)
{
	const char *names[] = { r->more };
	struct tlsa records[RECORDS_MAX];
	struct verify_dane v = { .tlsa = records, .base = r->base != NULL ? r->base : HOST,
		.names = names, .nnames = r->more != NULL, .now = NOW };
	STACK_OF(X509) *chain = chain_of(r);
	struct finding found;
	struct fail f = FAIL_INIT;

	v.ntlsa = records_of(r, records);
	unit_int(verify_dane(chain, &v, &found, &f), 0, "%s: %s", r->name, f.text);
	compare(r, &found);
	finding_clear(&found);
	records_clear(records, v.ntlsa);
	sk_X509_free(chain);
}

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < COUNT(rows); i++)
		run_row(&rows[i]);
}

/* ---- what rows do not say ---- */

static void
test_no_chain(void)
{
	struct verify_dane v = { .base = HOST, .now = NOW };
	struct finding found;
	struct fail f = FAIL_INIT;

	unit_int(verify_dane(NULL, &v, &found, &f), 0, "no chain at all is a finding");
	unit_int(found.result, VERIFY_NO_MATCH, "no chain at all does not match");
	finding_clear(&found);
	unit_ok(found.why == NULL && found.use == NULL, "a cleared finding holds nothing");
}

/* The clock is the argument: the same chain, years before and after. */
static void
test_time(void)
{
	static const struct {
		int days;
		enum verify_result want;
	} times[] = { { -181, VERIFY_NO_MATCH }, { -179, VERIFY_MATCH }, { 0, VERIFY_MATCH },
		{ 179, VERIFY_MATCH }, { 181, VERIFY_NO_MATCH } };
	struct row r = { .chain = FULL, .records = { { ROOT, 2, 0, 1, 0 } } };
	struct tlsa records[RECORDS_MAX];
	struct verify_dane v = { .tlsa = records, .base = HOST, .ntlsa = records_of(&r, records) };
	STACK_OF(X509) *chain = chain_of(&r);
	struct finding found;
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < COUNT(times); i++) {
		v.now = NOW + times[i].days * DAY;
		unit_int(verify_dane(chain, &v, &found, &f), 0, "day %d: verified", times[i].days);
		unit_int(found.result, times[i].want, "day %d: result", times[i].days);
		finding_clear(&found);
	}
	records_clear(records, v.ntlsa);
	sk_X509_free(chain);
}

/* What one verification leaves behind must not change the next. */
static void
test_again(void)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		run_row(&rows[0]);
		run_row(&rows[COUNT(rows) - 1]);
	}
}

int
main(void)
{
	size_t i;

	make_keys();
	make_certs();
	test_rows();
	test_no_chain();
	test_time();
	test_again();
	for (i = 0; i < CERTS; i++)
		X509_free(certs[i]);
	for (i = 0; i < KEYS; i++)
		EVP_PKEY_free(keys[i]);
	return unit_done();
}
