/*
 * Octets are collected until a unit is whole (a line with its literals, an LDAP message), which is then
 * given to the protocol's function; that moves the stage, says the next command, or ends the session.
 */
#include "starttls.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"
#include "ber.h"

/* RFC 4511 4.1.1 and 4.12, by their tags; ber.h has the universal ones. */
enum ldap_tag {
	LDAP_ENUMERATED = 0x0a,
	LDAP_BOOLEAN = 0x01,
	LDAP_UNBIND = 0x42,		/* [APPLICATION 2] */
	LDAP_SEARCH = 0x63,		/* [APPLICATION 3] */
	LDAP_EXTENDED = 0x77,		/* [APPLICATION 23] */
	LDAP_EXTENDED_ANSWER = 0x78,	/* [APPLICATION 24] */
	LDAP_NAME = 0x80,		/* requestName [0] */
	LDAP_PRESENT = 0x87		/* present [7] of a filter */
};

enum ldap_result { LDAP_SUCCESS = 0, LDAP_PROTOCOL_ERROR = 2 };

#define LDAP_STARTTLS "1.3.6.1.4.1.1466.20037"
#define LDAP_ID_STARTTLS 1
#define LDAP_ID_CONFIRM 2

static enum starttls_want take_imap(struct starttls *, const char *, size_t);
static enum starttls_want take_pop3(struct starttls *, const char *, size_t);
static enum starttls_want take_ldap(struct starttls *, const char *, size_t);
static enum starttls_want take_sieve(struct starttls *, const char *, size_t);

static int cut_line(struct starttls *, size_t *);
static int cut_message(struct starttls *, size_t *);

static const struct proto {
	const char *name, *service, *clause;
	uint16_t port;
	/* The length of the first unit in s->in: 1, 0: not whole yet, -1: it will never be one. */
	int (*cut)(struct starttls *, size_t *);
	enum starttls_want (*take)(struct starttls *, const char *, size_t);
} protos[STARTTLS_PROTOS] = {
	[STARTTLS_SMTP] = { "smtp", "SMTP", "RFC 3207 4", 25, NULL, NULL },
	[STARTTLS_LMTP] = { "lmtp", "LMTP", "RFC 3207 4", 24, NULL, NULL },
	[STARTTLS_IMAP] = { "imap", "IMAP", "RFC 9051 6.2.1", 143, cut_line, take_imap },
	[STARTTLS_POP3] = { "pop3", "POP3", "RFC 2595 4", 110, cut_line, take_pop3 },
	[STARTTLS_LDAP] = { "ldap", "LDAP", "RFC 4511 4.14", 389, cut_message, take_ldap },
	[STARTTLS_SIEVE] = { "sieve", "ManageSieve", "RFC 5804 2.2", 4190, cut_line, take_sieve },
	[STARTTLS_NONE] = { "none", "TLS", "RFC 8446 4", 443, NULL, NULL },
};

int
starttls_parse(const char *word, enum starttls_proto *proto, struct fail *f)
{
	size_t i;
	char *shown;

	for (i = 0; i < STARTTLS_PROTOS; i++)
		if (strcmp(word, protos[i].name) == 0) {
			*proto = i;
			return 0;
		}
	shown = text_escape(word, strlen(word));
	fail(f, FAIL_INPUT,
	    "starttls: expected smtp, lmtp, imap, pop3, ldap, sieve or none, not \"%.100s\"", shown);
	free(shown);
	return -1;
}

const char *
starttls_name(enum starttls_proto proto)
{
	return protos[proto].name;
}

const char *
starttls_service(enum starttls_proto proto)
{
	return protos[proto].service;
}

const char *
starttls_clause(enum starttls_proto proto)
{
	return protos[proto].clause;
}

uint16_t
starttls_port(enum starttls_proto proto)
{
	return protos[proto].port;
}

void
starttls_init(struct starttls *s, enum starttls_proto proto)
{
	if (protos[proto].take == NULL)
		abort();
	memset(s, 0, sizeof *s);
	s->proto = proto;
}

void
starttls_clear(struct starttls *s)
{
	buf_clear(&s->in);
	buf_clear(&s->out);
	free(s->greeting);
	free(s->answer);
	s->greeting = s->answer = NULL;
}

/* ---- what the protocols share ---- */

static enum starttls_want
stop(struct starttls *s, enum starttls_end end)
{
	s->end = end;
	s->stage = STARTTLS_STAGE_DONE;
	return s->want = STARTTLS_WANT_CLOSE;
}

static enum starttls_want
go_on(struct starttls *s, enum starttls_stage next)
{
	s->stage = next;
	s->octets = 0;
	return s->want = STARTTLS_WANT_INPUT;
}

static enum starttls_want
say(struct starttls *s, const char *command, enum starttls_stage next)
{
	buf_puts(&s->out, command);
	return go_on(s, next);
}

/* A line without its end, or as much of a longer text as is shown, escaped. */
static char *
shown(const char *p, size_t n)
{
	while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		n--;
	return text_escape(p, n < STARTTLS_PRINT_MAX ? n : STARTTLS_PRINT_MAX);
}

static void
keep(char **where, const char *p, size_t n)
{
	free(*where);
	*where = shown(p, n);
}

/* Ends with "what: the line". */
static enum starttls_want
stop_line(struct starttls *s, enum starttls_end end, const char *what, const char *p, size_t n)
{
	char *line = shown(p, n);

	fail(&s->fail, end == STARTTLS_END_TEMP ? FAIL_TEMP : FAIL_PEER, "%s: %s", what, line);
	free(line);
	return stop(s, end);
}

static enum starttls_want
not_understood(struct starttls *s, const char *p, size_t n)
{
	char *what = xasprintf("no answer of %s", protos[s->proto].service);

	stop_line(s, STARTTLS_END_PROTOCOL, what, p, n);
	free(what);
	return s->want;
}

static enum starttls_want
not_offered(struct starttls *s, const char *why)
{
	fail(&s->fail, FAIL_PEER, "%s", why);
	starttls_quit(s);
	return stop(s, STARTTLS_END_NOT_OFFERED);
}

static enum starttls_want
refused(struct starttls *s, const char *p, size_t n)
{
	keep(&s->answer, p, n);
	fail(&s->fail, FAIL_PEER, "%s", s->answer);
	starttls_quit(s);
	return stop(s, STARTTLS_END_REFUSED);
}

/* The go-ahead.  Nothing may stand behind it: the next word is the client's. */
static enum starttls_want
go_ahead(struct starttls *s, const char *p, size_t n)
{
	keep(&s->answer, p, n);
	s->stage = STARTTLS_STAGE_HANDSHAKE;
	return s->want = STARTTLS_WANT_TLS;
}

static enum starttls_want
ready(struct starttls *s)
{
	s->stage = STARTTLS_STAGE_READY;
	return s->want = STARTTLS_WANT_READY;
}

/* ---- lines, with literals in IMAP and ManageSieve ---- */

/*
 * "{N}" or "{N+}" before the end of a line: N octets follow that belong to it (RFC 9051 4.3,
 * RFC 5804 1.2).  Returns -1 where it is none.
 */
static long
literal_of(const char *p, size_t n)
{
	size_t i;
	long size = 0;

	if (n < 3 || p[--n] != '}')
		return -1;
	if (n > 0 && p[n - 1] == '+')
		n--;
	for (i = n; i > 0 && p[i - 1] >= '0' && p[i - 1] <= '9'; i--)
		;
	if (i == n || i == 0 || p[i - 1] != '{')
		return -1;
	for (; i < n && size <= STARTTLS_OCTETS_MAX; i++)
		size = size * 10 + (p[i] - '0');
	return size;
}

static int
cut_line(struct starttls *s, size_t *len)
{
	for (;;) {
		const char *p = s->in.p, *lf;
		size_t end;
		long literal;

		if (s->scanned >= s->in.len ||
		    (lf = memchr(p + s->scanned, '\n', s->in.len - s->scanned)) == NULL) {
			if (s->scanned < s->in.len)
				s->scanned = s->in.len;
			return 0;
		}
		*len = lf + 1 - p;
		end = lf > p && lf[-1] == '\r' ? *len - 2 : *len - 1;
		if (s->proto == STARTTLS_POP3 || (literal = literal_of(p, end)) == -1)
			return 1;
		if (literal > STARTTLS_OCTETS_MAX)
			return -1;
		/* The line goes on behind the literal. */
		s->scanned = *len + literal;
	}
}

/* Whether a line begins with this word, of any case, and a blank or the end behind it. */
static int
begins(const char *p, size_t n, const char *word)
{
	size_t len = strlen(word);

	return n >= len && strncasecmp(p, word, len) == 0 &&
	    (n == len || strchr(" \r\n", p[len]) != NULL);
}

/* Whether a word stands in a line, between blanks, brackets or its ends. */
static int
has_word(const char *p, size_t n, const char *word)
{
	size_t i = 0, start;

	while (i < n) {
		while (i < n && strchr(" []\r\n", p[i]) != NULL)
			i++;
		for (start = i; i < n && (p[i] == '\0' || strchr(" []\r\n", p[i]) == NULL);)
			i++;
		if (i - start == strlen(word) && strncasecmp(p + start, word, i - start) == 0)
			return 1;
	}
	return 0;
}

/* ---- IMAP ---- */

static enum starttls_want
imap_greeting(struct starttls *s, const char *p, size_t n)
{
	keep(&s->greeting, p, n);
	if (begins(p, n, "* OK"))
		return say(s, "a CAPABILITY\r\n", STARTTLS_STAGE_CAPS);
	/* RFC 9051 6.2.1: STARTTLS is for the state that PREAUTH skips. */
	if (begins(p, n, "* PREAUTH"))
		return not_offered(s, "the session begins authenticated (PREAUTH), where STARTTLS is not allowed");
	if (begins(p, n, "* BYE"))
		return stop_line(s, STARTTLS_END_TEMP, "the server ends the session", p, n);
	return not_understood(s, p, n);
}

static enum starttls_want
imap_tagged(struct starttls *s, const char *p, size_t n)
{
	int ok = begins(p + 2, n - 2, "OK");

	switch (s->stage) {
	case STARTTLS_STAGE_CAPS:
		if (!ok)
			return stop_line(s, STARTTLS_END_PROTOCOL, "CAPABILITY answered with", p, n);
		if (!s->offered)
			return not_offered(s, "STARTTLS is not offered");
		return say(s, "b STARTTLS\r\n", STARTTLS_STAGE_ANSWER);
	case STARTTLS_STAGE_ANSWER:
		return ok ? go_ahead(s, p, n) : refused(s, p, n);
	default:
		return ready(s);
	}
}

static enum starttls_want
take_imap(struct starttls *s, const char *p, size_t n)
{
	static const char tags[] = { [STARTTLS_STAGE_CAPS] = 'a', [STARTTLS_STAGE_ANSWER] = 'b',
		[STARTTLS_STAGE_CONFIRM] = 'c' };

	if (s->stage == STARTTLS_STAGE_GREETING)
		return imap_greeting(s, p, n);
	if (n > 2 && p[0] == tags[s->stage] && p[1] == ' ')
		return imap_tagged(s, p, n);
	if (begins(p, n, "* BYE"))
		return stop_line(s, STARTTLS_END_TEMP, "the server ends the session", p, n);
	if (n < 2 || strncmp(p, "* ", 2) != 0)
		return not_understood(s, p, n);
	if (s->stage == STARTTLS_STAGE_CAPS && begins(p + 2, n - 2, "CAPABILITY"))
		s->offered = has_word(p, n, "STARTTLS");
	return s->want;
}

/* ---- POP3 ---- */

static enum starttls_want
pop3_greeting(struct starttls *s, const char *p, size_t n)
{
	keep(&s->greeting, p, n);
	if (begins(p, n, "+OK"))
		return say(s, "CAPA\r\n", STARTTLS_STAGE_CAPS);
	if (!begins(p, n, "-ERR"))
		return not_understood(s, p, n);
	/* RFC 3206 4: without a word on it, nothing says that it will stay so. */
	if (has_word(p, n, "SYS/PERM"))
		return stop_line(s, STARTTLS_END_DENIED, "the server refuses the session", p, n);
	return stop_line(s, STARTTLS_END_TEMP, "the server refuses the session", p, n);
}

/* The list behind CAPA, up to a dot. */
static enum starttls_want
pop3_listed(struct starttls *s, const char *p, size_t n)
{
	if (!begins(p, n, ".")) {
		if (begins(p, n, "STLS"))
			s->offered = 1;
		return s->want;
	}
	s->listed = 0;
	if (s->stage == STARTTLS_STAGE_CONFIRM)
		return ready(s);
	if (!s->offered)
		return not_offered(s, "STLS is not offered");
	return say(s, "STLS\r\n", STARTTLS_STAGE_ANSWER);
}

static enum starttls_want
take_pop3(struct starttls *s, const char *p, size_t n)
{
	int ok = begins(p, n, "+OK");

	if (s->stage == STARTTLS_STAGE_GREETING)
		return pop3_greeting(s, p, n);
	if (s->listed)
		return pop3_listed(s, p, n);
	if (!ok && !begins(p, n, "-ERR"))
		return not_understood(s, p, n);
	switch (s->stage) {
	case STARTTLS_STAGE_ANSWER:
		return ok ? go_ahead(s, p, n) : refused(s, p, n);
	case STARTTLS_STAGE_CAPS:
		s->listed = ok;
		return ok ? s->want : not_offered(s, "STLS is not offered: the server does not know CAPA");
	default:
		s->listed = ok;
		return ok ? s->want : ready(s);
	}
}

/* ---- ManageSieve ---- */

/* The string at the start of a line, quoted or a literal (RFC 5804 1.2): its octets, not unescaped. */
static int
sieve_string(const char *p, size_t n, const char **start, size_t *len)
{
	const char *lf = memchr(p, '\n', n), *quote;
	size_t line;
	long size;

	if (n > 1 && p[0] == '"') {
		if ((quote = memchr(p + 1, '"', n - 1)) == NULL)
			return 0;
		*start = p + 1;
		*len = quote - *start;
		return 1;
	}
	if (n == 0 || p[0] != '{' || lf == NULL)
		return 0;
	line = lf > p && lf[-1] == '\r' ? lf - 1 - p : lf - p;
	if ((size = literal_of(p, line)) == -1 || (size_t)size > n - (lf + 1 - p))
		return 0;
	*start = lf + 1;
	*len = size;
	return 1;
}

static enum starttls_want
sieve_ok(struct starttls *s, const char *p, size_t n)
{
	switch (s->stage) {
	case STARTTLS_STAGE_GREETING:
		keep(&s->greeting, p, n);
		if (!s->offered)
			return not_offered(s, "STARTTLS is not offered");
		return say(s, "STARTTLS\r\n", STARTTLS_STAGE_ANSWER);
	case STARTTLS_STAGE_ANSWER:
		return go_ahead(s, p, n);
	default:
		return ready(s);
	}
}

static enum starttls_want
take_sieve(struct starttls *s, const char *p, size_t n)
{
	const char *word;
	size_t len;

	if (sieve_string(p, n, &word, &len)) {
		if (len == strlen("STARTTLS") && strncasecmp(word, "STARTTLS", len) == 0)
			s->offered = 1;
		return s->want;
	}
	/* RFC 5804 1.3: a parenthesis may follow the word. */
	if (begins(p, n, "OK"))
		return sieve_ok(s, p, n);
	if (begins(p, n, "BYE"))
		return stop_line(s, STARTTLS_END_TEMP, "the server ends the session", p, n);
	if (!begins(p, n, "NO"))
		return not_understood(s, p, n);
	if (s->stage == STARTTLS_STAGE_ANSWER)
		return refused(s, p, n);
	return stop_line(s, STARTTLS_END_DENIED, "the server refuses the session", p, n);
}

/* ---- LDAP ---- */

static int
cut_message(struct starttls *s, size_t *len)
{
	const uint8_t *p = (const uint8_t *)s->in.p;
	size_t have = s->in.len, n, i;

	if (have > 0 && p[0] != BER_SEQUENCE)
		return -1;
	if (have < 2)
		return 0;
	/* RFC 4511 5.1: definite lengths only. */
	if (p[1] < 0x80) {
		*len = 2 + (size_t)p[1];
		return have >= *len;
	}
	n = p[1] & 0x7f;
	if (n == 0 || n > 4)
		return -1;
	if (have < 2 + n)
		return 0;
	for (i = 0, *len = 0; i < n; i++)
		*len = *len << 8 | p[2 + i];
	if (*len > STARTTLS_OCTETS_MAX)
		return -1;
	*len += 2 + n;
	return have >= *len;
}

static void
ldap_message(struct buf *out, unsigned id, unsigned op, const struct buf *body)
{
	struct buf b = BUF_INIT;

	ber_put_number(&b, id);
	ber_put(&b, op, body->p, body->len);
	ber_put(out, BER_SEQUENCE, b.p, b.len);
	buf_clear(&b);
}

static void
ldap_starttls(struct buf *out)
{
	struct buf b = BUF_INIT;

	ber_put(&b, LDAP_NAME, LDAP_STARTTLS, strlen(LDAP_STARTTLS));
	ldap_message(out, LDAP_ID_STARTTLS, LDAP_EXTENDED, &b);
	buf_clear(&b);
}

/* The root DSE, no attributes (RFC 4511 4.5.1): any answer shows that the session works. */
static void
ldap_search(struct buf *out)
{
	static const uint8_t zero = 0;
	struct buf b = BUF_INIT, attributes = BUF_INIT;

	ber_put(&b, BER_OCTETS, "", 0);
	ber_put(&b, LDAP_ENUMERATED, &zero, 1);	/* baseObject */
	ber_put(&b, LDAP_ENUMERATED, &zero, 1);	/* neverDerefAliases */
	ber_put_number(&b, 0);
	ber_put_number(&b, 0);
	ber_put(&b, LDAP_BOOLEAN, &zero, 1);
	ber_put(&b, LDAP_PRESENT, "objectClass", strlen("objectClass"));
	ber_put(&attributes, BER_OCTETS, "1.1", 3);
	ber_put(&b, BER_SEQUENCE, attributes.p, attributes.len);
	ldap_message(out, LDAP_ID_CONFIRM, LDAP_SEARCH, &b);
	buf_clear(&attributes);
	buf_clear(&b);
}

struct ldap_answer {
	uint64_t id;
	unsigned code;
	struct ber_item text;	/* diagnosticMessage; empty where it is no extended response */
	int extended;
};

/* RFC 4511 4.1.9 and 4.12: result code, matched DN, message; what follows is passed over. */
static int
ldap_result(struct ber *op, struct ldap_answer *a, struct fail *f)
{
	struct ber_item code, dn;

	if (ber_need(op, LDAP_ENUMERATED, "resultCode", &code, f) == -1 ||
	    ber_need(op, BER_OCTETS, "matchedDN", &dn, f) == -1 ||
	    ber_need(op, BER_OCTETS, "diagnosticMessage", &a->text, f) == -1)
		return -1;
	if (code.len != 1)
		return fail(f, FAIL_INPUT, "resultCode: expected one octet");
	a->code = code.body[0];
	return 0;
}

static int
ldap_parse(const char *p, size_t n, struct ldap_answer *a, struct fail *f)
{
	struct ber all, message, op;
	struct ber_item item;

	memset(a, 0, sizeof *a);
	ber_init(&all, p, n, NULL);
	if (ber_need_in(&all, BER_SEQUENCE, "LDAPMessage", &message, f) == -1 ||
	    ber_number(&message, "messageID", &a->id, f) == -1)
		return -1;
	a->extended = ber_is_next(&message, LDAP_EXTENDED_ANSWER);
	if (!a->extended)
		return ber_next(&message, &item, f) == 1 ? 0 :
		    fail(f, FAIL_INPUT, "LDAPMessage: nothing behind messageID");
	if (ber_need_in(&message, LDAP_EXTENDED_ANSWER, "ExtendedResponse", &op, f) == -1)
		return -1;
	return ldap_result(&op, a, f);
}

static enum starttls_want
ldap_answered(struct starttls *s, const struct ldap_answer *a)
{
	struct buf line = BUF_INIT;

	buf_printf(&line, "result %u%s", a->code, a->text.len > 0 ? ": " : "");
	buf_add(&line, a->text.body, a->text.len);
	if (a->code == LDAP_SUCCESS)
		go_ahead(s, line.p, line.len);
	else if (a->code == LDAP_PROTOCOL_ERROR) {
		/* RFC 4511 4.14.2: StartTLS is not known to the server. */
		keep(&s->answer, line.p, line.len);
		not_offered(s, "StartTLS is not offered");
	} else
		refused(s, line.p, line.len);
	buf_clear(&line);
	return s->want;
}

static enum starttls_want
take_ldap(struct starttls *s, const char *p, size_t n)
{
	struct fail f = FAIL_INIT;
	struct ldap_answer a;

	if (ldap_parse(p, n, &a, &f) == -1) {
		fail(&s->fail, FAIL_PEER, "no answer of LDAP: %s", f.text);
		stop(s, STARTTLS_END_PROTOCOL);
	} else if (a.id == 0)
		/* RFC 4511 4.4.1: the notice of disconnection is the only one. */
		stop_line(s, STARTTLS_END_TEMP, "the server ends the session", (const char *)a.text.body,
		    a.text.len);
	else if (s->stage == STARTTLS_STAGE_CONFIRM && a.id == LDAP_ID_CONFIRM)
		ready(s);
	else if (s->stage == STARTTLS_STAGE_ANSWER && a.id == LDAP_ID_STARTTLS && a.extended)
		ldap_answered(s, &a);
	else {
		fail(&s->fail, FAIL_PEER, "an LDAP message that nobody asked for");
		stop(s, STARTTLS_END_PROTOCOL);
	}
	return s->want;
}

/* ---- the session ---- */

enum starttls_want
starttls_begin(struct starttls *s)
{
	if (s->proto != STARTTLS_LDAP)
		return s->want;
	ldap_starttls(&s->out);
	return go_on(s, STARTTLS_STAGE_ANSWER);
}

static enum starttls_want
stop_injection(struct starttls *s)
{
	char *what = shown(s->in.p, s->in.len);

	fail(&s->fail, FAIL_PEER, "%s", what);
	free(what);
	return stop(s, STARTTLS_END_INJECTION);
}

static enum starttls_want
stop_endless(struct starttls *s)
{
	fail(&s->fail, FAIL_PEER, "the server's answer is longer than %d octets", STARTTLS_OCTETS_MAX);
	return stop(s, STARTTLS_END_PROTOCOL);
}

static int
listens(const struct starttls *s)
{
	return s->stage < STARTTLS_STAGE_READY;
}

static void
take_units(struct starttls *s)
{
	const struct proto *proto = &protos[s->proto];
	size_t n;
	int rc;

	while (listens(s) && s->want == STARTTLS_WANT_INPUT && (rc = proto->cut(s, &n)) != 0) {
		if (rc == -1) {
			not_understood(s, s->in.p, s->in.len);
			return;
		}
		proto->take(s, s->in.p, n);
		buf_drop(&s->in, n);
		s->scanned = 0;
	}
}

enum starttls_want
starttls_feed(struct starttls *s, const char *p, size_t n)
{
	size_t room;

	if (!listens(s))
		return s->want;
	/* Piece by piece, so that what is held stays within the limit however much arrived. */
	for (; n > 0 && listens(s) && s->want == STARTTLS_WANT_INPUT; p += room, n -= room) {
		room = n < 4096 ? n : 4096;
		if ((s->octets += room) > STARTTLS_OCTETS_MAX)
			return stop_endless(s);
		buf_add(&s->in, p, room);
		take_units(s);
	}
	if (s->want != STARTTLS_WANT_TLS)
		return s->want;
	buf_add(&s->in, p, n < STARTTLS_PRINT_MAX ? n : STARTTLS_PRINT_MAX);
	return s->in.len > 0 ? stop_injection(s) : s->want;
}

/* RFC 9051 6.2.1 and its like: what was said before TLS is forgotten. */
enum starttls_want
starttls_tls_done(struct starttls *s)
{
	buf_clear(&s->in);
	s->scanned = 0;
	switch (s->proto) {
	case STARTTLS_IMAP:
		return say(s, "c CAPABILITY\r\n", STARTTLS_STAGE_CONFIRM);
	case STARTTLS_POP3:
		return say(s, "CAPA\r\n", STARTTLS_STAGE_CONFIRM);
	case STARTTLS_LDAP:
		ldap_search(&s->out);
		break;
	default:
		/* ManageSieve: the server sends its capabilities by itself. */
		break;
	}
	return go_on(s, STARTTLS_STAGE_CONFIRM);
}

enum starttls_want
starttls_lost(struct starttls *s, const struct fail *why)
{
	if (s->stage == STARTTLS_STAGE_DONE)
		return s->want;
	s->fail = *why;
	return stop(s, STARTTLS_END_LOST);
}

void
starttls_quit(struct starttls *s)
{
	struct buf b = BUF_INIT;

	switch (s->proto) {
	case STARTTLS_IMAP:
		buf_puts(&s->out, "z LOGOUT\r\n");
		break;
	case STARTTLS_POP3:
		buf_puts(&s->out, "QUIT\r\n");
		break;
	case STARTTLS_SIEVE:
		buf_puts(&s->out, "LOGOUT\r\n");
		break;
	case STARTTLS_LDAP:
		ldap_message(&s->out, LDAP_ID_CONFIRM + 1, LDAP_UNBIND, &b);
		break;
	default:
		break;
	}
}
