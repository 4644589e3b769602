#include "tlsa-file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

/* "\# 35 030101..." behind its first word (RFC 3597 5). */
static int
parse_generic(struct tlsa *t, const char *text, struct fail *f)
{
	uint8_t *wire = NULL;
	size_t n;
	char *end;
	unsigned long length = strtoul(text, &end, 10);
	int rc = -1;

	if (text_unhex(end, &wire, &n, f) == -1)
		return -1;
	if (length != n)
		fail(f, FAIL_INPUT, "its length says %lu octets, there are %zu", length, n);
	else
		rc = tlsa_from_wire(t, wire, n, f);
	free(wire);
	return rc;
}

/* Behind this word stands the data; NULL: the line is data alone. */
static char *
find_type(char *line)
{
	char *at = line, *word;

	while (*(at += strspn(at, " \t")) != '\0') {
		word = at;
		at += strcspn(at, " \t");
		if ((at - word == 4 && strncasecmp(word, "TLSA", 4) == 0) ||
		    (at - word == 6 && strncasecmp(word, "TYPE52", 6) == 0)) {
			*word = '\0';
			return at + strspn(at, " \t");
		}
	}
	return NULL;
}

/* ";" as in zone files, "#" as elsewhere; but "\#" begins data. */
static void
cut_comment(char *line)
{
	char *p = line;

	while (*(p += strcspn(p, ";#\r")) == '#' && p > line && p[-1] == '\\')
		p++;
	*p = '\0';
}

static int
parse_data(struct tlsa *t, char *data, struct fail *f)
{
	char *p;

	for (p = data; *p != '\0'; p++)
		if (*p == '(' || *p == ')')
			*p = ' ';
	data += strspn(data, " \t");
	return strncmp(data, "\\#", 2) == 0 ? parse_generic(t, data + 2, f) : tlsa_parse(t, data, f);
}

int
tlsa_file_read(char *text, const char *path, tlsa_file_fn *take, void *arg, struct fail *f)
{
	const char *last = NULL;	/* a zone file's line that begins with a blank has the owner of the one before */
	struct tlsa t = TLSA_INIT;
	unsigned number = 0;
	char *line, *data;

	while ((line = strsep(&text, "\n")) != NULL) {
		number++;
		cut_comment(line);
		if (line[strspn(line, " \t")] == '\0')
			continue;
		if ((data = find_type(line)) != NULL && *line != ' ' && *line != '\t' && *line != '\0') {
			line[strcspn(line, " \t")] = '\0';
			last = line;
		}
		if (parse_data(&t, data != NULL ? data : line, f) == -1 ||
		    take(arg, &t, data != NULL ? last : NULL, number, f) == -1)
			return fail_prefix(f, "%.300s:%u", path, number);
	}
	return 0;
}
