/*
 * Chains made here, held against trusted CAs and names by verify_pkix(); what must come of them is
 * written from RFC 5280 4.2 and 6.1, RFC 6125 6.4, RFC 8461 4.2 and the order of reasons in
 * castore(1).
 */
#include "verify.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "pem.h"
#include "text.h"
#include "unit.h"

#define NOW 1800000000LL
#define DAY 86400LL
#define HOST "mx.example.org"
#define CHAIN_MAX 8

/* ---- certificates ---- */

enum key { K_ROOT, K_ROOT2, K_TWIN, K_INTER, K_INTER2, K_LEAF, K_OTHER, K_RSA2048, K_RSA1024,
	K_EC192, K_ED25519, KEYS };

/* 0 ends a list. */
enum cert { END, ROOT, ROOT_OLD, ROOT_YOUNG, ROOT_V1, ROOT_NO_CA, ROOT_SHA1, ROOT_WEAK, ROOT_NARROW,
	ROOT_TWIN, ROOT2, ROOT_PATH0, CROSS, CROSS_OLD, INTER, INTER_OLD, INTER_YOUNG, INTER_NO_CA,
	INTER_NO_BASIC, INTER_PATH0, INTER_NO_SIGN, INTER_CLIENT, INTER_SERVER, INTER_WEAK,
	INTER_SHA1, INTER_BY2, INTER_NARROW, INTER_DIR, INTER_NONE, INTER_FORGED, INTER2,
	INTER2_FREE, INTER_SELF_ISSUED, INTER_RP0, INTER_RSA, LEAF, LEAF_OLD, LEAF_YOUNG, LEAF_OLD_OTHER,
	LEAF_OTHER, LEAF_DOMAIN, LEAF_WILD, LEAF_WILD_TOP, LEAF_WILD_PART, LEAF_CN, LEAF_CN_WILD,
	LEAF_CN_OTHER_SAN, LEAF_SAN_OTHER_CN, LEAF_CN_IP_SAN, LEAF_NUL, LEAF_CN_NUL, LEAF_CASE,
	LEAF_IP, LEAF_SHORT, LEAF_SHORT_CN, LEAF_NO_NAME, LEAF_SERVER, LEAF_CLIENT, LEAF_MAIL,
	LEAF_ANY, LEAF_KU_SIGN, LEAF_KU_CRL, LEAF_CRITICAL, LEAF_BAD_SAN, LEAF_RSA2048, LEAF_RSA1024,
	LEAF_EC192, LEAF_ED25519, LEAF_SHA1, LEAF_MD5, LEAF_FORGED, LEAF_FORGED_OLD,
	LEAF_BY_INTER2, LEAF_BY_RP0, LEAF_BY_ROOT_NARROW, LEAF_OTHER_NARROW, LEAF_BY_PATH0,
	LEAF_BY_WEAK, LEAF_DIR, LEAF_BY_LEAF, LEAF_V1, LEAF_CA, ALONE, ALONE_OLD, ALONE_V1,
	ALONE_OTHER, BY_ALONE, BY_V1, BY_UNKNOWN, INTER_NO_MX, LEAF_CN_WILD_SAN, LEAF_CN_DOT_SAN,
	LEAF_CN_SHORT_SAN, LEAF_CN_WILD_MAIL, LEAF_DOT, CERTS };

#define CA "critical,CA:TRUE"
#define SAN_HOST "DNS:" HOST
#define SAN_OTHER "DNS:other.test"
#define PAST .from = -20, .until = -1
#define FUTURE .from = 1, .until = 20

static const struct spec {
	const char *cn;		/* NULL: an empty subject */
	enum cert issuer;	/* itself: self-signed */
	enum key key;
	const char *basic, *san, *eku, *usage, *constraints;
	int from, until;	/* days from NOW; both 0: a year around it */
	enum { D_SHA256, D_SHA1, D_MD5 } digest;
	int v1, forged, ids;	/* ids: key identifiers, by which self-issued is not self-signed */
	int cn_len;		/* where there is a NUL in it */
	const char *odd;	/* a critical extension of this OID, or with a broken SAN "san" */
} specs[CERTS] = {
	[ROOT] = { "root", ROOT, K_ROOT, .basic = CA },
	[ROOT_OLD] = { "root", ROOT, K_ROOT, .basic = CA, PAST },
	[ROOT_YOUNG] = { "root", ROOT, K_ROOT, .basic = CA, FUTURE },
	[ROOT_V1] = { "root", ROOT, K_ROOT, .v1 = 1 },
	[ROOT_NO_CA] = { "root", ROOT, K_ROOT, .basic = "critical,CA:FALSE" },
	[ROOT_SHA1] = { "root", ROOT, K_ROOT, .basic = CA, .digest = D_SHA1 },
	[ROOT_WEAK] = { "weak root", ROOT_WEAK, K_RSA1024, .basic = CA },
	[ROOT_NARROW] = { "root", ROOT, K_ROOT, .basic = CA,
	    .constraints = "critical,permitted;DNS:example.org" },
	[ROOT_TWIN] = { "root", ROOT_TWIN, K_TWIN, .basic = CA },
	[ROOT2] = { "second root", ROOT2, K_ROOT2, .basic = CA },
	[ROOT_PATH0] = { "root", ROOT, K_ROOT, .basic = CA ",pathlen:0" },
	[CROSS] = { "root", ROOT2, K_ROOT, .basic = CA },
	[CROSS_OLD] = { "root", ROOT2, K_ROOT, .basic = CA, PAST },
	[INTER] = { "inter", ROOT, K_INTER, .basic = CA },
	[INTER_OLD] = { "inter", ROOT, K_INTER, .basic = CA, PAST },
	[INTER_YOUNG] = { "inter", ROOT, K_INTER, .basic = CA, FUTURE },
	[INTER_NO_CA] = { "inter", ROOT, K_INTER, .basic = "critical,CA:FALSE" },
	[INTER_NO_BASIC] = { "inter", ROOT, K_INTER, .usage = "critical,keyCertSign" },
	[INTER_PATH0] = { "inter", ROOT, K_INTER, .basic = CA ",pathlen:0" },
	[INTER_NO_SIGN] = { "inter", ROOT, K_INTER, .basic = CA,
	    .usage = "critical,digitalSignature" },
	[INTER_CLIENT] = { "inter", ROOT, K_INTER, .basic = CA, .eku = "clientAuth" },
	[INTER_SERVER] = { "inter", ROOT, K_INTER, .basic = CA, .eku = "serverAuth" },
	[INTER_WEAK] = { "weak", ROOT, K_RSA1024, .basic = CA },
	[INTER_SHA1] = { "inter", ROOT, K_INTER, .basic = CA, .digest = D_SHA1 },
	[INTER_BY2] = { "inter", ROOT2, K_INTER, .basic = CA },
	[INTER_NARROW] = { "inter", ROOT, K_INTER, .basic = CA,
	    .constraints = "critical,permitted;DNS:example.org" },
	[INTER_DIR] = { "inter", ROOT, K_INTER, .basic = CA,
	    .constraints = "critical,excluded;DNS:example.org" },
	[INTER_NONE] = { "inter", ROOT, K_INTER, .basic = CA,
	    .constraints = "critical,permitted;IP:192.0.2.0/255.255.255.0" },
	[INTER_FORGED] = { "inter", ROOT, K_INTER, .basic = CA, .forged = 1 },
	[INTER2] = { "inter2", INTER_PATH0, K_INTER2, .basic = CA },
	[INTER2_FREE] = { "inter2", INTER, K_INTER2, .basic = CA },
	[INTER_SELF_ISSUED] = { "inter", INTER_PATH0, K_OTHER, .basic = CA, .ids = 1 },
	[INTER_RP0] = { "inter2", INTER, K_INTER2, .basic = CA ",pathlen:0" },
	[INTER_RSA] = { "inter rsa", ROOT, K_RSA2048, .basic = CA },
	[LEAF] = { "leaf", INTER, K_LEAF, .san = SAN_HOST },
	[LEAF_OLD] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, PAST },
	[LEAF_YOUNG] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, FUTURE },
	[LEAF_OLD_OTHER] = { "leaf", INTER, K_LEAF, .san = SAN_OTHER, PAST },
	[LEAF_OTHER] = { "leaf", INTER, K_LEAF, .san = SAN_OTHER },
	[LEAF_DOMAIN] = { "leaf", INTER, K_LEAF, .san = "DNS:example.org" },
	[LEAF_WILD] = { "leaf", INTER, K_LEAF, .san = "DNS:*.example.org" },
	[LEAF_WILD_TOP] = { "leaf", INTER, K_LEAF, .san = "DNS:*.org" },
	[LEAF_WILD_PART] = { "leaf", INTER, K_LEAF, .san = "DNS:m*.example.org,DNS:*x.example.org" },
	[LEAF_CN] = { HOST, INTER, K_LEAF, .san = NULL },
	[LEAF_CN_WILD] = { "*.example.org", INTER, K_LEAF, .san = NULL },
	[LEAF_CN_OTHER_SAN] = { HOST, INTER, K_LEAF, .san = SAN_OTHER },
	[LEAF_SAN_OTHER_CN] = { "other.test", INTER, K_LEAF, .san = SAN_HOST },
	[LEAF_CN_IP_SAN] = { HOST, INTER, K_LEAF, .san = "IP:192.0.2.1" },
	[LEAF_NUL] = { "leaf", INTER, K_LEAF, .odd = "nul" },
	[LEAF_CN_NUL] = { HOST "\0.evil.test", INTER, K_LEAF, .cn_len = sizeof HOST ".evil.test" },
	[LEAF_CASE] = { "leaf", INTER, K_LEAF, .san = "DNS:MX.Example.ORG" },
	[LEAF_IP] = { "leaf", INTER, K_LEAF, .san = "IP:192.0.2.1,IP:2001:db8::1" },
	[LEAF_SHORT] = { "leaf", INTER, K_LEAF, .san = "DNS:mx" },
	[LEAF_SHORT_CN] = { "mx", INTER, K_LEAF, .san = NULL },
	[LEAF_NO_NAME] = { NULL, INTER, K_LEAF, .san = NULL },
	[LEAF_SERVER] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .eku = "serverAuth" },
	[LEAF_CLIENT] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .eku = "clientAuth" },
	[LEAF_MAIL] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .eku = "emailProtection" },
	[LEAF_ANY] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .eku = "2.5.29.37.0" },
	[LEAF_KU_SIGN] = { "leaf", INTER, K_LEAF, .san = SAN_HOST,
	    .usage = "critical,digitalSignature" },
	[LEAF_KU_CRL] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .usage = "critical,cRLSign" },
	[LEAF_CRITICAL] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .odd = "1.2.3.4" },
	[LEAF_BAD_SAN] = { "leaf", INTER, K_LEAF, .odd = "san" },
	[LEAF_RSA2048] = { "leaf", INTER, K_RSA2048, .san = SAN_HOST },
	[LEAF_RSA1024] = { "leaf", INTER, K_RSA1024, .san = SAN_HOST },
	[LEAF_EC192] = { "leaf", INTER, K_EC192, .san = SAN_HOST },
	[LEAF_ED25519] = { "leaf", INTER, K_ED25519, .san = SAN_HOST },
	[LEAF_SHA1] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .digest = D_SHA1 },
	[LEAF_MD5] = { "leaf", INTER_RSA, K_LEAF, .san = SAN_HOST, .digest = D_MD5 },
	[LEAF_FORGED] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .forged = 1 },
	[LEAF_FORGED_OLD] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .forged = 1, PAST },
	[LEAF_BY_INTER2] = { "leaf", INTER2, K_LEAF, .san = SAN_HOST },
	[LEAF_BY_RP0] = { "leaf", INTER_RP0, K_LEAF, .san = SAN_HOST },
	[LEAF_BY_ROOT_NARROW] = { "leaf", ROOT_NARROW, K_LEAF, .san = SAN_HOST },
	[LEAF_OTHER_NARROW] = { "other.test", INTER, K_LEAF, .san = SAN_HOST },
	[LEAF_BY_PATH0] = { "leaf", ROOT_PATH0, K_LEAF, .san = SAN_HOST },
	[LEAF_BY_WEAK] = { "leaf", INTER_WEAK, K_LEAF, .san = SAN_HOST },
	[LEAF_DIR] = { "leaf", INTER_SELF_ISSUED, K_LEAF, .san = SAN_HOST },
	[LEAF_BY_LEAF] = { "leaf of leaf", LEAF, K_OTHER, .san = SAN_HOST },
	[LEAF_V1] = { HOST, INTER, K_LEAF, .v1 = 1 },
	[LEAF_CA] = { "leaf", INTER, K_LEAF, .san = SAN_HOST, .basic = CA },
	[ALONE] = { "alone", ALONE, K_LEAF, .san = SAN_HOST },
	[ALONE_OLD] = { "alone", ALONE, K_LEAF, .san = SAN_HOST, PAST },
	[ALONE_V1] = { HOST, ALONE_V1, K_LEAF, .v1 = 1 },
	[ALONE_OTHER] = { "alone", ALONE_OTHER, K_OTHER, .san = SAN_HOST },
	[BY_ALONE] = { "below", ALONE, K_OTHER, .san = SAN_HOST },
	[BY_V1] = { "below", ALONE_V1, K_OTHER, .san = SAN_HOST },
	[INTER_NO_MX] = { "inter", ROOT, K_INTER, .basic = CA,
	    .constraints = "critical,excluded;DNS:" HOST },
	[LEAF_CN_WILD_SAN] = { "*.other.test", INTER, K_LEAF, .san = SAN_HOST },
	[LEAF_CN_DOT_SAN] = { "other.test.", INTER, K_LEAF, .san = SAN_HOST },
	[LEAF_CN_SHORT_SAN] = { "mx", INTER, K_LEAF, .san = SAN_HOST },
	[LEAF_CN_WILD_MAIL] = { "*.example.org", INTER, K_LEAF, .san = "email:a@example.org" },
	[LEAF_DOT] = { "leaf", INTER, K_LEAF, .san = "DNS:" HOST "." },
	[BY_UNKNOWN] = { "leaf", ROOT2, K_LEAF, .san = SAN_HOST },
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
		keys[i] = i == K_RSA2048 ? EVP_RSA_gen(2048) : i == K_RSA1024 ? EVP_RSA_gen(1024) :
		    i == K_EC192 ? EVP_EC_gen("prime192v1") :
		    i == K_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
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

/* Octets of our own as an extension. */
static void
add_raw(X509 *c, const char *oid, int critical, const char *octets, int len)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	must(obj != NULL && ASN1_OCTET_STRING_set(value, (const unsigned char *)octets, len));
	e = X509_EXTENSION_create_by_OBJ(NULL, obj, critical, value);
	must(e != NULL && X509_add_ext(c, e, -1));
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(obj);
}

static void
add_odd(X509 *c, const char *odd)
{
	if (strcmp(odd, "san") == 0)
		add_raw(c, "2.5.29.17", 0, "\x30\x05\x82\x09xyz", 7);
	else if (strcmp(odd, "nul") == 0)
		add_raw(c, "2.5.29.17", 0, "\x30\x1b\x82\x19mx.example.org\0.evil.test", 29);
	else
		add_raw(c, odd, 1, "\x05\0", 2);
}

static void
add_extensions(X509 *c, const struct spec *s)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, c, c, NULL, NULL, 0);
	add_extension(c, &ctx, NID_basic_constraints, s->basic);
	add_extension(c, &ctx, NID_subject_alt_name, s->san);
	add_extension(c, &ctx, NID_ext_key_usage, s->eku);
	add_extension(c, &ctx, NID_key_usage, s->usage);
	add_extension(c, &ctx, NID_name_constraints, s->constraints);
	if (s->odd != NULL)
		add_odd(c, s->odd);
	if (s->ids) {
		add_raw(c, "2.5.29.14", 0, "\x04\x14" "the issued CA's key ", 22);
		add_raw(c, "2.5.29.35", 0, "\x30\x16\x80\x14" "the issuing CA's key", 24);
	}
}

static void
set_name(X509_NAME *name, const struct spec *s)
{
	if (s->cn != NULL)
		must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		    (const unsigned char *)s->cn, s->cn_len > 0 ? s->cn_len : -1, -1, 0));
}

static void
set_dates(X509 *c, const struct spec *s)
{
	int lasting = s->from == 0 && s->until == 0;

	must(ASN1_TIME_set(X509_getm_notBefore(c), NOW + DAY * (lasting ? -180 : s->from)) != NULL);
	must(ASN1_TIME_set(X509_getm_notAfter(c), NOW + DAY * (lasting ? 180 : s->until)) != NULL);
}

static const EVP_MD *
digest_of(const struct spec *s)
{
	return s->digest == D_SHA1 ? EVP_sha1() : s->digest == D_MD5 ? EVP_md5() : EVP_sha256();
}

/* One octet of the signature is another then. */
static X509 *
forge(X509 *c)
{
	unsigned char *der = NULL;
	const unsigned char *p;
	int n = i2d_X509(c, &der);

	must(n > 0);
	der[n - 1] ^= 1;
	X509_free(c);
	p = der;
	c = d2i_X509(NULL, &p, n);
	must(c != NULL);
	OPENSSL_free(der);
	return c;
}

static X509 *
make_cert(const struct spec *s, long serial)
{
	const struct spec *by = &specs[s->issuer];
	X509 *c = X509_new();

	must(c != NULL && X509_set_version(c, s->v1 ? X509_VERSION_1 : X509_VERSION_3));
	must(ASN1_INTEGER_set(X509_get_serialNumber(c), serial));
	set_name(X509_get_subject_name(c), s);
	set_name(X509_get_issuer_name(c), by);
	must(X509_set_pubkey(c, keys[s->key]));
	set_dates(c, s);
	add_extensions(c, s);
	must(X509_sign(c, keys[by->key], digest_of(s)));
	return s->forged ? forge(c) : c;
}

static void
make_certs(void)
{
	size_t i;

	for (i = END + 1; i < CERTS; i++)
		certs[i] = make_cert(&specs[i], i);
}

/* ---- the rows ---- */

#define V VERIFY_NAMES_CN_OR_SAN
#define H VERIFY_NAMES_HOSTED
#define S VERIFY_NAMES_SAN
#define FQDN 1		/* fqdn-check */
#define CLIENT 2	/* the peer is a client */
#define OWN_TOP 4	/* whatever ends the path is its anchor */
#define R_DATES "RFC 5280 6.1.3 (a)(2)"
#define R_SIGNED "RFC 5280 6.1.3 (a)(1)"
#define R_NAME "RFC 6125 6.4"
#define R_CA "RFC 5280 6.1"
#define R_EKU "RFC 5280 4.2.1.12"
#define R_CA_FLAG "RFC 5280 6.1.4 (k)"
#define R_WITHIN "RFC 5280 6.1.3 (b)"
#define OK "none", R_NAME
#define STS_OK "none", "RFC 8461 4.2"

static const struct row {
	const char *what;
	enum cert chain[CHAIN_MAX], trusted[4];
	enum verify_names names;
	int flags;
	const char *host, *host2;	/* NULL: HOST and no other */
	const char *reason, *rule;
} rows[] = {
	/* Good ones, and chains as servers send them. */
	{ "leaf, intermediate", { LEAF, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "with the root", { LEAF, INTER, ROOT }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "shuffled", { LEAF, ROOT, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "padded", { LEAF, ROOT2, LEAF_OTHER, INTER, ALONE }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "doubled", { LEAF, LEAF, INTER, INTER, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "intermediate in the list, not sent", { LEAF }, { ROOT, INTER }, V, 0, NULL, NULL, OK },
	{ "signed by the root itself", { BY_UNKNOWN }, { ROOT2 }, V, 0, NULL, NULL, OK },
	{ "two intermediates", { LEAF_BY_RP0, INTER_RP0, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "RSA 2048", { LEAF_RSA2048, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "Ed25519", { LEAF_ED25519, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "SHA-1 over the root is nobody's matter", { LEAF, INTER }, { ROOT_SHA1 }, V, 0, NULL, NULL,
	    OK },
	/* RFC 5280 6.1.1 (d): trust anchors. */
	{ "another root", { LEAF, INTER }, { ROOT2 }, V, 0, NULL, NULL, "unknown-ca", R_CA },
	{ "intermediate missing", { LEAF }, { ROOT }, V, 0, NULL, NULL, "unknown-ca", R_CA },
	{ "no list at all", { LEAF, INTER, ROOT }, { END }, V, 0, NULL, NULL, "unknown-ca", R_CA },
	{ "the root sent and not trusted", { LEAF, INTER, ROOT }, { ROOT2 }, V, 0, NULL, NULL,
	    "unknown-ca", R_CA },
	{ "only the intermediate trusted: no partial chains", { LEAF, INTER }, { INTER }, V, 0, NULL,
	    NULL, "unknown-ca", R_CA },
	{ "self-signed, unknown", { ALONE }, { ROOT }, V, 0, NULL, NULL, "unknown-ca", R_CA },
	{ "expired and unknown: the CA comes first", { LEAF_OLD, INTER }, { ROOT2 }, V, 0, NULL, NULL,
	    "unknown-ca", R_CA },
	/* Pinned: the very certificate is in the list. */
	{ "self-signed, in the list", { ALONE }, { ALONE }, V, 0, NULL, NULL, OK },
	{ "self-signed, in the list, padded", { ALONE, INTER, ROOT }, { ALONE }, V, 0, NULL, NULL, OK },
	{ "same name, another key", { ALONE_OTHER }, { ALONE }, V, 0, NULL, NULL, "unknown-ca",
	    R_CA },
	{ "self-signed, in the list, expired", { ALONE_OLD }, { ALONE_OLD }, V, 0, NULL, NULL,
	    "expired", R_DATES },
	{ "self-signed, in the list, another name", { ALONE }, { ALONE }, V, 0, "other.test", NULL,
	    "name", R_NAME },
	{ "a CA's leaf, in the list", { LEAF }, { LEAF }, V, 0, NULL, NULL, OK },
	{ "a leaf in the list is nobody's issuer", { LEAF_BY_LEAF, LEAF }, { LEAF }, V, 0, NULL, NULL,
	    "unknown-ca", R_CA },
	{ "a self-signed leaf neither", { BY_ALONE }, { ALONE }, V, 0, NULL, NULL, "purpose",
	    R_CA_FLAG },
	{ "nor one of version 1", { BY_V1 }, { ALONE_V1 }, V, 0, NULL, NULL, "purpose", R_CA_FLAG },
	{ "version 1, in the list", { ALONE_V1 }, { ALONE_V1 }, V, 0, NULL, NULL, OK },
	/* 6.1.3 (a)(2): dates. */
	{ "expired", { LEAF_OLD, INTER }, { ROOT }, V, 0, NULL, NULL, "expired", R_DATES },
	{ "not yet valid", { LEAF_YOUNG, INTER }, { ROOT }, V, 0, NULL, NULL, "not-yet-valid",
	    R_DATES },
	{ "expired intermediate", { LEAF, INTER_OLD }, { ROOT }, V, 0, NULL, NULL, "expired", R_DATES },
	{ "intermediate not yet valid", { LEAF, INTER_YOUNG }, { ROOT }, V, 0, NULL, NULL,
	    "not-yet-valid", R_DATES },
	{ "expired root", { LEAF, INTER }, { ROOT_OLD }, V, 0, NULL, NULL, "expired", R_DATES },
	{ "root not yet valid", { LEAF, INTER }, { ROOT_YOUNG }, V, 0, NULL, NULL, "not-yet-valid",
	    R_DATES },
	{ "leaf young, intermediate old", { LEAF_YOUNG, INTER_OLD }, { ROOT }, V, 0, NULL, NULL,
	    "not-yet-valid", R_DATES },
	{ "expired, and another name: dates come first", { LEAF_OLD_OTHER, INTER }, { ROOT }, V, 0,
	    NULL, NULL, "expired", R_DATES },
	/* Alternatives. */
	{ "an old and a new intermediate", { LEAF, INTER_OLD, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "an old and a new root", { LEAF, INTER }, { ROOT_OLD, ROOT }, V, 0, NULL, NULL, OK },
	{ "an expired root, and a way round by the cross-certificate", { LEAF, INTER, CROSS },
	    { ROOT_OLD, ROOT2 }, V, 0, NULL, NULL, OK },
	{ "an expired cross-certificate, and the root itself", { LEAF, INTER, CROSS_OLD },
	    { ROOT, ROOT2 }, V, 0, NULL, NULL, OK },
	{ "both ways expired", { LEAF, INTER, CROSS_OLD }, { ROOT_OLD, ROOT2 }, V, 0, NULL, NULL,
	    "expired", R_DATES },
	{ "a cross-signed intermediate, first its unknown form", { LEAF, INTER, INTER_BY2 },
	    { ROOT2 }, V, 0, NULL, NULL, OK },
	{ "two roots of one name", { LEAF, INTER }, { ROOT_TWIN, ROOT }, V, 0, NULL, NULL, OK },
	{ "a forged intermediate and the true one", { LEAF, INTER_FORGED, INTER }, { ROOT }, V, 0,
	    NULL, NULL, OK },
	{ "a way that constraints close and one that is open", { LEAF, INTER_DIR, INTER }, { ROOT }, V,
	    0, NULL, NULL, OK },
	{ "certificates that sign each other", { LEAF, INTER, CROSS, ROOT2 }, { INTER2 }, V, 0, NULL,
	    NULL, "unknown-ca", R_CA },
	/* The top that there is stands for the root: certstore(1). */
	{ "own top: without the root", { LEAF, INTER }, { END }, V, OWN_TOP, NULL, NULL, OK },
	{ "own top: with the root", { LEAF, INTER, ROOT }, { ROOT2 }, V, OWN_TOP, NULL, NULL, OK },
	{ "own top: the leaf alone", { LEAF }, { END }, V, OWN_TOP, NULL, NULL, OK },
	{ "own top: self-signed", { ALONE }, { END }, V, OWN_TOP, NULL, NULL, OK },
	{ "own top: expired leaf alone", { LEAF_OLD }, { END }, V, OWN_TOP, NULL, NULL, "expired",
	    R_DATES },
	{ "own top: expired intermediate at the top", { LEAF, INTER_OLD }, { END }, V, OWN_TOP, NULL,
	    NULL, "expired", R_DATES },
	{ "own top: expired root", { LEAF, INTER, ROOT_OLD }, { END }, V, OWN_TOP, NULL, NULL,
	    "expired", R_DATES },
	{ "own top: constraints of the top", { LEAF_OTHER, INTER_NARROW }, { END }, V, OWN_TOP,
	    "other.test", NULL, "name-constraint", R_WITHIN },
	{ "own top: for clients, alone", { LEAF_CLIENT }, { END }, V, OWN_TOP, NULL, NULL, "purpose",
	    R_EKU },
	{ "own top: the top is no CA", { LEAF, INTER_NO_CA }, { END }, V, OWN_TOP, NULL, NULL,
	    "purpose", R_CA_FLAG },
	{ "own top: forged", { LEAF_FORGED, INTER }, { END }, V, OWN_TOP, NULL, NULL, "signature",
	    R_SIGNED },
	{ "own top: two ways, one of them good", { LEAF, INTER_OLD, INTER }, { END }, V, OWN_TOP, NULL,
	    NULL, OK },
	/* 6.1.3 (a)(1): signatures. */
	{ "forged", { LEAF_FORGED, INTER }, { ROOT }, V, 0, NULL, NULL, "signature", R_SIGNED },
	{ "forged intermediate", { LEAF, INTER_FORGED }, { ROOT }, V, 0, NULL, NULL, "signature",
	    R_SIGNED },
	{ "a root of that name with another key", { LEAF, INTER }, { ROOT_TWIN }, V, 0, NULL, NULL,
	    "signature", R_SIGNED },
	{ "forged and expired: the signature comes first", { LEAF_FORGED_OLD, INTER }, { ROOT }, V, 0,
	    NULL, NULL, "signature", R_SIGNED },
	/* 4.2.1.9, 4.2.1.3, 4.2.1.12: what keys are for. */
	{ "intermediate CA:FALSE", { LEAF, INTER_NO_CA }, { ROOT }, V, 0, NULL, NULL, "purpose",
	    R_CA_FLAG },
	{ "intermediate without basicConstraints", { LEAF, INTER_NO_BASIC }, { ROOT }, V, 0, NULL,
	    NULL, "purpose", R_CA_FLAG },
	{ "intermediate without keyCertSign", { LEAF, INTER_NO_SIGN }, { ROOT }, V, 0, NULL, NULL,
	    "purpose", R_CA_FLAG },
	{ "root of version 1", { LEAF, INTER }, { ROOT_V1 }, V, 0, NULL, NULL, "purpose", R_CA_FLAG },
	{ "root CA:FALSE", { LEAF, INTER }, { ROOT_NO_CA }, V, 0, NULL, NULL, "purpose", R_CA_FLAG },
	{ "a leaf that signs", { LEAF_BY_LEAF, LEAF, INTER }, { ROOT }, V, 0, NULL, NULL, "purpose",
	    R_CA_FLAG },
	{ "for servers", { LEAF_SERVER, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "for servers, shown by a client", { LEAF_SERVER, INTER }, { ROOT }, V, CLIENT, NULL, NULL,
	    "purpose", R_EKU },
	{ "for clients, shown by a server", { LEAF_CLIENT, INTER }, { ROOT }, V, 0, NULL, NULL,
	    "purpose", R_EKU },
	{ "for clients", { LEAF_CLIENT, INTER }, { ROOT }, V, CLIENT, NULL, NULL, OK },
	{ "for mail's content", { LEAF_MAIL, INTER }, { ROOT }, V, 0, NULL, NULL, "purpose", R_EKU },
	{ "for anything", { LEAF_ANY, INTER }, { ROOT }, V, 0, NULL, NULL, "purpose", R_EKU },
	{ "intermediate for clients", { LEAF, INTER_CLIENT }, { ROOT }, V, 0, NULL, NULL, "purpose",
	    R_EKU },
	{ "intermediate for servers", { LEAF, INTER_SERVER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "key usage signs", { LEAF_KU_SIGN, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "key usage signs only CRLs", { LEAF_KU_CRL, INTER }, { ROOT }, V, 0, NULL, NULL, "purpose",
	    R_EKU },
	{ "a server that shows a CA's certificate", { LEAF_CA, INTER }, { ROOT }, V, 0, NULL, NULL,
	    OK },
	{ "version 1 leaf below a CA", { LEAF_V1, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	/* 6.1.4 (l), (m): path length. */
	{ "pathlen 0 and a leaf", { LEAF, INTER_PATH0 }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "pathlen 0 and a CA", { LEAF_BY_INTER2, INTER2, INTER_PATH0 }, { ROOT }, V, 0, NULL, NULL,
	    "path-length", "RFC 5280 6.1.4 (l)" },
	{ "pathlen 0 and a self-issued CA, which does not count", { LEAF_DIR, INTER_SELF_ISSUED,
	    INTER_PATH0 }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "the root's pathlen 0 and a leaf", { LEAF_BY_PATH0 }, { ROOT_PATH0 }, V, 0, NULL, NULL, OK },
	{ "the root's pathlen 0 and a CA", { LEAF, INTER }, { ROOT_PATH0 }, V, 0, NULL, NULL,
	    "path-length", "RFC 5280 6.1.4 (l)" },
	/* 4.2.1.10: name constraints. */
	{ "within", { LEAF, INTER_NARROW }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "outside", { LEAF_OTHER, INTER_NARROW }, { ROOT }, V, 0, "other.test", NULL,
	    "name-constraint", R_WITHIN },
	{ "excluded", { LEAF, INTER_DIR }, { ROOT }, V, 0, NULL, NULL, "name-constraint",
	    "RFC 5280 6.1.3 (c)" },
	{ "excluded elsewhere", { LEAF_OTHER, INTER_DIR }, { ROOT }, V, 0, "other.test", NULL, OK },
	{ "of the root, within", { LEAF_BY_ROOT_NARROW }, { ROOT_NARROW }, V, 0, NULL, NULL, OK },
	{ "of the root, outside", { LEAF_OTHER, INTER }, { ROOT_NARROW }, V, 0, "other.test", NULL,
	    "name-constraint", R_WITHIN },
	{ "a CN that stands in, within", { LEAF_CN, INTER_NARROW }, { ROOT }, H, 0, NULL, NULL, OK },
	{ "a CN that stands in, excluded", { LEAF_CN, INTER_DIR }, { ROOT }, H, 0, NULL, NULL,
	    "name-constraint", "RFC 5280 6.1.3 (c)" },
	{ "a CN beside a good SAN, outside, where it counts", { LEAF_OTHER_NARROW, INTER_NARROW },
	    { ROOT }, V, 0, NULL, NULL, "name-constraint", R_WITHIN },
	{ "a CN beside a good SAN, outside, where it does not", { LEAF_OTHER_NARROW, INTER_NARROW },
	    { ROOT }, H, 0, NULL, NULL, OK },
	{ "a CN with a wildcard beside a good SAN, outside", { LEAF_CN_WILD_SAN, INTER_NARROW }, { ROOT },
	    V, 0, "mx.other.test", NULL, "name-constraint", R_WITHIN },
	{ "the same below a CA that is free", { LEAF_CN_WILD_SAN, INTER }, { ROOT }, V, 0,
	    "mx.other.test", NULL, OK },
	{ "a closed way and an open one to it", { LEAF_CN_WILD_SAN, INTER_NARROW, INTER }, { ROOT }, V,
	    0, "mx.other.test", NULL, OK },
	{ "the SAN beside such a CN", { LEAF_CN_WILD_SAN, INTER_NARROW }, { ROOT }, V, 0, NULL, NULL,
	    OK },
	{ "one of two hosts within", { LEAF_CN_WILD_SAN, INTER_NARROW }, { ROOT }, V, 0,
	    "mx.other.test", HOST, OK },
	{ "a CN of one label beside a good SAN, outside", { LEAF_CN_SHORT_SAN, INTER_NARROW },
	    { ROOT }, V, 0, "mx", NULL, "name-constraint", R_WITHIN },
	{ "a CN with a trailing dot is nobody's", { LEAF_CN_DOT_SAN, INTER_NARROW }, { ROOT }, V, 0,
	    "other.test", NULL, "name", R_NAME },
	{ "nor a dNSName with one", { LEAF_DOT, INTER_NO_MX }, { ROOT }, S, 0, NULL, NULL, "name",
	    "RFC 8461 4.2" },
	{ "a CN with a wildcard that stands in, excluded", { LEAF_CN_WILD, INTER_DIR }, { ROOT }, H, 0,
	    NULL, NULL, "name-constraint", "RFC 5280 6.1.3 (c)" },
	{ "the same beside a mail address", { LEAF_CN_WILD_MAIL, INTER_DIR }, { ROOT }, H, 0, NULL,
	    NULL, "name-constraint", "RFC 5280 6.1.3 (c)" },
	{ "a CN with a wildcard that stands in, within", { LEAF_CN_WILD, INTER_NARROW }, { ROOT }, H,
	    0, NULL, NULL, OK },
	{ "a wildcard that covers an excluded name, that name", { LEAF_WILD, INTER_NO_MX }, { ROOT }, S,
	    0, NULL, NULL, "name-constraint", "RFC 5280 6.1.3 (c)" },
	{ "with a dot behind it", { LEAF_WILD, INTER_NO_MX }, { ROOT }, S, 0, HOST ".", NULL,
	    "name-constraint", "RFC 5280 6.1.3 (c)" },
	{ "and another name", { LEAF_WILD, INTER_NO_MX }, { ROOT }, S, 0, "mx2.example.org", NULL,
	    STS_OK },
	{ "constraints on addresses leave names alone", { LEAF, INTER_NONE }, { ROOT }, V, 0, NULL,
	    NULL, OK },
	{ "an address within", { LEAF_IP, INTER_NONE }, { ROOT }, V, 0, "192.0.2.1", NULL,
	    "name-constraint", R_WITHIN },
	/* Strength. */
	{ "RSA 1024", { LEAF_RSA1024, INTER }, { ROOT }, V, 0, NULL, NULL, "weak", "local" },
	{ "P-192", { LEAF_EC192, INTER }, { ROOT }, V, 0, NULL, NULL, "weak", "local" },
	{ "SHA-1", { LEAF_SHA1, INTER }, { ROOT }, V, 0, NULL, NULL, "weak", "local" },
	{ "MD5", { LEAF_MD5, INTER_RSA }, { ROOT }, V, 0, NULL, NULL, "weak", "local" },
	{ "intermediate of RSA 1024", { LEAF_BY_WEAK, INTER_WEAK }, { ROOT }, V, 0, NULL, NULL, "weak",
	    "local" },
	{ "intermediate signed with SHA-1", { LEAF, INTER_SHA1 }, { ROOT }, V, 0, NULL, NULL, "weak",
	    "local" },
	{ "weak root", { ROOT_WEAK }, { ROOT_WEAK }, V, 0, NULL, NULL, "weak", "local" },
	{ "weak and another name: weak comes first", { LEAF_RSA1024, INTER }, { ROOT }, V, 0,
	    "other.test", NULL, "weak", "local" },
	/* What cannot be judged. */
	{ "nothing sent", { END }, { ROOT }, V, 0, NULL, NULL, "parse", "RFC 5280 4.1" },
	{ "an unknown critical extension", { LEAF_CRITICAL, INTER }, { ROOT }, V, 0, NULL, NULL,
	    "parse", "RFC 5280 4.2" },
	{ "a broken SAN", { LEAF_BAD_SAN, INTER }, { ROOT }, V, 0, NULL, NULL, "parse",
	    "RFC 5280 4.1" },
	/* Names: REQUIREMENTS as in castore(1); wildcards RFC 6125 6.4.3. */
	{ "SAN", { LEAF, INTER }, { ROOT }, H, 0, NULL, NULL, OK },
	{ "SAN, SAN only", { LEAF, INTER }, { ROOT }, S, 0, NULL, NULL, STS_OK },
	{ "another SAN", { LEAF_OTHER, INTER }, { ROOT }, V, 0, NULL, NULL, "name", R_NAME },
	{ "another SAN, SAN only", { LEAF_OTHER, INTER }, { ROOT }, S, 0, NULL, NULL, "name",
	    "RFC 8461 4.2" },
	{ "case", { LEAF_CASE, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "a reference with its dot", { LEAF, INTER }, { ROOT }, V, 0, HOST ".", NULL, OK },
	{ "the second reference", { LEAF_DOMAIN, INTER }, { ROOT }, V, 0, HOST, "example.org", OK },
	{ "the domain unasked", { LEAF_DOMAIN, INTER }, { ROOT }, V, 0, NULL, NULL, "name", R_NAME },
	{ "wildcard", { LEAF_WILD, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "wildcard, one label only", { LEAF_WILD, INTER }, { ROOT }, V, 0, "a." HOST, NULL, "name",
	    R_NAME },
	{ "wildcard, not its parent", { LEAF_WILD, INTER }, { ROOT }, V, 0, "example.org", NULL,
	    "name", R_NAME },
	{ "wildcard of a top-level domain", { LEAF_WILD_TOP, INTER }, { ROOT }, V, 0, "example.org",
	    NULL, "name", R_NAME },
	{ "wildcard in part of a label", { LEAF_WILD_PART, INTER }, { ROOT }, V, 0, NULL, NULL, "name",
	    R_NAME },
	{ "CN alone", { LEAF_CN, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "CN alone, hosted", { LEAF_CN, INTER }, { ROOT }, H, 0, NULL, NULL, OK },
	{ "CN alone, SAN only", { LEAF_CN, INTER }, { ROOT }, S, 0, NULL, NULL, "name",
	    "RFC 8461 4.2" },
	{ "CN beside another dNSName", { LEAF_CN_OTHER_SAN, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "CN beside another dNSName, hosted", { LEAF_CN_OTHER_SAN, INTER }, { ROOT }, H, 0, NULL,
	    NULL, "name", R_NAME },
	{ "dNSName beside another CN", { LEAF_SAN_OTHER_CN, INTER }, { ROOT }, H, 0, NULL, NULL, OK },
	{ "CN beside an address", { LEAF_CN_IP_SAN, INTER }, { ROOT }, H, 0, NULL, NULL, OK },
	{ "wildcard CN", { LEAF_CN_WILD, INTER }, { ROOT }, V, 0, NULL, NULL, OK },
	{ "a NUL in the dNSName", { LEAF_NUL, INTER }, { ROOT }, V, 0, NULL, NULL, "name", R_NAME },
	{ "a NUL in the CN", { LEAF_CN_NUL, INTER }, { ROOT }, V, 0, NULL, NULL, "name", R_NAME },
	{ "no name at all", { LEAF_NO_NAME, INTER }, { ROOT }, V, 0, NULL, NULL, "name", R_NAME },
	{ "an address", { LEAF_IP, INTER }, { ROOT }, V, 0, "192.0.2.1", NULL, OK },
	{ "an IPv6 address", { LEAF_IP, INTER }, { ROOT }, V, 0, "2001:db8::1", NULL, OK },
	{ "another address", { LEAF_IP, INTER }, { ROOT }, V, 0, "192.0.2.2", NULL, "name", R_NAME },
	{ "one label", { LEAF_SHORT, INTER }, { ROOT }, V, 0, "mx", NULL, OK },
	{ "one label, fqdn-check", { LEAF_SHORT, INTER }, { ROOT }, V, FQDN, "mx", NULL, "name",
	    R_NAME },
	{ "one label in the CN, fqdn-check", { LEAF_SHORT_CN, INTER }, { ROOT }, V, FQDN, "mx", NULL,
	    "name", R_NAME },
	{ "full names, fqdn-check", { LEAF, INTER }, { ROOT }, V, FQDN, NULL, NULL, OK },
	{ "a wildcard, fqdn-check", { LEAF_WILD, INTER }, { ROOT }, V, FQDN, NULL, NULL, OK },
};

static struct trust *
trust_of(const enum cert *list)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct trust *t;
	size_t i;

	/* An open list that is empty: both lists off. */
	if (list[0] == END) {
		char dir[] = "/tmp/mtatls-pkix-XXXXXX";
		struct trust_state off = { .on = { 0 } };

		must(mkdtemp(dir) != NULL);
		close(trust_lock(dir, &f));
		must(trust_state_write(dir, &off, &f) == 0);
		t = trust_open(dir, &f);
		file_remove_tree(dir, &f);
		must(t != NULL);
		return t;
	}
	for (i = 0; i < 4 && list[i] != END; i++)
		must(pem_put_cert(&b, certs[list[i]], &f) == 0);
	t = trust_from_pem(b.p, b.len, &f);
	must(t != NULL);
	buf_clear(&b);
	return t;
}

static STACK_OF(X509) *
chain_of(const enum cert *list)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	size_t i;

	for (i = 0; i < CHAIN_MAX && list[i] != END; i++)
		must(sk_X509_push(chain, certs[list[i]]) > 0);
	return chain;
}

/* What was built goes from the leaf to a root, each signed by the next. */
static int
holds(STACK_OF(X509) *built, STACK_OF(X509) *sent)
{
	int i, n = sk_X509_num(built);

	for (i = 0; i + 1 < n; i++)
		if (X509_verify(sk_X509_value(built, i),
		    X509_get0_pubkey(sk_X509_value(built, i + 1))) != 1)
			return 0;
	return n > 0 && X509_cmp(sk_X509_value(built, 0), sk_X509_value(sent, 0)) == 0;
}

static void
test_row(const struct row *r)
{
	const char *names[2] = { r->host != NULL ? r->host : HOST, r->host2 };
	struct verify_pkix v = { .trust = trust_of(r->trusted), .names = r->names,
		.reference = names, .nreference = r->host2 != NULL ? 2 : 1,
		.fqdn_check = (r->flags & FQDN) != 0, .client = (r->flags & CLIENT) != 0,
		.own_top = (r->flags & OWN_TOP) != 0, .now = NOW };
	STACK_OF(X509) *chain = chain_of(r->chain), *built = NULL;
	int good = strcmp(r->reason, "none") == 0;
	struct fail f = FAIL_INIT;
	struct finding found;

	unit_int(verify_pkix(chain, &v, &built, &found, &f), 0, "%s: is judged", r->what);
	unit_str(verify_reason_name(found.reason), r->reason, "%s: reason", r->what);
	unit_int(found.result, good ? VERIFY_MATCH : VERIFY_NO_MATCH, "%s: result", r->what);
	unit_str(found.rule, r->rule, "%s: rule", r->what);
	unit_ok(found.why != NULL && *found.why != '\0', "%s: %s", r->what, found.why);
	unit_ok(good ? holds(built, chain) : built == NULL, "%s: the chain built", r->what);
	cert_chain_free(built);
	finding_clear(&found);
	sk_X509_free(chain);
	trust_free((struct trust *)(uintptr_t)v.trust);
}

/* ---- distrust ---- */

static const struct {
	const char *what;
	enum cert chain[CHAIN_MAX], trusted[4], distrusted;
	int after;	/* days from NOW; 0: without a date */
	const char *reason;
} distrust_rows[] = {
	{ "the root", { LEAF, INTER }, { ROOT }, ROOT, 0, "distrusted" },
	{ "the intermediate", { LEAF, INTER }, { ROOT }, INTER, 0, "distrusted" },
	{ "the leaf", { LEAF, INTER }, { ROOT }, LEAF, 0, "distrusted" },
	{ "a pinned leaf", { ALONE }, { ALONE }, ALONE, 0, "distrusted" },
	{ "another", { LEAF, INTER }, { ROOT }, ROOT2, 0, "none" },
	{ "the root, of two ways one", { LEAF, INTER, CROSS }, { ROOT, ROOT2 }, ROOT, 0, "none" },
	{ "the intermediate, of two ways one", { LEAF, INTER, INTER_BY2 }, { ROOT, ROOT2 }, INTER, 0,
	    "none" },
	/* All leaves that last have notBefore 180 days before NOW. */
	{ "after a date before the leaf's", { LEAF, INTER }, { ROOT }, ROOT, -181, "distrusted" },
	{ "after the leaf's own date", { LEAF, INTER }, { ROOT }, ROOT, -180, "none" },
	{ "after a later date", { LEAF, INTER }, { ROOT }, ROOT, -179, "none" },
	{ "the leaf's date counts, not the root's", { LEAF_OLD, INTER }, { ROOT }, ROOT, -30,
	    "distrusted" },
	{ "expired, from before the date", { LEAF_OLD, INTER }, { ROOT }, ROOT, -10, "expired" },
	{ "forged and distrusted: the signature comes first", { LEAF_FORGED, INTER }, { ROOT }, ROOT, 0,
	    "signature" },
	{ "unknown and distrusted", { LEAF, INTER }, { ROOT2 }, INTER, 0, "unknown-ca" },
};

static struct trust *
distrusting(const char *dir, const enum cert *list, enum cert who, int after)
{
	struct trust_distrust d = { .dated = after != 0, .after = NOW + after * DAY };
	struct trust_state st = { .on = { [TRUST_CUSTOM] = 1 }, .v = &d, .n = 1 };
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	struct trust *t;
	size_t i;

	for (i = 0; i < 4 && list[i] != END; i++)
		must(pem_put_cert(&b, certs[list[i]], &f) == 0);
	cert_fingerprint(d.fp, certs[who]);
	close(trust_lock(dir, &f));
	must(trust_state_write(dir, &st, &f) == 0 && trust_list_write(dir, b.p, b.len, &f) == 0);
	t = trust_open(dir, &f);
	must(t != NULL);
	buf_clear(&b);
	return t;
}

static void
test_distrust(void)
{
	static const char *const names[] = { HOST };
	char dir[] = "/tmp/mtatls-pkix-XXXXXX";
	struct fail f = FAIL_INIT;
	size_t i;

	must(mkdtemp(dir) != NULL);
	for (i = 0; i < sizeof distrust_rows / sizeof distrust_rows[0]; i++) {
		struct trust *t = distrusting(dir, distrust_rows[i].trusted,
		    distrust_rows[i].distrusted, distrust_rows[i].after);
		struct verify_pkix v = { .trust = t, .reference = names, .nreference = 1, .now = NOW };
		STACK_OF(X509) *chain = chain_of(distrust_rows[i].chain);
		struct finding found;

		unit_int(verify_pkix(chain, &v, NULL, &found, &f), 0, "distrust: %s: is judged",
		    distrust_rows[i].what);
		unit_str(verify_reason_name(found.reason), distrust_rows[i].reason, "distrust: %s",
		    distrust_rows[i].what);
		finding_clear(&found);
		sk_X509_free(chain);
		trust_free(t);
	}
	file_remove_tree(dir, &f);
}

/* ---- hostile chains ---- */

/* Hundreds of CAs with one name, each signed by the next and the first by the last: time is bounded. */
static void
test_maze(void)
{
	static const char *const names[] = { HOST };
	const enum cert trusted[4] = { ROOT2 };
	struct spec s = specs[INTER];
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct verify_pkix v = { .trust = trust_of(trusted), .reference = names, .nreference = 1,
		.now = NOW };
	struct finding found;
	struct fail f = FAIL_INIT;
	clock_t start;
	int i;

	s.issuer = INTER;
	must(sk_X509_push(chain, certs[LEAF]) > 0);
	for (i = 0; i < 300; i++)
		must(sk_X509_push(chain, make_cert(&s, 1000 + i)) > 0);
	start = clock();
	unit_int(verify_pkix(chain, &v, NULL, &found, &f), 0, "a maze is judged");
	unit_str(verify_reason_name(found.reason), "unknown-ca", "nothing is in it");
	unit_ok(clock() - start < CLOCKS_PER_SEC, "in %.3f s", (clock() - start) * 1.0 / CLOCKS_PER_SEC);
	finding_clear(&found);
	sk_X509_shift(chain);
	sk_X509_pop_free(chain, X509_free);
	trust_free((struct trust *)(uintptr_t)v.trust);
}

/* Without a reference name the chain alone is judged. */
static void
test_no_reference(void)
{
	const enum cert list[CHAIN_MAX] = { LEAF_OTHER, INTER }, trusted[4] = { ROOT };
	struct verify_pkix v = { .trust = trust_of(trusted), .now = NOW };
	STACK_OF(X509) *chain = chain_of(list), *built = NULL;
	struct finding found;

	unit_int(verify_pkix(chain, &v, &built, &found, NULL), 0, "no reference: is judged");
	unit_int(found.result, VERIFY_MATCH, "no reference: good");
	unit_int(sk_X509_num(built), 3, "no reference: the chain is whole");
	unit_int(found.depth, 2, "no reference: the root's depth");
	unit_str(found.why, "chain to \"CN=root\"", "no reference: in words");
	cert_chain_free(built);
	finding_clear(&found);
	sk_X509_free(chain);
	trust_free((struct trust *)(uintptr_t)v.trust);
}

static void
test_words(void)
{
	static const struct {
		enum cert chain[CHAIN_MAX], trusted[4];
		const char *why;
		int depth;
	} words[] = {
		{ { LEAF, INTER }, { ROOT },
		    "chain to \"CN=root\"; the certificate's name mx.example.org is that of "
		    "mx.example.org", 2 },
		{ { LEAF, INTER }, { ROOT2 },
		    "the issuer of \"CN=inter\", \"CN=root\", is neither in the list nor was it sent", 1 },
		{ { ALONE }, { ROOT }, "\"CN=alone\" is self-signed and not in the list", 0 },
		{ { LEAF }, { END }, "no list of CAs is enabled, or they are empty", 0 },
		{ { LEAF, INTER_OLD }, { ROOT },
		    "the certificate at depth 1, \"CN=inter\": certificate has expired", 1 },
		{ { LEAF_OTHER, INTER }, { ROOT },
		    "no name is that of mx.example.org; the names that count are: other.test, leaf", 0 },
		{ { LEAF_NO_NAME, INTER }, { ROOT },
		    "no name is that of mx.example.org; the names that count are: none", 0 },
	};
	static const char *const names[] = { HOST };
	size_t i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		struct verify_pkix v = { .trust = trust_of(words[i].trusted), .reference = names,
			.nreference = 1, .now = NOW };
		STACK_OF(X509) *chain = chain_of(words[i].chain);
		struct finding found;

		unit_int(verify_pkix(chain, &v, NULL, &found, NULL), 0, "words %zu", i);
		unit_str(found.why, words[i].why, "words %zu", i);
		unit_int(found.depth, words[i].depth, "words %zu: depth", i);
		finding_clear(&found);
		sk_X509_free(chain);
		trust_free((struct trust *)(uintptr_t)v.trust);
	}
}

int
main(void)
{
	size_t i;

	make_keys();
	make_certs();
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		test_row(&rows[i]);
	test_distrust();
	test_maze();
	test_no_reference();
	test_words();
	for (i = END + 1; i < CERTS; i++)
		X509_free(certs[i]);
	for (i = 0; i < KEYS; i++)
		EVP_PKEY_free(keys[i]);
	return unit_done();
}
