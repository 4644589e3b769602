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

int
json_line(FILE *out, const json_t *o, struct fail *f)
{
	if (json_dumpf(o, out, JSON_COMPACT) == -1 || fputc('\n', out) == EOF)
		return fail_errno(f, "standard output");
	return 0;
}
