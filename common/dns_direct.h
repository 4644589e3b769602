/*
 * dns_direct - one message to one DNS server, and its answer, on a libevent loop.
 *
 * Over UDP, sent again where nothing comes, and over TCP where the answer is truncated; or over TCP at
 * once.  Nothing is validated or cached: dns asks the resolver for what is to be believed.  Answers of another
 * identifier, source or question are passed over, as if they had not come.
 */
#ifndef MTATLS_DNS_DIRECT_H
#define MTATLS_DNS_DIRECT_H

#include <sys/socket.h>

#include <stddef.h>
#include <stdint.h>

#include "fail.h"

struct event_base;
struct dns_direct;

#define DNS_DIRECT_TCP	0x1	/* TCP at once: for what is large, or must not be done twice */

#define DNS_DIRECT_RESEND_MS 1000	/* over UDP, doubled each time */

/* The answer's octets, valid during the call; or NULL and why not: FAIL_TEMP, FAIL_SYS. */
typedef void dns_direct_fn(void *arg, const uint8_t *, size_t n, const struct fail *);

/*
 * Asks a server by its IPv4 or IPv6 address.  The message is copied; it has a header and one question (or zone).  The
 * callback runs exactly once, from the loop, unless the exchange is cancelled, and it is gone then.
 */
struct dns_direct *dns_direct_send(struct event_base *, const struct sockaddr *, const void *msg, size_t n,
    unsigned flags, int timeout_ms, dns_direct_fn *, void *arg);

void dns_direct_cancel(struct dns_direct *);	/* NULL is allowed */

#endif
