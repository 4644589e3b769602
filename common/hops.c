#include "hops.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "alloc.h"
#include "name.h"

#define UNIX "unix:"

static const char *const protocol_names[] = { [FACTS_SMTP] = "smtp", [FACTS_SMTPS] = "smtps", [FACTS_LMTP] = "lmtp" };
static const char *const flag_names[] = { "no", "yes" };

/* RFC 8314 7.3 for smtps; RFC 2033 5 wants any but 25 for LMTP, and 24 is the one for mail of one's own. */
static const uint16_t usual_port[] = { [FACTS_SMTP] = 25, [FACTS_SMTPS] = 465, [FACTS_LMTP] = 24 };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define FORMS "HOST, HOST@PORT, [ADDRESS], [ADDRESS]@PORT or " UNIX "/PATH"

/* ---- the line ---- */

static int
take_path(struct hop *h, const char *path, struct fail *f)
{
	if (path[0] != '/' || strlen(path) > HOPS_SOCKET_MAX)
		return fail(f, FAIL_INPUT, "expected " UNIX " and an absolute path of at most %d octets, not \"%.200s\"",
		    HOPS_SOCKET_MAX, path);
	h->path = xstrdup(path);
	return 0;
}

static int
take_host(struct hop *h, const char *word, struct fail *f)
{
	struct endpoint e;

	/* The port that goes with the protocol is known when all options are. */
	if (text_endpoint(word, 1, &e, f) == -1)
		return fail_prefix(f, "expected " FORMS);
	if (strrchr(word, '@') != NULL)
		h->port = e.port;
	if (text_is_address(e.host)) {
		h->host = xstrdup(e.host);
		return 0;
	}
	if ((h->host = name_to_ascii(e.host, f)) == NULL)
		return fail_prefix(f, "expected " FORMS);
	return name_is_host(h->host, NAME_UNDERSCORE) ? 0 :
	    fail(f, FAIL_INPUT, "expected " FORMS ", not \"%.200s\"", word);
}

static int
take_hop(struct hops *r, const char *word, struct fail *f)
{
	struct hop *h;

	if (word[0] == '\0')
		return fail(f, FAIL_INPUT, "nothing before or behind a comma: expected " FORMS);
	if (r->n == HOPS_MAX)
		return fail(f, FAIL_INPUT, "more than %d hosts", HOPS_MAX);
	r->v = xreallocarray(r->v, r->n + 1, sizeof *r->v);
	h = &r->v[r->n++];
	memset(h, 0, sizeof *h);
	if (strncmp(word, UNIX, strlen(UNIX)) == 0)
		return take_path(h, word + strlen(UNIX), f);
	return take_host(h, word, f);
}

static int
take_hops(struct hops *r, const char *list, struct fail *f)
{
	char *copy = xstrdup(list), *rest = copy, *word;
	int rc = 0;

	while (rc == 0 && (word = strsep(&rest, ",")) != NULL)
		rc = take_hop(r, word, f);
	free(copy);
	return rc;
}

static int
take_credentials(struct hops *r, const char *name, struct fail *f)
{
	if (name_check_identity(name, f) == -1)
		return fail_prefix(f, "credentials");
	free(r->credentials);
	r->credentials = xstrdup(name);
	return 0;
}

enum option { PROTOCOL, MX, CREDENTIALS };

static int
take_option(struct hops *r, enum option option, const char *value, struct fail *f)
{
	int i;

	switch (option) {
	case PROTOCOL:
		if ((i = text_word("protocol", value, protocol_names, COUNT(protocol_names), f)) == -1)
			return -1;
		r->protocol = (enum facts_protocol)i;
		return 0;
	case MX:
		return (r->mx = text_word("mx", value, flag_names, COUNT(flag_names), f)) == -1 ? -1 : 0;
	case CREDENTIALS:
		break;
	}
	return take_credentials(r, value, f);
}

static int
take_options(struct hops *r, char **word, size_t n, unsigned *given, struct fail *f)
{
	static const char *const keys[] = { [PROTOCOL] = "protocol", [MX] = "mx", [CREDENTIALS] = "credentials" };
	size_t i, k;

	for (i = 0; i < n; i += 2) {
		for (k = 0; k < COUNT(keys) && strcmp(keys[k], word[i]) != 0; k++)
			;
		if (k == COUNT(keys))
			return fail(f, FAIL_INPUT, "unknown option \"%.64s\": expected protocol, mx or credentials; hosts are "
			    "one word, with commas between", word[i]);
		if (*given & 1U << k)
			return fail(f, FAIL_INPUT, "%s is given twice", word[i]);
		*given |= 1U << k;
		if (i + 1 == n)
			return fail(f, FAIL_INPUT, "no value behind \"%.64s\"", word[i]);
		if (take_option(r, (enum option)k, word[i + 1], f) == -1)
			return -1;
	}
	return 0;
}

/* What fits what; and the ports that were not said. */
static int
settle(struct hops *r, unsigned given, struct fail *f)
{
	size_t i, sockets = 0;

	for (i = 0; i < r->n; i++)
		sockets += r->v[i].path != NULL;
	if (sockets > 0 && !(given & 1U << PROTOCOL))
		r->protocol = FACTS_LMTP;
	for (i = 0; i < r->n; i++)
		if (r->v[i].host != NULL && r->v[i].port == 0)
			r->v[i].port = usual_port[r->protocol];
	if (sockets > 0 && r->protocol == FACTS_SMTPS)
		return fail(f, FAIL_INPUT, "protocol smtps on a unix socket: there is no TLS");
	if (sockets > 0 && r->credentials != NULL)
		return fail(f, FAIL_INPUT, "credentials on a unix socket: a password is sent inside TLS alone");
	if (r->mx && (r->n > 1 || r->v[0].host == NULL || text_is_address(r->v[0].host)))
		return fail(f, FAIL_INPUT, "mx yes: expected the name of one domain, whose MX records name the hosts");
	return 0;
}

int
hops_parse(struct hops *r, char **word, size_t n, struct fail *f)
{
	unsigned given = 0;

	if (take_hops(r, word[0], f) == -1 || take_options(r, word + 1, n - 1, &given, f) == -1)
		return -1;
	return settle(r, given, f);
}

void
hops_clear(struct hops *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		free(r->v[i].host);
		free(r->v[i].path);
	}
	free(r->v);
	free(r->credentials);
	memset(r, 0, sizeof *r);
}

void
hops_print(struct buf *b, const struct hops *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		buf_puts(b, i > 0 ? ", " : "");
		if (r->v[i].path != NULL)
			buf_printf(b, UNIX "%s", r->v[i].path);
		else
			buf_printf(b, "%s@%u", r->v[i].host, r->v[i].port);
	}
	if (r->protocol != FACTS_SMTP)
		buf_printf(b, ", protocol %s", protocol_names[r->protocol]);
	if (r->mx)
		buf_puts(b, ", mx yes");
	if (r->credentials != NULL)
		buf_printf(b, ", credentials %s", r->credentials);
}

char *
hops_name(const struct hops *r)
{
	struct buf b = BUF_INIT;
	size_t i;

	if (r->mx)
		return xstrdup(r->v[0].host);
	for (i = 0; i < r->n; i++)
		if (r->v[i].path != NULL)
			buf_printf(&b, "%s" UNIX "%s", i > 0 ? "," : "", r->v[i].path);
		else
			buf_printf(&b, "%s[%s]", i > 0 ? "," : "", r->v[i].host);
	return buf_steal(&b);
}

uint16_t
hops_port(const struct hops *r)
{
	return r->v[0].port;
}

/* ---- facts ---- */

static void
know_address(struct facts_host *fh, int family, const void *ip, size_t n)
{
	fh->addr = xcalloc(1, sizeof *fh->addr);
	fh->addr[0].family = family;
	memcpy(&fh->addr[0].ip, ip, n);
	fh->naddr = 1;
	fh->addrs = FACTS_ADDRS_FOUND;
	fh->addrs_sec = DNS_SECURE;
	fh->tlsa_state = FACTS_TLSA_NO_NAME;
}

static void
add_host(struct facts *facts, const struct hop *h, enum facts_protocol protocol)
{
	char *name = h->path != NULL ? xasprintf(UNIX "%s", h->path) : xstrdup(h->host);
	struct facts_host *fh = facts_add_host(facts, name, facts->nhost);
	uint8_t ip[16];
	int n;

	free(name);
	fh->port = h->port;
	fh->protocol = protocol;
	if (h->path != NULL) {
		fh->path = xstrdup(h->path);
		know_address(fh, AF_UNIX, "", 0);
	} else if ((n = text_address(h->host, ip)) != 0)
		know_address(fh, n == 4 ? AF_INET : AF_INET6, ip, n == 4 ? 4 : 16);
}

struct facts *
hops_facts(const struct hops *r)
{
	struct facts *facts;
	char *name;
	size_t i;

	if (r->mx)
		return NULL;
	name = hops_name(r);
	facts = facts_new(name);
	free(name);
	facts->mx = FACTS_MX_LOCAL;
	facts->mx_sec = DNS_SECURE;
	for (i = 0; i < r->n; i++)
		add_host(facts, &r->v[i], r->protocol);
	return facts;
}

int
hops_known(const struct facts *facts)
{
	size_t i;

	for (i = 0; i < facts->nhost; i++)
		if (facts->host[i].addrs != FACTS_ADDRS_FOUND)
			return 0;
	return 1;
}

struct lookup *
hops_start(struct dns *dns, const struct hops *r, struct facts *facts, const struct lookup_conf *conf, lookup_fn *fn,
    void *arg)
{
	struct lookup_conf mine = *conf;

	mine.port = hops_port(r);
	mine.protocol = r->protocol;
	if (facts != NULL)
		return lookup_start_hosts(dns, facts, &mine, fn, arg);
	/* MTA-STS and TLS-RPT are the recipients' domain's, and a route has none. */
	mine.sts = NULL;
	mine.want_tlsrpt = 0;
	return lookup_start(dns, r->v[0].host, &mine, fn, arg);
}
