#include "constraint.h"

#include <openssl/x509v3.h>

#include "unit.h"

/* A CA with these constraints, in OpenSSL's words; NULL: with none. */
static X509 *
make_ca(const char *constraints)
{
	X509 *ca = X509_new();
	X509_EXTENSION *ext;

	X509_set_version(ca, X509_VERSION_3);
	if (constraints == NULL)
		return ca;
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_name_constraints, constraints);
	unit_int(ext != NULL && X509_add_ext(ca, ext, -1) == 1, 1, "%s", constraints);
	X509_EXTENSION_free(ext);
	return ca;
}

/* RFC 5280 4.2.1.10: labels added on the left satisfy a constraint, as the name itself does; an empty
 * domain is everybody. */
static void
test_host(void)
{
	static const struct {
		const char *constraints, *host;
		int err;
	} rows[] = {
		{ NULL, "mx.example.org", X509_V_OK },
		{ "permitted;DNS:example.org", "example.org", X509_V_OK },
		{ "permitted;DNS:example.org", "MX.Example.ORG.", X509_V_OK },
		{ "permitted;DNS:example.org.", "mx.example.org", X509_V_OK },
		{ "permitted;DNS:example.org", "notexample.org", X509_V_ERR_PERMITTED_VIOLATION },
		{ "permitted;DNS:example.org", "org", X509_V_ERR_PERMITTED_VIOLATION },
		{ "permitted;DNS:.example.org", "mx.example.org", X509_V_OK },
		{ "permitted;DNS:.example.org", "example.org", X509_V_ERR_PERMITTED_VIOLATION },
		{ "permitted;DNS:example.org,permitted;DNS:example.net", "mx.example.net", X509_V_OK },
		{ "DER:3006A00430028200", "mx.example.org", X509_V_OK },
		{ "permitted;IP:192.0.2.0/255.255.255.0", "mx.example.org", X509_V_OK },
		{ "permitted;email:example.net", "mx.example.org", X509_V_OK },
		{ "excluded;DNS:example.org", "mx.example.org", X509_V_ERR_EXCLUDED_VIOLATION },
		{ "excluded;DNS:Example.org", "example.org.", X509_V_ERR_EXCLUDED_VIOLATION },
		{ "excluded;DNS:example.org", "notexample.org", X509_V_OK },
		{ "DER:3006A10430028200", "mx.example.org", X509_V_ERR_EXCLUDED_VIOLATION },
		{ "permitted;DNS:example.org,excluded;DNS:bad.example.org", "bad.example.org",
		    X509_V_ERR_EXCLUDED_VIOLATION },
		{ "permitted;DNS:example.org,excluded;DNS:bad.example.org", "good.example.org",
		    X509_V_OK },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509 *ca = make_ca(rows[i].constraints);

		unit_int(constraint_of_host(ca, rows[i].host), rows[i].err, "%s under %s",
		    rows[i].host, rows[i].constraints != NULL ? rows[i].constraints : "none");
		X509_free(ca);
	}
}

static void
test_wildcard(void)
{
	X509 *ca = make_ca("excluded;DNS:bad.example.org,permitted;DNS:mx.example.net");

	unit_int(constraint_in_wildcard(ca, "*.example.org"), 1, "it covers what is excluded");
	unit_int(constraint_in_wildcard(ca, "*.example.com"), 0, "another domain");
	unit_int(constraint_in_wildcard(ca, "*.example.net"), 0, "one that is permitted");
	X509_free(ca);
	ca = make_ca(NULL);
	unit_int(constraint_in_wildcard(ca, "*.example.org"), 0, "no constraints");
	X509_free(ca);
}

/* Other kinds come along, and nothing twice. */
static void
test_narrow(void)
{
	X509 *ca = make_ca("permitted;email:example.org,permitted;DNS:example.org,"
	    "excluded;URI:.example.net,excluded;IP:0.0.0.0/0.0.0.0");
	NAME_CONSTRAINTS *nc = NAME_CONSTRAINTS_new();
	int round;

	for (round = 0; round < 2; round++) {
		unit_int(constraint_narrow(nc, ca, NULL), 0, "narrowed");
		unit_int(sk_GENERAL_SUBTREE_num(nc->permittedSubtrees), 2, "two are permitted");
		unit_int(sk_GENERAL_SUBTREE_num(nc->excludedSubtrees), 2, "two are excluded");
	}
	X509_free(ca);
	ca = make_ca("permitted;DNS:example.com");
	unit_int(constraint_narrow(nc, ca, NULL), -1, "nothing is left of the domains");
	X509_free(ca);
	NAME_CONSTRAINTS_free(nc);
}

int
main(void)
{
	test_host();
	test_wildcard();
	test_narrow();
	return unit_done();
}
