/*
 * Which zone a name is in, and which servers have it.
 *
 * The zone is the longest tail of the name that has a SOA record of its own; all tails are asked for at once.
 * Its servers are the NS records' that the validating resolver gives, each at each of its addresses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dns_direct.h"
#include "dns_msg.h"
#include "gen.h"

#define LABELS_MAX 128	/* RFC 1035: 255 octets have no more */

/* The name and all its tails; the root is none of them. */
static size_t
tails_of(const char *name, const char **out)
{
	size_t n = 0;
	const char *p;

	for (p = name; p != NULL && *p != '\0' && strcmp(p, ".") != 0 && n < LABELS_MAX; n++) {
		out[n] = p;
		p = strchr(p, '.');
		p = p != NULL ? p + 1 : NULL;
	}
	return n;
}

static int
is_apex(const struct dns_answer *a)
{
	return a->sec != DNS_BOGUS && a->sec != DNS_FAILED && a->got == DNS_DATA && a->aliases == 0 && a->n > 0;
}

/* The same question of one server, which need not be one that the resolver knows. */
static struct dns_answer *
ask_server(struct step *s, const struct endpoint *server, const char *name)
{
	struct buf msg = BUF_INIT, reply = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct dns_answer *a;
	struct dns_msg_head h;

	if (dns_msg_query(&msg, name, DNS_SOA, &f) == 0)
		step_exchange(s, server, &msg, 0, &reply, &f);
	a = dns_message_read(name, DNS_SOA, (uint8_t *)reply.p, reply.len);
	if (f.kind != FAIL_NONE) {
		free(a->why);
		a->why = xstrdup(f.text);
	} else if (dns_msg_get_head((uint8_t *)reply.p, reply.len, &h, NULL) == 0 && !(h.flags & DNS_MSG_AA)) {
		/* A referral, a refusal, what it has heard: no zone of this server's. */
		free(a->why);
		a->why = NULL;
		a->sec = DNS_INSECURE;
		a->got = DNS_NODATA;
	}
	buf_clear(&msg);
	buf_clear(&reply);
	return a;
}

static struct known *
known_tail(const struct finder *z, const char *name)
{
	size_t i;

	for (i = 0; i < z->n; i++)
		if (strcmp(z->v[i]->name, name) == 0)
			return z->v[i];
	return NULL;
}

void
finder_ask(struct finder *z, const char *name)
{
	const char *tail[LABELS_MAX];
	size_t n = tails_of(name, tail), i;

	for (i = 0; i < n; i++) {
		struct known *k;

		if (known_tail(z, tail[i]) != NULL)
			continue;
		k = xcalloc(1, sizeof *k);
		k->name = xstrdup(tail[i]);
		z->v = xreallocarray(z->v, z->n + 1, sizeof *z->v);
		z->v[z->n++] = k;
		if (z->server == NULL)
			step_ask(z->step, k->name, DNS_SOA, &k->answer);
		else
			k->answer = ask_server(z->step, z->server, k->name);
		if (z->server != NULL && (k->answer->why != NULL || is_apex(k->answer)))
			return;
	}
}

static int
not_found(const struct finder *z, const char *name, const char *why, struct fail *f)
{
	if (why != NULL)
		return fail(f, FAIL_TEMP, "%.260s: its zone cannot be found: %.200s", name, why);
	if (z->server != NULL)
		return fail(f, FAIL_POLICY, "%.260s: %s@%u is authoritative for no zone of it", name,
		    z->server->host, z->server->port);
	return fail(f, FAIL_POLICY, "%.260s: is in no zone", name);
}

const struct dns_answer *
finder_zone0(struct finder *z, const char *name, struct fail *f)
{
	const char *tail[LABELS_MAX];
	size_t n = tails_of(name, tail), i;

	finder_ask(z, name);
	step_wait(z->step);
	for (i = 0; i < n; i++) {
		const struct dns_answer *a = known_tail(z, tail[i])->answer;

		if (is_apex(a))
			return a;
		/* It may be the zone, and what would be found behind it its parent. */
		if (a->why != NULL)
			return not_found(z, name, a->why, f), NULL;
	}
	not_found(z, name, NULL, f);
	return NULL;
}

void
finder_clear(struct finder *z)
{
	size_t i;

	for (i = 0; i < z->n; i++) {
		free(z->v[i]->name);
		dns_answer_free(z->v[i]->answer);
		free(z->v[i]);
	}
	free(z->v);
}
