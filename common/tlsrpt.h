/*
 * tlsrpt - SMTP TLS Reporting (RFC 8460): the record that says where a domain wants reports.  Grammar
 * and rules only, no I/O.
 */
#ifndef MTATLS_TLSRPT_H
#define MTATLS_TLSRPT_H

#include <stddef.h>

#include "fail.h"
#include "txtrec.h"

#define TLSRPT_VERSION	"v=TLSRPTv1"
#define TLSRPT_URIS_MAX 100	/* of a record; one with more is faulty */

struct tlsrpt_uri {
	char *uri;		/* as published: printable ASCII */
	char *mailbox;		/* of mailto: user@domain, its escapes undone; NULL for https: */
};

/* Owned by the struct; tlsrpt_clear() frees. */
struct tlsrpt {
	struct tlsrpt_uri *rua;
	size_t n;
};

/*
 * The one record of _smtp._tls.DOMAIN that counts (RFC 8460 3).  *out is set anew.  1; 0: none of the
 * records is of TLS-RPT; -1, FAIL_INPUT: several are, or the one is faulty, with the offset.
 */
int tlsrpt_select(struct tlsrpt *out, const struct txtrec *, size_t n, struct fail *);

/*
 * One record: rua= with URIs (RFC 3986) of the schemes mailto and https, in which comma, "!" and ";" are
 * escaped; of several rua= fields all count.  *out is set anew.  FAIL_INPUT: "offset N: ...".
 */
int tlsrpt_parse(struct tlsrpt *out, const struct txtrec *, struct fail *);
void tlsrpt_clear(struct tlsrpt *);

#endif
