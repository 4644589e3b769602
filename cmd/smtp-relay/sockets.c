#include "sockets.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <string.h>
#include <unistd.h>

#include "table.h"

static int
is_named(const struct conf *c, const char *path)
{
	size_t i, j;

	for (i = 0; i < c->nroutes; i++)
		for (j = 0; j < c->route[i].hops.n; j++) {
			const struct hop *h = &c->route[i].hops.v[j];

			if (h->path != NULL && strcmp(h->path, path) == 0)
				return 1;
		}
	return 0;
}

/* Of a socket of this machine connect(2) is done at once, or fails: EAGAIN, where the server's queue is full. */
static int
open_path(const struct conf *c, const char *path, struct fail *f)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	int fd;

	if (n >= sizeof sun.sun_path || !is_named(c, path))
		return fail(f, FAIL_POLICY, "no route leads to this socket");
	memcpy(sun.sun_path, path, n + 1);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
		return fail_errno(f, "socket");
	if (connect(fd, (const struct sockaddr *)&sun, sizeof sun) == 0)
		return fd;
	fail_errno(f, "connect");
	close(fd);
	return -1;
}

void
sockets_answer(const struct conf *c, int sock, const struct order *o)
{
	struct buf b = BUF_INIT;
	struct fail f = FAIL_INIT;
	int fd;

	if (o->n != 3)
		return;
	fd = open_path(c, o->v[2], &f);
	table_put(&b, "socket", o->v[1], fd == -1 ? f.text : NULL, (char *)NULL);
	/* Where that does not go through, the out gives up waiting. */
	(void)order_send(sock, b.p, b.len, fd, &f);
	buf_clear(&b);
	if (fd != -1)
		close(fd);
}
