#include "role.h"

#include <sys/prctl.h>

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "log.h"
#include "table.h"

static const char *role_name;
static struct role *role_base;

/* The master may read slowly; a line waits in the channel then, and nothing is lost. */
static void
sink_master(enum log_level level, const char *line, void *arg)
{
	struct role *r = arg;
	struct buf b = BUF_INIT;
	char number[16];
	size_t n = strlen(line);

	snprintf(number, sizeof number, "%d", (int)level);
	buf_puts(&b, "log");
	table_put_word(&b, number, strlen(number));
	/* Encoding may triple a line. */
	table_put_word(&b, line, n < ORDER_MAX / 4 ? n : ORDER_MAX / 4);
	if (r->master != NULL)
		channel_send(r->master, b.p, b.len, -1);
	buf_clear(&b);
}

static void
on_record(void *arg, struct order *o)
{
	struct role *r = arg;

	if (strcmp(o->v[0], "stop") == 0)
		r->stop(r->arg);
	else if (r->record != NULL)
		r->record(r->arg, o);
}

/* Without a master nobody can be told anything: what was not answered was not promised. */
static void
on_master_gone(void *arg, const struct fail *f)
{
	(void)arg;
	(void)f;
	_exit(0);
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_master_gone };

static void
settle_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ };
	sigset_t none;
	size_t i;

	/* The master hears of Ctrl-C and tells. */
	for (i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Who waits for the end of what the relay prints must not wait for the roles. */
static void
leave_descriptors(void)
{
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (fd = STDIN_FILENO; null != -1 && fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) == -1)
			_exit(1);
	if (null > STDERR_FILENO)
		close(null);
}

void
role_begin(struct role *r, const struct role_start *start)
{
	role_name = start->name;
	if (start->detach)
		leave_descriptors();
	settle_signals();
	prctl(PR_SET_NAME, start->name, 0, 0, 0);
	if ((r->base = event_base_new()) == NULL)
		alloc_failed();
	r->master = channel_new(r->base, start->master, &handlers, r);
	log_set_sink(sink_master, r);
	role_base = r;
}

void
role_drop(const struct role_start *start)
{
	struct fail f = FAIL_INIT;

	if (start->user != NULL && sandbox_enter(start->root, start->user, &f) == -1)
		role_fail(&f);
	if (start->user == NULL && start->root != NULL && sandbox_confine(start->root, &f) == -1)
		role_fail(&f);
	if (start->rights != ROLE_ALL && syscalls_limit(start->rights, &f) == -1)
		role_fail(&f);
}

void
role_ready(struct role *r)
{
	channel_send(r->master, "ready", 5, -1);
}

void
role_tell_master(const char *text, size_t len)
{
	channel_send(role_base->master, text, len, -1);
}

void
role_fail(const struct fail *f)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_ERROR, role_name, "failed");
	log_key(&l, "reason", f->text);
	log_send(&l);
	channel_flush(role_base->master, ROLE_FLUSH_MS);
	_exit(1);
}

void
role_end(struct role *r)
{
	channel_flush(r->master, ROLE_FLUSH_MS);
	_exit(0);
}

void
role_log_fault(const char *role, const char *id, const char *why)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_ERROR, id, "fault");
	log_key(&l, "role", role);
	log_key(&l, "reason", why);
	log_send(&l);
}
