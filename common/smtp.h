/*
 * smtp - the grammar that both ends of SMTP share: replies (RFC 5321 4.2), enhanced status codes
 * (RFC 3463, RFC 2034), and the capabilities in an EHLO reply (RFC 5321 4.1.1.1).
 *
 * The reply parser is fed whatever bytes arrived, in pieces of any size.  Its results hold counted
 * peer bytes, in which NUL and control characters may stand: they are printed escaped, through
 * smtp_reply_print().  A line ends in CRLF or in LF alone: Postfix and others as clients take both
 * from a server, nothing is smuggled by it in this direction, and some old servers send it.  A CR
 * elsewhere is an odd octet of the line.
 */
#ifndef MTATLS_SMTP_H
#define MTATLS_SMTP_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define SMTP_LINE_MAX 4096	/* octets in a line with its end; RFC 5321 4.5.3.1.5 says 512 */
#define SMTP_LINES_MAX 200	/* lines in a reply */
#define SMTP_REPLY_MAX 65536	/* octets in a reply, codes and line ends included */
#define SMTP_PRINT_MAX 400	/* octets of reply text that smtp_reply_print() shows */

/* RFC 3463: class 2, 4 or 5; class 0: there is none. */
struct smtp_status {
	int class;
	int subject;
	int detail;
};

#define SMTP_STATUS_MAX 12	/* "5.999.999" and its NUL fit */

struct smtp_reply {
	int code;			/* 200..599; 0: no reply yet */
	struct smtp_status status;	/* the first one found whose class agrees with the code */
	unsigned lines;
	unsigned odd;			/* NUL and control octets in the text, tabs not counted */
	struct buf text;		/* as sent, without codes; lines are joined by LF */
};

/* All zero is an empty reply; smtp_reply_copy() clears what `to` held. */
void smtp_reply_clear(struct smtp_reply *);
void smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from);

/* Line n from 0 of the text, not NUL-terminated; NULL past the end.  Borrowed. */
const char *smtp_reply_line(const struct smtp_reply *, unsigned n, size_t *len);

/* Appends "454 4.7.0 TLS not available": escaped, lines joined by a space, SMTP_PRINT_MAX long. */
void smtp_reply_print(struct buf *, const struct smtp_reply *);

/*
 * Parses "X.Y.Z" before a space or the end.  Returns its length and sets the status; 0 where there
 * is none, or where its class is not this reply code's (RFC 2034 4).
 */
size_t smtp_status_parse(const char *, size_t, int code, struct smtp_status *);
/* "X.Y.Z", or "" where there is none.  Returns dst. */
const char *smtp_status_text(char dst[SMTP_STATUS_MAX], const struct smtp_status *);

enum smtp_parsed {
	SMTP_PARSED_MORE,	/* all bytes were taken; the reply is not complete */
	SMTP_PARSED_REPLY,	/* parser->reply is complete and stays until the next feed */
	SMTP_PARSED_ERROR	/* not SMTP: FAIL_PEER says why; the parser is of no more use */
};

/* All zero is a parser ready for use.  The caller owns it; smtp_parser_clear() frees and zeroes. */
struct smtp_parser {
	struct smtp_reply reply;
	struct buf line;	/* the line under way */
	size_t octets;		/* of the reply under way */
	int complete;		/* the next feed begins a new reply */
};

/* Takes bytes up to the end of one reply; *used says how many. */
enum smtp_parsed smtp_parser_feed(struct smtp_parser *, const char *, size_t, size_t *used,
    struct fail *);
/* True where bytes of an unfinished reply are held. */
int smtp_parser_partial(const struct smtp_parser *);
void smtp_parser_clear(struct smtp_parser *);

#define SMTP_CAP_STARTTLS		0x0001	/* RFC 3207 */
#define SMTP_CAP_PIPELINING		0x0002	/* RFC 2920 */
#define SMTP_CAP_SIZE			0x0004	/* RFC 1870 */
#define SMTP_CAP_8BITMIME		0x0008	/* RFC 6152 */
#define SMTP_CAP_SMTPUTF8		0x0010	/* RFC 6531 */
#define SMTP_CAP_ENHANCEDSTATUSCODES	0x0020	/* RFC 2034 */
#define SMTP_CAP_CHUNKING		0x0040	/* RFC 3030 */
#define SMTP_CAP_DSN			0x0080	/* RFC 3461 */
#define SMTP_CAP_REQUIRETLS		0x0100	/* RFC 8689 */
#define SMTP_CAP_AUTH			0x0200	/* RFC 4954 */

struct smtp_caps {
	unsigned bits;
	uint64_t size;	/* SIZE's number in octets; 0: no limit named */
	char *domain;	/* first word of the first line, escaped; never NULL once parsed */
	char *auth;	/* AUTH's mechanisms in upper case, spaces between; NULL without AUTH */
};

/* From a positive EHLO or LHLO reply; empties *caps first.  Unknown keywords are passed over. */
void smtp_caps_parse(struct smtp_caps *, const struct smtp_reply *);
void smtp_caps_clear(struct smtp_caps *);

/* "STARTTLS" for one bit; NULL for none.  smtp_cap_nth(): the n-th bit from 0; 0 past the end. */
const char *smtp_cap_name(unsigned bit);
unsigned smtp_cap_nth(size_t n);

#endif
