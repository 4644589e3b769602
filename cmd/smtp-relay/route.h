/*
 * route - the only role that resolves and fetches: a domain comes in, a plan goes out.
 *
 * Its root directory is the folder of kept MTA-STS policies.
 */
#ifndef RELAY_ROUTE_H
#define RELAY_ROUTE_H

#include "conf.h"
#include "facts.h"
#include "policy.h"
#include "role.h"

struct dns;

#define ROUTE_REPORT_MAX (32 * 1024 * 1024)	/* octets of a report that is posted */
#define ROUTE_NAMES_S 5		/* one that retired answers for so long, as an in waits for a name */

struct route_start {
	struct role_start role;
	const struct conf *conf;
	const struct trust *trust;	/* for policy hosts; NULL: the lists could not be read */
	int queue;		/* socket to the queue; the role's now */
};

void route_main(const struct route_start *) __attribute__((noreturn));

#endif
