/*
 * What the validating resolver and each authoritative server say of the owners, in steps; in each all questions
 * go out together:
 *
 *	the records by the resolver, which shows aliases too
 *	the zone of each;  its NS, SOA and DNSKEY records
 *	the addresses of its servers
 *	the records from each of these
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "dns_direct.h"
#include "dns_msg.h"
#include "gen.h"

#define DNS_PORT 53

/* ---- what one server says ---- */

void
answer_clear(struct answer *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		tlsa_clear(&a->tlsa[i]);
	free(a->tlsa);
	free(a->why);
	memset(a, 0, sizeof *a);
}

static void
cannot(struct answer *out, enum said said, const char *why)
{
	out->said = said;
	free(out->why);
	out->why = xstrdup(why);
}

static size_t
take_tlsa(const struct dns_answer *a, struct tlsa **out)
{
	size_t i, n = 0;

	*out = xcalloc(a->n, sizeof **out);
	for (i = 0; i < a->n; i++)
		if (tlsa_from_wire(&(*out)[n], a->rr[i].data, a->rr[i].len, NULL) == 0)
			n++;
	return n;
}

static int
zone_is_signed(const struct zone *z)
{
	return z->keys != NULL && z->keys->sec == DNS_SECURE && z->keys->got == DNS_DATA;
}

uint32_t
zone_negative_ttl(const struct zone *z)
{
	const struct dns_rr *rr = z->soa != NULL && z->soa->n > 0 ? &z->soa->rr[0] : NULL;

	return rr != NULL && rr->len >= 4 ? dns_msg_get32(rr->data + rr->len - 4) : 0;
}

static void
read_records(const struct zone *z, const char *name, const uint8_t *p, size_t n, int64_t now, struct answer *out)
{
	struct dns_answer *a = dns_message_read(name, DNS_TLSA, p, n);
	struct fail f = FAIL_INIT;

	out->said = SAID_RECORDS;
	out->n = take_tlsa(a, &out->tlsa);
	out->left_out = a->left_out;
	out->ttl = out->n > 0 ? a->ttl : zone_negative_ttl(z);
	if (a->sec == DNS_FAILED)
		cannot(out, SAID_ERROR, a->why);
	else if (a->aliases > 0)
		cannot(out, SAID_ERROR, "has an alias there");
	else if (zone_is_signed(z) && dns_message_is_signed(name, DNS_TLSA, p, n, z->keys, now, &f) == -1)
		cannot(out, SAID_UNSIGNED, f.text);
	dns_answer_free(a);
}

void
answer_read(const struct zone *z, const char *name, const uint8_t *p, size_t n, int64_t now, struct answer *out)
{
	struct dns_msg_head h;
	struct fail f = FAIL_INIT;
	unsigned rcode;
	char buf[16];

	memset(out, 0, sizeof *out);
	if (dns_msg_get_head(p, n, &h, &f) == -1) {
		cannot(out, SAID_ERROR, f.text);
		return;
	}
	rcode = dns_msg_rcode(h.flags);
	if (rcode != 0 && rcode != 3)
		cannot(out, SAID_ERROR, dns_msg_rcode_name(rcode, buf));
	else if (!(h.flags & DNS_MSG_AA))
		cannot(out, SAID_ERROR, "is not authoritative for the zone");
	else
		read_records(z, name, p, n, now, out);
}

/* ---- zones and servers ---- */

static struct zone *
zone_of(struct survey *v, const struct dns_answer *soa)
{
	struct zone *z;
	size_t i;

	for (i = 0; i < v->nzone; i++)
		if (strcmp(v->zone[i]->name, soa->qname) == 0)
			return v->zone[i];
	z = xcalloc(1, sizeof *z);
	z->name = xstrdup(soa->qname);
	z->soa = dns_answer_copy(soa);
	v->zone = xreallocarray(v->zone, v->nzone + 1, sizeof *v->zone);
	return v->zone[v->nzone++] = z;
}

static void
find_zones(struct step *s, struct survey *v)
{
	struct finder finder = { .step = s };
	const struct dns_answer *soa;
	struct fail f = FAIL_INIT;
	size_t i;

	for (i = 0; i < v->n; i++)
		finder_ask(&finder, v->place[i].name);
	for (i = 0; i < v->n; i++)
		if ((soa = finder_zone0(&finder, v->place[i].name, &f)) != NULL)
			v->place[i].zone = zone_of(v, soa);
		else
			v->place[i].why = xstrdup(f.text);
	finder_clear(&finder);
}

static struct server *
server_new(struct zone *z, const char *name)
{
	struct server *one;

	if (z->nserver == ZONE_SERVERS_MAX) {
		z->left_out++;
		return NULL;
	}
	z->server = xreallocarray(z->server, z->nserver + 1, sizeof *z->server);
	one = &z->server[z->nserver++];
	*one = (struct server){ .name = xstrdup(name) };
	return one;
}

/* A host's addresses are its servers; without one it stays, with the reason. */
static void
add_host(struct zone *z, struct addresses *of, uint16_t port)
{
	struct endpoint at[STEP_ADDRESSES_MAX];
	struct fail f = FAIL_INIT;
	size_t n = addresses_take(of, port, at, &f), i;
	struct server *one;

	if (n == 0 && (one = server_new(z, of->host)) != NULL)
		one->why = xstrdup(f.text);
	for (i = 0; i < n; i++)
		if ((one = server_new(z, of->host)) != NULL)
			one->at = at[i];
}

/* Those that --server named, else the zone's own. */
static struct addresses *
ask_hosts(struct step *s, const struct job *j, const struct dns_answer *ns, size_t *n)
{
	struct addresses *a;
	size_t i;

	*n = j->nserver > 0 ? j->nserver : ns->n;
	a = xcalloc(*n, sizeof *a);
	for (i = 0; i < *n; i++)
		addresses_ask(s, j->nserver > 0 ? j->server[i].host : ns->rr[i].name, &a[i]);
	return a;
}

static void
take_hosts(struct zone *z, const struct job *j, const struct dns_answer *ns, struct addresses *a, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		add_host(z, &a[i], j->nserver > 0 ? j->server[i].port : DNS_PORT);
	if (z->nserver == 0)
		z->why = xasprintf("the NS records of %.260s: %s", z->name, ns->why != NULL ? ns->why : "none");
	free(a);
}

static void
ask_zones(struct step *s, const struct job *j, struct survey *v)
{
	struct dns_answer **ns = xcalloc(v->nzone, sizeof *ns);
	struct addresses **a = xcalloc(v->nzone, sizeof *a);
	size_t *n = xcalloc(v->nzone, sizeof *n), i;

	for (i = 0; i < v->nzone; i++) {
		step_ask(s, v->zone[i]->name, DNS_NS, &ns[i]);
		step_ask(s, v->zone[i]->name, DNS_DNSKEY, &v->zone[i]->keys);
	}
	step_wait(s);
	for (i = 0; i < v->nzone; i++)
		a[i] = ask_hosts(s, j, ns[i], &n[i]);
	step_wait(s);
	for (i = 0; i < v->nzone; i++) {
		take_hosts(v->zone[i], j, ns[i], a[i], n[i]);
		dns_answer_free(ns[i]);
	}
	free(ns);
	free(a);
	free(n);
}

/* ---- the records ---- */

struct asked {
	struct buf msg, reply;
	struct fail fail;
};

static void
take_reply(const struct place *p, struct asked *a, int64_t now, struct answer *out)
{
	int no_route = a->fail.err == ENETUNREACH || a->fail.err == EAFNOSUPPORT || a->fail.err == EADDRNOTAVAIL;

	if (a->fail.kind != FAIL_NONE)
		cannot(out, no_route ? SAID_NO_ROUTE : SAID_NOTHING, a->fail.text);
	else
		answer_read(p->zone, p->name, (uint8_t *)a->reply.p, a->reply.len, now, out);
	buf_clear(&a->msg);
	buf_clear(&a->reply);
}

static struct asked *
ask_servers(struct step *s, const struct place *p)
{
	size_t n = p->zone->nserver, i;
	struct asked *a = xcalloc(n, sizeof *a);

	for (i = 0; i < n; i++) {
		const struct server *to = &p->zone->server[i];

		if (to->why != NULL)
			fail(&a[i].fail, FAIL_TEMP, "%s", to->why);
		else if (dns_msg_query(&a[i].msg, p->name, DNS_TLSA, &a[i].fail) == 0)
			step_send(s, &to->at, &a[i].msg, 0, &a[i].reply, &a[i].fail);
	}
	return a;
}

static void
take_replies(struct place *p, struct asked *a, int64_t now)
{
	size_t i;

	p->answer = xcalloc(p->zone->nserver, sizeof *p->answer);
	for (i = 0; i < p->zone->nserver; i++)
		take_reply(p, &a[i], now, &p->answer[i]);
	free(a);
}

static void
ask_all(struct step *s, struct survey *v, int64_t now)
{
	struct asked **a = xcalloc(v->n, sizeof *a);
	size_t i;

	for (i = 0; i < v->n; i++)
		if (v->place[i].zone != NULL)
			a[i] = ask_servers(s, &v->place[i]);
	step_wait(s);
	for (i = 0; i < v->n; i++)
		if (v->place[i].zone != NULL)
			take_replies(&v->place[i], a[i], now);
	free(a);
}

static void
ask_resolver(struct step *s, const struct job *j, struct survey *v)
{
	size_t i;

	v->n = j->nowner;
	v->place = xcalloc(v->n, sizeof *v->place);
	for (i = 0; i < v->n; i++) {
		v->place[i].owner = j->owner[i];
		step_ask(s, j->owner[i], DNS_TLSA, &v->place[i].resolver);
	}
	step_wait(s);
	for (i = 0; i < v->n; i++) {
		struct place *p = &v->place[i];

		p->name = xstrdup(p->resolver->canonical);
		p->ntlsa = take_tlsa(p->resolver, &p->tlsa);
	}
}

int
survey_make(const struct job *j, struct survey *v, struct fail *f)
{
	struct step s;

	memset(v, 0, sizeof *v);
	if (step_open(&s, j, f) == -1)
		return -1;
	ask_resolver(&s, j, v);
	find_zones(&s, v);
	ask_zones(&s, j, v);
	ask_all(&s, v, time(NULL));
	step_close(&s);
	return 0;
}

static void
zone_free(struct zone *z)
{
	size_t i;

	for (i = 0; i < z->nserver; i++) {
		free(z->server[i].name);
		free(z->server[i].why);
	}
	free(z->server);
	free(z->name);
	free(z->why);
	dns_answer_free(z->keys);
	dns_answer_free(z->soa);
	free(z);
}

static void
place_clear(struct place *p)
{
	size_t i;

	for (i = 0; p->answer != NULL && i < p->zone->nserver; i++)
		answer_clear(&p->answer[i]);
	for (i = 0; i < p->ntlsa; i++)
		tlsa_clear(&p->tlsa[i]);
	free(p->answer);
	free(p->tlsa);
	free(p->name);
	free(p->why);
	dns_answer_free(p->resolver);
}

void
survey_clear(struct survey *v)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		place_clear(&v->place[i]);
	for (i = 0; i < v->nzone; i++)
		zone_free(v->zone[i]);
	free(v->place);
	free(v->zone);
}
