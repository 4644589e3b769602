/*
 * policy - the one engine that says how mail may go to a destination: facts in, a plan out.
 *
 * Two pure steps, the same for the probe and for the relay.  policy_plan() turns settings and DNS
 * facts into an order for each host; policy_judge() turns what was seen on a connection into a
 * verdict under that order.  Neither asks the network, the clock or a file.
 *
 * Sources: RFC 7672 (2.2 discovery and levels, 6 mandatory DANE), RFC 8461 (MTA-STS), RFC 8689
 * (REQUIRETLS, TLS-Required), RFC 7505, RFC 5321, RFC 3207.  "local" names a rule that is a setting,
 * not an RFC.
 */
#ifndef MTATLS_POLICY_H
#define MTATLS_POLICY_H

#include <stddef.h>

#include "facts.h"
#include "fail.h"
#include "proof.h"
#include "text.h"
#include "verify.h"

/*
 * Ordered by what a level refuses: a later one never delivers what an earlier one refuses.
 * preferred-verify refuses what preferred does, and nothing for the certificate's sake, so that it
 * stands before required.
 */
enum policy_tls {
	POLICY_TLS_NO,		/* STARTTLS is never used */
	POLICY_TLS_PREFERRED,	/* used if offered, not verified; clear text otherwise */
	POLICY_TLS_PREFERRED_VERIFY,	/* the same; whether the certificate is good is recorded */
	POLICY_TLS_REQUIRED,	/* encrypted or not at all, not verified */
	POLICY_TLS_REQUIRED_VERIFY,	/* a trusted chain, and the domain's or MX host's name in it */
	POLICY_TLS_REQUIRED_VERIFY_HOSTED	/* likewise; the CN counts only without any dNSName */
};

enum policy_dane {
	POLICY_DANE_NONE,
	POLICY_DANE_OPPORTUNISTIC,	/* usable TLSA records decide where there are any */
	POLICY_DANE_MANDATORY		/* no usable TLSA records: no connection */
};

enum policy_sts {
	POLICY_STS_NONE,
	POLICY_STS_FOLLOW	/* an enforced MTA-STS policy decides where DANE does not */
};

enum policy_requiretls {
	POLICY_REQUIRETLS_NO,	/* what a message asks with it is passed over */
	POLICY_REQUIRETLS_HONOUR
};

/* When mail may go in clear text after all, where it need not be encrypted and STARTTLS failed. */
enum policy_fallback {
	POLICY_FALLBACK_BEFORE_220,	/* STARTTLS was answered with an error */
	POLICY_FALLBACK_AFTER_220,	/* the handshake failed: over a connection of its own */
	POLICY_FALLBACK_BOTH,
	POLICY_FALLBACK_NEVER
};

/* The lowest version of TLS for levels that verify a chain to a CA. */
enum policy_tls_min {
	POLICY_TLS_MIN_1_0,
	POLICY_TLS_MIN_1_1,
	POLICY_TLS_MIN_1_2,
	POLICY_TLS_MIN_1_3
};

/* What a message asks for itself (RFC 8689): any of these. */
#define POLICY_MESSAGE_REQUIRETLS 1	/* MAIL FROM had REQUIRETLS */
#define POLICY_MESSAGE_TLS_OPTIONAL 2	/* "TLS-Required: No" in its header */

struct policy {
	enum policy_tls tls;
	enum policy_dane dane;
	enum policy_sts sts;
	enum policy_requiretls requiretls;
	enum policy_fallback fallback;
	enum policy_tls_min tls_min;
	int fqdn_check;	/* names that are not fully qualified do not count */
	unsigned message;	/* POLICY_MESSAGE_*: of the one that is to go */
	int guard;	/* addresses that lead to no other host are not connected to */
	int routed;	/* the host is a route's: what is wrong with it is ours to mend */
	int password;	/* one is sent there: to an authenticated host, inside TLS, alone */
};

/* What holds where nothing is configured. */
#define POLICY_DEFAULT { .tls = POLICY_TLS_PREFERRED, .dane = POLICY_DANE_OPPORTUNISTIC, \
	.sts = POLICY_STS_FOLLOW, .requiretls = POLICY_REQUIRETLS_HONOUR, \
	.fallback = POLICY_FALLBACK_BEFORE_220, .tls_min = POLICY_TLS_MIN_1_2 }

/* The settings that a destination may have, by their keywords. */
enum policy_key {
	POLICY_KEY_TLS,
	POLICY_KEY_DANE,
	POLICY_KEY_STS,
	POLICY_KEY_REQUIRETLS,
	POLICY_KEY_FALLBACK,
	POLICY_KEY_TLS_MIN,
	POLICY_KEY_FQDN_CHECK
};
#define POLICY_KEYS (POLICY_KEY_FQDN_CHECK + 1)

const char *policy_key_name(enum policy_key);	/* "tls" "dane" ... "fqdn-check" */
int policy_key_find(const char *);		/* -1: no setting has that name */

/* Sets one by its word.  FAIL_INPUT: "dane: expected none, ... or mandatory, not ...". */
int policy_set(struct policy *, enum policy_key, const char *word, struct fail *);

/* The word of a setting. */
const char *policy_word(const struct policy *, enum policy_key);

/* Takes over one setting. */
void policy_copy(struct policy *to, const struct policy *from, enum policy_key);

const char *policy_tls_name(enum policy_tls);
const char *policy_dane_name(enum policy_dane);
const char *policy_fallback_name(enum policy_fallback);

/* As policy_set() of POLICY_KEY_TLS, with a message about "level", as an option calls it. */
int policy_parse_level(const char *, enum policy_tls *, struct fail *);

/* tls no beside dane other than none, or beside sts follow, asks for two things at once: FAIL_INPUT. */
int policy_check(const struct policy *, struct fail *);

/* Said in different places they do not contradict: without TLS there is neither DANE nor MTA-STS. */
void policy_settle(struct policy *);

/* Whether the plan has a use for the TLSA records, and for the domain's MTA-STS policy. */
int policy_wants_tlsa(const struct policy *);
int policy_wants_sts(const struct policy *);

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
	PLAN_PKIX,	/* STARTTLS, a trusted chain and a name in it, as the local level has it */
	PLAN_STS,	/* STARTTLS, a trusted chain and the MX host's name in it, by MTA-STS */
	PLAN_DANE	/* STARTTLS and a match with the TLSA records, or nothing */
};

enum plan_act {
	PLAN_TRY,	/* connect, under the need */
	PLAN_SKIP,	/* do not connect */
	PLAN_UNSURE	/* cannot be asked now */
};

/* What an MTA-STS policy in mode testing would say of a host: recorded, never refused for it. */
enum plan_testing {
	PLAN_TESTING_NONE,	/* there is no such policy, or DANE decides */
	PLAN_TESTING_FITS,	/* the host matches an mx pattern: the chain is judged */
	PLAN_TESTING_MISFIT	/* it matches none */
};

/* All that a connection is judged by; two equal ones may share it. */
struct plan_host {
	const struct facts_host *host;	/* borrowed from the facts */
	enum plan_act act;
	enum plan_need need;		/* for PLAN_TRY */
	const char *rule;		/* why this act and need: static */
	char *why;
	int by_records;			/* TLSA records, not the level, ask for TLS */
	size_t usable;			/* TLSA records that may be used */
	/*
	 * The chain is judged as the local level has it, by these names: decides under PLAN_PKIX, and
	 * under PLAN_STS in addition; is recorded under less.
	 */
	int check;
	enum verify_names names;
	int fqdn_check;
	enum policy_tls_min tls_min;	/* for PLAN_PKIX and PLAN_STS */
	enum policy_fallback fallback;	/* for PLAN_MAY */
	enum plan_testing testing;
	int requiretls;			/* REQUIRETLS must be offered inside TLS */
	int bound;			/* the host's name follows from the domain securely */
};

enum plan_kind {
	PLAN_HOSTS,	/* try the hosts in their order */
	PLAN_NOMAIL,	/* null MX: permanent, 5.1.10 */
	PLAN_NODOMAIN,	/* no such domain: permanent, 5.1.2 */
	PLAN_NOROUTE,	/* none of its hosts has an address for us: permanent, 5.4.4 */
	PLAN_LOOP,	/* its best host is the relay itself: permanent, 5.4.6 */
	PLAN_UNPROTECTED,	/* the message requires TLS, which is not used there: permanent, 5.7.30 */
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

/* Whether a host's chain will be held against the trusted CAs. */
int plan_wants_trust(const struct plan *);

/* Whether the plan lets the address of a host be connected to; NULL: yes, else why not in a word. */
const char *policy_bars(const struct policy *, const struct facts_addr *);

/* The trace in words, a line for each step: "    fact [rule] -> consequence". */
void plan_explain(struct buf *, const struct plan *);

const char *plan_need_name(enum plan_need);	/* "clear" "may" "encrypt" "pkix" "sts" "dane" */
int plan_need_is_strict(enum plan_need);	/* a chain to a CA decides: TLS is strict then */

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
	const struct proof *proof;	/* of the chain; needed where there is TLS and a need or check */
	const char *fell_back;		/* this is the session in clear text behind a failed handshake, of
					 * which it tells; else NULL */
	int requiretls;			/* REQUIRETLS is offered inside TLS */
};

/* Whether a STARTTLS that failed so is followed by clear text; HANDSHAKE_FAILED: by a new connection. */
int policy_falls_back(const struct plan_host *, enum seen_end);

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
	int bound;		/* AUTH: for the domain's own name, or a host that it names securely */
	const char *status;	/* SKIP that later is no better: "5.7.30"; static, else NULL */
	/* What a policy in mode testing would have refused; NULL: nothing.  Heap, and static. */
	char *testing;
	const char *testing_rule;
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
