#include "master.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "auth.h"
#include "clients.h"
#include "clock.h"
#include "conf_file.h"
#include "dns.h"
#include "ends.h"
#include "file.h"
#include "hook.h"
#include "in.h"
#include "log.h"
#include "order.h"
#include "ossl.h"
#include "out.h"
#include "passwd.h"
#include "places.h"
#include "queue.h"
#include "route.h"
#include "sandbox.h"
#include "setup.h"
#include "sign.h"
#include "sockets.h"
#include "spool.h"
#include "supervisor.h"
#include "table.h"
#include "text.h"
#include "tls.h"
#include "tls_server.h"
#include "warnings.h"

#define DEMO_LOOK_S 3600	/* how often its end is looked at */

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_UP };

/* The first is the queue, the second route; then the workers: in, out; then hook, sign; auth last: where there is one. */
enum child_kind { CHILD_QUEUE, CHILD_ROUTE, CHILD_IN, CHILD_OUT, CHILD_HOOK, CHILD_SIGN, CHILD_AUTH };

struct child {
	enum child_kind kind;
	enum child_state state;
	pid_t pid;
	int sock;
	int64_t not_before;	/* of the next start */
	unsigned number;	/* in queue IDs; new with every start */
	size_t slot;		/* of an in: whose counts of sessions are its own */
	pid_t auth;		/* of an in: which auth it was given; 0: none */
	char name[32];
};

struct master {
	const char *path;		/* of the configuration, absolute */
	const struct conf *conf;	/* that of the setup */
	struct setup *setup;
	struct tls_secrets *secrets;	/* of session tickets */
	SSL_CTX *client_tls, *client_strict;	/* of out */
	int news;			/* a configuration that the queue has to be told of; -1: none */
	struct buf ends;		/* of identities in use: the record for the queue */
	pid_t ends_told;		/* the queue that has it */
	int secret_news;		/* likewise, the passwords of next hops */
	int drop;			/* we are root: roles become users of their own */
	struct sandbox_user user, queue_user, hook_user;
	char *newdir, *stsdir, *nonedir;
	int newfd;
	int signals;
	struct child *child;		/* the roles, then room for workers that retired */
	size_t nroles, nchildren;
	atomic_uint *open;		/* sessions of listeners and workers: in.h */
	struct clients *clients;
	atomic_uint *low;		/* the spool's file system is nearly full: space.h */
	unsigned next_number;
	unsigned generation;		/* how often identities were read anew */
	int stopping, failed, was_ready, detach, reload, renew;
	int64_t stop_until, demo_look, next_secret;
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

/* ---- users ---- */

/* In a process of user's or queue-user's the program's children could look around. */
static int
find_hook_user(struct master *m, struct fail *f)
{
	const struct conf *c = m->conf;

	if (c->alert.hook == NULL)
		return 0;
	if (c->alert.user == NULL)
		return fail(f, FAIL_INPUT, "%.200s: started as root, alert-hook needs alert-user", c->file);
	if (sandbox_user_find(c->alert.user, &m->hook_user, f) == -1)
		return fail_prefix(f, "%.200s", c->file);
	if (m->hook_user.uid == m->user.uid || m->hook_user.uid == m->queue_user.uid)
		return fail(f, FAIL_INPUT, "%.200s: alert-user, user and queue-user must differ", c->file);
	return 0;
}

static int
find_users(struct master *m, struct fail *f)
{
	const struct conf *c = m->conf;

	m->drop = geteuid() == 0;
	if (!m->drop) {
		m->user.uid = m->queue_user.uid = m->hook_user.uid = geteuid();
		m->user.gid = m->queue_user.gid = m->hook_user.gid = getegid();
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
	return find_hook_user(m, f);
}

static int
open_spool(struct master *m, struct fail *f)
{
	const char *dir = m->conf->spool;

	if (spool_make(dir, m->user.uid, m->queue_user.uid, m->queue_user.gid, f) == -1)
		return -1;
	m->newdir = file_join(dir, "new");
	m->stsdir = file_join(dir, SPOOL_STS);
	m->nonedir = file_join(dir, SPOOL_NONE);
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

static int
check_anchor(const struct conf *c, struct fail *f)
{
	const char *anchor = c->anchor != NULL ? c->anchor : DNS_ROOT_ANCHOR;

	return anchor[0] != '\0' ? dns_check_anchor(anchor, f) : 0;
}

/* The process that reads it anew could only fail; here it is found wrong in time. */
static int
check_passwords(const struct conf *c, struct fail *f)
{
	struct fail first = FAIL_INIT;
	struct passwd_db *db;

	if (c->passwords[0] == '\0' || !conf_has_auth(c))
		return 0;
	if ((db = passwd_read(c->passwords, table_first_error, &first, f)) == NULL && first.kind != FAIL_NONE && f != NULL)
		*f = first;
	if (db == NULL)
		return conf_file_failed(c, CONF_FILE_PASSWORDS, f);
	passwd_free(db);
	return 0;
}

/* Whoever may change it says what the relay runs. */
static int
check_hook(const struct conf *c, struct fail *f)
{
	const char *path = c->alert.hook;
	struct stat st;

	if (path == NULL)
		return 0;
	if (stat(path, &st) == -1)
		fail_errno(f, "%.300s", path);
	else if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		fail(f, FAIL_INPUT, "%.300s is not a program", path);
	else if (st.st_mode & S_IWOTH)
		fail(f, FAIL_INPUT, "everybody may write to %.300s", path);
	else
		return 0;
	return conf_file_failed(c, CONF_FILE_HOOK, f);
}

/* Likewise. */
static int
check_keys(const struct conf *c, struct fail *f)
{
	EVP_PKEY *key;
	size_t i;

	for (i = 0; i < c->ndkim; i++) {
		if ((key = sign_key(c, &c->dkim[i], f)) == NULL)
			return -1;
		EVP_PKEY_free(key);
	}
	return 0;
}

size_t
master_check(const struct conf *c, void (*report)(const struct fail *))
{
	struct master m = { .conf = c };
	struct fail f = FAIL_INIT;
	size_t errors = 0, i;

	tell(report, &f, find_users(&m, &f), &errors);
	errors += setup_check(c, report);
	if (c->spool[0] != '\0')
		tell(report, &f, spool_check(c->spool, &f), &errors);
	tell(report, &f, check_anchor(c, &f), &errors);
	tell(report, &f, check_passwords(c, &f), &errors);
	tell(report, &f, check_hook(c, &f), &errors);
	tell(report, &f, check_keys(c, &f), &errors);
	for (i = 0; i < c->nlisten; i++)
		tell(report, &f, places_check(c, &c->listen[i], &f), &errors);
	return errors;
}

/* Of clients' tickets; those of the secret before stay good for as long as a ticket is. */
static int
make_secret(struct master *m, struct fail *f)
{
	uint8_t secret[TLS_SECRET_SIZE];

	if (RAND_bytes(secret, sizeof secret) != 1)
		return fail_ossl(f, FAIL_SYS, "random numbers");
	tls_secrets_add(m->secrets, secret);
	OPENSSL_cleanse(secret, sizeof secret);
	m->next_secret = clock_passed() + TLS_TICKET_S;
	return 0;
}

struct master *
master_new(const struct conf *c, const char *path, struct fail *f)
{
	struct master *m = xcalloc(1, sizeof *m);

	m->path = path;
	m->conf = c;
	m->newfd = m->signals = m->news = m->secret_news = -1;
	m->next_number = 1;
	m->secrets = tls_secrets_new();
	if (find_users(m, f) == -1 || check_passwords(c, f) == -1 || check_hook(c, f) == -1 ||
	    places_check_all(c, f) == -1 || make_secret(m, f) == -1 ||
	    (m->setup = setup_open(c, m->secrets, NULL, f)) == NULL || open_spool(m, f) == -1 ||
	    (m->client_tls = tls_client_ctx(TLS_LAX, f)) == NULL ||
	    (m->client_strict = tls_client_ctx(TLS_STRICT, f)) == NULL) {
		master_free(m);
		return NULL;
	}
	ends_list(c, &m->ends);
	return m;
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
	return SETUP_ROWS * nslots(m) * sizeof *m->open;
}

static void
forget_news(struct master *m)
{
	if (m->news != -1)
		close(m->news);
	if (m->secret_news != -1)
		close(m->secret_news);
	m->news = m->secret_news = -1;
}

void
master_free(struct master *m)
{
	if (m == NULL)
		return;
	if (m->newfd != -1)
		close(m->newfd);
	if (m->signals != -1)
		close(m->signals);
	forget_news(m);
	if (m->open != NULL)
		munmap(m->open, open_size(m));
	clients_free(m->clients);
	SSL_CTX_free(m->client_tls);
	SSL_CTX_free(m->client_strict);
	setup_close(m->setup, NULL);
	tls_secrets_free(m->secrets);
	if (m->low != NULL)
		munmap(m->low, sizeof *m->low);
	buf_clear(&m->ends);
	free(m->child);
	free(m->newdir);
	free(m->stsdir);
	free(m->nonedir);
	free(m);
}

/* ---- children ---- */

static struct child *
queue_child(struct master *m)
{
	return &m->child[0];
}

/* What the others hold is not this role's to hold: sockets, the listeners' keys, the secrets of tickets. */
static void
close_others(struct master *m, const struct child *mine, int listeners)
{
	size_t i;

	close(m->signals);
	for (i = 0; i < m->nchildren; i++)
		if (&m->child[i] != mine && m->child[i].state != CHILD_DOWN)
			close(m->child[i].sock);
	forget_news(m);
	if (mine->kind != CHILD_OUT)
		setup_forget_identities(m->setup);
	if (mine->kind != CHILD_QUEUE)
		setup_forget_credentials(m->setup);
	if (listeners)
		return;
	for (i = 0; i < m->setup->nlisteners; i++)
		close(m->setup->listener[i].fd);
	close(m->newfd);
	setup_forget_keys(m->setup);
	tls_secrets_free(m->secrets);
	m->secrets = NULL;
}

static struct role_start
role_of(const struct master *m, const struct child *c, int sock, const char *root, const struct sandbox_user *user,
    int rights)
{
	return (struct role_start){ .name = c->name, .master = sock, .root = root, .user = m->drop ? user : NULL,
		.detach = m->detach, .rights = rights };
}

static void
become_queue(struct master *m, const struct child *c, int sock)
{
	struct queue_start start = { .conf = m->conf, .conf_path = m->path, .spool = m->conf->spool,
		.credentials = m->setup->credentials };

	close_others(m, c, 0);
	start.role = role_of(m, c, sock, m->conf->spool, &m->queue_user,
	    SYSCALLS_READ | SYSCALLS_WRITE | SYSCALLS_SERVE | SYSCALLS_THREADS | SYSCALLS_ADDRESSES);
	queue_main(&start);
}

static void
become_in(struct master *m, const struct child *c, int sock, int queue, int names)
{
	struct in_start start = { .number = c->number, .conf = m->conf, .listener = m->setup->listener,
		.nlisteners = m->setup->nlisteners, .trust = m->setup->trust, .secrets = m->secrets, .queue = queue,
		.names = names, .newfd = m->newfd, .open = m->open, .clients = m->clients,
		.recipients = m->setup->recipients, .worker = c->slot, .nworkers = nslots(m), .low = m->low };

	close_others(m, c, 1);
	start.role = role_of(m, c, sock, m->newdir, &m->user,
	    SYSCALLS_MAKE | SYSCALLS_ACCEPT);
	in_main(&start);
}

/* Its user is that of the ins: in new/ it could read and change what they write. */
static void
become_out(struct master *m, const struct child *c, int sock, int queue)
{
	struct out_start start = { .conf = m->conf, .tls = m->client_tls, .tls_strict = m->client_strict,
		.trust = m->setup->trust, .identity = m->setup->identity, .nidentities = m->setup->nidentities,
		.queue = queue };

	close_others(m, c, 0);
	start.role = role_of(m, c, sock, m->nonedir, &m->user, SYSCALLS_CONNECT);
	out_main(&start);
}

/* Resolving needs no file once the context is made; kept policies are in its root directory. */
static void
become_route(struct master *m, const struct child *c, int sock, int queue)
{
	struct route_start start = { .conf = m->conf, .trust = m->setup->trust, .queue = queue };

	close_others(m, c, 0);
	start.role = role_of(m, c, sock, m->stsdir, &m->user,
	    SYSCALLS_READ | SYSCALLS_WRITE | SYSCALLS_CONNECT);
	route_main(&start);
}

/* The file is opened before rights are dropped: it is the starter's, mode 0600.  Of the root as out. */
static void
become_auth(struct master *m, const struct child *c, int sock)
{
	struct auth_start start = { .conf = m->conf };

	close_others(m, c, 0);
	start.role = role_of(m, c, sock, m->nonedir, &m->user, 0);
	auth_main(&start);
}

/* Its root directory stays: the program is in it, and what the program needs. */
static void
become_hook(struct master *m, const struct child *c, int sock, int queue)
{
	struct hook_start start = { .conf = m->conf, .queue = queue };

	close_others(m, c, 0);
	start.role = role_of(m, c, sock, NULL, &m->hook_user, ROLE_ALL);
	hook_main(&start);
}

/* Keys are read before rights are dropped, as auth reads passwords. */
static void
become_sign(struct master *m, const struct child *c, int sock, int queue)
{
	struct sign_start start = { .conf = m->conf, .queue = queue };

	close_others(m, c, 0);
	start.role = role_of(m, c, sock, m->nonedir, &m->user, 0);
	sign_main(&start);
}

static void
become(struct master *m, const struct child *c, int sock, int queue, int names)
{
	switch (c->kind) {
	case CHILD_QUEUE:
		become_queue(m, c, sock);
		break;
	case CHILD_ROUTE:
		become_route(m, c, sock, queue);
		break;
	case CHILD_IN:
		become_in(m, c, sock, queue, names);
		break;
	case CHILD_OUT:
		become_out(m, c, sock, queue);
		break;
	case CHILD_HOOK:
		become_hook(m, c, sock, queue);
		break;
	case CHILD_SIGN:
		become_sign(m, c, sock, queue);
		break;
	case CHILD_AUTH:
		become_auth(m, c, sock);
		break;
	}
	abort();
}

/* Forks a role; queue is the socket between a worker and the queue: the worker's end is [1].  NULL for
 * the queue itself.  Likewise names, between an in and route; NULL for others. */
static int
start_child(struct master *m, struct child *c, const int *queue, const int *names, struct fail *f)
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
		if (names != NULL)
			close(names[0]);
		become(m, c, pair[1], queue != NULL ? queue[1] : -1, names != NULL ? names[1] : -1);
	}
	close(pair[1]);
	c->pid = pid;
	c->sock = pair[0];
	c->state = CHILD_STARTING;
	c->auth = 0;
	c->not_before = clock_passed() + MASTER_RESTART_S;
	return 0;
}

/* To the queue, which calls them so. */
static const char *const introduced_as[] = { [CHILD_QUEUE] = "", [CHILD_ROUTE] = "route", [CHILD_IN] = "worker",
	[CHILD_OUT] = "out", [CHILD_HOOK] = "hook", [CHILD_SIGN] = "sign", [CHILD_AUTH] = "" };

/* The queue gets the other end of a new worker's socket. */
static int
introduce(struct master *m, const struct child *c, int fd, struct fail *f)
{
	char text[64];
	int n = snprintf(text, sizeof text, "%s %u\n", introduced_as[c->kind], c->number);

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

/* route gets the other end of the socket over which a new in asks for names. */
static int
introduce_to_route(struct master *m, const struct child *c, int fd, struct fail *f)
{
	const struct child *route = &m->child[1];
	char text[32];
	int n = snprintf(text, sizeof text, "names %u\n", c->number);

	if (route->state == CHILD_DOWN || order_send(route->sock, text, n, fd, f) != 1)
		return fail(f, FAIL_SYS, "route takes no new worker");
	return 0;
}

static void
close_pair(const int *pair)
{
	close(pair[0]);
	close(pair[1]);
}

static int
start_with(struct master *m, struct child *c, const int *queue, struct fail *f)
{
	int names[2], rc = -1;

	if (c->kind != CHILD_IN)
		return introduce(m, c, queue[0], f) == 0 ? start_child(m, c, queue, NULL, f) : -1;
	if (order_pair(names, f) == -1)
		return -1;
	if (introduce_to_route(m, c, names[0], f) == 0 && introduce(m, c, queue[0], f) == 0)
		rc = start_child(m, c, queue, names, f);
	close_pair(names);
	return rc;
}

static int
start_worker(struct master *m, struct child *c, struct fail *f)
{
	int pair[2], rc;

	if (c->kind == CHILD_AUTH)
		return start_child(m, c, NULL, NULL, f);
	if (order_pair(pair, f) == -1)
		return -1;
	c->number = free_number(m);
	c->slot = free_slot(m);
	rc = start_with(m, c, pair, f);
	close_pair(pair);
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
		if (!all_down(m, 1) || clock_passed() < queue_child(m)->not_before)
			return;
		if (start_child(m, queue_child(m), NULL, NULL, &f) == -1)
			say(LOG_LEVEL_ERROR, "start-failed", "reason", f.text);
		/* It is born with the newest configuration. */
		else
			forget_news(m);
		return;
	}
	if (queue_child(m)->state != CHILD_UP)
		return;
	for (i = 1; i < m->nroles; i++)
		if (m->child[i].state == CHILD_DOWN && clock_passed() >= m->child[i].not_before &&
		    start_worker(m, &m->child[i], &f) == -1)
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
	char text[32];
	int pair[2], n = snprintf(text, sizeof text, "asker %u\n", in->number);

	if (order_pair(pair, &f) == -1)
		return;
	if (order_send(auth->sock, text, n, pair[0], &f) == 1 &&
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

static void hear(struct master *, struct child *);
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

	for (i = 0; i < SETUP_ROWS; i++)
		atomic_store(&m->open[i * nslots(m) + c->slot], 0);
	clients_forget(m->clients, c->slot);
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

/* The death of the queue or of route restarts all roles; a worker's only itself, and that of one who retired nobody. */
static void
child_died(struct master *m, struct child *c, int status)
{
	int starting = c->state == CHILD_STARTING;

	hear(m, c);
	close(c->sock);
	c->state = CHILD_DOWN;
	if (m->stopping)
		return;
	if (is_retired(m, c) && status == 0)
		log_retired_end(c);
	else if (c->kind < CHILD_HOOK || status != 0)	/* it was told to end, for another with a new file */
		log_death(c, status);
	if (c->kind == CHILD_IN)
		forget_sessions(m, c);
	if (c->kind == CHILD_QUEUE || (c->kind == CHILD_ROUTE && !is_retired(m, c)) || (starting && !m->was_ready))
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

/* Whoever answers an in may cut it off; the queue also whom it gives work to. */
static int
may_cut(const struct child *c, enum child_kind kind)
{
	switch (kind) {
	case CHILD_IN:
		return c->kind == CHILD_QUEUE || c->kind == CHILD_ROUTE || c->kind == CHILD_AUTH;
	case CHILD_OUT:
	case CHILD_SIGN:
		return c->kind == CHILD_QUEUE;
	default:
		return 0;
	}
}

/* cut KIND NUMBER: it does not read, or does not do its work, and may be a client's or server's that took it over. */
static void
kill_worker(struct master *m, const struct child *by, const struct order *o)
{
	long long number;
	size_t i;

	if (o->n != 3 || text_number(o->v[2], 1, SPOOL_WORKER_MAX, "number", &number, NULL) == -1)
		return;
	for (i = 1; i < m->nchildren; i++) {
		const struct child *c = &m->child[i];

		if (c->state != CHILD_DOWN && c->number == number && strcmp(introduced_as[c->kind], o->v[1]) == 0 &&
		    may_cut(by, c->kind))
			kill(c->pid, SIGKILL);
	}
}

static void
take_record(struct master *m, struct child *c, const struct order *o)
{
	if (o->fd != -1)
		close(o->fd);
	if (strcmp(o->v[0], "log") == 0)
		take_log(o);
	else if (strcmp(o->v[0], "socket") == 0 && c->kind == CHILD_OUT)
		sockets_answer(m->conf, c->sock, o);
	else if (strcmp(o->v[0], "cut") == 0)
		kill_worker(m, c, o);
	else if (strcmp(o->v[0], "ready") == 0)
		c->state = CHILD_UP;
}

static void
hear(struct master *m, struct child *c)
{
	struct fail f = FAIL_INIT;
	struct order o;
	int i, got;

	for (i = 0; i < 100 && (got = order_recv(c->sock, &o, &f)) == 1; i++)
		for (; got == 1; got = order_next(&o, &f))
			take_record(m, c, &o);
}

static void
tell_stop(struct child *c)
{
	struct fail f = FAIL_INIT;

	if (c->state != CHILD_DOWN && order_send(c->sock, "stop\n", 5, -1, &f) != 1)
		kill(c->pid, SIGKILL);
}

static void
begin_stop(struct master *m)
{
	size_t i;

	if (m->stopping)
		return;
	say(LOG_LEVEL_INFO, "stopping", NULL, NULL);
	supervisor_tell("STOPPING=1");
	m->stopping = 1;
	m->stop_until = clock_passed() + MASTER_STOP_S;
	/* Another relay may bind them while the last deliveries of this one end. */
	setup_close_sockets(m->setup, NULL);
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
	size_t i, n = 0, each = kind == CHILD_ROUTE ? 1 : m->conf->workers;

	for (i = m->nroles; i < m->nchildren; i++)
		n += m->child[i].state != CHILD_DOWN && m->child[i].kind == kind;
	return n + each <= each * MASTER_GENERATIONS;
}

/* "in-1", "route"; behind the first SIGHUP "in-1-1", "route-1". */
static void
name_child(const struct master *m, struct child *c)
{
	static const char *const kinds[] = { [CHILD_QUEUE] = "queue", [CHILD_ROUTE] = "route", [CHILD_IN] = "in",
		[CHILD_OUT] = "out" };
	char number[16] = "", generation[16] = "";

	if (c->kind == CHILD_IN || c->kind == CHILD_OUT)
		snprintf(number, sizeof number, "-%d", (int)(c - m->child) / 2);
	if (m->generation > 0)
		snprintf(generation, sizeof generation, "-%u", m->generation);
	snprintf(c->name, sizeof c->name, "%s%s%s", kinds[c->kind], number, generation);
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
	name_child(m, c);
	if (order_send(to->sock, "retire\n", 7, -1, &f) != 1)
		kill(to->pid, SIGKILL);
}

static void
retire_all(struct master *m)
{
	size_t i;

	for (i = 1; i < m->nroles; i++)
		if (m->child[i].state != CHILD_DOWN && m->child[i].kind < CHILD_HOOK)
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

/* Another auth reads the file anew; another hook runs the program of now. */
static void
renew_others(struct master *m)
{
	size_t i;

	for (i = 1; i < m->nroles; i++)
		if (m->child[i].kind >= CHILD_HOOK && m->child[i].state != CHILD_DOWN) {
			m->child[i].not_before = 0;
			tell_stop(&m->child[i]);
		}
}

/* A relay that runs for longer than the demonstration certificate lasts shows the next one, unasked. */
static void
look_at_demo(struct master *m)
{
	if (clock_passed() < m->demo_look)
		return;
	m->demo_look = clock_passed() + DEMO_LOOK_S;
	if (setup_demo_ends(m->setup))
		m->renew = 1;
}

/* Those who miss it go on to seal with the one before, which the others open. */
static void
renew_secret(struct master *m)
{
	char text[16 + 2 * TLS_SECRET_SIZE] = "ticket ";
	struct fail f = FAIL_INIT;
	size_t i;

	if (clock_passed() < m->next_secret || m->stopping)
		return;
	if (make_secret(m, &f) == -1) {
		say(LOG_LEVEL_ERROR, "fault", "reason", f.text);
		m->next_secret = clock_passed() + TLS_TICKET_S;
		return;
	}
	text_hex(text + 7, tls_secrets_get0(m->secrets, 0), TLS_SECRET_SIZE);
	for (i = 1; i < m->nchildren; i++)
		if (m->child[i].state != CHILD_DOWN && m->child[i].kind == CHILD_IN)
			(void)order_send(m->child[i].sock, text, strlen(text), -1, &f);
	OPENSSL_cleanse(text, sizeof text);
}

/* Errors of a configuration that is not taken. */
static void
log_conf_error(void *arg, const char *file, unsigned line, const char *text)
{
	struct log_line l;

	(void)arg;
	log_event(&l, LOG_LEVEL_ERROR, "master", "conf-error");
	log_key(&l, "file", file);
	log_key_num(&l, "line", line);
	log_key(&l, "reason", text);
	log_send(&l);
}

static void
log_conf_warning(void *arg, const char *file, unsigned line, const char *text)
{
	struct log_line l;

	(void)arg;
	log_event(&l, LOG_LEVEL_WARN, "master", "conf-warning");
	if (line > 0) {
		log_key(&l, "file", file);
		log_key_num(&l, "line", line);
	}
	log_key(&l, "warning", text);
	log_send(&l);
}

/* What users may write, and aliases include, is not for root to read here. */
void
master_warn(const struct conf *c)
{
	warnings_tell(c, 0, log_conf_warning, NULL);
}

/* What the processes and the spool were made with at the start. */
static int
needs_restart(const struct conf *old, const struct conf *new, struct fail *f)
{
	const char *what = NULL;

	if (!text_same(old->spool, new->spool))
		what = "spool";
	else if (!text_same(old->user, new->user))
		what = "user";
	else if (!text_same(old->queue_user, new->queue_user))
		what = "queue-user";
	else if (old->workers != new->workers)
		what = "workers";
	else if (conf_has_auth(old) != conf_has_auth(new))
		what = "auth";
	else if ((old->alert.hook == NULL) != (new->alert.hook == NULL))
		what = "alert-hook";
	else if (!text_same(old->alert.user, new->alert.user))
		what = "alert-user";
	if (what != NULL)
		fail(f, FAIL_POLICY, "%s has another value: that needs a restart", what);
	else if ((old->ndkim > 0) != (new->ndkim > 0))
		fail(f, FAIL_POLICY, "the first dkim line, or none of them any more, needs a restart");
	else
		return 0;
	return 1;
}

static struct conf *
read_again(const struct master *m, struct buf *text, struct fail *f)
{
	struct conf *c;
	size_t errors;

	if (file_read_regular(m->path, CONF_FILE_MAX, text, f) == -1)
		return NULL;
	c = conf_parse_text(m->conf->file, text->p, text->len, log_conf_error, NULL, &errors);
	if (errors > 0)
		fail(f, FAIL_INPUT, "%.300s: %zu error%s", m->conf->file, errors, errors == 1 ? "" : "s");
	else if (!needs_restart(m->conf, c, f) && check_anchor(c, f) == 0 && check_passwords(c, f) == 0 &&
	    check_hook(c, f) == 0 && check_keys(c, f) == 0)
		return c;
	conf_free(c);
	return NULL;
}

/* 0: its socket is full; the next turn tries again. */
static int
tell_queue_of(struct master *m, const char *what, int *news)
{
	struct fail f = FAIL_INIT;

	if (*news == -1)
		return 1;
	if (order_send(queue_child(m)->sock, what, strlen(what), *news, &f) == 0)
		return 0;
	close(*news);
	*news = -1;
	return 1;
}

/* The passwords first, which the other names. */
static void
tell_queue(struct master *m)
{
	if (queue_child(m)->state != CHILD_DOWN && tell_queue_of(m, "credentials\n", &m->secret_news))
		tell_queue_of(m, "conf\n", &m->news);
}

static int
secrets_file(const struct setup *s, struct fail *f)
{
	struct buf text = BUF_INIT;
	int fd;

	if (s->credentials != NULL)
		credentials_print(&text, s->credentials);
	fd = file_memory(text.p, text.len, f);
	buf_wipe(&text);
	return fd;
}

/* At its start, and where identities were read anew. */
static void
tell_ends(struct master *m)
{
	struct child *queue = queue_child(m);
	struct fail f = FAIL_INIT;

	if (queue->state == CHILD_UP && queue->pid != m->ends_told &&
	    order_send(queue->sock, m->ends.p, m->ends.len, -1, &f) == 1)
		m->ends_told = queue->pid;
}

static void
list_ends(struct master *m)
{
	buf_drop(&m->ends, m->ends.len);
	ends_list(m->conf, &m->ends);
	m->ends_told = 0;
}

static int
take_conf(struct master *m, struct fail *f)
{
	struct buf text = BUF_INIT;
	struct setup *setup = NULL;
	struct conf *c = read_again(m, &text, f);
	int fd = -1, secrets = -1;

	if (c != NULL && (fd = file_memory(text.p, text.len, f)) != -1)
		setup = setup_open(c, m->secrets, m->setup, f);
	buf_clear(&text);
	if (setup != NULL &&
	    ((secrets = secrets_file(setup, f)) == -1 || setup_settle(setup, m->setup, f) == -1)) {
		setup_close(setup, m->setup);
		setup = NULL;
	}
	if (setup == NULL) {
		conf_free(c);
		if (fd != -1)
			close(fd);
		if (secrets != -1)
			close(secrets);
		return -1;
	}
	setup->owned = c;
	setup_close(m->setup, setup);
	m->setup = setup;
	m->conf = c;
	forget_news(m);
	m->news = fd;
	m->secret_news = secrets;
	master_warn(c);
	return 0;
}

/* SIGHUP: the configuration and all that it names.  What cannot be read changes nothing. */
static void
reload(struct master *m)
{
	struct fail f = FAIL_INIT;
	enum child_kind kind;
	int demo_only = !m->reload;

	if ((!m->reload && !m->renew) || m->stopping || !m->was_ready)
		return;
	for (kind = CHILD_ROUTE; kind <= CHILD_OUT; kind++)
		if (!has_room(m, kind)) {
			stop_oldest(m, kind);
			return;
		}
	m->reload = m->renew = 0;
	if ((demo_only ? setup_renew_demo(m->setup, &f) : take_conf(m, &f)) == -1) {
		if (demo_only)
			say(LOG_LEVEL_ERROR, "renewal-failed", "reason", f.text);
		else
			say(LOG_LEVEL_ERROR, "reload-failed", "reason", f.text);
		return;
	}
	m->generation++;
	list_ends(m);
	retire_all(m);
	if (!demo_only)
		renew_others(m);
	if (demo_only)
		say(LOG_LEVEL_INFO, "renewed", "identity", SETUP_DEMO);
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
	if (poll(p, m->nchildren + 1, 1000) == -1) {
		if (errno != EINTR)
			abort();
		free(p);
		return;
	}
	log_hold();
	for (i = 0; i < m->nchildren; i++)
		if (p[i + 1].revents & POLLIN)
			hear(m, &m->child[i]);
	log_flush();
	/* A closed socket stays readable until its process is reaped, which comes with SIGCHLD. */
	for (i = 0; i < m->nchildren; i++)
		if ((p[i + 1].revents & (POLLHUP | POLLIN)) == POLLHUP)
			poll(NULL, 0, 1);
	if (p[0].revents != 0)
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
		say(LOG_LEVEL_WARN, "unprivileged", "consequence", sandbox_confinable() ?
		    "not started as root: all roles share one user" :
		    "not started as root: all roles share one user and see all its files");
	if (!syscalls_limitable())
		say(LOG_LEVEL_WARN, "unlimited", "consequence",
		    "no seccomp: a role that is taken over may use all of the kernel's system calls");
	/* Who reads "ready" may look for the number of the process. */
	if (ready(arg) == 0) {
		say(LOG_LEVEL_INFO, "ready", "conf", m->conf->file);
		supervisor_tell("READY=1");
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
	size_t places = 0, i;

	m->open = share(open_size(m));
	m->low = share(sizeof *m->low);
	if (m->open == NULL || m->low == NULL)
		return fail_errno(f, "shared memory");
	/* There may be more listeners one day: with all places taken clients are not told from each other. */
	for (i = 0; i < m->setup->nlisteners; i++)
		places += 2 * (size_t)m->setup->listener[i].conf->concurrency;
	m->clients = clients_new(places, nslots(m), f);
	return m->clients != NULL ? 0 : -1;
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

/* There is one where the configuration asks for it: behind the workers, in the order of their kinds. */
static void
add_single(struct master *m, enum child_kind kind, const char *name)
{
	struct child *c = &m->child[m->nroles++];

	c->kind = kind;
	snprintf(c->name, sizeof c->name, "%s", name);
}

static void
make_children(struct master *m)
{
	size_t i;

	m->nroles = 2 + 2 * (size_t)m->conf->workers;
	m->nchildren = m->nroles + (conf_has_auth(m->conf) ? 1 : 0) + (m->conf->alert.hook != NULL ? 1 : 0) +
	    (m->conf->ndkim > 0 ? 1 : 0) +
	    (1 + 2 * m->conf->workers) * (size_t)MASTER_GENERATIONS;
	m->child = xcalloc(m->nchildren, sizeof *m->child);
	for (i = 0; i < m->nroles; i++) {
		struct child *c = &m->child[i];

		c->kind = i == 0 ? CHILD_QUEUE : i == 1 ? CHILD_ROUTE : i % 2 == 0 ? CHILD_IN : CHILD_OUT;
		name_child(m, c);
	}
	if (m->conf->alert.hook != NULL)
		add_single(m, CHILD_HOOK, "hook");
	if (m->conf->ndkim > 0)
		add_single(m, CHILD_SIGN, "sign");
	if (conf_has_auth(m->conf))
		add_single(m, CHILD_AUTH, "auth");
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
		renew_secret(m);
		reload(m);
		tell_queue(m);
		tell_ends(m);
		start_missing(m);
		wait_for_something(m);
		introduce_auths(m);
		announce(m, ready, arg);
		if (m->stopping && m->stop_until != 0 && clock_passed() > m->stop_until)
			for (i = 0; i < m->nchildren; i++)
				if (m->child[i].state != CHILD_DOWN)
					kill(m->child[i].pid, SIGKILL);
	}
	say(LOG_LEVEL_INFO, "stopped", NULL, NULL);
	return m->failed ? -1 : 0;
}
