/*
 * Store: make the folders, lock, write folder N+1 whole, swap the link, prune.  What was made is
 * undone in the opposite order where a step fails.  Load: read the link once, then read every file
 * from the folder that it showed; a folder that two writers meanwhile replaced is looked up anew.
 */
#include "identity.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "key.h"
#include "name.h"
#include "pem.h"
#include "text.h"

#define CERTS "certs"
#define VERSIONS ".versions"
#define LOCK_WAIT_MS 20000
#define LOCK_POLL_MS 20
#define LOAD_TRIES 5

void
identity_clear(struct identity *id)
{
	free(id->name);
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
	cert_chain_free(id->chain);
	*id = (struct identity)IDENTITY_INIT;
}

char *
identity_path(const char *dir, const char *name)
{
	char *certs = file_join(dir, CERTS), *path = file_join(certs, name);

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

/* What the link shows, as it stands there; NULL: there is no link. */
static char *
read_link(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target - 1);

	return n > 0 ? xstrndup(target, n) : NULL;
}

static STACK_OF(X509) *
read_chain(const char *folder, struct fail *f)
{
	char *path = file_join(folder, "chain.pem");
	STACK_OF(X509) *chain = NULL;
	struct buf b = BUF_INIT;

	if (file_read_regular(path, IDENTITY_FILE_MAX, &b, f) == 0 &&
	    (chain = cert_chain_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%.300s", path);
	buf_clear(&b);
	free(path);
	return chain;
}

static X509 *
read_cert(const char *folder, struct fail *f)
{
	char *path = file_join(folder, "cert.pem");
	struct buf b = BUF_INIT;
	X509 *cert = NULL;

	if (file_read_regular(path, IDENTITY_FILE_MAX, &b, f) == 0 &&
	    (cert = cert_from_pem(b.p, b.len, f)) == NULL)
		fail_prefix(f, "%.300s", path);
	buf_clear(&b);
	free(path);
	return cert;
}

static EVP_PKEY *
read_key(const char *folder, const X509 *cert, struct fail *f)
{
	char *path = file_join(folder, "key.pem");
	EVP_PKEY *key = NULL, *public = X509_get0_pubkey(cert);
	struct buf b = BUF_INIT;

	if (file_read_regular(path, IDENTITY_FILE_MAX, &b, f) == -1)
		goto out;
	if ((key = key_from_pem(b.p, b.len, f)) == NULL) {
		fail_prefix(f, "%.300s", path);
		goto out;
	}
	if (public == NULL || !key_same(key, public)) {
		fail(f, FAIL_INPUT, "%.300s: not the key of cert.pem beside it", path);
		EVP_PKEY_free(key);
		key = NULL;
	}
out:
	buf_wipe(&b);
	free(path);
	return key;
}

static int
load_folder(const char *folder, unsigned flags, struct identity *id, struct fail *f)
{
	char *chain = file_join(folder, "chain.pem");
	int has_chain = access(chain, F_OK) == 0;

	free(chain);
	if ((id->cert = read_cert(folder, f)) == NULL)
		return -1;
	if (has_chain && (id->chain = read_chain(folder, f)) == NULL)
		return -1;
	if ((flags & IDENTITY_NEED_KEY) && (id->key = read_key(folder, id->cert, f)) == NULL)
		return -1;
	return 0;
}

/* A folder that somebody made by hand in the place of the link is read as well. */
static char *
folder_of(const char *path, const char *target)
{
	char *certs, *folder;

	if (target == NULL || target[0] == '/')
		return xstrdup(target != NULL ? target : path);
	certs = xstrndup(path, strrchr(path, '/') - path);
	folder = file_join(certs, target);
	free(certs);
	return folder;
}

static int
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* 0, -1, or 1: the link changed meanwhile, try again. */
static int
load_once(const char *path, const char *name, unsigned flags, struct identity *id, struct fail *f)
{
	char *target = read_link(path), *folder = folder_of(path, target), *after = NULL;
	int rc;

	id->name = xstrdup(name);
	rc = load_folder(folder, flags, id, f);
	if (rc == -1) {
		identity_clear(id);
		after = read_link(path);
		if (!same_text(target, after))
			rc = 1;
	}
	free(after);
	free(folder);
	free(target);
	return rc;
}

int
identity_load(const char *dir, const char *name, unsigned flags, struct identity *id,
    struct fail *f)
{
	char *path = NULL;
	int rc = 1, tries;

	*id = (struct identity)IDENTITY_INIT;
	if (name_check_identity(name, f) == -1)
		return -1;
	if (!identity_exists(dir, name))
		return fail(f, FAIL_INPUT, "no identity \"%.200s\" in %.200s/%s", name, dir, CERTS);
	path = identity_path(dir, name);
	for (tries = 0; rc == 1 && tries < LOAD_TRIES; tries++)
		rc = load_once(path, name, flags, id, f);
	free(path);
	return rc == 0 ? 0 : -1;
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
	fail(f, FAIL_INPUT, "no identity \"%.200s\" in %.200s/%s", text, dir, CERTS);
	return NULL;
}

/* A store under way. */
struct store {
	char *certs;	/* DIR/certs */
	char *link;	/* DIR/certs/NAME */
	char *home;	/* DIR/certs/.versions/NAME */
	char *folder;	/* the new version in it */
	char *target;	/* the new version as the link will show it */
	char *old;	/* the version that the link shows; NULL: none */
	char *made;	/* the top-most folder that was not there before; NULL: all were */
	int lock;
};

/* Without the last component; "." where there is but one. */
static char *
parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, slash - path);
}

static char *
first_missing(const char *path)
{
	char *here = xstrdup(path), *missing = NULL;
	struct stat st;

	while (stat(here, &st) == -1 && errno == ENOENT) {
		free(missing);
		missing = here;
		here = parent(missing);
		if (strcmp(here, missing) == 0)
			break;
	}
	free(here);
	return missing;
}

/* Whoever may read certificates may pass through the folders; keys have their own mode. */
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

static int
make_folders(const char *dir, struct store *s, struct fail *f)
{
	char *versions = parent(s->home);
	int rc = -1;

	s->made = first_missing(s->home);
	if (make_folder(dir, f) == 0 && make_folder(s->certs, f) == 0 &&
	    make_folder(versions, f) == 0 && make_folder(s->home, f) == 0)
		rc = 0;
	free(versions);
	return rc;
}

/* The lock is on the folder itself, so that there is no lock file to leave behind; it ends with the
 * process.  Waits for another writer, but not for ever: whoever can read the folder can hold it. */
static int
lock_store(struct store *s, struct fail *f)
{
	int waited;

	if ((s->lock = open(s->certs, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return fail_errno(f, "%.300s", s->certs);
	for (waited = 0; flock(s->lock, LOCK_EX | LOCK_NB) == -1; waited += LOCK_POLL_MS) {
		if (errno != EINTR && errno != EWOULDBLOCK)
			return fail_errno(f, "%.300s", s->certs);
		if (waited >= LOCK_WAIT_MS)
			return fail(f, FAIL_SYS, "%.300s: another process has held its lock for %d s",
			    s->certs, LOCK_WAIT_MS / 1000);
		poll(NULL, 0, LOCK_POLL_MS);
	}
	return 0;
}

/* May the name be taken?  Notes the version that it has now. */
static int
check_taken(struct store *s, const char *name, unsigned flags, struct fail *f)
{
	struct stat st;

	if (lstat(s->link, &st) == -1)
		return errno == ENOENT ? 0 : fail_errno(f, "%.300s", s->link);
	if (!(flags & IDENTITY_REPLACE))
		return fail(f, FAIL_POLICY,
		    "%.300s: identity \"%.200s\" exists already", s->link, name);
	if (!S_ISLNK(st.st_mode))
		return fail(f, FAIL_INPUT,
		    "%.300s: expected a symbolic link, which only these tools make", s->link);
	s->old = read_link(s->link);
	return 0;
}

/* The number of a version's folder; 0: it is none. */
static unsigned long
version_number(const char *s)
{
	long long n;

	return text_number(s, 1, INT_MAX - 1, "version", &n, NULL) == 0 ? (unsigned long)n : 0;
}

/* Numbers only grow: a folder that a crash left half written has a higher one than the link's. */
static int
choose_version(struct store *s, const char *name, struct fail *f)
{
	unsigned long highest = 0, n;
	struct dirent *e;
	DIR *d;

	if ((d = opendir(s->home)) == NULL)
		return fail_errno(f, "%.300s", s->home);
	while ((e = readdir(d)) != NULL)
		if ((n = version_number(e->d_name)) > highest)
			highest = n;
	closedir(d);
	s->target = xasprintf("%s/%s/%lu", VERSIONS, name, highest + 1);
	s->folder = file_join(s->certs, s->target);
	return 0;
}

static int
write_in(const char *folder, const char *file, mode_t mode, const struct buf *b, struct fail *f)
{
	char *path = file_join(folder, file);
	int rc = file_write(path, mode, FILE_NEW_DIR, b->p, b->len, f);

	free(path);
	return rc;
}

static int
write_files(const struct store *s, const struct identity *id, struct fail *f)
{
	struct buf key = BUF_INIT, cert = BUF_INIT, chain = BUF_INIT;
	int i, rc = -1;

	if (key_to_pem(id->key, &key, f) == -1 || pem_put_cert(&cert, id->cert, f) == -1)
		goto out;
	for (i = 0; i < sk_X509_num(id->chain); i++)
		if (pem_put_cert(&chain, sk_X509_value(id->chain, i), f) == -1)
			goto out;
	if (write_in(s->folder, "key.pem", 0600, &key, f) == -1 ||
	    write_in(s->folder, "cert.pem", 0644, &cert, f) == -1)
		goto out;
	if (chain.len > 0 && write_in(s->folder, "chain.pem", 0644, &chain, f) == -1)
		goto out;
	rc = file_sync_folder(s->folder, f);
out:
	buf_wipe(&key);
	buf_clear(&cert);
	buf_clear(&chain);
	return rc;
}

static int
write_version(const struct store *s, const struct identity *id, struct fail *f)
{
	if (mkdir(s->folder, 0755) == -1 || chmod(s->folder, 0755) == -1)
		return fail_errno(f, "%.300s", s->folder);
	if (write_files(s, id, f) == -1 || file_sync_dir(s->home, f) == -1)
		return -1;
	return file_symlink(s->target, s->link, f);
}

/* Does the link show the new version?  It may, although the last sync of the swap failed. */
static int
is_swapped(const struct store *s)
{
	char *now = read_link(s->link);
	int yes = s->target != NULL && same_text(now, s->target);

	free(now);
	return yes;
}

static void
undo(const struct store *s)
{
	char *path, *up;
	int last;

	if (is_swapped(s))
		return;
	if (s->folder != NULL)
		file_remove_tree(s->folder, NULL);
	if (s->made == NULL)
		return;
	/* rmdir(2) stops by itself at a folder that others use by now. */
	for (path = xstrdup(s->home); ; path = up) {
		last = strcmp(path, s->made) == 0;
		up = parent(path);
		if ((rmdir(path) == -1 && errno != ENOENT) || last)
			break;
		free(path);
	}
	free(up);
	free(path);
}

/* Keeps the new version and the one before; a leftover that cannot be removed does no harm. */
static void
prune(const struct store *s)
{
	const char *new = strrchr(s->target, '/') + 1;
	const char *old = s->old != NULL ? strrchr(s->old, '/') : NULL;
	struct dirent *e;
	char *path;
	DIR *d;

	if ((d = opendir(s->home)) == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (version_number(e->d_name) == 0 || strcmp(e->d_name, new) == 0 ||
		    (old != NULL && strcmp(e->d_name, old + 1) == 0))
			continue;
		path = file_join(s->home, e->d_name);
		file_remove_tree(path, NULL);
		free(path);
	}
	closedir(d);
}

static int
store_locked(struct store *s, const struct identity *id, unsigned flags, struct fail *f)
{
	if (check_taken(s, id->name, flags, f) == -1 || choose_version(s, id->name, f) == -1)
		return -1;
	return write_version(s, id, f);
}

int
identity_store(const char *dir, const struct identity *id, unsigned flags, struct fail *f)
{
	struct store s = { .lock = -1 };
	int rc = -1;

	if (name_check_identity(id->name, f) == -1)
		return -1;
	s.certs = file_join(dir, CERTS);
	s.link = file_join(s.certs, id->name);
	s.home = xasprintf("%s/%s/%s", s.certs, VERSIONS, id->name);
	if (make_folders(dir, &s, f) == 0 && lock_store(&s, f) == 0)
		rc = store_locked(&s, id, flags, f);
	if (rc == 0)
		prune(&s);
	else
		undo(&s);
	if (s.lock != -1)
		close(s.lock);
	free(s.certs);
	free(s.link);
	free(s.home);
	free(s.folder);
	free(s.target);
	free(s.old);
	free(s.made);
	return rc;
}
