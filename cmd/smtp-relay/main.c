/*
 * smtp-relay - takes mail over SMTP and answers for it; main reads options and becomes the master.
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
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
#include "passwd.h"
#include "name.h"
#include "secret.h"
#include "sendmail.h"
#include "sign.h"
#include "sums.h"
#include "text.h"
#include "tool.h"
#include "warnings.h"

#define PID_TEXT_MAX 32	/* octets in a pid file */

static const char usage[] =
    "usage: smtp-relay [-Fn] [-c CONF] [-e ADDRESS] [-p FILE]\n"
    "       smtp-relay [-j] [-c CONF] --tlsrpt [DOMAIN]\n"
    "       smtp-relay [-c CONF] --dkim-record [DOMAIN]\n"
    "       smtp-relay [-c CONF] --passwd USER | --no-passwd USER\n"
    "  -c, --config CONF      configuration (default DIR/smtp-relay.conf, DIR from MTATLS_DIR\n"
    "                         or /etc/mtatls)\n"
    "      --dkim-record      print the DNS records of the keys that mail is signed with\n"
    "  -e, --explain ADDRESS  say what would happen to a message to user@domain, send nothing\n"
    "  -F, --foreground       stay in the foreground and log to stderr\n"
    "  -j, --json             one JSON object a line\n"
    "  -n, --check            check the configuration, print what it means, and end\n"
    "      --passwd USER      give USER a password, for AUTH; it is asked for at the terminal, or comes from\n"
    "      --pass-file FILE   a file (- is standard input),\n"
    "      --pass-fd N        a descriptor,\n"
    "      --pass-env VAR     or the environment\n"
    "      --no-passwd USER   take it away\n"
    "  -p, --pid-file FILE    write the master's process number there\n"
    "      --tlsrpt           print what was counted today for reports on TLS\n"
    "  -h, --help             this text\n"
    "  -V, --version          the version\n";

enum { OPT_PASSWD = 256, OPT_NO_PASSWD, OPT_TLSRPT, OPT_DKIM_RECORD };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "dkim-record", no_argument, NULL, OPT_DKIM_RECORD },
	{ "explain", required_argument, NULL, 'e' },
	{ "foreground", no_argument, NULL, 'F' },
	{ "check", no_argument, NULL, 'n' },
	{ "passwd", required_argument, NULL, OPT_PASSWD },
	{ "no-passwd", required_argument, NULL, OPT_NO_PASSWD },
	SECRET_OPTIONS,
	{ "pid-file", required_argument, NULL, 'p' },
	{ "tlsrpt", no_argument, NULL, OPT_TLSRPT },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

struct settings {
	char *conf;
	const char *pid_file;
	const char *explain;	/* an address; NULL: none */
	const char *user;	/* whose password is to be set, or taken away; NULL: nobody's */
	int take_away;
	struct secret secret;
	int foreground, check;
	int tlsrpt, dkim_record;	/* print what was counted; the keys' records */
	const char *domain;	/* of that domain; NULL: of all */
	int json;
	int parent;		/* in the background: where the starter waits for our word; else -1 */
	int pid_written;
};

static void
take_secret(struct settings *s, int ch, char **argv)
{
	struct fail f = FAIL_INIT;

	switch (secret_take(&s->secret, ch, optarg, &f)) {
	case 1:
		return;
	case 0:
		tool_bad_option(ch, argv);
	default:
		tool_usage("%s", f.text);
	}
}

static void
set_user(struct settings *s, const char *user, int take_away)
{
	if (s->user != NULL)
		tool_usage("one of --passwd and --no-passwd, once");
	s->user = user;
	s->take_away = take_away;
}

static void
read_options(int argc, char **argv, struct settings *s)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":c:e:Fjnp:hV", options, NULL)) != -1)
		switch (ch) {
		case 'c':
			free(s->conf);
			s->conf = xstrdup(optarg);
			break;
		case 'e': s->explain = optarg; break;
		case 'F': s->foreground = 1; break;
		case 'j': s->json = 1; break;
		case 'n': s->check = 1; break;
		case 'p': s->pid_file = optarg; break;
		case OPT_PASSWD: set_user(s, optarg, 0); break;
		case OPT_DKIM_RECORD: s->dkim_record = 1; break;
		case OPT_TLSRPT: s->tlsrpt = 1; break;
		case OPT_NO_PASSWD: set_user(s, optarg, 1); break;
		case 'h': tool_help();
		case 'V': tool_version();
		default: take_secret(s, ch, argv);
		}
	if (s->tlsrpt && s->dkim_record)
		tool_usage("one of --tlsrpt and --dkim-record");
	if ((s->tlsrpt || s->dkim_record) && optind < argc)
		s->domain = argv[optind++];
	if (optind < argc)
		tool_usage(s->tlsrpt || s->dkim_record ? "one domain at most" : "no operand is taken");
	if (s->json && !s->tlsrpt)
		tool_usage("-j goes with --tlsrpt");
	if (secret_given(&s->secret) && (s->user == NULL || s->take_away))
		tool_usage("--pass-file, --pass-fd and --pass-env go with --passwd");
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

static void
print_warning(void *arg, const char *file, unsigned line, const char *text)
{
	char *escaped = text_escape(text, strlen(text));

	(void)arg;
	if (line > 0)
		talk(NULL, "%s:%u: warning: %s", file, line, escaped);
	else
		talk(NULL, "%s: warning: %s", file, escaped);
	free(escaped);
}

static void
print_fail(const struct fail *f)
{
	tool_failed(f);
}

static void
print_summary(const struct conf *conf)
{
	struct buf b = BUF_INIT;

	warnings_tell(conf, 1, print_warning, NULL);
	conf_print(conf, &b);
	fwrite(b.p, 1, b.len, stdout);
	buf_clear(&b);
}

/*
 * All faults in one run: those of the file, and of what it names.  NULL where there are any: a start wants to
 * know the latter only beside the former, for it finds them itself.
 */
static struct conf *
read_conf(const struct settings *s, enum tool_exit *status)
{
	struct fail f = FAIL_INIT;
	size_t errors = 0;
	struct conf *conf = conf_parse(s->conf, print_error, NULL, &errors, &f);

	*status = s->check && f.kind == FAIL_INPUT ? TOOL_NO : TOOL_CANNOT;
	if (conf == NULL) {
		tool_failed(&f);
		return NULL;
	}
	if (s->explain == NULL && s->user == NULL && !s->tlsrpt && !s->dkim_record && (s->check || errors > 0))
		errors += master_check(conf, print_fail);
	if (errors == 0) {
		*status = TOOL_YES;
		return conf;
	}
	fail(&f, FAIL_INPUT, "%.300s: %zu error%s", s->conf, errors, errors == 1 ? "" : "s");
	tool_failed(&f);
	conf_free(conf);
	*status = s->check ? TOOL_NO : TOOL_CANNOT;
	return NULL;
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

/* The number in a pid file: exactly a line of digits; 0 where there is no file, -1 where it is another's. */
static long long
read_pid(const char *path, struct fail *f)
{
	struct buf b = BUF_INIT;
	struct fail why = FAIL_INIT;
	struct stat st;
	long long pid = -1;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : fail_errno(f, "%.300s", path);
	if (S_ISREG(st.st_mode) && st.st_size < PID_TEXT_MAX && file_read(path, PID_TEXT_MAX, &b, &why) == 0 &&
	    b.len > 1 && b.p[b.len - 1] == '\n') {
		b.p[b.len - 1] = '\0';
		if (text_number(b.p, 1, INT_MAX, "pid", &pid, NULL) == -1)
			pid = -1;
	}
	buf_clear(&b);
	if (pid == -1)
		return fail(f, FAIL_POLICY, "%.300s: not a pid file: it is left as it is", path);
	return pid;
}

/* A relay that died leaves its file; its number may be another program's by now. */
static int
is_relay(long long pid)
{
	char *path = xasprintf("/proc/%lld/comm", pid);
	struct buf b = BUF_INIT;
	int yes;

	if (kill((pid_t)pid, 0) == -1 && errno == ESRCH)
		yes = 0;
	else
		yes = file_read(path, 0, &b, NULL) == -1 || strcmp(b.p, "smtp-relay\n") == 0;
	buf_clear(&b);
	free(path);
	return yes;
}

static int
check_pid_file(const struct settings *s, struct fail *f)
{
	long long pid;

	if (s->pid_file == NULL || (pid = read_pid(s->pid_file, f)) == 0)
		return 0;
	if (pid == -1)
		return -1;
	if (is_relay(pid))
		return fail(f, FAIL_POLICY, "%.300s: the relay with number %lld is running", s->pid_file, pid);
	return 0;
}

static int
write_pid(struct settings *s, struct fail *f)
{
	char text[PID_TEXT_MAX];
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (s->pid_file == NULL)
		return 0;
	if (check_pid_file(s, f) == -1 || file_write(s->pid_file, 0644, FILE_REPLACE, text, n, f) == -1)
		return -1;
	s->pid_written = 1;
	return 0;
}

static void
remove_pid(const struct settings *s)
{
	if (s->pid_written && read_pid(s->pid_file, NULL) == getpid())
		unlink(s->pid_file);
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

/* The relay leaves the folder that it was started in; a link is followed anew each time. */
static char *
absolute(const char *path)
{
	char *cwd, *full;

	if (path[0] == '/' || (cwd = getcwd(NULL, 0)) == NULL)
		return xstrdup(path);
	full = file_join(cwd, path);
	free(cwd);
	return full;
}

static enum tool_exit
serve(struct settings *s, const struct conf *conf)
{
	struct fail f = FAIL_INIT;
	struct master *m;
	char *path;
	int rc;

	if (check_pid_file(s, &f) == -1) {
		tool_failed(&f);
		return TOOL_CANNOT;
	}
	path = absolute(s->conf);
	if (!s->foreground) {
		go_background(s);
		openlog("smtp-relay", LOG_PID | LOG_NDELAY, LOG_MAIL);
		log_set_sink(sink_background, s);
	}
	master_warn(conf);
	if ((m = master_new(conf, path, &f)) == NULL) {
		tool_failed(&f);
		free(path);
		return TOOL_CANNOT;
	}
	rc = master_run(m, !s->foreground, on_ready, s);
	remove_pid(s);
	master_free(m);
	free(path);
	return rc == -1 ? TOOL_CANNOT : TOOL_YES;
}

/* The first user may come before the first start, which makes the folder otherwise. */
static int
make_dir(const struct conf *conf, struct fail *f)
{
	size_t len = strlen(conf->dir);

	if (strncmp(conf->passwords, conf->dir, len) != 0 || conf->passwords[len] != '/')
		return 0;
	return file_mkdir(conf->dir, 0755, f);
}

/* The file belongs to whoever starts the relay; a relay that runs reads it at SIGHUP. */
static enum tool_exit
change_passwd(const struct settings *s, const struct conf *conf)
{
	char hash[PASSWD_HASH_MAX];
	struct buf pass = BUF_INIT;
	struct fail f = FAIL_INIT;
	int had = 0, rc = -1;

	if (s->take_away)
		rc = passwd_set(conf->passwords, s->user, NULL, &had, &f);
	else if (secret_read(&s->secret, "Password", SECRET_CONFIRM, &pass, &f) == 0 &&
	    passwd_hash(pass.p != NULL ? pass.p : "", hash, &f) == 0 && make_dir(conf, &f) == 0)
		rc = passwd_set(conf->passwords, s->user, hash, &had, &f);
	buf_wipe(&pass);
	explicit_bzero(hash, sizeof hash);
	if (rc == -1)
		return tool_failed(&f);
	if (!s->take_away || had)
		return TOOL_YES;
	talk(conf->passwords, "no such user");
	return TOOL_NO;
}

/* As they go into the zone. */
static enum tool_exit
print_records(const struct conf *conf, const char *word)
{
	struct fail f = FAIL_INIT;
	char *domain = word != NULL ? name_to_ascii(word, &f) : NULL;
	enum tool_exit status = TOOL_YES;
	size_t i, n = 0;

	if (word != NULL && domain == NULL)
		return tool_failed(&f);
	for (i = 0; i < conf->ndkim; i++)
		n += domain == NULL || strcmp(conf->dkim[i].domain, domain) == 0;
	if (n == 0) {
		talk(conf->file, "there is no dkim line%s%s", domain != NULL ? " for " : "", domain != NULL ? domain : "");
		status = TOOL_NO;
	} else if (sign_print_records(conf, domain, print_fail) > 0)
		status = TOOL_CANNOT;
	free(domain);
	return status;
}

int
main(int argc, char **argv)
{
	struct settings s = { .parent = -1, .secret = SECRET_INIT };
	enum tool_exit status;
	struct conf *conf;

	if (argc > 0 && sendmail_is(argv[0]))
		return sendmail_main(argc, argv);
	tool_init("smtp-relay", usage);
	ossl_init();
	read_options(argc, argv, &s);
	if ((conf = read_conf(&s, &status)) == NULL) {
		free(s.conf);
		return tool_finish(status);
	}
	if (s.user != NULL)
		status = change_passwd(&s, conf);
	else if (s.dkim_record)
		status = print_records(conf, s.domain);
	else if (s.tlsrpt)
		status = sums_print(conf, s.domain, s.json);
	else if (s.explain != NULL)
		status = explain(conf, s.explain);
	else if (s.check)
		print_summary(conf);
	else
		status = serve(&s, conf);
	conf_free(conf);
	secret_clear(&s.secret);
	free(s.conf);
	return tool_finish(status);
}
