/*
 * conf - one row for each keyword; a row's function takes one line.  Options of a line are pairs
 * "keyword value", looked up in a small table of their own.
 */
#include "conf.h"

#include <arpa/inet.h>

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "conf_listen.h"
#include "conf_notice.h"
#include "dns.h"
#include "file.h"
#include "name.h"
#include "spool.h"
#include "tool.h"

static const char *const type_names[] = { [CONF_PUBLIC] = "public", [CONF_PRIVATE] = "private" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- single values ---- */

static void
set_text(char **where, const char *value)
{
	free(*where);
	*where = xstrdup(value);
}

static int
set_hostname(void *ctx, const struct table_line *l, struct fail *f)
{
	struct conf *c = ctx;
	char *ascii = name_to_ascii(l->v[0], f);

	if (ascii == NULL)
		return fail_prefix(f, "hostname");
	if (!name_is_host(ascii, 0)) {
		fail(f, FAIL_INPUT, "hostname: \"%.200s\" is not a host name", ascii);
		free(ascii);
		return -1;
	}
	free(c->hostname);
	c->hostname = ascii;
	return 0;
}

/* A role changes its root directory: a relative path would mean another place then. */
static int
set_path(char **where, const char *key, const char *value, struct fail *f)
{
	set_text(where, value[0] == '/' ? value : "");
	if (value[0] != '/')
		return fail(f, FAIL_INPUT, "%s: expected an absolute path, not \"%.200s\"", key, value);
	return 0;
}

static int
set_file(struct conf *c, enum conf_file which, char **where, const struct table_line *l, struct fail *f)
{
	c->file_line[which] = l->line;
	return set_path(where, l->key, l->v[0], f);
}

static int
set_dir(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_path(&((struct conf *)ctx)->dir, l->key, l->v[0], f);
}

static int
set_spool(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_path(&((struct conf *)ctx)->spool, l->key, l->v[0], f);
}

static int
set_passwords(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_file(ctx, CONF_FILE_PASSWORDS, &((struct conf *)ctx)->passwords, l, f);
}

static int
set_aliases(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_file(ctx, CONF_FILE_ALIASES, &((struct conf *)ctx)->aliases, l, f);
}

static int
set_submit(void *ctx, const struct table_line *l, struct fail *f)
{
	struct conf *c = ctx;
	struct endpoint at;

	if (l->v[0][0] == '/') {
		if (strlen(l->v[0]) > CONF_SOCKET_MAX)
			return fail(f, FAIL_INPUT, "submit: the path has more than %d octets", CONF_SOCKET_MAX);
		set_text(&c->submit_path, l->v[0]);
		return 0;
	}
	if (text_endpoint(l->v[0], 0, &at, f) == -1)
		return fail_prefix(f, "submit");
	if (!text_is_address(at.host))
		return fail(f, FAIL_INPUT, "submit: expected ADDR@PORT or the path of a socket, not \"%.200s\"",
		    l->v[0]);
	c->submit = at;
	return 0;
}

static int
set_credentials(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_file(ctx, CONF_FILE_CREDENTIALS, &((struct conf *)ctx)->credentials, l, f);
}

static int
set_out_cert(void *ctx, const struct table_line *l, struct fail *f)
{
	if (name_check_identity(l->v[0], f) == -1)
		return fail_prefix(f, "out-cert");
	set_text(&((struct conf *)ctx)->out_cert, l->v[0]);
	return 0;
}

static int
set_anchor(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_path(&((struct conf *)ctx)->anchor, l->key, l->v[0], f);
}

static int
set_user(void *ctx, const struct table_line *l, struct fail *f)
{
	(void)f;
	set_text(&((struct conf *)ctx)->user, l->v[0]);
	return 0;
}

static int
set_queue_user(void *ctx, const struct table_line *l, struct fail *f)
{
	(void)f;
	set_text(&((struct conf *)ctx)->queue_user, l->v[0]);
	return 0;
}

static int
set_resolver(void *ctx, const struct table_line *l, struct fail *f)
{
	struct endpoint e;

	if (strcmp(l->v[0], "recursive") != 0) {
		if (text_endpoint(l->v[0], 53, &e, f) == -1)
			return fail_prefix(f, "resolver");
		if (!text_is_address(e.host))
			return fail(f, FAIL_INPUT, "resolver: expected ADDR@PORT or recursive, not \"%.200s\"",
			    l->v[0]);
	}
	set_text(&((struct conf *)ctx)->resolver, l->v[0]);
	return 0;
}

static int
set_mx_port(void *ctx, const struct table_line *l, struct fail *f)
{
	long long n;

	if (text_number(l->v[0], 1, 65535, l->key, &n, f) == -1)
		return -1;
	((struct conf *)ctx)->mx_port = n;
	return 0;
}

static int
set_workers(void *ctx, const struct table_line *l, struct fail *f)
{
	long long n;

	if (text_number(l->v[0], 1, CONF_WORKERS_MAX, l->key, &n, f) == -1)
		return -1;
	((struct conf *)ctx)->workers = n;
	return 0;
}

static int
set_flag(int *flag, const struct table_line *l, struct fail *f)
{
	static const char *const words[] = { "no", "yes" };
	int i = text_word(l->key, l->v[0], words, COUNT(words), f);

	if (i == -1)
		return -1;
	*flag = i;
	return 0;
}

static int
set_deliver(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_flag(&((struct conf *)ctx)->deliver, l, f);
}

static int
set_loopback_mx(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_flag(&((struct conf *)ctx)->loopback_mx, l, f);
}

static struct conf_own *
add_own(struct conf *c, int family, uint16_t port)
{
	struct conf_own *o;

	c->own = xreallocarray(c->own, c->nown + 1, sizeof *c->own);
	o = &c->own[c->nown++];
	memset(o, 0, sizeof *o);
	o->addr.family = family;
	o->port = port;
	return o;
}

/* 0: the text is no address. */
static int
add_own_text(struct conf *c, const char *text, uint16_t port)
{
	struct conf_own *o = add_own(c, strchr(text, ':') == NULL ? AF_INET : AF_INET6, port);

	if (inet_pton(o->addr.family, text, &o->addr.ip) == 1)
		return 1;
	c->nown--;
	return 0;
}

static int
set_own_address(void *ctx, const struct table_line *l, struct fail *f)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!add_own_text(ctx, l->v[i], 0))
			return fail(f, FAIL_INPUT, "own-address: expected an address, not \"%.200s\"", l->v[i]);
	return 0;
}

static int
set_max_size(void *ctx, const struct table_line *l, struct fail *f)
{
	return limit_set(&((struct conf *)ctx)->limits, LIMIT_SIZE, l->v[0], f);
}

/* Each at most once in the file, max-size among them. */
static int
set_limit(void *ctx, const struct table_line *l, struct fail *f)
{
	struct conf *c = ctx;
	size_t i;
	int key;

	for (i = 0; i < l->n; i += 2) {
		if ((key = limit_find(l->v[i])) == -1)
			return fail(f, FAIL_INPUT, "limit: there is no limit \"%.64s\"", l->v[i]);
		if (i + 1 == l->n)
			return fail(f, FAIL_INPUT, "limit: no value behind \"%.64s\"", l->v[i]);
		if (limit_set(&c->limits, (enum limit_key)key, l->v[i + 1], f) == -1)
			return fail_prefix(f, "limit");
	}
	return 0;
}

/* OCTETS [INODES], percent NUMBER [INODES] */
static int
set_min_free(void *ctx, const struct table_line *l, struct fail *f)
{
	struct room_floor floor = { .inodes = ROOM_FLOOR_INODES };
	int percent = strcmp(l->v[0], "percent") == 0;
	size_t used = percent ? 2 : 1;
	long long n;

	if (l->n < used || l->n > used + 1)
		return fail(f, FAIL_INPUT, "%s: expected OCTETS or percent NUMBER, and INODES", l->key);
	if (percent && text_number(l->v[1], 0, 90, l->key, &n, f) == -1)
		return -1;
	if (!percent && text_size(l->v[0], 0, 1LL << 50, l->key, &n, f) == -1)
		return -1;
	if (percent)
		floor.percent = n;
	else
		floor.octets = n;
	if (floor.octets == 0 && floor.percent == 0)
		floor.inodes = 0;
	if (l->n > used && text_number(l->v[used], 0, 1LL << 40, "min-free: inodes", &n, f) == -1)
		return -1;
	if (l->n > used)
		floor.inodes = n;
	((struct conf *)ctx)->min_free = floor;
	return 0;
}

/* ---- listen ---- */

static int
set_recipients(void *ctx, const struct table_line *l, struct fail *f)
{
	return set_file(ctx, CONF_FILE_RECIPIENTS, &((struct conf *)ctx)->recipients, l, f);
}

/* Not what is part of an address anyway, or of a bounce's. */
static int
set_delimiter(void *ctx, const struct table_line *l, struct fail *f)
{
	if (strlen(l->v[0]) != 1 || strchr("+-_=#~", l->v[0][0]) == NULL)
		return fail(f, FAIL_INPUT, "recipient-delimiter: expected one of + - _ = # ~, not \"%.64s\"", l->v[0]);
	((struct conf *)ctx)->delimiter = l->v[0][0];
	return 0;
}

/* ---- listen ---- */

static int
listen_type(struct conf_listen *l, const char *word, struct fail *f)
{
	int i = text_word("type", word, type_names, COUNT(type_names), f);

	if (i == -1)
		return -1;
	l->type = (enum conf_type)i;
	return 0;
}

static int
listen_tls(struct conf_listen *l, const char *word, struct fail *f)
{
	int i = text_word("tls", word, access_tls_names, ACCESS_TLS_NAMES, f);

	if (i == -1)
		return -1;
	l->tls = (enum smtp_server_tls_level)i;
	return 0;
}

static int
listen_auth(struct conf_listen *l, const char *word, struct fail *f)
{
	static const char *const words[] = { [SMTP_SERVER_AUTH_NO] = "no",
		[SMTP_SERVER_AUTH_OFFERED] = "offered", [SMTP_SERVER_AUTH_REQUIRED] = "required" };
	int i = text_word("auth", word, words, COUNT(words), f);

	if (i == -1)
		return -1;
	l->auth = (enum smtp_server_auth)i;
	return 0;
}

static int
listen_concurrency(struct conf_listen *l, const char *word, struct fail *f)
{
	long long n;

	if (text_number(word, 1, 100000, "concurrency", &n, f) == -1)
		return -1;
	l->concurrency = n;
	return 0;
}

static int
listen_backlog(struct conf_listen *l, const char *word, struct fail *f)
{
	long long n;

	if (text_number(word, 1, 65535, "backlog", &n, f) == -1)
		return -1;
	l->backlog = n;
	return 0;
}

static int
listen_client_names(struct conf_listen *l, const char *word, struct fail *f)
{
	static const char *const words[] = { "no", "yes" };

	return (l->client_names = text_word("client-names", word, words, COUNT(words), f)) == -1 ? -1 : 0;
}

static const struct {
	const char *key;
	int (*set)(struct conf_listen *, const char *, struct fail *);
} listen_options[] = { { "type", listen_type }, { "tls", listen_tls }, { "auth", listen_auth },
	{ "concurrency", listen_concurrency }, { "backlog", listen_backlog },
	{ "client-names", listen_client_names } };

static int
listen_option(struct conf_listen *l, const char *key, const char *value, struct fail *f)
{
	size_t i;
	int limit;

	for (i = 0; i < COUNT(listen_options); i++)
		if (strcmp(listen_options[i].key, key) == 0)
			return listen_options[i].set(l, value, f);
	if ((limit = limit_find(key)) != -1)
		return limit_set(&l->limits, (enum limit_key)limit, value, f) == -1 ? fail_prefix(f, "listen") : 0;
	return conf_listen_option(l, key, value, f);
}

/* What looks like an option there would leave the listener without it, in silence. */
static int
check_domain_word(const char *word, struct fail *f)
{
	size_t i;
	int is_key = strcmp(word, "domains") == 0 || limit_find(word) != -1 || conf_listen_is_option(word);

	for (i = 0; i < COUNT(listen_options); i++)
		is_key |= strcmp(listen_options[i].key, word) == 0;
	if (is_key)
		return fail(f, FAIL_INPUT, "domains: \"%s\" is an option of listen: domains must come last", word);
	if (strchr(word, '.') == NULL)
		return fail(f, FAIL_INPUT, "domains: \"%.200s\" has no dot; options stand before domains, and a "
		    "domain of one label is written with a dot at its end", word);
	return 0;
}

static int
listen_domains(struct conf_listen *l, char **word, size_t n, struct fail *f)
{
	size_t i;

	l->domain = xcalloc(n, sizeof *l->domain);
	for (i = 0; i < n; i++) {
		if (check_domain_word(word[i], f) == -1)
			return -1;
		if ((l->domain[l->ndomains] = access_domain(word[i], f)) == NULL)
			return fail_prefix(f, "domains");
		l->ndomains++;
	}
	return 0;
}

static struct conf_listen *
find_listen(const struct conf *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nlisten; i++)
		if (strcmp(c->listen[i].name, name) == 0)
			return &c->listen[i];
	return NULL;
}

/* 0.0.0.0 and :: are all addresses of their family. */
static int
same_address(const char *a, const char *b)
{
	uint8_t x[16] = { 0 }, y[16] = { 0 }, any[16] = { 0 };
	int family = strchr(a, ':') != NULL ? AF_INET6 : AF_INET;

	if (inet_pton(family, a, x) != 1 || inet_pton(family, b, y) != 1)
		return 0;
	return memcmp(x, y, sizeof x) == 0 || memcmp(x, any, sizeof x) == 0 || memcmp(y, any, sizeof y) == 0;
}

static int
same_place(const struct conf_listen *a, const struct conf_listen *b)
{
	if (a->path != NULL || b->path != NULL)
		return a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0;
	return a->at.port == b->at.port && same_address(a->at.host, b->at.host);
}

/* l is the last one. */
static int
check_place(const struct conf *c, const struct conf_listen *l, struct fail *f)
{
	const struct conf_listen *other;

	for (other = c->listen; other < l; other++)
		if (same_place(l, other)) {
			char *place = conf_listen_place(l);

			fail(f, FAIL_INPUT, "listen %.64s: %s is taken by listen %.64s", l->name, place, other->name);
			free(place);
			return -1;
		}
	return 0;
}

static int
listen_settle(struct conf_listen *l, int tls_given, struct fail *f)
{
	if (l->ndomains > 0 && l->type == CONF_PRIVATE)
		return fail(f, FAIL_INPUT, "listen %.64s: a private listener has no domains", l->name);
	if (l->ndomains == 0 && l->type == CONF_PUBLIC)
		return fail(f, FAIL_INPUT, "listen %.64s: a public listener needs domains", l->name);
	if (l->auth != SMTP_SERVER_AUTH_NO && l->tls == SMTP_SERVER_TLS_NO)
		return fail(f, FAIL_INPUT, "listen %.64s: auth without tls preferred or required", l->name);
	return conf_listen_settle(l, tls_given, f);
}

static int
set_listen(void *ctx, const struct table_line *line, struct fail *f)
{
	struct conf *c = ctx;
	struct conf_listen *l;
	int tls_given = 0;
	size_t i;

	if (find_listen(c, line->v[0]) != NULL)
		return fail(f, FAIL_INPUT, "listen: a second listener \"%.64s\"", line->v[0]);
	if (c->nlisten == CONF_LISTEN_MAX)
		return fail(f, FAIL_INPUT, "listen: more than %d listeners", CONF_LISTEN_MAX);
	c->listen = xreallocarray(c->listen, c->nlisten + 1, sizeof *c->listen);
	l = &c->listen[c->nlisten++];
	conf_listen_init(l, line->v[0]);
	l->line = line->line;
	if (conf_listen_at(l, line->v[1], f) == -1)
		return -1;
	if (check_place(c, l, f) == -1)
		return -1;
	for (i = 2; i < line->n; i += 2) {
		if (i + 1 == line->n)
			return fail(f, FAIL_INPUT, "listen: no value behind \"%.64s\"", line->v[i]);
		if (strcmp(line->v[i], "domains") == 0) {
			if (listen_domains(l, line->v + i + 1, line->n - i - 1, f) == -1)
				return -1;
			break;
		}
		if (listen_option(l, line->v[i], line->v[i + 1], f) == -1)
			return -1;
		tls_given |= strcmp(line->v[i], "tls") == 0;
	}
	return listen_settle(l, tls_given, f);
}

/* ---- hosts ---- */

/* Only a listener with TLS has keys loaded for it. */
static int
check_hosts(const struct conf_listen *l, const struct conf_hosts *h, struct fail *f)
{
	size_t i;

	if (l->path != NULL && (h->net.bits >= 0 || h->name != NULL))
		return fail(f, FAIL_INPUT, "clients of a unix socket have no address: expected default");
	if (h->tls > SMTP_SERVER_TLS_NO && l->tls == SMTP_SERVER_TLS_NO)
		return fail(f, FAIL_INPUT, "tls %s on a listener with tls no: let the listener have TLS, and give "
		    "the other hosts tls no", access_tls_names[h->tls]);
	if (conf_tls(l, h) == SMTP_SERVER_TLS_NO && (h->client_cert > CONF_CLIENT_CERT_NO ||
	    conf_client_cert(l, h) == CONF_CLIENT_CERT_REQUIRED))
		return fail(f, FAIL_INPUT, "client-cert %s beside tls no: a certificate comes with TLS alone",
		    conf_client_cert_name(conf_client_cert(l, h)));
	for (i = 0; i < l->nhosts; i++)
		if (access_same(&l->hosts[i], h))
			return fail(f, FAIL_INPUT, "a second line for the same hosts");
	return 0;
}

static int
set_hosts(void *ctx, const struct table_line *line, struct fail *f)
{
	struct conf_listen *l = find_listen(ctx, line->v[0]);
	struct conf_hosts h;

	if (l == NULL)
		return fail(f, FAIL_INPUT, "hosts: no listener \"%.64s\" above", line->v[0]);
	if (access_parse(&h, line->v + 1, line->n - 1, f) == -1 || check_hosts(l, &h, f) == -1) {
		access_clear(&h);
		return fail_prefix(f, "hosts");
	}
	l->hosts = xreallocarray(l->hosts, l->nhosts + 1, sizeof *l->hosts);
	l->hosts[l->nhosts++] = h;
	return 0;
}

static int
set_domain_map(void *ctx, const struct table_line *line, struct fail *f)
{
	struct conf_listen *l = find_listen(ctx, line->v[0]);

	if (l == NULL)
		return fail(f, FAIL_INPUT, "domain-map: no listener \"%.64s\" above", line->v[0]);
	return conf_listen_map(l, line->v[1], line->v[2], f);
}

unsigned
conf_share(const struct conf_listen *l, const struct conf_hosts *h)
{
	if (l->type != CONF_PUBLIC || l->path != NULL || (h != NULL && h->action == CONF_RELAY))
		return 0;
	return limit_share(l->concurrency);
}

void
conf_limits(const struct conf *c, const struct conf_listen *l, const struct conf_hosts *h, struct limits *out)
{
	*out = c->limits;
	limits_overlay(out, &l->limits);
	if (h != NULL)
		limits_overlay(out, &h->limits);
	if (!limits_has(out, LIMIT_CLIENT_CONCURRENCY))
		out->value[LIMIT_CLIENT_CONCURRENCY] = conf_share(l, h);
}

enum smtp_server_tls_level
conf_tls(const struct conf_listen *l, const struct conf_hosts *h)
{
	return h != NULL && h->tls != -1 ? (enum smtp_server_tls_level)h->tls : l->tls;
}

enum conf_client_cert
conf_client_cert(const struct conf_listen *l, const struct conf_hosts *h)
{
	return h != NULL && h->client_cert != -1 ? (enum conf_client_cert)h->client_cert : l->client.cert;
}

int
conf_has_auth(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->nlisten; i++)
		if (c->listen[i].auth != SMTP_SERVER_AUTH_NO)
			return 1;
	return 0;
}

int
conf_has_domain(const struct conf_listen *l, const char *domain)
{
	size_t i, n = strlen(domain);

	for (i = 0; i < l->ndomains; i++) {
		const char *p = l->domain[i];
		size_t len = strlen(p);

		if (p[0] != '.' ? text_case_eq(p, domain) : n > len && text_case_eq(domain + n - len, p))
			return 1;
	}
	return 0;
}

/* ---- destination and route ---- */

static char *
destination_pattern(const char *word, const char *key, struct fail *f)
{
	char *pattern;

	if (strcmp(word, "default") == 0)
		return xstrdup(word);
	if ((pattern = access_domain(word, f)) == NULL)
		fail_prefix(f, "%s", key);
	return pattern;
}

static int
destination_control(struct conf_destination *d, const char *key, const char *word, struct fail *f)
{
	int i = controls_find(key);

	if (i == -1)
		return fail(f, FAIL_INPUT, "destination: unknown option \"%.64s\"", key);
	if (d->controls.given & 1U << i)
		return fail(f, FAIL_INPUT, "destination: %s is given twice", key);
	if (strcmp(word, "default") == 0)
		return 0;
	return controls_set(&d->controls, (enum controls_key)i, word, f) == -1 ? fail_prefix(f, "destination") : 0;
}

static int
destination_option(struct conf_destination *d, const char *key, const char *word, struct fail *f)
{
	int i = policy_key_find(key);

	if (i == -1)
		return destination_control(d, key, word, f);
	if (d->given & 1U << i)
		return fail(f, FAIL_INPUT, "destination: %s is given twice", key);
	/* Said or not said, it is as in the default line. */
	if (strcmp(word, "default") == 0)
		return 0;
	d->given |= 1U << i;
	return policy_set(&d->policy, (enum policy_key)i, word, f);
}

/* On one line tls no beside DANE or MTA-STS is a contradiction. */
static int
destination_check(const struct conf_destination *d, struct fail *f)
{
	struct policy said = { .tls = POLICY_TLS_PREFERRED };
	enum policy_key key;

	for (key = POLICY_KEY_TLS; (unsigned)key < POLICY_KEYS; key++)
		if (d->given & 1U << key)
			policy_copy(&said, &d->policy, key);
	return policy_check(&said, f);
}

static int
destination_options(struct conf_destination *d, const struct table_line *line, struct fail *f)
{
	size_t i;

	for (i = 1; i + 1 < line->n; i += 2)
		if (destination_option(d, line->v[i], line->v[i + 1], f) == -1)
			return -1;
	if (i < line->n)
		return fail(f, FAIL_INPUT, "destination: no value behind \"%.64s\"", line->v[i]);
	return destination_check(d, f);
}

static int
set_destination(void *ctx, const struct table_line *line, struct fail *f)
{
	struct conf *c = ctx;
	struct conf_destination d = { .policy = POLICY_DEFAULT };
	size_t i;

	if (destination_options(&d, line, f) == -1 ||
	    (d.pattern = destination_pattern(line->v[0], line->key, f)) == NULL) {
		controls_clear(&d.controls);
		return -1;
	}
	for (i = 0; i < c->ndestinations; i++)
		if (strcmp(c->destination[i].pattern, d.pattern) == 0) {
			controls_clear(&d.controls);
			free(d.pattern);
			return fail(f, FAIL_INPUT, "destination: a second line for \"%.200s\"", line->v[0]);
		}
	c->destination = xreallocarray(c->destination, c->ndestinations + 1, sizeof d);
	c->destination[c->ndestinations++] = d;
	return 0;
}

static int
set_route(void *ctx, const struct table_line *line, struct fail *f)
{
	struct conf *c = ctx;
	struct conf_route r = { .line = line->line };
	size_t i;

	if (hops_parse(&r.hops, line->v + 1, line->n - 1, f) == -1) {
		hops_clear(&r.hops);
		return fail_prefix(f, "route");
	}
	if ((r.pattern = destination_pattern(line->v[0], line->key, f)) == NULL) {
		hops_clear(&r.hops);
		return -1;
	}
	for (i = 0; i < c->nroutes; i++)
		if (strcmp(c->route[i].pattern, r.pattern) == 0) {
			hops_clear(&r.hops);
			free(r.pattern);
			return fail(f, FAIL_INPUT, "route: a second line for \"%.200s\"", line->v[0]);
		}
	c->route = xreallocarray(c->route, c->nroutes + 1, sizeof r);
	c->route[c->nroutes++] = r;
	return 0;
}

/* ---- alerts ---- */

static int
set_alert(void *ctx, const struct table_line *l, struct fail *f)
{
	return conf_alert_to(&((struct conf *)ctx)->alert, l, f);
}

static int
set_alert_hook(void *ctx, const struct table_line *l, struct fail *f)
{
	((struct conf *)ctx)->file_line[CONF_FILE_HOOK] = l->line;
	return conf_alert_hook(&((struct conf *)ctx)->alert, l, f);
}

static int
set_alert_user(void *ctx, const struct table_line *l, struct fail *f)
{
	return conf_alert_user(&((struct conf *)ctx)->alert, l, f);
}

static int
set_alert_interval(void *ctx, const struct table_line *l, struct fail *f)
{
	return conf_alert_interval(&((struct conf *)ctx)->alert, l, f);
}

static int
set_alert_before(void *ctx, const struct table_line *l, struct fail *f)
{
	return conf_alert_before(&((struct conf *)ctx)->alert, l, f);
}

/* ---- which one applies ---- */

/* How well a pattern fits: its length, so that the longest wins; -1 where it does not. */
static int
fit(const char *pattern, const char *domain)
{
	size_t n = strlen(pattern), len = strlen(domain);

	if (strcmp(pattern, "default") == 0)
		return 0;
	if (pattern[0] != '.')
		return strcmp(pattern, domain) == 0 ? 1000 : -1;
	return len > n && strcmp(domain + len - n, pattern) == 0 ? (int)n : -1;
}

static void
overlay(struct policy *out, const struct conf_destination *d)
{
	enum policy_key key;

	for (key = POLICY_KEY_TLS; d != NULL && (unsigned)key < POLICY_KEYS; key++)
		if (d->given & 1U << key)
			policy_copy(out, &d->policy, key);
}

static const struct conf_destination *
default_line(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->ndestinations; i++)
		if (strcmp(c->destination[i].pattern, "default") == 0)
			return &c->destination[i];
	return NULL;
}

/* The line's settings where it stands alone, as -n prints and delivery uses them. */
static void
settings_of(const struct conf *c, const struct conf_destination *d, struct policy *out)
{
	static const struct policy standard = POLICY_DEFAULT;

	*out = standard;
	overlay(out, default_line(c));
	overlay(out, d);
	policy_settle(out);
}

static const struct conf_destination *
line_for(const struct conf *c, const char *domain)
{
	const struct conf_destination *best_line = NULL;
	int best = -1, now;
	size_t i;

	for (i = 0; i < c->ndestinations; i++)
		if ((now = fit(c->destination[i].pattern, domain)) > best) {
			best = now;
			best_line = &c->destination[i];
		}
	return best_line;
}

void
conf_policy(const struct conf *c, const char *domain, struct policy *out)
{
	const struct conf_route *r = conf_route_to(c, domain);

	settings_of(c, line_for(c, domain), out);
	out->routed = r != NULL;
	out->password = r != NULL && r->hops.credentials != NULL;
	out->guard = !out->routed && !c->loopback_mx;
}

/* As settings_of(). */
static void
controls_of(const struct conf *c, const struct conf_destination *d, struct controls *out)
{
	const struct conf_destination *standard = default_line(c);

	*out = controls_standard;
	if (c->out_cert != NULL) {
		out->cert = c->out_cert;
		out->given |= 1U << CONTROLS_CERT;
	}
	if (standard != NULL)
		controls_overlay(out, &standard->controls);
	if (d != NULL)
		controls_overlay(out, &d->controls);
}

void
conf_controls(const struct conf *c, const char *domain, struct controls *out)
{
	const struct conf_route *r = conf_route_to(c, domain);

	controls_of(c, line_for(c, domain), out);
	out->credentials = r != NULL ? r->hops.credentials : NULL;
}

char *
conf_counted_as(const struct conf *c, const char *domain)
{
	const struct conf_route *r = conf_route_to(c, domain);

	return r != NULL ? xasprintf("route %s", r->pattern) : xstrdup(domain);
}

static void
add_cert(const char **v, size_t *n, const char *name)
{
	size_t i;

	if (name == NULL)
		return;
	for (i = 0; i < *n; i++)
		if (strcmp(v[i], name) == 0)
			return;
	v[(*n)++] = name;
}

const char **
conf_out_certs(const struct conf *c, size_t *n)
{
	const char **v = xcalloc(c->ndestinations + 1, sizeof *v);
	size_t i;

	*n = 0;
	add_cert(v, n, c->out_cert);
	for (i = 0; i < c->ndestinations; i++)
		add_cert(v, n, c->destination[i].controls.cert);
	return v;
}

int
conf_has_credentials(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->nroutes; i++)
		if (c->route[i].hops.credentials != NULL)
			return 1;
	return 0;
}

int
conf_needs_trust(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->ndestinations; i++) {
		const struct conf_destination *d = &c->destination[i];

		if ((d->given & 1U << POLICY_KEY_TLS) && d->policy.tls >= POLICY_TLS_REQUIRED_VERIFY)
			return 1;
	}
	return conf_has_credentials(c);
}

const struct conf_route *
conf_route_to(const struct conf *c, const char *domain)
{
	const struct conf_route *found = NULL;
	int best = -1, now;
	size_t i;

	for (i = 0; i < c->nroutes; i++)
		if ((now = fit(c->route[i].pattern, domain)) > best) {
			best = now;
			found = &c->route[i];
		}
	return found;
}

const struct conf_route *
conf_route_with(const struct conf *c, const char *credentials)
{
	size_t i;

	for (i = 0; i < c->nroutes; i++)
		if (c->route[i].hops.credentials != NULL && strcmp(c->route[i].hops.credentials, credentials) == 0)
			return &c->route[i];
	return NULL;
}

/* ---- the relay itself ---- */

static int
is_own(const struct conf *c, const struct facts_addr *a, uint16_t port)
{
	size_t i;

	for (i = 0; i < c->nown; i++) {
		const struct conf_own *o = &c->own[i];

		if (o->addr.family == a->family && (o->port == 0 || o->port == port) &&
		    memcmp(&o->addr.ip, &a->ip, a->family == AF_INET ? 4 : 16) == 0)
			return 1;
	}
	return 0;
}

void
conf_mark_own(const struct conf *c, const char *domain, uint16_t port, struct facts *facts)
{
	const struct conf_route *r = conf_route_to(c, domain);
	size_t i, j;

	if (r != NULL) {
		/* The password is the host's: whoever has a certificate for the domain of a recipient must not get it. */
		if (facts->recipient == NULL && domain[0] != '[' && r->hops.credentials == NULL)
			facts->recipient = xstrdup(domain);
		return;
	}
	for (i = 0; i < facts->nhost; i++) {
		struct facts_host *h = &facts->host[i];

		h->own = text_case_eq(h->name, c->hostname) || text_case_eq(h->canonical, c->hostname);
		for (j = 0; j < h->naddr; j++)
			h->addr[j].own = is_own(c, &h->addr[j], port);
	}
}

/* A listener on all addresses is on those that the machine has now. */
static void
add_interfaces(struct conf *c, int family, uint16_t port)
{
	struct ifaddrs *list = NULL, *i;

	if (getifaddrs(&list) == -1)
		return;
	for (i = list; i != NULL; i = i->ifa_next) {
		struct sockaddr_in sin;
		struct sockaddr_in6 sin6;

		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family)
			continue;
		if (family == AF_INET) {
			memcpy(&sin, i->ifa_addr, sizeof sin);
			add_own(c, family, port)->addr.ip.v4 = sin.sin_addr;
		} else {
			memcpy(&sin6, i->ifa_addr, sizeof sin6);
			add_own(c, family, port)->addr.ip.v6 = sin6.sin6_addr;
		}
	}
	freeifaddrs(list);
}

static void
find_own_addresses(struct conf *c)
{
	size_t i;

	for (i = 0; i < c->nlisten; i++) {
		const struct endpoint *at = &c->listen[i].at;

		if (c->listen[i].path != NULL)
			continue;
		if (strcmp(at->host, "0.0.0.0") == 0)
			add_interfaces(c, AF_INET, at->port);
		else if (strcmp(at->host, "::") == 0)
			add_interfaces(c, AF_INET6, at->port);
		else
			add_own_text(c, at->host, at->port);
	}
}

/* ---- the file ---- */

static const struct room_floor usual_floor = { .octets = ROOM_FLOOR_OCTETS, .inodes = ROOM_FLOOR_INODES };

static const struct table_row rows[] = {
	{ "hostname", 1, 1, TABLE_ONCE, set_hostname },
	{ "dir", 1, 1, TABLE_ONCE, set_dir },
	{ "spool", 1, 1, TABLE_ONCE, set_spool },
	{ "user", 1, 1, TABLE_ONCE, set_user },
	{ "queue-user", 1, 1, TABLE_ONCE, set_queue_user },
	{ "passwords", 1, 1, TABLE_ONCE, set_passwords },
	{ "aliases", 1, 1, TABLE_ONCE, set_aliases },
	{ "submit", 1, 1, TABLE_ONCE, set_submit },
	{ "credentials", 1, 1, TABLE_ONCE, set_credentials },
	{ "out-cert", 1, 1, TABLE_ONCE, set_out_cert },
	{ "anchor", 1, 1, TABLE_ONCE, set_anchor },
	{ "resolver", 1, 1, TABLE_ONCE, set_resolver },
	{ "mx-port", 1, 1, TABLE_ONCE, set_mx_port },
	{ "workers", 1, 1, TABLE_ONCE, set_workers },
	{ "max-size", 1, 1, TABLE_ONCE, set_max_size },
	{ "min-free", 1, 3, TABLE_ONCE, set_min_free },
	{ "deliver", 1, 1, TABLE_ONCE, set_deliver },
	{ "loopback-mx", 1, 1, TABLE_ONCE, set_loopback_mx },
	{ "own-address", 1, 64, TABLE_ONCE, set_own_address },
	{ "retry", 1, 2, TABLE_ONCE, conf_set_retry },
	{ "lifetime", 1, 1, TABLE_ONCE, conf_set_lifetime },
	{ "bounce-lifetime", 1, 1, TABLE_ONCE, conf_set_bounce_lifetime },
	{ "delay-notice", 1, 1, TABLE_ONCE, conf_set_delay_notice },
	{ "bounce-size", 1, 1, TABLE_ONCE, conf_set_bounce_size },
	{ "double-bounce-to", 1, 1, TABLE_ONCE, conf_set_double_bounce_to },
	{ "listen", 2, TABLE_WORDS_MAX, TABLE_REQUIRED, set_listen },
	{ "limit", 2, 64, 0, set_limit },
	{ "recipients", 1, 1, TABLE_ONCE, set_recipients },
	{ "recipient-delimiter", 1, 1, TABLE_ONCE, set_delimiter },
	{ "hosts", 3, 256, 0, set_hosts },
	{ "domain-map", 3, 3, 0, set_domain_map },
	{ "destination", 1, 64, 0, set_destination },
	{ "route", 2, 16, 0, set_route },
	{ "alert", 1, CONF_ALERT_MAX, 0, set_alert },
	{ "alert-hook", 1, 1, TABLE_ONCE, set_alert_hook },
	{ "alert-user", 1, 1, TABLE_ONCE, set_alert_user },
	{ "alert-interval", 1, 1, TABLE_ONCE, set_alert_interval },
	{ "alert-before", 1, 1, TABLE_ONCE, set_alert_before },
	{ "tlsrpt", 1, 7, TABLE_ONCE, conf_set_tlsrpt },
	{ "dkim", 3, 5, 0, conf_set_dkim },
};

static char *
own_hostname(void)
{
	return name_own_host("localhost");
}

static struct conf *
conf_new(const char *file)
{
	struct conf *c = xcalloc(1, sizeof *c);

	c->file = xstrdup(file);
	c->mx_port = 25;
	c->workers = 2;
	c->deliver = 1;
	conf_notice_begin(c);
	c->limits = limits_standard;
	c->min_free = usual_floor;
	conf_alert_init(&c->alert);
	return c;
}

struct conf *
conf_parse_text(const char *file, const char *text, size_t len, table_error_fn *report, void *arg, size_t *errors)
{
	struct conf *c = conf_new(file);

	*errors = table_parse(file, text, len, rows, COUNT(rows), c, report, arg);
	if (c->hostname == NULL)
		c->hostname = own_hostname();
	if (c->dir == NULL)
		c->dir = xstrdup(tool_dir(NULL));
	if (c->spool == NULL)
		c->spool = xstrdup(SPOOL_DIR_DEFAULT);
	if (c->passwords == NULL)
		c->passwords = file_join(c->dir, CONF_PASSWORDS);
	conf_notice_end(c);
	if (c->credentials == NULL)
		c->credentials = file_join(c->dir, CONF_CREDENTIALS);
	find_own_addresses(c);
	return c;
}

struct conf *
conf_parse(const char *file, table_error_fn *report, void *arg, size_t *errors, struct fail *f)
{
	struct buf text = BUF_INIT;
	struct conf *c;

	if (file_read_regular(file, CONF_FILE_MAX, &text, f) == -1)
		return NULL;
	c = conf_parse_text(file, text.p, text.len, report, arg, errors);
	buf_clear(&text);
	return c;
}

struct conf *
conf_read(const char *file, table_error_fn *report, void *arg, struct fail *f)
{
	size_t errors;
	struct conf *c = conf_parse(file, report, arg, &errors, f);

	if (c == NULL || errors == 0)
		return c;
	fail(f, FAIL_INPUT, "%.300s: %zu error%s", file, errors, errors == 1 ? "" : "s");
	conf_free(c);
	return NULL;
}

void
conf_free(struct conf *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nlisten; i++)
		conf_listen_clear(&c->listen[i]);
	for (i = 0; i < c->ndestinations; i++) {
		free(c->destination[i].pattern);
		controls_clear(&c->destination[i].controls);
	}
	for (i = 0; i < c->nroutes; i++) {
		free(c->route[i].pattern);
		hops_clear(&c->route[i].hops);
	}
	free(c->listen);
	free(c->own);
	free(c->destination);
	free(c->route);
	free(c->hostname);
	free(c->dir);
	free(c->spool);
	free(c->user);
	free(c->queue_user);
	free(c->passwords);
	free(c->aliases);
	free(c->submit_path);
	free(c->credentials);
	free(c->out_cert);
	free(c->anchor);
	free(c->resolver);
	free(c->recipients);
	free(c->double_bounce_to);
	conf_alert_clear(&c->alert);
	conf_report_clear(c);
	free(c->file);
	free(c);
}

/* ---- the summary ---- */

/* Those whom no hosts line names; and what a password changes, for whoever gets as far as to say it. */
static void
print_others(struct buf *b, const struct conf_listen *l)
{
	if (l->auth != SMTP_SERVER_AUTH_NO)
		buf_puts(b, "    who authenticates: relay\n");
	if (l->path != NULL && l->type == CONF_PRIVATE && l->nhosts == 0)
		buf_puts(b, "    who may write to the socket: relay\n");
	else if (l->path == NULL && l->type == CONF_PRIVATE && l->auth == SMTP_SERVER_AUTH_REQUIRED)
		buf_puts(b, "    all other hosts: may authenticate\n");
	else if (l->path == NULL && l->type == CONF_PRIVATE && l->auth == SMTP_SERVER_AUTH_OFFERED)
		buf_puts(b, "    all other hosts: reject, before they could authenticate (auth required lets them)\n");
	else if (l->path == NULL && l->type == CONF_PRIVATE)
		buf_puts(b, "    all other hosts: reject\n");
}

/* Of a client, where neither the listener nor a line "limit" says it. */
static void
print_share(struct buf *b, const struct conf *c, const struct conf_listen *l)
{
	unsigned share = conf_share(l, NULL);

	if (share > 0 && !limits_has(&c->limits, LIMIT_CLIENT_CONCURRENCY) &&
	    !limits_has(&l->limits, LIMIT_CLIENT_CONCURRENCY))
		buf_printf(b, ", %s %u", limit_name(LIMIT_CLIENT_CONCURRENCY), share);
}

static void
print_listen(struct buf *b, const struct conf *c, const struct conf_listen *l)
{
	char *place = conf_listen_place(l);
	size_t i;

	buf_printf(b, "listener %s on %s: %s, tls %s", l->name, place, type_names[l->type], access_tls_names[l->tls]);
	free(place);
	conf_listen_print_words(b, l);
	if (l->auth != SMTP_SERVER_AUTH_NO)
		buf_printf(b, ", auth %s", l->auth == SMTP_SERVER_AUTH_REQUIRED ? "required" : "offered");
	buf_printf(b, ", %u sessions, backlog %u", l->concurrency, l->backlog);
	if (l->client_names)
		buf_puts(b, ", client names");
	print_share(b, c, l);
	limits_print(b, &l->limits);
	buf_puts(b, "\n");
	conf_listen_print_lines(b, l);
	for (i = 0; i < l->ndomains; i++)
		buf_printf(b, "    takes mail for %s\n", l->domain[i]);
	for (i = 0; i < l->nhosts; i++) {
		buf_puts(b, "    hosts ");
		access_print(b, &l->hosts[i]);
		buf_puts(b, "\n");
	}
	print_others(b, l);
}

static int
has_destination(const struct conf *c, const char *pattern)
{
	size_t i;

	for (i = 0; i < c->ndestinations; i++)
		if (strcmp(c->destination[i].pattern, pattern) == 0)
			return 1;
	return 0;
}

/* What holds for it, whichever line says so: tls and dane, and what else is not as built in. */
static void
print_destination(const struct conf *c, struct buf *b, const struct conf_destination *d)
{
	static const struct policy standard = POLICY_DEFAULT;
	struct policy policy;
	struct controls controls;
	enum policy_key key;

	settings_of(c, d, &policy);
	controls_of(c, d, &controls);
	buf_printf(b, "destination %s:", d->pattern);
	for (key = POLICY_KEY_TLS; (unsigned)key < POLICY_KEYS; key++)
		if (key <= POLICY_KEY_DANE ||
		    strcmp(policy_word(&policy, key), policy_word(&standard, key)) != 0)
			buf_printf(b, "%s %s %s", key == POLICY_KEY_TLS ? "" : ",", policy_key_name(key),
			    policy_word(&policy, key));
	controls_print(b, &controls);
	buf_puts(b, "\n");
}

static void
print_route(struct buf *b, const struct conf_route *r)
{
	buf_printf(b, "route %s: ", r->pattern);
	hops_print(b, &r->hops);
	buf_puts(b, "\n");
}

/* Those that the file gives, max-size aside. */
static void
print_limits(const struct conf *c, struct buf *b)
{
	struct limits said = c->limits;
	struct buf text = BUF_INIT;

	said.given &= ~(UINT32_C(1) << LIMIT_SIZE);
	limits_print(&text, &said);
	if (text.len > 0)
		buf_printf(b, "limits: %s\n", text.p + 2);
	buf_clear(&text);
}

static void
print_recipients(const struct conf *c, struct buf *b)
{
	buf_printf(b, "recipients in %s", c->recipients);
	if (c->delimiter != '\0')
		buf_printf(b, ", extensions behind %c", c->delimiter);
	buf_puts(b, "\n");
}

static void
print_min_free(struct buf *b, const struct room_floor *floor)
{
	if (floor->octets == usual_floor.octets && floor->inodes == usual_floor.inodes)
		return;
	if (floor->percent > 0)
		buf_printf(b, "no mail is taken where less than %u percent", floor->percent);
	else
		buf_printf(b, "no mail is taken where less than %llu octets", (unsigned long long)floor->octets);
	buf_printf(b, " or %llu inodes of the spool's file system are free\n",
	    (unsigned long long)floor->inodes);
}

static void
print_all(const struct conf *c, struct buf *b)
{
	size_t i;

	buf_printf(b, "host name %s, identities in %s/certs, spool %s, %u workers\n", c->hostname, c->dir,
	    c->spool, c->workers);
	if (c->user != NULL && c->queue_user != NULL)
		buf_printf(b, "users %s, and %s for the queue\n", c->user, c->queue_user);
	buf_printf(b, "messages of at most %llu octets\n", (unsigned long long)c->limits.value[LIMIT_SIZE]);
	conf_notice_print(c, b);
	print_limits(c, b);
	if (c->recipients != NULL)
		print_recipients(c, b);
	print_min_free(b, &c->min_free);
	buf_printf(b, "resolver %s, anchor %s, hosts of MX asked at port %u\n",
	    c->resolver != NULL ? c->resolver : "of /etc/resolv.conf", c->anchor != NULL ? c->anchor : DNS_ROOT_ANCHOR,
	    c->mx_port);
	conf_alert_print(&c->alert, b);
	if (c->submit_path != NULL)
		buf_printf(b, "local programs hand mail in at %s\n", c->submit_path);
	else if (c->submit.host[0] != '\0')
		buf_printf(b, "local programs hand mail in at %s@%u\n", c->submit.host, c->submit.port);
	if (c->aliases != NULL)
		buf_printf(b, "aliases in %s\n", c->aliases);
	if (!c->deliver)
		buf_printf(b, "nothing is delivered: mail waits in the queue\n");
	if (c->loopback_mx)
		buf_printf(b, "MX hosts may be on this machine\n");
	for (i = 0; i < c->nlisten; i++)
		print_listen(b, c, &c->listen[i]);
	if (c->out_cert != NULL)
		buf_printf(b, "certificate %s is shown to servers that ask for one\n", c->out_cert);
	if (conf_has_credentials(c))
		buf_printf(b, "credentials in %s\n", c->credentials);
	for (i = 0; i < c->ndestinations; i++)
		print_destination(c, b, &c->destination[i]);
	for (i = 0; i < c->nroutes; i++)
		print_route(b, &c->route[i]);
	conf_report_print(b, c);
}

/* A name or a path may hold any octet: what is none of ASCII's printable ones is not for a terminal. */
void
conf_print(const struct conf *c, struct buf *b)
{
	struct buf raw = BUF_INIT;
	size_t i;

	print_all(c, &raw);
	for (i = 0; i < raw.len; i++)
		if (raw.p[i] == '\n' || (raw.p[i] >= 0x20 && raw.p[i] < 0x7f))
			buf_putc(b, raw.p[i]);
		else
			buf_escape(b, &raw.p[i], 1);
	buf_clear(&raw);
}

/* Everybody, in one line; that nobody else reaches a loopback address is left to a private listener. */
static int
is_open(const struct conf_listen *l, const struct conf_hosts *h)
{
	struct facts_addr a = { .family = strchr(l->at.host, ':') == NULL ? AF_INET : AF_INET6 };
	const char *special = NULL;

	if (h->action != CONF_RELAY || h->name != NULL || h->net.bits > 0 || l->path != NULL)
		return 0;
	if (inet_pton(a.family, l->at.host, &a.ip) == 1)
		special = facts_addr_special(&a);
	return l->type == CONF_PUBLIC || special == NULL || strcmp(special, "loopback") != 0;
}

static int
has_address(const struct hops *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->v[i].host != NULL && text_is_address(r->v[i].host))
			return 1;
	return 0;
}

/* TLSA records belong to a name (RFC 7672 2.2): where they are demanded of an address, all mail waits. */
static size_t
warn_of_literal(struct buf *b, const struct conf *c, const char *pattern)
{
	char *domain = xasprintf("%s%s", pattern[0] == '.' ? "x" : "", pattern);
	const struct conf_route *r = conf_route_to(c, domain);
	struct policy policy;
	size_t n = 0;

	conf_policy(c, domain, &policy);
	if (r != NULL && has_address(&r->hops) && policy.dane == POLICY_DANE_MANDATORY) {
		buf_printf(b, "no mail for %s can go: dane mandatory, and the route leads to an address, "
		    "which has no TLSA records\n", pattern);
		n = 1;
	}
	if (policy.password && policy.tls == POLICY_TLS_NO && r->hops.protocol != FACTS_SMTPS) {
		buf_printf(b, "no mail for %s can go: its route has credentials, which are sent inside TLS alone, and "
		    "tls is no\n", pattern);
		n++;
	}
	free(domain);
	return n;
}

/* What the line asks for is switched off by tls no of the default line. */
static size_t
warn_of_no(struct buf *b, const struct conf *c, const struct conf_destination *d)
{
	struct policy policy;

	settings_of(c, d, &policy);
	if (policy.tls != POLICY_TLS_NO || !(d->given & 1U << POLICY_KEY_DANE) ||
	    d->policy.dane == POLICY_DANE_NONE)
		return 0;
	buf_printf(b, "destination %s: dane %s is without effect: tls no of the default line switches DANE off, "
	    "and mail goes in clear text\n", d->pattern, policy_dane_name(d->policy.dane));
	return 1;
}

/* own-address without a port is left out: behind a translator the other ports of that address may be others'. */
static int
is_listener(const struct conf *c, const char *host, uint16_t port)
{
	struct facts_addr a = { .family = strchr(host, ':') == NULL ? AF_INET : AF_INET6 };
	size_t i;

	if (inet_pton(a.family, host, &a.ip) != 1)
		return 0;
	for (i = 0; i < c->nown; i++)
		if (c->own[i].port == port && c->own[i].addr.family == a.family &&
		    memcmp(&c->own[i].addr.ip, &a.ip, a.family == AF_INET ? 4 : 16) == 0)
			return 1;
	return 0;
}

static int
is_own_socket(const struct conf *c, const char *path)
{
	size_t i;

	for (i = 0; i < c->nlisten; i++)
		if (c->listen[i].path != NULL && strcmp(c->listen[i].path, path) == 0)
			return 1;
	return 0;
}

/* Mail that goes round until its Received fields are too many. */
static size_t
warn_of_loop(struct buf *b, const struct conf *c, const struct conf_route *r)
{
	size_t i, n = 0;

	for (i = 0; i < r->hops.n; i++) {
		const struct hop *h = &r->hops.v[i];

		if (h->path != NULL ? !is_own_socket(c, h->path) : !is_listener(c, h->host, h->port))
			continue;
		buf_printf(b, "mail for %s would come back to this relay: the route leads to ", r->pattern);
		if (h->path != NULL)
			buf_puts(b, h->path);
		else
			buf_printf(b, "%s@%u", h->host, h->port);
		buf_puts(b, ", where it listens itself\n");
		n++;
	}
	return n;
}

size_t
conf_warnings(const struct conf *c, struct buf *b)
{
	size_t i, j, n = 0;

	for (i = 0; i < c->nlisten; i++) {
		const struct conf_listen *l = &c->listen[i];

		for (j = 0; j < l->nhosts; j++)
			if (is_open(l, &l->hosts[j])) {
				buf_printf(b, "listener %s on %s@%u: an open relay: its hosts line for "
				    "everybody has the action relay\n", l->name, l->at.host, l->at.port);
				n++;
			}
	}
	for (i = 0; i < c->ndestinations; i++)
		n += warn_of_literal(b, c, c->destination[i].pattern) +
		    warn_of_no(b, c, &c->destination[i]);
	for (i = 0; i < c->nroutes; i++)
		if (!has_destination(c, c->route[i].pattern))
			n += warn_of_literal(b, c, c->route[i].pattern);
	for (i = 0; i < c->nroutes; i++)
		n += warn_of_loop(b, c, &c->route[i]);
	return n + conf_report_warnings(b, c);
}
