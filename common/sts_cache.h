/*
 * sts_cache - MTA-STS policies on disk, for as long as they hold (RFC 8461 3.2 max_age, 5.1): a file for
 * each domain, in a folder that is the cache's alone.  Files appear complete or not at all, so that
 * several processes may read what one writes.  A file that is a symbolic link is not read.
 *
 *	domain example.org
 *	id 20160831085700Z
 *	fetched 2026-11-21T10:00:00Z
 *	max-age 604800
 *	mode enforce
 *	mx *.example.org
 */
#ifndef MTATLS_STS_CACHE_H
#define MTATLS_STS_CACHE_H

#include <stdint.h>

#include "fail.h"
#include "sts.h"

#define STS_CACHE_MAX 100000	/* domains; beyond, new ones are not kept */

struct sts_entry {
	char id[STS_ID_MAX + 1];	/* of the record that led to the policy */
	int64_t fetched;		/* seconds since 1970 */
	struct sts_policy policy;
};

void sts_entry_clear(struct sts_entry *);

struct sts_cache;

/*
 * The folder is made (0700) where it is not there and its parent is.  What has expired, or was left by a
 * process that died, is removed; what is no policy is left alone.  On the heap, sts_cache_free() frees.  FAIL_SYS.
 */
struct sts_cache *sts_cache_open(const char *dir, int64_t now, struct fail *);

/*
 * As it stands, for reading alone: nothing is made or removed, and sts_cache_put() is not for it.  It may be another
 * user's; where the folder is a symbolic link nothing in it is read.
 */
struct sts_cache *sts_cache_read(const char *dir);
int sts_cache_is_writable(const struct sts_cache *);
void sts_cache_free(struct sts_cache *);	/* NULL is allowed */

/*
 * What is kept of a domain (a host name in A-labels; any other is never found) and has not expired: 1 and
 * *out, which sts_entry_clear() frees; 0: nothing; -1: there is something that cannot be read or is damaged,
 * FAIL_SYS or FAIL_INPUT with its path.
 */
int sts_cache_get(const struct sts_cache *, const char *domain, int64_t now, struct sts_entry *out,
    struct fail *);

/* Keeps it in place of what was there; with a max_age of 0 nothing is kept.  FAIL_SYS; FAIL_POLICY: full. */
int sts_cache_put(struct sts_cache *, const char *domain, const struct sts_entry *, struct fail *);

#endif
