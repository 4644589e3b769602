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

#include "access.h"
#include "cidr.h"
#include "conf_alert.h"
#include "conf_report.h"
#include "controls.h"
#include "fail.h"
#include "hops.h"
#include "limit.h"
#include "notice.h"
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
#define CONF_CREDENTIALS "smtp-relay.credentials"	/* likewise */

/* The files that it names; conf_file.h words what is the matter with one. */
enum conf_file {
	CONF_FILE_PASSWORDS,
	CONF_FILE_CREDENTIALS,
	CONF_FILE_RECIPIENTS,
	CONF_FILE_ALIASES,
	CONF_FILE_HOOK
};
#define CONF_FILES (CONF_FILE_HOOK + 1)

enum conf_type { CONF_PUBLIC, CONF_PRIVATE };

enum conf_protocol {
	CONF_SMTP,
	CONF_SMTPS		/* TLS from the first octet (RFC 8314 3.3) */
};

/* Of clients' certificates, which are good: a chain to a trusted CA; of those listed where any is, and then a fingerprint needs no chain. */
struct conf_client {
	enum conf_client_cert cert;
	char **name;			/* dNSNames, as name_matches() has them */
	size_t nnames;
	char **fingerprint;		/* SHA-256 in lower-case hexadecimal, without colons */
	size_t nfingerprints;
};

/* Addresses of recipients, changed before anything is asked about them. */
struct conf_map {
	char *from;		/* "user@domain", "@domain", or "@.domain": all below */
	char *to;		/* "user@domain", or "@domain": the local part stays */
};

#define CONF_LISTEN_MAX 64	/* listeners */
#define CONF_GREETING_MAX 200	/* octets of a listener's greeting */
#define CONF_SOCKET_MAX 107	/* octets of a socket's path (unix(7)) */

struct conf_listen {
	char *name;
	unsigned line;		/* of the file */
	struct endpoint at;	/* host "": path */
	char *path;		/* of a unix socket; NULL: none */
	int mode;		/* of that socket */
	char *group;		/* NULL: the master's */
	enum conf_type type;
	enum conf_protocol protocol;
	enum smtp_server_tls_level tls;
	enum smtp_server_auth auth;
	char **cert;		/* identities, that for unknown names first; none: _demo */
	size_t ncerts;
	int tls_min;		/* TLS1_2_VERSION */
	char *ciphers;		/* NULL: tls.h's */
	struct conf_client client;
	struct cidr *proxy;	/* balancers, whose connections begin with a header (proxy.h) */
	size_t nproxies;
	char *default_domain;	/* of addresses without one; NULL: they are refused */
	char *greeting;		/* behind the banner's ESMTP; NULL: nothing */
	struct conf_map *map;
	size_t nmaps;
	char **domain;		/* that it takes mail for; ".example" for what is below */
	size_t ndomains;
	unsigned concurrency;
	unsigned backlog;
	int client_names;	/* the clients' names are looked up even where no line needs them */
	struct limits limits;	/* as far as the line says them */
	struct conf_hosts *hosts;
	size_t nhosts;
};

struct conf_destination {
	char *pattern;		/* domain, ".domain" or "default" */
	struct policy policy;	/* of which only what the line gives is looked at: */
	unsigned given;		/* a bit, 1 << key, for each policy_key */
	struct controls controls;
};

struct conf_route {
	char *pattern;
	unsigned line;		/* of the file */
	struct hops hops;
};

/* An address by which this relay is known. */
struct conf_own {
	struct facts_addr addr;
	uint16_t port;		/* 0: any */
};

struct conf {
	char *file;
	unsigned file_line[CONF_FILES];	/* which line names it; 0: none, it is the default */
	char *hostname;
	char *dir;
	char *spool;
	char *user, *queue_user;	/* NULL: not named */
	char *passwords;		/* file of passwd.h */
	char *aliases;			/* file of aliases.h; NULL: none */
	struct endpoint submit;		/* where local programs hand mail in (conf_submit.h); host "": not said */
	char *submit_path;		/* a unix socket in its stead; NULL: none */
	char *credentials;		/* file of credentials.h */
	char *out_cert;			/* identity shown where a destination says nothing; NULL: none */
	char *anchor, *resolver;	/* NULL: the defaults of dns.h */
	uint16_t mx_port;
	unsigned workers;
	int deliver;			/* 0: mail waits in the queue */
	int loopback_mx;		/* MX hosts may be on this machine */
	int64_t retry, retry_max;	/* seconds to the first retry, and between two at most */
	struct notice_conf notice;	/* how long mail is tried, and when senders hear of it */
	int64_t bounce_size;		/* octets of a message that a report may have with it; more: its header alone */
	char *double_bounce_to;		/* who hears of what cannot be told to a sender; NULL: the log alone */
	struct limits limits;		/* complete */
	char *recipients;		/* file of them; NULL: not looked at */
	char delimiter;			/* between a local part and its extension; NUL: none */
	struct room_floor min_free;	/* of the spool's file system */
	struct conf_listen *listen;
	size_t nlisten;
	struct conf_own *own;		/* where connections would come back to us */
	size_t nown;
	struct conf_destination *destination;
	size_t ndestinations;
	struct conf_route *route;
	size_t nroutes;
	struct conf_alert alert;
	struct conf_tlsrpt tlsrpt;
	struct conf_dkim *dkim;
	size_t ndkim;
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

/*
 * The same of a file's text that was read already, under its name; opens no other file, so that a process may do
 * it that has none.
 */
struct conf *conf_parse_text(const char *file, const char *text, size_t len, table_error_fn *report, void *arg,
    size_t *errors);
void conf_free(struct conf *);

/*
 * What holds for a client with that line (NULL: none): its own limits, the listener's, those of all.  Where none says
 * client-concurrency it is conf_share(), and not given.
 */
void conf_limits(const struct conf *, const struct conf_listen *, const struct conf_hosts *, struct limits *);
/* Sessions of one client at a public listener on a port, for clients that may not relay; else 0: as many as it likes. */
unsigned conf_share(const struct conf_listen *, const struct conf_hosts *);
enum smtp_server_tls_level conf_tls(const struct conf_listen *, const struct conf_hosts *);
enum conf_client_cert conf_client_cert(const struct conf_listen *, const struct conf_hosts *);

/* True where a listener offers AUTH. */
int conf_has_auth(const struct conf *);

/* True where the listener takes mail for the domain. */
int conf_has_domain(const struct conf_listen *, const char *domain);

/* The line of its domain-map for an address: the whole one, its domain, the longest suffix; NULL: none. */
const struct conf_map *conf_map_find(const struct conf_listen *, const char *local, const char *domain);

/* Where it listens: "192.0.2.1@25", or a path.  On the heap. */
char *conf_listen_place(const struct conf_listen *);

/*
 * The policy for a destination: exact beats the longest ".suffix".  What its line leaves open is as in the
 * default line, and what that leaves open is built in; tls no switches DANE and MTA-STS off.
 */
void conf_policy(const struct conf *, const char *domain, struct policy *);

/* Its controls, by the same order; strings are borrowed from the configuration. */
void conf_controls(const struct conf *, const char *domain, struct controls *);

/* What its limits are counted by: the domain, or "route PATTERN" where it takes one.  On the heap. */
char *conf_counted_as(const struct conf *, const char *domain);

/* The identities that may be shown to servers, each once; the array is the caller's, the names are not. */
const char **conf_out_certs(const struct conf *, size_t *n);

/* True where a route has credentials. */
int conf_has_credentials(const struct conf *);

/* Whether a destination's level needs the lists of CAs. */
int conf_needs_trust(const struct conf *);

/* The next hop, by the same order; NULL: MX. */
const struct conf_route *conf_route_to(const struct conf *, const char *domain);
/* The first one with these credentials; NULL: none has them. */
const struct conf_route *conf_route_with(const struct conf *, const char *credentials);

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
