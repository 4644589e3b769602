/*
 * tlsrpt_sums - what a sender counts in a day for its reports (RFC 8460 4): sessions by domain and policy, failures
 * by what there is to say of them.  Bounded, as those who are counted may do things to be counted; no clock, no I/O.
 *
 * As text, which tlsrpt_sums_parse() reads again: lines of the table grammar, mtatls-spool(5).
 */
#ifndef MTATLS_TLSRPT_SUMS_H
#define MTATLS_TLSRPT_SUMS_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"
#include "tlsrpt_report.h"

#define TLSRPT_DAY_S 86400

#define TLSRPT_SUMS_DOMAINS 20000	/* domains of a day; sessions with others are counted in others */
#define TLSRPT_SUMS_POLICIES 100	/* policies of a domain: each host with TLSA records has one */
#define TLSRPT_SUMS_FAILURES 200	/* of a policy; then one more for each result, which says nothing else */
#define TLSRPT_SUMS_FAILURES_ALL 1000	/* of a domain, likewise: its report has to be made in a moment */
#define TLSRPT_SUMS_STRINGS 64		/* policy-string and mx-host of a policy, each; the rest is left out */
#define TLSRPT_SUMS_TEXT 300		/* octets of any text; the rest is cut */
#define TLSRPT_SUMS_URIS 10		/* of a domain; the rest gets no report */
#define TLSRPT_SUMS_URI 2000		/* octets of one; a longer one gets none */
#define TLSRPT_SUMS_OCTETS (64 * 1024 * 1024)	/* of memory, about; then likewise, and no new domain or policy */
#define TLSRPT_SUMS_MAX (256 * 1024 * 1024)	/* octets of the text */

/* One session, or what kept one from being begun.  Borrowed. */
struct tlsrpt_session {
	const char *domain;		/* whose report it is in */
	char *const *uri;		/* of its record, and so where the report goes */
	size_t nuris;
	enum tlsrpt_type type;
	const char *policy_domain;
	char *const *string;		/* policy-string */
	size_t nstrings;
	char *const *pattern;		/* mx-host */
	size_t npatterns;
	enum tlsrpt_result result;
	/* Of a failure; NULL or "": not known. */
	const char *sending_ip, *mx, *helo, *receiving_ip, *reason;
};

struct tlsrpt_target {
	char *uri;
	int64_t due;			/* when it is tried; 0: not planned yet */
	unsigned tries;			/* that failed */
};

struct tlsrpt_domain {
	struct tlsrpt_domain *same;	/* the next with that hash */
	char *name;
	struct tlsrpt_target *target;
	size_t ntargets;
	struct tlsrpt_policy *policy;
	size_t npolicies;
};

/* Owned by the struct; tlsrpt_sums_clear() frees. */
struct tlsrpt_sums {
	int64_t day;			/* its first second */
	struct tlsrpt_domain **domain;	/* as they came */
	size_t ndomains, room;
	struct tlsrpt_domain **bucket;
	uint64_t seed;
	size_t octets;			/* of memory, about: of all that was ever added */
	uint64_t others;		/* sessions for which there was no room */
};

int64_t tlsrpt_day(int64_t t);		/* the first second of its day, UTC */

void tlsrpt_sums_init(struct tlsrpt_sums *, int64_t day, uint64_t seed);	/* a random number, against chosen domains */
void tlsrpt_sums_clear(struct tlsrpt_sums *);

void tlsrpt_sums_add(struct tlsrpt_sums *, const struct tlsrpt_session *);
struct tlsrpt_domain *tlsrpt_sums_find(const struct tlsrpt_sums *, const char *domain);	/* NULL: nothing of it */

/* Its report is done with. */
void tlsrpt_sums_remove(struct tlsrpt_sums *, struct tlsrpt_domain *);
/* Likewise for one URI of it. */
void tlsrpt_domain_drop(struct tlsrpt_domain *, size_t target);

/*
 * The report on a domain: policies and times.  All of it is borrowed from the sums: not to be cleared.  Who
 * reports is the caller's to fill in.
 */
void tlsrpt_sums_report(const struct tlsrpt_sums *, const struct tlsrpt_domain *, struct tlsrpt_report *out);

/* Appends the text. */
void tlsrpt_sums_put(struct buf *, const struct tlsrpt_sums *);

/* *out is set anew, with the seed.  FAIL_INPUT: the first line that is wrong, under the file's name. */
int tlsrpt_sums_parse(struct tlsrpt_sums *out, uint64_t seed, const char *file, const char *, size_t, struct fail *);

#endif
