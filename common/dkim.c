#include "dkim.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "alloc.h"
#include "header.h"
#include "key.h"
#include "name.h"
#include "ossl.h"

#define LINE 72			/* where a field is folded */
#define SIGNATURE_MAX 2048	/* octets: RSA of 16384 bits */

/*
 * RFC 6376 5.4.1: what a reader sees or a program acts on, and what RFC 8460 and RFC 8689 have programs act on.  Not those that
 * hosts on the way change.
 */
enum over { OVER_NOT, OVER_THERE, OVER_ALWAYS };

/*
 * Over: signed once more than it is there (RFC 6376 8.15), so that nobody can put another one in front of what was signed and
 * have the signature stand. Those that mail often lacks and a host on the way adds only where they are there.
 */
static const struct {
	const char *name;
	enum over over;
} fields[] = { { "From", OVER_ALWAYS }, { "Sender", OVER_THERE }, { "Reply-To", OVER_ALWAYS }, { "Subject", OVER_ALWAYS },
	{ "Date", OVER_THERE }, { "Message-ID", OVER_THERE }, { "To", OVER_ALWAYS }, { "Cc", OVER_ALWAYS },
	{ "MIME-Version", OVER_THERE }, { "Content-Type", OVER_ALWAYS }, { "Content-Transfer-Encoding", OVER_THERE },
	{ "Content-ID", OVER_NOT }, { "Content-Description", OVER_NOT }, { "Content-Disposition", OVER_THERE },
	{ "In-Reply-To", OVER_THERE }, { "References", OVER_THERE }, { "Resent-From", OVER_NOT }, { "Resent-Sender", OVER_NOT },
	{ "Resent-To", OVER_NOT }, { "Resent-Cc", OVER_NOT }, { "Resent-Date", OVER_NOT }, { "Resent-Message-ID", OVER_NOT },
	{ "List-Id", OVER_THERE }, { "List-Help", OVER_NOT }, { "List-Unsubscribe", OVER_THERE },
	{ "List-Unsubscribe-Post", OVER_THERE }, { "List-Subscribe", OVER_NOT }, { "List-Post", OVER_NOT },
	{ "List-Owner", OVER_NOT }, { "List-Archive", OVER_NOT }, { "Auto-Submitted", OVER_THERE }, { "TLS-Required", OVER_ALWAYS },
	{ "TLS-Report-Domain", OVER_THERE }, { "TLS-Report-Submitter", OVER_THERE } };

struct dkim {
	struct buf header;		/* as it came */
	int in_body;
	EVP_MD_CTX *body;
	int blank, content, cr;		/* of the body's line: white space waits; something was written; CR came last */
	size_t empty;			/* lines that wait: at the end they do not count */
	uint8_t hash[32];
	int hashed;
};

int
dkim_check_key(const EVP_PKEY *key, struct fail *f)
{
	char *what;

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		return 0;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		return key_check_strength(key, f);
	what = key_describe(key);
	fail(f, FAIL_POLICY, "a key of type %s: DKIM has rsa and ed25519 only (RFC 8301, RFC 8463)", what);
	free(what);
	return -1;
}

struct dkim *
dkim_new(struct fail *f)
{
	struct dkim *d = xcalloc(1, sizeof *d);

	ossl_clear();
	if ((d->body = EVP_MD_CTX_new()) == NULL || EVP_DigestInit_ex(d->body, EVP_sha256(), NULL) != 1) {
		fail_ossl(f, FAIL_SYS, "SHA-256");
		dkim_free(d);
		return NULL;
	}
	return d;
}

void
dkim_free(struct dkim *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->body);
	buf_clear(&d->header);
	free(d);
}

/* ---- the body: RFC 6376 3.4.4 ---- */

static void
hash(struct dkim *d, const char *p, size_t n)
{
	if (n > 0 && EVP_DigestUpdate(d->body, p, n) != 1)
		alloc_failed();
}

static void
end_line(struct dkim *d)
{
	if (d->content)
		hash(d, "\r\n", 2);
	else
		d->empty++;
	d->content = d->blank = 0;
}

/* Before octets of a line that are neither white space nor its end. */
static void
begin_words(struct dkim *d)
{
	for (; d->empty > 0; d->empty--)
		hash(d, "\r\n", 2);
	if (d->blank)
		hash(d, " ", 1);
	if (d->cr)
		hash(d, "\r", 1);
	d->blank = d->cr = 0;
	d->content = 1;
}

static void
feed_body(struct dkim *d, const char *p, size_t n)
{
	const char *end = p + n, *start;

	while (p < end) {
		if (*p == '\n' && d->cr) {
			d->cr = 0;
			end_line(d);
			p++;
		} else if (*p == '\r') {
			if (d->cr)
				begin_words(d);
			d->cr = 1;
			p++;
		} else if (*p == ' ' || *p == '\t') {
			if (d->cr)
				begin_words(d);
			d->blank = 1;
			p++;
		} else {
			begin_words(d);
			for (start = p; p < end && *p != '\r' && *p != ' ' && *p != '\t'; p++)
				;
			hash(d, start, (size_t)(p - start));
		}
	}
}

static void
finish_body(struct dkim *d)
{
	if (d->hashed)
		return;
	d->hashed = 1;
	if (d->cr)
		begin_words(d);
	if (d->content)
		hash(d, "\r\n", 2);
	if (EVP_DigestFinal_ex(d->body, d->hash, NULL) != 1)
		alloc_failed();
}

/* The header is kept until its empty line has come. */
int
dkim_feed(struct dkim *d, const void *p, size_t n, struct fail *f)
{
	size_t before = d->header.len, head;

	if (d->in_body) {
		feed_body(d, p, n);
		return 0;
	}
	buf_add(&d->header, p, n);
	if ((head = header_length(d->header.p, d->header.len)) == 0) {
		if (d->header.len <= DKIM_HEADER_MAX)
			return 0;
		return fail(f, FAIL_INPUT, "its header is longer than %d octets", DKIM_HEADER_MAX);
	}
	d->in_body = 1;
	d->header.len = head;
	feed_body(d, (const char *)p + (head - before), n - (head - before));
	return 0;
}

/* ---- the header: RFC 6376 3.4.2 ---- */

struct field {
	const char *p;
	size_t len;		/* with its line end */
};

static int
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The field that begins at p: where the next does. */
static const char *
field_end(const char *p, const char *end)
{
	do {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p != NULL ? p + 1 : end;
	} while (p < end && (*p == ' ' || *p == '\t'));
	return p;
}

static int
is_named(const struct field *x, const char *name)
{
	size_t n = strlen(name);

	if (x->len <= n || strncasecmp(x->p, name, n) != 0)
		return 0;
	while (n < x->len && (x->p[n] == ' ' || x->p[n] == '\t'))
		n++;
	return n < x->len && x->p[n] == ':';
}

static void
put_relaxed(struct buf *b, const struct field *x)
{
	const char *p = x->p, *end = x->p + x->len, *colon = memchr(p, ':', x->len);
	int blank = 0;

	for (; p < colon && !is_space(*p); p++)
		buf_putc(b, (char)tolower((unsigned char)*p));
	buf_putc(b, ':');
	for (p = colon + 1; p < end && is_space(*p); p++)
		;
	for (; p < end; p++) {
		if (is_space(*p)) {
			blank = 1;
			continue;
		}
		if (blank)
			buf_putc(b, ' ');
		blank = 0;
		buf_putc(b, *p);
	}
}

/* All fields of the name, from the last to the first (5.4.2), to the data; and its name to the list, for each. */
static size_t
take_fields(const struct dkim *d, const char *name, struct buf *data, struct buf *list, size_t *room)
{
	const char *p = d->header.p, *end = p + d->header.len, *next;
	struct field found[DKIM_FIELDS_MAX];
	size_t n = 0, i;

	for (; p < end; p = next) {
		struct field x = { .p = p };

		next = field_end(p, end);
		x.len = (size_t)(next - p);
		if (n < *room && is_named(&x, name))
			found[n++] = x;
	}
	*room -= n;
	for (i = n; i-- > 0;) {
		put_relaxed(data, &found[i]);
		buf_puts(data, "\r\n");
		buf_printf(list, ":%s", name);
	}
	return n;
}

/* ---- the signature ---- */

static void
put_base64(struct buf *b, const uint8_t *p, size_t n)
{
	char text[(SIGNATURE_MAX + 2) / 3 * 4 + 1];
	int len = EVP_EncodeBlock((unsigned char *)text, p, (int)n);

	buf_add(b, text, (size_t)len);
}

/* Folded where that is allowed: behind a colon of h= (3.5), anywhere in b=. */
static void
put_folded(struct buf *b, const char *s, int anywhere)
{
	size_t column = 8;

	for (; *s != '\0'; s++) {
		size_t word = anywhere ? 1 : strcspn(s, ":") + 1;

		if (column + word > LINE) {
			buf_puts(b, "\r\n\t ");
			column = 8;
		}
		for (; word > 1 && s[1] != '\0'; word--, column++)
			buf_putc(b, *s++);
		buf_putc(b, *s);
		column++;
	}
}

static int
sign_data(const struct buf *data, EVP_PKEY *key, uint8_t *sig, size_t *len, struct fail *f)
{
	int ed = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519, rc = -1;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[32];
	const uint8_t *p = (const uint8_t *)data->p;
	size_t n = data->len;

	ossl_clear();
	/* RFC 8463 3: Ed25519 signs the hash. */
	if (ed && EVP_Digest(p, n, digest, NULL, EVP_sha256(), NULL) == 1) {
		p = digest;
		n = sizeof digest;
	}
	if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, ed ? NULL : EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(ctx, sig, len, p, n) == 1)
		rc = 0;
	else
		fail_ossl(f, FAIL_SYS, "a DKIM signature");
	EVP_MD_CTX_free(ctx);
	return rc;
}

int
dkim_sign(struct dkim *d, const struct dkim_signer *s, int64_t now, struct buf *out, struct fail *f)
{
	struct buf data = BUF_INIT, list = BUF_INIT, field = BUF_INIT, text = BUF_INIT;
	size_t room = DKIM_FIELDS_MAX, len = SIGNATURE_MAX, i, froms = 0;
	uint8_t sig[SIGNATURE_MAX];
	int rc = -1;

	finish_body(d);
	for (i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		size_t n = take_fields(d, fields[i].name, &data, &list, &room);

		if (i == 0)
			froms = n;
		if (fields[i].over == OVER_ALWAYS || (fields[i].over == OVER_THERE && n > 0))
			buf_printf(&list, ":%s", fields[i].name);
	}
	buf_printf(&field, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%s; s=%s;\r\n\tt=%" PRId64 "; h=",
	    EVP_PKEY_get_base_id(s->key) == EVP_PKEY_ED25519 ? "ed25519-sha256" : "rsa-sha256", s->domain, s->selector, now);
	put_folded(&field, list.p + 1, 0);
	buf_puts(&field, ";\r\n\tbh=");
	put_base64(&field, d->hash, sizeof d->hash);
	buf_puts(&field, ";\r\n\tb=");
	/* 3.7: itself with b= empty, and without its line end. */
	put_relaxed(&data, &(struct field){ field.p, field.len });
	if (froms == 0)
		fail(f, FAIL_INPUT, "it has no From");
	else if (sign_data(&data, s->key, sig, &len, f) == 0) {
		put_base64(&text, sig, len);
		put_folded(&field, text.p, 1);
		buf_printf(out, "%s\r\n", field.p);
		rc = 0;
	}
	buf_clear(&data);
	buf_clear(&list);
	buf_clear(&field);
	buf_clear(&text);
	return rc;
}

/* ---- whose mail it is ---- */

/* Comments and quoted strings out (RFC 5322 3.2.2, 3.2.4), which may hold anything; of a quoted string a "q" stays. */
static void
strip(const char *s, size_t n, struct buf *b)
{
	size_t i, depth = 0;
	int quoted = 0;

	for (i = 0; i < n; i++) {
		if (s[i] == '\\' && (quoted || depth > 0)) {
			i++;
		} else if (quoted) {
			quoted = s[i] != '"';
		} else if (s[i] == '(') {
			depth++;
		} else if (s[i] == ')' && depth > 0) {
			depth--;
		} else if (depth == 0 && s[i] == '"') {
			quoted = 1;
			buf_putc(b, 'q');
		} else if (depth == 0 && !is_space(s[i]))
			buf_putc(b, s[i]);
	}
}

/* user@domain, or words<user@domain>, and nothing else: its domain. */
static const char *
only_domain(char *s)
{
	char *open = strchr(s, '<'), *close, *at;

	if (strpbrk(s, ",;:") != NULL)
		return NULL;
	if (open != NULL) {
		if ((close = strchr(open, '>')) == NULL || close[1] != '\0' || strchr(open + 1, '<') != NULL)
			return NULL;
		*close = '\0';
		s = open + 1;
	}
	if ((at = strchr(s, '@')) == NULL || at == s || strchr(at + 1, '@') != NULL)
		return NULL;
	return at + 1;
}

char *
dkim_from_domain(const char *s, size_t n)
{
	struct buf b = BUF_INIT;
	const char *value, *domain;
	char *ascii = NULL;
	size_t len;

	if (header_find(s, n, "From", &value, &len) != 1 || memchr(value, '\0', len) != NULL)
		return NULL;
	strip(value, len, &b);
	if (b.p != NULL && (domain = only_domain(b.p)) != NULL && (ascii = name_to_ascii(domain, NULL)) != NULL &&
	    !name_is_host(ascii, NAME_UNDERSCORE)) {
		free(ascii);
		ascii = NULL;
	}
	buf_clear(&b);
	return ascii;
}

/* ---- the record ---- */

int
dkim_record(struct buf *b, const EVP_PKEY *key, const char *service, struct fail *f)
{
	struct buf der = BUF_INIT;
	int ed = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519, rc;
	uint8_t raw[32];
	size_t len = sizeof raw;

	ossl_clear();
	/* RFC 8463 4.2: the key alone. */
	if (!ed)
		rc = key_spki(key, &der, f);
	else if (EVP_PKEY_get_raw_public_key(key, raw, &len) == 1) {
		buf_add(&der, raw, len);
		rc = 0;
	} else
		rc = fail_ossl(f, FAIL_SYS, "a public key");
	if (rc == 0 && der.len > SIGNATURE_MAX)
		rc = fail(f, FAIL_POLICY, "a key too large for a record");
	if (rc == 0) {
		buf_printf(b, "v=DKIM1; k=%s;%s%s%s p=", ed ? "ed25519" : "rsa", service != NULL ? " s=" : "",
		    service != NULL ? service : "", service != NULL ? ";" : "");
		put_base64(b, (const uint8_t *)der.p, der.len);
	}
	buf_clear(&der);
	return rc;
}
