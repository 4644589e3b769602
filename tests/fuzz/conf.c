/*
 * A whole smtp-relay.conf: errors are told and counted, and what came of it, whole or not, can be asked everything and
 * printed in lines of text.
 */
#include "conf.h"

#include <stdlib.h>

#include "fuzz.h"

struct told {
	size_t told;
	unsigned line;
};

static void
error(void *arg, const char *file, unsigned line, const char *text)
{
	struct told *s = arg;

	MUST(strcmp(file, "f") == 0 && *text != '\0' && line >= s->line);
	s->line = line;
	s->told++;
}

/* What a terminal is shown. */
static void
check_text(struct buf *b)
{
	size_t i;

	for (i = 0; i < b->len; i++)
		MUST(b->p[i] == '\n' || (b->p[i] >= 0x20 && b->p[i] < 0x7f));
	MUST(b->len == 0 || b->p[b->len - 1] == '\n');
	buf_clear(b);
}

static void
check_listener(const struct conf *c, const struct conf_listen *l)
{
	struct limits limits;
	size_t i;

	MUST(l->at.host[0] != '\0' || l->path != NULL);
	free(conf_listen_place(l));
	for (i = 0; i < l->ndomains; i++)
		MUST(l->domain[i][0] == '.' || conf_has_domain(l, l->domain[i]));
	for (i = 0; i < l->nmaps; i++)
		MUST(l->map[i].from[0] == '@' || strchr(l->map[i].from, '@') != NULL);
	MUST(conf_map_find(l, "nobody", "nowhere.example") == NULL || l->nmaps > 0);
	for (i = 0; i <= l->nhosts; i++) {
		const struct conf_hosts *h = i < l->nhosts ? &l->hosts[i] : NULL;

		conf_limits(c, l, h, &limits);
		MUST(limits.value[LIMIT_SIZE] >= 65536 && limits.value[LIMIT_RECIPIENTS] > 0);
		MUST(conf_tls(l, h) <= SMTP_SERVER_TLS_REQUIRED);
		(void)conf_client_cert(l, h);
	}
}

static void
check_domain(const struct conf *c, const char *domain)
{
	struct policy p;

	conf_policy(c, domain, &p);
	if (p.tls == POLICY_TLS_NO)
		MUST(p.dane == POLICY_DANE_NONE && p.sts == POLICY_STS_NONE);
	MUST(conf_route_to(c, domain) == NULL || c->nroutes > 0);
}

/* Exact beats all: what a line says of its own domain is what is asked for later. */
static void
check_domains(const struct conf *c)
{
	size_t i;

	check_domain(c, "a.b.example");
	check_domain(c, "[192.0.2.1]");
	for (i = 0; i < c->ndestinations; i++)
		check_domain(c, c->destination[i].pattern);
	for (i = 0; i < c->nroutes; i++)
		if (c->route[i].pattern[0] != '.' && strcmp(c->route[i].pattern, "default") != 0)
			MUST(conf_route_to(c, c->route[i].pattern) == &c->route[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct told s = { 0 };
	struct buf b = BUF_INIT;
	size_t errors = 0, i;
	struct conf *c;

	c = conf_parse_text("f", (const char *)data, n, error, &s, &errors);
	MUST(c != NULL && (errors > 0) == (s.told > 0) && s.told <= errors + 1);
	if (errors == 0) {
		for (i = 0; i < c->nlisten; i++)
			check_listener(c, &c->listen[i]);
		check_domains(c);
		(void)conf_has_auth(c);
		(void)conf_needs_trust(c);
		conf_print(c, &b);
		check_text(&b);
		(void)conf_warnings(c, &b);
		check_text(&b);
	}
	conf_free(c);
	return 0;
}
