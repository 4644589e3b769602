/*
 * --check-published: does every authoritative server have the records, and nothing that is dead?
 *
 * Missing is a wanted record that a server does not have; dead one that is there and matches neither the certificate,
 * its chain nor the next key; also what matches in another form than asked for, which does no harm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "gen.h"
#include "json.h"

struct check {
	const struct job *job;
	const struct source *source;
	const struct records *wanted;
};

enum fate { FATE_WANTED, FATE_ALSO, FATE_UNUSABLE, FATE_DEAD };

static int
is_in(const struct tlsa *t, const struct tlsa *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (tlsa_equal(t, &list[i]))
			return 1;
	return 0;
}

static int
is_wanted(const struct check *c, const struct tlsa *t)
{
	size_t i;

	for (i = 0; i < c->wanted->n; i++)
		if (tlsa_equal(t, &c->wanted->v[i].tlsa))
			return 1;
	return 0;
}

static int
matches_key(const struct tlsa *t, const EVP_PKEY *key)
{
	struct tlsa made;
	int yes;

	if (key == NULL || t->selector != TLSA_SPKI ||
	    tlsa_of_key(&made, t->usage, t->mtype, key, NULL) == -1)
		return 0;
	yes = tlsa_equal(t, &made);
	tlsa_clear(&made);
	return yes;
}

static int
matches_chain(const struct tlsa *t, const STACK_OF(X509) *chain)
{
	int i, n = chain != NULL ? sk_X509_num(chain) : 0;

	for (i = 0; i < n; i++)
		if (tlsa_matches_cert(t, sk_X509_value(chain, i)))
			return 1;
	return 0;
}

static enum fate
fate_of(const struct check *c, const struct tlsa *t, const char **why)
{
	const struct source *s = c->source;
	int about_ca = t->usage == TLSA_PKIX_TA || t->usage == TLSA_DANE_TA;

	*why = NULL;
	if (is_wanted(c, t))
		return FATE_WANTED;
	if (!tlsa_usable(t, why))
		return FATE_UNUSABLE;
	if (about_ca && matches_chain(t, s->chain))
		return *why = "matches the certificate's chain", FATE_ALSO;
	if (!about_ca && ((s->leaf != NULL && tlsa_matches_cert(t, s->leaf)) || matches_key(t, s->key)))
		return *why = "matches the current key in another form", FATE_ALSO;
	if (!about_ca && matches_key(t, s->next))
		return *why = "matches the next key", FATE_ALSO;
	*why = about_ca ? "matches no CA of the chain" : "matches neither the current key nor the next";
	return FATE_DEAD;
}

/* ---- judging ---- */

static int
is_as_wanted(const struct check *c, const struct answer *a)
{
	const char *why;
	size_t i;

	for (i = 0; i < c->wanted->n; i++)
		if (!is_in(&c->wanted->v[i].tlsa, a->tlsa, a->n))
			return 0;
	for (i = 0; i < a->n; i++)
		if (fate_of(c, &a->tlsa[i], &why) > FATE_ALSO)
			return 0;
	return a->left_out == 0;
}

/* The same server, asked at another of its addresses. */
static int
was_asked(const struct place *p, size_t which)
{
	const struct server *s = p->zone->server;
	size_t i;

	for (i = 0; i < p->zone->nserver; i++)
		if (i != which && strcmp(s[i].name, s[which].name) == 0 && p->answer[i].said >= SAID_UNSIGNED)
			return 1;
	return 0;
}

static enum tool_exit
judge_answer(const struct place *p, size_t i, answer_fn *is_right, const void *arg)
{
	const struct answer *a = &p->answer[i];

	switch (a->said) {
	case SAID_RECORDS:
		return is_right(arg, p, a) ? TOOL_YES : TOOL_NO;
	case SAID_UNSIGNED:
		return TOOL_NO;
	case SAID_NO_ROUTE:
		return was_asked(p, i) ? TOOL_YES : TOOL_UNSURE;
	case SAID_ERROR:
	case SAID_NOTHING:
		break;
	}
	return TOOL_UNSURE;
}

enum tool_exit
place_judge_servers(const struct place *p, answer_fn *is_right, const void *arg)
{
	enum tool_exit status = TOOL_YES;
	size_t i;

	if (p->zone == NULL || p->zone->nserver == 0 || p->zone->left_out > 0)
		return TOOL_UNSURE;
	for (i = 0; i < p->zone->nserver; i++)
		status = tool_worse(status, judge_answer(p, i, is_right, arg));
	return status;
}

enum tool_exit
place_security(const struct place *p)
{
	switch (p->resolver->sec) {
	case DNS_SECURE:
		return TOOL_YES;
	case DNS_INSECURE:
	case DNS_BOGUS:
		return TOOL_NO;
	case DNS_FAILED:
		break;
	}
	return TOOL_UNSURE;
}

static int
is_right(const void *arg, const struct place *p, const struct answer *a)
{
	(void)p;
	return is_as_wanted(arg, a);
}

/* ---- telling ---- */

void
place_print_security(const struct place *p)
{
	char *why = p->resolver->why != NULL ? xasprintf(": %s", p->resolver->why) : xstrdup("");

	if (p->resolver->sec == DNS_INSECURE)
		printf("  resolver: insecure: the zone is not signed, or not below a signed one; no client uses its "
		    "records\n");
	else if (p->resolver->sec == DNS_BOGUS)
		printf("  resolver: bogus: clients that use DANE do not deliver to this host%s\n", why);
	else if (p->resolver->sec == DNS_FAILED)
		printf("  resolver: failed%s\n", why);
	else if (p->ntlsa == 0)
		printf("  resolver: secure, no records\n");
	else
		printf("  resolver: secure, %zu record%s, kept for %u s more\n", p->ntlsa,
		    p->ntlsa == 1 ? "" : "s", p->resolver->ttl);
	free(why);
}

static void
print_tlsa(const char *word, const struct tlsa *t, const char *why)
{
	char *rdata = tlsa_rdata(t);

	printf("    %-8s  %s%s%s\n", word, rdata, why != NULL ? "  " : "", why != NULL ? why : "");
	free(rdata);
}

static void
print_differences(const struct check *c, const struct answer *a)
{
	static const char *const word[] = { [FATE_ALSO] = "also", [FATE_UNUSABLE] = "unusable",
		[FATE_DEAD] = "dead" };
	size_t i;

	for (i = 0; i < c->wanted->n; i++)
		if (!is_in(&c->wanted->v[i].tlsa, a->tlsa, a->n))
			print_tlsa("missing", &c->wanted->v[i].tlsa, NULL);
	for (i = 0; i < a->n; i++) {
		const char *why;
		enum fate fate = fate_of(c, &a->tlsa[i], &why);

		if (fate != FATE_WANTED)
			print_tlsa(word[fate], &a->tlsa[i], why);
	}
	if (a->left_out > 0)
		printf("    and %zu records more, not looked at\n", a->left_out);
}

void
server_print(const struct server *s)
{
	printf("  %s", s->name);
	if (s->at.host[0] != '\0' && strcmp(s->name, s->at.host) != 0)
		printf(" %s", s->at.host);
	if (s->at.host[0] != '\0' && s->at.port != 53)
		printf("@%u", s->at.port);
}

static void
print_answer(const struct check *c, const struct place *p, size_t i)
{
	static const char *const word[] = { [SAID_NOTHING] = "not asked", [SAID_NO_ROUTE] = "not reachable from here",
		[SAID_ERROR] = "no answer of use", [SAID_UNSIGNED] = "not validly signed" };
	const struct answer *a = &p->answer[i];

	server_print(&p->zone->server[i]);
	if (a->said != SAID_RECORDS)
		printf(": %s: %s\n", word[a->said], a->why);
	else
		printf(": %s, ttl %u\n", is_as_wanted(c, a) ? "as wanted" : "differs", a->ttl);
	if (a->said == SAID_RECORDS || a->said == SAID_UNSIGNED)
		print_differences(c, a);
}

static const char *
status_word(enum tool_exit status)
{
	return status == TOOL_YES ? "published" : status == TOOL_NO ? "not as wanted" : "not known";
}

static void
print_place(const struct check *c, const struct place *p, enum tool_exit status)
{
	size_t i;

	printf("%s: %s\n", p->owner, status_word(status));
	if (p->resolver->aliases > 0)
		printf("  an alias of %s.\n", p->name);
	place_print_security(p);
	if (p->zone == NULL || p->zone->why != NULL)
		printf("  %s\n", p->zone == NULL ? p->why : p->zone->why);
	for (i = 0; p->zone != NULL && i < p->zone->nserver; i++)
		print_answer(c, p, i);
	if (p->zone != NULL && p->zone->left_out > 0)
		printf("  %d servers more, not asked\n", p->zone->left_out);
}

/* ---- JSON ---- */

static json_t *
tlsa_json(const struct tlsa *t, const char *why)
{
	char *rdata = tlsa_rdata(t);
	json_t *o = json_object();

	json_set_str(o, "rdata", rdata);
	if (why != NULL)
		json_set_str(o, "why", why);
	free(rdata);
	return o;
}

static void
json_differences(const struct check *c, const struct answer *a, json_t *o)
{
	json_t *list[] = { [FATE_WANTED] = json_array(), [FATE_ALSO] = json_array(),
		[FATE_UNUSABLE] = json_array(), [FATE_DEAD] = json_array() };
	json_t *missing = json_array();
	size_t i;

	for (i = 0; i < c->wanted->n; i++)
		if (!is_in(&c->wanted->v[i].tlsa, a->tlsa, a->n))
			json_push(missing, tlsa_json(&c->wanted->v[i].tlsa, NULL));
	for (i = 0; i < a->n; i++) {
		const char *why;
		enum fate fate = fate_of(c, &a->tlsa[i], &why);

		json_push(list[fate], tlsa_json(&a->tlsa[i], why));
	}
	json_set(o, "wanted", list[FATE_WANTED]);
	json_set(o, "missing", missing);
	json_set(o, "dead", list[FATE_DEAD]);
	json_set(o, "unusable", list[FATE_UNUSABLE]);
	json_set(o, "also", list[FATE_ALSO]);
}

json_t *
server_json(const struct place *p, size_t i)
{
	static const char *const word[] = { [SAID_NOTHING] = "silent", [SAID_NO_ROUTE] = "unreachable",
		[SAID_ERROR] = "error", [SAID_UNSIGNED] = "unsigned", [SAID_RECORDS] = "answered" };
	const struct server *s = &p->zone->server[i];
	const struct answer *a = &p->answer[i];
	json_t *o = json_object();

	json_set_str(o, "server", s->name);
	json_set_str(o, "address", s->at.host[0] != '\0' ? s->at.host : NULL);
	json_set_str(o, "state", word[a->said]);
	json_set_str(o, "why", a->why);
	json_set(o, "ttl", a->said == SAID_RECORDS ? json_integer(a->ttl) : json_null());
	return o;
}

json_t *
place_json(const struct place *p)
{
	const struct dns_answer *r = p->resolver;
	json_t *o = json_object();

	json_set_str(o, "owner", p->owner);
	json_set_str(o, "zone", p->zone != NULL ? p->zone->name : NULL);
	json_set_str(o, "dnssec", dns_sec_name(r->sec));
	json_set_str(o, "why", r->why != NULL ? r->why : p->zone == NULL ? p->why : p->zone->why);
	json_set(o, "cached_ttl", p->ntlsa > 0 ? json_integer(r->ttl) : json_null());
	return o;
}

static int
print_json(const struct check *c, const struct place *p, enum tool_exit status, struct fail *f)
{
	json_t *o = place_json(p), *servers = json_array();
	size_t i;
	int rc;

	json_set(o, "published", status == TOOL_UNSURE ? json_null() : json_boolean(status == TOOL_YES));
	for (i = 0; p->zone != NULL && i < p->zone->nserver; i++) {
		json_t *s = server_json(p, i);

		json_set_bool(s, "as_wanted", p->answer[i].said == SAID_RECORDS && is_as_wanted(c, &p->answer[i]));
		json_differences(c, &p->answer[i], s);
		json_push(servers, s);
	}
	json_set(o, "servers", servers);
	rc = json_line(stdout, o, f);
	json_decref(o);
	return rc;
}

enum tool_exit
published_check(const struct job *j, const struct source *s, const struct records *wanted)
{
	struct check c = { .job = j, .source = s, .wanted = wanted };
	enum tool_exit status = TOOL_YES, one;
	struct fail f = FAIL_INIT;
	struct survey v;
	size_t i;

	if (survey_make(j, &v, &f) == -1)
		return tool_failed(&f);
	for (i = 0; i < v.n; i++) {
		one = tool_worse(place_security(&v.place[i]), place_judge_servers(&v.place[i], is_right, &c));
		if (j->form != FORM_JSON)
			print_place(&c, &v.place[i], one);
		else if (print_json(&c, &v.place[i], one, &f) == -1)
			one = tool_failed(&f);
		status = tool_worse(status, one);
	}
	survey_clear(&v);
	return status;
}
