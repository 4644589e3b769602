/*
 * A session's way: smtp_client_feed() parses one reply and gives it to the function of the stage in
 * which it came (answers[]); that function records it and either sends the next command, which sets
 * the next stage, or ends the session.  421 is looked at before any of them.
 *
 * A transaction's way: say_more() says MAIL, RCPT, DATA as far as the server may be ahead of its
 * answers: one command, or SMTP_PIPELINE_MAX of them.  Each answer settles whom it concerns, moves
 * the stage to what the next one answers, and calls say_more() again.  Where nothing is awaited
 * and nothing is left to say, the order is finished.
 */
#include "smtp_client.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "mailbox.h"
#include "text.h"

#define LINE_PIECE 4096	/* octets of the message looked at for a line end at once */
#define COMMAND_MAX 510		/* octets of a command, without its end (RFC 5321 4.5.3.1.4) */

static const char *const stage_names[SMTP_STAGES] = {
	[SMTP_STAGE_BANNER] = "banner",
	[SMTP_STAGE_EHLO] = "EHLO",
	[SMTP_STAGE_HELO] = "HELO",
	[SMTP_STAGE_STARTTLS] = "STARTTLS",
	[SMTP_STAGE_HANDSHAKE] = "TLS handshake",
	[SMTP_STAGE_EHLO_TLS] = "EHLO inside TLS",
	[SMTP_STAGE_AUTH] = "AUTH",
	[SMTP_STAGE_ORDER] = "idle session",
	[SMTP_STAGE_RSET] = "RSET",
	[SMTP_STAGE_MAIL] = "MAIL",
	[SMTP_STAGE_RCPT] = "RCPT",
	[SMTP_STAGE_DATA] = "DATA",
	[SMTP_STAGE_BODY] = "message",
	[SMTP_STAGE_DOT] = "end of message",
	[SMTP_STAGE_DONE] = "end of session",
};

static const char *const end_names[SMTP_ENDS] = {
	[SMTP_END_NONE] = "none",
	[SMTP_END_BANNER_TEMP] = "banner-4xx",
	[SMTP_END_BANNER_PERM] = "banner-5xx",
	[SMTP_END_421] = "421",
	[SMTP_END_NO_ESMTP] = "no-esmtp",
	[SMTP_END_EHLO_REFUSED] = "ehlo-refused",
	[SMTP_END_NO_STARTTLS] = "no-starttls",
	[SMTP_END_STARTTLS_REFUSED] = "starttls-refused",
	[SMTP_END_INJECTION] = "injection",
	[SMTP_END_HANDSHAKE] = "handshake",
	[SMTP_END_AUTH] = "auth",
	[SMTP_END_PROTOCOL] = "protocol",
	[SMTP_END_EOF] = "eof",
	[SMTP_END_LOST] = "lost",
};

static const char *const rcpt_state_names[SMTP_RCPT_STATES] = {
	[SMTP_RCPT_OPEN] = "open",
	[SMTP_RCPT_ACCEPTED] = "accepted",
	[SMTP_RCPT_TEMP] = "temp",
	[SMTP_RCPT_PERM] = "perm",
	[SMTP_RCPT_UNKNOWN] = "unknown",
};

const char *
smtp_stage_name(enum smtp_stage stage)
{
	return stage_names[stage];
}

const char *
smtp_end_name(enum smtp_end end)
{
	return end_names[end];
}

const char *
smtp_rcpt_state_name(enum smtp_rcpt_state state)
{
	return rcpt_state_names[state];
}

static void
txn_clear(struct smtp_txn *t)
{
	size_t i;

	for (i = 0; t->rcpt != NULL && i < t->order.nrcpts; i++)
		free(t->rcpt[i].text);
	free(t->rcpt);
	smtp_reply_clear(&t->mail);
	smtp_reply_clear(&t->data);
	smtp_reply_clear(&t->dot);
	buf_clear(&t->chunk);
	memset(t, 0, sizeof *t);
}

void
smtp_client_init(struct smtp_client *c, const struct smtp_client_conf *conf)
{
	memset(c, 0, sizeof *c);
	c->conf = *conf;
	c->stage = SMTP_STAGE_BANNER;
	c->want = SMTP_WANT_INPUT;
	c->awaited = 1;
	if (!conf->implicit_tls)
		return;
	c->stage = SMTP_STAGE_HANDSHAKE;
	c->want = SMTP_WANT_TLS;
	c->awaited = 0;
}

void
smtp_client_clear(struct smtp_client *c)
{
	smtp_reply_clear(&c->banner);
	smtp_reply_clear(&c->ehlo);
	smtp_reply_clear(&c->starttls);
	smtp_reply_clear(&c->ehlo_tls);
	smtp_reply_clear(&c->last);
	smtp_caps_clear(&c->caps);
	smtp_caps_clear(&c->caps_tls);
	txn_clear(&c->txn);
	buf_clear(&c->out);
	smtp_parser_clear(&c->parser);
}

const struct smtp_caps *
smtp_client_caps0(const struct smtp_client *c)
{
	return c->tls ? &c->caps_tls : &c->caps;
}

static enum smtp_want
send_command(struct smtp_client *c, enum smtp_stage next, const char *verb, const char *arg)
{
	buf_printf(&c->out, "%s%s%s\r\n", verb, arg != NULL ? " " : "", arg != NULL ? arg : "");
	c->awaited++;
	c->stage = next;
	return c->want = SMTP_WANT_INPUT;
}

/* Settles those of n recipients that are still open.  The text in how is the caller's. */
static void
settle(struct smtp_txn *t, size_t first, size_t n, const struct smtp_rcpt *how)
{
	struct smtp_rcpt *r;

	for (r = t->rcpt + first; n > 0; r++, n--) {
		if (r->state != SMTP_RCPT_OPEN)
			continue;
		r->state = how->state;
		r->stage = how->stage;
		r->code = how->code;
		r->status = how->status;
		r->text = xstrdup(how->text);
	}
}

/* RFC 5321 4.5.3.1.10: 552 to RCPT is what RFC 821 had for 452, too many recipients. */
static int
is_552_to_rcpt(const struct smtp_client *c)
{
	return c->stage == SMTP_STAGE_RCPT && c->last.code == 552;
}

/* CHUNKING was offered, and BDAT is no command there: that says nothing of the message. */
static int
is_bdat_unknown(const struct smtp_client *c)
{
	return c->txn.chunking && (c->stage == SMTP_STAGE_BODY || c->stage == SMTP_STAGE_DOT) &&
	    c->last.code >= 500 && c->last.code <= 504;
}

static enum smtp_rcpt_state
state_of_answer(const struct smtp_client *c)
{
	switch (c->last.code / 100) {
	case 2:
		return SMTP_RCPT_ACCEPTED;
	case 5:
		return is_552_to_rcpt(c) || is_bdat_unknown(c) ? SMTP_RCPT_TEMP : SMTP_RCPT_PERM;
	default:
		return SMTP_RCPT_TEMP;
	}
}

static struct smtp_status
status_of_answer(const struct smtp_client *c)
{
	struct smtp_status status = c->last.status;

	if (status.class == 0 && is_552_to_rcpt(c))
		return (struct smtp_status){ 4, 5, 3 };
	status.class = is_552_to_rcpt(c) || is_bdat_unknown(c) ? 4 : c->last.code / 100;
	return status;
}

/* By the answer that came last. */
static void
settle_answer(struct smtp_client *c, size_t first, size_t n)
{
	struct buf b = BUF_INIT;
	struct smtp_rcpt how = {
		.state = state_of_answer(c),
		.stage = c->stage,
		.code = c->last.code,
		.status = status_of_answer(c),
	};

	smtp_reply_print(&b, &c->last);
	how.text = b.p;
	settle(&c->txn, first, n, &how);
	buf_clear(&b);
}

/*
 * The session ends under an order.  Once all of the dot may have left us, nothing but a refusal
 * says that the message was not taken.
 */
static void
settle_end(struct smtp_client *c, enum smtp_end end)
{
	struct smtp_rcpt how = {
		.state = SMTP_RCPT_TEMP,
		.stage = c->stage,
		.status = { 4, 4, 2 },
		.text = c->fail.text,
	};

	c->txn.under_way = 0;
	if (end == SMTP_END_421) {
		settle_answer(c, 0, c->txn.order.nrcpts);
		return;
	}
	if (c->stage == SMTP_STAGE_DOT && c->out.len == 0)
		how.state = SMTP_RCPT_UNKNOWN;
	if (end == SMTP_END_PROTOCOL)
		how.status = (struct smtp_status){ 4, 5, 0 };
	settle(&c->txn, 0, c->txn.order.nrcpts, &how);
}

/* Ends the session; c->fail is set already.  What was not sent stays unsaid. */
static enum smtp_want
stop(struct smtp_client *c, enum smtp_end end)
{
	if (c->txn.under_way)
		settle_end(c, end);
	buf_clear(&c->out);
	c->end = end;
	c->stage_at_end = c->stage;
	c->stage = SMTP_STAGE_DONE;
	return c->want = SMTP_WANT_CLOSE;
}

/* As stop(), but the peer is still there to be told, unless it would take that for the message. */
static enum smtp_want
stop_quit(struct smtp_client *c, enum smtp_end end)
{
	int in_message = c->stage == SMTP_STAGE_BODY || c->stage == SMTP_STAGE_DOT;

	stop(c, end);
	if (!in_message)
		buf_puts(&c->out, "QUIT\r\n");
	return c->want;
}

/* Words for a refusal: "EHLO answered with: 550 5.7.1 go away". */
static void
refusal(struct smtp_client *c, const char *what)
{
	struct buf b = BUF_INIT;

	smtp_reply_print(&b, &c->last);
	fail(&c->fail, c->last.code / 100 == 4 ? FAIL_TEMP : FAIL_PEER, "%s answered with: %s",
	    what, b.p);
	buf_clear(&b);
}

/* What a reply in this stage answers. */
static const char *
asked(const struct smtp_client *c)
{
	return c->stage == SMTP_STAGE_BANNER ? "connection" : stage_names[c->stage];
}

/* An answer of a class that no rule allows there, such as 354 to EHLO. */
static enum smtp_want
stop_protocol(struct smtp_client *c)
{
	refusal(c, asked(c));
	c->fail.kind = FAIL_PEER;
	return stop_quit(c, SMTP_END_PROTOCOL);
}

static const char *
hello_verb(const struct smtp_client *c)
{
	return c->conf.lmtp ? "LHLO" : "EHLO";
}

static enum smtp_want
send_ehlo(struct smtp_client *c, enum smtp_stage next)
{
	return send_command(c, next, hello_verb(c), c->conf.ehlo);
}

static enum smtp_want
be_ready(struct smtp_client *c)
{
	c->stage = SMTP_STAGE_ORDER;
	return c->want = SMTP_WANT_ORDER;
}

static enum smtp_want
on_banner(struct smtp_client *c)
{
	smtp_reply_copy(&c->banner, &c->last);
	switch (c->last.code / 100) {
	case 2:
		return send_ehlo(c, SMTP_STAGE_EHLO);
	case 4:
		refusal(c, asked(c));
		return stop_quit(c, SMTP_END_BANNER_TEMP);
	case 5:
		refusal(c, asked(c));
		return stop_quit(c, SMTP_END_BANNER_PERM);
	default:
		return stop_protocol(c);
	}
}

static enum smtp_want
after_ehlo(struct smtp_client *c)
{
	if (c->conf.use_tls == SMTP_TLS_NEVER)
		return be_ready(c);
	if (c->caps.bits & SMTP_CAP_STARTTLS) {
		c->starttls_sent = 1;
		return send_command(c, SMTP_STAGE_STARTTLS, "STARTTLS", NULL);
	}
	if (c->conf.use_tls == SMTP_TLS_IF_OFFERED)
		return be_ready(c);
	fail(&c->fail, FAIL_PEER, "STARTTLS is not offered");
	return stop_quit(c, SMTP_END_NO_STARTTLS);
}

static enum smtp_want
on_ehlo(struct smtp_client *c)
{
	smtp_reply_copy(&c->ehlo, &c->last);
	switch (c->last.code / 100) {
	case 2:
		c->esmtp = 1;
		if (c->tls) {
			smtp_reply_copy(&c->ehlo_tls, &c->last);
			smtp_caps_parse(&c->caps_tls, &c->last);
			return be_ready(c);
		}
		smtp_caps_parse(&c->caps, &c->last);
		return after_ehlo(c);
	case 4:
		refusal(c, hello_verb(c));
		return stop_quit(c, SMTP_END_EHLO_REFUSED);
	case 5:
		refusal(c, hello_verb(c));
		if (c->conf.lmtp)
			return stop_quit(c, SMTP_END_EHLO_REFUSED);
		if (c->conf.use_tls == SMTP_TLS_REQUIRED && !c->tls)
			return stop_quit(c, SMTP_END_NO_ESMTP);
		/* RFC 5321 3.2: a peer without service extensions. */
		c->fail = (struct fail)FAIL_INIT;
		return send_command(c, SMTP_STAGE_HELO, "HELO", c->conf.ehlo);
	default:
		return stop_protocol(c);
	}
}

static enum smtp_want
on_helo(struct smtp_client *c)
{
	smtp_reply_copy(&c->ehlo, &c->last);
	switch (c->last.code / 100) {
	case 2:
		return be_ready(c);
	case 4:
	case 5:
		refusal(c, "HELO");
		return stop_quit(c, SMTP_END_EHLO_REFUSED);
	default:
		return stop_protocol(c);
	}
}

/*
 * RFC 3207 4: 220, 454 or 501; others come too (502, 503, 530, 550).  A positive answer other than
 * 220 leaves open which side now speaks what.
 */
static enum smtp_want
on_starttls(struct smtp_client *c)
{
	smtp_reply_copy(&c->starttls, &c->last);
	if (c->last.code == 220) {
		c->stage = SMTP_STAGE_HANDSHAKE;
		return c->want = SMTP_WANT_TLS;
	}
	if (c->last.code < 400)
		return stop_protocol(c);
	c->starttls_refused = 1;
	if (c->conf.use_tls == SMTP_TLS_IF_OFFERED)
		return be_ready(c);
	refusal(c, "STARTTLS");
	return stop_quit(c, SMTP_END_STARTTLS_REFUSED);
}

static enum smtp_want
on_ehlo_tls(struct smtp_client *c)
{
	smtp_reply_copy(&c->ehlo_tls, &c->last);
	switch (c->last.code / 100) {
	case 2:
		smtp_caps_parse(&c->caps_tls, &c->last);
		return be_ready(c);
	case 4:
	case 5:
		refusal(c, stage_names[c->stage]);
		return stop_quit(c, SMTP_END_EHLO_REFUSED);
	default:
		return stop_protocol(c);
	}
}

/* ---- AUTH: RFC 4954 ---- */

enum auth_step { AUTH_PLAIN, AUTH_LOGIN, AUTH_LOGIN_PASSWORD, AUTH_SAID };

static int
has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *at;

	for (at = list; at != NULL && (at = strstr(at, word)) != NULL; at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return 1;
	return 0;
}

static enum smtp_want
no_auth(struct smtp_client *c, const char *why)
{
	fail(&c->fail, FAIL_TEMP, "%s", why);
	return stop_quit(c, SMTP_END_AUTH);
}

/* RFC 4616 2, without an authorisation identity. */
static void
plain_response(struct buf *b, const struct smtp_auth *a)
{
	struct buf words = BUF_INIT;

	buf_putc(&words, '\0');
	buf_puts(&words, a->user);
	buf_putc(&words, '\0');
	buf_puts(&words, a->password);
	text_base64(b, words.p, words.len);
	buf_wipe(&words);
}

/* What answers the 334 that came. */
static enum smtp_want
say_auth_line(struct smtp_client *c)
{
	struct smtp_auth *a = &c->auth;

	switch ((enum auth_step)a->step) {
	case AUTH_PLAIN:
		plain_response(&c->out, a);
		a->step = AUTH_SAID;
		break;
	case AUTH_LOGIN:
		text_base64(&c->out, a->user, strlen(a->user));
		a->step = AUTH_LOGIN_PASSWORD;
		break;
	case AUTH_LOGIN_PASSWORD:
		text_base64(&c->out, a->password, strlen(a->password));
		a->step = AUTH_SAID;
		break;
	case AUTH_SAID:
		return stop_protocol(c);
	}
	buf_puts(&c->out, "\r\n");
	c->awaited++;
	return c->want = SMTP_WANT_INPUT;
}

static enum smtp_want
on_auth(struct smtp_client *c)
{
	if (c->last.code == 334)
		return say_auth_line(c);
	if (c->last.code / 100 == 3)
		return stop_protocol(c);
	if (c->last.code / 100 == 2) {
		c->authenticated = 1;
		return be_ready(c);
	}
	refusal(c, "AUTH");
	c->fail.kind = FAIL_TEMP;
	return stop_quit(c, SMTP_END_AUTH);
}

enum smtp_want
smtp_client_auth(struct smtp_client *c, const char *user, const char *password)
{
	const struct smtp_caps *caps = smtp_client_caps0(c);
	struct buf response = BUF_INIT;

	if (c->stage != SMTP_STAGE_ORDER)
		abort();
	if (!c->tls)
		return no_auth(c, "without TLS no password is sent");
	c->auth = (struct smtp_auth){ user, password, AUTH_PLAIN };
	if (has_word(caps->auth, "PLAIN")) {
		plain_response(&response, &c->auth);
		if (strlen("AUTH PLAIN ") + response.len <= COMMAND_MAX) {
			c->auth.step = AUTH_SAID;
			send_command(c, SMTP_STAGE_AUTH, "AUTH PLAIN", response.p);
		} else
			send_command(c, SMTP_STAGE_AUTH, "AUTH PLAIN", NULL);
		buf_wipe(&response);
		return c->want;
	}
	if (!has_word(caps->auth, "LOGIN"))
		return no_auth(c, caps->auth == NULL ? "AUTH is not offered" : "AUTH is offered neither with PLAIN nor "
		    "with LOGIN");
	c->auth.step = AUTH_LOGIN;
	return send_command(c, SMTP_STAGE_AUTH, "AUTH LOGIN", NULL);
}

/* ---- an order ---- */

/* The order is settled; what became of the session is another matter. */
static enum smtp_want
finish(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	if (t->mail.code != 0)
		c->broken_off = t->dot.code == 0 || t->chunk_failed;
	t->under_way = 0;
	c->stage = SMTP_STAGE_ORDER;
	return c->want = SMTP_WANT_RESULT;
}

/* FAIL_POLICY: it is not ASCII. */
static int
parse_path(struct mailbox *m, const char *address, unsigned flags, struct fail *f)
{
	struct buf b = BUF_INIT;
	size_t used;
	int rc;

	buf_printf(&b, "<%s>", address);
	rc = mailbox_parse(m, b.p, b.len, flags | MAILBOX_BARE, &used, f);
	if (rc == 0 && used != b.len)
		rc = fail(f, FAIL_INPUT, "octets behind the address");
	buf_clear(&b);
	return rc;
}

/* Appends an address that was looked at already, with its <>. */
static void
put_path(struct buf *b, const char *address)
{
	struct mailbox m;

	if (parse_path(&m, address, MAILBOX_NULL | MAILBOX_UTF8, NULL) == -1)
		abort();
	buf_putc(b, '<');
	mailbox_print(b, &m);
	buf_putc(b, '>');
}

/* Recipients are refused without a word to the server. */
static void
refuse(struct smtp_txn *t, size_t first, size_t n, int subject, int detail, struct fail *f)
{
	struct smtp_rcpt how = {
		.state = SMTP_RCPT_PERM,
		.stage = SMTP_STAGE_ORDER,
		.status = { 5, subject, detail },
		.text = f->text,
	};

	settle(t, first, n, &how);
}

/* RFC 3463 3.2: 5.1.7 for a sender, 5.1.3 for a recipient; RFC 6531 3.5: 5.6.7. */
static void
refuse_path(struct smtp_txn *t, size_t first, size_t n, int detail, struct fail *f)
{
	if (f->kind == FAIL_POLICY)
		refuse(t, first, n, 6, 7, f);
	else
		refuse(t, first, n, 1, detail, f);
}

/* RFC 6531 3.1: UTF-8 in addresses is for senders who asked for it. */
static unsigned
utf8_of(const struct smtp_txn *t)
{
	return t->order.params.utf8 ? MAILBOX_UTF8 : 0;
}

static void
refuse_sender(struct smtp_txn *t)
{
	struct fail f = FAIL_INIT;
	struct mailbox m;

	if (parse_path(&m, t->order.from, MAILBOX_NULL | utf8_of(t), &f) == -1) {
		fail_prefix(&f, "sender");
		refuse_path(t, 0, t->order.nrcpts, 7, &f);
	}
}

static void
refuse_recipients(struct smtp_txn *t)
{
	struct fail f = FAIL_INIT;
	struct mailbox m;
	size_t i;

	for (i = 0; i < t->order.nrcpts; i++)
		if (parse_path(&m, t->order.rcpt[i], utf8_of(t), &f) == -1) {
			fail_prefix(&f, "recipient");
			refuse_path(t, i, 1, 3, &f);
		}
}

/* RFC 6531 3.2: who said SMTPUTF8 and did not use it needs it of nobody. */
static int
needs_utf8(const struct smtp_transaction *o)
{
	size_t i;

	if (!o->params.utf8)
		return 0;
	for (i = 0; i < o->nrcpts && text_is_ascii(o->rcpt[i]); i++)
		;
	return o->has8bit || i < o->nrcpts || !text_is_ascii(o->from);
}

static void
refuse_extensions(struct smtp_client *c)
{
	const struct smtp_transaction *o = &c->txn.order;
	unsigned bits = smtp_client_caps0(c)->bits;
	struct fail f = FAIL_INIT;

	if (needs_utf8(o) && !(bits & SMTP_CAP_SMTPUTF8)) {
		fail(&f, FAIL_POLICY, "the message needs SMTPUTF8, which is not offered");
		refuse(&c->txn, 0, o->nrcpts, 6, 7, &f);
	} else if (o->params.requiretls && !(c->tls && (bits & SMTP_CAP_REQUIRETLS))) {
		fail(&f, FAIL_POLICY, "the sender said REQUIRETLS, which is not offered");
		refuse(&c->txn, 0, o->nrcpts, 7, 30, &f);
	}
}

/* RFC 1870 6.1, RFC 6152 3: what the server has said it does not take. */
static void
refuse_message(struct smtp_txn *t, const struct smtp_caps *caps)
{
	const struct smtp_transaction *o = &t->order;
	struct fail f = FAIL_INIT;

	if ((caps->bits & SMTP_CAP_SIZE) && caps->size > 0 && o->size > caps->size) {
		fail(&f, FAIL_POLICY, "the message has %llu octets, the server takes %llu",
		    (unsigned long long)o->size, (unsigned long long)caps->size);
		refuse(t, 0, o->nrcpts, 3, 4, &f);
	} else if (o->has8bit && !(caps->bits & SMTP_CAP_8BITMIME)) {
		fail(&f, FAIL_POLICY, "the message has octets above 127, 8BITMIME is not offered");
		refuse(t, 0, o->nrcpts, 6, 3, &f);
	}
}

/* The first open recipient from i on; nrcpts: there is none. */
static size_t
next_open(const struct smtp_txn *t, size_t i)
{
	while (i < t->order.nrcpts && t->rcpt[i].state != SMTP_RCPT_OPEN)
		i++;
	return i;
}

static void
say_mail(struct smtp_client *c)
{
	const struct smtp_transaction *o = &c->txn.order;
	unsigned bits = smtp_client_caps0(c)->bits;

	buf_puts(&c->out, "MAIL FROM:");
	put_path(&c->out, o->from);
	if ((bits & SMTP_CAP_SIZE) && o->size > 0)
		buf_printf(&c->out, " SIZE=%llu", (unsigned long long)o->size);
	if ((bits & SMTP_CAP_8BITMIME) && o->has8bit)
		buf_puts(&c->out, " BODY=8BITMIME");
	if ((bits & SMTP_CAP_SMTPUTF8) && o->params.utf8)
		buf_puts(&c->out, " SMTPUTF8");
	if (o->params.requiretls)
		buf_puts(&c->out, " REQUIRETLS");
	if (c->txn.dsn && o->params.ret != SMTP_RET_NONE)
		buf_printf(&c->out, " RET=%s", smtp_ret_text(o->params.ret));
	if (c->txn.dsn && o->params.envid[0] != '\0')
		buf_printf(&c->out, " ENVID=%s", o->params.envid);
	buf_puts(&c->out, "\r\n");
	c->txn.to_send = SMTP_STAGE_RCPT;
}

static void
put_dsn(struct buf *b, const struct smtp_rcpt_params *p)
{
	char notify[SMTP_NOTIFY_TEXT_MAX];

	if (p->notify != 0)
		buf_printf(b, " NOTIFY=%s", smtp_notify_text(notify, p->notify));
	if (p->orcpt[0] != '\0')
		buf_printf(b, " ORCPT=%s", p->orcpt);
}

static void
say_rcpt(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	buf_puts(&c->out, "RCPT TO:");
	put_path(&c->out, t->order.rcpt[t->next]);
	if (t->dsn && t->order.rcpt_params != NULL)
		put_dsn(&c->out, &t->order.rcpt_params[t->next]);
	buf_puts(&c->out, "\r\n");
	t->rcpt[t->next].sent = 1;
	t->next = next_open(t, t->next + 1);
	if (t->next == t->order.nrcpts)
		t->to_send = SMTP_STAGE_DATA;
}

static void
say_data(struct smtp_client *c)
{
	buf_puts(&c->out, "DATA\r\n");
	c->txn.to_send = SMTP_STAGE_BODY;
}

/* True where MAIL was refused, or every recipient was. */
static int
is_hopeless(const struct smtp_client *c)
{
	const struct smtp_txn *t = &c->txn;

	return t->mail.code >= 400 ||
	    (t->to_send == SMTP_STAGE_DATA && c->awaited == 0 && t->taken == 0);
}

/* RFC 3030 2: no DATA comes before the first chunk, nor anything to wait for but the recipients' answers. */
static int
may_say_chunks(const struct smtp_client *c)
{
	return c->txn.chunking && c->txn.to_send == SMTP_STAGE_DATA;
}

static int
say_next(struct smtp_client *c)
{
	static void (*const say[SMTP_STAGES])(struct smtp_client *) = {
		[SMTP_STAGE_MAIL] = say_mail,
		[SMTP_STAGE_RCPT] = say_rcpt,
		[SMTP_STAGE_DATA] = say_data,
	};

	if (say[c->txn.to_send] == NULL || is_hopeless(c) || may_say_chunks(c))
		return 0;
	say[c->txn.to_send](c);
	c->awaited++;
	return 1;
}

static enum smtp_want
say_more(struct smtp_client *c)
{
	unsigned bits = smtp_client_caps0(c)->bits;
	unsigned ahead = bits & SMTP_CAP_PIPELINING ? SMTP_PIPELINE_MAX : 1;

	while (c->awaited < ahead && say_next(c))
		;
	if (c->awaited > 0)
		return c->want = SMTP_WANT_INPUT;
	if (!may_say_chunks(c) || is_hopeless(c))
		return finish(c);
	c->txn.to_send = c->stage = SMTP_STAGE_BODY;
	return c->want = SMTP_WANT_BODY;
}

enum smtp_want
smtp_client_send(struct smtp_client *c, const struct smtp_transaction *order)
{
	struct smtp_txn *t = &c->txn;

	if (c->stage != SMTP_STAGE_ORDER || order->nrcpts == 0)
		abort();
	txn_clear(t);
	t->order = *order;
	t->rcpt = xcalloc(order->nrcpts, sizeof *t->rcpt);
	t->dsn = (smtp_client_caps0(c)->bits & SMTP_CAP_DSN) != 0;
	t->chunking = c->conf.chunking > 0 && !c->no_chunking && (smtp_client_caps0(c)->bits & SMTP_CAP_CHUNKING);
	refuse_sender(t);
	refuse_extensions(c);
	refuse_message(t, smtp_client_caps0(c));
	refuse_recipients(t);
	t->next = t->answer = next_open(t, 0);
	if (t->next == order->nrcpts)
		return finish(c);
	t->under_way = 1;
	t->to_send = c->stage = SMTP_STAGE_MAIL;
	if (c->broken_off)
		send_command(c, SMTP_STAGE_RSET, "RSET", NULL);
	return say_more(c);
}

static enum smtp_want
on_rset(struct smtp_client *c)
{
	if (c->last.code / 100 != 2)
		return stop_protocol(c);
	c->broken_off = 0;
	c->stage = SMTP_STAGE_MAIL;
	return say_more(c);
}

static enum smtp_want
on_mail(struct smtp_client *c)
{
	smtp_reply_copy(&c->txn.mail, &c->last);
	if (c->last.code / 100 == 3)
		return stop_protocol(c);
	if (c->last.code >= 400)
		settle_answer(c, 0, c->txn.order.nrcpts);
	c->stage = SMTP_STAGE_RCPT;
	return say_more(c);
}

static enum smtp_want
on_rcpt(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	if (c->last.code / 100 == 3)
		return stop_protocol(c);
	t->rcpt[t->answer].rcpt_code = c->last.code;
	if (c->last.code < 400)
		t->taken++;
	else
		settle_answer(c, t->answer, 1);
	do
		t->answer++;
	while (t->answer < t->next && !t->rcpt[t->answer].sent);
	if (t->answer == t->order.nrcpts)
		c->stage = SMTP_STAGE_DATA;
	return say_more(c);
}

/* The dot is on its way. */
static enum smtp_want
await_dot(struct smtp_client *c, unsigned answers_to_it)
{
	buf_puts(&c->out, ".\r\n");
	c->awaited = answers_to_it;
	c->stage = SMTP_STAGE_DOT;
	return c->want = SMTP_WANT_INPUT;
}

/*
 * 354 to a DATA that was sent before it was known that no recipient is left: RFC 2920 3.1 has the
 * dot sent alone.  Not where it would be a message for somebody, nor where no answer to it is
 * defined (RFC 2033 4.2).
 */
static enum smtp_want
on_354_for_nobody(struct smtp_client *c)
{
	if (c->txn.taken == 0 && !c->conf.lmtp)
		return await_dot(c, 1);
	c->stage = SMTP_STAGE_BODY;
	fail(&c->fail, FAIL_PEER, "DATA answered with %d, but no recipient is left", c->last.code);
	return stop(c, SMTP_END_PROTOCOL);
}

static enum smtp_want
on_data(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	smtp_reply_copy(&t->data, &c->last);
	switch (c->last.code / 100) {
	case 3:
		if (next_open(t, 0) == t->order.nrcpts)
			return on_354_for_nobody(c);
		c->stage = SMTP_STAGE_BODY;
		return c->want = SMTP_WANT_BODY;
	case 4:
	case 5:
		settle_answer(c, 0, t->order.nrcpts);
		return finish(c);
	default:
		return stop_protocol(c);
	}
}

/* Appends up to one line of the message.  Returns how many octets were taken: 0 for a held CR. */
static size_t
add_line(struct smtp_txn *t, struct buf *b, const char *s, size_t n)
{
	const char *end;
	size_t len;

	if (t->cr) {
		buf_puts(b, "\r\n");
		t->cr = t->in_line = 0;
		return s[0] == '\n';
	}
	if (n > LINE_PIECE)
		n = LINE_PIECE;
	end = memchr(s, '\n', n);
	len = end != NULL ? (size_t)(end - s) : n;
	if ((end = memchr(s, '\r', len)) != NULL)
		len = end - s;
	if (len > 0 && !t->in_line && s[0] == '.' && !t->chunking)
		buf_putc(b, '.');
	buf_add(b, s, len);
	if (len > 0)
		t->in_line = 1;
	if (len == n)
		return n;
	if (s[len] == '\r') {
		t->cr = 1;
		return len + 1;
	}
	buf_puts(b, "\r\n");
	t->in_line = 0;
	return len + 1;
}

static void
say_chunk(struct smtp_client *c, int last)
{
	struct buf *chunk = &c->txn.chunk;

	buf_printf(&c->out, "BDAT %zu%s\r\n", chunk->len, last ? " LAST" : "");
	if (chunk->len > 0)
		buf_add(&c->out, chunk->p, chunk->len);
	buf_drop(chunk, chunk->len);
	if (last)
		return;
	c->awaited++;
	c->txn.chunks_due++;
}

/* LMTP answers the last chunk for each recipient: which answers are those must not be in doubt. */
static enum smtp_want
want_more(struct smtp_client *c)
{
	int one = c->conf.lmtp || !(smtp_client_caps0(c)->bits & SMTP_CAP_PIPELINING);

	if (c->txn.chunk_failed || (one && c->awaited > 0))
		return c->want = SMTP_WANT_INPUT;
	return c->want = SMTP_WANT_BODY;
}

enum smtp_want
smtp_client_body(struct smtp_client *c, const char *s, size_t n)
{
	struct smtp_txn *t = &c->txn;
	size_t used;

	if (c->stage != SMTP_STAGE_BODY)
		abort();
	for (; n > 0; s += used, n -= used)
		used = add_line(t, t->chunking ? &t->chunk : &c->out, s, n);
	if (!t->chunking || t->chunk.len < c->conf.chunking)
		return c->want;
	say_chunk(c, 0);
	return want_more(c);
}

/* What is wrong with a chunk is so with the whole message: the first answer that says so decides. */
static enum smtp_want
refused_chunk(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	if (is_bdat_unknown(c))
		c->no_chunking = 1;
	settle_answer(c, 0, t->order.nrcpts);
	t->chunk_failed = 1;
	buf_clear(&t->chunk);
	return c->want = SMTP_WANT_INPUT;
}

/* The answer to a chunk, while the message is on its way; those to chunks that were said behind it are awaited. */
static enum smtp_want
on_chunk(struct smtp_client *c)
{
	c->txn.chunks_due--;
	if (c->last.code / 100 == 3)
		return stop_protocol(c);
	if (c->last.code >= 400)
		refused_chunk(c);
	if (c->txn.chunk_failed && c->awaited == 0)
		return finish(c);
	return want_more(c);
}

enum smtp_want
smtp_client_body_end(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	if (c->stage != SMTP_STAGE_BODY)
		abort();
	if (t->in_line || t->cr)
		buf_puts(t->chunking ? &t->chunk : &c->out, "\r\n");
	t->answer = next_open(t, 0);
	if (!t->chunking)
		return await_dot(c, c->conf.lmtp ? t->taken : 1);
	say_chunk(c, 1);
	c->awaited += c->conf.lmtp ? t->taken : 1;
	c->stage = SMTP_STAGE_DOT;
	return c->want = SMTP_WANT_INPUT;
}

static enum smtp_want
on_chunk_before_last(struct smtp_client *c)
{
	c->txn.chunks_due--;
	if (c->last.code / 100 == 3)
		return stop_protocol(c);
	return c->last.code >= 400 ? refused_chunk(c) : c->want;
}

/* RFC 2033 4.2: one answer for each recipient that was accepted, in the sequence of RCPT. */
static enum smtp_want
on_dot(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	if (t->chunks_due > 0)
		return on_chunk_before_last(c);
	smtp_reply_copy(&t->dot, &c->last);
	if (c->last.code / 100 == 3)
		return stop_protocol(c);
	/* RFC 3030 2: what a refused BDAT leaves is undefined until RSET. */
	t->chunk_failed |= t->chunking && c->last.code >= 400;
	c->no_chunking |= is_bdat_unknown(c);
	if (!c->conf.lmtp) {
		settle_answer(c, 0, t->order.nrcpts);
		return finish(c);
	}
	settle_answer(c, t->answer, 1);
	t->answer = next_open(t, t->answer);
	return c->awaited == 0 ? finish(c) : c->want;
}

/* Nothing was asked. */
static enum smtp_want
on_unasked(struct smtp_client *c)
{
	struct buf b = BUF_INIT;

	smtp_reply_print(&b, &c->last);
	fail(&c->fail, FAIL_PEER, "a reply without a command: %s", b.p);
	buf_clear(&b);
	return stop_quit(c, SMTP_END_PROTOCOL);
}

/* Where there is none, nothing is awaited: smtp_client_feed() sees to that. */
static enum smtp_want (*const answers[SMTP_STAGES])(struct smtp_client *) = {
	[SMTP_STAGE_BANNER] = on_banner,
	[SMTP_STAGE_EHLO] = on_ehlo,
	[SMTP_STAGE_HELO] = on_helo,
	[SMTP_STAGE_STARTTLS] = on_starttls,
	[SMTP_STAGE_EHLO_TLS] = on_ehlo_tls,
	[SMTP_STAGE_AUTH] = on_auth,
	[SMTP_STAGE_RSET] = on_rset,
	[SMTP_STAGE_MAIL] = on_mail,
	[SMTP_STAGE_RCPT] = on_rcpt,
	[SMTP_STAGE_DATA] = on_data,
	[SMTP_STAGE_BODY] = on_chunk,
	[SMTP_STAGE_DOT] = on_dot,
};

/* RFC 5321 3.8: the peer goes away, whatever was asked; it is not waited for nor spoken to. */
static enum smtp_want
on_421(struct smtp_client *c)
{
	if (c->stage == SMTP_STAGE_BANNER)
		smtp_reply_copy(&c->banner, &c->last);
	else if (c->stage == SMTP_STAGE_STARTTLS)
		smtp_reply_copy(&c->starttls, &c->last);
	refusal(c, asked(c));
	return stop(c, SMTP_END_421);
}

static enum smtp_want
injected(struct smtp_client *c, const char *s, size_t n)
{
	char *shown = text_escape(s, n < 60 ? n : 60);

	fail(&c->fail, FAIL_PEER, "clear text behind the 220 to STARTTLS: \"%s\"", shown);
	free(shown);
	return stop(c, SMTP_END_INJECTION);
}

/* Bytes behind the last reply that was asked for: only a farewell may stand there. */
static enum smtp_want
unasked(struct smtp_client *c, const char *s, size_t n)
{
	struct fail f = FAIL_INIT;
	char *shown;
	size_t used;

	if (c->want == SMTP_WANT_TLS)
		return injected(c, s, n);
	if (smtp_parser_feed(&c->parser, s, n, &used, &f) == SMTP_PARSED_REPLY &&
	    c->parser.reply.code == 421) {
		smtp_reply_copy(&c->last, &c->parser.reply);
		return on_421(c);
	}
	shown = text_escape(s, n < 60 ? n : 60);
	fail(&c->fail, FAIL_PEER, "bytes behind the answer, without a command: \"%s\"", shown);
	free(shown);
	return stop_quit(c, SMTP_END_PROTOCOL);
}

/* True where the next reply answers something that has been sent. */
static int
is_answer_due(const struct smtp_client *c)
{
	unsigned unsent = 0;
	size_t i;

	if (c->stage == SMTP_STAGE_DOT)
		return c->out.len == 0 || c->txn.chunks_due > 0;
	/* A chunk may be refused before all of it was sent. */
	if (c->stage == SMTP_STAGE_BODY)
		return c->awaited > 0;
	for (i = 0; i < c->out.len; i++)
		unsent += c->out.p[i] == '\n';
	return c->awaited > unsent;
}

enum smtp_want
smtp_client_feed(struct smtp_client *c, const char *s, size_t n)
{
	enum smtp_parsed got;
	size_t used;

	for (; n > 0 && c->stage != SMTP_STAGE_DONE; s += used, n -= used) {
		if (c->stage == SMTP_STAGE_HANDSHAKE)
			return injected(c, s, n);
		if (!smtp_parser_partial(&c->parser))
			c->early = !is_answer_due(c);
		got = smtp_parser_feed(&c->parser, s, n, &used, &c->fail);
		if (got == SMTP_PARSED_MORE)
			return c->want;
		if (got == SMTP_PARSED_ERROR) {
			fail_prefix(&c->fail, "%s", stage_names[c->stage]);
			return stop(c, SMTP_END_PROTOCOL);
		}
		smtp_reply_copy(&c->last, &c->parser.reply);
		if (c->last.code == 421)
			return on_421(c);
		if (c->early)
			return on_unasked(c);
		c->awaited--;
		answers[c->stage](c);
		if (used < n && c->stage != SMTP_STAGE_DONE && !is_answer_due(c))
			return unasked(c, s + used, n - used);
	}
	return c->want;
}

enum smtp_want
smtp_client_tls_done(struct smtp_client *c)
{
	if (c->stage != SMTP_STAGE_HANDSHAKE)
		abort();
	c->tls = 1;
	smtp_parser_clear(&c->parser);
	if (c->conf.implicit_tls) {
		c->stage = SMTP_STAGE_BANNER;
		c->awaited = 1;
		return c->want = SMTP_WANT_INPUT;
	}
	return send_ehlo(c, SMTP_STAGE_EHLO_TLS);
}

enum smtp_want
smtp_client_tls_failed(struct smtp_client *c, const struct fail *f)
{
	if (c->stage != SMTP_STAGE_HANDSHAKE)
		abort();
	c->fail = *f;
	return stop(c, SMTP_END_HANDSHAKE);
}

enum smtp_want
smtp_client_eof(struct smtp_client *c)
{
	if (c->stage == SMTP_STAGE_DONE)
		return c->want;
	fail(&c->fail, FAIL_TEMP, "%s: the peer closed the connection%s", stage_names[c->stage],
	    smtp_parser_partial(&c->parser) ? " in the middle of a reply" : "");
	return stop(c, SMTP_END_EOF);
}

enum smtp_want
smtp_client_lost(struct smtp_client *c, const struct fail *f)
{
	if (c->stage == SMTP_STAGE_DONE)
		return c->want;
	c->fail = *f;
	fail_prefix(&c->fail, "%s", stage_names[c->stage]);
	return stop(c, SMTP_END_LOST);
}

enum smtp_want
smtp_client_quit(struct smtp_client *c)
{
	if (c->stage != SMTP_STAGE_ORDER)
		abort();
	return stop_quit(c, SMTP_END_NONE);
}
