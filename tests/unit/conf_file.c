/* What is said of a file that the configuration names. */
#include "conf_file.h"

#include <errno.h>
#include <string.h>

#include "unit.h"

static const struct {
	unsigned line;
	enum conf_file which;
	int err;
	const char *want;
} rows[] = {
	{ 12, CONF_FILE_PASSWORDS, ENOENT, "c:12: passwords: /x: No such file or directory (smtp-relay --passwd USER makes it)" },
	{ 0, CONF_FILE_PASSWORDS, ENOENT, "passwords: /x: No such file or directory (smtp-relay --passwd USER makes it) "
	    "(the default path; no line passwords)" },
	{ 3, CONF_FILE_ALIASES, EACCES, "c:3: aliases: /x: Permission denied" },
	{ 4, CONF_FILE_HOOK, 0, "c:4: alert-hook: /x is no program" },
};

int
main(void)
{
	struct conf c = { .file = "c" };
	struct fail f;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		f = (struct fail)FAIL_INIT;
		c.file_line[rows[i].which] = rows[i].line;
		errno = rows[i].err;
		if (rows[i].err != 0)
			fail_errno(&f, "/x");
		else
			fail(&f, FAIL_INPUT, "/x is no program");
		unit_int(conf_file_failed(&c, rows[i].which, &f), -1, "it ends a function");
		unit_str(f.text, rows[i].want, "file %u of line %u", rows[i].which, rows[i].line);
		unit_int(f.err, rows[i].err, "the error number stays");
	}
	memset(f.text, 'x', sizeof f.text - 1);
	f.kind = FAIL_SYS;
	f.err = ENOENT;
	conf_file_failed(&c, CONF_FILE_ALIASES, &f);
	unit_int((long long)strlen(f.text), sizeof f.text - 1, "a long text stays within its room");
	unit_int(conf_file_failed(&c, CONF_FILE_ALIASES, NULL), -1, "nobody wants the text");
	return unit_done();
}
