/*
 * tls - contexts and facts of TLS connections between MTAs.
 *
 * The handshake judges nobody: every certificate is taken, and common/verify looks at the chain
 * afterwards, from the facts in struct tls_info.  (SSL_dane_*() on these SSLs would not be asked
 * either: the contexts carry a verify callback that does nothing.)  What openssl.cnf says about
 * protocols, ciphers and security levels does not count: each context states its own.
 */
#ifndef MTATLS_TLS_H
#define MTATLS_TLS_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "fail.h"

enum tls_strictness {
	/*
	 * For unauthenticated and DANE levels: TLS 1.0 up, security level 0, peers without
	 * RFC 5746.  Any encryption beats clear text (RFC 7435), and a DANE match counts even with
	 * an RSA-1024 key or a TLS 1.0 peer (RFC 7672).  Anonymous and null ciphers stay out.
	 */
	TLS_LAX,
	/* For PKIX levels: TLS 1.2 up, security level 2 (112 bits: RSA 2048, SHA-256). */
	TLS_STRICT
};

/* The caller frees with SSL_CTX_free().  Sessions are not kept.  FAIL_SYS. */
SSL_CTX *tls_client_ctx(enum tls_strictness, struct fail *);

struct tls_server_conf {
	int min_version;	/* TLS1_2_VERSION; 0: that */
	/*
	 * Colon-separated, as ciphers(1) has them; words with TLS_ before are suites of TLS 1.3.  NULL: with forward
	 * secrecy alone, AEAD first.  What is null, anonymous or needs a shared secret stays out always.
	 */
	const char *ciphers;
};

/*
 * Key, leaf and intermediates (may be NULL) of the server; borrowed, the context takes references.  The
 * server's order of ciphers counts.  A client that offers protocols by ALPN (RFC 7301) and not SMTP among
 * them is turned away: it speaks to another server than it believes.  No tickets: tls_server.h.  FAIL_INPUT
 * where key and certificate do not belong together, or the ciphers are none.  conf NULL: the defaults.
 */
SSL_CTX *tls_server_ctx(EVP_PKEY *, X509 *, STACK_OF(X509) *chain, const struct tls_server_conf *,
    struct fail *);

/* A second certificate, of a key of another type, that the context shows to who cannot do with the first. */
int tls_server_add(SSL_CTX *, EVP_PKEY *, X509 *, STACK_OF(X509) *chain, struct fail *);

/* FAIL_INPUT: a word that stands for no cipher. */
int tls_check_ciphers(const char *, struct fail *);

/*
 * A connection for io_start_tls(), or for SSL_free().  sni is sent as server_name where it is not
 * NULL; an address literal (RFC 6066 3) or a name that cannot stand there is FAIL_INPUT.
 */
SSL *tls_client(SSL_CTX *, const char *sni, struct fail *);
SSL *tls_server(SSL_CTX *, struct fail *);

#define TLS_NAME_MAX 48

struct tls_info {
	const char *protocol;		/* "TLSv1.3"; static */
	const char *cipher;		/* OpenSSL's name; static */
	const char *suite;		/* IANA's; static */
	int bits;			/* of the cipher's secret */
	char group[TLS_NAME_MAX];	/* of the key exchange: "x25519"; "DH-2048"; "" for RSA */
	char sigalg[TLS_NAME_MAX];	/* of the peer: "ECDSA-SHA256"; "" where it did not sign */
	int resumed;
	int renegotiates_safely;	/* RFC 5746, or TLS 1.3, which has no renegotiation */
	X509 *cert;			/* the peer's leaf; NULL: none */
	STACK_OF(X509) *chain;		/* as sent, leaf first; NULL: none */
};

/* After the handshake.  What the struct holds is owned by it and goes with tls_info_clear(). */
void tls_info_get(SSL *, struct tls_info *);
void tls_info_clear(struct tls_info *);

/*
 * Why an SSL_*() call returned ret, in words for a postmaster.  Reads and empties OpenSSL's error
 * queue; errno must be the call's.  FAIL_TEMP where the connection broke, FAIL_PEER otherwise.
 * Always returns -1.
 */
int tls_fail(SSL *, int ret, struct fail *);

/* True where ret of SSL_read() or SSL_write() means that the peer closed, politely or not. */
int tls_is_eof(SSL *, int ret);

#endif
