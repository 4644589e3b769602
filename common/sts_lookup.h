/*
 * sts_lookup - the MTA-STS policy of a domain: from the DNS, from its policy host, or from what is kept
 * (RFC 8461 3 and 5.1).
 *
 *	TXT _mta-sts.DOMAIN -> id -> kept under that id, and not a day old?  -> that
 *	                             else fetched -> kept -> that
 *	no id, or the fetch fails -> what is kept, for as long as it holds (5.1) -> else none
 *
 * A fetch that failed is not repeated for STS_RETRY_S (3.3).  Lookups of a domain share one fetch.
 */
#ifndef MTATLS_STS_LOOKUP_H
#define MTATLS_STS_LOOKUP_H

#include <stdint.h>

#include "facts.h"
#include "fail.h"
#include "sts.h"

struct dns;
struct event_base;
struct trust;
struct sts_cache;
struct sts_source;
struct sts_lookup;

#define STS_RETRY_S	300	/* RFC 8461 3.3: five minutes to the next fetch */
#define STS_REFRESH_S	86400	/* RFC 8461 3.3: once a day, the id unchanged */
#define STS_FAILED_MAX	1024	/* domains whose failed fetch is remembered */

struct sts_source_conf {
	const struct trust *trust;	/* who may vouch for policy hosts; NULL: the lists of dir */
	const char *dir;		/* root of all state, read at the first fetch */
	struct sts_cache *cache;	/* NULL: nothing is kept */
	int timeout_ms;			/* for a fetch; 0: FETCH_TIME_MAX */
	int guard;			/* no policy host at an address that leads to no other host */
	int background;			/* a refresh that only the day asks for is not waited for */
	/* What the cache could not do, for a log or a user; may be NULL. */
	void (*complain)(void *arg, const struct fail *);
	void *arg;
};

/* What it is given outlives it.  On the heap.  Nothing of libcurl is touched before the first fetch. */
struct sts_source *sts_source_new(struct event_base *, struct dns *, const struct sts_source_conf *);
void sts_source_free(struct sts_source *);	/* NULL is allowed; after its lookups */

/* What policies are fetched with, for others: the same CAs, the same addresses that are not connected to.  NULL: FAIL_SYS. */
struct fetcher;
struct fetcher *sts_source_fetcher(struct sts_source *, struct fail *);

/* As the fields of the same names in struct facts; what is in it is the callee's, with the struct. */
struct sts_result {
	enum facts_sts state;	/* NONE or FOUND */
	enum facts_sts_fault fault;
	char *why;
	char *id;
	int64_t fetched;
	struct sts_policy policy;
	uint32_t ttl;		/* seconds for which the record, or its absence, holds; 0: what failed may not do so again */
};

typedef void sts_lookup_fn(void *arg, struct sts_result *);

/* The callback runs once, from the loop.  The domain is a host name in A-labels. */
struct sts_lookup *sts_lookup_start(struct sts_source *, const char *domain, sts_lookup_fn *, void *arg);
void sts_lookup_cancel(struct sts_lookup *);	/* NULL is allowed */

#endif
