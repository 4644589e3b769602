#include "tlsrpt_judge.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* ---- the result ---- */

static enum tlsrpt_result
of_finding(const struct finding *found, const char **why)
{
	if (found == NULL || found->result == VERIFY_NOT_ASKED) {
		*why = "the chain was not verified";
		return TLSRPT_VALIDATION_FAILURE;
	}
	if (found->result == VERIFY_MATCH)
		return TLSRPT_GOOD;
	*why = found->why;
	switch (found->reason) {
	case VERIFY_REASON_NAME:
		return TLSRPT_CERTIFICATE_HOST_MISMATCH;
	case VERIFY_REASON_EXPIRED:
		return TLSRPT_CERTIFICATE_EXPIRED;
	default:
		return TLSRPT_CERTIFICATE_NOT_TRUSTED;
	}
}

/* TLS is up: the chain decides, under STS in mode testing as if it were enforced (RFC 8461 5). */
static enum tlsrpt_result
of_tls(const struct plan_host *h, const struct seen *s, const char **why)
{
	const struct proof *p = s->proof;
	enum tlsrpt_result result;

	switch (h->need) {
	case PLAN_DANE:
		return of_finding(p != NULL ? &p->dane : NULL, why);
	case PLAN_STS:
		result = of_finding(p != NULL ? &p->sts : NULL, why);
		/* What the level asks for beside it is ours, and yet keeps mail from going there. */
		return result == TLSRPT_GOOD && h->check ? of_finding(&p->level, why) : result;
	default:
		break;
	}
	if (h->testing == PLAN_TESTING_FITS)
		return of_finding(p != NULL ? &p->sts : NULL, why);
	return h->need == PLAN_PKIX ? of_finding(p != NULL ? &p->level : NULL, why) : TLSRPT_GOOD;
}

static int
of_session(const struct seen *s, enum tlsrpt_result *result, const char **why)
{
	*why = s->fell_back != NULL ? s->fell_back : s->text;
	*result = TLSRPT_VALIDATION_FAILURE;
	if (s->fell_back != NULL)
		return 1;
	switch (s->end) {
	case SEEN_NO_STARTTLS:
	case SEEN_STARTTLS_REFUSED:
		*result = TLSRPT_STARTTLS_NOT_SUPPORTED;
		return 1;
	case SEEN_INJECTION:
	case SEEN_HANDSHAKE_FAILED:
		return 1;
	case SEEN_READY:
	case SEEN_NO_CONNECTION:
	case SEEN_TEMPORARY:
	case SEEN_REFUSED:
	case SEEN_PROTOCOL:
		break;
	}
	return 0;
}

static size_t
usable(const struct facts_host *fh)
{
	size_t i, n = 0;

	for (i = 0; i < fh->ntlsa; i++)
		n += tlsa_usable(&fh->tlsa[i], NULL) != 0;
	return n;
}

/* The host is passed over for want of what a policy asks: that is a session which could not be. */
static int
of_skip(const struct plan_host *h, enum tlsrpt_result *result, const char **why)
{
	*why = h->why;
	if (h->act != PLAN_SKIP || h->need < PLAN_STS)
		return 0;
	if (h->need == PLAN_STS)
		*result = TLSRPT_VALIDATION_FAILURE;
	else if (h->host->tlsa_state == FACTS_TLSA_FAILED) {
		/* The words tell of our resolver, which is nobody's business. */
		*why = NULL;
		*result = TLSRPT_DNSSEC_INVALID;
	}
	else if (h->by_records && usable(h->host) == 0)
		*result = TLSRPT_TLSA_INVALID;
	else
		*result = TLSRPT_DANE_REQUIRED;
	return 1;
}

int
tlsrpt_judge(const struct plan_host *h, const struct seen *s, enum tlsrpt_result *result, const char **why)
{
	*why = NULL;
	*result = TLSRPT_GOOD;
	if (s == NULL || h->act != PLAN_TRY)
		return of_skip(h, result, why);
	if (h->need == PLAN_CLEAR)
		return 0;
	if (!s->tls && !of_session(s, result, why))
		return 0;
	if (h->testing == PLAN_TESTING_MISFIT) {
		*result = TLSRPT_VALIDATION_FAILURE;
		*why = "no mx pattern of the MTA-STS policy names it";
	} else if (s->tls)
		*result = of_tls(h, s, why);
	return 1;
}

/* ---- the policies ---- */

struct strings {
	char *v[TLSRPT_SUMS_STRINGS];
	size_t n;
};

static void
add(struct strings *s, char *text)
{
	if (s->n < TLSRPT_SUMS_STRINGS)
		s->v[s->n++] = text;
	else
		free(text);
}

static void
clear(struct strings *s)
{
	while (s->n > 0)
		free(s->v[--s->n]);
}

/* The policy domain is the TLSA base domain, the policy its records (RFC 8460 1.1, 4.4). */
static void
count_tlsa(struct tlsrpt_sums *sums, const struct plan_host *h, struct tlsrpt_session x)
{
	const struct facts_host *fh = h->host;
	struct strings strings = { .n = 0 };
	size_t i;

	for (i = 0; i < fh->ntlsa; i++)
		add(&strings, tlsa_rdata(&fh->tlsa[i]));
	x.type = TLSRPT_TLSA;
	x.policy_domain = fh->tlsa_base != NULL ? fh->tlsa_base : fh->name;
	x.string = strings.v;
	x.nstrings = strings.n;
	tlsrpt_sums_add(sums, &x);
	clear(&strings);
}

/* The lines of its text (RFC 8460 4.4). */
static void
count_sts(struct tlsrpt_sums *sums, const struct facts *f, struct tlsrpt_session x)
{
	struct strings strings = { .n = 0 };
	size_t i;

	if (f->sts_state == FACTS_STS_FOUND) {
		add(&strings, xstrdup("version: STSv1"));
		add(&strings, xasprintf("mode: %s", sts_mode_name(f->sts.mode)));
		for (i = 0; i < f->sts.nmx; i++)
			add(&strings, xasprintf("mx: %s", f->sts.mx[i]));
		add(&strings, xasprintf("max_age: %u", f->sts.max_age));
	}
	x.type = TLSRPT_STS;
	x.policy_domain = f->domain;
	x.string = strings.v;
	x.nstrings = strings.n;
	x.pattern = f->sts.mx;
	x.npatterns = f->sts.nmx;
	tlsrpt_sums_add(sums, &x);
	clear(&strings);
}

static void
count_none(struct tlsrpt_sums *sums, const struct facts *f, struct tlsrpt_session x)
{
	x.type = TLSRPT_NO_POLICY;
	x.policy_domain = f->domain;
	tlsrpt_sums_add(sums, &x);
}

static enum tlsrpt_result
of_fault(enum facts_sts_fault fault)
{
	return fault == FACTS_STS_UNFETCHED ? TLSRPT_STS_POLICY_FETCH_ERROR :
	    fault == FACTS_STS_UNTRUSTED ? TLSRPT_STS_WEBPKI_INVALID : TLSRPT_STS_POLICY_INVALID;
}

/* DANE does not decide.  What kept another policy from deciding is a failure of that one (RFC 8460 4: overlapping). */
static void
count_without_dane(struct tlsrpt_sums *sums, const struct facts *f, const struct plan_host *h, struct tlsrpt_session x)
{
	struct tlsrpt_session fault = { .domain = x.domain, .uri = x.uri, .nuris = x.nuris,
		.sending_ip = x.sending_ip };

	if (h->by_records) {
		fault.result = TLSRPT_TLSA_INVALID;
		fault.mx = h->host->name;
		count_tlsa(sums, h, fault);
	}
	if (f->sts_fault != FACTS_STS_WELL) {
		fault.result = of_fault(f->sts_fault);
		fault.mx = NULL;
		count_sts(sums, f, fault);
	}
	if (h->need == PLAN_STS || h->testing != PLAN_TESTING_NONE)
		count_sts(sums, f, x);
	else
		count_none(sums, f, x);
}

void
tlsrpt_count(struct tlsrpt_sums *sums, const struct plan *p, const struct plan_host *h, const struct tlsrpt_session *what)
{
	const struct facts *f = p->facts;
	char *uri[TLSRPT_SUMS_URIS];
	struct tlsrpt_session x = *what;

	x.domain = f->domain;
	x.mx = h->host->name;
	x.uri = uri;
	for (x.nuris = 0; x.nuris < f->tlsrpt.n && x.nuris < TLSRPT_SUMS_URIS; x.nuris++)
		uri[x.nuris] = f->tlsrpt.rua[x.nuris].uri;
	if (f->tlsrpt_state != FACTS_TLSRPT_FOUND || x.nuris == 0)
		return;
	if (h->need == PLAN_DANE)
		count_tlsa(sums, h, x);
	else
		count_without_dane(sums, f, h, x);
}
