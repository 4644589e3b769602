/*
 * https - the policy hosts of the lab's domains (RFC 8461): one server for all, that asks SNI who it is.
 *
 *	https [-c CAPTURE] SITES CERTS ADDR@PORT...
 *
 * For SNI mta-sts.DOMAIN the file SITES/DOMAIN says in its first line how to behave and with which
 * certificate of CERTS, "BEHAVIOUR CERT", and holds the policy's text behind it; it is read for each
 * connection, so a test changes it as it goes.  Prints "ready" once it listens.  It shares no code with
 * what it tests.  Behaviours:
 *
 *	good, charset, chunked	200 and the text: text/plain; with a charset; in chunks
 *	html, notype		the text under another content type, or none
 *	redirect		301 to https://mta-sts.DOMAIN/elsewhere, where the text is
 *	notfound, error		404, 500, with the text as body
 *	large			200, the text and then lines without end
 *	large-length		200, Content-Length 70000
 *	truncated		Content-Length of twice the text, which ends after the text
 *	slow			the answer, an octet every 0.2 s
 *	silent			takes the request and says nothing
 *	headers			header fields without end
 *	garbage			no HTTP
 *	close			takes the request and closes
 *	tls11			offers no TLS above 1.1
 *
 * SNI reports.DOMAIN is a server for reports (RFC 8460 5.4): the file SITES/reports.DOMAIN has behaviour and certificate; what is
 * posted becomes the file SITES/posted.N, N from 0, and its type is told with event `post`.  Behaviours: good (201), error (500).
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTEN_MAX 16
#define TEXT_MAX 70000

static const char *sites, *certs, *capture, *address;

struct site {
	char domain[256], how[32], cert[64], text[TEXT_MAX];
	size_t len;
};

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
note(const char *event, const char *what)
{
	char line[1024];
	int fd, n;

	if (capture == NULL || (fd = open(capture, O_WRONLY | O_APPEND | O_CREAT, 0644)) == -1)
		return;
	n = snprintf(line, sizeof line, "%s https %s %s\n", address, event, what);
	(void)!write(fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
	close(fd);
}

static int
read_site(struct site *s, const char *host)
{
	char path[600], first[128];
	FILE *fp;

	memset(s, 0, sizeof *s);
	if ((strncmp(host, "mta-sts.", 8) != 0 && strncmp(host, "reports.", 8) != 0) || strchr(host, '/') != NULL)
		return -1;
	snprintf(s->domain, sizeof s->domain, "%s", host[0] == 'r' ? host : host + 8);
	snprintf(path, sizeof path, "%s/%s", sites, s->domain);
	if ((fp = fopen(path, "r")) == NULL)
		return -1;
	if (fgets(first, sizeof first, fp) == NULL || sscanf(first, "%31s %63s", s->how, s->cert) != 2) {
		fclose(fp);
		return -1;
	}
	s->len = fread(s->text, 1, sizeof s->text, fp);
	fclose(fp);
	return 0;
}

static int
is(const struct site *s, const char *how)
{
	return strcmp(s->how, how) == 0;
}

static void
load_cert(SSL *ssl, const char *name)
{
	char path[600];
	X509 *x;
	FILE *fp;

	snprintf(path, sizeof path, "%s/%s/cert.pem", certs, name);
	if (SSL_use_certificate_file(ssl, path, SSL_FILETYPE_PEM) != 1)
		die(path);
	snprintf(path, sizeof path, "%s/%s/key.pem", certs, name);
	if (SSL_use_PrivateKey_file(ssl, path, SSL_FILETYPE_PEM) != 1)
		die(path);
	snprintf(path, sizeof path, "%s/%s/chain.pem", certs, name);
	if ((fp = fopen(path, "r")) == NULL)
		return;
	while ((x = PEM_read_X509(fp, NULL, NULL, NULL)) != NULL)
		SSL_add0_chain_cert(ssl, x);
	fclose(fp);
}

/* The name in the hello, which the library shows only once the version is settled; RFC 6066 3. */
static int
name_in_hello(SSL *ssl, char *name, size_t size)
{
	const unsigned char *p;
	size_t n;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1 || n < 5 || n - 5 >= size)
		return -1;
	memcpy(name, p + 5, n - 5);
	name[n - 5] = '\0';
	return 0;
}

static int
on_hello(SSL *ssl, int *alert, void *arg)
{
	struct site *s = arg;
	char name[256];

	(void)alert;
	if (name_in_hello(ssl, name, sizeof name) == -1) {
		note("hello", "-");
		return SSL_CLIENT_HELLO_ERROR;
	}
	note("hello", name);
	if (read_site(s, name) == -1)
		return SSL_CLIENT_HELLO_ERROR;
	load_cert(ssl, s->cert);
	if (is(s, "tls11"))
		SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
	return SSL_CLIENT_HELLO_SUCCESS;
}

static void
put(SSL *ssl, const char *p, size_t n)
{
	if (n > 0 && SSL_write(ssl, p, (int)n) <= 0)
		exit(0);
}

static void
answer(SSL *ssl, const struct site *s, const char *status, const char *more, size_t length)
{
	char head[600];
	int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nServer: lab\r\n%sContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n", status, more, length);

	put(ssl, head, n);
	put(ssl, s->text, s->len);
}

static void
answer_chunked(SSL *ssl, const struct site *s)
{
	size_t half = s->len / 2;
	char size[32];
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";

	put(ssl, head, sizeof head - 1);
	put(ssl, size, snprintf(size, sizeof size, "%zx\r\n", half));
	put(ssl, s->text, half);
	put(ssl, size, snprintf(size, sizeof size, "\r\n%zx\r\n", s->len - half));
	put(ssl, s->text + half, s->len - half);
	put(ssl, "\r\n0\r\n\r\n", 7);
}

static void
answer_slowly(SSL *ssl)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
	size_t i;

	for (i = 0;; i++) {
		put(ssl, i < sizeof text - 1 ? &text[i] : "x", 1);
		poll(NULL, 0, 200);
	}
}

static void
endless(SSL *ssl, const char *head, const char *line)
{
	put(ssl, head, strlen(head));
	for (;;)
		put(ssl, line, strlen(line));
}

#define PLAIN "Content-Type: text/plain\r\n"

static void
behave(SSL *ssl, const struct site *s, const char *path)
{
	char where[400];

	if (is(s, "redirect") && strcmp(path, "/elsewhere") != 0) {
		snprintf(where, sizeof where, "Location: https://mta-sts.%s/elsewhere\r\n" PLAIN, s->domain);
		answer(ssl, s, "301 Moved Permanently", where, s->len);
	} else if (is(s, "notfound") || (strcmp(path, "/.well-known/mta-sts.txt") != 0 && !is(s, "redirect")))
		answer(ssl, s, "404 Not Found", PLAIN, s->len);
	else if (is(s, "error"))
		answer(ssl, s, "500 Internal Server Error", PLAIN, s->len);
	else if (is(s, "charset"))
		answer(ssl, s, "200 OK", "Content-Type: Text/Plain; charset=utf-8\r\n", s->len);
	else if (is(s, "html"))
		answer(ssl, s, "200 OK", "Content-Type: text/html\r\n", s->len);
	else if (is(s, "notype"))
		answer(ssl, s, "200 OK", "", s->len);
	else if (is(s, "truncated"))
		answer(ssl, s, "200 OK", PLAIN, 2 * s->len);
	else if (is(s, "large-length"))
		answer(ssl, s, "200 OK", PLAIN, 70000);
	else if (is(s, "large"))
		endless(ssl, "HTTP/1.1 200 OK\r\n" PLAIN "\r\n", "padding: this policy has no end\n");
	else if (is(s, "headers"))
		endless(ssl, "HTTP/1.1 200 OK\r\n", "X-Padding: these fields have no end\r\n");
	else if (is(s, "chunked"))
		answer_chunked(ssl, s);
	else if (is(s, "slow"))
		answer_slowly(ssl);
	else if (is(s, "silent"))
		pause();
	else if (is(s, "garbage"))
		put(ssl, "220 smtp.example ESMTP\r\n", 24);
	else if (!is(s, "close"))
		answer(ssl, s, "200 OK", PLAIN, s->len);
}

static int take_post(SSL *, const struct site *, const char *, size_t);

/* The request, as far as its path. */
static int
read_path(SSL *ssl, const struct site *s, char *path, size_t size)
{
	char request[4096];
	size_t n = 0;
	int got;
	char *end;

	while (n < sizeof request - 1 && (got = SSL_read(ssl, request + n, (int)(sizeof request - 1 - n))) > 0) {
		n += got;
		request[n] = '\0';
		if (strstr(request, "\r\n\r\n") != NULL)
			break;
	}
	request[n] = '\0';
	if (take_post(ssl, s, request, n))
		return -1;
	if (strncmp(request, "GET ", 4) != 0 || (end = strchr(request + 4, ' ')) == NULL)
		return -1;
	*end = '\0';
	if ((size_t)(end - request - 4) >= size)
		return -1;
	memcpy(path, request + 4, end - request - 4 + 1);
	/* What a fetch must not bring along. */
	for (end++; (end = strchr(end, '\n')) != NULL && end[1] != '\r'; end++)
		if (strncasecmp(end + 1, "Cookie:", 7) == 0 || strncasecmp(end + 1, "Authorization:", 14) == 0)
			note("credentials", path);
	return 0;
}

/* 1: the request was a POST, and is answered. */
static int
take_post(SSL *ssl, const struct site *s, const char *request, size_t n)
{
	const char *body = memmem(request, n, "\r\n\r\n", 4), *type, *length;
	char path[600], what[400];
	static char text[1 << 20];
	size_t want, have;
	int out, got, i;

	if (strncmp(request, "POST ", 5) != 0 || body == NULL)
		return 0;
	type = strcasestr(request, "\r\nContent-Type: ");
	length = strcasestr(request, "\r\nContent-Length: ");
	want = length != NULL ? strtoul(length + 18, NULL, 10) : 0;
	body += 4;
	have = n - (size_t)(body - request);
	memcpy(text, body, have);
	while (have < want && have < sizeof text && (got = SSL_read(ssl, text + have, (int)(sizeof text - have))) > 0)
		have += (size_t)got;
	snprintf(what, sizeof what, "%.*s %.*s", (int)strcspn(request + 5, " "), request + 5,
	    type != NULL ? (int)strcspn(type + 16, "\r") : 1, type != NULL ? type + 16 : "-");
	note("post", what);
	if (!is(s, "good")) {
		answer(ssl, s, "500 Internal Server Error", "Content-Type: text/plain\r\n", 0);
		return 1;
	}
	for (i = 0, out = -1; out == -1 && i < 1000; i++) {
		snprintf(path, sizeof path, "%s/posted.%d", sites, i);
		out = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	}
	(void)!write(out, text, have);
	close(out);
	answer(ssl, s, "201 Created", "Content-Type: text/plain\r\n", 0);
	return 1;
}

static void
serve(int fd)
{
	static struct site site;
	char path[1024];
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_client_hello_cb(ctx, on_hello, &site);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) != 1) {
		note("refused", site.domain[0] != '\0' ? site.domain : "-");
		exit(0);
	}
	if (read_path(ssl, &site, path, sizeof path) == 0) {
		note("get", site.domain);
		behave(ssl, &site, path);
	}
	SSL_shutdown(ssl);
	exit(0);
}

static int
listen_at(const char *word)
{
	char addr[64];
	const char *at = strchr(word, '@');
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd, on = 1;

	if (at == NULL || (size_t)(at - word) >= sizeof addr) {
		fprintf(stderr, "https: %s: ADDR@PORT expected\n", word);
		exit(2);
	}
	memcpy(addr, word, at - word);
	addr[at - word] = '\0';
	sin.sin_port = htons((uint16_t)strtol(at + 1, NULL, 10));
	if (inet_pton(AF_INET, addr, &sin.sin_addr) != 1)
		die(word);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof sin) == -1 || listen(fd, 64) == -1)
		die(word);
	return fd;
}

static void
take(int listener, const char *word, pid_t parent)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd == -1)
		return;
	switch (fork()) {
	case -1:
		die("fork");
		break;
	case 0:
		/* Nobody outlives the server that a test has stopped. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		address = word;
		serve(fd);
		break;
	default:
		close(fd);
	}
}

int
main(int argc, char **argv)
{
	struct pollfd p[LISTEN_MAX];
	pid_t me = getpid();
	int ch, n = 0, i;

	while ((ch = getopt(argc, argv, "c:")) != -1)
		if (ch == 'c')
			capture = optarg;
		else
			return 2;
	if (argc - optind < 3 || argc - optind - 2 > LISTEN_MAX) {
		fprintf(stderr, "usage: https [-c CAPTURE] SITES CERTS ADDR@PORT...\n");
		return 2;
	}
	sites = argv[optind];
	certs = argv[optind + 1];
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	for (i = optind + 2; i < argc; i++)
		p[n++] = (struct pollfd){ .fd = listen_at(argv[i]), .events = POLLIN };
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(p, n, -1) == -1 && errno != EINTR)
			die("poll");
		for (i = 0; i < n; i++)
			if (p[i].revents & POLLIN)
				take(p[i].fd, argv[optind + 2 + i], me);
	}
}
