/*
 * Options, then recipients and sender, then the message into memory and a file without a name, and only when it is
 * whole the relay is asked: a program that takes hours to write its mail keeps no session open, and what is at
 * fault is refused before anybody took it.  Runs as whoever calls it and needs no right beyond.
 */
#include "sendmail.h"

#include <sys/random.h>
#include <sys/wait.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "address_list.h"
#include "aliases.h"
#include "alloc.h"
#include "clock.h"
#include "conf_file.h"
#include "file.h"
#include "log.h"
#include "submission.h"
#include "submit.h"
#include "text.h"
#include "tool.h"

#define RCPTS_MAX 100000		/* recipients of a message */
#define IN_MEMORY (256 * 1024)		/* octets of a body that needs no file */
#define NAME_MAX_OCTETS 256		/* of a sender's full name */
#define INCLUDE_MAX (1024 * 1024)	/* octets of a file with members of an alias */
#define TOLD_MAX 100			/* recipients that were refused, each told */

static const char usage[] =
    "usage: sendmail [-intv] [-B TYPE] [-C CONF] [-F NAME] [-f ADDRESS] [-N NOTIFY] [-R RET] [-V ENVID] [ADDRESS...]\n"
    "       sendmail -bs | -bp | -bi | -bv ADDRESS...\n"
    "       mailq | newaliases\n"
    "  -t             recipients also from To, Cc and Bcc\n"
    "  -f, -r ADDRESS the envelope's sender (default: the user at the host's name)\n"
    "  -F NAME        the sender's full name, for a From that is missing\n"
    "  -i, -oi        a dot alone in a line does not end the message\n"
    "  -n             no aliases\n"
    "  -B TYPE        7BIT or 8BITMIME\n"
    "  -N NOTIFY      never, or a list of success, failure, delay\n"
    "  -R RET         full or hdrs: what a bounce holds\n"
    "  -V ENVID       the envelope's ID, for bounces and receipts\n"
    "  -bm            take a message from standard input (the default)\n"
    "  -bs            speak SMTP at standard input and output\n"
    "  -bp            as mailq: list what waits in the queue\n"
    "  -bi            as newaliases: look for faults in the file of aliases\n"
    "  -bv            print who would get mail to these addresses\n"
    "  -C CONF        configuration\n"
    "  -oeq           say nothing, by the status alone\n"
    "  -v             say what the relay answered\n"
    "  -A -d -G -L -M -m -O -o -p -q -s -U -X    taken for the sake of those who use them\n"
    "  -h             this text\n";

enum mode { MODE_MAIL, MODE_SMTP, MODE_QUEUE, MODE_ALIASES, MODE_VERIFY };

struct mail {
	enum mode mode;
	int extract, dot_ends, quiet, verbose, queue_run, no_aliases;
	const char *from_text;		/* -f; NULL: none */
	char *full_name;
	char *conf_file;
	struct conf *conf;
	struct conf_place place[CONF_LISTEN_MAX];
	size_t nplaces;
	struct limits limits;		/* of the relay, there */
	const char *domain;		/* of bare addresses */
	const char *local_domain;	/* of those that the one under way leads to */
	struct aliases *aliases;
	int alias_fault;		/* they are why no recipient could be found out */
	struct fail fault;		/* of the first recipient that was left out for that */
	struct smtp_mail_params params;
	struct smtp_rcpt_params rcpt_params;
	char *sender;			/* "": null */
	char *author;			/* for a From that is missing */
	char **rcpt;
	size_t nrcpts, room;
	struct submission text;
	struct buf header;
	int fd;				/* with the body; -1: it is in text.run */
	/* What became of it. */
	int status;
	size_t taken, refused;
};

/* ---- words for the caller ---- */

static void __attribute__((format(printf, 2, 3)))
say(const struct mail *m, const char *fmt, ...)
{
	char *text, *escaped;
	va_list ap;

	if (m->quiet)
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	escaped = text_escape(text, strlen(text));
	talk(NULL, "%s", escaped);
	free(escaped);
	free(text);
}

static int
status_of(const struct fail *f)
{
	switch (f->kind) {
	case FAIL_TEMP: return EX_TEMPFAIL;
	case FAIL_INPUT: return EX_DATAERR;
	case FAIL_SYS: return f->err == EACCES || f->err == EPERM ? EX_NOPERM : EX_IOERR;
	case FAIL_POLICY: return EX_NOPERM;
	default: return EX_UNAVAILABLE;
	}
}

/* Programs like cron show nobody what we say, so it is in the log too. */
static void
log_unsent(const struct mail *m, int status, const char *reason)
{
	struct log_line l;

	openlog("sendmail", LOG_PID, LOG_MAIL);
	log_set_sink(log_sink_syslog, NULL);
	log_event(&l, LOG_LEVEL_ERROR, log_prog(), "unsent");
	log_key_num(&l, "uid", getuid());
	if (m != NULL) {
		log_key(&l, "from", m->sender);
		log_key(&l, "to", m->nrcpts > 0 ? m->rcpt[0] : NULL);
		log_key_num(&l, "recipients", (int64_t)m->nrcpts);
	}
	log_key_num(&l, "status", status);
	log_key(&l, "reason", reason);
	log_send(&l);
}

static int
give_up(const struct mail *m, int status, const struct fail *f)
{
	say(m, "%s", f->text);
	log_unsent(m, status, f->text);
	return status;
}

static void __attribute__((noreturn, format(printf, 1, 2)))
usage_error(const char *fmt, ...)
{
	char *text, *escaped;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	escaped = text_escape(text, strlen(text));
	talk(NULL, "%s; see sendmail -h", escaped);
	free(escaped);
	log_unsent(NULL, EX_USAGE, text);
	free(text);
	exit(EX_USAGE);
}

/* ---- options ---- */

static void
set_mode(struct mail *m, const char *word)
{
	switch (word[0]) {
	case 'm': m->mode = MODE_MAIL; break;
	case 's': m->mode = MODE_SMTP; break;
	case 'p': m->mode = MODE_QUEUE; break;
	case 'i': m->mode = MODE_ALIASES; break;
	case 'v': m->mode = MODE_VERIFY; break;
	case 'd':
	case 'D': usage_error("-b%s: the daemon is started as smtp-relay", word);
	default: usage_error("-b%s: not known here", word);
	}
	if (word[1] != '\0')
		usage_error("-b%s: not known here", word);
}

/* "i" of -oi, "em" of -oem or -e m, "db" of -odb. */
static void
set_old(struct mail *m, const char *word)
{
	if (word[0] == 'i')
		m->dot_ends = 0;
	else if (word[0] == 'e' && word[1] != '\0')
		m->quiet = word[1] == 'q';
}

static void
set_named(struct mail *m, const char *word)
{
	const char *value = strchr(word, '=');

	if (value == NULL)
		usage_error("-O %s: expected NAME=VALUE", word);
	if (strncasecmp(word, "IgnoreDots=", 11) == 0)
		m->dot_ends = strchr("Tt1Yy", value[1]) == NULL || value[1] == '\0';
	else if (strncasecmp(word, "ErrorMode=", 10) == 0)
		m->quiet = value[1] == 'q';
}

static void
set_body(struct mail *m, const char *word)
{
	if (strcasecmp(word, "8BITMIME") == 0)
		m->params.body8bit = 1;
	else if (strcasecmp(word, "7BIT") != 0)
		usage_error("-B %s: expected 7BIT or 8BITMIME", word);
}

static void
set_notify(struct mail *m, const char *word)
{
	char *up = xstrdup(word), *param, *p;
	struct smtp_params_fault fault;

	for (p = up; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	param = xasprintf(" NOTIFY=%s", up);
	if (strpbrk(up, " \t") != NULL ||
	    smtp_rcpt_params_parse(&m->rcpt_params, param, SMTP_CAP_DSN, 0, &fault) == -1)
		usage_error("-N %s: expected never, or some of success,failure,delay", word);
	free(param);
	free(up);
}

static void
set_ret(struct mail *m, const char *word)
{
	if (strcasecmp(word, "full") == 0)
		m->params.ret = SMTP_RET_FULL;
	else if (strcasecmp(word, "hdrs") == 0)
		m->params.ret = SMTP_RET_HDRS;
	else
		usage_error("-R %s: expected full or hdrs", word);
}

/* As xtext (RFC 3461 4). */
static void
set_envid(struct mail *m, const char *word)
{
	size_t len = 0;
	const char *p;

	for (p = word; *p != '\0'; p++) {
		int plain = *p > ' ' && *p < 0x7f && *p != '+' && *p != '=';

		if (*p < ' ' || *p >= 0x7f)
			usage_error("-V %s: expected printable ASCII", word);
		if (len + 3 > SMTP_ENVID_MAX)
			usage_error("-V: more than %d octets", SMTP_ENVID_MAX);
		len += (size_t)sprintf(m->params.envid + len, plain ? "%c" : "+%02X", *p);
	}
}

static int
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return 1;
	return 0;
}

static void
set_name(struct mail *m, const char *word)
{
	if (has_control(word))
		usage_error("-F: a control character in the name");
	if (strlen(word) > NAME_MAX_OCTETS)
		usage_error("-F: a name of more than %d octets", NAME_MAX_OCTETS);
	free(m->full_name);
	m->full_name = xstrdup(word);
}

/* Options end at the first operand, as sendmail's always did: an address that begins with "-" is not one more. */
static void
read_options(int argc, char **argv, struct mail *m)
{
	int ch;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		tool_help();
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		tool_version();
	while ((ch = getopt(argc, argv, "+:A:B:b:C:D:d::e:F:f:Gh:IiL:M:mN:nO:o:p:q::R:r:stUV:vX:")) != -1)
		switch (ch) {
		case 'B': set_body(m, optarg); break;
		case 'b': set_mode(m, optarg); break;
		case 'C':
			free(m->conf_file);
			m->conf_file = xstrdup(optarg);
			break;
		case 'e': m->quiet = optarg[0] == 'q'; break;
		case 'F': set_name(m, optarg); break;
		case 'f':
		case 'r': m->from_text = optarg; break;
		case 'h':
			if (optarg[0] < '0' || optarg[0] > '9') {
				fputs(usage, stdout);
				exit(EX_OK);
			}
			break;
		case 'I': m->mode = MODE_ALIASES; break;
		case 'i': m->dot_ends = 0; break;
		case 'N': set_notify(m, optarg); break;
		case 'n': m->no_aliases = 1; break;
		case 'O': set_named(m, optarg); break;
		case 'o': set_old(m, optarg); break;
		case 'q': m->queue_run = 1; break;
		case 'R': set_ret(m, optarg); break;
		case 't': m->extract = 1; break;
		case 'V': set_envid(m, optarg); break;
		case 'v': m->verbose = 1; break;
		case ':':
			if (optopt == 'h') {
				fputs(usage, stdout);
				exit(EX_OK);
			}
			usage_error("-%c needs an argument", optopt);
		case '?': usage_error("unknown option -%c", optopt);
		default: break;	/* -A -D -d -G -L -M -m -p -s -U -X: nothing of ours */
		}
}

/* ---- the sender ---- */

static int
take_one(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct address_list_item *one = arg;

	if (one->box.local[0] != '\0')
		return fail(f, FAIL_INPUT, "more than one address");
	*one = *item;
	return 0;
}

static char *
address_text(const struct mailbox *box, const char *domain)
{
	struct buf b = BUF_INIT;

	mailbox_print(&b, box);
	if (box->domain[0] == '\0')
		buf_printf(&b, "@%s", domain);
	return buf_steal(&b);
}

/* The user's own address.  A name that no mailbox has, and a user without one, go by the number. */
static char *
own_address(const struct mail *m, const struct passwd *pw)
{
	struct mailbox box = { .domain = "" };

	if (pw != NULL && pw->pw_name[0] != '\0' && strlen(pw->pw_name) < sizeof box.local && !has_control(pw->pw_name) &&
	    text_utf8_chars(pw->pw_name) != -1)
		strcpy(box.local, pw->pw_name);
	else
		snprintf(box.local, sizeof box.local, "uid%ld", (long)getuid());
	return address_text(&box, m->domain);
}

/* "&" in the field is the login name with a capital. */
static char *
gecos_name(const struct passwd *pw)
{
	struct buf b = BUF_INIT;
	const char *p;

	for (p = pw->pw_gecos; p != NULL && *p != '\0' && *p != ','; p++)
		if (*p == '&') {
			buf_putc(&b, (char)toupper((unsigned char)pw->pw_name[0]));
			buf_puts(&b, pw->pw_name + 1);
		} else
			buf_putc(&b, *p);
	if (b.len > NAME_MAX_OCTETS || (b.len > 0 && has_control(b.p)))
		b.len = 0;
	return buf_steal(&b);
}

static void
find_sender(struct mail *m)
{
	const struct passwd *pw = getpwuid(getuid());
	struct address_list_item one = { .end = 0 };
	struct fail f = FAIL_INIT;
	char *own = own_address(m, pw);

	if (m->full_name == NULL && pw != NULL && m->from_text == NULL)
		m->full_name = gecos_name(pw);
	if (m->from_text == NULL)
		m->sender = xstrdup(own);
	else if (m->from_text[0] == '\0' || strcmp(m->from_text, "<>") == 0)
		m->sender = xstrdup("");
	else {
		if (has_control(m->from_text))
			usage_error("-f: a control character in the address");
		if (address_list_parse(m->from_text, strlen(m->from_text), take_one, &one, &f) != 0 ||
		    one.box.local[0] == '\0')
			usage_error("-f %s: %s", m->from_text, f.kind != FAIL_NONE ? f.text : "no address");
		m->sender = address_text(&one.box, m->domain);
	}
	m->author = m->sender[0] != '\0' ? xstrdup(m->sender) : xstrdup(own);
	free(own);
}

/* ---- recipients ---- */

static int
add_rcpt(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct mail *m = arg;

	if (m->nrcpts == RCPTS_MAX)
		return fail(f, FAIL_INPUT, "more than %d recipients", RCPTS_MAX);
	if (m->nrcpts == m->room) {
		m->room = m->room == 0 ? 16 : m->room * 2;
		m->rcpt = xreallocarray(m->rcpt, m->room, sizeof *m->rcpt);
	}
	m->rcpt[m->nrcpts++] = address_text(&item->box, m->local_domain);
	return 0;
}

/* One whose alias is at fault gets nothing, nor does anybody by it; the others are no worse for that. */
static void
leave_out(struct mail *m, const struct address_list_item *item, size_t before, const struct fail *why)
{
	struct buf name = BUF_INIT;
	struct fail f = *why;

	while (m->nrcpts > before)
		free(m->rcpt[--m->nrcpts]);
	mailbox_print(&name, &item->box);
	fail_prefix(&f, "%.200s", name.p);
	buf_clear(&name);
	m->status = EX_CONFIG;
	if (m->refused++ == 0)
		m->fault = f;
	if (m->refused == 2)
		say(m, "%s", m->fault.text);
	if (m->refused > 1 && m->refused <= TOLD_MAX)
		say(m, "%s", f.text);
}

/* Names at this host are local ones, whether they say so or not. */
static int
take_rcpt(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct mail *m = arg;
	struct address_list_item local = *item;
	size_t before = m->nrcpts;

	/* Who wrote our name keeps it. */
	m->local_domain = text_case_eq(item->box.domain, m->conf->hostname) ? m->conf->hostname : m->domain;
	if (text_case_eq(item->box.domain, "localhost") || text_case_eq(item->box.domain, "localhost.localdomain") ||
	    text_case_eq(item->box.domain, m->conf->hostname))
		local.box.domain[0] = '\0';
	if (m->aliases == NULL)
		return add_rcpt(m, &local, f);
	if (aliases_expand(m->aliases, &local, add_rcpt, m, f) == 0)
		return 0;
	if (m->nrcpts == RCPTS_MAX)
		return -1;
	leave_out(m, &local, before, f);
	*f = (struct fail)FAIL_INIT;
	return 0;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
drop_twins(struct mail *m)
{
	size_t i, kept = 0;

	if (m->nrcpts == 0)
		return;
	qsort(m->rcpt, m->nrcpts, sizeof *m->rcpt, by_text);
	for (i = 0; i < m->nrcpts; i++)
		if (kept > 0 && strcmp(m->rcpt[kept - 1], m->rcpt[i]) == 0)
			free(m->rcpt[i]);
		else
			m->rcpt[kept++] = m->rcpt[i];
	m->nrcpts = kept;
}

static int
find_recipients(struct mail *m, char **operand, struct fail *f)
{
	for (; *operand != NULL; operand++)
		if (has_control(*operand) ||
		    address_list_parse(*operand, strlen(*operand), take_rcpt, m, f) != 0) {
			if (f->kind == FAIL_NONE)
				fail(f, FAIL_INPUT, "a control character in the address");
			return fail_prefix(f, "%.200s", *operand);
		}
	if (m->extract && submission_recipients(&m->text, take_rcpt, m, f) != 0)
		return -1;
	drop_twins(m);
	m->alias_fault = m->nrcpts == 0 && m->refused > 0;
	if (m->alias_fault && m->refused > 1)
		return fail(f, FAIL_INPUT, "%zu of %zu recipients were not taken", m->refused, m->refused);
	if (m->alias_fault) {
		*f = m->fault;
		return -1;
	}
	if (m->nrcpts == 0)
		return fail(f, FAIL_INPUT, "no recipient");
	if (m->refused == 1)
		say(m, "%s", m->fault.text);
	return 0;
}

static int
read_include(const char *path, struct buf *text, struct fail *f)
{
	return file_read_regular(path, INCLUDE_MAX, text, f);
}

static int
load_aliases(const struct conf *c, aliases_read_fn *reader, table_error_fn *report, void *arg, struct aliases **aliases,
    size_t *errors, struct fail *f)
{
	struct buf text = BUF_INIT;

	*aliases = NULL;
	*errors = 0;
	if (c->aliases == NULL || c->aliases[0] == '\0')
		return 0;
	if (file_read_regular(c->aliases, ALIASES_FILE_MAX, &text, f) == -1)
		return conf_file_words(CONF_FILE_ALIASES, f);
	*aliases = aliases_parse(c->aliases, text.p != NULL ? text.p : "", text.len, reader, report, arg, errors);
	buf_clear(&text);
	return 0;
}

/* ---- the message ---- */

/* A file that nobody else sees and that goes with us. */
static int
open_nameless(struct fail *f)
{
	const char *dir = getenv("TMPDIR");
	char *path;
	int fd;

	if (dir == NULL || dir[0] != '/')
		dir = "/tmp";
	if ((fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) != -1)
		return fd;
	path = xasprintf("%s/sendmail.XXXXXX", dir);
	if ((fd = mkostemp(path, O_CLOEXEC)) == -1)
		fail_errno(f, "%.200s", path);
	else
		unlink(path);
	free(path);
	return fd;
}

/* What is in the run goes to the file, once it is more than memory should hold. */
static int
put_by(struct mail *m, size_t limit, struct fail *f)
{
	struct buf *run = &m->text.run;

	if (run->len <= limit)
		return 0;
	if (m->fd == -1 && (m->fd = open_nameless(f)) == -1)
		return -1;
	if (file_put(m->fd, run->p, run->len, "the temporary file", f) == -1)
		return -1;
	run->len = 0;
	return 0;
}

static int
read_message(struct mail *m, struct fail *f)
{
	char piece[65536];
	ssize_t n;

	while (!m->text.ended && (n = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return fail_errno(f, "standard input");
		if (submission_feed(&m->text, piece, n, f) == -1 || put_by(m, IN_MEMORY, f) == -1)
			return -1;
	}
	if (submission_end(&m->text, f) == -1)
		return -1;
	return m->fd != -1 ? put_by(m, 0, f) : 0;
}

static void
write_header(struct mail *m)
{
	unsigned char odd[8];
	char hex[2 * sizeof odd + 1], *unique;
	struct submission_facts facts = { .sender = m->author, .full_name = m->full_name,
		.domain = m->domain, .hostname = m->conf->hostname, .now = clock_now() };

	if (getrandom(odd, sizeof odd, 0) != (ssize_t)sizeof odd)
		memset(odd, 0, sizeof odd);
	text_hex(hex, odd, sizeof odd);
	unique = xasprintf("%lld.%ld.%s", (long long)facts.now, (long)getpid(), hex);
	facts.unique = unique;
	submission_header(&m->text, &facts, &m->header);
	free(unique);
}

/* ---- what became of it ---- */

static int
status_of_rcpt(const struct smtp_rcpt *r)
{
	if (r->state == SMTP_RCPT_TEMP || r->state == SMTP_RCPT_UNKNOWN)
		return EX_TEMPFAIL;
	if (r->status.subject == 1)
		return r->status.detail == 2 || r->status.detail == 10 ? EX_NOHOST :
		    r->status.detail == 3 || r->status.detail > 6 ? EX_DATAERR : EX_NOUSER;
	if (r->status.subject == 7 || r->code == 530 || r->code == 554)
		return EX_NOPERM;
	if (r->status.subject == 6 || (r->status.subject == 3 && r->status.detail == 4) || r->code == 552)
		return EX_DATAERR;
	return EX_UNAVAILABLE;
}

/* Later may be better for one: that is the word for all. */
static void
on_told(void *arg, const char *rcpt, const struct smtp_rcpt *r, const struct smtp_reply *dot)
{
	struct mail *m = arg;
	struct buf b = BUF_INIT;
	int status;

	if (r->state == SMTP_RCPT_ACCEPTED) {
		m->taken++;
		smtp_reply_print(&b, dot);
		if (m->verbose)
			say(m, "%s: %s", rcpt, b.p != NULL ? b.p : "");
		buf_clear(&b);
		return;
	}
	status = status_of_rcpt(r);
	if (m->status != EX_TEMPFAIL && (m->status == EX_OK || status == EX_TEMPFAIL))
		m->status = status;
	if (m->refused++ < TOLD_MAX)
		say(m, "%s: %s", rcpt, r->text);
}

static int
connect_relay(const struct mail *m, struct fail *f)
{
	if (m->nplaces == 0)
		return fail(f, FAIL_INPUT, "%.300s: no listener takes mail of this host: a line \"submit\" may name one",
		    m->conf->file);
	return submit_connect(m->place, m->nplaces, f);
}

static int
send_mail(struct mail *m, struct fail *f)
{
	struct submit_order o = { .hostname = m->conf->hostname, .from = m->sender,
		.rcpt = (const char *const *)m->rcpt, .nrcpts = m->nrcpts, .header = &m->header,
		.body = &m->text.run, .fd = m->fd, .params = m->params, .rcpt_params = m->rcpt_params };
	const char *p;
	int fd = connect_relay(m, f);
	size_t i;

	if (fd == -1)
		return f->kind == FAIL_INPUT ? EX_CONFIG : status_of(f);
	o.batch = m->limits.value[LIMIT_RECIPIENTS] < SUBMIT_RCPTS ? m->limits.value[LIMIT_RECIPIENTS] : SUBMIT_RCPTS;
	o.size = m->header.len + m->text.octets;
	o.has8bit = m->text.header8bit || m->text.body8bit;
	/* What has octets above 127 in its header only has always been sent so; an address needs it (RFC 6531 3.4). */
	for (i = 0; i < m->nrcpts && !o.params.utf8; i++)
		for (p = m->rcpt[i]; *p != '\0'; p++)
			o.params.utf8 |= (unsigned char)*p > 127;
	for (p = m->sender; *p != '\0'; p++)
		o.params.utf8 |= (unsigned char)*p > 127;
	if (submit_send(fd, &o, on_told, m, f) == -1)
		return status_of(f);
	if (m->refused > 0)
		fail(f, FAIL_TEMP, "%zu of %zu recipients were not taken", m->refused, m->refused + m->taken);
	return m->status;
}

static int
want_aliases(struct mail *m, struct fail *f)
{
	size_t errors;

	if (m->no_aliases || load_aliases(m->conf, read_include, NULL, NULL, &m->aliases, &errors, f) == 0)
		return 0;
	return fail_prefix(f, "%.200s:%u", m->conf->file, m->conf->file_line[CONF_FILE_ALIASES]);
}

static int
take_mail(struct mail *m, char **operand)
{
	struct fail f = FAIL_INIT;
	int status;

	find_sender(m);
	if (operand[0] == NULL && !m->extract)
		usage_error("no recipient: name one, or give -t");
	/* A dot is doubled on its way. */
	submission_init(&m->text, m->limits.value[LIMIT_SIZE], m->limits.value[LIMIT_LINE] - 3, m->dot_ends);
	if (want_aliases(m, &f) == -1)
		return give_up(m, EX_CONFIG, &f);
	if (read_message(m, &f) == -1 || find_recipients(m, operand, &f) == -1)
		return give_up(m, m->alias_fault ? EX_CONFIG : status_of(&f), &f);
	if (m->text.nuls > 0)
		say(m, "%llu NUL in the message, which mail cannot hold, are ? now", (unsigned long long)m->text.nuls);
	if (m->text.broken > 0)
		say(m, "lines of more than %zu octets were broken", m->text.max_line);
	write_header(m);
	status = send_mail(m, &f);
	return status != EX_OK ? give_up(m, status, &f) : EX_OK;
}

/* ---- the other modes ---- */

static int
speak_smtp(const struct mail *m)
{
	struct fail f = FAIL_INIT;
	int fd = connect_relay(m, &f);

	if (fd == -1) {
		printf("421 4.3.2 %s takes no mail now\r\n", m->conf->hostname);
		fflush(stdout);
		return give_up(m, f.kind == FAIL_INPUT ? EX_CONFIG : status_of(&f), &f);
	}
	if (submit_bridge(fd, &f) == -1) {
		say(m, "%s", f.text);
		return EX_IOERR;
	}
	return EX_OK;
}

/* relayq stands beside us; by its name it knows for whom it is. */
static void __attribute__((noreturn))
become_relayq(const char *conf)
{
	char self[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - sizeof "relayq");

	if (n > 0) {
		self[n] = '\0';
		if ((slash = strrchr(self, '/')) != NULL)
			strcpy(slash + 1, "relayq");
		execl(self, "mailq", "-c", conf, "list", (char *)NULL);
	}
	execlp("relayq", "mailq", "-c", conf, "list", (char *)NULL);
	talk(NULL, "relayq: %s", strerror(errno));
	_exit(EX_OSFILE);
}

/* Its statuses are not those that callers of mailq know. */
static int
list_queue(const struct mail *m)
{
	int how, err;
	pid_t pid;

	if (access(m->conf->spool, R_OK | X_OK) == -1) {
		err = errno;
		say(m, "%s: %s: the queue is for its owner to see, with relayq list", m->conf->spool, strerror(err));
		return err == EACCES ? EX_NOPERM : EX_UNAVAILABLE;
	}
	if ((pid = fork()) == 0)
		become_relayq(m->conf->file);
	if (pid == -1 || waitpid(pid, &how, 0) == -1) {
		say(m, "relayq: %s", strerror(errno));
		return EX_OSERR;
	}
	return !WIFEXITED(how) ? EX_SOFTWARE : WEXITSTATUS(how) == EX_OSFILE ? EX_OSFILE :
	    WEXITSTATUS(how) == 0 ? EX_OK : EX_UNAVAILABLE;
}

/* Who would get it; the relay is not asked. */
static int
verify(struct mail *m, char **operand)
{
	struct fail f = FAIL_INIT;
	size_t i;

	if (operand[0] == NULL)
		usage_error("-bv: no address");
	m->extract = 0;
	if (want_aliases(m, &f) == -1 || find_recipients(m, operand, &f) == -1) {
		say(m, "%s", f.text);
		return m->aliases == NULL || m->alias_fault ? EX_CONFIG : EX_DATAERR;
	}
	for (i = 0; i < m->nrcpts; i++)
		puts(m->rcpt[i]);
	return m->status;
}

static void
print_fault(void *arg, const char *file, unsigned line, const char *text)
{
	char *escaped = text_escape(text, strlen(text));

	(void)arg;
	talk(NULL, "%s:%u: %s", file, line, escaped);
	free(escaped);
}

/* Nothing is read; what includes it is no worse for that. */
static int
read_nothing(const char *path, struct buf *text, struct fail *f)
{
	(void)path;
	(void)text;
	(void)f;
	return 0;
}

size_t
sendmail_check_aliases(const struct conf *c, int includes, table_error_fn *report, void *arg)
{
	struct fail f = FAIL_INIT;
	struct aliases *a;
	size_t errors;

	if (load_aliases(c, includes ? read_include : read_nothing, report, arg, &a, &errors, &f) == -1) {
		report(arg, c->file, c->file_line[CONF_FILE_ALIASES], f.text);
		return 1;
	}
	aliases_free(a);
	return errors;
}

static int
check_aliases(const struct mail *m)
{
	if (m->conf->aliases == NULL)
		say(m, "%s names no file of aliases", m->conf->file);
	return sendmail_check_aliases(m->conf, 1, print_fault, NULL) == 0 ? EX_OK : EX_DATAERR;
}

/* ---- main ---- */

static const struct {
	const char *name;
	enum mode mode;
} names[] = { { "sendmail", MODE_MAIL }, { "mailq", MODE_QUEUE }, { "newaliases", MODE_ALIASES } };

static int
find_name(const char *argv0)
{
	const char *base = argv0 != NULL ? strrchr(argv0, '/') : NULL;
	size_t i;

	base = base != NULL ? base + 1 : argv0 != NULL ? argv0 : "";
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(base, names[i].name) == 0)
			return (int)i;
	return -1;
}

int
sendmail_is(const char *argv0)
{
	return find_name(argv0) != -1;
}

/* A line at fault is the relay's to complain of: what is good of the file is enough to hand mail in. */
static void
read_conf(struct mail *m)
{
	struct fail f = FAIL_INIT;
	size_t errors;

	if (m->conf_file == NULL)
		m->conf_file = file_join(tool_dir(NULL), "smtp-relay.conf");
	if ((m->conf = conf_parse(m->conf_file, NULL, NULL, &errors, &f)) == NULL)
		exit(give_up(m, f.kind == FAIL_SYS && f.err == EACCES ? EX_NOPERM : EX_CONFIG, &f));
	m->nplaces = conf_submit(m->conf, m->place);
	m->limits = m->conf->limits;
	m->domain = m->conf->hostname;
	if (m->nplaces == 0 || m->place[0].listen == NULL)
		return;
	conf_limits(m->conf, m->place[0].listen, m->place[0].rule, &m->limits);
	if (m->place[0].listen->default_domain != NULL)
		m->domain = m->place[0].listen->default_domain;
}

static void
clear(struct mail *m)
{
	size_t i;

	for (i = 0; i < m->nrcpts; i++)
		free(m->rcpt[i]);
	free(m->rcpt);
	free(m->sender);
	free(m->author);
	free(m->full_name);
	free(m->conf_file);
	submission_clear(&m->text);
	buf_clear(&m->header);
	aliases_free(m->aliases);
	conf_free(m->conf);
	if (m->fd != -1)
		close(m->fd);
}

/* Nothing here needs the rights of the file's owner, who may have meant well. */
static void
drop_rights(void)
{
	if (setregid(getgid(), getgid()) == -1 || setreuid(getuid(), getuid()) == -1)
		exit(EX_OSERR);
}

int
sendmail_main(int argc, char **argv)
{
	static struct mail m = { .dot_ends = 1, .fd = -1 };
	int name = find_name(argv[0]), status = EX_OK;

	drop_rights();
	tool_init(names[name].name, usage);
	m.mode = names[name].mode;
	read_options(argc, argv, &m);
	if (m.queue_run && m.mode == MODE_MAIL && argv[optind] == NULL && !m.extract)
		return EX_OK;	/* the relay needs nobody to start its queue */
	read_conf(&m);
	switch (m.mode) {
	case MODE_MAIL: status = take_mail(&m, argv + optind); break;
	case MODE_SMTP: status = speak_smtp(&m); break;
	case MODE_QUEUE: status = list_queue(&m); break;
	case MODE_ALIASES: status = check_aliases(&m); break;
	case MODE_VERIFY: status = verify(&m, argv + optind); break;
	}
	clear(&m);
	return fflush(stdout) == EOF ? EX_IOERR : status;
}
