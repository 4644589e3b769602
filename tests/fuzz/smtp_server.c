/*
 * A session with a client that says anything, and a caller that answers one way or another.  The
 * first octet configures the server, the second says how the caller answers; after that an octet under
 * 0x80 is a length and as many octets are fed at once; one from 0x80 is an event.
 */
#include "smtp_server.h"

#include "fuzz.h"

#define ROUNDS_MAX 1000000	/* wants in one feeding: an endless loop is a finding */

/* The caller as the header describes it, and what it must never see. */
struct caller {
	struct smtp_server s;
	unsigned answers;	/* a bit each: what the next answer is; turned round */
	int late;
	enum smtp_server_want owed;	/* an answer to this; INPUT: none */
	int open;		/* between BEGIN and END or ABORT */
	int accepted;		/* 354 was said */
	unsigned begun, ended, aborted, refused;
	struct buf raw, body;	/* of the message under way: as fed, as given out */
	size_t shown;		/* of out */
};

/* Whole lines of printable ASCII, each a reply. */
static void
check_out(struct caller *c)
{
	const struct buf *b = &c->s.out;
	size_t i, line = 0;

	MUST(b->len < SMTP_SERVER_OUT_MAX + 3 * SMTP_SERVER_REPLY_MAX);
	for (i = 0; i < b->len; i++) {
		if (line == 0)
			MUST(b->p[i] >= '2' && b->p[i] <= '5');
		if (b->p[i] == '\r') {
			MUST(b->p[i + 1] == '\n' && line >= 3 && line + 2 <= SMTP_SERVER_REPLY_MAX);
			line = 0;
			i++;
			continue;
		}
		MUST(b->p[i] >= 0x20 && b->p[i] < 0x7f);
		line++;
	}
	MUST(line == 0);
}

/* No line of it may be taken for a field of its own, nor end the header. */
static void
check_received(const struct smtp_server *s)
{
	struct buf b = BUF_INIT;
	size_t i;

	smtp_server_received(s, &b, s->hello, s->mail.from.local, s->mail.from.domain, 5);
	MUST(b.len > 2 && strncmp(b.p, "Received: from", 14) == 0);
	for (i = 0; i + 2 < b.len; i++) {
		if (b.p[i] == '\r')
			MUST(b.p[i + 1] == '\n' && b.p[i + 2] == '\t');
		else if (b.p[i] == '\n')
			MUST(i > 0 && b.p[i - 1] == '\r');
		else
			MUST(b.p[i] == '\t' || (b.p[i] >= 0x20 && b.p[i] < 0x7f));
	}
	buf_clear(&b);
}

/* What was fed since 354 is one message by the plainest reading of RFC 5321, and that was given out. */
static void
check_message(struct caller *c)
{
	struct buf want = BUF_INIT;
	const char *p = c->raw.p, *end = p + c->raw.len, *lf;

	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', end - p);
		MUST(lf != NULL && lf > p && lf[-1] == '\r');
		MUST(memchr(p, '\r', lf - p) == lf - 1 && memchr(p, '\0', lf - p) == NULL);
		if (lf - p == 2 && p[0] == '.') {
			MUST(lf + 1 == end);
			break;
		}
		buf_add(&want, p + (p[0] == '.'), lf + 1 - p - (p[0] == '.'));
	}
	MUST(p < end);
	MUST(want.len == c->body.len && (want.len == 0 || memcmp(want.p, c->body.p, want.len) == 0));
	MUST(c->s.msg.octets == want.len);
	buf_clear(&want);
}

/* What came in chunks is text in whole lines, all of it given out. */
static void
check_chunks(struct caller *c)
{
	const char *p = c->body.p;
	size_t i;

	MUST(c->s.msg.octets == c->body.len);
	for (i = 0; i < c->body.len; i++) {
		MUST(p[i] != '\0');
		MUST(p[i] != '\r' || (i + 1 < c->body.len && p[i + 1] == '\n'));
		MUST(p[i] != '\n' || (i > 0 && p[i - 1] == '\r'));
	}
	MUST(c->body.len == 0 || p[c->body.len - 1] == '\n');
}

static void
answer(struct caller *c)
{
	unsigned how = c->answers & 3;
	enum smtp_server_want want = c->owed;

	c->answers = c->answers >> 2 | how << 6;
	c->owed = SMTP_SERVER_INPUT;
	if (want == SMTP_SERVER_TLS) {
		if (how == 3) {
			smtp_server_tls_failed(&c->s, &(struct fail){ .kind = FAIL_PEER });
			return;
		}
		buf_drop(&c->s.out, c->s.out.len);
		smtp_server_tls_done(&c->s, &(struct smtp_server_tls){ .protocol = "TLSv1.3" });
		return;
	}
	MUST(want != SMTP_SERVER_AUTH || (c->s.tls && c->s.sasl.user[0] != '\0' && c->s.sasl.password[0] != '\0'));
	if (want == SMTP_SERVER_BEGIN && how >= 2)
		c->open = 0;
	else if (want == SMTP_SERVER_BEGIN) {
		c->accepted = 1;
		c->raw.len = c->body.len = 0;
	}
	if (how == 0)
		smtp_server_accept(&c->s);
	else if (how == 1)
		smtp_server_answer(&c->s, 250, "2.0.0", "queued\r\nas 1");
	else if (how == 2)
		smtp_server_answer(&c->s, 550, "5.7.1", c->s.refusal.argument);
	else
		smtp_server_answer(&c->s, c->answers & 16 ? 421 : 451, NULL, "later");
}

static void
ask(struct caller *c, enum smtp_server_want want)
{
	MUST(c->owed == SMTP_SERVER_INPUT);
	if (want != SMTP_SERVER_TLS && c->s.conf.tls == SMTP_SERVER_TLS_REQUIRED)
		MUST(c->s.tls);
	if (want == SMTP_SERVER_BEGIN) {
		MUST(!c->open && c->s.recipients > 0);
		c->open = 1;
		c->accepted = 0;
		c->begun++;
	}
	if (want == SMTP_SERVER_END) {
		MUST(c->open && c->accepted);
		if (c->s.chunk.used)
			check_chunks(c);
		else
			check_message(c);
		c->open = 0;
		c->ended++;
	}
	check_received(&c->s);
	c->owed = want;
	if (!c->late)
		answer(c);
}

/* True where feeding goes on. */
static int
act(struct caller *c, enum smtp_server_want want)
{
	switch (want) {
	case SMTP_SERVER_AUTH:
	case SMTP_SERVER_MAIL:
	case SMTP_SERVER_RCPT:
	case SMTP_SERVER_BEGIN:
	case SMTP_SERVER_END:
	case SMTP_SERVER_TLS:
		ask(c, want);
		return 1;
	case SMTP_SERVER_BODY:
		MUST(c->open && c->accepted && c->s.body.len > 0);
		MUST(c->s.body.len <= SMTP_SERVER_BODY_MAX);
		buf_add(&c->body, c->s.body.p, c->s.body.len);
		return 1;
	case SMTP_SERVER_ABORT:
		MUST(c->open);
		c->open = 0;
		c->aborted++;
		return 1;
	case SMTP_SERVER_REFUSED:
		MUST(c->s.refusal.code >= 400 && c->s.refusal.verb != NULL);
		c->refused++;
		return 1;
	default:
		return 0;
	}
}

static void
settle_owed(struct caller *c, enum smtp_server_want want)
{
	MUST(want != SMTP_SERVER_WAIT || c->owed != SMTP_SERVER_INPUT);
	if (want == SMTP_SERVER_CLOSE) {
		MUST(c->s.stage == SMTP_SERVER_AT_DONE && c->s.end != SMTP_SERVER_END_NONE && !c->open);
		MUST(c->s.end != SMTP_SERVER_END_INJECTION || c->s.out.len == 0);
	}
}

/* Feeds until nothing more is to be done; returns what was not taken. */
static size_t
feed(struct caller *c, const char *p, size_t n)
{
	enum smtp_server_want want;
	size_t used, rounds = 0;
	int in_data;

	do {
		in_data = c->s.stage == SMTP_SERVER_AT_DATA;
		want = smtp_server_feed(&c->s, p, n, &used);
		MUST(used <= n && ++rounds < ROUNDS_MAX);
		if (in_data)
			buf_add(&c->raw, p, used);
		p += used;
		n -= used;
	} while (act(c, want));
	check_out(c);
	settle_owed(c, want);
	if (want == SMTP_SERVER_INPUT || want == SMTP_SERVER_CLOSE)
		MUST(n == 0);
	return n;
}

static void
event(struct caller *c, unsigned which)
{
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_TEMP, "lost");
	switch (which % 8) {
	case 0:
	case 1:
	case 2:
		if (c->owed != SMTP_SERVER_INPUT)
			answer(c);
		break;
	case 3:
		buf_drop(&c->s.out, c->s.out.len);
		break;
	case 4:
		smtp_server_timeout(&c->s);
		break;
	case 5:
		smtp_server_shutdown(&c->s);
		break;
	case 6:
		if (c->s.stage == SMTP_SERVER_AT_CONNECT)
			smtp_server_greet(&c->s);
		break;
	default:
		if (which & 8)
			smtp_server_eof(&c->s);
		else
			smtp_server_lost(&c->s, &f);
	}
	feed(c, "", 0);
}

/* As a loop would: what is not taken waits until the caller has answered and sent. */
static void
feed_all(struct caller *c, const char *p, size_t n)
{
	size_t left, rounds = 0;

	while (n > 0) {
		left = feed(c, p, n);
		MUST(++rounds < ROUNDS_MAX);
		p += n - left;
		n = left;
		if (n == 0)
			break;
		if (c->owed != SMTP_SERVER_INPUT)
			answer(c);
		else
			buf_drop(&c->s.out, c->s.out.len);
	}
}

static void
start(struct caller *c, unsigned config, unsigned answers)
{
	struct smtp_server_conf conf = { .name = "mx.example", .limits = SMTP_SERVER_LIMITS };

	memset(c, 0, sizeof *c);
	conf.tls = config % 3;
	if (config & 0x10)
		conf.limits = (struct smtp_server_limits){ .size = 200, .swallow = 50, .text_line = 40,
		    .header = 80, .received = 2, .recipients = 2, .refused_recipients = 2, .errors = 3,
		    .junk = 2, .messages = 2, .auth_failures = 1 };
	conf.offers = config & 0x08 ? SMTP_SERVER_OFFERS : 0;
	conf.auth = config & 0x04 ? SMTP_SERVER_AUTH_OFFERED : SMTP_SERVER_AUTH_NO;
	c->late = (config & 0x20) != 0;
	c->answers = answers & 0xff;
	c->owed = SMTP_SERVER_INPUT;
	smtp_server_init(&c->s, &conf);
	if (!(config & 0x40)) {
		smtp_server_greet(&c->s);
		buf_drop(&c->s.out, c->s.out.len);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct caller c;
	size_t at, len;

	if (n < 2)
		return 0;
	start(&c, data[0], data[1]);
	for (at = 2; at < n; at += len) {
		uint8_t op = data[at++];

		len = op < 0x80 ? op : 0;
		if (len > n - at)
			len = n - at;
		if (op >= 0x80)
			event(&c, op);
		else {
			feed_all(&c, (const char *)data + at, len);
			if (!(data[0] & 0x80))	/* a client that waits */
				buf_drop(&c.s.out, c.s.out.len);
		}
	}
	smtp_server_eof(&c.s);
	feed(&c, "", 0);
	MUST(!c.open && c.ended + c.aborted <= c.begun && c.s.messages <= c.ended);
	smtp_server_clear(&c.s);
	buf_clear(&c.raw);
	buf_clear(&c.body);
	return 0;
}
