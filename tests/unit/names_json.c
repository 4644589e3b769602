#include "names_json.h"

#include <stdlib.h>

#include "unit.h"

static void
check(json_t *a, const char *want, const char *what)
{
	char *got = json_dumps(a, JSON_COMPACT);

	unit_str(got, want, "%s", what);
	free(got);
	json_decref(a);
}

int
main(void)
{
	char *v[] = { "a.example", "b\xff.example" };
	struct cert_names names = { .v = v, .n = 2 };
	struct issue is;

	issue_init(&is);
	check(names_json_issue(&is, ISSUE_DNS), "[]", "no names yet");
	issue_set(&is, ISSUE_CN, "MX.example", NULL);
	issue_add_san(&is, "2001:DB8:0::1", NULL);
	issue_add_san(&is, "192.0.2.1", NULL);
	check(names_json_issue(&is, ISSUE_DNS), "[\"mx.example\"]", "hosts alone");
	check(names_json_issue(&is, ISSUE_IP), "[\"2001:db8::1\",\"192.0.2.1\"]", "addresses alone, in their order");
	issue_clear(&is);
	check(names_json_cert(&names), "[\"a.example\",\"b\\\\xff.example\"]", "what is no UTF-8 is escaped");
	return unit_done();
}
