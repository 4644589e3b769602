#include "dns_msg.h"

#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 63
#define WIRE_NAME_MAX 255	/* octets of a name, the root's included (RFC 1035 2.3.4) */
#define EDNS_SIZE 1232		/* no fragments on any path: DNS flag day 2020 */
#define EDNS_DO 0x8000
#define RR_OPT 41

/* RFC 1035 4.1.1, RFC 2136 2.2. */
static const char *const rcode_names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
	"REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE" };

const char *
dns_msg_rcode_name(unsigned rcode, char buf[16])
{
	if (rcode < sizeof rcode_names / sizeof rcode_names[0])
		return rcode_names[rcode];
	snprintf(buf, 16, "rcode %u", rcode & 0xffff);
	return buf;
}

uint16_t
dns_msg_get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

uint32_t
dns_msg_get32(const uint8_t *p)
{
	return (uint32_t)dns_msg_get16(p) << 16 | dns_msg_get16(p + 2);
}

int
dns_msg_get_head(const uint8_t *p, size_t n, struct dns_msg_head *h, struct fail *f)
{
	int i;

	if (n < DNS_MSG_HEADER)
		return fail(f, FAIL_PEER, "a DNS message of %zu octets: shorter than its header", n);
	h->id = dns_msg_get16(p);
	h->flags = dns_msg_get16(p + 2);
	for (i = 0; i < 4; i++)
		h->count[i] = dns_msg_get16(p + 4 + 2 * i);
	return 0;
}

static int
bad_name(size_t at, struct fail *f)
{
	return fail(f, FAIL_PEER, "offset %zu: not a DNS name", at);
}

static int
is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*';
}

/* One label behind what out holds; 0 where it has no room. */
static int
add_label(const uint8_t *p, size_t len, char *out, size_t *used)
{
	size_t i;

	for (i = 0; i < len; i++) {
		uint8_t c = p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 'a' - 'A' : p[i];

		if (*used + 6 > DNS_MSG_NAME_MAX)
			return 0;
		if (is_plain(c))
			out[(*used)++] = c;
		else
			*used += snprintf(out + *used, 5, "\\%03u", c);
	}
	out[(*used)++] = '.';
	return 1;
}

int
dns_msg_get_name(const uint8_t *p, size_t n, size_t *at, char out[DNS_MSG_NAME_MAX], struct fail *f)
{
	size_t here = *at, lowest = *at, used = 0, wire = 1;
	int jumped = 0;

	for (;;) {
		if (here >= n)
			return bad_name(*at, f);
		if (p[here] == 0)
			break;
		if (p[here] >= 0xc0) {
			if (here + 1 >= n)
				return bad_name(*at, f);
			if (!jumped++)
				*at = here + 2;
			here = dns_msg_get16(p + here) & 0x3fff;
			if (here >= lowest)
				return bad_name(here, f);
			lowest = here;
			continue;
		}
		wire += p[here] + 1;
		if (p[here] > LABEL_MAX || here + p[here] >= n || wire > WIRE_NAME_MAX ||
		    !add_label(p + here + 1, p[here], out, &used))
			return bad_name(*at, f);
		here += p[here] + 1;
	}
	if (!jumped)
		*at = here + 1;
	if (used == 0)
		out[used++] = '.';
	else
		used--;
	out[used] = '\0';
	return 0;
}

int
dns_msg_get_rr(const uint8_t *p, size_t n, size_t *at, struct dns_msg_rr *rr, struct fail *f)
{
	if (dns_msg_get_name(p, n, at, rr->owner, f) == -1)
		return -1;
	if (n - *at < 10 || n - *at - 10 < dns_msg_get16(p + *at + 8))
		return fail(f, FAIL_PEER, "offset %zu: the DNS message ends within a record", *at);
	rr->type = dns_msg_get16(p + *at);
	rr->class = dns_msg_get16(p + *at + 2);
	rr->ttl = dns_msg_get32(p + *at + 4);
	rr->len = dns_msg_get16(p + *at + 8);
	rr->rdata = *at + 10;
	*at = rr->rdata + rr->len;
	return 0;
}

void
dns_msg_put16(struct buf *b, unsigned n)
{
	buf_putc(b, n >> 8 & 0xff);
	buf_putc(b, n & 0xff);
}

void
dns_msg_put32(struct buf *b, uint32_t n)
{
	dns_msg_put16(b, n >> 16);
	dns_msg_put16(b, n & 0xffff);
}

void
dns_msg_put_head(struct buf *b, const struct dns_msg_head *h)
{
	int i;

	dns_msg_put16(b, h->id);
	dns_msg_put16(b, h->flags);
	for (i = 0; i < 4; i++)
		dns_msg_put16(b, h->count[i]);
}

int
dns_msg_put_name(struct buf *b, const char *name, struct fail *f)
{
	size_t start = b->len, i;
	const char *p = strcmp(name, ".") == 0 ? "" : name;

	while (*p != '\0') {
		size_t len = strcspn(p, ".");

		if (len == 0 || len > LABEL_MAX || memchr(p, '\\', len) != NULL ||
		    b->len - start + len + 2 > WIRE_NAME_MAX)
			return fail(f, FAIL_INPUT, "%.260s: not a DNS name", name);
		buf_putc(b, len);
		for (i = 0; i < len; i++)
			buf_putc(b, p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 'a' - 'A' : p[i]);
		p += len;
		p += *p == '.';
	}
	buf_putc(b, 0);
	return 0;
}

int
dns_msg_put_rr(struct buf *b, const char *owner, unsigned type, unsigned class, uint32_t ttl,
    const void *rdata, size_t len, struct fail *f)
{
	if (dns_msg_put_name(b, owner, f) == -1)
		return -1;
	dns_msg_put16(b, type);
	dns_msg_put16(b, class);
	dns_msg_put32(b, ttl);
	dns_msg_put16(b, len);
	buf_add(b, rdata, len);
	return 0;
}

int
dns_msg_query(struct buf *b, const char *name, unsigned type, struct fail *f)
{
	struct dns_msg_head h = { .count = { 1, 0, 0, 1 } };

	if (RAND_bytes((unsigned char *)&h.id, sizeof h.id) != 1)
		return fail(f, FAIL_SYS, "no random numbers");
	dns_msg_put_head(b, &h);
	if (dns_msg_put_name(b, name, f) == -1)
		return -1;
	dns_msg_put16(b, type);
	dns_msg_put16(b, DNS_CLASS_IN);
	return dns_msg_put_rr(b, ".", RR_OPT, EDNS_SIZE, EDNS_DO, "", 0, f);
}
