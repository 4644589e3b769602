/*
 * sandbox - what a process gives up before it looks at anybody's bytes.
 *
 * sandbox_tool() suits every command: umask 077, no core file (a key may be in memory), and no new
 * privileges through exec (prctl(2), PR_SET_NO_NEW_PRIVS).  It cannot be taken back.
 */
#ifndef MTATLS_SANDBOX_H
#define MTATLS_SANDBOX_H

#include "fail.h"

int sandbox_tool(struct fail *);

#endif
