/*
 * policy - the one engine that says how mail may go to a destination: facts in, a plan out.
 *
 * Two pure steps, the same for the probe and for the relay.  policy_plan() turns settings and DNS
 * facts into an order for each host; policy_judge() turns what was seen on a connection into a
 * verdict under that order.  Neither asks the network, the clock or a file.
 *
 * Sources: RFC 7672 (2.2 discovery and levels, 6 mandatory DANE), RFC 7505, RFC 5321, RFC 3207.
 * "local" names a rule that is a setting, not an RFC.
 */
#ifndef MTATLS_POLICY_H
#define MTATLS_POLICY_H

#include <stddef.h>

#include "facts.h"
#include "fail.h"
#include "text.h"
#include "verify.h"

/* Ordered: a later level never delivers what an earlier one refuses. */
enum policy_tls {
	POLICY_TLS_NO,		/* STARTTLS is never used */
	POLICY_TLS_PREFERRED,	/* used if offered, not verified; clear text otherwise */
	POLICY_TLS_REQUIRED	/* encrypted or not at all, not verified */
};

enum policy_dane {
	POLICY_DANE_NONE,
	POLICY_DANE_OPPORTUNISTIC,	/* usable TLSA records decide where there are any */
	POLICY_DANE_MANDATORY		/* no usable TLSA records: no connection */
};

struct policy {
	enum policy_tls tls;
	enum policy_dane dane;
	int guard;	/* addresses that lead to no other host are not connected to */
	int routed;	/* the host is a route's: what is wrong with it is ours to mend */
};

/* What holds where nothing is configured. */
#define POLICY_DEFAULT { .tls = POLICY_TLS_PREFERRED, .dane = POLICY_DANE_OPPORTUNISTIC }

const char *policy_tls_name(enum policy_tls);
const char *policy_dane_name(enum policy_dane);

/* FAIL_INPUT names the setting ("tls: ", "level: ", "dane: ") and lists the words: level is what an
 * option calls tls. */
int policy_parse_tls(const char *, enum policy_tls *, struct fail *);
int policy_parse_level(const char *, enum policy_tls *, struct fail *);
int policy_parse_dane(const char *, enum policy_dane *, struct fail *);

/* tls no beside dane other than none asks for two things at once: FAIL_INPUT. */
int policy_check(const struct policy *, struct fail *);

/* One line of the trace: a fact, the rule that applies, what follows. */
struct policy_step {
	char *fact;
	const char *rule;	/* "RFC 7672 2.2.2" or "local": static */
	char *then;
};

struct policy_trace {
	struct policy_step *v;
	size_t n;
};

/* What a connection to a host must reach, in order of strictness. */
enum plan_need {
	PLAN_CLEAR,	/* no STARTTLS */
	PLAN_MAY,	/* STARTTLS if offered */
	PLAN_ENCRYPT,	/* STARTTLS or nothing */
	PLAN_DANE	/* STARTTLS and a match with the TLSA records, or nothing */
};

enum plan_act {
	PLAN_TRY,	/* connect, under the need */
	PLAN_SKIP,	/* do not connect */
	PLAN_UNSURE	/* cannot be asked now */
};

struct plan_host {
	const struct facts_host *host;	/* borrowed from the facts */
	enum plan_act act;
	enum plan_need need;		/* for PLAN_TRY */
	const char *rule;		/* why this act and need: static */
	char *why;
	int by_records;			/* TLSA records, not the level, ask for TLS */
	size_t usable;			/* TLSA records that may be used */
};

enum plan_kind {
	PLAN_HOSTS,	/* try the hosts in their order */
	PLAN_NOMAIL,	/* null MX: permanent, 5.1.10 */
	PLAN_NODOMAIN,	/* no such domain: permanent, 5.1.2 */
	PLAN_NOROUTE,	/* none of its hosts has an address for us: permanent, 5.4.4 */
	PLAN_LOOP,	/* its best host is the relay itself: permanent, 5.4.6 */
	PLAN_DEFER	/* the MX could not be asked, or the fault is ours: temporary */
};

struct plan {
	enum plan_kind kind;
	struct policy policy;
	const struct facts *facts;	/* borrowed; must outlive the plan */
	const char *status;		/* enhanced (RFC 3463), "" for PLAN_HOSTS: static */
	const char *rule;
	char *why;
	int domain_bound; /* the host names follow from the domain securely: AUTH can hold for it */
	/* For PLAN_HOSTS, in the order of preference; for NOROUTE and LOOP, and DEFER where a host is at
	 * fault, those that will not do. */
	struct plan_host *host;
	size_t nhost;
	struct policy_trace trace;
};

void policy_plan(const struct policy *, const struct facts *, struct plan *out);
void plan_clear(struct plan *);

/* Whether the plan lets the address of a host be connected to; NULL: yes, else why not in a word. */
const char *policy_bars(const struct policy *, const struct facts_addr *);

/* The trace in words, a line for each step: "    fact [rule] -> consequence". */
void plan_explain(struct buf *, const struct plan *);

const char *plan_need_name(enum plan_need);	/* "clear" "may" "encrypt" "dane" */

/* What came of a connection to one address, up to the point where mail could be sent. */
enum seen_end {
	SEEN_READY,	    /* a session on which mail could be sent, in clear or under TLS */
	SEEN_NO_CONNECTION, /* refused, unreachable, timeout */
	SEEN_TEMPORARY, /* a 4yz or 421, silence, or closed by the peer: says nothing of its TLS */
	SEEN_REFUSED,	/* a 5yz instead of a session */
	SEEN_NO_STARTTLS,      /* a session in clear text, STARTTLS not offered */
	SEEN_STARTTLS_REFUSED, /* STARTTLS answered with an error */
	SEEN_INJECTION,	       /* octets in clear text behind the 220 to STARTTLS */
	SEEN_HANDSHAKE_FAILED,
	SEEN_PROTOCOL /* not SMTP */
};

struct seen {
	enum seen_end end;
	int tls;			/* the handshake succeeded */
	const char *text;		/* what the peer said or the system said; escaped */
	const struct finding *finding;	/* of verify; needed where the need is PLAN_DANE and tls */
};

enum verdict_word {
	VERDICT_AUTH,		/* mail would go through this host authenticated */
	VERDICT_ENC,		/* encrypted */
	VERDICT_CLEAR,		/* in clear text */
	VERDICT_SKIP,		/* not through this host */
	VERDICT_NOMAIL,		/* the domain takes none */
	VERDICT_INCONCLUSIVE	/* could not be asked */
};

const char *verdict_name(enum verdict_word);	/* "AUTH" ... */

struct verdict {
	enum verdict_word word;
	const char *rule;	/* static */
	char *why;		/* heap, owned */
};

void verdict_clear(struct verdict *);

/* A host that the plan does not try: seen is NULL then. */
void policy_judge(const struct plan_host *, const struct seen *, struct verdict *out);

/*
 * The domain's verdict from those of all its hosts and addresses (RFC 7672 2.2.1): the weakest
 * among the usable ones; n may be 0 where the plan has no hosts.
 */
void policy_domain(const struct plan *, const struct verdict *, size_t n, struct verdict *out);

#endif
