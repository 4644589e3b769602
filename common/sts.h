/*
 * sts - MTA-STS (RFC 8461): the policy of a domain as data.  Grammar and rules only, no I/O.
 */
#ifndef MTATLS_STS_H
#define MTATLS_STS_H

#include <stddef.h>
#include <stdint.h>

enum sts_mode {
	STS_NONE,
	STS_TESTING,
	STS_ENFORCE
};

const char *sts_mode_name(enum sts_mode);	/* "none" "testing" "enforce" */

/* Owned by the struct; sts_policy_clear() frees. */
struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age;	/* seconds */
	char **mx;		/* patterns: A-labels in lower case, "*." in front for one label */
	size_t nmx;
};

void sts_policy_clear(struct sts_policy *);

/* Does a pattern fit the MX host (RFC 8461 4.1)?  Host names in A-labels, any case, no final dot. */
int sts_mx_matches(const struct sts_policy *, const char *host);

#endif
