/*
 * certstore - what its parts share.
 *
 * A command gets its operands (argv without the command, NULL at the end), prints, and returns the exit
 * status; what went wrong has been told by then.
 */
#ifndef CERTSTORE_H
#define CERTSTORE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "conf.h"
#include "identity.h"
#include "issue.h"
#include "tool.h"

struct settings {
	const char *dir;
	const char *conf;	/* NULL: DIR/smtp-relay.conf, which need not be there */
	const char *ca, *hosts, *key_file, *output;
	int force, json, with_key;
	int64_t within;		/* seconds */
	int64_t now;		/* seconds since 1970 */
};

enum tool_exit cmd_list(const struct settings *, char **operands);
enum tool_exit cmd_show(const struct settings *, char **operands);
enum tool_exit cmd_install(const struct settings *, char **operands);
enum tool_exit cmd_check(const struct settings *, char **operands);

/* ---- used.c: which listeners use an identity ---- */

struct used {
	struct conf *conf;	/* NULL: there is none, or it cannot be read, or it is about another root */
	int unknown;		/* it cannot be read: anything may be used */
};

/* Never fails: of a configuration that cannot be read a word goes to stderr. */
void used_read(struct used *, const struct settings *);
void used_clear(struct used *);

/* The names of the listeners, "public,submission"; "" where there are none.  Caller frees. */
char *used_by(const struct used *, const char *identity);
json_t *used_json(const struct used *, const char *identity);

/* ---- describe.c: an identity in words ---- */

/* What list -j tells of one.  It was loaded with IDENTITY_PENDING. */
json_t *describe_json(const struct settings *, const struct identity *, const struct used *);

/* What is asked for, or stood in the certificate before: the order's names. */
void describe_names(struct json_t *, const struct issue *);

/* SHA-256 of a key's SubjectPublicKeyInfo, in hexadecimal, and the RDATA "3 1 1 ...".  On the heap. */
char *describe_spki(const EVP_PKEY *);
char *describe_tlsa(const EVP_PKEY *);

/* For what a change left behind: "PATH FINGERPRINT", or the object of list -j. */
enum tool_exit describe_result(const struct settings *, const char *name);

/* "2026-11-21" of a time. */
#define DESCRIBE_DAY_MAX 32
const char *describe_day(char dst[DESCRIBE_DAY_MAX], int64_t);

/* ---- cluster.c: check --hosts ---- */

/* The identities that were checked and may serve a member: the certificates are borrowed. */
struct served {
	const char *name;
	const X509 *cert;
};

enum tool_exit cluster_check(const struct settings *, const struct served *, size_t n);

/* ---- names.c ---- */

/*
 * Does the certificate cover this host name or address?  CERT_CN: where it has no dNSName its common name
 * counts.  A wildcard asked for is covered by itself.
 */
#define COVERS_CN 0x1
int covers(const X509 *, const char *name, unsigned flags);

#endif
