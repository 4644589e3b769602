/*
 * Paths of MAIL and RCPT: what was taken holds no control character, and is printed so that it is taken again for the
 * same.  The first octet says what is allowed.
 */
#include "mailbox.h"

#include "alloc.h"
#include "fuzz.h"

static void
check(const struct mailbox *m, unsigned flags)
{
	struct mailbox again;
	struct buf b = BUF_INIT;
	size_t used;
	const char *p;

	for (p = m->local; *p != '\0'; p++)
		MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
	for (p = m->domain; *p != '\0'; p++)
		MUST((unsigned char)*p > 0x20 && *p != 0x7f && strchr("<>@,;\"\\()", *p) == NULL);
	MUST(m->local[0] != '\0' || flags & MAILBOX_NULL);
	MUST(m->domain[0] != '\0' || flags & (MAILBOX_NULL | MAILBOX_BARE));
	MUST(!mailbox_is_utf8(m) || flags & MAILBOX_UTF8);
	buf_putc(&b, '<');
	mailbox_print(&b, m);
	MUST(b.len - 1 <= MAILBOX_MAX);
	buf_puts(&b, ">tail");
	MUST(mailbox_parse(&again, b.p, b.len, flags, &used, NULL) == 0 && used == b.len - 4);
	MUST(strcmp(again.local, m->local) == 0 && strcmp(again.domain, m->domain) == 0);
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mailbox m;
	struct fail f = FAIL_INIT;
	size_t used;
	char *path;

	if (n == 0)
		return 0;
	path = xmemdup(data + 1, n - 1);
	if (mailbox_parse(&m, path, n - 1, data[0] & 7, &used, &f) == 0) {
		MUST(used >= 2 && used <= n - 1 && path[0] == '<' && path[used - 1] == '>');
		check(&m, data[0] & 7);
	} else
		MUST((f.kind == FAIL_INPUT || f.kind == FAIL_POLICY) && f.text[0] != '\0');
	(void)mailbox_is_domain(path, n - 1);
	free(path);
	return 0;
}
