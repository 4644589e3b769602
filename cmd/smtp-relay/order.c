#include "order.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "table.h"

int
order_pair(int fd[2], struct fail *f)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == -1)
		return fail_errno(f, "socketpair");
	return 0;
}

int
order_send(int sock, const char *text, size_t len, int fd, struct fail *f)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)text, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (len == 0 || len >= ORDER_MAX)
		return fail(f, FAIL_SYS, "a record of %zu octets", len);
	if (fd != -1) {
		memset(&control, 0, sizeof control);
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof control.space;
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	while (sendmsg(sock, &msg, MSG_NOSIGNAL) == -1) {
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM ||
		    errno == ETOOMANYREFS)
			return 0;
		if (errno != EINTR)
			return fail_errno(f, "to another process of the relay");
	}
	return 1;
}

/* The first is the record's.  Padding leaves room for a second, and whoever sends that fills our table. */
static void
take_fds(struct order *o, const struct cmsghdr *c)
{
	size_t i, n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int fd;

	for (i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
		if (o->fd == -1)
			o->fd = fd;
		else
			close(fd);
	}
}

static void
take_fd(struct order *o, struct msghdr *msg)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			take_fds(o, c);
}

/* The first of these octets' records.  The sender may be a process that a peer took over: nothing is believed. */
static int
split(struct order *o, char *text, size_t len, int truncated, struct fail *f)
{
	char *end;

	o->rest = NULL;
	if ((end = memchr(text, '\0', len)) != NULL) {
		o->rest = end + 1;
		o->rest_len = len - (size_t)(o->rest - text);
		len = (size_t)(end - text);
	}
	if (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	o->more = text + len;
	o->more_len = 0;
	if ((end = memchr(text, '\n', len)) != NULL) {
		*end = '\0';
		o->more = end + 1;
		o->more_len = len - (size_t)(o->more - text);
	}
	if (truncated || (o->n = table_split(text, o->v, ORDER_WORDS_MAX, f)) <= 0) {
		if (o->fd != -1)
			close(o->fd);
		o->fd = -1;
		return fail(f, FAIL_INPUT, "a record from another process of the relay makes no sense");
	}
	return 1;
}

int
order_next(struct order *o, struct fail *f)
{
	o->n = 0;
	o->fd = -1;
	return o->rest != NULL ? split(o, o->rest, o->rest_len, 0, f) : 0;
}

int
order_recv(int sock, struct order *o, struct fail *f)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = o->text, .iov_len = sizeof o->text - 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
		.msg_controllen = sizeof control.space };
	ssize_t n;

	o->n = 0;
	o->fd = -1;
	while ((n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC)) == -1) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return 0;
		if (errno != EINTR)
			return fail_errno(f, "from another process of the relay");
	}
	take_fd(o, &msg);
	if (n == 0) {
		if (o->fd != -1)
			close(o->fd);
		o->fd = -1;
		return fail(f, FAIL_SYS, "another process of the relay has ended");
	}
	return split(o, o->text, n, (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0, f);
}
