/*
 * Sessions as scripts.  A step is what the server sends and what the client must say and want
 * then. Each script runs with every step in one piece, in pieces of several sizes, and in two
 * pieces split at every octet; the message goes in in pieces likewise.
 */
#include "smtp_client.h"

#include <stdlib.h>

#include "unit.h"

#define STEPS_MAX 20
#define RCPTS_MAX 4
#define SPLITS 90	/* octets of a step, of the message: no more of interest in any script */

static const char *const wants[] = { "input", "tls", "order", "body", "result", "close" };

struct step {
	const char *server;	/* bytes, or an event in angle brackets: see run_step() */
	const char *out;	/* all that the client says after it */
	enum smtp_want want;
};

struct script {
	const char *name;
	enum smtp_use_tls tls;
	int lmtp, implicit, chunking;
	struct step steps[STEPS_MAX];
	enum smtp_end end;
	enum smtp_stage at_end;		/* where the end is not NONE */
	enum fail_kind kind;
	int whole;			/* the result depends on what comes in one read */
	const char *text;
	struct smtp_transaction order;	/* its recipients: */
	const char *rcpt[RCPTS_MAX];
	const char *body;
	const char *settled;		/* a line a recipient and order: put_settled() */
};

#define BANNER { "220 mx.example ESMTP\r\n", "EHLO me.example\r\n", SMTP_WANT_INPUT }
#define EHLO "250-mx.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
#define EHLO_OK { EHLO, "STARTTLS\r\n", SMTP_WANT_INPUT }
#define GO { "220 2.0.0 go\r\n", "", SMTP_WANT_TLS }
#define TLS { "<tls>", "EHLO me.example\r\n", SMTP_WANT_INPUT }
#define CLEAR(ehlo) { "220 mx\r\n", "EHLO me.example\r\n", SMTP_WANT_INPUT }, \
	{ ehlo, "", SMTP_WANT_ORDER }
#define CLEAR_LMTP(lhlo) { "220 mx\r\n", "LHLO me.example\r\n", SMTP_WANT_INPUT }, \
	{ lhlo, "", SMTP_WANT_ORDER }
#define SIMPLE "250 mx\r\n"
#define AHEAD "250-mx\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250 PIPELINING\r\n"
#define ORDER .order = { .from = "me@here.example", .size = 7 }, \
	.rcpt = { "a@b.example", "c@d.example" }
#define HELLO .body = "hello\r\n"
#define GROUP "MAIL FROM:<me@here.example> SIZE=7\r\nRCPT TO:<a@b.example>\r\n" \
	"RCPT TO:<c@d.example>\r\nDATA\r\n"
#define SEND { "<send>", GROUP, SMTP_WANT_INPUT }
#define SEND_1 { "<send>", "MAIL FROM:<me@here.example>\r\n", SMTP_WANT_INPUT }
#define RCPT_1 { "250 ok\r\n", "RCPT TO:<a@b.example>\r\n", SMTP_WANT_INPUT }
#define RCPT_2 { "250 ok\r\n", "RCPT TO:<c@d.example>\r\n", SMTP_WANT_INPUT }
#define DATA { "250 ok\r\n", "DATA\r\n", SMTP_WANT_INPUT }
#define TAKE { "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY }
#define BODY { "<body>", "hello\r\n.\r\n", SMTP_WANT_INPUT }
#define TAKEN { "250 2.6.0 taken\r\n", "", SMTP_WANT_RESULT }
#define ACCEPTED "accepted at end of message, 250 after 250, 2.6.0: 250 2.6.0 taken\n"
#define BOTH(line) line "\n" line "\n"
#define BYE { "<quit>", "QUIT\r\n", SMTP_WANT_CLOSE }

static const struct smtp_rcpt_params dsn_rcpts[RCPTS_MAX] = {
	{ .notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY, .orcpt = "rfc822;A+2Bx@b.example" },
	{ .notify = SMTP_NOTIFY_NEVER } };
#define DSN_ORDER .order = { .from = "me@here.example", .size = 7, .rcpt_params = dsn_rcpts, \
	.params = { .ret = SMTP_RET_HDRS, .envid = "QQ+20x" } }, .rcpt = { "a@b.example", "c@d.example" }
#define UTF8_ORDER .order = { .from = "\xc3\xa9@here.example", .params = { .utf8 = 1 } }, \
	.rcpt = { "a@b.example" }

/* RFC 4616 4 has the first. */
#define PLAIN "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"
#define TIM "dGlt"
#define PASSWORD "dGFuc3RhYWZ0YW5zdGFhZg=="
#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define LONG X60 X60 X60 X60 X60 X60 X60
#define IN_TLS(caps) BANNER, EHLO_OK, GO, TLS, { "250-mx\r\n" caps, "", SMTP_WANT_ORDER }

#define CHUNKS "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define SEND_CHUNKS { "<send>", "MAIL FROM:<me@here.example>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", \
	SMTP_WANT_INPUT }
#define LAST { "<body>", "BDAT 7 LAST\r\nhello\r\n", SMTP_WANT_INPUT }

static const struct script scripts[] = {
	/* TLS from the first octet. */
	{ .name = "implicit TLS", .implicit = 1, .tls = SMTP_TLS_REQUIRED, .steps = { { "<tls>", "", SMTP_WANT_INPUT }, BANNER,
	    { "250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n", "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "implicit TLS fails", .implicit = 1, .steps = { { "<tls-failed>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_HANDSHAKE, .at_end = SMTP_STAGE_HANDSHAKE, .kind = FAIL_PEER, .text = "no shared cipher" },
	{ .name = "implicit TLS, HELO only", .implicit = 1, .tls = SMTP_TLS_REQUIRED, .steps = { { "<tls>", "", SMTP_WANT_INPUT },
	    BANNER, { "502 no\r\n", "HELO me.example\r\n", SMTP_WANT_INPUT }, { SIMPLE, "", SMTP_WANT_ORDER }, BYE } },

	/* AUTH. */
	{ .name = "AUTH PLAIN", .tls = SMTP_TLS_REQUIRED, .steps = { IN_TLS("250 AUTH LOGIN PLAIN\r\n"),
	    { "<auth>", "AUTH PLAIN " PLAIN "\r\n", SMTP_WANT_INPUT }, { "235 2.7.0 hello\r\n", "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "AUTH PLAIN, too long for a command", .tls = SMTP_TLS_REQUIRED, .steps = { IN_TLS("250 AUTH PLAIN\r\n"),
	    { "<long>", "AUTH PLAIN\r\n", SMTP_WANT_INPUT }, { "535 no\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_AUTH, .at_end = SMTP_STAGE_AUTH, .kind = FAIL_TEMP, .text = "AUTH answered with: 535 no" },
	{ .name = "AUTH LOGIN", .tls = SMTP_TLS_REQUIRED, .steps = { IN_TLS("250 AUTH LOGIN PLAINER\r\n"),
	    { "<auth>", "AUTH LOGIN\r\n", SMTP_WANT_INPUT }, { "334 VXNlcm5hbWU6\r\n", TIM "\r\n", SMTP_WANT_INPUT },
	    { "334 UGFzc3dvcmQ6\r\n", PASSWORD "\r\n", SMTP_WANT_INPUT }, { "235 hello\r\n", "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "AUTH, a wrong password", .tls = SMTP_TLS_REQUIRED, .steps = { IN_TLS("250 AUTH PLAIN\r\n"),
	    { "<auth>", "AUTH PLAIN " PLAIN "\r\n", SMTP_WANT_INPUT }, { "535 5.7.8 no\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_AUTH, .at_end = SMTP_STAGE_AUTH, .kind = FAIL_TEMP, .text = "AUTH answered with: 535 5.7.8 no" },
	{ .name = "AUTH, one question too many", .tls = SMTP_TLS_REQUIRED, .steps = { IN_TLS("250 AUTH PLAIN\r\n"),
	    { "<auth>", "AUTH PLAIN " PLAIN "\r\n", SMTP_WANT_INPUT }, { "334 more\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_AUTH, .kind = FAIL_PEER, .text = "AUTH answered with: 334 more" },
	{ .name = "AUTH is not offered", .tls = SMTP_TLS_REQUIRED, .steps = { IN_TLS("250 SIZE\r\n"),
	    { "<auth>", "QUIT\r\n", SMTP_WANT_CLOSE } }, .end = SMTP_END_AUTH, .at_end = SMTP_STAGE_ORDER,
	    .kind = FAIL_TEMP, .text = "AUTH is not offered" },
	{ .name = "AUTH of another kind", .tls = SMTP_TLS_REQUIRED, .steps = { IN_TLS("250 AUTH GSSAPI XPLAIN\r\n"),
	    { "<auth>", "QUIT\r\n", SMTP_WANT_CLOSE } }, .end = SMTP_END_AUTH, .at_end = SMTP_STAGE_ORDER,
	    .kind = FAIL_TEMP, .text = "AUTH is offered neither with PLAIN nor with LOGIN" },
	{ .name = "AUTH in clear text", .tls = SMTP_TLS_NEVER, .steps = { CLEAR("250-mx\r\n250 AUTH PLAIN\r\n"),
	    { "<auth>", "QUIT\r\n", SMTP_WANT_CLOSE } }, .end = SMTP_END_AUTH, .at_end = SMTP_STAGE_ORDER,
	    .kind = FAIL_TEMP, .text = "without TLS no password is sent" },

	/* BDAT. */
	{ .name = "BDAT", .chunking = 1, HELLO, .steps = { CLEAR(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n", "", SMTP_WANT_BODY }, LAST, TAKEN, BYE },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" }, .settled = ACCEPTED ACCEPTED },
	{ .name = "BDAT, no PIPELINING, one recipient", .chunking = 1, HELLO, .steps = { CLEAR("250-mx\r\n250 CHUNKING\r\n"),
	    SEND_1, RCPT_1, { "550 a\r\n", "RCPT TO:<c@d.example>\r\n", SMTP_WANT_INPUT }, { "250 ok\r\n", "", SMTP_WANT_BODY },
	    LAST, TAKEN },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" },
	    .settled = "perm at RCPT, 550 after 550, 5.0.0: 550 a\n" ACCEPTED },
	{ .name = "BDAT for nobody", .chunking = 1, .steps = { CLEAR(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n550 a\r\n550 b\r\n", "", SMTP_WANT_RESULT }, BYE },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" },
	    .settled = "perm at RCPT, 550 after 550, 5.0.0: 550 a\nperm at RCPT, 550 after 550, 5.0.0: 550 b\n" },
	{ .name = "BDAT, dots and line ends", .chunking = 1, .body = ".\n..x\r.y", .steps = { CLEAR(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n", "", SMTP_WANT_BODY },
	    { "<body>", "BDAT 12 LAST\r\n.\r\n..x\r\n.y\r\n", SMTP_WANT_INPUT }, TAKEN },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" }, .settled = ACCEPTED ACCEPTED },
	{ .name = "BDAT of nothing", .chunking = 1, .body = "", .steps = { CLEAR(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n", "", SMTP_WANT_BODY }, { "<body>", "BDAT 0 LAST\r\n", SMTP_WANT_INPUT }, TAKEN },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" }, .settled = ACCEPTED ACCEPTED },
	{ .name = "BDAT LAST refused, then RSET", .chunking = 1, HELLO, .steps = { CLEAR(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n", "", SMTP_WANT_BODY }, LAST, { "554 5.6.0 no\r\n", "", SMTP_WANT_RESULT },
	    { "<send>", "RSET\r\nMAIL FROM:<me@here.example>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n",
	    SMTP_WANT_INPUT }, { "<lost>", "", SMTP_WANT_CLOSE } },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_RSET, .kind = FAIL_TEMP, .text = "RSET: timed out",
	    .settled = BOTH("perm at end of message, 554 after 250, 5.6.0: 554 5.6.0 no")
	    BOTH("temp at RSET, 0 after 0, 4.4.2: RSET: timed out") },
	{ .name = "BDAT is not known", .chunking = 1, HELLO, .steps = { CLEAR(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n", "", SMTP_WANT_BODY }, LAST, { "500 5.5.1 what\r\n", "", SMTP_WANT_RESULT },
	    { "<send>", "RSET\r\nMAIL FROM:<me@here.example>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
	    SMTP_WANT_INPUT }, { "<lost>", "", SMTP_WANT_CLOSE } },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_RSET, .kind = FAIL_TEMP, .text = "RSET: timed out",
	    .settled = BOTH("temp at end of message, 500 after 250, 4.5.1: 500 5.5.1 what")
	    BOTH("temp at RSET, 0 after 0, 4.4.2: RSET: timed out") },
	{ .name = "BDAT LAST, its answer lost", .chunking = 1, HELLO, .steps = { CLEAR(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n", "", SMTP_WANT_BODY }, LAST, { "<eof>", "", SMTP_WANT_CLOSE } },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_DOT, .kind = FAIL_TEMP,
	    .text = "end of message: the peer closed the connection",
	    .settled = BOTH("unknown at end of message, 0 after 250, 4.4.2: end of message: the peer closed the connection") },
	{ .name = "BDAT in LMTP", .chunking = 1, .lmtp = 1, HELLO, .steps = { CLEAR_LMTP(CHUNKS), SEND_CHUNKS,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n", "", SMTP_WANT_BODY }, LAST, { "250 2.6.0 taken\r\n", "", SMTP_WANT_INPUT },
	    { "452 4.2.2 full\r\n", "", SMTP_WANT_RESULT } },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example", "c@d.example" },
	    .settled = ACCEPTED "temp at end of message, 452 after 250, 4.2.2: 452 4.2.2 full\n" },
	{ .name = "CHUNKING is offered and not wanted", HELLO, .steps = { CLEAR(CHUNKS),
	    { "<send>", "MAIL FROM:<me@here.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n", SMTP_WANT_INPUT },
	    { "250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN },
	    .order = { .from = "me@here.example" }, .rcpt = { "a@b.example" }, .settled = ACCEPTED },

	{ .name = "TLS", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER, EHLO_OK, GO, TLS,
	    { "250-mx.example\r\n250 REQUIRETLS\r\n", "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "DSN goes on", .tls = SMTP_TLS_NEVER, DSN_ORDER, HELLO, .steps = {
	    CLEAR("250-mx\r\n250-DSN\r\n250 PIPELINING\r\n"),
	    { "<send>", "MAIL FROM:<me@here.example> RET=HDRS ENVID=QQ+20x\r\n"
	    "RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A+2Bx@b.example\r\n"
	    "RCPT TO:<c@d.example> NOTIFY=NEVER\r\nDATA\r\n", SMTP_WANT_INPUT }, TAKE, BODY, TAKEN },
	    .settled = BOTH("accepted at end of message, 250 after 250, 2.6.0: 250 2.6.0 taken") },
	{ .name = "DSN is not offered", .tls = SMTP_TLS_NEVER, DSN_ORDER, HELLO, .steps = {
	    CLEAR("250-mx\r\n250 PIPELINING\r\n"),
	    { "<send>", "MAIL FROM:<me@here.example>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
	    SMTP_WANT_INPUT }, TAKE, BODY, TAKEN },
	    .settled = BOTH("accepted at end of message, 250 after 250, 2.6.0: 250 2.6.0 taken") },
	{ .name = "SMTPUTF8", .tls = SMTP_TLS_NEVER, UTF8_ORDER, HELLO, .steps = {
	    CLEAR("250-mx\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n"),
	    { "<send>", "MAIL FROM:<\xc3\xa9@here.example> SMTPUTF8\r\nRCPT TO:<a@b.example>\r\nDATA\r\n",
	    SMTP_WANT_INPUT }, { "250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN },
	    .settled = "accepted at end of message, 250 after 250, 2.6.0: 250 2.6.0 taken\n" },
	{ .name = "SMTPUTF8 is not offered", .tls = SMTP_TLS_NEVER, UTF8_ORDER, .steps = { CLEAR(AHEAD),
	    { "<send>", "", SMTP_WANT_RESULT } },
	    .settled = "perm at idle session, 0 after 0, 5.6.7: the message needs SMTPUTF8, which is not offered\n" },
	{ .name = "SMTPUTF8 said and not used", .tls = SMTP_TLS_NEVER, HELLO, .steps = { CLEAR(AHEAD),
	    { "<send>", "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n", SMTP_WANT_INPUT },
	    { "250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN },
	    .order = { .from = "", .params = { .utf8 = 1 } }, .rcpt = { "a@b.example" },
	    .settled = "accepted at end of message, 250 after 250, 2.6.0: 250 2.6.0 taken\n" },
	{ .name = "REQUIRETLS", .tls = SMTP_TLS_REQUIRED, HELLO, .steps = { BANNER, EHLO_OK, GO, TLS,
	    { "250-mx.example\r\n250-PIPELINING\r\n250 REQUIRETLS\r\n", "", SMTP_WANT_ORDER },
	    { "<send>", "MAIL FROM:<a@b> REQUIRETLS\r\nRCPT TO:<a@b.example>\r\nDATA\r\n", SMTP_WANT_INPUT },
	    { "250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN },
	    .order = { .from = "a@b", .params = { .requiretls = 1 } }, .rcpt = { "a@b.example" },
	    .settled = "accepted at end of message, 250 after 250, 2.6.0: 250 2.6.0 taken\n" },
	{ .name = "REQUIRETLS is not offered", .tls = SMTP_TLS_REQUIRED, .steps = { BANNER, EHLO_OK, GO, TLS,
	    { AHEAD, "", SMTP_WANT_ORDER }, { "<send>", "", SMTP_WANT_RESULT } },
	    .order = { .from = "a@b", .params = { .requiretls = 1 } }, .rcpt = { "a@b.example" },
	    .settled = "perm at idle session, 0 after 0, 5.7.30: the sender said REQUIRETLS, which is not offered\n" },
	{ .name = "REQUIRETLS in clear text", .tls = SMTP_TLS_NEVER, .steps = {
	    CLEAR("250-mx\r\n250 REQUIRETLS\r\n"), { "<send>", "", SMTP_WANT_RESULT } },
	    .order = { .from = "a@b", .params = { .requiretls = 1 } }, .rcpt = { "a@b.example" },
	    .settled = "perm at idle session, 0 after 0, 5.7.30: the sender said REQUIRETLS, which is not offered\n" },
	{ .name = "TLS never", .tls = SMTP_TLS_NEVER, .steps = { BANNER,
	    { EHLO, "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "LMTP", .tls = SMTP_TLS_NEVER, .lmtp = 1, .steps = {
	    { "220 mx\r\n", "LHLO me.example\r\n", SMTP_WANT_INPUT },
	    { EHLO, "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "LMTP without LHLO", .tls = SMTP_TLS_NEVER, .lmtp = 1, .steps = {
	    { "220 mx\r\n", "LHLO me.example\r\n", SMTP_WANT_INPUT },
	    { "500 what?\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EHLO_REFUSED, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_PEER,
	    .text = "LHLO answered with: 500 what?" },
	{ .name = "not offered, not needed", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "250 mx.example\r\n", "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "not offered, required", .tls = SMTP_TLS_REQUIRED, .steps = { BANNER,
	    { "250 mx.example\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_NO_STARTTLS, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_PEER,
	    .text = "STARTTLS is not offered" },
	{ .name = "refused 454, not needed", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER, EHLO_OK,
	    { "454 4.7.0 TLS not available\r\n", "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "refused 454, required", .tls = SMTP_TLS_REQUIRED, .steps = { BANNER, EHLO_OK,
	    { "454 4.7.0 not available\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_STARTTLS_REFUSED, .at_end = SMTP_STAGE_STARTTLS, .kind = FAIL_TEMP,
	    .text = "STARTTLS answered with: 454 4.7.0 not available" },
	{ .name = "refused 502, required", .tls = SMTP_TLS_REQUIRED, .steps = { BANNER, EHLO_OK,
	    { "502 no\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_STARTTLS_REFUSED, .at_end = SMTP_STAGE_STARTTLS, .kind = FAIL_PEER,
	    .text = "STARTTLS answered with: 502 no" },
	{ .name = "250 to STARTTLS", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER, EHLO_OK,
	    { "250 fine\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_STARTTLS, .kind = FAIL_PEER,
	    .text = "STARTTLS answered with: 250 fine" },
	{ .name = "injection", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER, EHLO_OK,
	    { "220 go\r\n250 pwned\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_INJECTION, .at_end = SMTP_STAGE_HANDSHAKE, .kind = FAIL_PEER,
	    .text = "clear text behind the 220 to STARTTLS: \"250 pwned\\x0d\\x0a\"", .whole = 1 },
	{ .name = "injection of one byte", .tls = SMTP_TLS_REQUIRED, .steps = { BANNER, EHLO_OK,
	    { "220 go\r\n\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_INJECTION, .at_end = SMTP_STAGE_HANDSHAKE, .kind = FAIL_PEER,
	    .text = "clear text behind the 220 to STARTTLS: \"\\x0a\"" },
	{ .name = "injection in a read of its own", .tls = SMTP_TLS_REQUIRED,
	    .steps = { BANNER, EHLO_OK, GO, { "2", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_INJECTION, .at_end = SMTP_STAGE_HANDSHAKE, .kind = FAIL_PEER,
	    .text = "clear text behind the 220 to STARTTLS: \"2\"" },
	{ .name = "handshake failed", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER, EHLO_OK, GO,
	    { "<tls-failed>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_HANDSHAKE, .at_end = SMTP_STAGE_HANDSHAKE, .kind = FAIL_PEER,
	    .text = "no shared cipher" },
	{ .name = "EHLO refused inside TLS", .tls = SMTP_TLS_IF_OFFERED,
	    .steps = { BANNER, EHLO_OK, GO, TLS,
	    { "550 5.7.1 no\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EHLO_REFUSED, .at_end = SMTP_STAGE_EHLO_TLS, .kind = FAIL_PEER,
	    .text = "EHLO inside TLS answered with: 550 5.7.1 no" },
	{ .name = "no ESMTP", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "502 what?\r\n", "HELO me.example\r\n", SMTP_WANT_INPUT },
	    { "250 hello\r\n", "", SMTP_WANT_ORDER }, BYE } },
	{ .name = "no ESMTP, TLS required", .tls = SMTP_TLS_REQUIRED, .steps = { BANNER,
	    { "502 what?\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_NO_ESMTP, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_PEER,
	    .text = "EHLO answered with: 502 what?" },
	{ .name = "EHLO 4xx", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "450 later\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EHLO_REFUSED, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_TEMP,
	    .text = "EHLO answered with: 450 later" },
	{ .name = "HELO refused", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "500 what?\r\n", "HELO me.example\r\n", SMTP_WANT_INPUT },
	    { "550 no\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EHLO_REFUSED, .at_end = SMTP_STAGE_HELO, .kind = FAIL_PEER,
	    .text = "HELO answered with: 550 no" },
	{ .name = "354 to EHLO", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "354 go on\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_PEER,
	    .text = "EHLO answered with: 354 go on" },
	{ .name = "banner 4xx", .tls = SMTP_TLS_IF_OFFERED, .steps = {
	    { "450-4.3.2 busy\r\n450 4.3.2 later\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_BANNER_TEMP, .at_end = SMTP_STAGE_BANNER, .kind = FAIL_TEMP,
	    .text = "connection answered with: 450 4.3.2 busy 4.3.2 later" },
	{ .name = "banner 554", .tls = SMTP_TLS_IF_OFFERED, .steps = {
	    { "554 no SMTP here\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_BANNER_PERM, .at_end = SMTP_STAGE_BANNER, .kind = FAIL_PEER,
	    .text = "connection answered with: 554 no SMTP here" },
	{ .name = "banner 354", .tls = SMTP_TLS_IF_OFFERED, .steps = {
	    { "354 what\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_BANNER, .kind = FAIL_PEER,
	    .text = "connection answered with: 354 what" },
	{ .name = "banner 421", .tls = SMTP_TLS_IF_OFFERED, .steps = {
	    { "421 4.3.2 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_BANNER, .kind = FAIL_TEMP,
	    .text = "connection answered with: 421 4.3.2 bye" },
	{ .name = "421 to EHLO", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "421 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_TEMP,
	    .text = "EHLO answered with: 421 bye" },
	{ .name = "421 to STARTTLS", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER, EHLO_OK,
	    { "421 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_STARTTLS, .kind = FAIL_TEMP,
	    .text = "STARTTLS answered with: 421 bye" },
	{ .name = "421 unasked", .tls = SMTP_TLS_NEVER,
	    .steps = { BANNER, { EHLO, "", SMTP_WANT_ORDER },
	    { "421 idle\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_ORDER, .kind = FAIL_TEMP,
	    .text = "idle session answered with: 421 idle" },
	{ .name = "421 in the same read", .tls = SMTP_TLS_NEVER, .steps = {
	    { "220 mx\r\n421 but no\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_TEMP,
	    .text = "EHLO answered with: 421 but no", .whole = 1 },
	{ .name = "answers in advance", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { EHLO "220 go\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_STARTTLS, .kind = FAIL_PEER,
	    .text = "bytes behind the answer, without a command: \"220 go\\x0d\\x0a\"",
	    .whole = 1 },
	{ .name = "reply without a command", .tls = SMTP_TLS_NEVER, .steps = { BANNER,
	    { EHLO, "", SMTP_WANT_ORDER }, { "250 hm\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_ORDER, .kind = FAIL_PEER,
	    .text = "a reply without a command: 250 hm" },
	{ .name = "not SMTP", .tls = SMTP_TLS_IF_OFFERED, .steps = {
	    { "SSH-2.0-x\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_BANNER, .kind = FAIL_PEER,
	    .text = "banner: expected a reply code from 200 to 599: \"SSH-2.0-x\"" },
	{ .name = "closed without a banner", .tls = SMTP_TLS_IF_OFFERED, .steps = {
	    { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_BANNER, .kind = FAIL_TEMP,
	    .text = "banner: the peer closed the connection" },
	{ .name = "closed inside a reply", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "250-mx.exam", "", SMTP_WANT_INPUT }, { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_TEMP,
	    .text = "EHLO: the peer closed the connection in the middle of a reply" },
	{ .name = "timed out", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER,
	    { "<lost>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_EHLO, .kind = FAIL_TEMP,
	    .text = "EHLO: timed out" },
	{ .name = "bytes after the end", .tls = SMTP_TLS_NEVER, .steps = { BANNER,
	    { EHLO, "", SMTP_WANT_ORDER }, BYE, { "221 bye\r\n", "", SMTP_WANT_CLOSE },
	    { "<eof>", "", SMTP_WANT_CLOSE } } },

	/* Transactions. */
	{ .name = "one by one", .steps = { CLEAR(SIMPLE), SEND_1, RCPT_1, RCPT_2, DATA,
	    { "354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN, BYE },
	    ORDER, HELLO, .settled = ACCEPTED ACCEPTED },
	{ .name = "in a group", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY, TAKEN, BYE },
	    ORDER, HELLO, .settled = ACCEPTED ACCEPTED },
	{ .name = "two orders", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY, TAKEN, SEND,
	    { "250 ok\r\n550 5.1.1 who?\r\n251 forwarded\r\n354 go\r\n", "", SMTP_WANT_BODY }, BODY,
	    { "250 fine\r\n", "", SMTP_WANT_RESULT }, BYE }, ORDER, HELLO,
	    .settled = ACCEPTED ACCEPTED
	    "perm at RCPT, 550 after 550, 5.1.1: 550 5.1.1 who?\n"
	    "accepted at end of message, 250 after 251, 2.0.0: 250 fine\n" },
	{ .name = "8-bit, null sender, odd recipients", .steps = { CLEAR(AHEAD),
	    { "<send>", "MAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<Postmaster>\r\n"
	    "RCPT TO:<\"a b\"@[192.0.2.1]>\r\nDATA\r\n", SMTP_WANT_INPUT }, TAKE, BODY, TAKEN },
	    .order = { .from = "", .has8bit = 1 }, .rcpt = { "Postmaster", "\"a b\"@[192.0.2.1]" },
	    HELLO, .settled = ACCEPTED ACCEPTED },

	{ .name = "refused here: larger than SIZE", .steps = { CLEAR(AHEAD),
	    { "<send>", "", SMTP_WANT_RESULT }, BYE },
	    .order = { .from = "", .size = 1001 }, .rcpt = { "a@b", "c@d" }, .settled =
	    BOTH("perm at idle session, 0 after 0, 5.3.4: the message has 1001 octets, the server "
	    "takes 1000") },
	{ .name = "refused here: 8-bit", .steps = { CLEAR(SIMPLE),
	    { "<send>", "", SMTP_WANT_RESULT }, BYE },
	    .order = { .from = "", .has8bit = 1 }, .rcpt = { "a@b", "c@d" }, .settled =
	    BOTH("perm at idle session, 0 after 0, 5.6.3: the message has octets above 127, "
	    "8BITMIME "
	    "is not offered") },
	{ .name = "refused here: the sender", .steps = { CLEAR(SIMPLE),
	    { "<send>", "", SMTP_WANT_RESULT }, BYE },
	    .order = { .from = "a@b> AUTH=<" }, .rcpt = { "a@b", "c@d" }, .settled =
	    BOTH("perm at idle session, 0 after 0, 5.1.7: sender: octets behind the address") },
	{ .name = "refused here: some recipients", .steps = { CLEAR(AHEAD),
	    { "<send>", "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n", SMTP_WANT_INPUT },
	    { "250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN, BYE },
	    .order = { .from = "" }, .rcpt = { "a@b>\r\nDATA\r\n", "", "c@d", "\303\274@d" }, HELLO,
	    .settled = "perm at idle session, 0 after 0, 5.1.3: recipient: octets behind the "
	    "address\n"
	    "perm at idle session, 0 after 0, 5.1.3: recipient: expected a local part\n" ACCEPTED
	    "perm at idle session, 0 after 0, 5.6.7: recipient: an octet above 127 in an address\n"
	    },

	{ .name = "partial, one by one", .steps = { CLEAR(SIMPLE), SEND_1, RCPT_1,
	    { "450 4.2.1 later\r\n", "RCPT TO:<c@d.example>\r\n", SMTP_WANT_INPUT }, DATA,
	    { "354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN, BYE }, ORDER, HELLO, .settled =
	    "temp at RCPT, 450 after 450, 4.2.1: 450 4.2.1 later\n" ACCEPTED },
	{ .name = "all refused, one by one", .steps = { CLEAR(SIMPLE), SEND_1, RCPT_1,
	    { "550 who?\r\n", "RCPT TO:<c@d.example>\r\n", SMTP_WANT_INPUT },
	    { "452 4.5.3 too many\r\n", "", SMTP_WANT_RESULT },
	    { "<send>", "RSET\r\n", SMTP_WANT_INPUT },
	    { "250 ok\r\n", "MAIL FROM:<me@here.example>\r\n", SMTP_WANT_INPUT }, RCPT_1, RCPT_2,
	    DATA,
	    { "354 go\r\n", "", SMTP_WANT_BODY }, BODY, TAKEN, SEND_1, { "<eof>", "",
	    SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_MAIL, .kind = FAIL_TEMP,
	    .text = "MAIL: the peer closed the connection", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 who?\n"
	    "temp at RCPT, 452 after 452, 4.5.3: 452 4.5.3 too many\n" ACCEPTED ACCEPTED
	    BOTH("temp at MAIL, 0 after 0, 4.4.2: MAIL: the peer closed the connection") },
	{ .name = "all refused, in a group", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n552 many\r\n552-5.2.2 full\r\n552 5.2.2 up\r\n554 nobody\r\n", "",
	    SMTP_WANT_RESULT },
	    { "<send>", "RSET\r\n" GROUP, SMTP_WANT_INPUT },
	    { "250 reset\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY }, BODY,
	    TAKEN,
	    SEND, TAKE, BODY, TAKEN, BYE }, ORDER, HELLO, .settled =
	    "temp at RCPT, 552 after 552, 4.5.3: 552 many\n"
	    "temp at RCPT, 552 after 552, 4.2.2: 552 5.2.2 full 5.2.2 up\n"
	    ACCEPTED ACCEPTED ACCEPTED ACCEPTED },
	{ .name = "RSET refused", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n550 b\r\n554 nobody\r\n", "", SMTP_WANT_RESULT },
	    { "<send>", "RSET\r\n" GROUP, SMTP_WANT_INPUT }, { "502 no\r\n", "QUIT\r\n",
	    SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_RSET, .kind = FAIL_PEER,
	    .text = "RSET answered with: 502 no", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\nperm at RCPT, 550 after 550, 5.0.0: 550 b\n"
	    BOTH("temp at RSET, 0 after 0, 4.5.0: RSET answered with: 502 no") },
	{ .name = "MAIL refused, one by one", .steps = { CLEAR(SIMPLE), SEND_1,
	    { "451 4.7.1 greylisted\r\n", "", SMTP_WANT_RESULT }, { "<send>", "RSET\r\n",
	    SMTP_WANT_INPUT },
	    { "250 ok\r\n", "MAIL FROM:<me@here.example>\r\n", SMTP_WANT_INPUT },
	    { "552 too large\r\n", "", SMTP_WANT_RESULT }, BYE }, ORDER, HELLO, .settled =
	    BOTH("temp at MAIL, 451 after 0, 4.7.1: 451 4.7.1 greylisted")
	    BOTH("perm at MAIL, 552 after 0, 5.0.0: 552 too large") },
	{ .name = "MAIL refused, in a group", .steps = { CLEAR(AHEAD), SEND,
	    { "550 5.7.1 no\r\n503 a\r\n503 b\r\n503 c\r\n", "", SMTP_WANT_RESULT }, BYE },
	    ORDER, HELLO, .settled = BOTH("perm at MAIL, 550 after 503, 5.7.1: 550 5.7.1 no") },
	{ .name = "MAIL refused, all else not", .steps = { CLEAR(AHEAD), SEND,
	    { "450 no\r\n250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_BODY, .kind = FAIL_PEER,
	    .text = "DATA answered with 354, but no recipient is left", ORDER, .settled =
	    BOTH("temp at MAIL, 450 after 250, 4.0.0: 450 no") },
	{ .name = "DATA refused", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n250 ok\r\n451 4.3.0 no room\r\n", "", SMTP_WANT_RESULT },
	    { "<send>", "RSET\r\n" GROUP, SMTP_WANT_INPUT }, { "<lost>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_RSET, .kind = FAIL_TEMP,
	    .text = "RSET: timed out", ORDER, .settled = "perm at RCPT, 550 after 550, 5.0.0: 550 "
	    "a\n"
	    "temp at DATA, 451 after 250, 4.3.0: 451 4.3.0 no room\n"
	    BOTH("temp at RSET, 0 after 0, 4.4.2: RSET: timed out") },
	{ .name = "250 to DATA", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_DATA, .kind = FAIL_PEER,
	    .text = "DATA answered with: 250 ok", ORDER, .settled =
	    BOTH("temp at DATA, 0 after 250, 4.5.0: DATA answered with: 250 ok") },
	{ .name = "354 for nobody", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n450 b\r\n354 go\r\n", ".\r\n", SMTP_WANT_INPUT },
	    { "250 taken?\r\n", "", SMTP_WANT_RESULT }, SEND, TAKE, BODY, TAKEN }, ORDER, HELLO,
	    .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\ntemp at RCPT, 450 after 450, 4.0.0: 450 b\n"
	    ACCEPTED ACCEPTED },
	{ .name = "final dot 4xx, then 5xx", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY,
	    { "452 4.3.1 full\r\n", "", SMTP_WANT_RESULT }, SEND, TAKE, BODY,
	    { "554-5.7.1 spam\r\n554 see \001\r\n", "", SMTP_WANT_RESULT }, BYE }, ORDER, HELLO,
	    .settled =
	    BOTH("temp at end of message, 452 after 250, 4.3.1: 452 4.3.1 full")
	    BOTH("perm at end of message, 554 after 250, 5.7.1: 554 5.7.1 spam see \\x01") },
	{ .name = "final dot 354", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY,
	    { "354 go on\r\n", "", SMTP_WANT_CLOSE } }, .end = SMTP_END_PROTOCOL,
	    .at_end = SMTP_STAGE_DOT, .kind = FAIL_PEER, .text = "end of message answered with: "
	    "354 go on",
	    ORDER, HELLO, .settled = BOTH("unknown at end of message, 0 after 250, 4.5.0: end of "
	    "message answered with: 354 go on") },
	{ .name = "final dot, no SMTP", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY,
	    { "OK\r\n", "", SMTP_WANT_CLOSE } }, .end = SMTP_END_PROTOCOL,
	    .at_end = SMTP_STAGE_DOT, .kind = FAIL_PEER,
	    .text = "end of message: expected a reply code from 200 to 599: \"OK\"",
	    ORDER, HELLO, .settled = BOTH("unknown at end of message, 0 after 250, 4.5.0: end of "
	    "message: expected a reply code from 200 to 599: \"OK\"") },
	{ .name = "421 at MAIL", .steps = { CLEAR(AHEAD), SEND,
	    { "421 4.3.2 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_MAIL, .kind = FAIL_TEMP,
	    .text = "MAIL answered with: 421 4.3.2 bye", ORDER, HELLO, .settled =
	    BOTH("temp at MAIL, 421 after 0, 4.3.2: 421 4.3.2 bye") },
	{ .name = "421 at RCPT", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n", "", SMTP_WANT_INPUT },
	    { "421 4.3.2 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_RCPT, .kind = FAIL_TEMP,
	    .text = "RCPT answered with: 421 4.3.2 bye", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\n"
	    "temp at RCPT, 421 after 0, 4.3.2: 421 4.3.2 bye\n" },
	{ .name = "421 at DATA", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n250 ok\r\n", "", SMTP_WANT_INPUT },
	    { "421 4.3.2 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_DATA, .kind = FAIL_TEMP,
	    .text = "DATA answered with: 421 4.3.2 bye", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\n"
	    "temp at DATA, 421 after 250, 4.3.2: 421 4.3.2 bye\n" },
	{ .name = "421 at message", .steps = { CLEAR(AHEAD), SEND, TAKE, { "<half>", "hello\r\n",
	    SMTP_WANT_BODY },
	    { "421 4.3.2 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_BODY, .kind = FAIL_TEMP,
	    .text = "message answered with: 421 4.3.2 bye", ORDER, HELLO, .settled =
	    BOTH("temp at message, 421 after 250, 4.3.2: 421 4.3.2 bye") },
	{ .name = "421 at end of message", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY,
	    { "421 4.3.2 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_DOT, .kind = FAIL_TEMP,
	    .text = "end of message answered with: 421 4.3.2 bye", ORDER, HELLO, .settled =
	    BOTH("temp at end of message, 421 after 250, 4.3.2: 421 4.3.2 bye") },
	{ .name = "closed at MAIL", .steps = { CLEAR(AHEAD), SEND,
	    { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_MAIL, .kind = FAIL_TEMP,
	    .text = "MAIL: the peer closed the connection", ORDER, HELLO, .settled =
	    BOTH("temp at MAIL, 0 after 0, 4.4.2: MAIL: the peer closed the connection") },
	{ .name = "closed at RCPT", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n", "", SMTP_WANT_INPUT },
	    { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_RCPT, .kind = FAIL_TEMP,
	    .text = "RCPT: the peer closed the connection", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\n"
	    "temp at RCPT, 0 after 0, 4.4.2: RCPT: the peer closed the connection\n" },
	{ .name = "closed at DATA", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n250 ok\r\n", "", SMTP_WANT_INPUT },
	    { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_DATA, .kind = FAIL_TEMP,
	    .text = "DATA: the peer closed the connection", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\n"
	    "temp at DATA, 0 after 250, 4.4.2: DATA: the peer closed the connection\n" },
	{ .name = "closed at message", .steps = { CLEAR(AHEAD), SEND, TAKE, { "<half>", "hello\r\n",
	    SMTP_WANT_BODY },
	    { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_BODY, .kind = FAIL_TEMP,
	    .text = "message: the peer closed the connection", ORDER, HELLO, .settled =
	    BOTH("temp at message, 0 after 250, 4.4.2: message: the peer closed the connection") },
	{ .name = "closed at end of message", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY,
	    { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_DOT, .kind = FAIL_TEMP,
	    .text = "end of message: the peer closed the connection", ORDER, HELLO, .settled =
	    BOTH("unknown at end of message, 0 after 250, 4.4.2: end of message: the peer closed "
	    "the connection") },
	{ .name = "lost at MAIL", .steps = { CLEAR(AHEAD), SEND,
	    { "<lost>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_MAIL, .kind = FAIL_TEMP,
	    .text = "MAIL: timed out", ORDER, HELLO, .settled =
	    BOTH("temp at MAIL, 0 after 0, 4.4.2: MAIL: timed out") },
	{ .name = "lost at RCPT", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n", "", SMTP_WANT_INPUT },
	    { "<lost>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_RCPT, .kind = FAIL_TEMP,
	    .text = "RCPT: timed out", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\n"
	    "temp at RCPT, 0 after 0, 4.4.2: RCPT: timed out\n" },
	{ .name = "lost at DATA", .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n250 ok\r\n", "", SMTP_WANT_INPUT },
	    { "<lost>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_DATA, .kind = FAIL_TEMP,
	    .text = "DATA: timed out", ORDER, HELLO, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\n"
	    "temp at DATA, 0 after 250, 4.4.2: DATA: timed out\n" },
	{ .name = "lost at message", .steps = { CLEAR(AHEAD), SEND, TAKE, { "<half>", "hello\r\n",
	    SMTP_WANT_BODY },
	    { "<lost>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_BODY, .kind = FAIL_TEMP,
	    .text = "message: timed out", ORDER, HELLO, .settled =
	    BOTH("temp at message, 0 after 250, 4.4.2: message: timed out") },
	{ .name = "lost at end of message", .steps = { CLEAR(AHEAD), SEND, TAKE, BODY,
	    { "<lost>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_LOST, .at_end = SMTP_STAGE_DOT, .kind = FAIL_TEMP,
	    .text = "end of message: timed out", ORDER, HELLO, .settled =
	    BOTH("unknown at end of message, 0 after 250, 4.4.2: end of message: timed out") },

	{ .name = "a refusal inside the message", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<half>", "hello\r\n", SMTP_WANT_BODY }, { "552 5.3.4 enough\r\n", "",
	    SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_BODY, .kind = FAIL_PEER,
	    .text = "a reply without a command: 552 5.3.4 enough", ORDER, HELLO,
	    .settled = BOTH("temp at "
	    "message, 0 after 250, 4.5.0: a reply without a command: 552 5.3.4 enough") },
	{ .name = "an answer behind 354", .whole = 1, .steps = { CLEAR(AHEAD), SEND,
	    { "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 t", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_BODY, .kind = FAIL_PEER,
	    .text = "bytes behind the answer, without a command: \"250 t\"", ORDER,
	    .settled = BOTH("temp "
	    "at message, 0 after 250, 4.5.0: bytes behind the answer, without a command: \"250 "
	    "t\"") },
	{ .name = "an answer behind the last", .whole = 1, .steps = { CLEAR(AHEAD), SEND, TAKE,
	    BODY,
	    { "250 2.6.0 taken\r\n250 ok\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_ORDER, .kind = FAIL_PEER,
	    .text = "bytes behind the answer, without a command: \"250 ok\\x0d\\x0a\"",
	    ORDER, HELLO, .settled = ACCEPTED ACCEPTED },
	{ .name = "421 behind the last answer", .whole = 1, .steps = { CLEAR(AHEAD), SEND, TAKE,
	    BODY,
	    { "250 2.6.0 taken\r\n421 bye\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_421, .at_end = SMTP_STAGE_ORDER, .kind = FAIL_TEMP,
	    .text = "idle session answered with: 421 bye", ORDER, HELLO,
	    .settled = ACCEPTED ACCEPTED },
	{ .name = "two answers to MAIL, one by one", .whole = 1, .steps = { CLEAR(SIMPLE), SEND_1,
	    { "250 ok\r\n250 ok\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_RCPT, .kind = FAIL_PEER,
	    .text = "bytes behind the answer, without a command: \"250 ok\\x0d\\x0a\"", ORDER,
	    .settled =
	    BOTH("temp at RCPT, 0 after 0, 4.5.0: bytes behind the answer, without a command: "
	    "\"250 ok\\x0d\\x0a\"") },

	{ .name = "LMTP, each answers", .lmtp = 1, .steps = { CLEAR_LMTP(AHEAD),
	    { "<send>", "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n"
	    "RCPT TO:<g@h>\r\nDATA\r\n", SMTP_WANT_INPUT },
	    { "250 ok\r\n250 ok\r\n550 c\r\n250 ok\r\n250 ok\r\n354 go\r\n", "", SMTP_WANT_BODY },
	    BODY,
	    { "250 2.6.0 taken\r\n", "", SMTP_WANT_INPUT },
	    { "452 4.2.2 full\r\n550 5.2.2 full\r\n", "", SMTP_WANT_RESULT }, BYE },
	    .order = { .from = "" }, .rcpt = { "a@b", "c@d", "e@f", "g@h" }, HELLO,
	    .settled = ACCEPTED
	    "perm at RCPT, 550 after 550, 5.0.0: 550 c\n"
	    "temp at end of message, 452 after 250, 4.2.2: 452 4.2.2 full\n"
	    "perm at end of message, 550 after 250, 5.2.2: 550 5.2.2 full\n" },
	{ .name = "LMTP, closed between answers", .lmtp = 1, .steps = { CLEAR_LMTP(AHEAD), SEND,
	    TAKE, BODY,
	    { "250 2.6.0 taken\r\n", "", SMTP_WANT_INPUT }, { "<eof>", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_EOF, .at_end = SMTP_STAGE_DOT, .kind = FAIL_TEMP,
	    .text = "end of message: the peer closed the connection", ORDER, HELLO,
	    .settled = ACCEPTED
	    "unknown at end of message, 0 after 250, 4.4.2: end of message: the peer closed the "
	    "connection\n" },
	{ .name = "LMTP, 354 for nobody", .lmtp = 1, .steps = { CLEAR_LMTP(AHEAD), SEND,
	    { "250 ok\r\n550 a\r\n550 b\r\n354 go\r\n", "", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_BODY, .kind = FAIL_PEER,
	    .text = "DATA answered with 354, but no recipient is left", ORDER, .settled =
	    "perm at RCPT, 550 after 550, 5.0.0: 550 a\nperm at RCPT, 550 after 550, 5.0.0: 550 b\n"
	    },
	{ .name = "LMTP, one answer too many", .lmtp = 1, .whole = 1, .steps = { CLEAR_LMTP(AHEAD),
	    SEND, TAKE, BODY,
	    { "250 2.6.0 taken\r\n250 2.6.0 taken\r\n250 x\r\n", "QUIT\r\n", SMTP_WANT_CLOSE } },
	    .end = SMTP_END_PROTOCOL, .at_end = SMTP_STAGE_ORDER, .kind = FAIL_PEER,
	    .text = "bytes behind the answer, without a command: \"250 x\\x0d\\x0a\"",
	    ORDER, HELLO, .settled = ACCEPTED ACCEPTED },

	/* What goes out of a message. */
	{ .name = "message: empty", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", ".\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: no line end", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "hello\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "hello", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: a dot", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "..\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = ".", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: bare dots", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "..\r\n...\r\n....\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = ".\r\n..\r\n...\r\n", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: a final dot inside", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "a\r\n..\r\nQUIT\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "a\r\n.\r\nQUIT\r\n", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: dots elsewhere", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "a.b.\r\n .\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "a.b.\r\n .\r\n", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: empty lines", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "\r\n\r\n..\r\n\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "\r\n\r\n.\r\n\r\n", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: CR at the end", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "a\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "a\r", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: LF alone", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "a\r\n..\r\nb\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "a\n.\nb\n", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: CR alone", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "a\r\n..\r\nb\r\n\r\n..c\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "a\r.\rb\r\r\n.c", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: LF before the dot", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "a\r\n..\r\nb\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = "a\n.\r\nb\r\n", .settled = ACCEPTED ACCEPTED },
	{ .name = "message: dot, CR", .steps = { CLEAR(AHEAD), SEND, TAKE,
	    { "<body>", "..\r\n.\r\n", SMTP_WANT_INPUT }, TAKEN },
	    ORDER, .body = ".\r", .settled = ACCEPTED ACCEPTED },
};

/* How bytes are cut: the first piece, and all further ones. */
struct cut {
	size_t first, rest;
};

static size_t
piece_of(const struct cut *cut, const char *whole, const char *s)
{
	size_t n = s == whole ? cut->first : cut->rest, len = strlen(s);

	return len < n ? len : n;
}

static enum smtp_want
feed(struct smtp_client *c, const char *whole, const struct cut *cut)
{
	const char *s;
	size_t n;

	for (s = whole; *s != '\0'; s += n)
		smtp_client_feed(c, s, n = piece_of(cut, whole, s));
	return c->want;
}

static enum smtp_want
give_body(struct smtp_client *c, const char *whole, const struct cut *cut)
{
	const char *s;
	size_t n;

	for (s = whole; *s != '\0'; s += n)
		smtp_client_body(c, s, n = piece_of(cut, whole, s));
	return c->want;
}

static enum smtp_want
send_order(struct smtp_client *c, const struct script *s)
{
	struct smtp_transaction o = s->order;

	o.rcpt = s->rcpt;
	for (o.nrcpts = 0; o.nrcpts < RCPTS_MAX && s->rcpt[o.nrcpts] != NULL; o.nrcpts++)
		;
	return smtp_client_send(c, &o);
}

static enum smtp_want
run_step(struct smtp_client *c, const struct script *s, const char *step, const struct cut *cut)
{
	struct fail f = FAIL_INIT;

	if (strcmp(step, "<tls>") == 0)
		return smtp_client_tls_done(c);
	if (strcmp(step, "<eof>") == 0)
		return smtp_client_eof(c);
	if (strcmp(step, "<auth>") == 0)
		return smtp_client_auth(c, "tim", "tanstaaftanstaaf");
	if (strcmp(step, "<long>") == 0)
		return smtp_client_auth(c, "tim", LONG);
	if (strcmp(step, "<quit>") == 0)
		return smtp_client_quit(c);
	if (strcmp(step, "<send>") == 0)
		return send_order(c, s);
	if (strcmp(step, "<half>") == 0)
		return give_body(c, s->body, cut);
	if (strcmp(step, "<body>") == 0) {
		give_body(c, s->body, cut);
		return smtp_client_body_end(c);
	}
	if (strcmp(step, "<tls-failed>") == 0) {
		fail(&f, FAIL_PEER, "no shared cipher");
		return smtp_client_tls_failed(c, &f);
	}
	if (strcmp(step, "<lost>") == 0) {
		fail(&f, FAIL_TEMP, "timed out");
		return smtp_client_lost(c, &f);
	}
	return feed(c, step, cut);
}

/* "accepted at end of message, 250 after 250, 2.0.0: 250 2.0.0 taken" */
static void
put_settled(struct buf *b, const struct smtp_txn *t)
{
	char status[SMTP_STATUS_MAX];
	size_t i;

	for (i = 0; i < t->order.nrcpts; i++) {
		const struct smtp_rcpt *r = &t->rcpt[i];

		buf_printf(b, "%s at %s, %d after %d, %s: %s\n", smtp_rcpt_state_name(r->state),
		    smtp_stage_name(r->stage), r->code, r->rcpt_code,
		    smtp_status_text(status, &r->status), r->text != NULL ? r->text : "-");
	}
}

static void
put_step(struct buf *b, size_t i, enum smtp_want want, const char *out)
{
	buf_printf(b, "%zu %s: %s\n", i, wants[want], out);
}

static void
put_end(struct buf *b, enum smtp_end end, enum smtp_stage stage, enum fail_kind kind,
    const char *text)
{
	buf_printf(b, "end %s at %s, %d: %s\n", smtp_end_name(end),
	    end != SMTP_END_NONE ? smtp_stage_name(stage) : "-", (int)kind, text);
}

/* What a script wants: its steps and end, and what became of its orders. */
static void
wanted(const struct script *s, struct buf *all)
{
	size_t i;

	for (i = 0; i < STEPS_MAX && s->steps[i].server != NULL; i++)
		put_step(all, i, s->steps[i].want, s->steps[i].out);
	put_end(all, s->end, s->at_end, s->kind, s->text != NULL ? s->text : "");
	buf_puts(all, s->settled != NULL ? s->settled : "");
}

static void
happened(const struct script *s, const struct cut *cut, struct buf *all)
{
	struct smtp_client_conf conf = { .ehlo = "me.example", .use_tls = s->tls, .lmtp = s->lmtp,
		.implicit_tls = s->implicit, .chunking = s->chunking ? SMTP_CHUNK_SIZE : 0 };
	struct buf settled = BUF_INIT;
	struct smtp_client c;
	size_t i;

	smtp_client_init(&c, &conf);
	for (i = 0; i < STEPS_MAX && s->steps[i].server != NULL; i++) {
		const char *server = s->steps[i].server;
		int under_way = c.txn.under_way || strcmp(server, "<send>") == 0;
		enum smtp_want want = run_step(&c, s, server, cut);

		put_step(all, i, want, c.out.len > 0 ? c.out.p : "");
		buf_drop(&c.out, c.out.len);
		if (under_way && !c.txn.under_way)
			put_settled(&settled, &c.txn);
	}
	put_end(all, c.end, c.stage_at_end, c.fail.kind,
	    s->whole && cut->rest == 1 && s->text != NULL ? s->text : c.fail.text);
	buf_add(all, settled.p, settled.len);
	buf_clear(&settled);
	smtp_client_clear(&c);
}

static int
is_as_wanted(const struct script *s, const struct cut *cut, const char *how, int loud)
{
	struct buf got = BUF_INIT, want = BUF_INIT;
	int same;

	happened(s, cut, &got);
	wanted(s, &want);
	same = strcmp(got.p, want.p) == 0;
	if (loud || !same)
		unit_str(got.p, want.p, "%s, %s, %zu then %zu", s->name, how, cut->first,
	    cut->rest);
	buf_clear(&got);
	buf_clear(&want);
	return same;
}

static void
run(const struct script *s)
{
	static const struct cut whole = { 10000, 10000 }, bytes = { 1, 1 };
	struct cut cut;
	int same = 1;

	is_as_wanted(s, &whole, "whole", 1);
	if (s->whole && s->end != SMTP_END_INJECTION)
		return;
	is_as_wanted(s, &bytes, "byte by byte", 1);
	if (s->whole)
		return;
	for (cut.first = cut.rest = 2; cut.first < 10; cut.first++, cut.rest++)
		same &= is_as_wanted(s, &cut, "in pieces", 0);
	cut.rest = 10000;
	for (cut.first = 1; cut.first < SPLITS; cut.first++)
		same &= is_as_wanted(s, &cut, "split", 0);
	unit_ok(same, "%s, in pieces and split everywhere", s->name);
}

/* ---- a message of several chunks ---- */

#define LARGE 200000

static const struct chunk_row {
	const char *name, *caps;
	int lmtp;
	size_t awaited;			/* chunks that go out before an answer */
	const char *answer;		/* to the second chunk */
	enum smtp_rcpt_state state;
	size_t said;			/* chunks in all, LAST included */
} chunk_rows[] = {
	{ "PIPELINING", "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", 0, 3, "250 ok\r\n", SMTP_RCPT_ACCEPTED, 4 },
	{ "one by one", "250-mx\r\n250 CHUNKING\r\n", 0, 1, "250 ok\r\n", SMTP_RCPT_ACCEPTED, 4 },
	{ "LMTP", "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", 1, 1, "250 ok\r\n", SMTP_RCPT_ACCEPTED, 4 },
	{ "refused for now", "250-mx\r\n250 CHUNKING\r\n", 0, 1, "452 4.3.1 full\r\n", SMTP_RCPT_TEMP, 2 },
	{ "refused", "250-mx\r\n250 CHUNKING\r\n", 0, 1, "552 5.3.4 large\r\n", SMTP_RCPT_PERM, 2 },
	{ "LMTP, refused", "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", 1, 1, "552 no\r\n", SMTP_RCPT_PERM, 2 },
	{ "PIPELINING, refused", "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", 0, 3, "554 no\r\n", SMTP_RCPT_PERM, 3 },
	{ "PIPELINING, 354", "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", 0, 3, "354 go\r\n", SMTP_RCPT_TEMP, 3 },
};

/* Takes what was said; how many chunks that is. */
static size_t
take_chunks(struct smtp_client *c, struct buf *message)
{
	size_t n = 0, used;
	char *at;

	for (at = c->out.p; c->out.len > 0 && (size_t)(at - c->out.p) < c->out.len; at += used, n++) {
		size_t octets = strtoul(at + 5, NULL, 10), line = strchr(at, '\n') + 1 - at;

		unit_ok(strncmp(at, "BDAT ", 5) == 0, "a chunk begins");
		buf_add(message, at + line, octets);
		used = line + octets;
	}
	buf_drop(&c->out, c->out.len);
	return n;
}

static enum smtp_want
say(struct smtp_client *c, const char *s)
{
	return smtp_client_feed(c, s, strlen(s));
}

static void
run_chunks(const struct chunk_row *row)
{
	struct smtp_client_conf conf = { .ehlo = "me.example", .lmtp = row->lmtp, .chunking = SMTP_CHUNK_SIZE };
	struct smtp_transaction order = { .from = "", .rcpt = (const char *const[]){ "a@b", "c@d" }, .nrcpts = 2 };
	struct buf body = BUF_INIT, message = BUF_INIT;
	size_t said = 0, answered = 0, at;
	struct smtp_client c;

	while (body.len < LARGE)
		buf_puts(&body, ".a line of a message\r\n");
	smtp_client_init(&c, &conf);
	say(&c, "220 mx\r\n");
	buf_drop(&c.out, c.out.len);
	say(&c, row->caps);
	smtp_client_send(&c, &order);
	while (c.want == SMTP_WANT_INPUT) {
		buf_drop(&c.out, c.out.len);
		say(&c, "250 ok\r\n");
	}
	for (at = 0; at < body.len && c.want != SMTP_WANT_RESULT && c.want != SMTP_WANT_CLOSE;) {
		size_t n = body.len - at < 32768 ? body.len - at : 32768;

		while (c.want == SMTP_WANT_INPUT)
			say(&c, answered++ == 1 ? row->answer : "250 ok\r\n");
		if (c.want != SMTP_WANT_BODY)
			break;
		smtp_client_body(&c, body.p + at, n);
		at += n;
		said += take_chunks(&c, &message);
		unit_ok(said - answered <= row->awaited, "%s: %zu said, %zu answered", row->name, said, answered);
		if (said == 3 && row->awaited == 3 && answered == 0) {
			say(&c, "250 ok\r\n");
			answered = 2;
			say(&c, row->answer);
		}
	}
	/* What is under way still may have failed. */
	while (c.want == SMTP_WANT_INPUT && c.stage == SMTP_STAGE_BODY)
		say(&c, answered++ == 1 ? row->answer : "250 ok\r\n");
	if (c.want == SMTP_WANT_BODY) {
		smtp_client_body_end(&c);
		said += take_chunks(&c, &message);
		unit_str(message.p, body.p, "%s: the message", row->name);
	}
	while (c.want == SMTP_WANT_INPUT)
		say(&c, "250 2.6.0 taken\r\n");
	unit_int(said, row->said, "%s: chunks", row->name);
	unit_int(c.txn.rcpt[0].state, row->state, "%s: %s", row->name, c.txn.rcpt[0].text);
	unit_int(c.txn.rcpt[1].state, row->state, "%s: %s", row->name, c.txn.rcpt[1].text);
	unit_int(c.broken_off, c.want == SMTP_WANT_RESULT && row->state != SMTP_RCPT_ACCEPTED, "%s: RSET", row->name);
	smtp_client_clear(&c);
	buf_clear(&body);
	buf_clear(&message);
}

/* The server says something, and what we say goes out. */
static enum smtp_want
hear(struct smtp_client *c, const char *s)
{
	smtp_client_feed(c, s, strlen(s));
	buf_drop(&c->out, c->out.len);
	return c->want;
}

static void
start(struct smtp_client *c, enum smtp_use_tls tls)
{
	struct smtp_client_conf conf = { .ehlo = "me.example", .use_tls = tls };

	smtp_client_init(c, &conf);
	hear(c, "220 mx.example ESMTP\r\n");
}

static void
test_record(void)
{
	struct smtp_client c;

	start(&c, SMTP_TLS_IF_OFFERED);
	hear(&c, EHLO);
	hear(&c, "220 2.0.0 go\r\n");
	unit_int(smtp_client_caps0(&c)->size, 1000, "in clear the first capabilities hold");
	smtp_client_tls_done(&c);
	buf_drop(&c.out, c.out.len);
	unit_int(smtp_client_caps0(&c)->bits, 0, "RFC 3207 4.2: forgotten with TLS");
	hear(&c, "250-mx.example\r\n250 REQUIRETLS\r\n");
	unit_str(c.banner.text.p, "mx.example ESMTP", "the banner is kept");
	unit_int(c.caps.bits, SMTP_CAP_SIZE | SMTP_CAP_STARTTLS,
	    "so are the capabilities in clear");
	unit_int(c.caps_tls.bits, SMTP_CAP_REQUIRETLS, "and those inside TLS");
	unit_int(c.starttls.code, 220, "and the answer to STARTTLS");
	unit_int(c.starttls.status.class, 2, "with its status");
	unit_ok(c.tls && c.esmtp && c.starttls_sent && !c.starttls_refused, "flags");
	smtp_client_clear(&c);

	start(&c, SMTP_TLS_IF_OFFERED);
	hear(&c, EHLO);
	hear(&c, "454 4.7.0 TLS not available\r\n");
	unit_ok(c.starttls_refused && !c.tls, "a refusal leaves the session in clear");
	unit_str(c.starttls.text.p, "4.7.0 TLS not available", "its text is kept");
	unit_int(c.fail.kind, FAIL_NONE, "and is no failure yet");
	smtp_client_clear(&c);

	start(&c, SMTP_TLS_IF_OFFERED);
	hear(&c, "500 what?\r\n");
	hear(&c, "250 hello\r\n");
	unit_ok(!c.esmtp && c.caps.bits == 0, "HELO gives no capabilities");
	unit_int(c.fail.kind, FAIL_NONE, "and a refused EHLO before it is no failure");
	smtp_client_clear(&c);
}

static const char *const two[] = { "a@b.example", "c@d.example" };

/* A session with an order for two, up to MAIL, in an EHLO of the caller's. */
static void
start_order(struct smtp_client *c, const char *ehlo)
{
	struct smtp_transaction order = { .from = "me@here.example", .rcpt = two, .nrcpts = 2 };

	start(c, SMTP_TLS_NEVER);
	hear(c, ehlo);
	smtp_client_send(c, &order);
}

/* What stands in out has not been sent: no answer to it can be one. */
static void
test_unsent(void)
{
	struct smtp_client c;

	start_order(&c, "250-mx\r\n250 PIPELINING\r\n");
	buf_drop(&c.out, strchr(c.out.p, '\n') + 1 - c.out.p);
	smtp_client_feed(&c, "250 ok\r\n", 8);
	unit_int(c.want, SMTP_WANT_INPUT, "MAIL was sent: its answer counts");
	unit_str(c.out.p, "RCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
	    "the rest of the group still waits");
	smtp_client_feed(&c, "250 ok\r\n", 8);
	unit_str(c.fail.text, "a reply without a command: 250 ok", "RCPT was not sent");
	unit_str(c.out.p, "QUIT\r\n", "and is not any more");
	unit_int(c.txn.rcpt[0].state, SMTP_RCPT_TEMP, "nobody has got anything");
	smtp_client_clear(&c);

	start_order(&c, "250-mx\r\n250 PIPELINING\r\n");
	buf_drop(&c.out, c.out.len);
	hear(&c, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	smtp_client_body(&c, "x\r\n", 3);
	smtp_client_body_end(&c);
	buf_drop(&c.out, c.out.len - 1);
	unit_str(c.out.p, "\n", "all but one octet of the dot was sent");
	smtp_client_feed(&c, "250 taken\r\n", 11);
	unit_int(c.end, SMTP_END_PROTOCOL, "taken, before it was whole?");
	unit_int(c.out.len, 0, "the dot stays unsent");
	unit_int(c.txn.rcpt[1].state, SMTP_RCPT_TEMP, "so it cannot have been taken");
	smtp_client_clear(&c);

	start_order(&c, "250-mx\r\n250 PIPELINING\r\n");
	buf_drop(&c.out, c.out.len);
	hear(&c, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	unit_int(hear(&c, "250 ta"), SMTP_WANT_BODY, "an answer begins before the message");
	smtp_client_body_end(&c);
	buf_drop(&c.out, c.out.len);
	unit_int(hear(&c, "ken\r\n"), SMTP_WANT_CLOSE, "and ends behind it");
	unit_str(c.fail.text, "a reply without a command: 250 taken", "it answers nothing");
	unit_int(c.txn.rcpt[0].state, SMTP_RCPT_UNKNOWN, "the true one was not seen");
	smtp_client_clear(&c);

	start_order(&c, "250 mx\r\n");
	unit_int(smtp_client_eof(&c), SMTP_WANT_CLOSE, "closed with MAIL unsent");
	unit_int(c.out.len, 0, "nothing is left to send");
	smtp_client_clear(&c);
}

/* A thousand recipients: groups of bounded size. */
static void
test_many(int pipelining)
{
	enum { MANY = 1000 };
	struct smtp_client_conf conf = { .ehlo = "me.example", .use_tls = SMTP_TLS_NEVER };
	const char **rcpt = calloc(MANY, sizeof *rcpt);
	struct smtp_transaction order = { .from = "", .rcpt = rcpt, .nrcpts = MANY };
	size_t i, most = 0, said = 0, commands = 0, accepted = 0;
	unsigned awaited = 0;
	struct smtp_client c;
	const char *p;

	for (i = 0; i < MANY; i++)
		rcpt[i] = "someone@where.example";
	smtp_client_init(&c, &conf);
	hear(&c, "220 mx\r\n");
	hear(&c, pipelining ? "250-mx\r\n250 PIPELINING\r\n" : "250 mx\r\n");
	smtp_client_send(&c, &order);
	while (c.want == SMTP_WANT_INPUT && c.stage != SMTP_STAGE_DOT) {
		if (c.out.len > most)
			most = c.out.len;
		for (p = c.out.p; c.out.len > 0 && (p = strchr(p, '\n')) != NULL; p++)
			said++;
		buf_drop(&c.out, c.out.len);
		if (said - commands > awaited)
			awaited = said - commands;
		smtp_client_feed(&c, ++commands == MANY + 2 ? "354 go\r\n" : "250 ok\r\n", 8);
	}
	unit_int(c.want, SMTP_WANT_BODY, "a thousand recipients, pipelining %d", pipelining);
	unit_int(commands, MANY + 2, "MAIL, RCPT, DATA");
	unit_int(awaited, pipelining ? SMTP_PIPELINE_MAX : 1, "answers awaited at most");
	unit_ok(most <= SMTP_PIPELINE_MAX * (size_t)34, "at most %zu octets wait to be sent", most);
	smtp_client_body_end(&c);
	unit_str(c.out.p, ".\r\n", "an empty message");
	buf_drop(&c.out, c.out.len);
	unit_int(hear(&c, "250 2.6.0 taken\r\n"), SMTP_WANT_RESULT, "taken");
	for (i = 0; i < MANY; i++)
		accepted += c.txn.rcpt[i].state == SMTP_RCPT_ACCEPTED;
	unit_int(accepted, MANY, "by all");
	smtp_client_clear(&c);
	free(rcpt);
}

/* Pieces of 1000 octets of a message whose lines all begin with a dot. */
static void
test_stream(void)
{
	static const char line[] = ".234567890123456789012345678901234567890123456789\r\n";
	enum { LINE = sizeof line - 1, OCTETS = 20 * 1000 * 1000, PIECE = 1000, HIGH = 4000 };
	char message[LINE + PIECE];
	size_t at, n, most = 0, total = 0;
	struct smtp_client c;

	for (at = 0; at < sizeof message; at++)
		message[at] = line[at % LINE];
	start_order(&c, "250-mx\r\n250 PIPELINING\r\n");
	buf_drop(&c.out, c.out.len);
	hear(&c, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	for (at = 0; at < OCTETS; at += n) {
		n = OCTETS - at < PIECE ? OCTETS - at : PIECE;
		smtp_client_body(&c, message + at % LINE, n);
		if (c.out.len > most)
			most = c.out.len;
		if (c.out.len > HIGH) {
			total += c.out.len;
			buf_drop(&c.out, c.out.len);
		}
	}
	smtp_client_body_end(&c);
	total += c.out.len;
	unit_ok(most <= HIGH + 2 * PIECE, "20 MB in pieces: %zu octets wait at most", most);
	unit_int(total, OCTETS + (OCTETS + LINE - 1) / LINE + (OCTETS % LINE ? 2 : 0) + 3,
	    "every line begins with a dot more");
	smtp_client_clear(&c);
}

static void
test_names(void)
{
	int i;

	for (i = 0; i < SMTP_ENDS; i++)
		unit_ok(smtp_end_name(i) != NULL, "end %d has a name: %s", i, smtp_end_name(i));
	for (i = 0; i < SMTP_RCPT_STATES; i++)
		unit_ok(smtp_rcpt_state_name(i) != NULL, "state %d has a name: %s", i,
		    smtp_rcpt_state_name(i));
	for (i = 0; i < SMTP_STAGES; i++)
		unit_ok(smtp_stage_name(i) != NULL, "stage %d has a name: %s", i,
		    smtp_stage_name(i));
}

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
		run(&scripts[i]);
	test_record();
	test_unsent();
	test_many(0);
	test_many(1);
	test_stream();
	test_names();
	for (i = 0; i < sizeof chunk_rows / sizeof chunk_rows[0]; i++)
		run_chunks(&chunk_rows[i]);
	return unit_done();
}
