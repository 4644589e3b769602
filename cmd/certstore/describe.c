#include "certstore.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "glance.h"
#include "json.h"
#include "key.h"
#include "names_json.h"
#include "subject.h"
#include "text.h"
#include "tlsa.h"

const char *
describe_day(char dst[DESCRIBE_DAY_MAX], int64_t t)
{
	text_time(dst, t);
	dst[strcspn(dst, "T")] = '\0';
	return dst;
}

char *
describe_tlsa(const EVP_PKEY *key)
{
	struct tlsa t;
	char *rdata;

	if (key == NULL || tlsa_of_key(&t, TLSA_DANE_EE, TLSA_SHA256, key, NULL) == -1)
		return NULL;
	rdata = tlsa_rdata(&t);
	tlsa_clear(&t);
	return rdata;
}

/* Of a glanced certificate too, whose key is not decoded. */
static char *
spki_of_cert(const X509 *cert)
{
	unsigned char *der = NULL, md[EVP_MAX_MD_SIZE];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	struct buf hex = BUF_INIT;
	unsigned i, n = 0;

	if (len > 0 && EVP_Digest(der, (size_t)len, md, &n, EVP_sha256(), NULL) == 1)
		for (i = 0; i < n; i++)
			buf_printf(&hex, "%02x", md[i]);
	OPENSSL_free(der);
	return n > 0 ? buf_steal(&hex) : NULL;
}

char *
describe_spki(const EVP_PKEY *key)
{
	char *rdata = describe_tlsa(key), *hex = NULL;

	if (rdata != NULL)
		hex = xstrdup(strrchr(rdata, ' ') + 1);
	free(rdata);
	return hex;
}

void
describe_names(json_t *o, const struct issue *is)
{
	json_set(o, "dns", names_json_issue(is, ISSUE_DNS));
	json_set(o, "ip", names_json_issue(is, ISSUE_IP));
}

static void
set_taken(json_t *o, const char *key, char *text)
{
	json_set_str(o, key, text);
	free(text);
}

static void
describe_cert(json_t *o, const X509 *cert)
{
	char fp[CERT_FINGERPRINT_SIZE];
	struct cert_names names;

	json_set_str(o, "sha256", cert_fingerprint(fp, cert));
	set_taken(o, "subject", cert_subject(cert));
	set_taken(o, "issuer", cert_issuer(cert));
	json_set_bool(o, "self_issued", cert_is_self_issued(cert));
	cert_dns_names(cert, &names);
	json_set(o, "dns", names_json_cert(&names));
	cert_names_clear(&names);
	cert_ip_names(cert, &names);
	json_set(o, "ip", names_json_cert(&names));
	cert_names_clear(&names);
	set_taken(o, "key", glance_key(cert));
	set_taken(o, "spki_sha256", spki_of_cert(cert));
	set_taken(o, "serial", cert_serial(cert));
	json_set_time(o, "not_before", cert_not_before(cert));
	json_set_time(o, "not_after", cert_not_after(cert));
	json_set_bool(o, "demo", cert_is_demo(cert));
}

/* What waits for a certificate has the same keys, as far as its request tells. */
static void
describe_pending(json_t *o, X509_REQ *req)
{
	static const char *const not_there[] = { "serial", "not_before", "not_after" };
	EVP_PKEY *key = req != NULL ? X509_REQ_get0_pubkey(req) : NULL;
	char *left_out = NULL;
	struct issue is;
	size_t i;

	issue_init(&is);
	if (req != NULL)
		subject_of_request(&is, req, &left_out, NULL);
	free(left_out);
	json_set_str(o, "sha256", NULL);
	json_set_str(o, "subject", NULL);
	json_set_str(o, "issuer", NULL);
	json_set_bool(o, "self_issued", 0);
	describe_names(o, &is);
	set_taken(o, "key", key != NULL ? key_describe(key) : NULL);
	set_taken(o, "spki_sha256", describe_spki(key));
	for (i = 0; i < sizeof not_there / sizeof not_there[0]; i++)
		json_set_str(o, not_there[i], NULL);
	json_set_bool(o, "demo", 0);
	issue_clear(&is);
}

json_t *
describe_json(const struct settings *s, const struct identity *id, const struct used *u)
{
	json_t *o = json_object();

	json_set_str(o, "name", id->name);
	set_taken(o, "path", identity_path(s->dir, id->name));
	if (id->cert != NULL)
		describe_cert(o, id->cert);
	else
		describe_pending(o, id->request);
	json_set_bool(o, "request", id->request != NULL);
	json_set_bool(o, "next", id->next_request != NULL);
	json_set(o, "used", used_json(u, id->name));
	return o;
}

static const EVP_PKEY *
public_key(const struct identity *id)
{
	return id->cert != NULL ? X509_get0_pubkey(id->cert) : X509_REQ_get0_pubkey(id->request);
}

static void
describe_change(json_t *o, const EVP_PKEY *was, const EVP_PKEY *now)
{
	json_set_bool(o, "key_changed", now == NULL || !key_same(was, now));
	set_taken(o, "tlsa", describe_tlsa(now));
	set_taken(o, "old_tlsa", describe_tlsa(was));
}

static int
print_result(const struct settings *s, const struct identity *id, const EVP_PKEY *was, struct fail *f)
{
	char fp[CERT_FINGERPRINT_SIZE], *path;
	struct used u;
	json_t *o;
	int rc;

	if (!s->json) {
		path = identity_path(s->dir, id->name);
		printf("%s %s\n", path, id->cert != NULL ? cert_fingerprint(fp, id->cert) : "-");
		free(path);
		return 0;
	}
	used_read(&u, s);
	o = describe_json(s, id, &u);
	if (was != NULL)
		describe_change(o, was, public_key(id));
	rc = json_line(stdout, o, f);
	json_decref(o);
	used_clear(&u);
	return rc;
}

enum tool_exit
describe_result(const struct settings *s, const char *name, const EVP_PKEY *was)
{
	struct fail f = FAIL_INIT;
	struct identity id;
	int rc;

	if (identity_load(s->dir, name, IDENTITY_PENDING, &id, &f) == -1)
		return tool_failed(&f);
	rc = print_result(s, &id, was, &f);
	identity_clear(&id);
	return rc == 0 ? TOOL_YES : tool_failed(&f);
}
