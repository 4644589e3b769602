/*
 * trust_open() reads the state and the enabled lists.  A list is PEM; of each certificate in it the
 * DER is walked to the subject, of which a hash is noted (subject_hash): that takes a few
 * milliseconds for the CAs of a system, where decoding them all takes tens.  Whoever asks for a
 * subject gets those decoded whose hash is that of the name, if the names are equal then.
 */
#include "trust.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "table.h"

#define LOCK_WAIT_S 10

struct entry {
	const struct pem_item *item;
	size_t len;	/* of the certificate in it: TRUSTED CERTIFICATE has more behind */
	uint64_t subject;
};

struct trust {
	struct pem_list list[TRUST_LISTS];
	struct trust_state state;
	struct entry *v;
	size_t n;
};

/* ---- DER, as far as the subject ---- */

struct der {
	const uint8_t *p, *end;
};

/* Takes the next element; 0: none that is whole. */
static int
der_next(struct der *d, uint8_t *tag, struct der *body)
{
	size_t left = d->end - d->p, n, len, i;

	if (left < 2 || (d->p[0] & 0x1f) == 0x1f)
		return 0;
	*tag = d->p[0];
	len = d->p[1];
	n = 0;
	if (len >= 0x80) {
		n = len & 0x7f;
		if (n == 0 || n > 4 || left < 2 + n)
			return 0;
		for (len = 0, i = 0; i < n; i++)
			len = len << 8 | d->p[2 + i];
	}
	if (len > left - 2 - n)
		return 0;
	body->p = d->p + 2 + n;
	body->end = d->p = body->p + len;
	return 1;
}

#define SEQUENCE 0x30
#define SET 0x31
#define UNIVERSAL_STRING 0x1c
#define BMP_STRING 0x1e
#define EXPLICIT_0 0xa0

static int
der_expect(struct der *d, uint8_t want, struct der *body)
{
	uint8_t tag;

	return der_next(d, &tag, body) && tag == want;
}

#define FNV_START 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

static uint64_t
hash_octet(uint64_t h, uint8_t c)
{
	return (h ^ c) * FNV_PRIME;
}

/*
 * RFC 5280 7.1 compares names without regard to case, white space and kind of string.  So only what
 * all spellings have in common is hashed: ASCII letters, in lower case, and digits.
 */
static uint64_t
hash_value(uint64_t h, uint8_t tag, const struct der *value)
{
	size_t width = tag == BMP_STRING ? 2 : tag == UNIVERSAL_STRING ? 4 : 1, i;
	const uint8_t *p;

	for (p = value->p; (size_t)(value->end - p) >= width; p += width) {
		uint8_t c = p[width - 1];

		for (i = 0; i + 1 < width && p[i] == 0; i++)
			;
		if (i + 1 < width)
			continue;
		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			h = hash_octet(h, c);
	}
	return h;
}

/* The body of a Name.  A sum, for the order within an RDN means nothing.  0: it is none. */
static int
subject_hash(struct der name, uint64_t *out)
{
	struct der rdn, pair, type, value;
	uint64_t h;
	uint8_t tag;

	for (*out = 0; name.p < name.end;) {
		if (!der_expect(&name, SET, &rdn))
			return 0;
		while (rdn.p < rdn.end) {
			if (!der_expect(&rdn, SEQUENCE, &pair) || !der_next(&pair, &tag, &type) ||
			    !der_next(&pair, &tag, &value))
				return 0;
			for (h = FNV_START; type.p < type.end; type.p++)
				h = hash_octet(h, *type.p);
			*out += hash_value(h, tag, &value);
		}
	}
	return 1;
}

/* RFC 5280 4.1: version, serialNumber, signature, issuer, validity, subject. */
static int
scan_certificate(struct entry *e)
{
	struct der all = { e->item->der, e->item->der + e->item->len }, cert, tbs, part;
	uint8_t tag;
	int i;

	if (!der_expect(&all, SEQUENCE, &cert) || !der_expect(&cert, SEQUENCE, &tbs) ||
	    !der_next(&tbs, &tag, &part))
		return 0;
	e->len = all.p - e->item->der;
	if (tag == EXPLICIT_0 && !der_next(&tbs, &tag, &part))
		return 0;
	for (i = 0; i < 3; i++)
		if (!der_next(&tbs, &tag, &part))
			return 0;
	return der_expect(&tbs, SEQUENCE, &part) && subject_hash(part, &e->subject);
}

static uint64_t
hash_of_name(const X509_NAME *name)
{
	const unsigned char *p = NULL;
	struct der all, body;
	uint64_t h = 0;
	size_t len = 0;

	/* The const is only lost in OpenSSL's signature: it may encode what was changed. */
	if (X509_NAME_get0_der((X509_NAME *)(uintptr_t)name, &p, &len) != 1)
		alloc_failed();
	all = (struct der){ p, p + len };
	if (!der_expect(&all, SEQUENCE, &body) || !subject_hash(body, &h))
		return 0;
	return h;
}

/* ---- the state ---- */

const char *
trust_list_name(enum trust_list which)
{
	static const char *const names[] = { [TRUST_SYSTEM] = "system", [TRUST_CUSTOM] = "custom" };

	return names[which];
}

static char *
in_ca(const char *dir, const char *name)
{
	char *ca = file_join(dir, "ca"), *path = file_join(ca, name);

	free(ca);
	return path;
}

char *
trust_list_path(const char *dir, enum trust_list which)
{
	const char *env = getenv("MTATLS_SYSTEM_CA");

	if (which == TRUST_CUSTOM)
		return in_ca(dir, "custom.pem");
	return xstrdup(env != NULL && *env != '\0' ? env : TRUST_SYSTEM_BUNDLE);
}

static int
set_list(void *ctx, const struct table_line *l, struct fail *f)
{
	struct trust_state *st = ctx;
	int i, on = strcmp(l->v[1], "on") == 0;

	if (!on && strcmp(l->v[1], "off") != 0)
		return fail(f, FAIL_INPUT, "list: expected on or off");
	for (i = 0; i < TRUST_LISTS; i++)
		if (strcmp(l->v[0], trust_list_name(i)) == 0) {
			st->on[i] = on;
			return 0;
		}
	return fail(f, FAIL_INPUT, "list: expected system or custom");
}

static int
is_fingerprint(const char *s)
{
	return strlen(s) == CERT_FINGERPRINT_SIZE - 1 &&
	    strspn(s, "0123456789abcdef") == CERT_FINGERPRINT_SIZE - 1;
}

/* "after" and a date, "tbs" and a fingerprint: each once, in this order. */
static int
set_details(struct trust_distrust *d, const struct table_line *l, struct fail *f)
{
	size_t i = 1;

	if (i < l->n && strcmp(l->v[i], "tbs") != 0) {
		if (i + 1 == l->n || strcmp(l->v[i], "after") != 0)
			return fail(f, FAIL_INPUT, "distrust: expected \"after\" and a date");
		if (text_timestamp(l->v[i + 1], "distrust", &d->after, f) == -1)
			return -1;
		d->dated = 1;
		i += 2;
	}
	if (i == l->n)
		return 0;
	if (i + 2 != l->n || strcmp(l->v[i], "tbs") != 0 || !is_fingerprint(l->v[i + 1]))
		return fail(f, FAIL_INPUT, "distrust: expected \"tbs\" and 64 hexadecimal digits");
	memcpy(d->tbs, l->v[i + 1], sizeof d->tbs);
	return 0;
}

static int
set_distrust(void *ctx, const struct table_line *l, struct fail *f)
{
	struct trust_state *st = ctx;
	struct trust_distrust d = { .dated = 0 };

	if (!is_fingerprint(l->v[0]))
		return fail(f, FAIL_INPUT, "distrust: expected 64 hexadecimal digits");
	if (set_details(&d, l, f) == -1)
		return -1;
	if (trust_state_find(st, l->v[0]) != NULL)
		return fail(f, FAIL_INPUT, "distrust: this certificate has a line already");
	memcpy(d.fp, l->v[0], sizeof d.fp);
	st->v = xreallocarray(st->v, st->n + 1, sizeof *st->v);
	st->v[st->n++] = d;
	return 0;
}

static const struct table_row state_rows[] = {
	{ "list", 2, 2, 0, set_list },
	{ "distrust", 1, 5, 0, set_distrust },
};

int
trust_state_read(const char *dir, struct trust_state *st, struct fail *f)
{
	char *path = in_ca(dir, "state");
	struct fail why = FAIL_INIT;
	struct buf b = BUF_INIT;
	int rc = 0;

	*st = (struct trust_state){ .on = { [TRUST_SYSTEM] = 1 } };
	if (file_read(path, 0, &b, &why) == -1) {
		if (why.err != ENOENT)
			rc = fail(f, why.kind, "%s", why.text);
	} else if (table_parse(path, b.p, b.len, state_rows,
	    sizeof state_rows / sizeof state_rows[0], st, table_first_error, &why) > 0)
		rc = fail(f, FAIL_INPUT, "%s", why.text);
	if (rc == -1)
		trust_state_clear(st);
	buf_clear(&b);
	free(path);
	return rc;
}

void
trust_state_clear(struct trust_state *st)
{
	free(st->v);
	*st = (struct trust_state){ .v = NULL };
}

const struct trust_distrust *
trust_state_find(const struct trust_state *st, const char *fp)
{
	size_t i;

	for (i = 0; i < st->n; i++)
		if (strcmp(st->v[i].fp, fp) == 0)
			return &st->v[i];
	return NULL;
}

static void
put_distrust(struct buf *b, const struct trust_distrust *d)
{
	char time[TEXT_TIME_MAX];
	const char *tbs = d->tbs[0] != '\0' ? "tbs" : NULL;

	if (d->dated)
		table_put(b, "distrust", d->fp, "after", text_time(time, d->after), tbs, d->tbs,
		    (char *)NULL);
	else
		table_put(b, "distrust", d->fp, tbs, d->tbs, (char *)NULL);
}

int
trust_state_write(const char *dir, const struct trust_state *st, struct fail *f)
{
	char *path = in_ca(dir, "state");
	struct buf b = BUF_INIT;
	size_t i;
	int rc;

	for (i = 0; i < TRUST_LISTS; i++)
		table_put(&b, "list", trust_list_name(i), st->on[i] ? "on" : "off", (char *)NULL);
	for (i = 0; i < st->n; i++)
		put_distrust(&b, &st->v[i]);
	rc = file_write(path, 0644, FILE_REPLACE, b.p, b.len, f);
	buf_clear(&b);
	free(path);
	return rc;
}

int
trust_list_write(const char *dir, const void *p, size_t len, struct fail *f)
{
	char *path = trust_list_path(dir, TRUST_CUSTOM);
	int rc = file_write(path, 0644, FILE_REPLACE, p, len, f);

	free(path);
	return rc;
}

/* Temporary files of those who were killed: whoever has the lock knows that nobody writes them. */
static void
remove_leftovers(int fd)
{
	int again = dup(fd);
	struct dirent *e;
	DIR *d;

	if (again == -1 || (d = fdopendir(again)) == NULL) {
		if (again != -1)
			close(again);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, ".tmp-", 5) == 0)
			unlinkat(fd, e->d_name, 0);
	closedir(d);
}

/* All in it is public, whatever the umask. */
static int
make_folder(const char *path, struct fail *f)
{
	struct stat st;
	int there = stat(path, &st) == 0;

	if (file_mkdir(path, 0755, f) == -1)
		return -1;
	if (!there && chmod(path, 0755) == -1)
		return fail_errno(f, "%.300s", path);
	return 0;
}

int
trust_lock(const char *dir, struct fail *f)
{
	char *ca = file_join(dir, "ca");
	int fd = -1;

	if (make_folder(dir, f) == -1 || make_folder(ca, f) == -1)
		goto out;
	if ((fd = open(ca, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		fail_errno(f, "%.300s", ca);
	else if (file_lock(fd, ca, LOCK_WAIT_S, f) == -1) {
		close(fd);
		fd = -1;
	} else
		remove_leftovers(fd);
out:
	free(ca);
	return fd;
}

/* ---- the lists ---- */

/* What is no certificate goes out of the list. */
static void
keep_certs(struct pem_list *items)
{
	struct pem_list others = PEM_LIST_INIT;
	size_t i, n = 0;

	others.v = xcalloc(items->n, sizeof *others.v);
	for (i = 0; i < items->n; i++)
		if (pem_is_cert(&items->v[i]))
			items->v[n++] = items->v[i];
		else
			others.v[others.n++] = items->v[i];
	items->n = n;
	pem_list_clear(&others);
}

/* A list from which the last certificate was removed has no block in it. */
static int
parse_list(const struct buf *b, struct pem_list *items, struct fail *f)
{
	if (b->len == 0 || memmem(b->p, b->len, "-----BEGIN ", 11) == NULL)
		return 0;
	if (pem_read(b->p, b->len, items, f) == -1)
		return -1;
	keep_certs(items);
	return 0;
}

/* The others are enough, or it is not in use. */
static int
may_lack_system(const struct trust_state *st)
{
	return st != NULL && (st->on[TRUST_CUSTOM] || !st->on[TRUST_SYSTEM]);
}

int
trust_list_read(const char *dir, enum trust_list which, const struct trust_state *st,
    struct pem_list *items, struct fail *f)
{
	char *path = trust_list_path(dir, which);
	struct fail why = FAIL_INIT;
	struct buf b = BUF_INIT;
	int rc = 0;

	*items = (struct pem_list)PEM_LIST_INIT;
	if (file_read(path, 0, &b, &why) == -1) {
		if (why.err != ENOENT || (which == TRUST_SYSTEM && !may_lack_system(st))) {
			rc = fail(f, why.kind, "%s", why.text);
			if (f != NULL)
				f->err = why.err;
		}
	} else if ((rc = parse_list(&b, items, f)) == -1)
		fail_prefix(f, "%.300s", path);
	buf_clear(&b);
	free(path);
	return rc;
}

/* Notes where each certificate's subject is. */
static int
index_list(struct trust *t, const struct pem_list *list, struct fail *f)
{
	size_t i;

	t->v = xreallocarray(t->v, t->n + list->n + 1, sizeof *t->v);
	for (i = 0; i < list->n; i++) {
		struct entry *e = &t->v[t->n];

		e->item = &list->v[i];
		if (!scan_certificate(e))
			return fail(f, FAIL_INPUT, "line %u: not a certificate", list->v[i].line);
		t->n++;
	}
	return 0;
}

static int
open_list(struct trust *t, const char *dir, enum trust_list which, struct fail *f)
{
	char *path;

	if (!t->state.on[which])
		return 0;
	if (trust_list_read(dir, which, &t->state, &t->list[which], f) == -1)
		return -1;
	if (index_list(t, &t->list[which], f) == 0)
		return 0;
	path = trust_list_path(dir, which);
	fail_prefix(f, "%.300s", path);
	free(path);
	return -1;
}

struct trust *
trust_open(const char *dir, struct fail *f)
{
	struct trust *t = xcalloc(1, sizeof *t);

	if (trust_state_read(dir, &t->state, f) == 0 &&
	    open_list(t, dir, TRUST_SYSTEM, f) == 0 && open_list(t, dir, TRUST_CUSTOM, f) == 0)
		return t;
	trust_free(t);
	return NULL;
}

struct trust *
trust_from_pem(const void *p, size_t len, struct fail *f)
{
	struct trust *t = xcalloc(1, sizeof *t);
	struct pem_list *list = &t->list[TRUST_CUSTOM];

	if (pem_read(p, len, list, f) == 0) {
		keep_certs(list);
		if (list->n == 0)
			fail(f, FAIL_INPUT, "no certificate in it");
		else if (index_list(t, list, f) == 0)
			return t;
	}
	trust_free(t);
	return NULL;
}

void
trust_free(struct trust *t)
{
	int i;

	if (t == NULL)
		return;
	for (i = 0; i < TRUST_LISTS; i++)
		pem_list_clear(&t->list[i]);
	trust_state_clear(&t->state);
	free(t->v);
	free(t);
}

size_t
trust_size(const struct trust *t)
{
	return t->n;
}

/* ---- questions ---- */

static int
is_distrusted(const struct trust *t, const X509 *cert)
{
	return trust_distrusts(t, cert, INT64_MIN);
}

static STACK_OF(X509) *
by_subject(const struct trust *t, const X509_NAME *name, int distrusted_too)
{
	STACK_OF(X509) *found = sk_X509_new_null();
	uint64_t hash = hash_of_name(name);
	X509 *cert;
	size_t i;

	if (found == NULL)
		alloc_failed();
	for (i = 0; i < t->n; i++) {
		if (t->v[i].subject != hash ||
		    (cert = cert_from_der(t->v[i].item->der, t->v[i].len, NULL)) == NULL)
			continue;
		if (X509_NAME_cmp(X509_get_subject_name(cert), name) != 0 ||
		    (!distrusted_too && is_distrusted(t, cert)))
			X509_free(cert);
		else if (sk_X509_push(found, cert) == 0)
			alloc_failed();
	}
	return found;
}

STACK_OF(X509) *
trust_by_subject(const struct trust *t, const X509_NAME *name)
{
	return by_subject(t, name, 0);
}

STACK_OF(X509) *
trust_listed_by_subject(const struct trust *t, const X509_NAME *name)
{
	return by_subject(t, name, 1);
}

int
trust_has(const struct trust *t, const X509 *cert)
{
	uint64_t hash = hash_of_name(X509_get_subject_name(cert));
	struct buf der = BUF_INIT;
	size_t i;
	int yes = 0;

	if (cert_to_der(cert, &der, NULL) == -1)
		alloc_failed();
	for (i = 0; i < t->n && !yes; i++)
		yes = t->v[i].subject == hash && t->v[i].len == der.len &&
		    memcmp(t->v[i].item->der, der.p, der.len) == 0;
	buf_clear(&der);
	return yes;
}

int
trust_distrusts(const struct trust *t, const X509 *cert, int64_t leaf_not_before)
{
	char fp[CERT_FINGERPRINT_SIZE], tbs[CERT_FINGERPRINT_SIZE];
	size_t i;

	if (t->state.n == 0)
		return 0;
	cert_fingerprint(fp, cert);
	cert_tbs_fingerprint(tbs, cert);
	for (i = 0; i < t->state.n; i++) {
		const struct trust_distrust *d = &t->state.v[i];

		if ((strcmp(d->fp, fp) == 0 || strcmp(d->tbs, tbs) == 0) &&
		    (!d->dated || leaf_not_before > d->after))
			return 1;
	}
	return 0;
}
