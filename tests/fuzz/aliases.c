/*
 * A file of aliases, and the names that are looked up in it: behind a line "==", one a line.  An :include: of the file
 * itself, and of files that it has behind lines "== /NAME".
 * fuzz: aliases address_list mailbox table text fail alloc
 */
#include "aliases.h"

#include "alloc.h"
#include "fuzz.h"

#define FOUND_MAX 1000000

static const char *whole;	/* of the input under way */
static size_t whole_len;
static size_t found;

/* The text behind the line "== PATH", up to the next "==". */
static int
read_section(const char *path, struct buf *b, struct fail *f)
{
	char *head = xasprintf("\n== %s\n", path);
	const char *at = memmem(whole, whole_len, head, strlen(head)), *end;

	if (at == NULL) {
		free(head);
		return fail(f, FAIL_INPUT, "absent");
	}
	at += strlen(head);
	free(head);
	end = memmem(at, whole + whole_len - at, "\n==", 3);
	buf_add(b, at, (end != NULL ? end : whole + whole_len) - at);
	return 0;
}

static int
note(void *arg, const struct address_list_item *item, struct fail *f)
{
	(void)arg;
	(void)f;
	MUST(item->box.local[0] != '\0');
	MUST(++found < FOUND_MAX);
	return 0;
}

static void
count(void *arg, const char *file, unsigned line, const char *text)
{
	MUST(file[0] != '\0' && text[0] != '\0' && line > 0);
	++*(size_t *)arg;
}

static int
expand(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct fail why = FAIL_INIT;
	int rc = aliases_expand(arg, item, note, NULL, &why);

	(void)f;
	MUST(rc == 0 || (rc == -1 && why.kind != FAIL_NONE && why.text[0] != '\0'));
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = xmemdup(n > 0 ? (const void *)data : "", n > 0 ? n : 1);
	const char *names = memmem(text, n, "\n==\n", 4);
	size_t used = names != NULL ? (size_t)(names - text) : n, errors, quiet, told = 0;
	struct aliases *a;

	whole = text;
	whole_len = n;
	found = 0;
	a = aliases_parse("file", text, used, read_section, count, &told, &errors);
	MUST(told == errors || (told == TABLE_ERRORS_MAX && errors > told));
	aliases_free(a);
	a = aliases_parse("file", text, used, read_section, NULL, NULL, &quiet);
	MUST(quiet <= errors);
	if (names != NULL)
		address_list_parse(names + 4, text + n - (names + 4), expand, a, NULL);
	aliases_free(a);
	free(text);
	return 0;
}
