#include "alloc.h"

#include <sys/resource.h>

#include <stdint.h>
#include <stdlib.h>

#include "capture.h"
#include "unit.h"

static void
too_much(void)
{
	/* The sanitizers' allocator would print its own report. */
	alloc_failed();
}

static void
overflow(void)
{
	volatile size_t half = SIZE_MAX / 2;

	free(xreallocarray(NULL, half, 4));
}

int
main(void)
{
	char *s;
	int old, status;

	s = xcalloc(4, 4);
	unit_ok(memcmp(s, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) == 0, "xcalloc zeroes");
	free(s);
	s = xasprintf("%s-%d", "a", 7);
	unit_str(s, "a-7", "xasprintf");
	free(s);
	s = xstrndup("abcdef", 3);
	unit_str(s, "abc", "xstrndup");
	free(s);
	s = xmemdup("a\0b", 4);
	unit_ok(memcmp(s, "a\0b", 4) == 0, "xmemdup");
	free(s);
	s = xmemdup(NULL, 0);
	unit_ok(s != NULL, "nothing is something to free");
	free(s);
	s = xmalloc(0);
	unit_ok(s != NULL, "zero octets too");
	s = xreallocarray(s, 0, 8);
	unit_ok(s != NULL, "and zero members");
	free(s);

	old = capture_begin(STDERR_FILENO);
	status = capture_child(too_much);
	unit_str(capture_end(STDERR_FILENO, old), "out of memory\n", "out of memory says so");
	unit_int(status, 2, "and ends with 2");
#if !defined(__SANITIZE_ADDRESS__)
	old = capture_begin(STDERR_FILENO);
	status = capture_child(overflow);
	unit_str(capture_end(STDERR_FILENO, old), "out of memory\n",
	    "a size past SIZE_MAX is too much");
	unit_int(status, 2, "and ends with 2");
#else
	(void)overflow;
#endif
	return unit_done();
}
