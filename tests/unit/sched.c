/* Days of retries under a fake clock, fairness, sleep, places; random operations against a naive model. */
#include "sched.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "unit.h"

#define MIDDLE 0x80000000U	/* the random number of no jitter */
#define DAY 86400

static const char *
id_of(unsigned n)
{
	static char id[SPOOL_ID_SIZE];

	snprintf(id, sizeof id, "%0*u", SPOOL_ID_LEN, n);
	return id;
}

static unsigned
number_of(const struct sched_message *m)
{
	return m != NULL ? strtoul(m->id, NULL, 10) : 0;
}

static struct sched_message *
add(struct sched *s, unsigned n, int64_t due, const char *key)
{
	return sched_add(s, id_of(n), due, SCHED_NEVER, key, NULL);
}

static struct sched_message *
next(struct sched *s, int64_t now)
{
	enum sched_why why;

	return sched_next(s, now, &why);
}

/* ---- back-off ---- */

static const struct {
	unsigned tries;
	int64_t age, lifetime;
	uint32_t random;
	int64_t want;
} delays[] = {
	{ 1, 0, SCHED_LIFETIME, MIDDLE, 300 },
	{ 1, 0, SCHED_LIFETIME, 0, 240 },
	{ 1, 0, SCHED_LIFETIME, UINT32_MAX, 360 },
	{ 0, 0, SCHED_LIFETIME, MIDDLE, 300 },
	{ 2, 300, SCHED_LIFETIME, MIDDLE, 600 },
	{ 3, 900, SCHED_LIFETIME, MIDDLE, 1200 },
	{ 6, 9300, SCHED_LIFETIME, MIDDLE, 9600 },
	{ 7, 18900, SCHED_LIFETIME, MIDDLE, 14400 },
	{ 7, 18900, SCHED_LIFETIME, 0, 11520 },
	{ 7, 18900, SCHED_LIFETIME, UINT32_MAX, 17280 },
	{ UINT32_MAX, 18900, SCHED_LIFETIME, MIDDLE, 14400 },
	{ 30, SCHED_LIFETIME - 14401, SCHED_LIFETIME, MIDDLE, 14400 },
	{ 30, SCHED_LIFETIME - 100, SCHED_LIFETIME, MIDDLE, 100 },
	{ 30, SCHED_LIFETIME, SCHED_LIFETIME, MIDDLE, -1 },
	{ 1, 60, 60, MIDDLE, -1 },
	{ 1, 0, 0, MIDDLE, -1 },
};

static void
test_backoff(void)
{
	size_t i;

	for (i = 0; i < sizeof delays / sizeof delays[0]; i++)
		unit_int(sched_backoff(SCHED_BACKOFF_MIN, SCHED_BACKOFF_MIN * SCHED_BACKOFF_TIMES, delays[i].tries, delays[i].age, delays[i].lifetime, delays[i].random),
		    delays[i].want, "back-off after %u tries at %lld s", delays[i].tries,
		    (long long)delays[i].age);
}

/* Tries one message until its lifetime is over; its times in minutes. */
static unsigned
tries_in(int64_t span, uint32_t random, char *minutes, size_t size)
{
	struct sched *s = sched_new(10, 1);
	int64_t now = 0, delay = 0;
	struct sched_message *m;
	unsigned tries = 0;
	size_t len = 0;

	add(s, 1, 0, "a.example");
	while ((now = sched_wake(s)) <= span && now != SCHED_NEVER) {
		if (now > 0 && next(s, now - 1) != NULL)
			break;
		if ((m = next(s, now)) == NULL)
			break;
		tries++;
		if (len < size)
			len += snprintf(minutes + len, size - len, "%s%lld", len > 0 ? " " : "",
			    (long long)now / 60);
		sched_finished(s, m, SCHED_SAYS_NOTHING);
		if ((delay = sched_backoff(SCHED_BACKOFF_MIN, SCHED_BACKOFF_MIN * SCHED_BACKOFF_TIMES, tries, now, SCHED_LIFETIME, random)) == -1)
			break;
		add(s, 1, now + delay, "a.example");
	}
	sched_free(s);
	return tries;
}

static void
test_days(void)
{
	char minutes[256];

	unit_int(tries_in(DAY, MIDDLE, minutes, sizeof minutes), 11, "tries in a day");
	unit_str(minutes, "0 5 15 35 75 155 315 555 795 1035 1275", "their times");
	unit_int(tries_in(6 * DAY, MIDDLE, minutes, sizeof minutes), 36, "tries in a lifetime");
	unit_str(minutes, "0 5 15 35 75 155 315 555 795 1035 1275 1515 1755 1995 2235 2475 2715 2955 3195 "
	    "3435 3675 3915 4155 4395 4635 4875 5115 5355 5595 5835 6075 6315 6555 6795 7035 7200",
	    "their times, the last at the end of five days");
	unit_int(tries_in(6 * DAY, 0, minutes, sizeof minutes), 44, "with the least of delays");
	unit_int(tries_in(6 * DAY, UINT32_MAX, minutes, sizeof minutes), 31, "with the greatest");
}

/* ---- order ---- */

/* The numbers of what is handed out now. */
static const char *
drain(struct sched *s, int64_t now, unsigned max)
{
	static char out[256];
	struct sched_message *m;
	enum sched_why why;
	size_t len = 0;

	out[0] = '\0';
	while (max-- > 0 && (m = sched_next(s, now, &why)) != NULL && len < sizeof out - 20)
		len += snprintf(out + len, sizeof out - len, "%s%u%s", len > 0 ? " " : "", number_of(m),
		    why == SCHED_OVERDUE ? "!" : "");
	return out;
}

static void
finish(struct sched *s, unsigned n, enum sched_outcome outcome)
{
	struct sched_message *m = sched_find(s, id_of(n));

	if (m == NULL || !m->out)
		unit_ok(0, "message %u is out", n);
	else
		sched_finished(s, m, outcome);
}

static void
test_order(void)
{
	struct sched *s = sched_new(100, 7);
	struct sched_message *m;
	int here;

	unit_ok(sched_wake(s) == SCHED_NEVER, "an empty scheduler wakes never");
	unit_ok(next(s, 0) == NULL, "and has nothing");
	m = sched_add(s, id_of(3), 30, SCHED_NEVER, "a.example", &here);
	add(s, 1, 10, "a.example");
	add(s, 2, 10, "a.example");
	unit_ok(add(s, 2, 5, "b.example") == NULL, "an ID is there once");
	unit_ok(sched_find(s, id_of(3)) == m && m->arg == &here, "found by its ID");
	unit_str(sched_key(m), "a.example", "its key");
	unit_ok(sched_find(s, "x") == NULL, "an unknown ID");
	unit_int(sched_wake(s), 10, "wakes for the first");
	unit_str(drain(s, 9, 9), "", "nothing before its time");
	unit_str(drain(s, 10, 9), "1 2", "by due time, then by ID");
	unit_int(sched_wake(s), 30, "wakes for the next");
	sched_change(s, m, 20, SCHED_NEVER);
	unit_int(sched_wake(s), 20, "a due time changed");
	unit_int(sched_count(s), 3, "three messages");
	unit_int(sched_out(s), 2, "two of them out");
	sched_remove(s, m);
	unit_ok(sched_wake(s) == SCHED_NEVER, "removed");
	finish(s, 1, SCHED_SAYS_NOTHING);
	finish(s, 2, SCHED_SAYS_NOTHING);
	unit_int(sched_count(s), 0, "all gone");
	add(s, 4, 40, "a.example");
	add(s, 5, 41, "=0123456789abcdef");
	unit_str(drain(s, 50, 9), "4 5", "several destinations as one key");
	sched_free(s);
	sched_free(NULL);
}

static void
test_fair(void)
{
	struct sched *s = sched_new(1000, 7);
	unsigned i;

	for (i = 1; i <= 100000; i++)
		add(s, i, 0, "dead.example");
	for (i = 0; i < 3; i++) {
		add(s, 200000 + i, 50, "b.example");
		add(s, 300000 + i, 50, "c.example");
	}
	unit_str(drain(s, 100, 8), "1 200000 300000 2 200001 300001 3 200002",
	    "one of each destination in turn, though one has 100,000 older messages");
	unit_str(drain(s, 100, 9), "300002 4 5", "the rest, and no more than its places of the one");
	finish(s, 3, SCHED_SAYS_NOTHING);
	add(s, 400000, 100, "d.example");
	unit_str(drain(s, 100, 9), "6 400000", "a place that came free, then a fresh destination");
	sched_free(s);
}

static void
test_total(void)
{
	struct sched *s = sched_new(3, 7);

	add(s, 1, 0, "a");
	add(s, 2, 0, "a");
	add(s, 3, 0, "a");
	add(s, 4, 0, "b");
	add(s, 5, 0, "c");
	unit_str(drain(s, 0, 9), "1 4 5", "as many as the limit of all");
	unit_ok(sched_wake(s) == SCHED_NEVER, "no wake-up while all places are taken");
	finish(s, 4, SCHED_WORKED);
	unit_ok(sched_wake(s) <= 0, "a place is free");
	unit_str(drain(s, 0, 9), "2", "and taken");
	sched_free(s);
}

/* ---- sleep ---- */

static void
test_sleep(void)
{
	struct sched *s = sched_new(100, 7);
	struct sched_state st;
	unsigned i;

	for (i = 1; i <= 8; i++)
		sched_add(s, id_of(i), 0, i == 7 ? 500 : 5000, "a", NULL);
	unit_str(drain(s, 0, 9), "1 2 3 4 5", "the initial places");
	for (i = 1; i <= 3; i++) {
		unit_int(sched_state(s, "a").down, 0, "%u failures may be chance", i - 1);
		finish(s, i, SCHED_BROKE);
	}
	unit_int(sched_state(s, "a").down, 1, "as many as there are places left may not");
	sched_sleep(s, "a", 1000);
	finish(s, 4, SCHED_BROKE);
	finish(s, 5, SCHED_BROKE);
	st = sched_state(s, "a");
	unit_int(st.broke, 3, "failures of those that were out already do not count");
	unit_int(st.places, 1, "one place is left");
	unit_int(st.waiting, 3, "three wait");
	unit_int(st.until, 1000, "asleep");
	unit_int(sched_wake(s), 500, "wakes for a deadline in the sleep");
	unit_str(drain(s, 499, 9), "", "asleep: nothing");
	unit_str(drain(s, 500, 9), "7!", "past its deadline it is handed out all the same");
	finish(s, 7, SCHED_SAYS_NOTHING);
	unit_int(sched_wake(s), 1000, "the end of the sleep");
	add(s, 9, 0, "a");
	unit_str(drain(s, 999, 9), "", "a fresh message sleeps too");
	unit_str(drain(s, 1000, 9), "6", "awake, and one tries");
	finish(s, 6, SCHED_BROKE);
	st = sched_state(s, "a");
	unit_int(st.broke, 4, "four times in a row");
	unit_int(st.down, 1, "still down");
	sched_sleep(s, "a", 3000);
	sched_sleep(s, "a", 0);
	unit_str(drain(s, 1001, 9), "8", "woken early");
	finish(s, 8, SCHED_WORKED);
	unit_int(sched_state(s, "a").broke, 0, "a success ends the row");
	unit_int(sched_state(s, "a").down, 0, "and it is up");
	unit_str(drain(s, 1001, 9), "9", "the next");
	finish(s, 9, SCHED_BROKE);
	sched_sleep(s, "a", 2000);
	unit_int(sched_count(s), 0, "no message");
	add(s, 10, 0, "a");
	unit_int(sched_wake(s), 2000, "sleep outlasts the last message");
	sched_sleep(s, "b", 4000);
	add(s, 11, 0, "b");
	unit_str(drain(s, 2000, 9), "10", "a destination can sleep before its first message");
	sched_free(s);
}

/* A deadline while the places are taken by a destination that is awake waits for a try. */
static void
test_deadline(void)
{
	struct sched *s = sched_new(100, 7);
	unsigned i;

	for (i = 1; i <= 7; i++)
		sched_add(s, id_of(i), 0, 10, "a", NULL);
	unit_str(drain(s, 20, 9), "1 2 3 4 5", "past the deadline and awake: tried");
	unit_ok(sched_wake(s) == SCHED_NEVER, "no wake-up without a place");
	sched_sleep(s, "a", 30);
	unit_str(drain(s, 30, 9), "", "the sleep is over, the places are taken");
	sched_sleep(s, "a", 40);
	unit_str(drain(s, 31, 9), "6! 7!", "asleep again: handed out without a try");
	sched_free(s);
}

/* After 6 simulated days one dead domain with 1000 messages: how often it was tried, who expired. */
static void
test_dead_domain(void)
{
	struct sched *s = sched_new(100, 7);
	unsigned i, tried = 0, expired = 0, late = 0, calls = 0;
	struct sched_message *m;
	enum sched_why why;
	int64_t now;

	for (i = 0; i < 1000; i++)
		sched_add(s, id_of(i), i, (int64_t)i + SCHED_LIFETIME, "dead", NULL);
	while ((now = sched_wake(s)) != SCHED_NEVER && calls++ < 100000) {
		if (now < 0)
			now = 0;
		while ((m = sched_next(s, now, &why)) != NULL) {
			int64_t age = now - number_of(m);
			unsigned n = number_of(m);

			if (why == SCHED_OVERDUE || age >= SCHED_LIFETIME) {
				expired++;
				late += age > SCHED_LIFETIME + SCHED_BACKOFF_MIN * SCHED_BACKOFF_TIMES;
				sched_finished(s, m, SCHED_SAYS_NOTHING);
				continue;
			}
			tried++;
			sched_finished(s, m, SCHED_BROKE);
			sched_add(s, id_of(n), now + sched_backoff(SCHED_BACKOFF_MIN, SCHED_BACKOFF_MIN * SCHED_BACKOFF_TIMES, 1, age, SCHED_LIFETIME, MIDDLE),
			    (int64_t)n + SCHED_LIFETIME, "dead", NULL);
			sched_sleep(s, "dead",
			    now + sched_backoff(SCHED_BACKOFF_MIN, SCHED_BACKOFF_MIN * SCHED_BACKOFF_TIMES, sched_state(s, "dead").broke, 0, SCHED_LIFETIME, MIDDLE));
		}
	}
	unit_int(expired, 1000, "all messages of a dead domain expire");
	unit_int(late, 0, "none of them late");
	unit_ok(tried < 60, "and it was tried %u times", tried);
	sched_free(s);
}

/* ---- places ---- */

static void
test_places(void)
{
	struct sched *s = sched_new(100, 7);
	unsigned n = 0, worked = 0, i;
	struct sched_message *m;

	while (sched_state(s, "a").places < SCHED_PLACES_MAX && worked < 10000) {
		add(s, ++n, 0, "a");
		add(s, ++n, 0, "a");
		m = next(s, 0);
		sched_finished(s, m, SCHED_WORKED);
		worked++;
	}
	unit_int(worked, 180, "successes from the initial places to the most: 5 + 6 + ... + 19");
	for (i = 0; i < 100; i++) {
		sched_finished(s, next(s, 0), SCHED_WORKED);
		add(s, ++n, 0, "a");
	}
	unit_int(sched_state(s, "a").places, 20, "never more");
	for (i = 0; next(s, 0) != NULL; i++)
		;
	unit_int(i, 20, "as many are handed out");
	sched_free(s);

	s = sched_new(100, 7);
	for (i = 0; i < 5; i++) {
		static const unsigned want[] = { 4, 3, 1, 1, 1 };

		add(s, i, 0, "a");
		sched_finished(s, next(s, 0), SCHED_BROKE);
		unit_int(sched_state(s, "a").places, want[i], "places after failure %u", i + 1);
	}
	unit_int(sched_state(s, "a").broke, 5, "five in a row");
	add(s, 10, 0, "a");
	sched_finished(s, next(s, 0), SCHED_SAYS_NOTHING);
	unit_int(sched_state(s, "a").places, 1, "what says nothing changes nothing");
	add(s, 11, 0, "a");
	sched_finished(s, next(s, 0), SCHED_WORKED);
	unit_int(sched_state(s, "a").places, 2, "one success after that");
	sched_free(s);

	/* One in ten breaks, as may be, for long. */
	s = sched_new(100, 7);
	for (i = 0; i < 1000; i++) {
		add(s, i, 0, "a");
		sched_finished(s, next(s, 0), i % 10 == 9 ? SCHED_BROKE : SCHED_WORKED);
	}
	unit_ok(sched_state(s, "a").places >= 8, "places left of 20 where one in ten breaks: %u", sched_state(s, "a").places);
	sched_free(s);
}

/* Of destinations without messages the latest are remembered. */
static void
test_idle(void)
{
	struct sched *s = sched_new(100, 7);
	char key[32];
	unsigned i;

	for (i = 0; i < SCHED_IDLE_MAX + 10; i++) {
		snprintf(key, sizeof key, "d%u", i);
		add(s, i, 0, key);
		sched_finished(s, next(s, 0), SCHED_BROKE);
	}
	unit_int(sched_state(s, "d9").places, SCHED_PLACES_INITIAL, "the eldest is forgotten");
	unit_int(sched_state(s, "d10").places, 4, "a later one is not");
	unit_ok(sched_waiting(s, "d10", 0) == NULL, "it has no message");
	add(s, 1, 0, "w");
	add(s, 2, 0, "w");
	unit_int(number_of(sched_waiting(s, "w", 0)) + number_of(sched_waiting(s, "w", 1)), 3,
	    "the messages that wait for one");
	unit_ok(sched_waiting(s, "w", 2) == NULL, "and no more");
	sched_free(s);
}

/* ---- hosts ---- */

/* Enters the host, or hands the message back behind it; then waits with the same number. */
static int
enter_or_wait(struct sched *s, struct sched_message *m, const char *host, int64_t now, int alone)
{
	char id[SPOOL_ID_SIZE], key[64];
	int64_t due = m->due, deadline = m->deadline;

	snprintf(id, sizeof id, "%s", m->id);
	snprintf(key, sizeof key, "%s", sched_key(m));
	if (sched_enter(s, m, host, now)) {
		sched_behind(s, key, host);
		return 1;
	}
	sched_finished(s, m, SCHED_SAYS_NOTHING);
	sched_add(s, id, due, deadline, key, NULL);
	sched_hold(s, key, host, alone, now);
	return 0;
}

/* Hands out all that there is, to this host; the numbers of those that entered. */
static const char *
flow(struct sched *s, const char *host, int64_t now, int alone)
{
	static char out[256];
	struct sched_message *m;
	enum sched_why why;
	unsigned n, calls = 0;
	size_t len = 0;

	out[0] = '\0';
	while ((m = sched_next(s, now, &why)) != NULL && calls++ < 1000 && len < sizeof out - 20) {
		n = number_of(m);
		if (why == SCHED_TRY && !enter_or_wait(s, m, host, now, alone))
			continue;
		len += snprintf(out + len, sizeof out - len, "%s%u%s", len > 0 ? " " : "", n,
		    why == SCHED_OVERDUE ? "!" : "");
	}
	return out;
}

static void
depart(struct sched *s, unsigned n, const char *host, enum sched_outcome outcome)
{
	sched_leave(s, host, outcome);
	finish(s, n, outcome);
}

/* What is done to a scheduler, one after the other, and what is handed out then. */
static void
test_hosts(void)
{
	struct sched *s = sched_new(100, 7);
	static const char *const key[] = { "a", "b", "c", "d", "e", "f", "g" };
	unsigned i;

	for (i = 0; i < 21; i++)
		add(s, i + 1, i / 7, key[i % 7]);
	unit_str(flow(s, "mx", 10, 1), "1 2 3 4 5", "as many as the host's places, of a domain each");
	unit_int(sched_host_state(s, "mx").waiting, 7, "all seven domains wait for it");
	unit_int(sched_out(s), 5, "what waits is not out");
	unit_int(sched_state(s, "f").out, 0, "and has no place of its destination");
	add(s, 100, 0, "other");
	unit_str(drain(s, 10, 9), "100", "mail for elsewhere passes by");
	finish(s, 100, SCHED_WORKED);
	depart(s, 1, "mx", SCHED_WORKED);
	depart(s, 2, "mx", SCHED_WORKED);
	unit_str(flow(s, "mx", 10, 1), "6 7", "those that wait longest: domains that had none yet");
	depart(s, 3, "mx", SCHED_WORKED);
	add(s, 200, 0, "new");
	unit_str(flow(s, "mx", 10, 1), "8", "then the first domain again, and not who came last");
	for (i = 4; i <= 8; i++)
		depart(s, i, "mx", SCHED_WORKED);
	unit_int(sched_host_state(s, "mx").places, 6, "a place more when as many worked as there were");
	unit_str(flow(s, "mx", 10, 1), "9 10 11 12 13 14", "in turn");
	for (i = 9; i <= 14; i++)
		depart(s, i, "mx", SCHED_WORKED);
	unit_str(flow(s, "mx", 10, 1), "200 15 16 17 18 19 20", "whoever came last has its turn");
	depart(s, 200, "mx", SCHED_BROKE);
	unit_int(sched_host_state(s, "mx").places, 6, "six of seven after a failure");
	unit_int(sched_host_state(s, "mx").broke, 1, "one failure");
	unit_int(sched_host_state(s, "mx").out, 6, "six are still out");
	unit_str(flow(s, "mx", 10, 1), "", "more than its places");
	for (i = 15; i <= 18; i++)
		depart(s, i, "mx", SCHED_SAYS_NOTHING);
	unit_str(flow(s, "mx", 10, 1), "21", "a place is free again");
	sched_enter_anyway(s, "mx");
	unit_int(sched_host_state(s, "mx").out, 4, "who moves on to it counts beyond its places");
	sched_leave(s, "mx", SCHED_WORKED);
	unit_int(sched_host_state(s, "mx").broke, 0, "a success ends the row");
	sched_free(s);
}

/* A place taken when a message is handed out is its own, and is given back where it goes elsewhere. */
static void
test_spare(void)
{
	struct sched *s = sched_new(100, 7);
	struct sched_message *m;

	add(s, 1, 0, "a");
	add(s, 2, 0, "a");
	unit_str(flow(s, "mx", 1, 0), "1 2", "both");
	unit_int(sched_host_state(s, "mx").out, 2, "a place each");
	add(s, 3, 0, "a");
	m = next(s, 1);
	unit_int(sched_host_state(s, "mx").out, 3, "taken before the plan is asked");
	unit_int(sched_enter(s, m, "mx2", 1), 1, "the plan says another host");
	unit_int(sched_host_state(s, "mx2").out, 1, "it has a place there");
	sched_spare(s, m);
	unit_int(sched_host_state(s, "mx").out, 2, "and none here");
	sched_leave(s, "mx2", SCHED_WORKED);
	finish(s, 3, SCHED_WORKED);
	add(s, 4, 0, "a");
	unit_ok(next(s, 1) != NULL, "another");
	finish(s, 4, SCHED_SAYS_NOTHING);
	unit_int(sched_host_state(s, "mx").out, 2, "what is not tried leaves no place behind");
	depart(s, 1, "mx", SCHED_WORKED);
	depart(s, 2, "mx", SCHED_WORKED);
	unit_int(sched_host_state(s, "mx").out, 0, "nobody is left");
	sched_free(s);
}

static void
test_host_sleep(void)
{
	struct sched *s = sched_new(100, 7);
	unsigned i;

	for (i = 1; i <= 5; i++)
		add(s, i, 0, "a");
	unit_str(flow(s, "mx", 0, 1), "1 2 3 4 5", "all places taken");
	add(s, 6, 0, "b");
	add(s, 7, 0, "c");
	unit_str(flow(s, "mx", 0, 0), "", "two domains wait that have another host");
	sched_add(s, id_of(8), 0, 40, "d", NULL);
	sched_add(s, id_of(9), 0, SCHED_NEVER, "e", NULL);
	unit_str(flow(s, "mx", 0, 1), "", "and two that have none");
	depart(s, 1, "mx", SCHED_BROKE);
	sched_host_sleep(s, "mx", 50);
	for (i = 2; i <= 5; i++)
		depart(s, i, "mx", SCHED_BROKE);
	unit_int(sched_host_state(s, "mx").broke, 1, "failures of those that were out already count once");
	unit_int(sched_host_asleep(s, "mx", 49), 1, "asleep");
	unit_str(drain(s, 1, 9), "6 7", "those with another host are handed out at once");
	unit_int(sched_host_state(s, "mx").out, 0, "without a place here");
	finish(s, 6, SCHED_WORKED);
	finish(s, 7, SCHED_WORKED);
	unit_int(sched_wake(s), 40, "the next: a deadline of one that waits");
	unit_str(drain(s, 39, 9), "", "not before");
	unit_str(drain(s, 40, 9), "8!", "not to be tried any more");
	finish(s, 8, SCHED_SAYS_NOTHING);
	unit_int(sched_wake(s), 50, "the end of the sleep");
	add(s, 10, 0, "f");
	unit_str(flow(s, "mx", 45, 1), "", "who comes while it sleeps does not enter");
	unit_str(flow(s, "mx", 50, 1), "9 10", "awake, with the places left");
	depart(s, 9, "mx", SCHED_BROKE);
	sched_host_sleep(s, "mx", 100);
	depart(s, 10, "mx", SCHED_BROKE);
	add(s, 11, 55, "g");
	unit_str(flow(s, "mx", 60, 1), "", "asleep again");
	sched_host_sleep(s, "mx", 0);
	unit_str(flow(s, "mx", 61, 1), "11", "woken early");
	sched_free(s);
}

/* Somebody wants a destination to be tried now, whose host sleeps: known to be its host already, or not. */
static void
test_rouse(void)
{
	struct sched *s = sched_new(100, 7);
	struct sched_message *m;
	enum sched_why why;
	unsigned i, n;

	for (i = 1; i <= 3; i++)
		add(s, i, 0, "a");
	sched_host_sleep(s, "mx", 1000);
	unit_str(flow(s, "mx", 1, 1), "", "its only host sleeps");
	unit_int(sched_host_state(s, "mx").waiting, 1, "it waits for that");
	sched_rouse(s, "a");
	unit_str(flow(s, "mx", 2, 1), "1 2 3", "roused, and its host with it");
	for (i = 1; i <= 3; i++)
		depart(s, i, "mx", SCHED_BROKE);
	unit_int(sched_host_state(s, "mx").down, 1, "in vain");
	sched_host_sleep(s, "mx", 1000);
	sched_sleep(s, "b", 1000);
	add(s, 4, 0, "b");
	sched_rouse(s, "b");
	unit_str(flow(s, "mx", 3, 1), "4", "a destination that did not know of the host");
	depart(s, 4, "mx", SCHED_BROKE);
	sched_host_sleep(s, "mx", 1000);
	add(s, 5, 0, "b");
	unit_str(flow(s, "mx", 4, 1), "", "not from the sleep behind that");
	/* Asked for while its host was awake, which is forgotten when that falls asleep. */
	sched_host_sleep(s, "mx", 0);
	unit_str(flow(s, "mx", 5, 1), "5", "awake");
	sched_rouse(s, "b");
	depart(s, 5, "mx", SCHED_WORKED);
	sched_host_sleep(s, "mx", 1000);
	add(s, 6, 0, "b");
	unit_str(flow(s, "mx", 6, 1), "", "a sleep that began later");
	/* Many ask at once: it is tried, and not by each of them. */
	for (i = 10; i < 30; i++) {
		char key[8];

		snprintf(key, sizeof key, "k%u", i);
		add(s, i, 0, key);
		sched_rouse(s, key);
	}
	n = 0;
	while ((m = sched_next(s, 7, &why)) != NULL) {
		if (!enter_or_wait(s, m, "mx", 7, 1))
			continue;
		n++;
		sched_leave(s, "mx", SCHED_BROKE);
		sched_finished(s, m, SCHED_BROKE);
		sched_host_sleep(s, "mx", 1000);
	}
	unit_int(n, 1, "tries of twenty that ask");
	sched_rouse(s, "nobody");
	unit_ok(sched_find(s, id_of(6)) != NULL, "nobody of that name: nothing");
	sched_free(s);
}

/* A new configuration: who waited for a host goes where it leads. */
static void
test_hosts_anew(void)
{
	struct sched *s = sched_new(100, 7);
	static const char *const key[] = { "a", "b", "c", "d", "e", "f", "g" };
	unsigned i;

	for (i = 0; i < 7; i++)
		add(s, i + 1, 0, key[i]);
	unit_str(flow(s, "old", 1, 1), "1 2 3 4 5", "the places");
	sched_host_sleep(s, "old", 1000);
	unit_int(sched_host_state(s, "old").waiting, 2, "two wait for the host, which sleeps");
	sched_hosts_anew(s);
	unit_int(sched_host_state(s, "old").waiting, 0, "nobody waits for it");
	unit_str(flow(s, "new", 2, 1), "6 7", "they go to the new one");
	for (i = 1; i <= 5; i++)
		depart(s, i, "old", SCHED_WORKED);
	depart(s, 6, "new", SCHED_WORKED);
	depart(s, 7, "new", SCHED_WORKED);
	unit_int(sched_count(s), 0, "all are done");
	sched_hosts_anew(s);
	sched_free(s);
}

/* A place that is kept for a destination that falls asleep, or loses its message, goes to the next. */
static void
test_called(void)
{
	struct sched *s = sched_new(100, 7);
	unsigned i;

	for (i = 1; i <= 5; i++)
		add(s, i, 0, "a");
	unit_str(flow(s, "mx", 0, 1), "1 2 3 4 5", "all places taken");
	add(s, 6, 0, "b");
	unit_str(flow(s, "mx", 0, 1), "", "b waits");
	add(s, 7, 0, "c");
	unit_str(flow(s, "mx", 0, 1), "", "c behind it");
	add(s, 8, 0, "d");
	unit_str(flow(s, "mx", 0, 1), "", "d behind that");
	depart(s, 1, "mx", SCHED_SAYS_NOTHING);
	sched_remove(s, sched_find(s, id_of(6)));
	sched_sleep(s, "c", 500);
	unit_str(flow(s, "mx", 0, 1), "8", "d has what was kept for b, and then for c");
	depart(s, 2, "mx", SCHED_SAYS_NOTHING);
	unit_str(flow(s, "mx", 499, 1), "", "c sleeps");
	unit_str(flow(s, "mx", 500, 1), "7", "and comes later");
	for (i = 9; i <= 11; i++)
		add(s, i, 0, i == 11 ? "e" : "b");
	unit_str(flow(s, "mx", 600, 1), "", "b and e wait");
	unit_int(sched_wake(s), 600 + SCHED_HELD_MAX, "but not for ever");
	unit_str(drain(s, 600 + SCHED_HELD_MAX, 9), "9 11 10", "then the plan is asked again");
	sched_free(s);
}

/* Hosts that nobody goes to are forgotten, the longest so first; one that is in use is not. */
static void
test_idle_hosts(void)
{
	struct sched *s = sched_new(100, 7);
	char host[32];
	unsigned i;

	sched_enter_anyway(s, "used");
	for (i = 0; i < SCHED_IDLE_MAX + 10; i++) {
		snprintf(host, sizeof host, "h%u", i);
		sched_enter_anyway(s, host);
		sched_leave(s, host, SCHED_BROKE);
		sched_host_sleep(s, host, 1000 + i);
	}
	unit_int(sched_host_state(s, "h9").places, SCHED_PLACES_INITIAL, "the eldest is forgotten");
	unit_int(sched_host_state(s, "h10").places, 4, "a later one is not");
	unit_int(sched_host_state(s, "used").out, 1, "nor one that is in use");
	unit_int(sched_host_asleep(s, "h10", 1000), 1, "its sleep is remembered");
	unit_int(sched_host_asleep(s, "h10", 1010), 0, "and ends");
	sched_free(s);
}

/* ---- many ---- */

#ifdef __SANITIZE_ADDRESS__
#define MANY 100000
#else
#define MANY 1000000
#endif

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static size_t
heap_used(void)
{
	struct mallinfo2 i = mallinfo2();

	return i.uordblks + i.hblkhd;
}

static void
test_many(unsigned messages, unsigned destinations)
{
	size_t before = heap_used();
	struct sched *s = sched_new(messages, 7);
	struct sched_message *m;
	unsigned i, out = 0;
	double start, added, gone;
	int64_t now;
	size_t used;
	char key[64];

	start = seconds();
	for (i = 0; i < messages; i++) {
		snprintf(key, sizeof key, "destination-%u.example", (i * 7919U) % destinations);
		sched_add(s, id_of(i), (i * 104729U) % 100000, i + SCHED_LIFETIME, key, NULL);
	}
	added = seconds() - start;
	used = heap_used() - before;
	start = seconds();
	while ((now = sched_wake(s)) != SCHED_NEVER && out <= messages)
		while ((m = next(s, now)) != NULL) {
			out++;
			sched_finished(s, m, SCHED_WORKED);
		}
	gone = seconds() - start;
	unit_int(out, messages, "%u messages to %u destinations handed out", messages, destinations);
	printf("# added in %.2f s, handed out in %.2f s, %zu octets for a message\n", added, gone,
	    used / messages);
	/* The sanitizers and valgrind count nothing: 0. */
	unit_ok(used / messages <= 136 + 350 * (size_t)destinations / messages, "memory within its bound");
	sched_free(s);
}

/* ---- against a naive model ---- */

#define MODEL_MESSAGES 60
#define MODEL_KEYS 4

struct model {
	struct {
		int there, out, key;
		int64_t due, deadline;
	} m[MODEL_MESSAGES];
	struct {
		int64_t until;
		unsigned out, places, worked, broke;
		int slept;
	} d[MODEL_KEYS];
	unsigned out, total;
};

static const char *const model_keys[MODEL_KEYS] = { "a", "b", "c", "d" };
static uint32_t lcg = 1;

static uint32_t
any(uint32_t below)
{
	lcg = lcg * 1664525U + 1013904223U;
	return (lcg >> 8) % below;
}

/* The message that a destination would hand out; -1: none.  *wake: when it may have one. */
static int
model_first(const struct model *t, int key, int64_t now, enum sched_why *why, int64_t *wake)
{
	int i, by_due = -1, by_deadline = -1;
	int64_t until = t->d[key].until, at;

	*wake = SCHED_NEVER;
	for (i = 0; i < MODEL_MESSAGES; i++) {
		if (!t->m[i].there || t->m[i].out || t->m[i].key != key)
			continue;
		if (by_due == -1 || t->m[i].due < t->m[by_due].due)
			by_due = i;
		if (by_deadline == -1 || t->m[i].deadline < t->m[by_deadline].deadline)
			by_deadline = i;
	}
	if (by_due == -1)
		return -1;
	if (t->d[key].out < t->d[key].places) {
		at = t->m[by_due].due > until ? t->m[by_due].due : until;
		*wake = at;
		*why = SCHED_TRY;
		if (at <= now)
			return by_due;
	}
	if (until > now) {
		at = t->m[by_deadline].deadline;
		if (at < until && at < *wake)
			*wake = at;
		*why = SCHED_OVERDUE;
		if (at <= now)
			return by_deadline;
	}
	return -1;
}

static void
model_finish(struct model *t, int i, enum sched_outcome outcome)
{
	int key = t->m[i].key;

	t->m[i].there = 0;
	t->d[key].out--;
	t->out--;
	if (outcome == SCHED_WORKED) {
		t->d[key].broke = 0;
		if (++t->d[key].worked >= t->d[key].places) {
			t->d[key].worked = 0;
			t->d[key].places += t->d[key].places < SCHED_PLACES_MAX;
		}
	} else if (outcome == SCHED_BROKE && !t->d[key].slept) {
		t->d[key].broke++;
		t->d[key].places -= t->d[key].places > 1;
		if (t->d[key].broke >= t->d[key].places)
			t->d[key].places = 1;
	}
}

/* Whether the scheduler hands out what the model allows, and nothing only where it has nothing. */
static int
model_next(struct model *t, struct sched *s, int64_t now)
{
	struct sched_message *m;
	enum sched_why why, want_why = SCHED_TRY;
	int64_t wake, first_wake = SCHED_NEVER, told;
	int key, i, ready = 0;

	for (key = 0; key < MODEL_KEYS; key++) {
		if (t->d[key].until <= now)
			t->d[key].until = 0;
		ready += model_first(t, key, now, &want_why, &wake) != -1;
		if (wake < first_wake)
			first_wake = wake;
	}
	m = sched_next(s, now, &why);
	if (m == NULL) {
		told = sched_wake(s);
		if (t->out >= t->total)
			return told == SCHED_NEVER;
		return ready == 0 && told == first_wake;
	}
	i = (int)number_of(m);
	key = t->m[i].key;
	if (t->out >= t->total || strcmp(sched_key(m), model_keys[key]) != 0 ||
	    model_first(t, key, now, &want_why, &wake) != i || want_why != why)
		return 0;
	t->m[i].out = 1;
	t->d[key].out++;
	t->d[key].slept &= why != SCHED_TRY;
	t->out++;
	return 1;
}

static int
model_step(struct model *t, struct sched *s, int64_t now)
{
	int i = (int)any(MODEL_MESSAGES), key = (int)any(MODEL_KEYS);
	struct sched_message *m = sched_find(s, id_of(i));
	enum sched_outcome outcome = any(3);
	int64_t due = now - 50 + any(200), deadline = now + any(400);

	if ((m != NULL) != t->m[i].there || (m != NULL && m->out != t->m[i].out))
		return 0;
	switch (any(8)) {
	case 0:
	case 1:
		if (m != NULL)
			return sched_add(s, id_of(i), due, deadline, "a", NULL) == NULL;
		t->m[i].there = 1;
		t->m[i].out = 0;
		t->m[i].key = key;
		t->m[i].due = due;
		t->m[i].deadline = deadline;
		return sched_add(s, id_of(i), due, deadline, model_keys[key], NULL) != NULL;
	case 2:
		if (m != NULL && !m->out) {
			sched_remove(s, m);
			t->m[i].there = 0;
		}
		return 1;
	case 3:
		if (m != NULL && !m->out) {
			sched_change(s, m, due, deadline);
			t->m[i].due = due;
			t->m[i].deadline = deadline;
		}
		return 1;
	case 4:
		t->d[key].until = any(2) ? 0 : now + any(100);
		t->d[key].slept = t->d[key].until != 0;
		sched_sleep(s, model_keys[key], t->d[key].until);
		return 1;
	case 5:
		if (m != NULL && m->out) {
			sched_finished(s, m, outcome);
			model_finish(t, i, outcome);
		}
		return 1;
	default:
		return model_next(t, s, now);
	}
}

static int
model_same(const struct model *t, const struct sched *s)
{
	size_t waiting[MODEL_KEYS] = { 0 }, count = 0;
	struct sched_state st;
	int i;

	for (i = 0; i < MODEL_MESSAGES; i++) {
		count += t->m[i].there;
		waiting[t->m[i].key] += t->m[i].there && !t->m[i].out;
	}
	for (i = 0; i < MODEL_KEYS; i++) {
		st = sched_state(s, model_keys[i]);
		if (st.waiting != waiting[i] || st.out != t->d[i].out || st.places != t->d[i].places ||
		    st.broke != t->d[i].broke)
			return 0;
	}
	return sched_count(s) == count && sched_out(s) == t->out;
}

static void
test_model(void)
{
	struct model t = { .total = 12 };
	struct sched *s = sched_new(t.total, 7);
	int64_t now = 1000;
	int i;

	for (i = 0; i < MODEL_KEYS; i++)
		t.d[i].places = SCHED_PLACES_INITIAL;
	for (i = 0; i < 300000; i++) {
		if (any(4) == 0)
			now += any(20);
		if (!model_step(&t, s, now) || !model_same(&t, s))
			break;
	}
	unit_int(i, 300000, "random operations do what a naive model does");
	sched_free(s);
}

/*
 * Random deliveries to a few hosts: nobody has more than the places at the time when it enters, nothing is
 * lost, and at the end every place was given back.
 */
static void
test_host_flow(void)
{
	static const char *const hosts[] = { "x", "y", "z" };
	struct { unsigned n, host; } out[40];
	struct sched *s = sched_new(40, 7);
	unsigned i, n = 0, done = 0, over = 0, calls = 0;
	struct sched_message *m;
	enum sched_why why;
	int64_t now = 0;
	char key[16];

	for (i = 1; i <= 4000; i++) {
		snprintf(key, sizeof key, "d%u", i % 97);
		add(s, i, i / 10, key);
	}
	while (done < 4000 && calls++ < 1000000) {
		now += any(8) == 0;
		if (any(3) > 0 && (m = sched_next(s, now, &why)) != NULL) {
			unsigned number = number_of(m), host = strtoul(sched_key(m) + 1, NULL, 10) % 3;
			unsigned had = sched_host_state(s, hosts[host]).out - (m->host != NULL);

			if (!enter_or_wait(s, m, hosts[host], now, any(2)))
				continue;
			over += had >= sched_host_state(s, hosts[host]).places;
			out[n].n = number;
			out[n++].host = host;
		} else if (n > 0 && any(2)) {
			enum sched_outcome outcome = any(10) == 0 ? SCHED_BROKE : SCHED_WORKED;

			i = any(n);
			depart(s, out[i].n, hosts[out[i].host], outcome);
			if (outcome == SCHED_BROKE && any(4) == 0)
				sched_host_sleep(s, hosts[out[i].host], now + any(5));
			out[i] = out[--n];
			done++;
		}
	}
	unit_int(done, 4000, "every message is delivered");
	unit_int(over, 0, "nobody enters a host that is full");
	for (i = 0; i < 3; i++)
		unit_int(sched_host_state(s, hosts[i]).out + sched_host_state(s, hosts[i]).waiting, 0,
		    "host %s: all places are free, nobody waits", hosts[i]);
	unit_int(sched_count(s), 0, "nothing is left");
	sched_free(s);
}

/* Fairness by count: with every destination busy, none gets two more than another. */
static void
test_share(void)
{
	struct sched *s = sched_new(7, 7);
	unsigned got[10] = { 0 }, i, n = 0, lo, hi;
	struct sched_message *out[7] = { NULL }, *m;
	char key[2] = "a";

	for (i = 0; i < 2000; i++) {
		key[0] = 'a' + (i < 1000 ? 0 : i % 10);
		add(s, i, i < 1000 ? 0 : 900, key);
	}
	for (i = 0; i < 700; i++) {
		unsigned slot = any(7);

		if (out[slot] != NULL)
			sched_finished(s, out[slot], SCHED_WORKED);
		out[slot] = NULL;
		if ((m = next(s, 1000)) != NULL) {
			n++;
			got[sched_key(m)[0] - 'a']++;
			out[slot] = m;
		}
	}
	for (i = 1, lo = hi = got[0]; i < 10; i++) {
		lo = got[i] < lo ? got[i] : lo;
		hi = got[i] > hi ? got[i] : hi;
	}
	unit_ok(n == 700 && hi - lo <= 2, "shares of ten busy destinations: %u to %u of %u", lo, hi, n);
	sched_free(s);
}

int
main(void)
{
	test_backoff();
	test_days();
	test_order();
	test_fair();
	test_total();
	test_sleep();
	test_deadline();
	test_dead_domain();
	test_places();
	test_idle();
	test_hosts();
	test_spare();
	test_host_sleep();
	test_rouse();
	test_hosts_anew();
	test_called();
	test_idle_hosts();
	test_share();
	test_model();
	test_host_flow();
	test_many(MANY / 10, 1);
	test_many(MANY, 1000);
	test_many(MANY / 10, MANY / 10);
	return unit_done();
}
