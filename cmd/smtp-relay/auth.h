/*
 * auth - the role that knows the password file, and checks one password at a time.
 *
 * Clients have their turns, so that whoever guesses keeps nobody waiting for more than a hash.
 *
 * It is forked where a listener has auth.  The ins ask it over sockets that the master hands both; it opens
 * nothing once it has started, and the file is read anew at SIGHUP, by another process in its place.
 */
#ifndef RELAY_AUTH_H
#define RELAY_AUTH_H

#include "conf.h"
#include "passwd.h"
#include "role.h"

#define AUTH_WAITING_MAX 200	/* questions of all ins that wait (turns.h); more are answered "busy" */

struct auth_start {
	struct role_start role;
	const struct conf *conf;
};

void auth_main(const struct auth_start *) __attribute__((noreturn));

#endif
