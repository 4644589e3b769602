/*
 * A file of a kind is read whole and taken apart by the module that takes apart what peers publish, so that
 * what passes here is what our relay understands.
 *
 * TXT records come as a person has them: the bare text, a line for each record, or as a zone file has it,
 * with quotes, perhaps several strings, perhaps owner, TTL, class and TXT before them (take_record).
 */
#include "lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"
#include "file.h"
#include "json.h"
#include "log.h"
#include "sts.h"
#include "text.h"
#include "tlsa.h"
#include "tlsrpt.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FILE_MAX (1024UL * 1024)	/* octets */
#define RECORDS_MAX 1000

/* A record as it was found: its text joined, and the line where it begins. */
struct record {
	struct buf text;
	unsigned line;
};

struct lint {
	const char *path;
	json_t *json;	/* what -j prints; NULL: words */
	struct buf file;
	struct record *v;
	size_t n;
};

/* ---- words and JSON ---- */

static void
say(struct lint *l, const char *key, const char *value)
{
	if (l->json == NULL)
		printf("%s %s\n", key, value);
	else
		json_set_str(l->json, key, value);
}

static void
say_list(struct lint *l, const char *key, const char *value)
{
	json_t *a;

	if (l->json == NULL) {
		printf("%s %s\n", key, value);
		return;
	}
	if ((a = json_object_get(l->json, key)) == NULL) {
		if ((a = json_array()) == NULL)
			alloc_failed();
		json_set(l->json, key, a);
	}
	json_push(a, json_bytes(value, strlen(value)));
}

static void
warn(struct lint *l, unsigned line, const char *text)
{
	if (line > 0)
		talk(NULL, "%s:%u: warning: %s", l->path, line, text);
	else
		talk(NULL, "%s: warning: %s", l->path, text);
	if (l->json != NULL)
		say_list(l, "warnings", text);
}

/* ---- TXT records ---- */

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One character of a string in quotes, perhaps \X or \DDD (RFC 1035 5.1); how many octets it took, 0: none. */
static size_t
unquote(const char *p, size_t n, char *c)
{
	if (p[0] != '\\') {
		*c = p[0];
		return 1;
	}
	if (n >= 4 && p[1] >= '0' && p[1] <= '2' && p[2] >= '0' && p[2] <= '9' && p[3] >= '0' && p[3] <= '9') {
		int value = (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');

		*c = (char)value;
		return value <= 255 ? 4 : 0;
	}
	if (n < 2 || (p[1] >= '0' && p[1] <= '9'))
		return 0;
	*c = p[1];
	return 2;
}

/* "..." with at most 255 octets in it; *at is moved behind. */
static int
take_string(const char *p, size_t len, size_t *at, struct buf *out, struct fail *f)
{
	size_t start = *at, from = out->len, n;
	char c;

	for ((*at)++; *at < len && p[*at] != '"'; *at += n) {
		if ((n = unquote(p + *at, len - *at, &c)) == 0)
			return fail(f, FAIL_INPUT, "octet %zu of the line: expected a character or three digits behind the "
			    "backslash", *at);
		buf_add(out, &c, 1);
	}
	if (*at == len)
		return fail(f, FAIL_INPUT, "octet %zu of the line: a string without its closing quote", start);
	(*at)++;
	if (out->len - from > 255)
		return fail(f, FAIL_INPUT, "octet %zu of the line: a string of more than 255 octets: split it", start);
	return 0;
}

/* Strings in quotes, blanks and parentheses between them, perhaps a comment at the end. */
static int
take_strings(const char *p, size_t len, size_t at, struct buf *out, struct fail *f)
{
	while (at < len && p[at] != ';') {
		if (is_blank(p[at]) || p[at] == '(' || p[at] == ')')
			at++;
		else if (p[at] != '"')
			return fail(f, FAIL_INPUT, "octet %zu of the line: expected a string in quotes: without them a "
			    "semicolon begins a comment", at);
		else if (take_string(p, len, &at, out, f) == -1)
			return -1;
	}
	return 0;
}

/* Where the strings of "OWNER TTL CLASS TXT ..." begin; 0: it is no such line. */
static size_t
behind_type(const char *p, size_t len, const char *type)
{
	size_t at = 0, start, n = strlen(type);

	while (at < len && p[at] != '"' && p[at] != ';') {
		while (at < len && is_blank(p[at]))
			at++;
		for (start = at; at < len && !is_blank(p[at]) && p[at] != '"'; at++)
			;
		if (at - start == n && strncasecmp(p + start, type, n) == 0)
			return at;
		if (at == start)
			break;
	}
	return 0;
}

static int
take_record(struct lint *l, const char *p, size_t len, unsigned line, struct fail *f)
{
	size_t first = 0, behind = behind_type(p, len, "TXT");
	struct record *r;

	if (l->n == RECORDS_MAX)
		return fail(f, FAIL_INPUT, "more than %d records", RECORDS_MAX);
	while (first < len && is_blank(p[first]))
		first++;
	l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
	r = &l->v[l->n++];
	*r = (struct record){ .line = line };
	if (behind > 0 || (first < len && p[first] == '"'))
		return take_strings(p, len, behind, &r->text, f);
	buf_add(&r->text, p, len);
	return 0;
}

/* A line, or several while a parenthesis is open; *line is that of the last. */
static size_t
line_length(const char *p, size_t len, unsigned *line)
{
	int quoted = 0, open = 0;
	size_t n;

	for (n = 0; n < len; n++) {
		if (p[n] == '"' && (n == 0 || p[n - 1] != '\\'))
			quoted = !quoted;
		else if (!quoted && p[n] == '(')
			open++;
		else if (!quoted && p[n] == ')')
			open--;
		else if (p[n] == '\n') {
			if (open <= 0 || quoted)
				break;
			(*line)++;
		}
	}
	return n;
}

static int
read_records(struct lint *l, struct fail *f)
{
	char *p = l->file.p;
	size_t left = l->file.len, n, i;
	unsigned line = 1, first;

	for (; left > 0; line++) {
		first = line;
		n = line_length(p, left, &line);
		for (i = 0; i < n; i++)
			if (p[i] == '\n')
				p[i] = ' ';
		if (n > 0 && take_record(l, p, n, first, f) == -1)
			return fail_prefix(f, "%.300s:%u", l->path, first), -1;
		n += n < left;
		p += n;
		left -= n;
	}
	if (l->n == 0)
		return fail(f, FAIL_INPUT, "%.300s: no record in it", l->path);
	return 0;
}

/* Lines end in LF from here on, whatever editor was at work. */
static void
drop_cr(struct buf *b)
{
	size_t i, n = 0;

	for (i = 0; i < b->len; i++)
		if (b->p[i] != '\r' || i + 1 == b->len || b->p[i + 1] != '\n')
			b->p[n++] = b->p[i];
	b->len = n;
}

/*
 * The record that counts.  A single one is it, whatever it begins with, so that the fault in its first octet is
 * named; of several it is chosen as a resolver's client does.
 */
static const struct record *
choose(struct lint *l, const char *version, struct fail *f)
{
	struct txtrec *r = xcalloc(l->n, sizeof *r);
	size_t i, which = 0, found = 1;

	for (i = 0; i < l->n; i++)
		r[i] = (struct txtrec){ l->v[i].text.p != NULL ? l->v[i].text.p : "", l->v[i].text.len };
	if (l->n > 1)
		found = txtrec_select(r, l->n, version, &which);
	free(r);
	if (found == 1)
		return &l->v[which];
	if (found == 0)
		fail(f, FAIL_INPUT, "%.300s: no record begins with %s;", l->path, version);
	else
		fail(f, FAIL_INPUT, "%.300s: %zu records begin with %s;: none of them counts", l->path, found,
		    version);
	return NULL;
}

static const struct record *
read_one(struct lint *l, const char *version, struct txtrec *r, struct fail *f)
{
	const struct record *rec;

	drop_cr(&l->file);
	if (read_records(l, f) == -1 || (rec = choose(l, version, f)) == NULL)
		return NULL;
	*r = (struct txtrec){ rec->text.p != NULL ? rec->text.p : "", rec->text.len };
	return rec;
}

static int
lint_sts_txt(struct lint *l, struct fail *f)
{
	char id[STS_ID_MAX + 1];
	const struct record *rec;
	struct txtrec r;

	if ((rec = read_one(l, STS_VERSION, &r, f)) == NULL)
		return -1;
	if (sts_txt_parse(&r, id, f) == -1)
		return fail_prefix(f, "%.300s:%u", l->path, rec->line), -1;
	say(l, "id", id);
	return 0;
}

static int
lint_tlsrpt_txt(struct lint *l, struct fail *f)
{
	const struct record *rec;
	struct tlsrpt t;
	struct txtrec r;
	size_t i;

	if ((rec = read_one(l, TLSRPT_VERSION, &r, f)) == NULL)
		return -1;
	if (tlsrpt_parse(&t, &r, f) == -1)
		return fail_prefix(f, "%.300s:%u", l->path, rec->line), -1;
	for (i = 0; i < t.n; i++)
		say_list(l, "rua", t.rua[i].uri);
	tlsrpt_clear(&t);
	return 0;
}

/* ---- policies ---- */

#define DAY 86400

static void
warn_of_policy(struct lint *l, const struct sts_policy *p)
{
	size_t i;

	if (p->mode != STS_NONE && p->max_age < DAY)
		warn(l, 0, "max_age is less than a day: whoever can block the policy host for so long ends the "
		    "protection (RFC 8461 10.2); weeks are usual");
	for (i = 0; i < p->nmx; i++)
		if (strncmp(p->mx[i], "*.", 2) == 0 && strchr(p->mx[i] + 2, '.') == NULL)
			warn(l, 0, "a pattern covers all of a top-level domain");
}

static int
lint_sts_policy(struct lint *l, struct fail *f)
{
	struct sts_policy p;
	char age[24];
	size_t i;

	if (sts_policy_parse(&p, l->file.p != NULL ? l->file.p : "", l->file.len, f) == -1)
		return fail_prefix(f, "%.300s", l->path), -1;
	snprintf(age, sizeof age, "%u", p.max_age);
	say(l, "mode", sts_mode_name(p.mode));
	if (l->json != NULL)
		json_set_int(l->json, "max_age", p.max_age);
	else
		say(l, "max_age", age);
	for (i = 0; i < p.nmx; i++)
		say_list(l, "mx", p.mx[i]);
	warn_of_policy(l, &p);
	sts_policy_clear(&p);
	return 0;
}

/* ---- TLSA records ---- */

static void
say_tlsa(struct lint *l, const struct tlsa *t)
{
	char *rdata = tlsa_rdata(t);
	const char *u = tlsa_usage_name(t->usage), *s = tlsa_selector_name(t->selector),
		   *m = tlsa_mtype_name(t->mtype);

	if (l->json == NULL)
		printf("%s: %s %s %s\n", rdata, u != NULL ? u : "?", s != NULL ? s : "?", m != NULL ? m : "?");
	else
		say_list(l, "tlsa", rdata);
	free(rdata);
}

static int
is_repeated(const struct tlsa *v, size_t n)
{
	size_t i;

	for (i = 0; i + 1 < n; i++)
		if (tlsa_equal(&v[i], &v[n - 1]))
			return 1;
	return 0;
}

/* RFC 7671 5.1 and 10.1.2: every client knows SHA-256, and the octets of a certificate swell answers. */
static void
warn_of_tlsa(struct lint *l, const struct tlsa *v, size_t n, unsigned line)
{
	const struct tlsa *t = &v[n - 1];

	if (is_repeated(v, n))
		warn(l, line, "this record stands above already");
	if (t->mtype == TLSA_SHA512)
		warn(l, line, "not every client knows SHA2-512: SHA2-256 (1) is what RFC 7671 5.1 recommends");
	if (t->mtype == TLSA_FULL && t->usage == TLSA_DANE_EE)
		warn(l, line, "a digest (SHA2-256, 1) in place of the whole data keeps answers small (RFC 7671 10.1.2)");
}

/* "U S M HEX", perhaps with owner, TTL, class and TLSA before it. */
static int
take_tlsa(struct lint *l, const char *text, unsigned line, struct tlsa **v, size_t *n, struct fail *f)
{
	const char *why;

	*v = xreallocarray(*v, *n + 1, sizeof **v);
	if (tlsa_parse(&(*v)[*n], text + behind_type(text, strlen(text), "TLSA"), f) == -1)
		return -1;
	(*n)++;
	if (!tlsa_usable(&(*v)[*n - 1], &why))
		return fail(f, FAIL_INPUT, "not for SMTP: %s", why);
	say_tlsa(l, &(*v)[*n - 1]);
	warn_of_tlsa(l, *v, *n, line);
	return 0;
}

static int
lint_tlsa(struct lint *l, struct fail *f)
{
	char *rest, *text;
	struct tlsa *v = NULL;
	size_t n = 0, i;
	unsigned line = 0;
	int rc = 0;

	drop_cr(&l->file);
	buf_putc(&l->file, '\0');
	if (strlen(l->file.p) != l->file.len - 1)
		return fail(f, FAIL_INPUT, "%.300s: octet %zu: a NUL", l->path, strlen(l->file.p));
	for (rest = l->file.p; rc == 0 && (text = strsep(&rest, "\n")) != NULL;) {
		line++;
		text[strcspn(text, "#;")] = '\0';
		if (text[strspn(text, " \t")] != '\0' && (rc = take_tlsa(l, text, line, &v, &n, f)) == -1)
			fail_prefix(f, "%.300s:%u", l->path, line);
	}
	if (rc == 0 && n == 0)
		rc = fail(f, FAIL_INPUT, "%.300s: no record in it", l->path);
	for (i = 0; i < n; i++)
		tlsa_clear(&v[i]);
	free(v);
	return rc;
}

/* ---- all kinds ---- */

static const struct {
	const char *name;
	int (*lint)(struct lint *, struct fail *);
} kinds[] = {
	{ "sts-txt", lint_sts_txt },
	{ "sts-policy", lint_sts_policy },
	{ "tlsrpt-txt", lint_tlsrpt_txt },
	{ "tlsa", lint_tlsa },
};

static size_t
kind_of(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(kinds) && strcmp(kinds[i].name, name) != 0; i++)
		;
	return i;
}

int
lint_is_kind(const char *name)
{
	return kind_of(name) < COUNT(kinds);
}

static void
lint_clear(struct lint *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		buf_clear(&l->v[i].text);
	free(l->v);
	buf_clear(&l->file);
	json_decref(l->json);
}

static enum tool_exit
finish(struct lint *l, int good, const struct fail *f)
{
	struct fail why = FAIL_INIT;
	enum tool_exit status = good ? TOOL_YES : TOOL_NO;

	if (!good)
		tool_failed(f);
	if (l->json == NULL)
		return status;
	json_set_bool(l->json, "valid", good);
	json_set_str(l->json, "reason", good ? NULL : f->text);
	return json_line(stdout, l->json, &why) == -1 ? tool_failed(&why) : status;
}

enum tool_exit
lint(const char *kind, const char *path, int json)
{
	struct lint l = { .path = strcmp(path, "-") == 0 ? "stdin" : path };
	struct fail f = FAIL_INIT;
	enum tool_exit status = TOOL_CANNOT;

	if (file_read(path, FILE_MAX, &l.file, &f) == -1)
		tool_failed(&f);
	else {
		if (json && (l.json = json_object()) == NULL)
			alloc_failed();
		if (json) {
			json_set_str(l.json, "lint", kind);
			json_set_str(l.json, "file", l.path);
		}
		status = finish(&l, kinds[kind_of(kind)].lint(&l, &f) == 0, &f);
	}
	lint_clear(&l);
	return status;
}
