#include "certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "text.h"

/* ---- words ---- */

void
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

void
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

/* ---- JSON ---- */

void
set_verdict(json_t *o, const struct verdict *v)
{
	json_set_str(o, "verdict", verdict_name(v->word));
	json_set_str(o, "rule", v->rule);
	json_set_str(o, "reason", v->why);
}

static json_t *
names_of(const X509 *cert)
{
	struct cert_names names = CERT_NAMES_INIT;
	json_t *a = json_array();
	size_t i;

	cert_dns_names(cert, &names);
	for (i = 0; i < names.n; i++)
		json_push(a, json_bytes(names.v[i], strlen(names.v[i])));
	cert_names_clear(&names);
	return a;
}

static json_t *
cert_object(const X509 *cert)
{
	char fp[CERT_FINGERPRINT_SIZE];
	char *subject = cert_subject(cert), *issuer = cert_issuer(cert),
	     *key = cert_key_describe(cert);
	json_t *o = json_object();

	json_set_str(o, "subject", subject);
	json_set_str(o, "issuer", issuer);
	json_set(o, "names", names_of(cert));
	json_set_str(o, "key", key);
	json_set_time(o, "not_before", cert_not_before(cert));
	json_set_time(o, "not_after", cert_not_after(cert));
	json_set_str(o, "sha256", cert_fingerprint(fp, cert));
	json_set_bool(o, "demo", cert_is_demo(cert));
	free(subject);
	free(issuer);
	free(key);
	return o;
}

json_t *
tls_object(const struct tls_info *t)
{
	json_t *o = json_object(), *chain = json_array();
	int i, n = t->chain != NULL ? sk_X509_num(t->chain) : 0;

	json_set_str(o, "protocol", t->protocol);
	json_set_str(o, "cipher", t->cipher);
	json_set_int(o, "bits", t->bits);
	json_set_bool(o, "resumed", t->resumed);
	json_set_str(o, "group", t->group[0] != '\0' ? t->group : NULL);
	json_set_str(o, "signature", t->sigalg[0] != '\0' ? t->sigalg : NULL);
	for (i = 0; i < n; i++)
		json_push(chain, cert_object(sk_X509_value(t->chain, i)));
	json_set(o, "chain", chain);
	return o;
}
