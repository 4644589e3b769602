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
#include "clock.h"
#include "client_cert.h"
#include "in.h"
#include "io.h"
#include "log.h"
#include "message_id.h"
#include "name.h"
#include "table.h"
#include "tls.h"

#define NO_SPACE "no space for the message; try later"	/* RFC 1870 6.1 (2): 452 at MAIL, too */
#define OUT_HIGH 65536	/* octets of replies waiting for the client; then its input waits too */

struct session {
	struct in *in;
	size_t listener, slot;
	struct guest guest;
	struct io *io;			/* NULL: the connection is gone */
	struct smtp_server smtp;
	uint64_t taken;			/* octets from the client */
	struct event timer;
	struct {
		enum smtp_server_stage stage;
		unsigned commands;
		uint64_t taken;
		int last;		/* the timer is that of the session as a whole */
	} armed;			/* where the session was when the timer was set */
	char name[48];			/* in the log */
	struct arrival from;
	struct conf_client client;	/* what is asked of its certificate; borrowed lists */
	uint64_t serial;
	int naming;			/* the client's name is awaited: no banner yet */
	int told;			/* of the connection, in the log */
	int64_t until_us;		/* its time is over then */
	struct spool_envelope env;
	struct spool_writer *writer;
	char id[SPOOL_ID_SIZE];		/* of the message under way */
	struct message_id message_id;	/* likewise, what it says of itself */
	struct tls_info tls;
	struct client_cert cert;
	int driving, closing;
	int awaiting;			/* the queue's answer for id: the session lasts until it came */
	uint64_t checking;		/* auth's answer to this question is awaited; 0: none */
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
	log_key(l, "client", s->guest.client);
}

static void
log_connect(const struct session *s)
{
	const struct guest *g = &s->guest;
	struct buf pattern = BUF_INIT;
	struct log_line l;

	if (g->rule != NULL)
		access_print_pattern(&pattern, g->rule);
	log_event(&l, LOG_LEVEL_INFO, s->name, "connect");
	log_key(&l, "listener", conf_of(s)->name);
	log_key(&l, "client", g->client);
	if (s->from.family == AF_UNIX) {
		log_key_num(&l, "uid", s->from.peer.uid);
		log_key_num(&l, "gid", s->from.peer.gid);
		log_key_num(&l, "pid", s->from.peer.pid);
	} else
		log_key_num(&l, "port", s->from.port);
	log_key(&l, "balancer", s->from.balancer[0] != '\0' ? s->from.balancer : NULL);
	log_key(&l, "name", g->name);
	log_key(&l, "look-up", g->asked && g->name == NULL ? names_state_name(g->state) : NULL);
	log_key(&l, "hosts", pattern.p);
	log_key(&l, "action", g->rule != NULL ? conf_action_name(g->rule->action) : NULL);
	log_send(&l);
	buf_clear(&pattern);
}

/* Once, when it is known who that is, or when that comes to nothing. */
static void
tell_connect(struct session *s)
{
	if (!s->told)
		log_connect(s);
	s->told = 1;
}

static void
log_refusal(const struct session *s)
{
	const struct smtp_server_refusal *r = &s->smtp.refusal;
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, s->name, "refused");
	log_key(&l, "client", s->guest.client);
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
	log_key(&l, "client", s->guest.client);
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
	const char *name = SSL_get_servername(io_ssl0(s->io), TLSEXT_NAMETYPE_host_name);
	char *verdict = client_cert_text(&s->cert);
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, s->name, "tls");
	log_key(&l, "client", s->guest.client);
	log_key(&l, "protocol", s->tls.protocol);
	log_key(&l, "cipher", s->tls.cipher);
	log_key_num(&l, "bits", s->tls.bits);
	log_key(&l, "group", s->tls.group[0] != '\0' ? s->tls.group : NULL);
	if (s->tls.resumed)
		log_key_num(&l, "resumed", 1);
	log_key(&l, "name", name);
	log_key(&l, "client-cert", verdict);
	log_key(&l, "subject", s->cert.verdict == CLIENT_BAD ? s->cert.name : NULL);
	log_key(&l, "fingerprint", s->cert.fingerprint);
	log_key(&l, "reason", s->cert.why);
	log_send(&l);
	free(verdict);
}

static void
log_message(struct session *s, const char *verb, enum log_level level, const char *id, const char *reason)
{
	struct log_line l;

	log_begin(&l, s, level, id, verb);
	log_key(&l, "from", s->env.from != NULL ? s->env.from : "");
	log_key(&l, "user", s->smtp.auth_user[0] != '\0' ? s->smtp.auth_user : NULL);
	log_key_num(&l, "recipients", (int64_t)s->env.nrcpts);
	log_key_num(&l, "size", (int64_t)s->smtp.msg.octets);
	log_key_num(&l, "tls", s->smtp.tls);
	log_key(&l, "message-id", message_id_text(&s->message_id));
	log_key(&l, "reason", reason);
	log_send(&l);
}

/* ---- the life of a session ---- */

static atomic_uint *
own_count(const struct in *in, size_t listener)
{
	return &in->start->open[in->start->listener[listener].row * in->start->nworkers + in->start->worker];
}

/* Of all workers: which of them takes a connection is chance, and the limit is the listener's. */
static unsigned
count_sessions(const struct in *in, size_t listener)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < in->start->nworkers; i++)
		n += atomic_load(&in->start->open[in->start->listener[listener].row * in->start->nworkers + i]);
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

	tell_connect(s);
	log_disconnect(s);
	guest_leave(&s->guest);
	event_del(&s->timer);
	io_abort(s->io);
	spool_writer_abort(s->writer);
	spool_envelope_clear(&s->env);
	tls_info_clear(&s->tls);
	client_cert_clear(&s->cert);
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
	return m->stage == SMTP_SERVER_AT_DATA && s->taken - s->armed.taken >= s->guest.limits.value[LIMIT_DATA_MIN];
}

static int64_t
seconds_for(const struct session *s)
{
	const uint64_t *limit = s->guest.limits.value;

	if (s->naming)
		return IN_NAME_S;
	switch (s->smtp.stage) {
	case SMTP_SERVER_AT_CONNECT:	/* smtps */
	case SMTP_SERVER_AT_HANDSHAKE:
		return (int64_t)limit[LIMIT_HANDSHAKE_TIME];
	case SMTP_SERVER_AT_DATA:
		return (int64_t)limit[LIMIT_DATA_TIME];
	case SMTP_SERVER_AT_AUTH:
		return IN_AUTH_S;
	default:
		return (int64_t)limit[LIMIT_COMMAND_TIME];
	}
}

static void
arm_timer(struct session *s)
{
	int64_t us = seconds_for(s) * 1000000, left = s->until_us - clock_passed_us();
	struct timeval tv;

	s->armed.last = us >= left;
	if (s->armed.last)
		us = left > 0 ? left : 0;
	tv.tv_sec = us / 1000000;
	tv.tv_usec = us % 1000000;
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

/* RFC 3207 4.1: the reply to who is not good enough is 554. */
static int
lacks_certificate(struct session *s)
{
	char *text;

	if (client_cert_suffices(&s->client, &s->cert))
		return 0;
	if (s->cert.why != NULL)
		text = xasprintf("client certificate not verified: %.200s", s->cert.why);
	else
		text = xstrdup("a client certificate is required");
	smtp_server_answer(&s->smtp, 554, "5.7.1", text);
	free(text);
	return 1;
}

/* RFC 5321 4.5.3.1.3, of what we have made of an address too. */
static int
is_too_long(const struct mailbox *m)
{
	return strlen(m->local) + 1 + strlen(m->domain) > MAILBOX_MAX;
}

/* An address without a domain is of the listener's default one. */
static void
complete(const struct session *s, struct mailbox *m)
{
	const char *domain = conf_of(s)->default_domain;

	if (domain != NULL && m->local[0] != '\0' && m->domain[0] == '\0')
		snprintf(m->domain, sizeof m->domain, "%s", domain);
}

/*
 * RFC 3461 5.2.1: who relays may say what stood in RCPT, where the client said nothing of an address before it.  So the
 * sender hears of the address that it wrote to.
 */
static void
keep_original(struct session *s, const struct mailbox *m)
{
	char *orcpt = s->smtp.rcpt_params.orcpt;
	struct buf b = BUF_INIT;

	if (orcpt[0] != '\0')
		return;
	mailbox_print(&b, m);
	smtp_orcpt(orcpt, b.p);
	buf_clear(&b);
}

static void
map_recipient(struct session *s, struct mailbox *m)
{
	const struct conf_map *map = conf_map_find(conf_of(s), m->local, m->domain);
	const char *at;

	if (map == NULL)
		return;
	keep_original(s, m);
	at = strrchr(map->to, '@');
	if (at > map->to)
		snprintf(m->local, sizeof m->local, "%.*s", (int)(at - map->to), map->to);
	snprintf(m->domain, sizeof m->domain, "%s", at + 1);
}

static void
want_mail(struct session *s)
{
	struct guest_refusal no;
	struct buf b = BUF_INIT;

	spool_envelope_clear(&s->env);
	if (lacks_certificate(s))
		return;
	if (!space_allows(&s->in->space, s->smtp.mail.params.size)) {
		smtp_server_answer(&s->smtp, 452, "4.3.1", NO_SPACE);
		return;
	}
	complete(s, &s->smtp.mail.from);
	if (is_too_long(&s->smtp.mail.from)) {
		smtp_server_answer(&s->smtp, 501, "5.1.7", "the address is too long");
		return;
	}
	if (to_a_labels(&s->smtp.mail.from) == -1) {
		smtp_server_answer(&s->smtp, 501, "5.1.7", "the domain is not one of IDNA");
		return;
	}
	if (guest_mail(&s->guest, clock_passed_us(), &no)) {
		smtp_server_answer(&s->smtp, no.code, no.status, no.text);
		return;
	}
	mailbox_print(&b, &s->smtp.mail.from);
	s->env.from = buf_steal(&b);
	keep_mail_params(s);
	smtp_server_accept(&s->smtp);
}

static void
want_rcpt(struct session *s)
{
	struct mailbox *m = &s->smtp.rcpt;
	struct guest_refusal no;
	struct buf b = BUF_INIT;

	if (!text_case_eq(m->local, "postmaster"))
		complete(s, m);
	if (to_a_labels(&s->smtp.rcpt) == -1) {
		smtp_server_answer(&s->smtp, 501, "5.1.3", "the domain is not one of IDNA");
		return;
	}
	map_recipient(s, m);
	if (is_too_long(m)) {
		smtp_server_answer(&s->smtp, 501, "5.1.3", "the address is too long");
		return;
	}
	if (guest_rcpt(&s->guest, m, s->smtp.auth_user[0] != '\0', clock_passed_us(), &no)) {
		smtp_server_answer(&s->smtp, no.code, no.status, no.text);
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
	free(e->client_name);
	free(e->helo);
	free(e->protocol);
	e->listener = xstrdup(conf_of(s)->name);
	e->client = xstrdup(s->guest.client);
	e->client_name = s->guest.name != NULL ? xstrdup(s->guest.name) : NULL;
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
	log_key(&l, "client", s->guest.client);
	log_key(&l, "user", s->smtp.sasl.user);
	log_key(&l, "result", result);
	log_send(&l);
}

/* Who is the same to auth: an address, the network of an IPv6 one, a user of this machine. */
static void
name_asker(const struct session *s, char dst[2 * 8 + 1])
{
	text_hex(dst, s->guest.addr, s->guest.family == AF_INET6 ? 8 : 4);
}

static void
want_auth(struct session *s)
{
	struct buf b = BUF_INIT;
	char slot[24], question[24], asker[2 * 8 + 1];

	if (s->in->auth == NULL) {
		log_auth(s, "gone");
		smtp_server_answer(&s->smtp, 454, "4.7.0", "passwords cannot be checked now");
		return;
	}
	s->checking = ++s->in->questions;
	snprintf(slot, sizeof slot, "%zu", s->slot);
	snprintf(question, sizeof question, "%" PRIu64, s->checking);
	name_asker(s, asker);
	table_put(&b, "check", slot, question, asker, s->smtp.sasl.user, s->smtp.sasl.password, (char *)NULL);
	channel_send(s->in->auth, b.p, b.len, -1);
	buf_wipe(&b);
}

/* ---- wants: the message ---- */

/* 452 where the disk is full (RFC 3463 3.4: X.3.1), 451 for any other trouble of ours. */
static void
refuse_for(struct session *s, const struct fail *f)
{
	log_message(s, "not-accepted", LOG_LEVEL_ERROR, s->id, f->text);
	if (f->err == ENOSPC || f->err == EDQUOT)
		smtp_server_answer(&s->smtp, 452, "4.3.1", NO_SPACE);
	else
		smtp_server_answer(&s->smtp, 451, "4.3.0", "the message cannot be stored; try later");
}

static int
write_received(struct session *s, time_t now, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc;

	smtp_server_received(&s->smtp, &b, s->guest.name, s->from.family != AF_UNIX ? s->guest.client : NULL,
	    s->id, now);
	rc = spool_writer_add(s->writer, b.p, b.len, f);
	buf_clear(&b);
	return rc;
}

static void
want_begin(struct session *s)
{
	struct fail f = FAIL_INIT;
	int64_t now = clock_now_us();

	if (!space_allows(&s->in->space, s->smtp.mail.params.size)) {
		smtp_server_answer(&s->smtp, 452, "4.3.1", NO_SPACE);
		return;
	}
	spool_id_next(&s->in->ids, now, s->id);
	fill_envelope(s);
	s->message_id = (struct message_id){ .state = 0 };
	s->writer = spool_writer_begin(s->in->start->newfd, &s->env, &f);
	if (s->writer == NULL || write_received(s, now / 1000000, &f) == -1) {
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
	message_id_feed(&s->message_id, s->smtp.body.p, s->smtp.body.len);
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
	if (s->client.cert != CONF_CLIENT_CERT_NO)
		tls_server_ask_client(ssl);
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
	if (s->smtp.stage != SMTP_SERVER_AT_END && has_advanced(s))
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

static void greet(struct session *);

static void
on_tls_done(struct io *io, void *arg)
{
	struct session *s = arg;
	struct smtp_server_tls t = { 0 };
	int first = s->smtp.stage == SMTP_SERVER_AT_CONNECT;
	char *client;

	tls_info_get(io_ssl0(io), &s->tls);
	client_cert_judge(&s->client, &s->tls, s->in->start->trust, clock_now(), &s->cert);
	client = client_cert_text(&s->cert);
	t.protocol = s->tls.protocol;
	t.cipher = s->tls.suite;
	t.bits = s->tls.bits;
	t.group = s->tls.group[0] != '\0' ? s->tls.group : NULL;
	t.client = client;
	smtp_server_tls_done(&s->smtp, &t);
	free(client);
	log_tls(s);
	if (first)
		greet(s);
	go_on(s);
}

/* Of STARTTLS, or of smtps. */
static int
in_handshake(const struct session *s)
{
	return s->smtp.stage == SMTP_SERVER_AT_HANDSHAKE ||
	    (s->smtp.stage == SMTP_SERVER_AT_CONNECT && !s->naming && conf_of(s)->protocol == CONF_SMTPS);
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *f, void *arg)
{
	struct session *s = arg;

	(void)io;
	s->io = NULL;
	if (end == IO_END_INJECTION || in_handshake(s))
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

static void welcome(struct session *, enum names_state, const char *name);

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct fail f = FAIL_INIT;

	(void)fd;
	(void)what;
	if (s->naming) {
		welcome(s, NAMES_FAILED, NULL);
		return;
	}
	/* The client has done nothing wrong, and may ask again. */
	if (s->checking && (s->closing || !s->armed.last)) {
		session_checked(s, s->checking, "late");
		return;
	}
	s->checking = 0;
	/* A reply in clear text would stand inside TLS. */
	if (s->smtp.stage == SMTP_SERVER_AT_CONNECT && in_handshake(s)) {
		fail(&f, FAIL_TEMP, "TLS handshake: timed out");
		smtp_server_tls_failed(&s->smtp, &f);
	} else if (s->armed.last)
		smtp_server_expired(&s->smtp);
	else
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
		buf_puts(&b, code == 452 ? NO_SPACE :
					   "the message cannot be stored; try later");
	}
	smtp_server_answer(&s->smtp, code, status, b.p);	/* nothing where the client has left */
	buf_clear(&b);
	go_on(s);
}

void
session_checked(struct session *s, uint64_t question, const char *word)
{
	if (s->checking == 0 || (question != 0 && question != s->checking))
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
reset_at_end(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void
reset_connection(int fd)
{
	reset_at_end(fd);
	close(fd);
}

/* What the client's line says of TLS and limits goes before what the listener says. */
static void
apply_rule(struct session *s)
{
	s->smtp.conf.tls = conf_tls(conf_of(s), s->guest.rule);
	s->client = conf_of(s)->client;
	s->client.cert = conf_client_cert(conf_of(s), s->guest.rule);
	limits_server(&s->guest.limits, &s->smtp.conf.limits);
	s->until_us = clock_passed_us() + (int64_t)s->guest.limits.value[LIMIT_SESSION_TIME] * 1000000;
}

static void
greet(struct session *s)
{
	struct guest_refusal no;

	if (s->in->stopping)
		smtp_server_refuse(&s->smtp, 421, "4.3.2", "shutting down");
	else if (count_sessions(s->in, s->listener) > conf_of(s)->concurrency)
		smtp_server_refuse(&s->smtp, 421, "4.7.0", "too many connections; try later");
	else if (guest_at_door(&s->guest, clock_passed_us(), &no))
		smtp_server_refuse(&s->smtp, no.code, no.status, no.text);
	else
		smtp_server_greet(&s->smtp);
}

static void
refuse_tcp(struct session *s)
{
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_POLICY, "refused by the host table");
	reset_at_end(io_fd(s->io));
	io_abort(s->io);
	s->io = NULL;
	smtp_server_lost(&s->smtp, &f);
}

/* It is known who the client is. */
static void
open_door(struct session *s)
{
	apply_rule(s);
	tell_connect(s);
	if (guest_is_tcprefused(&s->guest))
		refuse_tcp(s);
	else if (conf_of(s)->protocol == CONF_SMTPS) {
		io_resume(s->io);
		begin_tls(s);
	} else
		greet(s);
	drive(s, "", 0);
	settle(s);
}

/* The name has come, or it has not. */
static void
welcome(struct session *s, enum names_state state, const char *name)
{
	s->naming = 0;
	guest_named(&s->guest, state, state == NAMES_CONFIRMED ? name : NULL);
	if (s->smtp.stage == SMTP_SERVER_AT_CONNECT)
		open_door(s);
}

void
session_named(struct session *s, uint64_t serial, enum names_state state, const char *name)
{
	if (s->naming && s->serial == serial)
		welcome(s, state, name);
}

static void
ask_name(struct session *s)
{
	struct buf b = BUF_INIT;
	char slot[24], serial[24];

	s->naming = 1;
	/* There the client speaks first, and not to us. */
	if (conf_of(s)->protocol == CONF_SMTPS)
		io_pause(s->io);
	snprintf(slot, sizeof slot, "%zu", s->slot);
	snprintf(serial, sizeof serial, "%" PRIu64, s->serial);
	table_put(&b, "name", slot, serial, s->guest.client, (char *)NULL);
	if (s->in->names != NULL)
		channel_send(s->in->names, b.p, b.len, -1);
	buf_clear(&b);
	settle(s);
}

static struct session *
session_new(struct in *in, size_t listener, const struct guest *guest, const struct arrival *from)
{
	struct session *s = xcalloc(1, sizeof *s);

	s->in = in;
	s->listener = listener;
	s->guest = *guest;
	s->from = *from;
	s->serial = ++in->sessions_seen;
	snprintf(s->name, sizeof s->name, "%s.%" PRIu64, in->start->role.name, s->serial);
	s->slot = take_slot(in, s);
	atomic_fetch_add(own_count(in, listener), 1);
	in->nsessions++;
	evtimer_assign(&s->timer, in->role.base, on_timer, s);
	smtp_server_init(&s->smtp, &in->server[listener]);
	apply_rule(s);
	return s;
}

void
session_start(struct in *in, size_t listener, int fd, const struct arrival *from)
{
	struct fail f = FAIL_INIT;
	struct guest guest;
	struct session *s;

	guest_enter(&guest, &in->house[listener], from->family, from->addr);
	s = session_new(in, listener, &guest, from);
	if ((s->io = io_accept(in->role.base, fd, &handlers, s, &f)) == NULL) {
		smtp_server_lost(&s->smtp, &f);
		s->closing = 1;
		settle(s);
		return;
	}
	/* Where all is full nobody waits for a name. */
	if (guest_wants_name(&s->guest) && count_sessions(in, listener) <= conf_of(s)->concurrency)
		ask_name(s);
	else
		open_door(s);
}
