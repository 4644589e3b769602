#include "secret.h"

#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/readpassphrase.h>

#include "alloc.h"
#include "file.h"

int
secret_given(const struct secret *s)
{
	return s->file != NULL || s->fd != -1 || s->have;
}

static int
check_only(const struct secret *s, struct fail *f)
{
	if (!secret_given(s))
		return 0;
	return fail(f, FAIL_INPUT,
	    "--pass-file, --pass-fd and --pass-env: only one of them, and only once");
}

int
secret_file(struct secret *s, const char *path, struct fail *f)
{
	if (check_only(s, f) == -1)
		return -1;
	s->file = path;
	return 0;
}

int
secret_fd(struct secret *s, const char *number, struct fail *f)
{
	long long n;

	if (check_only(s, f) == -1 || text_number(number, 0, 65535, "--pass-fd", &n, f) == -1)
		return -1;
	if (fcntl((int)n, F_GETFD) == -1)
		return fail(f, FAIL_INPUT, "--pass-fd: no descriptor %lld is open", n);
	s->fd = (int)n;
	return 0;
}

/* The octets in the environment are the ones that /proc/PID/environ shows. */
int
secret_env(struct secret *s, const char *variable, struct fail *f)
{
	char *value;

	if (check_only(s, f) == -1)
		return -1;
	if ((value = getenv(variable)) == NULL)
		return fail(f, FAIL_INPUT, "--pass-env: no variable %.100s in the environment", variable);
	buf_puts(&s->text, value);
	s->have = 1;
	explicit_bzero(value, strlen(value));
	unsetenv(variable);
	return 0;
}

int
secret_take(struct secret *s, int ch, const char *arg, struct fail *f)
{
	int rc;

	switch (ch) {
	case SECRET_ARG_ENV:
		rc = secret_env(s, arg, f);
		break;
	case SECRET_ARG_FD:
		rc = secret_fd(s, arg, f);
		break;
	case SECRET_ARG_FILE:
		rc = secret_file(s, arg, f);
		break;
	default:
		return 0;
	}
	return rc == -1 ? -1 : 1;
}

int
secret_is_stdin(const struct secret *s)
{
	return s->file != NULL && strcmp(s->file, "-") == 0;
}

int
secret_read_of(const struct secret *s, const char *what, struct buf *pass, struct fail *f)
{
	char *name = text_escape(what, strlen(what)), *prompt = xasprintf("Passphrase of %s", name);
	int rc = secret_read(s, prompt, 0, pass, f);

	free(prompt);
	free(name);
	return rc;
}

void
secret_clear(struct secret *s)
{
	buf_wipe(&s->text);
	*s = (struct secret)SECRET_INIT;
}

static int
read_fd(int fd, struct buf *b, struct fail *f)
{
	char octets[SECRET_MAX + 3];	/* CR LF, and one that is too much */
	size_t have = 0;
	ssize_t n;

	do {
		n = read(fd, octets + have, sizeof octets - have);
		if (n > 0)
			have += n;
	} while ((n > 0 && have < sizeof octets) || (n == -1 && errno == EINTR));
	buf_add(b, octets, have);
	explicit_bzero(octets, sizeof octets);
	return n == -1 ? fail_errno(f, "the passphrase from descriptor %d", fd) : 0;
}

static int
read_file(const char *path, struct buf *b, struct fail *f)
{
	int fd, rc;

	if (strcmp(path, "-") == 0)
		return read_fd(STDIN_FILENO, b, f);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return fail_errno(f, "%.300s", path);
	rc = read_fd(fd, b, f);
	close(fd);
	return rc;
}

static void
strip_newline(struct buf *b)
{
	if (b->len == 0 || b->p[b->len - 1] != '\n')
		return;
	b->len--;
	if (b->len > 0 && b->p[b->len - 1] == '\r')
		b->len--;
	b->p[b->len] = '\0';
}

static int
ask(const char *prompt, struct buf *b, struct fail *f)
{
	char text[SECRET_MAX + 2], *line = xasprintf("%s: ", prompt);
	const char *got;

	errno = 0;
	got = readpassphrase(line, text, sizeof text, RPP_REQUIRE_TTY);
	free(line);
	/* What was typed before it failed may stand there. */
	if (got == NULL)
		explicit_bzero(text, sizeof text);
	if (got == NULL && (errno == ENOTTY || errno == ENXIO || errno == ENOENT))
		return fail(f, FAIL_INPUT, "no terminal to ask for the passphrase; expected --pass-file, "
		    "--pass-fd or --pass-env");
	if (got == NULL)
		return fail_errno(f, "the passphrase from the terminal");
	buf_puts(b, text);
	explicit_bzero(text, sizeof text);
	return 0;
}

static int
ask_terminal(const char *prompt, unsigned flags, struct buf *pass, struct fail *f)
{
	struct buf again = BUF_INIT;
	int rc;

	if (ask(prompt, pass, f) == -1)
		return -1;
	if (!(flags & SECRET_CONFIRM))
		return 0;
	if ((rc = ask("Once more", &again, f)) == 0 &&
	    (again.len != pass->len || memcmp(again.p, pass->p, pass->len) != 0))
		rc = fail(f, FAIL_INPUT, "the two passphrases are not the same");
	buf_wipe(&again);
	return rc;
}

static int
fetch(const struct secret *s, const char *prompt, unsigned flags, struct buf *pass, struct fail *f)
{
	int rc = 0;

	if (!secret_given(s))
		return ask_terminal(prompt, flags, pass, f);
	if (s->have)
		buf_add(pass, s->text.p, s->text.len);
	else
		rc = s->file != NULL ? read_file(s->file, pass, f) : read_fd(s->fd, pass, f);
	if (rc == 0)
		strip_newline(pass);
	return rc;
}

int
secret_read(const struct secret *s, const char *prompt, unsigned flags, struct buf *pass,
    struct fail *f)
{
	buf_wipe(pass);
	buf_puts(pass, "");
	if (fetch(s, prompt, flags, pass, f) == -1)
		goto bad;
	if (pass->len > SECRET_MAX) {
		fail(f, FAIL_INPUT, "a passphrase of more than %d octets", SECRET_MAX);
		goto bad;
	}
	if (memchr(pass->p, '\0', pass->len) != NULL) {
		fail(f, FAIL_INPUT, "a NUL in the passphrase");
		goto bad;
	}
	return 0;
bad:
	buf_wipe(pass);
	return -1;
}
