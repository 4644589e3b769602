/*
 * tool - what every command does alike: usage, version, exit status, the root of all state.
 */
#ifndef MTATLS_TOOL_H
#define MTATLS_TOOL_H

#include <getopt.h>

#include "fail.h"

/* Exit status; over several objects the order is 2, 1, 3, 0: see tool_worse(). */
enum tool_exit {
	TOOL_YES = 0,		/* yes, or done */
	TOOL_NO = 1,		/* the answer is no: a check failed, a rule refuses */
	TOOL_CANNOT = 2,	/* could not do it: usage, I/O, unreadable input */
	TOOL_UNSURE = 3		/* the peer or the DNS could not be asked */
};

/*
 * First thing in main(): takes the name, closes gaps in descriptors 0 to 2, gives up privileges
 * (sandbox_tool) and ignores SIGPIPE.  usage is the whole text that -h prints, the synopsis first:
 * "usage: ...", its further lines indented; it and the name must outlive the program.
 */
void tool_init(const char *name, const char *usage);

/* For -h and -V: print on stdout and exit with 0 (2 where stdout fails). */
void tool_help(void) __attribute__((noreturn));
void tool_version(void) __attribute__((noreturn));

/* "tool: text", then the synopsis and where to find more, on stderr; exits with 2. */
void tool_usage(const char *, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* What such an error shows in place of the usage text's synopsis, where that is long: whole lines, static. */
void tool_synopsis(const char *);

/* From now on the tool answers as a monitoring plugin: what ends it before it could look is a line
 * "SERVICE UNKNOWN - text" on stdout and status 3, which is TOOL_UNSURE.  service is static. */
void tool_plugin(const char *service);

/* As tool_failed(), then exits. */
void tool_die(const struct fail *) __attribute__((noreturn));

/* For '?' and ':' of getopt_long with opterr 0: says which option is wrong; exits with 2. */
void tool_bad_option(int ch, char **argv) __attribute__((noreturn));

/* The one of two statuses that counts: 2, 1, 3, 0. */
enum tool_exit tool_worse(enum tool_exit, enum tool_exit);

/* Prints the failure as "tool: text"; returns TOOL_NO for FAIL_POLICY, TOOL_UNSURE for FAIL_TEMP
 * and FAIL_PEER, TOOL_CANNOT otherwise. */
enum tool_exit tool_failed(const struct fail *);

/* Flushes and closes stdout; returns the status, or TOOL_CANNOT where output was lost. */
enum tool_exit tool_finish(enum tool_exit);

/* -d DIR if not NULL, else $MTATLS_DIR, else /etc/mtatls.  Borrowed.  An empty -d is a usage error. */
const char *tool_dir(const char *opt_d);

#define TOOL_VERSION "0.1"

#endif
