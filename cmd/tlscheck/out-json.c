/*
 * out-json - a report as one JSON object on one line; the keys are documented in mtatls-json(7).
 */
#include <string.h>
#include <stdlib.h>

#include "alloc.h"
#include "answer.h"
#include "cert.h"
#include "certs.h"
#include "json.h"
#include "out.h"
#include "text.h"
#include "warn.h"

static json_t *
object(void)
{
	json_t *o = json_object();

	if (o == NULL)
		alloc_failed();
	return o;
}

static json_t *
array(void)
{
	json_t *a = json_array();

	if (a == NULL)
		alloc_failed();
	return a;
}

static void
set_verdict(json_t *o, const struct verdict *v)
{
	json_set_str(o, "verdict", verdict_name(v->word));
	json_set_str(o, "rule", v->rule);
	json_set_str(o, "reason", v->why);
}

static json_t *
names_of(const X509 *cert)
{
	struct cert_names names = CERT_NAMES_INIT;
	json_t *a = array();
	size_t i;

	cert_dns_names(cert, &names);
	for (i = 0; i < names.n; i++)
		json_push(a, json_bytes(names.v[i], strlen(names.v[i])));
	cert_names_clear(&names);
	return a;
}

static json_t *
cert_object(const X509 *cert)
{
	char fp[CERT_FINGERPRINT_SIZE];
	char *subject = cert_subject(cert), *issuer = cert_issuer(cert),
	     *key = cert_key_describe(cert);
	json_t *o = object();

	json_set_str(o, "subject", subject);
	json_set_str(o, "issuer", issuer);
	json_set(o, "names", names_of(cert));
	json_set_str(o, "key", key);
	json_set_time(o, "not_before", cert_not_before(cert));
	json_set_time(o, "not_after", cert_not_after(cert));
	json_set_str(o, "sha256", cert_fingerprint(fp, cert));
	json_set_bool(o, "demo", cert_is_demo(cert));
	free(subject);
	free(issuer);
	free(key);
	return o;
}

json_t *
tls_object(const struct tls_info *t)
{
	json_t *o = object(), *chain = array();
	int i, n = t->chain != NULL ? sk_X509_num(t->chain) : 0;

	json_set_str(o, "protocol", t->protocol);
	json_set_str(o, "cipher", t->cipher);
	json_set_int(o, "bits", t->bits);
	json_set_bool(o, "resumed", t->resumed);
	json_set_str(o, "group", t->group[0] != '\0' ? t->group : NULL);
	json_set_str(o, "signature", t->sigalg[0] != '\0' ? t->sigalg : NULL);
	for (i = 0; i < n; i++)
		json_push(chain, cert_object(sk_X509_value(t->chain, i)));
	json_set(o, "chain", chain);
	return o;
}

static json_t *
records(const struct judged_host *jh)
{
	const struct facts_host *fh = jh->host->host;
	json_t *a = array();
	size_t i;

	for (i = 0; i < fh->ntlsa; i++) {
		char *rdata = tlsa_rdata(&fh->tlsa[i]);
		const char *why = NULL;
		json_t *o = object();

		json_set_str(o, "rdata", rdata);
		if (!tlsa_usable(&fh->tlsa[i], &why))
			json_set_str(o, "use", verify_use_name(VERIFY_USE_UNUSABLE));
		else
			json_set_str(o, "use",
			    i < jh->proof.dane.nuse ? verify_use_name(jh->proof.dane.use[i]) : NULL);
		json_set_str(o, "why", why);
		json_push(a, o);
		free(rdata);
	}
	return a;
}

/* What the connection showed; null where nothing was. */
static void
set_shown(json_t *o, const struct shown *s)
{
	json_set_str(o, "banner", s != NULL ? s->banner : NULL);
	json_set_str(o, "starttls", s != NULL ? s->starttls : NULL);
	json_set(o, "tls", s != NULL && s->tls ? tls_object(&s->info) : json_null());
}

static json_t *
host_object(const struct judged_host *jh)
{
	const struct facts_host *fh = jh->host->host;
	char addr[INET6_ADDRSTRLEN];
	json_t *o = object();

	json_set_str(o, "host", fh->name);
	json_set_int(o, "preference", fh->preference);
	json_set_str(o, "address", jh->addr != NULL ? facts_addr_text(jh->addr, addr) : NULL);
	set_verdict(o, &jh->verdict);
	json_set_bool(o, "bound", jh->verdict.bound);
	json_set_str(o, "sts_testing", jh->verdict.testing);
	json_set_str(o, "need", jh->host->act == PLAN_TRY ? plan_need_name(jh->host->need) : NULL);
	json_set_str(o, "address_dnssec",
	    fh->addrs == FACTS_ADDRS_FOUND ? dns_sec_name(fh->addrs_sec) : NULL);
	json_set_str(o, "tlsa_state", evidence_tlsa_name(fh->tlsa_state));
	json_set_str(o, "tlsa_base", fh->tlsa_base);
	json_set(o, "tlsa", records(jh));
	json_set_int(o, "tlsa_damaged", (int64_t)fh->tlsa_damaged);
	set_shown(o, jh->shown);
	return o;
}

static json_t *
trace_array(const struct policy_trace *t)
{
	json_t *a = array();
	size_t i;

	for (i = 0; i < t->n; i++) {
		json_t *o = object();

		json_set_str(o, "fact", t->v[i].fact);
		json_set_str(o, "rule", t->v[i].rule);
		json_set_str(o, "then", t->v[i].then);
		json_push(a, o);
	}
	return a;
}

static void
push_warning(void *arg, enum warn_kind kind, const char *rule, const char *text)
{
	static const char *const kinds[] = { [WARN_RESOLVER] = "resolver", [WARN_DENIED] = "denied",
		[WARN_UNASKED] = "not-asked" };
	json_t *o = object();

	json_set_str(o, "kind", kinds[kind]);
	json_set_str(o, "rule", rule);
	json_set_str(o, "text", text);
	json_push(arg, o);
}

static json_t *
warnings_array(const struct judged *j)
{
	json_t *a = array();

	warn_each(j, push_warning, a);
	return a;
}

static json_t *
level_array(const struct levels *levels)
{
	json_t *a = array();
	size_t i;

	for (i = 0; i < levels->n; i++) {
		json_t *o = object();

		json_set_str(o, "tls_level", policy_tls_name(levels->v[i].tls));
		json_set_str(o, "dane", policy_dane_name(levels->v[i].dane));
		set_verdict(o, &levels->v[i].verdict);
		json_set_str(o, "answer", levels->v[i].answer);
		json_push(a, o);
	}
	return a;
}

static json_t *
advice_array(const struct advice *advice)
{
	json_t *a = array();
	size_t i;

	for (i = 0; i < advice->n; i++) {
		json_t *o = object();

		json_set_str(o, "problem", advice->v[i].problem);
		json_set_str(o, "host", advice->v[i].host);
		json_set_str(o, "text", advice->v[i].text);
		json_push(a, o);
	}
	return a;
}

static void
set_policy(json_t *o, const struct policy *p)
{
	json_set_str(o, "tls_level", policy_tls_name(p->tls));
	json_set_str(o, "dane", policy_dane_name(p->dane));
	json_set_str(o, "sts_setting", policy_word(p, POLICY_KEY_STS));
	json_set_str(o, "requiretls", policy_word(p, POLICY_KEY_REQUIRETLS));
	json_set_str(o, "fallback", policy_word(p, POLICY_KEY_FALLBACK));
	json_set_str(o, "tls_min", policy_word(p, POLICY_KEY_TLS_MIN));
	json_set_bool(o, "fqdn_check", p->fqdn_check);
}

static void
set_facts(json_t *o, const struct facts *f)
{
	json_set_str(o, "mx", evidence_mx_name(f->mx));
	json_set_str(o, "mx_dnssec", dns_sec_name(f->mx_sec));
	json_set(o, "sts", out_sts_json(f));
	json_set(o, "tlsrpt", out_tlsrpt_json(f));
	json_set_int(o, "hosts_left_out", (int64_t)f->hosts_left_out);
	json_set_int(o, "addresses_left_out", (int64_t)f->addrs_left_out);
}

int
out_json(const struct report *r, struct fail *f)
{
	const struct judged *j = r->judged;
	json_t *o = object(), *hosts = array();
	char *text = answer(j);
	size_t i;
	int rc;

	json_set_str(o, "domain", j->evidence->destination);
	set_verdict(o, &j->verdict);
	json_set_str(o, "answer", text);
	set_policy(o, &j->plan.policy);
	set_facts(o, j->evidence->facts);
	json_set_time(o, "time", j->evidence->time);
	json_set_time(o, "judged_at", j->now);
	for (i = 0; i < j->n; i++)
		json_push(hosts, host_object(&j->v[i]));
	json_set(o, "hosts", hosts);
	json_set(o, "warnings", warnings_array(j));
	if (r->levels != NULL)
		json_set(o, "levels", level_array(r->levels));
	json_set(o, "advice", advice_array(r->advice));
	json_set(o, "trace", trace_array(&j->plan.trace));
	rc = json_line(stdout, o, f);
	json_decref(o);
	free(text);
	return rc;
}
