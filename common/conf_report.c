#include "conf_report.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "conf.h"
#include "mailbox.h"
#include "name.h"

const char *
conf_tlsrpt_domain(const struct conf_tlsrpt *t)
{
	return strrchr(t->from, '@') + 1;
}

/* ---- tlsrpt ---- */

/* Mail from it must be one that a domain can sign for.  The caller frees. */
static char *
take_address(const char *word, const char *what, struct fail *f)
{
	char *path = xasprintf("<%s>", word);
	struct buf b = BUF_INIT;
	struct mailbox m;
	size_t used;
	int good = mailbox_parse(&m, path, strlen(path), 0, &used, NULL) == 0 && used == strlen(path) &&
	    m.local[0] != '\0' && name_is_host(m.domain, 0);

	free(path);
	if (!good) {
		fail(f, FAIL_INPUT, "%s: expected user@domain, not \"%.200s\"", what, word);
		return NULL;
	}
	text_lower(m.domain);
	mailbox_print(&b, &m);
	return buf_steal(&b);
}

static int
take_delay(struct conf_tlsrpt *t, const char *word, struct fail *f)
{
	long long n;

	if (text_duration(word, "tlsrpt: delay", &n, f) == -1)
		return -1;
	if (n > CONF_TLSRPT_DELAY_MAX)
		return fail(f, FAIL_INPUT, "tlsrpt: delay: expected 0s to 12h");
	t->delay = n;
	return 0;
}

static int
take_option(struct conf_tlsrpt *t, const char *key, const char *value, struct fail *f)
{
	if (strcmp(key, "delay") == 0)
		return take_delay(t, value, f);
	if (strcmp(key, "contact") == 0) {
		free(t->contact);
		return (t->contact = take_address(value, "tlsrpt: contact", f)) == NULL ? -1 : 0;
	}
	if (strcmp(key, "organization") != 0)
		return fail(f, FAIL_INPUT, "tlsrpt: expected organization, contact or delay, not \"%.64s\"", key);
	if (value[0] == '\0' || strlen(value) > 200 || text_utf8_chars(value) == -1)
		return fail(f, FAIL_INPUT, "tlsrpt: organization: expected a name of at most 200 octets");
	free(t->organization);
	t->organization = xstrdup(value);
	return 0;
}

/* tlsrpt FROM [organization NAME] [contact ADDRESS] [delay TIME] */
int
conf_set_tlsrpt(void *ctx, const struct table_line *l, struct fail *f)
{
	struct conf_tlsrpt *t = &((struct conf *)ctx)->tlsrpt;
	size_t i;

	t->delay = CONF_TLSRPT_DELAY;
	if ((t->from = take_address(l->v[0], "tlsrpt", f)) == NULL)
		return -1;
	for (i = 1; i < l->n; i += 2) {
		if (i + 1 == l->n)
			return fail(f, FAIL_INPUT, "tlsrpt: no value behind \"%.64s\"", l->v[i]);
		if (take_option(t, l->v[i], l->v[i + 1], f) == -1)
			return -1;
	}
	if (t->organization == NULL)
		t->organization = xstrdup(conf_tlsrpt_domain(t));
	if (t->contact == NULL)
		t->contact = xstrdup(t->from);
	return 0;
}

/* ---- dkim ---- */

static size_t
count_lines(const struct conf *c, const char *domain)
{
	size_t i, n = 0;

	for (i = 0; i < c->ndkim; i++)
		n += strcmp(c->dkim[i].domain, domain) == 0;
	return n;
}

static int
check_line(const struct conf *c, const struct conf_dkim *d, struct fail *f)
{
	size_t i;

	for (i = 0; i < c->ndkim; i++)
		if (strcmp(c->dkim[i].domain, d->domain) == 0 && strcmp(c->dkim[i].selector, d->selector) == 0)
			return fail(f, FAIL_INPUT, "dkim: a second line for selector %.64s of %.200s", d->selector, d->domain);
	if (c->ndkim == CONF_DKIM_MAX || count_lines(c, d->domain) == CONF_DKIM_EACH)
		return fail(f, FAIL_INPUT, "dkim: more than %d lines, or %d of %.200s", CONF_DKIM_MAX, CONF_DKIM_EACH,
		    d->domain);
	return 0;
}

static char *
take_name(const char *word, const char *what, struct fail *f)
{
	char *ascii = name_to_ascii(word, f);

	if (ascii != NULL && name_is_host(ascii, NAME_UNDERSCORE))
		return ascii;
	free(ascii);
	fail(f, FAIL_INPUT, "dkim: expected %s, not \"%.200s\"", what, word);
	return NULL;
}

static int
take_sign(struct conf_dkim *d, const struct table_line *l, struct fail *f)
{
	static const char *const words[] = { "all", "reports" };
	int i;

	if (l->n == 3)
		return 0;
	if (strcmp(l->v[3], "sign") != 0 || l->n == 4)
		return fail(f, FAIL_INPUT, "dkim: expected sign all or sign reports behind the key");
	if ((i = text_word("dkim: sign", l->v[4], words, 2, f)) == -1)
		return -1;
	d->reports_only = i;
	return 0;
}

/* dkim DOMAIN SELECTOR KEY [sign all|reports] */
int
conf_set_dkim(void *ctx, const struct table_line *l, struct fail *f)
{
	struct conf *c = ctx;
	struct conf_dkim d = { .domain = NULL };

	if ((d.domain = take_name(l->v[0], "a domain", f)) != NULL &&
	    (d.selector = take_name(l->v[1], "a selector", f)) != NULL && take_sign(&d, l, f) == 0 &&
	    check_line(c, &d, f) == 0) {
		d.key = xstrdup(l->v[2]);
		c->dkim = xreallocarray(c->dkim, c->ndkim + 1, sizeof *c->dkim);
		c->dkim[c->ndkim++] = d;
		return 0;
	}
	free(d.domain);
	free(d.selector);
	return -1;
}

size_t
conf_dkim_find(const struct conf *c, const char *domain, int report, const struct conf_dkim *found[CONF_DKIM_EACH])
{
	size_t i, n = 0;

	for (i = 0; i < c->ndkim && n < CONF_DKIM_EACH; i++)
		if (text_case_eq(c->dkim[i].domain, domain) && (report || !c->dkim[i].reports_only))
			found[n++] = &c->dkim[i];
	return n;
}

/* ---- the summary ---- */

void
conf_report_print(struct buf *b, const struct conf *c)
{
	const struct conf_tlsrpt *t = &c->tlsrpt;
	char delay[TEXT_PERIOD_MAX];
	size_t i;

	if (t->from != NULL) {
		buf_printf(b, "reports on TLS from %s (", t->from);
		buf_escape(b, t->organization, strlen(t->organization));
		buf_printf(b, "), contact %s, within %s after midnight UTC\n", t->contact,
		    text_period(delay, t->delay));
	}
	for (i = 0; i < c->ndkim; i++) {
		const struct conf_dkim *d = &c->dkim[i];

		buf_printf(b, "DKIM: %s from %s is signed with selector %s, key ",
		    d->reports_only ? "reports" : "mail", d->domain, d->selector);
		buf_escape(b, d->key, strlen(d->key));
		buf_puts(b, "\n");
	}
}

/* RFC 8460 3: "Reports lacking such a signature MUST be ignored by the recipient." */
size_t
conf_report_warnings(struct buf *b, const struct conf *c)
{
	const struct conf_dkim *found[CONF_DKIM_EACH];

	if (c->tlsrpt.from == NULL || conf_dkim_find(c, conf_tlsrpt_domain(&c->tlsrpt), 1, found) > 0)
		return 0;
	buf_printf(b, "tlsrpt: reports by mail will be ignored: no dkim line for %s, so they are not signed\n",
	    conf_tlsrpt_domain(&c->tlsrpt));
	return 1;
}

void
conf_report_clear(struct conf *c)
{
	size_t i;

	for (i = 0; i < c->ndkim; i++) {
		free(c->dkim[i].domain);
		free(c->dkim[i].selector);
		free(c->dkim[i].key);
	}
	free(c->dkim);
	free(c->tlsrpt.from);
	free(c->tlsrpt.organization);
	free(c->tlsrpt.contact);
}
