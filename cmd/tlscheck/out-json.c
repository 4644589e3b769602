/*
 * out-json - a check as one JSON object on one line; the keys are documented in mtatls-json(7).
 */
#include <string.h>
#include <stdlib.h>

#include "alloc.h"
#include "cert.h"
#include "check.h"
#include "json.h"
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

static json_t *
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
reply_value(const struct smtp_reply *r)
{
	struct buf b = BUF_INIT;
	json_t *v;

	if (r->code == 0)
		return json_null();
	smtp_reply_print(&b, r);
	v = json_bytes(b.p, b.len);
	buf_clear(&b);
	return v;
}

static json_t *
records(const struct probe *p)
{
	const struct facts_host *fh = p->host->host;
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
			    i < p->contact.proof.dane.nuse ? verify_use_name(p->contact.proof.dane.use[i]) : NULL);
		json_set_str(o, "why", why);
		json_push(a, o);
		free(rdata);
	}
	return a;
}

static const char *
tlsa_state_name(enum facts_tlsa state)
{
	static const char *const names[] = { [FACTS_TLSA_NOT_ASKED] = "not-asked",
		[FACTS_TLSA_NO_NAME] = "no-name", [FACTS_TLSA_UNSIGNED] = "host-unsigned",
		[FACTS_TLSA_ABSENT] = "absent", [FACTS_TLSA_INSECURE] = "insecure",
		[FACTS_TLSA_FOUND] = "found", [FACTS_TLSA_FAILED] = "failed" };

	return names[state];
}

static json_t *
probe_object(const struct probe *p)
{
	const struct facts_host *fh = p->host->host;
	char addr[INET6_ADDRSTRLEN];
	json_t *o = object();

	json_set_str(o, "host", fh->name);
	json_set_int(o, "preference", fh->preference);
	json_set_str(o, "address", p->addr != NULL ? facts_addr_text(p->addr, addr) : NULL);
	set_verdict(o, &p->verdict);
	json_set_str(o, "need", p->host->act == PLAN_TRY ? plan_need_name(p->host->need) : NULL);
	json_set_str(o, "address_dnssec",
	    fh->addrs == FACTS_ADDRS_FOUND ? dns_sec_name(fh->addrs_sec) : NULL);
	json_set_str(o, "tlsa_state", tlsa_state_name(fh->tlsa_state));
	json_set_str(o, "tlsa_base", fh->tlsa_base);
	json_set(o, "tlsa", records(p));
	json_set_int(o, "tlsa_damaged", (int64_t)fh->tlsa_damaged);
	json_set(o, "banner", reply_value(&p->contact.client.banner));
	json_set(o, "starttls", reply_value(&p->contact.client.starttls));
	json_set(o, "tls", p->contact.seen.tls ? tls_object(&p->contact.tls) : json_null());
	return o;
}

static const char *
mx_name(enum facts_mx mx)
{
	static const char *const names[] = { [FACTS_MX_FOUND] = "found",
		[FACTS_MX_IMPLICIT] = "implicit",
		[FACTS_MX_LOCAL] = "local",
		[FACTS_MX_NULL] = "null",
		[FACTS_MX_NODOMAIN] = "no-domain",
		[FACTS_MX_FAILED] = "failed" };

	return names[mx];
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
warnings_array(const struct check *c)
{
	json_t *a = array();

	warn_each(c, push_warning, a);
	return a;
}

int
out_json(const struct check *c, struct fail *f)
{
	json_t *o = object(), *hosts = array();
	size_t i;
	int rc;

	json_set_str(o, "domain", c->destination);
	set_verdict(o, &c->verdict);
	json_set_str(o, "tls_level", policy_tls_name(c->plan.policy.tls));
	json_set_str(o, "dane", policy_dane_name(c->plan.policy.dane));
	json_set_str(o, "mx", mx_name(c->facts->mx));
	json_set_str(o, "mx_dnssec", dns_sec_name(c->facts->mx_sec));
	for (i = 0; i < c->nprobe; i++)
		json_push(hosts, probe_object(&c->probe[i]));
	json_set(o, "hosts", hosts);
	json_set_int(o, "hosts_left_out", (int64_t)c->facts->hosts_left_out);
	json_set_int(o, "addresses_left_out", (int64_t)c->facts->addrs_left_out);
	json_set(o, "warnings", warnings_array(c));
	json_set(o, "trace", trace_array(&c->plan.trace));
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}
