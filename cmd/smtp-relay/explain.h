/*
 * explain - -e: what would happen to a message to an address, without sending anything.
 */
#ifndef RELAY_EXPLAIN_H
#define RELAY_EXPLAIN_H

#include "conf.h"
#include "tool.h"

/* Prints route, plan and trace.  NO: permanent failure; UNSURE: the DNS could not be asked. */
enum tool_exit explain(const struct conf *, const char *address);

#endif
