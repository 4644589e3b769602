/*
 * Each event enters through on_read(), on_write() or on_timer(), which mark the stream busy, act by
 * its state, and leave(): there the stream is freed if it died meanwhile, else what was queued is
 * sent at once and the events for its new state are armed.  The public calls only change the state
 * and, where no event is being handled, arm events: they never call back.
 */
#include "io.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>

#include "alloc.h"
#include "ossl.h"
#include "text.h"
#include "tls.h"

#define BURST 4	/* reads for one event before other streams have their turn */

enum state {
	CONNECTING,
	OPEN,
	START_TLS,	/* what was queued in clear goes out, then the handshake begins */
	HANDSHAKE,
	CLOSING,	/* given up: what is queued goes out */
	LINGER,		/* given up: waiting for the peer's close */
	DEAD		/* freed when the event in hand is done */
};

struct io {
	const struct io_handlers *h;
	void *arg;
	enum state state;
	int fd;
	int busy;		/* inside an event of this stream */
	size_t turn;		/* octets that TLS may still read in this one */
	int paused;
	int again;		/* held input is to be offered again */
	int broken;		/* errno of a failed write: only reading is left */
	int tls_up;
	int read_wants_write;	/* SSL_read() waits for room, SSL_write() for input */
	int write_wants_read;
	int blocked;		/* the last try to write left something */
	short armed;		/* EV_READ, EV_WRITE */
	enum io_role role;
	SSL *ssl;
	struct event *ev_read, *ev_write, *ev_timer;
	struct buf in;		/* what the user did not take */
	struct buf out;
	size_t out_sent;	/* of out: in the kernel already */
	size_t clear_left;	/* START_TLS: octets of out that go in clear text */
};

/*
 * Octets that TLS may take from a socket in one turn of the loop.  OpenSSL reads on by itself while
 * there is something that it need not show (tickets, alerts, empty records): a peer that sends
 * such without end would keep the loop, and every deadline, for itself.
 */
#define IO_TURN_MAX 65536

static char scratch[IO_SCRATCH];
static size_t alive;

static void
free_io(struct io *io)
{
	if (io->ev_read != NULL)
		event_free(io->ev_read);
	if (io->ev_write != NULL)
		event_free(io->ev_write);
	if (io->ev_timer != NULL)
		event_free(io->ev_timer);
	SSL_free(io->ssl);
	if (io->fd != -1)
		close(io->fd);
	buf_clear(&io->in);
	buf_wipe(&io->out);
	free(io);
	alive--;
}

/* Ends the stream's life and tells its user, if it still has one; leave() frees. */
static void
die(struct io *io, enum io_end end, const struct fail *f)
{
	int told = io->state != CLOSING && io->state != LINGER && io->state != DEAD;

	io->state = DEAD;
	if (told)
		io->h->closed(io, end, f, io->arg);
}

static void
die_eof(struct io *io)
{
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_TEMP, "the peer closed the connection");
	die(io, IO_END_EOF, &f);
}

static void
die_reset(struct io *io, int err)
{
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_TEMP, "connection lost: %s", strerror(err));
	die(io, IO_END_RESET, &f);
}

/* A failed SSL_*() call that is no mere waiting. */
static void
die_tls(struct io *io, int ret)
{
	struct fail f = FAIL_INIT;
	int err = errno;

	int broken = SSL_get_error(io->ssl, ret) == SSL_ERROR_SYSCALL;

	if (io->tls_up && (tls_is_eof(io->ssl, ret) || (broken && err == 0)))
		die_eof(io);
	else if (io->tls_up && broken)
		die_reset(io, err);
	else {
		errno = err;
		tls_fail(io->ssl, ret, &f);
		die(io, IO_END_TLS, &f);
	}
	ossl_clear();
}

size_t
io_pending_out(const struct io *io)
{
	return io->out.len - io->out_sent;
}

static void
sent(struct io *io, size_t n)
{
	io->out_sent += n;
	if (io->state == START_TLS)
		io->clear_left -= n;
	if (io->out_sent == io->out.len)
		io->out.len = io->out_sent = 0;
	else if (io->out_sent > io->out.len / 2 && io->out_sent >= IO_SCRATCH) {
		buf_drop(&io->out, io->out_sent);
		io->out_sent = 0;
	}
}

/*
 * The peer takes no more.  Its last words may still wait to be read, and say more than "connection
 * reset"; reading on finds the end of the connection too.
 */
static void
break_off(struct io *io, int err)
{
	io->broken = err;
	io->out.len = io->out_sent = io->clear_left = 0;
	io->write_wants_read = 0;
	if (io->state == CLOSING || io->state == START_TLS)
		die_reset(io, err);
}

/* Sends one piece.  Returns 0 where the kernel takes no more now. */
static int
send_clear(struct io *io, size_t n)
{
	ssize_t w = send(io->fd, io->out.p + io->out_sent, n, MSG_NOSIGNAL);

	if (w == -1) {
		if (errno != EAGAIN && errno != EINTR)
			break_off(io, errno);
		return 0;
	}
	sent(io, w);
	return 1;
}

static int
send_tls(struct io *io, size_t n)
{
	int ret, err;

	io->write_wants_read = 0;
	ossl_clear();
	errno = 0;
	ret = SSL_write(io->ssl, io->out.p + io->out_sent, n < IO_SCRATCH ? n : IO_SCRATCH);
	err = errno;
	if (ret > 0) {
		sent(io, ret);
		return 1;
	}
	switch (SSL_get_error(io->ssl, ret)) {
	case SSL_ERROR_WANT_WRITE:
		break;
	case SSL_ERROR_WANT_READ:
		io->write_wants_read = 1;
		break;
	case SSL_ERROR_SYSCALL:
		ossl_clear();
		break_off(io, err);
		break;
	default:
		errno = err;
		die_tls(io, ret);
	}
	return 0;
}

/* Octets that may go out in this state. */
static size_t
sendable(const struct io *io)
{
	switch (io->state) {
	case OPEN:
	case CLOSING:
		return io_pending_out(io);
	case START_TLS:
		return io->clear_left;
	default:
		return 0;
	}
}

static void
flush(struct io *io)
{
	size_t n, had = sendable(io);

	while ((n = sendable(io)) > 0)
		if (!(io->tls_up ? send_tls(io, n) : send_clear(io, n)))
			break;
	io->blocked = n > 0;
	if (had > 0 && io->state == OPEN && io_pending_out(io) == 0 && io->broken == 0 &&
	    io->h->drained != NULL)
		io->h->drained(io, io->arg);
}

/* Offers input to the user: n octets of scratch behind what is held. */
static void
deliver(struct io *io, size_t n)
{
	const char *s = scratch;
	size_t used;

	if (io->in.len > 0) {
		buf_add(&io->in, scratch, n);
		s = io->in.p;
		n = io->in.len;
	}
	used = io->h->input(io, s, n, io->arg);
	if (used > n)
		abort();
	if (io->in.len > 0)
		buf_drop(&io->in, used);
	else if (used < n)
		buf_add(&io->in, scratch + used, n - used);
	if (io->in.len == 0)
		buf_clear(&io->in);
}

static int
may_deliver(const struct io *io)
{
	return io->state == OPEN && !io->paused;
}

static int
may_read(const struct io *io)
{
	return may_deliver(io) && io->in.len < IO_IN_MAX;
}

/* Room for one read: held input never passes its limit. */
static size_t
read_room(const struct io *io)
{
	size_t room = IO_IN_MAX - io->in.len;

	return room < sizeof scratch ? room : sizeof scratch;
}

/* Reads once.  Returns 0 where nothing more is to be had now. */
static int
read_clear(struct io *io)
{
	ssize_t n = recv(io->fd, scratch, read_room(io), 0);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == -1)
		die_reset(io, io->broken != 0 ? io->broken : errno);
	else if (n == 0)
		die_eof(io);
	else
		deliver(io, n);
	/* What was read in clear must not be read on by the same loop once TLS was asked for. */
	return 0;
}

static int
read_tls(struct io *io)
{
	int n;

	io->read_wants_write = 0;
	ossl_clear();
	errno = 0;
	if ((n = SSL_read(io->ssl, scratch, read_room(io))) > 0) {
		deliver(io, n);
		return 1;
	}
	switch (SSL_get_error(io->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_WANT_WRITE:
		io->read_wants_write = 1;
		break;
	default:
		die_tls(io, n);
	}
	return 0;
}

static void
read_some(struct io *io)
{
	int again = io->again, i;

	io->again = 0;
	if (again && may_deliver(io) && io->in.len > 0)
		deliver(io, 0);
	for (i = 0; i < BURST && may_read(io); i++)
		if (!(io->tls_up ? read_tls(io) : read_clear(io)))
			return;
	/* The rest of a record, and records read ahead, lie in the SSL, where epoll does not see them. */
	if (io->state == OPEN && io->tls_up && SSL_has_pending(io->ssl))
		io->again = 1;
}

static void
finish_connect(struct io *io)
{
	struct fail f = FAIL_INIT;
	int err = 0;
	socklen_t len = sizeof err;

	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
		err = errno;
	if (err != 0) {
		fail(&f, FAIL_TEMP, "connect: %s", strerror(err));
		die(io, err == ETIMEDOUT ? IO_END_TIMEOUT : IO_END_REFUSED, &f);
		return;
	}
	io->state = OPEN;
	if (io->h->connected != NULL)
		io->h->connected(io, io->arg);
}

static void
shake_hands(struct io *io)
{
	int ret;

	io->read_wants_write = 0;
	ossl_clear();
	errno = 0;
	if ((ret = SSL_do_handshake(io->ssl)) == 1) {
		io->state = OPEN;
		io->tls_up = 1;
		/* Data that came with the peer's last flight. */
		io->again = SSL_has_pending(io->ssl);
		if (io->h->tls_done != NULL)
			io->h->tls_done(io, io->arg);
		return;
	}
	switch (SSL_get_error(io->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_WANT_WRITE:
		io->read_wants_write = 1;
		break;
	default:
		die_tls(io, ret);
	}
}

/* Bytes already there that the peer sent before it could know of our ClientHello. */
static int
clear_text_waits(const struct io *io)
{
	char c;

	if (io->in.len > 0)
		return 1;
	return io->role == IO_TLS_CLIENT && recv(io->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void
begin_tls(struct io *io)
{
	struct fail f = FAIL_INIT;

	if (io->clear_left > 0)
		return;
	if (clear_text_waits(io)) {
		fail(&f, FAIL_PEER, "clear text where the TLS handshake was to begin");
		die(io, IO_END_INJECTION, &f);
		return;
	}
	io->state = HANDSHAKE;
	shake_hands(io);
}

static void
say_goodbye(struct io *io)
{
	if (io_pending_out(io) > 0)
		return;
	if (io->tls_up) {
		ossl_clear();
		SSL_shutdown(io->ssl);
		ossl_clear();
	}
	if (shutdown(io->fd, SHUT_WR) == -1)
		io->state = DEAD;
	else
		io->state = LINGER;
}

static void
read_away(struct io *io)
{
	ssize_t n = 0;
	int i;

	for (i = 0; i < BURST; i++)
		if ((n = recv(io->fd, scratch, sizeof scratch, 0)) <= 0)
			break;
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		io->state = DEAD;
}

/* The events that the state waits for. */
static short
wanted_events(const struct io *io)
{
	short events = 0;

	switch (io->state) {
	case CONNECTING:
	case START_TLS:
	case CLOSING:
		return EV_WRITE | (io->write_wants_read ? EV_READ : 0);
	case HANDSHAKE:
		return io->read_wants_write ? EV_WRITE : EV_READ;
	case OPEN:
		if ((may_read(io) && !io->read_wants_write) || io->write_wants_read)
			events |= EV_READ;
		if ((sendable(io) > 0 && !io->write_wants_read) ||
		    (may_read(io) && io->read_wants_write))
			events |= EV_WRITE;
		return events;
	case LINGER:
		return EV_READ;
	default:
		return 0;
	}
}

static void
arm_one(struct io *io, struct event *ev, short which, short wanted)
{
	if ((wanted & which) == (io->armed & which))
		return;
	if ((wanted & which ? event_add(ev, NULL) : event_del(ev)) == -1)
		alloc_failed();
	io->armed ^= which;
}

static void
arm(struct io *io)
{
	short wanted = wanted_events(io);

	arm_one(io, io->ev_read, EV_READ, wanted);
	arm_one(io, io->ev_write, EV_WRITE, wanted);
	if (io->again && may_deliver(io))
		event_active(io->ev_read, EV_READ, 0);
}

static void
enter(struct io *io)
{
	io->busy = 1;
	io->turn = IO_TURN_MAX;
}

/* Once more through what a callback may have asked for, then the stream is left alone. */
static void
leave(struct io *io)
{
	if (io->broken == 0)
		flush(io);
	if (io->state == START_TLS)
		begin_tls(io);
	if (io->state == CLOSING)
		say_goodbye(io);
	io->busy = 0;
	if (io->state == DEAD)
		free_io(io);
	else
		arm(io);
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct io *io = arg;

	(void)fd;
	(void)what;
	enter(io);
	if (io->state == HANDSHAKE)
		shake_hands(io);
	else if (io->state == LINGER)
		read_away(io);
	else
		read_some(io);
	leave(io);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct io *io = arg;

	(void)fd;
	(void)what;
	enter(io);
	if (io->state == CONNECTING)
		finish_connect(io);
	else if (io->state == HANDSHAKE)
		shake_hands(io);
	else if (io->read_wants_write)
		read_some(io);
	leave(io);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct io *io = arg;
	struct fail f = FAIL_INIT;
	const char *doing = "waiting for the peer";

	(void)fd;
	(void)what;
	enter(io);
	if (io->state == CONNECTING)
		doing = "connecting";
	else if (io->state == HANDSHAKE || io->state == START_TLS)
		doing = "in the TLS handshake";
	else if (io_pending_out(io) > 0)
		doing = "sending";
	fail(&f, FAIL_TEMP, "timed out %s", doing);
	die(io, IO_END_TIMEOUT, &f);
	leave(io);
}

/* Something to send, and nothing says yet that the kernel would not take it. */
static int
may_send_now(const struct io *io)
{
	return sendable(io) > 0 && !io->blocked && !io->read_wants_write && !(io->armed & EV_WRITE);
}

/*
 * For the public calls: inside an event leave() does it.  What is to be sent is tried from the loop at once:
 * most replies go out so without two changes of what epoll waits for.  Not so behind leave(), where a reader
 * as fast as we are would keep the loop for itself.
 */
static void
settle(struct io *io)
{
	if (io->busy)
		return;
	if (io->state == DEAD)
		free_io(io);
	else if (may_send_now(io))
		event_active(io->ev_write, EV_WRITE, 0);
	else
		arm(io);
}

static struct io *
new_io(struct event_base *base, int fd, enum state state, const struct io_handlers *h, void *arg)
{
	struct io *io = xcalloc(1, sizeof *io);
	int on = 1;

	alive++;
	/* Not every stream socket is TCP: a failure here costs nothing but time. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	io->fd = fd;
	io->h = h;
	io->arg = arg;
	io->state = state;
	if ((io->ev_read = event_new(base, fd, EV_READ | EV_PERSIST, on_read, io)) == NULL ||
	    (io->ev_write = event_new(base, fd, EV_WRITE | EV_PERSIST, on_write, io)) == NULL ||
	    (io->ev_timer = evtimer_new(base, on_timer, io)) == NULL)
		alloc_failed();
	arm(io);
	return io;
}

static socklen_t
address_len(const struct sockaddr *sa)
{
	switch (sa->sa_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return sizeof(struct sockaddr_un);
	}
}

/* A port is chosen at connect(2), by the whole pair of addresses: one source serves many peers. */
static int
bind_source(int fd, const struct sockaddr *source)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	return bind(fd, source, address_len(source));
}

static int
fail_connect(struct fail *f)
{
	switch (errno) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ECONNREFUSED:
	case EADDRNOTAVAIL:
		return fail(f, FAIL_TEMP, "connect: %s", strerror(errno));
	default:
		return fail_errno(f, "connect");
	}
}

struct io *
io_connect(struct event_base *base, const struct sockaddr *sa, socklen_t len,
    const struct sockaddr *source, const struct io_handlers *h, void *arg, struct fail *f)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1) {
		fail_errno(f, "socket");
		return NULL;
	}
	if (source != NULL && bind_source(fd, source) == -1) {
		fail_errno(f, "bind to the source address");
		close(fd);
		return NULL;
	}
	if (connect(fd, sa, len) == -1 && errno != EINPROGRESS) {
		fail_connect(f);
		close(fd);
		return NULL;
	}
	return new_io(base, fd, CONNECTING, h, arg);
}

struct io *
io_accept(struct event_base *base, int fd, const struct io_handlers *h, void *arg, struct fail *f)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
		fail_errno(f, "accepted connection");
		close(fd);
		return NULL;
	}
	return new_io(base, fd, OPEN, h, arg);
}

void
io_write(struct io *io, const void *p, size_t n)
{
	if (io->state >= CLOSING || io->broken != 0)
		return;
	buf_add(&io->out, p, n);
	settle(io);
}

/*
 * The SSL's way to the socket.  OpenSSL's own socket BIO uses write(2), which raises SIGPIPE.
 */
static int
bio_write(BIO *bio, const char *p, int n)
{
	struct io *io = BIO_get_data(bio);
	ssize_t w = send(io->fd, p, n, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (w == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return w;
}

static int
bio_read(BIO *bio, char *p, int n)
{
	struct io *io = BIO_get_data(bio);
	ssize_t r;

	BIO_clear_retry_flags(bio);
	if (io->turn == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	r = recv(io->fd, p, (size_t)n < io->turn ? (size_t)n : io->turn, 0);
	if (r > 0)
		io->turn -= r;
	if (r == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (r == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return r;
}

static long
bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	default:
		return 0;
	}
}

static int
bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* Made once, for the life of the program. */
static const BIO_METHOD *
bio_method(void)
{
	static BIO_METHOD *m;

	if (m != NULL)
		return m;
	if ((m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "io")) == NULL ||
	    BIO_meth_set_write(m, bio_write) != 1 || BIO_meth_set_read(m, bio_read) != 1 ||
	    BIO_meth_set_ctrl(m, bio_ctrl) != 1 || BIO_meth_set_create(m, bio_create) != 1)
		alloc_failed();
	return m;
}

void
io_start_tls(struct io *io, SSL *ssl, enum io_role role)
{
	BIO *bio;

	if (io->ssl != NULL)
		abort();
	if (io->state != OPEN) {
		SSL_free(ssl);
		return;
	}
	if ((bio = BIO_new(bio_method())) == NULL)
		alloc_failed();
	BIO_set_data(bio, io);
	SSL_set_bio(ssl, bio, bio);
	if (role == IO_TLS_CLIENT)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	/* A write may be tried again from another place in a buffer that has grown. */
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	io->ssl = ssl;
	io->role = role;
	io->clear_left = io_pending_out(io);
	io->state = START_TLS;
	settle(io);
}

void
io_deadline(struct io *io, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (io->state >= CLOSING)
		return;
	if ((ms > 0 ? evtimer_add(io->ev_timer, &tv) : evtimer_del(io->ev_timer)) == -1)
		alloc_failed();
}

void
io_pause(struct io *io)
{
	io->paused = 1;
	settle(io);
}

void
io_resume(struct io *io)
{
	io->paused = 0;
	/* What lies in the socket epoll tells. */
	if (io->busy || io->in.len > 0 || (io->tls_up && SSL_has_pending(io->ssl)))
		io->again = 1;
	settle(io);
}

SSL *
io_ssl0(const struct io *io)
{
	return io->ssl;
}

int
io_fd(const struct io *io)
{
	return io->fd;
}

void
io_close(struct io *io)
{
	if (io == NULL || io->state >= CLOSING)
		return;
	if (io->state != OPEN || io->broken != 0) {
		io_abort(io);
		return;
	}
	io_deadline(io, IO_CLOSE_MS);
	io->state = CLOSING;
	settle(io);
}

void
io_abort(struct io *io)
{
	if (io == NULL || io->state == DEAD)
		return;
	io->state = DEAD;
	settle(io);
}

size_t
io_count(void)
{
	return alive;
}
