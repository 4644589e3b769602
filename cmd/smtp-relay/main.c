/*
 * smtp-relay - takes mail over SMTP and answers for it; main reads options and becomes the master.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "alloc.h"
#include "conf.h"
#include "explain.h"
#include "file.h"
#include "log.h"
#include "master.h"
#include "ossl.h"
#include "text.h"
#include "tool.h"

static const char usage[] =
    "usage: smtp-relay [-Fn] [-c CONF] [-e ADDRESS] [-p FILE]\n"
    "  -c, --config CONF      configuration (default DIR/smtp-relay.conf, DIR from MTATLS_DIR\n"
    "                         or /etc/mtatls)\n"
    "  -e, --explain ADDRESS  say what would happen to a message to user@domain, send nothing\n"
    "  -F, --foreground       stay in the foreground and log to stderr\n"
    "  -n, --check            check the configuration, print what it means, and end\n"
    "  -p, --pid-file FILE    write the master's process number there\n"
    "  -h, --help             this text\n"
    "  -V, --version          the version\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "explain", required_argument, NULL, 'e' },
	{ "foreground", no_argument, NULL, 'F' },
	{ "check", no_argument, NULL, 'n' },
	{ "pid-file", required_argument, NULL, 'p' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

struct settings {
	char *conf;
	const char *pid_file;
	const char *explain;	/* an address; NULL: none */
	int foreground, check;
	int parent;		/* in the background: where the starter waits for our word; else -1 */
	int pid_written;
};

static void
read_options(int argc, char **argv, struct settings *s)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":c:e:Fnp:hV", options, NULL)) != -1)
		switch (ch) {
		case 'c':
			free(s->conf);
			s->conf = xstrdup(optarg);
			break;
		case 'e': s->explain = optarg; break;
		case 'F': s->foreground = 1; break;
		case 'n': s->check = 1; break;
		case 'p': s->pid_file = optarg; break;
		case 'h': tool_help();
		case 'V': tool_version();
		default: tool_bad_option(ch, argv);
		}
	if (optind < argc)
		tool_usage("no operand is taken");
	if (s->conf == NULL)
		s->conf = file_join(tool_dir(NULL), "smtp-relay.conf");
}

static void
print_error(void *arg, const char *file, unsigned line, const char *text)
{
	char *escaped = text_escape(text, strlen(text));

	(void)arg;
	talk(NULL, "%s:%u: %s", file, line, escaped);
	free(escaped);
}

/* -n: 1 where the configuration is at fault, as for any check that fails. */
static enum tool_exit
check(const struct conf *conf)
{
	struct fail f = FAIL_INIT;
	struct master *m = master_new(conf, 1, &f);

	if (m == NULL) {
		tool_failed(&f);
		return TOOL_NO;
	}
	master_free(m);
	conf_print(conf);
	return TOOL_YES;
}

/* The starter ends with 0 once all roles are up, with 2 where they do not come up. */
static void
go_background(struct settings *s)
{
	int fd[2];
	char word = TOOL_CANNOT;

	if (pipe(fd) == -1)
		exit(TOOL_CANNOT);
	switch (fork()) {
	case -1:
		exit(TOOL_CANNOT);
	case 0:
		break;
	default:
		close(fd[1]);
		if (read(fd[0], &word, 1) != 1)
			word = TOOL_CANNOT;
		_exit(word);
	}
	close(fd[0]);
	s->parent = fd[1];
	if (setsid() == -1 || chdir("/") == -1)
		exit(TOOL_CANNOT);
}

/* Only now: until here errors were the starter's to see. */
static void
leave_terminal(void)
{
	if (freopen("/dev/null", "r", stdin) == NULL || freopen("/dev/null", "w", stdout) == NULL ||
	    freopen("/dev/null", "w", stderr) == NULL)
		exit(TOOL_CANNOT);
}

static int
write_pid(struct settings *s, struct fail *f)
{
	char text[32];
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (s->pid_file == NULL)
		return 0;
	if (file_write(s->pid_file, 0644, FILE_REPLACE, text, n, f) == -1)
		return -1;
	s->pid_written = 1;
	return 0;
}

/* Not before: the file may be that of a relay which works on this spool. */
static int
on_ready(void *arg)
{
	struct fail f = FAIL_INIT;
	struct settings *s = arg;
	char word = TOOL_YES;

	if (write_pid(s, &f) == -1) {
		tool_failed(&f);
		return -1;
	}
	if (s->parent == -1)
		return 0;
	(void)!write(s->parent, &word, 1);
	close(s->parent);
	s->parent = -1;
	leave_terminal();
	return 0;
}

/* Until the relay serves, what is wrong is also the starter's to see. */
static void
sink_background(enum log_level level, const char *line, void *arg)
{
	const struct settings *s = arg;

	log_sink_syslog(level, line, NULL);
	if (s->parent != -1 && level >= LOG_LEVEL_WARN)
		talk(NULL, "%s", line);
}

static enum tool_exit
serve(struct settings *s, const struct conf *conf)
{
	struct fail f = FAIL_INIT;
	struct master *m;
	int rc;

	if (!s->foreground)
		go_background(s);
	if (!s->foreground) {
		openlog("smtp-relay", LOG_PID | LOG_NDELAY, LOG_MAIL);
		log_set_sink(sink_background, s);
	}
	if ((m = master_new(conf, 0, &f)) == NULL) {
		tool_failed(&f);
		return TOOL_CANNOT;
	}
	rc = master_run(m, !s->foreground, on_ready, s);
	if (s->pid_written)
		unlink(s->pid_file);
	master_free(m);
	return rc == -1 ? TOOL_CANNOT : TOOL_YES;
}

int
main(int argc, char **argv)
{
	struct settings s = { .parent = -1 };
	struct fail f = FAIL_INIT;
	enum tool_exit status;
	struct conf *conf;

	tool_init("smtp-relay", usage);
	ossl_init();
	read_options(argc, argv, &s);
	if ((conf = conf_read(s.conf, print_error, NULL, &f)) == NULL) {
		tool_failed(&f);
		free(s.conf);
		return s.check && f.kind == FAIL_INPUT ? TOOL_NO : TOOL_CANNOT;
	}
	if (s.explain != NULL)
		status = explain(conf, s.explain);
	else
		status = s.check ? check(conf) : serve(&s, conf);
	conf_free(conf);
	free(s.conf);
	return tool_finish(status);
}
