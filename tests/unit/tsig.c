/*
 * Key files, and signatures: the vectors were made with Python's hmac from RFC 8945 4.3, and BIND agrees with us in
 * tests/tlsa-dns.bats.
 */
#include "tsig.h"

#include <stdlib.h>

#include "dns_msg.h"
#include "unit.h"

#define NOW 1700000000

static void
test_keys(void)
{
	static const struct {
		const char *text, *name, *algorithm, *error;
	} rows[] = {
		{ "key \"k\" {\n\talgorithm hmac-sha256;\n\tsecret \"AAAA\";\n};\n", "k", "hmac-sha256", NULL },
		{ "key K.Example. { secret AAAA; algorithm HMAC-SHA384; };", "k.example", "hmac-sha384", NULL },
		{ "# a\n// b\n/* c\n*/key k{algorithm hmac-sha512;secret AA==;};", "k", "hmac-sha512", NULL },
		{ "key k { algorithm \"hmac-sha256\"; secret AAA=; }; // end", "k", "hmac-sha256", NULL },
		{ "", NULL, NULL, "line 1: expected key \"NAME\" { algorithm ...; secret \"...\"; };" },
		{ "\n\nzone x;", NULL, NULL, "line 3: expected key \"NAME\" { algorithm ...; secret \"...\"; };" },
		{ "hmac-sha256:k:AAAA", NULL, NULL,
		    "line 1: expected key \"NAME\" { algorithm ...; secret \"...\"; };" },
		{ "key {", NULL, NULL, "line 1: expected the key's name" },
		{ "key \"a b\" {", NULL, NULL, "line 1: expected the key's name, of letters, digits, - _ and ." },
		{ "key a..b {", NULL, NULL, "line 1: expected the key's name, of letters, digits, - _ and ." },
		{ "key k;", NULL, NULL, "line 1: expected { behind the key's name" },
		{ "key k {\nalgorithm hmac-md5;", NULL, NULL,
		    "line 2: expected algorithm hmac-sha256, hmac-sha384 or hmac-sha512" },
		{ "key k {\nalgorithm hmac-sha256 secret", NULL, NULL, "line 2: expected ; behind it" },
		{ "key k { algorithm hmac-sha256; algorithm hmac-sha256; };", NULL, NULL,
		    "line 1: a second algorithm" },
		{ "key k { secret A; };", NULL, NULL, "line 1: expected a secret in base64" },
		{ "key k { secret \"AA=A\"; };", NULL, NULL, "line 1: expected a secret in base64" },
		{ "key k { secret \"====\"; };", NULL, NULL, "line 1: expected a secret in base64" },
		{ "key k { secret \"AA\nAA\"; };", NULL, NULL, "line 1: expected a closing quotation mark" },
		{ "key k { secret \"AAAA", NULL, NULL, "line 1: expected a closing quotation mark" },
		{ "key k { secret AAAA;\n};", NULL, NULL,
		    "line 2: expected both an algorithm and a secret before }" },
		{ "key k { algorithm hmac-sha256; secret AAAA; }", NULL, NULL, "line 1: expected ; behind }" },
		{ "key k { algorithm hmac-sha256; secret AAAA; };\nkey l {", NULL, NULL,
		    "line 2: expected one key and nothing behind it" },
		{ "key k { size 3; };", NULL, NULL, "line 1: expected algorithm, secret or }" },
		{ "/* key k {", NULL, NULL, "line 1: expected key \"NAME\" { algorithm ...; secret \"...\"; };" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct tsig_key key;
		struct fail f = FAIL_INIT;
		int rc = tsig_key_parse(rows[i].text, strlen(rows[i].text), &key, &f);

		unit_str(rc == 0 ? NULL : f.text, rows[i].error, "key file %zu", i);
		unit_str(key.name, rows[i].name, "its name");
		unit_str(key.algorithm, rows[i].algorithm, "its algorithm");
		tsig_key_clear(&key);
	}
}

static void
read_key(struct tsig_key *key, const char *name, const char *algorithm)
{
	char text[200];

	snprintf(text, sizeof text, "key %s { algorithm %s; secret \"AAECAwQFBgcICQoLDA0ODw==\"; };", name, algorithm);
	if (tsig_key_parse(text, strlen(text), key, NULL) == -1)
		abort();
}

/* A question for example.org SOA with identifier 0x1234. */
static void
question(struct buf *b)
{
	struct dns_msg_head h = { .id = 0x1234, .count = { 1 } };

	dns_msg_put_head(b, &h);
	if (dns_msg_put_name(b, "example.org", NULL) == -1)
		abort();
	dns_msg_put16(b, 6);
	dns_msg_put16(b, 1);
}

static void
test_vectors(void)
{
	static const struct {
		const char *algorithm, *mac;
	} rows[] = {
		{ "hmac-sha256", "9a75a2c48b45b8cb7de8ee5981076c54d5e6e1274d64bac231d74acda90b5907" },
		{ "hmac-sha384", "1356fc6e03411d1e383263d28fcabf57237bcc39102968c12849d28d0532009687395bfe3b8fea1a"
		    "89495bf4acd6999b" },
		{ "hmac-sha512", "16e443646df2af7ae9859bf7964bb72d9b02ce4602dd9eef35442eea854166fe5ce2f8fbdeea6937"
		    "78c10b9e6f49cb0e5abbd1750b68c204e6113fa7c9987e9b" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf msg = BUF_INIT;
		struct tsig_key key;
		struct tsig_mac mac;
		char hex[2 * TSIG_MAC_MAX + 1];

		read_key(&key, "k.example", rows[i].algorithm);
		question(&msg);
		unit_int(tsig_sign(&key, &msg, NOW, &mac, NULL), 0, "%s signs", rows[i].algorithm);
		text_hex(hex, mac.v, mac.len);
		unit_str(hex, rows[i].mac, "%s: the MAC", rows[i].algorithm);
		unit_int((uint8_t)msg.p[11], 1, "%s: the record is counted", rows[i].algorithm);
		tsig_key_clear(&key);
		buf_clear(&msg);
	}
}

/* A record on an answer with this time, error and the other side's time (0: none), signed or without a MAC. */
static void
signed_answer(struct buf *b, const struct tsig_key *key, int64_t when)
{
	question(b);
	if (tsig_sign(key, b, when, NULL, NULL) == -1)
		abort();
}

static void
unsigned_answer(struct buf *b, unsigned error, int64_t other)
{
	struct buf rdata = BUF_INIT;

	question(b);
	b->p[11] = 1;
	if (dns_msg_put_name(&rdata, "hmac-sha256", NULL) == -1)
		abort();
	dns_msg_put16(&rdata, 0);
	dns_msg_put32(&rdata, NOW);
	dns_msg_put16(&rdata, 300);
	dns_msg_put16(&rdata, 0);
	dns_msg_put16(&rdata, 0x1234);
	dns_msg_put16(&rdata, error);
	dns_msg_put16(&rdata, other != 0 ? 6 : 0);
	if (other != 0) {
		dns_msg_put16(&rdata, 0);
		dns_msg_put32(&rdata, other);
	}
	if (dns_msg_put_rr(b, "k", 250, 255, 0, rdata.p, rdata.len, NULL) == -1)
		abort();
	buf_clear(&rdata);
}

static const char *
verdict(const struct tsig_key *key, const struct buf *b, int64_t now, struct tsig_said *said)
{
	static struct fail f;

	f = (struct fail)FAIL_INIT;
	return tsig_verify(key, (uint8_t *)b->p, b->len, NULL, now, said, &f) == 0 ? "holds" : f.text;
}

#define BROKEN "the answer's TSIG does not hold: not by this key, or changed on its way"

static void
test_answers(void)
{
	struct buf b = BUF_INIT;
	struct tsig_key key, other;
	struct tsig_said said;

	read_key(&key, "k", "hmac-sha256");
	read_key(&other, "l", "hmac-sha256");
	signed_answer(&b, &key, NOW);
	unit_str(verdict(&key, &b, NOW, &said), "holds", "a signature");
	unit_str(verdict(&key, &b, NOW + 300, &said), "holds", "five minutes later");
	unit_str(verdict(&key, &b, NOW + 301, &said),
	    "the answer's TSIG is of another time: the clocks differ by -301 s", "and a second more");
	unit_str(verdict(&key, &b, NOW - 301, &said),
	    "the answer's TSIG is of another time: the clocks differ by 301 s", "five minutes earlier and a second");
	unit_str(verdict(&other, &b, NOW, &said), "the answer's TSIG is by another key or algorithm", "another key");
	b.p[0] ^= 1;	/* forwarders change the identifier: the original one is in the record */
	unit_str(verdict(&key, &b, NOW, &said), "holds", "another identifier");
	b.p[13] ^= 1;
	unit_str(verdict(&key, &b, NOW, &said), BROKEN, "a changed question");
	b.p[13] ^= 1;
	buf_putc(&b, 0);
	unit_str(verdict(&key, &b, NOW, &said), "octets behind the answer's last record", "an octet behind it");
	buf_clear(&b);
	question(&b);
	unit_str(verdict(&key, &b, NOW, &said), "the answer is not signed (no TSIG)", "no signature");
	buf_clear(&b);
	unsigned_answer(&b, TSIG_BADKEY, 0);
	unit_str(verdict(&key, &b, NOW, &said), BROKEN, "BADKEY comes without a MAC");
	unit_int(said.error, TSIG_BADKEY, "and is told");
	buf_clear(&b);
	unsigned_answer(&b, TSIG_BADTIME, NOW + 1000);
	unit_str(verdict(&key, &b, NOW, &said), BROKEN, "BADTIME without a MAC");
	unit_int(said.server_time, NOW + 1000, "the server's time");
	buf_clear(&b);
	buf_add(&b, "\x12\x34\x84\x00\xff\xff\xff\xff\xff\xff\xff\xff\xc0\x0c", 14);
	unit_str(verdict(&key, &b, NOW, &said), "offset 12: not a DNS name", "a name that is itself");
	buf_clear(&b);
	tsig_key_clear(&key);
	tsig_key_clear(&other);
}

static void
test_names(void)
{
	static const struct {
		const char *in;
		int ok;
	} rows[] = {
		{ "example.org", 1 }, { "example.org.", 1 }, { ".", 1 }, { "_25._tcp.MX.example.", 1 }, { "*.x", 1 },
		{ "a..b", 0 }, { ".a", 0 }, { "a\\.b", 0 },
		{ "123456789012345678901234567890123456789012345678901234567890123.x", 1 },
		{ "1234567890123456789012345678901234567890123456789012345678901234.x", 0 },
	};
	char out[DNS_MSG_NAME_MAX], want[DNS_MSG_NAME_MAX];
	size_t i, n, at;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b = BUF_INIT;

		unit_int(dns_msg_put_name(&b, rows[i].in, NULL), rows[i].ok ? 0 : -1, "name %zu", i);
		at = 0;
		if (rows[i].ok) {
			snprintf(want, sizeof want, "%s", rows[i].in);
			text_lower(want);
			n = strlen(want);
			if (n > 1 && want[n - 1] == '.')
				want[n - 1] = '\0';
			unit_int(dns_msg_get_name((uint8_t *)b.p, b.len, &at, out, NULL), 0, "is read again");
			unit_str(out, want, "and is the same");
			unit_int(at, b.len, "to its end");
		}
		buf_clear(&b);
	}
}

int
main(void)
{
	test_keys();
	test_vectors();
	test_answers();
	test_names();
	return unit_done();
}
