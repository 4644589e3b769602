/*
 * probe - one connection to one address: a socket and its TLS (io) driven by an SMTP client without
 * a socket (smtp_client).  What was seen is handed to policy_judge(); nothing is decided here.
 */
#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "cert.h"
#include "check.h"
#include "log.h"
#include "text.h"

static void
seen_is(struct probe *p, enum seen_end end, const char *text)
{
	p->seen.end = end;
	free(p->seen_text);
	p->seen_text = xstrdup(text);
	p->seen.text = p->seen_text;
}

static void
done(struct probe *p)
{
	if (p->done)
		return;
	p->done = 1;
	p->seen.finding = &p->finding;
	policy_judge(p->host, &p->seen, &p->verdict);
	check_probe_done(p);
}

/* What the session's end says to policy.  A peer that breaks off while TLS is set up has failed it.
 */
static enum seen_end
end_seen(const struct probe *p)
{
	const struct smtp_client *c = &p->client;

	switch (c->end) {
	case SMTP_END_BANNER_PERM:
		return SEEN_REFUSED;
	case SMTP_END_EHLO_REFUSED:
		return c->last.code >= 500 ? SEEN_REFUSED : SEEN_TEMPORARY;
	case SMTP_END_STARTTLS_REFUSED:
		return SEEN_STARTTLS_REFUSED;
	case SMTP_END_INJECTION:
		return SEEN_INJECTION;
	case SMTP_END_HANDSHAKE:
		return SEEN_HANDSHAKE_FAILED;
	case SMTP_END_PROTOCOL:
		return SEEN_PROTOCOL;
	case SMTP_END_EOF:
	case SMTP_END_LOST:
		return c->stage_at_end == SMTP_STAGE_HANDSHAKE ? SEEN_HANDSHAKE_FAILED
							       : SEEN_TEMPORARY;
	default:
		return SEEN_TEMPORARY;
	}
}

/* A peer that took HELO only is told apart from one that has ESMTP without STARTTLS. */
static void
not_offered(struct probe *p)
{
	seen_is(p, SEEN_NO_STARTTLS, p->client.esmtp ? "STARTTLS is not offered" :
						       "the host knows no ESMTP, only HELO");
}

static void
session_ended(struct probe *p)
{
	if (p->client.end == SMTP_END_NO_ESMTP || p->client.end == SMTP_END_NO_STARTTLS)
		not_offered(p);
	else
		seen_is(p, end_seen(p), p->client.fail.text);
	done(p);
}

/* A session that could take mail: say goodbye, without waiting for the answer. */
static void
session_ready(struct probe *p)
{
	struct buf why = BUF_INIT;

	if (p->client.starttls_refused) {
		smtp_reply_print(&why, &p->client.starttls);
		seen_is(p, SEEN_STARTTLS_REFUSED, why.p);
	} else if (!p->seen.tls && p->host->need != PLAN_CLEAR)
		not_offered(p);
	else
		seen_is(p, SEEN_READY, "");
	buf_clear(&why);
	smtp_client_quit(&p->client);
	io_write(p->io, p->client.out.p, p->client.out.len);
	io_close(p->io);
	p->io = NULL;
	done(p);
}

/* SNI is the TLSA base domain where DANE decides (RFC 7672 8.1), else the host's name. */
static const char *
sni_of(const struct probe *p)
{
	const struct facts_host *fh = p->host->host;
	const char *name = p->host->need == PLAN_DANE ? fh->tlsa_base : fh->name;

	return text_is_address(name) ? NULL : name;
}

static void
begin_tls(struct probe *p)
{
	struct fail f = FAIL_INIT;
	SSL *ssl = tls_client(p->check->env->tls, sni_of(p), &f);

	if (ssl == NULL) {
		smtp_client_tls_failed(&p->client, &f);
		io_abort(p->io);
		p->io = NULL;
		session_ended(p);
		return;
	}
	io_deadline(p->io, p->check->env->conf.timeout_ms);
	io_start_tls(p->io, ssl, IO_TLS_CLIENT);
}

static void
go_on(struct probe *p, enum smtp_want want)
{
	if (p->client.out.len > 0 && want != SMTP_WANT_ORDER) {
		io_write(p->io, p->client.out.p, p->client.out.len);
		buf_drop(&p->client.out, p->client.out.len);
		io_deadline(p->io, p->check->env->conf.timeout_ms);
	}
	switch (want) {
	case SMTP_WANT_INPUT:
		break;
	case SMTP_WANT_TLS:
		begin_tls(p);
		break;
	case SMTP_WANT_ORDER:
		session_ready(p);
		break;
	case SMTP_WANT_BODY:
	case SMTP_WANT_RESULT:
		abort();	/* no order was given */
	case SMTP_WANT_CLOSE:
		if (p->client.end == SMTP_END_INJECTION)
			io_abort(p->io);
		else
			io_close(p->io);
		p->io = NULL;
		session_ended(p);
		break;
	}
}

static void
on_connected(struct io *io, void *arg)
{
	struct probe *p = arg;

	p->connected = 1;
	io_deadline(io, p->check->env->conf.timeout_ms);
}

static size_t
on_input(struct io *io, const char *bytes, size_t n, void *arg)
{
	struct probe *p = arg;

	(void)io;
	go_on(p, smtp_client_feed(&p->client, bytes, n));
	return n;
}

/* Reference identities for usage 2 beside the base domain (RFC 7672 3.2.2): names that follow from
 * the destination securely. */
static size_t
reference_names(const struct probe *p, const char **names)
{
	const struct facts *f = p->check->facts;
	size_t n = 0;

	if (f->mx_sec != DNS_SECURE)
		return 0;
	if (f->mx != FACTS_MX_LOCAL)
		names[n++] = f->domain;
	if (f->mx_canonical != NULL)
		names[n++] = f->mx_canonical;
	names[n++] = p->host->host->name;
	return n;
}

static int
verify_peer(struct probe *p)
{
	const struct facts_host *fh = p->host->host;
	const char *names[3];
	struct verify_dane v = { .tlsa = fh->tlsa, .ntlsa = fh->ntlsa, .base = fh->tlsa_base,
		.names = names, .now = time(NULL) };
	struct fail f = FAIL_INIT;

	v.nnames = reference_names(p, names);
	if (verify_dane(p->tls.chain, &v, &p->finding, &f) == 0)
		return p->finding.result == VERIFY_MATCH;
	p->finding.result = VERIFY_NO_MATCH;
	p->finding.rule = "local";
	p->finding.why = xstrdup(f.text);
	return 0;
}

/* Whoever meets such a certificate says so: nothing that counts should rest on it. */
static void
warn_of_demo(const struct probe *p)
{
	if (p->tls.cert != NULL && cert_is_demo(p->tls.cert))
		talk(p->host->host->name, "shows a demonstration certificate: for trials only");
}

static void
on_tls_done(struct io *io, void *arg)
{
	struct probe *p = arg;

	p->seen.tls = 1;
	tls_info_get(io_ssl0(io), &p->tls);
	warn_of_demo(p);
	if (p->host->need == PLAN_DANE && !verify_peer(p)) {
		/* The relay would say nothing more to such a host. */
		io_close(io);
		p->io = NULL;
		seen_is(p, SEEN_READY, "");
		done(p);
		return;
	}
	go_on(p, smtp_client_tls_done(&p->client));
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *why, void *arg)
{
	struct probe *p = arg;

	(void)io;
	p->io = NULL;
	if (!p->connected) {
		seen_is(p, SEEN_NO_CONNECTION, why->text);
		done(p);
		return;
	}
	if (end == IO_END_INJECTION) {
		seen_is(p, SEEN_INJECTION, why->text);
		done(p);
		return;
	}
	if (p->client.stage == SMTP_STAGE_HANDSHAKE)
		smtp_client_tls_failed(&p->client, why);
	else if (end == IO_END_EOF)
		smtp_client_eof(&p->client);
	else
		smtp_client_lost(&p->client, why);
	session_ended(p);
}

static const struct io_handlers handlers = {
	.connected = on_connected,
	.input = on_input,
	.tls_done = on_tls_done,
	.closed = on_closed,
};

static socklen_t
socket_address(const struct facts_addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof *ss);
	ss->ss_family = a->family;
	if (a->family == AF_INET) {
		sin->sin_port = htons(port);
		sin->sin_addr = a->ip.v4;
		return sizeof *sin;
	}
	sin6->sin6_port = htons(port);
	sin6->sin6_addr = a->ip.v6;
	return sizeof *sin6;
}

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
	case PLAN_DANE:
		break;
	}
	return SMTP_TLS_REQUIRED;
}

void
probe_start(struct probe *p)
{
	const struct check_env *env = p->check->env;
	struct smtp_client_conf conf = { .ehlo = env->conf.ehlo, .use_tls = tls_for(p->host->need) };
	struct sockaddr_storage ss;
	struct fail f = FAIL_INIT;
	socklen_t len = socket_address(p->addr, env->conf.port, &ss);

	smtp_client_init(&p->client, &conf);
	p->io = io_connect(env->base, (struct sockaddr *)&ss, len, NULL, &handlers, p, &f);
	if (p->io == NULL) {
		seen_is(p, SEEN_NO_CONNECTION, f.text);
		done(p);
		return;
	}
	io_deadline(p->io, env->conf.timeout_ms);
}

void
probe_clear(struct probe *p)
{
	io_abort(p->io);
	smtp_client_clear(&p->client);
	tls_info_clear(&p->tls);
	finding_clear(&p->finding);
	verdict_clear(&p->verdict);
	free(p->seen_text);
}
