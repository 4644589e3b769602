/*
 * tlsa-file - TLSA records as a person has them: a line each, "U S M HEX" alone, or as a zone file has it with owner, TTL
 * and class, also in the form of RFC 3597 (TYPE52 \# 35 ...).  A parenthesis closes on its line.
 */
#ifndef TLSCHECK_TLSA_FILE_H
#define TLSCHECK_TLSA_FILE_H

#include "fail.h"
#include "tlsa.h"

/*
 * Takes a record, which is then the callee's, with the number of its line, from 1, and its owner as it is written: NULL
 * where there is none; borrowed for the call.  -1 ends the reading with this fault.
 */
typedef int tlsa_file_fn(void *arg, struct tlsa *, const char *owner, unsigned line, struct fail *);

/* Of a file's text, which is written over.  FAIL_INPUT: path and line. */
int tlsa_file_read(char *text, const char *path, tlsa_file_fn *, void *arg, struct fail *);

#endif
