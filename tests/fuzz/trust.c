/*
 * A list of CAs, as --ca and import take it: blocks, the walk to the subjects, PKCS#7.
 * fuzz: trust cert pem key name ossl file table log progress text fail alloc
 */
#include "trust.h"

#include <openssl/x509.h>

#include "fuzz.h"

static void
count_bad(void *arg, const char *label, const struct fail *f)
{
	MUST(label != NULL && f->kind == FAIL_INPUT && f->text[0] != '\0');
	++*(size_t *)arg;
}

/* What decodes is found under its own name. */
static void
look_up(const struct trust *t, const struct pem_item *item)
{
	X509 *cert = pem_get1_cert(item, NULL);
	STACK_OF(X509) *found;

	if (cert == NULL)
		return;
	found = trust_by_subject(t, X509_get_subject_name(cert));
	MUST(sk_X509_num(found) > 0);
	(void)trust_has(t, cert);
	cert_chain_free(found);
	X509_free(cert);
}

static void
look_at(const struct trust *t, const struct pem_list *items)
{
	size_t i, n = 0;

	for (i = 0; i < items->n; i++) {
		if (pem_is_pkcs7(&items->v[i]))
			cert_chain_free(pem_get1_pkcs7(&items->v[i], NULL));
		if (!pem_is_cert(&items->v[i]))
			continue;
		n++;
		if (t != NULL)
			look_up(t, &items->v[i]);
	}
	MUST(t == NULL || trust_size(t) == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fail f = FAIL_INIT;
	struct trust *t = trust_from_pem(data, n, &f);
	struct pem_list items;
	size_t bad = 0;

	MUST(t != NULL || f.kind == FAIL_INPUT);
	if (pem_read_some(data, n, &items, count_bad, &bad, &f) == 0) {
		MUST(items.n + bad > 0);
		/* A list with a damaged block is none. */
		MUST(t == NULL || bad == 0);
		look_at(t, &items);
		pem_list_clear(&items);
	}
	trust_free(t);
	return 0;
}
