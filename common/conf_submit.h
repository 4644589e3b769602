/*
 * conf_submit - where the programs of this host hand their mail in: the listeners that would take mail for anywhere
 * from here, without TLS and without a password.
 */
#ifndef MTATLS_CONF_SUBMIT_H
#define MTATLS_CONF_SUBMIT_H

#include <stddef.h>

#include "conf.h"

struct conf_place {
	const char *path;		/* of a unix socket; NULL: at */
	struct endpoint at;
	const struct conf_listen *listen;	/* NULL: a line `submit` names another program's place */
	const struct conf_hosts *rule;	/* its line for us; NULL: none */
};

/*
 * The places, those to be tried first in front: what a line `submit` names, alone; or unix sockets, then addresses,
 * each in the file's sequence.  All borrowed from the configuration.  Returns how many; 0: there is none.
 */
size_t conf_submit(const struct conf *, struct conf_place place[CONF_LISTEN_MAX]);

#endif
