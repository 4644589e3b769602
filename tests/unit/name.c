#include "name.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define L63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"
#define N252 L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwx"

static void
test_ascii(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "mx.example", "mx.example" },
		{ "MX.Example.", "mx.example" },
		{ "localhost", "localhost" },
		{ "m\xc3\xbcnchen.example", "xn--mnchen-3ya.example" },
		{ "M\xc3\x9cNCHEN.example", "xn--mnchen-3ya.example" },
		{ "xn--mnchen-3ya.example", "xn--mnchen-3ya.example" },
		/* Non-transitional: the sharp s stays what it is. */
		{ "stra\xc3\x9f" "e.example", "xn--strae-oqa.example" },
		{ "\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "xn--r8jz45g.xn--zckzah" },
		{ "*.example.com", "*.example.com" },
		{ "*.m\xc3\xbcnchen.example", "*.xn--mnchen-3ya.example" },
		{ "_dmarc.example", "_dmarc.example" },
		{ L63 ".example", L63 ".example" },
		{ N252, N252 },
		{ L63 "a.example", NULL },
		{ N252 ".ab", NULL },
		{ "", NULL },
		{ ".", NULL },
		{ "*", NULL },
		{ "*.example", NULL },
		{ "mx.*.example", NULL },
		{ "m*.example.com", NULL },
		{ "*.*.example.com", NULL },
		{ "a..example", NULL },
		{ "a.example..", NULL },
		{ "*.a.example..", NULL },
		{ ".example", NULL },
		{ "-a.example", NULL },
		{ "a..example", NULL },
		{ "a.example..", NULL },
		{ "*.a.example..", NULL },
		{ "a b.example", NULL },
		{ "a\nb.example", NULL },
		{ "192.0.2.1", NULL },
		{ "2001:db8::1", NULL },
		{ "\xff\xfe.example", NULL },
		{ "xn--\xc3\xbc.example", NULL },
		{ "xn--a.example", NULL },
		{ "\xe2\x80\x8b.example", NULL },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		char *got = name_to_ascii(rows[i].in, &f);

		unit_str(got, rows[i].out, "row %zu to A-labels", i);
		unit_int(f.kind, rows[i].out != NULL ? FAIL_NONE : FAIL_INPUT, "and its kind of failure");
		free(got);
	}
}

static void
test_grammar(void)
{
	static const struct {
		const char *name;
		int host, under, fqdn, wild;
	} rows[] = {
		{ "mx.example", 1, 1, 1, 0 },
		{ "mx.example.", 1, 1, 1, 0 },
		{ "mx", 1, 1, 0, 0 },
		{ "mx.", 1, 1, 0, 0 },
		{ "_25._tcp.mx.example", 0, 1, 0, 0 },
		{ "*.example.com", 0, 0, 0, 1 },
		{ "*.example.com.", 0, 0, 0, 1 },
		{ "*.example", 0, 0, 0, 0 },
		{ "*example.com", 0, 0, 0, 0 },
		{ "a.*.example.com", 0, 0, 0, 0 },
		{ "10.example", 1, 1, 1, 0 },
		{ "mx.10", 0, 0, 0, 0 },
		{ "10.0.0.1", 0, 0, 0, 0 },
		{ "a..b", 0, 0, 0, 0 },
		{ "mx.example..", 0, 0, 0, 0 },
		{ "", 0, 0, 0, 0 },
		{ ".", 0, 0, 0, 0 },
		{ "m\xc3\xbcnchen.example", 0, 0, 0, 0 },
		{ "xn--mnchen-3ya.example", 1, 1, 1, 0 },
		{ N252 "a", 1, 1, 1, 0 },
		{ N252 "ab", 0, 0, 0, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unit_int(name_is_host(rows[i].name, 0), rows[i].host, "\"%.40s\" a host?", rows[i].name);
		unit_int(name_is_host(rows[i].name, NAME_UNDERSCORE), rows[i].under, "with underscores?");
		unit_int(name_is_fqdn(rows[i].name, 0), rows[i].fqdn, "fully qualified?");
		unit_int(name_is_wildcard(rows[i].name), rows[i].wild, "a wildcard?");
		unit_int(name_is_fqdn(rows[i].name, NAME_WILDCARD), rows[i].fqdn || rows[i].wild,
		    "qualified or a wildcard?");
	}
}

static void
test_matches(void)
{
	static const struct {
		const char *reference, *presented;
		int yes;
	} rows[] = {
		{ "mx.example.com", "mx.example.com", 1 },
		{ "mx.example.com", "MX.EXAMPLE.COM", 1 },
		{ "mx.example.com.", "mx.example.com", 1 },
		/* RFC 5280 4.2.1.6: the preferred name syntax, without a trailing dot. */
		{ "mx.example.com", "mx.example.com.", 0 },
		{ "mx.example.com.", "mx.example.com.", 0 },
		{ "mx.example.com", "*.example.com.", 0 },
		{ "mx.example.com", "example.com", 0 },
		{ "example.com", "mx.example.com", 0 },
		{ "mx.example.com", "*.example.com", 1 },
		{ "mx.example.com", "*.EXAMPLE.com", 1 },
		{ "xn--mnchen-3ya.example.com", "*.example.com", 1 },
		{ "_mx.example.com", "*.example.com", 1 },
		{ "example.com", "*.example.com", 0 },
		{ "a.mx.example.com", "*.example.com", 0 },
		{ ".example.com", "*.example.com", 0 },
		{ "mx.example.com", "m*.example.com", 0 },
		{ "mx.example.com", "*x.example.com", 0 },
		{ "mx.example.com", "mx.*.com", 0 },
		{ "mx.example.com", "*.*.com", 0 },
		{ "mx.example", "*.example", 0 },
		{ "mx.example.com", "*", 0 },
		{ "*.example.com", "*.example.com", 0 },
		{ "192.0.2.1", "192.0.2.1", 0 },
		{ "192.0.2.1", "*.0.2.1", 0 },
		{ "2001:db8::1", "2001:db8::1", 0 },
		{ "", "", 0 },
		{ "mx.example.com", "", 0 },
		{ "mx.example.com", "mx.example.com ", 0 },
		{ "mx.example.com", "mx.example.com.evil.example", 0 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		unit_int(name_matches(rows[i].reference, rows[i].presented), rows[i].yes,
		    "\"%s\" covered by \"%s\"", rows[i].reference, rows[i].presented);
}

static void
test_identity(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "mx.example", "mx.example" },
		{ "*.example.com", "_wildcard.example.com" },
		{ "_demo", "_demo" },
		{ "with space", "with space" },
		{ "m\xc3\xbcnchen", "m\xc3\xbcnchen" },
		{ "", NULL },
		{ ".", NULL },
		{ "..", NULL },
		{ ".hidden", NULL },
		{ "-x", NULL },
		{ "a/b", NULL },
		{ "/etc", NULL },
		{ "a..b", NULL },
		{ "a\nb", NULL },
		{ "a\x7f", NULL },
		{ "a\xc2\x85" "b", NULL },
		{ "\xff", NULL },
		{ "\xed\xa0\x80", NULL },
	};
	char name[NAME_IDENTITY_MAX + 2];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *got = name_to_identity(rows[i].in, NULL);

		unit_str(got, rows[i].out, "row %zu as identity", i);
		free(got);
	}
	unit_int(name_check_identity("a*b", NULL), -1, "a raw * is refused");
	unit_int(name_check_identity("a\xc2\x9b" "b", NULL), -1, "so is a control character of the second set");
	unit_int(name_check_identity("a\xe2\x80\xae" "b", NULL), -1, "so is U+202E");
	unit_int(name_check_identity("a\xe2\x81\xa6" "b", NULL), -1, "so is U+2066");
	unit_int(name_check_identity("a\xe2\x80\x93\xe2\x81\xa5\xe2\x81\xaa" "b", NULL), 0, "their neighbours are not");
	memset(name, 'a', sizeof name);
	name[NAME_IDENTITY_MAX] = '\0';
	unit_int(name_check_identity(name, NULL), 0, "the longest name");
	name[NAME_IDENTITY_MAX] = 'a';
	name[NAME_IDENTITY_MAX + 1] = '\0';
	unit_int(name_check_identity(name, NULL), -1, "one longer");
}

static void
test_own_host(void)
{
	char *name = name_own_host("[127.0.0.1]");

	unit_ok(name_is_host(name, 0) || strcmp(name, "[127.0.0.1]") == 0, "this machine's name, or a stand-in: %s", name);
	free(name);
}

int
main(void)
{
	test_ascii();
	test_grammar();
	test_matches();
	test_identity();
	test_own_host();
	return unit_done();
}
