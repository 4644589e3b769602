/*
 * DKIM: canonical forms and hashes by RFC 6376 3.4 and 3.5, the Ed25519 key and message of RFC 8463 appendix A; whose mail
 * it is.  That others find signatures good is tests/relay-tlsrpt.bats' affair.
 */
#include "dkim.h"

#include <openssl/evp.h>

#include <stdlib.h>

#include "alloc.h"
#include "key.h"
#include "unit.h"

static EVP_PKEY *
ed25519(void)
{
	/* RFC 8463 A.2. */
	static const char seed[] = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
	uint8_t raw[32];

	text_unbase64(seed, raw, sizeof raw);
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
}

/* Fed in pieces of n octets. */
static char *
sign(const char *message, size_t n, EVP_PKEY *key, struct fail *f)
{
	struct dkim_signer s = { .domain = "football.example.com", .selector = "brisbane", .key = key };
	struct dkim *d = dkim_new(f);
	size_t i, len = strlen(message);
	struct buf b = BUF_INIT;
	char *text = NULL;
	int rc = 0;

	for (i = 0; rc == 0 && i < len; i += n)
		rc = dkim_feed(d, message + i, len - i < n ? len - i : n, f);
	if (rc == 0 && dkim_sign(d, &s, 1528637909, &b, f) == 0)
		text = buf_steal(&b);
	buf_clear(&b);
	dkim_free(d);
	return text;
}

/* The value of bh=. */
static void
body_hash(const char *field, char dst[64])
{
	const char *p = strstr(field, "bh=");
	size_t n = p != NULL ? strcspn(p + 3, ";") : 0;

	snprintf(dst, 64, "%.*s", (int)(n < 60 ? n : 60), p != NULL ? p + 3 : "");
}

#define FROM "From: a@b\r\n\r\n"
/* By `printf ... | openssl dgst -sha256 -binary | base64`. */
#define EMPTY "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void
test_bodies(void)
{
	static const struct {
		const char *body, *same;	/* both have one relaxed form */
	} rows[] = {
		{ "", "\r\n \r\n\t\r\n" },
		{ "x\r\n", "x" },
		{ "x\r\n", "x  \t\r\n\r\n   \r\n" },
		{ " x y\r\n", "\t \tx  \t y \r\n" },
		{ "a\r\n\r\nb\r\n", "a\r\n \t\r\nb\r\n\r\n" },
		{ "\r\na\r\n", " \r\na\r\n" },
		{ "a\rb\r\n", "a\rb" },
	};
	EVP_PKEY *key = ed25519();
	struct fail f = FAIL_INIT;
	char one[64], two[64];
	size_t i, n;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *a = xasprintf(FROM "%s", rows[i].body), *b = xasprintf(FROM "%s", rows[i].same);

		for (n = 1; n < 20; n += 6) {
			char *x = sign(a, n, key, &f), *y = sign(b, n + 1, key, &f);

			body_hash(x, one);
			body_hash(y, two);
			unit_str(one, two, "row %zu, in pieces of %zu", i, n);
			if (i == 0)
				unit_str(one, EMPTY, "nothing is hashed of no body");
			free(x);
			free(y);
		}
		free(a);
		free(b);
	}
	EVP_PKEY_free(key);
}

/* RFC 8463 A: the body's hash is told there; the signature is over other fields than ours. */
static void
test_rfc8463(void)
{
	static const char message[] = "From: Joe SixPack <joe@football.example.com>\r\n"
	    "To: Suzie Q <suzie@shopping.example.net>\r\nSubject: Is dinner ready?\r\n"
	    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
	    "\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
	static const char begin[] = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n\td=football.example.com; "
	    "s=brisbane;\r\n\tt=1528637909; h=From:From:Reply-To:Subject:Subject:Date:Date:Message-ID:\r\n\t "
	    "Message-ID:To:To:Cc:Content-Type:TLS-Required;\r\n\tbh=";
	EVP_PKEY *key = ed25519();
	struct fail f = FAIL_INIT;
	char *text = sign(message, 1000, key, &f), *again = sign(message, 1, key, &f), hash[64];
	struct buf b = BUF_INIT;
	const char *line, *end;

	body_hash(text, hash);
	unit_str(hash, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=", "the hash of the body");
	unit_str(text, again, "the pieces do not matter");
	unit_ok(strncmp(text, begin, sizeof begin - 1) == 0, "the field: %s", text);
	unit_ok(strstr(text, " l=") == NULL, "no l= (RFC 8460 3)");
	for (line = text; (end = strstr(line, "\r\n")) != NULL && end - line <= 78; line = end + 2)
		;
	unit_str(line, "", "no line is long");
	dkim_record(&b, key, NULL, &f);
	unit_str(b.p, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "the record of RFC 8463 A.2");
	b.len = 0;
	dkim_record(&b, key, "tlsrpt", &f);
	unit_str(b.p, "v=DKIM1; k=ed25519; s=tlsrpt; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "of a service");
	buf_clear(&b);
	free(text);
	free(again);
	EVP_PKEY_free(key);
}

static void
test_refused(void)
{
	EVP_PKEY *key = ed25519(), *ec = key_generate("ec:p256", NULL);
	struct fail f = FAIL_INIT;
	struct buf b = BUF_INIT;
	char *text = sign("Subject: x\r\n\r\n", 100, key, &f);
	size_t i;

	unit_str(text, NULL, "without From");
	unit_str(f.text, "it has no From", "so it says");
	for (i = 0; i < 20000; i++)
		buf_puts(&b, "X-Field: value\r\n");
	unit_str(sign(b.p, 1000, key, &f), NULL, "a header without end");
	buf_clear(&b);
	for (i = 0; i < 1000; i++)
		buf_puts(&b, "To: x@y\r\n");
	buf_puts(&b, "From: a@b\r\n\r\n");
	f = (struct fail)FAIL_INIT;
	text = sign(b.p, 1000, key, &f);
	unit_ok(text != NULL && strlen(text) < 2000, "many fields: %s", f.text);
	free(text);
	buf_clear(&b);
	unit_int(dkim_check_key(key, &f), 0, "Ed25519");
	unit_int(dkim_check_key(ec, &f), -1, "EC is none of DKIM's");
	EVP_PKEY_free(key);
	EVP_PKEY_free(ec);
}

static void
test_from(void)
{
	static const struct {
		const char *header, *domain;
	} rows[] = {
		{ "From: a@B.Example\r\n\r\n", "b.example" },
		{ "Subject: x\r\nfrom : \r\n\t\"x <y@z.example>, \\\" \" (c@d.example (e)) < a@b.example >\r\n\r\n", "b.example" },
		{ "From: =?utf-8?q?x?= <\"a b\"@b.example>\r\n\r\n", "b.example" },
		{ "From: J\xc3\xb6rg <j@b\xc3\xbc\x63her.example>\r\n\r\n", "xn--bcher-kva.example" },
		{ "From: a@b.example, c@d.example\r\n\r\n", NULL },
		{ "From: group: a@b.example;\r\n\r\n", NULL },
		{ "From: <a@b.example> c@d.example\r\n\r\n", NULL },
		{ "From: <a@b.example><c@d.example>\r\n\r\n", NULL },
		{ "From: a@b.example\r\nFrom: c@d.example\r\n\r\n", NULL },
		{ "From: a@[192.0.2.1]\r\n\r\n", NULL },
		{ "From: a@c.example@b.example\r\n\r\n", NULL },
		{ "From: a\r\n\r\n", NULL },
		{ "From: <>\r\n\r\n", NULL },
		{ "From:\r\n\r\n", NULL },
		{ "Subject: x\r\n\r\nFrom: a@b.example\r\n", NULL },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *domain = dkim_from_domain(rows[i].header, strlen(rows[i].header));

		unit_str(domain, rows[i].domain, "row %zu", i);
		free(domain);
	}
}

int
main(void)
{
	test_bodies();
	test_rfc8463();
	test_refused();
	test_from();
	return unit_done();
}
