/*
 * reach - one connection to one address, through STARTTLS of whatever protocol, up to the first answer
 * inside TLS; for what a server does with a certain offer.  Judges nothing.
 *
 *	reach_start -> (connect, STARTTLS, handshake, an answer inside TLS) -> done
 *
 * The client asks for TLS in any case: without it there is nothing to look at.
 */
#ifndef TLSCHECK_REACH_H
#define TLSCHECK_REACH_H

#include <stdint.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "facts.h"
#include "identity.h"
#include "policy.h"
#include "smtp_client.h"
#include "starttls.h"
#include "tls.h"

#define REACH_LISTEN_MS 1000 /* STARTTLS_NONE: for what the server says of itself behind the handshake */

/* What all connections of a run have in common; borrowed. */
struct reach_conf {
	struct event_base *base;
	SSL_CTX *tls;		/* of reach_ctx() */
	enum starttls_proto proto;
	const char *ehlo;
	int timeout_ms;		/* for connecting, each reply and the handshake */
	const struct identity *client;	/* presented where the server asks for a certificate; or NULL */
};

/* What this one offers; borrowed until done(). */
struct reach_offer {
	const char *sigalgs;	/* as SSL_set1_sigalgs_list(3) has them; NULL: all */
	const char *groups;	/* as SSL_set1_groups_list(3); NULL: OpenSSL's choice */
	int version;		/* the only one, TLS1_VERSION ...; 0: 1.0 up */
	SSL_SESSION *session;	/* to be resumed; or NULL */
};

enum reach_client {
	REACH_CLIENT_NOT_ASKED,	/* the server asked for no certificate */
	REACH_CLIENT_NONE,	/* it asked, and there was none to present */
	REACH_CLIENT_SENT	/* it asked and got the identity's; whether it goes on tells seen */
};

/* The fields are for reading, once done() was called. */
struct reach {
	struct reach_conf conf;
	struct reach_offer offer;
	const char *sni;
	void (*done)(struct reach *, void *);
	void *arg;
	struct io *io;
	struct event *later;
	struct smtp_client smtp;
	struct starttls starttls;
	int running, told, connected;

	enum seen_end end;	/* SEEN_READY: all the way */
	int up;			/* the handshake succeeded, however it went on */
	char *text;		/* where it is not SEEN_READY: in words */
	struct tls_info tls;
	enum reach_client client;
	int client_cas;		/* names of CAs that it would like */
	SSL_SESSION *session;	/* given by the server for later; or NULL */
};

/* For reaches: as tls_client_ctx(), and sessions are handed on.  FAIL_SYS. */
SSL_CTX *reach_ctx(struct fail *);

/* Whether OpenSSL knows what is offered; without, the server cannot be asked. */
int reach_can_offer(SSL_CTX *, const struct reach_offer *);

/* The struct is the caller's.  done() comes once, from the loop; sni may be NULL. */
void reach_start(struct reach *, const struct reach_conf *, const struct reach_offer *,
    const struct facts_addr *, uint16_t port, const char *sni, void (*done)(struct reach *, void *),
    void *arg);

/* At any time but within done(); an empty struct is allowed. */
void reach_clear(struct reach *);

#endif
