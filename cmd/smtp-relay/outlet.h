/*
 * outlet - the outs: which gets an order, their journals, and what they say of it; from processes that face peers.
 */
#ifndef RELAY_OUTLET_H
#define RELAY_OUTLET_H

#include "dispatch-inner.h"

struct outlet {
	struct outlet *next;
	struct dispatch *d;
	unsigned number;
	struct channel *channel;	/* NULL: gone */
	int retired;			/* gets no more orders */
	size_t load;
	char journal[SPOOL_ID_SIZE];	/* its name; "": there is none */
	char before[SPOOL_ID_SIZE];	/* the one that it has still to leave; "": none */
	size_t journaled;		/* octets, more or less, of journal's results that were taken */
};

/*
 * Whoever is free; but what goes to one host goes to one out, which can use its connections again, and so has no more of them
 * than the host has places.  NULL: there is none, or none takes one more.
 */
struct outlet *outlet_for(struct dispatch *, const char *host);
struct outlet *outlet_least_loaded(struct dispatch *);

#endif
