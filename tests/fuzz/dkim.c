/*
 * Messages that are signed: in whatever pieces they come, the field is the same, and one field; and what its From says is a
 * domain or nothing.
 */
#include "dkim.h"

#include <openssl/evp.h>

#include "fuzz.h"
#include "name.h"

static EVP_PKEY *key;

/* 1: signed. */
static int
sign(const char *s, size_t n, size_t piece, struct buf *out)
{
	struct dkim_signer signer = { .domain = "a.example", .selector = "s", .key = key };
	struct fail f = FAIL_INIT;
	struct dkim *d = dkim_new(&f);
	int rc = 0;
	size_t i;

	MUST(d != NULL);
	for (i = 0; rc == 0 && i < n; i += piece)
		rc = dkim_feed(d, s + i, n - i < piece ? n - i : piece, &f);
	if (rc == 0)
		rc = dkim_sign(d, &signer, 1, out, &f);
	MUST(rc == 0 || f.kind == FAIL_INPUT);
	dkim_free(d);
	return rc == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *s = (const char *)data;
	struct buf a = BUF_INIT, b = BUF_INIT;
	char *domain = dkim_from_domain(s, n);
	size_t i;

	if (key == NULL)
		key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)"0123456789abcdef0123456789abcdef", 32);
	MUST(domain == NULL || name_is_host(domain, NAME_UNDERSCORE));
	free(domain);
	MUST(sign(s, n, n + 1, &a) == sign(s, n, 3, &b));
	MUST(a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0));
	for (i = 0; i < a.len; i++)
		MUST(a.p[i] != '\n' || (i > 0 && a.p[i - 1] == '\r' && (i + 1 == a.len || a.p[i + 1] == '\t')));
	buf_clear(&a);
	buf_clear(&b);
	return 0;
}
