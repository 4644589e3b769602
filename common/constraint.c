#include "constraint.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "name.h"
#include "ossl.h"

/* A domain as it stands in a constraint; not terminated. */
struct domain {
	const char *p;
	size_t n;
};

static NAME_CONSTRAINTS *
constraints_of(const X509 *ca)
{
	NAME_CONSTRAINTS *nc = X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL);

	ossl_clear();
	return nc;
}

static struct domain
domain_of(const GENERAL_NAME *gn)
{
	struct domain d = { (const char *)ASN1_STRING_get0_data(gn->d.dNSName),
		(size_t)ASN1_STRING_length(gn->d.dNSName) };

	if (d.n > 0 && d.p[d.n - 1] == '.')
		d.n--;
	return d;
}

/* The domain itself and all below; with a dot before it, as some write it, only what is below. */
static int
is_within(struct domain name, struct domain base)
{
	const char *tail;

	if (base.n == 0)
		return 1;
	if (name.n < base.n)
		return 0;
	tail = name.p + name.n - base.n;
	if (strncasecmp(tail, base.p, base.n) != 0)
		return 0;
	return name.n == base.n || base.p[0] == '.' || tail[-1] == '.';
}

/* How many subtrees of the list are on host names; *hit: the name is within one. */
static int
count_domains(const STACK_OF(GENERAL_SUBTREE) *list, struct domain name, int *hit)
{
	int i, n = 0;

	*hit = 0;
	for (i = 0; i < sk_GENERAL_SUBTREE_num(list); i++) {
		const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(list, i)->base;

		if (base->type != GEN_DNS)
			continue;
		n++;
		*hit |= is_within(name, domain_of(base));
	}
	return n;
}

int
constraint_of_host(const X509 *ca, const char *host)
{
	struct domain name = { host, strlen(host) };
	NAME_CONSTRAINTS *nc = constraints_of(ca);
	int hit, err = X509_V_OK;

	if (nc == NULL)
		return X509_V_OK;
	if (name.n > 0 && host[name.n - 1] == '.')
		name.n--;
	if (count_domains(nc->permittedSubtrees, name, &hit) > 0 && !hit)
		err = X509_V_ERR_PERMITTED_VIOLATION;
	else if (count_domains(nc->excludedSubtrees, name, &hit) > 0 && hit)
		err = X509_V_ERR_EXCLUDED_VIOLATION;
	NAME_CONSTRAINTS_free(nc);
	return err;
}

int
constraint_in_wildcard(const X509 *ca, const char *wildcard)
{
	NAME_CONSTRAINTS *nc = constraints_of(ca);
	int i, n = nc != NULL ? sk_GENERAL_SUBTREE_num(nc->excludedSubtrees) : 0, found = 0;

	for (i = 0; i < n && !found; i++) {
		const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(nc->excludedSubtrees, i)->base;
		struct domain d;
		char *text;

		if (base->type != GEN_DNS)
			continue;
		d = domain_of(base);
		text = xstrndup(d.p, d.n);
		found = name_matches(text, wildcard);
		free(text);
	}
	NAME_CONSTRAINTS_free(nc);
	return found;
}

/* ---- a CA below another ---- */

static void
add_subtree(STACK_OF(GENERAL_SUBTREE) **list, const GENERAL_NAME *base)
{
	GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();

	if (*list == NULL)
		*list = sk_GENERAL_SUBTREE_new_null();
	if (*list == NULL || sub == NULL)
		alloc_failed();
	GENERAL_NAME_free(sub->base);
	if ((sub->base = GENERAL_NAME_dup(base)) == NULL ||
	    sk_GENERAL_SUBTREE_push(*list, sub) == 0)
		alloc_failed();
}

static int
has_kind(const STACK_OF(GENERAL_SUBTREE) *list, int type)
{
	int i;

	for (i = 0; i < sk_GENERAL_SUBTREE_num(list); i++)
		if (sk_GENERAL_SUBTREE_value(list, i)->base->type == type)
			return 1;
	return 0;
}

static int
has_base(const STACK_OF(GENERAL_SUBTREE) *list, GENERAL_NAME *base)
{
	int i;

	for (i = 0; i < sk_GENERAL_SUBTREE_num(list); i++)
		if (GENERAL_NAME_cmp(sk_GENERAL_SUBTREE_value(list, i)->base, base) == 0)
			return 1;
	return 0;
}

/* Address and mask, 8 or 32 octets, in the range of another? */
static int
is_range_within(const ASN1_OCTET_STRING *a, const ASN1_OCTET_STRING *b)
{
	const unsigned char *p = ASN1_STRING_get0_data(a), *q = ASN1_STRING_get0_data(b);
	int i, n = ASN1_STRING_length(a) / 2;

	if (ASN1_STRING_length(a) != ASN1_STRING_length(b))
		return 0;
	for (i = 0; i < n; i++)
		if ((p[n + i] & q[n + i]) != q[n + i] || ((p[i] ^ q[i]) & q[n + i]) != 0)
			return 0;
	return 1;
}

static int
is_base_within(const GENERAL_NAME *a, const GENERAL_NAME *b)
{
	if (a->type != b->type)
		return 0;
	if (a->type == GEN_DNS)
		return is_within(domain_of(a), domain_of(b));
	return a->type == GEN_IPADD && is_range_within(a->d.iPAddress, b->d.iPAddress);
}

/* What the subtree has in common with those of the list: it itself, or what is in it. */
static void
add_common(STACK_OF(GENERAL_SUBTREE) **to, GENERAL_NAME *base,
    const STACK_OF(GENERAL_SUBTREE) *list)
{
	int i;

	for (i = 0; i < sk_GENERAL_SUBTREE_num(list); i++) {
		GENERAL_NAME *other = sk_GENERAL_SUBTREE_value(list, i)->base;
		GENERAL_NAME *both = is_base_within(base, other) ? base :
		    is_base_within(other, base) ? other : NULL;

		if (both != NULL && !has_base(*to, both))
			add_subtree(to, both);
	}
}

/* Permitted by both, kind by kind. */
static STACK_OF(GENERAL_SUBTREE) *
common_subtrees(const STACK_OF(GENERAL_SUBTREE) *own, const STACK_OF(GENERAL_SUBTREE) *above)
{
	STACK_OF(GENERAL_SUBTREE) *both = NULL;
	int i;

	for (i = 0; i < sk_GENERAL_SUBTREE_num(own); i++) {
		GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(own, i)->base;

		if ((base->type == GEN_DNS || base->type == GEN_IPADD) && has_kind(above, base->type))
			add_common(&both, base, above);
		else
			add_subtree(&both, base);
	}
	for (i = 0; i < sk_GENERAL_SUBTREE_num(above); i++) {
		GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(above, i)->base;

		if (!has_kind(own, base->type))
			add_subtree(&both, base);
	}
	return both;
}

/* A kind of which nothing is left would be one that is not limited at all. */
static int
lost_kind(const STACK_OF(GENERAL_SUBTREE) *own, const STACK_OF(GENERAL_SUBTREE) *both)
{
	int i;

	for (i = 0; i < sk_GENERAL_SUBTREE_num(own); i++)
		if (!has_kind(both, sk_GENERAL_SUBTREE_value(own, i)->base->type))
			return 1;
	return 0;
}

static void
free_subtrees(STACK_OF(GENERAL_SUBTREE) *list)
{
	sk_GENERAL_SUBTREE_pop_free(list, GENERAL_SUBTREE_free);
}

int
constraint_narrow(NAME_CONSTRAINTS *nc, const X509 *above, struct fail *f)
{
	NAME_CONSTRAINTS *limit = constraints_of(above);
	STACK_OF(GENERAL_SUBTREE) *both;
	int i, lost;

	if (limit == NULL)
		return 0;
	for (i = 0; i < sk_GENERAL_SUBTREE_num(limit->excludedSubtrees); i++) {
		GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(limit->excludedSubtrees, i)->base;

		if (!has_base(nc->excludedSubtrees, base))
			add_subtree(&nc->excludedSubtrees, base);
	}
	both = common_subtrees(nc->permittedSubtrees, limit->permittedSubtrees);
	lost = lost_kind(nc->permittedSubtrees, both);
	free_subtrees(nc->permittedSubtrees);
	nc->permittedSubtrees = both;
	NAME_CONSTRAINTS_free(limit);
	if (lost)
		return fail(f, FAIL_POLICY, "the CA's name constraints do not permit what is to be "
		    "permitted (RFC 5280 4.2.1.10)");
	return 0;
}
