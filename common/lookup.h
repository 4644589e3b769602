/*
 * lookup - asks the DNS everything that policy wants to know of a destination, in parallel.
 *
 * MX (or implicit MX); for each host A and AAAA at once; then, where DANE may apply, TLSA at the
 * names of RFC 7672 2.2.3: the expanded name before the initial one, the initial one alone where
 * the alias leads out of signed zones, and none where the addresses are unsigned (RFC 7672 2.2.2).
 * Beside all that the MTA-STS policy of the domain (sts_lookup) and its TLS-RPT record, which a [host]
 * does not have, nor are they waited for where nothing can be sent to the domain anyway.
 * Where there are records, _tcp.BASE too, if health is asked for: a server that denies it loses them for
 * resolvers that believe RFC 8020.  Only then, so that a resolver which takes such a denial to heart has
 * answered the other question already.
 */
#ifndef MTATLS_LOOKUP_H
#define MTATLS_LOOKUP_H

#include <stdint.h>

#include "dns.h"
#include "facts.h"

struct lookup;
struct sts_source;

/* Runs once, from the loop; the facts are the callee's, to be freed with facts_free(). */
typedef void lookup_fn(void *arg, struct facts *);

struct lookup_conf {
	uint16_t port;		/* of the TLSA owner names, but for hosts with one of their own */
	enum facts_protocol protocol;	/* of the hosts that MX records name */
	int want_tlsa;		/* 0: the policy has no use for TLSA records */
	int want_tlsrpt;	/* where the domain wants reports */
	struct sts_source *sts;	/* NULL: the policy has no use for MTA-STS; outlives the lookup */
	int want_health;	/* 1: also asks what nobody needs for sending: facts_host.tcp_denied */
};

/*
 * The destination is a domain, or "[host]" for that host without MX; names are host names in
 * A-labels and lower case (name_is_host() holds; "[address]" is for lookup_literal()).  The lookup
 * is gone once its callback has run.
 */
struct lookup *lookup_start(struct dns *, const char *destination, const struct lookup_conf *,
    lookup_fn *, void *arg);
void lookup_cancel(struct lookup *);	/* NULL is allowed */

/*
 * What is still to be asked about the hosts of facts that name them (FACTS_MX_LOCAL): those without an address,
 * of which there must be one.  The facts are the lookup's then.
 */
struct lookup *lookup_start_hosts(struct dns *, struct facts *, const struct lookup_conf *, lookup_fn *, void *arg);

/* The facts of "[address]", for which nothing is asked; NULL where the destination is none. */
struct facts *lookup_literal(const char *destination);

#endif
