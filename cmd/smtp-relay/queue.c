/*
 * queue - group commit.  Requests of all workers are read until none waits; then a round of the spool makes
 * their files last and names them, and the next, which begins at once, makes the names last: then each is
 * answered.  While the disk works, in a thread of its own, more requests pile up, and go into that next round:
 * the busier the relay, the larger the groups.
 */
#include "queue.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alerting.h"
#include "alloc.h"
#include "clock.h"
#include "cut.h"
#include "disk.h"
#include "dispatch.h"
#include "ear.h"
#include "file.h"
#include "journal.h"
#include "log.h"
#include "reports.h"
#include "signer.h"
#include "spool.h"
#include "table.h"

struct worker {
	struct worker *next;
	struct queue *q;
	unsigned number;
	struct channel *channel;	/* NULL: the worker is gone */
	size_t asked;			/* requests in the batches */
	size_t asked_max;		/* more than one for each session is nothing that it does in its senses */
};

/* What an item of the batch answers to: a worker's slot, or a bounce of our own. */
struct request {
	struct worker *worker;		/* NULL: a bounce */
	char slot[24];
	void (*committed)(void *, int ok);
	void *arg;
};

struct queue {
	struct role role;
	const struct queue_start *start;
	struct conf *conf;		/* that came while it runs; NULL: start's */
	struct credentials *credentials; /* likewise */
	struct spool spool;
	struct journal_key key;
	struct spool_batch batch;	/* asked for */
	struct spool_batch named;	/* in queue/, the names not synced */
	struct spool_batch next;	/* of the round that is under way: their data is synced */
	struct spool_sync sync;
	int syncing;
	struct disk *disk;
	struct worker *workers;
	struct dispatch *dispatch;
	struct alerting *alerting;
	struct event *commit, *probe;
	struct ear *ear;
	struct reports *reports;
	struct signer *signer;
};

static void
log_plain(const struct queue *q, enum log_level level, const char *verb, const char *reason)
{
	struct log_line l;

	log_event(&l, level, q->start->role.name, verb);
	log_key(&l, "reason", reason);
	log_send(&l);
}

/* ---- workers ---- */

/* What a dead worker left in new/ was never acknowledged. */
static void
remove_leftovers(struct queue *q, unsigned number)
{
	struct spool_scan scan = { .d = NULL };
	struct fail f = FAIL_INIT;
	const char *name;
	size_t n = 0;
	struct log_line l;

	if (spool_scan_open(&scan, q->spool.dir[SPOOL_NEW], &f) == -1)
		return;
	while ((name = spool_scan_next(&scan, &f)) != NULL)
		if (spool_id_valid(name) && spool_id_worker(name) == number &&
		    spool_remove(&q->spool, SPOOL_NEW, name, &f) == 0)
			n++;
	spool_scan_close(&scan);
	if (n == 0)
		return;
	log_event(&l, LOG_LEVEL_INFO, q->start->role.name, "leftovers-removed");
	log_key_num(&l, "worker", number);
	log_key_num(&l, "files", (int64_t)n);
	log_send(&l);
}

/* A worker that is gone stays in the list until no item of the batch points to it. */
static void
sweep_workers(struct queue *q)
{
	struct worker **at = &q->workers, *w;

	while ((w = *at) != NULL) {
		if (w->channel != NULL || w->asked > 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		remove_leftovers(q, w->number);
		free(w);
	}
}

static void
ask_for_commit(struct queue *q)
{
	struct timeval now = { 0, 0 };

	if (!evtimer_pending(q->commit, NULL) && event_add(q->commit, &now) == -1)
		alloc_failed();
}

/* commit SLOT ID: from a process that faces peers, so nothing about it is believed. */
static void
on_worker_record(void *arg, struct order *o)
{
	struct worker *w = arg;
	struct request *r;

	if (o->fd != -1)
		close(o->fd);
	if (o->n != 3 || strcmp(o->v[0], "commit") != 0 || strlen(o->v[1]) >= sizeof r->slot ||
	    !spool_id_valid(o->v[2]) || spool_id_worker(o->v[2]) != w->number) {
		log_plain(w->q, LOG_LEVEL_ERROR, "worker-nonsense", "a record that makes no sense");
		return;
	}
	if (w->asked == w->asked_max) {
		channel_cut(w->channel, "it asks for more commits than it may have sessions");
		return;
	}
	r = xcalloc(1, sizeof *r);
	r->worker = w;
	snprintf(r->slot, sizeof r->slot, "%s", o->v[1]);
	w->asked++;
	spool_batch_add(&w->q->batch, o->v[2], clock_now(), r);
	ask_for_commit(w->q);
}

static void
on_worker_gone(void *arg, const struct fail *f)
{
	struct worker *w = arg;

	cut_gone(w->q->start->role.name, w->number, f);
	channel_free(w->channel);
	w->channel = NULL;
	/* What it asked for is committed, then it is swept away. */
	ask_for_commit(w->q);
}

static const struct channel_handlers worker_handlers = { .record = on_worker_record,
	.gone = on_worker_gone };

static void
add_worker(struct queue *q, int fd, unsigned number)
{
	const struct conf *conf = q->conf != NULL ? q->conf : q->start->conf;
	struct worker *w = xcalloc(1, sizeof *w);

	w->q = q;
	w->number = number;
	w->channel = channel_new(q->role.base, fd, &worker_handlers, w);
	channel_gather(w->channel);
	cut_watch(w->channel, conf);
	w->asked_max = cut_sessions(conf);
	w->next = q->workers;
	q->workers = w;
}

/* The master has found nothing wrong with it. */
static void
note_error(void *arg, const char *file, unsigned line, const char *text)
{
	fail(arg, FAIL_INPUT, "%.200s:%u: %.300s", file, line, text);
}

static ssize_t
read_news(int fd, struct buf *text)
{
	char piece[4096];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, piece, sizeof piece)) > 0)
		buf_add(text, piece, n);
	close(fd);
	explicit_bzero(piece, sizeof piece);
	return n;
}

/* Before the configuration that names them. */
static void
take_credentials(struct queue *q, int fd)
{
	struct fail f = FAIL_INIT;
	struct buf text = BUF_INIT;
	struct credentials *c = NULL, *old = q->credentials;

	if (read_news(fd, &text) == 0)
		c = credentials_parse("credentials", text.p != NULL ? text.p : "", text.len, &f);
	buf_wipe(&text);
	if (c == NULL) {
		log_plain(q, LOG_LEVEL_ERROR, "conf-ignored", "the credentials cannot be read");
		return;
	}
	q->credentials = c;
	dispatch_take_credentials(q->dispatch, c);
	credentials_free(old);
}

/* What is not decided yet is decided by the new one. */
static void
take_conf(struct queue *q, int fd)
{
	struct fail f = FAIL_INIT;
	struct buf text = BUF_INIT;
	struct conf *conf = NULL, *old = q->conf;
	size_t errors = 1;
	ssize_t n = read_news(fd, &text);

	if (n == 0)
		conf = conf_parse_text(q->start->conf->file, text.p, text.len, note_error, &f, &errors);
	buf_clear(&text);
	if (errors > 0) {
		conf_free(conf);
		log_plain(q, LOG_LEVEL_ERROR, "conf-ignored", n == -1 ? "it cannot be read" : f.text);
		return;
	}
	q->conf = conf;
	dispatch_take_conf(q->dispatch, conf);
	alerting_take_conf(q->alerting, conf);
	reports_take_conf(q->reports, conf);
	signer_take_conf(q->signer, conf);
	conf_free(old);
}

/*
 * worker NUMBER +fd, out NUMBER +fd, route NUMBER +fd, hook NUMBER +fd, sign NUMBER +fd, conf +fd, credentials +fd;
 * identities, their lines
 */
static void
on_master_record(void *arg, struct order *o)
{
	struct queue *q = arg;
	struct fail f = FAIL_INIT;
	long long number;

	if (o->n == 1 && o->fd != -1 && strcmp(o->v[0], "conf") == 0) {
		take_conf(q, o->fd);
		return;
	}
	if (o->n == 1 && o->fd == -1 && strcmp(o->v[0], "identities") == 0) {
		alerting_identities(q->alerting, o->more, o->more_len);
		return;
	}
	if (o->n == 1 && o->fd != -1 && strcmp(o->v[0], "credentials") == 0) {
		take_credentials(q, o->fd);
		return;
	}
	if (o->n != 2 || o->fd == -1 ||
	    text_number(o->v[1], 0, SPOOL_WORKER_MAX, "number", &number, &f) == -1)
		fail(&f, FAIL_SYS, "a record from the master makes no sense");
	else if (strcmp(o->v[0], "worker") == 0)
		add_worker(q, o->fd, number);
	else if (strcmp(o->v[0], "out") == 0)
		dispatch_out(q->dispatch, o->fd, number);
	else if (strcmp(o->v[0], "route") == 0)
		dispatch_route(q->dispatch, o->fd);
	else if (strcmp(o->v[0], "hook") == 0)
		alerting_hook(q->alerting, o->fd);
	else if (strcmp(o->v[0], "sign") == 0)
		signer_channel(q->signer, o->fd, (unsigned)number);
	else
		fail(&f, FAIL_SYS, "a record from the master is not known");
	if (f.kind != FAIL_NONE)
		role_fail(&f);
}

/* A bounce goes the way of all mail: into the next group of syncs. */
static void
submit(void *arg, const char *id, void (*committed)(void *, int ok), void *committed_arg)
{
	struct queue *q = arg;
	struct request *r = xcalloc(1, sizeof *r);

	r->committed = committed;
	r->arg = committed_arg;
	spool_batch_add(&q->batch, id, clock_now(), r);
	ask_for_commit(q);
}

static int
ask_route(void *arg, const char *text, size_t len, int fd)
{
	return dispatch_ask_route(((struct queue *)arg)->dispatch, text, len, fd);
}

/* ---- the commit ---- */

static void
answer(const struct spool_item *item)
{
	const struct request *r = item->arg;
	struct buf b = BUF_INIT;

	if (r->worker->channel == NULL)
		return;
	if (item->ok)
		table_put(&b, "done", r->slot, item->name.id, "250", "2.0.0", "queued", (char *)NULL);
	else if (item->fail.err == ENOSPC || item->fail.err == EDQUOT)
		table_put(&b, "done", r->slot, item->name.id, "452", "4.3.1", item->fail.text,
		    (char *)NULL);
	else
		table_put(&b, "done", r->slot, item->name.id, "451", "4.3.0", item->fail.text,
		    (char *)NULL);
	channel_send(r->worker->channel, b.p, b.len, -1);
	buf_clear(&b);
}

/*
 * A message that cannot be told from another by its ID is none: only a worker that was taken over gives an ID
 * twice.  Refused after its commit, where nothing can come between any more.
 */
static void
refuse_double(struct queue *q, struct spool_item *item)
{
	char name[SPOOL_NAME_SIZE];
	struct fail f = FAIL_INIT;

	item->ok = 0;
	fail(&item->fail, FAIL_INPUT, "%s: the ID of another message", item->name.id);
	spool_name_format(name, &item->name);
	if (spool_remove(&q->spool, SPOOL_QUEUE, name, &f) == -1)
		log_plain(q, LOG_LEVEL_ERROR, "fault", f.text);
}

/* What a worker in its senses does not ask for: a file that is none, an ID that is taken. */
static int
is_nonsense(const struct fail *f)
{
	return f->kind == FAIL_INPUT || f->err == EEXIST;
}

static void
probe_later(struct queue *q)
{
	struct timeval tv = { QUEUE_PROBE_MS / 1000, QUEUE_PROBE_MS % 1000 * 1000 };

	if (!evtimer_pending(q->probe, NULL) && event_add(q->probe, &tv) == -1)
		alloc_failed();
}

static void
on_probe(evutil_socket_t fd, short what, void *arg)
{
	struct queue *q = arg;
	struct fail f = FAIL_INIT;

	(void)fd;
	(void)what;
	if (spool_probe(&q->spool, &f) == 0) {
		log_plain(q, LOG_LEVEL_WARN, "spool-well", "a fresh file was synced: mail is accepted again");
		return;
	}
	probe_later(q);
}

static void
log_sick(struct queue *q, const struct fail *f)
{
	struct log_line l;

	if (evtimer_pending(q->probe, NULL))
		return;
	log_event(&l, LOG_LEVEL_ERROR, q->start->role.name, "spool-sick");
	log_key(&l, "reason", f->text);
	log_key(&l, "consequence", "no mail is accepted until a fresh file has been synced");
	log_send(&l);
	probe_later(q);
}

static void
tell_committed(struct queue *q, struct spool_item *item)
{
	struct request *r = item->arg;

	if (item->ok && dispatch_add_new(q->dispatch, item) == -1)
		refuse_double(q, item);
	if (is_nonsense(&item->fail))
		log_plain(q, LOG_LEVEL_ERROR, "worker-nonsense", item->fail.text);
	if (r->worker != NULL) {
		answer(item);
		r->worker->asked--;
	} else {
		r->committed(r->arg, item->ok);
	}
	free(r);
}

static void
tell_all(struct queue *q, struct spool_batch *done)
{
	size_t i;

	for (i = 0; i < done->n; i++)
		tell_committed(q, &done->item[i]);
	spool_batch_clear(done);
}

/* What is told here may submit again: to the next batch. */
static void
end_round(void *arg)
{
	struct queue *q = arg;
	struct spool_batch done = q->named, next = q->next;
	struct fail f = FAIL_INIT;

	q->syncing = 0;
	q->named = q->next = (struct spool_batch)SPOOL_BATCH_INIT;
	if (spool_round_end(&q->spool, &done, &next, &q->sync, &f) == -1) {
		log_sick(q, &f);
		tell_all(q, &next);
	}
	q->named = next;
	tell_all(q, &done);
	sweep_workers(q);
	if (q->named.n + q->batch.n > 0)
		ask_for_commit(q);
}

static void
on_commit(evutil_socket_t fd, short what, void *arg)
{
	struct queue *q = arg;

	(void)fd;
	(void)what;
	if (q->syncing)
		return;
	if (q->named.n + q->batch.n == 0) {
		sweep_workers(q);
		return;
	}
	q->next = q->batch;
	q->batch = (struct spool_batch)SPOOL_BATCH_INIT;
	q->syncing = 1;
	if (spool_round_begin(&q->spool, &q->named, &q->next, &q->sync))
		disk_sync(q->disk, &q->sync);
	else
		end_round(q);
}

/* ---- start and stop ---- */

static void
on_problem(void *arg, const char *name, const struct fail *f)
{
	const struct queue *q = arg;
	const char *role = q->start->role.name;

	role_log_fault(role, spool_id_valid(name) ? name : role, f->text);
}

static void
on_found(void *arg, enum spool_folder folder, const struct spool_name *name)
{
	struct queue *q = arg;
	char file[SPOOL_NAME_SIZE];
	struct fail f = FAIL_INIT;

	if (folder != SPOOL_QUEUE || dispatch_add(q->dispatch, name) == 0)
		return;
	/* A crash before refuse_double(), or somebody's copy: a person is to look at it. */
	spool_name_format(file, name);
	if (spool_set_aside(&q->spool, folder, file, &f) == 0)
		fail(&f, FAIL_INPUT, "%s: the ID of another message; set aside in bad", name->id);
	on_problem(q, name->id, &f);
}

static void
on_left(void *arg, const struct fail *f)
{
	const struct queue *q = arg;

	on_problem(arg, q->start->role.name, f);
}

/* Before anything is tried: what an out had read and nobody heard of is not sent again. */
static void
replay(struct queue *q)
{
	struct journal_replayed got;
	struct fail f = FAIL_INIT;
	struct log_line l;

	if (journal_replay(&q->spool, &q->key, on_problem, q, &got, &f) == -1)
		role_fail(&f);
	if (got.results + got.damaged + got.failed == 0)
		return;
	log_event(&l, LOG_LEVEL_INFO, q->start->role.name, "results-recovered");
	log_key_num(&l, "results", (int64_t)got.results);
	log_key_num(&l, "damaged", (int64_t)got.damaged);
	log_key_num(&l, "failed", (int64_t)got.failed);
	log_send(&l);
}

static void
recover(struct queue *q)
{
	struct spool_recovered got = { 0 };
	struct fail f = FAIL_INIT;
	struct log_line l;

	if (spool_recover(&q->spool, 0, on_found, on_left, q, &got, &f) == -1)
		role_fail(&f);
	log_event(&l, LOG_LEVEL_INFO, q->start->role.name, "started");
	log_key_num(&l, "queued", (int64_t)got.queued);
	log_key_num(&l, "held", (int64_t)got.held);
	log_key_num(&l, "unfinished-removed", (int64_t)got.removed);
	log_key_num(&l, "set-aside", (int64_t)got.set_aside);
	log_key_num(&l, "left", (int64_t)got.left);
	log_send(&l);
}

/* The workers have ended before; what they asked last is answered to nobody, but stays queued. */
static void
on_stop(void *arg)
{
	struct queue *q = arg;

	ear_end(q->ear);
	dispatch_stop(q->dispatch);
	reports_stop(q->reports);
	while (q->syncing || q->batch.n + q->named.n > 0) {
		disk_wait(q->disk);
		on_commit(-1, 0, q);
	}
	alerting_stop(q->alerting);
	spool_close(&q->spool);
	role_end(&q->role);
}

static void
count_queued(void *arg, const char *domain, struct alerting_queued *queued)
{
	const struct queue *q = arg;

	dispatch_queued(q->dispatch, domain, queued);
}

/* The spool is the root directory, or stays where it is. */
static struct alerting *
new_alerting(struct queue *q, const struct queue_start *start)
{
	char *file = file_join(start->role.user != NULL ? "/" : start->spool, SPOOL_ALERTS);
	struct alerting_conf conf = { .conf = start->conf, .conf_path = start->conf_path, .name = start->role.name,
		.file = file, .base = q->role.base, .spool = &q->spool, .submit = submit, .queued = count_queued, .arg = q };

	return alerting_new(&conf);
}

void
queue_main(const struct queue_start *start)
{
	static struct queue q;
	struct dispatch_conf dispatch = { .conf = start->conf, .name = start->role.name,
		.spool = &q.spool, .key = &q.key, .submit = submit, .arg = &q };
	struct reports_conf reports = { .conf = start->conf, .name = start->role.name, .spool = &q.spool,
		.submit = submit, .ask_route = ask_route, .arg = &q };
	struct fail f = FAIL_INIT;

	q.start = start;
	q.spool = (struct spool)SPOOL_INIT;
	q.role.stop = on_stop;
	q.role.record = on_master_record;
	q.role.arg = &q;
	role_begin(&q.role, &start->role);
	if (spool_open(&q.spool, start->spool, &f) == -1 || spool_lock(&q.spool, &f) == -1)
		role_fail(&f);
	channel_gather(q.role.master);
	role_drop(&start->role);
	if ((q.disk = disk_new(q.role.base, end_round, &q, &f)) == NULL)
		role_fail(&f);
	if ((q.commit = evtimer_new(q.role.base, on_commit, &q)) == NULL ||
	    (q.probe = evtimer_new(q.role.base, on_probe, &q)) == NULL)
		alloc_failed();
	dispatch.base = reports.base = q.role.base;
	dispatch.disk = q.disk;
	dispatch.alerting = q.alerting = new_alerting(&q, start);
	dispatch.reports = q.reports = reports_new(&reports);
	dispatch.signer = q.signer = signer_new(q.role.base, start->conf, start->role.name);
	q.dispatch = dispatch_new(&dispatch);
	dispatch_take_credentials(q.dispatch, start->credentials);
	replay(&q);
	recover(&q);
	if ((q.ear = ear_new(q.role.base, start->role.name, &q.spool, q.dispatch, &f)) == NULL)
		role_fail(&f);
	role_ready(&q.role);
	event_base_dispatch(q.role.base);
	role_end(&q.role);
}
