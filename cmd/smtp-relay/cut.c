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
cut_gone(struct role *r, const char *role_name, unsigned worker, const struct fail *f)
{
	struct log_line l;
	char text[32];
	int n;

	if (f->kind != FAIL_POLICY)
		return;
	log_event(&l, LOG_LEVEL_ERROR, role_name, "worker-cut");
	log_key_num(&l, "worker", worker);
	log_key(&l, "reason", f->text);
	log_send(&l);
	n = snprintf(text, sizeof text, "cut %u", worker);
	channel_send(r->master, text, n, -1);
}
