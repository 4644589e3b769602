/*
 * mkcas - self-signed certificates of CAs in PEM, as many as asked for, quickly: one key for all.
 *
 *	mkcas N [NAME]
 *
 * The subjects are CN=NAME 1, CN=NAME 2 and so on; NAME is "CA" unless said.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

static void
must(int ok)
{
	if (ok)
		return;
	fprintf(stderr, "mkcas: OpenSSL cannot\n");
	exit(2);
}

static void
put_ca(EVP_PKEY *key, const char *name, long n)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(
	    NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	X509 *c = X509_new();
	char cn[100];

	must(c != NULL && ext != NULL);
	snprintf(cn, sizeof cn, "%s %ld", name, n);
	must(X509_set_version(c, X509_VERSION_3) && X509_add_ext(c, ext, -1));
	must(ASN1_INTEGER_set(X509_get_serialNumber(c), n));
	must(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
	    (const unsigned char *)cn, -1, -1, 0));
	must(X509_set_issuer_name(c, X509_get_subject_name(c)));
	must(X509_gmtime_adj(X509_getm_notBefore(c), -3600) != NULL);
	must(X509_gmtime_adj(X509_getm_notAfter(c), 86400L * 365) != NULL);
	must(X509_set_pubkey(c, key) && X509_sign(c, key, EVP_sha256()));
	must(PEM_write_X509(stdout, c));
	X509_EXTENSION_free(ext);
	X509_free(c);
}

int
main(int argc, char **argv)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	long i, n;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: mkcas N [NAME]\n");
		return 2;
	}
	must(key != NULL);
	n = strtol(argv[1], NULL, 10);
	for (i = 1; i <= n; i++)
		put_ca(key, argc > 2 ? argv[2] : "CA", i);
	EVP_PKEY_free(key);
	return fflush(stdout) == 0 ? 0 : 2;
}
