#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "evidence-words.h"

struct evidence *
evidence_new(const char *destination, uint16_t port, int64_t now)
{
	struct evidence *ev = xcalloc(1, sizeof *ev);

	ev->destination = xstrdup(destination);
	ev->port = port;
	ev->time = now;
	return ev;
}

static void
shown_clear(struct shown *s)
{
	free(s->text);
	free(s->banner);
	free(s->ehlo);
	free(s->starttls);
	free(s->ehlo_tls);
	free(s->fell_back);
	free(s->protocol);
	free(s->cipher);
	tls_info_clear(&s->info);
}

void
evidence_free(struct evidence *ev)
{
	size_t i;

	if (ev == NULL)
		return;
	for (i = 0; i < ev->nshown; i++)
		shown_clear(&ev->shown[i]);
	free(ev->shown);
	facts_free(ev->facts);
	free(ev->destination);
	free(ev->ill_text);
	free(ev);
}

struct shown *
evidence_add(struct evidence *ev, size_t host, size_t addr)
{
	struct shown *s;

	ev->shown = xreallocarray(ev->shown, ev->nshown + 1, sizeof *ev->shown);
	s = &ev->shown[ev->nshown++];
	memset(s, 0, sizeof *s);
	s->host = host;
	s->addr = addr;
	s->text = xstrdup("");
	return s;
}

const struct shown *
evidence_find(const struct evidence *ev, size_t host, size_t addr)
{
	size_t i;

	for (i = 0; i < ev->nshown; i++)
		if (ev->shown[i].host == host && ev->shown[i].addr == addr)
			return &ev->shown[i];
	return NULL;
}

const char *
evidence_mx_name(enum facts_mx mx)
{
	static const char *const names[] = { [FACTS_MX_FOUND] = "found",
		[FACTS_MX_IMPLICIT] = "implicit",
		[FACTS_MX_LOCAL] = "local",
		[FACTS_MX_NULL] = "null",
		[FACTS_MX_NODOMAIN] = "no-domain",
		[FACTS_MX_FAILED] = "failed" };

	return names[mx];
}

const char *
evidence_tlsa_name(enum facts_tlsa state)
{
	static const char *const names[] = { [FACTS_TLSA_NOT_ASKED] = "not-asked",
		[FACTS_TLSA_NO_NAME] = "no-name", [FACTS_TLSA_UNSIGNED] = "host-unsigned",
		[FACTS_TLSA_ABSENT] = "absent", [FACTS_TLSA_INSECURE] = "insecure",
		[FACTS_TLSA_FOUND] = "found", [FACTS_TLSA_FAILED] = "failed" };

	return names[state];
}

const char *
evidence_sts_name(enum facts_sts state)
{
	static const char *const names[] = { [FACTS_STS_NOT_ASKED] = "not-asked",
		[FACTS_STS_NONE] = "none", [FACTS_STS_FOUND] = "found" };

	return names[state];
}

const char *
evidence_tlsrpt_name(enum facts_tlsrpt state)
{
	static const char *const names[] = { [FACTS_TLSRPT_NOT_ASKED] = "not-asked",
		[FACTS_TLSRPT_NONE] = "none", [FACTS_TLSRPT_FOUND] = "found",
		[FACTS_TLSRPT_FAILED] = "failed" };

	return names[state];
}

const char *const addrs_words[] = { [FACTS_ADDRS_FOUND] = "found", [FACTS_ADDRS_NONE] = "none",
	[FACTS_ADDRS_FAILED] = "failed" };

const char *const asked_words[] = { [SHOWN_NOTHING] = "not-made", [SHOWN_CLEAR] = "clear",
	[SHOWN_LAX] = "tls", [SHOWN_STRICT] = "strict-tls" };

const char *const end_words[] = { [SEEN_READY] = "ready", [SEEN_NO_CONNECTION] = "no-connection",
	[SEEN_TEMPORARY] = "temporary", [SEEN_REFUSED] = "refused", [SEEN_NO_STARTTLS] = "no-starttls",
	[SEEN_STARTTLS_REFUSED] = "starttls-refused", [SEEN_INJECTION] = "injection",
	[SEEN_HANDSHAKE_FAILED] = "handshake-failed", [SEEN_PROTOCOL] = "not-smtp" };

const char *
evidence_ill_name(enum dns_ill ill)
{
	static const char *const words[] = { [DNS_WELL] = "well", [DNS_DOWN] = "down", [DNS_STRIPS] = "strips",
		[DNS_ANCHOR] = "anchor", [DNS_CLOCK] = "clock" };

	return words[ill];
}
