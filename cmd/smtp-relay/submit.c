/*
 * One smtp_client on one io: go_on() does what the machine wants, pump() gives it the message a piece at a time as
 * the kernel takes it.
 */
#include "submit.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "alloc.h"
#include "file.h"
#include "io.h"

#define PIECE 65536	/* octets read of the body at once, and waiting for the relay */

/* ---- connecting ---- */

static socklen_t
fill_address(struct sockaddr_storage *ss, const char *path, const struct endpoint *at)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof *ss);
	if (path != NULL) {
		sun->sun_family = AF_UNIX;
		strncpy(sun->sun_path, path, sizeof sun->sun_path - 1);
		return sizeof *sun;
	}
	if (strchr(at->host, ':') != NULL) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(at->port);
		inet_pton(AF_INET6, at->host, &sin6->sin6_addr);
		return sizeof *sin6;
	}
	sin->sin_family = AF_INET;
	sin->sin_port = htons(at->port);
	inet_pton(AF_INET, at->host, &sin->sin_addr);
	return sizeof *sin;
}

static void
set_patience(int fd, time_t seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

static int
connect_once(const struct conf_place *place)
{
	struct sockaddr_storage ss;
	socklen_t len = fill_address(&ss, place->path, &place->at);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd == -1)
		return -1;
	set_patience(fd, SUBMIT_CONNECT_S);
	if (connect(fd, (const struct sockaddr *)&ss, len) == 0) {
		set_patience(fd, 0);
		return fd;
	}
	err = errno == EINPROGRESS ? ETIMEDOUT : errno;
	close(fd);
	errno = err;
	return -1;
}

/* What a relay that is being started, or has much to do, looks like. */
static int
may_come(int err)
{
	return err == ECONNREFUSED || err == ENOENT || err == EAGAIN || err == EINTR || err == ETIMEDOUT;
}

/* Of several failures that counts which time may mend; the first of them. */
static int
connect_any(const struct conf_place *place, size_t n, struct fail *f)
{
	char *where;
	size_t i;
	int fd;

	for (i = 0; i < n; i++) {
		if ((fd = connect_once(&place[i])) != -1)
			return fd;
		if (i > 0 && (f->kind == FAIL_TEMP || !may_come(errno)))
			continue;
		where = place[i].path != NULL ? xstrdup(place[i].path) : xasprintf("%s@%u", place[i].at.host,
		    place[i].at.port);
		fail_errno(f, "the relay does not take mail at %.200s", where);
		if (may_come(f->err))
			f->kind = FAIL_TEMP;
		free(where);
	}
	return -1;
}

int
submit_connect(const struct conf_place *place, size_t n, struct fail *f)
{
	int fd, ms;

	for (ms = 0; (fd = connect_any(place, n, f)) == -1 && f->kind == FAIL_TEMP && f->err != ETIMEDOUT &&
	    f->err != EAGAIN && ms < SUBMIT_WAIT_MS; ms += 100)
		poll(NULL, 0, 100);
	return fd;
}

/* ---- sending ---- */

struct submit {
	const struct submit_order *order;
	submit_told_fn *told;
	void *arg;
	struct event_base *base;
	struct io *io;			/* NULL: gone */
	struct smtp_client client;
	const char **rcpt;		/* the order's, those that are settled in front */
	size_t next;			/* the first that is not */
	size_t batch;			/* how many are under way */
	struct smtp_rcpt_params *params;
	int header_sent;
	off_t at;			/* in the body */
	int failed;
	struct fail *fail;
};

static void
flush_out(struct submit *s)
{
	struct buf *out = &s->client.out;

	if (s->io != NULL && out->len > 0)
		io_write(s->io, out->p, out->len);
	out->len = 0;
}

/* It was one too many: the others were taken, and it may be with the next. */
static int
is_too_many(const struct smtp_rcpt *r)
{
	return r->state == SMTP_RCPT_TEMP && r->stage == SMTP_STAGE_RCPT && r->code == 452;
}

static int
was_taken(const struct submit *s)
{
	size_t i;

	for (i = 0; i < s->batch; i++)
		if (s->client.txn.rcpt[i].state == SMTP_RCPT_ACCEPTED)
			return 1;
	return 0;
}

/* Those that are settled; the rest of the batch stays, behind them. */
static void
tell(struct submit *s)
{
	const struct smtp_txn *txn = &s->client.txn;
	const char *again[SUBMIT_RCPTS];
	size_t i, n = 0, settled = 0;
	int taken = was_taken(s);

	for (i = 0; i < s->batch; i++) {
		const char *rcpt = s->rcpt[s->next + i];

		if (taken && is_too_many(&txn->rcpt[i])) {
			again[n++] = rcpt;
			continue;
		}
		s->told(s->arg, rcpt, &txn->rcpt[i], &txn->dot);
		s->rcpt[s->next + settled++] = rcpt;
	}
	s->next += settled;
	for (i = 0; i < n; i++)
		s->rcpt[s->next + i] = again[i];
	s->batch = 0;
}

static enum smtp_want
begin(struct submit *s)
{
	const struct submit_order *o = s->order;
	size_t left = o->nrcpts - s->next;
	struct smtp_transaction t = { .from = o->from, .rcpt = s->rcpt + s->next, .size = o->size,
		.has8bit = o->has8bit, .params = o->params, .rcpt_params = s->params };

	s->batch = t.nrcpts = left < o->batch ? left : o->batch;
	s->header_sent = 0;
	s->at = 0;
	return smtp_client_send(&s->client, &t);
}

/* A piece of the message; octets, 0 at its end, -1. */
static ssize_t
next_piece(struct submit *s, char *piece, const char **p)
{
	const struct submit_order *o = s->order;
	ssize_t n;

	*p = piece;
	if (!s->header_sent) {
		s->header_sent = 1;
		*p = o->header->p;
		return (ssize_t)o->header->len;
	}
	if (o->fd == -1) {
		n = (off_t)o->body->len - s->at < PIECE ? (ssize_t)((off_t)o->body->len - s->at) : PIECE;
		*p = n > 0 ? o->body->p + s->at : piece;
	} else
		while ((n = pread(o->fd, piece, PIECE, s->at)) == -1 && errno == EINTR)
			;
	if (n > 0)
		s->at += n;
	return n;
}

static enum smtp_want
pump(struct submit *s)
{
	enum smtp_want want = SMTP_WANT_BODY;
	char piece[PIECE];
	const char *p;
	ssize_t n;

	while (want == SMTP_WANT_BODY && io_pending_out(s->io) < PIECE) {
		if ((n = next_piece(s, piece, &p)) == -1) {
			fail_errno(s->fail, "the message");
			s->failed = 1;
			return smtp_client_lost(&s->client, s->fail);
		}
		want = n > 0 ? smtp_client_body(&s->client, p, n) : smtp_client_body_end(&s->client);
		flush_out(s);
	}
	return want;
}

static void
leave(struct submit *s)
{
	flush_out(s);
	if (s->batch > 0 && s->client.txn.rcpt != NULL)
		tell(s);
	io_close(s->io);
	s->io = NULL;
}

static void
go_on(struct submit *s, enum smtp_want want)
{
	int begun;

	do {
		begun = 0;
		flush_out(s);
		if (want == SMTP_WANT_RESULT)
			tell(s);
		if (want == SMTP_WANT_RESULT || want == SMTP_WANT_ORDER) {
			begun = s->next < s->order->nrcpts;
			want = begun ? begin(s) : smtp_client_quit(&s->client);
		}
		if (want == SMTP_WANT_BODY)
			want = pump(s);
	} while (begun || want == SMTP_WANT_RESULT);
	if (want == SMTP_WANT_CLOSE)
		leave(s);
	else
		io_deadline(s->io, s->client.stage == SMTP_STAGE_DOT ? SUBMIT_REPLY_MS * 2 : SUBMIT_REPLY_MS);
}

static size_t
on_input(struct io *io, const char *p, size_t n, void *arg)
{
	struct submit *s = arg;

	(void)io;
	go_on(s, smtp_client_feed(&s->client, p, n));
	return n;
}

static void
on_drained(struct io *io, void *arg)
{
	struct submit *s = arg;

	(void)io;
	if (s->client.want == SMTP_WANT_BODY)
		go_on(s, SMTP_WANT_BODY);
}

static void
on_closed(struct io *io, enum io_end end, const struct fail *f, void *arg)
{
	struct submit *s = arg;

	(void)io;
	s->io = NULL;
	if (end == IO_END_EOF)
		smtp_client_eof(&s->client);
	else
		smtp_client_lost(&s->client, f);
	if (s->batch > 0 && s->client.txn.rcpt != NULL)
		tell(s);
}

/* Those for whom the session did not last. */
static void
tell_rest(struct submit *s)
{
	const struct smtp_client *c = &s->client;
	struct smtp_rcpt left = { .state = SMTP_RCPT_TEMP, .stage = c->stage_at_end, .text = (char *)c->fail.text };

	if (c->end == SMTP_END_BANNER_PERM || c->end == SMTP_END_EHLO_REFUSED)
		left.state = c->fail.kind == FAIL_TEMP ? SMTP_RCPT_TEMP : SMTP_RCPT_PERM;
	for (; s->next < s->order->nrcpts; s->next++)
		s->told(s->arg, s->rcpt[s->next], &left, &c->txn.dot);
}

int
submit_send(int fd, const struct submit_order *order, submit_told_fn *told, void *arg, struct fail *f)
{
	static const struct io_handlers handlers = { .input = on_input, .drained = on_drained,
		.closed = on_closed };
	struct smtp_client_conf conf = { .ehlo = order->hostname, .use_tls = SMTP_TLS_NEVER };
	struct submit s = { .order = order, .told = told, .arg = arg, .fail = f };
	size_t i;

	if ((s.base = event_base_new()) == NULL)
		alloc_failed();
	s.rcpt = xreallocarray(NULL, order->nrcpts, sizeof *s.rcpt);
	memcpy(s.rcpt, order->rcpt, order->nrcpts * sizeof *s.rcpt);
	s.params = xcalloc(SUBMIT_RCPTS, sizeof *s.params);
	for (i = 0; i < SUBMIT_RCPTS; i++)
		s.params[i] = order->rcpt_params;
	smtp_client_init(&s.client, &conf);
	if ((s.io = io_accept(s.base, fd, &handlers, &s, f)) == NULL)
		s.failed = 1;
	else {
		io_deadline(s.io, SUBMIT_REPLY_MS);
		event_base_dispatch(s.base);
		tell_rest(&s);
	}
	smtp_client_clear(&s.client);
	free(s.params);
	free(s.rcpt);
	event_base_free(s.base);
	return s.failed ? -1 : 0;
}

/* ---- the bridge ---- */

/* Copies what is there: 1, 0 at the end, -1. */
static int
copy(int from, int to, const char *what, struct fail *f)
{
	char piece[PIECE];
	ssize_t n = read(from, piece, sizeof piece);

	if (n == -1)
		return errno == EINTR ? 1 : fail_errno(f, "%s", what);
	return n == 0 ? 0 : file_put(to, piece, n, what, f) == -1 ? -1 : 1;
}

int
submit_bridge(int fd, struct fail *f)
{
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	int rc = 1;

	while (rc == 1) {
		if (poll(p, 2, -1) == -1) {
			if (errno != EINTR)
				return fail_errno(f, "poll");
			continue;
		}
		if (p[1].revents != 0 && (rc = copy(fd, STDOUT_FILENO, "standard output", f)) != 1)
			break;
		if (p[0].revents == 0)
			continue;
		if ((rc = copy(STDIN_FILENO, fd, "the relay", f)) == 0) {
			shutdown(fd, SHUT_WR);
			p[0].fd = -1;
			rc = 1;
		}
	}
	return rc;
}
