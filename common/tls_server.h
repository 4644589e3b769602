/*
 * tls_server - what servers that share their clients have in common: session tickets, and which certificate
 * a client is shown.
 *
 * A ticket (RFC 5077, RFC 8446 4.6.1) is sealed with keys made of a secret and the listener's name: all
 * processes with the secret open it, but for that listener only.
 */
#ifndef MTATLS_TLS_SERVER_H
#define MTATLS_TLS_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "fail.h"

#define TLS_SECRET_SIZE 32	/* octets of a secret */
#define TLS_SECRETS_KEPT 2	/* the one that seals, and the one before, which opens */
#define TLS_TICKET_S 3600	/* for so long a ticket is good; secrets change no more often */

/* Secrets of one process; on the heap. */
struct tls_secrets;

struct tls_secrets *tls_secrets_new(void);
void tls_secrets_free(struct tls_secrets *);	/* overwrites them */

/* From now on it seals; the oldest is forgotten.  One that is known already changes nothing. */
void tls_secrets_add(struct tls_secrets *, const uint8_t secret[TLS_SECRET_SIZE]);

/* The one that seals, or before where age is 1; NULL: there is none. */
const uint8_t *tls_secrets_get0(const struct tls_secrets *, unsigned age);

/*
 * The context gives tickets and takes them, for a listener.  The secrets are borrowed; as long as there are none
 * no ticket is given.  FAIL_SYS.
 */
int tls_server_tickets(SSL_CTX *, const struct tls_secrets *, const char *listener, struct fail *);

/*
 * Clients of the first context are shown the certificate of the first one that has a dNSName for the name
 * they ask for (RFC 6066 3), and without one, or for a name that nobody has, that of the first: they are
 * never turned away, as an MX host does not know all names it is asked by (RFC 7672 8.1).  The others are
 * taken over by the first, which frees them with itself.
 */
void tls_server_names(SSL_CTX *first, SSL_CTX *const *others, size_t n);

/*
 * Before the handshake: the client is asked for its certificate, and comes without a ticket, which would have
 * no chain to judge.  Whatever it sends, or nothing, is taken.
 */
void tls_server_ask_client(SSL *);

#endif
