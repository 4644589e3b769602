/* Clients' certificates held against what a listener asks: rows of what it lists, and what is shown. */
#include "client_cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <time.h>

#include "alloc.h"
#include "cert.h"
#include "unit.h"

enum who { NOBODY, CLIENT, STRANGER, SERVER, WHO };

static X509 *root, *certs[WHO];
static struct trust *trust;

static void
extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	if (e == NULL || X509_add_ext(x, e, -1) != 1)
		abort();
	X509_EXTENSION_free(e);
}

/* Of the CA where issuer is not NULL, else by itself. */
static X509 *
make(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *by, const char *eku)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer != NULL ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer) : name);
	X509_set_pubkey(x, key);
	extend(x, NID_basic_constraints, eku == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (eku != NULL) {
		extend(x, NID_ext_key_usage, eku);
		extend(x, NID_subject_alt_name, "DNS:mta.client.test");
	}
	if (X509_sign(x, by, EVP_sha256()) == 0)
		abort();
	return x;
}

static void
make_all(void)
{
	EVP_PKEY *ca = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	BIO *b = BIO_new(BIO_s_mem());
	char *pem;
	long n;

	root = make("root", ca, NULL, ca, NULL);
	certs[CLIENT] = make("client", key, root, ca, "clientAuth");
	certs[SERVER] = make("server", key, root, ca, "serverAuth");
	certs[STRANGER] = make("stranger", key, NULL, key, "clientAuth");
	PEM_write_bio_X509(b, root);
	n = BIO_get_mem_data(b, &pem);
	if ((trust = trust_from_pem(pem, n, NULL)) == NULL)
		abort();
	BIO_free(b);
	EVP_PKEY_free(ca);
	EVP_PKEY_free(key);
}

#define LISTED 2	/* in place of a fingerprint: that of who is shown */

static const struct {
	const char *name;
	enum conf_client_cert cert;
	const char *allow;
	int fingerprint;	/* 1: another's */
	enum who who;
	const char *want;	/* client_cert_text() */
	int suffices;
} rows[] = {
	{ "not asked", CONF_CLIENT_CERT_NO, NULL, 0, CLIENT, NULL, 1 },
	{ "none shown", CONF_CLIENT_CERT_PREFERRED, NULL, 0, NOBODY, "none", 1 },
	{ "none shown, required", CONF_CLIENT_CERT_REQUIRED, NULL, 0, NOBODY, "none", 0 },
	{ "of the CA", CONF_CLIENT_CERT_REQUIRED, NULL, 0, CLIENT, "verified CN=client", 1 },
	{ "of nobody, preferred", CONF_CLIENT_CERT_PREFERRED, NULL, 0, STRANGER, "not verified unknown-ca", 1 },
	{ "of nobody, required", CONF_CLIENT_CERT_REQUIRED, NULL, 0, STRANGER, "not verified unknown-ca", 0 },
	{ "for servers alone", CONF_CLIENT_CERT_REQUIRED, NULL, 0, SERVER, "not verified purpose", 0 },
	{ "its name", CONF_CLIENT_CERT_REQUIRED, "mta.client.test", 0, CLIENT, "verified mta.client.test", 1 },
	{ "another name", CONF_CLIENT_CERT_REQUIRED, "client", 0, CLIENT, "not verified name", 0 },
	{ "its name, of nobody", CONF_CLIENT_CERT_REQUIRED, "mta.client.test", 0, STRANGER, "not verified unknown-ca", 0 },
	{ "pinned, of nobody", CONF_CLIENT_CERT_REQUIRED, NULL, LISTED, STRANGER, "verified CN=stranger", 1 },
	{ "another pinned", CONF_CLIENT_CERT_REQUIRED, NULL, 1, CLIENT, "not verified name", 0 },
	{ "another pinned, its name", CONF_CLIENT_CERT_REQUIRED, "mta.client.test", 1, CLIENT, "verified mta.client.test", 1 },
	{ "another pinned and named", CONF_CLIENT_CERT_REQUIRED, "x.test", 1, CLIENT, "not verified name", 0 },
};

static void
test_row(size_t i, const struct trust *t)
{
	char *name[] = { (char *)rows[i].allow }, fp[CERT_FINGERPRINT_SIZE] = "00", *fingerprint[] = { fp }, *text;
	struct conf_client conf = { .cert = rows[i].cert, .name = name, .nnames = rows[i].allow != NULL,
		.fingerprint = fingerprint, .nfingerprints = rows[i].fingerprint != 0 };
	struct tls_info info = { .cert = certs[rows[i].who], .chain = sk_X509_new_null() };
	struct client_cert got;

	if (info.cert != NULL)
		sk_X509_push(info.chain, info.cert);
	if (rows[i].fingerprint == LISTED)
		cert_fingerprint(fp, info.cert);
	client_cert_judge(&conf, &info, t, time(NULL), &got);
	text = client_cert_text(&got);
	if (t != NULL) {
		unit_str(text, rows[i].want, "%s", rows[i].name);
		unit_int(client_cert_suffices(&conf, &got), rows[i].suffices, "%s: suffices", rows[i].name);
		unit_int(got.why != NULL, got.verdict == CLIENT_BAD, "%s: a reason", rows[i].name);
	} else
		unit_ok(got.verdict != CLIENT_GOOD || rows[i].fingerprint == LISTED, "%s: no list of CAs", rows[i].name);
	free(text);
	client_cert_clear(&got);
	sk_X509_free(info.chain);
}

int
main(void)
{
	size_t i;
	int who;

	make_all();
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		test_row(i, trust);
		test_row(i, NULL);
	}
	for (who = CLIENT; who < WHO; who++)
		X509_free(certs[who]);
	X509_free(root);
	trust_free(trust);
	return unit_done();
}
