/*
 * mailbox - the addresses in MAIL and RCPT (RFC 5321 4.1.2): local part and domain.
 *
 * Parsed strictly: what a struct mailbox holds is printable ASCII, or UTF-8 without controls where that was
 * asked for; its domain is a domain or an address literal of the grammar (underscores pass, a dot at its end
 * goes), and mailbox_print() gives it back so that it parses to the same.  Neither part is changed in case;
 * domains are compared with text_case_eq().  Whether U-labels are ones of IDNA (RFC 5890) is not looked at.
 */
#ifndef MTATLS_MAILBOX_H
#define MTATLS_MAILBOX_H

#include <stddef.h>

#include "fail.h"
#include "text.h"

#define MAILBOX_LOCAL_MAX 64	/* octets of a local part as sent (RFC 5321 4.5.3.1.1) */
#define MAILBOX_DOMAIN_MAX 255	/* octets of a domain (4.5.3.1.2) */
#define MAILBOX_MAX 254		/* octets of both and the @: a path is 256 with its <> (4.5.3.1.3) */

struct mailbox {
	char local[MAILBOX_LOCAL_MAX + 1];	/* quotes and backslashes undone: spaces may stand in it */
	char domain[MAILBOX_DOMAIN_MAX + 1];	/* "[192.0.2.1]" for a literal; "": there is none */
};

#define MAILBOX_NULL	0x1	/* <> is allowed: both parts empty (RFC 5321 4.5.5) */
#define MAILBOX_BARE	0x2	/* a local part without a domain is allowed: the caller knows which one */
#define MAILBOX_UTF8	0x4	/* UTF-8 is allowed in both parts (RFC 6531 3.3) */

/*
 * Parses a path from its "<" on and sets *used to the octets up to and with its ">".  A source
 * route in it is checked and left out (RFC 5321 4.1.1.3, appendix C).  FAIL_INPUT; FAIL_POLICY where
 * the only fault is an octet above 127, which MAILBOX_UTF8 would allow.
 */
int mailbox_parse(struct mailbox *, const char *, size_t n, unsigned flags, size_t *used,
    struct fail *);

/* True where either part has octets above 127. */
int mailbox_is_utf8(const struct mailbox *);

/* Appends the address without <>, quoted where it must be; nothing for the null path. */
void mailbox_print(struct buf *, const struct mailbox *);

/* True where the bytes are a Domain (RFC 5321 4.1.2; underscores pass). */
int mailbox_is_domain(const char *, size_t);

#endif
