/*
 * Lists of addresses: each that is found stands where it says, and reads as itself again when it is printed.
 * fuzz: address_list mailbox text fail alloc
 */
#include "address_list.h"

#include "alloc.h"
#include "fuzz.h"

struct found {
	size_t n, size, end;
	struct mailbox box;
};

static int
note(void *arg, const struct address_list_item *item, struct fail *f)
{
	struct found *all = arg;

	(void)f;
	MUST(item->end <= all->size && (all->n == 0 || item->end > all->end));
	MUST(item->box.local[0] != '\0');
	all->end = item->end;
	all->box = item->box;
	all->n++;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = xmemdup(n > 0 ? (const void *)data : "", n > 0 ? n : 1);
	struct found first = { .size = n }, again = { 0 };
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	int rc = address_list_parse(text, n, note, &first, &f);

	MUST(rc == 0 ? f.kind == FAIL_NONE : rc == -1 && f.kind == FAIL_INPUT);
	if (first.n > 0) {
		mailbox_print(&b, &first.box);
		again.size = b.len;
		MUST(address_list_parse(b.p, b.len, note, &again, &f) == 0 && again.n == 1 && again.end == b.len);
		MUST(strcmp(first.box.local, again.box.local) == 0 && strcmp(first.box.domain, again.box.domain) == 0);
	}
	buf_clear(&b);
	free(text);
	return 0;
}
