/*
 * pair - times two commands in turn, A B A B ..., and prints medians and ratios.
 *
 *	pair [-n runs] [-w warm-ups] NAME-A COMMAND-A NAME-B COMMAND-B
 *
 * Each command is a string for sh -c; its output goes to /dev/null.  A command that exits
 * other than 0 ends the measurement: a figure of a failed run means nothing.  Ratios are A / B, the
 * median over the pairs, so that a machine whose speed drifts does not decide.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 1000

struct figures {
	double wall, cpu;	/* milliseconds */
	double rss;		/* KiB, the largest process */
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static double
milliseconds(const struct timeval *tv)
{
	return tv->tv_sec * 1e3 + tv->tv_usec / 1e3;
}

static void
child(const char *command)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd == -1 || dup2(fd, 0) == -1 || dup2(fd, 1) == -1 || dup2(fd, 2) == -1)
		_exit(126);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(126);
}

static struct figures
measure(const char *command)
{
	struct figures f;
	struct rusage ru;
	double t0 = now();
	pid_t pid = fork();
	int status;

	if (pid == 0)
		child(command);
	if (pid == -1 || wait4(pid, &status, 0, &ru) == -1) {
		perror("pair");
		exit(2);
	}
	f.wall = now() - t0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "pair: failed with status %d: %s\n", status, command);
		exit(1);
	}
	f.cpu = milliseconds(&ru.ru_utime) + milliseconds(&ru.ru_stime);
	f.rss = ru.ru_maxrss;
	return f;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, int n)
{
	qsort(v, n, sizeof *v, compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double
pick(const struct figures *f, int what)
{
	return what == 0 ? f->wall : what == 1 ? f->cpu : f->rss;
}

static void
row(const char *label, const struct figures *a, const struct figures *b, int n, int what)
{
	double va[RUNS_MAX], vb[RUNS_MAX], ratio[RUNS_MAX];
	int i;

	for (i = 0; i < n; i++) {
		va[i] = pick(&a[i], what);
		vb[i] = pick(&b[i], what);
		ratio[i] = vb[i] > 0 ? va[i] / vb[i] : 0;
	}
	printf("  %-10s %12.2f %12.2f %10.2f\n", label, median(va, n), median(vb, n), median(ratio, n));
}

int
main(int argc, char **argv)
{
	static struct figures a[RUNS_MAX], b[RUNS_MAX];
	int ch, i, n = 21, warm = 2;

	while ((ch = getopt(argc, argv, "n:w:")) != -1)
		if (ch == 'n')
			n = atoi(optarg);
		else if (ch == 'w')
			warm = atoi(optarg);
		else
			return 2;
	if (argc - optind != 4 || n < 1 || n > RUNS_MAX || warm < 0) {
		fprintf(stderr, "usage: pair [-n runs] [-w warm-ups] NAME-A COMMAND-A NAME-B COMMAND-B\n");
		return 2;
	}
	argv += optind;
	for (i = -warm; i < n; i++) {
		a[i < 0 ? 0 : i] = measure(argv[1]);
		b[i < 0 ? 0 : i] = measure(argv[3]);
	}
	printf("  %-10s %12s %12s %10s   (medians of %d pairs)\n", "", argv[0], argv[2], "ratio", n);
	row("wall ms", a, b, n, 0);
	row("CPU ms", a, b, n, 1);
	row("peak KiB", a, b, n, 2);
	return 0;
}
