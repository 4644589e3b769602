/*
 * Packets as libunbound hands them over.  The first octet says with which verdict (0 insecure, 1 bogus, 2 secure, 3
 * with an rcode beside) and for which type; the rest is the packet.
 * fuzz: dns_answer tlsa cert key name ossl pem secret text log fail alloc file
 */
#include <arpa/inet.h>

#include "dns_answer.h"
#include "tlsa.h"

#include "fuzz.h"

static const enum dns_type types[] = { DNS_A, DNS_CNAME, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA, DNS_DNSKEY, DNS_TLSA };

/* A name that may be asked for and printed: no control octets, no upper case, no final dot but the root's. */
static void
is_name(const char *s)
{
	size_t n = strlen(s);

	MUST(n > 0 && (n == 1 || s[n - 1] != '.' || s[n - 2] == '\\'));
	for (; *s != '\0'; s++)
		MUST(*s > 0x20 && *s < 0x7f && (*s < 'A' || *s > 'Z'));
}

static void
look_at_tlsa(const struct dns_rr *rr)
{
	struct tlsa t = TLSA_INIT, back = TLSA_INIT;
	struct fail f = FAIL_INIT;
	const char *why = NULL;
	char *text;

	if (tlsa_from_wire(&t, rr->data, rr->len, &f) == 0) {
		MUST(t.len == rr->len - 3);
		MUST(tlsa_usable(&t, &why) == (why == NULL));
		text = tlsa_rdata(&t);
		MUST(t.len == 0 || (tlsa_parse(&back, text, &f) == 0 && tlsa_equal(&t, &back)));
		free(text);
	} else
		MUST(rr->len < 3);
	tlsa_clear(&t);
	tlsa_clear(&back);
}

static void
look_at_record(enum dns_type type, const struct dns_rr *rr)
{
	switch (type) {
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_MX:
		MUST(rr->name != NULL && rr->data == NULL);
		is_name(rr->name);
		break;
	case DNS_A:
		MUST(rr->len == sizeof(struct in_addr));
		break;
	case DNS_AAAA:
		MUST(rr->len == sizeof(struct in6_addr));
		break;
	case DNS_TLSA:
		look_at_tlsa(rr);
		break;
	default:
		MUST(rr->name == NULL && (rr->data != NULL || rr->len == 0));
		break;
	}
}

static void
look_at(const struct dns_answer *a)
{
	size_t i;

	is_name(a->canonical);
	MUST(a->aliases <= DNS_ALIASES_MAX && a->n <= DNS_RRS_MAX);
	MUST(a->aliases > 0 || strcmp(a->canonical, a->qname) == 0);
	MUST(a->left_out == 0 || a->n == DNS_RRS_MAX);
	if (a->sec == DNS_BOGUS || a->sec == DNS_FAILED) {
		MUST(a->why != NULL && a->n == 0 && a->got != DNS_DATA);
		return;
	}
	MUST(a->why == NULL && (a->n == 0 || a->got == DNS_DATA));
	for (i = 0; i < a->n; i++)
		look_at_record(a->qtype, &a->rr[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dns_answer *a, *copy;
	unsigned how;

	if (n == 0)
		return 0;
	how = data[0];
	a = dns_answer_new("Mx.Example.", types[how / 4 % (sizeof types / sizeof types[0])]);
	dns_answer_read(a, how % 4 == 3 ? 2 : 0, data + 1, n - 1, how % 4, "a reason\001");
	MUST(how % 4 == 2 || a->sec != DNS_SECURE);
	look_at(a);
	copy = dns_answer_copy(a);
	dns_answer_free(a);
	look_at(copy);
	dns_answer_free(copy);
	return 0;
}
