#include "setup.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "alloc.h"
#include "cert.h"
#include "clock.h"
#include "conf_file.h"
#include "file.h"
#include "identity.h"
#include "issue.h"
#include "key.h"
#include "log.h"
#include "name.h"
#include "ossl.h"
#include "paths.h"
#include "tls.h"

#define DEMO_RENEW_S 86400	/* before its end the demonstration identity is made anew */

/* ---- identities ---- */

static X509 *
make_demo_cert(const char *hostname, EVP_PKEY *key, struct fail *f)
{
	struct issue order;
	X509 *cert = NULL;

	issue_init(&order);
	order.days = ISSUE_DEMO_DAYS;
	order.flags = ISSUE_DEMO;
	if (issue_set(&order, ISSUE_CN, hostname, f) == 0)
		cert = issue_self_signed(&order, key, clock_now(), f);
	issue_clear(&order);
	return cert;
}

static int
make_demo(const struct conf *c, struct fail *f)
{
	struct identity id = IDENTITY_INIT;
	int rc = -1;

	id.name = xstrdup(SETUP_DEMO);
	if ((id.key = key_generate("ec:p256", f)) != NULL &&
	    (id.cert = make_demo_cert(c->hostname, id.key, f)) != NULL)
		rc = identity_store(c->dir, &id, IDENTITY_REPLACE, f);
	identity_clear(&id);
	return rc;
}

static int
ends_soon(const X509 *cert)
{
	return cert_not_after(cert) <= clock_now() + DEMO_RENEW_S;
}

static int
is_for(const X509 *cert, const char *hostname)
{
	struct cert_names names = CERT_NAMES_INIT;
	size_t i;
	int found = 0;

	cert_dns_names(cert, &names);
	for (i = 0; i < names.n && !found; i++)
		found = name_matches(hostname, names.v[i]);
	cert_names_clear(&names);
	return found;
}

/* A listener without a certificate of its own still encrypts: RFC 7435.  What somebody stored under this name, and is
 * not for demonstration, is theirs. */
static int
refresh_demo(const struct conf *c, struct fail *f)
{
	struct identity id = IDENTITY_INIT;
	int good = 0;

	if (identity_exists(c->dir, SETUP_DEMO) &&
	    identity_load(c->dir, SETUP_DEMO, IDENTITY_NEED_KEY, &id, NULL) == 0)
		good = !cert_is_demo(id.cert) || (!ends_soon(id.cert) && is_for(id.cert, c->hostname));
	identity_clear(&id);
	return good ? 0 : make_demo(c, f);
}

static void
warn_of_cert(const struct conf_listen *l, const char *name, const X509 *cert)
{
	struct log_line line;
	int demo = cert_is_demo(cert), expired = cert_not_after(cert) < clock_now();

	if (!demo && !expired)
		return;
	log_event(&line, LOG_LEVEL_WARN, "master", "certificate");
	log_key(&line, "listener", l->name);
	log_key(&line, "identity", name);
	log_key(&line, "warning", demo ? CERT_DEMO_WARNING : "it has expired");
	log_send(&line);
}

static void
warn_of_key(const struct conf *c, const struct conf_listen *l, const char *name)
{
	char *folder = identity_path(c->dir, name), *path = file_join(folder, "key.pem");
	struct log_line line;

	if (file_is_exposed(path)) {
		log_event(&line, LOG_LEVEL_WARN, "master", "key");
		log_key(&line, "listener", l->name);
		log_key(&line, "identity", name);
		log_key(&line, "warning", "others than its owner may read key.pem");
		log_send(&line);
	}
	free(path);
	free(folder);
}

static int
load_identity(const struct conf_listen *l, const struct conf *c, const char *name, struct identity *id, struct fail *f)
{
	if (identity_load(c->dir, name, IDENTITY_NEED_KEY, id, f) == -1)
		return -1;
	warn_of_cert(l, name, id->cert);
	warn_of_key(c, l, name);
	return 0;
}

static int
covers(const X509 *cert, const X509 *other)
{
	struct cert_names mine = CERT_NAMES_INIT, theirs = CERT_NAMES_INIT;
	size_t i, j;
	int all = 1;

	cert_dns_names(cert, &mine);
	cert_dns_names(other, &theirs);
	for (i = 0; i < theirs.n && all; i++) {
		for (j = 0; j < mine.n && !text_case_eq(mine.v[j], theirs.v[i]); j++)
			;
		all = j < mine.n;
	}
	cert_names_clear(&mine);
	cert_names_clear(&theirs);
	return all;
}

/*
 * Two identities with the same names and keys of two types are one to the client, who gets what it can do (RSA
 * beside ECDSA).
 */
static int
is_twin(SSL_CTX *ctx, const struct identity *id)
{
	const X509 *first = SSL_CTX_get0_certificate(ctx);

	return EVP_PKEY_get_base_id(X509_get0_pubkey(first)) != EVP_PKEY_get_base_id(id->key) &&
	    covers(first, id->cert) && covers(id->cert, first);
}

/* The contexts of a listener, the first for all unknown names. */
struct contexts {
	SSL_CTX **v;
	size_t n;
};

static int
add_identity(struct contexts *all, const struct conf_listen *l, const struct identity *id,
    const struct tls_secrets *secrets, struct fail *f)
{
	struct tls_server_conf conf = { .min_version = l->tls_min, .ciphers = l->ciphers };
	SSL_CTX *ctx;
	size_t i;

	for (i = 0; i < all->n; i++)
		if (is_twin(all->v[i], id))
			return tls_server_add(all->v[i], id->key, id->cert, id->chain, f);
	if ((ctx = tls_server_ctx(id->key, id->cert, id->chain, &conf, f)) == NULL)
		return -1;
	all->v = xreallocarray(all->v, all->n + 1, sizeof *all->v);
	all->v[all->n++] = ctx;
	return tls_server_tickets(ctx, secrets, l->name, f);
}

static int
load_named(struct contexts *all, const struct conf_listen *l, const struct conf *c, const char *name,
    const struct tls_secrets *secrets, struct fail *f)
{
	struct identity id = IDENTITY_INIT;
	int rc = -1;

	if (load_identity(l, c, name, &id, f) == 0)
		rc = add_identity(all, l, &id, secrets, f);
	identity_clear(&id);
	return rc;
}

/* dry: nothing is made. */
static int
load_identities(const struct conf_listen *l, const struct conf *c, int dry, const struct tls_secrets *secrets,
    SSL_CTX **tls, struct fail *f)
{
	struct contexts all = { .v = NULL };
	size_t i;
	int rc = 0;

	*tls = NULL;
	if (l->tls == SMTP_SERVER_TLS_NO || (dry && l->ncerts == 0))
		return 0;
	if (l->ncerts == 0 && (rc = refresh_demo(c, f)) == 0)
		rc = load_named(&all, l, c, SETUP_DEMO, secrets, f);
	for (i = 0; i < l->ncerts && rc == 0; i++)
		rc = load_named(&all, l, c, l->cert[i], secrets, f);
	if (rc == 0) {
		*tls = all.v[0];
		if (all.n > 1)
			tls_server_names(all.v[0], all.v + 1, all.n - 1);
	} else {
		for (i = 0; i < all.n; i++)
			SSL_CTX_free(all.v[i]);
		fail_prefix(f, "listener %.64s", l->name);
	}
	free(all.v);
	return rc;
}

static int
shows_demo(const struct in_listener *l)
{
	return l->tls != NULL && l->conf->ncerts == 0;
}

int
setup_demo_ends(const struct setup *s)
{
	size_t i;

	for (i = 0; i < s->nlisteners; i++) {
		const X509 *cert = shows_demo(&s->listener[i]) ? SSL_CTX_get0_certificate(s->listener[i].tls) : NULL;

		if (cert != NULL && cert_is_demo(cert) && ends_soon(cert))
			return 1;
	}
	return 0;
}

/* All of them, or none: a half is worse than the old ones. */
int
setup_renew_demo(struct setup *s, struct fail *f)
{
	SSL_CTX **tls = xcalloc(s->nlisteners, sizeof *tls), *old;
	size_t i;
	int rc = 0;

	ossl_wipe_again();
	for (i = 0; i < s->nlisteners && rc == 0; i++)
		if (shows_demo(&s->listener[i]))
			rc = load_identities(s->listener[i].conf, s->conf, 0, s->secrets, &tls[i], f);
	for (i = 0; i < s->nlisteners; i++) {
		if (!shows_demo(&s->listener[i]))
			continue;
		old = s->listener[i].tls;
		if (rc == 0)
			s->listener[i].tls = tls[i];
		SSL_CTX_free(rc == 0 ? old : tls[i]);
	}
	ossl_wipe_end();
	free(tls);
	return rc;
}

void
setup_forget_keys(struct setup *s)
{
	size_t i;

	ossl_wipe_again();
	for (i = 0; i < s->nlisteners; i++) {
		SSL_CTX_free(s->listener[i].tls);
		s->listener[i].tls = NULL;
	}
	ossl_wipe_end();
}

/* ---- trusted CAs ---- */

static int
asks_clients(const struct conf_listen *l)
{
	size_t i;

	for (i = 0; i < l->nhosts; i++)
		if (l->hosts[i].client_cert > CONF_CLIENT_CERT_NO)
			return 1;
	return l->client.cert != CONF_CLIENT_CERT_NO;
}

static int
needs_trust(const struct conf *c)
{
	size_t i;

	for (i = 0; i < c->nlisten; i++) {
		const struct conf_listen *l = &c->listen[i];

		if (asks_clients(l) && (l->client.nnames > 0 || l->client.nfingerprints == 0))
			return 1;
	}
	return conf_needs_trust(c);
}

/*
 * The roles have no folder to read them from: they are born with them.  Where nothing needs them the relay goes
 * on without; MTA-STS then refuses what it would have to verify.
 */
static int
load_trust(struct setup *s, struct fail *f)
{
	struct log_line l;

	if ((s->trust = trust_open(s->conf->dir, f)) != NULL)
		return 0;
	if (needs_trust(s->conf))
		return -1;
	log_event(&l, LOG_LEVEL_WARN, "master", "trust");
	log_key(&l, "warning", f->text);
	log_send(&l);
	*f = (struct fail)FAIL_INIT;
	return 0;
}

/* ---- recipients ---- */

struct first_error {
	char text[400];
	unsigned line;
};

static void
keep_first(void *arg, const char *file, unsigned line, const char *text)
{
	struct first_error *e = arg;

	(void)file;
	if (e->line != 0)
		return;
	e->line = line;
	snprintf(e->text, sizeof e->text, "%s", text);
}

/* *r is NULL where the configuration names no file.  Of its errors the first is told. */
static int
load_recipients(const struct conf *c, struct recipients **r, struct fail *f)
{
	struct first_error first = { .line = 0 };
	size_t errors;

	*r = NULL;
	if (c->recipients == NULL || c->recipients[0] == '\0')
		return 0;
	if ((*r = recipients_read(c->recipients, keep_first, &first, &errors, f)) != NULL)
		return 0;
	if (errors > 0)
		fail(f, FAIL_INPUT, "%.300s:%u: %s (errors: %zu)", c->recipients, first.line, first.text, errors);
	return conf_file_failed(c, CONF_FILE_RECIPIENTS, f);
}

/* ---- what out needs: its own identities, and passwords ---- */

/* A key that is too weak for the strict context would only be found out when a server asks for it. */
static int
check_out_identity(const struct identity *id, struct fail *f)
{
	SSL_CTX *ctx = tls_client_ctx(TLS_STRICT, f);
	int rc = -1;

	if (ctx == NULL)
		return -1;
	ossl_clear();
	if (SSL_CTX_use_cert_and_key(ctx, id->cert, id->key, id->chain, 1) == 1)
		rc = 0;
	else
		fail_ossl(f, FAIL_INPUT, "identity %.200s", id->name);
	SSL_CTX_free(ctx);
	return rc;
}

static void
warn_of_out_cert(const char *name, const X509 *cert)
{
	const char *warning = cert_is_demo(cert) ? CERT_DEMO_WARNING :
	    cert_not_after(cert) < clock_now() ? "it has expired" :
	    !(X509_get_extended_key_usage((X509 *)cert) & XKU_SSL_CLIENT) ?
	    "it is not for clients: servers that verify it will refuse it" : NULL;
	struct log_line line;

	if (warning == NULL)
		return;
	log_event(&line, LOG_LEVEL_WARN, "master", "certificate");
	log_key(&line, "identity", name);
	log_key(&line, "warning", warning);
	log_send(&line);
}

static int
load_out_identity(const struct conf *c, const char *name, struct out_identity *out, struct fail *f)
{
	struct identity id = IDENTITY_INIT;

	if (identity_load(c->dir, name, IDENTITY_NEED_KEY, &id, f) == -1 || check_out_identity(&id, f) == -1) {
		identity_clear(&id);
		return -1;
	}
	out->name = xstrdup(name);
	out->id = (struct contact_identity){ .key = id.key, .cert = id.cert, .chain = id.chain };
	id.key = NULL;
	id.cert = NULL;
	id.chain = NULL;
	identity_clear(&id);
	return 0;
}

static int
load_out_identities(struct setup *s, struct fail *f)
{
	const char **name;
	size_t i, n;
	int rc = 0;

	name = conf_out_certs(s->conf, &n);
	s->identity = xcalloc(n + 1, sizeof *s->identity);
	for (i = 0; i < n && rc == 0; i++)
		if ((rc = load_out_identity(s->conf, name[i], &s->identity[s->nidentities], f)) == 0)
			warn_of_out_cert(name[i], s->identity[s->nidentities++].id.cert);
	free(name);
	return rc;
}

void
setup_forget_identities(struct setup *s)
{
	size_t i;

	ossl_wipe_again();
	for (i = 0; i < s->nidentities; i++) {
		free(s->identity[i].name);
		EVP_PKEY_free(s->identity[i].id.key);
		X509_free(s->identity[i].id.cert);
		sk_X509_pop_free(s->identity[i].id.chain, X509_free);
	}
	ossl_wipe_end();
	free(s->identity);
	s->identity = NULL;
	s->nidentities = 0;
}

/* All that routes name are there: mail would wait for a word that is misspelt. */
static int
load_credentials(const struct conf *c, struct credentials **out, struct fail *f)
{
	size_t i;

	*out = NULL;
	if (!conf_has_credentials(c) || c->credentials[0] == '\0')
		return 0;
	if ((*out = credentials_read(c->credentials, f)) == NULL)
		return conf_file_failed(c, CONF_FILE_CREDENTIALS, f);
	for (i = 0; i < c->nroutes; i++) {
		const char *name = c->route[i].hops.credentials;

		if (name != NULL && credentials_find(*out, name) == NULL)
			return fail(f, FAIL_INPUT, "%.200s:%u: route %.100s: no credentials %.64s in %.200s",
			    c->file, c->route[i].line, c->route[i].pattern, name, c->credentials);
	}
	return 0;
}

void
setup_forget_credentials(struct setup *s)
{
	credentials_free(s->credentials);
	s->credentials = NULL;
}

/* ---- sockets ---- */

static socklen_t
listen_address(const struct endpoint *e, struct sockaddr_storage *ss)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof *ss);
	if (inet_pton(AF_INET, e->host, &sin->sin_addr) == 1) {
		sin->sin_family = AF_INET;
		sin->sin_port = htons(e->port);
		return sizeof *sin;
	}
	if (inet_pton(AF_INET6, e->host, &sin6->sin6_addr) != 1)
		abort();
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(e->port);
	return sizeof *sin6;
}

/* A port with and without a wildcard (0.0.0.0, ::) is another place each time; the same one is taken over. */
static int
has_port_of(const struct conf_listen *a, const struct conf_listen *b)
{
	return a->path == NULL && b->path == NULL && a->at.port == b->at.port &&
	    (strchr(a->at.host, ':') == NULL) == (strchr(b->at.host, ':') == NULL);
}

/*
 * From 0.0.0.0 to one address, or back, on one port: the system takes the second socket only where both allow it
 * (SO_REUSEPORT), at bind(2) and at listen(2).  Not for longer: another relay of the same user could join.
 */
static void
share_port(const struct setup *before, const struct in_listener *l, int on)
{
	int saved = errno;
	size_t i;

	for (i = 0; before != NULL && i < before->nlisteners; i++)
		if (before->listener[i].fd != -1 && has_port_of(before->listener[i].conf, l->conf)) {
			setsockopt(before->listener[i].fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
			setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
		}
	errno = saved;
}

static int
bind_port(struct in_listener *l, const struct setup *before)
{
	struct sockaddr_storage ss;
	socklen_t len = listen_address(&l->conf->at, &ss);
	int on = 1;

	l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd == -1 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    (ss.ss_family == AF_INET6 &&
	    setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == -1))
		return -1;
	share_port(before, l, 1);
	return bind(l->fd, (struct sockaddr *)&ss, len);
}

/* A relay that was killed leaves its socket; one that somebody listens on, or a file, is not ours to remove. */
static void
remove_stale(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd != -1 && lstat(sun->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (const struct sockaddr *)sun, sizeof *sun) == -1 && errno == ECONNREFUSED)
		unlink(sun->sun_path);
	if (fd != -1)
		close(fd);
}

/* Nobody else may write to it at any moment: the mode comes with bind(2). */
static int
bind_path(struct in_listener *l, gid_t gid)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	mode_t mask;
	int rc;

	memcpy(sun.sun_path, l->conf->path, strlen(l->conf->path));
	remove_stale(&sun);
	if ((l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	mask = umask(0777 & ~(mode_t)l->conf->mode);
	rc = bind(l->fd, (struct sockaddr *)&sun, sizeof sun);
	umask(mask);
	if (rc == -1 || paths_note(l) == -1)
		return -1;
	return gid == (gid_t)-1 ? 0 : lchown(l->conf->path, (uid_t)-1, gid);
}

static int
bind_listener(struct in_listener *l, const struct setup *before, struct fail *f)
{
	char *place = conf_listen_place(l->conf);
	gid_t gid;
	int rc = -1;

	if (paths_group(l->conf->group, &gid, f) == -1)
		fail_prefix(f, "listener %.64s", l->conf->name);
	else if ((l->conf->path != NULL ? bind_path(l, gid) : bind_port(l, before)) == -1 ||
	    listen(l->fd, (int)l->conf->backlog) == -1)
		fail_errno(f, "listener %.64s: %.200s", l->conf->name, place);
	else
		rc = 0;
	share_port(before, l, 0);
	free(place);
	return rc;
}

/* The same socket will do; what else the line says of a listener is asked of it when somebody has connected. */
static int
same_socket(const struct conf_listen *a, const struct conf_listen *b)
{
	return text_same(a->path, b->path) && strcmp(a->at.host, b->at.host) == 0 && a->at.port == b->at.port;
}

/* One whose file somebody removed, or put another in the place of, takes nobody's mail: another is bound. */
static const struct in_listener *
find_socket(const struct setup *s, const struct conf_listen *l)
{
	size_t i;

	for (i = 0; s != NULL && i < s->nlisteners; i++)
		if (s->listener[i].fd != -1 && same_socket(s->listener[i].conf, l) &&
		    (l->path == NULL || paths_is_there(&s->listener[i])))
			return &s->listener[i];
	return NULL;
}

static int
take_socket(struct in_listener *l, const struct setup *before, struct fail *f)
{
	const struct in_listener *old = find_socket(before, l->conf);

	if (old == NULL)
		return bind_listener(l, before, f);
	l->dev = old->dev;
	l->inode = old->inode;
	l->gid = old->gid;
	if ((l->fd = fcntl(old->fd, F_DUPFD_CLOEXEC, 0)) == -1)
		return fail_errno(f, "listener %.64s", l->conf->name);
	return 0;
}

static int
has_path(const struct setup *s, const struct in_listener *l)
{
	size_t i;

	for (i = 0; s != NULL && i < s->nlisteners; i++)
		if (s->listener[i].inode == l->inode && s->listener[i].dev == l->dev &&
		    text_same(s->listener[i].conf->path, l->conf->path))
			return 1;
	return 0;
}

void
setup_close_sockets(struct setup *s, const struct setup *other)
{
	size_t i;

	for (i = 0; i < s->nlisteners; i++) {
		struct in_listener *l = &s->listener[i];
		int ours = l->fd != -1 && l->inode != 0 && paths_is_there(l);

		if (l->fd == -1)
			continue;
		close(l->fd);
		l->fd = -1;
		if (ours && !has_path(other, l))
			unlink(l->conf->path);
	}
}

/* ---- all of it ---- */

/* A listener of the same name goes on to count where it did. */
static size_t
find_row(const struct setup *s, const struct setup *before, const char *name)
{
	char taken[SETUP_ROWS] = { 0 };
	size_t i, row;

	for (i = 0; before != NULL && i < before->nlisteners; i++) {
		if (strcmp(before->listener[i].conf->name, name) == 0)
			return before->listener[i].row;
		taken[before->listener[i].row] = 1;
	}
	for (i = 0; i < s->nlisteners; i++)
		taken[s->listener[i].row] = 1;
	for (row = 0; taken[row]; row++)
		;
	return row;
}

static void
add_listener(struct setup *s, const struct conf_listen *conf, const struct setup *before)
{
	struct in_listener *l = &s->listener[s->nlisteners];
	size_t row = find_row(s, before, conf->name);

	l->fd = -1;
	l->conf = conf;
	l->row = row;
	s->nlisteners++;
}

/* demo: of those listeners that have the demonstration identity; else of the others. */
static int
load_listeners(struct setup *s, int demo, struct fail *f)
{
	size_t i;
	int rc = 0;

	ossl_wipe_again();
	for (i = 0; i < s->nlisteners && rc == 0; i++)
		if ((s->listener[i].conf->ncerts == 0) == demo)
			rc = load_identities(s->listener[i].conf, s->conf, 0, s->secrets, &s->listener[i].tls, f);
	ossl_wipe_end();
	return rc;
}

/* paths: the unix sockets; else the others. */
static int
take_sockets(struct setup *s, int paths, const struct setup *before, struct fail *f)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < s->nlisteners && rc == 0; i++)
		if ((s->listener[i].conf->path != NULL) == paths)
			rc = take_socket(&s->listener[i], before, f);
	return rc;
}

static int
load_out(struct setup *s, struct fail *f)
{
	int rc;

	ossl_wipe_again();
	rc = load_out_identities(s, f);
	ossl_wipe_end();
	return rc == 0 ? load_credentials(s->conf, &s->credentials, f) : -1;
}

/* What leaves no trace where it fails comes first, then what makes files: the demonstration identity, unix sockets. */
struct setup *
setup_open(const struct conf *c, const struct tls_secrets *secrets, const struct setup *before, struct fail *f)
{
	struct setup *s = xcalloc(1, sizeof *s);
	size_t i;

	s->conf = c;
	s->secrets = secrets;
	s->listener = xcalloc(c->nlisten, sizeof *s->listener);
	for (i = 0; i < c->nlisten; i++)
		add_listener(s, &c->listen[i], before);
	if (load_listeners(s, 0, f) == 0 && load_out(s, f) == 0 && load_trust(s, f) == 0 &&
	    load_recipients(c, &s->recipients, f) == 0 && take_sockets(s, 0, before, f) == 0 &&
	    load_listeners(s, 1, f) == 0 && take_sockets(s, 1, before, f) == 0)
		return s;
	setup_close(s, before);
	return NULL;
}

int
setup_settle(const struct setup *s, const struct setup *before, struct fail *f)
{
	size_t i;

	if (paths_settle(s->listener, s->nlisteners, f) == -1)
		return -1;
	/* A second listen(2) sets the backlog anew; of a socket that listens already it cannot fail. */
	for (i = 0; i < s->nlisteners; i++)
		if (find_socket(before, s->listener[i].conf) != NULL)
			(void)listen(s->listener[i].fd, (int)s->listener[i].conf->backlog);
	return 0;
}

void
setup_close(struct setup *s, const struct setup *other)
{
	if (s == NULL)
		return;
	setup_close_sockets(s, other);
	setup_forget_keys(s);
	setup_forget_identities(s);
	setup_forget_credentials(s);
	trust_free(s->trust);
	recipients_free(s->recipients);
	conf_free(s->owned);
	free(s->listener);
	free(s);
}

static void
tell(void (*report)(const struct fail *), struct fail *f, int rc, size_t *errors)
{
	if (rc == -1) {
		report(f);
		(*errors)++;
	}
	*f = (struct fail)FAIL_INIT;
}

static void
check_out(const struct conf *c, void (*report)(const struct fail *), size_t *errors)
{
	struct credentials *credentials;
	struct fail f = FAIL_INIT;
	const char **name;
	size_t i, n;

	name = conf_out_certs(c, &n);
	for (i = 0; i < n && c->dir[0] != '\0'; i++) {
		struct setup one = { .conf = c, .identity = xcalloc(1, sizeof *one.identity) };

		tell(report, &f, load_out_identity(c, name[i], one.identity, &f), errors);
		one.nidentities = one.identity[0].name != NULL;
		setup_forget_identities(&one);
	}
	free(name);
	tell(report, &f, load_credentials(c, &credentials, &f), errors);
	credentials_free(credentials);
}

size_t
setup_check(const struct conf *c, void (*report)(const struct fail *))
{
	struct tls_secrets *none = tls_secrets_new();
	struct recipients *recipients = NULL;
	struct fail f = FAIL_INIT;
	size_t errors = 0, i;

	for (i = 0; i < c->nlisten && c->dir[0] != '\0'; i++) {
		const struct conf_listen *l = &c->listen[i];
		SSL_CTX *tls = NULL;
		gid_t gid;

		tell(report, &f, load_identities(l, c, 1, none, &tls, &f), &errors);
		SSL_CTX_free(tls);
		tell(report, &f, paths_group(l->group, &gid, &f), &errors);
	}
	if (c->dir[0] != '\0' && needs_trust(c)) {
		struct trust *trust = trust_open(c->dir, &f);

		tell(report, &f, trust != NULL ? 0 : -1, &errors);
		trust_free(trust);
	}
	tell(report, &f, load_recipients(c, &recipients, &f), &errors);
	recipients_free(recipients);
	check_out(c, report, &errors);
	tls_secrets_free(none);
	return errors;
}
