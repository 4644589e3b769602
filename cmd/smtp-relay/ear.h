/*
 * ear - the queue's ear for relayq: the socket of common/control, its clients, and what they ask.
 */
#ifndef RELAY_EAR_H
#define RELAY_EAR_H

#include "dispatch.h"

struct ear;

/* Listens; the spool's directory is open and the role has its final rights.  FAIL_SYS. */
struct ear *ear_new(struct event_base *, const char *role, struct spool *,
    struct dispatch *, struct fail *);

/* No more questions; the socket is removed. */
void ear_end(struct ear *);

#endif
