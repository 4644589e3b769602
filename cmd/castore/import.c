/*
 * castore import: the file is read whole and judged block by block, each complaint with its line;
 * then, under the lock, the custom list is replaced, and enabled behind that.  Whoever is killed in
 * between has changed nothing that counts: a list that is off.
 */
#include "castore.h"

#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "json.h"
#include "log.h"
#include "p12.h"
#include "pem.h"
#include "progress.h"

struct import {
	const struct settings *set;
	const char *what;	/* the file, for talk */
	struct roll roll;
	size_t damaged, leaves, keys, passed, doubles, expired, told;
	int64_t now;
};

/* A complaint or remark about a part of the file; the many of a broken one are only counted. */
static void
remark(struct import *im, const char *text)
{
	char *escaped;

	if (im->told++ >= TOLD_MAX)
		return;
	escaped = text_escape(text, strlen(text));
	talk(im->what, "%s", escaped);
	free(escaped);
}

static void
remark_at(struct import *im, unsigned line, const char *what, const char *text)
{
	char *s = line > 0 ? xasprintf("line %u: %s%s", line, what, text) :
	    xasprintf("%s%s", what, text);

	remark(im, s);
	free(s);
}

static int
is_key_label(const char *label)
{
	struct pem_item item = { .line = 0 };

	memcpy(item.label, label, strlen(label) + 1);
	return pem_is_key(&item);
}

static void
on_damage(void *arg, const char *label, const struct fail *f)
{
	struct import *im = arg;

	im->damaged++;
	if (is_key_label(label))
		im->keys++;
	remark(im, f->text);
}

/* Takes the reference. */
static void
take_cert(struct import *im, X509 *cert, unsigned line)
{
	char *subject = cert_subject(cert), time[TEXT_TIME_MAX];

	if (X509_get_extension_flags(cert) & EXFLAG_INVALID) {
		im->damaged++;
		remark_at(im, line, subject, ": an extension that cannot be read");
		X509_free(cert);
	} else if (!im->set->allow_leaf && !cert_is_ca(cert)) {
		im->leaves++;
		remark_at(im, line, subject, ": not a CA's certificate; --allow-leaf takes it");
		X509_free(cert);
	} else {
		cert_warn_demo(im->what, cert);
		if (cert_not_after(cert) < im->now) {
			char *text = xasprintf(": expired %s", text_time(time, cert_not_after(cert)));

			im->expired++;
			remark_at(im, line, subject, text);
			free(text);
		}
		if (!roll_add(&im->roll, cert))
			im->doubles++;
	}
	free(subject);
}

static void
take_pkcs7(struct import *im, const struct pem_item *item)
{
	struct fail why = FAIL_INIT;
	STACK_OF(X509) *all = pem_get1_pkcs7(item, &why);

	if (all == NULL) {
		im->damaged++;
		remark(im, why.text);
		return;
	}
	while (sk_X509_num(all) > 0)
		take_cert(im, sk_X509_shift(all), item->line);
	sk_X509_free(all);
}

static void
take_item(struct import *im, const struct pem_item *item)
{
	struct fail why = FAIL_INIT;
	X509 *cert;

	if (pem_is_key(item)) {
		im->keys++;
		remark_at(im, item->line, item->label, "");
	} else if (pem_is_pkcs7(item))
		take_pkcs7(im, item);
	else if (!pem_is_cert(item)) {
		im->passed++;
		remark_at(im, item->line, item->label, ": passed over");
	} else if ((cert = pem_get1_cert(item, &why)) != NULL)
		take_cert(im, cert, item->line);
	else {
		im->damaged++;
		remark(im, why.text);
	}
}

/* What is in the file as a whole; FAIL_POLICY, FAIL_INPUT. */
static int
judge_file(struct import *im, struct fail *f)
{
	const struct settings *set = im->set;

	if (im->told > TOLD_MAX)
		talk(im->what, "%zu more such lines", im->told - TOLD_MAX);
	if (im->keys > 0)
		return fail(f, FAIL_POLICY, "%.300s: there is a PRIVATE KEY in this file, which no list "
		    "of CAs needs; nothing is imported. If others have seen the file, "
		    "the key is no secret any more", im->what);
	if (im->damaged > 0 && !set->skip_bad)
		return fail(f, FAIL_INPUT, "%.300s: %zu damaged; nothing is imported (--skip-bad imports "
		    "the others)", im->what, im->damaged);
	if (im->leaves > 0 && !set->skip_bad)
		return fail(f, FAIL_POLICY, "%.300s: %zu not of a CA; nothing is imported", im->what,
		    im->leaves);
	if (im->roll.n == 0)
		return fail(f, FAIL_INPUT, "%.300s: no certificate to import in it", im->what);
	return 0;
}

static int
read_pem(struct import *im, const struct buf *b, struct fail *f)
{
	struct pem_list items;
	size_t i;

	if (pem_read_some(b->p, b->len, &items, on_damage, im, f) == -1)
		return fail_prefix(f, "%.300s", im->what);
	progress_begin("reading certificates", items.n);
	for (i = 0; i < items.n; i++) {
		take_item(im, &items.v[i]);
		progress_step();
	}
	progress_end();
	pem_list_clear(&items);
	return 0;
}

/* Without a key in it; the passphrase is asked for where the file has something sealed. */
static int
read_p12(struct import *im, const struct buf *b, struct fail *f)
{
	struct p12 *p12 = p12_parse(b->p, b->len, f);
	STACK_OF(X509) *all = NULL;
	struct buf pass = BUF_INIT;
	int rc = p12 != NULL ? 0 : fail_prefix(f, "%.300s", im->what);

	if (rc == 0 && p12_needs_pass(p12))
		rc = secret_read_of(&im->set->secret, im->what, &pass, f);
	progress_begin("deriving keys from the passphrase", 0);
	if (rc == 0 &&
	    (all = p12_certs(p12, pass.p != NULL ? pass.p : "", pass.len, f)) == NULL)
		rc = fail_prefix(f, "%.300s", im->what);
	progress_end();
	buf_wipe(&pass);
	p12_free(p12);
	while (rc == 0 && sk_X509_num(all) > 0)
		take_cert(im, sk_X509_shift(all), 0);
	sk_X509_free(all);
	return rc;
}

static int
read_import(struct import *im, const char *path, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc;

	if (strcmp(path, "-") == 0 && secret_is_stdin(&im->set->secret))
		tool_usage("certificates and passphrase cannot both come from standard input");
	if (file_read(path, 0, &b, f) == -1)
		return -1;
	rc = p12_is(b.p, b.len) ? read_p12(im, &b, f) : read_pem(im, &b, f);
	if (rc == 0)
		rc = judge_file(im, f);
	buf_wipe(&b);
	return rc;
}

/* Behind those of the list that is there. */
static int
append_to_old(struct import *im, struct fail *f)
{
	struct roll all = ROLL_INIT;
	size_t i;

	if (roll_read(im->set->dir, TRUST_CUSTOM, NULL, &all, f) == -1) {
		roll_clear(&all);
		return -1;
	}
	for (i = 0; i < im->roll.n; i++) {
		X509_up_ref(im->roll.v[i].cert);
		if (!roll_add(&all, im->roll.v[i].cert))
			im->doubles++;
	}
	roll_clear(&im->roll);
	im->roll = all;
	return 0;
}

/* Under the lock. */
static int
replace_list(struct import *im, struct trust_state *st, struct fail *f)
{
	const char *dir = im->set->dir;
	struct buf b = BUF_INIT;
	int rc = -1;

	if (im->set->append && append_to_old(im, f) == -1)
		return -1;
	if (roll_put(&im->roll, &b, f) == 0)
		rc = trust_list_write(dir, b.p, b.len, f);
	if (rc == 0 && !st->on[TRUST_CUSTOM]) {
		st->on[TRUST_CUSTOM] = 1;
		rc = trust_state_write(dir, st, f);
	}
	buf_clear(&b);
	return rc;
}

static int
tell_import(const struct import *im, const struct trust_state *st, size_t imported, struct fail *f)
{
	json_t *o;
	char *path;
	int rc;

	if (!im->set->json)
		return tell_list(im->set, st, TRUST_CUSTOM, im->roll.n, f);
	o = json_object();
	path = trust_list_path(im->set->dir, TRUST_CUSTOM);
	json_set_str(o, "list", trust_list_name(TRUST_CUSTOM));
	json_set_bool(o, "enabled", st->on[TRUST_CUSTOM]);
	json_set_str(o, "path", path);
	json_set_int(o, "certificates", im->roll.n);
	json_set_int(o, "imported", imported);
	json_set_int(o, "duplicates", im->doubles);
	json_set_int(o, "expired", im->expired);
	json_set_int(o, "skipped", im->damaged + im->leaves);
	rc = json_line(stdout, o, f);
	json_decref(o);
	free(path);
	return rc;
}

static int
import(struct import *im, const char *path, struct fail *f)
{
	struct trust_state st = { .v = NULL };
	size_t imported;
	int lock, rc = -1;

	if (read_import(im, path, f) == -1)
		return -1;
	imported = im->roll.n;
	if ((lock = trust_lock(im->set->dir, f)) == -1)
		return -1;
	if (trust_state_read(im->set->dir, &st, f) == 0 && replace_list(im, &st, f) == 0)
		rc = tell_import(im, &st, imported, f);
	trust_state_clear(&st);
	close(lock);
	return rc;
}

enum tool_exit
cmd_import(const struct settings *set, char **word, int n)
{
	struct import im = { .set = set, .roll = ROLL_INIT, .now = time(NULL),
		.what = strcmp(word[0], "-") == 0 ? "standard input" : word[0] };
	enum tool_exit status = TOOL_YES;
	struct fail f = FAIL_INIT;

	(void)n;
	if (import(&im, word[0], &f) == -1)
		status = tool_failed(&f);
	roll_clear(&im.roll);
	return status;
}
