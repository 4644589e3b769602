/*
 * dns - questions to the DNS, answered with a DNSSEC verdict of our own.
 *
 * libunbound validates against a trust anchor; the AD bit of a resolver is never believed.  Every
 * question has a deadline.  The callback runs exactly once, from the event loop and never before
 * dns_ask() has returned, unless the question is cancelled first.
 *
 * Sources: RFC 4035 4.3 (secure, insecure, bogus, indeterminate), RFC 7672 2.1 (what SMTP makes of
 * them), RFC 2308 (NODATA, NXDOMAIN), RFC 8499 (terms).
 */
#ifndef MTATLS_DNS_H
#define MTATLS_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "fail.h"

struct event_base;
struct dns;
struct dns_query;

#define DNS_RESOLVERS_MAX	8	/* forwarders in one configuration */
#define DNS_RRS_MAX		512	/* records kept of one answer */
#define DNS_ALIASES_MAX		16	/* CNAME steps followed in one answer */
#define DNS_TIMEOUT_DEFAULT	15000	/* milliseconds for one question */
#define DNS_ROOT_ANCHOR		"/usr/share/dns/root.key"	/* package dns-root-data */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_DNSKEY = 48,
	DNS_TLSA = 52
};

enum dns_sec {
	DNS_SECURE,	/* validated; what is absent is proven absent */
	DNS_INSECURE,	/* below an unsigned delegation */
	DNS_BOGUS,	/* should validate and does not */
	DNS_FAILED	/* no answer: server failure, refusal, timeout */
};

const char *dns_sec_name(enum dns_sec);		/* "secure" ... */
const char *dns_type_name(enum dns_type);	/* "MX" ... */

enum dns_got {
	DNS_DATA,	/* records, even where none of them could be kept */
	DNS_NODATA,
	DNS_NXDOMAIN
};

struct dns_rr {
	uint16_t preference;	/* MX */
	char *name;		/* MX, NS, CNAME, PTR, SOA (the primary): lower case, no final dot; the root
				 * is "." */
	uint8_t *data;		/* A, AAAA, TLSA, DNSKEY, SOA: rdata, names in it uncompressed; TXT: the
				 * strings joined */
	size_t len;
};

/* An answer; valid during the callback only, unless taken with dns_answer_copy(). */
struct dns_answer {
	char *qname;
	enum dns_type qtype;
	enum dns_sec sec;
	enum dns_got got;	/* what was found; nothing where sec is BOGUS or FAILED */
	char *why;		/* BOGUS or FAILED: in words; else NULL */
	char *canonical;	/* the name behind the aliases; qname where there is none */
	unsigned aliases;	/* how many CNAME steps led there */
	uint32_t ttl;		/* seconds, the least of the records and aliases; of nothing: RFC 2308 5, else 0 */
	struct dns_rr *rr;
	size_t n;
	size_t left_out;	/* records beyond DNS_RRS_MAX */
};

typedef void dns_fn(void *arg, const struct dns_answer *);

#define DNS_ANCHOR_MAX (1024 * 1024)	/* octets of a file of trust anchors */

struct dns_conf {
	const char *anchor;	/* file of DS or DNSKEY records; NULL: DNS_ROOT_ANCHOR */
	const char
	    *resolver; /* "ADDR@PORT[,...]", "recursive"; NULL: servers of /etc/resolv.conf */
	const char *root_hints;	/* file for "recursive"; NULL: libunbound's own */
	int timeout_ms;		/* for each question; 0: DNS_TIMEOUT_DEFAULT */
};

/* Is there a trust anchor in the file?  FAIL_SYS, FAIL_INPUT; dns_new() asks the same. */
int dns_check_anchor(const char *path, struct fail *);

/*
 * A context on an event loop; costs about 3 MiB.  Make it in the process that asks (never fork with
 * one).  FAIL_SYS or FAIL_INPUT names the file or address that cannot be used.
 */
struct dns *dns_new(struct event_base *, const struct dns_conf *, struct fail *);
void dns_free(struct dns *);	/* cancels what is under way */

/*
 * Asks.  The name is made of A-labels; an impossible one is answered DNS_FAILED.  The query belongs
 * to the context and is gone once its callback has run.
 */
struct dns_query *dns_ask(struct dns *, const char *name, enum dns_type, dns_fn *, void *arg);
/*
 * The same through a context without an anchor: nothing is validated, a DATA, NODATA or NXDOMAIN is as the resolver has
 * it, and at best DNS_INSECURE.  For diagnosis only.  NULL where no context can be had: no callback then.
 */
struct dns_query *dns_ask_plain(struct dns *, const char *name, enum dns_type, dns_fn *, void *arg);
void dns_cancel(struct dns_query *);	/* NULL is allowed; the callback will not run */

struct dns_answer *dns_answer_copy(const struct dns_answer *);
void dns_answer_free(struct dns_answer *);

/* Why nothing validates: found by asking the same resolver for the root's keys without validation.
 */
enum dns_ill {
	DNS_WELL,	/* the root validates: the fault is further down */
	DNS_DOWN,	/* no answer at all */
	DNS_STRIPS,	/* answers come without DNSSEC records */
	DNS_ANCHOR,	/* the anchor matches no key of the root */
	DNS_CLOCK	/* the root's signatures are not valid at this machine's time */
};

typedef void dns_ill_fn(void *arg, enum dns_ill, const char *text);

/* Runs the callback once with the diagnosis and a sentence about it (valid during the call). */
void dns_diagnose(struct dns *, dns_ill_fn *, void *arg);

#endif
