/*
 * smtp_client - the client's side of an SMTP or LMTP session, as a state machine without a socket.
 *
 * The caller hands in what the server sent and does what the machine wants next:
 *
 *	SMTP_WANT_INPUT	send what stands in c->out (buf_drop what was sent), read, feed
 *	SMTP_WANT_TLS	out is empty: shake hands, then smtp_client_tls_done() or _tls_failed()
 *	SMTP_WANT_ORDER	greeting, EHLO and TLS are done as configured: smtp_client_quit()
 *	SMTP_WANT_CLOSE	send what stands in c->out (perhaps QUIT) without waiting for its answer,
 *			close; c->end says how it came to this
 *
 * Banner, EHLO (HELO where that is refused with 5xx), STARTTLS, EHLO again (RFC 3207 4.2: what was
 * said before TLS is forgotten).  One command at a time: bytes behind a reply are bytes that nobody
 * asked for and end the session; behind the 220 to STARTTLS they are an injection (RFC 3207 6,
 * CVE-2011-0411) and the connection must be dropped without another word.
 *
 * Nothing that a server sends is trusted to be text; print replies with smtp_reply_print().
 */
#ifndef MTATLS_SMTP_CLIENT_H
#define MTATLS_SMTP_CLIENT_H

#include <stddef.h>

#include "fail.h"
#include "smtp.h"
#include "text.h"

enum smtp_use_tls {
	SMTP_TLS_NEVER,		/* STARTTLS is not sent */
	SMTP_TLS_IF_OFFERED,	/* a refusal leaves the session usable in clear: starttls_refused */
	SMTP_TLS_REQUIRED	/* no ESMTP, no offer, a refusal: each ends the session */
};

struct smtp_client_conf {
	const char *ehlo;	/* our name (RFC 5321 4.1.1.1), or [address]; outlives the client */
	enum smtp_use_tls use_tls;
	int lmtp;		/* LHLO, no HELO behind it (RFC 2033) */
};

enum smtp_want { SMTP_WANT_INPUT, SMTP_WANT_TLS, SMTP_WANT_ORDER, SMTP_WANT_CLOSE };

/* What the machine waits for.  A transaction's stages will stand between ORDER and DONE. */
enum smtp_stage {
	SMTP_STAGE_BANNER,
	SMTP_STAGE_EHLO,
	SMTP_STAGE_HELO,
	SMTP_STAGE_STARTTLS,	/* the answer to STARTTLS */
	SMTP_STAGE_HANDSHAKE,	/* the caller's: nothing may be fed */
	SMTP_STAGE_EHLO_TLS,
	SMTP_STAGE_ORDER,
	SMTP_STAGE_DONE
};
#define SMTP_STAGES (SMTP_STAGE_DONE + 1)

/* How a session ended.  c->fail has it in words; its kind is TEMP where later may be better. */
enum smtp_end {
	SMTP_END_NONE,			/* under way, or ended by smtp_client_quit() */
	SMTP_END_BANNER_TEMP,		/* banner 4xx other than 421 */
	SMTP_END_BANNER_PERM,		/* banner 5xx */
	SMTP_END_421,			/* 421 at any stage (RFC 5321 3.8): c->stage_at_end */
	SMTP_END_NO_ESMTP,		/* TLS is required and EHLO is not known to the peer */
	SMTP_END_EHLO_REFUSED,		/* 4xx to EHLO, or HELO refused too, or EHLO inside TLS */
	SMTP_END_NO_STARTTLS,		/* TLS is required and not offered */
	SMTP_END_STARTTLS_REFUSED,	/* TLS is required and STARTTLS got an error */
	SMTP_END_INJECTION,		/* clear text behind the 220 to STARTTLS */
	SMTP_END_HANDSHAKE,		/* smtp_client_tls_failed() */
	SMTP_END_PROTOCOL,		/* not SMTP, or an answer that no rule allows there */
	SMTP_END_EOF,			/* closed by the peer: c->stage_at_end */
	SMTP_END_LOST			/* smtp_client_lost(): reset, refused, timed out */
};
#define SMTP_ENDS (SMTP_END_LOST + 1)

struct smtp_client {
	struct smtp_client_conf conf;
	enum smtp_stage stage, stage_at_end;
	enum smtp_want want;
	enum smtp_end end;
	struct fail fail;		/* FAIL_NONE until the end */
	int esmtp;			/* EHLO was accepted */
	int tls;			/* TLS is up */
	int starttls_sent;
	int starttls_refused;		/* the answer in c->starttls was an error */
	struct smtp_reply banner;	/* code 0 in each: not received */
	struct smtp_reply ehlo;		/* in clear text; HELO's where EHLO was refused */
	struct smtp_reply starttls;
	struct smtp_reply ehlo_tls;
	struct smtp_reply last;
	struct smtp_caps caps;		/* in clear text */
	struct smtp_caps caps_tls;	/* inside TLS */
	struct buf out;
	struct smtp_parser parser;
};

/* The struct is the caller's; smtp_client_clear() frees what it holds. */
void smtp_client_init(struct smtp_client *, const struct smtp_client_conf *);
void smtp_client_clear(struct smtp_client *);

/* Takes all n bytes.  After SMTP_WANT_CLOSE more bytes are ignored. */
enum smtp_want smtp_client_feed(struct smtp_client *, const char *, size_t n);

/* After SMTP_WANT_TLS. */
enum smtp_want smtp_client_tls_done(struct smtp_client *);
enum smtp_want smtp_client_tls_failed(struct smtp_client *, const struct fail *);

/* The connection is gone: closed by the peer, or lost for a reason that the caller knows. */
enum smtp_want smtp_client_eof(struct smtp_client *);
enum smtp_want smtp_client_lost(struct smtp_client *, const struct fail *);

/* Says QUIT where that is allowed now. */
enum smtp_want smtp_client_quit(struct smtp_client *);

/* The capabilities that hold now: those inside TLS once that is up. */
const struct smtp_caps *smtp_client_caps0(const struct smtp_client *);

const char *smtp_stage_name(enum smtp_stage);	/* "banner", "EHLO": for "closed at ..." */
const char *smtp_end_name(enum smtp_end);	/* a stable word for logs and JSON: "banner-4xx" */

#endif
