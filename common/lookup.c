#include "lookup.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "name.h"
#include "sts_lookup.h"
#include "text.h"

/* What is under way for one host; index is the host's place in the facts. */
struct host_lookup {
	struct lookup *l;
	size_t index;
	struct dns_query *a, *aaaa, *next;	/* next: CNAME, then TLSA, one after the other */
	struct dns_answer *got_a, *got_aaaa;
	int initial_left;		/* the initial name is still to be asked for TLSA */
};

struct lookup {
	struct dns *dns;
	struct lookup_conf conf;
	lookup_fn *fn;
	void *arg;
	struct facts *facts;
	struct dns_query *mx, *tlsrpt;
	struct sts_lookup *sts;
	struct host_lookup *host;
	size_t nhost, open;		/* open: hosts not finished */
	int parts;			/* not finished: the hosts, STS, TLS-RPT */
};

static void
lookup_free(struct lookup *l)
{
	size_t i;

	dns_cancel(l->mx);
	dns_cancel(l->tlsrpt);
	sts_lookup_cancel(l->sts);
	for (i = 0; i < l->nhost; i++) {
		dns_cancel(l->host[i].a);
		dns_cancel(l->host[i].aaaa);
		dns_cancel(l->host[i].next);
		dns_answer_free(l->host[i].got_a);
		dns_answer_free(l->host[i].got_aaaa);
	}
	free(l->host);
	facts_free(l->facts);
	free(l);
}

static void
finish(struct lookup *l)
{
	struct facts *facts = l->facts;
	lookup_fn *fn = l->fn;
	void *arg = l->arg;
	size_t i;

	for (i = 0; i < facts->nhost && facts->mx != FACTS_MX_LOCAL; i++)
		facts->host[i].protocol = l->conf.protocol;
	l->facts = NULL;
	lookup_free(l);
	fn(arg, facts);
}

static void
part_done(struct lookup *l)
{
	if (--l->parts == 0)
		finish(l);
}

static struct facts_host *
facts_of(struct host_lookup *h)
{
	return &h->l->facts->host[h->index];
}

static void
host_done(struct host_lookup *h)
{
	if (--h->l->open == 0)
		part_done(h->l);
}

static char *
why_of(const struct dns_answer *a)
{
	return xasprintf("%s %s: %s", dns_type_name(a->qtype), dns_sec_name(a->sec),
	    a->why != NULL ? a->why : "no reason given");
}

/* One that failed may be there the next moment. */
static void
holds_for(struct facts *facts, uint32_t ttl)
{
	if (ttl < facts->ttl)
		facts->ttl = ttl;
}

static void
heed_ttl(struct lookup *l, const struct dns_answer *a)
{
	holds_for(l->facts, a->sec == DNS_SECURE || a->sec == DNS_INSECURE ? a->ttl : 0);
}

/* ---- TLSA ---- */

static void on_tlsa(void *, const struct dns_answer *);

static void
tlsa_failed(struct host_lookup *h, char *why)
{
	struct facts_host *fh = facts_of(h);

	fh->tlsa_state = FACTS_TLSA_FAILED;
	fh->tlsa_why = why;
	host_done(h);
}

static void
ask_tlsa(struct host_lookup *h, const char *base)
{
	struct facts_host *fh = facts_of(h);
	char *owner = xasprintf("_%u._tcp.%s.", facts_port(fh, h->l->conf.port), base);

	free(fh->tlsa_base);
	fh->tlsa_base = xstrdup(base);
	h->next = dns_ask(h->l->dns, owner, DNS_TLSA, on_tlsa, h);
	free(owner);
}

static void
keep_tlsa(struct facts_host *fh, const struct dns_answer *a)
{
	struct fail f = FAIL_INIT;
	size_t i;

	fh->tlsa_state = FACTS_TLSA_FOUND;
	fh->tlsa = xcalloc(a->n, sizeof *fh->tlsa);
	for (i = 0; i < a->n; i++)
		if (tlsa_from_wire(&fh->tlsa[fh->ntlsa], a->rr[i].data, a->rr[i].len, &f) == 0)
			fh->ntlsa++;
		else
			fh->tlsa_damaged++;
	/* Servers and resolvers turn them about: what is said of them is not to depend on that. */
	qsort(fh->tlsa, fh->ntlsa, sizeof *fh->tlsa, tlsa_order);
}

static void
on_parent(void *arg, const struct dns_answer *a)
{
	struct host_lookup *h = arg;

	h->next = NULL;
	facts_of(h)->tcp_denied = a->sec == DNS_INSECURE && a->got == DNS_NXDOMAIN;
	host_done(h);
}

/* RFC 8020 2: NXDOMAIN means that nothing is below either; a server that says so of an empty name is broken. */
static void
ask_parent(struct host_lookup *h)
{
	char *owner;

	if (!h->l->conf.want_health) {
		host_done(h);
		return;
	}
	owner = xasprintf("_tcp.%s.", facts_of(h)->tlsa_base);
	if ((h->next = dns_ask_plain(h->l->dns, owner, DNS_A, on_parent, h)) == NULL)
		host_done(h);
	free(owner);
}

/* A failed first lookup does not fall to the second name: RFC 7672 2.2.3. */
static void
on_tlsa(void *arg, const struct dns_answer *a)
{
	struct host_lookup *h = arg;
	struct facts_host *fh = facts_of(h);

	h->next = NULL;
	heed_ttl(h->l, a);
	if (a->sec == DNS_BOGUS || a->sec == DNS_FAILED) {
		tlsa_failed(h, why_of(a));
		return;
	}
	if (a->sec == DNS_SECURE && a->got == DNS_DATA) {
		keep_tlsa(fh, a);
		ask_parent(h);
		return;
	}
	fh->tlsa_state = a->sec == DNS_SECURE ? FACTS_TLSA_ABSENT : FACTS_TLSA_INSECURE;
	if (h->initial_left) {
		h->initial_left = 0;
		ask_tlsa(h, fh->name);
		return;
	}
	host_done(h);
}

/* The addresses are unsigned, but the name is an alias: is at least that signed? */
static void
on_alias(void *arg, const struct dns_answer *a)
{
	struct host_lookup *h = arg;
	struct facts_host *fh = facts_of(h);

	h->next = NULL;
	heed_ttl(h->l, a);
	switch (a->sec) {
	case DNS_SECURE:
		ask_tlsa(h, fh->name);
		return;
	case DNS_INSECURE:
		fh->tlsa_state = FACTS_TLSA_UNSIGNED;
		host_done(h);
		return;
	case DNS_BOGUS:
	case DNS_FAILED:
		tlsa_failed(h, why_of(a));
		return;
	}
}

static void
begin_tlsa(struct host_lookup *h, unsigned aliases)
{
	struct facts_host *fh = facts_of(h);

	if (!h->l->conf.want_tlsa || fh->addrs != FACTS_ADDRS_FOUND) {
		host_done(h);
		return;
	}
	if (fh->addrs_sec == DNS_SECURE) {
		h->initial_left = aliases > 0;
		ask_tlsa(h, fh->canonical);
		return;
	}
	if (aliases > 0) {
		h->next = dns_ask(h->l->dns, fh->name, DNS_CNAME, on_alias, h);
		return;
	}
	fh->tlsa_state = FACTS_TLSA_UNSIGNED;
	host_done(h);
}

/* ---- addresses ---- */

static void
keep_addresses(struct facts *facts, struct facts_host *fh, const struct dns_answer *a)
{
	int family = a->qtype == DNS_A ? AF_INET : AF_INET6;
	size_t want = family == AF_INET ? 4 : 16, i;

	facts->addrs_left_out += a->left_out;
	for (i = 0; i < a->n; i++) {
		struct facts_addr *fa;

		if (a->rr[i].len != want)
			continue;
		if (fh->naddr == FACTS_ADDRS_MAX) {
			facts->addrs_left_out++;
			continue;
		}
		fh->addr = xreallocarray(fh->addr, fh->naddr + 1, sizeof *fh->addr);
		fa = &fh->addr[fh->naddr++];
		memset(fa, 0, sizeof *fa);
		fa->family = family;
		memcpy(&fa->ip, a->rr[i].data, want);
	}
}

static int
has_answer(const struct dns_answer *a)
{
	return a->sec == DNS_SECURE || a->sec == DNS_INSECURE;
}

/* The worse of the two families counts; one that failed is left out where the other has addresses.
 */
static enum dns_sec
sec_of_addresses(const struct dns_answer *a, const struct dns_answer *b)
{
	if (has_answer(a) && a->got == DNS_DATA && a->sec == DNS_INSECURE)
		return DNS_INSECURE;
	if (has_answer(b) && b->got == DNS_DATA && b->sec == DNS_INSECURE)
		return DNS_INSECURE;
	return DNS_SECURE;
}

static void
addresses_done(struct host_lookup *h)
{
	const struct dns_answer *a = h->got_a, *b = h->got_aaaa;
	const struct dns_answer *bad = !has_answer(a) ? a : !has_answer(b) ? b : NULL;
	const struct dns_answer *good;
	struct facts_host *fh = facts_of(h);
	unsigned aliases = 0;

	if (has_answer(a))
		keep_addresses(h->l->facts, fh, a);
	if (has_answer(b))
		keep_addresses(h->l->facts, fh, b);
	if (bad != NULL)
		fh->addrs_why = why_of(bad);
	if (fh->naddr > 0) {
		good = has_answer(a) && a->got == DNS_DATA ? a : b;
		fh->addrs = FACTS_ADDRS_FOUND;
		fh->addrs_sec = sec_of_addresses(a, b);
		free(fh->canonical);
		fh->canonical = xstrdup(good->canonical);
		aliases = good->aliases;
	} else if (bad == NULL) {
		fh->addrs = FACTS_ADDRS_NONE;
		fh->addrs_sec = a->sec;
		fh->addrs_why = xasprintf("%s",
		    a->got == DNS_NXDOMAIN ? "the host name does not exist"
					   : "the host has no address");
	}
	begin_tlsa(h, aliases);
}

static void
on_a(void *arg, const struct dns_answer *a)
{
	struct host_lookup *h = arg;

	h->a = NULL;
	heed_ttl(h->l, a);
	h->got_a = dns_answer_copy(a);
	if (h->got_aaaa != NULL)
		addresses_done(h);
}

static void
on_aaaa(void *arg, const struct dns_answer *a)
{
	struct host_lookup *h = arg;

	h->aaaa = NULL;
	heed_ttl(h->l, a);
	h->got_aaaa = dns_answer_copy(a);
	if (h->got_a != NULL)
		addresses_done(h);
}

/* ---- hosts ---- */

/* MX data that cannot be a host's name is not asked for. */
static int
refuse_host(struct facts_host *fh)
{
	if (name_is_host(fh->name, NAME_UNDERSCORE))
		return 0;
	fh->addrs = FACTS_ADDRS_NONE;
	fh->addrs_why = xstrdup(strcmp(fh->name, ".") == 0 ?
	    "a null MX beside other MX records (RFC 7505 3)" :
	    "the MX data is not a host name (RFC 5321 5.1)");
	return 1;
}

static void
begin_hosts(struct lookup *l)
{
	size_t i;

	facts_sort(l->facts);
	l->nhost = l->open = l->facts->nhost;
	l->host = xcalloc(l->nhost, sizeof *l->host);
	for (i = 0; i < l->nhost; i++) {
		struct host_lookup *h = &l->host[i];
		const char *name = l->facts->host[i].name;

		h->l = l;
		h->index = i;
		if (l->facts->host[i].addrs == FACTS_ADDRS_FOUND || refuse_host(&l->facts->host[i])) {
			l->open--;
			continue;
		}
		h->a = dns_ask(l->dns, name, DNS_A, on_a, h);
		h->aaaa = dns_ask(l->dns, name, DNS_AAAA, on_aaaa, h);
	}
	if (l->open == 0)
		part_done(l);
}

/* How many records come before this one: by preference, then as they came. */
static size_t
place_of(const struct dns_answer *a, size_t i)
{
	size_t j, n = 0;

	for (j = 0; j < a->n; j++)
		n += a->rr[j].preference < a->rr[i].preference ||
		    (j < i && a->rr[j].preference == a->rr[i].preference);
	return n;
}

static void
on_mx_data(struct lookup *l, const struct dns_answer *a)
{
	size_t i;

	if (a->n == 1 && strcmp(a->rr[0].name, ".") == 0) {
		l->facts->mx = FACTS_MX_NULL;
		finish(l);
		return;
	}
	l->facts->mx = FACTS_MX_FOUND;
	l->facts->hosts_left_out = a->left_out;
	/* Whoever is left out must not be preferred to one that is not. */
	for (i = 0; i < a->n; i++)
		if (place_of(a, i) < FACTS_HOSTS_MAX)
			facts_add_host(l->facts, a->rr[i].name, a->rr[i].preference);
		else
			l->facts->hosts_left_out++;
	begin_hosts(l);
}

static void
on_mx(void *arg, const struct dns_answer *a)
{
	struct lookup *l = arg;
	struct facts *facts = l->facts;

	l->mx = NULL;
	heed_ttl(l, a);
	facts->mx_sec = a->sec;
	if (a->sec == DNS_BOGUS || a->sec == DNS_FAILED) {
		facts->mx = FACTS_MX_FAILED;
		facts->mx_why = why_of(a);
		finish(l);
		return;
	}
	if (a->aliases > 0)
		facts->mx_canonical = xstrdup(a->canonical);
	switch (a->got) {
	case DNS_DATA:
		on_mx_data(l, a);
		return;
	case DNS_NODATA:
		facts->mx = FACTS_MX_IMPLICIT;
		facts_add_host(facts, facts->domain, 0);
		begin_hosts(l);
		return;
	case DNS_NXDOMAIN:
		facts->mx = FACTS_MX_NODOMAIN;
		finish(l);
		return;
	}
}

/* ---- what else the domain publishes ---- */

static void
on_sts(void *arg, struct sts_result *r)
{
	struct lookup *l = arg;

	l->sts = NULL;
	l->facts->sts_state = r->state;
	l->facts->sts_fault = r->fault;
	l->facts->sts_why = r->why;
	l->facts->sts_id = r->id;
	l->facts->sts_fetched = r->fetched;
	l->facts->sts = r->policy;
	holds_for(l->facts, r->ttl);
	part_done(l);
}

static void
keep_tlsrpt(struct facts *facts, const struct dns_answer *a)
{
	struct txtrec *r = facts_txtrecs(a);
	struct fail f = FAIL_INIT;

	switch (tlsrpt_select(&facts->tlsrpt, r, a->n, &f)) {
	case 1:
		facts->tlsrpt_state = FACTS_TLSRPT_FOUND;
		break;
	case -1:
		facts->tlsrpt_why = xasprintf("its record _smtp._tls is not valid: %s (RFC 8460 3)", f.text);
		/* FALLTHROUGH */
	default:
		facts->tlsrpt_state = FACTS_TLSRPT_NONE;
	}
	free(r);
}

static void
on_tlsrpt(void *arg, const struct dns_answer *a)
{
	struct lookup *l = arg;

	l->tlsrpt = NULL;
	if (has_answer(a))
		keep_tlsrpt(l->facts, a);
	else {
		l->facts->tlsrpt_state = FACTS_TLSRPT_FAILED;
		l->facts->tlsrpt_why = why_of(a);
	}
	part_done(l);
}

static void
begin_others(struct lookup *l)
{
	char *owner;

	if (l->conf.sts != NULL) {
		l->parts++;
		l->sts = sts_lookup_start(l->conf.sts, l->facts->domain, on_sts, l);
	}
	if (l->conf.want_tlsrpt) {
		l->parts++;
		owner = xasprintf("_smtp._tls.%s", l->facts->domain);
		l->tlsrpt = dns_ask(l->dns, owner, DNS_TXT, on_tlsrpt, l);
		free(owner);
	}
}

/* ---- [host] ---- */

static int
is_bracketed(const char *destination)
{
	size_t n = strlen(destination);

	return n > 2 && destination[0] == '[' && destination[n - 1] == ']';
}

struct facts *
lookup_literal(const char *destination)
{
	struct facts *facts = NULL;
	struct facts_addr fa = { .family = AF_INET };
	struct facts_host *fh;
	char *text, *ip;

	if (!is_bracketed(destination))
		return NULL;
	ip = text = xstrndup(destination + 1, strlen(destination) - 2);
	/* RFC 5321 4.1.3: an address literal in a mailbox has the tag. */
	if (strncasecmp(ip, "IPv6:", 5) == 0)
		ip += 5;
	if (inet_pton(AF_INET, text, &fa.ip.v4) != 1) {
		fa.family = AF_INET6;
		if (inet_pton(AF_INET6, ip, &fa.ip.v6) != 1)
			goto out;
	}
	facts = facts_new(destination);
	facts->mx = FACTS_MX_LOCAL;
	facts->mx_sec = DNS_SECURE;
	fh = facts_add_host(facts, ip, 0);
	fh->addr = xmemdup(&fa, sizeof fa);
	fh->naddr = 1;
	fh->addrs = FACTS_ADDRS_FOUND;
	fh->addrs_sec = DNS_SECURE;
	fh->tlsa_state = FACTS_TLSA_NO_NAME;
out:
	free(text);
	return facts;
}

/* A name that is none would end the lookup before its caller knows it: the caller checks. */
static void
begin_local(struct lookup *l, const char *host)
{
	if (!name_is_host(host, NAME_UNDERSCORE))
		abort();
	facts_add_host(l->facts, host, 0);
	l->facts->mx = FACTS_MX_LOCAL;
	l->facts->mx_sec = DNS_SECURE;
	begin_hosts(l);
}

struct lookup *
lookup_start(struct dns *dns, const char *destination, const struct lookup_conf *conf,
    lookup_fn *fn, void *arg)
{
	struct lookup *l = xcalloc(1, sizeof *l);
	char *host;

	l->dns = dns;
	l->conf = *conf;
	l->fn = fn;
	l->arg = arg;
	l->facts = facts_new(destination);
	l->parts = 1;
	if (is_bracketed(destination)) {
		host = xstrndup(destination + 1, strlen(destination) - 2);
		begin_local(l, host);
		free(host);
	} else {
		l->mx = dns_ask(dns, destination, DNS_MX, on_mx, l);
		begin_others(l);
	}
	return l;
}

struct lookup *
lookup_start_hosts(struct dns *dns, struct facts *facts, const struct lookup_conf *conf, lookup_fn *fn, void *arg)
{
	struct lookup *l = xcalloc(1, sizeof *l);

	l->dns = dns;
	l->conf = *conf;
	l->fn = fn;
	l->arg = arg;
	l->facts = facts;
	l->parts = 1;
	begin_hosts(l);
	return l;
}

void
lookup_cancel(struct lookup *l)
{
	if (l != NULL)
		lookup_free(l);
}
