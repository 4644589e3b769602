#include "conf_notice.h"

#include <string.h>

#include "alloc.h"
#include "mailbox.h"
#include "sched.h"

void
conf_notice_begin(struct conf *c)
{
	c->retry = CONF_RETRY;
	c->notice = notice_standard;
	c->bounce_size = CONF_BOUNCE_SIZE;
}

void
conf_notice_end(struct conf *c)
{
	if (c->retry_max == 0)
		c->retry_max = c->retry * SCHED_BACKOFF_TIMES;
}

static int
set_time(const struct table_line *l, size_t i, long long lo, long long hi, int64_t *dst, struct fail *f)
{
	char low[TEXT_PERIOD_MAX], high[TEXT_PERIOD_MAX];
	long long n;

	if (text_duration(l->v[i], l->key, &n, f) == -1)
		return -1;
	if (n < lo || n > hi)
		return fail(f, FAIL_INPUT, "%s: expected %s to %s", l->key, text_period(low, lo),
		    text_period(high, hi));
	*dst = n;
	return 0;
}

/* The longest wait is never shorter than the first, whatever is said. */
int
conf_set_retry(void *ctx, const struct table_line *l, struct fail *f)
{
	struct conf *c = ctx;
	int64_t first, most = 0;

	if (set_time(l, 0, 1, 86400, &first, f) == -1 ||
	    (l->n == 2 && set_time(l, 1, 1, 7 * 86400, &most, f) == -1))
		return -1;
	if (l->n == 2 && most < first)
		return fail(f, FAIL_INPUT, "retry: the longest wait is shorter than the first");
	c->retry = first;
	c->retry_max = most;
	return 0;
}

int
conf_set_lifetime(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_time(l, 0, 60, CONF_LIFETIME_MAX, &((struct conf *)ctx)->notice.lifetime, f);
}

int
conf_set_bounce_lifetime(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_time(l, 0, 60, CONF_LIFETIME_MAX, &((struct conf *)ctx)->notice.bounce_lifetime, f);
}

int
conf_set_delay_notice(void *ctx, const struct table_line *l, struct fail *f)
{
	char most[TEXT_PERIOD_MAX];
	struct conf *c = ctx;

	if (strcmp(l->v[0], "no") == 0) {
		c->notice.delay = 0;
		return 0;
	}
	if (set_time(l, 0, 60, CONF_LIFETIME_MAX, &c->notice.delay, NULL) == 0)
		return 0;
	return fail(f, FAIL_INPUT, "%s: expected a time of 1m to %s, such as 30m or 4h, or no, not \"%.64s\"", l->key,
	    text_period(most, CONF_LIFETIME_MAX), l->v[0]);
}

int
conf_set_bounce_size(void *ctx, const struct table_line *l, struct fail *f)
{
	long long n;

	if (text_size(l->v[0], 0, CONF_BOUNCE_SIZE_MAX, l->key, &n, f) == -1)
		return -1;
	((struct conf *)ctx)->bounce_size = n;
	return 0;
}

int
conf_set_double_bounce_to(void *ctx, const struct table_line *l, struct fail *f)
{
	struct conf *c = ctx;
	char *path = xasprintf("<%s>", l->v[0]);
	struct mailbox m;
	size_t used;
	int rc = mailbox_parse(&m, path, strlen(path), 0, &used, f);

	if (rc == 0 && path[used] != '\0')
		rc = fail(f, FAIL_INPUT, "octets behind the address");
	free(path);
	if (rc == -1) {
		fail_prefix(f, "%s", l->key);
		return -1;
	}
	c->double_bounce_to = xstrdup(l->v[0]);
	return 0;
}

void
conf_notice_print(const struct conf *c, struct buf *b)
{
	char span[5][TEXT_PERIOD_MAX];

	buf_printf(b, "tried again after %s, then at most every %s, for %s, and mail from <> for %s\n",
	    text_period(span[0], c->retry), text_period(span[1], c->retry_max),
	    text_period(span[2], c->notice.lifetime),
	    text_period(span[3], c->notice.bounce_lifetime < c->notice.lifetime ? c->notice.bounce_lifetime :
	    c->notice.lifetime));
	if (c->notice.delay > 0 && c->notice.delay < c->notice.lifetime)
		buf_printf(b, "senders are told after %s that a message waits\n",
		    text_period(span[4], c->notice.delay));
	else
		buf_puts(b, "senders are not told that a message waits\n");
	if (c->bounce_size != CONF_BOUNCE_SIZE)
		buf_printf(b, "reports of failures have messages of at most %lld octets with them\n",
		    (long long)c->bounce_size);
	if (c->double_bounce_to != NULL)
		buf_printf(b, "what cannot be told to a sender is told to %s\n", c->double_bounce_to);
}
