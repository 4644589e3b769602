/*
 * A day is open while it lasts; then it is closed, each URI of each domain gets a time, and what was sent or given up is taken
 * out.  When nothing is left the file goes.
 */
#include "reports.h"

#include <sys/stat.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "chance.h"
#include "clock.h"
#include "file.h"
#include "gzip.h"
#include "log.h"
#include "role.h"
#include "table.h"
#include "tlsrpt.h"
#include "tlsrpt_judge.h"
#include "tlsrpt_mail.h"

#define TMP ".tmp"
#define DAY_NAME 11		/* "2026-11-21" with its NUL */

struct day {
	struct day *next;
	struct tlsrpt_sums sums;
	int dirty;
};

/* A report on its way: to the disk, or by route to a server. */
struct sending {
	struct sending *next;
	struct reports *r;
	unsigned long seq;
	int64_t day;
	char *domain, *uri;
	int64_t began;
	char id[SPOOL_ID_SIZE];		/* of the message; "": it is posted */
};

struct reports {
	struct reports_conf conf;
	struct spool_ids ids;
	int dir;			/* -1: nothing is kept */
	uint64_t seed;
	struct day *open;		/* NULL: nothing was counted yet today */
	struct day *closed;
	struct sending *sending;
	size_t nposts;
	unsigned long seq;
	struct event *save, *wake;
};

static void
arm(struct event *e, int64_t seconds)
{
	struct timeval tv = { seconds > 0 ? seconds : 0, 0 };

	if (event_add(e, &tv) == -1)
		alloc_failed();
}

/* ---- files ---- */

static void
name_of(int64_t day, char dst[DAY_NAME])
{
	char text[TEXT_TIME_MAX];

	snprintf(dst, DAY_NAME, "%.10s", text_time(text, day));
}

/*
 * What was there stays until the new one is on disk.  Its folder is not synced: a crash may bring back the counts of a moment
 * before, which is worth no more than that (HACKING, "Durability").
 */
static int
write_day(const struct reports *r, const struct day *d, struct fail *f)
{
	struct buf b = BUF_INIT;
	char name[DAY_NAME];
	int fd, rc = -1;

	name_of(d->sums.day, name);
	if ((fd = openat(r->dir, TMP, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)) == -1)
		return fail_errno(f, "reports/" TMP);
	tlsrpt_sums_put(&b, &d->sums);
	if (file_put(fd, b.p, b.len, "reports/" TMP, f) == 0) {
		if (fdatasync(fd) == -1 || renameat(r->dir, TMP, r->dir, name) == -1)
			fail_errno(f, "reports/%s", name);
		else
			rc = 0;
	}
	close(fd);
	buf_clear(&b);
	return rc;
}

static void
save_day(struct reports *r, struct day *d)
{
	struct fail f = FAIL_INIT;

	if (!d->dirty || r->dir == -1)
		return;
	if (write_day(r, d, &f) == -1)
		role_log_fault(r->conf.name, r->conf.name, f.text);
	else
		d->dirty = 0;
}

static void
remove_day(const struct reports *r, const struct day *d)
{
	struct fail f = FAIL_INIT;
	char name[DAY_NAME];

	name_of(d->sums.day, name);
	if (r->dir != -1 && unlinkat(r->dir, name, 0) == -1 && errno != ENOENT) {
		fail_errno(&f, "reports/%s", name);
		role_log_fault(r->conf.name, r->conf.name, f.text);
	}
}

static void
on_save(evutil_socket_t fd, short what, void *arg)
{
	struct reports *r = arg;
	struct day *d;
	int failed = 0;

	(void)fd;
	(void)what;
	if (r->open != NULL)
		save_day(r, r->open);
	for (d = r->closed; d != NULL; d = d->next)
		save_day(r, d);
	for (d = r->closed; d != NULL; d = d->next)
		failed |= d->dirty;
	if (failed || (r->open != NULL && r->open->dirty))
		arm(r->save, 60);
}

static void
changed(struct reports *r, struct day *d)
{
	d->dirty = 1;
	if (!evtimer_pending(r->save, NULL))
		arm(r->save, REPORTS_SAVE_S + (int64_t)(d->sums.ndomains / REPORTS_SAVE_EACH));
}

static int
read_file(int dir, const char *name, struct buf *b, struct fail *f)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char piece[65536];
	ssize_t n = -1;

	if (fd == -1)
		return fail_errno(f, "reports/%.100s", name);
	while ((n = read(fd, piece, sizeof piece)) > 0 && b->len < TLSRPT_SUMS_MAX)
		buf_add(b, piece, n);
	if (n == -1)
		fail_errno(f, "reports/%.100s", name);
	else if (n > 0)
		fail(f, FAIL_INPUT, "reports/%.100s: too large", name);
	close(fd);
	return n == 0 ? 0 : -1;
}

/* NULL: f. */
static struct day *
read_day(struct reports *r, const char *name, struct fail *f)
{
	struct day *d = xcalloc(1, sizeof *d);
	struct buf b = BUF_INIT;
	char own[DAY_NAME];
	int rc = read_file(r->dir, name, &b, f);

	if (rc == 0)
		rc = tlsrpt_sums_parse(&d->sums, r->seed, name, b.p != NULL ? b.p : "", b.len, f);
	buf_clear(&b);
	if (rc == 0) {
		name_of(d->sums.day, own);
		if (strcmp(own, name) == 0)
			return d;
		tlsrpt_sums_clear(&d->sums);
		fail(f, FAIL_INPUT, "it is of another day");
	}
	fail_prefix(f, "reports/%.100s: left as it is", name);
	free(d);
	return NULL;
}

/* ---- days ---- */

static void
plan_domain(const struct reports *r, const struct tlsrpt_sums *s, struct tlsrpt_domain *d)
{
	int64_t begin = s->day + TLSRPT_DAY_S, spread = r->conf.conf->tlsrpt.delay;
	size_t i;

	if (begin + spread < clock_now()) {
		begin = clock_now();
		spread = spread < REPORTS_LATE_S ? spread : REPORTS_LATE_S;
	}
	for (i = 0; i < d->ntargets; i++)
		if (d->target[i].due == 0)
			d->target[i].due = begin + (int64_t)(chance32() % (uint32_t)(spread + 1));
}

static void
close_day(struct reports *r, struct day *d)
{
	size_t i;

	for (i = 0; i < d->sums.ndomains; i++)
		plan_domain(r, &d->sums, d->sums.domain[i]);
	d->next = r->closed;
	r->closed = d;
	changed(r, d);
}

/* A clock that is set back does not open a day again. */
static void
turn_page(struct reports *r)
{
	struct day *d = r->open;

	if (d == NULL || tlsrpt_day(clock_now()) <= d->sums.day)
		return;
	r->open = NULL;
	close_day(r, d);
}

static struct day *
open_day(struct reports *r)
{
	turn_page(r);
	if (r->open == NULL) {
		r->open = xcalloc(1, sizeof *r->open);
		tlsrpt_sums_init(&r->open->sums, tlsrpt_day(clock_now()), r->seed);
	}
	return r->open;
}

static void
drop_day(struct reports *r, struct day *d)
{
	struct day **at = &r->closed;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	remove_day(r, d);
	tlsrpt_sums_clear(&d->sums);
	free(d);
}

static struct day *
find_day(const struct reports *r, int64_t day)
{
	struct day *d = r->closed;

	while (d != NULL && d->sums.day != day)
		d = d->next;
	return d;
}

/* ---- what sessions there were ---- */

/* Only what the plan has: hosts and addresses by their numbers. */
void
reports_session(struct reports *r, const struct plan *p, const struct order *o)
{
	char ip[INET6_ADDRSTRLEN];
	const struct plan_host *h;
	struct tlsrpt_session x = { .sending_ip = o->v[5], .helo = o->v[6], .reason = o->v[7] };
	long long host, addr;
	int result = tlsrpt_result_find(o->v[4]);
	struct day *d;

	if (p->nhost == 0 || result == -1 || text_number(o->v[2], 0, (long long)p->nhost - 1, "host", &host, NULL) == -1 ||
	    (o->v[5][0] != '\0' && !text_is_address(o->v[5])))
		return;
	h = &p->host[host];
	if (o->v[3][0] != '\0' && h->host->naddr > 0 &&
	    text_number(o->v[3], 0, (long long)h->host->naddr - 1, "address", &addr, NULL) == 0)
		x.receiving_ip = facts_addr_text(&h->host->addr[addr], ip);
	x.result = (enum tlsrpt_result)result;
	d = open_day(r);
	tlsrpt_count(&d->sums, p, h, &x);
	changed(r, d);
}

/* ---- a report ---- */

static void
build_report(const struct reports *r, const struct tlsrpt_sums *s, const struct tlsrpt_domain *d,
    struct tlsrpt_report *out)
{
	const struct conf_tlsrpt *t = &r->conf.conf->tlsrpt;
	char day[DAY_NAME];

	tlsrpt_sums_report(s, d, out);
	name_of(s->day, day);
	out->organization = t->organization;
	out->contact = t->contact;
	out->id = xasprintf("%s.%s@%s", day, d->name, r->conf.conf->hostname);
}

/* Returns the octets of it before they are packed. */
static size_t
pack_report_text(const struct tlsrpt_report *report, struct buf *gz)
{
	struct buf text = BUF_INIT;
	size_t n;

	tlsrpt_report_put(&text, report);
	n = text.len;
	gzip_pack(gz, text.p, n);
	buf_clear(&text);
	return n;
}

static void
say(struct log_line *l, const struct sending *s, const char *why)
{
	char day[DAY_NAME];

	name_of(s->day, day);
	log_key(l, "day", day);
	log_key(l, "domain", s->domain);
	log_key(l, "to", s->uri);
	log_key(l, "as", s->id[0] != '\0' ? s->id : NULL);
	log_key(l, "reason", why);
	log_send(l);
}

static void
log_sent(const struct sending *s, const char *why)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, s->r->conf.name, "report-sent");
	say(&l, s, why);
}

static void
log_deferred(const struct sending *s, const char *why)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_WARN, s->r->conf.name, "report-deferred");
	say(&l, s, why);
}

static void
log_dropped(const struct sending *s, const char *why)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_WARN, s->r->conf.name, "report-dropped");
	say(&l, s, why);
}

static struct sending *
sending_new(struct reports *r, int64_t day, const char *domain, const char *uri)
{
	struct sending *s = xcalloc(1, sizeof *s);

	s->r = r;
	s->seq = ++r->seq;
	s->day = day;
	s->domain = xstrdup(domain);
	s->uri = xstrdup(uri);
	s->began = clock_now();
	s->next = r->sending;
	r->sending = s;
	return s;
}

static void
sending_free(struct sending *s)
{
	struct sending **at = &s->r->sending;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s->domain);
	free(s->uri);
	free(s);
}

/* What it is in the sums; NULL: it is not there any more. */
static struct tlsrpt_domain *
find_target(const struct sending *s, size_t *target)
{
	struct day *day = find_day(s->r, s->day);
	struct tlsrpt_domain *d = day != NULL ? tlsrpt_sums_find(&day->sums, s->domain) : NULL;

	for (*target = 0; d != NULL && *target < d->ntargets; (*target)++)
		if (strcmp(d->target[*target].uri, s->uri) == 0)
			return d;
	return NULL;
}

static void
drop_target(struct reports *r, struct day *day, struct tlsrpt_domain *d, size_t target)
{
	tlsrpt_domain_drop(d, target);
	if (d->ntargets == 0)
		tlsrpt_sums_remove(&day->sums, d);
	changed(r, day);
	arm(r->wake, 0);
}

/* RFC 8460 5.5: again for a day, with growing pauses. */
static void
try_again(struct sending *s, struct tlsrpt_domain *d, size_t target, const char *why)
{
	struct reports *r = s->r;
	struct tlsrpt_target *t = &d->target[target];

	if (++t->tries >= REPORTS_TRIES) {
		log_dropped(s, why);
		drop_target(r, find_day(r, s->day), d, target);
		return;
	}
	log_deferred(s, why);
	t->due = clock_now() + r->conf.conf->retry * (INT64_C(1) << (t->tries - 1));
	changed(r, find_day(r, s->day));
	arm(r->wake, 0);
}

static void
sent(struct sending *s, int good, const char *why)
{
	struct tlsrpt_domain *d;
	size_t target;

	if ((d = find_target(s, &target)) != NULL) {
		if (good) {
			log_sent(s, why);
			drop_target(s->r, find_day(s->r, s->day), d, target);
		} else
			try_again(s, d, target, why);
	}
	sending_free(s);
}

/* ---- by mail ---- */

static void
on_committed(void *arg, int ok)
{
	sent(arg, ok, ok ? NULL : "the message could not be written");
}

static void
mail_report(struct sending *s, const char *mailbox, const struct tlsrpt_report *report, const struct buf *gz)
{
	struct reports *r = s->r;
	const struct conf *c = r->conf.conf;
	struct spool_envelope env = { .from = xstrdup(c->tlsrpt.from) };
	struct buf filename = BUF_INIT, text = BUF_INIT;
	char *message_id;
	struct fail f = FAIL_INIT;
	struct tlsrpt_mail m = { .from = env.from, .to = mailbox, .now = clock_now(), .domain = s->domain,
		.submitter = conf_tlsrpt_domain(&c->tlsrpt), .organization = c->tlsrpt.organization, .id = report->id,
		.start = report->start, .gz = gz->p, .len = gz->len };

	spool_envelope_own(&env, &r->ids, clock_now_us());
	memcpy(s->id, env.id, sizeof s->id);
	spool_envelope_add_rcpt(&env, mailbox);
	tlsrpt_report_filename(&filename, report, m.submitter, s->domain);
	message_id = xasprintf("<%s@%s>", s->id, c->hostname);
	m.filename = filename.p;
	m.message_id = message_id;
	tlsrpt_mail_build(&text, &m);
	if (spool_write(r->conf.spool->dir[SPOOL_NEW], &env, text.p, text.len, 0, &f) == 0)
		r->conf.submit(r->conf.arg, s->id, on_committed, s);
	else
		sent(s, 0, f.text);
	free(message_id);
	buf_clear(&filename);
	buf_clear(&text);
	spool_envelope_clear(&env);
}

/* ---- by HTTPS ---- */

/* post SEQ URI +fd */
static void
post_report(struct sending *s, const struct buf *gz)
{
	struct reports *r = s->r;
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	char seq[24];
	int fd = file_memory(gz->p, gz->len, &f);

	snprintf(seq, sizeof seq, "%lu", s->seq);
	table_put(&b, "post", seq, s->uri, (char *)NULL);
	if (fd == -1)
		sent(s, 0, f.text);
	else if (r->conf.ask_route(r->conf.arg, b.p, b.len, fd) == -1)
		sent(s, 0, "nobody is there to post it");
	else
		r->nposts++;
	if (fd != -1)
		close(fd);
	buf_clear(&b);
}

void
reports_posted(struct reports *r, const struct order *o)
{
	struct sending *s;
	long long seq;

	if (o->n != 4 || text_number(o->v[1], 0, INT64_MAX, "post", &seq, NULL) == -1)
		return;
	for (s = r->sending; s != NULL && (s->id[0] != '\0' || s->seq != (unsigned long)seq); s = s->next)
		;
	if (s == NULL)
		return;
	r->nposts--;
	sent(s, strcmp(o->v[2], "good") == 0, o->v[3]);
}

/* ---- what is due ---- */

/* "mailto:" and what RFC 8460 3 lets stand behind it, as tlsrpt reads it; NULL: https.  The caller frees. */
static char *
mailbox_of(const char *uri)
{
	char *text = xasprintf(TLSRPT_VERSION ";rua=%s", uri), *mailbox = NULL;
	struct txtrec r = { text, strlen(text) };
	struct tlsrpt t;

	if (tlsrpt_parse(&t, &r, NULL) == 0) {
		mailbox = t.rua[0].mailbox;
		t.rua[0].mailbox = NULL;
		tlsrpt_clear(&t);
	}
	free(text);
	return mailbox;
}

/* Returns how large the report was. */
static size_t
send_one(struct reports *r, struct day *day, struct tlsrpt_domain *d, struct tlsrpt_target *t)
{
	struct sending *s = sending_new(r, day->sums.day, d->name, t->uri);
	char *mailbox = mailbox_of(t->uri);
	struct tlsrpt_report report;
	struct buf gz = BUF_INIT;
	size_t n;

	t->due = clock_now() + REPORTS_LEASE_S;
	build_report(r, &day->sums, d, &report);
	n = pack_report_text(&report, &gz);
	if (mailbox != NULL)
		mail_report(s, mailbox, &report, &gz);
	else
		post_report(s, &gz);
	free(mailbox);
	free(report.id);
	buf_clear(&gz);
	return n;
}

/* One that is due, and may go now; *next is the earliest of the others. */
static int
find_due(const struct reports *r, struct day *day, struct tlsrpt_domain **domain, struct tlsrpt_target **target,
    int64_t *next)
{
	size_t i, k;

	for (i = 0; i < day->sums.ndomains; i++) {
		struct tlsrpt_domain *d = day->sums.domain[i];

		for (k = 0; k < d->ntargets; k++) {
			struct tlsrpt_target *t = &d->target[k];

			if (t->due <= clock_now() && (r->nposts < REPORTS_POSTS_MAX || strncasecmp(t->uri, "https", 5) != 0)) {
				*domain = d;
				*target = t;
				return 1;
			}
			if (t->due < *next)
				*next = t->due;
		}
	}
	return 0;
}

/* A route that went took them along. */
static void
forget_unanswered(struct reports *r)
{
	struct sending *s, *next;

	for (s = r->sending; s != NULL; s = next) {
		next = s->next;
		if (s->id[0] != '\0' || s->began + REPORTS_LEASE_S > clock_now())
			continue;
		sending_free(s);
		r->nposts--;
	}
}

static void
send_due(struct reports *r, int64_t *next)
{
	struct tlsrpt_domain *domain;
	struct tlsrpt_target *target;
	struct day *d, *following;
	size_t n = 0;

	forget_unanswered(r);
	for (d = r->closed; d != NULL; d = following) {
		following = d->next;
		if (d->sums.ndomains == 0 || d->sums.day + REPORTS_DAYS * TLSRPT_DAY_S < tlsrpt_day(clock_now())) {
			drop_day(r, d);
			continue;
		}
		while (find_due(r, d, &domain, &target, next)) {
			if (n >= REPORTS_AT_ONCE) {
				*next = clock_now();
				return;
			}
			n += send_one(r, d, domain, target);
		}
	}
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct reports *r = arg;
	int64_t next = clock_now() + 60;

	(void)fd;
	(void)what;
	turn_page(r);
	/* What was counted while there was a tlsrpt line waits for one. */
	if (r->conf.conf->tlsrpt.from != NULL)
		send_due(r, &next);
	arm(r->wake, next > clock_now() ? next - clock_now() : 1);
}

/* ---- start and stop ---- */

static int
is_day(const char *name)
{
	int64_t t;

	return strlen(name) == DAY_NAME - 1 && text_timestamp(name, "day", &t, NULL) == 0;
}

static void
take_day(struct reports *r, const char *name)
{
	struct fail f = FAIL_INIT;
	struct day *d = read_day(r, name, &f);

	if (d == NULL)
		role_log_fault(r->conf.name, r->conf.name, f.text);
	else if (d->sums.day >= tlsrpt_day(clock_now()) && r->open == NULL)
		r->open = d;
	else
		close_day(r, d);
}

static void
read_days(struct reports *r)
{
	struct spool_scan scan;
	struct fail f = FAIL_INIT;
	const char *name;

	if (spool_scan_open(&scan, r->dir, &f) == -1) {
		role_log_fault(r->conf.name, r->conf.name, f.text);
		return;
	}
	while ((name = spool_scan_next(&scan, &f)) != NULL)
		if (is_day(name))
			take_day(r, name);
	spool_scan_close(&scan);
}

struct reports *
reports_new(const struct reports_conf *conf)
{
	struct reports *r = xcalloc(1, sizeof *r);
	struct fail f = FAIL_INIT;

	r->conf = *conf;
	r->seed = chance64();
	spool_ids_init(&r->ids, 0);
	if ((r->save = evtimer_new(conf->base, on_save, r)) == NULL ||
	    (r->wake = evtimer_new(conf->base, on_wake, r)) == NULL)
		alloc_failed();
	r->dir = openat(conf->spool->root, SPOOL_REPORTS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r->dir == -1) {
		fail_errno(&f, SPOOL_REPORTS);
		role_log_fault(r->conf.name, r->conf.name, f.text);
	} else
		read_days(r);
	arm(r->wake, 1);
	return r;
}

void
reports_take_conf(struct reports *r, const struct conf *conf)
{
	r->conf.conf = conf;
	arm(r->wake, 0);
}

void
reports_stop(struct reports *r)
{
	struct day *d;

	if (r->open != NULL)
		save_day(r, r->open);
	for (d = r->closed; d != NULL; d = d->next)
		save_day(r, d);
}
