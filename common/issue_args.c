#include "issue_args.h"

static const enum issue_field field[] = {
	[0] = ISSUE_O,
	[ISSUE_ARG_UNIT - ISSUE_ARG_ORG] = ISSUE_OU,
	[ISSUE_ARG_LOCALITY - ISSUE_ARG_ORG] = ISSUE_L,
	[ISSUE_ARG_STATE - ISSUE_ARG_ORG] = ISSUE_ST,
	[ISSUE_ARG_COUNTRY - ISSUE_ARG_ORG] = ISSUE_C,
};

int
issue_args_take(struct issue *is, int ch, const char *arg, struct fail *f)
{
	if (ch == 'a')
		return issue_add_san(is, arg, f) == -1 ? -1 : 1;
	if (ch < ISSUE_ARG_ORG || ch > ISSUE_ARG_COUNTRY)
		return 0;
	return issue_set(is, field[ch - ISSUE_ARG_ORG], arg, f) == -1 ? -1 : 1;
}
