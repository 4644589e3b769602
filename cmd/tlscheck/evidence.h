/*
 * evidence - what was found out about a destination, apart from any judgement: the facts of the DNS, and
 * what each connection showed.  check fills it from the network, offline from options, evidence_read()
 * from a file that evidence_put() wrote (tlscheck --save and --replay).  judge says what it is worth.
 *
 * The file is in the one line grammar of table.h; tlscheck(1) has its keys.  It may come from anybody:
 * every value is held against what lookup and contact could have written.
 */
#ifndef TLSCHECK_EVIDENCE_H
#define TLSCHECK_EVIDENCE_H

#include <stddef.h>
#include <stdint.h>

#include "facts.h"
#include "fail.h"
#include "policy.h"
#include "table.h"
#include "text.h"
#include "tls.h"

#define EVIDENCE_FILE_MAX (64UL * 1024 * 1024)	/* octets of a file */
#define EVIDENCE_DESTINATIONS_MAX 100000	/* in a file */
#define EVIDENCE_PEM_MAX (1024 * 1024)		/* octets of one chain in a file */
#define EVIDENCE_TEXT_MAX 8192			/* octets of a reply or a reason in a file */

#define WITHOUT_ADDR ((size_t)-1)

/* How far a connection was to go: what it did not try is not known. */
enum shown_asked {
	SHOWN_NOTHING,	/* none was made; text says why */
	SHOWN_CLEAR,	/* STARTTLS was not to be used */
	SHOWN_LAX,	/* STARTTLS with all that TLS_LAX allows */
	SHOWN_STRICT	/* STARTTLS with what TLS_STRICT allows */
};

/* One connection.  Everything is owned. */
struct shown {
	size_t host, addr;	/* indices into the facts; addr may be WITHOUT_ADDR */
	enum shown_asked asked;
	enum seen_end end;
	int greeted;		/* EHLO or HELO was accepted in clear text */
	int tls;		/* the handshake succeeded; info holds */
	char *text;		/* escaped; never NULL */
	char *fell_back;	/* why the handshake failed, where end tells of a second connection, in clear */
	char *banner, *ehlo, *starttls, *ehlo_tls;	/* replies, escaped; NULL: none */
	struct tls_info info;
	char *protocol, *cipher;	/* where info's are not static */
};

struct evidence {
	char *destination;	/* as it was asked for: "example.org", "[mx.example.org]" */
	int64_t time;		/* when it was gathered */
	uint16_t port;
	struct facts *facts;	/* NULL until they are known */
	enum dns_ill ill;	/* why nothing could be looked up; DNS_WELL: it was not that */
	char *ill_text;		/* in words; NULL where well */
	struct shown *shown;
	size_t nshown;
};

struct evidence *evidence_new(const char *destination, uint16_t port, int64_t now);
void evidence_free(struct evidence *);	/* NULL allowed */

/* A new one, valid until the next call. */
struct shown *evidence_add(struct evidence *, size_t host, size_t addr);
const struct shown *evidence_find(const struct evidence *, size_t host, size_t addr);

/* Words of the facts, in the file and in JSON: "found" "implicit" ... */
const char *evidence_mx_name(enum facts_mx);
const char *evidence_tlsa_name(enum facts_tlsa);
const char *evidence_sts_name(enum facts_sts);
const char *evidence_tlsrpt_name(enum facts_tlsrpt);
const char *evidence_ill_name(enum dns_ill);

/* ---- files ---- */

/* What a file begins with, then a destination's lines. */
void evidence_begin(struct buf *);
void evidence_put(struct buf *, const struct evidence *);

struct evidence_list {
	struct evidence **v;
	size_t n;
};

/*
 * Reads a file's text; file names it in errors, which go to the function, each with its line.  *list is set
 * anew; evidence_list_clear() frees.  Returns the number of errors; with any the list is empty.
 */
size_t evidence_read(const char *file, const char *text, size_t len, struct evidence_list *list,
    table_error_fn *, void *arg);
void evidence_list_clear(struct evidence_list *);

#endif
