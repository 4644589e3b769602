/*
 * tlsrpt_mail - the message that brings a report (RFC 8460 5.3): made, and taken apart.  No I/O.
 */
#ifndef MTATLS_TLSRPT_MAIL_H
#define MTATLS_TLSRPT_MAIL_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define TLSRPT_MAIL_MAX (32 * 1024 * 1024)	/* octets of a message that is taken apart */
#define TLSRPT_MAIL_PARTS 100			/* of it that are looked at */
#define TLSRPT_MAIL_DEPTH 5			/* multiparts in each other */

struct tlsrpt_mail {
	const char *from, *to;		/* addresses without <> */
	const char *message_id;		/* with its <> */
	int64_t now;			/* its Date */
	const char *domain;		/* that the report is about */
	const char *submitter;		/* the domain that it is from */
	const char *organization;	/* for people; NULL: none */
	const char *id;			/* report-id */
	const char *filename;		/* as tlsrpt_report_filename() has it */
	int64_t start;			/* of the day */
	const void *gz;			/* the report, packed */
	size_t len;
};

/*
 * Appends the whole message: printable ASCII in lines of at most 998 octets that end in CRLF.  It says "TLS-Required:
 * No" (RFC 8689), so that failures that it tells of do not keep it from arriving (RFC 8460 5.3).
 */
void tlsrpt_mail_build(struct buf *, const struct tlsrpt_mail *);

/*
 * Finds the report in a message and appends its octets, decoded, gzip or JSON, at most max of them.  Looked for is a
 * part of type application/tlsrpt+gzip or +json, or one that is named like a report; line ends may be LF alone.  FAIL_INPUT.
 */
int tlsrpt_mail_find(struct buf *, const char *, size_t, size_t max, struct fail *);

/* Does it look like a message, with a header in front? */
int tlsrpt_mail_is(const char *, size_t);

#endif
