#include "monitor.h"

#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "advice.h"
#include "answer.h"
#include "text.h"

#define DAY 86400

int
monitor_meets(enum verdict_word word, enum verdict_word expected)
{
	if (judged_goes(expected))
		return word <= expected;	/* in the order of the enumeration */
	return word == expected;
}

enum monitor_state
monitor_worse(enum monitor_state a, enum monitor_state b)
{
	static const int rank[] = { [MONITOR_OK] = 0, [MONITOR_UNKNOWN] = 1, [MONITOR_WARNING] = 2,
		[MONITOR_CRITICAL] = 3 };

	return rank[a] >= rank[b] ? a : b;
}

static size_t
count(const struct judged *j, enum verdict_word word)
{
	size_t i, n = 0;

	for (i = 0; i < j->n; i++)
		n += j->v[i].verdict.word == word;
	return n;
}

/* Whole days that are left; an end that is past counts down from -1. */
static int64_t
days_until(int64_t end, int64_t now)
{
	int64_t left = end - now;

	return left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY);
}

static enum monitor_state
state_of_end(const struct judged *j, const struct monitor_conf *conf)
{
	int64_t end;

	if (!advice_first_end(j, &end))
		return MONITOR_OK;
	if (conf->critical_days >= 0 && end - j->now < (int64_t)conf->critical_days * DAY)
		return MONITOR_CRITICAL;
	if (conf->warn_days >= 0 && end - j->now < (int64_t)conf->warn_days * DAY)
		return MONITOR_WARNING;
	return MONITOR_OK;
}

enum monitor_state
monitor_of(const struct judged *j, const struct monitor_conf *conf)
{
	if (j->verdict.word == VERDICT_INCONCLUSIVE)
		return MONITOR_UNKNOWN;
	if (!monitor_meets(j->verdict.word, conf->expect))
		return MONITOR_CRITICAL;
	/* A host that takes no mail is a fault that the others hide until they are down. */
	if (judged_goes(j->verdict.word) && count(j, VERDICT_SKIP) + count(j, VERDICT_INCONCLUSIVE) > 0)
		return monitor_worse(MONITOR_WARNING, state_of_end(j, conf));
	return state_of_end(j, conf);
}

static void
add_threshold(struct buf *b, int days)
{
	buf_putc(b, ';');
	if (days >= 0)
		buf_printf(b, "%d:", days);	/* alert below it */
}

/* Labels carry the destination where there is more than one. */
static void
add_perf(struct monitor *m, const struct judged *j)
{
	static const enum verdict_word words[] = { VERDICT_AUTH, VERDICT_ENC, VERDICT_CLEAR, VERDICT_SKIP,
		VERDICT_INCONCLUSIVE };
	char name[16];
	int64_t end;
	size_t i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		snprintf(name, sizeof name, "%s", verdict_name(words[i]));
		text_lower(name);
		buf_printf(&m->perf, " '%s_%s'=%zu", j->evidence->destination, name, count(j, words[i]));
	}
	if (!advice_first_end(j, &end))
		return;
	buf_printf(&m->perf, " '%s_days'=%lld", j->evidence->destination, (long long)days_until(end, j->now));
	add_threshold(&m->perf, m->conf->warn_days);
	add_threshold(&m->perf, m->conf->critical_days);
}

/* A bar begins the figures, so there can be none in the words. */
static void
add_words(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		buf_putc(b, *s == '|' ? '/' : *s);
}

static void
add_end(struct monitor *m, const struct judged *j)
{
	int64_t end;

	if (state_of_end(j, m->conf) == MONITOR_OK || !advice_first_end(j, &end))
		return;
	if (end < j->now)
		buf_puts(&m->text, "; a certificate has ended");
	else
		buf_printf(&m->text, "; a certificate ends in %lld days", (long long)days_until(end, j->now));
}

void
monitor_add(struct monitor *m, const struct judged *j)
{
	char *text = answer(j);

	m->state = monitor_worse(m->state, monitor_of(j, m->conf));
	buf_printf(&m->text, "%s%s %s: ", m->n++ > 0 ? "; " : "", j->evidence->destination,
	    verdict_name(j->verdict.word));
	add_words(&m->text, text);
	add_end(m, j);
	add_perf(m, j);
	free(text);
}

enum monitor_state
monitor_finish(struct monitor *m)
{
	static const char *const names[] = { [MONITOR_OK] = "OK", [MONITOR_WARNING] = "WARNING",
		[MONITOR_CRITICAL] = "CRITICAL", [MONITOR_UNKNOWN] = "UNKNOWN" };

	printf("TLSCHECK %s - %s |%s\n", names[m->state], m->text.len > 0 ? m->text.p : "nothing was judged",
	    m->perf.len > 0 ? m->perf.p : "");
	buf_clear(&m->text);
	buf_clear(&m->perf);
	return m->state;
}
