#include "warnings.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "sendmail.h"

/* Those that concern the configuration alone. */
static size_t
tell_conf(const struct conf *c, table_error_fn *fn, void *arg)
{
	struct buf b = BUF_INIT;
	char *line, *rest;
	size_t n = conf_warnings(c, &b);

	if (n > 0)
		for (rest = b.p; (line = strsep(&rest, "\n")) != NULL && line[0] != '\0';)
			fn(arg, c->file, 0, line);
	buf_clear(&b);
	return n;
}

/* Reports and alerts go where all mail goes: by route or MX. */
static size_t
tell_address(const struct conf *c, const char *key, const char *address, table_error_fn *fn, void *arg)
{
	const char *at = strrchr(address, '@'), *domain = at != NULL ? at + 1 : c->hostname;
	char *text;

	if (domain[0] == '[' || conf_route_to(c, domain) != NULL)
		return 0;
	if (at != NULL && strchr(domain, '.') != NULL && !text_case_eq(domain, c->hostname))
		return 0;
	text = xasprintf("%s %s: no route leads to %s, and aliases are not asked: name a full address that another host "
	    "takes mail for, or a route", key, address, domain);
	fn(arg, c->file, 0, text);
	free(text);
	return 1;
}

/* RFC 8314 3.3, RFC 6409 3.1: the other protocol than its port stands for, which ends in a timeout or in "wrong version". */
static size_t
tell_port(const struct conf *c, const struct conf_route *r, table_error_fn *fn, void *arg)
{
	enum facts_protocol protocol = r->hops.protocol;
	uint16_t port = 0;
	char *text;
	size_t i;

	for (i = 0; i < r->hops.n && port == 0; i++) {
		uint16_t p = r->hops.v[i].path == NULL ? r->hops.v[i].port : 0;

		if ((protocol == FACTS_SMTP && p == 465) || (protocol == FACTS_SMTPS && (p == 25 || p == 587)))
			port = p;
	}
	if (port == 0)
		return 0;
	text = xasprintf("route %s: port %u speaks %s as a rule, and protocol is %s: is protocol %s meant?", r->pattern, port,
	    protocol == FACTS_SMTP ? "TLS first" : "clear text first, with STARTTLS,", facts_protocol_name(protocol),
	    facts_protocol_name(protocol == FACTS_SMTP ? FACTS_SMTPS : FACTS_SMTP));
	fn(arg, c->file, 0, text);
	free(text);
	return 1;
}

size_t
warnings_tell(const struct conf *c, int includes, table_error_fn *fn, void *arg)
{
	size_t n = tell_conf(c, fn, arg), i;

	if (c->double_bounce_to != NULL)
		n += tell_address(c, "double-bounce-to", c->double_bounce_to, fn, arg);
	for (i = 0; i < c->nroutes; i++)
		n += tell_port(c, &c->route[i], fn, arg);
	for (i = 0; i < c->alert.n; i++)
		n += tell_address(c, "alert", c->alert.to[i], fn, arg);
	return n + sendmail_check_aliases(c, includes, fn, arg);
}
