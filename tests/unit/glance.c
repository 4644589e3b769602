#include "glance.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdlib.h>

#include "cert.h"
#include "issue.h"
#include "key.h"
#include "pem.h"
#include "unit.h"

static X509 *
make(EVP_PKEY *key)
{
	struct issue is;
	X509 *cert;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	issue_add_san(&is, "192.0.2.1", NULL);
	is.flags = ISSUE_DEMO;
	cert = issue_self_signed(&is, key, 1700000000, NULL);
	issue_clear(&is);
	return cert;
}

/* Both ways to read say the same, but for the key. */
static void
test_same(const char *type, EVP_PKEY *key, const char *want)
{
	char a[CERT_FINGERPRINT_SIZE], b[CERT_FINGERPRINT_SIZE], *s, *t;
	X509 *whole = make(key), *glanced;
	struct buf pem = BUF_INIT;
	struct cert_names names;

	pem_put_cert(&pem, whole, NULL);
	glanced = glance_cert(pem.p, pem.len, NULL);
	unit_ok(glanced != NULL, "%s is read", type);
	unit_ok(X509_get0_pubkey(glanced) == NULL, "without its key");
	unit_str(cert_fingerprint(a, glanced), cert_fingerprint(b, whole), "fingerprint");
	s = cert_subject(glanced);
	t = cert_subject(whole);
	unit_str(s, t, "subject");
	free(s);
	free(t);
	unit_int(cert_not_after(glanced), cert_not_after(whole), "end");
	cert_dns_names(glanced, &names);
	unit_ok(names.n == 1 && strcmp(names.v[0], "mx.example") == 0, "names");
	cert_names_clear(&names);
	unit_ok(cert_is_demo(glanced), "demonstration");
	s = glance_key(glanced);
	unit_str(s, want, "type of key");
	free(s);
	s = glance_key(whole);
	unit_str(s, want, "also of a whole certificate");
	free(s);
	X509_free(glanced);
	X509_free(whole);
	buf_clear(&pem);
}

static void
test_types(void)
{
	static const char *const types[] = { "ec:p256", "ec:p384", "rsa:2048", "rsa:3072", "ed25519" };
	EVP_PKEY *key;
	size_t i;

	for (i = 0; i < sizeof types / sizeof types[0]; i++) {
		key = key_generate(types[i], NULL);
		test_same(types[i], key, types[i]);
		EVP_PKEY_free(key);
	}
	key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
	test_same("ec:p521", key, "ec:p521");
	EVP_PKEY_free(key);
	/* One that it leaves to OpenSSL. */
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	test_same("ed448", key, "ed448");
	EVP_PKEY_free(key);
}

static void
check_bad(const char *text, size_t len, const char *want)
{
	struct fail f = FAIL_INIT;

	unit_ok(glance_cert(text, len, &f) == NULL, "refused");
	unit_int(f.kind, FAIL_INPUT, "as input");
	unit_str(f.text, want, "and told why");
}

static void
test_bad(void)
{
	static const char odd[] = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
	static const char key[] = "-----BEGIN PUBLIC KEY-----\nMAMCAQE=\n-----END PUBLIC KEY-----\n";
	struct fail f = FAIL_INIT, g = FAIL_INIT;

	check_bad(key, sizeof key - 1, "no certificate in it");
	check_bad("", 0, "empty");
	unit_ok(glance_cert(odd, sizeof odd - 1, &f) == NULL && cert_from_pem(odd, sizeof odd - 1, &g) == NULL,
	    "what is no certificate");
	unit_str(f.text, g.text, "is refused in the same words");
}

int
main(void)
{
	test_types();
	test_bad();
	return unit_done();
}
