/*
 * smtp_data - a message as it comes behind DATA (RFC 5321 4.1.1.4, 4.5.2): its end is found, its
 * dot-stuffing undone, its octets, lines and Received fields counted.  Or as it comes in the chunks of
 * BDAT (RFC 3030 2): the same without an end of its own and without dots.
 *
 * Only <CRLF>.<CRLF> ends it.  A CR or LF alone, or NUL, breaks it off: what stands behind is neither
 * message nor command, since other servers may have seen an end there (SMTP smuggling).  Beyond a
 * limit the message is at fault: its octets are dropped from there on, but its end is still found.
 */
#ifndef MTATLS_SMTP_DATA_H
#define MTATLS_SMTP_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "text.h"

#define SMTP_DATA_RUN_MAX 65536	/* octets in run */

struct smtp_data_limits {
	uint64_t size;		/* octets, dot-stuffing undone (RFC 1870 5) */
	size_t text_line;	/* octets in a line with its CRLF */
	size_t header;		/* octets in the header section */
	unsigned received;	/* Received fields */
};

enum smtp_data_fault {
	SMTP_DATA_SOUND,
	SMTP_DATA_TOO_LARGE,
	SMTP_DATA_LONG_HEADER,
	SMTP_DATA_LONG_LINE,
	SMTP_DATA_LOOP		/* RFC 5321 6.3 */
};
#define SMTP_DATA_FAULTS (SMTP_DATA_LOOP + 1)

enum smtp_data_got {
	SMTP_DATA_MORE,		/* all bytes were taken, or run is full */
	SMTP_DATA_FAULT,	/* said once, when it is found: d->fault */
	SMTP_DATA_END,		/* d->run holds the rest */
	SMTP_DATA_BROKEN	/* d->broken says by what */
};

/* All zero is valid and empty.  The caller owns it; smtp_data_clear() frees the run, counts stay. */
struct smtp_data {
	struct smtp_data_limits limits;
	struct buf run;			/* decoded octets, CRLF kept; emptied by the caller: run.len = 0 */
	uint64_t octets;		/* of the message, dropped ones included */
	uint64_t header;		/* of these, in the header section with its empty line */
	uint64_t dropped;		/* behind a fault */
	uint64_t lines;
	size_t longest;			/* line, with its CRLF */
	unsigned received;		/* Received fields */
	int has8bit;			/* octets above 127 in it */
	enum smtp_data_fault fault;	/* the first one */
	const char *broken;		/* "LF alone"; static */

	/* The decoder's own. */
	int state;			/* where in <CRLF>.<CRLF> */
	int chunks;			/* it comes in chunks */
	int in_body;
	size_t line;			/* octets in the line under way */
	size_t matched;			/* octets of "Received:" in it */
};

void smtp_data_begin(struct smtp_data *, const struct smtp_data_limits *);
void smtp_data_clear(struct smtp_data *);

/* Behind begin: the message comes in chunks.  Then smtp_data_feed() never says END. */
void smtp_data_in_chunks(struct smtp_data *);

/*
 * Behind the last chunk: a line without its end gets one, since other servers take lines only.  MORE,
 * or FAULT or BROKEN as smtp_data_feed().
 */
enum smtp_data_got smtp_data_finish(struct smtp_data *);

/* *used says how many bytes were taken; less than n on MORE means that run is full. */
enum smtp_data_got smtp_data_feed(struct smtp_data *, const char *, size_t n, size_t *used);

/* Why an octet may not follow: "LF alone", "CR alone", "NUL"; NULL where it may.  Static. */
const char *smtp_octet_fault(int c, int after_cr);

#endif
