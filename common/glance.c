/*
 * The decoding takes place in a library context without algorithms, where there is no decoder to look for.
 */
#include "glance.h"

#include <openssl/asn1.h>
#include <openssl/asn1t.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#include "alloc.h"
#include "cert.h"
#include "ossl.h"
#include "pem.h"

/* One for the program, never freed.  NULL: it cannot be had, and all is decoded in full. */
static OSSL_LIB_CTX *
bare_context(void)
{
	static OSSL_LIB_CTX *ctx;
	static int tried;

	if (tried)
		return ctx;
	tried = 1;
	if ((ctx = OSSL_LIB_CTX_new()) != NULL && OSSL_PROVIDER_load(ctx, "null") == NULL) {
		OSSL_LIB_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

/* What does not decode is left to those who can say why. */
static X509 *
decode(const struct pem_item *item, struct fail *f)
{
	const uint8_t *p = item->der;
	OSSL_LIB_CTX *ctx = bare_context();
	X509 *cert = NULL;

	ossl_clear();
	if (ctx != NULL)
		cert = (X509 *)ASN1_item_d2i_ex(NULL, &p, (long)item->len, ASN1_ITEM_rptr(X509), ctx, NULL);
	ossl_clear();
	if (cert != NULL && p == item->der + item->len)
		return cert;
	X509_free(cert);
	return pem_get1_cert(item, f);
}

X509 *
glance_cert(const void *p, size_t len, struct fail *f)
{
	struct pem_list list;
	const struct pem_item *item = pem_first(p, len, pem_is_cert, "certificate", &list, f);
	X509 *cert = item != NULL ? decode(item, f) : NULL;

	pem_list_clear(&list);
	return cert;
}

/* RSAPublicKey begins with its modulus (RFC 8017 A.1.1); 0: it is none. */
static unsigned
modulus_bits(const unsigned char *p, int len)
{
	const unsigned char *end = p + len;
	long n;
	int tag, class;
	unsigned bits;

	if (ASN1_get_object(&p, &n, &tag, &class, end - p) != V_ASN1_CONSTRUCTED ||
	    tag != V_ASN1_SEQUENCE || ASN1_get_object(&p, &n, &tag, &class, end - p) != 0 ||
	    tag != V_ASN1_INTEGER)
		return 0;
	for (; n > 0 && *p == 0; n--)
		p++;
	if (n <= 0)
		return 0;
	bits = (unsigned)n * 8;
	for (tag = 0x80; !(*p & tag); tag >>= 1)
		bits--;
	return bits;
}

/* Of the common kinds; NULL: of none of them. */
static char *
describe(const X509 *cert)
{
	const unsigned char *p = NULL;
	const ASN1_OBJECT *curve = NULL;
	ASN1_OBJECT *algorithm = NULL;
	X509_ALGOR *param = NULL;
	unsigned bits;
	int len = 0, type = 0;

	if (X509_PUBKEY_get0_param(&algorithm, &p, &len, &param, X509_get_X509_PUBKEY(cert)) != 1)
		return NULL;
	switch (OBJ_obj2nid(algorithm)) {
	case NID_rsaEncryption:
		bits = modulus_bits(p, len);
		return bits > 0 ? xasprintf("rsa:%u", bits) : NULL;
	case NID_ED25519:
		return xstrdup("ed25519");
	case NID_X9_62_id_ecPublicKey:
		X509_ALGOR_get0(NULL, &type, (const void **)&curve, param);
		if (type != V_ASN1_OBJECT)
			return NULL;
		switch (OBJ_obj2nid(curve)) {
		case NID_X9_62_prime256v1: return xstrdup("ec:p256");
		case NID_secp384r1: return xstrdup("ec:p384");
		case NID_secp521r1: return xstrdup("ec:p521");
		}
	}
	return NULL;
}

char *
glance_key(const X509 *cert)
{
	struct buf der = BUF_INIT;
	char *text = describe(cert);
	X509 *whole;

	ossl_clear();
	if (text != NULL)
		return text;
	if (cert_to_der(cert, &der, NULL) == 0 &&
	    (whole = cert_from_der((uint8_t *)der.p, der.len, NULL)) != NULL) {
		text = cert_key_describe(whole);
		X509_free(whole);
	}
	buf_clear(&der);
	return text != NULL ? text : xstrdup("unknown");
}
