/*
 * session - one client: io (bytes, TLS) drives smtp_server (grammar), whose wants become a file in
 * spool/new and, at the end of the message, a question to the queue.  The 250 waits for its answer.
 *
 *	bytes -> drive() -> smtp_server_feed() -> act(): mail, rcpt, begin, body, end -> commit
 *	queue's answer -> session_committed() -> smtp_server_answer() -> drive()
 */
#include <sys/socket.h>

#include <arpa/inet.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "in.h"
#include "io.h"
#include "log.h"
#include "name.h"
#include "table.h"
#include "tls.h"

#define OUT_HIGH 65536	/* octets of replies waiting for the client; then its input waits too */

struct session {
	struct in *in;
	size_t listener, slot;
	const struct conf_hosts *rule;	/* NULL: none matched */
	struct io *io;			/* NULL: the connection is gone */
	struct smtp_server smtp;
	uint64_t taken;			/* octets from the client */
	struct event timer;
	struct {
		enum smtp_server_stage stage;
		unsigned commands;
		uint64_t taken;
	} armed;			/* where the session was when the timer was set */
	char name[48];			/* in the log */
	char client[INET6_ADDRSTRLEN];
	uint16_t port;
	struct spool_envelope env;
	struct spool_writer *writer;
	char id[SPOOL_ID_SIZE];		/* of the message under way */
	struct tls_info tls;
	int driving, closing;
	int awaiting;			/* the queue's answer for id: the session lasts until it came */
	int checking;			/* auth's answer is awaited */
};

static const struct conf_listen *
conf_of(const struct session *s)
{
	return s->in->start->listener[s->listener].conf;
}

/* ---- the log ---- */

static void
log_begin(struct log_line *l, const struct session *s, enum log_level level, const char *id,
    const char *verb)
{
	log_event(l, level, id, verb);
	log_key(l, "session", s->name);
	log_key(l, "client", s->client);
}

static void
log_connect(const struct session *s)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, s->name, "connect");
	log_key(&l, "listener", conf_of(s)->name);
	log_key(&l, "client", s->client);
	log_key_num(&l, "port", s->port);
	log_key(&l, "action", s->rule != NULL ? conf_action_name(s->rule->action) : NULL);
	log_send(&l);
}

static void
log_refusal(const struct session *s)
{
	const struct smtp_server_refusal *r = &s->smtp.refusal;
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, s->name, "refused");
	log_key(&l, "client", s->client);
	log_key(&l, "helo", s->smtp.hello[0] != '\0' ? s->smtp.hello : NULL);
	log_key(&l, "from", s->smtp.has_mail ? s->env.from : NULL);
	log_key(&l, "command", r->verb);
	log_key(&l, "argument", r->argument[0] != '\0' ? r->argument : NULL);
	log_key_num(&l, "code", r->code);
	log_key(&l, "status", r->status);
	log_key(&l, "reason", r->text);
	log_send(&l);
}

static void
log_disconnect(const struct session *s)
{
	const struct smtp_server *m = &s->smtp;
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, s->name, "disconnect");
	log_key(&l, "client", s->client);
	log_key(&l, "end", smtp_server_end_name(m->end));
	log_key(&l, "stage", smtp_server_stage_name(m->stage_at_end));
	log_key_num(&l, "messages", m->messages);
	log_key_num(&l, "recipients", m->accepted_recipients);
	log_key_num(&l, "tls", m->tls);
	log_key(&l, "reason", m->fail.kind != FAIL_NONE ? m->fail.text : NULL);
	if (m->tls_demanded > 0 && !m->tls)
		log_key(&l, "required", "TLS was required and not used: closed without a recipient");
	log_send(&l);
}

static void
log_tls(const struct session *s)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, s->name, "tls");
	log_key(&l, "client", s->client);
	log_key(&l, "protocol", s->tls.protocol);
	log_key(&l, "cipher", s->tls.cipher);
	log_key_num(&l, "bits", s->tls.bits);
	log_key(&l, "group", s->tls.group[0] != '\0' ? s->tls.group : NULL);
	log_send(&l);
}

static void
log_message(const struct session *s, const char *verb, enum log_level level, const char *id,
    const char *reason)
{
	struct log_line l;

	log_begin(&l, s, level, id, verb);
	log_key(&l, "from", s->env.from != NULL ? s->env.from : "");
	log_key(&l, "user", s->smtp.auth_user[0] != '\0' ? s->smtp.auth_user : NULL);
	log_key_num(&l, "recipients", (int64_t)s->env.nrcpts);
	log_key_num(&l, "size", (int64_t)s->smtp.msg.octets);
	log_key_num(&l, "tls", s->smtp.tls);
	log_key(&l, "reason", reason);
	log_send(&l);
}

/* ---- the life of a session ---- */

static atomic_uint *
own_count(const struct in *in, size_t listener)
{
	return &in->start->open[listener * in->start->nworkers + in->start->worker];
}

/* Of all workers: which of them takes a connection is chance, and the limit is the listener's. */
static unsigned
count_sessions(const struct in *in, size_t listener)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < in->start->nworkers; i++)
		n += atomic_load(&in->start->open[listener * in->start->nworkers + i]);
	return n;
}

static size_t
take_slot(struct in *in, struct session *s)
{
	size_t i;

	for (i = 0; i < in->nslots && in->slot[i] != NULL; i++)
		;
	if (i == in->nslots) {
		in->nslots = in->nslots > 0 ? in->nslots * 2 : 64;
		in->slot = xreallocarray(in->slot, in->nslots, sizeof *in->slot);
		memset(in->slot + i, 0, (in->nslots - i) * sizeof *in->slot);
	}
	in->slot[i] = s;
	return i;
}

static void
session_free(struct session *s)
{
	struct in *in = s->in;

	log_disconnect(s);
	event_del(&s->timer);
	io_abort(s->io);
	spool_writer_abort(s->writer);
	spool_envelope_clear(&s->env);
	tls_info_clear(&s->tls);
	smtp_server_clear(&s->smtp);
	in->slot[s->slot] = NULL;
	atomic_fetch_sub(own_count(in, s->listener), 1);
	in->nsessions--;
	free(s);
}

/* A part of a line, or a few octets of a message, buy a client no time. */
static int
has_advanced(const struct session *s)
{
	const struct smtp_server *m = &s->smtp;

	if (!evtimer_pending(&s->timer, NULL) || m->stage != s->armed.stage || m->commands != s->armed.commands)
		return 1;
	return m->stage == SMTP_SERVER_AT_DATA && s->taken - s->armed.taken >= IN_DATA_MIN;
}

static void
arm_timer(struct session *s)
{
	struct timeval tv = { IN_COMMAND_S, 0 };

	switch (s->smtp.stage) {
	case SMTP_SERVER_AT_HANDSHAKE:
		tv.tv_sec = IN_HANDSHAKE_S;
		break;
	case SMTP_SERVER_AT_DATA:
		tv.tv_sec = IN_DATA_S;
		break;
	default:
		break;
	}
	s->armed.stage = s->smtp.stage;
	s->armed.commands = s->smtp.commands;
	s->armed.taken = s->taken;
	if (event_add(&s->timer, &tv) == -1)
		alloc_failed();
}

/* ---- wants: the envelope ---- */

__attribute__((format(printf, 2, 3))) static void
add_option(struct spool_words *w, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	spool_words_add(w, text);
	free(text);
}

/* As smtp_mail_params_parse() reads them. */
static void
keep_mail_params(struct session *s)
{
	const struct smtp_mail_params *p = &s->smtp.mail.params;
	struct spool_words *w = &s->env.from_options;

	if (p->body8bit)
		spool_words_add(w, "BODY=8BITMIME");
	if (p->utf8)
		spool_words_add(w, "SMTPUTF8");
	if (p->requiretls)
		spool_words_add(w, "REQUIRETLS");
	if (p->ret != SMTP_RET_NONE)
		add_option(w, "RET=%s", smtp_ret_text(p->ret));
	if (p->envid[0] != '\0')
		add_option(w, "ENVID=%s", p->envid);
}

static void
keep_rcpt_params(struct session *s, struct spool_rcpt *r)
{
	const struct smtp_rcpt_params *p = &s->smtp.rcpt_params;
	char notify[SMTP_NOTIFY_TEXT_MAX];

	if (p->notify != 0)
		add_option(&r->options, "NOTIFY=%s", smtp_notify_text(notify, p->notify));
	if (p->orcpt[0] != '\0')
		add_option(&r->options, "ORCPT=%s", p->orcpt);
}

/* The DNS knows A-labels, and so do our tables; RFC 6531 3.3 leaves it to us. */
static int
to_a_labels(struct mailbox *m)
{
	char *ascii;
	int n = -1;

	if (m->domain[0] == '[' || !mailbox_is_utf8(m))
		return 0;
	if ((ascii = name_to_ascii(m->domain, NULL)) != NULL)
		n = snprintf(m->domain, sizeof m->domain, "%s", ascii);
	free(ascii);
	return n > 0 && (size_t)n < sizeof m->domain ? 0 : -1;
}

static void
want_mail(struct session *s)
{
	struct buf b = BUF_INIT;

	spool_envelope_clear(&s->env);
	if (to_a_labels(&s->smtp.mail.from) == -1) {
		smtp_server_answer(&s->smtp, 501, "5.1.7", "the domain is not one of IDNA");
		return;
	}
	mailbox_print(&b, &s->smtp.mail.from);
	s->env.from = buf_steal(&b);
	keep_mail_params(s);
	smtp_server_accept(&s->smtp);
}

/*
 * A mailbox of ours whose local part routes on: "user%other.example", "other.example!user".  We would not
 * follow it, but the next hop may, and it trusts us.
 */
static int
is_routed(const struct mailbox *m)
{
	return m->local[strcspn(m->local, "@%!")] != '\0';
}

/* Never an open relay: the listener's own domains, or a host that may relay. */
static void
want_rcpt(struct session *s)
{
	const struct mailbox *m = &s->smtp.rcpt;
	int may_relay = (s->rule != NULL && s->rule->action == CONF_RELAY) || s->smtp.auth_user[0] != '\0';
	struct buf b = BUF_INIT;

	if (to_a_labels(&s->smtp.rcpt) == -1) {
		smtp_server_answer(&s->smtp, 501, "5.1.3", "the domain is not one of IDNA");
		return;
	}
	if (!may_relay && (is_routed(m) ||
	    (m->domain[0] != '\0' && !conf_has_domain(conf_of(s), m->domain)))) {
		smtp_server_answer(&s->smtp, 550, "5.7.1", "relaying is not allowed");
		return;
	}
	mailbox_print(&b, m);
	/* RFC 5321 4.1.1.3: postmaster without a domain is ours. */
	if (m->domain[0] == '\0')
		buf_printf(&b, "@%s", s->in->start->conf->hostname);
	keep_rcpt_params(s, spool_envelope_add_rcpt(&s->env, b.p));
	buf_clear(&b);
	smtp_server_accept(&s->smtp);
}

static void
fill_envelope(struct session *s)
{
	struct spool_envelope *e = &s->env;

	snprintf(e->id, sizeof e->id, "%s", s->id);
	/* Of a clock that was set back the ID knows nothing: both must say the same. */
	e->arrived = spool_id_time_us(s->id) / 1000000;
	free(e->listener);
	free(e->client);
	free(e->helo);
	free(e->protocol);
	e->listener = xstrdup(conf_of(s)->name);
	e->client = xstrdup(s->client);
	e->helo = xstrdup(s->smtp.hello);
	e->protocol = xstrdup(smtp_server_protocol(&s->smtp));
	free(e->auth);
	e->auth = s->smtp.auth_user[0] != '\0' ? xstrdup(s->smtp.auth_user) : NULL;
	if (s->smtp.tls) {
		spool_words_add(&e->tls, s->tls.protocol);
		spool_words_add(&e->tls, s->tls.cipher);
	}
}

/* ---- wants: who it is ---- */

static void
log_auth(const struct session *s, const char *result)
{
	int known = strcmp(result, "yes") == 0;
	struct log_line l;

	log_event(&l, known ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, s->name, "auth");
	log_key(&l, "client", s->client);
	log_key(&l, "user", s->smtp.sasl.user);
	log_key(&l, "result", result);
	log_send(&l);
}

static void
want_auth(struct session *s)
{
	struct buf b = BUF_INIT;
	char slot[24];

	if (s->in->auth == NULL) {
		log_auth(s, "gone");
		smtp_server_answer(&s->smtp, 454, "4.7.0", "passwords cannot be checked now");
		return;
	}
	snprintf(slot, sizeof slot, "%zu", s->slot);
	table_put(&b, "check", slot, s->smtp.sasl.user, s->smtp.sasl.password, (char *)NULL);
	channel_send(s->in->auth, b.p, b.len, -1);
	buf_wipe(&b);
	s->checking = 1;
	event_del(&s->timer);
}

/* ---- wants: the message ---- */

/* 452 where the disk is full (RFC 3463 3.4: X.3.1), 451 for any other trouble of ours. */
static void
refuse_for(struct session *s, const struct fail *f)
{
	log_message(s, "not-accepted", LOG_LEVEL_ERROR, s->id, f->text);
	if (f->err == ENOSPC || f->err == EDQUOT)
		smtp_server_answer(&s->smtp, 452, "4.3.1", "no space for the message; try later");
	else
		smtp_server_answer(&s->smtp, 451, "4.3.0", "the message cannot be stored; try later");
}

static int
write_received(struct session *s, time_t now, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc;

	smtp_server_received(&s->smtp, &b, NULL, s->client, s->id, now);
	rc = spool_writer_add(s->writer, b.p, b.len, f);
	buf_clear(&b);
	return rc;
}

static void
want_begin(struct session *s)
{
	struct fail f = FAIL_INIT;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	spool_id_next(&s->in->ids, ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000, s->id);
	fill_envelope(s);
	s->writer = spool_writer_begin(s->in->start->newfd, &s->env, &f);
	if (s->writer == NULL || write_received(s, ts.tv_sec, &f) == -1) {
		spool_writer_abort(s->writer);
		s->writer = NULL;
		refuse_for(s, &f);
		return;
	}
	smtp_server_accept(&s->smtp);
}

/* An error stays in the writer and comes out at its end: the client must send its message anyway. */
static void
want_body(struct session *s)
{
	spool_writer_add(s->writer, s->smtp.body.p, s->smtp.body.len, NULL);
}

static void
want_end(struct session *s)
{
	struct spool_writer *w = s->writer;
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	char slot[24];

	s->writer = NULL;
	if (s->smtp.msg.has8bit)
		spool_writer_set_8bit(w);
	if (spool_writer_finish(w, &f) == -1) {
		refuse_for(s, &f);
		return;
	}
	snprintf(slot, sizeof slot, "%zu", s->slot);
	table_put(&b, "commit", slot, s->id, (char *)NULL);
	channel_send(s->in->queue, b.p, b.len, -1);
	s->awaiting = 1;
	buf_clear(&b);
	event_del(&s->timer);
}

static void
want_abort(struct session *s)
{
	spool_writer_abort(s->writer);
	s->writer = NULL;
	log_message(s, "aborted", LOG_LEVEL_INFO, s->id, s->smtp.msg.octets > 0 ? NULL : "no content");
}

/* ---- the machine and the stream ---- */

static void
send_replies(struct session *s)
{
	if (s->smtp.out.len == 0)
		return;
	if (s->io != NULL)
		io_write(s->io, s->smtp.out.p, s->smtp.out.len);
	buf_drop(&s->smtp.out, s->smtp.out.len);
}

static void
begin_tls(struct session *s)
{
	struct fail f = FAIL_INIT;
	SSL *ssl = NULL;

	send_replies(s);
	if (s->io == NULL)
		return;
	if ((ssl = tls_server(s->in->start->listener[s->listener].tls, &f)) == NULL) {
		smtp_server_tls_failed(&s->smtp, &f);
		return;
	}
	io_start_tls(s->io, ssl, IO_TLS_SERVER);
}

static void
want_close(struct session *s)
{
	send_replies(s);
	if (s->io != NULL && s->smtp.end == SMTP_SERVER_END_INJECTION)
		io_abort(s->io);
	else if (s->io != NULL)
		io_close(s->io);
	s->io = NULL;
	s->closing = 1;
}

/* Does what the machine wants; 0 where it has to wait. */
static int
act(struct session *s, enum smtp_server_want want)
{
	switch (want) {
	case SMTP_SERVER_INPUT:
	case SMTP_SERVER_WAIT:
		send_replies(s);
		return 0;
	case SMTP_SERVER_OUTPUT:
		send_replies(s);
		return s->io == NULL || io_pending_out(s->io) < OUT_HIGH;
	case SMTP_SERVER_CLOSE:
		want_close(s);
		return 0;
	case SMTP_SERVER_MAIL: want_mail(s); break;
	case SMTP_SERVER_RCPT: want_rcpt(s); break;
	case SMTP_SERVER_BEGIN: want_begin(s); break;
	case SMTP_SERVER_BODY: want_body(s); break;
	case SMTP_SERVER_END: want_end(s); break;
	case SMTP_SERVER_ABORT: want_abort(s); break;
	case SMTP_SERVER_REFUSED: log_refusal(s); break;
	case SMTP_SERVER_AUTH: want_auth(s); break;
	case SMTP_SERVER_TLS: begin_tls(s); break;
	}
	return 1;
}

/* Feeds bytes, or none, until the machine waits.  Returns how many were taken. */
static size_t
drive(struct session *s, const char *p, size_t n)
{
	size_t used, total = 0;
	enum smtp_server_want want;

	s->driving++;
	do {
		used = 0;
		want = smtp_server_feed(&s->smtp, p + total, n - total, &used);
		total += used;
	} while (act(s, want));
	s->driving--;
	if (s->io != NULL && io_pending_out(s->io) >= OUT_HIGH)
		io_pause(s->io);
	return total;
}

/*
 * After drive(), outside of it: the session may be over.  A client that left before its 250 does not end it:
 * the message is queued or not, and the log is to tell.
 */
static void
settle(struct session *s)
{
	if (s->driving > 0 || (s->closing && (s->awaiting || s->checking)))
		return;
	if (s->closing) {
		session_free(s);
		return;
	}
	if (s->smtp.stage != SMTP_SERVER_AT_END && !s->checking && has_advanced(s))
		arm_timer(s);
}

static size_t
on_input(struct io *io, const char *p, size_t n, void *arg)
{
	struct session *s = arg;
	size_t taken;

	(void)io;
	taken = drive(s, p, n);
	s->taken += taken;
	settle(s);
	return taken;
}

/* Bytes that were held back come again through on_input(). */
static void
go_on(struct session *s)
{
	drive(s, "", 0);
	if (s->io != NULL && !s->closing)
		io_resume(s->io);
	settle(s);
}

static void
on_drained(struct io *io, void *arg)
{
	(void)io;
	go_on(arg);
}

static void
on_tls_done(struct io *io, void *arg)
{
	struct session *s = arg;
	struct smtp_server_tls t = { 0 };

	tls_info_get(io_ssl0(io), &s->tls);
	t.protocol = s->tls.protocol;
	t.cipher = s->tls.cipher;
	t.bits = s->tls.bits;
	t.group = s->tls.group[0] != '\0' ? s->tls.group : NULL;
	smtp_server_tls_done(&s->smtp, &t);
	log_tls(s);
	go_on(s);
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *f, void *arg)
{
	struct session *s = arg;

	(void)io;
	s->io = NULL;
	if (end == IO_END_INJECTION || s->smtp.stage == SMTP_SERVER_AT_HANDSHAKE)
		smtp_server_tls_failed(&s->smtp, f);
	else if (end == IO_END_EOF)
		smtp_server_eof(&s->smtp);
	else
		smtp_server_lost(&s->smtp, f);
	drive(s, "", 0);
	settle(s);
}

static const struct io_handlers handlers = {
	.input = on_input,
	.tls_done = on_tls_done,
	.drained = on_drained,
	.closed = on_closed,
};

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	smtp_server_timeout(&s->smtp);
	drive(s, "", 0);
	settle(s);
}

void
session_committed(struct session *s, const char *id, int code, const char *status, const char *text)
{
	struct buf b = BUF_INIT;

	/* The queue answers each question once; an answer to another's is a fault of ours. */
	if (!s->awaiting || strcmp(id, s->id) != 0)
		return;
	s->awaiting = 0;
	if (code == 250) {
		log_message(s, "accepted", LOG_LEVEL_INFO, id, NULL);
		buf_printf(&b, "queued as %s", id);
	} else {
		log_message(s, "not-accepted", LOG_LEVEL_ERROR, id, text);
		buf_puts(&b, code == 452 ? "no space for the message; try later" :
					   "the message cannot be stored; try later");
	}
	smtp_server_answer(&s->smtp, code, status, b.p);	/* nothing where the client has left */
	buf_clear(&b);
	go_on(s);
}

void
session_checked(struct session *s, const char *word)
{
	if (!s->checking)
		return;
	s->checking = 0;
	log_auth(s, word != NULL ? word : "gone");
	if (word != NULL && strcmp(word, "yes") == 0)
		smtp_server_accept(&s->smtp);
	else if (word != NULL && strcmp(word, "no") == 0)
		smtp_server_answer(&s->smtp, 535, "5.7.8", "user and password do not match");
	else
		smtp_server_answer(&s->smtp, 454, "4.7.0", "passwords cannot be checked now");
	go_on(s);
}

void
session_shutdown(struct session *s)
{
	smtp_server_shutdown(&s->smtp);
	drive(s, "", 0);
	settle(s);
}

/* ---- the first words ---- */

static void
reset_connection(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(fd);
}

/* A private listener serves the hosts that its table names, and no other, but those who have to say who they are. */
static int
is_refused(const struct session *s)
{
	if (s->rule != NULL)
		return s->rule->action == CONF_REJECT;
	return conf_of(s)->type == CONF_PRIVATE && conf_of(s)->auth != SMTP_SERVER_AUTH_REQUIRED;
}

static void
greet(struct session *s)
{
	if (is_refused(s))
		smtp_server_refuse(&s->smtp, 554, "5.7.1", "no service for this host");
	else if (s->in->stopping)
		smtp_server_refuse(&s->smtp, 421, "4.3.2", "shutting down");
	else if (count_sessions(s->in, s->listener) > conf_of(s)->concurrency)
		smtp_server_refuse(&s->smtp, 421, "4.7.0", "too many connections; try later");
	else
		smtp_server_greet(&s->smtp);
}

static struct session *
session_new(struct in *in, size_t listener, const struct conf_hosts *rule, const char *client,
    uint16_t port)
{
	struct session *s = xcalloc(1, sizeof *s);

	s->in = in;
	s->listener = listener;
	s->rule = rule;
	s->port = port;
	snprintf(s->client, sizeof s->client, "%s", client);
	snprintf(s->name, sizeof s->name, "%s.%" PRIu64, in->start->role.name, ++in->sessions_seen);
	s->slot = take_slot(in, s);
	atomic_fetch_add(own_count(in, listener), 1);
	in->nsessions++;
	evtimer_assign(&s->timer, in->role.base, on_timer, s);
	smtp_server_init(&s->smtp, &in->server[listener]);
	return s;
}

void
session_start(struct in *in, size_t listener, int fd, int family, const void *addr, uint16_t port)
{
	const struct conf_listen *l = in->start->listener[listener].conf;
	const struct conf_hosts *rule = conf_find_hosts(l, family, addr);
	char client[INET6_ADDRSTRLEN] = "?";
	struct fail f = FAIL_INIT;
	struct session *s;

	if (rule != NULL && rule->action == CONF_TCPREFUSE) {
		reset_connection(fd);
		return;
	}
	inet_ntop(family, addr, client, sizeof client);
	s = session_new(in, listener, rule, client, port);
	log_connect(s);
	if ((s->io = io_accept(in->role.base, fd, &handlers, s, &f)) == NULL) {
		smtp_server_lost(&s->smtp, &f);
		s->closing = 1;
		settle(s);
		return;
	}
	greet(s);
	drive(s, "", 0);
	settle(s);
}
