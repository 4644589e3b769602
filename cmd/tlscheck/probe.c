/*
 * probe - one contact that ends when it is clear what mail would meet there, and what it showed.
 */
#include <stdlib.h>

#include "alloc.h"
#include "cert.h"
#include "check.h"
#include "tls.h"
#include "tool.h"

struct shown *
probe_evidence(struct probe *p)
{
	struct evidence *ev = p->check->evidence;
	const struct facts_host *fh = p->host->host;

	return evidence_add(ev, fh - ev->facts->host, p->addr - fh->addr);
}

static char *
printed(const struct smtp_reply *r)
{
	struct buf b = BUF_INIT;

	if (r->code == 0)
		return NULL;
	smtp_reply_print(&b, r);
	return buf_steal(&b);
}

/* The contact keeps what the evidence has no use for. */
static void
keep(struct probe *p)
{
	struct contact *c = &p->contact;
	struct shown *s = probe_evidence(p);

	s->asked = p->host->need == PLAN_CLEAR ? SHOWN_CLEAR :
	    plan_need_is_strict(p->host->need) ? SHOWN_STRICT : SHOWN_LAX;
	s->end = c->seen.end;
	s->tls = c->seen.tls;
	s->greeted = c->client.ehlo.code / 100 == 2;
	free(s->text);
	s->text = xstrdup(c->seen.text != NULL ? c->seen.text : "");
	s->banner = printed(&c->client.banner);
	s->ehlo = printed(&c->client.ehlo);
	s->starttls = printed(&c->client.starttls);
	s->ehlo_tls = printed(&c->client.ehlo_tls);
	s->fell_back = c->fell_back != NULL ? xstrdup(c->fell_back) : NULL;
	s->info = c->tls;
	c->tls = (struct tls_info){ .chain = NULL };
}

static void
done(struct probe *p)
{
	if (p->done)
		return;
	p->done = 1;
	cert_warn_demo(p->host->host->name, p->contact.tls.cert);
	keep(p);
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

/* Whatever the plan asks for, the server has to show the certificate that its records describe. */
static const char *
name_for_sni(const struct probe *p)
{
	const struct facts_host *fh = p->host->host;

	return p->check->env->conf.survey && fh->tlsa_state == FACTS_TLSA_FOUND ? fh->tlsa_base : NULL;
}

/* Made at the first need: it costs what a tenth of a probe does. */
static SSL_CTX *
strict_ctx(struct check_env *env)
{
	struct fail f = FAIL_INIT;

	if (env->tls_strict == NULL && (env->tls_strict = tls_client_ctx(TLS_STRICT, &f)) == NULL)
		tool_die(&f);
	return env->tls_strict;
}

void
probe_start(struct probe *p)
{
	struct check_env *env = p->check->env;
	struct contact_conf conf = { .base = env->base, .tls = env->tls,
		.ehlo = env->conf.ehlo, .timeout_ms = env->conf.timeout_ms };
	struct contact_target target = { .host = p->host, .facts = p->check->evidence->facts,
		.addr = p->addr, .port = facts_port(p->host->host, p->check->port), .sni = name_for_sni(p) };

	if (plan_wants_trust(&p->check->plan))
		conf.trust = cas_get(env->conf.judge.cas);
	if (plan_need_is_strict(p->host->need))
		conf.tls_strict = strict_ctx(env);
	p->started = 1;
	contact_start(&p->contact, &conf, &target, &handlers, p);
}

void
probe_clear(struct probe *p)
{
	if (p->started)
		contact_clear(&p->contact);
}
