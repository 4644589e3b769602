/*
 * Where private keys are in memory: only where no core goes.  The memory of this very process is
 * searched, all of its writable mappings but those that cores leave out.
 */
#include "ossl.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "issue.h"
#include "key.h"
#include "text.h"
#include "unit.h"

/* The sanitizers' own memory is too much to search, and freed blocks may not be read there. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(SANITIZED)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define NEEDLE_LEN 16
#define MASK 0xa5

/* What is looked for, masked, so that the search does not find itself. */
struct needle {
	const char *what;
	unsigned char v[NEEDLE_LEN];
};

static void
needle_set(struct needle *n, const char *what, const void *p)
{
	size_t i;

	n->what = what;
	for (i = 0; i < NEEDLE_LEN; i++)
		n->v[i] = ((const unsigned char *)p)[i] ^ MASK;
}

static int
is_needle(const struct needle *n, const unsigned char *p)
{
	size_t i;

	for (i = 0; i < NEEDLE_LEN; i++)
		if (p[i] != (n->v[i] ^ MASK))
			return 0;
	return 1;
}

static int
count_in(const unsigned char *p, const unsigned char *end, const struct needle *n)
{
	int found = 0;

	for (; end - p >= NEEDLE_LEN; p++)
		if (*p == (n->v[0] ^ MASK) && is_needle(n, p))
			found++;
	return found;
}

/* How often in the mappings that a core would show; with excluded in those that it would not. */
static int
count(const struct needle *n, int excluded)
{
	unsigned long from = 0, to = 0, number;
	char line[512], *end;
	int found = 0, writable = 0;
	FILE *fp = fopen("/proc/self/smaps", "r");

	if (fp == NULL)
		abort();
	while (fgets(line, sizeof line, fp) != NULL) {
		/* "7f00-7f10 rw-p ...", then what is said of it. */
		number = strtoul(line, &end, 16);
		if (*end == '-') {
			from = number;
			to = strtoul(end + 1, &end, 16);
			writable = strncmp(end, " rw", 3) == 0;
		} else if (strncmp(line, "VmFlags:", 8) == 0 && writable &&
		    (strstr(line, " dd ") != NULL) == excluded)
			found += count_in((unsigned char *)from, (unsigned char *)to, n);
	}
	fclose(fp);
	return found;
}

/* The middle of the private value, most significant octet first and last; it is freed again. */
static void
private_needles(const EVP_PKEY *key, struct needle n[2])
{
	unsigned char raw[1024], turned[1024];
	BIGNUM *d = NULL;
	size_t len = sizeof raw, i;

	if (EVP_PKEY_get_bn_param(key, EVP_PKEY_is_a(key, "RSA") ? OSSL_PKEY_PARAM_RSA_D :
	    OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1) {
		len = BN_bn2bin(d, raw);
		BN_clear_free(d);
	} else if (EVP_PKEY_get_raw_private_key(key, raw, &len) != 1)
		abort();
	for (i = 0; i < len; i++)
		turned[i] = raw[len - 1 - i];
	needle_set(&n[0], "as in DER", raw + 8);
	needle_set(&n[1], "as in a BIGNUM", turned + 8);
	OPENSSL_cleanse(raw, sizeof raw);
	OPENSSL_cleanse(turned, sizeof turned);
}

/* All that mkcert does with a key, from making it to its text and back. */
static EVP_PKEY *
use(const char *type, struct needle *text)
{
	EVP_PKEY *first = key_generate(type, NULL), *key = NULL;
	struct buf b = BUF_INIT;
	struct issue is;

	if (key_to_pem(first, &b, NULL) == -1 || (key = key_from_pem(b.p, b.len, NULL)) == NULL)
		abort();
	needle_set(text, "as in PEM", b.p + 28 + 65 + 7);
	if (strncmp(type, "ec", 2) == 0 || strncmp(type, "ed", 2) == 0)
		needle_set(text, "as in PEM", b.p + 28 + 40);
	buf_wipe(&b);
	EVP_PKEY_free(first);
	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	X509_free(issue_self_signed(&is, key, 1700000000, NULL));
	issue_clear(&is);
	return key;
}

static void
test_type(const char *type)
{
	struct needle n[3];
	EVP_PKEY *key = use(type, &n[2]);
	int i;

	private_needles(key, n);
	for (i = 0; i < 3; i++)
		unit_int(count(&n[i], 0), 0, "%s: %s, in no memory that a core shows", type,
		    n[i].what);
	unit_ok(count(&n[0], 1) + count(&n[1], 1) > 0, "%s: but in the secure heap", type);
	EVP_PKEY_free(key);
	unit_int(count(&n[0], 1) + count(&n[1], 1), 0, "%s: nor there when it is freed", type);
}

/* The search finds what is there. */
static void
test_search(void)
{
	struct needle n;
	unsigned char *p = malloc(4096);
	size_t i;

	for (i = 0; i < 4096; i++)
		p[i] = i * 7 + (i >> 8);
	needle_set(&n, "a pattern", p + 1000);
	unit_ok(count(&n, 0) > 0, "what is in ordinary memory is found");
	free(p);
}

int
main(void)
{
	ossl_init();
	unit_int(CRYPTO_secure_malloc_initialized(), 1, "there is a secure heap");
	if (SANITIZED)
		return unit_done();
	test_search();
	test_type("ec:p256");
	test_type("ec:p384");
	test_type("ed25519");
	test_type("rsa:2048");
	test_type("rsa:4096");
	return unit_done();
}
