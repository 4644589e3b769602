/* Facts are plain data: what a new one says, the order of hosts, the limits. */
#include "facts.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* Nothing known must never read as something good. */
static void
test_new(void)
{
	struct facts *f = facts_new("example.org");
	struct facts_host *h = facts_add_host(f, "mx.example.org", 10);

	unit_str(f->domain, "example.org", "the domain");
	unit_int(f->mx, FACTS_MX_FAILED, "the MX has not been found yet");
	unit_int(f->mx_sec, DNS_FAILED, "nor is it secure");
	unit_str(h->name, "mx.example.org", "the host");
	unit_str(h->canonical, "mx.example.org", "a host is no alias until shown to be one");
	unit_int(h->preference, 10, "its preference");
	unit_int(h->addrs, FACTS_ADDRS_FAILED, "its addresses have not been found yet");
	unit_int(h->addrs_sec, DNS_FAILED, "nor are they secure");
	unit_int(h->tlsa_state, FACTS_TLSA_NOT_ASKED, "TLSA records have not been asked for");
	facts_free(f);
	facts_free(NULL);
}

static void
test_sort(void)
{
	static const struct {
		const char *name;
		uint16_t preference;
	} in[] = { { "c", 20 }, { "a", 10 }, { "e", 65535 }, { "d", 20 }, { "b", 10 }, { "zero", 0 } };
	static const char *const want[] = { "zero", "a", "b", "c", "d", "e" };
	struct facts *f = facts_new("example.org");
	size_t i;

	facts_sort(f);
	for (i = 0; i < sizeof in / sizeof in[0]; i++)
		facts_add_host(f, in[i].name, in[i].preference);
	facts_sort(f);
	for (i = 0; i < f->nhost; i++)
		unit_str(f->host[i].name, want[i], "place %zu; equal preferences stay as they came", i);
	facts_free(f);
}

static void
test_limit(void)
{
	struct facts *f = facts_new("example.org");
	size_t i;

	for (i = 0; i < FACTS_HOSTS_MAX; i++)
		if (facts_add_host(f, "mx.example.org", i) == NULL)
			break;
	unit_int(i, FACTS_HOSTS_MAX, "room for all up to the limit");
	unit_ok(facts_add_host(f, "more.example.org", 0) == NULL, "and for no more");
	unit_int(f->nhost, FACTS_HOSTS_MAX, "the limit holds");
	unit_int(f->hosts_left_out, 1, "what is left out is counted");
	facts_free(f);
}

static void
test_address(void)
{
	struct facts_addr v4 = { .family = AF_INET }, v6 = { .family = AF_INET6 };
	char text[INET6_ADDRSTRLEN];

	inet_pton(AF_INET, "192.0.2.25", &v4.ip.v4);
	inet_pton(AF_INET6, "2001:db8::25", &v6.ip.v6);
	unit_str(facts_addr_text(&v4, text), "192.0.2.25", "an IPv4 address");
	unit_str(facts_addr_text(&v6, text), "2001:db8::25", "an IPv6 address");
}

/* RFC 6890, RFC 4291 2.4: what leads to no other host. */
static const struct {
	const char *text, *want;
} special_rows[] = {
	{ "127.0.0.1", "loopback" }, { "127.255.255.254", "loopback" }, { "126.255.255.255", NULL },
	{ "128.0.0.0", NULL }, { "0.0.0.0", "unspecified" }, { "0.1.2.3", "unspecified" }, { "1.0.0.0", NULL },
	{ "169.254.169.254", "link-local" }, { "169.253.0.1", NULL }, { "224.0.0.1", "multicast" },
	{ "239.255.255.255", "multicast" }, { "223.255.255.255", NULL }, { "255.255.255.255", "broadcast" },
	{ "240.0.0.1", NULL }, { "10.0.0.1", NULL }, { "192.168.1.1", NULL }, { "192.0.2.1", NULL },
	{ "::1", "loopback" }, { "::2", NULL }, { "::", "unspecified" }, { "fe80::1", "link-local" },
	{ "febf::1", "link-local" }, { "fec0::1", NULL }, { "ff02::1", "multicast" }, { "2001:db8::1", NULL },
	{ "fd00::1", NULL }, { "::ffff:127.0.0.1", "loopback" }, { "::ffff:0.0.0.0", "unspecified" },
	{ "::ffff:192.0.2.1", NULL },
};

static void
test_special(void)
{
	size_t i;

	for (i = 0; i < sizeof special_rows / sizeof special_rows[0]; i++) {
		const char *text = special_rows[i].text;
		struct facts_addr a = { .family = strchr(text, ':') == NULL ? AF_INET : AF_INET6 };

		unit_int(inet_pton(a.family, text, &a.ip), 1, "%s: an address", text);
		unit_str(facts_addr_special(&a), special_rows[i].want, "%s", text);
	}
}

int
main(void)
{
	test_new();
	test_sort();
	test_limit();
	test_address();
	test_special();
	return unit_done();
}
