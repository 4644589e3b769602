/*
 * fetch - one small text over HTTPS (RFC 9110), as RFC 8461 3.3 wants policies to be fetched; and one sent, as RFC 8460
 * 5.4 has it with reports.
 *
 * GET with status 200 or nothing: no redirect, no proxy, no cookie, no credentials, TLS 1.2 up, a limit
 * on size, one on time, and limits on how many are under way.  Names are resolved by common/dns, so it
 * works where there is neither a name service nor a file of CAs: in a chroot.  Certificates are judged
 * by the caller's function, in place of libcurl's files.
 *
 * libcurl (multi interface, on the event loop) is loaded at the first use and not linked: linked, it and
 * the 30 libraries behind it would cost every start of a program 3 ms, fetching or not.
 */
#ifndef MTATLS_FETCH_H
#define MTATLS_FETCH_H

#include <stddef.h>

#include <openssl/x509.h>

#include "fail.h"

struct dns;
struct event_base;
struct fetcher;
struct fetch;

#define FETCH_LIBRARY		"libcurl.so.4"
#define FETCH_PORT		443
#define FETCH_SIZE_MAX		65536	/* octets of a body, and of all header fields (RFC 8461 3.3) */
#define FETCH_TIME_MAX		60000	/* milliseconds for all of it, resolving included (RFC 8461 3.3) */
#define FETCH_RUNNING_MAX	64	/* connections at once; further ones wait for their turn */
#define FETCH_AT_ADDRESS_MAX	8	/* of them at one address: hosters serve thousands of domains */
#define FETCH_ADDRESSES_MAX	8	/* addresses of a host that are tried */

/*
 * Loads libcurl, which a process that gives up its root directory does before.  FAIL_SYS: it is not there, too
 * old, or made for another TLS library than ours.  Once it is loaded, nothing happens.
 */
int fetch_load(struct fail *);

struct fetch_conf {
	/* For one fetch, and once more for its wait for a place; 0 or more than FETCH_TIME_MAX: FETCH_TIME_MAX. */
	int timeout_ms;
	/* Judges the server's chain (leaf first, as sent) for the host: 0, or -1 with the reason. */
	int (*verify)(void *arg, STACK_OF(X509) *chain, const char *host, struct fail *);
	/* May an address (4 or 16 octets) be connected to?  NULL: yes; else why not, in a word.  The
	 * function itself may be NULL. */
	const char *(*bar)(void *arg, int family, const void *addr);
	void *arg;
};

/* Both outlive it.  FAIL_SYS as fetch_load(). */
struct fetcher *fetcher_new(struct event_base *, struct dns *, const struct fetch_conf *, struct fail *);
void fetcher_free(struct fetcher *);	/* NULL is allowed; cancels what is under way */

enum fetch_end {
	FETCH_GOOD,
	FETCH_UNTRUSTED,	/* the certificate was refused */
	FETCH_FAILED		/* anything else */
};

struct fetch_result {
	enum fetch_end end;
	const char *why;	/* not GOOD, or of a POST: in words, escaped */
	const char *body;	/* GOOD; not text until somebody has looked at it */
	size_t len;
};

/* Runs once, from the loop; the result is valid during the call. */
typedef void fetch_fn(void *arg, const struct fetch_result *);

/*
 * https://HOST PATH with Content-Type text/plain.  The host is a name in A-labels, the path begins with
 * "/".  The fetch is gone once its callback has run.
 */
struct fetch *fetch_start(struct fetcher *, const char *host, const char *path, fetch_fn *, void *arg);
/*
 * POST of a body to a URI "https://HOST[:PORT]...", whose host is a name; GOOD is any status 2yz, and why has it in words then
 * too; what the server says beside it is not read.  Otherwise as fetch_start(): no redirect, and the certificate is verified.
 * The body is copied, type is static.
 */
struct fetch *fetch_post(struct fetcher *, const char *uri, const char *type, const void *body, size_t len, fetch_fn *,
    void *arg);

void fetch_cancel(struct fetch *);	/* NULL is allowed; the callback will not run */

#endif
