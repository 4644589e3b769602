#include "cidr.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

static int
width_of(const struct cidr *c)
{
	return c->version == 4 ? 32 : 128;
}

int
cidr_is_address(const struct cidr *c)
{
	return c->bits == width_of(c);
}

static int
is_zero_behind(const struct cidr *c)
{
	int i;

	for (i = c->bits; i < width_of(c); i++)
		if (c->addr[i / 8] & (0x80 >> i % 8))
			return 0;
	return 1;
}

int
cidr_parse(const char *text, const char *expected, struct cidr *c, struct fail *f)
{
	char *addr = xstrdup(text), *slash = strchr(addr, '/');
	long long bits;
	int rc = -1;

	memset(c, 0, sizeof *c);
	if (slash != NULL)
		*slash++ = '\0';
	if ((c->version = text_address(addr, c->addr)) == 0) {
		fail(f, FAIL_INPUT, "expected %s, not \"%.200s\"", expected, text);
		goto out;
	}
	bits = width_of(c);
	if (slash != NULL && text_number(slash, 0, bits, "length of a prefix", &bits, f) == -1)
		goto out;
	c->bits = bits;
	if (!is_zero_behind(c))
		fail(f, FAIL_INPUT, "%.200s has bits behind its prefix", text);
	else
		rc = 0;
out:
	free(addr);
	return rc;
}

int
cidr_has(const struct cidr *c, int version, const void *addr)
{
	const uint8_t *a = addr;
	int whole = c->bits / 8, rest = c->bits % 8;

	if (c->version != version || memcmp(c->addr, a, whole) != 0)
		return 0;
	return rest == 0 || ((c->addr[whole] ^ a[whole]) >> (8 - rest)) == 0;
}

const char *
cidr_text(char *dst, size_t size, const struct cidr *c)
{
	char addr[INET6_ADDRSTRLEN] = "?";

	inet_ntop(c->version == 4 ? AF_INET : AF_INET6, c->addr, addr, sizeof addr);
	snprintf(dst, size, "%s/%d", addr, c->bits);
	return dst;
}
