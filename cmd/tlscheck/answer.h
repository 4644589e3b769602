/*
 * answer - the short answer: what becomes of mail to a destination, in one sentence.
 */
#ifndef TLSCHECK_ANSWER_H
#define TLSCHECK_ANSWER_H

#include "judge.h"

/* "mail is encrypted and verified by DANE at both MX hosts"; on the heap.  What was not asked, or would
 * not be used, is counted in it. */
char *answer(const struct judged *);

#endif
