/*
 * smtp_client - the client's side of an SMTP or LMTP session, as a state machine without a socket.
 *
 * The caller hands in what the server sent and does what the machine wants next:
 *
 *	SMTP_WANT_INPUT	 send what stands in c->out (buf_drop what was sent), read, feed
 *	SMTP_WANT_TLS	 out is empty: shake hands, then smtp_client_tls_done() or _tls_failed()
 *	SMTP_WANT_ORDER	 greeting, EHLO and TLS are done as configured: smtp_client_send(), _quit()
 *	SMTP_WANT_BODY	 as INPUT, and the message: smtp_client_body() in pieces, _body_end()
 *	SMTP_WANT_RESULT the order's recipients are settled in c->txn.rcpt; then as ORDER
 *	SMTP_WANT_CLOSE	 send what stands in c->out (perhaps QUIT) without waiting for its answer,
 *			 close; c->end says how it came to this.  If an order was under way, its
 *			 recipients are settled as with RESULT
 *
 * Banner, EHLO (HELO where that is refused with 5xx), STARTTLS, EHLO again (RFC 3207 4.2: what was
 * said before TLS is forgotten); or TLS first (RFC 8314 3.3), where implicit_tls is set.  AUTH is said where the
 * caller has looked at whom the certificate shows, and asks for it with smtp_client_auth().  One command at a time up to ORDER.  Bytes that nobody asked for
 * end the session; behind the 220 to STARTTLS they are an injection (RFC 3207 4.2, CVE-2011-0411)
 * and the connection must be dropped without another word.
 *
 * What stands in c->out counts as not sent: an answer to it has not been asked for, and a message
 * whose final dot is among it cannot have been taken.
 *
 * Nothing that a server sends is trusted to be text; print replies with smtp_reply_print().
 */
#ifndef MTATLS_SMTP_CLIENT_H
#define MTATLS_SMTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "smtp.h"
#include "smtp_params.h"
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
	int implicit_tls;	/* TLS comes before the banner; use_tls means nothing then */
	size_t chunking;	/* octets of a chunk at least, where CHUNKING is offered (RFC 3030); 0: DATA always */
};

enum smtp_want {
	SMTP_WANT_INPUT,
	SMTP_WANT_TLS,
	SMTP_WANT_ORDER,
	SMTP_WANT_BODY,
	SMTP_WANT_RESULT,
	SMTP_WANT_CLOSE
};

/* What the machine waits for; with PIPELINING, the first of the answers. */
enum smtp_stage {
	SMTP_STAGE_BANNER,
	SMTP_STAGE_EHLO,
	SMTP_STAGE_HELO,
	SMTP_STAGE_STARTTLS,	/* the answer to STARTTLS */
	SMTP_STAGE_HANDSHAKE,	/* the caller's: nothing may be fed */
	SMTP_STAGE_EHLO_TLS,
	SMTP_STAGE_AUTH,	/* an answer to AUTH, or to what followed it */
	SMTP_STAGE_ORDER,	/* the caller's: an order, or the end */
	SMTP_STAGE_RSET,	/* before MAIL, where the last transaction was broken off */
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA,
	SMTP_STAGE_BODY,	/* the caller's: the message; answers to its chunks may come */
	SMTP_STAGE_DOT,		/* the answer to the message; LMTP: to each recipient */
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
	SMTP_END_AUTH,			/* AUTH is not offered as is needed, or was refused */
	SMTP_END_PROTOCOL,		/* not SMTP, or an answer that no rule allows there */
	SMTP_END_EOF,			/* closed by the peer: c->stage_at_end */
	SMTP_END_LOST			/* smtp_client_lost(): reset, refused, timed out */
};
#define SMTP_ENDS (SMTP_END_LOST + 1)

#define SMTP_CHUNK_SIZE 65536	/* a good one */
#define SMTP_PIPELINE_MAX 128	/* commands without an answer; the rest follow as answers come */

/* An order.  All of it is the caller's and stays until RESULT or CLOSE. */
struct smtp_transaction {
	const char *from;		/* without <>; "": the null sender */
	const char *const *rcpt;	/* without <>; one at least */
	size_t nrcpts;
	uint64_t size;			/* of the message, before dot-stuffing; 0: not known */
	int has8bit;			/* octets above 127 in it */
	/* What the sender asked for with MAIL (size and body8bit are those above), and with each RCPT. */
	struct smtp_mail_params params;
	const struct smtp_rcpt_params *rcpt_params;	/* nrcpts of them; NULL: none asked */
};

enum smtp_rcpt_state {
	SMTP_RCPT_OPEN,		/* before RESULT or CLOSE only */
	SMTP_RCPT_ACCEPTED,	/* the peer answers for it now */
	SMTP_RCPT_TEMP,		/* not taken; later may be better */
	SMTP_RCPT_PERM,		/* not taken, and will not be */
	SMTP_RCPT_UNKNOWN	/* the answer to the final dot was lost: a retry may duplicate */
};
#define SMTP_RCPT_STATES (SMTP_RCPT_UNKNOWN + 1)

/* What became of a recipient, and the answer that decided it. */
struct smtp_rcpt {
	enum smtp_rcpt_state state;
	enum smtp_stage stage;		/* at which it was decided; ORDER: here, unsaid */
	int code;			/* 0: no answer decided it */
	struct smtp_status status;	/* once settled never of class 0, but "X.0.0" */
	char *text;			/* "550 5.1.1 unknown", or our words; printable */
	int rcpt_code;			/* the answer to RCPT; 0: none came */
	int sent;			/* RCPT was sent: the machine's own */
};

/*
 * The order under way, or the last one: its results stay until the next smtp_client_send() or
 * smtp_client_clear().
 */
struct smtp_txn {
	struct smtp_transaction order;
	struct smtp_rcpt *rcpt;		/* as in the order, in its sequence; NULL: no order yet */
	struct smtp_reply mail;		/* code 0 in each: not received */
	struct smtp_reply data;
	struct smtp_reply dot;		/* LMTP: the last recipient's */

	int dsn;			/* the server was told what the sender asked for (RFC 3461 5.1) */

	/* The machine's own. */
	int under_way;
	enum smtp_stage to_send;	/* the next command: MAIL, RCPT, DATA; BODY: none is left */
	size_t next;			/* recipient whose RCPT is to be sent */
	size_t answer;			/* recipient whose answer comes next */
	size_t taken;			/* 2xx to RCPT */
	int chunking;			/* it goes by BDAT */
	struct buf chunk;		/* of the message, not said yet */
	unsigned chunks_due;		/* answers to chunks but the last one */
	int chunk_failed;
	int cr;				/* the message so far ends in a CR, which was held back */
	int in_line;			/* it ends inside a line */
};

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
	struct smtp_txn txn;
	int authenticated;
	struct smtp_auth {		/* the machine's own: of smtp_client_auth() */
		const char *user, *password;
		int step;
	} auth;
	int no_chunking;		/* offered, but BDAT is not known there */
	int broken_off;			/* the next order begins with RSET */
	unsigned awaited;		/* answers to what was said, in c->out or sent */
	int early;			/* the reply under way began before anything was asked */
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

/*
 * After ORDER, before the first order: AUTH with PLAIN (RFC 4616), or LOGIN where that is all there is.  Leads to ORDER
 * again, or to CLOSE with SMTP_END_AUTH, c->fail being FAIL_TEMP: a wrong password is ours to mend.  Without TLS nothing
 * is said but that it ends so.  Both strings are borrowed until then; whom they may be sent to is the caller's to know.
 */
enum smtp_want smtp_client_auth(struct smtp_client *, const char *user, const char *password);

/*
 * After ORDER or RESULT: MAIL with SIZE and BODY=8BITMIME where they are offered, RCPT, DATA; in
 * groups where PIPELINING is (RFC 2920).  Decided here, without a word to the server (RESULT may
 * come at once): an address that RFC 5321 does not know (PERM 5.1.7, 5.1.3; 5.6.7 where it is not
 * ASCII); a message larger than the server's SIZE (PERM 5.3.4); has8bit without 8BITMIME (PERM
 * 5.6.3: RFC 6152 3 leaves conversion and refusal; Postfix converts, which breaks signatures).
 * A sender who said SMTPUTF8 and used it (an address or the message is not ASCII) needs it of the
 * server (PERM 5.6.7; RFC 6531 3.2), and one who said REQUIRETLS needs that, inside TLS (PERM 5.7.30;
 * RFC 8689 4.2.1).  What was asked for with DSN goes on where DSN is offered: txn.dsn says whether.
 * 552 to RCPT is TEMP, as 452 is (RFC 5321 4.5.3.1.10).
 *
 * Where CHUNKING is offered (and conf.chunking set) the message goes in chunks, by BDAT, and DATA is never said: what is
 * settled by a refused chunk stays so, and nothing of the message is said any more.  Several chunks are under way
 * where PIPELINING is offered too, one in LMTP.  A server that offers CHUNKING and does not know BDAT (500 to 504) is TEMP.
 *
 * 421 and the loss of the connection lead to CLOSE: recipients without a refusal are TEMP, or
 * UNKNOWN where all of the final dot had left c->out and no answer came.
 */
enum smtp_want smtp_client_send(struct smtp_client *, const struct smtp_transaction *);

/*
 * After SMTP_WANT_BODY: appends a piece to c->out, dot-stuffed, however it was split; the caller
 * holds back while c->out is full.  Only CRLF goes out as line end: a CR or LF alone becomes one,
 * so that no server sees another end of the message than we do.  _end adds a missing line end and
 * the dot.  By BDAT no dot is stuffed or added.  A caller that cannot go on reading its message calls smtp_client_lost(): nobody may
 * take half of it.
 */
enum smtp_want smtp_client_body(struct smtp_client *, const char *, size_t n);
enum smtp_want smtp_client_body_end(struct smtp_client *);

/* The connection is gone: closed by the peer, or lost for a reason that the caller knows. */
enum smtp_want smtp_client_eof(struct smtp_client *);
enum smtp_want smtp_client_lost(struct smtp_client *, const struct fail *);

/* Says QUIT where that is allowed now. */
enum smtp_want smtp_client_quit(struct smtp_client *);

/* The capabilities that hold now: those inside TLS once that is up. */
const struct smtp_caps *smtp_client_caps0(const struct smtp_client *);

const char *smtp_stage_name(enum smtp_stage);	/* "banner", "EHLO": for "closed at ..." */
const char *smtp_rcpt_state_name(enum smtp_rcpt_state);	/* "accepted", "temp", ... */
const char *smtp_end_name(enum smtp_end);	/* a stable word for logs and JSON: "banner-4xx" */

#endif
