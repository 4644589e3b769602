#include "signer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "access.h"
#include "alloc.h"
#include "channel.h"
#include "clock.h"
#include "cut.h"
#include "dkim.h"
#include "header.h"
#include "log.h"
#include "patience.h"
#include "table.h"

struct request {
	struct request *next;
	struct signer *s;
	unsigned long seq;
	unsigned tries;
	char id[SPOOL_ID_SIZE];
	char *domain;
	int report;
	int64_t offset, size;
	int fd;
	signer_fn *fn;
	void *arg;
};

struct signer {
	struct event_base *base;
	const struct conf *conf;
	const char *role;
	struct channel *channel;	/* NULL: there is none now */
	unsigned number;		/* of that role */
	int cut;			/* it is to die */
	struct patience patience;	/* for its next answer */
	struct event *look;		/* while there are requests; NULL: never so far */
	struct request *requests;
	unsigned long seq;
};

struct signer *
signer_new(struct event_base *base, const struct conf *conf, const char *role)
{
	struct signer *s = xcalloc(1, sizeof *s);

	s->base = base;
	s->conf = conf;
	s->role = role;
	return s;
}

void
signer_take_conf(struct signer *s, const struct conf *conf)
{
	s->conf = conf;
}

/* ---- whose mail it is ---- */

static const struct conf_listen *
listener_of(const struct conf *c, const char *name)
{
	size_t i;

	for (i = 0; name != NULL && i < c->nlisten; i++)
		if (strcmp(c->listen[i].name, name) == 0)
			return &c->listen[i];
	return NULL;
}

static int
is_made_here(const struct spool_envelope *e)
{
	return e->client == NULL && e->listener == NULL;
}

/* Mail that comes in from anywhere may bear any From; that of our own clients is theirs. */
static int
is_ours(const struct conf *c, const struct spool_envelope *e)
{
	const struct conf_listen *l = listener_of(c, e->listener);
	const struct conf_hosts *h;
	uint8_t addr[16];
	size_t n;

	if (is_made_here(e) || e->auth != NULL)
		return 1;
	if (l == NULL || l->type == CONF_PRIVATE)
		return l != NULL;
	if (e->client == NULL || (n = text_address(e->client, addr)) == 0)
		return 0;
	h = access_find(l->hosts, l->nhosts, n == 4 ? AF_INET : AF_INET6, addr, e->client_name);
	return h != NULL && h->action == CONF_RELAY;
}

static char *
domain_to_sign(const struct conf *c, const struct spool_message *m, int *report)
{
	const struct conf_dkim *found[CONF_DKIM_EACH];
	char header[SIGNER_HEADER_MAX], *domain;
	const char *value;
	ssize_t n;
	size_t len;

	if (c->ndkim == 0 || !is_ours(c, &m->env) || (n = spool_message_pread(m, header, sizeof header, 0, NULL)) <= 0 ||
	    (domain = dkim_from_domain(header, (size_t)n)) == NULL)
		return NULL;
	*report = is_made_here(&m->env) && header_find(header, (size_t)n, "TLS-Report-Submitter", &value, &len) == 1;
	if (conf_dkim_find(c, domain, *report, found) > 0)
		return domain;
	free(domain);
	return NULL;
}

/* ---- a sign that lives and does not answer ---- */

static void look_later(struct signer *);

/* It answers one after the other: the oldest is its next.  So many seconds are those of a sick disk. */
static int64_t
time_for_next(const struct signer *s)
{
	const struct request *r = s->requests;

	while (r->next != NULL)
		r = r->next;
	return SIGNER_ANSWER_S + r->size / (1024 * 1024);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct signer *s = arg;
	int64_t now = clock_passed();
	char why[64];

	(void)fd;
	(void)what;
	if (s->requests == NULL)
		return;
	look_later(s);
	if (s->channel != NULL && s->cut)
		channel_shut(s->channel);
	if (s->channel == NULL || s->cut || !patience_over(&s->patience, now, time_for_next(s)))
		return;
	s->cut = 1;
	snprintf(why, sizeof why, "it has answered nothing for %" PRId64 " seconds", now - s->patience.since);
	cut_ask(s->role, "sign", s->number, why);
}

static void
look_later(struct signer *s)
{
	static const struct timeval tv = { PATIENCE_LOOK_S, 0 };

	if (s->look == NULL && (s->look = evtimer_new(s->base, on_look, s)) == NULL)
		alloc_failed();
	if (!evtimer_pending(s->look, NULL) && event_add(s->look, &tv) == -1)
		alloc_failed();
}

/* It has something to do, or did a part of it. */
static void
wait_for_next(struct signer *s)
{
	if (s->requests == NULL) {
		patience_end(&s->patience);
		return;
	}
	patience_begin(&s->patience, clock_passed());
	look_later(s);
}

/* ---- requests ---- */

/* sign SEQ DOMAIN REPORT OFFSET SIZE +fd */
static int
send_request(struct request *r)
{
	char seq[24], offset[24], size[24];
	struct buf b = BUF_INIT;
	int rc;

	if (r->s->channel == NULL)
		return 0;
	r->tries++;
	snprintf(seq, sizeof seq, "%lu", r->seq);
	snprintf(offset, sizeof offset, "%" PRId64, r->offset);
	snprintf(size, sizeof size, "%" PRId64, r->size);
	table_put(&b, "sign", seq, r->domain, r->report ? "1" : "0", offset, size, (char *)NULL);
	rc = channel_send(r->s->channel, b.p, b.len, r->fd);
	buf_clear(&b);
	return rc;
}

static void
request_free(struct request *r)
{
	struct request **at = &r->s->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	free(r->domain);
	free(r);
}

static void
request_done(struct request *r, const char *fields)
{
	signer_fn *fn = r->fn;
	void *arg = r->arg;

	request_free(r);
	fn(arg, fields);
}

int
signer_ask(struct signer *s, const struct spool_message *m, int fd, signer_fn *fn, void *arg)
{
	int report = 0;
	char *domain = domain_to_sign(s->conf, m, &report);
	struct request *r;

	if (domain == NULL)
		return 0;
	r = xcalloc(1, sizeof *r);
	*r = (struct request){ .next = s->requests, .s = s, .seq = ++s->seq, .domain = domain, .report = report,
		.offset = m->offset, .size = m->size, .fd = fd, .fn = fn, .arg = arg };
	snprintf(r->id, sizeof r->id, "%s", m->env.id);
	s->requests = r;
	if (send_request(r) == 0) {
		if (!s->patience.waits)
			wait_for_next(s);
		return 1;
	}
	/* No descriptor for it. */
	request_free(r);
	return -1;
}

/* It stays as it is, for as long as it is in the queue: better unsigned than never. */
static void
log_unsigned(const struct request *r, const char *why)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_WARN, r->id, "unsigned");
	log_key(&l, "domain", r->domain);
	log_key(&l, "reason", why);
	log_send(&l);
}

static void
on_record(void *arg, struct order *o)
{
	struct signer *s = arg;
	struct request *r;
	long long seq;

	if (o->fd != -1)
		close(o->fd);
	if (o->n != 3 || text_number(o->v[1], 0, INT64_MAX, "request", &seq, NULL) == -1)
		return;
	for (r = s->requests; r != NULL && r->seq != (unsigned long)seq; r = r->next)
		;
	if (r == NULL)
		return;
	if (strcmp(o->v[0], "unsigned") == 0)
		log_unsigned(r, o->v[2]);
	request_done(r, strcmp(o->v[0], "signed") == 0 ? o->v[2] : strcmp(o->v[0], "unsigned") == 0 ? "" : NULL);
	wait_for_next(s);
}

static void
on_gone(void *arg, const struct fail *f)
{
	struct signer *s = arg;

	(void)f;
	channel_free(s->channel);
	s->channel = NULL;
	patience_end(&s->patience);
}

static const struct channel_handlers handlers = { .record = on_record, .gone = on_gone };

void
signer_channel(struct signer *s, int fd, unsigned number)
{
	struct request *r, *next;

	channel_free(s->channel);
	s->channel = channel_new(s->base, fd, &handlers, s);
	s->number = number;
	s->cut = 0;
	for (r = s->requests; r != NULL; r = next) {
		next = r->next;
		if (r->tries >= SIGNER_TRIES || send_request(r) == -1)
			request_done(r, NULL);
	}
	wait_for_next(s);
}
