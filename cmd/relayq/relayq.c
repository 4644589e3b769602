/*
 * relayq - what the relay has in its spool: lists messages, shows an envelope, writes a message out; and
 * changes what is there (change.c), counts it (stat.c).  Beside that it reads reports that others sent (tlsrpt.c).
 *
 * To look it reads the files and asks no relay, so that it works beside a running one and without one.  A file
 * may be renamed or gone between its name's and its own reading; that is no error.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "json.h"
#include "log.h"
#include "name.h"
#include "relayq.h"
#include "spool.h"
#include "table.h"
#include "text.h"
#include "tool.h"

static const char usage[] =
    "usage: relayq [-jv] [-c CONF | -d DIR | -s SPOOL] list\n"
    "       relayq [-j] [-c CONF | -d DIR | -s SPOOL] show ID\n"
    "       relayq [-c CONF | -d DIR | -s SPOOL] cat ID\n"
    "       relayq [-j] [-c CONF | -d DIR | -s SPOOL] stat\n"
    "       relayq [-j] [-c CONF | -d DIR | -s SPOOL] hold|release|retry|delete ID... |\n"
    "              --destination DOMAIN | --all\n"
    "       relayq [-j] tlsrpt [FILE...]\n"
    "  list               each message: ID, folder, arrival, size, sender, recipients; beneath, when it\n"
    "                     is tried next and (why it waits)\n"
    "  show ID            its envelope, with what became of each recipient\n"
    "  cat ID             the message itself, byte for byte\n"
    "  stat               how many messages there are for each destination\n"
    "  hold ID...         not tried any more until it is released\n"
    "  release ID...      what is held is tried again, at once\n"
    "  retry ID...        tried at once\n"
    "  delete ID...       removed; nobody is told\n"
    "  tlsrpt FILE...     what reports on TLS say that came in: JSON, gzip or mail\n"
    "      --destination DOMAIN  all messages with a recipient in the domain\n"
    "      --all          all messages\n"
    "  -c, --config CONF  the relay's configuration, which names the spool (default\n"
    "                     DIR/smtp-relay.conf)\n"
    "  -d, --dir DIR      root of all state (default from MTATLS_DIR, or /etc/mtatls)\n"
    "  -s, --spool SPOOL  the spool itself; no configuration is read\n"
    "  -j, --json         one JSON object a line\n"
    "  -v, --verbose      list: the reasons of all recipients, whole\n"
    "  -h, --help         this text\n"
    "  -V, --version      the version\n";

enum { OPT_DESTINATION = 256, OPT_ALL };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "dir", required_argument, NULL, 'd' },
	{ "spool", required_argument, NULL, 's' },
	{ "destination", required_argument, NULL, OPT_DESTINATION },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "json", no_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

#define CONF_FILE_MAX (4 * 1024 * 1024)	/* octets, as for the relay */

/* Where messages are looked for; new/ holds none that was taken. */
static const enum spool_folder folders[] = { SPOOL_QUEUE, SPOOL_HOLD, SPOOL_BAD };
#define NFOLDERS (sizeof folders / sizeof folders[0])

#define FIND_TRIES 5	/* scans for a message that the relay may be renaming */

static void
put_line(const char *key, const char *value)
{
	if (value == NULL)
		return;
	printf("%s ", key);
	text_print(value);
	putchar('\n');
}

static void
put_time(const char *key, int64_t t)
{
	char when[TEXT_TIME_MAX];

	put_line(key, text_time(when, t));
}

static void
put_address(const char *address)
{
	putchar('<');
	text_print(address);
	putchar('>');
}

static void
put_words(const struct spool_words *w)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		putchar(' ');
		text_print(w->v[i]);
	}
}

static json_t *
json_words(const struct spool_words *w)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < w->n; i++)
		json_push(a, json_bytes(w->v[i], strlen(w->v[i])));
	return a;
}

static json_t *
json_rcpt(const struct spool_rcpt *r)
{
	json_t *o = json_object();

	json_set_str(o, "address", r->address);
	json_set(o, "options", json_words(&r->options));
	json_set_str(o, "state", spool_rcpt_state_name(r->state));
	json_set_int(o, "tries", r->tries);
	if (r->tries > 0) {
		json_set_time(o, "last", r->when);
		json_set_str(o, "said", r->said);
	}
	return o;
}

static void
json_envelope(json_t *o, const struct spool_envelope *e)
{
	json_t *rcpts = json_array();
	size_t i;

	json_set_time(o, "arrived", e->arrived);
	json_set_str(o, "listener", e->listener);
	json_set_str(o, "client", e->client);
	json_set_str(o, "client_name", e->client_name);
	json_set_str(o, "helo", e->helo);
	json_set_str(o, "protocol", e->protocol);
	json_set_str(o, "auth", e->auth);
	json_set(o, "tls", json_words(&e->tls));
	json_set_str(o, "from", e->from);
	json_set(o, "from_options", json_words(&e->from_options));
	for (i = 0; i < e->nrcpts; i++)
		json_push(rcpts, json_rcpt(&e->rcpt[i]));
	json_set(o, "rcpts", rcpts);
}

static int
print_json(const struct found *w, struct fail *f)
{
	json_t *o = json_object();
	int rc;

	json_set_str(o, "id", w->m.env.id);
	json_set_str(o, "folder", spool_folder_name(w->folder));
	json_set_str(o, "file", w->file);
	if (w->name.due >= 0)
		json_set_time(o, "due", w->name.due);
	json_set_int(o, "size", w->m.size);
	json_envelope(o, &w->m.env);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

static void
print_line(const struct found *w)
{
	const struct spool_envelope *e = &w->m.env;
	char when[TEXT_TIME_MAX];
	size_t first, n = list_waiting(e, &first);

	printf("%s %-5s %s %9" PRId64 " ", e->id, spool_folder_name(w->folder),
	    text_time(when, e->arrived), w->m.size);
	put_address(e->from);
	putchar(' ');
	put_address(e->rcpt[first].address);
	if (n > 1)
		printf(" +%zu", n - 1);
	putchar('\n');
}

static void
print_rcpt(const struct spool_rcpt *r)
{
	char when[TEXT_TIME_MAX];

	printf("rcpt ");
	put_address(r->address);
	put_words(&r->options);
	printf(": %s", spool_rcpt_state_name(r->state));
	if (r->tries > 0)
		printf(", tried %u time%s, last %s", r->tries, r->tries == 1 ? "" : "s",
		    text_time(when, r->when));
	if (r->said != NULL) {
		printf(": ");
		text_print(r->said);
	}
	putchar('\n');
}

static void
print_envelope(const struct found *w)
{
	const struct spool_envelope *e = &w->m.env;
	size_t i;

	put_line("id", e->id);
	put_line("folder", spool_folder_name(w->folder));
	if (w->name.due >= 0)
		put_time("due", w->name.due);
	put_time("arrived", e->arrived);
	printf("size %" PRId64 "\n", w->m.size);
	put_line("listener", e->listener);
	put_line("client", e->client);
	put_line("client-name", e->client_name);
	put_line("helo", e->helo);
	put_line("protocol", e->protocol);
	put_line("auth", e->auth);
	if (e->tls.n > 0) {
		printf("tls");
		put_words(&e->tls);
		putchar('\n');
	}
	printf("from ");
	put_address(e->from);
	put_words(&e->from_options);
	putchar('\n');
	for (i = 0; i < e->nrcpts; i++)
		print_rcpt(&e->rcpt[i]);
}

/* 1: read; 0: it is gone; -1: f says why, with the folder before it. */
static int
read_found(const struct spool *s, enum spool_folder folder, const char *file, struct found *w,
    struct fail *f)
{
	if (spool_read(s->dir[folder], file, 0, &w->m, f) == -1) {
		if (f->kind == FAIL_SYS && f->err == ENOENT)
			return 0;
		return fail_prefix(f, "%s", spool_folder_name(folder)), -1;
	}
	w->folder = folder;
	snprintf(w->file, sizeof w->file, "%s", file);
	if (spool_name_parse(file, &w->name) == -1)
		w->name.due = -1;
	return 1;
}

/* Damage is what bad/ is for: there it is data, elsewhere an error. */
static enum tool_exit
print_damaged(const char *file, const struct fail *why, int json)
{
	struct fail f = FAIL_INIT;
	json_t *o;
	int rc;

	if (!json) {
		text_print(file);
		printf(" bad   damaged: ");
		text_print(why->text);
		putchar('\n');
		return TOOL_YES;
	}
	o = json_object();
	json_set_str(o, "id", NULL);
	json_set_str(o, "folder", spool_folder_name(SPOOL_BAD));
	json_set_str(o, "file", file);
	json_set_str(o, "error", why->text);
	rc = json_line(stdout, o, &f);
	json_decref(o);
	return rc == -1 ? tool_failed(&f) : TOOL_YES;
}

static enum tool_exit
list_file(const struct spool *s, enum spool_folder folder, const char *file, const struct settings *o, size_t *listed)
{
	struct fail f = FAIL_INIT;
	struct found w;
	int got = read_found(s, folder, file, &w, &f);

	*listed += got != 0;
	if (got == -1 && folder == SPOOL_BAD && f.kind == FAIL_INPUT)
		return print_damaged(file, &f, o->json);
	if (got == -1)
		return tool_failed(&f);
	if (got == 0)
		return TOOL_YES;
	if (o->json)
		got = print_json(&w, &f);
	else {
		print_line(&w);
		list_beneath(&w, o->verbose);
	}
	spool_message_clear(&w.m);
	return got == -1 ? tool_failed(&f) : TOOL_YES;
}

/* Programs that call mailq look for these words; those that call relayq list, for lines. */
static void
tell_empty(const struct settings *o)
{
	if (o->mailq || (!o->json && isatty(STDOUT_FILENO)))
		puts("Mail queue is empty");
}

static enum tool_exit
list(const struct spool *s, const struct settings *o, char **unused)
{
	enum tool_exit status = TOOL_YES;
	size_t listed = 0;
	struct fail f = FAIL_INIT;
	struct spool_scan scan;
	const char *file;
	size_t i;

	(void)unused;
	for (i = 0; i < NFOLDERS; i++) {
		if (spool_scan_open(&scan, s->dir[folders[i]], &f) == -1)
			return tool_failed(&f);
		while (!ferror(stdout) && (file = spool_scan_next(&scan, &f)) != NULL)
			status = tool_worse(status, list_file(s, folders[i], file, o, &listed));
		spool_scan_close(&scan);
		if (f.kind != FAIL_NONE)
			return tool_failed(&f);
	}
	if (listed == 0)
		tell_empty(o);
	return status;
}

/* By ID, or by the whole name of a file: in bad/ there may be one without an ID. */
static int
is_wanted(const char *file, const char *id)
{
	size_t n = strlen(id);

	if (strcmp(file, id) == 0)
		return 1;
	return spool_id_valid(id) && strncmp(file, id, n) == 0 && (file[n] == ',' || file[n] == '.');
}

/* As read_found(); 0: no such message in the folder. */
static int
find_in(const struct spool *s, enum spool_folder folder, const char *id, struct found *w, struct fail *f)
{
	struct spool_scan scan;
	const char *file;
	int got = 0;

	if (spool_scan_open(&scan, s->dir[folder], f) == -1)
		return -1;
	while (got == 0 && (file = spool_scan_next(&scan, f)) != NULL)
		if (is_wanted(file, id))
			got = read_found(s, folder, file, w, f);
	spool_scan_close(&scan);
	if (got == 0 && f->kind != FAIL_NONE && f->err != ENOENT)
		return -1;
	return got;
}

static int
is_in(const char *address, const char *domain)
{
	const char *at = strrchr(address, '@');

	return at != NULL && text_case_eq(at + 1, domain);
}

int
message_goes_to(const struct spool *s, enum spool_folder folder, const char *file, const char *domain,
    struct fail *f)
{
	struct spool_message m;
	struct spool_name n;
	int found = 0;
	size_t i;

	if (spool_name_parse(file, &n) == 0 && n.domain[0] != '\0')
		return text_case_eq(n.domain, domain);
	if (spool_read(s->dir[folder], file, 0, &m, f) == -1)
		return f->err == ENOENT ? 0 : -1;
	for (i = 0; i < m.env.nrcpts; i++)
		if (is_in(m.env.rcpt[i].address, domain) && (m.env.rcpt[i].state == SPOOL_RCPT_WAITING ||
		    m.env.rcpt[i].state == SPOOL_RCPT_DEFERRED))
			found = 1;
	spool_message_clear(&m);
	return found;
}

/* A message on its way to another name or folder may be missed: look again before saying no. */
enum tool_exit
find_message(const struct spool *s, const char *id, struct found *w)
{
	struct fail f = FAIL_INIT;
	int tries, got = 0;
	size_t i;

	for (tries = 0; got == 0 && tries < FIND_TRIES; tries++)
		for (i = 0; got == 0 && i < NFOLDERS; i++) {
			f = (struct fail)FAIL_INIT;
			got = find_in(s, folders[i], id, w, &f);
		}
	if (got == 1)
		return TOOL_YES;
	if (got == -1)
		return tool_failed(&f);
	talk(id, "no such message");
	return TOOL_NO;
}

static enum tool_exit
show(const struct spool *s, const struct settings *o, char **id)
{
	struct fail f = FAIL_INIT;
	enum tool_exit status;
	struct found w;

	if ((status = find_message(s, id[0], &w)) != TOOL_YES)
		return status;
	if (!o->json)
		print_envelope(&w);
	else if (print_json(&w, &f) == -1)
		status = tool_failed(&f);
	spool_message_clear(&w.m);
	return status;
}

/* Writes what is there, and then says whether it is what once came. */
static int
copy_out(const struct spool_message *m, struct fail *f)
{
	char block[65536];
	int64_t pos = 0;
	ssize_t n;

	for (; (n = spool_message_pread(m, block, sizeof block, pos, f)) > 0; pos += n)
		if (file_put(STDOUT_FILENO, block, n, "standard output", f) == -1)
			return -1;
	if (n == -1)
		return -1;
	if (spool_verify(m, f) == -1)
		return fail_prefix(f, "%s", m->env.id), -1;
	return 0;
}

static enum tool_exit
cat(const struct spool *s, const struct settings *o, char **id)
{
	struct fail f = FAIL_INIT;
	enum tool_exit status;
	struct found w;

	(void)o;
	if ((status = find_message(s, id[0], &w)) != TOOL_YES)
		return status;
	if (copy_out(&w.m, &f) == -1)
		status = tool_failed(&f);
	spool_message_clear(&w.m);
	return status;
}

#define MANY (-1)
#define FILES (-2)

#define WHERE " [-c CONF | -d DIR | -s SPOOL] "
#define CHOICE " ID... | --destination DOMAIN | --all\n"

static const struct command {
	const char *name;
	int operands;		/* MANY: any number of IDs, or the options that choose; FILES: any number, and no spool */
	int has_json;
	enum tool_exit (*run)(const struct spool *, const struct settings *, char **id);
	const char *synopsis;
} commands[] = {
	{ "list", 0, 1, list, "usage: relayq [-jv]" WHERE "list\n" },
	{ "show", 1, 1, show, "usage: relayq [-j]" WHERE "show ID\n" },
	{ "cat", 1, 0, cat, "usage: relayq" WHERE "cat ID\n" },
	{ "stat", 0, 1, stat_spool, "usage: relayq [-j]" WHERE "stat\n" },
	{ "hold", MANY, 1, change_hold, "usage: relayq [-j]" WHERE "hold" CHOICE },
	{ "release", MANY, 1, change_release, "usage: relayq [-j]" WHERE "release" CHOICE },
	{ "retry", MANY, 1, change_retry, "usage: relayq [-j]" WHERE "retry" CHOICE },
	{ "delete", MANY, 1, change_delete, "usage: relayq [-j]" WHERE "delete" CHOICE },
	{ "tlsrpt", FILES, 1, tlsrpt_files, "usage: relayq [-j] tlsrpt [FILE...]\n" },
};

/* Where no command was understood. */
static const char any_synopsis[] =
    "usage: relayq [OPTION...] list | show | cat | stat | hold | release | retry | delete | tlsrpt ...\n";

/* Domains are kept as A-labels.  The caller frees. */
static char *
destination_or_usage(const char *word)
{
	struct fail f = FAIL_INIT;
	char *ascii;

	if (word[0] == '[')
		return xstrdup(word);
	if ((ascii = name_to_ascii(word, &f)) == NULL)
		tool_usage("--destination: %s", f.text);
	return ascii;
}

/* hold and its kin: IDs, or one of the options that choose, and not both. */
static void
check_choice(const struct command *c, int n, const struct settings *o)
{
	int chosen = (o->all != 0) + (o->destination != NULL);

	if (c->operands == FILES && (o->conf != NULL || o->dir != NULL || o->spool != NULL))
		tool_usage("%s looks at no spool: no -c, -d or -s", c->name);
	if (c->operands != MANY && chosen > 0)
		tool_usage("%s takes neither --all nor --destination", c->name);
	if (c->operands == MANY && (chosen > 1 || (chosen > 0) == (n > 1)))
		tool_usage("%s takes IDs, or --destination, or --all", c->name);
}

static void
read_options(int argc, char **argv, struct settings *o)
{
	int ch;

	while ((ch = getopt_long(argc, argv, ":c:d:s:jvhV", options, NULL)) != -1)
		switch (ch) {
		case 'c': o->conf = optarg; break;
		case 'd': o->dir = tool_dir(optarg); break;
		case 's': o->spool = optarg; break;
		case OPT_DESTINATION:
			free(o->destination);
			o->destination = destination_or_usage(optarg);
			break;
		case OPT_ALL: o->all = 1; break;
		case 'j': o->json = 1; break;
		case 'v': o->verbose = 1; break;
		case 'h': tool_help();
		case 'V': tool_version();
		default: tool_bad_option(ch, argv);
		}
}

static const struct command *
command_or_usage(int n, char **word, const struct settings *o)
{
	size_t i;

	if (n == 0)
		tool_usage("no command");
	for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(word[0], commands[i].name) == 0) {
			tool_synopsis(commands[i].synopsis);
			check_choice(&commands[i], n, o);
			if (commands[i].operands >= 0 && n - 1 != commands[i].operands)
				tool_usage("%s takes %s", commands[i].name,
				    commands[i].operands == 0 ? "no operand" : "one ID");
			if (o->json && !commands[i].has_json)
				tool_usage("%s has no -j", commands[i].name);
			if (o->verbose && commands[i].run != list)
				tool_usage("%s has no -v", commands[i].name);
			return &commands[i];
		}
	tool_usage("unknown command %.100s", text_escape(word[0], strlen(word[0])));
}

/* ---- where the spool is ---- */

static void
print_error(void *arg, const char *file, unsigned line, const char *text)
{
	char *escaped = text_escape(text, strlen(text));

	(void)arg;
	talk(NULL, "%s:%u: %s", file, line, escaped);
	free(escaped);
}

static int
set_spool(void *ctx, const struct table_line *l, struct fail *f)
{
	char **spool = ctx;

	if (l->v[0][0] != '/')
		return fail(f, FAIL_INPUT, "spool: expected an absolute path, not \"%.200s\"", l->v[0]);
	free(*spool);
	*spool = xstrdup(l->v[0]);
	return 0;
}

/* The rest of the file is the relay's affair. */
static int
pass_over(void *ctx, const struct table_line *l, struct fail *f)
{
	(void)ctx;
	(void)l;
	(void)f;
	return 0;
}

static const struct table_row rows[] = {
	{ "spool", 1, 1, TABLE_ONCE, set_spool },
	{ NULL, 0, TABLE_WORDS_MAX, 0, pass_over },
};

/* What the file says, or the default where it says nothing.  The caller frees; NULL: f says why. */
static char *
spool_of(const char *file, struct fail *f)
{
	struct buf text = BUF_INIT;
	char *spool = NULL;
	size_t errors;

	if (file_read(file, CONF_FILE_MAX, &text, f) == -1)
		return NULL;
	errors = table_parse(file, text.p, text.len, rows, sizeof rows / sizeof rows[0], &spool,
	    print_error, NULL);
	buf_clear(&text);
	if (errors > 0) {
		fail(f, FAIL_INPUT, "%.300s: %zu error%s", file, errors, errors == 1 ? "" : "s");
		free(spool);
		return NULL;
	}
	return spool != NULL ? spool : xstrdup(SPOOL_DIR_DEFAULT);
}

/* Nobody named anything, and the relay of this machine was never configured. */
static int
may_be_absent(const struct settings *o, const struct fail *f)
{
	return o->conf == NULL && o->dir == NULL && getenv("MTATLS_DIR") == NULL && f->err == ENOENT;
}

/* The caller frees. */
static char *
find_spool(const struct settings *o, struct fail *f)
{
	char *file, *spool;

	if (o->spool != NULL)
		return xstrdup(o->spool);
	file = o->conf != NULL ? xstrdup(o->conf) : file_join(tool_dir(o->dir), "smtp-relay.conf");
	if ((spool = spool_of(file, f)) == NULL && may_be_absent(o, f))
		spool = xstrdup(SPOOL_DIR_DEFAULT);
	free(file);
	return spool;
}

static int
is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	int empty = d != NULL;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, "lost+found") != 0)
			empty = 0;
	if (d != NULL)
		closedir(d);
	return empty;
}

/* Before the relay's first start: the spool is not there, though the place for it is, or empty. */
static int
is_unused(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == -1 ? errno == ENOENT && spool_check(dir, NULL) == 0 : is_empty(dir);
}

int
main(int argc, char **argv)
{
	struct settings o = { .conf = NULL };
	struct spool s = SPOOL_INIT;
	struct fail f = FAIL_INIT;
	const struct command *command;
	enum tool_exit status = TOOL_YES;
	char *dir;

	o.mailq = argc > 0 && strcmp(argv[0], "mailq") == 0;
	tool_init(o.mailq ? "mailq" : "relayq", usage);
	tool_synopsis(any_synopsis);
	read_options(argc, argv, &o);
	command = command_or_usage(argc - optind, argv + optind, &o);
	if (command->operands == FILES)
		return tool_finish(command->run(&s, &o, argv + optind + 1));
	dir = find_spool(&o, &f);
	if (dir != NULL && command->run == list && is_unused(dir)) {
		talk(dir, "nothing waits: no relay has used this spool yet");
		if (o.mailq)
			tell_empty(&o);
	} else if (dir == NULL || spool_open(&s, dir, &f) == -1)
		status = tool_failed(&f);
	else
		status = command->run(&s, &o, argv + optind + 1);
	spool_close(&s);
	free(dir);
	free(o.destination);
	return tool_finish(status);
}
