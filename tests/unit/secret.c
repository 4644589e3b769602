#include "secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

/* A descriptor from which these octets come. */
static int
pipe_with(const char *octets, size_t n)
{
	int fd[2];

	if (pipe(fd) == -1 || write(fd[1], octets, n) != (ssize_t)n)
		abort();
	close(fd[1]);
	return fd[0];
}

static void
test_fd(void)
{
	static const struct {
		const char *what, *in;
		size_t n;
		const char *pass, *error;
	} rows[] = {
		{ "a line", "secret\n", 7, "secret", NULL },
		{ "CR LF", "secret\r\n", 8, "secret", NULL },
		{ "no newline", "secret", 6, "secret", NULL },
		{ "two newlines", "secret\n\n", 8, "secret\n", NULL },
		{ "a CR alone belongs to it", "secret\r", 7, "secret\r", NULL },
		{ "blanks belong to it", " a b \n", 6, " a b ", NULL },
		{ "nothing", "", 0, "", NULL },
		{ "a newline alone", "\n", 1, "", NULL },
		{ "a NUL", "a\0b", 3, NULL, "a NUL in the passphrase" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct secret s = SECRET_INIT;
		struct fail f = FAIL_INIT;
		struct buf pass = BUF_INIT;
		int fd = pipe_with(rows[i].in, rows[i].n), rc;
		char number[16];

		snprintf(number, sizeof number, "%d", fd);
		unit_int(secret_fd(&s, number, &f), 0, "%s: the option", rows[i].what);
		rc = secret_read(&s, "Passphrase", 0, &pass, &f);
		unit_str(rc == -1 ? NULL : pass.p, rows[i].pass, "%s: the passphrase", rows[i].what);
		unit_str(rc == -1 ? f.text : NULL, rows[i].error, "%s: failure", rows[i].what);
		unit_ok(rc == 0 || pass.p == NULL, "%s: nothing is left of it", rows[i].what);
		buf_wipe(&pass);
		close(fd);
	}
}

static void
test_limit(void)
{
	char octets[SECRET_MAX + 100];
	static const struct {
		size_t n, tail;	/* octets, of which newlines at the end */
		int rc;
	} rows[] = {
		{ SECRET_MAX, 0, 0 },
		{ SECRET_MAX + 1, 1, 0 },
		{ SECRET_MAX + 1, 0, -1 },
		{ SECRET_MAX + 2, 1, -1 },
		{ SECRET_MAX + 90, 1, -1 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct secret s = SECRET_INIT;
		struct buf pass = BUF_INIT;

		memset(octets, 'x', sizeof octets);
		memset(octets + rows[i].n - rows[i].tail, '\n', rows[i].tail);
		s.fd = pipe_with(octets, rows[i].n);
		unit_int(secret_read(&s, "Passphrase", 0, &pass, NULL), rows[i].rc, "%zu octets", rows[i].n);
		unit_int(pass.len, rows[i].rc == 0 ? SECRET_MAX : 0, "are all or nothing");
		close(s.fd);
		buf_wipe(&pass);
	}
}

/* The variable's own octets are gone, not only its name. */
static void
test_env(void)
{
	static char entry[] = "UNIT_SECRET=swordfish\n";
	struct secret s = SECRET_INIT;
	struct fail f = FAIL_INIT;
	struct buf pass = BUF_INIT;

	putenv(entry);
	unit_int(secret_env(&s, "UNIT_SECRET", &f), 0, "from the environment");
	unit_ok(getenv("UNIT_SECRET") == NULL, "which has it no more");
	unit_ok(entry[12] == '\0' && entry[20] == '\0', "and its octets are overwritten");
	unit_int(secret_read(&s, "Passphrase", 0, &pass, &f), 0, "it is read");
	unit_str(pass.p, "swordfish", "without the newline");
	secret_clear(&s);
	unit_ok(!secret_given(&s) && s.text.p == NULL, "and cleared");
	unit_int(secret_env(&s, "UNIT_SECRET", &f), -1, "no such variable");
	unit_str(f.text, "--pass-env: no variable UNIT_SECRET in the environment", "is named");
	buf_wipe(&pass);
}

static void
test_options(void)
{
	struct secret s = SECRET_INIT;
	struct fail f = FAIL_INIT;
	struct buf pass = BUF_INIT;

	unit_ok(!secret_given(&s), "nothing given");
	unit_int(secret_fd(&s, "x", &f), -1, "no number");
	unit_int(secret_fd(&s, "-1", &f), -1, "a negative one");
	unit_int(secret_fd(&s, "4000", &f), -1, "a descriptor that is not open");
	unit_str(f.text, "--pass-fd: no descriptor 4000 is open", "is named");
	unit_int(secret_file(&s, "/nonexistent/pass", &f), 0, "a file is only noted");
	unit_ok(secret_given(&s), "something given");
	unit_int(secret_fd(&s, "0", &f), -1, "two options");
	unit_str(f.text, "--pass-file, --pass-fd and --pass-env: only one of them, and only once",
	    "are one too many");
	unit_int(secret_file(&s, "x", &f), -1, "the same twice too");
	unit_int(secret_read(&s, "Passphrase", 0, &pass, &f), -1, "a file that is not there");
	unit_int(f.kind, FAIL_SYS, "is the system's refusal");
	s.file = "/";
	unit_int(secret_read(&s, "Passphrase", 0, &pass, &f), -1, "nor is a folder one");
	unit_int(f.kind, FAIL_SYS, "likewise");
}

int
main(void)
{
	test_fd();
	test_limit();
	test_env();
	test_options();
	return unit_done();
}
