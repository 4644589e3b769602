/*
 * clients - what each client address does at a listener, counted in memory that all workers share.
 *
 * A client is an IPv4 address, or the /64 of an IPv6 one: a host has so many addresses that it is told from others
 * by its network alone.  The table has a fixed number of places, found by a keyed hash, so that nobody
 * can choose addresses that meet there.  A place whose client has no session and has spent nothing goes to the next
 * who needs one; where all that a client could have are in use by sessions, it is not counted, and the
 * listener's own limit is what stands.
 *
 * No locks: a worker may be killed at any instruction.  Two that take one place at once may miscount one session
 * for as long as it lasts.  Sessions are counted for each worker, so that those of a dead one can be forgotten.
 *
 * Rates are kept as one time each (GCRA: ITU-T I.371): "60/1m" is 60 at once, or one each second.
 */
#ifndef MTATLS_CLIENTS_H
#define MTATLS_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"

#define CLIENTS_WAYS 8		/* places that a client may have */
#define CLIENTS_MIN 4096	/* places at least */

enum clients_rate { CLIENTS_CONNECTIONS, CLIENTS_MESSAGES, CLIENTS_RECIPIENTS };
#define CLIENTS_RATES (CLIENTS_RECIPIENTS + 1)

struct clients;

/* A client's place; all zero: none. */
struct clients_place {
	uint64_t key;
	size_t slot;
};

/* Before the fork: room for that many clients at once, and workers numbered from 0.  NULL: FAIL_SYS. */
struct clients *clients_new(size_t room, size_t workers, struct fail *);
void clients_free(struct clients *);

/* A session begins, and ends.  What the listener is called goes into the key.  0: it is not counted. */
int clients_enter(struct clients *, size_t worker, const char *listener, int family, const void *addr,
    int64_t now_us, struct clients_place *);
void clients_leave(struct clients *, size_t worker, struct clients_place *);

/* Sessions of the client, this one among them. */
unsigned clients_sessions(const struct clients *, const struct clients_place *);

/* May it do that once more, at n in so many seconds?  If so it is counted. */
int clients_spend(struct clients *, const struct clients_place *, enum clients_rate, uint64_t n,
    uint32_t seconds, int64_t now_us);

/* A worker is dead: its sessions are no more. */
void clients_forget(struct clients *, size_t worker);

#endif
