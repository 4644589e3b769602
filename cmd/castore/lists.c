/* castore list, enable, disable, export, remove, distrust. */
#include "castore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "json.h"
#include "log.h"

int
parse_list_name(const char *s, struct fail *f)
{
	int i;

	for (i = 0; i < TRUST_LISTS; i++)
		if (strcmp(s, trust_list_name(i)) == 0)
			return i;
	return fail(f, FAIL_INPUT, "expected system or custom as the list, not \"%.100s\"", s);
}

/* ---- list ---- */

int
tell_list(const struct settings *set, const struct trust_state *st, enum trust_list which, size_t n,
    struct fail *f)
{
	char *path = trust_list_path(set->dir, which);
	json_t *o;
	int rc = 0;

	if (set->json) {
		o = json_object();
		json_set_str(o, "list", trust_list_name(which));
		json_set_bool(o, "enabled", st->on[which]);
		json_set_str(o, "path", path);
		json_set_int(o, "certificates", n);
		rc = json_line(stdout, o, f);
		json_decref(o);
	} else
		printf("%s: %s, %zu certificate%s, %s\n", trust_list_name(which),
		    st->on[which] ? "on" : "off", n, n == 1 ? "" : "s", path);
	free(path);
	return rc;
}

static int
is_expired(const X509 *cert)
{
	return cert_not_after(cert) < time(NULL);
}

static void
print_cert(const struct roll_cert *c, const struct trust_distrust *d)
{
	char time[TEXT_TIME_MAX], *subject = cert_subject(c->cert);
	struct buf flags = BUF_INIT;

	buf_puts(&flags, "");
	if (is_expired(c->cert))
		buf_puts(&flags, ",expired");
	if (!cert_is_ca(c->cert))
		buf_puts(&flags, ",leaf");
	if (cert_is_demo(c->cert))
		buf_puts(&flags, ",demo");
	if (d != NULL)
		buf_printf(&flags, ",distrusted%s%s", d->dated ? "-after=" : "",
		    d->dated ? text_time(time, d->after) : "");
	printf("%s %s %s %s\n", c->fp, text_time(time, cert_not_after(c->cert)),
	    flags.len > 0 ? flags.p + 1 : "-", subject);
	buf_clear(&flags);
	free(subject);
}

/* d is NULL where it is trusted. */
static void
set_distrust(json_t *o, const struct trust_distrust *d)
{
	json_set_bool(o, "distrusted", d != NULL);
	if (d != NULL && d->dated)
		json_set_time(o, "distrusted_after", d->after);
	else
		json_set(o, "distrusted_after", json_null());
}

static int
print_cert_json(const struct roll_cert *c, const struct trust_distrust *d, enum trust_list which,
    int enabled, struct fail *f)
{
	char *subject = cert_subject(c->cert), *issuer = cert_issuer(c->cert);
	char *key = cert_key_describe(c->cert), *serial = cert_serial(c->cert);
	json_t *o = json_object();
	int rc;

	json_set_str(o, "list", trust_list_name(which));
	json_set_bool(o, "enabled", enabled);
	json_set_str(o, "sha256", c->fp);
	json_set_str(o, "subject", subject);
	json_set_str(o, "issuer", issuer);
	json_set_str(o, "serial", serial);
	json_set_str(o, "key", key);
	json_set_time(o, "not_before", cert_not_before(c->cert));
	json_set_time(o, "not_after", cert_not_after(c->cert));
	json_set_bool(o, "expired", is_expired(c->cert));
	json_set_bool(o, "ca", cert_is_ca(c->cert));
	json_set_bool(o, "demo", cert_is_demo(c->cert));
	set_distrust(o, d);
	rc = json_line(stdout, o, f);
	json_decref(o);
	free(serial);
	free(key);
	free(issuer);
	free(subject);
	return rc;
}

static int
list_one(const struct settings *set, const struct trust_state *st, enum trust_list which,
    struct fail *f)
{
	struct roll r = ROLL_INIT;
	size_t i;
	int rc = roll_read(set->dir, which, st, &r, f);

	if (rc == 0)
		rc = tell_list(set, st, which, r.n, f);
	for (i = 0; rc == 0 && i < r.n; i++) {
		const struct trust_distrust *d = trust_state_find(st, r.v[i].fp);

		if (set->json)
			rc = print_cert_json(&r.v[i], d, which, st->on[which], f);
		else
			print_cert(&r.v[i], d);
	}
	roll_clear(&r);
	return rc;
}

static int
print_stranger(const struct settings *set, const struct trust_distrust *d, struct fail *f)
{
	char time[TEXT_TIME_MAX];
	json_t *o;
	int rc;

	if (!set->json) {
		printf("%s - distrusted%s%s in no list\n", d->fp, d->dated ? "-after=" : "",
		    d->dated ? text_time(time, d->after) : "");
		return 0;
	}
	o = json_object();
	json_set_str(o, "list", NULL);
	json_set_str(o, "sha256", d->fp);
	set_distrust(o, d);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

/* What is distrusted and stands in neither list: the intermediates of others. */
static int
list_strangers(const struct settings *set, const struct trust_state *st, struct fail *f)
{
	struct roll all = ROLL_INIT;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < TRUST_LISTS; i++)
		rc = roll_read(set->dir, i, st, &all, f);
	for (i = 0; rc == 0 && i < st->n; i++)
		if (!roll_has(&all, st->v[i].fp))
			rc = print_stranger(set, &st->v[i], f);
	roll_clear(&all);
	return rc;
}

enum tool_exit
cmd_list(const struct settings *set, char **word, int n)
{
	enum tool_exit status = TOOL_YES;
	struct trust_state st = { .v = NULL };
	struct fail f = FAIL_INIT;
	int i, only = n > 0 ? parse_list_name(word[0], &f) : TRUST_LISTS;

	if (only == -1 || trust_state_read(set->dir, &st, &f) == -1)
		return tool_failed(&f);
	for (i = 0; i < TRUST_LISTS; i++) {
		f = (struct fail)FAIL_INIT;
		if ((only == TRUST_LISTS || only == i) && list_one(set, &st, i, &f) == -1)
			status = tool_worse(status, tool_failed(&f));
	}
	if (only == TRUST_LISTS && st.n > 0 && status == TOOL_YES &&
	    list_strangers(set, &st, &f) == -1)
		status = tool_failed(&f);
	trust_state_clear(&st);
	return status;
}

/* ---- changes of the state ---- */

typedef int change_fn(const struct settings *, struct trust_state *, const void *arg, struct fail *);

/* Reads, changes and writes the state under the lock. */
static enum tool_exit
change_state(const struct settings *set, change_fn *change, const void *arg)
{
	enum tool_exit status = TOOL_YES;
	struct trust_state st = { .v = NULL };
	struct fail f = FAIL_INIT;
	int lock;

	if ((lock = trust_lock(set->dir, &f)) == -1)
		return tool_failed(&f);
	if (trust_state_read(set->dir, &st, &f) == -1 || change(set, &st, arg, &f) == -1 ||
	    trust_state_write(set->dir, &st, &f) == -1)
		status = tool_failed(&f);
	else if (!st.on[TRUST_SYSTEM] && !st.on[TRUST_CUSTOM])
		talk(NULL, "both lists are off: no certificate verifies");
	trust_state_clear(&st);
	close(lock);
	return status;
}

struct toggle {
	const char *list;
	int on;
};

static int
set_list(const struct settings *set, struct trust_state *st, const void *arg, struct fail *f)
{
	const struct toggle *t = arg;
	int which = parse_list_name(t->list, f);

	(void)set;
	if (which == -1)
		return -1;
	st->on[which] = t->on;
	return 0;
}

enum tool_exit
cmd_enable(const struct settings *set, char **word, int n)
{
	struct toggle t = { word[0], 1 };

	(void)n;
	return change_state(set, set_list, &t);
}

enum tool_exit
cmd_disable(const struct settings *set, char **word, int n)
{
	struct toggle t = { word[0], 0 };

	(void)n;
	return change_state(set, set_list, &t);
}

/* Of a certificate in the lists also what no other signature changes.  A whole fingerprint may be of one
 * that is in none, and is enough where they cannot be read. */
static int
complete(const struct settings *set, const struct trust_state *st, struct trust_distrust *d, struct fail *f)
{
	int i, rc = 0, whole = strlen(d->fp) == CERT_FINGERPRINT_SIZE - 1;
	struct fail *why = whole ? NULL : f;
	struct roll all = ROLL_INIT;

	for (i = 0; rc == 0 && i < TRUST_LISTS; i++)
		rc = roll_read(set->dir, i, st, &all, why);
	if (rc == 0 && (i = rc = roll_find(&all, d->fp, "the lists", why)) != -1) {
		memcpy(d->fp, all.v[i].fp, sizeof d->fp);
		cert_tbs_fingerprint(d->tbs, all.v[i].cert);
	}
	roll_clear(&all);
	return rc == -1 && !whole ? -1 : 0;
}

static int
add_distrust(const struct settings *set, struct trust_state *st, const void *arg, struct fail *f)
{
	struct trust_distrust d = { .dated = set->dated, .after = set->after };
	size_t i;

	if (fingerprint_parse(arg, d.fp, f) == -1 || complete(set, st, &d, f) == -1)
		return -1;
	for (i = 0; i < st->n && strcmp(st->v[i].fp, d.fp) != 0; i++)
		;
	if (i == st->n) {
		st->v = xreallocarray(st->v, st->n + 1, sizeof *st->v);
		st->n++;
	} else if (d.tbs[0] == '\0')
		memcpy(d.tbs, st->v[i].tbs, sizeof d.tbs);
	st->v[i] = d;
	return 0;
}

/* The prefix has to be that of one line in the state. */
static int
undo_distrust(const struct settings *set, struct trust_state *st, const void *arg, struct fail *f)
{
	char prefix[CERT_FINGERPRINT_SIZE];
	size_t i, found = 0, n = 0;

	(void)set;
	if (fingerprint_parse(arg, prefix, f) == -1)
		return -1;
	for (i = 0; i < st->n; i++)
		if (strncmp(st->v[i].fp, prefix, strlen(prefix)) == 0) {
			found = i;
			n++;
		}
	if (n != 1)
		return fail(f, FAIL_INPUT, "%s: %s distrusted certificate has a fingerprint that "
		    "begins so", prefix, n == 0 ? "no" : "more than one");
	st->n--;
	memmove(&st->v[found], &st->v[found + 1], (st->n - found) * sizeof *st->v);
	return 0;
}

enum tool_exit
cmd_distrust(const struct settings *set, char **word, int n)
{
	(void)n;
	if (set->undo && set->dated)
		tool_usage("--undo and --after exclude each other");
	return change_state(set, set->undo ? undo_distrust : add_distrust, word[0]);
}

/* ---- export, remove ---- */

static int
export(const struct settings *set, const char *word, struct fail *f)
{
	int both = strcmp(word, "both") == 0, only = both ? TRUST_LISTS : parse_list_name(word, f);
	const char *to = set->output != NULL ? set->output : "-";
	struct roll r = ROLL_INIT;
	struct buf b = BUF_INIT;
	int i, rc = only == -1 ? -1 : 0;

	for (i = 0; rc == 0 && i < TRUST_LISTS; i++)
		if (both || only == i)
			rc = roll_read(set->dir, i, NULL, &r, f);
	if (rc == 0 && (rc = roll_put(&r, &b, f)) == 0)
		rc = file_write_or_stdout(to, 0644, FILE_REPLACE, b.p, b.len, f);
	buf_clear(&b);
	roll_clear(&r);
	return rc;
}

enum tool_exit
cmd_export(const struct settings *set, char **word, int n)
{
	struct fail f = FAIL_INIT;

	(void)n;
	return export(set, word[0], &f) == 0 ? TOOL_YES : tool_failed(&f);
}

static int
is_in_system(const struct settings *set, const char *prefix)
{
	struct roll r = ROLL_INIT;
	int yes = roll_read(set->dir, TRUST_SYSTEM, NULL, &r, NULL) == 0 &&
	    roll_find(&r, prefix, "", NULL) != -1;

	roll_clear(&r);
	return yes;
}

/* Under the lock. */
static int
remove_cert(const struct settings *set, const char *prefix, struct fail *f)
{
	struct roll r = ROLL_INIT;
	struct buf b = BUF_INIT;
	int i, rc = -1;

	if (roll_read(set->dir, TRUST_CUSTOM, NULL, &r, f) == -1)
		goto out;
	if ((i = roll_find(&r, prefix, "the custom list", f)) == -1) {
		if (is_in_system(set, prefix))
			fail(f, FAIL_POLICY, "%s: it is in the system list, which is not edited here; "
			    "castore distrust makes it count no more", prefix);
		goto out;
	}
	X509_free(r.v[i].cert);
	r.n--;
	memmove(&r.v[i], &r.v[i + 1], (r.n - i) * sizeof *r.v);
	if (roll_put(&r, &b, f) == 0)
		rc = trust_list_write(set->dir, b.p, b.len, f);
out:
	buf_clear(&b);
	roll_clear(&r);
	return rc;
}

enum tool_exit
cmd_remove(const struct settings *set, char **word, int n)
{
	char prefix[CERT_FINGERPRINT_SIZE];
	struct fail f = FAIL_INIT;
	int lock, rc;

	(void)n;
	if (fingerprint_parse(word[0], prefix, &f) == -1 || (lock = trust_lock(set->dir, &f)) == -1)
		return tool_failed(&f);
	rc = remove_cert(set, prefix, &f);
	close(lock);
	return rc == 0 ? TOOL_YES : tool_failed(&f);
}
