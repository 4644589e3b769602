/*
 * alert-mail - a digest in words, the message that carries it, and the lines that the hook reads.  All text that
 * came from others is escaped: what comes out is printable ASCII in lines of at most 998 octets.
 */
#ifndef RELAY_ALERT_MAIL_H
#define RELAY_ALERT_MAIL_H

#include <stdint.h>

#include "alert.h"
#include "alerting.h"
#include "conf.h"
#include "text.h"

#define ALERT_MAIL_LINE 78	/* where words are wrapped (RFC 5322 2.1.1) */

/* What is said of one condition. */
struct alert_said {
	const struct alert *alert;
	enum alert_event event;
	struct alerting_queued queued;
	char *command;		/* to see it oneself; owned; NULL: none */
	char *elsewhere;	/* the same where the configuration is not at hand; NULL: none */
};

struct alert_mail {
	const struct conf *conf;
	const char *id;			/* queue ID */
	int64_t now;
	const struct alert_digest *digest;
	const struct alert_said *said;	/* for each item of the digest */
};

/* Sets command and elsewhere.  domain: one that could not be looked up, for ALERT_DNSSEC. */
void alert_said_commands(struct alert_said *, const struct conf *, const char *conf_path, const char *domain);
void alert_said_clear(struct alert_said *);

/* Appends the whole message. */
void alert_mail_build(struct buf *, const struct alert_mail *);

/* Appends lines of the table grammar. */
void alert_said_lines(struct buf *, const struct alert_said *, const struct conf *);

#endif
