/*
 * A question's way: PTR of the address, then, name by name, A or AAAA of what it says, until one has the address.
 */
#include "names.h"

#include <sys/socket.h>

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "channel.h"
#include "cut.h"
#include "dns.h"
#include "log.h"
#include "name.h"
#include "table.h"

static const char role_name[] = "route";	/* in the log */

#define WORD_MAX 24	/* octets of a slot or serial, which are the asker's */

static const char *const state_names[] = { [NAMES_CONFIRMED] = "confirmed", [NAMES_NONE] = "none",
	[NAMES_FAILED] = "failed" };

/* An in.  Lives on without a channel until its last question is answered. */
struct asker {
	struct channel *channel;	/* NULL: it is gone */
	struct dns *dns;
	struct role *role;
	unsigned number;
	size_t asked;
};

struct question {
	struct asker *asker;
	char slot[WORD_MAX], serial[WORD_MAX];
	int family;
	uint8_t addr[16];
	char *name[NAMES_PTR_MAX];
	size_t n, at;
	int failed;		/* of one of them nothing could be found out */
};

const char *
names_state_name(enum names_state state)
{
	return state_names[state];
}

int
names_state_parse(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
		if (strcmp(word, state_names[i]) == 0)
			return (int)i;
	return -1;
}

static void
asker_settle(struct asker *a)
{
	if (a->channel == NULL && a->asked == 0)
		free(a);
}

static void
tell(struct asker *a, const char *slot, const char *serial, enum names_state state, const char *name)
{
	struct buf b = BUF_INIT;

	if (a->channel == NULL)
		return;
	table_put(&b, "named", slot, serial, state_names[state], name, (char *)NULL);
	channel_send(a->channel, b.p, b.len, -1);
	buf_clear(&b);
}

static void
answer(struct question *q, enum names_state state, const char *name)
{
	size_t i;

	tell(q->asker, q->slot, q->serial, state, name);
	q->asker->asked--;
	asker_settle(q->asker);
	for (i = 0; i < q->n; i++)
		free(q->name[i]);
	free(q);
}

static int
has_address(const struct question *q, const struct dns_answer *a)
{
	size_t i, len = q->family == AF_INET ? 4 : 16;

	for (i = 0; i < a->n; i++)
		if (a->rr[i].len == len && memcmp(a->rr[i].data, q->addr, len) == 0)
			return 1;
	return 0;
}

static void ask_next(struct question *);

static int
is_answer(const struct dns_answer *a)
{
	return a->sec == DNS_SECURE || a->sec == DNS_INSECURE;
}

static void
on_addresses(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;

	if (!is_answer(a))
		q->failed = 1;
	else if (a->got == DNS_DATA && has_address(q, a)) {
		answer(q, NAMES_CONFIRMED, q->name[q->at]);
		return;
	}
	q->at++;
	ask_next(q);
}

static void
ask_next(struct question *q)
{
	if (q->at == q->n)
		answer(q, q->failed ? NAMES_FAILED : NAMES_NONE, "");
	else
		dns_ask(q->asker->dns, q->name[q->at], q->family == AF_INET ? DNS_A : DNS_AAAA, on_addresses, q);
}

/* What is no host name is nobody's: it goes into the log, and into Received. */
static void
on_ptr(void *arg, const struct dns_answer *a)
{
	struct question *q = arg;
	size_t i;

	q->failed = !is_answer(a);
	for (i = 0; i < a->n && q->n < NAMES_PTR_MAX && !q->failed && a->got == DNS_DATA; i++)
		if (a->rr[i].name != NULL && name_is_host(a->rr[i].name, NAME_UNDERSCORE))
			q->name[q->n++] = xstrdup(a->rr[i].name);
	ask_next(q);
}

/* "1.2.0.192.in-addr.arpa" (RFC 1035 3.5), nibbles for IPv6 (RFC 3596 2.5). */
static char *
reverse_name(int family, const uint8_t *addr)
{
	struct buf b = BUF_INIT;
	int i;

	if (family == AF_INET)
		return xasprintf("%u.%u.%u.%u.in-addr.arpa", addr[3], addr[2], addr[1], addr[0]);
	for (i = 15; i >= 0; i--)
		buf_printf(&b, "%x.%x.", addr[i] & 15U, addr[i] >> 4);
	buf_puts(&b, "ip6.arpa");
	return buf_steal(&b);
}

static void
ask(struct asker *a, const char *slot, const char *serial, int family, const uint8_t *addr)
{
	struct question *q = xcalloc(1, sizeof *q);
	char *name = reverse_name(family, addr);

	q->asker = a;
	q->family = family;
	memcpy(q->addr, addr, sizeof q->addr);
	snprintf(q->slot, sizeof q->slot, "%s", slot);
	snprintf(q->serial, sizeof q->serial, "%s", serial);
	a->asked++;
	dns_ask(a->dns, name, DNS_PTR, on_ptr, q);
	free(name);
}

/* name SLOT SERIAL ADDRESS: from a process that faces peers, so nothing about it is believed. */
static void
on_record(void *arg, struct order *o)
{
	struct asker *a = arg;
	uint8_t addr[16] = { 0 };
	int version;

	if (o->fd != -1)
		close(o->fd);
	if (o->n != 4 || strcmp(o->v[0], "name") != 0 || strlen(o->v[1]) >= WORD_MAX ||
	    strlen(o->v[2]) >= WORD_MAX || (version = text_address(o->v[3], addr)) == 0) {
		struct log_line l;

		log_event(&l, LOG_LEVEL_ERROR, role_name, "worker-nonsense");
		log_key(&l, "reason", "a record that makes no sense");
		log_send(&l);
		return;
	}
	if (a->asked >= NAMES_ASKED_MAX)
		tell(a, o->v[1], o->v[2], NAMES_FAILED, "");
	else
		ask(a, o->v[1], o->v[2], version == 4 ? AF_INET : AF_INET6, addr);
}

static void
on_gone(void *arg, const struct fail *f)
{
	struct asker *a = arg;

	cut_gone(role_name, a->number, f);
	channel_free(a->channel);
	a->channel = NULL;
	asker_settle(a);
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_gone };

void
names_serve(struct role *role, const struct conf *conf, struct dns *dns, int fd, unsigned number)
{
	struct asker *a = xcalloc(1, sizeof *a);

	a->dns = dns;
	a->role = role;
	a->number = number;
	a->channel = channel_new(role->base, fd, &handlers, a);
	cut_watch(a->channel, conf);
}
