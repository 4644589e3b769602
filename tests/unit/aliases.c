/* Aliases: who is meant by a name, which lines are at fault, and that neither loops nor files have no end. */
#include "aliases.h"

#include <stdlib.h>

#include "alloc.h"
#include "unit.h"

static const char text[] =
    "# comment\n"
    "Root:\tadmin, Ops <ops@x.test>\r\n"
    "admin : ann@x.test ,\n"
    "\n"
    "# between\n"
    "\tben\n"
    "\"two words\": two@x.test\n"
    "bob: bob, archive@x.test\n"
    "bin: \\root\n"
    "a: b\n"
    "b: c, d@x.test\n"
    "c: a\n"
    "pipe: good@x.test, \"|/bin/sh -c x\"\n"
    "bare: |/bin/sh\n"
    "file: /var/mail/x\n"
    "list: :include:/list, last@x.test\n"
    "quoted: \":include:/list\"\n"
    "round: :include:/round\n"
    "none: :include:/none\n"
    "relative: :include:list\n"
    "bad: :include:/bad\n"
    "x400: /c=de/@x.test\n"
    "empty:\n"
    "no colon\n"
    "at@x.test: a\n"
    "comma: ,,\n"
    "words: a b\n"
    "bob: again@x.test\n"
    "quote: \"a, b\" <q@x.test>, (a, b) r@x.test\n";

static const struct {
	const char *path, *text;
} files[] = {
	{ "/list", "one@x.test, two@x.test\n# no\n\n:include:/more\nbob\n" },
	{ "/more", "three@x.test" },
	{ "/round", "r@x.test\n:include:/round\n" },
	{ "/bad", "ok@x.test\nfine@x.test\n|/bin/sh\n" },
	{ "/tree", ":include:/tree2, :include:/tree2\n:include:/tree2" },
	{ "/tree2", "leaf@x.test, root" },
};

static int
read_text(const char *path, struct buf *b, struct fail *f)
{
	size_t i;

	for (i = 0; i < sizeof files / sizeof files[0]; i++)
		if (strcmp(files[i].path, path) == 0) {
			buf_puts(b, files[i].text);
			return 0;
		}
	return fail(f, FAIL_SYS, "%s: absent", path);
}

static int
note(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct buf *b = arg;

	(void)f;
	if (b->len > 0)
		buf_putc(b, ' ');
	mailbox_print(b, &item->box);
	return 0;
}

static void
tell(void *arg, const char *file, unsigned line, const char *fault)
{
	buf_printf(arg, "%s:%u: %s\n", file, line, fault);
}

static const struct {
	const char *name, *want;
} rows[] = {
	{ "root", "ann@x.test ben ops@x.test" },
	{ "ROOT", "ann@x.test ben ops@x.test" },
	{ "root@x.test", "root@x.test" },
	{ "\\root", "root" },
	{ "postmaster", "ann@x.test ben ops@x.test" },
	{ "Mailer-Daemon", "ann@x.test ben ops@x.test" },
	{ "\"two words\"", "two@x.test" },
	{ "bob", "bob archive@x.test" },
	{ "bin", "root" },
	{ "nobody", "nobody" },
	{ "a", "- t:12: alias a leads back to itself" },
	{ "pipe", "- t:13: alias pipe is at fault" },
	{ "bare", "- t:14: alias bare is at fault" },
	{ "file", "- t:15: alias file is at fault" },
	{ "list", "one@x.test two@x.test three@x.test bob archive@x.test last@x.test" },
	{ "quoted", "one@x.test two@x.test three@x.test bob archive@x.test" },
	{ "round", "r@x.test - /round:2: /round leads back to itself" },
	{ "none", "- t:19: /none: absent" },
	{ "relative", "- t:20: alias relative is at fault" },
	{ "bad", "ok@x.test fine@x.test - /bad:3: a program is no address: none is run" },
	{ "x400", "/c=de/@x.test" },
	{ "empty", "- t:23: alias empty is at fault" },
	{ "comma", "- t:26: alias comma is at fault" },
	{ "quote", "q@x.test r@x.test" },
};

static struct aliases *
parse(const char *s, aliases_read_fn *reader, struct buf *told, size_t *errors)
{
	size_t n = strlen(s);
	/* Its end is the end of the memory. */
	char *copy = xmemdup(s, n == 0 ? 1 : n);
	struct aliases *a = aliases_parse("t", copy, n, reader, told != NULL ? tell : NULL, told, errors);

	free(copy);
	return a;
}

struct one {
	struct aliases *a;
	struct buf *b;
};

static int
expand(void *arg, const struct address_list_item *item, struct fail *f)
{
	const struct one *o = arg;

	return aliases_expand(o->a, item, note, o->b, f);
}

static void
check(const char *file, const char *name, const char *want)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	struct one o = { .b = &b };
	size_t errors;
	char *got;

	o.a = parse(file, read_text, NULL, &errors);
	if (address_list_parse(name, strlen(name), expand, &o, &f) != 0)
		buf_printf(&b, "%s- %s", b.len > 0 ? " " : "", f.text);
	got = buf_steal(&b);
	unit_str(got, want, "%s", name);
	free(got);
	aliases_free(o.a);
}

static void
test_faults(void)
{
	static const char want[] =
	    "t:24: expected \"name: address, ...\"\n"
	    "t:25: expected a local name and a colon\n"
	    "t:13: a program is no address: none is run\n"
	    "t:14: a program is no address: none is run\n"
	    "t:15: a file is no address: none is written\n"
	    "/round:2: /round leads back to itself\n"
	    "t:19: /none: absent\n"
	    "t:20: expected :include: and an absolute path\n"
	    "/bad:3: a program is no address: none is run\n"
	    "t:23: expected an address behind the colon\n"
	    "t:26: expected an address behind the colon\n"
	    "t:27: offset 3: expected a comma between addresses, or <> around one\n"
	    "t:28: a second line for this name\n";
	struct buf told = BUF_INIT;
	size_t errors;
	struct aliases *a = parse(text, read_text, &told, &errors);

	unit_str(told.p, want, "all faults in one run");
	unit_int(errors, 13, "their number");
	unit_int(aliases_count(a), 23, "entries");
	aliases_free(a);
	buf_clear(&told);
	a = parse("x: :include:/list\n continued@x.test\n", NULL, &told, &errors);
	unit_str(told.p, "t:1: an :include: is not followed\n", "where nothing is included");
	aliases_free(a);
	buf_clear(&told);
	a = parse(" a@x.test\nb: c@x.test", NULL, &told, &errors);
	unit_str(told.p, "t:1: expected a name: no line stands above that this could go on with\n", "no first line");
	aliases_free(a);
	buf_clear(&told);
	a = parse("", NULL, &told, &errors);
	unit_ok(told.len == 0 && errors == 0 && aliases_count(a) == 0, "an empty file");
	aliases_free(a);
	buf_clear(&told);
}

static void
test_depth(void)
{
	struct buf b = BUF_INIT;
	unsigned i;

	for (i = 0; i < ALIASES_DEPTH_MAX; i++)
		buf_printf(&b, "a%u: a%u\n", i, i + 1);
	check(b.p, "a0", "a50");
	buf_printf(&b, "a%u: a%u\n", i, i + 1);
	check(b.p, "a0", "- t:50: more than 50 aliases of aliases");
	check(b.p, "a1", "a51");
	b.len = 0;
	/* Each is opened once, however often it is named. */
	for (i = 0; i < 40; i++)
		buf_printf(&b, "a%u: a%u, a%u, a%u\n", i, i + 1, i + 1, i + 1);
	check(b.p, "a0", "a40 a40 a40");
	buf_clear(&b);
}

int
main(void)
{
	static const char rest[] = "*: root, spare\nroot: ann, ben@x.test\nself: self\n";
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check(text, rows[i].name, rows[i].want);
	test_faults();
	test_depth();
	check(rest, "nobody", "ann ben@x.test spare");
	check(rest, "nobody, somebody, root", "ann ben@x.test spare");
	check(rest, "self", "self");
	check(rest, "\\nobody, nobody@x.test", "nobody nobody@x.test");
	check(rest, "postmaster", "ann ben@x.test");
	check("x: :include:/tree\n", "x", "leaf@x.test root");
	check("postmaster: p@x.test\nroot: r@x.test\n", "mailer-daemon", "p@x.test");
	return unit_done();
}
