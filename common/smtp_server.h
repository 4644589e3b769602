/*
 * smtp_server - the server's side of an SMTP session, as a state machine without a socket.
 *
 * The caller hands in what the client sent, and does what the machine wants:
 *
 *	MAIL	s->mail came: smtp_server_accept() or smtp_server_answer()
 *	RCPT	s->rcpt came: likewise
 *	BEGIN	DATA, or the first BDAT, came behind at least one accepted recipient: open a file,
 *		then accept, or answer 451, 452, ...
 *	BODY	write s->body: octets of the message with dot-stuffing undone, CRLF line ends kept;
 *		valid until the next call.  Any number of times, none for an empty message
 *	END	the message is complete: commit it, then answer(s, 250, "2.0.0", "queued as ID"), or
 *		451.  From here on the file is the caller's affair: no ABORT follows
 *	ABORT	what BEGIN opened is to be thrown away.  At most once for each BEGIN, answered or
 *		not, unless that was refused; never behind END
 *	REFUSED	s->refusal says which command was refused, with what: to be logged, nothing else.
 *		The caller's own refusals come by here too, so that all are logged in one place
 *	AUTH	s->sasl has user and password: smtp_server_accept(), or answer 535, 454; the password is
 *		overwritten with the answer
 *	TLS	send s->out, shake hands, then smtp_server_tls_done() or _tls_failed()
 *
 * Each of these is said once; these mean that there is nothing more to do for now:
 *
 *	INPUT	all bytes were taken: send what stands in s->out (buf_drop what was sent), read
 *	OUTPUT	s->out is full: send; the bytes not taken are fed again when it is out
 *	WAIT	an answer or the handshake is owed: send s->out; bytes not taken are fed again later
 *	CLOSE	send what stands in s->out without waiting for more, close; s->end says why
 *
 * Only smtp_server_feed() says them.  It takes bytes until it wants something and says in *used how
 * many; the rest is fed again, and so is nothing (n == 0), until one of the last four comes.  Whatever
 * else was called (an answer, eof, timeout, ...), feed is called again behind it:
 *
 *	do {
 *		want = smtp_server_feed(s, p, n, &used);
 *		p += used, n -= used;
 *	} while (act(s, want));
 *
 * An answer may come at once, or later from elsewhere.
 *
 * A client may not talk out of turn (RFC 2920 3.1): bytes behind EHLO, HELO, DATA, STARTTLS, NOOP,
 * VRFY, EXPN or HELP, or before the banner, are refused and end the session.  "Behind" is: in the
 * bytes fed together with that command, or fed before the answer was taken out of s->out, and for
 * DATA before BEGIN was answered.  Behind STARTTLS nothing is answered at all (RFC 3207 4.2,
 * CVE-2011-0411).  Without EHLO no command may have bytes behind it.
 *
 * Lines end in CRLF, and a message in <CRLF>.<CRLF>.  A CR or LF alone, and NUL, end the session,
 * wherever they stand; so two parties that see line ends differently never see two messages in one.
 * That holds for chunks (RFC 3030) too, since BINARYMIME is not offered; a chunk that is refused is read
 * and dropped, so that none of its octets is ever a command.
 *
 * What the client sent is escaped before it goes into replies, but not in s->refusal and s->fail: whoever
 * prints these escapes them, once.
 */
#ifndef MTATLS_SMTP_SERVER_H
#define MTATLS_SMTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "mailbox.h"
#include "smtp.h"
#include "smtp_data.h"
#include "smtp_params.h"
#include "smtp_sasl.h"
#include "text.h"

#define SMTP_SERVER_LINE_MAX 2048	/* octets in a command with its CRLF; RFC 5321 4.5.3.1.4 says
					 * 512, and each extension adds to it */
#define SMTP_SERVER_REPLY_MAX 512	/* octets in a reply line with its CRLF (4.5.3.1.5) */
#define SMTP_SERVER_CHUNK_MIN 512	/* octets of a chunk that is not the last: smaller ones are junk, as NOOP */
#define SMTP_SERVER_OUT_MAX 16384	/* octets of replies that may wait in s->out before OUTPUT */
#define SMTP_SERVER_BODY_MAX SMTP_DATA_RUN_MAX	/* octets in one BODY */
#define SMTP_SERVER_ARGUMENT_MAX 300	/* octets of a refused command's argument, with NUL */
#define SMTP_SERVER_HELLO_MAX 255	/* octets of the argument of EHLO */

struct smtp_server_limits {
	uint64_t size;			/* octets in a message, dot-stuffing undone (RFC 1870 5) */
	uint64_t swallow;		/* octets read and dropped behind a fault in DATA, then closed */
	size_t text_line;		/* octets in a line of a message with its CRLF; RFC 5321 4.5.3.1.6
					 * says 1000, and many send more */
	size_t header;			/* octets in the header section */
	unsigned received;		/* Received fields: more are a loop (6.3) */
	unsigned recipients;		/* accepted for a message; at least 100 (4.5.3.1.8); as many
					 * again get 452, then 421 */
	unsigned refused_recipients;	/* in a session, since its last message: then 421 */
	unsigned errors;		/* other commands refused, likewise */
	unsigned junk;			/* NOOP, RSET, VRFY, ... likewise: more are errors */
	unsigned messages;		/* in a session: then 421 */
	unsigned auth_failures;		/* AUTH refused, in a session: then 421 */
};

/* For initializers. */
#define SMTP_SERVER_LIMITS { \
	.size = 50 * 1024 * 1024, .swallow = 50 * 1024 * 1024, .text_line = 65536, \
	.header = 256 * 1024, .received = 100, .recipients = 1000, .refused_recipients = 100, \
	.errors = 20, .junk = 100, .messages = 1000, .auth_failures = 3 }

enum smtp_server_tls_level {
	SMTP_SERVER_TLS_NO,		/* STARTTLS is not offered; 502 */
	SMTP_SERVER_TLS_PREFERRED,
	SMTP_SERVER_TLS_REQUIRED	/* before TLS only EHLO, NOOP, QUIT and STARTTLS; else 530 */
};

enum smtp_server_auth {
	SMTP_SERVER_AUTH_NO,
	SMTP_SERVER_AUTH_OFFERED,	/* inside TLS alone (RFC 4954 4) */
	SMTP_SERVER_AUTH_REQUIRED	/* and before MAIL */
};

/* What may be offered beside PIPELINING, SIZE, 8BITMIME and ENHANCEDSTATUSCODES. */
#define SMTP_SERVER_OFFERS (SMTP_CAP_CHUNKING | SMTP_CAP_DSN | SMTP_CAP_SMTPUTF8 | SMTP_CAP_REQUIRETLS)

/* All strings outlive the session. */
struct smtp_server_conf {
	const char *name;	/* our host name: banner, EHLO, Received */
	const char *greeting;	/* behind it in the banner; NULL: "ESMTP" */
	enum smtp_server_tls_level tls;
	enum smtp_server_auth auth;
	int bare;		/* addresses without a domain are taken: the caller has one for them */
	unsigned offers;	/* of SMTP_SERVER_OFFERS; REQUIRETLS inside TLS alone (RFC 8689 2) */
	struct smtp_server_limits limits;
};

/* TLS as it is in Received.  Strings may be NULL: not known.  Copied. */
struct smtp_server_tls {
	const char *protocol;	/* "TLSv1.3" */
	const char *cipher;	/* IANA's name: TLS_AES_256_GCM_SHA384 (RFC 8314 4.3) */
	int bits;		/* of the cipher's secret */
	const char *group;	/* of the key exchange: "X25519" */
	const char *client;	/* the client certificate's verdict in a few words */
};

enum smtp_server_want {
	SMTP_SERVER_INPUT,
	SMTP_SERVER_OUTPUT,
	SMTP_SERVER_WAIT,
	SMTP_SERVER_CLOSE,
	SMTP_SERVER_MAIL,
	SMTP_SERVER_RCPT,
	SMTP_SERVER_BEGIN,
	SMTP_SERVER_BODY,
	SMTP_SERVER_END,
	SMTP_SERVER_ABORT,
	SMTP_SERVER_REFUSED,
	SMTP_SERVER_AUTH,
	SMTP_SERVER_TLS
};
#define SMTP_SERVER_WANTS (SMTP_SERVER_TLS + 1)

/* Where a session stands; the caller's timeouts hang on it. */
enum smtp_server_stage {
	SMTP_SERVER_AT_CONNECT,		/* before smtp_server_greet(): nobody may talk */
	SMTP_SERVER_AT_COMMAND,		/* between commands, in a transaction or not */
	SMTP_SERVER_AT_HANDSHAKE,	/* the caller's */
	SMTP_SERVER_AT_SASL,		/* the client's next line of AUTH */
	SMTP_SERVER_AT_AUTH,		/* the caller's answer to that want: */
	SMTP_SERVER_AT_MAIL,
	SMTP_SERVER_AT_RCPT,
	SMTP_SERVER_AT_BEGIN,
	SMTP_SERVER_AT_DATA,		/* the message itself, or a chunk of it */
	SMTP_SERVER_AT_END,		/* the caller's answer */
	SMTP_SERVER_AT_DONE
};
#define SMTP_SERVER_STAGES (SMTP_SERVER_AT_DONE + 1)

/* How a session ended; s->fail has it in words where it was not in order. */
enum smtp_server_end {
	SMTP_SERVER_END_NONE,		/* under way */
	SMTP_SERVER_END_QUIT,
	SMTP_SERVER_END_EOF,		/* closed by the client without QUIT */
	SMTP_SERVER_END_LOST,		/* smtp_server_lost() */
	SMTP_SERVER_END_TIMEOUT,	/* 421 4.4.2 */
	SMTP_SERVER_END_EXPIRED,	/* 421 4.7.0: smtp_server_expired() */
	SMTP_SERVER_END_SHUTDOWN,	/* 421 4.3.2 */
	SMTP_SERVER_END_ANSWER,		/* the caller refused the client, or answered 421 */
	SMTP_SERVER_END_LIMIT,		/* 421 4.7.0: too many errors, messages, ...; an endless line */
	SMTP_SERVER_END_OUT_OF_TURN,	/* talked before it was asked */
	SMTP_SERVER_END_INJECTION,	/* bytes behind STARTTLS */
	SMTP_SERVER_END_LINE,		/* a CR or LF alone, or NUL */
	SMTP_SERVER_END_HTTP,		/* a command of another protocol */
	SMTP_SERVER_END_CHUNK,		/* BDAT whose end cannot be found, or is too far away */
	SMTP_SERVER_END_HANDSHAKE	/* smtp_server_tls_failed() */
};
#define SMTP_SERVER_ENDS (SMTP_SERVER_END_HANDSHAKE + 1)

/* MAIL as parsed; holds until the next one. */
struct smtp_server_mail {
	struct mailbox from;
	struct smtp_mail_params params;
};

struct smtp_server_refusal {
	int code;
	char status[12];		/* "5.7.1" */
	const char *verb;		/* "RCPT", "DATA"; "command": none that we know; static */
	char text[SMTP_SERVER_REPLY_MAX];
	/* As it was sent, perhaps cut; only of EHLO, HELO, MAIL, RCPT and VRFY: in others may be secrets. */
	char argument[SMTP_SERVER_ARGUMENT_MAX];
};

struct smtp_server {
	struct smtp_server_conf conf;
	enum smtp_server_stage stage, stage_at_end;
	enum smtp_server_end end;
	struct fail fail;		/* FAIL_NONE where the end was in order */
	struct buf out;

	/* What wants are about. */
	struct smtp_server_mail mail;
	struct mailbox rcpt;		/* domain "": without conf.bare postmaster alone (RFC 5321 4.1.1.3) */
	struct smtp_rcpt_params rcpt_params;
	struct smtp_sasl sasl;
	struct { const char *p; size_t len; } body;
	struct smtp_data msg;		/* counts of the message under way, or of the last one */
	struct smtp_server_refusal refusal;

	/* The session so far. */
	char hello[SMTP_SERVER_HELLO_MAX + 1];	/* EHLO's or HELO's argument; "": neither yet */
	int esmtp;			/* it was EHLO */
	int tls;			/* TLS is up */
	int starttls;			/* STARTTLS was given */
	char auth_user[SMTP_SASL_USER_MAX + 1];	/* who authenticated; "": nobody */
	char *tls_text;			/* as in Received (received_tls()); NULL without TLS */
	unsigned commands, errors, junk;	/* errors and junk: since the last message */
	unsigned refused_recipients;	/* likewise */
	unsigned auth_failures;		/* of the session */
	unsigned accepted_recipients;	/* of all messages: 0 is "no successful recipient" */
	unsigned tls_demanded;		/* times that a command got 530 5.7.0 */
	unsigned recipients;		/* accepted in this transaction */
	unsigned transactions;		/* MAIL accepted */
	unsigned messages;		/* END answered with 2xx */

	/* The machine's own. */
	unsigned due;			/* wants that come before the stage's own */
	int has_mail;			/* a transaction is open */
	unsigned surplus;		/* recipients in it behind the limit */
	int open;			/* the caller has a file open: ABORT is owed */
	struct {			/* BDAT */
		int used;		/* the message under way comes in chunks */
		int broken;		/* one of them was refused: so are the others (RFC 3030 2) */
		int last;
		int drop;		/* the chunk under way was refused */
		uint64_t size, left;	/* octets of it */
	} chunk;
	int await_turn;			/* nothing may be fed until out is empty */
	int leaving;			/* smtp_server_shutdown() */
	const struct smtp_server_command *command; /* under way, or the last one */
	struct buf line;		/* the command under way */
	char argument[SMTP_SERVER_ARGUMENT_MAX];
};

/* The struct is the caller's; smtp_server_clear() frees what it holds. */
void smtp_server_init(struct smtp_server *, const struct smtp_server_conf *);
void smtp_server_clear(struct smtp_server *);

/* The first words: the banner; or a refusal (421, 554) and CLOSE. */
void smtp_server_greet(struct smtp_server *);
void smtp_server_refuse(struct smtp_server *, int code, const char *status, const char *text);

enum smtp_server_want smtp_server_feed(struct smtp_server *, const char *, size_t n, size_t *used);

/*
 * After MAIL, RCPT, BEGIN, END.  A code from 200 to 299 accepts (BEGIN is always accepted with 354);
 * 421 ends the session.  Text is cut to a reply line; status may be NULL.  accept: the usual words.
 * Does nothing where the session has ended meanwhile.
 */
void smtp_server_accept(struct smtp_server *);
void smtp_server_answer(struct smtp_server *, int code, const char *status, const char *text);

/* After TLS; or before smtp_server_greet(), where TLS comes first (RFC 8314 3.3). */
void smtp_server_tls_done(struct smtp_server *, const struct smtp_server_tls *);
void smtp_server_tls_failed(struct smtp_server *, const struct fail *);

/*
 * The client was silent, or slow, for too long.  Does nothing while the caller's answer to END is
 * awaited: the message may be safe already, and is to be answered for.
 */
void smtp_server_timeout(struct smtp_server *);

/*
 * The session has lasted as long as any may.  Likewise; the client was not slow, so the connection is not to blame
 * (RFC 3463 3.5, X.4.2): it is a rule of ours (3.8).
 */
void smtp_server_expired(struct smtp_server *);

/* We go: at once between commands, else behind the message under way or the answer awaited. */
void smtp_server_shutdown(struct smtp_server *);

/* The connection is gone: closed by the client, or lost for a reason that the caller knows. */
void smtp_server_eof(struct smtp_server *);
void smtp_server_lost(struct smtp_server *, const struct fail *);

/*
 * Appends the trace field of the session (received.h): client's name (NULL: not known) and address, id, and
 * the time in seconds since 1970.
 */
void smtp_server_received(const struct smtp_server *, struct buf *, const char *client_name,
    const char *client_address, const char *id, int64_t now);

const char *smtp_server_protocol(const struct smtp_server *);	/* "ESMTPS", as in the trace field */

const char *smtp_server_want_name(enum smtp_server_want);	/* "input" */
const char *smtp_server_stage_name(enum smtp_server_stage);	/* "command", "message" */
const char *smtp_server_end_name(enum smtp_server_end);		/* for logs: "out-of-turn" */

#endif
