/*
 * offline - a chain from a file, names and TLSA records from options, as evidence: what a host of that
 * name in signed DNS would show.  No network.
 */
#ifndef TLSCHECK_OFFLINE_H
#define TLSCHECK_OFFLINE_H

#include <stdint.h>

#include "evidence.h"
#include "fail.h"

struct offline {
	const char *chain;		/* file, "-" for stdin: PEM, DER or PKCS#7, leaf first */
	const char *const *name;	/* A-labels or addresses; the first is the TLSA base and the host */
	size_t nname;
	const char *const *tlsa;	/* "U S M HEX" */
	size_t ntlsa;
	const char *tlsa_file;		/* or NULL */
	uint16_t port;			/* of the records' owner */
};

/* NULL: FAIL_INPUT or FAIL_SYS, with the file and line.  The caller frees with evidence_free(). */
struct evidence *offline_read(const struct offline *, int64_t now, struct fail *);

/* TLSA records of the host from the text of a file, whose lines are taken apart: "U S M HEX", or as a zone
 * file has them.  FAIL_INPUT: path and line, or none of them is the host's. */
int offline_records(struct facts_host *, uint16_t port, const char *path, char *text, struct fail *);

#endif
