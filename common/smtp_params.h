/*
 * smtp_params - the parameters behind the paths of MAIL and RCPT, as a server takes them.
 *
 * Sources: RFC 1870 3 (SIZE), RFC 6152 2 (BODY), RFC 6531 3.4 (SMTPUTF8), RFC 3461 4 (RET, ENVID, NOTIFY,
 * ORCPT; RFC 6533 3 for addresses in UTF-8), RFC 8689 2 (REQUIRETLS), RFC 4954 5 (AUTH).  What is kept of
 * xtext is as it was sent, checked: decoded it holds printable characters alone, so that no line end or NUL
 * comes through it.
 */
#ifndef MTATLS_SMTP_PARAMS_H
#define MTATLS_SMTP_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#define SMTP_ENVID_MAX 100	/* octets as sent (RFC 3461 5.4) */
#define SMTP_ORCPT_MAX 500	/* likewise (4.2) */

enum smtp_ret {
	SMTP_RET_NONE,
	SMTP_RET_FULL,
	SMTP_RET_HDRS
};

#define SMTP_NOTIFY_NEVER	0x1
#define SMTP_NOTIFY_SUCCESS	0x2
#define SMTP_NOTIFY_FAILURE	0x4
#define SMTP_NOTIFY_DELAY	0x8

struct smtp_mail_params {
	uint64_t size;			/* SIZE=; 0: not said; UINT64_MAX: that or more */
	int body8bit;			/* BODY=8BITMIME */
	int utf8;			/* SMTPUTF8 */
	int requiretls;			/* REQUIRETLS */
	enum smtp_ret ret;
	char envid[SMTP_ENVID_MAX + 1];	/* xtext; "": none */
};

struct smtp_rcpt_params {
	unsigned notify;		/* SMTP_NOTIFY_*; 0: not said */
	char orcpt[SMTP_ORCPT_MAX + 1];	/* "rfc822;xtext"; "": none */
};

/* Why they are refused; strings are static. */
struct smtp_params_fault {
	int code;
	const char *status, *text;
};

/*
 * The text is what stands behind the path: nothing, or white space and words.  offered is the set of
 * SMTP_CAP_* that the client was told: a parameter of another is not known.  0, or -1 with the fault.
 */
int smtp_mail_params_parse(struct smtp_mail_params *, const char *, unsigned offered,
    struct smtp_params_fault *);
int smtp_rcpt_params_parse(struct smtp_rcpt_params *, const char *, unsigned offered, int utf8,
    struct smtp_params_fault *);

/*
 * The value of an ORCPT for an address that stood in RCPT: "rfc822;" and xtext (RFC 3461 4), or "utf-8;" and its
 * ASCII form (RFC 6533 3).  dst holds SMTP_ORCPT_MAX + 1 bytes; "" where there is no room, or the address is no UTF-8.
 */
const char *smtp_orcpt(char *dst, const char *address);

/* Undoes xtext that was checked; the caller frees. */
char *smtp_xtext_decode(const char *);

/* The same of an ORCPT; in one of type utf-8 a plus is none but itself (RFC 6533 3).  The caller frees. */
char *smtp_orcpt_decode(const char *);

/* "NEVER", or "SUCCESS,DELAY"; dst holds SMTP_NOTIFY_TEXT_MAX bytes. */
#define SMTP_NOTIFY_TEXT_MAX 32
const char *smtp_notify_text(char *dst, unsigned notify);
const char *smtp_ret_text(enum smtp_ret);	/* "FULL", "HDRS"; NULL for NONE */

#endif
