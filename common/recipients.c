/*
 * recipients - addresses in lower case, one behind the other, and a hash table of where each begins.
 */
#include "recipients.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "file.h"
#include "name.h"
#include "text.h"

struct recipients {
	struct buf text;	/* each with its NUL; what is at 0 is nobody's */
	uint32_t *place;	/* offsets; 0: free */
	size_t nplaces, n;	/* a power of two, at most half of it in use */
};

/* FNV-1a: the administrator's file, and a look-up at most as long as the file's worst. */
static size_t
hash_of(const char *p)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 32);
}

/* Where it is, or would be. */
static uint32_t *
place_of(const struct recipients *r, const char *address)
{
	size_t i = hash_of(address) & (r->nplaces - 1);

	while (r->place[i] != 0 && strcmp(r->text.p + r->place[i], address) != 0)
		i = (i + 1) & (r->nplaces - 1);
	return &r->place[i];
}

static void
grow(struct recipients *r)
{
	size_t i, n = r->nplaces;
	uint32_t *old = r->place;

	r->nplaces = n * 2;
	r->place = xcalloc(r->nplaces, sizeof *r->place);
	for (i = 0; i < n; i++)
		if (old[i] != 0)
			*place_of(r, r->text.p + old[i]) = old[i];
	free(old);
}

static void
add(struct recipients *r, const char *address)
{
	uint32_t *place = place_of(r, address);

	if (*place != 0)
		return;
	*place = (uint32_t)r->text.len;
	buf_add(&r->text, address, strlen(address) + 1);
	if (++r->n * 2 > r->nplaces)
		grow(r);
}

/* "user@domain", "@domain": the key of the line. */
static int
set_address(void *ctx, const struct table_line *l, struct fail *f)
{
	const char *at = strrchr(l->key, '@');
	char *domain, *address;

	if (at == NULL)
		return fail(f, FAIL_INPUT, "expected user@domain or @domain, not \"%.200s\"", l->key);
	if (at - l->key > MAILBOX_LOCAL_MAX)
		return fail(f, FAIL_INPUT, "a local part of more than %d octets", MAILBOX_LOCAL_MAX);
	if ((domain = name_to_ascii(at + 1, f)) == NULL)
		return -1;
	if (!name_is_host(domain, NAME_UNDERSCORE)) {
		fail(f, FAIL_INPUT, "expected a domain behind the @, not \"%.200s\"", at + 1);
		free(domain);
		return -1;
	}
	address = xasprintf("%.*s@%s", (int)(at - l->key), l->key, domain);
	text_lower(address);
	add(ctx, address);
	free(address);
	free(domain);
	return 0;
}

static const struct table_row rows[] = { { NULL, 0, 0, 0, set_address } };

struct recipients *
recipients_read(const char *file, table_error_fn *report, void *arg, size_t *errors, struct fail *f)
{
	struct buf text = BUF_INIT;
	struct recipients *r;

	*errors = 0;
	if (file_read_regular(file, RECIPIENTS_FILE_MAX, &text, f) == -1)
		return NULL;
	r = xcalloc(1, sizeof *r);
	r->nplaces = 1024;
	r->place = xcalloc(r->nplaces, sizeof *r->place);
	buf_putc(&r->text, '\0');
	*errors = table_parse(file, text.p, text.len, rows, 1, r, report, arg);
	buf_clear(&text);
	if (*errors == 0)
		return r;
	fail(f, FAIL_INPUT, "%.300s: %zu error%s", file, *errors, *errors == 1 ? "" : "s");
	recipients_free(r);
	return NULL;
}

void
recipients_free(struct recipients *r)
{
	if (r == NULL)
		return;
	buf_clear(&r->text);
	free(r->place);
	free(r);
}

size_t
recipients_count(const struct recipients *r)
{
	return r->n;
}

static int
has(const struct recipients *r, const char *local, size_t n, const char *domain)
{
	char address[MAILBOX_LOCAL_MAX + MAILBOX_DOMAIN_MAX + 2];

	snprintf(address, sizeof address, "%.*s@%s", (int)n, local, domain);
	text_lower(address);
	return *place_of(r, address) != 0;
}

int
recipients_has(const struct recipients *r, const struct mailbox *m, char delimiter)
{
	size_t n = strlen(m->local), base;

	if (text_case_eq(m->local, "postmaster") || has(r, m->local, n, m->domain) || has(r, "", 0, m->domain))
		return 1;
	base = delimiter != '\0' ? strcspn(m->local, (char[]){ delimiter, '\0' }) : n;
	return base > 0 && base < n && has(r, m->local, base, m->domain);
}
