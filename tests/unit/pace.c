/* Rates: so many at once, then one each part of the span; names by themselves; clocks that jump. */
#include "pace.h"

#include <stdio.h>

#include "unit.h"

#define S INT64_C(1000000)

static void
test_rate(void)
{
	struct pace *p = pace_new(7);
	int64_t now = 1000 * S;

	unit_int(pace_take(p, "a", 3, 60, now), 0, "the first of three a minute");
	unit_int(pace_take(p, "a", 3, 60, now), 0, "the second");
	unit_int(pace_take(p, "a", 3, 60, now), 0, "the third");
	unit_int(pace_take(p, "a", 3, 60, now), now + 20 * S, "the fourth waits for a third of it");
	unit_int(pace_take(p, "b", 3, 60, now), 0, "another name does not");
	unit_int(pace_take(p, "a", 3, 60, now + 20 * S - 1), now + 20 * S, "not a moment before");
	unit_int(pace_take(p, "a", 3, 60, now + 20 * S), 0, "then it goes");
	unit_int(pace_take(p, "a", 3, 60, now + 21 * S), now + 40 * S, "and the next waits for as long");
	unit_int(pace_take(p, "a", 3, 60, now + 200 * S), 0, "after a rest there is room again");
	unit_int(pace_take(p, "a", 3, 60, now + 200 * S), 0, "for as many");
	unit_int(pace_take(p, "a", 3, 60, now + 200 * S), 0, "and no more");
	unit_int(pace_take(p, "a", 3, 60, now + 200 * S), now + 220 * S, "than before");
	unit_int(pace_take(p, "a", 1, 10, now + 200 * S), now + 210 * S, "a lower rate is ten seconds' at most");
	unit_ok(pace_take(p, "a", 3, 60, now) <= now + 60 * S, "a clock set back costs no more than a span");
	unit_int(pace_take(p, "c", 1000000, 1, now), 0, "a rate without a pause");
	pace_free(p);
	pace_free(NULL);
}

static void
test_many(void)
{
	struct pace *p = pace_new(7);
	char name[32];
	int i, waits = 0;

	for (i = 0; i < 3 * PACE_NAMES_MAX; i++) {
		snprintf(name, sizeof name, "n%d", i);
		if (pace_take(p, name, 1, 60 + (uint32_t)i, 0) != 0)
			waits++;
	}
	unit_int(waits, 0, "each name is new");
	unit_ok(pace_take(p, name, 1, 60 + (uint32_t)i - 1, 0) != 0, "the last is remembered");
	pace_free(p);
}

int
main(void)
{
	test_rate();
	test_many();
	return unit_done();
}
