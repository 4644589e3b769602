/*
 * warnings - what keeps the relay from nothing and is hardly meant so: told by -n, at the start and at SIGHUP.
 */
#ifndef RELAY_WARNINGS_H
#define RELAY_WARNINGS_H

#include "conf.h"
#include "table.h"

/*
 * Tells each; how many.  file is the configuration, or what it names; line 0: no certain one.  includes: the files that
 * those of aliases include are read too, which may be any user's.
 */
size_t warnings_tell(const struct conf *, int includes, table_error_fn *, void *arg);

#endif
