#include "dns_direct.h"

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "alloc.h"
#include "dns_msg.h"
#include "text.h"

struct dns_direct {
	struct event_base *base;
	struct sockaddr_storage to;
	socklen_t tolen;
	struct buf msg;		/* as it goes over TCP: two octets of length before it */
	struct event *deadline, *resend, *io;
	int fd, tcp, resend_ms;
	size_t sent;		/* over TCP */
	struct buf in;		/* over TCP, with the length */
	struct fail fail;
	dns_direct_fn *fn;
	void *arg;
};

static void
stop(struct dns_direct *d)
{
	if (d->io != NULL)
		event_free(d->io);
	d->io = NULL;
	event_del(d->resend);
	if (d->fd != -1)
		close(d->fd);
	d->fd = -1;
}

void
dns_direct_cancel(struct dns_direct *d)
{
	if (d == NULL)
		return;
	stop(d);
	event_free(d->deadline);
	event_free(d->resend);
	buf_clear(&d->msg);
	buf_clear(&d->in);
	free(d);
}

static void
arm(struct event *ev, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (event_add(ev, &tv) == -1)
		alloc_failed();
}

/* Over, from within the loop. */
static void
finish(struct dns_direct *d, const uint8_t *reply, size_t n)
{
	dns_direct_fn *fn = d->fn;
	void *arg = d->arg;
	struct fail f = d->fail;
	struct buf kept = BUF_INIT;

	if (reply != NULL)
		buf_add(&kept, reply, n);
	dns_direct_cancel(d);
	fn(arg, reply != NULL ? (uint8_t *)kept.p : NULL, kept.len, &f);
	buf_clear(&kept);
}

/* Told at the deadline's event, which comes at once, so never within dns_direct_send(). */
static void
broken(struct dns_direct *d, const char *what)
{
	fail_errno(&d->fail, "%s", what);
	d->fail.kind = FAIL_TEMP;
	stop(d);
	arm(d->deadline, 0);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct dns_direct *d = arg;

	(void)fd;
	(void)what;
	if (d->fail.kind == FAIL_NONE)
		fail(&d->fail, FAIL_TEMP, "no answer");
	finish(d, NULL, 0);
}

/* Does it answer our question?  An update's answer may have no zone section (RFC 2136 3.8). */
static int
is_answer(const struct dns_direct *d, const uint8_t *p, size_t n)
{
	const uint8_t *ask = (uint8_t *)d->msg.p + 2;
	size_t nask = d->msg.len - 2, at = DNS_MSG_HEADER, ask_at = DNS_MSG_HEADER;
	char name[DNS_MSG_NAME_MAX], asked[DNS_MSG_NAME_MAX];
	struct dns_msg_head h;

	if (dns_msg_get_head(p, n, &h, NULL) == -1 || h.id != dns_msg_get16(ask) ||
	    !(h.flags & DNS_MSG_QR) || dns_msg_opcode(h.flags) != dns_msg_opcode(dns_msg_get16(ask + 2)))
		return 0;
	if (h.count[0] == 0)
		return dns_msg_opcode(h.flags) == DNS_OP_UPDATE || dns_msg_rcode(h.flags) != 0;
	return dns_msg_get_name(ask, nask, &ask_at, asked, NULL) == 0 &&
	    dns_msg_get_name(p, n, &at, name, NULL) == 0 && strcmp(name, asked) == 0 && n - at >= 4 &&
	    memcmp(p + at, ask + ask_at, 4) == 0;
}

static int
open_socket(struct dns_direct *d, int type)
{
	d->fd = socket(d->to.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd == -1)
		return -1;
	if (connect(d->fd, (struct sockaddr *)&d->to, d->tolen) == -1 && errno != EINPROGRESS)
		return -1;
	return 0;
}

static void
listen_for(struct dns_direct *d, short what, event_callback_fn fn)
{
	if ((d->io = event_new(d->base, d->fd, what | EV_PERSIST, fn, d)) == NULL ||
	    event_add(d->io, NULL) == -1)
		alloc_failed();
}

/* ---- TCP ---- */

static void
on_tcp_read(struct dns_direct *d)
{
	char piece[4096];
	ssize_t n = read(d->fd, piece, sizeof piece);
	size_t want;

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (n == 0)
			errno = ECONNRESET;
		broken(d, "TCP");
		return;
	}
	buf_add(&d->in, piece, n);
	if (d->in.len < 2)
		return;
	want = dns_msg_get16((uint8_t *)d->in.p);
	if (d->in.len - 2 < want)
		return;
	if (is_answer(d, (uint8_t *)d->in.p + 2, want)) {
		finish(d, (uint8_t *)d->in.p + 2, want);
		return;
	}
	errno = EPROTO;
	broken(d, "TCP: not an answer to what was asked");
}

static void
on_tcp(evutil_socket_t fd, short what, void *arg)
{
	struct dns_direct *d = arg;
	ssize_t n;

	(void)fd;
	if (what & EV_READ) {
		on_tcp_read(d);
		return;
	}
	n = send(d->fd, d->msg.p + d->sent, d->msg.len - d->sent, MSG_NOSIGNAL);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) {
		broken(d, "TCP");
		return;
	}
	d->sent += n;
	if (d->sent < d->msg.len)
		return;
	event_free(d->io);
	listen_for(d, EV_READ, on_tcp);
}

static void
start_tcp(struct dns_direct *d)
{
	d->tcp = 1;
	if (open_socket(d, SOCK_STREAM) == -1)
		broken(d, "TCP");
	else
		listen_for(d, EV_WRITE, on_tcp);
}

/* ---- UDP ---- */

static void
on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct dns_direct *d = arg;
	uint8_t reply[DNS_MSG_MAX];
	ssize_t n = recv(d->fd, reply, sizeof reply, 0);

	(void)fd;
	(void)what;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1)
		broken(d, "UDP");
	else if (!is_answer(d, reply, n))
		;
	else if (dns_msg_get16(reply + 2) & DNS_MSG_TC) {
		stop(d);
		start_tcp(d);
	} else
		finish(d, reply, n);
}

static void
send_udp(struct dns_direct *d)
{
	if (send(d->fd, d->msg.p + 2, d->msg.len - 2, MSG_NOSIGNAL) == -1 && errno != EAGAIN && errno != ENOBUFS) {
		broken(d, "UDP");
		return;
	}
	arm(d->resend, d->resend_ms);
	d->resend_ms *= 2;
}

static void
on_resend(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_udp(arg);
}

struct dns_direct *
dns_direct_send(struct event_base *base, const struct sockaddr *to, const void *msg, size_t n, unsigned flags,
    int timeout_ms, dns_direct_fn *fn, void *arg)
{
	struct dns_direct *d = xcalloc(1, sizeof *d);

	if (n < DNS_MSG_HEADER || n > DNS_MSG_MAX)
		abort();
	d->base = base;
	d->tolen = to->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	memcpy(&d->to, to, d->tolen);
	d->fd = -1;
	d->fn = fn;
	d->arg = arg;
	d->resend_ms = DNS_DIRECT_RESEND_MS;
	dns_msg_put16(&d->msg, n);
	buf_add(&d->msg, msg, n);
	if ((d->deadline = evtimer_new(base, on_deadline, d)) == NULL ||
	    (d->resend = evtimer_new(base, on_resend, d)) == NULL)
		alloc_failed();
	arm(d->deadline, timeout_ms);
	if (flags & DNS_DIRECT_TCP)
		start_tcp(d);
	else if (open_socket(d, SOCK_DGRAM) == -1)
		broken(d, "UDP");
	else {
		listen_for(d, EV_READ, on_udp);
		send_udp(d);
	}
	return d;
}
