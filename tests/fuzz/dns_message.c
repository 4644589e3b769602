/*
 * Answers of DNS servers, as they come without a resolver between: names stepped over, records read by ldns,
 * signatures held against a zone's keys.
 * fuzz: dns_answer dns_msg text fail alloc
 */
#include "dns.h"

#include "dns_msg.h"

#include "fuzz.h"

#define NOW 1700000000

static void
step_over(const uint8_t *p, size_t n)
{
	struct dns_msg_head h;
	struct dns_msg_rr rr;
	struct fail f = FAIL_INIT;
	size_t at = DNS_MSG_HEADER, before;

	if (dns_msg_get_head(p, n, &h, &f) == -1) {
		MUST(f.kind == FAIL_PEER);
		return;
	}
	do {
		before = at;
		if (dns_msg_get_rr(p, n, &at, &rr, &f) == -1)
			return;
		MUST(at > before && at <= n && strlen(rr.owner) > 0 && strlen(rr.owner) < DNS_MSG_NAME_MAX);
		MUST(rr.rdata + rr.len == at);
	} while (at < n);
}

static void
check_answer(const struct dns_answer *a)
{
	MUST(a->sec == DNS_INSECURE || (a->sec == DNS_FAILED && a->why != NULL));
	MUST(a->n <= DNS_RRS_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum dns_type types[] = { DNS_TLSA, DNS_SOA, DNS_NS, DNS_MX, DNS_DNSKEY };
	static uint8_t key[] = { 1, 1, 3, 13, 1, 2, 3, 4 };
	struct dns_rr rr = { .data = key, .len = sizeof key };
	struct dns_answer keys = { .qname = (char *)"example.org", .qtype = DNS_DNSKEY, .rr = &rr, .n = 1 };
	struct fail f = FAIL_INIT;
	size_t i;

	step_over(data, n);
	for (i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct dns_answer *a = dns_message_read("example.org", types[i], data, n);

		check_answer(a);
		dns_answer_free(a);
	}
	if (dns_message_is_signed("example.org", DNS_TLSA, data, n, &keys, NOW, &f) == -1)
		MUST(f.kind == FAIL_PEER && f.text[0] != '\0');
	return 0;
}
