/*
 * ossl - OpenSSL's error queue as a struct fail.
 *
 * Empty the queue with ossl_clear() before a call whose failure will be reported, and read it with
 * fail_ossl() at the call that failed: what an earlier call left there would name a wrong reason.
 */
#ifndef MTATLS_OSSL_H
#define MTATLS_OSSL_H

#include "fail.h"

/* As fail(); appends ": " and the reason of the queue's oldest error (nothing if there is none),
 * and empties the queue. */
int fail_ossl(struct fail *, enum fail_kind, const char *, ...)
    __attribute__((format(printf, 3, 4)));

void ossl_clear(void);

/*
 * For commands, before any other use of OpenSSL: reads its configuration as usual, but leaves the
 * clean-up at exit to the kernel, for it takes longer than signing does.  Private keys go into
 * OpenSSL's secure heap of OSSL_SECURE_HEAP octets: left out of cores (MADV_DONTDUMP), between
 * guard pages, wiped when freed, and locked into memory where RLIMIT_MEMLOCK allows that much.
 * There is room for about 1,000 RSA keys of 4096 bits; behind that keys cannot be read.
 */
#define OSSL_SECURE_HEAP (4UL * 1024 * 1024)
#define OSSL_SECURE_MIN 64	/* octets, its smallest block */

void ossl_init(void);

/*
 * In its place, for commands that have no private key at hand: neither heap nor wiping, and the configuration
 * is read only where $OPENSSL_CONF names one, for what Debian's says of protocols and ciphers each context of
 * ours states by itself.  That is a sixth of what a probe of one server spends in OpenSSL.
 */
void ossl_init_keyless(void);

/*
 * What OpenSSL frees is overwritten first, for it frees some of a key's octets as they are (those of the
 * file, decoded).  A program that has loaded its keys and has much else to do stops that, and resumes it
 * around the next key.
 */
void ossl_wipe_end(void);
void ossl_wipe_again(void);

#endif
