/*
 * received - the trace field that a server puts before a message (RFC 5321 4.4).
 *
 * Whatever a client said, the field stays one field: odd octets become a "?".  Nothing is owned, but
 * what received_tls() returns.
 */
#ifndef MTATLS_RECEIVED_H
#define MTATLS_RECEIVED_H

#include <stdint.h>

#include "text.h"

struct received_tls {		/* strings NULL where not known */
	const char *protocol;	/* "TLSv1.3" */
	const char *cipher;	/* IANA's name: TLS_AES_256_GCM_SHA384 (RFC 8314 4.3) */
	int bits;		/* of the cipher's secret; 0: not known */
	const char *group;	/* of the key exchange: "X25519" */
	const char *client;	/* the client certificate's verdict in a few words */
};

struct received {
	const char *hello;		/* EHLO's argument; "": none */
	const char *client_name;	/* NULL: not known */
	const char *client_address;	/* NULL: none */
	const char *by;			/* our name */
	const char *protocol;		/* of received_protocol() */
	const char *id;
	const char *tls;		/* of received_tls(); NULL: clear text */
	int64_t time;			/* seconds since 1970 */
};

/* "TLS_AES_256_GCM_SHA384 (TLSv1.3, 256 bits, X25519)", harmless; the caller frees. */
char *received_tls(const struct received_tls *);

#define RECEIVED_ESMTP	0x1
#define RECEIVED_TLS	0x2
#define RECEIVED_AUTH	0x4
#define RECEIVED_UTF8	0x8

/* "SMTP", "ESMTPS", "ESMTPSA", "UTF8SMTPS", ...: the word behind "with" (RFC 3848, RFC 6531 4.3). */
const char *received_protocol(unsigned how);

/* Appends the field with its line ends, folded. */
void received_put(struct buf *, const struct received *);

#endif
