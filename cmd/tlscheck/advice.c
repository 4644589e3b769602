#include "advice.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "text.h"

struct maker {
	const struct judged *j;
	int warn_days;
	struct advice *out;
	const char *about;	/* host or destination that is looked at */
};

__attribute__((format(printf, 3, 4))) static void
advise(struct maker *m, const char *problem, const char *fmt, ...)
{
	struct advice_item *item;
	char *host = text_escape(m->about, strlen(m->about)), *text;
	va_list ap;
	size_t i;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	for (i = 0; i < m->out->n; i++)
		if (strcmp(m->out->v[i].host, host) == 0 && strcmp(m->out->v[i].text, text) == 0) {
			free(host);
			free(text);
			return;
		}
	m->out->v = xreallocarray(m->out->v, m->out->n + 1, sizeof *m->out->v);
	item = &m->out->v[m->out->n++];
	item->problem = problem;
	item->host = host;
	item->text = text;
}

/* ---- TLSA records ---- */

static const X509 *
leaf_of(const struct judged_host *jh)
{
	return jh->shown != NULL && jh->shown->tls ? jh->shown->info.cert : NULL;
}

/* The certificate of this address, or of another of the same host where the plan connects to none. */
static const X509 *
leaf_of_host(const struct maker *m, const struct judged_host *jh)
{
	const struct evidence *ev = m->j->evidence;
	size_t i, host = jh->host->host - ev->facts->host;

	if (jh->shown != NULL)
		return leaf_of(jh);
	for (i = 0; i < ev->nshown; i++)
		if (ev->shown[i].host == host && ev->shown[i].tls)
			return ev->shown[i].info.cert;
	return NULL;
}

/* "_25._tcp.mx.example. IN TLSA 3 1 1 HEX" of the key that the server showed; NULL: it showed none. */
static char *
record_for(const struct maker *m, const struct judged_host *jh)
{
	const struct facts_host *fh = jh->host->host;
	const char *base = fh->tlsa_base != NULL ? fh->tlsa_base : fh->name;
	const X509 *leaf = leaf_of_host(m, jh);
	struct tlsa t = TLSA_INIT;
	char *owner = NULL, *rdata = NULL, *line = NULL;

	if (leaf == NULL || text_is_address(base) ||
	    (owner = tlsa_owner(base, m->j->evidence->port, "tcp", NULL)) == NULL)
		return NULL;
	if (tlsa_of_cert(&t, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256, leaf, NULL) == 0) {
		rdata = tlsa_rdata(&t);
		line = xasprintf("%s IN TLSA %s", owner, rdata);
	}
	free(rdata);
	tlsa_clear(&t);
	free(owner);
	return line;
}

static void
advise_mismatch(struct maker *m, const struct judged_host *jh)
{
	const struct finding *found = &jh->proof.dane;
	char *record = record_for(m, jh);

	if (found->rule != NULL && strcmp(found->rule, "RFC 7672 3.2.2") == 0)
		advise(m, "tlsa-name", "install a certificate with the name %s, which usage 2 asks for, or publish "
		    "\"%s\"", jh->host->host->tlsa_base, record != NULL ? record : "a record of usage 3");
	else if (leaf_of(jh) != NULL && found->depth >= 0 && cert_not_after(leaf_of(jh)) < m->j->now)
		advise(m, "tlsa-expired", "renew the certificate: under a record of usage 2 its dates count");
	else if (record != NULL)
		advise(m, "tlsa-mismatch", "publish \"%s\", or install the certificate that the published "
		    "record describes", record);
	free(record);
}

static void
advise_unusable(struct maker *m, const struct judged_host *jh)
{
	char *record = record_for(m, jh);

	advise(m, "tlsa-unusable", "no published TLSA record is one for SMTP%s%s%s",
	    record != NULL ? ": publish \"" : ": usages 2 and 3 are", record != NULL ? record : "",
	    record != NULL ? "\"" : "");
	free(record);
}

static void
advise_no_proof(struct maker *m, const struct judged_host *jh)
{
	char *record = record_for(m, jh);

	switch (jh->host->host->tlsa_state) {
	case FACTS_TLSA_ABSENT:
		if (record != NULL)
			advise(m, "no-tlsa", "to let senders verify the server, publish \"%s\"", record);
		else if (m->j->plan.policy.dane == POLICY_DANE_MANDATORY)
			advise(m, "no-tlsa", "publish a TLSA record 3 1 1 of the server's key, which tlsa-gen makes");
		break;
	case FACTS_TLSA_INSECURE:
		advise(m, "tlsa-unsigned", "sign the zone of its TLSA records with DNSSEC: unsigned they count for "
		    "nothing");
		break;
	case FACTS_TLSA_UNSIGNED:
		advise(m, "host-unsigned", "sign the zone of this host with DNSSEC, so that TLSA records can stand "
		    "in it");
		break;
	default:
		break;
	}
	free(record);
}

static void
advise_tlsa(struct maker *m, const struct judged_host *jh)
{
	const struct facts_host *fh = jh->host->host;

	if (!policy_wants_tlsa(&m->j->plan.policy))
		return;
	if (fh->tlsa_state == FACTS_TLSA_FAILED)
		advise(m, "tlsa-failed", "mend the DNS: its servers have to answer for the TLSA records, or prove "
		    "that there are none; until then no mail comes from those who ask");
	else if (fh->tlsa_state == FACTS_TLSA_FOUND && jh->host->usable == 0)
		advise_unusable(m, jh);
	else if (jh->proof.dane.result == VERIFY_NO_MATCH)
		advise_mismatch(m, jh);
	else if (jh->verdict.word != VERDICT_AUTH)
		advise_no_proof(m, jh);
}

/* ---- a CA's word: the local level, MTA-STS ---- */

static void
advise_chain(struct maker *m, const struct finding *found)
{
	switch (found->reason) {
	case VERIFY_REASON_EXPIRED:
	case VERIFY_REASON_NOT_YET_VALID:
		advise(m, "cert-dates", "install a certificate that is valid now, all of its chain: %s", found->why);
		break;
	case VERIFY_REASON_NAME:
		advise(m, "cert-name", "install a certificate with a dNSName that is asked for: %s", found->why);
		break;
	case VERIFY_REASON_UNKNOWN_CA:
		advise(m, "cert-ca", "install a certificate of a CA that senders trust, and send the intermediate "
		    "certificates with it: %s", found->why);
		break;
	default:
		advise(m, "cert-bad", "replace its certificate or chain: %s", found->why);
		break;
	}
}

static void
advise_ca(struct maker *m, const struct judged_host *jh)
{
	const struct plan_host *h = jh->host;

	if (h->act == PLAN_SKIP && h->need == PLAN_STS)
		advise(m, "sts-mx", "add it to the mx patterns of the domain's MTA-STS policy, or take it out of the MX "
		    "records");
	else if (jh->proof.sts.result == VERIFY_NO_MATCH && h->need == PLAN_STS)
		advise_chain(m, &jh->proof.sts);
	else if (jh->proof.level.result == VERIFY_NO_MATCH)
		advise_chain(m, &jh->proof.level);
	if (jh->verdict.testing != NULL)
		advise(m, "sts-testing", "before the MTA-STS policy leaves mode testing: it would refuse this host: %s",
		    jh->verdict.testing);
}

/* ---- the session ---- */

static void
advise_session(struct maker *m, const struct judged_host *jh)
{
	const struct shown *s = jh->shown;

	if (s == NULL || s->asked == SHOWN_NOTHING)
		return;
	switch (s->end) {
	case SEEN_NO_STARTTLS:
		advise(m, "no-starttls", "turn STARTTLS on");
		break;
	case SEEN_STARTTLS_REFUSED:
		advise(m, "starttls-refused", "STARTTLS is offered and then refused (%s): mend the server's TLS, most "
		    "often its key or certificate", s->text);
		break;
	case SEEN_HANDSHAKE_FAILED:
		advise(m, "handshake-failed", "the TLS handshake does not succeed (%s): look at the server's protocol "
		    "versions, ciphers and certificate", s->text);
		break;
	case SEEN_INJECTION:
		advise(m, "injection", "find out what sends clear text behind the answer to STARTTLS: the server, or "
		    "somebody in between");
		break;
	case SEEN_NO_CONNECTION:
		advise(m, "no-connection", "no connection from here (%s): is the server up, and is port %u open to "
		    "this network?", s->text, m->j->evidence->port);
		break;
	case SEEN_TEMPORARY:
		advise(m, "temporary", "no session for now (%s): try again later", s->text);
		break;
	case SEEN_REFUSED:
		advise(m, "refused", "the server refuses this client (%s): ask from another network", s->text);
		break;
	case SEEN_PROTOCOL:
		advise(m, "not-smtp", "what answers there is not an SMTP server");
		break;
	case SEEN_READY:
		break;
	}
}

/* ---- the certificate ---- */

/* A match by usage 3 does not look at dates. */
static const char *
whom_it_concerns(const struct judged_host *jh)
{
	return jh->proof.dane.result == VERIFY_MATCH && jh->proof.dane.depth == 0 ?
	    ": DANE does not mind, senders without DANE may" : "";
}

/* Said already, as the reason why it does not verify. */
static int
is_refused_for_its_end(const struct judged_host *jh)
{
	return jh->proof.level.reason == VERIFY_REASON_EXPIRED || jh->proof.sts.reason == VERIFY_REASON_EXPIRED;
}

static void
advise_certificate(struct maker *m, const struct judged_host *jh)
{
	const X509 *leaf = leaf_of(jh);
	char until[TEXT_TIME_MAX];
	int64_t end;

	if (leaf == NULL)
		return;
	end = cert_not_after(leaf);
	if (cert_is_demo(leaf))
		advise(m, "demo", "replace its certificate, which is %s", CERT_DEMO_WARNING);
	if (end < m->j->now && !is_refused_for_its_end(jh))
		advise(m, "expired", "its certificate ended at %s%s: renew it", text_time(until, end),
		    whom_it_concerns(jh));
	else if (end >= m->j->now && m->warn_days >= 0 && end - m->j->now < (int64_t)m->warn_days * 86400)
		advise(m, "expires", "its certificate ends at %s, within %d days%s: renew it",
		    text_time(until, end), m->warn_days, whom_it_concerns(jh));
}

/* Before TLS 1.2: RFC 8996. */
static void
advise_protocol(struct maker *m, const struct judged_host *jh)
{
	const char *p = jh->shown != NULL && jh->shown->tls ? jh->shown->info.protocol : NULL;

	if (p == NULL)
		return;
	if (strcmp(p, "TLSv1") == 0 || strcmp(p, "TLSv1.1") == 0)
		advise(m, "old-protocol", "let it speak TLS 1.2 or 1.3: %s is withdrawn (RFC 8996)", p);
}

/* ---- the names and addresses ---- */

static void
advise_addresses(struct maker *m, const struct plan_host *h)
{
	if (h->host->addrs == FACTS_ADDRS_NONE)
		advise(m, "no-address", "give it an address, or take it out of the MX records");
	else if (h->host->addrs == FACTS_ADDRS_FAILED)
		advise(m, "address-failed", "mend the DNS: its addresses cannot be looked up");
}

static void
advise_domain(struct maker *m)
{
	const struct facts *f = m->j->evidence->facts;

	switch (f->mx) {
	case FACTS_MX_FAILED:
		advise(m, "mx-failed", "mend the DNS of the domain, or of the resolver that was asked: its MX records "
		    "cannot be looked up");
		break;
	case FACTS_MX_NODOMAIN:
		advise(m, "no-domain", "there is no such domain: is it spelt right?");
		break;
	case FACTS_MX_FOUND:
	case FACTS_MX_IMPLICIT:
		if (f->mx_sec == DNS_INSECURE && m->j->plan.policy.dane != POLICY_DANE_NONE)
			advise(m, "mx-unsigned", "sign the domain with DNSSEC: unsigned, its MX records can be "
			    "replaced by anyone on the way");
		break;
	default:
		break;
	}
}

void
advice_make(const struct judged *j, int warn_days, struct advice *out)
{
	struct maker m = { .j = j, .warn_days = warn_days, .out = out, .about = j->evidence->destination };
	size_t i;

	memset(out, 0, sizeof *out);
	advise_domain(&m);
	for (i = 0; i < j->n; i++) {
		const struct judged_host *jh = &j->v[i];

		m.about = jh->host->host->name;
		advise_addresses(&m, jh->host);
		advise_session(&m, jh);
		advise_ca(&m, jh);
		advise_tlsa(&m, jh);
		advise_certificate(&m, jh);
		advise_protocol(&m, jh);
	}
}

void
advice_clear(struct advice *a)
{
	size_t i;

	for (i = 0; i < a->n; i++) {
		free(a->v[i].host);
		free(a->v[i].text);
	}
	free(a->v);
	memset(a, 0, sizeof *a);
}

int
advice_first_end(const struct judged *j, int64_t *when)
{
	int found = 0;
	size_t i;

	for (i = 0; i < j->n; i++) {
		const X509 *leaf = leaf_of(&j->v[i]);

		if (leaf == NULL || (found && cert_not_after(leaf) >= *when))
			continue;
		*when = cert_not_after(leaf);
		found = 1;
	}
	return found;
}
