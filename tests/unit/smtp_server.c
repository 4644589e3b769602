/*
 * Sessions as scripts: what the client sends, step by step, and all that comes of it: replies as they
 * stand in out, and wants as <words>.  Out is emptied between steps only.  Each script runs with every
 * step in one piece, byte by byte, split in two at every place, and with the caller answering late.
 */
#include "smtp_server.h"

#include <stdlib.h>

#include "alloc.h"
#include "unit.h"

#define STEPS_MAX 10

struct script {
	const char *name;
	const char *steps[STEPS_MAX];	/* bytes (\1 is NUL), or an event: "<tls>", "<eof>", ... */
	const char *want;
	const char *in_pieces;		/* where it matters what came in one read: then this */
	enum smtp_server_end end;
	const char *fail;		/* s.fail's text; NULL: none */
	enum smtp_server_tls_level tls;
	unsigned offers;
	enum smtp_server_auth auth;
	int quiet;			/* no greeting before the first step */
	struct smtp_server_limits limits; /* zeros: the default */
};

#define BANNER "220 mx.example ESMTP\n"
#define EHLO "EHLO c.example\r\n"
#define HI "250-mx.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n250 ENHANCEDSTATUSCODES\n"
#define HI_TLS "250-mx.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n250-STARTTLS\n" \
	"250 ENHANCEDSTATUSCODES\n"
#define HI_WITH(line) "250-mx.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n250-" line \
	"\n250 ENHANCEDSTATUSCODES\n"
#define HI_CHUNKS HI_WITH("CHUNKING")
#define HI_DSN HI_WITH("DSN")
#define HI_UTF8 HI_WITH("SMTPUTF8")
#define HI_AUTH HI_WITH("AUTH PLAIN LOGIN")
#define NO_ENVID "501 5.5.4 Expected ENVID= and up to 100 characters of xtext\n"
#define NO_NOTIFY "501 5.5.4 Expected NOTIFY=NEVER, or of SUCCESS, FAILURE and DELAY with commas\n"
#define NO_ORCPT "501 5.5.4 Expected ORCPT=type;address in xtext\n"
#define NO_SASL "501 5.5.2 Expected base64 of what the mechanism asks for\n<refused AUTH >"
#define MAIL "MAIL FROM:<a@c.example>\r\n"
#define MAIL_OK "<mail a@c.example>250 2.1.0 Ok\n"
#define RCPT "RCPT TO:<b@mx.example>\r\n"
#define RCPT_OK "<rcpt b@mx.example>250 2.1.5 Ok\n"
#define GO "354 End data with <CR><LF>.<CR><LF>\n"
#define DATA_OK "<begin>" GO
#define QUEUED "<end>250 2.0.0 queued as 1\n"
#define BYE "221 2.0.0 Bye\n<close>"
#define TO_DATA EHLO, MAIL RCPT "DATA\r\n"
#define TO_DATA_OK BANNER HI MAIL_OK RCPT_OK DATA_OK
#define TURN "554 5.5.0 You talk before it is your turn\n"
#define TURN_FAIL "You talk before it is your turn"
#define ENDS_IN ": lines end in CR LF and hold neither, nor NUL"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): lines of one string */
static const struct script scripts[] = {
	{ .name = "a message", .steps = { TO_DATA, "Subject: x\r\n\r\nhello\r\n.\r\n", "QUIT\r\n" },
	    .want = TO_DATA_OK "<body Subject: x\\r\\n\\r\\nhello\\r\\n>" QUEUED BYE,
	    .end = SMTP_SERVER_END_QUIT },
	{ .name = "an empty message", .steps = { TO_DATA, ".\r\n", "QUIT\r\n" },
	    .want = TO_DATA_OK QUEUED BYE, .end = SMTP_SERVER_END_QUIT },
	{ .name = "dots", .steps = { TO_DATA, "..\r\n.a\r\n...\r\na.\r\n. \r\n..\r\n.\r\n" },
	    .want = TO_DATA_OK "<body .\\r\\na\\r\\n..\\r\\na.\\r\\n \\r\\n.\\r\\n>" QUEUED },
	{ .name = "two messages, the second begun behind the dot", .steps = { TO_DATA,
	    "1\r\n.\r\n" MAIL RCPT "DATA\r\n", "2\r\n.\r\nQUIT\r\n" },
	    .want = TO_DATA_OK "<body 1\\r\\n>" QUEUED MAIL_OK RCPT_OK DATA_OK "<body 2\\r\\n>" QUEUED BYE,
	    .end = SMTP_SERVER_END_QUIT },
	{ .name = "HELO", .steps = { "HELO c.example\r\n", MAIL, RCPT, "DATA\r\n", "x\r\n.\r\n" },
	    .want = BANNER "250 mx.example\n" MAIL_OK RCPT_OK DATA_OK "<body x\\r\\n>" QUEUED },
	{ .name = "any case, white space around", .steps = { "eHlO \t c.example \t\r\n",
	    "mail  from: <a@c.example> size=10\tbody=8bitmime \r\nrCPT to:\t<b@mx.example>\r\nRSET \r\n" },
	    .want = BANNER HI "<mail a@c.example size=10 8bit>250 2.1.0 Ok\n" RCPT_OK "250 2.0.0 Ok\n" },
	{ .name = "null sender and postmaster", .steps = { EHLO,
	    "MAIL FROM:<>\r\nRCPT TO:<PostMaster>\r\nRCPT TO:<root>\r\nRCPT TO:<>\r\n" },
	    .want = BANNER HI "<mail >250 2.1.0 Ok\n<rcpt PostMaster>250 2.1.5 Ok\n"
	    "501 5.1.3 Expected an @ behind the local part\n<refused RCPT TO:<root>>"
	    "501 5.1.3 expected a local part\n<refused RCPT TO:<>>" },
	{ .name = "recipients refused one by one", .steps = { EHLO, MAIL "RCPT TO:<no@mx.example>\r\n"
	    "RCPT TO:<later@mx.example>\r\n" RCPT "DATA\r\n", "x\r\n.\r\n" },
	    .want = BANNER HI MAIL_OK "<rcpt no@mx.example>550 5.1.1 No such user\n"
	    "<refused RCPT TO:<no@mx.example>><rcpt later@mx.example>451 4.3.0 Try again\n"
	    "<refused RCPT TO:<later@mx.example>>" RCPT_OK DATA_OK "<body x\\r\\n>" QUEUED },
	{ .name = "no recipient left", .steps = { EHLO, MAIL "RCPT TO:<no@mx.example>\r\nDATA\r\n" },
	    .want = BANNER HI MAIL_OK "<rcpt no@mx.example>550 5.1.1 No such user\n"
	    "<refused RCPT TO:<no@mx.example>>554 5.5.1 No valid recipients\n<refused DATA >" },
	{ .name = "sender refused", .steps = { EHLO, "MAIL FROM:<no@c.example>\r\n" RCPT MAIL },
	    .want = BANNER HI "<mail no@c.example>550 5.7.1 Not you\n<refused MAIL FROM:<no@c.example>>"
	    "503 5.5.1 Say MAIL first\n<refused RCPT TO:<b@mx.example>>" MAIL_OK },
	{ .name = "421 from the caller", .steps = { EHLO, MAIL "RCPT TO:<bye@mx.example>\r\n" RCPT },
	    .want = BANNER HI MAIL_OK "<rcpt bye@mx.example>421 4.7.0 Go away\n"
	    "<refused RCPT TO:<bye@mx.example>><close>", .end = SMTP_SERVER_END_ANSWER,
	    .fail = "RCPT: Go away" },
	{ .name = "no room for the message", .steps = { EHLO, "MAIL FROM:<full@c.example>\r\n" RCPT
	    "DATA\r\n", RCPT, "<eof>" },
	    .want = BANNER HI "<mail full@c.example>250 2.1.0 Ok\n" RCPT_OK
	    "<begin>452 4.3.1 Disk full\n<refused DATA >"
	    "503 5.5.1 Say MAIL first\n<refused RCPT TO:<b@mx.example>><close>",
	    .end = SMTP_SERVER_END_EOF, .fail = "command: the client closed the connection" },
	{ .name = "not committed", .steps = { EHLO, "MAIL FROM:<lost@c.example>\r\n" RCPT "DATA\r\n",
	    "x\r\n.\r\nQUIT\r\n" },
	    .want = BANNER HI "<mail lost@c.example>250 2.1.0 Ok\n" RCPT_OK DATA_OK
	    "<body x\\r\\n><end>451 4.3.0 Not safe\n<refused DATA >" BYE, .end = SMTP_SERVER_END_QUIT },
	{ .name = "out of order", .steps = { MAIL, RCPT, "DATA\r\n", "RSET\r\n", EHLO, MAIL MAIL "RSET\r\n"
	    RCPT, EHLO, "DATA\r\n" },
	    .want = BANNER "503 5.5.1 Say EHLO first\n<refused MAIL FROM:<a@c.example>>"
	    "503 5.5.1 Say MAIL first\n<refused RCPT TO:<b@mx.example>>"
	    "503 5.5.1 Say MAIL first\n<refused DATA >250 2.0.0 Ok\n" HI MAIL_OK
	    "503 5.5.1 A transaction is open already\n<refused MAIL FROM:<a@c.example>>250 2.0.0 Ok\n"
	    "503 5.5.1 Say MAIL first\n<refused RCPT TO:<b@mx.example>>" HI
	    "503 5.5.1 Say MAIL first\n<refused DATA >" },
	{ .name = "EHLO resets", .steps = { EHLO, MAIL RCPT EHLO, RCPT },
	    .want = BANNER HI MAIL_OK RCPT_OK HI
	    "503 5.5.1 Say MAIL first\n<refused RCPT TO:<b@mx.example>>" },
	{ .name = "other commands", .steps = { "NOOP who cares\r\n", "VRFY a\r\n", "VRFY\r\n",
	    "EXPN a\r\n", "HELP\r\n", "AUTH PLAIN AGEAYg==\r\n", "XYZZY \033[m\r\n", "\r\n", "QUIT\r\n" },
	    .want = BANNER "250 2.0.0 Ok\n252 2.5.2 Cannot say; send mail and see\n"
	    "501 5.5.4 Expected an address\n<refused VRFY >502 5.5.1 Command not implemented\n"
	    "<refused EXPN >214 2.0.0 See RFC 5321\n"
	    "502 5.5.1 AUTH is not offered\n<refused AUTH >"
	    "500 5.5.2 Command not recognized\n<refused command >"
	    "500 5.5.2 Command not recognized\n<refused command >" BYE, .end = SMTP_SERVER_END_QUIT },
	{ .name = "arguments where there are none", .steps = { EHLO, "RSET x\r\n", "DATA x\r\n",
	    "STARTTLS x\r\n", "QUIT x\r\n" },
	    .want = BANNER HI "501 5.5.4 No argument is allowed here\n<refused RSET >"
	    "501 5.5.4 No argument is allowed here\n<refused DATA >"
	    "501 5.5.4 No argument is allowed here\n<refused STARTTLS >"
	    "501 5.5.4 No argument is allowed here\n<refused QUIT >" },
	{ .name = "names in EHLO", .steps = { "EHLO\r\n", "EHLO a b\r\n", "HELO a(b)\r\n",
	    "EHLO \xc3\xa9.example\r\n", "HELO [192.0.2.1]\r\n", "HELO my_host\r\n" },
	    .want = BANNER "501 5.5.4 Expected a host name or an address in brackets\n<refused EHLO >"
	    "501 5.5.4 Expected a host name or an address in brackets\n<refused EHLO a b>"
	    "501 5.5.4 Expected a host name or an address in brackets\n<refused HELO a(b)>"
	    "501 5.5.4 Expected a host name or an address in brackets\n<refused EHLO \xc3\xa9.example>"
	    "250 mx.example\n250 mx.example\n" },
	{ .name = "parameters of MAIL", .steps = { EHLO, "MAIL FROM:<a@c.example> SIZE\r\n"
	    "MAIL FROM:<a@c.example> SIZE=x\r\nMAIL FROM:<a@c.example> SIZE=52428801\r\n"
	    "MAIL FROM:<a@c.example> SIZE=99999999999999999999\r\n"
	    "MAIL FROM:<a@c.example> BODY=BINARYMIME\r\nMAIL FROM:<a@c.example> SIZE=1 SIZE=1\r\n"
	    "MAIL FROM:<a@c.example> X=1\r\nMAIL FROM:<a@c.example>SIZE=1\r\n"
	    "MAIL FROM:<a@c.example> BODY=7BIT SIZE=52428800\r\n" RCPT "RCPT TO:<b@c.example> X\r\n" },
	    .want = BANNER HI "501 5.5.4 Expected SIZE=number\n<refused MAIL FROM:<a@c.example> SIZE>"
	    "501 5.5.4 Expected SIZE=number\n<refused MAIL FROM:<a@c.example> SIZE=x>"
	    "552 5.3.4 The message is larger than this server takes\n"
	    "<refused MAIL FROM:<a@c.example> SIZE=52428801>"
	    "552 5.3.4 The message is larger than this server takes\n"
	    "<refused MAIL FROM:<a@c.example> SIZE=99999999999999999999>"
	    "501 5.5.4 Expected BODY=7BIT or BODY=8BITMIME\n"
	    "<refused MAIL FROM:<a@c.example> BODY=BINARYMIME>"
	    "501 5.5.4 A parameter was given twice\n<refused MAIL FROM:<a@c.example> SIZE=1 SIZE=1>"
	    "555 5.5.4 Parameter not recognized\n<refused MAIL FROM:<a@c.example> X=1>"
	    "501 5.5.4 Expected a space behind the address\n<refused MAIL FROM:<a@c.example>SIZE=1>"
	    "<mail a@c.example size=52428800>250 2.1.0 Ok\n" RCPT_OK
	    "555 5.5.4 Parameter not recognized\n<refused RCPT TO:<b@c.example> X>" },
	{ .name = "no address", .steps = { EHLO, "MAIL\r\nMAIL TO:<a@b>\r\nMAIL FROM:a@c.example\r\n"
	    "MAIL FROM:<\xc3\xa9@c.example>\r\nMAIL FROM:<a@c.example\r\n" },
	    .want = BANNER HI "501 5.5.4 Expected FROM:<address>\n<refused MAIL >"
	    "501 5.5.4 Expected FROM:<address>\n<refused MAIL TO:<a@b>>"
	    "501 5.1.7 expected an address in <>\n<refused MAIL FROM:a@c.example>"
	    "553 5.6.7 Addresses beyond ASCII are not supported\n"
	    "<refused MAIL FROM:<\xc3\xa9@c.example>>"
	    "501 5.1.7 expected a > behind the address\n<refused MAIL FROM:<a@c.example>" },

	/* TLS. */
	{ .name = "STARTTLS", .tls = SMTP_SERVER_TLS_PREFERRED, .steps = { EHLO, MAIL RCPT "STARTTLS\r\n",
	    "<tls>", MAIL, EHLO, RCPT, "STARTTLS\r\n", MAIL },
	    .want = BANNER HI_TLS MAIL_OK RCPT_OK "220 2.0.0 Ready to start TLS\n<tls>"
	    "503 5.5.1 Say EHLO first\n<refused MAIL FROM:<a@c.example>>" HI
	    "503 5.5.1 Say MAIL first\n<refused RCPT TO:<b@mx.example>>"
	    "503 5.5.1 TLS is active already\n<refused STARTTLS >" MAIL_OK },
	{ .name = "STARTTLS not offered", .steps = { EHLO, "STARTTLS\r\n" },
	    .want = BANNER HI "502 5.5.1 STARTTLS is not offered\n<refused STARTTLS >" },
	{ .name = "handshake failed", .tls = SMTP_SERVER_TLS_PREFERRED, .steps = { EHLO, "STARTTLS\r\n",
	    "<tls-failed>", EHLO },
	    .want = BANNER HI_TLS "220 2.0.0 Ready to start TLS\n<tls><close>",
	    .end = SMTP_SERVER_END_HANDSHAKE, .fail = "no shared cipher" },
	{ .name = "TLS first", .tls = SMTP_SERVER_TLS_REQUIRED, .quiet = 1, .steps = { "<tls>", "<greet>",
	    EHLO, MAIL }, .want = BANNER HI MAIL_OK },
	{ .name = "TLS required", .tls = SMTP_SERVER_TLS_REQUIRED, .steps = { EHLO, "NOOP\r\n",
	    MAIL RCPT "RSET\r\nXYZZY\r\nVRFY a\r\n", "HELO c.example\r\n", "STARTTLS\r\n", "<tls>", EHLO,
	    MAIL, "QUIT\r\n" },
	    .want = BANNER HI_TLS "250 2.0.0 Ok\n"
	    "530 5.7.0 Must issue a STARTTLS command first\n<refused MAIL FROM:<a@c.example>>"
	    "530 5.7.0 Must issue a STARTTLS command first\n<refused RCPT TO:<b@mx.example>>"
	    "530 5.7.0 Must issue a STARTTLS command first\n<refused RSET >"
	    "530 5.7.0 Must issue a STARTTLS command first\n<refused command >"
	    "530 5.7.0 Must issue a STARTTLS command first\n<refused VRFY a>"
	    "530 5.7.0 Must issue a STARTTLS command first\n<refused HELO c.example>"
	    "220 2.0.0 Ready to start TLS\n<tls>" HI MAIL_OK BYE, .end = SMTP_SERVER_END_QUIT },
	{ .name = "TLS required, QUIT", .tls = SMTP_SERVER_TLS_REQUIRED, .steps = { "QUIT\r\n" },
	    .want = BANNER BYE, .end = SMTP_SERVER_END_QUIT },
	{ .name = "commands behind STARTTLS", .tls = SMTP_SERVER_TLS_PREFERRED, .steps = { EHLO,
	    "STARTTLS\r\nRSET\r\n" }, .want = BANNER HI_TLS "<close>",
	    .in_pieces = BANNER HI_TLS "220 2.0.0 Ready to start TLS\n<tls><unsaid><close>",
	    .end = SMTP_SERVER_END_INJECTION,
	    .fail = "clear text behind STARTTLS: \"RSET\r\n\"" },
	{ .name = "commands in the next read", .tls = SMTP_SERVER_TLS_PREFERRED, .steps = { EHLO,
	    "STARTTLS\r\n", "EHLO x\r\n" }, .want = BANNER HI_TLS "220 2.0.0 Ready to start TLS\n<tls><close>",
	    .end = SMTP_SERVER_END_INJECTION },
	{ .name = "commands behind a STARTTLS that would be refused", .steps = { EHLO,
	    "STARTTLS\r\nRSET\r\n" }, .want = BANNER HI "<close>",
	    .in_pieces = BANNER HI "502 5.5.1 STARTTLS is not offered\n<refused STARTTLS >"
	    TURN "<refused STARTTLS ><close>", .end = SMTP_SERVER_END_INJECTION },

	/* Out of turn. */
	{ .name = "before the banner", .quiet = 1, .steps = { "EHLO c.example\r\n", "<greet>" },
	    .want = TURN "<refused connection ><close>", .end = SMTP_SERVER_END_OUT_OF_TURN,
	    .fail = "connection: " TURN_FAIL },
	{ .name = "before the banner is out", .quiet = 1, .steps = { "<greet+>EHLO c.example\r\n" },
	    .want = BANNER TURN "<refused connection ><close>",
	    .end = SMTP_SERVER_END_OUT_OF_TURN, .fail = "command: " TURN_FAIL },
	{ .name = "behind EHLO", .steps = { EHLO MAIL }, .want = BANNER TURN "<refused EHLO c.example><close>",
	    .in_pieces = BANNER HI TURN "<refused EHLO c.example><close>",
	    .end = SMTP_SERVER_END_OUT_OF_TURN, .fail = "command: " TURN_FAIL },
	{ .name = "behind a command after HELO", .steps = { "HELO c.example\r\n", MAIL RCPT },
	    .want = BANNER "250 mx.example\n" TURN "<refused MAIL FROM:<a@c.example>><close>",
	    .in_pieces = BANNER "250 mx.example\n" MAIL_OK TURN "<refused MAIL FROM:<a@c.example>><close>",
	    .end = SMTP_SERVER_END_OUT_OF_TURN, .fail = "command: " TURN_FAIL },
	{ .name = "behind DATA", .steps = { EHLO, MAIL RCPT "DATA\r\nx\r\n.\r\n" },
	    .want = BANNER HI MAIL_OK RCPT_OK TURN "<refused DATA ><close>",
	    .in_pieces = BANNER HI MAIL_OK RCPT_OK DATA_OK TURN "<abort><refused DATA ><close>",
	    .end = SMTP_SERVER_END_OUT_OF_TURN },
	{ .name = "behind NOOP", .steps = { EHLO, "NOOP\r\nNOOP\r\n" },
	    .want = BANNER HI TURN "<refused NOOP ><close>",
	    .in_pieces = BANNER HI "250 2.0.0 Ok\n" TURN "<refused NOOP ><close>",
	    .end = SMTP_SERVER_END_OUT_OF_TURN },
	{ .name = "behind QUIT", .steps = { EHLO, "QUIT\r\n" MAIL }, .want = BANNER HI BYE,
	    .end = SMTP_SERVER_END_QUIT },
	{ .name = "HTTP", .steps = { "GET / HTTP/1.1\r\nHost: x\r\n\r\nHELO c.example\r\n" },
	    .want = BANNER "554 5.5.1 This is SMTP\n<refused GET ><close>", .end = SMTP_SERVER_END_HTTP,
	    .fail = "command: This is SMTP" },
	{ .name = "HTTP where TLS is required", .tls = SMTP_SERVER_TLS_REQUIRED,
	    .steps = { "POST / HTTP/1.1\r\n" }, .want = BANNER "554 5.5.1 This is SMTP\n<refused POST ><close>",
	    .end = SMTP_SERVER_END_HTTP },

	/* Lines. */
	{ .name = "LF alone in a command", .steps = { "EHLO c.example\nMAIL FROM:<a@b>\r\n" },
	    .want = BANNER "500 5.5.2 LF alone" ENDS_IN "\n<refused command ><close>",
	    .end = SMTP_SERVER_END_LINE, .fail = "command: LF alone" ENDS_IN },
	{ .name = "CR alone in a command", .steps = { "EHLO c\r.example\r\n" },
	    .want = BANNER "500 5.5.2 CR alone" ENDS_IN "\n<refused command ><close>",
	    .end = SMTP_SERVER_END_LINE },
	{ .name = "CR CR LF", .steps = { "NOOP\r\r\n" },
	    .want = BANNER "500 5.5.2 CR alone" ENDS_IN "\n<refused command ><close>",
	    .end = SMTP_SERVER_END_LINE },
	{ .name = "NUL in a command", .steps = { "NOOP\1\r\n" },
	    .want = BANNER "500 5.5.2 NUL" ENDS_IN "\n<refused command ><close>",
	    .end = SMTP_SERVER_END_LINE },
	{ .name = "a TLS hello in clear", .steps = { "\x16\x03\1\x02\x01" },
	    .want = BANNER "500 5.5.2 NUL" ENDS_IN "\n<refused command ><close>",
	    .end = SMTP_SERVER_END_LINE },

	/* Faults of messages. */
	{ .name = "too large", .limits = { .size = 10 }, .steps = { EHLO, MAIL RCPT "DATA\r\n",
	    "12345678\r\n9\r\n\r\n.\r\n", MAIL },
	    .want = BANNER "250-mx.example\n250-PIPELINING\n250-SIZE 10\n250-8BITMIME\n"
	    "250 ENHANCEDSTATUSCODES\n" MAIL_OK RCPT_OK DATA_OK "<body *><abort>"
	    "552 5.3.4 The message is larger than this server takes\n<refused DATA >" MAIL_OK },
	{ .name = "as large as may be", .limits = { .size = 10 }, .steps = { EHLO, MAIL RCPT "DATA\r\n",
	    "..2345678\r\n.\r\n" },
	    .want = BANNER "250-mx.example\n250-PIPELINING\n250-SIZE 10\n250-8BITMIME\n"
	    "250 ENHANCEDSTATUSCODES\n" MAIL_OK RCPT_OK DATA_OK "<body .2345678\\r\\n>" QUEUED },
	{ .name = "too large without end", .limits = { .size = 4, .swallow = 5 }, .steps = { EHLO,
	    MAIL RCPT "DATA\r\n", "12\r\n3456\r\n", MAIL },
	    .want = BANNER "250-mx.example\n250-PIPELINING\n250-SIZE 4\n250-8BITMIME\n"
	    "250 ENHANCEDSTATUSCODES\n" MAIL_OK RCPT_OK DATA_OK "<body *><abort>"
	    "552 5.3.4 The message is larger than this server takes\n<refused DATA ><close>",
	    .end = SMTP_SERVER_END_LIMIT,
	    .fail = "message: The message is larger than this server takes" },
	{ .name = "a loop", .limits = { .received = 2 }, .steps = { TO_DATA,
	    "Received: 1\r\nX-Received: 2\r\nRECEIVED: 2\r\n Received: 2\r\nReceived:\r\n\r\n.\r\n" },
	    .want = TO_DATA_OK "<body *><abort>554 5.4.6 Too many Received fields: this mail goes in a circle\n"
	    "<refused DATA >" },
	{ .name = "no loop", .limits = { .received = 2 }, .steps = { TO_DATA,
	    "Received: 1\r\nReceiveD:\r\n\r\nReceived: in the body\r\n.\r\n" },
	    .want = TO_DATA_OK "<body Received: 1\\r\\nReceiveD:\\r\\n\\r\\nReceived: in the body\\r\\n>" QUEUED },
	{ .name = "a long header", .limits = { .header = 8 }, .steps = { TO_DATA,
	    "A: 1\r\nB:\r\n\r\n.\r\n" }, .want = TO_DATA_OK "<body *><abort>"
	    "554 5.6.0 The header is larger than this server takes\n<refused DATA >" },
	{ .name = "a long body behind a short header", .limits = { .header = 8 }, .steps = { TO_DATA,
	    "A: 1\r\n\r\n3456789\r\n.\r\n" },
	    .want = TO_DATA_OK "<body A: 1\\r\\n\\r\\n3456789\\r\\n>" QUEUED },
	{ .name = "a long line", .limits = { .text_line = 5 }, .steps = { TO_DATA,
	    "123\r\n1234\r\n.\r\n" }, .want = TO_DATA_OK "<body *><abort>"
	    "554 5.6.0 A line is longer than this server takes\n<refused DATA >" },


	/* Chunks (RFC 3030). */
	{ .name = "a message in one chunk", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 9 LAST\r\n.\r\nabc\r\n.QUIT\r\n" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin><body .\\r\\nabc\\r\\n.\\r\\n>" QUEUED BYE,
	    .end = SMTP_SERVER_END_QUIT },
	{ .name = "chunks that split line ends", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 3\r\nab\rBDAT 2\r\n\n\rBDAT 0\r\nRSET x\r\nBDAT 4 last\r\n\nc\r\nRSET\r\n" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin>250 2.0.0 3 octets received\n"
	    "250 2.0.0 2 octets received\n250 2.0.0 0 octets received\n501 5.5.4 No argument is allowed here\n"
	    "<body ab\\r\\n><refused RSET ><body \\r\\nc\\r\\n>" QUEUED "250 2.0.0 Ok\n" },
	{ .name = "a last chunk of nothing", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 1\r\nxBDAT 0 LAST\r\n" MAIL RCPT "BDAT 0 LAST\r\n" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin>250 2.0.0 1 octets received\n<body x\\r\\n>" QUEUED
	    MAIL_OK RCPT_OK "<begin>" QUEUED },
	{ .name = "commands within a chunk are its octets", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 12\r\nRSET\r\nQUIT\r\nRSET\r\nBDAT 5 LAST\r\nabcde" RCPT },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin>250 2.0.0 12 octets received\n"
	    "250 2.0.0 Ok\n<abort>503 5.5.1 Say MAIL first\n<refused BDAT >"
	    "503 5.5.1 Say MAIL first\n<refused RCPT TO:<b@mx.example>>" },
	{ .name = "chunks and DATA do not mix", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 1\r\nxDATA\r\n", RCPT MAIL "BDAT 1 LAST\r\ny" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin>250 2.0.0 1 octets received\n"
	    "503 5.5.1 The message comes in chunks\n<body x><refused DATA >"
	    "503 5.5.1 The message has begun already\n<refused RCPT TO:<b@mx.example>>"
	    "503 5.5.1 A transaction is open already\n<refused MAIL FROM:<a@c.example>>"
	    "<body y\\r\\n>" QUEUED },
	{ .name = "a chunk without sense ends the session", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 0x10\r\nMAIL\r\n" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "501 5.5.4 Expected BDAT size [LAST]\n<refused BDAT ><close>",
	    .end = SMTP_SERVER_END_CHUNK },
	{ .name = "a chunk with another word", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 10 LASTING\r\n" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "501 5.5.4 Expected BDAT size [LAST]\n<refused BDAT ><close>",
	    .end = SMTP_SERVER_END_CHUNK },
	{ .name = "a chunk without end", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 18446744073709551615 LAST\r\nMAIL" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "552 5.3.4 The message is larger than this server takes\n"
	    "<refused BDAT ><close>", .end = SMTP_SERVER_END_CHUNK,
	    .fail = "a chunk of 18446744073709551615 octets was refused" },
	{ .name = "a chunk beyond 64 bits", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 99999999999999999999999\r\nMAIL" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "552 5.3.4 The message is larger than this server takes\n"
	    "<refused BDAT ><close>", .end = SMTP_SERVER_END_CHUNK },
	{ .name = "chunks that are too large together", .offers = SMTP_CAP_CHUNKING,
	    .limits = { .size = 10, .swallow = 10 }, .steps = { EHLO,
	    MAIL RCPT "BDAT 6\r\nabcdefBDAT 5\r\nQUIT\nBDAT 1 LAST\r\nxDATA\r\n", "RSET\r\n" },
	    .want = BANNER "250-mx.example\n250-PIPELINING\n250-SIZE 10\n250-8BITMIME\n250-CHUNKING\n"
	    "250 ENHANCEDSTATUSCODES\n" MAIL_OK RCPT_OK
	    "<begin>250 2.0.0 6 octets received\n552 5.3.4 The message is larger than this server takes\n"
	    "<body *><abort><refused BDAT >503 5.5.1 A chunk before was refused: say RSET\n<refused BDAT >"
	    "503 5.5.1 The message comes in chunks\n<refused DATA >250 2.0.0 Ok\n" },
	{ .name = "a chunk at fault", .offers = SMTP_CAP_CHUNKING, .limits = { .text_line = 4 },
	    .steps = { EHLO, MAIL RCPT "BDAT 6\r\nabcdefBDAT 2 LAST\r\n\r\n" MAIL },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin>"
	    "554 5.6.0 A line is longer than this server takes\n<abort><refused BDAT >"
	    "503 5.5.1 A chunk before was refused: say RSET\n<refused BDAT >"
	    "503 5.5.1 A transaction is open already\n<refused MAIL FROM:<a@c.example>>",
	    .in_pieces = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin><body *><abort>"
	    "554 5.6.0 A line is longer than this server takes\n<refused BDAT >"
	    "503 5.5.1 A chunk before was refused: say RSET\n<refused BDAT >"
	    "503 5.5.1 A transaction is open already\n<refused MAIL FROM:<a@c.example>>" },
	{ .name = "LF alone in a chunk", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 4 LAST\r\na\nb\r" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin><body *>554 5.6.0 LF alone" ENDS_IN "\n<abort>"
	    "<refused BDAT ><close>", .end = SMTP_SERVER_END_LINE },
	{ .name = "CR alone at the end of chunks", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 2 LAST\r\na\rNOOP\r\n" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin><body *>554 5.6.0 CR alone" ENDS_IN "\n<abort>"
	    "<refused BDAT ><close>", .end = SMTP_SERVER_END_LINE },
	{ .name = "chunks out of place are read and dropped", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    "BDAT 6\r\nQUIT\r\n" MAIL "BDAT 6 LAST\r\nQUIT\r\nRSET\r\n" },
	    .want = BANNER HI_CHUNKS "503 5.5.1 Say MAIL first\n<refused BDAT >" MAIL_OK
	    "554 5.5.1 No valid recipients\n<refused BDAT >250 2.0.0 Ok\n" },
	{ .name = "a message behind a chunk that was refused", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    "BDAT 6\r\nQUIT\r\nBDAT 0\r\n" MAIL RCPT "DATA\r\n", "QUIT\r\n.\r\n", "RSET\r\n" },
	    .want = BANNER HI_CHUNKS "503 5.5.1 Say MAIL first\n<refused BDAT >503 5.5.1 Say MAIL first\n"
	    "<refused BDAT >" MAIL_OK RCPT_OK DATA_OK "<body QUIT\\r\\n>" QUEUED "250 2.0.0 Ok\n" },
	{ .name = "the file of a chunk cannot be opened", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    "MAIL FROM:<full@c.example>\r\n" RCPT "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n" MAIL },
	    .want = BANNER HI_CHUNKS "<mail full@c.example>250 2.1.0 Ok\n" RCPT_OK
	    "<begin>452 4.3.1 Disk full\n<refused BDAT >503 5.5.1 Say MAIL first\n<refused BDAT >" MAIL_OK },
	{ .name = "chunks that are not offered are dropped all the same", .steps = { EHLO,
	    MAIL RCPT "BDAT 6\r\nQUIT\r\nRSET\r\n" },
	    .want = BANNER HI MAIL_OK RCPT_OK "502 5.5.1 CHUNKING is not offered\n<refused BDAT >250 2.0.0 Ok\n" },
	{ .name = "a chunk before TLS", .tls = SMTP_SERVER_TLS_REQUIRED, .offers = SMTP_CAP_CHUNKING,
	    .steps = { EHLO, "BDAT 6\r\nQUIT\r\nNOOP\r\n" },
	    .want = BANNER "250-mx.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n250-STARTTLS\n"
	    "250-CHUNKING\n250 ENHANCEDSTATUSCODES\n"
	    "530 5.7.0 Must issue a STARTTLS command first\n<refused BDAT >250 2.0.0 Ok\n" },
	{ .name = "closed inside a chunk", .offers = SMTP_CAP_CHUNKING, .steps = { EHLO,
	    MAIL RCPT "BDAT 6\r\nab", "<eof>" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin><body ab><abort><close>", .end = SMTP_SERVER_END_EOF,
	    .fail = "message: the client closed the connection" },

	/* DSN (RFC 3461). */
	{ .name = "DSN", .offers = SMTP_CAP_DSN, .steps = { EHLO,
	    "MAIL FROM:<a@c.example> ret=hdrs ENVID=QQ314159+20x\r\n"
	    "RCPT TO:<b@mx.example> NOTIFY=delay,Success ORCPT=rfc822;B+2Bc@mx.example\r\n"
	    "RCPT TO:<c@mx.example> NOTIFY=NEVER\r\n" },
	    .want = BANNER HI_DSN "<mail a@c.example ret=HDRS envid=QQ314159+20x>250 2.1.0 Ok\n"
	    "<rcpt b@mx.example notify=SUCCESS,DELAY orcpt=rfc822;B+2Bc@mx.example>250 2.1.5 Ok\n"
	    "<rcpt c@mx.example notify=NEVER>250 2.1.5 Ok\n" },
	{ .name = "DSN with faults", .offers = SMTP_CAP_DSN, .steps = { EHLO,
	    "MAIL FROM:<a@c.example> RET=X\r\nMAIL FROM:<a@c.example> ENVID=\r\n"
	    "MAIL FROM:<a@c.example> ENVID=a+0D+0Ab\r\nMAIL FROM:<a@c.example> ENVID=a+00b\r\n"
	    "MAIL FROM:<a@c.example> ENVID=a+0\r\n" MAIL
	    "RCPT TO:<b@mx.example> NOTIFY=NEVER,DELAY\r\nRCPT TO:<b@mx.example> NOTIFY=\r\n"
	    "RCPT TO:<b@mx.example> NOTIFY=DELAY,\r\nRCPT TO:<b@mx.example> ORCPT=b@mx.example\r\n"
	    "RCPT TO:<b@mx.example> ORCPT=rfc822;a+0Ab\r\nRCPT TO:<b@mx.example> ORCPT=rfc822;\r\n" },
	    .want = BANNER HI_DSN "501 5.5.4 Expected RET=FULL or RET=HDRS\n<refused MAIL FROM:<a@c.example> RET=X>"
	    NO_ENVID "<refused MAIL FROM:<a@c.example> ENVID=>" NO_ENVID
	    "<refused MAIL FROM:<a@c.example> ENVID=a+0D+0Ab>" NO_ENVID
	    "<refused MAIL FROM:<a@c.example> ENVID=a+00b>" NO_ENVID "<refused MAIL FROM:<a@c.example> ENVID=a+0>"
	    MAIL_OK NO_NOTIFY "<refused RCPT TO:<b@mx.example> NOTIFY=NEVER,DELAY>" NO_NOTIFY
	    "<refused RCPT TO:<b@mx.example> NOTIFY=>" NO_NOTIFY "<refused RCPT TO:<b@mx.example> NOTIFY=DELAY,>"
	    NO_ORCPT "<refused RCPT TO:<b@mx.example> ORCPT=b@mx.example>"
	    NO_ORCPT "<refused RCPT TO:<b@mx.example> ORCPT=rfc822;a+0Ab>"
	    NO_ORCPT "<refused RCPT TO:<b@mx.example> ORCPT=rfc822;>" },
	{ .name = "DSN that is not offered", .steps = { EHLO, "MAIL FROM:<a@c.example> RET=FULL\r\n" },
	    .want = BANNER HI "555 5.5.4 Parameter not recognized\n<refused MAIL FROM:<a@c.example> RET=FULL>" },

	/* SMTPUTF8 (RFC 6531). */
	{ .name = "SMTPUTF8", .offers = SMTP_CAP_SMTPUTF8, .steps = { EHLO,
	    "MAIL FROM:<\xc3\xa9@\xc3\xa9.example> SMTPUTF8\r\nRCPT TO:<\xe4\xb8\xad.a@mx.example>\r\n" },
	    .want = BANNER HI_UTF8 "<mail \xc3\xa9@\xc3\xa9.example utf8>250 2.1.0 Ok\n"
	    "<rcpt \xe4\xb8\xad.a@mx.example>250 2.1.5 Ok\n" },
	{ .name = "UTF-8 without SMTPUTF8", .offers = SMTP_CAP_SMTPUTF8, .steps = { EHLO,
	    "MAIL FROM:<\xc3\xa9@c.example>\r\nMAIL FROM:<a@c.example> SMTPUTF8=1\r\n"
	    "MAIL FROM:<\xc3@c.example> SMTPUTF8\r\n" MAIL "RCPT TO:<b@\xc3\xa9.example>\r\n" },
	    .want = BANNER HI_UTF8 "553 5.6.7 Addresses beyond ASCII need SMTPUTF8\n"
	    "<refused MAIL FROM:<\xc3\xa9@c.example>>501 5.5.4 SMTPUTF8 has no value\n"
	    "<refused MAIL FROM:<a@c.example> SMTPUTF8=1>501 5.1.7 expected UTF-8 in the address\n"
	    "<refused MAIL FROM:<\xc3@c.example> SMTPUTF8>" MAIL_OK
	    "553 5.6.7 Addresses beyond ASCII need SMTPUTF8\n<refused RCPT TO:<b@\xc3\xa9.example>>" },

	/* REQUIRETLS (RFC 8689). */
	{ .name = "REQUIRETLS", .tls = SMTP_SERVER_TLS_PREFERRED, .offers = SMTP_CAP_REQUIRETLS, .steps = { EHLO,
	    "MAIL FROM:<a@c.example> REQUIRETLS\r\n", "STARTTLS\r\n", "<tls>", EHLO,
	    "MAIL FROM:<a@c.example> REQUIRETLS\r\n" },
	    .want = BANNER HI_TLS "555 5.5.4 Parameter not recognized\n<refused MAIL FROM:<a@c.example> REQUIRETLS>"
	    "220 2.0.0 Ready to start TLS\n<tls>250-mx.example\n250-PIPELINING\n250-SIZE 52428800\n250-8BITMIME\n"
	    "250-REQUIRETLS\n250 ENHANCEDSTATUSCODES\n<mail a@c.example requiretls>250 2.1.0 Ok\n" },

	/* AUTH (RFC 4954): "\0u\0good" is AHUAZ29vZA==. */
	{ .name = "AUTH PLAIN", .quiet = 1, .auth = SMTP_SERVER_AUTH_REQUIRED, .steps = { "<tls>", "<greet>", EHLO,
	    MAIL, "AUTH plain AHUAZ29vZA==\r\n", "AUTH PLAIN AHUAZ29vZA==\r\n",
	    "MAIL FROM:<a@c.example> AUTH=<>\r\nAUTH PLAIN\r\n" },
	    .want = BANNER HI_AUTH "530 5.7.0 Authentication required\n<refused MAIL FROM:<a@c.example>>"
	    "<auth u good>235 2.7.0 Authentication succeeded\n503 5.5.1 Authenticated already\n<refused AUTH >"
	    "<mail a@c.example>250 2.1.0 Ok\n503 5.5.1 Authenticated already\n<refused AUTH >" },
	{ .name = "AUTH PLAIN without initial response", .quiet = 1, .auth = SMTP_SERVER_AUTH_OFFERED,
	    .steps = { "<tls>", "<greet>", EHLO, "AUTH PLAIN\r\n", "dQB1AGdvb2Q=\r\n", MAIL },
	    .want = BANNER HI_AUTH "334 \n<auth u good>235 2.7.0 Authentication succeeded\n" MAIL_OK },
	{ .name = "AUTH LOGIN", .quiet = 1, .auth = SMTP_SERVER_AUTH_OFFERED, .steps = { "<tls>", "<greet>", EHLO,
	    "AUTH LOGIN\r\n", "dQ==\r\n", "Z29vZA==\r\n" },
	    .want = BANNER HI_AUTH "334 VXNlcm5hbWU6\n334 UGFzc3dvcmQ6\n<auth u good>"
	    "235 2.7.0 Authentication succeeded\n" },
	{ .name = "AUTH that fails", .quiet = 1, .auth = SMTP_SERVER_AUTH_OFFERED, .limits = { .auth_failures = 1 },
	    .steps = { "<tls>", "<greet>", EHLO, "AUTH LOGIN dQ==\r\n", "*\r\n", "AUTH PLAIN AHUAbGF0ZXI=\r\n",
	    "AUTH PLAIN AHUAYmFk\r\n", "AUTH PLAIN AHUAYmFk\r\n" },
	    .want = BANNER HI_AUTH "334 UGFzc3dvcmQ6\n501 5.7.0 Authentication cancelled\n<refused AUTH >"
	    "<auth u later>454 4.7.0 Not now\n<refused AUTH ><auth u bad>535 5.7.8 No\n<refused AUTH >"
	    "<auth u bad>535 5.7.8 No\n421 4.7.0 mx.example too many failed attempts to authenticate\n"
	    "<refused AUTH ><close>", .end = SMTP_SERVER_END_LIMIT },
	{ .name = "AUTH without sense", .quiet = 1, .auth = SMTP_SERVER_AUTH_OFFERED, .steps = { "<tls>", "<greet>",
	    EHLO, "AUTH\r\n", "AUTH CRAM-MD5\r\n", "AUTH PLAIN ?\r\n", "AUTH PLAIN dQ==\r\n",
	    "AUTH PLAIN eAB1AGdvb2Q=\r\n" },
	    .want = BANNER HI_AUTH "501 5.5.4 Expected AUTH mechanism\n<refused AUTH >"
	    "504 5.5.4 Expected a mechanism that is offered\n<refused AUTH >" NO_SASL NO_SASL NO_SASL },
	{ .name = "AUTH without TLS", .tls = SMTP_SERVER_TLS_PREFERRED, .auth = SMTP_SERVER_AUTH_OFFERED,
	    .steps = { EHLO, "AUTH PLAIN AHUAZ29vZA==\r\n" },
	    .want = BANNER HI_TLS "538 5.7.11 AUTH needs TLS: say STARTTLS first\n<refused AUTH >" },
	{ .name = "bytes behind a line of AUTH", .quiet = 1, .auth = SMTP_SERVER_AUTH_OFFERED, .steps = { "<tls>",
	    "<greet>", EHLO, "AUTH LOGIN\r\n", "dQ==\r\nZ29vZA==\r\n" },
	    .want = BANNER HI_AUTH "334 VXNlcm5hbWU6\n" TURN "<refused AUTH ><close>",
	    .in_pieces = BANNER HI_AUTH "334 VXNlcm5hbWU6\n334 UGFzc3dvcmQ6\n" TURN "<refused AUTH ><close>",
	    .end = SMTP_SERVER_END_OUT_OF_TURN },

	/* Limits of sessions. */
	{ .name = "too many errors", .limits = { .errors = 1 }, .steps = { EHLO, "X\r\nX\r\nNOOP\r\n" },
	    .want = BANNER HI "500 5.5.2 Command not recognized\n<refused command >"
	    "500 5.5.2 Command not recognized\n421 4.7.0 mx.example too many errors\n"
	    "<refused command ><close>", .end = SMTP_SERVER_END_LIMIT, .fail = "command: too many errors" },
	{ .name = "too much junk", .limits = { .errors = 1, .junk = 1 }, .steps = { EHLO, "NOOP\r\n",
	    "RSET\r\nNOOP\r\n" }, .want = BANNER HI "250 2.0.0 Ok\n250 2.0.0 Ok\n"
	    "421 4.7.0 mx.example too many errors\n<close>",
	    .end = SMTP_SERVER_END_LIMIT, .fail = "command: too many errors" },
	{ .name = "chunk by little chunk", .limits = { .errors = 1, .junk = 1 }, .offers = SMTP_CAP_CHUNKING,
	    .steps = { EHLO, MAIL RCPT "BDAT 0\r\nBDAT 1\r\nxBDAT 0\r\nNOOP\r\n" },
	    .want = BANNER HI_CHUNKS MAIL_OK RCPT_OK "<begin>250 2.0.0 0 octets received\n"
	    "250 2.0.0 1 octets received\n421 4.7.0 mx.example too many errors\n<abort><close>", .end = SMTP_SERVER_END_LIMIT,
	    .fail = "command: too many errors" },
	{ .name = "a message clears errors and junk", .limits = { .errors = 1, .junk = 1 }, .steps = {
	    EHLO, "X\r\n" MAIL RCPT "DATA\r\n", ".\r\nX\r\nNOOP\r\n" },
	    .want = BANNER HI "500 5.5.2 Command not recognized\n<refused command >" MAIL_OK RCPT_OK DATA_OK
	    QUEUED "500 5.5.2 Command not recognized\n<refused command >250 2.0.0 Ok\n" },
	{ .name = "too many recipients", .limits = { .recipients = 1 }, .steps = { EHLO,
	    MAIL RCPT RCPT RCPT }, .want = BANNER HI MAIL_OK RCPT_OK
	    "452 4.5.3 Too many recipients for one message\n<refused RCPT TO:<b@mx.example>>"
	    "452 4.5.3 Too many recipients for one message\n421 4.7.0 mx.example too many refused recipients\n"
	    "<refused RCPT TO:<b@mx.example>><close>", .end = SMTP_SERVER_END_LIMIT },
	{ .name = "too many refused recipients", .limits = { .refused_recipients = 1 }, .steps = { EHLO,
	    MAIL "RCPT TO:<no@mx.example>\r\nRCPT TO:<no@mx.example>\r\n" RCPT }, .want = BANNER HI MAIL_OK
	    "<rcpt no@mx.example>550 5.1.1 No such user\n<refused RCPT TO:<no@mx.example>>"
	    "<rcpt no@mx.example>550 5.1.1 No such user\n421 4.7.0 mx.example too many refused recipients\n"
	    "<refused RCPT TO:<no@mx.example>><close>", .end = SMTP_SERVER_END_LIMIT },
	{ .name = "too many messages", .limits = { .messages = 1 }, .steps = { TO_DATA, ".\r\n" MAIL },
	    .want = TO_DATA_OK QUEUED "421 4.7.0 mx.example too many messages in one session\n<close>",
	    .end = SMTP_SERVER_END_LIMIT },

	/* Events. */
	{ .name = "refused at once", .quiet = 1, .steps = { "<refuse>", EHLO },
	    .want = "554 5.7.1 Not you\n<refused connection ><close>", .end = SMTP_SERVER_END_ANSWER,
	    .fail = "connection: Not you" },
	{ .name = "timed out", .steps = { EHLO, "<timeout>" },
	    .want = BANNER HI "421 4.4.2 mx.example timed out\n<close>", .end = SMTP_SERVER_END_TIMEOUT,
	    .fail = "command: timed out" },
	{ .name = "timed out in the message", .steps = { TO_DATA, "x\r\n", "<timeout>" },
	    .want = TO_DATA_OK "<body x\\r\\n>421 4.4.2 mx.example timed out\n<abort><close>",
	    .end = SMTP_SERVER_END_TIMEOUT, .fail = "message: timed out" },
	{ .name = "the session's time is over", .steps = { EHLO, "<expired>", "<timeout>" },
	    .want = BANNER HI "421 4.7.0 mx.example the session has lasted too long\n<close>",
	    .end = SMTP_SERVER_END_EXPIRED, .fail = "command: the session has lasted too long" },
	{ .name = "its time is over in the message", .steps = { TO_DATA, "x\r\n", "<expired>" },
	    .want = TO_DATA_OK "<body x\\r\\n>421 4.7.0 mx.example the session has lasted too long\n<abort><close>",
	    .end = SMTP_SERVER_END_EXPIRED, .fail = "message: the session has lasted too long" },
	{ .name = "timed out in the handshake", .tls = SMTP_SERVER_TLS_PREFERRED, .steps = { EHLO,
	    "STARTTLS\r\n", "<timeout>" }, .want = BANNER HI_TLS "220 2.0.0 Ready to start TLS\n<tls><close>",
	    .end = SMTP_SERVER_END_TIMEOUT, .fail = "TLS handshake: timed out" },
	{ .name = "shutdown before the banner", .quiet = 1, .steps = { "<shutdown>", "<greet>" },
	    .want = "421 4.3.2 mx.example shutting down\n<close>", .end = SMTP_SERVER_END_SHUTDOWN },
	{ .name = "shutdown between commands", .steps = { EHLO, MAIL, "<shutdown>" },
	    .want = BANNER HI MAIL_OK "421 4.3.2 mx.example shutting down\n<close>",
	    .end = SMTP_SERVER_END_SHUTDOWN, .fail = "command: shutting down" },
	{ .name = "shutdown in the message", .steps = { TO_DATA, "x\r\n", "<shutdown>", ".\r\nNOOP\r\n" },
	    .want = TO_DATA_OK "<body x\\r\\n>" "<end>250 2.0.0 queued as 1\n"
	    "421 4.3.2 mx.example shutting down\n<close>", .end = SMTP_SERVER_END_SHUTDOWN },
	{ .name = "closed inside a command", .steps = { EHLO, "MAIL", "<eof>" },
	    .want = BANNER HI "<close>", .end = SMTP_SERVER_END_EOF,
	    .fail = "command: the client closed the connection in the middle of a command" },
	{ .name = "closed inside the message", .steps = { TO_DATA, "x\r\n.\r", "<eof>" },
	    .want = TO_DATA_OK "<body x\\r\\n><abort><close>", .end = SMTP_SERVER_END_EOF,
	    .fail = "message: the client closed the connection" },
	{ .name = "lost", .steps = { EHLO, "<lost>", "<eof>", "<timeout>", "<shutdown>", "NOOP\r\n" },
	    .want = BANNER HI "<close>", .end = SMTP_SERVER_END_LOST, .fail = "command: reset" },
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

/* How a script is fed. */
struct feeding {
	const char *name;
	size_t split, piece;	/* the first piece and the others, of each step */
	int late;		/* answers come after feed was called once more */
};

struct run {
	struct smtp_server s;
	struct buf got;
	struct buf body;	/* not shown yet */
	struct buf whole;	/* all of them */
	size_t seen;		/* of s.out */
	int late;
};

/* CRLF as LF; a CR or LF alone would show. */
static void
show_out(struct run *r)
{
	const char *p = r->s.out.p;
	size_t i;

	if (r->seen > r->s.out.len) {
		buf_puts(&r->got, "<unsaid>");	/* replies were taken back */
		r->seen = 0;
	}
	for (i = r->seen; i < r->s.out.len; i++) {
		if (p[i] == '\r' && p[i + 1] == '\n')
			continue;
		if (p[i] == '\n' && i > 0 && p[i - 1] == '\r')
			buf_putc(&r->got, '\n');
		else
			buf_escape(&r->got, p + i, 1);
	}
	r->seen = r->s.out.len;
}

static void
show_body(struct run *r)
{
	size_t i;

	if (r->body.len == 0)
		return;
	buf_puts(&r->got, "<body ");
	for (i = 0; i < r->body.len; i++) {
		if (r->body.p[i] == '\r')
			buf_puts(&r->got, "\\r");
		else if (r->body.p[i] == '\n')
			buf_puts(&r->got, "\\n");
		else
			buf_escape(&r->got, r->body.p + i, 1);
	}
	buf_putc(&r->got, '>');
	buf_clear(&r->body);
}

static void
show_mail(struct run *r)
{
	const struct smtp_server_mail *m = &r->s.mail;

	buf_puts(&r->got, "<mail ");
	mailbox_print(&r->got, &m->from);
	if (m->params.size > 0)
		buf_printf(&r->got, " size=%llu", (unsigned long long)m->params.size);
	if (m->params.ret != SMTP_RET_NONE)
		buf_printf(&r->got, " ret=%s", smtp_ret_text(m->params.ret));
	if (m->params.envid[0] != '\0')
		buf_printf(&r->got, " envid=%s", m->params.envid);
	buf_printf(&r->got, "%s%s%s>", m->params.body8bit ? " 8bit" : "", m->params.utf8 ? " utf8" : "",
	    m->params.requiretls ? " requiretls" : "");
}

static void
show_rcpt(struct run *r)
{
	char notify[SMTP_NOTIFY_TEXT_MAX];

	buf_puts(&r->got, "<rcpt ");
	mailbox_print(&r->got, &r->s.rcpt);
	if (r->s.rcpt_params.notify != 0)
		buf_printf(&r->got, " notify=%s", smtp_notify_text(notify, r->s.rcpt_params.notify));
	if (r->s.rcpt_params.orcpt[0] != '\0')
		buf_printf(&r->got, " orcpt=%s", r->s.rcpt_params.orcpt);
	buf_puts(&r->got, ">");
}

static void
decide_mail(struct smtp_server *s)
{
	if (strcmp(s->mail.from.local, "no") == 0)
		smtp_server_answer(s, 550, "5.7.1", "Not you");
	else
		smtp_server_accept(s);
}

static void
decide_rcpt(struct smtp_server *s)
{
	if (strcmp(s->rcpt.local, "no") == 0)
		smtp_server_answer(s, 550, "5.1.1", "No such user");
	else if (strcmp(s->rcpt.local, "later") == 0)
		smtp_server_answer(s, 451, "4.3.0", "Try again");
	else if (strcmp(s->rcpt.local, "bye") == 0)
		smtp_server_answer(s, 421, "4.7.0", "Go away");
	else
		smtp_server_accept(s);
}

static void
decide_auth(struct smtp_server *s)
{
	if (strcmp(s->sasl.password, "good") == 0)
		smtp_server_accept(s);
	else if (strcmp(s->sasl.password, "later") == 0)
		smtp_server_answer(s, 454, "4.7.0", "Not now");
	else
		smtp_server_answer(s, 535, "5.7.8", "No");
}

static void
decide(struct smtp_server *s, enum smtp_server_want want)
{
	if (want == SMTP_SERVER_AUTH)
		decide_auth(s);
	else if (want == SMTP_SERVER_MAIL)
		decide_mail(s);
	else if (want == SMTP_SERVER_RCPT)
		decide_rcpt(s);
	else if (want == SMTP_SERVER_BEGIN && strcmp(s->mail.from.local, "full") == 0)
		smtp_server_answer(s, 452, "4.3.1", "Disk full");
	else if (want == SMTP_SERVER_BEGIN)
		smtp_server_accept(s);
	else if (strcmp(s->mail.from.local, "lost") == 0)
		smtp_server_answer(s, 451, "4.3.0", "Not safe");
	else
		smtp_server_answer(s, 250, "2.0.0", "queued as 1");
}

static void
answer(struct run *r, enum smtp_server_want want)
{
	size_t used;

	if (r->late && smtp_server_feed(&r->s, "", 0, &used) != SMTP_SERVER_WAIT)
		buf_puts(&r->got, "<does not wait>");
	if (r->late && want != SMTP_SERVER_BEGIN &&
	    (smtp_server_feed(&r->s, "QUIT\r\n", 6, &used) != SMTP_SERVER_WAIT || used != 0))
		buf_puts(&r->got, "<takes bytes>");
	decide(&r->s, want);
}

/* True where feeding goes on. */
static int
act(struct run *r, enum smtp_server_want want)
{
	show_out(r);
	if (want == SMTP_SERVER_BODY) {
		buf_add(&r->body, r->s.body.p, r->s.body.len);
		buf_add(&r->whole, r->s.body.p, r->s.body.len);
		return 1;
	}
	if (want == SMTP_SERVER_INPUT)
		return 0;
	show_body(r);
	switch (want) {
	case SMTP_SERVER_MAIL:
		show_mail(r);
		answer(r, want);
		return 1;
	case SMTP_SERVER_RCPT:
		show_rcpt(r);
		answer(r, want);
		return 1;
	case SMTP_SERVER_AUTH:
		buf_printf(&r->got, "<auth %s %s>", r->s.sasl.user, r->s.sasl.password);
		answer(r, want);
		return 1;
	case SMTP_SERVER_BEGIN:
	case SMTP_SERVER_END:
		buf_printf(&r->got, "<%s>", smtp_server_want_name(want));
		answer(r, want);
		return 1;
	case SMTP_SERVER_REFUSED:
		buf_printf(&r->got, "<refused %s %s>", r->s.refusal.verb, r->s.refusal.argument);
		return 1;
	case SMTP_SERVER_ABORT:
	case SMTP_SERVER_TLS:
		buf_printf(&r->got, "<%s>", smtp_server_want_name(want));
		return 1;
	default:
		return 0;
	}
}

static void
feed(struct run *r, const char *p, size_t n)
{
	enum smtp_server_want want;
	size_t used;

	do {
		want = smtp_server_feed(&r->s, p, n, &used);
		p += used;
		n -= used;
	} while (act(r, want));
	if (n > 0)
		buf_printf(&r->got, "<%zu not taken>", n);
}

static int
event(struct run *r, const char *what)
{
	static const struct smtp_server_tls tls = { .protocol = "TLSv1.3",
	    .cipher = "TLS_AES_256_GCM_SHA384", .bits = 256, .group = "X25519" };
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_PEER, "%s", strcmp(what, "<lost>") == 0 ? "reset" : "no shared cipher");
	if (strcmp(what, "<tls>") == 0)
		smtp_server_tls_done(&r->s, &tls);
	else if (strcmp(what, "<tls-failed>") == 0)
		smtp_server_tls_failed(&r->s, &f);
	else if (strcmp(what, "<eof>") == 0)
		smtp_server_eof(&r->s);
	else if (strcmp(what, "<lost>") == 0)
		smtp_server_lost(&r->s, &f);
	else if (strcmp(what, "<timeout>") == 0)
		smtp_server_timeout(&r->s);
	else if (strcmp(what, "<expired>") == 0)
		smtp_server_expired(&r->s);
	else if (strcmp(what, "<shutdown>") == 0)
		smtp_server_shutdown(&r->s);
	else if (strcmp(what, "<refuse>") == 0)
		smtp_server_refuse(&r->s, 554, "5.7.1", "Not you");
	else if (strncmp(what, "<greet", 6) == 0)
		smtp_server_greet(&r->s);
	else
		return 0;
	return 1;
}

/* One step: an event, or bytes, or "<greet+>" and bytes before the banner is out. */
static void
step(struct run *r, const char *text, const struct feeding *how)
{
	size_t len, at, piece;
	char *bytes;

	show_body(r);
	if (event(r, text)) {
		feed(r, "", 0);
		if (strncmp(text, "<greet+>", 8) != 0)
			return;
		text += 8;
	}
	bytes = xstrdup(text);
	len = strlen(bytes);
	for (at = 0; at < len; at++)
		if (bytes[at] == '\1')
			bytes[at] = '\0';
	for (at = 0; at < len; at += piece) {
		piece = at == 0 ? how->split : how->piece;
		if (piece > len - at)
			piece = len - at;
		feed(r, bytes + at, piece);
	}
	free(bytes);
}

static void
empty_out(struct run *r)
{
	show_out(r);
	buf_drop(&r->s.out, r->s.out.len);
	r->seen = 0;
}

#define SET(field) if (from->field != 0) to->field = from->field

static void
set_limits(struct smtp_server_limits *to, const struct smtp_server_limits *from)
{
	SET(size);
	SET(swallow);
	SET(text_line);
	SET(header);
	SET(received);
	SET(recipients);
	SET(refused_recipients);
	SET(errors);
	SET(junk);
	SET(messages);
	SET(auth_failures);
}

static void
start(struct run *r, const struct script *sc, int late)
{
	struct smtp_server_conf conf = { .name = "mx.example", .tls = sc->tls, .offers = sc->offers,
	    .auth = sc->auth, .limits = SMTP_SERVER_LIMITS };

	set_limits(&conf.limits, &sc->limits);
	memset(r, 0, sizeof *r);
	r->late = late;
	smtp_server_init(&r->s, &conf);
	if (!sc->quiet)
		smtp_server_greet(&r->s);
	empty_out(r);
}

static void
clear(struct run *r)
{
	smtp_server_clear(&r->s);
	buf_clear(&r->got);
	buf_clear(&r->body);
	buf_clear(&r->whole);
}

/* Octets given out before a message turned out to be at fault: how many depends on the pieces. */
static void
hide_body(struct buf *b)
{
	char *abort_at = strstr(b->p, "<abort>"), *body, *end;

	if (abort_at == NULL || (strstr(b->p, "refused DATA") == NULL && strstr(b->p, "refused BDAT") == NULL))
		return;
	if ((body = strstr(b->p, "<body ")) != NULL && (end = strchr(body, '>')) != NULL && end + 1 == abort_at) {
		memmove(body, abort_at, strlen(abort_at) + 1);
		b->len = strlen(b->p);
	}
}

static void
finish(struct run *r)
{
	show_body(r);
	if (r->s.stage == SMTP_SERVER_AT_DONE)
		buf_puts(&r->got, "<close>");
	buf_puts(&r->got, "");
	hide_body(&r->got);
}

static char *
without_stars(const char *want)
{
	struct buf b = BUF_INIT;
	const char *star;

	while ((star = strstr(want, "<body *>")) != NULL) {
		buf_add(&b, want, star - want);
		want = star + strlen("<body *>");
	}
	buf_puts(&b, want);
	return buf_steal(&b);
}

/* 1 where all came out as wanted; it is printed where loud, or where not. */
static int
run(const struct script *sc, const struct feeding *how, int loud)
{
	int pieces = how->split < 100000;
	char *want = without_stars(pieces && sc->in_pieces != NULL ? sc->in_pieces : sc->want);
	enum smtp_server_end end = sc->end;
	struct run r;
	size_t i;
	int ok;

	start(&r, sc, how->late);
	for (i = 0; i < STEPS_MAX && sc->steps[i] != NULL; i++) {
		step(&r, sc->steps[i], how);
		empty_out(&r);
	}
	finish(&r);
	/* Injection and talking out of turn are one thing where it is seen late. */
	if (sc->in_pieces != NULL && end == SMTP_SERVER_END_INJECTION && r.s.end == SMTP_SERVER_END_OUT_OF_TURN)
		end = r.s.end;
	ok = strcmp(r.got.p, want) == 0 && r.s.end == end &&
	    (sc->in_pieces != NULL || sc->fail == NULL || strcmp(r.s.fail.text, sc->fail) == 0);
	if (loud || !ok) {
		unit_str(r.got.p, want, "%s, %s", sc->name, how->name);
		unit_str(smtp_server_end_name(r.s.end), smtp_server_end_name(end), "%s, %s: end", sc->name,
		    how->name);
		if (sc->fail != NULL && (!pieces || sc->in_pieces == NULL))
			unit_str(r.s.fail.text, sc->fail, "%s, %s: words", sc->name, how->name);
	}
	clear(&r);
	free(want);
	return ok;
}

/* Whether a split at this place puts bytes apart whose being together is the point. */
static size_t
longest_step(const struct script *sc)
{
	size_t max = 0, i;

	for (i = 0; i < STEPS_MAX && sc->steps[i] != NULL; i++)
		if (strlen(sc->steps[i]) > max)
			max = strlen(sc->steps[i]);
	return max;
}

static void
test_scripts(void)
{
	static const struct feeding whole = { "whole", 100000, 100000, 0 };
	static const struct feeding late = { "answered late", 100000, 100000, 1 };
	static const struct feeding bytes = { "byte by byte", 1, 1, 0 };
	struct feeding split = { "split anywhere", 1, 100000, 0 };
	size_t i, bad;

	for (i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
		run(&scripts[i], &whole, 1);
		run(&scripts[i], &late, 1);
		run(&scripts[i], &bytes, 1);
		if (scripts[i].in_pieces != NULL)
			continue;
		for (bad = 0, split.split = 1; split.split < longest_step(&scripts[i]); split.split++)
			bad += !run(&scripts[i], &split, 0);
		unit_int(bad, 0, "%s, split anywhere", scripts[i].name);
	}
}

/*
 * Ends of messages that some server or other believes in: none of them may end one here, and what
 * stands behind must never be run.
 */
static void
test_smuggling(void)
{
	static const char *const ends[] = { "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r",
	    "\r\r\n.\r\r\n", "\r\n\1.\r\n", "\r\n.\1\r\n", "\r\n.\r\r\n", "\n\n.\r\n", "\n.\r", "\r.\n", "\r\n.\r\1\n",
	    "\1\r\n.\r\n", "\r\n.\n\r\n", "\n\r.\n\r", "\r\n.\r.\r\n" };
	static const struct feeding whole = { "whole", 100000, 100000, 0 };
	struct feeding split = { "split", 1, 1, 0 };
	size_t i, bad;

	for (i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		char *text = xasprintf("A: b\r\n\r\nx%sMAIL FROM:<evil@c.example>\r\n" RCPT "DATA\r\ny\r\n.\r\n",
		    ends[i]);
		const char *fault = strchr(ends[i], '\1') != NULL ? NULL : "alone";
		struct script sc = { .name = "smuggling", .steps = { TO_DATA, text } };
		struct run r;
		size_t k;

		for (bad = 0, split.split = 0; split.split < strlen(text); split.split++) {
			const struct feeding *how = split.split == 0 ? &whole : &split;

			split.piece = split.split % 2 ? 1 : 100000;
			start(&r, &sc, 0);
			for (k = 0; k < 3; k++) {
				if (sc.steps[k] != NULL)
					step(&r, sc.steps[k], how);
				empty_out(&r);
			}
			finish(&r);
			bad += r.s.end != SMTP_SERVER_END_LINE || strstr(r.got.p, "<end>") != NULL ||
			    strstr(r.got.p, "evil") != NULL || strstr(r.got.p, "<abort>") == NULL ||
			    strstr(r.got.p, "554 5.6.0") == NULL ||
			    (fault != NULL && strstr(r.got.p, fault) == NULL);
			if (bad == 1)
				printf("# %s\n", r.got.p);
			clear(&r);
		}
		free(text);
		text = text_escape(ends[i], strlen(ends[i]));
		unit_int(bad, 0, "no end: %s", text);
		free(text);
	}
}

/* Much output that nobody takes: commands wait. */
static void
test_output(void)
{
	struct script sc = { .name = "output" };
	struct buf in = BUF_INIT;
	size_t used, at, i, rounds = 0;
	enum smtp_server_want want;
	struct run r;

	start(&r, &sc, 0);
	r.s.conf.limits.errors = r.s.conf.limits.junk = 1000000;
	step(&r, EHLO, &(struct feeding){ "whole", 1000, 1000, 0 });
	empty_out(&r);
	for (i = 0; i < 10000; i++)
		buf_puts(&in, "RSET\r\n");
	for (at = 0; at < in.len || rounds == 0; at += used) {
		want = smtp_server_feed(&r.s, in.p + at, in.len - at, &used);
		if (want != SMTP_SERVER_OUTPUT)
			break;
		if (r.s.out.len > SMTP_SERVER_OUT_MAX + SMTP_SERVER_REPLY_MAX)
			break;
		buf_drop(&r.s.out, r.s.out.len);
		rounds++;
	}
	unit_ok(want == SMTP_SERVER_INPUT && rounds == 10000 * 14 / SMTP_SERVER_OUT_MAX,
	    "a full out stops commands: %zu times", rounds);
	unit_int(r.s.commands, 10001, "and all are run in the end");
	clear(&r);
	buf_clear(&in);
}

static void
test_long_lines(void)
{
	struct script sc = { .name = "long" };
	struct buf in = BUF_INIT, body = BUF_INIT;
	static const struct feeding whole = { "whole", 10000000, 10000000, 0 };
	struct run r;
	size_t i;

	start(&r, &sc, 0);
	buf_puts(&in, "NOOP ");
	while (in.len < SMTP_SERVER_LINE_MAX - 2)
		buf_putc(&in, 'x');
	buf_puts(&in, "\r\n");
	step(&r, in.p, &whole);
	unit_str(r.got.p, BANNER "250 2.0.0 Ok\n", "a command of 2048 octets");
	empty_out(&r);
	in.p[5] = 'y';
	in.len -= 2;
	buf_puts(&in, "x\r\n");
	step(&r, in.p, &whole);
	unit_int(r.s.end, SMTP_SERVER_END_LIMIT, "not one of 2049");
	unit_str(strstr(r.got.p, "500"), "500 5.5.2 The line is too long\n<refused command >", "refused");
	clear(&r);

	/* A message larger than one BODY, with dots at all places. */
	start(&r, &sc, 0);
	step(&r, EHLO, &whole);
	empty_out(&r);
	step(&r, MAIL RCPT "DATA\r\n", &whole);
	empty_out(&r);
	in.len = 0;
	for (i = 0; i < 300000; i++) {
		buf_puts(&in, i % 7 == 0 ? "\r\n.." : i % 11 == 0 ? "\r\n" : "\xe9z");
		buf_puts(&body, i % 7 == 0 ? "\r\n." : i % 11 == 0 ? "\r\n" : "\xe9z");
	}
	buf_puts(&in, "\r\n");
	buf_puts(&body, "\r\n");
	buf_puts(&in, ".\r\n");
	r.got.len = 0;
	feed(&r, in.p, in.len);
	unit_ok(r.s.messages == 1 && r.s.msg.octets == body.len, "a large message");
	unit_ok(r.whole.len == body.len && memcmp(r.whole.p, body.p, body.len) == 0, "octet by octet");
	unit_ok(r.s.msg.has8bit && r.s.msg.lines > 50000 && r.s.msg.longest < 50, "counted");
	unit_ok(r.s.msg.header == 2, "and its header");
	clear(&r);
	buf_clear(&in);
	buf_clear(&body);
}

/* The caller takes its time to open a file, and the client does not wait for it. */
static void
test_early_message(void)
{
	struct script sc = { .name = "early" };
	static const struct feeding whole = { "whole", 10000, 10000, 0 };
	struct run r;
	size_t used;

	start(&r, &sc, 0);
	step(&r, EHLO, &whole);
	empty_out(&r);
	step(&r, MAIL RCPT, &whole);
	empty_out(&r);
	unit_int(smtp_server_feed(&r.s, "DATA\r\n", 6, &used), SMTP_SERVER_BEGIN, "asked");
	unit_int(smtp_server_feed(&r.s, "x", 1, &used), SMTP_SERVER_ABORT, "taken back");
	unit_int(smtp_server_feed(&r.s, "", 0, &used), SMTP_SERVER_REFUSED, "refused");
	smtp_server_accept(&r.s);
	unit_int(smtp_server_feed(&r.s, "", 0, &used), SMTP_SERVER_CLOSE, "an answer that comes too late");
	unit_str(smtp_server_end_name(r.s.end), "out-of-turn", "and why");
	clear(&r);
}

static void
check_counts(const struct smtp_data *d)
{
	unit_int(d->received, 1, "Received fields");
	unit_int(d->header, 21, "octets of the header");
	unit_int(d->octets, 27, "octets");
	unit_int(d->lines, 4, "lines");
	unit_int(d->longest, 13, "the longest");
	unit_ok(d->has8bit, "eight bits");
}

static void
check_session(const struct smtp_server *s)
{
	unit_ok(s->tls && s->starttls && s->esmtp, "flags");
	unit_int(s->tls_demanded, 1, "commands refused for lack of TLS");
	unit_int(s->accepted_recipients, 2, "recipients");
	unit_int(s->messages, 1, "messages");
	unit_int(s->transactions, 1, "transactions");
	unit_int(s->refusal.code, 550, "the last refusal");
}

static void
test_record(void)
{
	struct script sc = { .name = "record", .tls = SMTP_SERVER_TLS_REQUIRED };
	static const struct feeding whole = { "whole", 10000, 10000, 0 };
	static const char *const steps[] = { EHLO, MAIL, "STARTTLS\r\n", "<tls>", EHLO, MAIL,
	    RCPT, RCPT, "RCPT TO:<no@mx.example>\r\nDATA\r\n",
	    "Received: x\r\nA: \xe9\r\n\r\nbody\r\n.\r\n" };
	struct run r;
	size_t i;

	start(&r, &sc, 0);
	for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		step(&r, steps[i], &whole);
		empty_out(&r);
	}
	unit_str(r.s.hello, "c.example", "EHLO is kept");
	unit_str(r.s.tls_text, "TLS_AES_256_GCM_SHA384 (TLSv1.3, 256 bits, X25519)", "and what TLS was");
	unit_str(r.s.refusal.status, "5.1.1", "the last refusal's status");
	unit_str(r.s.refusal.text, "No such user", "and words");
	check_session(&r.s);
	check_counts(&r.s.msg);
	clear(&r);
}

static void
received(const char *hello, int tls, const char *name, const char *address, const char *id,
    const char *want)
{
	struct smtp_server_conf conf = { .name = "mx.example", .limits = SMTP_SERVER_LIMITS };
	struct smtp_server_tls facts = { .protocol = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384",
	    .bits = 256, .group = "X25519", .client = tls > 1 ? "trusted) evil\r\nX: y" : NULL };
	struct smtp_server s;
	struct buf b = BUF_INIT;

	smtp_server_init(&s, &conf);
	if (tls)
		smtp_server_tls_done(&s, &facts);
	snprintf(s.hello, sizeof s.hello, "%s", hello);
	s.esmtp = 1;
	smtp_server_received(&s, &b, name, address, id, 1795304337);
	unit_str(b.p, want, "Received from %s", address != NULL ? address : "a socket");
	buf_clear(&b);
	smtp_server_clear(&s);
}

static void
test_received(void)
{
	received("c.example", 0, "client.example", "192.0.2.1", "abc",
	    "Received: from c.example (client.example [192.0.2.1]) by mx.example with\r\n"
	    "\tESMTP id abc; Sat, 21 Nov 2026 23:38:57 +0000\r\n");
	received("c.example", 1, NULL, "2001:db8::1", "abc",
	    "Received: from c.example (unknown [IPv6:2001:db8::1]) by mx.example with\r\n"
	    "\tESMTPS id abc tls TLS_AES_256_GCM_SHA384 (TLSv1.3, 256 bits, X25519);\r\n"
	    "\tSat, 21 Nov 2026 23:38:57 +0000\r\n");
	received("a\r\nX-Evil: 1", 2, "b) (\r\n", "1\\2", "i d",
	    "Received: from a??X-Evil:?1 (b????? [1?2]) by mx.example with ESMTPS id i?d\r\n"
	    "\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3, 256 bits, X25519, client\r\n"
	    "\tcertificate trusted? evil??X: y); Sat, 21 Nov 2026 23:38:57 +0000\r\n");
	received("", 0, NULL, NULL, "abc",
	    "Received: from unknown by mx.example with ESMTP id abc; Sat, 21 Nov 2026\r\n"
	    "\t23:38:57 +0000\r\n");
}

static void
test_names(void)
{
	int i;

	for (i = 0; i < SMTP_SERVER_WANTS; i++)
		unit_ok(smtp_server_want_name(i) != NULL, "want %d: %s", i, smtp_server_want_name(i));
	for (i = 0; i < SMTP_SERVER_STAGES; i++)
		unit_ok(smtp_server_stage_name(i) != NULL, "stage %d: %s", i, smtp_server_stage_name(i));
	for (i = 0; i < SMTP_SERVER_ENDS; i++)
		unit_ok(smtp_server_end_name(i) != NULL, "end %d: %s", i, smtp_server_end_name(i));
}

int
main(void)
{
	test_scripts();
	test_smuggling();
	test_output();
	test_long_lines();
	test_early_message();
	test_record();
	test_received();
	test_names();
	return unit_done();
}
