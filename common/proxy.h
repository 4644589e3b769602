/*
 * proxy - the header that a load balancer puts before a connection's first octet, to say whose it is:
 * PROXY protocol, versions 1 (text) and 2 (binary), of HAProxy's proxy-protocol.txt.
 *
 * Only balancers that are known as such may be believed: that is the caller's affair.
 */
#ifndef MTATLS_PROXY_H
#define MTATLS_PROXY_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"

#define PROXY_V1_MAX 107	/* octets of a header of version 1 with its CRLF (2.1) */
#define PROXY_V2_MAX 2064	/* of version 2: 16 and what we take of addresses and TLVs */

enum proxy_got {
	PROXY_MORE,	/* all bytes were looked at, and it may become a header */
	PROXY_DONE,
	PROXY_BAD	/* FAIL_PEER says what was expected */
};

struct proxy {
	int version;	/* of IP, 4 or 6; 0: the connection speaks for itself (LOCAL, UNKNOWN) */
	uint8_t ip[16];	/* the first 4 or all, as on the wire */
	uint16_t port;	/* of the client */
};

/*
 * The connection's bytes from its first one, all that came so far.  With DONE *used says how many the
 * header takes; no byte behind it was looked at.
 */
enum proxy_got proxy_parse(const char *, size_t n, struct proxy *, size_t *used, struct fail *);

#endif
