/*
 * A certificate that a peer shows: its names are harmless, read the same without its key, and what is matched against them
 * and against its name constraints gives an answer.
 */
#include "cert.h"

#include <openssl/x509v3.h>

#include "alloc.h"
#include "constraint.h"
#include "fuzz.h"
#include "glance.h"
#include "name.h"

static void
check_text(char *s)
{
	const char *p;

	for (p = s; p != NULL && *p != '\0'; p++)
		MUST(*p >= 0x20 && *p < 0x7f);
	free(s);
}

static void
check_names(const X509 *cert, const X509 *glanced)
{
	struct cert_names names = CERT_NAMES_INIT, same = CERT_NAMES_INIT, ip = CERT_NAMES_INIT;
	char *cn = cert_cn(cert);
	size_t i;
	const char *p;

	cert_dns_names(cert, &names);
	cert_dns_names(glanced, &same);
	cert_ip_names(cert, &ip);
	MUST(names.n == same.n && names.odd == same.odd);
	for (i = 0; i < names.n; i++) {
		MUST(names.v[i][0] != '\0' && strcmp(names.v[i], same.v[i]) == 0);
		for (p = names.v[i]; *p != '\0'; p++)
			MUST(*p >= 0x20 && *p < 0x7f);
		(void)name_matches("mx.example", names.v[i]);
	}
	for (p = cn; p != NULL && *p != '\0'; p++)
		MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
	i = names.n;
	cert_names_or_cn(&names, cn);
	MUST(names.n == i || (names.n == 1 && i == 0 && name_is_fqdn(names.v[0], NAME_UNDERSCORE | NAME_WILDCARD)));
	free(cn);
	cert_names_clear(&names);
	cert_names_clear(&same);
	cert_names_clear(&ip);
}

static void
check_constraints(const X509 *cert)
{
	int v = constraint_of_host(cert, "mx.example");

	MUST(v == X509_V_OK || v == X509_V_ERR_PERMITTED_VIOLATION || v == X509_V_ERR_EXCLUDED_VIOLATION);
	MUST(constraint_of_host(cert, "MX.Example.") == v);
	(void)constraint_in_wildcard(cert, "*.example");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fail f = FAIL_INIT;
	X509 *cert = cert_from_der(data, n, &f), *glanced, *named;
	char print[CERT_FINGERPRINT_SIZE];

	if (cert == NULL) {
		MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
		return 0;
	}
	MUST(strlen(cert_fingerprint(print, cert)) == CERT_FINGERPRINT_SIZE - 1);
	MUST(strlen(cert_tbs_fingerprint(print, cert)) == CERT_FINGERPRINT_SIZE - 1);
	/* What may also be something else by its shape is taken from a file by neither. */
	glanced = glance_cert(data, n, &f);
	named = cert_from_pem(data, n, &f);
	MUST((glanced == NULL) == (named == NULL));
	X509_free(named);
	if (glanced == NULL)
		glanced = X509_dup(cert);
	check_names(cert, glanced);
	check_constraints(cert);
	check_text(cert_subject(cert));
	check_text(cert_issuer(cert));
	check_text(cert_serial(cert));
	check_text(cert_sig_describe(cert));
	check_text(glance_key(glanced));
	(void)cert_not_before(cert);
	(void)cert_not_after(cert);
	(void)cert_is_ca(cert);
	(void)cert_is_self_issued(cert);
	MUST(cert_is_demo(cert) == cert_is_demo(glanced));
	X509_free(cert);
	X509_free(glanced);
	return 0;
}
