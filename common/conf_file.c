#include "conf_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *keyword, *remedy;
} files[CONF_FILES] = {
	[CONF_FILE_PASSWORDS] = { "passwords", "smtp-relay --passwd USER makes it" },
	[CONF_FILE_CREDENTIALS] = { "credentials", "make it, of mode 0600: a line \"NAME USER PASSWORD\" for each that a "
	    "route names" },
	[CONF_FILE_RECIPIENTS] = { "recipients", "make it: a line \"user@domain\" or \"@domain\" each" },
	[CONF_FILE_ALIASES] = { "aliases", "make it, empty if there are none, or take this line out" },
	[CONF_FILE_HOOK] = { "alert-hook", "name a program, or take this line out" },
};

const char *
conf_file_keyword(enum conf_file which)
{
	return files[which].keyword;
}

int
conf_file_words(enum conf_file which, struct fail *f)
{
	size_t n;

	if (f == NULL)
		return -1;
	n = strlen(f->text);
	if (f->kind == FAIL_SYS && f->err == ENOENT)
		snprintf(f->text + n, sizeof f->text - n, " (%s)", files[which].remedy);
	return fail_prefix(f, "%s", files[which].keyword);
}

int
conf_file_failed(const struct conf *c, enum conf_file which, struct fail *f)
{
	size_t n;

	conf_file_words(which, f);
	if (f == NULL)
		return -1;
	if (c->file_line[which] > 0)
		return fail_prefix(f, "%.200s:%u", c->file, c->file_line[which]);
	n = strlen(f->text);
	snprintf(f->text + n, sizeof f->text - n, " (the default path; no line %s)", files[which].keyword);
	return -1;
}
