/*
 * dns_authority - answers of authoritative servers, asked one by one (dns_direct): nothing was validated on the way,
 * but what is signed can be held against keys that were.
 *
 * Sources: RFC 4034 3.1.8 (signatures), RFC 8499 (terms).
 */
#ifndef MTATLS_DNS_AUTHORITY_H
#define MTATLS_DNS_AUTHORITY_H

#include <stddef.h>
#include <stdint.h>

#include "dns.h"
#include "fail.h"

/*
 * An answer as it stands in a message that dns_direct brought: DNS_INSECURE, for nothing was validated, or
 * DNS_FAILED and why: another rcode than NOERROR and NXDOMAIN, or not to be parsed.  dns_answer_free() frees.
 */
struct dns_answer *dns_message_read(const char *qname, enum dns_type, const uint8_t *, size_t);

/*
 * Are the records of owner and type in that message signed by one of these keys, now?  keys is the validated
 * answer for the DNSKEY records of the zone.  1: yes; 0: there are none, so that nothing need be signed; -1:
 * FAIL_PEER.  Of what is absent the proof is not looked at: that is the validating resolver's to say.
 */
int dns_message_is_signed(const char *owner, enum dns_type, const uint8_t *, size_t,
    const struct dns_answer *keys, int64_t now, struct fail *);

#endif
