/*
 * PKCS#12 files: parsed, and opened with two passphrases.  Iterations that would take long are left to
 * the limits, which are tried beyond what may be derived.
 * fuzz: p12 pbe ber cert key pem name ossl log text fail alloc file
 */
#include "p12.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cert.h"
#include "fuzz.h"

#define PATIENCE 20000	/* iterations that are worth a fuzzer's time */

/* What everything in sight would cost. */
static int
is_cheap(const struct p12 *p12)
{
	struct pbe_cost cost = { 0, 0 };
	struct fail f = FAIL_INIT;
	size_t i;

	if (p12->has_mac && pbe_cost_add(&cost, &p12->mac, 2, &f) == -1)
		return 1;
	for (i = 0; i < p12->ncontent; i++)
		if (p12->content[i].encrypted && pbe_cost_add(&cost, &p12->content[i].pbe, 2, &f) == -1)
			return 1;
	for (i = 0; i < p12->nbag; i++)
		if (p12->bag[i].type == P12_SHROUDED_KEY && pbe_cost_add(&cost, &p12->bag[i].pbe, 2, &f) == -1)
			return 1;
	return cost.iterations < PATIENCE && cost.scrypt < PATIENCE;
}

static void
look(const struct p12 *p12)
{
	STACK_OF(X509) *certs = p12_all_certs(p12);
	size_t i;

	for (i = 0; i < p12->nbag; i++) {
		MUST(p12->bag[i].content < p12->ncontent);
		MUST(p12_bag_name(p12->bag[i].type) != NULL);
		MUST((p12->bag[i].type <= P12_SHROUDED_KEY) == (p12->bag[i].key != NULL));
		MUST((p12->bag[i].type == P12_CERT) == (p12->bag[i].cert != NULL));
		if (p12->bag[i].key != NULL)
			(void)cert_of_key(p12->bag[i].key, certs);
	}
	cert_chain_free(certs);
}

static void
try(const uint8_t *data, size_t n, const char *pass)
{
	struct fail f = FAIL_INIT;
	struct p12 *p12 = p12_parse(data, n, &f);
	char *text;

	if (p12 == NULL) {
		MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
		return;
	}
	if (p12->has_mac) {
		text = pbe_describe(&p12->mac);
		free(text);
	}
	if (is_cheap(p12)) {
		if (p12_open(p12, pass, strlen(pass), &f) == 0)
			look(p12);
		else
			MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
	}
	p12_free(p12);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	(void)p12_is(data, n);
	try(data, n, "secret");
	try(data, n, "");
	return 0;
}
