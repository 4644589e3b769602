/*
 * An order is checked while it is filled in; carrying it out only puts it into ASN.1: build() makes
 * all but the issuer, profile the extensions, and the signature comes last.
 */
#include "issue.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "key.h"
#include "name.h"
#include "ossl.h"
#include "profile.h"
#include "text.h"

#define SERIAL_LEN 20	/* octets, the most that RFC 5280 4.1.2.2 allows */
#define CN_MAX 64	/* characters (RFC 5280 Appendix A.1, ub-common-name) */

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

void
issue_init(struct issue *is)
{
	memset(is, 0, sizeof *is);
	is->days = ISSUE_DAYS_DEFAULT;
	is->pathlen = -1;
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
	for (i = 0; i < is->nlimits; i++)
		free(is->limits[i].name.text);
	free(is->limits);
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
	if (field == ISSUE_CN && !(is->flags & ISSUE_CA))
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

/* "ADDRESS/LENGTH" into address and mask.  Bits behind the length would be a slip of the hand. */
static int
parse_range(const char *s, struct issue_san *san, struct fail *f)
{
	const char *slash = strchr(s, '/');
	char *addr = slash != NULL ? xstrndup(s, slash - s) : xstrdup(s);
	long long bits;
	int ok = parse_address(addr, san);
	size_t i;

	free(addr);
	if (!ok)
		return 0;
	bits = 8 * (long long)san->addrlen;
	if (slash != NULL && text_number(slash + 1, 0, bits, "the length", &bits, f) == -1)
		return -1;
	for (i = 0; i < san->addrlen; i++, bits -= 8) {
		uint8_t mask = bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff << (8 - bits);

		if (san->addr[i] & ~mask)
			return fail(f, FAIL_INPUT, "bits behind the length are not zero");
		san->addr[san->addrlen + i] = mask;
	}
	san->addrlen *= 2;
	return 1;
}

static int
parse_limit(const char *s, struct issue_san *san, struct fail *f)
{
	int rc;

	if (text_utf8_chars(s) <= 0)
		return fail(f, FAIL_INPUT, "expected a domain or a range of addresses");
	if ((rc = parse_range(s, san, f)) != 0)
		return rc == 1 ? 0 : -1;
	if (parse_host(s, san, f) == -1)
		return -1;
	if (san->text[0] == '*')
		return fail(f, FAIL_INPUT, "a domain stands for all names below it, without \"*\"");
	return 0;
}

int
issue_add_limit(struct issue *is, int exclude, const char *utf8, struct fail *f)
{
	struct issue_limit new = { .exclude = exclude, .name = { .text = NULL } };

	if (is->nlimits == ISSUE_LIMITS_MAX)
		return fail(f, FAIL_INPUT, "more than %d name constraints", ISSUE_LIMITS_MAX);
	if (parse_limit(utf8, &new.name, f) == -1) {
		free(new.name.text);
		return fail_prefix(f, "\"%.260s\"", utf8);
	}
	is->limits = xreallocarray(is->limits, is->nlimits + 1, sizeof *is->limits);
	is->limits[is->nlimits++] = new;
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

/* The span asked for, within the issuer's. */
static int
set_span(const struct issue *is, X509 *cert, const X509 *ca, int64_t now)
{
	int64_t from = now - ISSUE_BACKDATE, to = now + (int64_t)is->days * 86400;

	if (ca != NULL && from < cert_not_before(ca))
		from = cert_not_before(ca);
	if (ca != NULL && to > cert_not_after(ca))
		to = cert_not_after(ca);
	return set_times(cert, from, to);
}

/* All but the signature; ca is NULL where the certificate will be self-signed. */
static int
build(const struct issue *is, X509 *cert, EVP_PKEY *key, const X509 *ca, int64_t now)
{
	X509_NAME *subject = X509_NAME_new();
	int rc = -1;

	if (subject == NULL)
		alloc_failed();
	if (X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) == 0 &&
	    set_span(is, cert, ca, now) == 0 && add_subject(is, subject) == 0 &&
	    X509_set_subject_name(cert, subject) == 1 &&
	    X509_set_issuer_name(cert, ca != NULL ? X509_get_subject_name(ca) : subject) == 1 &&
	    X509_set_pubkey(cert, key) == 1)
		rc = profile_cert(is, cert, key, ca != NULL ? ca : cert);
	X509_NAME_free(subject);
	return rc;
}

static int
check_names(const struct issue *is, struct fail *f)
{
	if (is->flags & ISSUE_CA ? is->field[ISSUE_CN] == NULL : is->nsan == 0)
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
static X509 *
make(const struct issue *is, EVP_PKEY *key, const X509 *ca, EVP_PKEY *signer, int64_t now,
    struct fail *f)
{
	X509 *cert = NULL;

	if (check_order(is, key, f) == -1)
		return NULL;
	ossl_clear();
	if ((cert = X509_new()) == NULL)
		alloc_failed();
	if (build(is, cert, key, ca, now) == -1) {
		fail_ossl(f, FAIL_SYS, "the certificate cannot be made");
		goto failed;
	}
	if (X509_sign(cert, signer, key_get0_digest(signer)) <= 0) {
		fail_ossl(f, FAIL_INPUT, "the key cannot sign");
		goto failed;
	}
	if (X509_verify(cert, signer) != 1) {
		fail_ossl(f, FAIL_INPUT, "the key does not verify what it signed");
		goto failed;
	}
	return cert;
failed:
	X509_free(cert);
	return NULL;
}

X509 *
issue_self_signed(const struct issue *is, EVP_PKEY *key, int64_t now, struct fail *f)
{
	return make(is, key, NULL, key, now, f);
}

X509 *
issue_signed(const struct issue *is, EVP_PKEY *key, const X509 *ca, EVP_PKEY *ca_key, int64_t now,
    struct fail *f)
{
	return make(is, key, ca, ca_key, now, f);
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
		rc = profile_request(is, req, key);
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
