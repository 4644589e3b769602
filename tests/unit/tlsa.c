#include "tlsa.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdlib.h>

#include "cert.h"
#include "issue.h"
#include "key.h"
#include "text.h"
#include "unit.h"

#define H32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define H64 H32 H32

static void
test_parse(void)
{
	static const struct {
		const char *in, *out, *error;
	} rows[] = {
		{ "3 1 1 " H32, "3 1 1 " H32, NULL },
		{ "  3\t1  1   " H32, "3 1 1 " H32, NULL },
		{ "DANE-EE SPKI SHA2-256 " H32, "3 1 1 " H32, NULL },
		{ "pkix-ta cert full 3000", "0 0 0 3000", NULL },
		{ "Dane-TA Cert SHA2-512 " H64, "2 0 2 " H64, NULL },
		{ "3 1 1 00 01 AB\tcd", "3 1 1 0001abcd", NULL },
		{ "255 255 255 00", "255 255 255 00", NULL },
		{ "3 1 1", "3 1 1 ", NULL },
		{ "", NULL, "expected usage, selector, matching type and hexadecimal data" },
		{ "3 1", NULL, "expected usage, selector, matching type and hexadecimal data" },
		{ "256 1 1 00", NULL,
		    "TLSA usage: expected 0 to 255 or a name such as DANE-EE, not \"256\"" },
		{ "3 -1 1 00", NULL,
		    "TLSA selector: expected 0 to 255 or a name such as SPKI, not \"-1\"" },
		{ "3 1 SHA256 00", NULL,
		    "TLSA matching type: expected 0 to 255 or a name such as SHA2-512, not \"SHA256\"" },
		{ "3 1 1 0", NULL, "TLSA data: offset 1: odd number of hexadecimal digits" },
		{ "3 1 1 0g", NULL, "TLSA data: offset 1: expected a hexadecimal digit" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		struct tlsa t;
		int rc = tlsa_parse(&t, rows[i].in, &f);
		char *text = rc == 0 ? tlsa_rdata(&t) : NULL;

		unit_str(text, rows[i].out, "row %zu parses", i);
		if (rc == -1)
			unit_str(f.text, rows[i].error, "row %zu says why", i);
		free(text);
		tlsa_clear(&t);
	}
}

static void
test_order(void)
{
	static const char *const sorted[] = { "0 1 2 ff", "2 0 1 aa", "2 0 1 aabb", "2 0 1 ab", "2 0 2 00", "2 1 0 00", "3 0 0 00" };
	enum { N = sizeof sorted / sizeof sorted[0] };
	struct tlsa t[N] = { { .len = 0 } };
	char *text;
	size_t i;

	for (i = 0; i < N; i++)
		if (tlsa_parse(&t[(i * 3 + 1) % N], sorted[i], NULL) == -1)
			abort();
	qsort(t, N, sizeof t[0], tlsa_order);
	for (i = 0; i < N; i++) {
		text = tlsa_rdata(&t[i]);
		unit_str(text, sorted[i], "record %zu in canonical order", i);
		free(text);
		tlsa_clear(&t[i]);
	}
}

static void
test_wire(void)
{
	static const uint8_t wire[] = { 3, 1, 1, 0xab, 0xcd };
	struct tlsa t, copy;
	char *text;

	unit_int(tlsa_from_wire(&t, wire, sizeof wire, NULL), 0, "from wire");
	tlsa_copy(&copy, &t);
	unit_ok(tlsa_equal(&t, &copy) && copy.data != t.data, "a copy is equal and its own");
	copy.data[1] ^= 1;
	unit_ok(!tlsa_equal(&t, &copy), "other data is not equal");
	text = tlsa_rdata_generic(&t);
	unit_str(text, "\\# 5 030101abcd", "RFC 3597 form");
	free(text);
	tlsa_clear(&t);
	tlsa_clear(&copy);
	unit_int(tlsa_from_wire(&t, wire, 3, NULL), 0, "no data is a record");
	unit_ok(t.data == NULL && t.len == 0, "without data");
	unit_int(tlsa_from_wire(&t, wire, 2, NULL), -1, "two octets are none");
}

static X509 *
make_cert(EVP_PKEY *key)
{
	struct issue is;
	X509 *cert;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	cert = issue_self_signed(&is, key, 1700000000, NULL);
	issue_clear(&is);
	return cert;
}

static void
test_of_cert(void)
{
	EVP_PKEY *key = key_generate("ec:p256", NULL), *other_key = key_generate("ec:p256", NULL);
	X509 *cert = make_cert(key), *other = make_cert(other_key);
	static const size_t length[] = { 0, 32, 64 };
	struct tlsa t, k;
	const char *why;
	unsigned u, s, m;

	for (u = 0; u <= 3; u++)
		for (s = 0; s <= 1; s++)
			for (m = 0; m <= 2; m++) {
				unit_int(tlsa_of_cert(&t, u, s, m, cert, NULL), 0, "%u %u %u is made", u, s, m);
				unit_ok(m == 0 ? t.len > 64 : t.len == length[m], "of the right length");
				unit_ok(tlsa_matches_cert(&t, cert), "matches its certificate");
				unit_ok(!tlsa_matches_cert(&t, other), "and no other");
				unit_int(tlsa_usable(&t, &why), u >= 2, "usable with 2 and 3 only");
				t.data[t.len - 1] ^= 1;
				unit_ok(!tlsa_matches_cert(&t, cert), "a flipped bit is no match");
				t.len--;
				unit_ok(!tlsa_usable(&t, NULL), "one octet less is not usable");
				tlsa_clear(&t);
			}
	tlsa_of_cert(&t, 3, 1, 1, cert, NULL);
	unit_int(tlsa_of_key(&k, 3, 1, key, NULL), 0, "of the key alone");
	unit_ok(tlsa_equal(&t, &k), "the same record");
	tlsa_clear(&t);
	tlsa_clear(&k);
	unit_int(tlsa_of_cert(&t, 3, 2, 1, cert, NULL), -1, "selector 2 is refused");
	unit_int(tlsa_of_cert(&t, 3, 1, 3, cert, NULL), -1, "matching type 3 is refused");
	X509_free(cert);
	X509_free(other);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
}

static void
test_usable(void)
{
	static const struct {
		const char *record, *why;
	} rows[] = {
		{ "3 1 1 " H32, NULL },
		{ "2 0 1 " H32, NULL },
		{ "3 0 2 " H64, NULL },
		{ "0 1 1 " H32, "usage 0 and 1 are not used with SMTP (RFC 7672 3.1.3)" },
		{ "1 1 1 " H32, "usage 0 and 1 are not used with SMTP (RFC 7672 3.1.3)" },
		{ "4 1 1 " H32, "unknown usage (RFC 7671 4)" },
		{ "255 1 1 " H32, "unknown usage (RFC 7671 4)" },
		{ "3 2 1 " H32, "unknown selector (RFC 7671 4)" },
		{ "3 1 3 " H32, "unknown matching type (RFC 7671 4)" },
		{ "3 1 1 " H32 "00", "a SHA2-256 digest is 32 octets (RFC 6698 2.1.3)" },
		{ "3 1 1 " H64, "a SHA2-256 digest is 32 octets (RFC 6698 2.1.3)" },
		{ "3 1 2 " H32, "a SHA2-512 digest is 64 octets (RFC 6698 2.1.3)" },
		{ "3 1 1 ", "no data (RFC 6698 2.1.4)" },
		{ "3 0 0 3000", "the data is not a DER certificate (RFC 6698 2.1.2)" },
		{ "2 1 0 3000", "the data is not a DER SubjectPublicKeyInfo (RFC 6698 2.1.2)" },
		{ "2 1 0 " H64, "the data is not a DER SubjectPublicKeyInfo (RFC 6698 2.1.2)" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *why = NULL;
		struct tlsa t;

		unit_int(tlsa_parse(&t, rows[i].record, NULL), 0, "%.9s parses", rows[i].record);
		unit_int(tlsa_usable(&t, &why), rows[i].why == NULL, "usable?");
		unit_str(why, rows[i].why, "the clause");
		tlsa_clear(&t);
	}
}

#define L63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"

static void
test_owner(void)
{
	static const struct {
		const char *base;
		unsigned port;
		const char *proto, *owner;
	} rows[] = {
		{ "mx.example", 25, "tcp", "_25._tcp.mx.example." },
		{ "MX.Example.", 26, "tcp", "_26._tcp.mx.example." },
		{ "mx", 443, "sctp", "_443._sctp.mx." },
		{ "mx.example", 65535, "udp", "_65535._udp.mx.example." },
		{ "*.example.com", 25, "tcp", NULL },
		{ "mx.example", 25, "TCP", NULL },
		{ "mx example", 25, "tcp", NULL },
		{ "", 25, "tcp", NULL },
		{ "mx\n.example", 25, "tcp", NULL },
		{ L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop", 25, "tcp",
		    "_25._tcp." L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop." },
		{ L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop", 125, "tcp", NULL },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *got = tlsa_owner(rows[i].base, rows[i].port, rows[i].proto, NULL);

		unit_str(got, rows[i].owner, "row %zu owner", i);
		free(got);
	}
}

int
main(void)
{
	test_parse();
	test_wire();
	test_order();
	test_of_cert();
	test_usable();
	test_owner();
	return unit_done();
}
