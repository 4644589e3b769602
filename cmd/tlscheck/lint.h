/*
 * lint - what a postmaster is about to publish, held against the grammar of the RFCs: tlscheck --lint.
 */
#ifndef TLSCHECK_LINT_H
#define TLSCHECK_LINT_H

#include "tool.h"

#define LINT_KINDS "sts-txt, sts-policy, tlsrpt-txt or tlsa"

/* Is there such a kind? */
int lint_is_kind(const char *);

/*
 * Prints what was read, as words or as one JSON object: TOOL_YES; TOOL_NO with the line, and the octet in it
 * where there is one, on stderr; TOOL_CANNOT where the file cannot be read.
 */
enum tool_exit lint(const char *kind, const char *path, int json);

#endif
