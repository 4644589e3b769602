#include "ends.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "identity.h"
#include "order.h"
#include "setup.h"
#include "table.h"

/* An identity, and what uses it. */
struct use {
	char *name;
	char **what;
	size_t n;
};

struct uses {
	struct use *v;
	size_t n;
};

static void
add_use(struct uses *all, const char *name, char *what)
{
	struct use *u;
	size_t i;

	for (i = 0; i < all->n && strcmp(all->v[i].name, name) != 0; i++)
		;
	if (i == all->n) {
		all->v = xreallocarray(all->v, all->n + 1, sizeof *all->v);
		all->v[all->n++] = (struct use){ .name = xstrdup(name) };
	}
	u = &all->v[i];
	u->what = xreallocarray(u->what, u->n + 1, sizeof *u->what);
	u->what[u->n++] = what;
}

static void
add_listener(struct uses *all, const struct conf_listen *l)
{
	size_t i;

	if (l->tls == SMTP_SERVER_TLS_NO)
		return;
	for (i = 0; i < l->ncerts; i++)
		add_use(all, l->cert[i], xasprintf("listener %s", l->name));
	if (l->ncerts == 0)
		add_use(all, SETUP_DEMO, xasprintf("listener %s", l->name));
}

/* The chain is no better than its first certificate to end. */
static int64_t
first_end(const struct identity *id)
{
	int64_t end = cert_not_after(id->cert), other;
	int i;

	for (i = 0; id->chain != NULL && i < sk_X509_num(id->chain); i++)
		if ((other = cert_not_after(sk_X509_value(id->chain, i))) < end)
			end = other;
	return end;
}

static void
put_use(struct buf *b, const struct conf *c, const struct use *u)
{
	struct identity id = IDENTITY_INIT;
	char end[24];
	size_t i;

	if (identity_load(c->dir, u->name, 0, &id, NULL) == 0 && id.cert != NULL) {
		snprintf(end, sizeof end, "%" PRId64, first_end(&id));
		buf_puts(b, "identity");
		table_put_word(b, u->name, strlen(u->name));
		table_put_word(b, end, strlen(end));
		table_put_word(b, cert_is_demo(id.cert) ? "1" : "0", 1);
		for (i = 0; i < u->n; i++)
			table_put_word(b, u->what[i], strlen(u->what[i]));
		buf_putc(b, '\n');
	}
	identity_clear(&id);
}

static void
add_shown(struct uses *all, const struct conf *c)
{
	size_t i, n;
	const char **v = conf_out_certs(c, &n);

	for (i = 0; i < n; i++)
		add_use(all, v[i], xstrdup("connections to next hops"));
	free(v);
}

void
ends_list(const struct conf *c, struct buf *b)
{
	struct uses all = { .v = NULL };
	size_t i, j;

	for (i = 0; i < c->nlisten; i++)
		add_listener(&all, &c->listen[i]);
	add_shown(&all, c);
	buf_puts(b, ENDS_WORD "\n");
	for (i = 0; i < all.n; i++) {
		/* A record has its limit; thousands of listeners with one identity each would be more. */
		if (b->len < ORDER_MAX / 2)
			put_use(b, c, &all.v[i]);
		for (j = 0; j < all.v[i].n; j++)
			free(all.v[i].what[j]);
		free(all.v[i].what);
		free(all.v[i].name);
	}
	free(all.v);
}
