/*
 * out-text - a report in words: the short answer first, then a table, then what to do.
 *
 *	example.org: AUTH: mail is encrypted and verified by DANE at its MX host [RFC 7672 3.1.1]
 *	  MX  HOST            ADDRESS    VERDICT  TLS                         REASON
 *	  10  mx.example.org  192.0.2.1  AUTH     TLSv1.3 AES_256_GCM x25519  TLSA 3 1 1 of ...
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "answer.h"
#include "cert.h"
#include "certs.h"
#include "out.h"
#include "text.h"
#include "warn.h"

/* ---- colour ---- */

static const char *
paint_of(enum verdict_word word)
{
	static const char *const paint[] = { [VERDICT_AUTH] = "\033[32m", [VERDICT_ENC] = "\033[33m",
		[VERDICT_CLEAR] = "\033[31m", [VERDICT_SKIP] = "\033[31m", [VERDICT_NOMAIL] = "\033[1m",
		[VERDICT_INCONCLUSIVE] = "\033[35m" };

	return paint[word];
}

/* The word, and blanks up to a width. */
static void
print_word(enum verdict_word word, int width, const struct out_conf *conf)
{
	const char *name = verdict_name(word);

	printf("%s%s%s%*s", conf->colour ? paint_of(word) : "", name, conf->colour ? "\033[0m" : "",
	    width > (int)strlen(name) ? width - (int)strlen(name) : 0, "");
}

/* ---- the table ---- */

enum { COL_PREF, COL_HOST, COL_ADDR, COL_VERDICT, COL_TLS, COLS };

static const char *const heads[COLS] = { "MX", "HOST", "ADDRESS", "VERDICT", "TLS" };

/* "TLS_AES_256_GCM_SHA384" has everything but the cipher in every name of TLS 1.3. */
static void
add_cipher(struct buf *b, const char *cipher)
{
	const char *end = strstr(cipher, "_SHA");

	if (strncmp(cipher, "TLS_", 4) == 0 && end != NULL)
		buf_printf(b, "%.*s", (int)(end - cipher - 4), cipher + 4);
	else
		buf_puts(b, cipher);
}

static char *
tls_cell(const struct judged_host *jh)
{
	struct buf b = BUF_INIT;

	if (jh->shown == NULL || !jh->shown->tls)
		return xstrdup("-");
	buf_printf(&b, "%s ", jh->shown->info.protocol);
	add_cipher(&b, jh->shown->info.cipher);
	if (jh->shown->info.group[0] != '\0')
		buf_printf(&b, " %s", jh->shown->info.group);
	return buf_steal(&b);
}

/* A literal is its own host: there the port is worth a word. */
static char *
address_cell(const struct judged *j, const struct judged_host *jh)
{
	char addr[INET6_ADDRSTRLEN];

	if (jh->addr == NULL)
		return xstrdup("-");
	facts_addr_text(jh->addr, addr);
	if (j->evidence->facts->mx == FACTS_MX_LOCAL && text_is_address(jh->host->host->name))
		return xasprintf("%s@%u", addr, j->evidence->port);
	return xstrdup(addr);
}

static void
make_row(const struct judged *j, const struct judged_host *jh, char *cell[COLS])
{
	const struct facts_host *fh = jh->host->host;

	cell[COL_PREF] = j->evidence->facts->mx == FACTS_MX_FOUND ? xasprintf("%u", fh->preference) : xstrdup("-");
	cell[COL_HOST] = text_escape(fh->name, strlen(fh->name));
	cell[COL_ADDR] = address_cell(j, jh);
	cell[COL_VERDICT] = xstrdup(verdict_name(jh->verdict.word));
	cell[COL_TLS] = tls_cell(jh);
}

static void
measure(char *const *cells, size_t rows, int width[COLS])
{
	size_t r;
	int c;

	for (c = 0; c < COLS; c++) {
		width[c] = strlen(heads[c]);
		for (r = 0; r < rows; r++)
			if ((int)strlen(cells[r * COLS + c]) > width[c])
				width[c] = strlen(cells[r * COLS + c]);
	}
}

static void
print_row(const struct judged_host *jh, char *const *cell, const int width[COLS], const struct out_conf *conf)
{
	int c;

	printf("  ");
	for (c = 0; c < COLS; c++) {
		if (c == COL_VERDICT)
			print_word(jh->verdict.word, width[c], conf);
		else
			printf("%-*s", width[c], cell[c]);
		printf("  ");
	}
	printf("%s [%s]\n", jh->verdict.why, jh->verdict.rule);
}

static void
print_table(const struct judged *j, const struct out_conf *conf)
{
	char **cells = xcalloc(j->n * COLS + 1, sizeof *cells);
	int width[COLS], c;
	size_t i;

	for (i = 0; i < j->n; i++)
		make_row(j, &j->v[i], &cells[i * COLS]);
	measure(cells, j->n, width);
	printf("  ");
	for (c = 0; c < COLS; c++)
		printf("%-*s  ", width[c], heads[c]);
	printf("REASON\n");
	for (i = 0; i < j->n; i++)
		print_row(&j->v[i], &cells[i * COLS], width, conf);
	for (i = 0; i < j->n * COLS; i++)
		free(cells[i]);
	free(cells);
}

/* ---- details ---- */

void
print_cert(const X509 *cert, int depth)
{
	char fp[CERT_FINGERPRINT_SIZE], until[TEXT_TIME_MAX];
	char *subject = cert_subject(cert), *issuer = cert_issuer(cert),
	     *key = cert_key_describe(cert);

	printf("    certificate %d: subject \"%s\" issuer \"%s\" key %s until %s sha256 %s\n",
	    depth, subject, issuer, key, text_time(until, cert_not_after(cert)),
	    cert_fingerprint(fp, cert));
	if (cert_is_demo(cert))
		printf("    certificate %d is %s\n", depth, CERT_DEMO_WARNING);
	free(subject);
	free(issuer);
	free(key);
}

void
print_names(const X509 *cert)
{
	struct cert_names names = CERT_NAMES_INIT;
	size_t i;

	cert_dns_names(cert, &names);
	if (names.n > 0) {
		printf("    names:");
		for (i = 0; i < names.n; i++)
			printf(" %s", names.v[i]);
		printf("\n");
	}
	cert_names_clear(&names);
}

static void
print_records(const struct judged_host *jh)
{
	const struct facts_host *fh = jh->host->host;
	size_t i;

	for (i = 0; i < fh->ntlsa; i++) {
		char *rdata = tlsa_rdata(&fh->tlsa[i]);
		const char *why = NULL, *use = "";

		if (!tlsa_usable(&fh->tlsa[i], &why))
			use = verify_use_name(VERIFY_USE_UNUSABLE);
		else if (i < jh->proof.dane.nuse)
			use = verify_use_name(jh->proof.dane.use[i]);
		printf("    TLSA %.160s%s%s%s%s%s\n", rdata, strlen(rdata) > 160 ? "..." : "",
		    *use != '\0' ? ": " : "", use, why != NULL ? ": " : "", why != NULL ? why : "");
		free(rdata);
	}
	if (fh->tlsa_damaged > 0)
		printf("    TLSA: %zu records more that are too short to be one\n", fh->tlsa_damaged);
}

static void
print_reply(const char *what, const char *reply)
{
	if (reply != NULL)
		printf("    %s: %s\n", what, reply);
}

static void
print_tls(const struct tls_info *t)
{
	int i, n = t->chain != NULL ? sk_X509_num(t->chain) : 0;

	if (t->protocol != NULL)
		printf("    TLS: %s %s, %d bits%s%s%s%s\n", t->protocol, t->cipher, t->bits,
		    t->group[0] != '\0' ? ", group " : "", t->group,
		    t->sigalg[0] != '\0' ? ", signed with " : "", t->sigalg);
	if (n > 0)
		print_names(sk_X509_value(t->chain, 0));
	for (i = 0; i < n; i++)
		print_cert(sk_X509_value(t->chain, i), i);
}

static void
print_host(const struct judged_host *jh)
{
	char addr[INET6_ADDRSTRLEN];
	char *host = text_escape(jh->host->host->name, strlen(jh->host->host->name));

	printf("  %s%s%s:\n", host, jh->addr != NULL ? " " : "",
	    jh->addr != NULL ? facts_addr_text(jh->addr, addr) : "");
	free(host);
	if (jh->shown != NULL) {
		print_reply("banner", jh->shown->banner);
		print_reply("EHLO", jh->shown->ehlo);
		print_reply("STARTTLS", jh->shown->starttls);
		print_reply("EHLO inside TLS", jh->shown->ehlo_tls);
		if (jh->shown->tls)
			print_tls(&jh->shown->info);
	}
	print_records(jh);
}

static void
print_details(const struct judged *j)
{
	struct buf b = BUF_INIT;
	char when[TEXT_TIME_MAX];
	size_t i;

	printf("  evidence of %s", text_time(when, j->evidence->time));
	printf(", judged as of %s\n", text_time(when, j->now));
	for (i = 0; i < j->n; i++)
		print_host(&j->v[i]);
	plan_explain(&b, &j->plan);
	fwrite(b.p, 1, b.len, stdout);
	buf_clear(&b);
}

/* ---- every level ---- */

#define LEVEL_NAME_WIDTH 22	/* of "required-verify-hosted" */
#define LEVEL_WIDTH 18		/* of "dane opportunistic" */

/* One verdict of the table; a star marks the policy that was asked for. */
static void
print_level(const struct levels *levels, enum policy_tls tls, enum policy_dane dane, int starred,
    const struct out_conf *conf)
{
	const struct level *l = levels_find(levels, tls, dane);
	int width = l != NULL ? (int)strlen(verdict_name(l->verdict.word)) : 1;

	printf("  ");
	if (l != NULL)
		print_word(l->verdict.word, 0, conf);
	else
		printf("-");
	printf("%s", starred ? "*" : "");
	if (dane + 1 < LEVELS_DANE)
		printf("%*s", LEVEL_WIDTH - width - starred, "");
}

static void
print_levels(const struct judged *j, const struct levels *levels, const struct out_conf *conf)
{
	const struct policy *asked = &j->plan.policy;
	int tls, dane;

	printf("  under every level:\n  %-*s", LEVEL_NAME_WIDTH, "tls");
	for (dane = 0; dane < LEVELS_DANE; dane++)
		printf("  dane %-*s", dane + 1 < LEVELS_DANE ? LEVEL_WIDTH - 5 : 0, policy_dane_name(dane));
	printf("\n");
	for (tls = 0; tls < LEVELS_TLS; tls++) {
		printf("  %-*s", LEVEL_NAME_WIDTH, policy_tls_name(tls));
		for (dane = 0; dane < LEVELS_DANE; dane++)
			print_level(levels, (enum policy_tls)tls, (enum policy_dane)dane,
			    (int)asked->tls == tls && (int)asked->dane == dane, conf);
		printf("\n");
	}
}

static void
print_level_reasons(const struct levels *levels)
{
	size_t i;

	for (i = 0; i < levels->n; i++)
		printf("    tls %s, dane %s: %s: %s [%s]\n", policy_tls_name(levels->v[i].tls),
		    policy_dane_name(levels->v[i].dane), verdict_name(levels->v[i].verdict.word),
		    levels->v[i].answer, levels->v[i].verdict.rule);
}

/* ---- the report ---- */

/* The first line.  Of one chain from a file the reason says all that there is to say. */
static void
print_answer(const struct judged *j, const struct out_conf *conf)
{
	char *text = conf->offline && j->n == 1 ? xstrdup(j->v[0].verdict.why) : answer(j);

	if (conf->offline) {
		print_word(j->verdict.word, 0, conf);
		printf(" %s: ", j->evidence->destination);
	} else {
		printf("%s: ", j->evidence->destination);
		print_word(j->verdict.word, 0, conf);
		printf(": ");
	}
	printf("%s [%s]\n", text, j->verdict.rule);
	free(text);
}

/* Whoever reads only the answer must know what it does not rest on. */
static void
print_unasked(const struct judged *j)
{
	char addr[INET6_ADDRSTRLEN];
	size_t i;

	if (j->sts_unasked)
		printf("%s: not asked: whether the domain has an MTA-STS policy, which may ask for more\n",
		    j->evidence->destination);
	if (j->verdict.word == VERDICT_INCONCLUSIVE)
		return;
	for (i = 0; i < j->n; i++) {
		const struct judged_host *jh = &j->v[i];
		char *host;

		if (jh->verdict.word != VERDICT_INCONCLUSIVE)
			continue;
		host = text_escape(jh->host->host->name, strlen(jh->host->host->name));
		printf("%s: not asked, not counted: %s%s%s\n", j->evidence->destination, host,
		    jh->addr != NULL ? " " : "", jh->addr != NULL ? facts_addr_text(jh->addr, addr) : "");
		free(host);
	}
}

/* The verdict's reason says what ails the resolver. */
static void
print_warning(void *arg, enum warn_kind kind, const char *rule, const char *text)
{
	const struct judged *j = arg;

	if (kind == WARN_DENIED)
		printf("%s: warning: %s [%s]\n", j->evidence->destination, text, rule);
	else if (kind == WARN_UNASKED && j->verdict.word != VERDICT_INCONCLUSIVE)
		printf("%s: not asked, not counted: %s\n", j->evidence->destination, text);
}

static void
print_advice(const struct advice *a)
{
	size_t i;

	if (a->n > 0)
		printf("  what to do:\n");
	for (i = 0; i < a->n; i++)
		printf("    - %s: %s\n", a->v[i].host, a->v[i].text);
}

void
out_text(const struct report *r, const struct out_conf *conf)
{
	const struct judged *j = r->judged;

	print_answer(j, conf);
	print_unasked(j);
	warn_each(j, print_warning, (void *)(uintptr_t)j);
	if (!conf->quiet && !conf->offline && j->n > 0)
		print_table(j, conf);
	if (!conf->quiet && !conf->offline)
		out_sts(j->evidence->facts, conf->verbose);
	if (r->levels != NULL) {
		print_levels(j, r->levels, conf);
		if (conf->verbose)
			print_level_reasons(r->levels);
	}
	if (conf->quiet)
		return;
	if (conf->verbose)
		print_details(j);
	print_advice(r->advice);
}
