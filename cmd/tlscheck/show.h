/*
 * show - what is done with each judgement of a run, wherever its evidence comes from: it is printed or
 * counted, kept (--save), and has its share in the exit status.
 */
#ifndef TLSCHECK_SHOW_H
#define TLSCHECK_SHOW_H

#include "judge.h"
#include "monitor.h"
#include "out.h"
#include "tool.h"

struct show_conf {
	struct out_conf out;
	struct judge_conf judge;
	int levels;			/* -T */
	int plugin;			/* -N */
	int expects;			/* --expect: monitor.expect holds without -N as well */
	struct monitor_conf monitor;
	const char *save;		/* file, or NULL */
};

struct show {
	struct show_conf conf;
	struct monitor monitor;
	struct buf kept;
	enum tool_exit status;
};

void show_init(struct show *, const struct show_conf *);
void show(struct show *, const struct judged *);

/* What could not be done at all. */
void show_failed(struct show *, const struct fail *);

/* Writes what is to be kept, prints what is printed once; returns the exit status. */
int show_finish(struct show *);

#endif
