/*
 * monitor - a line and an exit code for a monitoring system, as its plugins give them (the Monitoring
 * Plugins guidelines): "TLSCHECK OK - ... | days=45;14;7 ...", 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
 */
#ifndef TLSCHECK_MONITOR_H
#define TLSCHECK_MONITOR_H

#include "judge.h"

enum monitor_state { MONITOR_OK, MONITOR_WARNING, MONITOR_CRITICAL, MONITOR_UNKNOWN };

struct monitor_conf {
	enum verdict_word expect;	/* what is weaker is CRITICAL */
	int warn_days, critical_days;	/* until a certificate ends; -1: not looked at */
};

/* Is a verdict at least what is expected?  AUTH before ENC before CLEAR; NOMAIL and SKIP only themselves. */
int monitor_meets(enum verdict_word, enum verdict_word expected);

/* Of all destinations of a run, in their order. */
struct monitor {
	const struct monitor_conf *conf;
	enum monitor_state state;
	struct buf text, perf;
	size_t n;
};

void monitor_add(struct monitor *, const struct judged *);
enum monitor_state monitor_of(const struct judged *, const struct monitor_conf *);

/* Of the states of several destinations the one that counts: CRITICAL, WARNING, UNKNOWN, OK. */
enum monitor_state monitor_worse(enum monitor_state, enum monitor_state);

/* Prints the line; returns the state. */
enum monitor_state monitor_finish(struct monitor *);

#endif
