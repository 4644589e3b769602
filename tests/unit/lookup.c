/*
 * Lookups against a DNS that is a table: which questions are asked, in which order, and what becomes
 * of the answers.  The functions of dns.h stand here, so that the resolver is not linked.  Each row
 * runs twice: answers in the order of the questions, and the last question answered first.
 */
#include "lookup.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"
#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RECORDS_MAX 100
#define ANSWERS_MAX 12

/* ---- the table's side of dns.h ---- */

struct answer {
	const char *question;	/* "MX example.org" */
	enum dns_sec sec;
	const char *data;	/* "10 a,20 b"; addresses; RDATA in hexadecimal; NODATA, NXDOMAIN */
	const char *canonical;	/* behind one alias; NULL: no alias */
};

struct dns_query {
	struct dns *dns;
	struct dns_query *next;
	char *name;
	enum dns_type type;
	dns_fn *fn;
	void *arg;
};

struct dns {
	const struct answer *answers;
	struct dns_query *pending;	/* the newest first */
	struct buf asked;
};

const char *
dns_sec_name(enum dns_sec sec)
{
	static const char *const names[] = { "secure", "insecure", "bogus", "failed" };

	return names[sec];
}

const char *
dns_type_name(enum dns_type type)
{
	return type == DNS_MX ? "MX" : type == DNS_A ? "A" : type == DNS_AAAA ? "AAAA" :
	    type == DNS_CNAME ? "CNAME" : "TLSA";
}

struct dns_query *
dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_fn *fn, void *arg)
{
	struct dns_query *q = xcalloc(1, sizeof *q);

	q->dns = dns;
	q->name = xstrdup(name);
	q->type = type;
	q->fn = fn;
	q->arg = arg;
	q->next = dns->pending;
	dns->pending = q;
	buf_printf(&dns->asked, "%s%s %s", dns->asked.len > 0 ? ", " : "", dns_type_name(type), name);
	return q;
}

struct dns_query *
dns_ask_plain(struct dns *dns, const char *name, enum dns_type type, dns_fn *fn, void *arg)
{
	return dns_ask(dns, name, type, fn, arg);
}

/* Takes a question, found by the link that leads to it, off the list. */
static void
query_free(struct dns_query **at)
{
	struct dns_query *q = *at;

	*at = q->next;
	free(q->name);
	free(q);
}

void
dns_cancel(struct dns_query *q)
{
	struct dns_query **at;

	if (q == NULL)
		return;
	for (at = &q->dns->pending; *at != q; at = &(*at)->next)
		if (*at == NULL)
			abort();
	query_free(at);
}

/* Copies borrow what the table's answers own until the end of the row. */
static struct dns_answer *kept[256];
static size_t nkept;

struct dns_answer *
dns_answer_copy(const struct dns_answer *a)
{
	return xmemdup(a, sizeof *a);
}

void
dns_answer_free(struct dns_answer *a)
{
	free(a);
}

static void
read_rr(struct dns_rr *rr, enum dns_type type, const char *text)
{
	struct fail f = FAIL_INIT;
	const char *blank = strchr(text, ' ');

	switch (type) {
	case DNS_MX:
		rr->preference = strtoul(text, NULL, 10);
		rr->name = xstrdup(blank != NULL ? blank + 1 : "");
		break;
	case DNS_A:
	case DNS_AAAA:
		rr->len = type == DNS_A ? 4 : 16;
		rr->data = xcalloc(1, rr->len);
		inet_pton(type == DNS_A ? AF_INET : AF_INET6, text, rr->data);
		break;
	case DNS_CNAME:
		rr->name = xstrdup(text);
		break;
	default:
		if (text_unhex(text, &rr->data, &rr->len, &f) == -1)
			abort();
		break;
	}
}

static void
read_data(struct dns_answer *a, const char *data)
{
	char *copy = xstrdup(data), *rest = copy, *word;

	a->rr = xcalloc(RECORDS_MAX, sizeof *a->rr);
	if (strcmp(data, "NODATA") == 0)
		a->got = DNS_NODATA;
	else if (strcmp(data, "NXDOMAIN") == 0)
		a->got = DNS_NXDOMAIN;
	else {
		a->got = DNS_DATA;
		while (a->n < RECORDS_MAX && (word = strsep(&rest, ",")) != NULL)
			read_rr(&a->rr[a->n++], a->qtype, word);
	}
	free(copy);
}

/* What the answers about MX, A, AAAA and others say. */
static uint32_t ttl_of[4] = { 3600, 3600, 3600, 3600 };

static struct dns_answer *
answer_new(const struct dns_query *q, const struct answer *from)
{
	struct dns_answer *a = xcalloc(1, sizeof *a);

	a->qname = xstrdup(q->name);
	a->qtype = q->type;
	a->sec = from->sec;
	a->canonical = xstrdup(from->canonical != NULL ? from->canonical : q->name);
	a->aliases = from->canonical != NULL;
	a->ttl = ttl_of[q->type == DNS_MX ? 0 : q->type == DNS_A ? 1 : q->type == DNS_AAAA ? 2 : 3];
	if (from->sec == DNS_BOGUS || from->sec == DNS_FAILED)
		a->why = xstrdup(from->data);
	else
		read_data(a, from->data);
	if (nkept == COUNT(kept))
		abort();
	kept[nkept++] = a;
	return a;
}

static void
kept_free(void)
{
	size_t i;

	while (nkept > 0) {
		struct dns_answer *a = kept[--nkept];

		for (i = 0; i < a->n; i++) {
			free(a->rr[i].name);
			free(a->rr[i].data);
		}
		free(a->rr);
		free(a->qname);
		free(a->canonical);
		free(a->why);
		free(a);
	}
}

static const struct answer *
find_answer(const struct dns *dns, const struct dns_query *q)
{
	static const struct answer none = { "", DNS_FAILED, "not in the table", NULL };
	char question[512];
	size_t i;

	snprintf(question, sizeof question, "%s %s", dns_type_name(q->type), q->name);
	for (i = 0; i < ANSWERS_MAX && dns->answers[i].question != NULL; i++)
		if (strcmp(dns->answers[i].question, question) == 0)
			return &dns->answers[i];
	return &none;
}

/* Answers one question: the newest, or the oldest. */
static void
answer_one(struct dns *dns, int newest)
{
	struct dns_query **at = &dns->pending;
	const struct dns_answer *a;
	dns_fn *fn;
	void *arg;

	while (!newest && (*at)->next != NULL)
		at = &(*at)->next;
	a = answer_new(*at, find_answer(dns, *at));
	fn = (*at)->fn;
	arg = (*at)->arg;
	query_free(at);
	fn(arg, a);
}

/* ---- rows ---- */

struct row {
	const char *name;
	const char *destination;
	uint16_t port;			/* 0: TLSA records are not wanted */
	struct answer answers[ANSWERS_MAX];
	const char *asked;
	const char *facts;
};

#define TLSA_DATA "03010100"
#define MX(data, sec) { "MX d.test", sec, data, NULL }
#define MX1 MX("10 mx.test", DNS_SECURE)
#define A(name, sec, canonical) { "A " name, sec, "192.0.2.1", canonical }
#define AAAA(name, sec, canonical) { "AAAA " name, sec, "NODATA", canonical }
#define TLSA(name, sec, data) { "TLSA _25._tcp." name ".", sec, data, NULL }
#define ASKED "MX d.test, A mx.test, AAAA mx.test"
#define FACTS "found secure; 10 mx.test "

static const struct row rows[] = {
	{ "all secure", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    { "AAAA mx.test", DNS_SECURE, "2001:db8::1,2001:db8::2", NULL },
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA "," TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.mx.test.", FACTS "3 secure tlsa found mx.test 2" },
	{ "port 26", "d.test", 26, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL),
	    { "TLSA _26._tcp.mx.test.", DNS_SECURE, TLSA_DATA, NULL } },
	    ASKED ", TLSA _26._tcp.mx.test.", FACTS "1 secure tlsa found mx.test 1" },
	{ "TLSA not wanted", "d.test", 0, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL) },
	    ASKED, FACTS "1 secure tlsa not-asked" },
	{ "MX unsigned", "d.test", 25, { MX("10 mx.test", DNS_INSECURE),
	    A("mx.test", DNS_SECURE, NULL), AAAA("mx.test", DNS_SECURE, NULL),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.mx.test.",
	    "found insecure; 10 mx.test 1 secure tlsa found mx.test 1" },
	/* RFC 7672 2.2.2: unsigned addresses, so TLSA is not asked for. */
	{ "addresses unsigned", "d.test", 25, { MX1, A("mx.test", DNS_INSECURE, NULL),
	    AAAA("mx.test", DNS_INSECURE, NULL) },
	    ASKED, FACTS "1 insecure tlsa unsigned" },
	/* RFC 7672 2.1.2 and 2.2. */
	{ "TLSA absent", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_SECURE, "NXDOMAIN") },
	    ASKED ", TLSA _25._tcp.mx.test.", FACTS "1 secure tlsa absent mx.test" },
	{ "TLSA insecure", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_INSECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.mx.test.", FACTS "1 secure tlsa insecure mx.test" },
	{ "TLSA bogus", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_BOGUS, "expired") },
	    ASKED ", TLSA _25._tcp.mx.test.",
	    FACTS "1 secure tlsa failed mx.test (TLSA bogus: expired)" },
	{ "TLSA not answered", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_FAILED, "timeout") },
	    ASKED ", TLSA _25._tcp.mx.test.",
	    FACTS "1 secure tlsa failed mx.test (TLSA failed: timeout)" },
	{ "TLSA too short", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_SECURE, "0301," TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.mx.test.", FACTS "1 secure tlsa found mx.test 1 damaged 1" },
	/* Aliases: RFC 7672 2.2.2 and 2.2.3. */
	{ "alias, records at its end", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, "end.test"),
	    AAAA("mx.test", DNS_SECURE, "end.test"), TLSA("end.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.end.test.", FACTS "-> end.test 1 secure tlsa found end.test 1" },
	{ "alias, absent at its end", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, "end.test"),
	    AAAA("mx.test", DNS_SECURE, "end.test"), TLSA("end.test", DNS_SECURE, "NODATA"),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.end.test., TLSA _25._tcp.mx.test.",
	    FACTS "-> end.test 1 secure tlsa found mx.test 1" },
	{ "alias to a name that is no host's, absent there", "d.test", 25, { MX1,
	    A("mx.test", DNS_SECURE, "mx-.end.test"), AAAA("mx.test", DNS_SECURE, "mx-.end.test"),
	    TLSA("mx-.end.test", DNS_SECURE, "NODATA"), TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.mx-.end.test., TLSA _25._tcp.mx.test.",
	    FACTS "-> mx-.end.test 1 secure tlsa found mx.test 1" },
	{ "alias to a name that is no host's, records there", "d.test", 25, { MX1,
	    A("mx.test", DNS_SECURE, "mx-.end.test"), AAAA("mx.test", DNS_SECURE, "mx-.end.test"),
	    TLSA("mx-.end.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.mx-.end.test.",
	    FACTS "-> mx-.end.test 1 secure tlsa found mx-.end.test 1" },
	{ "alias, insecure at its end", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, "end.test"),
	    AAAA("mx.test", DNS_SECURE, "end.test"), TLSA("end.test", DNS_INSECURE, TLSA_DATA),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.end.test., TLSA _25._tcp.mx.test.",
	    FACTS "-> end.test 1 secure tlsa found mx.test 1" },
	{ "alias, absent at both", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, "end.test"),
	    AAAA("mx.test", DNS_SECURE, "end.test"), TLSA("end.test", DNS_SECURE, "NODATA"),
	    TLSA("mx.test", DNS_SECURE, "NXDOMAIN") },
	    ASKED ", TLSA _25._tcp.end.test., TLSA _25._tcp.mx.test.",
	    FACTS "-> end.test 1 secure tlsa absent mx.test" },
	{ "alias, failed at its end", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, "end.test"),
	    AAAA("mx.test", DNS_SECURE, "end.test"), TLSA("end.test", DNS_FAILED, "timeout"),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.end.test.",
	    FACTS "-> end.test 1 secure tlsa failed end.test (TLSA failed: timeout)" },
	{ "alias, failed at its start", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, "end.test"),
	    AAAA("mx.test", DNS_SECURE, "end.test"), TLSA("end.test", DNS_SECURE, "NODATA"),
	    TLSA("mx.test", DNS_BOGUS, "expired") },
	    ASKED ", TLSA _25._tcp.end.test., TLSA _25._tcp.mx.test.",
	    FACTS "-> end.test 1 secure tlsa failed mx.test (TLSA bogus: expired)" },
	{ "signed alias into an unsigned zone", "d.test", 25, { MX1,
	    A("mx.test", DNS_INSECURE, "end.test"), AAAA("mx.test", DNS_INSECURE, "end.test"),
	    { "CNAME mx.test", DNS_SECURE, "end.test", NULL }, TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", CNAME mx.test, TLSA _25._tcp.mx.test.",
	    FACTS "-> end.test 1 insecure tlsa found mx.test 1" },
	{ "unsigned alias", "d.test", 25, { MX1,
	    A("mx.test", DNS_INSECURE, "end.test"), AAAA("mx.test", DNS_INSECURE, "end.test"),
	    { "CNAME mx.test", DNS_INSECURE, "end.test", NULL } },
	    ASKED ", CNAME mx.test", FACTS "-> end.test 1 insecure tlsa unsigned" },
	{ "alias that fails alone", "d.test", 25, { MX1,
	    A("mx.test", DNS_INSECURE, "end.test"), AAAA("mx.test", DNS_INSECURE, "end.test"),
	    { "CNAME mx.test", DNS_BOGUS, "expired", NULL } },
	    ASKED ", CNAME mx.test",
	    FACTS "-> end.test 1 insecure tlsa failed (CNAME bogus: expired)" },
	/* Addresses. */
	{ "AAAA broken, A secure", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    { "AAAA mx.test", DNS_BOGUS, "expired", NULL }, TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.mx.test.",
	    FACTS "1 secure (AAAA bogus: expired) tlsa found mx.test 1" },
	{ "A broken, AAAA secure", "d.test", 25, { MX1, { "A mx.test", DNS_FAILED, "timeout", NULL },
	    { "AAAA mx.test", DNS_SECURE, "2001:db8::1", "end.test" },
	    TLSA("end.test", DNS_SECURE, TLSA_DATA) },
	    ASKED ", TLSA _25._tcp.end.test.",
	    FACTS "-> end.test 1 secure (A failed: timeout) tlsa found end.test 1" },
	{ "A broken, no AAAA", "d.test", 25, { MX1, { "A mx.test", DNS_FAILED, "timeout", NULL },
	    AAAA("mx.test", DNS_SECURE, NULL) },
	    ASKED, FACTS "failed (A failed: timeout) tlsa not-asked" },
	{ "no address", "d.test", 25, { MX1, { "A mx.test", DNS_SECURE, "NODATA", NULL },
	    AAAA("mx.test", DNS_SECURE, NULL) },
	    ASKED, FACTS "none (the host has no address) tlsa not-asked" },
	{ "no such host", "d.test", 25, { MX1, { "A mx.test", DNS_SECURE, "NXDOMAIN", NULL },
	    { "AAAA mx.test", DNS_SECURE, "NXDOMAIN", NULL } },
	    ASKED, FACTS "none (the host name does not exist) tlsa not-asked" },
	/* MX: RFC 5321 5.1, RFC 7505. */
	{ "null MX", "d.test", 25, { MX("0 .", DNS_SECURE) }, "MX d.test", "null secure" },
	{ "null MX unsigned", "d.test", 25, { MX("0 .", DNS_INSECURE) }, "MX d.test", "null insecure" },
	{ "null MX beside another", "d.test", 25, { MX("0 .,10 mx.test", DNS_SECURE),
	    A("mx.test", DNS_SECURE, NULL), AAAA("mx.test", DNS_SECURE, NULL),
	    TLSA("mx.test", DNS_SECURE, "NODATA") }, ASKED ", TLSA _25._tcp.mx.test.",
	    "found secure; 0 . none (a null MX beside other MX records (RFC 7505 3)) tlsa not-asked; "
	    "10 mx.test 1 secure tlsa absent mx.test" },
	{ "MX that is an address", "d.test", 25, { MX("10 192.0.2.1", DNS_SECURE) }, "MX d.test",
	    "found secure; 10 192.0.2.1 none (the MX data is not a host name (RFC 5321 5.1)) "
	    "tlsa not-asked" },
	{ "no MX", "d.test", 25, { MX("NODATA", DNS_SECURE), A("d.test", DNS_SECURE, NULL),
	    AAAA("d.test", DNS_SECURE, NULL), TLSA("d.test", DNS_SECURE, TLSA_DATA) },
	    "MX d.test, A d.test, AAAA d.test, TLSA _25._tcp.d.test.",
	    "implicit secure; 0 d.test 1 secure tlsa found d.test 1" },
	{ "no domain", "d.test", 25, { MX("NXDOMAIN", DNS_SECURE) }, "MX d.test", "no-domain secure" },
	{ "MX bogus", "d.test", 25, { MX("expired", DNS_BOGUS) }, "MX d.test",
	    "failed bogus (MX bogus: expired)" },
	{ "MX not answered", "d.test", 25, { MX("timeout", DNS_FAILED) }, "MX d.test",
	    "failed failed (MX failed: timeout)" },
	{ "MX of an alias", "d.test", 25, { { "MX d.test", DNS_SECURE, "10 mx.test", "e.test" },
	    A("mx.test", DNS_SECURE, NULL), AAAA("mx.test", DNS_SECURE, NULL),
	    TLSA("mx.test", DNS_SECURE, "NODATA") }, ASKED ", TLSA _25._tcp.mx.test.",
	    "found secure -> e.test; 10 mx.test 1 secure tlsa absent mx.test" },
	{ "by preference", "d.test", 0, { MX("20 b.test,10 a.test", DNS_SECURE),
	    A("a.test", DNS_SECURE, NULL), AAAA("a.test", DNS_SECURE, NULL),
	    A("b.test", DNS_SECURE, NULL), AAAA("b.test", DNS_SECURE, NULL) },
	    "MX d.test, A a.test, AAAA a.test, A b.test, AAAA b.test",
	    "found secure; 10 a.test 1 secure tlsa not-asked; 20 b.test 1 secure tlsa not-asked" },
	/* [host]: no MX lookup; what the user named counts as secure. */
	{ "[host]", "[mx.test]", 25, { A("mx.test", DNS_SECURE, NULL), AAAA("mx.test", DNS_SECURE, NULL),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA) },
	    "A mx.test, AAAA mx.test, TLSA _25._tcp.mx.test.",
	    "local secure; 0 mx.test 1 secure tlsa found mx.test 1" },
};

/* RFC 8020 2: an empty name above others is no NXDOMAIN.  It is asked where there is something to lose. */
static const struct row health_rows[] = {
	{ "parent denied", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL), AAAA("mx.test", DNS_SECURE, NULL),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA), { "A _tcp.mx.test.", DNS_INSECURE, "NXDOMAIN", NULL } },
	    ASKED ", TLSA _25._tcp.mx.test., A _tcp.mx.test.",
	    FACTS "1 secure tlsa found mx.test 1 parent denied" },
	{ "parent is there", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL), AAAA("mx.test", DNS_SECURE, NULL),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA), { "A _tcp.mx.test.", DNS_INSECURE, "NODATA", NULL } },
	    ASKED ", TLSA _25._tcp.mx.test., A _tcp.mx.test.", FACTS "1 secure tlsa found mx.test 1" },
	{ "parent not answered", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL), AAAA("mx.test", DNS_SECURE, NULL),
	    TLSA("mx.test", DNS_SECURE, TLSA_DATA), { "A _tcp.mx.test.", DNS_FAILED, "timeout", NULL } },
	    ASKED ", TLSA _25._tcp.mx.test., A _tcp.mx.test.", FACTS "1 secure tlsa found mx.test 1" },
	{ "no records, so no parent", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_SECURE, "NXDOMAIN") },
	    ASKED ", TLSA _25._tcp.mx.test.", FACTS "1 secure tlsa absent mx.test" },
};

/* ---- facts as text ---- */

static const char *
mx_word(enum facts_mx mx)
{
	static const char *const words[] = { [FACTS_MX_FOUND] = "found", [FACTS_MX_IMPLICIT] = "implicit",
		[FACTS_MX_LOCAL] = "local", [FACTS_MX_NULL] = "null", [FACTS_MX_NODOMAIN] = "no-domain",
		[FACTS_MX_FAILED] = "failed" };

	return words[mx];
}

static void
print_tlsa(struct buf *b, const struct facts_host *h)
{
	static const char *const words[] = { [FACTS_TLSA_NOT_ASKED] = "not-asked",
		[FACTS_TLSA_NO_NAME] = "no-name", [FACTS_TLSA_UNSIGNED] = "unsigned",
		[FACTS_TLSA_ABSENT] = "absent", [FACTS_TLSA_INSECURE] = "insecure",
		[FACTS_TLSA_FOUND] = "found", [FACTS_TLSA_FAILED] = "failed" };

	buf_printf(b, " tlsa %s", words[h->tlsa_state]);
	if (h->tlsa_base != NULL)
		buf_printf(b, " %s", h->tlsa_base);
	if (h->tlsa_state == FACTS_TLSA_FOUND)
		buf_printf(b, " %zu", h->ntlsa);
	if (h->tlsa_damaged > 0)
		buf_printf(b, " damaged %zu", h->tlsa_damaged);
	if (h->tcp_denied)
		buf_printf(b, " parent denied");
	if (h->tlsa_why != NULL)
		buf_printf(b, " (%s)", h->tlsa_why);
}

static void
print_host(struct buf *b, const struct facts_host *h)
{
	buf_printf(b, "; %u %s", h->preference, h->name);
	if (strcmp(h->name, h->canonical) != 0)
		buf_printf(b, " -> %s", h->canonical);
	if (h->addrs == FACTS_ADDRS_FOUND)
		buf_printf(b, " %zu %s", h->naddr, dns_sec_name(h->addrs_sec));
	else
		buf_printf(b, " %s", h->addrs == FACTS_ADDRS_NONE ? "none" : "failed");
	if (h->addrs_why != NULL)
		buf_printf(b, " (%s)", h->addrs_why);
	print_tlsa(b, h);
}

static void
print_facts(struct buf *b, const struct facts *f)
{
	size_t i;

	buf_printf(b, "%s %s", mx_word(f->mx), dns_sec_name(f->mx_sec));
	if (f->mx_canonical != NULL)
		buf_printf(b, " -> %s", f->mx_canonical);
	if (f->mx_why != NULL)
		buf_printf(b, " (%s)", f->mx_why);
	for (i = 0; i < f->nhost; i++)
		print_host(b, &f->host[i]);
}

/* ---- running ---- */

static void
keep_facts(void *arg, struct facts *facts)
{
	struct facts **out = arg;

	if (*out != NULL)
		abort();
	*out = facts;
}

static struct facts *
run_lookup(struct dns *dns, const struct row *row, int newest, int health)
{
	struct lookup_conf conf = { .port = row->port != 0 ? row->port : 25, .want_tlsa = row->port != 0,
		.want_health = health };
	struct facts *facts = NULL;

	lookup_start(dns, row->destination, &conf, keep_facts, &facts);
	while (dns->pending != NULL)
		answer_one(dns, newest);
	kept_free();
	return facts;
}

static void
run_row(const struct row *row, int newest, int health)
{
	struct dns dns = { .answers = row->answers, .asked = BUF_INIT };
	struct facts *facts = run_lookup(&dns, row, newest, health);
	struct buf text = BUF_INIT;

	print_facts(&text, facts);
	if (!newest)
		unit_str(dns.asked.p, row->asked, "%s: questions", row->name);
	unit_str(text.p, row->facts, "%s%s: facts", row->name, newest ? ", backwards" : "");
	buf_clear(&text);
	buf_clear(&dns.asked);
	facts_free(facts);
}

static uint32_t
ttl_with(const struct row *row, const uint32_t ttl[4])
{
	struct dns dns = { .answers = row->answers, .asked = BUF_INIT };
	struct facts *facts;
	uint32_t got;

	memcpy(ttl_of, ttl, sizeof ttl_of);
	facts = run_lookup(&dns, row, 0, 0);
	got = facts->ttl;
	facts_free(facts);
	buf_clear(&dns.asked);
	return got;
}

static void
test_ttl(void)
{
	static const struct row row = { "", "d.test", 25, { MX1, A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_SECURE, TLSA_DATA) }, "", "" };
	static const struct row broken = { "", "d.test", 0, { MX1, A("mx.test", DNS_SECURE, NULL),
	    { "AAAA mx.test", DNS_FAILED, "timeout", NULL } }, "", "" };
	static const struct row literal = { "", "[mx.test]", 0, { A("mx.test", DNS_SECURE, NULL),
	    AAAA("mx.test", DNS_SECURE, NULL) }, "", "" };
	struct facts *facts = lookup_literal("[192.0.2.1]");

	unit_int(ttl_with(&row, (uint32_t[]){ 10, 20, 30, 40 }), 10, "that of MX is the least");
	unit_int(ttl_with(&row, (uint32_t[]){ 50, 20, 30, 40 }), 20, "of A");
	unit_int(ttl_with(&row, (uint32_t[]){ 50, 60, 30, 40 }), 30, "of AAAA");
	unit_int(ttl_with(&row, (uint32_t[]){ 50, 60, 70, 40 }), 40, "of TLSA");
	unit_int(ttl_with(&broken, (uint32_t[]){ 50, 60, 70, 40 }), 0, "what failed holds no moment");
	unit_int(ttl_with(&literal, (uint32_t[]){ 50, 60, 70, 40 }), 60, "no MX, no TLSA asked");
	unit_ok(facts->ttl == FACTS_TTL_NONE, "nothing was asked");
	facts_free(facts);
}

static void
test_rows(void)
{
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		run_row(&rows[i], 0, 0);
		run_row(&rows[i], 1, 0);
	}
	for (i = 0; i < COUNT(health_rows); i++) {
		run_row(&health_rows[i], 0, 1);
		run_row(&health_rows[i], 1, 1);
	}
}

/* Of too many MX hosts the preferred ones are looked at, wherever they stand in the answer. */
static void
test_many_hosts(void)
{
	struct row row = { .name = "many hosts", .destination = "d.test" };
	struct buf mx = BUF_INIT;
	struct dns dns = { .answers = row.answers, .asked = BUF_INIT };
	struct facts *facts;
	int i;

	for (i = FACTS_HOSTS_MAX + 5; i > 0; i--)
		buf_printf(&mx, "%d h%d.test%s", i, i, i > 1 ? "," : "");
	row.answers[0] = (struct answer)MX(mx.p, DNS_SECURE);
	facts = run_lookup(&dns, &row, 0, 0);
	unit_int(facts->nhost, FACTS_HOSTS_MAX, "hosts looked at");
	unit_int(facts->hosts_left_out, 5, "hosts left out");
	unit_str(facts->host[0].name, "h1.test", "the most preferred one is not left out");
	unit_str(facts->host[FACTS_HOSTS_MAX - 1].name, "h64.test", "nor is the last that has room");
	facts_free(facts);
	buf_clear(&mx);
	buf_clear(&dns.asked);
}

/* Of equal preferences the first ones. */
static void
test_many_equal_hosts(void)
{
	struct row row = { .name = "many equal hosts", .destination = "d.test" };
	struct buf mx = BUF_INIT;
	struct dns dns = { .answers = row.answers, .asked = BUF_INIT };
	struct facts *facts;
	int i;

	for (i = 1; i <= FACTS_HOSTS_MAX + 5; i++)
		buf_printf(&mx, "%s10 h%d.test", i > 1 ? "," : "", i);
	row.answers[0] = (struct answer)MX(mx.p, DNS_SECURE);
	facts = run_lookup(&dns, &row, 0, 0);
	unit_int(facts->nhost, FACTS_HOSTS_MAX, "equal hosts looked at");
	unit_str(facts->host[FACTS_HOSTS_MAX - 1].name, "h64.test", "equal ones stay as they came");
	facts_free(facts);
	buf_clear(&mx);
	buf_clear(&dns.asked);
}

/* A lookup can be given up after any number of answers, and calls back no more. */
static void
test_cancel(void)
{
	static const struct answer answers[ANSWERS_MAX] = { MX1, A("mx.test", DNS_SECURE, NULL),
		AAAA("mx.test", DNS_SECURE, NULL), TLSA("mx.test", DNS_SECURE, TLSA_DATA) };
	struct lookup_conf conf = { .port = 25, .want_tlsa = 1 };
	struct facts *facts = NULL;
	int n, i;

	for (n = 0; n < 4; n++) {
		struct dns dns = { .answers = answers, .asked = BUF_INIT };
		struct lookup *l;

		l = lookup_start(&dns, "d.test", &conf, keep_facts, &facts);
		for (i = 0; i < n; i++)
			answer_one(&dns, 0);
		lookup_cancel(l);
		unit_ok(dns.pending == NULL, "cancelled after %d answers: nothing is under way", n);
		unit_ok(facts == NULL, "cancelled after %d answers: no facts", n);
		buf_clear(&dns.asked);
		kept_free();
	}
	lookup_cancel(NULL);
}

static const struct {
	const char *destination;
	const char *facts;	/* NULL: not an address in brackets */
} literals[] = {
	{ "[192.0.2.1]", "local secure; 0 192.0.2.1 1 secure tlsa no-name" },
	{ "[2001:db8::1]", "local secure; 0 2001:db8::1 1 secure tlsa no-name" },
	{ "192.0.2.1", NULL }, { "[mx.test]", NULL }, { "d.test", NULL }, { "[]", NULL }, { "[", NULL },
	{ "[192.0.2.1", NULL }, { "[192.0.2.256]", NULL }, { "", NULL },
};

static void
test_literals(void)
{
	size_t i;

	for (i = 0; i < COUNT(literals); i++) {
		struct facts *facts = lookup_literal(literals[i].destination);
		struct buf text = BUF_INIT;

		if (facts != NULL)
			print_facts(&text, facts);
		unit_str(facts != NULL ? text.p : NULL, literals[i].facts, "\"%s\"",
		    literals[i].destination);
		buf_clear(&text);
		facts_free(facts);
	}
}

int
main(void)
{
	test_rows();
	test_ttl();
	test_many_hosts();
	test_many_equal_hosts();
	test_cancel();
	test_literals();
	return unit_done();
}
