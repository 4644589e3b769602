/*
 * issue_args - the options that mkcert and csrgen have in common: what the subject and the names are.
 */
#ifndef MTATLS_ISSUE_ARGS_H
#define MTATLS_ISSUE_ARGS_H

#include "fail.h"
#include "issue.h"

enum {
	ISSUE_ARG_ORG = 512,
	ISSUE_ARG_UNIT,
	ISSUE_ARG_LOCALITY,
	ISSUE_ARG_STATE,
	ISSUE_ARG_COUNTRY
};

/* Rows for a table of struct option; the short option is "a:". */
#define ISSUE_ARGS_OPTIONS \
	{ "add", required_argument, NULL, 'a' }, \
	{ "org", required_argument, NULL, ISSUE_ARG_ORG }, \
	{ "unit", required_argument, NULL, ISSUE_ARG_UNIT }, \
	{ "locality", required_argument, NULL, ISSUE_ARG_LOCALITY }, \
	{ "state", required_argument, NULL, ISSUE_ARG_STATE }, \
	{ "country", required_argument, NULL, ISSUE_ARG_COUNTRY }

/* 1: the option was one of these, and the order has it; 0: it is another's; -1: FAIL_INPUT. */
int issue_args_take(struct issue *, int ch, const char *arg, struct fail *);

#endif
