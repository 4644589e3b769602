/* How long a contact and a message over it may last: each step in full, by the usual times or by those that are said. */
#include "contact.h"

#include "unit.h"

static const struct {
	const char *what;
	struct contact_times times;
	size_t recipients;
	uint64_t pieces;
	int64_t want;
} rows[] = {
	/* 2 * 60 to connect, 24 + 1 replies of 300, 1 + 2 pieces of 180, 600 for the last */
	{ "as RFC 5321 has it", { 0 }, 1, 1, 120 + 7500 + 540 + 600 },
	{ "a reply for each recipient", { 0 }, 100, 1, 120 + 124 * 300 + 540 + 600 },
	{ "a time for each piece", { 0 }, 1, 1600, 120 + 7500 + 1602 * 180 + 600 },
	{ "those that are said", { .connect = 10, .command = 20, .data = 30, .end = 7200 }, 2, 8, 20 + 26 * 20 + 300 + 7200 },
	{ "of the largest message", { .data = 3600 }, 1, UINT64_C(30517579), 120 + 7500 + INT64_C(30517581) * 3600 + 600 },
};

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		unit_int(contact_longest(&rows[i].times, rows[i].recipients, rows[i].pieces), rows[i].want, "%s", rows[i].what);
	return unit_done();
}
