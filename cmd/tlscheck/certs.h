/*
 * certs - what the reports of a destination and of a server print alike of certificates, a handshake and a verdict.
 */
#ifndef TLSCHECK_CERTS_H
#define TLSCHECK_CERTS_H

#include <openssl/types.h>

#include "json.h"
#include "policy.h"
#include "tls.h"

/* Indented lines: the certificate at that depth of its chain; its names. */
void print_cert(const X509 *, int depth);
void print_names(const X509 *);

/* Protocol, cipher, chain and the rest of a handshake; a new reference. */
json_t *tls_object(const struct tls_info *);

/* The keys verdict, rule and reason. */
void set_verdict(json_t *, const struct verdict *);

#endif
