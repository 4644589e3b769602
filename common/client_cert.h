/*
 * client_cert - a client's certificate held against what a listener, or a line of its host table, asks of it.
 */
#ifndef MTATLS_CLIENT_CERT_H
#define MTATLS_CLIENT_CERT_H

#include <stdint.h>

#include "conf.h"
#include "fail.h"
#include "tls.h"
#include "trust.h"

enum client_verdict {
	CLIENT_NOT_ASKED,	/* conf_client_cert no */
	CLIENT_NONE,		/* the client has shown none */
	CLIENT_GOOD,
	CLIENT_BAD
};

/* Strings on the heap, NULL where there is nothing to say; client_cert_clear() frees. */
struct client_cert {
	enum client_verdict verdict;
	char *name;		/* that was listed, else the subject; escaped */
	char *fingerprint;	/* SHA-256 in hexadecimal */
	char *why;		/* of BAD: "unknown-ca: ..." */
};

/*
 * Judges what the handshake has brought.  Trust may be NULL: then a listed fingerprint alone is good.  *out is
 * set anew.
 */
void client_cert_judge(const struct conf_client *, const struct tls_info *, const struct trust *, int64_t now,
    struct client_cert *out);
void client_cert_clear(struct client_cert *);

/* Whether mail may be taken: of REQUIRED, GOOD alone. */
int client_cert_suffices(const struct conf_client *, const struct client_cert *);

/* "none", "verified mta.example", "not verified unknown-ca": for log and Received; on the heap, NULL: not asked. */
char *client_cert_text(const struct client_cert *);

#endif
