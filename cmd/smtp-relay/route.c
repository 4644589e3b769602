#include "route.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "clock.h"
#include "dns.h"
#include "doctor.h"
#include "fetch.h"
#include "log.h"
#include "lookup.h"
#include "name.h"
#include "names.h"
#include "pack.h"
#include "sts_cache.h"
#include "sts_lookup.h"
#include "table.h"

struct route {
	struct role role;
	const struct route_start *start;
	struct dns *dns;
	struct sts_cache *cache;
	struct sts_source *sts;
	struct doctor doctor;
	struct channel *queue;
	int retired;		/* another is in our place, or will be: the queue lets go of us */
};

struct question {
	struct route *r;
	char seq[24];
	char *domain;
	struct policy policy;
	uint16_t port;
};

/* ---- questions ---- */

/* What is unsure, or said of a policy that may be withdrawn, is asked for again soon. */
static uint32_t
ttl_of(const struct plan *p)
{
	size_t i;

	for (i = 0; i < p->nhost; i++)
		if (p->host[i].act == PLAN_UNSURE)
			return 0;
	return p->kind == PLAN_DEFER ? 0 : p->facts->ttl;
}

/* planned SEQ PORT TTL, then the plan */
static void
answer(struct question *q, struct facts *facts)
{
	struct buf b = BUF_INIT;
	struct controls controls;
	struct plan plan;
	char port[24], ttl[24], kind[24], mx[24];
	size_t head;

	conf_mark_own(q->r->start->conf, q->domain, q->port, facts);
	policy_plan(&q->policy, facts, &plan);
	snprintf(port, sizeof port, "%u", q->port);
	snprintf(ttl, sizeof ttl, "%" PRIu32, ttl_of(&plan));
	table_put(&b, "planned", q->seq, port, ttl, (char *)NULL);
	head = b.len;
	conf_controls(q->r->start->conf, q->domain, &controls);
	pack_plan(&b, &plan, &controls);
	if (b.len <= ORDER_MAX / 2 - PACK_REPORT_MAX)
		pack_report(&b, &plan);
	/* Room is left for the recipients that go with it. */
	if (b.len > ORDER_MAX / 2) {
		b.len = head;
		snprintf(kind, sizeof kind, "%d", PLAN_DEFER);
		snprintf(mx, sizeof mx, "%d", FACTS_MX_FAILED);
		table_put(&b, "plan", kind, "4.4.3", "local", "its hosts and TLSA records are too many",
		    (char *)NULL);
		table_put(&b, "facts", facts->domain, mx, "3", "0", "", "", (char *)NULL);
	}
	channel_send(q->r->queue, b.p, b.len, -1);
	buf_clear(&b);
	plan_clear(&plan);
	facts_free(facts);
	free(q->domain);
	free(q);
}

/* For the operator; a queue that is gone needs to hear nothing. */
static void
tell_dns(void *arg, int sick, const char *why, const char *domain)
{
	struct route *r = arg;
	struct buf b = BUF_INIT;

	table_put(&b, "dns", sick ? "sick" : "well", why, domain, (char *)NULL);
	if (!r->retired)
		channel_send(r->queue, b.p, b.len, -1);
	buf_clear(&b);
}

static void
on_facts(void *arg, struct facts *facts)
{
	struct question *q = arg;

	doctor_look(&q->r->doctor, facts);
	answer(q, facts);
}

/* A mailbox may bear a literal that is no address ("[X:y]"): nothing there can take mail. */
static int
can_be_asked(const char *destination)
{
	size_t n = strlen(destination);
	char *host;
	int yes;

	if (destination[0] != '[')
		return name_is_host(destination, NAME_UNDERSCORE);
	host = xstrndup(destination + 1, n > 2 ? n - 2 : 0);
	yes = n > 2 && destination[n - 1] == ']' && name_is_host(host, NAME_UNDERSCORE);
	free(host);
	return yes;
}

static void
ask(struct route *r, const char *seq, const char *domain, unsigned asks)
{
	const struct conf *conf = r->start->conf;
	const struct conf_route *route = conf_route_to(conf, domain);
	struct question *q = xcalloc(1, sizeof *q);
	struct lookup_conf lookup = { .port = route != NULL ? hops_port(&route->hops) : conf->mx_port };
	struct facts *facts;

	q->r = r;
	q->domain = xstrdup(domain);
	q->port = lookup.port;
	snprintf(q->seq, sizeof q->seq, "%s", seq);
	conf_policy(conf, domain, &q->policy);
	q->policy.message = asks;
	lookup.want_tlsa = policy_wants_tlsa(&q->policy);
	lookup.want_tlsrpt = conf->tlsrpt.from != NULL && route == NULL && !(asks & POLICY_MESSAGE_TLS_OPTIONAL);
	/* "[192.0.2.1]" as a domain is an address literal (RFC 5321 4.1.3). */
	facts = route != NULL ? hops_facts(&route->hops) : lookup_literal(domain);
	if (facts != NULL && hops_known(facts))
		answer(q, facts);
	else if (route != NULL)
		hops_start(r->dns, &route->hops, facts, &lookup, on_facts, q);
	else if (!can_be_asked(domain)) {
		facts = facts_new(domain);
		facts->mx = FACTS_MX_NODOMAIN;
		answer(q, facts);
	} else {
		lookup.sts = policy_wants_sts(&q->policy) ? r->sts : NULL;
		lookup_start(r->dns, domain, &lookup, on_facts, q);
	}
}

/* ---- reports on TLS for HTTPS servers ---- */

struct post {
	struct route *r;
	char seq[24];
};

static void
on_posted(void *arg, const struct fetch_result *result)
{
	struct post *p = arg;
	struct buf b = BUF_INIT;

	table_put(&b, "posted", p->seq, result->end == FETCH_GOOD ? "good" : "failed",
	    result->why != NULL ? result->why : "", (char *)NULL);
	channel_send(p->r->queue, b.p, b.len, -1);
	buf_clear(&b);
	free(p);
}

static int
read_report(int fd, struct buf *b)
{
	char piece[65536];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, piece, sizeof piece)) > 0 && b->len < ROUTE_REPORT_MAX)
		buf_add(b, piece, (size_t)n);
	return n == 0 ? 0 : -1;
}

/* post SEQ URI +fd */
static void
post(struct route *r, const char *seq, const char *uri, int fd)
{
	struct post *p = xcalloc(1, sizeof *p);
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	struct fetcher *fetcher = sts_source_fetcher(r->sts, &f);
	struct fetch_result failed = { .end = FETCH_FAILED, .why = f.text };

	p->r = r;
	snprintf(p->seq, sizeof p->seq, "%s", seq);
	if (fetcher == NULL)
		on_posted(p, &failed);
	else if (read_report(fd, &b) == -1) {
		fail(&f, FAIL_SYS, "the report cannot be read, or is too large");
		on_posted(p, &failed);
	} else
		fetch_post(fetcher, uri, "application/tlsrpt+gzip", b.p, b.len, on_posted, p);
	buf_clear(&b);
}

static void
on_record(void *arg, struct order *o)
{
	struct fail f = FAIL_INIT;
	long long asks;

	if (o->n == 3 && strcmp(o->v[0], "post") == 0 && o->fd != -1) {
		post(arg, o->v[1], o->v[2], o->fd);
		close(o->fd);
		return;
	}
	if (o->fd != -1)
		close(o->fd);
	if (o->n == 4 && strcmp(o->v[0], "route") == 0 && text_number(o->v[3], 0, 3, "asks", &asks, &f) == 0) {
		ask(arg, o->v[1], o->v[2], asks);
		return;
	}
	fail(&f, FAIL_SYS, "a record from the queue makes no sense");
	role_fail(&f);
}

static void
on_names_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	role_end(arg);
}

/* Of a route that retired clients' names may still be awaited, for so long. */
static void
on_gone(void *arg, const struct fail *f)
{
	struct route *r = arg;
	struct timeval tv = { ROUTE_NAMES_S, 0 };

	if (!r->retired)
		role_fail(f);
	if (event_base_once(r->role.base, -1, EV_TIMEOUT, on_names_over, &r->role, &tv) == -1)
		alloc_failed();
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_gone };

/* The policy is not kept, or not read: the mail goes on without that. */
static void
complain(void *arg, const struct fail *f)
{
	const struct route *r = arg;
	struct log_line l;

	log_event(&l, LOG_LEVEL_WARN, r->start->role.name, "sts-failed");
	log_key(&l, "reason", f->text);
	log_send(&l);
}

/* Behind role_drop(): the folder is the root directory then, or stays where it is. */
static void
open_sts(struct route *r, const struct route_start *start)
{
	struct sts_source_conf conf = { .trust = start->trust, .dir = start->conf->dir, .background = 1,
		.guard = !start->conf->loopback_mx, .complain = complain, .arg = r };
	struct fail f = FAIL_INIT;

	r->cache = sts_cache_open(start->role.user != NULL ? "/" : start->role.root, clock_now(), &f);
	if (r->cache == NULL)
		complain(r, &f);
	conf.cache = r->cache;
	r->sts = sts_source_new(r->role.base, r->dns, &conf);
}

/* names NUMBER +fd: a new in, which will ask for clients' names; retire */
static void
on_master_record(void *arg, struct order *o)
{
	struct route *r = arg;
	struct fail f = FAIL_INIT;
	long long number;

	if (strcmp(o->v[0], "names") == 0 && o->n == 2 && o->fd != -1 &&
	    text_number(o->v[1], 0, SPOOL_WORKER_MAX, "number", &number, &f) == 0) {
		names_serve(&r->role, r->start->conf, r->dns, o->fd, (unsigned)number);
		return;
	}
	if (strcmp(o->v[0], "retire") == 0) {
		r->retired = 1;
		return;
	}
	fail(&f, FAIL_SYS, "a record from the master is not known");
	role_fail(&f);
}

static void
on_stop(void *arg)
{
	struct route *r = arg;

	role_end(&r->role);
}

void
route_main(const struct route_start *start)
{
	static struct route r;
	struct dns_conf conf = { .anchor = start->conf->anchor, .resolver = start->conf->resolver };
	struct fail f = FAIL_INIT;

	r.start = start;
	r.role.stop = on_stop;
	r.role.record = on_master_record;
	r.role.arg = &r;
	role_begin(&r.role, &start->role);
	/* libcurl is a file, and so are the libraries behind it. */
	if ((r.dns = dns_new(r.role.base, &conf, &f)) == NULL || fetch_load(&f) == -1)
		role_fail(&f);
	r.doctor = (struct doctor){ .dns = r.dns, .id = start->role.name, .ill = DNS_WELL, .tell = tell_dns,
		.arg = &r };
	role_drop(&start->role);
	open_sts(&r, start);
	r.queue = channel_new(r.role.base, start->queue, &handlers, &r);
	channel_gather(r.queue);
	role_ready(&r.role);
	event_base_dispatch(r.role.base);
	role_end(&r.role);
}
