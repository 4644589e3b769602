/* Which TLS session of a next hop is offered again: never one that another plan made, none twice, none for long. */
#include "../../cmd/smtp-relay/tickets.h"

#include <stdio.h>

#include "unit.h"

static SSL_SESSION *
session(void)
{
	return SSL_SESSION_new();
}

/* Whether that one is what comes; it is freed. */
static int
comes(struct tickets *t, const char *key, int64_t now, const SSL_SESSION *want)
{
	int64_t shaken;
	SSL_SESSION *got = tickets_take(t, key, now, &shaken);

	SSL_SESSION_free(got);
	return got == want;
}

static void
test_keys(void)
{
	struct tickets *t = tickets_new();
	SSL_SESSION *a = session(), *b = session(), *c = session();

	tickets_put(t, "192.0.2.1 25 may", a, 100);
	tickets_put(t, "192.0.2.1 25 dane 3 1 1 aa", b, 100);
	tickets_put(t, "192.0.2.1 25 may", c, 101);
	unit_ok(comes(t, "192.0.2.1 25 dane 3 1 1 bb", 101, NULL), "other records: none");
	unit_ok(comes(t, "192.0.2.1 25", 101, NULL), "a part of a key is none");
	unit_ok(comes(t, "192.0.2.1 25 may", 101, c), "the newest of those of the key");
	unit_ok(comes(t, "192.0.2.1 25 may", 101, a), "then the other");
	unit_ok(comes(t, "192.0.2.1 25 may", 101, NULL), "none twice");
	unit_int(tickets_count(t), 1, "the third is there");
	tickets_forget(t, "192.0.2.1 25 may");
	unit_int(tickets_count(t), 1, "and stays where another key is forgotten");
	tickets_forget(t, "192.0.2.1 25 dane 3 1 1 aa");
	unit_int(tickets_count(t), 0, "until its own is");
	tickets_free(t);
	tickets_free(NULL);
}

static void
test_bounds(void)
{
	struct tickets *t = tickets_new();
	SSL_SESSION *old = session(), *young = session(), *got;
	int64_t shaken = 0;
	char key[32];
	int i;

	tickets_put(t, "a", old, 100);
	tickets_put(t, "a", young, 200);
	got = tickets_take(t, "a", 200 + TICKETS_S - 1, &shaken);
	unit_ok(got == young && shaken == 200, "a session is good for an hour behind its handshake");
	/* Resumed then, it led to another one. */
	tickets_put(t, "a", got, shaken);
	unit_ok(comes(t, "a", 200 + TICKETS_S, NULL), "and so is what it led to");
	unit_int(tickets_count(t), 0, "those that are over are gone");
	for (i = 0; i < TICKETS_EACH + 3; i++)
		tickets_put(t, "b", session(), 5000);
	unit_int(tickets_count(t), TICKETS_EACH, "so many of one key");
	tickets_put(t, "first", session(), 5000);
	for (i = 0; i < TICKETS_MAX; i++) {
		snprintf(key, sizeof key, "k%d", i);
		tickets_put(t, key, session(), 5001);
	}
	unit_int(tickets_count(t), TICKETS_MAX, "so many of all");
	unit_ok(comes(t, "first", 5001, NULL), "of which the eldest went");
	tickets_free(t);
}

int
main(void)
{
	test_keys();
	test_bounds();
	return unit_done();
}
