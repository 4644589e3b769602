#include "reach.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "contact.h"
#include "io.h"
#include "ossl.h"

static int
is_smtp(const struct reach *r)
{
	return r->conf.proto == STARTTLS_SMTP || r->conf.proto == STARTTLS_LMTP;
}

/* ---- the end ---- */

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	struct reach *r = arg;

	(void)fd;
	(void)what;
	if (r->told)
		return;
	r->told = 1;
	r->done(r, r->arg);
}

static void
tell_in(struct reach *r, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (event_add(r->later, &tv) == -1)
		alloc_failed();
}

/* done() is told from the loop, when the stream's own event is over. */
static void
finish(struct reach *r, enum seen_end end, const char *text)
{
	if (!r->running)
		return;
	r->running = 0;
	r->end = end;
	r->text = xstrdup(text);
	tell_in(r, 0);
}

static void
let_go(struct reach *r)
{
	struct buf *out = is_smtp(r) ? &r->smtp.out : &r->starttls.out;

	if (r->io == NULL)
		return;
	if (out->len > 0)
		io_write(r->io, out->p, out->len);
	buf_drop(out, out->len);
	io_close(r->io);
	r->io = NULL;
}

static void
ready(struct reach *r)
{
	if (is_smtp(r))
		smtp_client_quit(&r->smtp);
	else if (r->conf.proto != STARTTLS_NONE)
		starttls_quit(&r->starttls);
	let_go(r);
	finish(r, SEEN_READY, "");
}

static void
smtp_ended(struct reach *r)
{
	if (r->smtp.end == SMTP_END_INJECTION) {
		io_abort(r->io);
		r->io = NULL;
	}
	let_go(r);
	finish(r, contact_end_seen(&r->smtp), r->smtp.fail.text);
}

static enum seen_end
seen_of(enum starttls_end end)
{
	switch (end) {
	case STARTTLS_END_DENIED:
		return SEEN_REFUSED;
	case STARTTLS_END_NOT_OFFERED:
		return SEEN_NO_STARTTLS;
	case STARTTLS_END_REFUSED:
		return SEEN_STARTTLS_REFUSED;
	case STARTTLS_END_INJECTION:
		return SEEN_INJECTION;
	case STARTTLS_END_PROTOCOL:
		return SEEN_PROTOCOL;
	default:
		return SEEN_TEMPORARY;
	}
}

static void
starttls_ended(struct reach *r)
{
	if (r->starttls.end == STARTTLS_END_INJECTION) {
		io_abort(r->io);
		r->io = NULL;
	}
	let_go(r);
	finish(r, seen_of(r->starttls.end), r->starttls.fail.text);
}

/* ---- what is offered ---- */

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct reach *r = SSL_get_app_data(ssl);

	if (r == NULL)
		return 0;
	SSL_SESSION_free(r->session);
	r->session = session;
	/* Nobody waits for more of a server that speaks no protocol that we know. */
	if (r->running && r->up && r->conf.proto == STARTTLS_NONE && r->client != REACH_CLIENT_SENT)
		tell_in(r, 0);
	return 1;
}

SSL_CTX *
reach_ctx(struct fail *f)
{
	SSL_CTX *ctx = tls_client_ctx(TLS_LAX, f);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return ctx;
}

/* Called where the server asks for a certificate, and then only. */
static int
on_cert_wanted(SSL *ssl, void *arg)
{
	struct reach *r = arg;
	const struct identity *id = r->conf.client;
	const STACK_OF(X509_NAME) *cas = SSL_get0_peer_CA_list(ssl);

	r->client_cas = cas != NULL ? sk_X509_NAME_num(cas) : 0;
	r->client = REACH_CLIENT_NONE;
	if (id == NULL)
		return 1;
	r->client = REACH_CLIENT_SENT;
	return SSL_use_cert_and_key(ssl, id->cert, id->key, id->chain, 1);
}

static int
make_offer(SSL *ssl, const struct reach_offer *o)
{
	if (o->sigalgs != NULL && SSL_set1_sigalgs_list(ssl, o->sigalgs) != 1)
		return 0;
	if (o->groups != NULL && SSL_set1_groups_list(ssl, o->groups) != 1)
		return 0;
	if (o->version != 0 && (SSL_set_min_proto_version(ssl, o->version) != 1 ||
	    SSL_set_max_proto_version(ssl, o->version) != 1))
		return 0;
	return o->session == NULL || SSL_set_session(ssl, o->session) == 1;
}

int
reach_can_offer(SSL_CTX *ctx, const struct reach_offer *o)
{
	SSL *ssl = SSL_new(ctx);
	int can;

	if (ssl == NULL)
		alloc_failed();
	can = make_offer(ssl, o);
	SSL_free(ssl);
	ossl_clear();
	return can;
}

static void
begin_tls(struct reach *r)
{
	struct fail f = FAIL_INIT;
	SSL *ssl = tls_client(r->conf.tls, r->sni, &f);

	if (ssl == NULL || !make_offer(ssl, &r->offer)) {
		if (ssl != NULL)
			fail_ossl(&f, FAIL_SYS, "TLS offer");
		SSL_free(ssl);
		let_go(r);
		finish(r, SEEN_HANDSHAKE_FAILED, f.text);
		return;
	}
	SSL_set_app_data(ssl, r);
	SSL_set_cert_cb(ssl, on_cert_wanted, r);
	io_deadline(r->io, r->conf.timeout_ms);
	io_start_tls(r->io, ssl, IO_TLS_CLIENT);
}

/* ---- the protocols ---- */

static void
send_out(struct reach *r, struct buf *out)
{
	if (out->len == 0)
		return;
	io_write(r->io, out->p, out->len);
	buf_drop(out, out->len);
	io_deadline(r->io, r->conf.timeout_ms);
}

static void
go_on_smtp(struct reach *r, enum smtp_want want)
{
	switch (want) {
	case SMTP_WANT_INPUT:
		send_out(r, &r->smtp.out);
		break;
	case SMTP_WANT_TLS:
		begin_tls(r);
		break;
	case SMTP_WANT_ORDER:
		ready(r);
		break;
	default:
		smtp_ended(r);
		break;
	}
}

static void
go_on_starttls(struct reach *r, enum starttls_want want)
{
	switch (want) {
	case STARTTLS_WANT_INPUT:
		send_out(r, &r->starttls.out);
		break;
	case STARTTLS_WANT_TLS:
		begin_tls(r);
		break;
	case STARTTLS_WANT_READY:
		ready(r);
		break;
	case STARTTLS_WANT_CLOSE:
		starttls_ended(r);
		break;
	}
}

static void
on_connected(struct io *io, void *arg)
{
	struct reach *r = arg;

	r->connected = 1;
	io_deadline(io, r->conf.timeout_ms);
	if (r->conf.proto == STARTTLS_NONE)
		begin_tls(r);
	else if (!is_smtp(r))
		go_on_starttls(r, starttls_begin(&r->starttls));
}

static size_t
on_input(struct io *io, const char *bytes, size_t n, void *arg)
{
	struct reach *r = arg;

	(void)io;
	if (is_smtp(r))
		go_on_smtp(r, smtp_client_feed(&r->smtp, bytes, n));
	else if (r->conf.proto != STARTTLS_NONE)
		go_on_starttls(r, starttls_feed(&r->starttls, bytes, n));
	else
		ready(r);
	return n;
}

/*
 * TLS 1.3 is over for the client before the server has looked at its certificate (RFC 8446 4.4.2.4), and
 * tickets come behind the handshake.  Where no protocol has an answer to wait for, we listen a little.
 */
static void
listen_on(struct reach *r)
{
	int wait = SSL_version(io_ssl0(r->io)) >= TLS1_3_VERSION &&
	    (r->session == NULL || r->client == REACH_CLIENT_SENT);

	io_deadline(r->io, 0);
	if (!wait) {
		ready(r);
		return;
	}
	tell_in(r, REACH_LISTEN_MS);
}

static void
on_tls_done(struct io *io, void *arg)
{
	struct reach *r = arg;

	r->up = 1;
	tls_info_get(io_ssl0(io), &r->tls);
	if (is_smtp(r))
		go_on_smtp(r, smtp_client_tls_done(&r->smtp));
	else if (r->conf.proto != STARTTLS_NONE)
		go_on_starttls(r, starttls_tls_done(&r->starttls));
	else
		listen_on(r);
}

/*
 * A server of a protocol that is not ours may close, as long as it does so in peace; but some say in no other
 * way that they want another certificate.
 */
static int
may_close(const struct reach *r, enum io_end end)
{
	return r->conf.proto == STARTTLS_NONE && end == IO_END_EOF && r->client == REACH_CLIENT_NOT_ASKED;
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *why, void *arg)
{
	struct reach *r = arg;

	(void)io;
	r->io = NULL;
	if (!r->connected)
		finish(r, SEEN_NO_CONNECTION, why->text);
	else if (end == IO_END_INJECTION)
		finish(r, r->conf.proto == STARTTLS_NONE ? SEEN_PROTOCOL : SEEN_INJECTION, why->text);
	else if (r->up)
		finish(r, may_close(r, end) ? SEEN_READY : SEEN_TEMPORARY, why->text);
	else if (r->conf.proto == STARTTLS_NONE || r->smtp.stage == SMTP_STAGE_HANDSHAKE ||
	    r->starttls.stage == STARTTLS_STAGE_HANDSHAKE)
		finish(r, SEEN_HANDSHAKE_FAILED, why->text);
	else
		finish(r, SEEN_TEMPORARY, why->text);
}

static const struct io_handlers handlers = {
	.connected = on_connected,
	.input = on_input,
	.tls_done = on_tls_done,
	.closed = on_closed,
};

/* Before the time is up it is listen_on() that waited. */
static void
on_time(evutil_socket_t fd, short what, void *arg)
{
	struct reach *r = arg;

	if (r->running)
		ready(r);
	else
		on_later(fd, what, r);
}

void
reach_start(struct reach *r, const struct reach_conf *conf, const struct reach_offer *offer,
    const struct facts_addr *addr, uint16_t port, const char *sni, void (*done)(struct reach *, void *),
    void *arg)
{
	struct smtp_client_conf smtp = { .ehlo = conf->ehlo, .use_tls = SMTP_TLS_REQUIRED,
		.lmtp = conf->proto == STARTTLS_LMTP };
	struct sockaddr_storage ss;
	struct fail f = FAIL_INIT;
	socklen_t len = facts_sockaddr(addr, port, &ss);

	memset(r, 0, sizeof *r);
	r->conf = *conf;
	r->offer = *offer;
	r->sni = sni;
	r->done = done;
	r->arg = arg;
	r->running = 1;
	if ((r->later = evtimer_new(conf->base, on_time, r)) == NULL)
		alloc_failed();
	if (is_smtp(r))
		smtp_client_init(&r->smtp, &smtp);
	else if (conf->proto != STARTTLS_NONE)
		starttls_init(&r->starttls, conf->proto);
	r->io = io_connect(conf->base, (struct sockaddr *)&ss, len, NULL, &handlers, r, &f);
	if (r->io != NULL)
		io_deadline(r->io, conf->timeout_ms);
	else
		finish(r, SEEN_NO_CONNECTION, f.text);
}

void
reach_clear(struct reach *r)
{
	io_abort(r->io);
	if (r->later != NULL)
		event_free(r->later);
	smtp_client_clear(&r->smtp);
	starttls_clear(&r->starttls);
	tls_info_clear(&r->tls);
	SSL_SESSION_free(r->session);
	free(r->text);
	memset(r, 0, sizeof *r);
}
