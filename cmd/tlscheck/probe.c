/*
 * probe - one contact that ends when it is clear what mail would meet there.
 */
#include <stdlib.h>

#include "cert.h"
#include "check.h"

static void
done(struct probe *p)
{
	if (p->done)
		return;
	p->done = 1;
	cert_warn_demo(p->host->host->name, p->contact.tls.cert);
	p->verdict = p->contact.verdict;
	check_probe_done(p);
}

static void
on_ready(struct contact *c, void *arg)
{
	contact_quit(c);
	done(arg);
}

static void
on_ended(struct contact *c, void *arg)
{
	(void)c;
	done(arg);
}

static const struct contact_handlers handlers = { .ready = on_ready, .ended = on_ended };

void
probe_start(struct probe *p)
{
	const struct check_env *env = p->check->env;
	struct contact_conf conf = { .base = env->base, .tls = env->tls,
		.tls_strict = env->tls_strict, .trust = env->trust, .ehlo = env->conf.ehlo,
		.timeout_ms = env->conf.timeout_ms };
	struct contact_target target = { .host = p->host, .facts = p->check->facts, .addr = p->addr,
		.port = p->check->port };

	p->started = 1;
	contact_start(&p->contact, &conf, &target, &handlers, p);
}

/* The verdict is the contact's, but for probes that never had one. */
void
probe_clear(struct probe *p)
{
	if (p->started)
		contact_clear(&p->contact);
	else
		verdict_clear(&p->verdict);
}
