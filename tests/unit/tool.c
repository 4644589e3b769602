/* What exits does so in a child. */
#include "tool.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>

#include "capture.h"
#include "log.h"
#include "unit.h"

#define SYNOPSIS "usage: prog [-a]\n            [-b VALUE]\n"
#define WRONG SYNOPSIS "try -h for the options\n" /* what a usage error ends in */

static const char usage[] = SYNOPSIS "\nDo nothing.\n\n  -a  all\n";

static void
test_worse(void)
{
	static const struct {
		enum tool_exit a, b, want;
	} rows[] = {
		{ TOOL_YES, TOOL_YES, TOOL_YES },
		{ TOOL_YES, TOOL_UNSURE, TOOL_UNSURE },
		{ TOOL_UNSURE, TOOL_NO, TOOL_NO },
		{ TOOL_NO, TOOL_CANNOT, TOOL_CANNOT },
		{ TOOL_CANNOT, TOOL_UNSURE, TOOL_CANNOT },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unit_int(tool_worse(rows[i].a, rows[i].b), rows[i].want, "%d and %d", rows[i].a,
		    rows[i].b);
		unit_int(tool_worse(rows[i].b, rows[i].a), rows[i].want, "%d and %d", rows[i].b,
		    rows[i].a);
	}
}

static void
test_failed(void)
{
	static const struct {
		enum fail_kind kind;
		enum tool_exit want;
	} rows[] = {
		{ FAIL_INPUT, TOOL_CANNOT },
		{ FAIL_SYS, TOOL_CANNOT },
		{ FAIL_TEMP, TOOL_UNSURE },
		{ FAIL_PEER, TOOL_UNSURE },
		{ FAIL_POLICY, TOOL_NO },
	};
	struct fail f = FAIL_INIT;
	int old, got;
	size_t i;

	log_init("prog");
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fail(&f, rows[i].kind, "mx\033: no");
		old = capture_begin(STDERR_FILENO);
		got = tool_failed(&f);
		unit_str(capture_end(STDERR_FILENO, old), "prog: mx\\x1b: no\n", "said, escaped");
		unit_int(got, rows[i].want, "kind %d", rows[i].kind);
	}
}

static void
empty_dir(void)
{
	tool_init("prog", usage);
	tool_dir("");
}

static void
test_dir(void)
{
	int old = capture_begin(STDERR_FILENO);

	unit_int(capture_child(empty_dir), 2, "an empty -d");
	unit_str(capture_end(STDERR_FILENO, old), "prog: -d: expected a folder, not an empty text\n" WRONG,
	    "what is said of it");
	setenv("MTATLS_DIR", "/env", 1);
	unit_str(tool_dir("/opt"), "/opt", "the option first");
	unit_str(tool_dir(NULL), "/env", "then the environment");
	setenv("MTATLS_DIR", "", 1);
	unit_str(tool_dir(NULL), "/etc/mtatls", "which may be empty");
	unsetenv("MTATLS_DIR");
	unit_str(tool_dir(NULL), "/etc/mtatls", "then the default");
}

static void
help(void)
{
	tool_init("prog", usage);
	tool_help();
}

static void
version(void)
{
	tool_init("prog", usage);
	tool_version();
}

static void
wrong(void)
{
	tool_init("prog", usage);
	tool_usage("no %s", "way");
}

/* A usage without a blank line, with a second form of call, and with nothing but itself. */
static const char *odd_usage;

static void
wrong_odd(void)
{
	tool_init("prog", odd_usage);
	tool_usage("no");
}

static void
test_synopsis(void)
{
	static const struct {
		const char *usage, *want;
	} rows[] = {
		{ "usage: prog X\nX is it.\n  -h  help\n", "usage: prog X\n" },
		{ "usage: prog X\nusage: prog Y\n\nMore.\n", "usage: prog X\nusage: prog Y\n" },
		{ "usage: prog\n", "usage: prog\n" },
	};
	char want[200];
	size_t i;
	int old;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		odd_usage = rows[i].usage;
		old = capture_begin(STDERR_FILENO);
		unit_int(capture_child(wrong_odd), 2, "row %zu", i);
		snprintf(want, sizeof want, "prog: no\n%stry -h for the options\n", rows[i].want);
		unit_str(capture_end(STDERR_FILENO, old), want, "row %zu: the synopsis alone", i);
	}
}

static void
full_disk(void)
{
	int fd = open("/dev/full", O_WRONLY);

	dup2(fd, STDOUT_FILENO);
	tool_init("prog", usage);
	tool_help();
}

static void
parse(char **argv)
{
	static const struct option longs[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "bytes", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int ch, argc = 0;

	while (argv[argc] != NULL)
		argc++;
	tool_init("prog", usage);
	while ((ch = getopt_long(argc, argv, ":ab:", longs, NULL)) != -1)
		if (ch == '?' || ch == ':')
			tool_bad_option(ch, argv);
	exit(TOOL_YES);
}

static char **bad_argv;

static void
parse_bad(void)
{
	parse(bad_argv);
}

static void
test_exits(void)
{
	int old, status;

	old = capture_begin(STDOUT_FILENO);
	status = capture_child(help);
	unit_str(capture_end(STDOUT_FILENO, old), usage, "-h prints the usage");
	unit_int(status, 0, "and exits with 0");
	old = capture_begin(STDOUT_FILENO);
	status = capture_child(version);
	unit_str(capture_end(STDOUT_FILENO, old), "prog (mtatls) " TOOL_VERSION "\n", "-V");
	unit_int(status, 0, "exits with 0");
	old = capture_begin(STDERR_FILENO);
	status = capture_child(wrong);
	unit_str(capture_end(STDERR_FILENO, old), "prog: no way\n" WRONG,
	    "wrong usage");
	unit_int(status, 2, "exits with 2");
	old = capture_begin(STDERR_FILENO);
	status = capture_child(full_disk);
	unit_str(capture_end(STDERR_FILENO, old),
	    "prog: standard output: No space left on device\n", "lost output is noticed");
	unit_int(status, 2, "and exits with 2");
}

static void
test_bad_options(void)
{
	static struct {
		char *argv[5];
		const char *want;
	} rows[] = {
		{ { "prog", "-x", NULL }, "prog: unknown option -x\n" },
		{ { "prog", "-b", NULL }, "prog: option -b needs a value\n" },
		{ { "prog", "--bytes", NULL }, "prog: option --bytes needs a value\n" },
		{ { "prog", "--nope", NULL },
		    "prog: unknown, ambiguous or wrongly used option --nope\n" },
		{ { "prog", "--all=3", NULL },
		    "prog: unknown, ambiguous or wrongly used option --all=3\n" },
		{ { "prog", "--no\npe", NULL },
		    "prog: unknown, ambiguous or wrongly used option --no\\x0ape\n" },
		{ { "prog", "-ax", NULL }, "prog: unknown option -x\n" },
		{ { "prog", "--all", "-xa", NULL }, "prog: unknown option -x\n" },
		{ { "prog", "--all=3", "-b", "x", NULL },
		    "prog: unknown, ambiguous or wrongly used option --all=3\n" },
	};
	char want[200];
	int old, status;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bad_argv = rows[i].argv;
		old = capture_begin(STDERR_FILENO);
		status = capture_child(parse_bad);
		snprintf(want, sizeof want, "%s%s", rows[i].want, WRONG);
		unit_str(capture_end(STDERR_FILENO, old), want, "bad option, row %zu", i);
		unit_int(status, 2, "exits with 2");
	}
}

/* Started with 0 to 2 closed, a program's first file must not become one of them. */
static void
first_file(void)
{
	int fd;

	close(0);
	close(1);
	close(2);
	tool_init("prog", usage);
	fd = open("/dev/null", O_RDONLY);
	_exit(fd > 2 && signal(SIGPIPE, SIG_DFL) == SIG_IGN ? 0 : 1);
}

int
main(void)
{
	test_worse();
	test_failed();
	test_dir();
	test_exits();
	test_bad_options();
	test_synopsis();
	unit_int(capture_child(first_file), 0, "gaps in 0 to 2 are closed, SIGPIPE is ignored");
	return unit_done();
}
