/*
 * setup - what a configuration names, loaded and bound: identities, lists of CAs, sockets.  The master has one; at
 * SIGHUP a second is made beside it, and takes its place, or nothing is changed.
 */
#ifndef RELAY_SETUP_H
#define RELAY_SETUP_H

#include "conf.h"
#include "credentials.h"
#include "fail.h"
#include "in.h"
#include "out.h"
#include "recipients.h"
#include "tls_server.h"
#include "trust.h"

#define SETUP_DEMO "_demo"			/* the identity of listeners that name none */
#define SETUP_ROWS (2 * CONF_LISTEN_MAX)	/* of counts of sessions: those of two setups at once */

struct setup {
	const struct conf *conf;
	struct conf *owned;			/* the same, where it goes with the setup; else NULL */
	const struct tls_secrets *secrets;	/* of tickets; borrowed */
	struct in_listener *listener;
	size_t nlisteners;
	struct trust *trust;			/* NULL: could not be read, and nothing needs it */
	struct recipients *recipients;		/* NULL: none are listed */
	struct credentials *credentials;	/* NULL: no route has any */
	struct out_identity *identity;		/* that out may show */
	size_t nidentities;
};

/*
 * Borrows the configuration, unless it becomes s->owned.  Of the setup before (NULL: none) sockets are taken over
 * where the address is the same; both have them then.  NULL: FAIL_INPUT, FAIL_SYS, and nothing is left behind.
 */
struct setup *setup_open(const struct conf *, const struct tls_secrets *, const struct setup *before, struct fail *);

/*
 * The last step of taking it, where there was one before: sockets that were taken over get mode, group and backlog that
 * their lines say now.  -1: FAIL_INPUT, FAIL_SYS, and none of them has changed.
 */
int setup_settle(const struct setup *, const struct setup *before, struct fail *);

/* Sockets of the file system are removed, but for those that the other setup (NULL: none) has too. */
void setup_close(struct setup *, const struct setup *other);
void setup_close_sockets(struct setup *, const struct setup *other);

/* For a process that is to have none of the listeners' keys, none of those that out shows, no passwords. */
void setup_forget_keys(struct setup *);
void setup_forget_identities(struct setup *);
void setup_forget_credentials(struct setup *);

/* Does a demonstration certificate in use near its end?  Those in use are made, or read, anew. */
int setup_demo_ends(const struct setup *);
int setup_renew_demo(struct setup *, struct fail *);

/* For -n: reports each fault; how many.  Nothing is made or bound; a path that is "" is passed over. */
size_t setup_check(const struct conf *, void (*report)(const struct fail *));

#endif
