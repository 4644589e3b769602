/*
 * sums - what smtp-relay --tlsrpt prints: what was counted today for reports on TLS, from the file that the queue writes.
 */
#ifndef RELAY_SUMS_H
#define RELAY_SUMS_H

#include "conf.h"
#include "tool.h"

/* domain NULL: all.  NO where nothing was counted of the one asked for. */
enum tool_exit sums_print(const struct conf *, const char *domain, int json);

#endif
