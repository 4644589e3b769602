/*
 * castore - what its files share: the settings, the commands, lists of certificates.
 */
#ifndef CASTORE_H
#define CASTORE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "fail.h"
#include "secret.h"
#include "text.h"
#include "tool.h"
#include "trust.h"
#include "verify.h"

#define HOSTS_MAX 16		/* --host options */
#define TOLD_MAX 100		/* lines about the contents of one file; the rest is counted */

struct settings {
	const char *dir, *output, *ca, *untrusted;
	const char *host[HOSTS_MAX];	/* as given */
	size_t nhost;
	enum verify_names names;
	int json, append, skip_bad, allow_leaf, undo, dated, fqdn_check, client, timed;
	int64_t after, now;
	struct secret secret;		/* of a PKCS#12 file */
	unsigned given;			/* bits of options, for each command has its own */
};

/* Each takes its operands; word[n] is NULL. */
typedef enum tool_exit command_fn(const struct settings *, char **word, int n);
command_fn cmd_list, cmd_enable, cmd_disable, cmd_import, cmd_export, cmd_remove, cmd_distrust,
    cmd_verify;

/*
 * A roll: certificates in their order, each once, found again by fingerprint.
 */
struct roll_cert {
	X509 *cert;
	char fp[CERT_FINGERPRINT_SIZE];
};

struct roll {
	struct roll_cert *v;
	size_t n;
	size_t *slot;		/* hash of fingerprints: an index of v and one, 0 where free */
	size_t slots;
};

#define ROLL_INIT { .v = NULL, .n = 0, .slot = NULL, .slots = 0 }

void roll_clear(struct roll *);
int roll_add(struct roll *, X509 *);	/* takes the reference; 0: it is there already */
int roll_has(const struct roll *, const char *fp);

/* All of a list, as trust_list_read() does it.  FAIL_INPUT, FAIL_SYS. */
int roll_read(const char *dir, enum trust_list, const struct trust_state *, struct roll *, struct fail *);

/* Appends the text of a list: comments and a block for each certificate. */
int roll_put(const struct roll *, struct buf *, struct fail *);

/* Fingerprints as users write them: either case, colons allowed, at least 8 digits. */
#define PREFIX_MIN 8
int fingerprint_parse(const char *, char fp[CERT_FINGERPRINT_SIZE], struct fail *);

/* The one certificate whose fingerprint begins so: its index; -1: FAIL_INPUT, none or several. */
int roll_find(const struct roll *, const char *prefix, const char *where, struct fail *);

/* "system" or "custom"; -1: FAIL_INPUT. */
int parse_list_name(const char *, struct fail *);

/* One line, or an object, about a list as a whole. */
int tell_list(const struct settings *, const struct trust_state *, enum trust_list, size_t n,
    struct fail *);

#endif
