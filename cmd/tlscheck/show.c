#include "show.h"

#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "file.h"

void
show_init(struct show *s, const struct show_conf *conf)
{
	memset(s, 0, sizeof *s);
	s->conf = *conf;
	s->monitor.conf = &s->conf.monitor;
	s->status = TOOL_YES;
	if (conf->save != NULL)
		evidence_begin(&s->kept);
}

static enum tool_exit
status_of(enum verdict_word word)
{
	switch (word) {
	case VERDICT_AUTH:
	case VERDICT_ENC:
	case VERDICT_CLEAR:
		return TOOL_YES;
	case VERDICT_SKIP:
	case VERDICT_NOMAIL:
		return TOOL_NO;
	case VERDICT_INCONCLUSIVE:
		break;
	}
	return TOOL_UNSURE;
}

/* Beside the verdict what -w and --expect ask for. */
static enum tool_exit
status_with_demands(const struct show *s, const struct judged *j)
{
	enum tool_exit status = status_of(j->verdict.word);
	int64_t end;

	if (s->conf.expects && j->verdict.word != VERDICT_INCONCLUSIVE)
		status = monitor_meets(j->verdict.word, s->conf.monitor.expect) ? TOOL_YES : TOOL_NO;
	if (s->conf.monitor.warn_days >= 0 && advice_first_end(j, &end) &&
	    end - j->now < (int64_t)s->conf.monitor.warn_days * 86400)
		status = tool_worse(status, TOOL_NO);
	return status;
}

static void
print(struct show *s, const struct judged *j)
{
	struct advice advice;
	struct levels levels = { .v = NULL };
	struct report report = { .judged = j, .advice = &advice };
	struct fail f = FAIL_INIT;

	advice_make(j, s->conf.monitor.warn_days, &advice);
	if (s->conf.levels) {
		levels_judge(j->evidence, &j->plan.policy, &s->conf.judge, &levels);
		report.levels = &levels;
	}
	if (!s->conf.out.json)
		out_text(&report, &s->conf.out);
	else if (out_json(&report, &f) == -1)
		show_failed(s, &f);
	fflush(stdout);
	levels_clear(&levels);
	advice_clear(&advice);
}

void
show(struct show *s, const struct judged *j)
{
	s->status = tool_worse(s->status, status_with_demands(s, j));
	if (s->conf.save != NULL)
		evidence_put(&s->kept, j->evidence);
	if (s->conf.plugin)
		monitor_add(&s->monitor, j);
	else
		print(s, j);
}

void
show_failed(struct show *s, const struct fail *f)
{
	s->status = tool_worse(s->status, tool_failed(f));
}

int
show_finish(struct show *s)
{
	struct fail f = FAIL_INIT;

	if (s->conf.save != NULL &&
	    file_write_or_stdout(s->conf.save, 0644, FILE_REPLACE, s->kept.p, s->kept.len, &f) == -1)
		show_failed(s, &f);
	buf_clear(&s->kept);
	if (s->conf.judge.cas->failed)
		s->status = tool_worse(s->status, TOOL_CANNOT);
	if (!s->conf.plugin)
		return tool_finish(s->status);
	if (s->status == TOOL_CANNOT)
		s->monitor.state = monitor_worse(s->monitor.state, MONITOR_UNKNOWN);
	return monitor_finish(&s->monitor);
}
