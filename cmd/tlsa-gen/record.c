/*
 * The records of a source: for each usage, selector and matching type one, then the same of the next key.
 *
 * Usages 0 and 2 are about the CA at the end of the chain, the others about the server's own certificate or key.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "gen.h"
#include "log.h"

static int
is_about_ca(uint8_t usage)
{
	return usage == TLSA_PKIX_TA || usage == TLSA_DANE_TA;
}

/* RFC 7671 5.2: usage 2 (and 0) describes a CA that issued the server's certificate. */
static int
refuse_usage(uint8_t usage, const struct source *s, const char *why, struct fail *f)
{
	return fail(f, FAIL_INPUT, "%.200s: usage %u is about a CA that issued the certificate, %s",
	    s->what, usage, why);
}

/* One certificate in a file may be the CA that the user means, who then says of which hosts. */
static int
check_lone_ca(const struct job *j, uint8_t usage, const struct source *s, struct fail *f)
{
	if (j->connect.host[0] != '\0')
		return refuse_usage(usage, s, "and the server sends none; a self-signed certificate is "
		    "published with usage 3", f);
	if (j->name != NULL)
		return refuse_usage(usage, s, "and the identity has none in its chain; a self-signed "
		    "certificate is published with usage 3", f);
	if (!cert_is_ca(s->leaf))
		return refuse_usage(usage, s, "and the only one here is no CA's; a server's own is "
		    "published with usage 3", f);
	if (j->nowner == 0 && j->form != FORM_RDATA)
		return refuse_usage(usage, s, "and is alone here: --owner names the hosts", f);
	return 0;
}

/* The certificate that the usage is about; NULL: FAIL_INPUT. */
static const X509 *
subject_of_record(const struct job *j, uint8_t usage, const struct source *s, struct fail *f)
{
	int n = s->chain != NULL ? sk_X509_num(s->chain) : 0;
	const X509 *ta;

	if (!is_about_ca(usage))
		return s->leaf;
	if (n == 0)
		return check_lone_ca(j, usage, s, f) == 0 ? s->leaf : NULL;
	ta = sk_X509_value(s->chain, n - 1);
	if (cert_is_ca(ta))
		return ta;
	refuse_usage(usage, s, "and the last of the chain is none", f);
	return NULL;
}

/* ---- what is to be said against a record ---- */

/* Once for a run, however many records it is true of. */
static void
warn(const struct source *s, struct records *all, struct record *r, const char *text)
{
	size_t i, k;
	int said = 0;

	for (i = 0; i < all->n; i++)
		for (k = 0; k < all->v[i].nwarning; k++)
			said |= all->v[i].warning[k] == text;
	if (r->nwarning < WARNINGS_MAX)
		r->warning[r->nwarning++] = text;
	if (!said)
		talk(s->what, "%s", text);
}

static int
has_mtype(const struct job *j, uint8_t mtype)
{
	return memchr(j->mtype.v, mtype, j->mtype.n) != NULL;
}

/* May the CA be missing in what the server sends?  A live server's chain is what it sends. */
static int
may_be_unsent(const struct source *s, const X509 *subject)
{
	return !s->sent && (subject == NULL || subject == s->leaf || cert_is_self_signed(subject));
}

static void
lint(const struct job *j, const struct source *s, struct records *all, struct record *r, const X509 *subject)
{
	const struct tlsa *t = &r->tlsa;

	if (t->usage == TLSA_PKIX_TA)
		warn(s, all, r, "usage 0 is not used with SMTP (RFC 7672 3.1.3): such a record is unusable");
	if (t->usage == TLSA_PKIX_EE)
		warn(s, all, r, "usage 1 is not used with SMTP (RFC 7672 3.1.3): such a record is unusable");
	if (t->mtype == TLSA_SHA512 && !has_mtype(j, TLSA_SHA256))
		warn(s, all, r, "SHA2-512 alone: not every client supports it (RFC 7671 9); publish SHA2-256 "
		    "as well");
	if (t->usage == TLSA_DANE_TA && t->mtype != TLSA_FULL && may_be_unsent(s, subject))
		warn(s, all, r, "a digest of a CA only matches if the server sends the CA's certificate in "
		    "its chain (RFC 7671 5.2.2)");
	if (t->usage == TLSA_DANE_TA && t->selector == TLSA_SPKI)
		warn(s, all, r, "2 1 x is about a CA's key alone: the limits in the CA's certificate, such as "
		    "its path length, bind nobody; 2 0 x is about all of it");
	if (t->usage == TLSA_DANE_EE && t->selector == TLSA_CERT)
		warn(s, all, r, "3 0 x changes with each certificate, even of the same key; 3 1 x does not "
		    "(RFC 7671 5.1)");
}

/* ---- the records ---- */

static int
of_cert(const struct job *j, const struct source *s, struct record *r, const struct tlsa *n, const X509 **subject,
    struct fail *f)
{
	if ((*subject = subject_of_record(j, n->usage, s, f)) == NULL)
		return -1;
	if (tlsa_of_cert(&r->tlsa, n->usage, n->selector, n->mtype, *subject, f) == -1)
		return fail_prefix(f, "%.300s", s->what);
	return 0;
}

static int
of_key(const struct source *s, const EVP_PKEY *key, struct record *r, const struct tlsa *n, struct fail *f)
{
	if (is_about_ca(n->usage))
		return refuse_usage(n->usage, s, "and there is only a key here; a server's own is "
		    "published with usage 3", f);
	if (n->selector == TLSA_CERT)
		return fail(f, FAIL_INPUT,
		    "%.300s: selector 0 is about a certificate, and there is only a key", s->what);
	if (tlsa_of_key(&r->tlsa, n->usage, n->mtype, key, f) == -1)
		return fail_prefix(f, "%.300s", s->what);
	return 0;
}

/* n has the three numbers; key is NULL for the current one. */
static int
make(const struct job *j, const struct source *s, struct records *all, const struct tlsa *n, const EVP_PKEY *next,
    struct fail *f)
{
	struct record r = { .of = next != NULL ? "next" : "current" };
	const X509 *subject = NULL;
	int rc;

	if (next != NULL)
		rc = of_key(s, next, &r, n, f);
	else if (s->leaf != NULL)
		rc = of_cert(j, s, &r, n, &subject, f);
	else
		rc = of_key(s, s->key, &r, n, f);
	if (rc == -1)
		return -1;
	if (next == NULL)
		lint(j, s, all, &r, subject);
	all->v = xreallocarray(all->v, all->n + 1, sizeof *all->v);
	all->v[all->n++] = r;
	return 0;
}

static int
make_all(const struct job *j, const struct source *s, struct records *out, const EVP_PKEY *next, struct fail *f)
{
	size_t u, k, m;

	for (u = 0; u < j->usage.n; u++)
		for (k = 0; k < j->selector.n; k++)
			for (m = 0; m < j->mtype.n; m++) {
				struct tlsa n = { .usage = j->usage.v[u], .selector = j->selector.v[k],
					.mtype = j->mtype.v[m] };

				if (make(j, s, out, &n, next, f) == -1)
					return -1;
			}
	return 0;
}

int
records_make(const struct job *j, const struct source *s, struct records *out, struct fail *f)
{
	if (make_all(j, s, out, NULL, f) == -1)
		return -1;
	return j->next ? make_all(j, s, out, s->next, f) : 0;
}

void
records_clear(struct records *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		tlsa_clear(&r->v[i].tlsa);
	free(r->v);
}

/* Those that cannot have a record are named and left out. */
int
owners_find(struct job *j, const struct source *s, struct fail *f)
{
	struct fail why = FAIL_INIT;
	size_t i;

	if (j->nowner > 0 || j->form == FORM_RDATA)
		return 0;
	for (i = 0; i < s->names.n; i++)
		if (owners_add(j, tlsa_owner(s->names.v[i], j->port, j->proto, &why), &why) == -1)
			/* The reason begins with the name, which may be what the identity is called. */
			talk(strcmp(s->what, s->names.v[i]) == 0 ? NULL : s->what, "%s", why.text);
	if (s->names.odd > 0)
		talk(s->what, "%zu names that are no host names left out", s->names.odd);
	if (j->nowner > 0)
		return 0;
	return fail(f, FAIL_INPUT, "%.300s: no host name in it to publish a record for; --owner "
	    "names the host", s->what);
}
