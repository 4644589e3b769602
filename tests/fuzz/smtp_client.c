/*
 * A session with a server that says anything.  The first octet configures the client; after that
 * an octet under 0x80 is a length and as many octets are fed at once; one from 0x80 is an event.
 * In an event 0x40 keeps what the client says from being sent; before a piece of message stands
 * its length.
 */
#include "smtp_client.h"

#include "fuzz.h"
#include "smtp_data.h"

static const char *const recipients[] = {
	"a@b.example", "not a mailbox", "c@d.example", "postmaster"
};

struct run {
	struct smtp_client c;
	int starttls;		/* how often it was said */
	struct buf message;	/* what was said behind 354 */
};

/* Takes what the client says: whole command lines, and STARTTLS once at most. */
static void
drain(struct run *r)
{
	struct smtp_client *c = &r->c;
	struct buf *b = &c->out;
	size_t i;

	if (b->len > 0 && c->stage != SMTP_STAGE_BODY && c->stage != SMTP_STAGE_DOT) {
		MUST(b->len >= 6 && memcmp(b->p + b->len - 2, "\r\n", 2) == 0);
		for (i = 0; i < b->len; i++)
			MUST(b->p[i] != '\0');
		if (strstr(b->p, "STARTTLS") != NULL) {
			MUST(++r->starttls == 1);
			MUST(!c->tls && c->conf.use_tls != SMTP_TLS_NEVER);
			MUST(c->caps.bits & SMTP_CAP_STARTTLS);
		}
		MUST(strstr(b->p, "AUTH ") == NULL || c->tls);
	}
	buf_drop(b, b->len);
}

/* The message ends where it ends, and nowhere before. */
static void
check_message(struct buf *m)
{
	static const struct smtp_data_limits limits = { 1 << 20, 1 << 20, 1 << 20, 1000 };
	enum smtp_data_got got = SMTP_DATA_MORE;
	struct smtp_data d = { .octets = 0 };
	size_t at, used;

	smtp_data_begin(&d, &limits);
	for (at = 0; at < m->len && got != SMTP_DATA_END; at += used) {
		d.run.len = 0;
		got = smtp_data_feed(&d, m->p + at, m->len - at, &used);
		MUST(got != SMTP_DATA_BROKEN);
	}
	MUST(got == SMTP_DATA_END && at == m->len);
	smtp_data_clear(&d);
	buf_clear(m);
}

/* A piece of the message, or its end where s is NULL. */
static void
give_body(struct run *r, const char *s, size_t n)
{
	struct smtp_client *c = &r->c;
	size_t before = c->out.len, i;
	char piece[256];

	if (c->want != SMTP_WANT_BODY)
		return;
	for (i = 0; i < n; i++)
		piece[i] = s[i] != '\0' ? s[i] : '.';
	if (s != NULL)
		smtp_client_body(c, piece, n);
	else
		smtp_client_body_end(c);
	if (c->out.len > before && !c->txn.chunking)
		buf_add(&r->message, c->out.p + before, c->out.len - before);
	if (s == NULL && !c->txn.chunking)
		check_message(&r->message);
}

static void
send_order(struct smtp_client *c, unsigned which)
{
	struct smtp_transaction order = {
		.from = which & 8 ? "" : "me@here.example",
		.rcpt = recipients,
		.nrcpts = which & 16 ? 1 : 4,
		.size = which & 8 ? 0 : 1000,
		.has8bit = (which & 32) != 0,
	};

	if (c->stage == SMTP_STAGE_ORDER)
		smtp_client_send(c, &order);
}

/* Returns how many octets of s belong to it. */
static size_t
event(struct run *r, unsigned which, const char *s, size_t n)
{
	struct smtp_client *c = &r->c;
	struct fail f = FAIL_INIT;
	size_t len;

	fail(&f, FAIL_TEMP, "lost");
	switch (which % 8) {
	case 0:
		if (c->want == SMTP_WANT_TLS)
			smtp_client_tls_done(c);
		break;
	case 1:
		if (c->want == SMTP_WANT_TLS)
			smtp_client_tls_failed(c, &f);
		break;
	case 2:
		if (c->stage == SMTP_STAGE_ORDER && (which & 32) && !c->authenticated)
			smtp_client_auth(c, "user", "pass");
		else if (c->stage == SMTP_STAGE_ORDER)
			smtp_client_quit(c);
		break;
	case 3:
		smtp_client_lost(c, &f);
		break;
	case 4:
		send_order(c, which);
		break;
	case 5:
		if (n == 0)
			break;
		len = (unsigned char)s[0] < n - 1 ? (unsigned char)s[0] : n - 1;
		give_body(r, s + 1, len);
		return len + 1;
	case 6:
		give_body(r, NULL, 0);
		break;
	default:
		smtp_client_eof(c);
	}
	return 0;
}

/* Open while the order is under way, settled in full behind it. */
static void
check_order(const struct smtp_client *c)
{
	const struct smtp_txn *t = &c->txn;
	int in_order = c->stage >= SMTP_STAGE_RSET && c->stage <= SMTP_STAGE_DOT;
	size_t i, open = 0;

	for (i = 0; i < t->order.nrcpts; i++) {
		const struct smtp_rcpt *rcpt = &t->rcpt[i];

		open += rcpt->state == SMTP_RCPT_OPEN;
		MUST((rcpt->state == SMTP_RCPT_OPEN) == (rcpt->text == NULL));
		MUST((rcpt->state == SMTP_RCPT_OPEN) == (rcpt->status.class == 0));
		if (rcpt->state == SMTP_RCPT_ACCEPTED)
			MUST(rcpt->stage == SMTP_STAGE_DOT && rcpt->code / 100 == 2 &&
			    (t->chunking || t->data.code / 100 == 3) && rcpt->rcpt_code / 100 == 2 &&
			    t->mail.code / 100 == 2);
		if (rcpt->state == SMTP_RCPT_UNKNOWN)
			MUST(rcpt->stage == SMTP_STAGE_DOT && (t->chunking || t->data.code / 100 == 3));
	}
	MUST(in_order == t->under_way);
	MUST(in_order || open == 0);
	MUST(c->want != SMTP_WANT_BODY || open > 0);
	MUST(c->awaited <= SMTP_PIPELINE_MAX + t->chunks_due);
	MUST(c->stage == SMTP_STAGE_BODY || c->stage == SMTP_STAGE_DOT || c->stage == SMTP_STAGE_DONE || t->chunks_due == 0);
}

static void
check(const struct smtp_client *c)
{
	MUST((c->want == SMTP_WANT_CLOSE) == (c->stage == SMTP_STAGE_DONE));
	MUST((c->want == SMTP_WANT_TLS) == (c->stage == SMTP_STAGE_HANDSHAKE));
	MUST((c->want == SMTP_WANT_ORDER || c->want == SMTP_WANT_RESULT) ==
	    (c->stage == SMTP_STAGE_ORDER));
	MUST(c->want != SMTP_WANT_BODY || c->stage == SMTP_STAGE_BODY);
	MUST(c->stage != SMTP_STAGE_BODY || c->want == SMTP_WANT_BODY || c->txn.chunks_due > 0);
	MUST((c->end == SMTP_END_NONE) == (c->fail.kind == FAIL_NONE));
	MUST(c->end != SMTP_END_INJECTION || c->out.len == 0);
	if (c->conf.use_tls == SMTP_TLS_REQUIRED && c->want == SMTP_WANT_ORDER)
		MUST(c->tls && !c->starttls_refused);
	check_order(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_client_conf conf = { .ehlo = "me.example" };
	struct run r = { .starttls = 0 };
	size_t at, len;

	if (n == 0)
		return 0;
	conf.use_tls = data[0] % 3;
	conf.lmtp = data[0] >> 7;
	conf.chunking = data[0] & 0x40 ? 100 : 0;
	conf.implicit_tls = (data[0] & 0x30) == 0x30;
	smtp_client_init(&r.c, &conf);
	for (at = 1; at < n; at += len) {
		uint8_t op = data[at++];
		const char *s = (const char *)data + at;

		len = op;
		if (len > n - at)
			len = n - at;
		if (op < 0x80)
			smtp_client_feed(&r.c, s, len);
		else
			len = event(&r, op, s, n - at);
		check(&r.c);
		if (op < 0x80 || !(op & 0x40))
			drain(&r);
	}
	smtp_client_clear(&r.c);
	buf_clear(&r.message);
	return 0;
}
