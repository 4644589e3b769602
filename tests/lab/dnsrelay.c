/*
 * dnsrelay - stands between the tests and nsd, and makes servers fail.
 *
 *	dnsrelay -u UPSTREAM-IP@PORT [-p PORT] [-r RULES] [-l LOG] IP=MODE...
 *
 * Listens on every IP, UDP and TCP.  Without -p it takes a free port above 20000; in -u, @0 means the
 * same port.  Prints "ready PORT" and runs until SIGTERM.  MODE is what happens to every query there:
 * pass, drop, servfail, refused, notimp, strip (forwarded without EDNS and so answered without
 * signatures), truncate (by UDP an empty answer with TC, by TCP all right), notcp (likewise, but TCP is closed),
 * udponly (by UDP all right, TCP is closed), noudp (UDP is dropped, TCP all right), badid and garbage (an answer
 * that fits no question, one that is no packet), nxdomain (that answer, without a proof) or rename (`.labs` is asked
 * upstream as `.test`, for programs that hold .test to be theirs; signatures do not survive it).  RULES has lines
 * "MODE OWNER TYPE" for single owners on pass addresses; OWNER is a name or the tail of one (for nxdomain: just
 * that name), TYPE `*` is any; SIGHUP reads them again.  LOG gets "IP OWNER TYPE" for each query.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_MAX 16
#define RULES_MAX 64
#define PENDING_MAX 2048
#define MESSAGE_MAX 65535
#define PORT_LOWEST 20000
#define PORT_SPAN 10000
#define TCP_SECONDS 20

enum mode {
	PASS, DROP, SERVFAIL, REFUSED, NOTIMP, STRIP, TRUNCATE, NOTCP, UDPONLY, NOUDP, BADID, GARBAGE, NXDOMAIN, RENAME,
	MODES
};

enum way { UDP, TCP };

static const char *const mode_names[MODES] = {
	[PASS] = "pass", [DROP] = "drop", [SERVFAIL] = "servfail", [REFUSED] = "refused",
	[NOTIMP] = "notimp", [STRIP] = "strip", [TRUNCATE] = "truncate", [NOTCP] = "notcp", [UDPONLY] = "udponly",
	[NOUDP] = "noudp", [BADID] = "badid", [GARBAGE] = "garbage", [NXDOMAIN] = "nxdomain",
	[RENAME] = "rename"
};

static const struct {
	unsigned number;
	const char *name;
} types[] = {
	{ 1, "A" }, { 2, "NS" }, { 5, "CNAME" }, { 6, "SOA" }, { 12, "PTR" }, { 15, "MX" }, { 16, "TXT" },
	{ 28, "AAAA" }, { 43, "DS" }, { 48, "DNSKEY" }, { 52, "TLSA" }
};

struct listener {
	const char *ip;
	enum mode mode;
	int udp, tcp;
};

struct rule {
	enum mode mode;
	char owner[256], type[16];
};

/* A query that went upstream: its place in the table is its id there. */
struct pending {
	struct sockaddr_in from;
	unsigned char id[2];
	int listener, used;
};

static struct listener listeners[LISTEN_MAX];
static int nlisteners;
static struct rule rules[RULES_MAX];
static int nrules;
static struct pending pending[PENDING_MAX];
static unsigned next_pending;
static struct sockaddr_in upstream;
static int log_fd = -1;
static volatile sig_atomic_t rules_changed;

static void
die(const char *what)
{
	fprintf(stderr, "dnsrelay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static enum mode
mode_of(const char *name)
{
	int i;

	for (i = 0; i < MODES; i++)
		if (strcmp(name, mode_names[i]) == 0)
			return (enum mode)i;
	fprintf(stderr, "dnsrelay: no such mode: %s\n", name);
	exit(2);
}

static struct sockaddr_in
address(const char *ip, unsigned port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };

	if (inet_pton(AF_INET, ip, &sin.sin_addr) != 1) {
		fprintf(stderr, "dnsrelay: %s: an IPv4 address expected\n", ip);
		exit(2);
	}
	return sin;
}

static void
read_rules(const char *path)
{
	char line[512], mode[16];
	FILE *fp = fopen(path, "r");

	if (fp == NULL)
		die(path);
	nrules = 0;
	while (fgets(line, sizeof(line), fp) != NULL && nrules < RULES_MAX) {
		struct rule *r = &rules[nrules];

		if (sscanf(line, "%15s %255s %15s", mode, r->owner, r->type) != 3)
			continue;
		r->mode = mode_of(mode);
		nrules++;
	}
	fclose(fp);
}

/* The question's end, or 0; owner in lower case with the final dot. */
static size_t
question(const unsigned char *msg, size_t len, char *owner, size_t size, char *type, size_t type_size)
{
	size_t at = 12, n = 0, i;
	unsigned number;

	if (len < 12 || msg[4] != 0 || msg[5] != 1)
		return 0;
	while (at < len && msg[at] != 0) {
		size_t label = msg[at++];

		if (label > 63 || at + label >= len || n + label + 2 > size)
			return 0;
		for (i = 0; i < label; i++)
			owner[n++] = isgraph(msg[at + i]) ? (char)tolower(msg[at + i]) : '?';
		owner[n++] = '.';
		at += label;
	}
	if (n == 0)
		owner[n++] = '.';
	owner[n] = '\0';
	if (at + 5 > len)
		return 0;
	number = (unsigned)msg[at + 1] << 8 | msg[at + 2];
	snprintf(type, type_size, "TYPE%u", number);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].number == number)
			snprintf(type, type_size, "%s", types[i].name);
	return at + 5;
}

static int
is_below(const char *owner, const char *tail)
{
	size_t a = strlen(owner), b = strlen(tail);

	return a >= b && strcasecmp(owner + a - b, tail) == 0 && (a == b || owner[a - b - 1] == '.');
}

static enum mode
judge(const struct listener *l, const char *owner, const char *type)
{
	int i;

	for (i = 0; l->mode == PASS && i < nrules; i++)
		if ((rules[i].type[0] == '*' || strcmp(rules[i].type, type) == 0) &&
		    is_below(owner, rules[i].owner) &&
		    (rules[i].mode != NXDOMAIN || strlen(owner) == strlen(rules[i].owner)))
			return rules[i].mode;
	return l->mode;
}

/* Each name's end, where it is not compressed. */
static void
rename_tld(unsigned char *msg, size_t len, const char *from, const char *to)
{
	size_t i;

	for (i = 12; i + 6 <= len; i++)
		if (memcmp(msg + i, from, 6) == 0)
			memcpy(msg + i, to, 6);
}

/* What the mode comes to on this way: PASS, DROP, or something to answer with. */
static enum mode
on_way(enum mode mode, enum way way)
{
	switch (mode) {
	case TRUNCATE:
		return way == UDP ? TRUNCATE : PASS;
	case NOTCP:
		return way == UDP ? TRUNCATE : DROP;
	case UDPONLY:
		return way == UDP ? PASS : DROP;
	case NOUDP:
		return way == UDP ? DROP : PASS;
	default:
		return mode;
	}
}

/*
 * Logs a query and does what its mode says; the message may become its own reply.
 * Returns 1 to forward, 0 to reply, -1 to forget it.
 */
static int
handle(const struct listener *l, enum way way, unsigned char *msg, size_t *len)
{
	static const unsigned char rcodes[MODES] = { [SERVFAIL] = 2, [NXDOMAIN] = 3, [REFUSED] = 5, [NOTIMP] = 4 };
	char owner[1024], type[16], line[1100];
	size_t end = question(msg, *len, owner, sizeof(owner), type, sizeof(type));
	enum mode mode;
	int n;

	if (end == 0)
		return -1;
	n = snprintf(line, sizeof(line), "%s %s %s\n", l->ip, owner, type);
	if (log_fd != -1 && write(log_fd, line, (size_t)n) != n)
		die("log");
	mode = on_way(judge(l, owner, type), way);
	if (mode == DROP)
		return -1;
	if (mode == RENAME)
		rename_tld(msg, *len, "\4labs", "\4test");
	if (mode == PASS || mode == RENAME)
		return 1;
	*len = end;			/* no EDNS, so no DNSSEC either */
	memset(msg + 6, 0, 6);
	if (mode == STRIP) {
		msg[3] &= 0x4f;
		return 1;
	}
	msg[2] = (unsigned char)(0x80 | (msg[2] & 0x79) | (mode == TRUNCATE ? 2 : 0));
	msg[3] = (unsigned char)(0x80 | rcodes[mode]);
	if (mode == BADID)
		msg[0] ^= 0xff;
	if (mode == GARBAGE)
		memset(msg + 6, 0xff, end - 6);
	return 0;
}

static void
from_client(int i, int up)
{
	unsigned char msg[MESSAGE_MAX];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	struct pending *p = &pending[next_pending % PENDING_MAX];
	ssize_t n = recvfrom(listeners[i].udp, msg, sizeof(msg), 0, (struct sockaddr *)&from, &from_len);
	size_t len = (size_t)n;

	if (n < 12)
		return;
	switch (handle(&listeners[i], UDP, msg, &len)) {
	case 0:
		sendto(listeners[i].udp, msg, len, 0, (struct sockaddr *)&from, from_len);
		return;
	case -1:
		return;
	}
	*p = (struct pending){ .from = from, .id = { msg[0], msg[1] }, .listener = i, .used = 1 };
	msg[0] = (unsigned char)((next_pending % PENDING_MAX) >> 8);
	msg[1] = (unsigned char)next_pending++;
	send(up, msg, len, 0);
}

static void
from_upstream(int up)
{
	unsigned char msg[MESSAGE_MAX];
	ssize_t n = recv(up, msg, sizeof(msg), 0);
	struct pending *p;
	unsigned id;

	if (n < 12)
		return;
	id = (unsigned)msg[0] << 8 | msg[1];
	if (id >= PENDING_MAX || !pending[id].used)
		return;
	p = &pending[id];
	p->used = 0;
	memcpy(msg, p->id, 2);
	if (listeners[p->listener].mode == RENAME)
		rename_tld(msg, (size_t)n, "\4test", "\4labs");
	sendto(listeners[p->listener].udp, msg, (size_t)n, 0, (struct sockaddr *)&p->from,
	    sizeof(p->from));
}

static int
read_all(int fd, unsigned char *buf, size_t len)
{
	ssize_t n;

	for (; len > 0; buf += n, len -= (size_t)n)
		if ((n = read(fd, buf, len)) <= 0)
			return -1;
	return 0;
}

static int
read_message(int fd, unsigned char *buf, size_t *len)
{
	if (read_all(fd, buf, 2) == -1)
		return -1;
	*len = (size_t)buf[0] << 8 | buf[1];
	return read_all(fd, buf + 2, *len);
}

static int
write_message(int fd, unsigned char *buf, size_t len)
{
	buf[0] = (unsigned char)(len >> 8);
	buf[1] = (unsigned char)len;
	return write(fd, buf, len + 2) == (ssize_t)len + 2 ? 0 : -1;
}

/* One TCP connection, in a process of its own. */
static void
serve_tcp(const struct listener *l, int fd)
{
	static unsigned char buf[MESSAGE_MAX + 2];
	int up = socket(AF_INET, SOCK_STREAM, 0), verdict;
	size_t len;

	alarm(TCP_SECONDS);
	if (up == -1 || connect(up, (struct sockaddr *)&upstream, sizeof(upstream)) == -1)
		_exit(1);
	while (read_message(fd, buf, &len) == 0) {
		verdict = handle(l, TCP, buf + 2, &len);
		if (verdict == -1)
			break;
		if (verdict == 1 && (write_message(up, buf, len) == -1 || read_message(up, buf, &len) == -1))
			break;
		if (l->mode == RENAME)
			rename_tld(buf + 2, len, "\4test", "\4labs");
		if (write_message(fd, buf, len) == -1)
			break;
	}
	_exit(0);
}

static void
accept_tcp(const struct listener *l, pid_t parent)
{
	int fd = accept(l->tcp, NULL, NULL);

	if (fd == -1)
		return;
	if (fork() == 0) {
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		serve_tcp(l, fd);
	}
	close(fd);
}

static int
open_listener(struct listener *l, unsigned port)
{
	struct sockaddr_in sin = address(l->ip, port);
	int one = 1;

	l->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	l->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->udp == -1 || l->tcp == -1)
		die("socket");
	setsockopt(l->tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l->udp, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    bind(l->tcp, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(l->tcp, 64) == 0)
		return 0;
	close(l->udp);
	close(l->tcp);
	return -1;
}

static int
open_all(unsigned port)
{
	int i;

	for (i = 0; i < nlisteners; i++)
		if (open_listener(&listeners[i], port) == -1) {
			while (--i >= 0) {
				close(listeners[i].udp);
				close(listeners[i].tcp);
			}
			return -1;
		}
	return 0;
}

static unsigned
open_somewhere(void)
{
	unsigned port, tries;

	srandom((unsigned)(getpid() ^ time(NULL)));
	for (tries = 0; tries < 200; tries++) {
		port = PORT_LOWEST + (unsigned)random() % PORT_SPAN;
		if (open_all(port) == 0)
			return port;
	}
	die("no free port");
	return 0;
}

static void
on_hangup(int sig)
{
	(void)sig;
	rules_changed = 1;
}

static void
loop(int up, const char *rules_path)
{
	struct pollfd fds[2 * LISTEN_MAX + 1];
	pid_t self = getpid();
	int i;

	for (;;) {
		for (i = 0; i < nlisteners; i++) {
			fds[2 * i] = (struct pollfd){ .fd = listeners[i].udp, .events = POLLIN };
			fds[2 * i + 1] = (struct pollfd){ .fd = listeners[i].tcp, .events = POLLIN };
		}
		fds[2 * nlisteners] = (struct pollfd){ .fd = up, .events = POLLIN };
		i = poll(fds, 2 * (nfds_t)nlisteners + 1, -1);
		if (rules_changed && rules_path != NULL) {
			rules_changed = 0;
			read_rules(rules_path);
		}
		if (i == -1)
			continue;
		for (i = 0; i < nlisteners; i++) {
			if (fds[2 * i].revents)
				from_client(i, up);
			if (fds[2 * i + 1].revents)
				accept_tcp(&listeners[i], self);
		}
		if (fds[2 * nlisteners].revents)
			from_upstream(up);
	}
}

static void
add_listener(char *word)
{
	char *eq = strchr(word, '=');

	if (eq == NULL || nlisteners == LISTEN_MAX) {
		fprintf(stderr, "dnsrelay: %s: IP=MODE expected\n", word);
		exit(2);
	}
	*eq = '\0';
	listeners[nlisteners++] = (struct listener){ .ip = word, .mode = mode_of(eq + 1) };
}

int
main(int argc, char **argv)
{
	unsigned port = 0, up_port = 0;
	char *at, *up_ip = NULL, *rules_path = NULL;
	struct sigaction sa = { .sa_handler = on_hangup };
	int ch, up;

	while ((ch = getopt(argc, argv, "u:p:r:l:")) != -1)
		switch (ch) {
		case 'u':
			up_ip = optarg;
			break;
		case 'p':
			port = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			rules_path = optarg;
			read_rules(rules_path);
			break;
		case 'l':
			if ((log_fd = open(optarg, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) == -1)
				die(optarg);
			break;
		default:
			return 2;
		}
	for (; optind < argc; optind++)
		add_listener(argv[optind]);
	if (up_ip == NULL || (at = strchr(up_ip, '@')) == NULL || nlisteners == 0) {
		fprintf(stderr, "usage: dnsrelay -u IP@PORT [-p PORT] [-r RULES] [-l LOG] IP=MODE...\n");
		return 2;
	}
	*at = '\0';
	up_port = (unsigned)strtoul(at + 1, NULL, 10);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (port == 0)
		port = open_somewhere();
	else if (open_all(port) == -1)
		die("bind");
	upstream = address(up_ip, up_port ? up_port : port);
	up = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (up == -1 || connect(up, (struct sockaddr *)&upstream, sizeof(upstream)) == -1)
		die("upstream");
	printf("ready %u\n", port);
	fflush(stdout);
	loop(up, rules_path);
}
