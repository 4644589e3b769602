#include "in.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "io.h"
#include "log.h"
#include "text.h"

#define ACCEPTS_AT_ONCE 16	/* connections taken in one turn: the other workers want some too */
#define STOP_CHECK_MS 20		/* while stopping: is all done? */
#define PAUSE_MS 200		/* no accepting after the system ran out of descriptors or memory */

struct listening {
	struct in *in;
	size_t index;
	struct event *readable, *pause;
};

static struct listening *listening;

/* Not before the last replies are out: a session's stream outlives it. */
static void
end_if_done(struct in *in)
{
	if ((in->stopping || in->retired) && in->nsessions == 0 && io_count() == 0)
		role_end(&in->role);
}

static void
on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct listening *l = arg;

	(void)fd;
	(void)what;
	if (!l->in->stopping && !l->in->retired && event_add(l->readable, NULL) == -1)
		alloc_failed();
}

/* Out of descriptors: the connection stays in the backlog, and the loop must not spin on it. */
static void
pause_accepting(struct listening *l, int err)
{
	struct timeval tv = { 0, PAUSE_MS * 1000 };
	struct log_line line;

	log_event(&line, LOG_LEVEL_ERROR, l->in->start->role.name, "accept-failed");
	log_key(&line, "listener", l->in->start->listener[l->index].conf->name);
	log_key(&line, "reason", strerror(err));
	log_send(&line);
	event_del(l->readable);
	if (event_add(l->pause, &tv) == -1)
		alloc_failed();
}

/* 1: there may be more. */
static int
accept_some(struct listening *l, int lfd)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int i, fd;

	for (i = 0; i < ACCEPTS_AT_ONCE; i++) {
		memset(&ss, 0, len = sizeof ss);
		fd = accept4(lfd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			arrive(l->in, l->index, fd, &ss);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(l, errno);
		if (errno != ECONNABORTED && errno != EINTR)
			return 0;
	}
	return 1;
}

static void
on_connection(evutil_socket_t lfd, short what, void *arg)
{
	(void)what;
	accept_some(arg, lfd);
}

/* Whoever waits in the backlog of a socket that nobody else has would be reset. */
static void
take_waiting(struct in *in)
{
	unsigned n;
	size_t i;

	for (i = 0; i < in->start->nlisteners; i++)
		for (n = 0; n <= in->start->listener[i].conf->backlog; n += ACCEPTS_AT_ONCE)
			if (!accept_some(&listening[i], in->start->listener[i].fd))
				break;
}

static void
listen_all(struct in *in)
{
	size_t i;

	listening = xcalloc(in->start->nlisteners, sizeof *listening);
	for (i = 0; i < in->start->nlisteners; i++) {
		struct listening *l = &listening[i];

		l->in = in;
		l->index = i;
		l->readable = event_new(in->role.base, in->start->listener[i].fd, EV_READ | EV_PERSIST,
		    on_connection, l);
		l->pause = evtimer_new(in->role.base, on_pause_over, l);
		if (l->readable == NULL || l->pause == NULL || event_add(l->readable, NULL) == -1)
			alloc_failed();
	}
}

/* done SLOT ID CODE STATUS TEXT */
static void
on_queue_record(void *arg, struct order *o)
{
	struct in *in = arg;
	struct fail f = FAIL_INIT;
	long long slot, code;

	if (o->fd != -1)
		close(o->fd);
	if (o->n != 6 || strcmp(o->v[0], "done") != 0 ||
	    text_number(o->v[1], 0, (long long)in->nslots - 1, "slot", &slot, &f) == -1 ||
	    text_number(o->v[3], 200, 599, "code", &code, &f) == -1) {
		fail(&f, FAIL_SYS, "a record from the queue makes no sense");
		role_fail(&f);
	}
	if (in->slot[slot] != NULL)
		session_committed(in->slot[slot], o->v[2], code, o->v[4], o->v[5]);
}

/* The master starts all roles anew; what was not answered was not promised. */
static void
on_queue_gone(void *arg, const struct fail *f)
{
	(void)arg;
	role_fail(f);
}

/* named SLOT SERIAL STATE NAME */
static void
on_route_record(void *arg, struct order *o)
{
	struct in *in = arg;
	struct fail f = FAIL_INIT;
	long long slot, serial;
	int state;

	if (o->fd != -1)
		close(o->fd);
	if (o->n != 5 || strcmp(o->v[0], "named") != 0 ||
	    text_number(o->v[1], 0, (long long)in->nslots - 1, "slot", &slot, &f) == -1 ||
	    text_number(o->v[2], 0, INT64_MAX, "serial", &serial, &f) == -1 ||
	    (state = names_state_parse(o->v[3])) == -1) {
		fail(&f, FAIL_SYS, "a record from route makes no sense");
		role_fail(&f);
	}
	if (in->slot[slot] != NULL)
		session_named(in->slot[slot], (uint64_t)serial, (enum names_state)state, o->v[4]);
}

/* At the end of the relay it goes before us; who waits for a name waits in vain, and not for long. */
static void
on_route_gone(void *arg, const struct fail *f)
{
	struct in *in = arg;

	(void)f;
	channel_free(in->names);
	in->names = NULL;
}

static const struct channel_handlers queue_handlers = { .record = on_queue_record,
	.gone = on_queue_gone };
static const struct channel_handlers route_handlers = { .record = on_route_record,
	.gone = on_route_gone };

static void
on_stop_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	role_end(arg);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	end_if_done(arg);
}

/* The sockets stay open at the master and at the other workers: who waits in the backlog is theirs. */
static void
stop_listening(struct in *in)
{
	struct timeval often = { 0, STOP_CHECK_MS * 1000 };
	struct event *tick = event_new(in->role.base, -1, EV_PERSIST, on_tick, in);
	size_t i;

	for (i = 0; i < in->start->nlisteners; i++) {
		event_del(listening[i].readable);
		event_del(listening[i].pause);
		close(in->start->listener[i].fd);
	}
	if (tick == NULL || event_add(tick, &often) == -1)
		alloc_failed();
}

static void
on_stop(void *arg)
{
	struct in *in = arg;
	struct timeval tv = { IN_STOP_S, 0 };
	size_t i;

	if (in->stopping)
		return;
	in->stopping = 1;
	if (!in->retired)
		stop_listening(in);
	arrive_end(in);
	for (i = 0; i < in->nslots; i++)
		if (in->slot[i] != NULL)
			session_shutdown(in->slot[i]);
	if (event_base_once(in->role.base, -1, EV_TIMEOUT, on_stop_over, &in->role, &tv) == -1)
		alloc_failed();
}

/* Another worker is in our place, with newer certificates. */
static void
retire(struct in *in)
{
	char name[32];

	if (in->stopping || in->retired)
		return;
	in->retired = 1;
	snprintf(name, sizeof name, "%s-old", in->start->role.name);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	take_waiting(in);
	stop_listening(in);
}

/* checked SLOT QUESTION WORD */
static void
on_auth_record(void *arg, struct order *o)
{
	struct in *in = arg;
	long long slot, question;

	if (o->fd != -1)
		close(o->fd);
	if (o->n == 4 && strcmp(o->v[0], "checked") == 0 && in->nslots > 0 &&
	    text_number(o->v[1], 0, (long long)in->nslots - 1, "slot", &slot, NULL) == 0 &&
	    text_number(o->v[2], 1, INT64_MAX, "question", &question, NULL) == 0 && in->slot[slot] != NULL)
		session_checked(in->slot[slot], (uint64_t)question, o->v[3]);
}

/* The master starts it again, and sends a new channel. */
static void
on_auth_gone(void *arg, const struct fail *f)
{
	struct in *in = arg;
	size_t i;

	(void)f;
	channel_free(in->auth);
	in->auth = NULL;
	for (i = 0; i < in->nslots; i++)
		if (in->slot[i] != NULL)
			session_checked(in->slot[i], 0, NULL);
}

static const struct channel_handlers auth_handlers = { .record = on_auth_record, .gone = on_auth_gone };

/* auth +fd: whom to ask from now on; what the one before was asked it answers to nobody. */
static void
take_auth(struct in *in, int fd)
{
	if (in->auth != NULL)
		on_auth_gone(in, NULL);
	in->auth = channel_new(in->role.base, fd, &auth_handlers, in);
}

/* ticket SECRET */
static void
take_secret(const struct in *in, const char *hex)
{
	uint8_t *secret = NULL;
	size_t n;

	if (text_unhex(hex, &secret, &n, NULL) == 0 && n == TLS_SECRET_SIZE)
		tls_secrets_add(in->start->secrets, secret);
	if (secret != NULL)
		OPENSSL_cleanse(secret, n);
	free(secret);
}

static void
on_master_record(void *arg, struct order *o)
{
	if (strcmp(o->v[0], "retire") == 0)
		retire(arg);
	else if (strcmp(o->v[0], "auth") == 0 && o->fd != -1)
		take_auth(arg, o->fd);
	else if (strcmp(o->v[0], "ticket") == 0 && o->n == 2) {
		take_secret(arg, o->v[1]);
		OPENSSL_cleanse(o->text, sizeof o->text);
	}
}

static void
prepare_servers(struct in *in)
{
	const struct in_start *start = in->start;
	size_t i;

	in->server = xcalloc(start->nlisteners, sizeof *in->server);
	in->npending = xcalloc(start->nlisteners, sizeof *in->npending);
	in->house = xcalloc(start->nlisteners, sizeof *in->house);
	for (i = 0; i < start->nlisteners; i++) {
		const struct conf_listen *l = start->listener[i].conf;
		struct smtp_server_conf *s = &in->server[i];

		s->name = start->conf->hostname;
		s->auth = l->auth;
		s->greeting = l->greeting != NULL ? xasprintf("ESMTP %s", l->greeting) : NULL;
		s->bare = l->default_domain != NULL;
		s->offers = SMTP_SERVER_OFFERS;
		in->house[i] = (struct guest_house){ .conf = start->conf, .listen = start->listener[i].conf,
			.clients = start->clients, .recipients = start->recipients, .worker = start->worker };
	}
}

void
in_main(const struct in_start *start)
{
	static struct in in;

	in.start = start;
	in.role.stop = on_stop;
	in.role.record = on_master_record;
	in.role.arg = &in;
	role_begin(&in.role, &start->role);
	role_drop(&start->role);
	/* new/ hands its group on to its files: the queue reads and finishes what we write. */
	umask(007);
	in.queue = channel_new(in.role.base, start->queue, &queue_handlers, &in);
	channel_gather(in.queue);
	in.names = channel_new(in.role.base, start->names, &route_handlers, &in);
	spool_ids_init(&in.ids, start->number);
	in.space = (struct space){ .fd = start->newfd, .floor = &start->conf->min_free, .low = start->low,
		.role = start->role.name };
	prepare_servers(&in);
	listen_all(&in);
	role_ready(&in.role);
	event_base_dispatch(in.role.base);
	role_end(&in.role);
}
