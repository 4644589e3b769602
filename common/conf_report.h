/*
 * conf_report - the keywords tlsrpt and dkim of smtp-relay.conf: reports on TLS to those who want them (RFC 8460), and the
 * keys that mail is signed with (RFC 6376).  Part of conf.h, which is the one to include.
 */
#ifndef MTATLS_CONF_REPORT_H
#define MTATLS_CONF_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "table.h"
#include "text.h"

#define CONF_TLSRPT_DELAY (4 * 3600)		/* seconds behind midnight over which reports are spread */
#define CONF_TLSRPT_DELAY_MAX (12 * 3600)
#define CONF_DKIM_MAX 1000			/* lines */
#define CONF_DKIM_EACH 4			/* of one domain: as many signatures does its mail get */

struct conf;

struct conf_tlsrpt {
	char *from;		/* user@domain; NULL: nothing is collected or sent */
	char *organization, *contact;
	int64_t delay;
};

struct conf_dkim {
	char *domain, *selector;	/* A-labels, lower case */
	char *key;		/* a file, or the name of an identity */
	int reports_only;	/* only our own reports are signed */
};

/* The domain of tlsrpt's from, which signs and is told as submitter. */
const char *conf_tlsrpt_domain(const struct conf_tlsrpt *);

/* The lines for a domain's mail; how many, at most CONF_DKIM_EACH.  report: it is a report on TLS. */
size_t conf_dkim_find(const struct conf *, const char *domain, int report, const struct conf_dkim *found[CONF_DKIM_EACH]);

/* For conf.c: functions of its rows, what -n prints, what it warns of. */
int conf_set_tlsrpt(void *ctx, const struct table_line *, struct fail *);
int conf_set_dkim(void *ctx, const struct table_line *, struct fail *);
void conf_report_print(struct buf *, const struct conf *);
size_t conf_report_warnings(struct buf *, const struct conf *);
void conf_report_clear(struct conf *);

#endif
