#include "dns.h"

#include <arpa/inet.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unbound.h>
#include <unbound-event.h>

#include "alloc.h"
#include "dns_answer.h"
#include "file.h"
#include "text.h"

struct dns_query {
	struct dns_query *next, **back;	/* in dns->queries; back: what points here */
	struct dns *dns;
	dns_fn *fn;
	void *arg;
	struct ub_ctx *ub;		/* dns->ub or dns->plain */
	int async_id;
	int under_way;			/* libunbound will call back */
	struct event timer;		/* deadline; then the step out of libunbound's own call */
	struct dns_answer *answer;
};

struct dns {
	struct event_base *base;
	struct ub_ctx *ub;
	struct ub_ctx *plain;		/* without an anchor; NULL: not needed yet */
	char *anchor;
	struct buf anchor_text;		/* as it was at the start: a role may not see the file any more */
	char *resolver;
	char *root_hints;
	int timeout_ms;
	struct dns_query *queries;
	struct diagnosis *diagnoses;
};

/* Built-in zones of libunbound that would hide what the resolver knows of private networks. */
static const char *const private_zones[] = { "test.", "home.arpa.", "10.in-addr.arpa.",
	"168.192.in-addr.arpa.", "16.172.in-addr.arpa.", "17.172.in-addr.arpa.",
	"18.172.in-addr.arpa.", "19.172.in-addr.arpa.", "20.172.in-addr.arpa.",
	"21.172.in-addr.arpa.", "22.172.in-addr.arpa.", "23.172.in-addr.arpa.",
	"24.172.in-addr.arpa.", "25.172.in-addr.arpa.", "26.172.in-addr.arpa.",
	"27.172.in-addr.arpa.", "28.172.in-addr.arpa.", "29.172.in-addr.arpa.",
	"30.172.in-addr.arpa.", "31.172.in-addr.arpa.", "d.f.ip6.arpa.", "127.in-addr.arpa." };

/* ---- questions ---- */

static void
query_free(struct dns_query *q)
{
	event_del(&q->timer);
	if (q->under_way)
		ub_cancel(q->ub, q->async_id);
	*q->back = q->next;
	if (q->next != NULL)
		q->next->back = q->back;
	dns_answer_free(q->answer);
	free(q);
}

/* The timer has two uses: the deadline while libunbound works, then the hand-over of the answer. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dns_query *q = arg;
	dns_fn *fn = q->fn;
	void *fn_arg = q->arg;
	struct dns_answer *a;
	char why[64];

	(void)fd;
	(void)what;
	if (q->under_way) {
		snprintf(why, sizeof why, "no answer within %g s", q->dns->timeout_ms / 1000.0);
		dns_answer_fail(q->answer, DNS_FAILED, why);
	}
	a = q->answer;
	q->answer = NULL;
	query_free(q);
	fn(fn_arg, a);
	dns_answer_free(a);
}

static void
hand_over(struct dns_query *q)
{
	struct timeval now = { 0, 0 };

	event_del(&q->timer);
	if (event_add(&q->timer, &now) == -1)
		alloc_failed();
}

static void
on_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int ratelimited)
{
	struct dns_query *q = arg;

	(void)ratelimited;
	q->under_way = 0;
	dns_answer_read(q->answer, rcode, packet, len > 0 ? len : 0, sec, why);
	hand_over(q);
}

static struct dns_query *
ask(struct dns *dns, struct ub_ctx *ub, const char *name, enum dns_type type, dns_fn *fn, void *arg)
{
	struct dns_query *q = xcalloc(1, sizeof *q);
	struct timeval tv = { dns->timeout_ms / 1000, dns->timeout_ms % 1000 * 1000 };
	int err;

	q->dns = dns;
	q->ub = ub;
	q->fn = fn;
	q->arg = arg;
	q->answer = dns_answer_new(name, type);
	q->next = dns->queries;
	q->back = &dns->queries;
	if (q->next != NULL)
		q->next->back = &q->next;
	dns->queries = q;
	evtimer_assign(&q->timer, dns->base, on_timer, q);
	if (event_add(&q->timer, &tv) == -1)
		alloc_failed();
	q->under_way = 1;
	/* May call back before it returns. */
	err = ub_resolve_event(ub, name, type, 1, q, on_answer, &q->async_id);
	if (err != 0 && q->under_way) {
		q->under_way = 0;
		dns_answer_fail(q->answer, DNS_FAILED, ub_strerror(err));
		hand_over(q);
	}
	return q;
}

struct dns_query *
dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_fn *fn, void *arg)
{
	return ask(dns, dns->ub, name, type, fn, arg);
}

void
dns_cancel(struct dns_query *q)
{
	if (q != NULL)
		query_free(q);
}

/* ---- contexts ---- */

static int
add_forwarders(struct ub_ctx *ub, const char *list, struct fail *f)
{
	char *copy = xstrdup(list), *rest = copy, *word, addr[TEXT_HOST_MAX + 8];
	struct endpoint e;
	int n = 0, rc = -1, err;

	while ((word = strsep(&rest, ",")) != NULL) {
		if (text_endpoint(word, 53, &e, f) == -1)
			goto out;
		if (!text_is_address(e.host)) {
			fail(f, FAIL_INPUT,
			    "resolver %.200s: expected an IP address, recursive, or both "
			    "address and port as ADDR@PORT",
			    word);
			goto out;
		}
		if (++n > DNS_RESOLVERS_MAX) {
			fail(f, FAIL_INPUT, "more than %d resolvers", DNS_RESOLVERS_MAX);
			goto out;
		}
		snprintf(addr, sizeof addr, "%s@%u", e.host, e.port);
		if ((err = ub_ctx_set_fwd(ub, addr)) != 0) {
			fail(f, FAIL_INPUT, "resolver %.200s: %s", word, ub_strerror(err));
			goto out;
		}
	}
	rc = 0;
out:
	free(copy);
	return rc;
}

static int
set_resolver(struct ub_ctx *ub, const char *resolver, const char *root_hints, struct fail *f)
{
	int err;

	if (resolver != NULL && strcmp(resolver, "recursive") != 0)
		return add_forwarders(ub, resolver, f);
	if (resolver == NULL) {
		if ((err = ub_ctx_resolvconf(ub, NULL)) != 0)
			return fail(f, FAIL_SYS, "/etc/resolv.conf: %s", ub_strerror(err));
		return 0;
	}
	if (root_hints != NULL && (err = ub_ctx_set_option(ub, "root-hints:", root_hints)) != 0)
		return fail(f, FAIL_INPUT, "%.300s: %s", root_hints, ub_strerror(err));
	return 0;
}

/*
 * libunbound would say nothing of a missing or empty file until the first question, and then on
 * stderr.  The file must hold a record of one of two types.
 */
static int
check_records(const char *path, ldns_rr_type one, ldns_rr_type other, const char *wanted,
    struct fail *f)
{
	FILE *fp = fopen(path, "re");
	ldns_rr *rr = NULL;
	int line = 0, n = 0;

	if (fp == NULL)
		return fail_errno(f, "%.300s", path);
	while (!feof(fp) && !ferror(fp)) {
		if (ldns_rr_new_frm_fp_l(&rr, fp, NULL, NULL, NULL, &line) != LDNS_STATUS_OK)
			continue;
		if (ldns_rr_get_type(rr) == one || ldns_rr_get_type(rr) == other)
			n++;
		ldns_rr_free(rr);
	}
	if (ferror(fp))
		fail_errno(f, "%.300s", path);
	else if (n == 0)
		fail(f, FAIL_INPUT, "%.300s: %s", path, wanted);
	fclose(fp);
	if (n == 0)
		return -1;
	return 0;
}

int
dns_check_anchor(const char *path, struct fail *f)
{
	return check_records(path, LDNS_RR_TYPE_DS, LDNS_RR_TYPE_DNSKEY,
	    "no DS or DNSKEY record: expected a trust anchor", f);
}

static int
check_hints(const char *path, struct fail *f)
{
	if (path == NULL)
		return 0;
	return check_records(path, LDNS_RR_TYPE_A, LDNS_RR_TYPE_AAAA,
	    "no address record: expected root hints", f);
}

static const struct {
	const char *option, *value;
} settings[] = {
	/* The default of 16 sockets throttles bulk questions eightfold. */
	{ "outgoing-range:", "512" },
	/* Four tries, from 0.4 s on doubling, fit into a question's deadline; one would lose a
	 * question with the first lost packet or to a forwarder that has to ask others first. */
	{ "outbound-msg-retry:", "4" },
	/* Names whose servers are dead must not make the forwarder itself look dead to the others.
	 */
	{ "infra-cache-max-rtt:", "4000" },
	/* Its parent is signed and knows nothing of it, but a machine's resolver does. */
	{ "domain-insecure:", "127.in-addr.arpa." },
	/* A question over TCP has a connection of its own: on a shared one, a server that closes at one question (or
	 * after each answer, as many do) takes the others with it, and they fail though they were answerable. */
	{ "max-reuse-tcp-queries:", "1" },
	{ "outgoing-num-tcp:", "30" },
};

static struct ub_ctx *
context_new(struct event_base *base, const char *anchor, const char *resolver,
    const char *root_hints, struct fail *f)
{
	struct ub_ctx *ub = ub_ctx_create_event(base);
	size_t i;
	int err;

	if (ub == NULL)
		alloc_failed();
	/* Its words would go to stderr as they are; what matters comes back in answers. */
	ub_ctx_debugout(ub, NULL);
	for (i = 0; i < sizeof settings / sizeof settings[0]; i++)
		if (ub_ctx_set_option(ub, settings[i].option, settings[i].value) != 0)
			abort();
	if (anchor != NULL && (err = ub_ctx_add_ta_file(ub, anchor)) != 0) {
		fail(f, FAIL_INPUT, "%.300s: %s", anchor, ub_strerror(err));
		goto fail;
	}
	if (set_resolver(ub, resolver, root_hints, f) == -1)
		goto fail;
	/* Last of all: it finalises the context. */
	for (i = 0; i < sizeof private_zones / sizeof private_zones[0]; i++)
		if ((err = ub_ctx_zone_remove(ub, private_zones[i])) != 0) {
			fail(f, FAIL_SYS, "libunbound: %s", ub_strerror(err));
			goto fail;
		}
	return ub;
fail:
	ub_ctx_delete(ub);
	return NULL;
}

/*
 * The servers that libunbound has read from /etc/resolv.conf, as a list for add_forwarders(): a later context may be
 * made where that file is out of reach.  NULL where there are none.
 */
static char *
nameservers(void)
{
	FILE *fp = fopen("/etc/resolv.conf", "re");
	char line[256], addr[64];
	struct buf b = BUF_INIT;
	int n = 0;

	while (fp != NULL && n < DNS_RESOLVERS_MAX && fgets(line, sizeof line, fp) != NULL)
		if (sscanf(line, "nameserver %63s", addr) == 1 && text_is_address(addr))
			buf_printf(&b, "%s%s@53", n++ > 0 ? "," : "", addr);
	if (fp != NULL)
		fclose(fp);
	return b.len > 0 ? buf_steal(&b) : NULL;
}

struct dns *
dns_new(struct event_base *base, const struct dns_conf *conf, struct fail *f)
{
	const char *anchor = conf->anchor != NULL ? conf->anchor : DNS_ROOT_ANCHOR;
	struct buf text = BUF_INIT;
	struct dns *dns;
	struct ub_ctx *ub;

	if (dns_check_anchor(anchor, f) == -1 || check_hints(conf->root_hints, f) == -1 ||
	    file_read(anchor, DNS_ANCHOR_MAX, &text, f) == -1)
		return NULL;
	if ((ub = context_new(base, anchor, conf->resolver, conf->root_hints, f)) == NULL) {
		buf_clear(&text);
		return NULL;
	}
	dns = xcalloc(1, sizeof *dns);
	dns->base = base;
	dns->ub = ub;
	dns->anchor = xstrdup(anchor);
	dns->anchor_text = text;
	dns->resolver = conf->resolver != NULL ? xstrdup(conf->resolver) : nameservers();
	dns->root_hints = conf->root_hints != NULL ? xstrdup(conf->root_hints) : NULL;
	dns->timeout_ms = conf->timeout_ms > 0 ? conf->timeout_ms : DNS_TIMEOUT_DEFAULT;
	return dns;
}

/* Nothing that was validated comes from its cache, and nothing of what it hears goes into that of the other. */
struct dns_query *
dns_ask_plain(struct dns *dns, const char *name, enum dns_type type, dns_fn *fn, void *arg)
{
	struct fail f = FAIL_INIT;

	if (dns->plain == NULL)
		dns->plain = context_new(dns->base, NULL, dns->resolver, dns->root_hints, &f);
	return dns->plain != NULL ? ask(dns, dns->plain, name, type, fn, arg) : NULL;
}

/* ---- diagnosis ---- */

/* A second context without an anchor; gone once the root's keys have come or not. */
struct diagnosis {
	struct diagnosis *next;
	struct dns *dns;
	struct ub_ctx *ub;
	int async_id;
	struct event timer;
	dns_ill_fn *fn;
	void *arg;
	enum dns_ill ill;
	char text[400];
};

static void
diagnosis_free(struct diagnosis *d)
{
	struct diagnosis **at = &d->dns->diagnoses;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	event_del(&d->timer);
	if (d->ub != NULL)
		ub_ctx_delete(d->ub);
	free(d);
}

/* The callback may free nothing of ours: libunbound's own call is long over when this runs. */
static void
diagnosis_end(evutil_socket_t fd, short what, void *arg)
{
	struct diagnosis *d = arg;

	(void)fd;
	(void)what;
	if (d->ub != NULL)
		ub_cancel(d->ub, d->async_id);
	d->fn(d->arg, d->ill, d->text);
	diagnosis_free(d);
}

static void
diagnosed(struct diagnosis *d, enum dns_ill ill, const char *text)
{
	struct timeval now = { 0, 0 };

	d->ill = ill;
	snprintf(d->text, sizeof d->text, "%s", text);
	event_del(&d->timer);
	if (event_add(&d->timer, &now) == -1)
		alloc_failed();
}

/* True where a DS or DNSKEY of the trust anchor fits one of the keys. */
static int
anchor_fits(struct buf *anchor, const ldns_rr_list *keys)
{
	FILE *fp = fmemopen(anchor->p, anchor->len, "r");
	ldns_rr *rr = NULL;
	int line = 0, fits = 0;
	size_t i;

	if (fp == NULL)
		alloc_failed();
	while (!feof(fp) && !ferror(fp)) {
		if (ldns_rr_new_frm_fp_l(&rr, fp, NULL, NULL, NULL, &line) != LDNS_STATUS_OK)
			continue;
		for (i = 0; i < ldns_rr_list_rr_count(keys); i++)
			if (ldns_rr_compare_ds(rr, ldns_rr_list_rr(keys, i)) ||
			    ldns_rr_compare_ds(ldns_rr_list_rr(keys, i), rr) ||
			    ldns_rr_compare(rr, ldns_rr_list_rr(keys, i)) == 0)
				fits = 1;
		ldns_rr_free(rr);
	}
	fclose(fp);
	return fits;
}

static int
valid_now(const ldns_rr_list *sigs)
{
	uint32_t now = time(NULL);
	size_t i;

	for (i = 0; i < ldns_rr_list_rr_count(sigs); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(sigs, i);
		uint32_t from = ldns_rdf2native_int32(ldns_rr_rrsig_inception(rr));
		uint32_t until = ldns_rdf2native_int32(ldns_rr_rrsig_expiration(rr));

		/* Serial arithmetic: RFC 4034 3.1.5. */
		if ((int32_t)(now - from) >= 0 && (int32_t)(until - now) >= 0)
			return 1;
	}
	return 0;
}

static void
judge_root(struct diagnosis *d, const ldns_rr_list *keys, const ldns_rr_list *sigs)
{
	char text[400];

	if (keys == NULL || sigs == NULL)
		diagnosed(d, DNS_STRIPS,
		    "the resolver strips DNSSEC: it answers the question for the root's "
		    "keys without keys and signatures; use another one, or recursive");
	else if (!anchor_fits(&d->dns->anchor_text, keys)) {
		snprintf(text, sizeof text,
		    "the trust anchor %.200s is wrong: it matches no key of the "
		    "root that the resolver shows",
		    d->dns->anchor);
		diagnosed(d, DNS_ANCHOR, text);
	} else if (!valid_now(sigs))
		diagnosed(d, DNS_CLOCK,
		    "the root's signatures are not valid at this machine's time: its "
		    "clock is wrong, or the root has expired");
	else
		diagnosed(d, DNS_WELL,
		    "the resolver answers with DNSSEC and the trust anchor fits the root");
}

static void
on_root_keys(void *arg, int rcode, void *packet, int len, int sec, char *why, int ratelimited)
{
	struct diagnosis *d = arg;
	ldns_pkt *pkt = NULL;
	ldns_rr_list *keys = NULL, *sigs = NULL;

	(void)sec;
	(void)why;
	(void)ratelimited;
	if (rcode != 0 || ldns_wire2pkt(&pkt, packet, len) != LDNS_STATUS_OK) {
		diagnosed(d, DNS_DOWN, "the resolver does not answer, or with errors only");
		return;
	}
	keys = ldns_pkt_rr_list_by_type(pkt, LDNS_RR_TYPE_DNSKEY, LDNS_SECTION_ANSWER);
	sigs = ldns_pkt_rr_list_by_type(pkt, LDNS_RR_TYPE_RRSIG, LDNS_SECTION_ANSWER);
	judge_root(d, keys, sigs);
	ldns_rr_list_deep_free(keys);
	ldns_rr_list_deep_free(sigs);
	ldns_pkt_free(pkt);
}

void
dns_diagnose(struct dns *dns, dns_ill_fn *fn, void *arg)
{
	struct diagnosis *d = xcalloc(1, sizeof *d);
	struct timeval tv = { dns->timeout_ms / 1000, dns->timeout_ms % 1000 * 1000 };
	struct fail f = FAIL_INIT;

	d->dns = dns;
	d->fn = fn;
	d->arg = arg;
	d->ill = DNS_DOWN;
	snprintf(d->text, sizeof d->text, "the resolver does not answer, or with errors only");
	d->next = dns->diagnoses;
	dns->diagnoses = d;
	evtimer_assign(&d->timer, dns->base, diagnosis_end, d);
	if (event_add(&d->timer, &tv) == -1)
		alloc_failed();
	d->ub = context_new(dns->base, NULL, dns->resolver, dns->root_hints, &f);
	if (d->ub == NULL)
		diagnosed(d, DNS_DOWN, f.text);
	else if (ub_resolve_event(d->ub, ".", DNS_DNSKEY, 1, d, on_root_keys, &d->async_id) != 0)
		diagnosed(d, DNS_DOWN, "the resolver cannot be asked");
}

void
dns_free(struct dns *dns)
{
	if (dns == NULL)
		return;
	/* Each takes itself off the list, which the analyzer does not follow. */
	while (dns->diagnoses != NULL)
		diagnosis_free(dns->diagnoses); /* NOLINT(clang-analyzer-unix.Malloc) */
	while (dns->queries != NULL)
		query_free(dns->queries); /* NOLINT(clang-analyzer-unix.Malloc) */
	ub_ctx_delete(dns->ub);
	if (dns->plain != NULL)
		ub_ctx_delete(dns->plain);
	free(dns->anchor);
	buf_clear(&dns->anchor_text);
	free(dns->resolver);
	free(dns->root_hints);
	free(dns);
}
