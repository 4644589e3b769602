/*
 * places - where listeners would make their unix sockets: whether the relay can, told before it tries.
 */
#ifndef RELAY_PLACES_H
#define RELAY_PLACES_H

#include "conf.h"
#include "fail.h"

/* Nothing is made.  -1: FAIL_INPUT, FAIL_SYS, with the listener's line and what to do. */
int places_check(const struct conf *, const struct conf_listen *, struct fail *);

/* The first of all listeners that does not do. */
int places_check_all(const struct conf *, struct fail *);

#endif
