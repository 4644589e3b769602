/*
 * queue - the role that owns the spool: commits messages in groups, and alone says that they are safe.
 */
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include "conf.h"
#include "credentials.h"
#include "role.h"

#define QUEUE_PROBE_MS 1000	/* between probes of a spool that failed to sync */

struct queue_start {
	struct role_start role;
	const struct conf *conf;
	const char *conf_path;	/* absolute */
	const struct credentials *credentials;	/* NULL: no route has any */
	const char *spool;	/* its path, before the role changes its root directory */
};

void queue_main(const struct queue_start *) __attribute__((noreturn));

#endif
