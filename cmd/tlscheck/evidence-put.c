/* evidence_put(): evidence as lines, in the order in which evidence_read() wants them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "evidence.h"
#include "evidence-words.h"
#include "pem.h"

#define RECORD_HEX 32000	/* digits of a TLSA record on a line: TABLE_LINE_MAX is 65536 */

static void
put(struct buf *b, const char *key, const char *value)
{
	if (value != NULL && *value != '\0')
		table_put(b, key, value, (char *)NULL);
}

static void
put_number(struct buf *b, unsigned long long n)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", n);
	table_put_word(b, text, strlen(text));
}

static void
put_sts(struct buf *b, const struct facts *f)
{
	char when[TEXT_TIME_MAX];
	size_t i;

	table_put(b, "sts", evidence_sts_name(f->sts_state), (char *)NULL);
	put(b, "sts-why", f->sts_why);
	put(b, "sts-id", f->sts_id);
	if (f->sts_state != FACTS_STS_FOUND)
		return;
	put(b, "sts-fetched", text_time(when, f->sts_fetched));
	buf_printf(b, "sts-policy %s", sts_mode_name(f->sts.mode));
	put_number(b, f->sts.max_age);
	for (i = 0; i < f->sts.nmx; i++)
		table_put_word(b, f->sts.mx[i], strlen(f->sts.mx[i]));
	buf_putc(b, '\n');
}

/* The record as a domain would publish it: what reads it then is what reads those. */
static void
put_tlsrpt(struct buf *b, const struct facts *f)
{
	struct buf record = BUF_INIT;
	size_t i;

	table_put(b, "tlsrpt", evidence_tlsrpt_name(f->tlsrpt_state), (char *)NULL);
	put(b, "tlsrpt-why", f->tlsrpt_why);
	if (f->tlsrpt_state != FACTS_TLSRPT_FOUND)
		return;
	buf_puts(&record, TLSRPT_VERSION "; rua=");
	for (i = 0; i < f->tlsrpt.n; i++)
		buf_printf(&record, "%s%s", i > 0 ? "," : "", f->tlsrpt.rua[i].uri);
	put(b, "tlsrpt-record", record.p);
	buf_clear(&record);
}

static void
put_record(struct buf *b, const struct tlsa *t)
{
	char *hex = xmalloc(2 * t->len + 1);
	size_t n = 2 * t->len, at, step;

	text_hex(hex, t->data, t->len);
	buf_printf(b, "record %u %u %u %.*s\n", t->usage, t->selector, t->mtype,
	    (int)(n == 0 ? 2 : n < RECORD_HEX ? n : RECORD_HEX), n > 0 ? hex : "\"\"");
	for (at = RECORD_HEX; at < n; at += step) {
		step = n - at < RECORD_HEX ? n - at : RECORD_HEX;
		buf_printf(b, "record-more %.*s\n", (int)step, hex + at);
	}
	free(hex);
}

static void
put_host(struct buf *b, const struct facts_host *fh)
{
	char addr[INET6_ADDRSTRLEN];
	size_t i;

	buf_puts(b, "host");
	table_put_word(b, fh->name, strlen(fh->name));
	put_number(b, fh->preference);
	buf_putc(b, '\n');
	if (fh->port != 0 || fh->protocol != FACTS_SMTP) {
		buf_printf(b, "via %u %s", fh->port, facts_protocol_name(fh->protocol));
		if (fh->path != NULL)
			table_put_word(b, fh->path, strlen(fh->path));
		buf_putc(b, '\n');
	}
	if (strcmp(fh->canonical, fh->name) != 0)
		put(b, "canonical", fh->canonical);
	table_put(b, "addresses", addrs_words[fh->addrs], dns_sec_name(fh->addrs_sec), (char *)NULL);
	put(b, "addresses-why", fh->addrs_why);
	for (i = 0; i < fh->naddr; i++)
		put(b, "address", facts_addr_text(&fh->addr[i], addr));
	table_put(b, "tlsa", evidence_tlsa_name(fh->tlsa_state), (char *)NULL);
	put(b, "tlsa-base", fh->tlsa_base);
	put(b, "tlsa-why", fh->tlsa_why);
	if (fh->tlsa_damaged > 0)
		buf_printf(b, "tlsa-damaged %zu\n", fh->tlsa_damaged);
	if (fh->tcp_denied)
		buf_puts(b, "tcp-denied\n");
	for (i = 0; i < fh->ntlsa; i++)
		put_record(b, &fh->tlsa[i]);
}

/* Each line of the PEM text is a value with blanks, which stand in this grammar between values. */
static void
put_chain(struct buf *b, const STACK_OF(X509) *chain)
{
	struct buf pem = BUF_INIT;
	int i, n = chain != NULL ? sk_X509_num(chain) : 0;
	char *line, *rest;

	for (i = 0; i < n; i++)
		pem_put_cert(&pem, sk_X509_value(chain, i), NULL);
	for (rest = pem.p; rest != NULL && (line = strsep(&rest, "\n")) != NULL;)
		if (*line != '\0')
			buf_printf(b, "pem %s\n", line);
	buf_clear(&pem);
}

static void
put_tls(struct buf *b, const struct tls_info *t)
{
	buf_puts(b, "tls");
	table_put_word(b, t->protocol, strlen(t->protocol));
	table_put_word(b, t->cipher, strlen(t->cipher));
	put_number(b, t->bits);
	put_number(b, t->resumed != 0);
	table_put_word(b, t->group, strlen(t->group));
	table_put_word(b, t->sigalg, strlen(t->sigalg));
	buf_puts(b, t->renegotiates_safely ? " safe\n" : " unsafe\n");
	put_chain(b, t->chain);
}

static void
put_shown(struct buf *b, const struct facts_host *fh, const struct shown *s)
{
	char addr[INET6_ADDRSTRLEN];

	table_put(b, "connection", facts_addr_text(&fh->addr[s->addr], addr), asked_words[s->asked],
	    end_words[s->end], s->greeted ? "greeted" : "not-greeted", (char *)NULL);
	put(b, "text", s->text);
	put(b, "banner", s->banner);
	put(b, "ehlo", s->ehlo);
	put(b, "starttls", s->starttls);
	put(b, "ehlo-tls", s->ehlo_tls);
	put(b, "fell-back", s->fell_back);
	if (s->tls)
		put_tls(b, &s->info);
}

void
evidence_begin(struct buf *b)
{
	buf_puts(b, "evidence 1\n");
}

void
evidence_put(struct buf *b, const struct evidence *ev)
{
	const struct facts *f = ev->facts;
	char when[TEXT_TIME_MAX];
	size_t i, j;

	buf_putc(b, '\n');
	put(b, "destination", ev->destination);
	put(b, "time", text_time(when, ev->time));
	buf_printf(b, "port %u\n", ev->port);
	put(b, "asked", f->domain);
	put(b, "recipient", f->recipient);
	table_put(b, "mx", evidence_mx_name(f->mx), dns_sec_name(f->mx_sec), (char *)NULL);
	put(b, "mx-why", f->mx_why);
	put(b, "mx-canonical", f->mx_canonical);
	if (ev->ill != DNS_WELL)
		table_put(b, "resolver", evidence_ill_name(ev->ill), ev->ill_text, (char *)NULL);
	if (f->hosts_left_out + f->addrs_left_out > 0)
		buf_printf(b, "left-out %zu %zu\n", f->hosts_left_out, f->addrs_left_out);
	put_sts(b, f);
	put_tlsrpt(b, f);
	for (i = 0; i < f->nhost; i++) {
		put_host(b, &f->host[i]);
		for (j = 0; j < ev->nshown; j++)
			if (ev->shown[j].host == i && ev->shown[j].addr != WITHOUT_ADDR)
				put_shown(b, &f->host[i], &ev->shown[j]);
	}
	buf_puts(b, "end\n");
}
