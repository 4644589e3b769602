/*
 * sendmail - smtp-relay under the names sendmail, mailq and newaliases: what a host's programs hand mail in with.
 */
#ifndef RELAY_SENDMAIL_H
#define RELAY_SENDMAIL_H

#include "conf.h"
#include "table.h"

/* Whether the program was called by one of these names. */
int sendmail_is(const char *argv0);

/* All of it; the status is one of sysexits.h. */
int sendmail_main(int argc, char **argv);

/* Tells the faults of the aliases file that the configuration names, and if wanted of those included; how many. */
size_t sendmail_check_aliases(const struct conf *, int includes, table_error_fn *, void *arg);

#endif
