/*
 * subject - what a certificate or a request is for, as an order for another of the same kind.
 */
#ifndef MTATLS_SUBJECT_H
#define MTATLS_SUBJECT_H

#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"
#include "issue.h"

/*
 * Sets the parts of the order's subject that are not set yet, and adds the SAN's host names and
 * addresses.  Where the order has no common name yet it gets that of the subject, or in its place the
 * first name of the SAN.  What an order cannot hold (a part of the subject that it does not know, a
 * SAN of another kind, a name that is none) is named in *left_out, "emailAddress, URI"; NULL: all is
 * there.  Caller frees it.  FAIL_INPUT: no host name or address at all.
 */
int subject_of_cert(struct issue *, const X509 *, char **left_out, struct fail *);
int subject_of_request(struct issue *, X509_REQ *, char **left_out, struct fail *);

#endif
