#include "certstore.h"

#include <string.h>

int
chain_verify(STACK_OF(X509) *chain, const struct verify_pkix *asked, STACK_OF(X509) **verified,
    struct finding *found, struct finding *rest, struct fail *f)
{
	struct verify_pkix own = *asked;

	memset(rest, 0, sizeof *rest);
	if (verify_pkix(chain, asked, verified, found, f) == -1)
		return -1;
	if (found->reason != VERIFY_REASON_UNKNOWN_CA)
		return 0;
	own.own_top = 1;
	return verify_pkix(chain, &own, NULL, rest, f);
}
