/*
 * tried - what came of one host of a plan, as out tells it to queue: a connection and its verdict, or why there was
 * none.  One record for each, in their order, before the order's end; a connection that is used again is no new one.
 *
 * out may have been taken over: a record is good for what is counted and told, never for what becomes of mail.
 */
#ifndef RELAY_TRIED_H
#define RELAY_TRIED_H

#include <stddef.h>

#include "contact.h"
#include "fail.h"
#include "order.h"
#include "policy.h"
#include "text.h"

#define TRIED_WHY_MAX 500	/* octets of a reason; the rest is cut */

struct tried {
	size_t host;		/* number in the plan */
	const char *address;	/* "": the plan forbids a connection, or none can be asked for */
	enum verdict_word word;	/* AUTH, ENC, CLEAR: a session through which mail may go */
	enum contact_trouble trouble;	/* SKIP: what is wrong with its TLS; INCONCLUSIVE: whether it was the password */
	const char *rule;
	const char *why;
};

/* tried SEQ HOST ADDRESS VERDICT TROUBLE RULE WHY; the sequence is the order's. */
void tried_pack(struct buf *, const char *seq, const struct tried *);

/* Strings are the record's.  nhost: hosts of the plan.  FAIL_INPUT. */
int tried_unpack(struct tried *, const struct order *, size_t nhost, struct fail *);

#endif
