/*
 * The file of recipients: a list that was taken has each of its lines in it, in any case of letters.
 */
#include "recipients.h"

#include "alloc.h"
#include "scratch.h"

static void
error(void *arg, const char *file, unsigned line, const char *text)
{
	MUST(*file != '\0' && line > 0 && *text != '\0');
	++*(size_t *)arg;
}

/* The address of a line without odd octets, in capitals. */
static void
find(const struct recipients *r, char *line)
{
	struct mailbox m = { .local = "", .domain = "" };
	char *p, *at;

	for (p = line; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p -= 'a' - 'A';
	if (line[strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.")] != '\0' || (at = strchr(line, '@')) == NULL)
		return;
	MUST(strlen(at + 1) < sizeof m.domain && (size_t)(at - line) < sizeof m.local);
	memcpy(m.local, line, at - line);
	strcpy(m.domain, at + 1);
	if (m.local[0] == '\0')
		strcpy(m.local, "anybody");
	/* A dot at a domain's end is none of it. */
	if (m.domain[0] != '\0' && m.domain[strlen(m.domain) - 1] == '.')
		m.domain[strlen(m.domain) - 1] = '\0';
	MUST(recipients_has(r, &m, '\0') && recipients_has(r, &m, '+'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fail f = FAIL_INIT;
	size_t errors = 0, told = 0;
	struct recipients *r;
	struct mailbox postmaster = { .local = "PostMaster", .domain = "" };
	char *text, *at, *line;

	r = recipients_read(scratch_memory(data, n), error, &told, &errors, &f);
	MUST(r != NULL || told > 0 || f.kind == FAIL_INPUT);
	if (r == NULL)
		return 0;
	MUST(errors == 0 && told == 0 && recipients_has(r, &postmaster, '\0'));
	at = text = xstrndup((const char *)data, n);
	while (memchr(data, '\0', n) == NULL && recipients_count(r) > 0 && (line = strsep(&at, "\n")) != NULL)
		find(r, line);
	free(text);
	recipients_free(r);
	return 0;
}
