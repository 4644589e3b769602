/*
 * tlsrpt_report - the daily report of SMTP TLS Reporting (RFC 8460 4): as data, to JSON and from it.  No I/O.
 *
 * What a report from others says is kept as it came, but for NUL, which is refused: its strings may hold
 * anything that UTF-8 can, and are escaped where they are printed.
 */
#ifndef MTATLS_TLSRPT_REPORT_H
#define MTATLS_TLSRPT_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "fail.h"
#include "text.h"

#define TLSRPT_JSON_MAX	(16 * 1024 * 1024)	/* octets of a report's text */
#define TLSRPT_DEPTH_MAX 16			/* arrays and objects in each other; a report has 5 */
#define TLSRPT_VALUES_MAX 500000		/* values and members in it */
#define TLSRPT_COUNT_MAX (INT64_C(1) << 53)	/* sessions: what I-JSON can say (RFC 7493 2.2) */

/* RFC 8460 4.4, policy-type. */
enum tlsrpt_type {
	TLSRPT_TLSA,
	TLSRPT_STS,
	TLSRPT_NO_POLICY
};
#define TLSRPT_TYPES (TLSRPT_NO_POLICY + 1)

const char *tlsrpt_type_name(enum tlsrpt_type);		/* "tlsa" "sts" "no-policy-found" */
int tlsrpt_type_find(const char *);			/* -1: no such type */

/* RFC 8460 4.3: what became of a session; the first is no failure, and no result-type. */
enum tlsrpt_result {
	TLSRPT_GOOD,
	TLSRPT_STARTTLS_NOT_SUPPORTED,
	TLSRPT_CERTIFICATE_HOST_MISMATCH,
	TLSRPT_CERTIFICATE_EXPIRED,
	TLSRPT_CERTIFICATE_NOT_TRUSTED,
	TLSRPT_VALIDATION_FAILURE,
	TLSRPT_TLSA_INVALID,
	TLSRPT_DNSSEC_INVALID,
	TLSRPT_DANE_REQUIRED,
	TLSRPT_STS_POLICY_FETCH_ERROR,
	TLSRPT_STS_POLICY_INVALID,
	TLSRPT_STS_WEBPKI_INVALID
};
#define TLSRPT_RESULTS (TLSRPT_STS_WEBPKI_INVALID + 1)

const char *tlsrpt_result_name(enum tlsrpt_result);	/* "good" "starttls-not-supported" ... */
int tlsrpt_result_find(const char *);			/* -1: none of them */
const char *tlsrpt_result_words(enum tlsrpt_result);	/* a half sentence for people */

/* Strings are NULL where absent. */
struct tlsrpt_failure {
	char *result;		/* result-type, one of the above or what else somebody wrote */
	char *sending_ip, *mx, *helo, *receiving_ip;
	char *info;		/* additional-information: a URI */
	char *reason;		/* failure-reason-code */
	uint64_t count;
};

struct tlsrpt_policy {
	char *type;
	char *domain;
	char **string;		/* policy-string */
	size_t nstrings;
	char **mx;		/* mx-host */
	size_t nmx;
	uint64_t good, failed;
	struct tlsrpt_failure *failure;
	size_t nfailures;
};

/* Owned by the struct; tlsrpt_report_clear() frees.  All zero is an empty one. */
struct tlsrpt_report {
	char *organization, *contact, *id;
	int64_t start, end;	/* seconds since 1970, both within the time; -1: not said */
	struct tlsrpt_policy *policy;
	size_t npolicies;
};

void tlsrpt_failure_clear(struct tlsrpt_failure *);
void tlsrpt_policy_clear(struct tlsrpt_policy *);
void tlsrpt_report_clear(struct tlsrpt_report *);

/* The object of RFC 8460 4.4, keys in its order; a new reference. */
json_t *tlsrpt_report_json(const struct tlsrpt_report *);

/* One of its policies, likewise. */
json_t *tlsrpt_policy_json(const struct tlsrpt_policy *);

/* Appends it as text. */
void tlsrpt_report_put(struct buf *, const struct tlsrpt_report *);

/*
 * From the text; *out is set anew.  Unknown keys are passed over.  What many reporters do against the letter is
 * taken: policy-string and mx-host may be one string, times may have fractions and an offset, and only
 * policies with their policy and summary must be there.  FAIL_INPUT, with the place: "policies[2].summary: ...".
 */
int tlsrpt_report_parse(struct tlsrpt_report *out, const char *, size_t, struct fail *);

/*
 * The file's name by RFC 8460 5.1, without ".json" or ".json.gz"; appended.  What a name may not have becomes "_".
 */
void tlsrpt_report_filename(struct buf *, const struct tlsrpt_report *, const char *sender, const char *domain);

/* a + b, and no more than can be. */
uint64_t tlsrpt_add(uint64_t a, uint64_t b);

#endif
