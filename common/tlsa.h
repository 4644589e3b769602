/*
 * tlsa - TLSA records (RFC 6698 2.1, names of RFC 7218): reading, writing, making, comparing.
 *
 * What a match is worth is verify's business; this module only compares data.
 */
#ifndef MTATLS_TLSA_H
#define MTATLS_TLSA_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "fail.h"

enum tlsa_usage { TLSA_PKIX_TA = 0, TLSA_PKIX_EE = 1, TLSA_DANE_TA = 2, TLSA_DANE_EE = 3 };
enum tlsa_selector { TLSA_CERT = 0, TLSA_SPKI = 1 };
enum tlsa_mtype { TLSA_FULL = 0, TLSA_SHA256 = 1, TLSA_SHA512 = 2 };

#define TLSA_DATA_MAX 65532	/* octets: RDATA of 65535 less the three numbers */

/* Any values of 0..255 may stand in a record; data is owned, NULL where len is 0. */
struct tlsa {
	uint8_t usage;
	uint8_t selector;
	uint8_t mtype;
	uint8_t *data;
	size_t len;
};

#define TLSA_INIT { .usage = 0, .selector = 0, .mtype = 0, .data = NULL, .len = 0 }

void tlsa_clear(struct tlsa *);				/* frees */
void tlsa_copy(struct tlsa *dst, const struct tlsa *);	/* dst is set anew */
int tlsa_equal(const struct tlsa *, const struct tlsa *);
int tlsa_order(const void *, const void *);		/* for qsort(3): the canonical one (RFC 4034 6.3) */

/* Presentation form "3 1 1 0123ab..." (white space between digits allowed; numbers or the names
 * of RFC 7218: "DANE-EE SPKI SHA2-256 ...").  dst is set anew.  FAIL_INPUT. */
int tlsa_parse(struct tlsa *dst, const char *, struct fail *);

/* One of the three numbers, or its name in RFC 7218 (any case), for options.  FAIL_INPUT. */
int tlsa_parse_usage(const char *, uint8_t *, struct fail *);
int tlsa_parse_selector(const char *, uint8_t *, struct fail *);
int tlsa_parse_mtype(const char *, uint8_t *, struct fail *);

/* RDATA octets as in a DNS message.  dst is set anew.  FAIL_INPUT where shorter than three. */
int tlsa_from_wire(struct tlsa *dst, const uint8_t *, size_t, struct fail *);

/* The record that describes a certificate; a key (selector SPKI).  dst is set anew.  FAIL_INPUT for
 * a selector or matching type that is unknown. */
int tlsa_of_cert(struct tlsa *dst, uint8_t usage, uint8_t selector, uint8_t mtype, const X509 *,
    struct fail *);
int tlsa_of_key(struct tlsa *dst, uint8_t usage, uint8_t mtype, const EVP_PKEY *, struct fail *);

/* Does the data describe this certificate?  The usage is not looked at.  Unknown selectors and
 * matching types match nothing. */
int tlsa_matches_cert(const struct tlsa *, const X509 *);

/*
 * Usable for SMTP (RFC 7672 3.1.3, RFC 7671 4)?  If not and why is not NULL, *why becomes a static
 * text with the clause: usage 0 or 1, unknown usage, selector or matching type, wrong digest
 * length, no data, full data that is not one DER certificate or SubjectPublicKeyInfo.
 */
int tlsa_usable(const struct tlsa *, const char **why);

/* "3 1 1 0123ab..." on the heap; caller frees. */
char *tlsa_rdata(const struct tlsa *);

/* The RFC 3597 form of the RDATA, "\# 35 030101..." on the heap; the type is TYPE52. */
char *tlsa_rdata_generic(const struct tlsa *);

/* "DANE-EE", "SPKI", "SHA2-256"; NULL for unknown numbers.  Static. */
const char *tlsa_usage_name(uint8_t);
const char *tlsa_selector_name(uint8_t);
const char *tlsa_mtype_name(uint8_t);

/*
 * "_25._tcp.mx.example." on the heap, caller frees (RFC 6698 3); proto is "tcp", "udp" or "sctp".
 * The base domain is a host name in A-labels, a trailing dot optional.  NULL: FAIL_INPUT: not a
 * host name, too long, or a wildcard: "_25._tcp.*.example." would match nothing (RFC 4592 2.1.1),
 * for only the left-most label of an owner can be one.
 */
char *tlsa_owner(const char *base, uint16_t port, const char *proto, struct fail *);

#endif
