#include "request.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

#include "cert.h"
#include "key.h"
#include "text.h"
#include "unit.h"

static EVP_PKEY *key;

/* What a hostile or careless client puts into its request. */
struct ask {
	int field;		/* a part of the subject: its NID; 0: none but the CN */
	const char *value;
	int len;		/* of it; 0: strlen */
	const char *ext, *ext_value;	/* an extension in OpenSSL's words */
	int attribute;		/* NID of another attribute */
	unsigned flags;		/* of the order */
	enum fail_kind kind;	/* what comes of it */
	const char *why;
};

static void
add_extension(STACK_OF(X509_EXTENSION) **x, const char *name, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, OBJ_txt2nid(name), value);

	if (e == NULL || X509v3_add_ext(x, e, -1) == NULL)
		abort();
	X509_EXTENSION_free(e);
}

static X509_REQ *
make(const struct ask *a)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();
	STACK_OF(X509_EXTENSION) *x = NULL;

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"mx.example", -1,
	    -1, 0);
	if (a->field != 0 && X509_NAME_add_entry_by_NID(name, a->field, V_ASN1_UTF8STRING,
	    (const unsigned char *)a->value, a->len > 0 ? a->len : (int)strlen(a->value), -1, 0) != 1)
		abort();
	X509_REQ_set_version(req, 0);
	X509_REQ_set_subject_name(req, name);
	X509_REQ_set_pubkey(req, key);
	if (a->ext != NULL) {
		add_extension(&x, a->ext, a->ext_value);
		X509_REQ_add_extensions(req, x);
	}
	if (a->attribute != 0)
		X509_REQ_add1_attr_by_NID(req, a->attribute, MBSTRING_ASC,
		    (const unsigned char *)"secret", -1);
	X509_REQ_sign(req, key, EVP_sha256());
	sk_X509_EXTENSION_pop_free(x, X509_EXTENSION_free);
	X509_NAME_free(name);
	return req;
}

static int
take(X509_REQ *req, struct issue *is, struct fail *f)
{
	return request_check(req, f) == -1 ? -1 : request_order(req, is, f);
}

static void
test_asked(void)
{
	static const struct ask rows[] = {
		{ .kind = FAIL_NONE },
		{ .field = NID_organizationName, .value = "\xc3\x84rzte" },
		{ .field = NID_countryName, .value = "DE" },
		{ .field = NID_countryName, .value = "de", .kind = FAIL_INPUT, .why = "upper-case" },
		{ .field = NID_organizationName, .value = "a\0b", .len = 3, .kind = FAIL_INPUT,
		    .why = "NUL" },
		{ .field = NID_organizationName, .value = "a\nb", .kind = FAIL_INPUT, .why = "control" },
		{ .field = NID_organizationName, .value = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
		    "eeeeeeeeeeffffffffff12345", .kind = FAIL_INPUT, .why = "65 characters" },
		{ .field = NID_commonName, .value = "other.example", .kind = FAIL_POLICY,
		    .why = "more than one commonName" },
		{ .field = NID_pkcs9_emailAddress, .value = "a@example", .kind = FAIL_POLICY,
		    .why = "emailAddress" },
		{ .field = NID_serialNumber, .value = "1", .kind = FAIL_POLICY, .why = "serialNumber" },
		{ .ext = "subjectAltName", .ext_value = "DNS:mx2.example,IP:2001:db8::1" },
		{ .ext = "subjectAltName", .ext_value = "DNS:*.mx.example" },
		{ .ext = "subjectAltName", .ext_value = "DNS:*.example", .kind = FAIL_INPUT,
		    .why = "left-most label" },
		{ .ext = "subjectAltName", .ext_value = "DNS:IP:192.0.2.1", .kind = FAIL_INPUT,
		    .why = "subjectAltName" },
		{ .ext = "subjectAltName", .ext_value = "email:a@example", .kind = FAIL_POLICY,
		    .why = "name of kind 1" },
		{ .ext = "subjectAltName", .ext_value = "URI:https://mx.example/", .kind = FAIL_POLICY,
		    .why = "name of kind 6" },
		{ .ext = "keyUsage", .ext_value = "digitalSignature,nonRepudiation" },
		{ .ext = "keyUsage", .ext_value = "keyCertSign", .kind = FAIL_POLICY,
		    .why = "to sign certificates" },
		{ .ext = "keyUsage", .ext_value = "cRLSign", .kind = FAIL_POLICY,
		    .why = "to sign certificates" },
		{ .ext = "extendedKeyUsage", .ext_value = "serverAuth,clientAuth" },
		{ .ext = "extendedKeyUsage", .ext_value = "codeSigning", .kind = FAIL_POLICY,
		    .why = "Code Signing" },
		{ .ext = "extendedKeyUsage", .ext_value = "anyExtendedKeyUsage", .kind = FAIL_POLICY,
		    .why = "Any Extended Key Usage" },
		{ .ext = "basicConstraints", .ext_value = "CA:FALSE" },
		{ .ext = "basicConstraints", .ext_value = "CA:TRUE", .kind = FAIL_POLICY,
		    .why = "is for a CA" },
		{ .ext = "basicConstraints", .ext_value = "CA:TRUE,pathlen:0", .flags = ISSUE_CA },
		{ .ext = "keyUsage", .ext_value = "keyCertSign", .flags = ISSUE_CA },
		{ .ext = "basicConstraints", .ext_value = "CA:FALSE", .flags = ISSUE_CA,
		    .kind = FAIL_POLICY, .why = "not for a CA" },
		{ .ext = "subjectAltName", .ext_value = "DNS:mx2.example", .flags = ISSUE_CA,
		    .kind = FAIL_POLICY, .why = "which a CA has not" },
		{ .ext = "tlsfeature", .ext_value = "status_request", .kind = FAIL_POLICY,
		    .why = "TLS Feature" },
		{ .ext = "nsComment", .ext_value = "hello", .kind = FAIL_POLICY, .why = "Netscape" },
		{ .ext = "nameConstraints", .ext_value = "permitted;DNS:example", .kind = FAIL_POLICY,
		    .why = "Name Constraints" },
		{ .attribute = NID_pkcs9_challengePassword, .kind = FAIL_POLICY,
		    .why = "challengePassword" },
		{ .attribute = NID_pkcs9_unstructuredName, .kind = FAIL_POLICY,
		    .why = "unstructuredName" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509_REQ *req = make(&rows[i]);
		struct fail f = FAIL_INIT;
		struct issue is;

		issue_init(&is);
		is.flags = rows[i].flags;
		unit_int(take(req, &is, &f), rows[i].kind == FAIL_NONE ? 0 : -1, "row %zu", i);
		unit_int(f.kind, rows[i].kind, "row %zu: %s", i, f.text);
		if (rows[i].why != NULL)
			unit_ok(strstr(f.text, rows[i].why) != NULL, "row %zu says %s", i, rows[i].why);
		issue_clear(&is);
		X509_REQ_free(req);
	}
}

/* What goes in comes out: subject and names of a request of ours. */
static void
test_round(void)
{
	struct issue in, out;
	X509_REQ *req;
	size_t i;

	issue_init(&in);
	issue_init(&out);
	issue_set(&in, ISSUE_C, "DE", NULL);
	issue_set(&in, ISSUE_ST, "Th\xc3\xbcringen", NULL);
	issue_set(&in, ISSUE_O, "Example", NULL);
	issue_set(&in, ISSUE_CN, "mx.example", NULL);
	issue_add_san(&in, "*.example.org", NULL);
	issue_add_san(&in, "2001:db8::1", NULL);
	req = issue_request(&in, key, NULL);
	unit_int(take(req, &out, NULL), 0, "a request of ours is taken");
	unit_int(out.nsan, in.nsan, "all names");
	for (i = 0; i < in.nsan && i < out.nsan; i++)
		unit_str(out.san[i].text, in.san[i].text, "name %zu", i);
	for (i = 0; i < ISSUE_FIELDS; i++)
		unit_str(out.field[i], in.field[i], "part %zu of the subject", i);
	unit_int(out.flags, ISSUE_SERVER_ONLY, "no clientAuth where none was asked for");
	X509_REQ_free(req);
	issue_clear(&out);
	issue_init(&out);
	in.flags = ISSUE_CLIENT;
	req = issue_request(&in, key, NULL);
	unit_int(take(req, &out, NULL), 0, "one for clients too");
	unit_int(out.flags, 0, "is for both");
	X509_REQ_free(req);
	issue_clear(&out);
	issue_clear(&in);
}

/* Signed by another, changed after it was signed, by a digest that is broken, of a weak key. */
static void
test_signature(void)
{
	static const struct ask plain = { .kind = FAIL_NONE };
	EVP_PKEY *other = key_generate("ec:p256", NULL);
	EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	X509_REQ *req = make(&plain);
	struct fail f = FAIL_INIT;

	unit_int(request_check(req, &f), 0, "a good one");
	X509_REQ_sign(req, other, EVP_sha256());
	unit_int(request_check(req, &f), -1, "signed by another key");
	unit_int(f.kind, FAIL_POLICY, "is refused");
	unit_str(f.text, "the request's signature is not by its own key", "with the reason");
	X509_REQ_sign(req, key, EVP_sha1());
	unit_int(request_check(req, &f), -1, "signed with SHA-1");
	unit_ok(strstr(f.text, "sha1, which is broken") != NULL, "with the reason: %s", f.text);
	X509_REQ_set_pubkey(req, weak);
	X509_REQ_sign(req, weak, EVP_sha256());
	unit_int(request_check(req, &f), -1, "of a weak key");
	unit_ok(strstr(f.text, "1024 bits is too weak") != NULL, "with the reason: %s", f.text);
	X509_REQ_free(req);
	EVP_PKEY_free(weak);
	EVP_PKEY_free(other);
}

static void
test_read(void)
{
	struct fail f = FAIL_INIT;
	static const char other[] = "-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQA=\n-----END CERTIFICATE REQUEST-----\n";

	unit_ok(request_from_pem("", 0, &f) == NULL, "nothing");
	unit_int(f.kind, FAIL_INPUT, "is no input");
	unit_ok(request_from_pem(other, strlen(other), &f) == NULL, "another structure");
	unit_int(f.kind, FAIL_INPUT, "is no request");
}

/* RSA-PSS names its digest in parameters, or by their absence. */
static void
test_pss(void)
{
	static const struct {
		const char *md;
		int rc;
	} rows[] = { { "SHA1", -1 }, { "SHA256", 0 }, { "SHA512", 0 } };
	EVP_PKEY *rsa = key_generate("rsa:2048", NULL);
	EVP_PKEY_CTX *pctx = NULL;
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509_REQ *req = make(&(struct ask){ .ext = NULL });
		EVP_MD_CTX *c = EVP_MD_CTX_new();

		pctx = NULL;
		X509_REQ_set_pubkey(req, rsa);
		if (EVP_DigestSignInit(c, &pctx, EVP_get_digestbyname(rows[i].md), NULL, rsa) != 1 ||
		    EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) != 1 ||
		    X509_REQ_sign_ctx(req, c) <= 0)
			abort();
		unit_int(X509_REQ_get_signature_nid(req), NID_rsassaPss, "RSA-PSS with %s", rows[i].md);
		unit_int(request_check(req, &f), rows[i].rc, "is judged by its digest");
		if (rows[i].rc == -1)
			unit_ok(strstr(f.text, "which is broken") != NULL, "with the reason: %s", f.text);
		EVP_MD_CTX_free(c);
		X509_REQ_free(req);
	}
	EVP_PKEY_free(rsa);
}

int
main(void)
{
	key = key_generate("ec:p256", NULL);
	test_asked();
	test_round();
	test_signature();
	test_read();
	test_pss();
	EVP_PKEY_free(key);
	return unit_done();
}
