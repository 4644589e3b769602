/*
 * check --hosts: do the identities cover each member of a cluster, and has each member all of them?
 *
 * The file has a line for each member: its host name or address, and behind that, where one wants it, the
 * file with what `certstore list -j` printed there (relative: to the folder of the file of members).
 */
#include "certstore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "json.h"
#include "log.h"
#include "name.h"
#include "table.h"
#include "text.h"

#define HOSTS_FILE_MAX (4UL * 1024 * 1024)	/* octets */

struct member {
	char *host;		/* A-labels, or an address */
	char *listing;		/* a file; NULL: none */
	json_t *lacks, *differs;	/* names of identities */
	json_t *faults;		/* "NAME: what is wrong with it there" */
	json_t *covered;
};

struct cluster {
	const struct settings *s;
	const struct served *served;
	size_t nserved;
	struct member *member;
	size_t n;
};

/* ---- the file of members ---- */

static char *
beside(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	char *dir, *joined;

	if (path[0] == '/' || slash == NULL || strcmp(file, "-") == 0)
		return xstrdup(path);
	dir = xstrndup(file, slash - file + 1);
	joined = xasprintf("%s%s", dir, path);
	free(dir);
	return joined;
}

static int
set_member(void *ctx, const struct table_line *l, struct fail *f)
{
	struct cluster *c = ctx;
	struct member m = { .host = NULL };

	if (text_is_address(l->key))
		m.host = xstrdup(l->key);
	else if ((m.host = name_to_ascii(l->key, f)) == NULL)
		return -1;
	if (l->n > 0)
		m.listing = beside(l->file, l->v[0]);
	m.covered = json_array();
	m.lacks = json_array();
	m.differs = json_array();
	m.faults = json_array();
	c->member = xreallocarray(c->member, c->n + 1, sizeof *c->member);
	c->member[c->n++] = m;
	return 0;
}

static const struct table_row rows[] = {
	{ NULL, 0, 1, 0, set_member },
};

static void
tell_error(void *arg, const char *file, unsigned line, const char *text)
{
	char *escaped = text_escape(text, strlen(text));

	(void)arg;
	talk(NULL, "%s:%u: %s", file, line, escaped);
	free(escaped);
}

static int
read_members(struct cluster *c, struct fail *f)
{
	const char *file = c->s->hosts;
	struct buf b = BUF_INIT;
	size_t errors;

	if (file_read(file, HOSTS_FILE_MAX, &b, f) == -1)
		return -1;
	errors = table_parse(file, b.p != NULL ? b.p : "", b.len, rows, sizeof rows / sizeof rows[0], c,
	    tell_error, NULL);
	buf_clear(&b);
	if (errors > 0)
		return fail(f, FAIL_INPUT, "%.300s: %zu error%s", file, errors, errors == 1 ? "" : "s");
	if (c->n == 0)
		return fail(f, FAIL_INPUT, "%.300s: no host name in it", file);
	return 0;
}

/* ---- what a member listed ---- */

/* The identity of that name in the listing; NULL: it is not there. */
static const json_t *
listed(const json_t *listing, const char *name)
{
	size_t i;

	for (i = 0; i < json_array_size(listing); i++) {
		const json_t *o = json_array_get(listing, i);
		const char *its = json_string_value(json_object_get(o, "name"));

		if (its != NULL && strcmp(its, name) == 0)
			return o;
	}
	return NULL;
}

static int
take_line(json_t *listing, const char *line, size_t len, struct fail *f)
{
	json_error_t e;
	json_t *o;

	if (len == 0)
		return 0;
	if ((o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e)) == NULL)
		return fail(f, FAIL_INPUT, "not JSON: %.100s", e.text);
	if (!json_is_string(json_object_get(o, "name"))) {
		json_decref(o);
		return fail(f, FAIL_INPUT, "expected what `certstore list -j` prints: an object with a name");
	}
	json_push(listing, o);
	return 0;
}

/* The objects of a listing as an array; NULL: f names file and line. */
static json_t *
read_listing(const char *file, struct fail *f)
{
	json_t *listing = json_array();
	struct buf b = BUF_INIT;
	const char *p, *end, *nl;
	unsigned line = 1;
	int rc;

	if ((rc = file_read(file, 0, &b, f)) == 0 && b.len > 0)
		for (p = b.p, end = b.p + b.len; p < end && rc == 0; p = nl + 1, line++) {
			if ((nl = memchr(p, '\n', end - p)) == NULL)
				nl = end;
			if ((rc = take_line(listing, p, nl - p, f)) == -1)
				fail_prefix(f, "%.300s:%u", file, line);
		}
	buf_clear(&b);
	if (rc == 0)
		return listing;
	json_decref(listing);
	return NULL;
}

/* Its names, as a set.  NULL for what an old listing does not tell is no difference. */
static int
same_names(const X509 *cert, const json_t *theirs)
{
	const json_t *dns = json_object_get(theirs, "dns"), *ip = json_object_get(theirs, "ip");
	struct cert_names names;
	size_t i, n = json_array_size(dns) + json_array_size(ip), mine = 0;
	int same = 1;

	for (i = 0; i < n && same; i++) {
		const char *s = json_string_value(i < json_array_size(dns) ? json_array_get(dns, i) :
		    json_array_get(ip, i - json_array_size(dns)));

		same = s != NULL && covers(cert, s, 0);
	}
	cert_dns_names(cert, &names);
	mine += names.n;
	cert_names_clear(&names);
	cert_ip_names(cert, &names);
	mine += names.n;
	cert_names_clear(&names);
	return same && mine == n;
}

/* What is wrong there with an identity that it has; NULL: nothing.  Times are compared as they are written. */
static const char *
fault_of(const struct cluster *c, const struct served *mine, const json_t *theirs)
{
	const char *until = json_string_value(json_object_get(theirs, "not_after"));
	const char *from = json_string_value(json_object_get(theirs, "not_before"));
	const char *spki = json_string_value(json_object_get(theirs, "spki_sha256"));
	char now[TEXT_TIME_MAX], *own;
	int other;

	if (json_string_value(json_object_get(theirs, "sha256")) == NULL)
		return "waits for its certificate";
	if (json_is_true(json_object_get(theirs, "demo")))
		return "for demonstration";
	text_time(now, c->s->now);
	if (until != NULL && strcmp(until, now) < 0)
		return "expired";
	if (from != NULL && strcmp(from, now) > 0)
		return "not yet valid";
	own = describe_spki(X509_get0_pubkey(mine->cert));
	other = spki != NULL && (own == NULL || strcmp(spki, own) != 0);
	free(own);
	if (other)
		return "another key";
	return same_names(mine->cert, theirs) ? NULL : "other names";
}

static void
note_fault(struct member *m, const char *name, const char *what)
{
	char *text;

	if (what == NULL)
		return;
	text = xasprintf("%s (%s)", name, what);
	json_push(m->faults, json_bytes(text, strlen(text)));
	free(text);
}

static void
compare(const struct cluster *c, struct member *m, const json_t *listing)
{
	char fp[CERT_FINGERPRINT_SIZE];
	size_t i;

	for (i = 0; i < c->nserved; i++) {
		const struct served *mine = &c->served[i];
		const json_t *theirs = listed(listing, mine->name);
		const char *sha256 = json_string_value(json_object_get(theirs, "sha256"));

		if (theirs == NULL)
			json_push(m->lacks, json_bytes(mine->name, strlen(mine->name)));
		else if (sha256 == NULL || strcmp(sha256, cert_fingerprint(fp, mine->cert)) != 0)
			json_push(m->differs, json_bytes(mine->name, strlen(mine->name)));
		if (theirs != NULL)
			note_fault(m, mine->name, fault_of(c, mine, theirs));
	}
}

/* ---- the answer ---- */

static void
put_list(const char *host, const char *what, const json_t *names)
{
	size_t i;

	if (json_array_size(names) == 0)
		return;
	printf("%s: %s", host, what);
	for (i = 0; i < json_array_size(names); i++)
		printf("%s %s", i > 0 ? "," : "", json_string_value(json_array_get(names, i)));
	putchar('\n');
}

static int
is_good(const struct member *m)
{
	return json_array_size(m->covered) > 0 && json_array_size(m->lacks) == 0 &&
	    json_array_size(m->faults) == 0;
}

static int
print_member(const struct cluster *c, const struct member *m, struct fail *f)
{
	json_t *o;
	int rc;

	if (!c->s->json) {
		if (json_array_size(m->covered) == 0)
			printf("%s: no identity covers this name\n", m->host);
		put_list(m->host, "covered by", m->covered);
		put_list(m->host, "lacks", m->lacks);
		put_list(m->host, "at fault there:", m->faults);
		put_list(m->host, "note: has another certificate as", m->differs);
		return 0;
	}
	o = json_object();
	json_set_str(o, "member", m->host);
	json_set_bool(o, "ok", is_good(m));
	json_set(o, "covered_by", json_incref(m->covered));
	json_set_str(o, "listing", m->listing);
	json_set(o, "lacks", json_incref(m->lacks));
	json_set(o, "differs", json_incref(m->differs));
	json_set(o, "faults", json_incref(m->faults));
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

static enum tool_exit
check_member(const struct cluster *c, struct member *m)
{
	struct fail f = FAIL_INIT;
	json_t *listing = NULL;
	size_t i;

	for (i = 0; i < c->nserved; i++)
		if (covers(c->served[i].cert, m->host, COVERS_CN))
			json_push(m->covered, json_bytes(c->served[i].name, strlen(c->served[i].name)));
	if (m->listing != NULL) {
		if ((listing = read_listing(m->listing, &f)) == NULL)
			return tool_failed(&f);
		compare(c, m, listing);
		json_decref(listing);
	}
	if (print_member(c, m, &f) == -1)
		return tool_failed(&f);
	return is_good(m) ? TOOL_YES : TOOL_NO;
}

static void
cluster_clear(struct cluster *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		json_decref(c->member[i].covered);
		json_decref(c->member[i].lacks);
		json_decref(c->member[i].differs);
		json_decref(c->member[i].faults);
		free(c->member[i].host);
		free(c->member[i].listing);
	}
	free(c->member);
}

enum tool_exit
cluster_check(const struct settings *s, const struct served *served, size_t n)
{
	struct cluster c = { .s = s, .served = served, .nserved = n };
	enum tool_exit status = TOOL_YES;
	struct fail f = FAIL_INIT;
	size_t i;

	if (read_members(&c, &f) == -1)
		status = tool_failed(&f);
	else
		for (i = 0; i < c.n; i++)
			status = tool_worse(status, check_member(&c, &c.member[i]));
	cluster_clear(&c);
	return status;
}
