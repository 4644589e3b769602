/*
 * An order is checked while it is filled in; issue_self_signed() and issue_request() then only put
 * it into ASN.1: build() makes everything that does not depend on who signs, the extensions are
 * gathered in a list, for they go into a certificate and into a request in different ways, and the
 * signature comes last.
 */
#include "issue.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "key.h"
#include "name.h"
#include "ossl.h"
#include "text.h"

#define SERIAL_LEN 20	/* octets, the most that RFC 5280 4.1.2.2 allows */
#define KEYID_LEN 20	/* octets of the SHA-256 digest (RFC 7093 2, method 1) */
#define CN_MAX 64	/* characters (RFC 5280 Appendix A.1, ub-common-name) */

/* Bits of keyUsage (RFC 5280 4.2.1.3). */
#define KU_BIT_SIGNATURE 0
#define KU_BIT_ENCIPHER 2
#define KU_BIT_CERT_SIGN 5

/* RFC 5280 Appendix A.1: the upper bounds, in characters. */
static const struct part {
	const char *name;
	int nid;
	int type;
	int max;
} parts[ISSUE_FIELDS] = {
	[ISSUE_C] = { "country", NID_countryName, V_ASN1_PRINTABLESTRING, 2 },
	[ISSUE_ST] = { "state", NID_stateOrProvinceName, V_ASN1_UTF8STRING, 128 },
	[ISSUE_L] = { "locality", NID_localityName, V_ASN1_UTF8STRING, 128 },
	[ISSUE_O] = { "organization", NID_organizationName, V_ASN1_UTF8STRING, 64 },
	[ISSUE_OU] = { "unit", NID_organizationalUnitName, V_ASN1_UTF8STRING, 64 },
	[ISSUE_CN] = { "common name", NID_commonName, V_ASN1_UTF8STRING, CN_MAX },
};

/* Extensions on their way into a certificate or a request. */
struct extensions {
	STACK_OF(X509_EXTENSION) *list;
};

void
issue_init(struct issue *is)
{
	memset(is, 0, sizeof *is);
	is->days = ISSUE_DAYS_DEFAULT;
}

void
issue_clear(struct issue *is)
{
	size_t i;

	for (i = 0; i < ISSUE_FIELDS; i++)
		free(is->field[i]);
	for (i = 0; i < is->nsan; i++)
		free(is->san[i].text);
	free(is->san);
	issue_init(is);
}

static int
parse_address(const char *s, struct issue_san *san)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_pton(AF_INET, s, san->addr) == 1)
		san->addrlen = 4;
	else if (inet_pton(AF_INET6, s, san->addr) == 1)
		san->addrlen = 16;
	else
		return 0;
	san->kind = ISSUE_IP;
	if (inet_ntop(san->addrlen == 4 ? AF_INET : AF_INET6, san->addr, text, sizeof text) == NULL)
		return 0;
	san->text = xstrdup(text);
	return 1;
}

static int
parse_host(const char *s, struct issue_san *san, struct fail *f)
{
	char *name = name_to_ascii(s, f);

	if (name == NULL)
		return -1;
	if (strchr(name, '_') != NULL) {
		fail(f, FAIL_INPUT, "%.260s: no underscore may stand in a certificate's host name "
		    "(RFC 5280 4.2.1.6)", name);
		free(name);
		return -1;
	}
	san->kind = ISSUE_DNS;
	san->text = name;
	return 0;
}

/* A host name or an address; the prefix, where there is one, says which. */
static int
parse_san(const char *s, struct issue_san *san, struct fail *f)
{
	memset(san, 0, sizeof *san);
	if (strncmp(s, "DNS:", 4) == 0)
		return parse_host(s + 4, san, f);
	if (strncmp(s, "IP:", 3) == 0) {
		if (parse_address(s + 3, san))
			return 0;
		return fail(f, FAIL_INPUT, "%.100s: not an IPv4 or IPv6 address", s + 3);
	}
	return parse_address(s, san) ? 0 : parse_host(s, san, f);
}

/* Takes the name over.  One that is there already stays where it is, but for the first place. */
static int
insert_san(struct issue *is, struct issue_san *new, int first, struct fail *f)
{
	size_t i, at;

	for (i = 0; i < is->nsan; i++)
		if (is->san[i].kind == new->kind && strcmp(is->san[i].text, new->text) == 0)
			break;
	if (i == is->nsan) {
		if (is->nsan == ISSUE_SAN_MAX) {
			free(new->text);
			return fail(f, FAIL_INPUT, "more than %d names", ISSUE_SAN_MAX);
		}
		is->san = xreallocarray(is->san, is->nsan + 1, sizeof *is->san);
		is->nsan++;
	} else {
		free(new->text);
		*new = is->san[i];
	}
	at = first ? 0 : i;
	memmove(&is->san[at + 1], &is->san[at], (i - at) * sizeof *is->san);
	is->san[at] = *new;
	return 0;
}

int
issue_add_san(struct issue *is, const char *utf8, struct fail *f)
{
	struct issue_san san;

	if (text_utf8_chars(utf8) <= 0)
		return fail(f, FAIL_INPUT, "\"%.260s\": expected a host name or an address", utf8);
	if (parse_san(utf8, &san, f) == -1)
		return -1;
	return insert_san(is, &san, 0, f);
}

static int
set_cn(struct issue *is, const char *utf8, struct fail *f)
{
	struct issue_san san;

	if (parse_san(utf8, &san, f) == -1)
		return -1;
	free(is->field[ISSUE_CN]);
	is->field[ISSUE_CN] = strlen(san.text) <= CN_MAX ? xstrdup(san.text) : NULL;
	return insert_san(is, &san, 1, f);
}

int
issue_set(struct issue *is, enum issue_field field, const char *utf8, struct fail *f)
{
	const struct part *part = &parts[field];
	int chars = text_utf8_chars(utf8);

	if (chars == 0)
		return fail(f, FAIL_INPUT, "the %s is empty", part->name);
	if (chars == -1)
		return fail(f, FAIL_INPUT, "the %s \"%.260s\" is not UTF-8, or there is a control "
		    "character in it", part->name, utf8);
	if (field == ISSUE_CN)
		return set_cn(is, utf8, f);
	if (chars > part->max)
		return fail(f, FAIL_INPUT,
		    "the %s has %d characters; expected at most %d (RFC 5280 A.1)", part->name,
		    chars, part->max);
	if (field == ISSUE_C &&
	    (strlen(utf8) != 2 || strspn(utf8, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2))
		return fail(f, FAIL_INPUT,
		    "the country \"%s\": expected two upper-case letters such as DE", utf8);
	free(is->field[field]);
	is->field[field] = xstrdup(utf8);
	return 0;
}

static int
add_subject(const struct issue *is, X509_NAME *name)
{
	size_t i;

	for (i = 0; i < ISSUE_FIELDS; i++)
		if (is->field[i] != NULL &&
		    X509_NAME_add_entry_by_NID(name, parts[i].nid, parts[i].type,
			(const unsigned char *)is->field[i], strlen(is->field[i]), -1, 0) != 1)
			return -1;
	return 0;
}

static int
has_subject(const struct issue *is)
{
	size_t i;

	for (i = 0; i < ISSUE_FIELDS; i++)
		if (is->field[i] != NULL)
			return 1;
	return 0;
}

/* Positive, and always of the full length: the two top bits are 01.  The kernel's octets, for
 * OpenSSL would set up another generator only for these. */
static int
set_serial(X509 *cert)
{
	unsigned char octets[SERIAL_LEN];
	ASN1_INTEGER *serial = NULL;
	int rc = -1;

	if (getentropy(octets, sizeof octets) == -1)
		return -1;
	octets[0] = (octets[0] & 0x3f) | 0x40;
	if ((serial = ASN1_INTEGER_new()) != NULL &&
	    ASN1_STRING_set(serial, octets, sizeof octets) == 1 &&
	    X509_set_serialNumber(cert, serial) == 1)
		rc = 0;
	ASN1_INTEGER_free(serial);
	return rc;
}

/* ASN1_TIME_adj() chooses UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 wants it. */
static int
set_times(X509 *cert, int64_t not_before, int64_t not_after)
{
	ASN1_TIME *t = NULL;
	int rc = -1;

	if ((t = ASN1_TIME_adj(NULL, not_before, 0, 0)) == NULL ||
	    X509_set1_notBefore(cert, t) != 1)
		goto out;
	if (ASN1_TIME_adj(t, not_after, 0, 0) == NULL || X509_set1_notAfter(cert, t) != 1)
		goto out;
	rc = 0;
out:
	ASN1_TIME_free(t);
	return rc;
}

/* Encodes one extension behind the others. */
static int
add(struct extensions *x, int nid, void *value, int critical)
{
	return X509V3_add1_i2d(&x->list, nid, value, critical, X509V3_ADD_DEFAULT) == 1 ? 0 : -1;
}

static int
add_basic_constraints(struct extensions *x, int ca)
{
	BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
	int rc;

	if (bc == NULL)
		alloc_failed();
	bc->ca = ca ? 0xff : 0;
	rc = add(x, NID_basic_constraints, bc, 1);
	BASIC_CONSTRAINTS_free(bc);
	return rc;
}

static int
add_key_usage(struct extensions *x, const EVP_PKEY *key, int ca)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	int rc = -1;

	if (bits == NULL || ASN1_BIT_STRING_set_bit(bits, KU_BIT_SIGNATURE, 1) != 1)
		goto out;
	if (EVP_PKEY_is_a(key, "RSA") && ASN1_BIT_STRING_set_bit(bits, KU_BIT_ENCIPHER, 1) != 1)
		goto out;
	if (ca && ASN1_BIT_STRING_set_bit(bits, KU_BIT_CERT_SIGN, 1) != 1)
		goto out;
	rc = add(x, NID_key_usage, bits, 1);
out:
	ASN1_BIT_STRING_free(bits);
	return rc;
}

static int
add_ext_key_usage(struct extensions *x, int client)
{
	EXTENDED_KEY_USAGE *eku = sk_ASN1_OBJECT_new_null();
	int rc = -1;

	/* Objects from OBJ_nid2obj() are static; freeing them does nothing. */
	if (eku == NULL || sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_server_auth)) == 0)
		goto out;
	if (client && sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_client_auth)) == 0)
		goto out;
	rc = add(x, NID_ext_key_usage, eku, 0);
out:
	EXTENDED_KEY_USAGE_free(eku);
	return rc;
}

static GENERAL_NAME *
general_name(const struct issue_san *san)
{
	int ip = san->kind == ISSUE_IP;
	ASN1_STRING *s = ASN1_STRING_type_new(ip ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
	GENERAL_NAME *gn = GENERAL_NAME_new();

	if (s == NULL || gn == NULL || ASN1_STRING_set(s, ip ? (const void *)san->addr : san->text,
	    ip ? (int)san->addrlen : (int)strlen(san->text)) != 1)
		alloc_failed();
	GENERAL_NAME_set0_value(gn, ip ? GEN_IPADD : GEN_DNS, s);
	return gn;
}

/* RFC 5280 4.2.1.6: critical where it alone names the subject. */
static int
add_san(struct extensions *x, const struct issue *is)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	int critical = !has_subject(is), rc;
	size_t i;

	if (names == NULL)
		alloc_failed();
	for (i = 0; i < is->nsan; i++)
		if (sk_GENERAL_NAME_push(names, general_name(&is->san[i])) == 0)
			alloc_failed();
	rc = add(x, NID_subject_alt_name, names, critical);
	GENERAL_NAMES_free(names);
	return rc;
}

/* The subject's key identifier, and the issuer's, the same where self-signed. */
static int
add_key_ids(struct extensions *x, const X509 *cert, const X509 *issuer)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	AUTHORITY_KEYID *akid = AUTHORITY_KEYID_new();
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	const ASN1_OCTET_STRING *above;
	int rc = -1;

	if (akid == NULL || id == NULL)
		alloc_failed();
	if (X509_pubkey_digest(cert, EVP_sha256(), md, NULL) != 1 ||
	    ASN1_OCTET_STRING_set(id, md, KEYID_LEN) != 1 ||
	    add(x, NID_subject_key_identifier, id, 0) == -1)
		goto out;
	above = issuer == cert ? id : X509_get0_subject_key_id((X509 *)(uintptr_t)issuer);
	if (above == NULL || (akid->keyid = ASN1_OCTET_STRING_dup(above)) == NULL)
		goto out;
	rc = add(x, NID_authority_key_identifier, akid, 0);
out:
	AUTHORITY_KEYID_free(akid);
	ASN1_OCTET_STRING_free(id);
	return rc;
}

static int
add_demo_mark(struct extensions *x)
{
	static const unsigned char asn1_null[] = { V_ASN1_NULL, 0 };
	ASN1_OBJECT *oid = OBJ_txt2obj(CERT_DEMO_OID, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext = NULL;

	if (oid == NULL || value == NULL)
		alloc_failed();
	if (ASN1_OCTET_STRING_set(value, asn1_null, sizeof asn1_null) != 1 ||
	    (ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value)) == NULL ||
	    sk_X509_EXTENSION_push(x->list, ext) == 0)
		alloc_failed();
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
	return 0;
}

static int
put_into_cert(const struct extensions *x, X509 *cert)
{
	int i;

	for (i = 0; i < sk_X509_EXTENSION_num(x->list); i++)
		if (X509_add_ext(cert, sk_X509_EXTENSION_value(x->list, i), -1) != 1)
			return -1;
	return 0;
}

static void
extensions_clear(struct extensions *x)
{
	sk_X509_EXTENSION_pop_free(x->list, X509_EXTENSION_free);
	x->list = NULL;
}

static int
add_extensions(const struct issue *is, X509 *cert, const EVP_PKEY *key, const X509 *issuer)
{
	struct extensions x = { .list = NULL };
	int ca = (is->flags & ISSUE_AS_CA) != 0, rc = -1;

	if (add_basic_constraints(&x, ca) == -1 || add_key_usage(&x, key, ca) == -1 ||
	    add_ext_key_usage(&x, (is->flags & ISSUE_SERVER_ONLY) == 0) == -1 ||
	    add_san(&x, is) == -1 || add_key_ids(&x, cert, issuer) == -1)
		goto out;
	if (is->flags & ISSUE_DEMO && add_demo_mark(&x) == -1)
		goto out;
	rc = put_into_cert(&x, cert);
out:
	extensions_clear(&x);
	return rc;
}

/* What a request asks for: the CA sets the rest. */
static int
ask_for_extensions(const struct issue *is, X509_REQ *req, const EVP_PKEY *key)
{
	struct extensions x = { .list = NULL };
	int rc = -1;

	if (add_key_usage(&x, key, 0) == 0 &&
	    add_ext_key_usage(&x, (is->flags & ISSUE_CLIENT) != 0) == 0 && add_san(&x, is) == 0 &&
	    X509_REQ_add_extensions(req, x.list) == 1)
		rc = 0;
	extensions_clear(&x);
	return rc;
}

/* Everything that comes before the extensions, but for the issuer's name. */
static int
build(const struct issue *is, X509 *cert, EVP_PKEY *key, int64_t now)
{
	X509_NAME *subject = X509_NAME_new();
	int rc = -1;

	if (subject == NULL)
		alloc_failed();
	if (X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) == 0 &&
	    set_times(cert, now - ISSUE_BACKDATE, now + (int64_t)is->days * 86400) == 0 &&
	    add_subject(is, subject) == 0 && X509_set_subject_name(cert, subject) == 1 &&
	    X509_set_pubkey(cert, key) == 1)
		rc = 0;
	X509_NAME_free(subject);
	return rc;
}

static int
check_names(const struct issue *is, struct fail *f)
{
	if (is->nsan == 0)
		return fail(f, FAIL_INPUT, "a certificate needs a name");
	return 0;
}

static int
check_order(const struct issue *is, const EVP_PKEY *key, struct fail *f)
{
	if (check_names(is, f) == -1)
		return -1;
	if (is->days < 1 || is->days > ISSUE_DAYS_MAX)
		return fail(f, FAIL_INPUT, "%d days; expected 1 to %d", is->days, ISSUE_DAYS_MAX);
	return key_check_strength(key, f);
}

/* A key whose halves do not belong together (a damaged file) signs, but nobody can verify it. */
X509 *
issue_self_signed(const struct issue *is, EVP_PKEY *key, int64_t now, struct fail *f)
{
	X509 *cert = NULL;

	if (check_order(is, key, f) == -1)
		return NULL;
	ossl_clear();
	if ((cert = X509_new()) == NULL)
		alloc_failed();
	if (build(is, cert, key, now) == -1 ||
	    X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
	    add_extensions(is, cert, key, cert) == -1) {
		fail_ossl(f, FAIL_SYS, "the certificate cannot be made");
		goto failed;
	}
	if (X509_sign(cert, key, key_get0_digest(key)) <= 0) {
		fail_ossl(f, FAIL_INPUT, "the key cannot sign");
		goto failed;
	}
	if (X509_verify(cert, key) != 1) {
		fail_ossl(f, FAIL_INPUT, "the key does not verify what it signed");
		goto failed;
	}
	return cert;
failed:
	X509_free(cert);
	return NULL;
}

static int
build_request(const struct issue *is, X509_REQ *req, EVP_PKEY *key)
{
	X509_NAME *subject = X509_NAME_new();
	int rc = -1;

	if (subject == NULL)
		alloc_failed();
	if (X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 && add_subject(is, subject) == 0 &&
	    X509_REQ_set_subject_name(req, subject) == 1 && X509_REQ_set_pubkey(req, key) == 1)
		rc = ask_for_extensions(is, req, key);
	X509_NAME_free(subject);
	return rc;
}

X509_REQ *
issue_request(const struct issue *is, EVP_PKEY *key, struct fail *f)
{
	X509_REQ *req = NULL;

	if (check_names(is, f) == -1 || key_check_strength(key, f) == -1)
		return NULL;
	ossl_clear();
	if ((req = X509_REQ_new()) == NULL)
		alloc_failed();
	if (build_request(is, req, key) == -1) {
		fail_ossl(f, FAIL_SYS, "the request cannot be made");
		goto failed;
	}
	if (X509_REQ_sign(req, key, key_get0_digest(key)) <= 0) {
		fail_ossl(f, FAIL_INPUT, "the key cannot sign");
		goto failed;
	}
	if (X509_REQ_verify(req, key) != 1) {
		fail_ossl(f, FAIL_INPUT, "the key does not verify what it signed");
		goto failed;
	}
	return req;
failed:
	X509_REQ_free(req);
	return NULL;
}
