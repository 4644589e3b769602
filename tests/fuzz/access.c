/*
 * Lines of the host table: what was taken is found again from its printed pattern, fits a client that it names, and
 * its limits are within their ranges.
 * fuzz: access limit name table text fail alloc
 */
#include "access.h"

#include <sys/socket.h>

#include "alloc.h"
#include "fuzz.h"
#include "table.h"

static void
check(struct conf_hosts *h)
{
	struct buf b = BUF_INIT, all = BUF_INIT;
	char accept[] = "accept", *v[2];
	struct fail f = FAIL_INIT;
	struct conf_hosts again;

	access_print(&all, h);
	MUST(memchr(all.p, '\n', all.len) == NULL);
	access_print_pattern(&b, h);
	v[0] = b.p;
	v[1] = accept;
	MUST(access_parse(&again, v, 2, &f) == 0 && access_same(h, &again));
	access_clear(&again);
	if (h->name == NULL)
		MUST(access_find(h, 1, h->net.version == 6 ? AF_INET6 : AF_INET, h->net.addr, NULL) == h);
	else if (h->name[0] != '.')
		MUST(access_find(h, 1, AF_INET, h->net.addr, h->name) == h);
	MUST(h->text == NULL || strlen(h->text) <= ACCESS_TEXT_MAX);
	MUST(!(h->limits.given & 1U << LIMIT_SIZE) || h->limits.value[LIMIT_SIZE] >= 65536);
	MUST(!(h->limits.given & 1U << LIMIT_MESSAGE_RATE) || h->limits.per[LIMIT_MESSAGE_RATE] > 0);
	buf_clear(&b);
	buf_clear(&all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *line = xstrndup((const char *)data, n), *v[64];
	struct fail f = FAIL_INIT;
	struct conf_hosts h;
	int words = table_split(line, v, 64, &f);

	if (words >= 2) {
		if (access_parse(&h, v, (size_t)words, &f) == 0)
			check(&h);
		else
			MUST(f.kind == FAIL_INPUT && f.text[0] != '\0');
		access_clear(&h);
	}
	free(line);
	return 0;
}
