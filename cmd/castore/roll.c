#include "castore.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "pem.h"
#include "progress.h"

void
roll_clear(struct roll *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		X509_free(r->v[i].cert);
	free(r->v);
	free(r->slot);
	*r = (struct roll)ROLL_INIT;
}

/* The slot of this fingerprint, or the free one where it would go. */
static size_t
slot_of(const struct roll *r, const char *fp)
{
	char head[17] = "";
	size_t i;

	memcpy(head, fp, 16);
	for (i = strtoull(head, NULL, 16) % r->slots; r->slot[i] != 0; i = (i + 1) % r->slots)
		if (strcmp(r->v[r->slot[i] - 1].fp, fp) == 0)
			break;
	return i;
}

/* Room for one more with half of the slots free. */
static void
grow(struct roll *r)
{
	size_t i;

	if (r->slots > 2 * (r->n + 1))
		return;
	r->slots = r->slots > 0 ? 2 * r->slots : 64;
	free(r->slot);
	r->slot = xcalloc(r->slots, sizeof *r->slot);
	r->v = xreallocarray(r->v, r->slots / 2 + 1, sizeof *r->v);
	for (i = 0; i < r->n; i++)
		r->slot[slot_of(r, r->v[i].fp)] = i + 1;
}

int
roll_add(struct roll *r, X509 *cert)
{
	struct roll_cert *c;
	size_t i;

	grow(r);
	c = &r->v[r->n];
	i = slot_of(r, cert_fingerprint(c->fp, cert));
	if (r->slot[i] != 0) {
		X509_free(cert);
		return 0;
	}
	c->cert = cert;
	r->slot[i] = ++r->n;
	return 1;
}

int
roll_has(const struct roll *r, const char *fp)
{
	return r->n > 0 && r->slot[slot_of(r, fp)] != 0;
}

int
roll_read(const char *dir, enum trust_list which, const struct trust_state *st, struct roll *r, struct fail *f)
{
	struct pem_list items;
	char *path;
	X509 *cert;
	size_t i;
	int rc = 0;

	if (trust_list_read(dir, which, st, &items, f) == -1)
		return -1;
	progress_begin("reading certificates", items.n);
	for (i = 0; rc == 0 && i < items.n; i++, progress_step())
		if ((cert = pem_get1_cert(&items.v[i], f)) != NULL)
			roll_add(r, cert);
		else {
			path = trust_list_path(dir, which);
			rc = fail_prefix(f, "%.300s", path);
			free(path);
		}
	progress_end();
	pem_list_clear(&items);
	return rc;
}

int
roll_put(const struct roll *r, struct buf *b, struct fail *f)
{
	char time[TEXT_TIME_MAX], *subject;
	size_t i;

	if (r->n == 0)
		buf_puts(b, "# no certificates\n");
	for (i = 0; i < r->n; i++) {
		const struct roll_cert *c = &r->v[i];

		subject = cert_subject(c->cert);
		buf_printf(b, "# subject: %s\n# expires: %s\n# sha256: %s\n", subject,
		    text_time(time, cert_not_after(c->cert)), c->fp);
		free(subject);
		if (pem_put_cert(b, c->cert, f) == -1)
			return -1;
	}
	return 0;
}

int
fingerprint_parse(const char *s, char fp[CERT_FINGERPRINT_SIZE], struct fail *f)
{
	size_t n = 0;

	for (; *s != '\0' && n < CERT_FINGERPRINT_SIZE - 1; s++) {
		if (*s == ':')
			continue;
		fp[n++] = *s;
	}
	fp[n] = '\0';
	text_lower(fp);
	if (*s == '\0' && n >= PREFIX_MIN && strspn(fp, "0123456789abcdef") == n)
		return 0;
	return fail(f, FAIL_INPUT, "expected a SHA-256 fingerprint: %d to %d hexadecimal digits",
	    PREFIX_MIN, CERT_FINGERPRINT_SIZE - 1);
}

int
roll_find(const struct roll *r, const char *prefix, const char *where, struct fail *f)
{
	size_t len = strlen(prefix), i, n = 0;
	int found = -1;

	for (i = 0; i < r->n; i++)
		if (strncmp(r->v[i].fp, prefix, len) == 0) {
			found = i;
			n++;
		}
	if (n == 1)
		return found;
	if (n == 0)
		return fail(f, FAIL_INPUT, "%s: in %s is no certificate of that fingerprint", prefix,
		    where);
	return fail(f, FAIL_INPUT, "%s: in %s are %zu certificates whose fingerprint begins so",
	    prefix, where, n);
}
