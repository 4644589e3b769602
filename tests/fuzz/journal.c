/*
 * A journal of results, from an out that a peer took over: what is handed on is final, has an ID, a proof and a text.
 */
#include "journal.h"

#include "scratch.h"

struct seen {
	const struct journal_key *key;
	size_t n;
};

static void
result(void *arg, const struct journal_result *r)
{
	struct seen *s = arg;
	char proof[JOURNAL_PROOF_SIZE];

	MUST(spool_id_valid(r->id) && r->number < SPOOL_RCPTS_MAX && r->text != NULL);
	MUST(r->state == SPOOL_RCPT_DELIVERED || r->state == SPOOL_RCPT_FAILED || r->state == SPOOL_RCPT_RELAYED);
	journal_proof(proof, s->key, r->id, r->number);
	MUST(strcmp(proof, r->proof) == 0);
	s->n++;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct spool spool = SPOOL_INIT;
	const struct journal_key key = { { 0 } };
	struct seen s = { .key = &key, .n = 0 };
	struct fail f = FAIL_INIT;
	size_t damaged = 0;

	if (spool.dir[SPOOL_RESULTS] == -1) {
		spool.dir[SPOOL_RESULTS] = open(scratch_folder("out-1"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		MUST(spool.dir[SPOOL_RESULTS] != -1);
	}
	scratch_put(data, n);
	MUST(journal_read(&spool, "out-1", &key, result, &s, &damaged, &f) == 0);
	MUST(s.n + damaged <= n);
	return 0;
}
