/*
 * tlsa-gen - the TLSA records of an identity, a certificate, a key or a live server: printed, published, held
 * against what is published.  gen.h names the parts.
 */
#include <string.h>

#include "gen.h"
#include "ossl.h"

static enum tool_exit
act(const struct job *j, const struct source *s, const struct records *r)
{
	struct fail f = FAIL_INIT;

	switch (j->task) {
	case TASK_CHECK:
		return published_check(j, s, r);
	case TASK_DEPLOY:
		return deploy_check(j, s);
	case TASK_UPDATE:
		return update_send(j, r);
	case TASK_PRINT:
		break;
	}
	return output_print(j, r, &f) == -1 ? tool_failed(&f) : TOOL_YES;
}

int
main(int argc, char **argv)
{
	struct job j;
	struct source s = { .names = CERT_NAMES_INIT };
	struct records r = { .v = NULL };
	struct fail f = FAIL_INIT;
	enum tool_exit status;

	options_read(&j, argc, argv);
	ossl_init();
	if (input_read(&j, &s, &f) == -1 || (j.task != TASK_DEPLOY && records_make(&j, &s, &r, &f) == -1) ||
	    owners_find(&j, &s, &f) == -1)
		status = tool_failed(&f);
	else
		status = act(&j, &s, &r);
	records_clear(&r);
	source_clear(&s);
	options_clear(&j);
	return tool_finish(status);
}
