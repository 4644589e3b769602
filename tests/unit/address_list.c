/* Lists of addresses: what is found in them, where it ends, and what is refused. */
#include "address_list.h"

#include <stdlib.h>

#include "alloc.h"
#include "unit.h"

/* "local@domain:end" for each, a space between; "!" before those that a backslash stood before. */
static int
note(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct buf *b = arg;

	if (b->len > 0)
		buf_putc(b, ' ');
	if (item->literal)
		buf_putc(b, '!');
	mailbox_print(b, &item->box);
	buf_printf(b, ":%zu", item->end);
	return strcmp(item->box.local, "stop") == 0 ? fail(f, FAIL_POLICY, "stopped") : 0;
}

static const struct {
	const char *text, *want;
} rows[] = {
	{ "a@x.test", "a@x.test:8" },
	{ "", "" },
	{ " , ,\t,", "" },
	{ "root", "root:4" },
	{ "a@x.test, b", "a@x.test:8 b:11" },
	{ "A <a@x.test>,B <b>", "a@x.test:11 b:17" },
	{ "\"C, D\" <c@x.test>", "c@x.test:16" },
	{ "\"C \\\" <no@x.test>,\" <c@x.test>", "c@x.test:29" },
	{ "root (Cron Daemon)", "root:4" },
	{ "(a (nested, \\) one)) a@x.test (b)", "a@x.test:29" },
	{ "=?utf-8?B?w7g=?= <a@x.test>", "a@x.test:26" },
	{ "undisclosed-recipients:;", "" },
	{ "Us: a@x.test, B <b@x.test>;, c@x.test", "a@x.test:12 b@x.test:25 c@x.test:37" },
	{ "a . b @ x . test", "a.b@x.test:16" },
	{ "a@x.test,\r\n\tb@x.test", "a@x.test:8 b@x.test:20" },
	{ "<@r.test,@s.test:a@x.test>", "a@x.test:25" },
	{ "a@[192.0.2.1], b@[IPv6:2001:db8::1]", "a@[192.0.2.1]:13 b@[IPv6:2001:db8::1]:35" },
	{ "\"a b\"@x.test", "\"a b\"@x.test:12" },
	{ "\\root, \\a@x.test", "!root:5 !a@x.test:16" },
	{ "gr\303\274n@x.test", "gr\303\274n@x.test:12" },
	{ "a@x.test.", "a@x.test:9" },
	{ "| /bin/sh", "- offset 9: expected a comma between addresses, or <> around one" },
	{ "a b c", "- offset 5: expected a comma between addresses, or <> around one" },
	{ "a@x.test b@x.test", "- offset 17: expected a comma between addresses, or <> around one" },
	{ "A <a@x.test", "- offset 11: expected a >" },
	{ "A <>", "- offset 3: expected an address in <>" },
	{ "a@x.test>", "- offset 8: expected a < before the >" },
	{ "A <a@x.test> b", "a@x.test:11 - offset 14: expected a comma behind the address" },
	{ "A <<a@x.test>>", "- offset 3: expected a >" },
	{ "\"a", "- offset 2: expected a closing \"" },
	{ "\"a\\", "- offset 3: expected a closing \"" },
	{ "a@[1.2.3.4", "- offset 10: expected a ]" },
	{ "(a", "- offset 2: expected a ) that ends the comment" },
	{ ": a", "- offset 0: expected a name before the colon" },
	{ "a, stop, b", "a:1 stop:7 - stopped" },
};

static void
test_row(size_t i)
{
	size_t n = strlen(rows[i].text);
	/* Its end is the end of the memory, for who reads beyond. */
	char *text = xmemdup(rows[i].text, n == 0 ? 1 : n), *got;
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	int rc = address_list_parse(text, n, note, &b, &f);

	if (rc != 0)
		buf_printf(&b, "%s- %s", b.len > 0 ? " " : "", f.text);
	got = buf_steal(&b);
	unit_str(got, rows[i].want, "%s", rows[i].text);
	unit_ok((rc == 0) == (f.kind == FAIL_NONE), "and says so");
	free(got);
	free(text);
}

/* What mailbox_parse() refuses is refused, whatever its words. */
static void
test_refused(void)
{
	static const char *const texts[] = { "a@", "@x.test", "a@@x.test", "a..b@x.test", "a@x..test", "a@-x.test", "a\001@x.test",
		"<a\r\nb@x.test>", "\"a\r\n b\"@x.test", "\377@x.test", "a>b@x.test", "\\", "a\\@x.test" };
	size_t i;

	for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct buf b = BUF_INIT;
		struct fail f = FAIL_INIT;

		unit_ok(address_list_parse(texts[i], strlen(texts[i]), note, &b, &f) == -1 && f.kind == FAIL_INPUT && b.len == 0,
		    "refused: row %zu", i);
		buf_clear(&b);
	}
	unit_ok(address_list_parse("a\0b", 3, note, NULL, NULL) == -1, "a NUL");
}

static int
count(void *arg, const struct address_list_item *item, struct fail *f)
{
	(void)item;
	(void)f;
	++*(size_t *)arg;
	return 0;
}

/* Comments in comments, and a million of addresses: no stack is used up, no time that grows with the square. */
static void
test_large(void)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	size_t i, n = 0;

	for (i = 0; i < 1000000; i++)
		buf_putc(&b, '(');
	unit_ok(address_list_parse(b.p, b.len, count, &n, &f) == -1, "a million of open comments");
	for (i = 0; i < 1000000; i++)
		buf_putc(&b, ')');
	buf_puts(&b, "a@x.test");
	unit_ok(address_list_parse(b.p, b.len, count, &n, &f) == 0 && n == 1, "and closed");
	b.len = n = 0;
	for (i = 0; i < 1000000; i++)
		buf_puts(&b, "a,");
	unit_ok(address_list_parse(b.p, b.len, count, &n, &f) == 0 && n == 1000000, "a million of addresses");
	buf_clear(&b);
}

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		test_row(i);
	test_refused();
	test_large();
	return unit_done();
}
