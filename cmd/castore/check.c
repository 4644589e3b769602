/* castore verify: a chain from a file, held against the lists and names by verify_pkix(). */
#include "castore.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "json.h"
#include "name.h"

struct check {
	const struct settings *set;
	const char *file;
	char *host[HOSTS_MAX];	/* A-labels, addresses in their usual form */
	size_t nhost;
	struct trust *trust;
	STACK_OF(X509) *chain, *verified;
	struct finding found;
};

static char *
normal_address(const char *s)
{
	unsigned char addr[16];
	char text[INET6_ADDRSTRLEN];
	int family = strchr(s, ':') != NULL ? AF_INET6 : AF_INET;

	if (inet_pton(family, s, addr) != 1 || inet_ntop(family, addr, text, sizeof text) == NULL)
		return xstrdup(s);
	return xstrdup(text);
}

static int
add_hosts(struct check *c, struct fail *f)
{
	char *host;
	size_t i;

	for (i = 0; i < c->set->nhost; i++) {
		const char *s = c->set->host[i];

		host = text_is_address(s) ? normal_address(s) : name_to_ascii(s, f);
		if (host == NULL)
			return fail_prefix(f, "--host");
		c->host[c->nhost++] = host;
		if (strchr(host, '*') != NULL)
			return fail(f, FAIL_INPUT, "--host: %s: expected the name of a host", host);
	}
	return 0;
}

static int
open_trust(struct check *c, struct fail *f)
{
	struct buf b = BUF_INIT;

	if (c->set->ca == NULL)
		c->trust = trust_open(c->set->dir, f);
	else if (file_read(c->set->ca, 0, &b, f) == 0 &&
	    (c->trust = trust_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%.300s", c->set->ca);
	buf_wipe(&b);
	return c->trust != NULL ? 0 : -1;
}

/* Something that says of itself that it is a certificate, and is none. */
static int
claims_to_be_cert(const struct buf *b)
{
	static const char *const ends[] = { "CERTIFICATE-----", "PKCS7-----", "SIGNED DATA-----",
		"CMS-----" };
	size_t i;

	if (b->len > 0 && b->p[0] == 0x30)
		return 1;
	for (i = 0; i < sizeof ends / sizeof ends[0]; i++)
		if (memmem(b->p, b->len, ends[i], strlen(ends[i])) != NULL)
			return 1;
	return 0;
}

/* 0: the chain is there, or the finding says why it cannot be. */
static int
read_chain(struct check *c, struct fail *f)
{
	struct fail why = FAIL_INIT;
	struct buf b = BUF_INIT;
	int rc = 0;

	if (file_read(c->file, 0, &b, f) == -1)
		return -1;
	if ((c->chain = cert_chain_from_pem(b.p, b.len, &why)) == NULL) {
		if (claims_to_be_cert(&b)) {
			c->found.result = VERIFY_NO_MATCH;
			c->found.reason = VERIFY_REASON_PARSE;
			c->found.rule = "RFC 5280 4.1";
			c->found.why = text_escape(why.text, strlen(why.text));
			c->found.depth = -1;
		} else
			rc = fail(f, why.kind, "%.300s: %s", c->file, why.text);
	}
	buf_wipe(&b);
	return rc;
}

static int
read_untrusted(struct check *c, struct fail *f)
{
	STACK_OF(X509) *more = NULL;
	struct buf b = BUF_INIT;

	if (c->set->untrusted == NULL)
		return 0;
	if (file_read(c->set->untrusted, 0, &b, f) == -1)
		return -1;
	if ((more = cert_chain_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%.300s", c->set->untrusted);
	buf_wipe(&b);
	if (more == NULL)
		return -1;
	while (c->chain != NULL && sk_X509_num(more) > 0)
		if (sk_X509_push(c->chain, sk_X509_shift(more)) == 0)
			alloc_failed();
	cert_chain_free(more);
	return 0;
}

static int
judge(struct check *c, struct fail *f)
{
	const struct settings *set = c->set;
	struct verify_pkix v = { .trust = c->trust, .names = set->names,
		.reference = (const char *const *)c->host, .nreference = c->nhost,
		.fqdn_check = set->fqdn_check, .client = set->client,
		.now = set->timed ? set->now : time(NULL) };

	if (c->chain == NULL)
		return 0;
	cert_warn_demo(c->file, sk_X509_value(c->chain, 0));
	return verify_pkix(c->chain, &v, &c->verified, &c->found, f);
}

static json_t *
path_json(STACK_OF(X509) *path)
{
	char fp[CERT_FINGERPRINT_SIZE], *subject;
	json_t *a = json_array(), *o;
	int i;

	for (i = 0; i < sk_X509_num(path); i++) {
		o = json_object();
		subject = cert_subject(sk_X509_value(path, i));
		json_set_str(o, "subject", subject);
		json_set_str(o, "sha256", cert_fingerprint(fp, sk_X509_value(path, i)));
		json_push(a, o);
		free(subject);
	}
	return a;
}

static int
print_json(const struct check *c, const char *word, struct fail *f)
{
	json_t *o = json_object(), *hosts = json_array();
	size_t i;
	int rc;

	for (i = 0; i < c->nhost; i++)
		json_push(hosts, json_bytes(c->host[i], strlen(c->host[i])));
	json_set_str(o, "file", c->file);
	json_set(o, "hosts", hosts);
	json_set_bool(o, "verified", c->found.result == VERIFY_MATCH);
	json_set_str(o, "reason", c->found.result == VERIFY_MATCH ? NULL : word);
	json_set_str(o, "rule", c->found.rule);
	json_set_str(o, "why", c->found.why);
	json_set(o, "depth", c->found.depth >= 0 ? json_integer(c->found.depth) : json_null());
	json_set(o, "path", path_json(c->verified));
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

static int
report(const struct check *c, struct fail *f)
{
	const char *word =
	    c->found.result == VERIFY_MATCH ? "ok" : verify_reason_name(c->found.reason);

	if (c->set->json)
		return print_json(c, word, f);
	printf("%s: %s (%s)\n", word, c->found.why, c->found.rule);
	return 0;
}

static void
check_clear(struct check *c)
{
	size_t i;

	for (i = 0; i < c->nhost; i++)
		free(c->host[i]);
	trust_free(c->trust);
	cert_chain_free(c->chain);
	cert_chain_free(c->verified);
	finding_clear(&c->found);
}

enum tool_exit
cmd_verify(const struct settings *set, char **word, int n)
{
	struct check c = { .set = set, .file = word[0] };
	struct fail f = FAIL_INIT;
	enum tool_exit status;

	(void)n;
	if (add_hosts(&c, &f) == -1 || open_trust(&c, &f) == -1 || read_chain(&c, &f) == -1 ||
	    read_untrusted(&c, &f) == -1 || judge(&c, &f) == -1 || report(&c, &f) == -1)
		status = tool_failed(&f);
	else
		status = c.found.result == VERIFY_MATCH ? TOOL_YES : TOOL_NO;
	check_clear(&c);
	return status;
}
