/*
 * smtpload - many SMTP clients at once, to see how fast a server takes mail.
 *
 *	smtpload [-t | -T] [-c clients] [-m messages] [-n messages] [-s octets] [-r rcpt] ADDR PORT
 *
 * Each client is a thread: it connects, greets, with -t starts TLS (a new session for each connection,
 * nothing verified), with -T resumes the session of its connection before, by the last ticket, sends -m messages of -s octets, quits, and connects again, until -n messages were
 * sent by all.  MAIL, RCPT and DATA go in one segment, as MTAs do where PIPELINING is offered.
 *
 * Prints "RATE P50 P99": messages answered 250 a second of wall time, connections and handshakes
 * included, and milliseconds from MAIL to that 250.  Any other answer ends it with status 1.  Where a session was not
 * resumed that should have been, it says on standard error how many were.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 1000
#define ENVELOPE "MAIL FROM:<load@bench.test>\r\nRCPT TO:<%s>\r\nDATA\r\n"

struct client {
	pthread_t thread;
	int fd;
	SSL *ssl;		/* NULL: clear text */
	SSL_SESSION *session;	/* -T: to be resumed; NULL: none yet */
	char in[4096];		/* what came and was not read yet */
	size_t from, to;
};

static struct sockaddr_in server;
static SSL_CTX *tls;
static int resume;
static atomic_ulong offered, resumed;	/* -T: sessions that were to be resumed, and were */
static unsigned long total = 1000, each = 10, taken;
static double *latency;		/* of each message, in milliseconds */
static char envelope[512];
static char *text;		/* a message with its final dot */
static size_t text_len;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
die(const char *what, const char *detail)
{
	fprintf(stderr, "smtpload: %s%s%s\n", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
	exit(1);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

/* ---- one connection ---- */

static void
put(struct client *c, const char *p, size_t n)
{
	ssize_t done;

	for (; n > 0; p += done, n -= done) {
		done = c->ssl != NULL ? SSL_write(c->ssl, p, n) : send(c->fd, p, n, MSG_NOSIGNAL);
		if (done <= 0)
			die("the server is gone", NULL);
	}
}

static int
get_byte(struct client *c)
{
	ssize_t n;

	if (c->from == c->to) {
		n = c->ssl != NULL ? SSL_read(c->ssl, c->in, sizeof c->in) :
		    recv(c->fd, c->in, sizeof c->in, 0);
		if (n <= 0)
			die("the server is gone", NULL);
		c->from = 0;
		c->to = n;
	}
	return (unsigned char)c->in[c->from++];
}

/* One reply, of any number of lines; its code has to be this one. */
static void
expect(struct client *c, const char *code)
{
	char line[600];
	size_t n;
	int ch;

	do {
		for (n = 0; (ch = get_byte(c)) != '\n';)
			if (n < sizeof line - 1)
				line[n++] = ch;
		line[n] = '\0';
		if (strncmp(line, code, 3) != 0)
			die("the server says", line);
	} while (n > 3 && line[3] == '-');
}

static void
say(struct client *c, const char *command, const char *code)
{
	put(c, command, strlen(command));
	expect(c, code);
}

static void
start_tls(struct client *c)
{
	SSL *ssl = SSL_new(tls);

	say(c, "STARTTLS\r\n", "220");
	if (ssl == NULL || SSL_set_fd(ssl, c->fd) != 1 || SSL_set_app_data(ssl, c) != 1 ||
	    (c->session != NULL && SSL_set_session(ssl, c->session) != 1) || SSL_connect(ssl) != 1)
		die("the TLS handshake failed", NULL);
	if (c->session != NULL) {
		atomic_fetch_add(&offered, 1);
		atomic_fetch_add(&resumed, (unsigned long)SSL_session_reused(ssl));
	}
	c->ssl = ssl;
	say(c, "EHLO client.bench.test\r\n", "250");
}

static void
begin(struct client *c)
{
	int on = 1;

	c->ssl = NULL;
	c->from = c->to = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd == -1 || connect(c->fd, (struct sockaddr *)&server, sizeof server) == -1)
		die("cannot connect", NULL);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	expect(c, "220");
	say(c, "EHLO client.bench.test\r\n", "250");
	if (tls != NULL)
		start_tls(c);
}

static void
end(struct client *c)
{
	say(c, "QUIT\r\n", "221");
	if (c->ssl != NULL)
		SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
}

static void
send_message(struct client *c, unsigned long number)
{
	double t0 = now();

	put(c, envelope, strlen(envelope));
	expect(c, "250");
	expect(c, "250");
	expect(c, "354");
	put(c, text, text_len);
	expect(c, "250");
	latency[number] = now() - t0;
}

/* ---- all of them ---- */

/* The next message's number; total where all are given out. */
static unsigned long
take_number(void)
{
	unsigned long n;

	pthread_mutex_lock(&lock);
	n = taken < total ? taken++ : total;
	pthread_mutex_unlock(&lock);
	return n;
}

static void *
run_client(void *arg)
{
	struct client *c = arg;
	unsigned long number = take_number(), i;

	while (number < total) {
		begin(c);
		for (i = 0; i < each && number < total; i++, number = take_number())
			send_message(c, number);
		end(c);
	}
	return NULL;
}

static void
make_text(size_t size)
{
	static const char head[] = "From: <load@bench.test>\r\nTo: <load@bench.test>\r\nSubject: load\r\n\r\n";
	static const char line_end[] = { '\r', '\n' }, end_of_data[] = { '.', '\r', '\n' };
	size_t n = sizeof head - 1, line;

	if ((text = malloc(size + sizeof head + 80)) == NULL)
		die("no memory", NULL);
	memcpy(text, head, n);
	while (n < size) {
		line = size - n >= 72 ? 70 : size - n > 2 ? size - n - 2 : 0;
		memset(text + n, 'x', line);
		memcpy(text + n + line, line_end, sizeof line_end);
		n += line + sizeof line_end;
	}
	memcpy(text + n, end_of_data, sizeof end_of_data);
	text_len = n + sizeof end_of_data;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
measure(unsigned clients)
{
	static struct client client[CLIENTS_MAX];
	double t0 = now(), wall;
	unsigned i;

	for (i = 0; i < clients; i++)
		if (pthread_create(&client[i].thread, NULL, run_client, &client[i]) != 0)
			die("no more threads", NULL);
	for (i = 0; i < clients; i++)
		pthread_join(client[i].thread, NULL);
	wall = now() - t0;
	qsort(latency, total, sizeof *latency, compare);
	printf("%.0f %.2f %.2f\n", total / wall * 1e3, latency[total / 2], latency[total * 99 / 100]);
}

static unsigned long
number(const char *word, unsigned long max)
{
	char *rest;
	unsigned long n = strtoul(word, &rest, 10);

	if (*rest != '\0' || n < 1 || n > max)
		die("not a number that makes sense", word);
	return n;
}

/* A ticket has come; it is ours from now on. */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct client *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1;
}

static void
use_tls(void)
{
	if ((tls = SSL_CTX_new(TLS_client_method())) == NULL)
		die("no TLS", NULL);
	SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(tls, resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL :
	    SSL_SESS_CACHE_OFF);
	SSL_CTX_sess_set_new_cb(tls, resume ? keep_session : NULL);
}

int
main(int argc, char **argv)
{
	unsigned long clients = 20, size = 4096;
	const char *rcpt = "load@bench.test";
	int ch;

	signal(SIGPIPE, SIG_IGN);
	while ((ch = getopt(argc, argv, "tTc:m:n:s:r:")) != -1)
		switch (ch) {
		case 'T': resume = 1;	/* fall through */
		case 't': use_tls(); break;
		case 'c': clients = number(optarg, CLIENTS_MAX); break;
		case 'm': each = number(optarg, 1000000); break;
		case 'n': total = number(optarg, 10000000); break;
		case 's': size = number(optarg, 1UL << 30); break;
		case 'r': rcpt = optarg; break;
		default: return 2;
		}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: smtpload [-t | -T] [-c clients] [-m messages] [-n messages] [-s octets] "
		    "[-r rcpt] ADDR PORT\n");
		return 2;
	}
	server.sin_family = AF_INET;
	server.sin_port = htons(number(argv[optind + 1], 65535));
	if (inet_pton(AF_INET, argv[optind], &server.sin_addr) != 1)
		die("not an IPv4 address", argv[optind]);
	snprintf(envelope, sizeof envelope, ENVELOPE, rcpt);
	make_text(size);
	if ((latency = calloc(total, sizeof *latency)) == NULL)
		die("no memory", NULL);
	measure(clients);
	if (resumed < offered)
		fprintf(stderr, "smtpload: port %s: %lu of %lu sessions were resumed\n", argv[optind + 1], resumed, offered);
	return 0;
}
