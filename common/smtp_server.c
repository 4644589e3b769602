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
	[SMTP_SERVER_TLS] = "tls",
};

static const char *const stage_names[SMTP_SERVER_STAGES] = {
	[SMTP_SERVER_AT_CONNECT] = "connection",
	[SMTP_SERVER_AT_COMMAND] = "command",
	[SMTP_SERVER_AT_HANDSHAKE] = "TLS handshake",
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
	[SMTP_SERVER_END_SHUTDOWN] = "shutdown",
	[SMTP_SERVER_END_ANSWER] = "refused",
	[SMTP_SERVER_END_LIMIT] = "limit",
	[SMTP_SERVER_END_OUT_OF_TURN] = "out-of-turn",
	[SMTP_SERVER_END_INJECTION] = "injection",
	[SMTP_SERVER_END_LINE] = "line-end",
	[SMTP_SERVER_END_HTTP] = "http",
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
	buf_clear(&s->line);
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
	buf_clear(&s->line);
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

static void
on_ehlo(struct smtp_server *s, const char *arg)
{
	if (!take_hello(s, arg, 1))
		return;
	buf_printf(&s->out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n", s->conf.name,
	    (unsigned long long)s->conf.limits.size);
	if (s->conf.tls != SMTP_SERVER_TLS_NO && !s->tls)
		buf_puts(&s->out, "250-STARTTLS\r\n");
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

/* A parameter's name, its value (NULL: none), both NUL-terminated.  Refuses and returns 0. */
typedef int parameter_fn(struct smtp_server *, const char *value);

struct parameter {
	const char *name;
	parameter_fn *take;
};

/* RFC 1870 3: up to 20 digits. */
static int
take_size(struct smtp_server *s, const char *value)
{
	if (value == NULL || value[0] == '\0' || strspn(value, "0123456789") != strlen(value) ||
	    strlen(value) > 20) {
		refuse(s, 501, "5.5.4", "Expected SIZE=number");
		return 0;
	}
	s->mail.size = strtoull(value, NULL, 10); /* UINT64_MAX where it is more: too much as well */
	if (s->mail.size > s->conf.limits.size) {
		refuse(s, 552, "5.3.4", "The message is larger than this server takes");
		return 0;
	}
	return 1;
}

static int
take_body_type(struct smtp_server *s, const char *value)
{
	if (value != NULL && text_case_eq(value, "8BITMIME"))
		s->mail.body8bit = 1;
	else if (value == NULL || !text_case_eq(value, "7BIT")) {
		refuse(s, 501, "5.5.4", "Expected BODY=7BIT or BODY=8BITMIME");
		return 0;
	}
	return 1;
}

static const struct parameter mail_parameters[] = {
	{ "SIZE", take_size },
	{ "BODY", take_body_type },
	{ NULL, NULL }
};

static const struct parameter rcpt_parameters[] = {
	{ NULL, NULL }
};

/* One word "NAME" or "NAME=value"; seen has a bit for each that came already. */
static int
take_parameter(struct smtp_server *s, const struct parameter *table, char *word, unsigned *seen)
{
	char *value = strchr(word, '=');
	unsigned i;

	if (value != NULL)
		*value++ = '\0';
	for (i = 0; table[i].name != NULL; i++) {
		if (!text_case_eq(word, table[i].name))
			continue;
		if (*seen & 1u << i) {
			refuse(s, 501, "5.5.4", "A parameter was given twice");
			return 0;
		}
		*seen |= 1u << i;
		return table[i].take(s, value);
	}
	refuse(s, 555, "5.5.4", "Parameter not recognized");
	return 0;
}

/* What stands behind the path: nothing, or white space and parameters. */
static int
take_parameters(struct smtp_server *s, const struct parameter *table, const char *arg)
{
	char *copy = xstrdup(arg), *rest = copy, *word;
	unsigned seen = 0;
	int ok = 1;

	if (arg[0] != '\0' && arg[0] != ' ' && arg[0] != '\t') {
		refuse(s, 501, "5.5.4", "Expected a space behind the address");
		ok = 0;
	}
	while (ok && (word = strtok_r(NULL, " \t", &rest)) != NULL)
		ok = take_parameter(s, table, word, &seen);
	free(copy);
	return ok;
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
	if (mailbox_parse(m, arg, strlen(arg), flags, &used, &f) == 0)
		return arg + used;
	if (f.kind == FAIL_POLICY)
		refuse(s, 553, "5.6.7", "Addresses beyond ASCII are not supported");
	else
		refuse(s, 501, status, f.text);
	return NULL;
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
	if (s->messages >= s->conf.limits.messages) {
		stop_421(s, SMTP_SERVER_END_LIMIT, "4.7.0", "too many messages in one session");
		return;
	}
	memset(&s->mail, 0, sizeof s->mail);
	if ((rest = take_path(s, arg, "FROM:", MAILBOX_NULL, "5.1.7", &s->mail.from)) != NULL &&
	    take_parameters(s, mail_parameters, rest))
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
	if (s->recipients >= s->conf.limits.recipients) {
		s->surplus++;
		say_no(s, 452, "4.5.3", "Too many recipients for one message");
		return;
	}
	if ((rest = take_path(s, arg, "TO:", MAILBOX_BARE, "5.1.3", &s->rcpt)) == NULL ||
	    !take_parameters(s, rcpt_parameters, rest))
		return;
	if (s->rcpt.domain[0] == '\0' && !text_case_eq(s->rcpt.local, "postmaster"))
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
	else if (s->recipients == 0)
		refuse(s, 554, "5.5.1", "No valid recipients");
	else
		ask(s, SMTP_SERVER_AT_BEGIN);
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
	{ "BDAT", 0, on_known },
	{ "AUTH", 0, on_known },
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

/* Up to the end of one command. */
static size_t
take_command(struct smtp_server *s, const char *p, size_t n)
{
	struct buf *l = &s->line;
	const char *fault;
	int after_cr;
	size_t i;

	if (!take_turn(s))
		return n;
	if (s->out.len >= SMTP_SERVER_OUT_MAX)
		return 0;
	if (l->len == 0) {
		s->command = &no_command;
		s->argument[0] = '\0';
	}
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
			run_command(s, p + i, n - i);
			break;
		}
	}
	return i;
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

static size_t
take_data(struct smtp_server *s, const char *p, size_t n)
{
	size_t used;

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

static size_t
take_rest(struct smtp_server *s, const char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}

/* MAIL, RCPT and END take nothing: what follows them waits. */
static size_t (*const takers[SMTP_SERVER_STAGES])(struct smtp_server *, const char *, size_t) = {
	[SMTP_SERVER_AT_CONNECT] = take_early,
	[SMTP_SERVER_AT_COMMAND] = take_command,
	[SMTP_SERVER_AT_HANDSHAKE] = take_injected,
	[SMTP_SERVER_AT_BEGIN] = take_early,
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
		s->open = 0;
		refuse(s, code, status, text);
		end_transaction(s);
		return;
	}
	reply(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	begin_data(s);
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

void
smtp_server_timeout(struct smtp_server *s)
{
	if (s->stage == SMTP_SERVER_AT_DONE || s->stage == SMTP_SERVER_AT_END)
		return;
	if (s->stage != SMTP_SERVER_AT_HANDSHAKE) {
		stop_421(s, SMTP_SERVER_END_TIMEOUT, "4.4.2", "timed out");
		return;
	}
	/* A reply in clear text would stand inside TLS. */
	fail(&s->fail, FAIL_TEMP, "%s: timed out", stage_names[s->stage]);
	stop(s, SMTP_SERVER_END_TIMEOUT);
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
	return received_protocol(s->esmtp, s->tls);
}
