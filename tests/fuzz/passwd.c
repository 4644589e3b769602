/*
 * The file of passwords: what was taken is counted.  One hash is computed for each that is good, which takes its time.
 */
#include "passwd.h"

#include "scratch.h"

static void
error(void *arg, const char *file, unsigned line, const char *text)
{
	MUST(*file != '\0' && line > 0 && *text != '\0');
	++*(size_t *)arg;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fail f = FAIL_INIT;
	size_t told = 0;
	struct passwd_db *db = passwd_read(scratch_memory(data, n), error, &told, &f);

	MUST(db != NULL || told > 0 || f.kind == FAIL_INPUT);
	if (db != NULL)
		MUST(told == 0 && passwd_count(db) <= n / 2);
	passwd_free(db);
	return 0;
}
