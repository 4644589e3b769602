/*
 * outlet - the outs: which gets an order, their journals, and what they say of it; from processes that face peers.  One that
 * lives and does not do its work is killed at the queue's wish: it reads no records, answers nothing, or ends an order too late.
 */
#ifndef RELAY_OUTLET_H
#define RELAY_OUTLET_H

#include "dispatch-inner.h"
#include "patience.h"

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
	struct patience full;		/* since records wait in the channel, of which none went through */
	size_t sent;			/* so many had at the last look */
	struct patience asked;		/* since it was given a journal, to which it has to say a word */
	int64_t heard;			/* its last record: clock_passed() */
	int cut;			/* it is to die: gets no more orders */
};

#define OUTLET_READS_S 300	/* for one of the records that wait to go through, and for an answer */
#define OUTLET_SILENT_S 300	/* with orders, before it is asked whether it is there */
#define OUTLET_ORDER_S (4 * 3600)	/* for an order, beyond what its peer has by the destination's times (contact_longest()) */

/*
 * Whoever is free; but what goes to one host goes to one out, which can use its connections again, and so has no more of them
 * than the host has places.  NULL: there is none, or none takes one more.
 */
struct outlet *outlet_for(struct dispatch *, const char *host);
struct outlet *outlet_least_loaded(struct dispatch *);

/* From now on they are looked at, for as long as there are orders under way. */
void outlets_watch(struct dispatch *);

#endif
