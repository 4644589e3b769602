/*
 * conf_plan - whether a plan for a domain is one that the configuration leads to: what is asked before a password goes where a
 * plan says, by a process that has the configuration, and the plan from one that may have been taken over.
 *
 * Held against the route line: the credentials' name, and of each host that may be tried its name, port and protocol, its
 * address where the line has one, and what its certificate is to bear.  What is asked of the connection must be what policy
 * makes of the plan's own facts under the domain's settings.  What only the DNS says is taken at the plan's word: a name's
 * addresses, the TLSA records of a host, and with `mx yes` its MX hosts and whether DNSSEC vouches for them.
 */
#ifndef MTATLS_CONF_PLAN_H
#define MTATLS_CONF_PLAN_H

#include <stdint.h>

#include "conf.h"
#include "fail.h"
#include "policy.h"

/*
 * asks: POLICY_MESSAGE_* of the message.  port: of hosts without one of their own.  credentials: the plan's, NULL: none; then,
 * where the configuration has none either, nothing is asked.  FAIL_POLICY says what is wrong.
 */
int conf_plan_check(const struct conf *, const char *domain, unsigned asks, uint16_t port, const char *credentials,
    const struct plan *, struct fail *);

#endif
