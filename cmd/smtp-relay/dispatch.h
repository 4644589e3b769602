/*
 * dispatch - the delivering half of the queue: which message is due, what is the plan for its domains,
 * which out gets it, and what becomes of it then: tried again, bounced, removed.
 *
 *	sched_next -> spool_read -> a part for each domain -> route -> out -> results -> finish:
 *	nothing left: unlink; something failed: bounce, then unlink; something waits: a new due time
 */
#ifndef RELAY_DISPATCH_H
#define RELAY_DISPATCH_H

#include "alerting.h"
#include "conf.h"
#include "control.h"
#include "credentials.h"
#include "journal.h"
#include "role.h"
#include "spool.h"

#define DISPATCH_OUT_MAX 2000	/* messages under way at once */
#define DISPATCH_RCPTS_MAX CONTROLS_RECIPIENTS_MAX	/* recipients in one order */
#define DISPATCH_PARTS_MAX 50	/* orders of one message at once */
#define DISPATCH_FDS_KEPT 40	/* descriptors of a role that are not for messages */
#define DISPATCH_FDS_EACH 3	/* for a message under way: in out file, connection, and one that waits */
#define DISPATCH_HEADER_MAX 32768	/* octets of a message that are looked through for TLS-Required */
#define DISPATCH_SLEEP_S 30	/* a destination, or a host, that is down is left alone so long */
#define DISPATCH_WARM_MAX 256	/* messages that stay open between their commit and their first try */
#define DISPATCH_WARM_S 5	/* and so long at most */
#define DISPATCH_WRITE_MS 1000	/* a result is in memory alone so long at most, the disk allowing */
#define DISPATCH_STUCK_S 5	/* results that the disk would not take are written again */
#define DISPATCH_SOON_S 10	/* after a fault of our own */
#define DISPATCH_RENEWED_S 60	/* until a new configuration is everybody's */

struct disk;
struct dispatch;
struct reports;
struct signer;

struct dispatch_conf {
	const struct conf *conf;
	const char *name;		/* of the role, for the log */
	struct event_base *base;
	struct spool *spool;
	struct disk *disk;
	const struct journal_key *key;	/* of journal_replay() */
	struct alerting *alerting;	/* hears what came of hosts; borrowed */
	struct reports *reports;
	struct signer *signer;
	/*
	 * Takes a finished file of new/ into the queue's next commit; committed is called with whether it
	 * is safe.
	 */
	void (*submit)(void *arg, const char *id, void (*committed)(void *, int ok), void *committed_arg);
	void *arg;
};

struct dispatch *dispatch_new(const struct dispatch_conf *);

/* A message in queue/: at the start, and after its commit.  -1: a message of that ID is there already. */
int dispatch_add(struct dispatch *, const struct spool_name *);
/* The same behind a commit; what of it was read is used where its turn comes soon. */
int dispatch_add_new(struct dispatch *, struct spool_item *);
/* Is there one of that ID, waiting or under way? */
int dispatch_has(const struct dispatch *, const char *id);

/*
 * Somebody wants it held, tried now, or deleted (CONTROL_RELEASE is the caller's affair).  LATER: it is being
 * delivered, and gets there when that ends; a message that is done by then is done.
 */
enum control_answer dispatch_change(struct dispatch *, enum control_verb, const char *id, struct fail *);

/* Takes a wish back that it be held, or deleted, when what is being delivered of it is over; 0: there was none. */
int dispatch_unwish(struct dispatch *, const char *id);

/* Messages that wait for a domain alone or are under way there. */
void dispatch_queued(const struct dispatch *, const char *domain, struct alerting_queued *);

/* A new configuration, for what is decided from now on; the one before must stay until then.  Borrowed. */
void dispatch_take_conf(struct dispatch *, const struct conf *);

/* The passwords of next hops, likewise; NULL: none. */
void dispatch_take_credentials(struct dispatch *, const struct credentials *);

/*
 * The sockets to roles that the master introduces.  A second route takes the first one's place: what that one owes is
 * asked anew, and no plan of it is used any more.
 */
void dispatch_route(struct dispatch *, int fd);
void dispatch_out(struct dispatch *, int fd, unsigned number);

/* A record for route, with a descriptor (-1: none).  -1: there is no route now. */
int dispatch_ask_route(struct dispatch *, const char *, size_t, int fd);

/* The outs have ended: what they told last is taken.  Nothing new is started. */
void dispatch_stop(struct dispatch *);

#endif
