/*
 * names_json - the names of an order or of a certificate as JSON arrays of strings.
 */
#ifndef MTATLS_NAMES_JSON_H
#define MTATLS_NAMES_JSON_H

#include <jansson.h>

#include "cert.h"
#include "issue.h"

/* New references.  kind: ISSUE_DNS or ISSUE_IP. */
json_t *names_json_issue(const struct issue *, int kind);
json_t *names_json_cert(const struct cert_names *);

#endif
