/*
 * request - what a certificate request of somebody else's asks for (RFC 2986).
 *
 * A CA signs what it says itself, so nothing of a request is copied: subject and names turn into an
 * order, through the checks of issue, and what the order cannot say is refused, by name, rather than
 * left out in silence.
 */
#ifndef MTATLS_REQUEST_H
#define MTATLS_REQUEST_H

#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"
#include "issue.h"

/* The first request in PEM text, or one in DER.  The caller frees; NULL: FAIL_INPUT. */
X509_REQ *request_from_pem(const void *, size_t, struct fail *);

/*
 * FAIL_POLICY: its signature is not by its own key or by a broken digest, the key is weak, it has
 * another attribute than extensionRequest.
 */
int request_check(const X509_REQ *, struct fail *);

/*
 * Fills an order that was just initialised (its flags may be set) with subject and names of a
 * checked request.  Of the extensions SAN is taken over; extendedKeyUsage without clientAuth sets
 * ISSUE_SERVER_ONLY; keyUsage, basicConstraints and subjectKeyIdentifier are ours to set.  A request
 * for a CA needs ISSUE_CA in the order.  FAIL_POLICY: another extension, purpose, kind of name or part
 * of the subject; FAIL_INPUT: one that cannot be read, or that issue_set() or issue_add_san() refuses.
 */
int request_order(const X509_REQ *, struct issue *, struct fail *);

#endif
