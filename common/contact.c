#include "contact.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "io.h"
#include "ossl.h"
#include "text.h"

static void
seen_is(struct contact *c, enum seen_end end, const char *text)
{
	c->seen.end = end;
	free(c->seen_text);
	c->seen_text = xstrdup(text);
	c->seen.text = c->seen_text;
}

/* Once for a contact: what comes later belongs to the message, not to the host. */
static void
judge(struct contact *c)
{
	if (c->judged)
		return;
	c->judged = 1;
	c->seen.proof = &c->proof;
	c->seen.fell_back = c->fell_back;
	policy_judge(c->target.host, &c->seen, &c->verdict);
}

static void
over(struct contact *c)
{
	if (c->ended)
		return;
	c->ended = 1;
	judge(c);
	c->handlers->ended(c, c->arg);
}

/* What the connection still does it does without us. */
static void
disown_tls(struct contact *c)
{
	SSL *ssl = c->io != NULL ? io_ssl0(c->io) : NULL;

	if (ssl != NULL)
		SSL_set_app_data(ssl, NULL);
}

static void
drop(struct contact *c)
{
	disown_tls(c);
	io_abort(c->io);
	c->io = NULL;
}

static void
let_go(struct contact *c)
{
	if (c->io == NULL)
		return;
	if (c->client.out.len > 0)
		io_write(c->io, c->client.out.p, c->client.out.len);
	buf_drop(&c->client.out, c->client.out.len);
	disown_tls(c);
	io_close(c->io);
	c->io = NULL;
}

/* A peer that breaks off while TLS is set up has failed it. */
enum seen_end
contact_end_seen(const struct smtp_client *c)
{
	switch (c->end) {
	case SMTP_END_BANNER_PERM:
		return SEEN_REFUSED;
	case SMTP_END_EHLO_REFUSED:
		return c->last.code >= 500 ? SEEN_REFUSED : SEEN_TEMPORARY;
	case SMTP_END_NO_ESMTP:
	case SMTP_END_NO_STARTTLS:
		return SEEN_NO_STARTTLS;
	case SMTP_END_STARTTLS_REFUSED:
		return SEEN_STARTTLS_REFUSED;
	case SMTP_END_INJECTION:
		return SEEN_INJECTION;
	case SMTP_END_HANDSHAKE:
		return SEEN_HANDSHAKE_FAILED;
	case SMTP_END_PROTOCOL:
		return SEEN_PROTOCOL;
	default:
		return SEEN_TEMPORARY;
	}
}

static const char *const trouble_names[CONTACT_TROUBLES] = { [CONTACT_TROUBLE_NONE] = "none",
	[CONTACT_TROUBLE_NO_ESMTP] = "no-esmtp", [CONTACT_TROUBLE_NO_STARTTLS] = "no-starttls",
	[CONTACT_TROUBLE_STARTTLS_REFUSED] = "starttls-refused", [CONTACT_TROUBLE_HANDSHAKE] = "handshake",
	[CONTACT_TROUBLE_VERIFICATION] = "verification", [CONTACT_TROUBLE_PASSWORD] = "password" };

const char *
contact_trouble_name(enum contact_trouble trouble)
{
	return trouble_names[trouble];
}

int
contact_trouble_find(const char *name)
{
	int i;

	for (i = 0; i < CONTACT_TROUBLES; i++)
		if (strcmp(trouble_names[i], name) == 0)
			return i;
	return -1;
}

int
contact_trouble_is_tls(enum contact_trouble trouble)
{
	return trouble != CONTACT_TROUBLE_NONE && trouble != CONTACT_TROUBLE_PASSWORD;
}

enum contact_trouble
contact_trouble(const struct contact *c)
{
	if (c->no_password)
		return CONTACT_TROUBLE_PASSWORD;
	if (c->was_ready || c->verdict.word != VERDICT_SKIP)
		return CONTACT_TROUBLE_NONE;
	switch (c->seen.end) {
	case SEEN_READY:
		/* Under a chain that is good REQUIRETLS is what is missing. */
		return c->seen.tls && !proof_suffices(c->target.host, &c->proof) ? CONTACT_TROUBLE_VERIFICATION :
		    CONTACT_TROUBLE_NONE;
	case SEEN_NO_STARTTLS:
		return c->client.esmtp ? CONTACT_TROUBLE_NO_STARTTLS : CONTACT_TROUBLE_NO_ESMTP;
	case SEEN_STARTTLS_REFUSED:
		return CONTACT_TROUBLE_STARTTLS_REFUSED;
	case SEEN_HANDSHAKE_FAILED:
	case SEEN_INJECTION:
		return CONTACT_TROUBLE_HANDSHAKE;
	default:
		return CONTACT_TROUBLE_NONE;
	}
}

/* A peer that took HELO only is told apart from one that has ESMTP without STARTTLS. */
static void
not_offered(struct contact *c)
{
	seen_is(c, SEEN_NO_STARTTLS,
	    c->client.esmtp ? "STARTTLS is not offered" : "the host knows no ESMTP");
}

static void dial(struct contact *, enum smtp_use_tls);

/* RFC 3207 4.1, RFC 7435: once more in clear text, where the policy has it so. */
static int
fall_back(struct contact *c)
{
	if (c->fell_back != NULL || c->client.end != SMTP_END_HANDSHAKE ||
	    !policy_falls_back(c->target.host, SEEN_HANDSHAKE_FAILED))
		return 0;
	c->fell_back = xstrdup(c->client.fail.text);
	drop(c);
	smtp_client_clear(&c->client);
	c->connected = 0;
	dial(c, SMTP_TLS_NEVER);
	return 1;
}

/* The reply alone: that it is one to STARTTLS is what policy says of it. */
static void
refused_starttls(struct contact *c)
{
	struct buf why = BUF_INIT;

	smtp_reply_print(&why, &c->client.starttls);
	seen_is(c, SEEN_STARTTLS_REFUSED, why.p);
	buf_clear(&why);
}

/* There is a session, but not for us. */
static void
not_authenticated(struct contact *c, const char *rule, const char *why)
{
	verdict_clear(&c->verdict);
	c->verdict.word = VERDICT_INCONCLUSIVE;
	c->verdict.rule = rule;
	c->verdict.why = xstrdup(why);
}

static void
session_ended(struct contact *c)
{
	if (fall_back(c))
		return;
	if (c->was_ready)
		;
	else if (c->judged) {
		not_authenticated(c, "RFC 4954 6", c->client.fail.text);
		c->no_password = c->client.end == SMTP_END_AUTH && c->client.last.code / 100 != 4;
	} else if (c->client.end == SMTP_END_NO_ESMTP || c->client.end == SMTP_END_NO_STARTTLS)
		not_offered(c);
	else if (c->client.end == SMTP_END_STARTTLS_REFUSED)
		refused_starttls(c);
	else
		seen_is(c, contact_end_seen(&c->client), c->client.fail.text);
	over(c);
}

static void go_on(struct contact *, enum smtp_want);

/*
 * The one place from which a password goes out: whoever only listens, or answers in the host's place, must not get it.
 * That the host's name follows from the configuration, or by DNSSEC, is part of that.
 */
static void
log_in(struct contact *c)
{
	if (c->seen.tls && c->verdict.word == VERDICT_AUTH && c->verdict.bound) {
		go_on(c, smtp_client_auth(&c->client, c->target.user, c->target.password));
		return;
	}
	not_authenticated(c, "local", c->verdict.word == VERDICT_AUTH ?
	    "no password is sent: the host is authenticated by a name that came without DNSSEC" :
	    "no password is sent: the host is not authenticated by TLS");
	c->no_password = 1;
	contact_quit(c);
	over(c);
}

static void
session_ready(struct contact *c)
{
	c->seen.requiretls = c->seen.tls && (c->client.caps_tls.bits & SMTP_CAP_REQUIRETLS) != 0;
	if (c->client.starttls_refused)
		refused_starttls(c);
	else if (!c->seen.tls && c->target.host->need != PLAN_CLEAR && c->fell_back == NULL)
		not_offered(c);
	else
		seen_is(c, SEEN_READY, "");
	judge(c);
	io_deadline(c->io, 0);
	/* A session that the plan does not let mail through is of no more use. */
	if (c->verdict.word > VERDICT_CLEAR) {
		contact_quit(c);
		over(c);
		return;
	}
	if (c->target.user != NULL && !c->client.authenticated) {
		log_in(c);
		return;
	}
	c->was_ready = 1;
	c->handlers->ready(c, c->arg);
}

/* RFC 5321 4.5.3.2: whoever hangs up sooner behind the final dot sends everything once more. */
static const int patience_s[SMTP_STAGES] = {
	[SMTP_STAGE_BANNER] = 300,
	[SMTP_STAGE_EHLO] = 300,
	[SMTP_STAGE_HELO] = 300,
	[SMTP_STAGE_STARTTLS] = 300,
	[SMTP_STAGE_HANDSHAKE] = 300,
	[SMTP_STAGE_EHLO_TLS] = 300,
	[SMTP_STAGE_AUTH] = 300,
	[SMTP_STAGE_ORDER] = 300,
	[SMTP_STAGE_RSET] = 300,
	[SMTP_STAGE_MAIL] = 300,
	[SMTP_STAGE_RCPT] = 300,
	[SMTP_STAGE_DATA] = 120,
	[SMTP_STAGE_BODY] = 180,	/* for the peer to take what was written */
	[SMTP_STAGE_DOT] = 600,
	[SMTP_STAGE_DONE] = 60,
};

static unsigned
patience_of(const struct contact *c)
{
	const struct contact_times *t = &c->conf.times;
	unsigned said = c->client.stage == SMTP_STAGE_BODY ? t->data : c->client.stage == SMTP_STAGE_DOT ? t->end :
	    c->client.stage == SMTP_STAGE_DONE ? 0 : t->command;

	return said != 0 ? said : (unsigned)patience_s[c->client.stage];
}

int64_t
contact_longest(const struct contact_times *t, size_t recipients, uint64_t pieces)
{
	int64_t connect = t->connect != 0 ? t->connect : CONTACT_CONNECT_MS / 1000;
	int64_t command = t->command != 0 ? t->command : (unsigned)patience_s[SMTP_STAGE_RCPT];
	int64_t data = t->data != 0 ? t->data : (unsigned)patience_s[SMTP_STAGE_BODY];
	int64_t end = t->end != 0 ? t->end : (unsigned)patience_s[SMTP_STAGE_DOT];

	/* What the client holds back of a piece or of a chunk goes with the next, or with the end. */
	return 2 * connect + (int64_t)(recipients + CONTACT_STEPS) * command + (int64_t)(pieces + 2) * data + end;
}

static void
set_deadline(struct contact *c)
{
	int ms = c->conf.timeout_ms;

	io_deadline(c->io, ms != 0 ? ms : (int)patience_of(c) * 1000);
}

/* SNI is the TLSA base domain where DANE decides (RFC 7672 8.1), else the host's name (RFC 8461 4.2). */
static const char *
sni_of(const struct contact *c)
{
	const struct facts_host *fh = c->target.host->host;
	const char *name = c->target.host->need == PLAN_DANE ? fh->tlsa_base : fh->name;

	if (c->target.sni != NULL)
		name = c->target.sni;
	return text_is_address(name) ? NULL : name;
}

static int
show_identity(SSL *ssl, const struct contact_identity *id, struct fail *f)
{
	ossl_clear();
	if (SSL_use_cert_and_key(ssl, id->cert, id->key, id->chain, 1) == 1)
		return 0;
	return fail_ossl(f, FAIL_SYS, "our certificate");
}

/*
 * Whoever relies on a CA's word wants it sound; any other encryption beats clear text.  A version that
 * the operator allows below 1.2 is not to be had at the strict context's security level.
 */
static SSL *
new_tls(struct contact *c, struct fail *f)
{
	static const int version[] = { [POLICY_TLS_MIN_1_0] = TLS1_VERSION,
		[POLICY_TLS_MIN_1_1] = TLS1_1_VERSION, [POLICY_TLS_MIN_1_2] = TLS1_2_VERSION,
		[POLICY_TLS_MIN_1_3] = TLS1_3_VERSION };
	const struct plan_host *h = c->target.host;
	int strict = plan_need_is_strict(h->need);
	SSL *ssl = tls_client(strict && h->tls_min >= POLICY_TLS_MIN_1_2 ? c->conf.tls_strict :
	    c->conf.tls, sni_of(c), f);

	if (ssl != NULL && c->target.identity != NULL && show_identity(ssl, c->target.identity, f) == -1) {
		SSL_free(ssl);
		return NULL;
	}
	if (ssl != NULL && strict && SSL_set_min_proto_version(ssl, version[h->tls_min]) != 1) {
		fail_ossl(f, FAIL_SYS, "lowest version of TLS");
		SSL_free(ssl);
		ssl = NULL;
	}
	if (ssl != NULL)
		SSL_set_app_data(ssl, c->conf.tls_arg);
	/* One that cannot be offered here is not: the handshake is a full one. */
	if (ssl != NULL && c->conf.session != NULL && SSL_set_session(ssl, c->conf.session) != 1)
		ossl_clear();
	return ssl;
}

static void
begin_tls(struct contact *c)
{
	struct fail f = FAIL_INIT;
	SSL *ssl = new_tls(c, &f);

	if (ssl == NULL) {
		smtp_client_tls_failed(&c->client, &f);
		drop(c);
		session_ended(c);
		return;
	}
	set_deadline(c);
	io_start_tls(c->io, ssl, IO_TLS_CLIENT);
}

static void
send_out(struct contact *c)
{
	if (c->client.out.len == 0)
		return;
	io_write(c->io, c->client.out.p, c->client.out.len);
	buf_drop(&c->client.out, c->client.out.len);
	set_deadline(c);
}

static void
go_on(struct contact *c, enum smtp_want want)
{
	switch (want) {
	case SMTP_WANT_INPUT:
		send_out(c);
		break;
	case SMTP_WANT_TLS:
		begin_tls(c);
		break;
	case SMTP_WANT_ORDER:
		session_ready(c);
		break;
	case SMTP_WANT_BODY:
		send_out(c);
		if (io_pending_out(c->io) < CONTACT_OUT_HIGH)
			c->handlers->body(c, c->arg);
		break;
	case SMTP_WANT_RESULT:
		send_out(c);
		io_deadline(c->io, 0);
		c->handlers->result(c, c->arg);
		break;
	case SMTP_WANT_CLOSE:
		if (c->client.end == SMTP_END_INJECTION)
			drop(c);
		else
			let_go(c);
		session_ended(c);
		break;
	}
}

static void
note_local(struct contact *c)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof ss;

	if (getsockname(io_fd(c->io), (struct sockaddr *)&ss, &len) == -1)
		return;
	if (ss.ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)&ss)->sin_addr, c->local, sizeof c->local);
	else if (ss.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)&ss)->sin6_addr, c->local,
		    sizeof c->local);
}

static void
on_connected(struct io *io, void *arg)
{
	struct contact *c = arg;

	(void)io;
	c->connected = 1;
	note_local(c);
	set_deadline(c);
	/* RFC 8314 3.3: TLS comes before the first reply. */
	if (c->client.want == SMTP_WANT_TLS)
		begin_tls(c);
}

static size_t
on_input(struct io *io, const char *bytes, size_t n, void *arg)
{
	struct contact *c = arg;

	(void)io;
	go_on(c, smtp_client_feed(&c->client, bytes, n));
	return n;
}

static void
on_drained(struct io *io, void *arg)
{
	struct contact *c = arg;

	(void)io;
	if (c->client.want == SMTP_WANT_BODY)
		c->handlers->body(c, c->arg);
}

/* What cannot be verified at all suffices for no need, and says why. */
static int
verify_peer(struct contact *c)
{
	struct proof_ask ask = { .host = c->target.host, .facts = c->target.facts,
		.trust = c->conf.trust, .now = time(NULL) };
	struct finding *found = ask.host->need == PLAN_DANE ? &c->proof.dane :
	    ask.host->need == PLAN_STS ? &c->proof.sts : &c->proof.level;
	struct fail f = FAIL_INIT;

	if (proof_make(c->tls.chain, &ask, &c->proof, &f) == 0)
		return proof_suffices(ask.host, &c->proof);
	finding_clear(found);
	found->result = VERIFY_NO_MATCH;
	found->matched = found->depth = found->reference = -1;
	found->rule = "local";
	found->why = xstrdup(f.text);
	return proof_suffices(ask.host, &c->proof);
}

static void
on_tls_done(struct io *io, void *arg)
{
	struct contact *c = arg;

	c->seen.tls = 1;
	tls_info_get(io_ssl0(io), &c->tls);
	if (!verify_peer(c)) {
		/* Nothing more is said to such a host. */
		disown_tls(c);
		io_close(c->io);
		c->io = NULL;
		seen_is(c, SEEN_READY, "");
		over(c);
		return;
	}
	go_on(c, smtp_client_tls_done(&c->client));
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *why, void *arg)
{
	struct contact *c = arg;

	(void)io;
	c->io = NULL;
	if (!c->connected) {
		seen_is(c, SEEN_NO_CONNECTION, why->text);
		smtp_client_lost(&c->client, why);
		over(c);
		return;
	}
	/* With implicit TLS that is a server that speaks first, without it. */
	if (end == IO_END_INJECTION && !c->client.conf.implicit_tls) {
		seen_is(c, SEEN_INJECTION, why->text);
		smtp_client_lost(&c->client, why);
		over(c);
		return;
	}
	if (c->client.stage == SMTP_STAGE_HANDSHAKE)
		smtp_client_tls_failed(&c->client, why);
	else if (end == IO_END_EOF)
		smtp_client_eof(&c->client);
	else
		smtp_client_lost(&c->client, why);
	session_ended(c);
}

static const struct io_handlers io_handlers = {
	.connected = on_connected,
	.input = on_input,
	.tls_done = on_tls_done,
	.drained = on_drained,
	.closed = on_closed,
};

/* A switch, so that the compiler asks for every new need. */
static enum smtp_use_tls
tls_for(enum plan_need need)
{
	switch (need) {
	case PLAN_CLEAR:
		return SMTP_TLS_NEVER;
	case PLAN_MAY:
		return SMTP_TLS_IF_OFFERED;
	case PLAN_ENCRYPT:
	case PLAN_PKIX:
	case PLAN_STS:
	case PLAN_DANE:
		break;
	}
	return SMTP_TLS_REQUIRED;
}

/* The socket could not even be made; told from the loop like everything else. */
static void
on_no_socket(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	over(arg);
}

static struct io *
connect_address(struct contact *c, struct fail *f)
{
	struct sockaddr_storage ss, source;
	socklen_t len = facts_sockaddr(c->target.addr, c->target.port, &ss);

	if (c->target.source != NULL)
		facts_sockaddr(c->target.source, 0, &source);
	return io_connect(c->conf.base, (struct sockaddr *)&ss, len, c->target.source != NULL ?
	    (struct sockaddr *)&source : NULL, &io_handlers, c, f);
}

static struct io *
connect_path(struct contact *c, const char *path, struct fail *f)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n >= sizeof sun.sun_path) {
		fail(f, FAIL_SYS, "%.200s: too long a path", path);
		return NULL;
	}
	memcpy(sun.sun_path, path, n + 1);
	return io_connect(c->conf.base, (struct sockaddr *)&sun, sizeof sun, NULL, &io_handlers, c, f);
}

/* The socket that was handed in, which is used up by that. */
static struct io *
take_socket(struct contact *c, struct fail *f)
{
	int fd = c->fd;

	c->fd = -1;
	c->connected = 1;
	return io_accept(c->conf.base, fd, &io_handlers, c, f);
}

static void
dial(struct contact *c, enum smtp_use_tls use_tls)
{
	const struct facts_host *fh = c->target.host->host;
	struct smtp_client_conf client = { .ehlo = c->conf.ehlo, .use_tls = use_tls,
		.lmtp = fh->protocol == FACTS_LMTP, .implicit_tls = fh->protocol == FACTS_SMTPS,
		.chunking = c->conf.chunking ? SMTP_CHUNK_SIZE : 0 };
	int ms = c->conf.times.connect != 0 ? (int)c->conf.times.connect * 1000 : CONTACT_CONNECT_MS;
	struct timeval now = { 0, 0 };
	struct fail f = FAIL_INIT;

	smtp_client_init(&c->client, &client);
	c->io = c->fd != -1 ? take_socket(c, &f) : fh->path != NULL ? connect_path(c, fh->path, &f) :
	    connect_address(c, &f);
	if (c->io != NULL && c->connected) {
		set_deadline(c);
		return;
	}
	if (c->io != NULL) {
		io_deadline(c->io, c->conf.timeout_ms != 0 ? c->conf.timeout_ms : ms);
		return;
	}
	c->connected = 0;
	seen_is(c, SEEN_NO_CONNECTION, f.text);
	if ((c->later = evtimer_new(c->conf.base, on_no_socket, c)) == NULL ||
	    event_add(c->later, &now) == -1)
		alloc_failed();
}

void
contact_start(struct contact *c, const struct contact_conf *conf,
    const struct contact_target *target, const struct contact_handlers *handlers, void *arg)
{
	contact_start_on(c, conf, target, handlers, arg, -1);
}

void
contact_start_on(struct contact *c, const struct contact_conf *conf, const struct contact_target *target,
    const struct contact_handlers *handlers, void *arg, int fd)
{
	memset(c, 0, sizeof *c);
	c->fd = fd;
	c->conf = *conf;
	if (c->conf.session != NULL && SSL_SESSION_up_ref(c->conf.session) != 1)
		c->conf.session = NULL;
	c->target = *target;
	c->handlers = handlers;
	c->arg = arg;
	c->proof.dane.matched = c->proof.dane.depth = -1;
	dial(c, tls_for(target->host->need));
}

void
contact_send(struct contact *c, const struct smtp_transaction *order)
{
	go_on(c, smtp_client_send(&c->client, order));
}

static void
on_more(evutil_socket_t fd, short what, void *arg)
{
	struct contact *c = arg;

	(void)fd;
	(void)what;
	if (c->io != NULL && c->client.want == SMTP_WANT_BODY)
		c->handlers->body(c, c->arg);
}

/* Nothing went out, so that nobody says when it has. */
static void
ask_for_more(struct contact *c)
{
	struct timeval now = { 0, 0 };

	if ((c->more == NULL && (c->more = evtimer_new(c->conf.base, on_more, c)) == NULL) ||
	    event_add(c->more, &now) == -1)
		alloc_failed();
}

void
contact_body(struct contact *c, const char *p, size_t n)
{
	enum smtp_want want = smtp_client_body(&c->client, p, n);

	if (c->client.out.len > 0)
		send_out(c);
	else if (want == SMTP_WANT_BODY && io_pending_out(c->io) == 0)
		ask_for_more(c);
}

void
contact_body_end(struct contact *c)
{
	go_on(c, smtp_client_body_end(&c->client));
}

void
contact_quit(struct contact *c)
{
	smtp_client_quit(&c->client);
	let_go(c);
}

void
contact_clear(struct contact *c)
{
	drop(c);
	if (c->later != NULL)
		event_free(c->later);
	if (c->more != NULL)
		event_free(c->more);
	c->more = NULL;
	c->later = NULL;
	SSL_SESSION_free(c->conf.session);
	c->conf.session = NULL;
	smtp_client_clear(&c->client);
	tls_info_clear(&c->tls);
	proof_clear(&c->proof);
	verdict_clear(&c->verdict);
	free(c->seen_text);
	free(c->fell_back);
	c->seen_text = c->fell_back = NULL;
}
