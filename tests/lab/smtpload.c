/*
 * smtpload - SMTP clients that keep a ledger of what they were told, and the check of a spool against it.
 *
 *	smtpload [-T] [-c CLIENTS] [-n MESSAGES] [-d SECONDS] [-m NUMBER] [-l OCTETS] -L LEDGER ADDR PORT
 *	smtpload -C SPOOL LEDGER...
 *	smtpload -I NUMBER [-T] [-S] ADDR PORT
 *
 * The first sends messages until there were so many (-n) or the time is over (-d), -m of them over one connection,
 * with STARTTLS (-T), and makes a new connection whenever one is lost.  Each message has a tag of its own
 * and is never sent twice; its octets follow from tag and length.  A line of the ledger for each:
 *
 *	250 TAG OCTETS MICROSECONDS ID	taken, so long after the end of the message was sent
 *	CODE TAG OCTETS MICROSECONDS -	refused at the end of the message
 *	lost TAG OCTETS 0 -		the connection was lost behind 354: nobody knows
 *
 * A message refused or lost before 354 is not noted.  It prints how many of each there were.
 *
 * The second reads each file of SPOOL/queue: all of ledger's 250 are there under their ID, each octet is as
 * sent, no tag is there twice, and nothing is there but what was answered 250 or lost.  Status 1 and words
 * where not.
 *
 * The third opens connections, says EHLO on each, with -T inside TLS, prints "ready", waits for the end of its
 * standard input, then says NOOP and QUIT on each and prints how many answered.  For each line that it reads meanwhile
 * it opens one connection more, as those before, and prints "new" and the milliseconds until EHLO was answered (the
 * last one).  -S: two hundred connections from one address, then from the next of 127.1.0.0/16.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <errno.h>
#include <netinet/in.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TAG_SIZE 40
#define TIMEOUT_S 60
#define EACH_SOURCE 200

struct client {
	int fd;
	SSL *ssl;
	char in[4096];
	size_t len;
};

static struct sockaddr_in server;
static const char *rcpt = "user@relay.example";
static int use_tls, spread, per_connection = 1;
static long limit = -1, octets = 4096;
static double deadline;
static int ledger = -1;
static SSL_CTX *ctx;
static atomic_long next_number, taken, refused, lost;

__attribute__((noreturn)) static void
die(const char *what)
{
	fprintf(stderr, "smtpload: ");
	perror(what);
	exit(2);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- messages ---- */

/* The message as it should be in the spool: so many octets behind the tag's line, some lines begin with a dot. */
static char *
make_message(const char *tag, long n, size_t *len)
{
	char *p = malloc(n + 200);
	uint64_t x = 0xcbf29ce484222325ULL;
	long i;
	int head;

	if (p == NULL)
		die("malloc");
	for (i = 0; tag[i] != '\0'; i++)
		x = (x ^ (unsigned char)tag[i]) * 0x100000001b3ULL;
	head = sprintf(p, "X-Load: %s %ld\r\n\r\n", tag, n);
	for (i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		p[head + i] = i % 64 == 0 ? '.' : ' ' + x % 95;
		if (i % 64 == 62 && i + 1 < n)
			p[head + i] = '\r', p[head + ++i] = '\n';
	}
	p[head + n] = '\r', p[head + n + 1] = '\n';
	*len = head + n + 2;
	return p;
}

/* Dots doubled, the end behind it. */
static char *
stuff(const char *p, size_t len, size_t *out_len)
{
	char *out = malloc(2 * len + 8);
	size_t i, n = 0;

	if (out == NULL)
		die("malloc");
	for (i = 0; i < len; i++) {
		if (p[i] == '.' && (i == 0 || p[i - 1] == '\n'))
			out[n++] = '.';
		out[n++] = p[i];
	}
	*out_len = n + sprintf(out + n, ".\r\n");
	return out;
}

/* ---- clients ---- */

static void
end(struct client *c)
{
	SSL_free(c->ssl);
	if (c->fd != -1)
		close(c->fd);
	*c = (struct client){ .fd = -1 };
}

/* A socket with a time limit ends its wait where the program is stopped and goes on: signal(7). */
static int
interrupted(ssize_t n)
{
	return n < 0 && errno == EINTR;
}

static int
send_all(struct client *c, const char *p, size_t n)
{
	ssize_t done;

	for (; n > 0; p += done, n -= done) {
		done = c->ssl != NULL ? SSL_write(c->ssl, p, n) : send(c->fd, p, n, MSG_NOSIGNAL);
		if (interrupted(done))
			done = 0;
		else if (done <= 0)
			return -1;
	}
	return 0;
}

/* A reply's code, or -1; its last line without the code in text. */
static int
reply(struct client *c, char *text, size_t size)
{
	char *nl;
	ssize_t n;
	int code, more;

	for (;;) {
		while ((nl = memchr(c->in, '\n', c->len)) != NULL) {
			code = (int)strtol(c->in, NULL, 10);
			more = c->in[3] == '-';
			if (text != NULL)
				snprintf(text, size, "%.*s", (int)(nl - c->in - 5), c->in + 4);
			c->len -= nl + 1 - c->in;
			memmove(c->in, nl + 1, c->len);
			if (!more)
				return code;
		}
		if (c->len == sizeof c->in)
			return -1;
		n = c->ssl != NULL ? SSL_read(c->ssl, c->in + c->len, sizeof c->in - c->len) :
				     recv(c->fd, c->in + c->len, sizeof c->in - c->len, 0);
		if (interrupted(n))
			continue;
		if (n <= 0)
			return -1;
		c->len += n;
	}
}

static int
say(struct client *c, const char *line, int want)
{
	return send_all(c, line, strlen(line)) == 0 && reply(c, NULL, 0) == want ? 0 : -1;
}

static int
start_tls(struct client *c)
{
	if (say(c, "STARTTLS\r\n", 220) == -1)
		return -1;
	if ((c->ssl = SSL_new(ctx)) == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		die("SSL_new");
	return SSL_connect(c->ssl) == 1 ? say(c, "EHLO load.example\r\n", 250) : -1;
}

/* -S: the address of connection number i. */
static void
bind_source(int fd, int i)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr = { htonl(0x7f010001 + (uint32_t)(i / EACH_SOURCE)) } };
	int on = 1;

	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof sin) == -1)
		die("bind");
}

static int
begin(struct client *c, int i)
{
	struct timeval tv = { TIMEOUT_S, 0 };

	*c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	if (c->fd == -1)
		die("socket");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	if (spread)
		bind_source(c->fd, i);
	if (connect(c->fd, (struct sockaddr *)&server, sizeof server) == 0 && reply(c, NULL, 0) == 220 &&
	    say(c, "EHLO load.example\r\n", 250) == 0 && (!use_tls || start_tls(c) == 0))
		return 0;
	end(c);
	return -1;
}

static int
begin_message(struct client *c)
{
	char line[512];

	snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", rcpt);
	return say(c, "MAIL FROM:<load@load.example>\r\n", 250) == 0 && say(c, line, 250) == 0 &&
	    say(c, "DATA\r\n", 354) == 0 ? 0 : -1;
}

static void
note(const char *line, int n)
{
	if (write(ledger, line, n) != n)
		die("ledger");
}

/* Sends one message; -1 where the connection is of no more use. */
static int
send_message(struct client *c)
{
	char tag[TAG_SIZE], text[512] = "", line[700], id[64] = "-", *p, *wire, *where;
	size_t len, wire_len;
	double start;
	int code = -1, n;

	if (begin_message(c) == -1)
		return -1;
	snprintf(tag, sizeof tag, "%ld-%ld", (long)getpid(), atomic_fetch_add(&next_number, 1));
	p = make_message(tag, octets, &len);
	wire = stuff(p, len, &wire_len);
	start = now();
	if (send_all(c, wire, wire_len) == 0)
		code = reply(c, text, sizeof text);
	start = now() - start;
	free(p);
	free(wire);
	if (code == 250 && ((where = strstr(text, "queued as ")) == NULL || sscanf(where, "queued as %63s", id) != 1))
		die(text);
	if (code == -1)
		n = snprintf(line, sizeof line, "lost %s %ld 0 -\n", tag, octets);
	else
		n = snprintf(line, sizeof line, "%d %s %ld %.0f %s\n", code, tag, octets, start * 1e6, id);
	note(line, n);
	atomic_fetch_add(code == 250 ? &taken : code == -1 ? &lost : &refused, 1);
	return code == -1 ? -1 : 0;
}

static int
has_more(void)
{
	if (deadline > 0 && now() >= deadline)
		return 0;
	return limit < 0 || atomic_load(&next_number) < limit;
}

static void *
run_client(void *arg)
{
	struct client c = { .fd = -1 };
	int i;

	(void)arg;
	while (has_more()) {
		if (begin(&c, 0) == -1) {
			usleep(20000);
			continue;
		}
		for (i = 0; i < per_connection && has_more() && send_message(&c) == 0; i++)
			;
		if (i == per_connection)
			(void)say(&c, "QUIT\r\n", 221);
		end(&c);
	}
	return NULL;
}

static int
load(int clients)
{
	pthread_t *t = calloc(clients, sizeof *t);
	int i;

	if (t == NULL)
		die("start");
	for (i = 0; i < clients; i++)
		if (pthread_create(&t[i], NULL, run_client, NULL) != 0)
			die("thread");
	for (i = 0; i < clients; i++)
		pthread_join(t[i], NULL);
	free(t);
	printf("%ld taken, %ld refused, %ld lost\n", taken, refused, lost);
	return 0;
}

static void
allow_descriptors(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1)
		die("getrlimit");
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

static void
one_more(int number)
{
	struct client c;
	double start = now();

	if (begin(&c, number) == 0)
		printf("new %.2f\n", (now() - start) * 1e3);
	else
		printf("new none\n");
	fflush(stdout);
	if (c.fd != -1)
		(void)say(&c, "QUIT\r\n", 221);
	end(&c);
}

static int
idle(int n)
{
	struct client *c = calloc(n, sizeof *c);
	char line[80];
	int i, up = 0, good = 0;

	allow_descriptors();
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	for (i = 0; i < n; i++)
		up += begin(&c[i], i) == 0;
	printf("ready %d\n", up);
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL)
		one_more(n);
	for (i = 0; i < n; i++) {
		good += c[i].fd != -1 && say(&c[i], "NOOP\r\n", 250) == 0 && say(&c[i], "QUIT\r\n", 221) == 0;
		end(&c[i]);
	}
	free(c);
	printf("answered %d\n", good);
	return good == n ? 0 : 1;
}

/* ---- the check ---- */

struct entry {
	char tag[TAG_SIZE], id[64];
	long octets;
	int code, seen;
};

static struct entry *entries;
static size_t nentries;
static int problems;

static int
by_tag(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->tag, ((const struct entry *)b)->tag);
}

static void
read_ledger(const char *file)
{
	FILE *f = fopen(file, "r");
	char line[700], code[16], octets_text[32];
	struct entry e, *more;

	if (f == NULL)
		die(file);
	while (fgets(line, sizeof line, f) != NULL) {
		memset(&e, 0, sizeof e);
		if (sscanf(line, "%15s %39s %31s %*s %63s", code, e.tag, octets_text, e.id) != 4)
			die(line);
		e.code = (int)strtol(code, NULL, 10);
		e.octets = strtol(octets_text, NULL, 10);
		if ((more = realloc(entries, (nentries + 1) * sizeof e)) == NULL)
			die("realloc");
		entries = more;
		entries[nentries++] = e;
	}
	fclose(f);
}

static void
problem(const char *what, const char *name)
{
	problems++;
	printf("%s: %s\n", name, what);
}

/* Behind the first header field, which the relay added. */
static const char *
skip_received(const char *p, const char *last)
{
	if (last - p < 9 || memcmp(p, "Received:", 9) != 0)
		return p;
	do {
		if ((p = memchr(p, '\n', last - p)) == NULL)
			return last;
		p++;
	} while (p < last && (*p == ' ' || *p == '\t'));
	return p;
}

static void
check_message(const char *name, const char *p, size_t len)
{
	struct entry key, *e;
	char head[200], octets_text[32], *want;
	size_t want_len;

	memset(&key, 0, sizeof key);
	snprintf(head, sizeof head, "%.*s", (int)(len < 150 ? len : 150), p);
	if (sscanf(head, "X-Load: %39s %31s", key.tag, octets_text) != 2) {
		problem("not one of our messages", name);
		return;
	}
	if ((e = bsearch(&key, entries, nentries, sizeof *entries, by_tag)) == NULL) {
		problem("was neither answered 250 nor lost", name);
		return;
	}
	if (e->code != 0 && e->code != 250)
		problem("was refused, and is there", name);
	if (e->seen++ > 0)
		problem("is there a second time", name);
	if (e->code == 250 && strncmp(e->id, name, strlen(e->id)) != 0)
		problem("was answered with another ID", name);
	want = make_message(e->tag, e->octets, &want_len);
	if (strtol(octets_text, NULL, 10) != e->octets || len != want_len || memcmp(p, want, len) != 0)
		problem("is damaged", name);
	free(want);
}

static void
check_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY);
	char offset_text[9], size_text[13];
	unsigned long offset, size;
	const char *body;
	struct stat st;
	char *p;

	if (fd == -1 || fstat(fd, &st) == -1 || (p = malloc(st.st_size + 1)) == NULL)
		die(name);
	if (read(fd, p, st.st_size) != st.st_size)
		die(name);
	close(fd);
	p[st.st_size] = '\0';
	if (sscanf(p, "mtatls-spool %*d %*s %8s %12s", offset_text, size_text) != 2) {
		problem("is no file of a spool", name);
		free(p);
		return;
	}
	offset = strtoul(offset_text, NULL, 10);
	size = strtoul(size_text, NULL, 10);
	if (offset + size > (unsigned long)st.st_size)
		problem("is torn", name);
	else {
		body = skip_received(p + offset, p + offset + size);
		check_message(name, body, p + offset + size - body);
	}
	free(p);
}

static int
check(const char *spool)
{
	size_t i, good = 0, unknown = 0, files = 0;
	char path[4096];
	struct dirent *d;
	DIR *dir;

	qsort(entries, nentries, sizeof *entries, by_tag);
	snprintf(path, sizeof path, "%s/queue", spool);
	if ((dir = opendir(path)) == NULL)
		die(path);
	while ((d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.') {
			check_file(dirfd(dir), d->d_name);
			files++;
		}
	closedir(dir);
	for (i = 0; i < nentries; i++) {
		good += entries[i].code == 250;
		unknown += entries[i].code == 0 && entries[i].seen;
		if (entries[i].code == 250 && !entries[i].seen)
			problem("was answered 250 and is not there", entries[i].id);
	}
	free(entries);
	printf("%zu files, %zu answered 250, %zu of lost answers, %d problems\n", files, good, unknown, problems);
	return problems > 0;
}

static int
usage(void)
{
	fprintf(stderr, "usage: smtpload [-T] [-c clients] [-n messages] [-d seconds] [-m number] [-l octets]\n"
	    "           [-r recipient] -L ledger addr port\n"
	    "       smtpload -C spool ledger...\n       smtpload -I number [-T] [-S] addr port\n");
	return 2;
}

int
main(int argc, char **argv)
{
	const char *spool = NULL;
	int ch, clients = 1, nidle = 0;

	signal(SIGPIPE, SIG_IGN);
	while ((ch = getopt(argc, argv, "C:I:L:STc:d:l:m:n:r:")) != -1)
		switch (ch) {
		case 'C': spool = optarg; break;
		case 'I': nidle = (int)strtol(optarg, NULL, 10); break;
		case 'L': ledger = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644); break;
		case 'S': spread = 1; break;
		case 'T': use_tls = 1; break;
		case 'c': clients = (int)strtol(optarg, NULL, 10); break;
		case 'd': deadline = now() + strtod(optarg, NULL); break;
		case 'l': octets = strtol(optarg, NULL, 10); break;
		case 'm': per_connection = (int)strtol(optarg, NULL, 10); break;
		case 'n': limit = strtol(optarg, NULL, 10); break;
		case 'r': rcpt = optarg; break;
		default: return usage();
		}
	argc -= optind, argv += optind;
	if (spool != NULL) {
		while (argc-- > 0)
			read_ledger(*argv++);
		return check(spool);
	}
	server.sin_family = AF_INET;
	if (argc != 2 || inet_pton(AF_INET, argv[0], &server.sin_addr) != 1 || (nidle == 0 && ledger == -1))
		return usage();
	server.sin_port = htons((int)strtol(argv[1], NULL, 10));
	if ((ctx = SSL_CTX_new(TLS_client_method())) == NULL)
		die("SSL_CTX_new");
	return nidle > 0 ? idle(nidle) : load(clients);
}
