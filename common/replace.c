#include "replace.h"

#include <openssl/x509.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "key.h"
#include "log.h"
#include "name.h"
#include "text.h"
#include "tlsa.h"

#define TRIES 50	/* while others change the identity too */

void
replaced_clear(struct replaced *r)
{
	struct replaced old = *r;

	*r = (struct replaced)REPLACED_INIT;
	free(old.damage);	/* NOLINT(clang-analyzer-unix.Malloc): it loses sight of *r being set anew */
	X509_free(old.cert);
}

/* ---- what stays ---- */

static void
forget(struct identity *id)
{
	free(id->version);
	X509_REQ_free(id->request);
	EVP_PKEY_free(id->next_key);
	X509_REQ_free(id->next_request);
	id->version = NULL;
	id->request = id->next_request = NULL;
	id->next_key = NULL;
}

static void
take_next(struct identity *id, struct identity *old, struct replaced *r)
{
	id->next_key = old->next_key;
	id->next_request = old->next_request;
	old->next_key = NULL;
	old->next_request = NULL;
	r->next_kept = 1;
}

static void
inherit(struct identity *id, struct identity *old, struct replaced *r)
{
	int same = key_same(id->key, old->key);
	int follows = !same && old->next_key != NULL && key_same(id->key, old->next_key);

	r->there = 1;
	r->key_changed = !same && !follows;
	r->request_dropped = !same && old->request != NULL;
	r->cert = old->cert;
	old->cert = NULL;
	id->version = old->version;
	old->version = NULL;
	if (same) {
		id->request = old->request;
		old->request = NULL;
	}
	if (old->next_key != NULL && !follows)
		take_next(id, old, r);
}

/* An identity that is damaged may be replaced: that mends it. */
static int
look_at_old(const char *dir, struct identity *id, struct replaced *r, struct fail *f)
{
	struct identity old = IDENTITY_INIT;
	int rc = 0;

	forget(id);
	replaced_clear(r);
	if (!identity_exists(dir, id->name))
		return 0;
	if (identity_load(dir, id->name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &old, f) == 0)
		inherit(id, &old, r);
	else if (f->kind == FAIL_INPUT)
		r->damage = xstrdup(f->text);
	else
		rc = -1;
	identity_clear(&old);
	return rc;
}

int
replace_identity(const char *dir, struct identity *id, struct replaced *r, struct fail *f)
{
	int rc = -1, tries;

	for (tries = 0; rc == -1 && tries < TRIES; tries++) {
		if (look_at_old(dir, id, r, f) == -1)
			return -1;
		rc = identity_store(dir, id, IDENTITY_REPLACE, f);
		/* A rule refuses where somebody else was faster: look at what that one left. */
		if (rc == -1 && (f->kind != FAIL_POLICY || id->version == NULL))
			return -1;
	}
	return rc;
}

/* ---- what is told ---- */

void
replace_warn_key(const char *name, const EVP_PKEY *key)
{
	struct tlsa t;
	char *rdata;

	if (tlsa_of_key(&t, TLSA_DANE_EE, TLSA_SHA256, key, NULL) == -1)
		return;
	rdata = tlsa_rdata(&t);
	talk(name, "another key: TLSA records published for the key or certificate before do not match; now: "
	    "%s (tlsa-gen %s)", rdata, name);
	free(rdata);
	tlsa_clear(&t);
}

static int
is_among(const char *name, const struct cert_names *names)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (text_case_eq(name, names->v[i]) || name_matches(name, names->v[i]))
			return 1;
	return 0;
}

static void
put_lost(struct buf *b, void (*names_of)(const X509 *, struct cert_names *), const X509 *was, const X509 *now)
{
	struct cert_names old, new;
	size_t i;

	names_of(was, &old);
	names_of(now, &new);
	for (i = 0; i < old.n; i++)
		if (!is_among(old.v[i], &new))
			buf_printf(b, "%s%s", b->len > 0 ? ", " : "", old.v[i]);
	cert_names_clear(&old);
	cert_names_clear(&new);
}

static void
tell_lost_names(const char *name, const X509 *was, const X509 *now)
{
	struct buf b = BUF_INIT;

	put_lost(&b, cert_dns_names, was, now);
	put_lost(&b, cert_ip_names, was, now);
	if (b.len > 0)
		talk(name, "warning: the certificate before was also for: %.300s", b.p);
	buf_clear(&b);
}

void
replace_tell(const struct replaced *r, const struct identity *id)
{
	if (r->damage != NULL)
		talk(id->name, "nothing is kept of what was there: %s", r->damage);
	if (r->cert != NULL)
		tell_lost_names(id->name, r->cert, id->cert);
	if (r->next_kept)
		talk(id->name, "its next key%s", id->next_request != NULL ? " and request stay" : " stays");
	if (r->request_dropped)
		talk(id->name, "its request was for the key before, and went with it");
	if (r->key_changed)
		replace_warn_key(id->name, id->key);
}
