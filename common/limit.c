/*
 * limit - a row for each key says what its word looks like and in which range it is.
 */
#include "limit.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "spool_file.h"

#define RATE_MAX 1000000
#define RATE_TIME_MAX 86400

enum form { NUMBER, SIZE, TIME, RATE };

static const struct row {
	const char *name;
	enum form form;
	long long lo, hi;
	int none;	/* "none" is a value: no limit */
} rows[LIMIT_KEYS] = {
	/* RFC 5321 4.5.3.1: at least 64 KiB in a message, 100 recipients, 1000 octets in a line. */
	[LIMIT_SIZE] = { "max-size", SIZE, 65536, 1LL << 40, 0 },
	[LIMIT_RECIPIENTS] = { "max-recipients", NUMBER, 1, SPOOL_RCPTS_MAX, 0 },
	[LIMIT_MESSAGES] = { "max-messages", NUMBER, 1, 1000000, 0 },
	[LIMIT_ERRORS] = { "max-errors", NUMBER, 1, 1000000, 0 },
	[LIMIT_REFUSED] = { "max-refused", NUMBER, 1, 1000000, 0 },
	[LIMIT_JUNK] = { "max-junk", NUMBER, 1, 1000000, 0 },
	[LIMIT_AUTH_FAILURES] = { "max-auth-failures", NUMBER, 1, 1000, 0 },
	[LIMIT_LINE] = { "max-line", SIZE, 1000, 16 * 1024 * 1024, 0 },
	[LIMIT_HEADER] = { "max-header", SIZE, 16384, 16 * 1024 * 1024, 0 },
	[LIMIT_RECEIVED] = { "max-received", NUMBER, 10, 1000, 0 },
	[LIMIT_COMMAND_TIME] = { "command-time", TIME, 1, 86400, 0 },
	[LIMIT_DATA_TIME] = { "data-time", TIME, 1, 86400, 0 },
	[LIMIT_DATA_MIN] = { "data-min", SIZE, 1, 16 * 1024 * 1024, 0 },
	[LIMIT_HANDSHAKE_TIME] = { "handshake-time", TIME, 1, 3600, 0 },
	[LIMIT_SESSION_TIME] = { "session-time", TIME, 10, 30 * 86400, 0 },
	[LIMIT_CLIENT_CONCURRENCY] = { "client-concurrency", NUMBER, 1, 100000, 1 },
	[LIMIT_CONNECTION_RATE] = { "connection-rate", RATE, 1, RATE_MAX, 1 },
	[LIMIT_MESSAGE_RATE] = { "message-rate", RATE, 1, RATE_MAX, 1 },
	[LIMIT_RECIPIENT_RATE] = { "recipient-rate", RATE, 1, RATE_MAX, 1 },
};

/* The times: RFC 5321 4.5.3.2.  An octet a minute is no progress: it would hold a session for years. */
const struct limits limits_standard = {
	.value = {
		[LIMIT_SIZE] = 50 * 1024 * 1024,
		[LIMIT_RECIPIENTS] = 1000,
		[LIMIT_MESSAGES] = 1000,
		[LIMIT_ERRORS] = 20,
		[LIMIT_REFUSED] = 100,
		[LIMIT_JUNK] = 100,
		[LIMIT_AUTH_FAILURES] = 3,
		[LIMIT_LINE] = 65536,
		[LIMIT_HEADER] = 256 * 1024,
		[LIMIT_RECEIVED] = 100,
		[LIMIT_COMMAND_TIME] = 300,
		[LIMIT_DATA_TIME] = 180,
		[LIMIT_DATA_MIN] = 1024,
		[LIMIT_HANDSHAKE_TIME] = 60,
		[LIMIT_SESSION_TIME] = 86400,
	},
	.per = { [LIMIT_CONNECTION_RATE] = 60, [LIMIT_MESSAGE_RATE] = 60, [LIMIT_RECIPIENT_RATE] = 60 },
};

unsigned
limit_share(unsigned concurrency)
{
	unsigned share = concurrency / LIMIT_SHARE_PARTS, most = (concurrency + 1) / 2;

	if (share < LIMIT_SHARE_MIN)
		share = LIMIT_SHARE_MIN;
	return share < most ? share : most;
}

int
limit_find(const char *key)
{
	int i;

	for (i = 0; i < LIMIT_KEYS; i++)
		if (strcmp(rows[i].name, key) == 0)
			return i;
	return -1;
}

const char *
limit_name(enum limit_key key)
{
	return rows[key].name;
}

static int
parse_time(const char *name, const char *word, long long lo, long long hi, long long *n, struct fail *f)
{
	char low[TEXT_PERIOD_MAX], high[TEXT_PERIOD_MAX];

	if (text_duration(word, name, n, f) == -1)
		return -1;
	if (*n < lo || *n > hi)
		return fail(f, FAIL_INPUT, "%s: expected a time of %s to %s, not \"%.64s\"", name, text_period(low, lo),
		    text_period(high, hi), word);
	return 0;
}

int
limit_rate(const char *name, const char *word, long long lo, long long hi, long long *n, uint32_t *per, struct fail *f)
{
	const char *slash = strchr(word, '/');
	char *number = xstrndup(word, slash != NULL ? (size_t)(slash - word) : strlen(word));
	char longest[TEXT_PERIOD_MAX];
	long long time = 60;
	int rc = text_number(number, lo, hi, name, n, NULL);

	if (rc == 0 && slash != NULL)
		rc = parse_time(name, slash + 1, 1, RATE_TIME_MAX, &time, NULL);
	*per = (uint32_t)time;
	free(number);
	return rc == 0 ? 0 : fail(f, FAIL_INPUT, "%s: expected %lld to %lld in a time of 1s to %s, such as 100/1m or "
	    "1000/1h, or none, not \"%.64s\"", name, lo, hi, text_period(longest, RATE_TIME_MAX), word);
}

static int
parse(const struct row *row, const char *word, long long *n, uint32_t *per, struct fail *f)
{
	switch (row->form) {
	case NUMBER:
		return text_number(word, row->lo, row->hi, row->name, n, f);
	case SIZE:
		return text_size(word, row->lo, row->hi, row->name, n, f);
	case TIME:
		return parse_time(row->name, word, row->lo, row->hi, n, f);
	case RATE:
		return limit_rate(row->name, word, row->lo, row->hi, n, per, f);
	}
	abort();
}

int
limit_set(struct limits *l, enum limit_key key, const char *word, struct fail *f)
{
	const struct row *row = &rows[key];
	long long n = 0;
	uint32_t per = 60;

	if (l->given & UINT32_C(1) << key)
		return fail(f, FAIL_INPUT, "%s is given twice", row->name);
	if (!(row->none && strcmp(word, "none") == 0) && parse(row, word, &n, &per, f) == -1)
		return -1;
	l->value[key] = (uint64_t)n;
	l->per[key] = per;
	l->given |= UINT32_C(1) << key;
	return 0;
}

int
limits_has(const struct limits *l, enum limit_key key)
{
	return (l->given & UINT32_C(1) << key) != 0;
}

void
limits_overlay(struct limits *to, const struct limits *from)
{
	int i;

	for (i = 0; i < LIMIT_KEYS; i++)
		if (from->given & UINT32_C(1) << i) {
			to->value[i] = from->value[i];
			to->per[i] = from->per[i];
			to->given |= UINT32_C(1) << i;
		}
}

static void
print_value(struct buf *b, const struct limits *l, int key)
{
	unsigned long long n = l->value[key];
	char period[TEXT_PERIOD_MAX];

	if (rows[key].none && n == 0)
		buf_puts(b, "none");
	else if (rows[key].form == RATE)
		buf_printf(b, "%llu/%s", n, text_period(period, l->per[key]));
	else if (rows[key].form == TIME)
		buf_puts(b, text_period(period, (int64_t)n));
	else
		buf_printf(b, "%llu", n);
}

void
limits_print(struct buf *b, const struct limits *l)
{
	int i;

	for (i = 0; i < LIMIT_KEYS; i++)
		if (l->given & UINT32_C(1) << i) {
			buf_printf(b, ", %s ", rows[i].name);
			print_value(b, l, i);
		}
}

void
limits_server(const struct limits *l, struct smtp_server_limits *s)
{
	s->size = s->swallow = l->value[LIMIT_SIZE];
	s->text_line = l->value[LIMIT_LINE];
	s->header = l->value[LIMIT_HEADER];
	s->received = (unsigned)l->value[LIMIT_RECEIVED];
	s->recipients = (unsigned)l->value[LIMIT_RECIPIENTS];
	s->refused_recipients = (unsigned)l->value[LIMIT_REFUSED];
	s->errors = (unsigned)l->value[LIMIT_ERRORS];
	s->junk = (unsigned)l->value[LIMIT_JUNK];
	s->messages = (unsigned)l->value[LIMIT_MESSAGES];
	s->auth_failures = (unsigned)l->value[LIMIT_AUTH_FAILURES];
}
