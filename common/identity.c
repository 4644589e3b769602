/*
 * Load: read the link once, then read every file from the folder that it showed; a folder that two
 * writers meanwhile replaced is looked up anew.  Store: all files as bytes, then a new version.
 */
#include "identity.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "glance.h"
#include "key.h"
#include "name.h"
#include "pem.h"
#include "text.h"
#include "version.h"

#define CERTS "certs"
#define LOAD_TRIES 200	/* of an identity that is replaced all the while */

enum part { KEY, CERT, CHAIN, REQUEST, NEXT_KEY, NEXT_REQUEST, PARTS };

static const struct {
	const char *file;
	mode_t mode;
} part[PARTS] = {
	[KEY] = { "key.pem", 0600 },
	[CERT] = { "cert.pem", 0644 },
	[CHAIN] = { "chain.pem", 0644 },
	[REQUEST] = { "request.pem", 0644 },
	[NEXT_KEY] = { "next-key.pem", 0600 },
	[NEXT_REQUEST] = { "next-request.pem", 0644 },
};

void
identity_clear(struct identity *id)
{
	free(id->name);
	free(id->version);
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	cert_chain_free(id->chain);
	X509_REQ_free(id->request);
	EVP_PKEY_free(id->next_key);
	X509_REQ_free(id->next_request);
	*id = (struct identity)IDENTITY_INIT;
}

static char *
certs_of(const char *dir)
{
	return file_join(dir, CERTS);
}

char *
identity_path(const char *dir, const char *name)
{
	char *certs = certs_of(dir), *path = file_join(certs, name);

	free(certs);
	return path;
}

int
identity_exists(const char *dir, const char *name)
{
	char *path = identity_path(dir, name);
	struct stat st;
	int yes = lstat(path, &st) == 0;

	free(path);
	return yes;
}

/* What may not be looked at may be there. */
static int
no_identity(const char *dir, const char *name, const char *text, struct fail *f)
{
	char *path = identity_path(dir, name);
	struct stat st;
	int rc;

	if (lstat(path, &st) == -1 && errno == EACCES)
		rc = fail_errno(f, "%.300s", path);
	else
		rc = fail(f, FAIL_INPUT, "no identity \"%.200s\" in %.200s/%s", text, dir, CERTS);
	free(path);
	return rc;
}

/* ---- reading ---- */

static int
has(const char *folder, enum part p)
{
	char *path = file_join(folder, part[p].file);
	int yes = access(path, F_OK) == 0 || errno != ENOENT;

	free(path);
	return yes;
}

static EVP_PKEY *
key_of_bytes(const struct buf *b, struct fail *f)
{
	return key_from_pem(b->p, b->len, f);
}

static X509_REQ *
request_of_bytes(const struct buf *b, struct fail *f)
{
	struct pem_list list = PEM_LIST_INIT;
	X509_REQ *req = NULL;

	if (pem_read(b->p, b->len, &list, f) == -1)
		return NULL;
	if (list.n != 1 || !pem_is_request(&list.v[0]))
		fail(f, FAIL_INPUT, "expected one certificate request");
	else
		req = pem_get1_request(&list.v[0], f);
	pem_list_clear(&list);
	return req;
}

/* One file into the member that it is for; FAIL_INPUT names the file. */
static int
read_part(const char *folder, enum part p, unsigned flags, struct identity *id, struct fail *f)
{
	char *path = file_join(folder, part[p].file);
	struct buf b = BUF_INIT;
	const void *got = NULL;

	if (file_read_regular(path, IDENTITY_FILE_MAX, &b, f) == -1)
		goto out;
	switch (p) {
	case KEY:
		got = id->key = key_of_bytes(&b, f);
		break;
	case CERT:
		got = id->cert = flags & IDENTITY_GLANCE ? glance_cert(b.p, b.len, f) :
		    cert_from_pem(b.p, b.len, f);
		break;
	case CHAIN:
		got = id->chain = cert_chain_from_pem(b.p, b.len, f);
		break;
	case REQUEST:
		got = id->request = request_of_bytes(&b, f);
		break;
	case NEXT_KEY:
		got = id->next_key = key_of_bytes(&b, f);
		break;
	case NEXT_REQUEST:
		got = id->next_request = request_of_bytes(&b, f);
		break;
	case PARTS:
		abort();
	}
	if (got == NULL)
		fail_prefix(f, "%.300s", path);
out:
	buf_wipe(&b);
	free(path);
	return got != NULL ? 0 : -1;
}

/* The keys must be those of what stands beside them: the certificate, or the request without one. */
static int
check_keys(const char *folder, const struct identity *id, struct fail *f)
{
	EVP_PKEY *public;

	if (id->cert != NULL) {
		public = X509_get0_pubkey(id->cert);
		if (public == NULL || !key_same(id->key, public))
			return fail(f, FAIL_INPUT, "%.300s/%s: not the key of cert.pem beside it",
			    folder, part[KEY].file);
	}
	if (id->next_request != NULL) {
		public = X509_REQ_get0_pubkey(id->next_request);
		if (public == NULL || id->next_key == NULL || !key_same(id->next_key, public))
			return fail(f, FAIL_INPUT, "%.300s/%s: not of the key beside it", folder,
			    part[NEXT_REQUEST].file);
	}
	return 0;
}

static int
load_pending(const char *folder, unsigned flags, struct identity *id, struct fail *f)
{
	if (has(folder, REQUEST) && read_part(folder, REQUEST, flags, id, f) == -1)
		return -1;
	if (has(folder, NEXT_REQUEST) && read_part(folder, NEXT_REQUEST, flags, id, f) == -1)
		return -1;
	if ((flags & IDENTITY_NEED_KEY) && has(folder, NEXT_KEY))
		return read_part(folder, NEXT_KEY, flags, id, f);
	return 0;
}

static int
load_folder(const char *folder, unsigned flags, struct identity *id, struct fail *f)
{
	if (!has(folder, CERT) && has(folder, REQUEST)) {
		if (!(flags & IDENTITY_PENDING))
			return fail(f, FAIL_INPUT, "%.300s: no certificate for \"%.200s\" yet, only "
			    "its request: `certstore install` takes the CA's answer", folder, id->name);
	} else if (read_part(folder, CERT, flags, id, f) == -1)
		return -1;
	if (!(flags & IDENTITY_GLANCE) && has(folder, CHAIN) && read_part(folder, CHAIN, flags, id, f) == -1)
		return -1;
	if ((flags & IDENTITY_PENDING) && load_pending(folder, flags, id, f) == -1)
		return -1;
	if (id->cert == NULL && id->request == NULL)
		return fail(f, FAIL_INPUT, "%.300s: there is neither a certificate nor a request", folder);
	if (!(flags & IDENTITY_NEED_KEY))
		return 0;
	if (read_part(folder, KEY, flags, id, f) == -1)
		return -1;
	return check_keys(folder, id, f);
}

typedef char *which_fn(const char *certs, const char *name);

/* 0, -1, or 1: it is another version by now, try again.  Files of one that is removed meanwhile look absent. */
static int
load_once(const char *certs, const char *name, which_fn *which, unsigned flags, struct identity *id,
    struct fail *f)
{
	char *version = which(certs, name), *folder = version_folder(certs, name, version), *after;
	int rc;

	id->name = xstrdup(name);
	id->version = version;
	rc = load_folder(folder, flags, id, f);
	after = which(certs, name);
	if (!text_same(version, after))
		rc = 1;
	if (rc != 0)
		identity_clear(id);
	free(after);
	free(folder);
	return rc;
}

static int
load(const char *dir, const char *name, which_fn *which, unsigned flags, struct identity *id,
    struct fail *f)
{
	char *certs = certs_of(dir);
	int rc = 1, tries;

	for (tries = 0; rc == 1 && tries < LOAD_TRIES; tries++)
		rc = load_once(certs, name, which, flags, id, f);
	free(certs);
	if (rc == 1)
		return fail(f, FAIL_SYS, "%.200s: replaced each of the %d times that it was read", name,
		    LOAD_TRIES);
	return rc;
}

int
identity_load(const char *dir, const char *name, unsigned flags, struct identity *id,
    struct fail *f)
{
	*id = (struct identity)IDENTITY_INIT;
	if (name_check_identity(name, f) == -1)
		return -1;
	if (!identity_exists(dir, name))
		return no_identity(dir, name, name, f);
	return load(dir, name, version_current, flags, id, f);
}

int
identity_load_before(const char *dir, const char *name, unsigned flags, struct identity *id,
    struct fail *f)
{
	char *certs = certs_of(dir), *before = version_before(certs, name);
	int there = before != NULL;

	*id = (struct identity)IDENTITY_INIT;
	if (!there)
		fail(f, FAIL_POLICY, "%.300s/%.200s: there is no version before this one", certs, name);
	free(before);
	free(certs);
	return there ? load(dir, name, version_before, flags, id, f) : -1;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
identity_list(const char *dir, struct identity_names *names, struct fail *f)
{
	char *certs = certs_of(dir);
	struct dirent *e;
	DIR *d = opendir(certs);

	*names = (struct identity_names){ .v = NULL, .n = 0 };
	if (d == NULL) {
		int rc = errno == ENOENT ? 0 : fail_errno(f, "%.300s", certs);

		free(certs);
		return rc;
	}
	free(certs);
	while ((e = readdir(d)) != NULL) {
		if (name_check_identity(e->d_name, NULL) == -1)
			continue;
		if (names->n % 64 == 0)
			names->v = xreallocarray(names->v, names->n + 64, sizeof *names->v);
		names->v[names->n++] = xstrdup(e->d_name);
	}
	closedir(d);
	if (names->n > 0)
		qsort(names->v, names->n, sizeof *names->v, by_name);
	return 0;
}

void
identity_names_clear(struct identity_names *names)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
	*names = (struct identity_names){ .v = NULL, .n = 0 };
}

/* The name that an identity gets where it is made for this host or address; NULL: it is neither. */
static char *
stored_form(const char *text)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	char shown[INET6_ADDRSTRLEN], *ascii, *name;
	uint8_t addr[16];

	if (inet_pton(family, text, addr) == 1)
		return xstrdup(inet_ntop(family, addr, shown, sizeof shown));
	if ((ascii = name_to_ascii(text, NULL)) == NULL)
		return NULL;
	name = name_to_identity(ascii, NULL);
	free(ascii);
	return name;
}

char *
identity_find(const char *dir, const char *text, struct fail *f)
{
	int rc = name_check_identity(text, f);
	char *name;

	if (rc == 0 && identity_exists(dir, text))
		return xstrdup(text);
	if ((name = stored_form(text)) != NULL) {
		if (identity_exists(dir, name))
			return name;
		free(name);
	} else if (rc == -1)
		return NULL;
	no_identity(dir, rc == 0 ? text : ".", text, f);
	return NULL;
}

/* ---- writing ---- */

static int
bytes_of_chain(STACK_OF(X509) *chain, struct buf *b, struct fail *f)
{
	int i;

	for (i = 0; i < sk_X509_num(chain); i++)
		if (pem_put_cert(b, sk_X509_value(chain, i), f) == -1)
			return -1;
	return 0;
}

/* Each part as the bytes of its file; a part that is not there stays empty. */
static int
bytes_of(const struct identity *id, struct buf b[PARTS], struct fail *f)
{
	if ((id->key != NULL && key_to_pem(id->key, &b[KEY], f) == -1) ||
	    (id->next_key != NULL && key_to_pem(id->next_key, &b[NEXT_KEY], f) == -1))
		return -1;
	if ((id->cert != NULL && pem_put_cert(&b[CERT], id->cert, f) == -1) ||
	    bytes_of_chain(id->chain, &b[CHAIN], f) == -1)
		return -1;
	if ((id->request != NULL && pem_put_request(&b[REQUEST], id->request, f) == -1) ||
	    (id->next_request != NULL &&
	    pem_put_request(&b[NEXT_REQUEST], id->next_request, f) == -1))
		return -1;
	return 0;
}

int
identity_store(const char *dir, const struct identity *id, unsigned flags, struct fail *f)
{
	struct version_file v[PARTS];
	struct buf b[PARTS] = { BUF_INIT };
	char *certs;
	size_t i, n = 0;
	int rc = -1;

	if (name_check_identity(id->name, f) == -1)
		return -1;
	certs = certs_of(dir);
	if (bytes_of(id, b, f) == -1)
		goto out;
	for (i = 0; i < PARTS; i++)
		if (b[i].len > 0)
			v[n++] = (struct version_file){ part[i].file, part[i].mode, b[i].p, b[i].len };
	rc = version_store(certs, id->name, v, n,
	    (flags & (IDENTITY_REPLACE | IDENTITY_AMEND) ? VERSION_REPLACE : 0) |
	    (flags & IDENTITY_AMEND ? VERSION_AMEND : 0), id->version, f);
out:
	for (i = 0; i < PARTS; i++)
		buf_wipe(&b[i]);
	free(certs);
	return rc;
}

static int
check_there(const char *dir, const char *name, struct fail *f)
{
	if (name_check_identity(name, f) == -1)
		return -1;
	if (!identity_exists(dir, name))
		return no_identity(dir, name, name, f);
	return 0;
}

int
identity_rollback(const char *dir, const char *name, const char *to, struct fail *f)
{
	char *certs;
	int rc;

	if (check_there(dir, name, f) == -1)
		return -1;
	certs = certs_of(dir);
	rc = version_rollback(certs, name, to, f);
	free(certs);
	return rc;
}

int
identity_rename(const char *dir, const char *name, const char *to, struct fail *f)
{
	char *certs;
	int rc;

	if (check_there(dir, name, f) == -1 || name_check_identity(to, f) == -1)
		return -1;
	certs = certs_of(dir);
	rc = version_rename(certs, name, to, f);
	free(certs);
	return rc;
}

int
identity_remove(const char *dir, const char *name, struct fail *f)
{
	char *certs;
	int rc;

	if (check_there(dir, name, f) == -1)
		return -1;
	certs = certs_of(dir);
	rc = version_remove(certs, name, f);
	free(certs);
	return rc;
}
