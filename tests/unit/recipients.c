/* The file of recipients: what it may hold, who is in it, and how long a large one takes. */
#include "recipients.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "unit.h"

static char path[] = "/tmp/mtatls-recipients.XXXXXX";

static void
write_file(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fwrite(text, 1, n, f) != n || fclose(f) != 0)
		abort();
}

static unsigned lines[16], nlines;

static void
note(void *arg, const char *file, unsigned line, const char *text)
{
	(void)arg;
	(void)file;
	(void)text;
	if (nlines < 16)
		lines[nlines++] = line;
}

static struct recipients *
read_text(const char *text, size_t *errors)
{
	struct fail f = FAIL_INIT;

	nlines = 0;
	write_file(text, strlen(text));
	return recipients_read(path, note, NULL, errors, &f);
}

static const struct {
	const char *local, *domain;
	char delimiter;
	int want;
} rows[] = {
	{ "user", "a.example", '\0', 1 },
	{ "USER", "A.Example", '\0', 1 },
	{ "User.Name", "a.example", '\0', 1 },
	{ "user", "b.example", '\0', 0 },
	{ "user", "sub.a.example", '\0', 0 },
	{ "other", "a.example", '\0', 0 },
	{ "anybody", "all.example", '\0', 1 },
	{ "anybody", "sub.all.example", '\0', 0 },
	{ "postmaster", "a.example", '\0', 1 },
	{ "PostMaster", "b.example", '\0', 1 },
	{ "postmaster2", "b.example", '\0', 0 },
	{ "user+ext", "a.example", '\0', 0 },
	{ "user+ext", "a.example", '+', 1 },
	{ "user+ext+more", "a.example", '+', 1 },
	{ "user-ext", "a.example", '+', 0 },
	{ "user-ext", "a.example", '-', 1 },
	{ "other+ext", "a.example", '+', 0 },
	{ "+ext", "a.example", '+', 0 },
	{ "+", "a.example", '+', 0 },
	{ "list-owner", "a.example", '-', 1 },
	{ "with space", "a.example", '\0', 1 },
	{ "hash#tag", "a.example", '\0', 1 },
	{ "u@x", "a.example", '\0', 1 },
	{ "idn", "xn--bcher-kva.example", '\0', 1 },
	{ "gr\303\274n", "a.example", '\0', 1 },
	{ "", "a.example", '\0', 0 },
	{ "user", "[192.0.2.1]", '\0', 0 },
};

static void
test_who(void)
{
	static const char text[] = "# all of them\n\nuser@a.example\nUser.Name@A.EXAMPLE # twice\nuser.name@a.example\r\n"
	    "@all.example\nlist-owner@a.example\nwith%20space@a.example\nhash#tag@a.example\nu@x@a.example\n"
	    "idn@b\303\274cher.example\ngr\303\274n@a.example";
	size_t i, errors;
	struct recipients *r = read_text(text, &errors);

	unit_ok(r != NULL, "a file");
	unit_int(errors, 0, "without errors");
	if (r == NULL)
		return;
	unit_int(recipients_count(r), 9, "addresses");
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct mailbox m;

		snprintf(m.local, sizeof m.local, "%s", rows[i].local);
		snprintf(m.domain, sizeof m.domain, "%s", rows[i].domain);
		unit_int(recipients_has(r, &m, rows[i].delimiter), rows[i].want, "%s@%s %c", rows[i].local, rows[i].domain,
		    rows[i].delimiter != '\0' ? rows[i].delimiter : ' ');
	}
	recipients_free(r);
}

static void
test_errors(void)
{
	static const unsigned want[] = { 2, 3, 4, 5, 6, 7, 8 };
	size_t i, errors;
	struct recipients *r = read_text("user@a.example\nuser\nuser@\nuser@a..example\nuser@a.example extra\n"
	    "user@[192.0.2.1]\nuser%4@a.example\n"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@a.example\nx@a.example\n", &errors);

	unit_ok(r == NULL, "a file with errors is none");
	unit_int(errors, 7, "all of them in one run");
	for (i = 0; i < 7; i++)
		unit_int(lines[i], want[i], "line %u", want[i]);
	r = read_text("", &errors);
	unit_ok(r != NULL && recipients_count(r) == 0, "an empty file: nobody");
	recipients_free(r);
	unlink(path);
	{
		struct fail f = FAIL_INIT;

		unit_ok(recipients_read(path, note, NULL, &errors, &f) == NULL && f.kind == FAIL_SYS && errors == 0,
		    "no file");
	}
}

/* Hundreds of thousands, in the time of a start. */
static void
test_many(void)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct recipients *r;
	struct mailbox m = { .domain = "a.example" };
	size_t errors;
	unsigned i, found = 0;
	clock_t start;

	for (i = 0; i < 300000; i++)
		buf_printf(&b, "user%u@a.example\n", i);
	write_file(b.p, b.len);
	buf_clear(&b);
	start = clock();
	r = recipients_read(path, note, NULL, &errors, &f);
	for (i = 0; i < 600000 && r != NULL; i++) {
		snprintf(m.local, sizeof m.local, "USER%u", i);
		found += (unsigned)recipients_has(r, &m, '\0');
	}
	printf("# 300000 read, 600000 looked up in %.2f s of CPU\n", (double)(clock() - start) / CLOCKS_PER_SEC);
	unit_int(found, 300000, "each of 300000 is found, and no other");
	unit_ok(clock() - start < 20 * CLOCKS_PER_SEC, "in no time that grows with the square");
	recipients_free(r);
}

int
main(void)
{
	int fd = mkstemp(path);

	if (fd == -1)
		return 1;
	close(fd);
	test_who();
	test_errors();
	test_many();
	unlink(path);
	return unit_done();
}
