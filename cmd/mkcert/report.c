/*
 * report - what was made, as a line, as JSON, or as PEM in a file.
 */
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "file.h"
#include "json.h"
#include "key.h"
#include "names_json.h"
#include "mkcert.h"
#include "pem.h"
#include "text.h"

static int
print_json(const struct order *o, const char *name, const char *path, const X509 *cert,
    struct fail *f)
{
	char fp[CERT_FINGERPRINT_SIZE], *subject = cert_subject(cert), *issuer = cert_issuer(cert);
	char *key = cert_key_describe(cert), *serial = cert_serial(cert);
	json_t *j = json_object();
	int rc;

	json_set_str(j, "name", name);
	json_set_str(j, "path", path);
	json_set_str(j, "sha256", cert_fingerprint(fp, cert));
	json_set_str(j, "subject", subject);
	json_set_str(j, "issuer", issuer);
	json_set(j, "dns", names_json_issue(&o->issue, ISSUE_DNS));
	json_set(j, "ip", names_json_issue(&o->issue, ISSUE_IP));
	json_set_str(j, "key", key);
	json_set_str(j, "serial", serial);
	json_set_time(j, "not_before", cert_not_before(cert));
	json_set_time(j, "not_after", cert_not_after(cert));
	json_set_bool(j, "ca", cert_is_ca(cert));
	json_set_bool(j, "demo", cert_is_demo(cert));
	rc = json_line(stdout, j, f);
	json_decref(j);
	free(serial);
	free(key);
	free(issuer);
	free(subject);
	return rc;
}

int
report_made(
    const struct order *o, const char *name, const char *path, const X509 *cert, struct fail *f)
{
	char fp[CERT_FINGERPRINT_SIZE];

	cert_warn_demo(path, cert);
	if (o->json)
		return print_json(o, name, path, cert, f);
	printf("%s %s\n", path, cert_fingerprint(fp, cert));
	return 0;
}

static int
put_all(struct buf *b, const struct identity *id, struct fail *f)
{
	int i;

	if (id->key != NULL && key_to_pem(id->key, b, f) == -1)
		return -1;
	if (pem_put_cert(b, id->cert, f) == -1)
		return -1;
	for (i = 0; i < sk_X509_num(id->chain); i++)
		if (pem_put_cert(b, sk_X509_value(id->chain, i), f) == -1)
			return -1;
	return 0;
}

int
report_file(const struct order *o, const struct identity *id, struct fail *f)
{
	mode_t mode = id->key != NULL ? 0600 : 0644;
	struct buf b = BUF_INIT;
	int rc = -1;

	if (put_all(&b, id, f) == 0)
		rc = file_write_or_stdout(
		    o->output, mode, o->force ? FILE_REPLACE : 0, b.p, b.len, f);
	buf_wipe(&b);
	if (rc == -1)
		return -1;
	if (!file_is_stdout(o->output))
		return report_made(o, NULL, o->output, id->cert, f);
	cert_warn_demo(NULL, id->cert);
	return 0;
}
