#include "master.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "auth.h"
#include "cert.h"
#include "dns.h"
#include "file.h"
#include "identity.h"
#include "in.h"
#include "issue.h"
#include "key.h"
#include "log.h"
#include "name.h"
#include "order.h"
#include "ossl.h"
#include "out.h"
#include "queue.h"
#include "route.h"
#include "sandbox.h"
#include "spool.h"
#include "table.h"
#include "tls.h"
#include "trust.h"

#define DEMO_IDENTITY "_demo"
#define DEMO_RENEW_S 86400	/* before its end the demonstration identity is made anew */
#define DEMO_LOOK_S 3600	/* how often its end is looked at */

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_UP };

/* The first is the queue, the second route; then the workers: in, out; auth last, where there is one. */
enum child_kind { CHILD_QUEUE, CHILD_ROUTE, CHILD_IN, CHILD_OUT, CHILD_AUTH };

struct child {
	enum child_kind kind;
	enum child_state state;
	pid_t pid;
	int sock;
	time_t not_before;	/* of the next start */
	unsigned number;	/* in queue IDs; new with every start */
	size_t slot;		/* of an in: whose counts of sessions are its own */
	pid_t auth;		/* of an in: which auth it was given; 0: none */
	char name[32];
};

struct master {
	const struct conf *conf;
	struct in_listener *listener;
	SSL_CTX *client_tls, *client_strict;	/* of out */
	struct trust *trust;		/* of out; NULL: the lists could not be read */
	size_t nlisteners;
	int drop;			/* we are root: roles become users of their own */
	struct sandbox_user user, queue_user;
	char *newdir, *stsdir;
	int newfd;
	int signals;
	struct child *child;		/* the roles, then room for workers that retired */
	size_t nroles, nchildren;
	atomic_uint *open;		/* sessions of listeners and workers: in.h */
	atomic_uint *low;		/* the spool's file system is nearly full: space.h */
	unsigned next_number;
	unsigned generation;		/* how often identities were read anew */
	int stopping, failed, was_ready, detach, reload, renew;
	time_t stop_until, demo_look;
};

static void
say(enum log_level level, const char *verb, const char *key, const char *value)
{
	struct log_line l;

	log_event(&l, level, "master", verb);
	if (key != NULL)
		log_key(&l, key, value);
	log_send(&l);
}

/* Of a clock that nobody sets. */
static time_t
uptime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* ---- users ---- */

static int
find_users(struct master *m, struct fail *f)
{
	const struct conf *c = m->conf;

	m->drop = geteuid() == 0;
	if (!m->drop) {
		m->user.uid = m->queue_user.uid = geteuid();
		m->user.gid = m->queue_user.gid = getegid();
		return 0;
	}
	if (c->user == NULL || c->queue_user == NULL)
		return fail(f, FAIL_INPUT, "%.200s: started as root, user and queue-user must be named",
		    c->file);
	if (sandbox_user_find(c->user, &m->user, f) == -1 ||
	    sandbox_user_find(c->queue_user, &m->queue_user, f) == -1)
		return fail_prefix(f, "%.200s", c->file);
	if (m->user.uid == m->queue_user.uid)
		return fail(f, FAIL_INPUT, "%.200s: user and queue-user must differ", c->file);
	return 0;
}

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
		cert = issue_self_signed(&order, key, time(NULL), f);
	issue_clear(&order);
	return cert;
}

static int
make_demo(const struct conf *c, struct fail *f)
{
	struct identity id = IDENTITY_INIT;
	int rc = -1;

	id.name = xstrdup(DEMO_IDENTITY);
	if ((id.key = key_generate("ec:p256", f)) != NULL &&
	    (id.cert = make_demo_cert(c->hostname, id.key, f)) != NULL)
		rc = identity_store(c->dir, &id, IDENTITY_REPLACE, f);
	identity_clear(&id);
	return rc;
}

static int
ends_soon(const X509 *cert)
{
	return cert_not_after(cert) <= time(NULL) + DEMO_RENEW_S;
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

	if (identity_exists(c->dir, DEMO_IDENTITY) &&
	    identity_load(c->dir, DEMO_IDENTITY, IDENTITY_NEED_KEY, &id, NULL) == 0)
		good = !cert_is_demo(id.cert) || (!ends_soon(id.cert) && is_for(id.cert, c->hostname));
	identity_clear(&id);
	return good ? 0 : make_demo(c, f);
}

static void
warn_of_cert(const struct conf_listen *l, const char *name, const X509 *cert)
{
	struct log_line line;
	int demo = cert_is_demo(cert), expired = cert_not_after(cert) < time(NULL);

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
load_identity(const struct conf_listen *l, const struct conf *c, int dry, SSL_CTX **tls, struct fail *f)
{
	const char *name = l->cert != NULL ? l->cert : DEMO_IDENTITY;
	struct identity id = IDENTITY_INIT;
	int rc = -1;

	*tls = NULL;
	if (l->tls == SMTP_SERVER_TLS_NO)
		return 0;
	if (l->cert == NULL && dry)
		return 0;
	if (l->cert == NULL && refresh_demo(c, f) == -1)
		goto out;
	if (identity_load(c->dir, name, IDENTITY_NEED_KEY, &id, f) == -1)
		goto out;
	warn_of_cert(l, name, id.cert);
	warn_of_key(c, l, name);
	if ((*tls = tls_server_ctx(id.key, id.cert, id.chain, f)) != NULL)
		rc = 0;
out:
	if (rc == -1)
		fail_prefix(f, "listener %.64s", l->name);
	identity_clear(&id);
	return rc;
}

static int
shows_demo(const struct in_listener *l)
{
	return l->tls != NULL && l->conf->cert == NULL;
}

/* The identities of all listeners, or of those that show the demonstration certificate, are read anew, or
 * none: a half is worse than the old ones. */
static int
reload_identities(struct master *m, int demo_only, struct fail *f)
{
	SSL_CTX **tls = xcalloc(m->nlisteners, sizeof *tls), *old;
	size_t i;
	int rc = 0;

	ossl_wipe_again();
	for (i = 0; i < m->nlisteners && rc == 0; i++)
		if (!demo_only || shows_demo(&m->listener[i]))
			rc = load_identity(m->listener[i].conf, m->conf, 0, &tls[i], f);
	for (i = 0; i < m->nlisteners; i++) {
		if (demo_only && !shows_demo(&m->listener[i]))
			continue;
		old = m->listener[i].tls;
		if (rc == 0)
			m->listener[i].tls = tls[i];
		SSL_CTX_free(rc == 0 ? old : tls[i]);
	}
	ossl_wipe_end();
	free(tls);
	return rc;
}

/* ---- trusted CAs ---- */

/*
 * out has no folder to read them from: it is born with them.  Where no destination's level needs them
 * the relay goes on without; MTA-STS then refuses what it would have to verify.
 */
static int
load_trust(struct master *m, struct fail *f)
{
	struct trust *trust = trust_open(m->conf->dir, f);
	struct log_line l;

	if (trust == NULL && conf_needs_trust(m->conf))
		return -1;
	if (trust == NULL) {
		log_event(&l, LOG_LEVEL_WARN, "master", "trust");
		log_key(&l, "warning", f->text);
		log_send(&l);
		*f = (struct fail)FAIL_INIT;
	}
	trust_free(m->trust);
	m->trust = trust;
	return 0;
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

static int
bind_listener(struct in_listener *l, struct fail *f)
{
	const struct endpoint *e = &l->conf->at;
	struct sockaddr_storage ss;
	socklen_t len = listen_address(e, &ss);
	int on = 1;

	l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd == -1 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    (ss.ss_family == AF_INET6 &&
	    setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == -1) ||
	    bind(l->fd, (struct sockaddr *)&ss, len) == -1 ||
	    listen(l->fd, (int)l->conf->backlog) == -1)
		return fail_errno(f, "listener %.64s: %.64s@%u", l->conf->name, e->host, e->port);
	return 0;
}

static int
open_spool(struct master *m, struct fail *f)
{
	const char *dir = m->conf->spool;

	if (spool_make(dir, m->user.uid, m->queue_user.uid, m->queue_user.gid, f) == -1)
		return -1;
	m->newdir = file_join(dir, "new");
	m->stsdir = file_join(dir, SPOOL_STS);
	if ((m->newfd = open(m->newdir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return fail_errno(f, "%.300s", m->newdir);
	return 0;
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

size_t
master_check(const struct conf *c, void (*report)(const struct fail *))
{
	const char *anchor = c->anchor != NULL ? c->anchor : DNS_ROOT_ANCHOR;
	struct master m = { .conf = c };
	struct fail f = FAIL_INIT;
	size_t errors = 0, i;

	tell(report, &f, find_users(&m, &f), &errors);
	for (i = 0; i < c->nlisten && c->dir[0] != '\0'; i++) {
		SSL_CTX *tls = NULL;

		tell(report, &f, load_identity(&c->listen[i], c, 1, &tls, &f), &errors);
		SSL_CTX_free(tls);
	}
	if (c->spool[0] != '\0')
		tell(report, &f, spool_check(c->spool, &f), &errors);
	if (anchor[0] != '\0')
		tell(report, &f, dns_check_anchor(anchor, &f), &errors);
	if (c->passwords[0] != '\0' && conf_has_auth(c)) {
		struct passwd_db *db = passwd_read(c->passwords, NULL, NULL, &f);

		tell(report, &f, db != NULL ? 0 : -1, &errors);
		passwd_free(db);
	}
	if (c->dir[0] != '\0' && conf_needs_trust(c)) {
		struct trust *trust = trust_open(c->dir, &f);

		tell(report, &f, trust != NULL ? 0 : -1, &errors);
		trust_free(trust);
	}
	return errors;
}

struct master *
master_new(const struct conf *c, struct fail *f)
{
	struct master *m = xcalloc(1, sizeof *m);
	size_t i;

	m->conf = c;
	m->newfd = m->signals = -1;
	m->next_number = 1;
	m->nlisteners = c->nlisten;
	m->listener = xcalloc(c->nlisten, sizeof *m->listener);
	for (i = 0; i < c->nlisten; i++) {
		m->listener[i].fd = -1;
		m->listener[i].conf = &c->listen[i];
	}
	if (find_users(m, f) == -1)
		goto fail;
	for (i = 0; i < c->nlisten; i++)
		if (load_identity(&c->listen[i], c, 0, &m->listener[i].tls, f) == -1 ||
		    bind_listener(&m->listener[i], f) == -1)
			goto fail;
	ossl_wipe_end();
	if (open_spool(m, f) == -1 || (m->client_tls = tls_client_ctx(TLS_LAX, f)) == NULL ||
	    (m->client_strict = tls_client_ctx(TLS_STRICT, f)) == NULL || load_trust(m, f) == -1)
		goto fail;
	return m;
fail:
	master_free(m);
	return NULL;
}

/* Whoever may hold sessions at once: the workers of now and of the generations before. */
static size_t
nslots(const struct master *m)
{
	return m->conf->workers * (1 + (size_t)MASTER_GENERATIONS);
}

static size_t
open_size(const struct master *m)
{
	return m->nlisteners * nslots(m) * sizeof *m->open;
}

void
master_free(struct master *m)
{
	size_t i;

	if (m == NULL)
		return;
	for (i = 0; i < m->nlisteners; i++) {
		SSL_CTX_free(m->listener[i].tls);
		if (m->listener[i].fd != -1)
			close(m->listener[i].fd);
	}
	if (m->newfd != -1)
		close(m->newfd);
	if (m->signals != -1)
		close(m->signals);
	SSL_CTX_free(m->client_tls);
	SSL_CTX_free(m->client_strict);
	trust_free(m->trust);
	if (m->open != NULL)
		munmap(m->open, open_size(m));
	if (m->low != NULL)
		munmap(m->low, sizeof *m->low);
	free(m->listener);
	free(m->child);
	free(m->newdir);
	free(m->stsdir);
	free(m);
}

/* ---- children ---- */

static struct child *
queue_child(struct master *m)
{
	return &m->child[0];
}

/* The keys are those of the listeners; freed, they are overwritten. */
static void
forget_keys(const struct master *m)
{
	size_t i;

	ossl_wipe_again();
	for (i = 0; i < m->nlisteners; i++) {
		SSL_CTX_free(m->listener[i].tls);
		m->listener[i].tls = NULL;
	}
	ossl_wipe_end();
}

/* What the others hold is not this role's to hold. */
static void
close_others(const struct master *m, const struct child *mine, int listeners)
{
	size_t i;

	close(m->signals);
	for (i = 0; i < m->nchildren; i++)
		if (&m->child[i] != mine && m->child[i].state != CHILD_DOWN)
			close(m->child[i].sock);
	for (i = 0; i < m->nlisteners && !listeners; i++)
		close(m->listener[i].fd);
	if (!listeners) {
		close(m->newfd);
		forget_keys(m);
	}
}

static void
become_queue(const struct master *m, const struct child *c, int sock)
{
	struct queue_start start = { .conf = m->conf, .spool = m->conf->spool };

	close_others(m, c, 0);
	start.role = (struct role_start){ .name = c->name, .master = sock, .root = m->conf->spool,
		.detach = m->detach, .user = m->drop ? &m->queue_user : NULL };
	queue_main(&start);
}

static void
become_in(const struct master *m, const struct child *c, int sock, int queue)
{
	struct in_start start = { .number = c->number, .conf = m->conf, .listener = m->listener,
		.nlisteners = m->nlisteners, .queue = queue, .newfd = m->newfd, .open = m->open,
		.worker = c->slot, .nworkers = nslots(m), .low = m->low };

	close_others(m, c, 1);
	start.role = (struct role_start){ .name = c->name, .master = sock, .root = m->newdir,
		.detach = m->detach, .user = m->drop ? &m->user : NULL };
	in_main(&start);
}

static void
become_out(const struct master *m, const struct child *c, int sock, int queue)
{
	struct out_start start = { .conf = m->conf, .tls = m->client_tls, .tls_strict = m->client_strict,
		.trust = m->trust, .queue = queue };

	close_others(m, c, 0);
	start.role = (struct role_start){ .name = c->name, .master = sock, .root = m->newdir,
		.detach = m->detach, .user = m->drop ? &m->user : NULL };
	out_main(&start);
}

/* Resolving needs no file once the context is made; kept policies are in its root directory. */
static void
become_route(const struct master *m, const struct child *c, int sock, int queue)
{
	struct route_start start = { .conf = m->conf, .trust = m->trust, .queue = queue };

	close_others(m, c, 0);
	start.role = (struct role_start){ .name = c->name, .master = sock, .root = m->stsdir,
		.detach = m->detach, .user = m->drop ? &m->user : NULL };
	route_main(&start);
}

/* The file is opened before rights are dropped: it is the starter's, mode 0600. */
static void
become_auth(const struct master *m, const struct child *c, int sock)
{
	struct auth_start start = { .conf = m->conf };

	close_others(m, c, 0);
	start.role = (struct role_start){ .name = c->name, .master = sock, .root = m->newdir,
		.detach = m->detach, .user = m->drop ? &m->user : NULL };
	auth_main(&start);
}

static void
become(const struct master *m, const struct child *c, int sock, int queue)
{
	switch (c->kind) {
	case CHILD_QUEUE:
		become_queue(m, c, sock);
		break;
	case CHILD_ROUTE:
		become_route(m, c, sock, queue);
		break;
	case CHILD_IN:
		become_in(m, c, sock, queue);
		break;
	case CHILD_OUT:
		become_out(m, c, sock, queue);
		break;
	case CHILD_AUTH:
		become_auth(m, c, sock);
		break;
	}
	abort();
}

/* Forks a role; queue is the socket between a worker and the queue: the worker's end is [1].  NULL for
 * the queue itself. */
static int
start_child(struct master *m, struct child *c, const int *queue, struct fail *f)
{
	int pair[2];
	pid_t pid;

	if (order_pair(pair, f) == -1)
		return -1;
	fflush(NULL);
	if ((pid = fork()) == -1) {
		fail_errno(f, "fork");
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	if (pid == 0) {
		close(pair[0]);
		if (queue != NULL)
			close(queue[0]);
		become(m, c, pair[1], queue != NULL ? queue[1] : -1);
	}
	close(pair[1]);
	c->pid = pid;
	c->sock = pair[0];
	c->state = CHILD_STARTING;
	c->auth = 0;
	c->not_before = uptime() + MASTER_RESTART_S;
	return 0;
}

/* The queue gets the other end of a new worker's socket. */
static int
introduce(struct master *m, const struct child *c, int fd, struct fail *f)
{
	static const char *const words[] = { [CHILD_QUEUE] = "", [CHILD_ROUTE] = "route",
		[CHILD_IN] = "worker", [CHILD_OUT] = "out", [CHILD_AUTH] = "" };
	char text[64];
	int n = snprintf(text, sizeof text, "%s %u\n", words[c->kind], c->number);

	if (order_send(queue_child(m)->sock, text, n, fd, f) != 1)
		return fail(f, FAIL_SYS, "the queue takes no new worker");
	return 0;
}

/* A retired worker may still have the number that is next. */
static unsigned
free_number(struct master *m)
{
	unsigned number;
	size_t i;

	do {
		number = m->next_number;
		m->next_number = m->next_number % SPOOL_WORKER_MAX + 1;
		for (i = 1; i < m->nchildren; i++)
			if (m->child[i].state != CHILD_DOWN && m->child[i].number == number)
				break;
	} while (i < m->nchildren);
	return number;
}

/* There are as many as there can be processes. */
static size_t
free_slot(const struct master *m)
{
	size_t slot, i;

	for (slot = 0; ; slot++) {
		for (i = 1; i < m->nchildren; i++)
			if (m->child[i].state != CHILD_DOWN && m->child[i].kind == CHILD_IN &&
			    m->child[i].slot == slot)
				break;
		if (i == m->nchildren)
			return slot;
	}
}

static int
start_in(struct master *m, struct child *c, struct fail *f)
{
	int pair[2], rc = -1;

	if (c->kind == CHILD_AUTH)
		return start_child(m, c, NULL, f);
	if (order_pair(pair, f) == -1)
		return -1;
	c->number = free_number(m);
	c->slot = free_slot(m);
	if (introduce(m, c, pair[0], f) == 0 && start_child(m, c, pair, f) == 0)
		rc = 0;
	close(pair[0]);
	close(pair[1]);
	return rc;
}

static int
all_up(const struct master *m)
{
	size_t i;

	for (i = 0; i < m->nroles; i++)
		if (m->child[i].state != CHILD_UP)
			return 0;
	return 1;
}

static int
all_down(const struct master *m, size_t first)
{
	size_t i;

	for (i = first; i < m->nchildren; i++)
		if (m->child[i].state != CHILD_DOWN)
			return 0;
	return 1;
}

/* The queue first; the workers once it is up. */
static void
start_missing(struct master *m)
{
	struct fail f = FAIL_INIT;
	size_t i;

	if (m->stopping)
		return;
	if (queue_child(m)->state == CHILD_DOWN) {
		if (!all_down(m, 1) || uptime() < queue_child(m)->not_before)
			return;
		if (start_child(m, queue_child(m), NULL, &f) == -1)
			say(LOG_LEVEL_ERROR, "start-failed", "reason", f.text);
		return;
	}
	if (queue_child(m)->state != CHILD_UP)
		return;
	for (i = 1; i < m->nroles; i++)
		if (m->child[i].state == CHILD_DOWN && uptime() >= m->child[i].not_before &&
		    start_in(m, &m->child[i], &f) == -1)
			say(LOG_LEVEL_ERROR, "start-failed", "reason", f.text);
}

static struct child *
auth_child(struct master *m)
{
	struct child *last = &m->child[m->nroles - 1];

	return last->kind == CHILD_AUTH && last->state == CHILD_UP ? last : NULL;
}

/* Two ends of a socket, to one each.  An in that did not get its end asks nobody, and answers 454. */
static void
introduce_auth(struct child *in, struct child *auth)
{
	struct fail f = FAIL_INIT;
	int pair[2];

	if (order_pair(pair, &f) == -1)
		return;
	if (order_send(auth->sock, "asker\n", 6, pair[0], &f) == 1 &&
	    order_send(in->sock, "auth\n", 5, pair[1], &f) == 1)
		in->auth = auth->pid;
	close(pair[0]);
	close(pair[1]);
}

static void
introduce_auths(struct master *m)
{
	struct child *auth = auth_child(m);
	size_t i;

	for (i = 1; auth != NULL && i < m->nchildren; i++)
		if (m->child[i].kind == CHILD_IN && m->child[i].state == CHILD_UP &&
		    m->child[i].auth != auth->pid)
			introduce_auth(&m->child[i], auth);
}

static void
kill_all(struct master *m)
{
	size_t i;

	for (i = 0; i < m->nchildren; i++)
		if (m->child[i].state != CHILD_DOWN)
			kill(m->child[i].pid, SIGKILL);
}

static void take_records(struct master *, struct child *);
static void tell_stop(struct child *);

static void
log_death(const struct child *c, int status)
{
	struct log_line l;
	char how[64];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof how, "status %d", WEXITSTATUS(status));
	log_event(&l, LOG_LEVEL_ERROR, "master", "role-died");
	log_key(&l, "role", c->name);
	log_key_num(&l, "pid", c->pid);
	log_key(&l, "how", how);
	log_send(&l);
}

/* Its clients are gone with it. */
static void
forget_sessions(struct master *m, const struct child *c)
{
	size_t i;

	for (i = 0; i < m->nlisteners; i++)
		atomic_store(&m->open[i * nslots(m) + c->slot], 0);
}

static int
is_retired(const struct master *m, const struct child *c)
{
	return c >= m->child + m->nroles;
}

static void
log_retired_end(const struct child *c)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, "master", "retired-ended");
	log_key(&l, "role", c->name);
	log_key_num(&l, "pid", c->pid);
	log_send(&l);
}

/* The death of the queue restarts all roles; a worker's only itself. */
static void
child_died(struct master *m, struct child *c, int status)
{
	int starting = c->state == CHILD_STARTING;

	take_records(m, c);
	close(c->sock);
	c->state = CHILD_DOWN;
	if (m->stopping)
		return;
	if (is_retired(m, c) && status == 0)
		log_retired_end(c);
	else if (c->kind != CHILD_AUTH || status != 0)	/* it was told to end, for another with a new file */
		log_death(c, status);
	if (c->kind == CHILD_IN)
		forget_sessions(m, c);
	if (c->kind == CHILD_QUEUE || c->kind == CHILD_ROUTE || (starting && !m->was_ready))
		kill_all(m);
	if (starting && !m->was_ready) {
		m->failed = 1;
		m->stopping = 1;
		tell_stop(queue_child(m));
	}
}

static void
reap(struct master *m)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < m->nchildren; i++)
			if (m->child[i].state != CHILD_DOWN && m->child[i].pid == pid)
				child_died(m, &m->child[i], status);
}

/* ---- records and signals ---- */

static void
take_log(const struct order *o)
{
	struct fail f = FAIL_INIT;
	long long level;
	char *line;

	if (o->n != 3 || text_number(o->v[1], LOG_LEVEL_DEBUG, LOG_LEVEL_ERROR, "level", &level, &f) == -1)
		return;
	/* From a process that may have been taken over: a line of it stays one line. */
	line = xstrdup(o->v[2]);
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	log_finished((enum log_level)level, line);
	free(line);
}

static void
take_records(struct master *m, struct child *c)
{
	struct fail f = FAIL_INIT;
	struct order o;
	int i;

	(void)m;
	for (i = 0; i < 1000 && order_recv(c->sock, &o, &f) == 1; i++) {
		if (o.fd != -1)
			close(o.fd);
		if (strcmp(o.v[0], "log") == 0)
			take_log(&o);
		else if (strcmp(o.v[0], "ready") == 0)
			c->state = CHILD_UP;
	}
}

static void
tell_stop(struct child *c)
{
	struct fail f = FAIL_INIT;

	if (c->state != CHILD_DOWN && order_send(c->sock, "stop\n", 5, -1, &f) != 1)
		kill(c->pid, SIGKILL);
}

/* Another relay may bind them while the last deliveries of this one end. */
static void
close_listeners(struct master *m)
{
	size_t i;

	for (i = 0; i < m->nlisteners; i++) {
		close(m->listener[i].fd);
		m->listener[i].fd = -1;
	}
}

static void
begin_stop(struct master *m)
{
	size_t i;

	if (m->stopping)
		return;
	say(LOG_LEVEL_INFO, "stopping", NULL, NULL);
	m->stopping = 1;
	m->stop_until = uptime() + MASTER_STOP_S;
	close_listeners(m);
	for (i = 1; i < m->nchildren; i++)
		tell_stop(&m->child[i]);
	if (all_down(m, 1))
		tell_stop(queue_child(m));
}

/* ---- SIGHUP ---- */

/* Of one kind as many may have retired as there are generations. */
static int
has_room(const struct master *m, enum child_kind kind)
{
	size_t i, n = 0;

	for (i = m->nroles; i < m->nchildren; i++)
		n += m->child[i].state != CHILD_DOWN && m->child[i].kind == kind;
	return n + m->conf->workers <= m->conf->workers * (size_t)MASTER_GENERATIONS;
}

/* Takes the worker out of its place, which is for another then. */
static void
retire(struct master *m, struct child *c)
{
	struct fail f = FAIL_INIT;
	struct child *to = m->child + m->nroles;

	while (to->state != CHILD_DOWN)
		to++;
	*to = *c;
	c->state = CHILD_DOWN;
	c->not_before = 0;
	/* Sessions are numbered under the name, and both are in the log at once. */
	snprintf(c->name, sizeof c->name, "%s-%d-%u", c->kind == CHILD_IN ? "in" : "out",
	    (int)(c - m->child) / 2, m->generation);
	if (order_send(to->sock, "retire\n", 7, -1, &f) != 1)
		kill(to->pid, SIGKILL);
}

static void
retire_all(struct master *m)
{
	size_t i;

	for (i = 1; i < m->nroles; i++)
		if ((m->child[i].kind == CHILD_IN || m->child[i].kind == CHILD_OUT) &&
		    m->child[i].state != CHILD_DOWN)
			retire(m, &m->child[i]);
}

/* Makes room: those who retired first have had the most time. */
static void
stop_oldest(struct master *m, enum child_kind kind)
{
	struct child *oldest = NULL;
	size_t i;

	for (i = m->nroles; i < m->nchildren; i++) {
		struct child *c = &m->child[i];

		if (c->state != CHILD_DOWN && c->kind == kind &&
		    (oldest == NULL || c->not_before < oldest->not_before))
			oldest = c;
	}
	if (oldest != NULL)
		tell_stop(oldest);
}

/* Another reads the file anew. */
static void
renew_auth(struct master *m)
{
	struct child *auth = auth_child(m);

	if (auth == NULL)
		return;
	auth->not_before = 0;
	tell_stop(auth);
}

/* A relay that runs for longer than the demonstration certificate lasts shows the next one, unasked. */
static void
look_at_demo(struct master *m)
{
	size_t i;

	if (uptime() < m->demo_look)
		return;
	m->demo_look = uptime() + DEMO_LOOK_S;
	for (i = 0; i < m->nlisteners; i++) {
		const X509 *cert = shows_demo(&m->listener[i]) ? SSL_CTX_get0_certificate(m->listener[i].tls) : NULL;

		if (cert != NULL && cert_is_demo(cert) && ends_soon(cert))
			m->renew = 1;
	}
}

/* SIGHUP: new certificates for new sessions, and the lists of CAs.  What cannot be read changes nothing. */
static void
reload(struct master *m)
{
	struct fail f = FAIL_INIT;
	int demo_only = !m->reload;

	if ((!m->reload && !m->renew) || m->stopping || !m->was_ready)
		return;
	if (!has_room(m, CHILD_IN) || !has_room(m, CHILD_OUT)) {
		stop_oldest(m, has_room(m, CHILD_IN) ? CHILD_OUT : CHILD_IN);
		return;
	}
	m->reload = m->renew = 0;
	if ((!demo_only && load_trust(m, &f) == -1) || reload_identities(m, demo_only, &f) == -1) {
		if (demo_only)
			say(LOG_LEVEL_ERROR, "renewal-failed", "reason", f.text);
		else
			say(LOG_LEVEL_ERROR, "reload-failed", "reason", f.text);
		return;
	}
	m->generation++;
	retire_all(m);
	if (!demo_only)
		renew_auth(m);
	if (demo_only)
		say(LOG_LEVEL_INFO, "renewed", "identity", DEMO_IDENTITY);
	else
		say(LOG_LEVEL_INFO, "reloaded", "conf", m->conf->file);
}

static void
on_signal(struct master *m)
{
	struct signalfd_siginfo si;
	int workers_were_up = !all_down(m, 1);

	while (read(m->signals, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			begin_stop(m);
		else if (si.ssi_signo == SIGHUP)
			m->reload = 1;
	}
	reap(m);
	/* The queue goes last: it answers what the workers still ask. */
	if (m->stopping && workers_were_up && all_down(m, 1))
		tell_stop(queue_child(m));
}

static int
block_signals(struct master *m, struct fail *f)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (m->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) == -1)
		return fail_errno(f, "signals");
	return 0;
}

static void
wait_for_something(struct master *m)
{
	struct pollfd *p = xcalloc(m->nchildren + 1, sizeof *p);
	size_t i;

	p[0].fd = m->signals;
	p[0].events = POLLIN;
	for (i = 0; i < m->nchildren; i++) {
		p[i + 1].fd = m->child[i].state != CHILD_DOWN ? m->child[i].sock : -1;
		p[i + 1].events = POLLIN;
	}
	/* A second at most: a role that died is due for its restart, or the stop has its time. */
	if (poll(p, m->nchildren + 1, 1000) == -1 && errno != EINTR)
		abort();
	for (i = 0; i < m->nchildren; i++)
		if (p[i + 1].revents & POLLIN)
			take_records(m, &m->child[i]);
	/* A closed socket stays readable until its process is reaped, which comes with SIGCHLD. */
	for (i = 0; i < m->nchildren; i++)
		if ((p[i + 1].revents & (POLLHUP | POLLIN)) == POLLHUP)
			poll(NULL, 0, 1);
	on_signal(m);
	free(p);
}

static void
announce(struct master *m, int (*ready)(void *), void *arg)
{
	if (m->was_ready || !all_up(m))
		return;
	m->was_ready = 1;
	if (!m->drop)
		say(LOG_LEVEL_WARN, "unprivileged", "consequence",
		    "not started as root: all roles share one user and see all its files");
	/* Who reads "ready" may look for the number of the process. */
	if (ready(arg) == 0) {
		say(LOG_LEVEL_INFO, "ready", "conf", m->conf->file);
		return;
	}
	m->failed = 1;
	begin_stop(m);
}

static void *
share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

static int
share_counts(struct master *m, struct fail *f)
{
	m->open = share(open_size(m));
	m->low = share(sizeof *m->low);
	return m->open != NULL && m->low != NULL ? 0 : fail_errno(f, "shared memory");
}

/* A session takes two descriptors; the usual soft limit of 1024 is for programs with select(2). */
static void
raise_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1 || l.rlim_cur == l.rlim_max)
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

static void
make_children(struct master *m)
{
	size_t i;

	m->nroles = 2 + 2 * (size_t)m->conf->workers + (conf_has_auth(m->conf) ? 1 : 0);
	m->nchildren = m->nroles + 2 * m->conf->workers * (size_t)MASTER_GENERATIONS;
	m->child = xcalloc(m->nchildren, sizeof *m->child);
	m->child[0].kind = CHILD_QUEUE;
	snprintf(m->child[0].name, sizeof m->child[0].name, "queue");
	m->child[1].kind = CHILD_ROUTE;
	snprintf(m->child[1].name, sizeof m->child[1].name, "route");
	for (i = 2; i < m->nroles; i++) {
		struct child *c = &m->child[i];

		c->kind = i % 2 == 0 ? CHILD_IN : CHILD_OUT;
		snprintf(c->name, sizeof c->name, "%s-%zu", c->kind == CHILD_IN ? "in" : "out", i / 2);
	}
	if (conf_has_auth(m->conf)) {
		m->child[m->nroles - 1].kind = CHILD_AUTH;
		snprintf(m->child[m->nroles - 1].name, sizeof m->child[0].name, "auth");
	}
}

int
master_run(struct master *m, int detach, int (*ready)(void *), void *arg)
{
	struct fail f = FAIL_INIT;
	size_t i;

	m->detach = detach;
	make_children(m);
	raise_limits();
	if (share_counts(m, &f) == -1 || block_signals(m, &f) == -1) {
		say(LOG_LEVEL_ERROR, "start-failed", "reason", f.text);
		return -1;
	}
	while (!m->stopping || !all_down(m, 0)) {
		look_at_demo(m);
		reload(m);
		start_missing(m);
		wait_for_something(m);
		introduce_auths(m);
		announce(m, ready, arg);
		if (m->stopping && m->stop_until != 0 && uptime() > m->stop_until)
			for (i = 0; i < m->nchildren; i++)
				if (m->child[i].state != CHILD_DOWN)
					kill(m->child[i].pid, SIGKILL);
	}
	say(LOG_LEVEL_INFO, "stopped", NULL, NULL);
	return m->failed ? -1 : 0;
}
