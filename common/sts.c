#include "sts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const mode_names[] = { [STS_NONE] = "none", [STS_TESTING] = "testing",
	[STS_ENFORCE] = "enforce" };

const char *
sts_mode_name(enum sts_mode mode)
{
	return mode_names[mode];
}

void
sts_policy_clear(struct sts_policy *p)
{
	size_t i;

	for (i = 0; i < p->nmx; i++)
		free(p->mx[i]);
	free(p->mx);
	memset(p, 0, sizeof *p);
}

/* RFC 8461 4.1: the wildcard is the whole left-most label, and stands for exactly one. */
static int
pattern_matches(const char *pattern, const char *host)
{
	const char *rest;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, host) == 0;
	rest = strchr(host, '.');
	return rest != NULL && rest != host && strcasecmp(pattern + 1, rest) == 0;
}

int
sts_mx_matches(const struct sts_policy *p, const char *host)
{
	size_t i;

	for (i = 0; i < p->nmx; i++)
		if (pattern_matches(p->mx[i], host))
			return 1;
	return 0;
}
