/* Rows by hand from RFC 8461 3.1, 3.2 and 4.1. */
#include "sts.h"

#include <stdlib.h>

#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ID32 "abcdefghijklmnopqrstuvwxyzABCDEF"

static void
test_txt(void)
{
	static const struct {
		const char *in, *id, *error;
	} rows[] = {
		{ "v=STSv1; id=20160831085700Z;", "20160831085700Z", NULL },
		{ "v=STSv1;id=1", "1", NULL },
		{ "v=STSv1; id=1;", "1", NULL },
		{ "v=STSv1; id=1; ", "1", NULL },
		{ "v=STSv1;\t id=1 \t;\t", "1", NULL },
		{ "v=STSv1; id=" ID32 ";", ID32, NULL },
		{ "v=STSv1; id=0;", "0", NULL },
		{ "v=STSv1; x=y; id=1; a.b-c_d=!~:<>", "1", NULL },
		{ "v=STSv1; 9x=y; id=1", "1", NULL },
		{ "v=STSv1; id=1; id=2;", "1", NULL },
		{ "v=STSv1;", NULL, "offset 8: no id=" },
		{ "v=STSv1; ", NULL, "offset 9: no id=" },
		{ "v=STSv1; x=y", NULL, "offset 12: no id=" },
		{ "v=STSv1; ID=1", NULL, "offset 13: no id=" },
		{ "v=STSv1; id=", NULL, "offset 12: expected 1 to 32 letters and digits as id" },
		{ "v=STSv1; id=;", NULL, "offset 12: expected 1 to 32 letters and digits as id" },
		{ "v=STSv1; id=" ID32 "0", NULL, "offset 44: expected 1 to 32 letters and digits as id" },
		{ "v=STSv1; id=1-2", NULL, "offset 13: expected a letter or digit in the id" },
		{ "v=STSv1; id=1 2", NULL, "offset 13: expected a letter or digit in the id" },
		{ "v=STSv1; id=1 ", NULL, "offset 13: expected a letter or digit in the id" },
		{ "v=STSv1; id=\xc3\xa4", NULL, "offset 12: expected a letter or digit in the id" },
		{ "v=STSv1; id = 1", NULL, "offset 11: expected \"=\" behind id" },
		{ "v=STSv1; id", NULL, "offset 11: expected \"=\" behind id" },
		{ "v=STSv1;; id=1", NULL, "offset 8: expected a field: name=value" },
		{ "v=STSv1; id=1;;", NULL, "offset 14: expected a field: name=value" },
		{ "v=STSv1; id=1; _x=1", NULL, "offset 15: expected a field: name=value" },
		{ "v=STSv1; id=1; x=", NULL, "offset 17: expected a value for x" },
		{ "v=STSv1; id=1; x=a b", NULL, "offset 18: not a character that the value of x may have" },
		{ "v=STSv1; id=1; x=a=b", NULL, "offset 18: not a character that the value of x may have" },
		{ "v=STSv1; id=1; x=\x7f", NULL, "offset 17: not a character that the value of x may have" },
		{ "v=STSv1; id=1; abcdefghijklmnopqrstuvwxyz0123456=1", NULL,
		    "offset 47: expected \"=\" behind abcdefghijklmnopqrstuvwxyz012345" },
		{ "v=STSv1 ; id=1", NULL, "offset 0: expected v=STSv1;" },
		{ "V=STSv1; id=1", NULL, "offset 0: expected v=STSv1;" },
		{ "v=STSV1; id=1", NULL, "offset 0: expected v=STSv1;" },
		{ "v=STSv2; id=1", NULL, "offset 0: expected v=STSv1;" },
		{ " v=STSv1; id=1", NULL, "offset 0: expected v=STSv1;" },
		{ "v=STSv1", NULL, "offset 0: expected v=STSv1;" },
		{ "", NULL, "offset 0: expected v=STSv1;" },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct txtrec r = { rows[i].in, strlen(rows[i].in) };
		struct fail f = FAIL_INIT;
		char id[STS_ID_MAX + 1];
		int rc = sts_txt_parse(&r, id, &f);

		unit_str(rc == 0 ? id : NULL, rows[i].id, "TXT %s", rows[i].in);
		if (rows[i].error != NULL)
			unit_str(f.text, rows[i].error, "TXT %s: says why", rows[i].in);
	}
}

static void
test_nul(void)
{
	static const char text[] = "v=STSv1; id=1\0002;";
	struct txtrec r = { text, sizeof text - 1 };
	struct sts_policy p;
	struct fail f = FAIL_INIT;
	char id[STS_ID_MAX + 1];

	unit_int(sts_txt_parse(&r, id, &f), -1, "a NUL ends no id");
	unit_str(f.text, "offset 13: expected a letter or digit in the id", "and is named");
	unit_int(sts_policy_parse(&p, "version: STSv1\nmode: none\0\nmax_age: 1\n", 38, &f), -1,
	    "a NUL ends no word of a policy");
	unit_int(sts_policy_parse(&p, "version: STSv1\nmode: none\nx: a\0b\nmax_age: 1\n", 44, &f), -1,
	    "nor a value that is ignored");
}

static void
test_select(void)
{
	static const struct {
		const char *txt[4];
		int rc;
		const char *said;	/* the id, or why not */
	} rows[] = {
		{ { "v=STSv1; id=1" }, 1, "1" },
		{ { "v=spf1 -all", "v=STSv1; id=1", "" }, 1, "1" },
		{ { "v=STSv1 ; id=2", "v=STSv1; id=1" }, 1, "1" },
		{ { NULL }, 0, NULL },
		{ { "v=spf1 -all" }, 0, NULL },
		{ { "v=STSv10; id=1" }, 0, NULL },
		{ { "v=STSv1; id=1", "v=STSv1; id=1" }, -1, "2 records begin with v=STSv1;" },
		{ { "v=STSv1; id=1", "v=STSv1; nonsense" }, -1, "2 records begin with v=STSv1;" },
		{ { "v=STSv1; nonsense", "x" }, -1, "offset 17: expected \"=\" behind nonsense" },
	};
	size_t i, n;

	for (i = 0; i < COUNT(rows); i++) {
		struct txtrec r[4];
		struct fail f = FAIL_INIT;
		char id[STS_ID_MAX + 1];
		int rc;

		for (n = 0; n < 4 && rows[i].txt[n] != NULL; n++)
			r[n] = (struct txtrec){ rows[i].txt[n], strlen(rows[i].txt[n]) };
		rc = sts_txt_select(r, n, id, &f);
		unit_int(rc, rows[i].rc, "set %zu", i);
		unit_str(rc == 0 ? NULL : rc == 1 ? id : f.text, rows[i].said, "set %zu: what it says", i);
	}
}

#define HEAD "version: STSv1\nmode: enforce\n"
#define TAIL "max_age: 604800\n"
#define NONE "version: STSv1\nmode: none\nmax_age: 86400\n"

/* "mode max_age mx ..." */
static char *
policy_text(const struct sts_policy *p)
{
	struct buf b = BUF_INIT;
	size_t i;

	buf_printf(&b, "%s %u", sts_mode_name(p->mode), p->max_age);
	for (i = 0; i < p->nmx; i++)
		buf_printf(&b, " %s", p->mx[i]);
	return buf_steal(&b);
}

static void
test_policy(void)
{
	static const char label[] = "mx: expected a host name in A-labels, or *. and a domain";
	static const struct {
		const char *in, *out, *error;
	} rows[] = {
		{ HEAD "mx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\n" TAIL,
		    "enforce 604800 mail.example.com *.example.net backupmx.example.com", NULL },
		{ "version: STSv1\r\nmode: testing\r\nmx: a.example\r\nmax_age: 1\r\n", "testing 1 a.example", NULL },
		{ "version: STSv1\r\nmode: testing\nmx: a.example\r\nmax_age: 1", "testing 1 a.example", NULL },
		{ "max_age:1\nmx:a.example\nmode:enforce\nversion:STSv1", "enforce 1 a.example", NULL },
		{ "version:\t STSv1 \t\nmode: enforce  \nmx: a.example \nmax_age: 1 \n", "enforce 1 a.example", NULL },
		{ NONE, "none 86400", NULL },
		{ NONE "mx: a.example\n", "none 86400 a.example", NULL },
		{ HEAD "mx: MAIL.Example.COM\n" TAIL, "enforce 604800 mail.example.com", NULL },
		{ HEAD "mx: xn--bcher-kva.example\n" TAIL, "enforce 604800 xn--bcher-kva.example", NULL },
		{ HEAD "mx: localhost\n" TAIL, "enforce 604800 localhost", NULL },
		{ HEAD "mode: none\nversion: STSv9\nmax_age: 604800\nmax_age: x\nmx: a.example\n",
		    "enforce 604800 a.example", NULL },
		{ HEAD "mx: a.example\nx: y\nsome.new_thing-1: na\xc3\xafve text\nMode: none\n" TAIL,
		    "enforce 604800 a.example", NULL },
		{ HEAD "mx: a.example\nmax_age: 31557600\n\n\n", "enforce 31557600 a.example", NULL },
		{ HEAD "mx: a.example\nmax_age: 0000000001\n", "enforce 1 a.example", NULL },
		{ HEAD "mx: a.example\nmax_age: 0\n", "enforce 0 a.example", NULL },
		{ "", NULL, "line 1: no version" },
		{ "mode: none\nmax_age: 1\n", NULL, "line 3: no version" },
		{ "version: STSv1\nmax_age: 1\n", NULL, "line 3: no mode" },
		{ "version: STSv1\nmode: none\n", NULL, "line 3: no max_age" },
		{ HEAD TAIL, NULL, "line 4: no mx, which mode enforce asks for" },
		{ "version: STSv1\nmode: testing\n" TAIL, NULL, "line 4: no mx, which mode testing asks for" },
		{ "version: STSv2\n", NULL, "line 1: version: expected STSv1" },
		{ "version: stsv1\n", NULL, "line 1: version: expected STSv1" },
		{ "version: STSv1\nmode: Enforce\n", NULL, "line 2: mode: expected enforce, testing or none" },
		{ "version: STSv1\nmode:\n", NULL, "line 2: mode: expected enforce, testing or none" },
		{ "version: STSv1\nmode: enforcement\n", NULL, "line 2: mode: expected enforce, testing or none" },
		{ HEAD "max_age: 31557601\n", NULL, "line 3: max_age: expected 0 to 31557600 seconds" },
		{ HEAD "max_age: 99999999999\n", NULL, "line 3: max_age: expected 0 to 31557600 seconds" },
		{ HEAD "max_age: -1\n", NULL, "line 3: max_age: expected 0 to 31557600 seconds" },
		{ HEAD "max_age: 1d\n", NULL, "line 3: max_age: expected 0 to 31557600 seconds" },
		{ HEAD "max_age:\n", NULL, "line 3: max_age: expected 0 to 31557600 seconds" },
		{ HEAD "mx: a.example.\n" TAIL, NULL, label },
		{ HEAD "mx: b\xc3\xbc" "cher.example\n" TAIL, NULL, label },
		{ HEAD "mx: *example.com\n" TAIL, NULL, label },
		{ HEAD "mx: a.*.example\n" TAIL, NULL, label },
		{ HEAD "mx: *\n" TAIL, NULL, label },
		{ HEAD "mx: *.\n" TAIL, NULL, label },
		{ HEAD "mx: .example.com\n" TAIL, NULL, label },
		{ HEAD "mx: a..example\n" TAIL, NULL, label },
		{ HEAD "mx: a_b.example\n" TAIL, NULL, label },
		{ HEAD "mx: a.example, b.example\n" TAIL, NULL, label },
		{ HEAD "mx:\n" TAIL, NULL, label },
		{ HEAD "no colon\n" TAIL, NULL, "line 3: expected \"name: value\"" },
		{ HEAD ": x\n" TAIL, NULL, "line 3: expected \"name: value\"" },
		{ HEAD " mx: a.example\n" TAIL, NULL, "line 3: expected \"name: value\"" },
		{ HEAD "mx : a.example\n" TAIL, NULL, "line 3: expected \"name: value\"" },
		{ "\xef\xbb\xbfversion: STSv1\n", NULL, "line 1: expected \"name: value\"" },
		{ "version: STSv1\rmode: none\rmax_age: 1\r", NULL, "line 1: version: expected STSv1" },
		{ HEAD "x:\n" TAIL, NULL, "line 3: expected a value in UTF-8" },
		{ HEAD "x: \xff\n" TAIL, NULL, "line 3: expected a value in UTF-8 without control characters" },
		{ HEAD "x: \x1b[m\n" TAIL, NULL, "line 3: expected a value in UTF-8 without control characters" },
		{ "<html>\n", NULL, "line 1: expected \"name: value\"" },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct fail f = FAIL_INIT;
		struct sts_policy p;
		int rc = sts_policy_parse(&p, rows[i].in, strlen(rows[i].in), &f);
		char *text = rc == 0 ? policy_text(&p) : NULL;

		unit_str(text, rows[i].out, "policy %zu", i);
		if (rows[i].error == label)
			unit_ok(strncmp(f.text, "line 3: ", 8) == 0 && strcmp(f.text + 8, label) == 0,
			    "policy %zu says why: %s", i, f.text);
		else if (rows[i].error != NULL)
			unit_str(f.text, rows[i].error, "policy %zu says why", i);
		free(text);
		sts_policy_clear(&p);
	}
}

static void
test_size(void)
{
	char *big = malloc(STS_POLICY_MAX + 1);
	struct fail f = FAIL_INIT;
	struct sts_policy p, q;
	size_t n = strlen(NONE);

	if (big == NULL)
		abort();
	memset(big, '\n', STS_POLICY_MAX + 1);
	memcpy(big, NONE, n); /* NOLINT(bugprone-not-null-terminated-result): counted */
	unit_int(sts_policy_parse(&p, big, STS_POLICY_MAX, &f), 0, "a policy of the greatest size");
	sts_policy_clear(&p);
	unit_int(sts_policy_parse(&p, big, STS_POLICY_MAX + 1, &f), -1, "one octet more");
	unit_str(f.text, "a policy of more than 65536 octets", "says so");
	free(big);
	unit_int(sts_policy_parse(&p, HEAD "mx: a.example\n" TAIL, strlen(HEAD "mx: a.example\n" TAIL), &f), 0,
	    "a policy");
	sts_policy_copy(&q, &p);
	sts_policy_clear(&p);
	unit_str(q.mx[0], "a.example", "its copy stands by itself");
	sts_policy_clear(&q);
}

static void
test_match(void)
{
	static const struct {
		const char *pattern, *host;
		int matches;
	} rows[] = {
		{ "mail.example.com", "mail.example.com", 1 },
		{ "mail.example.com", "MAIL.Example.com", 1 },
		{ "mail.example.com", "mail.example.com.evil", 0 },
		{ "mail.example.com", "xmail.example.com", 0 },
		{ "*.example.com", "mail.example.com", 1 },
		{ "*.example.com", "MAIL.EXAMPLE.COM", 1 },
		{ "*.example.com", "a.mail.example.com", 0 },
		{ "*.example.com", "example.com", 0 },
		{ "*.example.com", ".example.com", 0 },
		{ "*.example.com", "mail.example.org", 0 },
		{ "*.example.com", "", 0 },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct sts_policy p = { .mode = STS_ENFORCE };

		unit_int(sts_policy_add_mx(&p, rows[i].pattern, strlen(rows[i].pattern), NULL), 0, "pattern %zu", i);
		unit_int(sts_mx_matches(&p, rows[i].host), rows[i].matches, "%s, %s", rows[i].pattern,
		    rows[i].host);
		sts_policy_clear(&p);
	}
}

int
main(void)
{
	test_txt();
	test_nul();
	test_select();
	test_policy();
	test_size();
	test_match();
	return unit_done();
}
