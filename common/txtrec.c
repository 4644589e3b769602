#include "txtrec.h"

#include <string.h>

int
txtrec_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static size_t
skip_blanks(const struct txtrec *r, size_t at)
{
	while (at < r->len && is_blank(r->p[at]))
		at++;
	return at;
}

static int
begins_with(const struct txtrec *r, const char *version)
{
	size_t n = strlen(version);

	return r->len > n && memcmp(r->p, version, n) == 0 && r->p[n] == ';';
}

size_t
txtrec_select(const struct txtrec *r, size_t n, const char *version, size_t *which)
{
	size_t i, found = 0;

	for (i = 0; i < n; i++)
		if (begins_with(&r[i], version) && found++ == 0)
			*which = i;
	return found;
}

/* RFC 8461 3.1, sts-ext-name; 3.2, sts-policy-ext-name; RFC 8460 3, tlsrpt-ext-name. */
size_t
txtrec_name_length(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && n < TXTREC_NAME_MAX &&
	    (txtrec_is_alnum(s[n]) || (n > 0 && (s[n] == '_' || s[n] == '-' || s[n] == '.'))))
		n++;
	return n;
}

/* sts-ext-value: visible ASCII but "=" and ";". */
static int
check_extension(const char *name, const char *value, size_t len, size_t offset, struct fail *f)
{
	size_t i;

	if (len == 0)
		return fail(f, FAIL_INPUT, "offset %zu: expected a value for %s", offset, name);
	for (i = 0; i < len; i++)
		if (value[i] < 0x21 || value[i] > 0x7e || value[i] == '=')
			return fail(f, FAIL_INPUT,
			    "offset %zu: not a character that the value of %s may have", offset + i, name);
	return 0;
}

/* name=value up to the next semicolon or the end; *at is moved there. */
static int
take_field(const struct txtrec *r, size_t *at, txtrec_field_fn *fn, void *arg, struct fail *f)
{
	char name[TXTREC_NAME_MAX + 1];
	size_t n = txtrec_name_length(r->p + *at, r->len - *at), start, end;
	int taken;

	if (n == 0)
		return fail(f, FAIL_INPUT, "offset %zu: expected a field: name=value", *at);
	memcpy(name, r->p + *at, n);
	name[n] = '\0';
	start = *at + n;
	if (start == r->len || r->p[start] != '=')
		return fail(f, FAIL_INPUT, "offset %zu: expected \"=\" behind %s", start, name);
	start++;
	for (end = start; end < r->len && r->p[end] != ';'; end++)
		;
	*at = end;
	/* Blanks belong to the delimiter; without one there is nothing that they could belong to. */
	while (end < r->len && end > start && is_blank(r->p[end - 1]))
		end--;
	if ((taken = fn(arg, name, r->p + start, end - start, start, f)) == -1)
		return -1;
	return taken ? 0 : check_extension(name, r->p + start, end - start, start, f);
}

int
txtrec_parse(const struct txtrec *r, const char *version, txtrec_field_fn *fn, void *arg, struct fail *f)
{
	size_t at = strlen(version);

	if (!begins_with(r, version))
		return fail(f, FAIL_INPUT, "offset 0: expected %s;", version);
	do {
		at = skip_blanks(r, at + 1);
		if (at == r->len)
			return 0;
		if (take_field(r, &at, fn, arg, f) == -1)
			return -1;
	} while (at < r->len);
	return 0;
}
