#include "tlsa.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "key.h"
#include "name.h"
#include "ossl.h"
#include "text.h"

#define SHA256_LEN 32
#define SHA512_LEN 64

/* RFC 7218 2.1 to 2.3. */
static const char *const usage_names[] = {
	[TLSA_PKIX_TA] = "PKIX-TA",
	[TLSA_PKIX_EE] = "PKIX-EE",
	[TLSA_DANE_TA] = "DANE-TA",
	[TLSA_DANE_EE] = "DANE-EE",
};
static const char *const selector_names[] = { [TLSA_CERT] = "Cert", [TLSA_SPKI] = "SPKI" };
static const char *const mtype_names[] = {
	[TLSA_FULL] = "Full",
	[TLSA_SHA256] = "SHA2-256",
	[TLSA_SHA512] = "SHA2-512",
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

void
tlsa_clear(struct tlsa *t)
{
	free(t->data);
	*t = (struct tlsa)TLSA_INIT;
}

void
tlsa_copy(struct tlsa *dst, const struct tlsa *src)
{
	*dst = *src;
	dst->data = src->len > 0 ? xmemdup(src->data, src->len) : NULL;
}

int
tlsa_equal(const struct tlsa *a, const struct tlsa *b)
{
	return a->usage == b->usage && a->selector == b->selector && a->mtype == b->mtype &&
	    a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

int
tlsa_order(const void *va, const void *vb)
{
	const struct tlsa *a = va, *b = vb;
	size_t n = a->len < b->len ? a->len : b->len;
	int rc;

	if (a->usage != b->usage)
		return a->usage < b->usage ? -1 : 1;
	if (a->selector != b->selector)
		return a->selector < b->selector ? -1 : 1;
	if (a->mtype != b->mtype)
		return a->mtype < b->mtype ? -1 : 1;
	if (n > 0 && (rc = memcmp(a->data, b->data, n)) != 0)
		return rc;
	return a->len < b->len ? -1 : a->len > b->len;
}

static int
parse_number(const char *s, const char *what, const char *const *names, size_t n, uint8_t *out,
    struct fail *f)
{
	long long v;
	size_t i;

	for (i = 0; i < n; i++)
		if (text_case_eq(s, names[i])) {
			*out = i;
			return 0;
		}
	if (text_number(s, 0, 255, what, &v, NULL) == -1)
		return fail(f, FAIL_INPUT,
		    "%s: expected 0 to 255 or a name such as %s, not \"%.64s\"", what, names[n - 1],
		    s);
	*out = v;
	return 0;
}

int
tlsa_parse_usage(const char *s, uint8_t *out, struct fail *f)
{
	return parse_number(s, "TLSA usage", usage_names, COUNT(usage_names), out, f);
}

int
tlsa_parse_selector(const char *s, uint8_t *out, struct fail *f)
{
	return parse_number(s, "TLSA selector", selector_names, COUNT(selector_names), out, f);
}

int
tlsa_parse_mtype(const char *s, uint8_t *out, struct fail *f)
{
	return parse_number(s, "TLSA matching type", mtype_names, COUNT(mtype_names), out, f);
}

/* Copies the next word; leaves *s behind it and the blanks that follow. */
static int
take_word(const char **s, char word[32])
{
	size_t n;

	*s += strspn(*s, " \t");
	n = strcspn(*s, " \t");
	if (n == 0 || n >= 32)
		return -1;
	memcpy(word, *s, n);
	word[n] = '\0';
	*s += n;
	*s += strspn(*s, " \t");
	return 0;
}

int
tlsa_parse(struct tlsa *dst, const char *s, struct fail *f)
{
	struct tlsa t = TLSA_INIT;
	char word[3][32];
	int i;

	*dst = t;
	for (i = 0; i < 3; i++)
		if (take_word(&s, word[i]) == -1)
			return fail(f, FAIL_INPUT, "expected usage, selector, matching type and "
			    "hexadecimal data");
	if (tlsa_parse_usage(word[0], &t.usage, f) == -1 ||
	    tlsa_parse_selector(word[1], &t.selector, f) == -1 ||
	    tlsa_parse_mtype(word[2], &t.mtype, f) == -1)
		return -1;
	if (text_unhex(s, &t.data, &t.len, f) == -1)
		return fail_prefix(f, "TLSA data");
	if (t.len > TLSA_DATA_MAX) {
		tlsa_clear(&t);
		return fail(f, FAIL_INPUT, "TLSA data: more than %d octets", TLSA_DATA_MAX);
	}
	*dst = t;
	return 0;
}

int
tlsa_from_wire(struct tlsa *dst, const uint8_t *p, size_t n, struct fail *f)
{
	*dst = (struct tlsa)TLSA_INIT;
	if (n < 3 || n - 3 > TLSA_DATA_MAX)
		return fail(f, FAIL_INPUT, "TLSA record of %zu octets; expected 3 to 65535", n);
	dst->usage = p[0];
	dst->selector = p[1];
	dst->mtype = p[2];
	dst->len = n - 3;
	dst->data = dst->len > 0 ? xmemdup(p + 3, dst->len) : NULL;
	return 0;
}

/* Fills in the association data for what the selector chose (RFC 6698 2.1.3). */
static int
set_data(struct tlsa *t, const struct buf *chosen, struct fail *f)
{
	const EVP_MD *md = t->mtype == TLSA_SHA256 ? EVP_sha256() : EVP_sha512();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (t->mtype > TLSA_SHA512)
		return fail(f, FAIL_INPUT,
		    "TLSA matching type %u is not defined; expected 0, 1 or 2", t->mtype);
	if (t->mtype == TLSA_FULL) {
		if (chosen->len > TLSA_DATA_MAX)
			return fail(f, FAIL_INPUT,
			    "too large for a TLSA record with matching type 0");
		t->data = xmemdup(chosen->p, chosen->len);
		t->len = chosen->len;
		return 0;
	}
	if (EVP_Digest(chosen->p, chosen->len, digest, &n, md, NULL) != 1)
		return fail_ossl(f, FAIL_SYS, "digest");
	t->data = xmemdup(digest, n);
	t->len = n;
	return 0;
}

/* The SubjectPublicKeyInfo as it stands in the certificate, known algorithm or not. */
static int
cert_spki(const X509 *cert, struct buf *b, struct fail *f)
{
	unsigned char *der = NULL;
	int n;

	ossl_clear();
	if ((n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der)) <= 0)
		return fail_ossl(f, FAIL_INPUT, "the public key cannot be encoded");
	buf_add(b, der, n);
	OPENSSL_free(der);
	return 0;
}

static int
select_part(const X509 *cert, uint8_t selector, struct buf *b, struct fail *f)
{
	switch (selector) {
	case TLSA_CERT:
		return cert_to_der(cert, b, f);
	case TLSA_SPKI:
		return cert_spki(cert, b, f);
	}
	return fail(f, FAIL_INPUT, "TLSA selector %u is not defined; expected 0 or 1", selector);
}

int
tlsa_of_cert(struct tlsa *dst, uint8_t usage, uint8_t selector, uint8_t mtype, const X509 *cert,
    struct fail *f)
{
	struct buf part = BUF_INIT;
	int rc;

	*dst = (struct tlsa){ .usage = usage, .selector = selector, .mtype = mtype };
	if ((rc = select_part(cert, selector, &part, f)) == 0)
		rc = set_data(dst, &part, f);
	buf_clear(&part);
	return rc;
}

int
tlsa_of_key(struct tlsa *dst, uint8_t usage, uint8_t mtype, const EVP_PKEY *key, struct fail *f)
{
	struct buf part = BUF_INIT;
	int rc;

	*dst = (struct tlsa){ .usage = usage, .selector = TLSA_SPKI, .mtype = mtype };
	if ((rc = key_spki(key, &part, f)) == 0)
		rc = set_data(dst, &part, f);
	buf_clear(&part);
	return rc;
}

int
tlsa_matches_cert(const struct tlsa *t, const X509 *cert)
{
	struct tlsa made;
	int yes;

	if (tlsa_of_cert(&made, t->usage, t->selector, t->mtype, cert, NULL) == -1)
		return 0;
	yes = tlsa_equal(t, &made);
	tlsa_clear(&made);
	return yes;
}

static int
is_public_key(const uint8_t *der, size_t len)
{
	const unsigned char *p = der;
	X509_PUBKEY *spki = d2i_X509_PUBKEY(NULL, &p, len);
	int yes = spki != NULL && p == der + len;

	X509_PUBKEY_free(spki);
	ossl_clear();
	return yes;
}

static int
is_cert(const uint8_t *der, size_t len)
{
	X509 *cert = cert_from_der(der, len, NULL);
	int yes = cert != NULL;

	X509_free(cert);
	return yes;
}

static const char *
why_unusable(const struct tlsa *t)
{
	if (t->usage == TLSA_PKIX_TA || t->usage == TLSA_PKIX_EE)
		return "usage 0 and 1 are not used with SMTP (RFC 7672 3.1.3)";
	if (t->usage > TLSA_DANE_EE)
		return "unknown usage (RFC 7671 4)";
	if (t->selector > TLSA_SPKI)
		return "unknown selector (RFC 7671 4)";
	if (t->mtype > TLSA_SHA512)
		return "unknown matching type (RFC 7671 4)";
	if (t->len == 0)
		return "no data (RFC 6698 2.1.4)";
	if (t->mtype == TLSA_SHA256 && t->len != SHA256_LEN)
		return "a SHA2-256 digest is 32 octets (RFC 6698 2.1.3)";
	if (t->mtype == TLSA_SHA512 && t->len != SHA512_LEN)
		return "a SHA2-512 digest is 64 octets (RFC 6698 2.1.3)";
	if (t->mtype != TLSA_FULL)
		return NULL;
	if (t->selector == TLSA_CERT && !is_cert(t->data, t->len))
		return "the data is not a DER certificate (RFC 6698 2.1.2)";
	if (t->selector == TLSA_SPKI && !is_public_key(t->data, t->len))
		return "the data is not a DER SubjectPublicKeyInfo (RFC 6698 2.1.2)";
	return NULL;
}

int
tlsa_usable(const struct tlsa *t, const char **why)
{
	const char *reason = why_unusable(t);

	if (reason != NULL && why != NULL)
		*why = reason;
	return reason == NULL;
}

static char *
hex_of(const struct tlsa *t)
{
	char *hex = xmalloc(2 * t->len + 1);

	text_hex(hex, t->data, t->len);
	return hex;
}

char *
tlsa_rdata(const struct tlsa *t)
{
	char *hex = hex_of(t), *text;

	text = xasprintf("%u %u %u %s", t->usage, t->selector, t->mtype, hex);
	free(hex);
	return text;
}

char *
tlsa_rdata_generic(const struct tlsa *t)
{
	char *hex = hex_of(t), *text;

	text =
	    xasprintf("\\# %zu %02x%02x%02x%s", t->len + 3, t->usage, t->selector, t->mtype, hex);
	free(hex);
	return text;
}

const char *
tlsa_usage_name(uint8_t n)
{
	return n < COUNT(usage_names) ? usage_names[n] : NULL;
}

const char *
tlsa_selector_name(uint8_t n)
{
	return n < COUNT(selector_names) ? selector_names[n] : NULL;
}

const char *
tlsa_mtype_name(uint8_t n)
{
	return n < COUNT(mtype_names) ? mtype_names[n] : NULL;
}

static int
is_proto(const char *s)
{
	return strcmp(s, "tcp") == 0 || strcmp(s, "udp") == 0 || strcmp(s, "sctp") == 0;
}

char *
tlsa_owner(const char *base, uint16_t port, const char *proto, struct fail *f)
{
	size_t n = strlen(base);
	char *owner;

	if (n > 0 && base[n - 1] == '.')
		n--;
	if (base[0] == '*') {
		fail(f, FAIL_INPUT,
		    "%.260s: a wildcard cannot stand behind _%u._%s (RFC 4592 2.1.1); "
		    "publish a record for each host",
		    base, port, proto);
		return NULL;
	}
	if (!name_is_host(base, NAME_UNDERSCORE)) {
		fail(f, FAIL_INPUT, "%.260s: not a host name", base);
		return NULL;
	}
	if (!is_proto(proto)) {
		fail(f, FAIL_INPUT, "%.64s: expected tcp, udp or sctp", proto);
		return NULL;
	}
	owner = xasprintf("_%u._%s.%.*s.", port, proto, (int)n, base);
	text_lower(owner);
	if (strlen(owner) - 1 <= NAME_LEN_MAX)
		return owner;
	fail(f, FAIL_INPUT, "%.260s: too long to have _%u._%s before it", base, port, proto);
	free(owner);
	return NULL;
}
