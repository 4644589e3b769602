#include "progress.h"

#include <sys/time.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define ERASE "\r\033[K"
#define LINE_SIZE 200

static const char *doing;	/* NULL: none is under way */
static size_t total;
static volatile sig_atomic_t done, shown;
static struct sigaction before;

/* ---- in the handler: no more than signal-safety(7) allows ---- */

static size_t
put(char *line, size_t at, const char *text)
{
	while (*text != '\0' && at < LINE_SIZE)
		line[at++] = *text++;
	return at;
}

static size_t
put_number(char *line, size_t at, size_t n)
{
	char digits[24], *p = digits + sizeof digits - 1;

	*p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	return put(line, at, p);
}

static void
write_line(const char *line, size_t len)
{
	/* What a terminal does not take is no loss. */
	if (write(STDERR_FILENO, line, len) == -1)
		return;
}

static void
show(int sig)
{
	char line[LINE_SIZE];
	int saved = errno;
	size_t len;

	(void)sig;
	len = put(line, 0, ERASE);
	len = put(line, len, log_prog());
	len = put(line, len, ": ");
	len = put(line, len, doing);
	len = put(line, len, " ...");
	if (total > 0) {
		len = put(line, len, " ");
		len = put_number(line, len, (size_t)done);
		len = put(line, len, " of ");
		len = put_number(line, len, total);
	}
	write_line(line, len);
	shown = 1;
	errno = saved;
}

/* ---- outside ---- */

static int
can_show(void)
{
	const char *term = getenv("TERM");

	return term != NULL && *term != '\0' && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

static void
set_timer(time_t seconds)
{
	struct itimerval t = { { seconds, 0 }, { seconds, 0 } };

	setitimer(ITIMER_REAL, &t, NULL);
}

void
progress_begin(const char *what, size_t n)
{
	struct sigaction sa = { .sa_handler = show, .sa_flags = SA_RESTART };

	if (doing != NULL || !can_show())
		return;
	doing = what;
	total = n;
	done = shown = 0;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, &before);
	set_timer(1);
}

void
progress_step(void)
{
	done++;
}

void
progress_hide(void)
{
	if (doing == NULL || !shown)
		return;
	shown = 0;
	write_line(ERASE, strlen(ERASE));
}

void
progress_end(void)
{
	if (doing == NULL)
		return;
	set_timer(0);
	progress_hide();
	doing = NULL;
	sigaction(SIGALRM, &before, NULL);
}
