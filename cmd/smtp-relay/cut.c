#include "cut.h"

#include <stdio.h>

#include "log.h"

void
cut_watch(struct channel *c, const struct conf *conf)
{
	size_t i, most = CUT_AT;

	for (i = 0; i < conf->nlisten; i++)
		most += (size_t)CUT_AT_SESSION * conf->listen[i].concurrency;
	channel_cut_beyond(c, most);
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
