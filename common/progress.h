/*
 * progress - a line on a terminal, for what takes longer than a second.
 *
 *	tool: making certificates ... 1200 of 10000
 *
 * It stands on stderr, where that is a terminal that can erase a line, from one second after progress_begin(), is
 * written anew each second by a handler of SIGALRM, and is gone with progress_end(), or before talk() says something.
 * Elsewhere nothing is written.  One at a time; no other use of SIGALRM and setitimer(2) in between.
 */
#ifndef MTATLS_PROGRESS_H
#define MTATLS_PROGRESS_H

#include <stddef.h>

/* The text is borrowed until the end; total 0: how much there is to do is not known. */
void progress_begin(const char *doing, size_t total);
void progress_step(void);
void progress_hide(void);
void progress_end(void);

#endif
