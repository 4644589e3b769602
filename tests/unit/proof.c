/*
 * What proof_make() puts together from a plan and the facts: which names count, and what holds where
 * nothing can be verified.  The chains themselves are tried in verify.c and pkix.c, the whole in truth.c.
 */
#include "proof.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "issue.h"
#include "key.h"
#include "pem.h"
#include "policy.h"
#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct facts *
make_facts(const char *domain, enum facts_mx mx, const char *host, const char *recipient)
{
	struct facts *f = facts_new(domain);

	f->mx = mx;
	f->mx_sec = DNS_SECURE;
	f->recipient = recipient != NULL ? xstrdup(recipient) : NULL;
	facts_add_host(f, host, 10);
	return f;
}

/* RFC 6125 2.2: the domain that the sender wrote, and the host that answers for it or is routed to. */
static const struct {
	const char *domain;
	enum facts_mx mx;
	const char *host, *recipient;
	const char *want;	/* the domain's names before the bar */
} name_rows[] = {
	{ "a.test", FACTS_MX_FOUND, "mx.b.test", NULL, "a.test | mx.b.test" },
	{ "a.test", FACTS_MX_IMPLICIT, "a.test", NULL, "a.test | a.test" },
	{ "[smart.test]", FACTS_MX_LOCAL, "smart.test", "a.test", "a.test | smart.test" },
	{ "[smart.test]", FACTS_MX_LOCAL, "smart.test", NULL, " | smart.test" },
	{ "[192.0.2.1]", FACTS_MX_LOCAL, "192.0.2.1", NULL, " | 192.0.2.1" },
};

static void
test_names(void)
{
	const char *names[PROOF_NAMES_MAX];
	size_t i, n, domains;

	for (i = 0; i < COUNT(name_rows); i++) {
		struct facts *f = make_facts(name_rows[i].domain, name_rows[i].mx, name_rows[i].host,
		    name_rows[i].recipient);
		struct plan_host h = { .host = &f->host[0] };
		char got[200];

		n = proof_references(f, &h, names, &domains);
		unit_int(n, domains + 1, "names %zu: those of the domain, and the host's", i);
		snprintf(got, sizeof got, "%s | %s", domains == 1 ? names[0] : "", names[n - 1]);
		unit_str(got, name_rows[i].want, "names %zu", i);
		facts_free(f);
	}
}

static STACK_OF(X509) *
self_signed(const char *cn)
{
	struct fail f = FAIL_INIT;
	struct issue order;
	EVP_PKEY *key = key_generate("ec:p256", &f);
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert;

	issue_init(&order);
	if (key == NULL || chain == NULL || issue_set(&order, ISSUE_CN, cn, &f) == -1 ||
	    (cert = issue_self_signed(&order, key, 1800000000, &f)) == NULL || !sk_X509_push(chain, cert))
		abort();
	issue_clear(&order);
	EVP_PKEY_free(key);
	return chain;
}

/* What each need asks, and that without lists of CAs nothing is trusted. */
static const struct {
	const char *name;
	struct plan_host h;
	enum verify_result dane, level, sts;
	int suffices;
} need_rows[] = {
	{ "clear", { .need = PLAN_CLEAR }, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, 1 },
	{ "may", { .need = PLAN_MAY }, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, 1 },
	{ "may, checked", { .need = PLAN_MAY, .check = 1 }, VERIFY_NOT_ASKED, VERIFY_NO_MATCH,
	    VERIFY_NOT_ASKED, 1 },
	{ "may, testing", { .need = PLAN_MAY, .testing = PLAN_TESTING_FITS }, VERIFY_NOT_ASKED,
	    VERIFY_NOT_ASKED, VERIFY_NO_MATCH, 1 },
	{ "may, testing, misfit", { .need = PLAN_MAY, .testing = PLAN_TESTING_MISFIT }, VERIFY_NOT_ASKED,
	    VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, 1 },
	{ "encrypt", { .need = PLAN_ENCRYPT }, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, 1 },
	{ "pkix", { .need = PLAN_PKIX, .check = 1 }, VERIFY_NOT_ASKED, VERIFY_NO_MATCH, VERIFY_NOT_ASKED, 0 },
	{ "sts", { .need = PLAN_STS }, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, VERIFY_NO_MATCH, 0 },
	{ "sts, hosted", { .need = PLAN_STS, .check = 1, .names = VERIFY_NAMES_HOSTED }, VERIFY_NOT_ASKED,
	    VERIFY_NO_MATCH, VERIFY_NO_MATCH, 0 },
	{ "dane", { .need = PLAN_DANE, .check = 1 }, VERIFY_NO_MATCH, VERIFY_NOT_ASKED, VERIFY_NOT_ASKED, 0 },
};

static void
test_needs(void)
{
	struct facts *facts = make_facts("a.test", FACTS_MX_FOUND, "mx.a.test", NULL);
	STACK_OF(X509) *chain = self_signed("mx.a.test");
	struct fail f = FAIL_INIT;
	size_t i;

	facts->host[0].tlsa_base = xstrdup("mx.a.test");
	for (i = 0; i < COUNT(need_rows); i++) {
		struct plan_host h = need_rows[i].h;
		struct proof_ask ask = { .host = &h, .facts = facts, .now = 1800000000 };
		struct proof p;

		h.host = &facts->host[0];
		unit_int(proof_make(chain, &ask, &p, &f), 0, "%s: is asked", need_rows[i].name);
		unit_int(p.dane.result, need_rows[i].dane, "%s: DANE", need_rows[i].name);
		unit_int(p.level.result, need_rows[i].level, "%s: the level", need_rows[i].name);
		unit_int(p.sts.result, need_rows[i].sts, "%s: MTA-STS", need_rows[i].name);
		unit_int(proof_suffices(&h, &p), need_rows[i].suffices, "%s: suffices", need_rows[i].name);
		proof_clear(&p);
	}
	cert_chain_free(chain);
	facts_free(facts);
}

/* A route: the certificate of the recipients' domain is as good as the smarthost's own. */
static void
test_route(void)
{
	struct facts *facts = make_facts("[smart.test]", FACTS_MX_LOCAL, "smart.test", "a.test");
	STACK_OF(X509) *chain = self_signed("a.test");
	struct plan_host h = { .host = &facts->host[0], .need = PLAN_PKIX, .check = 1, .bound = 1 };
	struct fail f = FAIL_INIT;
	struct buf pem = BUF_INIT;
	struct proof_ask ask = { .host = &h, .facts = facts, .now = 1800000000 };
	struct trust *trust;
	struct proof p;

	if (pem_put_cert(&pem, sk_X509_value(chain, 0), &f) == -1 ||
	    (trust = trust_from_pem(pem.p, pem.len, &f)) == NULL)
		abort();
	ask.trust = trust;
	unit_int(proof_make(chain, &ask, &p, &f), 0, "is asked");
	unit_int(p.level.result, VERIFY_MATCH, "the recipients' domain is a name that counts: %s", p.level.why);
	unit_int(p.by_domain, 1, "and it is the domain's");
	unit_int(p.level.reference, 0, "the first");
	proof_clear(&p);
	trust_free(trust);
	buf_clear(&pem);
	cert_chain_free(chain);
	facts_free(facts);
}

int
main(void)
{
	test_names();
	test_needs();
	test_route();
	return unit_done();
}
