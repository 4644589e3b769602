#include "bounce.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "dsn.h"
#include "smtp.h"
#include "smtp_params.h"
#include "text.h"

/* The enhanced status in "550 5.1.1 text" or "5.1.1 text"; a general one of the class where there is none. */
static void
status_of(const char *said, char class, char dst[16])
{
	const char *p = said != NULL ? said : "";
	struct smtp_status status;
	char text[SMTP_STATUS_MAX];

	if (strlen(p) > 4 && p[3] == ' ' && strspn(p, "0123456789") == 3)
		p += 4;
	/* Of what it is told as, whatever the code: 552 to RCPT is put off. */
	if (smtp_status_parse(p, strlen(p), (p[0] - '0') * 100, &status) > 0) {
		status.class = class - '0';
		snprintf(dst, 16, "%s", smtp_status_text(text, &status));
	} else
		snprintf(dst, 16, "%c.0.0", class);
}

static int
is_reply(const char *said)
{
	return said != NULL && strlen(said) > 3 && strspn(said, "0123456789") == 3 &&
	    (said[3] == ' ' || said[3] == '-');
}

static void
rcpt_params(const struct spool_rcpt *r, struct smtp_rcpt_params *p)
{
	char *text = spool_words_text(&r->options);
	struct smtp_params_fault fault;

	if (smtp_rcpt_params_parse(p, text, ~0U, 1, &fault) == -1)
		memset(p, 0, sizeof *p);
	free(text);
}

/* "name[address]": the name; an address alone as a literal; NULL for a socket of this machine, which has no such name. */
static char *
host_of(const char *p, size_t n)
{
	const char *bracket = memchr(p, '[', n);
	char *host, *literal;

	if (n > 5 && strncmp(p, "unix:", 5) == 0)
		return NULL;
	host = xstrndup(p, bracket != NULL && bracket > p ? (size_t)(bracket - p) : n);
	if (!text_is_address(host))
		return host;
	literal = xasprintf("[%s%s]", strchr(host, ':') != NULL ? "IPv6:" : "", host);
	free(host);
	return literal;
}

/*
 * What was said of a recipient, taken apart: "HOST[ADDRESS]: 550 5.1.1 text" is a host's reply (out.c
 * writes it so, and whatever the host says stands behind it), all else our own words, with a status before them.
 */
struct said {
	char *host;		/* NULL: none */
	const char *text;	/* borrowed; NULL: none */
	int replied, expired;
	char status[16];
	char cause[16];		/* our own words' status; "": a host's, or none */
};

static void
take_apart(struct said *s, const char *said, char class)
{
	const char *colon;

	memset(s, 0, sizeof *s);
	s->text = said;
	if (said != NULL && strncmp(said, BOUNCE_EXPIRED, strlen(BOUNCE_EXPIRED)) == 0) {
		s->expired = 1;
		said = strstr(said, BOUNCE_LAST);
		s->text = said = said != NULL ? said + strlen(BOUNCE_LAST) : NULL;
	}
	colon = said != NULL ? strstr(said, ": ") : NULL;
	if (colon != NULL && colon > said && memchr(said, ' ', colon - said) == NULL && is_reply(colon + 2)) {
		s->host = host_of(said, colon - said);
		s->text = colon + 2;
	}
	s->replied = is_reply(s->text);
	if (s->text != NULL && !s->replied)
		status_of(s->text, '4', s->cause);
	if (s->expired)
		snprintf(s->status, sizeof s->status, "4.4.7");
	else
		status_of(s->text, class, s->status);
}

/* "rfc822;address", as it was before xtext; the caller frees.  NULL: not said. */
static char *
original_of(const struct spool_rcpt *r)
{
	struct smtp_rcpt_params p;

	if (r->options.n == 0)
		return NULL;
	rcpt_params(r, &p);
	return p.orcpt[0] != '\0' ? smtp_orcpt_decode(p.orcpt) : NULL;
}

static void
mail_params(const struct spool_envelope *e, struct smtp_mail_params *p)
{
	char *text = spool_words_text(&e->from_options);
	struct smtp_params_fault fault;

	if (smtp_mail_params_parse(p, text, ~0U, &fault) == -1)
		memset(p, 0, sizeof *p);
	free(text);
}

/* One of its recipients, with what goes into the report of it. */
struct told {
	struct said said;
	char *original;
};

/* -1: this kind of report does not tell of it. */
static int
action_of(const struct spool_rcpt *r, enum bounce_kind kind)
{
	switch (r->state) {
	case SPOOL_RCPT_FAILED:
		return kind != BOUNCE_LATE ? DSN_FAILED : -1;
	case SPOOL_RCPT_RELAYED:
		return kind == BOUNCE_FINAL ? DSN_RELAYED : -1;
	case SPOOL_RCPT_ARRIVED:
		return kind == BOUNCE_FINAL ? DSN_DELIVERED : -1;
	case SPOOL_RCPT_WAITING:
	case SPOOL_RCPT_DEFERRED:
		return kind == BOUNCE_LATE && notice_wants_delay(r) ? DSN_DELAYED : -1;
	default:
		return -1;
	}
}

static size_t
fill_rcpts(const struct spool_message *m, enum bounce_kind kind, int64_t until, struct dsn_rcpt *to,
    struct told *told)
{
	static const char class[] = { [DSN_FAILED] = '5', [DSN_DELAYED] = '4', [DSN_DELIVERED] = '2',
		[DSN_RELAYED] = '2' };
	size_t i, n = 0;

	for (i = 0; i < m->env.nrcpts; i++) {
		const struct spool_rcpt *r = &m->env.rcpt[i];
		int action = action_of(r, kind);

		if (action == -1)
			continue;
		take_apart(&told[n].said, r->said, class[action]);
		told[n].original = original_of(r);
		to[n] = (struct dsn_rcpt){ .address = r->address, .original = told[n].original,
			.action = (enum dsn_action)action, .status = told[n].said.status, .remote = told[n].said.host,
			.text = told[n].said.text, .replied = told[n].said.replied, .expired = told[n].said.expired,
			.cause = told[n].said.cause, .attempted = r->when, .retry_until = until };
		n++;
	}
	return n;
}

/* RFC 3461 4.3: all of it only with failures, and where that is asked; or its beginning. */
static char *
read_original(const struct spool_message *m, int full, struct dsn *d)
{
	size_t want = full ? (size_t)m->size : DSN_HEADER_MAX, n = 0;
	char *p = xmalloc(want + 1);
	ssize_t got;

	while (n < want && (got = spool_message_pread(m, p + n, want - n, (int64_t)n, NULL)) > 0)
		n += (size_t)got;
	d->header = p;
	d->header_len = n;
	d->full = full && n == want;
	return p;
}

/* "name (address)", or the address alone as a literal; NULL: nobody, it was made here, or one of this machine's unix sockets. */
static char *
client_of(const struct spool_envelope *e)
{
	if (e->client == NULL || !text_is_address(e->client))
		return NULL;
	if (e->client_name != NULL)
		return xasprintf("%s (%s)", e->client_name, e->client);
	return xasprintf("[%s%s]", strchr(e->client, ':') != NULL ? "IPv6:" : "", e->client);
}

static int
build(struct buf *b, const struct conf *c, const struct spool_message *m, enum bounce_kind kind,
    const char *id, int64_t now)
{
	struct dsn_rcpt *r = xcalloc(m->env.nrcpts, sizeof *r);
	struct told *told = xcalloc(m->env.nrcpts, sizeof *told);
	char *message_id = xasprintf("<%s@%s>", id, c->hostname), *client = client_of(&m->env);
	char *original, *envid = NULL;
	struct dsn d = { .hostname = c->hostname, .to = kind == BOUNCE_DOUBLE ? c->double_bounce_to : m->env.from,
		.message_id = message_id, .now = now, .id = m->env.id, .client = client, .arrived = m->env.arrived,
		.rcpt = r, .double_bounce = kind == BOUNCE_DOUBLE };
	struct smtp_mail_params params;
	int bits8, failed = 0;
	size_t i;

	mail_params(&m->env, &params);
	if (params.envid[0] != '\0')
		d.envid = envid = smtp_xtext_decode(params.envid);
	d.nrcpts = fill_rcpts(m, kind, m->env.arrived + notice_lifetime(&c->notice, &m->env), r, told);
	for (i = 0; i < d.nrcpts; i++)
		failed |= r[i].action == DSN_FAILED;
	original = read_original(m, kind == BOUNCE_FINAL && failed && params.ret == SMTP_RET_FULL &&
	    m->size <= c->bounce_size, &d);
	bits8 = dsn_build(b, &d);
	for (i = 0; i < d.nrcpts; i++) {
		free(told[i].original);
		free(told[i].said.host);
	}
	free(original);
	free(envid);
	free(client);
	free(message_id);
	free(told);
	free(r);
	return bits8;
}

int
bounce_write(const struct spool *s, struct spool_ids *ids, const struct conf *c, const struct spool_message *m,
    enum bounce_kind kind, int64_t now_us, char id[SPOOL_ID_SIZE], struct fail *f)
{
	struct spool_envelope env = { .from = xstrdup("") };
	const char *to = kind == BOUNCE_DOUBLE ? c->double_bounce_to : m->env.from;
	struct buf b = BUF_INIT;
	int rc, bits8;
	size_t i;

	spool_envelope_own(&env, ids, now_us);
	memcpy(id, env.id, SPOOL_ID_SIZE);
	spool_envelope_add_rcpt(&env, to);
	if (!text_is_ascii(to))
		spool_words_add(&env.from_options, "SMTPUTF8");
	/* RFC 8689 5: the header that it has in it was to be protected. */
	for (i = 0; i < m->env.from_options.n; i++)
		if (text_case_eq(m->env.from_options.v[i], "REQUIRETLS"))
			spool_words_add(&env.from_options, "REQUIRETLS");
	bits8 = build(&b, c, m, kind, id, now_us / 1000000);
	rc = spool_write(s->dir[SPOOL_NEW], &env, b.p, b.len, bits8, f);
	buf_clear(&b);
	spool_envelope_clear(&env);
	return rc;
}
