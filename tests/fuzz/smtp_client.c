/*
 * A session with a server that says anything.  The first octet configures the client; after that an
 * octet under 0x80 is a length and as many octets are fed at once; one from 0x80 is an event.
 * fuzz: smtp_client smtp text fail alloc
 */
#include "smtp_client.h"

#include "fuzz.h"

/* Takes what the client says: whole command lines, and STARTTLS once at most. */
static void
drain(struct smtp_client *c, int *starttls)
{
	struct buf *b = &c->out;
	size_t i;

	if (b->len == 0)
		return;
	MUST(b->len >= 6 && memcmp(b->p + b->len - 2, "\r\n", 2) == 0);
	for (i = 0; i < b->len; i++)
		MUST(b->p[i] != '\0');
	if (strstr(b->p, "STARTTLS") != NULL) {
		MUST(++*starttls == 1);
		MUST(!c->tls && c->conf.use_tls != SMTP_TLS_NEVER);
		MUST(c->caps.bits & SMTP_CAP_STARTTLS);
	}
	buf_drop(b, b->len);
}

static void
event(struct smtp_client *c, unsigned which)
{
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_TEMP, "lost");
	switch (which % 4) {
	case 0:
		if (c->want == SMTP_WANT_TLS)
			smtp_client_tls_done(c);
		break;
	case 1:
		if (c->want == SMTP_WANT_TLS)
			smtp_client_tls_failed(c, &f);
		break;
	case 2:
		if (c->want == SMTP_WANT_ORDER)
			smtp_client_quit(c);
		break;
	default:
		if (which & 4)
			smtp_client_eof(c);
		else
			smtp_client_lost(c, &f);
	}
}

static void
check(const struct smtp_client *c)
{
	MUST((c->want == SMTP_WANT_CLOSE) == (c->stage == SMTP_STAGE_DONE));
	MUST((c->want == SMTP_WANT_TLS) == (c->stage == SMTP_STAGE_HANDSHAKE));
	MUST((c->want == SMTP_WANT_ORDER) == (c->stage == SMTP_STAGE_ORDER));
	MUST((c->end == SMTP_END_NONE) == (c->fail.kind == FAIL_NONE));
	MUST(c->end != SMTP_END_INJECTION || c->out.len == 0);
	if (c->conf.use_tls == SMTP_TLS_REQUIRED && c->want == SMTP_WANT_ORDER)
		MUST(c->tls && !c->starttls_refused);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_client_conf conf = { .ehlo = "me.example" };
	struct smtp_client c;
	int starttls = 0;
	size_t at, len;

	if (n == 0)
		return 0;
	conf.use_tls = data[0] % 3;
	conf.lmtp = data[0] >> 7;
	smtp_client_init(&c, &conf);
	for (at = 1; at < n; at += len) {
		uint8_t op = data[at++];

		len = op < 0x80 ? op : 0;
		if (len > n - at)
			len = n - at;
		if (op < 0x80)
			smtp_client_feed(&c, (const char *)data + at, len);
		else
			event(&c, op);
		check(&c);
		drain(&c, &starttls);
	}
	smtp_client_clear(&c);
	return 0;
}
