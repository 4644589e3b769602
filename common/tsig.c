#include "tsig.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dns_msg.h"
#include "file.h"

#define WORD_MAX 2048	/* octets of a word in a key file: a secret in base64 */

static const struct {
	const char *name;
	const EVP_MD *(*md)(void);
} algorithms[] = {
	{ "hmac-sha256", EVP_sha256 },
	{ "hmac-sha384", EVP_sha384 },
	{ "hmac-sha512", EVP_sha512 },
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- the key file ---- */

struct scan {
	const char *p, *end;
	unsigned line;
	char word[WORD_MAX];	/* "" where punct is set */
	char punct;		/* '{', '}', ';'; 0: a word; -1: the end */
	int quoted;
};

static int
wrong(const struct scan *s, const char *expected, struct fail *f)
{
	return fail(f, FAIL_INPUT, "line %u: expected %s", s->line, expected);
}

static void
skip_line(struct scan *s)
{
	while (s->p < s->end && *s->p != '\n')
		s->p++;
}

/* Behind the slash and the star; a comment without an end is one up to the end. */
static void
skip_block(struct scan *s)
{
	for (; s->p < s->end; s->p++) {
		if (*s->p == '\n')
			s->line++;
		if (s->p + 1 < s->end && s->p[0] == '*' && s->p[1] == '/') {
			s->p += 2;
			return;
		}
	}
}

static void
skip_blank(struct scan *s)
{
	while (s->p < s->end) {
		int two = s->p + 1 < s->end && s->p[0] == '/';

		if (*s->p == '#' || (two && s->p[1] == '/'))
			skip_line(s);
		else if (two && s->p[1] == '*') {
			s->p += 2;
			skip_block(s);
		} else if (strchr(" \t\r\n", *s->p) != NULL && *s->p != '\0') {
			s->line += *s->p == '\n';
			s->p++;
		} else
			return;
	}
}

static int
ends_word(const struct scan *s)
{
	if (s->quoted)
		return *s->p == '"' || *s->p == '\n';
	return strchr(" \t\r\n{};\"#", *s->p) != NULL;
}

static int
next_word(struct scan *s, struct fail *f)
{
	size_t n = 0;

	s->quoted = *s->p == '"';
	s->p += s->quoted;
	for (; s->p < s->end && !ends_word(s); s->p++) {
		if ((unsigned char)*s->p < ' ' || n + 1 == sizeof s->word)
			return wrong(s, "a word of printable characters", f);
		s->word[n++] = *s->p;
	}
	s->word[n] = '\0';
	if (s->quoted && (s->p == s->end || *s->p++ != '"'))
		return wrong(s, "a closing quotation mark", f);
	if (n == 0 && !s->quoted)
		return wrong(s, "a word", f);
	return 0;
}

static int
next(struct scan *s, struct fail *f)
{
	skip_blank(s);
	s->word[0] = '\0';
	s->quoted = 0;
	if (s->p == s->end) {
		s->punct = -1;
		return 0;
	}
	s->punct = strchr("{};", *s->p) != NULL && *s->p != '\0' ? *s->p : 0;
	if (s->punct != 0) {
		s->p++;
		return 0;
	}
	return next_word(s, f);
}

static int
want(struct scan *s, char punct, const char *expected, struct fail *f)
{
	if (next(s, f) == -1)
		return -1;
	return s->punct == punct ? 0 : wrong(s, expected, f);
}

static int
set_algorithm(struct scan *s, struct tsig_key *key, struct fail *f)
{
	size_t i;

	for (i = 0; i < COUNT(algorithms); i++)
		if (text_case_eq(s->word, algorithms[i].name))
			key->algorithm = algorithms[i].name;
	return key->algorithm != NULL ? 0 :
	    fail(f, FAIL_INPUT, "line %u: expected algorithm hmac-sha256, hmac-sha384 or hmac-sha512",
		s->line);
}

/* Base64, all of it; never printed, not even in the failure. */
static int
set_secret(struct scan *s, struct tsig_key *key, struct fail *f)
{
	size_t n = strlen(s->word), pad = 0;
	unsigned char out[WORD_MAX];
	int len;

	while (pad < 2 && pad < n && s->word[n - 1 - pad] == '=')
		pad++;
	if (n == 0 || n % 4 != 0 ||
	    strspn(s->word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != n - pad ||
	    (len = EVP_DecodeBlock(out, (unsigned char *)s->word, n)) <= (int)pad ||
	    (size_t)len - pad > TSIG_SECRET_MAX)
		return wrong(s, "a secret in base64", f);
	buf_wipe(&key->secret);
	buf_add(&key->secret, out, len - pad);
	OPENSSL_cleanse(out, sizeof out);
	return 0;
}

static int
read_clause(struct scan *s, struct tsig_key *key, struct fail *f)
{
	int secret = text_case_eq(s->word, "secret");

	if (s->punct != 0 || (!secret && !text_case_eq(s->word, "algorithm")))
		return wrong(s, "algorithm, secret or }", f);
	if (secret ? key->secret.p != NULL : key->algorithm != NULL)
		return fail(f, FAIL_INPUT, "line %u: a second %s", s->line, secret ? "secret" : "algorithm");
	if (want(s, 0, secret ? "a secret in base64" : "an algorithm", f) == -1 ||
	    (secret ? set_secret(s, key, f) : set_algorithm(s, key, f)) == -1)
		return -1;
	return want(s, ';', "; behind it", f);
}

/* A domain name, here of the characters that need no escape in one. */
static int
set_name(struct scan *s, struct tsig_key *key, struct fail *f)
{
	size_t n = strlen(s->word);
	struct buf wire = BUF_INIT;
	int rc = -1;

	if (n > 0 && s->word[0] != '.' &&
	    strspn(s->word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == n)
		rc = dns_msg_put_name(&wire, s->word, NULL);
	buf_clear(&wire);
	if (rc == -1)
		return wrong(s, "the key's name, of letters, digits, - _ and .", f);
	key->name = xstrndup(s->word, s->word[n - 1] == '.' ? n - 1 : n);
	text_lower(key->name);
	return 0;
}

static int
read_key(struct scan *s, struct tsig_key *key, struct fail *f)
{
	if (next(s, f) == -1)
		return -1;
	if (s->punct != 0 || !text_case_eq(s->word, "key"))
		return wrong(s, "key \"NAME\" { algorithm ...; secret \"...\"; };", f);
	if (want(s, 0, "the key's name", f) == -1 || set_name(s, key, f) == -1 ||
	    want(s, '{', "{ behind the key's name", f) == -1 || next(s, f) == -1)
		return -1;
	while (s->punct != '}')
		if (read_clause(s, key, f) == -1 || next(s, f) == -1)
			return -1;
	if (key->algorithm == NULL || key->secret.p == NULL)
		return wrong(s, "both an algorithm and a secret before }", f);
	if (want(s, ';', "; behind }", f) == -1)
		return -1;
	return want(s, -1, "one key and nothing behind it", f);
}

int
tsig_key_parse(const char *text, size_t n, struct tsig_key *key, struct fail *f)
{
	struct scan s = { .p = text, .end = text + n, .line = 1 };
	int rc;

	*key = (struct tsig_key)TSIG_KEY_INIT;
	rc = read_key(&s, key, f);
	OPENSSL_cleanse(s.word, sizeof s.word);
	if (rc == -1)
		tsig_key_clear(key);
	return rc;
}

int
tsig_key_read(const char *path, struct tsig_key *key, struct fail *f)
{
	struct buf b = BUF_INIT;
	int rc;

	*key = (struct tsig_key)TSIG_KEY_INIT;
	if (file_read(path, TSIG_FILE_MAX, &b, f) == -1)
		return -1;
	if ((rc = tsig_key_parse(b.p != NULL ? b.p : "", b.len, key, f)) == -1)
		fail_prefix(f, "%.300s", path);
	buf_wipe(&b);
	return rc;
}

void
tsig_key_clear(struct tsig_key *key)
{
	free(key->name);
	buf_wipe(&key->secret);
	*key = (struct tsig_key)TSIG_KEY_INIT;
}

/* ---- signatures ---- */

/* The record as it comes, or is to go. */
struct record {
	uint64_t time;	/* 48 bits */
	unsigned fudge, id, error;
	const uint8_t *mac, *other;
	size_t nmac, nother;
};

static const EVP_MD *
digest_of(const struct tsig_key *key)
{
	size_t i;

	for (i = 0; i < COUNT(algorithms); i++)
		if (key->algorithm == algorithms[i].name)
			return algorithms[i].md();
	abort();
}

static void
put48(struct buf *b, uint64_t n)
{
	dns_msg_put16(b, n >> 32 & 0xffff);
	dns_msg_put32(b, n & 0xffffffff);
}

/* RFC 8945 4.3: the request's MAC, the message, and what the record says beside its MAC. */
static int
compute(const struct tsig_key *key, const struct tsig_mac *request, const void *msg, size_t n,
    const struct record *r, struct tsig_mac *out, struct fail *f)
{
	struct buf b = BUF_INIT;
	unsigned len = 0;
	int rc = -1;

	if (request != NULL) {
		dns_msg_put16(&b, request->len);
		buf_add(&b, request->v, request->len);
	}
	buf_add(&b, msg, n);
	if (dns_msg_put_name(&b, key->name, f) == -1)
		goto out;
	dns_msg_put16(&b, DNS_CLASS_ANY);
	dns_msg_put32(&b, 0);
	if (dns_msg_put_name(&b, key->algorithm, f) == -1)
		goto out;
	put48(&b, r->time);
	dns_msg_put16(&b, r->fudge);
	dns_msg_put16(&b, r->error);
	dns_msg_put16(&b, r->nother);
	buf_add(&b, r->other, r->nother);
	if (HMAC(digest_of(key), key->secret.p, key->secret.len, (unsigned char *)b.p, b.len, out->v, &len) ==
	    NULL)
		fail(f, FAIL_SYS, "HMAC failed");
	else
		rc = 0;
	out->len = len;
out:
	buf_clear(&b);
	return rc;
}

int
tsig_sign(const struct tsig_key *key, struct buf *msg, int64_t now, struct tsig_mac *mac, struct fail *f)
{
	struct record r = { .time = now, .fudge = TSIG_FUDGE };
	struct buf rdata = BUF_INIT;
	struct tsig_mac made;
	unsigned count;
	int rc;

	if (msg->len < DNS_MSG_HEADER)
		abort();
	r.id = dns_msg_get16((uint8_t *)msg->p);
	if (compute(key, NULL, msg->p, msg->len, &r, &made, f) == -1)
		return -1;
	if ((rc = dns_msg_put_name(&rdata, key->algorithm, f)) == 0) {
		put48(&rdata, r.time);
		dns_msg_put16(&rdata, r.fudge);
		dns_msg_put16(&rdata, made.len);
		buf_add(&rdata, made.v, made.len);
		dns_msg_put16(&rdata, r.id);
		dns_msg_put32(&rdata, 0);	/* error, other length */
		rc = dns_msg_put_rr(msg, key->name, DNS_RR_TSIG, DNS_CLASS_ANY, 0, rdata.p, rdata.len, f);
	}
	buf_clear(&rdata);
	count = dns_msg_get16((uint8_t *)msg->p + 10) + 1;
	msg->p[10] = count >> 8;
	msg->p[11] = count & 0xff;
	if (mac != NULL)
		*mac = made;
	return rc;
}

/* The last record, where the signature has to be; *at is its offset. */
static int
find_record(const uint8_t *p, size_t n, size_t *at, struct dns_msg_rr *rr, struct fail *f)
{
	struct dns_msg_head h;
	char name[DNS_MSG_NAME_MAX];
	size_t here = DNS_MSG_HEADER;
	unsigned i, total;

	if (dns_msg_get_head(p, n, &h, f) == -1)
		return -1;
	for (i = 0; i < h.count[0]; i++) {
		if (dns_msg_get_name(p, n, &here, name, f) == -1)
			return -1;
		if (n - here < 4)
			return fail(f, FAIL_PEER, "the answer ends within its question");
		here += 4;
	}
	total = h.count[1] + h.count[2] + h.count[3];
	rr->type = 0;
	for (i = 0; i < total; i++) {
		*at = here;
		if (dns_msg_get_rr(p, n, &here, rr, f) == -1)
			return -1;
		if (rr->type == DNS_RR_TSIG && i + 1 != total)
			return fail(f, FAIL_PEER, "the answer's TSIG is not its last record");
	}
	if (h.count[3] == 0 || rr->type != DNS_RR_TSIG)
		return fail(f, FAIL_PEER, "the answer is not signed (no TSIG)");
	return here == n ? 0 : fail(f, FAIL_PEER, "octets behind the answer's last record");
}

static int
read_record(const uint8_t *p, const struct dns_msg_rr *rr, char *algorithm, struct record *r, struct fail *f)
{
	size_t at = rr->rdata, end = rr->rdata + rr->len;

	if (dns_msg_get_name(p, end, &at, algorithm, f) == -1)
		return -1;
	if (end - at < 10)
		goto bad;
	r->time = (uint64_t)dns_msg_get16(p + at) << 32 | dns_msg_get32(p + at + 2);
	r->fudge = dns_msg_get16(p + at + 6);
	r->nmac = dns_msg_get16(p + at + 8);
	at += 10;
	if (end - at < r->nmac || end - at - r->nmac < 6)
		goto bad;
	r->mac = p + at;
	at += r->nmac;
	r->id = dns_msg_get16(p + at);
	r->error = dns_msg_get16(p + at + 2);
	r->nother = dns_msg_get16(p + at + 4);
	at += 6;
	if (end - at != r->nother)
		goto bad;
	r->other = p + at;
	return 0;
bad:
	return fail(f, FAIL_PEER, "the answer's TSIG cannot be read");
}

/* The message as it was signed: without the record, not counted, with the identifier from it. */
static void
without_record(const uint8_t *p, size_t at, unsigned id, struct buf *out)
{
	unsigned count = dns_msg_get16(p + 10) - 1;

	dns_msg_put16(out, id);
	buf_add(out, p + 2, 8);
	dns_msg_put16(out, count);
	buf_add(out, p + DNS_MSG_HEADER, at - DNS_MSG_HEADER);
}

static int
check_mac(const struct tsig_key *key, const uint8_t *p, size_t at, const struct tsig_mac *request,
    const struct record *r, struct fail *f)
{
	struct buf msg = BUF_INIT;
	struct tsig_mac made;
	int rc;

	without_record(p, at, r->id, &msg);
	rc = compute(key, request, msg.p, msg.len, r, &made, f);
	buf_clear(&msg);
	if (rc == -1)
		return -1;
	if (made.len != r->nmac || CRYPTO_memcmp(made.v, r->mac, made.len) != 0)
		return fail(f, FAIL_PEER, "the answer's TSIG does not hold: not by this key, or changed on its way");
	return 0;
}

int
tsig_verify(const struct tsig_key *key, const uint8_t *p, size_t n, const struct tsig_mac *request,
    int64_t now, struct tsig_said *said, struct fail *f)
{
	char algorithm[DNS_MSG_NAME_MAX];
	struct dns_msg_rr rr;
	struct record r = { 0 };
	size_t at = 0;
	int64_t off;

	*said = (struct tsig_said){ .there = 0 };
	if (find_record(p, n, &at, &rr, f) == -1 || read_record(p, &rr, algorithm, &r, f) == -1)
		return -1;
	said->there = 1;
	said->error = r.error;
	if (r.error == TSIG_BADTIME && r.nother == 6)
		said->server_time = (int64_t)((uint64_t)dns_msg_get16(r.other) << 32 | dns_msg_get32(r.other + 2));
	if (strcmp(rr.owner, key->name) != 0 || strcmp(algorithm, key->algorithm) != 0)
		return fail(f, FAIL_PEER, "the answer's TSIG is by another key or algorithm");
	if (check_mac(key, p, at, request, &r, f) == -1)
		return -1;
	/* RFC 8945 5.2.3; with BADTIME it repeats the request's time. */
	off = (int64_t)r.time - now;
	if (r.error != TSIG_BADTIME && (off > r.fudge || -off > r.fudge))
		return fail(f, FAIL_PEER, "the answer's TSIG is of another time: the clocks differ by %lld s",
		    (long long)off);
	return 0;
}
