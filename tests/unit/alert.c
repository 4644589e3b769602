/* Many failures, few digests: a clock of numbers, rows of what is seen when and what is told then. */
#include "alert.h"

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

#define HOUR 3600
#define DAY 86400
#define T0 INT64_C(1800000000)

static void
bad(struct alerts *a, enum alert_kind kind, const char *name, int64_t now)
{
	struct alert_sight s = { .kind = kind, .name = name, .reason = "because", .expires = now + 5 * DAY };

	alert_bad(a, &s, now);
}

/* What is told at that time, as "raised dane a.test, recovered tls b.test"; "" for nothing. */
static const char *
told(struct alerts *a, int64_t now)
{
	static char text[4096];
	struct alert_digest d;
	size_t i, n = 0;

	text[0] = '\0';
	if (!alert_take(a, now, &d))
		return text;
	for (i = 0; i < d.n; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s %s", i > 0 ? ", " : "",
		    alert_event_name(d.item[i].event), alert_kind_name(d.item[i].alert->kind), d.item[i].alert->name);
	alert_told(a, 1, now);
	return text;
}

static void
test_once(void)
{
	struct alerts *a = alerts_new(HOUR);
	int64_t t;

	unit_int(alert_wake(a, T0), ALERT_NEVER, "nothing");
	alert_good(a, ALERT_DANE, "a.test", T0);
	unit_int(alert_count(a), 0, "what never failed is not kept");
	bad(a, ALERT_DANE, "a.test", T0);
	unit_int(alert_wake(a, T0), T0 + 30, "a failure waits for others");
	unit_str(told(a, T0 + 29), "", "so long");
	bad(a, ALERT_TLS, "b.test", T0 + 20);
	unit_str(told(a, T0 + 30), "raised dane a.test, raised tls b.test", "and they are told together");
	for (t = T0 + 31; t < T0 + DAY; t += 60) {
		bad(a, ALERT_DANE, "a.test", t);
		if (told(a, t)[0] != '\0')
			break;
	}
	unit_ok(t >= T0 + DAY, "more of the same is not told for a day");
	bad(a, ALERT_DANE, "a.test", T0 + DAY + 40);
	unit_str(told(a, T0 + DAY + 70), "lasts dane a.test", "then it is, of the one that is seen still");
	unit_int(alert_get(a, 0)->since, T0, "it has its beginning");
	alert_good(a, ALERT_DANE, "a.test", T0 + DAY + 100);
	alert_good(a, ALERT_DANE, "a.test", T0 + DAY + 110);
	unit_str(told(a, T0 + DAY + 131), "recovered dane a.test", "its end is told");
	unit_str(told(a, T0 + DAY + 2 * HOUR), "", "once");
	unit_int(alert_count(a), 1, "and it is forgotten");
	unit_int(alert_wake(a, T0 + 8 * DAY), ALERT_NEVER, "what nobody sees any more");
	unit_int(alert_count(a), 0, "is forgotten too");
	alerts_free(a);
	alerts_free(NULL);
}

static void
test_flapping(void)
{
	struct alerts *a = alerts_new(HOUR);
	int raised = 0, recovered = 0;
	const char *s;
	int64_t t;

	bad(a, ALERT_DANE, "a.test", T0);
	alert_good(a, ALERT_DANE, "a.test", T0 + 10);
	unit_str(told(a, T0 + 100), "", "over before it was told: nothing is told");
	unit_int(alert_count(a), 0, "nor kept");
	for (t = T0; t < T0 + DAY; t += 10) {
		if (t / 300 % 2 == 0)
			bad(a, ALERT_DANE, "a.test", t);
		else
			alert_good(a, ALERT_DANE, "a.test", t);
		s = told(a, t);
		raised += strncmp(s, "raised", 6) == 0;
		recovered += strncmp(s, "recovered", 9) == 0;
	}
	unit_ok(raised >= 12 && raised <= 24, "on and off each 5 minutes for a day: told %d times, not once an hour more", raised);
	unit_ok(recovered <= raised && recovered >= raised - 1, "and recovered %d times, as often", recovered);
	/* Not told as bad again within the interval, though its end was. */
	alerts_free(a);
	a = alerts_new(HOUR);
	bad(a, ALERT_TLS, "a.test", T0);
	unit_str(told(a, T0 + 30), "raised tls a.test", "raised");
	alert_good(a, ALERT_TLS, "a.test", T0 + 100);
	unit_str(told(a, T0 + 130), "recovered tls a.test", "recovered");
	bad(a, ALERT_TLS, "a.test", T0 + 200);
	unit_int(alert_wake(a, T0 + 200), T0 + 30 + HOUR + 30, "again: an hour behind the first time");
	unit_str(told(a, T0 + HOUR + 59), "", "not before");
	unit_str(told(a, T0 + HOUR + 60), "raised tls a.test", "then");
	alerts_free(a);
}

static void
test_severity(void)
{
	struct alerts *a = alerts_new(HOUR);
	struct alert_sight s = { .kind = ALERT_IDENTITY, .name = "mx", .reason = "ends soon" };

	alert_bad(a, &s, T0);
	unit_str(told(a, T0 + 30), "raised identity mx", "an identity's end is near");
	s.reason = "has ended";
	s.severity = 1;
	alert_bad(a, &s, T0 + 5 * HOUR);
	unit_str(told(a, T0 + 5 * HOUR), "lasts identity mx", "worse: told before the day is over");
	unit_str(alert_get(a, 0)->reason, "has ended", "with the last reason");
	alert_bad(a, &s, T0 + 6 * HOUR);
	unit_str(told(a, T0 + 9 * HOUR), "", "once");
	alerts_free(a);
}

/* Between take and told. */
static void
test_meanwhile(void)
{
	struct alerts *a = alerts_new(HOUR);
	struct alert_digest d;

	bad(a, ALERT_DANE, "a.test", T0);
	unit_int(alert_take(a, T0 + 30, &d), 1, "taken");
	unit_int(alert_take(a, T0 + 60, &d), 0, "there is one at a time");
	alert_good(a, ALERT_DANE, "a.test", T0 + 61);
	alert_told(a, 1, T0 + 62);
	unit_str(told(a, T0 + 200), "recovered dane a.test", "well before the digest was written: that is told next");
	bad(a, ALERT_DANE, "b.test", T0 + DAY);
	unit_int(alert_take(a, T0 + DAY + 30, &d), 1, "taken");
	alert_told(a, 0, T0 + DAY + 31);
	unit_int(alert_wake(a, T0 + DAY + 31), T0 + DAY + 91, "not written: again, a little later");
	unit_str(told(a, T0 + DAY + 91), "raised dane b.test", "as if it had not been taken");
	alert_told(a, 1, T0 + DAY + 92);
	unit_int(alert_wake(a, T0 + DAY + 92), ALERT_NEVER, "told without a digest: nothing");
	alert_good(a, ALERT_DANE, "b.test", T0 + DAY + 100);
	unit_int(alert_take(a, T0 + DAY + 300, &d), 1, "its end is taken");
	bad(a, ALERT_DANE, "b.test", T0 + DAY + 301);
	alert_told(a, 1, T0 + DAY + 302);
	unit_str(told(a, T0 + DAY + 92 + HOUR + 30), "raised dane b.test", "bad again meanwhile: told an hour later");
	alerts_free(a);
}

/* How many digests, and whether each domain was counted or named in one. */
static size_t
storm(struct alerts *a, size_t failures, size_t domains, int64_t *now, int64_t end, size_t *raised)
{
	struct alert_digest d;
	size_t i, digests = 0;
	char name[32];
	int64_t step = (end - *now) * 1000 / (int64_t)failures, t = *now * 1000;

	*raised = 0;
	for (i = 0; i < failures; i++, t += step) {
		snprintf(name, sizeof name, "d%zu.test", i * 7919 % domains);
		*now = t / 1000;
		bad(a, i % 3 == 0 ? ALERT_TLS : ALERT_DANE, name, *now);
		if (!alert_take(a, *now, &d))
			continue;
		digests++;
		*raised += d.count[ALERT_DANE][ALERT_RAISED] + d.count[ALERT_TLS][ALERT_RAISED];
		unit_ok(d.n <= ALERT_NAMED_MAX && d.n <= d.total, "digest %zu names %zu of %zu", digests, d.n, d.total);
		alert_told(a, 1, *now);
	}
	return digests;
}

static void
test_storm(void)
{
	struct alerts *a = alerts_new(HOUR);
	struct alert_digest d;
	int64_t now = T0;
	size_t n, raised, i, digests = 0, recovered = 0;
	char name[32];

	n = storm(a, 10000, 500, &now, T0 + DAY, &raised);
	unit_ok(n >= 2 && n <= 30, "10,000 failures of 500 domains in 24 hours are %zu digests", n);
	unit_int(raised, alert_count(a), "in which each condition is told as new once");
	unit_ok(raised >= 500 && raised <= 1000, "%zu of them", raised);
	/* All is well, in one go. */
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "d%zu.test", i);
		alert_good(a, ALERT_DANE, name, now);
		alert_good(a, ALERT_TLS, name, now);
	}
	for (i = 0; i < 3 * HOUR; i++)
		if (alert_take(a, ++now, &d)) {
			digests++;
			recovered += d.count[ALERT_DANE][ALERT_RECOVERED] + d.count[ALERT_TLS][ALERT_RECOVERED];
			alert_told(a, 1, now);
		}
	unit_int(digests, 1, "their end is one digest");
	unit_int(recovered, raised, "for as many as were told");
	alerts_free(a);

	/* At once, and each domain only once. */
	a = alerts_new(HOUR);
	now = T0;
	n = storm(a, 10000, 10000, &now, T0 + 60, &raised);
	unit_ok(n <= 2, "10,000 domains in a minute are %zu digests", n);
	alerts_free(a);

	/* A new domain each 8 seconds, for a day. */
	a = alerts_new(HOUR);
	now = T0;
	n = storm(a, 10000, 10000, &now, T0 + DAY, &raised);
	unit_ok(n >= 20 && n <= 32, "10,000 domains, one after the other, in a day are %zu digests", n);
	unit_ok(raised > 9000, "and %zu were told as new", raised);
	alerts_free(a);
}

static void
test_bounds(void)
{
	struct alerts *a = alerts_new(HOUR);
	struct alert_digest d;
	char name[600];
	size_t i;

	for (i = 0; i < ALERT_MAX + 50; i++) {
		snprintf(name, sizeof name, "d%zu.test", i);
		bad(a, ALERT_DANE, name, T0);
	}
	unit_int(alert_count(a), ALERT_MAX, "so many are kept");
	unit_int(alert_take(a, T0 + 30, &d), 1, "a digest");
	unit_int(d.total, ALERT_MAX, "counts them");
	unit_int(d.unkept, 50, "and those for which there was no place");
	alert_told(a, 1, T0 + 30);
	for (i = 0; i < ALERT_MAX; i++)
		alert_good(a, ALERT_DANE, alert_get(a, i)->name, T0 + 40);
	unit_int(alert_take(a, T0 + HOUR, &d), 1, "all are well");
	unit_int(d.unkept, 0, "which is told once");
	alert_told(a, 1, T0 + HOUR);
	bad(a, ALERT_DANE, "late.test", T0 + 2 * HOUR);
	unit_int(alert_count(a), 1, "old ones make room");
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	bad(a, ALERT_TLS, name, T0 + 2 * HOUR);
	bad(a, ALERT_TLS, name, T0 + 2 * HOUR);
	unit_int(alert_count(a), 2, "a long name is one");
	unit_int(strlen(alert_get(a, 1)->name), ALERT_NAME_MAX, "and cut");
	alerts_free(a);
}

static void
test_disk(void)
{
	struct alerts *a = alerts_new(HOUR), *b = alerts_new(HOUR);
	struct buf text = BUF_INIT, again = BUF_INIT;
	static const char nonsense[] = "alert\nalert dane x 1 1\nalert frob x 1 1 0 0 1 1 1 1 1 r\n"
	    "alert dane x 2 1 0 0 1 1 1 1 1 r\nfrob\ndigest 1 -1\nalert tls good.test 1 1 0 0 1799990000 1800000000 "
	    "1799990000 0 3 reason\n";

	bad(a, ALERT_DANE, "a.test", T0);
	bad(a, ALERT_TLS, "odd name%\n\x80", T0);
	unit_str(told(a, T0 + 30), "raised dane a.test, raised tls odd name%\n\x80", "two are told");
	bad(a, ALERT_DANE, "c.test", T0 + 40);
	alert_save(a, &text);
	alert_load(b, text.p, text.len, T0 + 50);
	alert_save(b, &again);
	unit_str(again.p, text.p, "read and written it is the same");
	unit_str(told(b, T0 + 89), "", "what was told is not told again");
	unit_str(told(b, T0 + 90), "raised dane c.test", "what was not is, and the gap counts on");
	alert_good(b, ALERT_DANE, "a.test", T0 + 100);
	unit_str(told(b, T0 + 300), "recovered dane a.test", "the end of what was told before is");
	buf_clear(&text);
	buf_clear(&again);
	alerts_free(b);
	b = alerts_new(HOUR);
	alert_load(b, nonsense, strlen(nonsense), T0);
	unit_int(alert_count(b), 1, "lines of no sense are left out");
	alert_load(b, "", 0, T0);
	alerts_free(b);
	alerts_free(a);
}

/* It was a year ahead. */
static void
test_clock(void)
{
	struct alerts *a = alerts_new(HOUR);

	bad(a, ALERT_DANE, "a.test", T0 + 365 * DAY);
	unit_str(told(a, T0 + 365 * DAY + 30), "raised dane a.test", "told a year ahead");
	bad(a, ALERT_DANE, "b.test", T0);
	unit_int(alert_wake(a, T0), T0 + 60, "back in time: the gap counts from now");
	unit_str(told(a, T0 + 60), "raised dane b.test", "and another is told soon");
	alert_good(a, ALERT_DANE, "a.test", T0 + 100);
	unit_str(told(a, T0 + 1000), "recovered dane a.test", "and the end of the first");
	alerts_free(a);
}

static void
test_words(void)
{
	unit_int(alert_kind_find("identity"), ALERT_IDENTITY, "a kind by its name");
	unit_int(alert_kind_find("frob"), -1, "there is none of another");
}

int
main(void)
{
	test_once();
	test_flapping();
	test_severity();
	test_meanwhile();
	test_storm();
	test_bounds();
	test_disk();
	test_clock();
	test_words();
	return unit_done();
}
