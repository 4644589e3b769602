/*
 * pem_read() walks the text line by line with a cursor that counts lines.  At a BEGIN line it hands
 * over to read_block(), which gathers the base64 up to the END line and decodes it into an item.
 * Input that starts as a DER SEQUENCE does is tried as each of the objects that we know.
 */
#include "pem.h"

#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "ossl.h"

struct cursor {
	const char *p, *end;
	const char *at;	/* where the line that next_line() returned last begins */
	unsigned line;	/* its number */
};

struct line {
	const char *p;
	size_t len; /* without LF, CR and trailing blanks */
};

static int
next_line(struct cursor *c, struct line *l)
{
	const char *lf;

	if (c->p == c->end)
		return 0;
	lf = memchr(c->p, '\n', c->end - c->p);
	c->at = l->p = c->p;
	l->len = (lf != NULL ? lf : c->end) - c->p;
	c->p = lf != NULL ? lf + 1 : c->end;
	c->line++;
	while (l->len > 0 && strchr(" \t\r", l->p[l->len - 1]) != NULL && l->p[l->len - 1] != '\0')
		l->len--;
	return 1;
}

/* Is this "-----BEGIN LABEL-----" (or END)?  1: yes, label is set; 0: no; -1: a broken one. */
static int
boundary(const struct line *l, const char *verb, char label[PEM_LABEL_MAX + 1], struct fail *f)
{
	size_t i, n, head = strlen(verb);

	if (l->len < head || memcmp(l->p, verb, head) != 0)
		return 0;
	if (l->len < head + 5 || memcmp(l->p + l->len - 5, "-----", 5) != 0)
		return fail(f, FAIL_INPUT, "expected ----- at the end of the line");
	n = l->len - head - 5;
	if (n > PEM_LABEL_MAX)
		return fail(f, FAIL_INPUT,
		    "expected a label of at most %d characters", PEM_LABEL_MAX);
	for (i = 0; i < n; i++)
		if (l->p[head + i] < 0x20 || l->p[head + i] > 0x7e)
			return fail(f, FAIL_INPUT, "expected printable characters in the label");
	memcpy(label, l->p + head, n);
	label[n] = '\0';
	return 1;
}

/* From a table, whose 0 is what is no digit: a bundle of CAs has a quarter of a million of them. */
static int
sextet(char c)
{
	static uint8_t value[256];
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int i;

	if (value['/'] == 0)
		for (i = 0; i < 64; i++)
			value[(unsigned char)digits[i]] = i + 1;
	return value[(unsigned char)c] - 1;
}

/* Base64 that comes in pieces.  Bits left over at the end must be zero, as in RFC 4648 3.5. */
struct decoder {
	struct buf out;
	unsigned long bits;
	int have;	/* sextets in bits, 0..3 */
	int pad;	/* "=" seen */
};

static int
decode_line(struct decoder *d, const struct line *l, struct fail *f)
{
	char out[192];
	size_t i, n = 0;
	int v;

	for (i = 0; i < l->len; i++) {
		if (l->p[i] == ' ' || l->p[i] == '\t')
			continue;
		if (l->p[i] == '=') {
			if (d->have + ++d->pad > 4 || d->have < 2)
				return fail(f, FAIL_INPUT, "misplaced = in base64");
			continue;
		}
		if ((v = sextet(l->p[i])) == -1)
			return fail(f, FAIL_INPUT,
			    "expected base64, found a character that is not");
		if (d->pad > 0)
			return fail(f, FAIL_INPUT, "base64 goes on after its =");
		d->bits = d->bits << 6 | (unsigned)v;
		if (++d->have < 4)
			continue;
		out[n++] = d->bits >> 16;
		out[n++] = d->bits >> 8;
		out[n++] = d->bits;
		d->bits = 0;
		d->have = 0;
		if (n == sizeof out) {
			buf_add(&d->out, out, n);
			n = 0;
		}
	}
	buf_add(&d->out, out, n);
	explicit_bzero(out, sizeof out);
	if (d->out.len > PEM_OBJECT_MAX)
		return fail(f, FAIL_INPUT, "an object larger than %d octets", PEM_OBJECT_MAX);
	return 0;
}

static int
decode_end(struct decoder *d, struct fail *f)
{
	unsigned long bits = d->bits;
	char two[2];

	if (d->have == 0 && d->pad == 0)
		return 0;
	if (d->have + d->pad != 4)
		return fail(f, FAIL_INPUT, "base64 ends in the middle of a group of four");
	if (bits & (d->have == 2 ? 0xf : 0x3))
		return fail(f, FAIL_INPUT, "base64 ends in bits that are not zero");
	bits <<= 6 * d->pad;
	two[0] = bits >> 16;
	two[1] = bits >> 8;
	buf_add(&d->out, two, d->have - 1);
	return 0;
}

/* The length of the DER element at p, its header included; 0: none that is whole and definite. */
static size_t
der_length(const uint8_t *p, size_t len)
{
	size_t n, i, body;

	if (len < 2 || (p[0] & 0x1f) == 0x1f)
		return 0;
	if (p[1] < 0x80)
		return p[1] + (size_t)2 <= len ? p[1] + (size_t)2 : 0;
	n = p[1] & 0x7f;
	if (n == 0 || n > 4 || len < 2 + n)
		return 0;
	for (body = 0, i = 0; i < n; i++)
		body = body << 8 | p[2 + i];
	return body <= len - 2 - n ? 2 + n + body : 0;
}

/* RFC 1421 headers ("Proc-Type: 4,ENCRYPTED") stand between BEGIN and an empty line. */
static int
is_header(const struct line *l)
{
	return memchr(l->p, ':', l->len) != NULL;
}

static int
same_label(const char *begin, const char *end, struct fail *f)
{
	if (strcmp(begin, end) == 0)
		return 0;
	return fail(f, FAIL_INPUT, "expected -----END %s-----", begin);
}

/* The lines behind BEGIN, up to END.  The failure is about the cursor's line. */
static int
gather(struct cursor *c, struct pem_item *item, struct decoder *d, struct fail *f)
{
	char label[PEM_LABEL_MAX + 1];
	int headers = 1, rc;
	struct line l;

	while (next_line(c, &l)) {
		if ((rc = boundary(&l, "-----END ", label, f)) == -1)
			return -1;
		if (rc == 1)
			return same_label(item->label, label, f) == -1 ? -1 : decode_end(d, f);
		if (boundary(&l, "-----BEGIN ", label, f) != 0)
			return fail(f, FAIL_INPUT, "expected -----END %s-----", item->label);
		if (headers && is_header(&l)) {
			if (memmem(l.p, l.len, "ENCRYPTED", 9) != NULL)
				item->encrypted = 1;
			continue;
		}
		if (l.len > 0)
			headers = 0;
		if (decode_line(d, &l, f) == -1)
			return -1;
	}
	return fail(f, FAIL_INPUT, "no -----END %s----- before the end", item->label);
}

static int
is_whole(const struct pem_item *item)
{
	size_t n = der_length(item->der, item->len);

	/* Of PKCS#7 the indefinite form is common; its decoder looks whether all was used. */
	if (pem_is_pkcs7(item) && item->len > 4 && item->der[0] == 0x30 && item->der[1] == 0x80)
		return 1;
	/* What OpenSSL calls trusted has its own additions behind the certificate. */
	return n > 0 && (n == item->len || strcmp(item->label, "TRUSTED CERTIFICATE") == 0);
}

static int
read_block(struct cursor *c, struct pem_item *item, struct fail *f)
{
	struct decoder d = { .out = BUF_INIT, .bits = 0, .have = 0, .pad = 0 };

	item->line = c->line;
	item->encrypted = strcmp(item->label, "ENCRYPTED PRIVATE KEY") == 0;
	if (gather(c, item, &d, f) == -1) {
		buf_wipe(&d.out);
		return fail_prefix(f, "line %u", c->line);
	}
	item->len = d.out.len;
	item->der = (uint8_t *)buf_steal(&d.out);
	/* A key encrypted in the manner of RFC 1421 is no DER before it is decrypted. */
	if (pem_is_key(item) && item->encrypted)
		return 0;
	if (!is_whole(item))
		return fail(f, FAIL_INPUT, "line %u: the %s block does not hold one whole object",
		    item->line, item->label);
	return 0;
}

static struct pem_item *
list_add(struct pem_list *list)
{
	if ((list->n & (list->n - 1)) == 0) {
		size_t room = list->n > 0 ? 2 * list->n : 1;

		list->v = xreallocarray(list->v, room, sizeof *list->v);
	}
	memset(&list->v[list->n], 0, sizeof *list->v);
	return &list->v[list->n++];
}

static void
item_wipe(struct pem_item *item)
{
	if (item->der != NULL)
		explicit_bzero(item->der, item->len);
	free(item->der);
	item->der = NULL;
}

/* One block, from its BEGIN line l on. */
static int
read_item(struct cursor *c, const struct line *l, struct pem_list *list, char *label,
    struct fail *f)
{
	struct pem_item *item;

	if (boundary(l, "-----BEGIN ", label, f) == -1)
		return fail_prefix(f, "line %u", c->line);
	item = list_add(list);
	memcpy(item->label, label, PEM_LABEL_MAX + 1);
	return read_block(c, item, f);
}

/* Goes on behind a damaged block: at the line that ended it where that begins the next one. */
static void
recover(struct cursor *c, unsigned begin, struct pem_list *list, size_t good)
{
	static const char head[] = "-----BEGIN ";

	while (list->n > good)
		item_wipe(&list->v[--list->n]);
	if (c->line > begin && c->end - c->at >= (ptrdiff_t)sizeof head - 1 &&
	    memcmp(c->at, head, sizeof head - 1) == 0) {
		c->p = c->at;
		c->line--;
	}
}

static int
read_text(const char *p, size_t len, struct pem_list *list, pem_bad_fn *bad, void *arg,
    struct fail *f)
{
	struct cursor c = { .p = p, .end = p + len, .at = p, .line = 0 };
	char label[PEM_LABEL_MAX + 1];
	size_t good, damaged = 0;
	unsigned begin;
	struct line l;

	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		c.p += 3;
	while (next_line(&c, &l)) {
		if (boundary(&l, "-----BEGIN ", label, NULL) == 0)
			continue;
		if (list->n == PEM_ITEMS_MAX)
			return fail(f, FAIL_INPUT,
			    "line %u: more than %d objects", c.line, PEM_ITEMS_MAX);
		good = list->n;
		begin = c.line;
		label[0] = '\0';
		if (read_item(&c, &l, list, label, f) == 0)
			continue;
		if (bad == NULL)
			return -1;
		bad(arg, label, f);
		damaged++;
		recover(&c, begin, list, good);
	}
	if (list->n == 0 && damaged == 0)
		return fail(f, FAIL_INPUT, "neither PEM nor DER: expected a -----BEGIN line");
	return 0;
}

/* ContentInfo { signedData ... } (RFC 2315 7, RFC 5652 3): its type stands first. */
static int
is_signed_data(const uint8_t *p, size_t len)
{
	static const uint8_t oid[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07,
		0x02 };
	size_t head = len < 2 || p[1] <= 0x80 ? 2 : 2 + (p[1] & 0x7f);

	return len >= head + sizeof oid && memcmp(p + head, oid, sizeof oid) == 0;
}

/* Which of the labels fits this DER: the first that decodes.  The order matters little, for the
 * structures differ in their first elements. */
static const char *
der_label(const uint8_t *der, size_t len)
{
	static const char *const labels[] = { "CERTIFICATE", "CERTIFICATE REQUEST", "PUBLIC KEY",
		"PRIVATE KEY" };
	struct pem_item item = { .line = 0, .encrypted = 0, .der = (uint8_t *)(uintptr_t)der,
		.len = len };
	const char *found = NULL;
	X509_SIG *sealed = NULL;
	void *o = NULL;
	size_t i;

	for (i = 0; found == NULL && i < sizeof labels / sizeof labels[0]; i++) {
		strcpy(item.label, labels[i]);
		if (i == 0)
			X509_free(o = pem_get1_cert(&item, NULL));
		else if (i == 1)
			X509_REQ_free(o = pem_get1_request(&item, NULL));
		else if (i == 2)
			EVP_PKEY_free(o = pem_get1_public_key(&item, NULL));
		else
			EVP_PKEY_free(o = pem_get1_key(&item, NULL));
		if (o != NULL)
			found = labels[i];
	}
	if (found == NULL && is_signed_data(der, len))
		found = "PKCS7";
	if (found == NULL && (sealed = d2i_X509_SIG(NULL, &der, len)) != NULL)
		found = "ENCRYPTED PRIVATE KEY";
	X509_SIG_free(sealed);
	ossl_clear();
	return found;
}

static int
read_der(const uint8_t *der, size_t len, struct pem_list *list, struct fail *f)
{
	struct pem_item *item;
	const char *label;

	if (len > PEM_OBJECT_MAX)
		return fail(f, FAIL_INPUT, "an object larger than %d octets", PEM_OBJECT_MAX);
	if ((der_length(der, len) != len && !is_signed_data(der, len)) ||
	    (label = der_label(der, len)) == NULL)
		return fail(f, FAIL_INPUT,
		    "neither PEM nor one whole DER certificate, request or key");
	item = list_add(list);
	strcpy(item->label, label);
	item->encrypted = strcmp(label, "ENCRYPTED PRIVATE KEY") == 0;
	item->der = xmemdup(der, len);
	item->len = len;
	return 0;
}

int
pem_read_some(const void *p, size_t len, struct pem_list *list, pem_bad_fn *bad, void *arg,
    struct fail *f)
{
	const uint8_t *u = p;
	int rc;

	*list = (struct pem_list)PEM_LIST_INIT;
	if (len == 0)
		return fail(f, FAIL_INPUT, "empty");
	/* 0x30 is SEQUENCE, and "0": text with a block in it is taken as text. */
	if (u[0] == 0x30 && memmem(p, len, "-----BEGIN ", 11) == NULL)
		rc = read_der(u, len, list, f);
	else
		rc = read_text(p, len, list, bad, arg, f);
	if (rc == -1)
		pem_list_clear(list);
	return rc;
}

int
pem_read(const void *p, size_t len, struct pem_list *list, struct fail *f)
{
	return pem_read_some(p, len, list, NULL, NULL, f);
}

void
pem_list_clear(struct pem_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		item_wipe(&list->v[i]);
	free(list->v);
	*list = (struct pem_list)PEM_LIST_INIT;
}

const struct pem_item *
pem_first(const void *p, size_t len, int (*is)(const struct pem_item *), const char *what,
    struct pem_list *list, struct fail *f)
{
	size_t i;

	*list = (struct pem_list)PEM_LIST_INIT;
	if (pem_read(p, len, list, f) == -1)
		return NULL;
	for (i = 0; i < list->n; i++)
		if (is(&list->v[i]))
			return &list->v[i];
	fail(f, FAIL_INPUT, "no %s in it", what);
	return NULL;
}

int
pem_is_cert(const struct pem_item *item)
{
	return strcmp(item->label, "CERTIFICATE") == 0 ||
	    strcmp(item->label, "X509 CERTIFICATE") == 0 ||
	    strcmp(item->label, "TRUSTED CERTIFICATE") == 0;
}

int
pem_is_key(const struct pem_item *item)
{
	static const char tail[] = "PRIVATE KEY";
	size_t n = strlen(item->label);

	return n >= sizeof tail - 1 && strcmp(item->label + n - (sizeof tail - 1), tail) == 0;
}

int
pem_is_request(const struct pem_item *item)
{
	return strcmp(item->label, "CERTIFICATE REQUEST") == 0 ||
	    strcmp(item->label, "NEW CERTIFICATE REQUEST") == 0;
}

int
pem_is_public_key(const struct pem_item *item)
{
	return strcmp(item->label, "PUBLIC KEY") == 0;
}

int
pem_is_pkcs7(const struct pem_item *item)
{
	return strcmp(item->label, "PKCS7") == 0 || strcmp(item->label, "CMS") == 0 ||
	    strcmp(item->label, "PKCS #7 SIGNED DATA") == 0;
}

/* What every decoder ends with: all octets must have been the object's. */
static int
decoded(const struct pem_item *item, const void *object, const uint8_t *p, const char *what,
    struct fail *f)
{
	if (object == NULL)
		fail_ossl(f, FAIL_INPUT, "expected a %s", what);
	else if (p != item->der + item->len && strcmp(item->label, "TRUSTED CERTIFICATE") != 0)
		fail(f, FAIL_INPUT, "octets behind the %s", what);
	else
		return 1;
	if (item->line > 0)
		fail_prefix(f, "line %u", item->line);
	return 0;
}

X509 *
pem_get1_cert(const struct pem_item *item, struct fail *f)
{
	const uint8_t *p = item->der;
	X509 *cert;

	ossl_clear();
	cert = d2i_X509(NULL, &p, item->len);
	if (decoded(item, cert, p, "certificate", f))
		return cert;
	X509_free(cert);
	return NULL;
}

X509_REQ *
pem_get1_request(const struct pem_item *item, struct fail *f)
{
	const uint8_t *p = item->der;
	X509_REQ *req;

	ossl_clear();
	req = d2i_X509_REQ(NULL, &p, item->len);
	if (decoded(item, req, p, "certificate request", f))
		return req;
	X509_REQ_free(req);
	return NULL;
}

/* By number: an older OpenSSL has no names for the last. */
static int
is_key_type(const ASN1_OBJECT *type)
{
	static const char *const types[] = { "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10",
		"1.2.840.10045.2.1", "1.3.101.112", "1.3.101.113", "2.16.840.1.101.3.4.3.17",
		"2.16.840.1.101.3.4.3.18", "2.16.840.1.101.3.4.3.19" };
	char text[PEM_TYPE_MAX];
	size_t i;

	if (OBJ_obj2txt(text, sizeof text, type, 1) <= 0)
		return 0;
	for (i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(text, types[i]) == 0)
			return 1;
	return 0;
}

EVP_PKEY *
pem_pkcs8_key(const PKCS8_PRIV_KEY_INFO *info, char name[PEM_TYPE_MAX])
{
	const ASN1_OBJECT *type = NULL;

	PKCS8_pkey_get0(&type, NULL, NULL, NULL, info);
	if (OBJ_obj2txt(name, PEM_TYPE_MAX, type, 0) <= 0)
		strcpy(name, "unknown");
	return is_key_type(type) ? EVP_PKCS82PKEY(info) : NULL;
}

static EVP_PKEY *
pkcs8_key(const uint8_t **p, size_t len)
{
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, p, (long)len);
	char name[PEM_TYPE_MAX];
	EVP_PKEY *key = info != NULL ? pem_pkcs8_key(info, name) : NULL;

	PKCS8_PRIV_KEY_INFO_free(info);
	return key;
}

/* Behind the version: PKCS#8 goes on with a SEQUENCE, PKCS#1 with an INTEGER, SEC 1 with an OCTET
 * STRING.  OpenSSL would try all that it knows, DSA too, and there compute before it looks. */
static EVP_PKEY *
decode_key(const uint8_t **p, size_t len)
{
	size_t head = len < 2 || (*p)[1] < 0x80 ? 2 : 2 + ((*p)[1] & 0x7f);

	if (len < head + 4 || len > PEM_KEY_MAX || (*p)[head] != 0x02 || (*p)[head + 1] != 1)
		return NULL;
	switch ((*p)[head + 3]) {
	case 0x30:
		return pkcs8_key(p, len);
	case 0x02:
		return d2i_PrivateKey(EVP_PKEY_RSA, NULL, p, (long)len);
	case 0x04:
		return d2i_PrivateKey(EVP_PKEY_EC, NULL, p, (long)len);
	default:
		return NULL;
	}
}

EVP_PKEY *
pem_get1_key(const struct pem_item *item, struct fail *f)
{
	const uint8_t *p = item->der;
	EVP_PKEY *key;

	if (item->encrypted) {
		fail(f, FAIL_INPUT,
		    "the private key is encrypted; expected one without a passphrase");
		if (item->line > 0)
			fail_prefix(f, "line %u", item->line);
		return NULL;
	}
	ossl_clear();
	key = decode_key(&p, item->len);
	if (decoded(item, key, p, "private key of RSA, EC, EdDSA or ML-DSA", f))
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

EVP_PKEY *
pem_get1_public_key(const struct pem_item *item, struct fail *f)
{
	const uint8_t *p = item->der;
	EVP_PKEY *key;

	ossl_clear();
	key = d2i_PUBKEY(NULL, &p, item->len);
	if (decoded(item, key, p, "public key", f))
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static STACK_OF(X509) *
certs_of(const PKCS7 *p7)
{
	STACK_OF(X509) *inside = p7->d.sign != NULL ? p7->d.sign->cert : NULL, *all;

	if (inside == NULL || sk_X509_num(inside) == 0)
		return NULL;
	if ((all = X509_chain_up_ref(inside)) == NULL)
		alloc_failed();
	return all;
}

STACK_OF(X509) *
pem_get1_pkcs7(const struct pem_item *item, struct fail *f)
{
	const uint8_t *p = item->der;
	STACK_OF(X509) *all = NULL;
	PKCS7 *p7;

	ossl_clear();
	p7 = d2i_PKCS7(NULL, &p, item->len);
	if (decoded(item, p7, p, "PKCS#7 message", f)) {
		if (!PKCS7_type_is_signed(p7) || (all = certs_of(p7)) == NULL) {
			fail(f, FAIL_INPUT, "no certificate in the PKCS#7 message");
			if (item->line > 0)
				fail_prefix(f, "line %u", item->line);
		}
	}
	PKCS7_free(p7);
	return all;
}

void
pem_put(struct buf *b, const char *label, const uint8_t *der, size_t len)
{
	unsigned char row[65];
	size_t n;
	int out;

	buf_printf(b, "-----BEGIN %s-----\n", label);
	for (; len > 0; der += n, len -= n) {
		n = len < 48 ? len : 48;
		out = EVP_EncodeBlock(row, der, n);
		buf_add(b, row, out);
		buf_putc(b, '\n');
	}
	buf_printf(b, "-----END %s-----\n", label);
	explicit_bzero(row, sizeof row);
}

static int
put_encoded(struct buf *b, const char *label, unsigned char *der, int n, struct fail *f)
{
	if (n <= 0)
		return fail_ossl(f, FAIL_SYS, "the %s cannot be encoded", label);
	pem_put(b, label, der, n);
	OPENSSL_free(der);
	return 0;
}

int
pem_put_cert(struct buf *b, const X509 *cert, struct fail *f)
{
	unsigned char *der = NULL;
	int n;

	ossl_clear();
	n = i2d_X509(cert, &der);
	return put_encoded(b, "CERTIFICATE", der, n, f);
}

int
pem_put_request(struct buf *b, const X509_REQ *req, struct fail *f)
{
	unsigned char *der = NULL;
	int n;

	ossl_clear();
	n = i2d_X509_REQ(req, &der);
	return put_encoded(b, "CERTIFICATE REQUEST", der, n, f);
}
