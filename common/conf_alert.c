#include "conf_alert.h"

#include <stdlib.h>
#include <string.h>

#include "alert.h"
#include "alloc.h"
#include "mailbox.h"
#include "table.h"

void
conf_alert_init(struct conf_alert *c)
{
	*c = (struct conf_alert){ .interval = ALERT_INTERVAL_DEFAULT, .before = CONF_ALERT_BEFORE };
}

void
conf_alert_clear(struct conf_alert *c)
{
	while (c->n > 0)
		free(c->to[--c->n]);
	free(c->to);
	free(c->hook);
	free(c->user);
}

/* Alerts are printable ASCII, so that any host takes them: their recipients' addresses are too. */
static int
add_address(struct conf_alert *c, const char *word, struct fail *f)
{
	char *path = xasprintf("<%s>", word);
	struct buf address = BUF_INIT;
	struct mailbox m;
	size_t used, i;
	int rc = mailbox_parse(&m, path, strlen(path), 0, &used, f);

	if (rc == 0 && path[used] != '\0')
		rc = fail(f, FAIL_INPUT, "expected user@domain, not \"%.200s\"", word);
	free(path);
	if (rc == -1)
		return fail_prefix(f, "alert");
	mailbox_print(&address, &m);
	for (i = 0; i < c->n && !text_case_eq(c->to[i], address.p); i++)
		;
	if (i < c->n)
		rc = fail(f, FAIL_INPUT, "alert: %.200s is named twice", word);
	else if (c->n == CONF_ALERT_MAX)
		rc = fail(f, FAIL_INPUT, "alert: more than %d addresses", CONF_ALERT_MAX);
	else {
		c->to = xreallocarray(c->to, c->n + 1, sizeof *c->to);
		c->to[c->n++] = buf_steal(&address);
	}
	buf_clear(&address);
	return rc;
}

int
conf_alert_to(struct conf_alert *c, const struct table_line *l, struct fail *f)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (add_address(c, l->v[i], f) == -1)
			return -1;
	return 0;
}

int
conf_alert_hook(struct conf_alert *c, const struct table_line *l, struct fail *f)
{
	if (l->v[0][0] != '/')
		return fail(f, FAIL_INPUT, "alert-hook: expected an absolute path, not \"%.200s\"", l->v[0]);
	free(c->hook);
	c->hook = xstrdup(l->v[0]);
	return 0;
}

int
conf_alert_user(struct conf_alert *c, const struct table_line *l, struct fail *f)
{
	(void)f;
	free(c->user);
	c->user = xstrdup(l->v[0]);
	return 0;
}

int
conf_alert_interval(struct conf_alert *c, const struct table_line *l, struct fail *f)
{
	long long n;

	if (text_duration(l->v[0], l->key, &n, f) == -1)
		return -1;
	if (n < ALERT_INTERVAL_MIN || n > ALERT_INTERVAL_MAX)
		return fail(f, FAIL_INPUT, "alert-interval: expected 10s to 7d");
	c->interval = n;
	return 0;
}

int
conf_alert_before(struct conf_alert *c, const struct table_line *l, struct fail *f)
{
	long long n;

	if (text_duration(l->v[0], l->key, &n, f) == -1)
		return -1;
	if (n > 365 * 86400)
		return fail(f, FAIL_INPUT, "alert-before: expected 0 to 365d");
	c->before = n;
	return 0;
}

void
conf_alert_print(const struct conf_alert *c, struct buf *b)
{
	char interval[TEXT_PERIOD_MAX], before[TEXT_PERIOD_MAX];
	size_t i;

	if (c->n == 0 && c->hook == NULL)
		return;
	buf_puts(b, "alerts");
	for (i = 0; i < c->n; i++)
		buf_printf(b, "%s %s", i == 0 ? " to" : ",", c->to[i]);
	if (c->hook != NULL) {
		buf_printf(b, "%s by ", c->n > 0 ? "," : "");
		buf_escape(b, c->hook, strlen(c->hook));
	}
	if (c->hook != NULL && c->user != NULL)
		buf_printf(b, " as %s", c->user);
	buf_printf(b, ", within %s not again, of identities %s before their end\n", text_period(interval, c->interval),
	    text_period(before, c->before));
}
