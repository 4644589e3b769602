/*
 * Handshakes over a pair of memory BIOs: which peers each context accepts, what is told about them,
 * and how failures read.  openssl.cnf is made as strict as can be, to show that it does not count.
 */
#include "tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

#define STRICT_CONF \
	"openssl_conf = conf\n[conf]\nssl_conf = ssl\n[ssl]\nsystem_default = strict\n[strict]\n" \
	"MinProtocol = TLSv1.3\nMaxProtocol = TLSv1.3\nCipherString = DEFAULT@SECLEVEL=5\n" \
	"Ciphersuites = TLS_AES_256_GCM_SHA384\n"

/* Must run before OpenSSL reads its configuration. */
static void
use_strict_conf(void)
{
	char path[] = "/tmp/unit-tls-XXXXXX";
	int fd = mkstemp(path);

	if (fd == -1 || write(fd, STRICT_CONF, sizeof STRICT_CONF - 1) == -1 ||
	    setenv("OPENSSL_CONF", path, 1) == -1 || OPENSSL_init_ssl(0, NULL) != 1)
		abort();
	close(fd);
	unlink(path);
}

static X509 *
self_signed(EVP_PKEY *key, const EVP_MD *md)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mx.test", -1,
	    -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	if (X509_sign(x, key, md) == 0)
		abort();
	return x;
}

enum key_kind { P256, RSA1024, RSA2048, ED25519, KEYS };

static EVP_PKEY *keys[KEYS];
static X509 *certs[KEYS];

static void
make_keys(void)
{
	int i;

	keys[P256] = EVP_EC_gen("P-256");
	keys[RSA1024] = EVP_RSA_gen(1024);
	keys[RSA2048] = EVP_RSA_gen(2048);
	keys[ED25519] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	for (i = 0; i < KEYS; i++)
		certs[i] = self_signed(keys[i], i == ED25519 ? NULL : EVP_sha256());
}

static void
free_keys(void)
{
	int i;

	for (i = 0; i < KEYS; i++) {
		EVP_PKEY_free(keys[i]);
		X509_free(certs[i]);
	}
}

/* A peer that is not ours: plain OpenSSL with what the row says. */
static SSL_CTX *
peer_ctx(const SSL_METHOD *method, enum key_kind kind, int min, int max, const char *ciphers)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	SSL_CTX_set_security_level(ctx, 0);
	if (SSL_CTX_set_min_proto_version(ctx, min) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, max) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, ciphers) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, TLS_DEFAULT_CIPHERSUITES) != 1 ||
	    SSL_CTX_use_cert_and_key(ctx, certs[kind], keys[kind], NULL, 1) != 1)
		abort();
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
	return ctx;
}

/* One call of SSL_do_handshake: 1 done, 0 waiting, -1 failed with f. */
static int
shake(SSL *ssl, struct fail *f)
{
	int ret, why;

	ERR_clear_error();
	errno = 0;
	if ((ret = SSL_do_handshake(ssl)) == 1)
		return 1;
	why = SSL_get_error(ssl, ret);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return 0;
	return tls_fail(ssl, ret, f);
}

/* Moves n octets at most from one side to the other. */
static void
carry(BIO *from, BIO *to, size_t max)
{
	char block[16384];
	int n;

	while ((n = BIO_read(from, block, max < sizeof block ? max : sizeof block)) > 0) {
		BIO_write(to, block, n);
		if (max < sizeof block)
			break;
	}
}

/* Shakes hands; piece: octets carried at once.  Returns 1 where both sides are done. */
static int
handshake(SSL *client, SSL *server, size_t piece, struct fail *cf, struct fail *sf)
{
	BIO *c_in = BIO_new(BIO_s_mem()), *c_out = BIO_new(BIO_s_mem());
	BIO *s_in = BIO_new(BIO_s_mem()), *s_out = BIO_new(BIO_s_mem());
	int c = 0, s = 0, turns;

	SSL_set_bio(client, c_in, c_out);
	SSL_set_bio(server, s_in, s_out);
	for (turns = 0; turns < 20000 && (c == 0 || s == 0); turns++) {
		if (c == 0)
			c = shake(client, cf);
		carry(c_out, s_in, piece);
		if (s == 0)
			s = shake(server, sf);
		carry(s_out, c_in, piece);
	}
	return c == 1 && s == 1;
}

struct row {
	const char *name;
	enum tls_strictness strictness;
	enum key_kind kind;
	int min, max;
	const char *ciphers;
	const char *want;	/* "protocol cipher group sigalg", or the failure */
};

static const struct row rows[] = {
	{ "any server", TLS_LAX, P256, 0, 0, "ALL",
	    "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519 ECDSA-SHA256" },
	{ "any server, strict", TLS_STRICT, P256, 0, 0, "ALL",
	    "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519 ECDSA-SHA256" },
	{ "Ed25519", TLS_STRICT, ED25519, 0, 0, "ALL",
	    "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519 ED25519" },
	{ "TLS 1.2", TLS_STRICT, RSA2048, TLS1_2_VERSION, TLS1_2_VERSION, "ALL",
	    "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 x25519 RSA-PSS-SHA256" },
	{ "TLS 1.0 only", TLS_LAX, RSA2048, TLS1_VERSION, TLS1_VERSION, "ALL",
	    "TLSv1 ECDHE-RSA-AES256-SHA x25519 RSA-MD5-SHA1" },
	{ "TLS 1.0 only, strict", TLS_STRICT, RSA2048, TLS1_VERSION, TLS1_VERSION, "ALL",
	    "TLS handshake: the peer sent the alert \"protocol version\" (70): it does not accept "
	    "our protocol"
	    " versions" },
	{ "TLS 1.1 only", TLS_LAX, P256, TLS1_1_VERSION, TLS1_1_VERSION, "ALL",
	    "TLSv1.1 ECDHE-ECDSA-AES256-SHA x25519 ECDSA-SHA1" },
	{ "RSA 1024", TLS_LAX, RSA1024, 0, 0, "ALL",
	    "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519 RSA-PSS-SHA256" },
	{ "RSA 1024, strict: for verify to judge", TLS_STRICT, RSA1024, 0, 0, "ALL",
	    "TLSv1.3 TLS_AES_256_GCM_SHA384 x25519 RSA-PSS-SHA256" },
	{ "RSA 1024 and TLS 1.0", TLS_LAX, RSA1024, TLS1_VERSION, TLS1_VERSION, "ALL",
	    "TLSv1 ECDHE-RSA-AES256-SHA x25519 RSA-MD5-SHA1" },
	{ "RSA key exchange", TLS_LAX, RSA2048, TLS1_2_VERSION, TLS1_2_VERSION, "AES128-SHA",
	    "TLSv1.2 AES128-SHA - -" },
	{ "finite-field group", TLS_LAX, RSA1024, TLS1_2_VERSION, TLS1_2_VERSION,
	    "DHE-RSA-AES128-SHA", "TLSv1.2 DHE-RSA-AES128-SHA DH-1024 RSA-PSS-SHA256" },
	{ "anonymous only", TLS_LAX, P256, TLS1_2_VERSION, TLS1_2_VERSION, "aNULL",
	    "TLS handshake: the peer sent the alert \"handshake failure\" (40): it finds no "
	    "cipher, group or"
	    " certificate in common" },
	{ "null cipher only", TLS_LAX, P256, TLS1_2_VERSION, TLS1_2_VERSION, "eNULL",
	    "TLS handshake: the peer sent the alert \"handshake failure\" (40): it finds no "
	    "cipher, group or"
	    " certificate in common" },
};

static const char *
or_dash(const char *s)
{
	return *s != '\0' ? s : "-";
}

static void
describe(SSL *ssl, char *dst, size_t size)
{
	struct tls_info t;

	tls_info_get(ssl, &t);
	snprintf(dst, size, "%s %s %s %s", t.protocol, t.cipher, or_dash(t.group),
	    or_dash(t.sigalg));
	tls_info_clear(&t);
}

static void
test_client_row(const struct row *r, size_t piece)
{
	SSL_CTX *ours = tls_client_ctx(r->strictness, NULL);
	SSL_CTX *theirs = peer_ctx(TLS_server_method(), r->kind, r->min, r->max, r->ciphers);
	SSL *client = tls_client(ours, "mx.test", NULL), *server = SSL_new(theirs);
	struct fail cf = FAIL_INIT, sf = FAIL_INIT;
	char got[FAIL_TEXT_MAX];

	SSL_set_accept_state(server);
	if (handshake(client, server, piece, &cf, &sf))
		describe(client, got, sizeof got);
	else
		snprintf(got, sizeof got, "%s", cf.text);
	unit_str(got, r->want, "%s, %zu octets at once", r->name, piece);
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(ours);
	SSL_CTX_free(theirs);
}

/* Our server with a client of every age. */
static void
test_server(void)
{
	static const struct {
		const char *name;
		int min, max;
		const char *ciphers, *want;
	} clients[] = {
		{ "client of today", 0, 0, "ALL", "" },
		{ "TLS 1.1 client", TLS1_VERSION, TLS1_1_VERSION, "ALL",
		    "TLS handshake: the peer's protocol version is not allowed here" },
		{ "CBC client", TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA", "" },
		{ "client without forward secrecy", TLS1_2_VERSION, TLS1_2_VERSION, "kRSA",
		    "TLS handshake: no shared cipher" },
		{ "anonymous client", TLS1_2_VERSION, TLS1_2_VERSION, "aNULL",
		    "TLS handshake: no shared cipher" },
	};
	SSL_CTX *ours = tls_server_ctx(keys[RSA2048], certs[RSA2048], NULL, NULL, NULL);
	size_t i;

	for (i = 0; i < sizeof clients / sizeof clients[0]; i++) {
		SSL_CTX *theirs = peer_ctx(TLS_client_method(), P256, clients[i].min,
		    clients[i].max, clients[i].ciphers);
		SSL *client = SSL_new(theirs), *server = tls_server(ours, NULL);
		struct fail cf = FAIL_INIT, sf = FAIL_INIT;

		SSL_set_connect_state(client);
		unit_int(handshake(client, server, 16384, &cf, &sf), *clients[i].want == '\0',
		    "server: %s", clients[i].name);
		unit_str(sf.text, clients[i].want, "server: %s, words", clients[i].name);
		SSL_free(client);
		SSL_free(server);
		SSL_CTX_free(theirs);
	}
	SSL_CTX_free(ours);
}

/*
 * RFC 5246 7.2.2: another handshake on the same connection is refused with a warning, and the session goes on.  Each
 * costs the server a signature, and the client nothing.
 */
static void
test_renegotiation(void)
{
	SSL_CTX *ours = tls_server_ctx(keys[RSA2048], certs[RSA2048], NULL, NULL, NULL);
	SSL_CTX *theirs = peer_ctx(TLS_client_method(), P256, TLS1_2_VERSION, TLS1_2_VERSION, "ALL");
	SSL *client = SSL_new(theirs), *server = tls_server(ours, NULL);
	struct fail cf = FAIL_INIT, sf = FAIL_INIT;
	char c;
	int ret;

	SSL_set_connect_state(client);
	unit_int(handshake(client, server, 16384, &cf, &sf), 1, "a first handshake");
	unit_int(SSL_renegotiate(client), 1, "the client wants another");
	unit_int(shake(client, &cf), 0, "and says hello");
	carry(SSL_get_wbio(client), SSL_get_rbio(server), 16384);
	ret = SSL_read(server, &c, 1);
	unit_int(SSL_get_error(server, ret), SSL_ERROR_WANT_READ, "the server reads on");
	carry(SSL_get_wbio(server), SSL_get_rbio(client), 16384);
	unit_int(shake(client, &cf), -1, "the client is refused");
	unit_str(cf.text, "TLS handshake: no renegotiation", "in words");
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(theirs);
	SSL_CTX_free(ours);
}

static void
test_server_ctx(void)
{
	struct fail f = FAIL_INIT;

	unit_ok(tls_server_ctx(keys[P256], certs[RSA2048], NULL, NULL, &f) == NULL,
	    "key of another certificate");
	unit_int(f.kind, FAIL_INPUT, "is a matter of input: %s", f.text);
	unit_int(ERR_peek_error(), 0, "the queue is empty behind it");
}

static void
test_info(void)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	SSL_CTX *ours = tls_client_ctx(TLS_LAX, NULL), *theirs;
	struct fail cf = FAIL_INIT, sf = FAIL_INIT;
	struct tls_info t;
	SSL *client, *server;

	sk_X509_push(chain, certs[RSA1024]);
	theirs = tls_server_ctx(keys[P256], certs[P256], chain, NULL, NULL);
	client = tls_client(ours, "mx.test", NULL);
	server = tls_server(theirs, NULL);
	unit_int(handshake(client, server, 16384, &cf, &sf), 1, "our client and our server agree");
	unit_str(SSL_get_servername(server, TLSEXT_NAMETYPE_host_name), "mx.test", "SNI arrives");
	tls_info_get(client, &t);
	unit_ok(t.cert != NULL && X509_cmp(t.cert, certs[P256]) == 0, "the leaf");
	unit_int(sk_X509_num(t.chain), 2, "the chain as sent");
	unit_ok(X509_cmp(sk_X509_value(t.chain, 0), certs[P256]) == 0, "leaf first");
	unit_ok(X509_cmp(sk_X509_value(t.chain, 1), certs[RSA1024]) == 0, "then the rest");
	unit_int(t.bits, 256, "bits");
	unit_int(t.resumed, 0, "not resumed");
	SSL_free(client);
	unit_ok(X509_get0_pubkey(t.cert) != NULL, "the facts outlive the connection");
	tls_info_clear(&t);
	tls_info_get(server, &t);
	unit_ok(t.cert == NULL && t.chain == NULL, "no client certificate");
	unit_str(t.sigalg, "", "and no signature of the client's");
	tls_info_clear(&t);
	SSL_free(server);
	SSL_CTX_free(ours);
	SSL_CTX_free(theirs);
	sk_X509_free(chain);
}

static void
test_sni(void)
{
	static const char *const bad[] = { "", "192.0.2.1", "2001:db8::1", "mx.test." };
	SSL_CTX *ctx = tls_client_ctx(TLS_STRICT, NULL);
	struct fail f = FAIL_INIT;
	SSL *ssl;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		unit_ok(tls_client(ctx, bad[i], &f) == NULL, "SNI \"%s\" is refused", bad[i]);
		unit_int(f.kind, FAIL_INPUT, "as input: %s", f.text);
	}
	ssl = tls_client(ctx, NULL, NULL);
	unit_ok(ssl != NULL && SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) == NULL,
	    "no SNI");
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

/* What a client says when the peer sends these bytes in answer to its ClientHello. */
static void
test_rubbish(void)
{
	static const struct {
		const char *name, *bytes;
		size_t n;
		const char *want;
		enum fail_kind kind;
	} rubbish[] = {
		{ "SMTP", "250 ok, I am not TLS\r\n", 22,
		    "TLS handshake: the peer's bytes are not TLS", FAIL_PEER },
		{ "nothing", "", 0, "TLS handshake: the peer closed the connection", FAIL_TEMP },
		{ "half a record", "\x16\x03\x03", 3,
		    "TLS handshake: the peer closed the connection", FAIL_TEMP },
		{ "an alert", "\x15\x03\x03\x00\x02\x02\x70", 7,
		    "TLS handshake: the peer sent the alert \"unrecognized name\" (112): it does "
		    "not know the name"
		    " that it was asked for",
		    FAIL_PEER },
	};
	SSL_CTX *ctx = tls_client_ctx(TLS_LAX, NULL);
	size_t i;

	for (i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++) {
		SSL *ssl = tls_client(ctx, "mx.test", NULL);
		BIO *in = BIO_new(BIO_s_mem());
		struct fail f = FAIL_INIT;

		BIO_write(in, rubbish[i].bytes, rubbish[i].n);
		BIO_set_mem_eof_return(in, 0);
		SSL_set_bio(ssl, in, BIO_new(BIO_s_mem()));
		unit_int(shake(ssl, &f), -1, "answer: %s", rubbish[i].name);
		unit_str(f.text, rubbish[i].want, "answer: %s, words", rubbish[i].name);
		unit_int(f.kind, rubbish[i].kind, "answer: %s, kind", rubbish[i].name);
		unit_int(ERR_peek_error(), 0, "the queue is empty behind it");
		SSL_free(ssl);
	}
	SSL_CTX_free(ctx);
}

int
main(void)
{
	SSL_CTX *plain;
	size_t i;

	use_strict_conf();
	make_keys();
	plain = SSL_CTX_new(TLS_client_method());
	unit_int(SSL_CTX_get_min_proto_version(plain), TLS1_3_VERSION, "openssl.cnf is strict");
	unit_int(SSL_CTX_get_security_level(plain), 5, "in the security level too");
	SSL_CTX_free(plain);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		test_client_row(&rows[i], 16384);
		test_client_row(&rows[i], 1);
	}
	test_server();
	test_renegotiation();
	test_server_ctx();
	test_info();
	test_sni();
	test_rubbish();
	free_keys();
	return unit_done();
}
