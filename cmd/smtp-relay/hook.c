#include "hook.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "table.h"

struct hook;

/* A program that runs; pid 0: none does here. */
struct program {
	struct hook *h;
	pid_t pid;			/* and that of its process group */
	char *seq, *kind, *name, *event;
	int out;			/* what it prints comes from there */
	struct event *readable, *timer;
	struct buf said;
	int termed, late;		/* SIGTERM was sent; for the time that it took */
	int64_t began;
};

struct hook {
	struct role role;
	const struct hook_start *start;
	struct channel *queue;
	struct event *child;
	struct program program[HOOK_AT_ONCE];
	int stopping;
};

/* ---- in the program's process, before it is one ---- */

/* Whatever a script does with its words, there is nothing in them that a shell or an option would be. */
static char *
plain(const char *word)
{
	char *s = xstrndup(word, strnlen(word, HOOK_WORD_MAX));
	char *c;

	for (c = s; *c != '\0'; c++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-", *c) == NULL ||
		    (c == s && *c == '-'))
			*c = '_';
	return s;
}

/* Other than what we ignore and block, as for any program. */
static void
reset_signals(void)
{
	sigset_t none;
	int n;

	for (n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
begin_program(const char *path, const struct program *p, pid_t parent, int in, int out)
{
	static char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
		"LC_ALL=C", NULL };
	char *argv[] = { xstrdup(path), plain(p->kind), plain(p->name), plain(p->event), NULL };

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(126);
	reset_signals();
	umask(077);
	/* Neither is one of the three: those were open at the start, to /dev/null if not to anything else. */
	if (dup2(in, STDIN_FILENO) == -1 || dup2(out, STDOUT_FILENO) == -1 || dup2(out, STDERR_FILENO) == -1 ||
	    close_range(STDERR_FILENO + 1, ~0U, 0) == -1 || chdir("/") == -1)
		_exit(126);
	execve(path, argv, env);
	dprintf(STDERR_FILENO, "%s\n", strerror(errno));
	_exit(127);
}

/* ---- its end ---- */

static void
log_end(const struct program *p, int status)
{
	struct log_line l;
	char how[64];

	if (p->late)
		snprintf(how, sizeof how, "killed after %d s", HOOK_TIME_S);
	else if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof how, "status %d", WEXITSTATUS(status));
	log_event(&l, status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, p->h->start->role.name, "hook-ran");
	log_key(&l, "kind", p->kind);
	log_key(&l, "name", p->name[0] != '\0' ? p->name : NULL);
	log_key(&l, "event", p->event);
	log_key(&l, "how", how);
	log_key_num(&l, "seconds", clock_passed() - p->began);
	if (p->said.len > 0)
		log_key_bytes(&l, "said", p->said.p, p->said.len);
	log_send(&l);
}

static void
tell_ran(struct hook *h, const char *seq)
{
	struct buf b = BUF_INIT;

	table_put(&b, "ran", seq, (char *)NULL);
	channel_send(h->queue, b.p, b.len, -1);
	buf_clear(&b);
}

static size_t
running(const struct hook *h)
{
	size_t i, n = 0;

	for (i = 0; i < HOOK_AT_ONCE; i++)
		n += h->program[i].pid != 0;
	return n;
}

static void
clear_program(struct program *p)
{
	event_free(p->readable);
	event_free(p->timer);
	close(p->out);
	free(p->seq);
	free(p->kind);
	free(p->name);
	free(p->event);
	buf_clear(&p->said);
	*p = (struct program){ .h = p->h };
}

static void
end_if_done(struct hook *h)
{
	if (!h->stopping || running(h) > 0)
		return;
	channel_flush(h->queue, ROLE_FLUSH_MS);
	role_end(&h->role);
}

/* As read(2): 0 at its end. */
static ssize_t
read_some(struct program *p)
{
	char piece[1024];
	size_t room = HOOK_SAID_MAX - p->said.len;
	ssize_t n = read(p->out, piece, sizeof piece);

	if (n > 0)
		buf_add(&p->said, piece, (size_t)n < room ? (size_t)n : room);
	return n;
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	struct program *p = arg;
	ssize_t n = read_some(p);

	(void)fd;
	(void)what;

	/* A program that has closed its output may still run. */
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		event_del(p->readable);
}

/* With it goes whatever of its group it left behind. */
static void
ended(struct program *p, int status)
{
	struct hook *h = p->h;
	int i;

	kill(-p->pid, SIGKILL);
	for (i = 0; i < 16 && read_some(p) > 0; i++)
		;
	while (p->said.len > 0 && p->said.p[p->said.len - 1] == '\n')
		p->said.p[--p->said.len] = '\0';
	log_end(p, status);
	tell_ran(h, p->seq);
	clear_program(p);
	end_if_done(h);
}

static void
on_child(evutil_socket_t fd, short what, void *arg)
{
	struct hook *h = arg;
	int status, i;
	pid_t pid;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < HOOK_AT_ONCE; i++)
			if (h->program[i].pid == pid) {
				ended(&h->program[i], status);
				break;
			}
}

static void
end_program(struct program *p)
{
	struct timeval tv = { HOOK_KILL_S, 0 };

	kill(-p->pid, p->termed ? SIGKILL : SIGTERM);
	p->termed = 1;
	if (event_add(p->timer, &tv) == -1)
		alloc_failed();
}

static void
on_time(evutil_socket_t fd, short what, void *arg)
{
	struct program *p = arg;

	(void)fd;
	(void)what;
	p->late |= !p->h->stopping;
	end_program(p);
}

/* ---- its beginning ---- */

/* What it is to read, complete before it begins: it may read or not. */
static int
input_of(const struct order *o, struct fail *f)
{
	struct buf b = BUF_INIT;
	int fd;

	buf_add(&b, o->more, o->more_len);
	if (o->more_len > 0)
		buf_putc(&b, '\n');
	fd = file_memory(b.p, b.len, f);
	buf_clear(&b);
	return fd;
}

static int
fork_program(struct program *p, int in, struct fail *f)
{
	pid_t parent = getpid();
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) == -1)
		return fail_errno(f, "pipe");
	fflush(NULL);
	if ((p->pid = fork()) == 0)
		begin_program(p->h->start->conf->alert.hook, p, parent, in, pair[1]);
	if (p->pid == -1) {
		fail_errno(f, "fork");
		close(pair[0]);
	}
	close(pair[1]);
	if (p->pid == -1) {
		p->pid = 0;
		return -1;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	p->out = pair[0];
	return 0;
}

static void
watch(struct program *p)
{
	struct timeval tv = { HOOK_TIME_S, 0 };
	struct event_base *base = p->h->role.base;

	p->began = clock_passed();
	if ((p->readable = event_new(base, p->out, EV_READ | EV_PERSIST, on_output, p)) == NULL ||
	    (p->timer = evtimer_new(base, on_time, p)) == NULL || event_add(p->readable, NULL) == -1 ||
	    event_add(p->timer, &tv) == -1)
		alloc_failed();
}

/* run SEQ KIND NAME EVENT, then what the program reads. */
static void
run(struct hook *h, struct program *p, const struct order *o)
{
	struct fail f = FAIL_INIT;
	int in = input_of(o, &f);

	p->h = h;
	p->seq = xstrdup(o->v[1]);
	p->kind = xstrdup(o->v[2]);
	p->name = xstrdup(o->v[3]);
	p->event = xstrdup(o->v[4]);
	if (in != -1 && fork_program(p, in, &f) == 0) {
		watch(p);
		close(in);
		return;
	}
	if (in != -1)
		close(in);
	role_log_fault(h->start->role.name, h->start->role.name, f.text);
	tell_ran(h, p->seq);
	free(p->seq);
	free(p->kind);
	free(p->name);
	free(p->event);
	*p = (struct program){ .h = h };
}

static void
on_record(void *arg, struct order *o)
{
	struct hook *h = arg;
	struct fail f = FAIL_INIT;
	int i;

	if (o->fd != -1)
		close(o->fd);
	for (i = 0; i < HOOK_AT_ONCE && h->program[i].pid != 0; i++)
		;
	if (o->n != 5 || strcmp(o->v[0], "run") != 0 || i == HOOK_AT_ONCE) {
		fail(&f, FAIL_SYS, "a record from the queue makes no sense");
		role_fail(&f);
	}
	if (!h->stopping)
		run(h, &h->program[i], o);
}

static void
on_gone(void *arg, const struct fail *f)
{
	(void)arg;
	role_fail(f);
}

static const struct channel_handlers queue_handlers = { .record = on_record, .gone = on_gone };

static void
on_stop(void *arg)
{
	struct hook *h = arg;
	struct timeval tv = { HOOK_KILL_S, 0 };
	int i;

	h->stopping = 1;
	for (i = 0; i < HOOK_AT_ONCE; i++)
		if (h->program[i].pid != 0 && !h->program[i].termed && event_add(h->program[i].timer, &tv) == -1)
			alloc_failed();
	end_if_done(h);
}

void
hook_main(const struct hook_start *start)
{
	static struct hook h;

	h.start = start;
	h.role.stop = on_stop;
	h.role.arg = &h;
	role_begin(&h.role, &start->role);
	role_drop(&start->role);
	if ((h.child = evsignal_new(h.role.base, SIGCHLD, on_child, &h)) == NULL || event_add(h.child, NULL) == -1)
		alloc_failed();
	h.queue = channel_new(h.role.base, start->queue, &queue_handlers, &h);
	role_ready(&h.role);
	event_base_dispatch(h.role.base);
	role_end(&h.role);
}
