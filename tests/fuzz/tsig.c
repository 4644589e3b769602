/*
 * Key files for TSIG, and answers that claim to be signed: a key that is read signs, and what it signs holds; what
 * was changed does not.
 * fuzz: tsig dns_msg file text fail alloc
 */
#include "tsig.h"

#include "dns_msg.h"

#include "fuzz.h"

#define NOW 1700000000

static const struct tsig_mac request = { .v = { 1, 2, 3 }, .len = 32 };

/* Its own signature, of a query, is verified as that of an answer would be: with no request before it. */
static void
use_key(const struct tsig_key *key)
{
	struct buf msg = BUF_INIT;
	struct tsig_mac mac;
	struct tsig_said said;

	MUST(key->name[0] != '\0' && key->secret.len > 0 && key->secret.len <= TSIG_SECRET_MAX);
	MUST(dns_msg_query(&msg, "example.org", 6, NULL) == 0);
	MUST(tsig_sign(key, &msg, NOW, &mac, NULL) == 0);
	MUST(tsig_verify(key, (uint8_t *)msg.p, msg.len, NULL, NOW, &said, NULL) == 0);
	MUST(said.there && said.error == 0);
	MUST(tsig_verify(key, (uint8_t *)msg.p, msg.len, &mac, NOW, &said, NULL) == -1);
	msg.p[14] ^= 1;
	MUST(tsig_verify(key, (uint8_t *)msg.p, msg.len, NULL, NOW, &said, NULL) == -1);
	buf_clear(&msg);
}

static void
answer(const uint8_t *data, size_t n)
{
	struct tsig_key key = TSIG_KEY_INIT;
	struct fail f = FAIL_INIT;
	struct tsig_said said;

	MUST(tsig_key_parse("key k{algorithm hmac-sha256;secret AAAA;};", 42, &key, NULL) == 0);
	if (tsig_verify(&key, data, n, &request, NOW, &said, &f) == -1)
		MUST(f.kind == FAIL_PEER && f.text[0] != '\0');
	tsig_key_clear(&key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tsig_key key;
	struct fail f = FAIL_INIT;

	if (tsig_key_parse((const char *)data, n, &key, &f) == 0)
		use_key(&key);
	else
		MUST(f.kind == FAIL_INPUT && strncmp(f.text, "line ", 5) == 0);
	tsig_key_clear(&key);
	answer(data, n);
	return 0;
}
