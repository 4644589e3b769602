#include "conf_listen.h"

#include <openssl/ssl.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "access.h"
#include "alloc.h"
#include "cert.h"
#include "name.h"
#include "tls.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define MODE_DEFAULT 0660
#define LIST_MAX 256		/* values of one option */

static const char *const protocol_names[] = { [CONF_SMTP] = "smtp", [CONF_SMTPS] = "smtps" };
static const char *const version_names[] = { "1.0", "1.1", "1.2", "1.3" };
static const int versions[] = { TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION };

/* ---- lists ---- */

static void
add_word(char ***v, size_t *n, char *word)
{
	*v = xreallocarray(*v, *n + 1, sizeof **v);
	(*v)[(*n)++] = word;
}

static void
free_words(char **v, size_t n)
{
	while (n > 0)
		free(v[--n]);
	free(v);
}

/* Calls for each part between commas. */
static int
for_each(struct conf_listen *l, const char *key, const char *list,
    int (*take)(struct conf_listen *, const char *, struct fail *), struct fail *f)
{
	char *copy = xstrdup(list), *rest = copy, *word;
	int rc = 0, n = 0;

	while (rc == 0 && (word = strsep(&rest, ",")) != NULL)
		if (word[0] == '\0')
			rc = fail(f, FAIL_INPUT, "%s: nothing before or behind a comma", key);
		else if (n++ >= LIST_MAX)
			rc = fail(f, FAIL_INPUT, "%s: more than %d values", key, LIST_MAX);
		else if (take(l, word, f) == -1)
			rc = fail_prefix(f, "%s", key);
	free(copy);
	return rc;
}

/* ---- options ---- */

static int
take_cert(struct conf_listen *l, const char *word, struct fail *f)
{
	size_t i;

	if (name_check_identity(word, f) == -1)
		return -1;
	for (i = 0; i < l->ncerts; i++)
		if (strcmp(l->cert[i], word) == 0)
			return fail(f, FAIL_INPUT, "\"%.200s\" is named twice", word);
	add_word(&l->cert, &l->ncerts, xstrdup(word));
	return 0;
}

static int
set_cert(struct conf_listen *l, const char *value, struct fail *f)
{
	return for_each(l, "cert", value, take_cert, f);
}

static int
set_protocol(struct conf_listen *l, const char *value, struct fail *f)
{
	int i = text_word("protocol", value, protocol_names, COUNT(protocol_names), f);

	if (i == -1)
		return -1;
	l->protocol = (enum conf_protocol)i;
	return 0;
}

static int
set_tls_min(struct conf_listen *l, const char *value, struct fail *f)
{
	int i = text_word("tls-min", value, version_names, COUNT(version_names), f);

	if (i == -1)
		return -1;
	l->tls_min = versions[i];
	return 0;
}

static int
set_ciphers(struct conf_listen *l, const char *value, struct fail *f)
{
	if (tls_check_ciphers(value, f) == -1)
		return fail_prefix(f, "ciphers");
	free(l->ciphers);
	l->ciphers = xstrdup(value);
	return 0;
}

static int
set_client_cert(struct conf_listen *l, const char *value, struct fail *f)
{
	return conf_client_cert_parse(value, &l->client.cert, f);
}

static int
take_fingerprint(struct conf_client *c, const char *hex, struct fail *f)
{
	char *out = xcalloc(1, CERT_FINGERPRINT_SIZE);
	size_t n = 0;

	for (; *hex != '\0' && n < CERT_FINGERPRINT_SIZE - 1; hex++)
		if (*hex != ':')
			out[n++] = *hex;
	text_lower(out);
	if (*hex != '\0' || n != CERT_FINGERPRINT_SIZE - 1 || strspn(out, "0123456789abcdef") != n) {
		free(out);
		return fail(f, FAIL_INPUT, "expected 64 hexadecimal digits behind sha256:");
	}
	add_word(&c->fingerprint, &c->nfingerprints, out);
	return 0;
}

static int
take_client(struct conf_listen *l, const char *word, struct fail *f)
{
	char *ascii;

	if (strncmp(word, "sha256:", 7) == 0)
		return take_fingerprint(&l->client, word + 7, f);
	if ((ascii = name_to_ascii(word, f)) == NULL)
		return -1;
	if (!name_is_host(ascii, NAME_UNDERSCORE)) {
		free(ascii);
		return fail(f, FAIL_INPUT, "expected a host name or sha256: and a fingerprint, not \"%.200s\"", word);
	}
	add_word(&l->client.name, &l->client.nnames, ascii);
	return 0;
}

static int
set_client_allow(struct conf_listen *l, const char *value, struct fail *f)
{
	return for_each(l, "client-allow", value, take_client, f);
}

static int
take_proxy(struct conf_listen *l, const char *word, struct fail *f)
{
	struct cidr c;

	if (cidr_parse(word, "an address or a network", &c, f) == -1)
		return -1;
	l->proxy = xreallocarray(l->proxy, l->nproxies + 1, sizeof *l->proxy);
	l->proxy[l->nproxies++] = c;
	return 0;
}

static int
set_proxy(struct conf_listen *l, const char *value, struct fail *f)
{
	return for_each(l, "proxy", value, take_proxy, f);
}

static int
set_default_domain(struct conf_listen *l, const char *value, struct fail *f)
{
	char *ascii = name_to_ascii(value, f);

	if (ascii == NULL)
		return fail_prefix(f, "default-domain");
	if (!name_is_host(ascii, NAME_UNDERSCORE)) {
		free(ascii);
		return fail(f, FAIL_INPUT, "default-domain: expected a domain, not \"%.200s\"", value);
	}
	free(l->default_domain);
	l->default_domain = ascii;
	return 0;
}

static int
set_greeting(struct conf_listen *l, const char *value, struct fail *f)
{
	const char *p;

	for (p = value; *p >= ' ' && *p <= '~'; p++)
		;
	if (*p != '\0' || p == value || p - value > CONF_GREETING_MAX)
		return fail(f, FAIL_INPUT, "greeting: expected 1 to %d characters of printable ASCII", CONF_GREETING_MAX);
	free(l->greeting);
	l->greeting = xstrdup(value);
	return 0;
}

static int
set_mode(struct conf_listen *l, const char *value, struct fail *f)
{
	size_t n = strlen(value);

	if (n < 3 || n > 4 || strspn(value, "01234567") != n || (n == 4 && value[0] != '0'))
		return fail(f, FAIL_INPUT, "mode: expected three octal digits, as 660, not \"%.64s\"", value);
	l->mode = (int)strtol(value, NULL, 8);
	return 0;
}

static int
set_group(struct conf_listen *l, const char *value, struct fail *f)
{
	(void)f;
	free(l->group);
	l->group = xstrdup(value);
	return 0;
}

static const struct {
	const char *key;
	int (*set)(struct conf_listen *, const char *, struct fail *);
} listen_options[] = { { "protocol", set_protocol }, { "cert", set_cert }, { "tls-min", set_tls_min },
	{ "ciphers", set_ciphers }, { "client-cert", set_client_cert }, { "client-allow", set_client_allow },
	{ "proxy", set_proxy }, { "default-domain", set_default_domain }, { "greeting", set_greeting },
	{ "mode", set_mode }, { "group", set_group } };

int
conf_listen_is_option(const char *key)
{
	size_t i;

	for (i = 0; i < COUNT(listen_options); i++)
		if (strcmp(listen_options[i].key, key) == 0)
			return 1;
	return 0;
}

int
conf_listen_option(struct conf_listen *l, const char *key, const char *value, struct fail *f)
{
	size_t i;

	for (i = 0; i < COUNT(listen_options); i++)
		if (strcmp(listen_options[i].key, key) == 0)
			return listen_options[i].set(l, value, f);
	return fail(f, FAIL_INPUT, "listen: unknown option \"%.64s\"", key);
}

/* ---- a listener ---- */

void
conf_listen_init(struct conf_listen *l, const char *name)
{
	memset(l, 0, sizeof *l);
	l->name = xstrdup(name);
	l->concurrency = CONF_CONCURRENCY;
	l->backlog = CONF_BACKLOG;
	l->mode = -1;
	l->tls_min = TLS1_2_VERSION;
}

void
conf_listen_clear(struct conf_listen *l)
{
	size_t i;

	for (i = 0; i < l->nmaps; i++) {
		free(l->map[i].from);
		free(l->map[i].to);
	}
	free(l->map);
	free_words(l->cert, l->ncerts);
	free_words(l->client.name, l->client.nnames);
	free_words(l->client.fingerprint, l->client.nfingerprints);
	free_words(l->domain, l->ndomains);
	for (i = 0; i < l->nhosts; i++)
		access_clear(&l->hosts[i]);
	free(l->hosts);
	free(l->path);
	free(l->group);
	free(l->ciphers);
	free(l->proxy);
	free(l->default_domain);
	free(l->greeting);
	free(l->name);
}

int
conf_listen_at(struct conf_listen *l, const char *word, struct fail *f)
{
	if (word[0] == '/') {
		if (strlen(word) > CONF_SOCKET_MAX)
			return fail(f, FAIL_INPUT, "listen: the path of a socket has at most %d octets", CONF_SOCKET_MAX);
		l->path = xstrdup(word);
		l->type = CONF_PRIVATE;
		return 0;
	}
	if (text_endpoint(word, 0, &l->at, f) == -1)
		return fail_prefix(f, "listen");
	if (!text_is_address(l->at.host))
		return fail(f, FAIL_INPUT, "listen: expected an IP address before the @, or a path, not \"%.200s\"",
		    l->at.host);
	return 0;
}

char *
conf_listen_place(const struct conf_listen *l)
{
	return l->path != NULL ? xstrdup(l->path) : xasprintf("%s@%u", l->at.host, l->at.port);
}

static int
settle_socket(struct conf_listen *l, struct fail *f)
{
	if (l->path == NULL && (l->mode != -1 || l->group != NULL))
		return fail(f, FAIL_INPUT, "listen %.64s: mode and group are of a unix socket", l->name);
	if (l->path != NULL && l->nproxies > 0)
		return fail(f, FAIL_INPUT, "listen %.64s: no balancer is behind a unix socket", l->name);
	if (l->mode == -1)
		l->mode = MODE_DEFAULT;
	return 0;
}

int
conf_listen_settle(struct conf_listen *l, int tls_given, struct fail *f)
{
	if (l->protocol == CONF_SMTPS) {
		if (tls_given && l->tls != SMTP_SERVER_TLS_REQUIRED)
			return fail(f, FAIL_INPUT, "listen %.64s: with protocol smtps tls is required", l->name);
		l->tls = SMTP_SERVER_TLS_REQUIRED;
	}
	if (l->tls == SMTP_SERVER_TLS_NO && (l->ncerts > 0 || l->ciphers != NULL || l->client.cert != CONF_CLIENT_CERT_NO))
		return fail(f, FAIL_INPUT, "listen %.64s: %s without tls preferred or required", l->name,
		    l->ncerts > 0 ? "cert" : l->ciphers != NULL ? "ciphers" : "client-cert");
	if (l->client.cert == CONF_CLIENT_CERT_REQUIRED && l->tls != SMTP_SERVER_TLS_REQUIRED)
		return fail(f, FAIL_INPUT, "listen %.64s: client-cert required without tls required", l->name);
	if (l->client.cert == CONF_CLIENT_CERT_NO && l->client.nnames + l->client.nfingerprints > 0)
		return fail(f, FAIL_INPUT, "listen %.64s: client-allow without client-cert", l->name);
	return settle_socket(l, f);
}

/* ---- domain-map ---- */

/* "user@domain", "@domain", and with below "@.domain"; the domain in A-labels. */
static char *
map_side(const char *word, int below, struct fail *f)
{
	const char *at = strrchr(word, '@');
	char *domain = NULL, *side = NULL;

	if (at == NULL || (at[1] == '.' && (!below || at > word))) {
		fail(f, FAIL_INPUT, "domain-map: expected user@domain, @domain%s, not \"%.200s\"",
		    below ? " or @.domain" : "", word);
		return NULL;
	}
	if (at - word > MAILBOX_LOCAL_MAX) {
		fail(f, FAIL_INPUT, "domain-map: a local part has at most %d octets", MAILBOX_LOCAL_MAX);
		return NULL;
	}
	if ((domain = access_domain(at + 1, f)) == NULL) {
		fail_prefix(f, "domain-map");
		return NULL;
	}
	side = xasprintf("%.*s@%s", (int)(at - word), word, domain);
	free(domain);
	if (strlen(side) > MAILBOX_MAX) {
		fail(f, FAIL_INPUT, "domain-map: an address has at most %d octets", MAILBOX_MAX);
		free(side);
		return NULL;
	}
	return side;
}

int
conf_listen_map(struct conf_listen *l, const char *from, const char *to, struct fail *f)
{
	struct conf_map m = { .from = map_side(from, 1, f), .to = NULL };
	size_t i;

	if (m.from == NULL || (m.to = map_side(to, 0, f)) == NULL) {
		free(m.from);
		return -1;
	}
	for (i = 0; i < l->nmaps; i++)
		if (text_case_eq(l->map[i].from, m.from)) {
			free(m.from);
			free(m.to);
			return fail(f, FAIL_INPUT, "domain-map: a second line for %.200s", from);
		}
	l->map = xreallocarray(l->map, l->nmaps + 1, sizeof *l->map);
	l->map[l->nmaps++] = m;
	return 0;
}

/* How well the line fits: -1 not at all. */
static int
map_fit(const struct conf_map *m, const char *local, const char *domain)
{
	const char *at = strrchr(m->from, '@'), *pattern = at + 1;
	size_t n = strlen(pattern), len = strlen(domain);

	if (pattern[0] == '.')
		return len > n && text_case_eq(domain + len - n, pattern) ? (int)n : -1;
	if (!text_case_eq(pattern, domain))
		return -1;
	if (at == m->from)
		return NAME_LEN_MAX + 1;
	return strlen(local) == (size_t)(at - m->from) && strncasecmp(local, m->from, at - m->from) == 0 ?
	    NAME_LEN_MAX + 2 : -1;
}

const struct conf_map *
conf_map_find(const struct conf_listen *l, const char *local, const char *domain)
{
	const struct conf_map *found = NULL;
	int best = -1, now;
	size_t i;

	for (i = 0; i < l->nmaps; i++)
		if ((now = map_fit(&l->map[i], local, domain)) > best) {
			best = now;
			found = &l->map[i];
		}
	return found;
}

/* ---- the summary ---- */

static const char *
version_name(int version)
{
	size_t i = 0;

	while (versions[i] != version)
		i++;
	return version_names[i];
}

void
conf_listen_print_words(struct buf *b, const struct conf_listen *l)
{
	size_t i;

	if (l->protocol == CONF_SMTPS)
		buf_puts(b, " from the first octet");
	if (l->tls == SMTP_SERVER_TLS_NO)
		return;
	buf_puts(b, ", certificate ");
	for (i = 0; i < l->ncerts; i++)
		buf_printf(b, "%s%s", i > 0 ? "," : "", l->cert[i]);
	if (l->ncerts == 0)
		buf_puts(b, "_demo (demonstration only)");
	if (l->tls_min != TLS1_2_VERSION)
		buf_printf(b, ", TLS %s and later", version_name(l->tls_min));
}

void
conf_listen_print_lines(struct buf *b, const struct conf_listen *l)
{
	const struct conf_client *c = &l->client;
	size_t i;

	if (l->path != NULL)
		buf_printf(b, "    socket of mode %03o%s%s\n", (unsigned)l->mode, l->group != NULL ? ", group " : "",
		    l->group != NULL ? l->group : "");
	if (l->greeting != NULL)
		buf_printf(b, "    greeting %s\n", l->greeting);
	if (l->ciphers != NULL)
		buf_printf(b, "    ciphers %s\n", l->ciphers);
	if (c->cert != CONF_CLIENT_CERT_NO)
		buf_printf(b, "    client certificate %s%s\n", conf_client_cert_name(c->cert),
		    c->nnames + c->nfingerprints > 0 ? ", good are:" : ", of a trusted CA");
	for (i = 0; i < c->nnames; i++)
		buf_printf(b, "        %s, of a trusted CA\n", c->name[i]);
	for (i = 0; i < c->nfingerprints; i++)
		buf_printf(b, "        sha256:%s\n", c->fingerprint[i]);
	for (i = 0; i < l->nproxies; i++) {
		char addr[CIDR_TEXT_MAX];

		buf_printf(b, "    balancer %s\n", cidr_text(addr, sizeof addr, &l->proxy[i]));
	}
	if (l->default_domain != NULL)
		buf_printf(b, "    addresses without a domain are of %s\n", l->default_domain);
	for (i = 0; i < l->nmaps; i++)
		buf_printf(b, "    mail for %s goes to %s\n", l->map[i].from, l->map[i].to);
}
