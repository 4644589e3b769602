/*
 * submit - hands a message to the relay as a local program may: over SMTP, to a listener on this host.
 */
#ifndef RELAY_SUBMIT_H
#define RELAY_SUBMIT_H

#include <stddef.h>
#include <stdint.h>

#include "conf_submit.h"
#include "fail.h"
#include "smtp_client.h"
#include "smtp_params.h"
#include "text.h"

#define SUBMIT_RCPTS 100	/* recipients of a transaction: what every server takes (RFC 5321 4.5.3.1.8) */
#define SUBMIT_WAIT_MS 3000	/* for a relay that is being started again */
#define SUBMIT_CONNECT_S 30	/* for a relay that is there and takes no connection */
#define SUBMIT_REPLY_MS 300000	/* for each reply (RFC 5321 4.5.3.2); ten minutes for the last one */

/* All borrowed. */
struct submit_order {
	const char *hostname;
	const char *from;		/* "": the null sender */
	const char *const *rcpt;
	size_t nrcpts;
	size_t batch;			/* recipients of a transaction, 1 to SUBMIT_RCPTS */
	const struct buf *header;	/* with its empty line */
	const struct buf *body;		/* in memory where fd is -1 */
	int fd;				/* a file with the body */
	uint64_t size;
	int has8bit;
	struct smtp_mail_params params;
	struct smtp_rcpt_params rcpt_params;	/* for each */
};

/* Called once for each recipient; the pointers are good for the call. */
typedef void submit_told_fn(void *arg, const char *rcpt, const struct smtp_rcpt *, const struct smtp_reply *dot);

/*
 * A connected stream, close-on-exec and blocking, to the first of the places that takes it.  -1: FAIL_TEMP, nobody
 * listens there now; FAIL_SYS, they may not be used.
 */
int submit_connect(const struct conf_place *, size_t nplaces, struct fail *);

/*
 * Sends the order on that stream, which it takes over, in transactions of so many recipients; those that are too many
 * for the relay (452 beside others that were taken: RFC 5321 4.5.3.1.10) come with the next.  0: the function was called
 * for each recipient; -1: the machinery itself failed, and it was called for those that were settled.
 */
int submit_send(int fd, const struct submit_order *, submit_told_fn *, void *arg, struct fail *);

/*
 * Octets to and fro between standard input and output and the stream, until the relay closes it.  0, or -1 with
 * FAIL_SYS.
 */
int submit_bridge(int fd, struct fail *);

#endif
