/*
 * submission - a message as a local program hands it in, made into one that SMTP may carry (RFC 6409 8).
 *
 *	submission_init -> submission_feed ... submission_end -> submission_recipients -> submission_header
 *
 * The header is kept, the body goes out through run.  LF, CRLF and, in the body, CR end a line.  Where the first
 * line is no field there is no header and the body begins at once; an mbox "From " line before it is dropped.
 * A program that hands in its output, as cron does, cannot do better next time: in the body a NUL, which no mail may
 * have, becomes "?", and a line that is too long is broken.  In the header a NUL, or a CR alone, which would mean
 * another field to others, is a fault, and so is what goes beyond a limit.
 */
#ifndef MTATLS_SUBMISSION_H
#define MTATLS_SUBMISSION_H

#include <stddef.h>
#include <stdint.h>

#include "address_list.h"
#include "fail.h"
#include "text.h"

#define SUBMISSION_HEADER_MAX (16 * 1024 * 1024)	/* octets of the header as handed in, Bcc and all */
#define SUBMISSION_LINE 998	/* octets in a line of the header without its CRLF (RFC 5322 2.1.1) */

struct submission {
	uint64_t max_size;	/* octets of the body; 0: no limit */
	size_t max_line;	/* octets of a line of the body without its end; 0: no limit */
	int dot_ends;		/* a dot alone in a line ends the message (no -i) */
	struct buf header;	/* fields, lines end in CRLF; without the empty line */
	struct buf run;		/* of the body, as handed in; the caller takes it out: run.len = 0 */
	uint64_t octets;	/* of the body once each line ends in CRLF */
	uint64_t taken;		/* octets handed in */
	int header8bit, body8bit;	/* octets above 127 in it */
	uint64_t nuls;		/* that were replaced */
	uint64_t broken;	/* lines */
	int ended;		/* by the dot */

	/* The reader's own. */
	struct buf line;	/* of the header, under way */
	int in_body;
	int begun;		/* a line of the header is over */
	size_t column;		/* in a line of the body */
	int cr, bol, dot;	/* the last octet was a CR; a line begins; it begins with a dot */
};

void submission_init(struct submission *, uint64_t max_size, size_t max_line, int dot_ends);
void submission_clear(struct submission *);

/* Takes n octets, none behind the dot.  FAIL_INPUT names the offset. */
int submission_feed(struct submission *, const char *, size_t n, struct fail *);
int submission_end(struct submission *, struct fail *);

/*
 * The function gets all addresses of To, Cc and Bcc; where there are Resent- fields, of Resent-To, Resent-Cc and
 * Resent-Bcc in their stead: those of the newest block, which is the first (RFC 5322 3.6.6); a name that comes again
 * begins the next one.  FAIL_INPUT names the field.
 */
int submission_recipients(const struct submission *, address_list_fn *, void *arg, struct fail *);

struct submission_facts {
	const char *sender;	/* local@domain, for a From that is missing */
	const char *full_name;	/* beside it; NULL, "": none.  Without controls */
	const char *domain;	/* of bare addresses */
	const char *hostname;	/* of message IDs */
	int64_t now;
	const char *unique;	/* the local part of a message ID that is missing */
};

/*
 * Appends the header as it goes out, with its empty line: Date, Message-ID and From where they are missing (and
 * their Resent- kin where there are Resent- fields); without Bcc, Resent-Bcc, Return-Path and Content-Length; bare
 * addresses with a domain; lines folded that are too long.
 */
void submission_header(const struct submission *, const struct submission_facts *, struct buf *);

/* A name as a phrase (RFC 5322 3.2.5): as it is, quoted, or in encoded words (RFC 2047). */
void submission_phrase(struct buf *, const char *);

#endif
