#include "key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "file.h"
#include "ossl.h"
#include "pem.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 16384	/* what OpenSSL verifies with (OPENSSL_RSA_MAX_MODULUS_BITS) */

/* What a type on the command line is to OpenSSL. */
static const struct key_type {
	const char *name;
	const char *algorithm;
	const char *group;
	unsigned bits;
} types[] = {
	{ "ec:p256", "EC", "P-256", 0 },
	{ "ec:p384", "EC", "P-384", 0 },
	{ "rsa:2048", "RSA", NULL, 2048 },
	{ "rsa:3072", "RSA", NULL, 3072 },
	{ "rsa:4096", "RSA", NULL, 4096 },
	{ "ed25519", "ED25519", NULL, 0 },
	{ "ml-dsa:44", "ML-DSA-44", NULL, 0 },
	{ "ml-dsa:65", "ML-DSA-65", NULL, 0 },
	{ "ml-dsa:87", "ML-DSA-87", NULL, 0 },
};

/* How key_describe() calls a curve, and the digest as strong as it. */
static const struct curve {
	const char *group;	/* as OpenSSL reports it */
	const char *name;
	const EVP_MD *(*digest)(void);
} curves[] = {
	{ "prime256v1", "ec:p256", EVP_sha256 },
	{ "secp384r1", "ec:p384", EVP_sha384 },
	{ "secp521r1", "ec:p521", EVP_sha512 },
};

static const struct key_type *
find_type(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof types / sizeof types[0]; i++)
		if (text_case_eq(types[i].name, name))
			return &types[i];
	return NULL;
}

static EVP_PKEY *
generate(const struct key_type *t, EVP_PKEY_CTX *ctx)
{
	EVP_PKEY *key = NULL;

	if (EVP_PKEY_keygen_init(ctx) != 1)
		return NULL;
	if (t->bits != 0 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, t->bits) != 1)
		return NULL;
	if (t->group != NULL && EVP_PKEY_CTX_set_group_name(ctx, t->group) != 1)
		return NULL;
	if (EVP_PKEY_generate(ctx, &key) != 1)
		return NULL;
	return key;
}

EVP_PKEY *
key_generate(const char *type, struct fail *f)
{
	const struct key_type *t = find_type(type);
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key = NULL;

	if (text_case_eq(type, "rsa:1024")) {
		fail(f, FAIL_INPUT, "rsa:1024: too weak, keys of 1024 bits can be broken and peers "
		    "refuse them; expected rsa:2048 or more");
		return NULL;
	}
	if (t == NULL) {
		fail(f, FAIL_INPUT, "%.64s: no such key type; expected one of %s", type, KEY_TYPES);
		return NULL;
	}
	ossl_clear();
	if ((ctx = EVP_PKEY_CTX_new_from_name(NULL, t->algorithm, NULL)) == NULL) {
		ossl_clear();
		fail(f, FAIL_INPUT, "%s: not in the OpenSSL that is in use (%s)", t->name,
		    OpenSSL_version(OPENSSL_VERSION_STRING));
		return NULL;
	}
	if ((key = generate(t, ctx)) == NULL)
		fail_ossl(f, FAIL_SYS, "%s: no key could be made", t->name);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *
key_from_pem(const void *p, size_t len, struct fail *f)
{
	struct pem_list list;
	const struct pem_item *item = pem_first(p, len, pem_is_key, "private key", &list, f);
	EVP_PKEY *key = item != NULL ? pem_get1_key(item, f) : NULL;

	pem_list_clear(&list);
	return key;
}

/* Memory BIOs overwrite what they free, so no copy of the key stays behind. */
int
key_to_pem(const EVP_PKEY *key, struct buf *b, struct fail *f)
{
	BIO *bio = NULL;
	char *text = NULL;
	long n;
	int rc = -1;

	ossl_clear();
	if ((bio = BIO_new(BIO_s_mem())) == NULL)
		alloc_failed();
	if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
		fail_ossl(f, FAIL_SYS, "the private key cannot be written");
		goto out;
	}
	if ((n = BIO_get_mem_data(bio, &text)) <= 0)
		alloc_failed();
	buf_add(b, text, n);
	rc = 0;
out:
	BIO_free(bio);
	return rc;
}

int
key_same(const EVP_PKEY *a, const EVP_PKEY *b)
{
	int same;

	ossl_clear();
	same = EVP_PKEY_eq(a, b) == 1;
	ossl_clear();
	return same;
}

static const struct curve *
curve_of(const EVP_PKEY *key)
{
	char group[64];
	size_t i;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
	    EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
		return NULL;
	for (i = 0; i < sizeof curves / sizeof curves[0]; i++)
		if (strcmp(curves[i].group, group) == 0)
			return &curves[i];
	return NULL;
}

static char *
lower_copy(const char *prefix, const char *s)
{
	char *text = xasprintf("%s%s", prefix, s);

	text_lower(text);
	return text;
}

char *
key_describe(const EVP_PKEY *key)
{
	const struct curve *c = curve_of(key);
	const char *name = EVP_PKEY_get0_type_name(key);
	char group[64];

	if (c != NULL)
		return xstrdup(c->name);
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return xasprintf("rsa:%d", EVP_PKEY_get_bits(key));
	case EVP_PKEY_EC:
		if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
			strcpy(group, "explicit");
		return lower_copy("ec:", group);
	}
	if (name != NULL && strncmp(name, "ML-DSA-", 7) == 0)
		return lower_copy("ml-dsa:", name + 7);
	return lower_copy("", name != NULL ? name : "unknown");
}

static int
is_signature_type(const EVP_PKEY *key)
{
	const char *name = EVP_PKEY_get0_type_name(key);

	if (name == NULL)
		return 0;
	return strcmp(name, "ED25519") == 0 || strcmp(name, "ED448") == 0 ||
	    strncmp(name, "ML-DSA-", 7) == 0;
}

int
key_check_strength(const EVP_PKEY *key, struct fail *f)
{
	int bits = EVP_PKEY_get_bits(key), ok;
	char *name;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		if (bits < RSA_BITS_MIN)
			return fail(f, FAIL_POLICY,
			    "an RSA key of %d bits is too weak; expected at least %d", bits,
			    RSA_BITS_MIN);
		if (bits > RSA_BITS_MAX)
			return fail(f, FAIL_POLICY,
			    "an RSA key of %d bits is too large; expected at most %d", bits,
			    RSA_BITS_MAX);
		return 0;
	case EVP_PKEY_EC:
		ok = curve_of(key) != NULL;
		break;
	default:
		ok = is_signature_type(key);
	}
	if (ok)
		return 0;
	name = key_describe(key);
	fail(f, FAIL_POLICY, "a key of type %s is of no use with mail servers; expected one of %s",
	    name, KEY_TYPES);
	free(name);
	return -1;
}

EVP_PKEY *
key_from_file(const char *path, struct fail *f)
{
	struct buf b = BUF_INIT;
	EVP_PKEY *key = NULL;

	if (file_read(path, KEY_FILE_MAX, &b, f) == -1)
		return NULL;
	if ((key = key_from_pem(b.p, b.len, f)) == NULL || key_check_strength(key, f) == -1) {
		fail_prefix(f, "%.300s", path);
		EVP_PKEY_free(key);
		key = NULL;
	}
	buf_wipe(&b);
	return key;
}

int
key_spki(const EVP_PKEY *key, struct buf *b, struct fail *f)
{
	unsigned char *der = NULL;
	int n;

	ossl_clear();
	if ((n = i2d_PUBKEY(key, &der)) <= 0)
		return fail_ossl(f, FAIL_INPUT, "the public key cannot be encoded");
	buf_add(b, der, n);
	OPENSSL_free(der);
	return 0;
}

const EVP_MD *
key_get0_digest(const EVP_PKEY *key)
{
	const struct curve *c = curve_of(key);

	if (c != NULL)
		return c->digest();
	return is_signature_type(key) ? NULL : EVP_sha256();
}
