#include "cut.h"

#include <stdio.h>

#include "log.h"

size_t
cut_sessions(const struct conf *conf)
{
	size_t i, n = 0;

	for (i = 0; i < conf->nlisten; i++)
		n += conf->listen[i].concurrency;
	return n;
}

void
cut_watch(struct channel *c, const struct conf *conf)
{
	channel_cut_beyond(c, CUT_AT + CUT_AT_SESSION * cut_sessions(conf));
}

void
cut_ask(const char *role_name, const char *kind, unsigned number, const char *why)
{
	struct log_line l;
	char text[32];
	int n;

	log_event(&l, LOG_LEVEL_ERROR, role_name, "worker-cut");
	log_key_num(&l, kind, number);
	log_key(&l, "reason", why);
	log_send(&l);
	n = snprintf(text, sizeof text, "cut %s %u", kind, number);
	role_tell_master(text, (size_t)n);
}

void
cut_gone(const char *role_name, unsigned worker, const struct fail *f)
{
	if (f->kind == FAIL_POLICY)
		cut_ask(role_name, "worker", worker, f->text);
}
