/*
 * told - whether what the policy engine says of itself can be shown: a rule that is a clause or "local", and words.
 */
#ifndef TOLD_H
#define TOLD_H

#include <string.h>

__attribute__((unused)) static int
good_rule(const char *rule)
{
	return rule != NULL && (strcmp(rule, "local") == 0 ||
	    (strncmp(rule, "RFC ", 4) == 0 && rule[4] >= '1' && rule[4] <= '9'));
}

__attribute__((unused)) static int
good_words(const char *why)
{
	return why != NULL && why[0] != '\0' && strstr(why, "(null)") == NULL;
}

#endif
