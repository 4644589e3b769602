/*
 * certs - what both forms of a report print alike.
 */
#ifndef TLSCHECK_CERTS_H
#define TLSCHECK_CERTS_H

#include <openssl/types.h>

#include "json.h"
#include "tls.h"

/* Indented lines: the certificate at that depth of its chain; its names. */
void print_cert(const X509 *, int depth);
void print_names(const X509 *);

/* Protocol, cipher, chain and the rest of a handshake. */
json_t *tls_object(const struct tls_info *);

#endif
