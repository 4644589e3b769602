/*
 * tsig - transaction signatures of DNS messages with a shared secret (RFC 8945).
 *
 * The key comes from a file as `tsig-keygen` of BIND writes it, and `nsupdate -k` reads it:
 *
 *	key "name" { algorithm hmac-sha256; secret "base64"; };
 *
 * with the comments of named.conf.  Of the algorithms those that RFC 8945 6 recommends or leaves open:
 * hmac-sha256, hmac-sha384 and hmac-sha512, not truncated.
 */
#ifndef MTATLS_TSIG_H
#define MTATLS_TSIG_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define TSIG_FILE_MAX 65536	/* octets of a key file */
#define TSIG_SECRET_MAX 1024	/* octets of a secret */
#define TSIG_MAC_MAX 64		/* octets of the longest MAC */
#define TSIG_FUDGE 300		/* seconds by which clocks may differ (RFC 8945 10) */

struct tsig_key {
	char *name;		/* lower case, no final dot */
	const char *algorithm;	/* "hmac-sha256": static */
	struct buf secret;
};

#define TSIG_KEY_INIT { .name = NULL, .algorithm = NULL, .secret = BUF_INIT }

/* Exactly one key must be in it.  FAIL_INPUT: "line N: ...". */
int tsig_key_parse(const char *, size_t n, struct tsig_key *, struct fail *);

/* "-" is standard input; FAIL_INPUT and FAIL_SYS name the file. */
int tsig_key_read(const char *path, struct tsig_key *, struct fail *);
void tsig_key_clear(struct tsig_key *);	/* overwrites the secret */

struct tsig_mac {
	uint8_t v[TSIG_MAC_MAX];
	size_t len;
};

/* Signs a message under way: appends the record and counts it in the header.  now: seconds since 1970.  *mac,
 * where not NULL, is for tsig_verify() of the answer.  FAIL_SYS. */
int tsig_sign(const struct tsig_key *, struct buf *msg, int64_t now, struct tsig_mac *mac, struct fail *);

enum tsig_error { TSIG_BADSIG = 16, TSIG_BADKEY = 17, TSIG_BADTIME = 18, TSIG_BADTRUNC = 22 };

/* What the record on an answer says. */
struct tsig_said {
	int there;		/* there is one */
	unsigned error;		/* RFC 8945 3; 0: none */
	int64_t server_time;	/* with BADTIME, the other side's clock; else 0 */
};

/*
 * Does the answer's signature hold, by our key and over our request?  FAIL_PEER where not: none at all, another
 * key, a wrong MAC, out of time, not the last record.  *said is set in any case; BADSIG and BADKEY come unsigned
 * (RFC 8945 5.3.2), so they are hearsay, which may end a request but never prove that it was done.
 */
int tsig_verify(const struct tsig_key *, const uint8_t *, size_t n, const struct tsig_mac *request,
    int64_t now, struct tsig_said *said, struct fail *);

#endif
