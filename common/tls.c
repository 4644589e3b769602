#include "tls.h"

#include <openssl/err.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "ossl.h"
#include "text.h"

#define ALERT_MAX 255	/* a TLS alert's number is one octet (RFC 8446 6) */

/*
 * Null ciphers encrypt nothing, anonymous ones leave no certificate to judge, PSK and SRP need
 * secrets that nobody has here.
 */
struct profile {
	int min_version;
	int level;
	const char *ciphers;
	const char *suites;	/* of TLS 1.3; NULL: OpenSSL's */
};

static const struct profile profiles[] = {
	[TLS_LAX] = { TLS1_VERSION, 0, "ALL:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0", NULL },
	[TLS_STRICT] = { TLS1_2_VERSION, 2, "HIGH:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=2", NULL },
};

/* OpenSSL would try a chain to an empty list of CAs and throw the result away. */
static int
take_any_chain(X509_STORE_CTX *store_ctx, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_APPLICATION_VERIFICATION);
	return 1;
}

/* SSL_CTX_new() has applied openssl.cnf: every setting that it can change is set again here. */
static SSL_CTX *
new_ctx(const SSL_METHOD *method, const struct profile *p, struct fail *f)
{
	const char *suites = p->suites != NULL ? p->suites : TLS_DEFAULT_CIPHERSUITES;
	SSL_CTX *ctx;

	ossl_clear();
	if ((ctx = SSL_CTX_new(method)) == NULL) {
		fail_ossl(f, FAIL_SYS, "TLS context");
		return NULL;
	}
	SSL_CTX_set_security_level(ctx, p->level);
	if (SSL_CTX_set_min_proto_version(ctx, p->min_version) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, 0) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, p->ciphers) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, suites) != 1) {
		fail_ossl(f, FAIL_SYS, "TLS context");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_clear_options(ctx, SSL_OP_NO_SSL_MASK | SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, take_any_chain, NULL);
	return ctx;
}

SSL_CTX *
tls_client_ctx(enum tls_strictness strictness, struct fail *f)
{
	SSL_CTX *ctx = new_ctx(TLS_client_method(), &profiles[strictness], f);

	if (ctx != NULL && strictness == TLS_LAX)
		SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
	return ctx;
}

/* ---- servers ---- */

#define EXCLUDED ":!aNULL:!eNULL:!PSK:!SRP"

/*
 * Forward secrecy alone.  CBC comes last and stays: of TLS 1.2 some have nothing else, and would send in clear
 * text.
 */
#define SERVER_CIPHERS \
	"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES" EXCLUDED

static int
is_suite(const char *word)
{
	return strncmp(word, "TLS_", 4) == 0;
}

/* Sorts the words into those of TLS 1.3 and the others, each with a colon before. */
static void
split_ciphers(const char *list, struct buf *ciphers, struct buf *suites)
{
	char *copy = xstrdup(list), *rest = copy, *word;
	struct buf *b;

	while ((word = strsep(&rest, ":")) != NULL) {
		b = is_suite(word) ? suites : ciphers;
		buf_printf(b, "%s%s", b->len > 0 ? ":" : "", word);
	}
	free(copy);
}

/* What is excluded may be unknown here: it is excluded all the same.  OpenSSL passes over any word it does not know. */
static int
check_cipher(SSL_CTX *ctx, const char *word, struct fail *f)
{
	int ok;

	if (word[0] == '!' || word[0] == '-' || word[0] == '@')
		return 0;
	ossl_clear();
	if (is_suite(word))
		ok = SSL_CTX_set_ciphersuites(ctx, word);
	else
		ok = word[0] != '\0' && SSL_CTX_set_cipher_list(ctx, word[0] == '+' ? word + 1 : word);
	ossl_clear();
	return ok == 1 ? 0 : fail(f, FAIL_INPUT, "\"%.100s\" stands for no cipher", word);
}

int
tls_check_ciphers(const char *list, struct fail *f)
{
	char *copy = xstrdup(list), *rest = copy, *word;
	SSL_CTX *ctx = new_ctx(TLS_server_method(), &profiles[TLS_LAX], f);
	int rc = ctx != NULL ? 0 : -1;

	while (rc == 0 && (word = strsep(&rest, ":")) != NULL)
		rc = check_cipher(ctx, word, f);
	SSL_CTX_free(ctx);
	free(copy);
	return rc;
}

/* The names are not registered with IANA; Exim and others send and take these. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in, unsigned inlen, void *arg)
{
	static const char *const ours[] = { "smtp", "esmtp" };
	unsigned at, i;

	(void)ssl;
	(void)arg;
	for (at = 0; at < inlen; at += 1U + in[at])
		for (i = 0; i < sizeof ours / sizeof ours[0]; i++)
			if (in[at] == strlen(ours[i]) && memcmp(in + at + 1, ours[i], in[at]) == 0) {
				*out = in + at + 1;
				*outlen = in[at];
				return SSL_TLSEXT_ERR_OK;
			}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* TLS 1.0 signs with SHA-1, which any level but 0 refuses. */
static SSL_CTX *
new_server(const struct tls_server_conf *conf, struct fail *f)
{
	struct profile p = { .min_version = TLS1_2_VERSION, .level = 1, .ciphers = SERVER_CIPHERS };
	struct buf ciphers = BUF_INIT, suites = BUF_INIT;
	SSL_CTX *ctx;

	if (conf != NULL && conf->min_version != 0)
		p.min_version = conf->min_version;
	if (p.min_version < TLS1_2_VERSION)
		p.level = 0;
	if (conf != NULL && conf->ciphers != NULL)
		split_ciphers(conf->ciphers, &ciphers, &suites);
	if (ciphers.len > 0) {
		buf_puts(&ciphers, EXCLUDED);
		p.ciphers = ciphers.p;
	}
	p.suites = suites.p;
	ctx = new_ctx(TLS_server_method(), &p, f);
	buf_clear(&ciphers);
	buf_clear(&suites);
	return ctx;
}

int
tls_server_add(SSL_CTX *ctx, EVP_PKEY *key, X509 *cert, STACK_OF(X509) *chain, struct fail *f)
{
	ossl_clear();
	if (SSL_CTX_use_cert_and_key(ctx, cert, key, chain, 0) == 1)
		return 0;
	return fail_ossl(f, FAIL_INPUT, "server certificate and key");
}

SSL_CTX *
tls_server_ctx(EVP_PKEY *key, X509 *cert, STACK_OF(X509) *chain, const struct tls_server_conf *conf, struct fail *f)
{
	SSL_CTX *ctx = new_server(conf, f);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_dh_auto(ctx, 1);
	/* One read(2) for a record's head, its body and what follows; io asks with SSL_has_pending(). */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (tls_server_add(ctx, key, cert, chain, f) == 0)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* ---- connections ---- */

static SSL *
new_ssl(SSL_CTX *ctx, struct fail *f)
{
	SSL *ssl;

	ossl_clear();
	if ((ssl = SSL_new(ctx)) == NULL)
		fail_ossl(f, FAIL_SYS, "TLS connection");
	return ssl;
}

/* RFC 6066 3: a DNS host name without a trailing dot; no address literals. */
static int
check_sni(const char *sni, struct fail *f)
{
	size_t len = strlen(sni);
	char *shown;

	if (len > 0 && len <= TLSEXT_MAXLEN_host_name && sni[len - 1] != '.' &&
	    !text_is_address(sni))
		return 0;
	shown = text_escape(sni, len);
	fail(f, FAIL_INPUT, "server_name (RFC 6066 3): expected a host name, not \"%.300s\"",
	    shown);
	free(shown);
	return -1;
}

SSL *
tls_client(SSL_CTX *ctx, const char *sni, struct fail *f)
{
	SSL *ssl;

	if (sni != NULL && check_sni(sni, f) == -1)
		return NULL;
	if ((ssl = new_ssl(ctx, f)) == NULL)
		return NULL;
	if (sni != NULL && SSL_set_tlsext_host_name(ssl, sni) != 1) {
		fail_ossl(f, FAIL_SYS, "server_name");
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

SSL *
tls_server(SSL_CTX *ctx, struct fail *f)
{
	SSL *ssl = new_ssl(ctx, f);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return ssl;
}

/* A finite-field group has no name before TLS 1.3: its size tells as much. */
static void
get_group(SSL *ssl, char dst[TLS_NAME_MAX])
{
	int id = SSL_get_negotiated_group(ssl);
	const char *name = id != 0 ? SSL_group_to_name(ssl, id) : NULL;
	EVP_PKEY *tmp = NULL;

	dst[0] = '\0';
	if (name != NULL)
		snprintf(dst, TLS_NAME_MAX, "%s", name);
	else if (SSL_get_peer_tmp_key(ssl, &tmp) == 1 && EVP_PKEY_get_base_id(tmp) == EVP_PKEY_DH)
		snprintf(dst, TLS_NAME_MAX, "DH-%d", EVP_PKEY_get_bits(tmp));
	EVP_PKEY_free(tmp);
}

static void
get_sigalg(SSL *ssl, char dst[TLS_NAME_MAX])
{
	int type = NID_undef, digest = NID_undef;
	const char *name;

	dst[0] = '\0';
	if (SSL_get_peer_signature_type_nid(ssl, &type) != 1 || type == NID_undef)
		return;
	switch (type) {
	case EVP_PKEY_RSA:
		name = "RSA";
		break;
	case EVP_PKEY_RSA_PSS:
		name = "RSA-PSS";
		break;
	case EVP_PKEY_EC:
		name = "ECDSA";
		break;
	default:
		name = OBJ_nid2sn(type);
	}
	if (SSL_get_peer_signature_nid(ssl, &digest) == 1 && digest != NID_undef)
		snprintf(dst, TLS_NAME_MAX, "%s-%s", name, OBJ_nid2sn(digest));
	else
		snprintf(dst, TLS_NAME_MAX, "%s", name);
}

/* A server's view of the client's chain lacks the leaf: OpenSSL keeps it apart there. */
static void
get_chain(SSL *ssl, struct tls_info *t)
{
	STACK_OF(X509) *sent = SSL_get_peer_cert_chain(ssl);

	if ((t->cert = SSL_get1_peer_certificate(ssl)) == NULL)
		return;
	t->chain = sent != NULL ? X509_chain_up_ref(sent) : sk_X509_new_null();
	if (t->chain == NULL)
		alloc_failed();
	if (!SSL_is_server(ssl) && sk_X509_num(t->chain) > 0)
		return;
	if (X509_up_ref(t->cert) != 1 || sk_X509_unshift(t->chain, t->cert) == 0)
		alloc_failed();
}

void
tls_info_get(SSL *ssl, struct tls_info *t)
{
	memset(t, 0, sizeof *t);
	t->protocol = SSL_get_version(ssl);
	t->cipher = SSL_get_cipher_name(ssl);
	t->suite = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl));
	t->bits = SSL_get_cipher_bits(ssl, NULL);
	t->resumed = SSL_session_reused(ssl);
	t->renegotiates_safely = SSL_version(ssl) >= TLS1_3_VERSION ||
	    SSL_get_secure_renegotiation_support(ssl) == 1;
	get_group(ssl, t->group);
	get_sigalg(ssl, t->sigalg);
	get_chain(ssl, t);
	ossl_clear();
}

void
tls_info_clear(struct tls_info *t)
{
	X509_free(t->cert);
	sk_X509_pop_free(t->chain, X509_free);
	memset(t, 0, sizeof *t);
}

int
tls_is_eof(SSL *ssl, int ret)
{
	switch (SSL_get_error(ssl, ret)) {
	case SSL_ERROR_ZERO_RETURN:
		return 1;
	case SSL_ERROR_SSL:
		return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
	default:
		return 0;
	}
}

struct reason {
	int code;
	const char *text;
};

/* What we found wrong with what the peer sent. */
static const struct reason ours[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, "the peer's bytes are not TLS" },
	{ SSL_R_HTTP_REQUEST, "the peer's bytes are not TLS" },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, "the peer's bytes are not TLS" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "the peer's protocol version is not allowed here" },
	{ SSL_R_VERSION_TOO_LOW, "the peer's protocol version is not allowed here" },
	{ SSL_R_NO_PROTOCOLS_AVAILABLE, "no protocol version is allowed here" },
	{ SSL_R_NO_SHARED_CIPHER, "no shared cipher" },
	{ SSL_R_NO_SUITABLE_KEY_SHARE, "no shared key exchange group" },
	{ SSL_R_NO_SHARED_GROUPS, "no shared key exchange group" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "no shared signature algorithm" },
	{ SSL_R_WRONG_SIGNATURE_TYPE, "the peer signs with an algorithm that is not allowed here" },
	{ SSL_R_DH_KEY_TOO_SMALL, "the peer's Diffie-Hellman key is too small" },
	{ SSL_R_EE_KEY_TOO_SMALL, "the peer's key is too small" },
	{ SSL_R_NO_APPLICATION_PROTOCOL, "the peer wants to speak another protocol than SMTP (ALPN, RFC 7301)" },
	{ SSL_R_EXCESSIVE_MESSAGE_SIZE, "the peer's certificates or another message are larger than 100 KiB" },
	{ SSL_R_UNSOLICITED_EXTENSION, "the peer answers an extension that it was not asked for" },
	{ SSL_R_COMPRESSION_DISABLED, "the peer wants compression, which was not offered" },
	{ SSL_R_UNSUPPORTED_COMPRESSION_ALGORITHM, "the peer wants compression, which was not offered" },
	{ SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
	    "the peer lacks secure renegotiation (RFC 5746)" },
};

/* What the peer's alert means to the one who reads the log. */
static const struct reason alerts[] = {
	{ SSL_AD_HANDSHAKE_FAILURE, "it finds no cipher, group or certificate in common" },
	{ SSL_AD_PROTOCOL_VERSION, "it does not accept our protocol versions" },
	{ SSL_AD_INSUFFICIENT_SECURITY, "it wants stronger ciphers" },
	{ SSL_AD_UNRECOGNIZED_NAME, "it does not know the name that it was asked for" },
	{ SSL_AD_UNKNOWN_CA, "it does not trust our certificate's issuer" },
	{ SSL_AD_CERTIFICATE_UNKNOWN, "it does not accept our certificate" },
	{ SSL_AD_BAD_CERTIFICATE, "it does not accept our certificate" },
	{ SSL_AD_CERTIFICATE_EXPIRED, "our certificate has expired" },
	{ SSL_AD_NO_APPLICATION_PROTOCOL, "it wants a protocol by ALPN, which SMTP does not use" },
	{ SSL_AD_CERTIFICATE_REQUIRED, "it wants a client certificate" },
};

static const char *
look_up(const struct reason *table, size_t n, int code)
{
	for (; n > 0; table++, n--)
		if (table->code == code)
			return table->text;
	return NULL;
}

static int
fail_alert(struct fail *f, const char *during, int alert)
{
	const char *hint = look_up(alerts, sizeof alerts / sizeof alerts[0], alert);
	const char *name = SSL_alert_desc_string_long(alert);

	return fail(f, FAIL_PEER, "%s: the peer sent the alert \"%s\" (%d)%s%s", during, name,
	    alert, hint != NULL ? ": " : "", hint != NULL ? hint : "");
}

static int
fail_reason(struct fail *f, const char *during)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code), rc;
	const char *text;

	if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET &&
	    reason <= SSL_AD_REASON_OFFSET + ALERT_MAX)
		rc = fail_alert(f, during, reason - SSL_AD_REASON_OFFSET);
	else if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    (text = look_up(ours, sizeof ours / sizeof ours[0], reason)) != NULL)
		rc = fail(f, FAIL_PEER, "%s: %s", during, text);
	else
		rc = fail_ossl(f, FAIL_PEER, "%s", during);
	ossl_clear();
	return rc;
}

int
tls_fail(SSL *ssl, int ret, struct fail *f)
{
	const char *during = SSL_is_init_finished(ssl) ? "TLS" : "TLS handshake";
	int saved = errno;

	if (tls_is_eof(ssl, ret) || (SSL_get_error(ssl, ret) == SSL_ERROR_SYSCALL && saved == 0)) {
		ossl_clear();
		return fail(f, FAIL_TEMP, "%s: the peer closed the connection", during);
	}
	if (SSL_get_error(ssl, ret) == SSL_ERROR_SYSCALL) {
		ossl_clear();
		return fail(f, FAIL_TEMP, "%s: %s", during, strerror(saved));
	}
	return fail_reason(f, during);
}
