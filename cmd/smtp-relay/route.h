/*
 * route - the only role that resolves: a domain comes in, a plan goes out.
 */
#ifndef RELAY_ROUTE_H
#define RELAY_ROUTE_H

#include "conf.h"
#include "facts.h"
#include "policy.h"
#include "role.h"

struct dns;

struct route_start {
	struct role_start role;
	const struct conf *conf;
	int queue;		/* socket to the queue; the role's now */
};

void route_main(const struct route_start *) __attribute__((noreturn));

#endif
