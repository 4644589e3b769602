#include "smtp_params.h"

#include <stdio.h>
#include <string.h>

#include "smtp.h"
#include "unit.h"

static const struct {
	const char *address, *want;
} orcpts[] = {
	{ "u@old.example", "rfc822;u@old.example" },
	{ "u+tag=x@old.example", "rfc822;u+2Btag+3Dx@old.example" },
	{ "\"a b\\\"\"@old.example", "rfc822;\"a+20b\\\"\"@old.example" },
	{ "u@[192.0.2.1]", "rfc822;u@[192.0.2.1]" },
	{ "g\xc3\xbcnter+x@old.example", "utf-8;g\\x{FC}nter\\x{2B}x@old.example" },
	{ "\"\xe2\x82\xac \\\\\"@old.example", "utf-8;\"\\x{20AC}\\x{20}\\x{5C}\\x{5C}\"@old.example" },
	{ "\xf0\x9f\x93\xa7@old.example", "utf-8;\\x{1F4E7}@old.example" },
	{ "\xc3@old.example", "" },
};

/* What is made is what is taken. */
static void
test_orcpt(void)
{
	char dst[SMTP_ORCPT_MAX + 1], text[SMTP_ORCPT_MAX + 16], address[400];
	struct smtp_rcpt_params p;
	struct smtp_params_fault fault;
	size_t i;

	for (i = 0; i < sizeof orcpts / sizeof orcpts[0]; i++) {
		unit_str(smtp_orcpt(dst, orcpts[i].address), orcpts[i].want, "ORCPT %zu", i);
		snprintf(text, sizeof text, " ORCPT=%s", dst);
		if (dst[0] != '\0')
			unit_int(smtp_rcpt_params_parse(&p, text, SMTP_CAP_DSN, 0, &fault), 0, "taken %zu", i);
	}
	memset(address, '+', sizeof address - 1);
	address[164] = '\0';
	unit_int(strlen(smtp_orcpt(dst, address)), 7 + 3 * 164, "as long as it may be");
	strcpy(address + 164, "+");
	unit_str(smtp_orcpt(dst, address), "", "too long");
}

int
main(void)
{
	test_orcpt();
	return unit_done();
}
