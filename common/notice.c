#include "notice.h"

#include <stdlib.h>
#include <string.h>

#include "smtp_params.h"

const struct notice_conf notice_standard = { .lifetime = NOTICE_LIFETIME,
	.bounce_lifetime = NOTICE_BOUNCE_LIFETIME, .delay = NOTICE_DELAY };

static int
is_from_nobody(const struct spool_envelope *e)
{
	return e->from == NULL || e->from[0] == '\0';
}

int64_t
notice_lifetime(const struct notice_conf *c, const struct spool_envelope *e)
{
	return is_from_nobody(e) && c->bounce_lifetime < c->lifetime ? c->bounce_lifetime : c->lifetime;
}

unsigned
notice_asked(const struct spool_rcpt *r)
{
	struct smtp_params_fault fault;
	struct smtp_rcpt_params p;
	char *text;
	int rc;

	if (r->options.n == 0)
		return 0;
	text = spool_words_text(&r->options);
	rc = smtp_rcpt_params_parse(&p, text, ~0U, 1, &fault);
	free(text);
	return rc == 0 ? p.notify : 0;
}

/* RFC 3461 4.1: where NOTIFY is absent failures are told, and delays as the MTA likes; else what it names. */
static int
wants(const struct spool_rcpt *r, unsigned what)
{
	unsigned asked = notice_asked(r);

	return asked == 0 || (asked & what);
}

int
notice_wants_failure(const struct spool_rcpt *r)
{
	return wants(r, SMTP_NOTIFY_FAILURE);
}

int
notice_wants_delay(const struct spool_rcpt *r)
{
	return wants(r, SMTP_NOTIFY_DELAY);
}

static int
is_open(const struct spool_rcpt *r)
{
	return r->state == SPOOL_RCPT_WAITING || r->state == SPOOL_RCPT_DEFERRED;
}

/* Of those that wait somebody may be told, and nobody was: it is told once for all of them. */
static int
delay_is_to_come(const struct notice_conf *c, const struct spool_envelope *e)
{
	int wanted = 0;
	size_t i;

	if (c->delay == 0 || c->delay >= notice_lifetime(c, e) || is_from_nobody(e))
		return 0;
	for (i = 0; i < e->nrcpts; i++) {
		if (e->rcpt[i].told_late)
			return 0;
		wanted |= is_open(&e->rcpt[i]) && notice_wants_delay(&e->rcpt[i]);
	}
	return wanted;
}

int
notice_delay_is_due(const struct notice_conf *c, const struct spool_envelope *e, int64_t now)
{
	int64_t age = now - e->arrived;

	return age >= c->delay && age < notice_lifetime(c, e) && delay_is_to_come(c, e);
}

int64_t
notice_next(const struct notice_conf *c, const struct spool_envelope *e, int64_t age)
{
	return age < c->delay && delay_is_to_come(c, e) ? c->delay : notice_lifetime(c, e);
}
