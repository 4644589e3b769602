/* What stands on the terminal, and when: a second of work in a pseudo-terminal's sight. */
#include "progress.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "unit.h"

static int terminal = -1;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* What was written within so many seconds, or until it ends with the word. */
static const char *
read_terminal(double seconds, const char *until)
{
	static char text[2000];
	double end = now() + seconds;
	size_t n = 0;

	text[0] = '\0';
	while (now() < end && (until == NULL || strstr(text, until) == NULL) && n < sizeof text - 1) {
		struct pollfd p = { .fd = terminal, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, 20) == 1 && (got = read(terminal, text + n, sizeof text - 1 - n)) > 0)
			n += (size_t)got;
		text[n] = '\0';
	}
	return text;
}

/* What came last: on a busy machine the clock may have ticked before, and the line have stood there already. */
static const char *
last_of(const char *text, size_t len)
{
	size_t n = strlen(text);

	return n > len ? text + n - len : text;
}

static void
make_terminal(void)
{
	int slave;

	terminal = posix_openpt(O_RDWR | O_NOCTTY);
	if (terminal == -1 || grantpt(terminal) == -1 || unlockpt(terminal) == -1 ||
	    (slave = open(ptsname(terminal), O_RDWR | O_NOCTTY)) == -1 || dup2(slave, STDERR_FILENO) == -1)
		abort();
	close(slave);
}

static void
test_none(const char *term, const char *why)
{
	if (term != NULL)
		setenv("TERM", term, 1);
	else
		unsetenv("TERM");
	progress_begin("doing it", 0);
	unit_str(read_terminal(1.5, NULL), "", "nothing %s", why);
	progress_end();
}

static void
test_steps(void)
{
	static const char line[] = "\r\033[Kprog: reading certificates ... 1234 of 10000", said[] = "\r\033[Kprog: file: a word\r\n";
	double start = now();
	int i;

	setenv("TERM", "xterm", 1);
	progress_begin("reading certificates", 10000);
	for (i = 0; i < 1234; i++)
		progress_step();
	unit_str(last_of(read_terminal(20, "10000"), strlen(line)), line, "the line");
	unit_ok(now() - start > 0.9, "not before a second");
	talk("file", "a word");
	unit_str(last_of(read_terminal(20, "word\r\n"), strlen(said)), said, "talk() has the line for itself");
	unit_ok(strstr(read_terminal(20, "10000"), "1234 of 10000") != NULL, "and it comes back");
	progress_end();
	unit_str(last_of(read_terminal(0.5, NULL), 4), "\r\033[K", "it is erased at the end");
	unit_str(read_terminal(1.5, NULL), "", "and stays away");
}

static void
test_quick(void)
{
	progress_begin("making the key", 0);
	progress_end();
	unit_str(read_terminal(0.3, NULL), "", "what is quick shows nothing");
	progress_begin("making the key", 0);
	unit_str(read_terminal(20, "..."), "\r\033[Kprog: making the key ...", "without a number where none is known");
	progress_end();
}

int
main(void)
{
	log_init("prog");
	make_terminal();
	test_none("dumb", "on a terminal that cannot erase");
	test_none(NULL, "where the terminal has no name");
	test_steps();
	test_quick();
	return unit_done();
}
