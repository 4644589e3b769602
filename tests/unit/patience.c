/* How long a process is waited for: by the clock, and by how often it was looked at. */
#include "../../cmd/smtp-relay/patience.h"

#include "unit.h"

/* Looks at so many seconds from the beginning, of a patience of 300; over: the first at which it is. */
static const struct { const char *what; int64_t at[8]; int over; } rows[] = {
	{ "looked at each minute", { 60, 120, 180, 240, 300 }, 300 },
	{ "not yet", { 60, 120, 180, 240, 299 }, 0 },
	{ "a pause of hours, and the looks behind it", { 60, 20000, 20060, 20120 }, 20060 },
	{ "a pause before the first look", { 20000, 20060, 20120 }, 20120 },
	{ "one look is none", { 20000 }, 0 },
	{ "nor are two", { 20000, 20060 }, 0 },
};

static void
test_times(void)
{
	size_t i, k;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct patience p = { .waits = 0 };
		int64_t over = 0;

		patience_begin(&p, 1000);
		for (k = 0; rows[i].at[k] != 0 && over == 0; k++)
			if (patience_over(&p, 1000 + rows[i].at[k], 300))
				over = rows[i].at[k];
		unit_int(over, rows[i].over, "%s", rows[i].what);
	}
}

static void
test_ends(void)
{
	struct patience p = { .waits = 0 };
	int i, over = 0;

	for (i = 0; i < 5; i++)
		over += patience_over(&p, 10000 * i, 300);
	unit_int(over, 0, "nothing is waited for");
	patience_begin(&p, 0);
	for (i = 0; i < 5; i++)
		over += patience_over(&p, 10, 300);
	patience_end(&p);
	over += patience_over(&p, 1000, 300);
	unit_int(over, 0, "it came");
	patience_begin(&p, 1000);
	over += patience_over(&p, 1400, 300);
	unit_int(over, 0, "and the next is waited for anew");
}

int
main(void)
{
	test_times();
	test_ends();
	return unit_done();
}
