/*
 * smtp_sasl - the server's side of AUTH: mechanisms PLAIN (RFC 4616) and LOGIN, as lines of base64.
 *
 *	start -> CHALLENGE (say 334 and smtp_sasl.challenge) -> next line -> ... -> DONE | BAD
 *
 * The password stands in the struct until smtp_sasl_clear(), which overwrites it.
 */
#ifndef MTATLS_SMTP_SASL_H
#define MTATLS_SMTP_SASL_H

#include <stddef.h>

#define SMTP_SASL_USER_MAX 255		/* octets (RFC 4616 2) */
#define SMTP_SASL_PASSWORD_MAX 255	/* likewise */
#define SMTP_SASL_MECHANISMS "PLAIN LOGIN"

enum smtp_sasl_got {
	SMTP_SASL_CHALLENGE,	/* more is wanted */
	SMTP_SASL_DONE,		/* user and password are there */
	SMTP_SASL_CANCELLED,	/* "*" (RFC 4954 4) */
	SMTP_SASL_UNKNOWN,	/* no such mechanism */
	SMTP_SASL_BAD		/* not base64, or not of the mechanism */
};

enum smtp_sasl_step { SMTP_SASL_AT_PLAIN, SMTP_SASL_AT_USER, SMTP_SASL_AT_PASSWORD };

/* All zero is valid. */
struct smtp_sasl {
	enum smtp_sasl_step step;	/* what the next line is */
	const char *challenge;		/* base64, perhaps ""; static */
	char user[SMTP_SASL_USER_MAX + 1];
	char password[SMTP_SASL_PASSWORD_MAX + 1];
};

/* initial: the argument behind the mechanism, "=" for an empty one; NULL: none. */
enum smtp_sasl_got smtp_sasl_start(struct smtp_sasl *, const char *mechanism, const char *initial);
enum smtp_sasl_got smtp_sasl_line(struct smtp_sasl *, const char *);
void smtp_sasl_clear(struct smtp_sasl *);

#endif
