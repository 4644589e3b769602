#include "pack.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "table.h"
#include "tlsa.h"
#include "tlsrpt_sums.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CONTROLS_WORDS (CONTROLS_KEYS - CONTROLS_CONCURRENCY + 1)

static void
number(char dst[24], long long n)
{
	snprintf(dst, 24, "%lld", n);
}

/* plan KIND STATUS RULE WHY; facts DOMAIN MX SEC BOUND CANONICAL RECIPIENT; sts ID, of a policy that counts */
static void
pack_head(struct buf *b, const struct plan *p)
{
	char kind[24], mx[24], sec[24], bound[24];

	number(kind, p->kind);
	number(mx, p->facts->mx);
	number(sec, p->facts->mx_sec);
	number(bound, p->domain_bound);
	table_put(b, "plan", kind, p->status, p->rule, p->why, (char *)NULL);
	table_put(b, "facts", p->facts->domain, mx, sec, bound,
	    p->facts->mx_canonical != NULL ? p->facts->mx_canonical : "",
	    p->facts->recipient != NULL ? p->facts->recipient : "", (char *)NULL);
	if (p->facts->sts_id != NULL)
		table_put(b, "sts", p->facts->sts_id, (char *)NULL);
}

/* asks CHECK NAMES FQDN TLS-MIN FALLBACK TESTING REQUIRETLS BOUND */
static void
pack_asks(struct buf *b, const struct plan_host *h)
{
	char check[24], names[24], fqdn[24], min[24], fallback[24], testing[24], requiretls[24], bound[24];

	number(check, h->check);
	number(names, h->names);
	number(fqdn, h->fqdn_check);
	number(min, h->tls_min);
	number(fallback, h->fallback);
	number(testing, h->testing);
	number(requiretls, h->requiretls);
	number(bound, h->bound);
	table_put(b, "asks", check, names, fqdn, min, fallback, testing, requiretls, bound, (char *)NULL);
}

/* hop PORT PROTOCOL PATH: of hosts of a route */
static void
pack_hop(struct buf *b, const struct facts_host *fh)
{
	char port[24], protocol[24];

	if (fh->port == 0 && fh->protocol == FACTS_SMTP && fh->path == NULL)
		return;
	number(port, fh->port);
	number(protocol, fh->protocol);
	table_put(b, "hop", port, protocol, fh->path != NULL ? fh->path : "", (char *)NULL);
}

void
pack_host(struct buf *b, const struct plan *p, const struct plan_host *h)
{
	const struct facts_host *fh = h->host;
	char pref[24], act[24], need[24], state[24], records[24];
	size_t i;

	number(pref, fh->preference);
	number(act, h->act);
	number(need, h->need);
	number(state, fh->tlsa_state);
	number(records, h->by_records);
	table_put(b, "host", fh->name, pref, act, need, state, records,
	    fh->tlsa_base != NULL ? fh->tlsa_base : "", h->rule, h->why, (char *)NULL);
	pack_asks(b, h);
	pack_hop(b, fh);
	for (i = 0; i < fh->ntlsa && h->need == PLAN_DANE; i++) {
		char *rdata = tlsa_rdata(&fh->tlsa[i]);

		table_put(b, "tlsa", rdata, (char *)NULL);
		free(rdata);
	}
	(void)p;
}

static const char *
address_or_none(const struct facts_addr *a, char text[INET6_ADDRSTRLEN])
{
	return a->family != 0 ? facts_addr_text(a, text) : "";
}

/* as CERT CREDENTIALS BIND4 BIND6 */
void
pack_session(struct buf *b, const struct controls *c)
{
	char v4[INET6_ADDRSTRLEN], v6[INET6_ADDRSTRLEN];

	table_put(b, "as", c->cert != NULL ? c->cert : "", c->credentials != NULL ? c->credentials : "",
	    address_or_none(&c->bind[CONTROLS_V4], v4), address_or_none(&c->bind[CONTROLS_V6], v6), (char *)NULL);
}

/* controls, the values of all keys from CONTROLS_CONCURRENCY on, and the time that goes with the rate */
static void
pack_controls(struct buf *b, const struct controls *c)
{
	char n[24];
	int i;

	pack_session(b, c);
	buf_puts(b, "controls");
	for (i = CONTROLS_CONCURRENCY; i < CONTROLS_KEYS; i++) {
		number(n, c->n[i]);
		table_put_word(b, n, strlen(n));
	}
	number(n, c->rate_time);
	table_put_word(b, n, strlen(n));
	buf_putc(b, '\n');
}

void
pack_plan(struct buf *b, const struct plan *p, const struct controls *controls)
{
	char text[INET6_ADDRSTRLEN];
	size_t i, j;

	pack_head(b, p);
	if (controls != NULL)
		pack_controls(b, controls);
	for (i = 0; i < p->nhost; i++) {
		const struct plan_host *h = &p->host[i];

		pack_host(b, p, h);
		for (j = 0; j < h->host->naddr && h->act == PLAN_TRY; j++)
			if (policy_bars(&p->policy, &h->host->addr[j]) == NULL)
				table_put(b, "addr", facts_addr_text(&h->host->addr[j], text),
				    (char *)NULL);
	}
}

static void
put_uris(struct buf *b, const struct facts *f)
{
	size_t i, n = 0, octets = 0;

	for (i = 0; i < f->tlsrpt.n && n < TLSRPT_SUMS_URIS; i++) {
		const char *uri = f->tlsrpt.rua[i].uri;

		/* Encoding may triple one. */
		if ((octets += 3 * strlen(uri) + 1) > PACK_REPORT_MAX / 2)
			break;
		if (n++ == 0)
			buf_puts(b, "report");
		table_put_word(b, uri, strlen(uri));
	}
	if (n > 0)
		buf_putc(b, '\n');
}

static void
put_sts(struct buf *b, const struct facts *f)
{
	char mode[24], age[24];
	size_t i, end = b->len + PACK_REPORT_MAX / 2 - 1000;

	number(mode, f->sts.mode);
	number(age, f->sts.max_age);
	buf_puts(b, "sts-policy");
	table_put_word(b, mode, strlen(mode));
	table_put_word(b, age, strlen(age));
	for (i = 0; i < f->sts.nmx && i < TLSRPT_SUMS_STRINGS && b->len < end; i++)
		table_put_word(b, f->sts.mx[i], strlen(f->sts.mx[i]));
	buf_putc(b, '\n');
}

void
pack_report(struct buf *b, const struct plan *p)
{
	const struct facts *f = p->facts;
	char fault[24];

	/* RFC 8460 5.3: reports are sent without a look at the policies, and so is what else asks for that. */
	if (f->tlsrpt_state != FACTS_TLSRPT_FOUND || (p->policy.message & POLICY_MESSAGE_TLS_OPTIONAL))
		return;
	put_uris(b, f);
	if (f->sts_state == FACTS_STS_FOUND)
		put_sts(b, f);
	number(fault, f->sts_fault);
	if (f->sts_fault != FACTS_STS_WELL)
		table_put(b, "sts-fault", fault, (char *)NULL);
}

/* ---- unpacking ---- */

static const char *
keep(struct unpacked *u, const char *s)
{
	u->strings = xreallocarray(u->strings, u->nstrings + 1, sizeof *u->strings);
	return u->strings[u->nstrings++] = xstrdup(s);
}

static int
small_number(const char *s, long long hi, long long *out, struct fail *f)
{
	return text_number(s, 0, hi, "a plan", out, f);
}

static int
take_plan(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	long long kind;

	if (small_number(l->v[0], PLAN_DEFER, &kind, f) == -1)
		return -1;
	u->plan.kind = (enum plan_kind)kind;
	u->plan.status = keep(u, l->v[1]);
	u->plan.rule = keep(u, l->v[2]);
	u->plan.why = xstrdup(l->v[3]);
	return 0;
}

static int
take_facts(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	long long mx, sec, bound;

	if (small_number(l->v[1], FACTS_MX_FAILED, &mx, f) == -1 ||
	    small_number(l->v[2], DNS_FAILED, &sec, f) == -1 ||
	    small_number(l->v[3], 1, &bound, f) == -1)
		return -1;
	u->facts = facts_new(l->v[0]);
	u->facts->mx = (enum facts_mx)mx;
	u->facts->mx_sec = (enum dns_sec)sec;
	u->facts->mx_canonical = l->v[4][0] != '\0' ? xstrdup(l->v[4]) : NULL;
	u->facts->recipient = l->v[5][0] != '\0' ? xstrdup(l->v[5]) : NULL;
	u->plan.domain_bound = bound;
	return 0;
}

/* Behind the facts. */
static int
take_sts(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;

	if (u->facts == NULL)
		return fail(f, FAIL_INPUT, "no facts above");
	u->facts->sts_id = xstrdup(l->v[0]);
	return 0;
}

static struct facts_host *
last_host(struct unpacked *u, struct fail *f)
{
	if (u->facts == NULL || u->facts->nhost == 0) {
		fail(f, FAIL_INPUT, "no host above");
		return NULL;
	}
	return &u->facts->host[u->facts->nhost - 1];
}

static int
take_host(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	struct facts_host *fh;
	struct plan_host *h;
	long long pref, act, need, state, records;

	if (u->facts == NULL || small_number(l->v[1], 65535, &pref, f) == -1 ||
	    small_number(l->v[2], PLAN_UNSURE, &act, f) == -1 ||
	    small_number(l->v[3], PLAN_DANE, &need, f) == -1 ||
	    small_number(l->v[4], FACTS_TLSA_FAILED, &state, f) == -1 ||
	    small_number(l->v[5], 1, &records, f) == -1)
		return -1;
	if ((fh = facts_add_host(u->facts, l->v[0], pref)) == NULL)
		return fail(f, FAIL_INPUT, "too many hosts");
	fh->tlsa_state = (enum facts_tlsa)state;
	fh->tlsa_base = l->v[6][0] != '\0' ? xstrdup(l->v[6]) : NULL;
	u->plan.host = xreallocarray(u->plan.host, u->plan.nhost + 1, sizeof *u->plan.host);
	h = &u->plan.host[u->plan.nhost++];
	memset(h, 0, sizeof *h);
	h->act = (enum plan_act)act;
	h->need = (enum plan_need)need;
	h->by_records = records;
	h->rule = keep(u, l->v[7]);
	h->why = xstrdup(l->v[8]);
	return 0;
}

/* Behind its host. */
static int
take_asks(void *ctx, const struct table_line *l, struct fail *f)
{
	static const long long most[] = { 1, VERIFY_NAMES_SAN, 1, POLICY_TLS_MIN_1_3,
		POLICY_FALLBACK_NEVER, PLAN_TESTING_MISFIT, 1, 1 };
	struct unpacked *u = ctx;
	struct plan_host *h;
	long long n[COUNT(most)];
	size_t i;

	if (u->plan.nhost == 0)
		return fail(f, FAIL_INPUT, "no host above");
	for (i = 0; i < COUNT(most); i++)
		if (small_number(l->v[i], most[i], &n[i], f) == -1)
			return -1;
	h = &u->plan.host[u->plan.nhost - 1];
	h->check = n[0];
	h->names = (enum verify_names)n[1];
	h->fqdn_check = n[2];
	h->tls_min = (enum policy_tls_min)n[3];
	h->fallback = (enum policy_fallback)n[4];
	h->testing = (enum plan_testing)n[5];
	h->requiretls = n[6];
	h->bound = n[7];
	return 0;
}

/* Behind its host. */
static int
take_hop(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = last_host(ctx, f);
	long long port, protocol;

	if (fh == NULL || small_number(l->v[0], 65535, &port, f) == -1 ||
	    small_number(l->v[1], FACTS_LMTP, &protocol, f) == -1)
		return -1;
	fh->port = port;
	fh->protocol = (enum facts_protocol)protocol;
	free(fh->path);
	fh->path = l->v[2][0] != '\0' ? xstrdup(l->v[2]) : NULL;
	return 0;
}

static int
take_bind(struct facts_addr *a, int family, const char *word, struct fail *f)
{
	if (word[0] == '\0')
		return 0;
	a->family = family;
	return inet_pton(family, word, &a->ip) == 1 ? 0 : fail(f, FAIL_INPUT, "not an address");
}

static int
take_session(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	struct controls *c = &u->controls;

	c->cert = l->v[0][0] != '\0' ? (char *)keep(u, l->v[0]) : NULL;
	c->credentials = l->v[1][0] != '\0' ? keep(u, l->v[1]) : NULL;
	if (take_bind(&c->bind[CONTROLS_V4], AF_INET, l->v[2], f) == -1)
		return -1;
	return take_bind(&c->bind[CONTROLS_V6], AF_INET6, l->v[3], f);
}

static int
take_controls(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	long long n;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (small_number(l->v[i], UINT32_MAX, &n, f) == -1)
			return -1;
		if (i + 1 < l->n)
			u->controls.n[CONTROLS_CONCURRENCY + i] = (uint32_t)n;
		else
			u->controls.rate_time = (uint32_t)n;
	}
	return 0;
}

static int
take_addr(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = last_host(ctx, f);
	struct facts_addr a = { .family = AF_INET };

	if (fh == NULL)
		return -1;
	if (fh->path != NULL)
		a.family = AF_UNIX;
	else if (inet_pton(AF_INET, l->v[0], &a.ip.v4) != 1) {
		a.family = AF_INET6;
		if (inet_pton(AF_INET6, l->v[0], &a.ip.v6) != 1)
			return fail(f, FAIL_INPUT, "not an address");
	}
	fh->addr = xreallocarray(fh->addr, fh->naddr + 1, sizeof *fh->addr);
	fh->addr[fh->naddr++] = a;
	return 0;
}

static int
take_tlsa(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = last_host(ctx, f);
	struct tlsa t = TLSA_INIT;

	if (fh == NULL || tlsa_parse(&t, l->v[0], f) == -1)
		return -1;
	fh->tlsa = xreallocarray(fh->tlsa, fh->ntlsa + 1, sizeof *fh->tlsa);
	fh->tlsa[fh->ntlsa++] = t;
	return 0;
}

static int
take_report(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	size_t i;

	if (u->facts == NULL)
		return fail(f, FAIL_INPUT, "no facts above");
	u->facts->tlsrpt_state = FACTS_TLSRPT_FOUND;
	u->facts->tlsrpt.rua = xcalloc(l->n, sizeof *u->facts->tlsrpt.rua);
	for (i = 0; i < l->n; i++)
		u->facts->tlsrpt.rua[u->facts->tlsrpt.n++].uri = xstrdup(l->v[i]);
	return 0;
}

/* sts-policy MODE AGE MX... */
static int
take_sts_policy(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	long long mode, age;
	size_t i;

	if (u->facts == NULL || small_number(l->v[0], STS_ENFORCE, &mode, f) == -1 ||
	    small_number(l->v[1], STS_AGE_MAX, &age, f) == -1)
		return -1;
	u->facts->sts_state = FACTS_STS_FOUND;
	u->facts->sts.mode = (enum sts_mode)mode;
	u->facts->sts.max_age = (uint32_t)age;
	for (i = 2; i < l->n; i++)
		if (sts_policy_add_mx(&u->facts->sts, l->v[i], strlen(l->v[i]), f) == -1)
			return -1;
	return 0;
}

static int
take_sts_fault(void *ctx, const struct table_line *l, struct fail *f)
{
	struct unpacked *u = ctx;
	long long fault;

	if (u->facts == NULL || small_number(l->v[0], FACTS_STS_INVALID, &fault, f) == -1)
		return -1;
	u->facts->sts_fault = (enum facts_sts_fault)fault;
	return 0;
}

static const struct table_row rows[] = {
	{ "report", 1, TLSRPT_SUMS_URIS, TABLE_ONCE, take_report },
	{ "sts-policy", 2, TLSRPT_SUMS_STRINGS + 2, TABLE_ONCE, take_sts_policy },
	{ "sts-fault", 1, 1, TABLE_ONCE, take_sts_fault },
	{ "plan", 4, 4, TABLE_ONCE | TABLE_REQUIRED, take_plan },
	{ "facts", 6, 6, TABLE_ONCE | TABLE_REQUIRED, take_facts },
	{ "sts", 1, 1, TABLE_ONCE, take_sts },
	{ "host", 9, 9, 0, take_host },
	{ "asks", 8, 8, 0, take_asks },
	{ "hop", 3, 3, 0, take_hop },
	{ "as", 4, 4, TABLE_ONCE, take_session },
	{ "controls", CONTROLS_WORDS, CONTROLS_WORDS, TABLE_ONCE, take_controls },
	{ "addr", 1, 1, 0, take_addr },
	{ "tlsa", 1, 1, 0, take_tlsa },
};

struct unpacked *
unpack_plan(const char *text, size_t len, struct fail *f)
{
	struct unpacked *u = xcalloc(1, sizeof *u);
	size_t i;

	u->controls = controls_standard;
	if (table_parse("plan", text, len, rows, COUNT(rows), u, NULL, NULL) > 0) {
		fail(f, FAIL_INPUT, "a plan that makes no sense");
		unpacked_free(u);
		return NULL;
	}
	u->plan.facts = u->facts;
	/* The facts' hosts have their final place only now. */
	for (i = 0; i < u->plan.nhost; i++)
		u->plan.host[i].host = &u->facts->host[i];
	return u;
}

void
unpacked_free(struct unpacked *u)
{
	size_t i;

	if (u == NULL)
		return;
	plan_clear(&u->plan);
	facts_free(u->facts);
	for (i = 0; i < u->nstrings; i++)
		free(u->strings[i]);
	free(u->strings);
	free(u);
}
