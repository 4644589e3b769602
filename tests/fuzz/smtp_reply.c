/*
 * Replies: however the bytes are split, the same comes out; what is printed is printable.
 */
#include "smtp.h"

#include "fuzz.h"

struct result {
	enum smtp_parsed parsed;
	size_t used;
	struct smtp_parser parser;
	struct fail fail;
};

static void
parse(struct result *r, const char *s, size_t n, size_t step)
{
	size_t piece, used;

	memset(r, 0, sizeof *r);
	while (r->used < n && r->parsed == SMTP_PARSED_MORE) {
		piece = n - r->used < step ? n - r->used : step;
		r->parsed = smtp_parser_feed(&r->parser, s + r->used, piece, &used, &r->fail);
		MUST(used <= piece);
		MUST(used == piece || r->parsed != SMTP_PARSED_MORE);
		r->used += used;
	}
}

static void
same(const struct result *a, const struct result *b)
{
	const struct smtp_reply *x = &a->parser.reply, *y = &b->parser.reply;

	MUST(a->parsed == b->parsed);
	if (a->parsed == SMTP_PARSED_ERROR)
		return;
	MUST(a->used == b->used && x->code == y->code && x->lines == y->lines && x->odd == y->odd);
	MUST(x->text.len == y->text.len);
	MUST(x->text.len == 0 || memcmp(x->text.p, y->text.p, x->text.len) == 0);
}

static void
printable(const char *s)
{
	for (; *s != '\0'; s++)
		MUST(*s >= 0x20 && *s < 0x7f);
}

static void
look_at(const struct smtp_reply *r)
{
	struct smtp_caps caps = { .bits = 0 };
	char status[SMTP_STATUS_MAX];
	struct buf b = BUF_INIT;
	unsigned i;
	size_t len, total = 0;

	MUST(r->code >= 200 && r->code <= 599);
	MUST(r->lines >= 1 && r->lines <= SMTP_LINES_MAX);
	MUST(r->status.class == 0 || r->status.class == r->code / 100);
	printable(smtp_status_text(status, &r->status));
	smtp_reply_print(&b, r);
	printable(b.p);
	MUST(b.len <= 3 + 4 * SMTP_PRINT_MAX + SMTP_LINES_MAX + 3);
	buf_clear(&b);
	for (i = 0; smtp_reply_line(r, i, &len) != NULL; i++)
		total += len;
	MUST(i == r->lines && total + i - 1 == r->text.len);
	smtp_caps_parse(&caps, r);
	printable(caps.domain);
	MUST((caps.auth != NULL) == ((caps.bits & SMTP_CAP_AUTH) != 0));
	if (caps.auth != NULL)
		printable(caps.auth);
	smtp_caps_clear(&caps);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *s = (const char *)data;
	struct result whole, bytes, sevens;

	parse(&whole, s, n, n);
	parse(&bytes, s, n, 1);
	parse(&sevens, s, n, 7);
	same(&whole, &bytes);
	same(&whole, &sevens);
	if (whole.parsed == SMTP_PARSED_REPLY)
		look_at(&whole.parser.reply);
	smtp_parser_clear(&whole.parser);
	smtp_parser_clear(&bytes.parser);
	smtp_parser_clear(&sevens.parser);
	return 0;
}
