#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox.h"
#include "text.h"

static const char *usage_text, *synopsis;	/* synopsis NULL: that of the usage text */
static const char *plugin_service;	/* NULL: no plugin */

/* A program started with a closed 0, 1 or 2 must not let a data file take that number; and what it
 * reads or writes there must fail, so that nothing is lost in silence. */
static void
close_gaps(void)
{
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDONLY)) == -1)
			_exit(TOOL_CANNOT);
		if (fd == STDIN_FILENO && (close(fd) == -1 || open("/dev/null", O_WRONLY) != fd))
			_exit(TOOL_CANNOT);
	} while (fd <= STDERR_FILENO);
	close(fd);
}

void
tool_init(const char *name, const char *usage)
{
	struct fail f = FAIL_INIT;

	close_gaps();
	log_init(name);
	usage_text = usage;
	signal(SIGPIPE, SIG_IGN);
	opterr = 0;
	if (sandbox_tool(&f) == -1)
		exit(tool_failed(&f));
}

void
tool_help(void)
{
	fputs(usage_text, stdout);
	exit(tool_finish(TOOL_YES));
}

void
tool_version(void)
{
	printf("%s (mtatls) %s\n", log_prog(), TOOL_VERSION);
	exit(tool_finish(TOOL_YES));
}

/* The synopsis ends before the first line that neither begins nor continues it. */
static size_t
synopsis_length(const char *usage)
{
	const char *line = usage, *end;

	do {
		if ((end = strchr(line, '\n')) == NULL)
			return strlen(usage);
		line = end + 1;
	} while (*line == ' ' || *line == '\t' || strncmp(line, "usage:", 6) == 0);
	return line - usage;
}

/* The line and the exit code with which a plugin says that it could not look. */
static int
plugin_unknown(const char *text)
{
	char *escaped = text_escape(text, strlen(text)), *bar;

	while ((bar = strchr(escaped, '|')) != NULL)
		*bar = '/';
	printf("%s UNKNOWN - %s\n", plugin_service, escaped);
	free(escaped);
	return TOOL_UNSURE;
}

void
tool_usage(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int status = TOOL_CANNOT;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	talk(NULL, "%s", text);
	if (synopsis != NULL)
		fputs(synopsis, stderr);
	else
		fwrite(usage_text, 1, synopsis_length(usage_text), stderr);
	fprintf(stderr, "try -h for the options\n");
	if (plugin_service != NULL)
		status = plugin_unknown(text);
	/* From anywhere, with whatever was begun: there is nothing to put in order, and no leak to look for. */
	fflush(NULL);
	_exit(status);
}

void
tool_synopsis(const char *lines)
{
	synopsis = lines;
}

void
tool_plugin(const char *service)
{
	plugin_service = service;
}

void
tool_die(const struct fail *f)
{
	enum tool_exit status = tool_failed(f);

	exit(plugin_service != NULL ? plugin_unknown(f->text) : (int)status);
}

/*
 * True where getopt stopped at a short option.  In the middle of a cluster ("-xa") it has not
 * passed the word yet, and the word before may be a long option that is right.
 */
static int
stopped_at_short(char **argv)
{
	const char *word = argv[optind];

	if (optopt <= 0 || optopt >= 0x7f)
		return 0;
	if (strncmp(argv[optind - 1], "--", 2) != 0)
		return 1;
	return word != NULL && word[0] == '-' && word[1] != '-' && strchr(word + 1, optopt) != NULL;
}

void
tool_bad_option(int ch, char **argv)
{
	const char *what = argv[optind - 1];
	char *word;

	if (stopped_at_short(argv)) {
		if (ch == ':')
			tool_usage("option -%c needs a value", optopt);
		tool_usage("unknown option -%c", optopt);
	}
	word = text_escape(what, strlen(what));
	if (ch == ':')
		tool_usage("option %.100s needs a value", word);
	tool_usage("unknown, ambiguous or wrongly used option %.100s", word);
}

enum tool_exit
tool_worse(enum tool_exit a, enum tool_exit b)
{
	static const int rank[] = {
		[TOOL_YES] = 0,
		[TOOL_UNSURE] = 1,
		[TOOL_NO] = 2,
		[TOOL_CANNOT] = 3,
	};

	return rank[a] >= rank[b] ? a : b;
}

enum tool_exit
tool_failed(const struct fail *f)
{
	char *text = text_escape(f->text, strlen(f->text));

	talk(NULL, "%s", text);
	free(text);
	switch (f->kind) {
	case FAIL_POLICY:
		return TOOL_NO;
	case FAIL_TEMP:
	case FAIL_PEER:
		return TOOL_UNSURE;
	default:
		return TOOL_CANNOT;
	}
}

enum tool_exit
tool_finish(enum tool_exit status)
{
	int lost = ferror(stdout);	/* by an earlier flush, whose errno is gone */

	errno = 0;
	if (fflush(stdout) == EOF || fclose(stdout) == EOF || lost) {
		talk("standard output", "%s", errno != 0 ? strerror(errno) : "output was lost");
		return plugin_service != NULL ? TOOL_UNSURE : TOOL_CANNOT;
	}
	return status;
}

const char *
tool_dir(const char *opt_d)
{
	const char *env;

	/* An unset variable of a script, and not the root of the file system. */
	if (opt_d != NULL && *opt_d == '\0')
		tool_usage("-d: expected a folder, not an empty text");
	if (opt_d != NULL)
		return opt_d;
	if ((env = getenv("MTATLS_DIR")) != NULL && *env != '\0')
		return env;
	return "/etc/mtatls";
}
