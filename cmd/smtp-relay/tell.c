#include "tell.h"

#include <stdio.h>
#include <string.h>

#include "smtp.h"
#include "table.h"
#include "tlsrpt_judge.h"

/* The name that a host gives itself: the first word of its reply to EHLO, or of its banner. */
static void
first_word(const struct contact *c, char *dst, size_t size)
{
	const struct smtp_client *s = &c->client;
	const struct smtp_reply *r = s->ehlo_tls.code != 0 ? &s->ehlo_tls : s->ehlo.code != 0 ? &s->ehlo : &s->banner;
	size_t len = 0, n = 0;
	const char *line = smtp_reply_line(r, 0, &len);

	while (line != NULL && n < len && n < size - 1 && line[n] > ' ' && line[n] < 0x7f) {
		dst[n] = line[n];
		n++;
	}
	dst[n] = '\0';
}

void
tell_session(struct channel *queue, const char *seq, const struct unpacked *u, size_t host, size_t addr,
    const struct contact *c)
{
	const struct plan_host *h = &u->plan.host[host];
	enum tlsrpt_result result;
	const char *why;
	char number[24], which[24] = "", helo[TEXT_HOST_MAX] = "";
	struct buf b = BUF_INIT;

	if (u->facts->tlsrpt_state != FACTS_TLSRPT_FOUND || !tlsrpt_judge(h, c != NULL ? &c->seen : NULL, &result, &why))
		return;
	snprintf(number, sizeof number, "%zu", host);
	if (c != NULL) {
		snprintf(which, sizeof which, "%zu", addr);
		first_word(c, helo, sizeof helo);
	}
	table_put(&b, "session", seq, number, which, tlsrpt_result_name(result), c != NULL ? c->local : "", helo,
	    why != NULL ? why : "", (char *)NULL);
	channel_send(queue, b.p, b.len, -1);
	buf_clear(&b);
}
