/*
 * alerting - the queue's part in alerts: what outs and route tell of destinations, and the master of identities,
 * becomes conditions of common/alert; digests of these become log lines, mail of our own and runs of the hook.
 *
 *	tried ... finished -> alerting_done() -> alert_bad(), alert_good()
 *	a timer -> alert_take() -> mail into the next commit -> committed: log, hook, alert_told(), the file "alerts"
 *
 * The mail goes as other mail does, from the null sender; its own failure raises nothing.
 */
#ifndef RELAY_ALERTING_H
#define RELAY_ALERTING_H

#include <stddef.h>
#include <stdint.h>

#include "alert.h"
#include "conf.h"
#include "fail.h"
#include "policy.h"
#include "spool.h"
#include "tried.h"

#define ALERTING_FILE_MAX (32UL * 1024 * 1024)
#define ALERTING_LISTENER "alert"	/* of such mail's envelope, which has no client */
#define ALERTING_HOSTS_MAX 4		/* hosts of a destination whose reasons are told */
#define ALERTING_LOOK_S 3600		/* how often the ends of identities are looked at */
#define ALERTING_RUNS_MAX 200		/* of the hook that wait; more are dropped */

struct event_base;
struct alerting;

/* Messages for a destination alone, and when the first of them is given up; 0: there is none. */
struct alerting_queued {
	size_t n;
	int64_t first;
};

struct alerting_conf {
	const struct conf *conf;
	const char *conf_path;		/* absolute */
	const char *name;		/* of the role, for the log */
	const char *file;		/* path of SPOOL_ALERTS, as it is for the role */
	struct event_base *base;
	struct spool *spool;
	void (*submit)(void *arg, const char *id, void (*committed)(void *, int ok), void *committed_arg);
	void (*queued)(void *arg, const char *domain, struct alerting_queued *);
	void *arg;
};

/* Reads the file; one that cannot be read is as none. */
struct alerting *alerting_new(const struct alerting_conf *);
void alerting_take_conf(struct alerting *, const struct conf *);

/* The end of a socket to a new hook. */
void alerting_hook(struct alerting *, int fd);

/* All identities in use, in lines "identity NAME END DEMO USE..." (seconds since 1970; 0 or 1). */
void alerting_identities(struct alerting *, const char *, size_t);

/* What route found: nothing can be looked up, that domain for one; or it can. */
void alerting_dns(struct alerting *, int sick, const char *why, const char *domain);

/* Writes the file. */
void alerting_stop(struct alerting *);

/* ---- an order's hosts ---- */

/* What was tried so far; all zero at first. */
struct alerting_part {
	unsigned usable;	/* sessions through which mail may go */
	unsigned by_dane;	/* hosts and addresses that fail for their TLSA records, */
	unsigned by_tls;	/* or for want of the TLS that is required otherwise */
	unsigned other;		/* not asked, or at fault in other ways; of these */
	unsigned refused;	/* with TLS that would do, but not with our password */
	char *why;		/* of the first of those that fail; NULL: none */
};

void alerting_tried(const struct alerting *, struct alerting_part *, const struct plan *, const char *domain,
    const struct tried *);
void alerting_part_clear(struct alerting_part *);

/* Whose hosts these were. */
struct alerting_mail {
	const char *domain;
	const struct spool_envelope *env;
	unsigned asks;		/* POLICY_MESSAGE_* */
	int worked;		/* a host took it or refused it, perhaps over a connection that was used before */
	int shared;		/* it has recipients in other domains too */
	int64_t expires;	/* when it is given up */
	const char *credentials;	/* the route's; NULL: none, or not known */
};

/* The order is done; the part is empty then. */
void alerting_done(struct alerting *, struct alerting_part *, const struct alerting_mail *);

#endif
