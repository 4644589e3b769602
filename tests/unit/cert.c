#include "cert.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

#include "capture.h"
#include "issue.h"
#include "key.h"
#include "log.h"
#include "pem.h"
#include "unit.h"

#define NOW 1700000000

static EVP_PKEY *key;

static X509 *
make(const char *cn, const char *san, unsigned flags)
{
	struct issue is;
	X509 *cert;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, cn, NULL);
	issue_set(&is, ISSUE_O, "\xc3\x84rzte, \"A\" & B", NULL);
	if (san != NULL)
		issue_add_san(&is, san, NULL);
	is.flags = flags;
	cert = issue_self_signed(&is, key, NOW, NULL);
	issue_clear(&is);
	return cert;
}

static void
test_says(void)
{
	X509 *cert = make("mx.example", "2001:db8::1", 0);
	struct cert_names names;
	char fp[CERT_FINGERPRINT_SIZE], *text;

	text = cert_subject(cert);
	unit_str(text, "CN=mx.example,O=\\C3\\84rzte\\, \\\"A\\\" & B", "subject, escaped");
	free(text);
	text = cert_issuer(cert);
	unit_str(text, "CN=mx.example,O=\\C3\\84rzte\\, \\\"A\\\" & B", "issuer");
	free(text);
	text = cert_cn(cert);
	unit_str(text, "mx.example", "common name");
	free(text);
	text = cert_key_describe(cert);
	unit_str(text, "ec:p256", "key");
	free(text);
	text = cert_sig_describe(cert);
	unit_str(text, "ecdsa-with-SHA256", "signature");
	free(text);
	text = cert_serial(cert);
	unit_int(strlen(text), 40, "serial of 20 octets");
	free(text);
	unit_int(strlen(cert_fingerprint(fp, cert)), 64, "fingerprint");
	unit_int(cert_not_before(cert), NOW - 3600, "not before");
	unit_int(cert_not_after(cert), NOW + 365 * 86400, "not after");
	unit_int(cert_is_ca(cert), 0, "no CA");
	unit_int(cert_is_self_signed(cert), 1, "self-signed");
	unit_int(cert_is_demo(cert), 0, "no demonstration");
	cert_dns_names(cert, &names);
	unit_ok(names.n == 1 && names.odd == 0, "one DNS name");
	unit_str(names.v[0], "mx.example", "which is the CN");
	cert_names_clear(&names);
	cert_ip_names(cert, &names);
	unit_ok(names.n == 1 && names.odd == 0, "one address");
	unit_str(names.v[0], "2001:db8::1", "in its short form");
	cert_names_clear(&names);
	X509_free(cert);
}

static void
test_flags(void)
{
	X509 *ca = make("ca.example", NULL, ISSUE_AS_CA), *demo = make("x.example", NULL, ISSUE_DEMO);
	int err;

	unit_int(cert_is_ca(ca), 1, "CA:TRUE is seen");
	unit_int(cert_is_demo(demo), 1, "the demonstration mark is seen");
	log_init("prog");
	err = capture_begin(STDERR_FILENO);
	unit_int(cert_warn_demo("x.example", demo), 1, "it is warned of");
	unit_int(cert_warn_demo("ca.example", ca), 0, "another is not");
	unit_int(cert_warn_demo("none", NULL), 0, "nor is none");
	unit_str(capture_end(STDERR_FILENO, err), "prog: x.example: " CERT_DEMO_WARNING "\n",
	    "on stderr, once");
	X509_free(ca);
	X509_free(demo);
}

/* Hand-made names, as a hostile peer's certificate may hold them. */
static X509 *
hostile(const char *cn, size_t cn_len, const char *dns, size_t dns_len)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_IA5STRING *ia5 = ASN1_IA5STRING_new();
	X509 *cert = X509_new();

	X509_NAME_add_entry_by_NID((X509_NAME *)X509_get_subject_name(cert), NID_commonName,
	    V_ASN1_UTF8STRING, (const unsigned char *)cn, cn_len, -1, 0);
	ASN1_STRING_set(ia5, dns, dns_len);
	GENERAL_NAME_set0_value(gn, GEN_DNS, ia5);
	sk_GENERAL_NAME_push(names, gn);
	X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0);
	GENERAL_NAMES_free(names);
	X509_set_pubkey(cert, key);
	return cert;
}

static void
test_hostile(void)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} rows[] = {
		{ "mx.example", 10, "mx.example" },
		{ "mx.example\0.evil", 16, NULL },
		{ "mx.exam\nple", 11, NULL },
		{ "", 0, NULL },
		{ "m\xc3\xbc.example", 11, "m\xc3\xbc.example" },
	};
	struct cert_names names;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509 *cert = hostile(rows[i].in, rows[i].len, rows[i].in, rows[i].len);
		int plain = i == 0;
		char *cn = cert_cn(cert);

		unit_str(cn, rows[i].out, "row %zu: common name", i);
		cert_dns_names(cert, &names);
		unit_int(names.n, plain, "row %zu: names", i);
		unit_int(names.odd, !plain, "row %zu: odd names", i);
		cert_names_clear(&names);
		free(cn);
		X509_free(cert);
	}
}

static void
test_names_or_cn(void)
{
	static const struct {
		const char *cn;
		size_t odd;
		int n;
	} rows[] = {
		{ "mx.example", 0, 1 },
		{ "*.example.org", 0, 1 },
		{ "mx.example", 1, 0 },
		{ "Root", 0, 0 },
		{ "192.0.2.1", 0, 0 },
		{ "m\xc3\xbc.example", 0, 0 },
		{ NULL, 0, 0 },
	};
	struct cert_names names = CERT_NAMES_INIT;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		names.odd = rows[i].odd;
		cert_names_or_cn(&names, rows[i].cn);
		unit_int(names.n, rows[i].n, "row %zu: the common name stands in", i);
		cert_names_or_cn(&names, "mx2.example.org");
		unit_int(names.n, rows[i].odd == 0, "row %zu: but beside no other name", i);
		cert_names_clear(&names);
	}
}

static void
test_times(void)
{
	X509 *cert = X509_new();
	ASN1_TIME *t = ASN1_TIME_new();

	ASN1_STRING_set(t, "garbage", 7);
	X509_set1_notBefore(cert, t);
	X509_set1_notAfter(cert, t);
	unit_ok(cert_not_before(cert) == INT64_MAX, "a start that does not parse is never");
	unit_ok(cert_not_after(cert) == INT64_MIN, "an end that does not parse was always");
	ASN1_TIME_set_string(t, "99991231235959Z");
	X509_set1_notAfter(cert, t);
	unit_int(cert_not_after(cert), 253402300799, "no well-defined end (RFC 5280 4.1.2.5)");
	ASN1_TIME_free(t);
	X509_free(cert);
}

static void
test_read(void)
{
	X509 *one = make("one.example", NULL, 0), *two = make("two.example", NULL, 0), *got;
	struct buf pem = BUF_INIT, der = BUF_INIT;
	struct fail f = FAIL_INIT;
	STACK_OF(X509) *chain;

	cert_to_der(one, &der, NULL);
	got = cert_from_der((uint8_t *)der.p, der.len, NULL);
	unit_ok(got != NULL && X509_cmp(got, one) == 0, "from DER");
	X509_free(got);
	buf_putc(&der, 0);
	unit_ok(cert_from_der((uint8_t *)der.p, der.len, &f) == NULL, "with an octet more it is refused");
	unit_str(f.text, "octets behind the certificate", "with the reason");
	key_to_pem(key, &pem, NULL);
	pem_put_cert(&pem, one, NULL);
	pem_put_cert(&pem, two, NULL);
	got = cert_from_pem(pem.p, pem.len, NULL);
	unit_ok(got != NULL && X509_cmp(got, one) == 0, "the first of a PEM text");
	X509_free(got);
	chain = cert_chain_from_pem(pem.p, pem.len, NULL);
	unit_int(sk_X509_num(chain), 2, "all of a PEM text, keys passed over");
	unit_ok(X509_cmp(sk_X509_value(chain, 1), two) == 0, "in their order");
	cert_chain_free(chain);
	buf_wipe(&pem);
	key_to_pem(key, &pem, NULL);
	unit_ok(cert_chain_from_pem(pem.p, pem.len, &f) == NULL, "none in a key file");
	unit_str(f.text, "no certificate in it", "and it says so");
	buf_wipe(&pem);
	pem_put(&pem, "CERTIFICATE", (const uint8_t *)"0\x03\x02\x01\x01", 5);
	unit_ok(cert_chain_from_pem(pem.p, pem.len, &f) == NULL, "DER that is no certificate");
	unit_ok(strncmp(f.text, "line 1: expected a certificate: ", 32) == 0, "is named by line");
	buf_clear(&pem);
	buf_clear(&der);
	X509_free(one);
	X509_free(two);
}

/* A CA of that name and key under another; by itself where that is NULL. */
static X509 *
make_ca(const char *cn, EVP_PKEY *own, X509 *issuer, EVP_PKEY *signer, long days)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_NAME_new();
	X509_EXTENSION *ext;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), days);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_subject_name(cert, name);
	X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer) : name);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400);
	X509_set_pubkey(cert, own);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	X509_NAME_free(name);
	X509_sign(cert, signer, EVP_sha256());
	return cert;
}

static int
chain_is(const STACK_OF(X509) *chain, X509 *a, X509 *b)
{
	return sk_X509_num(chain) == (a != NULL) + (b != NULL) &&
	    (a == NULL || sk_X509_value(chain, 0) == a) && (b == NULL || sk_X509_value(chain, 1) == b);
}

static void
test_chain_order(void)
{
	EVP_PKEY *k[3] = { key_generate("ec:p256", NULL), key_generate("ec:p256", NULL),
		key_generate("ec:p256", NULL) };
	X509 *root = make_ca("root", k[0], NULL, k[0], 100);
	X509 *inter = make_ca("inter", k[1], root, k[0], 50);
	X509 *longer = make_ca("inter", k[1], root, k[0], 60);
	X509 *impostor = make_ca("inter", k[2], root, k[0], 90);
	X509 *leaf = make_ca("leaf", k[2], inter, k[1], 10);
	X509 *round = make_ca("root", k[0], inter, k[1], 99);
	STACK_OF(X509) *heap = sk_X509_new_null(), *chain, *rest;
	unsigned verified = 0;

	sk_X509_push(heap, root);
	sk_X509_push(heap, impostor);
	sk_X509_push(heap, leaf);
	sk_X509_push(heap, inter);
	sk_X509_push(heap, root);
	chain = cert_chain_order(leaf, heap, &rest, &verified);
	unit_ok(chain_is(chain, inter, root), "issuer, then the root");
	unit_ok(chain_is(rest, impostor, NULL), "one of that name with another key is left out");
	cert_chain_free(chain);
	cert_chain_free(rest);
	sk_X509_push(heap, longer);
	chain = cert_chain_order(leaf, heap, NULL, &verified);
	unit_ok(chain_is(chain, longer, root), "of two the one that is valid longer");
	cert_chain_free(chain);
	chain = cert_chain_order(root, heap, &rest, &verified);
	unit_ok(chain_is(chain, NULL, NULL), "a self-signed one has none");
	unit_int(sk_X509_num(rest), 4, "all others are left over, without the copy");
	cert_chain_free(chain);
	cert_chain_free(rest);
	sk_X509_zero(heap);
	sk_X509_push(heap, round);
	sk_X509_push(heap, inter);
	chain = cert_chain_order(leaf, heap, NULL, &verified);
	unit_ok(chain_is(chain, inter, round), "a circle ends");
	cert_chain_free(chain);
	sk_X509_free(heap);
	X509_free(root);
	X509_free(inter);
	X509_free(longer);
	X509_free(impostor);
	X509_free(leaf);
	X509_free(round);
	EVP_PKEY_free(k[0]);
	EVP_PKEY_free(k[1]);
	EVP_PKEY_free(k[2]);
}

/* A heap of CAs with the issuer's name and other keys, each valid longer than the issuer. */
static void
test_chain_effort(void)
{
	EVP_PKEY *own = key_generate("ec:p256", NULL), *other = key_generate("ec:p256", NULL);
	X509 *ca = make_ca("ca", own, NULL, own, 1), *one;
	X509 *leaf = make_ca("leaf", other, ca, own, 1);
	STACK_OF(X509) *heap = sk_X509_new_null(), *chain, *rest;
	unsigned verified = 0;
	int i;

	for (i = 0; i < 500; i++) {
		one = i % 10 == 0 ? make_ca("ca", other, NULL, own, 2 + i) : sk_X509_value(heap, i - 1);
		if (i % 10 != 0)
			X509_up_ref(one);
		sk_X509_push(heap, one);
	}
	X509_up_ref(ca);
	sk_X509_push(heap, ca);
	chain = cert_chain_order(leaf, heap, &rest, &verified);
	unit_ok(chain_is(chain, ca, NULL), "the issuer is found behind 500, which are 50");
	unit_int(sk_X509_num(rest), 50, "the rest without copies");
	unit_int(verified, 51, "a signature for each that is another");
	unit_ok(X509_cmp(sk_X509_value(rest, 0), sk_X509_value(heap, 0)) == 0 &&
	    X509_cmp(sk_X509_value(rest, 49), sk_X509_value(heap, 490)) == 0, "in their order");
	cert_chain_free(chain);
	cert_chain_free(rest);
	for (i = 0; i < CERT_VERIFIED_MAX; i++)
		sk_X509_push(heap, make_ca("ca", other, NULL, own, 1000 + i));
	chain = cert_chain_order(leaf, heap, NULL, &verified);
	unit_ok(chain_is(chain, NULL, NULL), "behind too many it is not looked for");
	unit_int(verified, CERT_VERIFIED_MAX, "chains before it count");
	unit_int(cert_warn_verified(NULL, verified), 1, "which is told");
	unit_int(cert_warn_verified(NULL, verified - 1), 0, "and only then");
	cert_chain_free(chain);
	cert_chain_free(heap);
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(own);
	EVP_PKEY_free(other);
}

static void
test_of_key(void)
{
	EVP_PKEY *ca_key = key_generate("ec:p256", NULL), *other = key_generate("ec:p256", NULL);
	X509 *ca = make_ca("ca", ca_key, NULL, ca_key, 100);
	X509 *self = make_ca("mx", key, NULL, key, 90);
	X509 *first = make_ca("mx", key, ca, ca_key, 10);
	X509 *later = make_ca("mx", key, ca, ca_key, 20);
	STACK_OF(X509) *heap = sk_X509_new_null();

	unit_ok(cert_of_key(key, heap) == NULL && cert_chain_drop_root(heap) == NULL, "nothing of nothing");
	sk_X509_push(heap, ca);
	sk_X509_push(heap, self);
	unit_ok(cert_of_key(key, heap) == self, "a self-issued one where there is no other");
	unit_ok(cert_of_key(other, heap) == NULL, "none of another key");
	sk_X509_push(heap, first);
	unit_ok(cert_of_key(key, heap) == first, "the CA's comes before it");
	sk_X509_push(heap, later);
	unit_ok(cert_of_key(key, heap) == later, "of two the one that is valid longer");
	X509_gmtime_adj(X509_getm_notBefore(first), 3600);
	unit_ok(cert_of_key(key, heap) == first, "but the newest before that");
	unit_ok(cert_chain_drop_root(heap) == NULL && sk_X509_num(heap) == 4, "no root at the end");
	sk_X509_push(heap, ca);
	unit_ok(cert_chain_drop_root(heap) == ca && sk_X509_num(heap) == 4, "a root at the end");
	sk_X509_free(heap);
	X509_free(ca);
	X509_free(self);
	X509_free(first);
	X509_free(later);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(other);
}

int
main(void)
{
	key = key_generate("ec:p256", NULL);
	test_says();
	test_flags();
	test_hostile();
	test_names_or_cn();
	test_times();
	test_read();
	test_chain_order();
	test_chain_effort();
	test_of_key();
	EVP_PKEY_free(key);
	return unit_done();
}
