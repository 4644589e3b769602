/*
 * Records of a role that was taken over: whatever it sends is refused, or its words and its plan are
 * sound; a plan packed again is unpacked to the same.
 */
#include "../../cmd/smtp-relay/order.h"
#include "../../cmd/smtp-relay/pack.h"
#include "../../cmd/smtp-relay/tried.h"

#include <unistd.h>

#include "fuzz.h"

static void
check_plan(const char *p, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct unpacked *u = unpack_plan(p, n, NULL), *again;

	if (u == NULL)
		return;
	MUST(u->plan.nhost == u->facts->nhost && u->plan.nhost <= FACTS_HOSTS_MAX);
	pack_plan(&once, &u->plan, &u->controls);
	/* Odd octets grow to %XX: a line may pass the grammar's limit then. */
	if ((again = unpack_plan(once.p, once.len, NULL)) != NULL) {
		pack_plan(&twice, &again->plan, &again->controls);
		MUST(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
	} else
		MUST(n > 20000);
	unpacked_free(again);
	unpacked_free(u);
	buf_clear(&once);
	buf_clear(&twice);
}

static void
check_tried(const struct order *o)
{
	struct buf once = BUF_INIT;
	struct tried t;

	if (tried_unpack(&t, o, FACTS_HOSTS_MAX, NULL) == -1)
		return;
	MUST(t.host < FACTS_HOSTS_MAX && t.trouble < CONTACT_TROUBLES && strlen(t.why) <= TRIED_WHY_MAX);
	tried_pack(&once, o->v[1], &t);
	MUST(once.len > 0);
	buf_clear(&once);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct order o;
	struct fail f = FAIL_INIT;
	int pair[2], i, got;

	check_plan((const char *)data, n);
	if (n == 0 || n >= ORDER_MAX || order_pair(pair, &f) == -1)
		return 0;
	MUST(order_send(pair[0], (const char *)data, n, -1, &f) == 1);
	for (got = order_recv(pair[1], &o, &f); got == 1; got = order_next(&o, &f)) {
		MUST(o.n > 0 && o.n <= ORDER_WORDS_MAX && o.fd == -1);
		for (i = 0; i < o.n; i++)
			MUST(strlen(o.v[i]) < ORDER_MAX);
		MUST(o.more >= o.text && o.more + o.more_len < o.text + ORDER_MAX);
		check_plan(o.more, o.more_len);
		check_tried(&o);
	}
	close(pair[0]);
	close(pair[1]);
	return 0;
}
