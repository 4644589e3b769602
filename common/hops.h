/*
 * hops - where mail goes in place of MX hosts: a `route` line of smtp-relay.conf, and what is known of its hosts.
 *
 *	route PATTERN HOST[,HOST...] [protocol smtp|smtps|lmtp] [mx yes|no] [credentials NAME]
 *
 * A host is a name or an address, in brackets or not, with @PORT behind it or not, or unix:/PATH.  They are tried in
 * their order.  With mx yes the one host is a domain, whose MX records are asked for.
 */
#ifndef MTATLS_HOPS_H
#define MTATLS_HOPS_H

#include <stddef.h>
#include <stdint.h>

#include "facts.h"
#include "fail.h"
#include "lookup.h"
#include "text.h"

#define HOPS_MAX 16		/* hosts of a route */
#define HOPS_SOCKET_MAX 107	/* octets of a socket's path (unix(7)) */

/* One of them. */
struct hop {
	char *host;		/* A-labels or an address; NULL: path */
	uint16_t port;
	char *path;		/* of a unix socket */
};

struct hops {
	enum facts_protocol protocol;
	struct hop *v;
	size_t n;
	int mx;			/* MX records of v[0].host are asked for */
	char *credentials;	/* the name of user and password there; NULL: AUTH is not used */
};

/* The words behind the pattern.  What was read is to be cleared after errors too. */
int hops_parse(struct hops *, char **word, size_t n, struct fail *);
void hops_clear(struct hops *);

/* "mx.example.org@25, 192.0.2.1@25, protocol lmtp": as -n has it. */
void hops_print(struct buf *, const struct hops *);

/* "[mx.example.org],[192.0.2.1]", or the domain: whom the facts are about.  On the heap. */
char *hops_name(const struct hops *);

/* The port of hosts that have none of their own. */
uint16_t hops_port(const struct hops *);

/*
 * What the line alone says of its hosts, as facts; complete where hops_known().  The caller's, to be freed or handed
 * to hops_start().  NULL: the DNS has to say who they are.
 */
struct facts *hops_facts(const struct hops *);
int hops_known(const struct facts *);

/* Asks for the rest; facts are those of hops_facts(), or NULL.  Port and protocol of the conf are set here. */
struct lookup *hops_start(struct dns *, const struct hops *, struct facts *, const struct lookup_conf *, lookup_fn *,
    void *arg);

#endif
