/*
 * Files of evidence: what is read is written to the same, and can be judged under any policy.
 * fuzz: cmd/tlscheck/evidence cmd/tlscheck/evidence-put cmd/tlscheck/evidence-read cmd/tlscheck/judge cmd/tlscheck/levels cmd/tlscheck/answer cmd/tlscheck/advice cmd/tlscheck/cas tool sandbox log facts sts tlsrpt txtrec mailbox policy proof dns verify constraint trust tls file tlsa cert name key ossl pem table text fail alloc
 */
#include "../../cmd/tlscheck/advice.h"
#include "../../cmd/tlscheck/evidence.h"
#include "../../cmd/tlscheck/judge.h"
#include "../../cmd/tlscheck/levels.h"

#include "fuzz.h"

static void
on_error(void *arg, const char *file, unsigned line, const char *text)
{
	(void)arg;
	MUST(strcmp(file, "f") == 0 && line > 0 && *text != '\0');
}

static void
judge_all(const struct evidence *ev)
{
	struct policy policy = POLICY_DEFAULT;
	struct judge_conf conf = { .now = 0 };
	struct levels levels;
	struct advice advice;
	struct judged j;

	judge(ev, &policy, &conf, &j);
	MUST(j.verdict.why != NULL && j.verdict.rule != NULL);
	advice_make(&j, 30, &advice);
	advice_clear(&advice);
	judged_clear(&j);
	levels_judge(ev, &policy, &conf, &levels);
	MUST(levels.n == 16);
	levels_clear(&levels);
}

static void
put_all(struct buf *b, const struct evidence_list *list)
{
	size_t i;

	evidence_begin(b);
	for (i = 0; i < list->n; i++)
		evidence_put(b, list->v[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct evidence_list list, again;
	size_t i, errors = evidence_read("f", (const char *)data, n, &list, on_error, NULL);

	MUST((errors == 0) == (list.n > 0));
	for (i = 0; i < list.n; i++)
		judge_all(list.v[i]);
	put_all(&once, &list);
	/* Odd octets grow to %XX, and a line may pass the grammar's limit. */
	if (list.n > 0 && n < TABLE_LINE_MAX / 3) {
		MUST(evidence_read("f", once.p, once.len, &again, on_error, NULL) == 0);
		put_all(&twice, &again);
		MUST(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
		evidence_list_clear(&again);
	}
	evidence_list_clear(&list);
	buf_clear(&once);
	buf_clear(&twice);
	return 0;
}
