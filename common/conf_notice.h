/*
 * conf_notice - the keywords of smtp-relay.conf that say when mail is tried, for how long, and what senders are told:
 * retry, lifetime, bounce-lifetime, delay-notice, bounce-size, double-bounce-to.
 *
 * The functions are those of conf.c's table, whose context is the struct conf.
 */
#ifndef MTATLS_CONF_NOTICE_H
#define MTATLS_CONF_NOTICE_H

#include "conf.h"

#define CONF_RETRY 300
#define CONF_BOUNCE_SIZE (64 * 1024)
#define CONF_BOUNCE_SIZE_MAX (16 * 1024 * 1024)
#define CONF_LIFETIME_MAX (30 * 86400)

int conf_set_retry(void *, const struct table_line *, struct fail *);
int conf_set_lifetime(void *, const struct table_line *, struct fail *);
int conf_set_bounce_lifetime(void *, const struct table_line *, struct fail *);
int conf_set_delay_notice(void *, const struct table_line *, struct fail *);
int conf_set_bounce_size(void *, const struct table_line *, struct fail *);
int conf_set_double_bounce_to(void *, const struct table_line *, struct fail *);

/* What holds where nothing is said, before the file is read; and after it, what follows from other lines. */
void conf_notice_begin(struct conf *);
void conf_notice_end(struct conf *);

void conf_notice_print(const struct conf *, struct buf *);

#endif
