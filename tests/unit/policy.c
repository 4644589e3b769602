/*
 * The rows stand here as the RFCs have them; an outcome is written as the words
 * of plan or verdict and the rule in brackets.  The last part runs the whole product of facts,
 * settings and things seen, and holds it against what must never be.
 */
#include "policy.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "told.h"
#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT_SIZE 160

#define D32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define USABLE "3 1 1 " D32
#define PKIX_EE "1 1 1 " D32
#define SHORT "3 1 1 0011"

#define NO POLICY_TLS_NO
#define PREF POLICY_TLS_PREFERRED
#define REQ POLICY_TLS_REQUIRED
#define NONE POLICY_DANE_NONE
#define OPP POLICY_DANE_OPPORTUNISTIC
#define MAND POLICY_DANE_MANDATORY
#define P(level, setting) { .tls = (level), .dane = (setting) }

/* ---- facts ---- */

struct world {
	enum facts_mx mx;
	enum dns_sec mx_sec;
	enum facts_addrs addrs;
	enum facts_tlsa tlsa;
	const char *records[3];
	size_t damaged;
	int one_family;		/* the other one's lookup failed */
};

static void
fill_host(struct facts_host *h, const struct world *w)
{
	struct fail f = FAIL_INIT;
	size_t i;

	h->addrs = w->addrs;
	h->addrs_sec = w->tlsa == FACTS_TLSA_UNSIGNED ? DNS_INSECURE : DNS_SECURE;
	if (w->one_family)
		h->addrs_why = xstrdup("AAAA bogus: signature expired");
	h->tlsa_state = w->tlsa;
	if (w->tlsa != FACTS_TLSA_FOUND)
		return;
	h->tlsa_base = xstrdup("mx.test");
	h->tlsa_damaged = w->damaged;
	h->tlsa = xcalloc(COUNT(w->records), sizeof *h->tlsa);
	for (i = 0; i < COUNT(w->records) && w->records[i] != NULL; i++)
		if (tlsa_parse(&h->tlsa[h->ntlsa++], w->records[i], &f) == -1)
			abort();
}

static int
has_hosts(enum facts_mx mx)
{
	return mx == FACTS_MX_FOUND || mx == FACTS_MX_IMPLICIT || mx == FACTS_MX_LOCAL;
}

static struct facts *
make_facts(const struct world *w)
{
	struct facts *f = facts_new("test");

	f->mx = w->mx;
	f->mx_sec = w->mx_sec;
	if (has_hosts(w->mx))
		fill_host(facts_add_host(f, "mx.test", 10), w);
	return f;
}

/* ---- facts x policy: what each host gets ---- */

static const char *
host_text(char dst[TEXT_SIZE], const struct plan_host *h)
{
	static const char *const acts[] = { [PLAN_TRY] = "try ", [PLAN_SKIP] = "skip",
		[PLAN_UNSURE] = "unsure" };

	snprintf(dst, TEXT_SIZE, "%s%s [%s]", acts[h->act],
	    h->act == PLAN_TRY ? plan_need_name(h->need) : "", h->rule);
	return dst;
}

/* Under dane none the records change nothing; under mandatory the level changes nothing. */
struct host_row {
	const char *name;
	struct world w;
	const char *pref_opp, *req_opp, *mandatory;
	size_t usable;
};

#define FOUND .addrs = FACTS_ADDRS_FOUND, .tlsa
#define SIGNED FACTS_MX_FOUND, DNS_SECURE, FOUND
#define UNSIGNED FACTS_MX_FOUND, DNS_INSECURE, FOUND
#define NO_ADDRESS .mx = FACTS_MX_FOUND, .mx_sec = DNS_SECURE, .addrs = FACTS_ADDRS_NONE
#define LOST_ADDRESS .mx = FACTS_MX_FOUND, .mx_sec = DNS_SECURE, .addrs = FACTS_ADDRS_FAILED

static const struct host_row host_rows[] = {
	{ "TLSA not asked", { SIGNED = FACTS_TLSA_NOT_ASKED },
	    "try may [local]", "try encrypt [local]", "skip [RFC 7672 6]", 0 },
	{ "an address literal", { FACTS_MX_LOCAL, DNS_SECURE, FOUND = FACTS_TLSA_NO_NAME },
	    "try may [RFC 6698 3]", "try encrypt [RFC 6698 3]", "skip [RFC 7672 6]", 0 },
	{ "addresses unsigned", { SIGNED = FACTS_TLSA_UNSIGNED },
	    "try may [RFC 7672 2.2.2]", "try encrypt [RFC 7672 2.2.2]", "skip [RFC 7672 6]", 0 },
	{ "TLSA securely absent", { SIGNED = FACTS_TLSA_ABSENT },
	    "try may [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "TLSA insecure", { SIGNED = FACTS_TLSA_INSECURE },
	    "try may [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "TLSA bogus", { SIGNED = FACTS_TLSA_FAILED },
	    "skip [RFC 7672 2.1.2]", "skip [RFC 7672 2.1.2]", "skip [RFC 7672 2.1.2]", 0 },
	{ "TLSA bogus, MX unsigned", { UNSIGNED = FACTS_TLSA_FAILED },
	    "skip [RFC 7672 2.1.2]", "skip [RFC 7672 2.1.2]", "skip [RFC 7672 2.1.2]", 0 },
	{ "TLSA usable", { SIGNED = FACTS_TLSA_FOUND, .records = { USABLE } },
	    "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", 1 },
	{ "usable among unusable", { SIGNED = FACTS_TLSA_FOUND, .records = { PKIX_EE, USABLE, SHORT } },
	    "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", 1 },
	{ "two usable", { SIGNED = FACTS_TLSA_FOUND, .records = { USABLE, "2 0 1 " D32 } },
	    "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", 2 },
	{ "usage 0", { SIGNED = FACTS_TLSA_FOUND, .records = { "0 0 1 " D32 } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "usage 1", { SIGNED = FACTS_TLSA_FOUND, .records = { PKIX_EE } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "usage 4", { SIGNED = FACTS_TLSA_FOUND, .records = { "4 1 1 " D32 } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "selector 2", { SIGNED = FACTS_TLSA_FOUND, .records = { "3 2 1 " D32 } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "matching type 3", { SIGNED = FACTS_TLSA_FOUND, .records = { "3 1 3 " D32 } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "digest of wrong length", { SIGNED = FACTS_TLSA_FOUND, .records = { SHORT } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "SHA-512 of SHA-256's length", { SIGNED = FACTS_TLSA_FOUND, .records = { "3 1 2 " D32 } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "no certificate in 2 0 0", { SIGNED = FACTS_TLSA_FOUND, .records = { "2 0 0 3003020100" } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "damaged records only", { SIGNED = FACTS_TLSA_FOUND, .damaged = 2 },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "TLSA usable, MX unsigned", { UNSIGNED = FACTS_TLSA_FOUND, .records = { USABLE } },
	    "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", "skip [RFC 7672 2.2.1]", 1 },
	{ "TLSA unusable, MX unsigned", { UNSIGNED = FACTS_TLSA_FOUND, .records = { PKIX_EE } },
	    "try encrypt [RFC 7672 2.2]", "try encrypt [RFC 7672 2.2]", "skip [RFC 7672 6]", 0 },
	{ "implicit MX, TLSA usable", { FACTS_MX_IMPLICIT, DNS_SECURE, FOUND = FACTS_TLSA_FOUND,
	    .records = { USABLE } },
	    "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", 1 },
	{ "[host], TLSA usable", { FACTS_MX_LOCAL, DNS_SECURE, FOUND = FACTS_TLSA_FOUND,
	    .records = { USABLE } },
	    "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", 1 },
	{ "AAAA bogus, A secure", { SIGNED = FACTS_TLSA_FOUND, .records = { USABLE }, .one_family = 1 },
	    "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", "try dane [RFC 7672 2.2]", 1 },
	{ "no address", { NO_ADDRESS },
	    "skip [RFC 5321 5.1]", "skip [RFC 5321 5.1]", "skip [RFC 5321 5.1]", 0 },
	{ "addresses failed", { LOST_ADDRESS },
	    "unsure [RFC 7672 2.1.2]", "unsure [RFC 7672 2.1.2]", "unsure [RFC 7672 2.1.2]", 0 },
};

static void
check_host(const struct host_row *row, enum policy_tls tls, enum policy_dane dane, const char *want)
{
	struct facts *facts = make_facts(&row->w);
	struct policy policy = { .tls = tls, .dane = dane };
	struct plan plan;
	char got[TEXT_SIZE];

	policy_plan(&policy, facts, &plan);
	unit_int(plan.nhost, 1, "%s: one host", row->name);
	unit_str(host_text(got, &plan.host[0]), want, "%s: tls %s dane %s", row->name,
	    policy_tls_name(tls), policy_dane_name(dane));
	if (dane == OPP)
		unit_int(plan.host[0].usable, row->usable, "%s: usable records", row->name);
	plan_clear(&plan);
	facts_free(facts);
}

/* Where the host cannot be reached at all, dane none changes nothing either. */
static const char *
without_dane(const struct host_row *row, const char *otherwise)
{
	return row->w.addrs == FACTS_ADDRS_FOUND ? otherwise : row->pref_opp;
}

static void
test_hosts(void)
{
	size_t i;

	for (i = 0; i < COUNT(host_rows); i++) {
		const struct host_row *row = &host_rows[i];

		check_host(row, NO, NONE, without_dane(row, "try clear [local]"));
		check_host(row, PREF, NONE, without_dane(row, "try may [local]"));
		check_host(row, REQ, NONE, without_dane(row, "try encrypt [local]"));
		check_host(row, PREF, OPP, row->pref_opp);
		check_host(row, REQ, OPP, row->req_opp);
		check_host(row, PREF, MAND, row->mandatory);
		check_host(row, REQ, MAND, row->mandatory);
	}
}

/* ---- facts: the kind of plan ---- */

static const struct {
	const char *name;
	enum facts_mx mx;
	enum dns_sec sec;
	enum plan_kind kind;
	const char *rule;
	int domain_bound, hosts;
} kind_rows[] = {
	{ "MX", FACTS_MX_FOUND, DNS_SECURE, PLAN_HOSTS, "RFC 7672 2.2.1", 1, 1 },
	{ "MX unsigned", FACTS_MX_FOUND, DNS_INSECURE, PLAN_HOSTS, "RFC 7672 2.2.1", 0, 1 },
	{ "implicit MX", FACTS_MX_IMPLICIT, DNS_SECURE, PLAN_HOSTS, "RFC 5321 5.1", 1, 1 },
	{ "implicit MX unsigned", FACTS_MX_IMPLICIT, DNS_INSECURE, PLAN_HOSTS, "RFC 5321 5.1", 0, 1 },
	{ "[host]", FACTS_MX_LOCAL, DNS_SECURE, PLAN_HOSTS, "local", 1, 1 },
	{ "null MX", FACTS_MX_NULL, DNS_SECURE, PLAN_NOMAIL, "RFC 7505 3", 1, 0 },
	{ "null MX unsigned", FACTS_MX_NULL, DNS_INSECURE, PLAN_NOMAIL, "RFC 7505 3", 0, 0 },
	{ "no domain", FACTS_MX_NODOMAIN, DNS_SECURE, PLAN_NODOMAIN, "RFC 5321 5.1", 1, 0 },
	{ "MX bogus", FACTS_MX_FAILED, DNS_BOGUS, PLAN_DEFER, "RFC 7672 2.1.2", 0, 0 },
	{ "MX failed", FACTS_MX_FAILED, DNS_FAILED, PLAN_DEFER, "RFC 7672 2.1.2", 0, 0 },
};

static void
test_kinds(void)
{
	struct policy policy = POLICY_DEFAULT;
	size_t i;

	for (i = 0; i < COUNT(kind_rows); i++) {
		struct world w = { .mx = kind_rows[i].mx, .mx_sec = kind_rows[i].sec,
			FOUND = FACTS_TLSA_ABSENT };
		struct facts *facts = make_facts(&w);
		struct plan plan;

		policy_plan(&policy, facts, &plan);
		unit_int(plan.kind, kind_rows[i].kind, "%s: kind", kind_rows[i].name);
		unit_str(plan.rule, kind_rows[i].rule, "%s: rule", kind_rows[i].name);
		unit_int(plan.domain_bound, kind_rows[i].domain_bound, "%s: bound", kind_rows[i].name);
		unit_int(plan.nhost, kind_rows[i].hosts, "%s: hosts", kind_rows[i].name);
		plan_clear(&plan);
		facts_free(facts);
	}
}

/* ---- hosts of routes ---- */

static const struct route_row {
	const char *name;
	enum facts_protocol protocol;
	int socket, password;
	enum policy_tls tls;
	enum policy_dane dane;
	enum facts_tlsa tlsa;
	unsigned message;
	enum plan_act act;
	enum plan_need need;
	int check, requiretls;
} route_rows[] = {
	{ "smtp", FACTS_SMTP, 0, 0, POLICY_TLS_PREFERRED, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_TRY, PLAN_MAY, 0, 0 },
	{ "smtps is encrypted", FACTS_SMTPS, 0, 0, POLICY_TLS_PREFERRED, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_TRY,
	    PLAN_ENCRYPT, 0, 0 },
	{ "smtps, level no", FACTS_SMTPS, 0, 0, POLICY_TLS_NO, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_TRY, PLAN_ENCRYPT, 0, 0 },
	{ "smtps, verified", FACTS_SMTPS, 0, 0, POLICY_TLS_REQUIRED_VERIFY, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_TRY,
	    PLAN_PKIX, 1, 0 },
	{ "lmtp as smtp", FACTS_LMTP, 0, 0, POLICY_TLS_REQUIRED, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_TRY, PLAN_ENCRYPT, 0, 0 },
	{ "a password raises preferred", FACTS_SMTP, 0, 1, POLICY_TLS_PREFERRED, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_TRY,
	    PLAN_PKIX, 1, 0 },
	{ "a password raises required", FACTS_SMTP, 0, 1, POLICY_TLS_REQUIRED, POLICY_DANE_OPPORTUNISTIC, FACTS_TLSA_UNSIGNED, 0,
	    PLAN_TRY, PLAN_PKIX, 1, 0 },
	{ "a password and smtps, level no", FACTS_SMTPS, 0, 1, POLICY_TLS_NO, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_TRY,
	    PLAN_PKIX, 1, 0 },
	{ "a password, level no", FACTS_SMTP, 0, 1, POLICY_TLS_NO, POLICY_DANE_NONE, FACTS_TLSA_ABSENT, 0, PLAN_SKIP, PLAN_PKIX, 0, 0 },
	{ "a socket", FACTS_LMTP, 1, 0, POLICY_TLS_PREFERRED, POLICY_DANE_OPPORTUNISTIC, FACTS_TLSA_NO_NAME, 0, PLAN_TRY, PLAN_CLEAR,
	    0, 0 },
	{ "a socket, whatever is required", FACTS_LMTP, 1, 0, POLICY_TLS_REQUIRED_VERIFY, POLICY_DANE_MANDATORY, FACTS_TLSA_NO_NAME,
	    POLICY_MESSAGE_REQUIRETLS, PLAN_TRY, PLAN_CLEAR, 0, 0 },
};

static struct facts *
route_facts(const struct route_row *r)
{
	struct facts *facts = facts_new("[smart.test]");
	struct facts_host *h = facts_add_host(facts, "smart.test", 0);

	facts->mx = FACTS_MX_LOCAL;
	facts->mx_sec = DNS_SECURE;
	h->protocol = r->protocol;
	h->path = r->socket ? xstrdup("/run/l") : NULL;
	h->addr = xcalloc(1, sizeof *h->addr);
	h->addr[0].family = r->socket ? AF_UNIX : AF_INET;
	h->naddr = 1;
	h->addrs = FACTS_ADDRS_FOUND;
	h->addrs_sec = DNS_SECURE;
	h->tlsa_state = r->tlsa;
	return facts;
}

static void
test_routes(void)
{
	size_t i;

	for (i = 0; i < COUNT(route_rows); i++) {
		const struct route_row *r = &route_rows[i];
		struct policy policy = POLICY_DEFAULT;
		struct facts *facts = route_facts(r);
		struct plan plan;

		policy.routed = 1;
		policy.password = r->password;
		policy.tls = r->tls;
		policy.dane = r->dane;
		policy.message = r->message;
		policy_plan(&policy, facts, &plan);
		unit_int(plan.kind, PLAN_HOSTS, "%s: hosts", r->name);
		unit_int(plan.host[0].act, r->act, "%s: act", r->name);
		unit_int(plan.host[0].need, r->need, "%s: need", r->name);
		unit_int(plan.host[0].check, r->check, "%s: check", r->name);
		unit_int(plan.host[0].requiretls, r->requiretls, "%s: REQUIRETLS", r->name);
		plan_clear(&plan);
		facts_free(facts);
	}
}

/* What the domain of a route lacks is ours to mend: nothing bounces for it. */
static void
test_route_to_nowhere(void)
{
	static const enum facts_mx mx[] = { FACTS_MX_NULL, FACTS_MX_NODOMAIN };
	struct policy policy = POLICY_DEFAULT;
	size_t i;

	policy.routed = 1;
	for (i = 0; i < COUNT(mx); i++) {
		struct facts *facts = facts_new("smart.test");
		struct plan plan;

		facts->mx = mx[i];
		policy_plan(&policy, facts, &plan);
		unit_int(plan.kind, PLAN_DEFER, "row %zu: %s", i, plan.why);
		unit_str(plan.status, "4.3.5", "row %zu: status", i);
		plan_clear(&plan);
		facts_free(facts);
	}
}

/* ---- hosts that lead nowhere, and the relay among them ---- */

/*
 * A host: preference and letter.  Without a letter its address leads elsewhere; n: it has none; f: that
 * could not be asked; l: loopback; b: loopback and one that is not; o: the relay's address; s: its name.
 */
static void
add_spelled(struct facts *f, const char *word)
{
	char letter = word[strlen(word) - 1];
	struct facts_host *h = facts_add_host(f, word, strtoul(word, NULL, 10));
	static const char *const text[] = { "192.0.2.1", "127.0.0.1" };
	size_t i;

	h->addrs = letter == 'n' ? FACTS_ADDRS_NONE : letter == 'f' ? FACTS_ADDRS_FAILED :
	    FACTS_ADDRS_FOUND;
	h->addrs_sec = DNS_SECURE;
	h->tlsa_state = FACTS_TLSA_ABSENT;
	h->own = letter == 's';
	h->naddr = h->addrs != FACTS_ADDRS_FOUND ? 0 : letter == 'b' ? 2 : 1;
	h->addr = xcalloc(2, sizeof *h->addr);
	for (i = 0; i < h->naddr; i++) {
		h->addr[i].family = AF_INET;
		h->addr[i].own = letter == 'o';
		inet_pton(AF_INET, text[letter == 'l' || i == 1], &h->addr[i].ip.v4);
	}
}

enum { FREE, GUARD, ROUTED };

static const struct {
	const char *hosts;	/* in the order of preference; i first: implicit MX */
	int way;
	const char *plan;	/* the kind's status ("" : its hosts) and rule */
	const char *acts;	/* of each host: t, s, u */
	enum verdict_word word;
} way_rows[] = {
	/* RFC 5321 5.1: none usable must be reported as an error; RFC 3463 3.5: 5.4.4 unable to route. */
	{ "10n", GUARD, "5.4.4 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	{ "10n", FREE, "5.4.4 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	{ "10n 20n", GUARD, "5.4.4 [RFC 5321 5.1]", "ss", VERDICT_SKIP },
	{ "i n", GUARD, "5.4.4 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	/* What could not be asked may be there. */
	{ "10f", GUARD, " [RFC 7672 2.2.1]", "u", VERDICT_INCONCLUSIVE },
	{ "10n 20f", GUARD, " [RFC 7672 2.2.1]", "su", VERDICT_INCONCLUSIVE },
	{ "10n 20", GUARD, " [RFC 7672 2.2.1]", "st", VERDICT_INCONCLUSIVE },
	/* An address that leads to no other host is none. */
	{ "10l", GUARD, "5.4.4 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	{ "10l 20n", GUARD, "5.4.4 [RFC 5321 5.1]", "ss", VERDICT_SKIP },
	{ "10l 20", GUARD, " [RFC 7672 2.2.1]", "st", VERDICT_INCONCLUSIVE },
	{ "10b", GUARD, " [RFC 7672 2.2.1]", "t", VERDICT_INCONCLUSIVE },
	{ "10l", FREE, " [RFC 7672 2.2.1]", "t", VERDICT_INCONCLUSIVE },
	{ "i l", GUARD, "5.4.4 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	/* RFC 5321 5.1: the relay's own preference and all behind it are discarded; 5.4.6 is a loop. */
	{ "10s", GUARD, "5.4.6 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	{ "10o", GUARD, "5.4.6 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	{ "10o", FREE, "5.4.6 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	{ "10 10s 20", GUARD, "5.4.6 [RFC 5321 5.1]", "sss", VERDICT_SKIP },
	{ "5 10s 20", GUARD, " [RFC 7672 2.2.1]", "tss", VERDICT_INCONCLUSIVE },
	{ "5 10o 20", FREE, " [RFC 7672 2.2.1]", "tss", VERDICT_INCONCLUSIVE },
	{ "i s", GUARD, "5.4.6 [RFC 5321 5.1]", "s", VERDICT_SKIP },
	/* Postfix's "unable to find primary relay", and "configuration problem". */
	{ "5n 10s", GUARD, "4.4.4 [RFC 5321 5.1]", "ss", VERDICT_INCONCLUSIVE },
	{ "5f 10s", GUARD, " [RFC 7672 2.2.1]", "us", VERDICT_INCONCLUSIVE },
	{ "0n", ROUTED, "4.3.5 [local]", "s", VERDICT_INCONCLUSIVE },
	{ "0l", ROUTED, " [RFC 7672 2.2.1]", "t", VERDICT_INCONCLUSIVE },
};

static void
check_way(size_t row, struct facts *f)
{
	struct policy policy = { .tls = PREF, .dane = OPP, .guard = way_rows[row].way == GUARD,
		.routed = way_rows[row].way == ROUTED };
	struct verdict v[4], domain;
	char got[TEXT_SIZE], acts[5] = "";
	struct plan plan;
	size_t i;

	policy_plan(&policy, f, &plan);
	snprintf(got, sizeof got, "%s [%s]", plan.status, plan.rule);
	unit_str(got, way_rows[row].plan, "%s, way %d: the plan", way_rows[row].hosts, way_rows[row].way);
	for (i = 0; i < plan.nhost && i < 4; i++) {
		acts[i] = "tsu"[plan.host[i].act];
		policy_judge(&plan.host[i], NULL, &v[i]);
	}
	unit_str(acts, way_rows[row].acts, "%s, way %d: the hosts", way_rows[row].hosts, way_rows[row].way);
	policy_domain(&plan, v, i, &domain);
	unit_int(domain.word, way_rows[row].word, "%s, way %d: the verdict", way_rows[row].hosts,
	    way_rows[row].way);
	unit_str(plan.trace.v[plan.trace.n - 1].rule, plan.kind == PLAN_HOSTS ?
	    plan.host[plan.nhost - 1].rule : plan.rule, "%s: the last rule of the trace",
	    way_rows[row].hosts);
	while (i > 0)
		verdict_clear(&v[--i]);
	verdict_clear(&domain);
	plan_clear(&plan);
}

static void
test_ways(void)
{
	char *words, *word, *rest;
	size_t i;

	for (i = 0; i < COUNT(way_rows); i++) {
		struct facts *f = facts_new("test");

		f->mx = FACTS_MX_FOUND;
		f->mx_sec = DNS_SECURE;
		words = rest = xstrdup(way_rows[i].hosts);
		while ((word = strsep(&rest, " ")) != NULL)
			if (strcmp(word, "i") == 0)
				f->mx = FACTS_MX_IMPLICIT;
			else
				add_spelled(f, word);
		check_way(i, f);
		free(words);
		facts_free(f);
	}
}

/* Of 65 hosts the last is not known: it may have an address. */
static void
test_left_out(void)
{
	struct policy policy = { .tls = PREF, .dane = OPP, .guard = 1 };
	struct facts *f = facts_new("test");
	struct plan plan;

	f->mx = FACTS_MX_FOUND;
	f->hosts_left_out = 1;
	add_spelled(f, "10n");
	policy_plan(&policy, f, &plan);
	unit_int(plan.kind, PLAN_HOSTS, "who left hosts out cannot say that none has an address");
	plan_clear(&plan);
	facts_free(f);
}

/* A better preference without TLSA records stays before a worse one that has them. */
static void
test_order(void)
{
	struct policy policy = POLICY_DEFAULT;
	struct facts *f = facts_new("test");
	struct world plain = { SIGNED = FACTS_TLSA_ABSENT };
	struct world dane = { SIGNED = FACTS_TLSA_FOUND, .records = { USABLE } };
	struct plan plan;

	f->mx = FACTS_MX_FOUND;
	f->mx_sec = DNS_SECURE;
	fill_host(facts_add_host(f, "plain.test", 10), &plain);
	fill_host(facts_add_host(f, "dane.test", 20), &dane);
	policy_plan(&policy, f, &plan);
	unit_str(plan.host[0].host->name, "plain.test", "preference beats security (RFC 7672 2.2.1)");
	unit_int(plan.host[0].need, PLAN_MAY, "the first host's need is its own");
	unit_int(plan.host[1].need, PLAN_DANE, "the second host's need is its own");
	plan_clear(&plan);
	facts_free(f);
}

/* The whole trace of one plan: each fact once, in the order of the decisions. */
static void
test_trace(void)
{
	static const struct policy_step want[] = {
		{ (char *)"test: 1 MX host (secure)", "RFC 7672 2.2.1", (char *)"its hosts in their order" },
		{ (char *)"mx.test: AAAA bogus: signature expired", "RFC 7672 2.1.2",
		    (char *)"the other family is used" },
		{ (char *)"mx.test: 1 of 2 TLSA records of mx.test usable: one must match", "RFC 7672 2.2",
		    (char *)"connect, TLS: dane" } };
	struct policy policy = POLICY_DEFAULT;
	struct world w = { SIGNED = FACTS_TLSA_FOUND, .records = { USABLE, PKIX_EE }, .one_family = 1 };
	struct facts *facts = make_facts(&w);
	struct plan plan;
	size_t i;

	policy_plan(&policy, facts, &plan);
	unit_int(plan.trace.n, COUNT(want), "lines of the trace");
	for (i = 0; i < plan.trace.n && i < COUNT(want); i++) {
		unit_str(plan.trace.v[i].fact, want[i].fact, "trace %zu: fact", i);
		unit_str(plan.trace.v[i].rule, want[i].rule, "trace %zu: rule", i);
		unit_str(plan.trace.v[i].then, want[i].then, "trace %zu: consequence", i);
	}
	plan_clear(&plan);
	facts_free(facts);
}

/* ---- host x seen: verdicts ---- */

static const char *
verdict_text(char dst[TEXT_SIZE], const struct verdict *v)
{
	snprintf(dst, TEXT_SIZE, "%s [%s]", verdict_name(v->word), v->rule);
	return dst;
}

/* One order of each sort, made by policy_plan() from the facts that lead to it. */
static const struct order {
	const char *name;
	struct policy policy;
	struct world w;
} orders[] = {
	{ "clear", P(NO, NONE), { SIGNED = FACTS_TLSA_ABSENT } },
	{ "may", P(PREF, OPP), { SIGNED = FACTS_TLSA_ABSENT } },
	{ "encrypt by level", P(REQ, OPP), { SIGNED = FACTS_TLSA_UNSIGNED } },
	{ "encrypt by TLSA", P(PREF, OPP), { SIGNED = FACTS_TLSA_FOUND, .records = { PKIX_EE } } },
	{ "dane", P(PREF, OPP), { SIGNED = FACTS_TLSA_FOUND, .records = { USABLE } } },
	{ "encrypt by level beside TLSA", P(REQ, NONE), { SIGNED = FACTS_TLSA_FOUND,
	    .records = { USABLE } } },
};

#define ALL(x) { x, x, x, x, x, x }
/* Level no never gets so far. */
#define BUT_CLEAR(x) { "CLEAR [local]", x, x, x, x, x }

static const struct {
	enum seen_end end;
	const char *name;
	const char *want[COUNT(orders)];
} clear_rows[] = {
	{ SEEN_READY, "ready", { "CLEAR [local]", "CLEAR [RFC 3207 4]", "SKIP [local]",
	    "SKIP [RFC 7672 2.2]", "SKIP [RFC 7672 2.2]", "SKIP [local]" } },
	{ SEEN_NO_STARTTLS, "no STARTTLS", { "CLEAR [local]", "CLEAR [RFC 3207 4]", "SKIP [local]",
	    "SKIP [RFC 7672 2.2]", "SKIP [RFC 7672 2.2]", "SKIP [local]" } },
	{ SEEN_STARTTLS_REFUSED, "454", { "CLEAR [local]", "CLEAR [RFC 3207 4]", "SKIP [local]",
	    "SKIP [RFC 7672 2.2]", "SKIP [RFC 7672 2.2]", "SKIP [local]" } },
	{ SEEN_NO_CONNECTION, "no connection", ALL("INCONCLUSIVE [RFC 5321 4.5.4.1]") },
	{ SEEN_TEMPORARY, "421", ALL("INCONCLUSIVE [RFC 5321 4.2.1]") },
	{ SEEN_REFUSED, "554", ALL("SKIP [RFC 5321 3.1]") },
	{ SEEN_INJECTION, "injection", BUT_CLEAR("SKIP [RFC 3207 4.2]") },
	{ SEEN_HANDSHAKE_FAILED, "handshake failed", BUT_CLEAR("SKIP [RFC 3207 4.1]") },
	{ SEEN_PROTOCOL, "not SMTP", ALL("SKIP [RFC 5321 4.2]") },
};

static void
check_seen(const struct order *o, const struct seen *seen, const char *name, const char *want)
{
	struct facts *facts = make_facts(&o->w);
	struct plan plan;
	struct verdict v;
	char got[TEXT_SIZE];

	policy_plan(&o->policy, facts, &plan);
	policy_judge(&plan.host[0], seen, &v);
	unit_str(verdict_text(got, &v), want, "%s: %s", o->name, name);
	verdict_clear(&v);
	plan_clear(&plan);
	facts_free(facts);
}

static void
test_in_clear(void)
{
	size_t i, j;

	for (i = 0; i < COUNT(clear_rows); i++)
		for (j = 0; j < COUNT(orders); j++) {
			struct seen seen = { .end = clear_rows[i].end, .text = "454 4.7.0 words" };

			check_seen(&orders[j], &seen, clear_rows[i].name, clear_rows[i].want[j]);
		}
}

#define EE "RFC 7672 3.1.1"
#define MISMATCH "RFC 7672 2.2"

static const struct finding matched = { .result = VERIFY_MATCH, .rule = EE, .why = (char *)"matches" };
static const struct finding unmatched = { .result = VERIFY_NO_MATCH, .rule = MISMATCH,
	.why = (char *)"matches not" };
static const struct finding not_asked = { .result = VERIFY_NOT_ASKED };

/* What DANE found, as proof_make() hands it over. */
static const struct proof *
proof_of(const struct finding *dane)
{
	static struct proof proof;

	if (dane == NULL)
		return NULL;
	proof.dane = *dane;
	return &proof;
}

/* TLS is up.  Orders other than dane do not look at the finding. */
static const struct {
	const char *name;
	enum seen_end end;
	const struct finding *found;
	const char *may, *level, *tlsa, *dane;
} tls_rows[] = {
	{ "match", SEEN_READY, &matched, "ENC [RFC 7672 2.2]", "ENC [RFC 7672 2.2.2]",
	    "ENC [RFC 7672 2.2]", "AUTH [" EE "]" },
	{ "no match", SEEN_READY, &unmatched, "ENC [RFC 7672 2.2]", "ENC [RFC 7672 2.2.2]",
	    "ENC [RFC 7672 2.2]", "SKIP [" MISMATCH "]" },
	{ "not verified", SEEN_READY, &not_asked, "ENC [RFC 7672 2.2]", "ENC [RFC 7672 2.2.2]",
	    "ENC [RFC 7672 2.2]", "SKIP [RFC 7672 2.2]" },
	{ "no finding", SEEN_READY, NULL, "ENC [RFC 7672 2.2]", "ENC [RFC 7672 2.2.2]",
	    "ENC [RFC 7672 2.2]", "SKIP [RFC 7672 2.2]" },
	{ "421 under TLS", SEEN_TEMPORARY, &matched, "INCONCLUSIVE [RFC 5321 4.2.1]",
	    "INCONCLUSIVE [RFC 5321 4.2.1]", "INCONCLUSIVE [RFC 5321 4.2.1]",
	    "INCONCLUSIVE [RFC 5321 4.2.1]" },
	{ "421 under TLS, no match", SEEN_TEMPORARY, &unmatched, "INCONCLUSIVE [RFC 5321 4.2.1]",
	    "INCONCLUSIVE [RFC 5321 4.2.1]", "INCONCLUSIVE [RFC 5321 4.2.1]", "SKIP [" MISMATCH "]" },
	{ "554 under TLS", SEEN_REFUSED, &matched, "SKIP [RFC 5321 4.2.1]", "SKIP [RFC 5321 4.2.1]",
	    "SKIP [RFC 5321 4.2.1]", "SKIP [RFC 5321 4.2.1]" },
	{ "not SMTP under TLS", SEEN_PROTOCOL, &matched, "SKIP [RFC 5321 4.2.1]",
	    "SKIP [RFC 5321 4.2.1]", "SKIP [RFC 5321 4.2.1]", "SKIP [RFC 5321 4.2.1]" },
};

static void
test_under_tls(void)
{
	size_t i;

	for (i = 0; i < COUNT(tls_rows); i++) {
		struct seen seen = { .end = tls_rows[i].end, .tls = 1, .text = "words",
			.proof = proof_of(tls_rows[i].found) };

		check_seen(&orders[1], &seen, tls_rows[i].name, tls_rows[i].may);
		check_seen(&orders[2], &seen, tls_rows[i].name, tls_rows[i].level);
		check_seen(&orders[3], &seen, tls_rows[i].name, tls_rows[i].tlsa);
		check_seen(&orders[4], &seen, tls_rows[i].name, tls_rows[i].dane);
	}
}

/* Where the peer or the system said why, the reason passes it on. */
static void
test_peer_words(void)
{
	static const enum seen_end ends[] = { SEEN_NO_CONNECTION, SEEN_TEMPORARY, SEEN_REFUSED,
		SEEN_STARTTLS_REFUSED, SEEN_INJECTION, SEEN_HANDSHAKE_FAILED, SEEN_PROTOCOL };
	struct facts *facts = make_facts(&orders[4].w);
	struct plan plan;
	size_t i;

	policy_plan(&orders[4].policy, facts, &plan);
	for (i = 0; i < COUNT(ends); i++) {
		struct seen seen = { .end = ends[i], .text = "454 4.7.0 words" };
		struct verdict v;

		policy_judge(&plan.host[0], &seen, &v);
		unit_ok(strstr(v.why, seen.text) != NULL, "end %d: the peer's words: %s", ends[i], v.why);
		verdict_clear(&v);
	}
	plan_clear(&plan);
	facts_free(facts);
}

/* Hosts that are not connected to: the plan's own words become the verdict. */
static const struct {
	struct world w;
	const char *want, *why;
} untried_rows[] = {
	{ { SIGNED = FACTS_TLSA_FAILED }, "SKIP [RFC 7672 2.1.2]",
	    "the TLSA lookup failed (no reason known)" },
	{ { NO_ADDRESS }, "SKIP [RFC 5321 5.1]",
	    "it has no address" },
	{ { LOST_ADDRESS },
	    "INCONCLUSIVE [RFC 7672 2.1.2]", "the address lookup failed (no reason known)" },
};

static void
test_untried(void)
{
	struct policy policy = POLICY_DEFAULT;
	char got[TEXT_SIZE];
	size_t i;

	for (i = 0; i < COUNT(untried_rows); i++) {
		struct facts *facts = make_facts(&untried_rows[i].w);
		struct plan plan;
		struct verdict v;

		policy_plan(&policy, facts, &plan);
		policy_judge(&plan.host[0], NULL, &v);
		unit_str(verdict_text(got, &v), untried_rows[i].want, "not tried %zu", i);
		unit_str(v.why, untried_rows[i].why, "not tried %zu: why", i);
		verdict_clear(&v);
		plan_clear(&plan);
		facts_free(facts);
	}
}

/* A message that requires TLS: what ends it (RFC 8689 4.2.1), and what leaves it waiting. */
static const struct {
	enum seen_end end;
	int tls, offered;
	const struct finding *found;
	const char *want, *status;
} require_rows[] = {
	{ SEEN_READY, 1, 1, &matched, "AUTH [" EE "]", NULL },
	{ SEEN_READY, 1, 0, &matched, "SKIP [RFC 8689 4.2.1]", "5.7.30" },
	{ SEEN_READY, 1, 1, &unmatched, "SKIP [" MISMATCH "]", "5.7.30" },
	{ SEEN_NO_STARTTLS, 0, 0, NULL, "SKIP [RFC 7672 2.2]", "5.7.30" },
	{ SEEN_STARTTLS_REFUSED, 0, 0, NULL, "SKIP [RFC 7672 2.2]", "5.7.30" },
	{ SEEN_HANDSHAKE_FAILED, 0, 0, NULL, "SKIP [RFC 3207 4.1]", "5.7.30" },
	{ SEEN_TEMPORARY, 1, 0, &matched, "INCONCLUSIVE [RFC 5321 4.2.1]", NULL },
	{ SEEN_TEMPORARY, 0, 0, NULL, "INCONCLUSIVE [RFC 5321 4.2.1]", NULL },
	{ SEEN_NO_CONNECTION, 0, 0, NULL, "INCONCLUSIVE [RFC 5321 4.5.4.1]", NULL },
	/* It says nothing of its TLS. */
	{ SEEN_REFUSED, 0, 0, NULL, "SKIP [RFC 5321 3.1]", NULL },
	{ SEEN_PROTOCOL, 0, 0, NULL, "SKIP [RFC 5321 4.2]", NULL },
};

static void
test_required_by_message(void)
{
	struct policy policy = { .tls = PREF, .dane = OPP, .requiretls = POLICY_REQUIRETLS_HONOUR,
		.message = POLICY_MESSAGE_REQUIRETLS };
	struct facts *facts = make_facts(&orders[4].w);
	struct plan plan;
	struct verdict v;
	char got[TEXT_SIZE];
	size_t i;

	policy_plan(&policy, facts, &plan);
	for (i = 0; i < COUNT(require_rows); i++) {
		struct seen seen = { .end = require_rows[i].end, .tls = require_rows[i].tls, .text = "words",
			.requiretls = require_rows[i].offered, .proof = proof_of(require_rows[i].found) };

		policy_judge(&plan.host[0], &seen, &v);
		unit_str(verdict_text(got, &v), require_rows[i].want, "REQUIRETLS %zu", i);
		unit_str(v.status, require_rows[i].status, "REQUIRETLS %zu: status", i);
		verdict_clear(&v);
	}
	plan_clear(&plan);
	/* requiretls no: as any other message. */
	policy.requiretls = POLICY_REQUIRETLS_NO;
	policy_plan(&policy, facts, &plan);
	unit_int(plan.host[0].requiretls, 0, "requiretls no passes it over");
	unit_str(plan.trace.v[1].rule, "local", "by a setting");
	plan_clear(&plan);
	/* Whoever never uses TLS cannot take it. */
	policy = (struct policy){ .tls = NO, .requiretls = POLICY_REQUIRETLS_HONOUR,
		.message = POLICY_MESSAGE_REQUIRETLS };
	policy_plan(&policy, facts, &plan);
	unit_int(plan.kind, PLAN_UNPROTECTED, "level no: permanent");
	unit_str(plan.status, "5.7.30", "level no: its status");
	plan_clear(&plan);
	facts_free(facts);
}

/* The trace tells what the message and MTA-STS have to say. */
static void
test_trace_of_sts(void)
{
	struct policy policy = POLICY_DEFAULT;
	struct world w = { SIGNED = FACTS_TLSA_ABSENT };
	struct facts *facts = make_facts(&w);
	struct buf b = BUF_INIT;
	struct plan plan;

	policy.fallback = POLICY_FALLBACK_NEVER;
	facts->sts_state = FACTS_STS_FOUND;
	facts->sts_id = xstrdup("7");
	facts->sts.mode = STS_ENFORCE;
	facts->sts.mx = xcalloc(2, sizeof *facts->sts.mx);
	facts->sts.mx[0] = xstrdup("a.test");
	facts->sts.mx[1] = xstrdup("mx.test");
	facts->sts.nmx = 2;
	policy_plan(&policy, facts, &plan);
	plan_explain(&b, &plan);
	unit_str(b.p, "test: policy tls preferred dane opportunistic fallback never\n"
	    "    test: 1 MX host (secure) [RFC 7672 2.2.1] -> its hosts in their order\n"
	    "    test: MTA-STS policy 7, mode enforce, mx a.test mx.test [RFC 8461 5] -> decides for hosts "
	    "without DANE\n"
	    "    mx.test: it has no TLSA records (proven): MTA-STS is enforced, and an mx pattern names it "
	    "[RFC 8461 5] -> connect, TLS: sts\n", "the whole trace");
	unit_int(plan_wants_trust(&plan), 1, "the lists of CAs are needed");
	buf_clear(&b);
	plan_clear(&plan);
	policy.message = POLICY_MESSAGE_TLS_OPTIONAL;
	policy_plan(&policy, facts, &plan);
	unit_str(plan.trace.v[1].rule, "RFC 8689 4.2.2", "TLS-Required: No is in the trace");
	unit_int(plan.host[0].need, PLAN_MAY, "and sets MTA-STS aside");
	unit_int(policy_wants_sts(&policy), 0, "which is not asked for then");
	unit_int(policy_wants_tlsa(&policy), 0, "nor are TLSA records");
	plan_clear(&plan);
	/* A route has no MTA-STS policy. */
	policy = (struct policy)POLICY_DEFAULT;
	policy.routed = 1;
	unit_int(policy_wants_sts(&policy), 0, "nor behind a route");
	facts_free(facts);
}

/* ---- the domain ---- */

#define A VERDICT_AUTH
#define E VERDICT_ENC
#define C VERDICT_CLEAR
#define S VERDICT_SKIP
#define I VERDICT_INCONCLUSIVE
#define HOSTS_MAX 4

/* Each host's rule tells which host's verdict became the domain's. */
static const char *const word_rules[] = { [A] = "RFC 7672 3.1.1", [E] = "RFC 7672 2.2",
	[C] = "RFC 3207 4", [S] = "RFC 7672 2.1.2", [I] = "RFC 5321 4.2.1" };

static const struct {
	enum facts_mx mx;
	enum dns_sec sec;
	size_t n;
	enum verdict_word words[HOSTS_MAX];
	const char *want;
	size_t hosts_left_out, addrs_left_out;
} domain_rows[] = {
	{ FACTS_MX_FOUND, DNS_SECURE, 1, { A }, "AUTH [RFC 7672 3.1.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 1, { E }, "ENC [RFC 7672 2.2]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 1, { C }, "CLEAR [RFC 3207 4]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 1, { S }, "SKIP [RFC 7672 2.1.2]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 1, { I }, "INCONCLUSIVE [RFC 5321 4.2.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { A, A }, "AUTH [RFC 7672 3.1.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { A, E }, "ENC [RFC 7672 2.2]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { C, A }, "CLEAR [RFC 3207 4]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 3, { A, E, C }, "CLEAR [RFC 3207 4]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { S, A }, "AUTH [RFC 7672 3.1.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 3, { S, E, S }, "ENC [RFC 7672 2.2]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { S, S }, "SKIP [RFC 7672 2.1.2]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { I, A }, "AUTH [RFC 7672 3.1.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { I, C }, "CLEAR [RFC 3207 4]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { I, S }, "INCONCLUSIVE [RFC 5321 4.2.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 4, { S, I, E, A }, "ENC [RFC 7672 2.2]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 0, { A }, "SKIP [RFC 5321 5.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_INSECURE, 1, { A }, "ENC [RFC 7672 2.2.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_INSECURE, 2, { A, S }, "ENC [RFC 7672 2.2.1]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_INSECURE, 2, { A, E }, "ENC [RFC 7672 2.2]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_INSECURE, 2, { A, C }, "CLEAR [RFC 3207 4]", 0, 0 },
	{ FACTS_MX_FOUND, DNS_INSECURE, 1, { S }, "SKIP [RFC 7672 2.1.2]", 0, 0 },
	{ FACTS_MX_IMPLICIT, DNS_SECURE, 1, { A }, "AUTH [RFC 7672 3.1.1]", 0, 0 },
	{ FACTS_MX_IMPLICIT, DNS_INSECURE, 1, { A }, "ENC [RFC 7672 2.2.1]", 0, 0 },
	{ FACTS_MX_LOCAL, DNS_SECURE, 1, { A }, "AUTH [RFC 7672 3.1.1]", 0, 0 },
	{ FACTS_MX_NULL, DNS_SECURE, 0, { A }, "NOMAIL [RFC 7505 3]", 0, 0 },
	{ FACTS_MX_NULL, DNS_INSECURE, 0, { A }, "NOMAIL [RFC 7505 3]", 0, 0 },
	{ FACTS_MX_NODOMAIN, DNS_SECURE, 0, { A }, "SKIP [RFC 5321 5.1]", 0, 0 },
	{ FACTS_MX_FAILED, DNS_BOGUS, 0, { A }, "INCONCLUSIVE [RFC 7672 2.1.2]", 0, 0 },
	{ FACTS_MX_FAILED, DNS_FAILED, 0, { A }, "INCONCLUSIVE [RFC 7672 2.1.2]", 0, 0 },
	/* What was not looked at may be worse: only the worst verdict needs no knowledge of it. */
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { A, A }, "INCONCLUSIVE [local]", 1, 0 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { A, E }, "INCONCLUSIVE [local]", 0, 7 },
	{ FACTS_MX_FOUND, DNS_INSECURE, 1, { A }, "INCONCLUSIVE [local]", 1, 1 },
	{ FACTS_MX_FOUND, DNS_SECURE, 2, { A, C }, "CLEAR [RFC 3207 4]", 1, 0 },
};

static void
check_domain(size_t row)
{
	struct policy policy = POLICY_DEFAULT;
	struct world w = { .mx = domain_rows[row].mx, .mx_sec = domain_rows[row].sec,
		FOUND = FACTS_TLSA_ABSENT };
	struct facts *facts = make_facts(&w);
	struct verdict hosts[HOSTS_MAX], out;
	struct plan plan;
	char got[TEXT_SIZE];
	size_t i;

	for (i = 0; i < domain_rows[row].n; i++) {
		hosts[i].word = domain_rows[row].words[i];
		hosts[i].rule = word_rules[hosts[i].word];
		hosts[i].why = (char *)"because";
		hosts[i].bound = domain_rows[row].sec == DNS_SECURE;
	}
	facts->hosts_left_out = domain_rows[row].hosts_left_out;
	facts->addrs_left_out = domain_rows[row].addrs_left_out;
	policy_plan(&policy, facts, &plan);
	policy_domain(&plan, hosts, domain_rows[row].n, &out);
	unit_str(verdict_text(got, &out), domain_rows[row].want, "domain %zu", row);
	unit_ok(out.why != NULL && out.why[0] != '\0', "domain %zu: a reason", row);
	verdict_clear(&out);
	plan_clear(&plan);
	facts_free(facts);
}

static void
test_domains(void)
{
	size_t i;

	for (i = 0; i < COUNT(domain_rows); i++)
		check_domain(i);
}

#undef A
#undef E
#undef C
#undef S
#undef I

/* ---- words ---- */

/* Each setting with all its words. */
static const struct {
	enum policy_key key;
	const char *name, *words[6];
} word_rows[POLICY_KEYS] = {
	{ POLICY_KEY_TLS, "tls", { "no", "preferred", "preferred-verify", "required", "required-verify",
	    "required-verify-hosted" } },
	{ POLICY_KEY_DANE, "dane", { "none", "opportunistic", "mandatory" } },
	{ POLICY_KEY_STS, "sts", { "none", "follow" } },
	{ POLICY_KEY_REQUIRETLS, "requiretls", { "no", "honour" } },
	{ POLICY_KEY_FALLBACK, "fallback", { "before-220", "after-220", "both", "never" } },
	{ POLICY_KEY_TLS_MIN, "tls-min", { "1.0", "1.1", "1.2", "1.3" } },
	{ POLICY_KEY_FQDN_CHECK, "fqdn-check", { "no", "yes" } },
};

static void
check_words(size_t row)
{
	static const char *const bad[] = { "", "NO", "prefer", "required ", "may", "default", "1" };
	const char *name = word_rows[row].name;
	enum policy_key key = word_rows[row].key;
	struct policy p = POLICY_DEFAULT, other = POLICY_DEFAULT;
	struct fail f = FAIL_INIT;
	size_t i;

	unit_int(policy_key_find(name), key, "%s is found", name);
	unit_str(policy_key_name(key), name, "%s has its name", name);
	for (i = 0; i < COUNT(word_rows[row].words) && word_rows[row].words[i] != NULL; i++) {
		unit_int(policy_set(&p, key, word_rows[row].words[i], &f), 0, "%s %s", name,
		    word_rows[row].words[i]);
		unit_str(policy_word(&p, key), word_rows[row].words[i], "%s goes round", name);
		policy_copy(&other, &p, key);
		unit_str(policy_word(&other, key), word_rows[row].words[i], "%s is copied", name);
	}
	for (i = 0; i < COUNT(bad); i++)
		unit_int(policy_set(&p, key, bad[i], &f), -1, "%s \"%s\" is refused", name, bad[i]);
	unit_int(f.kind, FAIL_INPUT, "a wrong word is input");
}

#define TLS_WORDS "no, preferred, preferred-verify, required, required-verify or required-verify-hosted"

static void
test_words(void)
{
	struct policy p = POLICY_DEFAULT;
	struct fail f = FAIL_INIT;
	enum policy_tls t;
	size_t i;

	for (i = 0; i < COUNT(word_rows); i++)
		check_words(i);
	unit_int(policy_key_find("guard"), -1, "not every field is a setting");
	policy_set(&p, POLICY_KEY_TLS, "yes\n", &f);
	unit_str(f.text, "tls: expected " TLS_WORDS ", not \"yes\\x0a\"", "the words are listed");
	unit_int(policy_parse_level("required", &t, &f), 0, "level is another word for tls");
	unit_int(policy_parse_level("yes", &t, &f), -1, "with the same values");
	unit_str(f.text, "level: expected " TLS_WORDS ", not \"yes\"", "but its own name");
	unit_str(policy_tls_name(POLICY_TLS_REQUIRED_VERIFY), "required-verify", "a level's name");
	unit_str(policy_dane_name(MAND), "mandatory", "a setting's name");
	unit_str(policy_fallback_name(POLICY_FALLBACK_BOTH), "both", "a fallback's name");
}

static const struct {
	struct policy p;
	int rc;
} check_rows[] = {
	{ P(NO, NONE), 0 }, { P(NO, OPP), -1 }, { P(NO, MAND), -1 },
	{ P(PREF, NONE), 0 }, { P(PREF, OPP), 0 }, { P(PREF, MAND), 0 },
	{ P(REQ, NONE), 0 }, { P(REQ, OPP), 0 }, { P(REQ, MAND), 0 },
	{ { .tls = NO, .sts = POLICY_STS_FOLLOW }, -1 }, { { .tls = PREF, .sts = POLICY_STS_FOLLOW }, 0 },
};

static void
test_check(void)
{
	static const struct policy standard = POLICY_DEFAULT;
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < COUNT(check_rows); i++)
		unit_int(policy_check(&check_rows[i].p, &f), check_rows[i].rc, "tls %s dane %s",
		    policy_tls_name(check_rows[i].p.tls), policy_dane_name(check_rows[i].p.dane));
	unit_int(f.kind, FAIL_INPUT, "a contradiction is input");
	unit_int(standard.tls, PREF, "tls preferred where nothing is set");
	unit_int(standard.dane, OPP, "dane opportunistic where nothing is set");
	unit_int(standard.sts, POLICY_STS_FOLLOW, "sts follow where nothing is set");
	unit_int(standard.requiretls, POLICY_REQUIRETLS_HONOUR, "requiretls honour where nothing is set");
	unit_int(standard.fallback, POLICY_FALLBACK_BEFORE_220, "fallback before-220 where nothing is set");
	unit_int(standard.tls_min, POLICY_TLS_MIN_1_2, "tls-min 1.2 where nothing is set");
}

/* ---- the whole product ---- */

static const struct policy all_policies[] = { P(NO, NONE), P(PREF, NONE), P(PREF, OPP),
	P(PREF, MAND), P(REQ, NONE), P(REQ, OPP), P(REQ, MAND) };

static const struct {
	enum facts_mx mx;
	enum dns_sec sec;
} all_mx[] = {
	{ FACTS_MX_FOUND, DNS_SECURE }, { FACTS_MX_FOUND, DNS_INSECURE },
	{ FACTS_MX_IMPLICIT, DNS_SECURE }, { FACTS_MX_IMPLICIT, DNS_INSECURE },
	{ FACTS_MX_LOCAL, DNS_SECURE }, { FACTS_MX_NULL, DNS_SECURE }, { FACTS_MX_NULL, DNS_INSECURE },
	{ FACTS_MX_NODOMAIN, DNS_SECURE }, { FACTS_MX_NODOMAIN, DNS_INSECURE },
	{ FACTS_MX_FAILED, DNS_BOGUS }, { FACTS_MX_FAILED, DNS_FAILED },
};

static const enum facts_addrs all_addrs[] = { FACTS_ADDRS_FOUND, FACTS_ADDRS_NONE,
	FACTS_ADDRS_FAILED };

enum { T_ABSENT, T_FAILED, T_USABLE, T_MIXED, T_UNUSABLE, T_DAMAGED };

static const struct world all_tlsa[] = {
	[T_ABSENT] = { .tlsa = FACTS_TLSA_ABSENT },
	[T_FAILED] = { .tlsa = FACTS_TLSA_FAILED },
	[T_USABLE] = { .tlsa = FACTS_TLSA_FOUND, .records = { USABLE } },
	[T_MIXED] = { .tlsa = FACTS_TLSA_FOUND, .records = { PKIX_EE, USABLE } },
	[T_UNUSABLE] = { .tlsa = FACTS_TLSA_FOUND, .records = { PKIX_EE, SHORT } },
	[T_DAMAGED] = { .tlsa = FACTS_TLSA_FOUND, .damaged = 1 },
	{ .tlsa = FACTS_TLSA_NOT_ASKED }, { .tlsa = FACTS_TLSA_NO_NAME },
	{ .tlsa = FACTS_TLSA_UNSIGNED }, { .tlsa = FACTS_TLSA_INSECURE },
};

static const struct finding *const all_findings[] = { NULL, &not_asked, &matched, &unmatched };

#define ENDS (SEEN_PROTOCOL + 1)
#define N_P COUNT(all_policies)
#define N_M COUNT(all_mx)
#define N_A COUNT(all_addrs)
#define N_T COUNT(all_tlsa)
#define N_S ((size_t)ENDS * 2 * COUNT(all_findings))

/* What came of each combination: the verdicts of host and domain, both owned words and rules. */
struct cell {
	enum verdict_word host, domain;
	enum plan_act act;
	enum plan_need need;
	const char *rule;
	int has_host;
};

static struct cell cells[N_P][N_M][N_A][N_T][N_S];

static const struct finding *
found_in(size_t s)
{
	return all_findings[s / ENDS / 2];
}

static struct seen
seen_of(size_t s)
{
	struct seen seen = { .end = s % ENDS, .tls = s / ENDS % 2, .text = "words",
		.proof = proof_of(found_in(s)) };

	return seen;
}

/* Faults found, by invariant; the first of each is told. */
static void
fault(unsigned *count, const char *what, size_t p, size_t m, size_t a, size_t t, size_t s)
{
	if ((*count)++ == 0)
		printf("# %s: policy %zu mx %zu addrs %zu tlsa %zu seen %zu\n", what, p, m, a, t, s);
}

static int
good_plan(const struct plan *p)
{
	size_t i;

	if (!good_rule(p->rule) || !good_words(p->why) || p->trace.n == 0)
		return 0;
	for (i = 0; i < p->nhost; i++)
		if (!good_rule(p->host[i].rule) || !good_words(p->host[i].why))
			return 0;
	for (i = 0; i < p->trace.n; i++)
		if (!good_rule(p->trace.v[i].rule) || !good_words(p->trace.v[i].fact) ||
		    !good_words(p->trace.v[i].then))
			return 0;
	return 1;
}

/* Returns whether both verdicts carry a rule and a reason. */
static int
fill_cell(struct cell *c, const struct plan *plan, const struct seen *seen)
{
	struct verdict host = { .why = NULL }, domain;
	int good;

	c->has_host = plan->nhost == 1;
	if (c->has_host) {
		policy_judge(&plan->host[0], plan->host[0].act == PLAN_TRY ? seen : NULL, &host);
		c->host = host.word;
		c->rule = host.rule;
		c->act = plan->host[0].act;
		c->need = plan->host[0].need;
	}
	policy_domain(plan, &host, plan->nhost, &domain);
	c->domain = domain.word;
	good = good_rule(domain.rule) && good_words(domain.why) &&
	    (!c->has_host || (good_rule(host.rule) && good_words(host.why)));
	verdict_clear(&host);
	verdict_clear(&domain);
	return good;
}

static void
fill_facts(size_t p, size_t m, size_t a, size_t t, unsigned *plans, unsigned *verdicts)
{
	struct world w = all_tlsa[t];
	struct facts *facts;
	struct plan plan;
	size_t s;

	w.mx = all_mx[m].mx;
	w.mx_sec = all_mx[m].sec;
	w.addrs = all_addrs[a];
	facts = make_facts(&w);
	policy_plan(&all_policies[p], facts, &plan);
	if (!good_plan(&plan))
		fault(plans, "a plan without rule or reason", p, m, a, t, 0);
	for (s = 0; s < N_S; s++) {
		struct seen seen = seen_of(s);

		if (!fill_cell(&cells[p][m][a][t][s], &plan, &seen))
			fault(verdicts, "a verdict without rule or reason", p, m, a, t, s);
	}
	plan_clear(&plan);
	facts_free(facts);
}

typedef int cell_fn(size_t p, size_t m, size_t a, size_t t, size_t s);

/* Calls fn for each combination; a result of 0 is a fault. */
static void
for_all(cell_fn *fn, const char *what)
{
	unsigned faults = 0;
	size_t p, m, a, t, s;

	for (p = 0; p < N_P; p++)
		for (m = 0; m < N_M; m++)
			for (a = 0; a < N_A; a++)
				for (t = 0; t < N_T; t++)
					for (s = 0; s < N_S; s++)
						if (!fn(p, m, a, t, s))
							fault(&faults, what, p, m, a, t, s);
	unit_int(faults, 0, "%s", what);
}

/* 0 where nothing is delivered, else by strength. */
static int
strength(enum verdict_word w)
{
	return w == VERDICT_AUTH ? 3 : w == VERDICT_ENC ? 2 : w == VERDICT_CLEAR ? 1 : 0;
}

static int
never_clear_where_tls_is_needed(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s];

	return !c->has_host || c->act != PLAN_TRY || c->need < PLAN_ENCRYPT ||
	    (c->host != VERDICT_CLEAR && c->domain != VERDICT_CLEAR);
}

static int
encrypted_only_under_tls(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s];

	return !c->has_host || strength(c->host) < 2 || seen_of(s).tls;
}

static int
auth_only_with_match(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s];
	struct seen seen = seen_of(s);

	return !c->has_host || c->host != VERDICT_AUTH || (seen.tls && seen.end == SEEN_READY &&
	    found_in(s) == &matched && (t == T_USABLE || t == T_MIXED) &&
	    all_policies[p].dane != NONE);
}

static int
domain_auth_only_bound(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s];

	return c->domain != VERDICT_AUTH ||
	    (c->has_host && c->host == VERDICT_AUTH && all_mx[m].sec == DNS_SECURE);
}

static int
domain_not_above_host(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s];

	return strength(c->domain) <= (c->has_host ? strength(c->host) : 0);
}

static int
no_delivery_without_connection(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s];

	return !c->has_host || c->act == PLAN_TRY || strength(c->host) == 0;
}

static int
no_delivery_after_bad_end(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	enum seen_end end = seen_of(s).end;

	return end == SEEN_READY || end == SEEN_NO_STARTTLS || end == SEEN_STARTTLS_REFUSED ||
	    ((end == SEEN_HANDSHAKE_FAILED || end == SEEN_INJECTION) && all_policies[p].tls == NO) ||
	    strength(cells[p][m][a][t][s].domain) == 0;
}

static int
mismatch_under_dane_is_refused(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s];

	return !c->has_host || all_policies[p].dane == NONE || (t != T_USABLE && t != T_MIXED) ||
	    found_in(s) == &matched || strength(c->host) == 0;
}

static int
unusable_records_never_clear(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	return all_policies[p].dane == NONE || (t != T_UNUSABLE && t != T_DAMAGED) ||
	    cells[p][m][a][t][s].domain != VERDICT_CLEAR;
}

static int
mandatory_delivers_authenticated_only(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	enum verdict_word w = cells[p][m][a][t][s].domain;

	return all_policies[p].dane != MAND || strength(w) == 0 || w == VERDICT_AUTH;
}

static int
without_dane_records_change_nothing(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct cell *c = &cells[p][m][a][t][s], *absent = &cells[p][m][a][T_ABSENT][s];

	return all_policies[p].dane != NONE || (c->host == absent->host &&
	    c->domain == absent->domain && (!c->has_host || strcmp(c->rule, absent->rule) == 0));
}

/* A stricter tls level or dane setting delivers nothing that a laxer one refuses, nor any weaker. */
static int
stricter_is_stricter(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	const struct policy *strict = &all_policies[p];
	size_t q;

	for (q = 0; q < N_P; q++) {
		int here = strength(cells[p][m][a][t][s].domain);
		int there = strength(cells[q][m][a][t][s].domain);

		if (all_policies[q].tls > strict->tls || all_policies[q].dane > strict->dane)
			continue;
		if (here != 0 && (there == 0 || here < there))
			return 0;
	}
	return 1;
}

static int
failed_is_not_better_than_absent(size_t p, size_t m, size_t a, size_t t, size_t s)
{
	int here = strength(cells[p][m][a][t][s].domain);
	size_t other;

	if (t == T_FAILED && here > strength(cells[p][m][a][T_ABSENT][s].domain))
		return 0;
	if (t == T_FAILED && all_policies[p].dane != NONE && here != 0)
		return 0;
	if (all_addrs[a] == FACTS_ADDRS_FAILED && here != 0)
		return 0;
	if (all_mx[m].mx != FACTS_MX_FAILED)
		return 1;
	for (other = 0; other < N_M; other++)
		if (here > strength(cells[p][other][a][t][s].domain))
			return 0;
	return 1;
}

/* Something must come through, or the rest would hold for an engine that refuses all. */
static void
test_product_delivers(void)
{
	size_t found[VERDICT_INCONCLUSIVE + 1] = { 0 }, p, m, t, s;

	for (p = 0; p < N_P; p++)
		for (m = 0; m < N_M; m++)
			for (t = 0; t < N_T; t++)
				for (s = 0; s < N_S; s++)
					found[cells[p][m][0][t][s].domain]++;
	for (p = 0; p < COUNT(found); p++)
		unit_ok(found[p] > 0, "%s is reached", verdict_name(p));
}

static void
test_product(void)
{
	unsigned plans = 0, verdicts = 0;
	size_t p, m, a, t;

	for (p = 0; p < N_P; p++)
		for (m = 0; m < N_M; m++)
			for (a = 0; a < N_A; a++)
				for (t = 0; t < N_T; t++)
					fill_facts(p, m, a, t, &plans, &verdicts);
	unit_int(plans, 0, "each plan, host and trace line has a rule and a reason");
	unit_int(verdicts, 0, "each verdict has a rule and a reason");
	for_all(never_clear_where_tls_is_needed, "never CLEAR where TLS is needed");
	for_all(encrypted_only_under_tls, "ENC and AUTH only under TLS");
	for_all(auth_only_with_match, "AUTH only with a match");
	for_all(domain_auth_only_bound, "a domain is AUTH only by signed or local names");
	for_all(domain_not_above_host, "a domain is not above its host");
	for_all(no_delivery_without_connection, "no delivery where the plan does not connect");
	for_all(no_delivery_after_bad_end, "no delivery after a session that ended badly");
	for_all(mismatch_under_dane_is_refused, "usable records without a match refuse");
	for_all(unusable_records_never_clear, "unusable records never lead to clear text");
	for_all(mandatory_delivers_authenticated_only, "mandatory delivers authenticated only");
	for_all(without_dane_records_change_nothing, "without DANE the records change nothing");
	for_all(stricter_is_stricter, "a stricter setting never delivers more, nor weaker");
	for_all(failed_is_not_better_than_absent, "a failed lookup is not better than an absence");
	test_product_delivers();
}

int
main(void)
{
	test_hosts();
	test_routes();
	test_route_to_nowhere();
	test_kinds();
	test_order();
	test_ways();
	test_left_out();
	test_trace();
	test_in_clear();
	test_under_tls();
	test_peer_words();
	test_untried();
	test_required_by_message();
	test_trace_of_sts();
	test_domains();
	test_words();
	test_check();
	test_product();
	return unit_done();
}
