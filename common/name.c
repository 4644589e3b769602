#include "name.h"

#include <idn2.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "text.h"

static char *
without_dot(const char *s)
{
	size_t n = strlen(s);

	return xstrndup(s, n > 0 && s[n - 1] == '.' ? n - 1 : n);
}

/* libidn2 is asked where there is something to convert; also about labels that claim to be
 * converted already, so that no broken A-label gets into a certificate. */
static char *
convert(const char *name, struct fail *f)
{
	char *out = NULL, *copy;
	int rc;

	if (text_is_ascii(name) && strstr(name, "xn--") == NULL)
		return xstrdup(name);
	rc = idn2_to_ascii_8z(name, &out,
	    IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT |
		(strchr(name, '_') ? 0 : IDN2_USE_STD3_ASCII_RULES));
	if (rc != IDN2_OK) {
		fail(f, FAIL_INPUT, "%.300s: not an internationalised host name: %s", name,
		    idn2_strerror(rc));
		return NULL;
	}
	copy = xstrdup(out);
	idn2_free(out);
	return copy;
}

char *
name_to_ascii(const char *utf8, struct fail *f)
{
	char *plain = without_dot(utf8), *out = NULL, *full;
	const char *rest = plain;

	text_lower(plain);
	if (strncmp(plain, "*.", 2) == 0)
		rest = plain + 2;
	if ((out = convert(rest, f)) != NULL && rest != plain) {
		full = xasprintf("*.%s", out);
		free(out);
		out = full;
	}
	free(plain);
	if (out == NULL)
		return NULL;
	/* One dot at the end has gone: another is an empty label. */
	if (out[0] != '\0' && out[strlen(out) - 1] != '.' && (name_is_host(out, NAME_UNDERSCORE) || name_is_wildcard(out)))
		return out;
	if (strchr(out, '*') != NULL)
		fail(f, FAIL_INPUT,
		    "%.300s: \"*\" may only be the whole left-most label, with two more "
		    "labels behind it (RFC 6125 6.4.3)",
		    utf8);
	else
		fail(f, FAIL_INPUT,
		    "%.300s: not a host name: expected labels of 1 to %d letters, digits "
		    "and hyphens, at most %d in all",
		    utf8, NAME_LABEL_MAX, NAME_LEN_MAX);
	free(out);
	return NULL;
}

static int
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
is_label(const char *s, size_t n, unsigned flags)
{
	size_t i;

	if (n == 0 || n > NAME_LABEL_MAX || s[0] == '-' || s[n - 1] == '-')
		return 0;
	for (i = 0; i < n; i++) {
		char c = s[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-')
			continue;
		if (c == '_' && (flags & NAME_UNDERSCORE))
			continue;
		return 0;
	}
	return 1;
}

/* A host name of n octets without a trailing dot.  Returns how many labels it has; 0: none. */
static unsigned
count_labels(const char *s, size_t n, unsigned flags)
{
	const char *end = s + n, *dot;
	unsigned labels = 0;
	size_t i, len;

	if (n == 0 || n > NAME_LEN_MAX)
		return 0;
	for (;; s = dot + 1) {
		dot = memchr(s, '.', end - s);
		len = (dot != NULL ? dot : end) - s;
		if (!is_label(s, len, flags))
			return 0;
		labels++;
		if (dot == NULL)
			break;
	}
	for (i = 0; i < len && is_digit(s[i]); i++)
		;
	return i < len ? labels : 0;
}

static size_t
length_without_dot(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && s[n - 1] == '.' ? n - 1 : n;
}

static int
has_labels(const char *s, unsigned flags, unsigned least)
{
	if ((flags & NAME_WILDCARD) && s[0] == '*')
		return name_is_wildcard(s);
	return count_labels(s, length_without_dot(s), flags) >= least;
}

int
name_is_host(const char *s, unsigned flags)
{
	return has_labels(s, flags, 1);
}

char *
name_own_host(const char *otherwise)
{
	char name[NAME_LEN_MAX + 1];

	if (gethostname(name, sizeof name) == 0 && memchr(name, '\0', sizeof name) != NULL && name_is_host(name, 0))
		return xstrdup(name);
	return xstrdup(otherwise);
}

int
name_is_fqdn(const char *s, unsigned flags)
{
	return has_labels(s, flags, 2);
}

int
name_is_wildcard(const char *s)
{
	if (strncmp(s, "*.", 2) != 0 || length_without_dot(s) > NAME_LEN_MAX)
		return 0;
	return count_labels(s + 2, length_without_dot(s + 2), NAME_UNDERSCORE) >= 2;
}

static int
same(const char *a, size_t n, const char *b, size_t m)
{
	return n == m && strncasecmp(a, b, n) == 0;
}

int
name_matches(const char *reference, const char *presented)
{
	size_t n = length_without_dot(reference), m = strlen(presented);
	const char *dot;

	if (length_without_dot(presented) != m || count_labels(reference, n, NAME_UNDERSCORE) == 0)
		return 0;
	if (!name_is_wildcard(presented))
		return count_labels(presented, m, NAME_UNDERSCORE) > 0 &&
		    same(reference, n, presented, m);
	if ((dot = memchr(reference, '.', n)) == NULL)
		return 0;
	return same(dot, n - (dot - reference), presented + 1, m - 1);
}

/* U+202A-202E or U+2066-2069, which turn round how the rest of a line is shown; s is UTF-8. */
static int
has_bidi(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;

	for (; *u != '\0'; u++)
		if (u[0] == 0xe2 && ((u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) ||
		    (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9)))
			return 1;
	return 0;
}

static const char *
why_not_identity(const char *s)
{
	if (*s == '\0')
		return "it is empty";
	if (strlen(s) > NAME_IDENTITY_MAX)
		return "it is too long";
	if (*s == '-' || *s == '.')
		return "it begins with - or .";
	if (strchr(s, '/') != NULL)
		return "there is a / in it";
	if (strstr(s, "..") != NULL)
		return "there is a .. in it";
	if (strchr(s, '*') != NULL)
		return "there is a * in it";
	if (text_utf8_chars(s) == -1 || has_bidi(s))
		return "it is not UTF-8, or there is a control character in it";
	return NULL;
}

int
name_check_identity(const char *s, struct fail *f)
{
	const char *why = why_not_identity(s);

	if (why == NULL)
		return 0;
	return fail(f, FAIL_INPUT, "\"%.250s\" cannot be the name of an identity: %s", s, why);
}

char *
name_to_identity(const char *s, struct fail *f)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "");
	for (; *s != '\0'; s++)
		if (*s == '*')
			buf_puts(&b, "_wildcard");
		else
			buf_putc(&b, *s);
	if (name_check_identity(b.p, f) == 0)
		return buf_steal(&b);
	buf_clear(&b);
	return NULL;
}
