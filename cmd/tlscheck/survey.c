#include "survey.h"

#include <string.h>

/*
 * In TLS 1.2 a server chooses its certificate by the signature algorithms as well as in 1.3 (RFC 5246 7.4.2),
 * and OpenSSL leaves out the cipher suites that need another key, which decides before.
 */
static const struct offered {
	const char *name;
	struct reach_offer offer;
	int key, version;
} steps[SURVEY_STEPS] = {
	[SURVEY_FIRST] = { .name = "first", .key = 1 },
	[SURVEY_RESUME] = { .name = "resumption" },
	[SURVEY_RSA] = { .name = "RSA", .key = 1,
	    .offer.sigalgs = "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:rsa_pss_pss_sha256:"
		"rsa_pss_pss_sha384:rsa_pss_pss_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1" },
	[SURVEY_ECDSA] = { .name = "ECDSA", .key = 1,
	    .offer.sigalgs = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA1" },
	[SURVEY_EDDSA] = { .name = "EdDSA", .key = 1, .offer.sigalgs = "ed25519:ed448" },
	[SURVEY_MLDSA] = { .name = "ML-DSA", .key = 1, .offer.sigalgs = "mldsa44:mldsa65:mldsa87" },
	[SURVEY_TLS_1_3] = { .name = "TLS 1.3", .version = 1, .offer.version = TLS1_3_VERSION },
	[SURVEY_TLS_1_2] = { .name = "TLS 1.2", .version = 1, .offer.version = TLS1_2_VERSION },
	[SURVEY_TLS_1_1] = { .name = "TLS 1.1", .version = 1, .offer.version = TLS1_1_VERSION },
	[SURVEY_TLS_1_0] = { .name = "TLS 1.0", .version = 1, .offer.version = TLS1_VERSION },
	[SURVEY_POST_QUANTUM] = { .name = "X25519MLKEM768", .offer.groups = "X25519MLKEM768" },
};

const char *
survey_name(enum survey_step step)
{
	return steps[step].name;
}

int
survey_is_key(enum survey_step step)
{
	return steps[step].key;
}

int
survey_is_version(enum survey_step step)
{
	return steps[step].version;
}

enum survey_step
survey_step_of_key(const X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);

	if (key == NULL)
		return SURVEY_FIRST;
	if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
		return SURVEY_RSA;
	if (EVP_PKEY_is_a(key, "EC"))
		return SURVEY_ECDSA;
	if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448"))
		return SURVEY_EDDSA;
	if (strncmp(EVP_PKEY_get0_type_name(key), "ML-DSA", 6) == 0)
		return SURVEY_MLDSA;
	return SURVEY_FIRST;
}

/* The step that asks for the version of the first connection. */
static enum survey_step
step_of_version(const char *protocol)
{
	static const struct {
		const char *name;
		enum survey_step step;
	} versions[] = { { "TLSv1.3", SURVEY_TLS_1_3 }, { "TLSv1.2", SURVEY_TLS_1_2 },
		{ "TLSv1.1", SURVEY_TLS_1_1 }, { "TLSv1", SURVEY_TLS_1_0 } };
	size_t i;

	for (i = 0; i < sizeof versions / sizeof versions[0]; i++)
		if (strcmp(versions[i].name, protocol) == 0)
			return versions[i].step;
	return SURVEY_FIRST;
}

/* What the first connection answered already. */
static void
take_first(struct survey *s)
{
	const struct tls_info *t = &s->reach[SURVEY_FIRST].tls;

	if (t->cert != NULL)
		s->answer[survey_step_of_key(t->cert)] = SURVEY_YES;
	s->answer[step_of_version(t->protocol)] = SURVEY_YES;
	if (strcmp(t->group, survey_name(SURVEY_POST_QUANTUM)) == 0)
		s->answer[SURVEY_POST_QUANTUM] = SURVEY_YES;
	if (s->reach[SURVEY_FIRST].session == NULL)
		s->answer[SURVEY_RESUME] = SURVEY_NO;
	s->answer[SURVEY_FIRST] = SURVEY_YES;
}

static enum survey_answer
answer_of(enum survey_step step, const struct reach *r)
{
	if (r->up)
		return step == SURVEY_RESUME && !r->tls.resumed ? SURVEY_NO : SURVEY_YES;
	return r->end == SEEN_HANDSHAKE_FAILED && step != SURVEY_FIRST ? SURVEY_NO : SURVEY_UNSURE;
}

static void on_reach(struct reach *, void *);

/* Returns 0 where nothing is left to be tried. */
static int
try_next(struct survey *s)
{
	for (; s->at < SURVEY_STEPS; s->at++) {
		struct reach_offer offer = steps[s->at].offer;

		if (s->answer[s->at] != SURVEY_NOT_TRIED)
			continue;
		if (s->at == SURVEY_RESUME)
			offer.session = s->reach[SURVEY_FIRST].session;
		if (reach_can_offer(s->conf.tls, &offer)) {
			reach_start(&s->reach[s->at], &s->conf, &offer, s->addr, s->port, s->sni, on_reach, s);
			return 1;
		}
		s->answer[s->at] = SURVEY_CANNOT;
	}
	return 0;
}

static void
on_reach(struct reach *r, void *arg)
{
	struct survey *s = arg;

	s->answer[s->at] = answer_of(s->at, r);
	if (s->at == SURVEY_FIRST) {
		if (!r->up) {
			s->done(s, s->arg);
			return;
		}
		take_first(s);
	}
	if (!try_next(s))
		s->done(s, s->arg);
}

void
survey_start(struct survey *s, const struct reach_conf *conf, const struct facts_addr *addr, uint16_t port,
    const char *sni, void (*done)(struct survey *, void *), void *arg)
{
	memset(s, 0, sizeof *s);
	s->conf = *conf;
	s->addr = addr;
	s->port = port;
	s->sni = sni;
	s->done = done;
	s->arg = arg;
	try_next(s);
}

void
survey_clear(struct survey *s)
{
	size_t i;

	for (i = 0; i < SURVEY_STEPS; i++)
		reach_clear(&s->reach[i]);
}
