#include "sts.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "mailbox.h"
#include "text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- the record ---- */

/* RFC 8461 3.2 on both: of a field that comes twice only the first counts. */
static int
take_txt_field(void *arg, const char *name, const char *value, size_t len, size_t offset, struct fail *f)
{
	char *id = arg;
	size_t i;

	if (strcmp(name, "id") != 0)
		return 0;
	for (i = 0; i < len && i <= STS_ID_MAX; i++)
		if (!txtrec_is_alnum(value[i]))
			return fail(f, FAIL_INPUT, "offset %zu: expected a letter or digit in the id",
			    offset + i);
	if (len == 0 || len > STS_ID_MAX)
		return fail(f, FAIL_INPUT, "offset %zu: expected 1 to %d letters and digits as id",
		    len == 0 ? offset : offset + STS_ID_MAX, STS_ID_MAX);
	if (id[0] == '\0') {
		memcpy(id, value, len);
		id[len] = '\0';
	}
	return 1;
}

int
sts_txt_parse(const struct txtrec *r, char id[STS_ID_MAX + 1], struct fail *f)
{
	id[0] = '\0';
	if (txtrec_parse(r, STS_VERSION, take_txt_field, id, f) == -1)
		return -1;
	if (id[0] == '\0')
		return fail(f, FAIL_INPUT, "offset %zu: no id=", r->len);
	return 0;
}

int
sts_txt_select(const struct txtrec *r, size_t n, char id[STS_ID_MAX + 1], struct fail *f)
{
	size_t which = 0, found = txtrec_select(r, n, STS_VERSION, &which);

	if (found == 0)
		return 0;
	if (found > 1)
		return fail(f, FAIL_INPUT, "%zu records begin with %s;", found, STS_VERSION);
	return sts_txt_parse(&r[which], id, f) == -1 ? -1 : 1;
}

/* ---- the policy ---- */

static const char *const mode_names[] = { [STS_NONE] = "none", [STS_TESTING] = "testing",
	[STS_ENFORCE] = "enforce" };

const char *
sts_mode_name(enum sts_mode mode)
{
	return mode_names[mode];
}

int
sts_mode_parse(const char *word, enum sts_mode *mode)
{
	size_t i;

	for (i = 0; i < COUNT(mode_names); i++)
		if (strcmp(word, mode_names[i]) == 0) {
			*mode = (enum sts_mode)i;
			return 0;
		}
	return -1;
}

void
sts_policy_clear(struct sts_policy *p)
{
	size_t i;

	for (i = 0; i < p->nmx; i++)
		free(p->mx[i]);
	free(p->mx);
	memset(p, 0, sizeof *p);
}

void
sts_policy_copy(struct sts_policy *dst, const struct sts_policy *src)
{
	size_t i;

	*dst = *src;
	dst->mx = xcalloc(src->nmx, sizeof *dst->mx);
	for (i = 0; i < src->nmx; i++)
		dst->mx[i] = xstrdup(src->mx[i]);
}

/* sts-policy-mx-value: ["*."] Domain, and U-labels are none (RFC 8461 3.2). */
int
sts_policy_add_mx(struct sts_policy *p, const char *s, size_t len, struct fail *f)
{
	size_t wild = len >= 2 && memcmp(s, "*.", 2) == 0 ? 2 : 0;

	/* What passes for a Domain elsewhere, a dot at its end and underscores, is none in this grammar. */
	if (len == wild || s[len - 1] == '.' || memchr(s, '_', len) != NULL ||
	    !mailbox_is_domain(s + wild, len - wild))
		return fail(f, FAIL_INPUT, "mx: expected a host name in A-labels, or *. and a domain");
	p->mx = xreallocarray(p->mx, p->nmx + 1, sizeof *p->mx);
	p->mx[p->nmx] = xstrndup(s, len);
	text_lower(p->mx[p->nmx++]);
	return 0;
}

/* What has been read so far; the first of each counts. */
struct reading {
	struct sts_policy *p;
	int version, mode, max_age;
};

static int
take_version(struct reading *r, const char *s, size_t len, struct fail *f)
{
	/* Another version says nothing that could be understood here. */
	if (!r->version && (len != 5 || memcmp(s, "STSv1", 5) != 0))
		return fail(f, FAIL_INPUT, "version: expected STSv1");
	r->version = 1;
	return 0;
}

static int
take_mode(struct reading *r, const char *s, size_t len, struct fail *f)
{
	char word[8];

	if (r->mode)
		return 0;
	if (len >= sizeof word || memchr(s, '\0', len) != NULL)
		len = 0;
	memcpy(word, s, len);
	word[len] = '\0';
	if (sts_mode_parse(word, &r->p->mode) == -1)
		return fail(f, FAIL_INPUT, "mode: expected enforce, testing or none");
	r->mode = 1;
	return 0;
}

static int
take_max_age(struct reading *r, const char *s, size_t len, struct fail *f)
{
	uint64_t n = 0;
	size_t i;

	if (r->max_age)
		return 0;
	for (i = 0; i < len && len <= 10 && s[i] >= '0' && s[i] <= '9'; i++)
		n = n * 10 + (s[i] - '0');
	if (len == 0 || i < len || n > STS_AGE_MAX)
		return fail(f, FAIL_INPUT, "max_age: expected 0 to %d seconds", STS_AGE_MAX);
	r->p->max_age = n;
	r->max_age = 1;
	return 0;
}

static int
take_mx(struct reading *r, const char *s, size_t len, struct fail *f)
{
	return sts_policy_add_mx(r->p, s, len, f);
}

static const struct {
	const char *name;
	int (*take)(struct reading *, const char *, size_t, struct fail *);
} fields[] = {
	{ "version", take_version },
	{ "mode", take_mode },
	{ "max_age", take_max_age },
	{ "mx", take_mx },
};

/* sts-policy-ext-value: UTF-8 without control characters, and something of it. */
static int
check_extension(const char *s, size_t len, struct fail *f)
{
	char *copy;
	int good;

	if (len == 0 || memchr(s, '\0', len) != NULL)
		return fail(f, FAIL_INPUT, "expected a value in UTF-8");
	copy = xstrndup(s, len);
	good = text_utf8_chars(copy) != -1;
	free(copy);
	return good ? 0 : fail(f, FAIL_INPUT, "expected a value in UTF-8 without control characters");
}

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A line without its end. */
static int
take_line(struct reading *r, const char *s, size_t len, struct fail *f)
{
	size_t n = txtrec_name_length(s, len), at = n + 1, i;

	while (len > 0 && is_blank(s[len - 1]))
		len--;
	if (len == 0)
		return 0;
	if (n == 0 || n >= len || s[n] != ':')
		return fail(f, FAIL_INPUT, "expected \"name: value\"");
	while (at < len && is_blank(s[at]))
		at++;
	for (i = 0; i < COUNT(fields); i++)
		if (strlen(fields[i].name) == n && memcmp(s, fields[i].name, n) == 0)
			return fields[i].take(r, s + at, len - at, f);
	return check_extension(s + at, len - at, f);
}

static int
take_lines(struct reading *r, const char *s, size_t len, unsigned *line, struct fail *f)
{
	const char *end;
	size_t n;

	for (*line = 1; len > 0; (*line)++) {
		end = memchr(s, '\n', len);
		n = end != NULL ? (size_t)(end - s) : len;
		/* A CR belongs to the line's end only where an LF is behind it. */
		if (take_line(r, s, end != NULL && n > 0 && s[n - 1] == '\r' ? n - 1 : n, f) == -1)
			return fail_prefix(f, "line %u", *line), -1;
		if (end == NULL)
			break;
		s = end + 1;
		len -= n + 1;
	}
	return 0;
}

int
sts_policy_parse(struct sts_policy *out, const char *s, size_t len, struct fail *f)
{
	struct reading r = { .p = out };
	unsigned line = 0;

	memset(out, 0, sizeof *out);
	if (len > STS_POLICY_MAX)
		fail(f, FAIL_INPUT, "a policy of more than %d octets", STS_POLICY_MAX);
	else if (take_lines(&r, s, len, &line, f) == -1)
		;
	else if (!r.version || !r.mode || !r.max_age)
		fail(f, FAIL_INPUT, "line %u: no %s", line, !r.version ? "version" : !r.mode ? "mode" : "max_age");
	else if (out->nmx == 0 && out->mode != STS_NONE)
		fail(f, FAIL_INPUT, "line %u: no mx, which mode %s asks for", line, sts_mode_name(out->mode));
	else
		return 0;
	sts_policy_clear(out);
	return -1;
}

/* RFC 8461 4.1: the wildcard is the whole left-most label, and stands for exactly one. */
static int
pattern_matches(const char *pattern, const char *host)
{
	const char *rest;

	if (strncmp(pattern, "*.", 2) != 0)
		return text_case_eq(pattern, host);
	rest = strchr(host, '.');
	return rest != NULL && rest != host && text_case_eq(pattern + 1, rest);
}

int
sts_mx_matches(const struct sts_policy *p, const char *host)
{
	size_t i;

	for (i = 0; i < p->nmx; i++)
		if (pattern_matches(p->mx[i], host))
			return 1;
	return 0;
}
