#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "alloc.h"
#include "log.h"

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct progress *p = arg;

	(void)fd;
	(void)what;
	p->ticks++;
	fprintf(stderr, "\r%s: %zu of %zu done, %u s\033[K", log_prog(), *p->done, p->all, p->ticks);
	fflush(stderr);
	p->shown = 1;
}

void
progress_begin(struct progress *p, struct event_base *base, const size_t *done, size_t all)
{
	struct timeval second = { 1, 0 };

	if (!isatty(STDERR_FILENO))
		return;
	p->done = done;
	p->all = all;
	if ((p->tick = event_new(base, -1, EV_PERSIST, on_tick, p)) == NULL || event_add(p->tick, &second) == -1)
		alloc_failed();
}

void
progress_hide(struct progress *p)
{
	if (!p->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = 0;
}

void
progress_end(struct progress *p)
{
	progress_hide(p);
	if (p->tick != NULL)
		event_free(p->tick);
	p->tick = NULL;
}
