#include "arrive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cidr.h"
#include "in.h"
#include "log.h"
#include "proxy.h"

/* A connection whose header has not come yet. */
struct pending {
	struct pending *next, **at;
	struct in *in;
	size_t listener;
	int fd;
	struct event *readable, *timer;
	struct arrival from;
	char held[PROXY_V2_MAX];
	size_t n;
};

static struct pending *all;

static const struct conf_listen *
conf_of(const struct in *in, size_t listener)
{
	return in->start->listener[listener].conf;
}

static void
log_refused(const struct in *in, size_t listener, const char *client, const char *reason)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_WARN, in->start->role.name, "proxy-refused");
	log_key(&l, "listener", conf_of(in, listener)->name);
	log_key(&l, "client", client);
	log_key(&l, "reason", reason);
	log_send(&l);
}

static void
set_client(struct arrival *a, int version, const void *addr, uint16_t port)
{
	a->family = version == 4 ? AF_INET : AF_INET6;
	memcpy(a->addr, addr, version == 4 ? 4 : 16);
	a->port = port;
	inet_ntop(a->family, a->addr, a->client, sizeof a->client);
}

/* The socket is somebody else's by then, or closed. */
static void
pending_free(struct pending *p)
{
	if ((*p->at = p->next) != NULL)
		p->next->at = p->at;
	event_free(p->readable);
	event_free(p->timer);
	p->in->nsessions--;
	p->in->npending[p->listener]--;
	free(p);
}

/* Told, and reset: what a broken balancer had to say is nobody's mail. */
static void
turn_away(struct pending *p, const char *reason)
{
	log_refused(p->in, p->listener, p->from.client, reason);
	reset_connection(p->fd);
	pending_free(p);
}

static void
header_done(struct pending *p, const struct proxy *header)
{
	struct arrival from = p->from;
	struct in *in = p->in;
	size_t listener = p->listener;
	int fd = p->fd;

	if (header->version != 0) {
		memcpy(from.balancer, p->from.client, sizeof from.balancer);
		set_client(&from, header->version, header->ip, header->port);
	}
	/* Before the session counts: whoever waits for the last one must not see none. */
	session_start(in, listener, fd, &from);
	pending_free(p);
}

/*
 * The octets are looked at before they are taken: what stands behind the header is the client's, and under smtps its
 * handshake, which reads the socket itself.  Of an unfinished header all are its own.
 */
static void
on_header(evutil_socket_t fd, short what, void *arg)
{
	struct pending *p = arg;
	struct fail f = FAIL_INIT;
	struct proxy header;
	enum proxy_got got;
	size_t used, take;
	ssize_t n;

	(void)what;
	n = recv(fd, p->held + p->n, sizeof p->held - p->n, MSG_PEEK);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		turn_away(p, n == 0 ? "closed before its PROXY header was complete" : strerror(errno));
		return;
	}
	got = proxy_parse(p->held, p->n + (size_t)n, &header, &used, &f);
	take = got == PROXY_DONE ? used - p->n : (size_t)n;
	if (got != PROXY_BAD && recv(fd, p->held + p->n, take, 0) != (ssize_t)take) {
		turn_away(p, strerror(errno));
		return;
	}
	p->n += take;
	if (got == PROXY_DONE)
		header_done(p, &header);
	else if (got == PROXY_BAD)
		turn_away(p, f.text);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	turn_away(arg, "its PROXY header did not come in time");
}

static void
await_header(struct in *in, size_t listener, int fd, const struct arrival *from)
{
	struct timeval tv = { ARRIVE_HEADER_S, 0 };
	struct pending *p = xcalloc(1, sizeof *p);

	p->in = in;
	p->listener = listener;
	p->fd = fd;
	p->from = *from;
	if ((p->next = all) != NULL)
		all->at = &p->next;
	p->at = &all;
	all = p;
	in->nsessions++;
	in->npending[listener]++;
	if ((p->readable = event_new(in->role.base, fd, EV_READ | EV_PERSIST, on_header, p)) == NULL ||
	    (p->timer = evtimer_new(in->role.base, on_timeout, p)) == NULL || event_add(p->readable, NULL) == -1 ||
	    event_add(p->timer, &tv) == -1)
		alloc_failed();
}

static int
is_balancer(const struct conf_listen *l, const struct arrival *a)
{
	size_t i;

	for (i = 0; i < l->nproxies; i++)
		if (cidr_has(&l->proxy[i], a->family == AF_INET ? 4 : 6, a->addr))
			return 1;
	return 0;
}

static void
arrive_proxied(struct in *in, size_t listener, int fd, const struct arrival *from)
{
	const char *reason = NULL;

	if (!is_balancer(conf_of(in, listener), from))
		reason = "not one of the listener's balancers";
	else if (in->npending[listener] >= conf_of(in, listener)->concurrency)
		reason = "too many connections without their PROXY header";
	if (reason == NULL) {
		await_header(in, listener, fd, from);
		return;
	}
	log_refused(in, listener, from->client, reason);
	reset_connection(fd);
}

void
arrive(struct in *in, size_t listener, int fd, const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)ss;
	struct arrival from = { .family = AF_UNIX, .client = "local" };
	socklen_t len = sizeof from.peer;

	if (conf_of(in, listener)->path != NULL) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &from.peer, &len) == -1)
			from.peer = (struct ucred){ .pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1 };
		/* Users are told from each other as addresses are, where clients are counted. */
		memcpy(from.addr, &from.peer.uid, sizeof from.peer.uid);
	} else if (ss->ss_family == AF_INET)
		set_client(&from, 4, &sin->sin_addr, ntohs(sin->sin_port));
	else
		set_client(&from, 6, &sin6->sin6_addr, ntohs(sin6->sin6_port));
	if (conf_of(in, listener)->nproxies > 0)
		arrive_proxied(in, listener, fd, &from);
	else
		session_start(in, listener, fd, &from);
}

void
arrive_end(struct in *in)
{
	struct pending *p, *next;

	(void)in;
	for (p = all; p != NULL; p = next) {
		next = p->next;
		reset_connection(p->fd);
		pending_free(p);
	}
}
