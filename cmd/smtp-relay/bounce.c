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

/* The enhanced status in "550 5.1.1 text" or "5.1.1 text"; a general one where there is none. */
static void
status_of(const char *said, char dst[16])
{
	const char *p = said != NULL ? said : "";
	struct smtp_status status;
	char text[SMTP_STATUS_MAX];

	if (strlen(p) > 4 && p[3] == ' ' && strspn(p, "0123456789") == 3)
		p += 4;
	if (smtp_status_parse(p, strlen(p), 550, &status) > 0)
		snprintf(dst, 16, "%s", smtp_status_text(text, &status));
	else
		snprintf(dst, 16, "5.0.0");
}

static int
is_reply(const char *said)
{
	return said != NULL && strlen(said) > 3 && strspn(said, "0123456789") == 3;
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

unsigned
bounce_notify(const struct spool_rcpt *r)
{
	struct smtp_rcpt_params p;

	if (r->options.n == 0)
		return 0;
	rcpt_params(r, &p);
	return p.notify;
}

/* "rfc822;address", as it was before xtext; the caller frees.  NULL: not said. */
static char *
original_of(const struct spool_rcpt *r)
{
	struct smtp_rcpt_params p;

	if (r->options.n == 0)
		return NULL;
	rcpt_params(r, &p);
	return p.orcpt[0] != '\0' ? smtp_xtext_decode(p.orcpt) : NULL;
}

/* Likewise of ENVID. */
static char *
envid_of(const struct spool_envelope *e)
{
	char *text = spool_words_text(&e->from_options), *envid = NULL;
	struct smtp_params_fault fault;
	struct smtp_mail_params p;

	if (smtp_mail_params_parse(&p, text, ~0U, &fault) == 0 && p.envid[0] != '\0')
		envid = smtp_xtext_decode(p.envid);
	free(text);
	return envid;
}

static size_t
fill_rcpts(const struct spool_message *m, struct dsn_rcpt *r, char (*status)[16], char **original)
{
	size_t i, n = 0;

	for (i = 0; i < m->env.nrcpts; i++) {
		const struct spool_rcpt *from = &m->env.rcpt[i];

		if (from->state != SPOOL_RCPT_FAILED && from->state != SPOOL_RCPT_RELAYED)
			continue;
		status_of(from->said, status[n]);
		r[n].address = from->address;
		r[n].original = original[n] = original_of(from);
		r[n].action = from->state == SPOOL_RCPT_FAILED ? DSN_FAILED : DSN_RELAYED;
		r[n].status = status[n];
		r[n].text = from->said;
		r[n].replied = is_reply(from->said);
		r[n].attempted = from->when;
		n++;
	}
	return n;
}

static char *
read_header(const struct spool_message *m, size_t *len)
{
	char *p = xmalloc(DSN_HEADER_MAX);
	ssize_t n = spool_message_pread(m, p, DSN_HEADER_MAX, 0, NULL);

	*len = n > 0 ? (size_t)n : 0;
	return p;
}

static void
build(struct buf *b, const char *hostname, const struct spool_message *m, const char *id, int64_t now)
{
	struct dsn_rcpt *r = xcalloc(m->env.nrcpts, sizeof *r);
	char(*status)[16] = xcalloc(m->env.nrcpts, sizeof *status);
	char *message_id = xasprintf("<%s@%s>", id, hostname);
	struct dsn d = { .hostname = hostname, .to = m->env.from, .message_id = message_id, .now = now,
		.id = m->env.id, .client = m->env.client, .arrived = m->env.arrived, .rcpt = r };
	char *header = read_header(m, &d.header_len), *envid = envid_of(&m->env);
	char **original = xcalloc(m->env.nrcpts, sizeof *original);
	size_t i;

	d.header = header;
	d.envid = envid;
	d.nrcpts = fill_rcpts(m, r, status, original);
	dsn_build(b, &d);
	for (i = 0; i < d.nrcpts; i++)
		free(original[i]);
	free(original);
	free(envid);
	free(header);
	free(message_id);
	free(status);
	free(r);
}

int
bounce_write(const struct spool *s, struct spool_ids *ids, const char *hostname,
    const struct spool_message *m, int64_t now_us, char id[SPOOL_ID_SIZE], struct fail *f)
{
	struct spool_envelope env = { .from = xstrdup("") };
	struct spool_writer *w;
	struct buf b = BUF_INIT;
	int rc = -1;
	size_t i;

	spool_id_next(ids, now_us, id);
	snprintf(env.id, sizeof env.id, "%s", id);
	env.arrived = spool_id_time_us(id) / 1000000;
	spool_envelope_add_rcpt(&env, m->env.from);
	if (!text_is_ascii(m->env.from))
		spool_words_add(&env.from_options, "SMTPUTF8");
	/* RFC 8689 5: the header that it has in it was to be protected. */
	for (i = 0; i < m->env.from_options.n; i++)
		if (text_case_eq(m->env.from_options.v[i], "REQUIRETLS"))
			spool_words_add(&env.from_options, "REQUIRETLS");
	build(&b, hostname, m, id, now_us / 1000000);
	if ((w = spool_writer_begin(s->dir[SPOOL_NEW], &env, f)) != NULL) {
		if (spool_writer_add(w, b.p, b.len, f) == 0)
			rc = spool_writer_finish(w, f);
		else
			spool_writer_abort(w);
	}
	buf_clear(&b);
	spool_envelope_clear(&env);
	return rc;
}
