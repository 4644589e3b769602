/*
 * The truth table of the policy engine: truth.rows has what must come of each combination, by hand and
 * with the clause.  Here its words become facts, a policy, a chain of real certificates and what was seen
 * of the host, and go the way of the probe and the relay: policy_plan, proof_make, policy_judge,
 * policy_domain.  Behind it the whole product of the columns is held against what must never be.
 */
#include "policy.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "told.h"
#include "unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW 1800000000LL
#define DAY 86400LL
#define DOMAIN "example.test"
#define HOST "mx.example.test"

/* ---- the columns ---- */

enum { N_NO_DNSSEC, N_ABSENT, N_USABLE, N_UNUSABLE, N_BOGUS, N_ADDR_INSECURE, N_MX_INSECURE, N_DNS };
enum { T_OFFERED, T_NONE, T_REFUSED, T_FAILS, N_STARTTLS };
enum { C_GOOD, C_DOMAIN, C_CN, C_NAME, C_EXPIRED, C_UNKNOWN, C_SELF, C_TLSA, N_CHAINS };
enum { S_NONE, S_TESTING, S_TESTING_MISFIT, S_ENFORCE, S_ENFORCE_MISFIT, N_STS };
enum { M_PLAIN, M_REQUIRETLS, M_UNOFFERED, M_OPTIONAL, M_BOTH, N_MESSAGES };

enum { TLS, DANE, DNS, STARTTLS, CHAIN, STS, FALLBACK, MESSAGE, COLUMNS };
#define WORDS_MAX 8

static const struct {
	const char *name;
	size_t n;
	const char *words[WORDS_MAX];
} columns[COLUMNS] = {
	[TLS] = { "tls", 6, { "no", "preferred", "preferred-verify", "required", "required-verify",
	    "required-verify-hosted" } },
	[DANE] = { "dane", 3, { "none", "opportunistic", "mandatory" } },
	/* no-dnssec: nothing is signed; addr-insecure, mx-insecure: that is not. */
	[DNS] = { "DNS", N_DNS, { "no-dnssec", "absent", "usable", "unusable", "bogus", "addr-insecure",
	    "mx-insecure" } },
	/* refused: 454; fails: the handshake does. */
	[STARTTLS] = { "STARTTLS", N_STARTTLS, { "offered", "none", "refused", "fails" } },
	/*
	 * good: a dNSName is the MX host's; domain: the domain's; cn: the common name is the MX host's, the
	 * dNSName another's; name: none fits; tlsa: self-signed, and what the usable record describes.
	 */
	[CHAIN] = { "chain", N_CHAINS, { "good", "domain", "cn", "name", "expired", "unknown", "self",
	    "tlsa" } },
	/* misfit: no mx pattern names the host. */
	[STS] = { "MTA-STS", N_STS, { "none", "testing", "testing-misfit", "enforce", "enforce-misfit" } },
	[FALLBACK] = { "fallback", 4, { "before-220", "after-220", "both", "never" } },
	/* requiretls, unoffered: REQUIRETLS, which the host offers or not; optional: TLS-Required: No;
	 * both: that and REQUIRETLS, offered. */
	[MESSAGE] = { "message", N_MESSAGES, { "plain", "requiretls", "unoffered", "optional", "both" } },
};

/* ---- certificates ---- */

static void
must(int ok)
{
	if (!ok)
		abort();
}

static const struct {
	const char *cn, *san;
	enum { BY_CA, BY_STRANGER, BY_ITSELF } issuer;
	int expired;
} leaves[N_CHAINS] = {
	[C_GOOD] = { "leaf", "DNS:" HOST, BY_CA, 0 },
	[C_DOMAIN] = { "leaf", "DNS:" DOMAIN, BY_CA, 0 },
	[C_CN] = { HOST, "DNS:www." DOMAIN, BY_CA, 0 },
	[C_NAME] = { "leaf", "DNS:other.test", BY_CA, 0 },
	[C_EXPIRED] = { "leaf", "DNS:" HOST, BY_CA, 1 },
	[C_UNKNOWN] = { "leaf", "DNS:" HOST, BY_STRANGER, 0 },
	[C_SELF] = { "self", "DNS:" HOST, BY_ITSELF, 0 },
	[C_TLSA] = { "tlsa", "DNS:" HOST, BY_ITSELF, 0 },
};

static STACK_OF(X509) *chains[N_CHAINS];
static struct trust *trust;
static struct tlsa usable_record, unusable_record;

static void
add_extension(X509 *c, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	must(e != NULL && X509_add_ext(c, e, -1));
	X509_EXTENSION_free(e);
}

/* issuer NULL: itself. */
static X509 *
make_cert(const char *cn, const char *san, EVP_PKEY *key, X509 *issuer, EVP_PKEY *by, int expired)
{
	static long serial;
	X509 *c = X509_new();

	must(c != NULL && X509_set_version(c, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial) &&
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
	    (const unsigned char *)cn, -1, -1, 0) &&
	    X509_set_issuer_name(c, X509_get_subject_name(issuer != NULL ? issuer : c)) &&
	    ASN1_TIME_set(X509_getm_notBefore(c), NOW - 30 * DAY) != NULL &&
	    ASN1_TIME_set(X509_getm_notAfter(c), NOW + (expired ? -DAY : 30 * DAY)) != NULL &&
	    X509_set_pubkey(c, key));
	if (san != NULL)
		add_extension(c, NID_subject_alt_name, san);
	else
		add_extension(c, NID_basic_constraints, "critical,CA:TRUE");
	must(X509_sign(c, by, EVP_sha256()) > 0);
	return c;
}

static void
make_trust(X509 *root)
{
	struct fail f = FAIL_INIT;
	BIO *b = BIO_new(BIO_s_mem());
	char *pem;
	long n;

	must(b != NULL && PEM_write_bio_X509(b, root));
	n = BIO_get_mem_data(b, &pem);
	must((trust = trust_from_pem(pem, n, &f)) != NULL);
	BIO_free(b);
}

static void
make_chains(void)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *strange_key = EVP_EC_gen("P-256");
	X509 *ca = make_cert("ca", NULL, ca_key, NULL, ca_key, 0);
	X509 *stranger = make_cert("stranger", NULL, strange_key, NULL, strange_key, 0);
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < N_CHAINS; i++) {
		int by = leaves[i].issuer;
		EVP_PKEY *key = EVP_EC_gen("P-256");
		X509 *leaf = make_cert(leaves[i].cn, leaves[i].san, key,
		    by == BY_CA ? ca : by == BY_STRANGER ? stranger : NULL,
		    by == BY_CA ? ca_key : by == BY_STRANGER ? strange_key : key, leaves[i].expired);

		must((chains[i] = sk_X509_new_null()) != NULL && sk_X509_push(chains[i], leaf));
		EVP_PKEY_free(key);
	}
	must(tlsa_of_cert(&usable_record, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256,
	    sk_X509_value(chains[C_TLSA], 0), &f) == 0);
	must(tlsa_of_cert(&unusable_record, TLSA_PKIX_EE, TLSA_SPKI, TLSA_SHA256,
	    sk_X509_value(chains[C_TLSA], 0), &f) == 0);
	make_trust(ca);
	X509_free(ca);
	X509_free(stranger);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(strange_key);
}

static void
free_chains(void)
{
	size_t i;

	for (i = 0; i < N_CHAINS; i++)
		sk_X509_pop_free(chains[i], X509_free);
	tlsa_clear(&usable_record);
	tlsa_clear(&unusable_record);
	trust_free(trust);
}

/* ---- from words to facts ---- */

static void
add_record(struct facts_host *h, const struct tlsa *t)
{
	struct fail f = FAIL_INIT;
	char *rdata = tlsa_rdata(t);

	h->tlsa = xcalloc(1, sizeof *h->tlsa);
	must(tlsa_parse(&h->tlsa[0], rdata, &f) == 0);
	h->ntlsa = 1;
	h->tlsa_base = xstrdup(HOST);
	free(rdata);
}

static void
fill_tlsa(struct facts_host *h, int dns)
{
	static const enum facts_tlsa states[N_DNS] = { [N_NO_DNSSEC] = FACTS_TLSA_UNSIGNED,
		[N_ABSENT] = FACTS_TLSA_ABSENT, [N_USABLE] = FACTS_TLSA_FOUND,
		[N_UNUSABLE] = FACTS_TLSA_FOUND, [N_BOGUS] = FACTS_TLSA_FAILED,
		[N_ADDR_INSECURE] = FACTS_TLSA_UNSIGNED, [N_MX_INSECURE] = FACTS_TLSA_FOUND };

	h->tlsa_state = states[dns];
	if (dns == N_BOGUS)
		h->tlsa_why = xstrdup("TLSA bogus: signature expired");
	if (dns == N_USABLE || dns == N_MX_INSECURE)
		add_record(h, &usable_record);
	else if (dns == N_UNUSABLE)
		add_record(h, &unusable_record);
}

static void
fill_sts(struct facts *f, int sts)
{
	f->sts_state = sts == S_NONE ? FACTS_STS_NONE : FACTS_STS_FOUND;
	if (sts == S_NONE)
		return;
	f->sts_id = xstrdup("20260101");
	f->sts.mode = sts == S_TESTING || sts == S_TESTING_MISFIT ? STS_TESTING : STS_ENFORCE;
	f->sts.max_age = 86400;
	f->sts.mx = xcalloc(1, sizeof *f->sts.mx);
	f->sts.mx[0] = xstrdup(sts == S_TESTING || sts == S_ENFORCE ? "*." DOMAIN : "*.elsewhere.test");
	f->sts.nmx = 1;
}

static struct facts *
make_facts(const int *c)
{
	struct facts *f = facts_new(DOMAIN);
	struct facts_host *h = facts_add_host(f, HOST, 10);

	f->mx = FACTS_MX_FOUND;
	f->mx_sec = c[DNS] == N_NO_DNSSEC || c[DNS] == N_MX_INSECURE ? DNS_INSECURE : DNS_SECURE;
	h->addrs = FACTS_ADDRS_FOUND;
	h->addrs_sec = c[DNS] == N_NO_DNSSEC || c[DNS] == N_ADDR_INSECURE ? DNS_INSECURE : DNS_SECURE;
	h->addr = xcalloc(1, sizeof *h->addr);
	h->naddr = 1;
	h->addr[0].family = AF_INET;
	inet_pton(AF_INET, "192.0.2.1", &h->addr[0].ip.v4);
	fill_tlsa(h, c[DNS]);
	fill_sts(f, c[STS]);
	return f;
}

static struct policy
make_policy(const int *c)
{
	static const unsigned asks[N_MESSAGES] = { [M_REQUIRETLS] = POLICY_MESSAGE_REQUIRETLS,
		[M_UNOFFERED] = POLICY_MESSAGE_REQUIRETLS, [M_OPTIONAL] = POLICY_MESSAGE_TLS_OPTIONAL,
		[M_BOTH] = POLICY_MESSAGE_REQUIRETLS | POLICY_MESSAGE_TLS_OPTIONAL };
	struct policy p = POLICY_DEFAULT;
	struct fail f = FAIL_INIT;

	must(policy_set(&p, POLICY_KEY_TLS, columns[TLS].words[c[TLS]], &f) == 0);
	must(policy_set(&p, POLICY_KEY_DANE, columns[DANE].words[c[DANE]], &f) == 0);
	must(policy_set(&p, POLICY_KEY_FALLBACK, columns[FALLBACK].words[c[FALLBACK]], &f) == 0);
	p.message = asks[c[MESSAGE]];
	/* As where one of them is inherited: on one line they would contradict each other. */
	policy_settle(&p);
	return p;
}

/* As contact fills it, and goes on in clear text where the plan has it so. */
static struct seen
make_seen(const int *c, const struct plan_host *h, const struct proof *proof)
{
	struct seen seen = { .end = SEEN_READY, .text = "words", .proof = proof };

	if (h->need == PLAN_CLEAR)
		return seen;
	switch (c[STARTTLS]) {
	case T_OFFERED:
		seen.tls = 1;
		seen.requiretls = c[MESSAGE] != M_UNOFFERED;
		break;
	case T_NONE:
		seen.end = SEEN_NO_STARTTLS;
		break;
	case T_REFUSED:
		seen.end = SEEN_STARTTLS_REFUSED;
		break;
	default:
		if (policy_falls_back(h, SEEN_HANDSHAKE_FAILED))
			seen.fell_back = "alert";
		else
			seen.end = SEEN_HANDSHAKE_FAILED;
	}
	return seen;
}

/* ---- the rows ---- */

#define ROWS_MAX 2000

static int rows[ROWS_MAX][COLUMNS];
static size_t nrows;

static int
word_of(int column, const char *word)
{
	size_t i;

	for (i = 0; i < columns[column].n; i++)
		if (strcmp(columns[column].words[i], word) == 0)
			return i;
	return -1;
}

/* What the engine says of a row, as "HOST DOMAIN | CLAUSE". */
static void
run_row(const int *c, char *dst, size_t size)
{
	struct policy policy = make_policy(c);
	struct facts *facts = make_facts(c);
	struct proof proof = { .by_domain = 0 };
	struct verdict host = { .rule = NULL }, domain;
	struct fail f = FAIL_INIT;
	struct plan plan;
	struct seen seen;

	policy_plan(&policy, facts, &plan);
	if (plan.nhost == 1) {
		struct proof_ask ask = { .host = &plan.host[0], .facts = facts, .trust = trust, .now = NOW };

		must(proof_make(chains[c[CHAIN]], &ask, &proof, &f) == 0);
		seen = make_seen(c, &plan.host[0], &proof);
		policy_judge(&plan.host[0], &seen, &host);
	}
	policy_domain(&plan, &host, plan.nhost, &domain);
	snprintf(dst, size, "%s %s | %s", plan.nhost == 1 ? verdict_name(host.word) : "-",
	    verdict_name(domain.word), plan.nhost == 1 ? host.rule : domain.rule);
	verdict_clear(&host);
	verdict_clear(&domain);
	proof_clear(&proof);
	plan_clear(&plan);
	facts_free(facts);
}

static void
check_row(char *line, unsigned number)
{
	char *rest = strchr(line, '|'), host[16], domain[16], got[120], want[120], word[COLUMNS][32];
	int c[COLUMNS], i, n = 0;

	must(rest != NULL);
	if (sscanf(line, "%31s %31s %31s %31s %31s %31s %31s %31s", word[0], word[1], word[2], word[3], word[4],
	    word[5], word[6], word[7]) != COLUMNS || sscanf(rest, "| %15s %15s | %n", host, domain, &n) != 2 ||
	    n == 0) {
		unit_ok(0, "truth.rows:%u has all columns", number);
		return;
	}
	for (i = 0; i < COLUMNS; i++)
		if ((c[i] = word_of(i, word[i])) == -1) {
			unit_ok(0, "truth.rows:%u: \"%s\" is a word of column %s", number, word[i],
			    columns[i].name);
			return;
		}
	must(nrows < ROWS_MAX);
	memcpy(rows[nrows++], c, sizeof c);
	run_row(c, got, sizeof got);
	snprintf(want, sizeof want, "%s %s | %s", host, domain, rest + n);
	*rest = '\0';
	unit_str(got, want, "truth.rows:%u: %s", number, line);
}

static void
test_rows(const char *path)
{
	FILE *fp = fopen(path, "r");
	char line[512];
	unsigned number = 0;

	unit_ok(fp != NULL, "%s is there", path);
	while (fp != NULL && fgets(line, sizeof line, fp) != NULL) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && line[0] != '\0')
			check_row(line, number);
	}
	if (fp != NULL)
		fclose(fp);
	unit_ok(nrows >= 400, "%zu rows, 400 at least", nrows);
}

static int
has_pair(int a, int x, int b, int y)
{
	size_t i;

	for (i = 0; i < nrows; i++)
		if (rows[i][a] == x && rows[i][b] == y)
			return 1;
	return 0;
}

/* Every value of a column beside every value of each other. */
static void
test_pairs(void)
{
	unsigned missing = 0;
	int a, b, x, y;

	for (a = 0; a < COLUMNS; a++)
		for (b = a + 1; b < COLUMNS; b++)
			for (x = 0; x < (int)columns[a].n; x++)
				for (y = 0; y < (int)columns[b].n; y++)
					if (!has_pair(a, x, b, y) && missing++ == 0)
						printf("# no row has %s %s and %s %s\n", columns[a].name,
						    columns[a].words[x], columns[b].name, columns[b].words[y]);
	unit_int(missing, 0, "every pair of values of two columns stands in a row");
}

static void
test_no_row_twice(void)
{
	unsigned twice = 0;
	size_t i, j;

	for (i = 0; i < nrows; i++)
		for (j = i + 1; j < nrows; j++)
			twice += memcmp(rows[i], rows[j], sizeof rows[i]) == 0;
	unit_int(twice, 0, "no row stands there twice");
}

/* ---- the whole product ---- */

struct cell {
	unsigned char host, domain, act, need, has_host, status, testing;
};

static struct cell cells[6][3][N_DNS][N_STARTTLS][N_CHAINS][N_STS][4][N_MESSAGES];

static struct cell *
at(const int *c)
{
	return &cells[c[TLS]][c[DANE]][c[DNS]][c[STARTTLS]][c[CHAIN]][c[STS]][c[FALLBACK]][c[MESSAGE]];
}

/* The same, but for one column. */
static const struct cell *
beside(const int *c, int column, int value)
{
	int other[COLUMNS];

	memcpy(other, c, sizeof other);
	other[column] = value;
	return at(other);
}

/* What is asked of a chain is the same for many plans; each question is put once. */
static const struct proof *
proof_of(const struct plan_host *h, const struct facts *facts, int chain)
{
	static struct proof kept[N_CHAINS][PLAN_DANE + 1][2][VERIFY_NAMES_SAN + 1][PLAN_TESTING_MISFIT + 1];
	static char made[N_CHAINS][PLAN_DANE + 1][2][VERIFY_NAMES_SAN + 1][PLAN_TESTING_MISFIT + 1];
	struct proof_ask ask = { .host = h, .facts = facts, .trust = trust, .now = NOW };
	struct proof *p = &kept[chain][h->need][h->check != 0][h->names][h->testing];
	char *done = &made[chain][h->need][h->check != 0][h->names][h->testing];
	struct fail f = FAIL_INIT;

	if (!*done)
		must(proof_make(chains[chain], &ask, p, &f) == 0);
	*done = 1;
	return p;
}

static int
good_trace(const struct plan *p)
{
	size_t i;

	for (i = 0; i < p->trace.n; i++)
		if (!good_rule(p->trace.v[i].rule) || !good_words(p->trace.v[i].fact) ||
		    !good_words(p->trace.v[i].then))
			return 0;
	return p->trace.n > 0 && good_rule(p->rule) && good_words(p->why);
}

static unsigned bad_traces, bad_verdicts;

static void
fill_cell(const int *c, const struct plan *plan)
{
	struct verdict host = { .rule = NULL }, domain;
	struct cell *cell = at(c);

	cell->has_host = plan->nhost == 1;
	if (cell->has_host) {
		const struct plan_host *h = &plan->host[0];
		struct seen seen = make_seen(c, h, h->act == PLAN_TRY ?
		    proof_of(h, plan->facts, c[CHAIN]) : NULL);

		policy_judge(h, &seen, &host);
		cell->host = host.word;
		cell->act = h->act;
		cell->need = h->need;
		cell->status = host.status != NULL;
		cell->testing = host.testing != NULL;
		bad_verdicts += !good_rule(host.rule) || !good_words(host.why) ||
		    (host.testing != NULL && !good_rule(host.testing_rule));
	}
	policy_domain(plan, &host, plan->nhost, &domain);
	cell->domain = domain.word;
	bad_verdicts += !good_rule(domain.rule) || !good_words(domain.why);
	verdict_clear(&host);
	verdict_clear(&domain);
}

/* One plan for all that may be seen of the host. */
static void
fill_plan(int *c)
{
	struct policy policy = make_policy(c);
	struct facts *facts = make_facts(c);
	struct plan plan;

	policy_plan(&policy, facts, &plan);
	bad_traces += !good_trace(&plan);
	for (c[STARTTLS] = 0; c[STARTTLS] < N_STARTTLS; c[STARTTLS]++)
		for (c[CHAIN] = 0; c[CHAIN] < N_CHAINS; c[CHAIN]++)
			fill_cell(c, &plan);
	plan_clear(&plan);
	facts_free(facts);
}

/* The next combination, the columns of the list as digits; 0 after the last. */
static int
step(int *c, const int *which, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (++c[which[i]] < (int)columns[which[i]].n)
			return 1;
		c[which[i]] = 0;
	}
	return 0;
}

static void
fill_all(void)
{
	static const int planned[] = { TLS, DANE, DNS, STS, FALLBACK, MESSAGE };
	int c[COLUMNS] = { 0 };

	do
		fill_plan(c);
	while (step(c, planned, COUNT(planned)));
	unit_int(bad_traces, 0, "every line of every trace names a rule");
	unit_int(bad_verdicts, 0, "every verdict has a rule and a reason");
}

/* Calls fn for each combination; a result of 0 is a fault, of which the first is told. */
static void
for_all(int (*fn)(const int *), const char *what)
{
	static const int all[] = { TLS, DANE, DNS, STARTTLS, CHAIN, STS, FALLBACK, MESSAGE };
	unsigned faults = 0;
	int c[COLUMNS] = { 0 }, i;

	do {
		if (fn(c) || faults++ > 0)
			continue;
		printf("# %s:", what);
		for (i = 0; i < COLUMNS; i++)
			printf(" %s", columns[i].words[c[i]]);
		printf("\n");
	} while (step(c, all, COUNT(all)));
	unit_int(faults, 0, "%s", what);
}

/* 0 where nothing is delivered, else by strength. */
static int
strength(int word)
{
	return word == VERDICT_AUTH ? 3 : word == VERDICT_ENC ? 2 : word == VERDICT_CLEAR ? 1 : 0;
}

static int
delivers(const struct cell *cell)
{
	return strength(cell->domain) > 0;
}

static int
requires_tls(const int *c)
{
	return c[MESSAGE] == M_REQUIRETLS || c[MESSAGE] == M_UNOFFERED || c[MESSAGE] == M_BOTH;
}

/* DANE is in force, for what the policy and the message say. */
static int
dane_on(const int *c)
{
	return c[TLS] != POLICY_TLS_NO && (c[DANE] == POLICY_DANE_MANDATORY ||
	    (c[DANE] == POLICY_DANE_OPPORTUNISTIC && c[MESSAGE] != M_OPTIONAL));
}

static int
sts_enforced(const int *c)
{
	return c[TLS] != POLICY_TLS_NO && c[MESSAGE] != M_OPTIONAL &&
	    (c[STS] == S_ENFORCE || c[STS] == S_ENFORCE_MISFIT);
}

static int
clear_only_where_planned(const int *c)
{
	const struct cell *cell = at(c);

	return (cell->host != VERDICT_CLEAR && cell->domain != VERDICT_CLEAR) || !cell->has_host ||
	    (cell->act == PLAN_TRY && cell->need <= PLAN_MAY);
}

/* The same, by what the settings mean. */
static int
clear_never_where_forbidden(const int *c)
{
	int allowed = c[TLS] <= POLICY_TLS_PREFERRED_VERIFY && !requires_tls(c) && !sts_enforced(c) &&
	    !(dane_on(c) && (c[DANE] == POLICY_DANE_MANDATORY || c[DNS] == N_USABLE ||
	    c[DNS] == N_UNUSABLE || c[DNS] == N_BOGUS || c[DNS] == N_MX_INSECURE));

	return allowed || at(c)->domain != VERDICT_CLEAR;
}

static int
encrypted_only_under_tls(const int *c)
{
	return strength(at(c)->host) < 2 || !at(c)->has_host ||
	    (c[STARTTLS] == T_OFFERED && c[TLS] != POLICY_TLS_NO);
}

/* Level no refuses what requires TLS, which the others may deliver. */
static int
stricter_level_delivers_no_more(const int *c)
{
	int tls;

	if (!delivers(at(c)))
		return 1;
	for (tls = requires_tls(c); tls < c[TLS]; tls++)
		if (!delivers(beside(c, TLS, tls)))
			return 0;
	return 1;
}

/* The words too, but for preferred-verify, which may find out more than required wants to know. */
static int
stricter_level_is_no_weaker(const int *c)
{
	int tls;

	if (!delivers(at(c)))
		return 1;
	for (tls = 0; tls < c[TLS]; tls++)
		if (tls != POLICY_TLS_PREFERRED_VERIFY && delivers(beside(c, TLS, tls)) &&
		    strength(at(c)->domain) < strength(beside(c, TLS, tls)->domain))
			return 0;
	return 1;
}

/* But where a message sets opportunistic DANE aside, which a match may have satisfied. */
static int
mandatory_delivers_no_more(const int *c)
{
	return c[DANE] != POLICY_DANE_MANDATORY || c[MESSAGE] == M_OPTIONAL || !delivers(at(c)) ||
	    delivers(beside(c, DANE, POLICY_DANE_OPPORTUNISTIC));
}

static int
mandatory_delivers_authenticated_only(const int *c)
{
	return c[DANE] != POLICY_DANE_MANDATORY || c[TLS] == POLICY_TLS_NO || !delivers(at(c)) ||
	    (at(c)->domain == VERDICT_AUTH && c[CHAIN] == C_TLSA);
}

static int
auth_only_with_a_verified_chain(const int *c)
{
	int by_dane = dane_on(c) && c[CHAIN] == C_TLSA && (c[DNS] == N_USABLE || c[DNS] == N_MX_INSECURE);
	int by_names = c[CHAIN] == C_GOOD ||
	    (!sts_enforced(c) && (c[CHAIN] == C_DOMAIN ||
	    (c[CHAIN] == C_CN && c[TLS] != POLICY_TLS_REQUIRED_VERIFY_HOSTED)));

	return !at(c)->has_host || at(c)->host != VERDICT_AUTH ||
	    (c[STARTTLS] == T_OFFERED && (by_dane || by_names));
}

static int
domain_auth_only_bound(const int *c)
{
	int secure = c[DNS] != N_NO_DNSSEC && c[DNS] != N_MX_INSECURE;

	return at(c)->domain != VERDICT_AUTH || (at(c)->host == VERDICT_AUTH &&
	    (secure || sts_enforced(c) || c[CHAIN] == C_DOMAIN));
}

static int
domain_not_above_host(const int *c)
{
	return strength(at(c)->domain) <= (at(c)->has_host ? strength(at(c)->host) : 0);
}

static int
dane_failure_is_not_rescued(const int *c)
{
	return !dane_on(c) || c[CHAIN] == C_TLSA || (c[DNS] != N_USABLE && c[DNS] != N_MX_INSECURE) ||
	    !delivers(at(c));
}

/* Of the same MX records and addresses. */
static int
failed_lookup_is_never_better(const int *c)
{
	int here = strength(at(c)->domain);

	return c[DNS] != N_BOGUS || (here <= strength(beside(c, DNS, N_ABSENT)->domain) &&
	    here <= strength(beside(c, DNS, N_USABLE)->domain) &&
	    here <= strength(beside(c, DNS, N_UNUSABLE)->domain) && (here == 0 || !dane_on(c)));
}

/* RFC 8461 5: "testing" delivers as if there were no policy; what it would refuse is told. */
static int
testing_changes_nothing(const int *c)
{
	const struct cell *none = beside(c, STS, S_NONE);

	return (c[STS] != S_TESTING && c[STS] != S_TESTING_MISFIT) ||
	    (at(c)->host == none->host && at(c)->domain == none->domain);
}

static int
testing_is_told(const int *c)
{
	const struct cell *cell = at(c);
	int decides = c[TLS] != POLICY_TLS_NO && c[MESSAGE] != M_OPTIONAL && cell->has_host &&
	    cell->act == PLAN_TRY && cell->need != PLAN_DANE;
	int want = decides && (c[STS] == S_TESTING_MISFIT || (c[STS] == S_TESTING &&
	    (c[STARTTLS] != T_OFFERED || c[CHAIN] != C_GOOD)));

	return cell->testing == want;
}

static int
enforce_delivers_no_more(const int *c)
{
	return !sts_enforced(c) || !delivers(at(c)) || delivers(beside(c, STS, S_NONE));
}

static int
enforce_is_what_testing_tells(const int *c)
{
	return c[STS] != S_TESTING || !at(c)->testing || !delivers(beside(c, STS, S_ENFORCE));
}

static int
fallback_is_ordered(const int *c)
{
	int never = delivers(beside(c, FALLBACK, POLICY_FALLBACK_NEVER));
	int before = delivers(beside(c, FALLBACK, POLICY_FALLBACK_BEFORE_220));
	int after = delivers(beside(c, FALLBACK, POLICY_FALLBACK_AFTER_220));
	int both = delivers(beside(c, FALLBACK, POLICY_FALLBACK_BOTH));

	return never <= before && never <= after && (before || after) == both &&
	    (c[STARTTLS] == T_FAILS || after == never) && (c[STARTTLS] == T_REFUSED || before == never);
}

static int
requiretls_only_to_the_authenticated(const int *c)
{
	return !requires_tls(c) || !delivers(at(c)) ||
	    (at(c)->host == VERDICT_AUTH && c[MESSAGE] != M_UNOFFERED);
}

/* 5.7.30 ends a message: only the host's own failure may, never one of the DNS or of the plan. */
static int
permanent_only_where_seen(const int *c)
{
	const struct cell *cell = at(c);
	int want = requires_tls(c) && cell->has_host && cell->act == PLAN_TRY && cell->host == VERDICT_SKIP;

	return cell->status == want;
}

/* "both": the header field is as if it were not there. */
static int
header_yields_to_requiretls(const int *c)
{
	const struct cell *alone = beside(c, MESSAGE, M_REQUIRETLS);

	return c[MESSAGE] != M_BOTH || (at(c)->host == alone->host && at(c)->domain == alone->domain);
}

static void
test_product_delivers(void)
{
	static const int all[] = { TLS, DANE, DNS, STARTTLS, CHAIN, STS, FALLBACK, MESSAGE };
	size_t found[VERDICT_INCONCLUSIVE + 1] = { 0 };
	int c[COLUMNS] = { 0 };

	do
		found[at(c)->domain]++;
	while (step(c, all, COUNT(all)));
	unit_ok(found[VERDICT_AUTH] > 1000 && found[VERDICT_ENC] > 1000 && found[VERDICT_CLEAR] > 1000 &&
	    found[VERDICT_SKIP] > 1000, "AUTH %zu, ENC %zu, CLEAR %zu, SKIP %zu", found[VERDICT_AUTH],
	    found[VERDICT_ENC], found[VERDICT_CLEAR], found[VERDICT_SKIP]);
}

static void
test_product(void)
{
	fill_all();
	for_all(clear_only_where_planned, "CLEAR only where the plan has it so");
	for_all(clear_never_where_forbidden, "never CLEAR where a setting forbids it");
	for_all(encrypted_only_under_tls, "ENC and AUTH only under TLS");
	for_all(stricter_level_delivers_no_more, "a stricter level never delivers what a laxer refuses");
	for_all(stricter_level_is_no_weaker, "nor any weaker");
	for_all(mandatory_delivers_no_more, "mandatory never delivers what opportunistic refuses");
	for_all(mandatory_delivers_authenticated_only, "mandatory delivers by a TLSA match only");
	for_all(auth_only_with_a_verified_chain, "no AUTH without a verified chain");
	for_all(domain_auth_only_bound, "a domain is AUTH only by signed, enforced or its own names");
	for_all(domain_not_above_host, "a domain is not above its host");
	for_all(dane_failure_is_not_rescued, "a DANE failure is rescued by nothing");
	for_all(failed_lookup_is_never_better, "a failed lookup is never better than what it hides");
	for_all(testing_changes_nothing, "mode testing changes no verdict");
	for_all(testing_is_told, "mode testing tells what it would refuse");
	for_all(enforce_delivers_no_more, "mode enforce delivers nothing more");
	for_all(enforce_is_what_testing_tells, "mode enforce refuses what testing tells");
	for_all(fallback_is_ordered, "fallback: never, one of both, both");
	for_all(requiretls_only_to_the_authenticated, "REQUIRETLS goes to authenticated hosts that offer it");
	for_all(permanent_only_where_seen, "5.7.30 is for what was seen of a host");
	for_all(header_yields_to_requiretls, "TLS-Required: No yields to REQUIRETLS");
	test_product_delivers();
}

int
main(int argc, char **argv)
{
	make_chains();
	test_rows(argc > 1 ? argv[1] : "tests/unit/truth.rows");
	test_pairs();
	test_no_row_twice();
	test_product();
	free_chains();
	return unit_done();
}
