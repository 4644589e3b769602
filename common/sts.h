/*
 * sts - MTA-STS (RFC 8461): the record and the policy of a domain as data.  Grammar and rules only, no I/O.
 */
#ifndef MTATLS_STS_H
#define MTATLS_STS_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"
#include "txtrec.h"

#define STS_VERSION	"v=STSv1"
#define STS_ID_MAX	32		/* octets in an id (RFC 8461 3.1) */
#define STS_AGE_MAX	31557600	/* seconds that a policy may be kept: a year (3.2) */
#define STS_POLICY_MAX	65536		/* octets of a policy's text (3.3: enough for more) */

/*
 * The id of the one record of _mta-sts.DOMAIN that counts (RFC 8461 3.1).  1; 0: none of the records is
 * of MTA-STS; -1, FAIL_INPUT: several are, or the one is faulty, with the offset.
 */
int sts_txt_select(const struct txtrec *, size_t n, char id[STS_ID_MAX + 1], struct fail *);

/* The id of one record.  Of two ids the first counts.  FAIL_INPUT: "offset N: ...". */
int sts_txt_parse(const struct txtrec *, char id[STS_ID_MAX + 1], struct fail *);

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

/*
 * The text of a policy (RFC 8461 3.2): version, mode and max_age once (the first counts), mx unless the
 * mode is none.  Lines end in LF or CRLF; empty ones, which the grammar does not have, are passed over.
 * Unknown fields are ignored, but they must be fields.  *out is set anew.  FAIL_INPUT: "line N: ...".
 */
int sts_policy_parse(struct sts_policy *out, const char *, size_t, struct fail *);
void sts_policy_clear(struct sts_policy *);
void sts_policy_copy(struct sts_policy *dst, const struct sts_policy *);	/* dst is set anew */

/* Checks one mx pattern and adds it, in lower case.  FAIL_INPUT. */
int sts_policy_add_mx(struct sts_policy *, const char *, size_t, struct fail *);

/* The mode by its name; -1: none of the three. */
int sts_mode_parse(const char *, enum sts_mode *);

/* Does a pattern fit the MX host (RFC 8461 4.1)?  Host names in A-labels, any case, no final dot. */
int sts_mx_matches(const struct sts_policy *, const char *host);

#endif
