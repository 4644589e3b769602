#include "fail.h"

#include <errno.h>
#include <stdlib.h>

#include "unit.h"

static char long_text[2 * FAIL_TEXT_MAX];

static void
test_set(void)
{
	struct fail f = FAIL_INIT;

	unit_int(f.kind, FAIL_NONE, "nothing at first");
	unit_int(fail(&f, FAIL_PEER, "%s: %d", "peer", 5), -1, "fail returns -1");
	unit_int(f.kind, FAIL_PEER, "kind");
	unit_str(f.text, "peer: 5", "text");
	errno = ENOENT;
	unit_int(fail_errno(&f, "%s", "file"), -1, "fail_errno returns -1");
	unit_int(f.kind, FAIL_SYS, "its kind");
	unit_int(f.err, ENOENT, "its errno");
	unit_str(f.text, "file: No such file or directory", "its text");
	unit_int(fail_prefix(&f, "%s", "store"), -1, "fail_prefix returns -1");
	unit_str(f.text, "store: file: No such file or directory", "prefix");
	unit_int(f.kind, FAIL_SYS, "the kind stays");
	unit_int(f.err, ENOENT, "the errno stays");
	fail(&f, FAIL_TEMP, "later");
	unit_int(f.err, 0, "no errno where the kind is another");
}

static void
test_long(void)
{
	struct fail f = FAIL_INIT;

	memset(long_text, 'x', sizeof long_text - 1);
	fail(&f, FAIL_INPUT, "%.511s", long_text);
	unit_int(strlen(f.text), FAIL_TEXT_MAX - 1, "a text that just fits");
	unit_str(f.text + FAIL_TEXT_MAX - 4, "xxx", "is whole");
	fail(&f, FAIL_INPUT, "%s", long_text);
	unit_int(strlen(f.text), FAIL_TEXT_MAX - 1, "a text too long");
	unit_str(f.text + FAIL_TEXT_MAX - 4, "...", "ends in dots");
	fail(&f, FAIL_INPUT, "%.508s", long_text);
	fail_prefix(&f, "abc");
	unit_str(f.text + FAIL_TEXT_MAX - 4, "...", "so does one that a prefix makes too long");
	unit_ok(strncmp(f.text, "abc: x", 6) == 0, "the prefix comes first");
	errno = EIO;
	fail_errno(&f, "%s", long_text);
	unit_int(f.err, EIO, "a subject too long keeps the errno");
}

static void
test_null(void)
{
	unit_int(fail(NULL, FAIL_SYS, "x"), -1, "nobody wants to know");
	unit_int(fail_errno(NULL, "x"), -1, "nor the errno");
	unit_int(fail_prefix(NULL, "x"), -1, "nor the prefix");
}

int
main(void)
{
	test_set();
	test_long();
	test_null();
	return unit_done();
}
