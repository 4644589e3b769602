#include "warn.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

struct warner {
	warn_fn *fn;
	void *arg;
};

__attribute__((format(printf, 4, 5))) static void
warn(const struct warner *w, enum warn_kind kind, const char *rule, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	w->fn(w->arg, kind, rule, text);
	free(text);
}

/* The names around a denial are A-labels: name_is_host() has seen to that. */
static void
warn_denied(const struct warner *w, const struct judged *j, const struct facts_host *fh)
{
	if (fh->tcp_denied)
		warn(w, WARN_DENIED, "RFC 8020 2",
		    "_tcp.%s is answered with NXDOMAIN although _%u._tcp.%s has records: its DNS server is broken, and "
		    "resolvers that minimise names (RFC 9156) or believe such answers do not find its TLSA records",
		    fh->tlsa_base, j->evidence->port, fh->tlsa_base);
}

/* One family failed, the other has addresses. */
static void
warn_family(const struct warner *w, const struct facts_host *fh)
{
	if (fh->addrs == FACTS_ADDRS_FOUND && fh->addrs_why != NULL)
		warn(w, WARN_UNASKED, "RFC 7672 2.2.2", "%s: perhaps more addresses: %s", fh->name, fh->addrs_why);
}

static void
warn_barred(const struct warner *w, const struct judged *j, const struct facts_host *fh)
{
	char addr[INET6_ADDRSTRLEN];
	const char *why;
	size_t i;

	for (i = 0; i < fh->naddr; i++)
		if ((why = policy_bars(&j->plan.policy, &fh->addr[i])) != NULL)
			warn(w, WARN_UNASKED, "local", "%s %s: %s", fh->name, facts_addr_text(&fh->addr[i], addr), why);
}

void
warn_each(const struct judged *j, warn_fn *fn, void *arg)
{
	const struct warner w = { fn, arg };
	const struct evidence *ev = j->evidence;
	size_t i;

	if (ev->ill != DNS_WELL)
		warn(&w, WARN_RESOLVER, ev->ill == DNS_STRIPS ? "RFC 4035 3.2.1" : "local", "%s", ev->ill_text);
	for (i = 0; i < j->plan.nhost; i++) {
		const struct plan_host *h = &j->plan.host[i];

		warn_denied(&w, j, h->host);
		if (h->act != PLAN_TRY)
			continue;
		warn_family(&w, h->host);
		warn_barred(&w, j, h->host);
	}
}
