/*
 * name - host names: A-labels, their grammar, matching against a certificate; names of identities.
 *
 * Pure, but for name_own_host: no DNS.  A name's trailing dot is not significant here, but in a presented identifier
 * (name_matches); results have none.
 */
#ifndef MTATLS_NAME_H
#define MTATLS_NAME_H

#include "fail.h"

#define NAME_LEN_MAX 253 /* octets in a host name without its trailing dot (RFC 1035 2.3.4) */
#define NAME_LABEL_MAX 63
#define NAME_IDENTITY_MAX 200	/* octets in an identity's name; files need room behind it */

/*
 * The name in the form that DNS and certificates hold: U-labels become A-labels (IDNA2008,
 * non-transitional), upper case becomes lower, a trailing dot goes.  "*" as the whole left-most
 * label is kept.  Underscores pass.  On the heap, caller frees; NULL: FAIL_INPUT with the rule.
 */
char *name_to_ascii(const char *utf8, struct fail *);

#define NAME_UNDERSCORE	0x1	/* labels may hold "_" as well */
#define NAME_WILDCARD	0x2	/* the left-most label may be "*" (see name_is_wildcard) */

/* Letters, digits, hyphens (not first, not last in a label), labels of 1..63, at most 253, the last
 * label not all digits (RFC 1123 2.1): so never an IPv4 address. */
int name_is_host(const char *, unsigned flags);

/* A host name of at least two labels. */
int name_is_fqdn(const char *, unsigned flags);

/* "*." and a host name of at least two labels ("*.example" would cover a top-level domain). */
int name_is_wildcard(const char *);

/* This machine's name where it is a host name, which others may be told; else the text that is given.  On the heap,
 * caller frees. */
char *name_own_host(const char *otherwise);

/*
 * Does the presented identifier (a dNSName, or a CN that stands in for one) cover the reference
 * identity?  RFC 6125 6.4.3: ASCII case-insensitive; "*" only as the complete left-most label, and
 * it covers exactly one label.  Neither an address nor a malformed name ever matches, nor a presented
 * one with a trailing dot, which RFC 5280 4.2.1.6 does not have and which name constraints do not
 * cover; the reference is in A-labels.
 */
int name_matches(const char *reference, const char *presented);

/* May this be the name of an identity?  Refused (FAIL_INPUT): empty, over NAME_IDENTITY_MAX octets,
 * "/", "..", a leading "-" or ".", control characters, not UTF-8, "*" (see below). */
int name_check_identity(const char *, struct fail *);

/* The identity's name of a common name or option value: "*" becomes "_wildcard"; then as checked
 * above.  On the heap, caller frees; NULL: FAIL_INPUT. */
char *name_to_identity(const char *, struct fail *);

#endif
