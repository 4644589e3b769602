/*
 * Streams over socket pairs and a loopback listener.  A `struct side` is a user of a stream: it
 * logs every callback and does what its row of switches says.  A peer is another side, or a bare
 * socket.
 */
#include "io.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "text.h"
#include "tls.h"
#include "unit.h"

#define PATIENCE_S 20	/* a wait that takes longer is a failure; four of them end the program */

static struct event_base *base;
static SSL_CTX *client_ctx, *server_ctx;

struct side {
	struct io *io;		/* NULL once closed() came or it was given up */
	struct buf log;		/* "connected input:hello closed:eof ..." */
	struct buf got;		/* all input taken */
	struct fail fail;
	enum io_end end;
	int keep;		/* collect input in got, and log it */
	size_t total;		/* octets taken */
	size_t take;		/* octets to take at most from an input */
	size_t to_send;		/* octets still to be streamed, a piece for each drained() */
	size_t pause_every;	/* octets after which to pause until the timer */
	size_t until_pause;
	const char *abort_in;	/* the callback to give up in */
	int close_in_abort;	/* ... with io_close() */
	int tls_on_input;	/* start TLS as a client on input, then take what `take` says */
	const char *echo;	/* what to write on input */
};

/* Runs until nothing is left to wait for. */
static void
run(void)
{
	if (event_base_dispatch(base) == -1)
		abort();
}

/* Turns the loop until the condition holds. */
#define run_until(cond) \
	do { \
		time_t unit_end = time(NULL) + PATIENCE_S; \
		while (!(cond) && time(NULL) < unit_end) \
			event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK); \
	} while (0)

static int
give_up(struct side *s, const char *where)
{
	if (s->abort_in == NULL || strcmp(s->abort_in, where) != 0)
		return 0;
	if (s->close_in_abort)
		io_close(s->io);
	else
		io_abort(s->io);
	s->io = NULL;
	return 1;
}

static void
say(struct side *s, const char *what)
{
	buf_printf(&s->log, "%s%s", s->log.len > 0 ? " " : "", what);
}

static void
on_connected(struct io *io, void *arg)
{
	struct side *s = arg;

	(void)io;
	say(s, "connected");
	give_up(s, "connected");
}

static void
resume(evutil_socket_t fd, short what, void *arg)
{
	struct side *s = arg;

	(void)fd;
	(void)what;
	if (s->io != NULL)
		io_resume(s->io);
}

static void
maybe_pause(struct side *s, size_t n)
{
	static const struct timeval soon = { 0, 1000 };

	if (s->pause_every == 0)
		return;
	if (n < s->until_pause) {
		s->until_pause -= n;
		return;
	}
	s->until_pause = s->pause_every;
	io_pause(s->io);
	event_base_once(base, -1, EV_TIMEOUT, resume, s, &soon);
}

static size_t
on_input(struct io *io, const char *p, size_t n, void *arg)
{
	struct side *s = arg;

	if (s->keep) {
		say(s, "input:");
		buf_escape(&s->log, p, n);
	}
	if (give_up(s, "input"))
		return n;
	if (s->tls_on_input)
		io_start_tls(io, tls_client(client_ctx, NULL, NULL), IO_TLS_CLIENT);
	if (s->echo != NULL)
		io_write(io, s->echo, strlen(s->echo));
	if (n > s->take)
		n = s->take;
	if (s->keep)
		buf_add(&s->got, p, n);
	s->total += n;
	maybe_pause(s, n);
	return n;
}

static void
on_tls_done(struct io *io, void *arg)
{
	struct side *s = arg;

	(void)io;
	say(s, "tls");
	give_up(s, "tls");
}

static void
stream_on(struct side *s)
{
	static char piece[65536];
	size_t n = s->to_send < sizeof piece ? s->to_send : sizeof piece;

	s->to_send -= n;
	if (n > 0)
		io_write(s->io, piece, n);
}

static void
on_drained(struct io *io, void *arg)
{
	struct side *s = arg;

	(void)io;
	if (s->keep)
		say(s, "drained");
	if (!give_up(s, "drained"))
		stream_on(s);
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *f, void *arg)
{
	static const char *const names[] = { "eof", "refused", "reset", "timeout", "tls",
		"injection" };
	struct side *s = arg;

	(void)io;
	say(s, "closed:");
	buf_puts(&s->log, names[end]);
	s->end = end;
	s->fail = *f;
	give_up(s, "closed");
	s->io = NULL;
}

static const struct io_handlers handlers = { on_connected, on_input, on_tls_done, on_drained,
	on_closed };

static void
side_init(struct side *s)
{
	memset(s, 0, sizeof *s);
	s->keep = 1;
	s->take = SIZE_MAX;
}

static void
side_clear(struct side *s)
{
	io_abort(s->io);
	buf_clear(&s->log);
	buf_clear(&s->got);
}

/* A side on one end of a socket pair; the other end is returned. */
static int
side_pair(struct side *s)
{
	int fd[2];

	side_init(s);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == -1 ||
	    (s->io = io_accept(base, fd[0], &handlers, s, NULL)) == NULL)
		abort();
	return fd[1];
}

static void
two_sides(struct side *a, struct side *b)
{
	int fd = side_pair(a);

	side_init(b);
	if ((b->io = io_accept(base, fd, &handlers, b, NULL)) == NULL)
		abort();
}

static void
put(int fd, const char *s)
{
	if (write(fd, s, strlen(s)) != (ssize_t)strlen(s))
		abort();
}

static int
listener(struct sockaddr_in *sin, int backlog)
{
	socklen_t len = sizeof *sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(sin, 0, sizeof *sin);
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)sin, len) == -1 || listen(fd, backlog) == -1 ||
	    getsockname(fd, (struct sockaddr *)sin, &len) == -1)
		abort();
	return fd;
}

static struct io *
connect_to(struct side *s, const struct sockaddr_in *sin, const struct sockaddr_in *source)
{
	side_init(s);
	return s->io = io_connect(base, (const struct sockaddr *)sin, sizeof *sin,
	    (const struct sockaddr *)source, &handlers, s, &s->fail);
}

static void
test_connect(void)
{
	struct sockaddr_in sin, source = { .sin_family = AF_INET };
	struct sockaddr_in seen = { .sin_family = AF_INET };
	int lfd = listener(&sin, 5), fd;
	socklen_t len = sizeof seen;
	struct side s;

	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	unit_ok(connect_to(&s, &sin, &source) != NULL, "connect from a source address");
	unit_str(s.log.p, NULL, "no callback from inside the call");
	io_write(s.io, "early\r\n", 7);
	run_until(s.log.len > 0 && io_pending_out(s.io) == 0);
	fd = accept(lfd, (struct sockaddr *)&seen, &len);
	unit_int(ntohl(seen.sin_addr.s_addr), INADDR_LOOPBACK + 1, "the source address is used");
	put(fd, "220 hello\r\n");
	run_until(s.got.len > 0);
	close(fd);
	run();
	unit_str(s.log.p, "connected drained input:220 hello\\x0d\\x0a closed:reset",
	    "connected, sent, read; unread bytes of ours make the close a reset");
	unit_int(s.fail.kind, FAIL_TEMP, "%s", s.fail.text);
	side_clear(&s);
	close(lfd);
}

static void
test_refused(void)
{
	struct sockaddr_in sin, foreign = { .sin_family = AF_INET };
	int lfd = listener(&sin, 5);
	struct side s;

	close(lfd);
	connect_to(&s, &sin, NULL);
	run();
	unit_str(s.log.p, "closed:refused", "refused");
	unit_str(s.fail.text, "connect: Connection refused", "in words");
	unit_int(s.fail.kind, FAIL_TEMP, "a matter of time");
	side_clear(&s);
	foreign.sin_addr.s_addr = htonl(0xc0000201);
	unit_ok(connect_to(&s, &sin, &foreign) == NULL, "a source address that is not ours");
	unit_int(s.fail.kind, FAIL_SYS, "%s", s.fail.text);
}

static void
test_timeouts(void)
{
	struct sockaddr_in sin;
	int lfd = listener(&sin, 0), fill[3], fd, i;
	struct side s;

	for (i = 0; i < 3; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(fill[i], (struct sockaddr *)&sin, sizeof sin);
	}
	connect_to(&s, &sin, NULL);
	io_deadline(s.io, 30);
	run();
	unit_str(s.log.p, "closed:timeout", "a queue that is full");
	unit_str(s.fail.text, "timed out connecting", "in words");
	unit_int(s.fail.kind, FAIL_TEMP, "a matter of time");
	side_clear(&s);
	for (i = 0; i < 3; i++)
		close(fill[i]);
	close(lfd);

	fd = side_pair(&s);
	io_deadline(s.io, 20);
	run();
	unit_str(s.fail.text, "timed out waiting for the peer", "a peer that says nothing");
	side_clear(&s);
	close(fd);

	fd = side_pair(&s);
	io_start_tls(s.io, tls_client(client_ctx, NULL, NULL), IO_TLS_CLIENT);
	io_deadline(s.io, 20);
	run();
	unit_str(s.fail.text, "timed out in the TLS handshake", "a peer that does not shake hands");
	side_clear(&s);
	close(fd);

	fd = side_pair(&s);
	s.to_send = 10000000;
	stream_on(&s);
	io_deadline(s.io, 50);
	run();
	unit_str(s.fail.text, "timed out sending", "a peer that does not read");
	side_clear(&s);
	close(fd);

	fd = side_pair(&s);
	io_deadline(s.io, 20);
	io_deadline(s.io, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	usleep(30000);
	event_base_loop(base, EVLOOP_NONBLOCK);
	unit_str(s.log.p, NULL, "a deadline taken back");
	side_clear(&s);
	close(fd);
}

static void
test_held_input(void)
{
	struct side s;
	int fd = side_pair(&s);

	s.take = 2;
	put(fd, "abcd");
	run_until(s.log.len > 0);
	put(fd, "ef");
	run_until(s.got.len == 4);
	unit_str(s.log.p, "input:abcd input:cdef", "the rest comes again with more behind it");
	io_resume(s.io);
	run_until(s.got.len == 6);
	unit_str(s.log.p, "input:abcd input:cdef input:ef", "or after io_resume()");
	io_pause(s.io);
	put(fd, "gh");
	event_base_loop(base, EVLOOP_NONBLOCK);
	unit_str(s.got.p, "abcdef", "nothing comes while paused");
	io_resume(s.io);
	run_until(s.got.len == 8);
	unit_str(s.got.p, "abcdefgh", "and goes on");
	close(fd);
	run();
	unit_str(s.log.p, "input:abcd input:cdef input:ef input:gh closed:eof", "then the end");
	side_clear(&s);
}

static void
test_held_limit(void)
{
	struct side s, b;

	two_sides(&s, &b);
	s.take = 0;
	s.keep = b.keep = 0;
	b.to_send = 1000000;
	stream_on(&b);
	run_until(io_pending_out(b.io) > 0 && b.to_send < 1000000 - 65536);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	unit_ok(b.to_send > 0, "a user who takes nothing stops the sender");
	s.take = SIZE_MAX;
	io_resume(s.io);
	run_until(s.total == 1000000);
	unit_int(s.total, 1000000, "and loses nothing");
	side_clear(&s);
	side_clear(&b);
}

static void
tls_both(struct side *client, struct side *server)
{
	io_start_tls(server->io, tls_server(server_ctx, NULL), IO_TLS_SERVER);
	io_start_tls(client->io, tls_client(client_ctx, "mx.test", NULL), IO_TLS_CLIENT);
}

static void
test_tls(void)
{
	struct side c, s;

	two_sides(&c, &s);
	io_write(s.io, "220 go\r\n", 8);
	run_until(c.got.len == 8);
	tls_both(&c, &s);
	io_write(c.io, "EHLO me\r\n", 9);
	run_until(s.got.len == 9);
	unit_str(c.log.p, "input:220 go\\x0d\\x0a tls drained", "client");
	unit_str(s.log.p, "drained tls input:EHLO me\\x0d\\x0a", "server");
	unit_ok(io_ssl0(c.io) != NULL && SSL_version(io_ssl0(c.io)) == TLS1_3_VERSION, "TLS 1.3");
	io_close(c.io);
	c.io = NULL;
	run();
	unit_str(s.log.p, "drained tls input:EHLO me\\x0d\\x0a closed:eof",
	    "a closed TLS is an end of file");
	side_clear(&c);
	side_clear(&s);
}

/* The 220 still waits when the server asks for TLS: it goes in clear, what follows does not. */
static void
test_tls_queue(void)
{
	struct side s;
	int fd = side_pair(&s);
	char block[100] = "";

	io_write(s.io, "220 go\r\n", 8);
	io_start_tls(s.io, tls_server(server_ctx, NULL), IO_TLS_SERVER);
	io_write(s.io, "secret", 6);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	unit_int(read(fd, block, sizeof block), 8, "only what was queued before TLS");
	unit_str(block, "220 go\r\n", "goes in clear text");
	close(fd);
	run();
	unit_str(s.log.p, "closed:tls", "the rest never");
	unit_str(s.fail.text, "TLS handshake: the peer closed the connection", "in words");
	side_clear(&s);
}

static void
test_handshake_broken(void)
{
	struct side s;
	int fd = side_pair(&s);
	char block[4096];

	io_start_tls(s.io, tls_client(client_ctx, NULL, NULL), IO_TLS_CLIENT);
	event_base_loop(base, EVLOOP_NONBLOCK);
	unit_ok(read(fd, block, sizeof block) > 100, "the ClientHello arrives");
	put(fd, "\x16\x03\x03");
	close(fd);
	run();
	unit_str(s.log.p, "closed:tls", "closed in the middle of the handshake");
	unit_int(s.fail.kind, FAIL_TEMP, "%s", s.fail.text);
	side_clear(&s);

	fd = side_pair(&s);
	io_start_tls(s.io, tls_client(client_ctx, NULL, NULL), IO_TLS_CLIENT);
	event_base_loop(base, EVLOOP_NONBLOCK);
	put(fd, "250 I am not TLS\r\n");
	run();
	unit_str(s.fail.text, "TLS handshake: the peer's bytes are not TLS",
	    "clear text in the handshake");
	unit_int(s.fail.kind, FAIL_PEER, "is the peer's fault");
	side_clear(&s);
	close(fd);
}

/* A reset in the middle of the handshake, over TCP. */
static void
test_handshake_reset(void)
{
	static const struct linger now = { 1, 0 };
	struct sockaddr_in sin;
	int lfd = listener(&sin, 5), fd;
	struct side s;

	connect_to(&s, &sin, NULL);
	run_until(s.log.len > 0);
	io_start_tls(s.io, tls_client(client_ctx, NULL, NULL), IO_TLS_CLIENT);
	event_base_loop(base, EVLOOP_ONCE);
	fd = accept(lfd, NULL, NULL);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
	run();
	unit_str(s.log.p, "connected closed:tls", "reset in the middle of the handshake");
	unit_str(s.fail.text, "TLS handshake: Connection reset by peer", "in words");
	unit_int(s.fail.kind, FAIL_TEMP, "a matter of time");
	side_clear(&s);

	connect_to(&s, &sin, NULL);
	io_close(s.io);
	s.io = NULL;
	run();
	unit_str(s.log.p, NULL, "io_close() while connecting is the end at once");
	side_clear(&s);
	close(lfd);
}

static void
test_injection(void)
{
	struct side s;
	int fd = side_pair(&s);

	s.tls_on_input = 1;
	s.take = 5;
	put(fd, "220\r\n250 x\r\n");
	run();
	unit_str(s.log.p, "input:220\\x0d\\x0a250 x\\x0d\\x0a closed:injection",
	    "bytes in the same read");
	unit_int(s.fail.kind, FAIL_PEER, "%s", s.fail.text);
	side_clear(&s);
	close(fd);

	fd = side_pair(&s);
	put(fd, "250 x\r\n");
	io_start_tls(s.io, tls_client(client_ctx, NULL, NULL), IO_TLS_CLIENT);
	run();
	unit_str(s.log.p, "closed:injection", "bytes in the socket");
	side_clear(&s);
	close(fd);

	fd = side_pair(&s);
	s.take = 0;
	put(fd, "MAIL");
	run_until(s.log.len > 0);
	io_start_tls(s.io, tls_server(server_ctx, NULL), IO_TLS_SERVER);
	run();
	unit_str(s.log.p, "input:MAIL closed:injection", "bytes that a server holds");
	side_clear(&s);
	close(fd);
}

/* Carries one octet at a time, so that every record comes in pieces. */
struct wire {
	int to;
	struct event *ev;
};

static void
carry(evutil_socket_t fd, short what, void *arg)
{
	struct wire *w = arg;
	char c;

	(void)what;
	if (read(fd, &c, 1) == 1 && send(w->to, &c, 1, MSG_NOSIGNAL) == 1)
		return;
	shutdown(w->to, SHUT_WR);
	event_del(w->ev);
}

static void
test_byte_by_byte(void)
{
	struct side c, s;
	int cfd = side_pair(&c), sfd = side_pair(&s);
	struct wire up = { .to = sfd }, down = { .to = cfd };

	up.ev = event_new(base, cfd, EV_READ | EV_PERSIST, carry, &up);
	down.ev = event_new(base, sfd, EV_READ | EV_PERSIST, carry, &down);
	event_add(up.ev, NULL);
	event_add(down.ev, NULL);
	tls_both(&c, &s);
	io_write(c.io, "one", 3);
	run_until(s.got.len == 3);
	io_write(s.io, "two", 3);
	run_until(c.got.len == 3);
	io_close(c.io);
	c.io = NULL;
	run_until(s.io == NULL);
	unit_str(c.log.p, "tls drained input:two", "TLS byte by byte, client");
	unit_str(s.log.p, "tls input:one drained closed:eof", "TLS byte by byte, server");
	side_clear(&c);
	side_clear(&s);
	event_free(up.ev);
	event_free(down.ev);
	close(cfd);
	close(sfd);
	run();
}

#define BIG 20000000

static void
test_big(int tls)
{
	struct side a, b;
	size_t most = 0;

	two_sides(&a, &b);
	a.keep = b.keep = 0;
	b.pause_every = b.until_pause = 300000;
	if (tls)
		tls_both(&a, &b);
	a.to_send = BIG;
	stream_on(&a);
	while (b.total < BIG && a.io != NULL && b.io != NULL) {
		event_base_loop(base, EVLOOP_ONCE);
		if (a.io != NULL && io_pending_out(a.io) > most)
			most = io_pending_out(a.io);
	}
	unit_int(b.total, BIG, "20 MB%s arrive", tls ? " under TLS" : "");
	unit_ok(most <= 65536, "with %zu octets queued at most", most);
	side_clear(&a);
	side_clear(&b);
	run();
}

static void
test_close_flushes(int tls)
{
	static char bytes[3000000];
	struct side a, b;

	two_sides(&a, &b);
	a.keep = b.keep = 0;
	if (tls) {
		tls_both(&a, &b);
		run_until(a.log.len > 0 && b.log.len > 0);
	}
	io_write(a.io, bytes, sizeof bytes);
	io_close(a.io);
	a.io = NULL;
	run();
	unit_int(b.total, sizeof bytes, "io_close() sends what waits%s", tls ? " under TLS" : "");
	unit_int(b.end, IO_END_EOF, "and closes");
	side_clear(&a);
	side_clear(&b);
}

static void
test_close_is_bounded(void)
{
	struct timespec before, after;
	struct side s;
	int fd = side_pair(&s), ms;

	clock_gettime(CLOCK_MONOTONIC, &before);
	io_write(s.io, "QUIT\r\n", 6);
	io_close(s.io);
	s.io = NULL;
	run();
	clock_gettime(CLOCK_MONOTONIC, &after);
	ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	unit_ok(ms >= IO_CLOSE_MS - 100 && ms < IO_CLOSE_MS + 1000,
	    "a peer that does not close is not waited for: %d ms", ms);
	unit_str(s.log.p, NULL, "no callback after io_close()");
	side_clear(&s);
	close(fd);
}

/* Default SIGPIPE would end this program. */
static void
test_peer_gone(int tls)
{
	struct side s, b;

	two_sides(&s, &b);
	if (tls) {
		tls_both(&s, &b);
		run_until(s.log.len > 0 && b.log.len > 0);
	}
	buf_drop(&s.log, s.log.len);
	s.keep = 0;
	io_pause(s.io);
	io_abort(b.io);
	b.io = NULL;
	io_write(s.io, "one", 3);
	event_base_loop(base, EVLOOP_NONBLOCK);
	io_write(s.io, "two", 3);
	event_base_loop(base, EVLOOP_NONBLOCK);
	io_resume(s.io);
	run();
	unit_ok(s.io == NULL && s.end != IO_END_TLS, "writing to a peer that is gone%s: %s",
	    tls ? " under TLS" : "", s.log.p);
	side_clear(&s);
	side_clear(&b);
}

/* The peer says 421 and goes while we write: what it said must be read. */
static void
test_last_words(void)
{
	struct sockaddr_in sin;
	int lfd = listener(&sin, 5), fd;
	struct side s;

	connect_to(&s, &sin, NULL);
	run_until(s.log.len > 0);
	fd = accept(lfd, NULL, NULL);
	io_pause(s.io);
	put(fd, "421 bye\r\n");
	close(fd);
	io_write(s.io, "EHLO me\r\n", 9);
	run_until(io_pending_out(s.io) == 0);
	usleep(1000);
	io_write(s.io, "MAIL\r\n", 6);
	event_base_loop(base, EVLOOP_NONBLOCK);
	io_resume(s.io);
	run();
	unit_str(s.got.p, "421 bye\r\n", "last words are read: %s", s.log.p);
	side_clear(&s);
	close(lfd);
}

/* A TLS peer that closes TCP without close_notify: SMTP's own end tells what is missing. */
static void
test_truncated(void)
{
	struct side c, s;

	two_sides(&c, &s);
	tls_both(&c, &s);
	run_until(c.log.len > 0 && s.log.len > 0);
	shutdown(io_fd(s.io), SHUT_WR);
	run_until(c.io == NULL);
	unit_str(c.log.p, "tls closed:eof", "closed without close_notify");
	unit_int(c.fail.kind, FAIL_TEMP, "%s", c.fail.text);
	side_clear(&c);
	side_clear(&s);
	run();
}

/* Giving up in each callback; the address sanitizer watches. */
static void
test_give_up(const char *where, int close_it)
{
	struct sockaddr_in sin;
	int lfd = listener(&sin, 5), fd;
	struct side c, s;

	connect_to(&c, &sin, NULL);
	c.abort_in = where;
	c.close_in_abort = close_it;
	side_init(&s);
	if (c.io == NULL || (fd = accept(lfd, NULL, NULL)) == -1 ||
	    (s.io = io_accept(base, fd, &handlers, &s, NULL)) == NULL)
		abort();
	if (strcmp(where, "tls") == 0) {
		run_until(c.log.len > 0);
		tls_both(&c, &s);
	} else {
		io_write(c.io, "a", 1);
		io_write(s.io, "b", 1);
		run_until(c.got.len > 0 || c.io == NULL);
		if (strcmp(where, "closed") == 0 && c.io != NULL) {
			io_close(s.io);
			s.io = NULL;
		}
	}
	run();
	unit_ok(c.io == NULL && (s.io == NULL || strcmp(where, "closed") == 0), "%s in %s: %s",
	    close_it ? "io_close" : "io_abort", where, c.log.p);
	side_clear(&c);
	side_clear(&s);
	close(lfd);
}

#define MANY 200

static void
test_many(void)
{
	static struct side c[MANY], s[MANY];
	int i, done = 0;

	for (i = 0; i < MANY; i++) {
		two_sides(&c[i], &s[i]);
		s[i].echo = "pong";
		tls_both(&c[i], &s[i]);
		io_write(c[i].io, "ping", 4);
	}
	for (i = 0; i < MANY; i++)
		run_until(c[i].got.len == 4);
	for (i = 0; i < MANY; i++) {
		done += strcmp(c[i].log.p, "tls drained input:pong") == 0 ||
		    strcmp(c[i].log.p, "tls input:pong") == 0;
		io_close(c[i].io);
		c[i].io = NULL;
	}
	run();
	unit_int(done, MANY, "many at once");
	for (i = 0; i < MANY; i++) {
		side_clear(&c[i]);
		side_clear(&s[i]);
	}
}

static void
make_contexts(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	if (X509_sign(x, key, EVP_sha256()) == 0 ||
	    (client_ctx = tls_client_ctx(TLS_LAX, NULL)) == NULL ||
	    (server_ctx = tls_server_ctx(key, x, NULL, NULL, NULL)) == NULL)
		abort();
	X509_free(x);
	EVP_PKEY_free(key);
}

int
main(void)
{
	static const char *const callbacks[] = { "connected", "input", "drained", "tls", "closed" };
	size_t i;

	signal(SIGPIPE, SIG_DFL);
	alarm(4 * PATIENCE_S);
	make_contexts();
	if ((base = event_base_new()) == NULL)
		return 1;
	test_connect();
	test_refused();
	test_timeouts();
	test_held_input();
	test_held_limit();
	test_tls();
	test_tls_queue();
	test_handshake_broken();
	test_handshake_reset();
	test_injection();
	test_byte_by_byte();
	test_big(0);
	test_big(1);
	test_close_flushes(0);
	test_close_flushes(1);
	test_close_is_bounded();
	test_peer_gone(0);
	test_peer_gone(1);
	test_last_words();
	test_truncated();
	for (i = 0; i < 2 * sizeof callbacks / sizeof callbacks[0]; i++)
		test_give_up(callbacks[i / 2], i % 2);
	test_many();
	event_base_free(base);
	SSL_CTX_free(client_ctx);
	SSL_CTX_free(server_ctx);
	return unit_done();
}
