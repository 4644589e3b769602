/*
 * --update: the records by dynamic update (RFC 2136), signed with TSIG.
 *
 * Of each owner the server is asked what is there; the update says so as its prerequisite, so that it replaces
 * exactly that or nothing, and another's change in between is not lost but makes us look again.  No alias may be
 * there: a server takes records beside one without a word and drops them (RFC 2136 3.4.2.2).  Updates go over
 * TCP, for one that is sent twice would fail on its own success.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "alloc.h"
#include "dns_direct.h"
#include "dns_msg.h"
#include "file.h"
#include "gen.h"
#include "log.h"
#include "name.h"
#include "tsig.h"

#define TRIES 10		/* where others change the same records */
#define MESSAGE_ROOM 48000	/* octets, then another message: each owner's change is whole */

/* What is to be done at one owner. */
struct change {
	const char *owner;
	char *zone, *primary;
	struct answer now;
	struct tlsa *want;
	size_t nwant, added, removed;
	uint32_t ttl;
	int needed, done;
};

struct update {
	const struct job *job;
	const struct records *records;
	struct step step;
	struct tsig_key key;
	int signs;
	struct change *v;
	size_t n;
};

/* ---- zones and what is there ---- */

static int
is_below(const char *owner, const char *zone)
{
	size_t o = strlen(owner), z = strlen(zone);

	if (o > 0 && owner[o - 1] == '.')
		o--;
	return o >= z && strncmp(owner + o - z, zone, z) == 0 && (o == z || owner[o - z - 1] == '.');
}

/* --zone spares the search for the zone, not the one for its primary. */
static int
find_zone(struct update *u, struct finder *finder, const char *zone, struct change *c, struct fail *f)
{
	const struct dns_answer *soa;

	if (zone != NULL && !is_below(c->owner, zone))
		return fail(f, FAIL_INPUT, "%.260s: not in the zone %.260s", c->owner, zone);
	if (zone != NULL && u->job->nserver > 0) {
		c->zone = xstrdup(zone);
		return 0;
	}
	if ((soa = finder_zone0(finder, zone != NULL ? zone : c->owner, f)) == NULL)
		return -1;
	if (zone != NULL && strcmp(soa->qname, zone) != 0)
		return fail(f, FAIL_POLICY, "%.260s: no zone; the zone is %.260s", zone, soa->qname);
	c->zone = xstrdup(soa->qname);
	c->primary = xstrdup(soa->rr[0].name);
	return 0;
}

static int
find_zones(struct update *u, const struct endpoint *server, struct fail *f)
{
	struct finder finder = { .step = &u->step, .server = server };
	char *zone = NULL;
	size_t i;
	int rc = 0;

	if (u->job->zone != NULL && (zone = name_to_ascii(u->job->zone, f)) == NULL)
		return fail_prefix(f, "--zone");
	for (i = 0; i < u->n && rc == 0; i++)
		rc = find_zone(u, &finder, zone, &u->v[i], f);
	finder_clear(&finder);
	free(zone);
	return rc;
}

static int
read_now(struct update *u, const struct endpoint *server, struct change *c, struct fail *f)
{
	struct buf msg = BUF_INIT, reply = BUF_INIT;
	struct zone plain = { .name = c->zone };
	int rc = -1;

	answer_clear(&c->now);
	if (dns_msg_query(&msg, c->owner, DNS_TLSA, f) == 0 &&
	    step_exchange(&u->step, server, &msg, 0, &reply, f) == 0) {
		answer_read(&plain, c->owner, (uint8_t *)reply.p, reply.len, 0, &c->now);
		if (c->now.said == SAID_RECORDS && c->now.left_out == 0)
			rc = 0;
		else
			fail(f, FAIL_POLICY, "%.260s: %s@%u: %s", c->owner, server->host, server->port,
			    c->now.why != NULL ? c->now.why : "more records than can be replaced");
	}
	buf_clear(&msg);
	buf_clear(&reply);
	return rc;
}

static int
holds(const struct tlsa *list, size_t n, const struct tlsa *t)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (tlsa_equal(&list[i], t))
			return 1;
	return 0;
}

/* The set as it is to be: ours, and with --add what is there. */
static void
plan(const struct update *u, struct change *c)
{
	const struct answer *now = &c->now;
	size_t i;

	free(c->want);
	c->want = xcalloc(u->records->n + now->n, sizeof *c->want);
	c->nwant = c->added = c->removed = 0;
	for (i = 0; i < u->records->n; i++) {
		const struct tlsa *t = &u->records->v[i].tlsa;

		if (holds(c->want, c->nwant, t))
			continue;
		c->want[c->nwant++] = *t;	/* borrowed */
		c->added += !holds(now->tlsa, now->n, t);
	}
	for (i = 0; i < now->n; i++)
		if (!holds(c->want, c->nwant, &now->tlsa[i])) {
			if (u->job->add)
				c->want[c->nwant++] = now->tlsa[i];
			else
				c->removed++;
		}
	c->ttl = u->job->ttl >= 0 ? u->job->ttl : now->n > 0 ? now->ttl : TTL_DEFAULT;
	c->needed = c->added > 0 || c->removed > 0 || (now->n > 0 && now->ttl != c->ttl);
}

/* ---- the message ---- */

struct message {
	struct buf prerequisites, changes;
	unsigned nprerequisites, nchanges;
};

static int
put(struct buf *b, unsigned *n, const char *owner, unsigned type, unsigned class, uint32_t ttl,
    const struct tlsa *t, struct fail *f)
{
	struct buf rdata = BUF_INIT;
	int rc;

	if (t != NULL) {
		buf_putc(&rdata, t->usage);
		buf_putc(&rdata, t->selector);
		buf_putc(&rdata, t->mtype);
		buf_add(&rdata, t->data, t->len);
	}
	rc = dns_msg_put_rr(b, owner, type, class, ttl, rdata.p, rdata.len, f);
	buf_clear(&rdata);
	(*n)++;
	return rc;
}

/* RFC 2136 2.4: no alias there, and the records exactly as we saw them, or none. */
static int
put_prerequisites(struct message *m, const struct change *c, struct fail *f)
{
	size_t i;

	if (put(&m->prerequisites, &m->nprerequisites, c->owner, DNS_CNAME, DNS_CLASS_NONE, 0, NULL, f) == -1)
		return -1;
	if (c->now.n == 0)
		return put(&m->prerequisites, &m->nprerequisites, c->owner, DNS_TLSA, DNS_CLASS_NONE, 0, NULL, f);
	for (i = 0; i < c->now.n; i++)
		if (put(&m->prerequisites, &m->nprerequisites, c->owner, DNS_TLSA, DNS_CLASS_IN, 0, &c->now.tlsa[i],
		    f) == -1)
			return -1;
	return 0;
}

/* RFC 2136 2.5.2 and 2.5.1: all go, then ours come; one message is done whole or not at all. */
static int
put_changes(struct message *m, const struct change *c, struct fail *f)
{
	size_t i;

	if (put(&m->changes, &m->nchanges, c->owner, DNS_TLSA, DNS_CLASS_ANY, 0, NULL, f) == -1)
		return -1;
	for (i = 0; i < c->nwant; i++)
		if (put(&m->changes, &m->nchanges, c->owner, DNS_TLSA, DNS_CLASS_IN, c->ttl, &c->want[i], f) == -1)
			return -1;
	return 0;
}

static int
finish_message(const struct message *m, const char *zone, struct buf *out, struct fail *f)
{
	struct dns_msg_head h = { .flags = DNS_OP_UPDATE << 11,
		.count = { 1, m->nprerequisites, m->nchanges, 0 } };

	if (RAND_bytes((unsigned char *)&h.id, sizeof h.id) != 1)
		return fail(f, FAIL_SYS, "no random numbers");
	dns_msg_put_head(out, &h);
	if (dns_msg_put_name(out, zone, f) == -1)
		return -1;
	dns_msg_put16(out, DNS_SOA);
	dns_msg_put16(out, DNS_CLASS_IN);
	buf_add(out, m->prerequisites.p, m->prerequisites.len);
	buf_add(out, m->changes.p, m->changes.len);
	if (out->len > DNS_MSG_MAX - 1024)
		return fail(f, FAIL_INPUT, "the records are too many or too large for one update");
	return 0;
}

/* ---- the answer ---- */

#define RCODE_SERVFAIL 2
#define RCODE_REFUSED 5
#define RCODE_YXDOMAIN 6
#define RCODE_NXRRSET 8
#define RCODE_NOTAUTH 9

static int
explain_tsig(const struct update *u, const struct tsig_said *said, struct fail *f)
{
	char here[TEXT_TIME_MAX], there[TEXT_TIME_MAX];

	switch (said->error) {
	case TSIG_BADKEY:
		return fail(f, FAIL_POLICY, "BADKEY: the server does not know the key \"%s\" with %s", u->key.name,
		    u->key.algorithm);
	case TSIG_BADSIG:
		return fail(f, FAIL_POLICY, "BADSIG: the server has another secret or algorithm for the key \"%s\"",
		    u->key.name);
	case TSIG_BADTIME:
		return fail(f, FAIL_POLICY, "BADTIME: the clocks differ: %s here, %s at the server",
		    text_time(here, time(NULL)),
		    said->server_time != 0 ? text_time(there, said->server_time) : "another");
	default:
		return fail(f, FAIL_POLICY, "the server refuses the signature with TSIG error %u", said->error);
	}
}

static int
explain_rcode(const struct update *u, unsigned rcode, const char *zone, struct fail *f)
{
	char buf[16];
	const char *name = dns_msg_rcode_name(rcode, buf);

	if (rcode == RCODE_REFUSED)
		return fail(f, FAIL_POLICY, "REFUSED: the server does not let %s%.260s change these records",
		    u->signs ? "the key " : "requests without a key", u->signs ? u->key.name : "");
	if (rcode == RCODE_NOTAUTH)
		return fail(f, FAIL_POLICY, "NOTAUTH: the server is not the primary of the zone %.260s", zone);
	if (rcode == RCODE_SERVFAIL)
		return fail(f, FAIL_TEMP, "SERVFAIL: the server could not do it; its log says why");
	if (rcode >= RCODE_YXDOMAIN && rcode <= RCODE_NXRRSET)
		return fail(f, FAIL_TEMP, "%s: the records were changed by others meanwhile", name);
	return fail(f, FAIL_POLICY, "the server answers %s", name);
}

/* *again is set where somebody else was faster. */
static int
judge_answer(const struct update *u, const char *zone, const struct buf *reply, const struct tsig_mac *mac,
    int *again, struct fail *f)
{
	const uint8_t *p = (uint8_t *)reply->p;
	struct dns_msg_head h;
	struct tsig_said said = { .there = 0 };
	unsigned rcode;
	int held = 0;

	if (dns_msg_get_head(p, reply->len, &h, f) == -1)
		return -1;
	rcode = dns_msg_rcode(h.flags);
	if (u->signs)
		held = tsig_verify(&u->key, p, reply->len, mac, time(NULL), &said, f) == 0;
	if (said.error != 0)
		return explain_tsig(u, &said, f);
	if (u->signs && !held && rcode == 0)
		return fail_prefix(f, "done, says the server, but it cannot be believed");
	*again = rcode >= RCODE_YXDOMAIN && rcode <= RCODE_NXRRSET;
	return rcode == 0 ? 0 : explain_rcode(u, rcode, zone, f);
}

static int
send_message(struct update *u, const struct endpoint *server, const struct message *m, const char *zone, int *again,
    struct fail *f)
{
	struct buf msg = BUF_INIT, reply = BUF_INIT;
	struct tsig_mac mac;
	int rc = -1;

	if (finish_message(m, zone, &msg, f) == 0 &&
	    (!u->signs || tsig_sign(&u->key, &msg, time(NULL), &mac, f) == 0) &&
	    step_exchange(&u->step, server, &msg, DNS_DIRECT_TCP, &reply, f) == 0 &&
	    (rc = judge_answer(u, zone, &reply, &mac, again, f)) == -1)
		fail_prefix(f, "%s@%u", server->host, server->port);
	buf_clear(&msg);
	buf_clear(&reply);
	return rc;
}

/* ---- one zone after the other ---- */

/* From the first owner that is not done on, those of its zone, as many as one message holds. */
static int
fill(struct update *u, const struct endpoint *server, struct message *m, size_t first, struct fail *f)
{
	size_t i;

	for (i = first; i < u->n; i++) {
		struct change *c = &u->v[i];

		if (c->done || strcmp(c->zone, u->v[first].zone) != 0)
			continue;
		if (m->prerequisites.len + m->changes.len > MESSAGE_ROOM)
			break;
		if (read_now(u, server, c, f) == -1)
			return -1;
		plan(u, c);
		c->done = -1;	/* with this message */
		if (c->needed && (put_prerequisites(m, c, f) == -1 || put_changes(m, c, f) == -1))
			return -1;
	}
	return 0;
}

static void
settle(struct update *u, int done)
{
	size_t i;

	for (i = 0; i < u->n; i++)
		if (u->v[i].done == -1)
			u->v[i].done = done;
}

static int
update_some(struct update *u, const struct endpoint *server, size_t first, struct fail *f)
{
	int tries = 0, again, rc;

	do {
		struct message m = { .nchanges = 0 };

		again = 0;
		if ((rc = fill(u, server, &m, first, f)) == 0 && m.nchanges > 0)
			rc = send_message(u, server, &m, u->v[first].zone, &again, f);
		buf_clear(&m.prerequisites);
		buf_clear(&m.changes);
		settle(u, rc == 0);
	} while (again && ++tries < TRIES);
	return rc;
}

/* The first of its addresses that answers. */
static int
find_server(struct update *u, const struct change *c, struct endpoint *out, struct fail *f)
{
	const char *host = u->job->nserver > 0 ? u->job->server[0].host : c->primary;
	uint16_t port = u->job->nserver > 0 ? u->job->server[0].port : 53;
	struct endpoint at[STEP_ADDRESSES_MAX];
	struct buf msg = BUF_INIT, reply = BUF_INIT;
	struct addresses a;
	size_t n, i;
	int rc = -1;

	addresses_ask(&u->step, host, &a);
	step_wait(&u->step);
	n = addresses_take(&a, port, at, f);
	if (n > 0 && dns_msg_query(&msg, c->zone, DNS_SOA, f) == 0)
		for (i = 0; i < n && rc == -1; i++)
			if ((rc = step_exchange(&u->step, &at[i], &msg, 0, &reply, f)) == 0)
				*out = at[i];
	buf_clear(&msg);
	buf_clear(&reply);
	return rc;
}

static int
update_all(struct update *u, struct fail *f)
{
	struct endpoint server = { .port = 0 };
	const char *zone = NULL;
	size_t i;

	if (u->job->nserver > 0) {
		struct change any = { .zone = (char *)"." };

		if (find_server(u, &any, &server, f) == -1 || find_zones(u, &server, f) == -1)
			return -1;
	} else if (find_zones(u, NULL, f) == -1)
		return -1;
	for (i = 0; i < u->n; i++) {
		if (u->v[i].done)
			continue;
		if (u->job->nserver == 0 && (zone == NULL || strcmp(zone, u->v[i].zone) != 0) &&
		    find_server(u, &u->v[i], &server, f) == -1)
			return -1;
		zone = u->v[i].zone;
		if (update_some(u, &server, i, f) == -1)
			return -1;
	}
	return 0;
}

/* ---- telling ---- */

static int
print_change(const struct update *u, const struct change *c, struct fail *f)
{
	json_t *o;
	int rc;

	if (u->job->form != FORM_JSON) {
		if (c->needed)
			printf("%s: %zu added, %zu removed, ttl %u\n", c->owner, c->added, c->removed, c->ttl);
		else
			printf("%s: unchanged\n", c->owner);
		return 0;
	}
	o = json_object();
	json_set_str(o, "owner", c->owner);
	json_set_str(o, "zone", c->zone);
	json_set_int(o, "added", c->added);
	json_set_int(o, "removed", c->removed);
	json_set_int(o, "ttl", c->ttl);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

static enum tool_exit
tell(const struct update *u, enum tool_exit status)
{
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < u->n; i++)
		if (u->v[i].done == 1 && print_change(u, &u->v[i], &f) == -1)
			return tool_failed(&f);
	return status;
}

static int
read_key(struct update *u, struct fail *f)
{
	const char *path = u->job->key_file;

	if (path == NULL)
		return 0;
	if (tsig_key_read(path, &u->key, f) == -1)
		return -1;
	if (file_is_exposed(path))
		talk(path, "others may read this file, and change what its key may change");
	u->signs = 1;
	return 0;
}

static void
update_clear(struct update *u)
{
	size_t i;

	for (i = 0; i < u->n; i++) {
		answer_clear(&u->v[i].now);
		free(u->v[i].want);
		free(u->v[i].zone);
		free(u->v[i].primary);
	}
	free(u->v);
	tsig_key_clear(&u->key);
	step_close(&u->step);
}

enum tool_exit
update_send(const struct job *j, const struct records *r)
{
	struct update u = { .job = j, .records = r, .n = j->nowner, .key = TSIG_KEY_INIT };
	enum tool_exit status = TOOL_YES;
	struct fail f = FAIL_INIT;
	size_t i;

	u.v = xcalloc(u.n, sizeof *u.v);
	for (i = 0; i < u.n; i++)
		u.v[i].owner = j->owner[i];
	if (read_key(&u, &f) == -1 || step_open(&u.step, j, &f) == -1 || update_all(&u, &f) == -1)
		status = tool_failed(&f);
	status = tell(&u, status);
	update_clear(&u);
	return status;
}
