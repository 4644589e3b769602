/*
 * in - the role that faces clients: many sessions on one event loop, messages into spool/new.
 *
 * It may create files in new/ and ask the queue to commit them, and nothing else: no other file is
 * in its root directory, it holds no other right.
 */
#ifndef RELAY_IN_H
#define RELAY_IN_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "channel.h"
#include "conf.h"
#include "role.h"
#include "space.h"
#include "spool.h"

/*
 * For a whole command line, from when we began to wait for it (RFC 5321 4.5.3.2.7: at least 5 minutes); within
 * a message for each IN_DATA_MIN octets, and for the end.  Less is no progress: an octet a minute would hold a
 * session, of which there are few, for years.  A mailer sends no pieces smaller than a segment of TCP, and is
 * to have 3 minutes for each (4.5.3.2.5), which no line is too slow for.
 */
#define IN_COMMAND_S 300
#define IN_DATA_S 180
#define IN_DATA_MIN 1024
#define IN_HANDSHAKE_S 60
#define IN_STOP_S 10		/* sessions get so long to come to a command boundary, then are cut */

/* A listening socket and what belongs to it; made by the master. */
struct in_listener {
	int fd;
	const struct conf_listen *conf;
	SSL_CTX *tls;		/* NULL: none */
};

struct in_start {
	struct role_start role;
	unsigned number;	/* of the worker: goes into queue IDs */
	const struct conf *conf;
	const struct in_listener *listener;
	size_t nlisteners;
	int queue;		/* socket to the queue; the worker's now */
	int newfd;		/* descriptor of spool/new */
	/*
	 * Sessions open, in memory that all workers share, the retired too: open[listener * nworkers +
	 * worker], each counting its own.  One that a peer took over can only turn clients away with it.
	 */
	atomic_uint *open;
	size_t worker, nworkers;
	atomic_uint *low;	/* shared likewise: space.h */
};

void in_main(const struct in_start *) __attribute__((noreturn));

/* ---- between in.c and session.c ---- */

struct session;

struct in {
	struct role role;
	const struct in_start *start;
	struct channel *queue;
	struct channel *auth;		/* NULL: there is none now */
	struct spool_ids ids;
	struct space space;
	struct smtp_server_conf *server;	/* for each listener */
	struct session **slot;			/* by the number that the queue answers with */
	size_t nslots, nsessions;
	uint64_t sessions_seen;
	int stopping, retired;
};

/* A connection that was accepted; the socket is the session's. */
void session_start(struct in *, size_t listener, int fd, int family, const void *addr, uint16_t port);

/* The queue's answer for the session's message. */
void session_committed(struct session *, const char *id, int code, const char *status, const char *text);

/* auth's answer: "yes", "no", "busy"; NULL: it is gone. */
void session_checked(struct session *, const char *word);

/* We go: the session ends at its next command. */
void session_shutdown(struct session *);

#endif
