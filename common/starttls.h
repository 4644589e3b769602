/*
 * starttls - how a client asks for TLS in the protocols beside SMTP, as state machines without a socket.
 *
 *	IMAP	greeting, CAPABILITY, STARTTLS, TLS, CAPABILITY		RFC 9051 6.2.1 (RFC 3501 likewise)
 *	POP3	greeting, CAPA, STLS, TLS, CAPA				RFC 2595 4
 *	LDAP	StartTLS extended request, TLS, search of the root DSE	RFC 4511 4.14
 *	sieve	capabilities, STARTTLS, TLS, capabilities		RFC 5804 2.2
 *
 * The caller hands in what the server sent and does what the machine wants next:
 *
 *	STARTTLS_WANT_INPUT	send what stands in s->out (buf_drop what was sent), read, feed
 *	STARTTLS_WANT_TLS	shake hands, then starttls_tls_done()
 *	STARTTLS_WANT_READY	TLS is up and the server has answered inside it
 *	STARTTLS_WANT_CLOSE	send what stands in s->out, close; s->end and s->fail say why
 *
 * The table of protocols has SMTP, LMTP (both of smtp_client) and "none", TLS from the first octet, too.
 * Octets behind the go-ahead that the caller has already are an injection (the attack of CVE-2011-0411,
 * and NO STARTTLS of 2021): the connection is to be dropped.  An answer is at most STARTTLS_OCTETS_MAX
 * long.  Nothing that a server sends is trusted to be text; the texts here are escaped.
 */
#ifndef MTATLS_STARTTLS_H
#define MTATLS_STARTTLS_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define STARTTLS_OCTETS_MAX 65536 /* that a server may send in answer to one command */
#define STARTTLS_PRINT_MAX 400	  /* octets of an answer that the texts show */

enum starttls_proto {
	STARTTLS_SMTP,
	STARTTLS_LMTP,
	STARTTLS_IMAP,
	STARTTLS_POP3,
	STARTTLS_LDAP,
	STARTTLS_SIEVE,
	STARTTLS_NONE
};
#define STARTTLS_PROTOS (STARTTLS_NONE + 1)

/* FAIL_INPUT lists the words. */
int starttls_parse(const char *, enum starttls_proto *, struct fail *);
const char *starttls_name(enum starttls_proto);	   /* the word: "imap" */
const char *starttls_service(enum starttls_proto); /* "IMAP"; "TLS" for none */
const char *starttls_clause(enum starttls_proto);  /* of STARTTLS: "RFC 9051 6.2.1" */
uint16_t starttls_port(enum starttls_proto);	   /* 143; 443 for none */

enum starttls_want {
	STARTTLS_WANT_INPUT,
	STARTTLS_WANT_TLS,
	STARTTLS_WANT_READY,
	STARTTLS_WANT_CLOSE
};

enum starttls_end {
	STARTTLS_END_NONE,
	STARTTLS_END_TEMP,	  /* the server says that it is not now: BYE, a notice of disconnection */
	STARTTLS_END_DENIED,	  /* it refuses the session for good */
	STARTTLS_END_NOT_OFFERED,
	STARTTLS_END_REFUSED,	  /* offered, or asked for, and answered with an error */
	STARTTLS_END_INJECTION,
	STARTTLS_END_PROTOCOL,	  /* not this protocol, or more than the limit */
	STARTTLS_END_LOST	  /* starttls_lost() */
};

enum starttls_stage {
	STARTTLS_STAGE_GREETING,
	STARTTLS_STAGE_CAPS,
	STARTTLS_STAGE_ANSWER,	/* to STARTTLS */
	STARTTLS_STAGE_HANDSHAKE,
	STARTTLS_STAGE_CONFIRM,	/* the first answer inside TLS */
	STARTTLS_STAGE_READY,
	STARTTLS_STAGE_DONE
};

/* The struct is the caller's; starttls_clear() frees what it holds.  The fields are for reading. */
struct starttls {
	enum starttls_proto proto;
	enum starttls_stage stage;
	enum starttls_want want;
	enum starttls_end end;
	struct fail fail;	/* FAIL_NONE until the end */
	char *greeting;		/* escaped; NULL: none came */
	char *answer;		/* to STARTTLS: likewise */
	struct buf out;

	/* The machine's own. */
	int offered;
	int listed;		/* POP3: the answer has more lines, up to the dot */
	struct buf in;
	size_t scanned;		/* octets of in without the end of a line */
	size_t octets;		/* since the last command */
};

/* A protocol of SMTP's kind, or none, is our bug: abort(). */
void starttls_init(struct starttls *, enum starttls_proto);
void starttls_clear(struct starttls *);

/* Once the connection is there: LDAP's client speaks first. */
enum starttls_want starttls_begin(struct starttls *);

/* Takes all n octets.  After READY and CLOSE they are ignored. */
enum starttls_want starttls_feed(struct starttls *, const char *, size_t n);
enum starttls_want starttls_tls_done(struct starttls *);

/* The connection is gone, or the handshake failed. */
enum starttls_want starttls_lost(struct starttls *, const struct fail *);

/* Says goodbye into s->out, where that is polite now. */
void starttls_quit(struct starttls *);

#endif
