#include "controls.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "alloc.h"
#include "limit.h"
#include "name.h"

enum form { NAME, ADDRESSES, NUMBER, RATE, TIME, FLAG };

static const char *const flag_names[] = { "no", "yes" };

static const struct row {
	const char *name;
	enum form form;
	long long lo, hi;
} rows[CONTROLS_KEYS] = {
	[CONTROLS_CERT] = { "cert", NAME, 0, 0 },
	[CONTROLS_BIND_ADDRESS] = { "bind-address", ADDRESSES, 0, 0 },
	[CONTROLS_CONCURRENCY] = { "concurrency", NUMBER, 1, 1000 },
	[CONTROLS_MESSAGE_RATE] = { "message-rate", RATE, 1, 1000000 },
	[CONTROLS_MAX_MESSAGES] = { "max-messages", NUMBER, 1, 1000000 },
	[CONTROLS_MAX_RECIPIENTS] = { "max-recipients", NUMBER, 1, CONTROLS_RECIPIENTS_MAX },
	[CONTROLS_CONNECT_TIME] = { "connect-time", TIME, 1, 3600 },
	[CONTROLS_COMMAND_TIME] = { "command-time", TIME, 1, 3600 },
	[CONTROLS_DATA_TIME] = { "data-time", TIME, 1, 3600 },
	[CONTROLS_END_TIME] = { "end-time", TIME, 1, 7200 },
	[CONTROLS_CHUNKING] = { "chunking", FLAG, 0, 1 },
};

const struct controls controls_standard = {
	.n = {
		[CONTROLS_MAX_MESSAGES] = 100,
		[CONTROLS_MAX_RECIPIENTS] = CONTROLS_RECIPIENTS_MAX,
		[CONTROLS_CONNECT_TIME] = 60,
		[CONTROLS_CHUNKING] = 1,
	},
	.rate_time = 60,
};

int
controls_find(const char *key)
{
	int i;

	for (i = 0; i < CONTROLS_KEYS; i++)
		if (strcmp(rows[i].name, key) == 0)
			return i;
	return -1;
}

const char *
controls_name(enum controls_key key)
{
	return rows[key].name;
}

static int
set_cert(struct controls *c, const char *word, struct fail *f)
{
	if (strcmp(word, "none") != 0 && name_check_identity(word, f) == -1)
		return fail_prefix(f, "cert");
	free(c->cert);
	c->cert = strcmp(word, "none") != 0 ? xstrdup(word) : NULL;
	return 0;
}

static int
take_address(struct controls *c, const char *word, struct fail *f)
{
	uint8_t ip[16];
	int version = text_address(word, ip);
	struct facts_addr *a = &c->bind[version == 4 ? CONTROLS_V4 : CONTROLS_V6];

	if (version == 0)
		return fail(f, FAIL_INPUT, "bind-address: expected an address, not \"%.64s\"", word);
	if (a->family != 0)
		return fail(f, FAIL_INPUT, "bind-address: a second address of IPv%d", version);
	a->family = version == 4 ? AF_INET : AF_INET6;
	memcpy(&a->ip, ip, version == 4 ? 4 : 16);
	return 0;
}

/* "none", or one of each family. */
static int
set_addresses(struct controls *c, const char *list, struct fail *f)
{
	char *copy = xstrdup(list), *rest = copy, *word;
	int rc = 0;

	memset(c->bind, 0, sizeof c->bind);
	while (strcmp(list, "none") != 0 && rc == 0 && (word = strsep(&rest, ",")) != NULL)
		rc = take_address(c, word, f);
	free(copy);
	return rc;
}

static int
set_rate(struct controls *c, const struct row *row, const char *word, long long *n, struct fail *f)
{
	*n = 0;
	return strcmp(word, "none") == 0 ? 0 :
	    limit_rate(row->name, word, row->lo, row->hi, n, &c->rate_time, f);
}

static int
set_time(const struct row *row, const char *word, long long *n, struct fail *f)
{
	char low[TEXT_PERIOD_MAX], high[TEXT_PERIOD_MAX];

	if (text_duration(word, row->name, n, f) == -1)
		return -1;
	if (*n < row->lo || *n > row->hi)
		return fail(f, FAIL_INPUT, "%s: expected a time of %s to %s, not \"%.64s\"", row->name,
		    text_period(low, row->lo), text_period(high, row->hi), word);
	return 0;
}

static int
set_value(struct controls *c, const struct row *row, const char *word, long long *n, struct fail *f)
{
	switch (row->form) {
	case NAME:
		return set_cert(c, word, f);
	case ADDRESSES:
		return set_addresses(c, word, f);
	case NUMBER:
		return text_number(word, row->lo, row->hi, row->name, n, f);
	case RATE:
		return set_rate(c, row, word, n, f);
	case TIME:
		return set_time(row, word, n, f);
	case FLAG:
		return (*n = text_word(row->name, word, flag_names, 2, f)) == -1 ? -1 : 0;
	}
	abort();
}

int
controls_set(struct controls *c, enum controls_key key, const char *word, struct fail *f)
{
	long long n = 0;

	if (set_value(c, &rows[key], word, &n, f) == -1)
		return -1;
	c->n[key] = (uint32_t)n;
	c->given |= 1U << key;
	return 0;
}

void
controls_clear(struct controls *c)
{
	free(c->cert);
	memset(c, 0, sizeof *c);
}

void
controls_overlay(struct controls *to, const struct controls *from)
{
	unsigned i;

	for (i = CONTROLS_CONCURRENCY; i < CONTROLS_KEYS; i++)
		if (from->given & 1U << i)
			to->n[i] = from->n[i];
	if (from->given & 1U << CONTROLS_CERT)
		to->cert = from->cert;
	if (from->given & 1U << CONTROLS_BIND_ADDRESS)
		memcpy(to->bind, from->bind, sizeof to->bind);
	if (from->given & 1U << CONTROLS_MESSAGE_RATE)
		to->rate_time = from->rate_time;
	to->given |= from->given;
}

const struct facts_addr *
controls_bind0(const struct controls *c, const struct facts_addr *to)
{
	const struct facts_addr *a = &c->bind[to->family == AF_INET ? CONTROLS_V4 : CONTROLS_V6];

	return a->family != 0 && a->family == to->family ? a : NULL;
}

static void
print_addresses(struct buf *b, const struct controls *c)
{
	char text[INET6_ADDRSTRLEN];
	int i, n = 0;

	for (i = 0; i < CONTROLS_FAMILIES; i++)
		if (c->bind[i].family != 0)
			buf_printf(b, "%s%s", n++ > 0 ? "," : "", facts_addr_text(&c->bind[i], text));
	if (n == 0)
		buf_puts(b, "none");
}

static void
print_value(struct buf *b, const struct controls *c, unsigned key)
{
	char period[TEXT_PERIOD_MAX];

	switch (rows[key].form) {
	case NAME:
		buf_puts(b, c->cert != NULL ? c->cert : "none");
		break;
	case ADDRESSES:
		print_addresses(b, c);
		break;
	case RATE:
		if (c->n[key] == 0)
			buf_puts(b, "none");
		else
			buf_printf(b, "%u/%s", c->n[key], text_period(period, c->rate_time));
		break;
	case FLAG:
		buf_puts(b, flag_names[c->n[key]]);
		break;
	case NUMBER:
		buf_printf(b, "%u", c->n[key]);
		break;
	case TIME:
		buf_puts(b, text_period(period, c->n[key]));
		break;
	}
}

void
controls_print(struct buf *b, const struct controls *c)
{
	unsigned i;

	for (i = 0; i < CONTROLS_KEYS; i++)
		if (c->given & 1U << i) {
			buf_printf(b, ", %s ", rows[i].name);
			print_value(b, c, i);
		}
}
