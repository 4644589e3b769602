#include "subject.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "key.h"
#include "unit.h"

static EVP_PKEY *key;

/* What an order says, on one line. */
static char *
told(const struct issue *is)
{
	static const char *const names[ISSUE_FIELDS] = { "C", "ST", "L", "O", "OU", "CN" };
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < ISSUE_FIELDS; i++)
		if (is->field[i] != NULL)
			buf_printf(&b, "%s=%s ", names[i], is->field[i]);
	for (i = 0; i < is->nsan; i++)
		buf_printf(&b, "%s:%s ", is->san[i].kind == ISSUE_DNS ? "DNS" : "IP", is->san[i].text);
	return buf_steal(&b);
}

/* A request with this subject ("/CN=a") and SAN ("DNS:a,IP:b"; NULL: none), made by OpenSSL alone. */
static X509_REQ *
make(const char *subject[][2], const char *san)
{
	X509_REQ *req = X509_REQ_new();
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	size_t i;

	for (i = 0; subject[i][0] != NULL; i++)
		X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), subject[i][0], MBSTRING_UTF8,
		    (const unsigned char *)subject[i][1], -1, -1, 0);
	X509_REQ_set_pubkey(req, key);
	if (san != NULL && strcmp(san, "damaged") == 0) {
		ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();

		ASN1_OCTET_STRING_set(octets, (const unsigned char *)"\x02\x01\x01", 3);
		sk_X509_EXTENSION_push(exts, X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, octets));
		X509_REQ_add_extensions(req, exts);
		ASN1_OCTET_STRING_free(octets);
	} else if (san != NULL) {
		sk_X509_EXTENSION_push(exts, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san));
		X509_REQ_add_extensions(req, exts);
	}
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_REQ_sign(req, key, NULL);
	return req;
}

static void
check(const char *subject[][2], const char *san, const char *want, const char *want_out)
{
	X509_REQ *req = make(subject, san);
	char *left_out = NULL, *text;
	struct fail f = FAIL_INIT;
	struct issue is;

	issue_init(&is);
	unit_int(subject_of_request(&is, req, &left_out, &f), 0, "%s %s", want, f.text);
	text = told(&is);
	unit_str(text, want, "is what the order says");
	unit_str(left_out, want_out, "and what it leaves out");
	free(text);
	free(left_out);
	issue_clear(&is);
	X509_REQ_free(req);
}

static void
test_rows(void)
{
	check((const char *[][2]){ { "C", "DE" }, { "O", "\xc3\x96l" }, { "CN", "mx.example" }, { NULL, NULL } },
	    "DNS:mx.example,DNS:mx2.example,IP:192.0.2.1,IP:2001:db8::1",
	    "C=DE O=\xc3\x96l CN=mx.example DNS:mx.example DNS:mx2.example IP:192.0.2.1 IP:2001:db8::1 ", NULL);
	/* The common name leads, wherever it stands. */
	check((const char *[][2]){ { "CN", "b.example" }, { "OU", "x" }, { NULL, NULL } }, "DNS:a.example,DNS:b.example",
	    "OU=x CN=b.example DNS:b.example DNS:a.example ", NULL);
	/* Without one the first of the names does. */
	check((const char *[][2]){ { "O", "x" }, { NULL, NULL } }, "DNS:*.example.org",
	    "O=x CN=*.example.org DNS:*.example.org ", NULL);
	/* What an order cannot hold. */
	check((const char *[][2]){ { "CN", "mx.example" }, { "emailAddress", "a@b" }, { NULL, NULL } },
	    "DNS:mx.example,URI:http://x/,DNS:bad name", "CN=mx.example DNS:mx.example ",
	    "emailAddress, a name that is neither a host nor an address, bad name");
	check((const char *[][2]){ { "CN", "Mail Server" }, { NULL, NULL } }, "DNS:mx.example",
	    "CN=mx.example DNS:mx.example ", "CN");
	/* Of two the last is the more specific. */
	check((const char *[][2]){ { "CN", "one.example" }, { "CN", "two.example" }, { NULL, NULL } }, NULL,
	    "CN=two.example DNS:two.example ", "another CN");
	check((const char *[][2]){ { "OU", "a" }, { "OU", "b" }, { "CN", "mx.example" }, { NULL, NULL } }, NULL,
	    "OU=a CN=mx.example DNS:mx.example ", "another OU");
	/* An address as a dNSName stays none. */
	check((const char *[][2]){ { "CN", "mx.example" }, { NULL, NULL } }, "DNS:192.0.2.1",
	    "CN=mx.example DNS:mx.example ", "192.0.2.1");
	/* A SAN that is there, but no list of names. */
	check((const char *[][2]){ { "CN", "mx.example" }, { NULL, NULL } }, "damaged",
	    "CN=mx.example DNS:mx.example ", "a SAN that cannot be read");
}

static void
test_none(void)
{
	X509_REQ *req = make((const char *[][2]){ { "O", "x" }, { NULL, NULL } }, "email:a@b.example");
	char *left_out = NULL;
	struct fail f = FAIL_INIT;
	struct issue is;

	issue_init(&is);
	unit_int(subject_of_request(&is, req, &left_out, &f), -1, "no name of a host");
	unit_int(f.kind, FAIL_INPUT, "is an input at fault");
	unit_str(left_out, "a name that is neither a host nor an address", "and what there is is told");
	free(left_out);
	issue_clear(&is);
	X509_REQ_free(req);
}

/* What the order has already is not replaced. */
static void
test_given(void)
{
	struct issue is, again;
	char *left_out = NULL, *text;
	X509 *cert;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	issue_set(&is, ISSUE_O, "Old", NULL);
	issue_add_san(&is, "mx2.example", NULL);
	cert = issue_self_signed(&is, key, 1700000000, NULL);
	issue_init(&again);
	issue_set(&again, ISSUE_O, "New", NULL);
	unit_int(subject_of_cert(&again, cert, &left_out, NULL), 0, "a certificate");
	text = told(&again);
	unit_str(text, "O=New CN=mx.example DNS:mx.example DNS:mx2.example ", "adds to the order");
	unit_str(left_out, NULL, "all there is");
	free(text);
	issue_clear(&is);
	issue_clear(&again);
	X509_free(cert);
}

int
main(void)
{
	key = key_generate("ed25519", NULL);
	test_rows();
	test_none();
	test_given();
	EVP_PKEY_free(key);
	return unit_done();
}
