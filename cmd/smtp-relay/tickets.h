/*
 * tickets - TLS sessions of next hops that may be resumed (RFC 8446 2.2, 4.6.1; RFC 5077), in memory, under the key by
 * which connections are used again: address, port and all that the plan asks of the host, TLSA records included.
 * So a session is offered only where the same would be asked of a new one; and contact verifies the chain that
 * the session holds as it does any other, against the records and CAs of now.
 *
 * Each is handed out once (RFC 8446 C.4).  No clock: times are arguments.
 */
#ifndef RELAY_TICKETS_H
#define RELAY_TICKETS_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#define TICKETS_EACH 8		/* of one key: about as many connections are opened at once there */
#define TICKETS_MAX 1000	/* of all; the eldest go first */
#define TICKETS_S 3600		/* a session is offered so long at most behind the full handshake that it goes back to */

struct tickets;

struct tickets *tickets_new(void);
void tickets_free(struct tickets *);	/* NULL allowed */

/* Takes the session over.  shaken: when the peer last showed that the key of its certificate is its own. */
void tickets_put(struct tickets *, const char *key, SSL_SESSION *, int64_t shaken);
/* The newest, the caller's, and its time; NULL: none. */
SSL_SESSION *tickets_take(struct tickets *, const char *key, int64_t now, int64_t *shaken);
/* All of the key: what they hold does not verify any more. */
void tickets_forget(struct tickets *, const char *key);
size_t tickets_count(const struct tickets *);

#endif
