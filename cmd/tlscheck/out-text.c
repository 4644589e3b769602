/*
 * out-text - a check in words: a line for each host and address, then one for the domain.
 *
 *	good.test: 10 mx.good.test 192.0.2.1: AUTH (TLSv1.3 ... x25519): why [RFC 7672 3.1.1]
 *	good.test: AUTH: why [RFC 7672 3.1.1]
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "check.h"
#include "text.h"
#include "warn.h"

static void
print_tls(const struct tls_info *t)
{
	printf(" (%s %s", t->protocol, t->cipher);
	if (t->group[0] != '\0')
		printf(" %s", t->group);
	printf(")");
}

static void
print_verdict(const struct verdict *v)
{
	printf(": %s [%s]\n", v->why, v->rule);
}

static void
print_probe(const struct check *c, const struct probe *p)
{
	const struct facts_host *fh = p->host->host;
	char addr[INET6_ADDRSTRLEN];
	char *host = text_escape(fh->name, strlen(fh->name));

	printf("%s: ", c->destination);
	if (c->facts->mx == FACTS_MX_FOUND)
		printf("%u ", fh->preference);
	printf("%s", host);
	if (p->addr != NULL && c->facts->mx == FACTS_MX_LOCAL && text_is_address(fh->name))
		printf("@%u", c->port);
	else if (p->addr != NULL)
		printf(" %s", facts_addr_text(p->addr, addr));
	printf(": %s", verdict_name(p->verdict.word));
	if (p->contact.seen.tls)
		print_tls(&p->contact.tls);
	print_verdict(&p->verdict);
	free(host);
}

static void
print_cert(const X509 *cert, int depth)
{
	char fp[CERT_FINGERPRINT_SIZE], until[TEXT_TIME_MAX];
	char *subject = cert_subject(cert), *issuer = cert_issuer(cert),
	     *key = cert_key_describe(cert);

	printf("    certificate %d: subject \"%s\" issuer \"%s\" key %s until %s sha256 %s\n",
	    depth, subject, issuer, key, text_time(until, cert_not_after(cert)),
	    cert_fingerprint(fp, cert));
	if (cert_is_demo(cert))
		printf("    certificate %d is %s\n", depth, CERT_DEMO_WARNING);
	free(subject);
	free(issuer);
	free(key);
}

static void
print_names(const X509 *cert)
{
	struct cert_names names = CERT_NAMES_INIT;
	size_t i;

	cert_dns_names(cert, &names);
	if (names.n > 0) {
		printf("    names:");
		for (i = 0; i < names.n; i++)
			printf(" %s", names.v[i]);
		printf("\n");
	}
	cert_names_clear(&names);
}

static void
print_records(const struct probe *p)
{
	const struct facts_host *fh = p->host->host;
	size_t i;

	for (i = 0; i < fh->ntlsa; i++) {
		char *rdata = tlsa_rdata(&fh->tlsa[i]);
		const char *why = NULL, *use = "";

		if (!tlsa_usable(&fh->tlsa[i], &why))
			use = verify_use_name(VERIFY_USE_UNUSABLE);
		else if (i < p->contact.proof.dane.nuse)
			use = verify_use_name(p->contact.proof.dane.use[i]);
		printf("    TLSA %.160s%s%s%s%s%s\n", rdata, strlen(rdata) > 160 ? "..." : "",
		    *use != '\0' ? ": " : "", use, why != NULL ? ": " : "", why != NULL ? why : "");
		free(rdata);
	}
	if (fh->tlsa_damaged > 0)
		printf("    TLSA: %zu records more that are too short to be one\n", fh->tlsa_damaged);
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
print_details(const struct probe *p)
{
	int i, n = p->contact.tls.chain != NULL ? sk_X509_num(p->contact.tls.chain) : 0;

	print_reply("banner", &p->contact.client.banner);
	print_reply("EHLO", &p->contact.client.ehlo);
	print_reply("STARTTLS", &p->contact.client.starttls);
	if (n > 0)
		print_names(sk_X509_value(p->contact.tls.chain, 0));
	for (i = 0; i < n; i++)
		print_cert(sk_X509_value(p->contact.tls.chain, i), i);
	print_records(p);
}

static void
print_trace(const struct check *c)
{
	struct buf b = BUF_INIT;

	plan_explain(&b, &c->plan);
	fwrite(b.p, 1, b.len, stdout);
	buf_clear(&b);
}

/* Whoever reads only the last line must know what it rests on. */
static void
print_unasked(const struct check *c)
{
	char addr[INET6_ADDRSTRLEN];
	size_t i;

	if (c->verdict.word == VERDICT_INCONCLUSIVE)
		return;
	for (i = 0; i < c->nprobe; i++) {
		const struct probe *p = &c->probe[i];
		char *host;

		if (p->verdict.word != VERDICT_INCONCLUSIVE)
			continue;
		host = text_escape(p->host->host->name, strlen(p->host->host->name));
		printf("%s: not asked, not counted: %s%s%s\n", c->destination, host,
		    p->addr != NULL ? " " : "",
		    p->addr != NULL ? facts_addr_text(p->addr, addr) : "");
		free(host);
	}
}

/* The verdict's reason says what ails the resolver. */
static void
print_warning(void *arg, enum warn_kind kind, const char *rule, const char *text)
{
	const struct check *c = arg;

	if (kind == WARN_DENIED)
		printf("%s: warning: %s [%s]\n", c->destination, text, rule);
	else if (kind == WARN_UNASKED && c->verdict.word != VERDICT_INCONCLUSIVE)
		printf("%s: not asked, not counted: %s\n", c->destination, text);
}

void
out_text(const struct check *c, const struct out_conf *conf)
{
	size_t i;

	if (!conf->quiet) {
		if (conf->verbose)
			print_trace(c);
		for (i = 0; i < c->nprobe; i++) {
			print_probe(c, &c->probe[i]);
			if (conf->verbose)
				print_details(&c->probe[i]);
		}
	}
	print_unasked(c);
	warn_each(c, print_warning, (void *)(uintptr_t)c);
	printf("%s: %s", c->destination, verdict_name(c->verdict.word));
	print_verdict(&c->verdict);
}
