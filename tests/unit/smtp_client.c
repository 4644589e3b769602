/*
 * Sessions as scripts.  A step is what the server sends and what the client must say and want then.
 * Each script runs with every step in one piece, byte by byte, and split in the middle.
 */
#include "smtp_client.h"

#include <stdlib.h>

#include "unit.h"

#define STEPS_MAX 8

static const char *const wants[] = { "input", "tls", "order", "close" };

struct step {
	const char *server;	/* bytes, or an event in angle brackets: see run_step() */
	const char *out;	/* all that the client says after it */
	enum smtp_want want;
};

struct script {
	const char *name;
	enum smtp_use_tls tls;
	int lmtp;
	struct step steps[STEPS_MAX];
	enum smtp_end end;
	enum smtp_stage at_end;		/* where the end is not NONE */
	enum fail_kind kind;
	int whole;			/* the result depends on what comes in one read */
	const char *text;
};

#define BANNER { "220 mx.example ESMTP\r\n", "EHLO me.example\r\n", SMTP_WANT_INPUT }
#define EHLO "250-mx.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
#define EHLO_OK { EHLO, "STARTTLS\r\n", SMTP_WANT_INPUT }
#define GO { "220 2.0.0 go\r\n", "", SMTP_WANT_TLS }
#define TLS { "<tls>", "EHLO me.example\r\n", SMTP_WANT_INPUT }
#define BYE { "<quit>", "QUIT\r\n", SMTP_WANT_CLOSE }

static const struct script scripts[] = {
	{ .name = "TLS", .tls = SMTP_TLS_IF_OFFERED, .steps = { BANNER, EHLO_OK, GO, TLS,
	    { "250-mx.example\r\n250 REQUIRETLS\r\n", "", SMTP_WANT_ORDER }, BYE } },
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
};

/* Feeds a step's bytes in pieces of n. */
static enum smtp_want
feed(struct smtp_client *c, const char *s, size_t n)
{
	size_t len = strlen(s), piece;

	for (; len > 0; s += piece, len -= piece) {
		piece = len < n ? len : n;
		smtp_client_feed(c, s, piece);
	}
	return c->want;
}

static enum smtp_want
run_step(struct smtp_client *c, const char *s, size_t n)
{
	struct fail f = FAIL_INIT;

	if (strcmp(s, "<tls>") == 0)
		return smtp_client_tls_done(c);
	if (strcmp(s, "<eof>") == 0)
		return smtp_client_eof(c);
	if (strcmp(s, "<quit>") == 0)
		return smtp_client_quit(c);
	if (strcmp(s, "<tls-failed>") == 0) {
		fail(&f, FAIL_PEER, "no shared cipher");
		return smtp_client_tls_failed(c, &f);
	}
	if (strcmp(s, "<lost>") == 0) {
		fail(&f, FAIL_TEMP, "timed out");
		return smtp_client_lost(c, &f);
	}
	return feed(c, s, n);
}

static void
run(const struct script *s, size_t n, const char *how)
{
	struct smtp_client_conf conf = { .ehlo = "me.example", .use_tls = s->tls, .lmtp = s->lmtp };
	struct smtp_client c;
	size_t i;

	smtp_client_init(&c, &conf);
	for (i = 0; i < STEPS_MAX && s->steps[i].server != NULL; i++) {
		enum smtp_want want = run_step(&c, s->steps[i].server, n);
		const char *out = c.out.len > 0 ? c.out.p : "";

		unit_str(wants[want], wants[s->steps[i].want], "%s, %s: step %zu wants", s->name,
		    how, i);
		unit_str(out, s->steps[i].out, "%s, %s: step %zu says", s->name, how, i);
		buf_drop(&c.out, c.out.len);
	}
	unit_str(smtp_end_name(c.end), smtp_end_name(s->end), "%s, %s: end", s->name, how);
	if (s->end != SMTP_END_NONE)
		unit_str(smtp_stage_name(c.stage_at_end), smtp_stage_name(s->at_end),
		    "%s, %s: stage", s->name, how);
	unit_int(c.fail.kind, s->kind, "%s, %s: kind", s->name, how);
	if (!s->whole || n > 1)
		unit_str(c.fail.text, s->text != NULL ? s->text : "", "%s, %s: words", s->name,
		    how);
	smtp_client_clear(&c);
}

static void
start(struct smtp_client *c, enum smtp_use_tls tls)
{
	struct smtp_client_conf conf = { .ehlo = "me.example", .use_tls = tls };

	smtp_client_init(c, &conf);
	feed(c, "220 mx.example ESMTP\r\n", 100);
}

static void
test_record(void)
{
	struct smtp_client c;

	start(&c, SMTP_TLS_IF_OFFERED);
	feed(&c, EHLO, 100);
	feed(&c, "220 2.0.0 go\r\n", 100);
	unit_int(smtp_client_caps0(&c)->size, 1000, "in clear the first capabilities hold");
	smtp_client_tls_done(&c);
	unit_int(smtp_client_caps0(&c)->bits, 0, "RFC 3207 4.2: forgotten with TLS");
	feed(&c, "250-mx.example\r\n250 REQUIRETLS\r\n", 100);
	unit_str(c.banner.text.p, "mx.example ESMTP", "the banner is kept");
	unit_int(c.caps.bits, SMTP_CAP_SIZE | SMTP_CAP_STARTTLS,
	    "so are the capabilities in clear");
	unit_int(c.caps_tls.bits, SMTP_CAP_REQUIRETLS, "and those inside TLS");
	unit_int(c.starttls.code, 220, "and the answer to STARTTLS");
	unit_int(c.starttls.status.class, 2, "with its status");
	unit_ok(c.tls && c.esmtp && c.starttls_sent && !c.starttls_refused, "flags");
	smtp_client_clear(&c);

	start(&c, SMTP_TLS_IF_OFFERED);
	feed(&c, EHLO, 100);
	feed(&c, "454 4.7.0 TLS not available\r\n", 100);
	unit_ok(c.starttls_refused && !c.tls, "a refusal leaves the session in clear");
	unit_str(c.starttls.text.p, "4.7.0 TLS not available", "its text is kept");
	unit_int(c.fail.kind, FAIL_NONE, "and is no failure yet");
	smtp_client_clear(&c);

	start(&c, SMTP_TLS_IF_OFFERED);
	feed(&c, "500 what?\r\n", 100);
	feed(&c, "250 hello\r\n", 100);
	unit_ok(!c.esmtp && c.caps.bits == 0, "HELO gives no capabilities");
	unit_int(c.fail.kind, FAIL_NONE, "and a refused EHLO before it is no failure");
	smtp_client_clear(&c);
}

static void
test_names(void)
{
	int i;

	for (i = 0; i < SMTP_ENDS; i++)
		unit_ok(smtp_end_name(i) != NULL, "end %d has a name: %s", i, smtp_end_name(i));
	for (i = 0; i < SMTP_STAGES; i++)
		unit_ok(smtp_stage_name(i) != NULL, "stage %d has a name: %s", i,
		    smtp_stage_name(i));
}

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
		run(&scripts[i], 10000, "whole");
		if (scripts[i].whole && scripts[i].end != SMTP_END_INJECTION)
			continue;
		run(&scripts[i], 1, "byte by byte");
		if (!scripts[i].whole)
			run(&scripts[i], 7, "in sevens");
	}
	test_record();
	test_names();
	return unit_done();
}
