/*
 * evidence_read(): lines into evidence.  A destination's lines come first, each host's behind its "host",
 * each connection's behind its "connection"; "end" closes the destination, so that half a file is
 * no file.  Whoever wrote it: what comes out is what lookup and probe could have made.
 */
#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "dns.h"
#include "evidence.h"
#include "evidence-words.h"
#include "name.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct reading {
	struct evidence_list list;
	struct evidence *ev;		/* under way; NULL between destinations */
	struct facts_host *host;	/* under way; NULL before the first */
	struct shown *shown;		/* likewise, of this host */
	struct buf pem;			/* of this connection */
	unsigned given, given_host, given_shown;	/* which lines stood there, by their once() bits */
};

enum { TIME = 0x1, PORT = 0x2, ASKED = 0x4, MX = 0x8, MX_WHY = 0x10, MX_CANONICAL = 0x20, LEFT_OUT = 0x40,
	STS = 0x80, STS_WHY = 0x100, STS_ID = 0x200, STS_POLICY = 0x400, RECIPIENT = 0x800,
	STS_FETCHED = 0x1000, TLSRPT = 0x2000, TLSRPT_WHY = 0x4000, TLSRPT_RECORD = 0x8000, RESOLVER = 0x10000 };
enum { CANONICAL = 0x1, ADDRESSES = 0x2, ADDRESSES_WHY = 0x4, TLSA = 0x8, TLSA_BASE = 0x10, TLSA_WHY = 0x20,
	TLSA_DAMAGED = 0x40, TCP_DENIED = 0x80, VIA = 0x100 };
enum { TEXT = 0x1, BANNER = 0x2, EHLO = 0x4, STARTTLS = 0x8, TLS = 0x10, EHLO_TLS = 0x20, FELL_BACK = 0x40 };

/* ---- values ---- */

static int
once(unsigned *given, unsigned bit, const struct table_line *l, struct fail *f)
{
	if (*given & bit)
		return fail(f, FAIL_INPUT, "a second %s", l->key);
	*given |= bit;
	return 0;
}

/* Printable ASCII: whoever wrote it had escaped the rest. */
static int
take_text(char **out, const char *s, size_t max, struct fail *f)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if (s[i] < ' ' || s[i] > '~')
			return fail(f, FAIL_INPUT, "octet %zu is not printable ASCII", i + 1);
	if (i > max)
		return fail(f, FAIL_INPUT, "expected at most %zu octets, found %zu", max, i);
	free(*out);
	*out = xstrdup(s);
	return 0;
}

static int
take_name(char **out, const char *s, struct fail *f)
{
	if (!name_is_host(s, NAME_UNDERSCORE))
		return fail(f, FAIL_INPUT, "expected a host name");
	return take_text(out, s, NAME_LEN_MAX, f);
}

static int
take_number(const char *s, long long hi, const char *what, long long *out, struct fail *f)
{
	return text_number(s, 0, hi, what, out, f);
}

/* The index of one of n words. */
static int
take_word(const char *s, const char *const *words, int n, int *out, struct fail *f)
{
	char *shown;

	for (*out = 0; *out < n; (*out)++)
		if (strcmp(s, words[*out]) == 0)
			return 0;
	shown = text_escape(s, strlen(s));
	fail(f, FAIL_INPUT, "unknown word \"%.64s\"", shown);
	free(shown);
	return -1;
}

#define WORDS_OF(name, function, count)                                                            \
	static int name(const char *s, int *out, struct fail *f)                                   \
	{                                                                                          \
		const char *words[count];                                                          \
		int i;                                                                             \
                                                                                                   \
		for (i = 0; i < (count); i++)                                                      \
			words[i] = function(i);                                                    \
		return take_word(s, words, count, out, f);                                         \
	}

WORDS_OF(take_mx_word, evidence_mx_name, FACTS_MX_FAILED + 1)
WORDS_OF(take_tlsa_word, evidence_tlsa_name, FACTS_TLSA_FAILED + 1)
WORDS_OF(take_sts_word, evidence_sts_name, FACTS_STS_FOUND + 1)
WORDS_OF(take_tlsrpt_word, evidence_tlsrpt_name, FACTS_TLSRPT_FAILED + 1)
WORDS_OF(take_mode_word, sts_mode_name, STS_ENFORCE + 1)
WORDS_OF(take_ill_word, evidence_ill_name, DNS_CLOCK + 1)
WORDS_OF(take_sec_word, dns_sec_name, DNS_FAILED + 1)

/* ---- a destination ---- */

static int
set_evidence(void *ctx, const struct table_line *l, struct fail *f)
{
	(void)ctx;
	if (strcmp(l->v[0], "1") != 0)
		return fail(f, FAIL_INPUT, "this version reads evidence 1 only");
	return 0;
}

static int
set_destination(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	char *name = NULL;

	if (r->ev != NULL)
		return fail(f, FAIL_INPUT, "no end before it");
	if (r->list.n == EVIDENCE_DESTINATIONS_MAX)
		return fail(f, FAIL_INPUT, "more than %d destinations", EVIDENCE_DESTINATIONS_MAX);
	if (take_text(&name, l->v[0], NAME_LEN_MAX + 2, f) == -1)
		return -1;
	r->ev = evidence_new(name, 0, 0);
	free(name);
	r->host = NULL;
	r->shown = NULL;
	r->given = 0;
	return 0;
}

/* For the lines of the destination itself: its facts, once "asked" has said of whom. */
static struct facts *
facts_of(struct reading *r, unsigned bit, const struct table_line *l, struct fail *f)
{
	if (r->ev == NULL || r->host != NULL || r->ev->facts == NULL)
		fail(f, FAIL_INPUT, "%s does not belong here", l->key);
	else if (once(&r->given, bit, l, f) == 0)
		return r->ev->facts;
	return NULL;
}

static int
before_facts(struct reading *r, unsigned bit, const struct table_line *l, struct fail *f)
{
	if (r->ev == NULL || r->ev->facts != NULL)
		return fail(f, FAIL_INPUT, "%s does not belong here", l->key);
	return once(&r->given, bit, l, f);
}

static int
set_time(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;

	return before_facts(r, TIME, l, f) == -1 ? -1 : text_timestamp(l->v[0], "time", &r->ev->time, f);
}

static int
set_port(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	long long n;

	if (before_facts(r, PORT, l, f) == -1 || text_number(l->v[0], 1, 65535, "port", &n, f) == -1)
		return -1;
	r->ev->port = n;
	return 0;
}

static int
set_asked(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	char *name = NULL;

	if (before_facts(r, ASKED, l, f) == -1 || take_text(&name, l->v[0], NAME_LEN_MAX + 2, f) == -1)
		return -1;
	r->ev->facts = facts_new(name);
	free(name);
	return 0;
}

static int
set_recipient(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, RECIPIENT, l, f);

	return facts == NULL ? -1 : take_name(&facts->recipient, l->v[0], f);
}

static int
set_mx(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, MX, l, f);
	int mx, sec;

	if (facts == NULL || take_mx_word(l->v[0], &mx, f) == -1 || take_sec_word(l->v[1], &sec, f) == -1)
		return -1;
	facts->mx = (enum facts_mx)mx;
	facts->mx_sec = (enum dns_sec)sec;
	if ((mx == FACTS_MX_FAILED) != (sec == DNS_BOGUS || sec == DNS_FAILED))
		return fail(f, FAIL_INPUT, "mx %s cannot be %s", l->v[0], l->v[1]);
	return 0;
}

static int
set_mx_why(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, MX_WHY, l, f);

	return facts == NULL ? -1 : take_text(&facts->mx_why, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_mx_canonical(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, MX_CANONICAL, l, f);

	return facts == NULL ? -1 : take_name(&facts->mx_canonical, l->v[0], f);
}

/* Why nothing could be looked up: a fault of the resolver in use then, not of the domain. */
static int
set_resolver(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	int ill;

	if (facts_of(ctx, RESOLVER, l, f) == NULL || take_ill_word(l->v[0], &ill, f) == -1)
		return -1;
	if (ill == DNS_WELL)
		return fail(f, FAIL_INPUT, "a resolver that is well is not told of");
	r->ev->ill = (enum dns_ill)ill;
	return take_text(&r->ev->ill_text, l->v[1], EVIDENCE_TEXT_MAX, f);
}

static int
set_left_out(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, LEFT_OUT, l, f);
	long long hosts, addrs;

	if (facts == NULL || take_number(l->v[0], 65535, "hosts", &hosts, f) == -1 ||
	    take_number(l->v[1], 65535, "addresses", &addrs, f) == -1)
		return -1;
	facts->hosts_left_out = hosts;
	facts->addrs_left_out = addrs;
	return 0;
}

static int
set_sts(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, STS, l, f);
	int state;

	if (facts == NULL || take_sts_word(l->v[0], &state, f) == -1)
		return -1;
	facts->sts_state = (enum facts_sts)state;
	return 0;
}

static int
set_sts_why(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, STS_WHY, l, f);

	return facts == NULL ? -1 : take_text(&facts->sts_why, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_sts_id(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, STS_ID, l, f);

	return facts == NULL ? -1 : take_text(&facts->sts_id, l->v[0], 64, f);
}

static int
set_sts_policy(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, STS_POLICY, l, f);
	long long max_age;
	int mode;
	size_t i;

	if (facts == NULL || take_mode_word(l->v[0], &mode, f) == -1 ||
	    take_number(l->v[1], UINT32_MAX, "max_age", &max_age, f) == -1)
		return -1;
	facts->sts.mode = (enum sts_mode)mode;
	facts->sts.max_age = max_age;
	facts->sts.mx = xcalloc(l->n, sizeof *facts->sts.mx);
	for (i = 2; i < l->n; i++) {
		if (!name_is_host(l->v[i], NAME_WILDCARD))
			return fail(f, FAIL_INPUT, "expected a host name or *.domain");
		facts->sts.mx[facts->sts.nmx++] = xstrdup(l->v[i]);
	}
	return 0;
}

static int
set_sts_fetched(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, STS_FETCHED, l, f);

	return facts == NULL ? -1 : text_timestamp(l->v[0], "time", &facts->sts_fetched, f);
}

static int
set_tlsrpt(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, TLSRPT, l, f);
	int state;

	if (facts == NULL || take_tlsrpt_word(l->v[0], &state, f) == -1)
		return -1;
	facts->tlsrpt_state = (enum facts_tlsrpt)state;
	return 0;
}

static int
set_tlsrpt_why(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, TLSRPT_WHY, l, f);

	return facts == NULL ? -1 : take_text(&facts->tlsrpt_why, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_tlsrpt_record(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts *facts = facts_of(ctx, TLSRPT_RECORD, l, f);
	struct txtrec record = { .p = l->v[0], .len = strlen(l->v[0]) };

	if (facts == NULL)
		return -1;
	if (facts->tlsrpt_state != FACTS_TLSRPT_FOUND)
		return fail(f, FAIL_INPUT, "no \"tlsrpt found\" before it");
	return tlsrpt_parse(&facts->tlsrpt, &record, f);
}

/* ---- a host ---- */

static int end_host(struct reading *, struct fail *);

static int
set_host(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	struct facts *facts = r->ev != NULL ? r->ev->facts : NULL;
	char *name = NULL;
	long long preference;

	if (facts == NULL || !(r->given & MX))
		return fail(f, FAIL_INPUT, "host does not belong here");
	if (end_host(r, f) == -1 || take_number(l->v[1], 65535, "preference", &preference, f) == -1 ||
	    take_text(&name, l->v[0], EVIDENCE_TEXT_MAX, f) == -1)
		return -1;
	if (facts->nhost > 0 && facts->host[facts->nhost - 1].preference > preference)
		fail(f, FAIL_INPUT, "hosts stand in the order of preference");
	else if ((r->host = facts_add_host(facts, name, preference)) == NULL)
		fail(f, FAIL_INPUT, "more than %d hosts", FACTS_HOSTS_MAX);
	free(name);
	r->given_host = 0;
	return f->kind != FAIL_NONE ? -1 : 0;
}

static struct facts_host *
host_of(struct reading *r, unsigned bit, const struct table_line *l, struct fail *f)
{
	if (r->host == NULL || r->shown != NULL)
		fail(f, FAIL_INPUT, "%s does not belong here", l->key);
	else if (bit == 0 || once(&r->given_host, bit, l, f) == 0)
		return r->host;
	return NULL;
}

/* Before the addresses, of which a unix socket has one that is none. */
static int
set_via(void *ctx, const struct table_line *l, struct fail *f)
{
	static const enum facts_protocol protocols[] = { FACTS_SMTP, FACTS_SMTPS, FACTS_LMTP };
	struct facts_host *fh = host_of(ctx, VIA, l, f);
	long long port;
	size_t i;

	if (fh == NULL || take_number(l->v[0], 65535, "port", &port, f) == -1)
		return -1;
	for (i = 0; i < 3 && strcmp(facts_protocol_name(protocols[i]), l->v[1]) != 0; i++)
		;
	if (i == 3)
		return fail(f, FAIL_INPUT, "expected smtp, smtps or lmtp");
	if (fh->naddr > 0)
		return fail(f, FAIL_INPUT, "via stands before the addresses");
	fh->port = port;
	fh->protocol = protocols[i];
	return l->n > 2 ? take_text(&fh->path, l->v[2], EVIDENCE_TEXT_MAX, f) : 0;
}

static int
set_canonical(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, CANONICAL, l, f);

	return fh == NULL ? -1 : take_text(&fh->canonical, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_addresses(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, ADDRESSES, l, f);
	int state, sec;

	if (fh == NULL || take_word(l->v[0], addrs_words, ADDRS_WORDS, &state, f) == -1 ||
	    take_sec_word(l->v[1], &sec, f) == -1)
		return -1;
	fh->addrs = (enum facts_addrs)state;
	fh->addrs_sec = (enum dns_sec)sec;
	if (state == FACTS_ADDRS_FOUND && sec != DNS_SECURE && sec != DNS_INSECURE)
		return fail(f, FAIL_INPUT, "addresses that were found cannot be %s", l->v[1]);
	if (state == FACTS_ADDRS_FOUND && fh->path == NULL && !text_is_address(fh->name) && !name_is_host(fh->name, NAME_UNDERSCORE))
		return fail(f, FAIL_INPUT, "addresses of a host whose name is none");
	return 0;
}

static int
set_addresses_why(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, ADDRESSES_WHY, l, f);

	return fh == NULL ? -1 : take_text(&fh->addrs_why, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
parse_address(const char *s, struct facts_addr *a, struct fail *f)
{
	memset(a, 0, sizeof *a);
	a->family = AF_UNIX;
	if (strcmp(s, "socket") == 0)
		return 0;
	a->family = AF_INET;
	if (inet_pton(AF_INET, s, &a->ip.v4) == 1)
		return 0;
	a->family = AF_INET6;
	if (inet_pton(AF_INET6, s, &a->ip.v6) == 1)
		return 0;
	return fail(f, FAIL_INPUT, "expected an address");
}

static int
same_address(const struct facts_addr *a, const struct facts_addr *b)
{
	if (a->family != b->family)
		return 0;
	if (a->family == AF_UNIX)
		return 1;
	return a->family == AF_INET ? a->ip.v4.s_addr == b->ip.v4.s_addr :
	    IN6_ARE_ADDR_EQUAL(&a->ip.v6, &b->ip.v6);
}

/* Index of an address of the host; its number where it has no such address. */
static size_t
find_address(const struct facts_host *fh, const struct facts_addr *a)
{
	size_t i;

	for (i = 0; i < fh->naddr; i++)
		if (same_address(&fh->addr[i], a))
			break;
	return i;
}

static int
set_address(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, 0, l, f);
	struct facts_addr a;

	if (fh == NULL || parse_address(l->v[0], &a, f) == -1)
		return -1;
	if ((a.family == AF_UNIX) != (fh->path != NULL))
		return fail(f, FAIL_INPUT, "expected %s", fh->path != NULL ? "socket" : "an address");
	if (fh->addrs != FACTS_ADDRS_FOUND)
		return fail(f, FAIL_INPUT, "no \"addresses found\" before it");
	if (fh->naddr == FACTS_ADDRS_MAX)
		return fail(f, FAIL_INPUT, "more than %d addresses", FACTS_ADDRS_MAX);
	if (find_address(fh, &a) < fh->naddr)
		return fail(f, FAIL_INPUT, "the same address again");
	fh->addr = xreallocarray(fh->addr, fh->naddr + 1, sizeof *fh->addr);
	fh->addr[fh->naddr++] = a;
	return 0;
}

static int
set_tlsa(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, TLSA, l, f);
	int state;

	if (fh == NULL || take_tlsa_word(l->v[0], &state, f) == -1)
		return -1;
	fh->tlsa_state = (enum facts_tlsa)state;
	return 0;
}

static int
set_tlsa_base(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, TLSA_BASE, l, f);

	return fh == NULL ? -1 : take_name(&fh->tlsa_base, l->v[0], f);
}

static int
set_tlsa_why(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, TLSA_WHY, l, f);

	return fh == NULL ? -1 : take_text(&fh->tlsa_why, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_tlsa_damaged(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, TLSA_DAMAGED, l, f);
	long long n;

	if (fh == NULL || take_number(l->v[0], DNS_RRS_MAX, "records", &n, f) == -1)
		return -1;
	fh->tlsa_damaged = n;
	return 0;
}

static int
set_tcp_denied(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, TCP_DENIED, l, f);

	if (fh == NULL)
		return -1;
	if (fh->tlsa_base == NULL)
		return fail(f, FAIL_INPUT, "no tlsa-base before it");
	fh->tcp_denied = 1;
	return 0;
}

static int
set_record(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, 0, l, f);
	struct tlsa t = TLSA_INIT;
	long long n[3];
	int i;

	if (fh == NULL)
		return -1;
	if (fh->tlsa_state != FACTS_TLSA_FOUND)
		return fail(f, FAIL_INPUT, "no \"tlsa found\" before it");
	if (fh->ntlsa == DNS_RRS_MAX)
		return fail(f, FAIL_INPUT, "more than %d records", DNS_RRS_MAX);
	for (i = 0; i < 3; i++)
		if (take_number(l->v[i], 255, "a TLSA record's number", &n[i], f) == -1)
			return -1;
	if (text_unhex(l->v[3], &t.data, &t.len, f) == -1)
		return -1;
	t.usage = n[0];
	t.selector = n[1];
	t.mtype = n[2];
	fh->tlsa = xreallocarray(fh->tlsa, fh->ntlsa + 1, sizeof *fh->tlsa);
	fh->tlsa[fh->ntlsa++] = t;
	return 0;
}

static int
set_record_more(void *ctx, const struct table_line *l, struct fail *f)
{
	struct facts_host *fh = host_of(ctx, 0, l, f);
	struct tlsa *t;
	uint8_t *more;
	size_t n;

	if (fh == NULL)
		return -1;
	if (fh->ntlsa == 0)
		return fail(f, FAIL_INPUT, "no record before it");
	t = &fh->tlsa[fh->ntlsa - 1];
	if (text_unhex(l->v[0], &more, &n, f) == -1)
		return -1;
	if (t->len + n <= TLSA_DATA_MAX && n > 0) {
		t->data = xreallocarray(t->data, t->len + n, 1);
		memcpy(t->data + t->len, more, n);
		t->len += n;
	} else
		fail(f, FAIL_INPUT, "expected 1 to %zu octets more", TLSA_DATA_MAX - t->len);
	free(more);
	return f->kind != FAIL_NONE ? -1 : 0;
}

/* ---- a connection ---- */

static int end_shown(struct reading *, struct fail *);

static int
set_connection(void *ctx, const struct table_line *l, struct fail *f)
{
	static const char *const greeted_words[] = { "not-greeted", "greeted" };
	struct reading *r = ctx;
	struct facts_addr a;
	size_t host, addr;
	int asked, end, greeted;

	if (r->host == NULL)
		return fail(f, FAIL_INPUT, "connection does not belong here");
	if (end_shown(r, f) == -1 || parse_address(l->v[0], &a, f) == -1 ||
	    take_word(l->v[1], asked_words, ASKED_WORDS, &asked, f) == -1 ||
	    take_word(l->v[2], end_words, END_WORDS, &end, f) == -1 ||
	    take_word(l->v[3], greeted_words, 2, &greeted, f) == -1)
		return -1;
	host = r->host - r->ev->facts->host;
	if ((addr = find_address(r->host, &a)) == r->host->naddr)
		return fail(f, FAIL_INPUT, "an address that is not the host's");
	if (evidence_find(r->ev, host, addr) != NULL)
		return fail(f, FAIL_INPUT, "a second connection to this address");
	r->shown = evidence_add(r->ev, host, addr);
	r->shown->asked = (enum shown_asked)asked;
	r->shown->end = (enum seen_end)end;
	r->shown->greeted = greeted;
	r->given_shown = 0;
	return 0;
}

static struct shown *
shown_of(struct reading *r, unsigned bit, const struct table_line *l, struct fail *f)
{
	if (r->shown == NULL)
		fail(f, FAIL_INPUT, "%s does not belong here", l->key);
	else if (bit == 0 || once(&r->given_shown, bit, l, f) == 0)
		return r->shown;
	return NULL;
}

static int
set_text(void *ctx, const struct table_line *l, struct fail *f)
{
	struct shown *s = shown_of(ctx, TEXT, l, f);

	return s == NULL ? -1 : take_text(&s->text, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_banner(void *ctx, const struct table_line *l, struct fail *f)
{
	struct shown *s = shown_of(ctx, BANNER, l, f);

	return s == NULL ? -1 : take_text(&s->banner, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_ehlo(void *ctx, const struct table_line *l, struct fail *f)
{
	struct shown *s = shown_of(ctx, EHLO, l, f);

	return s == NULL ? -1 : take_text(&s->ehlo, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_starttls(void *ctx, const struct table_line *l, struct fail *f)
{
	struct shown *s = shown_of(ctx, STARTTLS, l, f);

	return s == NULL ? -1 : take_text(&s->starttls, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_ehlo_tls(void *ctx, const struct table_line *l, struct fail *f)
{
	struct shown *s = shown_of(ctx, EHLO_TLS, l, f);

	return s == NULL ? -1 : take_text(&s->ehlo_tls, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
set_fell_back(void *ctx, const struct table_line *l, struct fail *f)
{
	struct shown *s = shown_of(ctx, FELL_BACK, l, f);

	return s == NULL ? -1 : take_text(&s->fell_back, l->v[0], EVIDENCE_TEXT_MAX, f);
}

static int
take_info_name(char dst[TLS_NAME_MAX], const char *s, struct fail *f)
{
	char *text = NULL;

	if (take_text(&text, s, TLS_NAME_MAX - 1, f) == -1)
		return -1;
	strcpy(dst, text);
	free(text);
	return 0;
}

static int
set_tls(void *ctx, const struct table_line *l, struct fail *f)
{
	static const char *const safe_words[] = { "unsafe", "safe" };
	struct shown *s = shown_of(ctx, TLS, l, f);
	long long bits, resumed;

	if (s == NULL || take_text(&s->protocol, l->v[0], TLS_NAME_MAX, f) == -1 ||
	    take_text(&s->cipher, l->v[1], TLS_NAME_MAX, f) == -1 ||
	    take_number(l->v[2], 65535, "bits", &bits, f) == -1 ||
	    take_number(l->v[3], 1, "resumed", &resumed, f) == -1 ||
	    take_info_name(s->info.group, l->v[4], f) == -1 ||
	    take_info_name(s->info.sigalg, l->v[5], f) == -1 ||
	    take_word(l->v[6], safe_words, 2, &s->info.renegotiates_safely, f) == -1)
		return -1;
	s->tls = 1;
	s->info.protocol = s->protocol;
	s->info.cipher = s->cipher;
	s->info.bits = bits;
	s->info.resumed = resumed;
	return 0;
}

static int
set_pem(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	struct shown *s = shown_of(r, 0, l, f);

	if (s == NULL)
		return -1;
	if (!s->tls)
		return fail(f, FAIL_INPUT, "no tls before it");
	if (r->pem.len + strlen(l->v[0]) > EVIDENCE_PEM_MAX)
		return fail(f, FAIL_INPUT, "a chain of more than %d octets", EVIDENCE_PEM_MAX);
	buf_puts(&r->pem, l->v[0]);
	if (l->n > 1)
		buf_printf(&r->pem, " %s", l->v[1]);
	buf_putc(&r->pem, '\n');
	return 0;
}

/* ---- the end of each ---- */

/* What it says of TLS must be possible for what it tried. */
static int
check_shown(const struct shown *s, struct fail *f)
{
	int behind_tls = s->end == SEEN_READY || s->end == SEEN_TEMPORARY || s->end == SEEN_REFUSED ||
	    s->end == SEEN_PROTOCOL;
	int about_tls = s->end == SEEN_STARTTLS_REFUSED || s->end == SEEN_INJECTION ||
	    s->end == SEEN_HANDSHAKE_FAILED;

	if (s->tls && (!behind_tls || !s->greeted))
		return fail(f, FAIL_INPUT, "a connection with TLS cannot have ended so");
	if (s->fell_back != NULL && (s->tls || about_tls || s->end == SEEN_NO_STARTTLS))
		return fail(f, FAIL_INPUT, "a connection that fell back to clear text cannot have ended so");
	if (s->asked <= SHOWN_CLEAR && (s->tls || about_tls || s->fell_back != NULL))
		return fail(f, FAIL_INPUT, "a connection that did not try TLS cannot tell of it");
	if (!s->greeted && (about_tls || s->end == SEEN_READY || s->end == SEEN_NO_STARTTLS))
		return fail(f, FAIL_INPUT, "a connection that was not greeted cannot have ended so");
	return 0;
}

static int
end_shown(struct reading *r, struct fail *f)
{
	struct shown *s = r->shown;
	int rc = 0;

	r->shown = NULL;
	if (s != NULL && s->tls) {
		s->info.chain = cert_chain_from_pem(r->pem.p, r->pem.len, f);
		if (s->info.chain == NULL)
			rc = fail_prefix(f, "the chain above");
		else if ((s->info.cert = sk_X509_value(s->info.chain, 0)) != NULL &&
		    X509_up_ref(s->info.cert) == 0)
			alloc_failed();
	}
	buf_clear(&r->pem);
	return s == NULL || rc == -1 ? rc : check_shown(s, f);
}

static int
end_host(struct reading *r, struct fail *f)
{
	struct facts_host *fh = r->host;

	if (end_shown(r, f) == -1)
		return -1;
	r->host = NULL;
	if (fh == NULL)
		return 0;
	if (!(r->given_host & ADDRESSES) || !(r->given_host & TLSA))
		return fail(f, FAIL_INPUT, "the host above lacks addresses or tlsa");
	if (fh->addrs == FACTS_ADDRS_FOUND && fh->naddr == 0)
		return fail(f, FAIL_INPUT, "the host above has no address");
	if (fh->tlsa_state == FACTS_TLSA_FOUND &&
	    (fh->tlsa_base == NULL || fh->ntlsa + fh->tlsa_damaged == 0))
		return fail(f, FAIL_INPUT, "the host above lacks tlsa-base or records");
	return 0;
}

static int
check_destination(const struct reading *r, struct fail *f)
{
	const struct facts *facts = r->ev->facts;

	if (!(r->given & TIME) || !(r->given & PORT) || !(r->given & ASKED) || !(r->given & MX))
		return fail(f, FAIL_INPUT, "the destination lacks time, port, asked or mx");
	if ((facts->mx == FACTS_MX_IMPLICIT || facts->mx == FACTS_MX_LOCAL) && facts->nhost != 1)
		return fail(f, FAIL_INPUT, "mx %s has one host", evidence_mx_name(facts->mx));
	if (facts->mx > FACTS_MX_LOCAL && facts->nhost > 0)
		return fail(f, FAIL_INPUT, "mx %s has no host", evidence_mx_name(facts->mx));
	if (facts->sts_state == FACTS_STS_FOUND && !(r->given & STS_POLICY))
		return fail(f, FAIL_INPUT, "sts found has an sts-policy");
	if (facts->tlsrpt_state == FACTS_TLSRPT_FOUND && facts->tlsrpt.n == 0)
		return fail(f, FAIL_INPUT, "tlsrpt found has a tlsrpt-record");
	return 0;
}

static int
set_end(void *ctx, const struct table_line *l, struct fail *f)
{
	struct reading *r = ctx;
	struct evidence *ev = r->ev;

	(void)l;
	if (ev == NULL)
		return fail(f, FAIL_INPUT, "no destination to end");
	if (end_host(r, f) == -1 || check_destination(r, f) == -1) {
		evidence_free(ev);
		r->ev = NULL;
		r->host = NULL;
		r->shown = NULL;
		return -1;
	}
	r->list.v = xreallocarray(r->list.v, r->list.n + 1, sizeof *r->list.v);
	r->list.v[r->list.n++] = ev;
	r->ev = NULL;
	return 0;
}

static const struct table_row rows[] = {
	{ "evidence", 1, 1, TABLE_ONCE | TABLE_REQUIRED, set_evidence },
	{ "destination", 1, 1, 0, set_destination },
	{ "time", 1, 1, 0, set_time },
	{ "port", 1, 1, 0, set_port },
	{ "asked", 1, 1, 0, set_asked },
	{ "recipient", 1, 1, 0, set_recipient },
	{ "mx", 2, 2, 0, set_mx },
	{ "mx-why", 1, 1, 0, set_mx_why },
	{ "mx-canonical", 1, 1, 0, set_mx_canonical },
	{ "resolver", 2, 2, 0, set_resolver },
	{ "left-out", 2, 2, 0, set_left_out },
	{ "sts", 1, 1, 0, set_sts },
	{ "sts-why", 1, 1, 0, set_sts_why },
	{ "sts-id", 1, 1, 0, set_sts_id },
	{ "sts-policy", 2, TABLE_WORDS_MAX, 0, set_sts_policy },
	{ "sts-fetched", 1, 1, 0, set_sts_fetched },
	{ "tlsrpt", 1, 1, 0, set_tlsrpt },
	{ "tlsrpt-why", 1, 1, 0, set_tlsrpt_why },
	{ "tlsrpt-record", 1, 1, 0, set_tlsrpt_record },
	{ "host", 2, 2, 0, set_host },
	{ "via", 2, 3, 0, set_via },
	{ "canonical", 1, 1, 0, set_canonical },
	{ "addresses", 2, 2, 0, set_addresses },
	{ "addresses-why", 1, 1, 0, set_addresses_why },
	{ "address", 1, 1, 0, set_address },
	{ "tlsa", 1, 1, 0, set_tlsa },
	{ "tlsa-base", 1, 1, 0, set_tlsa_base },
	{ "tlsa-why", 1, 1, 0, set_tlsa_why },
	{ "tlsa-damaged", 1, 1, 0, set_tlsa_damaged },
	{ "tcp-denied", 0, 0, 0, set_tcp_denied },
	{ "record", 4, 4, 0, set_record },
	{ "record-more", 1, 1, 0, set_record_more },
	{ "connection", 4, 4, 0, set_connection },
	{ "text", 1, 1, 0, set_text },
	{ "banner", 1, 1, 0, set_banner },
	{ "ehlo", 1, 1, 0, set_ehlo },
	{ "starttls", 1, 1, 0, set_starttls },
	{ "ehlo-tls", 1, 1, 0, set_ehlo_tls },
	{ "fell-back", 1, 1, 0, set_fell_back },
	{ "tls", 7, 7, 0, set_tls },
	{ "pem", 1, 2, 0, set_pem },
	{ "end", 0, 0, 0, set_end },
};

void
evidence_list_clear(struct evidence_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		evidence_free(list->v[i]);
	free(list->v);
	memset(list, 0, sizeof *list);
}

static unsigned
count_lines(const char *text, size_t len)
{
	unsigned n = 1;
	size_t i;

	for (i = 0; i + 1 < len; i++)
		n += text[i] == '\n';
	return n;
}

size_t
evidence_read(const char *file, const char *text, size_t len, struct evidence_list *list,
    table_error_fn *report, void *arg)
{
	struct reading r = { .ev = NULL };
	size_t errors = table_parse(file, text, len, rows, COUNT(rows), &r, report, arg);

	if (errors == 0 && (r.ev != NULL || r.list.n == 0)) {
		report(arg, file, count_lines(text, len),
		    r.ev != NULL ? "the file ends within a destination" : "no destination in it");
		errors = 1;
	}
	evidence_free(r.ev);
	buf_clear(&r.pem);
	if (errors > 0)
		evidence_list_clear(&r.list);
	*list = r.list;
	return errors;
}
