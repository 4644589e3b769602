/*
 * access - parsing a line of the host table, finding a client's.
 */
#include "access.h"

#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "name.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const action_names[] = { [CONF_ACCEPT] = "accept", [CONF_RELAY] = "relay",
	[CONF_REJECT] = "reject", [CONF_TCPREFUSE] = "tcprefuse" };
static const char *const cert_names[] = { [CONF_CLIENT_CERT_NO] = "no",
	[CONF_CLIENT_CERT_PREFERRED] = "preferred", [CONF_CLIENT_CERT_REQUIRED] = "required" };

const char *const access_tls_names[ACCESS_TLS_NAMES] = { [SMTP_SERVER_TLS_NO] = "no",
	[SMTP_SERVER_TLS_PREFERRED] = "preferred", [SMTP_SERVER_TLS_REQUIRED] = "required" };

const char *
conf_action_name(enum conf_action action)
{
	return action_names[action];
}

const char *
conf_client_cert_name(enum conf_client_cert cert)
{
	return cert_names[cert];
}

int
conf_client_cert_parse(const char *word, enum conf_client_cert *cert, struct fail *f)
{
	int i = text_word("client-cert", word, cert_names, COUNT(cert_names), f);

	if (i == -1)
		return -1;
	*cert = (enum conf_client_cert)i;
	return 0;
}

char *
access_domain(const char *word, struct fail *f)
{
	const char *name = word[0] == '.' ? word + 1 : word;
	char *ascii = name_to_ascii(name, f), *result;

	if (ascii == NULL)
		return NULL;
	if (!name_is_host(ascii, NAME_UNDERSCORE)) {
		fail(f, FAIL_INPUT, "expected a domain, not \"%.200s\"", word);
		free(ascii);
		return NULL;
	}
	result = xasprintf("%s%s", word[0] == '.' ? "." : "", ascii);
	free(ascii);
	return result;
}

/* ---- patterns ---- */

/* A name has a dot in it, but at its end: one without is a word at the wrong place. */
static int
is_name(const char *word)
{
	return strchr(word, '.') != NULL && strpbrk(word, "/:") == NULL &&
	    word[strspn(word, "0123456789.")] != '\0';
}

static int
parse_pattern(struct conf_hosts *h, const char *word, struct fail *f)
{
	h->net.bits = -1;
	if (strcmp(word, "default") == 0)
		return 0;
	if (!is_name(word))
		return cidr_parse(word, "an address, a network, a host name, .domain or default", &h->net, f);
	return (h->name = access_domain(word, f)) != NULL ? 0 : -1;
}

int
access_same(const struct conf_hosts *a, const struct conf_hosts *b)
{
	if (a->name != NULL || b->name != NULL)
		return a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0;
	return a->net.bits == b->net.bits && (a->net.bits < 0 || (a->net.version == b->net.version &&
	    memcmp(a->net.addr, b->net.addr, sizeof a->net.addr) == 0));
}

/* ---- options ---- */

/* The rest of the line, with a blank between its words. */
static int
set_text(struct conf_hosts *h, char **word, size_t n, struct fail *f)
{
	struct buf b = BUF_INIT;
	const char *p;
	size_t i;

	for (i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i > 0 ? " " : "", word[i]);
	for (p = b.p; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			break;
	h->text = buf_steal(&b);
	if (*p != '\0')
		return fail(f, FAIL_INPUT, "text: expected printable ASCII");
	if (strlen(h->text) > ACCESS_TEXT_MAX)
		return fail(f, FAIL_INPUT, "text: longer than %d octets", ACCESS_TEXT_MAX);
	if (h->action != CONF_REJECT)
		return fail(f, FAIL_INPUT, "text is for the action reject");
	return 0;
}

static int
set_option(struct conf_hosts *h, const char *key, const char *value, struct fail *f)
{
	enum conf_client_cert cert;
	int i = limit_find(key);

	if (i != -1)
		return limit_set(&h->limits, (enum limit_key)i, value, f);
	if (strcmp(key, "tls") == 0)
		return (h->tls = text_word("tls", value, access_tls_names, ACCESS_TLS_NAMES, f)) == -1 ? -1 : 0;
	if (strcmp(key, "client-cert") == 0) {
		if (conf_client_cert_parse(value, &cert, f) == -1)
			return -1;
		h->client_cert = (int)cert;
		return 0;
	}
	return fail(f, FAIL_INPUT, "unknown option \"%.64s\"", key);
}

static int
set_options(struct conf_hosts *h, char **word, size_t n, struct fail *f)
{
	size_t i;

	for (i = 0; i < n; i += 2) {
		if (i + 1 == n)
			return fail(f, FAIL_INPUT, "no value behind \"%.64s\"", word[i]);
		if (strcmp(word[i], "text") == 0)
			return set_text(h, word + i + 1, n - i - 1, f);
		if (h->action == CONF_REJECT || h->action == CONF_TCPREFUSE)
			return fail(f, FAIL_INPUT, "%.64s is without effect beside %s", word[i],
			    conf_action_name(h->action));
		if (set_option(h, word[i], word[i + 1], f) == -1)
			return -1;
	}
	return 0;
}

int
access_parse(struct conf_hosts *h, char **word, size_t n, struct fail *f)
{
	int action;

	memset(h, 0, sizeof *h);
	h->tls = h->client_cert = -1;
	if (parse_pattern(h, word[0], f) == -1)
		return -1;
	if ((action = text_word("action", word[1], action_names, COUNT(action_names), f)) == -1)
		return -1;
	h->action = (enum conf_action)action;
	return set_options(h, word + 2, n - 2, f);
}

void
access_clear(struct conf_hosts *h)
{
	free(h->name);
	free(h->text);
}

/* ---- a client's line ---- */

static int
fits_name(const char *pattern, const char *name)
{
	size_t n = strlen(pattern), len = strlen(name);

	if (pattern[0] != '.')
		return strcmp(pattern, name) == 0;
	return len > n && strcmp(name + len - n, pattern) == 0;
}

#define RANK_DEFAULT 0
#define RANK_NETWORK 1		/* and its bits */
#define RANK_DOMAIN 1000	/* and its length */
#define RANK_NAME 2000
#define RANK_ADDRESS 3000

static int
is_address(const struct conf_hosts *h)
{
	return h->name == NULL && h->net.bits >= 0 && cidr_is_address(&h->net);
}

/* How specific the line is for the client; -1: it is not for it. */
static int
rank(const struct conf_hosts *h, int version, const void *addr, const char *name)
{
	if (h->name != NULL) {
		if (name == NULL || !fits_name(h->name, name))
			return -1;
		return h->name[0] == '.' ? RANK_DOMAIN + (int)strlen(h->name) : RANK_NAME;
	}
	if (h->net.bits < 0)
		return RANK_DEFAULT;
	if (!cidr_has(&h->net, version, addr))
		return -1;
	return is_address(h) ? RANK_ADDRESS : RANK_NETWORK + h->net.bits;
}

const struct conf_hosts *
access_find(const struct conf_hosts *v, size_t n, int family, const void *addr, const char *name)
{
	const struct conf_hosts *found = NULL;
	/* 0, which no network has: not a client of IP. */
	int version = family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0, best = -1, now;
	size_t i;

	for (i = 0; i < n; i++)
		if ((now = rank(&v[i], version, addr, name)) > best) {
			best = now;
			found = &v[i];
		}
	return found;
}

int
access_wants_name(const struct conf_hosts *v, size_t n, const struct conf_hosts *found)
{
	size_t i;

	if (found != NULL && is_address(found))
		return 0;
	for (i = 0; i < n; i++)
		if (v[i].name != NULL)
			return 1;
	return 0;
}

/* ---- printing ---- */

void
access_print_pattern(struct buf *b, const struct conf_hosts *h)
{
	char net[CIDR_TEXT_MAX];

	if (h->name != NULL)
		buf_printf(b, "%s%s", h->name, strchr(h->name, '.') == NULL ? "." : "");
	else if (h->net.bits < 0)
		buf_puts(b, "default");
	else
		buf_puts(b, cidr_text(net, sizeof net, &h->net));
}

void
access_print(struct buf *b, const struct conf_hosts *h)
{
	access_print_pattern(b, h);
	buf_printf(b, ": %s", conf_action_name(h->action));
	if (h->tls != -1)
		buf_printf(b, ", tls %s", access_tls_names[h->tls]);
	if (h->client_cert != -1)
		buf_printf(b, ", client-cert %s", cert_names[h->client_cert]);
	limits_print(b, &h->limits);
	if (h->text != NULL)
		buf_printf(b, ", text \"%s\"", h->text);
}
