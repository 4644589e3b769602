/*
 * conf - smtp-relay.conf: what the relay is told, checked and ready for use; smtp-relay.conf(5).  The
 * probe reads it too, to judge as that relay would.
 *
 * Everything is owned by struct conf and stays as it is once read; conf_free() frees.
 */
#ifndef MTATLS_CONF_H
#define MTATLS_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "policy.h"
#include "room.h"
#include "smtp_server.h"
#include "table.h"
#include "text.h"

#define CONF_FILE_MAX (4 * 1024 * 1024)	/* octets */
#define CONF_WORKERS_MAX 64
#define CONF_CONCURRENCY 1000		/* sessions of a listener, where nothing is said */
#define CONF_BACKLOG 511
#define CONF_PASSWORDS "smtp-relay.passwd"	/* in dir, where no other is named */

enum conf_action {
	CONF_ACCEPT,		/* mail for the listener's domains */
	CONF_RELAY,		/* mail for anywhere */
	CONF_REJECT,		/* 554 in the banner */
	CONF_TCPREFUSE		/* the connection is reset */
};

const char *conf_action_name(enum conf_action);

/* Who may connect: a network, or all (bits -1). */
struct conf_hosts {
	int family;
	uint8_t addr[16];
	int bits;
	enum conf_action action;
};

enum conf_type { CONF_PUBLIC, CONF_PRIVATE };

struct conf_listen {
	char *name;
	struct endpoint at;
	enum conf_type type;
	enum smtp_server_tls_level tls;
	enum smtp_server_auth auth;
	char *cert;		/* identity; NULL: none named */
	char **domain;		/* that it takes mail for; ".example" for what is below */
	size_t ndomains;
	unsigned concurrency;
	unsigned backlog;
	struct conf_hosts *hosts;
	size_t nhosts;
};

struct conf_destination {
	char *pattern;		/* domain, ".domain" or "default" */
	struct policy policy;	/* of which only what the line gives is looked at: */
	unsigned given;		/* a bit, 1 << key, for each policy_key */
};

struct conf_route {
	char *pattern;
	struct endpoint next;
};

/* An address by which this relay is known. */
struct conf_own {
	struct facts_addr addr;
	uint16_t port;		/* 0: any */
};

struct conf {
	char *file;
	char *hostname;
	char *dir;
	char *spool;
	char *user, *queue_user;	/* NULL: not named */
	char *passwords;		/* file of passwd.h */
	char *anchor, *resolver;	/* NULL: the defaults of dns.h */
	uint16_t mx_port;
	unsigned workers;
	int deliver;			/* 0: mail waits in the queue */
	int loopback_mx;		/* MX hosts may be on this machine */
	int64_t retry;			/* seconds to the first retry */
	uint64_t max_size;
	struct room_floor min_free;	/* of the spool's file system */
	struct conf_listen *listen;
	size_t nlisten;
	struct conf_own *own;		/* where connections would come back to us */
	size_t nown;
	struct conf_destination *destination;
	size_t ndestinations;
	struct conf_route *route;
	size_t nroutes;
};

/*
 * As conf_read(), but what could be read is returned where there were errors too (their number in
 * *errors), so that the rest of it can be looked at in the same run.  A path at fault is "".
 */
struct conf *conf_parse(const char *file, table_error_fn *report, void *arg, size_t *errors,
    struct fail *f);

/*
 * Reads a file.  Each error goes to the function as file:line and text, all of them in one run; NULL
 * is returned where there was any.  What cannot be read at all is FAIL_SYS or FAIL_INPUT in *f, with
 * no call of the function.
 */
struct conf *conf_read(const char *file, table_error_fn *report, void *arg, struct fail *f);
void conf_free(struct conf *);

/* The most specific entry of the listener for an address; NULL where there is none. */
const struct conf_hosts *conf_find_hosts(const struct conf_listen *, int family, const void *addr);

/* True where a listener offers AUTH. */
int conf_has_auth(const struct conf *);

/* True where the listener takes mail for the domain. */
int conf_has_domain(const struct conf_listen *, const char *domain);

/*
 * The policy for a destination: exact beats the longest ".suffix".  What its line leaves open is as in the
 * default line, and what that leaves open is built in; tls no switches DANE and MTA-STS off.
 */
void conf_policy(const struct conf *, const char *domain, struct policy *);

/* Whether a destination's level needs the lists of CAs. */
int conf_needs_trust(const struct conf *);

/* The next hop, by the same order; NULL: MX. */
const struct conf_route *conf_route_to(const struct conf *, const char *domain);

/*
 * Marks the hosts of a domain that are this relay itself, by their name or an address with that port
 * (RFC 5321 5.1); a route is taken at its word, and the facts learn whose mail takes it.
 */
void conf_mark_own(const struct conf *, const char *domain, uint16_t port, struct facts *);

/* What is no error and hardly meant so (an open relay, mail that can never go or comes back), a line of text each; how many. */
size_t conf_warnings(const struct conf *, struct buf *);

/* Appends what -n prints: settings, listeners with who may use them, destinations, routes. */
void conf_print(const struct conf *, struct buf *);

#endif
