/*
 * capture - what a piece of code writes to a descriptor, and how a child that runs it exits.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPTURE_MAX 8192

/* Turns descriptor fd into a file; returns what capture_end() wants back. */
__attribute__((unused)) static int
capture_begin(int fd)
{
	char path[] = "/tmp/unit-capture-XXXXXX";
	int old, tmp;

	fflush(stdout);
	fflush(stderr);
	if ((old = dup(fd)) == -1 || (tmp = mkstemp(path)) == -1 || dup2(tmp, fd) == -1)
		abort();
	unlink(path);
	close(tmp);
	return old;
}

/* What was written since, in a static buffer; the descriptor is what it was. */
__attribute__((unused)) static const char *
capture_end(int fd, int old)
{
	static char text[CAPTURE_MAX];
	ssize_t n;

	fflush(stdout);
	fflush(stderr);
	if (lseek(fd, 0, SEEK_SET) == -1 || (n = read(fd, text, sizeof text - 1)) == -1 ||
	    dup2(old, fd) == -1)
		abort();
	close(old);
	text[n] = '\0';
	return text;
}

/* Runs fn in a child; returns its exit status, -1 where it was killed. */
__attribute__((unused)) static int
capture_child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == -1)
		abort();
	if (pid == 0) {
		fn();
		_exit(99);
	}
	if (waitpid(pid, &status, 0) == -1)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
