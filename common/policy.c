#include "policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

/* ---- words ---- */

static const char *const tls_names[] = { [POLICY_TLS_NO] = "no",
	[POLICY_TLS_PREFERRED] = "preferred", [POLICY_TLS_REQUIRED] = "required" };
static const char *const dane_names[] = { [POLICY_DANE_NONE] = "none",
	[POLICY_DANE_OPPORTUNISTIC] = "opportunistic", [POLICY_DANE_MANDATORY] = "mandatory" };
static const char *const need_names[] = { [PLAN_CLEAR] = "clear", [PLAN_MAY] = "may",
	[PLAN_ENCRYPT] = "encrypt", [PLAN_DANE] = "dane" };
static const char *const verdict_names[] = { [VERDICT_AUTH] = "AUTH", [VERDICT_ENC] = "ENC",
	[VERDICT_CLEAR] = "CLEAR", [VERDICT_SKIP] = "SKIP", [VERDICT_NOMAIL] = "NOMAIL",
	[VERDICT_INCONCLUSIVE] = "INCONCLUSIVE" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *
policy_tls_name(enum policy_tls tls)
{
	return tls_names[tls];
}

const char *
policy_dane_name(enum policy_dane dane)
{
	return dane_names[dane];
}

const char *
plan_need_name(enum plan_need need)
{
	return need_names[need];
}

const char *
verdict_name(enum verdict_word word)
{
	return verdict_names[word];
}

/* The word's index, or -1 with a list of the words. */
static int
find_word(const char *what, const char *word, const char *const *names, size_t n, struct fail *f)
{
	struct buf list = BUF_INIT;
	char *shown = NULL;
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return i;
	for (i = 0; i < n; i++)
		buf_printf(&list, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", names[i]);
	shown = text_escape(word, strlen(word));
	fail(f, FAIL_INPUT, "%s: expected %s, not \"%.64s\"", what, list.p, shown);
	free(shown);
	buf_clear(&list);
	return -1;
}

static int
parse_tls(const char *what, const char *word, enum policy_tls *out, struct fail *f)
{
	int i = find_word(what, word, tls_names, COUNT(tls_names), f);

	if (i == -1)
		return -1;
	*out = (enum policy_tls)i;
	return 0;
}

int
policy_parse_tls(const char *word, enum policy_tls *out, struct fail *f)
{
	return parse_tls("tls", word, out, f);
}

int
policy_parse_level(const char *word, enum policy_tls *out, struct fail *f)
{
	return parse_tls("level", word, out, f);
}

int
policy_parse_dane(const char *word, enum policy_dane *out, struct fail *f)
{
	int i = find_word("dane", word, dane_names, COUNT(dane_names), f);

	if (i == -1)
		return -1;
	*out = (enum policy_dane)i;
	return 0;
}

int
policy_check(const struct policy *p, struct fail *f)
{
	if (p->tls == POLICY_TLS_NO && p->dane != POLICY_DANE_NONE)
		return fail(f, FAIL_INPUT,
		    "tls no and dane %s contradict each other: without TLS there is "
		    "no DANE",
		    dane_names[p->dane]);
	return 0;
}

/* ---- the trace ---- */

__attribute__((format(printf, 4, 5))) static void
step(struct plan *p, const char *rule, const char *then, const char *fmt, ...)
{
	struct policy_step *s;
	va_list ap;

	p->trace.v = xreallocarray(p->trace.v, p->trace.n + 1, sizeof *p->trace.v);
	s = &p->trace.v[p->trace.n++];
	va_start(ap, fmt);
	s->fact = xvasprintf(fmt, ap);
	va_end(ap);
	s->rule = rule;
	s->then = xstrdup(then);
}

/* ---- the plan ---- */

__attribute__((format(printf, 6, 7))) static void
decide(struct plan *p, struct plan_host *h, enum plan_act act, enum plan_need need,
    const char *rule, const char *fmt, ...)
{
	static const char *const then[] = { [PLAN_TRY] = "connect", [PLAN_SKIP] = "no connection",
		[PLAN_UNSURE] = "cannot be asked now" };
	char what[64];
	va_list ap;

	h->act = act;
	h->need = need;
	h->rule = rule;
	va_start(ap, fmt);
	h->why = xvasprintf(fmt, ap);
	va_end(ap);
	if (act == PLAN_TRY)
		snprintf(what, sizeof what, "connect, TLS: %s", need_names[need]);
	else
		snprintf(what, sizeof what, "%s", then[act]);
	step(p, rule, what, "%s: %s", h->host->name, h->why);
}

/* Without DANE for this host the local level says what is needed. */
static void
by_level(struct plan *p, struct plan_host *h, const char *rule, const char *fact)
{
	static const enum plan_need need[] = { [POLICY_TLS_NO] = PLAN_CLEAR,
		[POLICY_TLS_PREFERRED] = PLAN_MAY, [POLICY_TLS_REQUIRED] = PLAN_ENCRYPT };

	if (p->policy.dane == POLICY_DANE_MANDATORY) {
		decide(p, h, PLAN_SKIP, PLAN_DANE, "RFC 7672 6", "%s, and DANE is mandatory", fact);
		return;
	}
	decide(p, h, PLAN_TRY, need[p->policy.tls], rule, "%s: level %s applies", fact,
	    tls_names[p->policy.tls]);
}

static size_t
count_usable(const struct facts_host *fh)
{
	size_t i, n = 0;

	for (i = 0; i < fh->ntlsa; i++)
		n += tlsa_usable(&fh->tlsa[i], NULL) != 0;
	return n;
}

/* The reason why the first unusable record is unusable stands for all. */
static const char *
first_unusable(const struct facts_host *fh)
{
	const char *why = "damaged";

	if (fh->ntlsa > 0)
		tlsa_usable(&fh->tlsa[0], &why);
	return why;
}

static void
by_tlsa_records(struct plan *p, struct plan_host *h)
{
	const struct facts_host *fh = h->host;

	h->by_records = 1;
	h->usable = count_usable(fh);
	if (h->usable == 0) {
		if (p->policy.dane == POLICY_DANE_MANDATORY) {
			decide(p, h, PLAN_SKIP, PLAN_DANE, "RFC 7672 6",
			    "no TLSA record of %s is usable "
			    "(%s), and DANE is mandatory",
			    fh->tlsa_base, first_unusable(fh));
			return;
		}
		decide(p, h, PLAN_TRY, PLAN_ENCRYPT, "RFC 7672 2.2",
		    "no TLSA record of %s is usable (%s): "
		    "encryption is required, without authentication",
		    fh->tlsa_base, first_unusable(fh));
		return;
	}
	if (!p->domain_bound && p->policy.dane == POLICY_DANE_MANDATORY) {
		decide(p, h, PLAN_SKIP, PLAN_DANE, "RFC 7672 2.2.1",
		    "the MX records are not signed, and DANE "
		    "is mandatory");
		return;
	}
	decide(p, h, PLAN_TRY, PLAN_DANE, "RFC 7672 2.2",
	    "%zu of %zu TLSA records of %s usable: one must "
	    "match",
	    h->usable, fh->ntlsa, fh->tlsa_base);
}

static void
by_tlsa(struct plan *p, struct plan_host *h)
{
	const struct facts_host *fh = h->host;

	switch (fh->tlsa_state) {
	case FACTS_TLSA_NOT_ASKED:
		by_level(p, h, "local", "DANE is not used");
		break;
	case FACTS_TLSA_NO_NAME:
		by_level(
		    p, h, "RFC 6698 3", "an address has no name to look TLSA records up below");
		break;
	case FACTS_TLSA_UNSIGNED:
		by_level(p, h, "RFC 7672 2.2.2",
		    "its address records are not signed, so TLSA records are "
		    "not looked for");
		break;
	case FACTS_TLSA_ABSENT:
		by_level(p, h, "RFC 7672 2.2", "it has no TLSA records (proven)");
		break;
	case FACTS_TLSA_INSECURE:
		by_level(
		    p, h, "RFC 7672 2.2", "its TLSA records are not signed, which is not DANE");
		break;
	case FACTS_TLSA_FAILED:
		/* RFC 7672 2.1.2: whoever can suppress the answer must gain nothing by it. */
		decide(p, h, PLAN_SKIP, PLAN_DANE, "RFC 7672 2.1.2", "the TLSA lookup failed (%s)",
		    fh->tlsa_why != NULL ? fh->tlsa_why : "no reason known");
		break;
	case FACTS_TLSA_FOUND:
		by_tlsa_records(p, h);
		break;
	}
}

/* ---- what a host's addresses lead to ---- */

const char *
policy_bars(const struct policy *policy, const struct facts_addr *a)
{
	if (a->own)
		return "this relay itself";
	return policy->guard ? facts_addr_special(a) : NULL;
}

/* None that may be connected to. */
static int
is_dead(const struct plan *p, const struct facts_host *fh)
{
	size_t i;

	if (fh->addrs != FACTS_ADDRS_FOUND)
		return fh->addrs == FACTS_ADDRS_NONE;
	for (i = 0; i < fh->naddr; i++)
		if (policy_bars(&p->policy, &fh->addr[i]) == NULL)
			return 0;
	return fh->naddr > 0;
}

/* Tells each address that is barred. */
static void
bar_addresses(struct plan *p, const struct facts_host *fh)
{
	char text[INET6_ADDRSTRLEN];
	const char *what;
	size_t i;

	for (i = 0; i < fh->naddr; i++)
		if ((what = policy_bars(&p->policy, &fh->addr[i])) != NULL)
			step(p, "local", "this address is passed over", "%s: its address %s is %s", fh->name,
			    facts_addr_text(&fh->addr[i], text), what);
}

static void
skip_barred(struct plan *p, struct plan_host *h)
{
	char text[INET6_ADDRSTRLEN];

	decide(p, h, PLAN_SKIP, PLAN_MAY, "local", "its address %s is %s%s",
	    facts_addr_text(&h->host->addr[0], text), policy_bars(&p->policy, &h->host->addr[0]),
	    h->host->naddr > 1 ? ", and the others are no better" : "");
}

static void
plan_host(struct plan *p, struct plan_host *h, const struct facts_host *fh)
{
	switch (fh->addrs) {
	case FACTS_ADDRS_NONE:
		decide(p, h, PLAN_SKIP, PLAN_MAY, "RFC 5321 5.1", "%s",
		    fh->addrs_why != NULL ? fh->addrs_why : "it has no address");
		return;
	case FACTS_ADDRS_FAILED:
		decide(p, h, PLAN_UNSURE, PLAN_MAY, "RFC 7672 2.1.2",
		    "the address lookup failed (%s)",
		    fh->addrs_why != NULL ? fh->addrs_why : "no reason known");
		return;
	case FACTS_ADDRS_FOUND:
		break;
	}
	if (is_dead(p, fh)) {
		skip_barred(p, h);
		return;
	}
	bar_addresses(p, fh);
	if (fh->addrs_why != NULL)
		step(p, "RFC 7672 2.1.2", "the other family is used", "%s: %s", fh->name,
		    fh->addrs_why);
	if (p->policy.dane == POLICY_DANE_NONE)
		by_level(p, h, "local", "DANE is not used");
	else
		by_tlsa(p, h);
}

__attribute__((format(printf, 5, 6))) static void
whole(struct plan *p, enum plan_kind kind, const char *status, const char *rule, const char *fmt, ...)
{
	char then[64];
	va_list ap;

	free(p->why);
	va_start(ap, fmt);
	p->why = xvasprintf(fmt, ap);
	va_end(ap);
	p->kind = kind;
	p->status = status;
	p->rule = rule;
	if (kind == PLAN_HOSTS)
		snprintf(then, sizeof then, "its hosts in their order");
	else if (kind == PLAN_DEFER)
		snprintf(then, sizeof then, "deferred");
	else
		snprintf(then, sizeof then, "permanent failure %s", status);
	step(p, rule, then, "%s: %s", p->facts->domain, p->why);
}

static void
by_mx(struct plan *p)
{
	const struct facts *f = p->facts;

	switch (f->mx) {
	case FACTS_MX_NULL:
		whole(p, PLAN_NOMAIL, "5.1.10", "RFC 7505 3", "null MX: the domain takes no mail");
		break;
	case FACTS_MX_NODOMAIN:
		whole(p, PLAN_NODOMAIN, "5.1.2", "RFC 5321 5.1", "the domain does not exist");
		break;
	case FACTS_MX_FAILED:
		whole(p, PLAN_DEFER, "4.4.3", "RFC 7672 2.1.2", "the MX lookup failed (%s)",
		    f->mx_why != NULL ? f->mx_why : "no reason known");
		break;
	case FACTS_MX_IMPLICIT:
		whole(p, PLAN_HOSTS, "", "RFC 5321 5.1", "no MX (%s): the domain itself is the host",
		    dns_sec_name(f->mx_sec));
		break;
	case FACTS_MX_LOCAL:
		whole(p, PLAN_HOSTS, "", "local", "host named directly: no MX lookup");
		break;
	case FACTS_MX_FOUND:
		whole(p, PLAN_HOSTS, "", "RFC 7672 2.2.1", "%zu MX host%s (%s)", f->nhost,
		    f->nhost == 1 ? "" : "s", dns_sec_name(f->mx_sec));
		break;
	}
}

/* ---- the relay among the hosts: RFC 5321 5.1 ---- */

static int
is_own(const struct facts_host *fh)
{
	size_t i;

	if (fh->own)
		return 1;
	for (i = 0; i < fh->naddr; i++)
		if (fh->addr[i].own)
			return 1;
	return 0;
}

/* The first host that is this relay; NULL: none is. */
static const struct facts_host *
find_own(const struct facts *f)
{
	size_t i;

	for (i = 0; i < f->nhost; i++)
		if (is_own(&f->host[i]))
			return &f->host[i];
	return NULL;
}

/* "all records at that preference level and higher-numbered ones MUST be discarded" */
static int
is_discarded(const struct facts_host *own, const struct facts_host *fh)
{
	return own != NULL && fh->preference >= own->preference;
}

static void
discard(struct plan *p, struct plan_host *h, const struct facts_host *own)
{
	if (is_own(h->host))
		decide(p, h, PLAN_SKIP, PLAN_MAY, "RFC 5321 5.1", "it is this relay itself");
	else
		decide(p, h, PLAN_SKIP, PLAN_MAY, "RFC 5321 5.1", "it is not preferred to %s, this relay",
		    own->name);
}

/*
 * Hosts of which none will ever do, as long as the DNS says so.  As in Postfix, what may be a fault of
 * our own configuration waits, and so does mail for which we are a backup whose primary cannot be found.
 */
static void
give_up(struct plan *p, const struct facts_host *own)
{
	const struct facts *f = p->facts;
	size_t i, discarded = 0, dead = 0;

	for (i = 0; i < f->nhost; i++)
		if (is_discarded(own, &f->host[i]))
			discarded++;
		else
			dead += is_dead(p, &f->host[i]);
	if (f->hosts_left_out > 0 || f->nhost == 0 || discarded + dead < f->nhost)
		return;
	if (dead == 0)
		whole(p, PLAN_LOOP, "5.4.6", "RFC 5321 5.1",
		    "no host is preferred to %s, which is this relay: mail would loop", own->name);
	else if (p->policy.routed)
		whole(p, PLAN_DEFER, "4.3.5", "local", "the route leads nowhere: %s: %s", f->host[0].name,
		    p->host[0].why);
	else if (discarded > 0)
		whole(p, PLAN_DEFER, "4.4.4", "RFC 5321 5.1",
		    "no host that is preferred to this relay can be found: %s: %s", f->host[0].name,
		    p->host[0].why);
	else
		whole(p, PLAN_NOROUTE, "5.4.4", "RFC 5321 5.1", "no host to connect to: %s: %s",
		    f->host[0].name, p->host[0].why);
}

void
policy_plan(const struct policy *policy, const struct facts *facts, struct plan *p)
{
	const struct facts_host *own = find_own(facts);
	size_t i;

	memset(p, 0, sizeof *p);
	p->policy = *policy;
	p->facts = facts;
	p->domain_bound = facts->mx_sec == DNS_SECURE;
	by_mx(p);
	if (p->kind != PLAN_HOSTS)
		return;
	p->host = xcalloc(facts->nhost, sizeof *p->host);
	p->nhost = facts->nhost;
	for (i = 0; i < p->nhost; i++) {
		p->host[i].host = &facts->host[i];
		if (is_discarded(own, &facts->host[i]))
			discard(p, &p->host[i], own);
		else
			plan_host(p, &p->host[i], &facts->host[i]);
	}
	give_up(p, own);
}

void
plan_explain(struct buf *b, const struct plan *p)
{
	size_t i;

	buf_printf(b, "%s: policy tls %s dane %s\n", p->facts->domain, tls_names[p->policy.tls],
	    dane_names[p->policy.dane]);
	for (i = 0; i < p->trace.n; i++)
		buf_printf(b, "    %s [%s] -> %s\n", p->trace.v[i].fact, p->trace.v[i].rule,
		    p->trace.v[i].then);
}

void
plan_clear(struct plan *p)
{
	size_t i;

	for (i = 0; i < p->nhost; i++)
		free(p->host[i].why);
	for (i = 0; i < p->trace.n; i++) {
		free(p->trace.v[i].fact);
		free(p->trace.v[i].then);
	}
	free(p->trace.v);
	free(p->host);
	free(p->why);
	memset(p, 0, sizeof *p);
}

/* ---- verdicts ---- */

void
verdict_clear(struct verdict *v)
{
	free(v->why);
	memset(v, 0, sizeof *v);
}

__attribute__((format(printf, 4, 5))) static void
say(struct verdict *v, enum verdict_word word, const char *rule, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	v->why = xvasprintf(fmt, ap);
	va_end(ap);
	v->word = word;
	v->rule = rule;
}

static void
judge_finding(const struct finding *found, struct verdict *v)
{
	if (found == NULL || found->result == VERIFY_NOT_ASKED)
		say(v, VERDICT_SKIP, "RFC 7672 2.2", "the chain was not verified");
	else if (found->result == VERIFY_MATCH)
		say(v, VERDICT_AUTH, found->rule, "%s", found->why);
	else
		say(v, VERDICT_SKIP, found->rule, "%s", found->why);
}

/* A session on which TLS is up. */
static void
judge_tls(const struct plan_host *h, const struct seen *s, struct verdict *v)
{
	if (h->need == PLAN_DANE)
		judge_finding(s->finding, v);
	else
		say(v, VERDICT_ENC, h->rule, "encrypted, not authenticated: %s", h->why);
	/* A failed match decides; after a good one the session must still be able to take mail. */
	if (v->word == VERDICT_SKIP || s->end == SEEN_READY)
		return;
	verdict_clear(v);
	if (s->end == SEEN_REFUSED || s->end == SEEN_PROTOCOL)
		say(v, VERDICT_SKIP, "RFC 5321 4.2.1", "refused under TLS: %s", s->text);
	else
		say(v, VERDICT_INCONCLUSIVE, "RFC 5321 4.2.1", "not usable under TLS: %s", s->text);
}

/* A session in clear text: whether that will do is the need's to say. */
static void
judge_clear(const struct plan_host *h, const char *rule, const char *what, struct verdict *v)
{
	switch (h->need) {
	case PLAN_CLEAR:
		say(v, VERDICT_CLEAR, "local", "in clear text: level no never uses STARTTLS");
		break;
	case PLAN_MAY:
		say(v, VERDICT_CLEAR, rule, "in clear text: %s", what);
		break;
	case PLAN_ENCRYPT:
	case PLAN_DANE:
		/* Where TLSA records ask for TLS the clause is DANE's, else it is the local level.
		 */
		say(v, VERDICT_SKIP, h->by_records ? "RFC 7672 2.2" : "local",
		    "TLS is required, but %s", what);
		break;
	}
}

static void
judge_starttls_refused(const struct plan_host *h, const struct seen *s, struct verdict *v)
{
	struct buf what = BUF_INIT;

	buf_printf(&what, "STARTTLS was answered with an error: %s", s->text);
	judge_clear(h, "RFC 3207 4", what.p, v);
	buf_clear(&what);
}

void
policy_judge(const struct plan_host *h, const struct seen *s, struct verdict *v)
{
	memset(v, 0, sizeof *v);
	if (h->act == PLAN_SKIP) {
		say(v, VERDICT_SKIP, h->rule, "%s", h->why);
		return;
	}
	if (h->act == PLAN_UNSURE || s == NULL) {
		say(v, VERDICT_INCONCLUSIVE, h->rule, "%s", h->why);
		return;
	}
	if (s->tls) {
		judge_tls(h, s, v);
		return;
	}
	switch (s->end) {
	case SEEN_READY:
		judge_clear(h, "RFC 3207 4", "STARTTLS was not used", v);
		break;
	case SEEN_NO_STARTTLS:
		judge_clear(h, "RFC 3207 4", s->text, v);
		break;
	case SEEN_STARTTLS_REFUSED:
		judge_starttls_refused(h, s, v);
		break;
	case SEEN_NO_CONNECTION:
		say(v, VERDICT_INCONCLUSIVE, "RFC 5321 4.5.4.1", "no connection: %s", s->text);
		break;
	case SEEN_TEMPORARY:
		say(v, VERDICT_INCONCLUSIVE, "RFC 5321 4.2.1", "no session for now: %s", s->text);
		break;
	case SEEN_REFUSED:
		say(v, VERDICT_SKIP, "RFC 5321 3.1", "refuses the session: %s", s->text);
		break;
	case SEEN_INJECTION:
		say(v, VERDICT_SKIP, "RFC 3207 4.2",
		    "octets in clear text behind the 220 to STARTTLS: %s", s->text);
		break;
	case SEEN_HANDSHAKE_FAILED:
		say(v, VERDICT_SKIP, "RFC 3207 4.1", "the TLS handshake failed: %s", s->text);
		break;
	case SEEN_PROTOCOL:
		say(v, VERDICT_SKIP, "RFC 5321 4.2", "does not speak SMTP: %s", s->text);
		break;
	}
}

/* ---- the domain ---- */

static void
judge_without_hosts(const struct plan *p, struct verdict *out)
{
	switch (p->kind) {
	case PLAN_NOMAIL:
		say(out, VERDICT_NOMAIL, p->rule, "%s", p->why);
		break;
	case PLAN_DEFER:
		say(out, VERDICT_INCONCLUSIVE, p->rule, "%s", p->why);
		break;
	default:
		say(out, VERDICT_SKIP, p->rule, "%s", p->why);
		break;
	}
}

static size_t
count_word(const struct verdict *v, size_t n, enum verdict_word word)
{
	size_t i, found = 0;

	for (i = 0; i < n; i++)
		found += v[i].word == word;
	return found;
}

static const struct verdict *
find_verdict(const struct verdict *v, size_t n, enum verdict_word word)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i].word == word)
			return &v[i];
	return NULL;
}

static void
judge_usable(const struct plan *p, const struct verdict *v, size_t n, struct verdict *out)
{
	const char *alone = n == 1 ? "" : ", the weakest of its hosts";
	const struct verdict *w;

	if ((w = find_verdict(v, n, VERDICT_CLEAR)) != NULL)
		say(out, VERDICT_CLEAR, w->rule, "mail may go in clear text%s", alone);
	else if (p->facts->hosts_left_out + p->facts->addrs_left_out > 0)
		say(out, VERDICT_INCONCLUSIVE, "local",
		    "too many to look at: %zu hosts and %zu addresses were left out, through which "
		    "mail could go otherwise",
		    p->facts->hosts_left_out, p->facts->addrs_left_out);
	else if ((w = find_verdict(v, n, VERDICT_ENC)) != NULL)
		say(out, VERDICT_ENC, w->rule,
		    "mail goes encrypted to hosts that are not authenticated%s", alone);
	else if (!p->domain_bound)
		say(out, VERDICT_ENC, "RFC 7672 2.2.1",
		    "its hosts are authenticated, but the MX records that "
		    "name them are not signed: mail goes encrypted");
	else if ((w = find_verdict(v, n, VERDICT_AUTH)) != NULL)
		say(out, VERDICT_AUTH, w->rule, "mail goes encrypted to authenticated hosts only");
}

void
policy_domain(const struct plan *p, const struct verdict *v, size_t n, struct verdict *out)
{
	size_t usable = count_word(v, n, VERDICT_AUTH) + count_word(v, n, VERDICT_ENC) +
	    count_word(v, n, VERDICT_CLEAR);
	const struct verdict *w;

	memset(out, 0, sizeof *out);
	if (p->kind != PLAN_HOSTS)
		judge_without_hosts(p, out);
	else if (usable > 0)
		judge_usable(p, v, n, out);
	else if ((w = find_verdict(v, n, VERDICT_INCONCLUSIVE)) != NULL)
		say(out, VERDICT_INCONCLUSIVE, w->rule, "no host could be asked: %s", w->why);
	else if ((w = find_verdict(v, n, VERDICT_SKIP)) != NULL)
		say(out, VERDICT_SKIP, w->rule, "mail would not be delivered: %s", w->why);
	else
		say(out, VERDICT_SKIP, "RFC 5321 5.1", "no host to deliver to");
}
