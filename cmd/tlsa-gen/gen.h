/*
 * tlsa-gen's parts and what goes between them.
 *
 *	options.c	the command line -> struct job
 *	input.c		an identity or a file -> struct source;  connect.c: a live host likewise
 *	record.c	source -> records, owners, and what is to be said against them
 *	output.c	records -> stdout
 *	step.c		questions that go out together;  zone.c: the zone of a name
 *	survey.c	owners -> their zones and servers, and what each of these answers
 *	published.c	--check-published;  deploy.c: --safe-to-deploy;  seen.c: what it has to remember
 *	update.c	--update: RFC 2136
 */
#ifndef TLSA_GEN_H
#define TLSA_GEN_H

#include <sys/socket.h>

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cert.h"
#include "dns.h"
#include "fail.h"
#include "json.h"
#include "text.h"
#include "tlsa.h"
#include "tool.h"

#define PORT_DEFAULT 25
#define TTL_DEFAULT 3600	/* seconds; an update must say one */
#define TTL_MAX 2147483647	/* RFC 2181 8 */
#define OWNERS_MAX 1000		/* --owner options */
#define SERVERS_MAX 16		/* --server options */
#define NUMBERS_MAX 4		/* values of -u, -s or -m */
#define TIMEOUT_DEFAULT 15000	/* milliseconds */

enum form { FORM_ZONE, FORM_GENERIC, FORM_NSUPDATE, FORM_RDATA, FORM_JSON };
enum task { TASK_PRINT, TASK_CHECK, TASK_DEPLOY, TASK_UPDATE };

/* One of the three numbers of a record, perhaps several of them. */
struct numbers {
	uint8_t v[NUMBERS_MAX];
	size_t n;
};

struct job {
	const char *dir, *input, *name, *proto;
	struct endpoint connect;	/* host "": none */
	int starttls;			/* 1, 0; -1: as the port says */
	struct numbers usage, selector, mtype;
	uint16_t port;
	long long ttl;			/* -1: none given */
	enum form form;
	enum task task;
	int next;			/* the next key's records too */
	char **owner;			/* in full, with the trailing dot */
	size_t nowner;

	struct dns_conf dns;
	struct endpoint server[SERVERS_MAX];
	size_t nserver;
	const char *zone, *key_file;	/* --update */
	int add;			/* keep what is there */
	const char *deploy;		/* --safe-to-deploy's file */
	int64_t since;			/* -1: not given */
};

void options_read(struct job *, int argc, char **argv);	/* exits where they are wrong */
void options_clear(struct job *);

/* What the records are to be made of: a certificate with its chain, or a public key. */
struct source {
	const char *what;	/* the file, the identity or the host, for talk */
	X509 *leaf;
	STACK_OF(X509) *chain;	/* without the leaf; may be NULL */
	EVP_PKEY *key;		/* where there is no certificate */
	EVP_PKEY *next;		/* that is to follow; NULL: none, or not asked for */
	int sent;		/* the chain is what the server sends: nothing is missing in it */
	struct cert_names names;
};

int input_read(const struct job *, struct source *, struct fail *);
int connect_read(const struct job *, struct source *, struct fail *);
void source_clear(struct source *);

#define WARNINGS_MAX 4

struct record {
	struct tlsa tlsa;
	const char *of;				/* "current" or "next" */
	const char *warning[WARNINGS_MAX];	/* static texts */
	size_t nwarning;
};

struct records {
	struct record *v;
	size_t n;
};

/* Makes them, and says on stderr what is to be said against them. */
int records_make(const struct job *, const struct source *, struct records *, struct fail *);
void records_clear(struct records *);

/* Where --owner was not given: from the names of the certificate; what cannot have a record is named. */
int owners_find(struct job *, const struct source *, struct fail *);
int owners_add(struct job *, char *owner, struct fail *);

int output_print(const struct job *, const struct records *, struct fail *);

/* ---- the DNS ---- */

struct event_base;

/* A step: questions that go out together, and the wait for all of them. */
struct step {
	struct event_base *base;
	struct dns *dns;	/* NULL: not opened */
	int timeout_ms;
	size_t waiting;
};

int step_open(struct step *, const struct job *, struct fail *);
void step_close(struct step *);
void step_wait(struct step *);
/* *out is set by step_wait(); the caller frees. */
void step_ask(struct step *, const char *name, enum dns_type, struct dns_answer **out);

#define STEP_ADDRESSES_MAX 16	/* addresses of one host */

/* The addresses of a host, or itself where it is one.  Asked for, then after step_wait() taken: at most
 * STEP_ADDRESSES_MAX; 0: none, and why (FAIL_TEMP, FAIL_INPUT). */
struct addresses {
	const char *host;
	struct dns_answer *v4, *v6;
};

void addresses_ask(struct step *, const char *host, struct addresses *);
size_t addresses_take(struct addresses *, uint16_t port, struct endpoint *, struct fail *);

/* An address literal and its port as a socket address. */
socklen_t endpoint_sockaddr(const struct endpoint *, struct sockaddr_storage *);

#define ZONE_SERVERS_MAX 64	/* addresses asked for one zone */

enum said {
	SAID_NOTHING,	/* no answer came */
	SAID_NO_ROUTE,	/* this machine cannot reach such addresses (IPv6) */
	SAID_ERROR,	/* not authoritative, refused, failed */
	SAID_UNSIGNED,	/* in a signed zone: no signature over it that holds */
	SAID_RECORDS	/* an authoritative answer: records, perhaps none */
};

/* What one server says of one owner. */
struct answer {
	enum said said;
	char *why;		/* in words; NULL with SAID_RECORDS */
	struct tlsa *tlsa;
	size_t n, left_out;
	uint32_t ttl;		/* of the records; of an absence the longest that it may last (RFC 2308 5) */
};

struct server {
	char *name;
	struct endpoint at;	/* an address literal; "" where why says why there is none */
	char *why;
};

struct zone {
	char *name;
	struct dns_answer *keys, *soa;
	char *why;		/* NULL; else why its servers cannot be found */
	struct server *server;
	size_t nserver;
	int left_out;		/* servers beyond ZONE_SERVERS_MAX */
};

/* One owner: what the validating resolver says, and each server. */
struct place {
	const char *owner;		/* of the job */
	char *name;			/* where its records stand: behind aliases */
	struct dns_answer *resolver;
	struct tlsa *tlsa;		/* the resolver's */
	size_t ntlsa;
	const struct zone *zone;	/* NULL: not found, and why */
	char *why;
	struct answer *answer;		/* as zone->server */
};

struct survey {
	struct place *place;	/* as the job's owners */
	size_t n;
	struct zone **zone;
	size_t nzone;
};

/* Asks for all owners.  What could not be asked is in the result; FAIL_* only where nothing can be. */
int survey_make(const struct job *, struct survey *, struct fail *);
void survey_clear(struct survey *);
void answer_clear(struct answer *);

/* For how long the zone lets an absence be kept: at most the SOA's minimum (RFC 2308 5). */
uint32_t zone_negative_ttl(const struct zone *);

/* What the two commands that judge a survey tell alike. */
enum tool_exit place_security(const struct place *);	/* YES where validated */
void place_print_security(const struct place *);
void server_print(const struct server *);
json_t *place_json(const struct place *);
json_t *server_json(const struct place *, size_t which);

/* All servers of an owner: YES where each answers with what the function takes, NO where one does not, UNSURE where
 * one could not be asked; in this order: NO, UNSURE, YES. */
typedef int answer_fn(const void *arg, const struct place *, const struct answer *);
enum tool_exit place_judge_servers(const struct place *, answer_fn *, const void *arg);

/* What a server said of a name; now: seconds since 1970.  *out is set anew. */
void answer_read(const struct zone *, const char *name, const uint8_t *, size_t, int64_t now, struct answer *out);

/* Finds zones: by the resolver or, where one is given, by this server.  Each tail of a name is asked once. */
struct finder {
	struct step *step;
	const struct endpoint *server;
	struct known {
		char *name;
		struct dns_answer *answer;
	} **v;
	size_t n;
};

void finder_ask(struct finder *, const char *name);	/* so that many are asked at once */

/* The SOA record of the name's zone: qname is the zone's.  Borrowed; NULL: FAIL_TEMP, FAIL_POLICY. */
const struct dns_answer *finder_zone0(struct finder *, const char *name, struct fail *);
void finder_clear(struct finder *);

/* *reply or *f is set by step_wait(). */
void step_send(struct step *, const struct endpoint *, const struct buf *msg, unsigned flags, struct buf *reply,
    struct fail *f);

/* Sends to a server, waits, and appends the answer.  FAIL_TEMP, FAIL_SYS: the server is named. */
int step_exchange(struct step *, const struct endpoint *, const struct buf *msg, unsigned flags, struct buf *out,
    struct fail *);

enum tool_exit published_check(const struct job *, const struct source *, const struct records *);
enum tool_exit deploy_check(const struct job *, const struct source *);
enum tool_exit update_send(const struct job *, const struct records *);

/* ---- what --safe-to-deploy remembers, in DIR/tlsa-seen ---- */

struct seen;

struct seen *seen_open(const char *dir, struct fail *);	/* locked until seen_free() */
void seen_free(struct seen *);

/* When this record was first found at all servers; 0: it was not. */
int64_t seen_first(const struct seen *, const char *owner, const char *rdata);
void seen_set_first(struct seen *, const char *owner, const char *rdata, int64_t);
/* Those of the owner's records that the function is true of. */
void seen_forget(struct seen *, const char *owner, int (*is_gone)(void *, const char *rdata), void *arg);

/* The longest time to live found there since it was forgotten. */
uint32_t seen_ttl(const struct seen *, const char *owner);
void seen_set_ttl(struct seen *, const char *owner, uint32_t);

int seen_save(struct seen *, struct fail *);

#endif
