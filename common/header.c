#include "header.h"

#include <string.h>
#include <strings.h>

/* The start of the line behind this one; end where there is none. */
static const char *
next_line(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', end - p);

	return lf != NULL ? lf + 1 : end;
}

static int
is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* An empty line, with or without CR. */
static int
ends_header(const char *p, const char *end)
{
	return p < end && (p[0] == '\n' || (p[0] == '\r' && p + 1 < end && p[1] == '\n'));
}

size_t
header_length(const char *s, size_t n)
{
	const char *p = s, *end = s + n;

	for (; p < end; p = next_line(p, end))
		if (ends_header(p, end))
			return next_line(p, end) - s;
	return 0;
}

/* "Name", white space (RFC 5322 4.5: obsolete, and many send it), ":"; returns what is behind, or NULL. */
static const char *
match_name(const char *p, const char *end, const char *name)
{
	size_t len = strlen(name);

	if ((size_t)(end - p) <= len || strncasecmp(p, name, len) != 0)
		return NULL;
	for (p += len; p < end && (*p == ' ' || *p == '\t'); p++)
		;
	return p < end && *p == ':' ? p + 1 : NULL;
}

size_t
header_find(const char *s, size_t n, const char *name, const char **value, size_t *len)
{
	const char *p = s, *end = s + n, *next, *at;
	size_t found = 0;

	for (; p < end && !ends_header(p, end); p = next) {
		next = next_line(p, end);
		while (next < end && (*next == ' ' || *next == '\t'))
			next = next_line(next, end);
		if ((at = match_name(p, next, name)) == NULL || found++ > 0)
			continue;
		for (*value = at; *value < next && is_blank(**value); (*value)++)
			;
		for (*len = next - *value; *len > 0 && is_blank((*value)[*len - 1]); (*len)--)
			;
	}
	return found;
}
