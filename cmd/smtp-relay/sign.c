#include "sign.h"

#include <event2/event.h>
#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "channel.h"
#include "clock.h"
#include "dkim.h"
#include "identity.h"
#include "key.h"
#include "spool_file.h"
#include "table.h"

struct sign {
	struct role role;
	const struct sign_start *start;
	struct channel *queue;
	EVP_PKEY **key;		/* of each line */
};

/* ---- keys ---- */

static EVP_PKEY *
identity_key(const char *dir, const char *name, struct fail *f)
{
	struct identity id;
	EVP_PKEY *key = NULL;

	/* One that waits for its certificate will do: DKIM knows none. */
	if (identity_load(dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &id, f) == -1)
		return NULL;
	if (id.key != NULL && EVP_PKEY_up_ref(id.key) == 1)
		key = id.key;
	else
		fail(f, FAIL_INPUT, "identity %.200s: it has no key", name);
	identity_clear(&id);
	return key;
}

EVP_PKEY *
sign_key(const struct conf *c, const struct conf_dkim *d, struct fail *f)
{
	EVP_PKEY *key = d->key[0] == '/' ? key_from_file(d->key, f) : identity_key(c->dir, d->key, f);

	if (key != NULL && dkim_check_key(key, f) == -1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	if (key == NULL)
		fail_prefix(f, "dkim %.200s %.64s", d->domain, d->selector);
	return key;
}

/* ---- records ---- */

/* SELECTOR._domainkey.DOMAIN. IN TXT "..." "...": strings of 255 octets at most (RFC 1035 3.3). */
static void
print_record(const struct conf_dkim *d, const struct buf *value)
{
	size_t at, n;

	printf("%s._domainkey.%s. IN TXT (", d->selector, d->domain);
	for (at = 0; at < value->len; at += n) {
		n = value->len - at < 255 ? value->len - at : 255;
		printf(" \"%.*s\"", (int)n, value->p + at);
	}
	puts(" )");
}

size_t
sign_print_records(const struct conf *c, const char *domain, void (*report)(const struct fail *))
{
	size_t i, errors = 0;

	for (i = 0; i < c->ndkim; i++) {
		const struct conf_dkim *d = &c->dkim[i];
		struct fail f = FAIL_INIT;
		struct buf b = BUF_INIT;
		EVP_PKEY *key;

		if (domain != NULL && strcmp(d->domain, domain) != 0)
			continue;
		/* RFC 8460 3: the service type of reports; a key without one is for all. */
		if ((key = sign_key(c, d, &f)) != NULL &&
		    dkim_record(&b, key, d->reports_only ? "tlsrpt" : NULL, &f) == 0)
			print_record(d, &b);
		else {
			report(&f);
			errors++;
		}
		EVP_PKEY_free(key);
		buf_clear(&b);
	}
	return errors;
}

/* ---- messages ---- */

static int
read_message(struct dkim *d, int fd, int64_t offset, int64_t size, struct fail *f)
{
	static char piece[SIGN_PIECE];
	int64_t at = 0;
	ssize_t n;

	while (at < size) {
		n = pread(fd, piece, size - at < (int64_t)sizeof piece ? (size_t)(size - at) : sizeof piece, offset + at);
		if (n == -1)
			return fail_errno(f, "the message");
		if (n == 0)
			return fail(f, FAIL_SYS, "the message is short");
		if (dkim_feed(d, piece, (size_t)n, f) == -1)
			return -1;
		at += n;
	}
	return 0;
}

static size_t
line_of(const struct conf *c, const struct conf_dkim *d)
{
	return (size_t)(d - c->dkim);
}

/* All signatures of the domain, one field behind the other. */
static int
sign_message(const struct sign *s, const char *domain, int report, int fd, int64_t offset, int64_t size, struct buf *out,
    struct fail *f)
{
	const struct conf *c = s->start->conf;
	const struct conf_dkim *found[CONF_DKIM_EACH];
	size_t i, n = conf_dkim_find(c, domain, report, found);
	struct dkim *d = dkim_new(f);
	int rc;

	if (d == NULL)
		return -1;
	rc = read_message(d, fd, offset, size, f);
	for (i = 0; rc == 0 && i < n; i++) {
		struct dkim_signer signer = { .domain = found[i]->domain, .selector = found[i]->selector,
			.key = s->key[line_of(c, found[i])] };

		rc = dkim_sign(d, &signer, clock_now(), out, f);
	}
	dkim_free(d);
	return rc;
}

/* sign SEQ DOMAIN REPORT OFFSET SIZE +fd: signed SEQ FIELDS; unsigned SEQ WHY; unknown SEQ "": our configuration is another */
static void
on_record(void *arg, struct order *o)
{
	struct sign *s = arg;
	const struct conf_dkim *found[CONF_DKIM_EACH];
	struct fail f = FAIL_INIT;
	struct buf fields = BUF_INIT, b = BUF_INIT;
	long long report, offset, size;

	if (o->n != 6 || o->fd == -1 || strcmp(o->v[0], "sign") != 0 ||
	    text_number(o->v[3], 0, 1, "report", &report, &f) == -1 ||
	    text_number(o->v[4], 0, SPOOL_SIZE_MAX, "offset", &offset, &f) == -1 ||
	    text_number(o->v[5], 0, SPOOL_SIZE_MAX, "size", &size, &f) == -1) {
		fail(&f, FAIL_SYS, "a record from the queue makes no sense");
		role_fail(&f);
	}
	if (conf_dkim_find(s->start->conf, o->v[2], (int)report, found) == 0)
		table_put(&b, "unknown", o->v[1], "", (char *)NULL);
	else if (sign_message(s, o->v[2], (int)report, o->fd, offset, size, &fields, &f) == 0)
		table_put(&b, "signed", o->v[1], fields.p != NULL ? fields.p : "", (char *)NULL);
	else
		table_put(&b, "unsigned", o->v[1], f.text, (char *)NULL);
	close(o->fd);
	channel_send(s->queue, b.p, b.len, -1);
	buf_clear(&fields);
	buf_clear(&b);
}

/* The queue has another in our place, or is gone, which ends all roles. */
static void
on_gone(void *arg, const struct fail *f)
{
	(void)f;
	role_end(&((struct sign *)arg)->role);
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_gone };

static void
on_stop(void *arg)
{
	role_end(&((struct sign *)arg)->role);
}

void
sign_main(const struct sign_start *start)
{
	static struct sign s;
	struct fail f = FAIL_INIT;
	size_t i;

	s.start = start;
	s.role.stop = on_stop;
	s.role.arg = &s;
	role_begin(&s.role, &start->role);
	s.key = xcalloc(start->conf->ndkim, sizeof(EVP_PKEY *));
	for (i = 0; i < start->conf->ndkim; i++)
		if ((s.key[i] = sign_key(start->conf, &start->conf->dkim[i], &f)) == NULL)
			role_fail(&f);
	role_drop(&start->role);
	s.queue = channel_new(s.role.base, start->queue, &handlers, &s);
	role_ready(&s.role);
	event_base_dispatch(s.role.base);
	role_end(&s.role);
}
