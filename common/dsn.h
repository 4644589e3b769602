/*
 * dsn - the message that tells a sender what became of mail: a bounce, a delay notice, a receipt
 * (RFC 3464 in multipart/report, RFC 6522).
 *
 * Its three parts: plain words, the facts for programs, the original or its header.  Whatever text
 * comes in, the message that comes out is printable ASCII in lines of at most 998 octets (words are
 * wrapped at 78) that end in CRLF; octets that are none become \xHH, white space in a row one space.  Two
 * things only have octets above 127: the original, where all of it goes back and it has them, and, where
 * the sender's own address is not ASCII, so that he can read such (RFC 6533), addresses and the original's header.
 * The envelope sender of such a message is <>; one for a message from <> must not be made, but for double.
 *
 * Addresses that are not ASCII are told to others as \x{HEX} (RFC 6533 3), and in the words as UTF-8.
 *
 * Nothing is owned.  Strings are NULL where absent; times are seconds since 1970, 0: unknown.
 */
#ifndef MTATLS_DSN_H
#define MTATLS_DSN_H

#include <stddef.h>
#include <stdint.h>

#include "text.h"

#define DSN_HEADER_MAX (32 * 1024)	/* octets of the original's header; the rest is cut */
#define DSN_TEXT_MAX 2048		/* octets taken of any other text */
#define DSN_LINE 78			/* where words are wrapped (RFC 5322 2.1.1) */

enum dsn_action {	/* RFC 3464 2.3.3 */
	DSN_FAILED,
	DSN_DELAYED,
	DSN_DELIVERED,
	DSN_RELAYED	/* to a host that does not send receipts */
};

struct dsn_rcpt {
	const char *address;		/* without <> */
	const char *original;		/* ORCPT: "rfc822;bob@example.com", or "utf-8;" and its forms of RFC 6533 */
	enum dsn_action action;
	const char *status;		/* "5.1.1"; what is none, or not of the action, becomes 5.0.0 and the like */
	const char *remote;		/* the host that answered */
	const char *text;		/* its reply, "550 5.1.1 no such user", or our reason */
	const char *cause;		/* where the text is our own: the status that goes with it; else NULL */
	int replied;			/* the text is a reply of the remote host */
	int expired;			/* DSN_FAILED: it waited too long; the text is the last that was said */
	int64_t attempted;		/* the last time */
	int64_t retry_until;		/* DSN_DELAYED only */
};

struct dsn {
	const char *hostname;		/* ours; the message is from postmaster@ it */
	const char *to;			/* the original's sender, without <> */
	const char *message_id;		/* of the message made, with its <> */
	int64_t now;			/* its Date */
	/* The original. */
	const char *id;			/* queue ID */
	const char *envid;		/* ENVID of its MAIL command, decoded */
	const char *client;		/* who handed it in: name, address or both */
	int64_t arrived;
	const char *header;		/* its first octets; an empty line and what follows it is left out */
	size_t header_len;
	/*
	 * All of it goes back, where lines of at most 998 octets without CR, LF or NUL in them are all that there
	 * is, and the reader takes what octets above 127 its header has.
	 */
	int full;			/* header has the whole message */
	int double_bounce;		/* to is a postmaster, not the sender, which is <> */
	const struct dsn_rcpt *rcpt;	/* those to be told of */
	size_t nrcpts;
};

const char *dsn_action_name(enum dsn_action);

/* Appends the whole message.  The same input gives the same octets.  1: there are some above 127 among them. */
int dsn_build(struct buf *, const struct dsn *);

#endif
