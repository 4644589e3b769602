/*
 * access - who may do what: the lines of a listener's host table, and which of them is for a client.
 *
 * The most specific line decides, wherever it stands: an address by itself, then a host name, then the longest
 * ".domain", then the longest prefix of a network, then default.  A name counts only where it was confirmed
 * (names.h of the relay): whoever owns an address block may have its PTR records say anything.
 */
#ifndef MTATLS_ACCESS_H
#define MTATLS_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "cidr.h"
#include "fail.h"
#include "limit.h"
#include "smtp_server.h"
#include "text.h"

#define ACCESS_TEXT_MAX 400	/* octets of the text of a refusal: it goes into one reply line */

enum conf_action {
	CONF_ACCEPT,		/* mail for the listener's domains */
	CONF_RELAY,		/* mail for anywhere */
	CONF_REJECT,		/* 554 in the banner */
	CONF_TCPREFUSE		/* the connection is reset */
};

const char *conf_action_name(enum conf_action);

enum conf_client_cert {
	CONF_CLIENT_CERT_NO,		/* not asked for */
	CONF_CLIENT_CERT_PREFERRED,	/* asked for, and told in log and Received */
	CONF_CLIENT_CERT_REQUIRED	/* no mail without one that is verified */
};

const char *conf_client_cert_name(enum conf_client_cert);
int conf_client_cert_parse(const char *word, enum conf_client_cert *, struct fail *);

/* A line.  access_clear() frees what it holds. */
struct conf_hosts {
	char *name;		/* "mx.example", ".example"; NULL: a network, or default */
	struct cidr net;	/* bits -1: default, or a name */
	enum conf_action action;
	char *text;		/* of a refusal; NULL: ours */
	int tls;		/* enum smtp_server_tls_level; -1: as the listener, likewise below */
	int client_cert;	/* enum conf_client_cert */
	struct limits limits;
};

/* From the words behind the listener's name: pattern, action, options.  FAIL_INPUT; clear it all the same. */
int access_parse(struct conf_hosts *, char **word, size_t n, struct fail *);
void access_clear(struct conf_hosts *);

/* Two lines for the same clients. */
int access_same(const struct conf_hosts *, const struct conf_hosts *);

/* The line for a client; NULL: none fits.  name is the confirmed one in lower case; NULL: it has none. */
const struct conf_hosts *access_find(const struct conf_hosts *, size_t n, int family, const void *addr,
    const char *name);

/* Whether a name could change what was found for the address alone (which may be NULL). */
int access_wants_name(const struct conf_hosts *, size_t n, const struct conf_hosts *found);

/* "10.0.0.0/8", ".example" or "default", appended. */
void access_print_pattern(struct buf *, const struct conf_hosts *);

/* As -n has it: "10.0.0.0/8: relay, tls required, ...". */
void access_print(struct buf *, const struct conf_hosts *);

/* A domain, or ".domain", in A-labels; the caller frees.  NULL: FAIL_INPUT. */
char *access_domain(const char *word, struct fail *);

extern const char *const access_tls_names[];	/* of enum smtp_server_tls_level */
#define ACCESS_TLS_NAMES (SMTP_SERVER_TLS_REQUIRED + 1)

#endif
