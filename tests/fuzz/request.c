/*
 * Requests of others: whatever comes in, what the order says can be signed, and read again as a
 * request of ours it gives the same order.
 * fuzz: request issue profile cert key pem name ossl log text fail alloc file
 */
#include "request.h"

#include <openssl/evp.h>

#include "cert.h"
#include "key.h"

#include "fuzz.h"

static EVP_PKEY *key;

static void
same(const struct issue *a, const struct issue *b)
{
	size_t i;

	MUST(a->nsan == b->nsan);
	for (i = 0; i < a->nsan; i++)
		MUST(a->san[i].kind == b->san[i].kind && strcmp(a->san[i].text, b->san[i].text) == 0);
	for (i = 0; i < ISSUE_FIELDS; i++)
		MUST((a->field[i] == NULL) == (b->field[i] == NULL) &&
		    (a->field[i] == NULL || strcmp(a->field[i], b->field[i]) == 0));
}

/* The key is ours: the request's may be weak, and its private half is not here. */
static void
sign(const struct issue *is)
{
	X509 *cert = issue_self_signed(is, key, 1700000000, NULL);

	MUST(cert != NULL && cert_is_ca(cert) == 0);
	X509_free(cert);
}

static void
ask_again(const struct issue *is)
{
	X509_REQ *req = issue_request(is, key, NULL);
	struct issue again;

	MUST(req != NULL && request_check(req, NULL) == 0);
	issue_init(&again);
	MUST(request_order(req, &again, NULL) == 0);
	same(is, &again);
	issue_clear(&again);
	X509_REQ_free(req);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fail f = FAIL_INIT;
	struct issue is;
	X509_REQ *req;

	if (key == NULL)
		MUST((key = key_generate("ed25519", NULL)) != NULL);
	if ((req = request_from_pem(data, n, &f)) == NULL) {
		MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
		return 0;
	}
	/* The signature is not insisted on, or nothing that was changed would be looked at. */
	(void)request_check(req, &f);
	issue_init(&is);
	if (request_order(req, &is, &f) == 0 && is.nsan > 0) {
		sign(&is);
		ask_again(&is);
	}
	issue_clear(&is);
	X509_REQ_free(req);
	return 0;
}
