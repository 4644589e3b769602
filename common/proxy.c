#include "proxy.h"

#include <string.h>

#include "text.h"

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

#define V2_HEAD 16	/* octets before addresses and TLVs */

static enum proxy_got
bad(struct fail *f, const char *what)
{
	fail(f, FAIL_PEER, "PROXY header: expected %s", what);
	return PROXY_BAD;
}

static int
port_of(const char *word, uint16_t *port)
{
	long long n;

	/* 2.1: no leading zeroes. */
	if ((word[0] == '0' && word[1] != '\0') || text_number(word, 0, 65535, "port", &n, NULL) == -1)
		return -1;
	*port = n;
	return 0;
}

/* "TCP4 SRC DST SPORT DPORT" or "UNKNOWN ...", NUL-terminated. */
static enum proxy_got
take_words(char *line, struct proxy *p, struct fail *f)
{
	char *word[6] = { NULL }, *rest = line;
	uint16_t port;
	unsigned n = 0;

	while (n < 6 && (word[n] = strsep(&rest, " ")) != NULL)
		n++;
	if (n > 0 && strcmp(word[0], "UNKNOWN") == 0)
		return PROXY_DONE;
	if (n != 5)
		return bad(f, "TCP4 or TCP6, two addresses and two ports");
	if (strcmp(word[0], "TCP4") == 0)
		p->version = 4;
	else if (strcmp(word[0], "TCP6") == 0)
		p->version = 6;
	else
		return bad(f, "TCP4, TCP6 or UNKNOWN");
	/* The listener's own address is read first: the client's is to stay. */
	if (text_address(word[2], p->ip) != p->version || text_address(word[1], p->ip) != p->version)
		return bad(f, "addresses of the family that it names");
	if (port_of(word[4], &port) == -1 || port_of(word[3], &p->port) == -1)
		return bad(f, "ports of 0 to 65535");
	return PROXY_DONE;
}

static enum proxy_got
parse_v1(const char *s, size_t n, struct proxy *p, size_t *used, struct fail *f)
{
	const char *end = memchr(s, '\n', n < PROXY_V1_MAX ? n : PROXY_V1_MAX);
	char line[PROXY_V1_MAX + 1];
	size_t len;

	if (end == NULL)
		return n < PROXY_V1_MAX ? PROXY_MORE : bad(f, "a line of at most 107 octets");
	len = end - s;
	if (end[-1] != '\r' || memchr(s, '\0', len) != NULL)
		return bad(f, "a line that ends in CR LF");
	*used = len + 1;
	memcpy(line, s + 6, len - 7);
	line[len - 7] = '\0';
	return take_words(line, p, f);
}

static enum proxy_got
take_addresses(const unsigned char *s, size_t len, struct proxy *p, struct fail *f)
{
	switch (s[13] >> 4) {
	case 0:			/* AF_UNSPEC */
	case 3:			/* AF_UNIX */
		return PROXY_DONE;
	case 1:
		if (len < 12)
			return bad(f, "12 octets of IPv4 addresses and ports");
		p->version = 4;
		memcpy(p->ip, s + V2_HEAD, 4);
		p->port = s[V2_HEAD + 8] << 8 | s[V2_HEAD + 9];
		return PROXY_DONE;
	case 2:
		if (len < 36)
			return bad(f, "36 octets of IPv6 addresses and ports");
		p->version = 6;
		memcpy(p->ip, s + V2_HEAD, 16);
		p->port = s[V2_HEAD + 32] << 8 | s[V2_HEAD + 33];
		return PROXY_DONE;
	default:
		return bad(f, "a known address family");
	}
}

static enum proxy_got
parse_v2(const char *text, size_t n, struct proxy *p, size_t *used, struct fail *f)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;

	if (n < V2_HEAD)
		return PROXY_MORE;
	len = s[14] << 8 | s[15];
	if (s[12] >> 4 != 2 || (s[12] & 0xf) > 1)
		return bad(f, "version 2 and the command LOCAL or PROXY");
	if (V2_HEAD + len > PROXY_V2_MAX)
		return bad(f, "at most 2048 octets of addresses and TLVs");
	if (n < V2_HEAD + len)
		return PROXY_MORE;
	*used = V2_HEAD + len;
	return (s[12] & 0xf) == 0 ? PROXY_DONE : take_addresses(s, len, p, f);
}

/* The first octets of s and of want agree, as far as both go. */
static int
starts(const char *s, size_t n, const char *want, size_t len)
{
	return memcmp(s, want, n < len ? n : len) == 0;
}

/* A balancer with one socket for both families says ::ffff:192.0.2.1 (RFC 4291 2.5.5.2): rules for IPv4 hold for it. */
static void
unmap(struct proxy *p)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (p->version != 6 || memcmp(p->ip, mapped, sizeof mapped) != 0)
		return;
	memmove(p->ip, p->ip + sizeof mapped, 4);
	memset(p->ip + 4, 0, sizeof p->ip - 4);
	p->version = 4;
}

enum proxy_got
proxy_parse(const char *s, size_t n, struct proxy *p, size_t *used, struct fail *f)
{
	enum proxy_got got;

	memset(p, 0, sizeof *p);
	*used = 0;
	if (n == 0)
		return PROXY_MORE;
	if (starts(s, n, "PROXY ", 6))
		got = n < 6 ? PROXY_MORE : parse_v1(s, n, p, used, f);
	else if (starts(s, n, signature, sizeof signature))
		got = n < sizeof signature ? PROXY_MORE : parse_v2(s, n, p, used, f);
	else
		return bad(f, "\"PROXY \" or the signature of version 2");
	unmap(p);
	return got;
}
