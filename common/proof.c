#include "proof.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "policy.h"

size_t
proof_references(const struct facts *f, const struct plan_host *h, const char *names[PROOF_NAMES_MAX],
    size_t *domains)
{
	size_t n = 0;

	/* RFC 6125 2.2: the name that the user had in mind, before what the DNS made of it. */
	if (f->recipient != NULL)
		names[n++] = f->recipient;
	if (f->mx != FACTS_MX_LOCAL)
		names[n++] = f->domain;
	*domains = n;
	names[n++] = h->host->name;
	return n;
}

/* n names and those that were given beside; on the heap. */
static const char **
with_more(const char *const *names, size_t n, const struct proof_ask *ask)
{
	const char **all = xcalloc(n + ask->nmore + 1, sizeof *all);
	size_t i;

	for (i = 0; i < n; i++)
		all[i] = names[i];
	for (i = 0; i < ask->nmore; i++)
		all[n + i] = ask->more[i];
	return all;
}

static int
ask_dane(STACK_OF(X509) *chain, const struct proof_ask *ask, struct proof *out, struct fail *f)
{
	const struct facts_host *fh = ask->host->host;
	const char *own[FACTS_NAMES_MAX], **names;
	struct verify_dane v = { .tlsa = fh->tlsa, .ntlsa = fh->ntlsa, .base = fh->tlsa_base,
		.now = ask->now };
	size_t n = facts_reference_names(ask->facts, fh, own);
	int rc;

	v.names = names = with_more(own, n, ask);
	v.nnames = n + ask->nmore;
	rc = verify_dane(chain, &v, &out->dane, f);
	free(names);
	return rc;
}

static int
ask_pkix(STACK_OF(X509) *chain, const struct verify_pkix *v, struct finding *out, struct fail *f)
{
	if (v->trust != NULL)
		return verify_pkix(chain, v, NULL, out, f);
	memset(out, 0, sizeof *out);
	out->matched = out->depth = out->reference = -1;
	out->result = VERIFY_NO_MATCH;
	out->reason = VERIFY_REASON_UNKNOWN_CA;
	out->rule = "local";
	out->why = xstrdup("no list of CAs could be read");
	return 0;
}

static int
ask_level(STACK_OF(X509) *chain, const struct proof_ask *ask, struct proof *out, struct fail *f)
{
	const char *own[PROOF_NAMES_MAX], **names;
	struct verify_pkix v = { .trust = ask->trust, .names = ask->host->names,
		.fqdn_check = ask->host->fqdn_check, .now = ask->now };
	size_t domains, n = proof_references(ask->facts, ask->host, own, &domains);
	int rc;

	v.reference = names = with_more(own, n, ask);
	v.nreference = n + ask->nmore;
	rc = ask_pkix(chain, &v, &out->level, f);
	free(names);
	if (rc == -1)
		return -1;
	out->by_domain = out->level.result == VERIFY_MATCH && out->level.reference >= 0 &&
	    (size_t)out->level.reference < domains;
	return 0;
}

/* RFC 8461 4.2: a dNSName of the certificate that is the MX host's, and nothing else. */
static int
ask_sts(STACK_OF(X509) *chain, const struct proof_ask *ask, struct proof *out, struct fail *f)
{
	const char *name = ask->host->host->name;
	struct verify_pkix v = { .trust = ask->trust, .names = VERIFY_NAMES_SAN, .reference = &name,
		.nreference = 1, .now = ask->now };

	return ask_pkix(chain, &v, &out->sts, f);
}

int
proof_make(STACK_OF(X509) *chain, const struct proof_ask *ask, struct proof *out, struct fail *f)
{
	const struct plan_host *h = ask->host;

	memset(out, 0, sizeof *out);
	out->dane.matched = out->dane.depth = -1;
	if (h->need == PLAN_DANE)
		return ask_dane(chain, ask, out, f);
	if (h->check && ask_level(chain, ask, out, f) == -1)
		return -1;
	if (h->need == PLAN_STS || h->testing == PLAN_TESTING_FITS)
		return ask_sts(chain, ask, out, f);
	return 0;
}

void
proof_clear(struct proof *p)
{
	finding_clear(&p->dane);
	finding_clear(&p->level);
	finding_clear(&p->sts);
	p->by_domain = 0;
}

int
proof_suffices(const struct plan_host *h, const struct proof *p)
{
	switch (h->need) {
	case PLAN_DANE:
		return p->dane.result == VERIFY_MATCH;
	case PLAN_STS:
		return p->sts.result == VERIFY_MATCH && (!h->check || p->level.result == VERIFY_MATCH);
	case PLAN_PKIX:
		return p->level.result == VERIFY_MATCH;
	case PLAN_CLEAR:
	case PLAN_MAY:
	case PLAN_ENCRYPT:
		break;
	}
	return 1;
}
