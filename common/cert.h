/*
 * cert - what a certificate says (RFC 5280).
 *
 * Certificates are X509, freed with X509_free(); lists of them are STACK_OF(X509), freed with
 * cert_chain_free().  Nothing here judges a certificate: names are matched by name, chains by
 * verify.  Text from a certificate is escaped unless said otherwise.
 */
#ifndef MTATLS_CERT_H
#define MTATLS_CERT_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/safestack.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include "fail.h"
#include "text.h"

#define CERT_FINGERPRINT_SIZE 65	/* SHA-256 in hexadecimal and a NUL */

/* The private extension of a demonstration certificate: its presence is the mark (the value is
 * an ASN.1 NULL, not critical).  The arc is that of examples (RFC 5612) and a random number.  A UUID below 2.25
 * (X.667) would be as free, but GnuTLS, and so Exim on Debian, reads no certificate with an arc of 128 bits. */
#define CERT_DEMO_OID "1.3.6.1.4.1.32473.1855023191"

/* One certificate of exactly these DER bytes; the first one of a PEM text (or DER).  NULL:
 * FAIL_INPUT. */
X509 *cert_from_der(const uint8_t *, size_t, struct fail *);
X509 *cert_from_pem(const void *, size_t, struct fail *);

/* All certificates of a PEM text (or of one DER object) in their order, those of a PKCS#7 message
 * where it stands (see pem_get1_pkcs7()); other objects are passed over.
 * NULL: FAIL_INPUT, also where there is none. */
STACK_OF(X509) *cert_chain_from_pem(const void *, size_t, struct fail *);
void cert_chain_free(STACK_OF(X509) *);

#define CERT_CHAIN_MAX 32	/* certificates above a leaf */
#define CERT_VERIFIED_MAX 100	/* signatures that are verified to put the chains of one file in order */

/*
 * What of a heap of certificates makes the leaf's chain: its issuer first, then that one's, as far as
 * signatures lead; the leaf is not in it.  Of several issuers the one that is valid longest is taken.
 * A new stack of new references, perhaps empty; *rest, where not NULL, gets the others likewise, less
 * copies of what is in the chain.  The caller frees both with cert_chain_free().  *verified, 0 at first, is
 * counted up by each signature that was verified: at CERT_VERIFIED_MAX the chain ends, which
 * cert_warn_verified() tells and returns (what as for talk()).
 */
STACK_OF(X509) *cert_chain_order(const X509 *leaf, const STACK_OF(X509) *heap, STACK_OF(X509) **rest,
    unsigned *verified);
int cert_warn_verified(const char *what, unsigned verified);

/* Takes the last one out of a chain where it is self-issued, for peers have roots themselves.  The
 * caller frees what comes back; NULL: there was none, the chain is as it was. */
X509 *cert_chain_drop_root(STACK_OF(X509) *chain);

/* Of a heap the certificate of this key's: a CA's before a self-issued one, then the newest, then the one
 * that is valid longest, then the first.  Borrowed; NULL: there is none. */
X509 *cert_of_key(const EVP_PKEY *, const STACK_OF(X509) *heap);

/* The certificate's DER bytes, appended. */
int cert_to_der(const X509 *, struct buf *, struct fail *);

/* SHA-256 of the DER form: lower-case hexadecimal without colons.  Returns its first argument. */
const char *cert_fingerprint(char dst[CERT_FINGERPRINT_SIZE], const X509 *);

/* The same of the part that is signed (the TBSCertificate), which stays the same where the signature is
 * written in another way: of one by ECDSA, (r, s) and (r, n - s) both hold. */
const char *cert_tbs_fingerprint(char dst[CERT_FINGERPRINT_SIZE], const X509 *);

/* RFC 2253 style, most specific part first, on one line, UTF-8 and controls escaped as \XX; "" for
 * an empty name.  Printable ASCII only: must not be escaped once more.  Caller frees. */
char *cert_subject(const X509 *);
char *cert_issuer(const X509 *);

/*
 * The last (most specific) common name as UTF-8, raw: escape it before printing.  NULL where there
 * is none, or where it cannot be told as a string: a NUL or another control character in it.
 * Caller frees.
 */
char *cert_cn(const X509 *);
char *cert_request_cn(const X509_REQ *);

/* The serial number in lower-case hexadecimal, "-" before a negative one.  Caller frees. */
char *cert_serial(const X509 *);

/* Seconds since 1970.  A field that does not parse gives INT64_MAX for not_before and INT64_MIN for
 * not_after, so that the certificate is never valid. */
int64_t cert_not_before(const X509 *);
int64_t cert_not_after(const X509 *);

/* Strings on the heap; cert_names_clear() frees. */
struct cert_names {
	char **v;
	size_t n;
	size_t odd; /* left out: with NUL, controls or octets over 0x7e, empty, of wrong length */
};

#define CERT_NAMES_INIT { .v = NULL, .n = 0, .odd = 0 }

/* The SAN's dNSName and iPAddress entries in their order (addresses as inet_ntop(3) writes
 * them).  *names is set anew: clear it before a second use.  A SAN that does not parse counts as
 * one odd. */
void cert_dns_names(const X509 *, struct cert_names *);
void cert_ip_names(const X509 *, struct cert_names *);

/* The same of what a request asks for in its extensionRequest attribute. */
void cert_request_dns_names(const X509_REQ *, struct cert_names *);

/* RFC 6125 6.4.4: where there is no dNSName, not even an odd one, a common name that is a host name
 * of two labels or more stands in for it.  cn may be NULL. */
void cert_names_or_cn(struct cert_names *, const char *cn);
void cert_names_clear(struct cert_names *);

/* basicConstraints says CA:TRUE. */
int cert_is_ca(const X509 *);

/* Subject and issuer are equal; whose signature it has is not asked. */
int cert_is_self_issued(const X509 *);

/* Subject and issuer are equal, and its own key verifies its signature. */
int cert_is_self_signed(const X509 *);

/* Marked by CERT_DEMO_OID. */
int cert_is_demo(const X509 *);

/* What every tool that meets such a certificate says of it: on stderr by cert_warn_demo() ("tool:
 * what: ..."; what as for talk()), which returns whether it was one; NULL is none.  The relay logs it. */
#define CERT_DEMO_WARNING "a demonstration certificate: for trials only"
int cert_warn_demo(const char *what, const X509 *);

/* The public key as key_describe() says it ("unknown" where OpenSSL cannot read it); the signature
 * algorithm by OpenSSL's long name.  Caller frees. */
char *cert_key_describe(const X509 *);
char *cert_sig_describe(const X509 *);

#endif
