/*
 * in - the role that faces clients: many sessions on one event loop, messages into spool/new.
 *
 * It may create files in new/ and ask the queue to commit them, and nothing else: no other file is
 * in its root directory, it holds no other right.
 */
#ifndef RELAY_IN_H
#define RELAY_IN_H

#include <sys/types.h>

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "arrive.h"
#include "channel.h"
#include "conf.h"
#include "guest.h"
#include "role.h"
#include "space.h"
#include "spool.h"
#include "tls_server.h"
#include "trust.h"

#define IN_NAME_S 5		/* the banner waits so long for the client's name */
#define IN_AUTH_S 60		/* a session waits so long for its password to be checked; then 454 */
#define IN_STOP_S 10		/* sessions get so long to come to a command boundary, then are cut */

/* A listening socket and what belongs to it; made by the master. */
struct in_listener {
	int fd;
	const struct conf_listen *conf;
	SSL_CTX *tls;		/* NULL: none */
	size_t row;		/* of its counts of sessions */
	/* Of a unix socket, else 0: its file (paths.h), and the group that it has where its line names none. */
	dev_t dev;
	ino_t inode;
	gid_t gid;
};

struct in_start {
	struct role_start role;
	unsigned number;	/* of the worker: goes into queue IDs */
	const struct conf *conf;
	const struct in_listener *listener;
	size_t nlisteners;
	int queue;		/* socket to the queue; the worker's now */
	int names;		/* likewise to route (names.h) */
	int newfd;		/* descriptor of spool/new */
	/*
	 * Sessions open, in memory that all workers share, the retired too: open[row * nworkers + worker] with
	 * the listener's row, each counting its own.  One that a peer took over can only turn clients away with it.
	 */
	atomic_uint *open;
	size_t worker, nworkers;
	const struct trust *trust;	/* for certificates of clients; NULL: could not be read */
	struct tls_secrets *secrets;	/* of tickets; newer ones come from the master */
	struct clients *clients;	/* shared likewise */
	const struct recipients *recipients;	/* NULL: not looked at */
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
	struct channel *names;			/* NULL: route is gone */
	struct spool_ids ids;
	struct space space;
	struct smtp_server_conf *server;	/* for each listener */
	struct guest_house *house;		/* likewise */
	struct session **slot;			/* by the number that the queue answers with */
	size_t nslots, nsessions;		/* sessions: with what waits for a balancer's header */
	unsigned *npending;			/* these alone, for each listener */
	uint64_t sessions_seen, questions;	/* these: put to auth */
	int stopping, retired;
};

/* A connection that was accepted; the socket is the session's. */
void session_start(struct in *, size_t listener, int fd, const struct arrival *);

/* Closes it without any farewell. */
void reset_connection(int fd);

/* The queue's answer for the session's message. */
void session_committed(struct session *, const char *id, int code, const char *status, const char *text);


/*
 * auth's answer to that question, which may be another session's by now (0: to whatever is asked): "yes", "no", "busy";
 * NULL: it is gone.
 */
void session_checked(struct session *, uint64_t question, const char *word);

/* route's answer for the client of the session with that serial, which may be another by now. */
void session_named(struct session *, uint64_t serial, enum names_state, const char *name);

/* We go: the session ends at its next command. */
void session_shutdown(struct session *);

#endif
