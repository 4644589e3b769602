/*
 * check: what is wrong with identities, or soon will be.
 *
 * A fault makes the status 1; a note is told and changes nothing.
 */
#include "certstore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "json.h"
#include "key.h"
#include "log.h"
#include "progress.h"
#include "text.h"
#include "trust.h"
#include "verify.h"

#define DAY 86400

struct check {
	const struct settings *s;
	struct trust *trust;		/* NULL: chains are not looked at */
	struct used used;
	struct identity *id;		/* all that were loaded */
	struct served *served;		/* those of them that may serve a member */
	size_t n, nserved;
	/* of the identity at hand: */
	json_t *problems;
	int faults;
};

enum gravity { NOTE, FAULT };

/* The words are stable and documented in mtatls-json(7). */
static void
tell(struct check *c, const char *name, enum gravity g, const char *what, const char *text)
{
	json_t *o = json_object();

	c->faults += g == FAULT;
	json_set_str(o, "problem", what);
	json_set_bool(o, "fault", g == FAULT);
	json_set_str(o, "text", text);
	json_push(c->problems, o);
	if (!c->s->json)
		printf("%s: %s%s: %s\n", name, g == NOTE ? "note: " : "", what, text);
}

/* ---- one identity ---- */

static void
check_dates(struct check *c, const struct identity *id)
{
	int64_t from = cert_not_before(id->cert), until = cert_not_after(id->cert);
	char when[TEXT_TIME_MAX], text[128];

	if (until < c->s->now) {
		snprintf(text, sizeof text, "was valid until %s", text_time(when, until));
		tell(c, id->name, FAULT, "expired", text);
	} else if (from > c->s->now) {
		snprintf(text, sizeof text, "valid from %s", text_time(when, from));
		tell(c, id->name, FAULT, "not-yet-valid", text);
	} else if (until - c->s->now < c->s->within) {
		int64_t days = (until - c->s->now) / DAY;

		snprintf(text, sizeof text, "valid until %s: %" PRId64 " day%s left", text_time(when, until),
		    days, days == 1 ? "" : "s");
		tell(c, id->name, FAULT, "expires", text);
	}
}

static void
check_strength(struct check *c, const struct identity *id)
{
	struct fail f = FAIL_INIT;

	if (key_check_strength(id->key, &f) == -1)
		tell(c, id->name, FAULT, "weak", f.text);
	if (id->next_key != NULL && key_check_strength(id->next_key, &f) == -1)
		tell(c, id->name, FAULT, "weak", f.text);
	if (cert_is_demo(id->cert)) {
		cert_warn_demo(id->name, id->cert);
		tell(c, id->name, FAULT, "demo", CERT_DEMO_WARNING);
	}
}

static STACK_OF(X509) *
whole_chain(const struct identity *id)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	int i;

	if (all == NULL || sk_X509_push(all, id->cert) == 0)
		alloc_failed();
	for (i = 0; i < sk_X509_num(id->chain); i++)
		if (sk_X509_push(all, sk_X509_value(id->chain, i)) == 0)
			alloc_failed();
	return all;
}

/* A private CA is no fault unless --ca says which it should be; the leaf's dates were told. */
static void
judge_chain(struct check *c, const struct identity *id, const struct finding *found)
{
	enum gravity g = FAULT;

	if (found->result != VERIFY_NO_MATCH || (found->depth == 0 &&
	    (found->reason == VERIFY_REASON_EXPIRED || found->reason == VERIFY_REASON_NOT_YET_VALID)))
		return;
	if (found->reason == VERIFY_REASON_UNKNOWN_CA && c->s->ca == NULL)
		g = NOTE;
	tell(c, id->name, g, verify_reason_name(found->reason), found->why);
}

/* A self-signed certificate has no chain: it is for DANE, or for encryption alone. */
static void
judge_alone(struct check *c, const struct identity *id, const struct finding *rest)
{
	if (rest->reason == VERIFY_REASON_DISTRUSTED ||
	    (rest->reason == VERIFY_REASON_PURPOSE && !cert_is_ca(id->cert)))
		judge_chain(c, id, rest);
}

static int
check_chain(struct check *c, const struct identity *id, struct fail *f)
{
	struct verify_pkix asked = { .trust = c->trust, .names = VERIFY_NAMES_SAN,
		.ca = cert_is_ca(id->cert) && !cert_is_self_signed(id->cert), .now = c->s->now };
	struct finding found = { .result = VERIFY_NOT_ASKED }, rest = { .result = VERIFY_NOT_ASKED };
	STACK_OF(X509) *all;
	int rc;

	if (c->trust == NULL)
		return 0;
	all = whole_chain(id);
	rc = chain_verify(all, &asked, NULL, &found, &rest, f);
	if (rc == 0 && cert_is_self_signed(id->cert) && c->s->ca == NULL) {
		judge_alone(c, id, rest.result == VERIFY_NOT_ASKED ? &found : &rest);
	} else if (rc == 0) {
		judge_chain(c, id, &found);
		judge_chain(c, id, &rest);
	}
	finding_clear(&rest);
	finding_clear(&found);
	sk_X509_free(all);
	return rc;
}

/* Without a certificate it is a fault only where the relay wants one. */
static void
check_waiting(struct check *c, const struct identity *id)
{
	char *by = used_by(&c->used, id->name), *text;

	text = xasprintf("no certificate yet, only its request%s%s", by[0] != '\0' ? "; used by " : "", by);
	tell(c, id->name, by[0] != '\0' ? FAULT : NOTE, "waiting", text);
	free(text);
	free(by);
}

static int
is_sound(const struct check *c, const struct identity *id)
{
	return cert_not_before(id->cert) <= c->s->now && cert_not_after(id->cert) >= c->s->now &&
	    !cert_is_demo(id->cert);
}

static int
check_identity(struct check *c, const struct identity *id, struct fail *f)
{
	if (id->cert == NULL) {
		check_waiting(c, id);
		return 0;
	}
	check_dates(c, id);
	check_strength(c, id);
	if (is_sound(c, id))
		c->served[c->nserved++] = (struct served){ .name = id->name, .cert = id->cert };
	return check_chain(c, id, f);
}

static int
print_json(const struct check *c, const char *name, const struct identity *id, struct fail *f)
{
	char *path = identity_path(c->s->dir, name);
	json_t *o = json_object();
	int rc;

	json_set_str(o, "name", name);
	json_set_str(o, "path", path);
	json_set_bool(o, "ok", c->faults == 0);
	if (id->cert != NULL)
		json_set_time(o, "not_after", cert_not_after(id->cert));
	else
		json_set_str(o, "not_after", NULL);
	json_set(o, "problems", json_incref(c->problems));
	json_set(o, "used", used_json(&c->used, name));
	rc = json_line(stdout, o, f);
	json_decref(o);
	free(path);
	return rc;
}

static void
print_ok(const struct check *c, const struct identity *id)
{
	char day[DESCRIBE_DAY_MAX];

	if (c->faults == 0 && id->cert != NULL)
		printf("%s: ok: valid until %s\n", id->name, describe_day(day, cert_not_after(id->cert)));
}

/* Damage is an answer here, what cannot be read is none. */
static enum tool_exit
check_one(struct check *c, const char *name)
{
	struct identity *id = &c->id[c->n];
	struct fail f = FAIL_INIT;
	enum tool_exit status;
	int rc;

	c->faults = 0;
	c->problems = json_array();
	if (identity_load(c->s->dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, id, &f) == 0) {
		c->n++;
		rc = check_identity(c, id, &f);
	} else if (f.kind == FAIL_INPUT && identity_exists(c->s->dir, name)) {
		tell(c, name, FAULT, "damaged", f.text);
		rc = 0;
	} else
		rc = -1;
	if (rc == 0 && c->s->json)
		rc = print_json(c, name, id, &f);
	else if (rc == 0)
		print_ok(c, id);
	status = rc == -1 ? tool_failed(&f) : c->faults > 0 ? TOOL_NO : TOOL_YES;
	json_decref(c->problems);
	return status;
}

/* ---- all of them ---- */

/* Without the lists the rest can still be checked, but the answer is not whole. */
static int
open_trust(struct check *c, struct fail *f)
{
	struct buf b = BUF_INIT;

	if (c->s->ca == NULL) {
		c->trust = trust_open(c->s->dir, f);
	} else if (file_read(c->s->ca, 0, &b, f) == 0) {
		if ((c->trust = trust_from_pem(b.p, b.len, f)) == NULL)
			fail_prefix(f, "%.300s", c->s->ca);
	}
	buf_clear(&b);
	return c->trust != NULL ? 0 : -1;
}

static int
find_names(const struct settings *s, char **operands, struct identity_names *names, struct fail *f)
{
	size_t n = 0;

	if (operands[0] == NULL)
		return names_stored(s, names, f);
	while (operands[n] != NULL)
		n++;
	names->v = xcalloc(n, sizeof *names->v);
	for (names->n = 0; names->n < n; names->n++)
		if ((names->v[names->n] = identity_find(s->dir, operands[names->n], f)) == NULL)
			return -1;
	return 0;
}

static void
check_clear(struct check *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		identity_clear(&c->id[i]);
	free(c->id);
	free(c->served);
	used_clear(&c->used);
	trust_free(c->trust);
}

enum tool_exit
cmd_check(const struct settings *s, char **operands)
{
	struct identity_names names = { .v = NULL, .n = 0 };
	enum tool_exit status = TOOL_YES;
	struct check c = { .s = s };
	struct fail f = FAIL_INIT;
	size_t i;

	if (find_names(s, operands, &names, &f) == -1) {
		identity_names_clear(&names);
		return tool_failed(&f);
	}
	if (open_trust(&c, &f) == -1)
		status = tool_failed(&f);
	used_read(&c.used, s);
	c.id = xcalloc(names.n + 1, sizeof *c.id);
	c.served = xcalloc(names.n + 1, sizeof *c.served);
	if (!isatty(STDOUT_FILENO))
		progress_begin("checking identities", names.n);
	for (i = 0; i < names.n && !ferror(stdout); i++, progress_step())
		status = tool_worse(status, check_one(&c, names.v[i]));
	progress_end();
	if (s->hosts != NULL)
		status = tool_worse(status, cluster_check(s, c.served, c.nserved));
	check_clear(&c);
	identity_names_clear(&names);
	return status;
}
