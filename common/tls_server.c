#include "tls_server.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cert.h"
#include "name.h"
#include "ossl.h"

#define KEY_NAME_SIZE 16	/* octets by which a ticket says its keys: OpenSSL's */
#define KEY_SIZE 32
#define IV_SIZE 16

struct tls_secrets {
	uint8_t v[TLS_SECRETS_KEPT][TLS_SECRET_SIZE];
	unsigned n;
};

/* Whose tickets a context gives. */
struct binding {
	const struct tls_secrets *secrets;
	char *listener;
};

/* The contexts behind a first one, with the names that their certificates have. */
struct choice {
	SSL_CTX *ctx;
	struct cert_names names;
};

struct choices {
	struct choice *v;
	size_t n;
};

/* ---- secrets ---- */

struct tls_secrets *
tls_secrets_new(void)
{
	return xcalloc(1, sizeof(struct tls_secrets));
}

void
tls_secrets_free(struct tls_secrets *s)
{
	if (s == NULL)
		return;
	OPENSSL_cleanse(s, sizeof *s);
	free(s);
}

void
tls_secrets_add(struct tls_secrets *s, const uint8_t secret[TLS_SECRET_SIZE])
{
	unsigned i;

	for (i = 0; i < s->n; i++)
		if (CRYPTO_memcmp(s->v[i], secret, TLS_SECRET_SIZE) == 0)
			return;
	memmove(s->v[1], s->v[0], sizeof s->v - sizeof s->v[0]);
	memcpy(s->v[0], secret, TLS_SECRET_SIZE);
	if (s->n < TLS_SECRETS_KEPT)
		s->n++;
}

const uint8_t *
tls_secrets_get0(const struct tls_secrets *s, unsigned age)
{
	return age < s->n ? s->v[age] : NULL;
}

/* ---- tickets ---- */

struct keys {
	uint8_t name[KEY_SIZE];		/* of which KEY_NAME_SIZE count */
	uint8_t cipher[KEY_SIZE];
	uint8_t mac[KEY_SIZE];
};

static void
derive(const struct binding *b, const uint8_t *secret, const char *purpose, uint8_t out[KEY_SIZE])
{
	char *text = xasprintf("ticket %s %s", purpose, b->listener);

	if (HMAC(EVP_sha256(), secret, TLS_SECRET_SIZE, (const unsigned char *)text, strlen(text), out, NULL) == NULL)
		alloc_failed();
	free(text);
}

static int
set_keys(const struct keys *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)k->mac, sizeof k->mac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end() };

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv, seal) == 1 &&
	    EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int binding_index, choices_index;

static const struct binding *
binding_of(SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), binding_index);
}

static int
seal(const struct binding *b, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	const uint8_t *secret = tls_secrets_get0(b->secrets, 0);
	struct keys k;
	int ok;

	if (secret == NULL)
		return 0;
	derive(b, secret, "name", k.name);
	derive(b, secret, "cipher", k.cipher);
	derive(b, secret, "mac", k.mac);
	memcpy(name, k.name, KEY_NAME_SIZE);
	ok = RAND_bytes(iv, IV_SIZE) == 1 && set_keys(&k, iv, cipher, mac, 1);
	OPENSSL_cleanse(&k, sizeof k);
	return ok ? 1 : -1;
}

/*
 * 1, or 2 where another ticket is to follow: of the newer secret, or since one of TLS 1.3 is used once (RFC 8446 C.4), and
 * without it a client would resume every second time only; 0: none of ours, or too old.
 */
static int
unseal(const struct binding *b, int once, const unsigned char *name, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac)
{
	const uint8_t *secret;
	struct keys k;
	unsigned age;
	int ok;

	for (age = 0; (secret = tls_secrets_get0(b->secrets, age)) != NULL; age++) {
		derive(b, secret, "name", k.name);
		if (CRYPTO_memcmp(name, k.name, KEY_NAME_SIZE) != 0)
			continue;
		derive(b, secret, "cipher", k.cipher);
		derive(b, secret, "mac", k.mac);
		ok = set_keys(&k, iv, cipher, mac, 0);
		OPENSSL_cleanse(&k, sizeof k);
		return !ok ? -1 : age == 0 && !once ? 1 : 2;
	}
	return 0;
}

static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int to_seal)
{
	const struct binding *b = binding_of(ssl);

	if (b == NULL)
		return 0;
	return to_seal ? seal(b, name, iv, cipher, mac) :
	    unseal(b, SSL_version(ssl) >= TLS1_3_VERSION, name, iv, cipher, mac);
}

static void
free_binding(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct binding *b = ptr;

	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	if (b == NULL)
		return;
	free(b->listener);
	free(b);
}

static void
free_choices(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct choices *c = ptr;
	size_t i;

	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	for (i = 0; c != NULL && i < c->n; i++) {
		cert_names_clear(&c->v[i].names);
		/* The first is the one that goes. */
		if (i > 0)
			SSL_CTX_free(c->v[i].ctx);
	}
	if (c != NULL)
		free(c->v);
	free(c);
}

static void
make_indexes(void)
{
	binding_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_binding);
	choices_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_choices);
	if (binding_index == -1 || choices_index == -1)
		alloc_failed();
}

static void
need_indexes(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_indexes);
}

/* The context of sessions binds them to the listener a second time (RFC 8446 has no word for it). */
int
tls_server_tickets(SSL_CTX *ctx, const struct tls_secrets *secrets, const char *listener, struct fail *f)
{
	struct binding *b = xcalloc(1, sizeof *b);
	uint8_t id[KEY_SIZE];

	need_indexes();
	ossl_clear();
	b->secrets = secrets;
	b->listener = xstrdup(listener);
	if (EVP_Digest(listener, strlen(listener), id, NULL, EVP_sha256(), NULL) != 1 ||
	    SSL_CTX_set_session_id_context(ctx, id, sizeof id) != 1 ||
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 1) != 1 || SSL_CTX_set_ex_data(ctx, binding_index, b) != 1) {
		free_binding(NULL, b, NULL, 0, 0, NULL);
		return fail_ossl(f, FAIL_SYS, "session tickets");
	}
	SSL_CTX_set_timeout(ctx, TLS_TICKET_S);
	SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
	return 0;
}

/* ---- names ---- */

static int
has_name(const struct choice *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->names.n; i++)
		if (name_matches(name, c->names.v[i]))
			return 1;
	return 0;
}

/* The name is the client's: what is no host name matches nothing. */
static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct choices *c = arg;
	size_t i;

	(void)alert;
	for (i = 0; name != NULL && i < c->n; i++)
		if (has_name(&c->v[i], name)) {
			SSL_set_SSL_CTX(ssl, c->v[i].ctx);
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_NOACK;
}

void
tls_server_names(SSL_CTX *first, SSL_CTX *const *others, size_t n)
{
	struct choices *c = xcalloc(1, sizeof *c);
	size_t i;

	need_indexes();
	c->n = n + 1;
	c->v = xcalloc(c->n, sizeof *c->v);
	for (i = 0; i < c->n; i++) {
		c->v[i].ctx = i == 0 ? first : others[i - 1];
		c->v[i].names = (struct cert_names)CERT_NAMES_INIT;
		cert_dns_names(SSL_CTX_get0_certificate(c->v[i].ctx), &c->v[i].names);
	}
	if (SSL_CTX_set_ex_data(first, choices_index, c) != 1)
		alloc_failed();
	SSL_CTX_set_tlsext_servername_callback(first, on_name);
	SSL_CTX_set_tlsext_servername_arg(first, c);
}

/* ---- clients' certificates ---- */

void
tls_server_ask_client(SSL *ssl)
{
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	SSL_set_num_tickets(ssl, 0);
}
