/*
 * --safe-to-deploy: would every client that uses DANE take this certificate?
 *
 * Yes where each authoritative server has records that it matches, and what was there before has left the caches
 * (RFC 7671 8): its time to live has passed since the last server changed.  When that was nobody can ask the
 * DNS, so it is the first time that this program found all servers so, which it remembers (seen.c), or what
 * --since says.  Too late is the worst that comes of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "gen.h"
#include "log.h"
#include "verify.h"

struct deploy {
	const struct job *job;
	const struct source *source;
	int64_t now;
	struct seen *seen;	/* NULL: nothing can be remembered */
};

/* What is found of one owner. */
struct outlook {
	enum tool_exit status;
	char *rdata;		/* the record that is at all servers; NULL: there is none */
	int64_t since, until;	/* where rdata is not NULL */
	uint32_t wait;		/* seconds */
	const char *why;	/* NULL, or what stands in the way beside what the servers say */
};

/* ---- does a set of records take the certificate? ---- */

static STACK_OF(X509) *
chain_of(const struct source *s)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	int i, n = s->chain != NULL ? sk_X509_num(s->chain) : 0;

	if (chain == NULL || sk_X509_push(chain, s->leaf) <= 0)
		alloc_failed();
	for (i = 0; i < n; i++)
		if (sk_X509_push(chain, sk_X509_value(s->chain, i)) <= 0)
			alloc_failed();
	return chain;
}

/* Of "_25._tcp.mx.example." the host, without the final dot. */
static char *
base_of(const char *owner)
{
	const char *p = owner;
	size_t n;

	while ((*p == '_' || *p == '*') && strchr(p, '.') != NULL)
		p = strchr(p, '.') + 1;
	n = strlen(p);
	return xstrndup(p, n > 0 && p[n - 1] == '.' ? n - 1 : n);
}

static int
chain_holds(const struct deploy *d, const char *owner, const struct tlsa *t, size_t n)
{
	STACK_OF(X509) *chain = chain_of(d->source);
	char *base = base_of(owner);
	struct verify_dane v = { .tlsa = t, .ntlsa = n, .base = base, .now = d->now };
	struct finding finding = { .result = VERIFY_NOT_ASKED };
	int yes;

	yes = verify_dane(chain, &v, &finding, NULL) == 0 && finding.result == VERIFY_MATCH;
	finding_clear(&finding);
	sk_X509_free(chain);
	free(base);
	return yes;
}

/* Does this record describe it, whatever stands beside? */
static int
fits(const struct source *s, const struct tlsa *t)
{
	struct tlsa made = TLSA_INIT;
	int i, yes = 0;

	if (!tlsa_usable(t, NULL))
		return 0;
	if (t->usage == TLSA_DANE_TA) {
		for (i = 0; s->chain != NULL && i < sk_X509_num(s->chain); i++)
			yes |= tlsa_matches_cert(t, sk_X509_value(s->chain, i));
		return yes;
	}
	if (s->leaf != NULL)
		return tlsa_matches_cert(t, s->leaf);
	if (t->selector == TLSA_SPKI && tlsa_of_key(&made, t->usage, t->mtype, s->key, NULL) == 0)
		yes = tlsa_equal(t, &made);
	tlsa_clear(&made);
	return yes;
}

/* Of a key alone, records 3 1 x can be held against it; the strongest digest counts (RFC 7671 9). */
static int
key_holds(const struct source *s, const struct tlsa *t, size_t n)
{
	int strong = 0, yes = 0;
	size_t i;

	for (i = 0; i < n; i++)
		strong |= t[i].usage == TLSA_DANE_EE && t[i].selector == TLSA_SPKI &&
		    t[i].mtype == TLSA_SHA512 && tlsa_usable(&t[i], NULL);
	for (i = 0; i < n; i++)
		if (!strong || t[i].mtype != TLSA_SHA256)
			yes |= t[i].usage == TLSA_DANE_EE && fits(s, &t[i]);
	return yes;
}

static int
holds(const struct deploy *d, const char *owner, const struct tlsa *t, size_t n)
{
	return d->source->leaf != NULL ? chain_holds(d, owner, t, n) : key_holds(d->source, t, n);
}

/* ---- all servers of an owner ---- */

static int
is_right(const void *arg, const struct place *p, const struct answer *a)
{
	return holds(arg, p->owner, a->tlsa, a->n);
}

static int
is_everywhere(const struct place *p, const struct tlsa *t)
{
	size_t i, k;

	for (i = 0; i < p->zone->nserver; i++) {
		const struct answer *a = &p->answer[i];

		for (k = 0; k < a->n && !tlsa_equal(t, &a->tlsa[k]); k++)
			;
		if (a->said == SAID_RECORDS && k == a->n)
			return 0;
	}
	return 1;
}

/* The record to remember: the first, by its text, that fits and is everywhere. */
static char *
common_record(const struct deploy *d, const struct place *p)
{
	char *best = NULL, *rdata;
	size_t i, k;

	for (i = 0; i < p->zone->nserver; i++)
		for (k = 0; k < p->answer[i].n; k++) {
			const struct tlsa *t = &p->answer[i].tlsa[k];

			if (!fits(d->source, t) || !is_everywhere(p, t))
				continue;
			rdata = tlsa_rdata(t);
			if (best != NULL && strcmp(best, rdata) <= 0) {
				free(rdata);
				continue;
			}
			free(best);
			best = rdata;
		}
	return best;
}

static uint32_t
longest_ttl(const struct place *p)
{
	uint32_t ttl = 0;
	size_t i;

	for (i = 0; p->zone != NULL && i < p->zone->nserver; i++)
		if (p->answer[i].said == SAID_RECORDS && p->answer[i].ttl > ttl)
			ttl = p->answer[i].ttl;
	return ttl;
}

/* ---- the time ---- */

static uint32_t
max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Is there a server that answered without this record? */
static int
is_gone(void *arg, const char *rdata)
{
	const struct place *p = arg;
	struct tlsa t;
	int gone;

	if (tlsa_parse(&t, rdata, NULL) == -1)
		return 1;
	gone = !is_everywhere(p, &t);
	tlsa_clear(&t);
	return gone;
}

/* Not at all servers yet: what lies there now is what will have to leave the caches. */
static void
remember_old(const struct deploy *d, const struct place *p)
{
	if (d->seen != NULL)
		seen_set_ttl(d->seen, p->owner, max32(seen_ttl(d->seen, p->owner), longest_ttl(p)));
}

static int64_t
since_when(const struct deploy *d, const struct place *p, const char *rdata)
{
	int64_t first = d->seen != NULL ? seen_first(d->seen, p->owner, rdata) : 0;

	if (first <= 0 || first > d->now)
		first = d->now;
	if (d->seen != NULL)
		seen_set_first(d->seen, p->owner, rdata, first);
	return d->job->since != -1 ? d->job->since : first;
}

static void
settle_time(const struct deploy *d, const struct place *p, struct outlook *o)
{
	uint32_t known = d->seen != NULL ? seen_ttl(d->seen, p->owner) : 0;
	uint32_t here = longest_ttl(p);

	o->since = since_when(d, p, o->rdata);
	o->wait = max32(d->job->ttl > 0 ? d->job->ttl : 0, max32(known, here));
	o->until = o->since + o->wait;
	if (!holds(d, p->owner, p->tlsa, p->ntlsa)) {
		uint32_t cached = p->ntlsa > 0 ? p->resolver->ttl : zone_negative_ttl(p->zone);

		if (d->now + (int64_t)cached + 1 > o->until)
			o->until = d->now + cached + 1;
		o->why = "the resolver still has what was there before";
	}
	if (o->until > d->now)
		o->status = TOOL_NO;
	else if (d->seen != NULL)
		seen_set_ttl(d->seen, p->owner, here);
}

static void
judge_place(const struct deploy *d, const struct place *p, struct outlook *o)
{
	enum tool_exit servers = place_judge_servers(p, is_right, d);

	memset(o, 0, sizeof *o);
	o->status = tool_worse(servers, place_security(p));
	if (d->seen != NULL && p->zone != NULL)
		seen_forget(d->seen, p->owner, is_gone, (void *)p);
	if (servers == TOOL_NO)
		remember_old(d, p);
	if (servers != TOOL_YES || p->zone == NULL)
		return;
	if ((o->rdata = common_record(d, p)) == NULL) {
		o->status = TOOL_NO;
		o->why = "each server has records that match, but no one of them is at all servers";
		return;
	}
	if (o->status == TOOL_YES)
		settle_time(d, p, o);
}

/* ---- telling ---- */

static void
print_head(const struct place *p, const struct outlook *o)
{
	char when[TEXT_TIME_MAX];

	if (o->status == TOOL_YES)
		printf("%s: safe to deploy\n", p->owner);
	else if (o->status == TOOL_UNSURE)
		printf("%s: not known\n", p->owner);
	else if (o->until != 0)
		printf("%s: wait until %s\n", p->owner, text_time(when, o->until));
	else
		printf("%s: not safe to deploy\n", p->owner);
}

static void
print_server(const struct deploy *d, const struct place *p, size_t i)
{
	const struct answer *a = &p->answer[i];

	server_print(&p->zone->server[i]);
	if (a->why != NULL)
		printf(": %s\n", a->why);
	else if (a->n == 0)
		printf(": no records\n");
	else
		printf(": %s, ttl %u\n", holds(d, p->owner, a->tlsa, a->n) ? "a record matches" : "no record matches",
		    a->ttl);
}

static void
print_place(const struct deploy *d, const struct place *p, const struct outlook *o)
{
	char since[TEXT_TIME_MAX];
	size_t i;

	print_head(p, o);
	place_print_security(p);
	if (p->zone == NULL || p->zone->why != NULL)
		printf("  %s\n", p->zone == NULL ? p->why : p->zone->why);
	for (i = 0; p->zone != NULL && i < p->zone->nserver; i++)
		print_server(d, p, i);
	if (o->until != 0)
		printf("  %s: at all servers since %s%s; what was there before may be cached for %u s\n", o->rdata,
		    text_time(since, o->since), d->job->since != -1 ? " (--since)" : ", as far as is known", o->wait);
	if (o->why != NULL)
		printf("  %s\n", o->why);
}

static int
print_json(const struct deploy *d, const struct place *p, const struct outlook *o, struct fail *f)
{
	json_t *j = place_json(p), *servers = json_array();
	size_t i;
	int rc;

	json_set(j, "safe", o->status == TOOL_UNSURE ? json_null() : json_boolean(o->status == TOOL_YES));
	json_set_str(j, "rdata", o->rdata);
	if (o->until != 0) {
		json_set_time(j, "since", o->since);
		json_set_time(j, "until", o->until);
	} else {
		json_set(j, "since", json_null());
		json_set(j, "until", json_null());
	}
	for (i = 0; p->zone != NULL && i < p->zone->nserver; i++) {
		const struct answer *a = &p->answer[i];
		json_t *s = server_json(p, i);

		json_set_bool(s, "matches", a->said == SAID_RECORDS && holds(d, p->owner, a->tlsa, a->n));
		json_push(servers, s);
	}
	json_set(j, "servers", servers);
	rc = json_line(stdout, j, f);
	json_decref(j);
	return rc;
}

static enum tool_exit
tell(const struct deploy *d, const struct place *p)
{
	struct fail f = FAIL_INIT;
	struct outlook o;

	judge_place(d, p, &o);
	if (d->job->form != FORM_JSON)
		print_place(d, p, &o);
	else if (print_json(d, p, &o, &f) == -1)
		o.status = tool_failed(&f);
	free(o.rdata);
	return o.status;
}

enum tool_exit
deploy_check(const struct job *j, const struct source *s)
{
	struct deploy d = { .job = j, .source = s };
	enum tool_exit status = TOOL_YES;
	struct fail f = FAIL_INIT;
	struct survey v;
	size_t i;

	if (survey_make(j, &v, &f) == -1)
		return tool_failed(&f);
	d.now = time(NULL);
	if ((d.seen = seen_open(j->dir, &f)) == NULL)
		talk(NULL, "nothing can be remembered, so that the wait begins anew each time: %s", f.text);
	for (i = 0; i < v.n; i++)
		status = tool_worse(status, tell(&d, &v.place[i]));
	if (d.seen != NULL && seen_save(d.seen, &f) == -1)
		talk(NULL, "nothing can be remembered, so that the wait begins anew each time: %s", f.text);
	seen_free(d.seen);
	survey_clear(&v);
	return status;
}
