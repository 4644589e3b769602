#include "inspect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "cert.h"
#include "log.h"
#include "name.h"
#include "text.h"

int
inspect_is_mail(const struct inspect *in)
{
	return in->proto == STARTTLS_SMTP || in->proto == STARTTLS_LMTP;
}

/* ---- verdicts ---- */

/* SMTP's clauses, where the rule is not SMTP's alone but the protocol is another. */
static const char *
rule_of(enum starttls_proto proto, const char *rule)
{
	static const struct {
		const char *smtp, *other;
	} rules[] = { { "RFC 7672 3.1.1", "RFC 7671 5.1" }, { "RFC 7672 3.1.2", "RFC 7671 5.2" },
		{ "RFC 7672 3.1", "RFC 7671 4" }, { "RFC 7672 2.2", "RFC 7671 4" } };
	size_t i;

	if (strncmp(rule, "RFC 3207", 8) == 0 || strncmp(rule, "RFC 5321", 8) == 0)
		return starttls_clause(proto);
	for (i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (strcmp(rule, rules[i].smtp) == 0)
			return rules[i].other;
	return rule;
}

__attribute__((format(printf, 4, 5))) static void
say(struct verdict *v, enum verdict_word word, const char *rule, const char *fmt, ...)
{
	va_list ap;

	verdict_clear(v);
	va_start(ap, fmt);
	v->why = xvasprintf(fmt, ap);
	va_end(ap);
	v->word = word;
	v->rule = rule;
}

/* Usages 0 and 1 are for other protocols than mail (RFC 7672 3.1.3): which of the records have one? */
static int
is_pkix_record(const struct tlsa *t)
{
	struct tlsa as_dane = *t;

	if (t->usage != TLSA_PKIX_TA && t->usage != TLSA_PKIX_EE)
		return 0;
	as_dane.usage += TLSA_DANE_TA - TLSA_PKIX_TA;
	return tlsa_usable(&as_dane, NULL);
}

static size_t
count_pkix_records(const struct facts_host *fh)
{
	size_t i, n = 0;

	for (i = 0; i < fh->ntlsa; i++)
		n += is_pkix_record(&fh->tlsa[i]);
	return n;
}

/* RFC 6698 2.1.1: usage 1 describes the leaf, usage 0 a CA above it, in a chain that is good by itself. */
static int
pkix_record_fits(const struct tlsa *t, STACK_OF(X509) *verified)
{
	int i, n = sk_X509_num(verified);

	if (!is_pkix_record(t))
		return 0;
	if (t->usage == TLSA_PKIX_EE)
		return n > 0 && tlsa_matches_cert(t, sk_X509_value(verified, 0));
	for (i = 1; i < n; i++)
		if (tlsa_matches_cert(t, sk_X509_value(verified, i)))
			return 1;
	return 0;
}

/* Records of usages 0 and 1 narrow what PKIX would take; one of usages 2 and 3 stands by itself. */
static void
judge_pkix_records(const struct facts_host *fh, struct inspect_key *k, STACK_OF(X509) *verified)
{
	size_t i;

	if (k->proof.dane.result == VERIFY_MATCH || count_pkix_records(fh) == 0 || !k->reach->up)
		return;
	if (verified == NULL) {
		say(&k->verdict, VERDICT_SKIP, "RFC 6698 2.1.1",
		    "its TLSA records want a chain to a trusted CA: %s",
		    k->pkix.why != NULL ? k->pkix.why : "which was not verified");
		return;
	}
	for (i = 0; i < fh->ntlsa; i++)
		if (pkix_record_fits(&fh->tlsa[i], verified)) {
			say(&k->verdict, VERDICT_AUTH, "RFC 6698 2.1.1",
			    "a TLSA record of usage %u matches, and %s", fh->tlsa[i].usage, k->pkix.why);
			return;
		}
	say(&k->verdict, VERDICT_SKIP, "RFC 6698 2.1.1", "no TLSA record matches");
}

/* What policy says of SMTP, in the words of the protocol at hand. */
static void
judge_other(struct inspect *in, struct inspect_key *k, const struct facts_host *fh, STACK_OF(X509) *verified)
{
	const char *service = starttls_service(in->proto);
	const struct reach *r = k->reach;

	if (r->end == SEEN_INJECTION)
		say(&k->verdict, VERDICT_SKIP, starttls_clause(in->proto),
		    "octets in clear text behind the go-ahead to STARTTLS: %s", r->text);
	else if (r->end == SEEN_PROTOCOL)
		say(&k->verdict, VERDICT_SKIP, starttls_clause(in->proto), "does not speak %s: %s", service,
		    r->text);
	else if (r->end == SEEN_REFUSED)
		say(&k->verdict, VERDICT_SKIP, starttls_clause(in->proto), "refuses the session: %s", r->text);
	k->verdict.rule = rule_of(in->proto, k->verdict.rule);
	judge_pkix_records(fh, k, verified);
}

static void
verify_by_plan(struct inspect *in, const struct inspect_host *h, struct inspect_key *k)
{
	struct proof_ask ask = { .host = h->host, .facts = in->facts, .trust = in->env->trust, .now = time(NULL) };
	struct fail f = FAIL_INIT;

	if (proof_make(k->reach->tls.chain, &ask, &k->proof, &f) == -1)
		talk(NULL, "%s: %s", in->destination, f.text);
}

static void
verify_by_cas(struct inspect *in, const struct inspect_host *h, struct inspect_key *k,
    STACK_OF(X509) **verified)
{
	const char *name = h->host->host->name;
	struct verify_pkix v = { .trust = in->env->trust, .names = VERIFY_NAMES_HOSTED, .reference = &name,
		.nreference = 1, .now = time(NULL) };
	struct fail f = FAIL_INIT;

	if (v.trust != NULL && verify_pkix(k->reach->tls.chain, &v, verified, &k->pkix, &f) == -1)
		talk(NULL, "%s: %s", in->destination, f.text);
}

/* The connection took whatever version there was; where a CA's word is needed, not every one will do. */
static int
is_below_min(const struct plan_host *h, const struct reach *r)
{
	static const char *const versions[] = { [POLICY_TLS_MIN_1_0] = "TLSv1", [POLICY_TLS_MIN_1_1] = "TLSv1.1",
		[POLICY_TLS_MIN_1_2] = "TLSv1.2", [POLICY_TLS_MIN_1_3] = "TLSv1.3" };
	unsigned i;

	if (!r->up || !plan_need_is_strict(h->need))
		return 0;
	for (i = 0; i < h->tls_min; i++)
		if (strcmp(r->tls.protocol, versions[i]) == 0)
			return 1;
	return 0;
}

static void
judge_key(struct inspect_host *h, struct inspect_key *k)
{
	struct inspect *in = h->inspect;
	struct seen seen = { .end = k->reach->end, .tls = k->reach->up, .text = k->reach->text,
		.proof = &k->proof };
	STACK_OF(X509) *verified = NULL;

	if (k->reach->up) {
		verify_by_plan(in, h, k);
		verify_by_cas(in, h, k, &verified);
	}
	policy_judge(h->host, &seen, &k->verdict);
	if (is_below_min(h->host, k->reach))
		say(&k->verdict, VERDICT_SKIP, "local", "%s is older than this level takes (tls-min)",
		    k->reach->tls.protocol);
	if (!inspect_is_mail(in))
		judge_other(in, k, h->host->host, verified);
	cert_chain_free(verified);
}

static int
is_weaker(const struct verdict *a, const struct verdict *b)
{
	return a->word != VERDICT_INCONCLUSIVE && a->word > b->word;
}

/* The weakest that a client could meet. */
static void
judge_host(struct inspect_host *h)
{
	const struct inspect_key *k = h->key;
	size_t i;

	for (i = 1; i < h->nkey; i++)
		if (is_weaker(&h->key[i].verdict, &k->verdict))
			k = &h->key[i];
	if (k == h->key)
		say(&h->verdict, k->verdict.word, k->verdict.rule, "%s", k->verdict.why);
	else
		say(&h->verdict, k->verdict.word, k->verdict.rule, "with its %s certificate: %s",
		    survey_name(k->step), k->verdict.why);
	h->verdict.bound = k->verdict.bound;
}

static void
judge_survey(struct inspect_host *h)
{
	enum survey_step step;

	for (step = 0; step < SURVEY_STEPS; step++) {
		const struct reach *r = &h->survey.reach[step];
		struct inspect_key *k = &h->key[h->nkey];

		if (step != SURVEY_FIRST && !(survey_is_key(step) && r->up))
			continue;
		if (h->nkey++ == INSPECT_KEYS_MAX)
			abort();
		k->step = step;
		k->reach = r;
		if (step == SURVEY_FIRST && r->tls.cert != NULL)
			k->step = survey_step_of_key(r->tls.cert);
		judge_key(h, k);
		cert_warn_demo(h->host->host->name, r->tls.cert);
	}
	judge_host(h);
}

/* ---- one destination ---- */

/* Its addresses do not stand in for one another, as a domain's hosts do: a client may meet any. */
static void
judge_server(struct inspect *in)
{
	const struct verdict *v = &in->v[0].verdict;
	size_t i;

	for (i = 1; i < in->n; i++)
		if (v->word == VERDICT_INCONCLUSIVE || is_weaker(&in->v[i].verdict, v))
			v = &in->v[i].verdict;
	say(&in->verdict, v->word, v->rule, "%s", v->why);
}

static void
finish(struct inspect *in)
{
	struct verdict *v = xcalloc(in->n, sizeof *v);
	size_t i;

	for (i = 0; i < in->n; i++)
		v[i] = in->v[i].verdict;
	if (in->is_server && in->plan.kind == PLAN_HOSTS && in->n > 0)
		judge_server(in);
	else
		policy_domain(&in->plan, v, in->n, &in->verdict);
	free(v);
	in->done = 1;
	in->fn(in, in->arg);
}

static void start_surveys(struct inspect *);

static void
on_survey(struct survey *s, void *arg)
{
	struct inspect_host *h = arg;

	(void)s;
	judge_survey(h);
	h->inspect->open--;
	start_surveys(h->inspect);
}

static const char *
sni_of(const struct plan_host *h)
{
	const struct facts_host *fh = h->host;
	const char *name = fh->tlsa_state == FACTS_TLSA_FOUND ? fh->tlsa_base : fh->name;

	return text_is_address(name) ? NULL : name;
}

static void
survey_one(struct inspect_host *h)
{
	struct inspect_env *env = h->inspect->env;
	struct reach_conf conf = { .base = env->base, .tls = env->tls, .proto = h->inspect->proto,
		.ehlo = env->conf.ehlo, .timeout_ms = env->conf.timeout_ms,
		.client = env->conf.client != NULL ? &env->client : NULL };

	h->surveyed = 1;
	h->inspect->open++;
	survey_start(&h->survey, &conf, h->addr, h->inspect->port, sni_of(h->host), on_survey, h);
}

static void
start_surveys(struct inspect *in)
{
	while (in->next < in->n && in->open < INSPECT_SURVEYS_MAX) {
		struct inspect_host *h = &in->v[in->next++];

		if (h->addr == NULL)
			policy_judge(h->host, NULL, &h->verdict);
		else if (in->next > INSPECT_ADDRESSES_MAX) {
			say(&h->verdict, VERDICT_INCONCLUSIVE, "local", "left out: more than %d addresses",
			    INSPECT_ADDRESSES_MAX);
			in->facts->addrs_left_out++;
		} else
			survey_one(h);
	}
	if (in->open == 0 && in->next == in->n && !in->done)
		finish(in);
}

static void
add_host(struct inspect *in, const struct plan_host *h, const struct facts_addr *addr)
{
	in->v[in->n++] = (struct inspect_host){ .inspect = in, .host = h, .addr = addr };
}

/*
 * The options', but MTA-STS, which says nothing of single servers and is not asked for here.  Where none was
 * given: clients of other protocols than mail's do not fall back to clear text, and take no certificate unseen.
 */
static const struct policy *
policy_of(const struct inspect *in, struct policy *policy)
{
	*policy = in->env->conf.policy;
	policy->sts = POLICY_STS_NONE;
	if (!inspect_is_mail(in) && !in->env->conf.level_given)
		policy->tls = POLICY_TLS_REQUIRED_VERIFY_HOSTED;
	return policy;
}

static void
on_facts(void *arg, struct facts *facts)
{
	struct inspect *in = arg;
	struct policy policy;
	size_t i, j, n = 0;

	in->lookup = NULL;
	in->facts = facts;
	policy_plan(policy_of(in, &policy), facts, &in->plan);
	for (i = 0; i < in->plan.nhost; i++)
		n += in->plan.host[i].host->naddr + 1;
	in->v = xcalloc(n, sizeof *in->v);
	for (i = 0; i < in->plan.nhost; i++) {
		const struct plan_host *h = &in->plan.host[i];

		if (h->act != PLAN_TRY)
			add_host(in, h, NULL);
		for (j = 0; h->act == PLAN_TRY && j < h->host->naddr; j++)
			add_host(in, h, &h->host->addr[j]);
	}
	start_surveys(in);
}

/* ---- words ---- */

/* "host:port", "[v6]:port", "host@port": what stands before the port, and its length. */
static const char *
port_of(const char *word, size_t *hostlen)
{
	const char *sep = strrchr(word, '@');

	if (sep == NULL && !text_is_address(word))
		sep = strrchr(word, ':');
	if (sep == NULL || sep == word)
		return NULL;
	*hostlen = sep - word;
	return sep + 1;
}

int
inspect_is_server(const char *word)
{
	size_t n;

	return port_of(word, &n) != NULL && word[strlen(word) - 1] != ']';
}

static char *
host_or_usage(const char *word, const char *host)
{
	size_t n = strlen(host);
	int bracketed = n > 2 && host[0] == '[' && host[n - 1] == ']';
	char *bare = bracketed ? xstrndup(host + 1, n - 2) : xstrdup(host), *ascii;
	struct fail f = FAIL_INIT;

	if (text_is_address(bare))
		return bare;
	ascii = name_to_ascii(bare, &f);
	if (ascii == NULL || !name_is_host(ascii, NAME_UNDERSCORE)) {
		char *shown = text_escape(word, strlen(word));

		tool_usage("%.300s: expected host:port, [address]:port, a domain or [host]%s%s", shown,
		    ascii == NULL ? ": " : "", ascii == NULL ? f.text : "");
	}
	free(bare);
	return ascii;
}

/* Sets what is asked for, exits where the word is none; what lookup is to be asked for. */
static char *
take_word(struct inspect *in, const char *word)
{
	const struct inspect_conf *conf = &in->env->conf;
	struct fail f = FAIL_INIT;
	char *host, *name, *to;
	long long port = conf->port != 0 ? conf->port : starttls_port(in->proto);
	const char *given;
	size_t n = strlen(word);

	in->is_server = inspect_is_server(word);
	if (in->is_server && (given = port_of(word, &n)) != NULL &&
	    text_number(given, 1, 65535, "port", &port, &f) == -1)
		tool_usage("%s", f.text);
	in->port = port;
	host = xstrndup(word, n);
	name = host_or_usage(word, host);
	in->is_server |= !inspect_is_mail(in) || host[0] == '[' || text_is_address(name);
	if (in->is_server) {
		to = xasprintf("[%s]", name);
		in->destination = xasprintf(strchr(name, ':') != NULL ? "[%s]:%u" : "%s:%u", name, in->port);
	} else {
		to = xstrdup(name);
		in->destination = xstrdup(name);
	}
	free(name);
	free(host);
	return to;
}

/* ---- a run ---- */

struct run {
	struct inspect_env env;
	struct inspect *v;
	char **to;
	size_t n, started, printed, freed, running;
	enum tool_exit status;
};

#define RUNNING_MAX 20

static enum tool_exit
status_of(const struct inspect *in)
{
	switch (in->verdict.word) {
	case VERDICT_SKIP:
	case VERDICT_NOMAIL:
		return TOOL_NO;
	case VERDICT_INCONCLUSIVE:
		return TOOL_UNSURE;
	default:
		return TOOL_YES;
	}
}

static void
print(struct run *r, const struct inspect *in)
{
	struct fail f = FAIL_INIT;

	if (r->env.conf.publish) {
		r->status = tool_worse(r->status, publish_print(in));
		return;
	}
	r->status = tool_worse(r->status, status_of(in));
	if (!r->env.conf.json)
		inspect_text(in);
	else if (inspect_json(in, &f) == -1)
		r->status = tool_worse(r->status, tool_failed(&f));
}

static void
inspect_clear(struct inspect *in)
{
	size_t i, j;

	lookup_cancel(in->lookup);
	for (i = 0; i < in->n; i++) {
		struct inspect_host *h = &in->v[i];

		if (h->surveyed)
			survey_clear(&h->survey);
		for (j = 0; j < h->nkey; j++) {
			proof_clear(&h->key[j].proof);
			finding_clear(&h->key[j].pkix);
			verdict_clear(&h->key[j].verdict);
		}
		verdict_clear(&h->verdict);
	}
	free(in->v);
	plan_clear(&in->plan);
	facts_free(in->facts);
	verdict_clear(&in->verdict);
	free(in->destination);
	memset(in, 0, sizeof *in);
}

/*
 * What was printed is freed, but not from within its own calls; at the end the DNS context too, whose
 * sockets would keep the loop.
 */
static void
on_printed(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;

	(void)fd;
	(void)what;
	while (r->freed < r->printed)
		inspect_clear(&r->v[r->freed++]);
	if (r->printed < r->n)
		return;
	dns_free(r->env.dns);
	r->env.dns = NULL;
}

static void start_more(struct run *);

static void
on_done(struct inspect *in, void *arg)
{
	struct run *r = arg;

	(void)in;
	r->running--;
	for (; r->printed < r->started && r->v[r->printed].done; r->printed++)
		print(r, &r->v[r->printed]);
	fflush(stdout);
	start_more(r);
	if (r->freed < r->printed &&
	    event_base_once(r->env.base, -1, EV_TIMEOUT, on_printed, r, NULL) == -1)
		alloc_failed();
}

static int
start(struct run *r, struct inspect *in, const char *to, struct fail *f)
{
	struct lookup_conf conf = { .port = in->port,
		.want_tlsa = r->env.conf.policy.dane != POLICY_DANE_NONE };
	struct facts *literal = lookup_literal(to);

	in->fn = on_done;
	in->arg = r;
	r->running++;
	if (literal != NULL) {
		on_facts(in, literal);
		return 0;
	}
	if (r->env.dns == NULL && (r->env.dns = dns_new(r->env.base, &r->env.conf.dns, f)) == NULL)
		return -1;
	in->lookup = lookup_start(r->env.dns, to, &conf, on_facts, in);
	return 0;
}

static void
start_more(struct run *r)
{
	struct fail f = FAIL_INIT;

	while (r->started < r->n && r->running < RUNNING_MAX) {
		size_t i = r->started++;

		if (start(r, &r->v[i], r->to[i], &f) == -1) {
			r->status = tool_worse(r->status, tool_failed(&f));
			event_base_loopbreak(r->env.base);
			return;
		}
	}
}

static enum tool_exit
open_all(struct inspect_env *env)
{
	struct fail f = FAIL_INIT;
	char *name;
	int rc;

	if ((env->tls = reach_ctx(&f)) == NULL)
		return tool_failed(&f);
	if ((env->base = event_base_new()) == NULL)
		alloc_failed();
	/* Without castore's lists servers can be looked at still; a file that was named has to be there. */
	env->trust = cas_get(env->conf.cas);
	if (env->trust == NULL && env->conf.cas->file != NULL)
		return TOOL_CANNOT;
	if (env->conf.client == NULL)
		return TOOL_YES;
	if ((name = identity_find(env->conf.dir, env->conf.client, &f)) == NULL)
		return tool_failed(&f);
	rc = identity_load(env->conf.dir, name, IDENTITY_NEED_KEY, &env->client, &f);
	free(name);
	return rc == -1 ? tool_failed(&f) : TOOL_YES;
}

enum tool_exit
inspect_run(const struct inspect_conf *conf, char **words, size_t n)
{
	struct run r = { .env.conf = *conf, .n = n, .status = TOOL_YES };
	size_t i;

	r.v = xcalloc(n, sizeof *r.v);
	r.to = xcalloc(n, sizeof *r.to);
	for (i = 0; i < n; i++) {
		r.v[i].env = &r.env;
		r.v[i].proto = conf->proto;
		r.to[i] = take_word(&r.v[i], words[i]);
	}
	if ((r.status = open_all(&r.env)) == TOOL_YES) {
		start_more(&r);
		event_base_dispatch(r.env.base);
	}
	for (i = 0; i < n; i++) {
		inspect_clear(&r.v[i]);
		free(r.to[i]);
	}
	free(r.v);
	free(r.to);
	dns_free(r.env.dns);
	identity_clear(&r.env.client);
	SSL_CTX_free(r.env.tls);
	if (r.env.base != NULL)
		event_base_free(r.env.base);
	return r.status;
}
