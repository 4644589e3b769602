#include "tlsrpt_sums.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "table.h"

#define BUCKETS 8192		/* a power of 2 */
#define MALLOC_OCTETS 24		/* that a piece of memory costs beside its text, about */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int64_t
tlsrpt_day(int64_t t)
{
	return t - (t % TLSRPT_DAY_S + TLSRPT_DAY_S) % TLSRPT_DAY_S;
}

void
tlsrpt_sums_init(struct tlsrpt_sums *s, int64_t day, uint64_t seed)
{
	memset(s, 0, sizeof *s);
	s->day = day;
	s->seed = seed;
	s->bucket = xcalloc(BUCKETS, sizeof(struct tlsrpt_domain *));
}

static void
domain_free(struct tlsrpt_domain *d)
{
	size_t i;

	for (i = 0; i < d->ntargets; i++)
		free(d->target[i].uri);
	for (i = 0; i < d->npolicies; i++)
		tlsrpt_policy_clear(&d->policy[i]);
	free(d->target);
	free(d->policy);
	free(d->name);
	free(d);
}

void
tlsrpt_sums_clear(struct tlsrpt_sums *s)
{
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		domain_free(s->domain[i]);
	free(s->domain);
	free(s->bucket);
	memset(s, 0, sizeof *s);
}

/* ---- domains ---- */

static struct tlsrpt_domain **
bucket_of(const struct tlsrpt_sums *s, const char *domain)
{
	return &s->bucket[text_hash(s->seed, domain) & (BUCKETS - 1)];
}

struct tlsrpt_domain *
tlsrpt_sums_find(const struct tlsrpt_sums *s, const char *domain)
{
	struct tlsrpt_domain *d = *bucket_of(s, domain);

	while (d != NULL && strcmp(d->name, domain) != 0)
		d = d->same;
	return d;
}

static struct tlsrpt_domain *
add_domain(struct tlsrpt_sums *s, const char *domain)
{
	struct tlsrpt_domain **bucket = bucket_of(s, domain), *d = xcalloc(1, sizeof *d);

	d->name = xstrdup(domain);
	d->same = *bucket;
	*bucket = d;
	if (s->ndomains == s->room) {
		s->room = s->room > 0 ? s->room * 2 : 64;
		s->domain = xreallocarray(s->domain, s->room, sizeof(struct tlsrpt_domain *));
	}
	s->domain[s->ndomains++] = d;
	s->octets += sizeof *d + strlen(domain) + 4 * MALLOC_OCTETS;
	return d;
}

void
tlsrpt_sums_remove(struct tlsrpt_sums *s, struct tlsrpt_domain *d)
{
	struct tlsrpt_domain **at = bucket_of(s, d->name);
	size_t i;

	while (*at != d)
		at = &(*at)->same;
	*at = d->same;
	for (i = 0; s->domain[i] != d; i++)
		;
	memmove(&s->domain[i], &s->domain[i + 1], (s->ndomains - i - 1) * sizeof(struct tlsrpt_domain *));
	s->ndomains--;
	domain_free(d);
}

void
tlsrpt_domain_drop(struct tlsrpt_domain *d, size_t target)
{
	free(d->target[target].uri);
	memmove(&d->target[target], &d->target[target + 1], (d->ntargets - target - 1) * sizeof *d->target);
	d->ntargets--;
}

/* ---- where reports go ---- */

static void
add_target(struct tlsrpt_domain *d, const char *uri, int64_t due, unsigned tries)
{
	struct tlsrpt_target *t;

	if (d->ntargets == TLSRPT_SUMS_URIS || strlen(uri) > TLSRPT_SUMS_URI)
		return;
	d->target = xreallocarray(d->target, d->ntargets + 1, sizeof *d->target);
	t = &d->target[d->ntargets++];
	*t = (struct tlsrpt_target){ .uri = xstrdup(uri), .due = due, .tries = tries };
}

/* The record as it was last counts. */
static void
take_uris(struct tlsrpt_domain *d, char *const *uri, size_t n)
{
	size_t i;

	for (i = 0; i < n && i < d->ntargets && strcmp(uri[i], d->target[i].uri) == 0; i++)
		;
	if (i == d->ntargets && (i == n || i == TLSRPT_SUMS_URIS))
		return;
	while (d->ntargets > 0)
		tlsrpt_domain_drop(d, d->ntargets - 1);
	for (i = 0; i < n; i++)
		add_target(d, uri[i], 0, 0);
}

/* ---- policies ---- */

/* NULL where there is nothing to say. */
static char *
cut(const char *s)
{
	return s != NULL && s[0] != '\0' ? xstrndup(s, TLSRPT_SUMS_TEXT) : NULL;
}

static int
is_text(const char *kept, const char *s)
{
	if (kept == NULL || s == NULL || s[0] == '\0')
		return kept == NULL && (s == NULL || s[0] == '\0');
	return strncmp(kept, s, TLSRPT_SUMS_TEXT) == 0 && strlen(kept) == strnlen(s, TLSRPT_SUMS_TEXT);
}

static size_t
at_most(size_t n)
{
	return n < TLSRPT_SUMS_STRINGS ? n : TLSRPT_SUMS_STRINGS;
}

static int
are_texts(char *const *kept, size_t nkept, char *const *v, size_t n)
{
	size_t i;

	if (nkept != at_most(n))
		return 0;
	for (i = 0; i < nkept; i++)
		if (!is_text(kept[i], v[i]))
			return 0;
	return 1;
}

static void
add_text(struct tlsrpt_sums *sums, char ***to, size_t *n, const char *s)
{
	if (*n == TLSRPT_SUMS_STRINGS)
		return;
	*to = xreallocarray(*to, *n + 1, sizeof(char *));
	(*to)[*n] = xstrndup(s, TLSRPT_SUMS_TEXT);
	sums->octets += strlen((*to)[(*n)++]) + MALLOC_OCTETS;
}

static struct tlsrpt_policy *
find_policy(struct tlsrpt_domain *d, const struct tlsrpt_session *x)
{
	size_t i;

	for (i = 0; i < d->npolicies; i++) {
		struct tlsrpt_policy *p = &d->policy[i];

		if (strcmp(p->type, tlsrpt_type_name(x->type)) == 0 && is_text(p->domain, x->policy_domain) &&
		    are_texts(p->string, p->nstrings, x->string, x->nstrings) &&
		    are_texts(p->mx, p->nmx, x->pattern, x->npatterns))
			return p;
	}
	return NULL;
}

/* NULL: there are too many. */
static struct tlsrpt_policy *
add_policy(struct tlsrpt_sums *s, struct tlsrpt_domain *d, const char *type, const char *domain)
{
	struct tlsrpt_policy *p;

	if (d->npolicies == TLSRPT_SUMS_POLICIES)
		return NULL;
	d->policy = xreallocarray(d->policy, d->npolicies + 1, sizeof *d->policy);
	p = &d->policy[d->npolicies++];
	memset(p, 0, sizeof *p);
	p->type = xstrdup(type);
	p->domain = cut(domain);
	s->octets += sizeof *p + 4 * MALLOC_OCTETS;
	return p;
}

static struct tlsrpt_policy *
policy_for(struct tlsrpt_sums *s, struct tlsrpt_domain *d, const struct tlsrpt_session *x)
{
	struct tlsrpt_policy *p = find_policy(d, x);
	size_t i;

	if (p != NULL || s->octets > TLSRPT_SUMS_OCTETS ||
	    (p = add_policy(s, d, tlsrpt_type_name(x->type), x->policy_domain)) == NULL)
		return p;
	for (i = 0; i < x->nstrings; i++)
		add_text(s, &p->string, &p->nstrings, x->string[i]);
	for (i = 0; i < x->npatterns; i++)
		add_text(s, &p->mx, &p->nmx, x->pattern[i]);
	return p;
}

/* ---- failures ---- */

static struct tlsrpt_failure *
find_failure(struct tlsrpt_policy *p, const struct tlsrpt_session *x)
{
	size_t i;

	for (i = 0; i < p->nfailures; i++) {
		struct tlsrpt_failure *d = &p->failure[i];

		if (strcmp(d->result, tlsrpt_result_name(x->result)) == 0 && is_text(d->sending_ip, x->sending_ip) &&
		    is_text(d->mx, x->mx) && is_text(d->helo, x->helo) &&
		    is_text(d->receiving_ip, x->receiving_ip) && is_text(d->reason, x->reason))
			return d;
	}
	return NULL;
}

static size_t
length(const char *s)
{
	return s != NULL ? strlen(s) : 0;
}

static struct tlsrpt_failure *
add_failure(struct tlsrpt_sums *s, struct tlsrpt_policy *p, const struct tlsrpt_session *x)
{
	struct tlsrpt_failure *d;

	p->failure = xreallocarray(p->failure, p->nfailures + 1, sizeof *p->failure);
	d = &p->failure[p->nfailures++];
	*d = (struct tlsrpt_failure){ .result = xstrdup(tlsrpt_result_name(x->result)),
		.sending_ip = cut(x->sending_ip), .mx = cut(x->mx), .helo = cut(x->helo),
		.receiving_ip = cut(x->receiving_ip), .reason = cut(x->reason) };
	s->octets += sizeof *d + strlen(d->result) + 6 * MALLOC_OCTETS + length(d->mx) + length(d->helo) + length(d->reason);
	return d;
}

static size_t
all_failures(const struct tlsrpt_domain *d)
{
	size_t i, n = 0;

	for (i = 0; i < d->npolicies; i++)
		n += d->policy[i].nfailures;
	return n;
}

/* Where there is no room for what there is to say, the result alone is kept: the sums stay right. */
static void
count_failure(struct tlsrpt_sums *s, const struct tlsrpt_domain *of, struct tlsrpt_policy *p, const struct tlsrpt_session *x)
{
	struct tlsrpt_session bare = { .result = x->result };
	struct tlsrpt_failure *d = find_failure(p, x);

	if (d == NULL && p->nfailures < TLSRPT_SUMS_FAILURES && all_failures(of) < TLSRPT_SUMS_FAILURES_ALL &&
	    s->octets <= TLSRPT_SUMS_OCTETS)
		d = add_failure(s, p, x);
	if (d == NULL && (d = find_failure(p, &bare)) == NULL)
		d = add_failure(s, p, &bare);
	d->count = tlsrpt_add(d->count, 1);
	p->failed = tlsrpt_add(p->failed, 1);
}

void
tlsrpt_sums_add(struct tlsrpt_sums *s, const struct tlsrpt_session *x)
{
	struct tlsrpt_domain *d = tlsrpt_sums_find(s, x->domain);
	struct tlsrpt_policy *p;

	if (d == NULL && s->ndomains < TLSRPT_SUMS_DOMAINS && s->octets <= TLSRPT_SUMS_OCTETS)
		d = add_domain(s, x->domain);
	if (d == NULL || (p = policy_for(s, d, x)) == NULL) {
		s->others = tlsrpt_add(s->others, 1);
		return;
	}
	take_uris(d, x->uri, x->nuris);
	if (x->result == TLSRPT_GOOD)
		p->good = tlsrpt_add(p->good, 1);
	else
		count_failure(s, d, p, x);
}

void
tlsrpt_sums_report(const struct tlsrpt_sums *s, const struct tlsrpt_domain *d, struct tlsrpt_report *out)
{
	memset(out, 0, sizeof *out);
	out->start = s->day;
	out->end = s->day + TLSRPT_DAY_S - 1;
	out->policy = d->policy;
	out->npolicies = d->npolicies;
}

/* ---- as text ---- */

static const char *
or_nothing(const char *s)
{
	return s != NULL ? s : "";
}

static void
put_number_line(struct buf *b, const char *key, const char *before, uint64_t n, uint64_t m)
{
	char x[24], y[24];

	snprintf(x, sizeof x, "%" PRIu64, n);
	snprintf(y, sizeof y, "%" PRIu64, m);
	table_put(b, key, before, x, y, (char *)NULL);
}

static void
put_policy(struct buf *b, const struct tlsrpt_policy *p)
{
	char good[24], failed[24], count[24];
	size_t i;

	snprintf(good, sizeof good, "%" PRIu64, p->good);
	snprintf(failed, sizeof failed, "%" PRIu64, p->failed);
	table_put(b, "policy", p->type, or_nothing(p->domain), good, failed, (char *)NULL);
	for (i = 0; i < p->nstrings; i++)
		table_put(b, "string", p->string[i], (char *)NULL);
	for (i = 0; i < p->nmx; i++)
		table_put(b, "mx", p->mx[i], (char *)NULL);
	for (i = 0; i < p->nfailures; i++) {
		const struct tlsrpt_failure *d = &p->failure[i];

		snprintf(count, sizeof count, "%" PRIu64, d->count);
		table_put(b, "failure", d->result, count, or_nothing(d->sending_ip), or_nothing(d->mx),
		    or_nothing(d->helo), or_nothing(d->receiving_ip), or_nothing(d->reason), (char *)NULL);
	}
}

void
tlsrpt_sums_put(struct buf *b, const struct tlsrpt_sums *s)
{
	char text[TEXT_TIME_MAX], others[24];
	size_t i, k;

	table_put(b, "day", text_time(text, s->day), (char *)NULL);
	snprintf(others, sizeof others, "%" PRIu64, s->others);
	table_put(b, "others", others, (char *)NULL);
	for (i = 0; i < s->ndomains; i++) {
		const struct tlsrpt_domain *d = s->domain[i];

		table_put(b, "domain", d->name, (char *)NULL);
		for (k = 0; k < d->ntargets; k++)
			put_number_line(b, "uri", d->target[k].uri, (uint64_t)d->target[k].due, d->target[k].tries);
		for (k = 0; k < d->npolicies; k++)
			put_policy(b, &d->policy[k]);
	}
}

/* ---- from text ---- */

struct reading {
	struct tlsrpt_sums *s;
	struct tlsrpt_domain *d;	/* the last, and its last policy */
	struct tlsrpt_policy *p;
};

static int
number(const char *word, long long hi, long long *n, struct fail *f)
{
	return text_number(word, 0, hi, "a number", n, f);
}

static int
take_day(void *ctx, const struct table_line *l, struct fail *f)
{
	struct tlsrpt_sums *s = ((struct reading *)ctx)->s;

	if (text_timestamp(l->v[0], "day", &s->day, f) == -1)
		return -1;
	return s->day == tlsrpt_day(s->day) ? 0 : fail(f, FAIL_INPUT, "day: expected its first second");
}

static int
take_others(void *ctx, const struct table_line *l, struct fail *f)
{
	long long n;

	if (number(l->v[0], TLSRPT_COUNT_MAX, &n, f) == -1)
		return -1;
	((struct reading *)ctx)->s->others = (uint64_t)n;
	return 0;
}

static int
take_domain(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	if (r->s->ndomains == TLSRPT_SUMS_DOMAINS || tlsrpt_sums_find(r->s, l->v[0]) != NULL)
		return fail(f, FAIL_INPUT, "domain: too many, or one for the second time");
	r->d = add_domain(r->s, l->v[0]);
	r->p = NULL;
	return 0;
}

static int
take_uri(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	long long due, tries;

	if (r->d == NULL)
		return fail(f, FAIL_INPUT, "uri: no domain above");
	if (number(l->v[1], INT64_MAX, &due, f) == -1 || number(l->v[2], 1000, &tries, f) == -1)
		return -1;
	add_target(r->d, l->v[0], due, (unsigned)tries);
	return 0;
}

static int
take_policy(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	long long good, failed;

	if (r->d == NULL)
		return fail(f, FAIL_INPUT, "policy: no domain above");
	if (tlsrpt_type_find(l->v[0]) == -1)
		return fail(f, FAIL_INPUT, "policy: expected tlsa, sts or no-policy-found");
	if (number(l->v[2], TLSRPT_COUNT_MAX, &good, f) == -1 || number(l->v[3], TLSRPT_COUNT_MAX, &failed, f) == -1)
		return -1;
	if ((r->p = add_policy(r->s, r->d, l->v[0], l->v[1])) == NULL)
		return fail(f, FAIL_INPUT, "policy: too many");
	r->p->good = (uint64_t)good;
	r->p->failed = (uint64_t)failed;
	return 0;
}

static int
take_text(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	if (r->p == NULL)
		return fail(f, FAIL_INPUT, "%s: no policy above", l->key);
	if (strcmp(l->key, "mx") == 0)
		add_text(r->s, &r->p->mx, &r->p->nmx, l->v[0]);
	else
		add_text(r->s, &r->p->string, &r->p->nstrings, l->v[0]);
	return 0;
}

static int
take_failure(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	struct tlsrpt_session x = { .sending_ip = l->v[2], .mx = l->v[3], .helo = l->v[4], .receiving_ip = l->v[5],
		.reason = l->v[6] };
	int result = tlsrpt_result_find(l->v[0]);
	long long n;

	if (r->p == NULL)
		return fail(f, FAIL_INPUT, "failure: no policy above");
	if (result <= TLSRPT_GOOD)
		return fail(f, FAIL_INPUT, "failure: expected a result-type");
	if (number(l->v[1], TLSRPT_COUNT_MAX, &n, f) == -1)
		return -1;
	if (r->p->nfailures == TLSRPT_SUMS_FAILURES + TLSRPT_RESULTS)
		return fail(f, FAIL_INPUT, "failure: too many");
	x.result = (enum tlsrpt_result)result;
	add_failure(r->s, r->p, &x)->count = (uint64_t)n;
	return 0;
}

static const struct table_row rows[] = {
	{ "day", 1, 1, TABLE_ONCE | TABLE_REQUIRED, take_day },
	{ "others", 1, 1, TABLE_ONCE, take_others },
	{ "domain", 1, 1, 0, take_domain },
	{ "uri", 3, 3, 0, take_uri },
	{ "policy", 4, 4, 0, take_policy },
	{ "string", 1, 1, 0, take_text },
	{ "mx", 1, 1, 0, take_text },
	{ "failure", 7, 7, 0, take_failure },
};

int
tlsrpt_sums_parse(struct tlsrpt_sums *out, uint64_t seed, const char *file, const char *s, size_t n, struct fail *f)
{
	struct reading r = { .s = out };

	tlsrpt_sums_init(out, 0, seed);
	if (table_parse(file, s, n, rows, COUNT(rows), &r, table_first_error, f) == 0)
		return 0;
	tlsrpt_sums_clear(out);
	return -1;
}
