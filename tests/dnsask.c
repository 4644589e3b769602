/*
 * dnsask - asks what stands on standard input ("NAME TYPE" a line) through common/dns, all at once, and prints a line
 * for each in the order of the questions: name, type, security, what was found, the name behind the aliases, data.
 *
 *	dnsask RESOLVER ANCHOR [MILLISECONDS]
 */
#include <arpa/inet.h>
#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dns.h"
#include "text.h"

#define QUESTIONS_MAX 256
#define SHOWN_MAX 3	/* records of an answer */

struct question {
	char name[300], type[16];
	struct buf said;
};

static struct question questions[QUESTIONS_MAX];
static size_t nquestions, open_questions;
static struct event_base *base;

static const struct {
	const char *name;
	enum dns_type type;
} types[] = { { "A", DNS_A }, { "AAAA", DNS_AAAA }, { "CNAME", DNS_CNAME }, { "MX", DNS_MX }, { "PTR", DNS_PTR },
	{ "TLSA", DNS_TLSA }, { "TXT", DNS_TXT } };

static enum dns_type
type_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	fprintf(stderr, "dnsask: no such type: %s\n", name);
	exit(2);
}

static void
put_data(struct buf *b, enum dns_type type, const struct dns_rr *rr)
{
	char addr[INET6_ADDRSTRLEN], *text;
	size_t i;

	buf_printf(b, " ");
	switch (type) {
	case DNS_MX:
		buf_printf(b, "%u:%s", rr->preference, rr->name);
		break;
	case DNS_CNAME:
	case DNS_PTR:
		buf_printf(b, "%s", rr->name);
		break;
	case DNS_A:
	case DNS_AAAA:
		buf_printf(b, "%s", inet_ntop(type == DNS_A ? AF_INET : AF_INET6, rr->data, addr, sizeof addr));
		break;
	case DNS_TXT:
		text = text_escape((const char *)rr->data, rr->len);
		buf_printf(b, "\"%s\"", text);
		free(text);
		break;
	default:
		for (i = 0; i < rr->len && i < 5; i++)
			buf_printf(b, "%02x", rr->data[i]);
		break;
	}
}

static void
on_answer(void *arg, const struct dns_answer *a)
{
	static const char *const got[] = { [DNS_DATA] = "data", [DNS_NODATA] = "nodata", [DNS_NXDOMAIN] = "nxdomain" };
	struct question *q = arg;
	size_t i;

	buf_printf(&q->said, "%s", dns_sec_name(a->sec));
	if (a->sec == DNS_SECURE || a->sec == DNS_INSECURE)
		buf_printf(&q->said, " %s %s", got[a->got], a->aliases > 0 ? a->canonical : "-");
	else if (a->why == NULL || a->n > 0)
		buf_printf(&q->said, " without a reason, or with data");
	for (i = 0; i < a->n && i < SHOWN_MAX; i++)
		put_data(&q->said, a->qtype, &a->rr[i]);
	if (a->n > SHOWN_MAX)
		buf_printf(&q->said, " and %zu more", a->n - SHOWN_MAX);
	if (--open_questions == 0)
		event_base_loopbreak(base);
}

int
main(int argc, char **argv)
{
	struct dns_conf conf = { .resolver = argc > 1 ? argv[1] : NULL, .anchor = argc > 2 ? argv[2] : NULL,
		.timeout_ms = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0 };
	struct fail f = FAIL_INIT;
	struct dns *dns;
	size_t i;

	while (nquestions < QUESTIONS_MAX &&
	    scanf("%299s %15s", questions[nquestions].name, questions[nquestions].type) == 2)
		nquestions++;
	open_questions = nquestions;
	if ((base = event_base_new()) == NULL || (dns = dns_new(base, &conf, &f)) == NULL) {
		fprintf(stderr, "dnsask: %s\n", f.text);
		return 2;
	}
	for (i = 0; i < nquestions; i++)
		dns_ask(dns, questions[i].name, type_of(questions[i].type), on_answer, &questions[i]);
	event_base_dispatch(base);
	for (i = 0; i < nquestions; i++) {
		printf("%s %s %s\n", questions[i].name, questions[i].type, questions[i].said.p);
		buf_clear(&questions[i].said);
	}
	dns_free(dns);
	event_base_free(base);
	return 0;
}
