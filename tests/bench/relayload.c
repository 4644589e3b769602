/*
 * relayload - both ends of a relay: clients that hand messages in, and the sink that they arrive at.
 *
 *	relayload [-c clients] [-d domains] [-l octets] [-m messages-per-connection] [-n messages] [-p per-second]
 *	    [-r recipients] [-t] [-w milliseconds] [-C cert -K key] RELAY-PORT SINK-PORT
 *
 * -d: messages are for b@d1.dest.test, b@d2.dest.test ... in turn, else all for dest.test; -p: all clients together
 * hand in so many a second, else as many as they can; -r: of each message; -t: clients use
 * STARTTLS; -w: before the sink answers a message; -C, -K: it offers STARTTLS.  Prints messages/s from the first
 * submission to the last arrival (of its last recipient), then p50 and p99 of the milliseconds from submission to
 * arrival.  The sink has all addresses of loopback; ends with 1 where a message was taken and did not arrive.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S 60

struct conn {
	int fd;
	SSL *ssl;
	size_t at, len;
	char in[16384];
};

static int clients = 20, octets = 4096, per_conn = 10, total = 2000, use_tls;
static int domains, per_second, recipients = 1, wait_ms;
static double began;
static int relay_port, sink_port;
static SSL_CTX *client_ctx, *sink_ctx;
static atomic_int next_message, taken, arrived;
static double *sent_at, *arrived_at;
static atomic_int *left;	/* recipients that it has not arrived for */
static char *body;
static size_t body_len;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
put(struct conn *c, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = c->ssl != NULL ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int
say(struct conn *c, const char *s)
{
	return put(c, s, strlen(s));
}

/* A line without its end; -1 where there is none. */
static int
get_line(struct conn *c, char *dst, size_t size)
{
	size_t n = 0;

	for (;;) {
		ssize_t r;

		while (c->at < c->len) {
			char ch = c->in[c->at++];

			if (ch == '\n') {
				if (n > 0 && dst[n - 1] == '\r')
					n--;
				dst[n] = '\0';
				return (int)n;
			}
			if (n + 1 < size)
				dst[n++] = ch;
		}
		r = c->ssl != NULL ? SSL_read(c->ssl, c->in, sizeof c->in) : read(c->fd, c->in, sizeof c->in);
		if (r <= 0)
			return -1;
		c->at = 0;
		c->len = (size_t)r;
	}
}

/* The first digit of a whole reply, 0 at the end of the session. */
static int
reply(struct conn *c)
{
	char line[1024];

	do
		if (get_line(c, line, sizeof line) < 4)
			return 0;
	while (line[3] == '-');
	return line[0] - '0';
}

static void
hang_up(struct conn *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	c->at = c->len = 0;
}

/* ---- the sink ---- */

static int
sink_data(struct conn *c, int nrcpts)
{
	char line[4096];
	int n, id = -1;

	if (say(c, "354 go\r\n") == -1)
		return -1;
	while ((n = get_line(c, line, sizeof line)) >= 0 && strcmp(line, ".") != 0)
		if (strncmp(line, "X-Number: ", 10) == 0)
			id = (int)strtol(line + 10, NULL, 10);
	if (wait_ms > 0)
		usleep((useconds_t)wait_ms * 1000);
	if (n < 0 || say(c, "250 2.0.0 taken\r\n") == -1)
		return -1;
	if (id >= 0 && id < total && atomic_fetch_sub(&left[id], nrcpts) == nrcpts) {
		arrived_at[id] = now();
		atomic_fetch_add(&arrived, 1);
	}
	return 0;
}

static int
sink_tls(struct conn *c)
{
	if (say(c, "220 2.0.0 go\r\n") == -1 || (c->ssl = SSL_new(sink_ctx)) == NULL)
		return -1;
	SSL_set_fd(c->ssl, c->fd);
	return SSL_accept(c->ssl) == 1 ? 0 : -1;
}

static void *
sink_session(void *arg)
{
	struct conn *c = arg;
	char line[4096];
	int rc = say(c, "220 sink.test ESMTP\r\n"), nrcpts = 0;

	while (rc == 0 && get_line(c, line, sizeof line) >= 0)
		if (strncmp(line, "EHLO", 4) == 0)
			rc = say(c, sink_ctx != NULL && c->ssl == NULL ?
			    "250-sink.test\r\n250-STARTTLS\r\n250 PIPELINING\r\n" :
			    "250-sink.test\r\n250 PIPELINING\r\n");
		else if (strncmp(line, "STARTTLS", 8) == 0 && sink_ctx != NULL)
			rc = sink_tls(c);
		else if (strncmp(line, "DATA", 4) == 0) {
			rc = sink_data(c, nrcpts);
			nrcpts = 0;
		} else if (strncmp(line, "RCPT", 4) == 0) {
			nrcpts++;
			rc = say(c, "250 2.1.5 ok\r\n");
		}
		else if (strncmp(line, "QUIT", 4) == 0)
			rc = -1;
		else
			rc = say(c, "250 2.0.0 ok\r\n");
	hang_up(c);
	free(c);
	return NULL;
}

static struct sockaddr_in
loopback(int port)	/* to which one connects */
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

static void *
sink(void *arg)
{
	int lfd = *(int *)arg, on = 1;
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (;;) {
		struct conn *c = calloc(1, sizeof *c);

		if (c == NULL || (c->fd = accept(lfd, NULL, NULL)) == -1) {
			free(c);
			continue;
		}
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (pthread_create(&t, &attr, sink_session, c) != 0) {
			hang_up(c);
			free(c);
		}
	}
	return NULL;
}

/* ---- the clients ---- */

static int
dial(struct conn *c)
{
	struct sockaddr_in sin = loopback(relay_port);
	int on = 1;

	if ((c->fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(c->fd, (struct sockaddr *)&sin, sizeof sin) == -1)
		return -1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (reply(c) != 2 || say(c, "EHLO load.test\r\n") == -1 || reply(c) != 2)
		return -1;
	if (!use_tls)
		return 0;
	if (say(c, "STARTTLS\r\n") == -1 || reply(c) != 2 || (c->ssl = SSL_new(client_ctx)) == NULL)
		return -1;
	SSL_set_fd(c->ssl, c->fd);
	if (SSL_connect(c->ssl) != 1 || say(c, "EHLO load.test\r\n") == -1 || reply(c) != 2)
		return -1;
	return 0;
}

static int
name_recipients(struct conn *c, int id)
{
	char command[128], domain[64] = "dest.test";
	int i;

	if (domains > 0)
		snprintf(domain, sizeof domain, "d%d.dest.test", id % domains + 1);
	for (i = 0; i < recipients; i++) {
		snprintf(command, sizeof command, "RCPT TO:<b%d@%s>\r\n", i, domain);
		if (say(c, command) == -1 || reply(c) != 2)
			return -1;
	}
	return 0;
}

/* Its turn, where so many a second are wanted. */
static void
await_turn(int id)
{
	double left_s = per_second > 0 ? began + (double)id / per_second - now() : 0;

	if (left_s > 0)
		usleep((useconds_t)(left_s * 1e6));
}

static int
submit(struct conn *c, int id)
{
	char head[256];
	int n = snprintf(head, sizeof head, "Subject: load\r\nX-Number: %d\r\n\r\n", id);

	if (say(c, "MAIL FROM:<a@source.test>\r\n") == -1 || reply(c) != 2 || name_recipients(c, id) == -1 ||
	    say(c, "DATA\r\n") == -1 || reply(c) != 3)
		return -1;
	if (put(c, head, (size_t)n) == -1 || put(c, body, body_len) == -1 || say(c, ".\r\n") == -1)
		return -1;
	return reply(c) == 2 ? 0 : -1;
}

static void *
client(void *arg)
{
	struct conn c = { .fd = -1 };
	int id, used = 0;

	(void)arg;
	while ((id = atomic_fetch_add(&next_message, 1)) < total) {
		await_turn(id);
		if (c.fd == -1 && dial(&c) == -1) {
			hang_up(&c);
			continue;
		}
		sent_at[id] = now();
		if (submit(&c, id) == 0)
			atomic_fetch_add(&taken, 1);
		else
			used = per_conn;
		if (++used >= per_conn) {
			say(&c, "QUIT\r\n");
			hang_up(&c);
			used = 0;
		}
	}
	hang_up(&c);
	return NULL;
}

/* ---- figures ---- */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
print_figures(double start)
{
	double *took = calloc((size_t)total, sizeof *took), last = start;
	int i, n = 0;

	if (took == NULL)
		exit(2);
	for (i = 0; i < total; i++)
		if (arrived_at[i] > 0) {
			took[n++] = (arrived_at[i] - sent_at[i]) * 1e3;
			if (arrived_at[i] > last)
				last = arrived_at[i];
		}
	qsort(took, (size_t)n, sizeof *took, compare);
	if (n < total)
		fprintf(stderr, "relayload: %d submitted, %d taken, %d arrived\n", total,
		    atomic_load(&taken), n);
	printf("%.0f %.1f %.1f\n", n / (last - start), n > 0 ? took[n / 2] : 0,
	    n > 0 ? took[(int)(n * .99)] : 0);
	free(took);
}

static void
make_body(void)
{
	size_t i;

	body = malloc((size_t)octets + 80);
	for (i = 0; body != NULL && i < (size_t)octets; i++)
		body[body_len++] = i % 66 == 64 ? '\r' : i % 66 == 65 ? '\n' : (char)('a' + i % 26);
	if (body != NULL) {
		body[body_len++] = '\r';
		body[body_len++] = '\n';
	}
}

static int
listen_sink(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((unsigned short)sink_port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sin, sizeof sin) == -1 || listen(fd, 1024) == -1) {
		perror("relayload: sink");
		exit(2);
	}
	return fd;
}

static void
read_options(int argc, char **argv)
{
	const char *cert = NULL, *key = NULL;
	int ch;

	while ((ch = getopt(argc, argv, "c:d:l:m:n:p:r:tw:C:K:")) != -1)
		switch (ch) {
		case 'c': clients = (int)strtol(optarg, NULL, 10); break;
		case 'd': domains = (int)strtol(optarg, NULL, 10); break;
		case 'p': per_second = (int)strtol(optarg, NULL, 10); break;
		case 'r': recipients = (int)strtol(optarg, NULL, 10); break;
		case 'w': wait_ms = (int)strtol(optarg, NULL, 10); break;
		case 'l': octets = (int)strtol(optarg, NULL, 10); break;
		case 'm': per_conn = (int)strtol(optarg, NULL, 10); break;
		case 'n': total = (int)strtol(optarg, NULL, 10); break;
		case 't': use_tls = 1; break;
		case 'C': cert = optarg; break;
		case 'K': key = optarg; break;
		default: exit(2);
		}
	if (argc - optind != 2 || clients < 1 || total < 1 || recipients < 1) {
		fprintf(stderr, "usage: relayload [options] RELAY-PORT SINK-PORT\n");
		exit(2);
	}
	relay_port = (int)strtol(argv[optind], NULL, 10);
	sink_port = (int)strtol(argv[optind + 1], NULL, 10);
	client_ctx = SSL_CTX_new(TLS_client_method());
	if (cert == NULL)
		return;
	sink_ctx = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(sink_ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(sink_ctx, key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "relayload: no certificate\n");
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	pthread_t sink_thread, *t;
	double start, end;
	int fd, i;

	read_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	make_body();
	sent_at = calloc((size_t)total, sizeof *sent_at);
	arrived_at = calloc((size_t)total, sizeof *arrived_at);
	left = calloc((size_t)total, sizeof *left);
	t = calloc((size_t)clients, sizeof *t);
	if (body == NULL || sent_at == NULL || arrived_at == NULL || left == NULL || t == NULL)
		exit(2);
	for (i = 0; i < total; i++)
		left[i] = recipients;
	fd = listen_sink();
	pthread_create(&sink_thread, NULL, sink, &fd);
	began = start = now();
	for (i = 0; i < clients; i++)
		pthread_create(&t[i], NULL, client, NULL);
	for (i = 0; i < clients; i++)
		pthread_join(t[i], NULL);
	end = now();
	while (atomic_load(&arrived) < atomic_load(&taken) && now() - end < WAIT_S)
		usleep(5000);
	print_figures(start);
	free(t);
	free(left);
	return atomic_load(&arrived) < atomic_load(&taken);
}
