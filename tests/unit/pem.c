#include "pem.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include <stdlib.h>

#include "issue.h"
#include "key.h"
#include "unit.h"

#define BLOCK(label, body) "-----BEGIN " label "-----\n" body "\n-----END " label "-----\n"

static void
test_read(void)
{
	/* MAMCAQA= is the SEQUENCE { INTEGER 0 }. */
	static const struct {
		const char *what, *in;
		unsigned n, line;	/* objects, and the line of the last one */
		const char *error;
	} rows[] = {
		{ "one block", BLOCK("X", "MAMCAQA="), 1, 1, NULL },
		{ "two blocks", BLOCK("X", "MAMCAQA=") BLOCK("Y", "MAMCAQA="), 2, 4, NULL },
		{ "a byte-order mark", "\xef\xbb\xbf" BLOCK("X", "MAMCAQA="), 1, 1, NULL },
		{ "CR LF", "-----BEGIN X-----\r\nMAMCAQA=\r\n-----END X-----\r\n", 1, 1, NULL },
		{ "no final newline", "-----BEGIN X-----\nMAMCAQA=\n-----END X-----", 1, 1, NULL },
		{ "text around", "Subject: a\n" BLOCK("X", "MAMCAQA=") "\nmore\n" BLOCK("Y", "MAMCAQA=") "end",
		    2, 7, NULL },
		{ "text that begins with 0", "0 is text\n" BLOCK("X", "MAMCAQA="), 1, 2, NULL },
		{ "blanks and short lines", BLOCK("X", " MAM\n CAQ\t\n\nA=  "), 1, 1, NULL },
		{ "headers", BLOCK("X", "Comment: a\n\nMAMCAQA="), 1, 1, NULL },
		{ "an empty label", BLOCK("", "MAMCAQA="), 1, 1, NULL },
		{ "nothing", "", 0, 0, "empty" },
		{ "text only", "hello\n", 0, 0, "neither PEM nor DER: expected a -----BEGIN line" },
		{ "no END", "-----BEGIN X-----\nMAMCAQA=\n", 0, 0,
		    "line 2: no -----END X----- before the end" },
		{ "another END", "\n-----BEGIN X-----\nMAMCAQA=\n-----END Y-----\n", 0, 0,
		    "line 4: expected -----END X-----" },
		{ "BEGIN within", "-----BEGIN X-----\nMAMCAQA=\n" BLOCK("X", "MAMCAQA="), 0, 0,
		    "line 3: expected -----END X-----" },
		{ "a short BEGIN", "-----BEGIN X---\nMAMCAQA=\n", 0, 0,
		    "line 1: expected ----- at the end of the line" },
		{ "not base64", BLOCK("X", "MAMC!QA="), 0, 0,
		    "line 2: expected base64, found a character that is not" },
		{ "an octet over 127", BLOCK("X", "MAMC\xc3QA="), 0, 0,
		    "line 2: expected base64, found a character that is not" },
		{ "cut base64", BLOCK("X", "MAMCAQA"), 0, 0,
		    "line 3: base64 ends in the middle of a group of four" },
		{ "too much padding", BLOCK("X", "MAMCAQA=="), 0, 0, "line 2: misplaced = in base64" },
		{ "base64 behind padding", BLOCK("X", "MAMCAQA=AAAA"), 0, 0,
		    "line 2: base64 goes on after its =" },
		{ "bits left over", BLOCK("X", "MAMCAQB="), 0, 0,
		    "line 3: base64 ends in bits that are not zero" },
		{ "an empty block", BLOCK("X", ""), 0, 0,
		    "line 1: the X block does not hold one whole object" },
		{ "DER cut short", BLOCK("X", "MAQCAQA="), 0, 0,
		    "line 1: the X block does not hold one whole object" },
		{ "octets behind the object", BLOCK("X", "MAMCAQAA"), 0, 0,
		    "line 1: the X block does not hold one whole object" },
		{ "a length of four gigabytes", BLOCK("X", "MIT/////"), 0, 0,
		    "line 1: the X block does not hold one whole object" },
		{ "an indefinite length", BLOCK("X", "MIACAQAAAA=="), 0, 0,
		    "line 1: the X block does not hold one whole object" },
		{ "DER that is nothing we know", "0\x03\x02\x01\x01", 0, 0,
		    "neither PEM nor one whole DER certificate, request or key" },
		{ "the second block damaged", BLOCK("X", "MAMCAQA=") BLOCK("X", "MAMCAQA"), 0, 0,
		    "line 6: base64 ends in the middle of a group of four" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct pem_list list;
		int rc = pem_read(rows[i].in, strlen(rows[i].in), &list, &f);

		unit_int(list.n, rows[i].n, "%s: objects", rows[i].what);
		unit_str(rc == -1 ? f.text : NULL, rows[i].error, "%s: failure", rows[i].what);
		unit_int(f.kind, rc == -1 ? FAIL_INPUT : FAIL_NONE, "%s: kind", rows[i].what);
		if (rc == 0) {
			unit_int(list.v[list.n - 1].line, rows[i].line, "%s: line", rows[i].what);
			unit_ok(list.v[0].len == 5 && memcmp(list.v[0].der, "0\x03\x02\x01", 5) == 0,
			    "%s: octets", rows[i].what);
		}
		pem_list_clear(&list);
	}
}

static void
test_labels(void)
{
	static const struct {
		const char *label;
		int cert, key, request, public;
	} rows[] = {
		{ "CERTIFICATE", 1, 0, 0, 0 },
		{ "X509 CERTIFICATE", 1, 0, 0, 0 },
		{ "TRUSTED CERTIFICATE", 1, 0, 0, 0 },
		{ "PRIVATE KEY", 0, 1, 0, 0 },
		{ "EC PRIVATE KEY", 0, 1, 0, 0 },
		{ "ENCRYPTED PRIVATE KEY", 0, 1, 0, 0 },
		{ "CERTIFICATE REQUEST", 0, 0, 1, 0 },
		{ "NEW CERTIFICATE REQUEST", 0, 0, 1, 0 },
		{ "PUBLIC KEY", 0, 0, 0, 1 },
		{ "DH PARAMETERS", 0, 0, 0, 0 },
		{ "", 0, 0, 0, 0 },
	};
	struct pem_item item = { .line = 1 };
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		strcpy(item.label, rows[i].label);
		unit_int(pem_is_cert(&item), rows[i].cert, "%s a certificate?", rows[i].label);
		unit_int(pem_is_key(&item), rows[i].key, "%s a key?", rows[i].label);
		unit_int(pem_is_request(&item), rows[i].request, "%s a request?", rows[i].label);
		unit_int(pem_is_public_key(&item), rows[i].public, "%s a public key?", rows[i].label);
	}
}

/* Each kind of DER object is recognised, written as PEM and read again. */
static void
test_der(void)
{
	EVP_PKEY *key = key_generate("ec:p256", NULL);
	X509_REQ *req = X509_REQ_new();
	struct issue is;
	X509 *cert;
	struct {
		const char *label;
		unsigned char *der;
		int n;
	} rows[] = {
		{ "CERTIFICATE", NULL, 0 },
		{ "CERTIFICATE REQUEST", NULL, 0 },
		{ "PUBLIC KEY", NULL, 0 },
		{ "PRIVATE KEY", NULL, 0 },
	};
	size_t i;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	cert = issue_self_signed(&is, key, 0, NULL);
	X509_REQ_set_pubkey(req, key);
	X509_REQ_sign(req, key, EVP_sha256());
	rows[0].n = i2d_X509(cert, &rows[0].der);
	rows[1].n = i2d_X509_REQ(req, &rows[1].der);
	rows[2].n = i2d_PUBKEY(key, &rows[2].der);
	rows[3].n = i2d_PrivateKey(key, &rows[3].der);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pem_list list, again;
		struct buf b = BUF_INIT;

		unit_int(pem_read(rows[i].der, rows[i].n, &list, NULL), 0, "%s in DER", rows[i].label);
		unit_int(list.n, 1, "is one object");
		unit_str(list.v[0].label, rows[i].label, "of that kind");
		unit_int(list.v[0].line, 0, "without a line");
		pem_put(&b, rows[i].label, rows[i].der, rows[i].n);
		unit_int(pem_read(b.p, b.len, &again, NULL), 0, "and in PEM");
		unit_ok(again.v[0].len == list.v[0].len &&
		    memcmp(again.v[0].der, list.v[0].der, list.v[0].len) == 0, "the same octets");
		pem_list_clear(&list);
		unit_int(pem_read(rows[i].der, rows[i].n - 1, &list, NULL), -1, "cut short it is refused");
		pem_list_clear(&again);
		buf_clear(&b);
		OPENSSL_free(rows[i].der);
	}
	issue_clear(&is);
	X509_free(cert);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
}

/* A bundle of ten thousand is read whole; one object over the limit is refused. */
static void
test_many(void)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct pem_list list;
	int i;

	for (i = 0; i < PEM_ITEMS_MAX; i++)
		buf_puts(&b, BLOCK("X", "MAMCAQA="));
	unit_int(pem_read(b.p, b.len, &list, NULL), 0, "as many as may be");
	unit_int(list.n, PEM_ITEMS_MAX, "are read");
	pem_list_clear(&list);
	buf_puts(&b, BLOCK("X", "MAMCAQA="));
	unit_int(pem_read(b.p, b.len, &list, &f), -1, "one more is refused");
	unit_str(f.text, "line 150001: more than 50000 objects", "by line");
	buf_clear(&b);
	buf_puts(&b, "-----BEGIN X-----\n");
	for (i = 0; i < PEM_OBJECT_MAX / 48 + 2; i++)
		buf_puts(&b, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	unit_int(pem_read(b.p, b.len, &list, &f), -1, "an object too large is refused");
	unit_ok(strstr(f.text, "an object larger than 1048576 octets") != NULL, "with the limit");
	buf_clear(&b);
}

/* ---- PKCS#7 ---- */

static X509 *
new_cert(const char *cn)
{
	EVP_PKEY *key = key_generate("ec:p256", NULL);
	struct issue is;
	X509 *cert;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, cn, NULL);
	cert = issue_self_signed(&is, key, 0, NULL);
	issue_clear(&is);
	EVP_PKEY_free(key);
	return cert;
}

/* A message with these certificates and nothing signed; n 0: none of them. */
static int
make_pkcs7(X509 **certs, int n, unsigned char **der)
{
	PKCS7 *p7 = PKCS7_new();
	int i, len;

	PKCS7_set_type(p7, NID_pkcs7_signed);
	PKCS7_content_new(p7, NID_pkcs7_data);
	for (i = 0; i < n; i++)
		PKCS7_add_certificate(p7, certs[i]);
	len = i2d_PKCS7(p7, der);
	PKCS7_free(p7);
	return len;
}

static void
has_certs(const void *p, size_t len, int n, const char *what)
{
	struct pem_list list;
	struct fail f = FAIL_INIT;
	STACK_OF(X509) *all = NULL;

	unit_int(pem_read(p, len, &list, &f), 0, "%s is read", what);
	unit_ok(list.n == 1 && pem_is_pkcs7(&list.v[0]) && !pem_is_cert(&list.v[0]),
	    "%s is PKCS#7", what);
	if (list.n == 1)
		all = pem_get1_pkcs7(&list.v[0], &f);
	unit_int(all != NULL ? sk_X509_num(all) : 0, n, "%s: certificates", what);
	if (n == 0)
		unit_ok(strstr(f.text, "no certificate in the PKCS#7 message") != NULL,
		    "%s: %s", what, f.text);
	sk_X509_pop_free(all, X509_free);
	pem_list_clear(&list);
}

/* What Microsoft's programs write: SEQUENCE and the rest of indefinite length. */
static void
test_pkcs7_ber(const unsigned char *der, int len)
{
	/* SEQUENCE (82 xx xx) { OID, [0] (82 xx xx) ...: only the outer one is rewritten. */
	unsigned char *ber = malloc(len + 2);
	struct pem_list list;
	struct buf b = BUF_INIT;

	ber[0] = 0x30;
	ber[1] = 0x80;
	memcpy(ber + 2, der + 4, len - 4);
	memset(ber + len - 2, 0, 2);
	has_certs(ber, len, 2, "indefinite length");
	pem_put(&b, "PKCS7", ber, len);
	has_certs(b.p, b.len, 2, "indefinite length in PEM");
	unit_int(pem_read(ber, len - 1, &list, NULL), 0, "its end cut off");
	unit_ok(pem_get1_pkcs7(&list.v[0], NULL) == NULL, "that is found in decoding");
	pem_list_clear(&list);
	buf_clear(&b);
	free(ber);
}

static void
test_pkcs7(void)
{
	static const char *const labels[] = { "PKCS7", "PKCS #7 SIGNED DATA", "CMS" };
	X509 *certs[2] = { new_cert("a.example"), new_cert("b.example") };
	unsigned char *der = NULL, *empty = NULL;
	int len = make_pkcs7(certs, 2, &der), n = make_pkcs7(certs, 0, &empty);
	struct pem_item cut = { .label = "PKCS7", .line = 3, .der = der, .len = len - 1 };
	struct fail f = FAIL_INIT;
	size_t i;

	has_certs(der, len, 2, "DER");
	has_certs(empty, n, 0, "DER without certificates");
	for (i = 0; i < sizeof labels / sizeof labels[0]; i++) {
		struct buf b = BUF_INIT;

		pem_put(&b, labels[i], der, len);
		has_certs(b.p, b.len, 2, labels[i]);
		buf_clear(&b);
	}
	unit_ok(pem_get1_pkcs7(&cut, &f) == NULL && strncmp(f.text, "line 3: ", 8) == 0,
	    "cut short: %s", f.text);
	test_pkcs7_ber(der, len);
	OPENSSL_free(der);
	OPENSSL_free(empty);
	X509_free(certs[0]);
	X509_free(certs[1]);
}

/* ---- going on behind damage ---- */

static void
note_bad(void *arg, const char *label, const struct fail *f)
{
	buf_printf(arg, "%s/%s;", label, f->text);
}

#define GOOD(label) BLOCK(label, "MAMCAQA=")

static void
test_some(void)
{
	static const struct {
		const char *what, *in, *good, *bad;
	} rows[] = {
		{ "none damaged", GOOD("X") GOOD("Y"), "X1 Y4 ", "" },
		{ "one within", GOOD("X") BLOCK("Y", "MAMC!QA=") GOOD("Z"), "X1 Z7 ",
		    "Y/line 5: expected base64, found a character that is not;" },
		{ "no END before the next", "-----BEGIN X-----\nMAMCAQA=\n" GOOD("Y"), "Y3 ",
		    "X/line 3: expected -----END X-----;" },
		{ "two damaged in a row", "-----BEGIN X-----\n-----BEGIN Y-----\n" GOOD("Z"), "Z3 ",
		    "X/line 2: expected -----END X-----;Y/line 3: expected -----END Y-----;" },
		{ "a broken BEGIN", "-----BEGIN X---\nMAMCAQA=\n-----END X-----\n" GOOD("Y"), "Y4 ",
		    "/line 1: expected ----- at the end of the line;" },
		{ "the last one", GOOD("X") "-----BEGIN PRIVATE KEY-----\nMAMC", "X1 ",
		    "PRIVATE KEY/line 5: no -----END PRIVATE KEY----- before the end;" },
		{ "all", BLOCK("X", "MAMCAQA"), "",
		    "X/line 3: base64 ends in the middle of a group of four;" },
		{ "not a whole object", GOOD("X") BLOCK("Y", "MAQCAQA="), "X1 ",
		    "Y/line 4: the Y block does not hold one whole object;" },
	};
	size_t i, j;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf good = BUF_INIT, bad = BUF_INIT;
		struct pem_list list;
		struct fail f = FAIL_INIT;

		buf_puts(&good, "");
		buf_puts(&bad, "");
		unit_int(pem_read_some(rows[i].in, strlen(rows[i].in), &list, note_bad, &bad, &f),
		    0, "%s: is read", rows[i].what);
		for (j = 0; j < list.n; j++)
			buf_printf(&good, "%s%u ", list.v[j].label, list.v[j].line);
		unit_str(good.p, rows[i].good, "%s: good ones", rows[i].what);
		unit_str(bad.p, rows[i].bad, "%s: damaged ones", rows[i].what);
		pem_list_clear(&list);
		buf_clear(&good);
		buf_clear(&bad);
	}
}

int
main(void)
{
	test_pkcs7();
	test_some();
	test_read();
	test_labels();
	test_der();
	test_many();
	return unit_done();
}
