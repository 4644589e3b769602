#include "tried.h"

#include <stdio.h>
#include <string.h>

#include "table.h"

void
tried_pack(struct buf *b, const char *seq, const struct tried *t)
{
	char host[24], why[TRIED_WHY_MAX + 1];

	snprintf(host, sizeof host, "%zu", t->host);
	snprintf(why, sizeof why, "%s", t->why);
	table_put(b, "tried", seq, host, t->address, verdict_name(t->word), contact_trouble_name(t->trouble), t->rule,
	    why, (char *)NULL);
}

static int
word_of(const char *name)
{
	int i;

	for (i = VERDICT_AUTH; i <= VERDICT_INCONCLUSIVE; i++)
		if (strcmp(verdict_name((enum verdict_word)i), name) == 0)
			return i;
	return -1;
}

int
tried_unpack(struct tried *t, const struct order *o, size_t nhost, struct fail *f)
{
	long long host;
	int word, trouble;

	if (o->n != 8 || nhost == 0 || text_number(o->v[2], 0, (long long)nhost - 1, "host", &host, f) == -1 ||
	    (word = word_of(o->v[4])) == -1 || (trouble = contact_trouble_find(o->v[5])) == -1 ||
	    strlen(o->v[7]) > TRIED_WHY_MAX)
		return fail(f, FAIL_INPUT, "a record of what was tried makes no sense");
	t->host = (size_t)host;
	t->address = o->v[3];
	t->word = (enum verdict_word)word;
	t->trouble = (enum contact_trouble)trouble;
	t->rule = o->v[6];
	t->why = o->v[7];
	return 0;
}
