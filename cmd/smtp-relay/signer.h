/*
 * signer - the queue's end of the role sign: which messages are signed, and with what; one that is asked for waits until the
 * role has answered, also where it has to be started again meanwhile.
 */
#ifndef RELAY_SIGNER_H
#define RELAY_SIGNER_H

#include "conf.h"
#include "spool_file.h"

#define SIGNER_HEADER_MAX 32768	/* octets of a message that are looked through for From */
#define SIGNER_ANSWER_S 300	/* for one answer of a role that has requests, and a second for each MiB; then it is killed */
#define SIGNER_TRIES 3		/* of a role that died meanwhile; then the message is tried again later */

struct event_base;
struct signer;

struct signer *signer_new(struct event_base *, const struct conf *, const char *role);
void signer_take_conf(struct signer *, const struct conf *);	/* borrowed */

/* The socket to a new role sign, which takes the place of the one before. */
void signer_channel(struct signer *, int fd, unsigned number);

/*
 * fields: what goes in front of the message; NULL: it cannot be signed now.  "" where it cannot be signed ever, which was
 * told in the log.  From the loop, never from within signer_ask().
 */
typedef void signer_fn(void *arg, const char *fields);

/*
 * -1: not now, for want of a descriptor.  0: nothing of this message is to be signed: it is not of a client that may relay, or
 * its From is of no domain that has a key (RFC 6376 6.3: a signature says that we answer for it).  1: the function is called;
 * fd, to read the message from, is borrowed until then.
 */
int signer_ask(struct signer *, const struct spool_message *, int fd, signer_fn *, void *arg);

#endif
