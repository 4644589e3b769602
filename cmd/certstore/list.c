/*
 * list, a line for each identity, and show, all of one.
 */
#include "certstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "glance.h"
#include "json.h"
#include "key.h"
#include "log.h"
#include "progress.h"
#include "subject.h"
#include "text.h"
#include "tlsa.h"

/* ---- list ---- */

enum { NAME, UNTIL, KEY, USED, SUBJECT, ISSUER, COLUMNS };

/* A line of the list, its words on the heap. */
struct row {
	char *v[COLUMNS];
};

struct rows {
	struct row *v;
	size_t n;
};

static void
make_row(struct row *r, const struct identity *id, const struct used *u)
{
	char *used = used_by(u, id->name), day[DESCRIBE_DAY_MAX];
	EVP_PKEY *key;

	r->v[NAME] = xstrdup(id->name);
	r->v[USED] = used[0] != '\0' ? xstrdup(used) : xstrdup("-");
	free(used);
	if (id->cert != NULL) {
		r->v[UNTIL] = xstrdup(describe_day(day, cert_not_after(id->cert)));
		r->v[KEY] = glance_key(id->cert);
		r->v[SUBJECT] = cert_subject(id->cert);
		r->v[ISSUER] = cert_is_self_issued(id->cert) ? xstrdup("itself") : cert_issuer(id->cert);
		return;
	}
	key = id->request != NULL ? X509_REQ_get0_pubkey(id->request) : NULL;
	r->v[UNTIL] = xstrdup("-");
	r->v[KEY] = key != NULL ? key_describe(key) : xstrdup("unknown");
	r->v[SUBJECT] = xstrdup("(waits for its certificate)");
	r->v[ISSUER] = xstrdup("-");
}

static void
rows_add(struct rows *rows, const struct identity *id, const struct used *u)
{
	if (rows->n % 64 == 0)
		rows->v = xreallocarray(rows->v, rows->n + 64, sizeof *rows->v);
	make_row(&rows->v[rows->n++], id, u);
}

/* In characters: names of identities are UTF-8. */
static int
width_of(const char *s)
{
	int n = text_utf8_chars(s);

	return n == -1 ? (int)strlen(s) : n;
}

/* Columns as wide as their widest word, two blanks between them; the last ones as they come. */
static void
rows_print(const struct rows *rows)
{
	int width[COLUMNS] = { 0 }, len, c;
	size_t i;

	for (i = 0; i < rows->n; i++)
		for (c = 0; c < SUBJECT; c++)
			if ((len = width_of(rows->v[i].v[c])) > width[c])
				width[c] = len;
	for (i = 0; i < rows->n; i++) {
		char **v = rows->v[i].v;

		for (c = 0; c < SUBJECT; c++)
			printf("%s%*s", v[c], width[c] - width_of(v[c]) + 2, "");
		printf("%s  by %s\n", v[SUBJECT], v[ISSUER]);
	}
}

static void
rows_clear(struct rows *rows)
{
	size_t i;
	int c;

	for (i = 0; i < rows->n; i++)
		for (c = 0; c < COLUMNS; c++)
			free(rows->v[i].v[c]);
	free(rows->v);
}

static int
list_one(const struct settings *s, const struct identity *id, const struct used *u,
    struct rows *rows, struct fail *f)
{
	json_t *o;
	int rc;

	if (id->cert != NULL)
		cert_warn_demo(id->name, id->cert);
	if (!s->json) {
		rows_add(rows, id, u);
		return 0;
	}
	o = describe_json(s, id, u);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

/* One that is damaged is told, and hides no other. */
enum tool_exit
cmd_list(const struct settings *s, char **operands)
{
	enum tool_exit status = TOOL_YES;
	struct identity_names names;
	struct rows rows = { .n = 0 };
	struct fail f = FAIL_INIT;
	struct used u;
	size_t i;

	(void)operands;
	if (names_stored(s, &names, &f) == -1)
		return tool_failed(&f);
	used_read(&u, s);
	/* Lines that come as they are found show by themselves how far it is. */
	if (!s->json || !isatty(STDOUT_FILENO))
		progress_begin("reading identities", names.n);
	for (i = 0; i < names.n && !ferror(stdout); i++, progress_step()) {
		struct identity id;

		if (identity_load(s->dir, names.v[i], IDENTITY_PENDING | IDENTITY_GLANCE, &id, &f) == -1 ||
		    list_one(s, &id, &u, &rows, &f) == -1)
			status = tool_worse(status, tool_failed(&f));
		identity_clear(&id);
	}
	progress_end();
	rows_print(&rows);
	rows_clear(&rows);
	used_clear(&u);
	identity_names_clear(&names);
	return status;
}

/* ---- show ---- */

static void
put(const char *key, const char *value)
{
	if (value != NULL)
		printf("%s %s\n", key, value);
}

/* Takes the text. */
static void
put_taken(const char *key, char *value)
{
	put(key, value);
	free(value);
}

static void
put_escaped(const char *key, const char *value)
{
	put_taken(key, text_escape(value, strlen(value)));
}

/* What this machine calls something stays as it is, so that it can be copied; what is no text is escaped. */
static void
put_path(const char *key, const char *value)
{
	if (text_utf8_chars(value) != -1)
		put(key, value);
	else
		put_escaped(key, value);
}

static void
put_time(const char *key, int64_t t)
{
	char when[TEXT_TIME_MAX];

	put(key, text_time(when, t));
}

static void
put_names(const char *key, const struct cert_names *names)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		put_escaped(key, names->v[i]);
}

static void
put_cert_names(const X509 *cert)
{
	struct cert_names names;

	cert_dns_names(cert, &names);
	put_names("dns", &names);
	cert_names_clear(&names);
	cert_ip_names(cert, &names);
	put_names("ip", &names);
	cert_names_clear(&names);
}

/* A line for the zone of each host name: what tlsa-gen(1) prints by default. */
static void
put_tlsa(const char *key, const X509 *cert, const EVP_PKEY *public)
{
	char *rdata = describe_tlsa(public), *owner;
	struct cert_names names;
	size_t i;

	cert_dns_names(cert, &names);
	for (i = 0; i < names.n && rdata != NULL; i++)
		if ((owner = tlsa_owner(names.v[i], 25, "tcp", NULL)) != NULL) {
			printf("%s %s IN TLSA %s\n", key, owner, rdata);
			free(owner);
		}
	cert_names_clear(&names);
	free(rdata);
}

static void
put_sha1(const X509 *cert)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;

	if (X509_digest(cert, EVP_sha1(), md, &n) != 1)
		return;
	text_hex(hex, md, n);
	put("sha1", hex);
}

static void
print_cert(const X509 *cert)
{
	char fp[CERT_FINGERPRINT_SIZE];
	EVP_PKEY *public = X509_get0_pubkey(cert);

	put_taken("subject", cert_subject(cert));
	put_taken("issuer", cert_issuer(cert));
	put("self-signed", cert_is_self_signed(cert) ? "yes" : "no");
	put_taken("serial", cert_serial(cert));
	put_time("not-before", cert_not_before(cert));
	put_time("not-after", cert_not_after(cert));
	put_cert_names(cert);
	put_taken("key", cert_key_describe(cert));
	put_taken("signature", cert_sig_describe(cert));
	put("ca", cert_is_ca(cert) ? "yes" : "no");
	put("demo", cert_is_demo(cert) ? "yes" : "no");
	put("sha256", cert_fingerprint(fp, cert));
	put_sha1(cert);
	put_taken("spki-sha256", describe_spki(public));
	put_tlsa("tlsa", cert, public);
}

static void
print_chain(STACK_OF(X509) *chain)
{
	char fp[CERT_FINGERPRINT_SIZE], when[TEXT_TIME_MAX], *subject, *issuer;
	int i;

	for (i = 0; i < sk_X509_num(chain); i++) {
		const X509 *cert = sk_X509_value(chain, i);

		subject = cert_subject(cert);
		issuer = cert_issuer(cert);
		printf("chain %d %s by %s until %s sha256 %s\n", i + 1, subject, issuer,
		    text_time(when, cert_not_after(cert)), cert_fingerprint(fp, cert));
		free(issuer);
		free(subject);
	}
}

static void
print_request(const char *what, X509_REQ *req)
{
	EVP_PKEY *public = X509_REQ_get0_pubkey(req);
	char *left_out = NULL, *type = public != NULL ? key_describe(public) : NULL;
	struct issue is;
	size_t i;

	issue_init(&is);
	subject_of_request(&is, req, &left_out, NULL);
	printf("%s for", what);
	for (i = 0; i < is.nsan; i++)
		printf(" %s", is.san[i].text);
	printf(" key %s\n", type != NULL ? type : "unknown");
	issue_clear(&is);
	free(left_out);
	free(type);
}

static void
print_next(const struct identity *id)
{
	EVP_PKEY *public = X509_REQ_get0_pubkey(id->next_request);

	print_request("next-request", id->next_request);
	put_taken("next-spki-sha256", describe_spki(public));
	if (id->cert != NULL)
		put_tlsa("next-tlsa", id->cert, public);
}

static void
print_identity(const struct settings *s, const struct identity *id, const struct used *u)
{
	char *used = used_by(u, id->name), *path = identity_path(s->dir, id->name);

	put("name", id->name);
	put_path("path", path);
	if (id->version != NULL)
		put_path("version", id->version);
	put("used", used[0] != '\0' ? used : "-");
	if (id->cert != NULL)
		print_cert(id->cert);
	print_chain(id->chain);
	if (id->request != NULL)
		print_request("request", id->request);
	if (id->next_request != NULL)
		print_next(id);
	free(path);
	free(used);
}

static json_t *
chain_json(STACK_OF(X509) *chain)
{
	char fp[CERT_FINGERPRINT_SIZE], *text;
	json_t *a = json_array();
	int i;

	for (i = 0; i < sk_X509_num(chain); i++) {
		const X509 *cert = sk_X509_value(chain, i);
		json_t *o = json_object();

		text = cert_subject(cert);
		json_set_str(o, "subject", text);
		free(text);
		text = cert_issuer(cert);
		json_set_str(o, "issuer", text);
		free(text);
		json_set_str(o, "sha256", cert_fingerprint(fp, cert));
		json_set_time(o, "not_before", cert_not_before(cert));
		json_set_time(o, "not_after", cert_not_after(cert));
		json_push(a, o);
	}
	return a;
}

static void
set_key_json(json_t *o, const char *spki, const char *tlsa, const EVP_PKEY *public)
{
	char *text = describe_spki(public);

	json_set_str(o, spki, text);
	free(text);
	text = describe_tlsa(public);
	json_set_str(o, tlsa, text);
	free(text);
}

static json_t *
show_json(const struct settings *s, const struct identity *id, const struct used *u)
{
	json_t *o = describe_json(s, id, u);
	char *text = id->cert != NULL ? cert_sig_describe(id->cert) : NULL;

	json_set_str(o, "version", id->version);
	json_set_str(o, "signature", text);
	free(text);
	json_set_bool(o, "self_signed", id->cert != NULL && cert_is_self_signed(id->cert));
	json_set_bool(o, "ca", id->cert != NULL && cert_is_ca(id->cert));
	set_key_json(o, "spki_sha256", "tlsa", id->cert != NULL ? X509_get0_pubkey(id->cert) :
	    id->request != NULL ? X509_REQ_get0_pubkey(id->request) : NULL);
	set_key_json(o, "next_spki_sha256", "next_tlsa",
	    id->next_request != NULL ? X509_REQ_get0_pubkey(id->next_request) : NULL);
	json_set(o, "chain", chain_json(id->chain));
	return o;
}

static int
print_show(const struct settings *s, const struct identity *id, struct fail *f)
{
	struct used u;
	json_t *o;
	int rc = 0;

	if (id->cert != NULL)
		cert_warn_demo(id->name, id->cert);
	used_read(&u, s);
	if (s->json) {
		o = show_json(s, id, &u);
		rc = json_line(stdout, o, f);
		json_decref(o);
	} else
		print_identity(s, id, &u);
	used_clear(&u);
	return rc;
}

enum tool_exit
cmd_show(const struct settings *s, char **operands)
{
	char *name = NULL;
	struct fail f = FAIL_INIT;
	struct identity id = IDENTITY_INIT;
	int rc = -1;

	if ((name = identity_find(s->dir, operands[0], &f)) != NULL &&
	    identity_load(s->dir, name, IDENTITY_PENDING, &id, &f) == 0)
		rc = print_show(s, &id, &f);
	identity_clear(&id);
	free(name);
	return rc == 0 ? TOOL_YES : tool_failed(&f);
}
