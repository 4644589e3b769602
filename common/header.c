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

/* "Name", white space (RFC 5322 4.5: obsolete, and many send it), ":". */
static int
split(struct header_field *f, const char *p, const char *end)
{
	const char *colon = memchr(p, ':', end - p);

	if (colon == NULL)
		return 0;
	f->whole = f->name = p;
	f->whole_len = end - p;
	f->value = colon + 1;
	f->value_len = end - f->value;
	for (f->name_len = colon - p; f->name_len > 0; f->name_len--)
		if (p[f->name_len - 1] != ' ' && p[f->name_len - 1] != '\t')
			break;
	return f->name_len > 0;
}

int
header_next(const char *s, size_t n, size_t *at, struct header_field *f)
{
	const char *p, *end, *next;

	if (*at >= n)
		return 0;
	end = s + n;
	for (p = s + *at; p < end && !ends_header(p, end); p = next) {
		next = next_line(p, end);
		while (next < end && (*next == ' ' || *next == '\t'))
			next = next_line(next, end);
		*at = next - s;
		if (split(f, p, next))
			return 1;
	}
	return 0;
}

int
header_is(const struct header_field *f, const char *name)
{
	return strlen(name) == f->name_len && strncasecmp(f->name, name, f->name_len) == 0;
}

size_t
header_find(const char *s, size_t n, const char *name, const char **value, size_t *len)
{
	struct header_field f;
	size_t found = 0, at = 0;

	while (header_next(s, n, &at, &f)) {
		if (!header_is(&f, name) || found++ > 0)
			continue;
		for (*value = f.value; *value < f.value + f.value_len && is_blank(**value); (*value)++)
			;
		*len = f.value + f.value_len - *value;
		while (*len > 0 && is_blank((*value)[*len - 1]))
			--*len;
	}
	return found;
}
