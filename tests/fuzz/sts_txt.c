/*
 * Records of MTA-STS: what is taken has an id of the grammar, and the record with that id alone gives it again.
 * fuzz: sts txtrec mailbox text fail alloc
 */
#include "sts.h"

#include <stdio.h>

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct txtrec r = { (const char *)data, n }, again;
	char id[STS_ID_MAX + 1], second[STS_ID_MAX + 1], text[64];
	struct fail f = FAIL_INIT;
	int rc = sts_txt_parse(&r, id, &f);

	MUST(rc == 0 || (f.kind == FAIL_INPUT && strncmp(f.text, "offset ", 7) == 0));
	MUST(sts_txt_select(&r, 1, second, NULL) <= (rc == 0));
	if (rc == -1)
		return 0;
	MUST(id[0] != '\0' && strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(id));
	again.p = text;
	again.len = snprintf(text, sizeof text, STS_VERSION "; id=%s;", id);
	MUST(sts_txt_parse(&again, second, NULL) == 0 && strcmp(id, second) == 0);
	return 0;
}
