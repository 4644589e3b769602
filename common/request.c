/*
 * request_check() asks whether the request is sound, request_order() goes through subject and
 * extensions, each by a table of what is known; the extensions' values are decoded by OpenSSL.
 */
#include "request.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "key.h"
#include "ossl.h"
#include "pem.h"
#include "text.h"

#define OID_TEXT_MAX 128

X509_REQ *
request_from_pem(const void *p, size_t len, struct fail *f)
{
	struct pem_list list;
	const struct pem_item *item = pem_first(p, len, pem_is_request, "certificate request", &list, f);
	X509_REQ *req = item != NULL ? pem_get1_request(item, f) : NULL;

	pem_list_clear(&list);
	return req;
}

/* The name that OpenSSL has for it, else the dotted form; returns its first argument. */
static const char *
oid_text(char dst[OID_TEXT_MAX], const ASN1_OBJECT *oid)
{
	if (OBJ_obj2txt(dst, OID_TEXT_MAX, oid, 0) <= 0)
		strcpy(dst, "unknown");
	return dst;
}

/* RFC 4055 3.1: the digest of RSA-PSS stands in its parameters, and is SHA-1 where it does not. */
static int
pss_digest(const X509_ALGOR *alg)
{
	RSA_PSS_PARAMS *pss = NULL;
	const void *value = NULL;
	int type = V_ASN1_UNDEF, md = NID_undef;

	X509_ALGOR_get0(NULL, &type, &value, alg);
	if (type == V_ASN1_SEQUENCE)
		pss = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	if (pss != NULL)
		md = pss->hashAlgorithm != NULL ? OBJ_obj2nid(pss->hashAlgorithm->algorithm) : NID_sha1;
	RSA_PSS_PARAMS_free(pss);
	return md;
}

/* NID_undef: the algorithm has none of its own, as Ed25519. */
static int
digest_of(const X509_REQ *req)
{
	const X509_ALGOR *alg = NULL;
	int md = NID_undef;

	X509_REQ_get0_signature(req, NULL, &alg);
	if (X509_REQ_get_signature_nid(req) == NID_rsassaPss)
		return pss_digest(alg);
	return OBJ_find_sigid_algs(X509_REQ_get_signature_nid(req), &md, NULL) == 1 ? md : NID_undef;
}

static int
check_signature(const X509_REQ *req, EVP_PKEY *key, struct fail *f)
{
	int md;

	/* The const is only lost in OpenSSL's signature. */
	ossl_clear();
	if (X509_REQ_verify((X509_REQ *)(uintptr_t)req, key) != 1) {
		ossl_clear();
		return fail(f, FAIL_POLICY, "the request's signature is not by its own key");
	}
	md = digest_of(req);
	if (md == NID_md5 || md == NID_md4 || md == NID_md2 || md == NID_sha1)
		return fail(f, FAIL_POLICY,
		    "the request's signature uses %s, which is broken; expected SHA-256 or better",
		    OBJ_nid2ln(md));
	return 0;
}

static int
check_attributes(const X509_REQ *req, struct fail *f)
{
	int i, asked = 0, n = X509_REQ_get_attr_count(req);
	char name[OID_TEXT_MAX];

	for (i = 0; i < n; i++) {
		X509_ATTRIBUTE *a = X509_REQ_get_attr(req, i);
		ASN1_OBJECT *oid = X509_ATTRIBUTE_get0_object(a);

		if (OBJ_obj2nid(oid) != NID_ext_req)
			return fail(f, FAIL_POLICY, "the request has the attribute %s; expected "
			    "none but extensionRequest", oid_text(name, oid));
		if (asked++ || X509_ATTRIBUTE_count(a) != 1)
			return fail(f, FAIL_POLICY,
			    "the request has more than one list of extensions (RFC 2985 5.4.2)");
	}
	return 0;
}

int
request_check(const X509_REQ *req, struct fail *f)
{
	EVP_PKEY *key;

	ossl_clear();
	if ((key = X509_REQ_get0_pubkey((X509_REQ *)(uintptr_t)req)) == NULL)
		return fail_ossl(f, FAIL_INPUT, "the request's public key cannot be read");
	if (key_check_strength(key, f) == -1 || check_signature(req, key, f) == -1)
		return -1;
	return check_attributes(req, f);
}

static int
field_of(const ASN1_OBJECT *oid)
{
	static const int nids[ISSUE_FIELDS] = {
		[ISSUE_C] = NID_countryName, [ISSUE_ST] = NID_stateOrProvinceName,
		[ISSUE_L] = NID_localityName, [ISSUE_O] = NID_organizationName,
		[ISSUE_OU] = NID_organizationalUnitName, [ISSUE_CN] = NID_commonName,
	};
	int i, nid = OBJ_obj2nid(oid);

	for (i = 0; i < ISSUE_FIELDS; i++)
		if (nids[i] == nid)
			return i;
	return -1;
}

/* Counted, so that what stands behind a NUL is not lost. */
static int
take_part(struct issue *is, enum issue_field field, const ASN1_STRING *value, struct fail *f)
{
	unsigned char *utf8 = NULL;
	int n, rc;

	ossl_clear();
	if ((n = ASN1_STRING_to_UTF8(&utf8, value)) < 0)
		return fail_ossl(f, FAIL_INPUT, "a part of the request's subject cannot be read");
	if (memchr(utf8, '\0', n) != NULL)
		rc = fail(f, FAIL_INPUT, "a part of the request's subject has a NUL in it");
	else
		rc = issue_set(is, field, (char *)utf8, f);
	OPENSSL_free(utf8);
	return rc;
}

static int
take_subject(const X509_REQ *req, struct issue *is, struct fail *f)
{
	const X509_NAME *name = X509_REQ_get_subject_name(req);
	int i, field, seen[ISSUE_FIELDS] = { 0 };
	char text[OID_TEXT_MAX];

	for (i = 0; i < X509_NAME_entry_count(name); i++) {
		X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
		ASN1_OBJECT *oid = X509_NAME_ENTRY_get_object(e);

		if ((field = field_of(oid)) == -1)
			return fail(f, FAIL_POLICY, "the request's subject has a %s; expected C, ST, "
			    "L, O, OU and CN only", oid_text(text, oid));
		if (seen[field]++)
			return fail(f, FAIL_POLICY, "the request's subject has more than one %s",
			    oid_text(text, oid));
		if (take_part(is, field, X509_NAME_ENTRY_get_data(e), f) == -1)
			return -1;
	}
	return 0;
}

static int
take_dns(struct issue *is, const ASN1_STRING *s, struct fail *f)
{
	size_t n = ASN1_STRING_length(s);
	char *text, *shown;
	int rc = -1;

	text = xasprintf("DNS:%.*s", (int)n, (const char *)ASN1_STRING_get0_data(s));
	if (strlen(text) == n + 4) {
		rc = issue_add_san(is, text, f);
	} else {
		shown = text_escape((const char *)ASN1_STRING_get0_data(s), n);
		fail(f, FAIL_INPUT, "%.260s: not a host name", shown);
		free(shown);
	}
	free(text);
	return rc;
}

static int
take_address(struct issue *is, const ASN1_STRING *s, struct fail *f)
{
	int n = ASN1_STRING_length(s);
	char shown[INET6_ADDRSTRLEN];

	if ((n != 4 && n != 16) || inet_ntop(n == 4 ? AF_INET : AF_INET6,
	    ASN1_STRING_get0_data(s), shown, sizeof shown) == NULL)
		return fail(f, FAIL_INPUT, "an address of %d octets", n);
	return issue_add_san(is, shown, f);
}

static int
take_san(struct issue *is, void *value, struct fail *f)
{
	GENERAL_NAMES *names = value;
	int i, rc = 0;

	if (is->flags & ISSUE_CA)
		return fail(f, FAIL_POLICY,
		    "the request asks for names of hosts, which a CA has not");
	for (i = 0; rc == 0 && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);

		if (gn->type == GEN_DNS)
			rc = take_dns(is, gn->d.dNSName, f);
		else if (gn->type == GEN_IPADD)
			rc = take_address(is, gn->d.iPAddress, f);
		else
			rc = fail(f, FAIL_POLICY, "the request asks for a name of kind %d; expected "
			    "dNSName and iPAddress only (RFC 5280 4.2.1.6)", gn->type);
	}
	return rc == -1 ? fail_prefix(f, "subjectAltName") : 0;
}

/* What lies in the profile is given in any case, so only what goes beyond it counts. */
static int
take_key_usage(struct issue *is, void *value, struct fail *f)
{
	ASN1_BIT_STRING *bits = value;

	if (!(is->flags & ISSUE_CA) &&
	    (ASN1_BIT_STRING_get_bit(bits, 5) || ASN1_BIT_STRING_get_bit(bits, 6)))
		return fail(f, FAIL_POLICY, "the request asks to sign certificates (keyUsage): --ca "
		    "would allow it");
	return 0;
}

static int
take_purposes(struct issue *is, void *value, struct fail *f)
{
	EXTENDED_KEY_USAGE *eku = value;
	char text[OID_TEXT_MAX];
	int i, nid, client = 0;

	for (i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
		nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));
		if (nid != NID_server_auth && nid != NID_client_auth)
			return fail(f, FAIL_POLICY, "the request asks for the purpose %s; expected "
			    "serverAuth and clientAuth only",
			    oid_text(text, sk_ASN1_OBJECT_value(eku, i)));
		client |= nid == NID_client_auth;
	}
	if (!client)
		is->flags |= ISSUE_SERVER_ONLY;
	return 0;
}

static int
take_basic_constraints(struct issue *is, void *value, struct fail *f)
{
	BASIC_CONSTRAINTS *bc = value;

	if (bc->ca && !(is->flags & ISSUE_CA))
		return fail(f, FAIL_POLICY, "the request is for a CA: --ca would allow it");
	if (!bc->ca && (is->flags & ISSUE_CA))
		return fail(f, FAIL_POLICY, "the request is not for a CA, but --ca is given");
	return 0;
}

static int
take_key_id(struct issue *is, void *value, struct fail *f)
{
	(void)is;
	(void)value;
	(void)f;
	return 0;
}

static const struct extension {
	int nid;
	int (*take)(struct issue *, void *value, struct fail *);
} known[] = {
	{ NID_subject_alt_name, take_san },
	{ NID_key_usage, take_key_usage },
	{ NID_ext_key_usage, take_purposes },
	{ NID_basic_constraints, take_basic_constraints },
	{ NID_subject_key_identifier, take_key_id },
};
#define KNOWN (sizeof known / sizeof known[0])

static int
take_extension(X509_EXTENSION *ext, int seen[KNOWN], struct issue *is, struct fail *f)
{
	ASN1_OBJECT *oid = X509_EXTENSION_get_object(ext);
	char name[OID_TEXT_MAX];
	void *value = NULL;
	size_t i;
	int rc;

	for (i = 0; i < KNOWN && known[i].nid != OBJ_obj2nid(oid); i++)
		;
	if (i == KNOWN)
		return fail(f, FAIL_POLICY, "the request asks for the extension %s, which is not "
		    "given", oid_text(name, oid));
	if (seen[i]++)
		return fail(f, FAIL_POLICY, "the request asks twice for the extension %s",
		    oid_text(name, oid));
	ossl_clear();
	if ((value = X509V3_EXT_d2i(ext)) == NULL)
		return fail_ossl(f, FAIL_INPUT, "the extension %s cannot be read",
		    oid_text(name, oid));
	rc = known[i].take(is, value, f);
	ASN1_item_free(value, ASN1_ITEM_ptr(X509V3_EXT_get_nid(known[i].nid)->it));
	return rc;
}

int
request_order(const X509_REQ *req, struct issue *is, struct fail *f)
{
	STACK_OF(X509_EXTENSION) *exts = NULL;
	int i, rc, seen[KNOWN] = { 0 };

	if (take_subject(req, is, f) == -1)
		return -1;
	/* NULL where there are none; but where there is an attribute, it must be readable. */
	ossl_clear();
	exts = X509_REQ_get_extensions((X509_REQ *)(uintptr_t)req);
	if (exts == NULL && X509_REQ_get_attr_count(req) > 0)
		return fail_ossl(f, FAIL_INPUT, "the request's extensions cannot be read");
	for (rc = 0, i = 0; rc == 0 && i < sk_X509_EXTENSION_num(exts); i++)
		rc = take_extension(sk_X509_EXTENSION_value(exts, i), seen, is, f);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	ossl_clear();
	return rc;
}
