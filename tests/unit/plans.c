/* What the queue keeps of plans: for how long, and how much. */
#include "../../cmd/smtp-relay/plans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "unit.h"

static int
is_kept(struct plans *p, const char *domain, int64_t now)
{
	struct plan_kept k;

	return plans_find(p, domain, now, &k);
}

static void
test_times(void)
{
	static const struct {
		int64_t ttl, last;	/* last: the last second in which it is kept */
		const char *what;
	} rows[] = {
		{ 0, 104, "what failed is kept a moment" },
		{ 4, 104, "so is what changes by the second" },
		{ 5, 104, "five seconds" },
		{ 60, 159, "a minute" },
		{ 300, 399, "five minutes" },
		{ 86400, 399, "no longer than that" },
		{ UINT32_MAX, 399, "nor where nothing was asked" },
	};
	struct plans *p = plans_new(1);
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		plans_keep(p, "a.test 0", "25", "plan", 4, rows[i].ttl, 100);
		unit_ok(is_kept(p, "a.test 0", rows[i].last), "%s", rows[i].what);
		unit_ok(!is_kept(p, "a.test 0", rows[i].last + 1), "%s, and not after", rows[i].what);
		unit_int(plans_count(p), 0, "%s: it is gone", rows[i].what);
	}
	plans_free(p);
}

static void
test_copies(void)
{
	struct plans *p = plans_new(2);
	struct plan_kept k;

	plans_keep(p, "a.test 0", "25", "old", 3, 60, 100);
	plans_keep(p, "b.test 0", "26", "b", 1, 60, 100);
	plans_keep(p, "a.test 0", "27", "new plan", 8, 60, 100);
	unit_int(plans_count(p), 2, "one for each");
	unit_ok(plans_find(p, "a.test 0", 100, &k) && strcmp(k.port, "27") == 0 && k.len == 8 &&
	    memcmp(k.text, "new plan", 8) == 0, "the newer one");
	unit_ok(!is_kept(p, "a.test 1", 100), "one that asks for other things is another");
	plans_forget(p);
	unit_int(plans_count(p), 0, "all are forgotten");
	plans_free(p);
	plans_free(NULL);
}

static void
test_doubt(void)
{
	struct plans *p = plans_new(3);

	plans_keep(p, "a.test 0", "25", "plan", 4, 300, 100);
	plans_doubt(p, "a.test 0", 102);
	unit_ok(is_kept(p, "a.test 0", 104), "a new one is not asked for each time that a host fails");
	unit_ok(!is_kept(p, "a.test 0", 105), "but kept no longer than one must be");
	plans_keep(p, "a.test 0", "25", "plan", 4, 300, 200);
	plans_doubt(p, "b.test 0", 210);
	unit_ok(is_kept(p, "a.test 0", 210), "another's failure says nothing");
	plans_doubt(p, "a.test 0", 210);
	unit_ok(!is_kept(p, "a.test 0", 210), "an older one is forgotten at once");
	plans_free(p);
}

/* The eldest go, though they would be kept the longest. */
static void
test_bounds(void)
{
	struct plans *p = plans_new(4);
	size_t big = PLANS_OCTETS / 4, i;
	char *text = xcalloc(1, big), name[32];

	for (i = 0; i < PLANS_MAX + 10; i++) {
		snprintf(name, sizeof name, "d%zu.test 0", i);
		plans_keep(p, name, "25", "plan", 4, i < 10 ? 300 : 60, 100);
	}
	unit_int(plans_count(p), PLANS_MAX, "so many at most");
	unit_ok(!is_kept(p, "d9.test 0", 100), "the eldest are forgotten");
	unit_ok(is_kept(p, "d10.test 0", 100), "no others");
	plans_forget(p);
	for (i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "d%zu.test 0", i);
		plans_keep(p, name, "25", text, big, 60, 100);
	}
	unit_int(plans_count(p), 4, "and so much text");
	unit_ok(!is_kept(p, "d0.test 0", 100), "of which the eldest goes");
	free(text);
	plans_free(p);
}

int
main(void)
{
	test_times();
	test_copies();
	test_doubt();
	test_bounds();
	return unit_done();
}
