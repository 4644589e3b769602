#include "control.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "table.h"
#include "text.h"

static const char *const verb_names[CONTROL_VERBS] = { [CONTROL_HOLD] = "hold",
	[CONTROL_RELEASE] = "release", [CONTROL_RETRY] = "retry", [CONTROL_DELETE] = "delete" };
static const char *const answer_names[] = { [CONTROL_OK] = "ok", [CONTROL_LATER] = "later",
	[CONTROL_ABSENT] = "absent", [CONTROL_FAILED] = "failed" };

const char *
control_verb_name(enum control_verb verb)
{
	return verb_names[verb];
}

int
control_verb_parse(const char *word, enum control_verb *verb)
{
	size_t i;

	for (i = 0; i < CONTROL_VERBS; i++)
		if (strcmp(word, verb_names[i]) == 0) {
			*verb = (enum control_verb)i;
			return 0;
		}
	return -1;
}

const char *
control_answer_name(enum control_answer answer)
{
	return answer_names[answer];
}

/* A path that sun_path holds, however long that of the spool is.  The caller closes *back. */
static int
enter(int root, int *back, struct fail *f)
{
	if ((*back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) == -1 || fchdir(root) == -1) {
		if (*back != -1)
			close(*back);
		return fail_errno(f, "the spool's directory");
	}
	return 0;
}

static void
leave(int back)
{
	int kept = errno;

	(void)!fchdir(back);
	close(back);
	errno = kept;
}

int
control_listen(int root, struct fail *f)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = CONTROL_SOCKET };
	int fd, back, rc = -1;

	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1)
		return fail_errno(f, CONTROL_SOCKET);
	if (enter(root, &back, f) == -1) {
		close(fd);
		return -1;
	}
	/* Its mode comes with it: there is no moment in which others could connect. */
	if ((unlink(CONTROL_SOCKET) == 0 || errno == ENOENT) && fchmod(fd, 0600) == 0 &&
	    bind(fd, (const struct sockaddr *)&un, sizeof un) == 0 && listen(fd, CONTROL_CLIENTS_MAX) == 0)
		rc = 0;
	else
		fail_errno(f, CONTROL_SOCKET);
	leave(back);
	if (rc == -1)
		close(fd);
	return rc == -1 ? -1 : fd;
}

int
control_connect(int root, struct fail *f)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = CONTROL_SOCKET };
	int fd, back, rc;

	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1)
		return fail_errno(f, CONTROL_SOCKET);
	if (enter(root, &back, f) == -1) {
		close(fd);
		return -1;
	}
	rc = connect(fd, (const struct sockaddr *)&un, sizeof un);
	if (rc == -1)
		fail_errno(f, CONTROL_SOCKET);
	leave(back);
	if (rc == -1)
		close(fd);
	return rc == -1 ? -1 : fd;
}

static int
take_answer(char *text, struct fail *f)
{
	char *v[2] = { NULL, NULL };
	size_t i;
	int n = table_split(text, v, 2, f);

	for (i = 0; n > 0 && i < sizeof answer_names / sizeof answer_names[0]; i++)
		if (strcmp(v[0], answer_names[i]) == 0) {
			if (i == CONTROL_FAILED)
				fail(f, FAIL_SYS, "%s", n == 2 ? v[1] : "the relay does not say why");
			return (int)i;
		}
	return fail(f, FAIL_SYS, "the relay's answer makes no sense");
}

int
control_ask(int sock, enum control_verb verb, const char *file, struct fail *f)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	char text[CONTROL_RECORD_MAX + 1];
	struct buf b = BUF_INIT;
	ssize_t n;

	table_put(&b, verb_names[verb], file, (char *)NULL);
	n = send(sock, b.p, b.len, MSG_NOSIGNAL);
	buf_clear(&b);
	if (n == -1)
		return fail_errno(f, "the relay");
	if (poll(&p, 1, CONTROL_ANSWER_MS) != 1)
		return fail(f, FAIL_TEMP, "the relay does not answer");
	if ((n = recv(sock, text, CONTROL_RECORD_MAX, 0)) <= 0)
		return n == 0 ? fail(f, FAIL_TEMP, "the relay ended") : fail_errno(f, "the relay");
	text[n] = '\0';
	if (text[n - 1] == '\n')
		text[n - 1] = '\0';
	return take_answer(text, f);
}
