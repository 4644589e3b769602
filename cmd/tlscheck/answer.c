#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

/* The weakest verdict among a host's addresses that mail could go through; SKIP: through none. */
static enum verdict_word
word_of_host(const struct judged *j, const struct plan_host *h)
{
	enum verdict_word word = VERDICT_SKIP;
	size_t i;

	for (i = 0; i < j->n; i++)
		if (j->v[i].host == h && judged_goes(j->v[i].verdict.word) &&
		    (word == VERDICT_SKIP || j->v[i].verdict.word > word))
			word = j->v[i].verdict.word;
	return word;
}

static size_t
count_hosts(const struct judged *j, enum verdict_word word)
{
	size_t i, n = 0;

	for (i = 0; i < j->plan.nhost; i++)
		n += word_of_host(j, &j->plan.host[i]) == word;
	return n;
}

static size_t
count_entries(const struct judged *j, enum verdict_word word)
{
	size_t i, n = 0;

	for (i = 0; i < j->n; i++)
		n += j->v[i].verdict.word == word;
	return n;
}

/* "at its MX host", "at both MX hosts", "at 2 of 3 MX hosts". */
static void
say_where(struct buf *b, const struct judged *j, size_t n)
{
	size_t all = j->plan.nhost;
	const char *what = j->evidence->facts->mx == FACTS_MX_FOUND ? "MX host" : "host";

	if (n == all && n == 1)
		buf_printf(b, " at its %s", what);
	else if (n == all && n == 2)
		buf_printf(b, " at both %ss", what);
	else if (n == all)
		buf_printf(b, " at all %zu %ss", n, what);
	else
		buf_printf(b, " at %zu of %zu %ss", n, all, what);
}

/* Who proves the hosts that are proven. */
static const char *
method_of(const struct judged_host *jh)
{
	switch (jh->host->need) {
	case PLAN_DANE:
		return "DANE";
	case PLAN_STS:
		return "MTA-STS";
	default:
		return "a trusted CA";
	}
}

static void
say_methods(struct buf *b, const struct judged *j)
{
	const char *told[4], *m;
	size_t i, k, n = 0;

	for (i = 0; i < j->n; i++) {
		if (j->v[i].verdict.word != VERDICT_AUTH || (m = method_of(&j->v[i])) == NULL)
			continue;
		for (k = 0; k < n && strcmp(told[k], m) != 0; k++)
			;
		if (k < n || n == sizeof told / sizeof told[0])
			continue;
		buf_printf(b, "%s%s", n == 0 ? " by " : " and by ", m);
		told[n++] = m;
	}
}

/* What the sentence does not rest on. */
static void
say_rest(struct buf *b, const struct judged *j)
{
	size_t unsure = count_entries(j, VERDICT_INCONCLUSIVE), skipped = count_entries(j, VERDICT_SKIP);

	if (unsure > 0)
		buf_printf(b, "; %zu of %zu addresses could not be asked", unsure, j->n);
	if (skipped > 0)
		buf_printf(b, "; %zu of %zu would not be used", skipped, j->n);
}

static void
say_encrypted(struct buf *b, const struct judged *j)
{
	size_t n = count_hosts(j, VERDICT_ENC);

	if (n == 0) {
		buf_puts(b, "mail is encrypted, and verified");
		say_methods(b, j);
		say_where(b, j, count_hosts(j, VERDICT_AUTH));
		buf_puts(b, ", but the MX records are not signed");
		return;
	}
	buf_puts(b, "mail is encrypted");
	say_where(b, j, n);
	buf_puts(b, ", but nothing proves that it reaches the right server");
}

/* The reason has digits that the table repeats. */
static char *
say_skipped(const struct judged *j)
{
	const struct judged_host *jh = j->n > 0 ? &j->v[0] : NULL;
	char *host, *text;

	if (jh == NULL || jh->proof.dane.result != VERIFY_NO_MATCH || jh->proof.dane.depth >= 0)
		return xstrdup(j->verdict.why);
	host = text_escape(jh->host->host->name, strlen(jh->host->host->name));
	text = xasprintf("mail would not be delivered: the certificate of %s matches none of its TLSA records", host);
	free(host);
	return text;
}

char *
answer(const struct judged *j)
{
	struct buf b = BUF_INIT;

	switch (j->verdict.word) {
	case VERDICT_AUTH:
		buf_puts(&b, "mail is encrypted and verified");
		say_methods(&b, j);
		say_where(&b, j, count_hosts(j, VERDICT_AUTH));
		break;
	case VERDICT_ENC:
		say_encrypted(&b, j);
		break;
	case VERDICT_CLEAR:
		buf_puts(&b, "mail may go in clear text");
		say_where(&b, j, count_hosts(j, VERDICT_CLEAR));
		break;
	case VERDICT_SKIP:
		return say_skipped(j);
	case VERDICT_NOMAIL:
	case VERDICT_INCONCLUSIVE:
		return xstrdup(j->verdict.why);
	}
	say_rest(&b, j);
	return buf_steal(&b);
}
