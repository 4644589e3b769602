/*
 * p12_parse(): read_pfx() takes the outer layers apart and read_safe() the list of contents in them;
 * read_bags() walks the SafeContents of one that is not encrypted, and so does p12_open() with those
 * that it has decrypted.  Each bag that stands in one of them becomes a struct p12_bag with a copy of
 * what is in it; p12_open() then turns these octets into keys and certificates.
 */
#include "p12.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pkcs12.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "ber.h"
#include "cert.h"
#include "ossl.h"
#include "pem.h"

#define PFX_VERSION 3
#define PEM_LABEL "PKCS12"
#define CONTENTS_MAX P12_BAGS_MAX

static void
bag_clear(struct p12_bag *bag)
{
	free(bag->name);
	buf_clear(&bag->id);
	pbe_clear(&bag->pbe);
	buf_wipe(&bag->octets);
	EVP_PKEY_free(bag->key);
	X509_free(bag->cert);
}

void
p12_free(struct p12 *p12)
{
	size_t i;

	if (p12 == NULL)
		return;
	for (i = 0; i < p12->nbag; i++)
		bag_clear(&p12->bag[i]);
	for (i = 0; i < p12->ncontent; i++) {
		pbe_clear(&p12->content[i].pbe);
		buf_wipe(&p12->content[i].octets);
	}
	pbe_clear(&p12->mac);
	buf_clear(&p12->digest);
	buf_wipe(&p12->safe);
	free(p12->bag);
	free(p12->content);
	free(p12);
}

static int
object(struct ber *b, const char *what, int *nid, char **text, struct fail *f)
{
	struct ber_item item;
	const uint8_t *p;
	ASN1_OBJECT *o;
	char name[128];

	if (ber_need(b, BER_OID, what, &item, f) == -1)
		return -1;
	p = item.whole;
	if ((o = d2i_ASN1_OBJECT(NULL, &p, item.wholelen)) == NULL) {
		ossl_clear();
		return ber_fail(b, item.whole, f, "%s: an object identifier that is none", what);
	}
	*nid = OBJ_obj2nid(o);
	if (text != NULL)
		*text = xstrdup(OBJ_obj2txt(name, sizeof name, o, 0) > 0 ? name : "unknown");
	ASN1_OBJECT_free(o);
	return 0;
}

/* The octets of an OCTET STRING that must come next. */
static int
octets(struct ber *b, const char *what, struct buf *out, struct fail *f)
{
	struct ber_item item;

	if (ber_need(b, BER_OCTETS, what, &item, f) == -1)
		return -1;
	return ber_octets(b, &item, out, f);
}

/* UTF-16BE as UTF-8.  What is no character becomes U+FFFD, an odd octet at the end is left out. */
static char *
from_utf16(const uint8_t *p, size_t len)
{
	struct buf b = BUF_INIT;
	unsigned c, low;
	size_t i;

	for (i = 0; i + 1 < len; i += 2) {
		c = (unsigned)p[i] << 8 | p[i + 1];
		if (c >= 0xd800 && c < 0xe000) {
			low = i + 3 < len ? (unsigned)p[i + 2] << 8 | p[i + 3] : 0;
			if (c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
				c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
				i += 2;
			} else
				c = 0xfffd;
		}
		if (c == 0)
			continue;
		if (c < 0x80)
			buf_putc(&b, (char)c);
		else if (c < 0x800)
			buf_printf(&b, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
		else if (c < 0x10000)
			buf_printf(&b, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f),
			    0x80 | (c & 0x3f));
		else
			buf_printf(&b, "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 0x3f),
			    0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
	}
	return buf_steal(&b);
}

/* One value of an attribute; of a type that does not belong there it is passed over, as the name and
 * the number of a key only help to tell it from others. */
static void
take_attribute(struct p12_bag *bag, int nid, const struct ber_item *value)
{
	if (nid == NID_localKeyID && value->tag == BER_OCTETS && bag->id.len == 0)
		buf_add(&bag->id, value->body, value->len);
	if (nid != NID_friendlyName || bag->name != NULL)
		return;
	if (value->tag == BER_BMP)
		bag->name = from_utf16(value->body, value->len);
	else if (value->tag == BER_UTF8 && memchr(value->body, '\0', value->len) == NULL)
		bag->name = xstrndup((const char *)value->body, value->len);
}

static int
read_attributes(struct ber *bag_walk, struct p12_bag *bag, struct fail *f)
{
	struct ber set, attribute, values;
	struct ber_item value;
	int nid = NID_undef, rc;

	if (!ber_is_next(bag_walk, BER_SET))
		return 0;
	if (ber_need_in(bag_walk, BER_SET, "the attributes of a bag", &set, f) == -1)
		return -1;
	while (set.p < set.end) {
		if (ber_need_in(&set, BER_SEQUENCE, "an attribute", &attribute, f) == -1 ||
		    object(&attribute, "an attribute's type", &nid, NULL, f) == -1 ||
		    ber_need_in(&attribute, BER_SET, "an attribute's values", &values, f) == -1)
			return -1;
		while ((rc = ber_next(&values, &value, f)) == 1)
			take_attribute(bag, nid, &value);
		if (rc == -1)
			return -1;
	}
	return 0;
}

/* An EncryptedPrivateKeyInfo (RFC 5958 3). */
static int
read_shrouded(struct ber *value, struct p12_bag *bag, struct fail *f)
{
	struct ber in;

	if (ber_need_in(value, BER_SEQUENCE, "an encrypted private key", &in, f) == -1 ||
	    pbe_parse(&in, &bag->pbe, f) == -1)
		return -1;
	return octets(&in, "an encrypted private key", &bag->octets, f);
}

static int
read_cert(struct ber *value, struct p12_bag *bag, struct fail *f)
{
	struct ber in, outer;
	int nid = NID_undef;

	if (ber_need_in(value, BER_SEQUENCE, "a certificate's bag", &in, f) == -1 ||
	    object(&in, "a certificate's type", &nid, NULL, f) == -1)
		return -1;
	if (nid != NID_x509Certificate) {
		bag->type = P12_OTHER;
		return 0;
	}
	if (ber_need_in(&in, BER_CONTEXT | BER_CONSTRUCTED, "a certificate", &outer, f) == -1)
		return -1;
	return octets(&outer, "a certificate", &bag->octets, f);
}

static int
read_key(struct ber *value, struct p12_bag *bag, struct fail *f)
{
	struct ber_item item;

	if (ber_need(value, BER_SEQUENCE, "a private key", &item, f) == -1)
		return -1;
	buf_add(&bag->octets, item.whole, item.wholelen);
	return 0;
}

static int
read_value(struct ber *value, int nid, struct p12_bag *bag, struct fail *f)
{
	switch (nid) {
	case NID_keyBag:
		bag->type = P12_KEY;
		return read_key(value, bag, f);
	case NID_pkcs8ShroudedKeyBag:
		bag->type = P12_SHROUDED_KEY;
		return read_shrouded(value, bag, f);
	case NID_certBag:
		bag->type = P12_CERT;
		return read_cert(value, bag, f);
	case NID_crlBag:
		bag->type = P12_CRL;
		return 0;
	case NID_secretBag:
		bag->type = P12_SECRET;
		return 0;
	default:
		bag->type = P12_OTHER;
		return 0;
	}
}

static struct p12_bag *
bag_add(struct p12 *p12, unsigned content)
{
	struct p12_bag *bag;

	if ((p12->nbag & (p12->nbag - 1)) == 0)
		p12->bag = xreallocarray(p12->bag, p12->nbag > 0 ? 2 * p12->nbag : 1,
		    sizeof *p12->bag);
	bag = &p12->bag[p12->nbag++];
	memset(bag, 0, sizeof *bag);
	bag->content = content;
	return bag;
}

static int read_bags(struct p12 *, struct ber *, unsigned content, unsigned nest, struct fail *);

/* RFC 7292 4.2: a SafeBag; one that is SafeContents again is only a bracket around others. */
static int
read_bag(struct p12 *p12, struct ber *list, unsigned content, unsigned nest, struct fail *f)
{
	const uint8_t *at = list->p;
	struct ber in, value;
	struct p12_bag *bag;
	int nid = NID_undef;

	if (ber_need_in(list, BER_SEQUENCE, "a bag", &in, f) == -1 ||
	    object(&in, "a bag's type", &nid, NULL, f) == -1 ||
	    ber_need_in(&in, BER_CONTEXT | BER_CONSTRUCTED, "what is in a bag", &value, f) == -1)
		return -1;
	if (nid == NID_safeContentsBag) {
		if (nest == P12_NEST_MAX)
			return ber_fail(list, at, f, "more than %d SafeContents in one another", P12_NEST_MAX);
		return read_bags(p12, &value, content, nest + 1, f);
	}
	if (p12->nbag == P12_BAGS_MAX)
		return ber_fail(list, at, f, "more than %d bags", P12_BAGS_MAX);
	if ((nid == NID_keyBag || nid == NID_pkcs8ShroudedKeyBag) && p12->nkey++ == P12_KEYS_MAX)
		return ber_fail(list, at, f, "more than %d private keys", P12_KEYS_MAX);
	bag = bag_add(p12, content);
	return read_value(&value, nid, bag, f) == -1 ? -1 : read_attributes(&in, bag, f);
}

static int
read_bags(struct p12 *p12, struct ber *b, unsigned content, unsigned nest, struct fail *f)
{
	struct ber list;

	if (ber_need_in(b, BER_SEQUENCE, "SafeContents", &list, f) == -1)
		return -1;
	while (list.p < list.end)
		if (read_bag(p12, &list, content, nest, f) == -1)
			return -1;
	return 0;
}

static int
read_content_bags(struct p12 *p12, unsigned i, const struct buf *plain, int *loose, struct fail *f)
{
	struct ber b;

	ber_init(&b, plain->p, plain->len, loose);
	if (read_bags(p12, &b, i, 0, f) == -1 || ber_end(&b, "SafeContents", f) == -1)
		return fail_prefix(f, "damaged: contents %u", i + 1);
	return 0;
}

/* RFC 5652 8 without what nobody writes: EncryptedData, its content under a passphrase. */
static int
read_encrypted(struct ber *b, struct p12_content *c, struct fail *f)
{
	struct ber data, info;
	struct ber_item sealed;
	uint64_t version;
	int nid = NID_undef;

	if (ber_need_in(b, BER_SEQUENCE, "EncryptedData", &data, f) == -1 ||
	    ber_number(&data, "the version of EncryptedData", &version, f) == -1 ||
	    ber_need_in(&data, BER_SEQUENCE, "EncryptedContentInfo", &info, f) == -1 ||
	    object(&info, "the type of encrypted contents", &nid, NULL, f) == -1 ||
	    pbe_parse(&info, &c->pbe, f) == -1)
		return -1;
	c->encrypted = 1;
	if (!ber_is_next(&info, BER_CONTEXT | BER_CONSTRUCTED)) {
		if (ber_need(&info, BER_CONTEXT, "encrypted contents", &sealed, f) == -1)
			return -1;
	} else if (ber_next(&info, &sealed, f) == -1)
		return -1;
	return ber_octets(&info, &sealed, &c->octets, f);
}

/* RFC 5652 3: a type and [0] what it is of. */
static int
read_content_info(struct ber *b, int *nid, char **type, struct ber *explicit, struct fail *f)
{
	struct ber in;

	*type = NULL;
	if (ber_need_in(b, BER_SEQUENCE, "ContentInfo", &in, f) == -1 ||
	    object(&in, "a type of contents", nid, type, f) == -1 ||
	    ber_need_in(&in, BER_CONTEXT | BER_CONSTRUCTED, "contents", explicit, f) == -1) {
		free(*type);
		*type = NULL;
		return -1;
	}
	return 0;
}

static struct p12_content *
content_add(struct p12 *p12)
{
	struct p12_content *c;

	p12->content = xreallocarray(p12->content, p12->ncontent + 1, sizeof *p12->content);
	c = &p12->content[p12->ncontent++];
	memset(c, 0, sizeof *c);
	return c;
}

static int
read_content(struct p12 *p12, struct ber *list, struct fail *f)
{
	const uint8_t *at = list->p;
	struct p12_content *c;
	struct ber in;
	char *type;
	int nid = NID_undef, rc;

	if (p12->ncontent == CONTENTS_MAX)
		return ber_fail(list, at, f, "more than %d contents", CONTENTS_MAX);
	if (read_content_info(list, &nid, &type, &in, f) == -1)
		return -1;
	c = content_add(p12);
	if (nid == NID_pkcs7_encrypted)
		rc = read_encrypted(&in, c, f);
	else if (nid == NID_pkcs7_data)
		rc = octets(&in, "data", &c->octets, f);
	else {
		/* Public-key privacy (RFC 7292 4.1): for the holder of a key, not of a passphrase. */
		c->encrypted = 1;
		c->pbe.name = xstrdup(type);
		c->pbe.unsupported = xstrdup(type);
		rc = 0;
	}
	free(type);
	return rc;
}

static int
read_safe(struct p12 *p12, struct fail *f)
{
	struct ber b, list;

	ber_init(&b, p12->safe.p, p12->safe.len, &p12->ber);
	if (ber_need_in(&b, BER_SEQUENCE, "AuthenticatedSafe", &list, f) == -1)
		return fail_prefix(f, "damaged: AuthenticatedSafe");
	while (list.p < list.end)
		if (read_content(p12, &list, f) == -1)
			return fail_prefix(f, "damaged: AuthenticatedSafe");
	if (ber_end(&b, "AuthenticatedSafe", f) == -1)
		return fail_prefix(f, "damaged");
	return 0;
}

/* RFC 7292 4: MacData.  PBMAC1 brings salt and iterations of its own; those beside it mean nothing. */
static int
read_mac(struct p12 *p12, struct ber *pfx, struct fail *f)
{
	const uint8_t *at = pfx->p;
	struct ber mac, info;
	struct buf salt = BUF_INIT;
	uint64_t iterations = 1;
	int rc = -1;

	if (ber_need_in(pfx, BER_SEQUENCE, "MacData", &mac, f) == -1 ||
	    ber_need_in(&mac, BER_SEQUENCE, "DigestInfo", &info, f) == -1 ||
	    pbe_parse_mac(&info, &p12->mac, f) == -1 ||
	    octets(&info, "the digest of the MAC", &p12->digest, f) == -1 ||
	    octets(&mac, "the salt of the MAC", &salt, f) == -1)
		goto out;
	if (mac.p < mac.end && ber_number(&mac, "the iterations of the MAC", &iterations, f) == -1)
		goto out;
	p12->has_mac = 1;
	rc = 0;
	if (p12->mac.kdf != PBE_PKCS12)
		goto out;
	if (salt.len > PBE_SALT_MAX || iterations == 0) {
		rc = ber_fail(pfx, at, f, "a MAC with a salt of %zu octets and %llu iterations",
		    salt.len, (unsigned long long)iterations);
		goto out;
	}
	if (salt.len > 0)
		memcpy(p12->mac.salt, salt.p, salt.len);
	p12->mac.saltlen = salt.len;
	p12->mac.iterations = iterations;
out:
	buf_clear(&salt);
	return rc;
}

static int
read_auth_safe(struct p12 *p12, struct ber *pfx, struct fail *f)
{
	struct ber in;
	char *type;
	int nid = NID_undef, rc;

	if (read_content_info(pfx, &nid, &type, &in, f) == -1)
		return fail_prefix(f, "damaged");
	if (nid != NID_pkcs7_data)
		rc = fail(f, FAIL_INPUT, "unsupported algorithm: %.100s in place of a MAC", type);
	else if ((rc = octets(&in, "AuthenticatedSafe", &p12->safe, f)) == -1)
		fail_prefix(f, "damaged");
	free(type);
	return rc;
}

static int
read_pfx(struct p12 *p12, const void *p, size_t len, struct fail *f)
{
	struct ber b, pfx;
	uint64_t version;

	ber_init(&b, p, len, &p12->ber);
	if (ber_need_in(&b, BER_SEQUENCE, "PFX", &pfx, f) == -1 ||
	    ber_number(&pfx, "the version of PFX", &version, f) == -1)
		return fail_prefix(f, p12_is(p, len) ? "damaged" : "not PKCS#12");
	if (version != PFX_VERSION)
		return fail(f, FAIL_INPUT, "not PKCS#12: version %llu where %d is expected",
		    (unsigned long long)version, PFX_VERSION);
	if (read_auth_safe(p12, &pfx, f) == -1)
		return -1;
	if ((pfx.p < pfx.end && read_mac(p12, &pfx, f) == -1) || ber_end(&pfx, "PFX", f) == -1 ||
	    ber_end(&b, "PFX", f) == -1)
		return fail_prefix(f, "damaged");
	return read_safe(p12, f);
}

/* What stands between the lines of PEM, where it is that. */
static int
unarmor(const void *p, size_t len, struct pem_list *list, struct fail *f)
{
	size_t i;

	if (pem_read(p, len, list, f) == -1)
		return fail_prefix(f, "not PKCS#12");
	for (i = 0; i < list->n; i++)
		if (strcmp(list->v[i].label, PEM_LABEL) == 0)
			break;
	if (i < list->n) {
		struct pem_item first = list->v[0];

		list->v[0] = list->v[i];
		list->v[i] = first;
		return 0;
	}
	fail(f, FAIL_INPUT, "not PKCS#12, but PEM: %s", list->v[0].label);
	pem_list_clear(list);
	return -1;
}

int
p12_is(const void *p, size_t len)
{
	static const char begin[] = "-----BEGIN " PEM_LABEL "-----";
	const uint8_t *u = p;
	size_t n;

	if (len > 0 && u[0] != BER_SEQUENCE)
		return memmem(p, len, begin, sizeof begin - 1) != NULL;
	if (len < 8)
		return 0;
	/* Behind the length, which may be in any form, stands INTEGER 3. */
	n = 2 + (u[1] > 0x80 ? u[1] & 0x7fU : 0);
	return n + 3 <= len && u[n] == BER_INTEGER && u[n + 1] == 1 && u[n + 2] == PFX_VERSION;
}

static int
is_der(const void *p, size_t len)
{
	return len > 0 && *(const uint8_t *)p == BER_SEQUENCE &&
	    memmem(p, len, "-----BEGIN ", 11) == NULL;
}

struct p12 *
p12_parse(const void *p, size_t len, struct fail *f)
{
	struct pem_list list = PEM_LIST_INIT;
	struct p12 *p12 = NULL;
	size_t i;
	int rc;

	if (len > P12_FILE_MAX) {
		fail(f, FAIL_INPUT, "larger than %lu octets", P12_FILE_MAX);
		return NULL;
	}
	if (!is_der(p, len)) {
		if (unarmor(p, len, &list, f) == -1)
			return NULL;
		p = list.v[0].der;
		len = list.v[0].len;
	}
	p12 = xcalloc(1, sizeof *p12);
	p12->size = len;
	rc = read_pfx(p12, p, len, f);
	for (i = 0; rc == 0 && i < p12->ncontent; i++)
		if (!p12->content[i].encrypted)
			rc = read_content_bags(p12, i, &p12->content[i].octets, &p12->ber, f);
	pem_list_clear(&list);
	if (rc == 0)
		return p12;
	p12_free(p12);
	return NULL;
}

int
p12_needs_pass(const struct p12 *p12)
{
	size_t i;

	if (p12->has_mac)
		return 1;
	for (i = 0; i < p12->ncontent; i++)
		if (p12->content[i].encrypted)
			return 1;
	for (i = 0; i < p12->nbag; i++)
		if (p12->bag[i].type == P12_SHROUDED_KEY)
			return 1;
	return 0;
}

/* An open file under way. */
struct opening {
	struct p12 *p12;
	struct pbe_pass pass;
	unsigned first;		/* the form of the passphrase that the MAC wants */
	int fits;		/* the passphrase is right for sure */
};

/* What is unsupported is told before anything is derived, and before the costs. */
static int
check_pbe(const struct opening *o, const struct pbe *pbe, struct fail *f)
{
	if (pbe->unsupported != NULL)
		return fail(f, FAIL_INPUT, "unsupported algorithm: %s", pbe->unsupported);
	return pbe_cost_add(&o->p12->cost, pbe, pbe_forms(pbe, &o->pass), f);
}

static int
check_bags(const struct opening *o, size_t from, struct fail *f)
{
	const struct p12 *p12 = o->p12;
	size_t i;

	for (i = from; i < p12->nbag; i++)
		if (p12->bag[i].type == P12_SHROUDED_KEY && check_pbe(o, &p12->bag[i].pbe, f) == -1)
			return -1;
	return 0;
}

static int
check_all(const struct opening *o, struct fail *f)
{
	const struct p12 *p12 = o->p12;
	size_t i;

	if (p12->has_mac && check_pbe(o, &p12->mac, f) == -1)
		return -1;
	for (i = 0; i < p12->ncontent; i++)
		if (p12->content[i].encrypted && check_pbe(o, &p12->content[i].pbe, f) == -1)
			return -1;
	return check_bags(o, 0, f);
}

/* Everything that is encrypted here is one SEQUENCE; with a wrong key it hardly looks like that. */
static int
looks_right(const struct buf *plain)
{
	struct ber_item item;
	struct ber b;

	ber_init(&b, plain->p, plain->len, NULL);
	return ber_need(&b, BER_SEQUENCE, "", &item, NULL) == 0 && b.p == b.end;
}

/* 1, 0 or -1 as pbe_decrypt(), with each form of the passphrase. */
static int
decrypt(const struct opening *o, const struct pbe *pbe, const struct buf *sealed, struct buf *plain,
    struct fail *f)
{
	unsigned i, n = pbe_forms(pbe, &o->pass), form;
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i++) {
		form = n > 1 ? (o->first + i) % n : 0;
		rc = pbe_decrypt(pbe, &o->pass, form, (const uint8_t *)sealed->p, sealed->len, plain, f);
		if (rc == 1 && !looks_right(plain)) {
			buf_wipe(plain);
			rc = 0;
		}
	}
	return rc;
}

/* The MAC does not fit: what is encrypted tells a wrong passphrase from a damaged file. */
static int
explain_mac(const struct opening *o, struct fail *f)
{
	const struct p12 *p12 = o->p12;
	struct buf plain = BUF_INIT;
	int sealed = 0, opened = 0;
	size_t i;

	for (i = 0; !sealed && i < p12->ncontent; i++)
		if (p12->content[i].encrypted) {
			sealed = 1;
			opened = decrypt(o, &p12->content[i].pbe, &p12->content[i].octets, &plain, f);
		}
	for (i = 0; !sealed && i < p12->nbag; i++)
		if (p12->bag[i].type == P12_SHROUDED_KEY) {
			sealed = 1;
			opened = decrypt(o, &p12->bag[i].pbe, &p12->bag[i].octets, &plain, f);
		}
	buf_wipe(&plain);
	if (opened == -1)
		return -1;
	if (!sealed)
		return fail(f, FAIL_INPUT, "wrong passphrase or damaged: the MAC is not right");
	if (!opened)
		return fail(f, FAIL_INPUT, "wrong passphrase");
	return fail(f, FAIL_INPUT, "damaged: the passphrase decrypts, but the MAC is not right");
}

static int
check_mac(struct opening *o, struct fail *f)
{
	const struct p12 *p12 = o->p12;
	uint8_t md[EVP_MAX_MD_SIZE];
	size_t len = 0;
	unsigned i;

	for (i = 0; i < pbe_forms(&p12->mac, &o->pass); i++) {
		if (pbe_mac(&p12->mac, &o->pass, i, p12->safe.p, p12->safe.len, md, &len, f) == -1)
			return -1;
		if (len == p12->digest.len && CRYPTO_memcmp(md, p12->digest.p, len) == 0) {
			o->first = i;
			o->fits = 1;
			return 0;
		}
	}
	return explain_mac(o, f);
}

static int
not_opened(const struct opening *o, const char *what, size_t number, struct fail *f)
{
	if (o->fits)
		return fail(f, FAIL_INPUT, "damaged, or not all under one passphrase: %s %zu does not "
		    "decrypt, though the passphrase is right", what, number);
	return fail(f, FAIL_INPUT, "wrong passphrase or damaged: %s %zu does not decrypt", what, number);
}

static int
open_content(struct opening *o, unsigned i, struct fail *f)
{
	struct p12 *p12 = o->p12;
	struct buf plain = BUF_INIT;
	size_t from = p12->nbag;
	int rc;

	rc = decrypt(o, &p12->content[i].pbe, &p12->content[i].octets, &plain, f);
	if (rc == 0)
		not_opened(o, "contents", i + 1, f);
	else if (rc == 1) {
		o->fits = 1;
		rc = read_content_bags(p12, i, &plain, NULL, f) == 0 &&
		    check_bags(o, from, f) == 0;
	}
	buf_wipe(&plain);
	return rc == 1 ? 0 : -1;
}

static EVP_PKEY *
decode_key(const struct buf *plain, size_t number, struct fail *f)
{
	const unsigned char *p = (const unsigned char *)plain->p;
	PKCS8_PRIV_KEY_INFO *info;
	EVP_PKEY *key = NULL;
	char type[PEM_TYPE_MAX];

	ossl_clear();
	if (plain->len > PEM_KEY_MAX) {
		fail(f, FAIL_INPUT, "bag %zu: a private key of more than %d octets", number, PEM_KEY_MAX);
		return NULL;
	}
	info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)plain->len);
	if (info == NULL || p != (const unsigned char *)plain->p + plain->len)
		fail_ossl(f, FAIL_INPUT, "damaged: bag %zu: expected a private key", number);
	else if ((key = pem_pkcs8_key(info, type)) == NULL)
		fail_ossl(f, FAIL_INPUT, "unsupported algorithm, or damaged: bag %zu: a private key of type "
		    "%s", number, type);
	PKCS8_PRIV_KEY_INFO_free(info);
	return key;
}

static int
open_key(struct opening *o, size_t i, struct fail *f)
{
	struct p12_bag *bag = &o->p12->bag[i];
	struct buf plain = BUF_INIT;
	int rc = 1;

	if (bag->type == P12_KEY)
		bag->key = decode_key(&bag->octets, i + 1, f);
	else if ((rc = decrypt(o, &bag->pbe, &bag->octets, &plain, f)) == 1)
		bag->key = decode_key(&plain, i + 1, f);
	else if (rc == 0)
		not_opened(o, "the key in bag", i + 1, f);
	buf_wipe(&plain);
	return bag->key != NULL ? 0 : -1;
}

static int
open_bag(struct opening *o, size_t i, struct fail *f)
{
	struct p12_bag *bag = &o->p12->bag[i];

	switch (bag->type) {
	case P12_KEY:
	case P12_SHROUDED_KEY:
		return open_key(o, i, f);
	case P12_CERT:
		bag->cert = cert_from_der((const uint8_t *)bag->octets.p, bag->octets.len, f);
		if (bag->cert == NULL)
			return fail_prefix(f, "damaged: bag %zu", i + 1);
		return 0;
	case P12_CRL:
	case P12_SECRET:
	case P12_OTHER:
		break;
	}
	return 0;
}

/* Bags that were in sight come before those that were decrypted: each part is in the order of the
 * file, and so they are together, once they are merged. */
static void
merge_bags(struct p12 *p12, size_t plain)
{
	struct p12_bag *all = xcalloc(p12->nbag, sizeof *all);
	size_t i = 0, k = plain, n;

	for (n = 0; n < p12->nbag; n++) {
		if (k == p12->nbag || (i < plain && p12->bag[i].content < p12->bag[k].content))
			all[n] = p12->bag[i++];
		else
			all[n] = p12->bag[k++];
	}
	free(p12->bag);
	p12->bag = all;
}

int
p12_open(struct p12 *p12, const char *pass, size_t len, struct fail *f)
{
	struct opening o = { .p12 = p12, .first = 0, .fits = 0 };
	size_t i, plain = p12->nbag;
	int rc;

	pbe_pass_init(&o.pass, pass, len);
	if ((rc = check_all(&o, f)) == 0 && p12->has_mac)
		rc = check_mac(&o, f);
	for (i = 0; rc == 0 && i < p12->ncontent; i++)
		if (p12->content[i].encrypted)
			rc = open_content(&o, i, f);
	merge_bags(p12, plain);
	for (i = 0; rc == 0 && i < p12->nbag; i++)
		rc = open_bag(&o, i, f);
	pbe_pass_clear(&o.pass);
	return rc;
}

const char *
p12_bag_name(enum p12_bag_type type)
{
	static const char *const names[] = {
		[P12_KEY] = "key",
		[P12_SHROUDED_KEY] = "shrouded-key",
		[P12_CERT] = "cert",
		[P12_CRL] = "crl",
		[P12_SECRET] = "secret",
		[P12_OTHER] = "other",
	};

	return names[type];
}

STACK_OF(X509) *
p12_all_certs(const struct p12 *p12)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	size_t i;

	if (certs == NULL)
		alloc_failed();
	for (i = 0; i < p12->nbag; i++)
		if (p12->bag[i].cert != NULL &&
		    (X509_up_ref(p12->bag[i].cert) != 1 || sk_X509_push(certs, p12->bag[i].cert) == 0))
			alloc_failed();
	return certs;
}

static int
refuse_keys(const struct p12 *p12, struct fail *f)
{
	size_t i;

	for (i = 0; i < p12->nbag; i++)
		if (p12->bag[i].type == P12_KEY || p12->bag[i].type == P12_SHROUDED_KEY)
			return fail(f, FAIL_POLICY,
			    "there is a private key in it: expected certificates alone");
	return 0;
}

STACK_OF(X509) *
p12_certs(struct p12 *p12, const char *pass, size_t len, struct fail *f)
{
	STACK_OF(X509) *certs;

	if (refuse_keys(p12, f) == -1 || p12_open(p12, pass, len, f) == -1 ||
	    refuse_keys(p12, f) == -1)
		return NULL;
	certs = p12_all_certs(p12);
	if (sk_X509_num(certs) > 0)
		return certs;
	cert_chain_free(certs);
	fail(f, FAIL_INPUT, "no certificate in it");
	return NULL;
}
