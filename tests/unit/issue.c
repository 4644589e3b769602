#include "issue.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

#include "cert.h"
#include "key.h"
#include "text.h"
#include "unit.h"

#define A64 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234"
/* 64 and 65 characters as a host name */
#define CN64 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrst.example"
#define CN65 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstu.example"
#define U10 "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
#define U60 U10 U10 U10 U10 U10 U10

static void
test_fields(void)
{
	static const struct {
		enum issue_field field;
		const char *value;
		int ok;
	} rows[] = {
		{ ISSUE_O, "Example Ltd", 1 },
		{ ISSUE_O, A64, 1 },
		{ ISSUE_O, A64 "a", 0 },
		{ ISSUE_O, U60 "abcd", 1 },	/* 64 characters in 124 octets */
		{ ISSUE_O, U60 "abcde", 0 },
		{ ISSUE_OU, A64 "a", 0 },
		{ ISSUE_L, A64 A64, 1 },
		{ ISSUE_L, A64 A64 "a", 0 },
		{ ISSUE_ST, A64 A64 "a", 0 },
		{ ISSUE_O, "", 0 },
		{ ISSUE_O, "a\nb", 0 },
		{ ISSUE_O, "a\x7f", 0 },
		{ ISSUE_O, "\xff", 0 },
		{ ISSUE_C, "DE", 1 },
		{ ISSUE_C, "de", 0 },
		{ ISSUE_C, "D", 0 },
		{ ISSUE_C, "DEU", 0 },
		{ ISSUE_C, "\xc3\x9c", 0 },
		{ ISSUE_CN, "mx.example", 1 },
		{ ISSUE_CN, "", 0 },
		{ ISSUE_CN, "mx example", 0 },
		{ ISSUE_CN, "mx_1.example", 0 },
		{ ISSUE_CN, "*.example", 0 },
		{ ISSUE_CN, "m*.example.com", 0 },
		{ ISSUE_CN, "*.example.com", 1 },
		{ ISSUE_CN, "a\nb.example", 0 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct issue is;

		issue_init(&is);
		unit_int(issue_set(&is, rows[i].field, rows[i].value, &f), rows[i].ok ? 0 : -1,
		    "row %zu", i);
		unit_int(f.kind, rows[i].ok ? FAIL_NONE : FAIL_INPUT, "and its kind");
		unit_str(is.field[rows[i].field], rows[i].ok ? rows[i].value : NULL, "and what is set");
		issue_clear(&is);
	}
}

static void
test_san(void)
{
	static const struct {
		const char *in, *text;
		int kind;
	} rows[] = {
		{ "MX2.Example.", "mx2.example", ISSUE_DNS },
		{ "DNS:mx3.example", "mx3.example", ISSUE_DNS },
		{ "m\xc3\xbcnchen.example", "xn--mnchen-3ya.example", ISSUE_DNS },
		{ "192.0.2.1", "192.0.2.1", ISSUE_IP },
		{ "IP:2001:DB8:0:0::1", "2001:db8::1", ISSUE_IP },
		{ "*.example.org", "*.example.org", ISSUE_DNS },
		{ "DNS:192.0.2.1", NULL, 0 },
		{ "IP:mx.example", NULL, 0 },
		{ "192.0.2.256", NULL, 0 },
		{ "", NULL, 0 },
		{ "a*.example.org", NULL, 0 },
		{ "fe80::1%eth0", NULL, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct issue is;
		int rc;

		issue_init(&is);
		issue_set(&is, ISSUE_CN, "mx.example", NULL);
		rc = issue_add_san(&is, rows[i].in, NULL);
		unit_int(rc, rows[i].text != NULL ? 0 : -1, "SAN \"%s\"", rows[i].in);
		unit_int(is.nsan, rows[i].text != NULL ? 2 : 1, "is added or not");
		if (is.nsan == 2) {
			unit_str(is.san[1].text, rows[i].text, "in its form");
			unit_int(is.san[1].kind, rows[i].kind, "of its kind");
		}
		issue_clear(&is);
	}
}

/* The CN comes first whatever the order, and nothing comes twice. */
static void
test_order(void)
{
	struct issue is;
	char name[32];
	int i;

	issue_init(&is);
	issue_add_san(&is, "b.example", NULL);
	issue_add_san(&is, "a.example", NULL);
	issue_add_san(&is, "B.example", NULL);
	issue_set(&is, ISSUE_CN, "a.example", NULL);
	unit_int(is.nsan, 2, "two names");
	unit_str(is.san[0].text, "a.example", "the CN first");
	unit_str(is.san[1].text, "b.example", "then the other");
	for (i = is.nsan; i < ISSUE_SAN_MAX; i++) {
		snprintf(name, sizeof name, "n%d.example", i);
		issue_add_san(&is, name, NULL);
	}
	unit_int(is.nsan, ISSUE_SAN_MAX, "as many names as may be");
	unit_int(issue_add_san(&is, "more.example", NULL), -1, "and no more");
	issue_clear(&is);
}

static void
test_long_cn(void)
{
	static const struct {
		const char *cn, *o;
		int entries, critical;
	} rows[] = {
		{ CN64, NULL, 1, 0 },
		{ CN65, NULL, 0, 1 },
		{ CN65, "Example", 1, 0 },
	};
	EVP_PKEY *key = key_generate("ec:p256", NULL);
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct issue is;
		struct cert_names names;
		X509 *cert;
		int crit = -1;

		issue_init(&is);
		issue_set(&is, ISSUE_CN, rows[i].cn, NULL);
		if (rows[i].o != NULL)
			issue_set(&is, ISSUE_O, rows[i].o, NULL);
		cert = issue_self_signed(&is, key, 0, NULL);
		unit_int(X509_NAME_entry_count(X509_get_subject_name(cert)), rows[i].entries,
		    "row %zu: parts of the subject", i);
		GENERAL_NAMES_free(X509_get_ext_d2i(cert, NID_subject_alt_name, &crit, NULL));
		unit_int(crit, rows[i].critical, "row %zu: SAN critical?", i);
		cert_dns_names(cert, &names);
		unit_str(names.v[0], rows[i].cn, "row %zu: the name is in the SAN", i);
		cert_names_clear(&names);
		issue_clear(&is);
		X509_free(cert);
	}
	EVP_PKEY_free(key);
}

static void
test_profile(const char *type, unsigned flags, uint32_t usage)
{
	EVP_PKEY *key = key_generate(type, NULL);
	const unsigned char *serial;
	struct issue is;
	X509 *cert;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	is.flags = flags;
	cert = issue_self_signed(&is, key, 1700000000, NULL);
	unit_ok(cert != NULL, "%s with flags %u", type, flags);
	unit_int(X509_get_version(cert), X509_VERSION_3, "version 3");
	serial = ASN1_STRING_get0_data(X509_get0_serialNumber(cert));
	unit_int(ASN1_STRING_length(X509_get0_serialNumber(cert)), 20, "serial of 20 octets");
	unit_ok(serial[0] > 0 && serial[0] < 0x80, "that is positive");
	unit_int(X509_get_key_usage(cert), usage, "key usage");
	unit_int(X509_get_extended_key_usage(cert), flags & ISSUE_SERVER_ONLY ? XKU_SSL_SERVER :
	    XKU_SSL_SERVER | XKU_SSL_CLIENT, "extended key usage");
	unit_int(cert_is_ca(cert), (flags & ISSUE_AS_CA) != 0, "CA");
	unit_int(cert_is_demo(cert), (flags & ISSUE_DEMO) != 0, "demonstration");
	unit_int(X509_verify(cert, key), 1, "verifies");
	unit_ok(ASN1_OCTET_STRING_cmp(X509_get0_subject_key_id(cert),
	    X509_get0_authority_key_id(cert)) == 0, "names its own key as the issuer's");
	issue_clear(&is);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
static void
test_times(void)
{
	static const struct {
		int64_t now;
		int days;
		int before, after;	/* ASN.1 types */
	} rows[] = {
		{ 1700000000, 365, V_ASN1_UTCTIME, V_ASN1_UTCTIME },
		{ 2524607999 - 86400, 1, V_ASN1_UTCTIME, V_ASN1_UTCTIME },
		{ 2524608000 - 86400, 1, V_ASN1_UTCTIME, V_ASN1_GENERALIZEDTIME },
		{ 2524608000 + 3600, 1, V_ASN1_GENERALIZEDTIME, V_ASN1_GENERALIZEDTIME },
	};
	EVP_PKEY *key = key_generate("ed25519", NULL);
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct issue is;
		X509 *cert;

		issue_init(&is);
		issue_set(&is, ISSUE_CN, "mx.example", NULL);
		is.days = rows[i].days;
		cert = issue_self_signed(&is, key, rows[i].now, NULL);
		unit_int(ASN1_STRING_type(X509_get0_notBefore(cert)), rows[i].before, "row %zu from", i);
		unit_int(ASN1_STRING_type(X509_get0_notAfter(cert)), rows[i].after, "row %zu to", i);
		unit_int(cert_not_before(cert), rows[i].now - ISSUE_BACKDATE, "row %zu start", i);
		unit_int(cert_not_after(cert), rows[i].now + rows[i].days * 86400, "row %zu end", i);
		issue_clear(&is);
		X509_free(cert);
	}
	EVP_PKEY_free(key);
}

static void
test_refused(void)
{
	EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *good = key_generate("ed25519", NULL);
	struct fail f = FAIL_INIT;
	struct issue is;

	issue_init(&is);
	unit_ok(issue_self_signed(&is, good, 0, &f) == NULL, "an order without a name is refused");
	unit_int(f.kind, FAIL_INPUT, "as input");
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	unit_ok(issue_self_signed(&is, weak, 0, &f) == NULL, "a weak key is refused");
	unit_int(f.kind, FAIL_POLICY, "by a rule");
	is.days = ISSUE_DAYS_MAX + 1;
	unit_ok(issue_self_signed(&is, good, 0, &f) == NULL, "too many days are refused");
	is.days = 0;
	unit_ok(issue_self_signed(&is, good, 0, &f) == NULL, "no days are refused");
	issue_clear(&is);
	EVP_PKEY_free(weak);
	EVP_PKEY_free(good);
}

/* What the request asks for under one extension, as a bit set (KU_, XKU_); -1: not there. */
static int
asked_usage(X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	ASN1_BIT_STRING *bits = X509V3_get_d2i(exts, NID_key_usage, NULL, NULL);
	int usage = bits != NULL ? ASN1_STRING_get0_data(bits)[0] : -1;

	ASN1_BIT_STRING_free(bits);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return usage;
}

static int
asked_purposes(X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	EXTENDED_KEY_USAGE *eku = X509V3_get_d2i(exts, NID_ext_key_usage, NULL, NULL);
	int i, found = eku != NULL ? 0 : -1;

	for (i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
		int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

		found |= nid == NID_server_auth ? XKU_SSL_SERVER :
		    nid == NID_client_auth ? XKU_SSL_CLIENT : XKU_ANYEKU;
	}
	EXTENDED_KEY_USAGE_free(eku);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return found;
}

static void
test_request(void)
{
	static const struct {
		const char *type;
		unsigned flags;
		int usage, purposes;
	} rows[] = {
		{ "ec:p256", 0, KU_DIGITAL_SIGNATURE, XKU_SSL_SERVER },
		{ "ed25519", ISSUE_CLIENT, KU_DIGITAL_SIGNATURE, XKU_SSL_SERVER | XKU_SSL_CLIENT },
		{ "rsa:2048", 0, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT, XKU_SSL_SERVER },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		EVP_PKEY *key = key_generate(rows[i].type, NULL);
		struct cert_names names;
		struct issue is;
		X509_REQ *req;
		char *cn;

		issue_init(&is);
		issue_set(&is, ISSUE_CN, "mx.example", NULL);
		issue_set(&is, ISSUE_O, "Example", NULL);
		issue_add_san(&is, "mx2.example", NULL);
		is.flags = rows[i].flags;
		req = issue_request(&is, key, NULL);
		unit_ok(req != NULL, "a request for %s", rows[i].type);
		unit_int(X509_REQ_get_version(req), X509_REQ_VERSION_1, "version 1 (written 0)");
		unit_int(X509_REQ_verify(req, key), 1, "verifies");
		unit_ok(key_same(X509_REQ_get0_pubkey(req), key), "is of the key");
		unit_str(cn = cert_request_cn(req), "mx.example", "common name");
		unit_int(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 2, "subject");
		cert_request_dns_names(req, &names);
		unit_int(names.n, 2, "names asked for");
		unit_str(names.v[1], "mx2.example", "the second of them");
		unit_int(asked_usage(req), rows[i].usage, "key usage");
		unit_int(asked_purposes(req), rows[i].purposes, "extended key usage");
		cert_names_clear(&names);
		free(cn);
		issue_clear(&is);
		X509_REQ_free(req);
		EVP_PKEY_free(key);
	}
}

static void
test_request_refused(void)
{
	EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *good = key_generate("ed25519", NULL);
	struct fail f = FAIL_INIT;
	struct issue is;

	issue_init(&is);
	unit_ok(issue_request(&is, good, &f) == NULL, "a request without a name is refused");
	unit_int(f.kind, FAIL_INPUT, "as input");
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	unit_ok(issue_request(&is, weak, &f) == NULL, "a weak key is refused");
	unit_int(f.kind, FAIL_POLICY, "by a rule");
	issue_clear(&is);
	EVP_PKEY_free(weak);
	EVP_PKEY_free(good);
}

static void
test_limits(void)
{
	static const struct {
		const char *in;
		int ok;
		size_t addrlen;
		unsigned mask;	/* its octet 1 (of 4), or 4 (of 16) */
	} rows[] = {
		{ "example.org", 1, 0, 0 },
		{ "m\xc3\xbcnchen.example", 1, 0, 0 },
		{ "org", 1, 0, 0 },
		{ "192.0.2.1", 1, 8, 0xff },
		{ "10.0.0.0/8", 1, 8, 0 },
		{ "10.128.0.0/9", 1, 8, 0x80 },
		{ "0.0.0.0/0", 1, 8, 0 },
		{ "2001:db8::/32", 1, 32, 0 },
		{ "2001:db8:8000::/33", 1, 32, 0x80 },
		{ "IP:192.0.2.1", 0, 0, 0 },
		{ "10.0.0.1/8", 0, 0, 0 },
		{ "10.0.0.0/33", 0, 0, 0 },
		{ "10.0.0.0/", 0, 0, 0 },
		{ "10.0.0.0/-1", 0, 0, 0 },
		{ "2001:db8::/129", 0, 0, 0 },
		{ "*.example.org", 0, 0, 0 },
		{ ".example.org", 0, 0, 0 },
		{ "example.org/24", 0, 0, 0 },
		{ "", 0, 0, 0 },
		{ "a\nb", 0, 0, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct issue is;

		issue_init(&is);
		unit_int(issue_add_limit(&is, 1, rows[i].in, &f), rows[i].ok ? 0 : -1,
		    "limit \"%s\": %s", rows[i].in, f.text);
		unit_int(is.nlimits, rows[i].ok, "is added or not");
		if (is.nlimits == 1) {
			const struct issue_san *n = &is.limits[0].name;

			unit_int(n->addrlen, rows[i].addrlen, "its octets");
			if (n->addrlen > 0)
				unit_int(n->addr[n->addrlen == 8 ? 4 + 1 : 16 + 4], rows[i].mask,
				    "of its mask");
		} else {
			unit_int(f.kind, FAIL_INPUT, "for what it says");
		}
		issue_clear(&is);
	}
}

static void
test_ca(void)
{
	EVP_PKEY *key = key_generate("ec:p256", NULL);
	struct cert_names names;
	struct issue is;
	X509 *cert;
	char *text;

	issue_init(&is);
	is.flags = ISSUE_CA;
	is.pathlen = 3;
	unit_int(issue_set(&is, ISSUE_CN, A64 "a", NULL), -1, "65 characters are no CA's name");
	unit_int(issue_set(&is, ISSUE_CN, "Example CA \xc3\xbc", NULL), 0, "text is");
	cert = issue_self_signed(&is, key, 1700000000, NULL);
	text = cert_subject(cert);
	unit_str(text, "CN=Example CA \\C3\\BC", "as it is");
	unit_int(X509_get_key_usage(cert), KU_KEY_CERT_SIGN | KU_CRL_SIGN, "key usage of a CA");
	unit_int(X509_get_ext_by_NID(cert, NID_ext_key_usage, -1), -1, "no EKU");
	unit_int(X509_get_ext_by_NID(cert, NID_name_constraints, -1), -1, "no constraints by itself");
	unit_int(X509_get_pathlen(cert), 3, "path length");
	cert_dns_names(cert, &names);
	unit_ok(names.n == 0 && names.odd == 0, "no SAN");
	unit_int(cert_is_ca(cert) && cert_is_self_signed(cert), 1, "a root");
	cert_names_clear(&names);
	free(text);
	X509_free(cert);
	issue_clear(&is);
	EVP_PKEY_free(key);
}

int
main(void)
{
	test_fields();
	test_san();
	test_order();
	test_long_cn();
	test_profile("ec:p256", 0, KU_DIGITAL_SIGNATURE);
	test_profile("ec:p384", ISSUE_SERVER_ONLY, KU_DIGITAL_SIGNATURE);
	test_profile("ed25519", ISSUE_DEMO, KU_DIGITAL_SIGNATURE);
	test_profile("rsa:2048", 0, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
	test_profile("ec:p256", ISSUE_AS_CA, KU_DIGITAL_SIGNATURE | KU_KEY_CERT_SIGN);
	test_times();
	test_refused();
	test_limits();
	test_ca();
	test_request();
	test_request_refused();
	return unit_done();
}
