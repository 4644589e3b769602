/*
 * facts - what the DNS says of a destination, as plain data: policy's only input besides the
 * settings.  Filled by lookup from the network, by tests from tables.
 *
 * Sources: RFC 5321 5.1 (MX and implicit MX), RFC 7505 (null MX), RFC 7672 2.2 (which names are
 * asked for TLSA records), RFC 7671 7 (aliases), RFC 8461 (MTA-STS).  Names are A-labels in lower case
 * without a final dot.  Everything is owned by struct facts; facts_free() frees it.
 */
#ifndef MTATLS_FACTS_H
#define MTATLS_FACTS_H

#include <netinet/in.h>

#include <stddef.h>
#include <stdint.h>

#include "dns.h"
#include "sts.h"
#include "tlsa.h"
#include "tlsrpt.h"

#define FACTS_HOSTS_MAX 64	/* MX hosts looked at; more are left out and counted */
#define FACTS_ADDRS_MAX 32	/* addresses of one host */

enum facts_mx {
	FACTS_MX_FOUND,
	FACTS_MX_IMPLICIT, /* no MX: the domain itself is the host (RFC 5321 5.1) */
	FACTS_MX_LOCAL,	   /* [host]: named by the user, nothing was looked up; counts as secure */
	FACTS_MX_NULL,	   /* "MX 0 .": the domain takes no mail (RFC 7505) */
	FACTS_MX_NODOMAIN, /* the domain does not exist */
	FACTS_MX_FAILED	   /* bogus, or no answer */
};

enum facts_addrs {
	FACTS_ADDRS_FOUND,	/* at least one, secure or insecure */
	FACTS_ADDRS_NONE,	/* the host has none, or does not exist, or has no host's name */
	FACTS_ADDRS_FAILED	/* bogus, or no answer, and no other family has one */
};

enum facts_tlsa {
	FACTS_TLSA_NOT_ASKED, /* the policy has no use for them, or there is no address */
	FACTS_TLSA_NO_NAME,   /* the host is an address: there is no name to look below */
	FACTS_TLSA_UNSIGNED,  /* not asked: the address is insecure, and so is the alias, if any */
	FACTS_TLSA_ABSENT,	/* proven absent, or no name to look below */
	FACTS_TLSA_INSECURE,  /* answered, without DNSSEC */
	FACTS_TLSA_FOUND,     /* secure; usable or not */
	FACTS_TLSA_FAILED     /* bogus, or no answer */
};

/* RFC 8461: what is known of the domain's MTA-STS policy. */
enum facts_sts {
	FACTS_STS_NOT_ASKED,
	FACTS_STS_NONE,		/* no record (sts_why is NULL), or none could be had and none was kept (it says why) */
	FACTS_STS_FOUND		/* sts holds; fetched now, or kept from before */
};

/* Of a policy that is published and cannot be had, none being kept: what is wrong, as RFC 8460 4.3 tells it. */
enum facts_sts_fault {
	FACTS_STS_WELL,		/* nothing, or it is not known whether there is one */
	FACTS_STS_UNFETCHED,	/* the policy host does not give it */
	FACTS_STS_UNTRUSTED,	/* that host's certificate */
	FACTS_STS_INVALID	/* its text, or the record */
};

/* RFC 8460: where the domain wants reports. */
enum facts_tlsrpt {
	FACTS_TLSRPT_NOT_ASKED,
	FACTS_TLSRPT_NONE,	/* no record, or no valid one: tlsrpt_why says what is wrong with it, else NULL */
	FACTS_TLSRPT_FOUND,
	FACTS_TLSRPT_FAILED	/* bogus, or no answer: tlsrpt_why */
};

/* What is spoken there. */
enum facts_protocol {
	FACTS_SMTP,
	FACTS_SMTPS,	/* TLS from the first octet (RFC 8314 3.3) */
	FACTS_LMTP	/* RFC 2033 */
};

struct facts_addr {
	int family;		/* AF_INET, AF_INET6, or AF_UNIX: the host's path */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} ip;
	int own;		/* a listener of the relay that asks: connecting there is a loop */
};

struct facts_host {
	char *name;		/* as the MX record has it */
	uint16_t preference;
	uint16_t port;		/* its own; 0: that of the destination */
	enum facts_protocol protocol;
	char *path;		/* of a unix socket, which is all that the host is; else NULL */
	enum facts_addrs addrs;
	char *addrs_why;	/* NONE or FAILED, or a family that was left out: in words */
	enum dns_sec addrs_sec;	/* SECURE or INSECURE where FOUND */
	struct facts_addr *addr;
	size_t naddr;
	char *canonical;	/* the name behind the aliases; equals name where there is none */
	enum facts_tlsa tlsa_state;
	char *tlsa_base;	/* whose records these are (RFC 7672 2.2.3); NULL where none */
	char *tlsa_why;		/* FAILED: in words; else NULL */
	int own;		/* named as the relay that asks is */
	struct tlsa *tlsa;
	size_t ntlsa;
	size_t tlsa_damaged;	/* records too short to be one: left out */
	int tcp_denied;	/* "_tcp.BASE" is answered NXDOMAIN, as if nothing were below it (RFC 8020 2) */
};

struct facts {
	char *domain;
	char *recipient;	/* whose mail it is, where a route leads to [host]; else NULL */
	enum facts_mx mx;
	enum dns_sec mx_sec;	/* of the MX answer; SECURE for LOCAL */
	char *mx_why;		/* FAILED: in words */
	char *mx_canonical;	/* the domain behind its aliases; NULL where it is none */
	struct facts_host *host;	/* in the order of preference */
	size_t nhost;
	size_t hosts_left_out;	/* beyond FACTS_HOSTS_MAX: nothing is known of them */
	size_t addrs_left_out;	/* addresses that are not looked at, of all hosts */
	enum facts_sts sts_state;
	enum facts_sts_fault sts_fault;	/* NONE */
	char *sts_why;		/* NONE with a record, or FOUND where the kept one stands in: in words; else NULL */
	char *sts_id;		/* of the record; NULL where there is none */
	int64_t sts_fetched;	/* FOUND: when it was fetched, seconds since 1970 */
	struct sts_policy sts;
	enum facts_tlsrpt tlsrpt_state;
	char *tlsrpt_why;
	struct tlsrpt tlsrpt;
	uint32_t ttl;		/* seconds, the least of all answers about MX, addresses, TLSA, MTA-STS: 0 where one is missing */
};

#define FACTS_TTL_NONE UINT32_MAX	/* nothing was asked */

struct facts *facts_new(const char *domain);
void facts_free(struct facts *);	/* NULL is allowed */

/* A new host at the end; valid until the next call.  NULL where FACTS_HOSTS_MAX is reached. */
struct facts_host *facts_add_host(struct facts *, const char *name, uint16_t preference);

/* The texts of an answer to a TXT question, borrowed; the array of a->n is the caller's to free. */
struct txtrec *facts_txtrecs(const struct dns_answer *);

/* Stable order by preference. */
void facts_sort(struct facts *);

/*
 * Names besides the TLSA base domain that a certificate below a usage 2 record may bear (RFC 7672
 * 3.2.2): those that follow from the destination securely.  Borrowed; returns how many.
 */
#define FACTS_NAMES_MAX 3
size_t facts_reference_names(const struct facts *, const struct facts_host *,
    const char *names[FACTS_NAMES_MAX]);

/* The address as a socket wants it, of AF_INET and AF_INET6; returns the length. */
socklen_t facts_sockaddr(const struct facts_addr *, uint16_t port, struct sockaddr_storage *);

/* The port of a host whose destination has that one. */
uint16_t facts_port(const struct facts_host *, uint16_t port);

const char *facts_protocol_name(enum facts_protocol);	/* "smtp", "smtps", "lmtp" */

/*
 * Whether the address leads to no other host, in a word: "loopback", "unspecified", "link-local",
 * "multicast", "broadcast" (RFC 6890 2.2; IPv4 in IPv6 likewise); NULL where it may be one of the
 * internet or of a private network.
 */
const char *facts_addr_special(const struct facts_addr *);

/* Text of an address, as inet_ntop(3) writes it; "socket" for AF_UNIX. */
const char *facts_addr_text(const struct facts_addr *, char dst[INET6_ADDRSTRLEN]);

#endif
