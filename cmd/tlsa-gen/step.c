/*
 * Questions that go out together.  step_ask() and step_send() only ask; step_wait() runs the loop until all
 * answers are there, each of which has a deadline, so it ends.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "alloc.h"
#include "dns_direct.h"
#include "gen.h"

#define STEP_MAX 200	/* questions under way: sockets, and what a server takes at once */

struct wait {
	struct step *step;
	struct dns_answer **out;
	struct buf *reply;
	struct fail *fail;
};

int
step_open(struct step *s, const struct job *j, struct fail *f)
{
	*s = (struct step){ .timeout_ms = j->dns.timeout_ms };
	if ((s->base = event_base_new()) == NULL)
		alloc_failed();
	if ((s->dns = dns_new(s->base, &j->dns, f)) != NULL)
		return 0;
	step_close(s);
	return -1;
}

void
step_close(struct step *s)
{
	dns_free(s->dns);
	s->dns = NULL;
	if (s->base != NULL)
		event_base_free(s->base);
	s->base = NULL;
}

void
step_wait(struct step *s)
{
	while (s->waiting > 0)
		if (event_base_loop(s->base, EVLOOP_ONCE) == -1)
			abort();
}

static struct wait *
wait_new(struct step *s)
{
	struct wait *w = xcalloc(1, sizeof *w);

	while (s->waiting >= STEP_MAX)
		if (event_base_loop(s->base, EVLOOP_ONCE) == -1)
			abort();
	s->waiting++;
	w->step = s;
	return w;
}

static void
on_answer(void *arg, const struct dns_answer *a)
{
	struct wait *w = arg;

	*w->out = dns_answer_copy(a);
	w->step->waiting--;
	free(w);
}

void
step_ask(struct step *s, const char *name, enum dns_type type, struct dns_answer **out)
{
	struct wait *w = wait_new(s);

	w->out = out;
	dns_ask(s->dns, name, type, on_answer, w);
}

static void
on_reply(void *arg, const uint8_t *p, size_t n, const struct fail *f)
{
	struct wait *w = arg;

	if (p != NULL)
		buf_add(w->reply, p, n);
	else
		*w->fail = *f;
	w->step->waiting--;
	free(w);
}

void
step_send(struct step *s, const struct endpoint *to, const struct buf *msg, unsigned flags, struct buf *reply,
    struct fail *f)
{
	struct sockaddr_storage ss;
	struct wait *w = wait_new(s);

	endpoint_sockaddr(to, &ss);
	w->reply = reply;
	w->fail = f;
	dns_direct_send(s->base, (struct sockaddr *)&ss, msg->p, msg->len, flags, s->timeout_ms, on_reply, w);
}

int
step_exchange(struct step *s, const struct endpoint *to, const struct buf *msg, unsigned flags, struct buf *out,
    struct fail *f)
{
	struct fail why = FAIL_INIT;

	step_send(s, to, msg, flags, out, &why);
	step_wait(s);
	if (why.kind == FAIL_NONE)
		return 0;
	return fail(f, why.kind, "%s@%u: %s", to->host, to->port, why.text);
}

/* The host is an address literal: getaddrinfo() would ask for more than it needs. */
socklen_t
endpoint_sockaddr(const struct endpoint *e, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof *ss);
	if (inet_pton(AF_INET, e->host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		return sizeof *in;
	}
	if (inet_pton(AF_INET6, e->host, &in6->sin6_addr) != 1)
		abort();
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	return sizeof *in6;
}

static size_t
take_addresses(const struct dns_answer *a, int family, uint16_t port, struct endpoint *out, size_t n)
{
	size_t i, size = family == AF_INET ? 4 : 16;

	if (a->sec == DNS_BOGUS || a->sec == DNS_FAILED)
		return n;
	for (i = 0; i < a->n && n < STEP_ADDRESSES_MAX; i++)
		if (a->rr[i].len == size &&
		    inet_ntop(family, a->rr[i].data, out[n].host, sizeof out[n].host) != NULL)
			out[n++].port = port;
	return n;
}

/* Why there is no address, from the two answers: the worse one says most. */
static void
no_address(const char *host, const struct dns_answer *v4, const struct dns_answer *v6, struct fail *f)
{
	const struct dns_answer *worst = v4->why != NULL ? v4 : v6;

	if (worst->why != NULL)
		fail(f, FAIL_TEMP, "%.260s: its address cannot be looked up: %s", host, worst->why);
	else
		fail(f, FAIL_INPUT, "%.260s: has no address", host);
}

void
addresses_ask(struct step *s, const char *host, struct addresses *a)
{
	*a = (struct addresses){ .host = host };
	if (text_is_address(host))
		return;
	step_ask(s, host, DNS_A, &a->v4);
	step_ask(s, host, DNS_AAAA, &a->v6);
}

size_t
addresses_take(struct addresses *a, uint16_t port, struct endpoint *out, struct fail *f)
{
	size_t n;

	if (text_is_address(a->host)) {
		snprintf(out->host, sizeof out->host, "%s", a->host);
		out->port = port;
		return 1;
	}
	n = take_addresses(a->v4, AF_INET, port, out, 0);
	n = take_addresses(a->v6, AF_INET6, port, out, n);
	if (n == 0)
		no_address(a->host, a->v4, a->v6, f);
	dns_answer_free(a->v4);
	dns_answer_free(a->v6);
	return n;
}
