/*
 * contact - one connection to one address under a plan: the socket and its TLS (io), the grammar
 * (smtp_client), the chain (verify) and the judgement (policy) put together.
 *
 *	contact_start -> ended				no session, or the plan forbids mail through it
 *	contact_start -> ready -> contact_quit		a probe
 *	contact_start -> ready -> contact_send -> body ... -> result -> contact_send ... | contact_quit
 *
 * The probe and the relay share it, so that what one says is what the other does.  Callbacks come from
 * the loop.  ended() is the last.  contact_clear() may come at any time but within a callback.
 */
#ifndef MTATLS_CONTACT_H
#define MTATLS_CONTACT_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "facts.h"
#include "policy.h"
#include "proof.h"
#include "smtp_client.h"
#include "tls.h"
#include "verify.h"

#define CONTACT_OUT_HIGH 65536	/* octets waiting for the peer; more of a message is asked for below */

#define CONTACT_CONNECT_MS 60000	/* where timeout_ms is 0; replies: RFC 5321 4.5.3.2 */

struct contact;

struct contact_handlers {
	/* A session through which the plan lets mail go: verdict is AUTH, ENC or CLEAR. */
	void (*ready)(struct contact *, void *arg);
	/* More of the message is wanted: contact_body() or contact_body_end(), now or later. */
	void (*body)(struct contact *, void *arg);
	/* The order's recipients are settled in client.txn; the session goes on, or ended() follows. */
	void (*result)(struct contact *, void *arg);
	/* The connection is over; verdict says why where ready() did not come. */
	void (*ended)(struct contact *, void *arg);
};

/* Seconds; 0: CONTACT_CONNECT_MS, or as RFC 5321 4.5.3.2 has it. */
struct contact_times {
	unsigned connect, command;
	unsigned data;		/* for the peer to take what was written of a message */
	unsigned end;		/* for the answer to it */
};

/* Shown to a server that asks for a certificate. */
struct contact_identity {
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) *chain;	/* NULL: none */
};

struct contact_conf {
	struct event_base *base;
	SSL_CTX *tls;		/* of tls_client_ctx(TLS_LAX) */
	SSL_CTX *tls_strict;	/* TLS_STRICT: where a chain to a CA decides */
	const struct trust *trust;	/* for plans that want a chain to a CA; NULL: nothing is trusted */
	const char *ehlo;	/* outlives the contact */
	/*
	 * A session of the peer to be resumed, borrowed for contact_start(); NULL: none.  Its chain is verified all the same.
	 * The SSL's app data is tls_arg, for the contexts' callbacks.
	 */
	SSL_SESSION *session;
	void *tls_arg;
	int timeout_ms;		/* for connecting, each reply and the handshake; 0: as times has it */
	struct contact_times times;
	int chunking;		/* BDAT where it is offered */
};

/* All borrowed, for the contact's life. */
struct contact_target {
	const struct plan_host *host;	/* act is PLAN_TRY */
	const struct facts *facts;
	const struct facts_addr *addr;
	uint16_t port;
	const char *sni;		/* in place of the name that the plan asks for; or NULL */
	const struct facts_addr *source;	/* NULL: the system chooses */
	const struct contact_identity *identity;	/* NULL: none is shown */
	/* Said with AUTH where TLS shows the host to be the one that is meant, and nowhere else; NULL: no AUTH. */
	const char *user, *password;
};

/* The fields are for reading. */
struct contact {
	struct contact_conf conf;
	struct contact_target target;
	const struct contact_handlers *handlers;
	void *arg;
	struct io *io;			/* NULL: gone */
	struct smtp_client client;
	struct tls_info tls;
	struct proof proof;
	struct seen seen;
	char *seen_text;
	char local[INET6_ADDRSTRLEN];	/* our address there; "" before it is connected */
	char *fell_back;		/* why the handshake failed, where this is a second connection, in clear */
	struct verdict verdict;
	struct event *later;		/* what has to be told from the loop */
	struct event *more;		/* asks for more of a message, of which a chunk is kept back */
	int fd;				/* a connected socket that was handed in; -1: none */
	int connected;
	int judged;			/* verdict is set */
	int no_password;		/* CONTACT_TROUBLE_PASSWORD */
	int was_ready;
	int ended;
};

/* The struct is the caller's.  ended() may come at the next turn of the loop at the earliest. */
void contact_start(struct contact *, const struct contact_conf *, const struct contact_target *,
    const struct contact_handlers *, void *arg);

/* The same over a connected stream socket, which is the contact's then. */
void contact_start_on(struct contact *, const struct contact_conf *, const struct contact_target *,
    const struct contact_handlers *, void *arg, int fd);

/* Behind ready() or result(): one message; the order is borrowed until result() or ended(). */
void contact_send(struct contact *, const struct smtp_transaction *);
void contact_body(struct contact *, const char *, size_t);
void contact_body_end(struct contact *);

/* Says QUIT where that is allowed and lets the connection go, without waiting; no callback follows. */
void contact_quit(struct contact *);

/*
 * Seconds that one contact and one message over it last at most, with so many recipients, where the message is handed over in
 * so many pieces (contact_body()): a peer has its time for each step, and uses it up.
 */
#define CONTACT_STEPS 24	/* replies to other than RCPT, with a second connection behind a handshake that failed */
int64_t contact_longest(const struct contact_times *, size_t recipients, uint64_t pieces);

/* What the end of a session says to policy. */
enum seen_end contact_end_seen(const struct smtp_client *);

/* Why TLS that the plan requires is not to be had there; or its route's password is of no use, whatever the TLS. */
enum contact_trouble {
	CONTACT_TROUBLE_NONE,		/* it is, or is not required, or something else is wrong with the host */
	CONTACT_TROUBLE_NO_ESMTP,	/* EHLO is not known, so STARTTLS is not */
	CONTACT_TROUBLE_NO_STARTTLS,	/* EHLO is answered without STARTTLS */
	CONTACT_TROUBLE_STARTTLS_REFUSED,	/* STARTTLS is answered with an error */
	CONTACT_TROUBLE_HANDSHAKE,	/* the handshake failed, or could not begin */
	CONTACT_TROUBLE_VERIFICATION,	/* the certificate is not what the plan asks for */
	CONTACT_TROUBLE_PASSWORD	/* refused for good, or AUTH is not offered, or not said: the host's name came without DNSSEC */
};
#define CONTACT_TROUBLES (CONTACT_TROUBLE_PASSWORD + 1)

const char *contact_trouble_name(enum contact_trouble);	/* "none" "no-esmtp" ... "password" */
int contact_trouble_is_tls(enum contact_trouble);
int contact_trouble_find(const char *);			/* -1: there is none of that name */

/* Of a contact that has ended and was not ready. */
enum contact_trouble contact_trouble(const struct contact *);

/* Frees what the struct holds, whatever is under way. */
void contact_clear(struct contact *);

#endif
