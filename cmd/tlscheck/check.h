/*
 * check - a destination examined: DNS facts, the plan, a probe of every address, the verdicts.
 *
 *	check_start -> lookup -> policy_plan -> probe (each host x address) -> policy_judge -> done
 *
 * All checks of a run share one struct check_env: one event loop, one DNS context, one TLS context.
 */
#ifndef TLSCHECK_CHECK_H
#define TLSCHECK_CHECK_H

#include <stdint.h>
#include <stdio.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "conf.h"
#include "contact.h"
#include "dns.h"
#include "facts.h"
#include "lookup.h"
#include "policy.h"
#include "trust.h"

#define CHECKS_MAX 100		/* destinations under way at once */
#define PROBES_MAX 256		/* connections of a run at once; less where descriptors are few */
#define PROBES_OF_CHECK_MAX 8	/* of one destination: it must not crowd out the others */
#define ADDRESSES_MAX 128	/* of one destination that are connected to at all */
#define DESCRIPTORS_SPARE 600	/* for the DNS (512 sockets) and the rest */

struct check_conf {
	struct policy policy;
	const struct conf *relay;	/* NULL: the policy above; else that relay's, domain by domain */
	struct dns_conf dns;
	const char *dir;	/* root of all state, with the lists of CAs */
	uint16_t port;
	int timeout_ms;		/* for connecting, each reply and the handshake */
	char *ehlo;
};

struct check_env {
	struct check_conf conf;
	struct event_base *base;
	struct dns *dns;	/* made at the first question */
	SSL_CTX *tls, *tls_strict;
	struct trust *trust;	/* the enabled lists of CAs; made at the first need */
	int trust_tried, trust_failed;
	size_t probing, probes_max;	/* connections now, and at most */
	struct check *queue, **queue_end; /* checks with probes that wait for a place */
	struct check *waiting;	/* checks that wait for the diagnosis under way */
	int diagnosed;		/* ill and ill_text hold */
	enum dns_ill ill;
	char *ill_text;
};

/* One host x address, or a host to which no connection is made (address then is NULL). */
struct probe {
	struct check *check;
	const struct plan_host *host;
	const struct facts_addr *addr;
	struct contact contact;	/* where it was started */
	struct verdict verdict;	/* borrowed from the contact where there is one */
	int started;
	int done;
};

struct check {
	struct check_env *env;
	char *destination;
	struct policy policy;
	uint16_t port;
	struct lookup *lookup;
	struct facts *facts;
	struct plan plan;
	struct probe *probe;
	size_t nprobe, open;
	size_t next, running;	/* the first probe not started; those connected */
	struct check *next_queued;
	int queued;
	struct verdict verdict;
	struct check *next_waiting;
	int unresolved;		/* nothing could be looked up: what env->ill says concerns it */
	int done;
	void (*fn)(struct check *, void *);
	void *arg;
};

/* Calls fn once, from the loop or before it returns; the check stays until check_free(). FAIL_INPUT
 * and FAIL_SYS: the resolver or the anchor cannot be used; fn is not called. */
struct check *check_start(struct check_env *, const char *destination,
    void (*fn)(struct check *, void *), void *arg, struct fail *);
void check_free(struct check *);

/* Sets how many connections there may be, by what the system allows. */
void check_env_init(struct check_env *);

/* Probes an address; ends in check_probe_done(). */
void probe_start(struct probe *);
void probe_clear(struct probe *);
void check_probe_done(struct probe *);

struct out_conf {
	int verbose;	/* the trace, certificates and TLSA records too */
	int quiet;	/* the domain's verdict only */
	int json;
};

/* One check in words; one JSON object on a line. */
void out_text(const struct check *, const struct out_conf *);
int out_json(const struct check *, struct fail *);

#endif
