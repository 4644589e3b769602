/*
 * progress - "tlscheck: 3 of 10 done" on a terminal's last line, from a second after the beginning.  Where
 * stderr is no terminal nothing is written.
 */
#ifndef TLSCHECK_PROGRESS_H
#define TLSCHECK_PROGRESS_H

#include <stddef.h>

#include <event2/event.h>

struct progress {
	struct event *tick;	/* NULL: no terminal, or over */
	const size_t *done;	/* borrowed */
	size_t all;
	unsigned ticks;
	int shown;
};

/* All zero is a progress that does nothing. */
void progress_begin(struct progress *, struct event_base *, const size_t *done, size_t all);
void progress_hide(struct progress *);	/* before something else is printed */
void progress_end(struct progress *);	/* lets the loop end; more than once does no harm */

#endif
