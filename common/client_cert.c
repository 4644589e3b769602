#include "client_cert.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "text.h"
#include "verify.h"

static int
has_fingerprint(const struct conf_client *conf, const char *fp)
{
	size_t i;

	for (i = 0; i < conf->nfingerprints; i++)
		if (strcmp(conf->fingerprint[i], fp) == 0)
			return 1;
	return 0;
}

static void
take_finding(const struct conf_client *conf, const struct finding *found, struct client_cert *out)
{
	if (found->result != VERIFY_MATCH) {
		out->why = xasprintf("%s: %s", verify_reason_name(found->reason), found->why);
		return;
	}
	out->verdict = CLIENT_GOOD;
	if (conf->nnames > 0 && found->reference >= 0) {
		free(out->name);
		out->name = xstrdup(conf->name[found->reference]);
	}
}

/* Where there are fingerprints and no names, none but these are good. */
static void
judge_chain(const struct conf_client *conf, const struct tls_info *t, const struct trust *trust, int64_t now,
    struct client_cert *out)
{
	struct verify_pkix v = { .trust = trust, .names = VERIFY_NAMES_SAN, .client = 1, .now = now,
		.reference = (const char *const *)conf->name, .nreference = conf->nnames };
	struct finding found = { .why = NULL };
	struct fail f = FAIL_INIT;

	if (conf->nfingerprints > 0 && conf->nnames == 0)
		out->why = xstrdup("name: its fingerprint is not listed");
	else if (trust == NULL)
		out->why = xstrdup("unknown-ca: the lists of CAs could not be read");
	else if (verify_pkix(t->chain, &v, NULL, &found, &f) == -1)
		out->why = xasprintf("parse: %s", f.text);
	else
		take_finding(conf, &found, out);
	finding_clear(&found);
}

void
client_cert_judge(const struct conf_client *conf, const struct tls_info *t, const struct trust *trust, int64_t now,
    struct client_cert *out)
{
	char fp[CERT_FINGERPRINT_SIZE];

	memset(out, 0, sizeof *out);
	if (conf->cert == CONF_CLIENT_CERT_NO)
		return;
	out->verdict = CLIENT_NONE;
	if (t->cert == NULL)
		return;
	out->verdict = CLIENT_BAD;
	out->name = cert_subject(t->cert);
	out->fingerprint = xstrdup(cert_fingerprint(fp, t->cert));
	if (has_fingerprint(conf, fp))
		out->verdict = CLIENT_GOOD;
	else
		judge_chain(conf, t, trust, now, out);
}

void
client_cert_clear(struct client_cert *c)
{
	free(c->name);
	free(c->fingerprint);
	free(c->why);
	memset(c, 0, sizeof *c);
}

int
client_cert_suffices(const struct conf_client *conf, const struct client_cert *c)
{
	return conf->cert != CONF_CLIENT_CERT_REQUIRED || c->verdict == CLIENT_GOOD;
}

char *
client_cert_text(const struct client_cert *c)
{
	switch (c->verdict) {
	case CLIENT_NOT_ASKED:
		return NULL;
	case CLIENT_NONE:
		return xstrdup("none");
	case CLIENT_GOOD:
		return xasprintf("verified %s", c->name);
	case CLIENT_BAD:
		return xasprintf("not verified %.*s", (int)strcspn(c->why, ":"), c->why);
	}
	abort();
}
