#include "smtp_params.h"

#include <stdio.h>
#include <stdlib.h>
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

static const struct {
	const char *word;
	int utf8;
	const char *want;	/* NULL: refused */
} decoded[] = {
	{ " ORCPT=rfc822;bob+2Bx@a.example", 0, "rfc822;bob+x@a.example" },
	{ " ORCPT=rfc822;bob+AB@a.example", 0, NULL },
	{ " ORCPT=rfc822;bob+ab@a.example", 0, NULL },
	/* RFC 6533 3: no xtext, so that a plus is one. */
	{ " ORCPT=utf-8;bob+AB@a.example", 0, "utf-8;bob+AB@a.example" },
	{ " ORCPT=UTF-8;bob+41@a.example", 1, "UTF-8;bob+41@a.example" },
	{ " ORCPT=utf-8;bob+0A@a.example", 1, "utf-8;bob+0A@a.example" },
	{ " ORCPT=utf-8;b\\x{f6}b@a.example", 0, "utf-8;b\\x{f6}b@a.example" },
};

/* As it was before it was encoded. */
static void
test_decode(void)
{
	struct smtp_params_fault fault;
	struct smtp_rcpt_params p;
	size_t i;

	for (i = 0; i < sizeof decoded / sizeof decoded[0]; i++) {
		char *got = NULL;

		if (smtp_rcpt_params_parse(&p, decoded[i].word, SMTP_CAP_DSN, decoded[i].utf8, &fault) == 0)
			got = smtp_orcpt_decode(p.orcpt);
		unit_str(got, decoded[i].want, "%s", decoded[i].word + 1);
		free(got);
	}
}

int
main(void)
{
	test_orcpt();
	test_decode();
	return unit_done();
}
