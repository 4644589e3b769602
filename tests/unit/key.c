#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "key.h"
#include "pem.h"
#include "unit.h"

static void
test_generate(void)
{
	static const struct {
		const char *type, *describes;
	} rows[] = {
		{ "ec:p256", "ec:p256" },
		{ "EC:P384", "ec:p384" },
		{ "rsa:2048", "rsa:2048" },
		{ "rsa:3072", "rsa:3072" },
		{ "ed25519", "ed25519" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf a = BUF_INIT, b = BUF_INIT, spki = BUF_INIT;
		struct fail f = FAIL_INIT;
		EVP_PKEY *key = key_generate(rows[i].type, &f), *again = NULL;
		char *name;

		unit_ok(key != NULL, "%s is made", rows[i].type);
		if (key == NULL)
			continue;
		name = key_describe(key);
		unit_str(name, rows[i].describes, "%s is described", rows[i].type);
		unit_int(key_check_strength(key, &f), 0, "%s is strong enough", rows[i].type);
		unit_int(key_to_pem(key, &a, &f), 0, "%s is written", rows[i].type);
		unit_ok(strncmp(a.p, "-----BEGIN PRIVATE KEY-----\n", 28) == 0, "as PKCS#8");
		again = key_from_pem(a.p, a.len, &f);
		unit_ok(again != NULL && key_same(key, again), "and read again the same");
		unit_int(key_to_pem(again, &b, &f), 0, "and written again");
		unit_str(b.p, a.p, "byte for byte");
		unit_int(key_spki(key, &spki, &f), 0, "its SubjectPublicKeyInfo");
		unit_ok(spki.len > 40 && (unsigned char)spki.p[0] == 0x30, "is a SEQUENCE");
		free(name);
		buf_wipe(&a);
		buf_wipe(&b);
		buf_clear(&spki);
		EVP_PKEY_free(again);
		EVP_PKEY_free(key);
	}
}

static void
test_refused(void)
{
	static const struct {
		const char *type, *text;
	} rows[] = {
		{ "rsa:1024", "rsa:1024: too weak, keys of 1024 bits can be broken and peers refuse them; "
		    "expected rsa:2048 or more" },
		{ "", ": no such key type; expected one of " KEY_TYPES },
		{ "rsa:2047", "rsa:2047: no such key type; expected one of " KEY_TYPES },
		{ "ec:p256 ", "ec:p256 : no such key type; expected one of " KEY_TYPES },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;

		unit_ok(key_generate(rows[i].type, &f) == NULL, "\"%s\" is refused", rows[i].type);
		unit_int(f.kind, FAIL_INPUT, "as wrong input");
		unit_str(f.text, rows[i].text, "with the reason");
	}
}

/* What OpenSSL has not must be said so; what it has must work. */
static void
test_ml_dsa(void)
{
	struct fail f = FAIL_INIT;
	EVP_PKEY *key = key_generate("ml-dsa:65", &f);
	int has = OPENSSL_version_major() > 3 ||
	    (OPENSSL_version_major() == 3 && OPENSSL_version_minor() >= 5);
	char *name = key != NULL ? key_describe(key) : NULL;

	unit_int(key != NULL, has, "ml-dsa:65 exactly where OpenSSL has it");
	unit_str(name, has ? "ml-dsa:65" : NULL, "described so");
	unit_ok(has || strstr(f.text, "not in the OpenSSL that is in use") != NULL, "or refused so");
	free(name);
	EVP_PKEY_free(key);
}

static void
test_strength(void)
{
	struct fail f = FAIL_INIT;
	EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *odd = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
	EVP_PKEY *p521 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
	EVP_PKEY *x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	char *name;

	unit_int(key_check_strength(weak, &f), -1, "RSA 1024 is refused");
	unit_int(f.kind, FAIL_POLICY, "by a rule");
	unit_str(f.text, "an RSA key of 1024 bits is too weak; expected at least 2048", "with the reason");
	unit_int(key_check_strength(odd, &f), -1, "an odd curve is refused");
	name = key_describe(odd);
	unit_str(name, "ec:secp256k1", "and named");
	free(name);
	unit_int(key_check_strength(p521, &f), 0, "P-521 is accepted");
	unit_int(key_check_strength(x25519, &f), -1, "a key that cannot sign is refused");
	unit_int(key_same(weak, odd), 0, "keys of two types differ");
	unit_ok(key_get0_digest(p521) == EVP_sha512(), "P-521 signs with SHA-512");
	unit_ok(key_get0_digest(weak) == EVP_sha256(), "RSA signs with SHA-256");
	EVP_PKEY_free(weak);
	EVP_PKEY_free(odd);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(x25519);
}

static const char encrypted[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAYEAQAEAQA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
static const char old_encrypted[] =
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"
    "AAAA\n-----END EC PRIVATE KEY-----\n";

static void
test_read(void)
{
	static const struct {
		const char *pem, *text;
	} rows[] = {
		{ "", "empty" },
		{ "hello\n", "neither PEM nor DER: expected a -----BEGIN line" },
		{ encrypted, "line 1: the private key is encrypted; expected one without a passphrase" },
		{ old_encrypted, "line 1: the private key is encrypted; expected one without a passphrase" },
		{ "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "no private key in it" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;

		unit_ok(key_from_pem(rows[i].pem, strlen(rows[i].pem), &f) == NULL, "row %zu", i);
		unit_int(f.kind, FAIL_INPUT, "is wrong input");
		unit_str(f.text, rows[i].text, "with the reason");
	}
}

/* The older forms of a key, in PEM and DER. */
static void
test_forms(void)
{
	EVP_PKEY *key = key_generate("rsa:2048", NULL), *got = NULL;
	struct buf pem = BUF_INIT;
	unsigned char *der = NULL;
	int n = i2d_PrivateKey(key, &der);

	got = key_from_pem(der, n, NULL);
	unit_ok(got != NULL && key_same(key, got), "PKCS#1 in DER");
	EVP_PKEY_free(got);
	pem_put(&pem, "RSA PRIVATE KEY", der, n);
	got = key_from_pem(pem.p, pem.len, NULL);
	unit_ok(got != NULL && key_same(key, got), "PKCS#1 in PEM");
	EVP_PKEY_free(got);
	unit_ok(key_from_pem(der, n - 1, NULL) == NULL, "truncated DER");
	OPENSSL_free(der);
	buf_wipe(&pem);
	EVP_PKEY_free(key);
}

static void
put_der(struct buf *b, int tag, const void *p, size_t len)
{
	buf_printf(b, "%c%c%c%c", tag, 0x82, (int)(len >> 8), (int)(len & 0xff));
	buf_add(b, p, len);
}

static void
put_numbers(struct buf *b, const char *p, size_t len, int n)
{
	while (n-- > 0)
		put_der(b, 0x02, p, len);
}

/* A DSA key of 20000 bits, as PKCS#8 and as OpenSSL has its own: powers of that are not computed. */
static void
test_huge_dsa(void)
{
	static const char version[] = { 2, 1, 0 };
	static const char oid[] = { 6, 7, 0x2a, (char)0x86, 0x48, (char)0xce, 0x38, 4, 1 };
	struct buf numbers = BUF_INIT, type = BUF_INIT, key = BUF_INIT, all = BUF_INIT, secret = BUF_INIT;
	char huge[2500];

	memset(huge, 0x7f, sizeof huge);
	put_numbers(&numbers, huge, sizeof huge, 3);
	buf_add(&type, oid, sizeof oid);
	put_der(&type, 0x30, numbers.p, numbers.len);
	put_numbers(&secret, huge, sizeof huge, 1);
	buf_add(&key, version, sizeof version);
	put_der(&key, 0x30, type.p, type.len);
	put_der(&key, 0x04, secret.p, secret.len);
	put_der(&all, 0x30, key.p, key.len);
	alarm(20);
	unit_ok(key_from_pem(all.p, all.len, NULL) == NULL, "a DSA key in PKCS#8");
	buf_clear(&key);
	buf_clear(&all);
	buf_add(&key, version, sizeof version);
	put_numbers(&key, huge, sizeof huge, 4);
	put_der(&all, 0x30, key.p, key.len);
	unit_ok(key_from_pem(all.p, all.len, NULL) == NULL, "a DSA key in its own form");
	alarm(0);
	buf_clear(&numbers);
	buf_clear(&type);
	buf_clear(&secret);
	buf_clear(&key);
	buf_clear(&all);
}

/* What OpenSSL makes and we have no use for. */
static void
test_types(void)
{
	static const struct {
		const char *type;
		int taken;
	} rows[] = { { "X25519", 0 }, { "X448", 0 }, { "ED25519", 1 }, { "ED448", 1 } };
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, rows[i].type), *got;
		unsigned char *der = NULL;
		int n = i2d_PrivateKey(key, &der);

		got = key_from_pem(der, n, NULL);
		unit_int(got != NULL, rows[i].taken, "%s", rows[i].type);
		EVP_PKEY_free(got);
		OPENSSL_free(der);
		EVP_PKEY_free(key);
	}
}

int
main(void)
{
	test_huge_dsa();
	test_types();
	test_generate();
	test_refused();
	test_ml_dsa();
	test_strength();
	test_read();
	test_forms();
	return unit_done();
}
