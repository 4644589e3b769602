/*
 * unit - checks that print TAP.  A test program calls unit_*() and ends with `return unit_done();`.
 * A failed check says where it stands and what it found; the program goes on.
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int unit_n, unit_failed;

__attribute__((format(printf, 2, 3), unused)) static int
unit_result(int ok, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", ok ? "" : "not ", ++unit_n);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!ok)
		unit_failed++;
	return ok;
}

/* One check with a name. */
#define unit_ok(cond, ...) \
	do { \
		if (!unit_result((cond) != 0, __VA_ARGS__)) \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
	} while (0)

/* Two strings are equal; NULL equals only NULL. */
#define unit_str(got, want, ...) \
	do { \
		const char *unit_g = (got), *unit_w = (want); \
		if (!unit_result(unit_g == unit_w || \
		    (unit_g && unit_w && strcmp(unit_g, unit_w) == 0), __VA_ARGS__)) \
			printf("# %s:%d\n# got:  %s\n# want: %s\n", __FILE__, __LINE__, \
			    unit_g ? unit_g : "(null)", unit_w ? unit_w : "(null)"); \
	} while (0)

#define unit_int(got, want, ...) \
	do { \
		long long unit_g = (got), unit_w = (want); \
		if (!unit_result(unit_g == unit_w, __VA_ARGS__)) \
			printf("# %s:%d: got %lld, want %lld\n", __FILE__, __LINE__, unit_g, unit_w); \
	} while (0)

static inline int
unit_done(void)
{
	printf("1..%d\n", unit_n);
	return unit_failed != 0;
}

#endif
