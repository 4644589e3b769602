/* Counts of clients: sessions, rates under a fake clock, room, and many processes at once. */
#include "clients.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "text.h"
#include "unit.h"

#define S INT64_C(1000000)

static struct clients *
fresh(size_t workers)
{
	struct fail f = FAIL_INIT;
	struct clients *c = clients_new(1, workers, &f);

	if (c == NULL)
		abort();
	return c;
}

static int
enter(struct clients *c, size_t worker, const char *listener, const char *addr, struct clients_place *p)
{
	uint8_t octets[16];
	int version = text_address(addr, octets);

	return clients_enter(c, worker, listener, version == 4 ? AF_INET : AF_INET6, octets, 0, p);
}

static void
test_sessions(void)
{
	struct clients *c = fresh(3);
	struct clients_place a, b, d, e;

	unit_ok(enter(c, 0, "in", "192.0.2.1", &a), "a session");
	unit_int(clients_sessions(c, &a), 1, "is counted");
	enter(c, 2, "in", "192.0.2.1", &b);
	unit_int(clients_sessions(c, &a), 2, "with those of other workers");
	enter(c, 0, "in", "192.0.2.2", &d);
	unit_int(clients_sessions(c, &d), 1, "another address is another client");
	enter(c, 0, "out", "192.0.2.1", &e);
	unit_int(clients_sessions(c, &e), 1, "likewise at another listener");
	clients_leave(c, 0, &a);
	unit_int(clients_sessions(c, &b), 1, "one has left");
	clients_leave(c, 0, &a);
	unit_int(clients_sessions(c, &b), 1, "who left twice left once");
	clients_forget(c, 2);
	unit_int(clients_sessions(c, &b), 0, "the sessions of a dead worker");
	unit_int(clients_sessions(c, &d), 1, "but not those of others");
	clients_free(c);
}

static void
test_networks(void)
{
	static const struct {
		const char *a, *b;
		unsigned together;
	} rows[] = {
		{ "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 2 },
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", 1 },
		{ "192.0.2.1", "192.0.2.1", 2 },
		{ "192.0.2.1", "::ffff:192.0.2.1", 1 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct clients *c = fresh(1);
		struct clients_place a, b;

		enter(c, 0, "in", rows[i].a, &a);
		enter(c, 0, "in", rows[i].b, &b);
		unit_int(clients_sessions(c, &b), rows[i].together, "%s, %s", rows[i].a, rows[i].b);
		clients_free(c);
	}
}

/* How many of 1000 tries, one each step, were allowed. */
static unsigned
allowed(uint64_t n, uint32_t seconds, int64_t step)
{
	struct clients *c = fresh(1);
	struct clients_place p;
	unsigned got = 0, i;

	enter(c, 0, "in", "192.0.2.1", &p);
	for (i = 0; i < 1000; i++)
		got += (unsigned)clients_spend(c, &p, CLIENTS_MESSAGES, n, seconds, i * step);
	clients_free(c);
	return got;
}

static void
test_rates(void)
{
	struct clients *c = fresh(1);
	struct clients_place p, none = { 0, 0 };

	unit_int(allowed(60, 60, 0), 60, "60 a minute at once");
	unit_int(allowed(0, 60, 0), 1000, "no limit");
	unit_int(allowed(60, 60, S), 1000, "one a second is 60 a minute");
	unit_int(allowed(60, 60, S / 2), 559, "two a second: 60 ahead, then one each second");
	unit_int(allowed(1, 3600, S), 1, "one an hour");
	unit_int(allowed(1000000, 1, 0), 1000, "a million a second");
	enter(c, 0, "in", "192.0.2.1", &p);
	unit_ok(clients_spend(c, &p, CLIENTS_MESSAGES, 1, 60, 0), "one of them");
	unit_ok(!clients_spend(c, &p, CLIENTS_MESSAGES, 1, 60, 0), "not a second");
	unit_ok(clients_spend(c, &p, CLIENTS_RECIPIENTS, 1, 60, 0), "each rate for itself");
	unit_ok(!clients_spend(c, &p, CLIENTS_MESSAGES, 1, 60, 60 * S - 1), "just before its time");
	unit_ok(clients_spend(c, &p, CLIENTS_MESSAGES, 1, 60, 60 * S), "after its time");
	clients_leave(c, 0, &p);
	enter(c, 0, "in", "192.0.2.1", &p);
	unit_ok(!clients_spend(c, &p, CLIENTS_MESSAGES, 1, 60, 61 * S), "to leave and come again is no way around");
	unit_ok(clients_spend(c, &none, CLIENTS_MESSAGES, 1, 60, 0), "without a place nothing is counted");
	clients_free(c);
}

/* More clients than places: those with sessions keep theirs, the others' go. */
static void
test_room(void)
{
	struct clients *c = fresh(1);
	struct clients_place keep, p;
	uint8_t addr[4] = { 10, 0, 0, 0 };
	unsigned i, uncounted = 0;

	enter(c, 0, "in", "192.0.2.1", &keep);
	for (i = 0; i < 200000; i++) {
		addr[1] = (uint8_t)(i >> 16);
		addr[2] = (uint8_t)(i >> 8);
		addr[3] = (uint8_t)i;
		uncounted += !clients_enter(c, 0, "in", AF_INET, addr, i, &p);
		clients_spend(c, &p, CLIENTS_CONNECTIONS, 1, 60, i);
		clients_leave(c, 0, &p);
	}
	unit_int(uncounted, 0, "200000 clients that come and go are all counted");
	unit_int(clients_sessions(c, &keep), 1, "and the one that stays keeps its place");
	for (i = 0; i < 200000; i++) {
		addr[1] = (uint8_t)(i >> 16);
		addr[2] = (uint8_t)(i >> 8);
		addr[3] = (uint8_t)i;
		uncounted += !clients_enter(c, 0, "in", AF_INET, addr, i, &p);
	}
	unit_int(uncounted, 200000 - (CLIENTS_MIN - 1), "of those that stay as many as there are places");
	unit_int(clients_sessions(c, &keep), 1, "nobody's place is taken from them");
	clients_forget(c, 0);
	unit_ok(clients_enter(c, 0, "in", AF_INET, addr, 0, &p), "room again");
	clients_free(c);
}

#define WORKERS 4
#define ROUNDS 20000

/* All use the same few clients at once; at the end nobody is left. */
static void
work(struct clients *c, size_t worker)
{
	struct clients_place p[3];
	unsigned i, j;
	uint8_t addr[4] = { 10, 0, 0, 0 };

	for (i = 0; i < ROUNDS; i++) {
		for (j = 0; j < 3; j++) {
			addr[3] = (uint8_t)((i + j) % 7);
			if (!clients_enter(c, worker, "in", AF_INET, addr, i, &p[j]))
				_exit(2);
			if (clients_sessions(c, &p[j]) == 0)
				_exit(3);
		}
		for (j = 0; j < 3; j++)
			clients_leave(c, worker, &p[j]);
	}
	_exit(0);
}

static void
test_processes(void)
{
	struct clients *c = fresh(WORKERS);
	struct clients_place p;
	uint8_t addr[4] = { 10, 0, 0, 0 };
	int status, bad = 0;
	size_t i;

	for (i = 0; i < WORKERS; i++)
		if (fork() == 0)
			work(c, i);
	for (i = 0; i < WORKERS; i++)
		if (wait(&status) == -1 || status != 0)
			bad++;
	unit_int(bad, 0, "workers at the same time");
	for (i = 0; i < 7; i++) {
		addr[3] = (uint8_t)i;
		clients_enter(c, 0, "in", AF_INET, addr, ROUNDS, &p);
		unit_int(clients_sessions(c, &p), 1, "client %zu: none is left but this one", i);
	}
	clients_free(c);
}

int
main(void)
{
	test_sessions();
	test_networks();
	test_rates();
	test_room();
	test_processes();
	return unit_done();
}
