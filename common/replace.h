/*
 * replace - a key and certificate from elsewhere in the place of an identity's: mkcert -f, p12import -f.
 *
 * The key that is to follow the current one, and its request, do not depend on it: they stay, unless the
 * new key is that very one.  A request of the current key stays with that key and goes with it.
 */
#ifndef MTATLS_REPLACE_H
#define MTATLS_REPLACE_H

#include <openssl/types.h>

#include "fail.h"
#include "identity.h"

/* What there was.  replaced_clear() frees. */
struct replaced {
	int there;		/* an identity of that name, readable */
	char *damage;		/* NULL, or why what was there could not be read: nothing is kept of it */
	int key_changed;	/* another public key, and not the one that was to follow */
	int next_kept;
	int request_dropped;
	X509 *cert;		/* the certificate before; NULL: none */
};

#define REPLACED_INIT { .there = 0, .damage = NULL, .key_changed = 0, .next_kept = 0, \
	.request_dropped = 0, .cert = NULL }

void replaced_clear(struct replaced *);

/*
 * Stores *id, of which name, key, cert and chain are set, in the place of what is there, with what stays of
 * it: id's request, next_key, next_request and version are set and owned by it from then on.  Fails as
 * identity_store() does.
 */
int replace_identity(const char *dir, struct identity *id, struct replaced *, struct fail *);

/* Says on stderr what a user should know of it: what stays, what went, names that the certificate lacks
 * now, and, as replace_warn_key(), that DANE records are wrong. */
void replace_tell(const struct replaced *, const struct identity *);

/* TLSA records of the key before do not describe this one: "NAME: another key: ... 3 1 1 ...". */
void replace_warn_key(const char *name, const EVP_PKEY *);

#endif
