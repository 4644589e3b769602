/*
 * The certificate of a live server: io below, smtp_client above it where STARTTLS comes first.
 *
 * Its addresses are tried one after the other until one has shown a certificate.  Nothing is verified: the
 * record is to be made of what the server shows, and whether that is its own only its owner can say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "alloc.h"
#include "gen.h"
#include "io.h"
#include "log.h"
#include "name.h"
#include "smtp_client.h"
#include "tls.h"

struct live {
	const struct job *job;
	SSL_CTX *ctx;
	struct io *io;
	struct smtp_client client;
	struct tls_info tls;
	struct fail fail;
	int starttls, over;
};

/* Where TLS begins at once: IANA's list of services. */
static const uint16_t implicit[] = { 443, 465, 636, 853, 993, 995 };

static int
wants_starttls(const struct job *j)
{
	size_t i;

	if (j->starttls != -1)
		return j->starttls;
	for (i = 0; i < sizeof implicit / sizeof implicit[0]; i++)
		if (j->connect.port == implicit[i])
			return 0;
	return 1;
}

static void
give_up(struct live *l)
{
	io_abort(l->io);
	l->io = NULL;
	l->over = 1;
}

static void
begin_tls(struct live *l)
{
	const char *host = l->job->connect.host;
	SSL *ssl = tls_client(l->ctx, text_is_address(host) ? NULL : host, &l->fail);

	if (ssl == NULL) {
		give_up(l);
		return;
	}
	io_deadline(l->io, l->job->dns.timeout_ms);
	io_start_tls(l->io, ssl, IO_TLS_CLIENT);
}

static void
send_out(struct live *l)
{
	if (l->client.out.len == 0)
		return;
	io_write(l->io, l->client.out.p, l->client.out.len);
	buf_drop(&l->client.out, l->client.out.len);
	io_deadline(l->io, l->job->dns.timeout_ms);
}

static void
go_on(struct live *l, enum smtp_want want)
{
	if (want == SMTP_WANT_INPUT)
		send_out(l);
	else if (want == SMTP_WANT_TLS)
		begin_tls(l);
	else {
		l->fail = l->client.fail;
		give_up(l);
	}
}

static void
on_connected(struct io *io, void *arg)
{
	struct live *l = arg;

	io_deadline(io, l->job->dns.timeout_ms);
	if (!l->starttls)
		begin_tls(l);
}

static size_t
on_input(struct io *io, const char *p, size_t n, void *arg)
{
	struct live *l = arg;

	(void)io;
	if (l->starttls && !l->over)
		go_on(l, smtp_client_feed(&l->client, p, n));
	return n;
}

static void
on_tls_done(struct io *io, void *arg)
{
	struct live *l = arg;

	tls_info_get(io_ssl0(io), &l->tls);
	if (l->starttls)
		io_write(l->io, "QUIT\r\n", 6);	/* at any time: RFC 5321 4.1.1.10 */
	io_close(l->io);
	l->io = NULL;
	l->over = 1;
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *why, void *arg)
{
	struct live *l = arg;

	(void)io;
	l->io = NULL;
	l->over = 1;
	if (l->starttls && end == IO_END_EOF && l->client.stage != SMTP_STAGE_HANDSHAKE) {
		smtp_client_eof(&l->client);
		l->fail = l->client.fail;
	} else
		l->fail = *why;
}

static const struct io_handlers handlers = { .connected = on_connected, .input = on_input,
	.tls_done = on_tls_done, .closed = on_closed };

/* 1: there is a certificate; 0: not at this address, and why in l->fail. */
static int
try_address(struct live *l, struct event_base *base, const struct endpoint *at, const char *ehlo)
{
	struct smtp_client_conf conf = { .ehlo = ehlo, .use_tls = SMTP_TLS_REQUIRED };
	struct sockaddr_storage ss;
	socklen_t len = endpoint_sockaddr(at, &ss);

	l->over = 0;
	l->fail = (struct fail)FAIL_INIT;
	smtp_client_init(&l->client, &conf);
	l->io = io_connect(base, (struct sockaddr *)&ss, len, NULL, &handlers, l, &l->fail);
	if (l->io != NULL) {
		io_deadline(l->io, l->job->dns.timeout_ms);
		while (!l->over && event_base_loop(base, EVLOOP_ONCE) != -1)
			;
	}
	smtp_client_clear(&l->client);
	if (l->tls.cert != NULL)
		return 1;
	if (l->fail.kind == FAIL_NONE)
		fail(&l->fail, FAIL_PEER, "shows no certificate");
	fail_prefix(&l->fail, "%s@%u", at->host, at->port);
	return 0;
}

/* This host's name where it is one that a server may be told; RFC 5321 4.1.3 has a literal otherwise. */
static const char *
own_name(char name[NAME_LEN_MAX + 1])
{
	if (gethostname(name, NAME_LEN_MAX + 1) == 0 && memchr(name, '\0', NAME_LEN_MAX + 1) != NULL &&
	    name_is_host(name, 0))
		return name;
	return "[127.0.0.1]";
}

static size_t
find_addresses(const struct job *j, struct endpoint *out, struct fail *f)
{
	struct addresses a;
	struct step s;
	size_t n = 0;

	if (text_is_address(j->connect.host)) {
		out[0] = j->connect;
		return 1;
	}
	if (step_open(&s, j, f) == -1)
		return 0;
	addresses_ask(&s, j->connect.host, &a);
	step_wait(&s);
	n = addresses_take(&a, j->connect.port, out, f);
	step_close(&s);
	return n;
}

static void
take(struct live *l, struct source *s)
{
	s->leaf = l->tls.cert;
	s->chain = l->tls.chain;
	l->tls.cert = NULL;
	l->tls.chain = NULL;
	X509_free(sk_X509_shift(s->chain));
	s->sent = 1;
}

/* Who publishes what an attacker showed locks the true server out. */
static void
say_origin(const struct job *j, const struct source *s)
{
	struct cert_names names;
	size_t i;

	talk(s->what, "nobody vouches for this certificate: compare it with the server's own before its records "
	    "are published");
	if (text_is_address(j->connect.host) || j->form == FORM_RDATA)
		return;
	cert_dns_names(s->leaf, &names);
	for (i = 0; i < names.n && !name_matches(j->connect.host, names.v[i]); i++)
		;
	if (i == names.n && j->nowner == 0)
		talk(s->what, "not among the certificate's names, so it gets no record: --owner names it");
	cert_names_clear(&names);
}

int
connect_read(const struct job *j, struct source *s, struct fail *f)
{
	struct live l = { .job = j, .starttls = wants_starttls(j) };
	struct endpoint at[STEP_ADDRESSES_MAX];
	char name[NAME_LEN_MAX + 1];
	size_t n = find_addresses(j, at, f), i;
	struct event_base *base = NULL;
	int found = 0;

	s->what = j->connect.host;
	if (n == 0 || (l.ctx = tls_client_ctx(TLS_LAX, f)) == NULL)
		return -1;
	if ((base = event_base_new()) == NULL)
		alloc_failed();
	for (i = 0; i < n && !found; i++)
		found = try_address(&l, base, &at[i], own_name(name));
	event_base_dispatch(base);
	if (found) {
		take(&l, s);
		say_origin(j, s);
	} else
		*f = l.fail;
	tls_info_clear(&l.tls);
	SSL_CTX_free(l.ctx);
	event_base_free(base);
	return found ? 0 : -1;
}
