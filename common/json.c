#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "fail.h"
#include "text.h"

json_t *
json_bytes(const char *s, size_t n)
{
	json_t *j;
	char *escaped;

	if (memchr(s, '\0', n) == NULL && (j = json_stringn(s, n)) != NULL)
		return j;
	escaped = text_escape(s, n);
	j = json_string(escaped);
	free(escaped);
	if (j == NULL)
		alloc_failed();
	return j;
}

void
json_set(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, value) == -1)
		alloc_failed();
}

void
json_push(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) == -1)
		alloc_failed();
}

void
json_set_str(json_t *o, const char *key, const char *s)
{
	json_set(o, key, s != NULL ? json_bytes(s, strlen(s)) : json_null());
}

void
json_set_int(json_t *o, const char *key, int64_t n)
{
	json_set(o, key, json_integer(n));
}

void
json_set_bool(json_t *o, const char *key, int yes)
{
	json_set(o, key, json_boolean(yes));
}

void
json_set_time(json_t *o, const char *key, int64_t t)
{
	char when[TEXT_TIME_MAX];

	json_set_str(o, key, text_time(when, t));
}

/* The code of a character at s that a terminal would obey: U+0080-009F, U+202A-202E, U+2066-2069; 0:
 * another.  s ends with NUL and is UTF-8. */
static unsigned
obeyed(const unsigned char *s)
{
	unsigned c = 0;

	if (s[0] == 0xc2 && s[1] < 0xa0)
		return s[1];
	if (s[0] == 0xe2 && (s[1] & 0xc0) == 0x80)
		c = 0x2000 | (s[1] & 0x3fU) << 6 | (s[2] & 0x3fU);
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ? c : 0;
}

/* Beyond ASCII there are only the characters of strings, where an escape means the same. */
static void
put_escaped(const char *s, FILE *out)
{
	unsigned c;

	for (; *s != '\0'; s++)
		if ((c = obeyed((const unsigned char *)s)) == 0)
			putc(*s, out);
		else {
			fprintf(out, "\\u%04X", c);
			s += c < 0x800 ? 1 : 2;
		}
}

int
json_line(FILE *out, const json_t *o, struct fail *f)
{
	char *text = json_dumps(o, JSON_COMPACT);

	if (text == NULL)
		alloc_failed();
	put_escaped(text, out);
	free(text);
	if (fputc('\n', out) == EOF || ferror(out))
		return fail_errno(f, "standard output");
	return 0;
}
