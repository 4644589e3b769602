#include "p12.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pkcs12.h>

#include <stdlib.h>

#include "cert.h"
#include "issue.h"
#include "key.h"
#include "p12_write.h"
#include "unit.h"

static EVP_PKEY *key;
static X509 *cert, *other;

static X509 *
make(const char *cn, EVP_PKEY *k)
{
	struct issue is;
	X509 *c;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, cn, NULL);
	c = issue_self_signed(&is, k, 0, NULL);
	issue_clear(&is);
	return c;
}

static struct buf
written(enum p12_form form, const char *pass)
{
	struct p12_order o = { .form = form, .iterations = 10, .name = "mx \xe2\x82\xac", .key = key,
		.cert = cert };
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;

	unit_int(p12_write(&o, pass, &b, &f), 0, "form %d is written", form);
	return b;
}

/* Each form comes back with each passphrase, and with no other. */
static void
test_there_and_back(void)
{
	static const char *const words[] = { "secret", "", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" };
	enum p12_form form;
	size_t i;

	for (form = P12_MODERN; form <= P12_PBMAC1; form++)
		for (i = 0; i < sizeof words / sizeof words[0]; i++) {
			struct buf b = written(form, words[i]);
			struct p12 *p12 = p12_parse(b.p, b.len, NULL);
			struct fail f = FAIL_INIT;

			unit_ok(p12 != NULL && !p12->ber && p12->has_mac && p12_needs_pass(p12), "parsed");
			unit_int(p12_open(p12, words[i], strlen(words[i]), &f), 0, "opened");
			unit_int(p12->nbag, 2, "a certificate and a key");
			unit_ok(p12->nbag == 2 && p12->bag[1].key != NULL && key_same(p12->bag[1].key, key),
			    "the same key");
			unit_ok(p12->nbag == 2 && X509_cmp(p12->bag[0].cert, cert) == 0, "and its certificate");
			unit_str(p12->bag[1].name, "mx \xe2\x82\xac", "the name in UTF-8");
			unit_int(p12->bag[1].id.len, 20, "an ID");
			p12_free(p12);
			p12 = p12_parse(b.p, b.len, NULL);
			unit_int(p12_open(p12, "wrong", 5, &f), -1, "not with another passphrase");
			unit_str(f.text, "wrong passphrase", "which is said");
			unit_int(f.kind, FAIL_INPUT, "kind");
			p12_free(p12);
			buf_wipe(&b);
		}
}

/* The costs of a whole file are summed before anything of it is derived. */
static void
test_cost(void)
{
	struct pbe_cost cost = { 0, 0 };
	struct pbe pbe = { .kdf = PBE_PBKDF2, .iterations = PBE_ITERATIONS_MAX / 2 };
	struct fail f = FAIL_INIT;
	static const struct {
		uint64_t n, r, p;
		int rc;
	} rows[] = {
		{ 16384, 8, 1, 0 },
		{ 1 << 20, 2, 1, -1 },		/* 256 MiB and a block */
		{ 1 << 18, 8, 1, -1 },
		{ 1 << 17, 15, 1, 0 },
		{ 1024, 8, 1024, 0 },
		{ 1024, 8, 1025, -1 },
		{ UINT64_C(1) << 62, 1, 1, -1 },
		{ 2, UINT64_C(1) << 62, 1, -1 },
		{ 2, 1, UINT64_C(1) << 62, -1 },
		{ UINT64_C(1) << 32, UINT64_C(1) << 32, 1, -1 },
	};
	size_t i;

	unit_int(pbe_cost_add(&cost, &pbe, &f), 0, "half of it");
	unit_int(pbe_cost_add(&cost, &pbe, &f), 0, "all of it");
	pbe.iterations = 1;
	unit_int(pbe_cost_add(&cost, &pbe, &f), -1, "one too many");
	pbe.iterations = UINT64_MAX;
	unit_int(pbe_cost_add(&cost, &pbe, &f), -1, "far too many");
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		pbe = (struct pbe){ .kdf = PBE_SCRYPT, .n = rows[i].n, .r = rows[i].r, .p = rows[i].p };
		cost = (struct pbe_cost){ 0, 0 };
		unit_int(pbe_cost_add(&cost, &pbe, &f), rows[i].rc, "scrypt %llu %llu %llu",
		    (unsigned long long)rows[i].n, (unsigned long long)rows[i].r,
		    (unsigned long long)rows[i].p);
	}
	cost = (struct pbe_cost){ 0, 0 };
	pbe = (struct pbe){ .kdf = PBE_SCRYPT, .n = 1 << 17, .r = 8, .p = 1 };
	for (i = 0; i < 8; i++)
		unit_int(pbe_cost_add(&cost, &pbe, &f), 0, "128 MiB, time %zu", i + 1);
	unit_int(pbe_cost_add(&cost, &pbe, &f), -1, "once more is too much");
}

static void
test_forms(void)
{
	static const struct {
		const char *utf8;
		unsigned n;
		const char *first;	/* hexadecimal */
	} rows[] = {
		{ "", 2, "0000" },
		{ "ab", 1, "006100620000" },
		{ "\xc3\xa4", 2, "00e40000" },
		{ "\xe2\x82\xac", 2, "20ac0000" },
		{ "\xf0\x9f\x98\x80", 2, "d83dde000000" },
		{ "w\xf6rd", 1, "007700f6007200640000" },	/* not UTF-8 */
		{ "\xc3", 1, "00c30000" },
		{ "\xed\xa0\x80", 1, "00ed00a000800000" },	/* a surrogate in UTF-8 */
		{ "\xc0\x80", 1, "00c000800000" },
		{ "\xf4\x90\x80\x80", 1, "00f40090008000800000" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pbe pbe = { .kdf = PBE_PKCS12 };
		struct pbe_pass pass;
		char hex[64];

		pbe_pass_init(&pass, rows[i].utf8, strlen(rows[i].utf8));
		unit_int(pbe_forms(&pbe, &pass), rows[i].n, "forms of row %zu", i);
		text_hex(hex, (const uint8_t *)pass.form[0].p, pass.form[0].len);
		unit_str(hex, rows[i].first, "the first form of row %zu", i);
		pbe.kdf = PBE_PBKDF2;
		unit_int(pbe_forms(&pbe, &pass), 1, "PBKDF2 takes octets");
		pbe_pass_clear(&pass);
	}
}

static void
test_certs(void)
{
	STACK_OF(X509) *two = sk_X509_new_null(), *got;
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	unsigned char *der = NULL;
	struct p12 *p12;
	PKCS12 *pfx;
	int n;

	sk_X509_push(two, cert);
	sk_X509_push(two, other);
	pfx = PKCS12_create("secret", NULL, NULL, NULL, two, 0, NID_aes_128_cbc, 10, 10, 0);
	n = i2d_PKCS12(pfx, &der);
	p12 = p12_parse(der, n, &f);
	got = p12_certs(p12, "secret", 6, &f);
	unit_ok(got != NULL && sk_X509_num(got) == 2 && X509_cmp(sk_X509_value(got, 1), other) == 0,
	    "certificates alone, in the order of the file");
	cert_chain_free(got);
	p12_free(p12);
	p12 = p12_parse(der, n, &f);
	unit_ok(p12_certs(p12, "wrong", 5, &f) == NULL, "not with another passphrase");
	unit_str(f.text, "wrong passphrase", "which is said");
	p12_free(p12);
	PKCS12_free(pfx);
	OPENSSL_free(der);
	b = written(P12_MODERN, "secret");
	p12 = p12_parse(b.p, b.len, &f);
	unit_ok(p12_certs(p12, "wrong", 5, &f) == NULL, "a key is seen without the passphrase");
	unit_int(f.kind, FAIL_POLICY, "and refused");
	unit_str(f.text, "there is a private key in it: expected certificates alone", "with the reason");
	p12_free(p12);
	buf_wipe(&b);
	sk_X509_free(two);
}

static void
test_is(void)
{
	static const struct {
		const char *what, *in;
		size_t n;
		int yes;
	} rows[] = {
		{ "nothing", "", 0, 0 },
		{ "a short file", "\x30\x03\x02\x01\x03", 5, 0 },
		{ "DER", "\x30\x82\x01\x00\x02\x01\x03\x30", 8, 1 },
		{ "BER", "\x30\x80\x02\x01\x03\x30\x80\x06", 8, 1 },
		{ "another version", "\x30\x80\x02\x01\x00\x30\x80\x06", 8, 0 },
		{ "a certificate", "\x30\x82\x01\x00\x30\x82\x00\x80", 8, 0 },
		{ "a length of 127 octets", "\x30\xff\x02\x01\x03\x30\x80\x06", 8, 0 },
		{ "PEM", "text\n-----BEGIN PKCS12-----\n", 28, 1 },
		{ "PEM of something else", "-----BEGIN CERTIFICATE-----\n", 28, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		unit_int(p12_is(rows[i].in, rows[i].n), rows[i].yes, "%s", rows[i].what);
}

int
main(void)
{
	EVP_PKEY *second = key_generate("ec:p256", NULL);

	key = key_generate("ec:p256", NULL);
	cert = make("mx.example", key);
	other = make("other.example", second);
	test_there_and_back();
	test_cost();
	test_forms();
	test_certs();
	test_is();
	X509_free(cert);
	X509_free(other);
	EVP_PKEY_free(key);
	EVP_PKEY_free(second);
	return unit_done();
}
