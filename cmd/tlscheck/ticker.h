/*
 * ticker - "tlscheck: 3 of 10 done, 5 s" on a terminal's last line, from a second after the beginning.  Where
 * stderr is no terminal nothing is written.
 *
 * A timer of the event loop, so that the loop's threads and sockets see no signal; common/progress is for what
 * blocks, and works by SIGALRM.
 */
#ifndef TLSCHECK_TICKER_H
#define TLSCHECK_TICKER_H

#include <stddef.h>

#include <event2/event.h>

struct ticker {
	struct event *tick;	/* NULL: no terminal, or over */
	const size_t *done;	/* borrowed */
	size_t all;
	unsigned ticks;
	int shown;
};

/* All zero is a ticker that does nothing. */
void ticker_begin(struct ticker *, struct event_base *, const size_t *done, size_t all);
void ticker_hide(struct ticker *);	/* before something else is printed */
void ticker_end(struct ticker *);	/* lets the loop end; more than once does no harm */

#endif
