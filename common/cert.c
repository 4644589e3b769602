#include "cert.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "key.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "pem.h"

#define DNS_NAME_MAX 255	/* octets of a dNSName that is looked at (RFC 1035 2.3.4) */
#define CN_MAX 4096		/* octets of a common name that is looked at */

X509 *
cert_from_der(const uint8_t *der, size_t len, struct fail *f)
{
	struct pem_item item = { .label = "CERTIFICATE", .der = (uint8_t *)(uintptr_t)der,
		.len = len };

	return pem_get1_cert(&item, f);
}

X509 *
cert_from_pem(const void *p, size_t len, struct fail *f)
{
	struct pem_list list;
	const struct pem_item *item = pem_first(p, len, pem_is_cert, "certificate", &list, f);
	X509 *cert = item != NULL ? pem_get1_cert(item, f) : NULL;

	pem_list_clear(&list);
	return cert;
}

static int
push_pkcs7(STACK_OF(X509) *chain, const struct pem_item *item, struct fail *f)
{
	STACK_OF(X509) *more = pem_get1_pkcs7(item, f);

	if (more == NULL)
		return -1;
	while (sk_X509_num(more) > 0)
		if (sk_X509_push(chain, sk_X509_shift(more)) == 0)
			alloc_failed();
	sk_X509_free(more);
	return 0;
}

static int
push_certs(STACK_OF(X509) *chain, const struct pem_list *list, struct fail *f)
{
	X509 *cert;
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (pem_is_pkcs7(&list->v[i]) && push_pkcs7(chain, &list->v[i], f) == -1)
			return -1;
		if (!pem_is_cert(&list->v[i]))
			continue;
		if ((cert = pem_get1_cert(&list->v[i], f)) == NULL)
			return -1;
		if (sk_X509_push(chain, cert) == 0)
			alloc_failed();
	}
	if (sk_X509_num(chain) == 0)
		return fail(f, FAIL_INPUT, "no certificate in it");
	return 0;
}

STACK_OF(X509) *
cert_chain_from_pem(const void *p, size_t len, struct fail *f)
{
	STACK_OF(X509) *chain = NULL;
	struct pem_list list;

	if (pem_read(p, len, &list, f) == -1)
		return NULL;
	if ((chain = sk_X509_new_null()) == NULL)
		alloc_failed();
	if (push_certs(chain, &list, f) == -1) {
		cert_chain_free(chain);
		chain = NULL;
	}
	pem_list_clear(&list);
	return chain;
}

void
cert_chain_free(STACK_OF(X509) *chain)
{
	sk_X509_pop_free(chain, X509_free);
}

static STACK_OF(X509) *
new_chain(void)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	if (chain == NULL)
		alloc_failed();
	return chain;
}

static void
chain_add(STACK_OF(X509) *chain, X509 *cert)
{
	if (X509_up_ref(cert) != 1 || sk_X509_push(chain, cert) == 0)
		alloc_failed();
}

/* One of a heap, no two of them the same. */
struct candidate {
	X509 *cert;
	int64_t until;
	int at;			/* its place in the heap */
	int used;		/* it is in the chain */
	char fp[CERT_FINGERPRINT_SIZE];
};

struct candidates {
	struct candidate *v;
	size_t n;
};

static int
by_fingerprint(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int c = strcmp(x->fp, y->fp);

	return c != 0 ? c : x->at - y->at;
}

static int
by_place(const void *a, const void *b)
{
	return ((const struct candidate *)a)->at - ((const struct candidate *)b)->at;
}

static int
by_end(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->until != y->until)
		return x->until > y->until ? -1 : 1;
	return by_place(a, b);
}

/* The heap without copies and without the leaf, what is valid longest first. */
static void
candidates_init(struct candidates *c, const STACK_OF(X509) *heap, const char *leaf)
{
	struct candidate *one;
	size_t i, n = 0;

	*c = (struct candidates){ .v = NULL, .n = 0 };
	if (sk_X509_num(heap) <= 0)
		return;
	c->v = xcalloc(sk_X509_num(heap), sizeof *c->v);
	for (c->n = 0; c->n < (size_t)sk_X509_num(heap); c->n++) {
		one = &c->v[c->n];
		one->cert = sk_X509_value(heap, (int)c->n);
		one->at = (int)c->n;
		one->until = cert_not_after(one->cert);
		cert_fingerprint(one->fp, one->cert);
	}
	qsort(c->v, c->n, sizeof *c->v, by_fingerprint);
	for (i = 0; i < c->n; i++)
		if (strcmp(c->v[i].fp, leaf) != 0 && (n == 0 || strcmp(c->v[i].fp, c->v[n - 1].fp) != 0))
			c->v[n++] = c->v[i];
	c->n = n;
	qsort(c->v, c->n, sizeof *c->v, by_end);
}

/* OpenSSL's signatures lose the const: it caches what it parses. */
static int
has_issued(const X509 *issuer, const X509 *cert, unsigned *verified)
{
	X509 *i = (X509 *)(uintptr_t)issuer, *c = (X509 *)(uintptr_t)cert;
	EVP_PKEY *key;
	int yes = 0;

	if (X509_check_issued(i, c) == X509_V_OK && (key = X509_get0_pubkey(i)) != NULL) {
		++*verified;
		yes = X509_verify(c, key) == 1;
	}
	ossl_clear();
	return yes;
}

/* Of those not yet used, for chains that go round in circles end so. */
static struct candidate *
find_issuer(const struct candidates *c, const X509 *cert, unsigned *verified)
{
	size_t i;

	for (i = 0; i < c->n && *verified < CERT_VERIFIED_MAX; i++)
		if (!c->v[i].used && has_issued(c->v[i].cert, cert, verified))
			return &c->v[i];
	return NULL;
}

static STACK_OF(X509) *
unused(struct candidates *c)
{
	STACK_OF(X509) *rest = new_chain();
	size_t i;

	if (c->n > 0)
		qsort(c->v, c->n, sizeof *c->v, by_place);
	for (i = 0; i < c->n; i++)
		if (!c->v[i].used)
			chain_add(rest, c->v[i].cert);
	return rest;
}

STACK_OF(X509) *
cert_chain_order(const X509 *leaf, const STACK_OF(X509) *heap, STACK_OF(X509) **rest,
    unsigned *verified)
{
	STACK_OF(X509) *chain = new_chain();
	char fp[CERT_FINGERPRINT_SIZE];
	const X509 *last = leaf;
	struct candidate *next;
	struct candidates c;

	candidates_init(&c, heap, cert_fingerprint(fp, leaf));
	while (sk_X509_num(chain) < CERT_CHAIN_MAX && !cert_is_self_signed(last) &&
	    (next = find_issuer(&c, last, verified)) != NULL) {
		next->used = 1;
		chain_add(chain, next->cert);
		last = next->cert;
	}
	if (rest != NULL)
		*rest = unused(&c);
	free(c.v);
	return chain;
}

int
cert_warn_verified(const char *what, unsigned verified)
{
	if (verified < CERT_VERIFIED_MAX)
		return 0;
	talk(what, "stopped after %d signatures: the chain may lack certificates that are there",
	    CERT_VERIFIED_MAX);
	return 1;
}

X509 *
cert_chain_drop_root(STACK_OF(X509) *chain)
{
	int n = sk_X509_num(chain);

	if (n <= 0 || !cert_is_self_issued(sk_X509_value(chain, n - 1)))
		return NULL;
	return sk_X509_pop(chain);
}

/* No signature is verified for it: anybody can make thousands for one key. */
static int
is_better(const X509 *a, const X509 *b)
{
	int a_self = cert_is_self_issued(a), b_self = cert_is_self_issued(b);

	if (a_self != b_self)
		return b_self;
	if (cert_not_before(a) != cert_not_before(b))
		return cert_not_before(a) > cert_not_before(b);
	return cert_not_after(a) > cert_not_after(b);
}

X509 *
cert_of_key(const EVP_PKEY *key, const STACK_OF(X509) *heap)
{
	X509 *best = NULL, *cert;
	EVP_PKEY *public;
	int i;

	for (i = 0; i < sk_X509_num(heap); i++) {
		cert = sk_X509_value(heap, i);
		public = X509_get0_pubkey(cert);
		if (public != NULL && key_same(key, public) && (best == NULL || is_better(cert, best)))
			best = cert;
	}
	ossl_clear();
	return best;
}

int
cert_to_der(const X509 *cert, struct buf *b, struct fail *f)
{
	unsigned char *der = NULL;
	int n;

	ossl_clear();
	if ((n = i2d_X509(cert, &der)) <= 0)
		return fail_ossl(f, FAIL_SYS, "the certificate cannot be encoded");
	buf_add(b, der, n);
	OPENSSL_free(der);
	return 0;
}

/* Not X509_digest(), which looks for SHA-256 in the certificate's own library context: glance. */
const char *
cert_fingerprint(char dst[CERT_FINGERPRINT_SIZE], const X509 *cert)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	struct buf der = BUF_INIT;
	unsigned n = 0;

	if (cert_to_der(cert, &der, NULL) == -1 ||
	    EVP_Digest(der.p, der.len, md, &n, EVP_sha256(), NULL) != 1)
		alloc_failed();
	buf_clear(&der);
	text_hex(dst, md, n);
	return dst;
}

const char *
cert_tbs_fingerprint(char dst[CERT_FINGERPRINT_SIZE], const X509 *cert)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	struct buf der = BUF_INIT;
	const unsigned char *p, *tbs;
	unsigned n = 0;
	long len;
	int tag, class;

	if (cert_to_der(cert, &der, NULL) == -1)
		alloc_failed();
	p = (const unsigned char *)der.p;
	/* A certificate that was decoded: its first element is there and whole. */
	ASN1_get_object(&p, &len, &tag, &class, (long)der.len);
	tbs = p;
	ASN1_get_object(&p, &len, &tag, &class, len);
	if (EVP_Digest(tbs, p + len - tbs, md, &n, EVP_sha256(), NULL) != 1)
		alloc_failed();
	buf_clear(&der);
	text_hex(dst, md, n);
	return dst;
}

static char *
name_text(const X509_NAME *name)
{
	struct buf b = BUF_INIT;
	char *text = NULL;
	BIO *bio;
	long n;

	ossl_clear();
	if ((bio = BIO_new(BIO_s_mem())) == NULL)
		alloc_failed();
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0 &&
	    (n = BIO_get_mem_data(bio, &text)) > 0)
		buf_add(&b, text, n);
	ossl_clear();
	BIO_free(bio);
	return buf_steal(&b);
}

char *
cert_subject(const X509 *cert)
{
	return name_text(X509_get_subject_name(cert));
}

char *
cert_issuer(const X509 *cert)
{
	return name_text(X509_get_issuer_name(cert));
}

static int
has_controls(const unsigned char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] == 0x7f)
			return 1;
	return 0;
}

static char *
last_cn(const X509_NAME *name)
{
	unsigned char *utf8 = NULL;
	char *cn = NULL;
	int i = -1, last = -1, n;

	while ((i = X509_NAME_get_index_by_NID(name, NID_commonName, i)) >= 0)
		last = i;
	if (last == -1)
		return NULL;
	n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
	if (n > 0 && n <= CN_MAX && !has_controls(utf8, n))
		cn = xstrndup((char *)utf8, n);
	OPENSSL_free(utf8);
	ossl_clear();
	return cn;
}

char *
cert_cn(const X509 *cert)
{
	return last_cn(X509_get_subject_name(cert));
}

char *
cert_request_cn(const X509_REQ *req)
{
	return last_cn(X509_REQ_get_subject_name(req));
}

char *
cert_serial(const X509 *cert)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex, *text;

	if (bn == NULL || (hex = BN_bn2hex(bn)) == NULL)
		alloc_failed();
	text = xstrdup(hex);
	text_lower(text);
	OPENSSL_free(hex);
	BN_free(bn);
	return text;
}

static int64_t
seconds(const ASN1_TIME *t, int64_t otherwise)
{
	struct tm tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1) {
		ossl_clear();
		return otherwise;
	}
	return timegm(&tm);
}

/* A field that does not parse makes the span empty. */
int64_t
cert_not_before(const X509 *cert)
{
	return seconds(X509_get0_notBefore(cert), INT64_MAX);
}

int64_t
cert_not_after(const X509 *cert)
{
	return seconds(X509_get0_notAfter(cert), INT64_MIN);
}

static void
names_add(struct cert_names *names, char *text)
{
	names->v = xreallocarray(names->v, names->n + 1, sizeof *names->v);
	names->v[names->n++] = text;
}

static void
add_dns(struct cert_names *names, const ASN1_STRING *s)
{
	const unsigned char *p = ASN1_STRING_get0_data(s);
	int n = ASN1_STRING_length(s), i;

	if (n <= 0 || n > DNS_NAME_MAX) {
		names->odd++;
		return;
	}
	for (i = 0; i < n; i++)
		if (p[i] <= 0x20 || p[i] >= 0x7f) {
			names->odd++;
			return;
		}
	names_add(names, xstrndup((const char *)p, n));
}

static void
add_ip(struct cert_names *names, const ASN1_STRING *s)
{
	int n = ASN1_STRING_length(s);
	char text[INET6_ADDRSTRLEN];

	if ((n != 4 && n != 16) || inet_ntop(n == 4 ? AF_INET : AF_INET6,
	    ASN1_STRING_get0_data(s), text, sizeof text) == NULL) {
		names->odd++;
		return;
	}
	names_add(names, xstrdup(text));
}

/* Frees the SAN.  crit is what OpenSSL sets beside it: -1 says that there is none. */
static void
san_names(GENERAL_NAMES *san, int crit, int type, struct cert_names *names)
{
	int i;

	*names = (struct cert_names)CERT_NAMES_INIT;
	if (san == NULL && crit != -1)
		names->odd++;
	for (i = 0; i < sk_GENERAL_NAME_num(san); i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(san, i);

		if (gn->type == type && type == GEN_DNS)
			add_dns(names, gn->d.dNSName);
		else if (gn->type == type)
			add_ip(names, gn->d.iPAddress);
	}
	GENERAL_NAMES_free(san);
	ossl_clear();
}

void
cert_dns_names(const X509 *cert, struct cert_names *names)
{
	int crit = 0;
	GENERAL_NAMES *san = X509_get_ext_d2i(cert, NID_subject_alt_name, &crit, NULL);

	san_names(san, crit, GEN_DNS, names);
}

void
cert_ip_names(const X509 *cert, struct cert_names *names)
{
	int crit = 0;
	GENERAL_NAMES *san = X509_get_ext_d2i(cert, NID_subject_alt_name, &crit, NULL);

	san_names(san, crit, GEN_IPADD, names);
}

void
cert_request_dns_names(const X509_REQ *req, struct cert_names *names)
{
	/* The const is only lost in OpenSSL's signature. */
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions((X509_REQ *)(uintptr_t)req);
	int crit = 0;
	GENERAL_NAMES *san = X509V3_get_d2i(exts, NID_subject_alt_name, &crit, NULL);

	san_names(san, crit, GEN_DNS, names);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

void
cert_names_or_cn(struct cert_names *names, const char *cn)
{
	if (names->n > 0 || names->odd > 0 || cn == NULL)
		return;
	if (name_is_fqdn(cn, NAME_WILDCARD))
		names_add(names, xstrdup(cn));
}

void
cert_names_clear(struct cert_names *names)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
	*names = (struct cert_names)CERT_NAMES_INIT;
}

int
cert_is_ca(const X509 *cert)
{
	BASIC_CONSTRAINTS *bc = X509_get_ext_d2i(cert, NID_basic_constraints, NULL, NULL);
	int ca = bc != NULL && bc->ca;

	BASIC_CONSTRAINTS_free(bc);
	ossl_clear();
	return ca;
}

int
cert_is_self_issued(const X509 *cert)
{
	return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

int
cert_is_intermediate(const X509 *cert)
{
	return cert_is_ca(cert) && !cert_is_self_issued(cert);
}

int
cert_is_self_signed(const X509 *cert)
{
	EVP_PKEY *key;
	int yes;

	if (!cert_is_self_issued(cert))
		return 0;
	/* The const is only lost in OpenSSL's signature: it caches what it parsed. */
	key = X509_get0_pubkey(cert);
	yes = key != NULL && X509_verify((X509 *)(uintptr_t)cert, key) == 1;
	ossl_clear();
	return yes;
}

int
cert_is_demo(const X509 *cert)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(CERT_DEMO_OID, 1);
	int at;

	if (oid == NULL)
		alloc_failed();
	at = X509_get_ext_by_OBJ(cert, oid, -1);
	ASN1_OBJECT_free(oid);
	return at >= 0;
}

int
cert_warn_demo(const char *what, const X509 *cert)
{
	if (cert == NULL || !cert_is_demo(cert))
		return 0;
	talk(what, CERT_DEMO_WARNING);
	return 1;
}

char *
cert_key_describe(const X509 *cert)
{
	EVP_PKEY *key;

	ossl_clear();
	if ((key = X509_get0_pubkey(cert)) != NULL)
		return key_describe(key);
	ossl_clear();
	return xstrdup("unknown");
}

char *
cert_sig_describe(const X509 *cert)
{
	const X509_ALGOR *alg = NULL;
	const ASN1_OBJECT *oid = NULL;
	char text[128];

	X509_get0_signature(NULL, &alg, cert);
	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (OBJ_obj2txt(text, sizeof text, oid, 0) <= 0)
		return xstrdup("unknown");
	return xstrdup(text);
}
