/*
 * constraint - name constraints on host names (RFC 5280 4.2.1.10), where OpenSSL's own check ends.
 *
 * OpenSSL holds the names in a certificate against them: each dNSName as it stands, so that a wildcard
 * may cover an excluded name, and a common name only where it looks like a host name of two labels
 * or more.  Here the name that somebody wants to reach is held against them instead, whatever it was
 * that matched it.  And what a CA below another is made with is narrowed to what stands above.
 */
#ifndef MTATLS_CONSTRAINT_H
#define MTATLS_CONSTRAINT_H

#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"

/* May there be a certificate for that host name (no wildcard; a trailing dot is not significant) below
 * this CA?  X509_V_OK, X509_V_ERR_PERMITTED_VIOLATION or X509_V_ERR_EXCLUDED_VIOLATION. */
int constraint_of_host(const X509 *ca, const char *host);

/* Does the CA exclude a domain that the wildcard covers? */
int constraint_in_wildcard(const X509 *ca, const char *wildcard);

/*
 * Narrows the constraints of a CA to be by those of one above it: what that excludes is excluded, and
 * of domains and addresses what both permit is permitted, or what the one permits that says anything.
 * Permitted names of other kinds are copied where there are none.  FAIL_POLICY: nothing would be left
 * that is permitted.
 */
int constraint_narrow(NAME_CONSTRAINTS *, const X509 *above, struct fail *);

#endif
