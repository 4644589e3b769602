/* Networks in rows: what is read, and which addresses are in it. */
#include "cidr.h"

#include "text.h"
#include "unit.h"

static const struct {
	const char *net, *text, *in, *out;	/* text: as printed, or the error; in, out: addresses */
} rows[] = {
	{ "192.0.2.1", "192.0.2.1/32", "192.0.2.1", "192.0.2.2" },
	{ "10.0.0.0/8", "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
	{ "10.128.0.0/9", "10.128.0.0/9", "10.200.0.1", "10.127.255.255" },
	{ "0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::" },
	{ "2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
	{ "::/0", "::/0", "ffff::", "0.0.0.0" },
	{ "::1", "::1/128", "::1", "::2" },
	{ "10.0.0.1/8", "10.0.0.1/8 has bits behind its prefix", NULL, NULL },
	{ "2001:db8::1/127", "2001:db8::1/127 has bits behind its prefix", NULL, NULL },
	{ "10.0.0.0/33", "length of a prefix: 33 is not within 0..32", NULL, NULL },
	{ "10.0.0.0/", "length of a prefix: expected a number, not \"\"", NULL, NULL },
	{ "10.0.0.0/-1", "length of a prefix: -1 is not within 0..32", NULL, NULL },
	{ "10.0.0", "expected an address or a network, not \"10.0.0\"", NULL, NULL },
	{ "[::1]", "expected an address or a network, not \"[::1]\"", NULL, NULL },
	{ "localhost", "expected an address or a network, not \"localhost\"", NULL, NULL },
	{ "", "expected an address or a network, not \"\"", NULL, NULL },
};

static int
has(const struct cidr *c, const char *address)
{
	uint8_t ip[16];
	int version = text_address(address, ip);

	return cidr_has(c, version, ip);
}

int
main(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;
		char text[CIDR_TEXT_MAX];
		struct cidr c;

		if (cidr_parse(rows[i].net, "an address or a network", &c, &f) == -1) {
			unit_str(f.text, rows[i].text, "%s, the error", rows[i].net);
			continue;
		}
		unit_str(cidr_text(text, sizeof text, &c), rows[i].text, "%s", rows[i].net);
		unit_ok(rows[i].in != NULL && has(&c, rows[i].in), "%s has %s", rows[i].net, rows[i].in);
		unit_ok(rows[i].out != NULL && !has(&c, rows[i].out), "%s has not %s", rows[i].net, rows[i].out);
	}
	return unit_done();
}
