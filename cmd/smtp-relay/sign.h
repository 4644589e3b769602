/*
 * sign - the role that has the keys of DKIM: a message comes in, as a descriptor to read from, and its signatures go out.
 *
 * The keys are in no process that talks to peers.  It does look at messages, which peers wrote, for only so can nobody have
 * it sign what is in no message; but it has no network, no file and no other secret.
 */
#ifndef RELAY_SIGN_H
#define RELAY_SIGN_H

#include <openssl/types.h>

#include "conf.h"
#include "role.h"

#define SIGN_PIECE 65536	/* octets of a message read at once */

struct sign_start {
	struct role_start role;
	const struct conf *conf;
	int queue;		/* socket to the queue; the role's now */
};

void sign_main(const struct sign_start *) __attribute__((noreturn));

/* The key of a line, from its file or identity; the caller's.  NULL: FAIL_INPUT, FAIL_SYS, FAIL_POLICY (dkim_check_key). */
EVP_PKEY *sign_key(const struct conf *, const struct conf_dkim *, struct fail *);

/* For --dkim-record: the record of each line, or of a domain's (NULL: all), as a zone file has it.  The number of faults. */
size_t sign_print_records(const struct conf *, const char *domain, void (*report)(const struct fail *));

#endif
