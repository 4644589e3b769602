/*
 * The extensions are gathered in a list, for they go into a certificate and into a request in
 * different ways.  OpenSSL's functions set what they encode themselves; nothing is copied from
 * text in its configuration syntax, where a name could smuggle in another.
 */
#include "profile.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <string.h>

#include "alloc.h"
#include "cert.h"

#define KEYID_LEN 20	/* octets of the SHA-256 digest (RFC 7093 2, method 1) */

/* Bits of keyUsage (RFC 5280 4.2.1.3). */
#define KU_BIT_SIGNATURE 0
#define KU_BIT_ENCIPHER 2
#define KU_BIT_CERT_SIGN 5
#define KU_BIT_CRL_SIGN 6

static int
has_subject(const struct issue *is)
{
	size_t i;

	for (i = 0; i < ISSUE_FIELDS; i++)
		if (is->field[i] != NULL)
			return 1;
	return 0;
}

/* Encodes one extension behind the others. */
static int
add(STACK_OF(X509_EXTENSION) **x, int nid, void *value, int critical)
{
	return X509V3_add1_i2d(x, nid, value, critical, X509V3_ADD_DEFAULT) == 1 ? 0 : -1;
}

static int
add_basic_constraints(STACK_OF(X509_EXTENSION) **x, const struct issue *is)
{
	BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
	int rc;

	if (bc == NULL)
		alloc_failed();
	bc->ca = is->flags & (ISSUE_CA | ISSUE_AS_CA) ? 0xff : 0;
	if (is->flags & ISSUE_CA && is->pathlen >= 0 &&
	    ((bc->pathlen = ASN1_INTEGER_new()) == NULL ||
	    ASN1_INTEGER_set(bc->pathlen, is->pathlen) != 1))
		alloc_failed();
	rc = add(x, NID_basic_constraints, bc, 1);
	BASIC_CONSTRAINTS_free(bc);
	return rc;
}

/* RFC 5280 4.2.1.3.  A CA signs certificates and lists of revoked ones, nothing else. */
static int
add_key_usage(STACK_OF(X509_EXTENSION) **x, const struct issue *is, const EVP_PKEY *key)
{
	static const struct {
		unsigned flags;	/* where one of them is set; 0: in what is no CA */
		int bit;
		int rsa_only;
	} rows[] = {
		{ 0, KU_BIT_SIGNATURE, 0 },
		{ 0, KU_BIT_ENCIPHER, 1 },
		{ ISSUE_CA | ISSUE_AS_CA, KU_BIT_CERT_SIGN, 0 },
		{ ISSUE_CA, KU_BIT_CRL_SIGN, 0 },
	};
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	size_t i;
	int rc;

	if (bits == NULL)
		alloc_failed();
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].flags != 0 ? !(is->flags & rows[i].flags) : is->flags & ISSUE_CA)
			continue;
		if (rows[i].rsa_only && !EVP_PKEY_is_a(key, "RSA"))
			continue;
		if (ASN1_BIT_STRING_set_bit(bits, rows[i].bit, 1) != 1)
			alloc_failed();
	}
	rc = add(x, NID_key_usage, bits, 1);
	ASN1_BIT_STRING_free(bits);
	return rc;
}

static int
add_ext_key_usage(STACK_OF(X509_EXTENSION) **x, int client)
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
add_san(STACK_OF(X509_EXTENSION) **x, const struct issue *is)
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

NAME_CONSTRAINTS *
profile_constraints(const struct issue *is)
{
	NAME_CONSTRAINTS *nc = NAME_CONSTRAINTS_new();
	STACK_OF(GENERAL_SUBTREE) **list;
	GENERAL_SUBTREE *sub;
	size_t i;

	if (nc == NULL)
		alloc_failed();
	for (i = 0; i < is->nlimits; i++) {
		list = is->limits[i].exclude ? &nc->excludedSubtrees : &nc->permittedSubtrees;
		if (*list == NULL)
			*list = sk_GENERAL_SUBTREE_new_null();
		if (*list == NULL || (sub = GENERAL_SUBTREE_new()) == NULL)
			alloc_failed();
		GENERAL_NAME_free(sub->base);
		sub->base = general_name(&is->limits[i].name);
		if (sk_GENERAL_SUBTREE_push(*list, sub) == 0)
			alloc_failed();
	}
	return nc;
}

/* RFC 5280 4.2.1.10: critical, and never empty. */
static int
add_name_constraints(STACK_OF(X509_EXTENSION) **x, const struct issue *is)
{
	NAME_CONSTRAINTS *own = is->narrowed == NULL ? profile_constraints(is) : NULL;
	const NAME_CONSTRAINTS *nc = own != NULL ? own : is->narrowed;
	int rc = 0;

	if (nc != NULL && (sk_GENERAL_SUBTREE_num(nc->permittedSubtrees) > 0 ||
	    sk_GENERAL_SUBTREE_num(nc->excludedSubtrees) > 0))
		rc = add(x, NID_name_constraints, (void *)(uintptr_t)nc, 1);
	NAME_CONSTRAINTS_free(own);
	return rc;
}

/* The subject's key identifier, and the issuer's, the same where self-signed. */
static int
add_key_ids(STACK_OF(X509_EXTENSION) **x, const X509 *cert, const X509 *issuer)
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
add_demo_mark(STACK_OF(X509_EXTENSION) **x)
{
	static const unsigned char asn1_null[] = { V_ASN1_NULL, 0 };
	ASN1_OBJECT *oid = OBJ_txt2obj(CERT_DEMO_OID, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext = NULL;

	if (oid == NULL || value == NULL)
		alloc_failed();
	if (ASN1_OCTET_STRING_set(value, asn1_null, sizeof asn1_null) != 1 ||
	    (ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value)) == NULL ||
	    sk_X509_EXTENSION_push(*x, ext) == 0)
		alloc_failed();
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(oid);
	return 0;
}

static void
extensions_free(STACK_OF(X509_EXTENSION) *x)
{
	sk_X509_EXTENSION_pop_free(x, X509_EXTENSION_free);
}

/* What differs between a CA and what it signs. */
static int
add_uses(STACK_OF(X509_EXTENSION) **x, const struct issue *is)
{
	if (is->flags & ISSUE_CA)
		return add_name_constraints(x, is);
	if (add_ext_key_usage(x, (is->flags & ISSUE_SERVER_ONLY) == 0) == -1)
		return -1;
	return add_san(x, is);
}

int
profile_cert(const struct issue *is, X509 *cert, const EVP_PKEY *key, const X509 *issuer)
{
	STACK_OF(X509_EXTENSION) *x = NULL;
	int i, rc = -1;

	if (add_basic_constraints(&x, is) == -1 || add_key_usage(&x, is, key) == -1 ||
	    add_uses(&x, is) == -1 || add_key_ids(&x, cert, issuer) == -1)
		goto out;
	if (is->flags & ISSUE_DEMO && add_demo_mark(&x) == -1)
		goto out;
	for (i = 0; i < sk_X509_EXTENSION_num(x); i++)
		if (X509_add_ext(cert, sk_X509_EXTENSION_value(x, i), -1) != 1)
			goto out;
	rc = 0;
out:
	extensions_free(x);
	return rc;
}

int
profile_request(const struct issue *is, X509_REQ *req, const EVP_PKEY *key)
{
	STACK_OF(X509_EXTENSION) *x = NULL;
	int rc = -1;

	if (add_key_usage(&x, is, key) == 0 &&
	    add_ext_key_usage(&x, (is->flags & ISSUE_CLIENT) != 0) == 0 && add_san(&x, is) == 0 &&
	    X509_REQ_add_extensions(req, x) == 1)
		rc = 0;
	extensions_free(x);
	return rc;
}
