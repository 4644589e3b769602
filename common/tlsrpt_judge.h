/*
 * tlsrpt_judge - what TLS reporting makes of a session (RFC 8460 4): its result, and under which policies it counts.
 * Pure, as policy is: neither asks the network or the clock.
 */
#ifndef MTATLS_TLSRPT_JUDGE_H
#define MTATLS_TLSRPT_JUDGE_H

#include "policy.h"
#include "tlsrpt_sums.h"

/*
 * The result of a connection to an address of the host; seen NULL: the plan does not let it be tried.  1; 0: it
 * says nothing of TLS (no connection, a temporary failure before it, level no).  *why is words behind a failure, NULL
 * where the result says it all; borrowed from what is given, or static.
 */
int tlsrpt_judge(const struct plan_host *, const struct seen *, enum tlsrpt_result *, const char **why);

/*
 * Counts it for the plan's domain: under the policy that decides about the host (RFC 8460 4.3: its TLSA records, the
 * MTA-STS policy, or none), and as a failure under those that should have and could not (TLSA records of which none can
 * be used, an MTA-STS policy that cannot be had).  Of what the result, addresses, helo and reason are looked at.  Nothing is counted
 * where the domain wants no reports.
 */
void tlsrpt_count(struct tlsrpt_sums *, const struct plan *, const struct plan_host *, const struct tlsrpt_session *what);

#endif
