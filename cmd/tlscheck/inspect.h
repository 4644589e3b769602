/*
 * inspect - destinations looked at closely: a server by host:port and any STARTTLS, or each host of a
 * domain (--survey).
 *
 *	lookup -> policy_plan -> survey (each host x address) -> verify, policy_judge (each certificate) -> done
 *
 * A server may have a certificate for each kind of key, and clients meet one or another.  Its verdict is the
 * weakest of them, for whoever publishes TLSA records or renews certificates has to know of the other one.
 */
#ifndef TLSCHECK_INSPECT_H
#define TLSCHECK_INSPECT_H

#include <stdint.h>

#include <event2/event.h>

#include "cas.h"
#include "dns.h"
#include "facts.h"
#include "identity.h"
#include "lookup.h"
#include "policy.h"
#include "proof.h"
#include "publish.h"
#include "starttls.h"
#include "survey.h"
#include "tool.h"
#include "verify.h"

#define INSPECT_SURVEYS_MAX 8	 /* addresses of one destination at once */
#define INSPECT_ADDRESSES_MAX 32 /* of one destination that are surveyed at all */
#define INSPECT_KEYS_MAX 5	 /* certificates of one address */

struct inspect_conf {
	struct policy policy;
	struct dns_conf dns;
	enum starttls_proto proto;
	uint16_t port;		/* 0: the protocol's */
	int timeout_ms;
	char *ehlo;
	const char *dir;	/* of the store: castore's lists, identities */
	struct cas *cas;
	const char *client;	/* identity to present; NULL: none */
	int level_given;	/* the policy's level is the user's word */
	int json, quiet, verbose, pem;
	int publish;		/* --publish, and of what */
	enum publish_part part;
};

/* One certificate of an address. */
struct inspect_key {
	enum survey_step step;		/* that showed it */
	const struct reach *reach;
	struct proof proof;		/* what the plan asks */
	struct finding pkix;		/* by the trusted CAs and the host's name, whatever the plan asks */
	struct verdict verdict;
};

/* A host x address; one that is not connected to has addr NULL. */
struct inspect_host {
	struct inspect *inspect;
	const struct plan_host *host;
	const struct facts_addr *addr;
	struct survey survey;
	int surveyed;
	struct inspect_key key[INSPECT_KEYS_MAX];
	size_t nkey;
	struct verdict verdict;
};

/* What all have in common. */
struct inspect_env {
	struct inspect_conf conf;
	struct event_base *base;
	struct dns *dns;
	SSL_CTX *tls;
	const struct trust *trust;	/* NULL: there is no list of CAs */
	struct identity client;
};

struct inspect {
	struct inspect_env *env;
	char *destination;
	enum starttls_proto proto;
	uint16_t port;
	int is_server;			/* host:port: not a domain's MX hosts */
	struct lookup *lookup;
	struct facts *facts;
	struct plan plan;
	struct inspect_host *v;
	size_t n, next, open;
	struct verdict verdict;
	int done;
	void (*fn)(struct inspect *, void *);
	void *arg;
};

/* Is the word a server: host:port, [v6]:port, ADDR@PORT? */
int inspect_is_server(const char *word);

/* A whole run over words of the command line, printed in their order.  Exits where one cannot be used. */
enum tool_exit inspect_run(const struct inspect_conf *, char **words, size_t n);

/* Whether the server is one that mail goes to, so that SMTP's rules of DANE hold. */
int inspect_is_mail(const struct inspect *);

void inspect_text(const struct inspect *);
int inspect_json(const struct inspect *, struct fail *);

#endif
