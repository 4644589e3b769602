/*
 * explain - -e: what would happen to a message to an address, without sending anything.
 */
#ifndef RELAY_EXPLAIN_H
#define RELAY_EXPLAIN_H

#include "conf.h"
#include "tool.h"

/*
 * Prints route, plan and trace.  YES: a host may be tried; NO: permanent failure, or the plan forbids
 * every host; UNSURE: the DNS could not be asked.
 */
enum tool_exit explain(const struct conf *, const char *address);

#endif
