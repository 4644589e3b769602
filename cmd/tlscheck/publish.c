#include "publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "inspect.h"
#include "log.h"
#include "text.h"

/* RFC 8461 10.2: short while in testing, weeks once it holds. */
#define MAX_AGE_TESTING 86400
#define MAX_AGE_ENFORCE 1209600

/* What stands in the way of each. */
struct blocked {
	unsigned sts, tlsa, all;
};

static const char *const parts[] = {
	[PUBLISH_ALL] = "all",
	[PUBLISH_STS_POLICY] = "sts-policy",
	[PUBLISH_STS_TXT] = "sts-txt",
	[PUBLISH_TLSRPT_TXT] = "tlsrpt-txt",
	[PUBLISH_TLSA] = "tlsa",
};

int
publish_parse(const char *word, enum publish_part *part, struct fail *f)
{
	size_t i;
	char *shown;

	*part = PUBLISH_ALL;
	if (word == NULL)
		return 0;
	for (i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (strcmp(word, parts[i]) == 0) {
			*part = i;
			return 0;
		}
	shown = text_escape(word, strlen(word));
	fail(f, FAIL_INPUT,
	    "publish: expected all, sts-policy, sts-txt, tlsrpt-txt or tlsa, not \"%.100s\"", shown);
	free(shown);
	return -1;
}

/* ---- what stands in the way ---- */

static const char *
name_of(const struct inspect_host *h)
{
	return h->host->host->name;
}

/* Once for a host, at the first of its addresses. */
static int
is_first(const struct inspect *in, size_t i)
{
	return i == 0 || in->v[i - 1].host != in->v[i].host;
}

/* RFC 7672 2.2.2: a client does not even ask for records of a host that is not in a signed zone. */
static void
look_at_zone(const struct inspect *in, const struct inspect_host *h, struct blocked *b)
{
	const struct facts_host *fh = h->host->host;

	if (fh->addrs != FACTS_ADDRS_FOUND || fh->addrs_sec == DNS_SECURE)
		return;
	talk(NULL, "%s: TLSA: the zone of %s is not signed, so that no sender would look at the records",
	    in->destination, name_of(h));
	b->tlsa++;
}

static void
look_at_certificate(const struct inspect *in, const struct inspect_host *h, const struct inspect_key *k,
    struct blocked *b)
{
	char addr[INET6_ADDRSTRLEN];

	if (k->pkix.result == VERIFY_MATCH)
		return;
	talk(NULL, "%s: MTA-STS: the %s certificate of %s %s: %s", in->destination,
	    k->step == SURVEY_FIRST ? "only" : survey_name(k->step), name_of(h),
	    facts_addr_text(h->addr, addr),
	    k->pkix.why != NULL ? k->pkix.why : "there is no list of trusted CAs");
	b->sts++;
}

/* No STARTTLS, no certificate: neither works. */
static void
look_at_host(const struct inspect *in, const struct inspect_host *h, struct blocked *b)
{
	const struct reach *first = &h->survey.reach[SURVEY_FIRST];
	char addr[INET6_ADDRSTRLEN];
	size_t i;

	if (h->addr == NULL || !first->up) {
		talk(NULL, "%s: %s%s%s: no certificate was seen: %s", in->destination, name_of(h),
		    h->addr != NULL ? " " : "", h->addr != NULL ? facts_addr_text(h->addr, addr) : "",
		    first->text != NULL && first->text[0] != '\0' ? first->text : h->verdict.why);
		b->all++;
		return;
	}
	for (i = 0; i < h->nkey; i++)
		look_at_certificate(in, h, &h->key[i], b);
	for (i = SURVEY_FIRST + 1; i < SURVEY_STEPS; i++)
		if (survey_is_key(i) && h->survey.answer[i] == SURVEY_UNSURE) {
			talk(NULL, "%s: %s %s: whether it has an %s certificate is not known: %s", in->destination,
			    name_of(h), facts_addr_text(h->addr, addr), survey_name(i), h->survey.reach[i].text);
			b->all++;
		}
}

static void
look(const struct inspect *in, struct blocked *b)
{
	size_t i;

	memset(b, 0, sizeof *b);
	if (in->plan.kind != PLAN_HOSTS) {
		talk(NULL, "%s: %s", in->destination, in->verdict.why);
		b->all++;
		return;
	}
	if (in->facts->mx_sec != DNS_SECURE) {
		talk(NULL, "%s: TLSA: its MX records are not signed, so that a sender is never sure of its hosts",
		    in->destination);
		b->tlsa++;
	}
	if (in->facts->hosts_left_out + in->facts->addrs_left_out > 0) {
		talk(NULL, "%s: too many hosts or addresses: not all were looked at", in->destination);
		b->all++;
	}
	for (i = 0; i < in->n; i++) {
		if (is_first(in, i))
			look_at_zone(in, &in->v[i], b);
		look_at_host(in, &in->v[i], b);
	}
}

/* ---- what is printed ---- */

static void
print_sts_policy(const struct inspect *in, const struct blocked *b)
{
	int enforce = b->sts == 0 && b->all == 0;
	size_t i;

	printf("version: STSv1\nmode: %s\n", enforce ? "enforce" : "testing");
	for (i = 0; i < in->plan.nhost; i++)
		printf("mx: %s\n", in->plan.host[i].host->name);
	printf("max_age: %d\n", enforce ? MAX_AGE_ENFORCE : MAX_AGE_TESTING);
}

/* RFC 8461 3.1: the id is new with each policy. */
static void
print_sts_txt(const struct inspect *in)
{
	time_t now = time(NULL);
	struct tm tm;
	char id[32];

	if (gmtime_r(&now, &tm) == NULL || strftime(id, sizeof id, "%Y%m%dT%H%M%SZ", &tm) == 0)
		abort();
	printf("_mta-sts.%s. IN TXT \"v=STSv1; id=%s;\"\n", in->destination, id);
}

static void
print_tlsrpt_txt(const struct inspect *in)
{
	printf("_smtp._tls.%s. IN TXT \"v=TLSRPTv1; rua=mailto:tlsrpt@%s\"\n", in->destination,
	    in->destination);
}

/* The record of a certificate, unless an earlier address or certificate of the host has the same. */
static int
was_printed(const struct inspect *in, size_t host, size_t key, const struct tlsa *t)
{
	const struct inspect_host *h = &in->v[host];
	size_t i, j;

	for (i = 0; i <= host; i++) {
		if (in->v[i].host != h->host)
			continue;
		for (j = 0; j < (i < host ? in->v[i].nkey : key); j++)
			if (in->v[i].key[j].reach->tls.cert != NULL &&
			    tlsa_matches_cert(t, in->v[i].key[j].reach->tls.cert))
				return 1;
	}
	return 0;
}

static void
print_tlsa_of(const struct inspect *in, size_t host, size_t key)
{
	const X509 *cert = in->v[host].key[key].reach->tls.cert;
	struct tlsa t = TLSA_INIT;
	struct fail f = FAIL_INIT;
	char *owner, *rdata;

	if (cert == NULL || tlsa_of_cert(&t, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256, cert, &f) == -1)
		return;
	if (!was_printed(in, host, key, &t) &&
	    (owner = tlsa_owner(name_of(&in->v[host]), in->port, "tcp", &f)) != NULL) {
		rdata = tlsa_rdata(&t);
		printf("%s IN TLSA %s\n", owner, rdata);
		free(rdata);
		free(owner);
	}
	tlsa_clear(&t);
}

static void
print_tlsa(const struct inspect *in)
{
	size_t i, j;

	for (i = 0; i < in->n; i++)
		for (j = 0; j < in->v[i].nkey; j++)
			print_tlsa_of(in, i, j);
}

static void
print_all(const struct inspect *in, const struct blocked *b)
{
	printf("; MTA-STS: to be served as https://mta-sts.%s/.well-known/mta-sts.txt\n", in->destination);
	print_sts_policy(in, b);
	printf("; the zone of %s\n", in->destination);
	print_sts_txt(in);
	printf("; where reports are to go: an address that is read\n");
	print_tlsrpt_txt(in);
	printf("; the zones of its MX hosts\n");
	print_tlsa(in);
}

enum tool_exit
publish_print(const struct inspect *in)
{
	struct blocked b;

	look(in, &b);
	if (in->plan.kind == PLAN_DEFER)
		return TOOL_UNSURE;
	if (in->plan.kind != PLAN_HOSTS)
		return TOOL_NO;
	switch (in->env->conf.part) {
	case PUBLISH_ALL:
		print_all(in, &b);
		break;
	case PUBLISH_STS_POLICY:
		print_sts_policy(in, &b);
		return b.sts + b.all > 0 ? TOOL_NO : TOOL_YES;
	case PUBLISH_STS_TXT:
		print_sts_txt(in);
		return b.sts + b.all > 0 ? TOOL_NO : TOOL_YES;
	case PUBLISH_TLSRPT_TXT:
		print_tlsrpt_txt(in);
		return TOOL_YES;
	case PUBLISH_TLSA:
		print_tlsa(in);
		return b.tlsa + b.all > 0 ? TOOL_NO : TOOL_YES;
	}
	return b.sts + b.tlsa + b.all > 0 ? TOOL_NO : TOOL_YES;
}
