/*
 * peer - SMTP servers that misbehave on command.
 *
 *	peer [-c CAPTURE] [-n NAME] ADDR@PORT=BEHAVIOUR[,CERTFOLDER]...
 *	peer -l			lists the behaviours
 *
 * Listens everywhere, prints "ready", runs until SIGTERM; one process a connection.  CERTFOLDER holds
 * key.pem, cert.pem and perhaps chain.pem; words without one take that of the word before.
 * Each behaviour is right but for one thing at one point: that is the whole table below.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define LISTEN_MAX 128
#define CHILDREN_MAX 256
#define SESSION_SECONDS 300
#define LINE_MAX_BYTES 4096
#define ENDLESS_BYTES (64 * 1024 * 1024)

/* Where a behaviour departs from the right one. */
enum point { NOWHERE, BANNER, EHLO, STARTTLS, HANDSHAKE, TLS_BEGIN, TLS_EHLO, QUIT, CONNECT };

/* What it does there. */
enum act {
	NOTHING,
	SAY,		/* text, and on */
	SAY_CLOSE,	/* text, and close */
	SHUT,		/* close */
	SILENCE,	/* say nothing until the client leaves */
	LATE,		/* two seconds late */
	ENDLESS,	/* text again and again */
	LONG_LINE,	/* text, then one line of 1 MiB, then all right */
	INJECT,		/* the right reply and text in one segment */
	ANSWER,		/* text for the ClientHello, then silence */
	HELLOS,		/* text for the ClientHello, again and again */
	RESET,		/* the connection is broken off for the ClientHello */
	STALL,		/* the server's first flight of TLS without its end, then silence */
	TRICKLE,	/* the same flight, octet by octet, slowly */
	OLD_TLS,	/* TLS 1.0 only */
	MANY_CERTS,	/* a chain of 100 certificates, nearly all of them false issuers of the leaf */
	LARGE_CERTS,	/* a chain of 1 MiB */
	RENEGOTIATE,	/* TLS 1.2, and a request to shake hands again */
	TICKETS,	/* session tickets without end */
	KEY_UPDATES,	/* changes of the key without end */
	FULL_QUEUE	/* the listener's queue is full: connecting takes for ever */
};

struct behaviour {
	const char *name;
	enum point point;
	enum act act;
	const char *text;
	size_t len;		/* of text, where it has NUL */
	unsigned flags;
};

#define DRIBBLE 1	/* one byte at a time */
#define NO_TLS 2	/* the STARTTLS command is not known */
#define NO_HELO 4	/* nor is HELO */
#define DRIP 8		/* what is without end comes at ten bytes a second */

#define BYTES(s) (s), sizeof(s) - 1
#define JUNK "220-\033[31mred\033]0;title\007 \x80\xff\xc3\x28 nul:\0: tab:\t cr:\r end\r\n220 mx ESMTP\r\n"

/* HelloRequest (RFC 5246 7.4.1.1), which a client ignores while it shakes hands. */
#define HELLO "\x16\x03\x03\x00\x04\0\0\0\0"
#define HELLO8 HELLO HELLO HELLO HELLO HELLO HELLO HELLO HELLO

/* A ServerHello of TLS 1.2 up to its cipher suite; what follows is the compression method. */
#define SERVER_HELLO(record, message) "\x16\x03\x03" record "\x02" message "\x03\x03" \
	"0123456789abcdef0123456789abcdef" "\0\xc0\x2f"
#define SERVER_HELLO_PLAIN SERVER_HELLO("\0\x2a", "\0\0\x26") "\0"

/* An empty record of the handshake, and a change of ciphers that TLS 1.3 passes over (RFC 8446 D.4). */
#define EMPTY "\x16\x03\x03\0\0"
#define CHANGE "\x14\x03\x03\0\x01\x01"
#define TIMES8(s) s s s s s s s s

static const struct behaviour behaviours[] = {
	{ .name = "good" },
	{ .name = "ok" },
	{ .name = "dribble", .flags = DRIBBLE },
	{ "odd-case", EHLO, SAY, BYTES("250-mx.odd.test  Hello there\r\n250-PIPELINING\r\n"
	    "250-X-UNKNOWN some=thing\r\n250-size 1000000\r\n250-starttls\r\n250 8BitMime\r\n"), 0 },
	{ .name = "no-quit", .point = QUIT, .act = SILENCE },
	{ "banner-421", BANNER, SAY_CLOSE, BYTES("421 4.3.2 too busy, come back later\r\n"), 0 },
	{ "banner-450", BANNER, SAY_CLOSE, BYTES("450 4.7.1 greylisted\r\n"), 0 },
	{ "banner-554", BANNER, SAY_CLOSE, BYTES("554 5.7.1 no mail from you\r\n"), 0 },
	{ .name = "banner-slow", .point = BANNER, .act = LATE },
	{ .name = "banner-never", .point = BANNER, .act = SILENCE },
	{ .name = "banner-close", .point = BANNER, .act = SHUT },
	{ "banner-junk", BANNER, SAY, BYTES(JUNK), 0 },
	{ "banner-http", BANNER, SAY_CLOSE, BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), 0 },
	{ "banner-endless", BANNER, ENDLESS, BYTES("220-for ever and ever\r\n"), 0 },
	{ "ehlo-421", EHLO, SAY_CLOSE, BYTES("421 4.3.2 shutting down\r\n"), 0 },
	{ "ehlo-450", EHLO, SAY, BYTES("450 4.3.2 not now\r\n"), NO_TLS },
	{ "helo-only", EHLO, SAY, BYTES("502 5.5.1 not implemented\r\n"), NO_TLS },
	{ .name = "ehlo-close", .point = EHLO, .act = SHUT },
	{ "ehlo-drop", EHLO, SAY_CLOSE, BYTES("250-mx.drop.test\r\n250-START"), 0 },
	{ "ehlo-endless", EHLO, ENDLESS, BYTES("250-X-FOR-EVER\r\n"), 0 },
	{ "ehlo-longline", EHLO, LONG_LINE, BYTES("250-mx.long.test\r\n250-"), 0 },
	{ "ehlo-garbage", EHLO, SAY, BYTES("hello there\r\n\x01\x02\xfe\xff\r\n"), NO_TLS },
	{ "no-starttls", EHLO, SAY, BYTES("250-mx.plain.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"), NO_TLS },
	{ "starttls-454", STARTTLS, SAY, BYTES("454 4.7.0 TLS not available due to temporary reason\r\n"), 0 },
	{ "starttls-501", STARTTLS, SAY, BYTES("501 5.5.4 syntax error\r\n"), 0 },
	{ "starttls-554", STARTTLS, SAY, BYTES("554 5.7.3 cannot start TLS\r\n"), 0 },
	{ "starttls-421", STARTTLS, SAY_CLOSE, BYTES("421 4.7.0 closing\r\n"), 0 },
	{ .name = "starttls-close", .point = HANDSHAKE, .act = SHUT },
	{ .name = "starttls-silent", .point = HANDSHAKE, .act = SILENCE },
	{ "inject", STARTTLS, INJECT, BYTES("250 injected\r\n"), 0 },
	{ "tls-garbage", HANDSHAKE, SAY_CLOSE, BYTES("this is no TLS\r\n\x01\x02\xfe\xff and never was\r\n"), 0 },
	{ "tls-alert", HANDSHAKE, ANSWER, BYTES("\x15\x03\x01\x00\x02\x02\x28"), 0 },
	{ "tls-endless", HANDSHAKE, HELLOS, BYTES(HELLO8 HELLO8 HELLO8 HELLO8), 0 },
	{ .name = "tls10", .point = CONNECT, .act = OLD_TLS },
	{ .name = "tls-close", .point = TLS_BEGIN, .act = SHUT },
	{ "tls-ehlo-421", TLS_EHLO, SAY_CLOSE, BYTES("421 4.3.2 shutting down\r\n"), 0 },
	{ "banner-drip", BANNER, ENDLESS, BYTES("220-drop by drop\r\n"), DRIP },
	{ "banner-longline", BANNER, LONG_LINE, BYTES("220-"), 0 },
	{ "ehlo-drip", EHLO, ENDLESS, BYTES("250-X-DROP-BY-DROP\r\n"), DRIP },
	{ "no-smtp", EHLO, SAY, BYTES("502 5.5.1 not implemented\r\n"), NO_TLS | NO_HELO },
	{ "starttls-502", STARTTLS, SAY, BYTES("502 5.5.1 not implemented\r\n"), 0 },
	{ "starttls-junk", STARTTLS, SAY, BYTES("\x01\x02 what is that?\r\n"), 0 },
	{ "starttls-endless", STARTTLS, ENDLESS, BYTES("220-go ahead, but not yet\r\n"), 0 },
	{ "inject-apart", HANDSHAKE, SAY, BYTES("250 injected\r\n"), 0 },
	{ "tls-empty", HANDSHAKE, HELLOS, BYTES(TIMES8(TIMES8(EMPTY))), 0 },
	{ "tls-ccs", HANDSHAKE, HELLOS, BYTES(TIMES8(TIMES8(CHANGE))), 0 },
	{ .name = "tls-reset", .point = HANDSHAKE, .act = RESET },
	{ .name = "tls-stall", .point = HANDSHAKE, .act = STALL },
	{ .name = "tls-trickle", .point = HANDSHAKE, .act = TRICKLE },
	/* Nobody offered ALPN: no_application_protocol (RFC 7301 3.2), and a protocol chosen all the same. */
	{ "tls-alpn-alert", HANDSHAKE, ANSWER, BYTES("\x15\x03\x03\x00\x02\x02\x78"), 0 },
	{ "tls-alpn", HANDSHAKE, ANSWER, BYTES(SERVER_HELLO("\0\x35", "\0\0\x31")
	    "\0" "\0\x09" "\0\x10" "\0\x05" "\0\x03\x02h2"), 0 },
	/* A compression method (RFC 3749) and a compressed certificate (RFC 8879) that nobody offered. */
	{ "tls-deflate", HANDSHAKE, ANSWER, BYTES(SERVER_HELLO("\0\x2a", "\0\0\x26") "\x01"), 0 },
	{ "tls-compressed", HANDSHAKE, ANSWER, BYTES(SERVER_HELLO_PLAIN
	    "\x16\x03\x03\0\x18" "\x19\0\0\x14" "\0\x01\xff\xff\xff\0\0\x0c" "\x78\xdajunk junk!"), 0 },
	/* A certificate message that announces 16 MiB. */
	{ "tls-longmsg", HANDSHAKE, ANSWER, BYTES(SERVER_HELLO_PLAIN
	    "\x16\x03\x03\0\x0c" "\x0b\xff\xff\xff" "\xff\xff\xfc" "\xff\xff\xf9" "xx"), 0 },
	{ .name = "tls-manycerts", .point = CONNECT, .act = MANY_CERTS },
	{ .name = "tls-largecerts", .point = CONNECT, .act = LARGE_CERTS },
	{ .name = "tls-renegotiate", .point = TLS_EHLO, .act = RENEGOTIATE },
	{ .name = "tls-tickets", .point = TLS_EHLO, .act = TICKETS },
	{ .name = "tls-keyupdates", .point = TLS_EHLO, .act = KEY_UPDATES },
	{ "tls-ehlo-450", TLS_EHLO, SAY, BYTES("450 4.3.2 not now\r\n"), 0 },
	{ "tls-ehlo-endless", TLS_EHLO, ENDLESS, BYTES("250-X-FOR-EVER\r\n"), 0 },
	{ "tls-ehlo-longline", TLS_EHLO, LONG_LINE, BYTES("250-mx.long.test\r\n250-"), 0 },
	{ "tls-ehlo-garbage", TLS_EHLO, SAY, BYTES("hello there\r\n\x01\x02\xfe\xff\r\n"), 0 },
	{ .name = "tls-ehlo-silent", .point = TLS_EHLO, .act = SILENCE },
	{ .name = "blackhole", .point = CONNECT, .act = FULL_QUEUE }
};

struct listener {
	char addr[INET6_ADDRSTRLEN];
	const struct behaviour *how;
	const char *certs;
	int fd;
};

struct session {
	const struct listener *l;
	const struct behaviour *how;
	int fd;
	SSL *ssl;
	int drip;
	unsigned sent;		/* of what never ends */
	char in[LINE_MAX_BYTES];
	size_t in_len;
};

static struct listener listeners[LISTEN_MAX];
static int nlisteners;
static int capture = -1;
static const char *host_name = "mx.lab.test";
static pid_t children[CHILDREN_MAX];
static int nchildren;
static volatile sig_atomic_t stopped;

static void
die(const char *what)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* One line to the capture file, in one write, so that processes do not mix; odd bytes as \xNN. */
static void note(const struct session *, const char *, ...) __attribute__((format(printf, 2, 3)));

static void
note(const struct session *s, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES], line[4 * LINE_MAX_BYTES + 64];
	size_t n, i;
	va_list ap;

	if (capture == -1)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = (size_t)snprintf(line, sizeof(line), "%s ", s->l->addr);
	for (i = 0; text[i] != '\0'; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n,
		    isprint((unsigned char)text[i]) ? "%c" : "\\x%02x", (unsigned char)text[i]);
	line[n++] = '\n';
	if (write(capture, line, n) != (ssize_t)n)
		die("capture");
}

static void
finish(struct session *s)
{
	if (s->ssl != NULL)
		SSL_shutdown(s->ssl);
	note(s, "end");
	_exit(0);
}

static void
put(struct session *s, const char *buf, size_t len)
{
	int slow = s->drip || (s->how->flags & DRIBBLE);
	size_t step = slow ? 1 : len, n;
	struct timespec pause = { .tv_nsec = s->drip ? 100000000 : 1000000 };
	int ok;

	for (; len > 0; buf += n, len -= n) {
		n = len < step ? len : step;
		ok = s->ssl != NULL ? SSL_write(s->ssl, buf, (int)n) == (int)n :
		    send(s->fd, buf, n, MSG_NOSIGNAL) == (ssize_t)n;
		if (!ok)
			finish(s);
		if (slow)
			nanosleep(&pause, NULL);
	}
}

static void
say(struct session *s, const char *text)
{
	put(s, text, strlen(text));
}

/* Reads until the client leaves. */
static void
be_silent(struct session *s)
{
	char buf[4096];

	while (read(s->fd, buf, sizeof(buf)) > 0)
		;
	finish(s);
}

static void
say_for_ever(struct session *s)
{
	size_t n;

	s->drip = s->how->flags & DRIP;
	for (n = 0; n < ENDLESS_BYTES; n += s->how->len)
		put(s, s->how->text, s->how->len);
	finish(s);
}

/* TLS --------------------------------------------------------------------------------------------------- */

static void
use_chain(SSL_CTX *ctx, const char *folder)
{
	char path[4096];
	BIO *bio;
	X509 *cert;

	snprintf(path, sizeof(path), "%s/chain.pem", folder);
	if ((bio = BIO_new_file(path, "r")) == NULL) {
		ERR_clear_error();
		return;
	}
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		SSL_CTX_add0_chain_cert(ctx, cert);
	ERR_clear_error();
	BIO_free(bio);
}

/*
 * A self-signed CA that bears the name of the leaf's issuer, but another key and key identifier (RFC 5280 4.2.1.2: each
 * CA has one), and a comment of that many octets.
 */
static X509 *
false_issuer(const X509 *leaf, size_t comment)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	unsigned char random[20];
	char *filler = calloc(1, comment + 1);

	if (key == NULL || cert == NULL || text == NULL || id == NULL || filler == NULL ||
	    RAND_bytes(random, sizeof(random)) != 1 || ASN1_OCTET_STRING_set(id, random, sizeof(random)) != 1)
		die("certificate");
	memset(filler, 'X', comment);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_set_subject_name(cert, X509_get_issuer_name(leaf));
	X509_set_issuer_name(cert, X509_get_issuer_name(leaf));
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	if (X509_add1_ext_i2d(cert, NID_subject_key_identifier, id, 0, 0) != 1)
		die("certificate");
	if (comment > 0 && (ASN1_STRING_set(text, filler, (int)comment) != 1 ||
	    X509_add1_ext_i2d(cert, NID_netscape_comment, text, 0, 0) != 1))
		die("certificate");
	if (X509_sign(cert, key, EVP_sha256()) == 0)
		die("certificate");
	ASN1_IA5STRING_free(text);
	ASN1_OCTET_STRING_free(id);
	free(filler);
	EVP_PKEY_free(key);
	return cert;
}

/* Before the right ones: leaf, 97 strangers, the chain; or 1 MiB of strangers. */
static void
use_strangers(SSL_CTX *ctx, enum act act)
{
	size_t n = act == MANY_CERTS ? 97 : act == LARGE_CERTS ? 17 : 0;

	for (; n > 0; n--)
		SSL_CTX_add0_chain_cert(ctx, false_issuer(SSL_CTX_get0_certificate(ctx),
		    act == LARGE_CERTS ? 62000 : 0));
}

static int
use_identity(SSL_CTX *ctx, const char *folder, enum act act)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/cert.pem", folder);
	if (SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM) != 1)
		return -1;
	use_strangers(ctx, act);
	use_chain(ctx, folder);
	snprintf(path, sizeof(path), "%s/key.pem", folder);
	return SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) == 1 ? 0 : -1;
}

/* Made anew for each connection, so that certificates may be exchanged under a running peer. */
static SSL_CTX *
tls_context(const struct session *s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
	if (s->how->act == OLD_TLS)
		SSL_CTX_set_max_proto_version(ctx, TLS1_VERSION);
	if (s->how->act == RENEGOTIATE)
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	if (s->l->certs == NULL || use_identity(ctx, s->l->certs, s->how->act) == -1) {
		fprintf(stderr, "peer: %s: no usable certificate\n", s->l->certs ? s->l->certs : "(none)");
		ERR_print_errors_fp(stderr);
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static void
answer_hello(struct session *s)
{
	char buf[16384];

	if (read(s->fd, buf, sizeof(buf)) > 0)
		put(s, s->how->text, s->how->len);
	be_silent(s);
}

static void
answer_for_ever(struct session *s)
{
	char buf[16384];

	if (read(s->fd, buf, sizeof(buf)) <= 0)
		finish(s);
	for (;;)
		put(s, s->how->text, s->how->len);
}

/* Broken off as by a firewall: no close, a reset. */
static void
reset(struct session *s)
{
	struct linger now = { .l_onoff = 1 };
	char c;

	if (read(s->fd, &c, 1) == 1)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	note(s, "end");
	_exit(0);
}

/* What a server really says to this ClientHello, but not all of it, or not in time. */
static void
break_off_flight(struct session *s)
{
	struct timespec pause = { .tv_nsec = 50000000 };
	char buf[16384], *flight;
	SSL_CTX *ctx = tls_context(s);
	SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	ssize_t n = read(s->fd, buf, sizeof(buf));
	long len, i;

	if (ssl == NULL || in == NULL || out == NULL || n <= 0 || BIO_write(in, buf, (int)n) != (int)n)
		finish(s);
	SSL_set_bio(ssl, in, out);
	SSL_accept(ssl);
	len = BIO_get_mem_data(out, &flight);
	if (s->how->act == STALL && len > 10)
		put(s, flight, (size_t)len - 10);
	for (i = 0; s->how->act == TRICKLE && i < len; i++) {
		put(s, flight + i, 1);
		nanosleep(&pause, NULL);
	}
	be_silent(s);
}

/* Without end, yet it leaves the CPU to others: a thousand as fast as can be, then a thousand a second at most. */
static void
breathe(struct session *s)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	if (++s->sent > 1000)
		nanosleep(&pause, NULL);
}

/* Does what the behaviour has for this point; 0 where it has nothing and the caller goes on as usual. */
static int
depart(struct session *s, enum point here)
{
	static char line[1024 * 1024];

	if (s->how->point != here)
		return 0;
	switch (s->how->act) {
	case SAY:
		put(s, s->how->text, s->how->len);
		return 1;
	case SAY_CLOSE:
		put(s, s->how->text, s->how->len);
		shutdown(s->fd, SHUT_WR);
		be_silent(s);
		break;
	case SHUT:
		finish(s);
		break;
	case SILENCE:
		be_silent(s);
		break;
	case LATE:
		sleep(2);
		return 0;
	case ENDLESS:
		say_for_ever(s);
		break;
	case LONG_LINE:
		memset(line, 'X', sizeof(line));
		put(s, s->how->text, s->how->len);
		put(s, line, sizeof(line));
		say(s, "\r\n250 STARTTLS\r\n");
		return 1;
	case ANSWER:
		answer_hello(s);
		break;
	case HELLOS:
		answer_for_ever(s);
		break;
	case RESET:
		reset(s);
		break;
	case STALL:
	case TRICKLE:
		break_off_flight(s);
		break;
	case RENEGOTIATE:
		SSL_renegotiate(s->ssl);
		SSL_do_handshake(s->ssl);
		break;
	case TICKETS:
		while (SSL_new_session_ticket(s->ssl) == 1 && SSL_do_handshake(s->ssl) == 1)
			breathe(s);
		finish(s);
		break;
	case KEY_UPDATES:
		while (SSL_key_update(s->ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(s->ssl) == 1)
			breathe(s);
		finish(s);
		break;
	default:
		break;
	}
	return 0;
}

/* The next line without its end, or the session's end. */
static char *
get_line(struct session *s)
{
	static char line[LINE_MAX_BYTES + 1];
	char *nl;
	size_t n;
	int got;

	while ((nl = memchr(s->in, '\n', s->in_len)) == NULL) {
		if (s->in_len == sizeof(s->in))
			finish(s);
		if (s->ssl != NULL)
			got = SSL_read(s->ssl, s->in + s->in_len, (int)(sizeof(s->in) - s->in_len));
		else
			got = (int)read(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len);
		if (got <= 0)
			finish(s);
		s->in_len += (size_t)got;
	}
	n = (size_t)(nl - s->in);
	memcpy(line, s->in, n);
	line[n] = '\0';
	if (n > 0 && line[n - 1] == '\r')
		line[n - 1] = '\0';
	s->in_len -= n + 1;
	memmove(s->in, nl + 1, s->in_len);
	note(s, "%s %s", s->ssl != NULL ? "tls" : "clear", line);
	return line;
}

static void
start_tls(struct session *s)
{
	SSL_CTX *ctx;
	SSL *ssl = NULL;
	const char *sni;

	if (s->how->act == INJECT) {
		char both[256];

		snprintf(both, sizeof(both), "220 2.0.0 go ahead\r\n%s", s->how->text);
		say(s, both);
	} else {
		say(s, "220 2.0.0 go ahead\r\n");
	}
	depart(s, HANDSHAKE);
	if ((ctx = tls_context(s)) == NULL || (ssl = SSL_new(ctx)) == NULL || SSL_set_fd(ssl, s->fd) != 1)
		finish(s);
	if (SSL_accept(ssl) != 1) {
		note(s, "tls-failed %s", ERR_reason_error_string(ERR_peek_error()));
		finish(s);
	}
	sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	s->ssl = ssl;
	s->in_len = 0;
	note(s, "tls-start %s %s", SSL_get_version(ssl), sni != NULL ? sni : "-");
	depart(s, TLS_BEGIN);
}

/* SMTP -------------------------------------------------------------------------------------------------- */

static void
ehlo(struct session *s)
{
	char text[512];

	if (depart(s, s->ssl != NULL ? TLS_EHLO : EHLO))
		return;
	snprintf(text, sizeof(text), "250-%s\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n%s250 8BITMIME\r\n",
	    host_name, s->ssl != NULL ? "" : "250-STARTTLS\r\n");
	say(s, text);
}

static void
data(struct session *s)
{
	say(s, "354 go ahead\r\n");
	while (strcmp(get_line(s), ".") != 0)
		;
	say(s, "250 2.0.0 taken\r\n");
}

static int
is_verb(const char *line, const char *verb)
{
	size_t n = strlen(verb);

	return strncasecmp(line, verb, n) == 0 && (line[n] == '\0' || line[n] == ' ' || line[n] == ':');
}

static void
command(struct session *s, const char *line)
{
	if (is_verb(line, "EHLO")) {
		ehlo(s);
	} else if (is_verb(line, "HELO")) {
		say(s, s->how->flags & NO_HELO ? "502 5.5.1 not implemented\r\n" : "250 hello\r\n");
	} else if (is_verb(line, "STARTTLS")) {
		if (s->ssl != NULL || (s->how->flags & NO_TLS))
			say(s, "502 5.5.1 not implemented\r\n");
		else if (s->how->act == INJECT || !depart(s, STARTTLS))
			start_tls(s);
	} else if (is_verb(line, "DATA")) {
		data(s);
	} else if (is_verb(line, "QUIT")) {
		if (!depart(s, QUIT))
			say(s, "221 2.0.0 bye\r\n");
		finish(s);
	} else if (is_verb(line, "MAIL") || is_verb(line, "RCPT") || is_verb(line, "RSET") ||
	    is_verb(line, "NOOP")) {
		say(s, "250 2.0.0 ok\r\n");
	} else {
		say(s, "500 5.5.2 what?\r\n");
	}
}

static void
serve(const struct listener *l, int fd)
{
	static struct session s;
	char text[256];
	int one = 1;

	s.l = l;
	s.how = l->how;
	s.fd = fd;
	alarm(SESSION_SECONDS);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	note(&s, "connect");
	snprintf(text, sizeof(text), "220 %s ESMTP lab\r\n", host_name);
	if (!depart(&s, BANNER))
		say(&s, text);
	for (;;)
		command(&s, get_line(&s));
}

/* Listening --------------------------------------------------------------------------------------------- */

static void
reap(void)
{
	int i;

	for (i = 0; i < nchildren; i++)
		if (waitpid(children[i], NULL, WNOHANG) != 0)
			children[i--] = children[--nchildren];
}

static void
accept_one(const struct listener *l, pid_t self)
{
	int fd;
	pid_t pid;
	int i;

	reap();
	if (nchildren == CHILDREN_MAX || (fd = accept(l->fd, NULL, NULL)) == -1)
		return;
	if ((pid = fork()) == 0) {
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self)
			_exit(1);
		/* The next peer is to have the port as soon as the parent has ended. */
		for (i = 0; i < nlisteners; i++)
			close(listeners[i].fd);
		serve(l, fd);
	}
	close(fd);
	if (pid > 0)
		children[nchildren++] = pid;
}

/* With a backlog of 0 the kernel keeps one finished connection and answers no further SYN. */
static void
fill_queue(const struct sockaddr *sa, socklen_t len)
{
	int i, fd;

	for (i = 0; i < 2; i++) {
		if ((fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
			die("socket");
		if (connect(fd, sa, len) == -1 && errno != EINPROGRESS)
			die("connect");
	}
}

static void
open_listener(struct listener *l, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	int one = 1;
	int full = l->how->act == FULL_QUEUE;

	if (getaddrinfo(l->addr, port, &hints, &ai) != 0) {
		fprintf(stderr, "peer: %s@%s: no address\n", l->addr, port);
		exit(2);
	}
	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd == -1)
		die(l->addr);
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l->fd, ai->ai_addr, ai->ai_addrlen) == -1 || listen(l->fd, full ? 0 : 128) == -1)
		die(l->addr);
	if (full)
		fill_queue(ai->ai_addr, ai->ai_addrlen);
	freeaddrinfo(ai);
}

static const struct behaviour *
behaviour_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); i++)
		if (strcmp(behaviours[i].name, name) == 0)
			return &behaviours[i];
	fprintf(stderr, "peer: no such behaviour: %s\n", name);
	exit(2);
}

static void
add_listener(char *word)
{
	char *port = strchr(word, '@'), *how = strchr(word, '='), *certs;
	struct listener *l = &listeners[nlisteners];

	if (port == NULL || how == NULL || nlisteners == LISTEN_MAX) {
		fprintf(stderr, "peer: %s: ADDR@PORT=BEHAVIOUR[,CERTFOLDER] expected\n", word);
		exit(2);
	}
	*port++ = *how++ = '\0';
	if ((certs = strchr(how, ',')) != NULL)
		*certs++ = '\0';
	else if (nlisteners > 0)
		certs = (char *)(uintptr_t)listeners[nlisteners - 1].certs;
	snprintf(l->addr, sizeof(l->addr), "%s", word);
	l->how = behaviour_of(how);
	l->certs = certs;
	open_listener(l, port);
	nlisteners++;
}

static void
stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void
loop(void)
{
	struct pollfd fds[LISTEN_MAX];
	pid_t self = getpid();
	int i;

	while (!stopped) {
		for (i = 0; i < nlisteners; i++)
			fds[i] = (struct pollfd){ .events = POLLIN,
			    .fd = listeners[i].how->act == FULL_QUEUE ? -1 : listeners[i].fd };
		if (poll(fds, (nfds_t)nlisteners, 1000) == -1)
			continue;
		for (i = 0; i < nlisteners; i++)
			if (fds[i].revents)
				accept_one(&listeners[i], self);
		reap();
	}
}

static void
list_behaviours(void)
{
	size_t i;

	for (i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); i++)
		puts(behaviours[i].name);
}

int
main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = stop };
	int ch, i;

	while ((ch = getopt(argc, argv, "c:n:l")) != -1)
		switch (ch) {
		case 'c':
			if ((capture = open(optarg, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) == -1)
				die(optarg);
			break;
		case 'n':
			host_name = optarg;
			break;
		case 'l':
			list_behaviours();
			return 0;
		default:
			return 2;
		}
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (; optind < argc; optind++)
		add_listener(argv[optind]);
	printf("ready\n");
	fflush(stdout);
	loop();
	for (i = 0; i < nchildren; i++)
		kill(children[i], SIGKILL);
	return 0;
}
