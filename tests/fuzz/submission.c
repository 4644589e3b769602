/*
 * What programs hand in: the first octet says whether a dot ends it and how it is cut into pieces; however it is cut,
 * the same goes out: a header in whole lines that is one to others too, without Bcc, and no NUL.
 * fuzz: submission address_list mailbox header text fail alloc
 */
#include "submission.h"

#include "alloc.h"
#include "fuzz.h"
#include "header.h"

static int
note(void *arg, const struct address_list_item *item, struct fail *f)
{
	(void)arg;
	(void)f;
	MUST(item->box.local[0] != '\0');
	return 0;
}

static void
check_header(const struct buf *b, size_t len)
{
	const char *value;
	size_t i, n;

	MUST(header_length(b->p, b->len) == len);
	MUST(header_find(b->p, b->len, "Bcc", &value, &n) == 0 && header_find(b->p, b->len, "Return-Path", &value, &n) == 0);
	MUST(header_find(b->p, b->len, "From", &value, &n) > 0 && header_find(b->p, b->len, "Date", &value, &n) > 0);
	for (i = 0; i < len; i++)
		MUST(b->p[i] != '\0' && (b->p[i] != '\r' || b->p[i + 1] == '\n') && (b->p[i] != '\n' || b->p[i - 1] == '\r'));
	MUST(memchr(b->p, '\0', b->len) == NULL);
}

/* 0, or -1 where it is refused. */
static int
pass(const char *s, size_t n, size_t piece, int dot_ends, struct buf *out)
{
	static const struct submission_facts facts = { .sender = "me@h.test", .full_name = "M. E", .domain = "d.test",
		.hostname = "h.test", .now = 0, .unique = "1" };
	struct fail f = FAIL_INIT;
	struct submission sub;
	size_t at, len;
	int rc = 0;

	submission_init(&sub, 60000, 100, dot_ends);
	for (at = 0; rc == 0 && at < n && !sub.ended; at += len) {
		len = n - at < piece ? n - at : piece;
		rc = submission_feed(&sub, s + at, len, &f);
	}
	if (rc == 0)
		rc = submission_end(&sub, &f);
	MUST(rc == 0 || f.kind == FAIL_INPUT);
	if (rc == 0) {
		(void)submission_recipients(&sub, note, NULL, NULL);
		submission_header(&sub, &facts, out);
		len = out->len;
		if (sub.run.len > 0)
			buf_add(out, sub.run.p, sub.run.len);
		check_header(out, len);
	}
	submission_clear(&sub);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	const char *s = (const char *)data + 1;
	int rc;

	if (n == 0)
		return 0;
	rc = pass(s, n - 1, n, data[0] & 1, &whole);
	MUST(pass(s, n - 1, 1 + (data[0] >> 1), data[0] & 1, &pieces) == rc);
	MUST(rc != 0 || (whole.len == pieces.len && memcmp(whole.p, pieces.p, whole.len) == 0));
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
