#include "sts_lookup.h"

#include <string.h>
#include <stdlib.h>
#include <time.h>

#include "alloc.h"
#include "fetch.h"
#include "name.h"
#include "sts_cache.h"
#include "text.h"
#include "trust.h"
#include "verify.h"

#define WELL_KNOWN "/.well-known/mta-sts.txt"

/* A fetch that failed, in the slot of its domain's hash: a later one of another domain takes it. */
struct failed {
	char *domain, *why;
	enum facts_sts_fault fault;
	char id[STS_ID_MAX + 1];
	int64_t at;
};

/* A fetch under way; whoever waits for it is in the list of lookups. */
struct getting {
	struct getting *next;
	struct sts_source *s;
	char *domain;
	char id[STS_ID_MAX + 1];
	struct fetch *fetch;
};

struct sts_lookup {
	struct sts_lookup *next;
	struct sts_source *s;
	char *domain;
	sts_lookup_fn *fn;
	void *arg;
	struct dns_query *txt;
	struct getting *getting;	/* that it waits for */
	char id[STS_ID_MAX + 1];
	uint32_t ttl;
};

struct sts_source {
	struct sts_source_conf conf;
	struct event_base *base;
	struct dns *dns;
	struct trust *own_trust;	/* opened here */
	struct fetcher *fetcher;	/* made at the first fetch */
	struct sts_lookup *lookups;
	struct getting *gettings;
	struct failed failed[STS_FAILED_MAX];
};

/* ---- the policy host's certificate ---- */

static const struct trust *
trust_of(struct sts_source *s, struct fail *f)
{
	if (s->conf.trust != NULL)
		return s->conf.trust;
	if (s->own_trust == NULL)
		s->own_trust = trust_open(s->conf.dir, f);
	return s->own_trust;
}

/* RFC 8461 3.3: a chain to a CA that we trust, and a dNSName; as of castore, what it distrusts included. */
static int
verify_host(void *arg, STACK_OF(X509) *chain, const char *host, struct fail *f)
{
	struct sts_source *s = arg;
	struct verify_pkix ask = { .trust = trust_of(s, f), .names = VERIFY_NAMES_SAN, .reference = &host,
		.nreference = 1, .now = time(NULL) };
	struct finding finding;
	int rc = -1;

	if (ask.trust == NULL)
		return -1;
	if (verify_pkix(chain, &ask, NULL, &finding, f) == -1)
		return -1;
	if (finding.result == VERIFY_MATCH)
		rc = 0;
	else
		fail(f, FAIL_PEER, "the certificate of %.253s is not good: %s", host, finding.why);
	finding_clear(&finding);
	return rc;
}

static const char *
bar_address(void *arg, int family, const void *addr)
{
	const struct sts_source *s = arg;
	struct facts_addr a = { .family = family };

	if (!s->conf.guard)
		return NULL;
	memcpy(&a.ip, addr, family == AF_INET ? sizeof a.ip.v4 : sizeof a.ip.v6);
	return facts_addr_special(&a);
}

static struct fetcher *
fetcher_of(struct sts_source *s, struct fail *f)
{
	struct fetch_conf conf = { .timeout_ms = s->conf.timeout_ms, .verify = verify_host,
		.bar = bar_address, .arg = s };

	if (s->fetcher == NULL)
		s->fetcher = fetcher_new(s->base, s->dns, &conf, f);
	return s->fetcher;
}

/* ---- fetches that failed ---- */

static struct failed *
slot_of(struct sts_source *s, const char *domain)
{
	uint32_t h = 2166136261U;

	for (; *domain != '\0'; domain++)
		h = (h ^ (uint8_t)*domain) * 16777619U;
	return &s->failed[h % STS_FAILED_MAX];
}

static void
forget_failed(struct failed *d)
{
	free(d->domain);
	free(d->why);
	memset(d, 0, sizeof *d);
}

static void
note_failed(struct sts_source *s, const char *domain, const char *id, enum facts_sts_fault fault, const char *why)
{
	struct failed *d = slot_of(s, domain);

	forget_failed(d);
	d->domain = xstrdup(domain);
	d->why = xstrdup(why);
	d->fault = fault;
	memcpy(d->id, id, sizeof d->id);
	d->at = time(NULL);
}

/* The last fetch under that id, which failed, where it is too early for the next; else NULL. */
static const struct failed *
why_not_yet(struct sts_source *s, const char *domain, const char *id)
{
	const struct failed *d = slot_of(s, domain);
	int64_t now = time(NULL);

	return d->domain != NULL && strcmp(d->domain, domain) == 0 && strcmp(d->id, id) == 0 &&
	    now >= d->at && now < d->at + STS_RETRY_S ? d : NULL;
}

/* ---- answers ---- */

static void
unlink_lookup(struct sts_lookup *l)
{
	struct sts_lookup **at = &l->s->lookups;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l->domain);
	free(l);
}

static void
answer(struct sts_lookup *l, struct sts_result *r)
{
	sts_lookup_fn *fn = l->fn;
	void *arg = l->arg;

	if (l->id[0] != '\0')
		r->id = xstrdup(l->id);
	r->ttl = l->ttl;
	unlink_lookup(l);
	fn(arg, r);
}

static void
complain(const struct sts_source *s, const struct fail *f)
{
	if (s->conf.complain != NULL)
		s->conf.complain(s->conf.arg, f);
}

/* What is kept and holds: 1, else 0. */
static int
get_kept(const struct sts_source *s, const char *domain, struct sts_entry *e)
{
	struct fail f = FAIL_INIT;
	int rc = s->conf.cache != NULL ? sts_cache_get(s->conf.cache, domain, time(NULL), e, &f) : 0;

	if (rc == -1)
		complain(s, &f);
	return rc == 1;
}

/* The policy goes over into the result. */
static void
answer_with(struct sts_lookup *l, struct sts_entry *e, const char *why)
{
	struct sts_result r = { .state = FACTS_STS_FOUND, .why = why != NULL ? xstrdup(why) : NULL,
		.fetched = e->fetched, .policy = e->policy };

	answer(l, &r);
}

/*
 * No policy can be had now: RFC 8461 5.1, one that is kept stays in force; without it there is none, which
 * is nothing to be told of a domain that publishes none.
 */
static void
fall_back(struct sts_lookup *l, const char *why, int published, enum facts_sts_fault fault)
{
	struct sts_result r = { .state = FACTS_STS_NONE };
	struct sts_entry e;
	char time[TEXT_TIME_MAX], *text;

	if (published)
		l->ttl = 0;
	if (!get_kept(l->s, l->domain, &e)) {
		r.why = published ? xstrdup(why) : NULL;
		r.fault = fault;
		answer(l, &r);
		return;
	}
	text = xasprintf("%s; the policy fetched at %s stays in force (RFC 8461 5.1)", why,
	    text_time(time, e.fetched));
	answer_with(l, &e, text);
	free(text);
}

/* ---- fetching ---- */

static void
getting_free(struct getting *g)
{
	struct getting **at = &g->s->gettings;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	fetch_cancel(g->fetch);
	free(g->domain);
	free(g);
}

static struct sts_lookup *
waiting_for(const struct sts_source *s, const struct getting *g)
{
	struct sts_lookup *l;

	for (l = s->lookups; l != NULL && l->getting != g; l = l->next)
		;
	return l;
}

static void
got_nothing(struct getting *g, enum facts_sts_fault fault, const char *why)
{
	struct sts_source *s = g->s;
	struct sts_lookup *l;
	char *text = xasprintf("its policy cannot be had: %s", why);

	note_failed(s, g->domain, g->id, fault, text);
	while ((l = waiting_for(s, g)) != NULL) {
		l->getting = NULL;
		fall_back(l, text, 1, fault);
	}
	free(text);
}

static void
keep(const struct sts_source *s, const char *domain, const struct sts_entry *e)
{
	struct fail f = FAIL_INIT;

	if (s->conf.cache != NULL && sts_cache_is_writable(s->conf.cache) &&
	    sts_cache_put(s->conf.cache, domain, e, &f) == -1)
		complain(s, &f);
}

static void
got_policy(struct getting *g, const struct sts_policy *policy)
{
	struct sts_source *s = g->s;
	struct sts_entry e = { .fetched = time(NULL), .policy = *policy }, copy;
	struct failed *d = slot_of(s, g->domain);
	struct sts_lookup *l;

	memcpy(e.id, g->id, sizeof e.id);
	if (d->domain != NULL && strcmp(d->domain, g->domain) == 0)
		forget_failed(d);
	keep(s, g->domain, &e);
	while ((l = waiting_for(s, g)) != NULL) {
		l->getting = NULL;
		copy = e;
		sts_policy_copy(&copy.policy, policy);
		answer_with(l, &copy, NULL);
	}
}

static void
on_fetched(void *arg, const struct fetch_result *r)
{
	struct getting *g = arg;
	struct sts_policy policy;
	struct fail f = FAIL_INIT;
	char *shown;

	g->fetch = NULL;
	if (r->end != FETCH_GOOD)
		got_nothing(g, r->end == FETCH_UNTRUSTED ? FACTS_STS_UNTRUSTED : FACTS_STS_UNFETCHED, r->why);
	else if (sts_policy_parse(&policy, r->body, r->len, &f) == -1) {
		shown = xasprintf("the text at https://mta-sts.%s" WELL_KNOWN " is no policy: %s", g->domain,
		    f.text);
		got_nothing(g, FACTS_STS_INVALID, shown);
		free(shown);
	} else {
		got_policy(g, &policy);
		sts_policy_clear(&policy);
	}
	getting_free(g);
}

static struct getting *
find_getting(const struct sts_source *s, const char *domain)
{
	struct getting *g;

	for (g = s->gettings; g != NULL && strcmp(g->domain, domain) != 0; g = g->next)
		;
	return g;
}

/* The one under way, or a new one; NULL: libcurl cannot be used. */
static struct getting *
get(struct sts_source *s, const char *domain, const char *id, struct fail *f)
{
	struct getting *g = find_getting(s, domain);
	struct fetcher *fetcher;
	char *host;

	if (g != NULL)
		return g;
	if ((fetcher = fetcher_of(s, f)) == NULL)
		return NULL;
	g = xcalloc(1, sizeof *g);
	g->s = s;
	g->domain = xstrdup(domain);
	memcpy(g->id, id, sizeof g->id);
	g->next = s->gettings;
	s->gettings = g;
	host = xasprintf("mta-sts.%s", domain);
	g->fetch = fetch_start(fetcher, host, WELL_KNOWN, on_fetched, g);
	free(host);
	return g;
}

static void
fetch_for(struct sts_lookup *l)
{
	const struct failed *before = why_not_yet(l->s, l->domain, l->id);
	struct fail f = FAIL_INIT;

	if (before != NULL)
		fall_back(l, before->why, 1, before->fault);
	else if ((l->getting = get(l->s, l->domain, l->id, &f)) == NULL) {
		complain(l->s, &f);
		fall_back(l, f.text, 1, FACTS_STS_WELL);
	}
}

/* The id is the kept one's: it holds, but for a day without a look at the policy host. */
static void
use_kept(struct sts_lookup *l, struct sts_entry *e)
{
	int64_t age = time(NULL) - e->fetched;

	if (age >= 0 && age < STS_REFRESH_S)
		answer_with(l, e, NULL);
	else if (l->s->conf.background) {
		if (why_not_yet(l->s, l->domain, l->id) == NULL)
			get(l->s, l->domain, l->id, NULL);
		answer_with(l, e, NULL);
	} else {
		sts_entry_clear(e);
		fetch_for(l);
	}
}

/* ---- the record ---- */

static void
take_id(struct sts_lookup *l)
{
	struct sts_entry e;

	if (!get_kept(l->s, l->domain, &e))
		fetch_for(l);
	else if (strcmp(e.id, l->id) == 0)
		use_kept(l, &e);
	else {
		sts_entry_clear(&e);
		fetch_for(l);
	}
}

static void
on_txt(void *arg, const struct dns_answer *a)
{
	struct sts_lookup *l = arg;
	struct txtrec *r = facts_txtrecs(a);
	struct fail f = FAIL_INIT;
	enum facts_sts_fault fault = FACTS_STS_WELL;
	char *why = NULL;
	int published = 1;

	l->txt = NULL;
	l->ttl = a->ttl;
	if (a->sec == DNS_BOGUS || a->sec == DNS_FAILED)
		why = xasprintf("its record _mta-sts cannot be had: TXT %s: %s", dns_sec_name(a->sec),
		    a->why != NULL ? a->why : "no reason given");
	else if (a->left_out > 0)
		why = xstrdup("_mta-sts has too many TXT records");
	else switch (sts_txt_select(r, a->n, l->id, &f)) {
	case 0:
		why = xstrdup("it has no record _mta-sts");
		published = 0;
		break;
	case -1:
		l->id[0] = '\0';
		fault = FACTS_STS_INVALID;
		why = xasprintf("its record _mta-sts is not valid: %s (RFC 8461 3.1)", f.text);
		break;
	default:
		break;
	}
	free(r);
	if (why == NULL)
		take_id(l);
	else
		fall_back(l, why, published, fault);
	free(why);
}

struct sts_lookup *
sts_lookup_start(struct sts_source *s, const char *domain, sts_lookup_fn *fn, void *arg)
{
	struct sts_lookup *l = xcalloc(1, sizeof *l);
	char *owner = xasprintf("_mta-sts.%s", domain);

	l->s = s;
	l->domain = xstrdup(domain);
	l->fn = fn;
	l->arg = arg;
	l->next = s->lookups;
	s->lookups = l;
	/* A name that is too long is answered as one that cannot be asked. */
	l->txt = dns_ask(s->dns, owner, DNS_TXT, on_txt, l);
	free(owner);
	return l;
}

void
sts_lookup_cancel(struct sts_lookup *l)
{
	if (l == NULL)
		return;
	dns_cancel(l->txt);
	unlink_lookup(l);
}

struct fetcher *
sts_source_fetcher(struct sts_source *s, struct fail *f)
{
	return fetcher_of(s, f);
}

struct sts_source *
sts_source_new(struct event_base *base, struct dns *dns, const struct sts_source_conf *conf)
{
	struct sts_source *s = xcalloc(1, sizeof *s);

	s->conf = *conf;
	s->base = base;
	s->dns = dns;
	return s;
}

void
sts_source_free(struct sts_source *s)
{
	size_t i;

	if (s == NULL)
		return;
	while (s->lookups != NULL)
		sts_lookup_cancel(s->lookups); /* NOLINT(clang-analyzer-unix.Malloc) */
	while (s->gettings != NULL)
		getting_free(s->gettings); /* NOLINT(clang-analyzer-unix.Malloc) */
	fetcher_free(s->fetcher);
	trust_free(s->own_trust);
	for (i = 0; i < STS_FAILED_MAX; i++)
		forget_failed(&s->failed[i]);
	free(s);
}
