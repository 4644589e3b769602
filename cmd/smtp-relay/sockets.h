/*
 * sockets - unix sockets that routes lead to.  An out cannot reach them from its root directory, nor has it a right to
 * them: it asks the master, which connects to those that its configuration names, and to no others.
 */
#ifndef RELAY_SOCKETS_H
#define RELAY_SOCKETS_H

#include "conf.h"
#include "fail.h"
#include "order.h"

/*
 * socket SEQ PATH, from an out: answered on its socket with "socket SEQ" and the connected descriptor, or with
 * "socket SEQ WHY".  Never waits.
 */
void sockets_answer(const struct conf *, int sock, const struct order *);

#endif
