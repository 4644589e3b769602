/*
 * dns_answer - how a packet that libunbound hands over becomes a struct dns_answer.  For dns.c, and for a fuzzer that
 * stands in its place; dns.h has what others need.
 *
 * Sources: libunbound's <unbound-event.h> (ub_event_callback_type), RFC 1035 4.1, RFC 2308.
 */
#ifndef MTATLS_DNS_ANSWER_H
#define MTATLS_DNS_ANSWER_H

#include <stddef.h>

#include "dns.h"

/* DNS_FAILED, without a reason yet.  The name in lower case and without the final dot, as all names there. */
struct dns_answer *dns_answer_new(const char *qname, enum dns_type);

/* BOGUS or FAILED, and why in words, which are escaped. */
void dns_answer_fail(struct dns_answer *, enum dns_sec, const char *why);

/* The arguments of libunbound's callback, into a new answer: rcode, packet, 0 insecure, 1 bogus, 2 secure, why bogus. */
void dns_answer_read(struct dns_answer *, int rcode, const void *packet, size_t len, int sec, const char *why);

#endif
