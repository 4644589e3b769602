/*
 * names - what a client's address is called: a PTR record whose name leads back to the address.
 *
 * in asks with its own socket to route, which answers each question once; how long to wait is in's affair.
 * Whoever owns an address block may write any name into its PTR records, so a name counts only where its own
 * address records have the address (RFC 8601 2.7.3 calls that iprev).
 */
#ifndef RELAY_NAMES_H
#define RELAY_NAMES_H

#include <stddef.h>

#include "conf.h"
#include "role.h"

struct dns;

#define NAMES_PTR_MAX 8		/* names of an address that are looked at */
#define NAMES_ASKED_MAX 20000	/* questions of one in at once; more are answered NAMES_FAILED */

enum names_state {
	NAMES_CONFIRMED,	/* the name is with the answer */
	NAMES_NONE,		/* no PTR record, or none whose name has the address */
	NAMES_FAILED		/* the DNS gave no answer that can be used: it may later */
};

const char *names_state_name(enum names_state);		/* "confirmed" "none" "failed" */
int names_state_parse(const char *);			/* -1: none of them */

/*
 * Answers `name SLOT SERIAL ADDRESS` that come over the socket, which is taken over, with `named SLOT SERIAL STATE NAME`, until its other
 * end is gone.  There is the in of that number.  All but the socket is borrowed.
 */
void names_serve(struct role *, const struct conf *, struct dns *, int fd, unsigned number);

#endif
