/*
 * TLSA records from a file, as --tlsa-file has them.
 * fuzz: cmd/tlscheck/offline cmd/tlscheck/evidence log file facts sts tlsrpt txtrec mailbox policy proof dns verify constraint trust tls tlsa cert name key ossl pem table text fail alloc
 */
#include "../../cmd/tlscheck/offline.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct facts *facts = facts_new("mx.a.test");
	struct facts_host *fh = facts_add_host(facts, "mx.a.test", 0);
	struct fail f = FAIL_INIT;
	char *text = malloc(n + 1);
	size_t i;

	MUST(text != NULL);
	for (i = 0; i < n; i++)
		text[i] = data[i] != '\0' ? (char)data[i] : ' ';
	text[n] = '\0';
	if (offline_records(fh, 25, "f", text, &f) == 0)
		MUST(fh->ntlsa > 0 && fh->tlsa_state == FACTS_TLSA_FOUND);
	else
		MUST(f.kind == FAIL_INPUT);
	free(text);
	facts_free(facts);
	return 0;
}
