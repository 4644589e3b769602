#include "signer.h"

#include <openssl/x509v3.h>

#include <stdlib.h>

#include "alloc.h"
#include "cert.h"
#include "key.h"
#include "unit.h"

#define NOW 1700000000
#define DAY 86400

struct row {
	const char *name;	/* of the CA to make */
	int pathlen;
	const char *permit, *exclude;
};

/* A CA, below another or a root; identity_clear() frees. */
static struct identity
make_ca(const struct row *r, const struct identity *above)
{
	struct identity id = { .name = xstrdup(r->name), .key = key_generate("ec:p256", NULL) };
	struct issue is;

	issue_init(&is);
	is.flags = ISSUE_CA;
	is.days = 1000;
	is.pathlen = r->pathlen;
	issue_set(&is, ISSUE_CN, r->name, NULL);
	if (r->permit != NULL)
		issue_add_limit(&is, 0, r->permit, NULL);
	if (r->exclude != NULL)
		issue_add_limit(&is, 1, r->exclude, NULL);
	if (above == NULL)
		id.cert = issue_self_signed(&is, id.key, NOW, NULL);
	else if ((id.cert = signer_sign(above, &is, id.key, NOW, NULL)) != NULL)
		id.chain = signer_chain(above);
	issue_clear(&is);
	return id;
}

/* Signs a leaf, or a CA where the name is that of one; what the failure says, NULL for success. */
static const char *
try_sign(const struct identity *ca, const char *cn, const char *san, unsigned flags, int64_t now)
{
	EVP_PKEY *key = key_generate("ed25519", NULL);
	static struct fail f;
	struct issue is;
	X509 *cert;

	f = (struct fail)FAIL_INIT;
	issue_init(&is);
	is.flags = flags;
	issue_set(&is, ISSUE_CN, cn, NULL);
	if (san != NULL)
		issue_add_san(&is, san, NULL);
	if ((cert = signer_sign(ca, &is, key, now, &f)) == NULL && f.kind != FAIL_POLICY)
		unit_ok(0, "%s: not by a rule: %s", cn, f.text);
	issue_clear(&is);
	EVP_PKEY_free(key);
	if (cert == NULL)
		return f.text;
	X509_free(cert);
	return NULL;
}

static void
test_constraints(void)
{
	static const struct {
		struct row ca;
		const char *cn, *san, *why;
	} rows[] = {
		{ { "c", -1, "example.org", NULL }, "mx.example.org", NULL, NULL },
		{ { "c", -1, "example.org", NULL }, "example.org", NULL, NULL },
		{ { "c", -1, "example.org", NULL }, "mx.example.com", NULL, "do not permit" },
		{ { "c", -1, "example.org", NULL }, "mx.example.org", "x.example.com", "do not permit" },
		{ { "c", -1, "example.org", NULL }, "notexample.org", NULL, "do not permit" },
		/* RFC 5280 4.2.1.10: a constraint on one kind of name leaves the others alone. */
		{ { "c", -1, "example.org", NULL }, "mx.example.org", "192.0.2.1", NULL },
		{ { "c", -1, NULL, "example.org" }, "mx.example.org", NULL, "exclude" },
		{ { "c", -1, NULL, "example.org" }, "mx.example.com", NULL, NULL },
		{ { "c", -1, "192.0.2.0/24", NULL }, "mx.example", "192.0.2.255", NULL },
		{ { "c", -1, "192.0.2.0/24", NULL }, "mx.example", "192.0.3.0", "do not permit" },
		{ { "c", -1, NULL, "192.0.2.7" }, "mx.example", "192.0.2.7", "exclude" },
		{ { "c", -1, NULL, "192.0.2.7" }, "mx.example", "192.0.2.8", NULL },
		{ { "c", -1, "2001:db8::/33", NULL }, "mx.example", "2001:db8:7fff::1", NULL },
		{ { "c", -1, "2001:db8::/33", NULL }, "mx.example", "2001:db8:8000::1", "do not permit" },
		/* A wildcard covers one label. */
		{ { "c", -1, NULL, "bad.example.org" }, "*.example.org", NULL, "*.example.org covers" },
		{ { "c", -1, NULL, "bad.example.org" }, "mx.example.org", "*.Example.org", "covers" },
		{ { "c", -1, NULL, "bad.example.org" }, "*.example.com", NULL, NULL },
		{ { "c", -1, NULL, "bad.example.org" }, "*.mx.example.org", NULL, NULL },
		{ { "c", -1, NULL, "very.bad.example.org" }, "*.example.org", NULL, NULL },
		{ { "c", -1, NULL, "bad.example.org" }, "*.bad.example.org", NULL, "exclude" },
		{ { "c", -1, "0.0.0.0/0", "10.0.0.0/8" }, "mx.example", "10.1.2.3", "exclude" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct identity ca = make_ca(&rows[i].ca, NULL);
		const char *got = try_sign(&ca, rows[i].cn, rows[i].san, 0, NOW);
		int crit = -1;

		if (rows[i].why == NULL)
			unit_str(got, NULL, "row %zu is signed", i);
		else
			unit_ok(got != NULL && strstr(got, rows[i].why) != NULL, "row %zu: %s (%s)", i,
			    rows[i].why, got);
		NAME_CONSTRAINTS_free(X509_get_ext_d2i(ca.cert, NID_name_constraints, &crit, NULL));
		unit_int(crit, 1, "row %zu: and the constraints are critical", i);
		identity_clear(&ca);
	}
}

/* A CA's constraints hold for what CAs below it sign. */
static void
test_below(void)
{
	static const struct row root = { "root", -1, "example.org", NULL };
	static const struct row sub = { "sub", -1, NULL, NULL };
	struct identity top = make_ca(&root, NULL), below = make_ca(&sub, &top);

	unit_int(sk_X509_num(below.chain), -1, "a root is not in the chain of what it signs");
	/* As installed with its root: then the root's constraints are known. */
	below.chain = sk_X509_new_null();
	sk_X509_push(below.chain, top.cert);
	X509_up_ref(top.cert);
	unit_str(try_sign(&below, "mx.example.org", NULL, 0, NOW), NULL, "within those of the root");
	unit_ok(try_sign(&below, "mx.example.com", NULL, 0, NOW) != NULL, "not beyond them");
	identity_clear(&below);
	identity_clear(&top);
}

/* A root that is not at hand binds what stands below it nevertheless. */
static void
test_narrowed(void)
{
	static const struct {
		struct row root, sub;
		const char *cn, *san, *why;	/* why: "-", there is no such CA */
	} rows[] = {
		{ { "r", -1, "example.org", NULL }, { "s", -1, NULL, NULL }, "mx.example.org", NULL,
		    NULL },
		{ { "r", -1, "example.org", NULL }, { "s", -1, NULL, NULL }, "mx.example.com", NULL,
		    "do not permit" },
		{ { "r", -1, NULL, "example.org" }, { "s", -1, NULL, NULL }, "mx.example.org", NULL,
		    "exclude" },
		{ { "r", -1, NULL, "example.org" }, { "s", -1, NULL, "example.net" }, "mx.example.org",
		    NULL, "exclude" },
		{ { "r", -1, NULL, "example.org" }, { "s", -1, NULL, "example.net" }, "mx.example.net",
		    NULL, "exclude" },
		{ { "r", -1, NULL, "bad.example.org" }, { "s", -1, NULL, NULL }, "*.example.org", NULL,
		    "covers" },
		/* What both permit. */
		{ { "r", -1, "example.org", NULL }, { "s", -1, "a.example.org", NULL },
		    "mx.a.example.org", NULL, NULL },
		{ { "r", -1, "example.org", NULL }, { "s", -1, "a.example.org", NULL },
		    "mx.example.org", NULL, "do not permit" },
		{ { "r", -1, "a.example.org", NULL }, { "s", -1, "example.org", NULL },
		    "mx.a.example.org", NULL, NULL },
		{ { "r", -1, "a.example.org", NULL }, { "s", -1, "example.org", NULL },
		    "mx.example.org", NULL, "do not permit" },
		{ { "r", -1, "example.org", NULL }, { "s", -1, "notexample.org", NULL }, NULL, NULL,
		    "-" },
		{ { "r", -1, "example.org", NULL }, { "s", -1, "192.0.2.0/24", NULL },
		    "mx.example.org", "192.0.2.1", NULL },
		{ { "r", -1, "example.org", NULL }, { "s", -1, "192.0.2.0/24", NULL },
		    "mx.example.com", "192.0.2.1", "do not permit" },
		{ { "r", -1, "192.0.2.0/24", NULL }, { "s", -1, "192.0.0.0/16", NULL },
		    "mx.example.org", "192.0.3.1", "do not permit" },
		{ { "r", -1, "192.0.0.0/16", NULL }, { "s", -1, "192.0.2.0/24", NULL },
		    "mx.example.org", "192.0.3.1", "do not permit" },
		{ { "r", -1, "192.0.0.0/16", NULL }, { "s", -1, "192.0.2.0/24", NULL },
		    "mx.example.org", "192.0.2.1", NULL },
		{ { "r", -1, "192.0.2.0/24", NULL }, { "s", -1, "192.0.3.0/24", NULL }, NULL, NULL,
		    "-" },
		{ { "r", -1, "192.0.2.0/24", NULL }, { "s", -1, "2001:db8::/32", NULL }, NULL, NULL,
		    "-" },
		{ { "r", -1, "2001:db8::/32", NULL }, { "s", -1, "2001:db8:1::/48", NULL },
		    "mx.example.org", "2001:db8:2::1", "do not permit" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct identity top = make_ca(&rows[i].root, NULL), sub = make_ca(&rows[i].sub, &top);
		const char *why = rows[i].why, *got;

		unit_int(sub.cert == NULL, why != NULL && *why == '-', "row %zu: no CA", i);
		if (sub.cert != NULL) {
			unit_int(sk_X509_num(sub.chain), -1, "row %zu: the root is not at hand", i);
			got = try_sign(&sub, rows[i].cn, rows[i].san, 0, NOW);
			unit_ok(why == NULL ? got == NULL : got != NULL && strstr(got, why) != NULL,
			    "row %zu: below it %s (%s)", i, why != NULL ? why : "signed",
			    got != NULL ? got : "signed");
		}
		identity_clear(&sub);
		identity_clear(&top);
	}
}

static void
test_path_length(void)
{
	static const struct {
		int root, sub;
		int exists, got;
		int signs_ca;	/* may the second of them sign a third? */
	} rows[] = {
		{ -1, -1, 1, -1, 1 },
		{ 0, -1, 0, 0, 0 },
		{ 1, -1, 1, 0, 0 },	/* what is left is handed down */
		{ 2, -1, 1, 1, 1 },
		{ 2, 0, 1, 0, 0 },
		{ -1, 0, 1, 0, 0 },
		{ 2, 1, 1, 1, 1 },
		{ 2, 2, 0, 0, 0 },	/* more than is left */
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct row r = { "root", rows[i].root, NULL, NULL }, s = { "sub", rows[i].sub, NULL, NULL };
		struct identity top = make_ca(&r, NULL), sub = make_ca(&s, &top);

		unit_int(X509_get_pathlen(top.cert), rows[i].root, "row %zu: path length", i);
		unit_int(sub.cert != NULL, rows[i].exists, "row %zu: a CA below a root", i);
		if (sub.cert != NULL) {
			unit_int(X509_get_pathlen(sub.cert), rows[i].got, "row %zu: its own", i);
			unit_int(try_sign(&sub, "third", NULL, ISSUE_CA, NOW) == NULL, rows[i].signs_ca,
			    "row %zu: a CA below that", i);
			unit_str(try_sign(&sub, "mx.example", NULL, 0, NOW), NULL, "row %zu: leaf", i);
		}
		identity_clear(&sub);
		identity_clear(&top);
	}
}

/* Three in a row: the length of one further up counts, and the chain grows. */
static void
test_three(void)
{
	static const struct row root = { "root", -1, NULL, NULL }, one = { "one", 1, NULL, NULL };
	static const struct row two = { "two", -1, NULL, NULL };
	struct identity a = make_ca(&root, NULL), b = make_ca(&one, &a), c = make_ca(&two, &b);
	STACK_OF(X509) *chain = signer_chain(&c);

	unit_int(sk_X509_num(chain), 2, "two intermediates");
	unit_ok(X509_cmp(sk_X509_value(chain, 0), c.cert) == 0 &&
	    X509_cmp(sk_X509_value(chain, 1), b.cert) == 0, "the signer first");
	unit_ok(try_sign(&c, "three", NULL, ISSUE_CA, NOW) != NULL, "the path length above is kept");
	unit_str(try_sign(&c, "mx.example", NULL, 0, NOW), NULL, "for a leaf it does not matter");
	cert_chain_free(chain);
	identity_clear(&c);
	identity_clear(&b);
	identity_clear(&a);
}

static void
test_span(void)
{
	static const struct row r = { "root", -1, NULL, NULL };
	struct identity ca = make_ca(&r, NULL);
	EVP_PKEY *key = key_generate("ed25519", NULL);
	const char *why;
	struct issue is;
	X509 *cert;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	is.days = 5000;
	cert = signer_sign(&ca, &is, key, NOW + 10 * DAY, NULL);
	unit_int(cert_not_before(cert), NOW + 10 * DAY - ISSUE_BACKDATE, "begins as asked");
	unit_int(cert_not_after(cert), cert_not_after(ca.cert), "ends with the CA");
	unit_int(X509_check_issued(ca.cert, cert), X509_V_OK, "the key identifiers fit");
	X509_free(cert);
	cert = signer_sign(&ca, &is, key, NOW - 1800, NULL);
	unit_int(cert_not_before(cert), cert_not_before(ca.cert), "begins no sooner than the CA");
	X509_free(cert);
	why = try_sign(&ca, "mx.example", NULL, 0, NOW + 1001 * DAY);
	unit_ok(why != NULL && strstr(why, "has expired") != NULL, "not when the CA has expired");
	why = try_sign(&ca, "mx.example", NULL, 0, NOW - DAY);
	unit_ok(why != NULL && strstr(why, "not valid before") != NULL, "nor before it begins");
	issue_clear(&is);
	EVP_PKEY_free(key);
	identity_clear(&ca);
}

static void
test_no_ca(void)
{
	struct identity id = { .name = xstrdup("leaf"), .key = key_generate("ec:p256", NULL) };
	const char *why;
	struct issue is;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "leaf.example", NULL);
	id.cert = issue_self_signed(&is, id.key, NOW, NULL);
	why = try_sign(&id, "mx.example", NULL, 0, NOW);
	unit_ok(why != NULL && strstr(why, "not a CA") != NULL, "a leaf signs nothing");
	issue_clear(&is);
	identity_clear(&id);
}

int
main(void)
{
	test_constraints();
	test_below();
	test_narrowed();
	test_path_length();
	test_three();
	test_span();
	test_no_ca();
	return unit_done();
}
