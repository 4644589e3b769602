/*
 * A session's way: smtp_client_feed() parses one reply and gives it to the function of the stage in
 * which it came (answers[]); that function records it and either sends the next command, which sets
 * the next stage, or ends the session.  421 is looked at before any of them.
 */
#include "smtp_client.h"

#include <stdlib.h>
#include <string.h>

static const char *const stage_names[SMTP_STAGES] = {
	[SMTP_STAGE_BANNER] = "banner",
	[SMTP_STAGE_EHLO] = "EHLO",
	[SMTP_STAGE_HELO] = "HELO",
	[SMTP_STAGE_STARTTLS] = "STARTTLS",
	[SMTP_STAGE_HANDSHAKE] = "TLS handshake",
	[SMTP_STAGE_EHLO_TLS] = "EHLO inside TLS",
	[SMTP_STAGE_ORDER] = "idle session",
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
	[SMTP_END_PROTOCOL] = "protocol",
	[SMTP_END_EOF] = "eof",
	[SMTP_END_LOST] = "lost",
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

void
smtp_client_init(struct smtp_client *c, const struct smtp_client_conf *conf)
{
	memset(c, 0, sizeof *c);
	c->conf = *conf;
	c->stage = SMTP_STAGE_BANNER;
	c->want = SMTP_WANT_INPUT;
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
	c->stage = next;
	return c->want = SMTP_WANT_INPUT;
}

/* Ends the session; c->fail is set already. */
static enum smtp_want
stop(struct smtp_client *c, enum smtp_end end)
{
	c->end = end;
	c->stage_at_end = c->stage;
	c->stage = SMTP_STAGE_DONE;
	return c->want = SMTP_WANT_CLOSE;
}

/* As stop(), but the peer is still there to be told. */
static enum smtp_want
stop_quit(struct smtp_client *c, enum smtp_end end)
{
	buf_puts(&c->out, "QUIT\r\n");
	return stop(c, end);
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
		smtp_caps_parse(&c->caps, &c->last);
		return after_ehlo(c);
	case 4:
		refusal(c, hello_verb(c));
		return stop_quit(c, SMTP_END_EHLO_REFUSED);
	case 5:
		refusal(c, hello_verb(c));
		if (c->conf.lmtp)
			return stop_quit(c, SMTP_END_EHLO_REFUSED);
		if (c->conf.use_tls == SMTP_TLS_REQUIRED)
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

/* HANDSHAKE and DONE take no reply: smtp_client_feed() sees to that. */
static enum smtp_want (*const answers[SMTP_STAGES])(struct smtp_client *) = {
	[SMTP_STAGE_BANNER] = on_banner,
	[SMTP_STAGE_EHLO] = on_ehlo,
	[SMTP_STAGE_HELO] = on_helo,
	[SMTP_STAGE_STARTTLS] = on_starttls,
	[SMTP_STAGE_EHLO_TLS] = on_ehlo_tls,
	[SMTP_STAGE_ORDER] = on_unasked,
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
	buf_clear(&c->out);
	return stop(c, SMTP_END_INJECTION);
}

/* Bytes behind a reply, before any of ours went out: only a farewell may stand there. */
static enum smtp_want
unasked(struct smtp_client *c, const char *s, size_t n)
{
	struct fail f = FAIL_INIT;
	char *shown;
	size_t used;

	if (c->want == SMTP_WANT_TLS)
		return injected(c, s, n);
	buf_clear(&c->out);
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

enum smtp_want
smtp_client_feed(struct smtp_client *c, const char *s, size_t n)
{
	enum smtp_parsed got;
	size_t used;

	if (n == 0 || c->stage == SMTP_STAGE_DONE)
		return c->want;
	if (c->stage == SMTP_STAGE_HANDSHAKE)
		return injected(c, s, n);
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
	answers[c->stage](c);
	if (used < n && c->stage != SMTP_STAGE_DONE)
		return unasked(c, s + used, n - used);
	return c->want;
}

enum smtp_want
smtp_client_tls_done(struct smtp_client *c)
{
	if (c->stage != SMTP_STAGE_HANDSHAKE)
		abort();
	c->tls = 1;
	smtp_parser_clear(&c->parser);
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
	buf_clear(&c->out);
	fail(&c->fail, FAIL_TEMP, "%s: the peer closed the connection%s", stage_names[c->stage],
	    smtp_parser_partial(&c->parser) ? " in the middle of a reply" : "");
	return stop(c, SMTP_END_EOF);
}

enum smtp_want
smtp_client_lost(struct smtp_client *c, const struct fail *f)
{
	if (c->stage == SMTP_STAGE_DONE)
		return c->want;
	buf_clear(&c->out);
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
