/*
 * inspect-text - what was found of a server, in words: a line for each address, below it a block for each
 * certificate and a line for each other thing that was tried, then the verdict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "alloc.h"
#include "cert.h"
#include "inspect.h"
#include "certs.h"
#include "text.h"

static void
print_verdict(const struct verdict *v)
{
	printf("%s", verdict_name(v->word));
}

static void
print_tls(const struct reach *r)
{
	const struct tls_info *t = &r->tls;

	if (!r->up)
		return;
	printf(" (%s %s", t->protocol, t->cipher);
	if (t->group[0] != '\0')
		printf(" %s", t->group);
	if (t->sigalg[0] != '\0')
		printf(" %s", t->sigalg);
	printf(")");
}

static void
print_reply(const char *what, const struct smtp_reply *r)
{
	struct buf b = BUF_INIT;

	if (r->code == 0)
		return;
	smtp_reply_print(&b, r);
	printf("    %s: %s\n", what, b.p);
	buf_clear(&b);
}

static void
print_said(const struct reach *r)
{
	print_reply("banner", &r->smtp.banner);
	print_reply("EHLO", &r->smtp.ehlo);
	print_reply("STARTTLS", &r->smtp.starttls);
	if (r->starttls.greeting != NULL)
		printf("    greeting: %s\n", r->starttls.greeting);
	if (r->starttls.answer != NULL)
		printf("    STARTTLS: %s\n", r->starttls.answer);
}

/* ---- certificates ---- */

static void
print_pem(const X509 *cert)
{
	if (PEM_write_X509(stdout, cert) != 1)
		alloc_failed();
}

static void
print_chain(const struct inspect *in, const struct tls_info *t)
{
	int i, n = t->chain != NULL ? sk_X509_num(t->chain) : 0;

	for (i = 0; i < n; i++) {
		print_cert(sk_X509_value(t->chain, i), i);
		if (i == 0)
			print_names(sk_X509_value(t->chain, 0));
		if (in->env->conf.pem)
			print_pem(sk_X509_value(t->chain, i));
	}
	if (n == 0)
		printf("    no certificate\n");
}

static void
print_records(const struct facts_host *fh, const struct finding *found)
{
	size_t i;

	for (i = 0; i < fh->ntlsa; i++) {
		char *rdata = tlsa_rdata(&fh->tlsa[i]);

		printf("    TLSA %.160s%s: %s\n", rdata, strlen(rdata) > 160 ? "..." : "",
		    i < found->nuse ? verify_use_name(found->use[i]) : verify_use_name(VERIFY_USE_UNUSABLE));
		free(rdata);
	}
}

static void
print_key(const struct inspect *in, const struct inspect_host *h, const struct inspect_key *k)
{
	printf("  %s certificate:", k->step == SURVEY_FIRST ? "the" : survey_name(k->step));
	/* Where there is but one, the line above has said it. */
	if (h->nkey > 1) {
		printf(" ");
		print_verdict(&k->verdict);
		print_tls(k->reach);
		printf(": %s [%s]", k->verdict.why, k->verdict.rule);
	}
	printf("\n");
	print_chain(in, &k->reach->tls);
	print_records(h->host->host, &k->proof.dane);
	if (k->pkix.result != VERIFY_NOT_ASKED)
		printf("    trusted CAs: %s: %s [%s]\n", k->pkix.result == VERIFY_MATCH ? "good" :
		    verify_reason_name(k->pkix.reason), k->pkix.why, k->pkix.rule);
	else
		printf("    trusted CAs: not asked: there is no list of them\n");
}

/* ---- the rest ---- */

static const char *
answer_word(enum survey_answer a)
{
	static const char *const words[] = { [SURVEY_NOT_TRIED] = "not tried", [SURVEY_CANNOT] = "cannot be asked",
		[SURVEY_YES] = "yes", [SURVEY_NO] = "no", [SURVEY_UNSURE] = "no answer" };

	return words[a];
}

static void
print_versions(const struct survey *s)
{
	enum survey_step step;

	printf("    versions:");
	for (step = 0; step < SURVEY_STEPS; step++)
		if (survey_is_version(step))
			printf("%s %s %s", step == SURVEY_TLS_1_3 ? "" : ",", survey_name(step),
			    answer_word(s->answer[step]));
	printf("\n");
}

static void
print_resumption(const struct survey *s)
{
	const struct reach *r = &s->reach[SURVEY_FIRST];

	if (r->session == NULL)
		printf("    resumption: no: the server gives no session to resume\n");
	else if (s->answer[SURVEY_RESUME] == SURVEY_YES)
		printf("    resumption: yes, by %s\n",
		    SSL_SESSION_has_ticket(r->session) ? "ticket" : "session ID");
	else
		printf("    resumption: %s%s\n", answer_word(s->answer[SURVEY_RESUME]),
		    s->answer[SURVEY_RESUME] == SURVEY_NO ? ": the session that it gave is not taken again" : "");
}

static void
print_client(const struct survey *s)
{
	const struct reach *r = &s->reach[SURVEY_FIRST];
	static const char *const words[] = { [REACH_CLIENT_NOT_ASKED] = "not asked for",
		[REACH_CLIENT_NONE] = "asked for, none was presented",
		[REACH_CLIENT_SENT] = "asked for and presented" };

	printf("    client certificate: %s", words[r->client]);
	if (r->client != REACH_CLIENT_NOT_ASKED && r->client_cas > 0)
		printf(" (the server names %d CA%s)", r->client_cas, r->client_cas == 1 ? "" : "s");
	if (r->client != REACH_CLIENT_NOT_ASKED)
		printf(": %s", r->end == SEEN_READY ? "the server goes on" : r->text);
	printf("\n");
}

static void
print_post_quantum(const struct survey *s)
{
	if (s->answer[SURVEY_POST_QUANTUM] == SURVEY_CANNOT)
		printf("    post-quantum key exchange: cannot be asked: OpenSSL %s has no %s\n",
		    OpenSSL_version(OPENSSL_VERSION_STRING), survey_name(SURVEY_POST_QUANTUM));
	else
		printf("    post-quantum key exchange (%s): %s\n", survey_name(SURVEY_POST_QUANTUM),
		    answer_word(s->answer[SURVEY_POST_QUANTUM]));
}

/* A kind of key that was not seen for want of an answer is one that the verdict does not rest on. */
static void
print_unsure(const struct survey *s)
{
	enum survey_step step;

	for (step = SURVEY_FIRST + 1; step < SURVEY_STEPS; step++)
		if (survey_is_key(step) && s->answer[step] == SURVEY_UNSURE)
			printf("  %s certificate: not known: %s\n", survey_name(step), s->reach[step].text);
}

static void
print_survey(const struct inspect *in, const struct inspect_host *h)
{
	size_t i;

	if (in->env->conf.verbose)
		print_said(&h->survey.reach[SURVEY_FIRST]);
	if (!h->survey.reach[SURVEY_FIRST].up)
		return;
	for (i = 0; i < h->nkey; i++)
		print_key(in, h, &h->key[i]);
	print_unsure(&h->survey);
	print_versions(&h->survey);
	print_resumption(&h->survey);
	print_client(&h->survey);
	print_post_quantum(&h->survey);
}

static void
print_host(const struct inspect *in, const struct inspect_host *h)
{
	const struct facts_host *fh = h->host->host;
	char addr[INET6_ADDRSTRLEN];
	char *host = text_escape(fh->name, strlen(fh->name));

	printf("%s: ", in->destination);
	if (!in->is_server)
		printf("%u %s ", fh->preference, host);
	printf("%s%s", h->addr != NULL ? facts_addr_text(h->addr, addr) : "", h->addr != NULL ? ": " : "");
	print_verdict(&h->verdict);
	if (h->surveyed)
		print_tls(&h->survey.reach[SURVEY_FIRST]);
	printf(": %s [%s]\n", h->verdict.why, h->verdict.rule);
	if (h->surveyed)
		print_survey(in, h);
	free(host);
}

void
inspect_text(const struct inspect *in)
{
	struct buf trace = BUF_INIT;
	size_t i;

	if (!in->env->conf.quiet) {
		plan_explain(&trace, &in->plan);
		if (in->env->conf.verbose)
			fwrite(trace.p, 1, trace.len, stdout);
		buf_clear(&trace);
		for (i = 0; i < in->n; i++)
			print_host(in, &in->v[i]);
	}
	if (!in->is_server && in->plan.kind == PLAN_HOSTS && !in->env->conf.quiet)
		printf("%s: MTA-STS was not asked for: the verdicts do not rest on it\n", in->destination);
	printf("%s: ", in->destination);
	print_verdict(&in->verdict);
	printf(": %s [%s]\n", in->verdict.why, in->verdict.rule);
}
