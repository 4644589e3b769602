/*
 * A kept MTA-STS policy: what is found in the file of a domain holds at that time, and is a policy.
 */
#include "sts_cache.h"

#include "scratch.h"

#define NOW 1790000000

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct sts_cache *cache;
	struct sts_entry e;
	struct fail f = FAIL_INIT;
	int got;

	if (cache == NULL)
		MUST((cache = sts_cache_read(scratch_folder("d.example"))) != NULL);
	scratch_put(data, n);
	got = sts_cache_get(cache, "d.example", NOW, &e, &f);
	if (got == -1)
		MUST(f.kind == FAIL_INPUT && strstr(f.text, "d.example") != NULL);
	if (got != 1)
		return 0;
	MUST(e.id[0] != '\0' && strlen(e.id) <= STS_ID_MAX);
	MUST(e.policy.max_age <= 31557600);
	MUST(e.fetched <= NOW + 86400 && e.fetched + (int64_t)e.policy.max_age >= NOW);
	sts_entry_clear(&e);
	return 0;
}
