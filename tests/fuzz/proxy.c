/*
 * A balancer's header of any octets: what is taken lies within what came, and more of it changes nothing.
 */
#include "proxy.h"

#include <string.h>

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct proxy p, again;
	struct fail f = FAIL_INIT;
	enum proxy_got got;
	size_t used, used_again;

	got = proxy_parse((const char *)data, n, &p, &used, &f);
	if (got == PROXY_MORE)
		MUST(n < PROXY_V2_MAX);
	if (got != PROXY_DONE)
		return 0;
	MUST(used > 0 && used <= n);
	MUST(proxy_parse((const char *)data, used, &again, &used_again, &f) == PROXY_DONE);
	MUST(used_again == used && p.version == again.version && p.port == again.port &&
	    memcmp(p.ip, again.ip, sizeof p.ip) == 0);
	return 0;
}
