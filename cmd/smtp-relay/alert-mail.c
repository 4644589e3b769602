#include "alert-mail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "table.h"
#include "tool.h"

#define EOL "\r\n"
#define INDENT 13	/* of what stands behind a heading */
#define PIECE 200	/* octets of a word without a space */

static const char *const what[ALERT_KINDS] = {
	[ALERT_DNSSEC] = "The DNS cannot be asked with DNSSEC",
	[ALERT_IDENTITY] = "An identity in use nears its end",
	[ALERT_DANE] = "DANE fails on all hosts",
	[ALERT_TLS] = "No host has the TLS that is required",
	[ALERT_AUTH] = "No host takes the password of a route",
};

static const char *const how[ALERT_EVENTS] = { [ALERT_RAISED] = "", [ALERT_LASTS] = "still: ",
	[ALERT_RECOVERED] = "over: " };

/* ---- commands ---- */

static int
is_plain(const char *s)
{
	return s[0] != '\0' && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-")] == '\0';
}

/* As a word for a shell, whatever is in it; an operand is never taken for an option. */
static void
put_quoted(struct buf *b, const char *word, int operand)
{
	char *shown = text_escape(word, strlen(word));
	const char *c;

	buf_puts(b, operand && word[0] == '-' ? " -- " : " ");
	if (is_plain(shown))
		buf_puts(b, shown);
	else {
		buf_putc(b, '\'');
		for (c = shown; *c != '\0'; c++)
			if (*c == '\'')
				buf_puts(b, "'\\''");
			else
				buf_putc(b, *c);
		buf_putc(b, '\'');
	}
	free(shown);
}

static void
put_option(struct buf *b, const char *option, const char *value)
{
	buf_printf(b, " %s", option);
	put_quoted(b, value, 0);
}

/* The options by which tlscheck judges as the configuration has it, and no more of them than that takes. */
static char *
by_options(const struct conf *c, const char *domain)
{
	static const struct policy standard = POLICY_DEFAULT;
	const struct conf_route *route = conf_route_to(c, domain);
	struct buf b = BUF_INIT;
	struct policy policy;
	enum policy_key key;
	char option[64];

	/* A route's host is named, and then the domain is not: the names in certificates would be others. */
	if (route != NULL)
		return NULL;
	conf_policy(c, domain, &policy);
	buf_puts(&b, "tlscheck");
	for (key = POLICY_KEY_TLS; (unsigned)key < POLICY_KEYS; key++) {
		if (key == POLICY_KEY_REQUIRETLS || (key > POLICY_KEY_STS &&
		    strcmp(policy_word(&policy, key), policy_word(&standard, key)) == 0))
			continue;
		snprintf(option, sizeof option, "--%s", key == POLICY_KEY_TLS ? "level" : policy_key_name(key));
		put_option(&b, option, policy_word(&policy, key));
	}
	if (c->mx_port != 25)
		buf_printf(&b, " --port %u", c->mx_port);
	put_quoted(&b, domain, 1);
	return buf_steal(&b);
}

static char *
by_conf(const char *conf_path, const char *domain)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "tlscheck");
	put_option(&b, "-c", conf_path);
	put_quoted(&b, domain, 1);
	return buf_steal(&b);
}

static char *
by_store(const struct conf *c, const char *name)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "certstore");
	put_option(&b, "-d", c->dir);
	buf_printf(&b, " --within %" PRId64 "d check", (c->alert.before + 86399) / 86400);
	put_quoted(&b, name, 1);
	return buf_steal(&b);
}

/* What is to go with that password, and how: of a domain that the first of its routes is for. */
static char *
by_explaining(const struct conf *c, const char *conf_path, const char *name)
{
	const struct conf_route *route = conf_route_with(c, name);
	struct buf b = BUF_INIT;
	char *address;

	if (route == NULL)
		return NULL;
	address = xasprintf("postmaster@%s%s", route->pattern[0] == '.' ? "x" : "",
	    strcmp(route->pattern, "default") == 0 ? "example.org" : route->pattern);
	buf_puts(&b, "smtp-relay");
	put_option(&b, "-c", conf_path);
	put_option(&b, "-e", address);
	free(address);
	return buf_steal(&b);
}

void
alert_said_commands(struct alert_said *s, const struct conf *c, const char *conf_path, const char *domain)
{
	switch (s->alert->kind) {
	case ALERT_DNSSEC:
		s->command = by_conf(conf_path, domain);
		break;
	case ALERT_IDENTITY:
		s->command = by_store(c, s->alert->name);
		break;
	case ALERT_DANE:
	case ALERT_TLS:
		s->command = by_conf(conf_path, s->alert->name);
		s->elsewhere = by_options(c, s->alert->name);
		break;
	case ALERT_AUTH:
		s->command = by_explaining(c, conf_path, s->alert->name);
		break;
	}
}

void
alert_said_clear(struct alert_said *s)
{
	free(s->command);
	free(s->elsewhere);
	s->command = s->elsewhere = NULL;
}

/* ---- text ---- */

/* Words in lines, each line behind the indent; the first goes where the line stands. */
static void
put_words(struct buf *b, size_t indent, const char *text)
{
	char *shown = text_escape(text, strlen(text)), *rest = shown, *word;
	size_t column = indent, n;
	int begun = 0;

	while ((word = strsep(&rest, " ")) != NULL)
		for (; (n = strlen(word)) > 0; word += n) {
			n = n < PIECE ? n : PIECE;
			if (begun && column + 1 + n > ALERT_MAIL_LINE) {
				buf_printf(b, EOL "%*s", (int)indent, "");
				column = indent;
			} else if (begun) {
				buf_putc(b, ' ');
				column++;
			}
			buf_add(b, word, n);
			column += n;
			begun = 1;
		}
	free(shown);
	buf_puts(b, EOL);
}

static void
put_line(struct buf *b, const char *heading, const char *text)
{
	buf_printf(b, "  %-*s", INDENT - 2, heading);
	put_words(b, INDENT, text);
}

static void
put_time(struct buf *b, const char *heading, int64_t when)
{
	char date[TEXT_DATE_MAX];

	put_line(b, heading, text_date(date, when));
}

/* A command is to be copied: it stays in one line as long as a line may be. */
static void
put_command(struct buf *b, const char *heading, const char *command)
{
	buf_printf(b, "  %-*s%.900s" EOL, INDENT - 2, heading, command);
}

static void
put_queued(struct buf *b, const struct alert_said *s)
{
	char *text = xasprintf("%zu message%s for this domain alone", s->queued.n, s->queued.n == 1 ? "" : "s");

	put_line(b, "queued", text);
	free(text);
	if (s->queued.first != 0)
		put_time(b, "bounces", s->queued.first);
}

static void
put_condition(struct buf *b, const struct alert_said *s, int64_t now)
{
	const struct alert *e = s->alert;
	char *shown = text_escape(e->name, strlen(e->name)), *seen;

	buf_printf(b, EOL "%s%s%s%.300s" EOL, how[s->event], what[e->kind], shown[0] != '\0' ? ": " : "", shown);
	free(shown);
	put_time(b, "since", e->since);
	if (s->event == ALERT_RECOVERED) {
		put_time(b, "until", e->last);
		put_line(b, "was", e->reason);
		return;
	}
	put_line(b, "reason", e->reason);
	if (alert_is_destination(e->kind)) {
		seen = xasprintf("%" PRIu64 " time%s, last %" PRId64 " s ago", e->times, e->times == 1 ? "" : "s",
		    now - e->last);
		put_line(b, "seen", seen);
		free(seen);
		put_queued(b, s);
	}
	if (s->command != NULL)
		put_command(b, "to see it", s->command);
	if (s->elsewhere != NULL)
		put_command(b, "elsewhere", s->elsewhere);
}

static size_t
count_event(const struct alert_digest *d, enum alert_event event)
{
	enum alert_kind kind;
	size_t n = 0;

	for (kind = 0; kind < ALERT_KINDS; kind++)
		n += d->count[kind][event];
	return n;
}

static void
put_subject(struct buf *b, const struct alert_mail *m)
{
	const struct alert_digest *d = m->digest;
	const struct alert *e = d->item[0].alert;
	char *name = text_escape(e->name, strlen(e->name));

	if (d->total == 1)
		buf_printf(b, "Subject: %.100s: %s%s%s%.200s" EOL, m->conf->hostname, how[d->item[0].event], what[e->kind],
		    name[0] != '\0' ? ": " : "", name);
	else
		buf_printf(b, "Subject: %.100s: alerts: %zu new, %zu that last, %zu over" EOL, m->conf->hostname,
		    count_event(d, ALERT_RAISED), count_event(d, ALERT_LASTS), count_event(d, ALERT_RECOVERED));
	free(name);
}

static void
put_header(struct buf *b, const struct alert_mail *m)
{
	const struct conf *c = m->conf;
	char date[TEXT_DATE_MAX];
	size_t i;

	buf_printf(b, "From: Mail relay <postmaster@%s>" EOL "To:", c->hostname);
	for (i = 0; i < c->alert.n; i++)
		buf_printf(b, "%s <%s>%s" EOL, i > 0 ? "\t" : "", c->alert.to[i], i + 1 < c->alert.n ? "," : "");
	put_subject(b, m);
	buf_printf(b, "Date: %s" EOL "Message-ID: <%s@%s>" EOL, text_date(date, m->now), m->id, c->hostname);
	/* RFC 3834 5: nobody's machine is to answer. */
	buf_puts(b, "Auto-Submitted: auto-generated" EOL "MIME-Version: 1.0" EOL
	    "Content-Type: text/plain; charset=us-ascii" EOL EOL);
}

/* How many of each, where not all are named. */
static void
put_counts(struct buf *b, const struct alert_digest *d)
{
	enum alert_kind kind;

	if (d->n == d->total && d->unkept == 0)
		return;
	buf_printf(b, EOL "The first %zu of %zu stand here. All of them:" EOL, d->n, d->total);
	for (kind = 0; kind < ALERT_KINDS; kind++)
		if (d->count[kind][ALERT_RAISED] + d->count[kind][ALERT_LASTS] + d->count[kind][ALERT_RECOVERED] > 0)
			buf_printf(b, "  %-*s%zu new, %zu that last, %zu over" EOL, INDENT - 2, alert_kind_name(kind),
			    d->count[kind][ALERT_RAISED], d->count[kind][ALERT_LASTS],
			    d->count[kind][ALERT_RECOVERED]);
	if (d->unkept > 0)
		buf_printf(b, "and %" PRIu64 " failures of still others." EOL, d->unkept);
}

/* What an operator has to know to make nothing of silence. */
static void
put_end(struct buf *b, const struct conf *c)
{
	int minutes = c->alert.interval >= 120;
	char *text = xasprintf("Nothing more is said of these within %" PRId64 " %s; what lasts is told again once a day, "
	    "and once that it is over. Mail that waits is tried until it bounces. The log has a line for each try; see "
	    "ALERTS in smtp-relay(8).", minutes ? c->alert.interval / 60 : c->alert.interval,
	    minutes ? "minutes" : "seconds");

	buf_puts(b, EOL);
	put_words(b, 0, text);
	free(text);
}

void
alert_mail_build(struct buf *b, const struct alert_mail *m)
{
	size_t i;

	put_header(b, m);
	buf_printf(b, "The mail relay %s reports." EOL, m->conf->hostname);
	for (i = 0; i < m->digest->n; i++)
		put_condition(b, &m->said[i], m->now);
	put_counts(b, m->digest);
	put_end(b, m->conf);
}

/* ---- for the hook ---- */

static void
line_of_time(struct buf *b, const char *key, int64_t when)
{
	char text[TEXT_TIME_MAX];

	if (when != 0)
		table_put(b, key, text_time(text, when), (char *)NULL);
}

void
alert_said_lines(struct buf *b, const struct alert_said *s, const struct conf *c)
{
	const struct alert *e = s->alert;
	char number[24];

	table_put(b, "relay", c->hostname, (char *)NULL);
	table_put(b, "kind", alert_kind_name(e->kind), (char *)NULL);
	table_put(b, "name", e->name, (char *)NULL);
	table_put(b, "event", alert_event_name(s->event), (char *)NULL);
	line_of_time(b, "since", e->since);
	line_of_time(b, "last", e->last);
	snprintf(number, sizeof number, "%" PRIu64, e->times);
	table_put(b, "seen", number, (char *)NULL);
	table_put(b, "reason", e->reason, (char *)NULL);
	if (alert_is_destination(e->kind)) {
		snprintf(number, sizeof number, "%zu", s->queued.n);
		table_put(b, "queued", number, (char *)NULL);
		line_of_time(b, "bounces", s->queued.first);
	}
	if (s->command != NULL)
		table_put(b, "command", s->command, (char *)NULL);
}
