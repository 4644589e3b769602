/*
 * cidr - networks of IPv4 and IPv6 addresses.  Nothing is owned.
 */
#ifndef MTATLS_CIDR_H
#define MTATLS_CIDR_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"

struct cidr {
	int version;		/* of IP, 4 or 6 */
	uint8_t addr[16];	/* the first 4 or all, as on the wire */
	int bits;
};

/*
 * "10.0.0.0/8", "2001:db8::1".  "expected" says in the error what may stand there.  FAIL_INPUT; so is 10.0.0.1/8,
 * more likely a slip than a wish for 10.0.0.0/8.
 */
int cidr_parse(const char *, const char *expected, struct cidr *, struct fail *);

/* One address alone? */
int cidr_is_address(const struct cidr *);

/* Is the address, of that version of IP, in it? */
int cidr_has(const struct cidr *, int version, const void *addr);

/* "10.0.0.0/8"; returns dst, which CIDR_TEXT_MAX octets are enough for. */
#define CIDR_TEXT_MAX 64
const char *cidr_text(char *dst, size_t size, const struct cidr *);

#endif
