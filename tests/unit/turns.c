#include "turns.h"

#include <stdio.h>
#include <string.h>

#include "text.h"
#include "unit.h"

/*
 * Steps, apart by blanks: "a1" adds item a1 of client a, "." takes the next one.  Wanted: what "." gave, and "-a1"
 * for what had no place.
 */
static const struct {
	const char *name, *steps, *want;
	size_t room;
} rows[] = {
	{ "nobody", ". .", "none none", 3 },
	{ "one client's come in order", "a1 a2 a3 . . . .", "a1 a2 a3 none", 3 },
	{ "one of each in turn", "a1 a2 a3 b1 c1 b2 . . . . . .", "a1 b1 c1 a2 b2 a3", 9 },
	{ "who comes last waits for one of each", "a1 a2 a3 b1 b2 . c1 . . . .", "a1 b1 a2 c1 b2", 9 },
	{ "a line that was empty begins anew at the end", "a1 b1 b2 . a2 . . .", "a1 b1 a2 b2", 9 },
	{ "full, of one alone", "a1 a2 a3 a4 . . . .", "-a4 a1 a2 a3 none", 3 },
	{ "full, and another comes", "a1 a2 a3 b1 . . . .", "-a3 a1 b1 a2 none", 3 },
	{ "until it has as many", "a1 a2 a3 a4 b1 b2 b3 . . . . .", "-a4 -a3 -b3 a1 b1 a2 b2 none", 4 },
	{ "all have one: no place for one more", "a1 b1 c1 d1 . . . .", "-d1 a1 b1 c1 none", 3 },
	{ "a place taken from the end is one there again", "a1 a2 b1 . a3 . . .", "-a2 a1 b1 a3 none", 2 },
	{ "no room at all", "a1 .", "-a1 none", 0 },
};

static void
told(struct buf *b, const char *what, const char *item)
{
	buf_printf(b, "%s%s%s", b->len > 0 ? " " : "", what, item);
}

static void
run(size_t row)
{
	struct turns *t = turns_new(rows[row].room);
	char words[32][8], client[2] = "", *out;
	const char *p = rows[row].steps;
	struct buf got = BUF_INIT;
	size_t n = 0;
	int used;

	for (; sscanf(p, "%7s%n", words[n], &used) == 1; p += used, n++) {
		client[0] = words[n][0];
		if (client[0] == '.')
			told(&got, "", (out = turns_next(t)) != NULL ? out : "none");
		else if ((out = turns_add(t, client, words[n])) != NULL)
			told(&got, "-", out);
	}
	unit_str(got.p, rows[row].want, "%s", rows[row].name);
	buf_clear(&got);
	turns_free(t);
}

int
main(void)
{
	struct turns *t = turns_new(5);
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		run(i);
	turns_add(t, "a", t);
	turns_add(t, "b", t);
	unit_int(turns_waiting(t), 2, "two wait");
	turns_free(t);
	turns_free(NULL);
	return unit_done();
}
