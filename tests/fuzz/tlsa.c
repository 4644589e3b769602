/*
 * TLSA records: as octets ('w' before them) or as text.  What was read is printed and read again, and gives the same.
 * fuzz: tlsa cert key name ossl pem secret text log fail alloc file
 */
#include "tlsa.h"

#include "fuzz.h"

/* Digests of the known types have one length; the full forms are DER, of which the clause speaks. */
static void
usable_means(const struct tlsa *t)
{
	const char *why = NULL;

	if (!tlsa_usable(t, &why)) {
		MUST(why != NULL);
		return;
	}
	MUST(why == NULL && (t->usage == TLSA_DANE_TA || t->usage == TLSA_DANE_EE) && t->selector <= TLSA_SPKI);
	MUST(t->mtype <= TLSA_SHA512 && t->len > 0);
	MUST(t->mtype != TLSA_SHA256 || t->len == 32);
	MUST(t->mtype != TLSA_SHA512 || t->len == 64);
}

static void
look_at(const struct tlsa *t)
{
	struct tlsa back = TLSA_INIT, copy = TLSA_INIT;
	struct fail f = FAIL_INIT;
	char *text = tlsa_rdata(t), *generic = tlsa_rdata_generic(t);

	MUST(strncmp(generic, "\\# ", 3) == 0);
	MUST(strtoul(generic + 3, NULL, 10) == t->len + 3);
	if (t->len > 0)
		MUST(tlsa_parse(&back, text, &f) == 0 && tlsa_equal(t, &back));
	tlsa_copy(&copy, t);
	MUST(tlsa_equal(t, &copy));
	usable_means(t);
	tlsa_clear(&back);
	tlsa_clear(&copy);
	free(text);
	free(generic);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tlsa t = TLSA_INIT;
	struct fail f = FAIL_INIT;
	char *text, *owner;

	if (n > 0 && data[0] == 'w') {
		if (tlsa_from_wire(&t, data + 1, n - 1, &f) == 0)
			look_at(&t);
		else
			MUST(n - 1 < 3 && f.kind == FAIL_INPUT);
		tlsa_clear(&t);
		return 0;
	}
	text = malloc(n + 1);
	if (text == NULL)
		abort();
	if (n > 0)
		memcpy(text, data, n);
	text[n] = '\0';
	if (tlsa_parse(&t, text, &f) == 0)
		look_at(&t);
	else
		MUST(f.kind == FAIL_INPUT);
	tlsa_clear(&t);
	if ((owner = tlsa_owner(text, 25, "tcp", &f)) != NULL)
		MUST(strncmp(owner, "_25._tcp.", 9) == 0 && strlen(owner) <= 255);
	free(owner);
	free(text);
	return 0;
}
