#include "policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

/* ---- words ---- */

static const char *const tls_names[] = { [POLICY_TLS_NO] = "no",
	[POLICY_TLS_PREFERRED] = "preferred", [POLICY_TLS_PREFERRED_VERIFY] = "preferred-verify",
	[POLICY_TLS_REQUIRED] = "required", [POLICY_TLS_REQUIRED_VERIFY] = "required-verify",
	[POLICY_TLS_REQUIRED_VERIFY_HOSTED] = "required-verify-hosted" };
static const char *const dane_names[] = { [POLICY_DANE_NONE] = "none",
	[POLICY_DANE_OPPORTUNISTIC] = "opportunistic", [POLICY_DANE_MANDATORY] = "mandatory" };
static const char *const sts_names[] = { [POLICY_STS_NONE] = "none",
	[POLICY_STS_FOLLOW] = "follow" };
static const char *const requiretls_names[] = { [POLICY_REQUIRETLS_NO] = "no",
	[POLICY_REQUIRETLS_HONOUR] = "honour" };
static const char *const fallback_names[] = { [POLICY_FALLBACK_BEFORE_220] = "before-220",
	[POLICY_FALLBACK_AFTER_220] = "after-220", [POLICY_FALLBACK_BOTH] = "both",
	[POLICY_FALLBACK_NEVER] = "never" };
static const char *const tls_min_names[] = { [POLICY_TLS_MIN_1_0] = "1.0",
	[POLICY_TLS_MIN_1_1] = "1.1", [POLICY_TLS_MIN_1_2] = "1.2", [POLICY_TLS_MIN_1_3] = "1.3" };
static const char *const flag_names[] = { "no", "yes" };
static const char *const need_names[] = { [PLAN_CLEAR] = "clear", [PLAN_MAY] = "may",
	[PLAN_ENCRYPT] = "encrypt", [PLAN_PKIX] = "pkix", [PLAN_STS] = "sts", [PLAN_DANE] = "dane" };
static const char *const verdict_names[] = { [VERDICT_AUTH] = "AUTH", [VERDICT_ENC] = "ENC",
	[VERDICT_CLEAR] = "CLEAR", [VERDICT_SKIP] = "SKIP", [VERDICT_NOMAIL] = "NOMAIL",
	[VERDICT_INCONCLUSIVE] = "INCONCLUSIVE" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *key;
	const char *const *words;
	size_t n;
} keys[] = {
	[POLICY_KEY_TLS] = { "tls", tls_names, COUNT(tls_names) },
	[POLICY_KEY_DANE] = { "dane", dane_names, COUNT(dane_names) },
	[POLICY_KEY_STS] = { "sts", sts_names, COUNT(sts_names) },
	[POLICY_KEY_REQUIRETLS] = { "requiretls", requiretls_names, COUNT(requiretls_names) },
	[POLICY_KEY_FALLBACK] = { "fallback", fallback_names, COUNT(fallback_names) },
	[POLICY_KEY_TLS_MIN] = { "tls-min", tls_min_names, COUNT(tls_min_names) },
	[POLICY_KEY_FQDN_CHECK] = { "fqdn-check", flag_names, COUNT(flag_names) },
};

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
policy_fallback_name(enum policy_fallback fallback)
{
	return fallback_names[fallback];
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
const char *
policy_key_name(enum policy_key key)
{
	return keys[key].key;
}

int
policy_key_find(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(keys); i++)
		if (strcmp(keys[i].key, name) == 0)
			return i;
	return -1;
}

static void
set_value(struct policy *p, enum policy_key key, int value)
{
	switch (key) {
	case POLICY_KEY_TLS:
		p->tls = (enum policy_tls)value;
		break;
	case POLICY_KEY_DANE:
		p->dane = (enum policy_dane)value;
		break;
	case POLICY_KEY_STS:
		p->sts = (enum policy_sts)value;
		break;
	case POLICY_KEY_REQUIRETLS:
		p->requiretls = (enum policy_requiretls)value;
		break;
	case POLICY_KEY_FALLBACK:
		p->fallback = (enum policy_fallback)value;
		break;
	case POLICY_KEY_TLS_MIN:
		p->tls_min = (enum policy_tls_min)value;
		break;
	case POLICY_KEY_FQDN_CHECK:
		p->fqdn_check = value;
		break;
	}
}

static int
get_value(const struct policy *p, enum policy_key key)
{
	switch (key) {
	case POLICY_KEY_TLS:
		return (int)p->tls;
	case POLICY_KEY_DANE:
		return (int)p->dane;
	case POLICY_KEY_STS:
		return (int)p->sts;
	case POLICY_KEY_REQUIRETLS:
		return (int)p->requiretls;
	case POLICY_KEY_FALLBACK:
		return (int)p->fallback;
	case POLICY_KEY_TLS_MIN:
		return (int)p->tls_min;
	case POLICY_KEY_FQDN_CHECK:
		break;
	}
	return p->fqdn_check != 0;
}

int
policy_set(struct policy *p, enum policy_key key, const char *word, struct fail *f)
{
	int i = text_word(keys[key].key, word, keys[key].words, keys[key].n, f);

	if (i == -1)
		return -1;
	set_value(p, key, i);
	return 0;
}

const char *
policy_word(const struct policy *p, enum policy_key key)
{
	return keys[key].words[get_value(p, key)];
}

void
policy_copy(struct policy *to, const struct policy *from, enum policy_key key)
{
	set_value(to, key, get_value(from, key));
}

int
policy_parse_level(const char *word, enum policy_tls *out, struct fail *f)
{
	int i = text_word("level", word, tls_names, COUNT(tls_names), f);

	if (i == -1)
		return -1;
	*out = (enum policy_tls)i;
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
	if (p->tls == POLICY_TLS_NO && p->sts != POLICY_STS_NONE)
		return fail(f, FAIL_INPUT,
		    "tls no and sts %s contradict each other: without TLS there is no MTA-STS",
		    sts_names[p->sts]);
	return 0;
}

void
policy_settle(struct policy *p)
{
	if (p->tls != POLICY_TLS_NO)
		return;
	p->dane = POLICY_DANE_NONE;
	p->sts = POLICY_STS_NONE;
}

/* ---- what the message says of itself: RFC 8689 ---- */

static int
requires_tls(const struct policy *p)
{
	return (p->message & POLICY_MESSAGE_REQUIRETLS) && p->requiretls == POLICY_REQUIRETLS_HONOUR;
}

/*
 * RFC 8689 3: beside REQUIRETLS the header field is ignored; it is not ours to weigh REQUIRETLS anew
 * where that is not honoured.
 */
static int
tls_is_optional(const struct policy *p)
{
	return (p->message & POLICY_MESSAGE_TLS_OPTIONAL) && !(p->message & POLICY_MESSAGE_REQUIRETLS);
}

/* The header field sets the recipient's wishes aside (RFC 8689 4.2.2), not those of our operator. */
static enum policy_dane
dane_of(const struct policy *p)
{
	if (tls_is_optional(p) && p->dane == POLICY_DANE_OPPORTUNISTIC)
		return POLICY_DANE_NONE;
	return p->dane;
}

static enum policy_sts
sts_of(const struct policy *p)
{
	return tls_is_optional(p) ? POLICY_STS_NONE : p->sts;
}

int
policy_wants_tlsa(const struct policy *p)
{
	return dane_of(p) != POLICY_DANE_NONE;
}

int
policy_wants_sts(const struct policy *p)
{
	return !p->routed && sts_of(p) != POLICY_STS_NONE;
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
		snprintf(what, sizeof what, "connect, TLS: %s%s", need_names[need],
		    h->requiretls ? ", REQUIRETLS" : "");
	else
		snprintf(what, sizeof what, "%s", then[act]);
	step(p, rule, what, "%s: %s", h->host->name, h->why);
}

/* What a level asks of a connection, and of the names in the certificate. */
static const struct {
	enum plan_need need;
	int check;
	enum verify_names names;
} levels[] = {
	[POLICY_TLS_NO] = { PLAN_CLEAR, 0, VERIFY_NAMES_CN_OR_SAN },
	[POLICY_TLS_PREFERRED] = { PLAN_MAY, 0, VERIFY_NAMES_CN_OR_SAN },
	[POLICY_TLS_PREFERRED_VERIFY] = { PLAN_MAY, 1, VERIFY_NAMES_CN_OR_SAN },
	[POLICY_TLS_REQUIRED] = { PLAN_ENCRYPT, 0, VERIFY_NAMES_CN_OR_SAN },
	[POLICY_TLS_REQUIRED_VERIFY] = { PLAN_PKIX, 1, VERIFY_NAMES_CN_OR_SAN },
	[POLICY_TLS_REQUIRED_VERIFY_HOSTED] = { PLAN_PKIX, 1, VERIFY_NAMES_HOSTED },
};

static void
check_level(struct plan *p, struct plan_host *h)
{
	h->check = levels[p->policy.tls].check;
	h->names = levels[p->policy.tls].names;
	h->fqdn_check = p->policy.fqdn_check;
	h->tls_min = p->policy.tls_min;
}

/* RFC 8689 4.2.1: the server is authenticated "as specified in RFC 6125 or RFC 7672". */
static int
raise_for_message(struct plan *p, struct plan_host *h, enum plan_need need, const char *fact)
{
	if (!h->requiretls || need >= PLAN_PKIX)
		return 0;
	h->check = 1;
	decide(p, h, PLAN_TRY, PLAN_PKIX, "RFC 8689 4.2.1",
	    "%s, and the message requires TLS with an authenticated server", fact);
	return 1;
}

/* A password is for the host that bears the name of the route, or one that follows from that securely. */
static int
raise_for_password(struct plan *p, struct plan_host *h, enum plan_need need, const char *fact)
{
	if (!p->policy.password || need >= PLAN_PKIX)
		return 0;
	if (p->policy.tls == POLICY_TLS_NO && h->host->protocol != FACTS_SMTPS) {
		decide(p, h, PLAN_SKIP, PLAN_PKIX, "local", "a password is sent there, inside TLS alone, which level no "
		    "never uses");
		return 1;
	}
	h->check = 1;
	decide(p, h, PLAN_TRY, PLAN_PKIX, "local", "%s, and a password is sent there, to an authenticated host alone",
	    fact);
	return 1;
}

/* Neither DANE nor MTA-STS decides: the local level says what is needed, but no less than least. */
static void
by_level(struct plan *p, struct plan_host *h, enum plan_need least, const char *rule, const char *fact)
{
	enum plan_need need = levels[p->policy.tls].need;

	check_level(p, h);
	if (raise_for_message(p, h, need < least ? least : need, fact) ||
	    raise_for_password(p, h, need < least ? least : need, fact))
		return;
	if (need < least)
		decide(p, h, PLAN_TRY, least, rule, "%s: encryption is required, without authentication",
		    fact);
	else
		decide(p, h, PLAN_TRY, need, rule, "%s: level %s applies", fact,
		    tls_names[p->policy.tls]);
}

static int
sts_enforced(const struct plan *p)
{
	return policy_wants_sts(&p->policy) && p->facts->mx != FACTS_MX_LOCAL &&
	    p->facts->sts_state == FACTS_STS_FOUND && p->facts->sts.mode == STS_ENFORCE;
}

/* RFC 8461 4.1, 5: a host that no pattern names is passed over. */
static void
by_sts(struct plan *p, struct plan_host *h, const char *fact)
{
	int hosted = p->policy.tls == POLICY_TLS_REQUIRED_VERIFY_HOSTED;

	if (!sts_mx_matches(&p->facts->sts, h->host->name)) {
		decide(p, h, PLAN_SKIP, PLAN_STS, "RFC 8461 4.1",
		    "%s, and no mx pattern of the MTA-STS policy, which is enforced, names it", fact);
		return;
	}
	check_level(p, h);
	/* What MTA-STS asks includes what the other levels do. */
	h->check = hosted;
	h->bound = 1;
	decide(p, h, PLAN_TRY, PLAN_STS, "RFC 8461 5", "%s: MTA-STS is enforced, and an mx pattern names it%s",
	    fact, hosted ? "; level required-verify-hosted applies too" : "");
}

/* DANE does not decide, for that reason. */
static void
without_dane(struct plan *p, struct plan_host *h, enum plan_need least, const char *rule, const char *fact)
{
	if (h->host->protocol == FACTS_SMTPS && least < PLAN_ENCRYPT) {
		least = PLAN_ENCRYPT;
		rule = "RFC 8314 3.3";
	}
	if (dane_of(&p->policy) == POLICY_DANE_MANDATORY)
		decide(p, h, PLAN_SKIP, PLAN_DANE, "RFC 7672 6", "%s, and DANE is mandatory", fact);
	else if (sts_enforced(p))
		by_sts(p, h, fact);
	else
		by_level(p, h, least, rule, fact);
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
	char *fact;

	h->by_records = 1;
	h->usable = count_usable(fh);
	if (h->usable == 0) {
		fact = xasprintf("no TLSA record of %s is usable (%s)", fh->tlsa_base, first_unusable(fh));
		without_dane(p, h, PLAN_ENCRYPT, "RFC 7672 2.2", fact);
		free(fact);
		return;
	}
	if (!p->domain_bound && p->policy.dane == POLICY_DANE_MANDATORY) {
		decide(p, h, PLAN_SKIP, PLAN_DANE, "RFC 7672 2.2.1",
		    "the MX records are not signed, and DANE "
		    "is mandatory");
		return;
	}
	/* RFC 8461 2: MTA-STS neither rescues what DANE refuses nor adds to what it lets through. */
	h->testing = PLAN_TESTING_NONE;
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
		without_dane(p, h, PLAN_CLEAR, "local", "DANE is not used");
		break;
	case FACTS_TLSA_NO_NAME:
		without_dane(p, h, PLAN_CLEAR, "RFC 6698 3",
		    "an address has no name to look TLSA records up below");
		break;
	case FACTS_TLSA_UNSIGNED:
		without_dane(p, h, PLAN_CLEAR, "RFC 7672 2.2.2",
		    "its address records are not signed, so TLSA records are "
		    "not looked for");
		break;
	case FACTS_TLSA_ABSENT:
		without_dane(p, h, PLAN_CLEAR, "RFC 7672 2.2", "it has no TLSA records (proven)");
		break;
	case FACTS_TLSA_INSECURE:
		without_dane(p, h, PLAN_CLEAR, "RFC 7672 2.2",
		    "its TLSA records are not signed, which is not DANE");
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
not_dane(struct plan *p, struct plan_host *h)
{
	if (p->policy.dane == POLICY_DANE_NONE)
		without_dane(p, h, PLAN_CLEAR, "local", "DANE is not used");
	else
		without_dane(p, h, PLAN_CLEAR, "RFC 8689 4.2.2", "the message sets DANE aside");
}

/* Between processes of one machine there is nobody to protect from: neither level nor message asks for TLS there. */
static void
by_socket(struct plan *p, struct plan_host *h)
{
	h->requiretls = 0;
	decide(p, h, PLAN_TRY, PLAN_CLEAR, "local", "a socket of this machine, which the mail does not leave");
}

static void
plan_host(struct plan *p, struct plan_host *h, const struct facts_host *fh)
{
	if (fh->path != NULL) {
		by_socket(p, h);
		return;
	}
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
	if (dane_of(&p->policy) == POLICY_DANE_NONE)
		not_dane(p, h);
	else
		by_tlsa(p, h);
}

/* What holds for a host before its facts are looked at. */
static void
begin_host(struct plan *p, struct plan_host *h, const struct facts_host *fh)
{
	h->host = fh;
	h->fallback = p->policy.fallback;
	h->requiretls = requires_tls(&p->policy);
	h->bound = p->domain_bound;
	if (!policy_wants_sts(&p->policy) || p->facts->mx == FACTS_MX_LOCAL ||
	    p->facts->sts_state != FACTS_STS_FOUND || p->facts->sts.mode != STS_TESTING)
		return;
	h->testing = sts_mx_matches(&p->facts->sts, fh->name) ? PLAN_TESTING_FITS : PLAN_TESTING_MISFIT;
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

	if (p->policy.routed && (f->mx == FACTS_MX_NULL || f->mx == FACTS_MX_NODOMAIN)) {
		whole(p, PLAN_DEFER, "4.3.5", "local", "the route leads nowhere: %s", f->mx == FACTS_MX_NULL ?
		    "the domain of its MX records takes no mail" : "the domain of its MX records does not exist");
		return;
	}
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

/* The message's own wishes, where they change anything. */
static void
by_message(struct plan *p)
{
	const struct policy *policy = &p->policy;

	if (policy->message & POLICY_MESSAGE_REQUIRETLS)
		step(p, requires_tls(policy) ? "RFC 8689 4.2.1" : "local", requires_tls(policy) ?
		    "only to an authenticated host that offers it too" : "passed over", "%s: the message "
		    "has REQUIRETLS, and requiretls is %s", p->facts->domain,
		    requiretls_names[policy->requiretls]);
	if (policy->message & POLICY_MESSAGE_TLS_OPTIONAL)
		step(p, tls_is_optional(policy) ? "RFC 8689 4.2.2" : "RFC 8689 3", tls_is_optional(policy) ?
		    "opportunistic DANE and MTA-STS are set aside, level and mandatory DANE are not" :
		    "it yields to REQUIRETLS", "%s: the message has TLS-Required: No", p->facts->domain);
	if (p->kind == PLAN_HOSTS && requires_tls(policy) && policy->tls == POLICY_TLS_NO)
		whole(p, PLAN_UNPROTECTED, "5.7.30", "RFC 8689 4.2.1",
		    "the message requires TLS, and level no never uses it");
}

static void
tell_sts(struct plan *p)
{
	static const char *const then[] = { [STS_NONE] = "as without a policy",
		[STS_TESTING] = "what it would refuse is recorded",
		[STS_ENFORCE] = "decides for hosts without DANE" };
	const struct facts *f = p->facts;
	struct buf mx = BUF_INIT;
	size_t i;

	for (i = 0; i < f->sts.nmx; i++) {
		buf_puts(&mx, i == 0 ? ", mx " : " ");
		buf_escape(&mx, f->sts.mx[i], strlen(f->sts.mx[i]));
	}
	step(p, "RFC 8461 5", then[f->sts.mode], "%s: MTA-STS policy%s%s, mode %s%s%s%s%s", f->domain,
	    f->sts_id != NULL ? " " : "", f->sts_id != NULL ? f->sts_id : "", sts_mode_name(f->sts.mode),
	    mx.len > 0 ? mx.p : "", f->sts_why != NULL ? " (" : "", f->sts_why != NULL ? f->sts_why : "",
	    f->sts_why != NULL ? ")" : "");
	buf_clear(&mx);
}

/* RFC 8461 3.3: a policy that cannot be had, with none kept from before, is none. */
static void
by_sts_facts(struct plan *p)
{
	const struct facts *f = p->facts;

	if (p->kind != PLAN_HOSTS || !policy_wants_sts(&p->policy) || f->mx == FACTS_MX_LOCAL)
		return;
	if (f->sts_state == FACTS_STS_FOUND)
		tell_sts(p);
	else if (f->sts_state == FACTS_STS_NONE)
		step(p, f->sts_id != NULL ? "RFC 8461 3.3" : "RFC 8461 3.1", "MTA-STS is not used",
		    "%s: no MTA-STS policy%s%s%s", f->domain, f->sts_why != NULL ? " (" : "",
		    f->sts_why != NULL ? f->sts_why : "", f->sts_why != NULL ? ")" : "");
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
	by_message(p);
	by_sts_facts(p);
	if (p->kind != PLAN_HOSTS)
		return;
	p->host = xcalloc(facts->nhost, sizeof *p->host);
	p->nhost = facts->nhost;
	for (i = 0; i < p->nhost; i++) {
		begin_host(p, &p->host[i], &facts->host[i]);
		if (is_discarded(own, &facts->host[i]))
			discard(p, &p->host[i], own);
		else
			plan_host(p, &p->host[i], &facts->host[i]);
	}
	give_up(p, own);
}

/* tls and dane, and what else differs from the built-in settings. */
static void
explain_policy(struct buf *b, const struct policy *policy)
{
	static const struct policy standard = POLICY_DEFAULT;
	enum policy_key key;

	for (key = POLICY_KEY_TLS; (unsigned)key < POLICY_KEYS; key++)
		if (key <= POLICY_KEY_DANE || get_value(policy, key) != get_value(&standard, key))
			buf_printf(b, " %s %s", keys[key].key, policy_word(policy, key));
}

void
plan_explain(struct buf *b, const struct plan *p)
{
	size_t i;

	buf_printf(b, "%s: policy", p->facts->domain);
	explain_policy(b, &p->policy);
	buf_puts(b, "\n");
	for (i = 0; i < p->trace.n; i++)
		buf_printf(b, "    %s [%s] -> %s\n", p->trace.v[i].fact, p->trace.v[i].rule,
		    p->trace.v[i].then);
}

int
plan_need_is_strict(enum plan_need need)
{
	return need == PLAN_PKIX || need == PLAN_STS;
}

int
plan_wants_trust(const struct plan *p)
{
	size_t i;

	for (i = 0; i < p->nhost; i++)
		if (p->host[i].act == PLAN_TRY && (plan_need_is_strict(p->host[i].need) || p->host[i].check ||
		    p->host[i].testing == PLAN_TESTING_FITS))
			return 1;
	return 0;
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
	free(v->testing);
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

int
policy_falls_back(const struct plan_host *h, enum seen_end end)
{
	if (h->need != PLAN_MAY)
		return 0;
	switch (end) {
	case SEEN_STARTTLS_REFUSED:
		return h->fallback == POLICY_FALLBACK_BEFORE_220 || h->fallback == POLICY_FALLBACK_BOTH;
	case SEEN_HANDSHAKE_FAILED:
		return h->fallback == POLICY_FALLBACK_AFTER_220 || h->fallback == POLICY_FALLBACK_BOTH;
	default:
		return 0;
	}
}

static void
judge_finding(const struct finding *found, const char *rule, struct verdict *v)
{
	if (found == NULL || found->result == VERIFY_NOT_ASKED)
		say(v, VERDICT_SKIP, rule, "the chain was not verified");
	else if (found->result == VERIFY_MATCH)
		say(v, VERDICT_AUTH, found->rule, "%s", found->why);
	else
		say(v, VERDICT_SKIP, found->rule, "%s", found->why);
}

/* Verified or not, mail goes: RFC 7435. */
static void
judge_recorded(const struct plan_host *h, const struct proof *proof, struct verdict *v)
{
	if (!h->check || proof == NULL || proof->level.result == VERIFY_NOT_ASKED)
		say(v, VERDICT_ENC, h->rule, "encrypted, not authenticated: %s", h->why);
	else if (proof->level.result == VERIFY_MATCH)
		say(v, VERDICT_AUTH, proof->level.rule, "%s", proof->level.why);
	else
		say(v, VERDICT_ENC, proof->level.rule, "encrypted, not authenticated: %s",
		    proof->level.why);
}

static void
judge_sts(const struct plan_host *h, const struct proof *proof, struct verdict *v)
{
	judge_finding(proof != NULL ? &proof->sts : NULL, "RFC 8461 4.2", v);
	if (v->word != VERDICT_AUTH || !h->check)
		return;
	verdict_clear(v);
	judge_finding(&proof->level, "local", v);
}

static void
judge_chain(const struct plan_host *h, const struct proof *proof, struct verdict *v)
{
	switch (h->need) {
	case PLAN_DANE:
		judge_finding(proof != NULL ? &proof->dane : NULL, "RFC 7672 2.2", v);
		break;
	case PLAN_STS:
		judge_sts(h, proof, v);
		break;
	case PLAN_PKIX:
		judge_finding(proof != NULL ? &proof->level : NULL, "local", v);
		break;
	case PLAN_CLEAR:
	case PLAN_MAY:
	case PLAN_ENCRYPT:
		judge_recorded(h, proof, v);
		break;
	}
	v->bound = v->word == VERDICT_AUTH &&
	    (h->bound || (h->need < PLAN_STS && proof != NULL && proof->by_domain));
}

/* A session on which TLS is up. */
static void
judge_tls(const struct plan_host *h, const struct seen *s, struct verdict *v)
{
	judge_chain(h, s->proof, v);
	/* A failed match decides; after a good one the session must still be able to take mail. */
	if (v->word == VERDICT_SKIP)
		return;
	if (s->end == SEEN_READY && (!h->requiretls || s->requiretls))
		return;
	verdict_clear(v);
	if (s->end == SEEN_READY)
		say(v, VERDICT_SKIP, "RFC 8689 4.2.1", "the message requires TLS, and REQUIRETLS is not offered");
	else if (s->end == SEEN_REFUSED || s->end == SEEN_PROTOCOL)
		say(v, VERDICT_SKIP, "RFC 5321 4.2.1", "refused under TLS: %s", s->text);
	else
		say(v, VERDICT_INCONCLUSIVE, "RFC 5321 4.2.1", "not usable under TLS: %s", s->text);
}

/* The clause by which TLS must not fail; "local" where it is the level alone. */
static const char *
tls_rule(const struct plan_host *h)
{
	if (h->need == PLAN_STS)
		return "RFC 8461 5";
	if (h->by_records)
		return "RFC 7672 2.2";
	return h->requiretls ? "RFC 8689 4.2.1" : "local";
}

/* A session in clear text: whether that will do is the need's to say. */
static void
judge_clear(const struct plan_host *h, const char *rule, const char *what, struct verdict *v)
{
	switch (h->need) {
	case PLAN_CLEAR:
		if (h->host != NULL && h->host->path != NULL)
			say(v, VERDICT_CLEAR, "local", "in clear text: %s", h->why);
		else
			say(v, VERDICT_CLEAR, "local", "in clear text: level no never uses STARTTLS");
		break;
	case PLAN_MAY:
		say(v, VERDICT_CLEAR, rule, "in clear text: %s", what);
		break;
	case PLAN_ENCRYPT:
	case PLAN_PKIX:
	case PLAN_STS:
	case PLAN_DANE:
		say(v, VERDICT_SKIP, tls_rule(h), "TLS is required, but %s", what);
		break;
	}
}

/* STARTTLS or the handshake failed where TLS is not required: the knob says what follows. */
static void
judge_fallback(const struct plan_host *h, enum seen_end end, const char *rule, const char *what,
    struct verdict *v)
{
	if (h->need == PLAN_MAY && !policy_falls_back(h, end))
		say(v, VERDICT_SKIP, rule, "%s, and fallback %s keeps mail from going in clear text", what,
		    fallback_names[h->fallback]);
	else
		judge_clear(h, rule, what, v);
}

static void
judge_starttls_refused(const struct plan_host *h, const struct seen *s, struct verdict *v)
{
	char *what = xasprintf("STARTTLS was answered with an error: %s", s->text);

	judge_fallback(h, SEEN_STARTTLS_REFUSED, "RFC 3207 4", what, v);
	free(what);
}

static void
judge_handshake_failed(const struct plan_host *h, const char *text, struct verdict *v)
{
	char *what = xasprintf("the TLS handshake failed: %s", text);

	if (h->need != PLAN_MAY)
		say(v, VERDICT_SKIP, "RFC 3207 4.1", "%s", what);
	else
		judge_fallback(h, SEEN_HANDSHAKE_FAILED, "RFC 3207 4.1", what, v);
	free(what);
}

static void
judge_session(const struct plan_host *h, const struct seen *s, struct verdict *v)
{
	switch (s->end) {
	case SEEN_READY:
		if (s->fell_back != NULL)
			judge_handshake_failed(h, s->fell_back, v);
		else
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
		say(v, VERDICT_SKIP, "RFC 3207 4.2", "%s", s->text);
		break;
	case SEEN_HANDSHAKE_FAILED:
		judge_handshake_failed(h, s->text, v);
		break;
	case SEEN_PROTOCOL:
		say(v, VERDICT_SKIP, "RFC 5321 4.2", "does not speak SMTP: %s", s->text);
		break;
	}
}

/* Whether what was seen tells anything of the host's TLS. */
static int
tells_of_tls(const struct seen *s)
{
	return s->tls || s->fell_back != NULL || s->end == SEEN_NO_STARTTLS ||
	    s->end == SEEN_STARTTLS_REFUSED || s->end == SEEN_HANDSHAKE_FAILED || s->end == SEEN_INJECTION;
}

/* RFC 8461 5: what mode enforce would have refused. */
static void
judge_testing(const struct plan_host *h, const struct seen *s, struct verdict *v)
{
	const struct finding *found = s->proof != NULL ? &s->proof->sts : NULL;

	if (h->testing == PLAN_TESTING_MISFIT) {
		v->testing_rule = "RFC 8461 4.1";
		v->testing = xasprintf("no mx pattern of the MTA-STS policy names it");
	} else if (h->testing == PLAN_TESTING_FITS && tells_of_tls(s) && !s->tls) {
		v->testing_rule = "RFC 8461 5";
		v->testing = xasprintf("no TLS: %s", s->fell_back != NULL ? s->fell_back : s->text);
	} else if (h->testing == PLAN_TESTING_FITS && s->tls && found != NULL &&
	    found->result == VERIFY_NO_MATCH) {
		v->testing_rule = found->rule;
		v->testing = xstrdup(found->why);
	}
}

/* What came of STARTTLS says nothing to a plan that does not use it, where the session was good before. */
static int
begun_with_starttls(const struct seen *s)
{
	return s->tls ? s->end == SEEN_READY :
	    s->end == SEEN_HANDSHAKE_FAILED || s->end == SEEN_INJECTION;
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
	if (h->need == PLAN_CLEAR && begun_with_starttls(s))
		judge_clear(h, "local", "", v);
	else if (s->tls)
		judge_tls(h, s, v);
	else
		judge_session(h, s, v);
	judge_testing(h, s, v);
	/* RFC 8689 4.2.1: where no host meets what the message requires, its sender is told. */
	if (v->word == VERDICT_SKIP && h->requiretls && (tells_of_tls(s) || s->end == SEEN_READY))
		v->status = "5.7.30";
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

static int
all_bound(const struct verdict *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i].word == VERDICT_AUTH && !v[i].bound)
			return 0;
	return 1;
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
	else if (!all_bound(v, n))
		say(out, VERDICT_ENC, "RFC 7672 2.2.1",
		    "its hosts are authenticated, but the MX records that "
		    "name them are not signed: mail goes encrypted");
	else if ((w = find_verdict(v, n, VERDICT_AUTH)) != NULL) {
		say(out, VERDICT_AUTH, w->rule, "mail goes encrypted to authenticated hosts only");
		out->bound = 1;
	}
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
