/*
 * check - a destination examined: DNS facts, the plan, a probe of every address, the verdicts.
 *
 *	check_start -> lookup -> policy_plan -> probe (each host x address) -> evidence -> judge -> done
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
#include "evidence.h"
#include "facts.h"
#include "judge.h"
#include "lookup.h"
#include "policy.h"
#include "sts_cache.h"
#include "sts_lookup.h"

#define CHECKS_MAX 100		/* destinations under way at once */
#define PROBES_MAX 256		/* connections of a run at once; less where descriptors are few */
#define PROBES_OF_CHECK_MAX 8	/* of one destination: it must not crowd out the others */
#define ADDRESSES_MAX 128	/* of one destination that are connected to at all */
#define FETCH_PATIENCE 4	/* times the timeout: for a policy's lookup, connection, handshake and answer */
#define DESCRIPTORS_SPARE 600	/* for the DNS (512 sockets) and the rest */

struct check_conf {
	struct policy policy;
	const struct conf *relay;	/* NULL: the policy above; else that relay's, domain by domain */
	struct judge_conf judge;
	struct dns_conf dns;
	const char *sts_cache;	/* folder of kept MTA-STS policies; NULL: none is kept */
	int survey;		/* gather what any policy could ask for */
	uint16_t port;
	int timeout_ms;		/* for connecting, each reply and the handshake */
	char *ehlo;
};

struct check_env {
	struct check_conf conf;
	struct event_base *base;
	struct dns *dns;	/* made at the first question */
	SSL_CTX *tls, *tls_strict;
	struct sts_cache *sts_cache;
	struct sts_source *sts;	/* made with dns */
	size_t probing, probes_max;	/* connections now, and at most */
	struct check *queue, **queue_end; /* checks with probes that wait for a place */
	struct check *waiting;	/* checks that wait for the diagnosis under way */
	int diagnosed;		/* ill and ill_text hold */
	enum dns_ill ill;
	char *ill_text;
};

/* A connection to one host x address. */
struct probe {
	struct check *check;
	const struct plan_host *host;
	const struct facts_addr *addr;
	struct contact contact;	/* where it was started */
	int started;
	int done;
};

struct check {
	struct check_env *env;
	char *destination;
	struct policy policy;
	uint16_t port;
	struct lookup *lookup;
	struct evidence *evidence;
	struct plan plan;	/* of the connections */
	struct probe *probe;
	size_t nprobe, open;
	size_t next, running;	/* the first probe not started; those connected */
	struct check *next_queued;
	int queued;
	struct judged judged;
	struct check *next_waiting;
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

/* What the cache of policies could not do. */
void check_complain(void *, const struct fail *);

/* Probes an address; ends in check_probe_done(). */
void probe_start(struct probe *);
void probe_clear(struct probe *);
void check_probe_done(struct probe *);

/* Where what it showed belongs. */
struct shown *probe_evidence(struct probe *);

#endif
