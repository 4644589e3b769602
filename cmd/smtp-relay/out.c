/*
 * out - one struct delivery for each order, one struct line for each connection.  A delivery goes
 * through the plan's hosts and addresses in their order until a session is ready, sends the message there,
 * and is finished; the connection then waits a moment for another order that asks the same of it.
 */
#include "out.h"

#include <event2/event.h>
#include <openssl/evp.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "clock.h"
#include "contact.h"
#include "io.h"
#include "journal.h"
#include "log.h"
#include "master.h"
#include "pack.h"
#include "spool_file.h"
#include "table.h"
#include "tell.h"
#include "tickets.h"
#include "tlsa.h"
#include "tried.h"

struct out;

/* A connection; its plan outlives the delivery that brought it. */
struct line {
	struct line *next, **back;	/* in out->lines */
	struct out *out;
	struct contact contact;
	struct unpacked *plan;
	char *key;			/* address, port and what the plan asks of the host */
	struct delivery *user;		/* NULL: idle */
	SSL_SESSION *given[2];		/* of the peer since the last message, or the handshake */
	int64_t shaken;			/* when it, or the one that was resumed, had a full handshake */
	unsigned uses;
	int spent;			/* no further message goes over it */
	char *told;			/* the domain for whose reports it counted last; NULL: none's */
	struct event *idle;
};

struct recipient {
	char index[16];
	char *address;
	char proof[JOURNAL_PROOF_SIZE];
	struct smtp_rcpt_params params;
	int settled;
};

struct delivery {
	struct out *out;
	char seq[24], id[SPOOL_ID_SIZE];
	int fd;
	uint64_t offset, size, at;
	uint32_t crc, crc_so_far;	/* of the message; of what was read of it */
	uint16_t port;
	int has8bit;
	char *from;
	char *name, *password;		/* for AUTH at the plan's hosts; NULL: none */
	char *head;			/* fields in front of the message; NULL: none */
	int head_sent;
	struct recipient *rcpt;
	size_t nrcpts;
	struct buf plan_text;
	struct unpacked *plan;
	size_t host, addr;		/* the next to try */
	char *reason;			/* why the last one would not do */
	char soft[SMTP_STATUS_MAX];	/* the status that goes before it; "": a reply has its own */
	const char *status;		/* of a host that will not do for this message, ever; NULL: none so far */
	int may_do;			/* another host may, later */
	int in_full;			/* what a session of before holds did not verify: none is resumed */
	int doubted;			/* the queue was told that the plan may be out of date */
	int worked, broke;		/* a host did its work; could not be used */
	int host_worked, host_broke;	/* this one did; could not be asked */
	unsigned tries;			/* addresses */
	struct delivery *waits;		/* the next in out->waiting: for a socket of the master's */
	struct event *patience;		/* with it */
	time_t began;
	struct smtp_mail_params params;
	const char **send;		/* recipients of the transaction under way */
	struct smtp_rcpt_params *send_params;
	size_t *send_index;
	struct smtp_transaction order;
};

struct out {
	struct role role;
	const struct out_start *start;
	struct channel *queue;
	struct journal_pen journal;
	struct line *lines;
	struct tickets *tickets;
	struct delivery *waiting;	/* for the master to connect to a unix socket */
	size_t deliveries;
	int stopping;
};

/* ---- telling the queue ---- */

static void
tell(struct out *o, struct buf *b)
{
	channel_send(o->queue, b->p, b->len, -1);
	buf_clear(b);
}

/* Without a line there the result is told all the same: at worst a crash makes a duplicate of it. */
static int
write_down(const struct delivery *d, const struct recipient *r, enum spool_rcpt_state state,
    const char *text)
{
	struct journal_result result = { .id = d->id, .number = strtoul(r->index, NULL, 10), .state = state,
		.proof = r->proof, .text = text };
	struct fail f = FAIL_INIT;

	if (state == SPOOL_RCPT_DEFERRED || journal_write(&d->out->journal, &result, &f) == 0)
		return 0;
	role_log_fault(d->out->start->role.name, d->id, f.text);
	return -1;
}

static void
settle(struct delivery *d, size_t i, enum spool_rcpt_state state, const char *text)
{
	struct buf b = BUF_INIT;
	int journaled;

	if (d->rcpt[i].settled)
		return;
	d->rcpt[i].settled = 1;
	journaled = write_down(d, &d->rcpt[i], state, text) == 0;
	table_put(&b, "result", d->seq, d->rcpt[i].index, spool_rcpt_state_name(state), text,
	    journaled ? NULL : "unwritten", (char *)NULL);
	tell(d->out, &b);
}

/* The last results go before the process does: what a full socket left waiting too. */
static void
end(struct out *o)
{
	channel_flush(o->queue, ROLE_FLUSH_MS);
	role_end(&o->role);
}

static void
delivery_free(struct delivery *d)
{
	size_t i;

	for (i = 0; i < d->nrcpts; i++)
		free(d->rcpt[i].address);
	free(d->rcpt);
	free(d->name);
	if (d->password != NULL)
		explicit_bzero(d->password, strlen(d->password));
	free(d->password);
	if (d->patience != NULL)
		event_free(d->patience);
	free(d->from);
	free(d->head);
	free(d->reason);
	free(d->send);
	free(d->send_index);
	free(d->send_params);
	buf_clear(&d->plan_text);
	unpacked_free(d->plan);
	if (d->fd != -1)
		close(d->fd);
	d->out->deliveries--;
	if (d->out->stopping && d->out->deliveries == 0)
		end(d->out);
	free(d);
}

/*
 * What no host was asked about, or all put off, in words.  Where none of them will ever do for what the
 * message requires, its sender is told (RFC 8689 4.2.1).
 */
static void
settle_rest(struct delivery *d)
{
	int failed = d->status != NULL && !d->may_do;
	const char *status = failed ? d->status : d->reason != NULL ? d->soft : "4.4.4";
	char *why = xasprintf("%s%s%s", status, status[0] != '\0' ? " " : "",
	    d->reason != NULL ? d->reason : "no host to try");
	struct log_line l;
	size_t i;

	for (i = 0; i < d->nrcpts; i++) {
		if (d->rcpt[i].settled)
			continue;
		log_event(&l, LOG_LEVEL_INFO, d->id, failed ? "failed" : "deferred");
		log_key(&l, "to", d->rcpt[i].address);
		log_key(&l, "reason", why);
		log_send(&l);
		settle(d, i, failed ? SPOOL_RCPT_FAILED : SPOOL_RCPT_DEFERRED, why);
	}
	free(why);
}

static void
finished_as(struct delivery *d, const char *outcome)
{
	struct buf b = BUF_INIT;

	settle_rest(d);
	table_put(&b, "finished", d->seq, outcome, (char *)NULL);
	tell(d->out, &b);
	delivery_free(d);
}

static void
finished(struct delivery *d)
{
	finished_as(d, d->worked ? "worked" : d->broke ? "broke" : "nothing");
}

/* ---- the log ---- */

/* "3 1 1 0123456789abcdef...": enough to find it among those that are published. */
static void
log_tlsa(struct log_line *l, const struct tlsa *t)
{
	char *rdata = tlsa_rdata(t), text[64];

	snprintf(text, sizeof text, "%.*s%s", OUT_TLSA_SHORT, rdata, strlen(rdata) > OUT_TLSA_SHORT ? "..." : "");
	log_key(l, "tlsa", text);
	free(rdata);
}

/* By which policy the host was held against the names of its MX records, where one was. */
static int
by_sts(const struct contact *c)
{
	return c->target.host->need == PLAN_STS || c->target.host->testing != PLAN_TESTING_NONE;
}

static void
log_tls(struct log_line *l, const struct contact *c)
{
	if (c->seen.tls) {
		log_key(l, "protocol", c->tls.protocol);
		log_key(l, "cipher", c->tls.cipher);
		log_key(l, "group", c->tls.group[0] != '\0' ? c->tls.group : NULL);
		log_key(l, "resumed", c->tls.resumed ? "yes" : "no");
	}
	if (c->seen.tls && c->proof.dane.matched >= 0)
		log_tlsa(l, &c->target.host->host->tlsa[c->proof.dane.matched]);
	if (by_sts(c))
		log_key(l, "sts", c->target.facts->sts_id);
}

/* How the host is spoken to, where that is not SMTP to its MX port. */
static void
log_hop(struct log_line *l, const struct contact *c)
{
	const struct facts_host *h = c->target.host->host;

	if (h->protocol != FACTS_SMTP)
		log_key(l, "spoken", facts_protocol_name(h->protocol));
	if (c->client.authenticated)
		log_key(l, "authenticated", "yes");
}

static void
log_host(const struct delivery *d, const struct contact *c, const char *verb, enum log_level level)
{
	enum contact_trouble trouble = contact_trouble(c);
	char addr[INET6_ADDRSTRLEN];
	struct log_line l;

	log_event(&l, level, d->id, verb);
	log_key(&l, "condition", trouble != CONTACT_TROUBLE_NONE ? contact_trouble_name(trouble) : NULL);
	log_key(&l, "domain", d->plan->facts->domain);
	log_key(&l, "host", c->target.host->host->name);
	log_key(&l, "address", facts_addr_text(c->target.addr, addr));
	log_key_num(&l, "port", c->target.port);
	log_hop(&l, c);
	log_key(&l, "wanted", plan_need_name(c->target.host->need));
	log_key(&l, "reached", verdict_name(c->verdict.word));
	log_key(&l, "rule", c->verdict.rule);
	log_tls(&l, c);
	if (c->verdict.testing != NULL)
		log_key(&l, "sts-testing", c->verdict.testing);
	log_key(&l, "reason", c->verdict.why);
	log_send(&l);
}

/* Of a client's message "accepted" is said, where it comes in. */
static const char *const result_verbs[SMTP_RCPT_STATES] = {
	[SMTP_RCPT_OPEN] = "deferred",
	[SMTP_RCPT_ACCEPTED] = "delivered",
	[SMTP_RCPT_TEMP] = "deferred",
	[SMTP_RCPT_PERM] = "failed",
	[SMTP_RCPT_UNKNOWN] = "unknown",
};

/* For what is counted and told of a destination. */
static void
tell_tried(struct delivery *d, const struct tried *t)
{
	struct buf b = BUF_INIT;

	tried_pack(&b, d->seq, t);
	tell(d->out, &b);
}

static void
tell_contact(struct delivery *d, const struct contact *c)
{
	char addr[INET6_ADDRSTRLEN];
	struct tried t = { .host = d->host, .address = facts_addr_text(c->target.addr, addr),
		.word = c->verdict.word, .trouble = contact_trouble(c), .rule = c->verdict.rule, .why = c->verdict.why };

	tell_tried(d, &t);
}

static void
log_recipient(const struct delivery *d, const struct contact *c, const struct smtp_rcpt *r,
    const char *address)
{
	char addr[INET6_ADDRSTRLEN];
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, d->id, result_verbs[r->state]);
	log_key(&l, "to", address);
	log_key(&l, "host", c->target.host->host->name);
	log_key(&l, "address", facts_addr_text(c->target.addr, addr));
	log_key(&l, "wanted", plan_need_name(c->target.host->need));
	log_key(&l, "reached", verdict_name(c->verdict.word));
	log_key(&l, "rule", c->verdict.rule);
	log_tls(&l, c);
	log_key(&l, "reply", r->text);
	log_send(&l);
}

/* ---- TLS sessions ---- */

/* From within the handshake or a read.  Not believed before the chain has been verified: keep_sessions(). */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct line *ln = SSL_get_app_data(ssl);

	if (ln == NULL || !SSL_SESSION_is_resumable(session))
		return 0;
	SSL_SESSION_free(ln->given[1]);
	ln->given[1] = ln->given[0];
	ln->given[0] = session;
	return 1;
}

/* Of a line through which the plan lets mail go.  A session of TLS 1.2 is good for more than one use. */
static void
keep_sessions(struct line *ln)
{
	SSL *ssl = ln->contact.io != NULL ? io_ssl0(ln->contact.io) : NULL;
	SSL_SESSION *used;
	int i;

	if (!ln->contact.tls.resumed && ln->uses == 0)
		ln->shaken = clock_now();
	if (ssl != NULL && ln->contact.tls.resumed && ln->uses == 0 && SSL_version(ssl) < TLS1_3_VERSION &&
	    ln->given[0] == NULL && (used = SSL_get1_session(ssl)) != NULL)
		ln->given[0] = used;
	for (i = 1; i >= 0; i--) {
		if (ln->given[i] != NULL)
			tickets_put(ln->out->tickets, ln->key, ln->given[i], ln->shaken);
		ln->given[i] = NULL;
	}
}

static void
begin_sessions(struct out *o)
{
	SSL_CTX *const ctx[] = { o->start->tls, o->start->tls_strict };
	size_t i;

	o->tickets = tickets_new();
	for (i = 0; i < sizeof ctx / sizeof ctx[0]; i++) {
		SSL_CTX_set_session_cache_mode(ctx[i], SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx[i], on_session);
	}
}

/* ---- lines ---- */

static void
line_free(struct line *ln)
{
	*ln->back = ln->next;
	if (ln->next != NULL)
		ln->next->back = ln->back;
	event_free(ln->idle);
	contact_clear(&ln->contact);
	SSL_SESSION_free(ln->given[0]);
	SSL_SESSION_free(ln->given[1]);
	unpacked_free(ln->plan);
	free(ln->key);
	free(ln->told);
	free(ln);
}

static void
line_quit(struct line *ln)
{
	if (ln->contact.io != NULL)
		contact_quit(&ln->contact);
	line_free(ln);
}

static void
on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct line *ln = arg;

	(void)fd;
	(void)what;
	/* Also the place for a line that could not be freed from within its own call. */
	line_quit(ln);
}

static void
free_later(struct line *ln)
{
	struct timeval now = { 0, 0 };

	ln->user = NULL;
	ln->spent = 1;
	if (event_add(ln->idle, &now) == -1)
		alloc_failed();
}

/* Whose mail it is. */
static const char *
mail_domain(const struct delivery *d)
{
	const struct facts *f = d->plan->facts;

	return f->recipient != NULL ? f->recipient : f->domain;
}

/* A password stands in for itself: what was changed is another one. */
static void
put_digest(struct buf *b, const struct delivery *d)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;

	if (d->password == NULL)
		return;
	if (EVP_Digest(d->password, strlen(d->password), digest, &n, EVP_sha256(), NULL) != 1)
		alloc_failed();
	text_hex(hex, digest, n);
	buf_printf(b, "auth %s %s\n", d->name, hex);
}

/* What must be equal for a connection to be used again: who is there, what the plan asks of it, and who we are. */
static char *
key_of(const struct delivery *d)
{
	const struct plan_host *h = &d->plan->plan.host[d->host];
	struct buf b = BUF_INIT;
	char addr[INET6_ADDRSTRLEN];

	/* Names that usage 2 and the local level may rest on differ with the domain. */
	buf_printf(&b, "%s %u %s %d\n", facts_addr_text(&h->host->addr[d->addr], addr), d->port,
	    h->need == PLAN_DANE || h->check ? mail_domain(d) : "", (int)d->plan->facts->mx_sec);
	pack_host(&b, &d->plan->plan, h);
	pack_session(&b, &d->plan->controls);
	put_digest(&b, d);
	return buf_steal(&b);
}

static unsigned
uses_max(const struct delivery *d)
{
	return d->plan->controls.n[CONTROLS_MAX_MESSAGES];
}

static struct line *
find_idle(const struct delivery *d, const char *key)
{
	struct line *ln;

	for (ln = d->out->lines; ln != NULL; ln = ln->next)
		if (ln->user == NULL && !ln->spent && ln->uses < uses_max(d) && ln->contact.io != NULL &&
		    strcmp(ln->key, key) == 0)
			return ln;
	return NULL;
}

/* ---- a delivery ---- */

static void try_next(struct delivery *);

/* What is no matter of trust, and may differ from one message to the next. */
static void
behave_as(struct contact *c, const struct controls *controls)
{
	c->client.conf.chunking = controls->n[CONTROLS_CHUNKING] != 0 ? SMTP_CHUNK_SIZE : 0;
	c->conf.times = (struct contact_times){ .connect = controls->n[CONTROLS_CONNECT_TIME],
		.command = controls->n[CONTROLS_COMMAND_TIME], .data = controls->n[CONTROLS_DATA_TIME],
		.end = controls->n[CONTROLS_END_TIME] };
}

static void
start_transaction(struct delivery *d, struct line *ln)
{
	size_t i, n = 0;

	free(d->send);
	free(d->send_index);
	free(d->send_params);
	d->send = xcalloc(d->nrcpts, sizeof *d->send);
	d->send_params = xcalloc(d->nrcpts, sizeof *d->send_params);
	d->send_index = xcalloc(d->nrcpts, sizeof *d->send_index);
	for (i = 0; i < d->nrcpts; i++)
		if (!d->rcpt[i].settled) {
			d->send[n] = d->rcpt[i].address;
			d->send_params[n] = d->rcpt[i].params;
			d->send_index[n++] = i;
		}
	d->at = 0;
	d->head_sent = 0;
	d->crc_so_far = 0;
	behave_as(&ln->contact, &d->plan->controls);
	d->order = (struct smtp_transaction){ .from = d->from, .rcpt = d->send, .nrcpts = n,
		.size = d->size + (d->head != NULL ? strlen(d->head) : 0), .has8bit = d->has8bit, .params = d->params,
		.rcpt_params = d->send_params };
	/* Where no level is asked for, neither is REQUIRETLS: policy's by_socket(). */
	if (ln->contact.target.host->host->path != NULL)
		d->order.params.requiretls = 0;
	ln->uses++;
	contact_send(&ln->contact, &d->order);
}

/* Is there another address to try behind this one? */
static int
may_go_on(const struct delivery *d)
{
	const struct plan *p = &d->plan->plan;
	size_t i;

	if (d->tries >= OUT_TRIES_MAX || clock_passed() - d->began > OUT_TRIES_S)
		return 0;
	if (d->addr + 1 < p->host[d->host].host->naddr)
		return 1;
	for (i = d->host + 1; i < p->nhost; i++)
		if (p->host[i].act == PLAN_TRY && p->host[i].host->naddr > 0)
			return 1;
	return 0;
}

/*
 * Why a recipient is not settled yet: before a reply the host, and nothing before that (bounce.c takes it
 * apart); before our own words the status that goes with them.
 */
static void __attribute__((format(printf, 3, 4)))
reason(struct delivery *d, const char *soft, const char *format, ...)
{
	va_list ap;

	snprintf(d->soft, sizeof d->soft, "%s", soft);
	free(d->reason);
	va_start(ap, format);
	d->reason = xvasprintf(format, ap);
	va_end(ap);
}

/* Which host, and at which address: "mx.example[192.0.2.1]". */
static char *
who(const struct contact *c)
{
	const char *name = c->target.host->host->name;
	char addr[INET6_ADDRSTRLEN];

	facts_addr_text(c->target.addr, addr);
	return strcmp(name, addr) == 0 ? xstrdup(name) : xasprintf("%s[%s]", name, addr);
}

/* What was said by whom, or, where that is our own, the status that goes with it before that. */
static char *
said(const struct contact *c, const struct smtp_rcpt *r)
{
	char status[SMTP_STATUS_MAX], *host = who(c), *text;

	if (r->code != 0 || r->status.class == 0)
		text = xasprintf("%s: %s", host, r->text);
	else
		text = xasprintf("%s %s: %s", smtp_status_text(status, &r->status), host, r->text);
	free(host);
	return text;
}

/* RFC 3463, of a session that did not come about, with the status of the peer's own reply where one ended it. */
static const char *
soft_status(const struct contact *c, char dst[SMTP_STATUS_MAX])
{
	static const char *const of_end[] = {
		[SEEN_READY] = "4.7.5",			/* but the plan asks for more than was shown */
		[SEEN_NO_CONNECTION] = "4.4.1",
		[SEEN_TEMPORARY] = "4.4.2",
		[SEEN_REFUSED] = "4.3.2",
		[SEEN_NO_STARTTLS] = "4.7.4",
		[SEEN_STARTTLS_REFUSED] = "4.7.4",
		[SEEN_INJECTION] = "4.7.5",
		[SEEN_HANDSHAKE_FAILED] = "4.7.5",
		[SEEN_PROTOCOL] = "4.5.0",
	};
	struct smtp_status status = c->client.last.status;
	enum smtp_end end = c->client.end;
	int replied = end == SMTP_END_BANNER_TEMP || end == SMTP_END_BANNER_PERM || end == SMTP_END_421 ||
	    end == SMTP_END_EHLO_REFUSED;

	if (replied && status.class != 0 && (c->seen.end == SEEN_TEMPORARY || c->seen.end == SEEN_REFUSED)) {
		status.class = 4;
		return smtp_status_text(dst, &status);
	}
	return of_end[c->seen.end];
}

/*
 * RFC 3461 5.2.2: where the next host sends no receipts, we say that it took the message; by LMTP (RFC 2033)
 * that is its delivery (5.2.1).
 */
static enum spool_rcpt_state
taken(const struct delivery *d, const struct line *ln, size_t i)
{
	const struct smtp_client *c = &ln->contact.client;
	int asked = (d->rcpt[i].params.notify & SMTP_NOTIFY_SUCCESS) && d->from[0] != '\0';

	if (!asked || c->txn.dsn)
		return SPOOL_RCPT_DELIVERED;
	return c->conf.lmtp ? SPOOL_RCPT_ARRIVED : SPOOL_RCPT_RELAYED;
}

/* 1: the recipient is left for the next host (RFC 5321 5.1: its answer was but temporary). */
static int
take_result(struct delivery *d, struct line *ln, const struct smtp_rcpt *r, size_t i, int go_on)
{
	enum spool_rcpt_state state = r->state == SMTP_RCPT_ACCEPTED ? taken(d, ln, i) :
	    r->state == SMTP_RCPT_PERM ? SPOOL_RCPT_FAILED : SPOOL_RCPT_DEFERRED;
	char *text = said(&ln->contact, r);

	if (r->state == SMTP_RCPT_TEMP && go_on) {
		reason(d, "", "%s", text);
		d->may_do = 1;
		free(text);
		return 1;
	}
	settle(d, i, state, text);
	free(text);
	return 0;
}

/* How many recipients are left for the next address. */
static size_t
take_results(struct delivery *d, struct line *ln, int go_on)
{
	const struct smtp_txn *txn = &ln->contact.client.txn;
	size_t i, left = 0;

	if (txn->rcpt == NULL)
		return 0;
	for (i = 0; i < d->order.nrcpts; i++) {
		log_recipient(d, &ln->contact, &txn->rcpt[i], d->send[i]);
		left += take_result(d, ln, &txn->rcpt[i], d->send_index[i], go_on);
	}
	return left;
}

/* One that is used for several domains is a session of each. */
static void
count_session(struct line *ln)
{
	const struct delivery *d = ln->user;

	if (ln->told != NULL && strcmp(ln->told, d->plan->facts->domain) == 0)
		return;
	free(ln->told);
	ln->told = xstrdup(d->plan->facts->domain);
	tell_session(ln->out->queue, d->seq, d->plan, d->host, d->addr, &ln->contact);
}

static void
on_ready(struct contact *c, void *arg)
{
	struct line *ln = arg;

	log_host(ln->user, c, "connected", LOG_LEVEL_INFO);
	tell_contact(ln->user, c);
	keep_sessions(ln);
	count_session(ln);
	start_transaction(ln->user, ln);
}

/* Nobody may take half of a message, or one that is not what came in. */
static void
break_off(struct line *ln, const char *why, const char *outcome)
{
	struct delivery *d = ln->user;
	struct fail f = FAIL_INIT;

	fail(&f, FAIL_SYS, "the message cannot be read: %s", why);
	smtp_client_lost(&ln->contact.client, &f);
	take_results(d, ln, 0);
	io_abort(ln->contact.io);
	ln->contact.io = NULL;
	free_later(ln);
	finished_as(d, outcome);
}

static void
end_body(struct line *ln)
{
	if (ln->user->crc_so_far == ln->user->crc)
		contact_body_end(&ln->contact);
	else
		break_off(ln, "it does not agree with its checksum", "damaged");
}

/* The last piece goes with the final dot: most messages are one piece, and cost one packet train. */
static void
on_body(struct contact *c, void *arg)
{
	struct line *ln = arg;
	struct delivery *d = ln->user;
	static char piece[OUT_PIECE];
	size_t want = d->size - d->at < sizeof piece ? d->size - d->at : sizeof piece;
	ssize_t n = 0;

	if (d->head != NULL && !d->head_sent) {
		d->head_sent = 1;
		contact_body(c, d->head, strlen(d->head));
	}
	if (want > 0 && (n = pread(d->fd, piece, want, (off_t)(d->offset + d->at))) <= 0) {
		break_off(ln, n == -1 ? strerror(errno) : "it is short", n == -1 ? "nothing" : "damaged");
		return;
	}
	if (n > 0) {
		d->at += n;
		d->crc_so_far = spool_crc(d->crc_so_far, piece, n);
		contact_body(c, piece, n);
	}
	if (d->at == d->size)
		end_body(ln);
}

static void
on_result(struct contact *c, void *arg)
{
	struct line *ln = arg;
	struct delivery *d = ln->user;
	struct timeval tv = { OUT_IDLE_MS / 1000, OUT_IDLE_MS % 1000 * 1000 };
	size_t left;

	(void)c;
	/* An idle connection on which the server began to talk. */
	if (d == NULL)
		return;
	keep_sessions(ln);
	left = take_results(d, ln, may_go_on(d));
	d->worked = d->host_worked = 1;
	ln->user = NULL;
	if (ln->uses >= uses_max(d) || ln->out->stopping)
		free_later(ln);
	else if (event_add(ln->idle, &tv) == -1)
		alloc_failed();
	if (left == 0) {
		finished(d);
		return;
	}
	d->addr++;
	try_next(d);
}

/* It was ready, and ended in the middle: what was not decided goes to the next address. */
static void
broke_off(struct delivery *d, struct line *ln)
{
	size_t left = take_results(d, ln, may_go_on(d));

	free_later(ln);
	d->broke = d->host_broke = 1;
	if (left == 0) {
		finished(d);
		return;
	}
	d->addr++;
	try_next(d);
}

/* Its addresses may be others by now, its keys and TLSA records, or the domain's policy. */
static void
doubt(struct delivery *d)
{
	struct buf b = BUF_INIT;

	if (d->doubted)
		return;
	d->doubted = 1;
	table_put(&b, "doubt", d->seq, (char *)NULL);
	tell(d->out, &b);
}

/* No session, or the plan does not let mail through it, or it broke off in the middle. */
static void
on_ended(struct contact *c, void *arg)
{
	struct line *ln = arg;
	struct delivery *d = ln->user;
	char soft[SMTP_STATUS_MAX];

	if (d == NULL) {
		free_later(ln);
		return;
	}
	/* A server may close a connection that waited: that says nothing of the host. */
	if (c->was_ready && ln->uses > 1 &&
	    c->client.txn.mail.code == 0 && c->client.stage_at_end <= SMTP_STAGE_MAIL) {
		free_later(ln);
		try_next(d);
		return;
	}
	if (c->was_ready) {
		broke_off(d, ln);
		return;
	}
	/* The chain is that of an earlier handshake: another may hold a newer one. */
	if (c->tls.resumed && !d->in_full) {
		tickets_forget(ln->out->tickets, ln->key);
		d->in_full = 1;
		free_later(ln);
		try_next(d);
		return;
	}
	/* TLS that is required and not to be had has a verb of its own: somebody has to do something about it. */
	if (contact_trouble_is_tls(contact_trouble(c)))
		log_host(d, c, "tls-unusable", LOG_LEVEL_WARN);
	else
		log_host(d, c, "not-delivered", LOG_LEVEL_WARN);
	tell_contact(d, c);
	tell_session(d->out->queue, d->seq, d->plan, d->host, d->addr, c);
	reason(d, soft_status(c, soft), "%s: %s [%s]", c->target.host->host->name, c->verdict.why, c->verdict.rule);
	doubt(d);
	if (c->verdict.status != NULL)
		d->status = c->verdict.status;
	else
		d->may_do = 1;
	d->broke = 1;
	/* What the plan forbids is between it and this domain. */
	d->host_broke |= c->verdict.word == VERDICT_INCONCLUSIVE;
	free_later(ln);
	d->addr++;
	try_next(d);
}

static const struct contact_handlers handlers = { .ready = on_ready, .body = on_body,
	.result = on_result, .ended = on_ended };

/* A connection to this address that waits and asks something else of the host: its place is needed. */
static void
quit_idle(struct out *o, const struct sockaddr_storage *ss)
{
	struct sockaddr_storage other;
	struct line *ln;

	for (ln = o->lines; ln != NULL; ln = ln->next) {
		if (ln->user != NULL || ln->spent || ln->contact.target.host->host->path != NULL)
			continue;
		facts_sockaddr(ln->contact.target.addr, ln->contact.target.port, &other);
		if (memcmp(ss, &other, sizeof other) == 0) {
			free_later(ln);
			return;
		}
	}
}

static const struct contact_identity *
find_identity(const struct out *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->start->nidentities; i++)
		if (strcmp(o->start->identity[i].name, name) == 0)
			return &o->start->identity[i].id;
	return NULL;
}

static void
make_room(struct delivery *d, const struct facts_host *fh)
{
	struct sockaddr_storage ss;

	if (fh->path != NULL)
		return;
	facts_sockaddr(&fh->addr[d->addr], facts_port(fh, d->port), &ss);
	quit_idle(d->out, &ss);
}

/* fd: a socket that the master connected; -1: none. */
static void
connect_line(struct delivery *d, char *key, int fd)
{
	struct out *o = d->out;
	struct line *ln = xcalloc(1, sizeof *ln);
	struct contact_conf conf = { .base = o->role.base, .tls = o->start->tls,
		.tls_strict = o->start->tls_strict, .trust = o->start->trust, .ehlo = o->start->conf->hostname };
	const struct facts_host *fh = &d->plan->facts->host[d->host];
	struct contact_target target = { .port = facts_port(fh, d->port), .user = d->name, .password = d->password };
	struct fail f = FAIL_INIT;
	SSL_SESSION *session;

	make_room(d, fh);
	ln->out = o;
	ln->user = d;
	ln->key = key;
	session = d->in_full ? NULL : tickets_take(o->tickets, key, clock_now(), &ln->shaken);
	/* A copy of its own: it unpacked once, so it does again. */
	if ((ln->plan = unpack_plan(d->plan_text.p, d->plan_text.len, &f)) == NULL ||
	    (ln->idle = evtimer_new(o->role.base, on_idle, ln)) == NULL)
		alloc_failed();
	ln->next = o->lines;
	ln->back = &o->lines;
	if (ln->next != NULL)
		ln->next->back = &ln->next;
	o->lines = ln;
	target.host = &ln->plan->plan.host[d->host];
	target.facts = ln->plan->facts;
	target.addr = &ln->plan->facts->host[d->host].addr[d->addr];
	conf.session = session;
	conf.tls_arg = ln;
	target.source = controls_bind0(&ln->plan->controls, target.addr);
	if (ln->plan->controls.cert != NULL)
		target.identity = find_identity(o, ln->plan->controls.cert);
	conf.times.connect = d->plan->controls.n[CONTROLS_CONNECT_TIME];
	conf.times.command = d->plan->controls.n[CONTROLS_COMMAND_TIME];
	contact_start_on(&ln->contact, &conf, &target, &handlers, ln, fd);
	SSL_SESSION_free(session);
}

static void
note_trouble(struct delivery *d, const char *status, const char *rule, const char *why)
{
	const char *host = d->plan->facts->host[d->host].name;
	struct log_line l;

	log_event(&l, LOG_LEVEL_WARN, d->id, "not-delivered");
	log_key(&l, "domain", d->plan->facts->domain);
	log_key(&l, "host", host);
	log_key(&l, "rule", rule);
	log_key(&l, "reason", why);
	log_send(&l);
	reason(d, status, "%s: %s [%s]", host, why, rule);
	d->may_do = 1;
}

/* ---- unix sockets, to which the master connects ---- */

static void
stop_waiting(struct delivery *d)
{
	struct delivery **at = &d->out->waiting;

	while (*at != d)
		at = &(*at)->waits;
	*at = d->waits;
	event_del(d->patience);
}

static void
no_socket(struct delivery *d, const char *why)
{
	stop_waiting(d);
	note_trouble(d, "4.4.1", "local", why);
	d->broke = d->host_broke = 1;
	d->addr++;
	try_next(d);
}

static void
on_no_answer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	no_socket(arg, "the master did not connect to the socket in time");
}

static void
ask_for_socket(struct delivery *d, const char *path)
{
	struct timeval tv = { OUT_SOCKET_S, 0 };
	struct buf b = BUF_INIT;

	if (d->patience == NULL && (d->patience = evtimer_new(d->out->role.base, on_no_answer, d)) == NULL)
		alloc_failed();
	if (event_add(d->patience, &tv) == -1)
		alloc_failed();
	d->waits = d->out->waiting;
	d->out->waiting = d;
	table_put(&b, "socket", d->seq, path, (char *)NULL);
	channel_send(d->out->role.master, b.p, b.len, -1);
	buf_clear(&b);
}

/* socket SEQ [WHY] +fd */
static void
take_socket(struct out *o, const struct order *r)
{
	struct delivery *d;

	for (d = o->waiting; d != NULL && strcmp(d->seq, r->v[1]) != 0; d = d->waits)
		;
	if (d == NULL) {
		if (r->fd != -1)
			close(r->fd);
		return;
	}
	if (r->fd == -1) {
		no_socket(d, r->n > 2 ? r->v[2] : "no connection");
		return;
	}
	stop_waiting(d);
	connect_line(d, key_of(d), r->fd);
}

static void
note_skip(struct delivery *d, const struct plan_host *h)
{
	struct tried t = { .host = d->host, .address = "",
		.word = h->act == PLAN_SKIP ? VERDICT_SKIP : VERDICT_INCONCLUSIVE, .rule = h->rule, .why = h->why };

	tell_tried(d, &t);
	tell_session(d->out->queue, d->seq, d->plan, d->host, 0, NULL);
	note_trouble(d, h->need == PLAN_MAY ? "4.4.4" : "4.7.5", h->rule, h->why);
}

/* Its place at the one host is free, and taken at the next. */
static void
move_on(struct delivery *d)
{
	struct buf b = BUF_INIT;
	char host[24];

	d->host++;
	d->addr = 0;
	snprintf(host, sizeof host, "%zu", d->host);
	table_put(&b, "moved", d->seq, host, d->host_worked ? "worked" :
	    d->host_broke ? "broke" : "nothing", (char *)NULL);
	tell(d->out, &b);
	d->host_worked = d->host_broke = 0;
}

/* A plan of a configuration that is newer than this process may name what it was not born with. */
static void
begin_connection(struct delivery *d, char *key)
{
	const struct controls *controls = &d->plan->controls;
	const char *path = d->plan->facts->host[d->host].path;

	if (controls->cert != NULL && find_identity(d->out, controls->cert) == NULL) {
		note_trouble(d, "4.7.5", "local", "its certificate was not loaded yet");
		free(key);
		finished(d);
	} else if (path != NULL) {
		free(key);
		ask_for_socket(d, path);
	} else
		connect_line(d, key, -1);
}

/* The next address that the plan allows, in the order of preference (RFC 5321 5.1). */
static void
try_next(struct delivery *d)
{
	const struct plan *p = &d->plan->plan;

	for (; d->host < p->nhost; move_on(d)) {
		const struct plan_host *h = &p->host[d->host];
		struct line *ln;
		char *key;

		if (h->act != PLAN_TRY) {
			note_skip(d, h);
			continue;
		}
		if (d->addr >= h->host->naddr)
			continue;
		/* One domain must not hold its place for hours. */
		if (++d->tries > OUT_TRIES_MAX || clock_passed() - d->began > OUT_TRIES_S) {
			d->may_do = 1;
			break;
		}
		key = key_of(d);
		if ((ln = find_idle(d, key)) == NULL) {
			begin_connection(d, key);
			return;
		}
		free(key);
		event_del(ln->idle);
		ln->user = d;
		count_session(ln);
		start_transaction(d, ln);
		return;
	}
	finished(d);
}

/* ---- orders ---- */

static int
take_rcpt(void *ctx, const struct table_line *l, struct fail *f)
{
	struct delivery *d = ctx;
	struct smtp_params_fault fault;
	struct recipient *r;

	if (strlen(l->v[0]) >= sizeof r->index || strlen(l->v[2]) >= sizeof r->proof)
		return fail(f, FAIL_INPUT, "an index or a proof");
	d->rcpt = xreallocarray(d->rcpt, d->nrcpts + 1, sizeof *d->rcpt);
	r = &d->rcpt[d->nrcpts++];
	memset(r, 0, sizeof *r);
	snprintf(r->index, sizeof r->index, "%s", l->v[0]);
	r->address = xstrdup(l->v[1]);
	snprintf(r->proof, sizeof r->proof, "%s", l->v[2]);
	/* What is not understood is not handed on: its file may have been written by others. */
	if (l->n == 4 && smtp_rcpt_params_parse(&r->params, l->v[3], ~0U, 1, &fault) == -1)
		memset(&r->params, 0, sizeof r->params);
	return 0;
}

static int
take_mail(void *ctx, const struct table_line *l, struct fail *f)
{
	struct delivery *d = ctx;
	struct smtp_params_fault fault;

	(void)f;
	if (smtp_mail_params_parse(&d->params, l->v[0], ~0U, &fault) == 0)
		return 0;
	/* Its file may have been written by others.  Of what it may have asked, nothing is forgotten that protects. */
	memset(&d->params, 0, sizeof d->params);
	d->params.requiretls = 1;
	return 0;
}

static int
take_head(void *ctx, const struct table_line *l, struct fail *f)
{
	struct delivery *d = ctx;

	(void)f;
	d->head = xstrdup(l->v[0]);
	return 0;
}

static int
take_password(void *ctx, const struct table_line *l, struct fail *f)
{
	struct delivery *d = ctx;

	(void)f;
	d->name = xstrdup(l->v[0]);
	d->password = xstrdup(l->v[1]);
	return 0;
}

static int
number_of(const char *word, long long hi, long long *n, struct fail *f)
{
	return text_number(word, 0, hi, "an order", n, f);
}

/* deliver SEQ ID PORT OFFSET SIZE CRC 8BIT HOST FROM +fd, mail, rcpt and password lines, the plan's lines */
static int
read_order(struct delivery *d, struct order *o, struct fail *f)
{
	static const struct table_row rows[] = { { "rcpt", 3, 4, 0, take_rcpt },
		{ "mail", 1, 1, TABLE_ONCE, take_mail }, { "password", 2, 2, TABLE_ONCE, take_password },
		{ "head", 1, 1, TABLE_ONCE, take_head } };
	long long port, offset, size, crc, has8bit, host;
	char *plan = strstr(o->more, "\nplan ");

	if (o->n != 10 || o->fd == -1 || strlen(o->v[1]) >= sizeof d->seq || plan == NULL ||
	    !spool_id_valid(o->v[2]) || number_of(o->v[3], 65535, &port, f) == -1 ||
	    number_of(o->v[4], SPOOL_SIZE_MAX, &offset, f) == -1 ||
	    number_of(o->v[5], SPOOL_SIZE_MAX, &size, f) == -1 ||
	    number_of(o->v[6], UINT32_MAX, &crc, f) == -1 || number_of(o->v[7], 1, &has8bit, f) == -1 ||
	    number_of(o->v[8], FACTS_HOSTS_MAX, &host, f) == -1)
		return fail(f, FAIL_SYS, "an order from the queue makes no sense");
	snprintf(d->seq, sizeof d->seq, "%s", o->v[1]);
	snprintf(d->id, sizeof d->id, "%s", o->v[2]);
	d->fd = o->fd;
	d->port = port;
	d->offset = offset;
	d->size = size;
	d->crc = crc;
	d->has8bit = has8bit;
	d->host = host;
	/* Those before it are left alone for now. */
	d->may_do = host > 0;
	d->from = xstrdup(o->v[9]);
	/* Recipients stand before the plan.  Only behind a line's end is it that: an address may end in "plan". */
	plan++;
	if (table_parse("order", o->more, plan - o->more, rows, 4, d, NULL, NULL) > 0 || d->nrcpts == 0)
		return fail(f, FAIL_SYS, "an order from the queue names no recipients");
	buf_add(&d->plan_text, plan, o->more_len - (plan - o->more));
	if ((d->plan = unpack_plan(d->plan_text.p, d->plan_text.len, f)) == NULL)
		return -1;
	if ((d->plan->controls.credentials != NULL) != (d->password != NULL))
		return fail(f, FAIL_SYS, "an order from the queue lacks a password, or has one");
	return 0;
}

/* journal +fd: from here on; the answer stands behind all results that are in the one before. */
static void
take_journal(struct out *o, int fd)
{
	struct buf b = BUF_INIT;

	if (o->journal.fd != -1)
		close(o->journal.fd);
	o->journal = (struct journal_pen){ .fd = fd };
	table_put(&b, "switched", (char *)NULL);
	tell(o, &b);
}

/* No more orders come: what is under way is the last. */
static void
finish_off(struct out *o)
{
	if (o->stopping)
		return;
	o->stopping = 1;
	if (o->deliveries == 0)
		end(o);
}

static void
on_record(void *arg, struct order *o)
{
	struct out *out = arg;
	struct delivery *d;
	struct fail f = FAIL_INIT;

	if (o->n == 1 && strcmp(o->v[0], "journal") == 0 && o->fd != -1) {
		take_journal(out, o->fd);
		return;
	}
	if (o->n == 1 && strcmp(o->v[0], "retire") == 0) {
		finish_off(out);
		return;
	}
	d = xcalloc(1, sizeof *d);
	d->out = out;
	d->fd = -1;
	d->began = clock_passed();
	out->deliveries++;
	if (strcmp(o->v[0], "deliver") != 0 || o->n < 3)
		fail(&f, FAIL_SYS, "a record from the queue makes no sense");
	else if (read_order(d, o, &f) == 0)
		f.kind = FAIL_NONE;
	if (f.kind != FAIL_NONE && d->seq[0] == '\0')
		role_fail(&f);
	/* The record is used again for the next: a password must not stand in it until then. */
	if (d->password != NULL)
		explicit_bzero(o->text, sizeof o->text);
	if (f.kind == FAIL_NONE) {
		try_next(d);
		return;
	}
	/* What is in a message must not take the deliveries of others with it. */
	role_log_fault(d->out->start->role.name, d->id, f.text);
	finished_as(d, "nothing");
}

static void
on_gone(void *arg, const struct fail *f)
{
	(void)arg;
	role_fail(f);
}

static const struct channel_handlers queue_handlers = { .record = on_record, .gone = on_gone };

static void
log_waiting(const struct out *o)
{
	struct log_line l;

	log_event(&l, LOG_LEVEL_INFO, o->start->role.name, "finishing");
	log_key_num(&l, "deliveries", (int64_t)o->deliveries);
	log_key_num(&l, "at-most", MASTER_STOP_S);
	log_send(&l);
}

static void
on_stop(void *arg)
{
	struct out *o = arg;

	if (o->stopping)
		return;
	finish_off(o);
	log_waiting(o);
}

/* Another with the lists of CAs of now takes over; queue says when nothing more is on its way. */
static void
on_master_record(void *arg, struct order *r)
{
	struct out *o = arg;

	if (strcmp(r->v[0], "socket") == 0 && r->n >= 2) {
		take_socket(o, r);
		return;
	}
	if (r->fd != -1)
		close(r->fd);
	if (strcmp(r->v[0], "retire") == 0)
		channel_send(o->queue, "retire", 6, -1);
}

void
out_main(const struct out_start *start)
{
	static struct out o;

	o.start = start;
	o.journal.fd = -1;
	o.role.stop = on_stop;
	o.role.record = on_master_record;
	o.role.arg = &o;
	role_begin(&o.role, &start->role);
	channel_gather(o.role.master);
	role_drop(&start->role);
	begin_sessions(&o);
	o.queue = channel_new(o.role.base, start->queue, &queue_handlers, &o);
	channel_gather(o.queue);
	role_ready(&o.role);
	event_base_dispatch(o.role.base);
	role_end(&o.role);
}
