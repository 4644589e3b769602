/*
 * tell - what an out tells the queue of a session, for reports on TLS (RFC 8460).
 */
#ifndef RELAY_TELL_H
#define RELAY_TELL_H

#include "channel.h"
#include "contact.h"
#include "pack.h"

/*
 * Of a connection to an address of the host, whose contact has another copy of the plan, or an equal one; contact NULL: the
 * plan does not let the host be tried.  Nothing is told where the domain wants no reports, or it says nothing of TLS.
 */
void tell_session(struct channel *queue, const char *seq, const struct unpacked *, size_t host, size_t addr,
    const struct contact *);

#endif
