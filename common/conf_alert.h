/*
 * conf_alert - who is told where destinations, the DNS or identities are in trouble: the alert lines of
 * smtp-relay.conf.  Between conf.c and conf_alert.c, the struct apart: others include conf.h.
 */
#ifndef MTATLS_CONF_ALERT_H
#define MTATLS_CONF_ALERT_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "text.h"

#define CONF_ALERT_MAX 50			/* addresses */
#define CONF_ALERT_BEFORE (14 * 86400)		/* seconds before an identity's end */

struct table_line;

struct conf_alert {
	char **to;		/* user@domain, ASCII */
	size_t n;
	char *hook;		/* a program's absolute path; NULL: none */
	char *user;		/* whom it runs as; NULL: not named */
	int64_t interval;	/* seconds: of alert.h */
	int64_t before;		/* seconds */
};

void conf_alert_init(struct conf_alert *);
void conf_alert_clear(struct conf_alert *);

/* One line each; FAIL_INPUT. */
int conf_alert_to(struct conf_alert *, const struct table_line *, struct fail *);
int conf_alert_hook(struct conf_alert *, const struct table_line *, struct fail *);
int conf_alert_user(struct conf_alert *, const struct table_line *, struct fail *);
int conf_alert_interval(struct conf_alert *, const struct table_line *, struct fail *);
int conf_alert_before(struct conf_alert *, const struct table_line *, struct fail *);

/* The line of -n; nothing where nobody is told. */
void conf_alert_print(const struct conf_alert *, struct buf *);

#endif
