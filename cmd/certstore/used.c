#include "certstore.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "json.h"
#include "log.h"
#include "text.h"

#define DEMO_IDENTITY "_demo"	/* of listeners that name none: smtp-relay(8) */

static int
same_folder(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	    sa.st_ino == sb.st_ino;
}

/* The first error is enough: `smtp-relay -n` tells them all. */
static void
take_error(void *arg, const char *file, unsigned line, const char *text)
{
	char **first = arg, *escaped;

	if (*first != NULL)
		return;
	escaped = text_escape(text, strlen(text));
	*first = xasprintf("%s:%u: %s", file, line, escaped);
	free(escaped);
}

void
used_read(struct used *u, const struct settings *s)
{
	char *file = s->conf != NULL ? xstrdup(s->conf) : file_join(s->dir, "smtp-relay.conf");
	struct fail f = FAIL_INIT;
	char *first = NULL;

	*u = (struct used){ .conf = NULL };
	/* A configuration that names no root is taken to be about ours. */
	setenv("MTATLS_DIR", s->dir, 1);
	if (s->conf != NULL || access(file, F_OK) == 0 || errno != ENOENT) {
		u->conf = conf_read(file, take_error, &first, &f);
		u->unknown = u->conf == NULL;
	}
	if (u->unknown)
		talk(NULL, "%s; where identities are used is not known", first != NULL ? first : f.text);
	if (u->conf != NULL && !same_folder(u->conf->dir, s->dir))
		used_clear(u);
	free(first);
	free(file);
}

void
used_clear(struct used *u)
{
	conf_free(u->conf);
	u->conf = NULL;
}

static int
uses(const struct conf_listen *l, const char *identity)
{
	size_t i;

	if (l->tls == SMTP_SERVER_TLS_NO)
		return 0;
	for (i = 0; i < l->ncerts; i++)
		if (strcmp(l->cert[i], identity) == 0)
			return 1;
	return l->ncerts == 0 && strcmp(DEMO_IDENTITY, identity) == 0;
}

static int
is_shown(const char *cert, const char *identity)
{
	return cert != NULL && strcmp(cert, identity) == 0;
}

/* The names of listeners, of destinations where the relay shows it as a client, and out-cert. */
static void
each_use(const struct used *u, const char *identity, void (*fn)(void *, const char *name), void *arg)
{
	const struct conf *c = u->conf;
	size_t i;

	for (i = 0; c != NULL && i < c->nlisten; i++)
		if (uses(&c->listen[i], identity))
			fn(arg, c->listen[i].name);
	if (c != NULL && is_shown(c->out_cert, identity))
		fn(arg, "out-cert");
	for (i = 0; c != NULL && i < c->ndestinations; i++)
		if (is_shown(c->destination[i].controls.cert, identity))
			fn(arg, c->destination[i].pattern);
}

static void
put_name(void *arg, const char *name)
{
	struct buf *b = arg;

	buf_printf(b, "%s%s", b->len > 0 ? "," : "", name);
}

char *
used_by(const struct used *u, const char *identity)
{
	struct buf b = BUF_INIT;

	each_use(u, identity, put_name, &b);
	return buf_steal(&b);
}

static void
push_name(void *arg, const char *name)
{
	json_push(arg, json_bytes(name, strlen(name)));
}

json_t *
used_json(const struct used *u, const char *identity)
{
	json_t *a = json_array();

	each_use(u, identity, push_name, a);
	return a;
}
