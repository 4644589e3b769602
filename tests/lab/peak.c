/*
 * peak - runs a command and writes down what it took.
 *
 *	peak FILE COMMAND [ARG...]
 *
 * FILE gets "KIB MS": the largest resident set of the command, and the time that it ran.  The exit status is the
 * command's; 128 and its number where a signal ended it.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct timespec from, to;
	struct rusage used;
	int status = 0;
	FILE *fp;
	pid_t pid;

	if (argc < 3)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &from);
	if ((pid = fork()) == 0) {
		execvp(argv[2], &argv[2]);
		_exit(127);
	}
	if (pid == -1 || wait4(pid, &status, 0, &used) == -1)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &to);
	if ((fp = fopen(argv[1], "w")) == NULL)
		return 2;
	fprintf(fp, "%ld %ld\n", used.ru_maxrss,
	    (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	if (fclose(fp) != 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
