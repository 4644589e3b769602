#include "json.h"

#include <stdlib.h>

#include "fail.h"
#include "unit.h"

static char *
dump(json_t *j)
{
	char *s = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(j);
	return s;
}

static const struct {
	const char *in;
	size_t len;
	const char *want;
} rows[] = {
	{ "plain", 5, "\"plain\"" },
	{ "", 0, "\"\"" },
	{ "\xc3\xa9", 2, "\"\xc3\xa9\"" },
	{ "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
	{ "a\nb\x1b", 4, "\"a\\nb\\u001B\"" },
	{ "a\0b", 3, "\"a\\\\x00b\"" },
	{ "\xff\xfe", 2, "\"\\\\xff\\\\xfe\"" },
	{ "\xc3", 1, "\"\\\\xc3\"" },
	{ "\xed\xa0\x80", 3, "\"\\\\xed\\\\xa0\\\\x80\"" },	/* a surrogate */
	{ "\xc0\x80", 2, "\"\\\\xc0\\\\x80\"" },		/* NUL the long way */
};

/* What a terminal would obey is escaped, and reads back as it was. */
static void
test_obeyed(void)
{
	static const char in[] = "\xc2\x80\xc2\x9f\xc2\xa0|\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf|"
	    "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa|\xe2\x82\xac\\u202E";
	json_t *o = json_object(), *back;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	json_set_str(o, "k", in);
	unit_int(json_line(out, o, NULL), 0, "a line");
	fclose(out);
	unit_str(text, "{\"k\":\"\\u0080\\u009F\xc2\xa0|\xe2\x80\xa9\\u202A\\u202E\xe2\x80\xaf|"
	    "\xe2\x81\xa5\\u2066\\u2069\xe2\x81\xaa|\xe2\x82\xac\\\\u202E\"}\n", "escaped");
	back = json_loads(text, 0, NULL);
	unit_str(json_string_value(json_object_get(back, "k")), in, "and the same when it is read");
	json_decref(back);
	json_decref(o);
	free(text);
}

static void
test_object(void)
{
	json_t *o = json_object(), *array = json_array();
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct fail f = FAIL_INIT;

	json_set_str(o, "z", "first");
	json_set_str(o, "a", NULL);
	json_set_int(o, "n", INT64_MIN);
	json_set_bool(o, "yes", 2);
	json_set_time(o, "t", 0);
	json_push(array, json_bytes("x", 1));
	json_set(o, "list", array);
	unit_int(json_line(out, o, &f), 0, "a line is written");
	fclose(out);
	unit_str(text, "{\"z\":\"first\",\"a\":null,\"n\":-9223372036854775808,\"yes\":true,"
	    "\"t\":\"1970-01-01T00:00:00Z\",\"list\":[\"x\"]}\n", "keys in the order of setting");
	free(text);

	if ((out = fopen("/dev/full", "w")) != NULL) {
		setvbuf(out, NULL, _IONBF, 0);
		unit_int(json_line(out, o, &f), -1, "a full disk is noticed: %s", f.text);
		unit_int(f.kind, FAIL_SYS, "as one");
		fclose(out);
	}
	json_decref(o);
}

int
main(void)
{
	char *got;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		got = dump(json_bytes(rows[i].in, rows[i].len));
		unit_str(got, rows[i].want, "bytes, row %zu", i);
		free(got);
	}
	test_obeyed();
	test_object();
	return unit_done();
}
