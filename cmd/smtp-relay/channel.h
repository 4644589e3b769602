/*
 * channel - one end of a socket between roles on a libevent loop: records in, records out.
 */
#ifndef RELAY_CHANNEL_H
#define RELAY_CHANNEL_H

#include "order.h"

struct event_base;
struct channel;

struct channel_handlers {
	/* One record; o->fd is the callee's.  The channel may not be freed in here. */
	void (*record)(void *arg, struct order *o);
	/*
	 * The other end is gone, or talks nonsense, or, FAIL_POLICY, was cut.  The last call; here the channel may be
	 * freed.
	 */
	void (*gone)(void *arg, const struct fail *);
};

/* Takes the socket over.  The handlers are borrowed. */
struct channel *channel_new(struct event_base *, int fd, const struct channel_handlers *, void *arg);
void channel_free(struct channel *);

/*
 * From now on no record is read while so many wait to be sent: a peer who asks and does not read has to wait.  0: no
 * bound, as at first, which is for roles, who would wait for each other.
 */
void channel_bound(struct channel *, size_t);

/*
 * From now on the channel is cut where more than so many octets (what keeps them in memory included) would wait to be
 * sent: they are dropped at once, and gone() is called from the loop.  0: never, as at first.
 */
void channel_cut_beyond(struct channel *, size_t);

/* It is cut now, likewise, for that reason, which is static. */
void channel_cut(struct channel *, const char *why);

/* What waits to be sent is dropped, and gone() is called from the loop, behind what has come. */
void channel_shut(struct channel *);

/* Records, or several together, that wait to be sent; and that were. */
size_t channel_waiting(const struct channel *);
size_t channel_sent(const struct channel *);

/*
 * From now on records without a descriptor go together, at the end of this turn of the loop; the other end may do
 * so too.  Both must be roles: a datagram of several records is nonsense from anybody else.
 */
void channel_gather(struct channel *);

/*
 * Sends now, or as soon as there is room, in order.  fd is duplicated where it has to wait; -1: none.  Returns
 * -1 where that cannot be: then nothing is sent.  Without a descriptor it does not fail.
 */
int channel_send(struct channel *, const char *, size_t, int fd);

/*
 * For the end of a process, from within a callback too: waits up to so many milliseconds until nothing is left
 * to send; takes what has come already, which may end in gone() and the channel's end.
 */
void channel_flush(struct channel *, int ms);
void channel_drain(struct channel *);

#endif
