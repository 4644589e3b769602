/*
 * inspect-json - what was found of a server, as one JSON object on one line: mtatls-json(7).
 */
#include <string.h>
#include <stdlib.h>

#include <openssl/pem.h>

#include "alloc.h"
#include "inspect.h"
#include "json.h"
#include "certs.h"

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
finding_object(const struct finding *found)
{
	json_t *o;

	if (found->result == VERIFY_NOT_ASKED)
		return json_null();
	o = object();
	json_set_bool(o, "good", found->result == VERIFY_MATCH);
	json_set_str(o, "fault", found->reason != VERIFY_REASON_NONE ? verify_reason_name(found->reason) : NULL);
	json_set_str(o, "rule", found->rule);
	json_set_str(o, "reason", found->why);
	return o;
}

static json_t *
records(const struct facts_host *fh, const struct finding *found)
{
	json_t *a = array();
	size_t i;

	for (i = 0; i < fh->ntlsa; i++) {
		char *rdata = tlsa_rdata(&fh->tlsa[i]);
		json_t *o = object();

		json_set_str(o, "rdata", rdata);
		json_set_str(o, "use", i < found->nuse ? verify_use_name(found->use[i]) : NULL);
		json_push(a, o);
		free(rdata);
	}
	return a;
}

static json_t *
pem_of(STACK_OF(X509) *chain)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int i, n = chain != NULL ? sk_X509_num(chain) : 0;
	const char *p = NULL;
	json_t *v;
	long len;

	if (bio == NULL)
		alloc_failed();
	for (i = 0; i < n; i++)
		if (PEM_write_bio_X509(bio, sk_X509_value(chain, i)) != 1)
			alloc_failed();
	len = BIO_get_mem_data(bio, &p);
	v = json_bytes(p != NULL ? p : "", len > 0 ? (size_t)len : 0);
	BIO_free(bio);
	return v;
}

static json_t *
key_object(const struct inspect *in, const struct inspect_host *h, const struct inspect_key *k)
{
	json_t *o = object();

	json_set_str(o, "key", k->step == SURVEY_FIRST ? NULL : survey_name(k->step));
	set_verdict(o, &k->verdict);
	json_set(o, "tls", k->reach->up ? tls_object(&k->reach->tls) : json_null());
	json_set(o, "tlsa", records(h->host->host, &k->proof.dane));
	json_set(o, "dane", finding_object(&k->proof.dane));
	json_set(o, "pkix", finding_object(&k->pkix));
	if (in->env->conf.pem)
		json_set(o, "pem", pem_of(k->reach->tls.chain));
	return o;
}

static const char *
answer_word(enum survey_answer a)
{
	static const char *const words[] = { [SURVEY_NOT_TRIED] = NULL, [SURVEY_CANNOT] = "cannot-ask",
		[SURVEY_YES] = "yes", [SURVEY_NO] = "no", [SURVEY_UNSURE] = "no-answer" };

	return words[a];
}

static const char *
resumption_word(const struct survey *s)
{
	const struct reach *r = &s->reach[SURVEY_FIRST];

	if (s->answer[SURVEY_RESUME] == SURVEY_YES)
		return SSL_SESSION_has_ticket(r->session) ? "ticket" : "session-id";
	return answer_word(s->answer[SURVEY_RESUME]);
}

static void
set_survey(json_t *o, const struct survey *s)
{
	static const char *const client[] = { [REACH_CLIENT_NOT_ASKED] = "not-asked",
		[REACH_CLIENT_NONE] = "none", [REACH_CLIENT_SENT] = "presented" };
	const struct reach *r = &s->reach[SURVEY_FIRST];
	json_t *answers = object();
	enum survey_step step;

	for (step = 0; step < SURVEY_STEPS; step++)
		if (survey_is_version(step) || (survey_is_key(step) && step != SURVEY_FIRST) ||
		    step == SURVEY_POST_QUANTUM)
			json_set_str(answers, survey_name(step), answer_word(s->answer[step]));
	json_set(o, "offers", answers);
	json_set_str(o, "resumption", resumption_word(s));
	json_set_str(o, "client_certificate", r->up ? client[r->client] : NULL);
	json_set(o, "client_accepted",
	    r->up && r->client == REACH_CLIENT_SENT ? json_boolean(r->end == SEEN_READY) : json_null());
}

static json_t *
host_object(const struct inspect *in, const struct inspect_host *h)
{
	const struct facts_host *fh = h->host->host;
	char addr[INET6_ADDRSTRLEN];
	json_t *o = object(), *keys = array();
	size_t i;

	json_set_str(o, "host", fh->name);
	json_set_int(o, "preference", fh->preference);
	json_set_str(o, "address", h->addr != NULL ? facts_addr_text(h->addr, addr) : NULL);
	set_verdict(o, &h->verdict);
	for (i = 0; i < h->nkey; i++)
		json_push(keys, key_object(in, h, &h->key[i]));
	json_set(o, "certificates", keys);
	if (h->surveyed)
		set_survey(o, &h->survey);
	return o;
}

int
inspect_json(const struct inspect *in, struct fail *f)
{
	json_t *o = object(), *hosts = array();
	size_t i;
	int rc;

	json_set_str(o, in->is_server ? "server" : "domain", in->destination);
	set_verdict(o, &in->verdict);
	json_set_str(o, "protocol", starttls_name(in->proto));
	json_set_int(o, "port", in->port);
	for (i = 0; i < in->n; i++)
		json_push(hosts, host_object(in, &in->v[i]));
	json_set(o, "hosts", hosts);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}
