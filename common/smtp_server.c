/*
 * A session's way: smtp_server_feed() gives bytes to the function of the stage (takers[]).  Between
 * commands that gathers a line and gives it to the function of its verb (commands[]), which replies
 * or asks the caller; the answer comes to the function of the stage in which it was awaited
 * (answers[]).  In a message, smtp_data decodes: what breaks a message off (line ends, NUL) ends the
 * session, any other fault drops the message at once and is answered at its end.  What the caller
 * must do is noted in s->due and said by next_want().
 */
#include "smtp_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "received.h"

/* Wants that are said once, in this order. */
#define DUE_ABORT	0x1
#define DUE_BODY	0x2
#define DUE_REFUSED	0x4
#define DUE_ASK		0x8	/* the stage's own */

#define SHOWN_MAX 60	/* octets from the client quoted in an error */

#define IN_CLEAR 0x1	/* served before TLS where that is required */
#define ALONE	0x2	/* no bytes may stand behind it (RFC 2920 3.1) */
#define JUNK	0x4	/* moves no mail */
#define SHOWN	0x8	/* its argument may be logged */

struct smtp_server_command {
	const char *verb;
	unsigned flags;
	void (*run)(struct smtp_server *, const char *arg);
};

/* For refusals of what is no command. */
static const struct smtp_server_command no_command = { "command", 0, NULL };
static const struct smtp_server_command connection = { "connection", 0, NULL };

static const char *const want_names[SMTP_SERVER_WANTS] = {
	[SMTP_SERVER_INPUT] = "input",
	[SMTP_SERVER_OUTPUT] = "output",
	[SMTP_SERVER_WAIT] = "wait",
	[SMTP_SERVER_CLOSE] = "close",
	[SMTP_SERVER_MAIL] = "mail",
	[SMTP_SERVER_RCPT] = "rcpt",
	[SMTP_SERVER_BEGIN] = "begin",
	[SMTP_SERVER_BODY] = "body",
	[SMTP_SERVER_END] = "end",
	[SMTP_SERVER_ABORT] = "abort",
	[SMTP_SERVER_REFUSED] = "refused",
	[SMTP_SERVER_AUTH] = "auth",
	[SMTP_SERVER_TLS] = "tls",
};

static const char *const stage_names[SMTP_SERVER_STAGES] = {
	[SMTP_SERVER_AT_CONNECT] = "connection",
	[SMTP_SERVER_AT_COMMAND] = "command",
	[SMTP_SERVER_AT_HANDSHAKE] = "TLS handshake",
	[SMTP_SERVER_AT_SASL] = "AUTH",
	[SMTP_SERVER_AT_AUTH] = "end of AUTH",
	[SMTP_SERVER_AT_MAIL] = "MAIL",
	[SMTP_SERVER_AT_RCPT] = "RCPT",
	[SMTP_SERVER_AT_BEGIN] = "DATA",
	[SMTP_SERVER_AT_DATA] = "message",
	[SMTP_SERVER_AT_END] = "end of message",
	[SMTP_SERVER_AT_DONE] = "end of session",
};

static const char *const end_names[SMTP_SERVER_ENDS] = {
	[SMTP_SERVER_END_NONE] = "none",
	[SMTP_SERVER_END_QUIT] = "quit",
	[SMTP_SERVER_END_EOF] = "eof",
	[SMTP_SERVER_END_LOST] = "lost",
	[SMTP_SERVER_END_TIMEOUT] = "timeout",
	[SMTP_SERVER_END_EXPIRED] = "session-time",
	[SMTP_SERVER_END_SHUTDOWN] = "shutdown",
	[SMTP_SERVER_END_ANSWER] = "refused",
	[SMTP_SERVER_END_LIMIT] = "limit",
	[SMTP_SERVER_END_OUT_OF_TURN] = "out-of-turn",
	[SMTP_SERVER_END_INJECTION] = "injection",
	[SMTP_SERVER_END_LINE] = "line-end",
	[SMTP_SERVER_END_HTTP] = "http",
	[SMTP_SERVER_END_CHUNK] = "chunk",
	[SMTP_SERVER_END_HANDSHAKE] = "handshake",
};

const char *
smtp_server_want_name(enum smtp_server_want want)
{
	return want_names[want];
}

const char *
smtp_server_stage_name(enum smtp_server_stage stage)
{
	return stage_names[stage];
}

const char *
smtp_server_end_name(enum smtp_server_end end)
{
	return end_names[end];
}

void
smtp_server_init(struct smtp_server *s, const struct smtp_server_conf *conf)
{
	memset(s, 0, sizeof *s);
	s->conf = *conf;
	s->stage = SMTP_SERVER_AT_CONNECT;
	s->command = &connection;
}

void
smtp_server_clear(struct smtp_server *s)
{
	buf_clear(&s->out);
	buf_wipe(&s->line);
	smtp_sasl_clear(&s->sasl);
	smtp_data_clear(&s->msg);
	free(s->tls_text);
	s->tls_text = NULL;
}

/* One reply line; text is escaped and cut to what a line may hold. */
static void
reply(struct smtp_server *s, int code, const char *status, const char *text)
{
	size_t start = s->out.len, max = start + SMTP_SERVER_REPLY_MAX - 2;

	buf_printf(&s->out, "%03d %s%s", code, status != NULL ? status : "", status != NULL ? " " : "");
	buf_escape(&s->out, text, strnlen(text, SMTP_SERVER_REPLY_MAX));
	if (s->out.len > max)
		s->out.len = max;
	buf_puts(&s->out, "\r\n");
}

/* A reply that says no; the caller gets to hear of it. */
static void
say_no(struct smtp_server *s, int code, const char *status, const char *text)
{
	reply(s, code, status, text);
	s->refusal.code = code;
	s->refusal.verb = s->command->verb;
	snprintf(s->refusal.status, sizeof s->refusal.status, "%s", status != NULL ? status : "");
	snprintf(s->refusal.text, sizeof s->refusal.text, "%s", text);
	memcpy(s->refusal.argument, s->argument, sizeof s->argument);
	s->due |= DUE_REFUSED;
}

/* As say_no(), and counted: too many end the session, whoever was to blame. */
static void
refuse(struct smtp_server *s, int code, const char *status, const char *text)
{
	s->errors++;
	say_no(s, code, status, text);
}

static void
end_transaction(struct smtp_server *s)
{
	smtp_data_clear(&s->msg);
	s->has_mail = 0;
	s->recipients = s->surplus = 0;
	s->chunk.used = s->chunk.broken = 0;
	if (s->open)
		s->due |= DUE_ABORT;
}

/* Ends the session; s->fail is set already, or stays empty where all was in order. */
static void
stop(struct smtp_server *s, enum smtp_server_end end)
{
	s->end = end;
	s->stage_at_end = s->stage;
	s->stage = SMTP_SERVER_AT_DONE;
	s->due &= DUE_ABORT | DUE_REFUSED;
	end_transaction(s);
	smtp_sasl_clear(&s->sasl);
	buf_wipe(&s->line);
}

/* 421 may stand in for any reply (RFC 5321 3.8). */
static void
stop_421(struct smtp_server *s, enum smtp_server_end end, const char *status, const char *why)
{
	char *text = xasprintf("%s %s", s->conf.name, why);

	reply(s, 421, status, text);
	fail(&s->fail, FAIL_TEMP, "%s: %s", stage_names[s->stage], why);
	free(text);
	stop(s, end);
}

/* The client broke the protocol so that nothing it says can be relied on. */
static void
stop_refused(struct smtp_server *s, enum smtp_server_end end, int code, const char *status,
    const char *text)
{
	say_no(s, code, status, text);
	fail(&s->fail, FAIL_PEER, "%s: %s", stage_names[s->stage], text);
	stop(s, end);
}

/* The boundary behind a command or a message: may the session go on? */
static void
settle(struct smtp_server *s)
{
	const struct smtp_server_limits *l = &s->conf.limits;

	if (s->stage != SMTP_SERVER_AT_COMMAND)
		return;
	if (s->errors > l->errors)
		stop_421(s, SMTP_SERVER_END_LIMIT, "4.7.0", "too many errors");
	else if (s->refused_recipients > l->refused_recipients || s->surplus > l->recipients)
		stop_421(s, SMTP_SERVER_END_LIMIT, "4.7.0", "too many refused recipients");
	else if (s->auth_failures > l->auth_failures)
		stop_421(s, SMTP_SERVER_END_LIMIT, "4.7.0", "too many failed attempts to authenticate");
	else if (s->leaving)
		stop_421(s, SMTP_SERVER_END_SHUTDOWN, "4.3.2", "shutting down");
}

/* The caller is to decide. */
static void
ask(struct smtp_server *s, enum smtp_server_stage stage)
{
	s->stage = stage;
	s->due |= DUE_ASK;
}

static const enum smtp_server_want stage_wants[SMTP_SERVER_STAGES] = {
	[SMTP_SERVER_AT_HANDSHAKE] = SMTP_SERVER_TLS,
	[SMTP_SERVER_AT_AUTH] = SMTP_SERVER_AUTH,
	[SMTP_SERVER_AT_MAIL] = SMTP_SERVER_MAIL,
	[SMTP_SERVER_AT_RCPT] = SMTP_SERVER_RCPT,
	[SMTP_SERVER_AT_BEGIN] = SMTP_SERVER_BEGIN,
	[SMTP_SERVER_AT_END] = SMTP_SERVER_END,
};

static int
is_due(struct smtp_server *s, unsigned what)
{
	unsigned due = s->due & what;

	s->due &= ~what;
	return due != 0;
}

/* s->open follows what the caller was told, not what the machine knows: it owes by that. */
static enum smtp_server_want
said_ask(struct smtp_server *s)
{
	enum smtp_server_want want = stage_wants[s->stage];

	if (want == SMTP_SERVER_BEGIN)
		s->open = 1;
	if (want == SMTP_SERVER_END)
		s->open = 0;
	return want;
}

static enum smtp_server_want
next_want(struct smtp_server *s, int more)
{
	if (is_due(s, DUE_ABORT)) {
		s->open = 0;
		return SMTP_SERVER_ABORT;
	}
	if (is_due(s, DUE_BODY)) {
		s->body.p = s->msg.run.p;
		s->body.len = s->msg.run.len;
		return SMTP_SERVER_BODY;
	}
	if (is_due(s, DUE_REFUSED))
		return SMTP_SERVER_REFUSED;
	if (is_due(s, DUE_ASK))
		return said_ask(s);
	if (s->stage == SMTP_SERVER_AT_DONE)
		return SMTP_SERVER_CLOSE;
	if (stage_wants[s->stage] != SMTP_SERVER_INPUT)
		return SMTP_SERVER_WAIT;
	return more ? SMTP_SERVER_OUTPUT : SMTP_SERVER_INPUT;
}

/*
 * Commands.  The argument comes without white space around it, NUL-terminated: a line with NUL in it
 * has ended the session already.
 */

static int
no_argument(struct smtp_server *s, const char *arg)
{
	if (arg[0] == '\0')
		return 1;
	refuse(s, 501, "5.5.4", "No argument is allowed here");
	return 0;
}

/*
 * RFC 5321 4.1.4 has a server not insist on a true name, and many are none: underscores, addresses
 * without brackets.  Anything else is not sent by a mail server.
 */
static int
is_hello(const char *arg)
{
	size_t len = strlen(arg);

	return len > 0 && len <= SMTP_SERVER_HELLO_MAX &&
	    strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]") == len;
}

static int
take_hello(struct smtp_server *s, const char *arg, int esmtp)
{
	if (!is_hello(arg)) {
		refuse(s, 501, "5.5.4", "Expected a host name or an address in brackets");
		return 0;
	}
	end_transaction(s);
	memcpy(s->hello, arg, strlen(arg) + 1);
	s->esmtp = esmtp;
	return 1;
}

/* What EHLO tells, as bits: also what the parameters of MAIL and RCPT may be of. */
static unsigned
offered(const struct smtp_server *s)
{
	unsigned bits = s->esmtp ? s->conf.offers & SMTP_SERVER_OFFERS : 0;

	if (!s->tls)
		return bits & ~SMTP_CAP_REQUIRETLS;
	if (s->esmtp && s->conf.auth != SMTP_SERVER_AUTH_NO)
		bits |= SMTP_CAP_AUTH;
	return bits;
}

static void
on_ehlo(struct smtp_server *s, const char *arg)
{
	static const unsigned told[] = { SMTP_CAP_CHUNKING, SMTP_CAP_DSN, SMTP_CAP_SMTPUTF8,
		SMTP_CAP_REQUIRETLS };
	size_t i;

	if (!take_hello(s, arg, 1))
		return;
	buf_printf(&s->out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n", s->conf.name,
	    (unsigned long long)s->conf.limits.size);
	if (s->conf.tls != SMTP_SERVER_TLS_NO && !s->tls)
		buf_puts(&s->out, "250-STARTTLS\r\n");
	for (i = 0; i < sizeof told / sizeof told[0]; i++)
		if (offered(s) & told[i])
			buf_printf(&s->out, "250-%s\r\n", smtp_cap_name(told[i]));
	if (offered(s) & SMTP_CAP_AUTH)
		buf_puts(&s->out, "250-AUTH " SMTP_SASL_MECHANISMS "\r\n");
	buf_puts(&s->out, "250 ENHANCEDSTATUSCODES\r\n");
}

static void
on_helo(struct smtp_server *s, const char *arg)
{
	if (take_hello(s, arg, 0))
		reply(s, 250, NULL, s->conf.name);
}

static void
on_starttls(struct smtp_server *s, const char *arg)
{
	if (!no_argument(s, arg))
		return;
	if (s->tls) {
		refuse(s, 503, "5.5.1", "TLS is active already");
		return;
	}
	if (s->conf.tls == SMTP_SERVER_TLS_NO) {
		refuse(s, 502, "5.5.1", "STARTTLS is not offered");
		return;
	}
	s->starttls = 1;
	reply(s, 220, "2.0.0", "Ready to start TLS");
	ask(s, SMTP_SERVER_AT_HANDSHAKE);
}

/*
 * "FROM:" or "TO:" and the path.  RFC 5321 3.3 wants no space behind the colon; so many send one that
 * servers take it.  Returns what stands behind the path; NULL where it was refused.
 */
static const char *
take_path(struct smtp_server *s, const char *arg, const char *key, unsigned flags, const char *status,
    struct mailbox *m)
{
	struct fail f = FAIL_INIT;
	size_t n = strlen(key), used;
	char *text;

	if (strncasecmp(arg, key, n) != 0) {
		text = xasprintf("Expected %s<address>", key);
		refuse(s, 501, "5.5.4", text);
		free(text);
		return NULL;
	}
	arg += n + strspn(arg + n, " \t");
	if (offered(s) & SMTP_CAP_SMTPUTF8)
		flags |= MAILBOX_UTF8;
	if (mailbox_parse(m, arg, strlen(arg), flags, &used, &f) == 0)
		return arg + used;
	if (f.kind == FAIL_POLICY)
		refuse(s, 553, "5.6.7", "Addresses beyond ASCII are not supported");
	else
		refuse(s, 501, status, f.text);
	return NULL;
}

/* RFC 6531 3.4: who does not say SMTPUTF8 has none in its addresses. */
static int
may_be_utf8(struct smtp_server *s, const struct mailbox *m)
{
	if (s->mail.params.utf8 || !mailbox_is_utf8(m))
		return 1;
	refuse(s, 553, "5.6.7", "Addresses beyond ASCII need SMTPUTF8");
	return 0;
}

static int
take_mail_params(struct smtp_server *s, const char *text)
{
	struct smtp_params_fault fault;

	if (smtp_mail_params_parse(&s->mail.params, text, offered(s), &fault) == -1) {
		refuse(s, fault.code, fault.status, fault.text);
		return 0;
	}
	if (s->mail.params.size > s->conf.limits.size) {
		refuse(s, 552, "5.3.4", "The message is larger than this server takes");
		return 0;
	}
	return may_be_utf8(s, &s->mail.from);
}

static int
take_rcpt_params(struct smtp_server *s, const char *text)
{
	struct smtp_params_fault fault;

	if (smtp_rcpt_params_parse(&s->rcpt_params, text, offered(s), s->mail.params.utf8, &fault) == 0)
		return may_be_utf8(s, &s->rcpt);
	refuse(s, fault.code, fault.status, fault.text);
	return 0;
}

static void
on_mail(struct smtp_server *s, const char *arg)
{
	const char *rest;

	if (s->hello[0] == '\0') {
		refuse(s, 503, "5.5.1", "Say EHLO first");
		return;
	}
	if (s->has_mail) {
		refuse(s, 503, "5.5.1", "A transaction is open already");
		return;
	}
	if (s->conf.auth == SMTP_SERVER_AUTH_REQUIRED && s->auth_user[0] == '\0') {
		refuse(s, 530, "5.7.0", "Authentication required");
		return;
	}
	if (s->messages >= s->conf.limits.messages) {
		stop_421(s, SMTP_SERVER_END_LIMIT, "4.7.0", "too many messages in one session");
		return;
	}
	memset(&s->mail, 0, sizeof s->mail);
	if ((rest = take_path(s, arg, "FROM:", MAILBOX_NULL | (s->conf.bare ? MAILBOX_BARE : 0), "5.1.7",
	    &s->mail.from)) != NULL &&
	    take_mail_params(s, rest))
		ask(s, SMTP_SERVER_AT_MAIL);
}

static void
on_rcpt(struct smtp_server *s, const char *arg)
{
	const char *rest;

	if (!s->has_mail) {
		/* Where MAIL was refused they come all the same (RFC 2920): no errors as such. */
		s->refused_recipients++;
		say_no(s, 503, "5.5.1", "Say MAIL first");
		return;
	}
	if (s->chunk.used) {
		refuse(s, 503, "5.5.1", "The message has begun already");
		return;
	}
	if (s->recipients >= s->conf.limits.recipients) {
		s->surplus++;
		say_no(s, 452, "4.5.3", "Too many recipients for one message");
		return;
	}
	if ((rest = take_path(s, arg, "TO:", MAILBOX_BARE, "5.1.3", &s->rcpt)) == NULL ||
	    !take_rcpt_params(s, rest))
		return;
	if (s->rcpt.domain[0] == '\0' && !s->conf.bare && !text_case_eq(s->rcpt.local, "postmaster"))
		refuse(s, 501, "5.1.3", "Expected an @ behind the local part");
	else
		ask(s, SMTP_SERVER_AT_RCPT);
}

static void
on_data(struct smtp_server *s, const char *arg)
{
	if (!no_argument(s, arg))
		return;
	if (!s->has_mail)
		refuse(s, 503, "5.5.1", "Say MAIL first");
	else if (s->chunk.used || s->chunk.broken)
		refuse(s, 503, "5.5.1", "The message comes in chunks");
	else if (s->recipients == 0)
		refuse(s, 554, "5.5.1", "No valid recipients");
	else
		ask(s, SMTP_SERVER_AT_BEGIN);
}

/*
 * BDAT (RFC 3030 2).  Whatever is said of a chunk, its octets follow, and must not be taken for commands.
 */

static void end_chunk(struct smtp_server *);

/* "N" or "N LAST"; a number beyond 64 bits is as good as endless.  0: not even that. */
static int
take_chunk_size(struct smtp_server *s, const char *arg)
{
	size_t digits = strspn(arg, "0123456789"), gap = strspn(arg + digits, " \t");
	const char *word = arg + digits + gap;

	if (digits == 0 || (word[0] != '\0' && (gap == 0 || !text_case_eq(word, "LAST"))))
		return 0;
	s->chunk.size = s->chunk.left = strtoull(arg, NULL, 10);
	s->chunk.last = word[0] != '\0';
	s->chunk.drop = 0;
	return 1;
}

/* The chunk was refused: it is read, as far as can be asked of a server. */
static void
drop_chunk(struct smtp_server *s)
{
	if (s->stage == SMTP_SERVER_AT_DONE)
		return;
	if (s->chunk.left > s->conf.limits.swallow) {
		fail(&s->fail, FAIL_PEER, "a chunk of %llu octets was refused",
		    (unsigned long long)s->chunk.left);
		stop(s, SMTP_SERVER_END_CHUNK);
		return;
	}
	s->chunk.drop = s->chunk.left > 0;
	s->stage = s->chunk.drop ? SMTP_SERVER_AT_DATA : SMTP_SERVER_AT_COMMAND;
}

static void
refuse_chunk(struct smtp_server *s, int code, const char *status, const char *text)
{
	refuse(s, code, status, text);
	drop_chunk(s);
}

static int
is_too_much(const struct smtp_server *s)
{
	uint64_t before = s->chunk.used ? s->msg.octets : 0;

	return s->chunk.size > s->conf.limits.size || before + s->chunk.size > s->conf.limits.size;
}

/* It will not be a message; the transaction stays, and its other chunks are refused too. */
static void
break_chunks(struct smtp_server *s)
{
	s->chunk.broken = 1;
	if (s->open)
		s->due |= DUE_ABORT;
}

static void
on_bdat(struct smtp_server *s, const char *arg)
{
	if (!take_chunk_size(s, arg)) {
		stop_refused(s, SMTP_SERVER_END_CHUNK, 501, "5.5.4", "Expected BDAT size [LAST]");
		return;
	}
	/* Octet by octet a message would never end, and each command buys the client time. */
	if (!s->chunk.last && s->chunk.size < SMTP_SERVER_CHUNK_MIN && ++s->junk > s->conf.limits.junk)
		s->errors++;
	if (s->conf.tls == SMTP_SERVER_TLS_REQUIRED && !s->tls) {
		s->tls_demanded++;
		refuse_chunk(s, 530, "5.7.0", "Must issue a STARTTLS command first");
	} else if (!(offered(s) & SMTP_CAP_CHUNKING))
		refuse_chunk(s, 502, "5.5.1", "CHUNKING is not offered");
	else if (!s->has_mail)
		refuse_chunk(s, 503, "5.5.1", "Say MAIL first");
	else if (s->chunk.broken)
		refuse_chunk(s, 503, "5.5.1", "A chunk before was refused: say RSET");
	else if (s->recipients == 0)
		refuse_chunk(s, 554, "5.5.1", "No valid recipients");
	else if (is_too_much(s)) {
		break_chunks(s);
		refuse_chunk(s, 552, "5.3.4", "The message is larger than this server takes");
	} else if (!s->chunk.used) {
		s->chunk.used = 1;
		ask(s, SMTP_SERVER_AT_BEGIN);
	} else {
		s->stage = SMTP_SERVER_AT_DATA;
		if (s->chunk.left == 0)
			end_chunk(s);
	}
}

/*
 * AUTH (RFC 4954).
 */

static void
go_on_with_sasl(struct smtp_server *s, enum smtp_sasl_got got)
{
	s->stage = SMTP_SERVER_AT_COMMAND;
	switch (got) {
	case SMTP_SASL_CHALLENGE:
		reply(s, 334, NULL, s->sasl.challenge);
		s->stage = SMTP_SERVER_AT_SASL;
		return;
	case SMTP_SASL_DONE:
		ask(s, SMTP_SERVER_AT_AUTH);
		return;
	case SMTP_SASL_CANCELLED:
		refuse(s, 501, "5.7.0", "Authentication cancelled");
		break;
	case SMTP_SASL_UNKNOWN:
		refuse(s, 504, "5.5.4", "Expected a mechanism that is offered");
		break;
	case SMTP_SASL_BAD:
		refuse(s, 501, "5.5.2", "Expected base64 of what the mechanism asks for");
		break;
	}
	smtp_sasl_clear(&s->sasl);
}

static void
on_auth(struct smtp_server *s, const char *arg)
{
	char mechanism[24];
	size_t n = strcspn(arg, " \t");
	const char *initial = arg + n + strspn(arg + n, " \t");

	if (s->conf.auth == SMTP_SERVER_AUTH_NO)
		refuse(s, 502, "5.5.1", "AUTH is not offered");
	else if (!s->tls)
		refuse(s, 538, "5.7.11", "AUTH needs TLS: say STARTTLS first");
	else if (!s->esmtp)
		refuse(s, 503, "5.5.1", "Say EHLO first");
	else if (s->auth_user[0] != '\0')
		refuse(s, 503, "5.5.1", "Authenticated already");
	else if (s->has_mail)
		refuse(s, 503, "5.5.1", "A transaction is open");
	else if (n == 0)
		refuse(s, 501, "5.5.4", "Expected AUTH mechanism");
	else {
		snprintf(mechanism, sizeof mechanism, "%.*s", (int)(n < 23 ? n : 23), arg);
		go_on_with_sasl(s, smtp_sasl_start(&s->sasl, mechanism, initial[0] != '\0' ? initial : NULL));
	}
}

static void
on_rset(struct smtp_server *s, const char *arg)
{
	if (!no_argument(s, arg))
		return;
	end_transaction(s);
	reply(s, 250, "2.0.0", "Ok");
}

static void
on_noop(struct smtp_server *s, const char *arg)
{
	(void)arg;
	reply(s, 250, "2.0.0", "Ok");
}

static void
on_vrfy(struct smtp_server *s, const char *arg)
{
	if (arg[0] == '\0')
		refuse(s, 501, "5.5.4", "Expected an address");
	else
		reply(s, 252, "2.5.2", "Cannot say; send mail and see");
}

static void
on_help(struct smtp_server *s, const char *arg)
{
	(void)arg;
	reply(s, 214, "2.0.0", "See RFC 5321");
}

static void
on_quit(struct smtp_server *s, const char *arg)
{
	if (!no_argument(s, arg))
		return;
	reply(s, 221, "2.0.0", "Bye");
	stop(s, SMTP_SERVER_END_QUIT);
}

static void
on_known(struct smtp_server *s, const char *arg)
{
	(void)arg;
	refuse(s, 502, "5.5.1", "Command not implemented");
}

static void
on_unknown(struct smtp_server *s, const char *arg)
{
	(void)arg;
	refuse(s, 500, "5.5.2", "Command not recognized");
}

/* A browser made to talk to us by somebody else: lines behind this one may be mail. */
static void
on_http(struct smtp_server *s, const char *arg)
{
	(void)arg;
	stop_refused(s, SMTP_SERVER_END_HTTP, 554, "5.5.1", "This is SMTP");
}

static const struct smtp_server_command commands[] = {
	{ "EHLO", IN_CLEAR | ALONE | JUNK | SHOWN, on_ehlo },
	{ "HELO", ALONE | JUNK | SHOWN, on_helo },
	{ "STARTTLS", IN_CLEAR | ALONE, on_starttls },
	{ "MAIL", SHOWN, on_mail },
	{ "RCPT", SHOWN, on_rcpt },
	{ "DATA", ALONE, on_data },
	{ "RSET", JUNK, on_rset },
	{ "NOOP", IN_CLEAR | ALONE | JUNK, on_noop },
	{ "VRFY", ALONE | JUNK | SHOWN, on_vrfy },
	{ "EXPN", ALONE, on_known },
	{ "HELP", ALONE | JUNK, on_help },
	{ "QUIT", IN_CLEAR, on_quit },	/* what stands behind it is not read */
	{ "BDAT", IN_CLEAR, on_bdat },	/* looks for TLS itself */
	{ "AUTH", ALONE, on_auth },
	{ "ETRN", 0, on_known },
	{ "TURN", 0, on_known },
	{ "CONNECT", IN_CLEAR, on_http },
	{ "DELETE", IN_CLEAR, on_http },
	{ "GET", IN_CLEAR, on_http },
	{ "HEAD", IN_CLEAR, on_http },
	{ "OPTIONS", IN_CLEAR, on_http },
	{ "PATCH", IN_CLEAR, on_http },
	{ "POST", IN_CLEAR, on_http },
	{ "PRI", IN_CLEAR, on_http },	/* HTTP/2's preface */
	{ "PUT", IN_CLEAR, on_http },
	{ "TRACE", IN_CLEAR, on_http },
};

static const struct smtp_server_command unknown_command = { "command", 0, on_unknown };

static const struct smtp_server_command *
find_command(const char *verb)
{
	size_t i;

	for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (text_case_eq(verb, commands[i].verb))
			return &commands[i];
	return &unknown_command;
}

/* Bytes that the client sent before it could know the answer. */
static void
out_of_turn(struct smtp_server *s)
{
	stop_refused(s, SMTP_SERVER_END_OUT_OF_TURN, 554, "5.5.0", "You talk before it is your turn");
}

/* The client's turn has come once what it had to await is out. */
static int
take_turn(struct smtp_server *s)
{
	if (s->await_turn && s->out.len > 0) {
		out_of_turn(s);
		return 0;
	}
	s->await_turn = 0;
	return 1;
}

/* Whoever put them there, they must not be taken for what comes inside TLS. */
static void
injected(struct smtp_server *s, const char *p, size_t n)
{
	fail(&s->fail, FAIL_PEER, "clear text behind STARTTLS: \"%.*s\"", n < SHOWN_MAX ? (int)n : SHOWN_MAX,
	    p);
	buf_clear(&s->out);
	stop(s, SMTP_SERVER_END_INJECTION);
}

/* May the command be run?  behind: the bytes that stand behind it. */
static int
permitted(struct smtp_server *s, const struct smtp_server_command *c, const char *behind, size_t n)
{
	int alone = (c->flags & ALONE) || !s->esmtp;

	if (n > 0 && c->run == on_starttls)
		injected(s, behind, n);
	else if (n > 0 && alone && c->run != on_quit && c->run != on_http)
		out_of_turn(s);
	else if (s->conf.tls == SMTP_SERVER_TLS_REQUIRED && !s->tls && !(c->flags & IN_CLEAR)) {
		s->tls_demanded++;
		refuse(s, 530, "5.7.0", "Must issue a STARTTLS command first");
	} else
		return 1;
	return 0;
}

/* A line of AUTH stands in s->line. */
static void
run_sasl(struct smtp_server *s, const char *behind, size_t n)
{
	(void)behind;
	if (n > 0)
		out_of_turn(s);
	else {
		s->await_turn = 1;
		go_on_with_sasl(s, smtp_sasl_line(&s->sasl, s->line.p));
	}
	/* A session that ended has wiped it already. */
	if (s->line.p != NULL)
		explicit_bzero(s->line.p, s->line.size);
	s->line.len = 0;
	settle(s);
}

/* The line stands in s->line without its CRLF. */
static void
run_command(struct smtp_server *s, const char *behind, size_t n)
{
	char *verb = s->line.p, *arg = verb + strcspn(verb, " \t"), *end = verb + s->line.len;
	const struct smtp_server_command *c;

	while (end > verb && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (*arg != '\0')
		*arg++ = '\0';
	arg += strspn(arg, " \t");
	c = s->command = find_command(verb);
	if (c->flags & SHOWN)
		snprintf(s->argument, sizeof s->argument, "%s", arg);
	s->commands++;
	s->await_turn = (c->flags & ALONE) || !s->esmtp;
	if (permitted(s, c, behind, n)) {
		if ((c->flags & JUNK) && ++s->junk > s->conf.limits.junk)
			s->errors++;
		c->run(s, arg);
	}
	if (c->run == on_auth && s->line.p != NULL)
		explicit_bzero(s->line.p, s->line.size);
	s->line.len = 0;
	settle(s);
}

static void
bad_octet(struct smtp_server *s, const char *what, int in_data)
{
	char *text = xasprintf("%s: lines end in CR LF and hold neither, nor NUL", what);

	if (in_data)
		stop_refused(s, SMTP_SERVER_END_LINE, 554, "5.6.0", text);
	else
		stop_refused(s, SMTP_SERVER_END_LINE, 500, "5.5.2", text);
	free(text);
}

/* Up to the end of one line, which is run then. */
static size_t
take_line(struct smtp_server *s, const char *p, size_t n,
    void (*run)(struct smtp_server *, const char *behind, size_t n))
{
	struct buf *l = &s->line;
	const char *fault;
	int after_cr;
	size_t i;

	for (i = 0; i < n; i++) {
		after_cr = l->len > 0 && l->p[l->len - 1] == '\r';
		if ((fault = smtp_octet_fault(p[i], after_cr)) != NULL) {
			bad_octet(s, fault, 0);
			return n;
		}
		if (l->len == SMTP_SERVER_LINE_MAX) {
			stop_refused(s, SMTP_SERVER_END_LIMIT, 500, "5.5.2", "The line is too long");
			return n;
		}
		buf_putc(l, p[i]);
		if (p[i] == '\n') {
			l->len -= 2;
			l->p[l->len] = '\0';
			i++;
			run(s, p + i, n - i);
			break;
		}
	}
	return i;
}

static size_t
take_command(struct smtp_server *s, const char *p, size_t n)
{
	if (!take_turn(s))
		return n;
	if (s->out.len >= SMTP_SERVER_OUT_MAX)
		return 0;
	if (s->line.len == 0) {
		s->command = &no_command;
		s->argument[0] = '\0';
	}
	return take_line(s, p, n, run_command);
}

static size_t
take_sasl(struct smtp_server *s, const char *p, size_t n)
{
	return take_turn(s) ? take_line(s, p, n, run_sasl) : n;
}

/*
 * The message.
 */

static void
begin_data(struct smtp_server *s)
{
	const struct smtp_server_limits *l = &s->conf.limits;
	struct smtp_data_limits limits = { .size = l->size, .text_line = l->text_line,
	    .header = l->header, .received = l->received };

	smtp_data_begin(&s->msg, &limits);
	if (s->chunk.used)
		smtp_data_in_chunks(&s->msg);
	s->stage = SMTP_SERVER_AT_DATA;
}

static const struct fault_answer {
	int code;
	const char *status, *text;
} fault_answers[SMTP_DATA_FAULTS] = {
	[SMTP_DATA_TOO_LARGE] = { 552, "5.3.4", "The message is larger than this server takes" },
	[SMTP_DATA_LONG_HEADER] = { 554, "5.6.0", "The header is larger than this server takes" },
	[SMTP_DATA_LONG_LINE] = { 554, "5.6.0", "A line is longer than this server takes" },
	[SMTP_DATA_LOOP] = { 554, "5.4.6", "Too many Received fields: this mail goes in a circle" },
};

static void
end_data(struct smtp_server *s)
{
	const struct fault_answer *a = &fault_answers[s->msg.fault];

	if (s->msg.fault == SMTP_DATA_SOUND) {
		ask(s, SMTP_SERVER_AT_END);
		return;
	}
	refuse(s, a->code, a->status, a->text);
	s->stage = SMTP_SERVER_AT_COMMAND;
	end_transaction(s);
	settle(s);
}

/* A message at fault that does not come to its end. */
static void
end_swallowing(struct smtp_server *s)
{
	const struct fault_answer *a = &fault_answers[s->msg.fault];

	stop_refused(s, SMTP_SERVER_END_LIMIT, a->code, a->status, a->text);
}

/* The message is whole, but for a line end perhaps. */
static void
end_chunks(struct smtp_server *s)
{
	switch (smtp_data_finish(&s->msg)) {
	case SMTP_DATA_BROKEN:
		bad_octet(s, s->msg.broken, 1);
		return;
	case SMTP_DATA_FAULT:
		s->due |= DUE_ABORT;
		break;
	default:
		break;
	}
	if (s->msg.run.len > 0)
		s->due |= DUE_BODY;
	end_data(s);
}

/* Fault and all: the reply to each chunk comes behind it. */
static void
end_chunk(struct smtp_server *s)
{
	const struct fault_answer *a = &fault_answers[s->msg.fault];
	int dropped = s->chunk.drop;
	char text[48];

	/* Left standing, it would make commands of the message that a DATA brings. */
	s->chunk.drop = 0;
	if (s->chunk.last && !dropped) {
		end_chunks(s);
		return;
	}
	s->stage = SMTP_SERVER_AT_COMMAND;
	if (!dropped && s->msg.fault != SMTP_DATA_SOUND) {
		s->chunk.broken = 1;
		refuse(s, a->code, a->status, a->text);
	} else if (!dropped) {
		snprintf(text, sizeof text, "%llu octets received", (unsigned long long)s->chunk.size);
		reply(s, 250, "2.0.0", text);
	}
	settle(s);
}

static size_t
take_chunk(struct smtp_server *s, const char *p, size_t n)
{
	size_t used;

	if (n > s->chunk.left)
		n = s->chunk.left;
	used = n;
	if (!s->chunk.drop)
		switch (smtp_data_feed(&s->msg, p, n, &used)) {
		case SMTP_DATA_BROKEN:
			bad_octet(s, s->msg.broken, 1);
			return used;
		case SMTP_DATA_FAULT:
			s->due |= DUE_ABORT;
			break;
		default:
			break;
		}
	if (s->msg.run.len > 0)
		s->due |= DUE_BODY;
	s->chunk.left -= used;
	if (s->msg.dropped > s->conf.limits.swallow && !s->chunk.drop)
		end_swallowing(s);
	else if (s->chunk.left == 0)
		end_chunk(s);
	return used;
}

static size_t
take_data(struct smtp_server *s, const char *p, size_t n)
{
	size_t used;

	if (s->chunk.used || s->chunk.drop)
		return take_chunk(s, p, n);
	if (!take_turn(s))
		return n;
	switch (smtp_data_feed(&s->msg, p, n, &used)) {
	case SMTP_DATA_BROKEN:
		bad_octet(s, s->msg.broken, 1);
		return used;
	case SMTP_DATA_FAULT:
		s->due |= DUE_ABORT;
		break;
	case SMTP_DATA_END:
		end_data(s);
		break;
	case SMTP_DATA_MORE:
		break;
	}
	if (s->msg.run.len > 0)
		s->due |= DUE_BODY;
	if (s->msg.dropped > s->conf.limits.swallow && s->stage == SMTP_SERVER_AT_DATA)
		end_swallowing(s);
	return used;
}

static size_t
take_injected(struct smtp_server *s, const char *p, size_t n)
{
	injected(s, p, n);
	return n;
}

static size_t
take_early(struct smtp_server *s, const char *p, size_t n)
{
	(void)p;
	out_of_turn(s);
	return n;
}

/* A chunk may stand behind its BDAT at once, and waits; a message may not. */
static size_t
take_at_begin(struct smtp_server *s, const char *p, size_t n)
{
	return s->chunk.used ? 0 : take_early(s, p, n);
}

static size_t
take_rest(struct smtp_server *s, const char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}

/* AUTH, MAIL, RCPT and END take nothing: what follows them waits. */
static size_t (*const takers[SMTP_SERVER_STAGES])(struct smtp_server *, const char *, size_t) = {
	[SMTP_SERVER_AT_CONNECT] = take_early,
	[SMTP_SERVER_AT_COMMAND] = take_command,
	[SMTP_SERVER_AT_HANDSHAKE] = take_injected,
	[SMTP_SERVER_AT_SASL] = take_sasl,
	[SMTP_SERVER_AT_BEGIN] = take_at_begin,
	[SMTP_SERVER_AT_DATA] = take_data,
	[SMTP_SERVER_AT_DONE] = take_rest,
};

enum smtp_server_want
smtp_server_feed(struct smtp_server *s, const char *p, size_t n, size_t *used)
{
	size_t took = 1;

	if (s->body.p != NULL) {	/* that BODY has been written */
		s->msg.run.len = 0;
		s->body.p = NULL;
		s->body.len = 0;
	}
	*used = 0;
	while (took > 0 && *used < n && s->due == 0 && takers[s->stage] != NULL) {
		took = takers[s->stage](s, p + *used, n - *used);
		*used += took;
	}
	return next_want(s, *used < n);
}

/*
 * What the caller says.
 */

void
smtp_server_greet(struct smtp_server *s)
{
	const char *greeting = s->conf.greeting != NULL ? s->conf.greeting : "ESMTP";
	char *text;

	if (s->stage == SMTP_SERVER_AT_DONE)
		return;
	if (s->stage != SMTP_SERVER_AT_CONNECT)
		abort();
	text = xasprintf("%s %s", s->conf.name, greeting);
	reply(s, 220, NULL, text);
	free(text);
	s->stage = SMTP_SERVER_AT_COMMAND;
	s->await_turn = 1;
}

void
smtp_server_refuse(struct smtp_server *s, int code, const char *status, const char *text)
{
	if (s->stage == SMTP_SERVER_AT_DONE)
		return;
	if (s->stage != SMTP_SERVER_AT_CONNECT)
		abort();
	say_no(s, code, status, text);
	fail(&s->fail, FAIL_POLICY, "connection: %s", s->refusal.text);
	stop(s, SMTP_SERVER_END_ANSWER);
}

/* Answers: a code of 0 is smtp_server_accept(). */

static void
answer_auth(struct smtp_server *s, int code, const char *status, const char *text)
{
	s->stage = SMTP_SERVER_AT_COMMAND;
	if (code < 400)
		snprintf(s->auth_user, sizeof s->auth_user, "%s", s->sasl.user);
	smtp_sasl_clear(&s->sasl);
	if (code >= 400) {
		s->auth_failures += code >= 500;
		refuse(s, code, status, text);
		return;
	}
	reply(s, code ? code : 235, code ? status : "2.7.0", code ? text : "Authentication succeeded");
}

static void
answer_mail(struct smtp_server *s, int code, const char *status, const char *text)
{
	s->stage = SMTP_SERVER_AT_COMMAND;
	if (code >= 400) {
		refuse(s, code, status, text);
		return;
	}
	s->has_mail = 1;
	s->transactions++;
	reply(s, code ? code : 250, code ? status : "2.1.0", code ? text : "Ok");
}

static void
answer_rcpt(struct smtp_server *s, int code, const char *status, const char *text)
{
	s->stage = SMTP_SERVER_AT_COMMAND;
	if (code >= 400) {
		s->refused_recipients++;
		say_no(s, code, status, text);
		return;
	}
	s->recipients++;
	s->accepted_recipients++;
	reply(s, code ? code : 250, code ? status : "2.1.5", code ? text : "Ok");
}

static void
answer_begin(struct smtp_server *s, int code, const char *status, const char *text)
{
	s->stage = SMTP_SERVER_AT_COMMAND;
	if (code >= 400) {
		int chunks = s->chunk.used;

		s->open = 0;
		refuse(s, code, status, text);
		end_transaction(s);
		if (chunks)
			drop_chunk(s);
		return;
	}
	if (!s->chunk.used)
		reply(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	begin_data(s);
	if (s->chunk.used && s->chunk.left == 0)
		end_chunk(s);
}

static void
answer_end(struct smtp_server *s, int code, const char *status, const char *text)
{
	s->stage = SMTP_SERVER_AT_COMMAND;
	end_transaction(s);
	if (code >= 400) {
		refuse(s, code, status, text);
		return;
	}
	s->messages++;
	s->errors = s->junk = s->refused_recipients = 0;
	reply(s, code ? code : 250, code ? status : "2.0.0", code ? text : "Ok");
}

typedef void answer_fn(struct smtp_server *, int code, const char *status, const char *text);

static answer_fn *const answers[SMTP_SERVER_STAGES] = {
	[SMTP_SERVER_AT_AUTH] = answer_auth,
	[SMTP_SERVER_AT_MAIL] = answer_mail,
	[SMTP_SERVER_AT_RCPT] = answer_rcpt,
	[SMTP_SERVER_AT_BEGIN] = answer_begin,
	[SMTP_SERVER_AT_END] = answer_end,
};

static void
take_answer(struct smtp_server *s, int code, const char *status, const char *text)
{
	enum smtp_server_stage stage = s->stage;

	if (stage == SMTP_SERVER_AT_DONE)
		return;
	if (answers[stage] == NULL || (s->due & DUE_ASK))
		abort();
	answers[stage](s, code, status, text);
	if (code == 421) {
		fail(&s->fail, FAIL_POLICY, "%s: %s", stage_names[stage], s->refusal.text);
		stop(s, SMTP_SERVER_END_ANSWER);
		s->stage_at_end = stage;
	}
	settle(s);
}

void
smtp_server_accept(struct smtp_server *s)
{
	take_answer(s, 0, NULL, NULL);
}

void
smtp_server_answer(struct smtp_server *s, int code, const char *status, const char *text)
{
	if (code < 200 || code > 599 || code / 100 == 3)
		abort();
	take_answer(s, code, status, text);
}

static void
keep_tls(struct smtp_server *s, const struct smtp_server_tls *t)
{
	struct received_tls words = { .protocol = t->protocol, .cipher = t->cipher, .bits = t->bits,
		.group = t->group, .client = t->client };

	free(s->tls_text);
	s->tls_text = received_tls(&words);
}

/* RFC 3207 4.2: what was said before is forgotten. */
void
smtp_server_tls_done(struct smtp_server *s, const struct smtp_server_tls *t)
{
	if (s->stage == SMTP_SERVER_AT_DONE)
		return;
	if (s->stage != SMTP_SERVER_AT_HANDSHAKE && s->stage != SMTP_SERVER_AT_CONNECT)
		abort();
	s->tls = 1;
	keep_tls(s, t);
	if (s->stage == SMTP_SERVER_AT_CONNECT)
		return;
	s->hello[0] = '\0';
	memset(&s->mail, 0, sizeof s->mail);
	memset(&s->rcpt, 0, sizeof s->rcpt);
	s->auth_user[0] = '\0';
	s->esmtp = 0;
	s->await_turn = 0;
	buf_clear(&s->out);
	end_transaction(s);
	s->stage = SMTP_SERVER_AT_COMMAND;
	settle(s);
}

void
smtp_server_tls_failed(struct smtp_server *s, const struct fail *f)
{
	if (s->stage == SMTP_SERVER_AT_DONE)
		return;
	s->fail = *f;
	buf_clear(&s->out);
	stop(s, SMTP_SERVER_END_HANDSHAKE);
}

static void
time_over(struct smtp_server *s, enum smtp_server_end end, const char *status, const char *why)
{
	if (s->stage == SMTP_SERVER_AT_DONE || s->stage == SMTP_SERVER_AT_END)
		return;
	if (s->stage != SMTP_SERVER_AT_HANDSHAKE) {
		stop_421(s, end, status, why);
		return;
	}
	/* A reply in clear text would stand inside TLS. */
	fail(&s->fail, FAIL_TEMP, "%s: %s", stage_names[s->stage], why);
	stop(s, end);
}

void
smtp_server_timeout(struct smtp_server *s)
{
	time_over(s, SMTP_SERVER_END_TIMEOUT, "4.4.2", "timed out");
}

void
smtp_server_expired(struct smtp_server *s)
{
	time_over(s, SMTP_SERVER_END_EXPIRED, "4.7.0", "the session has lasted too long");
}

void
smtp_server_shutdown(struct smtp_server *s)
{
	s->leaving = 1;
	if (s->stage == SMTP_SERVER_AT_CONNECT)
		stop_421(s, SMTP_SERVER_END_SHUTDOWN, "4.3.2", "shutting down");
	else
		settle(s);
}

void
smtp_server_eof(struct smtp_server *s)
{
	if (s->stage == SMTP_SERVER_AT_DONE)
		return;
	buf_clear(&s->out);
	fail(&s->fail, FAIL_TEMP, "%s: the client closed the connection%s", stage_names[s->stage],
	    s->line.len > 0 ? " in the middle of a command" : "");
	stop(s, SMTP_SERVER_END_EOF);
}

void
smtp_server_lost(struct smtp_server *s, const struct fail *f)
{
	if (s->stage == SMTP_SERVER_AT_DONE)
		return;
	buf_clear(&s->out);
	s->fail = *f;
	fail_prefix(&s->fail, "%s", stage_names[s->stage]);
	stop(s, SMTP_SERVER_END_LOST);
}

void
smtp_server_received(const struct smtp_server *s, struct buf *out, const char *name, const char *address,
    const char *id, int64_t now)
{
	struct received r = { .hello = s->hello, .client_name = name, .client_address = address,
		.by = s->conf.name, .protocol = smtp_server_protocol(s), .id = id, .tls = s->tls_text,
		.time = now };

	received_put(out, &r);
}

const char *
smtp_server_protocol(const struct smtp_server *s)
{
	return received_protocol((s->esmtp ? RECEIVED_ESMTP : 0) | (s->tls ? RECEIVED_TLS : 0) |
	    (s->auth_user[0] != '\0' ? RECEIVED_AUTH : 0) | (s->mail.params.utf8 ? RECEIVED_UTF8 : 0));
}
