/* Who is told what of a message that waits, by what was configured and what was asked (RFC 3461 4.1). */
#include "notice.h"

#include <string.h>

#include "alloc.h"
#include "dsn_advice.h"
#include "unit.h"

#define H 3600
#define D 86400

static const struct notice_conf usual = { .lifetime = 5 * D, .bounce_lifetime = 2 * D, .delay = 4 * H };
static const struct notice_conf never = { .lifetime = 5 * D, .bounce_lifetime = 2 * D };
static const struct notice_conf brief = { .lifetime = 1 * D, .bounce_lifetime = 2 * D, .delay = 1 * D };

static struct spool_envelope
message(const char *from, const char *notify)
{
	struct spool_envelope e = { .arrived = 1000000 };
	struct spool_rcpt *r;

	e.from = xstrdup(from);
	r = spool_envelope_add_rcpt(&e, "u@a.example");
	r->state = SPOOL_RCPT_DEFERRED;
	if (notify != NULL)
		spool_words_add(&r->options, notify);
	return e;
}

static const struct row {
	const char *from, *notify;
	const struct notice_conf *conf;
	int64_t age;
	int failure, delay;	/* are told of the recipient, ever */
	int due;		/* now */
	int64_t next;
} rows[] = {
	{ "a@b", NULL, &usual, 0, 1, 1, 0, 4 * H },
	{ "a@b", NULL, &usual, 4 * H - 1, 1, 1, 0, 4 * H },
	{ "a@b", NULL, &usual, 4 * H, 1, 1, 1, 5 * D },
	{ "a@b", NULL, &usual, 5 * D - 1, 1, 1, 1, 5 * D },
	{ "a@b", NULL, &usual, 5 * D, 1, 1, 0, 5 * D },
	{ "a@b", NULL, &never, 4 * H, 1, 1, 0, 5 * D },
	{ "a@b", NULL, &brief, 4 * H, 1, 1, 0, 1 * D },
	{ "a@b", NULL, &brief, 1 * D, 1, 1, 0, 1 * D },
	{ "a@b", "NOTIFY=DELAY", &usual, 4 * H, 0, 1, 1, 5 * D },
	{ "a@b", "NOTIFY=SUCCESS,DELAY", &usual, 3 * H, 0, 1, 0, 4 * H },
	{ "a@b", "NOTIFY=SUCCESS", &usual, 4 * H, 0, 0, 0, 5 * D },
	{ "a@b", "NOTIFY=FAILURE", &usual, 4 * H, 1, 0, 0, 5 * D },
	{ "a@b", "NOTIFY=NEVER", &usual, 3 * H, 0, 0, 0, 5 * D },
	{ "a@b", "NOTIFY=FAILURE,DELAY", &usual, 4 * H, 1, 1, 1, 5 * D },
	{ "a@b", "ORCPT=rfc822;x@y", &usual, 4 * H, 1, 1, 1, 5 * D },
	{ "a@b", "NONSENSE", &usual, 4 * H, 1, 1, 1, 5 * D },
	{ "", NULL, &usual, 4 * H, 1, 1, 0, 2 * D },
	{ "", "NOTIFY=DELAY", &usual, 4 * H, 0, 1, 0, 2 * D },
	{ "", NULL, &brief, 4 * H, 1, 1, 0, 1 * D },
};

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];
		struct spool_envelope e = message(r->from, r->notify);
		const char *asked = r->notify != NULL ? r->notify : "nothing";

		unit_int(notice_wants_failure(&e.rcpt[0]), r->failure, "%s: failure", asked);
		unit_int(notice_wants_delay(&e.rcpt[0]), r->delay, "%s: delay", asked);
		unit_int(notice_delay_is_due(r->conf, &e, e.arrived + r->age), r->due, "<%s> %s at %lld s: due", r->from, asked,
		    (long long)r->age);
		unit_int(notice_next(r->conf, &e, r->age), r->next, "<%s> %s at %lld s: next", r->from, asked, (long long)r->age);
		spool_envelope_clear(&e);
	}
}

/* Once for all: who was told is not told again, nor are others whose message it is too. */
static void
test_once(void)
{
	struct spool_envelope e = message("a@b", "NOTIFY=NEVER");
	struct spool_rcpt *r = spool_envelope_add_rcpt(&e, "v@a.example");

	unit_int(notice_delay_is_due(&usual, &e, e.arrived + 4 * H), 1, "one of two wants to hear of it");
	r->state = SPOOL_RCPT_DELIVERED;
	unit_int(notice_delay_is_due(&usual, &e, e.arrived + 4 * H), 0, "but has its message");
	r->state = SPOOL_RCPT_WAITING;
	r->told_late = 1;
	unit_int(notice_delay_is_due(&usual, &e, e.arrived + 4 * H), 0, "told");
	unit_int(notice_next(&usual, &e, 3 * H), 5 * D, "no try for it");
	spool_envelope_clear(&e);
}

static void
test_advice(void)
{
	static const struct {
		const char *status, *begins;
	} says[] = {
		{ "5.1.1", "There is no mailbox" }, { "4.1.1", "There is no mailbox" }, { "5.1.10", "What stands behind the @ takes no" },
		{ "5.1.99", "The address was refused" }, { "5.2.2", "The mailbox is full" }, { "5.7.30", "You asked" },
		{ "5.7.3", "The recipient's mail system refused" }, { "5.7.1", "The recipient's mail system refused" },
		{ "4.4.7", "It was tried" }, { "4.7.5", "The connection" }, { "5.0.0", "The reason is below" }, { "x", "The reason is below" },
		{ NULL, "The reason is below" },
	};
	size_t i;

	for (i = 0; i < sizeof says / sizeof says[0]; i++)
		unit_ok(strncmp(dsn_advice(says[i].status), says[i].begins, strlen(says[i].begins)) == 0, "advice for %s",
		    says[i].status != NULL ? says[i].status : "none");
}

static void
test_advice_tls(void)
{
	static const char *const others[] = { NULL, "", "x", "4.4.7", "4.7.0", "4.7.50", "5.7.30", "4.4.1" };
	size_t i;

	unit_str(dsn_advice_tls("4.7.5", 1), "The receiving host did not show who it is, or encryption with it failed, so the "
	    "mail is kept back. You need do nothing.", "late, not shown");
	unit_str(dsn_advice_tls("4.7.4", 1), "The receiving host offers no encryption, without which no mail goes there from "
	    "here, so the mail is kept back. You need do nothing.", "late, not offered");
	unit_ok(strstr(dsn_advice_tls("4.7.5", 0), "was kept back until its time was over") != NULL, "over, not shown");
	unit_ok(strstr(dsn_advice_tls("4.7.4", 0), "was kept back until its time was over") != NULL, "over, not offered");
	for (i = 0; i < sizeof others / sizeof others[0]; i++)
		unit_ok(dsn_advice_tls(others[i], 1) == NULL && dsn_advice_tls(others[i], 0) == NULL, "another reason: %s",
		    others[i] != NULL ? others[i] : "none");
}

int
main(void)
{
	test_rows();
	test_once();
	test_advice();
	test_advice_tls();
	unit_int(notice_standard.lifetime, 5 * D, "five days");
	return unit_done();
}
