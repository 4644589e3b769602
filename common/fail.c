#include "fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
mark_cut(struct fail *f, int wanted)
{
	if (wanted >= FAIL_TEXT_MAX)
		memcpy(f->text + FAIL_TEXT_MAX - 4, "...", 4);
}

int
fail(struct fail *f, enum fail_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (f == NULL)
		return -1;
	f->kind = kind;
	f->err = 0;
	va_start(ap, fmt);
	mark_cut(f, vsnprintf(f->text, sizeof f->text, fmt, ap));
	va_end(ap);
	return -1;
}

int
fail_errno(struct fail *f, const char *fmt, ...)
{
	char what[FAIL_TEXT_MAX];
	int err = errno;
	va_list ap;

	if (f == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	f->kind = FAIL_SYS;
	f->err = err;
	mark_cut(f, snprintf(f->text, sizeof f->text, "%s: %s", what, strerror(err)));
	return -1;
}

int
fail_prefix(struct fail *f, const char *fmt, ...)
{
	char before[FAIL_TEXT_MAX], old[FAIL_TEXT_MAX];
	va_list ap;

	if (f == NULL)
		return -1;
	memcpy(old, f->text, sizeof old);
	va_start(ap, fmt);
	vsnprintf(before, sizeof before, fmt, ap);
	va_end(ap);
	mark_cut(f, snprintf(f->text, sizeof f->text, "%s: %s", before, old));
	return -1;
}
