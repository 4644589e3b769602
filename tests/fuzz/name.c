/*
 * Names of hosts and identities: an A-label form is one, stays as it is, and covers itself; an identity's name is a
 * file's name in one folder.
 */
#include "name.h"

#include "alloc.h"
#include "fuzz.h"

static void
check_ascii(const char *text)
{
	struct fail f = FAIL_INIT;
	char *once = name_to_ascii(text, &f), *twice;

	if (once == NULL) {
		MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
		return;
	}
	MUST(name_is_host(once, NAME_UNDERSCORE | NAME_WILDCARD) && strlen(once) <= NAME_LEN_MAX);
	MUST((twice = name_to_ascii(once, &f)) != NULL && strcmp(once, twice) == 0);
	if (name_is_host(once, 0))
		MUST(name_matches(once, once));
	if (name_is_wildcard(once))
		MUST(!name_matches(once, once));
	free(once);
	free(twice);
}

static void
check_identity(const char *text)
{
	char *name = name_to_identity(text, NULL);

	if (name == NULL)
		return;
	MUST(name[0] != '\0' && name[0] != '.' && name[0] != '-' && strchr(name, '/') == NULL);
	MUST(strlen(name) <= NAME_IDENTITY_MAX);
	free(name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = xstrndup((const char *)data, n), *behind = strchr(text, '\n');

	if (behind != NULL) {
		*behind++ = '\0';
		if (name_matches(text, behind))
			MUST(name_is_host(behind, NAME_UNDERSCORE | NAME_WILDCARD));
	}
	check_ascii(text);
	check_identity(text);
	free(text);
	return 0;
}
