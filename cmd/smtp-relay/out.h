/*
 * out - the role that delivers: gets a message's descriptor and the full plan with each order, connects,
 * and tells what became of each recipient.  It resolves nothing and opens no file.
 */
#ifndef RELAY_OUT_H
#define RELAY_OUT_H

#include <openssl/ssl.h>

#include "conf.h"
#include "contact.h"
#include "role.h"
#include "trust.h"

#define OUT_IDLE_MS 2000	/* a connection waits so long for another message */
#define OUT_SOCKET_S 30		/* so long the master is waited for, which connects to a unix socket */
#define OUT_TRIES_MAX 20	/* addresses tried for an order, and */
#define OUT_TRIES_S 300		/* seconds */
#define OUT_TLSA_SHORT 22	/* octets of a TLSA record in the log: 3 1 1 and 16 digits */
#define OUT_PIECE 32768		/* octets of a message read at once */

/* A certificate that is shown to servers that ask for one, where a destination names it. */
struct out_identity {
	char *name;
	struct contact_identity id;
};

struct out_start {
	struct role_start role;
	const struct conf *conf;
	SSL_CTX *tls;		/* of tls_client_ctx(TLS_LAX), and TLS_STRICT */
	SSL_CTX *tls_strict;
	const struct trust *trust;	/* the enabled lists of CAs; NULL: they could not be read */
	const struct out_identity *identity;
	size_t nidentities;
	int queue;		/* socket to the queue; the role's now */
};

void out_main(const struct out_start *) __attribute__((noreturn));

#endif
