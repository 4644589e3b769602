/*
 * dns_msg - the octets of a DNS message (RFC 1035 4): written piece by piece, and stepped over.
 *
 * Records of answers are read by dns (through ldns); this is for what it does not do: messages for
 * dynamic update, and transaction signatures, which are about the octets as they stand.
 */
#ifndef MTATLS_DNS_MSG_H
#define MTATLS_DNS_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define DNS_MSG_MAX 65535
#define DNS_MSG_HEADER 12
#define DNS_MSG_NAME_MAX 1024	/* a name as text with its NUL: 255 octets, each perhaps \DDD */

enum { DNS_MSG_QR = 0x8000, DNS_MSG_AA = 0x0400, DNS_MSG_TC = 0x0200 };	/* in flags */
enum { DNS_OP_QUERY = 0, DNS_OP_UPDATE = 5 };
enum { DNS_CLASS_IN = 1, DNS_CLASS_NONE = 254, DNS_CLASS_ANY = 255 };
enum { DNS_RR_TSIG = 250, DNS_RR_ANY = 255 };

struct dns_msg_head {
	uint16_t id, flags;
	uint16_t count[4];	/* question, answer, authority, additional */
};

#define dns_msg_rcode(flags) ((flags) & 0xf)
#define dns_msg_opcode(flags) ((flags) >> 11 & 0xf)

/* "REFUSED", "NOTAUTH" ...; "rcode 23" is written into the buffer, which holds 16 bytes. */
const char *dns_msg_rcode_name(unsigned rcode, char buf[16]);

/* FAIL_PEER where there are fewer than twelve octets. */
int dns_msg_get_head(const uint8_t *, size_t n, struct dns_msg_head *, struct fail *);

/*
 * A name at *at, which moves behind it: lower case, no final dot, the root is "."; octets that no host
 * name has are written as \DDD.  Compression is followed backwards only, so it ends.  FAIL_PEER.
 */
int dns_msg_get_name(const uint8_t *, size_t n, size_t *at, char out[DNS_MSG_NAME_MAX], struct fail *);

/* A whole record at *at, which moves behind it.  rdata: its offset and length.  FAIL_PEER. */
struct dns_msg_rr {
	char owner[DNS_MSG_NAME_MAX];
	uint16_t type, class;
	uint32_t ttl;
	size_t rdata, len;
};

int dns_msg_get_rr(const uint8_t *, size_t n, size_t *at, struct dns_msg_rr *, struct fail *);

/* Big-endian numbers at a place that the caller has checked. */
uint16_t dns_msg_get16(const uint8_t *);
uint32_t dns_msg_get32(const uint8_t *);

void dns_msg_put16(struct buf *, unsigned);
void dns_msg_put32(struct buf *, uint32_t);
void dns_msg_put_head(struct buf *, const struct dns_msg_head *);

/* Uncompressed, lower case (RFC 4034 6.2); a final dot is optional, a backslash refused.  FAIL_INPUT. */
int dns_msg_put_name(struct buf *, const char *, struct fail *);

/* Owner, type, class, TTL and rdata of a record.  FAIL_INPUT: the owner is no name. */
int dns_msg_put_rr(struct buf *, const char *owner, unsigned type, unsigned class, uint32_t ttl,
    const void *rdata, size_t len, struct fail *);

/* A query: random identifier, RD not set, EDNS with DO and room for 1232 octets (RFC 6891, 3225). */
int dns_msg_query(struct buf *, const char *name, unsigned type, struct fail *);

#endif
