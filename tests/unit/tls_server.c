/*
 * Tickets between contexts of one listener and of others, over changes of the secret; certificates by name; ALPN;
 * clients' certificates.
 */
#include "tls_server.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

#include "tls.h"
#include "unit.h"

static EVP_PKEY *key;

static X509 *
certificate(const char *names)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"x", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	if (san == NULL || X509_add_ext(x, san, -1) != 1 || X509_sign(x, key, EVP_sha256()) == 0)
		abort();
	X509_EXTENSION_free(san);
	return x;
}

static SSL_CTX *
server_ctx(const char *names)
{
	X509 *x = certificate(names);
	SSL_CTX *ctx = tls_server_ctx(key, x, NULL, NULL, NULL);

	if (ctx == NULL)
		abort();
	X509_free(x);
	return ctx;
}

static SSL_SESSION *kept;

static int
keep(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

/* Both ends, the client with what the row wants of it. */
struct pair {
	SSL_CTX *client_ctx;
	SSL *client, *server;
};

static void
pair_open(struct pair *p, SSL_CTX *server, int version)
{
	BIO *a = NULL, *b = NULL;

	p->client_ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(p->client_ctx, version);
	SSL_CTX_set_session_cache_mode(p->client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(p->client_ctx, keep);
	p->client = SSL_new(p->client_ctx);
	p->server = tls_server(server, NULL);
	SSL_set_connect_state(p->client);
	if (p->server == NULL || BIO_new_bio_pair(&a, 0, &b, 0) != 1)
		abort();
	SSL_set_bio(p->client, a, a);
	SSL_set_bio(p->server, b, b);
}

/* 1: both are done. */
static int
pair_shake(struct pair *p)
{
	int i, c = 0, s = 0;
	char octet;

	for (i = 0; i < 20 && (c != 1 || s != 1); i++) {
		c = SSL_do_handshake(p->client);
		s = SSL_do_handshake(p->server);
	}
	/* Tickets of TLS 1.3 come behind it. */
	if (c == 1 && s == 1)
		(void)SSL_read(p->client, &octet, 1);
	ERR_clear_error();
	return c == 1 && s == 1;
}

static void
pair_close(struct pair *p)
{
	/* Otherwise the session would not be good for another. */
	SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(p->client);
	SSL_free(p->server);
	SSL_CTX_free(p->client_ctx);
}

/* A connection with the session kept before, or none; whether it was resumed, -1: no connection. */
static int
resumes(SSL_CTX *server, int version, int ask)
{
	SSL_SESSION *before = kept;
	struct pair p;
	int got;

	kept = NULL;
	pair_open(&p, server, version);
	if (before != NULL)
		SSL_set_session(p.client, before);
	if (ask)
		tls_server_ask_client(p.server);
	got = pair_shake(&p) ? SSL_session_reused(p.server) : -1;
	pair_close(&p);
	SSL_SESSION_free(before);
	return got;
}

static SSL_CTX *
with_tickets(const struct tls_secrets *s, const char *listener)
{
	SSL_CTX *ctx = server_ctx("DNS:x.example");

	if (tls_server_tickets(ctx, s, listener, NULL) == -1)
		abort();
	return ctx;
}

static void
forget(void)
{
	SSL_SESSION_free(kept);
	kept = NULL;
}

static void
test_tickets(int version)
{
	static const uint8_t one[TLS_SECRET_SIZE] = { 1 }, two[TLS_SECRET_SIZE] = { 2 }, three[TLS_SECRET_SIZE] = { 3 };
	const char *v = version == TLS1_3_VERSION ? "1.3" : "1.2";
	struct tls_secrets *s = tls_secrets_new(), *other = tls_secrets_new();
	SSL_CTX *worker1 = with_tickets(s, "in"), *worker2 = with_tickets(s, "in"), *out = with_tickets(s, "out"),
	    *late = with_tickets(other, "in");

	forget();
	unit_int(resumes(worker1, version, 0), 0, "%s: no secret", v);
	unit_ok(kept == NULL || SSL_SESSION_has_ticket(kept) == 0, "%s: no ticket then", v);
	forget();
	tls_secrets_add(s, one);
	tls_secrets_add(other, one);
	unit_int(resumes(worker1, version, 0), 0, "%s: the first time", v);
	unit_ok(kept != NULL && SSL_SESSION_has_ticket(kept), "%s: a ticket", v);
	unit_int(resumes(worker2, version, 0), 1, "%s: resumed by another worker", v);
	/* RFC 8446 C.4: used once there; of 1.2 the client has the one from before. */
	unit_ok((kept != NULL) == (version == TLS1_3_VERSION), "%s: another ticket with that", v);
	unit_int(resumes(worker1, version, 0), version == TLS1_3_VERSION, "%s: which is good", v);
	unit_ok(kept != NULL, "%s: a ticket again", v);
	unit_int(resumes(out, version, 0), 0, "%s: refused by another listener", v);
	forget();
	resumes(worker1, version, 0);
	tls_secrets_add(s, two);
	tls_secrets_add(s, two);
	unit_int(resumes(worker2, version, 0), 1, "%s: the secret before opens", v);
	forget();
	resumes(worker1, version, 0);
	unit_int(resumes(late, version, 0), 0, "%s: who missed the change shakes hands anew", v);
	forget();
	resumes(worker1, version, 0);
	tls_secrets_add(s, three);
	tls_secrets_add(s, one);
	unit_int(resumes(worker1, version, 0), 0, "%s: the one before that does not", v);
	forget();
	resumes(worker1, version, 0);
	unit_int(resumes(worker1, version, 1), 0, "%s: none where a certificate is asked for", v);
	unit_ok(kept == NULL || !SSL_SESSION_has_ticket(kept), "%s: and none is given", v);
	forget();
	SSL_CTX_free(worker1);
	SSL_CTX_free(worker2);
	SSL_CTX_free(out);
	SSL_CTX_free(late);
	tls_secrets_free(s);
	tls_secrets_free(other);
}

/* The first dNSName of the certificate that is shown. */
static void
shown(SSL_CTX *server, const char *ask, char dst[100])
{
	GENERAL_NAMES *names = NULL;
	struct pair p;
	X509 *x;

	snprintf(dst, 100, "no connection");
	pair_open(&p, server, TLS1_3_VERSION);
	if (ask != NULL)
		SSL_ctrl(p.client, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (char *)ask);
	if (pair_shake(&p) && (x = SSL_get0_peer_certificate(p.client)) != NULL &&
	    (names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL)) != NULL)
		snprintf(dst, 100, "%s", ASN1_STRING_get0_data(sk_GENERAL_NAME_value(names, 0)->d.dNSName));
	GENERAL_NAMES_free(names);
	pair_close(&p);
}

static void
test_names(void)
{
	static const struct { const char *ask, *want; } rows[] = {
		{ NULL, "mx.one.example" }, { "mx.one.example", "mx.one.example" }, { "mx.two.example", "mx.two.example" },
		{ "MX.TWO.Example", "mx.two.example" }, { "also.two.example", "mx.two.example" },
		{ "a.three.example", "*.three.example" }, { "three.example", "mx.one.example" },
		{ "a.b.three.example", "mx.one.example" }, { "nobody.example", "mx.one.example" },
		{ "mx.two.example.", "mx.two.example" }, { "*.three.example", "mx.one.example" }, { "%00", "mx.one.example" },
	};
	SSL_CTX *first = server_ctx("DNS:mx.one.example"), *others[2];
	char got[100];
	size_t i;

	others[0] = server_ctx("DNS:mx.two.example,DNS:also.two.example");
	others[1] = server_ctx("DNS:*.three.example");
	tls_server_names(first, others, 2);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		shown(first, rows[i].ask, got);
		unit_str(got, rows[i].want, "asked for %s", rows[i].ask != NULL ? rows[i].ask : "nothing");
	}
	SSL_CTX_free(first);
}

static void
test_alpn(void)
{
	static const struct { const char *name, *list, *want; } rows[] = {
		{ "none", "", "" }, { "smtp", "\4smtp", "smtp" }, { "esmtp", "\5esmtp", "esmtp" },
		{ "smtp among others", "\2h2\4smtp", "smtp" }, { "http", "\10http/1.1", NULL }, { "imap", "\4imap", NULL },
		{ "smtps", "\5smtps", NULL },
	};
	SSL_CTX *ctx = server_ctx("DNS:x.example");
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const unsigned char *proto = NULL;
		char got[32] = "";
		unsigned len = 0;
		struct pair p;

		pair_open(&p, ctx, TLS1_3_VERSION);
		SSL_set_alpn_protos(p.client, (const unsigned char *)rows[i].list, strlen(rows[i].list));
		unit_int(pair_shake(&p), rows[i].want != NULL, "ALPN %s", rows[i].name);
		SSL_get0_alpn_selected(p.client, &proto, &len);
		memcpy(got, proto != NULL ? (const char *)proto : "", len);
		unit_str(got, rows[i].want != NULL ? rows[i].want : "", "ALPN %s, chosen", rows[i].name);
		pair_close(&p);
	}
	SSL_CTX_free(ctx);
}

static void
test_ask(void)
{
	SSL_CTX *ctx = server_ctx("DNS:x.example");
	X509 *x = certificate("DNS:client.example");
	struct tls_info t;
	struct pair p;
	int has;

	for (has = 0; has < 2; has++) {
		pair_open(&p, ctx, TLS1_3_VERSION);
		tls_server_ask_client(p.server);
		if (has && SSL_use_cert_and_key(p.client, x, key, NULL, 1) != 1)
			abort();
		unit_int(pair_shake(&p), 1, "asked, and %s", has ? "self-signed" : "none");
		tls_info_get(p.server, &t);
		unit_int(t.cert != NULL, has, "it comes with the facts");
		tls_info_clear(&t);
		pair_close(&p);
	}
	X509_free(x);
	SSL_CTX_free(ctx);
}

static void
test_ciphers(void)
{
	static const struct { const char *list, *want; } rows[] = {
		{ "ECDHE+AESGCM", "" }, { "TLS_AES_128_GCM_SHA256", "" }, { "HIGH:!RC4:!NOSUCH", "" },
		{ "TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384:@STRENGTH", "" },
		{ "ECDHE-RSA-AES256-GCM-SHA348", "\"ECDHE-RSA-AES256-GCM-SHA348\" stands for no cipher" },
		{ "TLS_NULL", "\"TLS_NULL\" stands for no cipher" }, { "HIGH:", "\"\" stands for no cipher" },
	};
	struct tls_server_conf conf = { .ciphers = "TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-SHA256:aNULL" };
	X509 *x = certificate("DNS:x.example");
	SSL_CTX *ctx = tls_server_ctx(key, x, NULL, &conf, NULL);
	static const struct { int version; const char *want; } got[] = {
		{ TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256" }, { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256" } };
	struct pair p;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fail f = FAIL_INIT;

		unit_int(tls_check_ciphers(rows[i].list, &f) == 0, rows[i].want[0] == '\0', "ciphers %s", rows[i].list);
		unit_str(f.text, rows[i].want, "ciphers %s, words", rows[i].list);
	}
	for (i = 0; i < sizeof got / sizeof got[0]; i++) {
		pair_open(&p, ctx, got[i].version);
		pair_shake(&p);
		unit_str(SSL_get_cipher_name(p.server), got[i].want, "of the listed ones");
		pair_close(&p);
	}
	pair_open(&p, ctx, TLS1_2_VERSION);
	SSL_set_cipher_list(p.client, "aNULL@SECLEVEL=0");
	unit_int(pair_shake(&p), 0, "anonymous ones stay out, listed or not");
	pair_close(&p);
	X509_free(x);
	SSL_CTX_free(ctx);
}

int
main(void)
{
	key = EVP_EC_gen("P-256");
	test_tickets(TLS1_2_VERSION);
	test_tickets(TLS1_3_VERSION);
	test_names();
	test_alpn();
	test_ask();
	test_ciphers();
	EVP_PKEY_free(key);
	return unit_done();
}
