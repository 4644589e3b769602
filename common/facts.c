#include "facts.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct facts *
facts_new(const char *domain)
{
	struct facts *f = xcalloc(1, sizeof *f);

	f->domain = xstrdup(domain);
	f->mx = FACTS_MX_FAILED;
	f->mx_sec = DNS_FAILED;
	f->ttl = FACTS_TTL_NONE;
	return f;
}

static void
host_clear(struct facts_host *h)
{
	size_t i;

	for (i = 0; i < h->ntlsa; i++)
		tlsa_clear(&h->tlsa[i]);
	free(h->tlsa);
	free(h->tlsa_base);
	free(h->tlsa_why);
	free(h->canonical);
	free(h->path);
	free(h->addr);
	free(h->addrs_why);
	free(h->name);
}

void
facts_free(struct facts *f)
{
	size_t i;

	if (f == NULL)
		return;
	for (i = 0; i < f->nhost; i++)
		host_clear(&f->host[i]);
	free(f->host);
	free(f->mx_why);
	free(f->mx_canonical);
	free(f->sts_why);
	free(f->sts_id);
	sts_policy_clear(&f->sts);
	free(f->tlsrpt_why);
	tlsrpt_clear(&f->tlsrpt);
	free(f->recipient);
	free(f->domain);
	free(f);
}

struct facts_host *
facts_add_host(struct facts *f, const char *name, uint16_t preference)
{
	struct facts_host *h;

	if (f->nhost == FACTS_HOSTS_MAX) {
		f->hosts_left_out++;
		return NULL;
	}
	f->host = xreallocarray(f->host, f->nhost + 1, sizeof *f->host);
	h = &f->host[f->nhost++];
	memset(h, 0, sizeof *h);
	h->name = xstrdup(name);
	h->canonical = xstrdup(name);
	h->preference = preference;
	h->addrs = FACTS_ADDRS_FAILED;
	h->addrs_sec = DNS_FAILED;
	h->tlsa_state = FACTS_TLSA_NOT_ASKED;
	return h;
}

struct txtrec *
facts_txtrecs(const struct dns_answer *a)
{
	struct txtrec *r = xcalloc(a->n, sizeof *r);
	size_t i;

	for (i = 0; i < a->n; i++)
		r[i] = (struct txtrec){ (const char *)a->rr[i].data, a->rr[i].len };
	return r;
}

/* Insertion sort: few hosts, and equal preferences must stay as they came. */
void
facts_sort(struct facts *f)
{
	size_t i, j;

	for (i = 1; i < f->nhost; i++) {
		struct facts_host h = f->host[i];

		for (j = i; j > 0 && f->host[j - 1].preference > h.preference; j--)
			f->host[j] = f->host[j - 1];
		f->host[j] = h;
	}
}

size_t
facts_reference_names(const struct facts *f, const struct facts_host *h,
    const char *names[FACTS_NAMES_MAX])
{
	size_t n = 0;

	if (f->mx_sec != DNS_SECURE)
		return 0;
	if (f->mx != FACTS_MX_LOCAL)
		names[n++] = f->domain;
	if (f->mx_canonical != NULL)
		names[n++] = f->mx_canonical;
	names[n++] = h->name;
	return n;
}

uint16_t
facts_port(const struct facts_host *h, uint16_t port)
{
	return h->port != 0 ? h->port : port;
}

const char *
facts_protocol_name(enum facts_protocol protocol)
{
	static const char *const names[] = { [FACTS_SMTP] = "smtp", [FACTS_SMTPS] = "smtps",
		[FACTS_LMTP] = "lmtp" };

	return names[protocol];
}

socklen_t
facts_sockaddr(const struct facts_addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof *ss);
	ss->ss_family = a->family;
	if (a->family == AF_INET) {
		sin->sin_port = htons(port);
		sin->sin_addr = a->ip.v4;
		return sizeof *sin;
	}
	sin6->sin6_port = htons(port);
	sin6->sin6_addr = a->ip.v6;
	return sizeof *sin6;
}

static const char *
special_v4(const struct in_addr *in)
{
	uint32_t a = ntohl(in->s_addr);

	if (a >> 24 == 127)
		return "loopback";
	if (a >> 24 == 0)
		return "unspecified";
	if (a >> 16 == 0xa9fe)
		return "link-local";
	if (a >> 28 == 0xe)
		return "multicast";
	return a == INADDR_BROADCAST ? "broadcast" : NULL;
}

const char *
facts_addr_special(const struct facts_addr *a)
{
	const struct in6_addr *v6 = &a->ip.v6;
	struct in_addr in;

	if (a->family == AF_UNIX)
		return NULL;
	if (a->family == AF_INET)
		return special_v4(&a->ip.v4);
	if (IN6_IS_ADDR_LOOPBACK(v6))
		return "loopback";
	if (IN6_IS_ADDR_UNSPECIFIED(v6))
		return "unspecified";
	if (IN6_IS_ADDR_LINKLOCAL(v6))
		return "link-local";
	if (IN6_IS_ADDR_MULTICAST(v6))
		return "multicast";
	if (!IN6_IS_ADDR_V4MAPPED(v6))
		return NULL;
	memcpy(&in, v6->s6_addr + 12, sizeof in);
	return special_v4(&in);
}

const char *
facts_addr_text(const struct facts_addr *a, char dst[INET6_ADDRSTRLEN])
{
	if (a->family == AF_UNIX)
		snprintf(dst, INET6_ADDRSTRLEN, "socket");
	else if (inet_ntop(a->family, &a->ip, dst, INET6_ADDRSTRLEN) == NULL)
		snprintf(dst, INET6_ADDRSTRLEN, "?");
	return dst;
}
